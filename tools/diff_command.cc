// vmsim diff: two runs, operation by operation.

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/hash_chain.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/report.h"

namespace tools {
namespace {

constexpr const char* kEpilogue =
    "Example:\n"
    "  ./vmsim run --seed 1 --ops 20k --chain here.chain\n"
    "  (the same with another compiler, on another machine)\n"
    "  ./vmsim diff here.chain there.chain\n\n"
    "Exit code 13 and the first operation that differs, when one does.\n"
    "tools/compare_builds.sh does all of that for several builds of this tree.\n";

}  // namespace

int DiffCommand(const Arguments& arguments) {
  bool json_wanted = false;
  Options options("diff", "A.chain B.chain", "says where two runs first differ");
  options.Switch("json", &json_wanted, "one JSON object on standard output");
  options.Epilogue(kEpilogue);
  std::vector<std::string> files;
  if (auto end = ParseOrEnd(&options, arguments, &files)) return *end;
  if (files.size() != 2) {
    return PrintError(absl::InvalidArgumentError("two chains are wanted; see vmsim diff --help"));
  }
  absl::StatusOr<std::string> a = ReadWhole(files.front());
  if (!a.ok()) return PrintError(a.status());
  absl::StatusOr<std::string> b = ReadWhole(files.back());
  if (!b.ok()) return PrintError(b.status());
  const std::optional<std::string> difference = proptests::FirstDifferenceOfTexts(*a, *b);
  using proptests::FailureClass;
  const FailureClass cls = difference ? FailureClass::kNondeterminism : FailureClass::kNone;
  if (json_wanted) {
    Json json = PlainResultJson(0, 0);
    json["result"] = proptests::FailureClassName(cls);
    if (difference) json["difference"] = *difference;
    Print(json.dump(2) + "\n");
  } else if (difference) {
    Print(absl::StrCat(Red("DIFFER"), " ", *difference, "\n"));
  } else {
    Print(absl::StrCat(Green("SAME"), " ", files.front(), " and ", files.back(), "\n"));
  }
  return static_cast<int>(cls);
}

}  // namespace tools
