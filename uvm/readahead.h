// uvm/readahead.h: reading pages of an object before anybody asks for them.
//
// WHAT     A ReadAhead context watches the requests of one reader of one object. Requests that go
//          on where the last window said they would double the window; others start anew. What is
//          read ahead is asked of the pager without waiting for it (kPgoSyncIo not set).
//            NORMAL      the first request only notes where the next would be; from then on one
//                        window ahead is kept resident
//            SEQUENTIAL  the largest window from the first request on
//            RANDOM      nothing, and what was noted is forgotten
//          NetBSD's uvm_ra_allocctx() and uvm_ra_freectx() are its constructor and destructor.
// STATES   unknown -> watching (window from `start_`, `next_` not yet asked for) -> unknown.
// LOCKS    Whoever owns the context; Request and Start are called with nothing held.
// SEE      NetBSD sys/uvm/uvm_readahead.c; facts/uvm.md 1.17, 2.16 and section 0.

#ifndef UVM_READAHEAD_H_
#define UVM_READAHEAD_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/object.h"
#include "uvm/pager.h"

namespace uvm {

class ReadAhead {
 public:
  // Bytes. NetBSD: MAXPHYS and what is derived from it.
  static constexpr uint64_t kChunk = kMaxGetPages * base::kPageSize;
  static constexpr uint64_t kInitialWindow = kChunk;
  static constexpr uint64_t kMaxWindow = 16 * kChunk;
  static constexpr uint64_t kMinIo = 2 * kChunk;

  // NetBSD: uvm_ra_request(). Somebody is about to read [offset, offset + bytes) of `object`.
  void Request(Object* object, Advice advice, uint64_t offset, uint64_t bytes);
  // NetBSD: uvm_readahead(): asks for [offset, offset + bytes) in chunks, up to the object's end.
  // Returns where it stopped. An error ends it and is nobody's concern.
  static uint64_t Start(Object* object, uint64_t offset, uint64_t bytes);

  uint64_t window_bytes() const { return valid_ ? window_ : 0; }

 private:
  void Note(uint64_t next, uint64_t window);

  bool valid_ = false;
  uint64_t start_ = 0;   // bytes: where the window begins
  uint64_t window_ = 0;  // bytes
  uint64_t next_ = 0;    // up to here everything was asked for
};

}  // namespace uvm

#endif  // UVM_READAHEAD_H_
