// traces/codec_print.cc: operations and traces to text.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "traces/codec.h"
#include "traces/codec_table.h"

namespace traces {
namespace {

void Decimal(uint64_t number, std::string* out) {
  char digits[20];
  size_t n = sizeof digits;
  do {
    digits[--n] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  out->append(digits + n, sizeof digits - n);
}

void HexDigits(uint64_t number, size_t least, std::string* out) {
  char digits[16];
  size_t n = sizeof digits;
  do {
    digits[--n] = "0123456789abcdef"[number & 15];
    number >>= 4;
  } while (number != 0 || sizeof digits - n < least);
  out->append(digits + n, sizeof digits - n);
}

void Hex(uint64_t number, std::string* out) {
  out->append("0x", 2);
  HexDigits(number, 1, out);
}

// A byte value as a character where that can be read, else as a number.
void Value(uint64_t value, std::string* out) {
  if (value < ' ' || value > '~' || value == '\'' || value == '\\') return Hex(value, out);
  out->push_back('\'');
  out->push_back(static_cast<char>(value));
  out->push_back('\'');
}

void Label(uint32_t label, std::string* out) {
  out->push_back('s');
  Decimal(label, out);
}

void Task(const TaskRef& task, std::string* out) {
  out->push_back(task.relative ? '~' : 's');
  Decimal(task.number, out);
}

// Who acts. The first thread goes without saying.
void Actor(const Op& op, std::string* out) {
  Task(op.task, out);
  if (op.thread == 0) return;
  out->push_back('/');
  Decimal(op.thread, out);
}

void PlaceText(const Place& place, std::string* out) {
  if (place.kind != Place::Kind::kAbsolute) {
    out->push_back(place.kind == Place::Kind::kRegion ? 'r' : 'h');
    Decimal(place.index, out);
    out->push_back('+');
  }
  Hex(place.offset, out);
}

absl::string_view WordFor(absl::Span<const Word> words, uint32_t value) {
  for (const Word& word : words) {
    if (word.value == value) return word.word;
  }
  return "?";
}

uint32_t MaskOf(absl::Span<const Word> words) {
  uint32_t mask = 0;
  for (const Word& word : words) mask |= word.value;
  return mask;
}

void Flags(const KindRow& row, uint32_t flags, std::string* out) {
  const uint32_t more = flags & MaskOf(row.more_flags);
  const uint32_t last = flags & MaskOf(row.last_flags);
  const uint32_t alignment = row.aligns ? AlignmentOf(flags) : 0;
  absl::StrAppend(out, WordFor(row.flags, flags & ~more & ~last & ~AlignedTo(alignment)));
  if (more != 0) absl::StrAppend(out, ",", WordFor(row.more_flags, more));
  if (last != 0) absl::StrAppend(out, ",", WordFor(row.last_flags, last));
  if (alignment == 0) return;
  out->append(",align=");
  Decimal(alignment, out);
}

absl::string_view FileName(const Op& op, const std::vector<std::string>& files) {
  return op.file != 0 && op.file <= files.size() ? absl::string_view(files[op.file - 1]) : "?";
}

void RareOperandText(Operand operand, const Op& op, std::string* out) {
  switch (operand) {
    case Operand::kSite:
      out->append(base::FaultSiteName(op.site));
      break;
    case Operand::kSkip:
      out->append("skip=");
      Decimal(op.skip, out);
      break;
    case Operand::kDevice:
      Decimal(op.device, out);
      break;
    case Operand::kPriority:
      Decimal(op.priority, out);
      break;
    case Operand::kThread:
      Decimal(op.value, out);
      break;
    case Operand::kTarget:
      out->append("of ");
      Task(op.target, out);
      break;
    default:
      break;
  }
}

void OperandText(const KindRow& row, Operand operand, const Op& op,
                 const std::vector<std::string>& files, std::string* out) {
  if (operand == Operand::kMax && op.size == 0) return;
  if ((operand == Operand::kFile || operand == Operand::kSource) && op.file == 0) return;
  if (operand == Operand::kSkip && op.skip == 0) return;
  if (operand == Operand::kTarget && op.target == TaskRef()) return;
  out->push_back(' ');
  switch (operand) {
    case Operand::kEnd:
      break;
    case Operand::kMax:
    case Operand::kSize:
      Hex(op.size, out);
      break;
    case Operand::kNewSize:
      Hex(op.new_size, out);
      break;
    case Operand::kMask:
      Hex(op.mask, out);
      break;
    case Operand::kAccessSize:
      Decimal(op.size, out);
      break;
    case Operand::kAt:
      PlaceText(op.at, out);
      break;
    case Operand::kTo:
      PlaceText(op.to, out);
      break;
    case Operand::kProt:
      out->append(base::ProtName(op.prot));
      break;
    case Operand::kMaxProt:
      out->append(base::ProtName(op.max_prot));
      break;
    case Operand::kFlags:
      Flags(row, op.flags, out);
      break;
    case Operand::kInherit:
      out->append(base::InheritName(op.inherit));
      break;
    case Operand::kAdvice:
      out->append(base::AdviceName(op.advice));
      break;
    case Operand::kValue:
      Value(op.value, out);
      break;
    case Operand::kFile:
    case Operand::kSource:
      absl::StrAppend(out, WordFor(BackingWords(), static_cast<uint32_t>(op.backing)), " ",
                      FileName(op, files), " ");
      Hex(op.offset, out);
      break;
    case Operand::kName:
      absl::StrAppend(out, FileName(op, files));
      break;
    default:
      RareOperandText(operand, op, out);
      break;
  }
}

void AppendOp(const Op& op, const std::vector<std::string>& files, std::string* out) {
  const KindRow& row = RowOf(op.kind);
  if (row.subject == Subject::kChild || row.subject == Subject::kTaskAndChild) {
    Label(op.child, out);
    out->append(" = ");
  }
  if (row.subject == Subject::kTask || row.subject == Subject::kTaskAndChild) {
    Actor(op, out);
    out->push_back('.');
  }
  out->append(row.word.data(), row.word.size());
  for (Operand operand : row.operands) {
    if (operand == Operand::kEnd) break;
    OperandText(row, operand, op, files, out);
  }
}

void AppendError(const Outcome& outcome, std::string* out) {
  absl::string_view word = WordFor(ErrorWords(outcome.family), static_cast<uint32_t>(outcome.code));
  if (word == "?") {
    absl::StrAppend(out, FamilyWord(outcome.family), "(", outcome.code, ")");
  } else {
    absl::StrAppend(out, word);
  }
  if (outcome.family != Outcome::Family::kFault) return;
  out->push_back(' ');
  Hex(outcome.value, out);
}

void AppendOutcome(OpKind kind, const Outcome& outcome, std::string* out) {
  if (outcome.family == Outcome::Family::kNone) {
    out->append("none");
    return;
  }
  if (outcome.code != 0) return AppendError(outcome, out);
  switch (RowOf(kind).success) {
    case Success::kOk:
      out->append("ok");
      break;
    case Success::kCount:
    case Success::kAddress:
      Hex(outcome.value, out);
      break;
    case Success::kReadValue:
      if ((outcome.value >> 63) == 0) return Value(outcome.value, out);
      out->push_back('#');
      HexDigits(outcome.value, 16, out);
      break;
    case Success::kRegion:
      Hex(outcome.value, out);
      out->push_back(' ');
      Hex(outcome.size, out);
      absl::StrAppend(out, " ", base::ProtName(outcome.region.prot), " ",
                      base::ProtName(outcome.region.max_prot), " ",
                      base::InheritName(outcome.region.inherit),
                      outcome.region.shared ? " shared" : " private");
      break;
  }
}

void AppendComment(absl::string_view text, std::string* out) {
  out->push_back('#');
  if (!text.empty()) absl::StrAppend(out, " ", text);
}

// --- The table of README.md ---

void AppendWords(absl::Span<const Word> words, std::string* out) {
  for (size_t i = 0; i < words.size(); ++i)
    absl::StrAppend(out, i == 0 ? "" : "\\|", words[i].word);
}

// Of an operand that is always written alike; null: it depends on the row.
const char* PlainName(Operand operand) {
  switch (operand) {
    case Operand::kMax:
      return " [MAX]";
    case Operand::kAt:
      return " ADDR";
    case Operand::kTo:
      return " TO";
    case Operand::kSize:
      return " SIZE";
    case Operand::kNewSize:
      return " NEW_SIZE";
    case Operand::kMask:
      return " MASK";
    case Operand::kMaxProt:
      return " MAX_PROT";
    case Operand::kTarget:
      return " [of TASK]";
    case Operand::kAccessSize:
      return " BYTES";
    case Operand::kProt:
      return " PROT";
    case Operand::kInherit:
      return " INHERIT";
    case Operand::kAdvice:
      return " ADVICE";
    case Operand::kValue:
      return " VALUE";
    case Operand::kFile:
      return " [file NAME OFFSET]";
    case Operand::kName:
      return " NAME";
    case Operand::kSite:
      return " SITE";
    case Operand::kSkip:
      return " [skip=K]";
    case Operand::kDevice:
      return " DEVICE";
    case Operand::kPriority:
      return " PRIORITY";
    case Operand::kThread:
      return " THREAD";
    default:
      return nullptr;
  }
}

void AppendOperandName(const KindRow& row, Operand operand, std::string* out) {
  if (const char* name = PlainName(operand)) {
    out->append(name);
    return;
  }
  switch (operand) {
    case Operand::kEnd:
      return;
    case Operand::kSource:
      out->append(" [");
      AppendWords(BackingWords(), out);
      out->append(" NAME OFFSET]");
      return;
    default:  // kFlags
      break;
  }
  out->push_back(' ');
  AppendWords(row.flags, out);
  for (absl::Span<const Word> words : {row.more_flags, row.last_flags}) {
    if (words.empty()) continue;
    out->append("[,");
    AppendWords(words, out);
    out->push_back(']');
  }
  if (row.aligns) out->append("[,align=N]");
}

absl::string_view SuccessText(Success success) {
  switch (success) {
    case Success::kOk:
      return "`ok`";
    case Success::kAddress:
      return "the address";
    case Success::kCount:
      return "the number";
    case Success::kReadValue:
      return "the byte, or `#` and a digest";
    case Success::kRegion:
      return "`ADDR SIZE PROT MAX_PROT INHERIT private\\|shared`";
  }
  return "";
}

}  // namespace

std::string FormatOp(const Op& op, const std::vector<std::string>& files) {
  std::string out;
  AppendOp(op, files, &out);
  return out;
}

std::string FormatOutcome(OpKind kind, const Outcome& outcome) {
  std::string out;
  AppendOutcome(kind, outcome, &out);
  return out;
}

std::string FormatResolvedOp(const ResolvedOp& op) {
  Op plain;
  plain.kind = op.kind;
  plain.task = {op.task, false};
  plain.thread = op.thread;
  plain.target = {op.target, false};
  plain.child = op.child;
  plain.at = At(op.at);
  plain.to = At(op.to);
  plain.size = op.size;
  plain.new_size = op.new_size;
  plain.mask = op.mask;
  plain.prot = op.prot;
  plain.max_prot = op.max_prot;
  plain.inherit = op.inherit;
  plain.advice = op.advice;
  plain.flags = op.flags;
  plain.value = op.value;
  plain.offset = op.offset;
  plain.backing = op.backing;
  plain.device = op.device;
  plain.priority = op.priority;
  plain.site = op.site;
  plain.skip = op.skip;
  if (op.file_key == 0) return FormatOp(plain, {});
  // The name is gone; its hash still tells files apart.
  std::string name = "key-";
  HexDigits(op.file_key, 16, &name);
  plain.file = 1;
  return FormatOp(plain, {name});
}

std::string FormatTrace(const Trace& trace) {
  constexpr size_t kTypicalLine = 48;
  std::string out;
  out.reserve(256 + kTypicalLine * trace.lines.size());
  auto comment_line = [&out](absl::string_view text) {
    AppendComment(text, &out);
    out.push_back('\n');
  };
  comment_line(trace.title);
  for (const std::string& text : trace.header) comment_line(text);
  size_t note = 0;
  auto notes_before = [&](size_t index) {
    for (; note < trace.notes.size() && trace.notes[note].before <= index; ++note) {
      if (trace.notes[note].blank) {
        out.push_back('\n');
      } else {
        comment_line(trace.notes[note].text);
      }
    }
  };
  for (size_t i = 0; i < trace.lines.size(); ++i) {
    notes_before(i);
    const Line& line = trace.lines[i];
    AppendOp(line.op, trace.files, &out);
    if (line.expected) {
      out.append(" -> ");
      AppendOutcome(line.op.kind, *line.expected, &out);
    }
    if (!line.comment.empty()) {
      out.append("  ");
      AppendComment(line.comment, &out);
    }
    out.push_back('\n');
  }
  notes_before(trace.lines.size());
  return out;
}

absl::string_view OpName(OpKind kind) { return RowOf(kind).word; }

std::string OpTable() {
  std::string out = "| operation | success | meaning |\n|---|---|---|\n";
  for (const KindRow& row : KindRows()) {
    out.append("| `");
    if (row.subject == Subject::kChild) out.append("sN = ");
    if (row.subject == Subject::kTask) out.append("sN.");
    if (row.subject == Subject::kTaskAndChild) out.append("sM = sN.");
    absl::StrAppend(&out, row.word);
    for (Operand operand : row.operands) AppendOperandName(row, operand, &out);
    absl::StrAppend(&out, "` | ", SuccessText(row.success), " | ", row.meaning, " |\n");
  }
  return out;
}

}  // namespace traces
