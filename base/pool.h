// base/pool.h: the one seam through which the deployable side allocates (design D2).
//
// WHAT     A PageSource hands out chunks of page-aligned memory: on L4 pages of sigma0 set aside
//          for the server's own data, in the harness a slice of the machine's arena. A Pool<T> cuts
//          chunks into slots of one type, keeps freed slots on a list and never gives chunks back.
//          Each slot lives at one address for ever. Slots of whole cache lines start at another
//          line in each chunk (Bonwick's colouring): the upper nodes of a tree whose elements were
//          made in order are a power of two apart, and would all want the same few sets of the
//          cache.
// INVARIANTS  live() = New() calls that succeeded - Delete() calls. A refused chunk is an ordinary
//          outcome (nullptr), so that the harness can inject it at every site.
// SEE      design.md D2; house.md 4.6 (allocation failure is an outcome).

#ifndef BASE_POOL_H_
#define BASE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/check.h"

namespace base {

// The door to memory for data structures. Implementations are owned by whoever composes the
// machine.
class PageSource {
 public:
  // Returns `bytes` of zeroed memory aligned to 4096, or null. REQUIRES: bytes > 0. The memory is
  // never returned.
  virtual void* AllocateChunk(size_t bytes) = 0;

 protected:
  ~PageSource() = default;
};

template <typename T>
class Pool {
 public:
  // `source` must outlive the pool. `limit` caps live objects (0 = no cap), so tests can make a
  // pool run dry.
  explicit Pool(PageSource* source, size_t limit = 0) : source_(source), limit_(limit) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A new T, or null when the source or the cap refuses.
  template <typename... Args>
  T* New(Args&&... args) {
    if (limit_ != 0 && live_ >= limit_) return nullptr;
    if (free_ == nullptr && !Refill()) return nullptr;
    Slot* slot = free_;
    free_ = slot->next;
    ++live_;
    return new (slot->bytes) T(std::forward<Args>(args)...);
  }

  // REQUIRES: `object` came from this pool's New() and was not deleted since.
  void Delete(T* object) {
    DCHECK(live_ > 0);
    object->~T();
    Slot* slot = reinterpret_cast<Slot*>(object);
    slot->next = free_;
    free_ = slot;
    --live_;
  }

  size_t live() const { return live_; }
  void set_limit(size_t limit) { limit_ = limit; }

 private:
  union Slot {
    Slot* next;
    alignas(T) unsigned char bytes[sizeof(T)];
  };
  // 64 slots or one page, whichever is more: big enough to make refills rare, small enough for
  // 32-bit servers.
  static constexpr size_t kChunkBytes =
      ((sizeof(Slot) * 64 > 4096 ? sizeof(Slot) * 64 : 4096) + 4095) / 4096 * 4096;

  static constexpr size_t kLine = 64;
  static constexpr bool kColoured = sizeof(Slot) % kLine == 0;
  static constexpr size_t kSlots = kChunkBytes / sizeof(Slot) - (kColoured ? 1 : 0);
  static constexpr size_t kColours = (kChunkBytes - kSlots * sizeof(Slot)) / kLine;

  bool Refill() {
    auto* chunk = static_cast<unsigned char*>(source_->AllocateChunk(kChunkBytes));
    if (chunk == nullptr) return false;
    if constexpr (kColoured) {
      chunk += colour_ * kLine;
      colour_ = colour_ + 1 == kColours ? 0 : colour_ + 1;
    }
    auto* slots = reinterpret_cast<Slot*>(chunk);
    for (size_t i = kSlots; i-- > 0;) {
      slots[i].next = free_;
      free_ = &slots[i];
    }
    return true;
  }

  PageSource* const source_;
  size_t limit_;
  Slot* free_ = nullptr;
  size_t live_ = 0;
  size_t colour_ = 0;  // of the next chunk
};

// Arrays of power-of-two sizes from 16 bytes up, for structures whose length varies (amap slots,
// page tables).
class ArrayPool {
 public:
  explicit ArrayPool(PageSource* source) : source_(source) {}
  ArrayPool(const ArrayPool&) = delete;
  ArrayPool& operator=(const ArrayPool&) = delete;

  // Bytes that a request for `bytes` really gets; callers may use the slack.
  static constexpr size_t Capacity(size_t bytes) {
    size_t size = 16;
    while (size < bytes) size *= 2;
    return size;
  }

  // Zeroed memory of Capacity(bytes), or null. REQUIRES: bytes > 0.
  void* Allocate(size_t bytes) {
    void* memory = AllocateRaw(bytes);
    if (memory != nullptr) __builtin_memset(memory, 0, Capacity(bytes));
    return memory;
  }

  // The same with contents undefined.
  void* AllocateRaw(size_t bytes) {
    size_t size = Capacity(bytes);
    Slot*& head = free_[Class(size)];
    if (head == nullptr && !Refill(size)) return nullptr;
    Slot* slot = head;
    head = slot->next;
    live_bytes_ += size;
    return slot;
  }

  // REQUIRES: `memory` came from Allocate(bytes) with the same Capacity.
  void Free(void* memory, size_t bytes) {
    size_t size = Capacity(bytes);
    auto* slot = static_cast<Slot*>(memory);
    slot->next = free_[Class(size)];
    free_[Class(size)] = slot;
    live_bytes_ -= size;
  }

  size_t live_bytes() const { return live_bytes_; }

 private:
  struct Slot {
    Slot* next;
  };
  static constexpr int kClasses = 40;
  static constexpr int Class(size_t size) { return __builtin_ctzll(size); }

  bool Refill(size_t size) {
    size_t chunk = size < 4096 ? 4096 : size;
    auto* bytes = static_cast<unsigned char*>(source_->AllocateChunk(chunk));
    if (bytes == nullptr) return false;
    for (size_t offset = chunk; offset > 0;) {
      offset -= size;
      auto* slot = reinterpret_cast<Slot*>(bytes + offset);
      slot->next = free_[Class(size)];
      free_[Class(size)] = slot;
    }
    return true;
  }

  PageSource* const source_;
  Slot* free_[kClasses] = {};
  size_t live_bytes_ = 0;
};

}  // namespace base

#endif  // BASE_POOL_H_
