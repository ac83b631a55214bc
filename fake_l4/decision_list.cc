#include "fake_l4/decision_list.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace fake_l4 {

namespace {

// Takes the text up to `end` or the end of *text off its front.
std::string_view TakeUntil(std::string_view* text, char end) {
  const size_t at = text->find(end);
  const std::string_view taken = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + 1);
  return taken;
}

// Takes `word`, a blank and a number, decimal or after 0x hexadecimal, off the front of *line.
template <typename Number>
bool TakeNumber(std::string_view* line, std::string_view word, Number* number) {
  if (TakeUntil(line, ' ') != word) return false;
  std::string_view digits = TakeUntil(line, ' ');
  const bool hex = digits.substr(0, 2) == "0x";
  if (hex) digits.remove_prefix(2);
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, *number, hex ? 16 : 10);
  return result.ec == std::errc() && result.ptr == end;
}

bool ParseDecision(std::string_view line, Decision* d) {
  return TakeNumber(&line, "at", &d->number) && TakeNumber(&line, "of", &d->choices) &&
         TakeNumber(&line, "run", &d->thread) && line.empty() && d->choices >= 2;
}

}  // namespace

std::string DecisionList::Text() const {
  std::string text = absl::StrCat("decisions ", total, " hash 0x", absl::Hex(hash), "\n");
  for (const Decision& d : deviations) {
    absl::StrAppend(&text, "at ", d.number, " of ", d.choices, " run 0x", absl::Hex(d.thread),
                    "\n");
  }
  return text;
}

std::optional<DecisionList> DecisionList::Parse(std::string_view text, std::string* problem) {
  DecisionList list;
  bool has_header = false;
  int number = 0;
  const auto fail = [&](const char* expected) {
    if (problem != nullptr) *problem = absl::StrCat("line ", number, ": expected ", expected);
    return std::nullopt;
  };
  while (!text.empty()) {
    number++;
    std::string_view line = TakeUntil(&text, '\n');
    if (line.empty() || line.front() == '#') continue;
    if (!has_header) {
      has_header = TakeNumber(&line, "decisions", &list.total) &&
                   TakeNumber(&line, "hash", &list.hash) && line.empty();
      if (!has_header) return fail("`decisions N hash 0xN`");
      continue;
    }
    Decision d;
    if (!ParseDecision(line, &d)) return fail("`at N of N run 0xN`, with 2 or more to choose of");
    const bool ascends = list.deviations.empty() || list.deviations.back().number < d.number;
    if (!ascends) return fail("a later decision than in the line before");
    list.deviations.push_back(d);
  }
  number++;
  if (!has_header) return fail("`decisions N hash 0xN`, not the end");
  return list;
}

}  // namespace fake_l4
