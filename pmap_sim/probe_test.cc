// What the pmap finds out about kernels, and how it then does without what they lack.

#include <gtest/gtest.h>
#include <l4/ipc.h>

#include <memory>
#include <string>

#include "base/addr.h"
#include "base/prot.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/l4_pmap.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Access;
using base::Paddr;
using testing::Client;
using testing::kVa;
using uvm::Wired;

fake_l4::BootOptions On(const fake_l4::Profile& profile, const fake_l4::Quirks& quirks) {
  return {.ram_bytes = uint64_t{4} << 20,
          .profile = profile,
          .quirks = quirks,
          .scribble_registers = true};
}

// One kernel after the other, in one test.
class OneKernel : public testing::ClientsTest {
 public:
  explicit OneKernel(const fake_l4::BootOptions& options) : ClientsTest(options) {}
  void TestBody() override {}
  const KernelTraits& traits() { return pmap_.traits(); }
};

TEST(ProbeTest, HardwareIsTakenForWhatItIs) {
  for (const fake_l4::Profile* profile : fake_l4::kAllProfiles) {
    OneKernel kernel(On(*profile, fake_l4::kManualRules));
    EXPECT_TRUE(kernel.traits().own_space_maps) << profile->name;
    EXPECT_TRUE(kernel.traits().by_the_manual) << profile->name;
    EXPECT_EQ(kernel.traits().reference_bits, profile->status_read != 0) << profile->name;
  }
}

TEST(ProbeTest, QuirksAreNoticed) {
  for (const fake_l4::Quirks* quirks : fake_l4::kQuirkProfiles) {
    for (const fake_l4::Profile* profile : fake_l4::kAllProfiles) {
      OneKernel kernel(On(*profile, *quirks));
      EXPECT_TRUE(kernel.traits().own_space_maps) << quirks->name << " " << profile->name;
      EXPECT_EQ(kernel.traits().by_the_manual, quirks->manual())
          << quirks->name << " " << profile->name;
    }
  }
}

// A kernel on which nothing can be mapped within a space looks like a mirror that takes nothing.
TEST(ProbeTest, WithoutOwnSpaceMapsStartUpEnds) {
  fake_l4::World world;
  testing::TestMemory memory;
  base::CanarySwitch canary;
  L4Pmap pmap({.memory = &memory,
               .canary = &canary,
               .home_bias = world.kernel().home_bias(),
               .alias_area = testing::kAliases,
               .alias_windows = 4,
               .kernel_area = testing::kKernelArea});
  L4_ThreadId_t deaf = world.Spawn([] {
    for (;;) {
      L4_Accept(L4_UntypedWordsAcceptor);
      L4_ThreadId_t from;
      L4_Wait(&from);
    }
  });
  bool booted = true;
  world.Spawn([&] { booted = pmap.Boot(deaf); });
  EXPECT_TRUE(world.Run()) << world.problem();
  EXPECT_FALSE(booted);
  EXPECT_STREQ(pmap.boot_error(),
               "this kernel cannot map a page to another address of its own space");
}

// ---- A kernel whose unmaps take all or something else ----

class QuirkyTest : public testing::ClientsTest {
 protected:
  QuirkyTest() : ClientsTest(On(fake_l4::kAmd64Nx, fake_l4::kPistachioOldMdb)) {}
};

TEST_F(QuirkyTest, LoweringTakesAllAndARefillBringsTheRest) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtAll);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 1), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(world_.Rights(a->thread, kVa), "r--");
  EXPECT_FALSE(Touch(a, Access::kExecute, kVa));
}

TEST_F(QuirkyTest, WritesShowAsFaults) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(world_.Rights(a->thread, kVa), "r--");
  EXPECT_FALSE(Modified(pa));
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Modified(pa));
  Server([&] { EXPECT_TRUE(pmap_.ClearModify(pa)); });
  EXPECT_FALSE(Modified(pa));
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_FALSE(Modified(pa));
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Modified(pa));
}

TEST_F(QuirkyTest, ReferencesShowAsFaults) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  EXPECT_FALSE(Referenced(pa));
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Referenced(pa));
  Server([&] { EXPECT_TRUE(pmap_.ClearReference(pa)); });
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_FALSE(Referenced(pa));
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Referenced(pa));
}

TEST_F(QuirkyTest, PagesGoOneByOneFromAliases) {
  Client* a = NewClient();
  EnterRun(a, kVa, 4, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 4), "r...");
  EXPECT_EQ(pmap_.counters().direct_sends, 0u);
  EXPECT_EQ(pmap_.counters().aliases_made, 1u);
}

TEST_F(QuirkyTest, AWiredPageStaysWhenReferencesAreCleared) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead, Wired::kYes);
  EXPECT_TRUE(Read(a, kVa));
  Server([&] { pmap_.ClearReference(pa); });
  EXPECT_EQ(Layout(a, kVa, 1), "r");
  EXPECT_TRUE(Referenced(pa));
}

// ---- A processor without reference bits ----

class NoReferenceTest : public testing::ClientsTest {
 protected:
  NoReferenceTest() : ClientsTest(On(fake_l4::kAmd64NoReference, fake_l4::kManualRules)) {}
};

TEST_F(NoReferenceTest, ReferencesShowAsFaultsAndWritesInStatusBits) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_TRUE(Referenced(pa));
  EXPECT_FALSE(Modified(pa));
  Server([&] { EXPECT_TRUE(pmap_.ClearReference(pa)); });
  EXPECT_FALSE(Referenced(pa));
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Referenced(pa));
  EXPECT_TRUE(Modified(pa));
  Server([&] { EXPECT_TRUE(pmap_.ClearModify(pa)); });
  EXPECT_EQ(Layout(a, kVa, 1), "w");
}

TEST_F(NoReferenceTest, NeighboursComeAlongOnlyWhenNothingIsLearntFromTheirFaults) {
  Client* a = NewClient();
  Paddr first = EnterRun(a, kVa, 2, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 2), "r.");
  EXPECT_FALSE(Referenced(first + 0x1000));
}

}  // namespace
}  // namespace pmap_sim
