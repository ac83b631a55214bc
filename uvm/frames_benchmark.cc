// What does a frame cost, and a run of frames in memory that is in pieces? Frames are taken and
// given back through PageStore as faults and unmappings do it, over FastPmap, so that what the pmap
// is asked of a page that goes (its translations, its status bits) is in the figure. Printed for
// each row: the counted work of one item, then ns.
//
//   bazel run //uvm:frames_benchmark
//   ... --small    less of everything, one repetition: what the ordinary test does
//
// Napkin: two locks without contention, a list's head and a page's fields: 40 to 60 ns a pair, a
// third less for the half that a cache serves. A search reads one descriptor for each frame that it
// looks at: 2 to 5 ns where they lie one after another.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/check.h"
#include "base/prng.h"
#include "uvm/core.h"
#include "uvm/page.h"
#include "uvm/pglist.h"
#include "uvm/testing/benchmark_table.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/fast_pmap.h"
#include "uvm/testing/host_pages.h"

namespace uvm {
namespace {

using testing::Meter;

bool small = false;

struct World {
  explicit World(uint64_t frames) : pmap(frames) {}

  Page* Take() { return pages.AllocateForAnon(reinterpret_cast<Anon*>(&anon), {}); }

  testing::FastPmap pmap;
  testing::FakeThreads threads;
  testing::HostPages memory;
  Core core{&memory, &pmap, &threads, {}, {}};
  PageStore pages{&core};
  PageLists runs{&core, &pages};
  uint64_t anon = 0;
};

const World* measured = nullptr;

testing::Counts ReadWorld() {
  const uint64_t looked = measured == nullptr ? 0 : measured->runs.DebugLookedAt();
  const uint64_t calls = measured == nullptr ? 0 : measured->pmap.calls().all();
  return {{"looked_at", looked}, {"pmap_calls", calls}};
}

uint64_t Frames() { return small ? 2048 : 65536; }

// `burst` frames are taken, then given back in the order in which they came.
void Pairs(Meter& meter, uint64_t burst, const std::function<void(PageStore*)>& arrange) {
  World world(Frames());
  measured = &world;
  arrange(&world.pages);
  std::vector<Page*> taken(burst);
  const uint64_t rounds = (small ? 4096 : 1 << 20) / burst;
  meter.Start();
  for (uint64_t round = 0; round < rounds; ++round) {
    for (Page*& page : taken) page = world.Take();
    for (Page* page : taken) world.pages.Free(page);
  }
  meter.Stop(rounds * burst);
  measured = nullptr;
}

// One frame in `one_in` stays in use.
void Runs(Meter& meter, uint64_t one_in, const PageListRequest& request) {
  World world(Frames());
  measured = &world;
  base::Prng prng(5, "frames_benchmark");
  std::vector<Page*> all(Frames());
  for (Page*& page : all) page = world.Take();
  for (Page* page : all) {
    if (!prng.Chance(1, one_in)) world.pages.Free(page);
  }
  const uint64_t rounds = small ? 8 : 256;
  uint64_t found = 0;
  meter.Start();
  for (uint64_t round = 0; round < rounds; ++round) {
    PageList list;
    found += world.runs.Allocate(request, PageLists::MayWait::kNo, &list).ok() ? 1 : 0;
    world.runs.Free(&list);
  }
  meter.Stop(rounds);
  meter.Note("found", static_cast<double>(found) / static_cast<double>(rounds));
  measured = nullptr;
}

void PlugAndUnplug(Meter& meter) {
  World world(Frames());
  measured = &world;
  const Paddr start = world.pmap.segment(0).start + base::ToBytes(PageCount(Frames() / 2));
  const uint64_t rounds = small ? 16 : 2048;
  meter.Start();
  for (uint64_t round = 0; round < rounds; ++round) {
    CHECK(world.pages.Unplug(start, PageCount(256)));
    CHECK(world.pages.Plug(start, PageCount(256)));
  }
  meter.Stop(rounds);
  measured = nullptr;
}

void Register(const std::string& name, const std::function<void(Meter&)>& row) {
  testing::AddRow(name, {}, ReadWorld, row);
}

int Main(int argc, char** argv) {
  small = testing::IsSmall(argc, argv);
  const auto plain = [](PageStore*) {};
  const auto caches = [](PageStore* pages) { CHECK(pages->StartCaches(1)); };
  const auto colours = [](PageStore* pages) { CHECK(pages->Recolour(64)); };
  const auto all = [](PageStore* pages) {
    CHECK(pages->Recolour(64) && pages->Rebucket(8) && pages->StartCaches(1));
  };
  for (const uint64_t burst : {uint64_t{1}, uint64_t{512}}) {
    const std::string name = "allocate and free, " + std::to_string(burst) + " at a time";
    const auto add = [&](const char* how, const std::function<void(PageStore*)>& arrange) {
      Register(name + how, [burst, arrange](Meter& m) { Pairs(m, burst, arrange); });
    };
    add("", plain);
    add(", cache", caches);
    add(", 64 colours", colours);
    add(", all of it, 8 buckets", all);
  }
  const auto run = [](const std::string& name, uint64_t one_in, const PageListRequest& request) {
    Register(name, [one_in, request](Meter& m) { Runs(m, one_in, request); });
  };
  constexpr uint64_t kPage = base::kPageSize;
  run("run of 16, one frame in 8 used", 8, {.bytes = 16 * kPage});
  run("run of 16, one frame in 64 used", 64, {.bytes = 16 * kPage});
  run("run of 16 aligned, one frame in 8 used", 8, {.bytes = 16 * kPage, .alignment = 16 * kPage});
  run("run of 1024, one frame in 64 used", 64, {.bytes = 1024 * kPage});
  run("256 frames in up to 16 runs, one in 8 used", 8, {.bytes = 256 * kPage, .runs = 16});
  run("256 frames one by one, one in 8 used", 8, {.bytes = 256 * kPage, .runs = 256});
  Register("unplug and plug 256 frames", PlugAndUnplug);
  return testing::RunTable(argc, argv, "-");
}

}  // namespace
}  // namespace uvm

int main(int argc, char** argv) { return uvm::Main(argc, argv); }
