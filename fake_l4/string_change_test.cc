// A string transfer that waits for a page while one end, or a pager, is renamed, moved to another
// space or deleted; and strings from and to the areas of a space that belong to the kernel.
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});
constexpr L4_Word_t Group(L4_Word_t length, L4_Word_t pointers = 1) {
  return length << 10 | (pointers - 1) << 4;
}

// Two tasks, each with a pager that backs its address A with slot + A.
class StringChange : public ::testing::Test {
 protected:
  L4_ThreadId_t Pager(char name, uint64_t slot) {
    return world_.Spawn([this, name, slot] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(slot, 20));
      for (;;) AnswerOne(name, slot);
    });
  }
  void AnswerOne(char name, uint64_t slot) {
    L4_ThreadId_t from;
    const L4_MsgTag_t tag = L4_Wait(&from);
    if (L4_IpcFailed(tag) || !L4_IsPageFault(tag)) return;
    L4_Word_t address = 0;
    L4_StoreMR(1, &address);
    faults_ += L4_PageFaultAccess(tag) == kW ? static_cast<char>(name - 32) : name;
    if (on_fault_) on_fault_(name);
    const L4_Word_t page = address & ~L4_Word_t{4095};
    const L4_MapItem_t item = L4_MapItem(Page(slot + (page & 0xff000), kRwx), page);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_Reply(from);
  }

  void SetUp() override {
    sender_pager_ = Pager('s', kRam);
    receiver_pager_ = Pager('r', kRam + 0x100000);
    // A second task, for whoever moves house.
    other_ = world_.SpawnInNewSpace([this] { world_.kernel().WaitForHost(); }, sender_pager_);
  }
  void Again() {
    world_.Reset();
    faults_.clear();
    on_fault_ = nullptr;
    sent_.clear();
    received_.clear();
    SetUp();
  }

  static std::string Outcome(L4_MsgTag_t tag) {
    if (L4_IpcSucceeded(tag)) return "ok ";
    const L4_Word_t error = L4_ErrorCode();
    return "e" + std::to_string(error >> 1 & 7) + ((error & 1) != 0 ? "r" : "s") + "+" +
           std::to_string(error >> 4) + " ";
  }
  // Spawns the two; a string of `size` bytes from `source` to `target`.
  void Exchange(uint64_t source, uint64_t size, uint64_t target,
                std::function<void()> before_send = nullptr) {
    receiver_ = world_.SpawnInNewSpace(
        [this, target] {
          L4_Accept(L4_StringItemsAcceptor);
          const L4_Word_t buffer[2] = {Group(0x100000), target};
          L4_LoadBRs(1, 2, buffer);
          const L4_MsgTag_t tag = L4_Wait(&from_);
          received_ += Outcome(tag);
          // Whoever it is and wherever it lives now, it can go on talking.
          received_ += Outcome(L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(10)));
        },
        receiver_pager_);
    sender_ = world_.SpawnInNewSpace(
        [this, source, size, before_send] {
          if (before_send) before_send();
          const L4_Word_t item[2] = {Group(size), source};
          L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
          L4_LoadMRs(1, 2, item);
          const L4_MsgTag_t tag = L4_Send(receiver_);
          sent_ += Outcome(tag);
          sent_ += Outcome(L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(10)));
        },
        sender_pager_);
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  std::string Bytes(L4_ThreadId_t task, uint64_t va, size_t n) const {
    std::string text(n, '?');
    (void)world_.kernel().DebugRead(world_.SpaceOf(task), base::Vaddr(va), text.data(), n);
    return text;
  }
  void Store(uint64_t va, const std::string& text) {
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(va), text.data(), text.size()),
              AccessStatus::kOk);
  }

  // What can happen to a thread; from a privileged one.
  static L4_ThreadId_t Renamed(L4_ThreadId_t t) {
    return L4_GlobalId(L4_ThreadNo(t), L4_Version(t) + 1);
  }
  static void Rename(L4_ThreadId_t t) {
    EXPECT_NE(L4_ThreadControl(Renamed(t), Renamed(t), L4_nilthread, L4_nilthread, kKeepUtcb), 0u);
  }
  static void Delete(L4_ThreadId_t t) {
    EXPECT_NE(L4_ThreadControl(t, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb), 0u);
  }
  void Move(L4_ThreadId_t t, L4_ThreadId_t where) {
    const uint64_t utcb = world_.kernel().root_utcb_area() + world_.kernel().utcb_bytes();
    EXPECT_NE(L4_ThreadControl(t, where, L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(static_cast<L4_Word_t>(utcb))),
              0u);
  }

  World world_;
  std::string faults_, sent_, received_;
  std::function<void(char)> on_fault_;
  L4_ThreadId_t sender_pager_, receiver_pager_, sender_, receiver_, other_, from_ = {0};
};

// ---- Ends that change ----

// Either end, while either one's page is missing.
TEST_F(StringChange, ANewNameAbortsTheTransferForBoth) {
  for (const char who : {'s', 'r'}) {
    for (const char when : {'s', 'r'}) {
      Again();
      bool done = false;
      on_fault_ = [&, who, when](char name) {
        if (name == when && !std::exchange(done, true)) Rename(who == 's' ? sender_ : receiver_);
      };
      Exchange(0x2000, 4, 0x5000);
      EXPECT_TRUE(done);
      EXPECT_EQ(sent_ + received_, "e7s+0 e1r+0 e7r+0 e1r+0 ") << who << when;
      if (who == 's') {
        EXPECT_EQ(from_, Renamed(sender_));
      }
    }
  }
}

TEST_F(StringChange, ANewSpaceAbortsTheTransferForBoth) {
  for (const char who : {'s', 'r'}) {
    for (const char when : {'s', 'r'}) {
      Again();
      bool done = false;
      on_fault_ = [&, who, when](char name) {
        if (name == when && !std::exchange(done, true)) {
          Move(who == 's' ? sender_ : receiver_, other_);
        }
      };
      Exchange(0x2000, 4, 0x5000);
      EXPECT_TRUE(done);
      EXPECT_EQ(sent_ + received_, "e7s+0 e1r+0 e7r+0 e1r+0 ") << who << when;
      EXPECT_EQ(world_.SpaceOf(who == 's' ? sender_ : receiver_), world_.SpaceOf(other_));
    }
  }
}

// What was copied before stays, and is counted.
TEST_F(StringChange, AnAbortTellsHowFarTheCopyCame) {
  int faults = 0;
  on_fault_ = [&](char name) {
    if (name == 's' && ++faults == 2) Rename(sender_);
  };
  Exchange(0x2ff0, 100, 0x5000, nullptr);
  EXPECT_EQ(faults_, "sRs");
  EXPECT_EQ(sent_ + received_, "e7s+16 e1r+0 e7r+16 e1r+0 ");
}

// Nobody is left to be told of the one that is gone; its storage is another's at once.
TEST_F(StringChange, ADeletedEndsStorageIsUsedAgain) {
  for (const char who : {'s', 'r'}) {
    Again();
    bool done = false;
    on_fault_ = [&, who](char name) {
      if (name != 'r' || std::exchange(done, true)) return;
      Delete(who == 's' ? sender_ : receiver_);
      const L4_ThreadId_t fresh = L4_GlobalId(3000, 1);
      EXPECT_NE(L4_ThreadControl(fresh, fresh, L4_Myself(), L4_nilthread, kKeepUtcb), 0u);
    };
    Exchange(0x2000, 4, 0x5000);
    EXPECT_EQ(sent_ + received_, who == 's' ? "e7r+0 e1r+0 " : "e7s+0 e1r+0 ");
  }
}

// ---- Pagers that change ----

// The fault IPC fails, the copy tries again and finds no pager under the old name: until somebody
// names one.
TEST_F(StringChange, ARenamedPagerIsNoPagerUntilItIsNamedAgain) {
  for (const char name : {'s', 'r'}) {
    Again();
    const L4_ThreadId_t pager = name == 's' ? sender_pager_ : receiver_pager_;
    bool done = false;
    on_fault_ = [&](char who) {
      // A thread that gives itself a new name keeps it, and goes on.
      if (who == name && !std::exchange(done, true)) Rename(pager);
    };
    Exchange(0x2000, 4, 0x5000);
    const L4_ThreadId_t stuck = name == 's' ? sender_ : receiver_;
    ThreadInfo info;
    ASSERT_TRUE(world_.kernel().Inspect(stuck, &info));
    EXPECT_EQ(info.state, ThreadState::kNoPager) << name;
    EXPECT_EQ(sent_ + received_, "");
    world_.SpawnWith(stuck, [&] { L4_Set_PagerOf(stuck, Renamed(pager)); });
    ASSERT_TRUE(world_.Run()) << world_.problem();
    EXPECT_EQ(sent_ + received_, "ok e1r+0 ok e1r+0 ");
  }
}

TEST_F(StringChange, ADeletedPagerEndsTheTransferByItsTimeoutOnly) {
  // It is gone before it could answer.
  const L4_ThreadId_t helper = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    Delete(receiver_pager_);
  });
  on_fault_ = [&](char name) {
    if (name != 'r') return;
    L4_Set_MsgTag(L4_Niltag);
    L4_Call(helper);
  };
  Exchange(0x2000, 4, 0x5000,
           [] { L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(5000), L4_Never)); });
  EXPECT_EQ(faults_, "sR");
  EXPECT_EQ(sent_ + received_, "e6s+0 e1r+0 e5r+0 e1r+0 ");
}

// The pager lives in a task without memory and maps nothing, until it is moved to where the memory
// is: the same copy goes on.
TEST_F(StringChange, APagerThatMovesAnswersFromItsNewSpace) {
  int asked = 0;
  const L4_ThreadId_t mover = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + 0x200000, 20));
    L4_ThreadId_t from;
    L4_Wait(&from);
    Move(from, L4_Myself());
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(from);
  });
  on_fault_ = [&](char name) {
    if (name != 'm' || ++asked != 3) return;
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Call(mover)));
  };
  sender_pager_ = world_.SpawnInNewSpace([&] {
    for (;;) AnswerOne('m', kRam + 0x200000);
  });
  Exchange(0x2000, 4, 0x5000);
  EXPECT_EQ(faults_, "mmmR");
  EXPECT_EQ(sent_ + received_, "ok e1r+0 ok e1r+0 ");
  EXPECT_EQ(world_.SpaceOf(sender_pager_), kRootSpace);
}

// ---- Strings in the kernel's areas ----

TEST_F(StringChange, TheKipMayBeSent) {
  const uint64_t kip = world_.kernel().profile().root_kip_area;
  Exchange(kip, 4, 0x5000);
  EXPECT_EQ(faults_, "R") << "the KIP does not fault";
  EXPECT_EQ(sent_ + received_, "ok e1r+0 ok e1r+0 ");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 4), "L4\xe6K");
}

// Its area ends with the page; the next one is ordinary memory.
TEST_F(StringChange, AStringGoesOnBehindTheKip) {
  const uint64_t kip = world_.kernel().profile().root_kip_area;
  Exchange(kip + 4090, 10, 0x5000, [&] { Store(kip + 4096, "next"); });
  EXPECT_EQ(sent_ + received_, "ok e1r+0 ok e1r+0 ");
  EXPECT_EQ(Bytes(receiver_, 0x5006, 4), "next");
}

// A fault for writing that no pager can help: the transfer timeout ends it.
TEST_F(StringChange, TheKipTakesNoString) {
  Exchange(0x2000, 4, world_.kernel().profile().root_kip_area + 8, [&] {
    Store(0x2000, "oops");
    L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(100), L4_Never));
  });
  EXPECT_EQ(sent_ + received_, "e6s+0 e1r+0 e5r+0 e1r+0 ");
  EXPECT_EQ(faults_.substr(0, 4), "SRRR");
  L4_Word_t version = 0;
  world_.Spawn([&] { L4_KernelInterface(&version, nullptr, nullptr); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(version >> 24, 0x84u);
}

TEST_F(StringChange, AUtcbIsMemoryForStrings) {
  // From the sender's message registers 10 and 11 into two registers of the receiver.
  L4_Word_t got[2] = {};
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        L4_Accept(L4_StringItemsAcceptor);
        const L4_Word_t buffer[2] = {
            Group(16), L4_MyLocalId().raw + offsetof(L4_Utcb_t, br) + 20 * sizeof(L4_Word_t)};
        L4_LoadBRs(1, 2, buffer);
        L4_ThreadId_t from;
        received_ += Outcome(L4_Wait(&from));
        L4_StoreBRs(20, 2, got);
      },
      receiver_pager_);
  world_.SpawnInNewSpace(
      [&] {
        const L4_Word_t item[2] = {Group(16), L4_MyLocalId().raw + 10 * sizeof(L4_Word_t)};
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item);
        L4_LoadMR(10, 4711);
        L4_LoadMR(11, 4712);
        sent_ += Outcome(L4_Send(receiver_));
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_ + received_, "ok ok ");
  EXPECT_EQ(got[0], 4711u);
  EXPECT_EQ(got[1], 4712u);
  EXPECT_EQ(faults_, "");
}

// Where no thread has its UTCB there is nothing, and a pager cannot put anything there.
TEST_F(StringChange, TheRestOfAUtcbAreaFaults) {
  Exchange(world_.kernel().root_utcb_area() + 8 * world_.kernel().utcb_bytes(), 4, 0x5000,
           [] { L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(100), L4_Never)); });
  EXPECT_EQ(sent_ + received_, "e5s+0 e1r+0 e6r+0 e1r+0 ");
  EXPECT_EQ(faults_.substr(0, 3), "sss");
}

// Another thread of the sender's task stores into its message registers while the copy waits: the
// group being copied is as long as it was.
TEST_F(StringChange, LengthsDoNotChangeUnderACopy) {
  bool done = false;
  on_fault_ = [&](char name) {
    if (name != 'r' || std::exchange(done, true)) return;
    world_.SpawnWith(
        sender_,
        [&] {
          const L4_Word_t head = Group(0x3fffff, 32);
          const uint64_t mr1 = world_.LocalId(sender_).raw + sizeof(L4_Word_t);
          EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(mr1), &head, sizeof head),
                    AccessStatus::kOk);
          done = true;
        },
        sender_pager_);
    // Long enough for it.
    L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(100));
  };
  Exchange(0x2000, 4, 0x5000, [&] { Store(0x2000, "0123456789"); });
  EXPECT_TRUE(done);
  EXPECT_EQ(sent_ + received_, "ok e1r+0 ok e1r+0 ");
  EXPECT_EQ(Bytes(receiver_, 0x5000, 5), std::string("0123\0", 5));
}

// A string into the receiver's own buffer registers, over the length of the buffer it goes to.
TEST_F(StringChange, ABufferThatOverwritesItself) {
  receiver_ = world_.SpawnInNewSpace(
      [&] {
        L4_Accept(L4_StringItemsAcceptor);
        const L4_Word_t buffer[2] = {Group(64), L4_MyLocalId().raw + offsetof(L4_Utcb_t, br)};
        L4_LoadBRs(1, 2, buffer);
        L4_ThreadId_t from;
        received_ += Outcome(L4_Wait(&from));
      },
      receiver_pager_);
  world_.SpawnInNewSpace(
      [&] {
        Store(0x2000, std::string(200, '\xff'));
        const L4_Word_t items[4] = {Group(64) | 1, 0x2000, Group(64), 0x2040};
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 4));
        L4_LoadMRs(1, 4, items);
        sent_ += Outcome(L4_Send(receiver_));
      },
      sender_pager_);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sent_ + received_, "e4s+64 e4r+64 ") << "the second one has no buffer";
}

}  // namespace
}  // namespace fake_l4
