// Clients that break every rule of the protocol: the server must answer or ignore, and nobody else
// may notice.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"
#include "vmserver/server.h"

namespace machine {
namespace {

using traces::OpKind;

constexpr uint64_t kPage = 0x10000;

// Two tasks with a page each: 1 misbehaves, 2 must keep its 'v'.
class HostileClientTest : public testing::Test {
 protected:
  HostileClientTest() : machine_({}) {
    for (uint32_t task : {1, 2}) {
      EXPECT_TRUE(machine_.Apply({.kind = OpKind::kSpace, .child = task}).ok());
      EXPECT_TRUE(machine_
                      .Apply({.kind = OpKind::kMmap,
                              .task = task,
                              .at = kPage,
                              .size = 0x4000,
                              .prot = base::kProtReadWrite,
                              .flags = traces::kFlagPrivate | traces::kFlagFixed})
                      .ok());
      EXPECT_TRUE(
          machine_
              .Apply({.kind = OpKind::kWrite, .task = task, .at = kPage, .size = 1, .value = 'v'})
              .ok());
    }
  }

  // The server lives, its tables are sound, both tasks are served, and nothing of task 2 changed.
  ~HostileClientTest() override {
    for (uint32_t task : {2u, 1u}) {
      if (!machine_.IsLive(task)) continue;
      traces::Outcome read =
          machine_.Apply({.kind = OpKind::kRead, .task = task, .at = kPage, .size = 1});
      EXPECT_TRUE(read.ok()) << "task " << task << ": " << machine_.crash().value_or("no crash")
                             << machine_.stuck().value_or(", not stuck");
      EXPECT_EQ(read.value, uint64_t{'v'});
      EXPECT_TRUE(machine_
                      .Apply({.kind = OpKind::kWrite,
                              .task = task,
                              .at = kPage + 0x1000,
                              .size = 1,
                              .value = 'w'})
                      .ok());
    }
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_TRUE(machine_.kernel().CheckInvariants(out)) << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(HomeIsUntouched());
  }

  // Every page of the home window still is the frame of the same address, held from sigma0.
  bool HomeIsUntouched() {
    const pmap_sim::L4Pmap& pmap = machine_.pmap();
    for (uint32_t s = 0; s < pmap.segment_count(); ++s) {
      uvm::PhysicalSegment segment = pmap.segment(s);
      for (uint64_t at = 0; at < base::ToBytes(segment.pages); at += base::kPageSize) {
        base::Paddr pa = segment.start + at;
        fake_l4::Mapping home =
            machine_.kernel().Inspect(fake_l4::kRootSpace, base::Vaddr(pa.value()));
        if (home.frame != pa || home.rights != fake_l4::kRwx) return false;
      }
    }
    return true;
  }

  // Runs `program(argument)` as task 1; true when it came to its end.
  template <typename T>
  bool AsTask1(void (*program)(T*), T* argument) {
    struct Both {
      void (*program)(T*);
      T* argument;
    };
    static Both both;
    both = {program, argument};
    return machine_.RunProgram(
        1, [](void*) { both.program(both.argument); }, nullptr);
  }

  Machine machine_;
};

struct Probe {
  uint32_t label = 0;
  uint32_t words = 0;
  uint32_t reply_label = 0;
  int32_t code = 0;
  L4_Word_t error = 0;
  L4_ThreadId_t victim = {0};
};

// Sends `words` zero words under the label to the pager and notes the answer.
void CallRaw(Probe* probe) {
  for (uint32_t i = 1; i <= probe->words; ++i) L4_LoadMR(static_cast<int>(i), 0);
  L4_Set_MsgTag(L4_MakeMsgTag(probe->label, probe->words, 0));
  L4_ThreadId_t to = L4_IsNilThread(probe->victim) ? L4_Pager() : probe->victim;
  L4_MsgTag_t tag = L4_Call(to);
  probe->error = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
  probe->reply_label = static_cast<uint32_t>(L4_Label(tag));
  L4_Word_t code;
  L4_StoreMR(1, &code);
  probe->code = static_cast<int32_t>(code);
}

TEST_F(HostileClientTest, EveryLabelOfAnyLengthGetsAnAnswer) {
  uint64_t rejected = machine_.server().counters().rejected;
  uint32_t sent = 0;
  for (uint32_t label : {1u, 7u, 899u, 901u, 1000u, 1005u, 1012u, 1999u, 2006u, 2021u, 2029u, 3000u,
                         0x7fffu, 0xfff0u, 0xffc0u}) {
    for (uint32_t words : {0u, 1u, 3u, 9u, 20u, 63u}) {
      if (words == 1 && label == 1006) continue;
      Probe probe{.label = label, .words = words};
      ASSERT_TRUE(AsTask1(CallRaw, &probe)) << label << " " << words;
      EXPECT_EQ(probe.error, 0u);
      EXPECT_EQ(probe.reply_label, (label + vmserver::kReplyOffset) & 0xffff);
      EXPECT_NE(probe.code, 0) << label << " " << words;
      ++sent;
    }
  }
  EXPECT_EQ(machine_.server().counters().rejected - rejected, sent);
}

TEST_F(HostileClientTest, RefusalsSpeakTheCallersLanguage) {
  Probe unknown{.label = 5555};
  AsTask1(CallRaw, &unknown);
  EXPECT_EQ(unknown.code, vmserver::kMigBadId);
  Probe short_bsd{.label = vmserver::kBsdMunmap, .words = 1};
  AsTask1(CallRaw, &short_bsd);
  EXPECT_EQ(short_bsd.code, static_cast<int32_t>(base::Errno::kEinval));
  Probe long_mach{.label = vmserver::kMachVmRegion, .words = 3};
  AsTask1(CallRaw, &long_mach);
  EXPECT_EQ(long_mach.code, vmserver::kMigBadArguments);
}

TEST_F(HostileClientTest, OnlyInitMakesTasks) {
  Probe probe{.label = vmserver::kSpaceCreate, .words = 3};
  AsTask1(CallRaw, &probe);
  EXPECT_EQ(probe.code, static_cast<int32_t>(base::Errno::kEperm));
}

TEST_F(HostileClientTest, ForeignTasksCannotBeNamed) {
  struct Foreign {
    int32_t terminate = 0;
    int32_t allocate = 0;
  } seen;
  AsTask1<Foreign>(
      [](Foreign* f) {
        f->terminate = vmserver::client::Call(vmserver::kMachTaskTerminate, 3).code;
        f->allocate = vmserver::client::Call(vmserver::kMachVmAllocate, 0x12345, 0, 4096, 1).code;
      },
      &seen);
  EXPECT_EQ(seen.terminate, static_cast<int32_t>(base::KernReturn::kSendInvalidDest));
  EXPECT_EQ(seen.allocate, static_cast<int32_t>(base::KernReturn::kSendInvalidDest));
}

TEST_F(HostileClientTest, AnothersPagerServesNoStranger) {
  fake_l4::ThreadInfo info;
  ASSERT_TRUE(machine_.kernel().Inspect(machine_.thread_of(2), &info));
  Probe exit{.label = vmserver::kBsdExit, .words = 0, .victim = info.pager};
  ASSERT_TRUE(AsTask1(CallRaw, &exit));
  EXPECT_EQ(exit.code, static_cast<int32_t>(base::Errno::kEperm));
  Probe mach{.label = vmserver::kMachTaskTerminate, .words = 1, .victim = info.pager};
  ASSERT_TRUE(AsTask1(CallRaw, &mach));
  EXPECT_EQ(mach.code, static_cast<int32_t>(base::KernReturn::kInvalidTask));
  EXPECT_TRUE(machine_.IsLive(2));
}

// What names a task is refused alike for tasks that exist and tasks that do not.
TEST_F(HostileClientTest, NobodyPeeksAtAForeignTask) {
  struct Codes {
    uint32_t victim = 0;
    int32_t codes[10] = {};
  } seen;
  seen.victim = machine_.task_of(2);
  ASSERT_TRUE(AsTask1<Codes>(
      [](Codes* c) {
        namespace client = vmserver::client;
        const L4_Word_t names[] = {c->victim, 1, 0x12345, vmserver::kHostPrivName, ~L4_Word_t{0}};
        for (int i = 0; i < 5; ++i) {
          c->codes[2 * i] = client::Peek(names[i], kPage, 0x1000, kPage).code;
          c->codes[2 * i + 1] = client::Poke(names[i], kPage, 0x1000, kPage).code;
        }
      },
      &seen));
  for (int32_t code : seen.codes) EXPECT_EQ(code, static_cast<int32_t>(base::Errno::kEsrch));
}

// Addresses outside every map, the client's own KIP and UTCB, the server's addresses, the last
// bytes of the number space: for the caller's side of each call and for the other side.
TEST_F(HostileClientTest, MovesNeverLeaveTheMap) {
  struct Seen {
    uint32_t answers = 0;
    uint32_t moved = 0;
    uint32_t refused = 0;
  } seen;
  ASSERT_TRUE(AsTask1<Seen>(
      [](Seen* s) {
        namespace client = vmserver::client;
        constexpr L4_Word_t kPlaces[] = {0,
                                         traces::kDefaultMapMax,
                                         traces::kDefaultMapMax - 0x1000,
                                         0x100000,
                                         0x1000'0000'0000,
                                         0x2000'0000'0000,
                                         L4_Word_t{1} << 63,
                                         ~L4_Word_t{0} - 0xfff,
                                         ~L4_Word_t{0}};
        constexpr L4_Word_t kSizes[] = {1, 0x1000, 0x10000, L4_Word_t{1} << 40, ~L4_Word_t{0}};
        for (L4_Word_t at : kPlaces) {
          for (L4_Word_t size : kSizes) {
            const client::Reply replies[] = {
                client::Pread(at, size, 77, 0),
                client::Pread(at, size, 77, 0, vmserver::Transfer::kDirect),
                client::Pwrite(at, size, 77, 0, vmserver::Transfer::kDirect),
                client::Pwrite(at, size, 77, 0),
                client::Peek(0, kPage, size, at),
                client::Poke(0, kPage, size, at),
                client::Peek(0, at, size, kPage + 0x2000),
                client::Poke(0, at, size, kPage),
                client::Send(at, size),
                client::Receive(at, size)};
            for (const client::Reply& reply : replies) {
              s->answers += reply.delivered ? 1 : 0;
              s->refused += reply.code != 0 ? 1 : 0;
              s->moved += reply.code == 0 && reply.words[0] != 0 ? 1 : 0;
            }
          }
        }
      },
      &seen));
  EXPECT_EQ(seen.answers, 9u * 5 * 10);
  EXPECT_EQ(seen.moved, 0u);
  EXPECT_GT(seen.refused, 9u * 5 * 6);
}

// Offsets at every edge: nothing but errors and short counts, and the file is as it was.
TEST_F(HostileClientTest, OffsetsOfFilesHaveAnEnd) {
  struct Seen {
    int32_t codes[6] = {};
    L4_Word_t moved[2] = {};
  } seen;
  ASSERT_TRUE(AsTask1<Seen>(
      [](Seen* s) {
        namespace client = vmserver::client;
        constexpr uint64_t kEnd = uint64_t{1} << 63;
        s->codes[0] = client::Pread(kPage + 0x1000, 1, 77, kEnd).code;
        s->codes[1] = client::Pread(kPage + 0x1000, 1, 77, ~uint64_t{0}).code;
        s->codes[2] = client::Pwrite(kPage + 0x1000, 2, 77, kEnd - 1).code;
        s->codes[3] = client::Pwrite(kPage + 0x1000, 1, 77, ~uint64_t{0}).code;
        s->codes[4] = client::Pread(kPage + 0x1000, 1, 0, 0).code;
        s->codes[5] = client::Pread(kPage + 0x1000, ~L4_Word_t{0}, 77, 0).code;
        s->moved[0] = client::Pread(kPage + 0x1000, 2, 77, kEnd - 1).words[0];
        s->moved[1] = client::Pwrite(kPage + 0x1000, 1, 77, kEnd - 1).words[0];
      },
      &seen));
  const base::Errno codes[] = {base::Errno::kEinval, base::Errno::kEinval, base::Errno::kEfbig,
                               base::Errno::kEinval, base::Errno::kEbadf,  base::Errno::kEinval};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(seen.codes[i], static_cast<int32_t>(codes[i])) << i;
  EXPECT_EQ(seen.moved[0], 1u);
  EXPECT_EQ(seen.moved[1], 1u);
}

// Of however long a range: how many pages are there, and a bit for each of the first 128.
TEST_F(HostileClientTest, MincoreAnswersInOneMessage) {
  constexpr uint64_t kAt = 0x1000000;
  constexpr uint64_t kSize = 200 * 0x1000;
  ASSERT_TRUE(machine_
                  .Apply({.kind = OpKind::kMmap,
                          .task = 1,
                          .at = kAt,
                          .size = kSize,
                          .prot = base::kProtReadWrite,
                          .flags = traces::kFlagPrivate | traces::kFlagFixed})
                  .ok());
  for (uint64_t page : {0, 5, 63, 127, 128, 199}) {
    const uint64_t at = kAt + page * 0x1000;
    ASSERT_TRUE(
        machine_.Apply({.kind = OpKind::kWrite, .task = 1, .at = at, .size = 1, .value = 'm'})
            .ok());
  }
  struct Seen {
    vmserver::client::Reply whole, tail;
  } seen;
  ASSERT_TRUE(AsTask1<Seen>(
      [](Seen* s) {
        namespace client = vmserver::client;
        s->whole = client::Mincore(kAt, kSize);
        s->tail = client::Mincore(kAt + 128 * 0x1000, kSize - 128 * 0x1000);
      },
      &seen));
  const L4_Word_t whole[] = {6, 1u << 0 | 1u << 5, 1u << 31, 0, 1u << 31};
  const L4_Word_t tail[] = {2, 1u << 0, 0, 1u << 7, 0};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(seen.whole.words[i], whole[i]) << i;
    EXPECT_EQ(seen.tail.words[i], tail[i]) << i;
  }
  EXPECT_EQ(seen.whole.code, 0);
  EXPECT_EQ(seen.tail.code, 0);
}

// A peek at a byte of a huge mapping must not cost what the mapping is large.
TEST_F(HostileClientTest, PeekingAtHugeMappingsIsCheap) {
  struct Seen {
    int32_t code = 0;
    L4_Word_t moved = 0;
  } seen;
  const uint64_t frames = machine_.ledger().peak_frames;
  ASSERT_TRUE(AsTask1<Seen>(
      [](Seen* s) {
        namespace client = vmserver::client;
        constexpr L4_Word_t kAt = L4_Word_t{1} << 40;
        s->code = client::Mmap({.at = kAt,
                                .size = L4_Word_t{1} << 45,
                                .prot = 3,
                                .flags = vmserver::kMmapPrivate | vmserver::kMmapFixed |
                                         vmserver::kMmapAnonymous})
                      .code;
        for (L4_Word_t i = 1; i < 200; ++i) {
          s->moved += client::Poke(0, kAt + (i << 32), 1, kPage).words[0];
          s->moved += client::Peek(0, kAt + (i << 32) + 0x4000, 1, kPage + 0x1000).words[0];
        }
      },
      &seen));
  EXPECT_EQ(seen.code, 0);
  EXPECT_EQ(seen.moved, 2u * 199);
  EXPECT_LT(machine_.ledger().peak_frames - frames, 1000u);
}

// Workers answer by propagation, so a propagated message proves nothing about its origin.
TEST_F(HostileClientTest, APropagatedCallIsRefusedEvenInTheClientsOwnName) {
  Probe probe;
  ASSERT_TRUE(AsTask1<Probe>(
      [](Probe* p) {
        L4_MsgTag_t tag = L4_MakeMsgTag(vmserver::kBsdFork, 0, 0);
        L4_Set_Propagation(&tag);
        L4_Set_VirtualSender(L4_Myself());
        L4_Set_MsgTag(tag);
        tag = L4_Call(L4_Pager());
        L4_Word_t code;
        L4_StoreMR(1, &code);
        p->error = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
        p->code = static_cast<int32_t>(code);
      },
      &probe));
  EXPECT_EQ(probe.error, 0u);
  EXPECT_EQ(probe.code, static_cast<int32_t>(base::Errno::kEperm));
}

TEST_F(HostileClientTest, OddProtectionsAndWrappedRangesChangeNothing) {
  struct Codes {
    int32_t odd = 0;
    int32_t wrapped = 0;
  } seen;
  ASSERT_TRUE(AsTask1<Codes>(
      [](Codes* c) {
        namespace client = vmserver::client;
        c->odd = client::VmProtect(0, kPage, 0x1000, client::Which::kCurrent, 0x8).code;
        client::VmAllocate(0, 0x40000, 0x4000, client::Placement::kFixed);
        client::VmProtect(0, 0x40000, 0x4000, client::Which::kMaximum, base::kProtRead.bits());
        // Ends two pages before it starts: an empty range, so the maximum forbids nothing.
        c->wrapped = client::VmProtect(0, 0x43000, ~L4_Word_t{0} - 0x1fff, client::Which::kCurrent,
                                       base::kProtReadWrite.bits())
                         .code;
      },
      &seen));
  EXPECT_EQ(seen.odd, static_cast<int32_t>(base::KernReturn::kInvalidArgument));
  EXPECT_EQ(seen.wrapped, static_cast<int32_t>(base::KernReturn::kSuccess));
}

TEST_F(HostileClientTest, NobodyTakesAClientsPage) {
  Probe probe;
  AsTask1<Probe>(
      [](Probe* p) {
        L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(L4_FpageLog2(kPage, 12), 7), 0x1000000);
        L4_Set_MsgTag(L4_MakeMsgTag(vmserver::kBsdExec, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        p->error = L4_IpcFailed(L4_Call(L4_Pager())) ? L4_ErrorCode() : 0;
      },
      &probe);
  EXPECT_EQ(L4_IpcErrorReason(probe.error), L4_IPC_OVERFLOW);
}

// Every server thread gets messages, with and without items, in the name of every server thread.
void ForgeEverything(Probe*) {
  for (L4_Word_t to = 50; to < 60; ++to) {
    for (L4_Word_t name = 50; name < 60; ++name) {
      for (L4_Word_t form = 0; form < 4; ++form) {
        L4_MsgTag_t tag = L4_MakeMsgTag(0, form == 1 ? 1 : 0, form >= 2 ? 2 : 0);
        L4_Set_Propagation(&tag);
        L4_Set_VirtualSender(L4_GlobalId(name, 1));
        L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(L4_FpageLog2(kPage, 12), 7),
                                       form == 2 ? 0x1000000 : 0x1000'0000'0000);
        L4_LoadMRs(1, 2, item.raw);
        L4_LoadMR(1, form == 1 ? L4_CompleteAddressSpace.raw : item.raw[0]);
        L4_Set_MsgTag(tag);
        L4_Send_Timeout(L4_GlobalId(to, 1), L4_ZeroTime);
      }
    }
  }
}

TEST_F(HostileClientTest, NoMessageInAServerThreadsNameIsBelieved) {
  ASSERT_TRUE(AsTask1<Probe>(ForgeEverything, nullptr));
}

// A forger that waits in the mirror's queue until it takes items for real.
TEST_F(HostileClientTest, AForgerQueuedAtTheMirrorGainsNothing) {
  fake_l4::SpaceId space = machine_.l4_space_of(1);
  static L4_ThreadId_t mirror;
  for (uint32_t i = 0; i < machine_.server().threads().count(); ++i) {
    const vmserver::ServerThread* thread = machine_.server().threads().DebugAt(i);
    if (thread->role == vmserver::ServerThread::Role::kMirror) mirror = thread->thread;
  }
  // One for each server thread whose name may be the right one.
  for (uint32_t i = 0; i < machine_.server().threads().count(); ++i) {
    static L4_ThreadId_t name;
    name = machine_.server().threads().DebugAt(i)->thread;
    machine_.kernel().Boot({.entry =
                                [] {
                                  L4_ThreadId_t as = name;
                                  for (int n = 0; n < 3; ++n) {
                                    L4_MsgTag_t tag = L4_MakeMsgTag(0, 0, 2);
                                    L4_Set_Propagation(&tag);
                                    L4_Set_VirtualSender(as);
                                    L4_MapItem_t item = L4_MapItem(
                                        L4_FpageAddRights(L4_FpageLog2(kPage, 12), 7), 0x1000000);
                                    L4_LoadMRs(1, 2, item.raw);
                                    L4_Set_MsgTag(tag);
                                    L4_Send(mirror);
                                  }
                                },
                            .space = space,
                            .pager = machine_.thread_of(1)});
    machine_.kernel().RunUntilIdle();
  }
  for (uint64_t page = 1; page < 4; ++page) {
    EXPECT_TRUE(machine_
                    .Apply({.kind = OpKind::kWrite,
                            .task = 2,
                            .at = kPage + page * 0x1000,
                            .size = 1,
                            .value = 'p'})
                    .ok());
    EXPECT_EQ(
        machine_.Apply({.kind = OpKind::kRead, .task = 2, .at = kPage + page * 0x1000, .size = 1})
            .value,
        uint64_t{'p'});
  }
}

TEST_F(HostileClientTest, FlushedPagesComeBackByRefill) {
  uint64_t refills = machine_.ledger().refill;
  EXPECT_EQ(refills, 0u);  // first touches are UVM's
  ASSERT_TRUE(AsTask1<Probe>(
      [](Probe*) { L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, 7)); }, nullptr));
  EXPECT_EQ(machine_.Apply({.kind = OpKind::kRead, .task = 1, .at = kPage, .size = 1}).value,
            uint64_t{'v'});
  EXPECT_EQ(machine_.ledger().refill, refills + 1);
}

TEST_F(HostileClientTest, PrivilegedCallsAreRefused) {
  struct Errors {
    L4_Word_t thread = 0;
    L4_Word_t space = 0;
  } seen;
  AsTask1<Errors>(
      [](Errors* e) {
        L4_Word_t old;
        if (L4_ThreadControl(L4_GlobalId(50, 1), L4_nilthread, L4_nilthread, L4_nilthread,
                             reinterpret_cast<void*>(~L4_Word_t{0})) == 0) {
          e->thread = L4_ErrorCode();
        }
        if (L4_SpaceControl(L4_Myself(), 0, L4_Nilpage, L4_Nilpage, L4_nilthread, &old) == 0) {
          e->space = L4_ErrorCode();
        }
      },
      &seen);
  EXPECT_EQ(seen.thread, L4_ERROR_NO_PRIVILEGE);
  EXPECT_EQ(seen.space, L4_ERROR_NO_PRIVILEGE);
}

// A page-fault message is only bits: any thread can send one about any address.
void ForgeFault(Probe* probe) {
  L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_PAGEFAULT | L4_Writable, 2, 0));
  L4_LoadMR(1, probe->words == 0 ? kPage : ~L4_Word_t{0} << (probe->words & 63));
  L4_LoadMR(2, 0);
  L4_MsgTag_t tag = L4_Call_Timeouts(L4_Pager(), L4_Never, L4_TimePeriod(1000));
  probe->error = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
}

TEST_F(HostileClientTest, ForgedFaultsHurtTheForgerOnly) {
  for (uint32_t shift : {0u, 1u, 12u, 40u, 47u, 63u}) {
    Probe probe{.words = shift};
    AsTask1(ForgeFault, &probe);
    EXPECT_NE(probe.error, 0u) << shift;
  }
}

TEST_F(HostileClientTest, AFloodOfMessagesLosesAnswersNotTheServer) {
  ASSERT_TRUE(AsTask1<Probe>(
      [](Probe*) {
        for (int i = 0; i < 100; ++i) {
          L4_LoadMR(1, kPage);
          L4_LoadMR(2, 0x1000);
          L4_Set_MsgTag(L4_MakeMsgTag(vmserver::kBsdLinuxDontneed + 50, 2, 0));
          L4_Send_Timeout(L4_Pager(), L4_ZeroTime);
          L4_Set_MsgTag(L4_MakeMsgTag(vmserver::kBsdMadvise, 3, 0));
          L4_LoadMR(3, static_cast<L4_Word_t>(base::Advice::kNormal));
          L4_Send_Timeout(L4_Pager(), L4_TimePeriod(100));
        }
      },
      nullptr));
}

// What a task sent before it ended must not act on whoever uses its record next, or on nobody.
TEST_F(HostileClientTest, MessagesOfADeadTaskAreVoid) {
  ASSERT_TRUE(machine_.Apply({.kind = OpKind::kSpace, .child = 3}).ok());
  uint64_t ended = machine_.server().counters().tasks_ended;
  uint64_t calls = machine_.server().counters().calls;
  machine_.RunProgram(
      3,
      [](void*) {
        for (uint32_t label : {vmserver::kBsdExit, vmserver::kBsdExec, vmserver::kBsdExec}) {
          L4_Set_MsgTag(L4_MakeMsgTag(label, 0, 0));
          L4_Send(L4_Pager());
        }
      },
      nullptr);
  EXPECT_EQ(machine_.server().counters().tasks_ended - ended, 1u);
  EXPECT_EQ(machine_.server().counters().calls - calls, 1u);
  EXPECT_EQ(machine_.crash(), std::nullopt);
}

// A worker's ring: first in first out, four messages, one promise to wake.
TEST(ServerThreadTest, TheRingHoldsFourAndSaysWhoWakes) {
  vmserver::ServerThread worker;
  vmserver::Message message;
  bool wake = false;
  EXPECT_FALSE(worker.Pop(&message));
  EXPECT_TRUE(worker.GoIdle());
  for (uint32_t i = 0; i < vmserver::ServerThread::kRing; ++i) {
    message.client.raw = i;
    EXPECT_TRUE(worker.Push(message, &wake));
    EXPECT_EQ(wake, i == 0) << i;
  }
  EXPECT_FALSE(worker.Push(message, &wake));
  for (uint32_t i = 0; i < vmserver::ServerThread::kRing; ++i) {
    ASSERT_TRUE(worker.Pop(&message));
    EXPECT_EQ(message.client.raw, i);
  }
  EXPECT_FALSE(worker.Pop(&message));
}

TEST(ServerThreadTest, WhatCameInMeanwhileKeepsTheWorkerFromWaiting) {
  vmserver::ServerThread worker;
  bool wake = true;
  EXPECT_TRUE(worker.Push({}, &wake));
  EXPECT_FALSE(wake);  // it runs
  EXPECT_FALSE(worker.GoIdle());
  EXPECT_TRUE(worker.duty.DebugTaken());
}

TEST_F(HostileClientTest, InitCannotLeave) {
  struct Codes {
    int32_t exit = 0;
    int32_t terminate = 0;
  } seen;
  ASSERT_TRUE(machine_.RunProgram(
      0,
      [](void* codes) {
        auto* c = static_cast<Codes*>(codes);
        c->exit = vmserver::client::Exit().code;
        c->terminate = vmserver::client::TaskTerminate(0).code;
      },
      &seen));
  EXPECT_EQ(seen.exit, static_cast<int32_t>(base::Errno::kEperm));
  EXPECT_EQ(seen.terminate, static_cast<int32_t>(base::KernReturn::kFailure));
}

}  // namespace
}  // namespace machine
