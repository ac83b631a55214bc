#include "conform/conform.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "conform/l4.h"
#include "conform/recording.h"

namespace conform {

namespace {

using Json = nlohmann::ordered_json;

// `agree N of M (K by named differences)`, then what the rest is. No difference has a name yet, so
// K is 0.
std::string Lines(const std::string& file, const FileResult& r) {
  std::string text =
      absl::StrCat(file, ": agree ", r.agree, " of ", r.steps, " (0 by named differences)\n");
  if (r.first.has_value()) {
    absl::StrAppend(&text, "  first disagreement: ", ToString(*r.first, file), "\n");
    absl::StrAppend(&text, "  disagree: ", r.disagreements);
    const char* separator = " (";
    for (const auto& [field, count] : r.by_field) {
      absl::StrAppend(&text, separator, field, " x", count);
      separator = ", ";
    }
    absl::StrAppend(&text, ")\n");
  }
  if (r.after_disagreement != 0) {
    absl::StrAppend(&text, "  not compared: ", r.after_disagreement, " after a disagreement\n");
  }
  return text;
}

Json DisagreementJson(const Disagreement& d) {
  return {{"sequence", d.sequence},   {"op", d.step},     {"line", d.line},
          {"operation", d.operation}, {"field", d.field}, {"where", d.where},
          {"recorded", d.recorded},   {"ours", d.ours}};
}

Json FileJson(const std::string& file, const FileResult& r) {
  const Json not_compared = {{"after_disagreement", r.after_disagreement}};
  Json by_field = Json::object();
  for (const auto& [field, count] : r.by_field) by_field[field] = count;
  return {{"file", file},
          {"agree", r.agree},
          {"of", r.steps},
          {"named_differences", Json::object()},
          {"disagree", r.disagreements},
          {"disagree_by_field", by_field},
          {"not_compared", not_compared},
          {"first_disagreement", r.first.has_value() ? DisagreementJson(*r.first) : Json(nullptr)}};
}

Json LedgerJson(const fake_l4::Ledger& l) {
  return {{"ipc", l.ipc_sends},
          {"map", l.pages_mapped},
          {"map_items", l.map_items},
          {"extend", l.pages_extended},
          {"unmap", l.unmap_calls},
          {"pages_unmapped", l.pages_unmapped},
          {"restrict", l.pages_restricted},
          {"page_faults", l.page_faults}};
}

int PrintCounts(const std::vector<Recording>& recordings, bool json, std::ostream& out) {
  uint64_t total = 0;
  Json files = Json::array();
  for (const Recording& r : recordings) {
    total += r.Count();
    files.push_back({{"file", r.file}, {"count", r.Count()}});
    if (!json) out << r.file << ": " << r.Count() << "\n";
  }
  if (json) {
    out << Json{{"result", "pass"}, {"ops", total}, {"files", files}}.dump(2) << "\n";
  }
  return kExitPass;
}

}  // namespace

int ConformL4(const std::vector<std::string>& files, const ConformOptions& options,
              std::ostream& out, std::ostream& err) {
  if (files.empty()) {
    err << "conform l4: expected at least one file of recorded sequences\n";
    return kExitUsage;
  }
  std::vector<Recording> recordings;
  bool readable = true;
  for (const std::string& file : files) {
    absl::StatusOr<Recording> recording = ReadRecording(file);
    if (recording.ok()) {
      recordings.push_back(*std::move(recording));
    } else {
      err << recording.status().message() << "\n";
      readable = false;
    }
  }
  if (!readable) return kExitUsage;
  if (options.count_only) return PrintCounts(recordings, options.json, out);
  bool pass = true;
  uint64_t steps = 0, compared = 0, hash = 0;
  fake_l4::Ledger ledger;
  Json results = Json::array();
  for (const Recording& recording : recordings) {
    const FileResult result = RunRecording(recording);
    pass = pass && !result.first.has_value();
    steps += result.steps;
    compared += result.agree + result.disagreements;
    hash = base::Chain(hash, result.hash);
    AddLedger(result.ledger, &ledger);
    if (options.json) {
      results.push_back(FileJson(recording.file, result));
    } else {
      out << Lines(recording.file, result);
    }
  }
  if (options.json) {
    Json object = {{"result", pass ? "pass" : "outcome"}, {"seed", 0}, {"ops", steps}};
    if (options.seconds) {
      const double seconds = options.seconds();
      object["seconds"] = seconds;
      object["ops_per_second"] = seconds > 0 ? static_cast<double>(compared) / seconds : 0.0;
    }
    object["hash"] = absl::StrCat(absl::Hex(hash, absl::kZeroPad16));
    object["lanes"] = {"fake_l4"};
    object["ledger"] = LedgerJson(ledger);
    object["files"] = results;
    out << object.dump(2) << "\n";
  }
  return pass ? kExitPass : kExitOutcome;
}

}  // namespace conform
