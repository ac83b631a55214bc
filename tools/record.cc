// vmsim record and vmsim import: real programs into traces.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/import/import.h"
#include "tools/options.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

constexpr const char* kRecordEpilogue =
    "Examples:\n"
    "  ./vmsim record -o sort.trace -- sort /etc/services\n"
    "  ./vmsim record --touches -o hello.trace -- /bin/echo hello\n\n"
    "The program runs to its end with its own input and output; what it exits with is reported, "
    "not passed on.\n"
    "Contents are not recorded: bytes are synthesised when the trace is replayed.\n";

constexpr const char* kImportEpilogue =
    "Examples:\n"
    "  strace -f -y -o build.strace make; ./vmsim import strace build.strace -o build.trace\n"
    "  valgrind --tool=lackey --trace-mem=yes --trace-syscalls=yes --trace-children=yes "
    "--log-file=log.%p CMD\n"
    "  ./vmsim import lackey log.* -o cmd.trace\n\n"
    "Several lackey logs, one a process, make one trace.\n";

// Writes the trace and says what was made of the recording.
int WriteResult(const absl::StatusOr<traces::Trace>& trace, const ImportReport& report,
                const std::string& out, bool json_wanted, const Stopwatch& watch) {
  if (!trace.ok()) return PrintError(trace.status());
  absl::Status status = traces::WriteTraceFile(out, *trace);
  if (!status.ok()) return PrintError(status);
  if (json_wanted) {
    Json json = PlainResultJson(trace->lines.size(), watch.Seconds());
    json["trace"] = out;
    json["report"] = report.ToJson();
    Print(json.dump(2) + "\n");
  } else {
    Print(absl::StrCat(report.ToText(), out, ": ", Grouped(trace->lines.size()),
                       " operations. Replay it:\n  ./vmsim replay ", out, "\n"));
  }
  return kExitPass;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

int RecordCommand(const Arguments& arguments) {
  RecordOptions record;
  std::string out;
  bool json_wanted = false;
  Options options("record", "-o T.trace -- CMD ARGS...",
                  "runs a program and makes a trace of its memory calls");
  options.Text("o", &out, "T.trace", "where to write the trace");
  options.Switch("touches", &record.touches,
                 "page accesses too: under Valgrind, about a hundred times slower");
  options.Text("what", &record.import.what, "TEXT", "what the trace shows, for its first line");
  options.Switch("json", &json_wanted,
                 "one JSON object on standard output, after the program's own output");
  options.Epilogue(kRecordEpilogue);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&options, arguments, &operands)) return *end;
  if (!operands.empty()) {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("the program to record goes after --, as in `vmsim record -o T.trace -- ",
                     operands.front(), "`")));
  }
  if (options.rest().empty()) {
    return PrintError(
        absl::InvalidArgumentError("no program given after --; see vmsim record --help"));
  }
  if (out.empty())
    return PrintError(absl::InvalidArgumentError("-o T.trace is wanted; see vmsim record --help"));
  // A recording may take minutes; what is in the way of its trace is said before.
  absl::Status target = traces::CheckTraceTarget(out);
  if (!target.ok()) return PrintError(target);
  record.argv = options.rest();
  record.import.name = BaseName(out);
  ImportReport report;
  const Stopwatch watch;
  return WriteResult(Record(record, &report), report, out, json_wanted, watch);
}

int ImportCommand(const Arguments& arguments) {
  ImportOptions import;
  std::string out;
  bool json_wanted = false;
  Options options("import", "strace|lackey FILE... -o T.trace", "makes a trace of a recording");
  options.Text("o", &out, "T.trace", "where to write the trace");
  options.Text("what", &import.what, "TEXT", "what the trace shows, for its first line");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kImportEpilogue);
  std::vector<std::string> operands;
  if (auto end = ParseOrEnd(&options, arguments, &operands)) return *end;
  if (operands.size() < 2 || out.empty()) {
    return PrintError(absl::InvalidArgumentError(
        "a format, a file and -o T.trace are wanted; see vmsim import --help"));
  }
  import.name = BaseName(out);
  ImportReport report;
  const Stopwatch watch;
  const std::string& format = operands.front();
  std::vector<std::string> files(operands.begin() + 1, operands.end());
  if (format == "lackey")
    return WriteResult(ImportLackey(files, import, &report), report, out, json_wanted, watch);
  if (format != "strace") {
    return PrintError(absl::InvalidArgumentError(
        absl::StrCat("there is no format \"", format, "\"; the formats are strace and lackey")));
  }
  if (files.size() != 1) {
    return PrintError(
        absl::InvalidArgumentError("exactly one strace file is wanted; strace -f writes one"));
  }
  return WriteResult(ImportStrace(files.front(), import, &report), report, out, json_wanted, watch);
}

}  // namespace tools
