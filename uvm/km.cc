#include "uvm/km.h"

#include "base/check.h"
#include "uvm/copy_io.h"

namespace uvm {
namespace {

constexpr uint64_t kMemoryPollUs = 10'000;

Prot RightsFor(uint32_t flags) {
  return (flags & kKmExec) != 0 ? base::kProtAll : base::kProtReadWrite;
}

}  // namespace

KernelMemory::KernelMemory(Core* core, PageStore* pages, AnonymousPager* anonymous,
                           FaultHandler* faults, const MapContext* context)
    : core_(core),
      pages_(pages),
      anonymous_(anonymous),
      faults_(faults),
      context_(context),
      map_(context, core->pmap->VirtualSpace().start, core->pmap->VirtualSpace().end,
           core->pmap->Kernel()),
      object_(anonymous->Create(core->pmap->VirtualSpace().size(), kAobjKernObj)),
      submap_pool_(core->memory),
      grown_(core->pmap->VirtualSpace().start) {
  faults->NoteKernelMap(&map_);
}

void KernelMemory::GrowTo(Vaddr end) {
  if (end > grown_) grown_ = core_->pmap->GrowKernel(end);
}

Page* KernelMemory::AllocateFrame() {
  Page* page = pages_->AllocateForObject(nullptr, PageIndex(0), {.flags = kAllocUseReserve});
  if (page == nullptr) return nullptr;
  page->busy = BusyReason::kNotBusy;
  page->fake = false;
  pages_->Wire(page);
  ++core_->counters.kernel_wirings;
  return page;
}

void KernelMemory::FreeFrame(Page* page) {
  --core_->counters.kernel_wirings;
  pages_->Free(page);
}

// False: the caller would rather fail. Who may not fail goes on asking: others may give something
// up.
bool KernelMemory::WaitForMemory(FrameWait* wait, uint32_t flags) {
  if ((flags & kKmNoWait) != 0) return false;
  if (wait->Again()) return true;
  if ((flags & kKmCanFail) != 0) return false;
  core_->threads->ParkUntil(core_->threads->Now() + kMemoryPollUs);
  return true;
}

Result<Vaddr, MapError> KernelMemory::Allocate(Map* map, uint64_t bytes, uint64_t align,
                                               uint32_t flags) {
  const uint32_t type = flags & (kKmWired | kKmPageable | kKmVaOnly);
  CHECK(type == kKmWired || type == kKmPageable || type == kKmVaOnly);
  CHECK(bytes > 0);
  Map::EnterOptions options;
  options.at = map->min();
  options.size = base::RoundPage(bytes);
  options.prot = RightsFor(flags);
  options.inherit = Inherit::kNone;
  options.advice = Advice::kRandom;
  options.align = align;
  options.flags =
      kEnterBare | kEnterNoMerge | (flags & (kKmTryLock | kKmNoWait | kKmWaitVa | kKmColorMatch));
  if ((flags & (kKmCanFail | kKmNoWait)) == 0) options.flags |= kEnterWaitVa;
  const Vaddr at = TRY(map->Enter(options));
  const Range range{at, at + options.size};
  GrowTo(range.end);
  Result<void, MapError> filled;
  if (type == kKmWired) filled = Populate(range, options.prot, flags);
  if (type == kKmPageable) {
    // In place of the reservation, whose address says which pages of the kernel object these are.
    options.at = at;
    options.where = Map::Where::kFixedReplace;
    options.object = object_;
    options.offset = at - map_.min();
    options.sharing = Sharing::kShared;
    options.align = 0;
    options.flags = kEnterNoMerge;
    FrameWait wait(core_);
    for (;;) {
      Result<Vaddr, MapError> entered = map->Enter(options);
      if (entered.ok()) break;
      if (WaitForMemory(&wait, flags)) continue;
      filled = entered.error();
      break;
    }
  }
  if (filled.ok()) return at;
  MUST(map->Unmap(range), "an entry of its own is unmapped whole");
  return filled.error();
}

// Fresh frames for the whole range, or none.
Result<void, MapError> KernelMemory::Populate(Range range, Prot prot, uint32_t flags) {
  FrameWait wait(core_);
  for (Vaddr at = range.start; at < range.end;) {
    Page* page = AllocateFrame();
    if (page == nullptr) {
      if (WaitForMemory(&wait, flags)) continue;
      RemoveWired({range.start, at});
      return MapError::kNoMemory;
    }
    if ((flags & kKmZero) != 0) pages_->Zero(page);
    core_->pmap->KenterPa(at, page->pa, prot, CacheMode::kDefault);
    at = at + base::kPageSize;
  }
  core_->pmap->Update(core_->pmap->Kernel());
  return {};
}

void KernelMemory::Free(Map* map, Vaddr at, uint64_t bytes, uint32_t type) {
  const Range range{at, at + base::RoundPage(bytes)};
  if ((type & kKmPageable) != 0) RemovePages(range);
  if ((type & kKmWired) != 0) RemoveWired(range);
  MUST(map->Unmap(range), "an entry of its own is unmapped whole");
}

void KernelMemory::RemovePages(Range range) {
  MutexLock lock(&object_->mu);
  anonymous_->FreeRange(object_, base::ToPageIndex(range.start - map_.min()),
                        base::ToPageIndex(range.end - map_.min()));
}

// A batch at a time: no frame is freed before its mapping is gone for good.
void KernelMemory::RemoveWired(Range range) {
  constexpr uint32_t kBatch = 16;
  for (Vaddr at = range.start; at < range.end;) {
    Page* pages[kBatch];
    uint32_t count = 0;
    const Vaddr start = at;
    for (; at < range.end && count < kBatch; at = at + base::kPageSize) {
      Paddr pa;
      if (!core_->pmap->Extract(core_->pmap->Kernel(), at, &pa)) continue;
      pages[count] = pages_->FromPaddr(pa.Trunc());
      if (pages[count] != nullptr) ++count;
    }
    core_->pmap->Kremove({start, at});
    core_->pmap->Update(core_->pmap->Kernel());
    for (uint32_t i = 0; i < count; ++i) FreeFrame(pages[i]);
  }
}

Map* KernelMemory::Suballocate(Map* parent, uint64_t bytes, Vaddr fixed) {
  Map::EnterOptions options;
  options.at = fixed.value() != 0 ? fixed : parent->min();
  options.size = base::RoundPage(bytes);
  options.where = fixed.value() != 0 ? Map::Where::kFixed : Map::Where::kAnywhere;
  const Vaddr at = MUST(parent->Reserve(options), "there is room for a submap");
  const Range range{at, at + options.size};
  Submap* submap = submap_pool_.New(context_, range.start, range.end, core_->pmap->Kernel());
  CHECK(submap != nullptr);
  submaps_.PushBack(submap);
  MUST(parent->Submap(range, &submap->map), "the reservation spans exactly the submap");
  return &submap->map;
}

bool KernelMemory::IsEmpty(Range range) {
  for (Vaddr at = range.start; at < range.end; at = at + base::kPageSize) {
    if (core_->pmap->Extract(core_->pmap->Kernel(), at, nullptr)) return false;
  }
  MutexLock lock(&object_->mu);
  const Page* page =
      object_->Search(base::ToPageIndex(range.start - map_.min()), Object::Towards::kUp, 0);
  return page == nullptr || page->index >= base::ToPageIndex(range.end - map_.min());
}

bool KernelMemory::VaStarved() const {
  const uint64_t total = map_.max() - map_.min();
  return (total - map_.size_bytes()) < total / 10;
}

// ---- Access ----

Map* KernelMemory::MapOf(Vaddr at) {
  for (Submap* submap = submaps_.front(); submap != nullptr; submap = submaps_.Next(submap)) {
    if (submap->map.min() <= at && at < submap->map.max()) return &submap->map;
  }
  return &map_;
}

const MapEntry* KernelMemory::DebugEntryAt(Vaddr at) {
  for (MapEntry* entry = MapOf(at)->DebugFirst(); entry != nullptr; entry = Map::DebugNext(entry)) {
    if (entry->range().Contains(at)) return entry;
  }
  return nullptr;
}

Result<void, FaultError> KernelMemory::Copy(Vaddr at, unsigned char* buffer, uint64_t bytes,
                                            Access access) {
  while (bytes > 0) {
    const uint64_t left = base::kPageSize - at.Offset();
    const uint64_t some = bytes < left ? bytes : left;
    while (!CopyMapped(core_, pages_, MapOf(at), at, buffer, some, access)) TRY(Fault(at, access));
    at = at + some;
    buffer += some;
    bytes -= some;
  }
  return {};
}

bool KernelMemory::Accessible(Vaddr at, uint64_t bytes, Access access) {
  Range range;
  const uint64_t rounded = base::RoundPage(at.Offset() + bytes);
  if (rounded < bytes || !Range::FromSize(at.Trunc(), rounded, &range)) return false;
  if (!Range{map_.min(), map_.max()}.Contains(range)) return false;
  return MapOf(at)->CheckProt(range, base::ProtFor(access));
}

}  // namespace uvm
