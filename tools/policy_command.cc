// vmsim policy: a recorded program's touches under each replacement policy.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/policy/miss_plot.h"
#include "tools/policy/policy_sim.h"
#include "tools/policy/stack_distance.h"
#include "tools/policy/touch_reader.h"
#include "tools/policy/touch_stream.h"
#include "tools/process.h"
#include "tools/report.h"
#include "traces/codec.h"

namespace tools {
namespace {

using policy::Method;

constexpr const char* kEpilogue =
    "The policies are the machine's own, run behind a simulated page daemon: pages come in when "
    "they\n"
    "are touched and find no free frame, and a round of the daemon makes some free. lru and min "
    "(the\n"
    "optimum, which knows the future) are there to compare with. A miss is a touch of a page that "
    "is\n"
    "not in memory; first touches are misses under every policy.\n\n"
    "Policies: clock, clock-plain (all sorts of memory alike), clockpro, clockpro-adaptive, fifo, "
    "lru, min.\n\n"
    "Examples:\n"
    "  ./vmsim record --touches -o sort.trace -- sort /etc/services\n"
    "  ./vmsim policy sort.trace\n"
    "  ./vmsim policy sort.trace --frames 64,128,256 --policy clock,clockpro,min\n"
    "  ./vmsim policy traces/corpus/recorded/cc_compile_touches.trace -o misses.svg\n"
    "  ./vmsim policy traces/corpus/recorded/cc_compile_touches.trace --distances\n";

constexpr uint64_t kMostFrames = 1u << 24;

struct Wanted {
  std::vector<uint32_t> frames;  // rising
  std::vector<Method> methods;
};

// What came out; rows by frames, columns by method.
struct Table {
  Wanted wanted;
  std::vector<std::vector<policy::MissCounts>> rows;
};

absl::StatusOr<std::vector<uint32_t>> ParseFrames(const std::string& text, uint32_t peak) {
  std::vector<uint32_t> frames;
  if (text.empty()) {
    for (uint64_t eighth = 1; eighth <= 8; ++eighth)
      frames.push_back(static_cast<uint32_t>(std::max<uint64_t>(peak * eighth / 8, 1)));
  } else {
    for (const std::string& item : std::vector<std::string>(absl::StrSplit(text, ','))) {
      const bool percent = !item.empty() && item.back() == '%';
      uint64_t number = 0;
      const bool known = ParseNumber(percent ? item.substr(0, item.size() - 1) : item, &number) &&
                         number >= 1 && number <= (percent ? 1000 : kMostFrames);
      if (!known) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--frames takes numbers of frames from 1 to ", kMostFrames,
            " or percentages of the pages in use, joined by commas, not \"", item, "\""));
      }
      if (percent) number = std::clamp<uint64_t>(peak * number / 100, 1, kMostFrames);
      frames.push_back(static_cast<uint32_t>(number));
    }
  }
  std::sort(frames.begin(), frames.end());  // total order: numbers
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  return frames;
}

absl::StatusOr<std::vector<Method>> ParseMethods(const std::string& text) {
  if (text == "all")
    return std::vector<Method>(std::begin(policy::kMethods), std::end(policy::kMethods));
  std::vector<Method> methods;
  for (const std::string& item : std::vector<std::string>(absl::StrSplit(text, ','))) {
    Method method;
    if (!policy::MethodOfName(item, &method))
      return absl::InvalidArgumentError(
          absl::StrCat("there is no policy \"", item, "\"; vmsim policy --help lists them"));
    if (std::find(methods.begin(), methods.end(), method) == methods.end())
      methods.push_back(method);
  }
  return methods;
}

Table Run(const policy::TouchStream& touches, Wanted wanted) {
  Table table{std::move(wanted), {}};
  const uint64_t all = touches.size() * table.wanted.frames.size() * table.wanted.methods.size();
  ProgressLine progress("touches", all);
  uint64_t done = 0;
  for (const uint32_t frames : table.wanted.frames) {
    std::vector<policy::MissCounts> row;
    for (const Method method : table.wanted.methods) {
      row.push_back(policy::Simulate(method, touches, frames, [&](uint64_t more) {
        done += more;
        progress.Show(done, absl::StrCat(" ", policy::MethodName(method), " with ", frames));
      }));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

// ---- Text ----

std::string Heading(const policy::TouchTrace& trace) {
  const policy::TouchStream& touches = trace.touches;
  std::string text = absl::StrCat(
      Grouped(touches.touches()), " touches (", Grouped(touches.writes()), " writes) of ",
      Grouped(touches.pages()), " pages, at most ", Grouped(touches.peak()), " at once");
  if (trace.passed_over > 0)
    absl::StrAppend(&text, "; ", Grouped(trace.passed_over), " operations passed over");
  return text;
}

template <typename Cell>
std::string Block(const Table& table, const std::string& what, Cell&& cell) {
  std::string text = absl::StrCat("\n", what, "\n", absl::StrFormat("%9s", "frames"));
  for (const Method method : table.wanted.methods) {
    const std::string name = policy::MethodName(method);
    text += absl::StrFormat("  %*s", std::max<int>(static_cast<int>(name.size()), 11), name);
  }
  text += "\n";
  for (size_t row = 0; row < table.rows.size(); ++row) {
    text += absl::StrFormat("%9s", Grouped(table.wanted.frames[row]));
    for (size_t column = 0; column < table.rows[row].size(); ++column) {
      const size_t width = std::string(policy::MethodName(table.wanted.methods[column])).size();
      text += absl::StrFormat("  %*s", std::max<int>(static_cast<int>(width), 11),
                              cell(table.rows[row][column]));
    }
    text += "\n";
  }
  return text;
}

std::string TableText(const policy::TouchTrace& trace, const Table& table) {
  const double touches = static_cast<double>(std::max<uint64_t>(trace.touches.touches(), 1));
  const uint64_t first = table.rows.front().front().first;
  return absl::StrCat(
      Heading(trace), "\n",
      Block(table, absl::StrCat("Misses, ", Grouped(first), " of them first touches"),
            [](const policy::MissCounts& c) { return Grouped(c.misses); }),
      Block(table, "Misses in 100 touches",
            [&](const policy::MissCounts& c) {
              return absl::StrFormat("%.2f", 100.0 * static_cast<double>(c.misses) / touches);
            }),
      Block(table, "Pages written out before they were replaced",
            [](const policy::MissCounts& c) { return Grouped(c.page_outs); }));
}

// Reuse distances by powers of two: the first distance of each class, and the touches in it.
std::vector<std::pair<uint64_t, uint64_t>> DistanceClasses(
    const policy::StackDistances& distances) {
  std::vector<std::pair<uint64_t, uint64_t>> classes;
  for (uint64_t from = 1; from <= distances.uses().size(); from *= 2) {
    uint64_t uses = 0;
    for (uint64_t d = from; d < from * 2 && d <= distances.uses().size(); ++d)
      uses += distances.uses()[d - 1];
    classes.emplace_back(from, uses);
  }
  return classes;
}

std::string DistancesText(const policy::StackDistances& distances, uint64_t touches) {
  std::string text = "\nReuse distances: pages used since the page's own last use, itself too\n";
  for (const auto& [from, uses] : DistanceClasses(distances)) {
    const double share =
        static_cast<double>(uses) / static_cast<double>(std::max<uint64_t>(touches, 1));
    text += absl::StrFormat(
        "%19s  %11s  %6.2f%%  %s\n",
        from == 1 ? "1" : absl::StrCat(Grouped(from), " to ", Grouped(from * 2 - 1)), Grouped(uses),
        share * 100, std::string(static_cast<size_t>(share * 60 + 0.5), '#'));
  }
  text += absl::StrFormat("%19s  %11s\n", "first touches", Grouped(distances.first()));
  return text;
}

// ---- JSON and the picture ----

Json TableJson(const policy::TouchTrace& trace, const Table& table,
               const policy::StackDistances& distances, double seconds) {
  Json json = PlainResultJson(trace.operations, seconds);
  const policy::TouchStream& touches = trace.touches;
  json["touches"] = touches.touches();
  json["writes"] = touches.writes();
  json["pages"] = touches.pages();
  json["peak_pages"] = touches.peak();
  json["first_touches"] = distances.first();
  json["passed_over"] = trace.passed_over;
  Json rows = Json::array();
  for (size_t row = 0; row < table.rows.size(); ++row) {
    for (size_t column = 0; column < table.rows[row].size(); ++column) {
      const policy::MissCounts& counts = table.rows[row][column];
      rows.push_back(Json{{"frames", table.wanted.frames[row]},
                          {"policy", policy::MethodName(table.wanted.methods[column])},
                          {"misses", counts.misses},
                          {"page_ins", counts.page_ins()},
                          {"page_outs", counts.page_outs}});
    }
  }
  json["runs"] = rows;
  Json classes = Json::array();
  for (const auto& [from, uses] : DistanceClasses(distances))
    classes.push_back(Json{{"from", from}, {"touches", uses}});
  json["reuse_distances"] = classes;
  return json;
}

policy::MissPlot PlotOf(const std::string& path, const policy::TouchTrace& trace,
                        const Table& table, const policy::StackDistances& distances) {
  policy::MissPlot plot;
  const size_t slash = path.rfind('/');
  plot.title = slash == std::string::npos ? path : path.substr(slash + 1);
  plot.subtitle = Heading(trace);
  plot.touches = trace.touches.touches();
  plot.first = distances.first();
  plot.peak = trace.touches.peak();
  for (size_t column = 0; column < table.wanted.methods.size(); ++column) {
    policy::MissCurve curve{table.wanted.methods[column], {}};
    for (size_t row = 0; row < table.rows.size(); ++row)
      curve.points.emplace_back(table.wanted.frames[row], table.rows[row][column].misses);
    plot.curves.push_back(std::move(curve));
  }
  // A point a pixel, between the smallest and the largest memory asked for.
  constexpr uint64_t kPoints = 800;
  const uint64_t from = table.wanted.frames.front(), to = table.wanted.frames.back();
  for (uint64_t i = 0; i <= kPoints; ++i) {
    const auto frames = static_cast<uint32_t>(from + (to - from) * i / kPoints);
    if (plot.lru.empty() || plot.lru.back().first != frames)
      plot.lru.emplace_back(frames, distances.Misses(frames));
  }
  return plot;
}

absl::StatusOr<policy::TouchTrace> ReadTrace(const std::string& path) {
  ProgressLine progress("operations read", 0);
  uint64_t read = 0;
  absl::StatusOr<policy::TouchTrace> trace =
      policy::ReadTouchFile(path, [&](uint64_t more) { progress.Show(read += more); });
  if (trace.ok() && trace->touches.touches() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": nothing is touched in it; a recording with touches is wanted (vmsim record --touches)"));
  }
  return trace;
}

}  // namespace

int PolicyCommand(const Arguments& arguments) {
  std::string frames, picture, methods = "all";
  bool json_wanted = false, distances_wanted = false, force = false;
  Options options("policy", "T.trace", "replays a trace's touches under replacement policies");
  options.Text("frames", &frames, "N,M,...",
               "memory sizes in frames, or in percent (25%) of the pages in use; default: eighths");
  options.Text("policy", &methods, "P,...", "which policies");
  options.Text("o", &picture, "FILE.svg", "draw the miss curves too, into a file of that name");
  options.Switch("force", &force, "overwrite what has that name");
  options.Switch("distances", &distances_wanted, "print how soon pages are used again");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kEpilogue);
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  if (files.size() != 1)
    return PrintError(
        absl::InvalidArgumentError("exactly one trace is wanted; see vmsim policy --help"));
  const absl::StatusOr<std::vector<Method>> wanted = ParseMethods(methods);
  if (!wanted.ok()) return PrintError(wanted.status());
  // Before the trace is read, which may take long.
  const absl::StatusOr<std::vector<uint32_t>> readable = ParseFrames(frames, 1);
  if (!readable.ok()) return PrintError(readable.status());
  if (!picture.empty()) {
    const absl::Status target = traces::CheckTraceTarget(picture);
    if (!target.ok()) return PrintError(target);
    if (!force && std::filesystem::exists(picture)) {
      return PrintError(absl::AlreadyExistsError(
          absl::StrCat(picture, " is there already; --force overwrites it")));
    }
  }
  const Stopwatch watch;
  const absl::StatusOr<policy::TouchTrace> trace = ReadTrace(files.front());
  if (!trace.ok()) return PrintError(trace.status());
  const Table table = Run(trace->touches, {*ParseFrames(frames, trace->touches.peak()), *wanted});
  const policy::StackDistances distances(trace->touches);
  if (!picture.empty()) {
    const absl::Status written =
        WriteWhole(picture, policy::MissPlotSvg(PlotOf(files.front(), *trace, table, distances)));
    if (!written.ok()) return PrintError(written);
  }
  if (json_wanted) {
    Print(TableJson(*trace, table, distances, watch.Seconds()).dump(2) + "\n");
    return kExitPass;
  }
  Print(TableText(*trace, table));
  if (distances_wanted) Print(DistancesText(distances, trace->touches.touches()));
  return kExitPass;
}

}  // namespace tools
