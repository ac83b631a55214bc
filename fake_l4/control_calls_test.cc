// ProcessorControl and MemoryControl, error by error.
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/sigma0.h>
#include <l4/thread.h>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;
constexpr L4_Word_t kUncacheable = 1, kUnknown = 3;

L4_Word_t Failure(L4_Word_t result) { return result != 0 ? 0 : L4_ErrorCode(); }

L4_Word_t SetAttributes(const std::vector<L4_Word_t>& fpages, const L4_Word_t (&attributes)[4]) {
  L4_LoadMRs(0, static_cast<int>(fpages.size()), fpages.data());
  return Failure(L4_MemoryControl(fpages.size() - 1, attributes));
}

TEST(ProcessorControlTest, ErrorsAndWhatTheKipTells) {
  World world({.ram_bytes = 1 << 20, .processors = 2});
  world.Spawn([] {
    EXPECT_EQ(Failure(L4_ProcessorControl(2, 0, 0, 0)), L4_ERROR_INVALID_PARAMETER);
    EXPECT_EQ(Failure(L4_ProcessorControl(1, 800000, 0, 1400)), 0u);
    const auto* kip = L4_GetKernelInterface();
    const auto* p =
        reinterpret_cast<const L4_Word_t*>(reinterpret_cast<const char*>(kip) + kip->proc_desc_ptr);
    EXPECT_EQ(p[0], 133000u);
    EXPECT_EQ(p[1], 1000000u);
    EXPECT_EQ(p[4], 133000u) << "0 leaves it";
    EXPECT_EQ(p[5], 800000u);
  });
  L4_Word_t error = 0;
  world.SpawnInNewSpace([&] { error = Failure(L4_ProcessorControl(0, 0, 0, 0)); });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(error, L4_ERROR_NO_PRIVILEGE);
}

TEST(ProcessorControlTest, AKernelWithoutItReturnsZeroAndNoError) {
  Quirks quirks = kManualRules;
  quirks.no_processor_control = true;
  World world({.ram_bytes = 1 << 20, .quirks = quirks});
  world.Spawn([] {
    L4_Set_ErrorCode(77);
    EXPECT_EQ(L4_ProcessorControl(0, 0, 0, 0), 0u);
    EXPECT_EQ(L4_ErrorCode(), 77u);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

class MemoryControlTest : public ::testing::Test {
 protected:
  unsigned At(uint64_t offset) {
    return world_.kernel().MemoryAttribute(base::Paddr(kRam + offset));
  }
  World world_;
};

TEST_F(MemoryControlTest, EachFpagePicksOneOfFourAttributes) {
  world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 15));
    const L4_Word_t attributes[4] = {0, kUncacheable, 7, kUnknown};
    const L4_Word_t first = L4_FpageLog2(kRam, 13).raw | 1;
    const L4_Word_t second = L4_FpageLog2(kRam + 0x4000, 12).raw | 2;
    EXPECT_EQ(SetAttributes({first, second}, attributes), 0u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const unsigned expected[] = {1, 1, 0, 0, 7, 0};
  for (unsigned i = 0; i < 6; i++) EXPECT_EQ(At(i * 0x1000), expected[i]) << i;
  world_.Spawn([&] {
    const L4_Word_t attributes[4] = {0, 0, 0, 0};
    EXPECT_EQ(SetAttributes({L4_FpageLog2(kRam, 12).raw}, attributes), 0u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(At(0), 0u);
  EXPECT_EQ(At(0x1000), 1u);
}

// The attribute is the memory's: sizes of pages do not matter.
TEST(MemoryControlSizesTest, PartAndWholeOfALargerPage) {
  World world({.ram_bytes = uint64_t{8} << 20});
  const auto at = [&](uint64_t offset) {
    return world.kernel().MemoryAttribute(base::Paddr(kRam + offset));
  };
  const L4_Word_t attributes[4] = {kUncacheable, 0, 0, 0};
  world.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 21));
    EXPECT_EQ(SetAttributes({L4_FpageLog2(kRam + 0x3000, 12).raw}, attributes), 0u);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(at(0x2000), 0u);
  EXPECT_EQ(at(0x3000), kUncacheable);
  world.Spawn([&] { EXPECT_EQ(SetAttributes({L4_FpageLog2(kRam, 21).raw}, attributes), 0u); });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(at(0x1ff000), kUncacheable);
}

TEST_F(MemoryControlTest, Errors) {
  world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 15));
    const L4_Word_t attributes[4] = {kUncacheable, kUnknown, 32, ~L4_Word_t{0}};
    const L4_Word_t page = L4_FpageLog2(kRam, 12).raw;
    for (L4_Word_t bad = 1; bad < 4; bad++) {
      EXPECT_EQ(SetAttributes({page, page | bad}, attributes), L4_ERROR_INVALID_PARAMETER);
    }
    EXPECT_EQ(At(0), 0u) << "all or nothing";
    // A page that is not there, and nilpage: nothing to do.
    EXPECT_EQ(SetAttributes({L4_FpageLog2(kRam + 0x10000, 12).raw, 0}, attributes), 0u);
    EXPECT_EQ(At(0x10000), 0u);
  });
  L4_Word_t error = 0;
  world_.SpawnInNewSpace([&] {
    const L4_Word_t attributes[4] = {};
    error = SetAttributes({0}, attributes);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(MemoryControlTest, Sigma0GivesMemoryWithAnAttribute) {
  world_.Spawn([&] {
    const auto get = [](L4_Word_t offset, L4_Word_t attribute) {
      return L4_Sigma0_GetPage_Attributes(L4_nilthread, L4_FpageLog2(kRam + offset, 13),
                                          L4_CompleteAddressSpace, attribute);
    };
    EXPECT_FALSE(L4_IsNilFpage(get(0, kUncacheable)));
    EXPECT_TRUE(L4_IsNilFpage(get(0x2000, kUnknown)));
    EXPECT_TRUE(L4_IsNilFpage(get(0x2000, 64)));
    EXPECT_FALSE(L4_IsNilFpage(get(0x2000, 0))) << "a refused one is not given";
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(At(0), kUncacheable);
  EXPECT_EQ(At(0x1000), kUncacheable);
  EXPECT_EQ(At(0x2000), 0u);
  world_.Reset();
  EXPECT_EQ(At(0), 0u);
}

}  // namespace
}  // namespace fake_l4
