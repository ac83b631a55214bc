// The rules for memory calls. docs/LINUX.md has the same in a table, with the reasons.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/errors.h"
#include "base/prot.h"
#include "tools/import/linux_abi.h"
#include "tools/import/translate.h"
#include "traces/op.h"

namespace tools {

namespace abi = linux_abi;
using traces::At;
using traces::Op;
using traces::OpKind;

namespace {

// What Linux and our BSD edge both make of the rights asked for: W or X implies R.
base::Prot ProtOf(uint64_t linux_prot) {
  const base::Prot prot(static_cast<uint8_t>(linux_prot & abi::kProtRights));
  return prot.IsNone() ? prot : prot | base::kProtRead;
}

// True when [at, at + size) lies in the part of the address space that a task can map.
bool InBounds(uint64_t at, uint64_t size) {
  return at >= traces::kMapMin && at <= traces::kDefaultMapMax &&
         size <= traces::kDefaultMapMax - at;
}

std::string FailedWith(const char* call, int error) {
  return absl::StrCat(call, ": failed with ", abi::ErrnoText(error));
}

}  // namespace

void Translator::Mmap(const Event& event, Task* task) {
  const uint64_t size = event.args[1];
  const uint64_t flags = event.args[3];
  const uint64_t type = flags & abi::kMapTypeMask;
  if (event.error != 0) return NotExpressed(FailedWith("mmap", event.error));
  if (!InBounds(event.result, size)) return NotExpressed("mmap: outside a task's map");
  const bool shared = type == abi::kMapShared || type == abi::kMapSharedValidate;
  if (!shared && type != abi::kMapPrivate) return NotExpressed("mmap: neither shared nor private");
  if ((event.args[2] & ~abi::kProtRights) != 0) Altered("mmap: PROT_ bits beyond rwx dropped");
  for (const std::string& name : abi::DroppedMapFlags(flags)) {
    if (name == "MAP_FIXED_NOREPLACE") continue;  // it succeeded, so nothing was replaced
    Altered(absl::StrCat("mmap: ", name, " dropped"));
  }
  Op op;
  op.kind = OpKind::kMmap;
  op.task.number = task->label;
  op.at = At(event.result);
  op.size = size;
  op.prot = base::Prot(static_cast<uint8_t>(event.args[2] & abi::kProtRights));
  op.flags = traces::kFlagFixed | (shared ? traces::kFlagShared : traces::kFlagPrivate);
  // /dev/zero mapped privately is anonymous memory.
  const bool anonymous = (flags & abi::kMapAnonymous) != 0 || event.path < 0 ||
                         (!shared && Text(event.path) == "/dev/zero");
  if (!anonymous) {
    op.file = FileOf(Text(event.path));
    op.offset = event.args[4];
  }
  AddOk(op, event.result);
  const uint64_t end = event.result + base::RoundPage(size);
  task->regions.Insert(event.result, end,
                       {.prot = ProtOf(event.args[2]),
                        .shared = shared,
                        .inherit = shared ? base::Inherit::kShare : base::Inherit::kCopy});
  task->given_up.Remove(event.result, end);
}

void Translator::Munmap(const Event& event, Task* task) {
  const uint64_t at = event.args[0];
  const uint64_t size = event.args[1];
  Op op;
  op.kind = OpKind::kMunmap;
  op.task.number = task->label;
  op.at = At(at);
  op.size = size;
  if (event.error == 0) {
    if (!InBounds(at, size)) return NotExpressed("munmap: outside a task's map");
    AddOk(op);
    task->regions.Remove(at, at + base::RoundPage(size));
    task->given_up.Insert(at, at + base::RoundPage(size), {});
    return;
  }
  // Beyond the end both refuse; misaligned or empty ranges, and sizes that rounding makes 0, we
  // would accept.
  const bool beyond = size > traces::kDefaultMapMax || at > traces::kDefaultMapMax - size;
  const bool empty = base::RoundPage(size) == 0;
  if (event.error == abi::kEinval && base::IsPageAligned(at) && !empty && beyond) {
    return AddErrno(op, base::Errno::kEinval);
  }
  NotExpressed(FailedWith("munmap", event.error));
}

void Translator::Mprotect(const Event& event, Task* task) {
  const uint64_t at = event.args[0];
  uint64_t size = event.args[1];
  const uint64_t end = at + base::RoundPage(size);
  if (!InBounds(at, size)) {
    return NotExpressed(event.error == 0 ? "mprotect: outside a task's map"
                                         : FailedWith("mprotect", event.error));
  }
  if ((event.args[2] & ~abi::kProtRights) != 0) {
    return NotExpressed("mprotect: PROT_ bits beyond rwx");
  }
  if (event.error == 0) {
    InferUsed(at, end, base::kProtReadWrite, task);
    if (event.path >= 0) Altered("pkey_mprotect: the key dropped");
  } else {
    // Linux changes what lies before the first hole, then fails; we would go on behind it.
    if (event.error != abi::kEnomem || !base::IsPageAligned(at)) {
      return NotExpressed(FailedWith("mprotect", event.error));
    }
    size = task->regions.FirstHole(at, end) - at;
    if (size == 0 || at + size == end) return NotExpressed(FailedWith("mprotect", event.error));
    Altered("mprotect: ENOMEM at a hole, expressed as the part before it");
  }
  Op op;
  op.kind = OpKind::kMprotect;
  op.task.number = task->label;
  op.at = At(at);
  op.size = size;
  op.prot = base::Prot(static_cast<uint8_t>(event.args[2]));
  AddOk(op);
  task->regions.SetProt(at, at + base::RoundPage(size), ProtOf(event.args[2]));
}

void Translator::FailedMremap(const Event& event, Task* task) {
  const uint64_t old = event.args[0];
  const uint64_t old_size = base::RoundPage(event.args[1]);
  const uint64_t new_size = base::RoundPage(event.args[2]);
  Op op;
  op.kind = OpKind::kMremap;
  op.task.number = task->label;
  op.at = At(old);
  op.size = event.args[1];
  op.new_size = event.args[2];
  op.to = At(old);
  op.flags = traces::kFlagFixed;
  if (event.error == abi::kEinval && old_size != 0 &&
      (!base::IsPageAligned(old) || event.args[2] == 0)) {
    return AddErrno(op, base::Errno::kEinval);
  }
  // It may not move and cannot grow where it is.
  if (event.error == abi::kEnomem && (event.args[3] & abi::kMremapMaymove) == 0 &&
      InBounds(old, new_size) && old_size != 0 && old_size < new_size &&
      task->regions.FirstHole(old, old + old_size) == old + old_size &&
      task->regions.FirstMapped(old + old_size, old + new_size) != old + new_size) {
    return AddErrno(op, base::Errno::kEnomem);
  }
  NotExpressed(FailedWith("mremap", event.error));
}

void Translator::Mremap(const Event& event, Task* task) {
  if (event.error != 0) return FailedMremap(event, task);
  const uint64_t old = event.args[0];
  const uint64_t old_size = base::RoundPage(event.args[1]);
  const uint64_t new_size = base::RoundPage(event.args[2]);
  if (old_size == 0)
    return NotExpressed("mremap: old length 0, a second mapping of the same pages");
  if (!InBounds(old, old_size) || !InBounds(event.result, new_size)) {
    return NotExpressed("mremap: outside a task's map");
  }
  InferUsed(old, old + old_size, base::kProtReadWrite, task);
  if (task->regions.FirstHole(old, old + old_size) != old + old_size) {
    return NotExpressed("mremap: of memory that no call mapped");
  }
  if (event.result != old) return MovedMremap(event, task);
  Op op;
  op.kind = OpKind::kMremap;
  op.task.number = task->label;
  op.at = op.to = At(old);
  op.size = event.args[1];
  op.new_size = event.args[2];
  op.flags = traces::kFlagFixed;
  if (new_size > old_size) {
    if (task->regions.FirstMapped(old + old_size, old + new_size) != old + new_size) {
      return NotExpressed("mremap: grew over memory that we hold for mapped");
    }
    const RegionMap::Attributes last = *task->regions.Find(old + old_size - 1);
    task->regions.Insert(old + old_size, old + new_size, last);
    task->given_up.Remove(old + old_size, old + new_size);
  } else {
    task->regions.Remove(old + new_size, old + old_size);
    task->given_up.Insert(old + new_size, old + old_size, {});
  }
  AddOk(op, old);
}

void Translator::MovedMremap(const Event& event, Task* task) {
  const uint64_t old = event.args[0];
  const uint64_t old_size = base::RoundPage(event.args[1]);
  const uint64_t new_size = base::RoundPage(event.args[2]);
  const uint64_t to = event.result;
  const RegionMap::Attributes last = *task->regions.Find(old + old_size - 1);
  if (task->regions.FirstMapped(to, to + new_size) != to + new_size) {
    // MREMAP_FIXED replaces what is there; our call wants the destination free.
    Altered("mremap: destination unmapped by a munmap of its own");
    Op clear;
    clear.kind = OpKind::kMunmap;
    clear.task.number = task->label;
    clear.at = At(to);
    clear.size = new_size;
    AddOk(clear);
    task->regions.Remove(to, to + new_size);
  }
  Op op;
  op.kind = OpKind::kMremap;
  op.task.number = task->label;
  op.at = At(old);
  op.size = event.args[1];
  op.to = At(to);
  op.new_size = event.args[2];
  op.flags = traces::kFlagFixed;
  AddOk(op, to);
  const uint64_t moved = std::min(old_size, new_size);
  task->regions.Move(old, moved, to);
  task->regions.Remove(old, old + old_size);
  task->regions.Insert(to + moved, to + new_size, last);
  task->given_up.Remove(to, to + new_size);
  task->given_up.Insert(old, old + old_size, {});
  if ((event.args[3] & abi::kMremapDontunmap) == 0) return;
  Altered("mremap: MREMAP_DONTUNMAP expressed as a new anonymous mapping of the old range");
  Op again;
  again.kind = OpKind::kMmap;
  again.task.number = task->label;
  again.at = At(old);
  again.size = old_size;
  again.prot = last.prot;
  again.flags = traces::kFlagFixed | traces::kFlagPrivate;
  AddOk(again, old);
  task->regions.Insert(old, old + old_size, {.prot = last.prot});
}

void Translator::Brk(const Event& event, Task* task) {
  const uint64_t wanted = event.args[0];
  if (wanted == 0) return NotExpressed("brk: a query");
  if (!task->heap_known) return NotExpressed("brk: the heap's start is not known");
  Op op;
  op.kind = OpKind::kBrk;
  op.task.number = task->label;
  op.at = At(wanted);
  if (event.error != 0 || event.result != wanted) {
    // Below its start the heap cannot end; everything else is a limit of the host.
    if (wanted < task->heap_start) return AddErrno(op, base::Errno::kEinval);
    return NotExpressed("brk: refused by the host");
  }
  const uint64_t old_end = base::RoundPage(task->heap_end);
  const uint64_t new_end = base::RoundPage(wanted);
  if (wanted < task->heap_start || wanted > traces::kDefaultMapMax) {
    return NotExpressed("brk: outside the heap as we know it");
  }
  if (new_end > old_end) {
    if (task->regions.FirstMapped(old_end, new_end) != new_end) {
      return NotExpressed("brk: grew over memory that we hold for mapped");
    }
    task->regions.Insert(old_end, new_end, {.prot = base::kProtReadWrite});
    task->given_up.Remove(old_end, new_end);
  } else {
    task->regions.Remove(new_end, old_end);
    task->given_up.Insert(new_end, old_end, {});
  }
  task->heap_end = wanted;
  AddOk(op);
}

void Translator::Dontneed(const Event& event, Task* task) {
  const uint64_t at = event.args[0];
  const uint64_t size = event.args[1];
  Op op;
  op.kind = OpKind::kLinuxDontneed;
  op.task.number = task->label;
  op.at = At(at);
  op.size = size;
  if (event.error == abi::kEinval && !base::IsPageAligned(at)) {
    return AddErrno(op, base::Errno::kEinval);
  }
  if (!InBounds(at, size) || (event.error != 0 && event.error != abi::kEnomem)) {
    return NotExpressed(FailedWith("madvise(MADV_DONTNEED)", event.error));
  }
  const uint64_t end = at + base::RoundPage(size);
  if (event.error == 0) InferUsed(at, end, base::kProtReadWrite, task);
  const bool hole = task->regions.FirstHole(at, end) != end;
  if (hole == (event.error == abi::kEnomem)) {
    return hole ? AddErrno(op, base::Errno::kEnomem) : AddOk(op);
  }
  Altered("madvise(MADV_DONTNEED): the host and we disagree on what is mapped; no outcome");
  Add(op);
}

// MADV_DONTFORK and friends are inheritance.
void Translator::MadviseInherit(const Event& event, Task* task) {
  const std::string call = absl::StrCat("madvise(", abi::AdviceText(event.args[2]), ")");
  if (event.error != 0 || !InBounds(event.args[0], event.args[1])) {
    return NotExpressed(FailedWith(call.c_str(), event.error));
  }
  const uint64_t end = event.args[0] + base::RoundPage(event.args[1]);
  for (const RegionMap::Piece& piece : task->regions.Within(event.args[0], end)) {
    Op op;
    op.kind = OpKind::kMinherit;
    op.task.number = task->label;
    op.at = At(piece.start);
    op.size = piece.end - piece.start;
    op.inherit = event.args[2] == abi::kMadvDontfork     ? base::Inherit::kNone
                 : event.args[2] == abi::kMadvWipeonfork ? base::Inherit::kZero
                 : piece.attributes.shared               ? base::Inherit::kShare
                                                         : base::Inherit::kCopy;
    AddOk(op);
    task->regions.SetInherit(piece.start, piece.end, op.inherit);
  }
  Altered(absl::StrCat(call, ": expressed as minherit"));
}

void Translator::Madvise(const Event& event, Task* task) {
  const uint64_t at = event.args[0];
  const std::string call = absl::StrCat("madvise(", abi::AdviceText(event.args[2]), ")");
  Op op;
  op.kind = OpKind::kMadvise;
  op.task.number = task->label;
  op.at = At(at);
  op.size = event.args[1];
  switch (event.args[2]) {
    case abi::kMadvDontneed:
      return Dontneed(event, task);
    case abi::kMadvDontfork:
    case abi::kMadvDofork:
    case abi::kMadvWipeonfork:
    case abi::kMadvKeeponfork:
      return MadviseInherit(event, task);
    case abi::kMadvNormal:
      op.advice = base::Advice::kNormal;
      break;
    case abi::kMadvRandom:
      op.advice = base::Advice::kRandom;
      break;
    case abi::kMadvSequential:
      op.advice = base::Advice::kSequential;
      break;
    case abi::kMadvWillneed:
      op.advice = base::Advice::kWillNeed;
      break;
    case abi::kMadvFree:
      op.advice = base::Advice::kFree;
      break;
    default:
      return NotExpressed(absl::StrCat(call, ": no operation"));
  }
  if (!InBounds(at, event.args[1]) || (event.error != 0 && event.error != abi::kEnomem)) {
    return NotExpressed(FailedWith(call.c_str(), event.error));
  }
  const uint64_t end = at + base::RoundPage(event.args[1]);
  if (op.advice == base::Advice::kFree) {
    if (event.error == 0) InferUsed(at, end, base::kProtReadWrite, task);
    if (event.error != 0 || task->regions.FirstHole(at, end) != end) {
      return NotExpressed(absl::StrCat(call, ": over a hole"));
    }
  }
  if (event.error == 0) return AddOk(op);
  Altered(absl::StrCat(call, ": ENOMEM at a hole, where we succeed; no outcome"));
  Add(op);
}

}  // namespace tools
