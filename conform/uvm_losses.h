// conform/uvm_losses.h: the cause of each EIO of ours, page by page.
//
// WHAT     The disks and files of a replay write down each transfer that they fail. When a read
// from
//          swap fails whoever owns the slot just then is looked up: an anon, or a page of an
//          object. A page that an EIO is about must be one of those, and lost since; or it belongs
//          to a file, whose read of that very page failed in this operation. An operation on a
//          range needs such a page in its range. Each bad slot is one of a transfer that failed,
//          and who touches what is lost has an EIO.
// SEE      uvm_shortage.h, which asks; uvm_disk.h.
#ifndef CONFORM_UVM_LOSSES_H_
#define CONFORM_UVM_LOSSES_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "conform/uvm_op.h"
#include "conform/uvm_pages.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"
#include "uvm/swap_device.h"

namespace conform {

class UvmLosses {
 public:
  // An anon, or a page of an object; neither: of nobody.
  using Owner = std::pair<const void*, uint64_t>;

  // Hears of reads that fail from now on. REQUIRES: outlives the replay's operations.
  void Watch(UvmReplay* replay);
  // An operation begins: failed reads of files are its own from here on.
  void Begin(const UvmReplay& replay);
  // What lies behind the page at `va`.
  static Owner OwnerAt(const UvmReplay& replay, uint64_t space, uint64_t va);
  // Whether it is a page of a file-like object, which can be read again.
  static bool IsOfFile(const UvmReplay& replay, uint64_t space, uint64_t va);
  // All that anybody has.
  static std::set<Owner> Owners(const UvmReplay& replay);
  // Each page of the spans that is mapped; true as soon as `visit` is.
  static bool AnyPage(const UvmReplay& replay, const std::vector<UvmSpan>& spans,
                      const std::function<bool(uint64_t space, uint64_t va)>& visit);
  // Whether the page at `va` is lost for good.
  bool IsLost(const UvmReplay& replay, uint64_t space, uint64_t va) const;
  // Whether the log has a reason for an EIO at `va`; for one of an operation.
  bool HasCause(const UvmReplay& replay, uint64_t space, uint64_t va) const;
  bool HasCause(const UvmReplay& replay, const UvmOpLine& line) const;
  // Empty; or which bad slot no failed transfer explains.
  std::string Unexplained(UvmReplay* replay);

 private:
  void NoteFailedRead(const UvmReplay& replay, const uvm::SwapDevice* device, uint64_t block);

  std::set<Owner> lost_;      // whose own read failed
  size_t file_failures_ = 0;  // before the operation
  uint64_t bad_slots_ = 0;    // when they were looked at last
};

// The pages that the operation needs before it may say EIO.
std::vector<UvmSpan> UvmNeeds(const UvmOpLine& line);

}  // namespace conform

#endif  // CONFORM_UVM_LOSSES_H_
