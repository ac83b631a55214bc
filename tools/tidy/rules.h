// tools/tidy/rules.h: the rules of the house that are code.
//
// WHAT   Three sets of rules: about lines of any text, about C++, about the tree as a whole.
// CheckTree runs them all and takes out what the
//        list of exceptions allows.
// SEE    tools/tidy/README.md for the list of rules and for what cannot be checked mechanically;
// tools/tidy/exceptions.txt.
#ifndef TOOLS_TIDY_RULES_H_
#define TOOLS_TIDY_RULES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/layering/layering.h"
#include "tools/tidy/source.h"

namespace tools::tidy {

using Findings = std::vector<Finding>;

// Line length, blanks, banned words with their replacement, sources of nondeterminism (design D9).
void CheckText(const SourceFile& file, Findings* findings);

// File and function length, header form, first include, bool parameters, what the deployable side
// may use (design D2).
void CheckCpp(const SourceFile& file, Findings* findings);

// Includes against the architecture's table.
void CheckIncludes(const SourceFile& file, const layering::Table& table, Findings* findings);

// Documents, traces, BUILD files; dead files; missing READMEs.
void CheckTreeShape(const std::vector<SourceFile>& tree, const layering::Table& table,
                    Findings* findings);

// An exception: `RULE PATH  # why`. PATH may end in `*`.
struct Exception {
  std::string rule;
  std::string path;
  int line = 0;
};

absl::StatusOr<std::vector<Exception>> ParseExceptions(absl::string_view text);

// All of the above over a whole tree, sorted by path and line, without duplicates. An exception
// that is never needed is itself a finding in `exceptions_path`.
Findings CheckTree(const std::vector<SourceFile>& tree, const layering::Table& table,
                   const std::vector<Exception>& exceptions, absl::string_view exceptions_path);

// Reads every text file of the workspace at `root` that belongs to the project. Left out: .git,
// Bazel's links, recorded data (vectors/, never edited), testdata directories, and what .gitignore
// names.
absl::StatusOr<std::vector<SourceFile>> ReadTree(const std::string& root);

}  // namespace tools::tidy

#endif  // TOOLS_TIDY_RULES_H_
