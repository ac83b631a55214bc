#include "proptests/engine/concurrent_program.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/prng.h"

namespace proptests {
namespace {

using base::kPageSize;
using base::Prng;
using traces::Op;
using traces::OpKind;

struct KindWeight {
  OpKind kind;
  uint32_t weight;
};
// Accesses see what calls do; calls that everybody waits for are rarer.
constexpr KindWeight kMix[] = {
    {OpKind::kWrite, 30}, {OpKind::kRead, 30},   {OpKind::kMprotect, 6},
    {OpKind::kMunmap, 3}, {OpKind::kMmap, 5},    {OpKind::kMinherit, 4},
    {OpKind::kFork, 6},   {OpKind::kMadvise, 3}, {OpKind::kLinuxDontneed, 2},
    {OpKind::kMlock, 2},  {OpKind::kMunlock, 2}, {OpKind::kMsync, 2},
    {OpKind::kExit, 1},   {OpKind::kMremap, 2},  {OpKind::kPread, 2},
    {OpKind::kPwrite, 2}, {OpKind::kPeek, 2},    {OpKind::kPoke, 2},
    {OpKind::kSend, 2},   {OpKind::kReceive, 2},
};
// The same for Mach tasks, whose makers do some of it for them while they run. None ends: what its
// maker then hears of it is no matter of memory.
constexpr KindWeight kMachMix[] = {
    {OpKind::kWrite, 30},       {OpKind::kRead, 30},      {OpKind::kVmProtect, 8},
    {OpKind::kVmDeallocate, 4}, {OpKind::kVmAllocate, 5}, {OpKind::kVmInherit, 4},
    {OpKind::kTaskCreate, 6},   {OpKind::kVmWire, 3},     {OpKind::kVmCopy, 3},
    {OpKind::kVmRead, 2},       {OpKind::kVmWrite, 3},
};
// Of BSD tasks while memory is scarce.
constexpr KindWeight kPressureMix[] = {
    {OpKind::kWrite, 30},  {OpKind::kRead, 30},    {OpKind::kMprotect, 3}, {OpKind::kMunmap, 2},
    {OpKind::kMmap, 3},    {OpKind::kMinherit, 2}, {OpKind::kFork, 6},     {OpKind::kMadvise, 2},
    {OpKind::kMlock, 4},   {OpKind::kMunlock, 3},  {OpKind::kMsync, 1},    {OpKind::kExit, 2},
    {OpKind::kSwapOff, 3}, {OpKind::kSwapOn, 4},   {OpKind::kSend, 3},     {OpKind::kReceive, 2},
    {OpKind::kPread, 1},   {OpKind::kPwrite, 1},   {OpKind::kPeek, 1},     {OpKind::kPoke, 1},
    {OpKind::kMremap, 1},  {OpKind::kSwapCtl, 1},
};
constexpr base::Prot kProts[] = {base::kProtReadWrite, base::kProtReadWrite, base::kProtRead,
                                 base::kProtNone};
constexpr base::Inherit kInherits[] = {base::Inherit::kShare, base::Inherit::kShare,
                                       base::Inherit::kCopy, base::Inherit::kZero};

class Drawer {
 public:
  explicit Drawer(const DrawOptions& options)
      : options_(options), prng_(base::Chain(options.seed, options.index), "concurrent program") {
    program_.files = {"f"};
    mach_ = OneIn(3) && options.hog_pages == 0;
    file_is_shared_ = OneIn(2);
    receiver_ = static_cast<uint32_t>(1 + Below(options.threads));
  }

  ConcurrentProgram Draw() {
    DrawSetup();
    for (uint32_t thread = 0; thread < options_.threads; ++thread) {
      const Actor& actor = actors_[thread];
      std::vector<Op> ops;
      for (uint32_t i = 0; i < options_.ops; ++i) {
        ops.push_back(mach_ ? DrawMachOp(actor.task) : DrawOp(actor.task));
        if (threads_in_[actor.task - 1] > 1) AmongSiblings(&ops.back());
        ops.back().thread = actor.thread;
        if (EndsItself(ops.back())) break;
      }
      program_.threads.push_back(std::move(ops));
    }
    return std::move(program_);
  }

 private:
  struct Actor {
    uint32_t task;
    uint32_t thread;
  };
  // Which thread of which task each part is of. Without siblings nothing is drawn.
  void DrawActors() {
    for (uint32_t i = 0; i < options_.threads; ++i) {
      std::vector<uint32_t> with_room;
      for (uint32_t task = 1; task <= threads_in_.size(); ++task) {
        if (threads_in_[task - 1] < options_.threads_per_task) with_room.push_back(task);
      }
      const bool joins = !with_room.empty() && (i == 1 || !OneIn(3));
      if (!joins) threads_in_.push_back(0);
      const uint32_t task = joins ? with_room[Below(with_room.size())] : tasks();
      actors_.push_back({task, threads_in_[task - 1]++});
    }
    siblings_end_ = options_.threads_per_task > 1 && OneIn(3);
  }
  uint32_t tasks() const { return static_cast<uint32_t>(threads_in_.size()); }

  static bool EndsItself(const Op& op) {
    return op.kind == OpKind::kExit || (op.kind == OpKind::kThreadEnd && op.value == op.thread);
  }
  // In some programs threads end each other and their tasks. What a call then answered nobody
  // knows: so none is made there that would name a child, or choose an address.
  void AmongSiblings(Op* op) {
    const uint32_t task = op->task.number;
    const bool chooses =
        op->kind == OpKind::kFork || op->kind == OpKind::kTaskCreate || op->kind == OpKind::kVmRead;
    if (siblings_end_ && OneIn(8)) {
      *op = By(task, OneIn(4) ? OpKind::kExec : OpKind::kThreadEnd);
      if (op->kind == OpKind::kThreadEnd) op->value = Below(threads_in_[task - 1]);
    } else if (siblings_end_ ? chooses : op->kind == OpKind::kExit) {
      *op = By(task, OpKind::kRead);
      DrawAccess(op);
    } else if (!siblings_end_ && OneIn(24)) {
      *op = By(task, OpKind::kThreadCreate);
    }
  }

  uint64_t Below(uint64_t bound) { return prng_.Below(bound); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  static Op By(uint32_t task, OpKind kind) {
    Op op;
    op.kind = kind;
    op.task = {task, false};
    return op;
  }
  uint64_t DrawPage() { return kConcurrentStart + Below(options_.pages) * kPageSize; }
  // Some pages, most often one.
  void DrawRange(Op* op) {
    const uint64_t first = Below(options_.pages);
    const uint64_t count = OneIn(3) ? 1 + Below(options_.pages - first) : 1;
    op->at = traces::At(kConcurrentStart + first * kPageSize);
    op->size = count * kPageSize;
  }
  void All(Op* op) const {
    op->at = traces::At(kConcurrentStart);
    op->size = options_.pages * kPageSize;
  }

  // The tasks of the threads, and sometimes one more that only has what it inherited.
  void DrawSetup() {
    DrawActors();
    Op space = By(0, mach_ ? OpKind::kTask : OpKind::kSpace);
    space.child = ++labels_;
    Add(space);
    Op map = By(1, mach_ ? OpKind::kVmAllocate : OpKind::kMmap);
    All(&map);
    map.flags = traces::kFlagFixed;
    if (!mach_) DrawMapping(&map);
    Add(map);
    if (UnderPressure()) AddHog();
    DrawStores(1);
    if (!OneIn(4)) Inherit(1, base::Inherit::kShare);
    for (uint32_t i = 1; i < tasks(); ++i) {
      Fork(static_cast<uint32_t>(1 + Below(i)));
    }
    if (OneIn(2)) {
      const auto parent = static_cast<uint32_t>(1 + Below(tasks()));
      Inherit(parent, base::Inherit::kCopy);
      Fork(parent);
    }
    if (OneIn(2)) DrawStores(static_cast<uint32_t>(1 + Below(tasks())));
    for (const Actor& actor : actors_) {
      if (actor.thread != 0) Add(By(actor.task, OpKind::kThreadCreate));
    }
  }
  bool UnderPressure() const { return options_.hog_pages != 0; }
  void AddHog() {
    Op map = By(1, OpKind::kMmap);
    map.at = traces::At(kHogStart);
    map.size = options_.hog_pages * kPageSize;
    map.prot = base::kProtReadWrite;
    map.flags = traces::kFlagPrivate | traces::kFlagFixed;
    Add(map);
    Op fill = By(1, OpKind::kWrite);
    fill.at = map.at;
    fill.size = map.size;
    fill.value = 'h';
    Add(fill);
  }
  void Inherit(uint32_t task, base::Inherit how) {
    Op inherit = By(task, mach_ ? OpKind::kVmInherit : OpKind::kMinherit);
    All(&inherit);
    if (how == base::Inherit::kShare && OneIn(2)) DrawRange(&inherit);
    inherit.inherit = how;
    Add(inherit);
  }

  void Add(const Op& op) { program_.setup.push_back(op); }
  void Fork(uint32_t parent) {
    Op fork = By(parent, mach_ ? OpKind::kTaskCreate : OpKind::kFork);
    if (mach_) fork.flags = traces::kFlagInherit;
    fork.child = ++labels_;
    makers_.push_back({parent, fork.child});
    Add(fork);
  }
  void DrawStores(uint32_t task) {
    for (uint64_t left = Below(3); left > 0; --left) {
      Op store = By(task, OpKind::kWrite);
      DrawAccess(&store);
      Add(store);
    }
  }

  void DrawAccess(Op* op) {
    const bool hog = UnderPressure() && OneIn(2);
    const uint64_t page = hog ? kHogStart + Below(options_.hog_pages) * kPageSize : DrawPage();
    op->at = traces::At(page + (OneIn(4) ? 8 : 0));
    op->size = 8;
    if (!hog && OneIn(8)) DrawLongAccess(op);
    if (op->kind == OpKind::kWrite) op->value = 1 + values_++ % 255;
  }

  // Over the end of a page, or of several pages.
  void DrawLongAccess(Op* op) {
    const uint64_t first = Below(options_.pages);
    const uint64_t start = kConcurrentStart + first * kPageSize;
    if (OneIn(2)) {
      op->at = traces::At(start + kPageSize - 4);
      return;
    }
    op->at = traces::At(start);
    op->size = (1 + Below(options_.pages - first)) * kPageSize;
  }

  // One page at most, of which each call makes one step: page by page several pages could not be
  // judged.
  void DrawMove(Op* op) {
    const uint32_t task = op->task.number;
    op->at = traces::At(DrawPage());
    op->size = kPageSize;
    switch (op->kind) {
      case OpKind::kMremap:
        // One more page, which mostly is a hole.
        op->to = traces::At(kConcurrentStart + Below(options_.pages + 1) * kPageSize);
        if (OneIn(3)) std::swap(op->at, op->to);
        op->new_size = kPageSize;
        op->flags = traces::kFlagFixed;
        return;
      case OpKind::kVmCopy:
      case OpKind::kVmWrite:
        op->to = traces::At(DrawPage());
        return;
      case OpKind::kReceive:
        // A message that is being received nobody else sees, though it may come back.
        if (task != receiver_) op->kind = OpKind::kSend;
        return;
      case OpKind::kPeek:
      case OpKind::kPoke:
        op->target = {OneMadeBy(task), false};
        op->to = traces::At(DrawPage());
        break;
      case OpKind::kPread:
      case OpKind::kPwrite:
        if (!file_is_shared_) op->kind = OpKind::kPread;
        op->file = 1;
        op->offset = Below(options_.pages) * kPageSize;
        if (OneIn(3)) op->flags = traces::kFlagDirect;
        break;
      default:
        return;
    }
    if (OneIn(2)) op->size = 8;
  }

  // The pages of the file are mapped in one way by all: a private page is bound to what the file
  // holds when the fault is taken, which is before the store that needs it.
  void DrawMapping(Op* op) {
    op->prot = base::kProtReadWrite;
    op->flags = (OneIn(2) ? traces::kFlagPrivate : traces::kFlagShared) | traces::kFlagFixed;
    if (!OneIn(3)) return;
    op->flags = (file_is_shared_ ? traces::kFlagShared : traces::kFlagPrivate) | traces::kFlagFixed;
    op->file = 1;
    op->offset = op->at.offset - kConcurrentStart;
  }

  template <size_t kSize>
  OpKind DrawKind(const KindWeight (&mix)[kSize]) {
    uint64_t sum = 0;
    for (const KindWeight& row : mix) sum += row.weight;
    uint64_t draw = Below(sum);
    for (const KindWeight& row : mix) {
      if (draw < row.weight) return row.kind;
      draw -= row.weight;
    }
    UNREACHABLE("the draw is below the sum");
  }

  // Half of what a task may do to one that it made it does to that.
  Op DrawMachOp(uint32_t task) {
    Op op = By(task, DrawKind(kMachMix));
    switch (op.kind) {
      case OpKind::kWrite:
      case OpKind::kRead:
        DrawAccess(&op);
        return op;
      case OpKind::kTaskCreate:
        op.flags = traces::kFlagInherit;
        op.child = ++labels_;
        return op;
      case OpKind::kVmDeallocate:
      case OpKind::kVmAllocate:
        DrawRange(&op);
        break;
      default:
        DrawMove(&op);
        break;
    }
    if (op.kind == OpKind::kVmAllocate) op.flags = traces::kFlagFixed;
    if (op.kind == OpKind::kVmProtect) op.prot = kProts[Below(std::size(kProts))];
    if (op.kind == OpKind::kVmInherit) op.inherit = kInherits[Below(3)];
    if (op.kind == OpKind::kVmWire) {
      op.prot = OneIn(2) ? base::kProtNone : base::kProtRead;
      op.flags = traces::kFlagPrivileged;
    }
    if (OneIn(2)) op.target = {OneMadeBy(task), false};
    return op;
  }
  // 0: none, which means the task itself. One that a thread is of, so that it meets it at work.
  uint32_t OneMadeBy(uint32_t task) const {
    for (const Made& made : makers_) {
      if (made.maker == task && made.child <= tasks()) return made.child;
    }
    return 0;
  }

  // Calls of which a part may have been done when they fail, or that fail as a whole for one page,
  // are about one page, so that they can be judged page by page.
  Op DrawOp(uint32_t task) {
    Op op = By(task, UnderPressure() ? DrawKind(kPressureMix) : DrawKind(kMix));
    // Who may do it does it more often.
    if (UnderPressure() && task == 1 && OneIn(8)) {
      op.kind = OneIn(2) ? OpKind::kSwapOff : OpKind::kSwapOn;
    }
    switch (op.kind) {
      case OpKind::kWrite:
      case OpKind::kRead:
        DrawAccess(&op);
        break;
      case OpKind::kMprotect:
        DrawRange(&op);
        op.prot = kProts[Below(std::size(kProts))];
        break;
      case OpKind::kMinherit:
        DrawRange(&op);
        op.inherit = kInherits[Below(std::size(kInherits))];
        break;
      case OpKind::kMunmap:
        DrawRange(&op);
        break;
      case OpKind::kMmap:
        DrawRange(&op);
        DrawMapping(&op);
        break;
      case OpKind::kFork:
        op.child = ++labels_;
        break;
      case OpKind::kExit:
        break;
      case OpKind::kSwapOn:
      case OpKind::kSwapOff:
      case OpKind::kSwapCtl:
        op.device = static_cast<uint32_t>(Below(options_.swap_devices));
        if (op.kind != OpKind::kSwapOff) op.priority = static_cast<uint32_t>(Below(2));
        break;
      default:
        DrawMove(&op);
        break;
    }
    if (op.kind == OpKind::kMadvise) op.advice = base::Advice::kFree;
    if (op.kind == OpKind::kMsync) op.flags = traces::kFlagSync;
    return op;
  }

  const DrawOptions options_;
  Prng prng_;
  ConcurrentProgram program_;
  uint32_t labels_ = 0;  // used so far
  uint64_t values_ = 0;  // written so far
  bool mach_ = false;
  bool file_is_shared_ = false;
  std::vector<Actor> actors_;         // by part
  std::vector<uint32_t> threads_in_;  // of each task, by its label
  bool siblings_end_ = false;
  uint32_t receiver_ = 0;
  struct Made {
    uint32_t maker;
    uint32_t child;
  };
  std::vector<Made> makers_;  // of the setup
};

absl::Status Bad(const traces::Line& line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line.line, ": ", what));
}

bool IsSameThread(const Op& a, const Op& b) { return a.task == b.task && a.thread == b.thread; }

bool IsAbsolute(const Op& op) {
  return !op.task.relative && !op.target.relative && op.at.kind == traces::Place::Kind::kAbsolute &&
         op.to.kind == traces::Place::Kind::kAbsolute;
}

constexpr absl::string_view kThread = "thread";
constexpr absl::string_view kSchedule = "schedule ";

}  // namespace

size_t ConcurrentProgram::size() const {
  size_t sum = setup.size();
  for (const std::vector<Op>& thread : threads) sum += thread.size();
  return sum;
}

ConcurrentProgram DrawProgram(const DrawOptions& options) {
  CHECK(options.threads >= 1 && options.ops >= 1 && options.pages >= 1);
  return Drawer(options).Draw();
}

absl::StatusOr<ReadProgram> ProgramOfTrace(const traces::Trace& trace) {
  ReadProgram read;
  read.program.files = trace.files;
  std::string schedule;
  std::vector<size_t> starts;
  for (const traces::Note& note : trace.notes) {
    if (note.blank) continue;
    if (note.text == kThread) starts.push_back(note.before);
    if (absl::StartsWith(note.text, kSchedule))
      absl::StrAppend(&schedule, absl::StripPrefix(note.text, kSchedule), "\n");
  }
  size_t next = 0;
  for (size_t i = 0; i < trace.lines.size(); ++i) {
    const traces::Line& line = trace.lines[i];
    while (next < starts.size() && starts[next] == i) {
      read.program.threads.emplace_back();
      ++next;
    }
    if (!IsAbsolute(line.op)) return Bad(line, "expected absolute operands");
    if (read.program.threads.empty()) {
      read.program.setup.push_back(line.op);
      continue;
    }
    std::vector<Op>& thread = read.program.threads.back();
    if (line.op.kind == OpKind::kInject || line.op.task.number == 0)
      return Bad(line, "expected an operation by a task");
    if (!thread.empty() && !IsSameThread(thread.front(), line.op))
      return Bad(line, "expected the task, and the thread of it, that the part began with");
    thread.push_back(line.op);
  }
  std::erase_if(read.program.threads, [](const std::vector<Op>& ops) { return ops.empty(); });
  for (size_t i = 0; i < read.program.threads.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (IsSameThread(read.program.threads[i].front(), read.program.threads[k].front()))
        return absl::InvalidArgumentError("expected parts of different threads");
    }
  }
  if (read.program.threads.empty())
    return absl::InvalidArgumentError("expected a comment \"# thread\" before each thread's part");
  if (schedule.empty()) return read;
  std::string problem;
  read.schedule = fake_l4::DecisionList::Parse(schedule, &problem);
  if (!read.schedule) return absl::InvalidArgumentError(absl::StrCat("schedule, ", problem));
  return read;
}

traces::Trace TraceOfProgram(const ConcurrentProgram& program, const std::string& title,
                             const fake_l4::DecisionList* schedule) {
  traces::Trace trace;
  trace.title = title;
  trace.files = program.files;
  const auto note = [&](absl::string_view text) {
    trace.notes.push_back({trace.lines.size(), text.empty(), std::string(text)});
  };
  note("");
  for (const Op& op : program.setup) trace.Add(op);
  for (const std::vector<Op>& thread : program.threads) {
    note(kThread);
    for (const Op& op : thread) trace.Add(op);
  }
  if (schedule == nullptr) return trace;
  for (absl::string_view line : absl::StrSplit(schedule->Text(), '\n', absl::SkipEmpty())) {
    note(absl::StrCat(kSchedule, line));
  }
  return trace;
}

}  // namespace proptests
