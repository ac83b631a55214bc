// model/transfer.h: bytes that go from one place to another: memory, files, messages.
//
// WHAT     A Parcel is a stretch of bytes by value, taken from one place and put into another, and
//          which of them nobody knows: they came from a page that MADV_FREE had left open, or
//          perhaps did not come at all. Where
//          such bytes land the whole page is unknown.
// SEE      moves.cc for the calls; layer.h for open pages.

#ifndef MODEL_TRANSFER_H_
#define MODEL_TRANSFER_H_

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "model/space.h"

namespace model {

struct Parcel {
  uint64_t pages = 0;  // when it was sent: so many stay lent until nothing of it is left
  std::vector<unsigned char> bytes;
  // Stretches [first, second) of `bytes` that are not known, in any order.
  std::vector<std::pair<uint64_t, uint64_t>> unknown;

  bool IsKnown(uint64_t start, uint64_t end) const;
  // The first `size` bytes, and all but them.
  Parcel Head(uint64_t size) const;
  void DropHead(uint64_t size);
  // Only the first `known` bytes stay known.
  void Forget(uint64_t known);
};

// What tasks of one family have sent and not received, oldest first. Bytes of the first message
// that were received are gone from it.
using Channel = std::deque<Parcel>;

// Takes `size` bytes of memory, all mapped. A read of a wired page may leave it open
// (Space::MayBind).
void TakeFromMemory(const Space& space, uint64_t at, uint64_t size, const FileTable& files,
                    Parcel* out);
void TakeFromFile(uint64_t key, uint64_t offset, uint64_t size, const FileTable& files,
                  Parcel* out);
// All mapped.
void PutIntoMemory(const Parcel& parcel, const Space& space, uint64_t at, FileTable* files);
void PutIntoFile(const Parcel& parcel, uint64_t key, uint64_t offset, FileTable* files);

}  // namespace model

#endif  // MODEL_TRANSFER_H_
