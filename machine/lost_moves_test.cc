// Calls that move bytes and meet a page that cannot be had half way: swap fails to read it, its
// device is away, or frames have run out. What was done before is done, in order and whole pages
// of it; nothing of what follows is.
//
// SEE  model::World::AdoptLoss, which says the same of random runs.

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <string>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using base::kPageSize;
using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kFrames = 64;
// More than there are frames: what was looked at first is on swap again when the last is.
constexpr uint64_t kPages = 96;
constexpr uint64_t kSource = 0x1000000;
constexpr uint64_t kTarget = 0x2000000;
constexpr uint64_t kCopy = 0x3000000;
constexpr uint64_t kOther = 0x4000000;
constexpr uint64_t kKey = 77;
constexpr uint64_t kName = 5;

uint64_t Old(uint64_t page) { return 1 + page; }
uint64_t New(uint64_t page) { return 1 + kPages + page; }

// Task 1 has the source and the target, and 2 is its child, which has the target, too: shared.
struct Call {
  const char* name;
  OpKind kind;
};
void PrintTo(const Call& call, std::ostream* out) { *out << call.name; }

constexpr Call kCalls[] = {
    {"VmCopy", OpKind::kVmCopy}, {"VmWrite", OpKind::kVmWrite}, {"Peek", OpKind::kPeek},
    {"Poke", OpKind::kPoke},     {"Pread", OpKind::kPread},     {"Pwrite", OpKind::kPwrite},
};

class World {
 public:
  explicit World(OpKind kind, uint64_t swap_pages = 1024)
      : kind_(kind), machine_(OptionsOf(swap_pages)) {
    Must({.kind = OpKind::kSpace, .child = 1});
    Must({.kind = OpKind::kMemfd, .task = 1, .size = kPages * kPageSize, .file_key = kName});
    Map(kSource, {.flags = traces::kFlagPrivate | traces::kFlagFixed});
    // An object's pages are written where they are; those of an amap would be replaced.
    Map(kTarget, {.flags = traces::kFlagShared | traces::kFlagFixed,
                  .file_key = kName,
                  .backing = traces::Backing::kMemfd});
    Must({.kind = OpKind::kFork, .task = 1, .child = 2});
    for (uint64_t page = 0; page < kPages; ++page) Store(kTarget, page, Old(page) % 251);
    for (uint64_t page = 0; page < kPages; ++page) Store(kSource, page, New(page) % 251);
    if (kind_ == OpKind::kPread || kind_ == OpKind::kPwrite) FillFile();
  }
  ~World() {
    char text[512];
    base::TextSink out(text, sizeof text);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
  }

  // Pages that one call moves: the BSD ones end after 256 KiB.
  static uint64_t MovedBy(OpKind kind) {
    return kind == OpKind::kVmCopy || kind == OpKind::kVmWrite ? kPages : 64;
  }
  uint64_t moved() const { return MovedBy(kind_); }
  Outcome Move() {
    ResolvedOp op = {.kind = kind_, .task = 1, .at = kSource, .size = moved() * kPageSize};
    switch (kind_) {
      case OpKind::kVmCopy:
        op.to = kTarget;
        break;
      case OpKind::kPeek:  // of its own, into itself
        op.to = kTarget;
        break;
      case OpKind::kVmWrite:
      case OpKind::kPoke:
        op.target = fresh_ ? 1 : 2;
        op.at = kTarget;
        op.to = kSource;
        break;
      case OpKind::kPread:
        op.at = kTarget;
        op.file_key = kKey;
        break;
      default:
        op.file_key = kKey;
        break;
    }
    return machine_.Apply(op);
  }
  void Inject(base::FaultSite site, uint64_t skip) {
    Must({.kind = OpKind::kInject, .site = site, .skip = skip});
  }
  // How many pages of the target are new; the rest are old, but for those that cannot be read,
  // which come to *lost. Nothing: they are neither, or in another order.
  std::optional<uint64_t> Prefix(uint64_t* lost) {
    const uint64_t at = kind_ == OpKind::kPwrite ? ReadFile() : kTarget;
    uint64_t prefix = 0;
    bool ended = false;
    *lost = 0;
    for (uint64_t page = 0; page < kPages; ++page) {
      const Outcome seen = Load(at, page);
      if (!seen.ok()) {
        ++*lost;
        ended = true;
      } else if (seen.value == New(page) % 251) {
        if (ended) return std::nullopt;
        ++prefix;
      } else if (seen.value == (fresh_ ? 0 : Old(page) % 251)) {
        ended = true;
      } else {
        return std::nullopt;
      }
    }
    return prefix;
  }
  // What moved is still where it came from.
  uint64_t LostOfSource() {
    uint64_t lost = 0;
    for (uint64_t page = 0; page < kPages; ++page) {
      const Outcome seen = Load(kSource, page);
      lost += seen.ok() ? 0 : 1;
      if (seen.ok()) {
        EXPECT_EQ(seen.value, New(page) % 251) << page;
      }
    }
    return lost;
  }
  Machine& machine() { return machine_; }
  // The target is zeroes that nobody has touched: each of its pages needs a frame.
  void ForgetTarget() {
    Map(kTarget, {.flags = traces::kFlagPrivate | traces::kFlagFixed});
    fresh_ = true;
  }
  // What took them is gone, and the memory that the target was.
  void MakeRoom() {
    Must({.kind = OpKind::kExit, .task = 2});
    Must({.kind = OpKind::kMemfdClose, .task = 1, .file_key = kName});
    Must({.kind = OpKind::kMunmap, .task = 1, .at = kOther, .size = kPages * kPageSize});
  }
  // Frames and swap are used up but for so many pages.
  void LeaveRoomFor(uint64_t pages) {
    Must({.kind = OpKind::kMmap,
          .task = 1,
          .at = kOther,
          .size = kPages * kPageSize,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagPrivate | traces::kFlagFixed});
    for (uint64_t page = 0; page < kPages; ++page) {
      if (machine_.Apply(StoreOf(kOther, page, 1)).ok()) continue;
      ASSERT_GE(page, pages);
      if (pages != 0)
        Must({.kind = OpKind::kMunmap, .task = 1, .at = kOther, .size = pages * kPageSize});
      return;
    }
    ADD_FAILURE() << "there is room for everything";
  }

 private:
  static Machine::Options OptionsOf(uint64_t swap_pages) {
    Machine::Options options;
    options.ram_bytes = kFrames * kPageSize;
    options.swap = {{.pages = swap_pages}};
    return options;
  }
  void Must(const ResolvedOp& op) {
    const Outcome seen = machine_.Apply(op);
    ASSERT_TRUE(seen.ok()) << static_cast<int>(op.kind) << " " << seen.code
                           << machine_.crash().value_or("") << machine_.stuck().value_or("");
  }
  void Map(uint64_t at, ResolvedOp op) {
    op.kind = OpKind::kMmap;
    op.task = 1;
    op.at = at;
    op.size = kPages * kPageSize;
    op.prot = base::kProtReadWrite;
    Must(op);
    if (at == kTarget)
      Must({.kind = OpKind::kMinherit,
            .task = 1,
            .at = at,
            .size = op.size,
            .inherit = base::Inherit::kShare});
  }
  static ResolvedOp StoreOf(uint64_t at, uint64_t page, uint64_t value) {
    return {.kind = OpKind::kWrite,
            .task = 1,
            .at = at + page * kPageSize,
            .size = kPageSize,
            .value = value};
  }
  void Store(uint64_t at, uint64_t page, uint64_t value) { Must(StoreOf(at, page, value)); }
  Outcome Load(uint64_t at, uint64_t page) {
    return machine_.Apply(
        {.kind = OpKind::kRead, .task = 1, .at = at + page * kPageSize, .size = kPageSize});
  }
  // The file has what the call is to read, or what it is to write over.
  void FillFile() {
    const uint64_t from = kind_ == OpKind::kPread ? kSource : kTarget;
    MoveFile(OpKind::kPwrite, from);
  }
  uint64_t ReadFile() {
    Map(kCopy, {.flags = traces::kFlagPrivate | traces::kFlagFixed});
    MoveFile(OpKind::kPread, kCopy);
    return kCopy;
  }
  void MoveFile(OpKind kind, uint64_t at) {
    constexpr uint64_t kHalf = kPages / 2 * kPageSize;
    for (uint64_t offset = 0; offset < 2 * kHalf; offset += kHalf)
      Must({.kind = kind,
            .task = 1,
            .at = at + offset,
            .size = kHalf,
            .file_key = kKey,
            .offset = offset});
  }

  const OpKind kind_;
  Machine machine_;
  bool fresh_ = false;
};

class LostMovesTest : public testing::TestWithParam<Call> {
 protected:
  // One run after the other, in each of which another transfer of the call is the one that fails,
  // until there are no more.
  void ForEachTransfer(base::FaultSite site, bool is_lost) {
    std::set<uint64_t> prefixes;
    for (uint64_t skip = 0;; ++skip) {
      ASSERT_LT(skip, 20 * kPages);
      SCOPED_TRACE(testing::Message() << "transfer " << skip);
      World world(GetParam().kind);
      world.Inject(site, skip);
      const uint64_t before = world.machine().swap_set().events();
      const Outcome seen = world.Move();
      const bool fired = world.machine().swap_set().events() != before;
      uint64_t lost = 0;
      const std::optional<uint64_t> prefix = world.Prefix(&lost);
      ASSERT_TRUE(prefix.has_value());
      const uint64_t lost_of_source = world.LostOfSource();
      if (seen.ok() && seen.family == Outcome::Family::kErrno) {
        // These say how far they came, once they came anywhere.
        ASSERT_EQ(seen.value, *prefix * kPageSize);
      }
      if (seen.ok() && *prefix == world.moved()) {
        ASSERT_EQ(lost + lost_of_source, 0u);
        if (!fired) break;
        continue;
      }
      ASSERT_TRUE(fired);
      // Of one page, if it is not that of a copy on the way.
      ASSERT_LE(lost + lost_of_source, is_lost ? 1u : 0u);
      ASSERT_LT(*prefix, world.moved());
      prefixes.insert(*prefix);
    }
    ExpectAll(prefixes, World::MovedBy(GetParam().kind));
  }
  // The first page fails, some in the middle, and the last.
  static void ExpectAll(const std::set<uint64_t>& prefixes, uint64_t pages) {
    ASSERT_FALSE(prefixes.empty());
    EXPECT_EQ(*prefixes.begin(), 0u);
    EXPECT_EQ(*prefixes.rbegin(), pages - 1);
    EXPECT_GE(prefixes.size(), pages / 2);
  }
};

INSTANTIATE_TEST_SUITE_P(All, LostMovesTest, testing::ValuesIn(kCalls),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(LostMovesTest, APageThatCannotBeReadEndsTheMoveThere) {
  ForEachTransfer(base::FaultSite::kSwapReadError, true);
}

TEST_P(LostMovesTest, ADeviceThatIsAwayEndsTheMoveAndNothingIsLost) {
  ForEachTransfer(base::FaultSite::kSwapVanish, false);
}

// A page of the target that finds no frame: as far as there was room, for each of the calls that
// need frames as they go.
class FewFramesTest : public testing::TestWithParam<Call> {};

INSTANTIATE_TEST_SUITE_P(All, FewFramesTest, testing::Values(kCalls[2], kCalls[3], kCalls[4]),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(FewFramesTest, FramesThatRunOutEndTheMoveThere) {
  const OpKind kind = GetParam().kind;
  std::set<uint64_t> prefixes;
  for (uint64_t room = 0; room < 80; room += 2) {
    SCOPED_TRACE(testing::Message() << "room for " << room);
    World world(kind, 215);
    world.ForgetTarget();
    world.LeaveRoomFor(room);
    const Outcome seen = world.Move();
    uint64_t lost = 0;
    world.MakeRoom();
    const std::optional<uint64_t> prefix = world.Prefix(&lost);
    ASSERT_TRUE(prefix.has_value());
    ASSERT_EQ(lost + world.LostOfSource(), 0u);
    if (seen.ok()) {
      ASSERT_EQ(seen.value, *prefix * kPageSize);
    } else {
      ASSERT_EQ(seen.code, static_cast<int32_t>(base::Errno::kEnomem));
    }
    prefixes.insert(*prefix);
  }
  EXPECT_EQ(*prefixes.begin(), 0u);
  EXPECT_EQ(*prefixes.rbegin(), World::MovedBy(kind));
  EXPECT_GE(prefixes.size(), 10u);
}

}  // namespace
}  // namespace machine
