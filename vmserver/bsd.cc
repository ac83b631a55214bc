// The BSD personality: mmap(2) and its relatives, with errno values.
//
// Argument checks stand in the order in which they decide, before anything is changed. Addresses
// are rounded with plain wrapping arithmetic, as the calls do. SEE facts/uvm.md 2.14; design.md D11
// (the model states the same on its own).

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::Errno;
using base::MapError;
using base::Prot;
using base::Range;
using base::Vaddr;

Errno ErrnoOf(MapError error) {
  switch (error) {
    case MapError::kInvalidArgument:
      return Errno::kEinval;
    case MapError::kOutOfRange:
      return Errno::kEinval;
    case MapError::kNoSpace:
      return Errno::kEnomem;
    case MapError::kNoMemory:
      return Errno::kEnomem;
    case MapError::kProtection:
      return Errno::kEacces;
    case MapError::kHole:
      return Errno::kEfault;
    case MapError::kBusy:
      return Errno::kEbusy;
    case MapError::kTryAgain:
      return Errno::kEagain;
    case MapError::kNotFound:
      return Errno::kEnoent;
    case MapError::kIo:
      return Errno::kEio;
    case MapError::kTooBig:
      return Errno::kEinval;
  }
  UNREACHABLE("no such map error");
}

Errno ErrnoOf(base::Result<void, MapError> result) {
  return result.ok() ? Errno::kOk : ErrnoOf(result.error());
}

// This edge's rule: writing or executing implies reading.
Prot BsdProt(L4_Word_t bits) {
  Prot prot(static_cast<uint8_t>(bits & base::kProtAll.bits()));
  return prot.IsNone() ? prot : prot | base::kProtRead;
}

// [at, at + size) widened to pages. False: it leaves the map's bounds or wraps.
bool PageRange(const uvm::Map& map, uint64_t at, uint64_t size, Range* out) {
  uint64_t in_page = at & base::kPageMask;
  uint64_t start = at - in_page;
  uint64_t bytes = base::RoundPage(size + in_page);
  if (start + bytes < start || start < map.min().value() || start + bytes > map.max().value()) {
    return false;
  }
  *out = {Vaddr(start), Vaddr(start + bytes)};
  return true;
}

uint64_t Wide(L4_Word_t low, L4_Word_t high) {
  return (uint64_t{low} & 0xffffffff) | uint64_t{high} << 32;
}

}  // namespace

Answer Server::Mmap(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  uint64_t at = m.words[0];
  const uint64_t size = m.words[1];
  const Prot prot = BsdProt(m.words[2]);
  const L4_Word_t flags = m.words[3];
  const uint64_t key = Wide(m.words[4], m.words[5]);
  const uint64_t offset = Wide(m.words[6], m.words[7]);
  const bool fixed = (flags & kMmapFixed) != 0;
  const bool try_fixed = (flags & kMmapTryFixed) != 0;
  const bool shared = (flags & kMmapShared) != 0;
  if (shared == ((flags & kMmapPrivate) != 0)) return Errno::kEinval;
  if (size == 0) {
    if (key != 0) return Errno::kEinval;
    return Answer(Errno::kOk).With(fixed || try_fixed ? at : 0);
  }
  const uint64_t in_page = key != 0 ? offset & base::kPageMask : 0;
  const uint64_t bytes = base::RoundPage(size + in_page);
  if (bytes < size) return Errno::kEnomem;
  if (fixed) {
    at -= in_page;
    if (!base::IsPageAligned(at)) return Errno::kEinval;
    if (at + bytes < at) return Errno::kEoverflow;
    if (at + bytes > map.max().value()) return Errno::kEfbig;
    if (at < map.min().value()) return Errno::kEinval;
  }
  // A hint that is not aligned, or not inside the map, is as good as none.
  const bool hint = !fixed && try_fixed && base::IsPageAligned(at) && at >= map.min().value() &&
                    at + bytes >= at && at + bytes <= map.max().value();
  uvm::Map::EnterOptions options;
  options.at = Vaddr(fixed || hint ? at : map.min().value());
  options.size = bytes;
  options.where = fixed  ? uvm::Map::Where::kFixedReplace
                  : hint ? uvm::Map::Where::kHint
                         : uvm::Map::Where::kAnywhere;
  options.prot = prot;
  options.inherit = shared ? base::Inherit::kShare : base::Inherit::kCopy;
  options.sharing = shared ? uvm::Sharing::kShared : uvm::Sharing::kPrivate;
  options.offset = offset - in_page;
  if (key != 0) {
    options.object = FileObject(key);
    if (options.object == nullptr) return Errno::kEnomem;
  } else {
    options.offset = 0;
  }
  auto entered = map.Enter(options);
  if (!entered.ok()) {
    if (options.object != nullptr) uvm_->ReleaseObject(options.object);
    return ErrnoOf(entered.error());
  }
  return Answer(Errno::kOk).With(entered.value().value() + in_page);
}

// The file's object with a reference for the caller; null when memory ran out.
uvm::Object* Server::FileObject(uint64_t key) {
  uvm::MutexLock lock(&mu_);
  File* file = files_.Find(key);
  if (file == nullptr) {
    auto object = uvm_->CreateStoredObject(&file_store_, key);
    if (!object.ok()) return nullptr;
    file = files_.Add(key, object.value());
    // An object without a record would be a second one for its key next time.
    if (file == nullptr) {
      uvm_->ReleaseObject(object.value());
      return nullptr;
    }
  }
  uvm_->ReferenceObject(file->object);
  return file->object;
}

Answer Server::Munmap(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  Range range;
  if (!PageRange(map, m.words[0], m.words[1], &range)) return Errno::kEinval;
  return ErrnoOf(map.Unmap(range));
}

Answer Server::Mprotect(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  Range range;
  if (!PageRange(map, m.words[0], m.words[1], &range)) return Errno::kEinval;
  return ErrnoOf(map.Protect(range, BsdProt(m.words[2]), uvm::SetMax::kNo));
}

Answer Server::Minherit(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  Range range;
  if (!PageRange(map, m.words[0], m.words[1], &range)) return Errno::kEinval;
  switch (m.words[2]) {
    case static_cast<L4_Word_t>(base::Inherit::kShare):
    case static_cast<L4_Word_t>(base::Inherit::kCopy):
    case static_cast<L4_Word_t>(base::Inherit::kNone):
    case static_cast<L4_Word_t>(base::Inherit::kZero):
      return ErrnoOf(map.SetInherit(range, static_cast<base::Inherit>(m.words[2])));
    default:
      return Errno::kEinval;  // donating a copy was never implemented anywhere
  }
}

Answer Server::Madvise(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  if (m.words[2] > static_cast<L4_Word_t>(base::Advice::kFree)) return Errno::kEinval;
  const auto advice = static_cast<base::Advice>(m.words[2]);
  if (advice == base::Advice::kSpaceAvail) return Errno::kEinval;
  Range range;
  if (!PageRange(map, m.words[0], m.words[1], &range)) return Errno::kEinval;
  switch (advice) {
    case base::Advice::kNormal:
    case base::Advice::kRandom:
    case base::Advice::kSequential:
      return ErrnoOf(map.SetAdvice(range, advice));
    case base::Advice::kWillNeed:
      return Errno::kOk;
    case base::Advice::kDontNeed:
      // Contents are kept (unlike on Linux): the pages are merely no longer worth memory.
      return map.IsMapped(range) ? Errno::kOk : Errno::kEfault;
    case base::Advice::kFree:
      return ErrnoOf(map.FreePages(range));
    case base::Advice::kSpaceAvail:
      break;
  }
  UNREACHABLE("advice was checked above");
}

Answer Server::Mremap(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const uint64_t at = m.words[0];
  const uint64_t size = base::RoundPage(m.words[1]);
  const uint64_t to = m.words[2];
  const uint64_t new_size = base::RoundPage(m.words[3]);
  const bool fixed = m.words[4] != 0;
  if (!base::IsPageAligned(at) || (fixed && !base::IsPageAligned(to))) return Errno::kEinval;
  if (size == 0 || new_size == 0) return Errno::kEinval;
  Range from;
  if (!PageRange(map, at, size, &from)) return Errno::kEinval;
  Range destination;
  const bool elsewhere = fixed && to != at;
  if (elsewhere && !PageRange(map, to, new_size, &destination)) return Errno::kEinval;
  if (!elsewhere && new_size == size) return Answer(Errno::kOk).With(at);
  uvm::Map::RemapOptions options;
  options.from = from;
  options.to = Vaddr(fixed ? to : at);
  options.new_size = new_size;
  options.where =
      fixed ? uvm::Map::RemapOptions::Where::kFixed : uvm::Map::RemapOptions::Where::kMayMove;
  auto moved = map.Remap(options);
  if (!moved.ok()) return ErrnoOf(moved.error());
  return Answer(Errno::kOk).With(moved.value().value());
}

Answer Server::Brk(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const Vaddr at(m.words[0]);
  if (!task->has_heap || at < task->heap_base) return Errno::kEinval;
  if (at > map.max()) return Errno::kEnomem;
  const Vaddr end(base::RoundPage(at.value()));
  const Vaddr old_end(base::RoundPage(task->heap_current.value()));
  if (end > old_end) {
    uvm::Map::EnterOptions options;
    options.at = old_end;
    options.size = end - old_end;
    options.where = uvm::Map::Where::kFixed;
    options.prot = base::kProtReadWrite;
    auto entered = map.Enter(options);
    if (!entered.ok()) return Errno::kEnomem;
  } else if (end < old_end) {
    auto unmapped = map.Unmap({end, old_end});
    if (!unmapped.ok()) return Errno::kEnomem;
  }
  task->heap_current = at;
  return Errno::kOk;
}

Answer Server::Fork(Task* task) {
  auto born = Birth({.personality = Personality::kBsd,
                     .width = task->width,
                     .owner = task->id,
                     .parent = task,
                     .inherit = true});
  if (!born.ok()) {
    return born.error() == BirthError::kTooMany ? Errno::kEagain : Errno::kEnomem;
  }
  return Answer(Errno::kOk).With(born.value()->id).With(born.value()->thread.raw);
}

Answer Server::Exec(Task* task) {
  auto emptied = uvm_->ExecSpace(task->space);
  if (!emptied.ok()) return ErrnoOf(emptied.error());
  task->has_heap = false;
  return Errno::kOk;
}

Answer Server::Exit(Task* task) {
  if (task == init_) return Errno::kEperm;  // nobody else could make tasks
  EndTask(task);
  Answer nobody(Errno::kOk);
  nobody.silent = true;
  return nobody;
}

Answer Server::ExecBrk(Task* task, const Message& m) {
  const uvm::Map& map = task->space->map();
  const Vaddr at(m.words[0]);
  if (!at.IsAligned() || at < map.min() || at >= map.max()) return Errno::kEinval;
  task->has_heap = true;
  task->heap_base = task->heap_current = at;
  return Errno::kOk;
}

// Linux's MADV_DONTNEED, whose errors are those of a range that is not all mapped memory.
Answer Server::LinuxDontneed(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  if (!base::IsPageAligned(m.words[0])) return Errno::kEinval;
  Range range;
  if (!PageRange(map, m.words[0], m.words[1], &range)) return Errno::kEnomem;
  auto done = map.Discard(range);
  return done.ok() ? Errno::kOk : Errno::kEnomem;
}

}  // namespace vmserver
