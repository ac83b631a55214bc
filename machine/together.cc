// Several clients at work at the same time.

#include <l4/thread.h>

#include <algorithm>

#include "base/check.h"
#include "machine/machine.h"

namespace machine {
namespace {

using traces::OpKind;

bool IsBirth(OpKind kind) { return kind == OpKind::kFork || kind == OpKind::kTaskCreate; }

bool IsDeath(OpKind kind) { return kind == OpKind::kExit || kind == OpKind::kTaskTerminate; }

}  // namespace

// Everything that the threads share. On the host's stack, which outlives the run; what the threads'
// own stacks hold owns nothing (client_program.h).
struct Machine::Together {
  struct Running {
    Together* together = nullptr;
    uint32_t number = 0;
    Client* client = nullptr;
    const Part* part = nullptr;
    // One an operation, in order.
    std::vector<Command> commands;
    std::vector<Performed> performed;
    std::vector<unsigned char> read;
  };
  uint64_t clock = 0;  // beginnings and ends so far
  std::vector<Running> running;
};

// The program of one client thread.
void Machine::RunPart(void* running_part) {
  auto& running = *static_cast<Together::Running*>(running_part);
  for (size_t i = 0; i < running.commands.size(); ++i) {
    Command& command = running.commands[i];
    Performed& performed = running.performed[i];
    const std::vector<bool>& goes_on = running.part->goes_on;
    if (i < goes_on.size() && goes_on[i] && !running.performed[i - 1].outcome.ok()) continue;
    performed.invoked = ++running.together->clock;
    running.read.clear();
    Execute(&command, running.client->personality, &running.read);
    performed.outcome = command.outcome;
    performed.responded = ++running.together->clock;
  }
}

// What the births and the death of a part leave.
void Machine::EndPart(Together* together, uint32_t number) {
  Together::Running& running = together->running[number];
  Client* client = running.client;
  for (size_t i = 0; i < running.commands.size(); ++i) {
    const Command& command = running.commands[i];
    Performed& performed = running.performed[i];
    fake_l4::ThreadInfo info;
    if (performed.invoked != 0 && performed.responded == 0 && IsDeath(command.op.kind) &&
        !kernel_.Inspect(client->thread, &info)) {
      performed.outcome.family = traces::FamilyOf(command.op.kind);
      performed.responded = ++together->clock;
      Bury(client);
      return;
    }
    if (performed.responded == 0 || !performed.outcome.ok()) continue;
    if (IsBirth(command.op.kind)) {
      client->command.child_task = command.child_task;
      client->command.child_thread = command.child_thread;
      AddClient(command.op, *client);
    }
  }
}

std::vector<Performed> Machine::ApplyTogether(const std::vector<Part>& parts) {
  std::vector<Performed> all;
  if (stuck_.has_value() || !kernel_.crash_text().empty()) return all;
  Together together;
  together.running.resize(parts.size());
  for (uint32_t i = 0; i < parts.size(); ++i) {
    Together::Running& running = together.running[i];
    running.together = &together;
    running.number = i;
    running.part = &parts[i];
    running.client = Find(parts[i].label);
    CHECK(parts[i].label != 0 && IsLive(parts[i].label));
    running.commands.resize(parts[i].ops.size());
    running.performed.resize(parts[i].ops.size());
    for (uint32_t k = 0; k < parts[i].ops.size(); ++k) {
      Command& command = running.commands[k];
      command.op = parts[i].ops[k];
      CHECK(command.op.kind != OpKind::kInject && command.op.task == parts[i].label);
      const Client* target = TargetOf(command.op, running.client);
      CHECK(target != nullptr);
      command.target_task = target == running.client ? 0 : target->task;
      command.narrow = running.client->narrow;
      running.performed[k].part = i;
      running.performed[k].index = k;
    }
    running.client->command = {};
    running.client->command.program = &Machine::RunPart;
    running.client->command.argument = &running;
  }
  for (Together::Running& running : together.running)
    CHECK(kernel_.HostWake(running.client->thread));
  const fake_l4::StopReason reason = RunKernel();
  if (reason != fake_l4::StopReason::kCrashed) {
    for (uint32_t i = 0; i < parts.size(); ++i) EndPart(&together, i);
  }
  bool ended = reason != fake_l4::StopReason::kSwitches;
  for (const Together::Running& running : together.running) {
    for (const Performed& performed : running.performed) {
      ended &= performed.responded != 0 || performed.invoked == 0;
      if (performed.invoked != 0) all.push_back(performed);
    }
  }
  if (reason != fake_l4::StopReason::kCrashed && !ended) {
    stuck_ = (reason == fake_l4::StopReason::kSwitches ? "livelock\n" : "deadlock\n") +
             kernel_.DescribeDeadlock() + kernel_.DescribeWaits();
  }
  // total order: each beginning has a place of its own
  std::sort(all.begin(), all.end(),
            [](const Performed& a, const Performed& b) { return a.invoked < b.invoked; });
  return all;
}

}  // namespace machine
