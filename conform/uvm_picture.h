// conform/uvm_picture.h: the recorded address maps, put together from what changed after each
// operation, and compared with ours.
//
// WHAT     E+ and E- lines say which entries of a map changed. A Picture keeps all of them, by the
//          recording's numbers of spaces. Two comparisons: page by page (entry boundaries do not
//          matter), and of one entry with ours.
// SEE      README.md for the table of fields.
#ifndef CONFORM_UVM_PICTURE_H_
#define CONFORM_UVM_PICTURE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"

namespace conform {

// One field that is not as recorded.
struct UvmMismatch {
  std::string field;
  std::string where;
  std::string recorded;
  std::string ours;
  std::optional<UvmEntry> entry = {};  // ours, where it is one of its fields that differs
};

class UvmPicture {
 public:
  using Entries = std::map<uint64_t, UvmEntry>;  // by start

  void Apply(const UvmEntry& entry) { spaces_[entry.space][entry.start] = entry; }
  void Apply(const UvmEntryGone& gone) { spaces_[gone.space].erase(gone.start); }
  // No entry of the space is left out of a recording, so a space without entries is empty.
  const Entries& EntriesOf(uint64_t space) const;

  const std::map<uint64_t, Entries>& spaces() const { return spaces_; }

  // Page by page: rights, maximum, inheritance, advice, whether wired, and which page of which
  // object lies below.
  std::optional<UvmMismatch> ComparePages(const UvmReplay& replay) const;

 private:
  std::map<uint64_t, Entries> spaces_;
};

// Our map as the recording would write it.
UvmPicture::Entries UvmEntriesOf(const UvmReplay& replay, uint64_t space);
// Our translations and pages as a V line would show them.
UvmView UvmViewOf(UvmReplay& replay, uint64_t space, uint64_t start, size_t pages);
// A recorded entry against ours that begins at the same address: boundaries, flags, and what its
// amap is like.
std::vector<UvmMismatch> CompareEntry(const UvmReplay& replay, const UvmEntry& recorded);

}  // namespace conform

#endif  // CONFORM_UVM_PICTURE_H_
