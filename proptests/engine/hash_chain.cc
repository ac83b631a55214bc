#include "proptests/engine/hash_chain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "traces/codec.h"

namespace proptests {
namespace {

// So that the host's addresses of a second machine are others than those of the first.
constexpr size_t kBallastBytes = (size_t{3} << 20) + 4096;

// Only at the end: checks are observers, so how many there are must not show.
RunOptions WithOtherChecks(RunOptions run) {
  run.whole_every = run.whole_every == 0 ? 64 : 0;
  return run;
}

std::string PartText(ChainPart part) {
  return part == ChainPart::kOutcomes ? "what programs saw differs"
                                      : "outcomes are the same, what it cost is not";
}

Failure Nondeterminism(uint64_t op_index, const std::string& text) {
  return Failure{{FailureClass::kNondeterminism, "SameSeedSameHash"}, text, op_index};
}

std::string OpText(const Session& session) {
  return session.last_was_skipped() ? "skipped" : traces::FormatResolvedOp(session.last_op());
}

// Compares with a chain while a run makes its own.
class Comparison {
 public:
  explicit Comparison(const HashChain* first) : first_(first) {}
  void Note(const Session& session) {
    const size_t at = count_++;
    if (failure_) return;
    if (at >= first_->size()) {
      failure_ = Nondeterminism(at, absl::StrCat(OpText(session), ": the first run had ended"));
      return;
    }
    const ChainLink link = LinkOf(session);
    const ChainLink& expected = (*first_)[at];
    if (link == expected) return;
    const ChainPart part =
        link.outcomes != expected.outcomes ? ChainPart::kOutcomes : ChainPart::kCosts;
    failure_ = Nondeterminism(
        at, absl::StrCat(OpText(session), ": run again, with other checks, ", PartText(part)));
  }
  std::optional<Failure> Result() const {
    if (failure_ || count_ == first_->size()) return failure_;
    return Nondeterminism(count_, "run again, the run ended earlier");
  }

 private:
  const HashChain* const first_;
  size_t count_ = 0;
  std::optional<Failure> failure_;
};

}  // namespace

ChainLink LinkOf(const Session& session) {
  ChainLink link{session.hash(), 0};
  if (session.system() == nullptr) return link;
  session.system()->ledger().ForEach(
      [&](const char*, uint64_t value) { link.costs = base::Chain(link.costs, value); });
  return link;
}

std::optional<ChainDifference> FirstDifference(const HashChain& a, const HashChain& b) {
  const size_t count = std::min(a.size(), b.size());
  for (size_t i = 0; i < count; ++i) {
    if (a[i].outcomes != b[i].outcomes) return ChainDifference{i, ChainPart::kOutcomes};
    if (a[i].costs != b[i].costs) return ChainDifference{i, ChainPart::kCosts};
  }
  if (a.size() == b.size()) return std::nullopt;
  return ChainDifference{count, ChainPart::kOutcomes};
}

CaseChain RunCaseWithChain(const CampaignOptions& options, uint64_t case_index, uint64_t count) {
  CaseChain chain;
  chain.result = RunCase(options, case_index, count,
                         [&](const Session& session) { chain.links.push_back(LinkOf(session)); });
  return chain;
}

std::optional<Failure> RunCaseAgain(const CampaignOptions& options, uint64_t case_index,
                                    uint64_t count, const HashChain& first) {
  CampaignOptions again = options;
  again.run = WithOtherChecks(again.run);
  const std::vector<char> ballast(kBallastBytes);
  Comparison comparison(&first);
  const RunResult result =
      RunCase(again, case_index, count, [&](const Session& session) { comparison.Note(session); });
  std::optional<Failure> failure = comparison.Result();
  if (failure || !result.failure) return failure;
  return Nondeterminism(
      result.failure->op_index,
      absl::StrCat("passes, but run again with other checks fails: ",
                   FingerprintText(result.failure->print), ": ", result.failure->text));
}

RunResult RunOpsTwice(const std::vector<TestOp>& ops, const std::vector<std::string>& files,
                      const RunOptions& options, std::vector<TestOp>* executed,
                      std::vector<traces::Outcome>* outcomes) {
  HashChain first;
  RunResult result = RunOpsWithHook(
      ops, files, options, [&](const Session& session) { first.push_back(LinkOf(session)); },
      executed, outcomes);
  const std::vector<char> ballast(kBallastBytes);
  Comparison comparison(&first);
  RunOpsWithHook(ops, files, WithOtherChecks(options),
                 [&](const Session& session) { comparison.Note(session); });
  result.failure = comparison.Result();
  return result;
}

void AppendChainLine(uint64_t case_index, uint64_t index, const Session& session,
                     std::string* text) {
  const ChainLink link = LinkOf(session);
  absl::StrAppend(text, case_index, " ", index,
                  absl::StrFormat(" %016x %016x ", link.outcomes, link.costs), OpText(session),
                  "\n");
}

namespace {

std::vector<absl::string_view> ChainLines(absl::string_view text) {
  std::vector<absl::string_view> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (!absl::StartsWith(line, "#")) lines.push_back(line);
  }
  return lines;
}

std::string Describe(absl::string_view line_a, absl::string_view line_b) {
  const std::vector<absl::string_view> a = absl::StrSplit(line_a, absl::MaxSplits(' ', 4));
  const std::vector<absl::string_view> b = absl::StrSplit(line_b, absl::MaxSplits(' ', 4));
  if (a.size() < 5 || b.size() < 5) {
    return absl::StrCat("expected CASE INDEX OUTCOMES COSTS OPERATION, found \"",
                        a.size() < 5 ? line_a : line_b, "\"");
  }
  const std::string place = absl::StrCat("case ", a[0], ", operation ", a[1], " (", a[4], ")");
  if (a[0] != b[0] || a[1] != b[1]) {
    return absl::StrCat(place, ": the other has case ", b[0], ", operation ", b[1]);
  }
  if (a[2] != b[2]) {
    return absl::StrCat(place, ": outcomes 0x", a[2], " and 0x", b[2],
                        a[4] == b[4] ? "" : absl::StrCat("; the other executed ", b[4]));
  }
  if (a[3] != b[3]) {
    return absl::StrCat(place, ": the same outcomes, but costs 0x", a[3], " and 0x", b[3]);
  }
  return absl::StrCat(place, ": the other executed ", b[4]);
}

}  // namespace

std::optional<std::string> FirstDifferenceOfTexts(absl::string_view a, absl::string_view b) {
  const std::vector<absl::string_view> lines_a = ChainLines(a);
  const std::vector<absl::string_view> lines_b = ChainLines(b);
  const size_t count = std::min(lines_a.size(), lines_b.size());
  for (size_t i = 0; i < count; ++i) {
    if (lines_a[i] != lines_b[i]) return Describe(lines_a[i], lines_b[i]);
  }
  if (lines_a.size() == lines_b.size()) return std::nullopt;
  return absl::StrCat("the first ", count, " operations agree, but there are ", lines_a.size(),
                      " and ", lines_b.size());
}

}  // namespace proptests
