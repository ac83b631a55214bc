// vmsim run: a random differential campaign.

#include "proptests/engine/run.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "machine/machine.h"
#include "proptests/engine/findings.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/hash_chain.h"
#include "proptests/engine/machine_swarm.h"
#include "proptests/engine/mix.h"
#include "proptests/engine/probes.h"
#include "proptests/engine/summary.h"
#include "proptests/engine/workers.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/known_failures.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"
#include "tools/run_flags.h"
#include "traces/codec.h"

namespace tools {
namespace {

using proptests::CampaignOptions;
using proptests::CaseRecord;
using proptests::FailureClass;
using proptests::Findings;
using proptests::Summary;

// As shells report what SIGINT ended.
constexpr int kExitInterrupted = 130;
// A bug that is met all the time is made small so often; later meetings only count.
constexpr uint64_t kDiagnosesOfARule = 4;
// A campaign that found so many different things has done its work.
constexpr uint64_t kMostFindings = 32;
constexpr double kSecondsBetweenSaves = 5;

volatile std::sig_atomic_t interrupted = 0;

// From now on an interrupt asks for the summary; the second one ends the program at once.
void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
}

// What a campaign came to.
struct Outcome {
  Summary summary;
  std::optional<CaseRecord> failing;         // the first one
  uint64_t fresh = 0;                        // findings that DIR did not know
  FailureClass known = FailureClass::kNone;  // of what DIR held already, the first that still fails
  bool interrupted = false;
  double seconds = 0;
};

// Of kinds of operation and cases of faults, how many were met.
std::string CoverageText(const Summary& summary) {
  uint64_t kinds = 0;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    kinds += summary.stats.by_kind[static_cast<size_t>(i)] != 0 ? 1 : 0;
  }
  const auto rows = static_cast<uint64_t>(
      std::count_if(summary.ledger.begin(), summary.ledger.end(),
                    [](const proptests::LedgerRow& row) { return row.value != 0; }));
  return absl::StrCat(", ", kinds, " of ", traces::kProgramKindCount, " kinds, ", rows, " of ",
                      summary.ledger.size(), " costs");
}

// All that was drawn for a case.
std::string ConfigurationText(const CampaignOptions& options, uint64_t number) {
  const proptests::GenOptions drawn = proptests::CaseOptions(options, number);
  return absl::StrCat(
      "  ", drawn.threads == 1 ? "" : absl::StrCat("threads of a task: ", drawn.threads, "\n  "),
      "machine: ", proptests::MachineText(proptests::CaseRunOptions(options, number), drawn.faults),
      "\n  mix: ", proptests::SwarmText(drawn.swarm), "\n");
}

std::string CaseLine(const CaseRecord& record) {
  return absl::StrCat(
      "case ", record.number, ": ",
      record.result.failure ? proptests::FingerprintText(record.result.failure->print) : "pass",
      ", ", record.result.stats.ops, " operations, hash ", HashText(record.result.hash),
      record.rechecked ? ", run twice" : "", "\n");
}

// `directory`, if not empty, ends with a slash and gets the trace.
Diagnosis DiagnoseCase(const RunFlags& flags, const CampaignOptions& options,
                       const CaseRecord& record, const std::string& directory) {
  const proptests::Failure& failure = *record.result.failure;
  proptests::Generator generator(proptests::CaseOptions(options, record.number));
  proptests::RunOptions run = proptests::CaseRunOptions(options, record.number);
  proptests::CampaignResult result;
  result.run.failure = failure;
  result.run.drawn = record.drawn;
  result.run.converging = record.result.converging;
  result.failing_case = record.number;
  DiagnosisOptions how{absl::StrCat("seed ", flags.seed, ", case ", record.number), flags.save,
                       flags.machine};
  how.limits.seconds = static_cast<double>(flags.timeout);
  how.limits.bytes = flags.megabytes << 20;
  how.guarded = flags.jobs != 0;
  how.directory = directory;
  return Diagnose(proptests::OpsOfFailure(options, result), generator.files(), run, failure, how);
}

// A campaign under way: what DIR remembers, what cases come to, what is found.
class Running {
 public:
  Running(const RunFlags& flags, const Arguments& arguments, const CampaignOptions& options,
          Shard shard, Findings* findings)
      : flags_(flags),
        options_(options),
        shard_(shard),
        findings_(findings),
        progress_("run", (flags.ops + shard.count - 1) / shard.count) {
    state_.arguments = arguments;
    state_.identity = CampaignText(flags, options);
    state_.shard = shard.index;
    state_.shards = shard.count;
    state_.next_case = options.first_case;
  }

  // REQUIRES: `state` is of this campaign.
  void GoOnFrom(const proptests::CampaignState& state) { state_ = state; }

  Outcome Run() {
    proptests::WorkerOptions how;
    how.jobs = static_cast<uint32_t>(flags_.jobs);
    how.limits.seconds = static_cast<double>(flags_.timeout);
    how.limits.bytes = flags_.megabytes << 20;
    how.recheck_one_in = flags_.recheck;
    next_ = state_.next_case;
    proptests::CampaignHooks hooks;
    hooks.next = [this] { return Next(); };
    hooks.done = [this](const CaseRecord& record) { return Done(record); };
    hooks.tick = [this](const proptests::CampaignProgress& at) {
      progress_.Show(at.ops, CoverageText(state_.summary));
      if (findings_ != nullptr && saved_.Seconds() > kSecondsBetweenSaves) Save();
      return interrupted == 0;
    };
    const Stopwatch watch;
    const proptests::CampaignEnd end = proptests::RunCases(options_, how, hooks);
    std::signal(SIGINT, SIG_DFL);
    outcome_.seconds = watch.Seconds();
    outcome_.interrupted = interrupted != 0 && end == proptests::CampaignEnd::kEnough;
    progress_.Clear();
    state_.complete = end == proptests::CampaignEnd::kAllDone;
    if (findings_ != nullptr) Save();
    outcome_.summary = state_.summary;
    return std::move(outcome_);
  }

  // Where to go on after an interrupt; empty: that could not be written.
  std::string PlaceToGoOn() {
    if (findings_ != nullptr) return findings_->directory();
    std::string path = absl::StrCat("interrupted_seed", flags_.seed);
    for (int i = 2; access(path.c_str(), F_OK) == 0; ++i) {
      path = absl::StrCat("interrupted_seed", flags_.seed, "_", i);
    }
    auto made = Findings::Open(path, Findings::Mode::kCreate);
    return made.ok() && (*made)->SaveCampaign(state_).ok() ? path : "";
  }

 private:
  // The next case of this shard. Case n has the operations from n * case_ops on.
  std::optional<proptests::CaseTask> Next() {
    for (;; ++next_) {
      const uint64_t given = (next_ - options_.first_case) * options_.case_ops;
      if (given >= options_.ops) return std::nullopt;
      if (next_ % shard_.count != shard_.index) continue;
      Announce(next_, options_.ops <= options_.case_ops ? Cases::kOne : Cases::kMany);
      return proptests::CaseTask{next_++, std::min(options_.case_ops, options_.ops - given)};
    }
  }

  enum class Cases : uint8_t { kOne, kMany };

  // What was drawn for a case, before it runs: whatever ends this process shows it. Of many cases
  // only where that is asked for, or nobody would be left to say what a crash met.
  void Announce(uint64_t number, Cases cases) const {
    if (flags_.json || (!flags_.verbose && flags_.jobs != 0 && cases == Cases::kMany)) return;
    Print(absl::StrCat("case ", number, ":\n", ConfigurationText(options_, number)));
    std::fflush(stdout);
  }

  bool Done(const CaseRecord& record) {
    state_.summary.Add(record);
    state_.next_case = record.number + 1;
    if (flags_.verbose && !flags_.json) Print(CaseLine(record));
    if (!record.result.failure) return interrupted == 0;
    if (!outcome_.failing) outcome_.failing = record;
    if (findings_ == nullptr) return false;
    Keep(record);
    return interrupted == 0 && outcome_.fresh < kMostFindings;
  }

  // Makes a failure small and keeps it, unless its like has been seen often enough.
  void Keep(const CaseRecord& record) {
    const std::string rule = proptests::FingerprintText(record.result.failure->print);
    if (++diagnosed_[rule] > kDiagnosesOfARule) return;
    progress_.Clear();
    const Diagnosis diagnosis =
        DiagnoseCase(flags_, options_, record, findings_->directory() + "/");
    proptests::KnownFailure found = KnownFailureOf(diagnosis);
    absl::StatusOr<bool> fresh = findings_->Add(found);
    if (!fresh.ok()) {
      PrintError(fresh.status());
      return;
    }
    if (!*fresh) {
      std::error_code ignored;
      std::filesystem::remove(diagnosis.path, ignored);
      return;
    }
    ++outcome_.fresh;
    if (!flags_.json) {
      Print(absl::StrCat(Red("FOUND"), " ", rule, " in case ", record.number, ", shrunk to ",
                         found.ops, " operations: ", diagnosis.path, "\n"));
    }
  }

  void Save() {
    const absl::Status status = findings_->SaveCampaign(state_);
    if (!status.ok()) PrintError(status);
    saved_ = Stopwatch();
  }

  const RunFlags& flags_;
  const CampaignOptions& options_;
  const Shard shard_;
  Findings* const findings_;
  ProgressLine progress_;
  Stopwatch saved_;
  proptests::CampaignState state_;
  uint64_t next_ = 0;
  std::map<std::string, uint64_t> diagnosed_;  // by fingerprint
  Outcome outcome_;
};

proptests::RunResult ResultOf(const Outcome& outcome) {
  proptests::RunResult result;
  result.stats = outcome.summary.stats;
  result.ledger = outcome.summary.ledger;
  result.hash = outcome.summary.hash;
  result.cases = outcome.summary.cases;
  if (outcome.failing) result.failure = outcome.failing->result.failure;
  return result;
}

std::string ShapeText(const proptests::Shape& shape) {
  if (shape.samples == 0) return "";
  const auto mean = [&](uint64_t sum) {
    return static_cast<double>(sum) / static_cast<double>(shape.samples);
  };
  return absl::StrFormat("  mean    %.1f tasks alive, %.0f pages mapped, %.0f with contents\n",
                         mean(shape.tasks), mean(shape.mapped_pages), mean(shape.live_pages));
}

void PrintPass(const Outcome& outcome, const std::string& verdict) {
  const proptests::RunStats& stats = outcome.summary.stats;
  const auto rate = static_cast<uint64_t>(static_cast<double>(stats.ops) / outcome.seconds);
  Print(absl::StrCat(verdict, " ", Grouped(stats.ops), " operations executed (",
                     Grouped(stats.skipped), " named nothing) in ", outcome.summary.cases,
                     " cases, ", absl::StrFormat("%.2f s, ", outcome.seconds), Grouped(rate),
                     " a second\n"));
}

void PrintSummary(const RunFlags& flags, const CampaignOptions& options, const Outcome& outcome,
                  const Shard& shard, Json* json) {
  const proptests::RunResult result = ResultOf(outcome);
  if (flags.json) {
    *json = ResultJson(result, options.run, outcome.seconds);
    (*json)["seed"] = flags.seed;
    (*json)["cases"] = result.cases;
    (*json)["rechecked"] = outcome.summary.rechecked;
    (*json)["campaign"] = CampaignText(flags, options);
    (*json)["shard"] = shard.index;
    (*json)["shards"] = shard.count;
    (*json)["summary"] = proptests::SummaryJson(outcome.summary);
    if (outcome.known != FailureClass::kNone && !outcome.failing) {
      (*json)["result"] = proptests::FailureClassName(outcome.known);
    }
    if (outcome.interrupted) (*json)["result"] = "interrupted";
    return;
  }
  Print(absl::StrCat(OpsText(result.stats), LedgerText(result.ledger),
                     LanesText(options.run, result.stats), ShapeText(outcome.summary.shape),
                     proptests::ProbesText(result.stats, flags.probes ? proptests::EachProbe::kYes
                                                                      : proptests::EachProbe::kNo),
                     "  twice   ", outcome.summary.rechecked,
                     " cases ran twice, with other checks, and did the same\n  hash    ",
                     HashText(result.hash), "\n"));
}

// The verdict of a campaign without a first failure to show in full.
int FinishPlain(const RunFlags& flags, const Outcome& outcome, const std::string& place,
                Json json) {
  const FailureClass cls =
      outcome.failing ? outcome.failing->result.failure->print.cls : outcome.known;
  if (flags.json) {
    if (outcome.interrupted && !place.empty()) json["resume"] = place;
    json["findings"] = outcome.fresh;
    Print(json.dump(2) + "\n");
  } else {
    const bool pass = cls == FailureClass::kNone;
    PrintPass(outcome,
              outcome.interrupted ? Red("INTERRUPTED") : (pass ? Green("PASS") : Red("FAIL")));
    if (!flags.findings.empty()) {
      Print(absl::StrCat("  ", outcome.summary.failed, " cases failed, ", outcome.fresh,
                         " new findings; ./vmsim findings ", flags.findings, " lists them\n"));
    }
    if (outcome.interrupted && !place.empty()) {
      Print(absl::StrCat("To go on:\n  ./vmsim run --resume ", place, "\n"));
    }
  }
  return outcome.interrupted ? kExitInterrupted : static_cast<int>(cls);
}

int FinishFailure(const RunFlags& flags, const CampaignOptions& options, const Outcome& outcome,
                  Json json) {
  const proptests::Failure& failure = *outcome.failing->result.failure;
  const uint64_t number = outcome.failing->number;
  const Diagnosis diagnosis = DiagnoseCase(flags, options, *outcome.failing, "");
  if (flags.json) {
    json["failure"] = DiagnosisJson(diagnosis);
    json["failure"]["case"] = number;
    json["failure"]["case_command"] = CaseCommand(flags, number);
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(Red("FAIL"), " ", proptests::FingerprintText(failure.print),
                       " at operation ", failure.op_index + 1, " of case ", number, "\n",
                       ConfigurationText(options, number), DiagnosisText(diagnosis),
                       "The whole case again:\n  ", CaseCommand(flags, number), "\n"));
  }
  return static_cast<int>(failure.print.cls);
}

// Runs every case in this process and writes its chain.
absl::Status WriteChain(const RunFlags& flags, const CampaignOptions& options) {
  std::string text = absl::StrCat("# CASE INDEX OUTCOMES COSTS OPERATION of seed ", flags.seed,
                                  ", ", flags.ops, " operations\n");
  uint64_t done = 0;
  for (uint64_t number = options.first_case; done < options.ops; ++number) {
    const uint64_t count = std::min(options.case_ops, options.ops - done);
    uint64_t index = 0;
    proptests::RunCase(options, number, count, [&](const proptests::Session& session) {
      proptests::AppendChainLine(number, index++, session, &text);
    });
    done += count;
  }
  return WriteWhole(flags.chain, text);
}

// Opens what --findings or --resume names. With --resume the stored arguments come first, those of
// this command after them.
absl::Status Prepare(const Arguments& arguments, RunFlags* flags, proptests::Mix* mix,
                     std::unique_ptr<Findings>* findings,
                     std::optional<proptests::CampaignState>* state) {
  if (flags->resume.empty() && flags->findings.empty()) return absl::OkStatus();
  const bool resumes = !flags->resume.empty();
  const std::string directory = resumes ? flags->resume : flags->findings;
  auto opened =
      Findings::Open(directory, resumes ? Findings::Mode::kMustExist : Findings::Mode::kCreate);
  if (!opened.ok()) return opened.status();
  *findings = *std::move(opened);
  if (!resumes) return absl::OkStatus();
  auto last = (*findings)->LastCampaign();
  if (!last.ok()) return last.status();
  if (!last->has_value() || (*last)->complete) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": expected an interrupted campaign, found ",
                     last->has_value() ? "one that is complete" : "none"));
  }
  RunFlags again;
  Options parser("run", "", "");
  DeclareRunFlags(&parser, &again);
  Arguments all = (*last)->arguments;
  all.insert(all.end(), arguments.begin(), arguments.end());
  const auto operands = parser.Parse(all);
  if (!operands.ok()) return operands.status();
  const absl::Status settled = Settle(parser, &again, mix);
  if (!settled.ok()) return settled;
  again.findings = directory;
  *flags = again;
  *state = std::move(*last);
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const Arguments& arguments) {
  RunFlags flags;
  Options parser("run", "", "random operations on random tasks, system against model");
  DeclareRunFlags(&parser, &flags);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&parser, arguments, &operands)) return *end;
  if (!operands.empty()) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("\"", operands.front(), "\" is not an option; `vmsim run` takes no files")));
  }
  proptests::Mix mix;
  const absl::Status settled = Settle(parser, &flags, &mix);
  if (!settled.ok()) return PrintError(settled);
  absl::StatusOr<CampaignOptions> options = CampaignOf(flags, mix);
  if (!options.ok()) return PrintError(options.status());
  CatchInterrupts();
  std::unique_ptr<Findings> findings;
  std::optional<proptests::CampaignState> state;
  const absl::Status status = Prepare(arguments, &flags, &mix, &findings, &state);
  if (!status.ok()) return PrintError(status);
  if (state) options = CampaignOf(flags, mix);
  absl::StatusOr<Shard> shard = ParseShard(flags.shard);
  if (!shard.ok()) return PrintError(shard.status());
  if (!flags.chain.empty()) {
    const absl::Status written = WriteChain(flags, *options);
    return written.ok() ? kExitPass : PrintError(written);
  }
  if (state && state->identity != CampaignText(flags, *options)) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat(flags.findings, ": expected the options of the interrupted campaign (",
                     state->identity, ")")));
  }
  if (!flags.json) {
    Print(absl::StrCat(CampaignText(flags, *options),
                       shard->count == 1 ? "" : absl::StrCat(", shard ", flags.shard), "\n"));
  }
  FailureClass known = FailureClass::kNone;
  if (findings != nullptr)
    known = ReplayKnownFailures(findings.get(), flags.json ? Reporting::kQuiet : Reporting::kLoud);
  Running running(flags, state ? state->arguments : arguments, *options, *shard, findings.get());
  if (state) running.GoOnFrom(*state);
  Outcome outcome = running.Run();
  outcome.known = known;
  Json json;
  PrintSummary(flags, *options, outcome, *shard, &json);
  if (outcome.failing && findings == nullptr) {
    return FinishFailure(flags, *options, outcome, std::move(json));
  }
  return FinishPlain(flags, outcome, outcome.interrupted ? running.PlaceToGoOn() : "",
                     std::move(json));
}

}  // namespace tools
