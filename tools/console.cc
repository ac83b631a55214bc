#include "tools/console.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace tools {
namespace {

std::string Coloured(const char* code, const std::string& text) {
  static const bool on = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return on ? absl::StrCat("\033[", code, "m", text, "\033[0m") : text;
}

bool json_errors_wanted = false;

}  // namespace

void WantJsonErrors() { json_errors_wanted = true; }

void Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

int PrintError(const absl::Status& status) {
  if (json_errors_wanted) {
    using Json = nlohmann::ordered_json;
    Json json;
    json["result"] = "usage";
    json["error"] = std::string(status.message());
    // A path may hold any bytes; JSON may not.
    Print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  std::fflush(stdout);
  std::fprintf(stderr, "vmsim: error: %s\n", std::string(status.message()).c_str());
  return kExitUsage;
}

std::string Green(const std::string& text) { return Coloured("1;32", text); }
std::string Red(const std::string& text) { return Coloured("1;31", text); }

std::string Grouped(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string HashText(uint64_t hash) { return absl::StrFormat("0x%016x", hash); }

ProgressLine::ProgressLine(std::string what, uint64_t total)
    : what_(std::move(what)),
      total_(total),
      on_terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

ProgressLine::~ProgressLine() { Clear(); }

void ProgressLine::Show(uint64_t done, absl::string_view more) {
  if (!on_terminal_) return;
  auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(200)) return;
  last_ = now;
  shown_ = true;
  double seconds = std::chrono::duration<double>(now - start_).count();
  auto rate = static_cast<uint64_t>(static_cast<double>(done) / seconds);
  std::string of =
      total_ == 0 ? "" : absl::StrCat(" of ", Grouped(total_), " (", done * 100 / total_, "%)");
  std::fprintf(stderr, "\r\033[K%s: %s%s operations, %s a second%s", what_.c_str(),
               Grouped(done).c_str(), of.c_str(), Grouped(rate).c_str(), std::string(more).c_str());
  std::fflush(stderr);
}

void ProgressLine::Clear() {
  if (!shown_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace tools
