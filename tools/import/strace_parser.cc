#include "tools/import/strace_parser.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tools/import/linux_abi.h"

namespace tools {

// One complete call: `name(args) = result`.
struct StraceParser::Call {
  absl::string_view name;
  std::vector<absl::string_view> args;
  bool has_result = false;  // false for "= ?"
  uint64_t result = 0;
  int error = 0;
};

namespace {

constexpr absl::string_view kUnfinished = "<unfinished ...>";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void SkipBlanks(absl::string_view* text) {
  while (!text->empty() && (text->front() == ' ' || text->front() == '\t')) text->remove_prefix(1);
}

// What was found, fit to be shown on a terminal.
std::string Shortened(absl::string_view text) { return absl::CHexEscape(text.substr(0, 60)); }

// A process number at the start of a line, "123 " or "[pid 123] "; false if there is none.
bool TakePid(absl::string_view* line, int* tid) {
  absl::string_view rest = *line;
  const bool bracket = absl::ConsumePrefix(&rest, "[pid ");
  if (bracket) SkipBlanks(&rest);
  size_t digits = 0;
  while (digits < rest.size() && IsDigit(rest[digits])) ++digits;
  if (digits == 0 || digits == rest.size()) return false;
  if (rest[digits] != (bracket ? ']' : ' ')) return false;
  if (!absl::SimpleAtoi(rest.substr(0, digits), tid)) return false;
  rest.remove_prefix(digits + 1);
  SkipBlanks(&rest);
  *line = rest;
  return true;
}

// A time stamp, "12:30:59.123456 " or "0.000123 ": digits with at least one ':' or '.'.
void SkipTime(absl::string_view* line) {
  size_t length = 0;
  bool mark = false;
  bool digit = false;
  while (length < line->size() && (IsDigit((*line)[length]) || (*line)[length] == ':' ||
                                   (*line)[length] == '.' || (*line)[length] == '+')) {
    (IsDigit((*line)[length]) ? digit : mark) = true;
    ++length;
  }
  if (!mark || !digit || length == line->size() || (*line)[length] != ' ') return;
  line->remove_prefix(length);
  SkipBlanks(line);
}

// Length of what begins at text[0]: a quoted string, a remark, a decoded descriptor's path, or one
// character.
size_t TokenLength(absl::string_view text, char before) {
  if (text[0] == '"') {
    size_t i = 1;
    while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    return std::min(i + 1, text.size());
  }
  if (absl::StartsWith(text, "/*")) {
    const size_t end = text.find("*/", 2);
    return end == absl::string_view::npos ? text.size() : end + 2;
  }
  if (text[0] == '<' && (IsDigit(before) || before == 'D') && !absl::StartsWith(text, "<<")) {
    int depth = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '<') ++depth;
      if (text[i] == '>' && --depth == 0) return i + 1;
    }
  }
  return absl::StartsWith(text, "<<") ? 2 : 1;
}

// Splits "a, b) = 0" behind the opening parenthesis; *text is left behind the closing one. False if
// it never comes.
bool SplitArguments(absl::string_view* text, std::vector<absl::string_view>* args) {
  size_t start = 0;
  int depth = 0;
  for (size_t i = 0; i < text->size();) {
    const char c = (*text)[i];
    if (depth == 0 && (c == ')' || c == ',')) {
      absl::string_view arg = text->substr(start, i - start);
      SkipBlanks(&arg);
      while (!arg.empty() && arg.back() == ' ') arg.remove_suffix(1);
      if (c == ',' || !arg.empty() || !args->empty()) args->push_back(arg);
      start = i + 1;
      if (c == ')') {
        text->remove_prefix(i + 1);
        return true;
      }
    }
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    i += TokenLength(text->substr(i), i == 0 ? ' ' : (*text)[i - 1]);
  }
  return false;
}

// The value of one argument or result: decimal, hexadecimal or NULL.
bool ParseNumber(absl::string_view text, uint64_t* value) {
  if (text == "NULL") {
    *value = 0;
    return true;
  }
  if (absl::StartsWith(text, "0x")) return absl::SimpleHexAtoi(text.substr(2), value);
  int64_t negative = 0;
  if (absl::StartsWith(text, "-") && absl::SimpleAtoi(text, &negative)) {
    *value = static_cast<uint64_t>(negative);
    return true;
  }
  return absl::SimpleAtoi(text, value);
}

// Calls that touch memory or its attributes but have no operation: counted, never silent.
bool IsInexpressible(absl::string_view name) {
  static constexpr absl::string_view kNames[] = {"mlock",
                                                 "mlock2",
                                                 "munlock",
                                                 "mlockall",
                                                 "munlockall",
                                                 "msync",
                                                 "mincore",
                                                 "shmat",
                                                 "shmdt",
                                                 "remap_file_pages",
                                                 "mbind",
                                                 "migrate_pages",
                                                 "move_pages",
                                                 "set_mempolicy",
                                                 "get_mempolicy",
                                                 "set_mempolicy_home_node",
                                                 "pkey_alloc",
                                                 "pkey_free",
                                                 "userfaultfd",
                                                 "process_madvise",
                                                 "process_mrelease",
                                                 "membarrier",
                                                 "mseal",
                                                 "map_shadow_stack",
                                                 "memfd_secret",
                                                 "mmap2",
                                                 "process_vm_writev",
                                                 "cachestat"};
  for (absl::string_view known : kNames) {
    if (known == name) return true;
  }
  return false;
}

}  // namespace

StraceParser::StraceParser(std::string file_name, Observer observer, int skip_execs)
    : file_name_(std::move(file_name)),
      observer_(std::move(observer)),
      execs_to_go_(skip_execs == 0 ? 0 : skip_execs + 1) {}

absl::Status StraceParser::Error(absl::string_view expected, absl::string_view found) const {
  return absl::InvalidArgumentError(absl::StrCat(file_name_, ":", line_, ": expected ", expected,
                                                 ", found \"", Shortened(found), "\""));
}

absl::Status StraceParser::AddLine(absl::string_view line) {
  ++line_;
  ++log_.lines;
  absl::string_view rest = line;
  int tid = 0;
  const bool has_pid = TakePid(&rest, &tid);
  SkipTime(&rest);
  if (rest.empty() || absl::StartsWith(rest, "strace: ")) return absl::OkStatus();
  // Without -f there is one process and no number; with -f on a terminal the first lines of the
  // first one have none.
  if (!has_pid) tid = root_ == -1 ? 1 : root_;
  if (root_ == -1) {
    root_ = tid;
    known_.insert(tid);
  }
  if (absl::StartsWith(rest, "--- ")) return absl::OkStatus();
  if (absl::StartsWith(rest, "+++ ")) return AddMark(tid, rest);
  if (absl::StartsWith(rest, "<... ")) {
    const size_t end = rest.find(" resumed>");
    const auto it = unfinished_.find(tid);
    if (end == absl::string_view::npos) return Error("\"<... CALL resumed>\"", rest);
    // A recording may begin in the middle of a call.
    if (it == unfinished_.end()) return absl::OkStatus();
    const std::string whole = absl::StrCat(it->second, rest.substr(end + 9));
    unfinished_.erase(it);
    return AddCallText(tid, whole);
  }
  return AddCallText(tid, rest);
}

// "+++ exited with 0 +++", "+++ killed by SIGSEGV (core dumped) +++", "+++ superseded by execve in
// pid 12 +++".
absl::Status StraceParser::AddMark(int tid, absl::string_view text) {
  if (!absl::EndsWith(text, "+++")) return Error("\"+++ ... +++\"", text);
  absl::string_view what = text.substr(4);
  if (absl::ConsumePrefix(&what, "superseded by execve in pid ")) {
    int from = 0;
    const size_t blank = what.find(' ');
    if (!absl::SimpleAtoi(what.substr(0, blank), &from)) return Error("a process number", what);
    const auto it = unfinished_.find(from);
    if (it != unfinished_.end()) {
      unfinished_[tid] = it->second;
      unfinished_.erase(from);
    }
    return absl::OkStatus();
  }
  if (!absl::StartsWith(what, "exited with ") && !absl::StartsWith(what, "killed by ")) {
    return Error("\"exited with\", \"killed by\" or \"superseded by\" after \"+++\"", text);
  }
  unfinished_.erase(tid);
  Event event;
  event.kind = EventKind::kThreadExit;
  event.tid = tid;
  event.line = line_;
  Emit(event);
  known_.erase(tid);
  return absl::OkStatus();
}

absl::Status StraceParser::AddCallText(int tid, absl::string_view text) {
  const size_t open = text.find('(');
  Call call;
  call.name = text.substr(0, open);
  bool name_ok = open != absl::string_view::npos && open != 0;
  for (char c : call.name) name_ok &= c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
  if (!name_ok) return Error("\"CALL(ARGUMENTS) = RESULT\"", text);
  if (absl::EndsWith(text, "...>")) {
    // Behind an exec by a thread that is not the leader stands "<pid changed to N ...>" instead.
    size_t mark = text.rfind(kUnfinished);
    if (mark == absl::string_view::npos) mark = text.rfind("<pid changed to");
    if (mark == absl::string_view::npos) return Error("\"<unfinished ...>\"", text);
    unfinished_[tid] = std::string(text.substr(0, mark));
    return absl::OkStatus();
  }
  absl::string_view rest = text.substr(open + 1);
  if (!SplitArguments(&rest, &call.args)) return Error("\")\" after the arguments", text);
  SkipBlanks(&rest);
  if (!absl::ConsumePrefix(&rest, "=")) return Error("\"= RESULT\" after the call", text);
  SkipBlanks(&rest);
  const absl::string_view word = rest.substr(0, rest.find_first_of(" <"));
  if (word != "?") {
    call.has_result = true;
    if (!ParseNumber(word, &call.result)) return Error("a number as the result", rest);
    if (word == "-1") {
      rest.remove_prefix(2);
      SkipBlanks(&rest);
      call.error = linux_abi::ParseErrno(rest.substr(0, rest.find(' ')));
    }
  }
  any_call_ = true;
  return AddCall(tid, call);
}

absl::Status StraceParser::AddCall(int tid, const Call& call) {
  Event event;
  event.tid = tid;
  event.line = line_;
  event.result = call.result;
  event.error = call.error;
  if (call.name == "exit" || call.name == "exit_group") {
    event.kind = call.name == "exit" ? EventKind::kThreadExit : EventKind::kGroupExit;
    Emit(event);
    return absl::OkStatus();
  }
  if (!call.has_result) {
    ++log_.restarted_calls;
    return absl::OkStatus();
  }
  if (call.name == "fork" || call.name == "vfork" || call.name == "clone" ||
      call.name == "clone3") {
    return AddFork(call, event);
  }
  if (call.name == "execve" || call.name == "execveat") return AddExec(call, event);
  if (call.name == "mmap") return AddMmap(call, event);
  if (IsInexpressible(call.name)) {
    event.kind = EventKind::kOther;
    event.path = log_.AddText(std::string(call.name));
    Emit(event);
    return absl::OkStatus();
  }
  return AddMemoryCall(call, event);
}

absl::StatusOr<uint64_t> StraceParser::Number(const Call& call, size_t index,
                                              absl::string_view what) const {
  uint64_t value = 0;
  if (index >= call.args.size()) {
    return Error(absl::StrCat(what, " as argument ", index + 1, " of ", call.name), ")");
  }
  if (!ParseNumber(call.args[index], &value)) {
    return Error(absl::StrCat(what, " as argument ", index + 1, " of ", call.name),
                 call.args[index]);
  }
  return value;
}

absl::StatusOr<uint64_t> StraceParser::Flags(const Call& call, size_t index,
                                             absl::string_view what) const {
  const absl::string_view text = index < call.args.size() ? call.args[index] : ")";
  const std::optional<uint64_t> value = linux_abi::ParseFlags(text);
  if (!value) return Error(absl::StrCat(what, " as argument ", index + 1, " of ", call.name), text);
  return *value;
}

absl::Status StraceParser::AddMemoryCall(const Call& call, Event event) {
  struct Form {
    absl::string_view name;
    EventKind kind;
    int numbers;  // leading arguments that are numbers
    bool flags;   // whether names joined by '|' follow
  };
  static constexpr Form kForms[] = {
      {"munmap", EventKind::kMunmap, 2, false}, {"mprotect", EventKind::kMprotect, 2, true},
      {"brk", EventKind::kBrk, 1, false},       {"madvise", EventKind::kMadvise, 2, true},
      {"mremap", EventKind::kMremap, 3, true},  {"pkey_mprotect", EventKind::kMprotect, 2, true},
  };
  const Form* form = nullptr;
  for (const Form& candidate : kForms) {
    if (candidate.name == call.name) form = &candidate;
  }
  if (form == nullptr) return FollowFiles(event.tid, call);
  event.kind = form->kind;
  for (int i = 0; i < form->numbers; ++i) {
    const auto value = Number(call, static_cast<size_t>(i), "a number");
    if (!value.ok()) return value.status();
    event.args[i] = *value;
  }
  if (form->flags) {
    const auto value = Flags(call, static_cast<size_t>(form->numbers), "flags by name");
    if (!value.ok()) return value.status();
    event.args[form->numbers] = *value;
  }
  if (form->kind == EventKind::kMremap && (event.args[3] & linux_abi::kMremapFixed) != 0) {
    const auto value = Number(call, 4, "the new address");
    if (!value.ok()) return value.status();
    event.args[4] = *value;
  }
  if (call.name == "pkey_mprotect") event.path = log_.AddText("pkey_mprotect");
  Emit(event);
  return absl::OkStatus();
}

absl::Status StraceParser::AddMmap(const Call& call, Event event) {
  event.kind = EventKind::kMmap;
  const auto at = Number(call, 0, "an address");
  const auto size = Number(call, 1, "a length");
  const auto prot = Flags(call, 2, "PROT_ names");
  const auto flags = Flags(call, 3, "MAP_ names");
  const auto offset = Number(call, 5, "an offset");
  for (const auto* value : {&at, &size, &prot, &flags, &offset}) {
    if (!value->ok()) return value->status();
  }
  event.args[0] = *at;
  event.args[1] = *size;
  event.args[2] = *prot;
  event.args[3] = *flags;
  event.args[4] = *offset;
  if ((*flags & linux_abi::kMapAnonymous) == 0 && event.error == 0) {
    std::string path = FileOf(event.tid, call.args[4]);
    if (path.empty()) {
      ++log_.unknown_files;
      path = absl::StrCat("fd", call.args[4].substr(0, call.args[4].find('<')));
    }
    event.path = log_.AddText(std::move(path));
  }
  Emit(event);
  return absl::OkStatus();
}

absl::Status StraceParser::AddFork(const Call& call, Event event) {
  event.kind = EventKind::kFork;
  if (call.name == "vfork") event.args[0] = linux_abi::kCloneVm | linux_abi::kCloneVfork;
  if (absl::StartsWith(call.name, "clone")) {
    // clone3 prints one structure, clone prints name=value pairs.
    absl::string_view flags;
    for (absl::string_view arg : call.args) {
      const size_t at = arg.find("flags=");
      if (at == absl::string_view::npos) continue;
      flags = arg.substr(at + 6);
      flags = flags.substr(0, flags.find_first_of(",}"));
      break;
    }
    const std::optional<uint64_t> value = linux_abi::ParseFlags(flags);
    if (!value) return Error(absl::StrCat("flags=CLONE_ names in ", call.name), flags);
    event.args[0] = *value;
  }
  Emit(event);
  if (event.error == 0) {
    const int child = static_cast<int>(event.result);
    const bool clone_files = (event.args[0] & 0x400) != 0;
    files_.Fork(event.tid, child,
                clone_files ? FdTables::Table::kShared : FdTables::Table::kOwn);
    Born(child);
  }
  return absl::OkStatus();
}

absl::Status StraceParser::AddExec(const Call& call, Event event) {
  event.kind = EventKind::kExec;
  const size_t path_at = call.name == "execve" ? 0 : 1;
  if (call.args.size() <= path_at || !absl::StartsWith(call.args[path_at], "\"")) {
    return Error(absl::StrCat("a quoted path as argument ", path_at + 1, " of ", call.name),
                 call.args.size() <= path_at ? ")" : call.args[path_at]);
  }
  absl::string_view path = call.args[path_at];
  path.remove_prefix(1);
  absl::ConsumeSuffix(&path, "\"");
  if (event.error == 0) {
    if (event.tid == root_ && execs_to_go_ > 0 && --execs_to_go_ > 0) return absl::OkStatus();
    if (observer_ != nullptr) {
      std::optional<ObservedImage> image = observer_(event.tid);
      if (image) {
        event.image = static_cast<int>(log_.images.size());
        log_.images.push_back(*std::move(image));
      }
    }
  }
  event.path = log_.AddText(std::string(path));
  // What the trampoline did before the program began is not the program's.
  if (event.error == 0 && event.tid == root_ && log_.events.empty()) log_.ignored_calls = 0;
  Emit(event);
  return absl::OkStatus();
}

// Opening and closing, in recordings whose descriptors are not decoded.
absl::Status StraceParser::FollowFiles(int tid, const Call& call) {
  ++log_.ignored_calls;
  if (call.error != 0 || call.args.empty()) return absl::OkStatus();
  const int64_t result = static_cast<int64_t>(call.result);
  uint64_t fd = 0;
  const absl::string_view first = call.args[0].substr(0, call.args[0].find('<'));
  const bool first_is_fd = ParseNumber(first, &fd);
  const size_t path_at = call.name == "openat" ? 1 : 0;
  if (call.name == "open" || call.name == "openat" || call.name == "creat" ||
      call.name == "memfd_create") {
    if (call.args.size() <= path_at) return Error("a path in the arguments", call.name);
    absl::string_view path = call.args[path_at];
    absl::ConsumePrefix(&path, "\"");
    absl::ConsumeSuffix(&path, "\"");
    files_.Open(tid, result, std::string(path));
  } else if (first_is_fd && (call.name == "dup" || call.name == "dup2" || call.name == "dup3" ||
                             (call.name == "fcntl" && call.args.size() > 1 &&
                              absl::StartsWith(call.args[1], "F_DUPFD")))) {
    files_.Dup(tid, static_cast<int64_t>(fd), result);
  } else if (first_is_fd && call.name == "close") {
    files_.Close(tid, static_cast<int64_t>(fd));
  }
  return absl::OkStatus();
}

std::string StraceParser::FileOf(int tid, absl::string_view argument) {
  const size_t open = argument.find('<');
  if (open != absl::string_view::npos) {
    absl::string_view path = argument.substr(open + 1);
    path = path.substr(0, path.find_first_of("<>"));
    return std::string(path);
  }
  uint64_t fd = 0;
  return ParseNumber(argument, &fd) ? files_.Path(tid, static_cast<int64_t>(fd)) : std::string();
}

void StraceParser::Emit(const Event& event) {
  if (event.tid == root_ && execs_to_go_ > 0) return;
  if (known_.count(event.tid) != 0) {
    log_.events.push_back(event);
  } else {
    held_[event.tid].push_back(event);
  }
}

void StraceParser::Born(int tid) {
  known_.insert(tid);
  const auto it = held_.find(tid);
  if (it == held_.end()) return;
  const std::vector<Event> events = std::move(it->second);
  held_.erase(it);
  for (const Event& event : events) {
    log_.events.push_back(event);
    // What the waiting process bore is known from here on.
    if (event.kind == EventKind::kFork && event.error == 0) Born(static_cast<int>(event.result));
  }
}

absl::StatusOr<EventLog> StraceParser::Finish() {
  if (!any_call_) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name_, ": expected the output of strace, found no system call"));
  }
  // Processes that nobody bore here: strace was attached to them.
  while (!held_.empty()) Born(held_.begin()->first);
  return std::move(log_);
}

}  // namespace tools
