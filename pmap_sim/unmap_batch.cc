#include "pmap_sim/unmap_batch.h"

#include <l4/space.h>

#include "base/check.h"

namespace pmap_sim {

// Whether the page goes on where the last run ends. A run that had no news so far gets room for
// its pages' frames: 0, nobody's.
bool UnmapBatch::Joins(const Page& page) {
  if (count_ == 0 || page.news == News::kAll || page.pages != 1) return false;
  Run& last = runs_[count_ - 1];
  if (last.news == News::kAll || last.end() != page.address.value() || last.take != page.take) {
    return false;
  }
  if (last.news == News::kReferenced) return true;
  if (last.pages >= kPages - frame_count_) return false;
  last.news = News::kReferenced;
  last.first = frame_count_;
  for (uint64_t i = 0; i < last.pages; ++i) frames_of_[frame_count_++] = 0;
  return true;
}

void UnmapBatch::AddSlowly(const Page& page) {
  if (count_ != 0 && call_ != page.call) Flush();
  if (frame_count_ == kPages) MakeRoom();
  call_ = page.call;
  if (!Joins(page)) {
    if (count_ == kRuns) MakeRoom();
    runs_[count_] = {page.address.value(), 0, frame_count_, static_cast<uint8_t>(page.take),
                     page.news};
    __atomic_store_n(&count_, count_ + 1, __ATOMIC_RELAXED);
  }
  Run& run = runs_[count_ - 1];
  run.pages += page.pages;
  if (run.news != News::kNone) {
    frames_of_[frame_count_++] = page.news == News::kNone ? 0 : page.frame;
  }
}

// Full calls only, so that there are no more than the fpages need. Pages that are too many to be
// remembered and too few fpages for a call go as they are.
void UnmapBatch::MakeRoom() {
  Issue(Calls::kFull);
  if (frame_count_ == kPages) Flush();
}

// The largest aligned pieces, in order.
void UnmapBatch::Issue(Calls calls) {
  Part parts[kFpages];
  uint32_t count = 0;
  uint32_t left = 0;  // the first run that is not all issued, and how far it is
  uint64_t left_done = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    const Run& run = runs_[i];
    for (uint64_t done = 0; done < run.pages;) {
      const uint64_t page = (run.address >> base::kPageShift) + done;
      unsigned log2 = static_cast<unsigned>(63 - __builtin_clzll(run.pages - done));
      if (page != 0 && static_cast<unsigned>(__builtin_ctzll(page)) < log2) {
        log2 = static_cast<unsigned>(__builtin_ctzll(page));
      }
      parts[count++] = {&run, static_cast<uint32_t>(done), static_cast<uint8_t>(log2)};
      done += uint64_t{1} << log2;
      if (count < kFpages) continue;
      Call64(parts, count);
      count = 0;
      left = done < run.pages ? i : i + 1;
      left_done = done < run.pages ? done : 0;
    }
  }
  if (calls == Calls::kFull) return Keep(left, left_done);
  if (count != 0) Call64(parts, count);
  Clear();
}

// Forgets the runs before `first`, and the first `done` pages of that one.
void UnmapBatch::Keep(uint32_t first, uint64_t done) {
  uint32_t frames = 0;
  for (uint32_t i = first; i < count_; ++i) {
    Run run = runs_[i];
    if (i == first) {
      run.address += done << base::kPageShift;
      run.pages -= done;
      run.first += static_cast<uint32_t>(done);
    }
    const uint32_t from = run.first;
    run.first = frames;
    if (run.news != News::kNone) {
      for (uint64_t page = 0; page < run.pages; ++page) {
        frames_of_[frames++] = frames_of_[from + page];
      }
    }
    runs_[i - first] = run;
  }
  frame_count_ = frames;
  __atomic_store_n(&count_, count_ - first, __ATOMIC_RELAXED);
}

void UnmapBatch::Call64(const Part* parts, uint32_t count) {
  L4_Fpage_t fpages[kFpages];
  for (uint32_t i = 0; i < count; ++i) {
    const Run& run = *parts[i].run;
    const uint64_t address = run.address + (uint64_t{parts[i].offset} << base::kPageShift);
    fpages[i] = L4_FpageAddRights(
        L4_FpageLog2(static_cast<L4_Word_t>(address), base::kPageShift + parts[i].log2), run.take);
  }
  if (call_ == Call::kFlush) {
    L4_FlushFpages(count, fpages);
  } else {
    L4_UnmapFpages(count, fpages);
  }
  ++counters_.calls;
  counters_.fpages += count;
  for (uint32_t i = 0; i < count; ++i) {
    counters_.merged += (uint64_t{1} << parts[i].log2) - 1;
    Fold(parts[i], L4_Rights(fpages[i]));
  }
}

void UnmapBatch::Fold(const Part& part, L4_Word_t status) {
  const Run& run = *part.run;
  if (status == 0 || run.news == News::kNone) return;
  const bool modified = run.news == News::kAll && (status & L4_Writable) != 0;
  for (uint32_t i = 0; i < 1u << part.log2; ++i) {
    const FrameNumber number = frames_of_[run.first + part.offset + i];
    if (number == 0) continue;
    FrameStatus& frame = status_[number - 1];
    frame.referenced = true;
    frame.modified |= modified;
  }
}

void UnmapBatch::Clear() {
  frame_count_ = 0;
  __atomic_store_n(&count_, 0u, __ATOMIC_RELAXED);
}

void UnmapBatch::Lose() { Clear(); }

}  // namespace pmap_sim
