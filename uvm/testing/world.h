// uvm/testing/world.h: a whole Uvm for tests, and the picture language its tests are written in.
//
// WHAT     A World is one Uvm over a NaivePmap. A Space handle acts on one address space; its map
//          covers exactly the pages of the picture it was made from, page 0 leftmost. One character
//          is one page:
//            Contents  letter: the page is full of it; 0 zero-filled; 1-9 page 0-8 of a file;
//                      . nothing mapped; # a mixture
//            Frames    equal letters: one physical page; . none resident
//            Layout    one letter per map entry
//            Prots     rights of the entry:  - none  r  w (rw)  x (rx)  a (rwx)  else octal
//            Rights    rights of the translation, likewise
//            Wires     how often the entry was wired; . nothing mapped
//            Wirings   how often each page is wired
//            Faults    the cases since it was last asked, in order: "2B 1A"; "error" for a fault
//                      that failed
//          Several spaces are joined by '|'. Observers look through the layers and change nothing.
// INVARIANTS  After each operation all invariants of uvm/invariants.h hold; at the end of the test
//          nothing has leaked.
// SEE      uvm/testing/README.md; CONTRIBUTING.md on tests that read as pictures.

#ifndef UVM_TESTING_WORLD_H_
#define UVM_TESTING_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/swap_fault.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"
#include "uvm/testing/pattern_pager.h"
#include "uvm/uvm.h"

namespace uvm::testing {

// Where page 0 of every space lies.
inline constexpr Vaddr kPageZero{0x10000};

constexpr Vaddr PageAt(uint64_t page) { return kPageZero + page * base::kPageSize; }
constexpr Range Pages(uint64_t first, uint64_t count) {
  return {PageAt(first), PageAt(first + count)};
}

// The documented minimum (docs/internals/pdaemon.md): with so many frames beyond what is wired and
// lent, and swap, everything works.
inline constexpr uint64_t kFewestFrames = 16;

struct MapOptions {
  uint64_t at = 0;  // page
  uint64_t pages = 1;
  Map::Where where = Map::Where::kFixed;
  Prot prot = base::kProtReadWrite;
  Prot max_prot = base::kProtAll;
  Inherit inherit = Inherit::kCopy;
  Sharing sharing = Sharing::kPrivate;
  Object* file = nullptr;  // of World::File; the mapping takes a reference of its own
  uint64_t file_page = 0;
  uint64_t align = 0;  // pages
  uint32_t flags = 0;  // MapFlags
  Advice advice = Advice::kNormal;
};

struct FindOptions {
  uint64_t hint = 0;  // pages, all of them
  uint64_t pages = 1;
  uint64_t align = 0;
  uint32_t flags = 0;  // kEnterColorMatch: `align` is a colour
  bool fixed = false;
  Object* file = nullptr;  // with `file_page`: what is to be mapped there
  uint64_t file_page = 0;
};

struct RemapOptions {
  uint64_t from = 0;  // pages, all of them
  uint64_t pages = 1;
  uint64_t new_pages = 1;
  uint64_t to = 0;
  Map::RemapOptions::Where where = Map::RemapOptions::Where::kMayMove;
  bool duplicate = false;
  uint64_t align = 0;
};

class World;

// What a borrower holds: pages, or anons.
struct Loan {
  std::vector<Page*> pages;
  std::vector<Anon*> anons;
};

// A handle; copies mean the same space. Operations expect success; the Try forms tell what
// happened: "ok", a page number, or the error's name.
class Space {
 public:
  Space(World* world, uvm::Space* space, uint64_t pages)
      : world_(world), space_(space), pages_(pages) {}

  uint64_t Map(const MapOptions& options) const;  // the page it was put at
  std::string TryMap(const MapOptions& options) const;
  void Unmap(uint64_t first, uint64_t count) const;
  std::string TryUnmap(uint64_t first, uint64_t count) const;
  void Protect(uint64_t first, uint64_t count, Prot prot) const;
  std::string TryProtect(uint64_t first, uint64_t count, Prot prot,
                         SetMax set_max = SetMax::kNo) const;
  void SetInherit(uint64_t first, uint64_t count, Inherit inherit) const;
  // kFree gives pages back (madvise); the first three kinds are stored.
  void Advise(uint64_t first, uint64_t count, Advice advice) const;
  std::string TryAdvise(uint64_t first, uint64_t count, Advice advice) const;
  std::string TryDiscard(uint64_t first, uint64_t count) const;
  uint64_t Remap(const RemapOptions& options) const;
  std::string TryRemap(const RemapOptions& options) const;
  // The page found, or "none".
  std::string Find(const FindOptions& options) const;
  // mlockall and munlockall; `limit` in pages.
  std::string TryWireAll(uint32_t flags, uint64_t limit = 0) const;
  std::string TryClean(uint64_t first, uint64_t count, uint32_t pgo_flags) const;
  // To the nearest fit from page `to` of `target`, or there with kExtractReserved.
  std::string TryExtract(uint64_t first, uint64_t count, const Space& target, uint64_t to,
                         uint32_t flags = 0) const;
  uint64_t Extract(uint64_t first, uint64_t count, const Space& target, uint64_t to,
                   uint32_t flags = 0) const;
  std::string TryReserve(uint64_t at, uint64_t pages, Map::Where where = Map::Where::kFixed) const;
  Space Fork() const;
  void Exit() const;  // the handle is dead afterwards

  void Wire(uint64_t first, uint64_t count) const;
  std::string TryWire(uint64_t first, uint64_t count) const;
  void Unwire(uint64_t first, uint64_t count) const;
  std::string TryUnwire(uint64_t first, uint64_t count) const;
  // Lends pages to the kernel; World::Return takes them back.
  Loan Lend(uint64_t first, uint64_t count) const;
  std::string TryLend(uint64_t first, uint64_t count, Loan* loan) const;
  // The same to anons.
  Loan LendAnons(uint64_t first, uint64_t count) const;
  std::string TryLendAnons(uint64_t first, uint64_t count, Loan* loan) const;

  // Fills each page that has a letter in `picture` with it.
  void Write(const std::string& picture) const;
  // What happened, as a picture: the letter, '?' nothing mapped, '!' not permitted, '*' anything
  // else.
  std::string TryWrite(const std::string& picture) const;
  // Reads each page that is not '.' in `picture`; result like TryWrite, letters as in Contents.
  std::string Read(const std::string& picture) const;
  std::string ReadAll() const { return Read(std::string(pages_, 'x')); }
  // One access to a page: "ok" or the error's name.
  std::string Touch(uint64_t page, Access access) const;

  uvm::Space* operator->() const { return space_; }
  uvm::Space* get() const { return space_; }
  uint64_t pages() const { return pages_; }

 private:
  World* world_;
  uvm::Space* space_;
  uint64_t pages_;
};

// Memory that is short: few frames, and swap in memory. Everything else is as in other worlds.
struct Pressure {
  uint64_t frames = kFewestFrames;
  uint64_t swap_pages = 1024;  // 0: an ordinary world
  // Virtual time; all 0: writes are over at once.
  SwapMemory::Latency latency = {};
  uint32_t write_errors = 0;  // so many of 65536 writes fail; seed 1
  PolicyKind policy = PolicyKind::kClock;
};

class World {
 public:
  // Without `threads`, which outlive the world, it is a world of one thread.
  explicit World(uint64_t frames = 64, ThreadSystem* threads = nullptr,
                 PolicyKind policy = PolicyKind::kClock);
  explicit World(const Pressure& pressure, ThreadSystem* threads = nullptr);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A space as wide as `picture`: each run of characters other than '.' becomes one private
  // anonymous rw mapping, each letter is written to its page; '0' is mapped and not touched.
  Space NewSpace(const std::string& picture, Direction direction = Direction::kBottomUp);
  // A file whose page n reads as digit n+1. The world holds a reference until CloseFile or the end.
  Object* File(uint64_t key);
  void CloseFile(Object* file);

  template <typename... S>
  std::string Contents(const S&... spaces) {
    return Join({ContentsOf(spaces)...});
  }
  template <typename... S>
  std::string Frames(const S&... spaces) {
    frame_names_.clear();
    return Join({FramesOf(spaces)...});
  }
  template <typename... S>
  std::string Layout(const S&... spaces) {
    return Join({LayoutOf(spaces)...});
  }
  template <typename... S>
  std::string Prots(const S&... spaces) {
    return Join({ProtsOf(spaces)...});
  }
  template <typename... S>
  std::string Rights(const S&... spaces) {
    return Join({RightsOf(spaces)...});
  }
  template <typename... S>
  std::string Wires(const S&... spaces) {
    return Join({WiresOf(spaces)...});
  }
  // How often each page is wired: a digit, '.' where nothing is resident.
  template <typename... S>
  std::string Wirings(const S&... spaces) {
    return Join({WiringsOf(spaces)...});
  }
  // What a borrower sees, a character a page as in Contents; and giving it back.
  std::string Contents(const Loan& loan);
  void Return(Loan* loan);
  std::string Faults();

  // Pages out whatever the page daemon can, as if everybody else needed memory.
  void Squeeze();

  // Takes `slots` map entries, amaps, amap arrays and anons (and so frames) from their pools, in a
  // space of their own. Where the pools run dry moves by that much, so a loop over `slots` finds
  // every allocation of an operation at the end of a chunk.
  void FillPools(uint64_t slots);

  // The violated invariant with its counterexample, or "".
  std::string Violation();
  // Called after each operation; fails the test when an invariant is broken. StopChecking is for
  // tests that break one on purpose.
  void CheckInvariants();
  void StopChecking() { checking_ = false; }
  // Frees all spaces and files and says what is left: "" when nothing is.
  std::string TearDownAndFindLeaks();

  // The entry that contains a page, or null.
  MapEntry* EntryAt(const Space& space, uint64_t page) const;
  // The page that backs a page of a space, or null. Looks through the layers.
  Page* ResidentAt(const Space& space, uint64_t page) const;
  // The slot of swap that a page of a space has, or kNoSlot.
  SwapSlot SlotAt(const Space& space, uint64_t page) const;

  // What Space's operations are made of: `access` to the first byte of a page, as often as it
  // takes, as a processor would; a write fills the page with `letter`. Returns "ok" or the error's
  // name.
  std::string AccessPage(const Space& space, uint64_t page, base::Access access, char letter);
  // A page's bytes as one letter of Contents.
  char LetterOf(const unsigned char* bytes) const;
  // As Contents, for one page.
  char PageLetter(const Space& space, uint64_t page);
  // Translations are forgotten at random from now on (NaivePmap), which a fault's caller must
  // expect.
  void ForgetAtRandom(uint64_t seed, uint64_t one_in = 4) {
    forgetful_ = true;
    pmap_.ForgetAtRandom(seed, one_in);
  }

  // Every freedom of the pmap's contract is used from now on (NaivePmap::BeAdverse). What fails for
  // want of translations is tried again by AccessPage, as the program that faults would be.
  void BeAdverse(uint64_t seed) {
    forgetful_ = true;
    refusing_ = true;
    pmap_.BeAdverse(seed);
  }

  // The pieces, for tests that turn their switches.
  NaivePmap& pmap() { return pmap_; }
  HostPages& memory() { return memory_; }
  PatternPager& pager() { return pager_; }
  // The device of a world under pressure; null in others.
  SwapMemory* swap_device() { return swap_device_.get(); }
  SwapFault* swap_fault() { return swap_fault_.get(); }  // before it
  Uvm& uvm() { return uvm_; }

 private:
  void NoteFault(const Counters& before);
  static std::string Join(const std::vector<std::string>& parts);
  std::string ContentsOf(const Space& space);
  std::string FramesOf(const Space& space);
  std::string LayoutOf(const Space& space) const;
  std::string ProtsOf(const Space& space) const;
  std::string RightsOf(const Space& space) const;
  std::string WiresOf(const Space& space) const;
  std::string WiringsOf(const Space& space) const;

  NaivePmap pmap_;
  FakeThreads threads_;
  HostPages memory_;
  PatternPager pager_;
  std::unique_ptr<SwapMemory> swap_device_;  // outlive their being on
  std::unique_ptr<SwapFault> swap_fault_;
  Uvm uvm_;
  std::vector<Object*> files_;
  std::vector<uint64_t> keys_;  // of every file ever made
  std::vector<Paddr> frame_names_;
  std::string faults_;
  bool checking_ = true;
  bool forgetful_ = false;
  bool refusing_ = false;  // the pmap: enters fail
};

// The fixture of most uvm tests: a world whose vocabulary is at hand, checked for leaks at the end.
class PictureTest : public ::testing::Test, public World {
 protected:
  void TearDown() override { EXPECT_EQ(TearDownAndFindLeaks(), ""); }
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_WORLD_H_
