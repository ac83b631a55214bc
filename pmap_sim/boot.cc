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

uint64_t L4Pmap::home_end() const {
  const uint64_t aliases = config_.alias_area.value();
  const uint64_t kernel = config_.kernel_area.start.value();
  return config_.kernel_area.empty() || aliases < kernel ? aliases : kernel;
}

// Everything sigma0 gives in pieces of one size. Memory beyond home_end() would collide with the
// server's other areas and is left where it is. False: there are too many pieces.
bool L4Pmap::TakePieces(unsigned log2) {
  for (;;) {
    L4_Fpage_t got = L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace);
    if (L4_IsNilFpage(got)) return true;
    base::Paddr start(L4_Address(got));
    if (start.value() + (uint64_t{1} << log2) > home_end()) continue;
    if (!AddSegment(start, static_cast<uint32_t>(uint64_t{1} << (log2 - base::kPageShift)))) {
      return false;
    }
  }
}

// Largest pieces first: fewer messages, and mappings that a kernel with large pages can keep large.
// Kernels that lose track of parts of large pages get none (facts/l4.md section 8, superpages).
void L4Pmap::TakeMemory() {
  constexpr unsigned kLargest = 40 < L4_WORD_BITS - 2 ? 40 : L4_WORD_BITS - 2;
  unsigned log2 = traits_.by_the_manual ? kLargest : base::kPageShift;
  while (log2 >= base::kPageShift && TakePieces(log2)) --log2;
}

bool L4Pmap::MakeFrames() {
  uint32_t frames = 0;
  for (uint32_t i = 0; i < segment_count_; ++i) {
    segments_[i].first_frame = frames;
    frames += segments_[i].pages;
  }
  void* memory = config_.memory->AllocateChunk(sizeof(Frame) * frames);
  if (memory == nullptr) return false;
  frames_ = static_cast<Frame*>(memory);
  for (uint32_t i = 0; i < frames; ++i) new (&frames_[i]) Frame();
  memory = config_.memory->AllocateChunk(sizeof(FrameStatus) * frames);
  if (memory == nullptr) return false;
  status_ = static_cast<FrameStatus*>(memory);
  for (uint32_t i = 0; i < frames; ++i) new (&status_[i]) FrameStatus();
  batch_.Boot(status_);
  return true;
}

// NetBSD: pmap_bootstrap(), pmap_init().
bool L4Pmap::Boot(L4_ThreadId_t mirror) {
  CHECK(segment_count_ == 0);
  mirror_ = mirror;
  // The first page is for trying the kernel out, before it is known what else to ask for.
  L4_Fpage_t first = L4_Sigma0_GetAny(L4_nilthread, base::kPageShift, L4_CompleteAddressSpace);
  if (L4_IsNilFpage(first)) {
    boot_error_ = "sigma0 gives no memory";
    return false;
  }
  const base::Paddr page(L4_Address(first));
  if (!Probe(page)) {
    boot_error_ = "this kernel cannot map a page to another address of its own space";
    return false;
  }
  AddSegment(page, 1);
  TakeMemory();
  if (MakeFrames()) return true;
  boot_error_ = "no memory for the frame table";
  return false;
}

}  // namespace pmap_sim
