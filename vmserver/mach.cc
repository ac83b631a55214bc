// The Mach personality: vm_*() and task calls, with kern_return_t values.
//
// Ranges are clamped to the map's bounds without complaint, as GNU Mach does, so that a wrapped or
// outlying range is an empty one. SEE facts/mach.md section 3; design.md D11 (the model states the
// same on its own).

#include "base/check.h"
#include "vmserver/mach_words.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::KernReturn;
using base::Prot;
using base::Range;
using base::Vaddr;

// The lowest address at or above `at`, a page's, none of whose bits are in `mask`; false: there is
// none.
bool NextWithout(uint64_t mask, uint64_t at, uint64_t* out) {
  while (uint64_t clash = at & mask) {
    const int highest = 63 - __builtin_clzll(clash);
    if (highest == 63) return false;
    at = ((at >> (highest + 1)) + 1) << (highest + 1);
    if (at == 0) return false;
  }
  *out = at;
  return true;
}

// The lowest free `size` bytes whose address has none of the bits of `mask`.
bool FindMasked(uvm::Map* map, uint64_t size, uint64_t mask, Vaddr* out) {
  uint64_t at = map->min().value();
  for (;;) {
    if (!NextWithout(mask, at, &at) || at >= map->max().value()) return false;
    uvm::Map::Region next;
    const bool found = map->FindRegion(Vaddr(at), &next);
    const uint64_t free_end = found ? next.range.start.value() : map->max().value();
    if (free_end > at && free_end - at >= size) {
      *out = Vaddr(at);
      return true;
    }
    if (!found) return false;
    at = next.range.end.value();
  }
}

bool IsInherit(uint64_t word) {
  return word == static_cast<uint64_t>(base::Inherit::kShare) ||
         word == static_cast<uint64_t>(base::Inherit::kCopy) ||
         word == static_cast<uint64_t>(base::Inherit::kNone);
}

}  // namespace

Answer Server::TaskCreate(Task* caller, Task* target, const Message& m) {
  auto born = Birth({.personality = Personality::kMach,
                     .width = target->width,
                     .owner = caller->id,
                     .parent = target,
                     .inherit = m.words[1] != 0,
                     .max = target->space->map().max()});
  if (!born.ok()) return KernReturn::kResourceShortage;
  return Answer(KernReturn::kSuccess).With(born.value()->id).With(born.value()->first_thread().raw);
}

Answer Server::TaskTerminate(Task* caller, Task* target, const Message& m) {
  if (target == init_) return KernReturn::kFailure;  // nobody else could make tasks
  EndTask(target, m.client);
  Answer answer(KernReturn::kSuccess);
  answer.silent = caller == target;
  return answer;
}

Answer Server::VmAllocate(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const uint64_t mask = MaskOf(task);
  const Vaddr at = Vaddr(m.words[1] & mask).Trunc();
  const bool anywhere = m.words[3] != 0;
  const uint64_t bytes = m.words[2] & mask;
  if (bytes == 0) return Answer(KernReturn::kSuccess).With(0);
  const uint64_t size = base::RoundPage(bytes) & mask;
  if (size == 0) return KernReturn::kInvalidArgument;
  Range range;
  if (!anywhere &&
      (at < map.min() || !Range::FromSize(at, size, &range) || range.end > map.max())) {
    return KernReturn::kInvalidAddress;
  }
  uvm::Map::EnterOptions options;
  options.at = anywhere ? map.min() : at;
  options.size = size;
  options.where = anywhere ? uvm::Map::Where::kAnywhere : uvm::Map::Where::kFixed;
  options.prot = base::kProtReadWrite;
  return Enter(task, options);
}

// Of a null object: zeros. Current and maximum protection are not compared, as in the original.
Answer Server::VmMap(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const uint64_t mask = MaskOf(task);
  const uint64_t align = m.words[3] & mask;
  const bool anywhere = m.words[4] != 0;
  const uint64_t prot = m.words[9] & mask;
  const uint64_t max_prot = m.words[10] & mask;
  if (((prot | max_prot) & ~uint64_t{base::kProtAll.bits()}) != 0) {
    return KernReturn::kInvalidArgument;
  }
  if (!IsInherit(m.words[11] & mask)) return KernReturn::kInvalidArgument;
  const uint64_t size = base::RoundPage(m.words[2] & mask) & mask;
  if (size == 0) return KernReturn::kInvalidArgument;
  if (m.words[5] != 0) return KernReturn::kInvalidArgument;  // no such memory object
  uvm::Map::EnterOptions options;
  options.at = Vaddr(m.words[1] & mask).Trunc();
  options.size = size;
  options.where = uvm::Map::Where::kFixed;
  options.prot = Prot(static_cast<uint8_t>(prot));
  options.max_prot = Prot(static_cast<uint8_t>(max_prot));
  options.inherit = static_cast<base::Inherit>(m.words[11]);
  options.flags = uvm::kEnterBeyondMax;
  if (anywhere) {
    if (!FindMasked(&map, size, align, &options.at)) return KernReturn::kNoSpace;
  } else {
    if ((options.at.value() & align) != 0) return KernReturn::kNoSpace;
    Range range;
    if (options.at < map.min() || !Range::FromSize(options.at, size, &range) ||
        range.end > map.max()) {
      return KernReturn::kInvalidAddress;
    }
  }
  return Enter(task, options);
}

Answer Server::VmDeallocate(Task* task, const Message& m) {
  if ((m.words[2] & MaskOf(task)) == 0) return KernReturn::kSuccess;
  return KernOf(task->space->map().Unmap(ClampedRange(task, m.words[1], m.words[2])));
}

Answer Server::VmProtect(Task* task, const Message& m) {
  const uint64_t bits = m.words[4] & MaskOf(task);
  if ((bits & ~uint64_t{base::kProtAll.bits()}) != 0) return KernReturn::kInvalidArgument;
  return KernOf(task->space->map().Protect(ClampedRange(task, m.words[1], m.words[2]),
                                           Prot(static_cast<uint8_t>(bits)),
                                           m.words[3] != 0 ? uvm::SetMax::kYes : uvm::SetMax::kNo));
}

Answer Server::VmInherit(Task* task, const Message& m) {
  if (!IsInherit(m.words[3] & MaskOf(task))) return KernReturn::kInvalidArgument;
  return KernOf(task->space->map().SetInherit(ClampedRange(task, m.words[1], m.words[2]),
                                              static_cast<base::Inherit>(m.words[3])));
}

// Memory objects that could be cleaned come from pagers outside; until a task can map one there is
// nothing but empty ranges to agree to.
Answer Server::VmMsync(Task* task, const Message& m) {
  const uint64_t mask = MaskOf(task);
  constexpr uint64_t kBoth = kMachSyncAsynchronous | kMachSyncSynchronous;
  if ((m.words[3] & kBoth) == kBoth) return KernReturn::kInvalidArgument;
  const uint64_t start = base::TruncPage(m.words[1] & mask);
  const uint64_t end = base::RoundPage((m.words[1] + m.words[2]) & mask) & mask;
  return start == end ? KernReturn::kSuccess : KernReturn::kInvalidArgument;
}

Answer Server::VmRegion(Task* task, const Message& m) {
  uvm::Map::Region region;
  const Vaddr at(m.words[1] & MaskOf(task));
  if (!task->space->map().FindRegion(at, &region)) return KernReturn::kNoSpace;
  return Answer(KernReturn::kSuccess)
      .With(region.range.start.value())
      .With(region.range.size())
      .With(region.prot.bits())
      .With(region.max_prot.bits())
      .With(static_cast<uint64_t>(region.inherit))
      .With(region.shared ? 1 : 0);
}

}  // namespace vmserver
