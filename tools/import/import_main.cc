// tools/import/import_main.cc: the importer alone, for tests and for making the corpus without the
// rest of vmsim.
//
//   import_main record [--touches] [--name N] [--what TEXT] -o OUT -- CMD ARGS...
//   import_main strace|lackey [--name N] [--what TEXT] -o OUT FILE...

#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/import/import.h"
#include "traces/codec.h"

namespace {

int Fail(const std::string& message) {
  std::fprintf(stderr, "import_main: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  std::string out;
  tools::RecordOptions record;
  std::vector<std::string> rest;
  for (int i = 2; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool has_value = i + 1 < argc;
    if (arg == "--touches") {
      record.touches = true;
    } else if (arg == "-o" && has_value) {
      out = argv[++i];
    } else if (arg == "--name" && has_value) {
      record.import.name = argv[++i];
    } else if (arg == "--what" && has_value) {
      record.import.what = argv[++i];
    } else {
      if (arg == "--") ++i;
      rest.assign(argv + i, argv + argc);
      break;
    }
  }
  if (out.empty()) return Fail("expected -o OUT, found none");
  tools::ImportReport report;
  absl::StatusOr<traces::Trace> trace =
      absl::InvalidArgumentError("expected record, strace or lackey");
  if (mode == "record") {
    record.argv = rest;
    trace = tools::Record(record, &report);
  } else if (mode == "strace" && rest.size() == 1) {
    trace = tools::ImportStrace(rest[0], record.import, &report);
  } else if (mode == "lackey") {
    trace = tools::ImportLackey(rest, record.import, &report);
  }
  if (!trace.ok()) return Fail(std::string(trace.status().message()));
  const absl::Status written = traces::WriteTraceFile(out, *trace);
  if (!written.ok()) return Fail(std::string(written.message()));
  std::fputs(report.ToText().c_str(), stderr);
  return 0;
}
