#include "conform/mach_recording.h"

#include <array>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "conform/cursor.h"

namespace conform {

namespace {

constexpr uint32_t kMaxSlots = 64;
constexpr uint32_t kMaxNumber = 1'000'000;
constexpr uint32_t kAnyWord = UINT32_MAX;

// An operand: how it is written, and where it is kept.
struct Operand {
  const char* name;
  enum class Form : uint8_t { kHex, kDecimal, kSigned, kBit } form;
  uint32_t MachOp::*word;
  bool MachOp::*bit;
};
constexpr Operand Hex(const char* name, uint32_t MachOp::*word) {
  return {name, Operand::Form::kHex, word, nullptr};
}
constexpr Operand Decimal(const char* name, uint32_t MachOp::*word) {
  return {name, Operand::Form::kDecimal, word, nullptr};
}
// A word that may be -1.
constexpr Operand Signed(const char* name, uint32_t MachOp::*word) {
  return {name, Operand::Form::kSigned, word, nullptr};
}
constexpr Operand Bit(const char* name, bool MachOp::*bit) {
  return {name, Operand::Form::kBit, nullptr, bit};
}

constexpr Operand kEnd = {nullptr, Operand::Form::kBit, nullptr, nullptr};
constexpr Operand kAddr = Hex("addr", &MachOp::addr);
constexpr Operand kSize = Hex("size", &MachOp::size);
constexpr Operand kAny = Bit("any", &MachOp::anywhere);
constexpr Operand kInherit = Signed("inh", &MachOp::inherit);

// What a success, or either outcome, brings beside kr.
enum class Answer : uint8_t { kNothing, kAddress, kRegion, kData, kChild, kLoad, kStore };

struct CallRow {
  MachCall call;
  const char* name;
  Answer answer;
  std::array<Operand, 9> operands;
};

constexpr CallRow kCalls[] = {
    {MachCall::kVmAllocate, "vm_allocate", Answer::kAddress, {kAddr, kSize, kAny, kEnd}},
    {MachCall::kVmMap,
     "vm_map",
     Answer::kAddress,
     {kAddr, kSize, Hex("mask", &MachOp::mask), kAny, Hex("off", &MachOp::offset),
      Bit("copy", &MachOp::copy), Decimal("cur", &MachOp::cur), Decimal("max", &MachOp::max),
      kInherit}},
    {MachCall::kVmDeallocate, "vm_deallocate", Answer::kNothing, {kAddr, kSize, kEnd}},
    {MachCall::kVmProtect,
     "vm_protect",
     Answer::kNothing,
     {kAddr, kSize, Bit("max", &MachOp::set_max), Signed("prot", &MachOp::prot), kEnd}},
    {MachCall::kVmInherit, "vm_inherit", Answer::kNothing, {kAddr, kSize, kInherit, kEnd}},
    {MachCall::kVmWire,
     "vm_wire",
     Answer::kNothing,
     {kAddr, kSize, Decimal("access", &MachOp::access), kEnd}},
    {MachCall::kVmWireAll,
     "vm_wire_all",
     Answer::kNothing,
     {Decimal("flags", &MachOp::flags), kEnd}},
    {MachCall::kVmCopy,
     "vm_copy",
     Answer::kNothing,
     {Hex("src", &MachOp::addr), kSize, Hex("dst", &MachOp::to), kEnd}},
    {MachCall::kVmRead, "vm_read", Answer::kData, {kAddr, kSize, kEnd}},
    {MachCall::kVmWrite,
     "vm_write",
     Answer::kNothing,
     {kAddr, kSize, Hex("val", &MachOp::value), kEnd}},
    {MachCall::kVmRegion, "vm_region", Answer::kRegion, {kAddr, kEnd}},
    {MachCall::kVmMsync,
     "vm_msync",
     Answer::kNothing,
     {kAddr, kSize, Decimal("flags", &MachOp::flags), kEnd}},
    {MachCall::kTaskCreate,
     "task_create",
     Answer::kChild,
     {Decimal("inherit", &MachOp::inherit), kEnd}},
    {MachCall::kTaskTerminate, "task_terminate", Answer::kNothing, {kEnd}},
    {MachCall::kPeek, "peek", Answer::kLoad, {kAddr, kEnd}},
    {MachCall::kPoke, "poke", Answer::kStore, {kAddr, Hex("val", &MachOp::value), kEnd}},
};

constexpr bool RowsStandAtTheirCall() {
  for (size_t i = 0; i < std::size(kCalls); i++) {
    if (static_cast<size_t>(kCalls[i].call) != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirCall());

const CallRow& RowOf(MachCall call) { return kCalls[static_cast<size_t>(call)]; }

// Single vm_writes say where in a page their data begins, between address and size.
constexpr Operand kSingleWrite[] = {kAddr, Decimal("dataoff", &MachOp::data_offset), kSize,
                                    Hex("val", &MachOp::value), kEnd};

constexpr absl::string_view kTargets[] = {"task", "null", "dead", "host"};

class Parser {
 public:
  Parser(absl::string_view file, absl::string_view text) : text_(text) {
    recording_.file = std::string(file);
  }

  absl::StatusOr<MachRecording> Run() {
    const absl::Status read =
        ForEachLine(recording_.file, text_, &line_, [this](Cursor& c, int) { ParseLine(c); });
    if (!read.ok()) return read;
    if (turn_ != Turn::kSequence && turn_ != Turn::kEnd) {
      return EndsTooEarly(recording_.file, line_ + 1, NextLine());
    }
    return std::move(recording_);
  }

 private:
  enum class Turn : uint8_t {
    kStart,
    // Sequences.
    kSequence,
    kStep,
    kContents,
    // Single calls.
    kLayout,
    kAccess,
    kCall,
    kEnd,
  };

  const char* NextLine() const {
    switch (turn_) {
      case Turn::kStart:
        return "`S` or `BEGIN`";
      case Turn::kSequence:
        return "`S`";
      case Turn::kStep:
        return "`O`, `M`, `C` or `E`";
      case Turn::kContents:
        return "`M`, `C` or `E`";
      case Turn::kLayout:
        return "`L` or `   =>`";
      case Turn::kAccess:
        return "`F` or `X`";
      case Turn::kCall:
        return "`X`, `   =>` or `DONE`";
      case Turn::kEnd:
        return "nothing more";
    }
    return "";
  }

  void ParseLine(Cursor& c) {
    switch (turn_) {
      case Turn::kStart:
        if (c.Take("BEGIN ")) return ParseBegin(c);
        [[fallthrough]];
      case Turn::kSequence:
        if (c.Take("S ")) return ParseSequence(c);
        break;
      case Turn::kStep:
        if (c.Take("O ")) return ParseOperation(c);
        [[fallthrough]];
      case Turn::kContents:
        if (c.Take("M ")) return ParseMapStep(c);
        if (c.Take("C ")) return ParseContents(c);
        if (c.Take("E ")) return ParseSequenceEnd(c);
        break;
      case Turn::kLayout:
        if (c.Take("L ")) return ParseLayout(c);
        if (!recording_.layout.empty() && c.Take("   =>")) return ParseLayoutMap(c);
        break;
      case Turn::kAccess:
        if (c.Take("F ")) return ParseAccess(c);
        [[fallthrough]];
      case Turn::kCall:
        if (ParseCallLine(c)) return;
        break;
      case Turn::kEnd:
        break;
    }
    c.Fail(NextLine());
  }

  // ---- Pieces ----

  uint32_t Bounded(Cursor& c, absl::string_view name, absl::string_view what, uint32_t most) {
    c.Expect(absl::StrCat(name, "="));
    return c.Decimal(what, 0, most);
  }
  static uint32_t HexWord(Cursor& c, absl::string_view what) {
    c.Expect("0x");
    return c.Hex(what);
  }

  void ParseOperand(Cursor& c, const Operand& operand, MachOp* op) {
    c.Expect(absl::StrCat(operand.name, "="));
    switch (operand.form) {
      case Operand::Form::kHex:
        op->*operand.word = HexWord(c, operand.name);
        break;
      case Operand::Form::kSigned:
        if (c.Take("-1")) {
          op->*operand.word = UINT32_MAX;
          break;
        }
        [[fallthrough]];
      case Operand::Form::kDecimal:
        op->*operand.word = c.Decimal(operand.name, 0, kAnyWord);
        break;
      case Operand::Form::kBit:
        op->*operand.bit = c.Decimal(operand.name, 0, 1) != 0;
        break;
    }
  }

  template <typename Operands>
  void ParseOperands(Cursor& c, const Operands& operands, MachOp* op) {
    for (const Operand& operand : operands) {
      if (operand.name == nullptr) break;
      ParseOperand(c, operand, op);
      c.Expect(" ");
    }
  }

  const CallRow* ParseCallName(Cursor& c) {
    for (const CallRow& row : kCalls) {
      if (c.Take(absl::StrCat(row.name, " "))) return &row;
    }
    c.Fail("a call");
    return nullptr;
  }

  // cur=3 max=7 inh=1 sh=0
  void ParseAttributes(Cursor& c, MachRegion* region) {
    region->cur = Bounded(c, "cur", "a protection", 31);
    c.Expect(" ");
    region->max = Bounded(c, "max", "a protection", 31);
    c.Expect(" ");
    region->inherit = Bounded(c, "inh", "an inheritance", 2);
    c.Expect(" ");
    region->shared = Bounded(c, "sh", "0 or 1", 1);
  }

  //  [0x10000000+0x2000 cur=3 max=7 inh=1 sh=0]...
  MachMap ParseMap(Cursor& c) {
    MachMap map;
    while (c.ok() && !c.AtEnd()) {
      MachRegion region;
      c.Expect(" [");
      region.start = HexWord(c, "an address");
      c.Expect("+");
      region.size = HexWord(c, "a size");
      c.Expect(" ");
      ParseAttributes(c, &region);
      const bool ascends =
          map.empty() || map.back().start + map.back().size <= uint64_t{region.start};
      if (!ascends || region.size == 0 || region.start + region.size > uint64_t{1} << 32) {
        c.Fail("regions that ascend");
      }
      c.Expect("]");
      map.push_back(region);
    }
    return map;
  }

  uint32_t ParseFault(Cursor& c) {
    if (c.Take("ok")) return 0;
    c.Expect("fault ");
    return c.Decimal("a code", 1, 64);
  }

  // ---- Sequences ----

  MachSequence& sequence() { return recording_.sequences.back(); }
  uint32_t Slot(Cursor& c) { return Bounded(c, "t", "a task", kMaxSlots - 1); }
  // One more step; operations are numbered without gaps.
  MachStep& Add(MachStep::Kind kind) {
    MachStep step;
    step.kind = kind;
    step.line = line_;
    step.number = operations_ == 0 ? 0 : operations_ - 1;
    sequence().steps.push_back(std::move(step));
    return sequence().steps.back();
  }

  // 1 seed=1 profile=0 ops=63 pages=16
  void ParseSequence(Cursor& c) {
    MachSequence next;
    next.line = line_;
    next.number = c.Decimal("a sequence", 0, kMaxNumber);
    c.Expect(" ");
    Bounded(c, "seed", "a seed", kAnyWord);
    c.Expect(" ");
    Bounded(c, "profile", "a profile", kMaxNumber);
    c.Expect(" ");
    Bounded(c, "ops", "a number of operations", kMaxNumber);
    c.Expect(" ");
    Bounded(c, "pages", "a number of pages", kMaxNumber);
    recording_.sequences.push_back(std::move(next));
    operations_ = 0;
    turn_ = Turn::kStep;
  }

  // 5 vm_copy t=0 src=0x1000c000 size=0x3000 dst=0x10008000 -> kr=1
  void ParseOperation(Cursor& c) {
    const uint32_t number = operations_++;
    MachStep& step = Add(MachStep::Kind::kOperation);
    step.number = number;
    c.Expect(absl::StrCat(number, " "));
    const CallRow* row = ParseCallName(c);
    if (row == nullptr) return;
    step.op.call = row->call;
    step.op.task = Slot(c);
    c.Expect(" ");
    ParseOperands(c, row->operands, &step.op);
    c.Expect("-> ");
    ParseResult(c, *row, &step.result);
  }

  void ParseResult(Cursor& c, const CallRow& row, MachResult* result) {
    if (row.answer == Answer::kLoad || row.answer == Answer::kStore) {
      result->code = ParseFault(c);
      if (row.answer == Answer::kStore || result->code != 0) return;
      c.Expect(" val=");
      result->value = HexWord(c, "a word");
      return;
    }
    result->code = Bounded(c, "kr", "a kern_return_t", kAnyWord);
    const bool ok = result->code == 0;
    if (row.answer == Answer::kAddress) {
      c.Expect(" addr=");
      result->addr = HexWord(c, "an address");
    } else if (ok && row.answer == Answer::kRegion) {
      ParseRegionFound(c, result);
      c.Expect(" obj=");
      c.Decimal("an object", 0, kMaxNumber);
      c.Expect(" off=");
      HexWord(c, "an offset");
    } else if (ok && row.answer == Answer::kData) {
      c.Expect(" cnt=");
      result->size = HexWord(c, "a size");
      c.Expect(" data=");
      while (c.ok() && !c.AtEnd()) {
        if (!result->words.empty()) c.Expect(",");
        result->words.push_back(c.Hex("a word"));
      }
    } else if (ok && row.answer == Answer::kChild) {
      c.Expect(" ");
      result->child = Bounded(c, "child", "a task", kMaxSlots - 1);
    }
  }

  //  addr=0x10007000 size=0x5000 cur=3 max=7 inh=1 sh=0
  void ParseRegionFound(Cursor& c, MachResult* result) {
    c.Expect(" addr=");
    result->addr = result->region.start = HexWord(c, "an address");
    c.Expect(" size=");
    result->size = HexWord(c, "a size");
    result->region.size = result->size;
    c.Expect(" ");
    ParseAttributes(c, &result->region);
  }

  void ParseMapStep(Cursor& c) {
    MachStep& step = Add(MachStep::Kind::kMap);
    step.task = Slot(c);
    step.map = ParseMap(c);
  }

  // t=0 0x10004000:0 0x10005000:F2
  void ParseContents(Cursor& c) {
    MachStep& step = Add(MachStep::Kind::kContents);
    step.task = Slot(c);
    while (c.ok() && !c.AtEnd()) {
      MachStep::Word word;
      c.Expect(" ");
      word.addr = HexWord(c, "an address");
      c.Expect(":");
      word.faulted = c.Take("F");
      word.value = word.faulted ? c.Decimal("a code", 1, 64) : c.Hex("a word");
      step.words.push_back(word);
    }
    turn_ = Turn::kContents;
  }

  void ParseSequenceEnd(Cursor& c) {
    c.Expect(absl::StrCat(sequence().number));
    turn_ = Turn::kSequence;
  }

  // ---- Single calls ----

  // first=1 count=5 prof=0 weird=5
  void ParseBegin(Cursor& c) {
    Bounded(c, "first", "a number", kMaxNumber);
    c.Expect(" ");
    Bounded(c, "count", "a number", kMaxNumber);
    c.Expect(" ");
    Bounded(c, "prof", "a profile", kMaxNumber);
    c.Expect(" ");
    Bounded(c, "weird", "a number", kMaxNumber);
    turn_ = Turn::kLayout;
  }

  // page=0 npages=2 cur=3 max=7 inh=1 word0=0xa000
  void ParseLayout(Cursor& c) {
    MachLayout part;
    part.page = Bounded(c, "page", "a page", 4095);
    c.Expect(" ");
    part.pages = Bounded(c, "npages", "a number of pages", 4096);
    c.Expect(" ");
    part.cur = Bounded(c, "cur", "a protection", 7);
    c.Expect(" ");
    part.max = Bounded(c, "max", "a protection", 7);
    c.Expect(" ");
    part.inherit = Bounded(c, "inh", "an inheritance", 2);
    c.Expect(" word0=");
    part.word = HexWord(c, "a word");
    const uint32_t free = recording_.layout.empty()
                              ? 0
                              : recording_.layout.back().page + recording_.layout.back().pages;
    if (part.pages == 0 || part.page < free) c.Fail("parts that ascend");
    recording_.layout.push_back(part);
  }

  void ParseLayoutMap(Cursor& c) {
    recording_.layout_map.line = line_;
    recording_.layout_map.map = ParseMap(c);
    turn_ = Turn::kAccess;
  }

  // cur=0 written_before=0 access=read -> fault 2
  void ParseAccess(Cursor& c) {
    MachAccess access;
    access.line = line_;
    access.cur = Bounded(c, "cur", "a protection", 7);
    c.Expect(" ");
    access.written_before = Bounded(c, "written_before", "0 or 1", 1) != 0;
    c.Expect(" access=");
    access.write = c.Take("write");
    if (!access.write) c.Expect("read");
    c.Expect(" -> ");
    access.code = ParseFault(c);
    if (access.code == 0) c.Expect(" 0");
    recording_.accesses.push_back(access);
  }

  // A line among the calls; false when it is none.
  bool ParseCallLine(Cursor& c) {
    if (c.Take("X ")) {
      ParseCall(c);
      return true;
    }
    if (turn_ != Turn::kCall) return false;
    if (c.Sees("# skipped: ") || IsConsole(c)) {
      c = Cursor("");
      return true;
    }
    if (c.Take("DONE")) {
      turn_ = Turn::kEnd;
      return true;
    }
    MachSingleCall& call = recording_.calls.back();
    if (call.op.call == MachCall::kTaskCreate && c.Take("   parent after:")) {
      whose_ = MachMapAfter::Whose::kParent;
      return true;
    }
    if (call.words_line == 0 && c.Take("   => words")) {
      ParseWords(c, &call);
      return true;
    }
    if (!c.Take("   =>")) return false;
    call.maps.push_back({whose_, line_, ParseMap(c)});
    whose_ = MachMapAfter::Whose::kTask;
    return true;
  }

  // What the recorded kernel wrote to its console.
  static bool IsConsole(const Cursor& c) {
    if (c.Sees("max_size ") || c.Sees("no more room in ")) return true;
    Cursor rest = c;
    rest.Hex("an address");
    return rest.Take(" does not respect ");
  }

  void ParseWords(Cursor& c, MachSingleCall* call) {
    call->words_line = line_;
    while (c.ok() && !c.AtEnd()) {
      c.Expect(" ");
      if (c.Take("?")) {
        call->words.emplace_back();
      } else {
        call->words.emplace_back(c.Hex("a word"));
      }
    }
  }

  // 12 vm_msync addr=0x10000000 size=0x0 flags=2 -> kr=0
  void ParseCall(Cursor& c) {
    MachSingleCall call;
    call.number = static_cast<uint32_t>(recording_.calls.size());
    call.line = line_;
    c.Expect(absl::StrCat(call.number, " "));
    turn_ = Turn::kCall;
    whose_ = MachMapAfter::Whose::kTask;
    if (const CallRow* row = ParseCallName(c); row != nullptr) {
      call.op.call = row->call;
      if (c.Take("task=")) {
        ParseTarget(c, &call);
      } else {
        ParseOrdinary(c, *row, &call);
      }
    }
    recording_.calls.push_back(std::move(call));
  }

  // null -> kr=0x10000003
  void ParseTarget(Cursor& c, MachSingleCall* call) {
    for (size_t i = 1; i < std::size(kTargets); i++) {
      if (c.Take(kTargets[i])) call->op.target = static_cast<MachTarget>(i);
    }
    if (call->op.target == MachTarget::kTask) c.Fail("null, dead or host");
    c.Expect(" -> kr=");
    call->result.code = HexWord(c, "a kern_return_t");
  }

  void ParseOrdinary(Cursor& c, const CallRow& row, MachSingleCall* call) {
    if (row.call == MachCall::kVmWire && c.Take("host=")) {
      call->op.host = c.Take("task") ? MachHost::kTask : MachHost::kUnprivileged;
      if (call->op.host == MachHost::kUnprivileged) c.Expect("unpriv");
      c.Expect(" ");
    }
    if (row.call == MachCall::kVmWrite) {
      ParseOperands(c, kSingleWrite, &call->op);
    } else {
      ParseOperands(c, row.operands, &call->op);
    }
    if (row.call == MachCall::kTaskCreate) {
      call->op.wires_first = c.Take("after wiring pages 0-1,10 ");
      c.Expect("-> kr=0 child map:");
      whose_ = MachMapAfter::Whose::kChild;
      return;
    }
    c.Expect("-> kr=");
    MachResult& result = call->result;
    result.code = c.Decimal("a kern_return_t", 0, kAnyWord);
    if (row.answer == Answer::kAddress) {
      c.Expect(" addr=");
      result.addr = HexWord(c, "an address");
    } else if (result.code == 0 && row.answer == Answer::kRegion) {
      ParseRegionFound(c, &result);
    } else if (result.code == 0 && row.answer == Answer::kData) {
      c.Expect(" cnt=");
      result.size = HexWord(c, "a size");
      c.Expect(" off=");
      result.offset = HexWord(c, "an offset");
      if (c.Take(" w=")) result.words.push_back(HexWord(c, "a word"));
    }
  }

  const absl::string_view text_;
  MachRecording recording_;
  int line_ = 0;
  Turn turn_ = Turn::kStart;
  uint32_t operations_ = 0;
  MachMapAfter::Whose whose_ = MachMapAfter::Whose::kTask;  // of the next map
};

}  // namespace

const char* NameOf(MachCall call) { return RowOf(call).name; }

std::string ToString(const MachOp& op) {
  std::string text = NameOf(op.call);
  if (op.target != MachTarget::kTask) {
    return absl::StrCat(text, " task=", kTargets[static_cast<size_t>(op.target)]);
  }
  absl::StrAppend(&text, " t=", op.task);
  for (const Operand& operand : RowOf(op.call).operands) {
    if (operand.name == nullptr) break;
    absl::StrAppend(&text, " ", operand.name, "=");
    switch (operand.form) {
      case Operand::Form::kHex:
        absl::StrAppend(&text, "0x", absl::Hex(op.*operand.word));
        break;
      case Operand::Form::kSigned:
      case Operand::Form::kDecimal:
        absl::StrAppend(&text, static_cast<int32_t>(op.*operand.word));
        break;
      case Operand::Form::kBit:
        absl::StrAppend(&text, op.*operand.bit ? 1 : 0);
        break;
    }
  }
  if (op.data_offset != 0) absl::StrAppend(&text, " dataoff=", op.data_offset);
  if (op.host == MachHost::kUnprivileged) absl::StrAppend(&text, " host=unpriv");
  if (op.host == MachHost::kTask) absl::StrAppend(&text, " host=task");
  return text;
}

uint64_t MachRecording::Count() const {
  uint64_t count = accesses.size() + (layout.empty() ? 0 : 1);
  for (const MachSequence& sequence : sequences) count += sequence.steps.size();
  for (const MachSingleCall& call : calls) {
    count += 1 + call.maps.size() + (call.words_line != 0 ? 1 : 0);
  }
  return count;
}

absl::StatusOr<MachRecording> ParseMachRecording(absl::string_view file, absl::string_view text) {
  return Parser(file, text).Run();
}

}  // namespace conform
