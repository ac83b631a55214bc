// The oracle against a second, simpler one: six pages a task, page by page, every byte in an array,
// every choice made by a coin. The naive world plays the implementation: whatever it does, World
// must accept, adopt and agree with, page by page; a wrong code in its place must be refused.

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/pattern.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "model/naive_draws.h"
#include "model/naive_tasks.h"
#include "model/world.h"
#include "rapidcheck.h"
#include "rapidcheck/gtest.h"
#include "traces/codec.h"

namespace model {
namespace {

using base::Errno;
using base::FaultCode;
using base::Inherit;
using base::KernReturn;
using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;
using Wide = unsigned __int128;  // so that nothing wraps unless it is made to

constexpr int kPages = kNaivePages;
constexpr uint64_t kMin = kNaiveMin;
constexpr uint64_t kMax = kNaiveMax;
constexpr uint32_t kTasks = 3;
using naive::Bytes;
using naive::NaiveTask;
using naive::Page;

class NaiveWorld {
 public:
  explicit NaiveWorld(uint64_t seed) : coin_(seed, "naive") {}

  Outcome Run(const ResolvedOp& op);
  // What wiring and copying do where pages are missing is not simulated.
  bool Leaves(const ResolvedOp& op) const;
  const std::map<uint32_t, NaiveTask>& tasks() const { return tasks_; }
  bool wrote_files() const { return wrote_files_; }
  Bytes Contents(const Page& page) const {
    return page.own != nullptr && page.own->has_value() ? **page.own : BaseContents(page);
  }

 private:
  static Outcome Bsd(Errno code, uint64_t value = 0) {
    return {Outcome::Family::kErrno, static_cast<int32_t>(code), value, 0, {}};
  }
  static Outcome Mach(KernReturn code, uint64_t value = 0) {
    return {Outcome::Family::kKern, static_cast<int32_t>(code), value, 0, {}};
  }
  static int PageOf(uint64_t va) {
    return va < kMin || va >= kMax ? -1 : static_cast<int>((va - kMin) >> 12);
  }
  static uint64_t AddressOf(int page) { return kMin + static_cast<uint64_t>(page) * 4096; }
  // Applies `f` to the mapped pages of [start, end).
  template <typename F>
  void ForMapped(NaiveTask& task, uint64_t start, uint64_t end, const F& f) {
    for (int i = 0; i < kPages; ++i) {
      if (task.pages[i].mapped && AddressOf(i) >= start && AddressOf(i) < end) f(task.pages[i]);
    }
  }
  bool AnyMapped(NaiveTask& task, Wide start, Wide end) {
    bool any = false;
    for (int i = 0; i < kPages; ++i)
      any |= task.pages[i].mapped && AddressOf(i) >= start && AddressOf(i) < end;
    return any;
  }
  bool AllMapped(NaiveTask& task, uint64_t start, uint64_t end) {
    bool all = true;
    for (int i = 0; i < kPages; ++i)
      all &= task.pages[i].mapped || AddressOf(i) < start || AddressOf(i) >= end;
    return all;
  }
  Bytes BaseContents(const Page& page) const;
  // Memory files have even keys here, each its own.
  static bool IsMemfd(const Page& page) { return page.file_key != 0 && page.file_key % 2 == 0; }
  bool BeyondEnd(const Page& page) const {
    return IsMemfd(page) && page.file_offset >= sizes_.at(page.file_key);
  }
  bool IsMissing(const Page& page) const {
    return page.mapped && BeyondEnd(page) && (page.own == nullptr || !page.own->has_value());
  }
  Outcome Memfd(const ResolvedOp& op);
  void Wire(Page& page);
  // Without bits of `mask`; of all that there are, if there is one from `from` on.
  std::optional<uint64_t> AnyHole(NaiveTask& task, Wide size, uint64_t mask = 0, uint64_t from = 0);
  static bool CanAlign(const ResolvedOp& op, uint64_t* mask);
  Page NewPage(base::Prot prot, bool shared, uint64_t file_key, uint64_t file_offset);

  Outcome Birth(const ResolvedOp& op);
  Outcome Mmap(const ResolvedOp& op, NaiveTask& task);
  Outcome Ranged(const ResolvedOp& op, NaiveTask& task);
  Outcome Wiring(const ResolvedOp& op, NaiveTask& task, uint64_t start, uint64_t end);
  Outcome Mincore(const ResolvedOp& op, NaiveTask& task);
  Outcome All(const ResolvedOp& op, NaiveTask& task);
  static uint64_t FirstWired(NaiveTask& task, uint64_t start, uint64_t end);
  Outcome Mremap(const ResolvedOp& op, NaiveTask& task);
  bool GrownPage(const Page& last, uint64_t more, Page* out);
  Outcome Heap(const ResolvedOp& op, NaiveTask& task);
  Outcome MachCall(const ResolvedOp& op, NaiveTask& task);
  Outcome VmMap(const ResolvedOp& op, NaiveTask& task);
  Outcome VmMove(const ResolvedOp& op, NaiveTask& task);
  Outcome VmWire(const ResolvedOp& op, NaiveTask& task);
  Outcome Access(const ResolvedOp& op, NaiveTask& task);

  base::Prng coin_;
  std::map<uint32_t, NaiveTask> tasks_;
  std::vector<uint32_t> used_;
  std::map<std::pair<uint64_t, uint64_t>, Bytes> files_;
  bool wrote_files_ = false;
  std::map<uint64_t, uint64_t> memfds_;  // name -> key
  std::map<uint64_t, uint64_t> sizes_;   // key -> bytes
};

Bytes NaiveWorld::BaseContents(const Page& page) const {
  Bytes bytes{};
  if (page.file_key == 0) return bytes;
  auto it = files_.find({page.file_key, page.file_offset});
  if (it != files_.end()) return it->second;
  if (IsMemfd(page)) return bytes;
  for (uint64_t i = 0; i < 4096; ++i)
    bytes[i] = base::FileByte(page.file_key, page.file_offset + i);
  return bytes;
}

// What may ever be written to is fetched for that.
void NaiveWorld::Wire(Page& page) {
  page.attributes.wired = true;
  if (page.file_key == 0 || page.own == nullptr || page.own->has_value()) return;
  if (BeyondEnd(page)) return;
  if (page.attributes.max_prot.CanWrite()) *page.own = BaseContents(page);
}

std::optional<uint64_t> NaiveWorld::AnyHole(NaiveTask& task, Wide size, uint64_t mask,
                                            uint64_t from) {
  std::vector<uint64_t> holes;
  for (int i = 0; i < kPages; ++i) {
    if ((AddressOf(i) & mask) != 0) continue;
    if (AddressOf(i) + size <= kMax && !AnyMapped(task, AddressOf(i), AddressOf(i) + size))
      holes.push_back(AddressOf(i));
  }
  if (holes.empty() || holes.back() < from) return std::nullopt;
  return holes[coin_.Below(holes.size())];
}

Page NaiveWorld::NewPage(base::Prot prot, bool shared, uint64_t file_key, uint64_t file_offset) {
  Page page;
  page.mapped = true;
  page.attributes.prot = prot;
  page.attributes.shared = shared;
  page.attributes.inherit = shared ? Inherit::kShare : Inherit::kCopy;
  page.file_key = file_key;
  page.file_offset = file_offset;
  if (file_key == 0 || !shared) page.own = std::make_shared<std::optional<Bytes>>();
  return page;
}

Outcome NaiveWorld::Run(const ResolvedOp& op) {
  bool birth = op.kind == OpKind::kSpace || op.kind == OpKind::kTask;
  bool bears = birth || op.kind == OpKind::kFork || op.kind == OpKind::kTaskCreate;
  if (!birth && tasks_.count(op.task) == 0) return {};
  if (bears && std::count(used_.begin(), used_.end(), op.child) != 0) return {};
  if (bears) return Birth(op);
  NaiveTask& task = tasks_[op.task];
  switch (op.kind) {
    case OpKind::kExec:
      task.pages = {};
      task.heap_base.reset();
      task.wires_future = false;
      task.heap_current = 0;
      return Bsd(Errno::kOk);
    case OpKind::kExit:
      tasks_.erase(op.task);
      return Bsd(Errno::kOk);
    case OpKind::kTaskTerminate:
      tasks_.erase(op.task);
      return Mach(KernReturn::kSuccess);
    case OpKind::kMmap:
    case OpKind::kExecMap:
      return Mmap(op, task);
    case OpKind::kMemfd:
    case OpKind::kMemfdTruncate:
    case OpKind::kMemfdClose:
      return Memfd(op);
    case OpKind::kMremap:
      return Mremap(op, task);
    case OpKind::kMincore:
      return Mincore(op, task);
    case OpKind::kMlockall:
    case OpKind::kMunlockall:
      return All(op, task);
    case OpKind::kExecBrk:
    case OpKind::kBrk:
      return Heap(op, task);
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFetch:
      return Access(op, task);
    default:
      return traces::FamilyOf(op.kind) == Outcome::Family::kKern ? MachCall(op, task)
                                                                 : Ranged(op, task);
  }
}

bool NaiveWorld::Leaves(const ResolvedOp& op) const {
  bool missing = false;
  bool memfds = false;
  for (const auto& [label, task] : tasks_) {
    for (const Page& page : task.pages) {
      missing |= IsMissing(page);
      memfds |= page.mapped && IsMemfd(page);
    }
  }
  switch (op.kind) {
    case OpKind::kMremap:
      return memfds && op.new_size > op.size;
    case OpKind::kMlock:
    case OpKind::kMlockall:
    case OpKind::kMprotect:
    case OpKind::kVmProtect:
    case OpKind::kVmWire:
    case OpKind::kVmRead:
    case OpKind::kVmWrite:
    case OpKind::kVmCopy:
      return missing;
    default:
      return false;
  }
}

Outcome NaiveWorld::Memfd(const ResolvedOp& op) {
  auto name = memfds_.find(op.file_key);
  const bool there = name != memfds_.end();
  if (op.kind == OpKind::kMemfd && there) return Bsd(Errno::kEexist);
  if (op.kind != OpKind::kMemfd && !there) return Bsd(Errno::kEbadf);
  if (op.kind == OpKind::kMemfdClose) {
    memfds_.erase(name);
    return Bsd(Errno::kOk);
  }
  if (op.size > ~uint64_t{0} / 2) return Bsd(Errno::kEinval);
  if (op.kind == OpKind::kMemfd) {
    const uint64_t key = 2 * (sizes_.size() + 1);
    memfds_[op.file_key] = key;
    sizes_[key] = op.size;
    return Bsd(Errno::kOk);
  }
  uint64_t& size = sizes_[name->second];
  const uint64_t low = std::min(size, op.size);
  for (auto& [place, bytes] : files_) {
    if (place.first != name->second || size == op.size) continue;
    for (uint64_t i = 0; i < 4096; ++i) {
      if (place.second + i >= low) bytes[i] = 0;
    }
  }
  size = op.size;
  return Bsd(Errno::kOk);
}

Outcome NaiveWorld::Birth(const ResolvedOp& op) {
  bool mach = op.kind == OpKind::kTask || op.kind == OpKind::kTaskCreate;
  if (tasks_.size() >= kTasks)
    return mach ? Mach(KernReturn::kResourceShortage) : Bsd(Errno::kEagain);
  NaiveTask child;
  child.mach = mach;
  child.made_by_init = op.kind == OpKind::kSpace || op.kind == OpKind::kTask;
  if (op.kind == OpKind::kFork || (op.flags & traces::kFlagInherit) != 0) {
    NaiveTask& parent = tasks_[op.task];
    child.heap_base = parent.heap_base;
    child.heap_current = parent.heap_current;
    for (int i = 0; i < kPages; ++i) {
      Page& from = parent.pages[i];
      Page& to = child.pages[i];
      if (!from.mapped || from.attributes.inherit == Inherit::kNone) continue;
      if (from.attributes.inherit == Inherit::kShare) from.attributes.shared = true;
      to = from;
      to.attributes.wired = false;
      if (from.attributes.inherit == Inherit::kShare) continue;
      to.attributes.shared = false;
      to.own = std::make_shared<std::optional<Bytes>>();
      if (from.attributes.inherit == Inherit::kZero) {
        to.file_key = to.file_offset = 0;
      } else if (from.own != nullptr) {
        *to.own = *from.own;
        for (int k = 0; k < i; ++k) {  // one page in two places stays one
          const Page& twin = parent.pages[k];
          if (twin.own != from.own || twin.attributes.inherit != Inherit::kCopy) continue;
          to.own = child.pages[k].own;
          to.attributes.shared = child.pages[k].attributes.shared = true;
        }
      }
    }
  }
  tasks_[op.child] = child;
  used_.push_back(op.child);
  return mach ? Mach(KernReturn::kSuccess) : Bsd(Errno::kOk);
}

bool NaiveWorld::CanAlign(const ResolvedOp& op, uint64_t* mask) {
  const uint32_t n = op.flags >> 24;
  *mask = n == 0 || n > 63 ? 0 : (uint64_t{1} << n) - 1;
  return n == 0 || (n >= 12 && n <= 63);
}

Outcome NaiveWorld::Mmap(const ResolvedOp& op, NaiveTask& task) {
  bool exec = op.kind == OpKind::kExecMap;
  bool fixed = exec || (op.flags & traces::kFlagFixed) != 0;
  bool hint = !exec && (op.flags & traces::kFlagTryFixed) != 0;
  bool shared = !exec && (op.flags & traces::kFlagShared) != 0;
  uint64_t key = op.file_key;
  if (op.backing == traces::Backing::kMemfd) {
    if (memfds_.count(key) == 0) return Bsd(Errno::kEbadf);
    key = memfds_[key];
    if (Wide{op.offset} + op.size > (Wide{sizes_[key]} + 4095) / 4096 * 4096)
      return Bsd(Errno::kEinval);
  }
  if (op.size == 0 && op.file_key != 0) return Bsd(Errno::kEinval);
  uint64_t rest = op.file_key == 0 ? 0 : op.offset % 4096;
  Wide size = (Wide{op.size} + rest + 4095) / 4096 * 4096;
  if (size > ~uint64_t{0}) return Bsd(Errno::kEnomem);
  const bool past = op.file_key != 0 && Wide{op.offset - rest} + size > ~uint64_t{0};
  uint64_t start = op.at - rest;
  if (fixed) {
    if (start % 4096 != 0) return Bsd(Errno::kEinval);
    if (start < kMin) return Bsd(Errno::kEinval);
    if (static_cast<uint64_t>(start + size) > kMax) return Bsd(Errno::kEfbig);
    if (start + size > ~uint64_t{0}) return Bsd(Errno::kEoverflow);
  }
  if (past) return Bsd(Errno::kEinval);
  if (size == 0 && fixed) return Bsd(Errno::kOk, start);
  if (size == 0) return Bsd(Errno::kOk, hint && op.at != 0 ? op.at : std::max(op.at, kMin));
  uint64_t mask;
  if (!CanAlign(op, &mask)) return Bsd(Errno::kEinval);
  if (mask + 1 >= kMax) return Bsd(Errno::kEnomem);
  if (fixed) {
    if ((start & mask) != 0) return Bsd(Errno::kEinval);
  } else if (hint && op.at % 4096 == 0 && (op.at & mask) == 0 && op.at >= kMin &&
             op.at + size <= kMax && !AnyMapped(task, op.at, op.at + size)) {
    start = op.at;
  } else {
    // What an address that is tried is rounded up to wraps.
    const uint64_t from = hint ? (op.at + 4095) / 4096 * 4096 : 0;
    std::optional<uint64_t> hole = AnyHole(task, size, mask, from);
    if (!hole) return Bsd(Errno::kEnomem);
    start = *hole;
  }
  const bool wires = task.wires_future || (op.flags & traces::kFlagWired) != 0;
  base::Prot prot = op.prot.IsNone() ? op.prot : op.prot | base::kProtRead;
  for (uint64_t at = 0; at < size; at += 4096) {
    Page& page = task.pages[PageOf(start + at)];
    page = NewPage(prot, shared, key, op.file_key == 0 ? 0 : op.offset - rest + at);
    if (wires && !prot.IsNone()) Wire(page);
  }
  return Bsd(Errno::kOk, start + rest);
}

// mlock, munlock, msync of [start, end), which lies inside the map.
Outcome NaiveWorld::Wiring(const ResolvedOp& op, NaiveTask& task, uint64_t start, uint64_t end) {
  auto at = [&](uint64_t va) { return PageOf(va) < 0 ? nullptr : &task.pages[PageOf(va)]; };
  bool begins = at(start) != nullptr && at(start)->mapped;
  bool rights = true;
  bool wired = true;
  for (uint64_t va = start; va < end; va += 4096) {
    rights &= at(va)->mapped && !at(va)->attributes.prot.IsNone();
    wired &= at(va)->mapped && at(va)->attributes.wired;
  }
  if (start == end && op.kind != OpKind::kMsync) return Bsd(Errno::kOk);
  if (op.kind == OpKind::kMlock) {
    if (!begins) return Bsd(Errno::kEnomem);
    if (!rights) return Bsd(Errno::kEinval);
    ForMapped(task, start, end, [&](Page& page) { Wire(page); });
  } else if (op.kind == OpKind::kMunlock) {
    if (!begins || !wired) return Bsd(Errno::kEnomem);
    ForMapped(task, start, end, [](Page& page) { page.attributes.wired = false; });
  } else {
    if (start == end && !begins) return Bsd(Errno::kEinval);
    if (start == end) end = start + 4096;
    bool invalidate = (op.flags & traces::kFlagInvalidate) != 0;
    uint64_t obstacle = invalidate ? FirstWired(task, start, end) : end;
    if (obstacle == start && start < end) return Bsd(Errno::kEbusy);
    if (!AllMapped(task, start, end)) return Bsd(Errno::kEfault);
    if (obstacle < end) return Bsd(Errno::kEbusy);
  }
  return Bsd(Errno::kOk);
}

Outcome NaiveWorld::Mincore(const ResolvedOp& op, NaiveTask& task) {
  Wide size = (Wide{op.size} + 4095) / 4096 * 4096;
  if (op.at % 4096 != 0 || size == 0) return Bsd(Errno::kEinval);
  if (Wide{op.at} + size > ~uint64_t{0}) return Bsd(Errno::kEinval);  // wraps
  if (op.at < kMin || op.at + size > kMax) return Bsd(Errno::kEnomem);
  uint64_t end = op.at + static_cast<uint64_t>(size);
  if (!AllMapped(task, op.at, end)) return Bsd(Errno::kEnomem);
  uint64_t resident = 0;
  ForMapped(task, op.at, end, [&](Page& page) {
    bool owned = page.own != nullptr && page.own->has_value();
    resident += owned || coin_.Chance(1, 3) ? 1 : 0;
  });
  return Bsd(Errno::kOk, resident);
}

Outcome NaiveWorld::All(const ResolvedOp& op, NaiveTask& task) {
  if (op.kind == OpKind::kMunlockall) {
    task.wires_future = false;
    ForMapped(task, kMin, kMax, [](Page& page) { page.attributes.wired = false; });
    return Bsd(Errno::kOk);
  }
  if ((op.flags & (traces::kFlagCurrent | traces::kFlagFuture)) == 0) return Bsd(Errno::kEinval);
  task.wires_future |= (op.flags & traces::kFlagFuture) != 0;
  if ((op.flags & traces::kFlagCurrent) == 0) return Bsd(Errno::kOk);
  ForMapped(task, kMin, kMax, [&](Page& page) {
    if (!page.attributes.prot.IsNone()) Wire(page);
  });
  return Bsd(Errno::kOk);
}

// Calls over [at, at + size) widened to pages.
Outcome NaiveWorld::Ranged(const ResolvedOp& op, NaiveTask& task) {
  bool wires =
      op.kind == OpKind::kMlock || op.kind == OpKind::kMunlock || op.kind == OpKind::kMsync;
  if (op.kind == OpKind::kMsync) {
    bool both = (op.flags & traces::kFlagAsync) != 0 && (op.flags & traces::kFlagSync) != 0;
    bool how = (op.flags & (traces::kFlagAsync | traces::kFlagSync | traces::kFlagInvalidate)) != 0;
    if (both || !how) return Bsd(Errno::kEinval);
  }
  bool discard = op.kind == OpKind::kLinuxDontneed;
  if (discard && op.at % 4096 != 0) return Bsd(Errno::kEinval);
  if (op.kind == OpKind::kMinherit && op.inherit == Inherit::kDonateCopy)
    return Bsd(Errno::kEinval);
  if (op.kind == OpKind::kMadvise && op.advice == base::Advice::kSpaceAvail)
    return Bsd(Errno::kEinval);
  uint64_t start = op.at / 4096 * 4096;
  uint64_t size = static_cast<uint64_t>(((Wide{op.size} + op.at % 4096) % (Wide{1} << 64) + 4095) /
                                        4096 * 4096);
  if (op.size == 0) size = 0;  // nothing, wherever in a page that is
  if (op.kind == OpKind::kMunmap && size == 0) return Bsd(Errno::kOk);
  if (start < kMin || Wide{start} + size > kMax)
    return Bsd(discard || wires ? Errno::kEnomem : Errno::kEinval);
  uint64_t end = start + size;
  if (wires) return Wiring(op, task, start, end);
  switch (op.kind) {
    case OpKind::kMunmap:
      ForMapped(task, start, end, [](Page& page) { page = Page(); });
      break;
    case OpKind::kMprotect: {
      base::Prot prot = op.prot.IsNone() ? op.prot : op.prot | base::kProtRead;
      bool allowed = true;
      ForMapped(task, start, end,
                [&](Page& p) { allowed &= (prot & p.attributes.max_prot) == prot; });
      if (!allowed) return Bsd(Errno::kEacces);
      ForMapped(task, start, end, [&](Page& p) {
        bool first_rights = p.attributes.prot.IsNone() && !prot.IsNone();
        p.attributes.prot = prot;
        if (task.wires_future && first_rights) Wire(p);
      });
      break;
    }
    case OpKind::kMinherit:
      ForMapped(task, start, end, [&](Page& p) { p.attributes.inherit = op.inherit; });
      break;
    case OpKind::kMadvise:
      if (op.advice <= base::Advice::kSequential) {
        ForMapped(task, start, end, [&](Page& p) { p.attributes.advice = op.advice; });
      } else if (op.advice == base::Advice::kFree && FirstWired(task, start, end) < end &&
                 (FirstWired(task, start, end) == start || AllMapped(task, start, end))) {
        return Bsd(Errno::kEbusy);
      } else if (op.advice != base::Advice::kWillNeed && !AllMapped(task, start, end)) {
        return Bsd(Errno::kEfault);
      } else if (op.advice == base::Advice::kFree) {
        ForMapped(task, start, end, [&](Page& p) {
          if (p.own != nullptr && coin_.Chance(1, 2)) p.own->reset();
        });
      }
      break;
    default:
      if (FirstWired(task, start, end) < end) return Bsd(Errno::kEinval);
      ForMapped(task, start, end, [](Page& p) {
        if (p.own != nullptr && !p.attributes.shared) p.own->reset();
      });
      if (!AllMapped(task, start, end)) return Bsd(Errno::kEnomem);
  }
  return Bsd(Errno::kOk);
}

uint64_t NaiveWorld::FirstWired(NaiveTask& task, uint64_t start, uint64_t end) {
  for (uint64_t va = start; va < end; va += 4096) {
    if (task.pages[PageOf(va)].attributes.wired) return va;
  }
  return end;
}

bool NaiveWorld::GrownPage(const Page& last, uint64_t more, Page* out) {
  *out = last;
  out->attributes.wired = false;
  if (last.own != nullptr) out->own = std::make_shared<std::optional<Bytes>>();
  if (last.file_key == 0) return true;
  out->file_offset = last.file_offset + 4096;
  return Wide{last.file_offset} + 4096 + more <= Wide{1} << 63 && last.file_offset + 4096 != 0;
}

Outcome NaiveWorld::Mremap(const ResolvedOp& op, NaiveTask& task) {
  bool fixed = (op.flags & traces::kFlagFixed) != 0;
  uint64_t mask;
  if (!CanAlign(op, &mask)) return Bsd(Errno::kEinval);
  Wide size = (Wide{op.size} + 4095) / 4096 * 4096;
  Wide wanted = (Wide{op.new_size} + 4095) / 4096 * 4096;
  if (op.at % 4096 != 0 || (fixed && op.to % 4096 != 0)) return Bsd(Errno::kEinval);
  if (size == 0 || wanted == 0 || wanted > ~uint64_t{0}) return Bsd(Errno::kEinval);
  if (op.at < kMin || op.at + size > kMax) return Bsd(Errno::kEinval);
  bool duplicate = (op.flags & traces::kFlagDuplicate) != 0;
  bool elsewhere = fixed && (op.to != op.at || duplicate);
  if (fixed && Wide{op.to} + wanted > ~uint64_t{0}) return Bsd(Errno::kEinval);
  if (fixed && (op.to < kMin || op.to + wanted > kMax)) return Bsd(Errno::kEnomem);
  if (fixed && (op.to & mask) != 0) return Bsd(Errno::kEinval);
  std::vector<Page> moved;  // what the new range will hold
  for (Wide at = 0; at < std::min(size, wanted); at += 4096) {
    moved.push_back(task.pages[PageOf(op.at + static_cast<uint64_t>(at))]);
  }
  uint64_t end = op.at + static_cast<uint64_t>(size);
  Errno wrong = Errno::kOk;
  if (wanted > size) {
    const Page& last = task.pages[PageOf(end - 1)];
    Page grown;
    if (!last.mapped) {
      wrong = Errno::kEinval;
    } else if (!GrownPage(last, static_cast<uint64_t>(wanted - size), &grown)) {
      wrong = Errno::kE2big;
    }
    for (Wide at = size; wrong == Errno::kOk && at < wanted && moved.size() <= kPages; at += 4096) {
      moved.push_back(grown);
      GrownPage(moved.back(), 0, &grown);
    }
  }
  uint64_t to = op.at;
  if (elsewhere) {
    if (AnyMapped(task, op.to, op.to + wanted)) return Bsd(Errno::kEnomem);
    to = op.to;
  } else if (duplicate || (!fixed && (op.at & mask) != 0)) {
    std::optional<uint64_t> hole = AnyHole(task, wanted, mask);
    if (!hole) return Bsd(Errno::kEnomem);
    to = *hole;
  } else if (wanted > size && (op.at + wanted > kMax || AnyMapped(task, end, op.at + wanted))) {
    std::optional<uint64_t> hole = fixed ? std::nullopt : AnyHole(task, wanted, mask);
    if (!hole) return Bsd(Errno::kEnomem);
    to = *hole;
  } else if (wanted <= size) {
    ForMapped(task, op.at + static_cast<uint64_t>(wanted), end, [](Page& page) { page = Page(); });
    return Bsd(Errno::kOk, op.at);
  }
  if (wrong != Errno::kOk) return Bsd(wrong);
  if (duplicate) {
    uint64_t shown = op.at + static_cast<uint64_t>(std::min(size, wanted));
    ForMapped(task, op.at, shown, [](Page& page) { page.attributes.shared = true; });
  } else if (to != op.at) {
    ForMapped(task, op.at, end, [](Page& page) { page = Page(); });
  }
  for (size_t i = 0; i < moved.size(); ++i) {
    Page& page = task.pages[PageOf(to + i * 4096)];
    if (!moved[i].mapped || (to == op.at && i < size / 4096)) continue;
    page = moved[i];
    page.attributes.wired = false;
    if (duplicate && i < size / 4096) page.attributes.shared = true;
  }
  return Bsd(Errno::kOk, to);
}

Outcome NaiveWorld::Heap(const ResolvedOp& op, NaiveTask& task) {
  if (op.kind == OpKind::kExecBrk) {
    if (op.at % 4096 != 0 || op.at < kMin || op.at >= kMax) return Bsd(Errno::kEinval);
    task.heap_base = task.heap_current = op.at;
    return Bsd(Errno::kOk);
  }
  if (!task.heap_base || op.at < *task.heap_base) return Bsd(Errno::kEinval);
  if (op.at > kMax) return Bsd(Errno::kEnomem);
  uint64_t was = (task.heap_current + 4095) / 4096 * 4096;
  uint64_t now = (op.at + 4095) / 4096 * 4096;
  if (now > was && AnyMapped(task, was, now)) return Bsd(Errno::kEnomem);
  for (uint64_t at = was; at < now; at += 4096)
    task.pages[PageOf(at)] = NewPage(base::kProtReadWrite, false, 0, 0);
  if (task.wires_future) ForMapped(task, was, now, [&](Page& page) { Wire(page); });
  ForMapped(task, now, was, [](Page& page) { page = Page(); });
  task.heap_current = op.at;
  return Bsd(Errno::kOk);
}

Outcome NaiveWorld::VmMap(const ResolvedOp& op, NaiveTask& task) {
  if (op.inherit == Inherit::kZero || op.inherit == Inherit::kDonateCopy || op.size == 0)
    return Mach(KernReturn::kInvalidArgument);
  Wide size = (Wide{op.size} + 4095) / 4096 * 4096;
  if (size > ~uint64_t{0}) return Mach(KernReturn::kInvalidArgument);
  uint64_t start = op.at / 4096 * 4096;
  if ((op.flags & traces::kFlagAnywhere) != 0) {
    std::optional<uint64_t> hole = AnyHole(task, size, op.mask);
    if (!hole) return Mach(KernReturn::kNoSpace);
    start = *hole;
  } else {
    if ((start & op.mask) != 0) return Mach(KernReturn::kNoSpace);
    if (start < kMin || start + size > kMax) return Mach(KernReturn::kInvalidAddress);
    if (AnyMapped(task, start, start + size)) return Mach(KernReturn::kNoSpace);
  }
  for (uint64_t at = start; at < start + size; at += 4096) {
    Page page = NewPage(op.prot, false, 0, 0);
    page.attributes.max_prot = op.max_prot;
    page.attributes.inherit = op.inherit;
    if (task.wires_future && !op.prot.IsNone()) Wire(page);
    task.pages[PageOf(at)] = page;
  }
  return Mach(KernReturn::kSuccess, start);
}

Outcome NaiveWorld::VmMove(const ResolvedOp& op, NaiveTask& task) {
  if (op.size == 0) return Mach(KernReturn::kSuccess);
  auto obstacle = [&](uint64_t at, int need) {
    if (Wide{at} + op.size > ~uint64_t{0}) return KernReturn::kInvalidAddress;
    for (uint64_t va = at / 4096 * 4096; va < at + op.size; va += 4096) {
      const int i = PageOf(va);
      if (i < 0 || !task.pages[i].mapped) return KernReturn::kInvalidAddress;
      if ((task.pages[i].attributes.prot.bits() & need) == 0) return KernReturn::kProtectionFailure;
    }
    return KernReturn::kSuccess;
  };
  const bool write = op.kind == OpKind::kVmWrite;
  const uint64_t from = write ? op.to : op.at;
  const uint64_t to = write ? op.at : op.to;
  KernReturn wrong = obstacle(from, 1);
  if (wrong != KernReturn::kSuccess) return Mach(write ? KernReturn::kSendInvalidMemory : wrong);
  std::vector<Bytes> copies;
  for (uint64_t va = from / 4096 * 4096; va < from + op.size; va += 4096)
    copies.push_back(Contents(task.pages[PageOf(va)]));
  if (op.kind == OpKind::kVmRead) {
    std::optional<uint64_t> hole = AnyHole(task, Wide{copies.size()} * 4096);
    if (!hole) return Mach(KernReturn::kNoSpace);
    for (size_t i = 0; i < copies.size(); ++i) {
      Page page = NewPage(base::kProtReadWrite, false, 0, 0);
      *page.own = copies[i];
      task.pages[PageOf(*hole + i * 4096)] = page;
    }
    return Mach(KernReturn::kSuccess, *hole + from % 4096);
  }
  if ((from | to | op.size) % 4096 != 0) return Mach(KernReturn::kInvalidArgument);
  wrong = obstacle(to, 2);
  if (wrong != KernReturn::kSuccess) return Mach(wrong);
  for (size_t i = 0; i < copies.size(); ++i) {
    const Page& page = task.pages[PageOf(to + i * 4096)];
    const Attributes& a = page.attributes;
    bool usable = (a.prot.bits() & 3) == 3 || (a.max_prot.bits() & 3) == 3;
    if (page.own == nullptr && !usable) return Mach(KernReturn::kProtectionFailure);
  }
  for (size_t i = 0; i < copies.size(); ++i) {
    Page& page = task.pages[PageOf(to + i * 4096)];
    page.attributes.wired = false;
    if (page.own != nullptr && !page.attributes.shared) page.file_key = page.file_offset = 0;
    if (page.own != nullptr) {
      *page.own = copies[i];
    } else {
      files_[{page.file_key, page.file_offset}] = copies[i];
      wrote_files_ = true;
    }
  }
  return Mach(KernReturn::kSuccess);
}

Outcome NaiveWorld::VmWire(const ResolvedOp& op, NaiveTask& task) {
  const bool privileged = (op.flags & traces::kFlagPrivileged) != 0;
  if (privileged && !task.made_by_init) return Mach(KernReturn::kInvalidHost);
  Wide bytes = op.size;
  for (const Page& page : task.pages) bytes += page.attributes.wired ? 4096 : 0;
  if (!privileged && bytes > (Wide{8} << 20)) return Mach(KernReturn::kNoAccess);
  const uint64_t start = std::max(op.at / 4096 * 4096, kMin);
  const uint64_t sum = op.at + op.size + 4095;  // wraps, as the call does
  const uint64_t end = std::min(sum / 4096 * 4096, kMax);
  const int first = PageOf(std::min(start, end));
  if (first < 0 || !task.pages[first].mapped) return Mach(KernReturn::kNoSpace);
  for (uint64_t va = start; va < end; va += 4096) {
    const Page& page = task.pages[PageOf(va)];
    if (!page.mapped || !op.prot.IsSubsetOf(page.attributes.prot))
      return Mach(KernReturn::kNoSpace);
  }
  ForMapped(task, start, end, [&](Page& page) {
    page.attributes.wired = false;
    if (!op.prot.IsNone()) Wire(page);
  });
  return Mach(KernReturn::kSuccess);
}

Outcome NaiveWorld::MachCall(const ResolvedOp& op, NaiveTask& task) {
  if (op.kind == OpKind::kVmMap) return VmMap(op, task);
  if (op.kind == OpKind::kVmWire) return VmWire(op, task);
  if (op.kind == OpKind::kVmCopy || op.kind == OpKind::kVmRead || op.kind == OpKind::kVmWrite)
    return VmMove(op, task);
  uint64_t start = op.at / 4096 * 4096;
  if (op.kind == OpKind::kVmAllocate) {
    if (op.size == 0) return Mach(KernReturn::kSuccess);
    ResolvedOp map = op;
    map.prot = base::kProtReadWrite;
    map.max_prot = base::kProtAll;
    map.inherit = Inherit::kCopy;
    map.mask = 0;
    return VmMap(map, task);
  }
  if (op.kind == OpKind::kVmRegion) {
    auto alike = [&](int a, int b) {
      Attributes x = task.pages[a].attributes, y = task.pages[b].attributes;
      x.advice = y.advice = base::Advice::kNormal;
      return task.pages[b].mapped && x == y;
    };
    int at = op.at < kMin ? 0 : op.at >= kMax ? kPages : PageOf(op.at);
    int first = at;
    while (first < kPages && !task.pages[first].mapped) ++first;
    if (first == kPages) return Mach(KernReturn::kNoSpace);
    int low = first, high = first + 1;
    while (first == at && op.at >= kMin && low > 0 && alike(first, low - 1) && coin_.Chance(2, 3))
      --low;
    while (high < kPages && alike(first, high) && coin_.Chance(2, 3)) ++high;
    Outcome found = Mach(KernReturn::kSuccess, AddressOf(low));
    found.size = static_cast<uint64_t>(high - low) * 4096;
    const Attributes& a = task.pages[first].attributes;
    found.region = {a.prot, a.max_prot, a.inherit, a.shared};
    return found;
  }
  if (op.kind == OpKind::kVmInherit &&
      (op.inherit == Inherit::kZero || op.inherit == Inherit::kDonateCopy)) {
    return Mach(KernReturn::kInvalidArgument);
  }
  if (op.kind == OpKind::kVmDeallocate && op.size == 0) return Mach(KernReturn::kSuccess);
  uint64_t sum = op.at + op.size + 4095;  // wraps, as the call does
  uint64_t end = sum / 4096 * 4096;
  bool allowed = true;
  ForMapped(task, start, end,
            [&](Page& p) { allowed &= (op.prot & p.attributes.max_prot) == op.prot; });
  if (op.kind == OpKind::kVmProtect && !allowed) return Mach(KernReturn::kProtectionFailure);
  ForMapped(task, start, end, [&](Page& p) {
    if (op.kind == OpKind::kVmDeallocate) p = Page();
    if (op.kind == OpKind::kVmInherit) p.attributes.inherit = op.inherit;
    if (op.kind != OpKind::kVmProtect) return;
    if ((op.flags & traces::kFlagSetMax) != 0) p.attributes.max_prot = op.prot;
    const bool none = p.attributes.prot.IsNone();
    p.attributes.prot =
        (op.flags & traces::kFlagSetMax) != 0 ? p.attributes.prot & op.prot : op.prot;
    if (task.wires_future && none && !p.attributes.prot.IsNone()) Wire(p);
  });
  return Mach(KernReturn::kSuccess);
}

Outcome NaiveWorld::Access(const ResolvedOp& op, NaiveTask& task) {
  Outcome outcome;
  outcome.family = Outcome::Family::kFault;
  std::vector<unsigned char> read;
  uint64_t size = op.kind == OpKind::kFetch ? 1 : op.size;
  for (uint64_t va = op.at; va != op.at + size; ++va) {
    int i = PageOf(va);
    bool mapped = i >= 0 && task.pages[i].mapped;
    int need = op.kind == OpKind::kRead ? 1 : op.kind == OpKind::kWrite ? 3 : 5;
    if (!mapped || (task.pages[i].attributes.prot.bits() & need) != need) {
      FaultCode code = task.mach
                           ? (mapped ? FaultCode::kMachProtection : FaultCode::kMachInvalidAddress)
                           : (mapped ? FaultCode::kSegvAccErr : FaultCode::kSegvMapErr);
      outcome.code = static_cast<int32_t>(code);
      outcome.value = va;
      return outcome;
    }
    Page& page = task.pages[i];
    if (IsMissing(page)) {
      outcome.code =
          static_cast<int32_t>(task.mach ? FaultCode::kMachMemoryError : FaultCode::kBus);
      outcome.value = va;
      return outcome;
    }
    // A wired page that has to be fetched again is fetched for every access.
    if (op.kind != OpKind::kWrite && page.attributes.wired && va % 4096 == 0 &&
        coin_.Chance(1, 2)) {
      Wire(page);
    }
    if (op.kind == OpKind::kRead) {
      uint64_t in_page = va % 4096;
      if (in_page == 0 || va == op.at) read.reserve(read.size() + 4096);
      if (page.own != nullptr && page.own->has_value()) {
        read.push_back((**page.own)[in_page]);
      } else {
        Bytes bytes = BaseContents(page);
        for (; in_page < 4096 && va != op.at + size; ++in_page, ++va)
          read.push_back(bytes[in_page]);
        --va;
      }
    }
    if (op.kind != OpKind::kWrite) continue;
    if (page.own == nullptr) {
      auto [it, fresh] = files_.try_emplace({page.file_key, page.file_offset});
      if (fresh && IsMemfd(page)) {
        it->second = {};
      } else if (fresh) {
        for (uint64_t k = 0; k < 4096; ++k)
          it->second[k] = base::FileByte(page.file_key, page.file_offset + k);
      }
      it->second[va % 4096] = base::StoredByte(op.value, va);
    } else {
      if (!page.own->has_value()) *page.own = BaseContents(page);
      (**page.own)[va % 4096] = base::StoredByte(op.value, va);
    }
  }
  if (op.kind == OpKind::kRead) outcome.value = traces::ReadValue(read.data(), read.size());
  return outcome;
}

// --- Comparison ---

std::string ComparePage(const World& world, uint32_t task, uint64_t va, const Page& page,
                        const Bytes& bytes) {
  PageKind kind = world.KindOfPage(task, va);
  if ((kind != PageKind::kUnmapped) != page.mapped) return "mapped in one world only";
  if (!page.mapped) return "";
  PageBytes canonical;
  if (!world.PageContents(task, va, &canonical)) return "no contents";
  if (kind == PageKind::kEither)
    return world.MayHold(task, va, bytes) ? "" : "these contents are not possible";
  return canonical == bytes && world.MayHold(task, va, bytes) ? "" : "contents differ";
}

std::string CompareWorlds(const World& world, const NaiveWorld& naive) {
  std::vector<uint32_t> live = world.LiveTasks();
  if (live.size() != naive.tasks().size()) return "number of tasks";
  for (const auto& [label, task] : naive.tasks()) {
    if (!world.IsLive(label)) return "task s" + std::to_string(label);
    std::array<std::optional<Attributes>, kPages> attributes;
    world.ForEachRange(label, [&](base::Range range, const Attributes& a) {
      for (base::Vaddr va = range.start; va < range.end; va = va + 4096)
        attributes[(va.value() - kMin) / 4096] = a;
    });
    for (int i = 0; i < kPages; ++i) {
      uint64_t va = kMin + static_cast<uint64_t>(i) * 4096;
      const Page& page = task.pages[static_cast<size_t>(i)];
      std::string where = "s" + std::to_string(label) + " page " + std::to_string(i) + ": ";
      std::string wrong =
          ComparePage(world, label, va, page, page.mapped ? naive.Contents(page) : Bytes{});
      if (!wrong.empty()) return where + wrong;
      if (page.mapped && attributes[static_cast<size_t>(i)] != page.attributes)
        return where + "attributes differ";
    }
  }
  return "";
}

// The first disagreement of `count` operations drawn from `seed`, as text; empty when there is
// none.
std::string FirstDisagreement(uint64_t seed, int count) {
  World world({.max_tasks = kTasks});
  NaiveWorld naive(seed);
  NaiveDraws draws(seed);
  std::string history;
  for (int i = 0; i < count; ++i) {
    ResolvedOp op = draws.Next(world.LiveTasks());
    if (naive.Leaves(op)) continue;
    Outcome seen = naive.Run(op);
    history += traces::FormatResolvedOp(op) + " -> " + traces::FormatOutcome(op.kind, seen) + "\n";
    Expectation expectation = world.Expect(op);
    std::string why;
    if (!expectation.Accepts(seen, &why)) return history + why;
    if (!expectation.Accepts(expectation.Canonical(), &why)) return history + "canonical: " + why;
    Outcome wrong = seen;
    wrong.code = seen.code == 0 ? 5 : 0;
    if (expectation.Accepts(wrong)) return history + "accepts the wrong code too";
    world.Adopt(op, seen);
    // A read settles what it saw: read again, nothing else is right.
    bool settled = op.kind != OpKind::kRead || !seen.ok() ||
                   world.Expect(op).Describe() == traces::FormatOutcome(op.kind, seen);
    if (!settled) return history + "the read left open: " + world.Expect(op).Describe();
    why = CompareWorlds(world, naive);
    if (!why.empty()) return history + why;
  }
  if (world.unchecked_reads() != 0 && !naive.wrote_files()) return "reads went unchecked";
  return "";
}

RC_GTEST_PROP(NaiveWorldTest, WorldAgreesWithThePageByPageWorld, ()) {
  uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  RC_ASSERT(FirstDisagreement(seed, 60) == "");
}

TEST(NaiveWorldFixedSeeds, WorldAgreesWithThePageByPageWorld) {
  for (uint64_t seed = 1; seed <= 100; ++seed)
    ASSERT_EQ(FirstDisagreement(seed, 300), "") << "seed " << seed;
}

}  // namespace
}  // namespace model
