#include "uvm/dump.h"

#include "base/prot.h"

namespace uvm {
namespace {

using base::TextSink;

const char* DirtyName(Dirty dirty) {
  switch (dirty) {
    case Dirty::kClean:
      return "clean";
    case Dirty::kDirty:
      return "dirty";
    case Dirty::kUnknown:
      return "maybe-dirty";
  }
  return "?";
}

const char* BusyName(BusyReason reason) {
  switch (reason) {
    case BusyReason::kNotBusy:
      return "";
    case BusyReason::kPagein:
      return " busy=pagein";
    case BusyReason::kPromote:
      return " busy=promote";
    case BusyReason::kPageout:
      return " busy=pageout";
    case BusyReason::kClean:
      return " busy=clean";
    case BusyReason::kLoan:
      return " busy=loan";
  }
  return " busy=?";
}

void DumpTranslations(Uvm* uvm, const Space& space, TextSink* out) {
  PmapSystem::Mapping mapping;
  for (Vaddr from(0); uvm->DebugPmap()->PeekNext(space.pmap(), from, &mapping);
       from = mapping.va + base::kPageSize) {
    *out << "  " << mapping.va << " -> page#" << mapping.pa.PageNumber() << " " << mapping.prot
         << (mapping.wired == Wired::kYes ? " wired" : "") << "\n";
  }
}

}  // namespace

void DumpPage(const Page& page, TextSink* out) {
  *out << "page#" << page.pa.PageNumber();
  if (page.free) {
    *out << " free";
    return;
  }
  *out << " " << DirtyName(page.dirty) << BusyName(page.busy);
  if (page.wire_count != 0) *out << " wired=" << page.wire_count;
  if (page.loan_count != 0) *out << " lent=" << page.loan_count;
}

void DumpEntry(const MapEntry& entry, uint32_t number, TextSink* out) {
  *out << "entry#" << number << " " << entry.range() << " " << entry.prot
       << " max=" << entry.max_prot << " inherit=" << base::InheritName(entry.inherit);
  if (entry.advice != Advice::kNormal) *out << " advice=" << base::AdviceName(entry.advice);
  if (entry.copy_on_write) *out << " copy-on-write";
  if (entry.needs_copy) *out << " needs-copy";
  if (entry.shared) *out << " shared";
  if (entry.wired_count != 0) *out << " wired=" << entry.wired_count;
  if (entry.aref.amap != nullptr) *out << " amap#" << entry.aref.amap->id << "+" << entry.aref.slot;
  if (entry.object != nullptr)
    *out << " object#" << entry.object->id << "+" << base::Hex{entry.offset};
  *out << "\n";
}

void DumpSpace(Uvm* uvm, const Space& space, TextSink* out) {
  const Map& map = space.map();
  *out << "space#" << space.id << " [" << map.min() << "," << map.max()
       << ") entries=" << map.DebugCount() << " bytes=" << base::Hex{map.DebugSize()}
       << " resident=" << uvm->DebugPmap()->ResidentCount(space.pmap())
       << (map.DebugIdle() ? "" : " locked") << "\n";
  uint32_t number = 0;
  for (MapEntry* entry = map.DebugFirst(); entry != nullptr; entry = Map::DebugNext(entry)) {
    out->Indent(2);
    DumpEntry(*entry, ++number, out);
  }
  DumpTranslations(uvm, space, out);
}

void DumpAmap(const Amap& amap, TextSink* out) {
  *out << "amap#" << amap.id << " refs=" << amap.refs << (amap.shared ? " shared" : "")
       << " slots=" << amap.slot_count << " used=" << amap.used_count
       << " lock-refs=" << amap.lock->DebugRefs() << (amap.lock->mutex.DebugIdle() ? "" : " locked")
       << "\n";
  for (uint32_t slot = 0; slot < amap.slot_count; ++slot) {
    const Anon* anon = amap.anons[slot];
    if (anon == nullptr) continue;
    *out << "  [" << slot << "] anon refs=" << anon->refs << " ";
    if (anon->page == nullptr) {
      *out << "no page";
    } else {
      DumpPage(*anon->page, out);
    }
    *out << "\n";
  }
}

void DumpObject(Object* object, TextSink* out) {
  *out << "object#" << object->id << " key=" << base::Hex{object->key()}
       << " refs=" << object->DebugRefs() << " pages=" << object->DebugPageCount()
       << (object->mu.DebugIdle() ? "" : " locked") << "\n";
  for (Page* page = object->DebugFirstPage(); page != nullptr; page = Object::DebugNextPage(page)) {
    *out << "  [" << page->index << "] ";
    DumpPage(*page, out);
    *out << "\n";
  }
}

void Dump(Uvm* uvm, TextSink* out) {
  const Uvm::SpaceList& spaces = uvm->DebugSpaces();
  for (Space* space = spaces.front(); space != nullptr; space = spaces.Next(space))
    DumpSpace(uvm, *space, out);
  const AmapStore::List& amaps = uvm->DebugAmaps().DebugAll();
  for (Amap* amap = amaps.front(); amap != nullptr; amap = amaps.Next(amap)) DumpAmap(*amap, out);
  const ObjectStore::List& objects = uvm->DebugObjects().DebugAll();
  for (Object* object = objects.front(); object != nullptr; object = objects.Next(object))
    DumpObject(object, out);
  *out << "pages total=" << uvm->DebugPages().total() << " free=" << uvm->DebugPages().free_count()
       << " anons=" << uvm->DebugAnons().live() << "\n";
}

}  // namespace uvm
