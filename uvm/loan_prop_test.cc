// Random loans, wirings, forks and writes: what was lent never changes, whoever writes, dies or
// wires meanwhile; nobody else notices. What each page must hold comes from cells that those who
// share a page have in common; all invariants hold after each operation, and nothing leaks.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

using base::kProtNone;
using base::kProtReadWrite;

constexpr uint64_t kPages = 8;
constexpr size_t kMostSpaces = 4;
constexpr size_t kMostLoans = 4;

// What one page holds. `file`: the file's page shows until the cell has something of its own;
// `direct`: and is what is written.
struct Cell {
  char letter = '0';
  std::shared_ptr<char> file;
  bool own = false;
  bool direct = false;
  char Read() const { return file != nullptr && !own ? *file : letter; }
  void Bind() {
    if (file == nullptr || direct || own) return;
    letter = *file;
    own = true;
  }
  void Write(char value) {
    if (direct) {
      *file = value;
    } else {
      letter = value;
      own = true;
    }
  }
};

struct Member {
  Space space;
  std::vector<std::shared_ptr<Cell>> cells;
  std::vector<bool> wired = std::vector<bool>(kPages);
};

struct Lent {
  Loan loan;
  std::string shown;
};

class LoanRun {
 public:
  explicit LoanRun(uint64_t seed, const Pressure& pressure = {.frames = 256, .swap_pages = 0})
      : world_(pressure), random_(seed, "loan_prop_test") {
    if (seed % 3 == 1) world_.ForgetAtRandom(seed);
    if (seed % 3 == 2) world_.BeAdverse(seed);
    Object* file = world_.File(7);
    Space space = world_.NewSpace(std::string(kPages, '.'));
    // Copied by fork; shared by fork; a shared layer over a file; a file.
    space.Map({.at = 0, .pages = 2});
    space.Map({.at = 2, .pages = 2, .inherit = base::Inherit::kShare});
    space.Map({.at = 4, .pages = 2, .inherit = base::Inherit::kShare, .file = file});
    space.Map({.at = 6,
               .pages = 2,
               .inherit = base::Inherit::kShare,
               .sharing = Sharing::kShared,
               .file = file});
    Member member{space, {}};
    for (uint64_t page = 0; page < kPages; ++page) {
      auto cell = std::make_shared<Cell>();
      if (page >= 4) cell->file = FilePage(page % 2);
      cell->direct = page >= 6;
      member.cells.push_back(cell);
    }
    members_.push_back(member);
  }

  void Step() {
    size_t who = random_.Below(members_.size());
    Member& member = members_[who];
    uint64_t first = random_.Below(kPages);
    uint64_t count = 1 + random_.Below(kPages - first);
    switch (random_.Below(12)) {
      case 0:
      case 1:
      case 2:
        Write(&member, first);
        break;
      case 3:
      case 4:
        Read(&member);
        break;
      case 5:
        Fork(member);
        break;
      case 6:
        if (members_.size() > 1) Exit(who);
        break;
      case 7:
        Wire(&member, first, count);
        break;
      case 8:
        Unwire(&member, first);
        break;
      case 9:
        Lend(member, first, count);
        break;
      case 10:
        if (!lent_.empty()) Return(random_.Below(lent_.size()));
        break;
      case 11:
        // Every translation goes, of wired pages too.
        member.space.Protect(first, count, kProtNone);
        member.space.Protect(first, count, kProtReadWrite);
        break;
    }
    for (const Lent& lent : lent_) EXPECT_EQ(world_.Contents(lent.loan), lent.shown);
  }

  void Finish() {
    for (Member& member : members_) Read(&member);
    while (members_.size() > 1) Exit(members_.size() - 1);
    while (lent_.size() > 1) Return(0);
    members_[0].space.Exit();
    if (!lent_.empty()) Return(0);
    EXPECT_EQ(world_.TearDownAndFindLeaks(), "");
    EXPECT_EQ(world_.uvm().DebugPages().wired_count(), PageCount(0));
    broken_ = world_.uvm().counters().loan_breaks;
  }
  uint64_t broken() const { return broken_; }
  uint64_t refused() const { return refused_; }

 private:
  std::shared_ptr<char> FilePage(uint64_t page) {
    while (file_.size() <= page)
      file_.push_back(std::make_shared<char>(static_cast<char>('1' + file_.size())));
    return file_[page];
  }

  void Write(Member* member, uint64_t page) {
    std::string picture(kPages, '.');
    picture[page] = static_cast<char>('a' + writes_++ % 26);
    member->space.Write(picture);
    member->cells[page]->Write(picture[page]);
  }

  void Read(Member* member) {
    std::string expected;
    for (const std::shared_ptr<Cell>& cell : member->cells) expected += cell->Read();
    EXPECT_EQ(member->space.ReadAll(), expected);
  }

  void Fork(const Member& parent) {
    if (members_.size() == kMostSpaces) return;
    Member child{parent.space.Fork(), parent.cells};
    for (uint64_t page = 0; page < 2; ++page)
      child.cells[page] = std::make_shared<Cell>(*parent.cells[page]);
    members_.push_back(child);
  }

  void Exit(size_t who) {
    members_[who].space.Exit();
    members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(who));
  }

  void Wire(Member* member, uint64_t first, uint64_t count) {
    // Who is refused a translation may ask again.
    constexpr int kTries = 100;
    std::string outcome = "no_memory";
    for (int i = 0; i < kTries && outcome == "no_memory"; ++i) {
      outcome = member->space.TryWire(first, count);
    }
    EXPECT_EQ(outcome, "ok");
    for (uint64_t page = first; page < first + count; ++page) {
      if (!member->wired[page]) member->cells[page]->Bind();
      member->wired[page] = true;
    }
  }

  void Unwire(Member* member, uint64_t page) {
    EXPECT_EQ(member->space.TryUnwire(page, 1), member->wired[page] ? "ok" : "invalid_argument");
    member->wired[page] = false;
  }

  void Lend(const Member& member, uint64_t first, uint64_t count) {
    if (lent_.size() == kMostLoans) return;
    bool wired = false;
    std::string shown;
    for (uint64_t page = first; page < first + count; ++page) {
      const Page* resident = world_.ResidentAt(member.space, page);
      wired = wired || (resident != nullptr && resident->wire_count > 0);
      shown += member.cells[page]->Read();
    }
    Lent lent{{}, shown};
    std::string outcome = random_.Chance(1, 2)
                              ? member.space.TryLend(first, count, &lent.loan)
                              : member.space.TryLendAnons(first, count, &lent.loan);
    EXPECT_EQ(outcome, wired ? "invalid_argument" : "ok");
    if (outcome == "ok") lent_.push_back(lent);
    refused_ += wired ? 1 : 0;
  }

  void Return(size_t which) {
    world_.Return(&lent_[which].loan);
    lent_.erase(lent_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  World world_;
  base::Prng random_;
  std::vector<std::shared_ptr<char>> file_;
  std::vector<Member> members_;
  std::vector<Lent> lent_;
  uint64_t writes_ = 0;
  uint64_t broken_ = 0;
  uint64_t refused_ = 0;
};

TEST(LoanPropTest, LentPagesAreSnapshots) {
  uint64_t broken = 0;
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); ++seed) {
    LoanRun run(seed);
    for (int step = 0; step < 60 && !::testing::Test::HasFailure(); ++step) run.Step();
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed;
    run.Finish();
    broken += run.broken();
    refused += run.refused();
  }
  EXPECT_GT(broken, 100u);
  EXPECT_GT(refused, 100u);
}

// What is lent stays in memory, what is not goes to swap and comes back.
TEST(LoanPropTest, LentPagesAreSnapshotsUnderPressure) {
  uint64_t broken = 0;
  for (uint64_t seed = 1; seed <= 200 && !::testing::Test::HasFailure(); ++seed) {
    LoanRun run(seed, {.frames = kFewestFrames + 4, .swap_pages = 256});
    for (int step = 0; step < 60 && !::testing::Test::HasFailure(); ++step) run.Step();
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed;
    run.Finish();
    broken += run.broken();
  }
  EXPECT_GT(broken, 50u);
}

}  // namespace
}  // namespace uvm::testing
