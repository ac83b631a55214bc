// model/space.h: one task's address space as a sorted list of regions.
//
// WHAT     A Region is a run of pages with equal attributes whose contents come from one Layer over
//          one base. All operations take page-aligned ranges inside the bounds and cannot fail;
//          whether they may be done is asked first (AllMapped, NoneMapped, MaxAllows). Cost depends
//          on regions and owned pages, never on the size of a range.
//
//              region      [0x1000,0x5000) rw-     layer: page 2 = "B"     base: file libc.so.6
//              from page 7 page 0x3000 owned, reads "B"        page 0x4000 untouched, reads page 10
//              of the file
//
// INVARIANTS  Regions are sorted, disjoint, not empty and inside the bounds; neighbours that could
//          be one are one. Two regions that refer to the same pages of a layer, in one space
//          or in two, both say `shared`.
// SEE      design.md D8.

#ifndef MODEL_SPACE_H_
#define MODEL_SPACE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "model/layer.h"
#include "model/objects.h"

namespace model {

struct Attributes {
  base::Prot prot = base::kProtReadWrite;
  base::Prot max_prot = base::kProtAll;
  base::Inherit inherit = base::Inherit::kCopy;
  base::Advice advice = base::Advice::kNormal;
  bool shared = false;
  bool wired = false;
  friend bool operator==(const Attributes&, const Attributes&) = default;
};

struct Region {
  uint64_t start = 0;
  uint64_t end = 0;
  Attributes attributes;
  std::shared_ptr<Layer> layer;  // null: the pages of the file itself
  uint64_t layer_page = 0;       // number of the first page in the layer
  uint64_t file_key = 0;         // the base, a file or an object (objects.h); 0 = zeros
  uint64_t file_page = 0;        // number of the first page in the file

  uint64_t LayerPage(uint64_t va) const { return layer_page + ((va - start) >> base::kPageShift); }
  // Page numbers in files wrap as byte offsets do.
  uint64_t FilePage(uint64_t va) const {
    return (file_page + ((va - start) >> base::kPageShift)) & (~uint64_t{0} >> base::kPageShift);
  }
};

// What stands behind one page of a region.
struct PageSource {
  Slot* slot = nullptr;                 // owned, unless its value says otherwise
  const FilePage* file_page = nullptr;  // stored-to page of the base
  uint64_t file_key = 0;
  uint64_t file_offset = 0;
  bool missing = false;  // the base has no page here; what would be read of it is zeros

  // Whether there is anything to read.
  Presence presence() const {
    if (!missing) return Presence::kThere;
    return slot == nullptr ? Presence::kAbsent : slot->presence();
  }
  // The contents without the slot.
  PageValue Base() const;
  bool BaseUnknown() const { return file_page != nullptr && file_page->unknown; }
  // Nothing can be said about the contents.
  bool Unknown() const {
    return slot == nullptr ? BaseUnknown()
                           : slot->unknown() || (BaseUnknown() && slot->NeedsBase());
  }
  // Copies bytes of `value`, or of the base when it is null.
  void Load(const PageValue* value, uint64_t start, uint64_t size, unsigned char* out) const;
  // Whether that would give these bytes.
  bool Holds(const PageValue* value, uint64_t start, uint64_t size,
             const unsigned char* bytes) const;
};

class Space {
 public:
  // An empty space of addresses [min, max). REQUIRES: both page aligned, min < max.
  Space(uint64_t min, uint64_t max) : min_(min), max_(max) {}

  uint64_t min() const { return min_; }
  uint64_t max() const { return max_; }
  const std::vector<Region>& regions() const { return regions_; }

  // --- Questions. Ranges may be empty ---
  // The region that `va` lies in, or null.
  const Region* Find(uint64_t va) const;
  // The same, or the next higher one.
  const Region* FindFrom(uint64_t va) const;
  bool AllMapped(uint64_t start, uint64_t end) const;
  bool NoneMapped(uint64_t start, uint64_t end) const;
  // True when no mapped page of the range has a maximum protection that lacks a right of `prot`.
  bool MaxAllows(uint64_t start, uint64_t end, base::Prot prot) const;
  // Inside the bounds; wrap-around is outside.
  bool Contains(uint64_t start, uint64_t size) const {
    return start >= min_ && start <= max_ && size <= max_ - start;
  }
  // The lowest free range of `size` bytes at an address without any bit of `mask`. False when there
  // is none.
  bool LowestHole(uint64_t size, uint64_t mask, uint64_t* start) const;
  bool LowestHole(uint64_t size, uint64_t* start) const { return LowestHole(size, 0, start); }
  // The same at or above `from`.
  bool HoleFrom(uint64_t from, uint64_t size, uint64_t mask, uint64_t* start) const;
  // The `index`-th free range, modulo their number; false when the space is full.
  bool NthHole(uint64_t index, base::Range* out) const;

  // --- Changes ---
  // Replaces whatever is in [region.start, region.end).
  void Map(Region region);
  void Unmap(uint64_t start, uint64_t end);
  void SetProt(uint64_t start, uint64_t end, base::Prot prot);
  // Lowers the maximum and takes the same rights from the current protection.
  void SetMaxProt(uint64_t start, uint64_t end, base::Prot max_prot);
  void SetInherit(uint64_t start, uint64_t end, base::Inherit inherit);
  void SetAdvice(uint64_t start, uint64_t end, base::Advice advice);
  // mlock, munlock. Pages of a file's private region that could ever be written are owned from then
  // on: wiring fetches them for every access that their maximum protection permits.
  void Wire(uint64_t start, uint64_t end, const FileTable& files);
  void Unwire(uint64_t start, uint64_t end);
  // What wiring does to contents, without it.
  void Fetch(uint64_t start, uint64_t end, const FileTable& files);
  // Pages that wiring would own from then on may be owned: it failed some way up.
  void MayWire(uint64_t start, uint64_t end, const FileTable& files);
  // Every page of the range could be had.
  void DecideThere(uint64_t start, uint64_t end, const FileTable& files);
  // MADV_FREE: owned pages may be owned no more.
  void GiveUp(uint64_t start, uint64_t end);
  // Owned pages of private regions are owned no more.
  void Discard(uint64_t start, uint64_t end);
  // Maps [end, end + size) like the page before `end`, with its file continued and nothing owned.
  // REQUIRES: that page is mapped, the range is free.
  void Grow(uint64_t end, uint64_t size);
  // mremap: pages of [start, start + min(size, new_size)) with all they are move to `to`, the old
  // range is unmapped; when new_size is larger, the rest is as Grow makes it. REQUIRES: [to, to +
  // new_size) is free. What moved is not wired.
  void Move(uint64_t start, uint64_t size, uint64_t to, uint64_t new_size);
  // mremap with MAP_REMAPDUP: [to, to + new_size) shows the same pages, the old range stays.
  void Duplicate(uint64_t start, uint64_t size, uint64_t to, uint64_t new_size);
  void Clear() {
    regions_.clear();
    wires_future_ = false;
  }
  // mlockall(MCL_FUTURE): what is mapped from now on is wired.
  bool wires_future() const { return wires_future_; }
  void WireFuture() { wires_future_ = true; }
  void ForgetFuture() { wires_future_ = false; }
  uint64_t WiredPages() const;
  // The pages of [start, end), all mapped, as they are now; and what was copied in place of the
  // pages from `start` on, all mapped, attributes kept. Sharers see it; private memory forgets its
  // file.
  PageCopies Copy(uint64_t start, uint64_t end, const FileTable& files) const;
  void Overwrite(uint64_t start, PageCopies copies, FileTable* files);

  // The space of a forked child, by each region's inheritance. Marks what is shared from now on,
  // here too.
  Space Fork();

  // --- Contents. REQUIRES for all: `region` is of this space, `va` lies in it ---
  static PageSource Look(const Region& region, uint64_t va, const FileTable& files) {
    return LookAt(region, va, FileOf(region, files));
  }
  // The same in two steps, for who looks at several pages of a region.
  static FileView FileOf(const Region& region, const FileTable& files) {
    return region.file_key == 0 ? FileView() : files.ViewOf(region.file_key);
  }
  static PageSource LookAt(const Region& region, uint64_t va, const FileView& file);
  // Stores to bytes of one page. REQUIRES: [va, va + size) lies in one page.
  static void Store(const Region& region, uint64_t va, uint64_t size, uint64_t value,
                    FileTable* files);
  // The same with bytes from anywhere; null: bytes that nobody knows.
  static void StoreBytes(const Region& region, uint64_t va, uint64_t size,
                         const unsigned char* bytes, FileTable* files);
  // Page number `page` of a file, and a store to [start, start + size) of it.
  static PageSource LookInFile(uint64_t key, uint64_t page, const FileTable& files) {
    return LookInFile(key, page, files.ViewOf(key));
  }
  static PageSource LookInFile(uint64_t key, uint64_t page, const FileView& file);
  static void StoreInFile(uint64_t key, uint64_t page, uint64_t start, uint64_t size,
                          const unsigned char* bytes, FileTable* files);
  // A page turned out to be there, or not to be.
  static void Decide(const Region& region, uint64_t va, Presence found, const FileTable& files);
  // A read of a wired page may have to fetch it again, as wiring does (see Wire), or may not.
  static void MayBind(const Region& region, uint64_t va, const FileTable& files);

 private:
  size_t IndexFrom(uint64_t va) const;  // of the first region that ends above va
  size_t Split(uint64_t va);  // makes va a boundary; index of the first region at or above it
  void Join(size_t index);    // region index with index + 1, when they could be one
  template <typename Change>
  void Apply(uint64_t start, uint64_t end, const Change& change);
  // The pieces of regions inside [start, end).
  std::vector<Region> Slice(uint64_t start, uint64_t end) const;
  static void BindPages(const Region& region, const FileTable& files);
  static void BindMaybe(const Region& region, uint64_t va, const FileTable& files);
  void Place(std::vector<Region> pieces, uint64_t start, uint64_t size, uint64_t to,
             uint64_t new_size, bool tail_shared);
  static Region Continuation(const Region& last, uint64_t end, uint64_t size);
  static std::shared_ptr<Layer> CopyPages(const Region& region, std::shared_ptr<Layer> into);
  void ShareRepeats(const std::vector<Region>& shown);

  uint64_t min_;
  uint64_t max_;
  std::vector<Region> regions_;
  bool wires_future_ = false;
};

}  // namespace model

#endif  // MODEL_SPACE_H_
