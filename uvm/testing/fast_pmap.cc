#include "uvm/testing/fast_pmap.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "uvm/testing/host_pages.h"

namespace uvm {

// Cells of the lowest level hold a frame's address with flags in the low bits, cells of the others
// the address of a table; 0 is nothing.
class Pmap {
 public:
  static constexpr int kCells = 1 << testing::FastPmap::kLevelBits;
  struct Table {
    uint64_t cells[kCells] = {};
  };

  Pmap() = default;
  ~Pmap() { Free(&root, testing::FastPmap::kLevels - 1); }
  Pmap(const Pmap&) = delete;
  Pmap& operator=(const Pmap&) = delete;

  static int IndexAt(uint64_t va, int level) {
    return static_cast<int>(va >> (base::kPageShift +
                                   static_cast<unsigned>(level * testing::FastPmap::kLevelBits))) &
           (kCells - 1);
  }
  static Table* TableAt(uint64_t cell) { return reinterpret_cast<Table*>(cell); }

  // The cell of `va`, or null when its tables do not exist.
  uint64_t* Find(uint64_t va) {
    Table* table = &root;
    for (int level = testing::FastPmap::kLevels - 1; level > 0; --level) {
      const uint64_t cell = table->cells[IndexAt(va, level)];
      if (cell == 0) return nullptr;
      table = TableAt(cell);
    }
    return &table->cells[IndexAt(va, 0)];
  }
  uint64_t* FindOrMake(uint64_t va) {
    Table* table = &root;
    for (int level = testing::FastPmap::kLevels - 1; level > 0; --level) {
      uint64_t& cell = table->cells[IndexAt(va, level)];
      if (cell == 0) cell = reinterpret_cast<uint64_t>(new Table);
      table = TableAt(cell);
    }
    return &table->cells[IndexAt(va, 0)];
  }
  // visit(va, cells, count) for every run of cells of one lowest table in [start, end), until it
  // returns false.
  template <typename F>
  void ForEachRun(uint64_t start, uint64_t end, F&& visit) {
    while (start < end) {
      Table* table = &root;
      int level = testing::FastPmap::kLevels - 1;
      for (; level > 0; --level) {
        const uint64_t cell = table->cells[IndexAt(start, level)];
        if (cell == 0) break;
        table = TableAt(cell);
      }
      // What the missing table, or this lowest one, is about.
      const int covered = std::max(level, 1);
      const uint64_t span = base::kPageSize
                            << static_cast<unsigned>(covered * testing::FastPmap::kLevelBits);
      const uint64_t next = std::min((start & ~(span - 1)) + span, end);
      if (level == 0) {
        uint64_t* const cells = &table->cells[IndexAt(start, 0)];
        if (!visit(start, cells, (next - start + base::kPageMask) >> base::kPageShift)) return;
      }
      start = next;
    }
  }
  // visit(va, cell) for every cell in use in [start, end), until it returns false.
  template <typename F>
  void ForEach(uint64_t start, uint64_t end, F&& visit) {
    ForEachRun(start, end, [&visit](uint64_t va, uint64_t* cells, uint64_t count) {
      for (uint64_t i = 0; i < count; ++i, va += base::kPageSize) {
        if (cells[i] != 0 && !visit(va, &cells[i])) return false;
      }
      return true;
    });
  }

  uint32_t refs = 1;
  uint64_t resident = 0;
  uint64_t wired = 0;
  Table root;

 private:
  static void Free(Table* table, int level) {
    if (level == 0) return;
    for (uint64_t cell : table->cells) {
      if (cell == 0) continue;
      Free(TableAt(cell), level - 1);
      delete TableAt(cell);
    }
  }
};

namespace testing {
namespace {

using base::Access;
using base::Paddr;
using base::PageCount;
using base::Prot;
using base::Range;
using base::Vaddr;

constexpr uint64_t kProtBits = 7;
constexpr uint64_t kPresent = 8;
constexpr uint64_t kWired = 16;
constexpr uint64_t kUnmanaged = 32;  // by KenterPa, or of a frame of no segment
constexpr uint64_t kTop = uint64_t{1} << 48;

Paddr FrameOf(uint64_t cell) { return Paddr(cell & ~base::kPageMask); }
Prot ProtOf(uint64_t cell) { return Prot(static_cast<uint8_t>(cell & kProtBits)); }

}  // namespace

FastPmap::FastPmap(uint64_t frames)
    : frames_(frames + kDeviceFrames), kernel_(std::make_unique<Pmap>()) {
  const size_t bytes = frames_.size() * base::kPageSize;
  memory_ = AllocateLargePages(bytes);
  std::memset(memory_, 0xa5, bytes);
}

FastPmap::~FastPmap() {
  for (Pmap* pmap : pmaps_) delete pmap;
  std::free(memory_);
}

PhysicalSegment FastPmap::segment(uint32_t) const {
  return {Paddr(kFirstFrame), PageCount(frames())};
}

Paddr FastPmap::device_frame(uint64_t index) const {
  return Paddr(kFirstFrame) + (frames() + index) * base::kPageSize;
}

unsigned char* FastPmap::Translate(Pmap* pmap, Vaddr va, Access access) {
  const uint64_t* cell = pmap->Find(va.value());
  if (cell == nullptr || *cell == 0) return nullptr;
  if (!base::ProtFor(access).IsSubsetOf(ProtOf(*cell))) return nullptr;
  if ((*cell & kUnmanaged) == 0) {
    Frame& frame = FrameAt(FrameOf(*cell));
    frame.referenced = true;
    if (access == Access::kWrite) frame.modified = true;
  }
  return HomePointer(FrameOf(*cell)) + va.Offset();
}

Vaddr FastPmap::GrowKernel(Vaddr va) {
  CHECK(va <= kKernelSpace.end);
  grown_ = std::max(grown_, va);
  return grown_;
}

base::Result<Pmap*, PmapError> FastPmap::Create() {
  pmaps_.push_back(new Pmap);
  return pmaps_.back();
}

void FastPmap::Reference(Pmap* pmap) { ++pmap->refs; }

void FastPmap::Destroy(Pmap* pmap) {
  CHECK(pmap != kernel_.get());
  if (--pmap->refs > 0) return;
  CHECK(pmap->resident == 0);
  pmaps_.erase(std::find(pmaps_.begin(), pmaps_.end(), pmap));
  delete pmap;
}

void FastPmap::AddPlace(Paddr pa, Pmap* pmap, uint64_t va) {
  highest_mapped_ = std::max(highest_mapped_, IndexOf(pa));
  Place& first = FrameAt(pa).first;
  if (first.pmap == nullptr) {
    first.pmap = pmap;
    first.va = va;
    return;
  }
  if (free_places_ == nullptr) {
    constexpr size_t kChunk = 1024;
    place_chunks_.push_back(std::make_unique<Place[]>(kChunk));
    for (size_t i = 0; i < kChunk; ++i) {
      place_chunks_.back()[i].next = std::exchange(free_places_, &place_chunks_.back()[i]);
    }
  }
  Place* place = std::exchange(free_places_, free_places_->next);
  *place = {pmap, va, std::exchange(first.next, place)};
}

void FastPmap::TakePlace(Paddr pa, Pmap* pmap, uint64_t va) {
  Place& first = FrameAt(pa).first;
  Place* gone = nullptr;
  if (first.pmap == pmap && first.va == va) {
    gone = first.next;
    if (gone == nullptr) {
      first.pmap = nullptr;
      return;
    }
    first = *gone;
  } else {
    Place** link = &first.next;
    while ((*link)->pmap != pmap || (*link)->va != va) link = &(*link)->next;
    gone = *link;
    *link = gone->next;
  }
  gone->next = std::exchange(free_places_, gone);
}

void FastPmap::Drop(Pmap* pmap, uint64_t va, uint64_t* cell) {
  if ((*cell & kUnmanaged) == 0) TakePlace(FrameOf(*cell), pmap, va);
  if ((*cell & kWired) != 0) --pmap->wired;
  --pmap->resident;
  *cell = 0;
}

base::Result<void, PmapError> FastPmap::Enter(Pmap* pmap, Vaddr va, Paddr pa, Prot prot,
                                              const EnterFlags& flags) {
  ++calls_.enter;
  uint64_t* cell = pmap->FindOrMake(va.value());
  const bool same_frame = *cell != 0 && FrameOf(*cell) == pa;
  if (*cell != 0 && !same_frame) Drop(pmap, va.value(), cell);
  const bool managed = IsManaged(pa);
  if (same_frame) {
    if ((*cell & kWired) != 0) --pmap->wired;
  } else {
    ++pmap->resident;
    if (managed) AddPlace(pa, pmap, va.value());
  }
  *cell = pa.value() | prot.bits() | kPresent | (managed ? 0 : kUnmanaged);
  if (flags.wired == Wired::kYes) {
    *cell |= kWired;
    ++pmap->wired;
  }
  return {};
}

void FastPmap::Remove(Pmap* pmap, Range range) {
  ++calls_.remove;
  pmap->ForEach(range.start.value(), range.end.value(), [&](uint64_t va, uint64_t* cell) {
    Drop(pmap, va, cell);
    ++calls_.removed_pages;
    return true;
  });
}

bool FastPmap::RemoveAll(Pmap* pmap) {
  ++calls_.remove;
  pmap->ForEach(0, kTop, [&](uint64_t va, uint64_t* cell) {
    Drop(pmap, va, cell);
    ++calls_.removed_pages;
    return true;
  });
  return true;
}

void FastPmap::KenterPa(Vaddr va, Paddr pa, Prot prot, CacheMode) {
  CHECK(va >= kKernelSpace.start && va < grown_);
  uint64_t* cell = kernel_->FindOrMake(va.value());
  CHECK(*cell == 0);
  *cell = pa.value() | prot.bits() | kPresent | kWired | kUnmanaged;
  ++kernel_->resident;
  ++kernel_->wired;
}

void FastPmap::Kremove(Range range) {
  kernel_->ForEach(range.start.value(), range.end.value(), [&](uint64_t va, uint64_t* cell) {
    if ((*cell & kUnmanaged) != 0) Drop(kernel_.get(), va, cell);
    return true;
  });
}

void FastPmap::Protect(Pmap* pmap, Range range, Prot prot) {
  if (!prot.CanRead()) return Remove(pmap, range);
  ++calls_.protect;
  const uint64_t keep = ~kProtBits | prot.bits();
  uint64_t lowered = 0;
  pmap->ForEachRun(range.start.value(), range.end.value(),
                   [&lowered, keep](uint64_t, uint64_t* cells, uint64_t count) {
                     for (uint64_t i = 0; i < count; ++i) {
                       lowered += (cells[i] & ~keep) != 0 ? 1 : 0;
                       cells[i] &= keep;
                     }
                     return true;
                   });
  calls_.protected_pages += lowered;
}

void FastPmap::Unwire(Pmap* pmap, Vaddr va) {
  uint64_t* cell = pmap->Find(va.value());
  CHECK(cell != nullptr && *cell != 0);
  if ((*cell & kWired) != 0) --pmap->wired;
  *cell &= ~kWired;
}

bool FastPmap::Extract(Pmap* pmap, Vaddr va, Paddr* pa) {
  const uint64_t* cell = pmap->Find(va.value());
  if (cell == nullptr || *cell == 0) return false;
  if (pa != nullptr) *pa = FrameOf(*cell) + va.Offset();
  return true;
}

void FastPmap::PageProtect(Paddr pa, Prot prot) {
  ++calls_.page_protect;
  CHECK(IsManaged(pa));
  Frame& frame = FrameAt(pa);
  if (!prot.CanRead()) {
    while (frame.first.pmap != nullptr) {
      Pmap* pmap = frame.first.pmap;
      Drop(pmap, frame.first.va, pmap->Find(frame.first.va));
      ++calls_.removed_pages;
    }
    return;
  }
  if (frame.first.pmap == nullptr) return;
  const uint64_t keep = ~kProtBits | prot.bits();
  for (Place* place = &frame.first; place != nullptr; place = place->next) {
    uint64_t* cell = place->pmap->Find(place->va);
    if ((*cell & ~keep) != 0) ++calls_.protected_pages;
    *cell &= keep;
  }
}

bool FastPmap::ClearModify(Paddr pa) { return std::exchange(FrameAt(pa).modified, false); }

bool FastPmap::ClearReference(Paddr pa) { return std::exchange(FrameAt(pa).referenced, false); }

void FastPmap::Expect(Paddr pa, base::Access access) {
  base::ExpectPageBytes(HomePointer(pa), access, Stores());
}

void FastPmap::ZeroPage(Paddr pa) { base::ZeroPageBytes(HomePointer(pa), Stores()); }

void FastPmap::CopyPage(Paddr from, Paddr to) {
  base::CopyPageBytes(HomePointer(from), HomePointer(to), Stores());
}

PageCount FastPmap::ResidentCount(const Pmap* pmap) const { return PageCount(pmap->resident); }

PageCount FastPmap::WiredCount(const Pmap* pmap) const { return PageCount(pmap->wired); }

bool FastPmap::PeekNext(const Pmap* pmap, Vaddr from, Mapping* out) const {
  bool found = false;
  const_cast<Pmap*>(pmap)->ForEach(from.value(), kTop, [&](uint64_t va, uint64_t* cell) {
    *out = {Vaddr(va), FrameOf(*cell), ProtOf(*cell),
            (*cell & kWired) != 0 ? uvm::Wired::kYes : uvm::Wired::kNo};
    found = true;
    return false;
  });
  return found;
}

}  // namespace testing
}  // namespace uvm
