#include "tools/mechanical.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/prng.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/failure.h"
#include "proptests/engine/mechanical.h"
#include "proptests/engine/mutant_file.h"
#include "tools/console.h"
#include "tools/judge_pool.h"
#include "tools/process.h"
#include "tools/report.h"

namespace tools {
namespace {

constexpr const char* kExplained = "proptests/mutants/explained.json";
// One lane, while it notes what it reaches.
constexpr uint64_t kReachSeconds = 300;

struct Entry {
  std::string id;
  std::vector<std::string> lanes;  // that saw another value
  std::string explained;           // why nobody can notice
  bool judged = false;
  bool killed = false;
  bool confirmed = false;
  double seconds = 0;
  uint64_t ops = 0;
  std::string lane;
  std::string rule;
};

class MechanicalCampaign {
 public:
  explicit MechanicalCampaign(const MechanicalFlags& flags) : flags_(flags), work_("mechanical") {}

  absl::Status Build();
  // What the lanes reach, of the state directory if it knows, else of the judge.
  absl::Status Reach();
  absl::Status ReadExplained();
  absl::Status Choose();
  void List() const;
  absl::Status Run();
  int Finish(double seconds) const;

 private:
  std::string Kept(const std::string& name) const;
  bool Wanted(const std::string& id) const;
  void Forget();
  absl::Status ParseReach(const std::string& text);
  absl::Status ReadVerdicts();
  void Apply(const nlohmann::json& json, Entry* entry) const;
  Words JudgeOf(const Entry& entry) const;
  std::string LineOf(const Entry& entry) const;

  const MechanicalFlags& flags_;
  WorkDirectory work_;
  std::string judge_;
  uint64_t variants_ = 0;       // all that there are
  std::vector<Entry> reached_;  // in the order of the sources, of the files wanted
  std::vector<Entry*> chosen_;  // in the order in which they are judged
  double build_seconds_ = 0;
};

absl::Status MechanicalCampaign::Build() {
  Stopwatch watch;
  absl::Status status = work_.Create();
  if (!status.ok()) return status;
  absl::StatusOr<std::string> bin = BuildTargets({}, {"//proptests/mutants:judge"}, work_);
  if (!bin.ok()) return bin.status();
  judge_ = absl::StrCat(*bin, "/proptests/mutants/judge");
  build_seconds_ = watch.Seconds();
  if (flags_.state.empty()) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(flags_.state, error);
  if (error) return absl::InternalError(absl::StrCat(flags_.state, ": ", error.message()));
  return absl::OkStatus();
}

std::string MechanicalCampaign::Kept(const std::string& name) const {
  return flags_.state.empty() ? work_.File(name) : absl::StrCat(flags_.state, "/", name);
}

bool MechanicalCampaign::Wanted(const std::string& id) const {
  return absl::StartsWith(id, flags_.under);
}

// What is known of another build says nothing about this one.
void MechanicalCampaign::Forget() {
  absl::StatusOr<std::string> program = ReadWhole(judge_);
  const std::string print =
      program.ok() ? absl::StrCat(absl::Hex(base::HashBytes(
                         reinterpret_cast<const unsigned char*>(program->data()), program->size())))
                   : "";
  absl::StatusOr<std::string> before = ReadWhole(Kept("build"));
  if (before.ok() && *before == print) return;
  std::error_code ignored;
  std::filesystem::remove(Kept("reach"), ignored);
  std::filesystem::remove(Kept("verdicts"), ignored);
  std::ofstream(Kept("build"), std::ios::binary) << print;
}

absl::Status MechanicalCampaign::ParseReach(const std::string& text) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) return absl::InternalError("the judge's list of what is reached is cut");
    if (!json.contains("id")) continue;
    Entry entry;
    entry.id = json["id"].get<std::string>();
    for (const auto& lane : json["differs"]) entry.lanes.push_back(lane.get<std::string>());
    if (Wanted(entry.id)) reached_.push_back(std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status MechanicalCampaign::Reach() {
  Forget();
  Program list;
  list.words = {judge_, "variants"};
  list.output = work_.File("variants");
  absl::Status status = RunTool(list, "the judge");
  if (!status.ok()) return status;
  absl::StatusOr<std::string> ids = ReadWhole(list.output);
  if (!ids.ok()) return ids.status();
  for (absl::string_view id : absl::StrSplit(*ids, '\n', absl::SkipEmpty())) {
    variants_ += Wanted(std::string(id)) ? 1 : 0;
  }
  absl::StatusOr<std::string> known = ReadWhole(Kept("reach"));
  if (known.ok()) return ParseReach(*known);
  std::error_code error;
  std::filesystem::create_directories(work_.File("reached"), error);
  Program program;
  program.words = {judge_,
                   "reach",
                   absl::StrCat(kReachSeconds),
                   absl::StrCat(flags_.seed),
                   judge_ + ".runfiles/uvm_l4",
                   work_.File("reached")};
  program.output = Kept("reach.new");
  program.errors = work_.File("errors");
  status = RunTool(program, "the judge");
  if (!status.ok()) return status;
  std::filesystem::rename(Kept("reach.new"), Kept("reach"), error);
  known = ReadWhole(Kept("reach"));
  return known.ok() ? ParseReach(*known) : known.status();
}

absl::Status MechanicalCampaign::ReadExplained() {
  const std::string path = absl::StrCat(SourceRoot(), "/", kExplained);
  absl::StatusOr<std::string> text = ReadWhole(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<proptests::Mutant>> list = proptests::ParseMutants(*text, kExplained);
  if (!list.ok()) return list.status();
  std::map<std::string, std::string> reasons;
  for (const proptests::Mutant& mutant : *list) {
    absl::StatusOr<std::string> source = ReadWhole(absl::StrCat(SourceRoot(), "/", mutant.file));
    if (!source.ok()) return source.status();
    reasons[proptests::IdOfChange(mutant.file, *source, mutant.find, mutant.replace)] =
        mutant.equivalent;
  }
  for (Entry& entry : reached_) {
    const auto found = reasons.find(entry.id);
    if (found != reasons.end()) entry.explained = found->second;
  }
  return absl::OkStatus();
}

absl::Status MechanicalCampaign::Choose() {
  std::set<std::string> ids;
  for (absl::string_view id : absl::StrSplit(flags_.ids, ',', absl::SkipEmpty())) ids.emplace(id);
  for (Entry& entry : reached_) {
    if (flags_.ids.empty() || ids.erase(entry.id) != 0) chosen_.push_back(&entry);
  }
  if (!ids.empty()) {
    return absl::NotFoundError(
        absl::StrCat("there is no mutant \"", *ids.begin(), "\", or nobody reaches it"));
  }
  // A larger sample of the same seed begins with the smaller one.
  base::Prng draws(flags_.seed, "mechanical sample");
  for (size_t i = 0; i + 1 < chosen_.size() && flags_.sample != 0; ++i) {
    std::swap(chosen_[i], chosen_[i + draws.Below(chosen_.size() - i)]);
  }
  if (flags_.sample != 0 && flags_.sample < chosen_.size()) chosen_.resize(flags_.sample);
  return ReadVerdicts();
}

void MechanicalCampaign::List() const {
  for (const Entry* entry : chosen_) {
    Print(absl::StrCat(entry->id, "  ", absl::StrJoin(entry->lanes, ","), "\n"));
  }
}

void MechanicalCampaign::Apply(const nlohmann::json& json, Entry* entry) const {
  entry->judged = true;
  entry->killed = json["killed"].get<bool>();
  entry->confirmed = json["confirmed"].get<bool>();
  entry->seconds = json["seconds"].get<double>();
  entry->ops = json["ops"].get<uint64_t>();
  entry->lane = json["lane"].get<std::string>();
  entry->rule = json["rule"].get<std::string>();
}

absl::Status MechanicalCampaign::ReadVerdicts() {
  absl::StatusOr<std::string> text = ReadWhole(Kept("verdicts"));
  if (!text.ok()) return absl::OkStatus();  // nothing is known yet
  std::map<std::string, Entry*> by_id;
  for (Entry* entry : chosen_) by_id[entry->id] = entry;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) continue;  // cut off when it was interrupted
    const auto found = by_id.find(json["id"].get<std::string>());
    if (found != by_id.end()) Apply(json, found->second);
  }
  return absl::OkStatus();
}

Words MechanicalCampaign::JudgeOf(const Entry& entry) const {
  return {judge_,
          entry.id,
          absl::StrCat(flags_.seconds),
          absl::StrCat(flags_.seed),
          judge_ + ".runfiles/uvm_l4",
          absl::StrCat("--lanes=", absl::StrJoin(entry.lanes, ",")),
          "--rounds=2"};
}

std::string MechanicalCampaign::LineOf(const Entry& entry) const {
  const char* verdict = entry.killed               ? "killed"
                        : !entry.explained.empty() ? "explained"
                                                   : "survived";
  std::string line = absl::StrFormat("%-10s %-44s %7.2f s", verdict, entry.id, entry.seconds);
  if (entry.killed) {
    absl::StrAppendFormat(&line, "  %-18s %s", entry.lane, entry.rule);
    if (entry.ops != 0) absl::StrAppend(&line, ", ", entry.ops, " operations");
    if (!entry.confirmed) absl::StrAppend(&line, ", not confirmed");
  } else if (entry.lanes.empty()) {
    absl::StrAppend(&line, "  no lane saw another value");
  }
  return (entry.killed || !entry.explained.empty() ? line : Red(line)) + "\n";
}

absl::Status MechanicalCampaign::Run() {
  JudgePool judges(&work_, flags_.jobs);
  size_t next = 0;
  while (next < chosen_.size() || !judges.idle()) {
    while (next < chosen_.size() && !judges.full()) {
      Entry* entry = chosen_[next];
      if (!entry->judged && !entry->lanes.empty()) {
        absl::Status status = judges.Start(next++, JudgeOf(*entry));
        if (!status.ok()) return status;
        continue;
      }
      ++next;
      entry->judged = true;
      if (!flags_.json) Print(LineOf(*entry));
    }
    if (judges.idle()) continue;
    absl::StatusOr<JudgePool::Verdict> verdict = judges.Wait();
    if (!verdict.ok()) return verdict.status();
    Entry* entry = chosen_[verdict->number];
    Apply(verdict->json, entry);
    std::ofstream(Kept("verdicts"), std::ios::binary | std::ios::app)
        << verdict->json.dump() << "\n";
    if (!flags_.json) Print(LineOf(*entry));
  }
  return absl::OkStatus();
}

// Of one package, or of all.
struct MechanicalScore {
  uint64_t judged = 0;
  uint64_t killed = 0;
  uint64_t explained = 0;
  std::vector<double> seconds;
  std::vector<uint64_t> ops;

  void Add(const Entry& entry) {
    ++judged;
    if (entry.killed) {
      ++killed;
      seconds.push_back(entry.seconds);
      if (entry.ops != 0) ops.push_back(entry.ops);
    } else if (!entry.explained.empty()) {
      ++explained;
    }
  }
  double Percent() const {
    return judged == 0
               ? 100
               : 100.0 * static_cast<double>(killed + explained) / static_cast<double>(judged);
  }
  std::string Line(const std::string& name) const {
    const double worst = seconds.empty() ? 0 : *std::max_element(seconds.begin(), seconds.end());
    return absl::StrFormat(
        "%-10s judged %5d  killed %5d  explained %4d  survived %4d  %5.1f%%  %6.2f s median, "
        "%6.2f s worst, %d operations\n",
        name, judged, killed, explained, judged - killed - explained, Percent(), Median(seconds),
        worst, Median(ops));
  }
};

// Killed or explained, of those that are reached: what is aimed at.
constexpr double kAim = 95;

int MechanicalCampaign::Finish(double seconds) const {
  MechanicalScore all;
  std::map<std::string, MechanicalScore> packages;
  for (const Entry* entry : chosen_) {
    all.Add(*entry);
    packages[entry->id.substr(0, entry->id.find('/'))].Add(*entry);
  }
  const bool pass = all.Percent() >= kAim;
  if (flags_.json) {
    Json json = PlainResultJson(0, seconds);
    if (!pass) json["result"] = "outcome";
    json["seed"] = flags_.seed;
    json["variants"] = variants_;
    json["reached"] = reached_.size();
    json["total"] = all.judged;
    json["killed"] = all.killed;
    json["explained"] = all.explained;
    json["median_seconds"] = Median(all.seconds);
    json["median_ops"] = Median(all.ops);
    Json list = Json::array();
    for (const Entry* entry : chosen_) {
      list.push_back({{"id", entry->id},
                      {"killed", entry->killed},
                      {"explained", entry->explained},
                      {"lane", entry->lane},
                      {"rule", entry->rule},
                      {"seconds", entry->seconds},
                      {"ops", entry->ops},
                      {"confirmed", entry->confirmed}});
    }
    json["mutants"] = list;
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat("\n", variants_, " mutants, ", reached_.size(), " of them reached\n"));
    for (const auto& [name, score] : packages) Print(score.Line(name));
    Print(all.Line("all"));
    Print(absl::StrFormat("built in %.1f s, judged in %.1f s\n", build_seconds_, seconds));
    Print((pass ? Green("PASS") : Red("FAIL")) + "\n");
  }
  return pass ? kExitPass : static_cast<int>(proptests::FailureClass::kOutcome);
}

}  // namespace

int JudgeMechanical(const MechanicalFlags& flags) {
  MechanicalCampaign campaign(flags);
  absl::Status status = campaign.Build();
  if (status.ok()) status = campaign.Reach();
  if (status.ok()) status = campaign.ReadExplained();
  if (status.ok()) status = campaign.Choose();
  if (!status.ok()) return PrintError(status);
  if (flags.list) {
    campaign.List();
    return kExitPass;
  }
  Stopwatch watch;
  status = campaign.Run();
  if (!status.ok()) return PrintError(status);
  return campaign.Finish(watch.Seconds());
}

}  // namespace tools
