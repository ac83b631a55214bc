#include "proptests/engine/exhaust.h"

#include <bitset>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/hash.h"
#include "proptests/engine/saved_session.h"
#include "proptests/engine/state_hash.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using traces::Op;
using traces::OpKind;

constexpr uint64_t kProgressEvery = 4096;

// One task's operations. %1 is the task, %2 the byte that it writes, %3 the first page's address,
// %4 the second's (the only one's), %5 all bytes; those with %6 are repeated for each page, whose
// address it is; %7 is a label of its own.
constexpr const char* kLines[] = {
    "~%1$d.write 0x%6$x 8 '%2$c'",
    "~%1$d.read 0x%6$x 8",
    "~%1$d.mmap 0x%3$x 0x%5$x rw- private,fixed",
    "~%1$d.mmap 0x%3$x 0x1000 rw- shared,fixed",
    "~%1$d.mmap 0x%4$x 0x1000 rw- private,fixed file f 0x0",
    "~%1$d.munmap 0x%6$x 0x1000",
    "~%1$d.mprotect 0x%3$x 0x%5$x r--",
    "~%1$d.mprotect 0x%3$x 0x%5$x rw-",
    "~%1$d.mprotect 0x%4$x 0x1000 none",
    "~%1$d.minherit 0x%3$x 0x%5$x share",
    "~%1$d.minherit 0x%3$x 0x%5$x zero",
    "~%1$d.minherit 0x%3$x 0x1000 copy",
    "~%1$d.madvise 0x%3$x 0x%5$x free",
    "~%1$d.mremap 0x%3$x 0x1000 0x%4$x 0x1000 fixed",
    "~%1$d.mlock 0x%3$x 0x1000",
    "~%1$d.munlock 0x%3$x 0x1000",
    "~%1$d.linux_dontneed 0x%4$x 0x1000",
    "~%1$d.msync 0x%3$x 0x%5$x sync",
    "~%1$d.mincore 0x%3$x 0x%5$x",
    "s%7$d = ~%1$d.fork",
    "~%1$d.exit",
};

// A state, by the way to it.
struct Node {
  uint32_t parent = 0;
  uint16_t op = 0;      // of the alphabet
  uint16_t births = 1;  // labels used
};

class Search {
 public:
  explicit Search(const ExhaustOptions& options)
      : options_(options),
        alphabet_(MakeAlphabet(options.tasks, options.pages)),
        session_(SessionOptions(options), &alphabet_.files),
        points_(options.depth + 1) {}

  ExhaustResult Run() {
    result_.levels.resize(options_.depth + 1);
    if (!Start()) return std::move(result_);
    size_t first = 0;
    for (uint32_t depth = 1; depth <= options_.depth; ++depth) {
      const size_t end = nodes_.size();
      for (size_t i = first; i < end; ++i) {
        MoveTo(static_cast<uint32_t>(i), depth - 1);
        if (!Expand(static_cast<uint32_t>(i), depth)) return std::move(result_);
      }
      first = end;
    }
    result_.pages_stored_to = session_.pages_stored_to();
    return std::move(result_);
  }

 private:
  static RunOptions SessionOptions(const ExhaustOptions& options) {
    RunOptions run = options.run;
    run.whole_every = 0;
    run.max_live_tasks = options.tasks;
    return run;
  }

  static Op FirstOp() {
    Op op;
    op.kind = OpKind::kSpace;
    op.child = 1;
    return op;
  }

  Op OpOf(const Node& before, uint32_t index) const {
    Op op = alphabet_.ops[index];
    if (op.kind == OpKind::kFork) op.child = before.births + 1u;
    return op;
  }

  // The state with one task and nothing mapped.
  bool Start() {
    if (!session_.Step(FirstOp())) return Fail(0, nullptr);
    session_.Save(&points_[0]);
    nodes_.push_back({});
    path_.push_back(0);
    return IsNew(1) ? NewState(0, 0, nullptr) : true;
  }

  // Whether the session's state is met for the first time.
  bool IsNew(uint16_t births) {
    uint64_t hash = births;
    hash = base::Chain(hash, session_.session().world().StateHash());
    if (session_.system() != nullptr) hash = base::Chain(hash, SystemStateHash(session_.system()));
    if (!met_.insert(hash).second) return false;
    result_.hash = base::Chain(result_.hash, hash);
    return true;
  }

  // All of it agrees, and nothing is left when all tasks have gone. The session is spent.
  bool NewState(uint32_t depth, uint32_t from, const Op* last) {
    ++result_.levels[depth].states;
    ++result_.states;
    const bool whole = session_.Do([](Session* session) { return session->Finish(); });
    return whole || Fail(from, last);
  }

  // The way to a node, its own operation last.
  std::vector<Op> WayTo(uint32_t node) const {
    std::vector<Op> ops;
    for (uint32_t i = node; i != 0; i = nodes_[i].parent) {
      ops.insert(ops.begin(), OpOf(nodes_[nodes_[i].parent], nodes_[i].op));
    }
    ops.insert(ops.begin(), FirstOp());
    return ops;
  }

  bool Fail(uint32_t from, const Op* last) {
    std::vector<Op> ops = nodes_.empty() ? std::vector<Op>{FirstOp()} : WayTo(from);
    if (last != nullptr) ops.push_back(*last);
    for (const Op& op : ops) result_.ops.push_back({op, std::nullopt});
    result_.failure = session_.session().failure();
    return false;
  }

  // Takes the session to a state of `depth`, by as few operations as possible.
  void MoveTo(uint32_t node, uint32_t depth) {
    std::vector<uint32_t> way(depth + 1);
    for (uint32_t i = node, d = depth;; i = nodes_[i].parent, --d) {
      way[d] = i;
      if (d == 0) break;
    }
    uint32_t shared = 0;
    while (shared + 1 < path_.size() && shared + 1 <= depth &&
           path_[shared + 1] == way[shared + 1]) {
      ++shared;
    }
    session_.Rewind(points_[shared]);
    for (uint32_t d = shared + 1; d <= depth; ++d) {
      CHECK(session_.Step(OpOf(nodes_[way[d - 1]], nodes_[way[d]].op)));
      session_.Save(&points_[d]);
    }
    path_ = std::move(way);
  }

  // Tries every operation in the state that the session is in.
  bool Expand(uint32_t node, uint32_t depth) {
    bool rewound = true;
    for (uint32_t index = 0; index < alphabet_.ops.size(); ++index) {
      const Op op = OpOf(nodes_[node], index);
      if (!rewound) session_.Rewind(points_[depth - 1]);
      rewound = true;
      if (op.task.number >= session_.session().world().LiveTasks().size()) break;
      rewound = false;
      const bool agrees = session_.Step(op);
      if (agrees && session_.session().last_was_skipped()) continue;
      ++result_.levels[depth].transitions;
      ++result_.stats.by_kind[static_cast<size_t>(op.kind)];
      if (++result_.transitions % kProgressEvery == 0 && options_.progress)
        options_.progress(result_.transitions);
      if (!agrees) return Fail(node, &op);
      result_.stats.ok += session_.session().last_outcome().ok() ? 1 : 0;
      const auto births = static_cast<uint16_t>(
          nodes_[node].births +
          (op.kind == OpKind::kFork && session_.session().last_outcome().ok() ? 1 : 0));
      if (!IsNew(births)) continue;
      nodes_.push_back({node, static_cast<uint16_t>(index), births});
      if (!NewState(depth, node, &op)) return false;
    }
    session_.Rewind(points_[depth - 1]);
    return true;
  }

  const ExhaustOptions& options_;
  const Alphabet alphabet_;
  SavedSession session_;
  std::vector<SavedSession::Point> points_;  // along path_
  std::vector<uint32_t> path_;               // nodes from the start to where the session was last
  std::vector<Node> nodes_;                  // in the order of being met
  absl::flat_hash_set<uint64_t> met_;
  ExhaustResult result_;
};

}  // namespace

uint32_t Alphabet::kinds() const {
  std::bitset<traces::kOpKindCount> met;
  for (const Op& op : ops) met.set(static_cast<size_t>(op.kind));
  return static_cast<uint32_t>(met.count());
}

Alphabet MakeAlphabet(uint32_t tasks, uint32_t pages) {
  CHECK(tasks >= 1 && tasks <= 8 && pages >= 1 && pages <= 8);
  std::string text = "# alphabet: what is tried in every state\n";
  const uint64_t second = kExhaustStart + (pages > 1 ? base::kPageSize : 0);
  for (uint32_t task = 0; task < tasks; ++task) {
    for (const char* line : kLines) {
      const bool each = absl::string_view(line).find("%6$") != absl::string_view::npos;
      for (uint32_t page = 0; page < (each ? pages : 1); ++page) {
        const absl::UntypedFormatSpec format(line);
        std::string formatted;
        CHECK(absl::FormatUntyped(
            &formatted, format,
            {absl::FormatArg(task), absl::FormatArg(static_cast<char>('A' + task)),
             absl::FormatArg(kExhaustStart), absl::FormatArg(second),
             absl::FormatArg(pages * base::kPageSize),
             absl::FormatArg(kExhaustStart + page * base::kPageSize), absl::FormatArg(task + 2)}));
        absl::StrAppend(&text, formatted, "\n");
      }
    }
  }
  auto trace = traces::ParseTrace(text, "alphabet");
  CHECK(trace.ok());
  Alphabet alphabet;
  for (const traces::Line& line : trace->lines) alphabet.ops.push_back(line.op);
  alphabet.files = trace->files;
  return alphabet;
}

ExhaustResult Exhaust(const ExhaustOptions& options) { return Search(options).Run(); }

}  // namespace proptests
