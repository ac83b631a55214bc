// vmsim findings, vmsim merge: what campaigns found and came to, listed and joined.

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/findings.h"
#include "proptests/engine/summary.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/known_failures.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"

namespace tools {
namespace {

using proptests::Findings;
using proptests::KnownFailure;

constexpr const char* kFindingsEpilogue =
    "Example:\n"
    "  ./vmsim run --findings found --ops 10m\n"
    "  ./vmsim findings found\n"
    "  ./vmsim findings --replay found\n\n"
    "Exit code 0, or with --replay the class of the first one that still fails.\n";

constexpr const char* kMergeEpilogue =
    "Example:\n"
    "  ./vmsim run --shard 0/2 --ops 10m --json >0.json\n"
    "  ./vmsim run --shard 1/2 --ops 10m --json >1.json\n"
    "  ./vmsim merge 0.json 1.json\n"
    "  ./vmsim merge -o all found0 found1       directories of findings, joined into a third\n\n"
    "Counts and hash are those of the campaign run in one piece. Exit code 1 when the shards are "
    "of\n"
    "different campaigns, one is there twice, or one is missing; else the class of the first "
    "failure.\n";

Json FindingJson(const Findings& findings, const KnownFailure& known) {
  return {{"class", proptests::FailureClassName(known.print.cls)},
          {"rule", known.print.rule},
          {"place", known.place},
          {"text", known.text},
          {"ops", known.ops},
          {"seen", known.seen},
          {"fails", known.fails},
          {"origin", known.origin},
          {"trace", findings.PathOf(known)},
          {"replay", absl::StrCat("./vmsim replay", known.flags, " ", findings.PathOf(known))}};
}

void PrintList(const Findings& findings, const std::vector<KnownFailure>& list) {
  for (const KnownFailure& known : list) {
    Print(absl::StrCat(absl::StrFormat("%-6s %4dx %3d ops  ", known.fails ? "fails" : "passes",
                                       known.seen, known.ops),
                       proptests::FingerprintText(known.print), " in ", known.place,
                       "   from: ", known.origin, "\n  ./vmsim replay", known.flags, " ",
                       findings.PathOf(known), "\n"));
  }
  Print(absl::StrCat(list.size(), list.size() == 1 ? " finding\n" : " findings\n"));
}

// One part of a campaign, from a file of `vmsim run --json` or from a directory of findings.
struct Part {
  std::string campaign;
  uint64_t shard = 0;
  uint64_t shards = 1;
  bool complete = true;
  proptests::FailureClass failed = proptests::FailureClass::kNone;
  proptests::Summary summary;
};

absl::StatusOr<Part> PartOfDirectory(const std::string& path, Findings* to) {
  auto findings = Findings::Open(path, Findings::Mode::kMustExist);
  if (!findings.ok()) return findings.status();
  auto state = (*findings)->LastCampaign();
  if (!state.ok()) return state.status();
  if (!state->has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": no campaign was run there"));
  }
  auto list = (*findings)->List();
  if (!list.ok()) return list.status();
  Part part;
  part.campaign = (*state)->identity;
  part.shard = (*state)->shard;
  part.shards = (*state)->shards;
  part.complete = (*state)->complete;
  part.summary = (*state)->summary;
  for (const KnownFailure& known : *list) {
    if (known.fails && part.failed == proptests::FailureClass::kNone) part.failed = known.print.cls;
  }
  if (to == nullptr) return part;
  const auto copied = proptests::CopyFindings(**findings, to);
  if (!copied.ok()) return copied.status();
  return part;
}

absl::StatusOr<Part> PartOfFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadWhole(path);
  if (!text.ok()) return text.status();
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("summary") || !json.contains("campaign")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected what `vmsim run --json` prints"));
  }
  Part part;
  part.campaign = json["campaign"].get<std::string>();
  part.shard = json["shard"].get<uint64_t>();
  part.shards = json["shards"].get<uint64_t>();
  const std::string result = json["result"].get<std::string>();
  part.complete = result != "interrupted";
  for (int code = 1; code < 32; ++code) {
    const auto cls = static_cast<proptests::FailureClass>(code);
    if (result == proptests::FailureClassName(cls)) part.failed = cls;
  }
  absl::StatusOr<proptests::Summary> summary = proptests::SummaryOfJson(json["summary"]);
  if (!summary.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", summary.status().message()));
  part.summary = *std::move(summary);
  return part;
}

// The parts as one.
absl::StatusOr<Part> Join(const std::vector<Part>& parts, const Arguments& paths) {
  Part all = parts.front();
  std::set<uint64_t> present = {all.shard};
  for (size_t i = 1; i < parts.size(); ++i) {
    const Part& part = parts[i];
    if (part.campaign != all.campaign || part.shards != all.shards) {
      return absl::InvalidArgumentError(absl::StrCat(paths[i], ": expected a shard of \"",
                                                     all.campaign, "\", found one of \"",
                                                     part.campaign, "\""));
    }
    if (!present.insert(part.shard).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(paths[i], ": shard ", part.shard, " is there twice"));
    }
    all.summary.Add(part.summary);
    all.complete = all.complete && part.complete;
    if (all.failed == proptests::FailureClass::kNone) all.failed = part.failed;
  }
  std::vector<uint64_t> missing;
  for (uint64_t i = 0; i < all.shards; ++i) {
    if (present.count(i) == 0) missing.push_back(i);
  }
  if (!missing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("of ", all.shards, " shards there is no ", absl::StrJoin(missing, ", ")));
  }
  return all;
}

void PrintJoined(const Part& all, size_t parts) {
  proptests::RunResult result;
  result.stats = all.summary.stats;
  result.ledger = all.summary.ledger;
  const bool pass = all.failed == proptests::FailureClass::kNone;
  Print(absl::StrCat(all.campaign, "\n", OpsText(result.stats), LedgerText(result.ledger),
                     "  hash    ", HashText(all.summary.hash), "\n",
                     pass ? Green("PASS") : Red("FAIL"), " ", Grouped(all.summary.stats.ops),
                     " operations executed (", Grouped(all.summary.stats.skipped),
                     " named nothing) in ", all.summary.cases, " cases of ", parts, " shards, ",
                     all.summary.rechecked, " run twice, ", all.summary.failed, " failed",
                     all.complete ? "" : "; some shards were interrupted", "\n"));
}

Json JoinedJson(const Part& all) {
  Json json = PlainResultJson(all.summary.stats.ops, 0);
  json["result"] = proptests::FailureClassName(all.failed);
  if (!all.complete) json["result"] = "interrupted";
  json["hash"] = HashText(all.summary.hash);
  json["cases"] = all.summary.cases;
  json["campaign"] = all.campaign;
  json["shard"] = 0;
  json["shards"] = 1;
  for (const proptests::LedgerRow& row : all.summary.ledger) json["ledger"][row.name] = row.value;
  json["summary"] = proptests::SummaryJson(all.summary);
  return json;
}

}  // namespace

int FindingsCommand(const Arguments& arguments) {
  bool json_wanted = false;
  bool replay = false;
  Options options("findings", "DIR", "lists what campaigns with --findings DIR found");
  options.Switch("replay", &replay, "replay each first, and note which still fail");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kFindingsEpilogue);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&options, arguments, &operands)) return *end;
  if (operands.size() != 1) {
    return PrintError(
        absl::InvalidArgumentError("one directory is wanted; see vmsim findings --help"));
  }
  auto findings = Findings::Open(operands.front(), Findings::Mode::kMustExist);
  if (!findings.ok()) return PrintError(findings.status());
  const proptests::FailureClass cls = replay
                                          ? ReplayKnownFailures(findings->get(), Reporting::kQuiet)
                                          : proptests::FailureClass::kNone;
  auto list = (*findings)->List();
  if (!list.ok()) return PrintError(list.status());
  if (json_wanted) {
    Json json = PlainResultJson(0, 0);
    json["result"] = proptests::FailureClassName(cls);
    json["findings"] = Json::array();
    for (const KnownFailure& known : *list) {
      json["findings"].push_back(FindingJson(**findings, known));
    }
    Print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    PrintList(**findings, *list);
  }
  return static_cast<int>(cls);
}

int MergeCommand(const Arguments& arguments) {
  bool json_wanted = false;
  std::string out;
  Options options("merge", "A B ...", "joins what the shards of one campaign came to");
  options.Text("o", &out, "DIR", "a directory for the findings of all, each once");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kMergeEpilogue);
  std::vector<std::string> paths;
  if (auto end = ParseOrEnd(&options, arguments, &paths)) return *end;
  if (paths.empty()) {
    return PrintError(absl::InvalidArgumentError(
        "results or directories of findings are wanted; see vmsim merge --help"));
  }
  std::unique_ptr<Findings> to;
  if (!out.empty()) {
    auto opened = Findings::Open(out, Findings::Mode::kCreate);
    if (!opened.ok()) return PrintError(opened.status());
    to = *std::move(opened);
  }
  std::vector<Part> parts;
  for (const std::string& path : paths) {
    std::error_code error;
    absl::StatusOr<Part> part = std::filesystem::is_directory(path, error)
                                    ? PartOfDirectory(path, to.get())
                                    : PartOfFile(path);
    if (!part.ok()) return PrintError(part.status());
    parts.push_back(*std::move(part));
  }
  absl::StatusOr<Part> all = Join(parts, paths);
  if (!all.ok()) return PrintError(all.status());
  if (to != nullptr) {
    proptests::CampaignState state;
    state.identity = all->campaign;
    state.complete = all->complete;
    state.summary = all->summary;
    const absl::Status saved = to->SaveCampaign(state);
    if (!saved.ok()) return PrintError(saved);
  }
  if (json_wanted) {
    Print(JoinedJson(*all).dump(2) + "\n");
  } else {
    PrintJoined(*all, parts.size());
  }
  return static_cast<int>(all->failed);
}

}  // namespace tools
