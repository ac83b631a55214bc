#include "conform/mach_bench.h"

#include <algorithm>

#include "base/addr.h"
#include "base/check.h"
#include "base/errors.h"
#include "fake_l4/kernel.h"
#include "traces/op.h"
#include "vmserver/protocol.h"

namespace conform {

namespace {

namespace client = vmserver::client;
using traces::OpKind;

// What no task is called.
constexpr uint32_t kNobody = 0x7fffffff;
constexpr uint32_t kSecondWord = 0x800;

client::Placement PlacementOf(const MachOp& op) {
  return op.anywhere ? client::Placement::kAnywhere : client::Placement::kFixed;
}

// kern_return_t of the exception that a failed access raised.
uint32_t ExceptionCode() {
  switch (static_cast<base::FaultCode>(L4_UserDefinedHandle())) {
    case base::FaultCode::kMachInvalidAddress:
      return 1;
    case base::FaultCode::kMachProtection:
      return 2;
    case base::FaultCode::kMachMemoryError:
      return 10;
    default:
      return 6;
  }
}

// One load or store by whoever runs it.
struct Access {
  uint32_t addr;
  uint32_t word;
  bool store;
  uint32_t code;
};

void RunAccess(void* argument) {
  auto* access = static_cast<Access*>(argument);
  fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
  unsigned char bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<unsigned char>(access->word >> 8 * i);
  const base::Vaddr va(access->addr);
  const fake_l4::AccessStatus status =
      access->store ? cpu.Store(va, bytes, 4) : cpu.Load(va, bytes, 4);
  access->code = status == fake_l4::AccessStatus::kOk ? 0 : ExceptionCode();
  access->word = 0;
  for (int i = 0; i < 4; ++i) access->word |= uint32_t{bytes[i]} << 8 * i;
}

bool StoreOwn(uint32_t addr, uint32_t word) {
  Access access{addr, word, true, 0};
  RunAccess(&access);
  return access.code == 0;
}
uint32_t LoadOwn(uint32_t addr) {
  Access access{addr, 0, false, 0};
  RunAccess(&access);
  return access.word;
}

uint32_t Low(L4_Word_t word) { return static_cast<uint32_t>(word); }

uint32_t CodeOf(const client::Reply& reply) {
  return reply.delivered ? static_cast<uint32_t>(reply.code) : UINT32_MAX;
}

MachResult Plain(const client::Reply& reply) {
  MachResult result;
  result.code = CodeOf(reply);
  return result;
}

// `addr` is what the caller's variable holds afterwards.
MachResult Placed(const client::Reply& reply, const MachOp& op) {
  MachResult result = Plain(reply);
  result.addr = result.code == 0 ? Low(reply.words[0]) : op.addr;
  return result;
}

MachResult Region(const client::Reply& reply) {
  MachResult result = Plain(reply);
  if (result.code != 0) return result;
  result.addr = Low(reply.words[0]);
  result.size = Low(reply.words[1]);
  result.region = {result.addr,         uint64_t{reply.words[1]}, Low(reply.words[2]),
                   Low(reply.words[3]), Low(reply.words[4]),      Low(reply.words[5])};
  return result;
}

// The first word of each page of the data, then the data goes. What grows is the host's: a
// simulated thread may be abandoned.
void Data(const client::Reply& reply, MachResult* result) {
  *result = Plain(reply);
  if (result->code != 0) return;
  const uint32_t data = Low(reply.words[0]);
  result->size = Low(reply.words[1]);
  result->offset = data & base::kPageMask;
  for (uint64_t at = 0; at + 4 <= result->size; at += base::kPageSize) {
    result->words.push_back(LoadOwn(data + static_cast<uint32_t>(at)));
  }
  if (result->size != 0) client::VmDeallocate(client::kSelf, data, result->size);
}

// Page i of the data holds value + i in its first word and the complement in another.
MachResult Write(L4_Word_t name, const MachOp& op) {
  const uint64_t bytes = base::RoundPage(uint64_t{op.size} + op.data_offset);
  uint32_t buffer = 0;
  if (bytes != 0) {
    client::Reply made = client::VmAllocate(client::kSelf, 0, bytes, client::Placement::kAnywhere);
    if (CodeOf(made) != 0) return Plain(made);
    buffer = Low(made.words[0]);
  }
  for (uint64_t at = 0; at < bytes; at += base::kPageSize) {
    const uint32_t page = buffer + static_cast<uint32_t>(at);
    const uint32_t value = op.value + static_cast<uint32_t>(at >> base::kPageShift);
    if (!StoreOwn(page, value) || !StoreOwn(page + kSecondWord, ~value)) return Plain({});
  }
  MachResult result = Plain(client::VmWrite(name, op.addr, buffer + op.data_offset, op.size));
  if (bytes != 0) client::VmDeallocate(client::kSelf, buffer, bytes);
  return result;
}

L4_Word_t HostOf(MachHost host) {
  switch (host) {
    case MachHost::kPrivileged:
      return vmserver::kHostPrivName;
    case MachHost::kUnprivileged:
      return vmserver::kHostName;
    case MachHost::kTask:
      return client::kSelf;
  }
  return 0;
}

MachResult CallOn(L4_Word_t name, const MachOp& op) {
  switch (op.call) {
    case MachCall::kVmAllocate:
      return Placed(client::VmAllocate(name, op.addr, op.size, PlacementOf(op)), op);
    case MachCall::kVmMap:
      return Placed(client::VmMap(name, {.at = op.addr,
                                         .size = op.size,
                                         .mask = op.mask,
                                         .placement = PlacementOf(op),
                                         .offset = op.offset,
                                         .copy = op.copy,
                                         .prot = op.cur,
                                         .max_prot = op.max,
                                         .inherit = op.inherit}),
                    op);
    case MachCall::kVmDeallocate:
      return Plain(client::VmDeallocate(name, op.addr, op.size));
    case MachCall::kVmProtect:
      return Plain(client::VmProtect(name, op.addr, op.size,
                                     op.set_max ? client::Which::kMaximum : client::Which::kCurrent,
                                     op.prot));
    case MachCall::kVmInherit:
      return Plain(client::VmInherit(name, op.addr, op.size, op.inherit));
    case MachCall::kVmWire:
      return Plain(client::VmWire(name, HostOf(op.host), op.addr, op.size, op.access));
    case MachCall::kVmWireAll:
      return Plain(client::VmWireAll(name, HostOf(op.host), op.flags));
    case MachCall::kVmCopy:
      return Plain(client::VmCopy(name, op.addr, op.size, op.to));
    case MachCall::kVmRead:
      break;  // RunCall
    case MachCall::kVmWrite:
      return Write(name, op);
    case MachCall::kVmRegion:
      return Region(client::VmRegion(name, op.addr));
    case MachCall::kVmMsync:
      return Plain(client::VmMsync(name, op.addr, op.size, op.flags));
    case MachCall::kTaskCreate:
      return Plain(client::TaskCreate(
          name, op.inherit != 0 ? client::Memory::kInherited : client::Memory::kEmpty));
    case MachCall::kTaskTerminate:
    case MachCall::kPeek:
    case MachCall::kPoke:
      break;
  }
  return Plain({});
}

struct Errand {
  uint32_t name;
  const MachOp* op;
  MachResult* result;
};

void RunCall(void* argument) {
  auto* errand = static_cast<Errand*>(argument);
  const MachOp& op = *errand->op;
  if (op.call == MachCall::kVmRead) {
    Data(client::VmRead(errand->name, op.addr, op.size), errand->result);
  } else {
    *errand->result = CallOn(errand->name, op);
  }
}

}  // namespace

MachBench::MachBench() : machine_(std::make_unique<machine::Machine>(machine::Machine::Options{})) {
  traces::ResolvedOp op;
  op.kind = OpKind::kTask32;
  op.child = controller_ = next_label_++;
  CHECK(machine_->Apply(op).ok());
  const uint32_t victim = NewTask();
  dead_ = NameOf(victim);
  CHECK(Terminate(victim) == 0);
}

std::string MachBench::problem() const {
  if (machine_->crash().has_value()) return *machine_->crash();
  if (machine_->stuck().has_value()) return *machine_->stuck();
  return "";
}

uint32_t MachBench::NameOf(uint32_t label) { return machine_->task_of(label); }

uint32_t MachBench::NewTask() {
  uint32_t code = 0;
  return Create(controller_, Memory::kEmpty, &code);
}

uint32_t MachBench::Create(uint32_t parent, Memory memory, uint32_t* code) {
  traces::ResolvedOp op;
  op.kind = OpKind::kTaskCreate;
  op.task = controller_;
  op.target = parent == controller_ ? 0 : parent;
  op.child = next_label_++;
  op.flags = memory == Memory::kInherited ? uint32_t{traces::kFlagInherit} : 0;
  const traces::Outcome outcome = machine_->Apply(op);
  *code = outcome.family == traces::Outcome::Family::kKern ? static_cast<uint32_t>(outcome.code)
                                                           : UINT32_MAX;
  if (*code != 0) return 0;
  if (memory == Memory::kEmpty) {
    MachOp map;
    map.call = MachCall::kVmMap;
    map.addr = kMachCodePage;
    map.size = kMachPageBytes;
    map.cur = map.max = 5;
    map.inherit = 0;
    Call(op.child, map);
  }
  return op.child;
}

uint32_t MachBench::Terminate(uint32_t label) {
  traces::ResolvedOp op;
  op.kind = OpKind::kTaskTerminate;
  op.task = controller_;
  op.target = label;
  const traces::Outcome outcome = machine_->Apply(op);
  return outcome.family == traces::Outcome::Family::kKern ? static_cast<uint32_t>(outcome.code)
                                                          : UINT32_MAX;
}

MachResult MachBench::CallNamed(uint32_t name, const MachOp& op) {
  MachResult result;
  result.code = UINT32_MAX;
  Errand errand{name, &op, &result};
  if (problem().empty()) machine_->RunProgram(controller_, RunCall, &errand);
  return result;
}

MachResult MachBench::Call(uint32_t label, const MachOp& op) {
  return CallNamed(NameOf(label), op);
}

MachResult MachBench::CallNobody(const MachOp& op) {
  switch (op.target) {
    case MachTarget::kHost:
      return CallNamed(vmserver::kHostName, op);
    case MachTarget::kDead:
      return CallNamed(dead_, op);
    case MachTarget::kNull:
    case MachTarget::kTask:
      break;
  }
  return CallNamed(kNobody, op);
}

uint32_t MachBench::Load(uint32_t label, uint32_t addr, uint32_t* code) {
  Access access{addr, 0, false, UINT32_MAX};
  if (problem().empty()) machine_->RunProgram(label, RunAccess, &access);
  *code = access.code;
  return access.word;
}

uint32_t MachBench::Store(uint32_t label, uint32_t addr, uint32_t value) {
  Access access{addr, value, true, UINT32_MAX};
  if (problem().empty()) machine_->RunProgram(label, RunAccess, &access);
  return access.code;
}

MachMap MachBench::Map(uint32_t label) {
  MachMap map;
  MachOp op;
  op.call = MachCall::kVmRegion;
  for (uint64_t at = 0; at < uint64_t{1} << 32;) {
    op.addr = static_cast<uint32_t>(at);
    const MachResult found = Call(label, op);
    if (found.code != 0 || found.region.size == 0) break;
    map.push_back(found.region);
    at = found.region.start + found.region.size;
  }
  return map;
}

}  // namespace conform
