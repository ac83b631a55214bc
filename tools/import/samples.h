// tools/import/samples.h: help for tests: literal logs in, the text of the trace out.

#ifndef TOOLS_IMPORT_SAMPLES_H_
#define TOOLS_IMPORT_SAMPLES_H_

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/import/import.h"
#include "traces/codec.h"

namespace tools {

// Where Bazel lets tests write.
inline std::string TestDir() {
  const char* dir = std::getenv("TEST_TMPDIR");
  return dir == nullptr ? "/tmp" : dir;
}

inline std::string WriteSample(const std::string& name, absl::string_view text) {
  const std::string path = absl::StrCat(TestDir(), "/", name);
  std::remove(path.c_str());  // truncating an old file costs a disk write on some file systems
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// The operations of a trace with their expected outcomes, one a line, without title and notes.
inline std::string Operations(const traces::Trace& trace) {
  std::string text;
  for (const traces::Line& line : trace.lines) {
    absl::StrAppend(&text, traces::FormatOp(line.op, trace.files));
    if (line.expected) {
      absl::StrAppend(&text, " -> ", traces::FormatOutcome(line.op.kind, *line.expected));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

// What importing the literal log gives: its operations, or the message of the error.
inline std::string FromStrace(absl::string_view log, ImportReport* report) {
  const std::string path = WriteSample("s.log", log);
  const absl::StatusOr<traces::Trace> trace = ImportStrace(path, {}, report);
  if (trace.ok()) return Operations(*trace);
  std::string message(trace.status().message());
  if (message.rfind(path, 0) == 0) message = message.substr(path.size() - 5);  // "s.log:3: ..."
  return message;
}

// Each log is one process's.
inline std::string FromLackey(const std::vector<std::string>& logs, ImportReport* report) {
  std::vector<std::string> paths;
  for (size_t i = 0; i < logs.size(); ++i) {
    paths.push_back(WriteSample(absl::StrCat("v", i, ".log"), logs[i]));
  }
  const absl::StatusOr<traces::Trace> trace = ImportLackey(paths, {}, report);
  if (trace.ok()) return Operations(*trace);
  std::string message(trace.status().message());
  const size_t slash = message.rfind("/v");
  return slash == std::string::npos ? message : message.substr(slash + 1);
}

}  // namespace tools

#endif  // TOOLS_IMPORT_SAMPLES_H_
