#include "proptests/engine/emit.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "traces/codec.h"

namespace proptests {
namespace {

// "OutcomesAgree(mmap)" -> "outcomes_agree_mmap".
std::string SnakeCase(const std::string& rule) {
  std::string text;
  for (char c : rule) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !text.empty() && text.back() != '_')
      text += '_';
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      text += absl::ascii_tolower(static_cast<unsigned char>(c));
    } else if (!text.empty() && text.back() != '_') {
      text += '_';
    }
  }
  while (!text.empty() && text.back() == '_') text.pop_back();
  constexpr size_t kLongest = 60;  // rules may quote a CHECK's condition
  return text.substr(0, kLongest);
}

std::string CamelCase(const std::string& rule) {
  std::string text;
  bool up = true;
  for (char c : SnakeCase(rule)) {
    if (c == '_') {
      up = true;
      continue;
    }
    text += up ? absl::ascii_toupper(static_cast<unsigned char>(c)) : c;
    up = false;
  }
  return text;
}

}  // namespace

std::string SuggestedFileName(const FailureReport& report) {
  return absl::StrCat("failure_", SnakeCase(report.failure.print.rule), ".trace");
}

traces::Trace FailureTrace(const FailureReport& report, const std::string& file_name) {
  traces::Trace trace;
  trace.title = absl::StrCat(file_name, ": fails with ", FingerprintText(report.failure.print),
                             "   from: ", report.origin);
  for (absl::string_view line : absl::StrSplit(report.failure.text, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    if (!line.empty()) trace.header.emplace_back(line);
  }
  trace.header.push_back(absl::StrCat("Show it again: ", report.replay));
  trace.files = report.files;
  for (size_t i = 0; i < report.ops.size(); ++i) {
    traces::Line& line = trace.Add(report.ops[i].op);
    line.expected = report.ops[i].expected;
    if (!line.expected && i < report.outcomes.size()) line.expected = report.outcomes[i];
  }
  if (!trace.lines.empty() && report.failure.op_index + 1 == trace.lines.size()) {
    trace.lines.back().comment = FingerprintText(report.failure.print);
  }
  return trace;
}

std::string GoogleTestCase(const FailureReport& report) {
  traces::Trace trace = FailureTrace(report, SuggestedFileName(report));
  trace.header.clear();
  return absl::StrCat("// #include \"proptests/engine/run.h\"\nTEST(ShrunkTest, ",
                      CamelCase(report.failure.print.rule),
                      ") {\n  EXPECT_EQ(proptests::RunTraceText(R\"trace(",
                      traces::FormatTrace(trace), ")trace\"),\n            \"pass\");\n}\n");
}

}  // namespace proptests
