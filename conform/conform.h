// conform/conform.h: what `vmsim conform l4 FILE...` does.
//
// WHAT     Reads recordings of a real L4 kernel, runs them on the simulated one, and prints for
//          each file the line `FILE: agree N of M (K by named differences: NAME xK, ...)`, then
//          where the first disagreement is and how much was not compared and why. M is the parser's
//          count.
// SEE      design.md section 5; l4.h for what is compared; README.md.
#ifndef CONFORM_CONFORM_H_
#define CONFORM_CONFORM_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace conform {

struct ConformOptions {
  bool count_only = false;  // print `FILE: M` from the parser alone; no kernel is run
  bool json = false;        // one object instead of lines
  // Seconds since the command began, for the JSON object's figures, which are left out without it.
  std::function<double()> seconds = nullptr;
};

// Exit codes of design.md section 4.
inline constexpr int kExitPass = 0;
inline constexpr int kExitUsage = 1;     // no file, or one that cannot be read or parsed
inline constexpr int kExitOutcome = 17;  // some step disagrees

// Returns the exit code. Every file is parsed before anything is run or printed; problems go to
// `err`, one line each, and then `out` stays empty.
int ConformL4(const std::vector<std::string>& files, const ConformOptions& options,
              std::ostream& out, std::ostream& err);

}  // namespace conform

#endif  // CONFORM_CONFORM_H_
