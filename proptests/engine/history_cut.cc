#include "proptests/engine/history_cut.h"

#include <algorithm>
#include <map>

#include "base/addr.h"
#include "base/hash.h"

namespace proptests {
namespace {

using traces::OpKind;
using traces::ResolvedOp;

bool IsAccess(OpKind kind) {
  return kind == OpKind::kRead || kind == OpKind::kWrite || kind == OpKind::kFetch;
}

// First page of a range and the end of its last.
struct Pages {
  uint64_t first;
  uint64_t end;
  bool Meets(const PageGroup& group) const {
    const auto at = std::lower_bound(group.begin(), group.end(), first);
    return at != group.end() && *at < end;
  }
};
Pages PagesAt(uint64_t at, uint64_t size) {
  return {base::TruncPage(at), base::RoundPage(at + size)};
}
Pages PagesOf(const ResolvedOp& op) {
  return PagesAt(op.at, op.kind == OpKind::kFetch ? 1 : op.size);
}

bool AnswersAnAddress(OpKind kind) {
  return kind == OpKind::kMmap || kind == OpKind::kVmAllocate || kind == OpKind::kVmMap;
}

// The address may be any.
bool IsPlacedAnywhere(const ResolvedOp& op) {
  switch (op.kind) {
    case OpKind::kMmap:
      return (op.flags & traces::kFlagFixed) == 0;
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
      return (op.flags & traces::kFlagAnywhere) != 0;
    default:
      return false;
  }
}

// Whether it is done to each of its pages by itself.
bool CanBeCut(const ResolvedOp& op) {
  const bool one_answer = MovesContents(op.kind) || op.kind == OpKind::kMincore;
  // A mapping that cannot be wired is none, and its first page alone has to be aligned.
  const bool whole = op.kind == OpKind::kMmap &&
                     ((op.flags & traces::kFlagWired) != 0 || traces::AlignmentOf(op.flags) != 0);
  if (one_answer || whole || op.kind == OpKind::kVmMap || IsPlacedAnywhere(op)) return false;
  return !IsAccess(op.kind) || PagesOf(op).end - PagesOf(op).first <= base::kPageSize;
}

// All ranges of addresses that it names, and that its answer does.
std::vector<Pages> NamedBy(const HistoryOp& done) {
  const ResolvedOp& op = done.op;
  std::vector<Pages> named;
  if (IsPlacedAnywhere(op)) {
    if (done.outcome.ok()) named.push_back(PagesAt(done.outcome.value, op.size));
    return named;
  }
  named.push_back(PagesOf(op));
  switch (op.kind) {
    case OpKind::kMremap:
      // Whether it works depends on what is there.
      if ((op.flags & traces::kFlagFixed) != 0) named.push_back(PagesAt(op.to, op.new_size));
      if (done.outcome.ok()) named.push_back(PagesAt(done.outcome.value, op.new_size));
      break;
    case OpKind::kVmRead:
      if (done.outcome.ok()) named.push_back(PagesAt(done.outcome.value, op.size));
      break;
    case OpKind::kVmCopy:
    case OpKind::kVmWrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
      named.push_back(PagesAt(op.to, op.size));
      break;
    default:
      break;
  }
  return named;
}

// Pages of addresses and of files, and the tasks' messages, which are tied or not.
class Ties {
 public:
  using Node = uint64_t;

  void Tie(Node a, Node b) {
    a = Root(a);
    b = Root(b);
    up_[std::max(a, b)] = std::min(a, b);
  }
  Node Root(Node node) {
    up_.try_emplace(node, node);
    while (up_[node] != node) node = up_[node] = up_[up_[node]];
    return node;
  }

  void Add(const HistoryOp& done) {
    const ResolvedOp& op = done.op;
    const bool to_file = op.file_key != 0 && op.backing == traces::Backing::kFile;
    if (op.kind == OpKind::kSendFile) {
      TieFile(op, Pages{0, base::RoundPage(op.size)}, kMessages);
      return;
    }
    if (!traces::TakesPlace(op.kind)) return;
    if (CanBeCut(op)) {
      if (!to_file) return;
      const Pages pages = PagesOf(op);
      for (uint64_t page = pages.first; page < pages.end; page += base::kPageSize) {
        Tie(page, OfFile(op, page - pages.first));
      }
      return;
    }
    std::optional<Node> first;
    if (op.kind == OpKind::kSend || op.kind == OpKind::kReceive) first = kMessages;
    for (const Pages& pages : NamedBy(done)) {
      for (uint64_t page = pages.first; page < pages.end; page += base::kPageSize) {
        if (!first) first = page;
        Tie(*first, page);
      }
    }
    if (to_file && first) TieFile(op, Pages{0, base::RoundPage(op.size)}, *first);
  }

 private:
  // Above all addresses.
  static constexpr Node kOther = uint64_t{1} << 63;
  static constexpr Node kMessages = kOther;

  static Node OfFile(const ResolvedOp& op, uint64_t bytes) {
    return kOther | base::Chain(op.file_key, (op.offset + bytes) >> base::kPageShift);
  }
  void TieFile(const ResolvedOp& op, Pages pages, Node node) {
    // An offset within a page reaches into one page more.
    for (uint64_t at = pages.first; at < pages.end; at += base::kPageSize) {
      Tie(node, OfFile(op, at));
      Tie(node, OfFile(op, std::min(at + base::kPageMask, op.size - 1)));
    }
  }

  std::map<Node, Node> up_;
};

// REQUIRES: its pages are several, it can be cut, and `page` is one of them.
HistoryOp PartAt(const HistoryOp& done, uint64_t page) {
  HistoryOp part = done;
  if (done.op.file_key != 0) part.op.offset += page - PagesOf(done.op).first;
  part.op.at = page;
  part.op.size = base::kPageSize;
  if (AnswersAnAddress(done.op.kind)) part.outcome.value = page;
  return part;
}

}  // namespace

bool MovesContents(OpKind kind) {
  switch (kind) {
    case OpKind::kMremap:
    case OpKind::kVmCopy:
    case OpKind::kVmRead:
    case OpKind::kVmWrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kSend:
    case OpKind::kReceive:
      return true;
    default:
      return false;
  }
}

bool IsAboutAllPages(OpKind kind) {
  switch (kind) {
    case OpKind::kFork:
    case OpKind::kTaskCreate:
    case OpKind::kExec:
    case OpKind::kMlockall:
    case OpKind::kMunlockall:
      return true;
    default:
      return false;
  }
}

std::optional<std::vector<PageGroup>> GroupsOf(const std::vector<HistoryOp>& setup,
                                               const std::vector<HistoryOp>& history) {
  Ties ties;
  // By address: whether the history names it, and not only the setup.
  std::map<uint64_t, bool> pages;
  for (const std::vector<HistoryOp>* ops : {&setup, &history}) {
    for (const HistoryOp& op : *ops) {
      if (op.op.kind == OpKind::kShmat || op.op.kind == OpKind::kShmdt) return std::nullopt;
      ties.Add(op);
      if (!traces::TakesPlace(op.op.kind)) continue;
      for (const Pages& named : NamedBy(op)) {
        for (uint64_t page = named.first; page < named.end; page += base::kPageSize) {
          pages[page] |= ops == &history;
        }
      }
    }
  }
  struct Group {
    PageGroup pages;
    bool named = false;
  };
  std::map<uint64_t, Group> groups;
  for (const auto& [page, named] : pages) {
    Group& group = groups[ties.Root(page)];
    group.pages.push_back(page);
    group.named |= named;
  }
  std::vector<PageGroup> all;
  for (auto& [root, group] : groups) {
    if (group.named) all.push_back(std::move(group.pages));
  }
  return all;
}

std::vector<HistoryOp> CutTo(const HistoryOp& op, const PageGroup& group) {
  if (!traces::TakesPlace(op.op.kind)) return {op};
  // How far a region goes is no matter of one page.
  if (op.op.kind == OpKind::kVmRegion) return {};
  if (!CanBeCut(op.op)) {
    for (const Pages& pages : NamedBy(op)) {
      if (pages.Meets(group)) return {op};
    }
    return {};
  }
  const Pages pages = PagesOf(op.op);
  if (!pages.Meets(group)) return {};
  if (pages.end - pages.first <= base::kPageSize) return {op};
  // It changes nothing, and which page it failed for is not said.
  if (!op.outcome.ok() && !op.cut_short) return {};
  std::vector<HistoryOp> parts;
  for (uint64_t page : group) {
    if (page >= pages.first && page < pages.end) parts.push_back(PartAt(op, page));
  }
  return parts;
}

namespace {

bool OnlyLooks(OpKind kind) { return kind == OpKind::kRead || kind == OpKind::kFetch; }

// Whether it depends on, and changes, nothing but the pages that it names.
bool IsAboutNamedPages(const HistoryOp& done) {
  if (done.cut_short) return false;
  switch (done.op.kind) {
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFetch:
    case OpKind::kVmCopy:
    case OpKind::kVmWrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kMprotect:
    case OpKind::kMinherit:
    case OpKind::kMunmap:
    case OpKind::kVmProtect:
    case OpKind::kVmInherit:
    case OpKind::kVmDeallocate:
      return true;
    case OpKind::kVmAllocate:
      return !IsPlacedAnywhere(done.op);
    default:
      return false;
  }
}

// Whether it may make memory show at a second address.
bool MakesAliases(const HistoryOp& done) {
  const OpKind kind = done.op.kind;
  return done.op.file_key != 0 || kind == OpKind::kMremap || kind == OpKind::kShmat;
}

// What stands for a page where pages are compared.
class PageKeys {
 public:
  PageKeys(const std::vector<HistoryOp>& setup, const std::vector<HistoryOp>& history) {
    bool aliases = false;
    for (const std::vector<HistoryOp>* ops : {&setup, &history}) {
      aliases |= std::any_of(ops->begin(), ops->end(), MakesAliases);
    }
    if (!aliases) return;
    groups_ = GroupsOf(setup, history);
    known_ = groups_.has_value();
  }
  // False: of nothing can be said that it differs.
  bool known() const { return known_; }
  uint64_t Of(uint64_t page) const {
    if (!groups_) return page;
    for (const PageGroup& group : *groups_) {
      if (std::binary_search(group.begin(), group.end(), page)) return group.front();
    }
    return page;
  }

 private:
  bool known_ = true;
  std::optional<std::vector<PageGroup>> groups_;
};

bool Meet(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  return std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

}  // namespace

std::vector<uint64_t> CommutingPairs(const std::vector<HistoryOp>& setup,
                                     const std::vector<HistoryOp>& history) {
  std::vector<uint64_t> commuting(history.size());
  const PageKeys keys(setup, history);
  if (!keys.known()) return commuting;
  const size_t count = std::min<size_t>(history.size(), 64);
  std::vector<std::vector<uint64_t>> pages(count);  // of those about named pages; else empty
  for (size_t i = 0; i < count; ++i) {
    if (!IsAboutNamedPages(history[i])) continue;
    for (const Pages& named : NamedBy(history[i])) {
      for (uint64_t page = named.first; page < named.end; page += base::kPageSize) {
        pages[i].push_back(keys.Of(page));
      }
    }
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const HistoryOp& a = history[i];
      const HistoryOp& b = history[j];
      if (a.responded < b.invoked || b.responded < a.invoked) continue;
      if (pages[i].empty() || pages[j].empty()) continue;
      const bool both_look = OnlyLooks(a.op.kind) && OnlyLooks(b.op.kind);
      if (!both_look && Meet(pages[i], pages[j])) continue;
      commuting[i] |= uint64_t{1} << j;
      commuting[j] |= uint64_t{1} << i;
    }
  }
  return commuting;
}

CanonicalHistory::CanonicalHistory(const std::vector<HistoryOp>& history) {
  constexpr uint32_t kThreads = 9;
  constexpr uint64_t kBits = 7;  // for each thread: how many of its operations
  uint64_t counts[kThreads] = {};
  for (const HistoryOp& op : history) {
    if (op.thread >= kThreads || ++counts[op.thread] >> kBits != 0) return;
  }
  places.resize(history.size());
  for (uint32_t i = 0; i < places.size(); ++i) places[i] = i;
  // total order: places in the history differ
  std::sort(places.begin(), places.end(), [&](uint32_t a, uint32_t b) {
    const HistoryOp& x = history[a];
    const HistoryOp& y = history[b];
    if (x.thread != y.thread) return x.thread < y.thread;
    return x.invoked != y.invoked ? x.invoked < y.invoked : a < b;
  });
  for (const uint32_t place : places) {
    ops.push_back(history[place]);
    uint64_t before = 0;
    for (const HistoryOp& other : history) {
      if (other.responded < history[place].invoked) before += uint64_t{1} << kBits * other.thread;
    }
    ops.back().invoked = before;
    ops.back().responded = 0;
    ops.back().likely_at = 0;
  }
}

}  // namespace proptests
