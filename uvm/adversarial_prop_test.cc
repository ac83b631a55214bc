// Random operations of the core on a pmap that uses every freedom of its contract: unwired
// mappings vanish, stale translations live until Update, enters fail, nothing is ever referenced.
// What each page must hold comes from an eager copy of everything at fork; all invariants hold
// after each operation and nothing leaks. The same operations run on the faithful pmap too.

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "uvm/map.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPages = 7;
constexpr size_t kMostMembers = 4;
constexpr uint64_t kFilePages = 9;
constexpr int kFiles = 2;

// ---- What must be ----

// What one page of memory holds. Those that share it on purpose share the cell.
struct Cell {
  char letter = '0';
  // Of a file: until it is written privately (`own`) the file's page shows through, and a shared
  // mapping (`direct`) writes to the file's page.
  std::shared_ptr<char> file;
  bool own = false;
  bool direct = false;
  bool may_be_lost = false;  // given back: reads as before or as if never written

  char Read() const { return file != nullptr && !own ? *file : letter; }
  void Write(char value) {
    may_be_lost = false;
    if (direct) {
      *file = value;
    } else {
      letter = value;
      own = true;
    }
  }
  char Untouched() const { return file != nullptr ? *file : '0'; }
};

struct ExpectedPage {
  std::shared_ptr<Cell> cell;  // null: unmapped
  Prot prot = base::kProtReadWrite;
  Inherit inherit = Inherit::kCopy;
  int file = -1;
  uint64_t file_page = 0;
  bool shared = false;  // a shared mapping
  bool wired = false;
  bool present = false;  // wired, and its rights were not taken since

  bool Readable() const { return cell != nullptr && prot.CanRead(); }
  bool Writable() const { return Readable() && prot.CanWrite(); }
};
using ExpectedSpace = std::vector<ExpectedPage>;

ExpectedSpace ExpectedFork(const ExpectedSpace& parent) {
  ExpectedSpace child = parent;
  for (ExpectedPage& page : child) {
    page.wired = false;
    if (page.cell == nullptr) continue;
    switch (page.inherit) {
      case Inherit::kShare:
        break;
      case Inherit::kCopy:
        page.cell = std::make_shared<Cell>(*page.cell);
        page.cell->direct = page.shared = false;
        break;
      case Inherit::kZero:
        page.cell = std::make_shared<Cell>();
        page.file = -1;
        page.shared = false;
        break;
      default:
        page = {};
        break;
    }
  }
  return child;
}

// ---- Operations as values ----

enum class Kind : uint8_t {
  kMap,
  kMapShared,
  kMapFile,
  kMapFileShared,
  kUnmap,
  kProtect,
  kInherit,
  kWrite,
  kPoke,
  kRead,
  kFree,
  kDiscard,
  kMove,
  kResize,
  kWire,
  kUnwire,
  kFork,
  kExit,
};
struct KindRow {
  const char* name;
  uint32_t weight;
};
constexpr KindRow kKinds[] = {
    {"map", 6},   {"map_shared", 4}, {"map_file", 6}, {"map_file_shared", 3},
    {"unmap", 5}, {"protect", 6},    {"inherit", 8},  {"write", 18},
    {"poke", 6},  {"read", 10},      {"free", 2},     {"discard", 3},
    {"move", 3},  {"resize", 3},     {"wire", 5},     {"unwire", 3},
    {"fork", 7},  {"exit", 3},
};

struct Operation {
  Kind kind = Kind::kRead;
  uint8_t member = 0;
  uint8_t first = 0;
  uint8_t count = 1;
  uint8_t to = 0;     // page, file page
  uint8_t other = 0;  // rights, inheritance, file
  char letter = 'a';
  std::string Text() const {
    return std::to_string(member) + ":" + kKinds[static_cast<size_t>(kind)].name + "[" +
           std::to_string(first) + "+" + std::to_string(count) + "] " + std::to_string(to) + "," +
           std::to_string(other) + "," + letter;
  }
};

std::vector<Operation> Draw(uint64_t seed, size_t count) {
  uint32_t total = 0;
  for (const KindRow& row : kKinds) total += row.weight;
  std::vector<Operation> operations(count);
  for (size_t i = 0; i < count; ++i) {
    base::Prng prng(seed, "adversarial", i);
    Operation& op = operations[i];
    uint64_t at = prng.Below(total);
    size_t kind = 0;
    while (at >= kKinds[kind].weight) at -= kKinds[kind++].weight;
    op.kind = static_cast<Kind>(kind);
    op.member = static_cast<uint8_t>(prng.Below(kMostMembers));
    op.first = static_cast<uint8_t>(prng.Below(kPages));
    op.count = static_cast<uint8_t>(1 + prng.Below(kPages - op.first));
    if (prng.Chance(1, 2)) op.count = 1;
    op.to = static_cast<uint8_t>(prng.Below(kPages));
    op.other = static_cast<uint8_t>(prng.Below(8));
    op.letter = static_cast<char>('a' + prng.Below(26));
  }
  return operations;
}

// ---- A run ----

enum class PmapKind : uint8_t {
  kFaithful,
  kForgetful,  // every freedom but that to refuse
  kAdverse,
};

class Run {
 public:
  Run(World* world, PmapKind pmap) : world_(world), pmap_(pmap) {
    for (int i = 0; i < kFiles; ++i) {
      files_.push_back(world->File(static_cast<uint64_t>(i) + 1));
      std::vector<std::shared_ptr<char>> pages;
      for (uint64_t page = 0; page < kFilePages; ++page) {
        pages.push_back(std::make_shared<char>(static_cast<char>('1' + page)));
      }
      file_pages_.push_back(std::move(pages));
    }
    members_.push_back(world->NewSpace("AB0...."));
    expected_.emplace_back(kPages);
    for (uint64_t page = 0; page < 3; ++page) {
      expected_[0][page].cell = std::make_shared<Cell>();
      if (page < 2) expected_[0][page].cell->Write("AB"[page]);
    }
  }

  void Apply(const Operation& op) {
    size_t member = op.member % members_.size();
    space_ = &members_[member];
    pages_ = &expected_[member];
    switch (op.kind) {
      case Kind::kMap:
        return Map(op, -1, /*shared=*/0);
      case Kind::kMapShared:
        return Map(op, -1, 1);
      case Kind::kMapFile:
        return Map(op, op.other % kFiles, 0);
      case Kind::kMapFileShared:
        return Map(op, op.other % kFiles, 1);
      case Kind::kUnmap:
        return Unmap(op);
      case Kind::kProtect:
        return Protect(op);
      case Kind::kInherit:
        return SetInherit(op);
      case Kind::kWrite:
        return Write(op);
      case Kind::kPoke:
        return Poke(op);
      case Kind::kRead:
        return Read(op);
      case Kind::kFree:
      case Kind::kDiscard:
        return GiveBack(op);
      case Kind::kMove:
        return Move(op);
      case Kind::kResize:
        return Resize(op);
      case Kind::kWire:
        return Wire(op);
      case Kind::kUnwire:
        return Unwire(op);
      case Kind::kFork:
        return Fork();
      case Kind::kExit:
        return Exit(member);
    }
  }

  // Looks through the layers, changing nothing.
  void CheckContents() {
    for (size_t i = 0; i < members_.size(); ++i) {
      std::string seen = world_->Contents(members_[i]);
      std::string want;
      for (uint64_t page = 0; page < kPages; ++page) {
        ExpectedPage& must = expected_[i][page];
        // Equal letters do not tell which of the two it is.
        if (must.cell != nullptr && must.cell->may_be_lost &&
            seen[page] == must.cell->Untouched() && seen[page] != must.cell->letter) {
          must.cell->own = false;
          must.cell->letter = '0';
          must.cell->may_be_lost = false;
        }
        want += must.cell == nullptr ? '.' : must.cell->Read();
      }
      EXPECT_EQ(seen, want) << "space " << i;
    }
  }

  // What a processor reaches without a fault, stale translations included, is what must be there.
  void CheckReach() {
    for (size_t i = 0; i < members_.size(); ++i) {
      for (uint64_t page = 0; page < kPages; ++page) {
        const unsigned char* at =
            world_->pmap().Translate(members_[i]->pmap(), PageAt(page), Access::kRead);
        if (at == nullptr) continue;
        const ExpectedPage& must = expected_[i][page];
        EXPECT_TRUE(must.Readable()) << "space " << i << " page " << page << " can be read";
        if (!must.Readable()) continue;
        EXPECT_EQ(world_->LetterOf(at), must.cell->Read())
            << "space " << i << " page " << page << " is reached as it should not be";
      }
    }
  }

  // A wired page is there for whoever wired it, without a fault: unless the pmap may refuse.
  void CheckWired() {
    if (pmap_ == PmapKind::kAdverse) return;
    for (size_t i = 0; i < members_.size(); ++i) {
      for (uint64_t page = 0; page < kPages; ++page) {
        const ExpectedPage& must = expected_[i][page];
        if (!must.wired || !must.present || !must.Readable()) continue;
        EXPECT_NE(world_->pmap().Translate(members_[i]->pmap(), PageAt(page), Access::kRead),
                  nullptr)
            << "space " << i << " page " << page << " is wired and not there";
      }
    }
  }

  void CheckReads() {
    for (size_t i = 0; i < members_.size(); ++i) {
      std::string want;
      for (const ExpectedPage& page : expected_[i]) {
        want += page.cell == nullptr ? '?' : page.Readable() ? page.cell->Read() : '!';
      }
      EXPECT_EQ(members_[i].ReadAll(), want) << "space " << i;
    }
  }

 private:
  template <typename Change>
  void ForPages(const Operation& op, Change change) {
    for (uint64_t page = op.first; page < uint64_t{op.first} + op.count; ++page) {
      change(&(*pages_)[page], page);
    }
  }
  bool All(const Operation& op, bool (*holds)(const ExpectedPage&)) const {
    for (uint64_t page = op.first; page < uint64_t{op.first} + op.count; ++page) {
      if (!holds((*pages_)[page])) return false;
    }
    return true;
  }
  bool IsFree(uint64_t first, uint64_t count) const {
    for (uint64_t page = first; page < first + count; ++page) {
      if ((*pages_)[page].cell != nullptr) return false;
    }
    return true;
  }

  std::shared_ptr<Cell> NewCell(int file, uint64_t file_page, bool direct) {
    auto cell = std::make_shared<Cell>();
    if (file < 0) return cell;
    cell->file = file_pages_[static_cast<size_t>(file)][file_page];
    cell->direct = direct;
    return cell;
  }

  // `shared` is 0 or 1.
  void Map(const Operation& op, int file, int shared) {
    uint64_t file_page = op.to;
    if (file >= 0 && file_page + op.count > kFilePages) return;
    Inherit inherit = shared != 0 ? Inherit::kShare : Inherit::kCopy;
    space_->Map({.at = op.first,
                 .pages = op.count,
                 .where = uvm::Map::Where::kFixedReplace,
                 .inherit = inherit,
                 .sharing = shared != 0 ? Sharing::kShared : Sharing::kPrivate,
                 .file = file < 0 ? nullptr : files_[static_cast<size_t>(file)],
                 .file_page = file < 0 ? 0 : file_page});
    ForPages(op, [&](ExpectedPage* page, uint64_t number) {
      *page = {.cell = NewCell(file, file_page + number - op.first, shared != 0),
               .inherit = inherit,
               .file = file,
               .file_page = file_page + number - op.first,
               .shared = shared != 0};
    });
  }

  void Unmap(const Operation& op) {
    space_->Unmap(op.first, op.count);
    ForPages(op, [](ExpectedPage* page, uint64_t) { *page = {}; });
  }

  void Protect(const Operation& op) {
    constexpr Prot kProts[] = {base::kProtNone, base::kProtRead, base::kProtRead,
                               base::kProtReadWrite};
    Prot prot = kProts[op.other % 4];
    space_->Protect(op.first, op.count, prot);
    ForPages(op, [prot](ExpectedPage* page, uint64_t) {
      if (page->cell != nullptr) page->prot = prot;
      if (prot.IsNone()) page->present = false;
    });
  }

  void SetInherit(const Operation& op) {
    constexpr Inherit kInherits[] = {Inherit::kShare, Inherit::kCopy, Inherit::kNone,
                                     Inherit::kZero};
    Inherit inherit = kInherits[op.other % 4];
    space_->SetInherit(op.first, op.count, inherit);
    ForPages(op, [inherit](ExpectedPage* page, uint64_t) {
      if (page->cell != nullptr) page->inherit = inherit;
    });
  }

  // Page by page, because others look on while the fault is served: the store comes after it.
  void Write(const Operation& op) {
    CheckContents();  // settles what was given back
    ForPages(op, [&](ExpectedPage* page, uint64_t number) {
      const char* want = page->cell == nullptr ? "no_entry"
                         : page->Writable()    ? "ok"
                                               : "protection";
      Looking looking(this);
      being_copied_ = page->cell == nullptr || page->cell->own ? nullptr : page->cell->file.get();
      EXPECT_EQ(world_->AccessPage(*space_, number, Access::kWrite, op.letter), want);
      being_copied_ = nullptr;
      if (page->Writable()) page->cell->Write(op.letter);
    });
  }

  // A processor writes where it can without a fault.
  void Poke(const Operation& op) {
    ForPages(op, [&](ExpectedPage* page, uint64_t number) {
      unsigned char* at =
          world_->pmap().Translate((*space_)->pmap(), PageAt(number), Access::kWrite);
      if (at == nullptr) return;
      EXPECT_TRUE(page->Writable()) << "page " << number << " can be written";
      std::memset(at, op.letter, base::kPageSize);
      if (page->Writable()) page->cell->Write(op.letter);
    });
  }

  void Read(const Operation& op) {
    CheckContents();
    ForPages(op, [&](ExpectedPage* page, uint64_t number) {
      const char* want = page->cell == nullptr ? "no_entry"
                         : page->Readable()    ? "ok"
                                               : "protection";
      Looking looking(this);
      EXPECT_EQ(world_->AccessPage(*space_, number, Access::kRead, 0), want);
      if (!page->Readable()) return;
      EXPECT_EQ(world_->PageLetter(*space_, number), page->cell->Read());
    });
  }

  // While it lives, two processors look at everything at each step of the pmap. Memory stays what
  // it was until the store that is waiting for the fault is made; where a processor can write, it
  // does, and from then on nobody may read what was there before (Go issue 34988).
  class Looking {
   public:
    explicit Looking(Run* run) : run_(run) {
      run->world_->pmap().AtEachStep([run] { run->LookOn(); });
    }
    ~Looking() { run_->world_->pmap().AtEachStep(nullptr); }
    Looking(const Looking&) = delete;
    Looking& operator=(const Looking&) = delete;

   private:
    Run* const run_;
  };

  void LookOn() {
    ++looks_;
    ForAllMapped([this](const ExpectedPage& must, Pmap* pmap, size_t, uint64_t page) {
      // Now and then, so that the pages mapped but not written are many.
      if ((looks_ + page) % 5 != 0) return;
      // When a private page stops showing the file's is nobody's business.
      if (must.cell->direct && must.cell->file.get() == being_copied_) return;
      constexpr uint32_t kWriter = 1;
      unsigned char* to = world_->pmap().Translate(pmap, PageAt(page), Access::kWrite, kWriter);
      if (to == nullptr) return;
      char letter = static_cast<char>('A' + looks_ % 26);
      std::memset(to, letter, base::kPageSize);
      must.cell->Write(letter);
    });
    ForAllMapped([this](const ExpectedPage& must, Pmap* pmap, size_t space, uint64_t page) {
      constexpr uint32_t kReader = 0;
      const unsigned char* at =
          world_->pmap().Translate(pmap, PageAt(page), Access::kRead, kReader);
      if (at == nullptr) return;
      EXPECT_EQ(world_->LetterOf(at), must.cell->Read())
          << "another processor looks at space " << space << " page " << page;
    });
  }

  template <typename Visit>
  void ForAllMapped(Visit visit) {
    for (size_t i = 0; i < members_.size(); ++i) {
      for (uint64_t page = 0; page < kPages; ++page) {
        const ExpectedPage& must = expected_[i][page];
        if (must.cell == nullptr || must.cell->may_be_lost) continue;
        visit(must, members_[i]->pmap(), i, page);
      }
    }
  }

  // Private pages that nobody shares; what happens to others is another matter.
  void GiveBack(const Operation& op) {
    if (!All(op, [](const ExpectedPage& page) {
          return !page.wired && page.cell != nullptr && !page.shared &&
                 page.inherit != Inherit::kShare && page.cell.use_count() == 1;
        })) {
      return;
    }
    for (MapEntry* entry = space_->get()->map().DebugFirst(); entry != nullptr;
         entry = uvm::Map::DebugNext(entry)) {
      if (entry->shared && entry->range().Overlaps(Pages(op.first, op.count))) return;
      const Amap* amap = entry->aref.amap;
      if (amap != nullptr && amap->shared && entry->range().Overlaps(Pages(op.first, op.count))) {
        return;
      }
    }
    bool discard = op.kind == Kind::kDiscard;
    if (discard) {
      EXPECT_EQ(space_->TryDiscard(op.first, op.count), "ok");
    } else {
      EXPECT_EQ(space_->TryAdvise(op.first, op.count, Advice::kFree), "ok");
    }
    ForPages(op, [discard](ExpectedPage* page, uint64_t) {
      page->cell->may_be_lost = !discard;
      if (discard) page->cell->letter = '0';
      if (discard) page->cell->own = false;
    });
    CheckContents();
  }

  void Wire(const Operation& op) {
    bool possible = All(op, [](const ExpectedPage& page) { return page.Readable(); });
    std::string outcome;
    constexpr int kTries = 200;
    for (int i = 0; i < kTries; ++i) {
      outcome = space_->TryWire(op.first, op.count);
      if (outcome != "no_memory" || pmap_ != PmapKind::kAdverse) break;
    }
    if (outcome != "ok") {
      EXPECT_FALSE(possible) << outcome;
      return;
    }
    EXPECT_TRUE(possible) << "wired what cannot be read";
    ForPages(op, [](ExpectedPage* page, uint64_t) {
      // What is wired already is not faulted in again.
      if (!page->wired) page->present = true;
      page->wired = true;
      // A private page is copied now, because it must not fault when it is written.
      if (!page->cell->direct) page->cell->Write(page->cell->Read());
    });
  }

  void Unwire(const Operation& op) {
    std::string outcome = space_->TryUnwire(op.first, op.count);
    if (All(op, [](const ExpectedPage& page) { return page.wired; })) {
      EXPECT_EQ(outcome, "ok");
    }
    if (outcome != "ok") return;
    ForPages(op, [](ExpectedPage* page, uint64_t) { page->wired = page->present = false; });
  }

  static bool IsMapped(const ExpectedPage& page) { return page.cell != nullptr; }

  // To a place of the caller's choice, in the same size.
  void Move(const Operation& op) {
    if (!All(op, IsMapped) || op.to + op.count > static_cast<int>(kPages)) return;
    std::string outcome = space_->TryRemap({.from = op.first,
                                            .pages = op.count,
                                            .new_pages = op.count,
                                            .to = op.to,
                                            .where = uvm::Map::RemapOptions::Where::kFixed});
    if (op.to != op.first && !IsFree(op.to, op.count)) {
      EXPECT_EQ(outcome, "no_space");
      return;
    }
    EXPECT_EQ(outcome, std::to_string(op.to));
    MoveExpected(op.first, op.count, op.to);
  }

  void MoveExpected(uint64_t from, uint64_t count, uint64_t to) {
    if (from == to) return;
    ExpectedSpace moved(pages_->begin() + static_cast<ptrdiff_t>(from),
                        pages_->begin() + static_cast<ptrdiff_t>(from + count));
    for (uint64_t i = 0; i < count; ++i) (*pages_)[from + i] = {};
    for (uint64_t i = 0; i < count; ++i) {
      (*pages_)[to + i] = moved[i];
      (*pages_)[to + i].wired = false;
    }
  }

  // Shrinks or grows, wherever there is room.
  void Resize(const Operation& op) {
    uint64_t size = 1 + op.to % (kPages - 1);
    if (!All(op, IsMapped)) return;
    const ExpectedPage last = (*pages_)[op.first + op.count - 1u];
    uint64_t more = size > op.count ? size - op.count : 0;
    if (last.file >= 0 && last.file_page + more >= kFilePages) return;
    std::string outcome =
        space_->TryRemap({.from = op.first, .pages = op.count, .new_pages = size});
    if (outcome == "no_space") {
      uint64_t hole = 0;
      for (uint64_t page = 0, run = 0; page < kPages; ++page) {
        run = (*pages_)[page].cell == nullptr ? run + 1 : 0;
        hole = std::max(hole, run);
      }
      bool in_place = op.first + size <= kPages && IsFree(op.first + op.count, more);
      EXPECT_TRUE(more > 0 && hole < size && !in_place) << "there was room";
      return;
    }
    ASSERT_TRUE(!outcome.empty() && outcome[0] >= '0' && outcome[0] <= '9') << outcome;
    uint64_t to = std::stoull(outcome);
    uint64_t kept = std::min<uint64_t>(size, op.count);
    for (uint64_t page = op.first + kept; page < uint64_t{op.first} + op.count; ++page) {
      (*pages_)[page] = {};
    }
    MoveExpected(op.first, kept, to);
    for (uint64_t i = 0; i < more; ++i) {
      EXPECT_EQ((*pages_)[to + kept + i].cell, nullptr) << "grown over page " << to + kept + i;
      ExpectedPage grown = last;
      grown.wired = false;
      grown.file_page = last.file_page + 1 + i;
      grown.cell = NewCell(grown.file, grown.file_page, grown.shared);
      (*pages_)[to + kept + i] = grown;
    }
  }

  void Fork() {
    if (members_.size() == kMostMembers) return;
    CheckContents();
    ExpectedSpace child = ExpectedFork(*pages_);
    members_.push_back(space_->Fork());
    expected_.push_back(std::move(child));
  }

  void Exit(size_t member) {
    if (members_.size() == 1) return;
    space_->Exit();
    members_.erase(members_.begin() + static_cast<ptrdiff_t>(member));
    expected_.erase(expected_.begin() + static_cast<ptrdiff_t>(member));
  }

  World* const world_;
  const PmapKind pmap_;
  std::vector<Object*> files_;
  std::vector<std::vector<std::shared_ptr<char>>> file_pages_;
  std::vector<Space> members_;
  std::vector<ExpectedSpace> expected_;
  uint64_t looks_ = 0;
  const char* being_copied_ = nullptr;  // the file page that the fault may be copying
  // Of the operation that is being applied.
  const Space* space_ = nullptr;
  ExpectedSpace* pages_ = nullptr;
};

// How the worlds of a batch are.
struct Setting {
  PmapKind pmap;
  uint64_t frames = 160;  // fewer than that: with swap, in worlds under pressure
};
constexpr uint64_t kPlenty = 160;

uint64_t g_paged_out = 0;  // pages, in all worlds so far

std::unique_ptr<World> MakeWorld(const Setting& setting) {
  if (setting.frames >= kPlenty) return std::make_unique<World>(setting.frames);
  return std::make_unique<World>(Pressure{.frames = setting.frames, .swap_pages = 256});
}

// The first failure of the run as text, or "".
std::string Failure(const std::vector<Operation>& operations, const Setting& setting,
                    uint64_t seed) {
  const PmapKind pmap = setting.pmap;
  ::testing::TestPartResultArray results;
  {
    ::testing::ScopedFakeTestPartResultReporter intercept(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    std::unique_ptr<World> owned = MakeWorld(setting);
    World& world = *owned;
    if (pmap == PmapKind::kAdverse) world.BeAdverse(seed);
    if (pmap == PmapKind::kForgetful) {
      world.ForgetAtRandom(seed, 32);
      world.pmap().DelayInvalidations();
      world.pmap().HideReferences();
    }
    Run run(&world, pmap);
    for (const Operation& op : operations) {
      run.Apply(op);
      run.CheckContents();
      run.CheckWired();
      // On the faithful pmap, too: what is left from before is used, then.
      if (op.letter < 'n') run.CheckReach();
      if (results.size() > 0) break;
    }
    if (results.size() == 0) run.CheckReads();
    if (results.size() == 0) {
      EXPECT_EQ(world.TearDownAndFindLeaks(), "");
    }
    g_paged_out += world.uvm().pagedaemon().counters().freed_written;
  }
  return results.size() == 0 ? "" : results.GetTestPartResult(0).message();
}

// Leaves out operations, in chunks down to single ones, while it fails in any way.
std::vector<Operation> Shrink(std::vector<Operation> operations, const Setting& setting,
                              uint64_t seed) {
  for (size_t chunk = operations.size() / 2 + 1;;) {
    bool shrunk = false;
    for (size_t at = 0; at < operations.size();) {
      std::vector<Operation> candidate = operations;
      auto from = candidate.begin() + static_cast<ptrdiff_t>(at);
      candidate.erase(from, candidate.begin() +
                                static_cast<ptrdiff_t>(std::min(at + chunk, operations.size())));
      if (Failure(candidate, setting, seed).empty()) {
        at += chunk;
      } else {
        operations = std::move(candidate);
        shrunk = true;
      }
    }
    if (chunk == 1 && !shrunk) return operations;
    chunk = std::max<size_t>(chunk / 2, 1);
  }
}

struct Batch {
  Setting setting;
  uint64_t first_seed;
};
void PrintTo(const Batch& batch, std::ostream* out) {
  *out << (batch.setting.pmap == PmapKind::kAdverse     ? "adverse"
           : batch.setting.pmap == PmapKind::kForgetful ? "forgetful"
                                                        : "faithful")
       << ", " << batch.setting.frames << " frames, from seed " << batch.first_seed;
}

constexpr uint64_t kSeedsPerBatch = 200;
constexpr size_t kOperations = 150;

class AdversarialPropTest : public ::testing::TestWithParam<Batch> {};

TEST_P(AdversarialPropTest, EveryPageHoldsWhatAnEagerCopyWouldHold) {
  const Setting setting = GetParam().setting;
  const uint64_t paged_out_before = g_paged_out;
  for (uint64_t seed = GetParam().first_seed; seed < GetParam().first_seed + kSeedsPerBatch;
       ++seed) {
    std::vector<Operation> operations = Draw(seed, kOperations);
    if (Failure(operations, setting, seed).empty()) continue;
    operations = Shrink(std::move(operations), setting, seed);
    std::string text = Failure(operations, setting, seed);
    for (const Operation& op : operations) text += "\n  " + op.Text();
    FAIL() << "seed " << seed << ": " << text;
  }
  EXPECT_EQ(g_paged_out > paged_out_before, setting.frames < kPlenty) << "memory was not short";
}

INSTANTIATE_TEST_SUITE_P(
    Seeds, AdversarialPropTest,
    ::testing::Values(Batch{{PmapKind::kFaithful}, 1}, Batch{{PmapKind::kAdverse}, 1},
                      Batch{{PmapKind::kForgetful}, 1}, Batch{{PmapKind::kForgetful}, 1001},
                      Batch{{PmapKind::kAdverse}, 1001}, Batch{{PmapKind::kAdverse}, 2001},
                      Batch{{PmapKind::kAdverse}, 3001}));

// The same with memory for a part of what is used, the rest on swap.
INSTANTIATE_TEST_SUITE_P(UnderPressure, AdversarialPropTest,
                         ::testing::Values(Batch{{PmapKind::kFaithful, kFewestFrames}, 1},
                                           Batch{{PmapKind::kAdverse, kFewestFrames}, 1},
                                           Batch{{PmapKind::kForgetful, 20}, 1}));

}  // namespace
}  // namespace uvm::testing
