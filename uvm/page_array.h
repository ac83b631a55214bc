// uvm/page_array.h: walks the pages of an object in batches.
//
// WHAT     A PageArray fetches up to kBatch pages of an object at a time, in the order of their
//          index, and hands them out one by one. NetBSD: uvm_page_array.
// LOCKS    The object's, all the time between a fill and the last Peek of what it brought. Whoever
//          lets go of the lock calls Clear(): the pages may be gone.
// SEE      NetBSD uvm_page_array(9); facts/uvm.md 1.10.

#ifndef UVM_PAGE_ARRAY_H_
#define UVM_PAGE_ARRAY_H_

#include <cstdint>

#include "base/check.h"
#include "uvm/object.h"
#include "uvm/page.h"

namespace uvm {

class PageArray {
 public:
  enum Flags : uint32_t {
    kDense = 1,      // stop at the first page that is not there
    kBackward = 2,   // towards lower indices
    kDirty = 4,      // only pages that may be dirty
    kWriteback = 8,  // only pages on their way to the store
  };
  static constexpr uint32_t kBatch = 16;

  // NetBSD: uvm_page_array_init(); there is nothing to do for uvm_page_array_fini(), as Clear() has
  // no effect beyond the array. `object` outlives the array. kDense goes with neither kDirty nor
  // kWriteback.
  PageArray(const Object* object, uint32_t flags) : object_(object), flags_(flags) {
    DCHECK((flags & kDense) == 0 || (flags & (kDirty | kWriteback)) == 0);
  }

  // NetBSD: uvm_page_array_peek(). The page that is next, or null when the batch is used up.
  Page* Peek() const {
    if (next_ == count_) return nullptr;
    DCHECK(batch_[next_]->object == object_);
    return batch_[next_];
  }
  // NetBSD: uvm_page_array_advance().
  void Advance() {
    DCHECK(next_ < count_);
    ++next_;
  }
  // NetBSD: uvm_page_array_clear().
  void Clear() { next_ = count_ = 0; }
  // NetBSD: uvm_page_array_fill(). A batch of at most `wanted` pages (0: as many as fit) from
  // `from` on, in the array's direction. False when there is none.
  bool Fill(PageIndex from, uint32_t wanted);
  // NetBSD: uvm_page_array_fill_and_peek(). What Peek gives, after a Fill if the batch is used up.
  Page* FillAndPeek(PageIndex from, uint32_t wanted) {
    if (next_ == count_ && !Fill(from, wanted)) return nullptr;
    return Peek();
  }

 private:
  const Object* const object_;
  const uint32_t flags_;
  uint32_t next_ = 0;
  uint32_t count_ = 0;
  Page* batch_[kBatch];
};

}  // namespace uvm

#endif  // UVM_PAGE_ARRAY_H_
