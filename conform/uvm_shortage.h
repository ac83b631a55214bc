// conform/uvm_shortage.h: operations that may fail in one kernel and not in the other, because
// memory or swap ends or a transfer fails there and not here.
//
// WHAT     Which pages lie on swap when the next transfer fails, and how much memory is left when,
//          is a design's own affair; what memory holds is not. Do() performs an operation so that
//          both kernels are in the same state afterwards, but for pages that one of them has lost:
//          what failed there is left out here, and what ended here for want of swap is done again
//          with more. It excuses a result there by what was injected before. An EIO of ours needs a
//          cause in our own log, for the very page it is about (uvm_losses.h), excused or not.
// SEE      uvm.h; docs/DIFFERENCES.md has the names.
#ifndef CONFORM_UVM_SHORTAGE_H_
#define CONFORM_UVM_SHORTAGE_H_

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "conform/uvm_losses.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"

namespace conform {

// Whether the sequence has swap, pressure or errors in it.
bool UvmIsShort(const UvmSequence& sequence);

class UvmShortage {
 public:
  struct Ours {
    UvmResult result;
    const char* excuse = nullptr;  // the name of the difference, if it is one
    std::string text;              // what ours did, then
    bool goes_on = true;           // both are in the same state again
    std::string wrong;             // an EIO of ours without a cause, or a cause without an EIO
  };
  Ours Do(const UvmOpLine& recorded, UvmReplay* replay);
  // Before all pages of a space are looked at.
  void BeginContents(const UvmReplay& replay) { losses_.Begin(replay); }
  // What is wrong with a page of ours as it was read then, whatever the recording has; or nothing.
  std::string WrongPage(uint64_t space, uint64_t va, const UvmPageBytes& ours,
                        const UvmReplay& replay);
  // Why two pages may differ, or null.
  const char* ExcusePage(uint64_t va, const UvmPageBytes& recorded, const UvmPageBytes& ours) const;
  // What a remark says of errors that the recorder injected.
  void Note(absl::string_view text, UvmReplay* replay);

 private:
  void Remember(const UvmOpLine& recorded);
  bool WasFreed(uint64_t va) const { return freed_.contains(va / kUvmPageBytes); }
  void NoteCause(const UvmOpLine& recorded, int error, const UvmReplay& replay);
  Ours Decide(const UvmOpLine& recorded, UvmReplay* replay);
  Ours FailedThere(const UvmOpLine& recorded, UvmReplay* replay);
  const char* NameOfFailureThere(int error) const;

  UvmLosses losses_;
  bool has_cause_ = true;      // each EIO of the operation under way
  bool write_errors_ = false;  // were injected so far
  bool read_errors_ = false;
  // Pages that were given up (clean F), in whatever space, and where they went since: each has its
  // old bytes or those of a fresh page, as long as nobody writes to it.
  std::set<uint64_t> freed_;
};

// The names that it gives.
absl::Span<const char* const> UvmShortageNames();

}  // namespace conform

#endif  // CONFORM_UVM_SHORTAGE_H_
