// proptests/mutants/judge.h: does anybody notice this mutant?
//
// WHAT     The lanes are random campaigns of different kinds (in this process's image, which holds
//          all mutants) and test programs built of the same sources. Each mutant meets the
//          campaigns in rounds, each round with more operations; quick programs near it after the
//          first campaign, the others of its package between the first round and the second. The
//          first lane that fails has killed it.
//              killed -> the failing run is shrunk, and the shrunk trace run again twice: it must
//              fail alike with the mutant and pass without
// LOCKS    One thread; each mutant is judged in a process of its own.
//          Of mechanical mutants it is asked beforehand which lanes reach them, and with another
//          value than the original's: no other lane can notice.
// SEE      design.md section 5, "Mutant files"; facts/verification.md 5.

#ifndef PROPTESTS_MUTANTS_JUDGE_H_
#define PROPTESTS_MUTANTS_JUDGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proptests/engine/mutant_file.h"
#include "proptests/mutants/sites.h"

namespace mutants {

using proptests::Mutant;

struct JudgeOptions {
  double seconds = 60;             // most that one mutant gets
  uint64_t seed = 1;               // of the campaigns
  std::string programs;            // directory of the test programs' runfiles; empty: no programs
  std::vector<std::string> lanes;  // only these, whatever the mutant's file is; empty: all of its
  uint64_t rounds = ~uint64_t{0};  // of the campaigns
  bool shrink = true;
};

struct Verdict {
  enum class Kind : uint8_t { kKilled, kSurvived };
  Kind kind = Kind::kSurvived;
  std::string lane;        // which one noticed
  std::string rule;        // "contents: ContentsAgree"; of a program: the test that failed
  std::string text;        // the first counterexample
  double seconds = 0;      // until it was noticed
  uint64_t ops = 0;        // of the shrunk trace; 0: there is none
  bool minimal = false;    // leaving out any one operation makes it pass
  bool confirmed = false;  // the trace, or the case or program that has none, fails with the mutant
                           // and passes without
  std::string trace;
};

// Judges one mutant; number 0 is the program as it is.
Verdict Judge(const Mutant& mutant, const JudgeOptions& options);

// Runs the first round of every lane, without a mutant, and returns for each what it reaches; the
// files are made below `directory`.
struct LaneReach {
  std::string lane;
  double seconds = 0;
  std::string path;  // for ReadReach
};
std::vector<LaneReach> ReachOfLanes(const std::string& directory, const JudgeOptions& options);

}  // namespace mutants

#endif  // PROPTESTS_MUTANTS_JUDGE_H_
