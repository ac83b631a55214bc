// The kernel interface page field by field, and the KIP and UTCB areas as programs see them.
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;
constexpr uint64_t kRamBytes = 64 * 4096;

class KipTest : public ::testing::TestWithParam<const Profile*> {
 protected:
  const Profile& profile() const { return *GetParam(); }
  // Runs `body` on a privileged thread.
  void Run(std::function<void()> body) {
    world_.Spawn(std::move(body));
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  World world_{BootOptions{
      .ram_bytes = kRamBytes, .profile = *GetParam(), .processors = 3, .boot_info = 0x1003000}};
};

TEST_P(KipTest, VersionsAndIds) {
  Run([&] {
    const L4_KernelInterfacePage_t* kip = L4_GetKernelInterface();
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(kip), 4), "L4\xe6K");
    L4_Word_t version = 0, flags = 0, id = 0;
    EXPECT_EQ(L4_KernelInterface(&version, &flags, &id), kip);
    EXPECT_EQ(version, 0x84050000u);
    EXPECT_EQ(flags, 4u) << "words are the program's";
    EXPECT_EQ(id >> 24, 0x75u);
    L4_Word_t year = 0, month = 0, day = 0;
    L4_KernelGenDate(kip, &year, &month, &day);
    EXPECT_EQ(year, 2024u);
    EXPECT_EQ(month, 1u);
    EXPECT_EQ(day, 1u);
    EXPECT_EQ(L4_KernelVersion(kip), 0x01000000u);
    EXPECT_EQ(L4_KernelSupplier(kip) & 0xffffffff, 0x656e6f6eu) << "none";
    EXPECT_EQ(L4_ThreadIdUserBase(kip), profile().user_base);
    EXPECT_EQ(L4_ThreadIdSystemBase(kip), profile().system_base);
    EXPECT_EQ(L4_ThreadIdBits(kip), profile().thread_no_bits);
    EXPECT_EQ(L4_Sigma0Id(kip), world_.kernel().sigma0());
    EXPECT_EQ(L4_RootServerId(kip), world_.kernel().root());
    EXPECT_STREQ(L4_KernelVersionString(kip), "fake_l4 1.0");
    EXPECT_TRUE(L4_HasFeature("pagerexregs"));
    EXPECT_FALSE(L4_HasFeature("pager"));
    EXPECT_FALSE(L4_HasFeature("smallspaces"));
    EXPECT_EQ(L4_BootInfo(kip), 0x1003000u);
  });
}

TEST_P(KipTest, SizesPagesAndProcessors) {
  Run([&] {
    const L4_KernelInterfacePage_t* kip = L4_GetKernelInterface();
    EXPECT_EQ(L4_PageSizeMask(kip), profile().page_size_mask);
    EXPECT_EQ(L4_PageRights(kip), L4_Word_t{profile().separable_rights});
    EXPECT_EQ(L4_UtcbSize(kip), 1024u);
    EXPECT_EQ(L4_UtcbAreaSizeLog2(kip), 12u);
    EXPECT_EQ(L4_KipAreaSizeLog2(kip), 12u);
    EXPECT_EQ(kip->processor_info & 0xffff, 2u) << "three processors";
    EXPECT_EQ(L4_Word_t{1} << (kip->processor_info >> 28 & 15), 4 * sizeof(L4_Word_t));
    EXPECT_EQ(kip->clock_info, 0x00010001u) << "a microsecond each";
    for (int i = 0; i < 11; i++) {
      EXPECT_NE(kip->syscall[i], 0u);
      EXPECT_LT(kip->syscall[i], 4096u);
      if (i > 0) {
        EXPECT_GT(kip->syscall[i], kip->syscall[i - 1]);
      }
    }
    EXPECT_EQ(kip->sigma1.ip, 0u);
    EXPECT_EQ(kip->root.ip, Kernel::kRootEntry);
    // Neither is a program with a stack and a place in memory.
    for (const auto& server : {kip->sigma0, kip->root}) {
      EXPECT_EQ(server.sp, 0u);
      EXPECT_EQ(server.low, 0u);
      EXPECT_EQ(server.high, 0u);
    }
  });
}

TEST_P(KipTest, TheMemoryTable) {
  Run([&] {
    const L4_KernelInterfacePage_t* kip = L4_GetKernelInterface();
    const struct {
      L4_Word_t type, low, high;
      bool is_virtual;
    } expected[] = {
        {L4_ConventionalMemoryType, 0, static_cast<L4_Word_t>(profile().user_top - 1), true},
        {L4_ConventionalMemoryType, 0, kRam + kRamBytes - 1, false},
        {L4_ReservedMemoryType, 0, kRam - 1, false},
        {L4_SharedMemoryType, kRam + kRamBytes, kRam + kRamBytes + profile().device_bytes - 1,
         false},
    };
    ASSERT_EQ(L4_NumMemoryDescriptors(kip), std::size(expected));
    for (size_t i = 0; i < std::size(expected); i++) {
      const L4_MemoryDesc_t* d = L4_MemoryDesc(kip, i);
      EXPECT_EQ(L4_MemoryDescType(d), expected[i].type) << i;
      EXPECT_EQ(L4_MemoryDescLow(d), expected[i].low) << i;
      EXPECT_EQ(L4_MemoryDescHigh(d), expected[i].high) << i;
      EXPECT_EQ(L4_IsMemoryDescVirtual(d) != 0, expected[i].is_virtual) << i;
    }
    EXPECT_EQ(L4_MemoryDesc(kip, std::size(expected)), nullptr);
  });
}

TEST_P(KipTest, LoadsReadThePageInTheKipArea) {
  std::string magic(4, '?');
  L4_Word_t thread_info = 0, expected = 0;
  world_.SpawnInNewSpace([&] {
    Cpu cpu = world_.kernel().cpu();
    const base::Vaddr kip(profile().root_kip_area);
    EXPECT_EQ(cpu.Load(kip, magic.data(), 4), AccessStatus::kOk);
    const auto* host = L4_GetKernelInterface();
    expected = host->thread_info;
    const size_t offset =
        reinterpret_cast<const char*>(&host->thread_info) - reinterpret_cast<const char*>(host);
    EXPECT_EQ(cpu.Load(kip + offset, &thread_info, sizeof thread_info), AccessStatus::kOk);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(magic, "L4\xe6K");
  EXPECT_EQ(thread_info, expected);
  EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
}

TEST_P(KipTest, StoresToTheKipFault) {
  L4_MsgTag_t fault = L4_Niltag;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_ThreadId_t from;
    fault = L4_Wait(&from);
    // Nothing that a pager maps there takes effect.
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    const L4_MapItem_t item =
        L4_MapItem(Page(kRam, kRwx), static_cast<L4_Word_t>(profile().root_kip_area));
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    fault = L4_Call(from);
  });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c = 'x';
        (void)world_.kernel().cpu().Store(base::Vaddr(profile().root_kip_area), &c, 1);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IsPageFault(fault));
  EXPECT_EQ(L4_PageFaultAccess(fault), L4_Word_t{profile().fault_write});
  EXPECT_EQ(world_.Rights(client, profile().root_kip_area), "---");
  EXPECT_EQ(world_.kernel().ledger().page_faults, 2u) << "and again";
}

TEST_P(KipTest, TheUtcbIsMemoryAtItsLocation) {
  L4_Word_t word = 0, after = 0;
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  const L4_Word_t area = 0x7000'0000, kip_area = 0x7100'0000;
  world_.kernel().RegisterEntry(0x8000, [&] {
    Cpu cpu = world_.kernel().cpu();
    L4_LoadMR(5, 4711);
    const base::Vaddr mr5(area + 1024 + 5 * sizeof(L4_Word_t));
    EXPECT_EQ(cpu.Load(mr5, &word, sizeof word), AccessStatus::kOk);
    const L4_Word_t other = 4712;
    EXPECT_EQ(cpu.Store(mr5, &other, sizeof other), AccessStatus::kOk);
    L4_StoreMR(5, &after);
    // Where no thread has its UTCB there is nothing.
    (void)cpu.Load(base::Vaddr(area + 2048), &word, 1);
  });
  Run([&] {
    void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
    L4_Word_t old;
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, keep), 1u);
    EXPECT_EQ(L4_SpaceControl(client, 0, L4_FpageLog2(kip_area, 12), L4_FpageLog2(area, 14),
                              L4_nilthread, &old),
              1u);
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_Myself(),
                               reinterpret_cast<void*>(area + 1024)),
              1u);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, 0x8000);
    L4_Send(client);
    const L4_MsgTag_t tag = L4_Receive(client);
    EXPECT_TRUE(L4_IsPageFault(tag));
    L4_Word_t address = 0;
    L4_StoreMR(1, &address);
    EXPECT_EQ(address, area + 2048);
  });
  EXPECT_EQ(word, 4711u);
  EXPECT_EQ(after, 4712u);
}

INSTANTIATE_TEST_SUITE_P(Profiles, KipTest, ::testing::ValuesIn(kAllProfiles),
                         [](const auto& info) {
                           std::string name = info.param->name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(MemoryTableTest, LaterRegionsOverrideEarlierOnes) {
  constexpr uint64_t kPage = 4096;
  World world({.ram_bytes = 16 * kPage,
               .memory_regions = {
                   {L4_ReservedMemoryType, kRam + 2 * kPage, kRam + 6 * kPage},
                   {L4_ConventionalMemoryType, kRam + 3 * kPage, kRam + 4 * kPage},
                   {L4_DedicatedMemoryType, kRam + 8 * kPage, kRam + 9 * kPage},
                   {L4_BootLoaderSpecificMemoryType | 1 << 4, kRam + 10 * kPage, kRam + 11 * kPage},
                   {L4_SharedMemoryType, kRam + 12 * kPage, kRam + 13 * kPage},
               }});
  std::string by_root, by_other;
  const auto ask_all = [](std::string* answers) {
    for (int i = 0; i < 16; i++) {
      const L4_Fpage_t f = L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + i * kPage, 12));
      *answers += L4_IsNilFpage(f) ? '.' : 'x';
    }
  };
  world.kernel().RegisterEntry(Kernel::kRootEntry, [&] { ask_all(&by_root); });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(by_root, "xx.x..xx.xxxxxxx");
  world.SpawnInNewSpace([&] { ask_all(&by_other); });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(by_other, "............x...") << "shared memory is everybody's";
  world.Spawn([] {
    const void* kip = L4_GetKernelInterface();
    const L4_MemoryDesc_t* d = L4_MemoryDesc(kip, L4_NumMemoryDescriptors(kip) - 2);
    EXPECT_EQ(L4_MemoryDescType(d), L4_BootLoaderSpecificMemoryType);
    EXPECT_EQ(d->raw[0] >> 4 & 15, 1u) << "its sub-type";
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

TEST(ProfileTest, ProfilesAreFoundByName) {
  for (const Profile* p : kAllProfiles) EXPECT_EQ(FindProfile(p->name), p);
  EXPECT_EQ(FindProfile("vax"), nullptr);
}

}  // namespace
}  // namespace fake_l4
