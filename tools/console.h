// tools/console.h: what a person sees: text on stdout, progress and errors on stderr.
//
// WHAT     Progress is one line that rewrites itself, only on a terminal. Colour likewise, and
//          never when NO_COLOR is set.
// INVARIANTS  Nothing that is piped depends on time or terminal.

#ifndef TOOLS_CONSOLE_H_
#define TOOLS_CONSOLE_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tools {

inline constexpr int kExitPass = 0;
inline constexpr int kExitUsage = 1;

// Prints to standard output; exact bytes.
void Print(absl::string_view text);
// From now on PrintError also prints {"result": "usage", "error": SENTENCE} to standard output, for
// whoever asked for --json.
void WantJsonErrors();
// "vmsim: error: SENTENCE" on standard error; returns kExitUsage.
int PrintError(const absl::Status& status);

// Wraps text for a terminal's standard output: bold green or bold red.
std::string Green(const std::string& text);
std::string Red(const std::string& text);

// 1234567 -> "1,234,567".
std::string Grouped(uint64_t number);
std::string HashText(uint64_t hash);

class ProgressLine {
 public:
  // `total` 0: not known.
  ProgressLine(std::string what, uint64_t total);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  // Rewrites the line, at most a few times a second; `more` goes to its end.
  void Show(uint64_t done, absl::string_view more = "");
  // Takes the line away.
  void Clear();

 private:
  const std::string what_;
  const uint64_t total_;
  const bool on_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace tools

#endif  // TOOLS_CONSOLE_H_
