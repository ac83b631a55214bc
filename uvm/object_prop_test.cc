// Random histories of one file, or one anonymous object: read and written through windows of the
// buffer cache, through mappings, through the memory of a space that maps it, cleaned, cut,
// extended, lent, wired, thrown away and found again. A string of bytes is the model; every other
// run is on an adverse pmap.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/io.h"
#include "uvm/km.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"
#include "uvm/pdaemon.h"
#include "uvm/stored.h"
#include "uvm/swap.h"
#include "uvm/testing/buffer_peer.h"
#include "uvm/testing/world.h"
#include "uvm/ubc.h"
#include "uvm/uio.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr uint64_t kMostPages = 40;

// Bytes in host memory; pages that nobody wrote are holes.
class ByteStore final : public Store {
 public:
  Result<void, PagerError> ReadPage(Object*, PageIndex index, unsigned char* contents) override {
    EXPECT_TRUE(pages_.contains(index.value())) << "a hole is read";
    std::memcpy(contents, pages_[index.value()].data(), kPage);
    return {};
  }
  Result<void, PagerError> WritePage(Object*, PageIndex index,
                                     const unsigned char* contents) override {
    EXPECT_TRUE(pages_.contains(index.value())) << "a hole is written";
    pages_[index.value()].assign(reinterpret_cast<const char*>(contents), kPage);
    return {};
  }
  uint64_t SizeInBytes(const Object*) const override { return size; }
  void Detach(Object*) override {}
  uint32_t BlockPages(const Object*) const override { return block; }
  bool IsHole(const Object*, PageIndex index) const override {
    return !pages_.contains(index.value());
  }
  Result<void, PagerError> AllocateBlock(Object*, PageIndex index) override {
    pages_.emplace(index.value(), std::string(kPage, '\0'));
    return {};
  }
  bool ReadsAhead(const Object*) const override { return reads_ahead; }
  bool WantsFirstWrite(const Object*) const override { return wants_first_write; }
  // The end moved: blocks wholly beyond it are given back.
  void Cut(uint64_t bytes) {
    size = bytes;
    pages_.erase(pages_.lower_bound((bytes + kPage - 1) / kPage), pages_.end());
  }

  uint64_t size = 0;
  uint32_t block = 1;
  bool reads_ahead = false;
  bool wants_first_write = false;

 private:
  std::map<uint64_t, std::string> pages_;
};

enum class Kind { kStored, kAnonymous };

// Where memory is short, so many pages are wired, lent, or part of a transfer at a time.
constexpr uint64_t kMostHeld = 5;

class History {
 public:
  History(uint64_t seed, Kind kind, const Pressure& memory)
      : prng_(seed, "object_prop_test"), kind_(kind), world_(memory) {
    store_.block = uint32_t{1} << prng_.Below(4);
    store_.reads_ahead = prng_.Chance(1, 2);
    store_.wants_first_write = prng_.Chance(1, 2);
    if (seed % 2 == 0) {
      world_.ForgetAtRandom(seed);
      world_.pmap().DelayInvalidations();
      world_.pmap().HideReferences();
      refusing_ = seed % 4 == 0;
      if (refusing_) world_.BeAdverse(seed);
    }
    world_.StopChecking();  // checked after each step, where nothing is half done
    io_.emplace(world_.uvm().Kernel());
    spaces_.push_back(world_.NewSpace(std::string(kMostPages, '.')));
    Open();
  }

  void Step() {
    if (Swaps() && prng_.Chance(1, 8)) world_.Squeeze();
    switch (prng_.Below(13)) {
      case 0:
      case 1:
        return WriteThroughCache();
      case 2:
        return ReadThroughCache();
      case 3:
        return StoreThroughMapping();
      case 4:
        return LoadThroughMapping();
      case 5:
        return Put();
      case 6:
        return Resize();
      case 7:
        return ZeroRange();
      case 8:
      case 9:
        return PeekOrPoke();
      case 10:
        return prng_.Chance(1, 3) ? TransferLocked() : LendOrReturn();
      case 11:
        return WireOrUnwire();
      default:
        if (prng_.Chance(1, 4)) Reopen();
    }
  }
  std::string Violation() { return world_.Violation(); }
  std::string End() {
    ReturnLoans();
    if (wired_ > 0) UnwireAll();
    world_.uvm().ReleaseObject(object_);
    const std::string left = world_.TearDownAndFindLeaks();
    EXPECT_EQ(world_.uvm().swap().in_use(), PageCount(0));
    return left;
  }
  // Pages that went and came back, if the object's pages go to swap.
  uint64_t swapped_in() { return world_.uvm().counters().swap_in; }
  uint64_t put_to_store() { return world_.uvm().pagedaemon().counters().pager_puts; }

 private:
  void Open() {
    store_.size = model_.size();
    object_ = kind_ == Kind::kStored ? world_.uvm().CreateStoredObject(&store_, 1).value()
                                     : world_.uvm().CreateAobj(model_.size(), 0).value();
    spaces_[0].Map({.pages = kMostPages, .sharing = Sharing::kShared, .file = object_});
  }
  // Everybody lets go; the store alone knows what there was.
  void Reopen() {
    ReturnLoans();
    if (wired_ > 0) UnwireAll();
    spaces_[0].Unmap(0, kMostPages);
    world_.uvm().ReleaseObject(object_);
    if (kind_ == Kind::kAnonymous) model_.assign(model_.size(), '\0');
    Open();
  }
  std::string RandomBytes(uint64_t bytes) {
    std::string text(bytes, static_cast<char>('a' + prng_.Below(26)));
    for (uint64_t at = 0; at < bytes; at += 512) text[at] = static_cast<char>(prng_.Below(256));
    return text;
  }
  bool Swaps() { return world_.swap_device() != nullptr; }
  uint64_t RandomLength() { return 1 + prng_.Below(prng_.Chance(1, 2) ? 100 : 18 * kPage); }
  uint64_t Aligned(uint64_t value) { return prng_.Chance(1, 2) ? value / kPage * kPage : value; }
  uint32_t RandomFlags() {
    uint32_t flags = 0;
    if (prng_.Chance(1, 2)) flags |= kUbcFaultBusy;
    if (prng_.Chance(1, 4)) flags |= kUbcUnmap;
    if (prng_.Chance(1, 4)) flags |= kUbcPartialOk;
    return flags;
  }

  // Does what a pmap that refuses translations now and then made fail (contract rule 10) again.
  template <typename Call>
  auto Persist(Call call) -> decltype(call()) {
    constexpr int kTries = 100;
    auto result = call();
    for (int i = 0; i < kTries && refusing_ && !result.ok(); ++i) result = call();
    EXPECT_TRUE(result.ok());
    return result;
  }

  void WriteThroughCache() {
    const uint64_t limit = kMostPages * kPage;
    const uint64_t offset = Aligned(prng_.Below(std::min(model_.size() + 5000, limit - 1)));
    const std::string bytes = RandomBytes(std::min(RandomLength(), limit - offset));
    const uint32_t flags = RandomFlags();
    BufferPeer peer(bytes);
    const bool fails = (flags & kUbcPartialOk) != 0 && prng_.Chance(1, 2);
    if (fails) peer.FailAfter(static_cast<int>(prng_.Below(6)));
    Uio uio{&peer, offset, bytes.size()};
    const uint64_t old_size = model_.size();
    if (offset + bytes.size() > old_size) {
      // What extends a file is written, and the end moved, before anybody may read there.
      SetSize(offset + bytes.size());
    }
    Result<void, FaultError> moved =
        Cache().UioMove(object_, &uio, uio.resid, Advice::kNormal, kUbcWrite | flags);
    EXPECT_TRUE(moved.ok() || fails || refusing_);
    const uint64_t done = uio.offset - offset;
    EXPECT_EQ(done + uio.resid, bytes.size());
    if (moved.ok()) {
      EXPECT_EQ(uio.resid, 0u);
    }
    model_.replace(offset, done, bytes.substr(0, done));
  }
  void ReadThroughCache() {
    if (model_.empty()) return;
    const uint64_t offset = Aligned(prng_.Below(model_.size()));
    const uint64_t bytes = std::min(RandomLength(), model_.size() - offset);
    BufferPeer peer;
    Uio uio{&peer, offset, bytes};
    const bool moved =
        Cache()
            .UioMove(object_, &uio, bytes, Advice::kNormal, kUbcRead | (RandomFlags() & kUbcUnmap))
            .ok();
    EXPECT_TRUE(moved || refusing_);
    const uint64_t done = moved ? bytes : uio.offset - offset;
    EXPECT_EQ(peer.bytes(), model_.substr(offset, done)) << "read at " << offset;
  }
  // Whole pages through the mapping: what lies behind the end is no contents.
  void StoreThroughMapping() {
    const uint64_t page = prng_.Below(kMostPages);
    const char letter = static_cast<char>('A' + prng_.Below(26));
    const std::string outcome = world_.AccessPage(spaces_[0], page, Access::kWrite, letter);
    const bool inside = page * kPage < model_.size();
    EXPECT_EQ(outcome, inside ? "ok" : "past_end");
    if (!inside) return;
    const uint64_t bytes = std::min(kPage, model_.size() - page * kPage);
    model_.replace(page * kPage, bytes, std::string(bytes, letter));
  }
  void LoadThroughMapping() {
    const uint64_t page = prng_.Below(kMostPages);
    const std::string outcome = world_.AccessPage(spaces_[0], page, Access::kRead, 0);
    EXPECT_EQ(outcome, page * kPage < model_.size() ? "ok" : "past_end");
    if (outcome != "ok") return;
    const Page* shown = world_.ResidentAt(spaces_[0], page);
    const uint64_t bytes = std::min(kPage, model_.size() - page * kPage);
    const unsigned char* home = world_.uvm().DebugPages().Contents(shown);
    EXPECT_EQ(std::memcmp(home, model_.data() + page * kPage, bytes), 0) << "page " << page;
  }
  void Put() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    constexpr uint32_t kKinds[] = {
        kPgoCleanIt, kPgoCleanIt | kPgoSyncIo, kPgoCleanIt | kPgoFree, kPgoDeactivate,
        kPgoCleanIt | kPgoFree | kPgoSyncIo | kPgoBusyFail | kPgoAllPages};
    const uint64_t first = prng_.Below(kMostPages);
    const uint64_t end = prng_.Chance(1, 3) ? 0 : first + prng_.Below(kMostPages);
    object_->mu.Lock();
    EXPECT_TRUE(object_->pager()
                    ->Put(object_, PageIndex(first), PageIndex(end), kKinds[prng_.Below(5)])
                    .ok());
  }
  void SetSize(uint64_t bytes) {
    const bool set = kind_ == Kind::kStored ? world_.uvm().SetStoredSize(object_, bytes).ok()
                                            : world_.uvm().TruncateAobj(object_, bytes);
    EXPECT_TRUE(set);
    model_.resize(bytes, '\0');
    store_.Cut(bytes);
  }
  void Resize() { SetSize(Aligned(prng_.Below(kMostPages * kPage))); }
  void ZeroRange() {
    if (model_.empty()) return;
    const uint64_t offset = Aligned(prng_.Below(model_.size()));
    const uint64_t bytes = std::min(RandomLength(), model_.size() - offset);
    (void)Persist(
        [&] { return Cache().ZeroRange(object_, offset, bytes, RandomFlags() & kUbcUnmap); });
    model_.replace(offset, bytes, std::string(bytes, '\0'));
  }
  // As a debugger would, in the space that maps the file.
  void PeekOrPoke() {
    if (model_.empty()) return;
    const uint64_t offset = Aligned(prng_.Below(model_.size()));
    const uint64_t bytes = std::min(RandomLength(), model_.size() - offset);
    const uint64_t at = (PageAt(0) + offset).value();
    Map* map = &spaces_[0]->map();
    if (prng_.Chance(1, 2)) {
      BufferPeer peer;
      Uio uio{&peer, at, bytes};
      EXPECT_TRUE(io_->Io(map, &uio, Access::kRead, 0).ok() || refusing_);
      EXPECT_TRUE(peer.bytes() == model_.substr(offset, bytes - uio.resid)) << "peek at " << offset;
    } else {
      const std::string text = RandomBytes(bytes);
      BufferPeer peer(text);
      Uio uio{&peer, at, bytes};
      EXPECT_TRUE(io_->Io(map, &uio, Access::kWrite, 0).ok() || refusing_);
      const uint64_t done = bytes - uio.resid;
      model_.replace(offset, done, text.substr(0, done));
    }
  }
  // As a device driver would: the range stays mapped and wired meanwhile.
  void TransferLocked() {
    if (model_.empty()) return;
    const uint64_t offset = Aligned(prng_.Below(model_.size()));
    const uint64_t most = Swaps() ? kMostHeld * kPage : ~uint64_t{0};
    const uint64_t bytes = std::min({RandomLength(), model_.size() - offset, most});
    KernelMemory* kernel = world_.uvm().Kernel();
    Result<Vaddr, MapError> at = Persist([&] {
      return io_->MapLocked(&spaces_[0]->map(), PageAt(0) + offset, bytes, Access::kWrite);
    });
    ASSERT_TRUE(at.ok());
    EXPECT_TRUE(kernel->Accessible(at.value(), bytes, Access::kWrite));
    Put();
    std::string text = RandomBytes(bytes);
    auto* data = reinterpret_cast<unsigned char*>(text.data());
    (void)Persist([&] { return kernel->Copy(at.value(), data, bytes, Access::kWrite); });
    model_.replace(offset, bytes, text);
    io_->UnmapLocked(at.value(), bytes);
    EXPECT_FALSE(kernel->Accessible(at.value(), bytes, Access::kRead));
  }
  // The kernel borrows a page; what it holds is what the page was then.
  void LendOrReturn() {
    const bool many = Swaps() && loans_.size() == kMostHeld;
    if (!loans_.empty() && (many || prng_.Chance(1, 2))) return ReturnLoans();
    MutexLock lock(&object_->mu);
    Page* page = object_->Search(PageIndex(prng_.Below(kMostPages)), Object::Towards::kUp, 0);
    if (page == nullptr || page->wire_count > 0) return;
    PageStore& pages = world_.uvm().DebugPages();
    pages.Lend(page, nullptr);
    loans_.push_back(
        {page, std::string(reinterpret_cast<const char*>(pages.Contents(page)), kPage)});
  }
  void ReturnLoans() {
    for (const Loan& loan : loans_) {
      const unsigned char* home = world_.uvm().DebugPages().Contents(loan.page);
      EXPECT_EQ(std::memcmp(home, loan.contents.data(), kPage), 0) << "a lent page changed";
      world_.uvm().DebugPages().ReturnLoan(loan.page);
    }
    loans_.clear();
  }
  void WireOrUnwire() {
    if (wired_ > 0) return UnwireAll();
    const uint64_t pages = (model_.size() + kPage - 1) / kPage;
    if (pages == 0) return;
    const uint64_t count = 1 + prng_.Below(Swaps() ? std::min(pages, kMostHeld) : pages);
    Result<void, PagerError> wired =
        world_.uvm().WireObject(object_, PageIndex(0), PageIndex(count), nullptr);
    EXPECT_TRUE(wired.ok());
    wired_ = count;
  }
  void UnwireAll() {
    world_.uvm().UnwireObject(object_, PageIndex(0), PageIndex(wired_));
    wired_ = 0;
  }
  BufferCache& Cache() { return *world_.uvm().Cache(); }

  struct Loan {
    Page* page;
    std::string contents;
  };
  base::Prng prng_;
  const Kind kind_;
  World world_;
  ByteStore store_;
  std::string model_;
  Object* object_ = nullptr;
  std::vector<Space> spaces_;
  std::optional<SpaceIo> io_;
  std::vector<Loan> loans_;
  uint64_t wired_ = 0;
  bool refusing_ = false;  // the pmap: enters fail
};

struct Setting {
  const char* name;
  Kind kind;
  Pressure memory;
};
constexpr Pressure kPlenty = {.frames = 256, .swap_pages = 0};
constexpr Pressure kScarce = {.frames = kFewestFrames + 3 * kMostHeld + 2, .swap_pages = 256};
constexpr Setting kSettings[] = {
    {"Stored", Kind::kStored, kPlenty},
    {"Anonymous", Kind::kAnonymous, kPlenty},
    {"StoredScarce", Kind::kStored, kScarce},
    {"AnonymousScarce", Kind::kAnonymous, kScarce},
};

class ObjectPropTest : public ::testing::TestWithParam<Setting> {};

TEST_P(ObjectPropTest, EveryWayToAnObjectsBytesShowsTheSame) {
  const bool swaps = GetParam().memory.swap_pages != 0;
  constexpr uint64_t kSteps = 150;
  const uint64_t seeds = swaps ? 120 : 200;
  uint64_t swapped_in = 0, put_to_store = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    History history(seed, GetParam().kind, GetParam().memory);
    for (uint64_t step = 0; step < kSteps; ++step) {
      history.Step();
      ASSERT_EQ(history.Violation(), "") << "seed " << seed << " step " << step;
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << step;
    }
    swapped_in += history.swapped_in();
    put_to_store += history.put_to_store();
    ASSERT_EQ(history.End(), "") << "seed " << seed;
  }
  const bool anonymous = GetParam().kind == Kind::kAnonymous;
  EXPECT_EQ(swapped_in > 20 * seeds, swaps && anonymous) << swapped_in;
  EXPECT_EQ(put_to_store > 20 * seeds, swaps && !anonymous) << put_to_store;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ObjectPropTest, ::testing::ValuesIn(kSettings),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace uvm::testing
