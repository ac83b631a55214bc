// Map, grant and unmap against the manual's rules written naively: random sequences with pages of
// three sizes, and all short sequences of a small world.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "base/text_sink.h"
#include "fake_l4/core.h"
#include "fake_l4/kernel.h"
#include "fake_l4/testing/naive_mappings.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

using Kind = NaiveMappings::Kind;
using Name = NaiveMappings::Name;

constexpr int kSpaces = 4;  // sigma0, root and two more
constexpr uint32_t kProcessors = 2;

// Larger pages of 4 and 16 small ones, so that few pages make them.
Profile WithTinyLargePages(Profile profile, bool large) {
  profile.device_bytes = 0;
  profile.page_size_mask = large ? 1u << 12 | 1u << 14 | 1u << 16 : 1u << 12;
  return profile;
}

uint64_t Fpage(uint64_t first_page, unsigned log2, RightsBits rights) {
  return first_page << 12 | uint64_t{log2} << 4 | rights;
}

// The kernel and the naive model of it, given the same operations.
class Both {
 public:
  Both(const Profile& profile, uint64_t frames, const Quirks& quirks = kManualRules)
      : core_({.ram_bytes = frames << 12,
               .profile = profile,
               .quirks = quirks,
               .processors = kProcessors}),
        first_frame_(profile.ram_base >> 12),
        naive_(profile, first_frame_, first_frame_ + frames) {
    for (int s = 2; s < kSpaces; s++) core_.CreateSpace();
    // sigma0's bookkeeping is not what is looked at.
    core_.sigma0_owner_.assign(frames, core_.root_.raw);
    core_.sigma0_touched_ = frames;
  }

  void Transfer(Kind kind, int from, int to, uint64_t base, uint64_t fpage, uint64_t window) {
    naive_.Transfer(kind, from, to, base, fpage, window);
    TransferInKernel(kind, from, to, base, fpage, window);
  }
  void TransferInKernel(Kind kind, int from, int to, uint64_t base, uint64_t fpage,
                        uint64_t window) {
    last_ =
        absl::StrCat(kind == Kind::kMap ? "map " : "grant ", from, " -> ", to, " base ",
                     absl::Hex(base), " fpage ", absl::Hex(fpage), " window ", absl::Hex(window));
    const FpageValue w = DecodeFpage(window, core_.profile_);
    if (w.nil()) return;
    core_.MapItem(*core_.spaces_[from], *core_.spaces_[to],
                  kind == Kind::kMap ? ItemKind::kMap : ItemKind::kGrant, base, fpage, w);
  }
  // The status bits of both: the kernel's, the model's.
  std::pair<RightsBits, RightsBits> Unmap(int space, uint64_t fpage, bool flush) {
    const RightsBits naive = naive_.Unmap(space, fpage, flush);
    return {UnmapInKernel(space, fpage, flush), naive};
  }
  RightsBits UnmapInKernel(int space, uint64_t fpage, bool flush) {
    last_ = absl::StrCat(flush ? "flush " : "unmap ", space, " fpage ", absl::Hex(fpage));
    return core_.UnmapFpage(*core_.spaces_[space], fpage, flush ? Flush::kYes : Flush::kNo);
  }
  void Access(Name name, RightsBits bits) {
    if (name.space == 0 || !naive_.Has(name)) return;
    naive_.Access(name, bits);
    AccessInKernel(name, bits);
  }
  void AccessInKernel(Name name, RightsBits bits) {
    const PageTable::Found page = core_.spaces_[name.space]->table.Walk(name.page);
    if (page.pte == nullptr) return;
    page.pte->AddStatus(bits);
    // Both processors remember the page from now on; CheckInvariants looks whether they forget it
    // with each right that it loses.
    for (size_t processor = 0; processor < kProcessors; processor++) {
      core_.translations_->Fill(processor,
                                {.table = &core_.spaces_[name.space]->table,
                                 .space = static_cast<uint32_t>(name.space),
                                 .vpage = name.page,
                                 .frame = page.pte->frame_number() + (name.page - page.vpage),
                                 .rights = page.pte->rights()});
    }
  }

  // The first difference; empty: none.
  std::string Difference() {
    uint64_t total = 0;
    for (int s = 1; s < kSpaces; s++) {
      PageTable& table = core_.spaces_[s]->table;
      for (uint64_t v = 0;;) {
        const PageTable::Found page = table.Next(v, uint64_t{1} << 35);
        if (page.pte == nullptr) break;
        total += table.pages(page.level);
        v = page.vpage + table.pages(page.level);
      }
    }
    for (const auto& [name, page] : naive_.pages()) {
      const PageTable::Found found = core_.spaces_[name.space]->table.Walk(name.page);
      if (found.pte == nullptr) return absl::StrCat("missing ", name.space, ".", name.page);
      const uint64_t frame = found.pte->frame_number() + (name.page - found.vpage);
      if (frame != page.frame || found.pte->rights() != page.rights) {
        return absl::StrCat(name.space, ".", name.page, ": frame ", frame, " rights ",
                            found.pte->rights(), ", should be ", page.frame, " ", page.rights);
      }
    }
    if (total != naive_.pages().size()) {
      return absl::StrCat(total, " pages, should be ", naive_.pages().size());
    }
    return "";
  }
  std::string Invariants() const {
    char text[300];
    base::TextSink sink(text, sizeof text);
    return core_.CheckInvariants(sink) ? "" : text;
  }
  // Everything away, in the kernel only.
  void ClearKernel() {
    for (int s = 1; s < kSpaces; s++) core_.FlushSpace(*core_.spaces_[s]);
  }

  Core core_;
  const uint64_t first_frame_;
  NaiveMappings naive_;
  std::string last_;  // operation, as text
};

// ---- Random sequences ----

class Draw {
 public:
  Draw(uint64_t seed, uint64_t first_frame) : rng_(seed, "mapping_model"), frame_(first_frame) {}
  uint64_t Below(uint64_t n) { return rng_.Below(n); }
  RightsBits Rights() { return rng_.Chance(1, 2) ? kRwx : static_cast<RightsBits>(Below(8)); }
  // Pages 0 .. 31 of a space, sigma0's at its RAM; now and then an odd size.
  uint64_t FpageIn(int space, RightsBits rights) {
    const uint64_t odd = Below(24);
    if (odd == 0) return Fpage(0, 1, rights);
    if (odd == 1) return Fpage(0, 47, rights);
    if (odd == 2) return Fpage(Below(32), 11, rights);
    const unsigned log2 = 12 + static_cast<unsigned>(Below(6));
    const uint64_t first = Below(32) + (space == 0 ? frame_ : 0);
    return Fpage(first, log2, rights);
  }
  int Space(int least) { return least + static_cast<int>(Below(kSpaces - least)); }

 private:
  base::Prng rng_;
  const uint64_t frame_;
};

struct Counts {
  uint64_t status = 0, more_status = 0;
};

// One random operation on both; what differs, or nothing. `exact`: status bits are equal, not only
// at least the model's.
std::string Step(Both& both, Draw& draw, bool exact, Counts* counts) {
  const uint64_t op = draw.Below(10);
  if (op < 5) {
    const int from = draw.Below(3) == 0 ? 0 : draw.Space(1);
    const int to = draw.Space(draw.Below(20) == 0 ? 0 : 1);
    const Kind kind = draw.Below(3) == 0 ? Kind::kGrant : Kind::kMap;
    const uint64_t fpage = draw.FpageIn(from, draw.Rights());
    const uint64_t window = draw.FpageIn(to, 0);
    const uint64_t base = draw.Below(64) << 12 | (draw.Below(2) == 0 ? draw.Below(3) << 10 : 0);
    both.Transfer(kind, from, to, base, fpage, window);
  } else if (op < 8) {
    const Name name{draw.Space(1), draw.Below(32)};
    both.Access(name, static_cast<RightsBits>(1 + draw.Below(7)));
  } else {
    const int space = draw.Space(0);
    const RightsBits revoke = draw.Below(3) == 0 ? kRwx : static_cast<RightsBits>(draw.Below(8));
    const uint64_t fpage = draw.FpageIn(space, revoke);
    const bool flush = draw.Below(3) == 0;
    const auto [kernel, naive] = both.Unmap(space, fpage, flush);
    const bool good = exact ? kernel == naive : (naive & ~kernel) == 0;
    if (!good) return absl::StrCat("status ", kernel, ", should be ", naive);
    counts->status += naive != 0;
    counts->more_status += kernel != naive;
  }
  const std::string difference = both.Difference();
  return difference.empty() ? both.Invariants() : difference;
}

void RunRandom(const Profile& profile, bool exact) {
  Counts counts;
  uint64_t splits = 0, extended = 0, restricted = 0;
  for (uint64_t seed = 0; seed < 40; seed++) {
    Both both(profile, 32);
    Draw draw(seed, both.first_frame_);
    for (int step = 0; step < 300; step++) {
      const std::string problem = Step(both, draw, exact, &counts);
      ASSERT_EQ(problem, "") << "seed " << seed << " step " << step << ": " << both.last_;
    }
    const MappingCounters& c = both.core_.database_.counters();
    splits += c.split;
    extended += c.extended;
    restricted += c.restricted;
  }
  EXPECT_GT(extended, 200u);
  EXPECT_GT(restricted, 200u);
  EXPECT_GT(counts.status, 100u);
  EXPECT_EQ(counts.more_status != 0, !exact) << counts.more_status;
  EXPECT_EQ(splits != 0, !exact) << splits;
}

TEST(MappingModelTest, SmallPagesAgreeExactly) {
  RunRandom(WithTinyLargePages(kAmd64Nx, false), true);
}
TEST(MappingModelTest, SmallPagesOfIa32AgreeExactly) {
  RunRandom(WithTinyLargePages(kIa32, false), true);
}
// Larger pages show in nothing but status bits, which may be reported for more pages, never lost.
TEST(MappingModelTest, PagesOfThreeSizesAgree) {
  RunRandom(WithTinyLargePages(kAmd64Nx, true), false);
}
TEST(MappingModelTest, PagesOfThreeSizesOfIa32Agree) {
  RunRandom(WithTinyLargePages(kIa32, true), false);
}

// Whatever the rules, page tables equal the database and chains end at sigma0.
TEST(MappingModelTest, QuirksKeepTheDatabaseInOrder) {
  for (const Quirks* quirks : kQuirkProfiles) {
    for (const Profile& base : {kIa32, kAmd64Nx}) {
      for (const bool large : {false, true}) {
        Both both(WithTinyLargePages(base, large), 32, *quirks);
        Draw draw(7, both.first_frame_);
        for (int step = 0; step < 1500; step++) {
          const uint64_t op = draw.Below(10);
          if (op < 5) {
            const int from = draw.Below(3) == 0 ? 0 : draw.Space(1);
            const int to = draw.Space(1);
            const Kind kind = draw.Below(3) == 0 ? Kind::kGrant : Kind::kMap;
            const uint64_t fpage = draw.FpageIn(from, draw.Rights());
            both.TransferInKernel(kind, from, to, draw.Below(64) << 12, fpage, draw.FpageIn(to, 0));
          } else if (op < 8) {
            both.AccessInKernel({draw.Space(1), draw.Below(32)}, kRwx);
          } else {
            const int space = draw.Space(0);
            const uint64_t fpage = draw.FpageIn(space, static_cast<RightsBits>(draw.Below(8)));
            both.UnmapInKernel(space, fpage, draw.Below(3) == 0);
          }
          ASSERT_EQ(both.Invariants(), "")
              << quirks->name << " step " << step << ": " << both.last_;
        }
        EXPECT_GT(both.core_.database_.counters().mapped, 200u) << quirks->name;
      }
    }
  }
}

// ---- All short sequences ----

// Three spaces with two pages each; root holds two frames at first.
struct SmallOp {
  enum class What { kMap, kGrant, kUnmap } what;
  Name source, target;
  RightsBits rights;
  bool flush;
};

std::vector<SmallOp> AllSmallOps() {
  std::vector<SmallOp> ops;
  std::vector<Name> names;
  for (int s = 1; s < kSpaces; s++) {
    for (uint64_t p = 0; p < 2; p++) names.push_back({s, p});
  }
  for (const Name& source : names) {
    for (const Name& target : names) {
      for (const RightsBits rights : {kRwx, kR}) {
        ops.push_back({SmallOp::What::kMap, source, target, rights, false});
        ops.push_back({SmallOp::What::kGrant, source, target, rights, false});
      }
    }
    for (const RightsBits rights : {kRwx, kW}) {
      ops.push_back({SmallOp::What::kUnmap, source, {}, rights, false});
      ops.push_back({SmallOp::What::kUnmap, source, {}, rights, true});
    }
  }
  return ops;
}

void Apply(const SmallOp& op, NaiveMappings* naive, Both* kernel) {
  const uint64_t fpage = Fpage(op.source.page, 12, op.rights);
  if (op.what == SmallOp::What::kUnmap) {
    if (naive != nullptr) naive->Unmap(op.source.space, fpage, op.flush);
    if (kernel != nullptr) kernel->UnmapInKernel(op.source.space, fpage, op.flush);
    return;
  }
  const Kind kind = op.what == SmallOp::What::kMap ? Kind::kMap : Kind::kGrant;
  const uint64_t window = Fpage(op.target.page, 12, 0);
  if (naive != nullptr) naive->Transfer(kind, op.source.space, op.target.space, 0, fpage, window);
  if (kernel != nullptr) {
    kernel->TransferInKernel(kind, op.source.space, op.target.space, 0, fpage, window);
  }
}

// A sequence that leads to a state not seen before; sequences are continued from there only.
struct Found {
  NaiveMappings naive;
  std::vector<uint16_t> path;
};

TEST(MappingModelTest, AllSequencesOfFiveInThreeSpacesWithTwoPages) {
  const std::vector<SmallOp> ops = AllSmallOps();
  Both both(WithTinyLargePages(kAmd64Nx, false), 16);
  const uint64_t first = both.first_frame_;
  const auto begin = [&](NaiveMappings* naive, bool kernel) {
    const uint64_t fpage = Fpage(first, 13, kRwx), window = Fpage(0, 13, 0);
    if (naive != nullptr) naive->Transfer(Kind::kMap, 0, 1, 0, fpage, window);
    if (kernel) both.TransferInKernel(Kind::kMap, 0, 1, 0, fpage, window);
  };
  begin(&both.naive_, false);
  std::set<std::string> seen = {both.naive_.Text()};
  std::vector<Found> frontier = {{both.naive_, {}}};
  uint64_t transitions = 0;
  for (int depth = 1; depth <= 5; depth++) {
    std::vector<Found> next;
    for (const Found& state : frontier) {
      bool moved = true;  // the kernel is not in this state
      for (uint16_t o = 0; o < ops.size(); o++) {
        // Without its page an operation is nothing; the random test has those.
        if (!state.naive.Has(ops[o].source)) continue;
        if (moved) {
          both.ClearKernel();
          begin(nullptr, true);
          for (const uint16_t p : state.path) Apply(ops[p], nullptr, &both);
        }
        both.naive_ = state.naive;
        Apply(ops[o], &both.naive_, &both);
        transitions++;
        const std::string difference = both.Difference();
        ASSERT_EQ(difference, "") << state.naive.Text() << "-> operation " << o;
        moved = both.naive_.pages() != state.naive.pages();
        if (!moved || depth == 5 || !seen.insert(both.naive_.Text()).second) continue;
        ASSERT_EQ(both.Invariants(), "") << state.naive.Text() << "-> operation " << o;
        next.push_back({both.naive_, state.path});
        next.back().path.push_back(o);
      }
    }
    std::printf("depth %d: %zu new states, %zu in all, %llu transitions\n", depth, next.size(),
                seen.size(), static_cast<unsigned long long>(transitions));
    frontier = std::move(next);
  }
  EXPECT_GT(seen.size(), 1000u);
}

}  // namespace
}  // namespace fake_l4
