#include "fake_l4/fpage.h"

#include <algorithm>

#include "fake_l4/page_table.h"

namespace fake_l4 {

FpageValue DecodeFpage(uint64_t raw, const Profile& profile) {
  FpageValue f;
  f.rights = raw & kRwx;
  const unsigned s = raw >> 4 & 63;
  if (s == 1 || s >= profile.address_bits) {
    f.log2 = profile.address_bits;
  } else if (s >= kPageShift) {
    f.log2 = static_cast<uint8_t>(s);
    f.base = (raw & ~uint64_t{1023}) >> s << s;
  }
  return f;
}

FpageValue DecodeUnmapFpage(uint64_t raw, const Profile& profile, const Quirks& quirks) {
  const unsigned s = raw >> 4 & 63;
  if (quirks.small_unmap_rounds_up && s > 1 && s < kPageShift) {
    raw = (raw & ~uint64_t{0x3f0}) | kPageShift << 4;
  }
  return DecodeFpage(raw, profile);
}

MapPlace PlaceMapItem(const FpageValue& send, const FpageValue& window, uint64_t send_base) {
  MapPlace p;
  p.log2 = std::min(send.log2, window.log2);
  p.source = send.base;
  p.target = window.base;
  // The offset selects a part of whichever side is larger: bits of it between the two sizes.
  const uint8_t larger = std::max(send.log2, window.log2);
  const uint64_t offset =
      (larger == 64 ? ~uint64_t{0} : (uint64_t{1} << larger) - 1) & (send_base >> p.log2 << p.log2);
  (send.log2 > window.log2 ? p.source : p.target) += offset;
  return p;
}

}  // namespace fake_l4
