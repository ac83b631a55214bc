#include "conform/conform.h"

#include <cstddef>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "conform/facts.h"
#include "conform/facts_bench.h"
#include "conform/facts_l4.h"
#include "conform/l4.h"
#include "conform/outcome.h"
#include "conform/prefixes.h"
#include "conform/prefixes_l4.h"
#include "conform/read_all.h"
#include "conform/recording.h"
#include "conform/report.h"
#include "fake_l4/quirks.h"

namespace conform {

namespace {

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

// How a file of sequences agrees when returns are left out.
std::string PageStateLine(const Input& input, const fake_l4::Quirks& quirks) {
  const auto* recording = std::get_if<Recording>(&input.contents);
  if (recording == nullptr) return "";
  const Outcome r = RunRecording(*recording, quirks, Scope::kPageStates);
  return absl::StrCat("  page states alone: agree ", r.agree, " of ", r.steps, "\n");
}

int RunAll(const std::vector<Input>& inputs, const fake_l4::Quirks& quirks,
           const ConformOptions& options, std::ostream& out) {
  Report report(options.format(), out);
  for (const Input& input : inputs) {
    const std::string informative = Informative(input);
    report.Add(input.file, Run(input, quirks), informative,
               informative.empty() || options.json ? "" : PageStateLine(input, quirks));
  }
  return report.Finish("fake_l4", "quirks", quirks.name, options.seconds);
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
  std::vector<Input> inputs;
  const auto read = [&](const std::string& file) { return Read(file, options.count_only); };
  if (!ReadAll("conform l4", files, read, &inputs, err)) return kExitUsage;
  if (options.count_only) return CountAll(inputs, options.format(), out);
  return RunAll(inputs, *quirks, options, out);
}

}  // namespace conform
