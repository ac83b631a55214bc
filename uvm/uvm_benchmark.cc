// What does the core alone cost, next to the real NetBSD UVM? Each row of the recording (user land,
// no L4 below, a pmap of four levels with a list of places per page, no locks' atomics) is done
// again here over FastPmap, and memset and memcpy of a page over the same walks of 64 MB are timed
// in the same run as peers. Printed for each row: the counted work of one item (entries visited,
// faults, pmap calls, pages zeroed and copied), then ns: median and best of the repetitions, the
// recorded median, ours over recorded, and of what fills or copies memory how much is above
// the floor that the machine sets. Then growth: maps of 10^2 to 10^6 entries (aim: no
// faster than logarithmic), and the write fault after 1 to 1,000 generations of fork (aim: flat).
//
//   bazel run //uvm:uvm_benchmark -- --benchmark_filter=fork
//   ... --small    a sixty-fourth of the pages, one repetition: what the ordinary test does
//
// Napkin: a zero-fill fault is a memset (220 to 260 ns) and a map lookup, three locks, an anon and
// a page off their lists, a pmap entry: 100 to 150 ns more.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/check.h"
#include "base/prng.h"
#include "base/prot.h"
#include "uvm/anon.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/space.h"
#include "uvm/testing/benchmark_table.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/fast_pmap.h"
#include "uvm/testing/host_pages.h"
#include "uvm/uvm.h"

namespace uvm {
namespace {

using base::kPageSize;
using testing::Meter;

bool small = false;

uint64_t Scaled(uint64_t count) { return small ? std::max<uint64_t>(count / 64, 16) : count; }

// The server's own memory: one piece in large pages, as vmserver's is.
class Tables final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override {
    const size_t rounded = base::RoundPage(bytes);
    CHECK(rounded <= kBytes - used_);
    return memory_.get() + (std::exchange(used_, used_ + rounded));
  }

 private:
  struct Free {
    void operator()(unsigned char* memory) const { std::free(memory); }
  };
  static constexpr size_t kBytes = size_t{1} << 30;
  // Fresh from the host, so zero.
  const std::unique_ptr<unsigned char, Free> memory_{testing::AllocateLargePages(kBytes)};
  size_t used_ = 0;
};

// The machine of all rows: everything a row makes it also takes down.
struct World {
  static constexpr uint64_t kFrames = 150000;

  World() : pmap(Scaled(kFrames)), uvm({&memory, &pmap, &threads}) {}

  testing::FastPmap pmap;
  testing::FakeThreads threads;
  Tables memory;
  Uvm uvm;
};

World& TheWorld() {
  static World* const world = new World;
  return *world;
}

constexpr Vaddr kMin(0x10000);
constexpr Vaddr kMax(uint64_t{1} << 46);

constexpr Vaddr PageAt(uint64_t page) { return kMin + page * kPageSize; }

testing::Counts ReadWorld() {
  const Counters& counters = TheWorld().uvm.counters();
  const testing::FastPmap::Calls& calls = TheWorld().pmap.calls();
  return {{"faults", counters.faults},
          {"restarts", counters.fault_restarts},
          {"zeroed", counters.zero_fill},
          {"copied", counters.page_copy},
          {"clips", counters.clip},
          {"pmap_calls", calls.all()},
          {"protected", calls.protected_pages},
          {"removed", calls.removed_pages}};
}

// ---- Pieces of scenarios. Failure is fatal: a row that did not happen must not look fast.

Space* NewSpace(World& world) {
  Result<Space*, MapError> space = world.uvm.CreateSpace(kMin, kMax);
  CHECK(space.ok());
  return space.value();
}

Vaddr MapPages(Space* space, uint64_t page, uint64_t pages, Map::Where where, uint32_t flags = 0) {
  Result<Vaddr, MapError> at = space->map().Enter({.at = PageAt(page),
                                                   .size = pages * kPageSize,
                                                   .where = where,
                                                   .prot = base::kProtReadWrite,
                                                   .flags = flags});
  CHECK(at.ok());
  return at.value();
}

void UnmapPages(Space* space, Vaddr at, uint64_t pages) {
  CHECK(space->map().Unmap({at, at + pages * kPageSize}).ok());
}

void Fault(World& world, Space* space, uint64_t first, uint64_t pages, Access access) {
  for (uint64_t page = first; page < first + pages; ++page) {
    CHECK(world.uvm.Fault(space, PageAt(page), access).ok());
  }
}

Space* Fork(World& world, Space* parent) {
  Result<Space*, MapError> child = world.uvm.ForkSpace(parent);
  CHECK(child.ok());
  return child.value();
}

// A private mapping of `pages` pages, all written to. One entry, as recorded: an amap that is made
// at the first touch would be cut into chunks.
Space* NewResident(World& world, uint64_t pages) {
  Space* space = NewSpace(world);
  MapPages(space, 0, pages, Map::Where::kFixed, kEnterOverlay);
  Fault(world, space, 0, pages, Access::kWrite);
  return space;
}

// `entries` mappings of `pages` pages, `gap` pages apart, the first `resident` of each written to.
Space* NewScattered(World& world, uint64_t entries, uint64_t pages, uint64_t gap,
                    uint64_t resident) {
  Space* space = NewSpace(world);
  for (uint64_t i = 0; i < entries; ++i) {
    MapPages(space, i * (pages + gap), pages, Map::Where::kFixed);
    Fault(world, space, i * (pages + gap), resident, Access::kWrite);
  }
  return space;
}

// ---- The rows. Each does its work `state.iterations()` times; an item is what the name says.

constexpr uint64_t kPairs = 20000;
constexpr uint64_t kMapped = 4;  // pages of a pair
constexpr uint64_t kGap = 8;     // pages between entries, so that a pair fits

void PairsAnywhere(World& world, Meter& meter, uint64_t entries, uint64_t gap, bool touch) {
  Space* space = NewScattered(world, entries, kMapped, gap, 0);
  const uint64_t pairs = Scaled(kPairs);
  meter.Start();
  for (uint64_t i = 0; i < pairs; ++i) {
    const Vaddr at = MapPages(space, 0, kMapped, Map::Where::kHint);
    if (touch) CHECK(world.uvm.Fault(space, at, Access::kWrite).ok());
    UnmapPages(space, at, kMapped);
  }
  meter.Stop(pairs);
  world.uvm.FreeSpace(space);
}

void PairsFixed(World& world, Meter& meter, uint64_t entries) {
  Space* space = NewScattered(world, entries, kMapped, kGap, 0);
  const uint64_t pairs = Scaled(kPairs);
  base::Prng prng(1, "uvm_benchmark.gaps");
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < pairs; ++i) {
    pages.push_back(prng.Below(entries) * (kMapped + kGap) + kMapped + 2);
  }
  meter.Start();
  for (uint64_t page : pages) {
    UnmapPages(space, MapPages(space, page, kMapped, Map::Where::kFixed), kMapped);
  }
  meter.Stop(pairs);
  world.uvm.FreeSpace(space);
}

constexpr uint64_t kResident = 65536;

void ZeroFill(World& world, Meter& meter) {
  const uint64_t pages = Scaled(kResident);
  Space* space = NewSpace(world);
  MapPages(space, 0, pages, Map::Where::kFixed, kEnterOverlay);
  meter.Start();
  Fault(world, space, 0, pages, Access::kWrite);
  meter.Stop(pages);
  world.uvm.FreeSpace(space);
}

// One life of a parent and its child, of which one part is measured.
enum class Part { kFork, kFirstWrite, kCopies, kTakeOver, kExitChild, kForkAgain };

void Family(World& world, Meter& meter, Part part) {
  const uint64_t pages = Scaled(kResident);
  const auto timed = [&](Part which, uint64_t items, auto&& work) {
    if (which == part) meter.Start();
    work();
    if (which == part) meter.Stop(items);
  };
  Space* parent = NewResident(world, pages);
  Space* child = nullptr;
  timed(Part::kFork, 1, [&] { child = Fork(world, parent); });
  if (part == Part::kForkAgain) {
    Space* second = nullptr;
    timed(Part::kForkAgain, 1, [&] { second = Fork(world, parent); });
    world.uvm.FreeSpace(second);
  }
  // The first write also copies a page, as the recorded one does.
  timed(Part::kFirstWrite, 1, [&] { Fault(world, child, 0, 1, Access::kWrite); });
  timed(Part::kCopies, pages - 1, [&] { Fault(world, child, 1, pages - 1, Access::kWrite); });
  timed(Part::kTakeOver, pages, [&] { Fault(world, parent, 0, pages, Access::kWrite); });
  timed(Part::kExitChild, 1, [&] { world.uvm.FreeSpace(child); });
  world.uvm.FreeSpace(parent);
}

// What copying an amap cannot do without: its slots are read, three arrays are written, and each
// anon is counted once more. All of it is memory that nobody has used since the pages were filled.
void CopyFloor(World& world, Meter& meter) {
  struct Record {
    uint32_t refs = 0;
    uint32_t rest[sizeof(Anon) / sizeof(uint32_t) - 1] = {};
  };
  const uint64_t slots = Scaled(kResident);
  std::vector<Record> records(slots);
  std::vector<Record*> from(slots), to(slots);
  std::vector<uint32_t> used(slots), back(slots);
  for (uint64_t i = 0; i < slots; ++i) from[i] = &records[i];
  world.uvm.FreeSpace(NewResident(world, slots));
  meter.Start();
  for (uint64_t i = 0; i < slots; ++i) {
    to[i] = from[i];
    ++from[i]->refs;
    used[i] = back[i] = static_cast<uint32_t>(i);
  }
  meter.Stop(1);
  CHECK(to.back()->refs == 1 && used.back() == back.back());
}

// Fork of a space of many entries, and the ends of both.
enum class ManyPart { kFork, kExitChild, kExitParent };

void ManyEntries(World& world, Meter& meter, uint64_t resident, ManyPart part) {
  constexpr uint64_t kEntries = 1000;
  Space* parent = NewScattered(world, small ? kEntries / 10 : kEntries, std::max(resident, kMapped),
                               kGap, small ? std::min<uint64_t>(resident, 4) : resident);
  const auto timed = [&](ManyPart which, auto&& work) {
    if (which == part) meter.Start();
    work();
    if (which == part) meter.Stop(1);
  };
  Space* child = nullptr;
  timed(ManyPart::kFork, [&] { child = Fork(world, parent); });
  timed(ManyPart::kExitChild, [&] { world.uvm.FreeSpace(child); });
  timed(ManyPart::kExitParent, [&] { world.uvm.FreeSpace(parent); });
}

void ProtectAll(World& world, Meter& meter) {
  const uint64_t pages = Scaled(kResident);
  Space* space = NewResident(world, pages);
  meter.Start();
  CHECK(space->map().Protect({PageAt(0), PageAt(pages)}, base::kProtRead, SetMax::kNo).ok());
  meter.Stop(1);
  world.uvm.FreeSpace(space);
}

enum class WirePart { kWire, kUnwire };

void WireResident(World& world, Meter& meter, WirePart part) {
  const uint64_t pages = Scaled(4096);
  const Range range{PageAt(0), PageAt(pages)};
  Space* space = NewResident(world, pages);
  if (part == WirePart::kWire) meter.Start();
  CHECK(space->map().Pageable(range, Wiring::kWire).ok());
  if (part == WirePart::kWire) meter.Stop(pages);
  if (part == WirePart::kUnwire) meter.Start();
  CHECK(space->map().Pageable(range, Wiring::kUnwire).ok());
  if (part == WirePart::kUnwire) meter.Stop(pages);
  world.uvm.FreeSpace(space);
}

void ExitResident(World& world, Meter& meter) {
  Space* space = NewResident(world, Scaled(kResident));
  meter.Start();
  world.uvm.FreeSpace(space);
  meter.Stop(1);
}

// ---- Anonymous objects.

constexpr uint64_t kAobjPages = 16384;

enum class AobjPart { kFirstWrites, kReadPass, kSoftFaults };

// A space that maps all of `object`; the mapping's reference is a new one.
Space* MapAobj(World& world, Object* object, uint64_t pages, Advice advice) {
  Space* space = NewSpace(world);
  world.uvm.ReferenceObject(object);
  CHECK(space->map()
            .Enter({.at = PageAt(0),
                    .size = pages * kPageSize,
                    .where = Map::Where::kFixed,
                    .prot = base::kProtReadWrite,
                    .object = object,
                    .sharing = Sharing::kShared,
                    .advice = advice})
            .ok());
  return space;
}

// Every page is read by a processor, which faults where it has to.
void ReadEachPage(World& world, Space* space, uint64_t pages) {
  for (uint64_t page = 0; page < pages; ++page) {
    while (world.pmap.Translate(space->pmap(), PageAt(page), Access::kRead) == nullptr) {
      CHECK(world.uvm.Fault(space, PageAt(page), Access::kRead).ok());
    }
  }
}

void Aobj(World& world, Meter& meter, AobjPart part) {
  const uint64_t pages = Scaled(kAobjPages);
  Result<Object*, MapError> object = world.uvm.CreateAobj(pages * kPageSize, 0);
  CHECK(object.ok());
  Space* writer = MapAobj(world, object.value(), pages, Advice::kNormal);
  if (part == AobjPart::kFirstWrites) meter.Start();
  Fault(world, writer, 0, pages, Access::kWrite);
  if (part == AobjPart::kFirstWrites) meter.Stop(pages);
  if (part != AobjPart::kFirstWrites) {
    const bool ahead = part == AobjPart::kReadPass;
    Space* reader =
        MapAobj(world, object.value(), pages, ahead ? Advice::kNormal : Advice::kRandom);
    meter.Start();
    ReadEachPage(world, reader, pages);
    meter.Stop(pages);
    world.uvm.FreeSpace(reader);
  }
  world.uvm.FreeSpace(writer);
  world.uvm.ReleaseObject(object.value());
}

constexpr uint64_t kManyEntries = 100000;

void Build(World& world, Meter& meter, uint64_t entries) {
  Space* space = NewSpace(world);
  meter.Start();
  for (uint64_t i = 0; i < entries; ++i) MapPages(space, 2 * i, 1, Map::Where::kFixed);
  meter.Stop(entries);
  world.uvm.FreeSpace(space);
}

double MeanDepth(const Map& map) {
  struct Visit {
    const MapEntry* entry;
    double depth;
  };
  std::vector<Visit> left;
  if (map.DebugRoot() != nullptr) left.push_back({map.DebugRoot(), 1});
  double sum = 0, entries = 0;
  while (!left.empty()) {
    const Visit visit = left.back();
    left.pop_back();
    sum += visit.depth;
    entries += 1;
    for (const MapEntry* child : visit.entry->rb_child) {
      if (child != nullptr) left.push_back({child, visit.depth + 1});
    }
  }
  return sum / entries;
}

enum class Order { kRandom, kSequential, kSame };

void Lookups(World& world, Meter& meter, uint64_t entries, Order order) {
  Space* space = NewScattered(world, entries, 1, 1, 0);
  const uint64_t lookups = Scaled(1000000);
  base::Prng prng(1, "uvm_benchmark.lookups");
  {
    const ReaderLock lock(&space->map().lock());
    meter.Start();
    // The addresses are made here: a list of them would take the cache from the entries.
    for (uint64_t i = 0, next = 0; i < lookups; ++i) {
      uint64_t at = entries / 2;
      if (order == Order::kRandom) at = prng.Below(entries);
      if (order == Order::kSequential) {
        at = next;
        next = next + 1 == entries ? 0 : next + 1;
      }
      MapEntry* entry = space->map().LookupLocked(PageAt(2 * at));
      CHECK(entry != nullptr);
    }
    meter.Stop(lookups);
  }
  if (order == Order::kRandom) meter.Note("visits", MeanDepth(space->map()));
  world.uvm.FreeSpace(space);
}

// ---- Growth.

// Of the entry at `at`, itself included.
double AncestorsOf(Space* space, Vaddr at) {
  const ReaderLock lock(&space->map().lock());
  double count = 0;
  for (const MapEntry* entry = space->map().LookupLocked(at); entry != nullptr;
       entry = entry->rb_parent) {
    count += 1;
  }
  return count;
}

// A mapping put into a random gap of a map of `entries` entries, and taken out. Visited: the new
// entry and those above it.
void InsertInto(World& world, Meter& meter, uint64_t entries) {
  PairsFixed(world, meter, entries);
  Space* space = NewScattered(world, entries, kMapped, kGap, 0);
  base::Prng prng(1, "uvm_benchmark.inserted");
  constexpr uint64_t kSamples = 1000;
  double visits = 0;
  for (uint64_t i = 0; i < kSamples; ++i) {
    const uint64_t page = prng.Below(entries) * (kMapped + kGap) + kMapped + 2;
    const Vaddr at = MapPages(space, page, kMapped, Map::Where::kFixed);
    visits += AncestorsOf(space, at);
    UnmapPages(space, at, kMapped);
  }
  meter.Note("visits", visits / kSamples);
  world.uvm.FreeSpace(space);
}

// The only hole that is large enough lies behind all entries.
void FindPast(World& world, Meter& meter, uint64_t entries) {
  PairsAnywhere(world, meter, entries, 1, false);
  Space* space = NewScattered(world, entries, kMapped, 1, 0);
  const uint32_t before = space->map().DebugGapVisits();
  const Vaddr at = MapPages(space, 0, kMapped, Map::Where::kHint);
  meter.Note("visits", space->map().DebugGapVisits() - before);
  UnmapPages(space, at, kMapped);
  world.uvm.FreeSpace(space);
}

// Each generation is forked from the last one and writes to every other page before that one ends,
// so that pages of many ages are shared. The writes of the last generation are timed.
void Generations(World& world, Meter& meter, uint64_t generations) {
  constexpr uint64_t kPages = 256;
  Space* space = NewResident(world, kPages);
  for (uint64_t i = 1; i < generations; ++i) {
    Space* child = Fork(world, space);
    for (uint64_t page = i % 2; page < kPages; page += 2) {
      Fault(world, child, page, 1, Access::kWrite);
    }
    world.uvm.FreeSpace(std::exchange(space, child));
  }
  Space* last = Fork(world, space);
  meter.Start();
  Fault(world, last, 0, kPages, Access::kWrite);
  meter.Stop(kPages);
  world.uvm.FreeSpace(last);
  world.uvm.FreeSpace(space);
}

// ---- The table.

using Row = std::function<void(World&, Meter&)>;

// `recorded`: ns of an item by ../shared/vectors/netbsd_uvm/bench.txt (median, without assertions);
// 0: none.
void Register(const std::string& name, const testing::Aim& aim, const Row& row) {
  testing::AddRow(name, aim, ReadWorld, [row](Meter& meter) {
    World& world = TheWorld();
    row(world, meter);
    CHECK(world.uvm.DebugPages().free_count() == world.uvm.DebugPages().total());
  });
}

void Register(const std::string& name, double recorded, const Row& row) {
  Register(name, testing::Aim{.ns = recorded}, row);
}

constexpr double kRecordedMemset = 266.4, kRecordedMemcpy = 434.2;
constexpr char kCopyFloor[] = "(floor) 65536 records counted, their slots copied";

testing::Aim AboveMemset(double recorded) {
  return {.ns = recorded, .floor = testing::kMemsetPeer, .floor_ns = kRecordedMemset};
}

void RegisterMaps() {
  Register("map+unmap pair, empty space (4 pages, no fault)", 57.6,
           [](World& w, Meter& m) { PairsAnywhere(w, m, 0, kGap, false); });
  Register("map+unmap pair, 1000 entries present, low hint", 180.4,
           [](World& w, Meter& m) { PairsAnywhere(w, m, 1000, kGap, false); });
  Register("map+unmap pair, 1000 entries, FIXED random gap", 347.6,
           [](World& w, Meter& m) { PairsFixed(w, m, 1000); });
  Register("map+touch 1 page+unmap, 1000 entries", 504.4,
           [](World& w, Meter& m) { PairsAnywhere(w, m, 1000, kGap, true); });
  Register("build 100k-entry map (FIXED ascending), per map", 515.0,
           [](World& w, Meter& m) { Build(w, m, Scaled(kManyEntries)); });
  Register("lookup, 100k entries, random", 290.8,
           [](World& w, Meter& m) { Lookups(w, m, Scaled(kManyEntries), Order::kRandom); });
  Register("lookup, 100k entries, sequential", 89.4,
           [](World& w, Meter& m) { Lookups(w, m, Scaled(kManyEntries), Order::kSequential); });
  Register("lookup, same entry", 1.8,
           [](World& w, Meter& m) { Lookups(w, m, Scaled(kManyEntries), Order::kSame); });
  Register("map+unmap pair, 100k entries, first fit past all", 589.1,
           [](World& w, Meter& m) { PairsAnywhere(w, m, Scaled(kManyEntries), 1, false); });
}

void RegisterFaults() {
  Register("zero-fill write fault, 64k pages one entry", AboveMemset(532.4), ZeroFill);
  Register("COW fault in child (copy page)",
           {.ns = 860.3, .floor = testing::kMemcpyPeer, .floor_ns = kRecordedMemcpy},
           [](World& w, Meter& m) { Family(w, m, Part::kCopies); });
  Register("parent write fault after child copied (take over)", 162.8,
           [](World& w, Meter& m) { Family(w, m, Part::kTakeOver); });
}

void RegisterObjects() {
  Register("aobj first write fault (alloc+zero), per page", AboveMemset(1111.4),
           [](World& w, Meter& m) { Aobj(w, m, AobjPart::kFirstWrites); });
  Register("aobj resident read pass (fault-ahead), per page", 71.9,
           [](World& w, Meter& m) { Aobj(w, m, AobjPart::kReadPass); });
  Register("aobj resident soft fault, advice RANDOM", 107.7,
           [](World& w, Meter& m) { Aobj(w, m, AobjPart::kSoftFaults); });
}

void RegisterLives() {
  Register("fork, 1 entry, 65536 resident pages", 197100,
           [](World& w, Meter& m) { Family(w, m, Part::kFork); });
  Register(kCopyFloor, 0, CopyFloor);
  Register("first child write after it (amap of 65536 slots copied)",
           {.ns = 37900, .floor = kCopyFloor},
           [](World& w, Meter& m) { Family(w, m, Part::kFirstWrite); });
  Register("exit of child with 65536 private pages", 4834400,
           [](World& w, Meter& m) { Family(w, m, Part::kExitChild); });
  Register("fork again, pages already write-protected", 22600,
           [](World& w, Meter& m) { Family(w, m, Part::kForkAgain); });
  Register("fork, 1000 entries x 1 resident page", 175500,
           [](World& w, Meter& m) { ManyEntries(w, m, 1, ManyPart::kFork); });
  Register("exit of that child", 99700,
           [](World& w, Meter& m) { ManyEntries(w, m, 1, ManyPart::kExitChild); });
  Register("fork, 1000 entries x 65 resident pages", 444900,
           [](World& w, Meter& m) { ManyEntries(w, m, 65, ManyPart::kFork); });
  Register("exit of that child (nothing touched)", 127600,
           [](World& w, Meter& m) { ManyEntries(w, m, 65, ManyPart::kExitChild); });
  Register("exit of that parent (65000 pages freed)", 6467400,
           [](World& w, Meter& m) { ManyEntries(w, m, 65, ManyPart::kExitParent); });
  Register("protect RO over 65536 resident pages", 127500, ProtectAll);
  Register("exit, 65536 resident private pages", 6744600, ExitResident);
  Register("wire resident pages, per page", 108.9,
           [](World& w, Meter& m) { WireResident(w, m, WirePart::kWire); });
  Register("unwire them, per page", 26.6,
           [](World& w, Meter& m) { WireResident(w, m, WirePart::kUnwire); });
}

void RegisterGrowth() {
  for (uint64_t entries = 100; entries <= (small ? 10000 : 1000000); entries *= 10) {
    const std::string of = std::to_string(entries) + " entries";
    Register("growth: lookup, random, " + of, 0,
             [=](World& w, Meter& m) { Lookups(w, m, entries, Order::kRandom); });
    Register("growth: insert and remove, random gap, " + of, 0,
             [=](World& w, Meter& m) { InsertInto(w, m, entries); });
    Register("growth: find space past all, and back, " + of, 0,
             [=](World& w, Meter& m) { FindPast(w, m, entries); });
  }
  for (uint64_t generations : {1, 10, 100, 1000}) {
    Register("growth: write fault after forks: " + std::to_string(generations), 0,
             [=](World& w, Meter& m) { Generations(w, m, generations); });
  }
}

int Main(int argc, char** argv) {
  small = testing::IsSmall(argc, argv);
  testing::AddPeers(kRecordedMemset, kRecordedMemcpy);
  RegisterMaps();
  RegisterFaults();
  RegisterObjects();
  RegisterLives();
  RegisterGrowth();
  return testing::RunTable(argc, argv, "recorded");
}

}  // namespace
}  // namespace uvm

int main(int argc, char** argv) { return uvm::Main(argc, argv); }
