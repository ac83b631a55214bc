#include "machine/memory_events.h"

#include <algorithm>
#include <iterator>

#include "base/hash.h"

namespace machine {
namespace {

using vmserver::MemoryControl;

// Frames that leave at once, at most.
constexpr uint64_t kMostAtOnce = 16;
// At boot memory is sorted in runs of so many frames; one that is used stays what it is.
constexpr uint64_t kSortedAtOnce = 16;

uint64_t FrameOf(base::Paddr pa) { return pa.PageNumber(); }

uint64_t Operand(uint64_t count, uint64_t number) {
  return count | number << vmserver::kMemoryCountBits;
}

bool IsFree(const uvm::PageStore& pages, uint64_t frame) {
  const uvm::Page* page = pages.FromPaddr(base::Paddr(frame << base::kPageShift));
  return page != nullptr && page->free;
}

}  // namespace

bool MemoryEvents::Try(const Control& control, MemoryControl what, uint64_t first,
                       uint64_t second) {
  if (control(what, first, second)) return true;
  ++counters_.refused;
  return false;
}

// The last half of the frames are of the other sorts, in turns; the first and the last half are of
// different nodes.
bool MemoryEvents::SortMemory(const uvm::PageStore& pages, const Control& control) {
  const uvm::PhysicalSegments& segments = pages.segments();
  const uint64_t first = FrameOf(segments.Start(segments.First()));
  const uint64_t end = FrameOf(segments.End(segments.Last()));
  const uint64_t middle = first + (end - first) / 2;
  bool done = true;
  for (uint64_t at = middle; spec_.lists > 1 && at + kSortedAtOnce <= end; at += kSortedAtOnce) {
    const uint64_t list = at / kSortedAtOnce % spec_.lists;
    if (list == 0 || !control(MemoryControl::kUnplug, at, kSortedAtOnce)) continue;
    done &= control(MemoryControl::kPlug, at, Operand(kSortedAtOnce, list));
  }
  if (spec_.buckets > 1) {
    done &= control(MemoryControl::kNode, first, Operand(middle - first, 0));
    done &= control(MemoryControl::kNode, middle, Operand(end - middle, 1));
    done &= control(MemoryControl::kBuckets, spec_.buckets, 0);
  }
  return done;
}

bool MemoryEvents::Begin(const uvm::PageStore& pages, const Control& control) {
  frames_ = pages.total().value();
  bool done = SortMemory(pages, control);
  if (spec_.colours > 1) done &= control(MemoryControl::kColours, spec_.colours, 0);
  if (spec_.caches) {
    caching_ = control(MemoryControl::kCaches, processors_, 0);
    done &= caching_;
  }
  if (encryption_ == SwapEncryption::kOn) done &= control(MemoryControl::kSwapEncrypt, 1, 0);
  return done;
}

bool MemoryEvents::Happen(uint64_t hash, const uvm::PageStore& pages, const Control& control) {
  bool changed = false;
  const uint64_t draw = base::Chain(hash, 1);
  if (encryption_ == SwapEncryption::kToggled && base::Chain(hash, 2) % kToggledOneIn == 0)
    changed |= Toggle(control);
  if (spec_.one_in == 0 || draw % spec_.one_in != 0) return changed;
  const uint64_t more = base::Chain(hash, 3);
  switch (more % 8) {
    case 0:
    case 1:
    case 2:
      return Unplug(more / 8, pages, control) || changed;
    case 3:
    case 4:
    case 5:
      return Plug(more / 8, control) || changed;
    case 6:
      return Resort(more / 8, pages, control) || changed;
    default:
      return ChangeCaches(control) || changed;
  }
}

// A run of free frames behind a frame that is drawn; now and then whatever lies there.
bool MemoryEvents::Unplug(uint64_t draw, const uvm::PageStore& pages, const Control& control) {
  const uvm::PhysicalSegments& segments = pages.segments();
  const uint64_t first = FrameOf(segments.Start(segments.First()));
  const uint64_t end = FrameOf(segments.End(segments.Last()));
  const uint64_t most = 1 + draw % kMostAtOnce;
  uint64_t at = first + draw / kMostAtOnce % (end - first);
  if (out_count_ + most > frames_ / 8) return Plug(draw, control);
  uint64_t count = most;
  if (base::Chain(draw, 1) % 8 != 0) {
    while (at < end && !IsFree(pages, at)) ++at;
    for (count = 0; count < most && IsFree(pages, at + count);) ++count;
  }
  if (count == 0 || !Try(control, MemoryControl::kUnplug, at, count)) return false;
  out_.push_back({at, count});
  out_count_ += count;
  counters_.unplugged += count;
  return true;
}

// What left first comes first; now and then only its first half.
bool MemoryEvents::Plug(uint64_t draw, const Control& control) {
  if (out_.empty()) return false;
  Out& oldest = out_.front();
  const bool half = draw % 4 == 0 && oldest.count > 1;
  const uint64_t count = half ? oldest.count / 2 : oldest.count;
  const uint64_t list = draw / 4 % spec_.lists;
  if (!Try(control, MemoryControl::kPlug, oldest.frame, Operand(count, list))) return false;
  oldest.frame += count;
  oldest.count -= count;
  if (oldest.count == 0) out_.erase(out_.begin());
  out_count_ -= count;
  counters_.plugged += count;
  return true;
}

// Colours only become more.
bool MemoryEvents::Resort(uint64_t draw, const uvm::PageStore& pages, const Control& control) {
  const uint32_t colours = pages.DebugFree().colours();
  const bool recolour = draw % 2 == 0 && colours < MemorySpec::kMostColours;
  const bool done =
      recolour ? Try(control, MemoryControl::kColours, uint64_t{colours} * 2, 0)
               : Try(control, MemoryControl::kBuckets, 1 + draw / 2 % MemorySpec::kMostBuckets, 0);
  counters_.resorted += done ? 1 : 0;
  return done;
}

bool MemoryEvents::ChangeCaches(const Control& control) {
  if (!Try(control, MemoryControl::kCaches, caching_ ? 0 : processors_, 0)) return false;
  caching_ = !caching_;
  ++counters_.caches;
  return true;
}

bool MemoryEvents::Toggle(const Control& control) {
  if (!Try(control, MemoryControl::kSwapEncrypt, encrypting_ ? 0 : 1, 0)) return false;
  encrypting_ = !encrypting_;
  ++counters_.toggled;
  return true;
}

}  // namespace machine
