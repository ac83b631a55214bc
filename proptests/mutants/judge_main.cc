// Judges one mutant and prints the verdict, one JSON object.
//
//   judge ID SECONDS SEED PROGRAMS LIST...
//
// ID "none" is the program as it is. PROGRAMS is the directory in which the test programs run;
// "none": only campaigns. The lists are those that this program was built of, in the same order.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "proptests/engine/mutant_file.h"
#include "proptests/mutants/judge.h"

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

int Main(int argc, char** argv) {
  if (argc < 6) return Fail("expected ID SECONDS SEED PROGRAMS LIST...");
  std::vector<std::vector<Mutant>> lists;
  for (int i = 5; i < argc; ++i) {
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
  JudgeOptions options;
  options.seconds = std::strtod(argv[2], nullptr);
  options.seed = std::strtoull(argv[3], nullptr, 10);
  options.programs = argv[4];
  if (options.programs == "none") options.programs.clear();
  const std::string id = argv[1];
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
