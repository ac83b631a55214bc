// pmap_sim/unmap_batch.h: unmaps that wait for one call of many fpages.
//
// WHAT     Add takes one page at a time; Flush issues the call, or the calls, and folds the status
//          that comes back into the frames. Up to 64 fpages fill a call. Rule (b) of design D6:
//          neighbours go as one fpage when each of them is known to be modified or was mapped
//          without write, because the OR-ed written bit then says nothing new. Of the referenced
//          bit one fpage cannot tell which page it means: rather too many than too few.
//          Pages that follow each other, upwards or downwards, are kept as a run; Flush cuts runs
//          into aligned fpages.
// STATES   empty -> filling (Add) -> empty (Flush). An Add that finds no room issues the calls that
//          are full and keeps the rest, so that what goes between two Flushes takes no more calls
//          than its fpages fill, rounded up.
// LOCKS    L4Pmap's lock.

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
  // What the status that comes back may tell.
  enum class News : uint8_t {
    kAll,         // of this page alone: it goes as one fpage
    kReferenced,  // whether it was referenced; neighbours may come along
    kNone,        // nothing that is not known, or nobody's status
  };

  struct Page {
    base::Vaddr address{};  // in the server's space
    L4_Word_t take = 0;     // rights, in X.2's order
    FrameNumber frame = 0;  // whose status it is, where there may be news
    Call call = Call::kUnmap;
    News news = News::kAll;
    uint32_t pages = 1;  // from `address` on; one where there is news
  };

  struct Counters {
    uint64_t calls = 0;
    uint64_t fpages = 0;
    uint64_t merged = 0;  // fpages saved by rule (b)
  };

  // `status`, by frame, outlives the batch.
  void Boot(FrameStatus* status) { status_ = status; }
  // May be asked without the lock by who added something.
  bool empty() const { return __atomic_load_n(&count_, __ATOMIC_RELAXED) == 0; }
  void Add(const Page& page) {
    if (count_ != 0 && page.news == News::kNone) {
      Run& last = runs_[count_ - 1];
      const bool alike = last.news == News::kNone && last.take == page.take && call_ == page.call;
      if (alike && last.end() == page.address.value()) {
        last.pages += page.pages;
        return;
      }
      // A list of free frames that was filled in ascending order is used in descending order.
      const uint64_t bytes = uint64_t{page.pages} << base::kPageShift;
      if (alike && last.address == page.address.value() + bytes) {
        last.address -= bytes;
        last.pages += page.pages;
        return;
      }
    }
    AddSlowly(page);
  }
  void Flush() {
    if (!empty()) Issue(Calls::kAll);
  }
  // Forgets what waits: a bug on purpose.
  void Lose();
  const Counters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kFpages = 64;  // message registers
  static constexpr uint32_t kRuns = 64;
  static constexpr uint32_t kPages = 1024;
  struct Run {
    uint64_t address;
    uint64_t pages;
    uint32_t first;  // index of its first frame in frames_of_; with no news there are none
    uint8_t take;
    News news;
    uint64_t end() const { return address + (pages << base::kPageShift); }
  };
  // A part of a run, on its way.
  struct Part {
    const Run* run;
    uint32_t offset;  // pages from the run's start
    uint8_t log2;     // pages
  };

  // kFull: what does not fill a call stays.
  enum class Calls : bool { kFull, kAll };

  bool Joins(const Page& page);
  void AddSlowly(const Page& page);
  void MakeRoom();
  void Issue(Calls calls);
  void Keep(uint32_t first, uint64_t done);
  void Call64(const Part* parts, uint32_t count);
  void Fold(const Part& part, L4_Word_t status);
  void Clear();

  FrameStatus* status_ = nullptr;
  uint32_t count_ = 0;
  uint32_t frame_count_ = 0;
  Call call_ = Call::kUnmap;
  Counters counters_;
  Run runs_[kRuns];
  FrameNumber frames_of_[kPages];
};

}  // namespace pmap_sim

#endif  // PMAP_SIM_UNMAP_BATCH_H_
