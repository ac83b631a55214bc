#include "proptests/engine/emit.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "machine/machine.h"
#include "proptests/engine/machine_text.h"
#include "traces/codec.h"

namespace proptests {
namespace {

constexpr absl::string_view kSchedule = "schedule ";

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
  if (report.run.machine.decisions == nullptr) return trace;
  const std::string schedule = report.run.machine.decisions->Text();
  for (absl::string_view line : absl::StrSplit(schedule, '\n', absl::SkipEmpty())) {
    trace.notes.push_back({trace.lines.size(), false, absl::StrCat(kSchedule, line)});
  }
  return trace;
}

std::optional<fake_l4::DecisionList> ScheduleOfTrace(const traces::Trace& trace) {
  std::string text;
  for (const traces::Note& note : trace.notes) {
    if (absl::StartsWith(note.text, kSchedule))
      absl::StrAppend(&text, absl::StripPrefix(note.text, kSchedule), "\n");
  }
  if (text.empty()) return std::nullopt;
  return fake_l4::DecisionList::Parse(text);
}

std::string RunStatements(const RunOptions& run) {
  const RunOptions plain;
  const machine::Machine::Options& machine = run.machine;
  std::string text;
  const auto say = [&](bool differs, const auto&... words) {
    if (differs) absl::StrAppend(&text, "  run.", words..., ";\n");
  };
  const bool explores = machine.schedule != machine::Schedule::kRoundRobin;
  const bool pct = machine.schedule == machine::Schedule::kPct;
  const machine::Adversity adversity = machine.adversity;
  const bool adverse = adversity != machine::Adversity::kNone;
  const bool sized = run.memory_may_run_out || run.shortage_when_full;
  say(explores, "machine.schedule = machine::Schedule::", pct ? "kPct" : "kRandom");
  say(adverse, "machine.adversity = machine::Adversity::",
      adversity == machine::Adversity::kForgetful ? "kForgetful" : "kRefusing");
  say(explores || adverse, "machine.seed = ", machine.seed, "u");
  say(machine.processors != 1, "machine.processors = ", machine.processors);
  say(absl::string_view(machine.quirks.name) != plain.machine.quirks.name,
      "machine.quirks = *machine::FindQuirks(\"", machine.quirks.name, "\")");
  say(absl::string_view(machine.profile.name) != plain.machine.profile.name,
      "machine.profile = *machine::FindProfile(\"", machine.profile.name, "\")");
  say(sized, "machine.ram_bytes = ", machine.ram_bytes);
  say(run.memory_may_run_out, "memory_may_run_out = true");
  say(run.shortage_when_full, "shortage_when_full = true");
  say(machine.max_tasks != plain.machine.max_tasks, "machine.max_tasks = ", machine.max_tasks);
  say(machine.policy != plain.machine.policy, "machine.policy = \"", machine.policy, "\"");
  say(!machine.swap.empty(), "machine.swap = proptests::ParseSwap(\"", SwapText(machine.swap),
      "\").value()");
  say(machine.swap_encryption != machine::SwapEncryption::kOff,
      "machine.swap_encryption = proptests::ParseEncryption(\"",
      EncryptionText(machine.swap_encryption), "\").value()");
  const std::string memory = MemoryText(machine.memory);
  say(!memory.empty(), "machine.memory = proptests::ParseMemory(\"", memory, "\").value()");
  return text;
}

std::string GoogleTestCase(const FailureReport& report) {
  traces::Trace trace = FailureTrace(report, SuggestedFileName(report));
  trace.header.clear();
  const std::string statements = RunStatements(report.run);
  const bool parses = absl::StrContains(statements, "proptests::Parse");
  return absl::StrCat(parses ? "// #include \"proptests/engine/machine_text.h\"\n" : "",
                      "// #include \"proptests/engine/run.h\"\nTEST(ShrunkTest, ",
                      CamelCase(report.failure.print.rule), ") {\n",
                      statements.empty() ? "" : "  proptests::RunOptions run;\n", statements,
                      "  EXPECT_EQ(proptests::RunTraceText(R\"trace(", traces::FormatTrace(trace),
                      statements.empty() ? ")trace\"),\n" : ")trace\", run),\n",
                      "            \"pass\");\n}\n");
}

}  // namespace proptests
