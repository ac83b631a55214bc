// Every sequence of up to three operations on a small space and its forks, against what each page
// must hold, with all pages in memory, and with all of them on swap before each step. Values only:
// where pages lie, how entries merge and what is copied is the business of the other tests.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/map.h"
#include "uvm/swap.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPages = 4;

// What a page must be. Pages that are shared on purpose point to the same cell.
struct ExpectedPage {
  std::shared_ptr<char> cell;  // null: unmapped
  Prot prot = base::kProtReadWrite;
  Inherit inherit = Inherit::kCopy;
};
using ExpectedSpace = std::array<ExpectedPage, kPages>;

struct Operation {
  std::string name;
  void (*run)(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count);
  uint64_t first = 0;
  uint64_t count = 0;
};

void MapPrivate(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.Map({.at = first, .pages = count, .where = Map::Where::kFixedReplace});
  for (uint64_t page = first; page < first + count; ++page) {
    (*expected)[page] = {std::make_shared<char>('0')};
  }
}

void MapShared(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.Map({.at = first,
             .pages = count,
             .where = Map::Where::kFixedReplace,
             .inherit = Inherit::kShare,
             .sharing = Sharing::kShared});
  for (uint64_t page = first; page < first + count; ++page) {
    (*expected)[page] = {std::make_shared<char>('0')};
    (*expected)[page].inherit = Inherit::kShare;
  }
}

void Unmap(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.Unmap(first, count);
  for (uint64_t page = first; page < first + count; ++page) (*expected)[page] = {};
}

void ProtectRead(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.Protect(first, count, base::kProtRead);
  for (uint64_t page = first; page < first + count; ++page)
    (*expected)[page].prot = base::kProtRead;
}

void ProtectWrite(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.Protect(first, count, base::kProtReadWrite);
  for (uint64_t page = first; page < first + count; ++page)
    (*expected)[page].prot = base::kProtReadWrite;
}

template <Inherit kInherit>
void SetInherit(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  space.SetInherit(first, count, kInherit);
  for (uint64_t page = first; page < first + count; ++page) (*expected)[page].inherit = kInherit;
}

template <char kLetter>
void Write(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  std::string picture(kPages, '.');
  std::string outcome(kPages, '.');
  for (uint64_t page = first; page < first + count; ++page) {
    const ExpectedPage& want = (*expected)[page];
    picture[page] = kLetter;
    outcome[page] = want.cell == nullptr ? '?' : want.prot.CanWrite() ? kLetter : '!';
    if (outcome[page] == kLetter) *want.cell = kLetter;
  }
  EXPECT_EQ(space.TryWrite(picture), outcome);
}

void ReadRange(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  std::string picture(kPages, '.');
  std::string outcome(kPages, '.');
  for (uint64_t page = first; page < first + count; ++page) {
    picture[page] = 'x';
    const ExpectedPage& want = (*expected)[page];
    outcome[page] = want.cell == nullptr ? '?' : *want.cell;
  }
  EXPECT_EQ(space.Read(picture), outcome);
}

void Discard(const Space& space, ExpectedSpace* expected, uint64_t first, uint64_t count) {
  // Only where no page is shared: what Linux does to a private mapping that a fork shared is not
  // defined there.
  for (uint64_t page = first; page < first + count; ++page) {
    const ExpectedPage& want = (*expected)[page];
    if (want.cell == nullptr || want.inherit == Inherit::kShare || want.cell.use_count() > 1)
      return;
    MapEntry* entry = nullptr;
    for (entry = space->map().DebugFirst(); !entry->range().Contains(PageAt(page));
         entry = Map::DebugNext(entry)) {
    }
    if (entry->shared) return;
  }
  EXPECT_EQ(space.TryDiscard(first, count), "ok");
  for (uint64_t page = first; page < first + count; ++page) *(*expected)[page].cell = '0';
}

ExpectedSpace ExpectedFork(const ExpectedSpace& parent) {
  ExpectedSpace child = parent;
  for (ExpectedPage& page : child) {
    if (page.cell == nullptr) continue;
    switch (page.inherit) {
      case Inherit::kShare:
        break;
      case Inherit::kCopy:
        page.cell = std::make_shared<char>(*page.cell);
        break;
      case Inherit::kZero:
        page.cell = std::make_shared<char>('0');
        break;
      default:
        page = {};
        break;
    }
  }
  return child;
}

std::vector<Operation> AllOperations() {
  struct Kind {
    const char* name;
    void (*run)(const Space&, ExpectedSpace*, uint64_t, uint64_t);
  };
  const Kind kinds[] = {
      {"map", MapPrivate},
      {"map_shared", MapShared},
      {"unmap", Unmap},
      {"protect_r", ProtectRead},
      {"protect_rw", ProtectWrite},
      {"write_x", Write<'x'>},
      {"write_y", Write<'y'>},
      {"read", ReadRange},
      {"discard", Discard},
      {"share", SetInherit<Inherit::kShare>},
      {"copy", SetInherit<Inherit::kCopy>},
      {"none", SetInherit<Inherit::kNone>},
      {"zero", SetInherit<Inherit::kZero>},
  };
  // One page, a run in the middle, everything.
  const uint64_t ranges[][2] = {{1, 1}, {1, 2}, {0, kPages}};
  std::vector<Operation> operations;
  for (const Kind& kind : kinds) {
    for (const auto& range : ranges)
      operations.push_back({kind.name, kind.run, range[0], range[1]});
  }
  return operations;
}

// A space and its forks, each next to its expectation.
class Family {
 public:
  explicit Family(World* world) : world_(world) {
    members_.push_back(world->NewSpace("ABC."));
    expected_.emplace_back();
    for (uint64_t page = 0; page < 3; ++page) {
      expected_[0][page].cell = std::make_shared<char>("ABC"[page]);
    }
  }
  ~Family() {
    for (const Space& member : members_) member.Exit();
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  void Run(const Operation& operation, size_t member) {
    operation.run(members_[member], &expected_[member], operation.first, operation.count);
  }
  void Fork(size_t member) {
    members_.push_back(members_[member].Fork());
    expected_.push_back(ExpectedFork(expected_[member]));
  }
  size_t size() const { return members_.size(); }
  // Looks at all pages through the layers, then reads them as a program would. The invariants are
  // checked before and after, not at each step: that is what takes the time.
  void Check() {
    ASSERT_EQ(world_->Violation(), "");
    for (size_t i = 0; i < members_.size(); ++i) {
      std::string want;
      for (const ExpectedPage& page : expected_[i]) want += page.cell == nullptr ? '.' : *page.cell;
      ASSERT_EQ(world_->Contents(members_[i]), want) << "space " << i;
      for (char& letter : want) letter = letter == '.' ? '?' : letter;
      ASSERT_EQ(members_[i].ReadAll(), want) << "space " << i;
    }
    ASSERT_EQ(world_->Violation(), "");
  }

 private:
  World* const world_;
  std::vector<Space> members_;
  std::vector<ExpectedSpace> expected_;
};

// A step is an operation on one member, or a fork of it.
struct Step {
  size_t operation;  // == AllOperations().size(): fork
  size_t member;
};

// Where each step finds all pages.
enum class Where : uint8_t { kInMemory, kOnSwap };

void RunSequence(World* world, Where where, const std::vector<Operation>& operations,
                 const std::vector<Step>& steps) {
  Family family(world);
  std::string trace;
  for (const Step& step : steps) {
    if (step.member >= family.size()) return;
    if (where == Where::kOnSwap) world->Squeeze();
    bool fork = step.operation == operations.size();
    trace += " " + std::to_string(step.member) + ":";
    if (fork) {
      trace += "fork";
      family.Fork(step.member);
    } else {
      const Operation& operation = operations[step.operation];
      trace += operation.name + "[" + std::to_string(operation.first) + "+" +
               std::to_string(operation.count) + "]";
      family.Run(operation, step.member);
    }
  }
  if (where == Where::kOnSwap) world->Squeeze();
  SCOPED_TRACE(trace);
  family.Check();
}

// On the pmap that does as it should, and on one that uses every freedom it has.
enum class PmapKind : uint8_t { kFaithful, kAdverse };

struct Setting {
  const char* name;
  PmapKind pmap;
  Where where;
};
constexpr Setting kSettings[] = {
    {"Faithful", PmapKind::kFaithful, Where::kInMemory},
    {"Adverse", PmapKind::kAdverse, Where::kInMemory},
    {"FaithfulOnSwap", PmapKind::kFaithful, Where::kOnSwap},
};

class SmallSequencesTest : public ::testing::TestWithParam<Setting> {
 protected:
  SmallSequencesTest()
      : world(Pressure{.frames = 32, .swap_pages = where() == Where::kOnSwap ? 64u : 0u}) {
    world.StopChecking();
    if (GetParam().pmap == PmapKind::kAdverse) world.BeAdverse(/*seed=*/1);
  }
  static Where where() { return GetParam().where; }
  // Most pages went to swap and came back, if they were to.
  void Finish(uint64_t sequences) {
    const uint64_t read = world.uvm().counters().swap_in;
    EXPECT_TRUE(where() == Where::kOnSwap ? read > sequences : read == 0) << read;
    EXPECT_EQ(world.TearDownAndFindLeaks(), "");
    EXPECT_EQ(world.uvm().swap().in_use(), PageCount(0));
  }
  World world;
};

INSTANTIATE_TEST_SUITE_P(Worlds, SmallSequencesTest, ::testing::ValuesIn(kSettings),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(SmallSequencesTest, AllTriplesOnOneSpaceAndItsForks) {
  const std::vector<Operation> operations = AllOperations();
  const size_t choices = operations.size() + 1;
  uint64_t sequences = 0;
  for (size_t a = 0; a < choices; ++a) {
    for (size_t b = 0; b < choices; ++b) {
      // The second step can be on a fork only if the first was one, the third likewise.
      for (size_t b_on = 0; b_on < (a == operations.size() ? 2u : 1u); ++b_on) {
        for (size_t c = 0; c < choices; ++c) {
          for (size_t c_on = 0; c_on < (a == operations.size() || b == operations.size() ? 2u : 1u);
               ++c_on) {
            RunSequence(&world, where(), operations, {{a, 0}, {b, b_on}, {c, c_on}});
            ++sequences;
            if (::testing::Test::HasFailure()) return;
          }
        }
      }
    }
  }
  EXPECT_GE(sequences, 64000u);
  Finish(sequences);
}

// Deeper where it matters: between copy-on-write relatives and sharers. A third space is forked
// after the second step.
TEST_P(SmallSequencesTest, AllPairsAroundTwoForksAfterEachFirstStep) {
  const std::vector<Operation> operations = AllOperations();
  const size_t fork = operations.size();
  uint64_t sequences = 0;
  for (size_t first = 0; first < operations.size(); ++first) {
    if (operations[first].count == 1) continue;
    for (size_t b = 0; b < operations.size(); ++b) {
      for (size_t c = 0; c < operations.size(); ++c) {
        for (size_t members = 0; members < 4; ++members) {
          ++sequences;
          RunSequence(&world, where(), operations,
                      {{first, 0}, {fork, 0}, {b, members / 2}, {fork, 0}, {c, members % 2}});
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  }
  Finish(sequences);
}

}  // namespace
}  // namespace uvm::testing
