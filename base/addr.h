// base/addr.h: addresses, page numbers and byte ranges as types that cannot be mixed up.
//
// WHAT     Vaddr is an address in some (simulated) address space, Paddr one in physical memory.
//          Both are 64 bits wide everywhere: a task's address width is a property of the task
//          (design D1), not of the build. PageIndex counts pages from some origin (an object, an
//          amap), PageCount is a length in pages. Range is half open.
// INVARIANTS  Arithmetic that could wrap exists only in a checked form (Range::FromSize);
//          everything else is for addresses already known to lie inside a map.
// SEE      facts/uvm.md 2.14 for how each call rounds its arguments.

#ifndef BASE_ADDR_H_
#define BASE_ADDR_H_

#include <compare>
#include <cstddef>
#include <cstdint>

namespace base {

// The one page size of the machine-independent side. Larger hardware pages are the pmap's private
// matter.
inline constexpr unsigned kPageShift = 12;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageShift;
inline constexpr uint64_t kPageMask = kPageSize - 1;

constexpr uint64_t TruncPage(uint64_t bytes) { return bytes & ~kPageMask; }
// Rounds up; wraps to 0 for the last partial page of the number space, as the calls of uvm.md 2.14
// do.
constexpr uint64_t RoundPage(uint64_t bytes) { return (bytes + kPageMask) & ~kPageMask; }
constexpr bool IsPageAligned(uint64_t bytes) { return (bytes & kPageMask) == 0; }

// A number with a unit. Tag makes distinct types of it; construction is explicit, comparison is by
// value.
template <typename Tag>
class Quantity {
 public:
  constexpr Quantity() = default;
  explicit constexpr Quantity(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  friend constexpr auto operator<=>(const Quantity&, const Quantity&) = default;
  friend constexpr bool operator==(const Quantity&, const Quantity&) = default;

 private:
  uint64_t value_ = 0;
};

using PageIndex = Quantity<struct PageIndexTag>;  // the n-th page of something
using PageCount = Quantity<struct PageCountTag>;  // a length in pages

constexpr PageIndex operator+(PageIndex index, PageCount count) {
  return PageIndex(index.value() + count.value());
}
constexpr PageCount operator-(PageIndex a, PageIndex b) { return PageCount(a.value() - b.value()); }
constexpr PageCount operator+(PageCount a, PageCount b) { return PageCount(a.value() + b.value()); }
constexpr PageCount operator-(PageCount a, PageCount b) { return PageCount(a.value() - b.value()); }
constexpr uint64_t ToBytes(PageCount count) { return count.value() << kPageShift; }
constexpr uint64_t ToBytes(PageIndex index) { return index.value() << kPageShift; }
constexpr PageCount ToPages(uint64_t bytes) { return PageCount(bytes >> kPageShift); }
constexpr PageIndex ToPageIndex(uint64_t bytes) { return PageIndex(bytes >> kPageShift); }

// An address: a Quantity that knows about pages and moves by byte counts.
template <typename Tag>
class Address : public Quantity<Tag> {
 public:
  using Quantity<Tag>::Quantity;
  constexpr Address Trunc() const { return Address(TruncPage(this->value())); }
  constexpr bool IsAligned() const { return IsPageAligned(this->value()); }
  constexpr uint64_t PageNumber() const { return this->value() >> kPageShift; }
  constexpr uint64_t Offset() const { return this->value() & kPageMask; }
  friend constexpr Address operator+(Address a, uint64_t bytes) {
    return Address(a.value() + bytes);
  }
  friend constexpr Address operator-(Address a, uint64_t bytes) {
    return Address(a.value() - bytes);
  }
  friend constexpr uint64_t operator-(Address a, Address b) { return a.value() - b.value(); }
};

using Vaddr = Address<struct VaddrTag>;
using Paddr = Address<struct PaddrTag>;

// [start, end), both in one address space. Empty when start == end.
struct Range {
  Vaddr start;
  Vaddr end;

  // Checked construction: false when start + size wraps around the number space.
  static constexpr bool FromSize(Vaddr start, uint64_t size, Range* out) {
    if (start.value() + size < start.value()) return false;
    *out = {start, start + size};
    return true;
  }
  constexpr uint64_t size() const { return end - start; }
  constexpr PageCount pages() const { return ToPages(size()); }
  constexpr bool empty() const { return start == end; }
  constexpr bool Contains(Vaddr va) const { return start <= va && va < end; }
  constexpr bool Contains(const Range& other) const {
    return start <= other.start && other.end <= end;
  }
  constexpr bool Overlaps(const Range& other) const {
    return start < other.end && other.start < end;
  }
  friend constexpr bool operator==(const Range&, const Range&) = default;
};

}  // namespace base

#endif  // BASE_ADDR_H_
