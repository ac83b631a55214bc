// The calls that move bytes against a second, simpler statement of them: six pages a task, every
// page an array, every byte moved by itself. Whatever this world does, World must accept, adopt and
// agree with; a wrong code or number in its place must be refused.

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/pattern.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "model/world.h"
#include "traces/codec.h"

namespace model {
namespace {

using base::Errno;
using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kPage = 4096;
constexpr int kPages = 6;
constexpr uint64_t kMin = kPage;
constexpr uint64_t kMax = kMin + kPages * kPage;
constexpr uint64_t kKey = 0xf11e | 1;

using Bytes = std::array<unsigned char, kPage>;

struct Page {
  bool mapped = false;
  int prot = 0;
  std::shared_ptr<Bytes> own;  // null: the file's page, or for a private page what it reads as
  bool is_private = false;
  uint64_t file_page = 0;
  bool of_file = false;
};

struct Task {
  std::array<Page, kPages> pages;
  uint32_t family = 0;
  uint32_t owner = 0;
};

class NaiveMoves {
 public:
  Outcome Run(const ResolvedOp& op);
  const std::map<uint32_t, Task>& tasks() const { return tasks_; }
  unsigned char Get(const Task& task, uint64_t va) {
    const Page& page = task.pages[(va - kMin) / kPage];
    if (page.own != nullptr) return (*page.own)[va % kPage];
    return page.of_file ? FileAt(page.file_page * kPage + va % kPage) : '\0';
  }

  // Beyond its last page a file has nothing to show.
  bool There(const Page& page) const {
    return page.own != nullptr || !page.of_file || page.file_page * kPage < end_;
  }

 private:
  static Outcome Bsd(Errno code, uint64_t value = 0) {
    return {Outcome::Family::kErrno, static_cast<int32_t>(code), value, 0, {}};
  }
  bool Can(const Task& task, uint64_t va, int needed) const {
    if (va < kMin || va >= kMax) return false;
    const Page& page = task.pages[(va - kMin) / kPage];
    return page.mapped && (page.prot & needed) == needed && There(page);
  }
  static bool Mapped(const Task& task, uint64_t va) {
    return va >= kMin && va < kMax && task.pages[(va - kMin) / kPage].mapped;
  }
  unsigned char& FileAt(uint64_t offset) {
    auto [it, fresh] = files_.try_emplace(offset / kPage);
    for (uint64_t i = 0; fresh && i < kPage; ++i)
      it->second[i] = MadeUp(offset / kPage * kPage + i);
    return it->second[offset % kPage];
  }
  unsigned char MadeUp(uint64_t offset) const {
    return offset < made_up_ ? base::FileByte(kKey, offset) : '\0';
  }
  // What lies beyond the lower of both ends is forgotten.
  void SetEnd(uint64_t end) {
    const uint64_t low = std::min(end, end_);
    if (end != end_ && low % kPage != 0) FileAt(low);
    for (auto& [page, bytes] : files_) {
      for (uint64_t i = 0; i < kPage && end != end_; ++i) {
        if (page * kPage + i >= low) bytes[i] = 0;
      }
    }
    made_up_ = std::min(made_up_, end);
    end_ = end;
  }
  void Put(Task& task, uint64_t va, unsigned char byte) {
    Page& page = task.pages[(va - kMin) / kPage];
    if (page.own == nullptr && page.of_file && !page.is_private) {
      FileAt(page.file_page * kPage + va % kPage) = byte;
      return;
    }
    if (page.own == nullptr) {
      auto copy = std::make_shared<Bytes>();
      for (uint64_t i = 0; i < kPage; ++i) (*copy)[i] = Get(task, va / kPage * kPage + i);
      page.own = copy;
    }
    (*page.own)[va % kPage] = byte;
  }
  Outcome Birth(const ResolvedOp& op);
  Outcome Fill(const ResolvedOp& op, Task& task);
  Outcome Ftruncate(const ResolvedOp& op);
  Outcome Pread(const ResolvedOp& op, Task& task);
  Outcome Pwrite(const ResolvedOp& op, Task& task);
  Outcome Debug(const ResolvedOp& op, Task& caller);
  Outcome Send(const ResolvedOp& op, Task& task);
  Outcome Receive(const ResolvedOp& op, Task& task);

  std::map<uint32_t, Task> tasks_;
  std::map<uint64_t, Bytes> files_;
  uint64_t end_ = uint64_t{1} << 63;
  uint64_t made_up_ = uint64_t{1} << 63;
  std::map<uint32_t, std::deque<std::vector<unsigned char>>> queues_;
};

Outcome NaiveMoves::Birth(const ResolvedOp& op) {
  Task child;
  child.family = op.child;
  if (op.kind == OpKind::kFork) {
    child = tasks_[op.task];
    child.owner = op.task;
    for (Page& page : child.pages) {
      if (page.own != nullptr && page.is_private) page.own = std::make_shared<Bytes>(*page.own);
    }
  }
  tasks_[op.child] = child;
  return Bsd(Errno::kOk);
}

// mmap, mprotect, mlock, stores: whole pages inside the map, where they succeed.
Outcome NaiveMoves::Fill(const ResolvedOp& op, Task& task) {
  for (uint64_t va = op.at; va < op.at + op.size; va += kPage) {
    Page& page = task.pages[(va - kMin) / kPage];
    if (op.kind == OpKind::kMmap) {
      page = Page{};
      page.mapped = true;
      page.prot = op.prot.bits();
      page.is_private = (op.flags & traces::kFlagPrivate) != 0;
      page.of_file = op.file_key != 0;
      page.file_page = (op.offset + va - op.at) / kPage;
      if (!page.is_private && !page.of_file) page.own = std::make_shared<Bytes>();
    }
    if (op.kind == OpKind::kMunmap) page = Page{};
    if (op.kind == OpKind::kMprotect) page.prot = op.prot.bits();
  }
  return Bsd(Errno::kOk, op.kind == OpKind::kMmap ? op.at : 0);
}

Outcome NaiveMoves::Pread(const ResolvedOp& op, Task& task) {
  if (op.file_key == 0) return Bsd(Errno::kEbadf);
  if ((op.offset | op.size) >> 63 != 0) return Bsd(Errno::kEinval);
  uint64_t size = std::min<uint64_t>(op.size, 256 * 1024);
  Bytes page{};
  for (uint64_t i = 0; i < size; ++i) {
    uint64_t offset = op.offset + i;
    if (offset >= end_) return Bsd(Errno::kOk, i);
    if (i == 0 || offset % kPage == 0)
      for (uint64_t k = 0; k < kPage; ++k) page[k] = FileAt(offset / kPage * kPage + k);
    if (!Can(task, op.at + i, 3)) return Bsd(Errno::kEfault);
    Put(task, op.at + i, page[offset % kPage]);
  }
  return Bsd(Errno::kOk, size);
}

Outcome NaiveMoves::Pwrite(const ResolvedOp& op, Task& task) {
  if (op.file_key == 0) return Bsd(Errno::kEbadf);
  if ((op.offset | op.size) >> 63 != 0) return Bsd(Errno::kEinval);
  if ((op.offset + op.size) > uint64_t{1} << 63) return Bsd(Errno::kEfbig);
  uint64_t size = std::min<uint64_t>(op.size, 256 * 1024);
  uint64_t count = 0;
  while (count < size && Can(task, op.at + count, 1)) ++count;
  const bool all = count == size;
  if (all && size != 0 && op.offset + size > end_) SetEnd(op.offset + size);
  // A part of a page of the file, and what would extend it, only when all goes well.
  if (!all) count -= std::min(count, (op.offset + count) % kPage);
  if (!all) count = std::min(count, end_ - std::min(end_, op.offset));
  std::vector<unsigned char> taken;  // of this stretch of 64 KiB
  for (uint64_t i = 0; i < count; ++i) {
    taken.push_back(Get(task, op.at + i));
    if (i + 1 != count && (op.offset + i + 1) % 65536 != 0) continue;
    const uint64_t start = op.offset + i + 1 - taken.size();
    for (uint64_t k = 0; k < taken.size(); ++k) FileAt(start + k) = taken[k];
    taken.clear();
  }
  return all ? Bsd(Errno::kOk, size) : Bsd(Errno::kEfault);
}

Outcome NaiveMoves::Ftruncate(const ResolvedOp& op) {
  if (op.file_key == 0) return Bsd(Errno::kEbadf);
  if (op.offset >> 63 != 0) return Bsd(Errno::kEinval);
  SetEnd(op.offset);
  return Bsd(Errno::kOk);
}

// No page here has lost maximum rights: holes are all that a debugger meets.
Outcome NaiveMoves::Debug(const ResolvedOp& op, Task& caller) {
  uint32_t label = op.target == 0 ? op.task : op.target;
  auto found = tasks_.find(label);
  if (found == tasks_.end() || (label != op.task && found->second.owner != op.task))
    return Bsd(Errno::kEsrch);
  Task& target = found->second;
  bool peek = op.kind == OpKind::kPeek;
  if (op.size != 0 && op.at + op.size <= op.at) return Bsd(Errno::kEio);
  if (op.at >= kMax) return Bsd(Errno::kOk, 0);
  uint64_t size = std::min<uint64_t>({op.size, kMax - op.at, 256 * 1024});
  for (uint64_t done = 0; done < size;) {
    uint64_t end = std::min(size, done + kPage - (op.at + done) % kPage);
    if (!Mapped(target, op.at + done)) return Bsd(Errno::kEinval);
    const bool there = There(target.pages[(op.at + done - kMin) / kPage]);
    if (peek && !there) return Bsd(Errno::kEinval);
    std::vector<unsigned char> piece;
    Task& from = peek ? target : caller;
    Task& to = peek ? caller : target;
    for (uint64_t k = done; k < end; ++k) {
      if (!peek && !Can(caller, op.to + k, 1)) return Bsd(Errno::kEfault);
      piece.push_back(Get(from, (peek ? op.at : op.to) + k));
    }
    if (!there) return Bsd(Errno::kEinval);
    for (uint64_t k = done; k < end; ++k) {
      if (peek && !Can(caller, op.to + k, 3)) return Bsd(Errno::kEfault);
      Put(to, (peek ? op.to : op.at) + k, piece[k - done]);
    }
    done = end;
  }
  return Bsd(Errno::kOk, size);
}

Outcome NaiveMoves::Send(const ResolvedOp& op, Task& task) {
  if (op.size == 0 || (op.at | op.size) % kPage != 0) return Bsd(Errno::kEinval);
  if (op.size > 65536) return Bsd(Errno::kEmsgsize);
  auto& queue = queues_[task.family];
  if (queue.size() == 8) return Bsd(Errno::kEagain);
  std::vector<unsigned char> message;
  bool there = true;
  for (uint64_t i = 0; i < op.size; ++i) {
    if (!Mapped(task, op.at + i)) return Bsd(Errno::kEfault);
    const Page& page = task.pages[(op.at + i - kMin) / kPage];
    if ((page.prot & 1) == 0) return Bsd(Errno::kEfault);
    there = there && There(page);
    message.push_back(Get(task, op.at + i));
  }
  if (!there) return Bsd(Errno::kEinval);
  queue.push_back(message);
  return Bsd(Errno::kOk, op.size);
}

Outcome NaiveMoves::Receive(const ResolvedOp& op, Task& task) {
  auto& queue = queues_[task.family];
  if (queue.empty()) return Bsd(Errno::kEagain);
  std::vector<unsigned char>& message = queue.front();
  uint64_t size = std::min<uint64_t>(op.size, message.size());
  for (uint64_t i = 0; i < size; ++i) {
    if (!Can(task, op.at + i, 3)) return Bsd(Errno::kEfault);
    Put(task, op.at + i, message[i]);
  }
  message.erase(message.begin(), message.begin() + static_cast<ptrdiff_t>(size));
  if (message.empty()) queue.pop_front();
  return Bsd(Errno::kOk, size);
}

Outcome NaiveMoves::Run(const ResolvedOp& op) {
  if (op.child != 0) return Birth(op);
  Task& task = tasks_[op.task];
  switch (op.kind) {
    case OpKind::kExit: {
      uint32_t family = task.family;
      tasks_.erase(op.task);
      bool last = std::none_of(tasks_.begin(), tasks_.end(),
                               [&](auto& other) { return other.second.family == family; });
      if (last) queues_.erase(family);
      return Bsd(Errno::kOk);
    }
    case OpKind::kPread:
      return Pread(op, task);
    case OpKind::kPwrite:
      return Pwrite(op, task);
    case OpKind::kFtruncate:
      return Ftruncate(op);
    case OpKind::kPeek:
    case OpKind::kPoke:
      return Debug(op, task);
    case OpKind::kSend:
      return Send(op, task);
    case OpKind::kReceive:
      return Receive(op, task);
    case OpKind::kWrite: {
      Outcome done;
      done.family = Outcome::Family::kFault;
      for (uint64_t va = op.at; va < op.at + op.size; ++va)
        Put(task, va, base::StoredByte(op.value, va));
      return done;
    }
    default:
      return Fill(op, task);
  }
}

// ---- Draws ----

class Draws {
 public:
  explicit Draws(uint64_t seed) : prng_(seed, "moves") {}

  ResolvedOp Next(const NaiveMoves& world) {
    const std::map<uint32_t, Task>& tasks = world.tasks();
    ResolvedOp op;
    if (tasks.empty() || (tasks.size() < 4 && prng_.Chance(1, 12))) {
      op.kind = tasks.empty() || prng_.Chance(1, 4) ? OpKind::kSpace : OpKind::kFork;
      op.child = ++label_;
      op.size = op.kind == OpKind::kSpace ? kMax : 0;
      if (op.kind == OpKind::kFork) op.task = Nth(tasks);
      return op;
    }
    op.task = Nth(tasks);
    const uint64_t draw = prng_.Below(24);
    if (draw == 0) op.kind = OpKind::kExit;
    if (draw == 0) return op;
    if (draw < 9) return Setup(op, world, tasks.at(op.task));
    if (draw == 9) {
      op.kind = OpKind::kFtruncate;
      op.file_key = prng_.Chance(1, 20) ? 0 : kKey;
      op.offset = prng_.Chance(1, 2) ? prng_.Next() : 0xd000 + prng_.Below(8 * kPage);
      return op;
    }
    constexpr OpKind kMoves[] = {OpKind::kPread, OpKind::kPwrite, OpKind::kPeek,
                                 OpKind::kPoke,  OpKind::kSend,   OpKind::kReceive};
    op.kind = kMoves[prng_.Below(6)];
    op.at = Address();
    op.size = prng_.Chance(1, 30) ? prng_.Next() : prng_.Chance(1, 20) ? 0 : prng_.Below(4 * kPage);
    if (op.kind == OpKind::kSend && prng_.Chance(9, 10)) {
      op.at = op.at / kPage * kPage;
      op.size = (op.size + kPage - 1) / kPage * kPage;
    }
    if (op.kind == OpKind::kPeek || op.kind == OpKind::kPoke) {
      op.to = Address();
      if (prng_.Chance(1, 2)) op.target = 1 + static_cast<uint32_t>(prng_.Below(label_));
      if (op.target == op.task) op.target = 0;
    }
    if (op.kind != OpKind::kPread && op.kind != OpKind::kPwrite) return op;
    op.file_key = prng_.Chance(1, 30) ? 0 : kKey;
    op.offset = prng_.Chance(1, 20) ? prng_.Next() : 0xd000 + prng_.Below(8 * kPage);
    if (prng_.Chance(1, 30)) op.offset = (uint64_t{1} << 63) - prng_.Below(2 * kPage);
    return op;
  }

 private:
  uint32_t Nth(const std::map<uint32_t, Task>& tasks) {
    return std::next(tasks.begin(), static_cast<ptrdiff_t>(prng_.Below(tasks.size())))->first;
  }
  uint64_t Address() {
    if (prng_.Chance(1, 40)) return ~uint64_t{0} - prng_.Below(8192);
    return prng_.Below((kPages + 2) * kPage);
  }
  // Something that succeeds.
  ResolvedOp Setup(ResolvedOp op, const NaiveMoves& world, const Task& task) {
    const uint64_t first = prng_.Below(kPages);
    op.at = kMin + first * kPage;
    op.size = (1 + prng_.Below(kPages - first)) * kPage;
    switch (prng_.Below(5)) {
      case 0:
        op.kind = OpKind::kMprotect;
        op.prot = base::Prot(static_cast<uint8_t>(prng_.Chance(1, 2) ? 3 : prng_.Below(2)));
        return op;
      case 1:
        op.kind = OpKind::kMunmap;
        op.size = kPage;
        return op;
      case 2:
        if (task.pages[first].mapped && task.pages[first].prot == 3 &&
            world.There(task.pages[first])) {
          op.kind = OpKind::kWrite;
          op.size = kPage;
          op.value = prng_.Next() | 0x100;
          return op;
        }
        break;
      default:
        break;
    }
    op.kind = OpKind::kMmap;
    op.flags =
        (prng_.Chance(1, 2) ? traces::kFlagPrivate : traces::kFlagShared) | traces::kFlagFixed;
    op.prot = base::kProtReadWrite;
    if (prng_.Chance(1, 2)) {
      op.file_key = kKey;
      op.offset = 0xd000 + prng_.Below(6) * kPage;
    }
    return op;
  }

  base::Prng prng_;
  uint32_t label_ = 0;
};

std::string Difference(const World& world, NaiveMoves* naive) {
  for (const auto& [label, task] : naive->tasks()) {
    for (uint64_t va = kMin; va < kMax; va += kPage) {
      const bool mapped = task.pages[(va - kMin) / kPage].mapped;
      PageBytes bytes;
      std::string where = "s" + std::to_string(label) + " page " + std::to_string(va / kPage);
      if (world.PageContents(label, va, &bytes) != mapped) return where + " is mapped in one world";
      if (!naive->There(task.pages[(va - kMin) / kPage])) continue;
      if (!mapped) continue;
      PageBytes theirs;
      for (uint64_t i = 0; i < kPage; ++i) theirs[i] = naive->Get(task, va + i);
      // The naive world decides what the other may leave open, such as what is kept of bytes beyond
      // a file's end.
      if (world.MayHold(label, va, theirs)) continue;
      const auto first = std::mismatch(bytes.begin(), bytes.end(), theirs.begin()).first;
      return where + " byte " + std::to_string(first - bytes.begin());
    }
  }
  return "";
}

std::string FirstDisagreement(uint64_t seed, int count) {
  World world({});
  NaiveMoves naive;
  Draws draws(seed);
  std::string history;
  for (int i = 0; i < count; ++i) {
    ResolvedOp op = draws.Next(naive);
    const Outcome seen = naive.Run(op);
    history += traces::FormatResolvedOp(op) + " -> " + traces::FormatOutcome(op.kind, seen) + "\n";
    std::string why;
    if (!world.Expect(op).Accepts(seen, &why)) return history + why;
    Outcome wrong = seen;
    wrong.code = seen.code == 0 ? static_cast<int32_t>(Errno::kEfault) : 0;
    if (world.Expect(op).Accepts(wrong)) return history + "accepts the wrong code too";
    wrong = seen;
    ++wrong.value;
    if (world.Expect(op).Accepts(wrong)) return history + "accepts another number too";
    world.Adopt(op, seen);
    why = Difference(world, &naive);
    if (!why.empty()) return history + why;
  }
  return "";
}

TEST(NaiveMovesTest, WorldAgreesByteByByte) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    ASSERT_EQ(FirstDisagreement(seed, 250), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace model
