#include "proptests/engine/shrinker.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/addr.h"
#include "base/prot.h"

namespace proptests {
namespace {

using base::kPageSize;
using traces::Op;
using traces::OpKind;
using traces::Place;

bool TakesProt(OpKind kind) {
  return kind == OpKind::kMmap || kind == OpKind::kExecMap || kind == OpKind::kMprotect ||
         kind == OpKind::kVmProtect || kind == OpKind::kVmMap;
}

// Whether it maps zeros when it names nothing.
bool MayNameNothing(OpKind kind) { return kind == OpKind::kMmap || kind == OpKind::kExecMap; }

// Whether the operation has a second place.
bool TakesTo(OpKind kind) {
  return kind == OpKind::kMremap || kind == OpKind::kVmCopy || kind == OpKind::kVmWrite ||
         kind == OpKind::kPeek || kind == OpKind::kPoke;
}
uint64_t SizeAtTo(const Op& op) { return op.kind == OpKind::kMremap ? op.new_size : op.size; }

bool IsBirthOfEmpty(OpKind kind) {
  return kind == OpKind::kSpace || kind == OpKind::kTask || kind == OpKind::kTask32;
}

// Plain addresses: inside any map, so that moving them together keeps the story.
bool IsMovable(const Place& place) {
  return place.kind == Place::Kind::kAbsolute && place.offset >= traces::kMapMin &&
         place.offset < traces::kDefaultMapMax;
}

class Shrinking {
 public:
  Shrinking(Candidate start, Fingerprint print, const Experiment& experiment,
            const ShrinkLimits& limits)
      : best_(std::move(start)),
        print_(std::move(print)),
        experiment_(experiment),
        limits_(limits) {}

  Shrunk Run() {
    if (!Try(best_)) return {std::move(best_), Failure{}, executions_, false, 0};
    DropExpectations();
    DropChunks();
    if (limits_.operations_only) {
      return {std::move(best_), std::move(failure_), executions_, false, 0};
    }
    MakeAbsolute();
    while (!exhausted()) {
      bool changed = DropSingles();
      changed = FirstThreads() || changed;
      changed = MergeTasks() || changed;
      changed = LowerTasks() || changed;
      changed = InlineShares() || changed;
      changed = DropPairs() || changed;
      changed = RenameTasks() || changed;
      changed = CompactAddresses() || changed;
      changed = SimplifyArguments() || changed;
      changed = ShrinkMachine() || changed;
      if (!changed) break;
    }
    Shrunk shrunk{best_, failure_, executions_, false, 0};
    shrunk.minimal = !exhausted() && NoneCanBeLeftOut(&shrunk.fail_otherwise);
    shrunk.executions = executions_;
    return shrunk;
  }

 private:
  bool exhausted() const { return executions_ >= limits_.executions; }

  // Executes; keeps the candidate when it fails for the same reason.
  bool Try(Candidate candidate) {
    if (exhausted()) return false;
    ++executions_;
    Attempt attempt = experiment_(candidate);
    if (!attempt.failure || !(attempt.failure->print == print_)) return false;
    // What comes after the failing operation plays no part.
    uint64_t used = std::min<uint64_t>(candidate.ops.size(), attempt.failure->op_index + 1);
    candidate.ops.resize(used);
    best_ = std::move(candidate);
    failure_ = std::move(*attempt.failure);
    executed_ = std::move(attempt.executed);
    return true;
  }

  Candidate Without(size_t begin, size_t end) const {
    Candidate candidate = best_;
    candidate.ops.erase(candidate.ops.begin() + static_cast<ptrdiff_t>(begin),
                        candidate.ops.begin() + static_cast<ptrdiff_t>(end));
    return candidate;
  }

  // From the back, since what was built up late matters least to the tasks of the beginning.
  bool DropPass(size_t chunk) {
    bool changed = false;
    size_t end = best_.ops.size();
    while (end > 0 && !exhausted()) {
      size_t begin = end > chunk ? end - chunk : 0;
      if (end - begin < best_.ops.size() && Try(Without(begin, end))) changed = true;
      end = std::min(begin, best_.ops.size());
    }
    return changed;
  }

  void DropChunks() {
    for (size_t chunk = std::max<size_t>(best_.ops.size() / 2, 1); !exhausted();) {
      DropPass(chunk);
      if (chunk == 1) break;
      chunk = std::max<size_t>(std::min(chunk, best_.ops.size()) / 2, 1);
    }
    DropSingles();
  }

  // The proof: every run with one operation less.
  bool NoneCanBeLeftOut(uint64_t* fail_otherwise) {
    for (size_t i = 0; i < best_.ops.size(); ++i) {
      ++executions_;
      const Attempt attempt = experiment_(Without(i, i + 1));
      if (!attempt.failure) continue;
      if (attempt.failure->print == print_) return false;
      ++*fail_otherwise;
    }
    return true;
  }

  bool DropSingles() {
    bool changed = false;
    while (DropPass(1)) changed = true;
    return changed;
  }

  // A child takes its parent's place: the birth goes, and what the child did the parent does.
  bool MergeTasks() {
    bool changed = false;
    for (size_t i = best_.ops.size(); i-- > 0;) {
      if (i >= best_.ops.size()) continue;
      const Op birth = best_.ops[i].op;
      bool has_parent = birth.kind == OpKind::kFork || birth.kind == OpKind::kTaskCreate;
      if (!has_parent || birth.task.relative) continue;
      Candidate candidate = Without(i, i + 1);
      for (auto& [op, expected] : candidate.ops) {
        if (!op.task.relative && op.task.number == birth.child) op.task.number = birth.task.number;
        if (!op.target.relative && op.target.number == birth.child) op.target = {};
      }
      changed = Try(std::move(candidate)) || changed;
    }
    return changed;
  }

  // What a young task does, an older one may do as well; the younger may then not be needed.
  bool LowerTasks() {
    bool changed = false;
    for (size_t i = 0; i < best_.ops.size(); ++i) {
      const Op op = best_.ops[i].op;
      if (op.task.relative || IsBirthOfEmpty(op.kind) || op.kind == OpKind::kInject) continue;
      for (size_t k = 0; k < i && k < best_.ops.size(); ++k) {
        uint32_t older = best_.ops[k].op.child;
        if (older == op.task.number) break;
        if (older == 0) continue;
        Candidate candidate = best_;
        candidate.ops[i].op.task.number = older;
        if (!Try(std::move(candidate))) continue;
        changed = true;
        break;
      }
    }
    return changed;
  }

  // What another thread does its task's first may do: all of it, or one operation.
  bool FirstThreads() {
    Candidate all = best_;
    bool any = false;
    for (TestOp& test : all.ops) {
      any = any || test.op.thread != 0;
      test.op.thread = 0;
    }
    if (!any) return false;
    if (Try(std::move(all))) return true;
    bool changed = false;
    for (size_t i = 0; i < best_.ops.size(); ++i) {
      if (best_.ops[i].op.thread == 0) continue;
      Candidate candidate = best_;
      candidate.ops[i].op.thread = 0;
      changed = Try(std::move(candidate)) || changed;
    }
    return changed;
  }

  // Mapping and then inheriting by SHARE becomes mapping shared.
  bool InlineShares() {
    bool changed = false;
    for (size_t i = best_.ops.size(); i-- > 0;) {
      if (i >= best_.ops.size()) continue;
      const Op op = best_.ops[i].op;
      bool share = (op.kind == OpKind::kMinherit || op.kind == OpKind::kVmInherit) &&
                   op.inherit == base::Inherit::kShare;
      for (size_t k = i; share && k-- > 0;) {
        if (best_.ops[k].op.kind != OpKind::kMmap && best_.ops[k].op.kind != OpKind::kVmAllocate)
          continue;
        Candidate candidate = Without(i, i + 1);
        MakeSharedMmap(&candidate.ops[k].op);
        if (!Try(std::move(candidate))) continue;
        changed = true;
        break;
      }
    }
    return changed;
  }

  static void MakeSharedMmap(Op* op) {
    if (op->kind == OpKind::kVmAllocate) {
      op->kind = OpKind::kMmap;
      op->prot = base::kProtReadWrite;
      op->flags = (op->flags & traces::kFlagAnywhere) != 0 ? 0u : uint32_t{traces::kFlagFixed};
    }
    op->flags = (op->flags & ~uint32_t{traces::kFlagPrivate}) | traces::kFlagShared;
  }

  // Two operations that only go together: map and unmap, protect and protect again.
  bool DropPairs() {
    constexpr size_t kFew = 24;  // some 250 runs
    bool changed = false;
    for (size_t i = 0; best_.ops.size() <= kFew && i < best_.ops.size(); ++i) {
      for (size_t k = i + 1; k < best_.ops.size(); ++k) {
        Candidate candidate = Without(k, k + 1);
        candidate.ops.erase(candidate.ops.begin() + static_cast<ptrdiff_t>(i));
        if (!Try(std::move(candidate))) continue;
        changed = true;
        k = i;  // the operations behind have moved
      }
    }
    return changed;
  }

  // What the trace expected matters only when that is what disagrees.
  void DropExpectations() {
    Candidate candidate = best_;
    bool any = false;
    for (TestOp& test : candidate.ops) {
      any = any || test.expected.has_value();
      test.expected.reset();
    }
    if (any) Try(std::move(candidate));
  }

  void MakeAbsolute() {
    Candidate candidate = best_;
    candidate.ops = executed_;
    Try(std::move(candidate));
  }

  // Moves all addresses down, by one distance, and squeezes unused stretches between them to one
  // page.
  bool CompactAddresses() {
    std::map<uint64_t, uint64_t> pages;  // page number -> new page number
    for (const auto& [op, expected] : best_.ops) {
      if (!traces::TakesPlace(op.kind)) continue;
      NotePages(op.at, op.size, &pages);
      if (TakesTo(op.kind)) NotePages(op.to, SizeAtTo(op), &pages);
    }
    if (pages.empty()) return false;
    uint64_t first = pages.begin()->first;
    if (first > 1 && TryMoved([first](uint64_t page) { return page - first + 1; })) return true;
    uint64_t next = 1;
    uint64_t last = first;
    for (auto& [page, target] : pages) {
      if (page > last + 1) ++next;  // a gap stays a gap
      target = next++;
      last = page;
    }
    return TryMoved([&pages](uint64_t page) {
      auto it = pages.find(page);
      return it == pages.end() ? page : it->second;
    });
  }

  static void NotePages(const Place& place, uint64_t size, std::map<uint64_t, uint64_t>* pages) {
    constexpr uint64_t kMostPages = 512;
    if (!IsMovable(place)) return;
    uint64_t first = place.offset / kPageSize;
    uint64_t count =
        std::min((size + place.offset % kPageSize + kPageSize - 1) / kPageSize + 1, kMostPages);
    for (uint64_t i = 0; i < count; ++i) (*pages)[first + i] = 0;
  }

  template <typename Move>
  bool TryMoved(const Move& move) {
    Candidate candidate = best_;
    bool changed = false;
    auto apply = [&](Place* place) {
      if (!IsMovable(*place)) return;
      uint64_t moved = move(place->offset / kPageSize) * kPageSize + place->offset % kPageSize;
      changed = changed || moved != place->offset;
      place->offset = moved;
    };
    for (auto& [op, expected] : candidate.ops) {
      if (!traces::TakesPlace(op.kind)) continue;
      apply(&op.at);
      if (TakesTo(op.kind)) apply(&op.to);
    }
    return changed && Try(std::move(candidate));
  }

  bool SimplifyArguments() {
    bool changed = false;
    for (size_t i = 0; i < best_.ops.size() && !exhausted(); ++i) {
      bool again = true;
      while (again && i < best_.ops.size() && !exhausted()) {
        again = false;
        for (const Op& simpler : Simpler(best_.ops[i].op)) {
          Candidate candidate = best_;
          candidate.ops[i].op = simpler;
          if (Try(std::move(candidate))) {
            again = changed = true;
            break;
          }
        }
      }
    }
    return changed;
  }

  // Every step goes down in some order (size, offset, value, number of flags), so that simplifying
  // ends.
  static std::vector<Op> Simpler(const Op& op) {
    std::vector<Op> list;
    auto add = [&](auto change) {
      Op other = op;
      change(&other);
      if (!(other == op)) list.push_back(other);
    };
    AddSizes(op, add);
    add([](Op* o) { o->target = {}; });
    add([](Op* o) { o->mask = 0; });
    if (op.skip != 0) {
      add([](Op* o) { o->skip = 0; });
      add([](Op* o) { o->skip /= 2; });
      add([](Op* o) { --o->skip; });
    }
    if (op.file != 0) {
      if (MayNameNothing(op.kind))
        add([](Op* o) { o->file = 0, o->offset = 0, o->backing = traces::Backing::kFile; });
      add([](Op* o) { o->offset = 0; });
      add([](Op* o) { o->offset = base::TruncPage(o->offset); });
      if (MayNameNothing(op.kind)) add([](Op* o) { o->file = 1; });
    }
    if (op.kind == OpKind::kWrite && (op.value < 'A' || op.value > 'Z'))
      add([](Op* o) { o->value = 'A'; });
    if (traces::TakesPlace(op.kind) && op.at.kind == Place::Kind::kAbsolute) {
      add([](Op* o) { o->at.offset = base::TruncPage(o->at.offset); });
    }
    if (TakesProt(op.kind) && !(op.prot == base::kProtReadWrite) && !(op.prot == base::kProtRead)) {
      add([](Op* o) { o->prot = base::kProtReadWrite; });
      add([](Op* o) { o->prot = base::kProtRead; });
    }
    if ((op.flags & traces::kFlagTryFixed) != 0)
      add([](Op* o) { o->flags &= ~uint32_t{traces::kFlagTryFixed}; });
    if ((op.flags & traces::kFlagWired) != 0)
      add([](Op* o) { o->flags &= ~uint32_t{traces::kFlagWired}; });
    if (traces::AlignmentOf(op.flags) != 0)
      add([](Op* o) { o->flags &= ~traces::AlignedTo(traces::kMaxAlignment); });
    return list;
  }

  template <typename Add>
  static void AddSizes(const Op& op, const Add& add) {
    if (IsBirthOfEmpty(op.kind)) {
      add([](Op* o) { o->size = 0; });
      return;
    }
    bool access = op.kind == OpKind::kRead || op.kind == OpKind::kWrite;
    if (access && op.size > 1) {
      add([](Op* o) { o->size = 1; });
      add([](Op* o) { o->size /= 2; });
    }
    if (!access && op.size > 0) AddCallSizes(op, add);
  }

  template <typename Add>
  static void AddCallSizes(const Op& op, const Add& add) {
    if (op.size < kPageSize) add([](Op* o) { o->size = kPageSize; });
    for (uint64_t size : SmallerSizes(op.size)) add([size](Op* o) { o->size = size; });
    for (uint64_t size : SmallerSizes(op.new_size)) add([size](Op* o) { o->new_size = size; });
  }

  // Halves lead down from huge sizes; page by page only where few are left.
  static std::vector<uint64_t> SmallerSizes(uint64_t size) {
    constexpr uint64_t kFew = 32 * kPageSize;
    std::vector<uint64_t> sizes;
    if (size <= kPageSize) return sizes;
    sizes = {kPageSize, base::TruncPage(size / 2)};
    if (size <= kFew || !base::IsPageAligned(size)) sizes.push_back(base::TruncPage(size - 1));
    return sizes;
  }

  bool RenameTasks() {
    std::map<uint32_t, uint32_t> names;
    for (const auto& [op, expected] : best_.ops) {
      if (op.child != 0) names.emplace(op.child, static_cast<uint32_t>(names.size() + 1));
    }
    Candidate candidate = best_;
    bool changed = false;
    auto rename = [&](uint32_t* label) {
      auto it = names.find(*label);
      if (it == names.end() || it->second == *label) return;
      *label = it->second;
      changed = true;
    };
    for (auto& [op, expected] : candidate.ops) {
      if (!op.target.relative && op.target.number != 0) rename(&op.target.number);
      if (op.child != 0) rename(&op.child);
      if (!op.task.relative && !IsBirthOfEmpty(op.kind)) rename(&op.task.number);
    }
    return changed && Try(std::move(candidate));
  }

  bool ShrinkMachine() {
    bool changed = false;
    constexpr uint32_t kFewest = 64;  // below, boot itself has no room
    // Half as many may be too few for what fewer would do for: fewer have to be filled, too.
    for (const uint32_t part : {2u, 4u, 8u, 16u}) {
      while (best_.frames - best_.frames / part >= kFewest) {
        Candidate candidate = best_;
        candidate.frames -= candidate.frames / part;
        if (!Try(std::move(candidate))) break;
        changed = true;
      }
    }
    return changed;
  }

  Candidate best_;
  Failure failure_;
  std::vector<TestOp> executed_;
  const Fingerprint print_;
  const Experiment& experiment_;
  const ShrinkLimits limits_;
  uint64_t executions_ = 0;
};

}  // namespace

Shrunk Shrink(Candidate start, const Fingerprint& print, const Experiment& experiment,
              const ShrinkLimits& limits) {
  return Shrinking(std::move(start), print, experiment, limits).Run();
}

}  // namespace proptests
