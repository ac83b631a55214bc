// conform/report.h: what a `vmsim conform` command prints, whatever kind of recording it reads.
//
// WHAT     For each file the line `FILE: agree N of M (K by named differences: NAME xK, ...)`,
//          where structure counts `FILE: agree N of M, K by decision (NAME xK, ...), U undecided`,
//          the first disagreement, and how much was not compared and why; or one JSON object over
//          all files. The kinds of recordings differ in how an Outcome comes about, not in how it
//          is told.
// SEE      design.md section 5; conform.h for the commands.
#ifndef CONFORM_REPORT_H_
#define CONFORM_REPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "conform/outcome.h"

namespace conform {

// Exit codes of design.md section 4.
inline constexpr int kExitPass = 0;
// No file, one that cannot be read or parsed, or an unknown profile.
inline constexpr int kExitUsage = 1;
inline constexpr int kExitOutcome = 17;  // some step disagrees

enum class Format : uint8_t { kLines, kJson };

// A file and its M, which is the parser's.
struct FileCount {
  std::string file;
  uint64_t count = 0;
};
// `FILE: M` for each. Returns the exit code.
int PrintCounts(const std::vector<FileCount>& counts, Format format, std::ostream& out);

class Report {
 public:
  // `out` outlives the report.
  Report(Format format, std::ostream& out);
  ~Report();

  // Lines are printed at once. `informative`: why what disagrees in this file does not fail; empty
  // when it does. `more`: lines of the kind's own, each with its end.
  void Add(const std::string& file, const Outcome& outcome, const std::string& informative = "",
           const std::string& more = "");
  // Prints the JSON object. `lane`: what ran; `key` and `value`, unless empty: what it was set to.
  // `seconds`, unless null: since the command began. Returns the exit code.
  int Finish(const std::string& lane, const std::string& key, const std::string& value,
             const std::function<double()>& seconds);

 private:
  struct Files;  // the JSON array
  const Format format_;
  std::ostream& out_;
  bool pass_ = true;
  uint64_t steps_ = 0, compared_ = 0, hash_ = 0;
  fake_l4::Ledger ledger_;
  std::unique_ptr<Files> files_;
};

}  // namespace conform

#endif  // CONFORM_REPORT_H_
