#include "uvm/testing/naive_pmap.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"

namespace uvm {

// The table by virtual address, and each processor's translation buffer, which holds copies of
// table entries.
class Pmap {
 public:
  void Invalidate(uint64_t va) {
    for (auto& buffer : buffers) buffer.erase(va);
  }
  void InvalidateAll() {
    for (auto& buffer : buffers) buffer.clear();
  }

  uint32_t refs = 1;
  std::map<uint64_t, PmapSystem::Mapping> table;
  std::map<uint64_t, PmapSystem::Mapping> buffers[testing::NaivePmap::kProcessors];
  std::set<uint64_t> unmanaged;  // what KenterPa made
};

namespace testing {

using base::Access;
using base::Paddr;
using base::PageCount;
using base::Prot;
using base::Range;
using base::Vaddr;

NaivePmap::NaivePmap(uint64_t frames)
    : frames_(frames + kDeviceFrames),
      memory_((frames + kDeviceFrames) * base::kPageSize, kGarbage) {
  constexpr Paddr kFirst(0x100000);
  constexpr uint64_t kHolePages = 16;
  uint64_t first_half = frames / 2;
  segments_[0] = {kFirst, PageCount(first_half)};
  segments_[1] = {kFirst + (first_half + kHolePages) * base::kPageSize,
                  PageCount(frames - first_half)};
  kernel_ = Create().value();
}

NaivePmap::~NaivePmap() = default;

uint64_t NaivePmap::IndexOf(Paddr pa) const {
  uint64_t before = 0;
  for (const PhysicalSegment& segment : segments_) {
    if (segment.start <= pa && pa < segment.start + base::ToBytes(segment.pages)) {
      return before + ((pa - segment.start) >> base::kPageShift);
    }
    before += segment.pages.value();
  }
  if (device_frame(0) <= pa && pa < device_frame(kDeviceFrames)) {
    return before + ((pa - device_frame(0)) >> base::kPageShift);
  }
  UNREACHABLE("NaivePmap: not a frame of any segment");
}

Paddr NaivePmap::device_frame(uint64_t index) const {
  constexpr uint64_t kHolePages = 4;
  return segments_[1].start + base::ToBytes(segments_[1].pages) +
         (kHolePages + index) * base::kPageSize;
}

bool NaivePmap::IsManaged(Paddr pa) const { return pa < device_frame(0); }

unsigned char* NaivePmap::HomePointer(Paddr pa) {
  return memory_.data() + IndexOf(pa) * base::kPageSize;
}

unsigned char* NaivePmap::Translate(Pmap* pmap, Vaddr va, Access access, uint32_t processor) {
  MaybeForget();
  auto& buffer = pmap->buffers[processor];
  uint64_t page = va.Trunc().value();
  Prot wanted = base::ProtFor(access);
  auto hit = buffer.find(page);
  bool cached = hit != buffer.end();
  if (!cached || !wanted.IsSubsetOf(hit->second.prot)) {
    auto entry = pmap->table.find(page);
    if (entry == pmap->table.end() || !wanted.IsSubsetOf(entry->second.prot)) return nullptr;
    hit = buffer.insert_or_assign(page, entry->second).first;
  }
  Frame& frame = FrameAt(hit->second.pa);
  // Mappings of the kernel that KenterPa made are outside R and M.
  if (!pmap->unmanaged.contains(page) || lie_ == PmapLie::kKenterSetsModified) {
    frame.referenced = true;
    bool disarmed = cached && lie_ == PmapLie::kClearDisarms;
    if (access == Access::kWrite && !disarmed) frame.modified = true;
  }
  return HomePointer(hit->second.pa) + va.Offset();
}

Prot NaivePmap::RightsAt(const Pmap* pmap, Vaddr va) const {
  auto entry = pmap->table.find(va.Trunc().value());
  return entry == pmap->table.end() ? base::kProtNone : entry->second.prot;
}

void NaivePmap::Step() {
  if (!at_each_step_) return;
  std::function<void()> hook = std::exchange(at_each_step_, nullptr);
  hook();
  at_each_step_ = std::move(hook);
}

void NaivePmap::MaybeForget() {
  if (!forget_ || !forget_->Chance(1, forget_one_in_)) return;
  std::vector<std::pair<Pmap*, uint64_t>> candidates;
  for (const std::unique_ptr<Pmap>& pmap : pmaps_) {
    for (const auto& [va, mapping] : pmap->table) {
      if (mapping.wired == Wired::kNo || lie_ == PmapLie::kForgetsWired)
        candidates.emplace_back(pmap.get(), va);
    }
  }
  if (candidates.empty()) return;
  auto [pmap, va] = candidates[forget_->Below(candidates.size())];
  if (lie_ == PmapLie::kForgettingLosesModified) FrameAt(pmap->table[va].pa).modified = false;
  pmap->table.erase(va);
  pmap->Invalidate(va);
}

base::Result<Pmap*, PmapError> NaivePmap::Create() {
  pmaps_.push_back(std::make_unique<Pmap>());
  return pmaps_.back().get();
}

base::Vaddr NaivePmap::GrowKernel(Vaddr va) {
  CHECK(va <= kKernelSpace.end);
  if (va > grown_) grown_ = va;
  return grown_;
}

void NaivePmap::Reference(Pmap* pmap) { ++pmap->refs; }

void NaivePmap::Destroy(Pmap* pmap) {
  CHECK(pmap != kernel_);
  if (--pmap->refs > 0) return;
  CHECK(pmap->table.empty());
  auto at = std::find_if(pmaps_.begin(), pmaps_.end(),
                         [pmap](const std::unique_ptr<Pmap>& p) { return p.get() == pmap; });
  CHECK(at != pmaps_.end());
  pmaps_.erase(at);
}

// With delayed invalidations processor 0 has just looked at whatever is being taken, and remembers
// it.
void NaivePmap::Remember(Pmap* pmap, Range range) {
  if (!delayed_) return;
  auto last = pmap->table.lower_bound(range.end.value());
  for (auto at = pmap->table.lower_bound(range.start.value()); at != last; ++at) {
    pmap->buffers[0].insert(*at);
  }
}

bool NaivePmap::EnterFails(const EnterFlags& flags) {
  if (flags.can_fail == CanFail::kNo) return false;
  if (enter_fails_in_ > 0 && --enter_fails_in_ == 0) return true;
  return enter_fails_ && enter_fails_->Chance(1, enter_fails_one_in_);
}

base::Result<void, PmapError> NaivePmap::Enter(Pmap* pmap, Vaddr va, Paddr pa, Prot prot,
                                               const EnterFlags& flags) {
  CHECK(va.IsAligned() && pa.IsAligned());
  CHECK(flags.access.IsSubsetOf(prot));
  IndexOf(pa);
  Step();
  MaybeForget();
  if (EnterFails(flags)) {
    if (lie_ == PmapLie::kFailureLeavesOld) return PmapError::kNoMemory;
    // Nothing wrong is left mapped: a translation to another frame goes away even though the new
    // one failed.
    pmap->table.erase(va.value());
    pmap->Invalidate(va.value());
    return PmapError::kNoMemory;
  }
  auto old = pmap->table.find(va.value());
  bool replaces = old != pmap->table.end() && old->second.pa != pa;
  if (replaces) Remember(pmap, {va, va + base::kPageSize});
  if (lie_ == PmapLie::kEnterAddsWrite) prot = prot | base::kProtWrite;
  if (lie_ == PmapLie::kReplacementCountsTwice && replaces) ++miscounted_;
  const bool ahead = flags.access.IsNone() && flags.wired == Wired::kNo;
  if (ahead && old != pmap->table.end() && !replaces) ++entered_ahead_twice_;
  pmap->table[va.value()] = {va, pa, prot, flags.wired};
  // A replacement may be deferred like a removal followed by an entry; a mere change of rights
  // takes effect at once.
  if (!replaces || !delayed_) pmap->Invalidate(va.value());
  return {};
}

void NaivePmap::Remove(Pmap* pmap, Range range) {
  Step();
  MaybeForget();
  Remember(pmap, range);
  auto first = pmap->table.lower_bound(range.start.value());
  auto last = pmap->table.lower_bound(range.end.value());
  for (auto at = first; at != last && lie_ == PmapLie::kRemoveClearsModified; ++at) {
    FrameAt(at->second.pa).modified = false;
  }
  pmap->table.erase(first, last);
  if (!delayed_) Update(pmap);
}

bool NaivePmap::RemoveAll(Pmap* pmap) {
  pmap->table.clear();
  pmap->InvalidateAll();
  return true;
}

void NaivePmap::KenterPa(Vaddr va, Paddr pa, Prot prot, CacheMode) {
  CHECK(va >= kKernelSpace.start && va < grown_);
  bool fresh = kernel_->table.insert({va.value(), {va, pa, prot, Wired::kYes}}).second;
  CHECK(fresh);
  kernel_->unmanaged.insert(va.value());
}

void NaivePmap::Kremove(Range range) {
  for (Vaddr va = range.start; va < range.end; va = va + base::kPageSize) {
    if (kernel_->unmanaged.erase(va.value()) == 0) continue;
    kernel_->table.erase(va.value());
  }
  if (!delayed_) Update(kernel_);
}

void NaivePmap::Protect(Pmap* pmap, Range range, Prot prot) {
  Step();
  MaybeForget();
  if (!prot.CanRead()) return Remove(pmap, range);
  Remember(pmap, range);
  auto last = pmap->table.lower_bound(range.end.value());
  for (auto at = pmap->table.lower_bound(range.start.value()); at != last; ++at) {
    at->second.prot = at->second.prot & prot;
  }
  if (!delayed_) Update(pmap);
}

void NaivePmap::Unwire(Pmap* pmap, Vaddr va) {
  auto entry = pmap->table.find(va.value());
  CHECK(entry != pmap->table.end());
  if (lie_ == PmapLie::kUnwireStaysCounted) ++miscounted_;
  entry->second.wired = Wired::kNo;
}

bool NaivePmap::Extract(Pmap* pmap, Vaddr va, Paddr* pa) {
  auto cached = pmap->buffers[0].find(va.Trunc().value());
  if (lie_ == PmapLie::kExtractLags && cached != pmap->buffers[0].end()) {
    if (pa != nullptr) *pa = cached->second.pa + va.Offset();
    return true;
  }
  auto entry = pmap->table.find(va.Trunc().value());
  if (entry == pmap->table.end()) return false;
  if (pa != nullptr) *pa = entry->second.pa + va.Offset();
  return true;
}

void NaivePmap::Update(Pmap* pmap) {
  Step();
  if (lie_ != PmapLie::kUpdateKeepsStale) pmap->InvalidateAll();
}

void NaivePmap::PageProtect(Paddr pa, Prot prot) {
  Step();
  MaybeForget();
  CHECK(IsManaged(pa));
  bool drop_one = lie_ == PmapLie::kWriteProtectDropsOne;
  bool miss_one = lie_ == PmapLie::kPageProtectMissesOne;
  for (const std::unique_ptr<Pmap>& pmap : pmaps_) {
    for (auto at = pmap->table.begin(); at != pmap->table.end();) {
      if (at->second.pa != pa || pmap->unmanaged.contains(at->first)) {
        ++at;
        continue;
      }
      at->second.prot = at->second.prot & prot;
      bool stays = prot.CanRead() && !std::exchange(drop_one, false);
      at = stays ? std::next(at) : pmap->table.erase(at);
    }
    if (pmap.get() != kernel_ && std::exchange(miss_one, false))
      continue;  // and what it has cached stays
    for (auto& buffer : pmap->buffers) {
      std::erase_if(buffer, [pa](const auto& cached) { return cached.second.pa == pa; });
    }
  }
}

Vaddr NaivePmap::Prefer(uint64_t offset, Vaddr hint, uint64_t, PreferSide side) {
  const uint64_t mask = preferred_colours_ - 1;
  const uint64_t wanted = offset >> base::kPageShift;
  const uint64_t page = hint.PageNumber();
  if (side == PreferSide::kBelow) return hint - (((page - wanted) & mask) << base::kPageShift);
  return hint + (((wanted - page) & mask) << base::kPageShift);
}

bool NaivePmap::ClearModify(Paddr pa) { return std::exchange(FrameAt(pa).modified, false); }

bool NaivePmap::ClearReference(Paddr pa) {
  return std::exchange(FrameAt(pa).referenced, false) && !references_hidden_;
}

void NaivePmap::ZeroPage(Paddr pa) { std::memset(HomePointer(pa), 0, base::kPageSize); }

void NaivePmap::CopyPage(Paddr from, Paddr to) {
  if (before_copies_) before_copies_();
  Step();
  std::memcpy(HomePointer(to), HomePointer(from), base::kPageSize);
}

PageCount NaivePmap::ResidentCount(const Pmap* pmap) const {
  bool lies = lie_ == PmapLie::kReplacementCountsTwice;
  return PageCount(pmap->table.size() + (lies ? miscounted_ : 0));
}

PageCount NaivePmap::WiredCount(const Pmap* pmap) const {
  uint64_t wired = lie_ == PmapLie::kUnwireStaysCounted ? miscounted_ : 0;
  for (const auto& entry : pmap->table) wired += entry.second.wired == Wired::kYes ? 1 : 0;
  return PageCount(wired);
}

bool NaivePmap::PeekNext(const Pmap* pmap, Vaddr from, Mapping* out) const {
  auto at = pmap->table.lower_bound(from.value());
  if (at == pmap->table.end()) return false;
  *out = at->second;
  return true;
}

}  // namespace testing
}  // namespace uvm
