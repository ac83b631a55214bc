#include "conform/conform.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "conform/facts.h"
#include "conform/facts_bench.h"
#include "conform/facts_l4.h"
#include "conform/l4.h"
#include "conform/outcome.h"
#include "conform/prefixes.h"
#include "conform/prefixes_l4.h"
#include "conform/recording.h"
#include "fake_l4/kernel.h"
#include "fake_l4/quirks.h"

namespace conform {

namespace {

using Json = nlohmann::ordered_json;

// ---- Reading ----

// A file of prefixes and the recordings it speaks of.
struct PrefixInput {
  PrefixFile prefixes;
  Recordings recordings;
};

struct Input {
  std::string file;
  std::variant<Recording, FactFile, PrefixInput> contents;
  uint64_t Count() const {
    if (const auto* recording = std::get_if<Recording>(&contents)) return recording->Count();
    if (const auto* facts = std::get_if<FactFile>(&contents)) return facts->Count();
    return std::get<PrefixInput>(contents).prefixes.Count();
  }
};

// NAME.txt or NAME.txt.gz in the directory of `beside`.
absl::StatusOr<Recording> ReadBeside(const std::string& beside, const std::string& name) {
  const std::string stem = beside.substr(0, beside.rfind('/') + 1) + name;
  const absl::StatusOr<Recording> plain = ReadRecording(stem + ".txt");
  if (!absl::IsNotFound(plain.status())) return plain;
  const absl::StatusOr<Recording> packed = ReadRecording(stem + ".txt.gz");
  return absl::IsNotFound(packed.status()) ? plain : packed;
}

absl::StatusOr<PrefixInput> ReadPrefixes(const std::string& file, const std::string& text,
                                         bool count_only) {
  absl::StatusOr<PrefixFile> prefixes = ParsePrefixes(file, text);
  if (!prefixes.ok()) return prefixes.status();
  PrefixInput input{*std::move(prefixes), {}};
  if (count_only) return input;
  for (const Prefix& prefix : input.prefixes.prefixes) {
    if (input.recordings.contains(prefix.recording)) continue;
    if (PrefixProfile(prefix.recording) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ":", prefix.line, ": expected a recording newmdb_* or oldmdb_*, found `",
          prefix.recording, "`"));
    }
    absl::StatusOr<Recording> recording = ReadBeside(file, prefix.recording);
    if (!recording.ok()) return recording.status();
    input.recordings.emplace(prefix.recording, *std::move(recording));
  }
  return input;
}

absl::StatusOr<Input> Read(const std::string& file, bool count_only) {
  const absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  if (LooksLikePrefixes(*text)) {
    absl::StatusOr<PrefixInput> prefixes = ReadPrefixes(file, *text, count_only);
    if (!prefixes.ok()) return prefixes.status();
    return Input{file, *std::move(prefixes)};
  }
  if (LooksLikeFacts(*text)) {
    absl::StatusOr<FactFile> facts = ParseFacts(file, *text);
    if (!facts.ok()) return facts.status();
    if (facts->machine.helpers.size() != FactsBench::kHelpers) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": expected ", FactsBench::kHelpers,
                                                     " helpers, found ",
                                                     facts->machine.helpers.size()));
    }
    return Input{file, *std::move(facts)};
  }
  absl::StatusOr<Recording> recording = ParseRecording(file, *text);
  if (!recording.ok()) return recording.status();
  return Input{file, *std::move(recording)};
}

// ---- Running ----

Outcome Run(const Input& input, const fake_l4::Quirks& quirks) {
  if (const auto* recording = std::get_if<Recording>(&input.contents)) {
    return RunRecording(*recording, quirks);
  }
  if (const auto* facts = std::get_if<FactFile>(&input.contents)) return RunFacts(*facts, quirks);
  const auto& prefixes = std::get<PrefixInput>(input.contents);
  return RunPrefixes(prefixes.prefixes, prefixes.recordings);
}

// Why what disagrees in this file does not fail; empty when it does.
std::string Informative(const Input& input) {
  const auto* recording = std::get_if<Recording>(&input.contents);
  if (recording == nullptr || !absl::StartsWith(recording->kernel, "mung ")) return "";
  return "recorded on the kernel mung, which no profile imitates: disagreements do not fail";
}

// ---- Printing ----

// "NAME xK, ...".
std::string Listed(const absl::btree_map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " x", count);
  }
  return text;
}

// How a file of sequences agrees when returns are left out.
std::string PageStateLine(const Input& input, const fake_l4::Quirks& quirks) {
  const auto* recording = std::get_if<Recording>(&input.contents);
  if (recording == nullptr) return "";
  const Outcome r = RunRecording(*recording, quirks, Scope::kPageStates);
  return absl::StrCat("  page states alone: agree ", r.agree, " of ", r.steps, "\n");
}

std::string Lines(const std::string& file, const Outcome& r, const std::string& informative) {
  std::string text =
      absl::StrCat(file, ": agree ", r.agree, " of ", r.steps, " (", r.NamedCount(),
                   " by named differences", r.named.empty() ? "" : ": ", Listed(r.named), ")\n");
  if (!informative.empty()) absl::StrAppend(&text, "  informative: ", informative, "\n");
  if (r.first.has_value()) {
    absl::StrAppend(&text, "  first disagreement: ", ToString(*r.first, file), "\n");
    absl::StrAppend(&text, "  disagree: ", r.disagreements, " (", Listed(r.by_field), ")\n");
  }
  if (r.after_difference != 0) {
    absl::StrAppend(&text, "  not compared: ", r.after_difference,
                    " after a difference in their sequence\n");
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
          {"not_compared", {{"after_difference", r.after_difference}}},
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

int PrintCounts(const std::vector<Input>& inputs, bool json, std::ostream& out) {
  uint64_t total = 0;
  Json files = Json::array();
  for (const Input& input : inputs) {
    total += input.Count();
    files.push_back({{"file", input.file}, {"count", input.Count()}});
    if (!json) out << input.file << ": " << input.Count() << "\n";
  }
  if (json) {
    out << Json{{"result", "pass"}, {"ops", total}, {"files", files}}.dump(2) << "\n";
  }
  return kExitPass;
}

int RunAll(const std::vector<Input>& inputs, const fake_l4::Quirks& quirks,
           const ConformOptions& options, std::ostream& out) {
  bool pass = true;
  uint64_t steps = 0, compared = 0, hash = 0;
  fake_l4::Ledger ledger;
  Json results = Json::array();
  for (const Input& input : inputs) {
    const Outcome result = Run(input, quirks);
    const std::string informative = Informative(input);
    pass = pass && (!result.first.has_value() || !informative.empty());
    steps += result.steps;
    compared += result.agree + result.disagreements;
    hash = base::Chain(hash, result.hash);
    AddLedger(result.ledger, &ledger);
    if (options.json) {
      results.push_back(FileJson(input.file, result, informative));
    } else {
      out << Lines(input.file, result, informative);
      if (!informative.empty()) out << PageStateLine(input, quirks);
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
    object["quirks"] = quirks.name;
    object["ledger"] = LedgerJson(ledger);
    object["files"] = results;
    out << object.dump(2) << "\n";
  }
  return pass ? kExitPass : kExitOutcome;
}

}  // namespace

std::string ProfileNames() {
  std::string names;
  for (const fake_l4::Quirks* quirks : fake_l4::kQuirkProfiles) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", quirks->name);
  }
  return names;
}

int ConformL4(const std::vector<std::string>& files, const ConformOptions& options,
              std::ostream& out, std::ostream& err) {
  const fake_l4::Quirks* quirks = fake_l4::FindQuirks(options.quirks);
  if (quirks == nullptr) {
    err << "conform l4: expected a quirk profile (" << ProfileNames() << "), found \""
        << options.quirks << "\"\n";
    return kExitUsage;
  }
  if (files.empty()) {
    err << "conform l4: expected at least one recorded file\n";
    return kExitUsage;
  }
  std::vector<Input> inputs;
  bool readable = true;
  for (const std::string& file : files) {
    absl::StatusOr<Input> input = Read(file, options.count_only);
    if (input.ok()) {
      inputs.push_back(*std::move(input));
    } else {
      err << input.status().message() << "\n";
      readable = false;
    }
  }
  if (!readable) return kExitUsage;
  if (options.count_only) return PrintCounts(inputs, options.json, out);
  return RunAll(inputs, *quirks, options, out);
}

}  // namespace conform
