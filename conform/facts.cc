#include "conform/facts.h"

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "conform/cursor.h"

namespace conform {

namespace {

constexpr char kMachineLine[] = "# root=";
constexpr uint32_t kMaxHelpers = 64;

class Parser {
 public:
  Parser(absl::string_view file, absl::string_view text) : text_(text) {
    facts_.file = std::string(file);
  }

  absl::StatusOr<FactFile> Run() {
    const absl::Status read =
        ForEachLine(facts_.file, text_, &line_, [this](Cursor& c, int) { ParseLine(c); });
    if (!read.ok()) return read;
    const auto missing = [this](absl::string_view what) {
      return EndsTooEarly(facts_.file, line_ + 1, what);
    };
    if (!has_machine_) return missing(absl::StrCat("a `", kMachineLine, "` line"));
    if (facts_.facts.empty()) return missing("a `fact` line");
    return std::move(facts_);
  }

 private:
  void ParseLine(Cursor& c) {
    if (!has_machine_ && c.Take(kMachineLine)) return ParseMachine(c);
    if (c.Sees(kMachineLine)) return c.Fail("one machine");
    const bool helper = c.Sees("# helper ");
    if (helper && has_machine_) return ParseHelper(c);
    if (!helper && c.Take("#")) {
      c = Cursor("");
      return;
    }
    if (!has_machine_) return c.Fail(absl::StrCat("`", kMachineLine, "`"));
    c.Expect("fact ");
    ParseFact(c);
  }

  // root=c8001 local=bf000100 kip=bff00000 utcbarea=bf000000 utcbsize=200 minarea=1000
  void ParseMachine(Cursor& c) {
    FactMachine& m = facts_.machine;
    m.root = c.Hex("a thread id");
    c.Expect(" local=");
    m.root_local = c.Hex("a local thread id");
    c.Expect(" kip=");
    m.kip_area = c.Hex("the KIP's address");
    c.Expect(" utcbarea=");
    m.utcb_area = c.Hex("the UTCB area's address");
    c.Expect(" utcbsize=");
    m.utcb_bytes = c.Hex("a UTCB's size");
    c.Expect(" minarea=");
    m.min_utcb_area_bytes = c.Hex("the smallest UTCB area's size");
    has_machine_ = true;
  }

  void ParseHelper(Cursor& c) {
    c.Expect("# helper ");
    if (!facts_.facts.empty()) return c.Fail("helpers between machine and facts");
    if (facts_.machine.helpers.size() == kMaxHelpers) return c.Fail("no more helpers");
    c.Expect(absl::StrCat(facts_.machine.helpers.size(), " = "));
    facts_.machine.helpers.push_back(c.Hex("a thread id"));
  }

  // NAME: [hN ]VALUE
  void ParseFact(Cursor& c) {
    Fact fact;
    fact.line = line_;
    fact.scenario = c.Word("a scenario", ": ");
    c.Expect(": ");
    if (c.Take("h")) {
      if (facts_.machine.helpers.empty()) return c.Fail("a thread that is declared");
      const auto last = static_cast<uint32_t>(facts_.machine.helpers.size() - 1);
      fact.helper = c.Decimal("a helper", 0, last);
      c.Expect(" ");
      fact.value = ParseHelpersValue(c);
    } else {
      fact.value = ParseRootsValue(c);
    }
    if (c.ok() && !seen_.insert(Title(fact)).second) {
      return c.Fail(absl::StrCat("`", Title(fact), "` once"));
    }
    facts_.facts.push_back(std::move(fact));
  }

  FactValue ParseHelpersValue(Cursor& c) {
    if (c.Take("blocked")) return BlockedFact{};
    if (c.Take("r=")) return ParseCall(c);
    IpcFact f;
    c.Expect("tag=");
    f.tag = c.Hex("a tag");
    c.Expect(" err=");
    f.error = c.Hex("an error code");
    c.Expect(" from=");
    f.from = c.Hex("a thread id");
    c.Expect(" act=");
    f.actual_sender = c.Hex("a thread id");
    for (size_t i = 0; i < kFactRegisters; i++) {
      c.Expect(absl::StrCat(" mr", i + 1, "="));
      f.mr[i] = c.Hex("a message register");
    }
    return f;
  }

  static FactValue ParseCall(Cursor& c) {
    CallFact f;
    for (size_t i = 0; i < kCallResults; i++) {
      if (i != 0) c.Expect(",");
      f.results[i] = c.Hex("a result");
    }
    c.Expect(" err=");
    f.error = c.Hex("an error code");
    return f;
  }

  static FactValue ParseRootsValue(Cursor& c) {
    if (c.Take("r=")) {
      ScheduleFact f;
      f.state = c.Hex("a thread state");
      c.Expect(" tc=");
      f.time_control = c.Hex("a time control word");
      c.Expect(" err=");
      f.error = c.Hex("an error code");
      return f;
    }
    if (!c.Take("tag=")) return UnmapFact{.fpage = c.Hex("`h`, `r=`, `tag=` or an fpage")};
    Sigma0Fact f;
    f.tag = c.Hex("a tag");
    c.Expect(" err=");
    f.error = c.Hex("an error code");
    c.Expect(" w0=");
    f.item = c.Hex("a map item's first word");
    c.Expect(" fpage=");
    f.fpage = c.Hex("an fpage");
    return f;
  }

  absl::string_view text_;
  FactFile facts_;
  bool has_machine_ = false;
  int line_ = 0;
  std::set<std::string> seen_;
};

std::string Word(uint32_t word) { return absl::StrCat(absl::Hex(word, absl::kZeroPad8)); }
std::string Number(uint32_t word) { return absl::StrCat(absl::Hex(word)); }

}  // namespace

std::string ToString(const FactValue& value) {
  if (std::holds_alternative<BlockedFact>(value)) return "blocked";
  if (const auto* f = std::get_if<IpcFact>(&value)) {
    std::string text = absl::StrCat("tag=", Word(f->tag), " err=", Number(f->error),
                                    " from=", Number(f->from), " act=", Number(f->actual_sender));
    for (size_t i = 0; i < kFactRegisters; i++) {
      absl::StrAppend(&text, " mr", i + 1, "=", Number(f->mr[i]));
    }
    return text;
  }
  if (const auto* f = std::get_if<CallFact>(&value)) {
    std::string text;
    for (const uint32_t r : f->results) {
      absl::StrAppend(&text, text.empty() ? "r=" : ",", Number(r));
    }
    return absl::StrCat(text, " err=", Number(f->error));
  }
  if (const auto* f = std::get_if<ScheduleFact>(&value)) {
    return absl::StrCat("r=", Number(f->state), " tc=", Number(f->time_control),
                        " err=", Number(f->error));
  }
  if (const auto* f = std::get_if<UnmapFact>(&value)) return Word(f->fpage);
  const auto& f = std::get<Sigma0Fact>(value);
  return absl::StrCat("tag=", Word(f.tag), " err=", Number(f.error), " w0=", Word(f.item),
                      " fpage=", Word(f.fpage));
}

std::string Title(const Fact& fact) {
  return fact.helper.has_value() ? absl::StrCat(fact.scenario, ": h", *fact.helper)
                                 : absl::StrCat(fact.scenario, ":");
}

bool LooksLikeFacts(absl::string_view text) {
  return absl::StartsWith(text, kMachineLine) || absl::StrContains(text, "\n# root=") ||
         absl::StartsWith(text, "fact ") || absl::StrContains(text, "\nfact ");
}

absl::StatusOr<FactFile> ParseFacts(absl::string_view file, absl::string_view text) {
  return Parser(file, text).Run();
}

}  // namespace conform
