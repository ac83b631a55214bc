#include "fake_l4/fpage.h"

#include "base/prng.h"
#include "fake_l4/profile.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

// ---- The arithmetic of send base and window ----

struct PlaceCase {
  const char* why;
  uint64_t send_base_address;  // of the send fpage
  unsigned send_log2;
  uint64_t window_base;
  unsigned window_log2;  // 1: complete
  uint64_t send_base;    // the hot spot
  uint64_t source, target;
  unsigned log2;
};

constexpr PlaceCase kPlaces[] = {
    {"equal sizes: the send base does not matter", 0x10000, 16, 0x40000, 16, 0xabcde000, 0x10000,
     0x40000, 16},
    {"small into large: the base picks the place", 0x5000, 12, 0x40000, 16, 0x3000, 0x5000, 0x43000,
     12},
    {"bits of the base above the window are ignored", 0x5000, 12, 0x40000, 16, 0xf3000, 0x5000,
     0x43000, 12},
    {"bits below the fpage are rounded down", 0x8000, 13, 0x40000, 16, 0x3000, 0x8000, 0x42000, 13},
    {"large into small: the base picks the part", 0x100000, 16, 0x4000, 12, 0x7000, 0x107000,
     0x4000, 12},
    {"large into small, base reduced", 0x100000, 16, 0x8000, 13, 0x97000, 0x106000, 0x8000, 13},
    {"complete window: the base is the address", 0x5000, 12, 0, 1, 0x123456000, 0x5000, 0x123456000,
     12},
    {"complete send fpage: the base is the source", 0, 1, 0x9000, 12, 0x77000, 0x77000, 0x9000, 12},
    {"both complete", 0, 1, 0, 1, 0x77000, 0, 0, 47},
};

TEST(PlaceMapItemTest, Table) {
  for (const PlaceCase& c : kPlaces) {
    const FpageValue send = DecodeFpage(c.send_base_address | c.send_log2 << 4 | 7, kAmd64Nx);
    const FpageValue window = DecodeFpage(c.window_base | c.window_log2 << 4, kAmd64Nx);
    const MapPlace p = PlaceMapItem(send, window, c.send_base);
    EXPECT_EQ(p.source, c.source) << c.why;
    EXPECT_EQ(p.target, c.target) << c.why;
    EXPECT_EQ(p.log2, c.log2) << c.why;
  }
}

// The formulas of facts/l4.md section 4.1, bit by bit, on random words; a third of the fpages are
// complete.
TEST(PlaceMapItemTest, RandomWords) {
  base::Prng prng(1, "hot spots");
  const auto bits = [](unsigned from, unsigned end) {
    uint64_t mask = 0;
    for (unsigned b = from; b < end; b++) mask |= uint64_t{1} << b;
    return mask;
  };
  for (const Profile* profile : kAllProfiles) {
    const unsigned all = profile->address_bits;
    for (int i = 0; i < 100000; i++) {
      unsigned log2[2];
      uint64_t raw[2], base[2];
      for (int k = 0; k < 2; k++) {
        log2[k] = prng.Below(3) == 0 ? all : 12 + static_cast<unsigned>(prng.Below(all - 12));
        const uint64_t address = prng.Next() & bits(10, all);
        raw[k] = address | (log2[k] == all ? 1 : log2[k]) << 4 | kRwx;
        base[k] = log2[k] == all ? 0 : address & bits(log2[k], 64);
      }
      const uint64_t hot_spot = prng.Next();
      const MapPlace p =
          PlaceMapItem(DecodeFpage(raw[0], *profile), DecodeFpage(raw[1], *profile), hot_spot);
      const unsigned s = log2[0], r = log2[1];
      EXPECT_EQ(p.log2, s < r ? s : r);
      EXPECT_EQ(p.source, base[0] + (s > r ? hot_spot & bits(r, s) : 0));
      EXPECT_EQ(p.target, base[1] + (s < r ? hot_spot & bits(s, r) : 0));
    }
  }
}

TEST(DecodeFpageTest, OddOnes) {
  EXPECT_TRUE(DecodeFpage(0, kAmd64Nx).nil());
  EXPECT_TRUE(DecodeFpage(0x4000 | 11 << 4 | 7, kAmd64Nx).nil()) << "smaller than a page";
  EXPECT_EQ(DecodeFpage(0x5000 | 13 << 4, kAmd64Nx).base, 0x4000u) << "base aligned down";
  EXPECT_EQ(DecodeFpage(0x10, kIa32).log2, 32);
  EXPECT_EQ(DecodeFpage(60 << 4, kIa32).log2, 32) << "larger than the space: the space";
}

}  // namespace
}  // namespace fake_l4
