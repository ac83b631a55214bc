// traces/codec_parse.cc: text to operations and traces.
//
// WHAT     A hand-written scanner that looks at every character about once: recorded traces have
//          millions of lines. Functions that parse return false after recording a mistake; the
//          first one ends the parse.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "traces/codec.h"
#include "traces/codec_table.h"

namespace traces {
namespace {

constexpr bool IsBlank(char c) { return c == ' ' || c == '\t'; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsWordChar(char c) { return (c >= 'a' && c <= 'z') || c == '_' || IsDigit(c); }

constexpr std::array<int8_t, 256> MakeHexTable() {
  std::array<int8_t, 256> table{};
  for (auto& entry : table) entry = -1;
  for (int i = 0; i < 10; ++i) table[static_cast<size_t>('0' + i)] = static_cast<int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    table[static_cast<size_t>('a' + i)] = table[static_cast<size_t>('A' + i)] =
        static_cast<int8_t>(10 + i);
  }
  return table;
}
constexpr std::array<int8_t, 256> kHexValue = MakeHexTable();

// Operation words by a hash of all their letters; the seed makes it free of collisions.
constexpr size_t kWordSlots = 1024;
size_t WordHash(absl::string_view word, uint32_t seed) {
  uint32_t hash = seed;
  for (char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
  return hash >> 22;
}

struct WordTable {
  WordTable() {
    while (!Fill()) ++seed;
  }
  bool Fill() {
    rows.fill(nullptr);
    for (const KindRow& row : KindRows()) {
      const KindRow*& slot = rows[WordHash(row.word, seed)];
      if (slot != nullptr) return false;
      slot = &row;
    }
    return true;
  }
  const KindRow* Find(absl::string_view word) const {
    if (word.empty()) return nullptr;
    const KindRow* row = rows[WordHash(word, seed)];
    return row != nullptr && row->word == word ? row : nullptr;
  }
  uint32_t seed = 0x811c9dc5;
  std::array<const KindRow*, kWordSlots> rows;
};

// One text being read.
class Scanner {
 public:
  Scanner(absl::string_view text, absl::string_view file_name)
      : next_line_(text.data()),
        end_(text.data() + text.size()),
        file_name_(file_name),
        born_(kMaxLabel + 1) {
    nul_ = text.empty() ? nullptr
                        : static_cast<const char*>(std::memchr(text.data(), '\0', text.size()));
  }

  // The next operation; false at the end and on a mistake.
  bool Next(Trace* trace, Line* line);
  const absl::Status& status() const { return status_; }
  // Operations so far.
  size_t lines() const { return lines_; }

 private:
  bool BeginLine();
  bool CommentOrBlank(Trace* trace);
  absl::string_view CommentText() const;

  bool OpLine(Trace* trace, Line* line);
  bool Subjects(Op* op, const KindRow** row);
  bool Label(absl::string_view what, uint32_t* label);
  bool Task(TaskRef* task);
  bool Thread(uint32_t* thread);
  bool OpWord(const KindRow** row);
  bool Operands(const KindRow& row, Trace* trace, Op* op);
  bool OperandValue(const KindRow& row, Operand operand, Trace* trace, Op* op);
  bool PlaceOperand(absl::string_view what, Place* place);
  bool Flags(const KindRow& row, uint32_t* flags);
  bool ProtOperand(base::Prot* prot);
  bool FileOperand(absl::Span<const Word> sources, Trace* trace, Op* op);
  bool NameOperand(absl::string_view what, Trace* trace, Op* op);
  bool TargetOperand(TaskRef* target);
  bool ValueOperand(absl::string_view what, uint64_t* value);

  bool OutcomeText(const KindRow& row, Outcome* outcome);
  bool SuccessNumbers(const KindRow& row, Outcome* outcome);
  bool ErrorCode(Outcome* outcome);

  // Digits at the cursor up to something that is none; false without digits or above 2^64-1, cursor
  // unmoved.
  bool ScanNumber(uint64_t* number);
  // A number that is a whole token, at most `limit`.
  bool Number(absl::string_view what, uint64_t limit, uint64_t* number);
  bool SmallNumber(absl::string_view what, uint32_t limit, uint32_t* number);
  bool FixedWord(absl::string_view what, absl::Span<const Word> words, uint32_t* value);
  absl::string_view Token() const;
  void SkipBlanks() {
    while (p_ != line_end_ && IsBlank(*p_)) ++p_;
  }
  bool AtTokenEnd() const { return p_ == line_end_ || IsBlank(*p_); }
  bool AtOperandsEnd() const { return p_ == line_end_ || *p_ == '#' || *p_ == '-'; }
  bool Literal(absl::string_view text) {
    if (static_cast<size_t>(line_end_ - p_) < text.size() ||
        std::memcmp(p_, text.data(), text.size()) != 0) {
      return false;
    }
    p_ += text.size();
    return true;
  }

  // Records the mistake at `at`; always false.
  bool FailAt(const char* at, absl::string_view expected, absl::string_view found);
  bool Fail(absl::string_view expected) { return FailAt(p_, expected, Found()); }
  std::string Found() const;

  const char* next_line_;
  const char* end_;
  const char* nul_;
  std::string file_name_;
  const char* line_begin_ = nullptr;
  const char* line_end_ = nullptr;
  const char* p_ = nullptr;  // the cursor, in [line_begin_, line_end_]
  int line_number_ = 0;
  size_t lines_ = 0;
  bool in_header_ = true;
  std::vector<bool> born_;
  WordTable words_;
  absl::Status status_;
};

std::string Quote(absl::string_view text) {
  constexpr size_t kMost = 40;
  std::string out = "'";
  for (char c : text.substr(0, kMost)) {
    if (c >= ' ' && c <= '~') {
      out.push_back(c);
    } else {
      absl::StrAppend(&out, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  absl::StrAppend(&out, text.size() > kMost ? "..." : "", "'");
  return out;
}

absl::string_view Scanner::Token() const {
  const char* stop = p_;
  while (stop != line_end_ && !IsBlank(*stop)) ++stop;
  return absl::string_view(p_, static_cast<size_t>(stop - p_));
}

std::string Scanner::Found() const {
  if (p_ == line_end_) return "the end of the line";
  return IsBlank(*p_) ? "a blank" : Quote(Token());
}

bool Scanner::FailAt(const char* at, absl::string_view expected, absl::string_view found) {
  status_ = absl::InvalidArgumentError(absl::StrCat(file_name_, ":", line_number_, ":",
                                                    at - line_begin_ + 1, ": expected ", expected,
                                                    ", found ", found));
  return false;
}

// Finds the bounds of the next line; false at the end and on a mistake.
bool Scanner::BeginLine() {
  if (next_line_ == end_) {
    if (line_number_ > 0) return false;
    line_begin_ = next_line_;
    line_number_ = 1;
    return FailAt(line_begin_, "a comment line '# name: what it shows'", "the end of the file");
  }
  line_begin_ = p_ = next_line_;
  ++line_number_;
  const void* newline = std::memchr(p_, '\n', static_cast<size_t>(end_ - p_));
  line_end_ = newline == nullptr ? end_ : static_cast<const char*>(newline);
  if (nul_ != nullptr && nul_ < line_end_) return FailAt(nul_, "text", "a NUL byte");
  if (static_cast<size_t>(line_end_ - line_begin_) > kMaxLineBytes) {
    return FailAt(line_begin_ + kMaxLineBytes,
                  absl::StrCat("a line of at most ", kMaxLineBytes, " bytes"),
                  absl::StrCat(line_end_ - line_begin_, " bytes"));
  }
  if (newline == nullptr) {
    return FailAt(line_end_, "a newline at the end of the last line", "the end of the file");
  }
  next_line_ = line_end_ + 1;
  return true;
}

// REQUIRES: the cursor is at '#'.
absl::string_view Scanner::CommentText() const {
  const char* begin = p_ + 1;
  const char* stop = line_end_;
  if (begin != stop && *begin == ' ') ++begin;
  while (stop != begin && (IsBlank(stop[-1]) || stop[-1] == '\r')) --stop;
  return absl::string_view(begin, static_cast<size_t>(stop - begin));
}

// True when the line holds no operation; it is in *trace then.
bool Scanner::CommentOrBlank(Trace* trace) {
  if (p_ == line_end_) {
    in_header_ = false;
    trace->notes.push_back({lines_, true, ""});
    return true;
  }
  if (*p_ != '#') return false;
  if (line_number_ == 1) {
    trace->title = std::string(CommentText());
  } else if (in_header_) {
    trace->header.emplace_back(CommentText());
  } else {
    trace->notes.push_back({lines_, false, std::string(CommentText())});
  }
  return true;
}

bool Scanner::Next(Trace* trace, Line* line) {
  while (status_.ok() && BeginLine()) {
    if (line_number_ == 1 && *line_begin_ != '#')
      return Fail("a comment line '# name: what it shows'");
    SkipBlanks();
    if (CommentOrBlank(trace)) continue;
    in_header_ = false;
    if (!OpLine(trace, line)) return false;
    ++lines_;
    return true;
  }
  return false;
}

bool Scanner::OpLine(Trace* trace, Line* line) {
  const KindRow* row = nullptr;
  line->op = Op();
  line->expected.reset();
  line->comment.clear();
  line->line = line_number_;
  if (!Subjects(&line->op, &row)) return false;
  line->op.kind = row->kind;
  if (!Operands(*row, trace, &line->op)) return false;
  if (Literal("->")) {
    SkipBlanks();
    line->expected.emplace();
    if (!OutcomeText(*row, &*line->expected)) return false;
    SkipBlanks();
  }
  if (p_ == line_end_) return true;
  if (*p_ != '#') {
    return Fail(line->expected ? "a comment or the end of the line"
                               : "'->', a comment or the end of the line");
  }
  absl::string_view comment = CommentText();
  line->comment.assign(comment.data(), comment.size());
  return true;
}

// `sN = word`, `sN.word`, `sM = sN.word`, with `~N` in place of an acting task, which `/T` for one
// of its threads may follow, or a word that nobody does.
bool Scanner::Subjects(Op* op, const KindRow** row) {
  const char* begin = p_;
  if (*p_ == 'i') {
    *row = words_.Find(Token());
    if (*row != nullptr && (*row)->subject == Subject::kNobody) {
      p_ += (*row)->word.size();
      return true;
    }
  }
  if (!Task(&op->task) || !Thread(&op->thread)) return false;
  if (p_ != line_end_ && *p_ == '.') {
    ++p_;
    const char* word = p_;
    if (!OpWord(row)) return false;
    if ((*row)->subject == Subject::kTask) return true;
    if ((*row)->subject == Subject::kNobody) {
      return FailAt(word, "an operation of a task", Quote((*row)->word));
    }
    std::string form =
        absl::StrCat("'sN = ", (*row)->subject == Subject::kChild ? "" : "sM.", (*row)->word, "'");
    if ((*row)->subject == Subject::kChild) return FailAt(word, form, Quote((*row)->word));
    return FailAt(begin, form, Quote(absl::string_view(begin, static_cast<size_t>(p_ - begin))));
  }
  TaskRef child = op->task;
  const char* after = p_;
  SkipBlanks();
  const bool acts = child.relative || op->thread != 0;
  if (acts || !Literal("=")) {
    p_ = after;
    return Fail(acts ? "'.' and an operation" : "'.' and an operation, or '='");
  }
  if (born_[child.number]) {
    return FailAt(begin, "a label that was not used before",
                  Quote(absl::StrCat("s", child.number)));
  }
  born_[child.number] = true;
  op->child = child.number;
  op->task = TaskRef();
  SkipBlanks();
  const char* word = p_;
  // `space` and `task` are whole words; a task operand is a letter and a number.
  if (p_ != line_end_ && (*p_ == '~' || (*p_ == 's' && p_ + 1 != line_end_ && IsDigit(p_[1])))) {
    if (!Task(&op->task) || !Thread(&op->thread)) return false;
    if (!Literal(".")) return Fail("'.' and an operation");
    word = p_;
    if (!OpWord(row)) return false;
    if ((*row)->subject != Subject::kTaskAndChild) {
      return FailAt(word, "an operation that creates a task from another", Quote((*row)->word));
    }
    return true;
  }
  if (!OpWord(row)) return false;
  if ((*row)->subject != Subject::kChild) {
    return FailAt(word, "'space', 'task' or a task's operation", Quote((*row)->word));
  }
  return true;
}

bool Scanner::Label(absl::string_view what, uint32_t* label) {
  const char* begin = p_++;  // the 's'
  uint64_t number;
  if (!ScanNumber(&number) || number < 1 || number > kMaxLabel) {
    p_ = begin;
    return Fail(what);
  }
  *label = static_cast<uint32_t>(number);
  return true;
}

bool Scanner::Task(TaskRef* task) {
  constexpr absl::string_view kWhat = "a task (s1 to s65535, or ~0, ~1 ...)";
  if (p_ != line_end_ && *p_ == 's') return Label(kWhat, &task->number);
  if (p_ == line_end_ || *p_ != '~') return Fail(kWhat);
  const char* begin = p_++;
  uint64_t number;
  if (!ScanNumber(&number) || number > UINT32_MAX) {
    p_ = begin;
    return Fail(kWhat);
  }
  *task = {static_cast<uint32_t>(number), true};
  return true;
}

// Nothing, or what follows the task that the thread is of.
bool Scanner::Thread(uint32_t* thread) {
  if (p_ == line_end_ || *p_ != '/') return true;
  const char* begin = ++p_;
  uint64_t number;
  if (!ScanNumber(&number) || number < 1 || number >= kMaxThreads) {
    p_ = begin;
    return Fail("a thread that is not the first (1 to 3)");
  }
  *thread = static_cast<uint32_t>(number);
  return true;
}

bool Scanner::OpWord(const KindRow** row) {
  const char* stop = p_;
  while (stop != line_end_ && IsWordChar(*stop)) ++stop;
  absl::string_view word(p_, static_cast<size_t>(stop - p_));
  *row = stop == line_end_ || IsBlank(*stop) ? words_.Find(word) : nullptr;
  if (*row == nullptr) return Fail("an operation (traces/README.md lists them)");
  p_ = stop;
  return true;
}

bool Scanner::Operands(const KindRow& row, Trace* trace, Op* op) {
  for (Operand operand : row.operands) {
    if (operand == Operand::kEnd) break;
    SkipBlanks();
    bool optional = operand == Operand::kMax || operand == Operand::kFile ||
                    operand == Operand::kSource || operand == Operand::kSkip ||
                    operand == Operand::kTarget;
    if (optional && AtOperandsEnd()) break;
    if (!OperandValue(row, operand, trace, op)) return false;
  }
  SkipBlanks();
  return true;
}

bool Scanner::OperandValue(const KindRow& row, Operand operand, Trace* trace, Op* op) {
  constexpr uint64_t kNoLimit = ~uint64_t{0};
  switch (operand) {
    case Operand::kEnd:
      return true;
    case Operand::kMax:
      return Number("a map maximum (a number below 2^64)", kNoLimit, &op->size);
    case Operand::kAt:
      return PlaceOperand("an address", &op->at);
    case Operand::kTo:
      return PlaceOperand("a destination address", &op->to);
    case Operand::kSize:
      return Number("a size (a number below 2^64)", kNoLimit, &op->size);
    case Operand::kNewSize:
      return Number("a new size (a number below 2^64)", kNoLimit, &op->new_size);
    case Operand::kMask:
      return Number("a mask (a number below 2^64)", kNoLimit, &op->mask);
    case Operand::kAccessSize: {
      const char* begin = p_;
      if (!Number("an access size from 1 to 1048576", kMaxAccessBytes, &op->size)) return false;
      if (op->size > 0) return true;
      p_ = begin;
      return Fail("an access size from 1 to 1048576");
    }
    case Operand::kProt:
      return ProtOperand(&op->prot);
    case Operand::kMaxProt:
      return ProtOperand(&op->max_prot);
    case Operand::kFlags:
      return Flags(row, &op->flags);
    case Operand::kInherit: {
      uint32_t value;
      if (!FixedWord("an inheritance", InheritWords(), &value)) return false;
      op->inherit = static_cast<base::Inherit>(value);
      return true;
    }
    case Operand::kAdvice: {
      uint32_t value;
      if (!FixedWord("an advice", AdviceWords(), &value)) return false;
      op->advice = static_cast<base::Advice>(value);
      return true;
    }
    case Operand::kValue:
      return ValueOperand("a value (a number below 2^64 or a character like 'B')", &op->value);
    case Operand::kFile:
      return FileOperand(BackingWords().first(1), trace, op);
    case Operand::kSource:
      return FileOperand(BackingWords(), trace, op);
    case Operand::kName:
      return NameOperand("a name (A-Z a-z 0-9 . _ + - only)", trace, op);
    case Operand::kSite: {
      uint32_t value;
      if (!FixedWord("a site", SiteWords(), &value)) return false;
      op->site = static_cast<base::FaultSite>(value);
      return true;
    }
    case Operand::kSkip:
      if (!Literal("skip=")) return Fail("'skip=K', '->', a comment or the end of the line");
      return Number("a number of visits below 2^64", ~uint64_t{0}, &op->skip);
    case Operand::kDevice:
      return SmallNumber("the number of a device (below 2^32)", UINT32_MAX, &op->device);
    case Operand::kPriority:
      return SmallNumber("a priority (a number below 2^31)", kMaxSwapPriority, &op->priority);
    case Operand::kTarget:
      return TargetOperand(&op->target);
    case Operand::kThread:
      return Number("the number of a thread (below 2^32)", UINT32_MAX, &op->value);
  }
  return false;
}

bool Scanner::ScanNumber(uint64_t* number) {
  const char* p = p_;
  uint64_t n = 0;
  if (line_end_ - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
    p += 2;
    const char* digits = p;
    for (; p != line_end_ && kHexValue[static_cast<unsigned char>(*p)] >= 0; ++p) {
      if ((n >> 60) != 0) return false;
      n = n << 4 | static_cast<uint64_t>(kHexValue[static_cast<unsigned char>(*p)]);
    }
    if (p == digits) return false;
  } else {
    const char* digits = p;
    for (; p != line_end_ && IsDigit(*p); ++p) {
      uint64_t digit = static_cast<uint64_t>(*p - '0');
      if (n > (~uint64_t{0} - digit) / 10) return false;
      n = n * 10 + digit;
    }
    if (p == digits) return false;
  }
  p_ = p;
  *number = n;
  return true;
}

bool Scanner::Number(absl::string_view what, uint64_t limit, uint64_t* number) {
  const char* begin = p_;
  if (ScanNumber(number) && AtTokenEnd() && *number <= limit) return true;
  p_ = begin;
  return Fail(what);
}

bool Scanner::SmallNumber(absl::string_view what, uint32_t limit, uint32_t* number) {
  uint64_t wide = 0;
  if (!Number(what, limit, &wide)) return false;
  *number = static_cast<uint32_t>(wide);
  return true;
}

bool Scanner::PlaceOperand(absl::string_view what, Place* place) {
  const char* begin = p_;
  bool good = true;
  if (p_ != line_end_ && (*p_ == 'r' || *p_ == 'h')) {
    place->kind = *p_++ == 'r' ? Place::Kind::kRegion : Place::Kind::kHole;
    uint64_t index = 0;
    good = ScanNumber(&index) && index <= UINT32_MAX;
    place->index = static_cast<uint32_t>(index);
    if (good && !AtTokenEnd()) good = Literal("+") && ScanNumber(&place->offset);
  } else {
    good = ScanNumber(&place->offset);
  }
  if (good && AtTokenEnd()) return true;
  p_ = begin;
  return Fail(absl::StrCat(what, " (a number below 2^64, r0+0x10 or h0+0x10)"));
}

bool Scanner::FixedWord(absl::string_view what, absl::Span<const Word> words, uint32_t* value) {
  absl::string_view token = Token();
  for (const Word& word : words) {
    if (word.word != token) continue;
    p_ += token.size();
    *value = word.value;
    return true;
  }
  std::string expected = absl::StrCat(what, " (");
  for (size_t i = 0; i < words.size(); ++i)
    absl::StrAppend(&expected, i == 0 ? "" : ", ", words[i].word);
  return Fail(absl::StrCat(expected, ")"));
}

// The words of a group, one of which may come next in `rest`; it is taken off.
const Word* TakeWord(absl::Span<const Word> words, absl::string_view* rest) {
  const absl::string_view first = rest->substr(0, rest->find(','));
  for (const Word& word : words) {
    if (word.word != first) continue;
    rest->remove_prefix(std::min(rest->size(), first.size() + 1));
    return &word;
  }
  return nullptr;
}

// `align=N` at the end of the flags.
bool TakeAlignment(absl::string_view* rest, uint32_t* flags) {
  uint32_t logarithm = 0;
  absl::string_view digits = *rest;
  if (!absl::ConsumePrefix(&digits, "align=") || digits.size() > 3 || digits.empty()) return false;
  for (char c : digits) {
    if (c < '0' || c > '9') return false;
    logarithm = logarithm * 10 + static_cast<uint32_t>(c - '0');
  }
  if (logarithm == 0 || logarithm > kMaxAlignment) return false;
  *flags |= AlignedTo(logarithm);
  *rest = "";
  return true;
}

bool Scanner::Flags(const KindRow& row, uint32_t* flags) {
  const absl::string_view token = Token();
  absl::string_view rest = token;
  const Word* first = TakeWord(row.flags, &rest);
  if (first != nullptr) {
    *flags = first->value;
    if (const Word* more = TakeWord(row.more_flags, &rest)) *flags |= more->value;
    if (const Word* last = TakeWord(row.last_flags, &rest)) *flags |= last->value;
    const bool whole = rest.empty() || (row.aligns && TakeAlignment(&rest, flags));
    if (whole && token.back() != ',') {
      p_ += token.size();
      return true;
    }
  }
  std::string expected;
  for (const Word& word : row.flags)
    absl::StrAppend(&expected, expected.empty() ? "" : " or ", word.word);
  absl::string_view before = ", perhaps with ,";
  for (absl::Span<const Word> words : {row.more_flags, row.last_flags}) {
    for (const Word& word : words) {
      absl::StrAppend(&expected, before, word.word);
      before = " or ,";
    }
  }
  if (row.aligns) absl::StrAppend(&expected, before, "align=1 to 255");
  return Fail(expected);
}

// `rw-`, `rw`, `---`, `none`: the letters r w x in this order, each once or as a hyphen or not at
// all.
bool Scanner::ProtOperand(base::Prot* prot) {
  absl::string_view token = Token();
  uint8_t bits = 0;
  bool good = !token.empty();
  if (token != "none") {
    size_t next = 0;
    constexpr absl::string_view kLetters = "rwx";
    for (char c : token) {
      if (c != '-') {
        while (next < 3 && kLetters[next] != c) ++next;
        if (next < 3) bits = static_cast<uint8_t>(bits | 1u << next);
      }
      if (next++ >= 3) good = false;
    }
  }
  if (!good) return Fail("a protection (rwx, r-x, rw, none ...)");
  *prot = base::Prot(bits);
  p_ += token.size();
  return true;
}

bool Scanner::NameOperand(absl::string_view what, Trace* trace, Op* op) {
  absl::string_view name = Token();
  if (!ValidFileName(name)) return Fail(what);
  p_ += name.size();
  op->file = trace->Intern(name);
  return true;
}

bool Scanner::FileOperand(absl::Span<const Word> sources, Trace* trace, Op* op) {
  const absl::string_view token = Token();
  const Word* source = nullptr;
  for (const Word& word : sources) {
    if (word.word == token) source = &word;
  }
  if (source == nullptr) {
    return Fail(sources.size() == 1
                    ? "'file NAME OFFSET', '->', a comment or the end of the line"
                    : "'file NAME OFFSET' (or memfd, device), '->', a comment or the end of the "
                      "line");
  }
  p_ += token.size();
  op->backing = static_cast<Backing>(source->value);
  SkipBlanks();
  if (!NameOperand("a file's base name (A-Z a-z 0-9 . _ + - only)", trace, op)) return false;
  SkipBlanks();
  return Number("an offset in the file (a number below 2^64)", ~uint64_t{0}, &op->offset);
}

bool Scanner::TargetOperand(TaskRef* target) {
  if (Token() != "of") return Fail("'of TASK', '->', a comment or the end of the line");
  p_ += 2;
  SkipBlanks();
  if (!Task(target)) return false;
  return AtTokenEnd() || Fail("a blank after the task");
}

bool Scanner::ValueOperand(absl::string_view what, uint64_t* value) {
  if (line_end_ - p_ >= 3 && *p_ == '\'' && p_[2] == '\'') {
    const char* begin = p_;
    *value = static_cast<unsigned char>(p_[1]);
    p_ += 3;
    if (*value >= ' ' && *value <= '~' && AtTokenEnd()) return true;
    p_ = begin;
    return Fail(what);
  }
  return Number(what, ~uint64_t{0}, value);
}

bool Scanner::OutcomeText(const KindRow& row, Outcome* outcome) {
  outcome->family = FamilyOf(row.kind);
  if (p_ == line_end_ || *p_ == '#' || *p_ == '\'' || IsDigit(*p_))
    return SuccessNumbers(row, outcome);
  absl::string_view token = Token();
  if (token == "none") {
    p_ += token.size();
    *outcome = Outcome();
    return true;
  }
  if (token == "ok") {
    if (row.success != Success::kOk) return SuccessNumbers(row, outcome);
    p_ += token.size();
    return true;
  }
  return ErrorCode(outcome);
}

// What a success returns, beyond "ok".
bool Scanner::SuccessNumbers(const KindRow& row, Outcome* outcome) {
  constexpr uint64_t kNoLimit = ~uint64_t{0};
  switch (row.success) {
    case Success::kOk:
      return Fail("'ok' or the name of an error");
    case Success::kCount:
      return Number("a number or the name of an error", kNoLimit, &outcome->value);
    case Success::kAddress:
      return Number("an address or the name of an error", kNoLimit, &outcome->value);
    case Success::kReadValue: {
      constexpr absl::string_view kWhat =
          "the value read ('B', 0x42, # and 16 hex digits) or a fault";
      if (p_ == line_end_ || *p_ != '#') return ValueOperand(kWhat, &outcome->value);
      absl::string_view token = Token();
      uint64_t digest = 0;
      bool good = token.size() == 17;
      for (char c : token.substr(1)) {
        int8_t digit = kHexValue[static_cast<unsigned char>(c)];
        if (digit < 0) good = false;
        digest = digest << 4 | static_cast<uint64_t>(digit & 15);
      }
      if (!good) return Fail(kWhat);
      outcome->value = digest;
      p_ += token.size();
      return true;
    }
    case Success::kRegion:
      break;
  }
  constexpr Word kSharing[] = {{"private", 0}, {"shared", 1}};
  uint32_t inherit = 0;
  uint32_t shared = 0;
  if (!Number("an address or the name of an error", kNoLimit, &outcome->value)) return false;
  SkipBlanks();
  if (!Number("the region's size", kNoLimit, &outcome->size)) return false;
  SkipBlanks();
  if (!ProtOperand(&outcome->region.prot)) return false;
  SkipBlanks();
  if (!ProtOperand(&outcome->region.max_prot)) return false;
  SkipBlanks();
  if (!FixedWord("an inheritance", InheritWords(), &inherit)) return false;
  SkipBlanks();
  if (!FixedWord("a sharing", kSharing, &shared)) return false;
  outcome->region.inherit = static_cast<base::Inherit>(inherit);
  outcome->region.shared = shared != 0;
  return true;
}

// A named code, or `errno(45)`; a fault's is followed by the address that was not accessed.
bool Scanner::ErrorCode(Outcome* outcome) {
  absl::string_view token = Token();
  bool known = false;
  for (const Word& word : ErrorWords(outcome->family)) {
    if (word.word != token) continue;
    outcome->code = static_cast<int32_t>(word.value);
    known = true;
  }
  const char* begin = p_;
  if (known) {
    p_ += token.size();
  } else {
    uint64_t code = 0;
    bool good = Literal(FamilyWord(outcome->family)) && Literal("(") && ScanNumber(&code) &&
                Literal(")") && AtTokenEnd() && code >= 1 && code <= INT32_MAX;
    if (!good) {
      p_ = begin;
      absl::string_view success = outcome->family == Outcome::Family::kErrno  ? "EINVAL"
                                  : outcome->family == Outcome::Family::kKern ? "KERN_NO_SPACE"
                                                                              : "SEGV_MAPERR";
      return Fail(absl::StrCat("an outcome (a success, or an error like ", success, ")"));
    }
    outcome->code = static_cast<int32_t>(code);
  }
  if (outcome->family != Outcome::Family::kFault) return true;
  SkipBlanks();
  return Number("the address that could not be accessed", ~uint64_t{0}, &outcome->value);
}

}  // namespace

class TraceReader::Impl {
 public:
  Impl(absl::string_view text, absl::string_view file_name) : scanner(text, file_name) {}
  Scanner scanner;
  Trace trace;
};

TraceReader::TraceReader(absl::string_view text, absl::string_view file_name)
    : impl_(std::make_unique<Impl>(text, file_name)) {}
TraceReader::~TraceReader() = default;
bool TraceReader::Next(Line* line) { return impl_->scanner.Next(&impl_->trace, line); }
const absl::Status& TraceReader::status() const { return impl_->scanner.status(); }
const Trace& TraceReader::trace() const { return impl_->trace; }
Trace TraceReader::TakeTrace() { return std::move(impl_->trace); }

absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view file_name) {
  TraceReader reader(text, file_name);
  std::vector<Line> lines;
  // Counting is far cheaper than moving lines to a larger vector.
  lines.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  for (;;) {
    lines.emplace_back();
    if (!reader.Next(&lines.back())) break;
  }
  lines.pop_back();
  if (!reader.status().ok()) return reader.status();
  Trace trace = reader.TakeTrace();
  trace.lines = std::move(lines);
  return trace;
}

}  // namespace traces
