// uvm/page_history.h: which contents were paged out not long ago.
//
// WHAT     A hashed table of names, in buckets of 14 cookies that fill a line of the cache; room
//          for twice as many names as there are pages. A name that is asked for while it is here
//          was evicted too early. Names age by phases: the policy's hand tells how far it went, and
//          one round of it is a lifetime.
// INVARIANTS  Within a bucket cookies stand in the order in which they came. size() counts the
//             cookies in the table, aged ones too until they are swept. Two names with one cookie
//             in a bucket are taken for one: one pair in 2^24 is.
// SEE      facts/uvm.md 2.11 "CLOCK-Pro"; pdpolicy_clockpro.h.

#ifndef UVM_PAGE_HISTORY_H_
#define UVM_PAGE_HISTORY_H_

#include <cstdint>

#include "base/addr.h"
#include "base/pool.h"

namespace uvm {

class PageHistory {
 public:
  static constexpr uint32_t kBucketCookies = 14;
  static constexpr uint32_t kLifetime = 64;  // phases

  PageHistory() = default;
  PageHistory(const PageHistory&) = delete;
  PageHistory& operator=(const PageHistory&) = delete;

  // Makes the table, for a machine of `pages`. Once; false: no memory.
  bool Allocate(base::PageSource* memory, base::PageCount pages);
  // Notes a name. The oldest of its bucket goes if that is full; returns how many cookies died of
  // that or of age.
  uint32_t Add(uint64_t name);
  // Whether the name is here and young enough; it is not any more afterwards.
  bool Take(uint64_t name);
  // The hand went on by `steps` of the `round` that one revolution takes. Returns how many cookies
  // died of age in what it swept.
  uint32_t Age(uint64_t steps, uint64_t round);

  uint64_t size() const { return size_; }
  uint64_t buckets() const { return bucket_count_; }

 private:
  // A cookie: 24 bits of the name's hash, 8 of the phase in which it came.
  struct Bucket {
    uint32_t count;
    uint32_t unused;
    uint32_t cookies[kBucketCookies];
  };
  static_assert(sizeof(Bucket) == 64);

  Bucket* BucketOf(uint64_t hash) { return &table_[hash & (bucket_count_ - 1)]; }
  bool Aged(uint32_t cookie) const { return ((phase_ - cookie) & 0xff) >= kLifetime; }
  uint32_t Sweep(Bucket* bucket);
  void Drop(Bucket* bucket, uint32_t index);

  Bucket* table_ = nullptr;
  uint64_t bucket_count_ = 0;  // a power of two
  uint64_t size_ = 0;
  uint32_t phase_ = 0;        // of all time; cookies have its low byte
  uint64_t phase_part_ = 0;   // of a phase, in 1/2^32
  uint64_t bucket_part_ = 0;  // of a bucket, in 1/2^32
  uint64_t next_sweep_ = 0;   // bucket
};

}  // namespace uvm

#endif  // UVM_PAGE_HISTORY_H_
