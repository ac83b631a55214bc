#include "tools/import/translate.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "tools/import/linux_abi.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace tools {

namespace abi = linux_abi;
using traces::At;
using traces::Op;
using traces::OpKind;

namespace {

// Linux grows a stack on demand up to RLIMIT_STACK, which is 8 MiB nearly everywhere; a BSD maps
// all of it at exec.
constexpr uint64_t kStackBytes = uint64_t{8} << 20;
// Where Valgrind puts the top of every program's stack.
constexpr uint64_t kValgrindStackEnd = 0x1fff001000;

base::Prot ProtOf(uint64_t linux_prot) {
  const base::Prot prot(static_cast<uint8_t>(linux_prot & abi::kProtRights));
  return prot.IsNone() ? prot : prot | base::kProtRead;
}

// A base name that a trace can hold: other characters than its own become '_'.
std::string CleanName(absl::string_view path) {
  absl::ConsumeSuffix(&path, " (deleted)");
  std::string name = BaseName(path);
  absl::string_view inner = name;
  if (absl::ConsumePrefix(&inner, "[") && absl::ConsumeSuffix(&inner, "]")) {
    name = std::string(inner);
  }
  for (char& c : name) {
    if (!traces::ValidFileName(absl::string_view(&c, 1)) && c != '.') c = '_';
  }
  if (name.size() > 200) name.resize(200);
  return traces::ValidFileName(name) ? name : "file";
}

bool IsAnonymousName(absl::string_view name) {
  return name.empty() || name == "[stack]" || name == "[heap]" || absl::StartsWith(name, "[anon");
}

}  // namespace

Translator::Translator(const EventLog& log, Pass pass, InferredImages* inferred,
                       traces::Trace* trace, ImportReport* report)
    : log_(log), pass_(pass), inferred_(inferred), trace_(trace), report_(report) {}

absl::Status Translator::Run() {
  for (size_t i = 0; i < log_.events.size(); ++i) {
    Apply(log_.events[i], i);
    if (next_label_ > traces::kMaxLabel) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", log_.events[i].line, ": expected at most ", traces::kMaxLabel,
                       " address spaces in one recording, found more"));
    }
  }
  return absl::OkStatus();
}

void Translator::Apply(const Event& event, size_t index) {
  switch (event.kind) {
    case EventKind::kExec:
      return Exec(event, index);
    case EventKind::kThreadExit:
      return EndThread(event.tid);
    case EventKind::kGroupExit:
      return EndProcess(event.tid);
    case EventKind::kFork:
      return Fork(event);
    case EventKind::kOther:
      NotExpressed(absl::StrCat(Text(event.path), ": no operation"));
      return;
    default:
      break;
  }
  Task* task = ProcessOf(event.tid).task.get();
  switch (event.kind) {
    case EventKind::kMmap:
      return Mmap(event, task);
    case EventKind::kMunmap:
      return Munmap(event, task);
    case EventKind::kMprotect:
      return Mprotect(event, task);
    case EventKind::kMremap:
      return Mremap(event, task);
    case EventKind::kBrk:
      return Brk(event, task);
    case EventKind::kMadvise:
      return Madvise(event, task);
    default:
      return Touch(event, task);
  }
}

std::shared_ptr<Translator::Task> Translator::NewTask() {
  auto task = std::make_shared<Task>();
  task->label = next_label_++;
  task->users = 1;
  return task;
}

// A process that nobody bore begins with an empty map: the first of the recording, or one that
// strace was attached to.
Translator::Process& Translator::ProcessOf(int tid) {
  std::shared_ptr<Process>& process = processes_[tid];
  if (process == nullptr) {
    process = std::make_shared<Process>();
    process->threads.insert(tid);
    process->task = NewTask();
    Op op;
    op.kind = OpKind::kSpace;
    op.child = process->task->label;
    AddOk(op);
    if (writing()) ++report_->processes;
  }
  return *process;
}

void Translator::Fork(const Event& event) {
  Process& parent = ProcessOf(event.tid);
  if (event.error != 0) {
    NotExpressed(absl::StrCat("fork: failed with ", abi::ErrnoText(event.error)));
    return;
  }
  const int child_tid = static_cast<int>(event.result);
  const std::shared_ptr<Process> parent_process = processes_[event.tid];
  if (processes_.count(child_tid) != 0) EndThread(child_tid);  // the number is used again
  if ((event.args[0] & abi::kCloneThread) != 0) {
    parent_process->threads.insert(child_tid);
    processes_[child_tid] = parent_process;
    if (writing()) ++report_->threads;
    return;
  }
  auto child = std::make_shared<Process>();
  child->threads.insert(child_tid);
  processes_[child_tid] = child;
  if (writing()) ++report_->processes;
  if ((event.args[0] & abi::kCloneVm) != 0) {
    // vfork and posix_spawn: the child acts on its parent's memory until it execs.
    child->task = parent.task;
    ++child->task->users;
    Altered((event.args[0] & abi::kCloneVfork) != 0
                ? "vfork: the child acts on its parent's task until exec"
                : "clone(CLONE_VM): the child acts on its parent's task");
    return;
  }
  child->task = NewTask();
  const uint32_t label = child->task->label;
  *child->task = *parent.task;
  child->task->label = label;
  child->task->users = 1;
  child->task->regions = parent.task->regions.Forked();
  Op op;
  op.kind = OpKind::kFork;
  op.task.number = parent.task->label;
  op.child = label;
  AddOk(op);
}

void Translator::Leave(Process* process) {
  Task* task = process->task.get();
  if (--task->users > 0) return;
  Op op;
  op.kind = OpKind::kExit;
  op.task.number = task->label;
  AddOk(op);
}

void Translator::EndThread(int tid) {
  const auto it = processes_.find(tid);
  if (it == processes_.end()) return;
  const std::shared_ptr<Process> process = it->second;
  processes_.erase(it);
  process->threads.erase(tid);
  if (process->threads.empty()) Leave(process.get());
}

void Translator::EndProcess(int tid) {
  const auto it = processes_.find(tid);
  if (it == processes_.end()) return;
  const std::shared_ptr<Process> process = it->second;
  for (int thread : process->threads) processes_.erase(thread);
  Leave(process.get());
}

void Translator::Exec(const Event& event, size_t index) {
  const bool known = processes_.count(event.tid) != 0;
  Process& process = ProcessOf(event.tid);
  if (event.error != 0) {
    NotExpressed(absl::StrCat("execve: failed with ", abi::ErrnoText(event.error)));
    return;
  }
  for (int thread : process.threads) {
    if (thread != event.tid) processes_.erase(thread);
  }
  process.threads = {event.tid};
  AddNote(absl::StrCat("execve ", CleanName(Text(event.path))));
  if (process.task->users > 1) {
    // The memory stays with the parent; the child gets some of its own.
    --process.task->users;
    process.task = NewTask();
    Op op;
    op.kind = OpKind::kSpace;
    op.child = process.task->label;
    AddOk(op);
  } else if (known) {
    Op op;
    op.kind = OpKind::kExec;
    op.task.number = process.task->label;
    AddOk(op);
    const uint32_t label = process.task->label;
    *process.task = Task();
    process.task->label = label;
    process.task->users = 1;
  }
  process.task->exec = index;
  PlaceImage(event, index, process.task.get());
}

std::optional<uint64_t> Translator::HeapStart(size_t exec_index) const {
  const int tid = log_.events[exec_index].tid;
  for (size_t i = exec_index + 1; i < log_.events.size(); ++i) {
    const Event& event = log_.events[i];
    if (event.tid != tid) continue;
    if (event.kind == EventKind::kExec && event.error == 0) return std::nullopt;
    if (event.kind == EventKind::kGroupExit) return std::nullopt;
    if (event.kind != EventKind::kBrk) continue;
    // The first call of every C library asks where the heap starts. Any other start is not known to
    // us.
    if (event.args[0] != 0) return std::nullopt;
    return base::RoundPage(event.result);
  }
  return std::nullopt;
}

void Translator::PlaceRegion(const ImageRegion& region, uint32_t how, Task* task) {
  if (region.start < traces::kMapMin || region.end > traces::kDefaultMapMax) {
    NotExpressed(
        absl::StrCat("exec: ", IsAnonymousName(region.name) ? "a region" : CleanName(region.name),
                     " beyond a task's map"));
    return;
  }
  Op op;
  op.kind = OpKind::kExecMap;
  op.task.number = task->label;
  op.at = At(region.start);
  op.size = region.end - region.start;
  op.prot = base::Prot(static_cast<uint8_t>(region.prot));
  op.flags = how;
  if (!IsAnonymousName(region.name)) {
    op.file = FileOf(region.name);
    op.offset = region.offset;
  }
  AddOk(op, region.start);
  task->regions.Insert(region.start, region.end, {.prot = ProtOf(region.prot)});
}

// Free memory below a stack that ends at `end` and reaches down to `start` so far, as far as it may
// grow.
void Translator::PlaceStackGrowth(uint64_t start, uint64_t end, Task* task) {
  uint64_t low = end > kStackBytes + traces::kMapMin ? end - kStackBytes : traces::kMapMin;
  const std::vector<RegionMap::Piece> below = task->regions.Within(low, start);
  if (!below.empty()) low = below.back().end;
  if (low >= start) return;
  PlaceRegion(
      {.start = low, .end = start, .prot = abi::kProtRead | abi::kProtWrite, .name = "[stack]"},
      traces::kFlagInferred, task);
}

void Translator::PlaceHeap(size_t index, Task* task) {
  const std::optional<uint64_t> start = HeapStart(index);
  if (!start || *start < traces::kMapMin || *start >= traces::kDefaultMapMax) return;
  Op op;
  op.kind = OpKind::kExecBrk;
  op.task.number = task->label;
  op.at = At(*start);
  AddOk(op);
  task->heap_known = true;
  task->heap_start = task->heap_end = *start;
}

void Translator::PlaceImage(const Event& event, size_t index, Task* task) {
  const std::optional<uint64_t> heap = HeapStart(index);
  if (event.image >= 0) {
    const ObservedImage& image = log_.images[static_cast<size_t>(event.image)];
    task->observed = true;
    const ImageRegion* stack = nullptr;
    for (const ImageRegion& region : image.regions) {
      // Valgrind keeps a page ready where the heap will start.
      if (IsAnonymousName(region.name) && heap && region.start == *heap) continue;
      PlaceRegion(region, traces::kFlagObserved, task);
      if (region.name == "[stack]") stack = &region;
    }
    if (stack != nullptr) PlaceStackGrowth(stack->start, stack->end, task);
    if (writing()) {
      ++report_->execs_observed;
      report_->valgrind_regions += image.valgrind_regions;
    }
  } else {
    if (!writing()) InferSegments(event, index, task);
    if (writing()) {
      ++report_->execs_inferred;
      const InferredImage& image = (*inferred_)[index];
      for (const ImageRegion& region : image.segments) {
        PlaceRegion(region, traces::kFlagInferred, task);
      }
      for (const RegionMap::Piece& piece : image.used.Within(0, traces::kDefaultMapMax)) {
        for (const RegionMap::Piece& hole : task->regions.Holes(piece.start, piece.end)) {
          PlaceRegion({.start = hole.start, .end = hole.end, .prot = piece.attributes.prot.bits()},
                      traces::kFlagInferred, task);
        }
      }
    }
  }
  PlaceHeap(index, task);
}

uint64_t Translator::FindBias(size_t exec_index, const ElfLayout& layout, bool* found) const {
  *found = true;
  if (!layout.position_independent) return 0;
  *found = false;
  if (layout.relro_start == layout.relro_end) return 0;
  const int tid = log_.events[exec_index].tid;
  for (size_t i = exec_index + 1; i < log_.events.size(); ++i) {
    const Event& event = log_.events[i];
    if (event.tid != tid) continue;
    if (event.kind == EventKind::kExec && event.error == 0) break;
    // The loader write-protects what it has relocated: in libraries, which calls have mapped, in
    // the program and in itself, which no call has mapped.
    if (event.kind != EventKind::kMprotect || event.args[0] < layout.relro_start ||
        base::RoundPage(event.args[1]) != layout.relro_end - layout.relro_start) {
      continue;
    }
    const uint64_t bias = event.args[0] - layout.relro_start;
    if (!base::IsPageAligned(bias)) continue;
    bool mapped_by_call = false;
    for (size_t k = exec_index + 1; k < i; ++k) {
      const Event& earlier = log_.events[k];
      mapped_by_call |= earlier.tid == tid && earlier.kind == EventKind::kMmap &&
                        earlier.error == 0 && earlier.result <= event.args[0] &&
                        event.args[0] < earlier.result + earlier.args[1];
    }
    if (mapped_by_call) continue;
    *found = true;
    return bias;
  }
  return 0;
}

void Translator::InferSegments(const Event& event, size_t index, Task* task) {
  InferredImage& image = (*inferred_)[index];
  std::string path = Text(event.path);
  for (int file = 0; file < 2 && !path.empty(); ++file) {
    const absl::StatusOr<ElfLayout> layout = ReadElfLayout(path);
    bool found = false;
    uint64_t bias = 0;
    if (layout.ok()) bias = FindBias(index, *layout, &found);
    // A path that exists elsewhere only, or a script: what it mapped shows in later calls or not at
    // all.
    if (!found) {
      ++report_->altered[absl::StrCat(
          "exec: segments of ", CleanName(path), " not placed, ",
          layout.ok() ? "its address is not known" : "its file is not readable here")];
    }
    if (!layout.ok()) return;
    for (const ImageRegion& segment : layout->segments) {
      if (!found) break;
      ImageRegion placed = segment;
      placed.start += bias;
      placed.end += bias;
      task->regions.Insert(placed.start, placed.end, {.prot = ProtOf(placed.prot)});
      image.segments.push_back(std::move(placed));
    }
    path = layout->interpreter;
  }
}

void Translator::InferUsed(uint64_t start, uint64_t end, base::Prot prot, Task* task) {
  if (writing() || task->observed || !task->exec) return;
  for (const RegionMap::Piece& hole : task->regions.Holes(start, end)) {
    for (const RegionMap::Piece& piece : task->given_up.Holes(hole.start, hole.end)) {
      (*inferred_)[*task->exec].used.Insert(piece.start, piece.end, {.prot = prot});
      task->regions.Insert(piece.start, piece.end, {.prot = prot});
    }
  }
}

void Translator::Touch(const Event& event, Task* task) {
  const uint64_t page = base::TruncPage(event.args[0]);
  const bool write = event.kind == EventKind::kWrite;
  const bool fetch = event.kind == EventKind::kFetch;
  if (!writing()) {
    const bool stack = page < kValgrindStackEnd && page >= kValgrindStackEnd - kStackBytes;
    const base::Prot prot = fetch ? base::kProtRead | base::kProtExecute : base::kProtReadWrite;
    if (stack) {
      InferUsed(kValgrindStackEnd - kStackBytes, kValgrindStackEnd, base::kProtReadWrite, task);
    } else {
      InferUsed(page, page + base::kPageSize, prot, task);
    }
    return;
  }
  const char* what = write ? "write" : fetch ? "fetch" : "read";
  const RegionMap::Attributes* region = task->regions.Find(page);
  if (region == nullptr) {
    ++report_->touches_outside[absl::StrCat(what, ": nothing mapped")];
    return;
  }
  const base::Prot prot = region->prot;
  if (write ? !prot.CanWrite() : fetch ? !prot.CanExecute() : !prot.CanRead()) {
    ++report_->touches_outside[absl::StrCat(what, ": not permitted")];
    return;
  }
  Op op;
  op.task.number = task->label;
  op.at = At(event.args[0]);
  if (fetch) {
    op.kind = OpKind::kFetch;
    AddOk(op);
    return;
  }
  op.kind = write ? OpKind::kWrite : OpKind::kRead;
  op.size = event.args[1];
  // A value of its own for each write, and above 255, so that every byte differs from its
  // neighbours.
  if (write) op.value = 256 + trace_->lines.size();
  // What a read gives depends on bytes that were never recorded: no outcome.
  if (write) {
    AddOk(op);
  } else {
    Add(op);
  }
}

traces::Line* Translator::Add(const Op& op) {
  if (!writing()) return nullptr;
  ++report_->expressed[std::string(traces::OpName(op.kind))];
  return &trace_->Add(op);
}

void Translator::AddOk(const Op& op, uint64_t value) {
  traces::Line* line = Add(op);
  if (line == nullptr) return;
  traces::Outcome outcome;
  outcome.family = traces::FamilyOf(op.kind);
  outcome.value = value;
  line->expected = outcome;
  ++report_->expectations;
}

void Translator::AddErrno(const Op& op, base::Errno code) {
  traces::Line* line = Add(op);
  if (line == nullptr) return;
  traces::Outcome outcome;
  outcome.family = traces::Outcome::Family::kErrno;
  outcome.code = static_cast<int32_t>(code);
  line->expected = outcome;
  ++report_->expectations;
}

void Translator::AddNote(const std::string& text) {
  if (!writing()) return;
  trace_->notes.push_back({.before = trace_->lines.size(), .blank = true, .text = ""});
  trace_->notes.push_back({.before = trace_->lines.size(), .blank = false, .text = text});
}

void Translator::NotExpressed(const std::string& what) {
  if (writing()) ++report_->not_expressed[what];
}

void Translator::Altered(const std::string& what) {
  if (writing()) ++report_->altered[what];
}

uint32_t Translator::FileOf(absl::string_view path) {
  if (!writing()) return 1;
  const auto it = files_.find(std::string(path));
  if (it != files_.end()) return it->second;
  const std::string base = CleanName(path);
  std::string name = base;
  for (int n = 2; !file_names_.insert(name).second; ++n) name = absl::StrCat(base, "-", n);
  const uint32_t file = trace_->Intern(name);
  files_[std::string(path)] = file;
  return file;
}

absl::StatusOr<traces::Trace> Translate(const EventLog& log, absl::string_view source,
                                        const ImportOptions& options, ImportReport* report) {
  report->source = std::string(source);
  report->lines += log.lines;
  report->ignored_calls += log.ignored_calls;
  if (log.restarted_calls != 0) {
    report->not_expressed["a call interrupted by a signal, listed again when restarted"] +=
        log.restarted_calls;
  }
  if (log.valgrind_vforks != 0) {
    report->altered["vfork: a fork, which is what Valgrind makes of it"] += log.valgrind_vforks;
  }
  if (log.late_images != 0) {
    report->altered["exec: memory map seen too late, inferred instead"] += log.late_images;
  }
  if (log.gave_up != 0) {
    report->not_expressed["lackey: the rest of a process that Valgrind ended, unable to go on"] +=
        log.gave_up;
  }
  if (log.lost_starts != 0) {
    report->not_expressed["lackey: part of a child's log before exec, overwritten by Valgrind"] +=
        log.lost_starts;
  }
  if (log.unknown_files != 0) {
    report
        ->altered["mmap: of a descriptor whose opening is not recorded, named after its number"] +=
        log.unknown_files;
  }
  traces::Trace trace;
  std::string program = "program";
  for (const Event& event : log.events) {
    if (event.kind != EventKind::kExec || event.error != 0) continue;
    program = CleanName(log.texts[static_cast<size_t>(event.path)]);
    break;
  }
  trace.title = absl::StrCat(
      options.name.empty() ? program : options.name, ": ",
      options.what.empty()
          ? absl::StrCat("memory of ", program, " and its children, recorded with ", source)
          : options.what);
  trace.header = {
      "The bytes are synthesised: recordings hold no contents. Addresses are those the host chose.",
      "Rules of the import: docs/LINUX.md. Files are named by their base names."};
  InferredImages inferred;
  absl::Status status = Translator(log, Translator::Pass::kInfer, &inferred, &trace, report).Run();
  if (!status.ok()) return status;
  status = Translator(log, Translator::Pass::kWrite, &inferred, &trace, report).Run();
  if (!status.ok()) return status;
  return trace;
}

}  // namespace tools
