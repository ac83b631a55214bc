// Threads of a task that misbehave towards the server and each other: no thread speaks for another,
// and who waits for ever stops nobody else.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/thread.h>

#include <cstdint>
#include <string>

#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

using base::Errno;
using traces::OpKind;

constexpr uint64_t kAt = 0x10000;

// Tasks 1 and 2 with two threads each, and a page that both have stored to.
class HostileThreadsTest : public testing::Test {
 protected:
  HostileThreadsTest()
      : machine_({.ram_bytes = uint64_t{4} << 20, .arena_bytes = uint64_t{64} << 20}) {
    for (uint32_t task : {1u, 2u}) {
      Must({.kind = OpKind::kSpace, .child = task});
      Must({.kind = OpKind::kThreadCreate, .task = task});
      Must({.kind = OpKind::kMmap,
            .task = task,
            .at = kAt,
            .size = 0x4000,
            .prot = base::kProtReadWrite,
            .flags = traces::kFlagPrivate | traces::kFlagFixed});
      Must({.kind = OpKind::kWrite, .task = task, .at = kAt, .size = 8, .value = 'v'});
    }
  }
  void TearDown() override {
    ASSERT_EQ(machine_.crash(), std::nullopt);
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_TRUE(machine_.kernel().CheckInvariants(out)) << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    EXPECT_EQ(uvm::FirstViolation(&machine_.uvm(), &out), nullptr) << text;
    // Task 2 never did anything wrong.
    EXPECT_TRUE(Works(2, 0));
    EXPECT_TRUE(Works(2, 1));
  }
  void Must(const traces::ResolvedOp& op) {
    EXPECT_TRUE(machine_.Apply(op).ok()) << static_cast<int>(op.kind);
  }
  bool Works(uint32_t task, uint32_t thread) {
    const traces::Outcome read = machine_.Apply(
        {.kind = OpKind::kRead, .task = task, .thread = thread, .at = kAt, .size = 8});
    const traces::Outcome call = machine_.Apply({.kind = OpKind::kMprotect,
                                                 .task = task,
                                                 .thread = thread,
                                                 .at = kAt,
                                                 .size = 0x1000,
                                                 .prot = base::kProtReadWrite});
    return read.ok() && read.value == uint64_t{'v'} && call.ok();
  }

  struct Try {
    L4_ThreadId_t to = {0};  // nil: the own pager
    L4_ThreadId_t as = {0};  // nil: in the own name
    uint32_t request = 0;
    L4_Word_t word = 0;
    uint32_t words = 0;
    L4_ThreadId_t pager = {0};  // what it found out
    bool delivered = false;
    int32_t code = 0;
  };
  static void Call(void* argument) {
    Try& attempt = *static_cast<Try*>(argument);
    attempt.pager = L4_Pager();
    L4_MsgTag_t tag = L4_MakeMsgTag(attempt.request, attempt.words, 0);
    if (!L4_IsNilThread(attempt.as)) {
      L4_Set_Propagation(&tag);
      L4_Set_VirtualSender(attempt.as);
    }
    L4_LoadMR(1, attempt.word);
    L4_Set_MsgTag(tag);
    tag = L4_Call(L4_IsNilThread(attempt.to) ? attempt.pager : attempt.to);
    attempt.delivered = !L4_IpcFailed(tag);
    L4_Word_t code;
    L4_StoreMR(1, &code);
    attempt.code = static_cast<int32_t>(code);
  }
  // As thread `thread` of `task`. What comes of it, -1 when nothing does.
  int32_t Answer(uint32_t task, uint32_t thread, Try* attempt) {
    if (!machine_.RunProgram(task, thread, Call, attempt)) return -1;
    return attempt->delivered ? attempt->code : -1;
  }
  L4_ThreadId_t PagerOf(uint32_t task, uint32_t thread) {
    Try attempt{.request = vmserver::kBsdMunlockall};
    EXPECT_EQ(Answer(task, thread, &attempt), 0);
    return attempt.pager;
  }
  static int32_t Of(Errno error) { return static_cast<int32_t>(error); }

  Machine machine_;
};

TEST_F(HostileThreadsTest, APagerTakesOneThreadsMessages) {
  const struct { uint32_t task, thread; } pagers[] = {{1, 0}, {1, 1}, {2, 0}, {2, 1}};
  for (const auto& victim : pagers) {
    const L4_ThreadId_t pager = PagerOf(victim.task, victim.thread);
    for (const auto& other : pagers) {
      const bool own = victim.task == other.task && victim.thread == other.thread;
      for (uint32_t request : {vmserver::kBsdMunlockall, vmserver::kBsdThreadCreate}) {
        if (own) continue;
        Try attempt{.to = pager, .request = request};
        EXPECT_EQ(Answer(other.task, other.thread, &attempt), Of(Errno::kEperm));
      }
      Try end{.to = pager, .request = vmserver::kBsdThreadEnd, .word = victim.thread, .words = 1};
      if (!own) {
        EXPECT_EQ(Answer(other.task, other.thread, &end), Of(Errno::kEperm));
      }
    }
    EXPECT_TRUE(Works(victim.task, victim.thread));
  }
}

// X.2 lets a thread send in the name of another of its space; the server hears who it was.
TEST_F(HostileThreadsTest, NobodySpeaksInASiblingsName) {
  const L4_ThreadId_t first = machine_.thread_of(1, 0);
  Try attempt{.to = PagerOf(1, 0), .as = first, .request = vmserver::kBsdExit};
  EXPECT_EQ(Answer(1, 1, &attempt), Of(Errno::kEperm));
  EXPECT_TRUE(Works(1, 0));
  EXPECT_TRUE(Works(1, 1));
}

TEST_F(HostileThreadsTest, NumbersThatNameNoThreadOfTheTask) {
  const L4_Word_t words[] = {2,
                             3,
                             4,
                             64,
                             ~L4_Word_t{0},
                             L4_Word_t{1} << 32,
                             machine_.thread_of(2, 0).raw,
                             machine_.thread_of(2, 1).raw,
                             machine_.thread_of(1, 1).raw};
  for (const L4_Word_t word : words) {
    Try attempt{.request = vmserver::kBsdThreadEnd, .word = word, .words = 1};
    EXPECT_EQ(Answer(1, 0, &attempt), Of(Errno::kEsrch)) << word;
  }
  EXPECT_TRUE(Works(1, 1));
  // With a word too many or too few it is no call.
  for (uint32_t count : {0u, 2u}) {
    Try attempt{.request = vmserver::kBsdThreadEnd, .word = 1, .words = count};
    EXPECT_EQ(Answer(1, 0, &attempt), Of(Errno::kEinval));
  }
  Try attempt{.request = vmserver::kBsdThreadCreate, .words = 1};
  EXPECT_EQ(Answer(1, 0, &attempt), Of(Errno::kEinval));
}

// Whoever chooses the wrong pager waits. Its siblings go on, and can end it, or all of them.
TEST_F(HostileThreadsTest, WhoFaultsAtAnothersPagerStopsNobody) {
  for (const bool all : {false, true}) {
    struct Lost {
      L4_ThreadId_t pager;
      bool back;
    } lost{PagerOf(2, 0), false};
    EXPECT_FALSE(machine_.RunProgram(
        1, 1,
        [](void* argument) {
          auto& wrong = *static_cast<Lost*>(argument);
          L4_Set_Pager(wrong.pager);
          unsigned char byte;
          static_cast<void>(
              fake_l4::Kernel::Current()->cpu().Load(base::Vaddr(kAt + 0x3000), &byte, 1));
          wrong.back = true;
        },
        &lost));
    EXPECT_FALSE(lost.back);
    EXPECT_TRUE(Works(1, 0));
    if (all) {
      Must({.kind = OpKind::kExit, .task = 1});
      EXPECT_EQ(machine_.live_count(), 1u);
      break;
    }
    Must({.kind = OpKind::kThreadEnd, .task = 1, .value = 1});
    Must({.kind = OpKind::kThreadCreate, .task = 1});
    EXPECT_TRUE(Works(1, 1));
  }
}

// Of what it asked for before it was ended nobody hears, and nothing is done for it afterwards.
TEST_F(HostileThreadsTest, AThreadThatIsGoneIsAStrangerToItsOldPager) {
  const L4_ThreadId_t old = PagerOf(1, 1);
  Must({.kind = OpKind::kThreadEnd, .task = 1, .value = 1});
  for (uint32_t task : {1u, 2u}) {
    Try attempt{.to = old, .request = vmserver::kBsdMunlockall};
    const int32_t code = Answer(task, 0, &attempt);
    EXPECT_EQ(code, Of(Errno::kEperm));
  }
  // The next to have it may be of another task.
  Must({.kind = OpKind::kThreadCreate, .task = 2});
  EXPECT_EQ(PagerOf(2, 2).raw, old.raw);
  Try attempt{.to = old, .request = vmserver::kBsdExit};
  EXPECT_EQ(Answer(1, 0, &attempt), Of(Errno::kEperm));
  EXPECT_TRUE(Works(2, 2));
}

}  // namespace
}  // namespace machine
