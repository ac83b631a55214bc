// pmap_sim/unmap_batch.h: unmaps that wait for one call of many fpages.
//
// WHAT     Add takes one page at a time; Flush issues the call, or the calls, and folds the status
//          that comes back into the frames. Up to 64 fpages fill a call. Rule (b) of design D6:
//          neighbours go as one fpage when each of them is known to be modified or was mapped
//          without write, because the OR-ed written bit then says nothing new. Of the referenced
//          bit one fpage cannot tell which page it means: rather too many than too few.
// STATES   empty -> filling (Add) -> empty (Flush, or Add when it is full).
// LOCKS    L4Pmap's lock.
// INVARIANTS  A frame is `pending` exactly while a page of it is in the batch.

#ifndef PMAP_SIM_UNMAP_BATCH_H_
#define PMAP_SIM_UNMAP_BATCH_H_

#include <l4/types.h>

#include <cstdint>

#include "base/addr.h"
#include "pmap_sim/table.h"

namespace pmap_sim {

class UnmapBatch {
 public:
  enum class Call : uint8_t {
    kUnmap,  // from whom the page was mapped to
    kFlush,  // from the server itself, too
  };
  // Whether the status of this page is what is asked for: then it goes alone.
  enum class Written : uint8_t { kAsked, kKnown };

  struct Page {
    base::Vaddr address;    // in the server's space
    L4_Word_t take = 0;     // rights, in X.2's order
    FrameNumber frame = 0;  // whose status it is; 0: nobody's
    Call call = Call::kUnmap;
    Written written = Written::kAsked;
  };

  struct Counters {
    uint64_t calls = 0;
    uint64_t fpages = 0;
    uint64_t merged = 0;  // fpages saved by rule (b)
  };

  // `frames` outlives the batch.
  void Boot(Frame* frames) { frames_ = frames; }
  // May be asked without the lock by who added something.
  bool empty() const { return __atomic_load_n(&count_, __ATOMIC_RELAXED) == 0; }
  void Add(const Page& page);
  void Flush() {
    if (!empty()) Issue();
  }
  // Forgets what waits: a bug on purpose.
  void Lose();
  const Counters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kFpages = 64;  // message registers
  static constexpr uint32_t kPages = 4096;
  struct Run {
    uint64_t address;
    uint32_t first;  // index of its first page in pages_
    uint8_t log2;    // pages
    uint8_t take;
    Written written;
  };

  bool Merge(Run* left, const Run& right);
  void Issue();
  void Fold(const Run& run, L4_Word_t status);

  Frame* frames_ = nullptr;
  uint32_t count_ = 0;
  uint32_t page_count_ = 0;
  Call call_ = Call::kUnmap;
  Counters counters_;
  Run runs_[kFpages];
  FrameNumber pages_[kPages];
};

}  // namespace pmap_sim

#endif  // PMAP_SIM_UNMAP_BATCH_H_
