// The codec's laws, over arbitrary operations of every kind.

#include <string>

#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "rapidcheck/gtest.h"
#include "traces/codec.h"
#include "traces/codec_table.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace traces {
namespace {

// Numbers with the edges as likely as the middle.
rc::Gen<uint64_t> AnyNumber() {
  return rc::gen::oneOf(
      rc::gen::inRange<uint64_t>(0, 300), rc::gen::arbitrary<uint64_t>(),
      rc::gen::element<uint64_t>(0, 1, 0x7fffffffffffffff, 0x8000000000000000, ~uint64_t{0}));
}

base::Prot AnyProt() { return base::Prot(*rc::gen::inRange<uint8_t>(0, 8)); }

Place AnyPlace() {
  auto kind = *rc::gen::element(Place::Kind::kAbsolute, Place::Kind::kRegion, Place::Kind::kHole);
  uint32_t index = kind == Place::Kind::kAbsolute ? 0 : *rc::gen::arbitrary<uint32_t>();
  return {kind, index, *AnyNumber()};
}

TaskRef AnyTask() {
  if (*rc::gen::arbitrary<bool>()) return {*rc::gen::arbitrary<uint32_t>(), true};
  return {*rc::gen::inRange<uint32_t>(1, kMaxLabel + 1), false};
}

uint32_t AnyWord(absl::Span<const Word> words) {
  return words[*rc::gen::inRange<size_t>(0, words.size())].value;
}

std::string AnyText() {
  auto text = *rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

void FillRareOperand(Operand operand, Op* op) {
  switch (operand) {
    case Operand::kSite:
      op->site = static_cast<base::FaultSite>(AnyWord(SiteWords()));
      break;
    case Operand::kSkip:
      op->skip = *AnyNumber();
      break;
    case Operand::kDevice:
      op->device = *rc::gen::arbitrary<uint32_t>();
      break;
    case Operand::kThread:
      op->value = *rc::gen::arbitrary<uint32_t>();
      break;
    case Operand::kPriority:
      op->priority = *rc::gen::inRange<uint32_t>(0, kMaxSwapPriority);
      break;
    default:
      break;
  }
}

void FillOperand(const KindRow& row, Operand operand, Trace* trace, Op* op) {
  switch (operand) {
    case Operand::kEnd:
      break;
    case Operand::kMax:
    case Operand::kSize:
      op->size = *AnyNumber();
      break;
    case Operand::kNewSize:
      op->new_size = *AnyNumber();
      break;
    case Operand::kMask:
      op->mask = *AnyNumber();
      break;
    case Operand::kMaxProt:
      op->max_prot = AnyProt();
      break;
    case Operand::kTarget:
      if (*rc::gen::arbitrary<bool>()) op->target = AnyTask();
      break;
    case Operand::kAccessSize:
      op->size = *rc::gen::inRange<uint64_t>(1, kMaxAccessBytes + 1);
      break;
    case Operand::kAt:
      op->at = AnyPlace();
      break;
    case Operand::kTo:
      op->to = AnyPlace();
      break;
    case Operand::kProt:
      op->prot = AnyProt();
      break;
    case Operand::kFlags:
      op->flags = AnyWord(row.flags);
      if (!row.more_flags.empty() && *rc::gen::arbitrary<bool>())
        op->flags |= AnyWord(row.more_flags);
      if (!row.last_flags.empty() && *rc::gen::arbitrary<bool>())
        op->flags |= AnyWord(row.last_flags);
      if (row.aligns && *rc::gen::arbitrary<bool>())
        op->flags |= AlignedTo(*rc::gen::inRange<uint32_t>(1, kMaxAlignment + 1));
      break;
    case Operand::kInherit:
      op->inherit = static_cast<base::Inherit>(AnyWord(InheritWords()));
      break;
    case Operand::kAdvice:
      op->advice = static_cast<base::Advice>(AnyWord(AdviceWords()));
      break;
    case Operand::kValue:
      op->value = *AnyNumber();
      break;
    case Operand::kName:
      op->file = trace->Intern(*rc::gen::element<std::string>("m1", "g", "x+-_.Z"));
      break;
    case Operand::kSource:
      if (*rc::gen::arbitrary<bool>()) break;
      op->backing = static_cast<Backing>(AnyWord(BackingWords()));
      op->file = trace->Intern(*rc::gen::element<std::string>("a", "m1", "fb"));
      op->offset = *AnyNumber();
      break;
    case Operand::kFile:
      if (*rc::gen::arbitrary<bool>()) break;
      op->file = trace->Intern(
          *rc::gen::element<std::string>("a", "libc.so.6", "x+-_.Z", "ld-linux-x86-64.so.2"));
      op->offset = *AnyNumber();
      break;
    default:
      FillRareOperand(operand, op);
      break;
  }
}

Op AnyOp(OpKind kind, uint32_t fresh_label, Trace* trace) {
  const KindRow& row = RowOf(kind);
  Op op;
  op.kind = kind;
  const bool bears = row.subject == Subject::kChild || row.subject == Subject::kTaskAndChild;
  const bool acts = row.subject == Subject::kTask || row.subject == Subject::kTaskAndChild;
  if (bears) op.child = fresh_label;
  if (acts) op.task = AnyTask();
  if (acts && *rc::gen::arbitrary<bool>()) op.thread = *rc::gen::inRange(0u, kMaxThreads);
  for (Operand operand : row.operands) FillOperand(row, operand, trace, &op);
  return op;
}

Outcome AnyOutcome(OpKind kind) {
  Outcome outcome;
  if (*rc::gen::inRange(0, 10) == 0) return outcome;
  outcome.family = FamilyOf(kind);
  if (*rc::gen::arbitrary<bool>()) {
    outcome.code = *rc::gen::inRange(0, 3) == 0
                       ? *rc::gen::inRange<int32_t>(1, INT32_MAX)
                       : static_cast<int32_t>(AnyWord(ErrorWords(outcome.family)));
    if (outcome.family == Outcome::Family::kFault) outcome.value = *AnyNumber();
    return outcome;
  }
  switch (RowOf(kind).success) {
    case Success::kOk:
      break;
    case Success::kAddress:
    case Success::kCount:
    case Success::kReadValue:
      outcome.value = *AnyNumber();
      break;
    case Success::kRegion:
      outcome.value = *AnyNumber();
      outcome.size = *AnyNumber();
      outcome.region = {AnyProt(), AnyProt(), static_cast<base::Inherit>(AnyWord(InheritWords())),
                        *rc::gen::arbitrary<bool>()};
  }
  return outcome;
}

Trace AnyTrace() {
  Trace trace;
  trace.title = AnyText();
  trace.header = *rc::gen::container<std::vector<std::string>>(rc::gen::exec(AnyText));
  if (*rc::gen::arbitrary<bool>()) trace.notes.push_back({0, true, ""});
  int count = *rc::gen::inRange(0, 20);
  for (int i = 0; i < count; ++i) {
    auto kind = static_cast<OpKind>(*rc::gen::inRange(0, kOpKindCount));
    Line& line = trace.Add(AnyOp(kind, static_cast<uint32_t>(kMaxLabel - i), &trace));
    if (*rc::gen::arbitrary<bool>()) line.expected = AnyOutcome(kind);
    line.comment = AnyText();
    if (*rc::gen::inRange(0, 4) == 0) trace.notes.push_back({trace.lines.size(), false, AnyText()});
    if (*rc::gen::inRange(0, 4) == 0) trace.notes.push_back({trace.lines.size(), true, ""});
  }
  return trace;
}

RC_GTEST_PROP(CodecLaws, ParseInvertsFormat, ()) {
  Trace trace = AnyTrace();
  std::string text = FormatTrace(trace);
  absl::StatusOr<Trace> back = ParseTrace(text, "t");
  RC_LOG(text);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == trace);
}

RC_GTEST_PROP(CodecLaws, FormattedOpParsesToTheOp, ()) {
  for (int kind = 0; kind < kOpKindCount; ++kind) {
    Trace trace;
    trace.Add(AnyOp(static_cast<OpKind>(kind), 1, &trace));
    absl::StatusOr<Trace> back =
        ParseTrace("#\n" + FormatOp(trace.lines[0].op, trace.files) + "\n", "t");
    RC_ASSERT(back.ok());
    RC_ASSERT(back->lines[0].op == trace.lines[0].op);
  }
}

// Damage is an error or another trace, never a crash, and the message has its place.
RC_GTEST_PROP(CodecLaws, DamagedTextIsParsedOrRefused, ()) {
  std::string text = FormatTrace(AnyTrace());
  size_t at = *rc::gen::inRange<size_t>(0, text.size());
  text[at] = *rc::gen::arbitrary<char>();
  absl::StatusOr<Trace> trace = ParseTrace(text, "t.trace");
  if (trace.ok()) {
    RC_ASSERT(ParseTrace(FormatTrace(*trace), "t").ok());
  } else {
    RC_ASSERT(trace.status().message().substr(0, 8) == "t.trace:");
    RC_ASSERT(std::string(trace.status().message()).find(": expected ") != std::string::npos);
  }
}

}  // namespace
}  // namespace traces
