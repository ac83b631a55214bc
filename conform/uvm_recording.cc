#include "conform/uvm_recording.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "conform/cursor.h"

namespace conform {

namespace {

// What may come next.
enum class Turn {
  kBoot,
  kBetween,   // sequences
  kCounters,  // the C line of a fresh machine
  kRunning,
  kViews,
  kContents,
  kTeardown,
  kStopped,  // after PANIC, CRASH or HANG
  kEnd,      // after ABNORMAL
};

uint64_t TakeAddress(Cursor& c) {
  c.Expect("0x");
  return c.Hex64("an address");
}
uint64_t TakeNumber(Cursor& c, const char* key) {
  c.Expect(key);
  return c.Decimal64("a number", 0, INT64_MAX);
}

char TakeLetter(Cursor& c, absl::string_view letters) {
  for (size_t i = 0; i < letters.size(); i++) {
    if (c.Take(letters.substr(i, 1))) return letters[i];
  }
  c.Fail(absl::StrCat("one of ", letters));
  return '?';
}

// 00.ff, or !ERRNO.
UvmPageBytes TakePageBytes(Cursor& c) {
  UvmPageBytes bytes;
  if (c.Take("!")) {
    bytes.error = TakeUvmError(c, "an error");
    if (bytes.error == 0) c.Fail("an error");
    return bytes;
  }
  const uint32_t first = c.Hex("a byte");
  c.Expect(".");
  const uint32_t middle = c.Hex("a byte");
  if (first > UINT8_MAX || middle > UINT8_MAX) c.Fail("two bytes");
  bytes.first = static_cast<uint8_t>(first);
  bytes.middle = static_cast<uint8_t>(middle);
  return bytes;
}
std::vector<UvmPageBytes> TakePages(Cursor& c) {
  std::vector<UvmPageBytes> pages;
  while (c.ok() && !c.AtEnd()) {
    c.Expect(" ");
    pages.push_back(TakePageBytes(c));
  }
  return pages;
}

// cow+nc+nm, or `-` instead of `cow`.
void TakeType(Cursor& c, UvmEntry* e) {
  e->copy_on_write = c.Take("cow");
  if (!e->copy_on_write) c.Expect("-");
  e->needs_copy = c.Take("+nc");
  e->no_merge = c.Take("+nm");
}

UvmEntry TakeEntry(Cursor& c) {
  UvmEntry e;
  e.space = TakeNumber(c, "");
  c.Expect(" ");
  e.start = TakeAddress(c);
  c.Expect("-");
  e.end = TakeAddress(c);
  c.Expect(" ");
  if (c.ok() && (e.start >= e.end || e.start % kUvmPageBytes != 0 || e.end % kUvmPageBytes != 0)) {
    c.Fail("a range of pages");
  }
  e.prot = TakeUvmProt(c);
  c.Expect("/");
  e.max = TakeUvmProt(c);
  c.Expect(" ");
  e.inherit = TakeLetter(c, "scnz");
  e.advice = TakeLetter(c, "nrs");
  e.wired = TakeNumber(c, " w");
  c.Expect(" ");
  TakeType(c, &e);
  c.Expect(" obj=");
  if (c.Sees("- ")) {
    c.Expect("-");
  } else {
    e.object = c.Signed("an object, or `-`");
    c.Expect("@");
    e.offset = TakeAddress(c);
  }
  c.Expect(" am=");
  if (!c.Take("-")) {
    e.amap.emplace();
    e.amap->refs = TakeNumber(c, "");
    e.amap->slots = TakeNumber(c, "/");
    e.amap->shared = c.Take("S");
  }
  return e;
}

UvmView TakeView(Cursor& c) {
  UvmView v;
  v.space = TakeNumber(c, "");
  c.Expect(" ");
  v.start = TakeAddress(c);
  c.Expect(" pte=");
  v.translations = c.Word("a letter for each page", " ");
  if (v.translations.find_first_not_of("-rwxRWX") != std::string::npos) c.Fail("letters -rwxRWX");
  c.Expect(" pg=");
  v.pages = c.Rest("a letter for each page");
  if (v.pages.find_first_not_of("-asboqASB") != std::string::npos) c.Fail("letters -asboqASB");
  if (v.pages.size() != v.translations.size()) c.Fail("as many letters as in pte=");
  return v;
}

UvmCheck TakeCheck(Cursor& c) {
  // WHAT may hold anything but ` got=`.
  std::string rest = c.Rest("a check");
  UvmCheck check;
  const size_t got = rest.rfind(" got=");
  if (got == std::string::npos || got == 0) {
    c.Fail("what was checked and ` got=`");
    return check;
  }
  check.what = rest.substr(0, got);
  Cursor values(absl::string_view(rest).substr(got));
  values.Expect(" got=");
  check.got = values.Signed("a number");
  values.Expect(" sane=");
  check.sane = values.Signed("a number");
  values.Expect(check.got == check.sane ? " SANE" : " DIFFERS");
  values.End();
  if (!values.ok()) c = values;
  return check;
}

UvmCounters TakeCounters(Cursor& c) {
  UvmCounters n;
  n.free = TakeNumber(c, "free=");
  n.active = TakeNumber(c, " act=");
  n.inactive = TakeNumber(c, " inact=");
  n.wired = TakeNumber(c, " wired=");
  n.swap_in_use = TakeNumber(c, " swu=");
  n.swap_only = TakeNumber(c, " swo=");
  n.anons = TakeNumber(c, " anons=");
  n.amaps = TakeNumber(c, " amaps=");
  n.swap_available = TakeNumber(c, " swavail=");
  return n;
}

UvmGet TakeGet(Cursor& c, bool may_wait) {
  UvmGet get;
  get.may_wait = may_wait;
  get.object = TakeNumber(c, "id=");
  get.page = TakeNumber(c, " pg=");
  get.pages = TakeNumber(c, " n=");
  c.Expect(" acc=");
  get.access = TakeUvmProt(c);
  get.read = TakeNumber(c, " io=");
  c.Expect(" -> ");
  get.error = TakeUvmError(c, "OK or an error");
  return get;
}

UvmPut TakePut(Cursor& c) {
  UvmPut put;
  put.object = TakeNumber(c, "id=");
  put.page = TakeNumber(c, " pg=");
  put.pages = TakeNumber(c, " n=");
  c.Expect(" fl=");
  for (const char letter : {'C', 'F', 'D'}) {
    if (c.Take(absl::string_view(&letter, 1))) put.flags |= UvmFlag(letter);
  }
  put.wrote = TakeNumber(c, " wrote=");
  put.freed = TakeNumber(c, " freed=");
  return put;
}

class Parser {
 public:
  explicit Parser(absl::string_view file) { recording_.file = std::string(file); }

  absl::StatusOr<UvmRecording> Run(absl::string_view text) {
    const absl::Status read =
        ForEachLine(recording_.file, text, &line_, [this](Cursor& c, int) { ParseLine(c); });
    if (!read.ok()) return read;
    if (turn_ != Turn::kBetween || recording_.sequences.empty()) {
      return EndsTooEarly(recording_.file, line_ + 1, Expected());
    }
    return std::move(recording_);
  }

 private:
  // What may come next, for messages.
  const char* Expected() const {
    switch (turn_) {
      case Turn::kBoot:
        return "`# boot`";
      case Turn::kBetween:
        return "`seq`";
      case Turn::kCounters:
        return "`C`";
      case Turn::kRunning:
        return "what belongs to the one before, or `final-views`";
      case Turn::kViews:
        return "`V` or `final-contents`";
      case Turn::kContents:
        return "`X`, `C` or `teardown`";
      case Turn::kTeardown:
        return "what belongs to the one before, or `end`";
      case Turn::kStopped:
        return "`ABNORMAL`";
      case Turn::kEnd:
        return "`end`";
    }
    return "";
  }
  UvmSequence& sequence() { return recording_.sequences.back(); }
  template <typename T>
  void Add(T&& what) {
    sequence().lines.push_back({line_, std::forward<T>(what)});
  }

  void ParseLine(Cursor& c) {
    switch (turn_) {
      case Turn::kBoot:
        return ParseBoot(c);
      case Turn::kBetween:
        if (c.AtEnd()) return;
        if (c.Take("seq ")) return ParseSequence(c);
        break;
      case Turn::kCounters:
        if (c.Take("C ")) {
          Add(TakeCounters(c));
          turn_ = Turn::kRunning;
          return;
        }
        break;
      case Turn::kStopped:
        if (c.Take("ABNORMAL status=")) {
          c.Decimal("a status", 1, 255);
          sequence().abnormal = true;
          turn_ = Turn::kEnd;
          return;
        }
        break;
      case Turn::kEnd:
        if (c.Take("end")) return EndSequence();
        break;
      case Turn::kRunning:
      case Turn::kViews:
      case Turn::kContents:
      case Turn::kTeardown:
        return ParseInside(c);
    }
    c.Fail(Expected());
  }

  void EndSequence() { turn_ = Turn::kBetween; }

  // # boot pages=4096 free=4096 freemin=32 freetarg=42 reserve_kernel=5 wiredmax=1365
  void ParseBoot(Cursor& c) {
    TakeNumber(c, "# boot pages=");
    for (const char* key : {" free=", " freemin=", " freetarg="}) TakeNumber(c, key);
    reserve_ = TakeNumber(c, " reserve_kernel=");
    TakeNumber(c, " wiredmax=");
    turn_ = Turn::kBetween;
  }

  // seq npc-1 pages=4096 va=0x100000-0x180000 dir=up
  void ParseSequence(Cursor& c) {
    UvmSequence s;
    s.line = line_;
    s.reserve = reserve_;
    s.name = c.Word("a name", " ");
    s.pages = TakeNumber(c, " pages=");
    c.Expect(" va=");
    s.start = TakeAddress(c);
    c.Expect("-");
    s.end = TakeAddress(c);
    if (c.ok() && s.start >= s.end) c.Fail("a range");
    c.Expect(" dir=");
    s.topdown = c.Take("down");
    if (!s.topdown) c.Expect("up");
    recording_.sequences.push_back(std::move(s));
    operations_ = 0;
    stop_is_due_ = false;
    turn_ = Turn::kCounters;
  }

  void ParseInside(Cursor& c) {
    // Of a line that the recorded kernel began and did not come to end: a stop follows.
    if (turn_ == Turn::kRunning && !stop_is_due_ && c.AtEnd()) {
      stop_is_due_ = true;
      return;
    }
    if (ParseStop(c)) return;
    if (stop_is_due_) return c.Fail("`PANIC`, `CRASH` or `HANG`");
    if (ParseSectionLine(c)) return;
    if (turn_ == Turn::kViews) {
      if (c.Take("V ")) return Add(TakeView(c));
      return c.Fail(Expected());
    }
    if (turn_ == Turn::kContents) {
      if (c.Take("X ")) return ParseContents(c);
      if (c.Take("C ")) return Add(TakeCounters(c));
      return c.Fail(Expected());
    }
    ParseRunning(c);
  }

  bool ParseStop(Cursor& c) {
    if (!c.Sees("PANIC ") && !c.Sees("CRASH ") && !c.Sees("HANG ")) return false;
    Add(UvmStop{c.Rest("what happened")});
    turn_ = Turn::kStopped;
    return true;
  }

  bool ParseSectionLine(Cursor& c) {
    if (turn_ == Turn::kRunning && c.Take("final-views")) {
      Add(UvmSection::kFinalViews);
      turn_ = Turn::kViews;
    } else if (turn_ == Turn::kViews && c.Take("final-contents")) {
      Add(UvmSection::kFinalContents);
      turn_ = Turn::kContents;
    } else if (turn_ == Turn::kContents && c.Take("teardown")) {
      Add(UvmSection::kTeardown);
      turn_ = Turn::kTeardown;
    } else if (turn_ == Turn::kTeardown && c.Take("end")) {
      if (sequence().lines.empty() ||
          !std::holds_alternative<UvmCounters>(sequence().lines.back().what)) {
        c.Fail("`C` before `end`");
      }
      EndSequence();
    } else {
      return false;
    }
    return true;
  }

  void ParseContents(Cursor& c) {
    UvmContents x;
    x.space = TakeNumber(c, "");
    c.Expect(" ");
    x.start = TakeAddress(c);
    x.pages = TakePages(c);
    Add(std::move(x));
  }

  // Operations and what belongs to them.
  void ParseRunning(Cursor& c) {
    if (c.Take("E+ ")) return Add(TakeEntry(c));
    if (c.Take("E- ")) return ParseEntryGone(c);
    if (c.Take("M ")) return ParseMapCounters(c);
    if (c.Take("C ")) return Add(TakeCounters(c));
    if (c.Take("V ")) return Add(TakeView(c));
    if (c.Take("L ")) {
      UvmLoaned l;
      l.id = TakeNumber(c, "");
      l.pages = TakePages(c);
      return Add(std::move(l));
    }
    if (c.Take("check ")) return Add(TakeCheck(c));
    if (c.Take("note ")) return Add(UvmNote{c.Rest("a remark")});
    if (c.Take("trigger ")) return Add(UvmTrigger{c.Word("a name", " ")});
    if (c.Take("quirk ")) return ParseQuirk(c);
    if (c.Take("GET ")) return Add(TakeGet(c, true));
    if (c.Take("GETA ")) return Add(TakeGet(c, false));
    if (c.Take("PUT ")) return Add(TakePut(c));
    if (c.Take("STORE ")) {
      UvmStore s;
      s.object = TakeNumber(c, "id=");
      s.pages = TakePages(c);
      return Add(std::move(s));
    }
    ParseOperation(c);
  }

  void ParseEntryGone(Cursor& c) {
    UvmEntryGone e;
    e.space = TakeNumber(c, "");
    c.Expect(" ");
    e.start = TakeAddress(c);
    Add(e);
  }

  void ParseMapCounters(Cursor& c) {
    UvmMapCounters m;
    m.space = TakeNumber(c, "");
    m.entries = TakeNumber(c, " n=");
    m.size = TakeNumber(c, " sz=");
    m.resident = TakeNumber(c, " res=");
    m.wired = TakeNumber(c, " wir=");
    Add(m);
  }

  void ParseQuirk(Cursor& c) {
    UvmQuirk q;
    q.name = c.Word("a name", " ");
    c.Expect(" nearest=");
    q.nearest = TakeAddress(c);
    Add(std::move(q));
  }

  void ParseOperation(Cursor& c) {
    if (!c.Take(absl::StrCat(operations_, " "))) {
      return c.Fail(absl::StrCat("operation ", operations_, " or ", Expected()));
    }
    UvmOpLine line;
    line.number = operations_++;
    line.op = TakeUvmOp(c);
    line.result = TakeUvmResult(c, line.op.call);
    Add(std::move(line));
  }

  UvmRecording recording_;
  Turn turn_ = Turn::kBoot;
  int line_ = 0;
  uint64_t reserve_ = 0;
  uint32_t operations_ = 0;  // of the sequence so far
  bool stop_is_due_ = false;
};

}  // namespace

std::string ToString(const UvmPageBytes& bytes) {
  if (bytes.error != 0) return absl::StrCat("!", UvmErrorName(bytes.error));
  return absl::StrCat(absl::Hex(bytes.first, absl::kZeroPad2), ".",
                      absl::Hex(bytes.middle, absl::kZeroPad2));
}

std::string ToString(const UvmEntry& e) {
  return absl::StrCat(
      e.space, " 0x", absl::Hex(e.start), "-0x", absl::Hex(e.end), " ", UvmProtName(e.prot), "/",
      UvmProtName(e.max), " ", std::string{e.inherit, e.advice}, " w", e.wired, " ",
      e.copy_on_write ? "cow" : "-", e.needs_copy ? "+nc" : "", e.no_merge ? "+nm" : "",
      " obj=", e.object.has_value() ? absl::StrCat(*e.object, "@0x", absl::Hex(e.offset)) : "-",
      " am=",
      e.amap.has_value() ? absl::StrCat(e.amap->refs, "/", e.amap->slots, e.amap->shared ? "S" : "")
                         : "-");
}

std::string ToString(const UvmCounters& n) {
  return absl::StrCat("free=", n.free, " act=", n.active, " inact=", n.inactive, " wired=", n.wired,
                      " swu=", n.swap_in_use, " swo=", n.swap_only, " anons=", n.anons,
                      " amaps=", n.amaps, " swavail=", n.swap_available);
}

uint64_t UvmSequence::Count() const {
  uint64_t count = abnormal ? 0 : 1;
  for (const UvmLine& l : lines) {
    if (std::holds_alternative<UvmOpLine>(l.what) || std::holds_alternative<UvmCheck>(l.what) ||
        std::holds_alternative<UvmLoaned>(l.what) || std::holds_alternative<UvmContents>(l.what) ||
        std::holds_alternative<UvmStore>(l.what)) {
      count++;
    }
  }
  return count;
}

uint64_t UvmRecording::Count() const {
  uint64_t count = 0;
  for (const UvmSequence& s : sequences) count += s.Count();
  return count;
}

absl::StatusOr<UvmRecording> ParseUvmRecording(absl::string_view file, absl::string_view text) {
  return Parser(file).Run(text);
}

}  // namespace conform
