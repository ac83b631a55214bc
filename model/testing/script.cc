#include "model/testing/script.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "traces/codec.h"
#include "traces/trace.h"

namespace model {
namespace {

constexpr uint64_t kPage = base::kPageSize;

// Spaces are drawn up to here; tests use small ones.
uint64_t DrawnPages(base::Range bounds) { return std::min<uint64_t>(bounds.size() / kPage, 64); }

// Labels that were born in earlier calls are fine: each call is a trace of its own.
bool Parse(absl::string_view lines, traces::Trace* trace) {
  bool newline = !lines.empty() && lines.back() == '\n';
  auto parsed =
      traces::ParseTrace(absl::StrCat("# script\n", lines, newline ? "" : "\n"), "script");
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  if (!parsed.ok()) return false;
  *trace = *std::move(parsed);
  return true;
}

char DrawProt(base::Prot prot) { return "-r!w!x!a"[prot.bits()]; }

char DrawPage(PageKind kind, const PageBytes& bytes) {
  if (kind == PageKind::kEither) return '?';
  if (kind == PageKind::kNothing) return '!';
  if (kind == PageKind::kUntouchedFile) return 'f';
  bool one_byte =
      std::all_of(bytes.begin(), bytes.end(), [&](unsigned char b) { return b == bytes[0]; });
  if (!one_byte) return '*';
  if (bytes[0] == 0) return '0';
  return bytes[0] >= ' ' && bytes[0] <= '~' ? static_cast<char>(bytes[0]) : '*';
}

}  // namespace

void Script::Run(absl::string_view lines) {
  traces::Trace trace;
  if (!Parse(lines, &trace)) return;
  for (const traces::Line& line : trace.lines) {
    std::string where =
        absl::StrCat("line ", line.line - 1, ": ", traces::FormatOp(line.op, trace.files));
    traces::ResolvedOp op;
    if (!world_.Resolve(line.op, trace.files, &op)) {
      EXPECT_TRUE(line.expected == traces::Outcome()) << where << ": cannot be executed";
      continue;
    }
    Expectation expectation = world_.Expect(op);
    traces::Outcome outcome = line.expected.value_or(expectation.Canonical());
    std::string why;
    EXPECT_TRUE(expectation.Accepts(expectation.Canonical(), &why))
        << where << ": canonical: " << why;
    if (!expectation.Accepts(outcome, &why)) {
      ADD_FAILURE() << where << ": " << why;
      continue;
    }
    world_.Adopt(op, outcome);
  }
}

std::string Script::Expected(absl::string_view line) {
  traces::Trace trace;
  traces::ResolvedOp op;
  if (!Parse(line, &trace) || !world_.Resolve(trace.lines.at(0).op, trace.files, &op)) {
    ADD_FAILURE() << line << ": cannot be executed";
    return "";
  }
  return world_.Expect(op).Describe();
}

bool Script::Accepts(absl::string_view line_with_outcome) {
  traces::Trace trace;
  traces::ResolvedOp op;
  if (!Parse(line_with_outcome, &trace) ||
      !world_.Resolve(trace.lines.at(0).op, trace.files, &op)) {
    ADD_FAILURE() << line_with_outcome << ": cannot be executed";
    return false;
  }
  return world_.Expect(op).Accepts(trace.lines[0].expected.value());
}

std::string Script::Contents() const {
  std::string picture;
  for (uint32_t task : world_.LiveTasks()) {
    if (!picture.empty()) picture += '|';
    base::Range bounds = world_.Bounds(task);
    for (uint64_t i = 0; i < DrawnPages(bounds); ++i) {
      uint64_t va = bounds.start.value() + i * kPage;
      PageBytes bytes;
      bool mapped = world_.PageContents(task, va, &bytes);
      picture += mapped ? DrawPage(world_.KindOfPage(task, va), bytes) : '.';
    }
  }
  return picture;
}

template <typename Draw>
std::string Script::DrawRanges(const Draw& draw) const {
  std::string picture;
  for (uint32_t task : world_.LiveTasks()) {
    if (!picture.empty()) picture += '|';
    base::Range bounds = world_.Bounds(task);
    std::string row(DrawnPages(bounds), '.');
    world_.ForEachRange(task, [&](base::Range range, const Attributes& attributes) {
      for (base::Vaddr va = range.start; va < range.end; va = va + kPage) {
        if ((va - bounds.start) / kPage < row.size())
          row[(va - bounds.start) / kPage] = draw(attributes);
      }
    });
    picture += row;
  }
  return picture;
}

std::string Script::Prots() const {
  return DrawRanges([](const Attributes& a) { return DrawProt(a.prot); });
}

std::string Script::MaxProts() const {
  return DrawRanges([](const Attributes& a) { return DrawProt(a.max_prot); });
}

std::string Script::Inherits() const {
  return DrawRanges([](const Attributes& a) {
    return (a.shared ? "SCNDZ" : "scndz")[static_cast<size_t>(a.inherit)];
  });
}

std::string Script::Advices() const {
  return DrawRanges([](const Attributes& a) { return "nrs"[static_cast<size_t>(a.advice)]; });
}

}  // namespace model
