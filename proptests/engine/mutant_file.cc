#include "proptests/engine/mutant_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/source_outline.h"

namespace proptests {
namespace {

using Json = nlohmann::json;

constexpr const char* kKeys[] = {"id", "file", "find", "replace", "breaks", "rule", "equivalent"};

bool IsId(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

absl::Status FillField(const Json& entry, const char* key, bool required, std::string* out) {
  const auto found = entry.find(key);
  if (found == entry.end()) {
    if (!required) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("expected a key \"", key, "\""));
  }
  if (!found->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("expected a string as \"", key, "\""));
  }
  *out = found->get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<Mutant> ParseEntry(const Json& entry) {
  if (!entry.is_object()) return absl::InvalidArgumentError("expected an object");
  for (const auto& item : entry.items()) {
    const bool known = std::find(std::begin(kKeys), std::end(kKeys), item.key()) != std::end(kKeys);
    if (!known) return absl::InvalidArgumentError(absl::StrCat("unknown key \"", item.key(), "\""));
  }
  Mutant mutant;
  const struct {
    const char* key;
    bool required;
    std::string* out;
  } fields[] = {
      {"id", true, &mutant.id},
      {"file", true, &mutant.file},
      {"find", true, &mutant.find},
      {"replace", true, &mutant.replace},
      {"breaks", true, &mutant.breaks},
      {"rule", false, &mutant.rule},
      {"equivalent", false, &mutant.equivalent},
  };
  for (const auto& field : fields) {
    absl::Status status = FillField(entry, field.key, field.required, field.out);
    if (!status.ok()) return status;
  }
  if (!IsId(mutant.id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an id of a-z, 0-9 and _, found \"", mutant.id, "\""));
  }
  if (mutant.find.empty()) return absl::InvalidArgumentError("expected a text to find");
  return mutant;
}

// One stretch of the source with the mutants that replace it.
struct Spot {
  size_t begin = 0;
  size_t end = 0;
  bool statements = false;
  std::vector<const Mutant*> mutants;
};

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \n\t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \n\t") - begin + 1);
}

// Whether every bracket that opens in [begin, end) closes there, and the other way round.
bool IsBalanced(std::string_view text, const SourceOutline& outline, size_t begin, size_t end) {
  std::string open;
  for (size_t at = begin; at < end; ++at) {
    if (!outline.IsCode(at)) continue;
    const char c = text[at];
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c != ')' && c != ']' && c != '}') continue;
    const char partner = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (open.empty() || open.back() != partner) return false;
    open.pop_back();
  }
  return open.empty();
}

bool HasSemicolon(std::string_view text, const SourceOutline& outline, size_t begin, size_t end) {
  int depth = 0;
  for (size_t at = begin; at < end; ++at) {
    if (!outline.IsCode(at)) continue;
    if (text[at] == '(' || text[at] == '{') ++depth;
    if (text[at] == ')' || text[at] == '}') --depth;
    if (depth == 0 && text[at] == ';') return true;
  }
  return false;
}

bool StartsStatement(const SourceOutline& outline, size_t at) {
  const char before = outline.Before(at);
  return before == ';' || before == '{' || before == '}' || before == ')' || before == ':' ||
         outline.WordBefore(at) == "else" || outline.WordBefore(at) == "do";
}

absl::StatusOr<Spot> Locate(std::string_view source, const SourceOutline& outline,
                            const Mutant& mutant) {
  const size_t at = source.find(mutant.find);
  if (at == std::string_view::npos) return absl::NotFoundError("the text is not there");
  const size_t again = source.find(mutant.find, at + 1);
  if (again != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text is there again in line ", LineOfOffset(source, again)));
  }
  const std::string_view core = Trimmed(mutant.find);
  if (core.empty()) return absl::InvalidArgumentError("the text is blank");
  Spot spot;
  spot.begin = source.find(core, at);
  spot.end = spot.begin + core.size();
  const int function = outline.FunctionAt(spot.begin);
  for (size_t i = spot.begin; i < spot.end; ++i) {
    if (function < 0 || outline.FunctionAt(i) != function) {
      return absl::InvalidArgumentError("the text does not lie within one function");
    }
  }
  if (!outline.IsCode(spot.begin)) {
    return absl::InvalidArgumentError("the text begins in a comment or a literal");
  }
  if (!IsBalanced(source, outline, spot.begin, spot.end)) {
    return absl::InvalidArgumentError("the text has an unpaired bracket");
  }
  const char last = core.back();
  spot.statements = last == ';' || last == '}';
  if (spot.statements && !StartsStatement(outline, spot.begin)) {
    return absl::InvalidArgumentError("the text ends a statement that it does not begin");
  }
  if (!spot.statements && HasSemicolon(source, outline, spot.begin, spot.end)) {
    return absl::InvalidArgumentError("the text is neither an expression nor whole statements");
  }
  return spot;
}

// Writes a source piece by piece; spots and edits are taken in the order of their place.
class Emitter {
 public:
  Emitter(std::string_view source, const std::vector<Spot>& spots, const std::vector<Edit>& edits)
      : source_(source), spots_(spots), edits_(edits) {}

  std::string Emit(size_t begin, size_t end) {
    std::string text;
    size_t at = begin;
    while (next_spot_ < spots_.size() && spots_[next_spot_].begin < end) {
      const Spot& spot = spots_[next_spot_];
      AppendPlain(at, spot.begin, &text);
      // What begins with the spot and goes further lies around it.
      for (; next_edit_ < edits_.size() && edits_[next_edit_].at == spot.begin &&
             edits_[next_edit_].until > spot.end;
           ++next_edit_) {
        text += edits_[next_edit_].text;
      }
      at = spot.end;
      text += EmitSpot();
    }
    AppendPlain(at, end, &text);
    return text;
  }

 private:
  // The original from `begin` to `end`, with the edits in it, and those that close what ends there.
  void AppendPlain(size_t begin, size_t end, std::string* text) {
    for (; next_edit_ < edits_.size(); ++next_edit_) {
      const Edit& edit = edits_[next_edit_];
      if (edit.at > end || (edit.at == end && !edit.closes)) break;
      absl::StrAppend(text, std::string(source_.substr(begin, edit.at - begin)), edit.text);
      begin = edit.at + edit.erased;
    }
    text->append(source_.substr(begin, end - begin));
  }

  // The spot with its choices; spots inside keep theirs in the part that is the original.
  std::string EmitSpot() {
    const Spot& spot = spots_[next_spot_++];
    const std::string original = Emit(spot.begin, spot.end);
    std::string text;
    if (spot.statements) {
      text = "{ ";
      for (const Mutant* mutant : spot.mutants) {
        absl::StrAppend(&text, "if (::selected_mutant == ", mutant->number, ") {\n",
                        mutant->replace, "\n} else ");
      }
      absl::StrAppend(&text, "{\n", original, "\n} }");
      return text;
    }
    text = "(";
    for (const Mutant* mutant : spot.mutants) {
      absl::StrAppend(&text, "::selected_mutant == ", mutant->number, " ? (", mutant->replace,
                      ") : ");
    }
    absl::StrAppend(&text, "(", original, "))");
    return text;
  }

  const std::string_view source_;
  const std::vector<Spot>& spots_;
  const std::vector<Edit>& edits_;
  size_t next_spot_ = 0;
  size_t next_edit_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<Mutant>> ParseMutants(std::string_view text, const std::string& name) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a JSON list of mutants"));
  }
  std::vector<Mutant> mutants;
  std::set<std::string> ids;
  size_t from = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    absl::StatusOr<Mutant> mutant = ParseEntry(json[i]);
    if (!mutant.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": entry ", i + 1, ": ", mutant.status().message()));
    }
    if (!ids.insert(mutant->id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": entry ", i + 1, ": there is another \"", mutant->id, "\""));
    }
    const size_t at = text.find(absl::StrCat("\"", mutant->id, "\""), from);
    if (at != std::string_view::npos) {
      mutant->line = LineOfOffset(text, at);
      from = at;
    }
    mutants.push_back(*std::move(mutant));
  }
  return mutants;
}

absl::StatusOr<std::vector<Mutant>> JoinMutants(const std::vector<std::vector<Mutant>>& lists) {
  std::vector<Mutant> all;
  std::set<std::string> ids;
  for (const std::vector<Mutant>& list : lists) {
    for (const Mutant& mutant : list) {
      if (!ids.insert(mutant.id).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("two lists have a mutant \"", mutant.id, "\""));
      }
      all.push_back(mutant);
      all.back().number = static_cast<uint32_t>(all.size());
    }
  }
  return all;
}

absl::StatusOr<std::string> Rewrite(const std::string& path, const std::string& source,
                                    const std::vector<Mutant>& mutants,
                                    const std::vector<Edit>& edits) {
  const SourceOutline outline(source);
  std::vector<Spot> spots;
  for (const Mutant& mutant : mutants) {
    if (mutant.file != path) continue;
    absl::StatusOr<Spot> spot = Locate(source, outline, mutant);
    if (!spot.ok()) {
      const size_t at = source.find(mutant.find);
      const int line = at == std::string::npos ? 1 : LineOfOffset(source, at);
      return absl::Status(spot.status().code(), absl::StrCat(path, ":", line, ": ", mutant.id, ": ",
                                                             spot.status().message()));
    }
    auto same = std::find_if(spots.begin(), spots.end(), [&](const Spot& other) {
      return other.begin == spot->begin && other.end == spot->end;
    });
    if (same == spots.end()) same = spots.insert(same, *spot);
    same->mutants.push_back(&mutant);
  }
  if (spots.empty() && edits.empty()) return source;
  // Outer ones first. total order: no two spots have the same bounds.
  std::sort(spots.begin(), spots.end(), [](const Spot& a, const Spot& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  for (size_t i = 1; i < spots.size(); ++i) {
    for (size_t outer = 0; outer < i; ++outer) {
      if (spots[outer].end > spots[i].begin && spots[outer].end < spots[i].end) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ":", LineOfOffset(source, spots[i].begin), ": ", spots[i].mutants.front()->id,
            ": overlaps ", spots[outer].mutants.front()->id));
      }
    }
  }
  return absl::StrCat("extern unsigned selected_mutant;\n#line 1 \"", path, "\"\n",
                      Emitter(source, spots, edits).Emit(0, source.size()));
}

}  // namespace proptests
