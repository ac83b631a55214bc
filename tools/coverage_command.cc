// vmsim coverage: which lines and branches random operations reach.

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proptests/engine/failure.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/coverage.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"

namespace tools {
namespace {

constexpr const char* kExclusionsPath = "tools/coverage_exclusions.txt";
constexpr const char* kTestsPath = "tools/coverage_tests.txt";

// The campaigns that share the operations when none is given after --: the plain one, a kernel that
// fails, other schedules and processors, hardware without status bits, small and crowded address
// spaces, and memory that is scarce. A path is one below the sources.
constexpr const char* kCampaigns[] = {
    "",
    "--faults all",
    "--schedule random --processors 4",
    "--schedule pct --processors 2 --faults all",
    "--profile amd64-no-reference",
    "--quirks pistachio-new-mdb --faults all",
    "--quirks pistachio-old-mdb",
    "--quirks manual-rights-new-mdb",
    "--quirks manual-rights-old-mdb --faults all",
    "--pages 8 --tasks 24 --case-ops 2000",
    "--pages 512 --tasks 3",
    "--frames 1100 --pages 256 --tasks 24 --faults all",
    "--frames 128 --swap 4096,1024 --mix proptests/mixes/pressure.mix",
    "--frames 128 --swap 64,32 --mix proptests/mixes/pressure.mix --faults all "
    "--case-ops 1000",
    "--frames 160 --tasks 32 --pages 512 --swap 8192 --swap-latency 20 --policy clockpro "
    "--mix proptests/mixes/pressure.mix --schedule pct",
    "--frames 128 --swap 4096 --policy fifo --mix proptests/mixes/pressure.mix "
    "--faults unlimited --case-ops 1000",
};

constexpr const char* kEpilogue =
    "Builds vmsim and the tests of tools/coverage_tests.txt, which draw random operations, with\n"
    "--config=cov (the first time takes some minutes), runs them, and prints lines and branches "
    "of\n"
    "the sources in uvm, pmap_sim and vmserver, or of the files or directories given (globs too;\n"
    "a directory's tests and what lies below it do not count).\n"
    "A branch is one value of one condition.\n"
    "tools/coverage_exclusions.txt lists what does not count. What follows -- goes to one run,\n"
    "instead of the campaigns and tests. Exit code 17 when less than --least-lines or\n"
    "--least-branches was reached in total; a run's own code when a campaign failed, in which\n"
    "what it reached until then is counted.\n\n"
    "Examples:\n"
    "  ./vmsim coverage --ops 1m\n"
    "  ./vmsim coverage --ops 200k --missed uvm/amap.cc uvm/fault.cc\n"
    "  ./vmsim coverage --seed 5 --json vmserver\n"
    "  ./vmsim coverage --tests none\n"
    "  ./vmsim coverage --least-lines 95 --least-branches 90 -- --faults all --no-swarm\n\n"
    "Campaigns:\n";

struct CoverageFlags {
  uint64_t seed = 1;
  uint64_t ops = 700000;
  uint64_t least_lines = 0;
  uint64_t least_branches = 0;
  std::string from;
  std::string binary;
  std::string tests;
  bool missed = false;
  bool json = false;
};

void Declare(Options* options, CoverageFlags* flags) {
  options->Number("seed", &flags->seed, 0, ~uint64_t{0}, "of the first campaign; then one more");
  options->Number("ops", &flags->ops, 1, uint64_t{1} << 50, "operations of all campaigns together");
  options->Number("least-lines", &flags->least_lines, 0, 100, "percent of lines to ask for");
  options->Number("least-branches", &flags->least_branches, 0, 100,
                  "percent of branches to ask for");
  options->Switch("missed", &flags->missed, "also list what was not reached");
  options->Text("tests", &flags->tests, "LABEL,...",
                "run these test targets instead of the listed ones; none: campaigns only");
  options->Text("binary", &flags->binary, "FILE", "a vmsim of --config=cov that is built already");
  options->Text("from", &flags->from, "FILE", "run nothing: read what llvm-cov export has written");
  options->Switch("json", &flags->json, "one JSON object on standard output");
  std::string epilogue = kEpilogue;
  for (const char* campaign : kCampaigns) {
    absl::StrAppend(&epilogue, "  run ", *campaign == '\0' ? "(no options)" : campaign, "\n");
  }
  options->Epilogue(epilogue);
}

// What a program that failed is to vmsim's own caller. A test that fails ends with 1.
int CodeOf(int exit) {
  using proptests::FailureClass;
  const bool own = exit >= static_cast<int>(FailureClass::kContents) &&
                   exit <= static_cast<int>(FailureClass::kOutcome);
  if (own) return exit;
  return static_cast<int>(exit < 128 ? FailureClass::kOutcome : FailureClass::kCrash);
}

// What is measured: programs with what is after their names, and how they are called in messages.
struct Job {
  Words words;
  std::string name;
  std::string directory;
};

class Session {
 public:
  Session(const CoverageFlags& flags, const Words& rest) : flags_(flags), rest_(rest) {}

  // The text of an export. A campaign that fails leaves its code in `*code` and its report on
  // standard error; what it reached until then counts.
  absl::StatusOr<std::string> Export(int* code);
  uint64_t ops() const { return ops_; }

 private:
  absl::Status Build();
  std::vector<Job> Jobs();
  void Note(absl::string_view what) const;

  const CoverageFlags& flags_;
  const Words& rest_;
  WorkDirectory work_{"coverage"};
  std::string vmsim_;
  std::vector<std::string> tests_;  // paths
  uint64_t ops_ = 0;
};

void Session::Note(absl::string_view what) const {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fputs(absl::StrCat("\r\033[K", what.empty() ? "" : "coverage: ", what).c_str(), stderr);
}

// Labels, one a line; `#` starts a comment.
absl::StatusOr<Words> ListedTests() {
  absl::StatusOr<std::string> text = ReadWhole(absl::StrCat(SourceRoot(), "/", kTestsPath));
  if (!text.ok()) return text.status();
  Words labels;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (!line.empty()) labels.emplace_back(line);
  }
  return labels;
}

absl::Status Session::Build() {
  const bool listed = flags_.tests.empty() && flags_.binary.empty() && rest_.empty();
  Words labels;
  if (flags_.tests != "none") labels = absl::StrSplit(flags_.tests, ',', absl::SkipEmpty());
  vmsim_ = flags_.binary;
  if (!vmsim_.empty() && labels.empty()) {
    if (access(vmsim_.c_str(), X_OK) == 0) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat(vmsim_, ": expected a program, found none"));
  }
  // Before anything of the tree is read.
  absl::Status status = NeedSourceTree();
  if (!status.ok()) return status;
  if (listed) {
    absl::StatusOr<Words> tests = ListedTests();
    if (!tests.ok()) return tests.status();
    labels = *tests;
  }
  Words wanted = labels;
  wanted.push_back("//tools:vmsim");
  Note("building ...");
  absl::StatusOr<std::string> bin =
      BuildTargets({"--config=cov"}, wanted, work_, "the coverage build");
  if (!bin.ok()) return bin.status();
  if (vmsim_.empty()) vmsim_ = *bin + "/tools/vmsim";
  for (absl::string_view label : labels) {
    absl::ConsumePrefix(&label, "//");
    tests_.push_back(absl::StrCat(*bin, "/", absl::StrReplaceAll(label, {{":", "/"}})));
  }
  return absl::OkStatus();
}

std::vector<Job> Session::Jobs() {
  std::vector<std::string> campaigns(std::begin(kCampaigns), std::end(kCampaigns));
  if (!rest_.empty()) campaigns = {absl::StrJoin(rest_, " ")};
  const uint64_t each = (flags_.ops + campaigns.size() - 1) / campaigns.size();
  std::vector<Job> jobs;
  for (size_t i = 0; i < campaigns.size(); ++i) {
    Job job;
    job.words = {vmsim_, "run", "--seed", absl::StrCat(flags_.seed + i), "--ops",
                 absl::StrCat(each),
                 // Workers leave no profiles.
                 "--jobs", "0"};
    Words more = rest_;
    if (rest_.empty()) more = absl::StrSplit(campaigns[i], ' ', absl::SkipEmpty());
    for (std::string& word : more) {
      if (rest_.empty() && absl::StrContains(word, '/'))
        word = absl::StrCat(SourceRoot(), "/", word);
    }
    job.words.insert(job.words.end(), more.begin(), more.end());
    job.name = absl::StrCat("vmsim ", absl::StrJoin(job.words.begin() + 1, job.words.end(), " "));
    jobs.push_back(job);
    ops_ += each;
  }
  for (const std::string& test : tests_) jobs.push_back({{test}, test, SourceRoot()});
  return jobs;
}

absl::StatusOr<std::string> Session::Export(int* code) {
  absl::Status status = work_.Create();
  if (status.ok()) status = Build();
  if (!status.ok()) return status;
  Words merge = {"llvm-profdata", "merge", "-sparse", "-o", work_.File("merged")};
  size_t number = 0;
  for (const Job& job : Jobs()) {
    Note(job.name);
    const std::string profile = work_.File(absl::StrCat("run", number++, ".profraw"));
    absl::StatusOr<int> exit = RunProgram(
        {job.words, job.directory, work_.File("output"), "", "LLVM_PROFILE_FILE=" + profile});
    if (!exit.ok()) return exit.status();
    if (*exit != 0) {
      Note("");
      ShowOutput(work_.File("output"));
      if (*exit == kExitUsage && job.words[0] == vmsim_) {
        return absl::InvalidArgumentError(absl::StrCat(job.name, " could not begin, see above"));
      }
      *code = CodeOf(*exit);
      std::fputs(absl::StrCat("vmsim: ", job.name, " ended with exit code ", *exit,
                              "; what it reached counts\n")
                     .c_str(),
                 stderr);
      // One that was killed leaves nothing to count.
      if (access(profile.c_str(), R_OK) != 0) continue;
    }
    if (access(profile.c_str(), R_OK) != 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          job.words[0], ": expected a program of --config=cov, but it left no profile"));
    }
    merge.push_back(profile);
  }
  Note("merging ...");
  status = RunTool({merge, "", work_.File("output"), "", ""}, "llvm-profdata");
  if (!status.ok()) return status;
  Words show = {"llvm-cov", "export", "-skip-functions",
                absl::StrCat("-instr-profile=", work_.File("merged")), vmsim_};
  for (const std::string& test : tests_) show.push_back(absl::StrCat("-object=", test));
  status = RunTool({show, "", work_.File("export"), work_.File("errors"), ""}, "llvm-cov");
  Note("");
  if (!status.ok()) return status;
  return ReadWhole(work_.File("export"));
}

// A directory means its sources, not its tests, nor what only tests use.
bool Wanted(const std::string& file, const Words& filters) {
  for (const std::string& filter : filters) {
    if (fnmatch(filter.c_str(), file.c_str(), FNM_PATHNAME) == 0) return true;
    const std::string directory = absl::EndsWith(filter, "/") ? filter : filter + "/";
    if (!absl::StartsWith(file, directory)) continue;
    const bool test = absl::EndsWith(file, "_test.cc") || absl::EndsWith(file, "_benchmark.cc");
    const bool below = absl::StrContains(absl::string_view(file).substr(directory.size()), '/');
    if (!test && !below) return true;
  }
  return false;
}

struct Measured {
  std::vector<FileCoverage> files;
  Words left_out;   // by an exclusion
  Words not_built;  // in no program that ran
};

// The sources that the filters mean and that no program that ran is made of; tests, benchmarks and
// what only a host links apart.
Words NotBuilt(const std::vector<ExportedFile>& files, const Words& filters) {
  Words missing;
  std::error_code error;
  for (const std::string& filter : filters) {
    const std::string directory = absl::StrContains(filter, '*')
                                      ? filter.substr(0, filter.find_last_of('/') + 1)
                                      : filter + "/";
    const std::filesystem::path path(absl::StrCat(SourceRoot(), "/", directory));
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      const std::string file = directory + entry.path().filename().string();
      const bool source = absl::EndsWith(file, ".cc") && !absl::EndsWith(file, "_test.cc") &&
                          !absl::EndsWith(file, "_benchmark.cc") &&
                          !absl::EndsWith(file, "_host.cc");
      const bool built = std::any_of(files.begin(), files.end(), [&](const ExportedFile& exported) {
        return exported.name == file;
      });
      if (source && !built && Wanted(file, filters)) missing.push_back(file);
    }
  }
  std::sort(missing.begin(), missing.end());
  return missing;
}

absl::StatusOr<Measured> MeasureAll(const std::vector<ExportedFile>& files, const Words& filters) {
  const std::string path = absl::StrCat(SourceRoot(), "/", kExclusionsPath);
  absl::StatusOr<std::string> text = ReadWhole(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<Exclusions> exclusions = Exclusions::Parse(path, *text);
  if (!exclusions.ok()) return exclusions.status();
  Measured measured;
  for (const ExportedFile& file : files) {
    if (!Wanted(file.name, filters)) continue;
    if (exclusions->LeavesOut(file.name)) {
      measured.left_out.push_back(file.name);
      continue;
    }
    absl::StatusOr<std::string> source = ReadWhole(absl::StrCat(SourceRoot(), "/", file.name));
    if (!source.ok()) return source.status();
    absl::StatusOr<FileCoverage> coverage = Measure(file, *source, *exclusions);
    if (!coverage.ok()) return coverage.status();
    measured.files.push_back(*coverage);
  }
  measured.not_built = NotBuilt(files, filters);
  if (measured.files.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no file that was built matches ", absl::StrJoin(filters, " ")));
  }
  return measured;
}

Json CoverageJson(const FileCoverage& file, bool missed) {
  Json json;
  json["file"] = file.name;
  json["lines"] = file.lines;
  json["lines_reached"] = file.lines_reached;
  json["branches"] = file.arms;
  json["branches_reached"] = file.arms_reached;
  json["lines_excluded"] = file.lines_excluded;
  json["branches_excluded"] = file.arms_excluded;
  if (!missed) return json;
  json["missed_lines"] = Json::array();
  for (const LineRange& range : file.missed_lines) {
    json["missed_lines"].push_back({range.first, range.last});
  }
  json["missed_branches"] = Json::array();
  for (const MissedArm& arm : file.missed_arms) {
    json["missed_branches"].push_back({{"line", arm.at.line},
                                       {"column", arm.at.column},
                                       {"never", arm.arm},
                                       {"condition", arm.text}});
  }
  return json;
}

// `failed_run`: the exit code of a campaign that failed, or 0.
int Report(const CoverageFlags& flags, const Measured& measured, int failed_run, uint64_t ops,
           double seconds) {
  const FileCoverage total = Total(measured.files);
  const bool enough = Reached(total.lines_reached, total.lines) >= flags.least_lines * 100 &&
                      Reached(total.arms_reached, total.arms) >= flags.least_branches * 100;
  const int code = failed_run != kExitPass ? failed_run
                   : enough                ? kExitPass
                                           : static_cast<int>(proptests::FailureClass::kOutcome);
  if (flags.json) {
    Json json = PlainResultJson(ops, seconds);
    if (code != kExitPass) {
      json["result"] = proptests::FailureClassName(static_cast<proptests::FailureClass>(code));
    }
    json["files"] = Json::array();
    for (const FileCoverage& file : measured.files) {
      json["files"].push_back(CoverageJson(file, flags.missed));
    }
    json["total"] = CoverageJson(total, false);
    json["excluded_files"] = measured.left_out;
    json["files_not_built"] = measured.not_built;
    Print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return code;
  }
  Print(CoverageTable(measured.files));
  for (const std::string& file : measured.left_out) {
    Print(absl::StrCat(file, "  left out by ", kExclusionsPath, "\n"));
  }
  for (const std::string& file : measured.not_built) {
    Print(absl::StrCat(file, "  not part of what ran\n"));
  }
  if (flags.missed) {
    Print("\n");
    for (const FileCoverage& file : measured.files) Print(MissedText(file));
  }
  if (flags.least_lines != 0 || flags.least_branches != 0) {
    Print(absl::StrCat(enough ? Green("PASS") : Red("FAIL"), " at least ", flags.least_lines,
                       "% of lines and ", flags.least_branches, "% of branches wanted\n"));
  }
  return code;
}

}  // namespace

int CoverageCommand(const Arguments& arguments) {
  CoverageFlags flags;
  Options options("coverage", "[FILE...] [-- RUN OPTIONS]",
                  "which lines and branches random operations reach");
  Declare(&options, &flags);
  std::vector<std::string> filters;
  if (auto end = ParseOrEnd(&options, arguments, &filters)) return *end;
  if (filters.empty()) filters = {"uvm", "pmap_sim", "vmserver"};
  const Stopwatch watch;
  Session session(flags, options.rest());
  int failed_run = kExitPass;
  absl::StatusOr<std::string> text =
      flags.from.empty() ? session.Export(&failed_run) : ReadWhole(flags.from);
  if (!text.ok()) return PrintError(text.status());
  absl::StatusOr<std::vector<ExportedFile>> files =
      ParseExport(flags.from.empty() ? "llvm-cov export" : flags.from, *text);
  if (!files.ok()) return PrintError(files.status());
  absl::StatusOr<Measured> measured = MeasureAll(*files, filters);
  if (!measured.ok()) return PrintError(measured.status());
  return Report(flags, *measured, failed_run, session.ops(), watch.Seconds());
}

}  // namespace tools
