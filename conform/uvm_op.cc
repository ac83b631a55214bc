#include "conform/uvm_op.h"

#include <array>
#include <cstddef>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace conform {

namespace {

enum class Arg : uint8_t {
  kNumber,
  kSigned,
  kAddress,      // 0x...
  kRange,        // 0x...-0x..., into start and end
  kByte,         // two hex digits
  kProt,         // rw-
  kKind,         // of `map`
  kInheritance,  // a letter, or `?`
  kAdvice,       // a letter
  kLetters,      // capitals, each once
  kBorrower,     // page, anon
  kIfObject,     // the rest of the object's arguments follows if this does: obj=
};

struct ArgRule {
  const char* key;  // what stands before the value, the blank included
  Arg kind;
  uint64_t UvmOp::*field;
  const char* letters = "";  // kLetters: which
};

enum class Result : uint8_t {
  kStatus,     // OK or an error
  kAddress,    // OK va=
  kReturn,     // OK ret=
  kByte,       // OK val=
  kVector,     // OK vec=
  kSpace,      // OK va= or NONE
  kTruth,      // 0 or 1
  kPaging,     // OK paging=
  kCompleted,  // OK completed= paging=
  kIdentity,   // OK/OK equal=, or FAIL on either side
};

struct CallRule {
  const char* name;
  absl::Span<const ArgRule> args;
  Result result;
};

constexpr ArgRule kSpaceArg = {" s=", Arg::kNumber, &UvmOp::space};
constexpr ArgRule kRangeArg = {" ", Arg::kRange, nullptr};
constexpr ArgRule kStartArg = {" ", Arg::kAddress, &UvmOp::start};
constexpr ArgRule kPagesArg = {" n=", Arg::kNumber, &UvmOp::pages};
constexpr ArgRule kIdArg = {" id=", Arg::kNumber, &UvmOp::object};
constexpr ArgRule kUnitArg = {" u=", Arg::kNumber, &UvmOp::unit};
constexpr ArgRule kPrioArg = {" prio=", Arg::kNumber, &UvmOp::prio};
constexpr ArgRule kProtArg = {" prot=", Arg::kProt, &UvmOp::prot};
constexpr ArgRule kAlignArg = {" align=", Arg::kAddress, &UvmOp::align};
constexpr ArgRule kAddrArg = {" addr=", Arg::kAddress, &UvmOp::start};
constexpr ArgRule kLenArg = {" len=", Arg::kAddress, &UvmOp::bytes};

constexpr ArgRule kMapArgs[] = {kSpaceArg,
                                {" kind=", Arg::kKind, &UvmOp::kind},
                                {" va=", Arg::kAddress, &UvmOp::start},
                                kPagesArg,
                                {" obj=", Arg::kIfObject, &UvmOp::object},
                                kProtArg,
                                {" max=", Arg::kProt, &UvmOp::max},
                                {" inh=", Arg::kInheritance, &UvmOp::inherit},
                                {" adv=", Arg::kAdvice, &UvmOp::advice},
                                kAlignArg,
                                {" fl=", Arg::kLetters, &UvmOp::flags, "FUNP"}};
constexpr ArgRule kRangeArgs[] = {kSpaceArg, kRangeArg};
constexpr ArgRule kProtectArgs[] = {
    kSpaceArg, kRangeArg, kProtArg, {" setmax=", Arg::kNumber, &UvmOp::flags}};
constexpr ArgRule kInheritArgs[] = {
    kSpaceArg, kRangeArg, {" inh=", Arg::kInheritance, &UvmOp::inherit}};
constexpr ArgRule kAdviceArgs[] = {kSpaceArg, kRangeArg, {" adv=", Arg::kNumber, &UvmOp::advice}};
constexpr ArgRule kCleanArgs[] = {
    kSpaceArg, kRangeArg, {" fl=", Arg::kLetters, &UvmOp::flags, "CFD"}};
constexpr ArgRule kWireAllArgs[] = {
    kSpaceArg, {" fl=", Arg::kNumber, &UvmOp::flags}, {" lim=", Arg::kAddress, &UvmOp::bytes}};
constexpr ArgRule kExtractArgs[] = {kSpaceArg,
                                    kStartArg,
                                    kPagesArg,
                                    {" dst=", Arg::kNumber, &UvmOp::space2},
                                    {" fl=", Arg::kLetters, &UvmOp::flags, "CXRQ"}};
constexpr ArgRule kMremapArgs[] = {kSpaceArg,
                                   kStartArg,
                                   kPagesArg,
                                   {" new=", Arg::kAddress, &UvmOp::target},
                                   {" nn=", Arg::kNumber, &UvmOp::target_size},
                                   {" fl=", Arg::kAddress, &UvmOp::flags}};
constexpr ArgRule kForkArgs[] = {kSpaceArg, {" new=", Arg::kNumber, &UvmOp::space2}};
constexpr ArgRule kSpaceArgs[] = {kSpaceArg};
constexpr ArgRule kWriteArgs[] = {kSpaceArg, kStartArg, {" val=", Arg::kByte, &UvmOp::value}};
constexpr ArgRule kReadArgs[] = {kSpaceArg, kStartArg};
constexpr ArgRule kCreateArgs[] = {kPagesArg, kIdArg};
constexpr ArgRule kIdArgs[] = {kIdArg};
constexpr ArgRule kObjPutArgs[] = {kIdArg,
                                   {" pg=", Arg::kNumber, &UvmOp::offset},
                                   kPagesArg,
                                   {" fl=", Arg::kLetters, &UvmOp::flags, "CFD"}};
constexpr ArgRule kPressureArgs[] = {{" rounds=", Arg::kNumber, &UvmOp::pages}};
constexpr ArgRule kPagesArgs[] = {kPagesArg};
constexpr ArgRule kSwapOnArgs[] = {kUnitArg, kPagesArg, kPrioArg};
constexpr ArgRule kSwapOffArgs[] = {kUnitArg};
constexpr ArgRule kSwapCtlArgs[] = {kUnitArg, kPrioArg};
constexpr ArgRule kIoErrReadArgs[] = {{"=", Arg::kNumber, &UvmOp::pages}};
constexpr ArgRule kFileErrArgs[] = {{" get=", Arg::kNumber, &UvmOp::pages}};
constexpr ArgRule kCheckProtArgs[] = {kSpaceArg, kRangeArg, kProtArg};
constexpr ArgRule kFindSpaceArgs[] = {kSpaceArg,
                                      {" hint=", Arg::kAddress, &UvmOp::start},
                                      kPagesArg,
                                      kAlignArg,
                                      {" fl=", Arg::kLetters, &UvmOp::flags, "F"}};
constexpr ArgRule kLoanArgs[] = {
    kSpaceArg, kStartArg, kPagesArg, {" to=", Arg::kBorrower, &UvmOp::flags}, kIdArg};
constexpr ArgRule kVoaddrArgs[] = {kSpaceArg,
                                   kStartArg,
                                   {" s2=", Arg::kNumber, &UvmOp::space2},
                                   {" ", Arg::kAddress, &UvmOp::target}};
constexpr ArgRule kSysMmapArgs[] = {kSpaceArg,
                                    kAddrArg,
                                    kLenArg,
                                    {" prot=", Arg::kNumber, &UvmOp::prot},
                                    {" fl=", Arg::kAddress, &UvmOp::flags},
                                    {" fd=", Arg::kSigned, nullptr},
                                    {" pos=", Arg::kAddress, &UvmOp::offset}};
constexpr ArgRule kSysRangeArgs[] = {kSpaceArg, kAddrArg, kLenArg};
constexpr ArgRule kSysMprotectArgs[] = {
    kSpaceArg, kAddrArg, kLenArg, {" prot=", Arg::kNumber, &UvmOp::prot}};
constexpr ArgRule kSysMinheritArgs[] = {
    kSpaceArg, kAddrArg, kLenArg, {" inherit=", Arg::kNumber, &UvmOp::inherit}};
constexpr ArgRule kSysMadviseArgs[] = {
    kSpaceArg, kAddrArg, kLenArg, {" behav=", Arg::kNumber, &UvmOp::advice}};
constexpr ArgRule kSysFlagsArgs[] = {kSpaceArg, {" flags=", Arg::kNumber, &UvmOp::flags}};
constexpr ArgRule kSysMsyncArgs[] = {
    kSpaceArg, kAddrArg, kLenArg, {" flags=", Arg::kNumber, &UvmOp::flags}};
constexpr ArgRule kSysMremapArgs[] = {kSpaceArg,
                                      {" old=", Arg::kAddress, &UvmOp::start},
                                      {" osz=", Arg::kAddress, &UvmOp::bytes},
                                      {" new=", Arg::kAddress, &UvmOp::target},
                                      {" nsz=", Arg::kAddress, &UvmOp::target_size},
                                      {" fl=", Arg::kAddress, &UvmOp::flags}};

// In the order of UvmCall.
constexpr std::array<CallRule, kUvmCalls> kCallRules = {{
    {"map", kMapArgs, Result::kAddress},
    {"unmap", kRangeArgs, Result::kStatus},
    {"protect", kProtectArgs, Result::kStatus},
    {"inherit", kInheritArgs, Result::kStatus},
    {"advice", kAdviceArgs, Result::kStatus},
    {"clean", kCleanArgs, Result::kStatus},
    {"wire", kRangeArgs, Result::kStatus},
    {"unwire", kRangeArgs, Result::kStatus},
    {"wireall", kWireAllArgs, Result::kStatus},
    {"extract", kExtractArgs, Result::kAddress},
    {"mremap", kMremapArgs, Result::kAddress},
    {"fork", kForkArgs, Result::kStatus},
    {"exit", kSpaceArgs, Result::kStatus},
    {"write", kWriteArgs, Result::kStatus},
    {"read", kReadArgs, Result::kByte},
    {"objcreate", kCreateArgs, Result::kStatus},
    {"filecreate", kCreateArgs, Result::kStatus},
    {"objdetach", kIdArgs, Result::kStatus},
    {"objput", kObjPutArgs, Result::kStatus},
    {"pressure", kPressureArgs, Result::kStatus},
    {"inflight", {}, Result::kPaging},
    {"iodone", {}, Result::kCompleted},
    {"ballast", kPagesArgs, Result::kStatus},
    {"swapon", kSwapOnArgs, Result::kStatus},
    {"swapoff", kSwapOffArgs, Result::kStatus},
    {"swapctl", kSwapCtlArgs, Result::kStatus},
    {"ioerr read", kIoErrReadArgs, Result::kStatus},
    {"ioerr write", kIoErrReadArgs, Result::kStatus},
    {"fileerr", kFileErrArgs, Result::kStatus},
    {"checkprot", kCheckProtArgs, Result::kTruth},
    {"findspace", kFindSpaceArgs, Result::kSpace},
    {"loan", kLoanArgs, Result::kStatus},
    {"loanread", kIdArgs, Result::kStatus},
    {"unloan", kIdArgs, Result::kStatus},
    {"voaddr", kVoaddrArgs, Result::kIdentity},
    {"sys_mmap", kSysMmapArgs, Result::kReturn},
    {"sys_munmap", kSysRangeArgs, Result::kStatus},
    {"sys_mprotect", kSysMprotectArgs, Result::kStatus},
    {"sys_minherit", kSysMinheritArgs, Result::kStatus},
    {"sys_madvise", kSysMadviseArgs, Result::kStatus},
    {"sys_mlock", kSysRangeArgs, Result::kStatus},
    {"sys_munlock", kSysRangeArgs, Result::kStatus},
    {"sys_mlockall", kSysFlagsArgs, Result::kStatus},
    {"sys_munlockall", kSpaceArgs, Result::kStatus},
    {"sys___msync13", kSysMsyncArgs, Result::kStatus},
    {"sys_mincore", kSysRangeArgs, Result::kVector},
    {"sys_mremap", kSysMremapArgs, Result::kReturn},
}};

const CallRule& RuleOf(UvmCall call) { return kCallRules[static_cast<size_t>(call)]; }

constexpr const char* kKinds[] = {"priv", "privov", "shared", "objsh", "objpriv", "bare"};

struct ErrorName {
  int error;
  const char* name;
};
constexpr ErrorName kErrors[] = {{0, "OK"},           {kEnoent, "ENOENT"},      {kEio, "EIO"},
                                 {kEnxio, "ENXIO"},   {kE2big, "E2BIG"},        {kEbadf, "EBADF"},
                                 {kEnomem, "ENOMEM"}, {kEacces, "EACCES"},      {kEfault, "EFAULT"},
                                 {kEbusy, "EBUSY"},   {kEexist, "EEXIST"},      {kEnodev, "ENODEV"},
                                 {kEinval, "EINVAL"}, {kEfbig, "EFBIG"},        {kEnospc, "ENOSPC"},
                                 {kEagain, "EAGAIN"}, {kEoverflow, "EOVERFLOW"}};

uint64_t TakeAddress(Cursor& c, absl::string_view what) {
  c.Expect("0x");
  return c.Hex64(what);
}

uint64_t TakeLetters(Cursor& c, const char* letters) {
  uint64_t flags = 0;
  for (bool more = true; more;) {
    more = false;
    for (const char* letter = letters; *letter != '\0'; letter++) {
      if ((flags & UvmFlag(*letter)) != 0 || !c.Take(absl::string_view(letter, 1))) continue;
      flags |= UvmFlag(*letter);
      more = true;
    }
  }
  return flags;
}

// One of the characters of `letters`.
uint64_t TakeLetter(Cursor& c, const char* letters) {
  for (const char* letter = letters; *letter != '\0'; letter++) {
    if (c.Take(absl::string_view(letter, 1))) return static_cast<uint64_t>(*letter);
  }
  c.Fail(absl::StrCat("one of ", letters));
  return 0;
}

uint64_t TakeWord(Cursor& c, absl::Span<const char* const> words) {
  const std::string word = c.Word("a word", " ");
  for (size_t i = 0; i < words.size(); i++) {
    if (word == words[i]) return i;
  }
  c.Fail("a word of the format");
  return 0;
}

uint64_t TakeByte(Cursor& c) {
  const uint32_t value = c.Hex("a byte");
  if (value > UINT8_MAX) c.Fail("a byte");
  return value;
}

void TakeArg(Cursor& c, const ArgRule& rule, UvmOp* op) {
  if (rule.kind == Arg::kIfObject) {
    if (!c.Take(rule.key)) return;
    op->has_object = 1;
    op->object = c.Decimal("an object", 0, UINT32_MAX);
    c.Expect(" off=");
    op->offset = TakeAddress(c, "an offset");
    return;
  }
  c.Expect(rule.key);
  switch (rule.kind) {
    case Arg::kNumber:
      op->*rule.field = c.Decimal64("a number", 0, INT64_MAX);
      return;
    case Arg::kSigned:
      op->fd = c.Signed("a number");
      return;
    case Arg::kAddress:
      op->*rule.field = TakeAddress(c, "an address");
      return;
    case Arg::kRange:
      op->start = TakeAddress(c, "an address");
      c.Expect("-");
      op->end = TakeAddress(c, "an address");
      return;
    case Arg::kByte:
      op->*rule.field = TakeByte(c);
      return;
    case Arg::kProt:
      op->*rule.field = TakeUvmProt(c);
      return;
    case Arg::kKind:
      op->*rule.field = TakeWord(c, kKinds);
      return;
    case Arg::kInheritance:
      op->*rule.field = TakeLetter(c, "scnzd?");
      return;
    case Arg::kAdvice:
      op->*rule.field = TakeLetter(c, "nrs");
      return;
    case Arg::kLetters:
      op->*rule.field = TakeLetters(c, rule.letters);
      return;
    case Arg::kBorrower:
      op->*rule.field = c.Take("anon") ? 1 : 0;
      if (op->*rule.field == 0) c.Expect("page");
      return;
    case Arg::kIfObject:
      return;
  }
}

std::string Address(uint64_t value) { return absl::StrCat("0x", absl::Hex(value)); }

std::string Byte(uint64_t value) { return absl::StrCat(absl::Hex(value, absl::kZeroPad2)); }

std::string LettersOf(uint64_t flags, const char* letters) {
  std::string text;
  for (const char* letter = letters; *letter != '\0'; letter++) {
    if ((flags & UvmFlag(*letter)) != 0) text += *letter;
  }
  return text;
}

std::string ArgText(const ArgRule& rule, const UvmOp& op) {
  const uint64_t value = rule.field == nullptr ? 0 : op.*rule.field;
  switch (rule.kind) {
    case Arg::kNumber:
      return absl::StrCat(value);
    case Arg::kSigned:
      return absl::StrCat(op.fd);
    case Arg::kAddress:
      return Address(value);
    case Arg::kRange:
      return absl::StrCat(Address(op.start), "-", Address(op.end));
    case Arg::kByte:
      return Byte(value);
    case Arg::kProt:
      return UvmProtName(value);
    case Arg::kKind:
      return kKinds[value];
    case Arg::kInheritance:
    case Arg::kAdvice:
      return std::string(1, static_cast<char>(value));
    case Arg::kLetters:
      return LettersOf(value, rule.letters);
    case Arg::kBorrower:
      return value == 1 ? "anon" : "page";
    case Arg::kIfObject:
      return absl::StrCat(value, " off=", Address(op.offset));
  }
  return "";
}

void TakeIdentity(Cursor& c, UvmResult* r) {
  r->ok1 = c.Take("OK/");
  if (!r->ok1) c.Expect("FAIL/");
  r->ok2 = c.Take("OK");
  if (!r->ok2) c.Expect("FAIL");
  if (!r->ok1 || !r->ok2) return;
  c.Expect(" equal=");
  r->value = c.Decimal("a truth value", 0, 1);
}

// What follows `OK`.
void TakeDetails(Cursor& c, Result kind, UvmResult* r) {
  switch (kind) {
    case Result::kAddress:
    case Result::kSpace:
      c.Expect(" va=");
      r->value = TakeAddress(c, "an address");
      return;
    case Result::kReturn:
      c.Expect(" ret=");
      r->value = TakeAddress(c, "an address");
      return;
    case Result::kByte:
      c.Expect(" val=");
      r->value = TakeByte(c);
      return;
    case Result::kVector:
      c.Expect(" vec=");
      r->vec = c.Rest("a digit for each page");
      if (r->vec.find_first_not_of("01") != std::string::npos) c.Fail("digits 0 and 1");
      return;
    case Result::kCompleted:
      c.Expect(" completed=");
      r->completed = c.Decimal("a number of pages", 0, UINT32_MAX);
      [[fallthrough]];
    case Result::kPaging:
      c.Expect(" paging=");
      r->value = c.Decimal("a number of pages", 0, UINT32_MAX);
      return;
    case Result::kStatus:
    case Result::kTruth:
    case Result::kIdentity:
      return;
  }
}

std::string Details(Result kind, const UvmResult& r) {
  switch (kind) {
    case Result::kAddress:
    case Result::kSpace:
      return absl::StrCat(" va=", Address(r.value));
    case Result::kReturn:
      return absl::StrCat(" ret=", Address(r.value));
    case Result::kByte:
      return absl::StrCat(" val=", Byte(r.value));
    case Result::kVector:
      return absl::StrCat(" vec=", r.vec);
    case Result::kCompleted:
      return absl::StrCat(" completed=", r.completed, " paging=", r.value);
    case Result::kPaging:
      return absl::StrCat(" paging=", r.value);
    case Result::kStatus:
    case Result::kTruth:
    case Result::kIdentity:
      return "";
  }
  return "";
}

}  // namespace

std::string UvmErrorName(int error) {
  for (const ErrorName& e : kErrors) {
    if (e.error == error) return e.name;
  }
  return absl::StrCat("errno ", error);
}

int TakeUvmError(Cursor& c, absl::string_view what) {
  const Cursor before = c;
  const std::string word = c.Word(what, " ");
  for (const ErrorName& e : kErrors) {
    if (word == e.name) return e.error;
  }
  if (c.ok()) {
    c = before;
    c.Fail(what);
  }
  return 0;
}

uint64_t TakeUvmProt(Cursor& c) {
  constexpr struct {
    const char* letter;
    uint64_t bit;
  } kLetters[] = {{"r", kUvmRead}, {"w", kUvmWrite}, {"x", kUvmExecute}};
  uint64_t prot = 0;
  for (const auto& l : kLetters) {
    if (c.Take(l.letter)) {
      prot |= l.bit;
    } else {
      c.Expect("-");
    }
  }
  return prot;
}

std::string UvmProtName(uint64_t prot) {
  return absl::StrCat((prot & kUvmRead) != 0 ? "r" : "-", (prot & kUvmWrite) != 0 ? "w" : "-",
                      (prot & kUvmExecute) != 0 ? "x" : "-");
}

UvmOp TakeUvmOp(Cursor& c) {
  UvmOp op;
  size_t call = 0;
  while (call < kCallRules.size()) {
    // One name may begin another: the arguments, the result or the end follow the name.
    const absl::string_view name = kCallRules[call].name;
    if (c.Sees(absl::StrCat(name, " ")) || c.Sees(absl::StrCat(name, "="))) break;
    call++;
  }
  if (call == kCallRules.size()) {
    c.Fail("an operation");
    return op;
  }
  op.call = static_cast<UvmCall>(call);
  c.Expect(RuleOf(op.call).name);
  for (const ArgRule& rule : RuleOf(op.call).args) TakeArg(c, rule, &op);
  return op;
}

UvmResult TakeUvmResult(Cursor& c, UvmCall call) {
  UvmResult r;
  if (c.AtEnd()) {
    r.missing = true;
    return r;
  }
  c.Expect(" -> ");
  const Result kind = RuleOf(call).result;
  if (kind == Result::kTruth) {
    r.value = c.Decimal("a truth value", 0, 1);
  } else if (kind == Result::kIdentity) {
    TakeIdentity(c, &r);
  } else if (kind == Result::kSpace && c.Take("NONE")) {
    r.none = true;
  } else {
    r.error = TakeUvmError(c, "OK or an error");
    if (r.error == 0) TakeDetails(c, kind, &r);
  }
  return r;
}

std::string ToString(const UvmOp& op) {
  std::string text = RuleOf(op.call).name;
  for (const ArgRule& rule : RuleOf(op.call).args) {
    if (rule.kind == Arg::kIfObject && op.has_object == 0) continue;
    absl::StrAppend(&text, rule.key, ArgText(rule, op));
  }
  return text;
}

std::string ToString(const UvmResult& r, UvmCall call) {
  const Result kind = RuleOf(call).result;
  if (r.missing) return "no result";
  if (kind == Result::kTruth) return absl::StrCat(r.value);
  if (kind == Result::kIdentity) {
    return absl::StrCat(r.ok1 ? "OK" : "FAIL", "/", r.ok2 ? "OK" : "FAIL",
                        r.ok1 && r.ok2 ? absl::StrCat(" equal=", r.value) : "");
  }
  if (r.none) return "NONE";
  return absl::StrCat(UvmErrorName(r.error), r.error == 0 ? Details(kind, r) : "");
}

}  // namespace conform
