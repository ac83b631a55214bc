// Clients that misuse swapctl's calls: devices that do not exist, messages of the wrong shape,
// rights they do not have, the same twice. Each call is refused, and what others have on swap
// stays.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "uvm/swap.h"
#include "uvm/uvm.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

using base::ErrnoName;
using traces::OpKind;

constexpr uint64_t kFrames = 256;
constexpr uint64_t kAt = 0x100000;
constexpr uint64_t kPages = 400;
constexpr uint32_t kOn = vmserver::kBsdSwapOn;
constexpr uint32_t kOff = vmserver::kBsdSwapOff;
constexpr uint32_t kControl = vmserver::kBsdSwapCtl;
constexpr uint32_t kStats = vmserver::kBsdSwapStats;
constexpr L4_Word_t kNoDevices[] = {4,
                                    99,
                                    0x7fffffff,
                                    0xffffffff,
                                    L4_Word_t{1} << 32,
                                    (L4_Word_t{1} << 32) | 1,
                                    L4_Word_t{1} << 63,
                                    ~L4_Word_t{0}};

struct Attack {
  uint32_t request = 0;
  std::vector<L4_Word_t> words;
  bool item = false;       // a map item follows
  L4_ThreadId_t to = {0};  // nil: the pager
  int32_t code = -1;
  uint32_t answered = 0;  // words
};

void Send(Attack* attack) {
  const auto count = static_cast<int>(attack->words.size());
  L4_LoadMRs(1, count, attack->words.data());
  if (attack->item) {
    const L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(L4_FpageLog2(kAt, 12), 7), 0);
    L4_LoadMRs(count + 1, 2, item.raw);
  }
  L4_Set_MsgTag(L4_MakeMsgTag(attack->request, attack->words.size(), attack->item ? 2 : 0));
  const L4_MsgTag_t tag = L4_Call(L4_IsNilThread(attack->to) ? L4_Pager() : attack->to);
  if (L4_IpcFailed(tag) || L4_Label(tag) != attack->request + vmserver::kReplyOffset) return;
  L4_Word_t code;
  L4_StoreMR(1, &code);
  attack->code = static_cast<int32_t>(code);
  attack->answered = static_cast<uint32_t>(L4_UntypedWords(tag));
}

Machine::Options Scarce() {
  Machine::Options options;
  options.ram_bytes = kFrames * base::kPageSize;
  // On; off; of no size; too small.
  options.swap = {{.pages = 1024},
                  {.pages = 64, .on = false},
                  {.pages = 0, .on = false},
                  {.pages = 1, .on = false}};
  return options;
}

// Tasks 1 and 3 were made by init, task 2 by task 1. Task 3 has more than there is memory for.
class HostileSwapTest : public testing::Test {
 protected:
  HostileSwapTest() : machine_(Scarce()) {
    for (uint32_t task : {1, 3}) Must({.kind = OpKind::kSpace, .child = task});
    Must({.kind = OpKind::kFork, .task = 1, .child = 2});
    Must({.kind = OpKind::kMmap,
          .task = 3,
          .at = kAt,
          .size = kPages * base::kPageSize,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagPrivate | traces::kFlagFixed});
    for (uint64_t page = 0; page < kPages; ++page)
      Must({.kind = OpKind::kWrite, .task = 3, .at = At(page), .size = 8, .value = page % 251});
    EXPECT_GT(swap().only_on_swap().value(), 100u);
  }
  ~HostileSwapTest() override {
    EXPECT_EQ(machine_.crash().value_or(""), "");
    EXPECT_EQ(machine_.stuck().value_or(""), "");
    for (uint64_t page = 0; page < kPages; ++page) {
      const traces::Outcome seen =
          machine_.Apply({.kind = OpKind::kRead, .task = 3, .at = At(page), .size = 8});
      EXPECT_TRUE(seen.ok() && seen.value == page % 251) << page;
    }
    char text[512];
    base::TextSink out(text, sizeof text);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
  }

  static uint64_t At(uint64_t page) { return kAt + page * base::kPageSize; }
  void Must(const traces::ResolvedOp& op) { EXPECT_TRUE(machine_.Apply(op).ok()); }
  const uvm::SwapStore& swap() { return machine_.uvm().swap(); }
  uint64_t DevicesOn() { return machine_.Apply({.kind = OpKind::kSwapStats, .task = 1}).value; }
  std::string Try(uint32_t task, Attack attack) {
    const bool came_back = machine_.RunProgram(
        task, [](void* a) { Send(static_cast<Attack*>(a)); }, &attack);
    answered_ = attack.answered;
    return came_back ? ErrnoName(static_cast<base::Errno>(attack.code)) : "never";
  }
  std::string Code(uint32_t request, std::vector<L4_Word_t> words) {
    return Try(1, {.request = request, .words = std::move(words)});
  }

  Machine machine_;
  uint32_t answered_ = 0;  // words of the last answer
};

TEST_F(HostileSwapTest, WrongNumbersOfWordsAreRefused) {
  for (uint32_t request : {kOn, kOff, kControl, kStats}) {
    for (size_t count : {0u, 3u, 7u, 63u})
      EXPECT_EQ(Code(request, std::vector<L4_Word_t>(count)), "EINVAL") << request << " " << count;
  }
  EXPECT_EQ(Code(kOn, {1}), "EINVAL");
  EXPECT_EQ(Code(kControl, {0}), "EINVAL");
  EXPECT_EQ(Code(kOff, {0, 0}), "EINVAL");
  EXPECT_EQ(Code(kStats, {0, 0}), "EINVAL");
  EXPECT_EQ(DevicesOn(), 1u);
}

// The pager takes nothing but words: such a message is no call.
TEST_F(HostileSwapTest, MessagesWithItemsAreRefused) {
  for (uint32_t request : {kOn, kControl})
    EXPECT_NE(Try(1, {.request = request, .words = {1, 0}, .item = true}), "ok");
  for (uint32_t request : {kOff, kStats})
    EXPECT_NE(Try(1, {.request = request, .words = {0}, .item = true}), "ok");
  EXPECT_EQ(DevicesOn(), 1u);
}

TEST_F(HostileSwapTest, DevicesThatDoNotExist) {
  for (L4_Word_t device : kNoDevices) {
    EXPECT_EQ(Code(kOn, {device, 0}), "ENXIO") << device;
    EXPECT_EQ(Code(kOff, {device}), "ENXIO") << device;
    EXPECT_EQ(Code(kControl, {device, 0}), "ENOENT") << device;
  }
  EXPECT_EQ(DevicesOn(), 1u);
}

TEST_F(HostileSwapTest, DevicesThatHoldNothing) {
  EXPECT_EQ(Code(kOn, {2, 0}), "ENXIO");
  EXPECT_EQ(Code(kOn, {3, 0}), "EINVAL");
  EXPECT_EQ(DevicesOn(), 1u);
}

// Whoever may not is told so before anything is looked at.
TEST_F(HostileSwapTest, WhoWasNotMadeByInitMayOnlyLook) {
  for (L4_Word_t device : {L4_Word_t{0}, L4_Word_t{1}, L4_Word_t{99}, ~L4_Word_t{0}}) {
    EXPECT_EQ(Try(2, {.request = kOn, .words = {device, 0}}), "EPERM");
    EXPECT_EQ(Try(2, {.request = kOff, .words = {device}}), "EPERM");
    EXPECT_EQ(Try(2, {.request = kControl, .words = {device, 5}}), "EPERM");
  }
  EXPECT_EQ(Try(2, {.request = kStats, .words = {0}}), "ok");
  EXPECT_EQ(DevicesOn(), 1u);
}

TEST_F(HostileSwapTest, HowMemoryIsKeptIsForInitAlone) {
  for (uint32_t task : {1u, 2u}) {
    for (L4_Word_t what = 0; what < 9; ++what) {
      EXPECT_EQ(Try(task, {.request = vmserver::kMemoryControl, .words = {what, 1, 1}}), "EPERM");
    }
    EXPECT_EQ(Try(task, {.request = vmserver::kMemoryControl, .words = {0, 1}}), "EINVAL");
  }
}

TEST_F(HostileSwapTest, AnothersPagerIsAskedInVain) {
  fake_l4::ThreadInfo info;
  ASSERT_TRUE(machine_.kernel().Inspect(machine_.thread_of(3), &info));
  for (uint32_t request : {kOn, kControl})
    EXPECT_EQ(Try(1, {.request = request, .words = {1, 0}, .to = info.pager}), "EPERM");
  for (uint32_t request : {kOff, kStats})
    EXPECT_EQ(Try(1, {.request = request, .words = {0}, .to = info.pager}), "EPERM");
  EXPECT_EQ(DevicesOn(), 1u);
}

TEST_F(HostileSwapTest, TheSameTwice) {
  EXPECT_EQ(Code(kOn, {0, 0}), "EBUSY");
  EXPECT_EQ(Code(kOff, {1}), "ENXIO");
  EXPECT_EQ(Code(kControl, {1, 0}), "ENOENT");
  EXPECT_EQ(Code(kOn, {1, 7}), "ok");
  EXPECT_EQ(Code(kOn, {1, 7}), "EBUSY");
  EXPECT_EQ(Code(kOff, {1}), "ok");
  EXPECT_EQ(Code(kOff, {1}), "ENXIO");
}

TEST_F(HostileSwapTest, OnAndOffAHundredTimes) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Code(kOn, {1, static_cast<L4_Word_t>(i % 2)}), "ok") << i;
    ASSERT_EQ(Code(kControl, {0, static_cast<L4_Word_t>(i % 3)}), "ok") << i;
    ASSERT_EQ(Code(kOff, {1}), "ok") << i;
  }
}

// What does not fit in memory is not brought in, however often somebody asks.
TEST_F(HostileSwapTest, OffWhereItDoesNotFit) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Code(kOff, {0}), "ENOMEM");
    EXPECT_EQ(DevicesOn(), 1u);
  }
}

TEST_F(HostileSwapTest, PrioritiesOfAllSorts) {
  ASSERT_EQ(Code(kOn, {1, 0}), "ok");
  for (L4_Word_t priority :
       {L4_Word_t{0x7fffffff}, L4_Word_t{0x80000000}, ~L4_Word_t{0}, L4_Word_t{0}}) {
    EXPECT_EQ(Code(kControl, {1, priority}), "ok") << priority;
    EXPECT_EQ(DevicesOn(), 2u);
  }
  // Of more than 32 bits, and not the sign of them: cut off it would be another priority.
  for (L4_Word_t priority : {L4_Word_t{1} << 63, L4_Word_t{1} << 32, (L4_Word_t{1} << 32) | 5,
                             ~L4_Word_t{0} << 32}) {
    EXPECT_EQ(Code(kControl, {1, priority}), "EINVAL") << priority;
    EXPECT_EQ(Code(kOn, {1, priority}), "EINVAL") << priority;
    EXPECT_EQ(DevicesOn(), 2u);
  }
}

TEST_F(HostileSwapTest, StatisticsEnd) {
  EXPECT_EQ(Code(kStats, {0}), "ok");
  EXPECT_EQ(answered_, 7u);
  for (L4_Word_t n : {L4_Word_t{1}, L4_Word_t{31}, L4_Word_t{32}, L4_Word_t{1} << 32,
                      L4_Word_t{1} << 63, ~L4_Word_t{0}}) {
    EXPECT_EQ(Code(kStats, {n}), "ok") << n;
    EXPECT_EQ(answered_, 2u) << n;
  }
}

}  // namespace
}  // namespace machine
