#include "tools/import/lackey_parser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/addr.h"
#include "base/hash.h"
#include "tools/import/linux_abi.h"

namespace tools {
namespace {

// Numbers of amd64 system calls that the import knows about.
enum Number : int {
  kOpen = 2,
  kClose = 3,
  kMmap = 9,
  kMprotect = 10,
  kMunmap = 11,
  kBrk = 12,
  kMremap = 25,
  kMadvise = 28,
  kDup = 32,
  kDup2 = 33,
  kClone = 56,
  kFork = 57,
  kVfork = 58,
  kExecve = 59,
  kExit = 60,
  kWait4 = 61,
  kFcntl = 72,
  kCreat = 85,
  kExitGroup = 231,
  kWaitid = 247,
  kOpenat = 257,
  kDup3 = 292,
  kMemfdCreate = 319,
  kExecveat = 322,
  kPkeyMprotect = 329,
};

struct CallName {
  int number;
  const char* name;
};
constexpr CallName kInexpressible[] = {
    {26, "msync"},          {27, "mincore"},          {30, "shmat"},
    {67, "shmdt"},          {149, "mlock"},           {150, "munlock"},
    {151, "mlockall"},      {152, "munlockall"},      {216, "remap_file_pages"},
    {237, "mbind"},         {238, "set_mempolicy"},   {239, "get_mempolicy"},
    {256, "migrate_pages"}, {279, "move_pages"},      {323, "userfaultfd"},
    {324, "membarrier"},    {325, "mlock2"},          {330, "pkey_alloc"},
    {331, "pkey_free"},     {440, "process_madvise"}, {448, "process_mrelease"},
    {462, "mseal"},
};

// Whether the call changes what is mapped, so that a map looked at afterwards is not that of exec.
bool ChangesMap(int number, uint64_t first_argument) {
  return number == kMmap || number == kMprotect || number == kMunmap || number == kMremap ||
         (number == kBrk && first_argument != 0);
}

bool TakeInt(absl::string_view* text, int* value) {
  size_t length = 0;
  while (length < text->size() && (*text)[length] >= '0' && (*text)[length] <= '9') ++length;
  if (length == 0 || !absl::SimpleAtoi(text->substr(0, length), value)) return false;
  text->remove_prefix(length);
  return true;
}

bool ParseArgument(absl::string_view token, bool hex, uint64_t* value) {
  int64_t negative = 0;
  if (absl::ConsumePrefix(&token, "0x") || hex) return absl::SimpleHexAtoi(token, value);
  if (absl::StartsWith(token, "-") && absl::SimpleAtoi(token, &negative)) {
    *value = static_cast<uint64_t>(negative);
    return true;
  }
  return absl::SimpleAtoi(token, value);
}

// The digit's value, or 16.
inline unsigned HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  return 16;
}

}  // namespace

LackeyParser::LackeyParser(std::string file_name, Observer observer)
    : file_name_(std::move(file_name)), observer_(std::move(observer)), slots_(256) {}

absl::Status LackeyParser::Error(absl::string_view expected, absl::string_view found) const {
  return absl::InvalidArgumentError(absl::StrCat(file_name_, ":", line_, ": expected ", expected,
                                                 ", found \"",
                                                 absl::CHexEscape(found.substr(0, 60)), "\""));
}

absl::Status LackeyParser::Feed(absl::string_view bytes) {
  bytes_fed_ += bytes.size();
  if (!carry_.empty()) {
    const size_t newline = bytes.find('\n');
    if (newline == absl::string_view::npos) {
      absl::StrAppend(&carry_, bytes);
      return absl::OkStatus();
    }
    absl::StrAppend(&carry_, bytes.substr(0, newline + 1));
    bytes.remove_prefix(newline + 1);
    const std::string line = std::move(carry_);
    carry_.clear();
    const absl::Status status = Lines(line.data(), line.data() + line.size());
    if (!status.ok()) return status;
  }
  const size_t last = bytes.rfind('\n');
  if (last == absl::string_view::npos) {
    carry_ = std::string(bytes);
    return absl::OkStatus();
  }
  carry_ = std::string(bytes.substr(last + 1));
  return Lines(bytes.data(), bytes.data() + last + 1);
}

absl::Status LackeyParser::Lines(const char* begin, const char* end) {
  const char* p = begin;
  while (p < end) {
    ++line_;
    const char* const start = p;
    char kind = 0;
    if (p[0] == 'I' && p[1] == ' ' && p[2] == ' ') {
      kind = 'I';
    } else if (p[0] == ' ' && (p[1] == 'L' || p[1] == 'S' || p[1] == 'M') && p[2] == ' ') {
      kind = p[1];
    }
    if (kind != 0) {
      p += 3;
      uint64_t address = 0;
      const char* const digits = p;
      for (unsigned digit; (digit = HexDigit(*p)) < 16; ++p) address = address << 4 | digit;
      uint64_t size = 0;
      const bool comma = p > digits && p - digits <= 16 && *p == ',';
      const char* const decimal = comma ? ++p : p;
      for (; *p >= '0' && *p <= '9' && p - decimal < 7; ++p) {
        size = size * 10 + static_cast<uint64_t>(*p - '0');
      }
      // No instruction moves more than a page.
      if (comma && *p == '\n' && size >= 1 && size <= base::kPageSize &&
          address <= ~uint64_t{0} - size) {
        ++p;
        if (exec_waits_) FirstAccess();
        Access(kind, address, size);
        continue;
      }
      const char* const newline =
          static_cast<const char*>(std::memchr(start, '\n', static_cast<size_t>(end - start)));
      return Error("\"I  ADDRESS,SIZE\" or \" L|S|M ADDRESS,SIZE\" (1 to 4096 bytes)",
                   absl::string_view(start, static_cast<size_t>(newline - start)));
    }
    const char* const newline =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
    const absl::string_view line(p, static_cast<size_t>(newline - p));
    line_offset_ = parsed_ + static_cast<uint64_t>(p - begin);
    const absl::Status status = SlowLine(line);
    if (!status.ok()) return status;
    p = newline + 1;
  }
  parsed_ += static_cast<uint64_t>(end - begin);
  return absl::OkStatus();
}

LackeyParser::Slot* LackeyParser::Find(uint64_t page) {
  for (size_t i = base::Mix64(page);; ++i) {
    Slot& slot = slots_[i & (slots_.size() - 1)];
    if (slot.epoch != epoch_) {
      slot = {page, epoch_, 0};
      ++used_slots_;
      return &slot;
    }
    if (slot.page == page) return &slot;
  }
}

void LackeyParser::ForgetTouches() {
  ++epoch_;
  used_slots_ = 0;
  last_fetch_ = last_data_ = ~uint64_t{0};
  last_bits_ = 0;
}

void LackeyParser::AccessPage(char kind, uint64_t address, uint64_t size) {
  const uint64_t first = std::min(size, base::kPageSize - (address & base::kPageMask));
  TouchPage(kind, address, first);
  if (first < size) TouchPage(kind, address + first, size - first);
}

void LackeyParser::TouchPage(char kind, uint64_t address, uint64_t size) {
  if (used_slots_ * 2 >= slots_.size()) {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    used_slots_ = 0;
    for (const Slot& slot : old) {
      if (slot.epoch == epoch_) Find(slot.page)->bits = slot.bits;
    }
  }
  Slot* slot = Find(address >> 12);
  if (kind == 'I') {
    if ((slot->bits & 4) == 0) AddTouch(EventKind::kFetch, address, 1);
    slot->bits |= 4;
    last_fetch_ = slot->page;
    return;
  }
  // A modification reads first, then writes.
  if (kind != 'S' && (slot->bits & 1) == 0) AddTouch(EventKind::kRead, address, size);
  if (kind != 'L' && (slot->bits & 2) == 0) AddTouch(EventKind::kWrite, address, size);
  slot->bits |= kind == 'L' ? 1 : kind == 'S' ? 2 : 3;
  last_data_ = slot->page;
  last_bits_ = slot->bits & 3u;
}

void LackeyParser::AddTouch(EventKind kind, uint64_t address, uint64_t size) {
  Event event;
  event.kind = kind;
  event.line = line_;
  event.args[0] = address;
  event.args[1] = size;
  out_.log.events.push_back(event);
}

void LackeyParser::FirstAccess() {
  exec_waits_ = false;
  if (observer_ == nullptr) return;
  std::optional<Sight> sight = observer_(header_pid_);
  if (!sight) return;
  horizon_ = bytes_fed_ + sight->bytes_ahead;
  image_event_ = static_cast<int>(out_.log.events.size()) - 1;
  out_.log.events.back().image = static_cast<int>(out_.log.images.size());
  out_.log.images.push_back(std::move(sight->image));
}

absl::Status LackeyParser::SlowLine(absl::string_view line) {
  if (line.empty() || absl::StartsWith(line, "--") || absl::StartsWith(line, "**")) {
    return absl::OkStatus();
  }
  if (absl::StartsWith(line, "==")) return Header(line);
  if (absl::StartsWith(line, "SYSCALL[")) return SystemCall(line);
  // The result of a call whose first line ended without one.
  const size_t arrow = line.find("--> ");
  if (arrow != absl::string_view::npos) {
    if (exec_waits_) {
      // A child's log begins with a header too, followed by the end of the call that bore it: no
      // exec.
      exec_waits_ = false;
      out_.log.events.pop_back();
    }
    CallEnds(last_thread_, line.substr(arrow + 4));
    return absl::OkStatus();
  }
  const auto it = pending_.find(last_thread_);
  if (it != pending_.end()) return absl::OkStatus();  // an argument with a newline in it
  return Error("an access, \"SYSCALL[PID,TID](NUMBER)\" or \"==PID==\"", line);
}

// "==123== Lackey, an example Valgrind tool", "==123== Command: /bin/true" ...
absl::Status LackeyParser::Header(absl::string_view line) {
  absl::string_view rest = line.substr(2);
  int pid = 0;
  if (!TakeInt(&rest, &pid) || !absl::ConsumePrefix(&rest, "==")) {
    return Error("\"==PID== TEXT\"", line);
  }
  absl::ConsumePrefix(&rest, " ");
  if (out_.pid == 0) out_.pid = pid;
  if (absl::ConsumePrefix(&rest, "Command: ")) {
    ForgetTouches();
    header_pid_ = pid;
    // Valgrind escapes blanks in arguments; the program ends at the first one that is not.
    std::string path;
    for (size_t i = 0; i < rest.size() && rest[i] != ' '; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
      path += rest[i];
    }
    pending_.clear();
    threads_ = 1;
    Event event;
    event.kind = EventKind::kExec;
    event.line = line_;
    event.path = out_.log.AddText(std::move(path));
    out_.log.events.push_back(event);
    exec_waits_ = true;
  } else if (absl::StartsWith(rest, "Process terminating with default action of signal")) {
    ended_ = true;
  } else if (absl::StartsWith(rest, "Valgrind has to exit now")) {
    ++out_.log.gave_up;
    ended_ = true;
  }
  return absl::OkStatus();
}

absl::Status LackeyParser::SystemCall(absl::string_view line) {
  absl::string_view rest = line.substr(8);
  int pid = 0;
  int thread = 0;
  int number = 0;
  if (!TakeInt(&rest, &pid) || !absl::ConsumePrefix(&rest, ",") || !TakeInt(&rest, &thread) ||
      !absl::ConsumePrefix(&rest, "](") || !TakeInt(&rest, &number) ||
      !absl::ConsumePrefix(&rest, ")")) {
    return Error("\"SYSCALL[PID,TID](NUMBER) CALL\"", line);
  }
  if (out_.pid == 0) out_.pid = pid;
  absl::ConsumePrefix(&rest, " ");
  last_thread_ = thread;
  if (absl::StartsWith(rest, "... [async]")) {
    const size_t arrow = rest.find("--> ");
    if (arrow != absl::string_view::npos) CallEnds(thread, rest.substr(arrow + 4));
    return absl::OkStatus();
  }
  ForgetTouches();
  exec_waits_ = false;  // an image seen from here on would not be exec's
  return CallBegins(thread, number, rest);
}

absl::Status LackeyParser::CallBegins(int thread, int number, absl::string_view text) {
  Pending call;
  call.number = number;
  size_t i = text.find('(');
  if (i == absl::string_view::npos) return Error("\"(\" behind the system call's name", text);
  ++i;
  // Arguments: numbers, some with the text they point to in parentheses.
  while (call.arg_count < 6) {
    while (i < text.size() && text[i] == ' ') ++i;
    const size_t start = i;
    while (i < text.size() && text[i] != ',' && text[i] != ' ' && text[i] != ')' &&
           text[i] != '(') {
      ++i;
    }
    uint64_t value = 0;
    const bool hex = number == kClone && call.arg_count == 0;
    if (!ParseArgument(text.substr(start, i - start), hex, &value)) break;
    call.args[call.arg_count++] = value;
    if (i < text.size() && text[i] == '(') {
      size_t end = i + 1;
      while (end < text.size() &&
             !(text[end] == ')' && (absl::StartsWith(text.substr(end + 1), ",") ||
                                    absl::StartsWith(text.substr(end + 1), " )")))) {
        ++end;
      }
      if (call.path.empty()) call.path = std::string(text.substr(i + 1, end - i - 1));
      i = std::min(end + 1, text.size());
    }
    if (i >= text.size() || text[i] != ',') break;
    ++i;
  }
  while (i < text.size() && text[i] == ' ') ++i;
  const absl::string_view tail = text.substr(std::min(i, text.size()));
  const size_t bore = tail.find("created child ");
  if (bore != absl::string_view::npos) {
    absl::string_view digits = tail.substr(bore + 14);
    if (!TakeInt(&digits, &call.child)) return Error("a process number", digits);
  }
  if (ChangesMap(number, call.args[0]) && image_event_ >= 0 && line_offset_ < horizon_) {
    out_.log.events[static_cast<size_t>(image_event_)].image = -1;
    image_event_ = -1;
    ++out_.log.late_images;
  }
  if (number == kWait4 || number == kWaitid) out_.waits.push_back(out_.log.events.size());
  if (number == kExitGroup || (number == kExit && --threads_ <= 0)) ended_ = true;
  pending_[thread] = std::move(call);
  const size_t arrow = tail.find("--> ");
  if (arrow != absl::string_view::npos) {
    CallEnds(thread, tail.substr(arrow + 4));
    return absl::OkStatus();
  }
  // A successful execve has no result: the new program's header follows on the same line.
  const size_t header = tail.find("==");
  if (header != absl::string_view::npos) return Header(tail.substr(header));
  return absl::OkStatus();
}

void LackeyParser::CallEnds(int thread, absl::string_view result) {
  const auto it = pending_.find(thread);
  if (it == pending_.end()) return;
  uint64_t value = 0;
  int error = 0;
  const size_t success = result.find("Success(0x");
  const size_t failure = result.find("Failure(0x");
  if (success != absl::string_view::npos) {
    const absl::string_view digits = result.substr(success + 10);
    if (!absl::SimpleHexAtoi(digits.substr(0, digits.find(')')), &value)) return;
  } else if (failure != absl::string_view::npos) {
    const absl::string_view digits = result.substr(failure + 10);
    if (!absl::SimpleHexAtoi(digits.substr(0, digits.find(')')), &value)) return;
    error = value == 0 || value > 4095 ? linux_abi::kOtherError : static_cast<int>(value);
  } else {
    return;  // "..." or "NoWriteResult": still under way, or none
  }
  const Pending call = std::move(it->second);
  pending_.erase(it);
  Finished(call, value, error);
}

// Fills in *event for memory calls; false for others.
bool LackeyParser::FinishedMemory(const Pending& call, Event* event) {
  std::copy(call.args, call.args + 5, event->args);
  switch (call.number) {
    case kMunmap:
      event->kind = EventKind::kMunmap;
      return true;
    case kBrk:
      event->kind = EventKind::kBrk;
      return true;
    case kMadvise:
      event->kind = EventKind::kMadvise;
      return true;
    case kMremap:
      event->kind = EventKind::kMremap;
      return true;
    case kMprotect:
      event->kind = EventKind::kMprotect;
      return true;
    case kPkeyMprotect:
      event->kind = EventKind::kMprotect;
      event->path = out_.log.AddText("pkey_mprotect");
      return true;
    case kMmap: {
      event->kind = EventKind::kMmap;
      event->args[4] = call.args[5];
      if ((call.args[3] & linux_abi::kMapAnonymous) != 0 || event->error != 0) return true;
      std::string path = files_.Path(0, static_cast<int64_t>(call.args[4]));
      if (path.empty()) {
        ++out_.log.unknown_files;
        path = absl::StrCat("fd", call.args[4]);
      }
      event->path = out_.log.AddText(std::move(path));
      return true;
    }
    default:
      return false;
  }
}

void LackeyParser::Finished(const Pending& call, uint64_t value, int error) {
  Event event;
  event.line = line_;
  event.result = value;
  event.error = error;
  if (FinishedMemory(call, &event)) {
    out_.log.events.push_back(event);
    return;
  }
  for (const CallName& entry : kInexpressible) {
    if (entry.number != call.number) continue;
    event.kind = EventKind::kOther;
    event.path = out_.log.AddText(entry.name);
    out_.log.events.push_back(event);
    return;
  }
  switch (call.number) {
    case kClone:
    case kFork:
    case kVfork: {
      event.kind = EventKind::kFork;
      uint64_t flags = call.number == kClone ? call.args[0] : 0;
      if (call.number == kVfork) flags = linux_abi::kCloneVfork;
      if ((flags & linux_abi::kCloneThread) != 0 && error == 0) ++threads_;
      if ((flags & linux_abi::kCloneThread) == 0 && error == 0) {
        if ((flags & linux_abi::kCloneVfork) != 0) ++out_.log.valgrind_vforks;
        flags = 0;  // Valgrind gives every child memory of its own
        if (call.child != 0) event.result = static_cast<uint64_t>(call.child);
      }
      event.args[0] = flags;
      out_.log.events.push_back(event);
      return;
    }
    case kExecve:
    case kExecveat:
      if (error == 0) return;  // the new program's header is the event
      event.kind = EventKind::kExec;
      event.path = out_.log.AddText(call.path);
      out_.log.events.push_back(event);
      return;
    default:
      ++out_.log.ignored_calls;
      if (error == 0) FollowFiles(call, value);
  }
}

void LackeyParser::FollowFiles(const Pending& call, uint64_t value) {
  const int64_t result = static_cast<int64_t>(value);
  const int64_t first = static_cast<int64_t>(call.args[0]);
  switch (call.number) {
    case kOpen:
    case kCreat:
    case kOpenat:
    case kMemfdCreate:
      files_.Open(0, result, call.number == kMemfdCreate ? "memfd" : call.path);
      return;
    case kDup:
    case kDup2:
    case kDup3:
      files_.Dup(0, first, result);
      return;
    case kFcntl:
      // F_DUPFD and F_DUPFD_CLOEXEC
      if (call.args[1] == 0 || call.args[1] == 1030) files_.Dup(0, first, result);
      return;
    case kClose:
      files_.Close(0, first);
      return;
    default:
      return;
  }
}

absl::StatusOr<LackeyLog> LackeyParser::Finish(bool whole, bool ended) {
  if (whole && !carry_.empty()) {
    ++line_;
    return Error("a newline at the end of the log (is it truncated?)", carry_);
  }
  if (whole && out_.pid == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_name_,
        ": expected a log of valgrind's lackey tool with --trace-syscalls=yes, found no "
        "\"==PID==\" or \"SYSCALL[\" line"));
  }
  if (ended || ended_) {
    Event event;
    event.kind = EventKind::kGroupExit;
    event.line = line_;
    out_.log.events.push_back(event);
  }
  for (Event& event : out_.log.events) event.tid = out_.pid;
  out_.log.lines = static_cast<uint64_t>(line_);
  return std::move(out_);
}

}  // namespace tools
