#include "model/presence.h"

#include <algorithm>

#include "traces/op.h"

namespace model {
namespace {

Lack LackOf(const MemoryObject& object) {
  return object.kind == MemoryObject::Kind::kDevice ? Lack::kDevice : Lack::kPastEnd;
}

// The driver of the frame buffer gives the last pages to nobody who may write.
bool DriverRefuses(const MemoryObject& object, const Region& region, uint64_t va, base::Prot prot) {
  return object.kind == MemoryObject::Kind::kDevice && region.layer == nullptr &&
         base::kProtReadWrite.IsSubsetOf(prot) &&
         region.FilePage(va) >= traces::kFrameBufferWritablePages;
}

// False: the walk is over.
bool Note(Presence presence, Lack lack, Walk* walk) {
  if (presence == Presence::kThere) return true;
  if (presence == Presence::kOpen) {
    if (walk->doubtful == Lack::kNothing) walk->doubtful = lack;
    return true;
  }
  walk->lack = lack;
  return false;
}

// Calls visit(region, object, va) for every page of [start, end) that may not be had, ascending,
// until it returns false.
template <typename Visit>
void ForObjectPages(const Space& space, uint64_t start, uint64_t end, const FileTable& files,
                    const Visit& visit) {
  for (const Region* region = space.FindFrom(start); region != nullptr && region->start < end;
       region = space.FindFrom(region->end)) {
    const MemoryObject* object = files.Object(region->file_key);
    if (object == nullptr) continue;
    const uint64_t last = std::min(end, region->end);
    uint64_t va = std::max(start, region->start);
    // Of all but devices only what lies past the end is of interest.
    const uint64_t first = region->FilePage(va);
    if (object->kind != MemoryObject::Kind::kDevice && first < object->pages()) {
      const uint64_t bytes = (object->pages() - first) << base::kPageShift;
      va = bytes < last - va ? va + bytes : last;
    }
    for (; va < last; va += base::kPageSize) {
      if (!visit(*region, *object, va)) return;
    }
  }
}

}  // namespace

Presence PresenceFor(const Region& region, uint64_t va, base::Access access,
                     const FileTable& files) {
  const MemoryObject* object = files.Object(region.file_key);
  if (object == nullptr) return Presence::kThere;
  if (DriverRefuses(*object, region, va, region.attributes.prot) &&
      object->Has(region.FilePage(va))) {
    // What could be read before the mapping got the right to write may still be in place.
    return access == base::Access::kWrite ? Presence::kAbsent : Presence::kOpen;
  }
  return Space::Look(region, va, files).presence();
}

Walk WalkToWire(const Space& space, uint64_t start, uint64_t end, WireWhat what, base::Prot prot,
                const FileTable& files) {
  Walk walk;
  ForObjectPages(space, start, end, files,
                 [&](const Region& region, const MemoryObject& object, uint64_t va) {
                   const bool none = region.attributes.prot.IsNone();
                   if (region.attributes.wired || none != (what == WireWhat::kWithoutRights)) {
                     return true;
                   }
                   const base::Prot rights = none ? prot : region.attributes.prot;
                   Presence presence = Space::Look(region, va, files).presence();
                   if (DriverRefuses(object, region, va, rights)) presence = Presence::kAbsent;
                   return Note(presence, LackOf(object), &walk);
                 });
  return walk;
}

Walk WalkToCopy(const Space& space, uint64_t start, uint64_t end, const FileTable& files) {
  Walk walk;
  ForObjectPages(
      space, start, end, files, [&](const Region& region, const MemoryObject& object, uint64_t va) {
        Presence presence = Space::Look(region, va, files).presence();
        const bool frame = object.kind == MemoryObject::Kind::kDevice && region.layer == nullptr;
        if (frame) presence = Presence::kAbsent;
        return Note(presence, LackOf(object), &walk);
      });
  return walk;
}

}  // namespace model
