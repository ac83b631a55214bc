#include "proptests/engine/mechanical.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "proptests/engine/source_outline.h"

namespace proptests {
namespace {

struct Token {
  enum class Kind : uint8_t { kWord, kNumber, kMark, kLiteral };
  Kind kind = Kind::kMark;
  size_t begin = 0;
  size_t end = 0;
  std::string_view text;
};

constexpr std::string_view kMarks[] = {"<=>", "<<=", ">>=", "->*", "...", "::", "->", "++", "--",
                                       "<<",  ">>",  "<=",  ">=",  "==",  "!=", "&&", "||", "+=",
                                       "-=",  "*=",  "/=",  "%=",  "&=",  "|=", "^="};

std::vector<Token> Tokenize(std::string_view text, const SourceOutline& outline) {
  std::vector<Token> tokens;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (!outline.IsCode(at)) {
      // Comments and directives say nothing; of a literal only that it is there.
      if (c == '"' && (tokens.empty() || tokens.back().kind != Token::Kind::kLiteral)) {
        tokens.push_back({Token::Kind::kLiteral, at, at + 1, text.substr(at, 1)});
      }
      ++at;
      continue;
    }
    if (SourceOutline::IsBlank(c)) {
      ++at;
      continue;
    }
    Token token{Token::Kind::kMark, at, at + 1, {}};
    if (SourceOutline::IsWord(c)) {
      const bool number = c >= '0' && c <= '9';
      token.kind = number ? Token::Kind::kNumber : Token::Kind::kWord;
      while (token.end < text.size() &&
             (SourceOutline::IsWord(text[token.end]) ||
              (number && (text[token.end] == '\'' || text[token.end] == '.')))) {
        ++token.end;
      }
    } else {
      for (std::string_view mark : kMarks) {
        if (text.substr(at, mark.size()) != mark) continue;
        token.end = at + mark.size();
        break;
      }
    }
    token.text = text.substr(token.begin, token.end - token.begin);
    at = token.end;
    tokens.push_back(token);
  }
  return tokens;
}

struct Rule {
  std::string_view text;
  std::vector<std::string> variants;
};

const std::vector<Rule>& BinaryRules() {
  static const auto* rules = new std::vector<Rule>{
      {"<", {"<=", ">="}}, {"<=", {"<", ">"}}, {">", {">=", "<="}}, {">=", {">", "<"}},
      {"==", {"!="}},      {"!=", {"=="}},     {"+", {"-"}},        {"-", {"+"}},
      {"*", {"+"}},        {"/", {"*"}},       {"%", {"*"}},        {"<<", {">>"}},
      {">>", {"<<"}},      {"&", {"|"}},       {"|", {"&"}},
  };
  return *rules;
}

const std::vector<Rule>& CompoundRules() {
  static const auto* rules =
      new std::vector<Rule>{{"+=", {"-="}}, {"-=", {"+="}}, {"|=", {"&="}}, {"&=", {"|="}}};
  return *rules;
}

const std::vector<std::string>* VariantsOf(const std::vector<Rule>& rules, std::string_view text) {
  for (const Rule& rule : rules) {
    if (rule.text == text) return &rule.variants;
  }
  return nullptr;
}

constexpr std::string_view kNoStatements[] = {
    "return", "if",      "for",           "while",       "switch",
    "case",   "default", "break",         "continue",    "goto",
    "using",  "delete",  "new",           "else",        "do",
    "const",  "auto",    "static_assert", "constexpr",   "throw",
    "CHECK",  "DCHECK",  "VERIFY",        "UNREACHABLE", "__builtin_prefetch",
    "asm",    "typedef", "template",      "sizeof",      "static"};
// What stands in their parentheses is no behaviour of the system.
constexpr std::string_view kNotMutated[] = {
    "CHECK", "DCHECK",  "VERIFY",   "static_assert", "decltype",           "sizeof",
    "asm",   "alignas", "noexcept", "vm_panic",      "__builtin_prefetch", "__attribute__"};

template <size_t kSize>
bool Among(const std::string_view (&words)[kSize], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// Walks over the tokens of one source once.
class Finder {
 public:
  Finder(std::string_view source, const std::set<std::string>& bit_fields)
      : source_(source),
        bit_fields_(bit_fields),
        outline_(source),
        tokens_(Tokenize(source, outline_)) {}

  std::vector<Site> Find() {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const Token& token = tokens_[i];
      if (InFunction(token)) {
        AddCall(i);
        if (quiet_ == 0) AddOperator(i);
      }
      Track(i);
    }
    // total order: no two sites begin at one place but a call and a literal or operator in it.
    std::stable_sort(sites_.begin(), sites_.end(),
                     [](const Site& a, const Site& b) { return a.begin < b.begin; });
    return std::move(sites_);
  }

 private:
  struct Bracket {
    char open;
    bool quiet;   // nothing in it is mutated
    bool expect;  // of __builtin_expect
  };

  bool InFunction(const Token& token) const { return outline_.FunctionAt(token.begin) >= 0; }
  std::string_view TextAt(size_t i) const {
    return i < tokens_.size() ? tokens_[i].text : std::string_view();
  }

  void Track(size_t i) {
    const std::string_view text = tokens_[i].text;
    if (tokens_[i].kind != Token::Kind::kMark) return;
    if (text == "(" || text == "{" || text == "[") {
      const std::string_view before = i == 0 ? std::string_view() : TextAt(i - 1);
      // [[attributes]], too.
      const bool attribute = text == "[" && (TextAt(i + 1) == "[" || before == "[");
      const bool quiet = attribute || (text == "(" && Among(kNotMutated, before));
      brackets_.push_back({text[0], quiet, before == "__builtin_expect"});
      quiet_ += quiet ? 1 : 0;
    } else if ((text == ")" || text == "}" || text == "]") && !brackets_.empty()) {
      quiet_ -= brackets_.back().quiet ? 1 : 0;
      brackets_.pop_back();
    }
  }

  void Add(Site::Kind kind, const Token& token, std::vector<std::string> variants) {
    Site site;
    site.kind = kind;
    site.begin = token.begin;
    site.end = token.end;
    site.text = std::string(token.text);
    site.variants = std::move(variants);
    sites_.push_back(std::move(site));
  }

  bool BetweenBlanks(const Token& token) const {
    return token.begin > 0 && SourceOutline::IsBlank(source_[token.begin - 1]) &&
           token.end < source_.size() && SourceOutline::IsBlank(source_[token.end]);
  }

  void AddOperator(size_t i) {
    const Token& token = tokens_[i];
    const std::string_view before = i == 0 ? std::string_view() : TextAt(i - 1);
    if (before == "operator") return;
    if (token.kind == Token::Kind::kNumber) return AddNumber(i);
    if (token.text == "true" || token.text == "false") {
      return Add(Site::Kind::kBool, token, {token.text == "true" ? "false" : "true"});
    }
    if (token.kind != Token::Kind::kMark) return;
    if (token.text == "!" && TextAt(i + 1) != "!" && before != "!") {
      return Add(Site::Kind::kNot, token, {""});
    }
    if (token.text == "++" || token.text == "--") {
      const bool after =
          i > 0 && (tokens_[i - 1].kind == Token::Kind::kWord || before == ")" || before == "]");
      if (!after && !StepsBitField(i))
        Add(Site::Kind::kStep, token, {token.text == "++" ? "--" : "++"});
      return;
    }
    if (!BetweenBlanks(token) || before == "template") return;
    if (const auto* variants = VariantsOf(BinaryRules(), token.text)) {
      Add(Site::Kind::kBinary, token, *variants);
    } else if (const auto* others = VariantsOf(CompoundRules(), token.text)) {
      if (!bit_fields_.contains(std::string(before))) Add(Site::Kind::kCompound, token, *others);
    }
  }

  // Whether what ++ or -- at i applies to ends with the name of a bit-field.
  bool StepsBitField(size_t i) const {
    size_t at = i + 1;
    while (at < tokens_.size()) {
      const std::string_view text = TextAt(at);
      if (text == "(" || text == "[") {
        at = Past(at);
      } else if (tokens_[at].kind == Token::Kind::kWord || text == "." || text == "->" ||
                 text == "::" || text == "*") {
        ++at;
      } else {
        break;
      }
    }
    return bit_fields_.contains(std::string(TextAt(at - 1)));
  }

  void AddNumber(size_t i) {
    const Token& token = tokens_[i];
    const bool hint = !brackets_.empty() && brackets_.back().expect && TextAt(i + 1) == ")";
    const bool whole = token.text.find('.') == std::string_view::npos;
    if (hint || !whole) return;
    const std::string digits = absl::StrReplaceAll(std::string(token.text), {{"'", ""}});
    char* end = nullptr;
    const uint64_t value = std::strtoull(digits.c_str(), &end, 0);
    const std::string suffix = end;
    if (suffix.find_first_not_of("uUlL") != std::string::npos) return;
    // As itself in text, so that a zero keeps being one to the eye.
    const bool hex = absl::StartsWith(digits, "0x");
    const auto text = [&](uint64_t number) {
      return hex ? absl::StrCat("0x", absl::Hex(number), suffix) : absl::StrCat(number, suffix);
    };
    std::vector<std::string> variants{text(value + 1)};
    if (value != 0) variants.push_back(text(value - 1));
    Add(Site::Kind::kNumber, token, std::move(variants));
  }

  bool StartsStatement(size_t i) const {
    if (brackets_.empty() || brackets_.back().open != '{' || i == 0) return false;
    const std::string_view before = TextAt(i - 1);
    if (before == ";" || before == "{" || before == "}" || before == "else" || before == "do") {
      return true;
    }
    if (before == ")") return ClosesCondition(i - 1);
    if (before != ":") return false;
    // After case X:.
    for (size_t j = i - 1; j-- > 0;) {
      const std::string_view text = TextAt(j);
      if (text == "case" || text == "default") return true;
      if (text == ";" || text == "{" || text == "}" || text == "?") return false;
    }
    return false;
  }

  // Whether the bracket that closes at i is that of if (...) and the like.
  bool ClosesCondition(size_t i) const {
    int depth = 0;
    for (size_t at = i + 1; at-- > 0;) {
      const std::string_view text = TextAt(at);
      if (text == ")" || text == "]" || text == "}") ++depth;
      if ((text != "(" && text != "[" && text != "{") || --depth != 0) continue;
      const std::string_view before = at == 0 ? std::string_view() : TextAt(at - 1);
      return before == "if" || before == "for" || before == "while" || before == "switch" ||
             before == "constexpr";
    }
    return false;
  }

  // The token after the bracket that closes the one at i.
  size_t Past(size_t i) const {
    int depth = 0;
    for (; i < tokens_.size(); ++i) {
      const std::string_view text = TextAt(i);
      if (text == "(" || text == "[" || text == "{") ++depth;
      if ((text == ")" || text == "]" || text == "}") && --depth == 0) return i + 1;
    }
    return i;
  }

  // A statement that is nothing but a call: name, or name and what leads to it, (...) and ;.
  void AddCall(size_t i) {
    size_t at = i;
    if (!StartsStatement(i) || quiet_ != 0) return;
    if (TextAt(at) == "(" && TextAt(at + 1) == "void" && TextAt(at + 2) == ")") at += 3;
    if (at >= tokens_.size() || tokens_[at].kind != Token::Kind::kWord ||
        Among(kNoStatements, tokens_[at].text)) {
      return;
    }
    std::string_view name = tokens_[at].text;
    bool called = false;
    for (++at; at < tokens_.size();) {
      const std::string_view text = TextAt(at);
      if (text == ";") break;
      if (text == "::" || text == "." || text == "->") {
        if (tokens_[at + 1].kind != Token::Kind::kWord) return;
        name = tokens_[at + 1].text;
        called = false;
        at += 2;
      } else if (text == "[" || text == "(") {
        called = text == "(";
        at = Past(at);
      } else {
        return;
      }
    }
    if (!called || at >= tokens_.size() || name == "Hit") return;  // a probe counts, and no more
    Token whole = tokens_[i];
    whole.end = tokens_[at].end;
    whole.text = name;
    Add(Site::Kind::kCall, whole, {""});
  }

  const std::string_view source_;
  const std::set<std::string>& bit_fields_;
  const SourceOutline outline_;
  const std::vector<Token> tokens_;
  std::vector<Bracket> brackets_;
  int quiet_ = 0;
  std::vector<Site> sites_;
};

}  // namespace

std::set<std::string> BitFieldsOf(std::string_view source) {
  const SourceOutline outline(source);
  const std::vector<Token> tokens = Tokenize(source, outline);
  std::set<std::string> names;
  for (size_t i = 1; i + 2 < tokens.size(); ++i) {
    const std::string_view after = tokens[i + 2].text;
    if (tokens[i].text == ":" && tokens[i - 1].kind == Token::Kind::kWord &&
        tokens[i + 1].kind == Token::Kind::kNumber && outline.FunctionAt(tokens[i].begin) < 0 &&
        (after == ";" || after == "=" || after == ",")) {
      names.emplace(tokens[i - 1].text);
    }
  }
  return names;
}

std::vector<Site> FindSites(std::string_view source, const std::set<std::string>& bit_fields) {
  return Finder(source, bit_fields).Find();
}

bool HasMechanicalMutants(std::string_view path) {
  const absl::string_view p(path.data(), path.size());
  if (!absl::StartsWith(p, "uvm/") && !absl::StartsWith(p, "pmap_sim/") &&
      !absl::StartsWith(p, "vmserver/") && !absl::StartsWith(p, "fake_l4/")) {
    return false;
  }
  for (const char* part : {"_test.cc", "/testing/", "/include/", "invariants", "dump", "inspect",
                           "_benchmark.", "_fuzzer.", "_main.cc", "manual_program", "layouts"}) {
    if (absl::StrContains(p, part)) return false;
  }
  return absl::EndsWith(p, ".cc") || absl::EndsWith(p, ".h");
}

std::string SwitchArray(std::string_view path) {
  std::string name(path);
  for (char& c : name) {
    if (!SourceOutline::IsWord(c)) c = '_';
  }
  return name;
}

std::vector<Edit> SwitchEdits(std::string_view path, const std::vector<Site>& sites) {
  const std::string array = absl::StrCat("::mutant_switch::", SwitchArray(path));
  std::vector<Edit> edits;
  if (sites.empty()) return edits;
  edits.push_back({0, 0,
                   absl::StrCat("#include \"proptests/mutants/switches.h\"\n",
                                "namespace mutant_switch { extern Switch ", SwitchArray(path), "[",
                                sites.size(), "]; }\n#line 1 \"", std::string(path), "\"\n"),
                   true});
  for (size_t i = 0; i < sites.size(); ++i) {
    const Site& site = sites[i];
    const size_t size = site.end - site.begin;
    const std::string which = absl::StrCat(array, "[", i, "]");
    const std::string number = absl::StrCat("(", which, ")");
    switch (site.kind) {
      case Site::Kind::kBinary:
      case Site::Kind::kCompound:
        edits.push_back(
            {site.end, 0, absl::StrCat(" ::mutant_switch::Op", number, " ", site.text), true});
        break;
      case Site::Kind::kNot:
        edits.push_back({site.begin, size, absl::StrCat("::mutant_switch::Not", number, " ->* ")});
        break;
      case Site::Kind::kStep:
        edits.push_back({site.begin, size,
                         absl::StrCat("::mutant_switch::", site.text == "++" ? "Inc" : "Dec",
                                      number, " ->* ")});
        break;
      case Site::Kind::kNumber:
      case Site::Kind::kBool:
        edits.push_back(
            {site.begin, size,
             absl::StrCat("::mutant_switch::", site.kind == Site::Kind::kBool ? "Bool" : "Number",
                          "(", which, ", ", site.text, ")")});
        break;
      case Site::Kind::kCall:
        edits.push_back({site.begin, 0,
                         absl::StrCat("{ if (::mutant_switch::Removed", number, ") {} else { "),
                         false, site.end});
        edits.push_back({site.end, 0, " } }", true});
        break;
    }
  }
  // total order: what closes at a place comes before what begins there, and one of each at most.
  std::stable_sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) {
    return a.at != b.at ? a.at < b.at : a.closes && !b.closes;
  });
  return edits;
}

std::string VariantId(std::string_view path, std::string_view source, const Site& site,
                      size_t variant) {
  const int line = LineOfOffset(source, site.begin);
  const size_t start = source.rfind('\n', site.begin);
  const size_t column = start == std::string_view::npos ? site.begin + 1 : site.begin - start;
  std::string what = site.variants[variant];
  if (site.kind == Site::Kind::kCall) what = absl::StrCat("no ", site.text);
  if (site.kind == Site::Kind::kNot) what = "no !";
  return absl::StrCat(std::string(path), ":", line, ":", column, ":", what);
}

std::string WithVariant(std::string_view source, const Site& site, size_t variant) {
  std::string text(source.substr(0, site.begin));
  absl::StrAppend(&text, site.kind == Site::Kind::kCall ? "{}" : site.variants[variant],
                  std::string(source.substr(site.end)));
  return text;
}

std::string IdOfChange(std::string_view path, std::string_view source, std::string_view find,
                       std::string_view replace) {
  const size_t at = source.find(find);
  if (at == std::string_view::npos || source.find(find, at + 1) != std::string_view::npos)
    return "";
  const std::string changed = absl::StrCat(std::string(source.substr(0, at)), std::string(replace),
                                           std::string(source.substr(at + find.size())));
  for (const Site& site : FindSites(source)) {
    if (site.begin < at || site.end > at + find.size()) continue;
    for (size_t v = 0; v < site.variants.size(); ++v) {
      if (WithVariant(source, site, v) == changed) return VariantId(path, source, site, v);
    }
  }
  return "";
}

}  // namespace proptests
