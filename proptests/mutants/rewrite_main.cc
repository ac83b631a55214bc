// Build tool: copies sources into a tree of their own, with every mutant of the lists in them.
//
//   rewrite KINDS SITES LISTS... -- SOURCE PATH OUT [SOURCE PATH OUT]...
//
// PATH is what SOURCE is called in the lists. Ends with an error when a mutant's file is none of
// them. KINDS "mechanical": the copies have the mechanical mutants, too; "listed": only the lists'.
// SITES is written: a source with the flags and the names of the mechanical mutants.

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proptests/engine/mechanical.h"
#include "proptests/engine/mutant_file.h"

namespace mutants {
namespace {

using proptests::BitFieldsOf;
using proptests::Edit;
using proptests::FindSites;
using proptests::HasMechanicalMutants;
using proptests::JoinMutants;
using proptests::Mutant;
using proptests::ParseMutants;
using proptests::Rewrite;
using proptests::Site;
using proptests::SwitchEdits;
using proptests::VariantId;

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status WriteWhole(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return absl::InternalError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Mutant>> ReadLists(const std::vector<std::string>& paths) {
  std::vector<std::vector<Mutant>> lists;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadWhole(path);
    if (!text.ok()) return text.status();
    absl::StatusOr<std::vector<Mutant>> list = ParseMutants(*text, path);
    if (!list.ok()) return list.status();
    lists.push_back(*std::move(list));
  }
  return JoinMutants(lists);
}

// The mechanical mutants of all files, numbered through.
class Sites {
 public:
  void AddBitFieldsOf(const std::string& source) { bit_fields_.merge(BitFieldsOf(source)); }
  // The switches of one more file.
  std::vector<Edit> Add(const std::string& path, const std::string& source) {
    const std::vector<Site> sites = FindSites(source, bit_fields_);
    if (sites.empty()) return {};
    const std::string array = proptests::SwitchArray(path);
    absl::StrAppend(&arrays_, "extern Switch ", array, "[];\nSwitch ", array, "[] = {");
    for (size_t i = 0; i < sites.size(); ++i) {
      absl::StrAppend(&arrays_, "{", count_ + i, ", 0},");
      for (size_t v = 0; v < sites[i].variants.size(); ++v) {
        absl::StrAppend(&rows_, "    {\"", VariantId(path, source, sites[i], v),
                        "\", &mutant_switch::", array, "[", i, "], ", v + 1, "},\n");
      }
    }
    absl::StrAppend(&arrays_, "};\n");
    count_ += static_cast<uint32_t>(sites.size());
    return SwitchEdits(path, sites);
  }
  // The source that defines what sites.h declares.
  std::string Table() const {
    return absl::StrCat("#include \"proptests/mutants/sites.h\"\nnamespace mutant_switch {\n",
                        arrays_, "}\nnamespace mutants {\nconst unsigned kSites = ", count_,
                        ";\nconst Variant kVariants[] = {\n", rows_,
                        "    {nullptr, nullptr, 0}};\n}\n");
  }

 private:
  std::set<std::string> bit_fields_;  // of all sources
  uint32_t count_ = 0;
  std::string arrays_;
  std::string rows_;
};

absl::Status Run(const std::vector<std::string>& words) {
  if (words.size() < 2) return absl::InvalidArgumentError("expected KINDS SITES ...");
  const bool mechanical = words[0] == "mechanical";
  Sites sites;
  std::vector<std::string> lists;
  size_t next = 2;
  while (next < words.size() && words[next] != "--") lists.push_back(words[next++]);
  ++next;
  absl::StatusOr<std::vector<Mutant>> all = ReadLists(lists);
  if (!all.ok()) return all.status();
  std::set<std::string> paths;
  for (size_t i = next; mechanical && i + 2 < words.size(); i += 3) {
    absl::StatusOr<std::string> source = ReadWhole(words[i]);
    if (source.ok()) sites.AddBitFieldsOf(*source);
  }
  // Every refusal is reported, not only the first.
  std::string refusals;
  for (; next + 2 < words.size(); next += 3) {
    paths.insert(words[next + 1]);
    absl::StatusOr<std::string> source = ReadWhole(words[next]);
    if (!source.ok()) return source.status();
    std::vector<Edit> edits;
    if (mechanical && HasMechanicalMutants(words[next + 1])) {
      edits = sites.Add(words[next + 1], *source);
    }
    absl::StatusOr<std::string> text = Rewrite(words[next + 1], *source, *all, edits);
    if (!text.ok()) {
      absl::StrAppend(&refusals, text.status().message(), "\n");
      continue;
    }
    absl::Status status = WriteWhole(words[next + 2], *text);
    if (!status.ok()) return status;
  }
  for (const Mutant& mutant : *all) {
    if (paths.count(mutant.file) != 0) continue;
    absl::StrAppend(&refusals, mutant.id, ": no mutants can be made of ", mutant.file, "\n");
  }
  if (!refusals.empty()) return absl::InvalidArgumentError(refusals);
  return WriteWhole(words[1], sites.Table());
}

}  // namespace
}  // namespace mutants

int main(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    // Long command lines come in a file, one word a line.
    if (argv[i][0] != '@') {
      words.push_back(argv[i]);
      continue;
    }
    absl::StatusOr<std::string> text = mutants::ReadWhole(argv[i] + 1);
    if (!text.ok()) {
      std::fprintf(stderr, "%s\n", std::string(text.status().message()).c_str());
      return 1;
    }
    for (absl::string_view word : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
      words.emplace_back(word);
    }
  }
  const absl::Status status = mutants::Run(words);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
