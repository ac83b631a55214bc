// Random histories of a family of spaces in which every call of maps has its turn, with every
// option and many arguments that are refused: while memory runs out at a different place each time,
// stores fail, and the pmap forgets or refuses. Whatever fails has changed nothing; what succeeds
// has done what its caller can see at once; all invariants hold after each step, and nothing leaks.
// What each page must hold over a whole history is adversarial_prop_test.cc's business.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/device.h"
#include "uvm/io.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/page.h"
#include "uvm/swap.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/drought.h"
#include "uvm/testing/world.h"
#include "uvm/uio.h"
#include "uvm/voaddr.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPages = 40;
constexpr uint64_t kPage = base::kPageSize;
constexpr size_t kMostMembers = 5;
constexpr uint64_t kObjectPages = 12;

// Six pages; nobody may write to the last two.
class Panel final : public DeviceDriver {
 public:
  explicit Panel(const NaivePmap* pmap) : pmap_(pmap) {}
  bool Mmap(uint64_t, uint64_t offset, Prot prot, uint64_t* cookie) override {
    const uint64_t page = offset / kPage;
    if (page >= 6 || (prot.CanWrite() && page >= 4)) return false;
    *cookie = pmap_->device_frame(page % NaivePmap::kDeviceFrames).value();
    return true;
  }

 private:
  const NaivePmap* pmap_;
};

// What a client can see of one space, a character a page.
struct Picture {
  std::string contents;  // '_': nobody knows without touching it
  std::string prots;
  std::string maxima;
  std::string inherits;
  std::string advices;
  std::string wired;
};

bool SameContents(const std::string& a, const std::string& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != '_' && b[i] != '_') return false;
  }
  return true;
}

class SegmentList final : public Map::CoreVisitor {
 public:
  explicit SegmentList(uint64_t most) : most_(most) {}
  bool Visit(const Map::CoreSegment& segment) override {
    EXPECT_LE(end_, segment.range.start);
    EXPECT_FALSE(segment.range.empty());
    EXPECT_LE(segment.range.start, segment.contents_end);
    EXPECT_LE(segment.contents_end, segment.range.end);
    end_ = segment.range.end;
    bytes += segment.range.size();
    return ++count < most_;
  }
  uint64_t count = 0;
  uint64_t bytes = 0;

 private:
  const uint64_t most_;
  Vaddr end_;
};

class History {
 public:
  History(uint64_t seed, const Pressure& memory)
      : world_(memory), prng_(seed, "map_prop_test"), driver_(&world_.pmap()) {
    world_.StopChecking();
    // Sometimes before the first kernel map and the first window.
    if (seed % 5 == 0) drought_.emplace(&world_, &prng_, 3);
    if (seed % 3 == 1) {
      world_.ForgetAtRandom(seed, 32);
      world_.pmap().DelayInvalidations();
      world_.pmap().HideReferences();
    }
    fickle_ = seed % 3 == 2;
    if (fickle_) world_.BeAdverse(seed);
    if (drought_) {
      (void)world_.uvm().Kernel();
      (void)world_.uvm().Cache();
      drought_.reset();
    }
    for (uint64_t key = 1; key <= 2; ++key) objects_.push_back(world_.File(key));
    for (uint32_t flags : {0, 8}) {
      objects_.push_back(world_.uvm().CreateAobj(kObjectPages * kPage - 100, flags).value());
    }
    objects_.push_back(nullptr);
    below_ = world_.NewSpace(std::string(kPages, '.'));
    below_.Map({.at = 0, .pages = kPages});
    members_.push_back(world_.NewSpace(std::string(kPages, '.'), AnyDirection()));
    members_[0].Map({.at = 3, .pages = 9});
    members_.push_back(world_.NewSpace(std::string(kPages, '.'), AnyDirection()));
  }

  void Step() {
    if (drought_ ? prng_.Chance(1, 12) : prng_.Chance(1, 25)) {
      if (drought_) {
        drought_.reset();
      } else {
        drought_.emplace(&world_, &prng_, 1 + prng_.Below(6));
      }
    }
    if (fickle_ && prng_.Chance(1, 40)) world_.pmap().FailEnterAfter(prng_.Below(3));
    if (prng_.Chance(1, 20)) FailStore();
    if (world_.swap_device() != nullptr && prng_.Chance(1, 3)) world_.Squeeze();
    who_ = prng_.Below(members_.size());
    Draw();
    Look(&before_);
    what_ = "";
    Act();
  }
  std::string Violation() { return world_.Violation(); }
  // The last step, for messages.
  std::string What() const {
    return what_ + " of space " + std::to_string(who_) + " pages " + std::to_string(first_) + "+" +
           std::to_string(count_) + (drought_ ? " in a drought" : "");
  }

  std::string End() {
    drought_.reset();
    for (VoAddr& address : addresses_) world_.uvm().ReleaseAddress(&address);
    for (Loan& loan : loans_) world_.Return(&loan);
    for (const Space& member : members_) member.Exit();
    for (size_t i = 2; i < objects_.size(); ++i) {
      if (objects_[i] != nullptr) world_.uvm().ReleaseObject(objects_[i]);
    }
    const std::string left = world_.TearDownAndFindLeaks();
    return world_.uvm().swap().in_use() == PageCount(0) ? left : "slots of swap " + left;
  }
  uint64_t swapped_in() { return world_.uvm().counters().swap_in; }

 private:
  // ---- Choices ----

  Direction AnyDirection() {
    return prng_.Chance(1, 2) ? Direction::kBottomUp : Direction::kTopDown;
  }
  // Mostly a range of the space; now and then one that reaches beyond it, or lies outside.
  void Draw() {
    has_submap_ = false;
    first_ = static_cast<int64_t>(prng_.Below(kPages));
    count_ = prng_.Chance(1, 2) ? 1 + prng_.Below(3) : prng_.Below(kPages - first_ + 1);
    if (prng_.Chance(1, 16)) first_ -= 4;
    if (prng_.Chance(1, 16)) count_ += kPages / 2;
    to_ = static_cast<int64_t>(prng_.Below(kPages));
    WidenToSubmaps();
  }
  static bool HasSubmap(const Space& space) {
    for (MapEntry* entry = space->map().DebugFirst(); entry != nullptr;
         entry = Map::DebugNext(entry)) {
      if (entry->submap != nullptr) return true;
    }
    return false;
  }
  // Nobody may cut a submap in two.
  void WidenToSubmaps() {
    for (const MapEntry* entry = map().DebugFirst(); entry != nullptr;
         entry = Map::DebugNext(const_cast<MapEntry*>(entry))) {
      if (entry->submap == nullptr || !entry->range().Overlaps(Chosen())) continue;
      const auto start = static_cast<int64_t>((entry->start - kPageZero) / kPage);
      const auto end = static_cast<int64_t>((entry->end - kPageZero) / kPage);
      const int64_t last = std::max(first_ + static_cast<int64_t>(count_), end);
      first_ = std::min(first_, start);
      count_ = static_cast<uint64_t>(last - first_);
      has_submap_ = true;
    }
  }
  static Vaddr At(int64_t page) { return kPageZero + static_cast<uint64_t>(page) * kPage; }
  Range Chosen() const { return {At(first_), At(first_) + count_ * kPage}; }
  Map& map() { return members_[who_]->map(); }
  Prot AnyProt() {
    if (prng_.Chance(1, 2)) return base::kProtReadWrite;
    return Prot(static_cast<uint8_t>(prng_.Below(8)));
  }
  uint32_t AnyOf(std::initializer_list<uint32_t> flags, uint64_t one_in) {
    uint32_t chosen = 0;
    for (uint32_t flag : flags) chosen |= prng_.Chance(1, one_in) ? flag : 0;
    return chosen;
  }
  bool Inside() const { return first_ >= 0 && static_cast<uint64_t>(first_) + count_ <= kPages; }

  // ---- What can be seen ----

  static char LetterOf(Prot prot) { return static_cast<char>('0' + prot.bits()); }
  char ContentsAt(const Space& space, uint64_t page, const MapEntry& entry) {
    if (entry.submap != nullptr) return '/';
    const Page* resident = world_.ResidentAt(space, page);
    if (resident != nullptr) return world_.LetterOf(world_.uvm().DebugPages().Contents(resident));
    if (world_.SlotAt(space, page) != kNoSlot) return world_.PageLetter(space, page);
    if (entry.object == nullptr) return entry.bare ? '-' : '0';
    return '_';
  }
  void Look(std::vector<Picture>* out) {
    out->clear();
    for (const Space& space : members_) {
      Picture picture;
      for (uint64_t page = 0; page < kPages; ++page) {
        const MapEntry* entry = world_.EntryAt(space, page);
        picture.contents += entry == nullptr ? '.' : ContentsAt(space, page, *entry);
        picture.prots += entry == nullptr ? '.' : LetterOf(entry->prot);
        picture.maxima += entry == nullptr ? '.' : LetterOf(entry->max_prot);
        picture.inherits +=
            entry == nullptr ? '.' : static_cast<char>('0' + static_cast<int>(entry->inherit));
        picture.advices +=
            entry == nullptr ? '.' : static_cast<char>('0' + static_cast<int>(entry->advice));
        picture.wired += entry == nullptr ? '.' : entry->wired_count > 0 ? 'w' : '-';
      }
      out->push_back(std::move(picture));
    }
  }
  // Everything is as it was before the step. `but_contents`: where contents may have gone.
  void ExpectNothingChanged(const std::string& why) {
    std::vector<Picture> after;
    Look(&after);
    ASSERT_EQ(after.size(), before_.size());
    for (size_t i = 0; i < after.size(); ++i) {
      EXPECT_TRUE(SameContents(after[i].contents, before_[i].contents))
          << why << ", space " << i << ":\n"
          << before_[i].contents << "\n"
          << after[i].contents;
      EXPECT_EQ(after[i].prots, before_[i].prots) << why << ", space " << i;
      EXPECT_EQ(after[i].maxima, before_[i].maxima) << why << ", space " << i;
      EXPECT_EQ(after[i].inherits, before_[i].inherits) << why << ", space " << i;
      EXPECT_EQ(after[i].advices, before_[i].advices) << why << ", space " << i;
      EXPECT_EQ(after[i].wired, before_[i].wired) << why << ", space " << i;
    }
  }
  void ExpectSameContents(const std::string& why) {
    std::vector<Picture> after;
    Look(&after);
    for (size_t i = 0; i < std::min(after.size(), before_.size()); ++i) {
      EXPECT_TRUE(SameContents(after[i].contents, before_[i].contents))
          << why << ", space " << i << ":\n"
          << before_[i].contents << "\n"
          << after[i].contents;
    }
  }
  void Judge(MapError error) {
    EXPECT_TRUE(error != MapError::kNoMemory || MayRunOut()) << "memory ran out";
    ExpectNothingChanged(std::string("failed with ") + base::MapErrorName(error));
  }
  // In droughts, where pmap or store said so, and where a whole space more may be too much.
  bool MayRunOut() {
    PageStore& pages = world_.uvm().DebugPages();
    uint64_t held = 0;
    pages.DebugForEach(
        [&](const Page& page) { held += page.wire_count != 0 || page.loan_count != 0 ? 1 : 0; });
    return drought_ || fickle_ || store_ran_out_ ||
           held + kPages + kFewestFrames > pages.total().value() / 3;
  }
  // Every page of the range that was mapped before shows `letter(page)` in `seen` now.
  template <typename Letter>
  void ExpectPages(const std::string& seen, const char* what, Letter letter) {
    for (uint64_t page = 0; page < kPages; ++page) {
      if (!Chosen().Contains(PageAt(page)) || before_[who_].prots[page] == '.') continue;
      EXPECT_EQ(seen[page], letter(page)) << what << " of page " << page;
    }
  }
  Picture After() {
    std::vector<Picture> after;
    Look(&after);
    return after[who_];
  }

  // ---- Steps ----

  void Act();
  void FailStore() {
    constexpr PagerError kErrors[] = {PagerError::kIo, PagerError::kNoMemory, PagerError::kAgain,
                                      PagerError::kIo};
    const uint64_t after = prng_.Below(9);
    const uint64_t which = prng_.Below(4);
    world_.pager().FailOnce(after, kErrors[which]);
    store_ran_out_ = store_ran_out_ || which == 1;
  }
  void Enter();
  void Unmap();
  void Protect();
  void Inherits();
  void Advises();
  void Clean();
  void Discard();
  void Asks();
  void Pageable();
  void PageableAll();
  void Reserve();
  void Extract();
  void Remap();
  void Fork();
  void Share();
  void Exec();
  void Exit();
  void Address();
  void Core();
  void List();
  void Find();
  void Touch();
  void Lend();
  void Return();
  void Copies();
  void Peek();
  void Sizes();

  World world_;
  base::Prng prng_;
  Panel driver_;
  std::vector<Object*> objects_;  // the last is the device, while it is mapped
  Space below_{&world_, nullptr, 0};
  std::vector<Space> members_;
  std::optional<Drought> drought_;
  bool fickle_ = false;
  std::vector<VoAddr> addresses_;
  std::vector<Loan> loans_;
  // Of the step under way.
  std::vector<Picture> before_;
  std::string what_;
  size_t who_ = 0;
  int64_t first_ = 0;
  uint64_t count_ = 0;
  int64_t to_ = 0;
  bool has_submap_ = false;  // in the range chosen
  bool store_ran_out_ = false;
};

void History::Act() {
  struct Row {
    const char* name;
    void (History::*act)();
    uint32_t weight;
  };
  constexpr Row kRows[] = {
      {"enter", &History::Enter, 14},    {"unmap", &History::Unmap, 5},
      {"protect", &History::Protect, 6}, {"inherit", &History::Inherits, 4},
      {"advise", &History::Advises, 3},  {"clean", &History::Clean, 4},
      {"discard", &History::Discard, 2}, {"ask", &History::Asks, 2},
      {"wire", &History::Pageable, 7},   {"wire all", &History::PageableAll, 3},
      {"reserve", &History::Reserve, 3}, {"extract", &History::Extract, 8},
      {"remap", &History::Remap, 9},     {"fork", &History::Fork, 4},
      {"share", &History::Share, 2},     {"exec", &History::Exec, 1},
      {"exit", &History::Exit, 3},       {"address", &History::Address, 3},
      {"core", &History::Core, 2},       {"list", &History::List, 1},
      {"find", &History::Find, 4},       {"touch", &History::Touch, 22},
      {"lend", &History::Lend, 4},       {"return", &History::Return, 3},
      {"copy", &History::Copies, 5},     {"peek", &History::Peek, 3},
      {"size", &History::Sizes, 2},
  };
  uint32_t total = 0;
  for (const Row& row : kRows) total += row.weight;
  uint64_t at = prng_.Below(total);
  const Row* row = kRows;
  while (at >= row->weight) at -= (row++)->weight;
  what_ = row->name;
  (this->*row->act)();
}

void History::Enter() {
  constexpr Map::Where kWheres[] = {Map::Where::kFixed, Map::Where::kFixedReplace,
                                    Map::Where::kHint, Map::Where::kAnywhere, Map::Where::kNear};
  Map::EnterOptions options;
  options.at = At(first_) + (prng_.Chance(1, 40) ? 5 : 0);
  options.size = count_ * kPage + (prng_.Chance(1, 40) ? 7 : 0);
  if (prng_.Chance(1, 60)) options.size = ~uint64_t{0} << base::kPageShift;
  options.where = kWheres[prng_.Below(5)];
  options.prot = AnyProt();
  if (prng_.Chance(1, 4)) options.max_prot = AnyProt() | base::kProtRead;
  constexpr Inherit kInherits[] = {Inherit::kShare, Inherit::kCopy, Inherit::kNone, Inherit::kZero};
  options.inherit = kInherits[prng_.Below(4)];
  options.sharing = prng_.Chance(1, 3) ? Sharing::kShared : Sharing::kPrivate;
  options.advice = static_cast<Advice>(prng_.Below(3));
  if (prng_.Chance(1, 4)) options.align = prng_.Chance(1, 8) ? 3 * kPage : kPage << prng_.Below(4);
  options.flags =
      AnyOf({kEnterOverlay, kEnterNoMerge, kEnterAmapPad, kEnterTryLock, kEnterNoWait}, 8) |
      AnyOf({kEnterColorMatch, kEnterBeyondMax, kEnterBare}, 16);
  if ((options.flags & kEnterColorMatch) != 0) options.align = prng_.Below(2);
  Object* object = prng_.Chance(1, 2) ? nullptr : objects_[prng_.Below(objects_.size())];
  if (object == nullptr && prng_.Chance(1, 5)) {
    DeviceDriver* const driver = prng_.Chance(1, 10) ? nullptr : &driver_;
    const uint64_t device = prng_.Below(2);
    const uint64_t offset = prng_.Below(7) * kPage;
    object = world_.uvm().AttachDevice(driver, device, options.prot, offset, kPage);
  } else if (object != nullptr) {
    world_.uvm().ReferenceObject(object);
  }
  if ((options.flags & kEnterBare) != 0 && object != nullptr) {
    world_.uvm().ReleaseObject(object);
    object = nullptr;
  }
  options.object = object;
  options.offset = prng_.Below(kObjectPages) * kPage;
  if (prng_.Chance(1, 40)) options.offset = ~uint64_t{0} << base::kPageShift;
  if (prng_.Chance(1, 60)) options.offset += 9;
  Result<Vaddr, MapError> at = map().Enter(options);
  if (!at.ok()) {
    if (object != nullptr) world_.uvm().ReleaseObject(object);
    return Judge(at.error());
  }
  const Range range = {at.value(), at.value() + options.size};
  EXPECT_TRUE(map().IsMapped(range));
  const Picture after = After();
  for (uint64_t page = 0; page < kPages; ++page) {
    const bool mine = range.Contains(PageAt(page));
    EXPECT_EQ(after.prots[page], mine ? LetterOf(options.prot) : before_[who_].prots[page]);
    if (mine && options.where != Map::Where::kFixedReplace) {
      EXPECT_EQ(before_[who_].prots[page], '.') << "mapped over page " << page;
    }
    if (mine && object == nullptr) {
      EXPECT_EQ(after.contents[page], (options.flags & kEnterBare) != 0 ? '-' : '0');
    }
  }
}

void History::Unmap() {
  Result<void, MapError> done = map().Unmap(Chosen());
  if (!done.ok()) return Judge(done.error());
  ExpectPages(After().prots, "rights", [](uint64_t) { return '.'; });
}

void History::Protect() {
  const Prot prot = AnyProt();
  const SetMax set_max = prng_.Chance(1, 6) ? SetMax::kYes : SetMax::kNo;
  Result<void, MapError> done = map().Protect(Chosen(), prot, set_max);
  if (!done.ok() && !(map().wires_future() && done.error() == MapError::kNoMemory)) {
    return Judge(done.error());
  }
  if (!done.ok() || set_max == SetMax::kYes) return ExpectSameContents("protecting");
  ExpectPages(After().prots, "rights", [prot](uint64_t) { return LetterOf(prot); });
}

void History::Inherits() {
  const auto inherit = static_cast<Inherit>(prng_.Below(6));
  Result<void, MapError> done = map().SetInherit(Chosen(), inherit);
  if (!done.ok()) return Judge(done.error());
  ExpectPages(After().inherits, "inheritance",
              [inherit](uint64_t) { return static_cast<char>('0' + static_cast<int>(inherit)); });
}

void History::Advises() {
  if (prng_.Chance(1, 3)) {
    map().WillNeed(Chosen());
    return ExpectSameContents("willneed");
  }
  const auto advice = static_cast<Advice>(prng_.Below(prng_.Chance(1, 8) ? 6 : 3));
  Result<void, MapError> done = map().SetAdvice(Chosen(), advice);
  if (!done.ok()) return Judge(done.error());
  ExpectPages(After().advices, "advice", [advice, this](uint64_t page) {
    return advice <= Advice::kSequential ? static_cast<char>('0' + static_cast<int>(advice))
                                         : before_[who_].advices[page];
  });
}

void History::Clean() {
  const uint32_t flags = AnyOf({kPgoCleanIt, kPgoFree, kPgoSyncIo, kPgoDeactivate}, 2);
  Result<void, MapError> done = map().Clean(Chosen(), flags);
  if (!done.ok() && done.error() != MapError::kIo && done.error() != MapError::kBusy) {
    return Judge(done.error());
  }
  if ((flags & kPgoFree) == 0) ExpectSameContents("cleaning");
}

void History::Discard() { (void)map().Discard(Chosen()); }

// Observers, against the picture.
void History::Asks() {
  if (!Inside()) {
    EXPECT_FALSE(map().CheckProt(Chosen(), base::kProtRead));
    return;
  }
  bool mapped = true, free = true, readable = true;
  for (uint64_t page = 0; page < kPages; ++page) {
    if (!Chosen().Contains(PageAt(page))) continue;
    const char prot = before_[who_].prots[page];
    mapped = mapped && prot != '.';
    free = free && prot == '.';
    readable = readable && prot != '.' && ((prot - '0') & 1) != 0;
  }
  EXPECT_EQ(map().IsMapped(Chosen()), mapped);
  EXPECT_EQ(map().IsFree(Chosen()), free);
  if (count_ > 0) {
    EXPECT_EQ(map().CheckProt(Chosen(), base::kProtRead), readable);
  }
  bool resident = false;
  EXPECT_EQ(map().IsResident(At(first_), &resident), before_[who_].prots[first_] != '.');
  Map::Region region;
  if (map().FindRegion(At(first_), &region)) {
    EXPECT_GT(region.range.end, At(first_));
  }
  ExpectNothingChanged("asking");
}

void History::Pageable() {
  const Wiring wiring = prng_.Chance(1, 3) ? Wiring::kUnwire : Wiring::kWire;
  Result<void, MapError> done = map().Pageable(Chosen(), wiring);
  if (!done.ok()) return Judge(done.error());
  ExpectSameContents("wiring");
  ExpectPages(After().wired, "wiring",
              [wiring](uint64_t) { return wiring == Wiring::kWire ? 'w' : '-'; });
}

void History::PageableAll() {
  const auto flags = static_cast<uint32_t>(prng_.Below(4));
  const uint64_t limit = prng_.Chance(1, 3) ? prng_.Below(kPages) * kPage : 0;
  Result<void, MapError> done = map().PageableAll(flags, limit);
  if (!done.ok()) return limit != 0 ? ExpectNothingChanged("limited") : Judge(done.error());
  if ((flags & Map::kWireFuture) == 0 && prng_.Chance(1, 2)) map().ClearWiresFuture();
  ExpectSameContents("wiring everything");
}

// A reservation, and sometimes another map behind it.
void History::Reserve() {
  constexpr Map::Where kWheres[] = {Map::Where::kFixed, Map::Where::kAnywhere, Map::Where::kNear};
  Result<Vaddr, MapError> at =
      map().Reserve({.at = At(first_), .size = count_ * kPage, .where = kWheres[prng_.Below(3)]});
  if (!at.ok()) return Judge(at.error());
  if (!prng_.Chance(1, 3)) return;
  Range range = {at.value(), at.value() + count_ * kPage};
  const bool exact = prng_.Chance(4, 5);
  if (!exact) range.end = range.end + kPage;
  EXPECT_EQ(map().Submap(range, &below_->map()).ok(), exact);
}

void History::Extract() {
  const size_t other = prng_.Below(members_.size());
  Map* target = &members_[other]->map();
  uint32_t flags = AnyOf({Map::kExtractRemove, Map::kExtractContiguous, Map::kExtractQuickRef,
                          Map::kExtractFixProt, Map::kExtractProtAll},
                         4);
  Vaddr to = At(to_);
  bool reserved = false;
  if (prng_.Chance(1, 3)) {
    flags |= Map::kExtractReserved;
    reserved =
        target->Reserve({.at = to, .size = count_ * kPage, .where = Map::Where::kFixed}).ok();
    Look(&before_);
  }
  Range from = Chosen();
  if (prng_.Chance(1, 30)) from.start = from.start + 1;
  Result<Vaddr, MapError> done = map().Extract(from, target, to, flags);
  if (!done.ok()) {
    // The source's own edge may have split the reservation, which shows nowhere else.
    Judge(done.error());
    if (reserved) (void)target->Unmap({to, to + count_ * kPage});
    return;
  }
  // The reservation of what has no page at all may lie right there.
  if (target == &map() && done.value() == from.start) return;
  std::vector<Picture> after;
  Look(&after);
  const uint64_t offset = (done.value() - kPageZero) / kPage;
  for (uint64_t i = 0; i < count_; ++i) {
    const auto page = static_cast<uint64_t>(first_) + i;
    if (first_ + static_cast<int64_t>(i) < 0 || page >= kPages || offset + i >= kPages) continue;
    const char was = before_[who_].contents[page];
    const char is = after[other].contents[offset + i];
    // '-': perhaps the reservation itself.
    EXPECT_TRUE(was == is || was == '_' || is == '_' || was == '-')
        << "page " << page << ": " << was << is << " flags " << flags << " to " << offset;
    if ((flags & Map::kExtractRemove) != 0 &&
        !(other == who_ && page >= offset && page < offset + count_)) {
      EXPECT_EQ(after[who_].contents[page], '.');
    }
  }
}

void History::Remap() {
  Map::RemapOptions options;
  options.from = Chosen();
  options.to = At(to_);
  options.new_size = prng_.Chance(1, 3) ? count_ * kPage : prng_.Below(kPages) * kPage;
  options.where =
      prng_.Chance(1, 2) ? Map::RemapOptions::Where::kFixed : Map::RemapOptions::Where::kMayMove;
  options.duplicate = prng_.Chance(1, 4);
  if (prng_.Chance(1, 4)) options.align = kPage << prng_.Below(4);
  if (!Inside() || has_submap_) return;
  Result<Vaddr, MapError> done = map().Remap(options);
  if (!done.ok()) return Judge(done.error());
  const Picture after = After();
  const uint64_t to = (done.value() - kPageZero) / kPage;
  for (uint64_t i = 0; i < std::min(count_, options.new_size / kPage); ++i) {
    const char was = before_[who_].contents[static_cast<uint64_t>(first_) + i];
    const char is = after.contents[to + i];
    if (was == '.') continue;
    EXPECT_TRUE(was == is || was == '_' || is == '_') << "page " << first_ + i << ": " << was << is;
  }
}

void History::Fork() {
  if (members_.size() == kMostMembers) return;
  Result<uvm::Space*, MapError> child = world_.uvm().ForkSpace(members_[who_].get());
  if (!child.ok()) return Judge(child.error());
  ExpectSameContents("forking");
  members_.emplace_back(&world_, child.value(), kPages);
  std::vector<Picture> after;
  Look(&after);
  for (uint64_t page = 0; page < kPages; ++page) {
    const char inherit = before_[who_].inherits[page];
    const char was = before_[who_].contents[page];
    const char is = after.back().contents[page];
    if (was == '/' || inherit == '.' || inherit == '0' + static_cast<int>(Inherit::kNone)) {
      EXPECT_EQ(is, '.') << page << " was " << was << " inherit " << inherit;
    } else if (inherit == '0' + static_cast<int>(Inherit::kZero)) {
      EXPECT_EQ(is, '0') << page;
    } else {
      // A copy of what only reserves space is memory.
      EXPECT_TRUE(was == is || was == '_' || is == '_' || (was == '-' && is == '0'))
          << page << was << is;
    }
  }
}

// Another task runs in the space; or leaves it for one of its own.
void History::Share() {
  if (members_.size() < kMostMembers && prng_.Chance(1, 2)) {
    world_.uvm().ReferenceSpace(members_[who_].get());
    members_.push_back(members_[who_]);
    return;
  }
  Result<uvm::Space*, MapError> alone = world_.uvm().UnshareSpace(members_[who_].get());
  if (!alone.ok()) return Judge(alone.error());
  EXPECT_EQ(alone.value()->refs, 1u);
  members_[who_] = Space(&world_, alone.value(), kPages);
}

void History::Exec() {
  if (members_[who_]->refs == 1 && prng_.Chance(1, 2)) {
    EXPECT_TRUE(world_.uvm().ExecSpace(members_[who_].get()).ok());
  } else {
    Result<uvm::Space*, MapError> fresh =
        world_.uvm().ExecSpace(members_[who_].get(), kPageZero, PageAt(kPages), AnyDirection());
    if (!fresh.ok()) return Judge(fresh.error());
    members_[who_] = Space(&world_, fresh.value(), kPages);
  }
  EXPECT_EQ(After().contents, std::string(kPages, '.'));
  EXPECT_FALSE(map().wires_future());
}

void History::Exit() {
  if (members_.size() < 3) return;
  members_[who_].Exit();
  members_.erase(members_.begin() + static_cast<ptrdiff_t>(who_));
}

// Two addresses are the same memory exactly when one page stands behind both.
void History::Address() {
  if (!addresses_.empty() && prng_.Chance(1, 2)) {
    world_.uvm().ReleaseAddress(&addresses_.back());
    addresses_.pop_back();
    return;
  }
  const size_t other = prng_.Below(members_.size());
  VoAddr one, two, again;
  const auto acquire = [this](size_t who, int64_t page, VoAddr* out) {
    return world_.uvm().AcquireAddress(members_[who].get(), At(page) + 8, out);
  };
  const bool have =
      acquire(who_, first_, &one) && acquire(other, to_, &two) && acquire(who_, first_, &again);
  if (have && first_ >= 0) {
    const Page* here = world_.ResidentAt(members_[who_], static_cast<uint64_t>(first_));
    const Page* there = world_.ResidentAt(members_[other], static_cast<uint64_t>(to_));
    if (here != nullptr && there != nullptr) {
      EXPECT_EQ(again == two, here == there);
    }
  }
  for (VoAddr* address : {&one, &two}) {
    if (!address->empty()) world_.uvm().ReleaseAddress(address);
  }
  if (!again.empty()) addresses_.push_back(again);
  ExpectSameContents("naming an address");
}

void History::Core() {
  SegmentList all(~uint64_t{0});
  EXPECT_TRUE(map().WalkForCore(Chosen(), &all));
  EXPECT_EQ(all.count, map().CountCoreSegments());
  if (all.count > 1) {
    SegmentList first(1);
    EXPECT_FALSE(map().WalkForCore(Chosen(), &first));
  }
  ExpectNothingChanged("walking");
}

void History::List() {
  Map::EntryInfo rows[kPages];
  const uint64_t capacity = prng_.Chance(1, 2) ? kPages : prng_.Below(6);
  Result<uint64_t, MapError> listed = map().List(rows, capacity);
  const uint64_t count = map().DebugCount();
  if (count > capacity) {
    EXPECT_EQ(listed.error(), MapError::kNoSpace);
  } else {
    EXPECT_EQ(listed.value(), count);
  }
  const MapEntry* entry = map().DebugFirst();
  for (uint64_t i = 0; i < std::min(count, capacity); ++i) {
    EXPECT_EQ(rows[i].range, entry->range());
    EXPECT_EQ(rows[i].prot, entry->prot);
    entry = Map::DebugNext(const_cast<MapEntry*>(entry));
  }
}

void History::Find() {
  const uint64_t align = prng_.Chance(1, 2) ? 0 : kPage << prng_.Below(4);
  Map::FindOptions options;
  options.hint = At(first_);
  options.size = count_ * kPage;
  options.align = align;
  options.fixed = prng_.Chance(1, 6);
  Vaddr found;
  const bool any = map().FindSpace(options, &found);
  if (count_ == 0 || options.fixed) return;
  const auto fits = [&](int64_t page) {
    if (page < 0 || static_cast<uint64_t>(page) + count_ > kPages) return false;
    if (align != 0 && (At(page).value() & (align - 1)) != 0) return false;
    for (uint64_t i = 0; i < count_; ++i) {
      if (before_[who_].prots[static_cast<uint64_t>(page) + i] != '.') return false;
    }
    return true;
  };
  const bool down = map().direction() == Direction::kTopDown;
  int64_t page = std::max<int64_t>(first_, 0);  // a hint below the map counts as its start
  while (page >= -4 && page <= static_cast<int64_t>(kPages) && !fits(page)) page += down ? -1 : 1;
  if (down && first_ > static_cast<int64_t>(kPages)) return;
  EXPECT_EQ(any, fits(page)) << "hint " << first_ << " align " << align;
  if (any && fits(page)) {
    EXPECT_EQ(found, At(page));
  }
}

void History::Touch() {
  if (first_ < 0) {
    EXPECT_FALSE(world_.uvm().Fault(members_[who_].get(), At(first_), Access::kRead).ok());
    return;
  }
  const auto page = static_cast<uint64_t>(first_);
  if (prng_.Chance(1, 30) && !has_submap_) {
    (void)world_.uvm().FaultMaxProt(members_[who_].get(), At(first_), Access::kWrite);
    return ExpectSameContents("a debugger's fault");
  }
  constexpr Access kAccesses[] = {Access::kRead, Access::kWrite, Access::kWrite, Access::kExecute};
  const Access access = kAccesses[prng_.Below(4)];
  const auto letter = static_cast<char>('a' + prng_.Below(26));
  const MapEntry* entry = world_.EntryAt(members_[who_], page);
  // Its translations would be this pmap's, which no invariant knows how to check.
  if (entry != nullptr && entry->submap != nullptr) return;
  const std::string outcome = world_.AccessPage(members_[who_], page, access, letter);
  if (entry == nullptr) {
    EXPECT_EQ(outcome, "no_entry");
  }
  if (outcome != "ok" || access != Access::kWrite)
    return ExpectSameContents("touching: " + outcome);
  std::vector<Picture> after;
  Look(&after);
  const bool device = world_.ResidentAt(members_[who_], page) == nullptr;
  if (!device) {
    EXPECT_EQ(after[who_].contents[page], letter);
  }
  for (size_t i = 0; i < after.size(); ++i) {
    for (uint64_t other = 0; other < kPages; ++other) {
      const char was = before_[i].contents[other];
      const char is = after[i].contents[other];
      EXPECT_TRUE(was == is || was == '_' || is == '_' || is == letter)
          << "space " << i << " page " << other << ": " << was << is;
    }
  }
}

void History::Lend() {
  if (loans_.size() == 6 || count_ == 0 || first_ < 0) return;
  Loan loan;
  if (prng_.Chance(1, 3)) {
    Object* object = objects_[prng_.Below(objects_.size())];
    if (object == nullptr) return;
    const auto count = static_cast<uint32_t>(1 + prng_.Below(20));
    std::vector<Page*> pages(count);
    if (world_.uvm()
            .loans()
            .LendObjectPages(object, PageIndex(prng_.Below(6)), count, pages.data())
            .ok()) {
      loan.pages = pages;
      loans_.push_back(loan);
    }
    return ExpectNothingChanged("lending of an object");
  }
  const auto first = static_cast<uint64_t>(first_);
  const std::string outcome = prng_.Chance(1, 2)
                                  ? members_[who_].TryLend(first, count_, &loan)
                                  : members_[who_].TryLendAnons(first, count_, &loan);
  if (outcome == "ok") loans_.push_back(loan);
  ExpectNothingChanged("lending: " + outcome);
}

void History::Return() {
  if (loans_.empty()) return;
  const size_t which = prng_.Below(loans_.size());
  world_.Return(&loans_[which]);
  loans_.erase(loans_.begin() + static_cast<ptrdiff_t>(which));
  ExpectNothingChanged("giving a loan back");
}

// A copy of a range, mapped somewhere, put over something, or thrown away.
void History::Copies() {
  if (has_submap_) return;
  Snapshot copy;
  Result<void, MapError> done = world_.uvm().CopyIn(members_[who_].get(), Chosen(), &copy);
  ExpectSameContents("copying");
  if (!done.ok()) return Judge(done.error());
  const uint64_t size = copy.size;
  const Space& other = members_[prng_.Below(members_.size())];
  Result<void, MapError> put;
  switch (prng_.Below(3)) {
    case 0:
      break;
    case 1: {
      Result<Vaddr, MapError> at = other->map().CopyOut(&copy, base::kProtReadWrite);
      if (!at.ok()) put = at.error();
      break;
    }
    default:
      if (static_cast<uint64_t>(to_) + size / kPage > kPages || size == 0) break;
      if (!HasSubmap(other)) put = world_.uvm().Overwrite(other.get(), At(to_), &copy);
  }
  if (!put.ok()) Judge(put.error());
  map().DropSnapshot(&copy);
}

// As a debugger, or a device driver, through the kernel's map.
void History::Peek() {
  KernelMemory* kernel = world_.uvm().Kernel();
  if (kernel == nullptr) return;
  SpaceIo io(kernel);
  const uint64_t bytes = count_ * kPage / 2 + prng_.Below(100);
  const Vaddr at = At(first_) + prng_.Below(kPage);
  if (prng_.Chance(1, 3)) {
    const Access access = prng_.Chance(1, 2) ? Access::kRead : Access::kWrite;
    Result<Vaddr, MapError> locked = io.MapLocked(&map(), at, bytes, access);
    if (!locked.ok()) return Judge(locked.error());
    io.UnmapLocked(locked.value(), bytes);
    return ExpectSameContents("locking");
  }
  BufferPeer peer;
  if (prng_.Chance(1, 6)) peer.FailAfter(static_cast<int>(prng_.Below(3)));
  Uio uio{&peer, at.value(), bytes};
  if (prng_.Chance(1, 40)) uio.offset = ~uint64_t{0} - 5;
  (void)io.Io(&map(), &uio, Access::kRead, AnyOf({Map::kExtractProtAll}, 3));
  ExpectSameContents("peeking");
}

// Anonymous objects become longer and shorter.
void History::Sizes() {
  Object* object = objects_[2 + prng_.Below(2)];
  (void)world_.uvm().TruncateAobj(object, prng_.Below(kObjectPages * kPage));
}

class MapPropTest : public ::testing::TestWithParam<Pressure> {};

TEST_P(MapPropTest, WhatFailsChangesNothingAndWhatSucceedsShows) {
  const bool swaps = GetParam().swap_pages != 0;
  uint64_t seeds = swaps ? 120 : 240, steps = 200, swapped_in = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    History history(seed, GetParam());
    for (uint64_t step = 0; step < steps; ++step) {
      history.Step();
      EXPECT_EQ(history.Violation(), "");
      ASSERT_FALSE(::testing::Test::HasFailure())
          << "seed " << seed << " step " << step << " " << history.What();
    }
    swapped_in += history.swapped_in();
    ASSERT_EQ(history.End(), "") << "seed " << seed;
  }
  EXPECT_EQ(swapped_in > seeds, swaps) << swapped_in;
}

INSTANTIATE_TEST_SUITE_P(PlentyAndScarce, MapPropTest,
                         ::testing::Values(Pressure{220, /*swap_pages=*/0}, Pressure{120}));

}  // namespace
}  // namespace uvm::testing
