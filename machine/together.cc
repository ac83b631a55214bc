// Several clients at work at the same time.

#include <l4/thread.h>

#include <algorithm>

#include "base/check.h"
#include "machine/machine.h"

namespace machine {

using traces::OpKind;

// What one thread needs.
struct Machine::Running {
  Together* together = nullptr;
  uint32_t number = 0;
  ClientThread* thread = nullptr;
  L4_ThreadId_t id = {0};  // its, which may be another's by the end
  const Part* part = nullptr;
  // One an operation, in order.
  std::vector<Command> commands;
  std::vector<Performed> performed;
  std::vector<unsigned char> read;
};

// Everything that the threads share. On the host's stack, which outlives the run; what the threads'
// own stacks hold owns nothing (client_program.h).
struct Machine::Together {
  uint64_t clock = 0;                                    // beginnings and ends so far
  const fake_l4::ExploringStrategy* strategy = nullptr;  // null: nobody explores
  std::vector<Running> running;

  // Whether the thread that was at `op`, which ends it, may have been ended by another of its task,
  // or of another task: then nothing says that the operation was done.
  bool EndedByAnother(const Running& mine, const traces::ResolvedOp& op, uint64_t invoked) const {
    for (const Running& other : running) {
      for (size_t i = 0; &other != &mine && i < other.commands.size(); ++i) {
        const traces::ResolvedOp& its = other.commands[i].op;
        const Performed& performed = other.performed[i];
        if (traces::ActsOn(its) != op.task || performed.invoked == 0) continue;
        const bool done = performed.responded != 0 && performed.outcome.ok();
        const bool pending = performed.responded == 0 && performed.invoked < invoked;
        if (IsDeath(its.kind) && (done || pending || op.kind == OpKind::kThreadEnd)) return true;
        if (its.kind == OpKind::kExec && done) return true;
        if (its.kind == OpKind::kThreadEnd && done && its.value == op.thread) return true;
      }
    }
    return false;
  }
};

// The program of one client thread.
void Machine::RunPart(void* running_part) {
  auto& running = *static_cast<Running*>(running_part);
  for (size_t i = 0; i < running.commands.size(); ++i) {
    Command& command = running.commands[i];
    Performed& performed = running.performed[i];
    const std::vector<bool>& goes_on = running.part->goes_on;
    if (i < goes_on.size() && goes_on[i] && !running.performed[i - 1].outcome.ok()) continue;
    performed.invoked = ++running.together->clock;
    running.read.clear();
    const fake_l4::ExploringStrategy* const strategy = running.together->strategy;
    const uint64_t first_step = strategy == nullptr ? 0 : strategy->step();
    Execute(&command, running.thread->client->personality, &running.read);
    if (strategy != nullptr) {
      const fake_l4::ExploringStrategy::LastReady ready = strategy->LastReadyOf(running.id.raw);
      const bool access = traces::FamilyOf(command.op.kind) == traces::Outcome::Family::kFault;
      performed.likely_at = std::max(first_step, access ? ready.at_all : ready.woken);
    }
    performed.outcome = command.outcome;
    performed.responded = ++running.together->clock;
  }
}

// What became of clients and threads: who was born, in that order, and who is there no more.
void Machine::EndTogether(Together* together) {
  std::vector<std::pair<Running*, size_t>> births;
  for (Running& running : together->running) {
    for (size_t i = 0; i < running.commands.size(); ++i) {
      const OpKind kind = running.commands[i].op.kind;
      const bool done = running.performed[i].responded != 0 && running.performed[i].outcome.ok();
      // A thread's number may have been another's before, and be another's again.
      const bool thread = kind == OpKind::kThreadCreate && Exists(running.commands[i].child_thread);
      if (done && (IsBirth(kind) || thread)) births.push_back({&running, i});
    }
  }
  // total order: each end has a place of its own
  std::sort(births.begin(), births.end(), [](const auto& a, const auto& b) {
    return a.first->performed[a.second].responded < b.first->performed[b.second].responded;
  });
  for (const auto& [running, i] : births) Follow(running->thread, running->commands[i]);
  for (const auto& [label, client] : clients_) {
    if (label != 0 && client->First() != nullptr) BuryTheDead(client.get());
  }
  for (Running& running : together->running) EndPart(together, &running);
}

void Machine::BuryTheDead(Client* client) {
  for (ClientThread& thread : client->threads) {
    if (thread.exists() && !Exists(thread.id)) BuryThread(&thread);
  }
  if (client->First() == nullptr) --live_count_;
}

// The operation that a thread was at when it came to its end: its own death, which succeeded then,
// or one that somebody else cut short. Of several that may have ended a task, the one that began
// first is said to have done it: nobody can tell.
void Machine::EndPart(Together* together, Running* running) {
  for (size_t i = 0; i < running->commands.size(); ++i) {
    Performed& performed = running->performed[i];
    if (performed.invoked == 0 || performed.responded != 0 || Exists(running->id)) continue;
    performed.cut_short = true;
    const traces::ResolvedOp& op = running->commands[i].op;
    if (IsDeath(op.kind) && running->thread->client->First() != nullptr) continue;
    if (!MayBeLast(op) || together->EndedByAnother(*running, op, performed.invoked)) continue;
    performed.cut_short = false;
    performed.outcome.family = traces::FamilyOf(op.kind);
    performed.responded = ++together->clock;
  }
}

std::vector<Performed> Machine::ApplyTogether(const std::vector<Part>& parts) {
  std::vector<Performed> all;
  if (stuck_.has_value() || !kernel_.crash_text().empty()) return all;
  Together together;
  together.strategy = strategy_;
  together.running.resize(parts.size());
  for (uint32_t i = 0; i < parts.size(); ++i) {
    Running& running = together.running[i];
    running.together = &together;
    running.number = i;
    running.part = &parts[i];
    CHECK(parts[i].label != 0 && IsLive(parts[i].label));
    Client* const client = Find(parts[i].label);
    running.thread = &client->threads[parts[i].thread];
    CHECK(running.thread->exists());
    running.id = running.thread->id;
    running.commands.resize(parts[i].ops.size());
    running.performed.resize(parts[i].ops.size());
    for (uint32_t k = 0; k < parts[i].ops.size(); ++k) {
      Command& command = running.commands[k];
      command.op = parts[i].ops[k];
      CHECK(command.op.kind != OpKind::kInject && command.op.task == parts[i].label &&
            command.op.thread == parts[i].thread);
      const Client* target = TargetOf(command.op, client);
      CHECK(target != nullptr);
      command.target_task = target == client ? 0 : target->task;
      command.narrow = client->narrow;
      running.performed[k].part = i;
      running.performed[k].index = k;
    }
    running.thread->command = {};
    running.thread->command.program = &Machine::RunPart;
    running.thread->command.argument = &running;
  }
  for (Running& running : together.running) CHECK(kernel_.HostWake(running.thread->id));
  const fake_l4::StopReason reason = RunKernel();
  if (reason != fake_l4::StopReason::kCrashed) EndTogether(&together);
  bool ended = reason != fake_l4::StopReason::kSwitches;
  for (const Running& running : together.running) {
    for (const Performed& performed : running.performed) {
      ended &= performed.responded != 0 || performed.invoked == 0 || performed.cut_short;
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
