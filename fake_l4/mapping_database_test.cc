// The database alone: a family of spaces, pages named by letters, one frame unless said otherwise.
#include "fake_l4/mapping_database.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class MappingDatabaseTest : public ::testing::Test {
 protected:
  MappingDatabaseTest() {
    for (int i = 0; i < 6; i++) tables_.push_back(std::make_unique<PageTable>(&leaves_));
  }
  ~MappingDatabaseTest() override {
    for (auto& t : tables_) t->Forget();
  }
  // Node of page `vpage` in space `s`; 0 when nothing is mapped.
  NodeIndex At(int s, uint64_t vpage = 0) {
    const Pte* pte = tables_[s]->Find(vpage);
    return pte == nullptr ? 0 : pte->node();
  }
  MapPageResult Map(NodeIndex source, int s, uint64_t vpage = 0, RightsBits rights = kRwx) {
    return db_.MapPage(source, *tables_[s], s, vpage, rights);
  }
  // sigma0 -> 1 -> 2 -> 3 -> 4, page 0 everywhere.
  void MakeChain() {
    ASSERT_EQ(Map(db_.Root(0), 1), MapPageResult::kMapped);
    for (int s = 2; s <= 4; s++) ASSERT_EQ(Map(At(s - 1), s), MapPageResult::kMapped);
  }
  void Touch(int s, RightsBits status) { tables_[s]->Find(0)->AddStatus(status); }
  // Rights of page 0 in spaces 1..4, as digits.
  std::string Rights() {
    std::string text;
    for (int s = 1; s <= 4; s++)
      text += static_cast<char>('0' + (At(s) == 0 ? 0 : db_.rights(At(s))));
    return text;
  }

  Profile profile_ = kAmd64Nx;
  LeafPool leaves_;
  MappingDatabase db_{kAmd64Nx, 16, 0};
  std::vector<std::unique_ptr<PageTable>> tables_;
};

TEST_F(MappingDatabaseTest, UnmapTakesTheWholeSubtreeToDepthFour) {
  MakeChain();
  EXPECT_EQ(Rights(), "7777");
  db_.Unmap(At(1), kRwx, Flush::kNo);
  EXPECT_EQ(Rights(), "7000");
  EXPECT_EQ(db_.live_nodes(), 1u);
}

TEST_F(MappingDatabaseTest, FlushTakesTheCallersPageToo) {
  MakeChain();
  db_.Unmap(At(2), kRwx, Flush::kYes);
  EXPECT_EQ(Rights(), "7000");
}

TEST_F(MappingDatabaseTest, RightsGoDownAllTheWay) {
  MakeChain();
  db_.Unmap(At(1), kW, Flush::kNo);
  EXPECT_EQ(Rights(), "7555");
  db_.Unmap(At(3), kX, Flush::kYes);
  EXPECT_EQ(Rights(), "7544");
  db_.Unmap(db_.Root(0), kX, Flush::kNo);
  EXPECT_EQ(Rights(), "6444");
}

TEST_F(MappingDatabaseTest, AMappingIsRestrictedToItsSource) {
  Map(db_.Root(0), 1, 0, kR | kX);
  Map(At(1), 2, 0, kRwx);
  EXPECT_EQ(db_.rights(At(2)), kR | kX);
  // Nothing in common: no mapping, and what is there stays.
  db_.Unmap(At(1), kX, Flush::kYes);
  Map(db_.Root(1), 3);
  const NodeIndex before = At(3);
  Map(At(1), 4, 0, kX);
  EXPECT_EQ(At(4), 0u);
  EXPECT_EQ(At(3), before);
}

TEST_F(MappingDatabaseTest, RightsThatCannotBeSeparatedComeAlong) {
  const MappingDatabase ia32(kIa32, 1, 0);
  EXPECT_EQ(kIa32.Normalise(kW), kRwx);
  EXPECT_EQ(kIa32.Normalise(kR), kR | kX);
  EXPECT_EQ(kAmd64Nx.Normalise(kW), kR | kW);
  EXPECT_EQ(kAmd64Nx.Normalise(0), 0);
  EXPECT_TRUE(kIa32.ExecuteImpliedByRead());
  EXPECT_FALSE(kAmd64Nx.ExecuteImpliedByRead());
}

TEST_F(MappingDatabaseTest, SameSourceExtends) {
  Map(db_.Root(0), 1);
  Map(At(1), 2, 0, kR);
  Map(At(2), 3, 0, kR);
  EXPECT_EQ(Map(At(1), 2, 0, kR | kW), MapPageResult::kExtended);
  EXPECT_EQ(Map(At(1), 2, 0, kR), MapPageResult::kExtended);  // never reduces
  EXPECT_EQ(Rights(), "7640");
}

TEST_F(MappingDatabaseTest, AnotherSourceOvermaps) {
  MakeChain();
  // The same frame, but from space 1 directly: space 3's old page goes with what hangs below it.
  EXPECT_EQ(Map(At(1), 3, 0, kR), MapPageResult::kMapped);
  EXPECT_EQ(Rights(), "7740");
  EXPECT_EQ(db_.node(At(3)).parent, At(1));
  // Another frame.
  EXPECT_EQ(Map(db_.Root(5), 3), MapPageResult::kMapped);
  EXPECT_EQ(db_.frame_number(At(3)), db_.frame_number(db_.Root(5)));
}

TEST_F(MappingDatabaseTest, OvermappingAnAncestorTakesTheSource) {
  MakeChain();
  // 3's page back onto 1's place: removing 1's page removes 3's, so there is nothing left to map.
  EXPECT_EQ(Map(At(3), 1), MapPageResult::kNothing);
  EXPECT_EQ(Rights(), "0000");
  EXPECT_EQ(db_.live_nodes(), 0u);
}

TEST_F(MappingDatabaseTest, OntoItselfNothingHappens) {
  MakeChain();
  EXPECT_EQ(Map(At(2), 2), MapPageResult::kNothing);
  EXPECT_EQ(Rights(), "7777");
}

TEST_F(MappingDatabaseTest, StatusIsCollectedOncePerOwner) {
  MakeChain();
  Touch(4, kR | kW);
  EXPECT_EQ(db_.Unmap(At(1), 0, Flush::kNo), kR | kW);
  EXPECT_EQ(db_.Unmap(At(1), 0, Flush::kNo), 0);        // 1 has been told
  EXPECT_EQ(db_.Unmap(At(3), 0, Flush::kNo), kR | kW);  // 3 has not
  EXPECT_EQ(db_.Unmap(At(3), 0, Flush::kNo), 0);
  EXPECT_EQ(db_.Unmap(At(4), 0, Flush::kNo), 0);         // nothing is derived from 4
  EXPECT_EQ(db_.Unmap(At(4), 0, Flush::kYes), kR | kW);  // its own access
  EXPECT_EQ(db_.Unmap(db_.Root(0), 0, Flush::kNo), kR | kW);
  EXPECT_EQ(Rights(), "7777");
}

TEST_F(MappingDatabaseTest, OwnAccessesCountOnlyWithFlush) {
  MakeChain();
  Touch(2, kR);
  EXPECT_EQ(db_.Unmap(At(2), 0, Flush::kNo), 0);
  EXPECT_EQ(db_.Unmap(At(2), 0, Flush::kYes), kR);
  EXPECT_EQ(db_.Unmap(At(1), 0, Flush::kNo), kR);  // passed on, though 2 has asked first
}

TEST_F(MappingDatabaseTest, StatusOfARemovedPageIsNotLost) {
  MakeChain();
  Touch(4, kR | kW);
  Touch(3, kX);
  db_.Remove(At(3));
  EXPECT_EQ(db_.Unmap(At(2), 0, Flush::kNo), kRwx);
  EXPECT_EQ(db_.Unmap(At(1), kRwx, Flush::kNo), kRwx);
}

TEST_F(MappingDatabaseTest, OutOfMappingMemory) {
  MappingDatabase small(kAmd64Nx, 16, 2);
  EXPECT_EQ(small.MapPage(small.Root(0), *tables_[1], 1, 0, kRwx), MapPageResult::kMapped);
  EXPECT_EQ(small.MapPage(small.Root(1), *tables_[1], 1, 1, kRwx), MapPageResult::kMapped);
  EXPECT_EQ(small.MapPage(small.Root(2), *tables_[1], 1, 2, kRwx), MapPageResult::kNoMemory);
  EXPECT_EQ(At(1, 2), 0u);
  small.Remove(At(1, 0));
  EXPECT_EQ(small.MapPage(small.Root(2), *tables_[1], 1, 2, kRwx), MapPageResult::kMapped);
  EXPECT_EQ(small.counters().refused, 1u);
}

TEST_F(MappingDatabaseTest, ALongChainNeedsNoDeepStack) {
  Map(db_.Root(0), 1, 0);
  for (uint64_t v = 1; v < 20000; v++) Map(At(1, v - 1), 1, v);
  EXPECT_EQ(db_.live_nodes(), 20000u);
  tables_[1]->Find(19999)->AddStatus(kW);
  EXPECT_EQ(db_.Unmap(db_.Root(0), kX, Flush::kNo), kW);
  EXPECT_EQ(db_.rights(At(1, 19999)), kR | kW);
  EXPECT_EQ(db_.Unmap(db_.Root(0), kRwx, Flush::kNo), 0);
  EXPECT_EQ(db_.live_nodes(), 0u);
}

// The rules of the manual, written as directly as possible: a page knows its parent by name, and
// everything is found by searching.
class Reference {
 public:
  using Name = std::pair<int, uint64_t>;  // space (0: sigma0), page
  struct Page {
    Name parent;
    uint64_t frame;
    RightsBits rights;
    RightsBits accessed = 0;  // by anyone at or below, not told this page's owner: own | below << 3
  };
  std::map<Name, Page> pages;
  RightsBits root_told[16] = {};

  bool Derives(Name page, Name ancestor) const {
    while (page.first != 0) {
      page = pages.at(page).parent;
      if (page == ancestor) return true;
    }
    return false;
  }
  std::vector<Name> Below(Name ancestor) const {
    std::vector<Name> result;
    for (const auto& [name, page] : pages) {
      if (Derives(name, ancestor)) result.push_back(name);
    }
    return result;
  }
  void Remove(Name name) {
    const std::vector<Name> below = Below(name);
    for (Name n : below) pages.erase(n);
    pages.erase(name);
  }
  void Map(Name source, Name target, RightsBits rights) {
    const bool root = source.first == 0;
    const RightsBits have = root ? RightsBits{kRwx} : pages.at(source).rights;
    const RightsBits effective = kAmd64Nx.Normalise(rights & have);
    if (effective == 0 || source == target) return;
    const uint64_t frame = root ? source.second : pages.at(source).frame;
    auto old = pages.find(target);
    if (old != pages.end()) {
      if (old->second.parent == source) {
        old->second.rights |= effective;
        return;
      }
      Remove(target);
      if (!root && !pages.contains(source)) return;
    }
    pages[target] = {source, frame, effective};
  }
  void Access(Name name, RightsBits bits) {
    pages.at(name).accessed |= bits;
    for (Name n = name; n.first != 0;) {
      n = pages.at(n).parent;
      if (n.first != 0) {
        pages.at(n).accessed |= bits << 3;
      } else {
        root_told[n.second] |= bits;
      }
    }
  }
  RightsBits Unmap(Name name, RightsBits revoke, bool flush) {
    RightsBits result;
    if (name.first == 0) {
      result = std::exchange(root_told[name.second], RightsBits{0});
      flush = false;
    } else {
      RightsBits& bits = pages.at(name).accessed;
      result = bits >> 3 | (flush ? bits & kRwx : 0);
      bits = flush ? 0 : bits & kRwx;
    }
    std::vector<Name> all = Below(name);
    if (flush) all.push_back(name);
    for (Name n : all) {
      Page& p = pages.at(n);
      p.rights = kAmd64Nx.Normalise(p.rights & ~revoke);
    }
    for (Name n : all) {
      if (pages.at(n).rights == 0) pages.erase(n);
    }
    return result;
  }
};

TEST_F(MappingDatabaseTest, AgreesWithTheReferenceOnRandomOperations) {
  base::Prng rng(20, "mapping_database_test");
  Reference reference;
  for (int step = 0; step < 30000; step++) {
    const int op = static_cast<int>(rng.Below(10));
    const Reference::Name source{static_cast<int>(rng.Below(6)), rng.Below(8)};
    const Reference::Name target{static_cast<int>(1 + rng.Below(5)), rng.Below(8)};
    const RightsBits rights = static_cast<RightsBits>(rng.Below(8));
    const bool root = source.first == 0;
    if (!root && !reference.pages.contains(source)) continue;
    const NodeIndex node = root ? db_.Root(source.second) : At(source.first, source.second);
    if (op < 5) {
      reference.Map(source, target, rights);
      Map(node, target.first, target.second, rights);
    } else if (op < 8) {
      if (root || rights == 0) continue;
      reference.Access(source, rights);
      tables_[source.first]->Find(source.second)->AddStatus(rights);
    } else {
      const bool flush = op == 9 && !root;
      ASSERT_EQ(db_.Unmap(node, rights, flush ? Flush::kYes : Flush::kNo),
                reference.Unmap(source, rights, flush))
          << step;
    }
    ASSERT_EQ(db_.live_nodes(), reference.pages.size()) << step;
    for (const auto& [name, page] : reference.pages) {
      const NodeIndex i = At(name.first, name.second);
      ASSERT_NE(i, 0u) << step;
      ASSERT_EQ(db_.rights(i), page.rights) << step;
      ASSERT_EQ(db_.frame_number(i), db_.frame_number(db_.Root(page.frame))) << step;
    }
  }
  EXPECT_GT(db_.counters().extended, 50u);
  EXPECT_GT(db_.counters().unmapped, 500u);
  EXPECT_GT(db_.counters().restricted, 50u);
}

}  // namespace
}  // namespace fake_l4
