// fake_l4/fpage.h: fpages as values, and where a map item's pages come from and go to.
// SEE      facts/l4.md sections 4 and 4.1; X.2 manual: "Fpage", "MapItem".
#ifndef FAKE_L4_FPAGE_H_
#define FAKE_L4_FPAGE_H_

#include <cstdint>

#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"

namespace fake_l4 {

// What is done with the pages of a typed item.
enum class ItemKind : uint8_t { kMap, kGrant };

// [base, base + 2^log2) with rights. log2 0: nilpage, or one too small to hold a page.
struct FpageValue {
  uint64_t base = 0;
  uint8_t log2 = 0;
  RightsBits rights = 0;
  bool nil() const { return log2 == 0; }
};

// An fpage word as `profile` understands it. A base that is not aligned to the size is aligned
// down; a size of the address space or more is the complete space.
FpageValue DecodeFpage(uint64_t raw, const Profile& profile);
// The same as an argument of Unmap.
FpageValue DecodeUnmapFpage(uint64_t raw, const Profile& profile, const Quirks& quirks);

// 2^log2 bytes from `source` in the sender's space to `target` in the receiver's.
struct MapPlace {
  uint64_t source = 0;
  uint64_t target = 0;
  uint8_t log2 = 0;
};

// REQUIRES: neither is nil.
MapPlace PlaceMapItem(const FpageValue& send, const FpageValue& window, uint64_t send_base);

}  // namespace fake_l4

#endif  // FAKE_L4_FPAGE_H_
