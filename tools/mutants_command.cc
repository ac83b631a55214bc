// vmsim mutants: how many deliberate bugs the harness notices, how fast, and by which rule.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/failure.h"
#include "proptests/engine/mutant_file.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/judge_pool.h"
#include "tools/mechanical.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"

namespace tools {
namespace {

using proptests::Mutant;

constexpr const char* kLists = "proptests/mutants";

constexpr const char* kEpilogue =
    "A mutant is one deliberate bug, kept as data: JSON entries with id, file, find, replace,\n"
    "breaks (what goes wrong) and rule (who should notice). All are built into one program and\n"
    "chosen at run time; each is judged in processes of its own, by random campaigns of several\n"
    "kinds and, for the kernel and the model, by test programs and recordings. A failing run is\n"
    "shrunk, and the shrunk trace must fail with the mutant and pass without. The program without\n"
    "a mutant, and mutants that change nothing, must pass.\n"
    "proptests/mutants/README.md has the format of --file.\n"
    "--mechanical: small bugs made by rule in every file of the system (a moved boundary, another\n"
    "operator, a call less); first all lanes run once to see which ones they reach. There are\n"
    "thousands: --sample judges some of those reached, --state keeps what is known for later "
    "runs.\n\n"
    "Exit code 17 when a mutant survived or a control failed.\n\n"
    "Examples:\n"
    "  ./vmsim mutants\n"
    "  ./vmsim mutants --id fork_shares_needs_copy,unmap_keeps_alias --seconds 10\n"
    "  ./vmsim mutants --file mine.json --json\n"
    "  ./vmsim mutants --mechanical --sample 200 --under uvm/ --state /tmp/mechanical\n"
    "  ./vmsim mutants --list\n";

struct MutantsFlags {
  std::string ids;
  std::string file;
  std::string save;
  uint64_t seconds = 60;
  uint64_t seed = 1;
  uint64_t jobs = 1;
  bool mechanical = false;
  uint64_t sample = 0;
  std::string under;
  std::string state;
  bool list = false;
  bool json = false;
};

void Declare(Options* options, MutantsFlags* flags) {
  options->Text("id", &flags->ids, "ID,...", "only these; \"none\" is the program as it is");
  options->Text("file", &flags->file, "FILE", "the mutants of this file instead of our own");
  options->Number("seconds", &flags->seconds, 1, 86400, "most that one mutant gets");
  options->Number("seed", &flags->seed, 0, ~uint64_t{0}, "of the campaigns");
  options->Number("jobs", &flags->jobs, 1, 256, "mutants judged at a time");
  options->Text("save", &flags->save, "DIR", "write each mutant's shrunk trace there");
  options->Switch("mechanical", &flags->mechanical, "mutants made by rule");
  options->Number("sample", &flags->sample, 0, 1000000, "of those; 0: all");
  options->Text("under", &flags->under, "PREFIX", "of those: only files whose path begins so");
  options->Text("state", &flags->state, "DIR", "of those: what is known; written, and read again");
  options->Switch("list", &flags->list, "build and run nothing: list the mutants");
  options->Switch("json", &flags->json, "one JSON object on standard output");
  options->Epilogue(kEpilogue);
}

// A mutant with what became of it.
struct Entry {
  Mutant mutant;
  bool killed = false;
  bool confirmed = false;
  bool minimal = false;
  bool by_rule = false;  // the rule that was named noticed
  double seconds = 0;
  uint64_t ops = 0;
  std::string lane;
  std::string rule;
  std::string text;
  std::string trace;
  bool control() const { return mutant.DoesNothing(); }  // `none` too: both texts are empty
  // Killed or not, as it should be.
  bool good() const { return control() ? !killed : killed || !mutant.equivalent.empty(); }
};

class Campaign {
 public:
  explicit Campaign(const MutantsFlags& flags) : flags_(flags), work_("mutants") {}

  absl::Status Load();
  void List() const;
  absl::Status Build();
  // Judges all. A line each as they end.
  absl::Status Run();
  int Finish(double seconds) const;

 private:
  absl::StatusOr<std::vector<std::string>> ListPaths() const;
  Words JudgeOf(const Entry& entry) const;
  absl::Status Apply(const Json& json, Entry* judged) const;
  std::string LineOf(const Entry& entry) const;
  std::string Summary(double seconds) const;
  Json SummaryJson(double seconds) const;

  const MutantsFlags& flags_;
  WorkDirectory work_;
  std::vector<std::string> paths_;  // of the lists, in the order of the build
  std::vector<Entry> entries_;
  std::string judge_;
  double build_seconds_ = 0;
};

absl::StatusOr<std::vector<std::string>> Campaign::ListPaths() const {
  if (!flags_.file.empty()) return std::vector<std::string>{flags_.file};
  std::vector<std::string> paths;
  std::error_code error;
  const std::string directory = absl::StrCat(SourceRoot(), "/", kLists);
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().filename() == "explained.json") continue;  // mechanical ones
    if (entry.path().extension() == ".json") paths.push_back(entry.path().string());
  }
  if (error || paths.empty()) {
    return absl::NotFoundError(absl::StrCat(directory, ": expected mutant files, found none"));
  }
  // As Bazel's glob sorts them: by name.
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::Status Campaign::Load() {
  absl::StatusOr<std::vector<std::string>> paths = ListPaths();
  if (!paths.ok()) return paths.status();
  paths_ = *std::move(paths);
  std::vector<std::vector<Mutant>> lists;
  for (const std::string& path : paths_) {
    absl::StatusOr<std::string> text = ReadWhole(path);
    if (!text.ok()) return text.status();
    absl::StatusOr<std::vector<Mutant>> list = proptests::ParseMutants(*text, path);
    if (!list.ok()) return list.status();
    lists.push_back(*std::move(list));
  }
  absl::StatusOr<std::vector<Mutant>> all = proptests::JoinMutants(lists);
  if (!all.ok()) return all.status();
  std::set<std::string> wanted;
  for (absl::string_view id : absl::StrSplit(flags_.ids, ',', absl::SkipEmpty())) {
    wanted.emplace(id);
  }
  Mutant none;
  none.id = "none";
  none.breaks = "nothing: the program as it is";
  if (wanted.empty() || wanted.erase("none") != 0) entries_.emplace_back().mutant = none;
  const bool every = flags_.ids.empty();
  for (const Mutant& mutant : *all) {
    if (every || wanted.erase(mutant.id) != 0) entries_.emplace_back().mutant = mutant;
  }
  if (wanted.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("there is no mutant \"", *wanted.begin(),
                                          "\"; vmsim mutants --list shows those there are"));
}

void Campaign::List() const {
  for (const Entry& entry : entries_) {
    Print(absl::StrCat(entry.mutant.id, "  ", entry.mutant.file, "\n    ", entry.mutant.breaks,
                       entry.mutant.rule.empty() ? "" : absl::StrCat(" (", entry.mutant.rule, ")"),
                       entry.mutant.equivalent.empty()
                           ? ""
                           : absl::StrCat("\n    equivalent: ", entry.mutant.equivalent),
                       "\n"));
  }
}

absl::Status Campaign::Build() {
  Stopwatch watch;
  absl::Status status = work_.Create();
  if (!status.ok()) return status;
  Words options;
  std::string name = "judge";
  if (!flags_.file.empty()) {
    // A repository of its own, since a build reads nothing else outside the tree.
    const std::string repository = work_.File("lists");
    std::error_code error;
    std::filesystem::create_directory(repository, error);
    std::ofstream(repository + "/WORKSPACE") << "workspace(name = \"user_mutants\")\n";
    std::ofstream(repository + "/BUILD")
        << "filegroup(name = \"lists\", srcs = [\"mutants.json\"], visibility = "
           "[\"//visibility:public\"])\n";
    std::filesystem::copy_file(flags_.file, repository + "/mutants.json", error);
    if (error) return absl::InternalError(absl::StrCat(repository, ": ", error.message()));
    options.push_back("--override_repository=user_mutants=" + repository);
    name = "user_judge";
  }
  absl::StatusOr<std::string> bin = BuildTargets(options, {"//proptests/mutants:" + name}, work_);
  if (!bin.ok()) return bin.status();
  judge_ = absl::StrCat(*bin, "/proptests/mutants/", name);
  build_seconds_ = watch.Seconds();
  return absl::OkStatus();
}

Words Campaign::JudgeOf(const Entry& entry) const {
  Words words = {judge_, entry.mutant.id, absl::StrCat(flags_.seconds), absl::StrCat(flags_.seed),
                 judge_ + ".runfiles/uvm_l4"};
  words.insert(words.end(), paths_.begin(), paths_.end());
  return words;
}

absl::Status Campaign::Apply(const Json& json, Entry* judged) const {
  Entry& entry = *judged;
  entry.killed = json["killed"].get<bool>();
  entry.confirmed = json["confirmed"].get<bool>();
  entry.minimal = json["minimal"].get<bool>();
  entry.seconds = json["seconds"].get<double>();
  entry.ops = json["ops"].get<uint64_t>();
  entry.lane = json["lane"].get<std::string>();
  entry.rule = json["rule"].get<std::string>();
  entry.text = json["text"].get<std::string>();
  entry.trace = json["trace"].get<std::string>();
  for (absl::string_view rule : absl::StrSplit(entry.mutant.rule, '|', absl::SkipEmpty())) {
    entry.by_rule = entry.by_rule || absl::StrContains(entry.rule, rule);
  }
  if (flags_.save.empty() || entry.trace.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(flags_.save, "/", entry.mutant.id, ".trace");
  std::ofstream file(path, std::ios::binary);
  file << entry.trace;
  file.close();
  if (!file) return absl::InternalError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

std::string Campaign::LineOf(const Entry& entry) const {
  const char* verdict = entry.control()                    ? "control"
                        : entry.killed                     ? "killed"
                        : !entry.mutant.equivalent.empty() ? "equivalent"
                                                           : "survived";
  std::string line =
      absl::StrFormat("%-10s %-36s %7.2f s", verdict, entry.mutant.id, entry.seconds);
  if (entry.killed) {
    absl::StrAppendFormat(&line, "  %-18s %s", entry.lane, entry.rule);
    if (entry.ops != 0) absl::StrAppend(&line, ", ", entry.ops, " operations");
    if (entry.ops != 0 && !entry.minimal) absl::StrAppend(&line, " (perhaps not minimal)");
    if (!entry.confirmed) absl::StrAppend(&line, ", not confirmed");
    if (!entry.mutant.rule.empty() && !entry.by_rule) {
      absl::StrAppend(&line, "; ", entry.mutant.rule, " was to notice");
    }
  }
  return (entry.good() ? line : Red(line)) + "\n";
}

absl::Status Campaign::Run() {
  if (!flags_.save.empty()) {
    std::error_code error;
    std::filesystem::create_directories(flags_.save, error);
    if (error) return absl::InternalError(absl::StrCat(flags_.save, ": ", error.message()));
  }
  JudgePool judges(&work_, flags_.jobs);
  size_t next = 0;
  while (next < entries_.size() || !judges.idle()) {
    while (next < entries_.size() && !judges.full()) {
      absl::Status status = judges.Start(next, JudgeOf(entries_[next]));
      if (!status.ok()) return status;
      ++next;
    }
    absl::StatusOr<JudgePool::Verdict> verdict = judges.Wait();
    if (!verdict.ok()) return verdict.status();
    Entry& entry = entries_[verdict->number];
    absl::Status status = Apply(verdict->json, &entry);
    if (!status.ok()) return status;
    if (!flags_.json) Print(LineOf(entry));
  }
  return absl::OkStatus();
}

struct Score {
  uint64_t total = 0;  // but equivalents and controls
  uint64_t killed = 0;
  uint64_t equivalent = 0;
  uint64_t confirmed = 0;
  uint64_t by_rule = 0;
  std::vector<double> seconds;
  std::vector<uint64_t> ops;
};

Score Count(const std::vector<Entry>& entries) {
  Score score;
  for (const Entry& entry : entries) {
    if (entry.control()) continue;
    if (!entry.mutant.equivalent.empty() && !entry.killed) {
      ++score.equivalent;
      continue;
    }
    ++score.total;
    if (!entry.killed) continue;
    ++score.killed;
    score.confirmed += entry.confirmed ? 1 : 0;
    score.by_rule += entry.by_rule ? 1 : 0;
    score.seconds.push_back(entry.seconds);
    if (entry.ops != 0) score.ops.push_back(entry.ops);
  }
  return score;
}

std::string Campaign::Summary(double seconds) const {
  const Score score = Count(entries_);
  const double worst =
      score.seconds.empty() ? 0 : *std::max_element(score.seconds.begin(), score.seconds.end());
  return absl::StrCat(
      "\nkilled ", score.killed, " of ", score.total, ", ", score.confirmed, " confirmed, ",
      score.by_rule, " by the rule that was named; ", score.equivalent, " equivalent\n",
      absl::StrFormat("noticed after %.2f s (median), %.2f s (worst); shrunk to %d operations "
                      "(median of %d)\n",
                      Median(score.seconds), worst, Median(score.ops), score.ops.size()),
      absl::StrFormat("built in %.1f s, judged in %.1f s\n", build_seconds_, seconds));
}

Json Campaign::SummaryJson(double seconds) const {
  const Score score = Count(entries_);
  Json json = PlainResultJson(0, seconds);
  json["seed"] = flags_.seed;
  json["build_seconds"] = build_seconds_;
  json["killed"] = score.killed;
  json["total"] = score.total;
  json["equivalent"] = score.equivalent;
  json["confirmed"] = score.confirmed;
  json["median_seconds"] = Median(score.seconds);
  json["median_ops"] = Median(score.ops);
  Json list = Json::array();
  for (const Entry& entry : entries_) {
    list.push_back({{"id", entry.mutant.id},
                    {"file", entry.mutant.file},
                    {"control", entry.control()},
                    {"killed", entry.killed},
                    {"equivalent", entry.mutant.equivalent},
                    {"lane", entry.lane},
                    {"rule", entry.rule},
                    {"by_rule", entry.by_rule},
                    {"text", entry.text},
                    {"seconds", entry.seconds},
                    {"ops", entry.ops},
                    {"minimal", entry.minimal},
                    {"confirmed", entry.confirmed},
                    {"trace", entry.trace}});
  }
  json["mutants"] = list;
  return json;
}

int Campaign::Finish(double seconds) const {
  const bool pass = std::all_of(entries_.begin(), entries_.end(),
                                [](const Entry& entry) { return entry.good(); });
  if (flags_.json) {
    Json json = SummaryJson(seconds);
    if (!pass) json["result"] = "outcome";
    Print(json.dump(2) + "\n");
  } else {
    Print(Summary(seconds));
    Print((pass ? Green("PASS") : Red("FAIL")) + "\n");
  }
  return pass ? kExitPass : static_cast<int>(proptests::FailureClass::kOutcome);
}

}  // namespace

int MutantsCommand(const Arguments& arguments) {
  MutantsFlags flags;
  Options parser("mutants", "", "puts deliberate bugs into the system: who notices?");
  Declare(&parser, &flags);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&parser, arguments, &operands)) return *end;
  if (!operands.empty()) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("\"", operands.front(), "\" is not an option; --file takes a mutant file")));
  }
  if (flags.mechanical) {
    return JudgeMechanical({flags.ids, flags.under, flags.state, flags.sample, flags.seconds,
                            flags.seed, flags.jobs, flags.list, flags.json});
  }
  Campaign campaign(flags);
  absl::Status status = campaign.Load();
  if (status.ok() && flags.list) {
    campaign.List();
    return kExitPass;
  }
  if (status.ok()) status = campaign.Build();
  Stopwatch watch;
  if (status.ok()) status = campaign.Run();
  if (!status.ok()) return PrintError(status);
  return campaign.Finish(watch.Seconds());
}

}  // namespace tools
