#include "tools/policy/touch_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "traces/codec.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace tools::policy {
namespace {

using traces::Op;
using traces::OpKind;
using traces::Outcome;

constexpr uint32_t kAnonymous = 0;

uint64_t PageOf(uint64_t address) { return address >> base::kPageShift; }
uint64_t PageAfter(uint64_t address) { return PageOf(address + base::kPageSize - 1); }

// What a run of a task's pages is mapped to.
struct Region {
  uint64_t end;         // page
  uint32_t source;      // kAnonymous, or the number of a file
  uint64_t first = 0;   // the source's page at the start of the region
  bool shared = false;  // writes are everybody's
  bool executable = false;
};

// What stands behind one page that was used.
struct Use {
  uint32_t page;
  bool copy_on_write;
};

struct Task {
  std::map<uint64_t, Region> regions;   // by first page; they do not overlap
  absl::btree_map<uint64_t, Use> uses;  // by page
  uint64_t heap = 0;                    // first page of the heap; 0: none
  uint64_t heap_end = 0;
};

class Reader {
 public:
  explicit Reader(TouchTrace* out) : out_(out) {}

  // OK, or what is wrong with the operation.
  absl::Status Apply(const traces::Line& line);

 private:
  TouchStream& touches() { return out_->touches; }

  // ---- Pages.

  uint32_t NewAnonymous() {
    const uint32_t page = touches().NewPage(PageSort::kAnonymous);
    references_.resize(page + 1, 0);
    return page;
  }
  // REQUIRES: the page is anonymous or a file's.
  void Refer(uint32_t page) {
    if (references_[page] != kFilePage) ++references_[page];
  }
  void Unrefer(uint32_t page) {
    if (references_[page] != kFilePage && --references_[page] == 0)
      touches().Add(page, TouchKind::kGone);
  }
  uint32_t FilePage(uint32_t source, uint64_t index, PageSort sort) {
    const auto [at, fresh] = file_pages_.try_emplace({source, index}, touches().pages());
    if (fresh) {
      touches().NewPage(sort);
      references_.resize(touches().pages(), kFilePage);
    }
    return at->second;
  }

  // ---- Address spaces.

  static void Cut(Task* task, uint64_t begin, uint64_t end) {
    auto at = task->regions.lower_bound(begin);
    if (at != task->regions.begin() && std::prev(at)->second.end > begin) --at;
    while (at != task->regions.end() && at->first < end) {
      const uint64_t first = at->first;
      const Region region = at->second;
      at = task->regions.erase(at);
      if (first < begin) {
        Region left = region;
        left.end = begin;
        task->regions.emplace(first, left);
      }
      if (region.end > end) {
        Region right = region;
        right.first += end - first;
        at = task->regions.emplace(end, right).first;
      }
    }
  }
  // What was used there is used no longer; with `only_private`, what others would miss stays.
  enum class Which : uint8_t { kAll, kPrivate };
  void Drop(Task* task, uint64_t begin, uint64_t end, Which which) {
    auto at = task->uses.lower_bound(begin);
    while (at != task->uses.end() && at->first < end) {
      const Region* region = RegionAt(*task, at->first);
      if (which == Which::kPrivate && region != nullptr && region->shared) {
        ++at;
        continue;
      }
      Unrefer(at->second.page);
      at = task->uses.erase(at);
    }
  }
  void Unmap(Task* task, uint64_t begin, uint64_t end) {
    Drop(task, begin, end, Which::kAll);
    Cut(task, begin, end);
  }
  void Map(Task* task, uint64_t begin, const Region& region) {
    Unmap(task, begin, region.end);
    if (begin < region.end) task->regions.emplace(begin, region);
  }
  static const Region* RegionAt(const Task& task, uint64_t page) {
    auto after = task.regions.upper_bound(page);
    if (after == task.regions.begin()) return nullptr;
    const Region& region = std::prev(after)->second;
    return region.end > page ? &region : nullptr;
  }
  void Leave(Task* task) {
    Drop(task, 0, ~uint64_t{0}, Which::kAll);
    task->regions.clear();
    task->heap = task->heap_end = 0;
  }
  void Fork(Task* parent, uint32_t child);

  // ---- Accesses.

  Use FirstUse(const Task& task, uint64_t page);
  void Touch(Task* task, uint64_t page, TouchKind kind);
  void TouchRange(Task* task, uint64_t address, uint64_t size, TouchKind kind);

  // ---- Operations, by what they do.

  absl::Status Live(const Op& op, const Outcome* outcome);
  absl::Status Mapped(Task* task, const Op& op, const Outcome* outcome);
  void Moved(Task* task, const Op& op, uint64_t to);
  void Grown(Task* task, uint64_t address);
  bool Accessed(Task* task, const Op& op);
  bool Unmapped(Task* task, const Op& op);
  uint32_t SourceOf(const Op& op) {
    if (op.file != 0) return op.file * 4 + 1 + static_cast<uint32_t>(op.backing);
    // Memory without a name that is shared: one of a kind.
    return (op.flags & traces::kFlagShared) != 0 ? ++shared_memories_ * 4 : kAnonymous;
  }

  static constexpr uint32_t kFilePage = ~uint32_t{0};

  TouchTrace* const out_;
  std::map<uint32_t, Task> tasks_;
  std::vector<uint32_t> references_;  // by page: uses that have it; kFilePage
  absl::btree_map<std::pair<uint32_t, uint64_t>, uint32_t> file_pages_;
  uint32_t shared_memories_ = 0;
};

void Reader::Fork(Task* parent, uint32_t child) {
  Task* born = &tasks_[child];
  born->regions = parent->regions;
  born->heap = parent->heap;
  born->heap_end = parent->heap_end;
  for (auto& [page, use] : parent->uses) {
    const Region* region = RegionAt(*parent, page);
    if (region == nullptr || !region->shared) use.copy_on_write = true;
    Refer(use.page);
  }
  born->uses = parent->uses;
}

Use Reader::FirstUse(const Task& task, uint64_t page) {
  const Region* region = RegionAt(task, page);
  // What the kernel mapped of its own accord is memory without a name too.
  if (region == nullptr || region->source == kAnonymous) return {NewAnonymous(), false};
  const auto at = task.regions.upper_bound(page);
  const uint64_t index = region->first + (page - std::prev(at)->first);
  const bool named = region->source % 4 != 0;
  const PageSort sort = !named               ? PageSort::kAnonymous
                        : region->executable ? PageSort::kExecutable
                                             : PageSort::kFile;
  return {FilePage(region->source, index, sort), !region->shared};
}

void Reader::Touch(Task* task, uint64_t page, TouchKind kind) {
  auto at = task->uses.find(page);
  if (at == task->uses.end()) {
    const Use use = FirstUse(*task, page);
    Refer(use.page);
    at = task->uses.emplace(page, use).first;
  }
  Use& use = at->second;
  if (kind == TouchKind::kWrite && use.copy_on_write) {
    if (references_[use.page] != 1) {
      touches().Add(use.page, TouchKind::kRead);
      const uint32_t copy = NewAnonymous();
      Refer(copy);
      Unrefer(use.page);
      use.page = copy;
    }
    use.copy_on_write = false;
  }
  touches().Add(use.page, kind);
}

void Reader::TouchRange(Task* task, uint64_t address, uint64_t size, TouchKind kind) {
  for (uint64_t page = PageOf(address); page < PageAfter(address + size); ++page)
    Touch(task, page, kind);
}

void Reader::Moved(Task* task, const Op& op, uint64_t to) {
  const uint64_t from = PageOf(op.at.offset), old_end = PageAfter(op.at.offset + op.size);
  const uint64_t kept = std::min(old_end - from, PageAfter(op.new_size));
  const Region* source = RegionAt(*task, from);
  Region region = source != nullptr ? *source : Region{.end = 0, .source = kAnonymous};
  if (source != nullptr) region.first += from - std::prev(task->regions.upper_bound(from))->first;
  std::vector<std::pair<uint64_t, Use>> moved;
  for (auto at = task->uses.lower_bound(from); at != task->uses.end() && at->first < from + kept;) {
    moved.emplace_back(at->first - from, at->second);
    at = task->uses.erase(at);
  }
  Unmap(task, from, old_end);
  const uint64_t begin = PageOf(to);
  region.end = begin + PageAfter(op.new_size);
  Map(task, begin, region);
  for (const auto& [offset, use] : moved) task->uses.emplace(begin + offset, use);
}

void Reader::Grown(Task* task, uint64_t address) {
  const uint64_t end = PageAfter(address);
  if (end < task->heap_end) Unmap(task, std::max(end, task->heap), task->heap_end);
  if (end > task->heap_end) Map(task, task->heap_end, {.end = end, .source = kAnonymous});
  task->heap_end = end;
}

absl::Status Reader::Mapped(Task* task, const Op& op, const Outcome* outcome) {
  uint64_t address = op.at.offset;
  if (outcome != nullptr) {
    address = outcome->value;
  } else if ((op.flags & traces::kFlagFixed) == 0) {
    return absl::InvalidArgumentError("the trace does not say where memory was mapped");
  }
  if (op.kind == OpKind::kMremap) {
    Moved(task, op, address);
    return absl::OkStatus();
  }
  Map(task, PageOf(address),
      {.end = PageAfter(address + op.size),
       .source = SourceOf(op),
       .first = PageOf(op.offset),
       .shared = (op.flags & traces::kFlagShared) != 0,
       .executable = op.prot.CanExecute()});
  return absl::OkStatus();
}

bool Reader::Accessed(Task* task, const Op& op) {
  const uint64_t address = op.at.offset;
  switch (op.kind) {
    case OpKind::kRead:
      TouchRange(task, address, op.size, TouchKind::kRead);
      return true;
    case OpKind::kFetch:
      TouchRange(task, address, 1, TouchKind::kRead);
      return true;
    case OpKind::kWrite:
      TouchRange(task, address, op.size, TouchKind::kWrite);
      return true;
    case OpKind::kPread:
    case OpKind::kPwrite: {
      const bool read = op.kind == OpKind::kPread;
      for (uint64_t page = PageOf(op.offset); page < PageAfter(op.offset + op.size); ++page)
        touches().Add(FilePage(SourceOf(op), page, PageSort::kFile),
                      read ? TouchKind::kRead : TouchKind::kWrite);
      TouchRange(task, address, op.size, read ? TouchKind::kWrite : TouchKind::kRead);
      return true;
    }
    default:
      return false;
  }
}

bool Reader::Unmapped(Task* task, const Op& op) {
  const uint64_t begin = PageOf(op.at.offset), end = PageAfter(op.at.offset + op.size);
  switch (op.kind) {
    case OpKind::kMunmap:
    case OpKind::kVmDeallocate:
      Unmap(task, begin, end);
      return true;
    case OpKind::kLinuxDontneed:
      Drop(task, begin, end, Which::kPrivate);
      return true;
    case OpKind::kMadvise:
      if (op.advice == base::Advice::kFree) Drop(task, begin, end, Which::kPrivate);
      return true;
    case OpKind::kExecBrk:
      task->heap = task->heap_end = PageAfter(op.at.offset);
      return true;
    case OpKind::kBrk:
      Grown(task, op.at.offset);
      return true;
    case OpKind::kExec:
      Leave(task);
      return true;
    default:
      return false;
  }
}

absl::Status Reader::Live(const Op& op, const Outcome* outcome) {
  const auto actor = tasks_.find(op.task.number);
  if (actor == tasks_.end())
    return absl::InvalidArgumentError(absl::StrCat("there is no task s", op.task.number));
  Task* task = &actor->second;
  switch (op.kind) {
    case OpKind::kFork:
      Fork(task, op.child);
      return absl::OkStatus();
    case OpKind::kTaskCreate:
      if ((op.flags & traces::kFlagInherit) != 0) {
        Fork(task, op.child);
      } else {
        tasks_[op.child] = Task();
      }
      return absl::OkStatus();
    case OpKind::kExit:
    case OpKind::kTaskTerminate:
      Leave(task);
      tasks_.erase(actor);
      return absl::OkStatus();
    case OpKind::kExecMap:
    case OpKind::kMmap:
    case OpKind::kMremap:
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
      return Mapped(task, op, outcome);
    default:
      break;
  }
  if (Accessed(task, op) || Unmapped(task, op)) return absl::OkStatus();
  static const std::set<OpKind> kNoUse = {
      OpKind::kMprotect,   OpKind::kMinherit, OpKind::kMlock,     OpKind::kMunlock,
      OpKind::kMlockall,   OpKind::kMsync,    OpKind::kVmProtect, OpKind::kVmInherit,
      OpKind::kMunlockall, OpKind::kMincore,  OpKind::kVmRegion,  OpKind::kMemfd,
      OpKind::kMemfdSeal,  OpKind::kShmget,   OpKind::kMemfdClose};
  if (kNoUse.count(op.kind) == 0) ++out_->passed_over;
  return absl::OkStatus();
}

absl::Status Reader::Apply(const traces::Line& line) {
  const Op& op = line.op;
  ++out_->operations;
  if (touches().Full()) return absl::InvalidArgumentError("more touches than can be counted");
  const Outcome* outcome = line.expected ? &*line.expected : nullptr;
  if (outcome != nullptr && !outcome->ok()) return absl::OkStatus();
  switch (op.kind) {
    case OpKind::kSpace:
    case OpKind::kTask:
    case OpKind::kTask32:
      tasks_[op.child] = Task();
      return absl::OkStatus();
    case OpKind::kInject:
      ++out_->passed_over;
      return absl::OkStatus();
    default:
      break;
  }
  const bool relative = op.task.relative || op.at.kind != traces::Place::Kind::kAbsolute ||
                        op.to.kind != traces::Place::Kind::kAbsolute;
  if (relative) {
    return absl::InvalidArgumentError(
        "a relative operand, whose meaning only a run knows; a recording is wanted (vmsim record "
        "--touches)");
  }
  return Live(op, outcome);
}

// A file's bytes in memory, unmapped at the end.
class MappedFile {
 public:
  MappedFile(void* at, size_t size) : at_(at), size_(size) {}
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (size_ > 0) munmap(at_, size_);
  }
  absl::string_view text() const { return {static_cast<const char*>(at_), size_}; }

 private:
  void* const at_;
  const size_t size_;
};

}  // namespace

absl::StatusOr<TouchTrace> ReadTouches(absl::string_view text, absl::string_view file_name,
                                       const Progress& progress) {
  TouchTrace trace;
  Reader reader(&trace);
  traces::TraceReader lines(text, file_name);
  traces::Line line;
  constexpr uint64_t kBetween = 1 << 14;
  while (lines.Next(&line)) {
    const absl::Status status = reader.Apply(line);
    if (!status.ok())
      return absl::InvalidArgumentError(
          absl::StrCat(file_name, ":", line.line, ": ", status.message()));
    if (progress && trace.operations % kBetween == 0) progress(kBetween);
  }
  if (!lines.status().ok()) return lines.status();
  return trace;
}

absl::StatusOr<TouchTrace> ReadTouchFile(const std::string& path, const Progress& progress) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  struct stat status;
  const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const size_t size = regular ? static_cast<size_t>(status.st_size) : 0;
  void* at = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
  const int reason = errno;
  close(descriptor);
  if (!regular) return absl::UnavailableError(absl::StrCat(path, ": it is no regular file"));
  if (at == MAP_FAILED)
    return absl::UnavailableError(absl::StrCat(path, ": cannot be read: ", std::strerror(reason)));
  const MappedFile file(at, size);
  return ReadTouches(file.text(), path, progress);
}

}  // namespace tools::policy
