// conform/uvm_shortage.h: operations that may fail in one kernel and not in the other, because
// memory or swap ends or a transfer fails there and not here.
//
// WHAT     Which pages lie on swap when the next transfer fails, and how much memory is left when,
//          is a design's own affair; what memory holds is not. Do() performs an operation so that
//          both kernels are in the same state afterwards, but for pages that one of them has lost:
//          what failed there is left out here, and what ended here for want of swap is done again
//          with more. An EIO of ours needs a cause in our own log, for a page of the operation's
//          range (uvm_losses.h), excused or not; an ENOMEM of ours that somebody was refused a
//          frame meanwhile. An EIO there is excused for as many pages as the recorder's errors can
//          have spoilt, an ENOMEM there while the recorded counters say that a budget was used up.
// SEE      uvm.h; docs/DIFFERENCES.md has the names.
#ifndef CONFORM_UVM_SHORTAGE_H_
#define CONFORM_UVM_SHORTAGE_H_

#include <cstdint>
#include <optional>
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
  // `pages`: of the recorded machine.
  UvmShortage(uint64_t pages, UvmReplay* replay) : pages_(pages) { losses_.Watch(replay); }
  struct Ours {
    UvmResult result;
    const char* excuse = nullptr;  // the name of the difference, if it is one
    std::string text;              // what ours did, then
    bool goes_on = true;           // both are in the same state again
    // An EIO or ENOMEM without a cause, ours or one of the recording's; or a cause without an EIO.
    std::string wrong;
  };
  Ours Do(const UvmOpLine& recorded, UvmReplay* replay);
  // Before all pages of a space are looked at.
  void BeginContents(const UvmReplay& replay) { losses_.Begin(replay); }
  // What is wrong with a page of ours as it was read then, whatever the recording has; or nothing.
  std::string WrongPage(uint64_t space, uint64_t va, const UvmPageBytes& ours,
                        const UvmReplay& replay);
  // Why two pages may differ, or null. Asked once for each page.
  const char* ExcusePage(uint64_t space, uint64_t va, const UvmPageBytes& recorded,
                         const UvmPageBytes& ours, const UvmReplay& replay);
  // The recorded kernel's, as of now.
  void Counters(const UvmCounters& counters) {
    counters_ = counters;
    touched_ = 0;
  }
  // What a remark says of errors that the recorder injected.
  void Note(absl::string_view text, UvmReplay* replay);

 private:
  void Remember(const UvmOpLine& recorded);
  bool WasFreed(uint64_t va) const { return freed_.contains(va / kUvmPageBytes); }
  void NoteInjected(const UvmOp& op);
  void NoteCause(const UvmOpLine& recorded, int error, const UvmReplay& replay);
  Ours Decide(const UvmOpLine& recorded, UvmReplay* replay);
  Ours FailedThere(const UvmOpLine& recorded, UvmReplay* replay);
  bool MayBeLostThere(uint64_t space, uint64_t va, const UvmReplay& replay);
  bool MayHaveFailedThere(const UvmOpLine& recorded, const UvmReplay& replay);
  bool WasShortThere(UvmCall call) const;
  const char* NameOfEio() const;

  const uint64_t pages_;
  UvmLosses losses_;
  const char* no_cause_ = nullptr;  // what an EIO or ENOMEM of the operation under way lacks
  uint64_t refusals_ = 0;           // of frames, before it
  bool edges_mapped_ = false;       // of what it moves, before it
  bool write_errors_ = false;       // were injected so far
  // In the recorded kernel: pages that errors of swap may still have spoilt, reads of files that
  // may still fail, and pages that were lost, as ours knows them.
  uint64_t may_be_lost_ = 0;
  uint64_t files_may_fail_ = 0;
  std::set<UvmLosses::Owner> lost_there_;
  std::optional<UvmCounters> counters_;
  uint64_t touched_ = 0;  // pages since then: each may need memory
  // Pages that were given up (clean F), in whatever space, and where they went since: each has its
  // old bytes or those of a fresh page, as long as nobody writes to it.
  std::set<uint64_t> freed_;
};

// The names that it gives.
absl::Span<const char* const> UvmShortageNames();

}  // namespace conform

#endif  // CONFORM_UVM_SHORTAGE_H_
