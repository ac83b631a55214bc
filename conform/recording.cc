#include "conform/recording.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "conform/cursor.h"

namespace conform {

namespace {

// Bounds that keep a damaged header from asking for absurd amounts of work.
constexpr uint32_t kMaxSpaces = 64;
constexpr uint32_t kMaxProbes = 4096;
constexpr uint32_t kMaxItems = 31;   // two words each, 63 message registers
constexpr uint32_t kMaxFpages = 64;  // of one Unmap

// What may come next.
enum class Turn { kShape, kProbes, kSequence, kInitialState, kOperation, kReturn, kState };

class Parser {
 public:
  Parser(absl::string_view file, absl::string_view text) : text_(text) {
    recording_.file = std::string(file);
  }

  absl::StatusOr<Recording> Run() {
    const absl::Status read =
        ForEachLine(recording_.file, text_, &line_, [this](Cursor& c, int) { ParseLine(c); });
    if (!read.ok()) return read;
    const char* missing = turn_ == Turn::kShape    ? "a `# suite=` line"
                          : turn_ == Turn::kProbes ? "a `# probes:` line"
                          : turn_ == Turn::kSequence || turn_ == Turn::kOperation ? nullptr
                                                                                  : NextLine();
    if (missing == nullptr && recording_.sequences.empty()) missing = "a `seq` line";
    if (missing != nullptr) return EndsTooEarly(recording_.file, line_ + 1, missing);
    return std::move(recording_);
  }

 private:
  const char* NextLine() const {
    switch (turn_) {
      case Turn::kShape:
        return "`# suite=`";
      case Turn::kProbes:
        return "`# probes:`";
      case Turn::kSequence:
        return "`seq`";
      case Turn::kInitialState:
        return "`st 0`";
      case Turn::kOperation:
        return MayHaveEvent() ? "`op`, `ev` or `seq`" : "`op` or `seq`";
      case Turn::kReturn:
        return "`ret`";
      case Turn::kState:
        return "`st`";
    }
    return "";
  }
  Sequence& sequence() { return recording_.sequences.back(); }
  Step& step() { return sequence().steps.back(); }
  bool MayHaveEvent() const {
    return turn_ == Turn::kOperation && !recording_.sequences.back().steps.empty() &&
           recording_.sequences.back().steps.back().debugger_entries == 0;
  }

  void ParseLine(Cursor& c) {
    if (turn_ == Turn::kShape && c.Take("# suite=")) return ParseShape(c);
    if (turn_ == Turn::kProbes && c.Take("# probes: ")) return ParseProbes(c);
    if (c.Sees("# suite=") || c.Sees("# probes:")) return c.Fail(NextLine());
    if (c.Take("#")) return ParseRemark(c);
    if ((turn_ == Turn::kSequence || turn_ == Turn::kOperation) && c.Take("seq ")) {
      return ParseSequence(c);
    }
    if (turn_ == Turn::kInitialState && c.Take("st 0 ")) {
      sequence().initial = ParseState(c);
      turn_ = Turn::kOperation;
      return;
    }
    if (turn_ == Turn::kOperation && c.Take("op ")) return ParseOperation(c);
    if (MayHaveEvent() && c.Take("ev ")) return ParseEvent(c);
    if (turn_ == Turn::kReturn && c.Take("ret ")) return ParseReturn(c);
    if (turn_ == Turn::kState && c.Take("st ")) {
      StepNumber(c);
      c.Expect(" ");
      step().after = ParseState(c);
      turn_ = Turn::kOperation;
      return;
    }
    c.Fail(NextLine());
  }

  void ParseRemark(Cursor& c) {
    const bool blank = c.Take(" ");
    if (turn_ == Turn::kShape && recording_.kernel.empty() && blank && !c.AtEnd()) {
      recording_.kernel = c.Word("a remark", "");
    }
    c = Cursor("");
  }

  // suite=0 spaces=4 vbase=40000000 wlog=15 nseq=100 nops=24
  void ParseShape(Cursor& c) {
    recording_.suite = c.Decimal("a suite", 0, 9);
    c.Expect(" spaces=");
    recording_.spaces = c.Decimal("a number of spaces", 1, kMaxSpaces);
    c.Expect(" vbase=");
    recording_.window_base = c.Hex("the window's address");
    c.Expect(" wlog=");
    recording_.window_log2 = c.Decimal("log2 of the window's size", 12, 31);
    // How many sequences and operations were asked for: a file may hold fewer, when the recorded
    // kernel stopped or a part was cut out, so nothing is checked against these.
    c.Expect(" nseq=");
    c.Decimal("a number of sequences", 0, UINT32_MAX);
    c.Expect(" nops=");
    c.Decimal("a number of operations", 0, UINT32_MAX);
    turn_ = Turn::kProbes;
  }

  uint32_t LastPage() const { return (uint32_t{1} << (recording_.window_log2 - 12)) - 1; }

  void ParseProbes(Cursor& c) {
    do {
      recording_.probes.push_back(c.Decimal("a page of the window", 0, LastPage()));
    } while (c.Take(" ") && recording_.probes.size() < kMaxProbes);
    turn_ = Turn::kSequence;
  }

  void ParseSequence(Cursor& c) {
    Sequence s;
    s.line = line_;
    s.number = c.Decimal("a sequence number", 0, UINT32_MAX);
    c.Expect(" seed=");
    s.seed = c.Decimal("a seed", 0, UINT32_MAX);
    recording_.sequences.push_back(std::move(s));
    turn_ = Turn::kInitialState;
  }

  // | 0w - 2r ... | ... : a group a space, a page a probe.
  State ParseState(Cursor& c) {
    State state;
    for (uint32_t space = 0; space < recording_.spaces && c.ok(); space++) {
      c.Expect(space == 0 ? "|" : " |");
      for (size_t probe = 0; probe < recording_.probes.size() && c.ok(); probe++) {
        c.Expect(" ");
        state.push_back(ParsePage(c));
      }
    }
    return state;
  }

  PageState ParsePage(Cursor& c) {
    PageState page;
    if (c.Take("-")) return page;
    page.frame = c.Decimal("`-` or a frame", 0, LastPage());
    page.access = c.Take("r") ? PageAccess::kReadable : PageAccess::kWritable;
    if (page.access == PageAccess::kWritable && !c.Take("w")) c.Fail("`r` or `w`");
    return page;
  }

  // The number of the step that a `ret`, `st` or `ev` line speaks of.
  void StepNumber(Cursor& c) { c.Expect(absl::StrCat(step().number)); }

  uint32_t SpaceNumber(Cursor& c) { return c.Decimal("a space", 0, recording_.spaces - 1); }

  void ParseOperation(Cursor& c) {
    Step s;
    s.line = line_;
    s.number = static_cast<uint32_t>(sequence().steps.size()) + 1;
    c.Expect(absl::StrCat(s.number, " "));
    if (c.Take("ipc ")) {
      s.op = ParseIpc(c);
    } else if (c.Take("unmap ")) {
      s.op = ParseUnmap(c);
    } else if (c.Take("touch ")) {
      s.op = ParseTouch(c);
    } else {
      c.Fail("`ipc`, `unmap` or `touch`");
    }
    sequence().steps.push_back(std::move(s));
    turn_ = Turn::kReturn;
  }

  IpcOp ParseIpc(Cursor& c) {
    IpcOp op;
    c.Expect("src=");
    op.source = SpaceNumber(c);
    c.Expect(" dst=");
    op.target = SpaceNumber(c);
    c.Expect(" rcv=");
    op.window = c.Hex("a receive fpage");
    do {
      Item item;
      if (c.Take(" grant=")) {
        item.kind = ItemKind::kGrant;
      } else if (!c.Take(" map=")) {
        c.Fail("` map=` or ` grant=`");
      }
      item.send_base = c.Hex("a send base");
      c.Expect(":");
      item.send_fpage = c.Hex("a send fpage");
      op.items.push_back(item);
    } while (c.ok() && !c.AtEnd() && op.items.size() < kMaxItems);
    return op;
  }

  UnmapOp ParseUnmap(Cursor& c) {
    UnmapOp op;
    c.Expect("sp=");
    op.space = SpaceNumber(c);
    c.Expect(" flush=");
    op.flush = c.Decimal("a flush bit", 0, 1) == 1;
    do {
      c.Expect(" fp=");
      op.fpages.push_back(c.Hex("an fpage"));
    } while (c.ok() && !c.AtEnd() && op.fpages.size() < kMaxFpages);
    return op;
  }

  TouchOp ParseTouch(Cursor& c) {
    TouchOp op;
    c.Expect("sp=");
    op.space = SpaceNumber(c);
    c.Expect(" page=");
    op.page = c.Decimal("a page of the window", 0, LastPage());
    c.Expect(" acc=");
    if (c.Take("rw")) {
      op.kind = TouchKind::kReadWrite;
    } else if (c.Take("r")) {
      op.kind = TouchKind::kRead;
    } else if (c.Take("w")) {
      op.kind = TouchKind::kWrite;
    } else {
      c.Fail("`r`, `w` or `rw`");
    }
    return op;
  }

  void ParseReturn(Cursor& c) {
    StepNumber(c);
    c.Expect(" ");
    if (const auto* ipc = std::get_if<IpcOp>(&step().op)) {
      step().result = ParseIpcReturn(c, ipc->items.size() * 2);
    } else if (const auto* unmap = std::get_if<UnmapOp>(&step().op)) {
      UnmapReturn result;
      for (size_t i = 0; i < unmap->fpages.size(); i++) {
        c.Expect(i == 0 ? "fp=" : " fp=");
        result.fpages.push_back(c.Hex("an fpage"));
      }
      step().result = std::move(result);
    } else {
      step().result = ParseTouchReturn(c, std::get<TouchOp>(step().op).kind);
    }
    turn_ = Turn::kState;
  }

  static IpcReturn ParseIpcReturn(Cursor& c, size_t registers) {
    IpcReturn result;
    c.Expect("stag=");
    result.sender_tag = c.Hex("a tag");
    c.Expect(" serr=");
    result.sender_error = c.Hex("an error code");
    c.Expect(" rtag=");
    result.receiver_tag = c.Hex("a tag");
    c.Expect(" rerr=");
    result.receiver_error = c.Hex("an error code");
    for (size_t i = 0; i < registers; i++) {
      c.Expect(i == 0 ? " mr=" : ",");
      result.registers.push_back(c.Hex("a message register"));
    }
    return result;
  }

  TouchReturn ParseTouchReturn(Cursor& c, TouchKind kind) const {
    TouchReturn result;
    if (c.Take("fault=")) {
      result.fault = c.Decimal("the fault's access bits", 1, 7);
      return result;
    }
    if (!c.Take("ok")) c.Fail("`ok` or `fault=`");
    result.ok = true;
    if (kind != TouchKind::kRead) return result;
    c.Expect(" frame=");
    result.frame = c.Decimal("a frame", 0, LastPage());
    return result;
  }

  void ParseEvent(Cursor& c) {
    StepNumber(c);
    c.Expect(" kdb=");
    step().debugger_entries = c.Decimal("a number of debugger entries", 1, UINT32_MAX);
  }

  absl::string_view text_;
  Recording recording_;
  Turn turn_ = Turn::kShape;
  int line_ = 0;
};

}  // namespace

std::string ToString(const Op& op) {
  if (const auto* ipc = std::get_if<IpcOp>(&op)) {
    std::string text = absl::StrCat("ipc src=", ipc->source, " dst=", ipc->target,
                                    " rcv=", absl::Hex(ipc->window, absl::kZeroPad8));
    for (const Item& item : ipc->items) {
      absl::StrAppend(&text, item.kind == ItemKind::kMap ? " map=" : " grant=",
                      absl::Hex(item.send_base, absl::kZeroPad8), ":",
                      absl::Hex(item.send_fpage, absl::kZeroPad8));
    }
    return text;
  }
  if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
    std::string text = absl::StrCat("unmap sp=", unmap->space, " flush=", unmap->flush ? 1 : 0);
    for (const uint32_t fpage : unmap->fpages) {
      absl::StrAppend(&text, " fp=", absl::Hex(fpage, absl::kZeroPad8));
    }
    return text;
  }
  const auto& touch = std::get<TouchOp>(op);
  return absl::StrCat("touch sp=", touch.space, " page=", touch.page, " acc=",
                      touch.kind == TouchKind::kRead    ? "r"
                      : touch.kind == TouchKind::kWrite ? "w"
                                                        : "rw");
}

std::string ToString(const PageState& page) {
  if (page.access == PageAccess::kNone) return "-";
  return absl::StrCat(page.frame, page.access == PageAccess::kWritable ? "w" : "r");
}

uint64_t Recording::Count() const {
  uint64_t count = 0;
  for (const Sequence& s : sequences) count += s.steps.size();
  return count;
}

absl::StatusOr<Recording> ParseRecording(absl::string_view file, absl::string_view text) {
  return Parser(file, text).Run();
}

absl::StatusOr<std::string> ReadTextFile(const std::string& file) {
  errno = 0;
  const gzFile input = gzopen(file.c_str(), "rb");
  if (input == nullptr) {
    return absl::NotFoundError(absl::StrCat(file, ": cannot be opened: ", std::strerror(errno)));
  }
  std::string text;
  char buffer[1 << 16];
  int size;
  while ((size = gzread(input, buffer, sizeof buffer)) > 0) text.append(buffer, size);
  // A gzip file that ends early reads as a short one; only the state of the stream tells.
  int error = Z_OK;
  std::string problem = gzerror(input, &error);
  if (error == Z_ERRNO) problem = std::strerror(errno);
  gzclose(input);
  if (size < 0 || error != Z_OK) {
    return absl::DataLossError(absl::StrCat(file, ": cannot be read: ", problem));
  }
  return text;
}

absl::StatusOr<Recording> ReadRecording(const std::string& file) {
  const absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  return ParseRecording(file, *text);
}

}  // namespace conform
