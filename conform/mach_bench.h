// conform/mach_bench.h: the recorded machine's tasks on this one.
//
// WHAT     A machine with one controlling task, which, as the recorder was, is the one that makes
//          all calls: it creates tasks, names them in vm_*() calls, gets the data of vm_read into
//          its own space and sends that of vm_write from there. Loads and stores are made by the
//          tasks themselves. Tasks have 32-bit addresses, as the recorded kernel's.
// INVARIANTS  Nothing here compares or knows what is right.
#ifndef CONFORM_MACH_BENCH_H_
#define CONFORM_MACH_BENCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conform/mach_recording.h"
#include "machine/machine.h"
#include "vmserver/client.h"

namespace conform {

// Where the recorder kept the code of its tasks' loads and stores: read and execute, shared by
// children.
inline constexpr uint32_t kMachCodePage = 0xb0000000;

class MachBench {
 public:
  MachBench();

  // Why nothing works any more: the machine crashed or got stuck; empty while all is well.
  std::string problem() const;
  fake_l4::Ledger ledger() const { return machine_->kernel().ledger(); }

  // A new task, empty but for the code page; its label.
  uint32_t NewTask();
  // task_create by, and on, `parent`; a child without memory gets the code page. 0: refused with
  // *code.
  enum class Memory : uint8_t { kEmpty, kInherited };
  uint32_t Create(uint32_t parent, Memory memory, uint32_t* code);
  uint32_t Terminate(uint32_t label);

  // The call on the task with this label, in the form the recorder made it. Calls on a task only:
  // not task_create, task_terminate, peek and poke.
  MachResult Call(uint32_t label, const MachOp& op);
  // The same on what is no task's name.
  MachResult CallNobody(const MachOp& op);
  // The word at `addr`, by a load of the task's own; *code: of the exception, 0 = none.
  uint32_t Load(uint32_t label, uint32_t addr, uint32_t* code);
  uint32_t Store(uint32_t label, uint32_t addr, uint32_t value);
  // All regions by vm_region.
  MachMap Map(uint32_t label);

 private:
  MachResult CallNamed(uint32_t name, const MachOp& op);
  uint32_t NameOf(uint32_t label);

  std::unique_ptr<machine::Machine> machine_;
  uint32_t controller_ = 0;
  uint32_t next_label_ = 1;
  uint32_t dead_ = 0;  // the name of a task that is no more
};

}  // namespace conform

#endif  // CONFORM_MACH_BENCH_H_
