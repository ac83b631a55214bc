// Stories across the kernel, in the manual's words.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>
#include <vector>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;
constexpr L4_Word_t kMiB = 0x100000;

class ScenarioTest : public ::testing::Test {
 protected:
  // A pager answers a fault of a client at address A with its own page at A + `offset`. It touches
  // that page first: where it has none it faults itself, at its own pager.
  L4_ThreadId_t RecursivePager(char name, L4_Word_t offset, L4_ThreadId_t its_pager) {
    return world_.SpawnInNewSpace(
        [this, name, offset] {
          L4_ThreadId_t from;
          L4_Wait(&from);
          for (;;) {
            L4_Word_t address;
            L4_StoreMR(1, &address);
            const L4_Word_t access = L4_PageFaultAccess(L4_MsgTag());
            story_ += std::string(1, name) + (access == kW ? "w" : "r") + " ";
            const L4_Word_t page = address & ~L4_Word_t{4095};
            char byte = 0;
            const base::Vaddr mine(page + offset);
            if (access == kW) {
              EXPECT_EQ(cpu().Store(mine, &byte, 1), AccessStatus::kOk);
            } else {
              EXPECT_EQ(cpu().Load(mine, &byte, 1), AccessStatus::kOk);
            }
            const L4_MapItem_t item = L4_MapItem(Page(page + offset, access | kR), page);
            L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
            L4_LoadMRs(1, 2, item.raw);
            L4_ReplyWait(from, &from);
          }
        },
        its_pager);
  }
  // The pager of root's space: owns memory from sigma0 and hands out page A for a fault at A.
  L4_ThreadId_t FirstPager() {
    return world_.Spawn([this] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 21));
      L4_ThreadId_t from;
      L4_Wait(&from);
      for (;;) {
        L4_Word_t address;
        L4_StoreMR(1, &address);
        const L4_Word_t access = L4_PageFaultAccess(L4_MsgTag());
        story_ += std::string("1") + (access == kW ? "w" : "r") + " ";
        const L4_Word_t page = address & ~L4_Word_t{4095};
        const L4_MapItem_t item = L4_MapItem(Page(page, access | kR), page);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        L4_ReplyWait(from, &from);
      }
    });
  }
  Cpu cpu() { return world_.kernel().cpu(); }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }

  World world_;
  std::string story_;
};

// A client's page fault is sent to its pager. That pager has no page to map either: touching its
// own memory faults at its pager, and so on up to the one that has memory from sigma0. Each then
// maps to the one below, and the client's access succeeds. When the first pager takes the page
// back, it is gone from all of them.
TEST_F(ScenarioTest, AFaultServedByAChainOfThreeRecursivePagers) {
  const L4_ThreadId_t first = FirstPager();
  const L4_ThreadId_t second = RecursivePager('2', 0x4000, first);
  const L4_ThreadId_t third = RecursivePager('3', 0x8000, second);
  const L4_Word_t va = kRam + 0x1000;
  std::string read;
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c = 0;
        EXPECT_EQ(cpu().Load(base::Vaddr(va), &c, 1), AccessStatus::kOk);
        story_ += "| ";
        c = '!';
        EXPECT_EQ(cpu().Store(base::Vaddr(va), &c, 1), AccessStatus::kOk);
        story_ += "| ";
        EXPECT_EQ(cpu().Load(base::Vaddr(va), &c, 1), AccessStatus::kOk);
        read += c;
      },
      third);
  Run();
  // Down the chain for the read; again for the write, for which nobody had the right yet; then no
  // more.
  EXPECT_EQ(story_, "3r 2r 1r | 3w 2w 1w | ");
  EXPECT_EQ(read, "!");
  // One frame, seen at four addresses, each derived from the one above.
  EXPECT_TRUE(world_.SameFrame(client, va, third, va + 0x8000));
  EXPECT_TRUE(world_.SameFrame(third, va + 0x8000, second, va + 0xc000));
  EXPECT_TRUE(world_.SameFrame(second, va + 0xc000, first, va + 0xc000));
  EXPECT_EQ(world_.Rights(client, va), "rw-");
  // The first pager revokes write: the whole chain loses it.
  world_.Spawn(
      [&] { L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(va + 0xc000, 12), L4_Writable)); });
  Run();
  EXPECT_EQ(world_.Rights(client, va), "r--");
  EXPECT_EQ(world_.Rights(third, va + 0x8000), "r--");
  EXPECT_EQ(world_.Rights(first, va + 0xc000), "rwx");
  // And then everything.
  world_.Spawn(
      [&] { L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(va + 0xc000, 12), L4_FullyAccessible)); });
  Run();
  EXPECT_EQ(world_.Rights(client, va), "---");
  EXPECT_EQ(world_.Rights(second, va + 0xc000), "---");
}

// Task a sends task b a string. Neither has touched its memory, so the copy faults at both ends.
// The kernel sends each page fault in the name of the thread whose page is missing, to that
// thread's own pager; each pager maps the page, and the copy goes on where it stopped. The two
// threads notice nothing.
TEST_F(ScenarioTest, AFaultDuringAStringTransferBetweenTwoPagedTasks) {
  const L4_ThreadId_t memory = FirstPager();
  const L4_ThreadId_t pager_a = RecursivePager('a', 0, memory);
  const L4_ThreadId_t pager_b = RecursivePager('b', kMiB, memory);
  const L4_Word_t at_a = kRam + 0x1ffa, at_b = kRam + 0x5000;
  L4_MsgTag_t sent{}, received{};
  std::string got(12, '?');
  std::string copied_by;
  L4_ThreadId_t a, b, from = L4_nilthread;
  b = world_.SpawnInNewSpace(
      [&] {
        // One string buffer of 100 bytes.
        L4_Accept(L4_AcceptorOfRaw(1));
        L4_LoadBR(1, 100 << 10);
        L4_LoadBR(2, at_b);
        received = L4_Wait(&from);
        copied_by = story_;
        EXPECT_EQ(cpu().Load(base::Vaddr(at_b), got.data(), got.size()), AccessStatus::kOk);
      },
      pager_b);
  a = world_.SpawnInNewSpace(
      [&] {
        EXPECT_EQ(cpu().Store(base::Vaddr(at_a), "hello ", 6), AccessStatus::kOk);
        story_ += "| ";
        // The string's second half is on a page that a has never had.
        L4_LoadMR(1, 12 << 10);
        L4_LoadMR(2, at_a);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        sent = L4_Send(b);
      },
      pager_a);
  Run();
  EXPECT_TRUE(L4_IpcSucceeded(sent) && L4_IpcSucceeded(received));
  EXPECT_EQ(from, a);
  // a's own store; then b's first page, to write; then a's second page, to read.
  EXPECT_EQ(copied_by, "aw 1w | bw 1w ar 1r ");
  EXPECT_EQ(got, std::string("hello \0\0\0\0\0\0", 12));
}

// A server answers the front's clients through workers: the client calls the front, a worker of the
// front's space answers in its name, and the client cannot tell, except by the tag.
TEST_F(ScenarioTest, AWorkerAnswersInItsFrontsName) {
  L4_ThreadId_t front, worker, client, from = L4_nilthread;
  L4_MsgTag_t answer{};
  front = world_.SpawnInNewSpace([&] {
    for (;;) {
      L4_ThreadId_t who;
      L4_Wait(&who);
      L4_LoadMR(1, who.raw);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
      L4_Send(worker);
    }
  });
  worker = world_.SpawnWith(front, [&] {
    for (;;) {
      L4_ThreadId_t who;
      L4_Wait(&who);
      L4_Word_t reply_to;
      L4_StoreMR(1, &reply_to);
      L4_MsgTag_t tag = L4_MakeMsgTag(0x77, 0, 0);
      L4_Set_Propagation(&tag);
      L4_Set_VirtualSender(front);
      L4_Set_MsgTag(tag);
      L4_Reply(L4_ThreadIdOfRaw(reply_to));
    }
  });
  client = world_.SpawnInNewSpace([&] {
    L4_Set_MsgTag(L4_Niltag);
    answer = L4_Ipc(front, front, 0, &from);
    EXPECT_EQ(L4_ActualSender(), worker);
  });
  Run();
  EXPECT_EQ(from, front);
  EXPECT_EQ(L4_Label(answer), 0x77u);
  EXPECT_TRUE(L4_IpcPropagated(answer));
}

}  // namespace
}  // namespace fake_l4
