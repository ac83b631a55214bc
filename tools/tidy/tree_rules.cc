#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tools/tidy/rules.h"

namespace tools::tidy {

// In cpp_rules.cc.
void CheckFirstIncludes(const std::vector<SourceFile>& tree, Findings* findings);

namespace {

namespace fs = std::filesystem;

void Report(const SourceFile& file, size_t index, absl::string_view rule, std::string what,
            std::string instead, Findings* findings) {
  findings->push_back({file.path(), static_cast<int>(index) + 1, std::string(rule), std::move(what),
                       std::move(instead)});
}

// One top-level call of a BUILD file.
struct Call {
  size_t line = 0;
  std::string text;
};

std::vector<Call> Calls(const SourceFile& build) {
  std::vector<Call> calls;
  int depth = 0;
  for (size_t i = 0; i < build.lines().size(); ++i) {
    std::string line = build.lines()[i];
    const size_t comment = line.find('#');
    if (comment != std::string::npos &&
        std::count(line.begin(), line.begin() + comment, '"') % 2 == 0) {
      line.resize(comment);
    }
    if (depth == 0) calls.push_back({i, ""});
    absl::StrAppend(&calls.back().text, line, "\n");
    for (const char c : line) depth += c == '(' || c == '[' ? 1 : (c == ')' || c == ']' ? -1 : 0);
  }
  return calls;
}

bool HasCppTarget(const Call& call) {
  return absl::StrContains(call.text, "cc_library(") || absl::StrContains(call.text, "cc_test(") ||
         absl::StrContains(call.text, "cc_binary(");
}

void CheckBuildFile(const SourceFile& build, const layering::Table& table, Findings* findings) {
  const std::vector<Call> calls = Calls(build);
  const bool in_row = !table.RowOf(build.Directory()).empty();
  const bool cpp = std::any_of(calls.begin(), calls.end(), HasCppTarget);
  const bool third_party = build.IsIn("third_party");
  if (cpp && !third_party) {
    for (const absl::string_view need :
         {"default_visibility = [\"//visibility:private\"]", "features = [\"layering_check\"]"}) {
      if (absl::StrContains(build.text(), need)) continue;
      Report(build, 0, "build-package", "package() lacks a setting of the house", std::string(need),
             findings);
    }
  }
  if (cpp && in_row && !absl::StrContains(build.text(), "\nlayering_test(")) {
    Report(build, 0, "build-layering", "targets not held to the table",
           "`layering_test()` of //tools/bazel:defs.bzl as the last line", findings);
  }
  const bool support = absl::EndsWith(build.Directory(), "/testing");
  if (support && !absl::StrContains(build.text(), "default_testonly = True")) {
    Report(build, 0, "build-testonly", "test support that a product could link",
           "`default_testonly = True`", findings);
  }
  if (!in_row || build.IsIn("tools")) return;
  for (const Call& call : calls) {
    if (!HasCppTarget(call) || !absl::StrContains(call.text, "//visibility:public")) continue;
    Report(build, call.line, "build-public", "a public target in a package of the table",
           "a //:may_see_X group", findings);
  }
}

// Does `pattern` of a glob match `path`? `**` crosses directories, `*` does not.
bool Matches(absl::string_view pattern, absl::string_view path) {
  if (pattern.empty()) return path.empty();
  if (absl::ConsumePrefix(&pattern, "**/")) {
    for (size_t at = 0;; at = path.find('/', at) + 1) {
      if (Matches(pattern, path.substr(at))) return true;
      if (path.find('/', at) == absl::string_view::npos) return false;
    }
  }
  if (absl::ConsumePrefix(&pattern, "*")) {
    for (size_t n = 0; n <= path.size() && (n == 0 || path[n - 1] != '/'); ++n) {
      if (Matches(pattern, path.substr(n))) return true;
    }
    return false;
  }
  return !path.empty() && pattern[0] == path[0] && Matches(pattern.substr(1), path.substr(1));
}

// The files and patterns that each call of a BUILD file names. deployable_srcs names everything and
// thereby proves nothing.
std::vector<std::vector<std::string>> NamedFiles(const SourceFile& build) {
  std::vector<std::vector<std::string>> named;
  for (const Call& call : Calls(build)) {
    if (absl::StrContains(call.text, "\"deployable_srcs\"")) continue;
    named.emplace_back();
    const std::vector<std::string> quoted = absl::StrSplit(call.text, '"');
    for (size_t i = 1; i < quoted.size(); i += 2) {
      absl::string_view name = quoted[i];
      absl::ConsumePrefix(&name, ":");
      named.back().push_back(std::string(name));
    }
  }
  return named;
}

// Does a call name the file: whole, by a pattern, or as a sum of two parts (`n + "_test.cc" for n
// in ["map", ...]`)?
bool Names(const std::vector<std::string>& named, absl::string_view file) {
  const auto has = [&](absl::string_view part) {
    return std::find(named.begin(), named.end(), part) != named.end();
  };
  if (std::any_of(named.begin(), named.end(),
                  [&](const std::string& p) { return Matches(p, file); }))
    return true;
  for (size_t i = 1; i < file.size(); ++i) {
    if (has(file.substr(0, i)) && has(file.substr(i))) return true;
  }
  return false;
}

void CheckDeadFiles(const std::vector<SourceFile>& tree, Findings* findings) {
  std::map<std::string, std::vector<std::vector<std::string>>> builds;
  for (const SourceFile& file : tree) {
    if (file.IsBuild()) builds[file.Directory()] = NamedFiles(file);
  }
  for (const SourceFile& file : tree) {
    if (!file.IsCpp() && !absl::EndsWith(file.path(), ".trace")) continue;
    std::string package = file.Directory();
    while (!package.empty() && !builds.contains(package)) {
      const size_t slash = package.rfind('/');
      package = slash == std::string::npos ? "" : package.substr(0, slash);
    }
    const std::string name = package.empty() ? file.path() : file.path().substr(package.size() + 1);
    const auto found = builds.find(package);
    const bool used =
        found != builds.end() &&
        std::any_of(found->second.begin(), found->second.end(),
                    [&](const std::vector<std::string>& call) { return Names(call, name); });
    if (!used) {
      Report(file, 0, "dead-file", "no target names this file",
             absl::StrCat("it in //", package, ", or remove it"), findings);
    }
  }
}

// A directory that is a Bazel package, and the root, say what they are.
void CheckReadmes(const std::vector<SourceFile>& tree, Findings* findings) {
  std::set<std::string> readmes;
  for (const SourceFile& file : tree) {
    if (file.Name() == "README.md") readmes.insert(file.Directory());
  }
  for (const SourceFile& file : tree) {
    if (!file.IsBuild() || readmes.contains(file.Directory())) continue;
    Report(file, 0, "readme", "the directory has no README.md", "the template of CONTRIBUTING.md",
           findings);
  }
}

void CheckMarkdown(const SourceFile& file, Findings* findings) {
  bool fenced = false;
  int titles = 0;
  for (size_t i = 0; i < file.lines().size(); ++i) {
    if (absl::StartsWith(file.lines()[i], "```")) fenced = !fenced;
    if (fenced || !absl::StartsWith(file.lines()[i], "# ")) continue;
    if (++titles == 2)
      Report(file, i, "two-titles", "a second title", "one `# ` title and `## ` sections",
             findings);
  }
}

void CheckTrace(const SourceFile& file, Findings* findings) {
  const std::string first = file.lines().empty() ? "" : file.lines()[0];
  const bool says = absl::StartsWith(first, "#") && first.size() > 12;
  if (!says)
    Report(file, 0, "trace-comment", "the first line does not say what the trace shows",
           "`# name: what.`", findings);
}

std::vector<std::string> Cells(absl::string_view row) {
  row = absl::StripAsciiWhitespace(row);
  absl::ConsumePrefix(&row, "|");
  absl::ConsumeSuffix(&row, "|");
  std::vector<std::string> cells;
  for (absl::string_view cell : absl::StrSplit(row, '|'))
    cells.push_back(std::string(absl::StripAsciiWhitespace(cell)));
  return cells;
}

// Every row of the table of invariants names the property that samples it and the canary that
// breaks it.
void CheckInvariants(const SourceFile& file, Findings* findings) {
  std::map<std::string, size_t> wanted;
  for (size_t i = 0; i < file.lines().size(); ++i) {
    const std::string& line = file.lines()[i];
    if (!absl::StartsWith(line, "|")) {
      wanted.clear();
      continue;
    }
    const std::vector<std::string> cells = Cells(line);
    if (wanted.empty()) {
      for (size_t c = 0; c < cells.size(); ++c) {
        const std::string title = absl::AsciiStrToLower(cells[c]);
        if (absl::StrContains(title, "property")) wanted["property"] = c;
        if (absl::StrContains(title, "canary")) wanted["canary"] = c;
      }
      if (wanted.size() < 2) {
        Report(file, i, "invariant-row", "a table of invariants without both columns",
               "Property and Canary", findings);
      }
      continue;
    }
    if (line.find_first_not_of("|-: ") == std::string::npos) continue;
    for (const auto& [title, column] : wanted) {
      const bool filled =
          column < cells.size() && cells[column].find_first_not_of("-? ") != std::string::npos;
      if (!filled)
        Report(file, i, "invariant-row", absl::StrCat("an invariant without a ", title), "its name",
               findings);
    }
  }
}

bool IsGitIgnored(absl::string_view path) {
  return absl::EndsWith(path, ".orig") || absl::EndsWith(path, ".log");
}

bool IsSkippedDirectory(absl::string_view relative) {
  const absl::string_view name = relative.substr(relative.rfind('/') + 1);
  return name == ".git" || name == "testdata" || relative == "vectors" ||
         absl::StartsWith(relative, "bazel-") || relative == "tools/bazel/rules_cc" ||
         relative == "tools/bazel/remote_coverage_tools";
}

bool IsAllowed(const Finding& finding, const std::vector<Exception>& exceptions,
               std::set<int>* used) {
  bool allowed = false;
  for (const Exception& exception : exceptions) {
    absl::string_view path = exception.path;
    const bool prefix = absl::ConsumeSuffix(&path, "*");
    const bool here = prefix ? absl::StartsWith(finding.path, path) : finding.path == path;
    if (finding.rule != exception.rule || !here) continue;
    used->insert(exception.line);
    allowed = true;
  }
  return allowed;
}

}  // namespace

void CheckTreeShape(const std::vector<SourceFile>& tree, const layering::Table& table,
                    Findings* findings) {
  for (const SourceFile& file : tree) {
    if (file.IsBuild()) CheckBuildFile(file, table, findings);
    if (absl::EndsWith(file.path(), ".md")) CheckMarkdown(file, findings);
    if (absl::EndsWith(file.path(), ".trace")) CheckTrace(file, findings);
    if (file.path() == "docs/INVARIANTS.md") CheckInvariants(file, findings);
  }
  CheckFirstIncludes(tree, findings);
  CheckDeadFiles(tree, findings);
  CheckReadmes(tree, findings);
}

absl::StatusOr<std::vector<Exception>> ParseExceptions(absl::string_view text) {
  std::vector<Exception> exceptions;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    if (absl::StartsWith(line, "#") || absl::StripAsciiWhitespace(line).empty()) continue;
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits("  # ", 1));
    const std::vector<std::string> words = absl::StrSplit(parts[0], ' ', absl::SkipEmpty());
    if (parts.size() != 2 || words.size() != 2 || parts[1].size() < 10) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number, ": expected `RULE PATH  # why`, got: ", line));
    }
    exceptions.push_back({words[0], words[1], line_number});
  }
  return exceptions;
}

Findings CheckTree(const std::vector<SourceFile>& tree, const layering::Table& table,
                   const std::vector<Exception>& exceptions, absl::string_view exceptions_path) {
  Findings all;
  for (const SourceFile& file : tree) {
    CheckText(file, &all);
    CheckCpp(file, &all);
    CheckIncludes(file, table, &all);
  }
  CheckTreeShape(tree, table, &all);
  std::set<int> used;
  Findings findings;
  for (Finding& finding : all) {
    if (!IsAllowed(finding, exceptions, &used)) findings.push_back(std::move(finding));
  }
  for (const Exception& exception : exceptions) {
    if (used.contains(exception.line)) continue;
    findings.push_back({std::string(exceptions_path), exception.line, "exception",
                        "an exception that nothing needs", "no line for it"});
  }
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.path, a.line, a.rule, a.what) < std::tie(b.path, b.line, b.rule, b.what);
  });
  findings.erase(std::unique(findings.begin(), findings.end()), findings.end());
  return findings;
}

absl::StatusOr<std::vector<SourceFile>> ReadTree(const std::string& root) {
  std::error_code error;
  std::vector<std::string> paths;
  fs::recursive_directory_iterator at(root, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    const std::string relative = fs::relative(at->path(), root).string();
    if (at->is_directory() && (at->is_symlink() || IsSkippedDirectory(relative)))
      at.disable_recursion_pending();
    if (at->is_regular_file() && !at->is_symlink() && !IsGitIgnored(relative))
      paths.push_back(relative);
  }
  if (error) return absl::NotFoundError(absl::StrCat(root, ": cannot be read: ", error.message()));
  std::stable_sort(paths.begin(), paths.end());
  std::vector<SourceFile> tree;
  for (const std::string& path : paths) {
    std::ifstream in(fs::path(root) / path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
    if (absl::StrContains(text.str(), '\0')) continue;
    tree.emplace_back(path, text.str());
  }
  return tree;
}

}  // namespace tools::tidy
