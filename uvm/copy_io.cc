#include "uvm/copy_io.h"

#include <cstring>

#include "uvm/object.h"

namespace uvm {
namespace {

bool MappedFor(Core* core, Pmap* pmap, Vaddr at, Access access, Paddr* pa) {
  if (!core->pmap->Extract(pmap, at.Trunc(), pa)) return false;
  PmapSystem::Mapping mapping;
  return core->pmap->PeekNext(pmap, at.Trunc(), &mapping) && mapping.va == at.Trunc() &&
         base::ProtFor(access).IsSubsetOf(mapping.prot);
}

}  // namespace

// While the entry's layers are locked its translations can only be forgotten, not their frames
// reused. A frame that is written here gets no modified bit, so its page is told.
bool CopyMapped(Core* core, PageStore* pages, Map* map, Vaddr at, unsigned char* buffer,
                uint64_t bytes, Access access) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  ReaderLock map_lock(&map->lock());
  const MapEntry* entry = map->LookupLocked(at);
  if (entry == nullptr) return false;
  Mutex* amap = entry->aref.amap != nullptr ? &entry->aref.amap->lock->mutex : nullptr;
  Mutex* object = entry->object != nullptr ? &entry->object->mu : nullptr;
  if (amap != nullptr) amap->Lock();
  if (object != nullptr) object->Lock();
  Paddr pa;
  const bool mapped = MappedFor(core, map->pmap(), at, access, &pa);
  if (mapped && access == Access::kWrite) {
    std::memcpy(core->pmap->HomePointer(pa) + at.Offset(), buffer, bytes);
    Page* page = pages->FromPaddr(pa);
    if (page != nullptr && page->object != nullptr) page->object->SetDirty(page, Dirty::kDirty);
    if (page != nullptr && page->object == nullptr) page->dirty = Dirty::kDirty;
  } else if (mapped) {
    std::memcpy(buffer, core->pmap->HomePointer(pa) + at.Offset(), bytes);
  }
  if (object != nullptr) object->Unlock();
  if (amap != nullptr) amap->Unlock();
  return mapped;
}

}  // namespace uvm
