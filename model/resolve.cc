// model/resolve.cc: relative operands to absolute ones (World::Resolve).
//
// SEE      design.md D9; traces/op.h for what a Place means.

#include "model/world.h"

namespace model {

using traces::Op;
using traces::OpKind;
using traces::Place;
using traces::ResolvedOp;

namespace {

// False when the operation names a file that there is not.
bool ResolveFile(const Op& op, const std::vector<std::string>& files, ResolvedOp* out) {
  if (op.file == 0) {
    return op.kind == OpKind::kMmap || op.kind == OpKind::kExecMap || op.kind == OpKind::kPread ||
           op.kind == OpKind::kPwrite || op.kind == OpKind::kFtruncate ||
           op.kind == OpKind::kSendFile;
  }
  if (op.file > files.size()) return false;
  out->file_key = traces::KeyOfName(files[op.file - 1].c_str());
  out->backing = op.backing;
  out->offset = op.offset;
  return true;
}

// The operands that name nothing.
void CopyPlainOperands(const Op& op, ResolvedOp* out) {
  switch (op.kind) {
    case OpKind::kTaskCreate:
    case OpKind::kVmAllocate:
    case OpKind::kMsync:
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kMlockall:
    case OpKind::kMemfd:
    case OpKind::kShmat:
      out->flags = op.flags;
      break;
    case OpKind::kSwapOn:
    case OpKind::kSwapCtl:
      out->device = op.device;
      out->priority = op.priority;
      break;
    case OpKind::kSwapOff:
      out->device = op.device;
      break;
    case OpKind::kMemfdSeal:
      out->mask = op.mask;
      break;
    case OpKind::kExecMap:
    case OpKind::kMmap:
    case OpKind::kVmProtect:
    case OpKind::kVmWire:
      out->prot = op.prot;
      out->flags = op.flags;
      break;
    case OpKind::kMprotect:
      out->prot = op.prot;
      break;
    case OpKind::kMinherit:
    case OpKind::kVmInherit:
      out->inherit = op.inherit;
      break;
    case OpKind::kMadvise:
      out->advice = op.advice;
      break;
    case OpKind::kMremap:
      out->new_size = op.new_size;
      out->flags = op.flags;
      break;
    case OpKind::kVmMap:
      out->mask = op.mask;
      out->prot = op.prot;
      out->max_prot = op.max_prot;
      out->inherit = op.inherit;
      out->flags = op.flags;
      break;
    case OpKind::kWrite:
    case OpKind::kThreadEnd:
      out->value = op.value;
      break;
    default:
      break;
  }
}

}  // namespace

const Task* World::ResolveTask(const traces::TaskRef& ref, uint32_t* label) const {
  if (births_.empty()) return nullptr;
  *label = ref.relative ? births_[ref.number % births_.size()] : ref.number;
  return FindTask(*label);
}

// Those that the task has, in the order of their numbers.
bool World::ResolveThread(const Op& op, const Task& task, ResolvedOp* out) {
  out->thread = op.thread;
  if (!op.task.relative) return task.HasThread(op.thread);
  uint32_t n = op.thread % task.CountThreads();
  for (out->thread = 0; !task.HasThread(out->thread) || n-- != 0; ++out->thread) {
  }
  return true;
}

bool World::ResolveTarget(const Op& op, ResolvedOp* out) const {
  if (!traces::HasTarget(op.kind) || op.target == traces::TaskRef()) return true;
  if (!op.target.relative) {
    out->target = op.target.number;
    return used_labels_.count(op.target.number) != 0;
  }
  std::vector<uint32_t> nameable{out->task};
  for (uint32_t label : births_) {
    if (FindTask(label)->owner == out->task) nameable.push_back(label);
  }
  out->target = nameable[op.target.number % nameable.size()];
  return true;
}

bool World::ResolvePlace(const Space& space, const Place& place, uint64_t* address) {
  switch (place.kind) {
    case Place::Kind::kAbsolute:
      *address = place.offset;
      return true;
    case Place::Kind::kRegion: {
      const std::vector<Region>& regions = space.regions();
      if (regions.empty()) return false;
      const Region& region = regions[place.index % regions.size()];
      *address = region.start + place.offset % (region.end - region.start);
      return true;
    }
    case Place::Kind::kHole: {
      base::Range hole;
      if (!space.NthHole(place.index, &hole)) return false;
      *address = hole.start.value() + place.offset % hole.size();
      return true;
    }
  }
  return false;
}

bool World::ResolveWithoutTask(const Op& op, ResolvedOp* out) const {
  if (op.kind == OpKind::kInject) {
    out->site = op.site;
    out->skip = op.skip;
    return true;
  }
  out->child = op.child;
  out->size = op.size;
  return CanBeBorn(op.child);
}

// Copies exactly the operands that the kind has, so that equal operations are equal values.
bool World::Resolve(const Op& op, const std::vector<std::string>& files, ResolvedOp* out) const {
  *out = ResolvedOp();
  out->kind = op.kind;
  const bool is_first =
      op.kind == OpKind::kSpace || op.kind == OpKind::kTask || op.kind == OpKind::kTask32;
  if (is_first || op.kind == OpKind::kInject) return ResolveWithoutTask(op, out);
  const Task* const task = ResolveTask(op.task, &out->task);
  if (task == nullptr || !ResolveThread(op, *task, out)) return false;
  if (!ResolveTarget(op, out)) return false;
  CopyPlainOperands(op, out);
  if (traces::IsSwapCall(op.kind) || traces::IsThreadCall(op.kind)) return true;
  const Space& own = task->space;
  // A call on a task that is gone is refused, whatever its operands.
  const Task* acted_on = out->target == 0 ? task : FindTask(out->target);
  const Space& space = acted_on != nullptr ? acted_on->space : own;
  switch (op.kind) {
    case OpKind::kTaskCreate:
    case OpKind::kFork:
      out->child = op.child;
      return CanBeBorn(op.child);
    case OpKind::kExec:
    case OpKind::kExit:
    case OpKind::kTaskTerminate:
    case OpKind::kMlockall:
    case OpKind::kMunlockall:
      return true;
    case OpKind::kExecBrk:
    case OpKind::kBrk:
    case OpKind::kVmRegion:
    case OpKind::kFetch:
    case OpKind::kShmdt:
      return ResolvePlace(space, op.at, &out->at);
    case OpKind::kMemfd:
    case OpKind::kMemfdTruncate:
    case OpKind::kSendFile:
    case OpKind::kShmget:
      out->size = op.size;
      return ResolveFile(op, files, out);
    case OpKind::kFtruncate:
    case OpKind::kMemfdSeal:
    case OpKind::kMemfdClose:
    case OpKind::kShmRemove:
    case OpKind::kShmLock:
    case OpKind::kShmUnlock:
      return ResolveFile(op, files, out);
    case OpKind::kShmat:
      return ResolveFile(op, files, out) && ResolvePlace(space, op.at, &out->at);
    case OpKind::kExecMap:
    case OpKind::kMmap:
    case OpKind::kPread:
    case OpKind::kPwrite:
      if (!ResolveFile(op, files, out)) return false;
      break;
    case OpKind::kMremap:
    case OpKind::kVmCopy:
      if (!ResolvePlace(space, op.to, &out->to)) return false;
      break;
    case OpKind::kVmWrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
      if (!ResolvePlace(own, op.to, &out->to)) return false;
      break;
    default:
      break;
  }
  out->size = op.size;
  return ResolvePlace(space, op.at, &out->at);
}

}  // namespace model
