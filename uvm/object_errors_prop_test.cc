// Random histories of objects and kernel memory while stores fail, memory and addresses run out and
// whoever supplies data breaks off: gets with every flag, puts, sizes, windows of the buffer cache,
// wirings, loans, kernel allocations, the pager's map. Every page shows only what somebody once
// wrote to it, all invariants hold after each step, and nothing leaks.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/page_object.h"
#include "uvm/pager.h"
#include "uvm/pager_map.h"
#include "uvm/readahead.h"
#include "uvm/stored.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/drought.h"
#include "uvm/testing/object_world.h"
#include "uvm/testing/world.h"
#include "uvm/ubc.h"
#include "uvm/uio.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr uint64_t kMostPages = 40;

// Fails one request in so many while it is ill.
class IllStore final : public Store {
 public:
  explicit IllStore(base::Prng* prng) : prng_(prng) {}
  Result<void, PagerError> ReadPage(Object*, PageIndex index, unsigned char* contents) override {
    if (Fails()) return error_;
    auto page = pages_.find(index.value());
    std::memset(contents, page == pages_.end() ? 0 : page->second, kPage);
    return {};
  }
  Result<void, PagerError> WritePage(Object*, PageIndex index,
                                     const unsigned char* contents) override {
    if (Fails()) return error_;
    const char letter = LetterOfPage(contents);
    pages_[index.value()] = letter == '0' ? '\0' : letter;
    return {};
  }
  uint64_t SizeInBytes(const Object*) const override { return size; }
  void Detach(Object*) override {}
  uint32_t BlockPages(const Object*) const override { return block; }
  bool IsHole(const Object*, PageIndex index) const override {
    return holes && !pages_.contains(index.value());
  }
  Result<void, PagerError> AllocateBlock(Object*, PageIndex index) override {
    if (Fails()) return PagerError::kIo;
    pages_.emplace(index.value(), '\0');
    return {};
  }
  bool ReadsAhead(const Object*) const override { return holes; }
  bool WantsFirstWrite(const Object*) const override { return holes; }
  // What reading the page would give.
  char LetterAt(uint64_t page) const {
    auto at = pages_.find(page);
    return at == pages_.end() || at->second == '\0' ? '0' : at->second;
  }
  void BeIll() {
    ill_ = true;
    error_ = prng_->Chance(1, 3) ? PagerError::kNoMemory : PagerError::kIo;
  }
  void Heal() { ill_ = false; }
  void Cut(uint64_t bytes) {
    size = bytes;
    pages_.erase(pages_.lower_bound((bytes + kPage - 1) / kPage), pages_.end());
  }

  uint64_t size = kMostPages * kPage;
  uint32_t block = 1;
  bool holes = false;

 private:
  bool Fails() const { return ill_ && prng_->Chance(1, 3); }
  base::Prng* const prng_;
  bool ill_ = false;
  PagerError error_ = PagerError::kIo;
  std::map<uint64_t, char> pages_;
};

class History {
 public:
  History(uint64_t seed, const Pressure& memory)
      : prng_(seed, "object_errors_prop_test"),
        world_(memory),
        store_(&prng_),
        other_store_(&prng_) {
    world_.StopChecking();
    if (seed % 3 == 1) world_.ForgetAtRandom(seed);
    if (seed % 3 == 2) world_.pmap().FailEntersAtRandom(seed, 12);
    if (seed % 6 == 3) world_.BeAdverse(seed);
    store_.block = uint32_t{1} << prng_.Below(4);
    store_.holes = prng_.Chance(1, 2);
    kernel_ = world_.uvm().Kernel();
    EXPECT_NE(world_.uvm().Cache(), nullptr);
    submap_ = kernel_->Suballocate(kernel_->map(), 60 * kPage);
    // Some of its space, so that even one more mapping may not fit.
    pager_map_.emplace(kernel_);
    objects_ = {world_.uvm().CreateStoredObject(&store_, 1).value(),
                world_.uvm().CreateStoredObject(&other_store_, 2).value(),
                world_.uvm().CreateAobj(kMostPages * kPage, 0).value()};
    sizes_ = {kMostPages, kMostPages, kMostPages};
    written_.resize(objects_.size());
    for (size_t i = 0; i < objects_.size(); ++i) {
      spaces_.push_back(world_.NewSpace(std::string(kMostPages, '.')));
      spaces_[i].Map({.pages = kMostPages, .sharing = Sharing::kShared, .file = objects_[i]});
    }
  }

  void Step() {
    if (drought_ ? prng_.Chance(1, 10) : prng_.Chance(1, 25)) {
      if (drought_) {
        drought_.reset();
      } else {
        drought_.emplace(&world_, &prng_, prng_.Below(5));
      }
    }
    if (world_.swap_device() != nullptr && prng_.Chance(1, 8)) world_.Squeeze();
    if (prng_.Chance(1, 15)) store_.BeIll();
    if (prng_.Chance(1, 10)) store_.Heal();
    which_ = prng_.Below(objects_.size());
    object_ = objects_[which_];
    step_ = prng_.Below(15);
    switch (step_) {
      case 0:
      case 1:
        return Move(kUbcWrite);
      case 2:
        return Move(kUbcRead);
      case 3:
        return ZeroRange();
      case 4:
      case 5:
        return Get();
      case 6:
        return Put();
      case 7:
        return Resize();
      case 8:
        return WireOrUnwire();
      case 9:
        return LendOrReturn();
      case 10:
        return Access();
      case 11:
        return Allocate();
      case 12:
        return ShowToPager();
      case 13:
        return ReadSome();
      default:
        return Pages();
    }
  }
  std::string Violation() { return world_.Violation(); }
  // What is in memory was written there once, or is zero.
  void CheckResident() {
    for (size_t i = 0; i < objects_.size(); ++i) {
      for (uint64_t page = 0; page < sizes_[i]; ++page) {
        const ::uvm::Page* resident = objects_[i]->DebugLookup(PageIndex(page));
        if (resident == nullptr) continue;
        const char seen = LetterOfPage(world_.uvm().DebugPages().Contents(resident));
        EXPECT_TRUE(IsKnown(i, page, seen))
            << "object " << i << " page " << page << " shows " << seen;
      }
    }
  }
  // What counts as clean can be had again: whatever failed, nothing that was written is lost with
  // its page.
  void CheckClean() {
    for (size_t i = 0; i < 2; ++i) {
      for (uint64_t page = 0; page < sizes_[i]; ++page) {
        const ::uvm::Page* resident = objects_[i]->DebugLookup(PageIndex(page));
        if (resident == nullptr || resident->IsBusy() || resident->read_only) continue;
        if (resident->dirty != Dirty::kClean) continue;
        EXPECT_EQ(LetterOfPage(world_.uvm().DebugPages().Contents(resident)),
                  (i == 0 ? store_ : other_store_).LetterAt(page))
            << "object " << i << " page " << page << " is clean and not stored";
      }
    }
  }
  // What is lent stays what it was, whatever becomes of its owner.
  void CheckLent() {
    for (const Loan& loan : loans_) {
      EXPECT_EQ(LetterOfPage(world_.uvm().DebugPages().Contents(loan.page)), loan.letter);
    }
  }
  uint64_t swapped_in() { return world_.uvm().counters().swap_in; }
  uint64_t step() const { return step_; }
  bool InDrought() const { return drought_.has_value(); }

  std::string End() {
    drought_.reset();
    store_.Heal();
    for (const Loan& loan : loans_) world_.uvm().DebugPages().ReturnLoan(loan.page);
    for (const Wired& wired : wired_) Unwire(wired);
    for (const Block& block : blocks_) Free(block);
    for (auto [at, count] : shown_) pager_map_->MapOut(at, count);
    while (!frames_.empty()) {
      kernel_->FreeFrame(frames_.back());
      frames_.pop_back();
    }
    world_.pmap().FailEntersAtRandom(1, ~uint64_t{0});
    for (size_t i = 0; i < objects_.size(); ++i) {
      for (uint64_t page = 0; page < sizes_[i]; ++page) ExpectKnown(i, page);
    }
    for (Object* object : objects_) world_.uvm().ReleaseObject(object);
    return world_.TearDownAndFindLeaks();
  }

 private:
  struct Loan {
    ::uvm::Page* page;
    char letter;  // what it showed when it was lent
  };
  struct Wired {
    Object* object;
    uint64_t first, count;
  };
  struct Block {
    Map* map;
    Vaddr at;
    uint64_t bytes;
    uint32_t type;
  };

  char AnyLetter() { return static_cast<char>('a' + prng_.Below(26)); }
  // Only the anonymous object is ever cut inside a page, whose rest is zeroes then.
  bool IsKnown(size_t which, uint64_t page, char seen) const {
    return seen == '0' || written_[which].contains({page, seen}) || (which == 2 && seen == '#');
  }
  void Note(uint64_t page, char letter) { written_[which_].insert({page, letter}); }
  void ExpectKnown(size_t which, uint64_t page) {
    BufferPeer peer;
    Uio uio{&peer, page * kPage, kPage};
    ASSERT_TRUE(Cache().UioMove(objects_[which], &uio, kPage, Advice::kNormal, kUbcRead).ok());
    const char seen = LetterOfPage(reinterpret_cast<const unsigned char*>(peer.bytes().data()));
    EXPECT_TRUE(IsKnown(which, page, seen))
        << "object " << which << " page " << page << " shows " << seen;
  }

  // Whole pages, so that each of them is all of one letter.
  void Move(uint32_t direction) {
    const uint64_t first = prng_.Below(kMostPages);
    uint64_t count = 1 + prng_.Below(20);
    const uint64_t end = sizes_[which_];
    if (first >= end) return;
    count = std::min(count, end - first);
    const char letter = AnyLetter();
    BufferPeer peer;
    if (direction == kUbcWrite) peer = BufferPeer(std::string(count * kPage, letter));
    if (prng_.Chance(1, 4)) peer.FailAfter(static_cast<int>(prng_.Below(count + 1)));
    uint32_t flags = direction;
    if (direction == kUbcWrite && prng_.Chance(1, 2)) flags |= kUbcFaultBusy;
    if (prng_.Chance(1, 4)) flags |= kUbcUnmap;
    if (prng_.Chance(1, 2)) flags |= kUbcPartialOk;
    for (uint64_t i = 0; i < count && direction == kUbcWrite; ++i) Note(first + i, letter);
    Uio uio{&peer, first * kPage, count * kPage};
    (void)Cache().UioMove(object_, &uio, count * kPage, Advice::kNormal, flags);
  }
  void ZeroRange() {
    const uint64_t first = prng_.Below(kMostPages);
    if (first >= sizes_[which_]) return;
    const uint64_t count = 1 + prng_.Below(sizes_[which_] - first);
    (void)Cache().ZeroRange(object_, first * kPage, count * kPage,
                            prng_.Chance(1, 2) ? uint32_t{kUbcUnmap} : 0);
  }

  void Get() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ::uvm::Page* pages[kMaxGetPages] = {};
    GetRequest request;
    request.count = static_cast<uint32_t>(1 + prng_.Below(kMaxGetPages));
    request.first = PageIndex(prng_.Below(kMostPages + 4));
    request.centre = static_cast<uint32_t>(prng_.Below(request.count));
    request.access = prng_.Chance(1, 2) ? Access::kRead : Access::kWrite;
    constexpr uint32_t kKinds[] = {kPgoSyncIo,
                                   kPgoSyncIo,
                                   kPgoSyncIo | kPgoAllPages,
                                   kPgoSyncIo | kPgoNoBlockAlloc,
                                   kPgoSyncIo | kPgoPastEof,
                                   kPgoLocked,
                                   kPgoLocked | kPgoAllPages,
                                   0};
    request.flags = kKinds[prng_.Below(8)];
    for (uint32_t i = 0; i < request.count; ++i) {
      if (i != request.centre && prng_.Chance(1, 3)) pages[i] = DontCare();
    }
    request.pages = pages;
    object_->mu.Lock();
    Result<void, PagerError> got = object_->pager()->Get(object_, &request);
    const bool locked = (request.flags & kPgoLocked) != 0;
    if (!locked && got.ok() && (request.flags & kPgoSyncIo) != 0) {
      MutexLock lock(&object_->mu);
      object_->Unbusy(&world_.uvm().DebugPages(), pages, request.count);
    }
    if (locked) object_->mu.Unlock();
  }
  void Put() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    constexpr uint32_t kKinds[] = {kPgoCleanIt,
                                   kPgoCleanIt | kPgoSyncIo,
                                   kPgoCleanIt | kPgoFree,
                                   kPgoDeactivate,
                                   kPgoFree,
                                   kPgoCleanIt | kPgoFree | kPgoSyncIo | kPgoBusyFail,
                                   kPgoCleanIt | kPgoSyncIo | kPgoAllPages};
    const uint64_t first = prng_.Below(kMostPages);
    const uint64_t end = prng_.Chance(1, 3) ? 0 : first + prng_.Below(kMostPages);
    object_->mu.Lock();
    (void)object_->pager()->Put(object_, PageIndex(first), PageIndex(end), kKinds[prng_.Below(7)]);
  }
  void Resize() {
    const uint64_t pages = prng_.Below(kMostPages + 1);
    if (object_->pager()->kind() == Pager::Kind::kAnonymous) {
      // Not always whole pages: the tail is cleared, which leaves a mixture; so it goes, too.
      if (prng_.Chance(1, 3) && pages > 0) {
        (void)world_.uvm().TruncateAobj(object_, pages * kPage - 100);
      }
      if (world_.uvm().TruncateAobj(object_, pages * kPage)) sizes_[which_] = pages;
      return;
    }
    if (prng_.Chance(1, 4)) {
      world_.uvm().SetStoredWriteSize(object_, (pages + 1) * kPage);
    }
    if (!world_.uvm().SetStoredSize(object_, pages * kPage).ok()) return;
    sizes_[which_] = pages;
    (which_ == 0 ? store_ : other_store_).Cut(pages * kPage);
  }

  void Unwire(const Wired& wired) {
    world_.uvm().UnwireObject(wired.object, PageIndex(wired.first),
                              PageIndex(wired.first + wired.count));
  }
  void WireOrUnwire() {
    if (!wired_.empty() && prng_.Chance(2, 3)) {
      Unwire(wired_.back());
      wired_.pop_back();
      return;
    }
    const Wired wired = {object_, prng_.Below(10), 1 + prng_.Below(24)};
    ::uvm::Page* list[kMostPages];
    if (world_.uvm()
            .WireObject(object_, PageIndex(wired.first), PageIndex(wired.first + wired.count),
                        prng_.Chance(1, 2) ? list : nullptr)
            .ok()) {
      wired_.push_back(wired);
    }
  }
  void LendOrReturn() {
    if (!loans_.empty() && prng_.Chance(1, 2)) {
      world_.uvm().DebugPages().ReturnLoan(loans_.back().page);
      loans_.pop_back();
      return;
    }
    const auto count = static_cast<uint32_t>(1 + prng_.Below(18));
    std::vector<::uvm::Page*> pages(count);
    if (!world_.uvm()
             .loans()
             .LendObjectPages(object_, PageIndex(prng_.Below(kMostPages)), count, pages.data())
             .ok()) {
      return;
    }
    for (::uvm::Page* page : pages) {
      loans_.push_back({page, LetterOfPage(world_.uvm().DebugPages().Contents(page))});
    }
  }
  void Access() {
    const uint64_t page = prng_.Below(kMostPages);
    const char letter = AnyLetter();
    const bool write = prng_.Chance(1, 2);
    if (prng_.Chance(1, 4)) {
      spaces_[which_].Advise(0, kMostPages, static_cast<Advice>(prng_.Below(3)));
    }
    for (int i = 0; i < 20; ++i) {
      unsigned char* at =
          world_.pmap().Translate(spaces_[which_]->pmap(), PageAt(page),
                                  write ? base::Access::kWrite : base::Access::kRead);
      if (at != nullptr) {
        if (!write) return;
        Note(page, letter);
        std::memset(at, letter, kPage);
        return;
      }
      if (!world_.uvm()
               .Fault(spaces_[which_].get(), PageAt(page),
                      write ? base::Access::kWrite : base::Access::kRead)
               .ok()) {
        return;
      }
    }
  }

  void Free(const Block& block) { kernel_->Free(block.map, block.at, block.bytes, block.type); }
  void Allocate() {
    if (!blocks_.empty() && prng_.Chance(1, 2)) {
      Free(blocks_.back());
      blocks_.pop_back();
      return;
    }
    constexpr uint32_t kTypes[] = {kKmWired, kKmWired | kKmZero | kKmExec, kKmPageable, kKmVaOnly};
    Block block = {prng_.Chance(1, 2) ? kernel_->map() : submap_, Vaddr(0),
                   (1 + prng_.Below(24)) * kPage, kTypes[prng_.Below(4)]};
    constexpr uint32_t kHow[] = {kKmCanFail, kKmNoWait, kKmCanFail | kKmTryLock};
    Result<Vaddr, MapError> at =
        kernel_->Allocate(block.map, block.bytes, 0, block.type | kHow[prng_.Below(3)]);
    if (!at.ok()) return;
    block.at = at.value();
    block.type &= ~uint32_t{kKmZero | kKmExec};
    blocks_.push_back(block);
    unsigned char byte = 0;
    const Vaddr from = block.at + prng_.Below(block.bytes);
    const auto access = prng_.Chance(1, 2) ? base::Access::kRead : base::Access::kWrite;
    (void)kernel_->Copy(from, &byte, 1, access);
    (void)kernel_->Accessible(block.at, prng_.Chance(1, 10) ? ~uint64_t{0} - 1 : block.bytes + 1,
                              base::Access::kRead);
    (void)kernel_->VaStarved();
    if (block.type == kKmPageable && prng_.Chance(1, 2)) {
      EXPECT_TRUE(kernel_->Protect(block.map, block.at, kPage, base::kProtRead).ok());
    }
  }
  void ShowToPager() {
    if (!shown_.empty() && prng_.Chance(1, 2)) {
      auto [at, count] = shown_.back();
      shown_.pop_back();
      pager_map_->MapOut(at, count);
      EXPECT_EQ(pager_map_->PageAt(at), nullptr);
      return;
    }
    ::uvm::Page* page = kernel_->AllocateFrame();
    if (page == nullptr) return;
    frames_.push_back(page);
    std::vector<::uvm::Page*> pages(1 + prng_.Below(4), page);
    constexpr uint32_t kFlags[] = {kMapInRead, 0, kMapInDaemon, kMapInDaemon | kMapInRead};
    const Vaddr at = pager_map_->MapIn(pages.data(), static_cast<uint32_t>(pages.size()),
                                       kFlags[prng_.Below(4)]);
    if (at == Vaddr(0)) return;
    EXPECT_EQ(pager_map_->PageAt(at), page);
    shown_.emplace_back(at, static_cast<uint32_t>(pages.size()));
  }
  void ReadSome() {
    const uint64_t offset = prng_.Below(kMostPages) * kPage;
    constexpr Advice kAdvices[] = {Advice::kNormal, Advice::kSequential, Advice::kRandom,
                                   Advice::kNormal};
    for (int i = 0; i < 6; ++i) {
      read_ahead_.Request(object_, kAdvices[prng_.Below(4)], offset + i * 2 * kPage, 2 * kPage);
    }
    (void)ReadAhead::Start(object_, offset, prng_.Chance(1, 8) ? ~uint64_t{0} : 9 * kPage);
  }
  // What is known of a page's status.
  void Pages() {
    PageObjects status(const_cast<KernelMemory*>(kernel_)->core());
    MutexLock lock(&object_->mu);
    const PageIndex from(prng_.Below(kMostPages));
    const auto towards = prng_.Chance(1, 2) ? Object::Towards::kUp : Object::Towards::kDown;
    ::uvm::Page* page = object_->Search(from, towards, 0);
    if (page == nullptr) return;
    const bool dirty = status.CheckDirty(page, WriteProtected::kNo);
    EXPECT_TRUE(!dirty || page->dirty != Dirty::kClean);
  }
  BufferCache& Cache() { return *world_.uvm().Cache(); }

  base::Prng prng_;
  World world_;
  IllStore store_;
  IllStore other_store_;
  KernelMemory* kernel_ = nullptr;
  Map* submap_ = nullptr;
  std::optional<PagerMap> pager_map_;
  std::vector<Object*> objects_;
  std::vector<uint64_t> sizes_;  // pages
  std::vector<Space> spaces_;
  std::vector<std::set<std::pair<uint64_t, char>>> written_;  // of each object: page, letter
  std::optional<Drought> drought_;
  std::vector<Wired> wired_;
  std::vector<Loan> loans_;
  std::vector<Block> blocks_;
  std::vector<std::pair<Vaddr, uint32_t>> shown_;
  std::vector<::uvm::Page*> frames_;
  ReadAhead read_ahead_;
  // Of the step under way.
  size_t which_ = 0;
  Object* object_ = nullptr;
  uint64_t step_ = 0;
};

class ObjectErrorsPropTest : public ::testing::TestWithParam<Pressure> {};

TEST_P(ObjectErrorsPropTest, WhatFailsHarmsNobody) {
  const bool swaps = GetParam().swap_pages != 0;
  constexpr uint64_t kSteps = 200;
  const uint64_t seeds = swaps ? 150 : 400;
  uint64_t swapped_in = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    History history(seed, GetParam());
    for (uint64_t step = 0; step < kSteps; ++step) {
      history.Step();
      ASSERT_EQ(history.Violation(), "") << "seed " << seed << " step " << step << " kind "
                                         << history.step() << " drought " << history.InDrought();
      history.CheckResident();
      history.CheckClean();
      history.CheckLent();
      ASSERT_FALSE(::testing::Test::HasFailure())
          << "seed " << seed << " step " << step << " kind " << history.step();
    }
    swapped_in += history.swapped_in();
    ASSERT_EQ(history.End(), "") << "seed " << seed;
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
  EXPECT_EQ(swapped_in > 5 * seeds, swaps) << swapped_in;
}

INSTANTIATE_TEST_SUITE_P(Plenty, ObjectErrorsPropTest,
                         ::testing::Values(Pressure{.frames = 160, .swap_pages = 0}));
INSTANTIATE_TEST_SUITE_P(Scarce, ObjectErrorsPropTest,
                         ::testing::Values(Pressure{.frames = 64, .swap_pages = 512}));

}  // namespace
}  // namespace uvm::testing
