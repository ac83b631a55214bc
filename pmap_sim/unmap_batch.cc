#include "pmap_sim/unmap_batch.h"

#include <l4/space.h>

#include "base/check.h"

namespace pmap_sim {

void UnmapBatch::Add(const Page& page) {
  if (count_ == kFpages || page_count_ == kPages || (count_ != 0 && call_ != page.call)) Flush();
  call_ = page.call;
  runs_[count_] = {page.address.value(), page_count_, 0, static_cast<uint8_t>(page.take),
                   page.written};
  pages_[page_count_++] = page.frame;
  if (page.frame != 0) frames_[page.frame - 1].pending = true;
  uint32_t count = count_ + 1;
  while (count >= 2 && Merge(&runs_[count - 2], runs_[count - 1])) --count;
  __atomic_store_n(&count_, count, __ATOMIC_RELAXED);
}

bool UnmapBatch::Merge(Run* left, const Run& right) {
  const uint64_t bytes = base::kPageSize << left->log2;
  if (left->log2 != right.log2 || left->take != right.take || left->written != Written::kKnown ||
      right.written != Written::kKnown || left->address + bytes != right.address ||
      (left->address & (2 * bytes - 1)) != 0) {
    return false;
  }
  ++left->log2;
  ++counters_.merged;
  return true;
}

void UnmapBatch::Issue() {
  L4_Fpage_t fpages[kFpages];
  for (uint32_t i = 0; i < count_; ++i) {
    fpages[i] = L4_FpageAddRights(
        L4_FpageLog2(static_cast<L4_Word_t>(runs_[i].address), base::kPageShift + runs_[i].log2),
        runs_[i].take);
  }
  if (call_ == Call::kFlush) {
    L4_FlushFpages(count_, fpages);
  } else {
    L4_UnmapFpages(count_, fpages);
  }
  ++counters_.calls;
  counters_.fpages += count_;
  for (uint32_t i = 0; i < count_; ++i) Fold(runs_[i], L4_Rights(fpages[i]));
  page_count_ = 0;
  __atomic_store_n(&count_, 0u, __ATOMIC_RELAXED);
}

void UnmapBatch::Fold(const Run& run, L4_Word_t status) {
  const bool referenced = status != 0;
  const bool modified = run.written == Written::kAsked && (status & L4_Writable) != 0;
  for (uint32_t i = 0; i < 1u << run.log2; ++i) {
    const FrameNumber number = pages_[run.first + i];
    if (number == 0) continue;
    Frame& frame = frames_[number - 1];
    frame.pending = false;
    frame.referenced |= referenced;
    frame.modified |= modified;
  }
}

void UnmapBatch::Lose() {
  for (uint32_t i = 0; i < count_; ++i) Fold(runs_[i], 0);
  page_count_ = 0;
  __atomic_store_n(&count_, 0u, __ATOMIC_RELAXED);
}

}  // namespace pmap_sim
