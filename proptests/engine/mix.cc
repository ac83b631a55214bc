#include "proptests/engine/mix.h"

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

struct Size {
  const char* name;
  uint64_t Mix::*field;
  uint64_t most;
};
constexpr Size kSizes[] = {
    {"tasks", &Mix::tasks, 48}, {"pages", &Mix::pages, 4096}, {"files", &Mix::files, 64},
    {"threads", &Mix::threads, traces::kMaxThreads}};

// Weights are multiplied by at most 8 and added up.
constexpr uint64_t kMostWeight = 1'000'000;

// Empty: the words are a fact, noted in *mix. Else what was expected.
std::string Note(const std::vector<absl::string_view>& words, Mix* mix) {
  uint64_t number = 0;
  if (words.size() == 2) {
    for (const Size& size : kSizes) {
      if (words[0] != size.name) continue;
      if (!absl::SimpleAtoi(words[1], &number) || number < 1 || number > size.most) {
        return absl::StrCat("a number from 1 to ", size.most, ", found \"", words[1], "\"");
      }
      mix->*size.field = number;
      return "";
    }
  }
  if (words.size() == 3 && words[0] == "op") {
    if (!absl::SimpleAtoi(words[2], &number) || number > kMostWeight) {
      return absl::StrCat("a weight from 0 to ", kMostWeight, ", found \"", words[2], "\"");
    }
    for (size_t i = 0; i < mix->weights.weight.size(); ++i) {
      if (words[1] != traces::OpName(static_cast<traces::OpKind>(i))) continue;
      mix->weights.weight[i] = static_cast<uint32_t>(number);
      return "";
    }
    return absl::StrCat("the name of an operation, found \"", words[1], "\"");
  }
  return "tasks, pages, files or threads and a number, or op, a kind of operation and a weight";
}

}  // namespace

Mix StandardMixFile() {
  Mix mix;
  mix.weights = StandardMix();
  return mix;
}

absl::StatusOr<Mix> ParseMix(absl::string_view text, absl::string_view name) {
  Mix mix;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    const std::string expected = Note(words, &mix);
    if (!expected.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": expected ", expected));
    }
  }
  uint64_t sum = 0;
  for (const uint32_t weight : mix.weights.weight) sum += weight;
  if (sum != 0) return mix;
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": expected at least one operation with a weight"));
}

std::string FormatMix(const Mix& mix) {
  std::string text;
  for (const Size& size : kSizes) absl::StrAppend(&text, size.name, " ", mix.*size.field, "\n");
  for (size_t i = 0; i < mix.weights.weight.size(); ++i) {
    if (mix.weights.weight[i] == 0) continue;
    absl::StrAppend(&text, "op ", traces::OpName(static_cast<traces::OpKind>(i)), " ",
                    mix.weights.weight[i], "\n");
  }
  return text;
}

}  // namespace proptests
