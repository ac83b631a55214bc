// The basic scenarios of every subject, under every hardware profile: what differs between them is
// stated here in numbers of its own, from facts/l4.md sections 4, 6 and 8.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});

struct Told {
  L4_MsgTag_t tag = L4_Niltag;
  L4_Word_t mr[13] = {};
};

class ProfileMatrix : public ::testing::TestWithParam<const Profile*> {
 protected:
  const Profile& profile() const { return *GetParam(); }
  bool ia32() const { return profile().word_bits == 32; }
  bool references() const { return std::string(profile().name) != "amd64-no-reference"; }
  // Where user addresses end.
  uint64_t top() const { return ia32() ? 0xc0000000 : uint64_t{1} << 47; }

  Cpu cpu() { return world_.kernel().cpu(); }
  AccessStatus Load(uint64_t va, size_t size = 1) {
    char bytes[16];
    return cpu().Load(base::Vaddr(va), bytes, size);
  }
  AccessStatus Store(uint64_t va, const std::string& text = "x") {
    return cpu().Store(base::Vaddr(va), text.data(), text.size());
  }
  std::string Bytes(L4_ThreadId_t task, uint64_t va, size_t n) {
    std::string text(n, '?');
    (void)world_.kernel().DebugRead(world_.SpaceOf(task), base::Vaddr(va), text.data(), n);
    return text;
  }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }
  // Runs `body` on a thread of the root space that owns the first MiB of RAM.
  L4_ThreadId_t Owner(std::function<void()> body) {
    return world_.Spawn([body] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
      body();
    });
  }
  // Answers each fault with one of its pages, and `rights`; notes it as "4@2345 ".
  L4_ThreadId_t Pager(unsigned rights = kRwx) {
    return Owner([this, rights] {
      L4_ThreadId_t from;
      L4_MsgTag_t tag = L4_Wait(&from);
      for (;;) {
        // Who was answered may be gone.
        if (L4_IpcFailed(tag)) tag = L4_Wait(&from);
        L4_Word_t address = 0;
        L4_StoreMR(1, &address);
        EXPECT_TRUE(L4_IsPageFault(tag));
        char text[40];
        std::snprintf(text, sizeof text, "%u@%llx ", static_cast<unsigned>(L4_PageFaultAccess(tag)),
                      static_cast<unsigned long long>(address));
        faults_ += text;
        const L4_Word_t page = address & ~L4_Word_t{4095};
        const L4_MapItem_t item = L4_MapItem(Page(kRam + (page & 0xff000), rights), page);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        tag = L4_ReplyWait(from, &from);
      }
    });
  }

  World world_{BootOptions{.ram_bytes = uint64_t{4} << 20, .profile = *GetParam()}};
  std::string faults_;
};

// ---- IPC ----

TEST_P(ProfileMatrix, UntypedWordsArrive) {
  L4_Word_t got[6] = {};
  L4_MsgTag_t tag = L4_Niltag;
  L4_ThreadId_t from = L4_nilthread;
  const L4_ThreadId_t receiver = world_.SpawnInNewSpace([&] {
    tag = L4_Wait(&from);
    L4_StoreMRs(1, 5, got + 1);
  });
  const L4_ThreadId_t sender = world_.SpawnInNewSpace([&] {
    const L4_Word_t words[5] = {1, 0x80000000, ~L4_Word_t{0}, 0, 5};
    L4_Set_MsgTag(L4_MakeMsgTag(0x123, 5, 0));
    L4_LoadMRs(1, 5, words);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(receiver)));
  });
  Run();
  EXPECT_EQ(tag.raw, L4_MakeMsgTag(0x123, 5, 0).raw);
  EXPECT_EQ(from, sender);
  EXPECT_EQ(got[2], 0x80000000u);
  EXPECT_EQ(got[3], ~L4_Word_t{0});
  EXPECT_EQ(got[5], 5u);
}

// Rights that the processor does not tell apart come along.
TEST_P(ProfileMatrix, MapGivesTheRightsThatTheHardwareHas) {
  const struct {
    unsigned asked;
    const char *amd64, *ia32;
  } kCases[] = {{4, "r--", "r-x"}, {2, "rw-", "rwx"}, {1, "r-x", "r-x"}, {5, "r-x", "r-x"},
                {6, "rw-", "rwx"}, {7, "rwx", "rwx"}, {0, "---", "---"}};
  const L4_ThreadId_t receiver = world_.SpawnInNewSpace([] {
    for (int i = 0; i < 7; i++) ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
  });
  Owner([&] {
    L4_Word_t at = 0x10000;
    for (const auto& c : kCases) SendMap(receiver, Page(kRam, c.asked), at += 0x1000);
  });
  Run();
  uint64_t at = 0x10000;
  for (const auto& c : kCases) {
    EXPECT_EQ(world_.Rights(receiver, at += 0x1000), ia32() ? c.ia32 : c.amd64) << c.asked;
  }
}

TEST_P(ProfileMatrix, ARightThatTheSourceLacksIsNotGiven) {
  const L4_ThreadId_t last =
      world_.SpawnInNewSpace([] { ReceiveMap(L4_anythread, L4_CompleteAddressSpace); });
  const L4_ThreadId_t middle = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    SendMap(last, Page(0x5000, kRwx), 0x6000);
  });
  Owner([&] { SendMap(middle, Page(kRam, kR), 0x5000); });
  Run();
  EXPECT_EQ(world_.Rights(last, 0x6000), ia32() ? "r-x" : "r--");
}

TEST_P(ProfileMatrix, GrantMovesAPage) {
  const L4_ThreadId_t receiver =
      world_.SpawnInNewSpace([] { ReceiveMap(L4_anythread, L4_CompleteAddressSpace); });
  const L4_ThreadId_t granter = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    const L4_GrantItem_t item = L4_GrantItem(Page(0x5000, kRwx), 0x6000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(receiver)));
  });
  const L4_ThreadId_t owner = Owner([&] { SendMap(granter, Page(kRam, kRwx), 0x5000); });
  Run();
  EXPECT_EQ(world_.Rights(granter, 0x5000) + world_.Rights(receiver, 0x6000), "---rwx");
  EXPECT_TRUE(world_.SameFrame(owner, kRam, receiver, 0x6000));
}

TEST_P(ProfileMatrix, AStringIsCopiedOverFaultsOfBothSides) {
  const L4_ThreadId_t pager = Pager();
  L4_MsgTag_t sent = L4_Niltag, received = L4_Niltag;
  const L4_ThreadId_t receiver = world_.SpawnInNewSpace(
      [&] {
        L4_Accept(L4_StringItemsAcceptor);
        const L4_Word_t buffer[2] = {100 << 10, top() - 0x1000};
        L4_LoadBRs(1, 2, buffer);
        L4_ThreadId_t from;
        received = L4_Wait(&from);
      },
      pager);
  world_.SpawnInNewSpace(
      [&] {
        EXPECT_EQ(Store(0x2000, "hello"), AccessStatus::kOk);
        const L4_Word_t item[2] = {5 << 10, 0x2000};
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item);
        sent = L4_Send(receiver);
      },
      pager);
  Run();
  EXPECT_TRUE(L4_IpcSucceeded(sent) && L4_IpcSucceeded(received));
  EXPECT_EQ(Bytes(receiver, top() - 0x1000, 5), "hello");
  EXPECT_EQ(faults_, ia32() ? "2@2000 2@bffff000 " : "2@2000 2@7ffffffff000 ");
}

// The last page of user space may hold a string; what is above may not, and does not fault.
TEST_P(ProfileMatrix, AStringEndsWithUserSpace) {
  const L4_ThreadId_t pager = Pager();
  for (const bool at_sender : {true, false}) {
    L4_MsgTag_t tag = L4_Niltag;
    L4_Word_t error = 0;
    const L4_ThreadId_t receiver = world_.SpawnInNewSpace(
        [&, at_sender] {
          L4_Accept(L4_StringItemsAcceptor);
          const L4_Word_t buffer[2] = {100 << 10, at_sender ? 0x5000 : top() - 2};
          L4_LoadBRs(1, 2, buffer);
          L4_ThreadId_t from;
          L4_Wait(&from);
        },
        pager);
    world_.SpawnInNewSpace(
        [&, at_sender] {
          const L4_Word_t item[2] = {4 << 10, at_sender ? top() - 2 : 0x5000};
          L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
          L4_LoadMRs(1, 2, item);
          tag = L4_Send(receiver);
          error = L4_ErrorCode();
        },
        pager);
    Run();
    EXPECT_TRUE(L4_IpcFailed(tag));
    EXPECT_EQ(error, 2u << 4 | 4 << 1) << "overflow after two bytes";
  }
}

// ---- Page faults ----

// Pages are given to be read only. A store faults for ever then, and a fetch where execution is a
// right of its own.
TEST_P(ProfileMatrix, FaultsReportWhatTheHardwareTells) {
  const L4_ThreadId_t pager = Pager(kR);
  const auto fault = [&](std::function<void()> body) {
    faults_.clear();
    const L4_ThreadId_t client = world_.SpawnInNewSpace(std::move(body), pager);
    if (world_.Run({.max_switches = 40})) return;
    world_.Spawn([client] {
      L4_ThreadControl(client, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb);
    });
    Run();
  };
  fault([&] {
    EXPECT_EQ(Load(0x2345), AccessStatus::kOk);
    (void)Store(0x2347);
  });
  EXPECT_EQ(faults_.substr(0, 21), ia32() ? "5@2345 2@2347 2@2347 " : "4@2345 2@2347 2@2347 ");
  fault([&] { (void)cpu().Fetch(base::Vaddr(0x3456)); });
  EXPECT_EQ(faults_.substr(0, 14), ia32() ? "5@3456 " : "1@3456 1@3456 ");
}

TEST_P(ProfileMatrix, AMissingPageMayBeReadWrittenAndExecutedAfterOneAnswer) {
  const L4_ThreadId_t pager = Pager();
  world_.SpawnInNewSpace(
      [&] {
        EXPECT_EQ(Store(0x2345), AccessStatus::kOk);
        EXPECT_EQ(Load(0x2345), AccessStatus::kOk);
        EXPECT_EQ(cpu().Fetch(base::Vaddr(0x2345)), AccessStatus::kOk);
      },
      pager);
  Run();
  EXPECT_EQ(faults_, "2@2345 ");
}

// ---- Exceptions ----

TEST_P(ProfileMatrix, AnAddressAboveUserSpaceIsAnException) {
  struct Access {
    uint64_t va;
    size_t size;
  };
  const Access kAccesses[] = {{top(), 1}, {top() - 2, 4}, {~uint64_t{0} - 2, 8}, {~uint64_t{0}, 1}};
  for (const Access& access : kAccesses) {
    world_.Reset();
    Told told;
    const L4_ThreadId_t handler = world_.Spawn([&] {
      L4_ThreadId_t from;
      told.tag = L4_Wait(&from);
      L4_StoreMRs(1, 12, told.mr + 1);
    });
    world_.SpawnInNewSpace([&] {
      L4_Set_ExceptionHandler(handler);
      cpu().set_ip(0x1234);
      (void)Load(access.va, access.size);
    });
    Run();
    const L4_Word_t label = L4_Label(told.tag), kLabels = ~L4_Word_t{0} >> 16;
    EXPECT_EQ(label, kLabels - (ia32() ? 5 : 4) * 16 + 1);
    EXPECT_EQ(L4_UntypedWords(told.tag), ia32() ? 12u : 6u);
    EXPECT_EQ(told.mr[1], 0x1234u);
    // A page fault of IA-32 (at a page that is there, by a user); elsewhere general protection.
    EXPECT_EQ(told.mr[ia32() ? 3 : 4], ia32() ? 14u : 13u);
    EXPECT_EQ(told.mr[ia32() ? 4 : 5], ia32() ? 5u : 0u);
    EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
  }
}

// ---- Unmap ----

// Reading, writing and executing a page, and what its owner is then told, once.
TEST_P(ProfileMatrix, StatusBitsAreWhatTheHardwareKeeps) {
  const struct {
    char access;
    unsigned amd64, ia32, no_reference;
  } kCases[] = {{'r', 4, 5, 0}, {'w', 6, 7, 2}, {'x', 5, 5, 0}, {'-', 0, 0, 0}};
  for (const auto& c : kCases) {
    world_.Reset();
    const L4_ThreadId_t client = world_.SpawnInNewSpace([&] {
      L4_ThreadId_t from;
      ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
      if (c.access == 'r') {
        EXPECT_EQ(Load(0x5000), AccessStatus::kOk);
      }
      if (c.access == 'w') {
        EXPECT_EQ(Store(0x5000), AccessStatus::kOk);
      }
      if (c.access == 'x') {
        EXPECT_EQ(cpu().Fetch(base::Vaddr(0x5000)), AccessStatus::kOk);
      }
      L4_Wait(&from);
    });
    unsigned first = 8, second = 8, own = 8;
    Owner([&] {
      SendMap(client, Page(kRam, kRwx), 0x5000);
      L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(100));
      first = L4_Rights(L4_GetStatus(Page(kRam, 0)));
      second = L4_Rights(L4_GetStatus(Page(kRam, 0)));
      L4_Set_MsgTag(L4_Niltag);
      L4_Send(client);
    });
    world_.Spawn([&] { own = 0; });
    Run();
    const unsigned expected = ia32() ? c.ia32 : references() ? c.amd64 : c.no_reference;
    EXPECT_EQ(first, expected) << c.access;
    EXPECT_EQ(second, 0u) << c.access;
    EXPECT_EQ(own, 0u);
  }
}

TEST_P(ProfileMatrix, UnmapTakesTheRightsThatTheHardwareHas) {
  const struct {
    unsigned revoked;
    const char *amd64, *ia32;
  } kCases[] = {{0, "rwx", "rwx"}, {1, "rw-", "rwx"}, {2, "r-x", "r-x"},
                {3, "r--", "r-x"}, {4, "rwx", "rwx"}, {7, "---", "---"}};
  for (const auto& c : kCases) {
    world_.Reset();
    const L4_ThreadId_t client =
        world_.SpawnInNewSpace([] { ReceiveMap(L4_anythread, L4_CompleteAddressSpace); });
    L4_Fpage_t back = L4_Nilpage;
    const L4_ThreadId_t owner = Owner([&] {
      SendMap(client, Page(kRam, kRwx), 0x5000);
      back = L4_UnmapFpage(Page(kRam, c.revoked));
    });
    Run();
    EXPECT_EQ(world_.Rights(client, 0x5000), ia32() ? c.ia32 : c.amd64) << c.revoked;
    EXPECT_EQ(world_.Rights(owner, kRam), "rwx");
    EXPECT_EQ(back.raw, Page(kRam, 0).raw) << "nobody touched it";
  }
}

TEST_P(ProfileMatrix, FlushTakesOnesOwnPageAndTellsOnesOwnAccesses) {
  unsigned status = 8;
  const L4_ThreadId_t owner = Owner([&] {
    EXPECT_EQ(Store(kRam), AccessStatus::kOk);
    status = L4_Rights(L4_FlushFpage(Page(kRam, kW)));
  });
  Run();
  EXPECT_EQ(status, ia32() ? 7u : references() ? 6u : 2u);
  EXPECT_EQ(world_.Rights(owner, kRam), "r-x");
}

// ---- Larger pages ----

class LargePages : public ProfileMatrix {
 protected:
  // A machine whose RAM is one page of 2^log2 bytes, and who owns it.
  void Boot(unsigned log2) {
    machine_profile_ = profile();
    machine_profile_.ram_base = uint64_t{1} << log2;
    machine_profile_.root_kip_area = top() - 0x100000;
    machine_ = std::make_unique<World>(
        BootOptions{.ram_bytes = uint64_t{1} << log2, .profile = machine_profile_});
  }
  std::vector<unsigned> Sizes() const {
    return ia32() ? std::vector<unsigned>{22} : std::vector<unsigned>{21, 30};
  }
  unsigned Log2At(L4_ThreadId_t t, uint64_t va) const {
    const Mapping m = machine_->kernel().Inspect(machine_->SpaceOf(t), base::Vaddr(va));
    return m.mapped() ? m.log2 : 0;
  }
  Profile machine_profile_ = kAmd64Nx;
  std::unique_ptr<World> machine_;
};

TEST_P(LargePages, OneOfEachSizeIsOnePageAndSplitsWhereAPartGoes) {
  for (const unsigned log2 : Sizes()) {
    Boot(log2);
    const uint64_t bytes = uint64_t{1} << log2;
    L4_Fpage_t got = L4_Nilpage;
    unsigned status = 8, after = 8;
    const L4_ThreadId_t client = machine_->SpawnInNewSpace([&] {
      ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
      char c = 'x';
      EXPECT_EQ(machine_->kernel().cpu().Store(base::Vaddr(2 * bytes - 5), &c, 1),
                AccessStatus::kOk);
    });
    const L4_ThreadId_t owner = machine_->Spawn([&] {
      got = L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace);
      SendMap(client, L4_FpageAddRights(got, kRwx), bytes);
      L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(100));
      EXPECT_EQ(machine_->kernel().ledger().pages_split, 0u);
      // The second page of 4 KiB, which nobody touched, but as part of the whole.
      status = L4_Rights(L4_UnmapFpage(Page(bytes + 0x1000, kRwx)));
      after = L4_Rights(L4_GetStatus(Page(bytes + 0x1000, 0)));
    });
    ASSERT_TRUE(machine_->Run()) << machine_->problem();
    EXPECT_EQ(L4_SizeLog2(got), log2);
    EXPECT_EQ(L4_Address(got), bytes);
    EXPECT_EQ(Log2At(client, bytes), 12u);
    EXPECT_EQ(Log2At(client, bytes + 0x1000), 0u);
    EXPECT_EQ(Log2At(client, bytes + 0x2000), 12u);
    // Beyond the piece of the next smaller size that was split in turn.
    EXPECT_EQ(Log2At(client, 2 * bytes - 0x1000), log2 == 30 ? 21u : 12u);
    EXPECT_TRUE(machine_->SameFrame(owner, 2 * bytes - 0x1000, client, 2 * bytes - 0x1000));
    EXPECT_EQ(status, ia32() ? 7u : references() ? 6u : 2u);
    EXPECT_EQ(after, 0u);
    EXPECT_GT(machine_->kernel().ledger().pages_split, 0u);
  }
}

TEST_P(LargePages, AlignmentDecidesAboutTheSize) {
  for (const unsigned log2 : Sizes()) {
    Boot(log2);
    const uint64_t bytes = uint64_t{1} << log2, half = bytes / 2;
    const L4_ThreadId_t whole =
        machine_->SpawnInNewSpace([&] { ReceiveMap(L4_anythread, L4_CompleteAddressSpace); });
    // The window is half a page; the hot spot says which half.
    const L4_ThreadId_t part = machine_->SpawnInNewSpace(
        [&] { ReceiveMap(L4_anythread, L4_FpageLog2(half, static_cast<int>(log2 - 1))); });
    machine_->Spawn([&] {
      const L4_Fpage_t all = L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace);
      const L4_Fpage_t got = L4_FpageRemoveRights(all, kRwx);
      // A target that is not aligned is rounded down.
      SendMap(whole, L4_FpageAddRights(got, kR), bytes + 0x3000);
      SendMap(part, L4_FpageAddRights(got, kR), half + 0x3000);
    });
    ASSERT_TRUE(machine_->Run()) << machine_->problem();
    EXPECT_EQ(Log2At(whole, bytes + half), log2);
    EXPECT_EQ(machine_->Rights(whole, bytes), ia32() ? "r-x" : "r--");
    EXPECT_EQ(Log2At(part, half), log2 == 30 ? 21u : 12u);
    EXPECT_TRUE(machine_->SameFrame(whole, bytes + half, part, half));
    EXPECT_EQ(Log2At(part, bytes), 0u);
  }
}

// ---- sigma0 ----

TEST_P(LargePages, Sigma0GivesAnyOrOnePageOfEachSize) {
  for (unsigned log2 : {12u, 13u, 20u, 21u, 22u, 30u}) {
    if (log2 == 30 && ia32()) continue;
    Boot(std::max(log2, 22u));
    const uint64_t base = machine_profile_.ram_base;
    L4_Fpage_t any = L4_Nilpage, same = L4_Nilpage, other = L4_CompleteAddressSpace;
    const L4_ThreadId_t owner = machine_->Spawn([&] {
      any = L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace);
      same = L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(base, static_cast<int>(log2)));
    });
    ASSERT_TRUE(machine_->Run()) << machine_->problem();
    machine_->SpawnInNewSpace([&] {
      other = L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(base, static_cast<int>(log2)));
    });
    ASSERT_TRUE(machine_->Run()) << machine_->problem();
    EXPECT_EQ(L4_Address(any), base);
    EXPECT_EQ(L4_SizeLog2(any), log2);
    EXPECT_EQ(same.raw, any.raw) << "the owner may ask again";
    EXPECT_TRUE(L4_IsNilFpage(other)) << "it is another's";
    EXPECT_EQ(machine_->Rights(owner, base), "rwx");
    EXPECT_EQ(machine_->Rights(owner, base + (uint64_t{1} << log2) - 0x1000), "rwx");
  }
}

TEST_P(ProfileMatrix, Sigma0RefusesWhatIsNoPage) {
  std::string refused;
  world_.Spawn([&] {
    const auto ask = [&](L4_Fpage_t f) {
      refused += L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, f)) ? 'n' : 'y';
    };
    ask(L4_FpageLog2(kRam, 11));           // too small
    ask(L4_FpageLog2(kRam - 0x1000, 12));  // reserved by the kernel
    ask(L4_CompleteAddressSpace);
    ask(L4_FpageLog2(0, ia32() ? 32 : 47));  // as large as the space
    ask(L4_FpageLog2(kRam, 12));
    // What no table lists may be there, as far as physical addresses go.
    ask(L4_FpageLog2(0xfee00000, 12));
    ask(L4_FpageLog2(uint64_t{1} << 32, 12));
    ask(L4_FpageLog2(uint64_t{1} << 36, 12));
    refused +=
        L4_IsNilFpage(L4_Sigma0_GetAny(L4_nilthread, 24, L4_CompleteAddressSpace)) ? 'n' : 'y';
  });
  Run();
  EXPECT_EQ(refused, ia32() ? "nnnnyynnn" : "nnnnyyynn");
}

// ---- Tasks ----

TEST_P(ProfileMatrix, ATaskWithItsAreasAtTheEndOfUserSpace) {
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  const L4_Word_t utcb = top() - 0x1000, kip = top() - 0x2000;
  L4_Word_t error[4] = {}, magic = 0, local = 0, old;
  world_.kernel().RegisterEntry(0x8000, [&] {
    local = L4_MyLocalId().raw;
    EXPECT_EQ(cpu().Load(base::Vaddr(kip), &magic, 4), AccessStatus::kOk);
    EXPECT_EQ(Store(utcb + 0x400), AccessStatus::kOk) << "its UTCB is memory";
  });
  world_.Spawn([&] {
    ASSERT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb), 1u);
    const auto areas = [&](L4_Fpage_t k, L4_Fpage_t u) {
      return L4_SpaceControl(client, 0, k, u, L4_nilthread, &old) == 1 ? 0 : L4_ErrorCode();
    };
    error[0] = areas(L4_FpageLog2(kip, 12), L4_FpageLog2(top(), 12));
    error[1] = areas(L4_FpageLog2(top(), 12), L4_FpageLog2(utcb, 12));
    error[2] = areas(L4_FpageLog2(utcb, 12), L4_FpageLog2(utcb, 12));
    error[3] = areas(L4_FpageLog2(kip, 12), L4_FpageLog2(utcb, 12));
    const L4_Word_t place = utcb + 0x400;
    EXPECT_EQ(
        L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), reinterpret_cast<void*>(top())),
        0u);
    EXPECT_EQ(L4_ErrorCode(), 6u) << "a UTCB above user space";
    ASSERT_EQ(
        L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), reinterpret_cast<void*>(place)),
        1u);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, 0x8000);
    L4_LoadMR(2, top() - 0x3000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(client)));
  });
  Run();
  EXPECT_EQ(error[0], 6u);
  EXPECT_EQ(error[1], 7u);
  EXPECT_EQ(error[2], 7u);
  EXPECT_EQ(error[3], 0u);
  EXPECT_EQ(local, utcb + 0x400);
  EXPECT_EQ(magic, 0x4be6344cu);
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(client, &info));
  EXPECT_EQ(info.sp, top() - 0x3000);
  EXPECT_EQ(world_.kernel().ledger().page_faults, 0u);
}

// ---- The end of the space, and what wraps round it ----

TEST_P(ProfileMatrix, TheLastPageOfUserSpace) {
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        EXPECT_EQ(Store(top() - 3, "end"), AccessStatus::kOk);
        EXPECT_EQ(cpu().Fetch(base::Vaddr(top() - 1)), AccessStatus::kOk);
      },
      Pager());
  Run();
  EXPECT_EQ(Bytes(client, top() - 3, 3), "end");
  EXPECT_EQ(world_.Rights(client, top() - 0x1000), "rwx");
}

// A send base is an address in a complete window, modulo its size; and the kernel's part of the
// space gets nothing.
TEST_P(ProfileMatrix, SendBasesWrapAtTheSizeOfTheSpace) {
  const uint64_t size = ia32() ? uint64_t{1} << 32 : uint64_t{1} << 47;
  const L4_ThreadId_t client = world_.SpawnInNewSpace([] {
    for (int i = 0; i < 4; i++) ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
  });
  Owner([&] {
    SendMap(client, Page(kRam, kRwx), size + 0x5000);
    SendMap(client, Page(kRam + 0x1000, kRwx), ~L4_Word_t{0} << 12);
    SendMap(client, Page(kRam + 0x2000, kRwx), top());
    SendMap(client, L4_FpageAddRights(L4_FpageLog2(kRam + 0x4000, 14), kRwx), top() - 0x2000);
  });
  Run();
  std::string pages;
  world_.kernel().ForEachMapping(world_.SpaceOf(client), [&](const Mapping& m) {
    char text[40];
    std::snprintf(text, sizeof text, "%llx=%llx ", static_cast<unsigned long long>(m.va.value()),
                  static_cast<unsigned long long>(m.frame.value() - kRam));
    pages += text;
  });
  // With 2^47 bytes all of the space is the user's, so that the end is its last page, and 2^47 its
  // first one; a base is aligned down to the 16 KiB that are sent.
  EXPECT_EQ(pages, ia32() ? "5000=0 bfffc000=4000 bfffd000=5000 bfffe000=6000 bffff000=7000 "
                          : "0=2000 5000=0 7fffffffc000=4000 7fffffffd000=5000 "
                            "7fffffffe000=6000 7ffffffff000=7000 ");
}

TEST_P(ProfileMatrix, FpagesBeyondTheSpaceHaveNoPages) {
  const uint64_t size = ia32() ? uint64_t{1} << 32 : uint64_t{1} << 47;
  std::string tags;
  const L4_ThreadId_t client = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_FpageLog2(size, 12));
    ReceiveMap(L4_anythread, L4_FpageLog2(~L4_Word_t{0} << 12, 12));
    ReceiveMap(L4_anythread, L4_FpageLog2(size, 20));
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
  });
  L4_Fpage_t unmapped = L4_Nilpage;
  Owner([&] {
    for (int i = 0; i < 3; i++) {
      tags += L4_IpcSucceeded(SendMap(client, Page(kRam, kRwx), 0x5000)) ? 'y' : 'n';
    }
    tags += L4_IpcSucceeded(SendMap(client, Page(size + kRam, kRwx), 0x5000)) ? 'y' : 'n';
    unmapped = L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(size, 24), kRwx));
    L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(~L4_Word_t{0} << 20, 20), kRwx));
  });
  Run();
  EXPECT_EQ(tags, "yyyy");
  EXPECT_EQ(L4_Rights(unmapped), 0u);
  int pages = 0;
  world_.kernel().ForEachMapping(world_.SpaceOf(client), [&](const Mapping&) { pages++; });
  EXPECT_EQ(pages, 0);
  EXPECT_EQ(world_.kernel().Inspect(kRootSpace, base::Vaddr(kRam)).rights, kRwx);
}

// Everything one has, to where one has it: the areas of the kernel stay out.
TEST_P(ProfileMatrix, CompleteSpacesBothWays) {
  const L4_ThreadId_t second =
      world_.SpawnInNewSpace([] { ReceiveMap(L4_anythread, L4_CompleteAddressSpace); });
  const L4_ThreadId_t first = world_.SpawnInNewSpace([&] {
    for (int i = 0; i < 2; i++) ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    SendMap(second, L4_FpageAddRights(L4_CompleteAddressSpace, kR), 0);
  });
  Owner([&] {
    SendMap(first, Page(kRam, kRwx), 0x5000);
    SendMap(first, Page(kRam + 0x1000, kRwx), top() - 0x1000);
    const L4_Fpage_t all = L4_CompleteAddressSpace;
    EXPECT_EQ(L4_UnmapFpage(L4_FpageAddRights(all, kW)).raw, all.raw);
  });
  Run();
  EXPECT_EQ(world_.Rights(second, 0x5000), ia32() ? "r-x" : "r--");
  EXPECT_TRUE(world_.SameFrame(first, top() - 0x1000, second, top() - 0x1000));
  int pages = 0;
  world_.kernel().ForEachMapping(world_.SpaceOf(second), [&](const Mapping&) { pages++; });
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(world_.Rights(first, 0x5000), "r-x") << "the owner took w from all it had mapped";
}

// ---- Reset ----

TEST_P(ProfileMatrix, AKernelThatWasResetDoesTheSameAgain) {
  std::string story[2];
  for (std::string& text : story) {
    const L4_ThreadId_t client = world_.SpawnInNewSpace(
        [&] {
          EXPECT_EQ(Load(0x2000), AccessStatus::kOk);
          EXPECT_EQ(Store(top() - 1), AccessStatus::kOk);
        },
        Pager());
    faults_.clear();
    Run();
    text = faults_ + world_.Rights(client, top() - 0x1000) + " " +
           std::to_string(world_.kernel().now_ns()) + "ns " +
           std::to_string(world_.kernel().ledger().system_calls) + " calls " +
           std::to_string(client.raw);
    EXPECT_EQ(world_.kernel().ram()[0xfffff], 'x');
    world_.Reset();
    EXPECT_EQ(world_.kernel().ram()[0xfffff], 0);
    EXPECT_EQ(world_.kernel().mapping_count(), 0u);
    EXPECT_EQ(world_.kernel().now_ns(), 0u);
  }
  EXPECT_EQ(story[0], story[1]);
}

std::string NameOf(const ::testing::TestParamInfo<const Profile*>& info) {
  std::string name = info.param->name;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}
INSTANTIATE_TEST_SUITE_P(Profiles, ProfileMatrix, ::testing::ValuesIn(kAllProfiles), NameOf);
INSTANTIATE_TEST_SUITE_P(Profiles, LargePages, ::testing::ValuesIn(kAllProfiles), NameOf);

}  // namespace
}  // namespace fake_l4
