// vmsim diagram: operations against an address ruler.

#include "proptests/engine/diagram.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

constexpr const char* kEpilogue =
    "Examples:\n"
    "  ./vmsim diagram traces/corpus/cow_fork_child_write.trace\n"
    "  ./vmsim diagram --task 2 --from 100 --ops 40 recorded.trace\n"
    "  ./vmsim diagram --html cow.html traces/corpus/cow_fork_child_write.trace\n";

// Writes the whole file or nothing.
absl::Status WriteFile(const std::string& path, const std::string& text) {
  const absl::Status target = traces::CheckTraceTarget(path);
  if (!target.ok()) return target;
  std::string temporary = path + ".part";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) {
      std::remove(temporary.c_str());
      return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  std::remove(temporary.c_str());
  return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace

int DiagramCommand(const Arguments& arguments) {
  proptests::DiagramOptions wanted;
  uint64_t task = 0;
  std::string svg;
  std::string html;
  bool json_wanted = false;
  Options options("diagram", "T.trace", "draws a trace's operations against an address ruler");
  options.Number("from", &wanted.first, 1, ~uint64_t{0}, "first operation to draw");
  options.Number("ops", &wanted.most_ops, 1, 100000, "operations to draw, at most");
  options.Number("task", &task, 0, traces::kMaxLabel, "only operations of this task; 0 = all");
  options.Text("svg", &svg, "FILE", "write a picture instead");
  options.Text("html", &html, "FILE", "write a page with the picture and its legend instead");
  options.Switch("json", &json_wanted, "one JSON object on standard output, the drawing in it");
  options.Epilogue(kEpilogue);
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  if (files.size() != 1) {
    return PrintError(
        absl::InvalidArgumentError("exactly one trace is wanted; see vmsim diagram --help"));
  }
  absl::StatusOr<traces::Trace> trace = traces::ReadTraceFile(files.front());
  if (!trace.ok()) return PrintError(trace.status());
  wanted.task = static_cast<uint32_t>(task);
  const Stopwatch watch;
  proptests::Diagram diagram(*trace, wanted);
  absl::Status status;
  if (!svg.empty()) status = WriteFile(svg, diagram.Svg());
  if (status.ok() && !html.empty()) status = WriteFile(html, diagram.Html());
  if (!status.ok()) return PrintError(status);
  if (json_wanted) {
    Json json = PlainResultJson(trace->lines.size(), watch.Seconds());
    json["diagram"] = diagram.Text();
    Print(json.dump(2) + "\n");
  } else if (svg.empty() && html.empty()) {
    Print(diagram.Text());
  }
  return kExitPass;
}

}  // namespace tools
