#include "proptests/engine/state_relation.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/pattern.h"
#include "base/text_sink.h"
#include "uvm/invariants.h"
#include "uvm/pager.h"
#include "uvm/swap.h"
#include "uvm/uvm.h"
#include "vmserver/shared.h"

namespace proptests {
namespace {

using base::kPageSize;
using base::Range;
using base::Vaddr;

// No walk of the invariants leaves such a count of an amap's pages behind.
constexpr uint64_t kOfOneMap = uint64_t{1} << 63;

[[gnu::cold]] std::optional<Finding> Broken(FailureClass cls, const char* rule, std::string text) {
  return Finding{{cls, rule}, std::move(text)};
}

std::string PageName(uint32_t task, Vaddr va) {
  return absl::StrFormat("s%d page 0x%x", task, va.value());
}

std::string RangeText(const Range& range) {
  return absl::StrFormat("[0x%x,0x%x)", range.start.value(), range.end.value());
}

std::string AttributesText(const model::Attributes& a) {
  return absl::StrCat(base::ProtName(a.prot), " max ", base::ProtName(a.max_prot), " inherit ",
                      base::InheritName(a.inherit), " advice ", base::AdviceName(a.advice),
                      a.shared ? " shared" : "", a.wired ? " wired" : "");
}

model::Attributes AttributesOf(const uvm::MapEntry& s) {
  return {s.prot, s.max_prot, s.inherit, s.advice, s.shared, s.wired_count > 0};
}

// AttributesOf(s) == m, in one comparison: of each entry of a map, after each call.
bool HasAttributes(const uvm::MapEntry& s, const model::Attributes& m) {
  auto bits = [](auto word) { return static_cast<uint32_t>(word); };
  return ((bits(s.prot.bits()) ^ bits(m.prot.bits())) |
          (bits(s.max_prot.bits()) ^ bits(m.max_prot.bits())) |
          (bits(s.inherit) ^ bits(m.inherit)) | (bits(s.advice) ^ bits(m.advice)) |
          (bits(s.shared) ^ bits(m.shared)) | (bits(s.wired_count > 0) ^ bits(m.wired))) == 0;
}

// The X.2 order of rights, as the kernel counts them (r = 4, w = 2, x = 1).
base::Prot ProtOfKernelRights(fake_l4::RightsBits rights) {
  base::Prot prot;
  if ((rights & fake_l4::kR) != 0) prot = prot | base::kProtRead;
  if ((rights & fake_l4::kW) != 0) prot = prot | base::kProtWrite;
  if ((rights & fake_l4::kX) != 0) prot = prot | base::kProtExecute;
  return prot;
}

std::string FirstDifference(const unsigned char* expected, const unsigned char* found,
                            uint64_t start, uint64_t size) {
  uint64_t i = 0;
  while (i < size && expected[i] == found[i]) ++i;
  if (i == size) return "";
  return absl::StrFormat("byte 0x%x is 0x%02x in the system, 0x%02x in the model", start + i,
                         found[i], expected[i]);
}

}  // namespace

StateRelation::StateRelation(const model::World* m, machine::Machine* s)
    : m_(m),
      s_(s),
      boot_spaces_(s->uvm().DebugSpaces().size()),
      boot_pmaps_(s->pmap().pmap_count()),
      boot_frames_(FramesInUse()),
      boot_kernel_(CountKernel()),
      ram_base_(s->kernel().ram_base()),
      compared_(s->kernel().ram_bytes() >> base::kPageShift) {}

const uvm::MapEntry* StateRelation::FindEntry(const uvm::Map& map, Vaddr va) {
  const uvm::MapEntry* at = map.DebugRoot();
  while (at != nullptr && (va < at->start || va >= at->end))
    at = at->rb_child[va < at->start ? 0 : 1];
  return at;
}

StateRelation::Held StateRelation::HeldAt(const uvm::MapEntry& entry, Vaddr va) const {
  if (entry.aref.amap != nullptr) {
    uint32_t slot = entry.SlotOf(va);
    if (slot >= entry.aref.amap->slot_count) return {};
    const uvm::Anon* anon = entry.aref.amap->anons[slot];
    if (anon != nullptr) return HeldOf(anon);
  }
  if (entry.object == nullptr) return {};
  const base::PageIndex index = entry.ObjectIndexOf(va);
  Held held = {entry.object->DebugLookup(index), uvm::kNoSlot};
  const uvm::AnonymousPager& anonymous = s_->uvm().DebugAnonymous();
  if (entry.object->pager() == &anonymous) held.slot = anonymous.FindSlot(entry.object, index);
  return held;
}

bool StateRelation::LoadSlot(uvm::SwapSlot slot, Stretch part, unsigned char* out) const {
  if (slot == uvm::kBadSlot) return false;
  if (part.size == kPageSize) return s_->uvm().swap().DebugRead(slot, out);
  model::PageBytes page;
  if (!s_->uvm().swap().DebugRead(slot, page.data())) return false;
  std::memcpy(out, page.data() + part.start, part.size);
  return true;
}

// To compare without a copy. Whether they are what was written says the sum, which costs as much
// again: at the end of a case.
const unsigned char* StateRelation::BytesOfSlot(uvm::SwapSlot slot) const {
  return thorough_ || slot == uvm::kBadSlot ? nullptr : s_->uvm().swap().DebugBytes(slot);
}

void StateRelation::LoadBase(const uvm::MapEntry& entry, Vaddr va, Stretch part,
                             unsigned char* out) {
  if (entry.object != nullptr && entry.object->pager()->kind() == uvm::Pager::Kind::kDevice) {
    LoadFrame(entry, va, part, out);
  } else if (entry.object == nullptr ||
             entry.object->pager()->kind() == uvm::Pager::Kind::kAnonymous) {
    std::memset(out, 0, part.size);
  } else {
    uint64_t offset = base::ToBytes(entry.ObjectIndexOf(va)) + part.start;
    s_->server().DebugFiles().DebugRead(entry.object->key(), offset, part.size, out);
  }
}

// Of the frame buffer; zeros where it has no frame, or does not show it.
void StateRelation::LoadFrame(const uvm::MapEntry& entry, Vaddr va, Stretch part,
                              unsigned char* out) {
  const uint64_t page = entry.ObjectIndexOf(va).value();
  const vmserver::FrameBuffer& device = s_->server().DebugShared().frame_buffer();
  if (entry.copy_on_write || page >= device.config().pages) {
    std::memset(out, 0, part.size);
  } else {
    std::memcpy(out, s_->kernel().DebugFrame(device.DebugFrame(page)) + part.start, part.size);
  }
}

StateRelation::Result StateRelation::TasksAgree() {
  std::vector<uint32_t> m = m_->LiveTasks();
  if (m.size() != s_->live_count()) {
    return Broken(
        FailureClass::kStructure, "TasksAgree",
        absl::StrCat(s_->live_count(), " tasks alive in the system, ", m.size(), " in the model"));
  }
  for (uint32_t task : m) {
    const uvm::Space* space = s_->space_of(task);
    if (space == nullptr) {
      return Broken(FailureClass::kStructure, "TasksAgree",
                    absl::StrCat("s", task, " has no space in the system"));
    }
    Range bounds = {space->map().min(), space->map().max()};
    if (!(bounds == m_->Bounds(task))) {
      return Broken(FailureClass::kStructure, "TasksAgree",
                    absl::StrCat("s", task, ": bounds ", RangeText(bounds), " in the system, ",
                                 RangeText(m_->Bounds(task)), " in the model"));
    }
  }
  return std::nullopt;
}

StateRelation::KernelCounts StateRelation::CountKernel() const {
  const std::vector<fake_l4::ThreadInfo> threads = s_->kernel().Threads();
  std::vector<uint32_t> spaces;
  for (const fake_l4::ThreadInfo& thread : threads) {
    spaces.push_back(static_cast<uint32_t>(thread.space));
  }
  std::sort(spaces.begin(), spaces.end());  // total order: numbers
  spaces.erase(std::unique(spaces.begin(), spaces.end()), spaces.end());
  return {threads.size() - s_->server().threads().count(), spaces.size()};
}

StateRelation::Result StateRelation::KernelTasksAgree(const char* rule) {
  const std::vector<uint32_t> tasks = m_->LiveTasks();
  const uint64_t live = tasks.size();
  uint64_t threads = 0;
  for (uint32_t task : tasks) threads += m_->CountThreads(task);
  const KernelCounts now = CountKernel();
  if (now == KernelCounts{boot_kernel_.threads + threads, boot_kernel_.spaces + live}) {
    return std::nullopt;
  }
  return Broken(FailureClass::kStructure, rule,
                absl::StrCat(live, " tasks with ", threads,
                             " threads are alive, but the kernel has ", now.threads, " threads (",
                             boot_kernel_.threads, " at boot) besides the server's, and ",
                             now.spaces, " spaces with threads (", boot_kernel_.spaces, ")"));
}

// Walks both descriptions side by side; the system may have cut a run into several entries.
StateRelation::Result StateRelation::AttributesAgree(uint32_t task, const uvm::Map& map) {
  const uvm::MapEntry* s = map.DebugFirst();
  Result found;
  m_->ForEachRange(task, [&](Range range, const model::Attributes& m) {
    Vaddr at = range.start;
    while (!found && at < range.end) {
      if (s == nullptr || s->start != at || s->end > range.end || !HasAttributes(*s, m)) {
        std::string system = s == nullptr ? "nothing more"
                                          : absl::StrCat(RangeText(s->range()), " ",
                                                         AttributesText(AttributesOf(*s)));
        found = Broken(FailureClass::kOutcome, "AttributesAgree",
                       absl::StrCat("s", task, " from ", absl::StrFormat("0x%x", at.value()), ": ",
                                    system, " in the system, ", RangeText(range), " ",
                                    AttributesText(m), " in the model"));
        return;
      }
      at = s->end;
      s = uvm::Map::DebugNext(const_cast<uvm::MapEntry*>(s));
    }
  });
  if (!found && s != nullptr) {
    found = Broken(
        FailureClass::kOutcome, "AttributesAgree",
        absl::StrCat("s", task, ": ", RangeText(s->range()), " ", AttributesText(AttributesOf(*s)),
                     " in the system, nothing in the model"));
  }
  return found;
}

// One slot in sixteen is looked at again, another one each time.
bool StateRelation::IsUnchangedOnSwap(uvm::SwapSlot slot, const model::PageView& view) const {
  if (thorough_ || (slot + whole_checks_) % 16 == 0 || view.kind == model::PageKind::kEither) {
    return false;
  }
  auto at = slots_compared_.find(slot);
  return at != slots_compared_.end() && at->second == view.version;
}

bool StateRelation::IsLost(uint32_t task, Vaddr va) const {
  const uvm::Space* space = s_->space_of(task);
  const uvm::MapEntry* entry = space == nullptr ? nullptr : FindEntry(space->map(), va);
  if (entry == nullptr) return false;
  const Held held = HeldAt(*entry, va);
  return held.page == nullptr && held.slot == uvm::kBadSlot;
}

bool StateRelation::WasRefused(uint32_t task, Vaddr va) const {
  const std::vector<machine::SwapSet::Refused>& refused = s_->swap_set().refused();
  if (refused.empty()) return false;
  const uvm::Space* space = s_->space_of(task);
  const uvm::MapEntry* entry = space == nullptr ? nullptr : FindEntry(space->map(), va);
  if (entry == nullptr) return false;
  const Held held = HeldAt(*entry, va);
  if (held.page != nullptr) return false;
  machine::SwapSet::Refused at{};
  at.device = s_->uvm().swap().DebugPlace(held.slot, &at.block);
  return at.device != nullptr && std::find(refused.begin(), refused.end(), at) != refused.end();
}

bool StateRelation::AnyLost(uint32_t task) const {
  const uvm::Space* space = s_->space_of(task);
  if (space == nullptr) return false;
  for (uvm::MapEntry* entry = space->map().DebugFirst(); entry != nullptr;
       entry = uvm::Map::DebugNext(entry)) {
    const uvm::Amap* amap = entry->aref.amap;
    for (uint32_t i = 0; amap != nullptr && i < amap->used_count; ++i) {
      if (amap->anons[amap->used[i]]->slot == uvm::kBadSlot) return true;
    }
    const bool anonymous =
        entry->object != nullptr && entry->object->pager() == &s_->uvm().DebugAnonymous();
    if (anonymous && ObjectHasLost(*entry)) return true;
  }
  return false;
}

bool StateRelation::KnowsCopies(uint32_t task, Range range) const {
  const uvm::Space* space = s_->space_of(task);
  model::PageCursor model = m_->PagesOf(task);
  for (Vaddr va = range.start; va < range.end; va = va + kPageSize) {
    const uvm::MapEntry* entry = FindEntry(space->map(), va);
    if (entry == nullptr || entry->object == nullptr || entry->aref.amap == nullptr) continue;
    const uint32_t slot = entry->SlotOf(va);
    const uvm::Amap* amap = entry->aref.amap;
    const bool copied = slot < amap->slot_count && amap->anons[slot] != nullptr;
    if (copied && !model.IsOwned(va.value())) return false;
  }
  return true;
}

bool StateRelation::AnyObjectHasLost() const {
  const uvm::AnonymousPager& anonymous = s_->uvm().DebugAnonymous();
  const uvm::ObjectStore::List& objects = s_->uvm().DebugObjects().DebugAll();
  for (uvm::Object* object = objects.front(); object != nullptr; object = objects.Next(object)) {
    if (object->pager() != &anonymous) continue;
    bool lost = false;
    anonymous.Slots(object).ForEach(
        base::PageIndex(0), base::PageIndex(~uint64_t{0}),
        [&lost](base::PageIndex, uvm::SwapSlot slot) { lost |= slot == uvm::kBadSlot; });
    if (lost) return true;
  }
  return false;
}

bool StateRelation::ObjectHasLost(const uvm::MapEntry& entry) const {
  const uvm::AnonymousPager& anonymous = s_->uvm().DebugAnonymous();
  for (Vaddr va = entry.start; va < entry.end; va = va + kPageSize) {
    if (anonymous.FindSlot(entry.object, entry.ObjectIndexOf(va)) == uvm::kBadSlot) return true;
  }
  return false;
}

std::optional<Finding> StateRelation::LossesHaveCauses() {
  const uint64_t lost = s_->uvm().counters().swap_in_errors;
  const uint64_t spoilt = s_->swap_set().pages_spoilt() + s_->swap_set().reads_refused();
  if (lost <= spoilt) return std::nullopt;
  return Broken(FailureClass::kContents, "LossesHaveCauses",
                absl::StrCat(lost, " pages could not be read from swap, ", spoilt,
                             " were spoilt by injected faults"));
}

StateRelation::Result StateRelation::CleanPageIsOnSwap(const uvm::Page& page, uvm::SwapSlot slot) {
  if (slot == uvm::kNoSlot || slot == uvm::kBadSlot) return std::nullopt;
  if (page.IsBusy() || page.dirty != uvm::Dirty::kClean) return std::nullopt;
  if (!thorough_ && (page.pa.PageNumber() + whole_checks_) % 8 != 0) return std::nullopt;
  bytes_compared_ += kPageSize;
  if (!LoadSlot(slot, {0, kPageSize}, expected_.data())) {
    if (s_->swap_set().pages_spoilt() != 0) return LossesHaveCauses();
    return Broken(FailureClass::kContents, "CleanPagesAreOnSwap",
                  absl::StrCat("slot ", slot, " of a clean page cannot be read"));
  }
  const unsigned char* found = s_->kernel().DebugFrame(page.pa);
  if (std::memcmp(found, expected_.data(), kPageSize) == 0) return std::nullopt;
  return Broken(FailureClass::kContents, "CleanPagesAreOnSwap",
                absl::StrCat("a page counts as clean and is not what its slot ", slot,
                             " holds: ", FirstDifference(expected_.data(), found, 0, kPageSize)));
}

StateRelation::Result StateRelation::SwapAgrees() {
  const std::vector<model::SwapTable::Device>& m = m_->swap().devices;
  if (m.empty()) return std::nullopt;
  std::vector<uvm::SwapStats> stats(m.size());
  const uint32_t on =
      s_->uvm().swap().DebugStats(stats.data(), static_cast<uint32_t>(stats.size()));
  uint32_t expected = 0;
  for (uint32_t i = 0; i < m.size(); ++i) {
    if (!m[i].on) continue;
    ++expected;
    bool there = false;
    for (uint32_t k = 0; k < on && k < stats.size(); ++k) {
      there |= stats[k].device == s_->swap_set().devices()[i] && !stats[k].going_off &&
               static_cast<uint32_t>(stats[k].priority) == m[i].priority;
    }
    if (!there) {
      return Broken(FailureClass::kStructure, "SwapAgrees",
                    absl::StrCat("swap device ", i, " is on with priority ", m[i].priority,
                                 " in the model, and is not in the system"));
    }
  }
  if (on == expected) return std::nullopt;
  return Broken(
      FailureClass::kStructure, "SwapAgrees",
      absl::StrCat(on, " swap devices are on in the system, ", expected, " in the model"));
}

bool StateRelation::IsUnchanged(const uvm::Page& page, const model::PageView& view,
                                Compared* compared) const {
  constexpr uint64_t kOneIn = 16;
  const uint32_t stamp = s_->kernel().DebugStamp(page.pa);
  if (compared->stamp != stamp || compared->version != view.version) {
    compared->stamp = stamp;
    compared->version = view.version;
    compared->parts = 0;
    return false;
  }
  const bool sampled = (page.pa.PageNumber() + whole_checks_) % kOneIn == 0;
  return compared->parts >= kParts && !thorough_ && !sampled;
}

StateRelation::Stretch StateRelation::NextStretch(model::PageKind kind, const Compared* compared) {
  if (kind != model::PageKind::kUntouchedFile || thorough_) return {0, kPageSize};
  const uint64_t part = compared != nullptr ? compared->parts : ++part_;
  return {part % kParts * kPartBytes, kPartBytes};
}

StateRelation::Result StateRelation::ContentsAgree(uint32_t task, const uvm::MapEntry* entry,
                                                   const Held& held, const model::PageView& view,
                                                   model::PageCursor* model) {
  const Vaddr va(view.va);
  const uvm::Page* const page = held.page;
  const bool on_swap = page == nullptr && held.slot != uvm::kNoSlot;
  const model::PageKind kind = view.kind;
  bool mapped = kind != model::PageKind::kUnmapped;
  if (mapped != (entry != nullptr)) {
    return Broken(
        FailureClass::kOutcome, "AttributesAgree",
        absl::StrCat(PageName(task, va), " is ", mapped ? "not " : "", "mapped in the system"));
  }
  if (!mapped) return std::nullopt;
  if (kind == model::PageKind::kNothing) {
    if (page == nullptr && !on_swap) return std::nullopt;
    return Broken(FailureClass::kContents, "ContentsAgree",
                  PageName(task, va) + " is there in the system, and is not in the model");
  }
  if (page == nullptr && !on_swap && kind == model::PageKind::kUntouchedZero &&
      entry->object == nullptr)
    return std::nullopt;
  if (on_swap && held.slot == uvm::kBadSlot) return LossesHaveCauses();
  if (on_swap && IsUnchangedOnSwap(held.slot, view)) return std::nullopt;
  Compared* const compared = page == nullptr ? nullptr : &ComparedOf(*page);
  if (compared != nullptr) {
    compared->walk = walk_;
    compared->va = view.va;
    if (kind != model::PageKind::kEither && IsUnchanged(*page, view, compared)) return std::nullopt;
  }
  Stretch part = NextStretch(kind, compared);
  bytes_compared_ += part.size;
  const unsigned char* found = found_.data();
  if (page != nullptr) {
    found = s_->kernel().DebugFrame(page->pa) + part.start;
  } else if (const unsigned char* lies = on_swap ? BytesOfSlot(held.slot) : nullptr;
             lies != nullptr &&
             model->Holds(va.value() + part.start, part.size, lies + part.start)) {
    found = nullptr;
  } else if (on_swap) {
    if (!LoadSlot(held.slot, part, found_.data())) {
      // A torn write is noticed when the page is read, or here.
      if (s_->swap_set().pages_spoilt() != 0) return LossesHaveCauses();
      return Broken(FailureClass::kContents, "ContentsAgree",
                    absl::StrCat(PageName(task, va), " lies in slot ", held.slot,
                                 " of swap, where it cannot be read"));
    }
  } else {
    LoadBase(*entry, va, part, found_.data());
  }
  if (found == nullptr || model->Holds(va.value() + part.start, part.size, found)) {
    if (on_swap && kind != model::PageKind::kEither) slots_compared_[held.slot] = view.version;
    if (compared != nullptr && kind != model::PageKind::kEither)
      compared->parts += static_cast<uint32_t>(part.size / kPartBytes);
    return std::nullopt;
  }
  if (kind == model::PageKind::kEither) {
    if (found != found_.data()) std::memcpy(found_.data(), found, kPageSize);
    if (m_->MayHold(task, va.value(), found_)) return std::nullopt;
  }
  model->Load(va.value() + part.start, part.size, expected_.data());
  return Broken(FailureClass::kContents, "ContentsAgree",
                absl::StrCat(PageName(task, va), ": ",
                             FirstDifference(expected_.data(), found, part.start, part.size),
                             on_swap           ? absl::StrCat(" (slot ", held.slot, " of swap)")
                             : page == nullptr ? " (nothing resident)"
                                               : ""));
}

// The rules of uvm/invariants.h for one page, so that a broken one is met at the operation that
// broke it.
StateRelation::Result StateRelation::TranslationAllowed(const uvm::Space& space,
                                                        const uvm::MapEntry* entry,
                                                        const uvm::Page* page,
                                                        const uvm::PmapSystem::Mapping& t) {
  const char* rule = nullptr;
  if (entry == nullptr) {
    rule = "TranslationInsideEntry";
  } else {
    bool upper = page != nullptr && page->anon != nullptr;
    const bool frame = page == nullptr && entry->object != nullptr &&
                       entry->object->pager()->kind() == uvm::Pager::Kind::kDevice &&
                       s_->uvm().DebugPages().FromPaddr(t.pa) == nullptr;
    if (!frame && (page == nullptr || page->pa != t.pa)) {
      rule = "TranslationMapsItsPage";
    } else if (!t.prot.IsSubsetOf(uvm::EffectiveProt(entry->prot))) {
      rule = "RightsWithinProtection";
    } else if (t.prot.CanWrite() && (entry->needs_copy || (upper && page->anon->refs > 1) ||
                                     (!upper && entry->copy_on_write))) {
      rule = "CopyOnWriteIsReadOnly";
    }
  }
  if (rule == nullptr) return std::nullopt;
  return Broken(FailureClass::kStructure, rule,
                absl::StrFormat("space#%d va 0x%x is translated to frame 0x%x %s, entry %s",
                                space.id, t.va.value(), t.pa.value(), base::ProtName(t.prot),
                                entry == nullptr ? "none" : base::ProtName(entry->prot)));
}

StateRelation::Result StateRelation::ClientPageSubset(uint32_t task, const uvm::Space& space,
                                                      const fake_l4::Mapping& client) {
  // The kernel's own two pages lie outside every map.
  if (client.va < space.map().min() || client.va >= space.map().max()) return std::nullopt;
  base::Prot rights = ProtOfKernelRights(client.rights);
  if (s_->kernel().profile().ExecuteImpliedByRead()) rights = rights - base::kProtExecute;
  uvm::PmapSystem::Mapping table;
  bool present = s_->pmap().Peek(space.pmap(), client.va, &table);
  if (present && table.pa == client.frame && rights.IsSubsetOf(table.prot)) return std::nullopt;
  return Broken(
      FailureClass::kStructure, "ClientRightsSubset",
      absl::StrFormat(
          "%s: the client reaches frame 0x%x %s, the table has %s", PageName(task, client.va),
          client.frame.value(), base::ProtName(rights),
          present ? absl::StrFormat("frame 0x%x %s", table.pa.value(), base::ProtName(table.prot))
                  : "nothing"));
}

StateRelation::Result StateRelation::ClientRightsSubset(uint32_t task, const uvm::Space& space) {
  Result found;
  s_->kernel().ForEachPage(s_->l4_space_of(task), [&](const fake_l4::Mapping& client) {
    if (found) return;
    if (Result broken = ClientPageSubset(task, space, client)) found = std::move(broken);
  });
  return found;
}

StateRelation::Result StateRelation::PageAgrees(uint32_t task, const uvm::Space& space, Vaddr va,
                                                Bytes bytes) {
  const uvm::MapEntry* entry = FindEntry(space.map(), va);
  const Held held = entry == nullptr ? Held() : HeldAt(*entry, va);
  uvm::PmapSystem::Mapping t;
  if (s_->pmap().Peek(space.pmap(), va, &t)) {
    if (Result found = TranslationAllowed(space, entry, held.page, t)) return found;
  }
  fake_l4::Mapping client = s_->kernel().Inspect(s_->l4_space_of(task), va);
  if (client.mapped()) {
    if (Result found = ClientPageSubset(task, space, client)) return found;
  }
  if (bytes == Bytes::kSkip) return std::nullopt;
  model::PageCursor model = m_->PagesOf(task);
  return ContentsAgree(task, entry, held, model.View(va.value()), &model);
}

StateRelation::Result StateRelation::EndsAgree(uint32_t task, const uvm::Space& space, Range range,
                                               Bytes bytes) {
  if (range.empty()) return std::nullopt;
  Vaddr last = range.end - kPageSize;
  if (Result found = PageAgrees(task, space, range.start, bytes)) return found;
  return last == range.start ? std::nullopt : PageAgrees(task, space, last, bytes);
}

// A page that is there, in memory or on swap, whatever the model knows of it. What the model says
// was stored to has been compared before.
StateRelation::Result StateRelation::HeldPageAgrees(uint32_t task, const uvm::MapEntry& entry,
                                                    const Held& held, Vaddr va,
                                                    model::PageCursor* model) {
  if (held.page != nullptr) {
    if (held.slot != uvm::kNoSlot) {
      if (Result found = CleanPageIsOnSwap(*held.page, held.slot)) return found;
    }
    if (WasSeen(*held.page, va)) return std::nullopt;
  }
  const model::PageView view = model->View(va.value());
  if (view.kind == model::PageKind::kOwned || view.kind == model::PageKind::kEither)
    return std::nullopt;
  return ContentsAgree(task, &entry, held, view, model);
}

StateRelation::Result StateRelation::ResidentContentsAgree(uint32_t task,
                                                           const uvm::MapEntry& entry,
                                                           model::PageCursor* model) {
  const uint64_t first = entry.aref.slot;
  const uint64_t count = entry.pages().value();
  const uvm::Amap* amap = entry.aref.amap;
  if (amap != nullptr) {
    for (uint32_t i = 0; i < amap->used_count; ++i) {
      const uint64_t slot = amap->used[i];
      if (slot - first >= count) continue;
      const Vaddr va = entry.start + base::ToBytes(base::PageCount(slot - first));
      const Held held = HeldOf(amap->anons[slot]);
      if (held.slot == uvm::kNoSlot && held.page != nullptr && WasSeen(*held.page, va)) continue;
      if (Result found = HeldPageAgrees(task, entry, held, va, model)) return found;
    }
  }
  if (entry.object == nullptr) return std::nullopt;
  const uvm::AnonymousPager* const anonymous =
      entry.object->pager() == &s_->uvm().DebugAnonymous() ? &s_->uvm().DebugAnonymous() : nullptr;
  const base::PageIndex begin = entry.ObjectIndexOf(entry.start);
  for (uvm::Page* page = entry.object->DebugPageFrom(begin); page != nullptr;
       page = uvm::Object::DebugNextPage(page)) {
    const uint64_t at = page->index.value() - begin.value();
    if (at >= count) break;
    // The upper layer hides it.
    if (amap != nullptr && first + at < amap->slot_count && amap->anons[first + at] != nullptr)
      continue;
    const Vaddr va = entry.start + base::ToBytes(base::PageCount(at));
    // ObjectsHold (uvm/invariants.cc) has seen that a lookup of its index finds this page.
    const Held held = {
        page, anonymous != nullptr ? anonymous->FindSlot(entry.object, page->index) : uvm::kNoSlot};
    if (held.slot == uvm::kNoSlot && WasSeen(*page, va)) continue;
    if (Result found = HeldPageAgrees(task, entry, held, va, model)) return found;
  }
  return std::nullopt;
}

StateRelation::Result StateRelation::SpaceContentsAgree(uint32_t task, const uvm::Space& space) {
  Result found;
  ++walk_;
  const uvm::MapEntry* at = space.map().DebugFirst();
  model::PageCursor model = m_->PagesOf(task);
  m_->ForEachTouchedView(task, [&](const model::PageView& view) {
    if (found) return;
    const Vaddr va(view.va);
    if (at == nullptr || va < at->start || va >= at->end) at = FindEntry(space.map(), va);
    const Held held = at == nullptr ? Held() : HeldAt(*at, va);
    if (Result broken = ContentsAgree(task, at, held, view, &model)) found = std::move(broken);
  });
  for (uvm::MapEntry* entry = space.map().DebugFirst(); !found && entry != nullptr;
       entry = uvm::Map::DebugNext(entry)) {
    if (Result broken = ResidentContentsAgree(task, *entry, &model)) return broken;
  }
  return found;
}

StateRelation::Result StateRelation::InvariantsHold() {
  char buffer[512];
  base::TextSink text(buffer, sizeof buffer);
  const char* rule = uvm::FirstViolation(&s_->uvm(), &text);
  if (rule != nullptr) return Broken(FailureClass::kStructure, rule, buffer);
  if (!s_->pmap().CheckInvariants(text))
    return Broken(FailureClass::kStructure, "PmapTable", buffer);
  if (!s_->server().MessagesHoldTheirLoans(&text))
    return Broken(FailureClass::kStructure, "MessagesHoldTheirLoans", buffer);
  if (!s_->server().AttachmentsAreCounted(&text))
    return Broken(FailureClass::kStructure, "AttachmentsAreCounted", buffer);
  return std::nullopt;
}

// ValidAmapRefs as far as one map shows it: no amap has fewer references than entries here. Calls
// clip entries, and a lost reference soon is freed memory in use, so this is looked at after every
// call.
StateRelation::Result StateRelation::AmapRefsCover(const uvm::Map& map) {
  const uint64_t walk = ++amap_walk_ | kOfOneMap;
  const uvm::Amap* broken = nullptr;
  for (uvm::MapEntry* entry = map.DebugFirst(); entry != nullptr;
       entry = uvm::Map::DebugNext(entry)) {
    uvm::Amap* amap = entry->aref.amap;
    if (amap == nullptr) continue;
    if (amap->debug_pages != walk) {
      amap->debug_pages = walk;
      amap->debug_refs = 0;
    }
    if (++amap->debug_refs > amap->refs) broken = amap;
  }
  if (broken == nullptr) return std::nullopt;
  return Broken(FailureClass::kStructure, "ValidAmapRefs",
                absl::StrCat("amap#", broken->id, " refs=", broken->refs,
                             ", entries found in one map=", broken->debug_refs));
}

// Both descriptions are cut into pieces of their own; each piece that both cut alike must have the
// same attributes in both, and either has a page exactly where the other has one.
bool StateRelation::MapIsRight(uint32_t task, const uvm::Map& map) {
  const uint64_t walk = ++amap_walk_ | kOfOneMap;
  const std::vector<model::Region>& regions = m_->RegionsOf(task);
  auto m = regions.begin();
  uint64_t at = 0;  // up to where both were compared
  for (uvm::MapEntry* entry = map.DebugFirst(); entry != nullptr;
       entry = uvm::Map::DebugNext(entry)) {
    if (uvm::Amap* amap = entry->aref.amap; amap != nullptr) {
      if (amap->debug_pages != walk) {
        amap->debug_pages = walk;
        amap->debug_refs = 0;
      }
      if (++amap->debug_refs > amap->refs) return false;
    }
    const uint64_t end = entry->end.value();
    if (entry->start.value() >= end) return false;
    for (uint64_t from = entry->start.value(); from < end; from = at) {
      if (m == regions.end() || from != std::max(at, m->start)) return false;
      if (!HasAttributes(*entry, m->attributes)) return false;
      at = std::min(end, m->end);
      if (at == m->end) ++m;
    }
  }
  return m == regions.end();
}

StateRelation::Result StateRelation::CheckMap(uint32_t task, const uvm::Map& map) {
  if (MapIsRight(task, map)) return std::nullopt;
  if (Result found = AmapRefsCover(map)) return found;
  return AttributesAgree(task, map);
}

std::optional<Finding> StateRelation::CheckCall(uint32_t task, Range range) {
  if (!m_->IsLive(task)) {
    if (!s_->IsLive(task)) return std::nullopt;
    return Broken(FailureClass::kStructure, "TasksAgree",
                  absl::StrCat("s", task, " is still alive in the system"));
  }
  const uvm::Space* space = s_->space_of(task);
  if (space == nullptr) {
    return Broken(FailureClass::kStructure, "TasksAgree",
                  absl::StrCat("s", task, " has no space in the system"));
  }
  if (Result found = CheckMap(task, space->map())) return found;
  return EndsAgree(task, *space, range, Bytes::kCompare);
}

std::optional<Finding> StateRelation::CheckPages(uint32_t task, Range range) {
  const uvm::Space* space = s_->space_of(task);
  if (space == nullptr) return std::nullopt;
  Result found = AttributesAgree(task, space->map());
  const bool thorough = std::exchange(thorough_, true);
  model::PageCursor model = m_->PagesOf(task);
  for (Vaddr va = range.start; !found && va < range.end; va = va + kPageSize) {
    const uvm::MapEntry* entry = FindEntry(space->map(), va);
    const Held held = entry == nullptr ? Held() : HeldAt(*entry, va);
    found = ContentsAgree(task, entry, held, model.View(va.value()), &model);
  }
  thorough_ = thorough;
  return found;
}

std::optional<Finding> StateRelation::CheckAccess(uint32_t task, Range range, Bytes bytes) {
  const uvm::Space* space = s_->space_of(task);
  return space == nullptr ? std::nullopt : EndsAgree(task, *space, range, bytes);
}

std::optional<Finding> StateRelation::ResidencyAgrees(uint32_t task, Range range,
                                                      uint64_t resident) {
  const uvm::Map& map = s_->space_of(task)->map();
  uint64_t there = 0;
  for (Vaddr va = range.start; va < range.end; va = va + kPageSize) {
    const uvm::MapEntry* entry = FindEntry(map, va);
    if (entry == nullptr) continue;
    // A device's pages are always there.
    const bool device =
        entry->object != nullptr && entry->object->pager()->kind() == uvm::Pager::Kind::kDevice;
    there += device || HeldAt(*entry, va).page != nullptr ? 1 : 0;
  }
  if (there == resident) return std::nullopt;
  return Broken(FailureClass::kOutcome, "ResidencyAgrees",
                absl::StrCat("s", task, ": mincore of ", RangeText(range), " counts ", resident,
                             " pages, ", there, " are resident"));
}

std::optional<Finding> StateRelation::CheckWhole(Depth depth) {
  ++whole_checks_;
  thorough_ = depth == Depth::kEveryByte;
  Result found = CheckSpaces();
  thorough_ = false;
  return found;
}

// Of a sampled check, a part of every eighth page.
StateRelation::Result StateRelation::CleanPagesAreStored() {
  const uvm::ObjectStore::List& objects = s_->uvm().DebugObjects().DebugAll();
  for (uvm::Object* object = objects.front(); object != nullptr; object = objects.Next(object)) {
    if (object->pager()->kind() != uvm::Pager::Kind::kStored || object->key() == 0) continue;
    for (uvm::Page* page = object->DebugFirstPage(); page != nullptr;
         page = uvm::Object::DebugNextPage(page)) {
      if (page->IsBusy() || page->read_only || page->dirty != uvm::Dirty::kClean) continue;
      if (!thorough_ && (page->index.value() + whole_checks_) % 8 != 0) continue;
      const Stretch part = NextStretch(model::PageKind::kUntouchedFile, nullptr);
      s_->server().DebugFiles().DebugRead(object->key(), base::ToBytes(page->index) + part.start,
                                          part.size, expected_.data());
      bytes_compared_ += part.size;
      const unsigned char* found = s_->kernel().DebugFrame(page->pa) + part.start;
      if (std::memcmp(found, expected_.data(), part.size) == 0) continue;
      return Broken(FailureClass::kContents, "CleanPagesAreStored",
                    absl::StrCat("page ", page->index.value(), " of file key ",
                                 absl::StrFormat("%x", object->key()),
                                 " counts as clean and is not what the file holds: ",
                                 FirstDifference(expected_.data(), found, part.start, part.size)));
    }
  }
  return std::nullopt;
}

StateRelation::Result StateRelation::CheckSpaces() {
  if (Result found = TasksAgree()) return found;
  if (thorough_) {
    if (Result found = KernelTasksAgree("TasksAgree")) return found;
  }
  if (Result found = InvariantsHold()) return found;
  if (Result found = CleanPagesAreStored()) return found;
  if (Result found = SwapAgrees()) return found;
  const std::vector<uint32_t> live = m_->LiveTasks();
  // Of many tasks a sampled check reads the contents of a few, others each time.
  const uint64_t first = whole_checks_ * kContentsAtOnce;
  for (uint64_t i = 0; i < live.size(); ++i) {
    const uint32_t task = live[i];
    const uvm::Space& space = *s_->space_of(task);
    if (Result found = CheckMap(task, space.map())) return found;
    if (Result found = ClientRightsSubset(task, space)) return found;
    const uint64_t place = (i + live.size() - first % live.size()) % live.size();
    if (!thorough_ && place >= kContentsAtOnce) continue;
    if (Result found = SpaceContentsAgree(task, space)) return found;
  }
  return std::nullopt;
}

std::optional<Finding> StateRelation::CheckKernel() {
  char buffer[512];
  base::TextSink text(buffer, sizeof buffer);
  if (s_->kernel().CheckInvariants(text)) return std::nullopt;
  return Broken(FailureClass::kStructure, "KernelState", buffer);
}

uint64_t StateRelation::SlotsInUse() {
  const uvm::SwapStore& swap = s_->uvm().swap();
  return swap.in_use().value() + swap.only_on_swap().value() - swap.DebugBad().value();
}

uint64_t StateRelation::FramesInUse() {
  uvm::PageStore& pages = s_->uvm().DebugPages();
  return pages.total().value() - pages.free_count().value();
}

std::optional<Finding> StateRelation::NothingLeaks() {
  uvm::Uvm& uvm = s_->uvm();
  uint64_t file_pages = 0;
  uint64_t unstored = 0;  // memory files, segments and devices
  const uvm::ObjectStore::List& objects = uvm.DebugObjects().DebugAll();
  for (uvm::Object* object = objects.front(); object != nullptr; object = objects.Next(object)) {
    file_pages += object->DebugPageCount();
    const bool file = object->pager()->kind() != uvm::Pager::Kind::kAnonymous &&
                      object->pager()->kind() != uvm::Pager::Kind::kDevice;
    unstored += file || object->DebugRefs() == uvm::Object::kKernelRefs ? 0 : 1;
  }
  const uint64_t in_use = FramesInUse() - boot_frames_;
  uint64_t spaces = uvm.DebugSpaces().size();
  uint64_t pmaps = s_->pmap().pmap_count();
  const uvm::AmapStore& amaps = uvm.DebugAmaps();
  // Amaps, their locks and their arrays.
  uint64_t of_amaps = amaps.live() + amaps.live_locks() + amaps.array_bytes();
  const uint64_t slots = SlotsInUse();
  if (spaces == boot_spaces_ && pmaps == boot_pmaps_ && of_amaps == 0 &&
      uvm.DebugAnons().live() == 0 && in_use == file_pages && unstored == m_->names() &&
      slots == 0) {
    return KernelTasksAgree("NothingLeaks");
  }
  return Broken(FailureClass::kStructure, "NothingLeaks",
                absl::StrCat("all tasks are gone, but there are ", spaces, " spaces (",
                             boot_spaces_, " at boot), ", pmaps, " pmaps (", boot_pmaps_, "), ",
                             amaps.live(), " amaps with ", amaps.live_locks(), " locks and ",
                             amaps.array_bytes(), " bytes of arrays, ", uvm.DebugAnons().live(),
                             " anons, ", in_use, " frames in use, ", file_pages,
                             " of them file pages, ", unstored, " memory objects with ",
                             m_->names(), " names, ", slots, " slots of swap in use"));
}

}  // namespace proptests
