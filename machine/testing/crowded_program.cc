#include "machine/testing/crowded_program.h"

#include <gtest/gtest.h>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "uvm/invariants.h"

namespace machine::testing {

using traces::OpKind;
using traces::Outcome;

void ExpectSound(Machine* machine) {
  EXPECT_EQ(machine->crash().value_or(""), "");
  EXPECT_EQ(machine->stuck().value_or(""), "");
  if (machine->crash().has_value()) return;
  char text[512];
  base::TextSink out(text, sizeof text);
  const char* broken = uvm::FirstViolation(&machine->uvm(), &out);
  EXPECT_EQ(broken, nullptr) << broken << ": " << text;
}

std::vector<Outcome> Play(const CrowdedProgram& program, Machine* machine) {
  constexpr uint64_t kAt = 0x10000000;
  std::vector<Outcome> outcomes;
  base::Prng prng(program.seed, program.stream);
  auto apply = [&](const traces::ResolvedOp& op) {
    machine->MeetEvent(op);
    outcomes.push_back(machine->Apply(op));
  };
  apply({.kind = OpKind::kSpace, .child = 1});
  apply({.kind = OpKind::kMmap,
         .task = 1,
         .at = kAt,
         .size = program.pages * base::kPageSize,
         .prot = base::kProtReadWrite,
         .flags = traces::kFlagPrivate | traces::kFlagFixed});
  for (int step = 0; step < program.steps; ++step) {
    const uint64_t page = prng.Below(program.pages);
    const uint64_t tag = prng.Below(250);
    const auto task = static_cast<uint32_t>(step < program.fork_at ? 1 : 1 + prng.Below(2));
    if (step == program.fork_at) apply({.kind = OpKind::kFork, .task = 1, .child = 2});
    const bool writes = prng.Chance(1, 2);
    apply({.kind = writes ? OpKind::kWrite : OpKind::kRead,
           .task = task,
           .at = kAt + page * base::kPageSize,
           .size = base::kPageSize,
           .value = tag});
    if (program.check_every != 0 && step % program.check_every == 0) ExpectSound(machine);
  }
  ExpectSound(machine);
  return outcomes;
}

}  // namespace machine::testing
