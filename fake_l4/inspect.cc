// Looking from outside, without touching anything: mappings, threads, waits, invariants.
#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

const char* ThreadStateName(ThreadState state) {
  switch (state) {
    case ThreadState::kInactive:
      return "inactive";
    case ThreadState::kReady:
      return "ready";
    case ThreadState::kSending:
      return "sending";
    case ThreadState::kReceiving:
      return "receiving";
    case ThreadState::kInTransfer:
      return "in transfer";
    case ThreadState::kWaitsForHost:
      return "waits for the host";
    case ThreadState::kReturned:
      return "returned";
    case ThreadState::kNoCode:
      return "no code at its ip";
    case ThreadState::kNoPager:
      return "page fault without a pager";
  }
  return "?";
}

// ---- Mappings ----

Mapping Core::MappingOfNode(NodeIndex i) const {
  Mapping m;
  if (database_.IsRoot(i)) {
    m.space = kSigma0Space;
    m.va = base::Vaddr(database_.frame_number(i) << kPageShift);
  } else {
    const MappingNode& n = database_.node(i);
    m.space = SpaceId{n.space};
    m.va = base::Vaddr(n.vpage << kPageShift);
    m.status = database_.links(i).pte->status();
    m.parent = n.parent;
  }
  m.frame = base::Paddr(database_.frame_number(i) << kPageShift);
  m.rights = database_.rights(i);
  m.node = i;
  m.log2 = database_.sizes().log2[database_.level(i)];
  return m;
}

Mapping Core::MappingOf(SpaceId space_id, uint64_t vpage) const {
  Mapping none;
  none.space = space_id;
  none.va = base::Vaddr(vpage << kPageShift);
  const size_t number = static_cast<size_t>(space_id);
  if (number >= spaces_.size() || spaces_[number] == nullptr) return none;
  if (space_id == kSigma0Space) {
    const NodeIndex root = database_.RootAt(vpage, 0);
    return root != 0 ? MappingOfNode(root) : none;
  }
  const PageTable::Found page = spaces_[number]->table.Walk(vpage);
  if (page.pte == nullptr) return none;
  Mapping m = MappingOfNode(page.pte->node());
  m.va = none.va;
  m.frame = base::Paddr(m.frame.value() + ((vpage - page.vpage) << kPageShift));
  return m;
}

bool Kernel::SpaceExists(SpaceId space) const {
  const size_t number = static_cast<size_t>(space);
  return number < core_->spaces_.size() && core_->spaces_[number] != nullptr;
}

bool Kernel::SpaceOf(L4_ThreadId_t thread, SpaceId* space) const {
  const Thread* t = core_->Find(thread);
  if (t != nullptr) *space = t->space->id;
  return t != nullptr;
}

Mapping Kernel::Inspect(SpaceId space, base::Vaddr va) const {
  return core_->MappingOf(space, va.value() >> kPageShift);
}

void Kernel::ForEachMapping(SpaceId space, absl::FunctionRef<void(const Mapping&)> visit) const {
  const Core& core = *core_;
  if (!SpaceExists(space)) return;
  if (space == kSigma0Space) {
    for (NodeIndex root = 1; core.database_.IsRoot(root); root++) {
      if (core.database_.links(root).first_child != 0) visit(core.MappingOfNode(root));
    }
    return;
  }
  PageTable& table = core.spaces_[static_cast<size_t>(space)]->table;
  const uint64_t limit = core.profile_.address_limit() >> kPageShift;
  for (uint64_t v = 0;;) {
    const PageTable::Found page = table.Next(v, limit);
    if (page.pte == nullptr) return;
    visit(core.MappingOfNode(page.pte->node()));
    v = page.vpage + table.pages(page.level);
  }
}

void Kernel::ForEachMapping(absl::FunctionRef<void(const Mapping&)> visit) const {
  for (size_t i = 0; i < core_->spaces_.size(); i++) {
    ForEachMapping(SpaceId{static_cast<uint32_t>(i)}, visit);
  }
}

void Kernel::ForEachPage(SpaceId space, absl::FunctionRef<void(const Mapping&)> visit) const {
  ForEachMapping(space, [&](const Mapping& whole) {
    const uint64_t bytes = uint64_t{1} << whole.log2;
    Mapping page = whole;
    for (uint64_t offset = 0; offset < bytes; offset += kPageBytes) {
      page.va = whole.va + offset;
      page.frame = base::Paddr(whole.frame.value() + offset);
      visit(page);
    }
  });
}

void Kernel::ForEachChild(SpaceId space, base::Vaddr va,
                          absl::FunctionRef<void(const Mapping&)> visit) const {
  const Mapping m = Inspect(space, va);
  if (!m.mapped()) return;
  const MappingDatabase& db = core_->database_;
  // sigma0 has a node for each size.
  const unsigned levels = space == kSigma0Space ? db.sizes().count : 1;
  for (unsigned level = 0; level < levels; level++) {
    const NodeIndex node =
        space == kSigma0Space ? db.RootAt(va.value() >> kPageShift, level) : m.node;
    if (node == 0) continue;
    for (NodeIndex i = db.links(node).first_child; i != 0; i = db.links(i).next) {
      visit(core_->MappingOfNode(i));
    }
  }
}

uint32_t Kernel::mapping_count() const { return core_->database_.live_nodes(); }

bool Kernel::DebugRead(SpaceId space, base::Vaddr va, void* to, size_t size) const {
  uint8_t* bytes = static_cast<uint8_t*>(to);
  while (size > 0) {
    const Mapping m = Inspect(space, va);
    if (!m.mapped()) return false;
    const size_t part = std::min<size_t>(size, kPageBytes - va.Offset());
    std::memcpy(bytes, core_->ram_at(m.frame.PageNumber()) + va.Offset(), part);
    bytes += part;
    va = va + part;
    size -= part;
  }
  return true;
}

// ---- Threads ----

ThreadInfo Core::InfoOf(const Thread& t) const {
  ThreadInfo info{};
  info.id = t.gid;
  info.local_id = L4_ThreadIdOfRaw(static_cast<L4_Word_t>(t.utcb_location));
  info.space = t.space->id;
  info.state = t.state;
  info.halted = t.halted;
  info.waits_for_start = t.waits_for_start;
  info.in_page_fault =
      t.kernel_ipc == KernelIpc::kPageFault || t.kernel_ipc == KernelIpc::kStringFault;
  info.in_transfer = t.transfer != nullptr;
  info.in_exception = t.kernel_ipc == KernelIpc::kException;
  info.halted_by_exception = t.halted && t.halted_by_exception;
  info.exception = t.exception;
  info.priority = t.priority;
  if (t.state == ThreadState::kSending) info.partner = t.send_to->gid;
  if (t.state == ThreadState::kReceiving) info.partner = t.from_spec;
  if (t.state == ThreadState::kInTransfer) info.partner = t.transfer->faulter->gid;
  info.pager = L4_ThreadIdOfRaw(t.utcb.pager);
  if (info.in_page_fault || t.state == ThreadState::kNoPager)
    info.fault_address = base::Vaddr(t.fault_va);
  info.ip = t.ip;
  info.sp = t.sp;
  for (const Thread* s = t.senders_head; s != nullptr; s = s->sender_next) info.queued_senders++;
  return info;
}

bool Kernel::Inspect(L4_ThreadId_t thread, ThreadInfo* info) const {
  const Thread* t = core_->Find(thread);
  if (t != nullptr) *info = core_->InfoOf(*t);
  return t != nullptr;
}

std::vector<ThreadInfo> Kernel::Threads() const {
  std::vector<ThreadInfo> result;
  for (const Thread* t : core_->by_number_) {
    // An interrupt that nobody is associated with is not worth a line.
    if (t == nullptr || (t->is_interrupt && t->state == ThreadState::kInactive)) continue;
    result.push_back(core_->InfoOf(*t));
  }
  return result;
}

namespace {

std::string IdText(L4_ThreadId_t id) {
  if (L4_IsNilThread(id)) return "nobody";
  if (id == L4_anythread) return "anyone";
  if (id == L4_anylocalthread) return "anyone of its space";
  return absl::StrCat(L4_ThreadNo(id), ".", L4_Version(id));
}

}  // namespace

std::string Kernel::DescribeWaits() const {
  std::string text;
  for (const ThreadInfo& t : Threads()) {
    absl::StrAppend(&text, "thread ", IdText(t.id), " (space ", static_cast<uint32_t>(t.space),
                    "): ");
    if (t.halted_by_exception) {
      absl::StrAppend(&text, "unhandled exception ", t.exception, " at ip 0x", absl::Hex(t.ip),
                      ", ");
    }
    if (t.halted) absl::StrAppend(&text, "halted, ");
    absl::StrAppend(&text, ThreadStateName(t.state));
    if (t.state == ThreadState::kSending) absl::StrAppend(&text, " to ", IdText(t.partner));
    if (t.state == ThreadState::kReceiving) absl::StrAppend(&text, " from ", IdText(t.partner));
    if (t.state == ThreadState::kInTransfer) {
      absl::StrAppend(&text, ", waits for a page of ", IdText(t.partner));
    }
    if (t.waits_for_start) absl::StrAppend(&text, ", not started yet");
    if (t.in_page_fault || t.state == ThreadState::kNoPager) {
      absl::StrAppend(&text, ", page fault", t.in_transfer ? " in transfer" : "", " at 0x",
                      absl::Hex(t.fault_address.value()));
    }
    if (t.in_exception) absl::StrAppend(&text, ", exception ", t.exception);
    if (t.queued_senders != 0) absl::StrAppend(&text, ", senders waiting: ", t.queued_senders);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

Ledger Kernel::ledger() const {
  Ledger l = core_->ledger_;
  const MappingCounters& c = core_->database_.counters();
  l.pages_mapped = c.mapped;
  l.pages_extended = c.extended;
  l.pages_unmapped = c.unmapped;
  l.pages_restricted = c.restricted;
  l.map_refusals = c.refused;
  l.faults_injected = core_->faults_.fired().size();
  l.pages_split = c.split;
  l.kernel_debugger_entries = c.debugger_entries;
  return l;
}

// ---- Invariants ----

bool Kernel::CheckInvariants(base::TextSink& out) const { return core_->CheckInvariants(out); }

bool Core::CheckNode(const Space& space, uint64_t vpage, unsigned level, const Pte& pte,
                     base::TextSink& out) const {
  const base::Vaddr va(vpage << kPageShift);
  const uint32_t number = static_cast<uint32_t>(space.id);
  const NodeIndex i = pte.node();
  const auto where = [&](const char* rule) -> base::TextSink& {
    return out << rule << ": space " << number << " " << va << " ";
  };
  if (i == 0 || database_.IsRoot(i))
    return where("PageTableEqualsDatabase") << "has no node", false;
  const MappingNode& n = database_.node(i);
  if (database_.links(i).pte != &pte || n.space != number || n.vpage != vpage || n.level != level) {
    return where("PageTableEqualsDatabase") << "names node " << i << ", which is another page's",
           false;
  }
  if (pte.rights() != profile_.Normalise(pte.rights())) {
    return where("RightsAreSeparable") << "has rights " << int{pte.rights()}, false;
  }
  if (n.prev != 0 ? database_.links(n.prev).next != i
                  : database_.links(n.parent).first_child != i) {
    return where("ChildrenAreLinked") << "is not in its parent's list", false;
  }
  if (options_.quirks.manual() && (pte.rights() & ~database_.rights(n.parent)) != 0) {
    return where("RightsWithinAncestors") << "has rights " << int{pte.rights()} << ", its parent "
                                          << int{database_.rights(n.parent)},
           false;
  }
  const uint64_t offset = pte.frame_number() - database_.frame_number(n.parent);
  if (offset >= database_.pages(database_.level(n.parent)) || database_.level(n.parent) < level) {
    return where("FramesLieWithinParents") << "maps frames that its parent does not", false;
  }
  if (database_.IsRoot(n.parent) && !Sigma0Gave(pte.frame_number(), database_.pages(level))) {
    return where("Sigma0KnowsOwners") << "has a frame that sigma0 gave to nobody", false;
  }
  uint32_t depth = 0;
  for (NodeIndex p = n.parent; !database_.IsRoot(p); p = database_.node(p).parent) {
    if (p == 0 || ++depth > database_.live_nodes()) {
      return where("ChainsEndAtSigma0") << "does not descend from sigma0", false;
    }
  }
  return true;
}

// A larger page has no smaller ones within.
bool Core::CheckOverlap(const Space& space, uint64_t vpage, unsigned level,
                        base::TextSink& out) const {
  const uint64_t end = vpage + space.table.pages(level);
  for (unsigned below = 0; below < level; below++) {
    uint64_t key = PageTable::FirstKey(below) | vpage >> space.table.shift(below) >> kLeafShift;
    for (; const Leaf* leaf = space.table.NextLeaf(&key); key++) {
      const uint64_t first = space.table.FirstPage(key);
      if (first >= end) break;
      for (unsigned i = 0; i < kLeafEntries; i++) {
        const uint64_t v = first + (uint64_t{i} << space.table.shift(below));
        if (!leaf->pte[i].present() || v < vpage || v >= end) continue;
        out << "PagesDoNotOverlap: space " << static_cast<uint32_t>(space.id) << " "
            << base::Vaddr(v << kPageShift) << " lies within a larger page";
        return false;
      }
    }
  }
  return true;
}

bool Core::CheckSpace(const Space& space, uint64_t* nodes, base::TextSink& out) const {
  uint64_t present = 0;
  for (unsigned level = 0; level < space.table.levels(); level++) {
    uint64_t key = PageTable::FirstKey(level);
    for (; const Leaf* leaf = space.table.NextLeaf(&key); key++) {
      const uint64_t first = space.table.FirstPage(key);
      uint32_t count = 0;
      for (unsigned i = 0; i < kLeafEntries; i++) {
        const bool used = (leaf->used[i / 64] >> i % 64 & 1) != 0;
        if (leaf->pte[i].present()) {
          count++;
          const uint64_t vpage = first + (uint64_t{i} << space.table.shift(level));
          if (!CheckNode(space, vpage, level, leaf->pte[i], out)) return false;
          if (!CheckOverlap(space, vpage, level, out)) return false;
        }
        if (used != leaf->pte[i].present()) count = UINT32_MAX;
      }
      present += count;
      if (count != leaf->count) {
        out << "LeafCounts: space " << static_cast<uint32_t>(space.id) << " leaf " << key
            << " counts " << leaf->count << ", has " << count;
        return false;
      }
    }
  }
  *nodes += present;
  if (present == space.table.present()) return true;
  out << "SpaceCounts: space " << static_cast<uint32_t>(space.id) << " counts "
      << space.table.present() << ", has " << present;
  return false;
}

bool Core::CheckThread(const Thread& t, base::TextSink& out) const {
  const bool should_queue = t.state == ThreadState::kReady && !t.halted;
  // The running thread may be in the queue or not, depending on whether it is about to give way.
  if (t.queued != should_queue && &t != running_) {
    out << "ReadyIffQueued: thread " << L4_ThreadNo(t.gid) << " is " << ThreadStateName(t.state);
    return false;
  }
  if ((t.state == ThreadState::kSending) != (t.send_to != nullptr)) {
    out << "SendingIffQueued: thread " << L4_ThreadNo(t.gid) << " is " << ThreadStateName(t.state);
    return false;
  }
  const L4_ThreadId_t local = L4_ThreadIdOfRaw(static_cast<L4_Word_t>(t.utcb_location));
  if (t.utcb_location != 0 && FindLocal(*t.space, local) != &t) {
    out << "LocalIdNamesItsThread: thread " << L4_ThreadNo(t.gid) << " is not found by its UTCB";
    return false;
  }
  // Of a transfer's two threads one waits for a page, the other one for that.
  const StringTransfer* x = t.transfer;
  const bool faults = t.kernel_ipc == KernelIpc::kStringFault;
  if ((x != nullptr) != (faults || t.state == ThreadState::kInTransfer) ||
      (x != nullptr && (t.state == ThreadState::kReady || faults != (x->faulter == &t) ||
                        x->sender->transfer != x || x->receiver->transfer != x))) {
    out << "TransfersPairThreads: thread " << L4_ThreadNo(t.gid) << " is "
        << ThreadStateName(t.state);
    return false;
  }
  for (const Thread* s = t.senders_head; s != nullptr; s = s->sender_next) {
    if (s->send_to != &t || (t.state == ThreadState::kReceiving && Accepts(t, *s))) {
      out << "NoMissedRendezvous: thread " << L4_ThreadNo(t.gid) << " waits although "
          << L4_ThreadNo(s->gid) << " sends to it";
      return false;
    }
  }
  return true;
}

bool Core::CheckMappings(base::TextSink& out) const {
  uint64_t nodes = 0;
  for (const auto& space : spaces_) {
    if (space != nullptr && !CheckSpace(*space, &nodes, out)) return false;
  }
  if (nodes != database_.live_nodes()) {
    out << "PageTableEqualsDatabase: " << database_.live_nodes() << " nodes, " << nodes << " pages";
    return false;
  }
  return true;
}

bool Core::CheckInvariants(base::TextSink& out) const {
  if (!CheckMappings(out)) return false;
  for (const Thread* t : by_number_) {
    if (t != nullptr && !CheckThread(*t, out)) return false;
  }
  if (several_processors_ && !NoStaleTranslation(out)) return false;
  return true;
}

}  // namespace fake_l4
