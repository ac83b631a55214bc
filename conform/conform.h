// conform/conform.h: what `vmsim conform l4 [--quirks PROFILE] FILE...` does.
//
// WHAT     Reads recordings of real L4 kernels, runs them on the simulated one under a quirk
//          profile, and prints for each file the line `FILE: agree N of M (K by named differences:
//          NAME xK, ...)`, then where the first disagreement is and how much was not compared and
//          why. M is the parser's count. Three kinds of files are told apart by their contents:
//          sequences (recording.h), facts (facts.h) and prefixes (prefixes.h), whose recordings are
//          looked for beside them. Recordings of a kernel that no profile imitates are informative:
//          what disagrees there is shown and does not fail.
// SEE      design.md section 5; README.md for what is compared.
#ifndef CONFORM_CONFORM_H_
#define CONFORM_CONFORM_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "conform/report.h"

namespace conform {

struct ConformOptions {
  bool count_only = false;        // print `FILE: M` from the parsers alone; no kernel is run
  bool json = false;              // one object instead of lines
  std::string quirks = "manual";  // name of the profile; prefixes have profiles of their own
  // Seconds since the command began, for the JSON object's figures, which are left out without it.
  std::function<double()> seconds = nullptr;

  Format format() const { return json ? Format::kJson : Format::kLines; }
};

// The names of the profiles, separated by ", ".
std::string ProfileNames();

// Returns the exit code. Every file is parsed before anything is run or printed; problems go to
// `err`, one line each, and then `out` stays empty.
int ConformL4(const std::vector<std::string>& files, const ConformOptions& options,
              std::ostream& out, std::ostream& err);

}  // namespace conform

#endif  // CONFORM_CONFORM_H_
