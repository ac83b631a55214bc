// Right after a mapping was made, no two neighbours are left apart that the rules of facts/uvm.md
// 2.3 make one. It is not a rule of uvm/invariants.h: what protects, advises, unwires or unmaps
// leaves entries as they were cut, as in the original, so it holds at insertion only
// (docs/INVARIANTS.md).

#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPages = 24;

// The rule as the facts say it, anew.
bool Compatible(const MapEntry& low, const MapEntry& high) {
  if (low.end != high.start || low.no_merge || high.no_merge) return false;
  if (low.submap != nullptr || high.submap != nullptr || low.bare != high.bare) return false;
  if (low.wired_count != 0 || high.wired_count != 0) return false;
  if (low.object != high.object) return false;
  if (low.object != nullptr && low.offset + low.range().size() != high.offset) return false;
  return low.prot == high.prot && low.max_prot == high.max_prot && low.inherit == high.inherit &&
         low.advice == high.advice && low.shared == high.shared &&
         low.copy_on_write == high.copy_on_write && low.needs_copy == high.needs_copy;
}

// Amaps are never joined, and one that others refer to does not grow.
bool AmapsForbid(const MapEntry& low, const MapEntry& high) {
  const Amap* one = low.aref.amap;
  const Amap* other = high.aref.amap;
  if (one != nullptr && other != nullptr) return true;
  const Amap* amap = one != nullptr ? one : other;
  return amap != nullptr && amap->refs != 1;
}

class MapMergePropTest : public ::testing::Test {
 protected:
  // What the pairs at the edges of a mapping of [first, +count) were.
  void CheckEdges(World* world, const Space& space, uint64_t first, uint64_t count) {
    EXPECT_EQ(world->EntryAt(space, first), world->EntryAt(space, first + count - 1));
    for (uint64_t edge : {first, first + count}) {
      if (edge == 0 || edge == kPages) continue;
      const MapEntry* low = world->EntryAt(space, edge - 1);
      const MapEntry* high = world->EntryAt(space, edge);
      if (low == nullptr || high == nullptr) continue;
      if (low == high) {
        ++joined_;
      } else if (Compatible(*low, *high)) {
        EXPECT_TRUE(AmapsForbid(*low, *high))
            << "left apart at page " << edge << ": " << world->Layout(space);
        ++forbidden_;
      }
    }
  }
  static MapOptions RandomMapping(base::Prng* prng, Object* file) {
    MapOptions options;
    options.at = prng->Below(kPages);
    options.pages = 1 + prng->Below(5);
    if (options.at + options.pages > kPages) options.pages = kPages - options.at;
    if (prng->Below(4) == 0) options.prot = base::kProtRead;
    if (prng->Below(3) == 0) options.sharing = Sharing::kShared;
    if (prng->Below(4) == 0) options.flags = kEnterOverlay;
    if (prng->Below(3) == 0) {
      options.file = file;
      options.file_page = options.at + (prng->Below(5) == 0 ? 1 : 0);
    }
    return options;
  }
  static void DisturbOnce(base::Prng* prng, const Space& space) {
    const uint64_t at = prng->Below(kPages - 3);
    const uint64_t count = 1 + prng->Below(3);
    switch (prng->Below(7)) {
      case 0:
        space.Unmap(at, count);
        break;
      case 1:
        space.TryProtect(at, count, base::kProtRead);
        break;
      case 2:
        space.TryProtect(at, count, base::kProtReadWrite);
        break;
      case 3:
        space.TryWire(at, 1);
        break;
      case 4:
        space.TryUnwire(at, 1);
        break;
      case 5:
        space.Fork().Exit();  // leaves amaps behind that owe a copy and have one referer
        break;
      case 6:
        space.Touch(at, Access::kWrite);
        break;
    }
  }

  uint64_t joined_ = 0;
  uint64_t forbidden_ = 0;
};

TEST_F(MapMergePropTest, NothingIsLeftApartAtInsertionThatCouldBeOne) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    World world(512);
    base::Prng prng(seed, "map_merge");
    Object* file = world.File(7);
    Space space = world.NewSpace(std::string(kPages, '.'));
    std::vector<Space> children;
    for (int step = 0; step < 250 && !HasFailure(); ++step) {
      for (uint64_t more = prng.Below(3); more > 0; --more) DisturbOnce(&prng, space);
      if (prng.Below(12) == 0) children.push_back(space.Fork());
      if (children.size() > 2) {
        children.front().Exit();
        children.erase(children.begin());
      }
      const MapOptions options = RandomMapping(&prng, file);
      // Not kFixedReplace: what it replaces refers to its amap until the map is unlocked.
      space.Unmap(options.at, options.pages);
      space.Map(options);
      CheckEdges(&world, space, options.at, options.pages);
    }
    EXPECT_EQ(world.TearDownAndFindLeaks(), "") << "seed " << seed;
  }
  EXPECT_GT(joined_, 100u);
  EXPECT_GT(forbidden_, 20u);
}

}  // namespace
}  // namespace uvm::testing
