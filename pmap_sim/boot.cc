// How the pmap comes by its memory and its tables.

#include <l4/sigma0.h>

#include <new>

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

// Puts a piece in its place, joining it with its neighbours. Pieces never overlap: sigma0 gives
// each region once.
bool L4Pmap::AddSegment(base::Paddr start, uint32_t pages) {
  uint32_t at = 0;
  while (at < segment_count_ && segments_[at].start < start) ++at;
  base::Paddr end = start + base::ToBytes(base::PageCount(pages));
  auto end_of = [](const Segment& s) { return s.start + base::ToBytes(base::PageCount(s.pages)); };
  bool joins_left = at > 0 && end_of(segments_[at - 1]) == start;
  bool joins_right = at < segment_count_ && segments_[at].start == end;
  if (joins_left && joins_right) {
    segments_[at - 1].pages += pages + segments_[at].pages;
    for (uint32_t i = at; i + 1 < segment_count_; ++i) segments_[i] = segments_[i + 1];
    --segment_count_;
  } else if (joins_left) {
    segments_[at - 1].pages += pages;
  } else if (joins_right) {
    segments_[at].start = start;
    segments_[at].pages += pages;
  } else {
    if (segment_count_ == kMaxSegments) return false;
    for (uint32_t i = segment_count_; i > at; --i) segments_[i] = segments_[i - 1];
    segments_[at] = {start, pages, 0};
    ++segment_count_;
  }
  return true;
}

// Largest pieces first: fewer messages, and mappings that a kernel with large pages can keep large.
// Memory beyond home_end() would collide with the server's other areas and is left where it is.
void L4Pmap::TakeMemory() {
  constexpr unsigned kLargest = 40 < L4_WORD_BITS - 2 ? 40 : L4_WORD_BITS - 2;
  for (unsigned log2 = kLargest; log2 >= base::kPageShift; --log2) {
    for (;;) {
      L4_Fpage_t got = L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace);
      if (L4_IsNilFpage(got)) break;
      base::Paddr start(L4_Address(got));
      if (start.value() + (uint64_t{1} << log2) > home_end()) continue;
      if (!AddSegment(start, static_cast<uint32_t>(uint64_t{1} << (log2 - base::kPageShift))))
        return;
    }
  }
}

bool L4Pmap::Boot(L4_ThreadId_t mirror) {
  CHECK(segment_count_ == 0);
  mirror_ = mirror;
  TakeMemory();
  if (segment_count_ == 0) return false;
  uint32_t frames = 0;
  for (uint32_t i = 0; i < segment_count_; ++i) {
    segments_[i].first_frame = frames;
    frames += segments_[i].pages;
  }
  void* memory = config_.memory->AllocateChunk(sizeof(Frame) * frames);
  if (memory == nullptr) return false;
  frames_ = static_cast<Frame*>(memory);
  for (uint32_t i = 0; i < frames; ++i) new (&frames_[i]) Frame();
  return true;
}

}  // namespace pmap_sim
