// proptests/engine/generator.h: random operations, each a pure function of (seed, case, index).
//
// WHAT     A campaign is a sequence of cases; a case has its own swarm (which kinds of operation
//          occur, and how often) and its own machine. Operation i of a case is drawn from a stream
//          of its own, so leaving one out changes no other. Operands are relative (design D9);
//          sizes lean to few pages, odd alignments and the edges of the map.
// INVARIANTS  Draw(i) never depends on what was drawn before. Operation 0 makes a task.
// SEE      facts/verification.md 3.2 (swarm testing); design.md D4, D9.

#ifndef PROPTESTS_ENGINE_GENERATOR_H_
#define PROPTESTS_ENGINE_GENERATOR_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "proptests/engine/fault_rates.h"
#include "traces/op.h"

namespace proptests {

// How often each kind of operation occurs: weight / sum of weights. 0 = never.
struct Swarm {
  std::array<uint32_t, traces::kProgramKindCount> weight = {};
  friend bool operator==(const Swarm&, const Swarm&) = default;
};

// The weights when no swarm narrows them: every kind but the calls about swap occurs.
Swarm StandardMix();
// A random subset of the kinds of `mix` with random weights, for case `case_index` of `seed`. Some
// kind that maps memory and, if they are in it, `read` and `write` remain, since nothing happens
// without.
Swarm DrawSwarm(uint64_t seed, uint64_t case_index, const Swarm& mix = StandardMix());
// The calls about swap with them, as seldom as they are.
Swarm WithSwapCalls(Swarm swarm);
// The same with the calls that make and end threads.
Swarm WithThreadCalls(Swarm swarm);
// "mmap 12, write 40; never: fork, exec".
std::string SwarmText(const Swarm& swarm);

struct GenOptions {
  uint64_t seed = 1;
  uint64_t case_index = 0;
  // Tasks that live at once, at most. Births beyond it and the death of the last task are skipped
  // by the run.
  uint32_t tasks = 8;
  // Most maps of a case have about as many pages, and lengths stay below.
  uint32_t pages = 64;
  // Distinct files that mmap may name: "f1", "f2" ... At least 1. The names of memory files,
  // segments and devices come after them.
  uint32_t files = 2;
  // Swap devices of the machine, which calls name, and one that there is not. 0: no such calls.
  uint32_t swap_devices = 0;
  // Threads of a task among which who acts is drawn, at most traces::kMaxThreads. 1: it is the
  // first that the task has.
  uint32_t threads = 1;
  Swarm swarm = StandardMix();
  FaultRates faults;
};

class Generator {
 public:
  explicit Generator(const GenOptions& options);
  // The index-th operation. `child` labels are index + 1, so index < traces::kMaxLabel.
  traces::Op Draw(uint64_t index) const;
  // The faults injected right before the index-th operation, from the stream "faults".
  std::vector<traces::Op> DrawFaults(uint64_t index) const;
  // The names that Op::file counts from 1.
  const std::vector<std::string>& files() const { return files_; }

 private:
  traces::OpKind DrawKind(base::Prng* prng) const;
  void DrawOperands(base::Prng* prng, traces::Op* op) const;
  void DrawBirth(base::Prng* prng, traces::Op* op) const;
  void DrawMapping(base::Prng* prng, traces::Op* op) const;
  void DrawNamed(base::Prng* prng, traces::Op* op) const;
  void DrawMemfd(base::Prng* prng, traces::Op* op) const;
  void DrawSegment(base::Prng* prng, traces::Op* op) const;
  uint32_t DrawName(base::Prng* prng, size_t first, size_t count) const;
  void DrawRange(base::Prng* prng, traces::Op* op) const;
  void DrawRemap(base::Prng* prng, traces::Op* op) const;
  void DrawAccess(base::Prng* prng, traces::Op* op) const;
  void DrawHeap(base::Prng* prng, traces::Op* op) const;
  void DrawEnd(base::Prng* prng, traces::Op* op) const;
  void DrawSwap(base::Prng* prng, traces::Op* op) const;
  void DrawThread(uint64_t index, traces::Op* op) const;
  void DrawWishes(uint64_t index, traces::Op* op) const;
  void DrawMove(base::Prng* prng, traces::Op* op) const;
  void DrawCopy(base::Prng* prng, traces::Op* op) const;
  void DrawTarget(base::Prng* prng, traces::Op* op) const;
  traces::Place DrawPlace(base::Prng* prng) const;
  traces::Place DrawFreePlace(base::Prng* prng) const;
  uint64_t DrawEdge(base::Prng* prng) const;
  uint64_t DrawMask(base::Prng* prng) const;
  uint64_t DrawSize(base::Prng* prng) const;
  uint64_t DrawPages(base::Prng* prng) const;

  GenOptions options_;
  uint64_t op_stream_;
  uint64_t wish_stream_;
  bool any_faults_ = false;
  std::array<uint32_t, traces::kProgramKindCount> upto_ = {};  // running sums of the weights
  std::vector<std::string> files_;
};

// `count` operations of one case, for the shrinker.
std::vector<traces::Op> DrawOps(const Generator& generator, uint64_t count);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_GENERATOR_H_
