// Judges one mutant and prints the verdict, one JSON object.
//
//   judge ID SECONDS SEED PROGRAMS [--lanes=A,B] [--rounds=N] [--no-shrink] LIST...
//   judge variants                      prints the ids of the mechanical mutants, a line each
//   judge reach SECONDS SEED PROGRAMS DIRECTORY
//
// ID "none" is the program as it is. PROGRAMS is the directory in which the test programs run;
// "none": only campaigns. The lists are those that this program was built of, in the same order.
// "reach" runs every lane without a mutant, each at most SECONDS, and prints a JSON line a lane
// {lane, seconds} and one for each mechanical mutant in a line that was reached:
// {id, differs: lanes that saw it give another value}.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/mutant_file.h"
#include "proptests/mutants/judge.h"
#include "proptests/mutants/sites.h"

namespace mutants {
namespace {

using proptests::JoinMutants;
using proptests::ParseMutants;

int Fail(const std::string& sentence) {
  std::fprintf(stderr, "judge: error: %s\n", sentence.c_str());
  return 1;
}

void Print(const std::string& id, const Verdict& verdict) {
  using Json = nlohmann::ordered_json;
  const Json json = {{"id", id},
                     {"killed", verdict.kind == Verdict::Kind::kKilled},
                     {"lane", verdict.lane},
                     {"rule", verdict.rule},
                     {"text", verdict.text},
                     {"seconds", verdict.seconds},
                     {"ops", verdict.ops},
                     {"minimal", verdict.minimal},
                     {"confirmed", verdict.confirmed},
                     {"trace", verdict.trace}};
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

int PrintVariants() {
  for (const Variant* variant = kVariants; variant->id != nullptr; ++variant) {
    std::printf("%s\n", variant->id);
  }
  return 0;
}

int PrintReach(const std::string& directory, const JudgeOptions& options) {
  using Json = nlohmann::ordered_json;
  const std::vector<LaneReach> lanes = ReachOfLanes(directory, options);
  std::vector<std::vector<Reached>> reached;
  for (const LaneReach& lane : lanes) {
    std::printf("%s\n", Json{{"lane", lane.lane}, {"seconds", lane.seconds}}.dump().c_str());
    reached.push_back(ReadReach(lane.path));
  }
  for (size_t i = 0; kVariants[i].id != nullptr; ++i) {
    bool there = false;
    Json differs = Json::array();
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      there = there || reached[lane][i].there;
      if (reached[lane][i].differs) differs.push_back(lanes[lane].lane);
    }
    if (!there) continue;
    std::printf("%s\n", Json{{"id", kVariants[i].id}, {"differs", differs}}.dump().c_str());
  }
  return 0;
}

// The mechanical mutant of that id; number 0: there is none.
Mutant MechanicalOf(const std::string& id) {
  Mutant mutant;
  for (unsigned i = 0; kVariants[i].id != nullptr; ++i) {
    if (id != kVariants[i].id) continue;
    mutant.id = id;
    mutant.file = id.substr(0, id.find(':'));
    mutant.replace = id.substr(id.rfind(':') + 1);
    mutant.find = "not " + mutant.replace;
    mutant.number = kFirstMechanical + i;
  }
  return mutant;
}

bool ReadOption(const std::string& word, JudgeOptions* options) {
  if (word == "--no-shrink") {
    options->shrink = false;
  } else if (absl::StartsWith(word, "--rounds=")) {
    options->rounds = std::strtoull(word.c_str() + 9, nullptr, 10);
  } else if (absl::StartsWith(word, "--lanes=")) {
    options->lanes = absl::StrSplit(word.substr(8), ',', absl::SkipEmpty());
  } else {
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  const std::string id = argc < 2 ? "" : argv[1];
  if (id == "variants") return PrintVariants();
  if (argc < 6) return Fail("expected ID SECONDS SEED PROGRAMS LIST...");
  JudgeOptions options;
  options.seconds = std::strtod(argv[2], nullptr);
  options.seed = std::strtoull(argv[3], nullptr, 10);
  options.programs = argv[4];
  if (options.programs == "none") options.programs.clear();
  if (id == "reach") return PrintReach(argv[5], options);
  int first_list = 5;
  while (first_list < argc && ReadOption(argv[first_list], &options)) ++first_list;
  const Mutant mechanical = MechanicalOf(id);
  if (mechanical.number != 0) {
    Print(id, Judge(mechanical, options));
    return 0;
  }
  std::vector<std::vector<Mutant>> lists;
  for (int i = first_list; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return Fail(std::string(argv[i]) + ": cannot be read");
    absl::StatusOr<std::vector<Mutant>> list = ParseMutants(text.str(), argv[i]);
    if (!list.ok()) return Fail(std::string(list.status().message()));
    lists.push_back(*std::move(list));
  }
  absl::StatusOr<std::vector<Mutant>> all = JoinMutants(lists);
  if (!all.ok()) return Fail(std::string(all.status().message()));
  if (id == "none") {
    Print(id, Judge(Mutant{}, options));
    return 0;
  }
  for (const Mutant& mutant : *all) {
    if (mutant.id != id) continue;
    Print(id, Judge(mutant, options));
    return 0;
  }
  return Fail("there is no mutant \"" + id + "\"");
}

}  // namespace
}  // namespace mutants

int main(int argc, char** argv) { return mutants::Main(argc, argv); }
