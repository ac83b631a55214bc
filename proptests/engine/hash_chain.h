// proptests/engine/hash_chain.h: what a run did and what it cost, one link an operation, so that
//                                two runs that should be the same can be told apart at the first
//                                operation where they are not.
//
// WHAT     A link is the hash of the operations and outcomes so far, and the hash of all of the
//          machine's counters so far, virtual time included. A case is re-run with another machine
//          in other memory and with other checks; both parts of every link must be equal. A chain
//          has a text form, one line an operation, that `vmsim run --chain` writes and `vmsim
//          diff` compares, so builds of other compilers can be compared, too.
// SEE      design.md D4; facts/verification.md 1.2 (unseed), 1.4 (first divergent draw).

#ifndef PROPTESTS_ENGINE_HASH_CHAIN_H_
#define PROPTESTS_ENGINE_HASH_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "proptests/engine/shrinker.h"

namespace proptests {

struct ChainLink {
  uint64_t outcomes = 0;  // Session::hash()
  uint64_t costs = 0;     // of the ledger; 0 without lane uvm
  friend bool operator==(const ChainLink&, const ChainLink&) = default;
};
using HashChain = std::vector<ChainLink>;

// After the operation just executed.
ChainLink LinkOf(const Session& session);

// Whether what is compared are what programs saw or only what it cost.
enum class ChainPart : uint8_t { kOutcomes, kCosts };
struct ChainDifference {
  size_t link = 0;  // the first one that differs, or that only one chain has
  ChainPart part = ChainPart::kOutcomes;
};
std::optional<ChainDifference> FirstDifference(const HashChain& a, const HashChain& b);

struct CaseChain {
  HashChain links;
  RunResult result;
};
// RunCase, with its links.
CaseChain RunCaseWithChain(const CampaignOptions& options, uint64_t case_index, uint64_t count);

// Runs the case again, with no checks but those of the end, and compares. The failure, if any, has
// class nondeterminism and rule SameSeedSameHash. REQUIRES: `first` passed.
std::optional<Failure> RunCaseAgain(const CampaignOptions& options, uint64_t case_index,
                                    uint64_t count, const HashChain& first);

// An OpsRunner for the shrinker: runs the operations twice in the same way. A run that fails by
// itself passes here.
RunResult RunOpsTwice(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                      const RunOptions& options, std::vector<TestOp>* executed,
                      std::vector<traces::Outcome>* outcomes);

// The text form. A line is `CASE INDEX OUTCOMES COSTS OPERATION`; lines that start with # are not
// compared. `AppendChainLine` adds the line of the operation just executed.
void AppendChainLine(uint64_t case_index, uint64_t index, const Session& session,
                     std::string* text);
// Null: the texts agree. Else what differs first, in words: "case 3, operation 17 (s1.mmap ...):
// outcomes 0x1 and 0x2".
std::optional<std::string> FirstDifferenceOfTexts(absl::string_view a, absl::string_view b);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_HASH_CHAIN_H_
