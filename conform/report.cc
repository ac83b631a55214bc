#include "conform/report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/hash.h"

namespace conform {

namespace {

using Json = nlohmann::ordered_json;

// "NAME xK, ...".
std::string Listed(const absl::btree_map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " x", count);
  }
  return text;
}

std::string Lines(const std::string& file, const Outcome& r, const std::string& informative) {
  std::string text =
      r.of_structure ? absl::StrCat(file, ": agree ", r.agree - r.NamedCount(), " of ", r.steps,
                                    ", ", r.NamedCount(), " by decision",
                                    r.named.empty() ? "" : absl::StrCat(" (", Listed(r.named), ")"),
                                    ", ", r.disagreements, " undecided\n")
                     : absl::StrCat(file, ": agree ", r.agree, " of ", r.steps, " (",
                                    r.NamedCount(), " by named differences",
                                    r.named.empty() ? "" : ": ", Listed(r.named), ")\n");
  if (!informative.empty()) absl::StrAppend(&text, "  informative: ", informative, "\n");
  if (r.first.has_value()) {
    absl::StrAppend(&text, "  first disagreement: ", ToString(*r.first, file), "\n");
    absl::StrAppend(&text, "  disagree: ", r.disagreements, " (", Listed(r.by_field), ")\n");
  }
  if (r.after_difference != 0) {
    absl::StrAppend(&text, "  not compared: ", r.after_difference,
                    " after a difference in their sequence\n");
  }
  if (r.pages_lost_there + r.pages_lost_here != 0) {
    absl::StrAppend(&text, "  contents: ", r.pages_compared, " pages compared, ",
                    r.pages_lost_there, " lost there and ", r.pages_lost_here, " lost here\n");
  }
  if (r.not_replayed != 0) {
    absl::StrAppend(&text, "  not replayed: ", r.not_replayed,
                    " of sequences with operations that are not offered yet\n");
  }
  return text;
}

Json CountsJson(const absl::btree_map<std::string, uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

Json DifferenceJson(const Difference& d) {
  return {{"line", d.line},   {"step", d.step},         {"field", d.field},
          {"where", d.where}, {"recorded", d.recorded}, {"ours", d.ours}};
}

Json FileJson(const std::string& file, const Outcome& r, const std::string& informative) {
  Json listed = Json::array();
  for (const Difference& d : r.listed) listed.push_back(DifferenceJson(d));
  return {{"file", file},
          {"agree", r.agree},
          {"of", r.steps},
          {"by_named_differences", r.NamedCount()},
          {"named_differences", CountsJson(r.named)},
          {"informative", !informative.empty()},
          {"disagree", r.disagreements},
          {"disagree_by_field", CountsJson(r.by_field)},
          {"not_compared",
           {{"after_difference", r.after_difference}, {"not_replayed", r.not_replayed}}},
          {"pages",
           {{"compared", r.pages_compared},
            {"lost_there", r.pages_lost_there},
            {"lost_here", r.pages_lost_here}}},
          {"first_disagreement", r.first.has_value() ? DifferenceJson(*r.first) : Json(nullptr)},
          {"disagreements", listed}};
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

}  // namespace

struct Report::Files {
  Json array = Json::array();
};

int PrintCounts(const std::vector<FileCount>& counts, Format format, std::ostream& out) {
  uint64_t total = 0;
  Json files = Json::array();
  for (const FileCount& c : counts) {
    total += c.count;
    files.push_back({{"file", c.file}, {"count", c.count}});
    if (format == Format::kLines) out << c.file << ": " << c.count << "\n";
  }
  if (format == Format::kJson) {
    out << Json{{"result", "pass"}, {"ops", total}, {"files", files}}.dump(2) << "\n";
  }
  return kExitPass;
}

Report::Report(Format format, std::ostream& out)
    : format_(format), out_(out), files_(std::make_unique<Files>()) {}

Report::~Report() = default;

void Report::Add(const std::string& file, const Outcome& outcome, const std::string& informative,
                 const std::string& more) {
  pass_ = pass_ && (!outcome.first.has_value() || !informative.empty());
  steps_ += outcome.steps;
  compared_ += outcome.agree + outcome.disagreements;
  hash_ = base::Chain(hash_, outcome.hash);
  AddLedger(outcome.ledger, &ledger_);
  if (format_ == Format::kJson) {
    files_->array.push_back(FileJson(file, outcome, informative));
  } else {
    out_ << Lines(file, outcome, informative) << more;
  }
}

int Report::Finish(const std::string& lane, const std::string& key, const std::string& value,
                   const std::function<double()>& seconds) {
  const int exit_code = pass_ ? kExitPass : kExitOutcome;
  if (format_ == Format::kLines) return exit_code;
  Json object = {{"result", pass_ ? "pass" : "outcome"}, {"seed", 0}, {"ops", steps_}};
  if (seconds) {
    const double elapsed = seconds();
    object["seconds"] = elapsed;
    object["ops_per_second"] = elapsed > 0 ? static_cast<double>(compared_) / elapsed : 0.0;
  }
  object["hash"] = absl::StrCat(absl::Hex(hash_, absl::kZeroPad16));
  object["lanes"] = {lane};
  if (!key.empty()) object[key] = value;
  object["ledger"] = LedgerJson(ledger_);
  object["files"] = files_->array;
  out_ << object.dump(2) << "\n";
  return exit_code;
}

}  // namespace conform
