// Mach clients that name what is not theirs, or ranges that cannot be: each call refuses, and
// nothing changes anywhere.

#include <gtest/gtest.h>
#include <l4/ipc.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

namespace client = vmserver::client;
using base::KernReturn;
using traces::OpKind;

constexpr uint64_t kPage = 0x10000;
constexpr uint64_t kMap = 0x4000;
constexpr uint64_t kLast = ~uint64_t{0};

// The calls on a task, with a range of it; what else they want is well formed.
enum class Kind : uint8_t {
  kAllocate,
  kMap,
  kDeallocate,
  kProtect,
  kInherit,
  kRead,
  kWriteTo,    // vm_write: the range is the target's
  kWriteFrom,  // vm_write: the range is the caller's data
  kCopyFrom,
  kCopyTo,
  kRegion,
  kWire,
  kWireAll,
  kMsync,
};
constexpr Kind kAll[] = {Kind::kAllocate, Kind::kMap,    Kind::kDeallocate, Kind::kProtect,
                         Kind::kInherit,  Kind::kRead,   Kind::kWriteTo,    Kind::kWriteFrom,
                         Kind::kCopyFrom, Kind::kCopyTo, Kind::kRegion,     Kind::kWire,
                         Kind::kWireAll,  Kind::kMsync};

struct Attack {
  Kind kind;
  L4_Word_t task = 0;
  L4_Word_t at = kPage;
  L4_Word_t size = 0x1000;
  L4_Word_t host = vmserver::kHostPrivName;
  L4_Word_t flags = vmserver::kMachSyncAsynchronous;  // vm_msync's
  client::Reply reply = {};
};

client::Reply Make(const Attack& a) {
  switch (a.kind) {
    case Kind::kAllocate:
      return client::VmAllocate(a.task, a.at, a.size, client::Placement::kFixed);
    case Kind::kMap:
      return client::VmMap(a.task,
                           {.at = a.at, .size = a.size, .prot = 3, .max_prot = 7, .inherit = 1});
    case Kind::kDeallocate:
      return client::VmDeallocate(a.task, a.at, a.size);
    case Kind::kProtect:
      return client::VmProtect(a.task, a.at, a.size, client::Which::kCurrent, 0);
    case Kind::kInherit:
      return client::VmInherit(a.task, a.at, a.size, 2);
    case Kind::kRead:
      return client::VmRead(a.task, a.at, a.size);
    case Kind::kWriteTo:
      return client::VmWrite(a.task, a.at, kPage, a.size);
    case Kind::kWriteFrom:
      return client::VmWrite(a.task, kPage, a.at, a.size);
    case Kind::kCopyFrom:
      return client::VmCopy(a.task, a.at, a.size, kPage);
    case Kind::kCopyTo:
      return client::VmCopy(a.task, kPage, a.size, a.at);
    case Kind::kRegion:
      return client::VmRegion(a.task, a.at);
    case Kind::kWire:
      return client::VmWire(a.task, a.host, a.at, a.size, 1);
    case Kind::kWireAll:
      return client::VmWireAll(a.task, a.host, 1);
    case Kind::kMsync:
      return client::VmMsync(a.task, a.at, a.size, a.flags);
  }
  return {};
}

// Task 1, made by init, has made 2, which has made 3; 4 is init's too. Each has four pages of its
// own letter.
class HostileMachTest : public testing::Test {
 protected:
  HostileMachTest() : machine_({}) {
    Birth({.kind = OpKind::kTask, .child = 1});
    Birth({.kind = OpKind::kTaskCreate, .task = 1, .child = 2});
    Birth({.kind = OpKind::kTaskCreate, .task = 2, .child = 3});
    Birth({.kind = OpKind::kTask, .child = 4});
  }

  ~HostileMachTest() override {
    for (uint32_t task : {1u, 2u, 3u, 4u}) {
      if (machine_.IsLive(task)) ExpectUntouched(task);
    }
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
  }

  void Birth(const traces::ResolvedOp& op) {
    ASSERT_TRUE(machine_.Apply(op).ok());
    ASSERT_TRUE(machine_
                    .Apply({.kind = OpKind::kVmAllocate,
                            .task = op.child,
                            .at = kPage,
                            .size = kMap,
                            .flags = traces::kFlagFixed})
                    .ok());
    ASSERT_TRUE(machine_
                    .Apply({.kind = OpKind::kWrite,
                            .task = op.child,
                            .at = kPage,
                            .size = kMap,
                            .value = uint64_t{'A'} + op.child})
                    .ok());
  }

  void ExpectUntouched(uint32_t task) {
    uint64_t next = kPage;  // what lies below is free
    for (uint64_t at = 0;; at = next) {
      const traces::Outcome found =
          machine_.Apply({.kind = OpKind::kVmRegion, .task = task, .at = at});
      if (!found.ok()) break;
      EXPECT_EQ(found.value, next) << "task " << task;
      EXPECT_EQ(found.region.prot, base::kProtReadWrite) << "task " << task;
      EXPECT_EQ(found.region.inherit, base::Inherit::kCopy) << "task " << task;
      next = found.value + found.size;
    }
    EXPECT_EQ(next, kPage + kMap) << "task " << task;
    const traces::Outcome read =
        machine_.Apply({.kind = OpKind::kRead, .task = task, .at = kPage, .size = kMap});
    EXPECT_TRUE(read.ok()) << machine_.crash().value_or("") << machine_.stuck().value_or("");
    EXPECT_EQ(read.value, uint64_t{'A'} + task);
  }

  // What task `actor` is answered.
  int32_t Try(uint32_t actor, Attack attack) {
    const bool back = machine_.RunProgram(
        actor,
        [](void* argument) {
          auto* a = static_cast<Attack*>(argument);
          a->reply = Make(*a);
        },
        &attack);
    EXPECT_TRUE(back);
    EXPECT_TRUE(attack.reply.delivered);
    return attack.reply.code;
  }

  Machine machine_;
};

constexpr int32_t Code(KernReturn code) { return static_cast<int32_t>(code); }

TEST_F(HostileMachTest, NobodyNamesATaskThatSomebodyElseMade) {
  // Parent, grandchild, stranger, itself by another's name, one that never was.
  const L4_Word_t parent = machine_.task_of(1);
  const L4_Word_t grandchild = machine_.task_of(3);
  const L4_Word_t stranger = machine_.task_of(4);
  const struct {
    uint32_t actor;
    L4_Word_t victim;
  } kCases[] = {{2, parent}, {1, grandchild}, {1, stranger},   {4, parent},
                {3, parent}, {1, 1},          {1, 0x7fffffff}, {1, kLast}};
  for (const auto& c : kCases) {
    for (Kind kind : kAll) {
      const bool wires = kind == Kind::kWire || kind == Kind::kWireAll;
      EXPECT_EQ(Try(c.actor, {.kind = kind, .task = c.victim}),
                Code(wires ? KernReturn::kInvalidTask : KernReturn::kSendInvalidDest))
          << "kind " << static_cast<int>(kind) << " by " << c.actor << " on " << c.victim;
    }
  }
}

TEST_F(HostileMachTest, TheHostIsNoTask) {
  for (L4_Word_t name : {L4_Word_t{vmserver::kHostName}, L4_Word_t{vmserver::kHostPrivName}}) {
    for (Kind kind : kAll) {
      const bool wires = kind == Kind::kWire || kind == Kind::kWireAll;
      EXPECT_EQ(Try(1, {.kind = kind, .task = name}),
                Code(wires ? KernReturn::kInvalidTask : KernReturn::kInvalidArgument));
    }
  }
}

TEST_F(HostileMachTest, OnlyInitsTasksHoldThePrivilegedName) {
  for (L4_Word_t host : {L4_Word_t{vmserver::kHostPrivName}, L4_Word_t{0}, L4_Word_t{77}, kLast}) {
    EXPECT_EQ(Try(2, {.kind = Kind::kWire, .host = host}), Code(KernReturn::kInvalidHost));
    EXPECT_EQ(Try(2, {.kind = Kind::kWireAll, .host = host}), Code(KernReturn::kInvalidHost));
  }
  EXPECT_EQ(Try(2, {.kind = Kind::kWireAll, .host = vmserver::kHostName}),
            Code(KernReturn::kInvalidHost));
  EXPECT_EQ(Try(1, {.kind = Kind::kWire}), 0);
  EXPECT_EQ(Try(2, {.kind = Kind::kWire, .host = vmserver::kHostName}), 0);
}

// Ranges that wrap, leave the map, or are larger than it: on the caller and on its child.
TEST_F(HostileMachTest, RangesThatCannotBeChangeNothing) {
  const L4_Word_t child = machine_.task_of(2);
  const L4_Word_t kStarts[] = {0,
                               1,
                               0xfff,
                               traces::kDefaultMapMax,
                               traces::kDefaultMapMax + 1,
                               uint64_t{1} << 47,
                               uint64_t{1} << 63,
                               kLast - 0xfff,
                               kLast};
  const L4_Word_t kSizes[] = {1, 0x1000, uint64_t{1} << 63, kLast - 0xfff, kLast - 0x1fff, kLast};
  for (L4_Word_t target : {L4_Word_t{0}, child}) {
    for (L4_Word_t at : kStarts) {
      for (L4_Word_t size : kSizes) {
        for (Kind kind : kAll) {
          // Calls that clamp do nothing to what is outside; one whose range wraps back in, or that
          // names no range, is none of this test's.
          const bool clamps = kind == Kind::kDeallocate || kind == Kind::kProtect ||
                              kind == Kind::kInherit || kind == Kind::kMsync;
          const bool reaches = at < kPage && at + size > kPage;
          if (kind == Kind::kRegion || kind == Kind::kWireAll || (clamps && reaches)) continue;
          const int32_t code = Try(1, {.kind = kind, .task = target, .at = at, .size = size});
          if (!clamps) {
            EXPECT_NE(code, 0) << static_cast<int>(kind) << " " << at << " " << size;
          }
        }
      }
    }
  }
}

TEST_F(HostileMachTest, DataThatTheSenderCannotReadIsNotSent) {
  const L4_Word_t child = machine_.task_of(2);
  for (L4_Word_t at : {L4_Word_t{0}, L4_Word_t{0x5000}, L4_Word_t{kPage + kMap},
                       L4_Word_t{traces::kDefaultMapMax}, kLast - 0xfff}) {
    EXPECT_EQ(Try(1, {.kind = Kind::kWriteFrom, .task = child, .at = at}),
              Code(KernReturn::kSendInvalidMemory));
  }
  // A hole behind the first page.
  EXPECT_EQ(
      Try(1,
          {.kind = Kind::kWriteFrom, .task = child, .at = kPage + kMap - 0x1000, .size = 0x2000}),
      Code(KernReturn::kSendInvalidMemory));
}

TEST_F(HostileMachTest, PlainWiringEndsAtItsLimit) {
  EXPECT_EQ(Try(2, {.kind = Kind::kWire,
                    .size = vmserver::kUnprivilegedWireBytes + 1,
                    .host = vmserver::kHostName}),
            Code(KernReturn::kNoAccess));
  EXPECT_EQ(Try(2, {.kind = Kind::kWire, .host = vmserver::kHostName}), 0);
  EXPECT_EQ(Try(2, {.kind = Kind::kWire,
                    .size = vmserver::kUnprivilegedWireBytes,
                    .host = vmserver::kHostName}),
            Code(KernReturn::kNoAccess));
}

// More than a share of all memory is nobody's to wire, and a large copy costs what was touched.
TEST_F(HostileMachTest, LargeRangesCostNothingUntilTheyAreTouched) {
  constexpr uint64_t kTera = uint64_t{1} << 40;
  constexpr uint64_t kBig = uint64_t{1} << 42;
  EXPECT_EQ(Try(4, {.kind = Kind::kAllocate, .at = kBig, .size = kTera}), 0);
  const uint64_t frames = machine_.uvm().counters().frames_in_use;
  EXPECT_EQ(Try(4, {.kind = Kind::kWire, .at = kBig, .size = kTera}),
            Code(KernReturn::kResourceShortage));
  EXPECT_EQ(Try(4, {.kind = Kind::kCopyFrom, .at = kBig, .size = kTera}),
            Code(KernReturn::kInvalidAddress));
  EXPECT_EQ(Try(4, {.kind = Kind::kRead, .at = kBig, .size = kTera}), 0);
  EXPECT_EQ(machine_.uvm().counters().frames_in_use, frames);
  for (uint64_t at = kPage + kMap; at < kBig + kTera; at += kTera) {
    EXPECT_EQ(Try(4, {.kind = Kind::kDeallocate, .at = at, .size = kTera}), 0);
  }
  EXPECT_EQ(Try(4, {.kind = Kind::kDeallocate, .at = kBig, .size = kTera}), 0);
}

// Flags that contradict each other are refused, though an empty range has nothing to be cleaned.
TEST_F(HostileMachTest, SynchronisingBothWaysIsRefused) {
  EXPECT_EQ(Try(4, {.kind = Kind::kMsync, .at = kPage, .size = 0}), 0);
  EXPECT_EQ(
      Try(4,
          {.kind = Kind::kMsync, .at = kPage, .size = 0, .flags = vmserver::kMachSyncSynchronous}),
      0);
  EXPECT_EQ(Try(4, {.kind = Kind::kMsync,
                    .at = kPage,
                    .size = 0,
                    .flags = vmserver::kMachSyncAsynchronous | vmserver::kMachSyncSynchronous}),
            Code(KernReturn::kInvalidArgument));
}

// A child that waits for ever is ended by who made it, and is gone for good.
TEST_F(HostileMachTest, AWaitingChildIsEnded) {
  EXPECT_FALSE(machine_.RunProgram(
      2, [](void*) { L4_Receive(L4_anythread); }, nullptr));
  const L4_Word_t child = machine_.task_of(2);
  EXPECT_TRUE(machine_.Apply({.kind = OpKind::kTaskTerminate, .task = 1, .target = 2}).ok());
  EXPECT_FALSE(machine_.IsLive(2));
  EXPECT_EQ(Try(1, {.kind = Kind::kRegion, .task = child}), Code(KernReturn::kSendInvalidDest));
  // What it made is nobody's now, and lives.
  EXPECT_EQ(Try(1, {.kind = Kind::kRegion, .task = machine_.task_of(3)}),
            Code(KernReturn::kSendInvalidDest));
}

// A 32-bit task's words have 32 bits, whatever it sends.
TEST_F(HostileMachTest, NarrowTasksAreCutTo32Bits) {
  ASSERT_TRUE(machine_.Apply({.kind = OpKind::kTask32, .child = 5}).ok());
  constexpr uint64_t kHigh = uint64_t{1} << 32;
  EXPECT_EQ(Try(5, {.kind = Kind::kAllocate, .at = kHigh, .size = kHigh + 0x1000}), 0);
  traces::Outcome region = machine_.Apply({.kind = OpKind::kVmRegion, .task = 5, .at = 0});
  EXPECT_EQ(region.value, 0u);
  EXPECT_EQ(region.size, 0x1000u);
  EXPECT_EQ(Try(5, {.kind = Kind::kAllocate, .at = 0x1000, .size = kHigh}), 0);  // no bytes
  EXPECT_EQ(Try(5, {.kind = Kind::kAllocate, .at = 0xfffff000, .size = 0x2000}),
            Code(KernReturn::kInvalidAddress));
  EXPECT_EQ(Try(5, {.kind = Kind::kRead, .at = 0, .size = 0xffffffff}),
            Code(KernReturn::kInvalidAddress));
  // Beyond its words there is nothing, not even its KIP.
  traces::Outcome read = machine_.Apply(
      {.kind = OpKind::kRead, .task = 5, .at = traces::kDefaultMapMax - 0x1000, .size = 8});
  EXPECT_EQ(read.code, static_cast<int32_t>(base::FaultCode::kMachInvalidAddress));
}

}  // namespace
}  // namespace machine
