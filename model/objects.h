// model/objects.h: what can be mapped besides anonymous memory: files, and memory objects with an
// end.
//
// WHAT     A FileTable holds the pages that were stored to, by key and page number, and says of
//          which keys there is more to know: memory files, System V segments and the frame buffer
//          are MemoryObjects, of zeros where nothing was stored. Where an object has no page a
//          mapping of it has nothing below, and accesses fail.
// STATES   memory file: named -> closed. segment: named -> removed. Both live on in mappings; a
//          name that is free may be given to another one, with another id.
// INVARIANTS  Ids of other objects are even and never used twice; keys of ordinary files are odd.
// No page
//          is stored beyond an object's end.
// SEE      layer.h; presence.h.

#ifndef MODEL_OBJECTS_H_
#define MODEL_OBJECTS_H_

#include <cstdint>
#include <map>

#include "base/addr.h"
#include "model/page.h"

namespace model {

// A page of a file or object that was stored to. Unknown: it got a copy of a page that MADV_FREE
// had left open, and files do not keep possibilities apart.
struct FilePage {
  PageValue value;
  bool unknown = false;
};

// Where files end that nobody ever cut: offsets are signed numbers.
inline constexpr uint64_t kMostFileBytes = uint64_t{1} << 63;

struct MemoryObject {
  // kFile: an ordinary file that was cut once; others have no end.
  enum class Kind : uint8_t { kMemfd, kSegment, kDevice, kFile };
  Kind kind = Kind::kMemfd;
  uint64_t size = 0;         // bytes
  uint32_t seals = 0;        // kMemfd
  bool locked = false;       // kSegment: SHM_LOCK
  bool removed = false;      // kSegment
  uint64_t attachments = 0;  // kSegment: of all tasks
  uint64_t made_up = 0;      // kFile: bytes before the lowest place it was cut at
  // Whether the object has a page of this number.
  bool Has(uint64_t page) const { return (page << base::kPageShift) < size; }
  uint64_t pages() const { return base::RoundPage(size) >> base::kPageShift; }
};

using FilePages = std::map<uint64_t, FilePage>;

// All that a FileTable knows of one key.
struct FileView {
  const FilePages* pages = nullptr;      // stored to; null: none
  const MemoryObject* object = nullptr;  // null: an ordinary file without an end, or nothing
};

// By file key or object's id. They outlive every mapping.
struct FileTable : std::map<uint64_t, FilePages> {
  static constexpr uint64_t kDeviceId = 2;

  std::map<uint64_t, MemoryObject> objects;
  // Names that are taken: the ids of those who have them.
  std::map<uint64_t, uint64_t> memfds;
  std::map<uint64_t, uint64_t> segments;
  uint64_t next_id = kDeviceId + 2;

  // Null: an ordinary file without an end, or nothing.
  const MemoryObject* Object(uint64_t key) const {
    if (key == 0) return nullptr;
    auto it = objects.find(key);
    return it == objects.end() ? nullptr : &it->second;
  }
  // Good until the table changes.
  FileView ViewOf(uint64_t key) const {
    auto it = find(key);
    return {it == end() ? nullptr : &it->second, Object(key)};
  }
};

}  // namespace model

#endif  // MODEL_OBJECTS_H_
