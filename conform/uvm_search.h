// conform/uvm_search.h: searches for free space in recorded maps, and where the recorded kernel's
// own went astray.
//
// WHAT     By the recording's README a search answers with the nearest free range: top down the
//          highest, bottom up the lowest address on the allowed side of the hint. Two defects of
//          top-down searches make it answer otherwise: N7 (the hint is the end of the space) and
//          N8 (the nearest range lies below the first mapping, the hint does not). Of `map` and
//          `findspace` the recording says so itself, in `quirk` lines; of other operations that
//          search, the recorded maps before them do.
// SEE      facts/uvm.md 2.2 and 5.B'.
#ifndef CONFORM_UVM_SEARCH_H_
#define CONFORM_UVM_SEARCH_H_

#include <cstdint>
#include <optional>
#include <string>

#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"

namespace conform {

struct UvmSearch {
  uint64_t hint = 0;
  uint64_t bytes = 0;
  uint64_t align = 0;  // bytes; 0: none
};
// The nearest free range; absent when there is none.
std::optional<uint64_t> NearestFree(const UvmSequence& sequence, const UvmPicture::Entries& entries,
                                    const UvmSearch& search);

// `N7` or `N8` where the recorded answer to an operation that searches without a `quirk` line
// (sys_mmap, the remaps) is not the nearest and one of them explains it; null otherwise. `entries`:
// of the operation's space, before it.
const char* UvmSearchDefect(const UvmSequence& sequence, const UvmPicture::Entries& entries,
                            const UvmOp& op, const UvmResult& recorded);

// The operation with the place that the recording's kernel chose. REQUIRES: it has chosen one.
UvmOp UvmPlaced(const UvmOp& op, const UvmResult& recorded);

}  // namespace conform

#endif  // CONFORM_UVM_SEARCH_H_
