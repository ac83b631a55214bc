#include "traces/trace.h"

#include <algorithm>

namespace traces {

uint32_t Trace::Intern(absl::string_view name) {
  // Traces name a few dozen files, and neighbouring lines mostly the same one: search from the
  // back.
  for (size_t i = files.size(); i > 0; --i) {
    if (files[i - 1] == name) return static_cast<uint32_t>(i);
  }
  files.emplace_back(name);
  return static_cast<uint32_t>(files.size());
}

Line& Trace::Add(const Op& op) {
  lines.emplace_back();
  lines.back().op = op;
  return lines.back();
}

bool ValidFileName(absl::string_view name) {
  constexpr size_t kMaxName = 255;  // NAME_MAX of the systems that traces come from
  if (name.empty() || name.size() > kMaxName || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '+' || c == '-';
  });
}

}  // namespace traces
