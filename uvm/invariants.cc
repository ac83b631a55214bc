#include "uvm/invariants.h"

#include "base/check.h"
#include "uvm/swap_state_invariants.h"

namespace uvm {
namespace {

using base::TextSink;

TextSink& Name(TextSink& text, const Space* space, const MapEntry* entry) {
  if (space == nullptr) return text << "kernel entry " << entry->range();
  return text << "space#" << space->id << " entry " << entry->range();
}

// Calls visit(space, entry) for every entry until it returns false; returns whether all calls
// returned true. The space of the kernel's entries is null.
template <typename F>
bool ForEachEntry(Uvm* uvm, F&& visit) {
  for (Space* space = uvm->DebugSpaces().front(); space != nullptr;
       space = uvm->DebugSpaces().Next(space)) {
    for (MapEntry* entry = space->map().DebugFirst(); entry != nullptr;
         entry = Map::DebugNext(entry)) {
      if (!visit(space, entry)) return false;
    }
  }
  bool all = true;
  if (uvm->DebugKernel() == nullptr) return true;
  uvm->DebugKernel()->DebugForEachMap([&](Map* map) {
    for (MapEntry* entry = map->DebugFirst(); all && entry != nullptr;
         entry = Map::DebugNext(entry)) {
      all = visit(static_cast<Space*>(nullptr), entry);
    }
  });
  return all;
}

// While a page is written to be freed, the world may rest.
bool BusyAtRest(const Page& page) { return page.IsBusy() && !page.pageout; }

// In memory, on swap, or lost there.
bool HasContents(const Anon& anon) {
  return anon.page != nullptr ? anon.page->anon == &anon : anon.slot != kNoSlot;
}

template <typename F>
bool ForEachAmap(Uvm* uvm, F&& visit) {
  const AmapStore::List& all = uvm->DebugAmaps().DebugAll();
  for (Amap* amap = all.front(); amap != nullptr; amap = all.Next(amap)) {
    if (!visit(amap)) return false;
  }
  return true;
}

template <typename F>
bool ForEachObject(Uvm* uvm, F&& visit) {
  const ObjectStore::List& all = uvm->DebugObjects().DebugAll();
  for (Object* object = all.front(); object != nullptr; object = all.Next(object)) {
    if (!visit(object)) return false;
  }
  return true;
}

// A translation with what the layers say about its address.
struct Backed {
  const Space* space;
  const MapEntry* entry;  // null: outside every entry
  PmapSystem::Mapping mapping;
  const Anon* anon;  // the upper layer's, if any
  const Page* page;  // what should be mapped; null: nothing resident
};

// The page that the layers of the entry hold at `mapping.va`.
void LookUp(MapEntry* entry, const PageStore& pages, Backed* backed) {
  const Vaddr va = backed->mapping.va;
  backed->entry = entry;
  const Amap* amap = entry->aref.amap;
  uint32_t slot = amap != nullptr ? entry->SlotOf(va) : 0;
  if (amap != nullptr && slot < amap->slot_count) backed->anon = amap->anons[slot];
  if (backed->anon != nullptr) {
    backed->page = backed->anon->page;
  } else if (entry->object != nullptr) {
    const PageIndex index = entry->ObjectIndexOf(va);
    // The page that is mapped says whose it is, and mostly that is right; trees take longer.
    const Page* mapped = pages.FromPaddr(backed->mapping.pa);
    const bool right = mapped != nullptr && mapped->object == entry->object &&
                       mapped->index == index && !mapped->free;
    backed->page = right ? mapped : entry->object->DebugLookup(index);
  }
}

// Calls visit(backed) for every translation of every space until it returns false.
template <typename F>
bool ForEachTranslation(Uvm* uvm, F&& visit) {
  constexpr uint32_t kAtOnce = 32;
  PmapSystem::Mapping mappings[kAtOnce];
  for (Space* space = uvm->DebugSpaces().front(); space != nullptr;
       space = uvm->DebugSpaces().Next(space)) {
    MapEntry* entry = space->map().DebugFirst();
    uint32_t found = kAtOnce;
    for (Vaddr from(0); found == kAtOnce; from = mappings[kAtOnce - 1].va + base::kPageSize) {
      found = uvm->DebugPmap()->PeekSome(space->pmap(), from, mappings, kAtOnce);
      for (uint32_t i = 0; i < found; ++i) {
        const PmapSystem::Mapping& mapping = mappings[i];
        while (entry != nullptr && entry->end <= mapping.va) entry = Map::DebugNext(entry);
        Backed backed{space, nullptr, mapping, nullptr, nullptr};
        if (entry != nullptr && entry->start <= mapping.va)
          LookUp(entry, uvm->DebugPages(), &backed);
        if (!visit(backed)) return false;
      }
    }
  }
  return true;
}

TextSink& Name(TextSink& text, const Backed& backed) {
  return text << "space#" << backed.space->id << " va " << backed.mapping.va << " "
              << backed.mapping.prot << " frame " << backed.mapping.pa;
}

}  // namespace

bool ValidMapEntries(Uvm* uvm, TextSink* text) {
  for (Space* space = uvm->DebugSpaces().front(); space != nullptr;
       space = uvm->DebugSpaces().Next(space)) {
    char buffer[256];
    TextSink found(buffer, sizeof buffer);
    if (space->map().ValidEntries(&found)) continue;
    *text << "space#" << space->id << " " << buffer;
    return false;
  }
  bool all = true;
  if (uvm->DebugKernel() == nullptr) return true;
  uvm->DebugKernel()->DebugForEachMap([&](Map* map) {
    char buffer[256];
    TextSink found(buffer, sizeof buffer);
    if (!all || map->ValidEntries(&found)) return;
    all = false;
    *text << "kernel map " << map->min() << " " << buffer;
  });
  return all;
}

bool LayeredEntries(Uvm* uvm, TextSink* text) {
  return ForEachEntry(uvm, [&](Space* space, MapEntry* entry) {
    bool layered = entry->bare || entry->submap != nullptr || entry->needs_copy ||
                   entry->aref.amap != nullptr || entry->object != nullptr;
    const Amap* amap = entry->aref.amap;
    bool covered = amap == nullptr || entry->aref.slot + entry->pages().value() <= amap->slot_count;
    if (layered && covered) return true;
    Name(*text, space, entry) << (layered ? " reaches beyond its amap"
                                          : " has no layer and is owed none");
    return false;
  });
}

bool ValidAmapSlots(Uvm* uvm, TextSink* text) {
  return ForEachAmap(uvm, [&](Amap* amap) {
    uint32_t found = 0;
    for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
      if (amap->anons[slot] == nullptr) continue;
      ++found;
      if (amap->anons[slot]->lock != amap->lock) {
        *text << "amap#" << amap->id << " slot " << slot << " holds an anon of another family";
        return false;
      }
      if (amap->back[slot] < amap->used_count && amap->used[amap->back[slot]] == slot) continue;
      *text << "amap#" << amap->id << " slot " << slot << " is used but not listed as used";
      return false;
    }
    if (found == amap->used_count && amap->slot_count <= amap->capacity) return true;
    *text << "amap#" << amap->id << " counts " << amap->used_count << " used slots, found "
          << found;
    return false;
  });
}

// Where slots are not counted one by one, each entry covers the same ones, and nothing else is
// used: else nobody would release what the last of them leaves behind.
bool SlotsCoveredAlike(Uvm* uvm, TextSink* text) {
  auto absent = [](const Amap* amap) { return amap->pp == Ppref::kAbsent && amap->refs != 0; };
  const bool alike = ForEachEntry(uvm, [&](Space*, MapEntry* entry) {
    const Amap* amap = entry->aref.amap;
    if (amap == nullptr || !absent(amap)) return true;
    const uint64_t pages = entry->pages().value();
    if (entry->aref.slot == amap->debug_slot && pages * amap->debug_refs == amap->debug_pages)
      return true;
    *text << "amap#" << amap->id << " counts no slots, and " << entry->range()
          << " covers others than its other entries";
    return false;
  });
  if (!alike) return false;
  return ForEachAmap(uvm, [&](Amap* amap) {
    if (!absent(amap) || amap->debug_refs == 0) return true;
    const uint64_t end = amap->debug_slot + amap->debug_pages / amap->debug_refs;
    for (uint32_t i = 0; i < amap->used_count; ++i) {
      if (amap->used[i] >= amap->debug_slot && amap->used[i] < end) continue;
      *text << "amap#" << amap->id << " slot " << amap->used[i]
            << " is used, covered by nobody and not counted";
      return false;
    }
    return true;
  });
}

bool ValidAmapRefs(Uvm* uvm, TextSink* text) {
  ForEachAmap(uvm, [](Amap* amap) {
    amap->debug_refs = 0;
    amap->debug_pages = 0;
    return true;
  });
  ForEachEntry(uvm, [](Space*, MapEntry* entry) {
    if (entry->aref.amap == nullptr) return true;
    ++entry->aref.amap->debug_refs;
    entry->aref.amap->debug_pages += entry->pages().value();
    entry->aref.amap->debug_slot = entry->aref.slot;
    return true;
  });
  if (!SlotsCoveredAlike(uvm, text)) return false;
  return ForEachAmap(uvm, [&](Amap* amap) {
    if (amap->refs == amap->debug_refs && (!amap->shared || amap->refs > 1)) {
      if (amap->pp != Ppref::kPresent) return true;
      uint32_t uncovered = 0;
      uint64_t sum = AmapStore::DebugPprefSum(amap, &uncovered);
      if (sum == amap->debug_pages && uncovered == amap->slot_count) return true;
      *text << "amap#" << amap->id << " counts " << sum << " slots covered, entries cover "
            << amap->debug_pages;
      if (uncovered != amap->slot_count)
        *text << "; slot " << uncovered << " is used and covered by nobody";
      return false;
    }
    *text << "amap#" << amap->id << " refs=" << amap->refs << (amap->shared ? " shared" : "")
          << ", entries found=" << amap->debug_refs;
    return false;
  });
}

bool ValidAnonRefs(Uvm* uvm, TextSink* text) {
  auto each_anon = [&](auto&& visit) {
    return ForEachAmap(uvm, [&](Amap* amap) {
      for (uint32_t i = 0; i < amap->used_count; ++i) {
        if (!visit(amap, amap->used[i], amap->anons[amap->used[i]])) return false;
      }
      return true;
    });
  };
  each_anon([](Amap*, uint32_t, Anon* anon) {
    anon->debug_seen = 0;
    return true;
  });
  uint64_t distinct = 0;
  each_anon([&](Amap*, uint32_t, Anon* anon) {
    if (anon->debug_seen++ == 0) ++distinct;
    return true;
  });
  const uint64_t loans = uvm->loans().DebugAnonLoans();
  uint64_t lent = 0;  // references that no slot has
  bool valid = each_anon([&](Amap* amap, uint32_t slot, Anon* anon) {
    if (anon->refs > anon->debug_seen && anon->refs - anon->debug_seen <= loans - lent) {
      lent += anon->refs - anon->debug_seen;
      anon->debug_seen = anon->refs;  // once for all its slots
    }
    if (anon->refs == anon->debug_seen && HasContents(*anon)) return true;
    *text << "amap#" << amap->id << "[" << slot << "] anon refs=" << anon->refs
          << ", slots found=" << anon->debug_seen << (HasContents(*anon) ? "" : ", no page");
    return false;
  });
  if (!valid) return false;
  const AnonStore& anons = uvm->DebugAnons();
  const uint64_t unreachable = anons.live() - anons.held_only() - anons.dying() - distinct;
  if (unreachable + lent <= loans) return true;
  *text << uvm->DebugAnons().live() << " anons live, " << distinct << " reachable";
  if (loans > 0) *text << ", " << loans << " lent";
  return false;
}

namespace {

// ValidObjectRefs once the entries of each object have been counted.
bool CountedObjectRefsHold(Uvm* uvm, TextSink* text) {
  uint64_t held = uvm->DebugHeldObjects();
  return ForEachObject(uvm, [&](Object* object) {
    if (object->DebugRefs() == Object::kKernelRefs) return true;
    if (object->DebugRefs() >= object->debug_refs &&
        object->DebugRefs() <= object->debug_refs + 1 + held) {
      uint64_t beyond = object->DebugRefs() - object->debug_refs;
      held -= beyond > 1 ? beyond - 1 : 0;
      return true;
    }
    *text << "object#" << object->id << " refs=" << object->DebugRefs()
          << ", entries found=" << object->debug_refs
          << " (at most one more may be held by the server)";
    return false;
  });
}

}  // namespace

bool ValidObjectRefs(Uvm* uvm, TextSink* text) {
  ForEachObject(uvm, [](Object* object) {
    object->debug_refs = 0;
    return true;
  });
  ForEachEntry(uvm, [](Space*, MapEntry* entry) {
    if (entry->object != nullptr) ++entry->object->debug_refs;
    return true;
  });
  return CountedObjectRefsHold(uvm, text);
}

bool ValidObjectPages(Uvm* uvm, TextSink* text) {
  return ForEachObject(uvm, [&](Object* object) {
    uint64_t count = 0;
    for (Page* page = object->DebugFirstPage(); page != nullptr;
         page = Object::DebugNextPage(page)) {
      ++count;
      uint8_t tags = Object::TagsOf(*page);
      for (const Page* child : page->rb_child) tags |= child == nullptr ? 0 : child->subtree_tags;
      if (page->subtree_tags != tags) {
        *text << "object#" << object->id << " page " << page->index
              << ": the tree's summary of tags is wrong";
        return false;
      }
      if (page->object == object && !BusyAtRest(*page) && object->DebugLookup(page->index) == page)
        continue;
      *text << "object#" << object->id << " page " << page->index << " frame " << page->pa
            << (BusyAtRest(*page) ? " is busy at rest" : " is not found at its own index");
      return false;
    }
    if (count == object->DebugPageCount()) return true;
    *text << "object#" << object->id << " counts " << object->DebugPageCount() << " pages, found "
          << count;
    return false;
  });
}

// ---- Pages. Each rule looks at one, or at sums; null: it holds.

namespace {

// Whatever the tree of its object holds.
const char* WrongOwnerButTree(const Page& page) {
  const char* wrong = nullptr;
  bool lent_to_anon = page.object != nullptr && page.anon != nullptr && page.loan_count > 0;
  bool nobodys = !page.free && page.object == nullptr && page.anon == nullptr;
  int owners =
      (page.free ? 1 : 0) + (page.object != nullptr ? 1 : 0) + (page.anon != nullptr ? 1 : 0);
  if (owners != 1 && !lent_to_anon && !(nobodys && (page.loan_count > 0 || page.wire_count == 1)))
    wrong = "is not exactly one of free, object's, anon's, nobody's but lent or the kernel's";
  if (page.anon != nullptr && page.anon->page != &page)
    wrong = "names an anon that has another page";
  if (BusyAtRest(page)) wrong = "is busy at rest";
  return wrong;
}

const char* WrongOwner(const Page& page) {
  if (page.object != nullptr && page.object->DebugLookup(page.index) != &page)
    return "is not in its object";
  return WrongOwnerButTree(page);
}

const char* WrongState(const Page& page) {
  const bool owned = page.object != nullptr || page.anon != nullptr;
  // An owned page may still wait for its queue; what is free or wired may not be left in one.
  const bool queued = PageStore::QueueOf(&page) != PageQueue::kNone;
  const bool held = page.queue != PageQueue::kNone;
  const char* wrong = nullptr;
  if (page.free && (queued || held || page.wire_count > 0 || page.loan_count > 0))
    wrong = "is free, but queued, wired or lent";
  if (page.wire_count > 0 && page.loan_count > 0) wrong = "is wired and lent";
  if (page.pageout && (!page.IsBusy() || page.free || page.wire_count > 0 || page.loan_count > 0))
    wrong = "is written to be freed, but not busy, free, wired or lent";
  if (owned && !page.pageout && queued == (page.wire_count > 0))
    wrong = queued ? "is wired and on a queue" : "is on no queue and not wired";
  if (held && page.wire_count > 0) wrong = "is wired and on a queue";
  if (!owned && (queued || held)) wrong = "is on a queue and nobody's";
  if (owned && page.fake) wrong = "was never filled";
  if (page.released && !page.IsBusy()) wrong = "was released and is still there";
  return wrong;
}

// Free and nothing else, as most pages are: no rule but PageSums has anything to say.
bool IsUnused(const Page& page) {
  const uint32_t used = static_cast<uint32_t>(page.busy) | static_cast<uint32_t>(page.queue) |
                        page.loan_count | page.pageout | page.released | page.wire_count |
                        page.debug_wired | page.intent;
  return page.free && used == 0 && page.object == nullptr && page.anon == nullptr;
}

// With one owner, and on a queue or wired: neither WrongOwnerButTree nor WrongState finds anything.
bool IsPlainlyOwned(const Page& page) {
  if (page.IsBusy() || (page.loan_count | page.pageout | page.released | page.fake) != 0)
    return false;
  if (page.free || (page.object != nullptr) == (page.anon != nullptr)) return false;
  if (page.anon != nullptr && page.anon->page != &page) return false;
  const bool queued = PageStore::QueueOf(&page) != PageQueue::kNone;
  return page.wire_count == 0 ? queued : !queued && page.queue == PageQueue::kNone;
}

struct PageSums {
  uint64_t used = 0, wired = 0, lent = 0, active = 0, inactive = 0, pageout = 0;
  uint64_t lost = 0;  // free and to be had by nobody

  void Add(const Page& page) {
    used += page.free ? 0 : 1;
    lost += page.free && !page.cached && !page.queue_link.linked() ? 1 : 0;
    wired += page.wire_count > 0 ? 1 : 0;
    lent += page.loan_count > 0 ? 1 : 0;
    pageout += page.pageout ? 1 : 0;
    active += page.queue == PageQueue::kActive ? 1 : 0;
    inactive += page.queue == PageQueue::kInactive ? 1 : 0;
  }
  void AddUnused(const Page& page) { lost += page.cached || page.queue_link.linked() ? 0 : 1; }
  bool Accounted(Uvm* uvm) const {
    const PageStore& pages = uvm->DebugPages();
    return used + pages.free_count().value() == pages.total().value() &&
           used == uvm->counters().frames_in_use;
  }
  bool Counted(Uvm* uvm) const {
    const PageStore& pages = uvm->DebugPages();
    return wired == pages.wired_count().value() && lent == pages.lent_count().value() &&
           active == pages.active_count().value() && inactive == pages.inactive_count().value();
  }
};

PageSums SumsOf(Uvm* uvm) {
  PageSums sums;
  uvm->DebugPages().DebugForEach([&](const Page& page) { sums.Add(page); });
  return sums;
}

// Looks for a page with which something is wrong.
bool NoPageIs(Uvm* uvm, TextSink* text, const char* (*wrong_with)(const Page&)) {
  bool valid = true;
  uvm->DebugPages().DebugForEach([&](const Page& page) {
    const char* wrong = valid ? wrong_with(page) : nullptr;
    if (wrong == nullptr) return;
    valid = false;
    *text << "frame " << page.pa << " " << wrong;
  });
  return valid;
}

}  // namespace

bool ValidPageOwners(Uvm* uvm, TextSink* text) { return NoPageIs(uvm, text, WrongOwner); }

bool ValidFreeFrames(Uvm* uvm, TextSink* text) {
  const PageStore& pages = uvm->DebugPages();
  const char* wrong = pages.DebugWrongFree(pages.total().value());
  if (wrong != nullptr) *text << wrong;
  return wrong == nullptr;
}

bool FreeAccounting(Uvm* uvm, TextSink* text) {
  const PageSums sums = SumsOf(uvm);
  if (sums.Accounted(uvm)) return true;
  const PageStore& pages = uvm->DebugPages();
  *text << pages.total().value() << " frames, " << pages.free_count().value()
        << " on the free list, " << sums.used << " owned, " << uvm->counters().frames_in_use
        << " counted in use";
  return false;
}

bool ValidPageStates(Uvm* uvm, TextSink* text) {
  if (!NoPageIs(uvm, text, WrongState)) return false;
  const PageSums sums = SumsOf(uvm);
  if (sums.Counted(uvm)) return uvm->DebugPolicy()->Valid(text);
  const PageStore& pages = uvm->DebugPages();
  *text << "wired " << sums.wired << " of " << pages.wired_count().value() << " counted, lent "
        << sums.lent << " of " << pages.lent_count().value() << ", active " << sums.active << " of "
        << pages.active_count().value() << ", inactive " << sums.inactive << " of "
        << pages.inactive_count().value();
  return false;
}

bool PagingCount(Uvm* uvm, TextSink* text) {
  const PageSums sums = SumsOf(uvm);
  const uint64_t paging = uvm->pagedaemon().paging().value();
  if (sums.pageout == paging) return true;
  *text << sums.pageout << " pages are written to be freed, " << paging << " counted";
  return false;
}

namespace {

// Whether the wired entries found do not account for the page's wirings. The kernel wires frames of
// its own and pages of objects. Where an object was cut under a wired mapping, the page that takes
// the cut one's place is wired when a wired entry asks for it.
bool WrongWiring(const Page& page, bool kernel, bool cut) {
  if (page.wire_count == page.debug_wired) return false;
  const bool more = page.wire_count > page.debug_wired;
  return more ? !(kernel && page.anon == nullptr)
              : !(cut && page.wire_count == 0 && page.object != nullptr);
}

}  // namespace

bool WiringsAreCounted(Uvm* uvm, TextSink* text) {
  // Where nothing is wired there is nothing to count.
  const bool none = ForEachEntry(uvm, [](Space*, MapEntry* e) { return e->wired_count == 0; });
  if (none && SumsOf(uvm).wired == 0) return true;
  uvm->DebugPages().DebugForEach([](Page& page) { page.debug_wired = 0; });
  ForEachEntry(uvm, [](Space*, MapEntry* entry) {
    if (entry->wired_count == 0 || entry->submap != nullptr) return true;
    for (Vaddr va = entry->start; va < entry->end; va = va + base::kPageSize) {
      const Amap* amap = entry->aref.amap;
      Anon* anon = amap != nullptr ? amap->anons[entry->SlotOf(va)] : nullptr;
      Page* page = anon != nullptr ? anon->page : nullptr;
      if (anon == nullptr && entry->object != nullptr)
        page = const_cast<Page*>(entry->object->DebugLookup(entry->ObjectIndexOf(va)));
      if (page != nullptr) ++page->debug_wired;
    }
    return true;
  });
  const bool kernel = uvm->counters().kernel_wirings > 0;
  const bool cut = uvm->counters().wired_freed > 0;
  bool valid = true;
  uvm->DebugPages().DebugForEach([&](Page& page) {
    if (valid && WrongWiring(page, kernel, cut)) {
      valid = false;
      *text << "frame " << page.pa << " wire_count=" << page.wire_count
            << ", wired entries found=" << page.debug_wired;
    }
    page.debug_wired = 0;
  });
  return valid;
}

bool NoLockHeld(Uvm* uvm, TextSink* text) {
  const char* whose = uvm->DebugHeldLock();
  if (KernelMemory* kernel = uvm->DebugKernel(); whose == nullptr && kernel != nullptr)
    kernel->DebugForEachMap([&](Map* map) { whose = map->DebugIdle() ? whose : "kernel: a map"; });
  if (whose != nullptr) {
    *text << whose << "'s lock is held or waited for";
    return false;
  }
  for (Space* space = uvm->DebugSpaces().front(); space != nullptr;
       space = uvm->DebugSpaces().Next(space)) {
    if (space->map().DebugIdle()) continue;
    *text << "space#" << space->id << ": its map's lock is held or waited for";
    return false;
  }
  const bool idle = ForEachAmap(uvm, [&](Amap* amap) {
    if (amap->lock->mutex.DebugIdle()) return true;
    *text << "amap#" << amap->id << ": its lock is held or waited for";
    return false;
  });
  return idle && ForEachObject(uvm, [&](Object* object) {
           if (object->mu.DebugIdle()) return true;
           *text << "object#" << object->id << ": its lock is held or waited for";
           return false;
         });
}

// ---- Translations. Each rule looks at one; null: it holds, else why not (or a word that says so).

namespace {

const char* WrongPlace(const Backed& backed) {
  if (backed.entry == nullptr) return " is in the pmap but in no map entry";
  const bool pinned = backed.mapping.wired == Wired::kYes && backed.entry->wired_count == 0;
  return pinned ? " is wired, but its entry is not" : nullptr;
}

const char* WrongPage(Uvm* uvm, const Backed& backed) {
  if (backed.page != nullptr && backed.page->pa == backed.mapping.pa) return nullptr;
  // A device's frames are nobody's, and its driver alone knows which they are.
  const Object* object = backed.entry == nullptr ? nullptr : backed.entry->object;
  if (backed.anon == nullptr && object != nullptr && object->pager()->HandlesFaults() &&
      uvm->DebugPages().FromPaddr(backed.mapping.pa) == nullptr)
    return nullptr;
  return backed.anon != nullptr ? "anon" : "object";
}

const char* WrongRights(const Backed& backed) {
  if (backed.entry == nullptr || backed.mapping.prot.IsSubsetOf(EffectiveProt(backed.entry->prot)))
    return nullptr;
  return " exceeds the entry's ";
}

const char* WronglyWritable(const Backed& backed) {
  if (backed.entry == nullptr || !backed.mapping.prot.CanWrite()) return nullptr;
  const char* why = nullptr;
  if (backed.entry->needs_copy) why = "its entry owes a copy";
  if (backed.anon != nullptr && backed.anon->refs > 1) why = "its anon has other owners";
  if (backed.anon == nullptr && backed.entry->copy_on_write)
    why = "it is the object's page in a private mapping";
  return why;
}

const char* WritableAndClean(const Backed& backed) {
  if (!backed.mapping.prot.CanWrite() || backed.page == nullptr) return nullptr;
  if (backed.page->object == nullptr && backed.anon == nullptr) return nullptr;
  if (backed.page->read_only) return "a hole";
  return backed.page->dirty == Dirty::kClean ? "clean" : nullptr;
}

bool WritableAndLent(const Backed& backed) {
  return backed.page != nullptr && backed.page->loan_count != 0 && backed.mapping.prot.CanWrite();
}

}  // namespace

bool CleanPagesAreReadOnly(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    const char* wrong = WritableAndClean(backed);
    if (wrong == nullptr) return true;
    Name(*text, backed) << " is writable though its page is " << wrong;
    return false;
  });
}

bool TranslationInsideEntry(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    const char* wrong = WrongPlace(backed);
    if (wrong == nullptr) return true;
    Name(*text, backed) << wrong;
    return false;
  });
}

bool TranslationMapsItsPage(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    const char* holder = WrongPage(uvm, backed);
    if (holder == nullptr) return true;
    Name(*text, backed) << ", but the layers hold " << holder << " frame "
                        << (backed.page == nullptr ? Paddr(0) : backed.page->pa);
    return false;
  });
}

bool RightsWithinProtection(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    const char* wrong = WrongRights(backed);
    if (wrong == nullptr) return true;
    Name(*text, backed) << wrong << backed.entry->prot;
    return false;
  });
}

bool CopyOnWriteIsReadOnly(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    const char* why = WronglyWritable(backed);
    if (why == nullptr) return true;
    Name(*text, backed) << " is writable though " << why;
    return false;
  });
}

bool LentPagesAreReadOnly(Uvm* uvm, TextSink* text) {
  return ForEachTranslation(uvm, [&](const Backed& backed) {
    if (!WritableAndLent(backed)) return true;
    Name(*text, backed) << " is writable though its page is lent";
    return false;
  });
}

// ---- All rules at once. Mostly they all hold, and then few walks are enough to see that: each
// structure is read once, and what one rule found out others rely on.

namespace {

class AllRules {
 public:
  explicit AllRules(Uvm* uvm) : uvm_(uvm) {}

  // False also where it cannot tell. Structure before meaning: a step relies on those before it.
  bool Hold() {
    return uvm_->DebugHeldLock() == nullptr && AmapsHold() && ObjectsHold() && MapsHold() &&
           ReferencesHold() && PagesHold() && TranslationsHold() &&
           KernelMappings(uvm_, &unread_) && ValidWindows(uvm_, &unread_) && SwapHolds();
  }

 private:
  // SwapSlotsAgree. Without swap there is nothing to look at.
  bool SwapHolds() {
    return (uvm_->swap().pages().value() == 0 && uvm_->counters().swap_in_errors == 0) ||
           SwapSlotsAgree(uvm_, CleanPages::kSome, &unread_);
  }

  // NoLockHeld, ValidAmapSlots; and begins to count entries and slots.
  bool AmapsHold() {
    return ForEachAmap(uvm_, [](Amap* amap) {
      amap->debug_refs = 0;
      amap->debug_pages = 0;
      if (!amap->lock->mutex.DebugIdle() || amap->slot_count > amap->capacity) return false;
      uint32_t found = 0;
      for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
        Anon* anon = amap->anons[slot];
        if (anon == nullptr) continue;
        const uint32_t back = amap->back[slot];
        if (anon->lock != amap->lock || back >= amap->used_count || amap->used[back] != slot)
          return false;
        anon->debug_seen = 0;
        ++found;
      }
      return found == amap->used_count;
    });
  }

  // NoLockHeld, ValidObjectPages. Ascending indexes are what makes a page be found at its own.
  bool ObjectsHold() {
    return ForEachObject(uvm_, [this](Object* object) {
      object->debug_refs = 0;
      if (!object->mu.DebugIdle()) return false;
      uint64_t count = 0;
      const Page* last = nullptr;
      for (Page* page = object->DebugFirstPage(); page != nullptr;
           page = Object::DebugNextPage(page)) {
        uint8_t tags = Object::TagsOf(*page);
        for (const Page* child : page->rb_child) {
          if (child == nullptr) continue;
          if (child->rb_parent != page) return false;
          tags |= child->subtree_tags;
        }
        if (page->subtree_tags != tags || page->object != object || BusyAtRest(*page)) return false;
        if (last != nullptr && page->index <= last->index) return false;
        last = page;
        ++count;
      }
      objects_pages_ += count;
      return count == object->DebugPageCount();
    });
  }

  // NoLockHeld, ValidMapEntries, LayeredEntries, SlotsCoveredAlike; counts what entries refer to.
  bool MapsHold() {
    for (Space* space = uvm_->DebugSpaces().front(); space != nullptr;
         space = uvm_->DebugSpaces().Next(space)) {
      if (!MapHolds(&space->map())) return false;
    }
    bool all = true;
    if (uvm_->DebugKernel() != nullptr)
      uvm_->DebugKernel()->DebugForEachMap([&](Map* map) { all = all && MapHolds(map); });
    return all;
  }

  bool MapHolds(Map* map) {
    if (!map->DebugIdle() || !map->ValidEntries(&unread_)) return false;
    for (MapEntry* entry = map->DebugFirst(); entry != nullptr; entry = Map::DebugNext(entry)) {
      if (entry->aref.amap != nullptr) {
        if (!CountAmap(*entry)) return false;
      } else if (entry->object == nullptr && !entry->bare && entry->submap == nullptr &&
                 !entry->needs_copy) {
        return false;
      }
      if (entry->object != nullptr) ++entry->object->debug_refs;
      if (entry->wired_count != 0 && entry->submap == nullptr) CountWirings(*entry);
    }
    return true;
  }

  static bool CountAmap(const MapEntry& entry) {
    Amap* amap = entry.aref.amap;
    const uint64_t pages = entry.pages().value();
    if (entry.aref.slot + pages > amap->slot_count) return false;
    if (amap->debug_refs != 0 && amap->pp == Ppref::kAbsent && amap->refs != 0 &&
        (entry.aref.slot != amap->debug_slot || pages * amap->debug_refs != amap->debug_pages))
      return false;
    ++amap->debug_refs;
    amap->debug_pages += pages;
    amap->debug_slot = entry.aref.slot;
    return true;
  }

  static void CountWirings(const MapEntry& entry) {
    for (Vaddr va = entry.start; va < entry.end; va = va + base::kPageSize) {
      const Amap* amap = entry.aref.amap;
      const Anon* anon = amap != nullptr ? amap->anons[entry.SlotOf(va)] : nullptr;
      const Page* page = anon != nullptr ? anon->page : nullptr;
      if (anon == nullptr && entry.object != nullptr)
        page = entry.object->DebugLookup(entry.ObjectIndexOf(va));
      if (page != nullptr) ++const_cast<Page*>(page)->debug_wired;
    }
  }

  // SlotsCoveredAlike, ValidAmapRefs, ValidAnonRefs, ValidObjectRefs.
  bool ReferencesHold() {
    uint64_t distinct = 0;
    const bool amaps = ForEachAmap(uvm_, [&](Amap* amap) {
      if (amap->refs != amap->debug_refs || (amap->shared && amap->refs <= 1)) return false;
      if (amap->pp == Ppref::kPresent) {
        uint32_t uncovered = 0;
        if (AmapStore::DebugPprefSum(amap, &uncovered) != amap->debug_pages ||
            uncovered != amap->slot_count)
          return false;
      }
      const bool absent = amap->pp == Ppref::kAbsent && amap->refs != 0;
      const uint64_t covered = absent ? amap->debug_pages / amap->debug_refs : 0;
      for (uint32_t i = 0; i < amap->used_count; ++i) {
        const uint32_t slot = amap->used[i];
        if (absent && slot - uint64_t{amap->debug_slot} >= covered) return false;
        distinct += amap->anons[slot]->debug_seen++ == 0 ? 1 : 0;
      }
      return true;
    });
    if (!amaps) return false;
    // Who else has references to anons, only the rule knows.
    if (uvm_->loans().DebugAnonLoans() != 0) {
      if (!ValidAnonRefs(uvm_, &unread_)) return false;
    } else if (!AnonsHold(distinct)) {
      return false;
    }
    return CountedObjectRefsHold(uvm_, &unread_);
  }

  bool AnonsHold(uint64_t distinct) {
    const AnonStore& anons = uvm_->DebugAnons();
    if (anons.live() - anons.held_only() - anons.dying() != distinct) return false;
    return ForEachAmap(uvm_, [](Amap* amap) {
      for (uint32_t i = 0; i < amap->used_count; ++i) {
        const Anon* anon = amap->anons[amap->used[i]];
        if (anon->refs != anon->debug_seen || !HasContents(*anon)) return false;
      }
      return true;
    });
  }

  // ValidPageOwners, ValidFreeFrames (of each queue a few frames), FreeAccounting, ValidPageStates,
  // WiringsAreCounted. Each page of an object is in its tree when the trees have as many.
  bool PagesHold() {
    PageSums sums;
    bool right = true;
    uint64_t objects_pages = 0;
    const bool kernel = uvm_->counters().kernel_wirings > 0;
    const bool cut = uvm_->counters().wired_freed > 0;
    uvm_->DebugPages().DebugForEach([&](Page& page) {
      if (IsUnused(page)) return sums.AddUnused(page);
      sums.Add(page);
      objects_pages += page.object != nullptr ? 1 : 0;
      right = right && !WrongWiring(page, kernel, cut) &&
              (IsPlainlyOwned(page) ||
               (WrongOwnerButTree(page) == nullptr && WrongState(page) == nullptr));
      if (page.debug_wired != 0) page.debug_wired = 0;
    });
    return right && objects_pages == objects_pages_ && sums.lost == 0 &&
           uvm_->DebugPages().DebugWrongFree(2) == nullptr && sums.Accounted(uvm_) &&
           sums.Counted(uvm_) && sums.pageout == uvm_->pagedaemon().paging().value();
  }

  // The rules for translations.
  bool TranslationsHold() {
    return ForEachTranslation(uvm_, [&](const Backed& backed) {
      return WrongPlace(backed) == nullptr && WrongPage(uvm_, backed) == nullptr &&
             WrongRights(backed) == nullptr && WronglyWritable(backed) == nullptr &&
             WritableAndClean(backed) == nullptr && !WritableAndLent(backed);
    });
  }

  Uvm* const uvm_;
  uint64_t objects_pages_ = 0;
  char unread_text_[256];
  TextSink unread_{unread_text_, sizeof unread_text_};
};

}  // namespace

const char* FirstViolation(Uvm* uvm, TextSink* text) {
  if (AllRules(uvm).Hold()) return nullptr;
  uvm->DebugPages().DebugForEach([](Page& page) { page.debug_wired = 0; });
  struct Rule {
    const char* name;
    bool (*holds)(Uvm*, TextSink*);
  };
  // Structure before meaning: a later rule may rely on what an earlier one checked.
  constexpr Rule kRules[] = {
      {"NoLockHeld", NoLockHeld},
      {"ValidMapEntries", ValidMapEntries},
      {"LayeredEntries", LayeredEntries},
      {"ValidAmapSlots", ValidAmapSlots},
      {"ValidAmapRefs", ValidAmapRefs},
      {"ValidAnonRefs", ValidAnonRefs},
      {"ValidObjectRefs", ValidObjectRefs},
      {"ValidObjectPages", ValidObjectPages},
      {"ValidPageOwners", ValidPageOwners},
      {"ValidFreeFrames", ValidFreeFrames},
      {"FreeAccounting", FreeAccounting},
      {"ValidPageStates", ValidPageStates},
      {"PagingCount", PagingCount},
      {"WiringsAreCounted", WiringsAreCounted},
      {"TranslationInsideEntry", TranslationInsideEntry},
      {"TranslationMapsItsPage", TranslationMapsItsPage},
      {"RightsWithinProtection", RightsWithinProtection},
      {"CopyOnWriteIsReadOnly", CopyOnWriteIsReadOnly},
      {"CleanPagesAreReadOnly", CleanPagesAreReadOnly},
      {"KernelMappings", KernelMappings},
      {"ValidWindows", ValidWindows},
      {"LentPagesAreReadOnly", LentPagesAreReadOnly},
      {"SwapSlotsAgree",
       [](Uvm* all, TextSink* out) { return SwapSlotsAgree(all, CleanPages::kAll, out); }},
  };
  for (const Rule& rule : kRules) {
    if (!rule.holds(uvm, text)) return rule.name;
  }
  return nullptr;
}

}  // namespace uvm
