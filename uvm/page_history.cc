#include "uvm/page_history.h"

#include "base/check.h"
#include "base/hash.h"

namespace uvm {
namespace {

uint32_t CookieOf(uint64_t hash, uint32_t phase) {
  return static_cast<uint32_t>(hash >> 32) << 8 | (phase & 0xff);
}

}  // namespace

bool PageHistory::Allocate(base::PageSource* memory, base::PageCount pages) {
  CHECK(table_ == nullptr);
  bucket_count_ = 1;
  while (bucket_count_ * kBucketCookies < pages.value() * 2) bucket_count_ *= 2;
  table_ = static_cast<Bucket*>(memory->AllocateChunk(sizeof(Bucket) * bucket_count_));
  return table_ != nullptr;
}

void PageHistory::Drop(Bucket* bucket, uint32_t index) {
  for (uint32_t i = index; i + 1 < bucket->count; ++i) bucket->cookies[i] = bucket->cookies[i + 1];
  --bucket->count;
  --size_;
}

uint32_t PageHistory::Sweep(Bucket* bucket) {
  uint32_t died = 0;
  for (; bucket->count > 0 && Aged(bucket->cookies[0]); ++died) Drop(bucket, 0);
  return died;
}

uint32_t PageHistory::Add(uint64_t name) {
  const uint64_t hash = base::Mix64(name);
  Bucket* bucket = BucketOf(hash);
  uint32_t died = Sweep(bucket);
  if (bucket->count == kBucketCookies) {
    Drop(bucket, 0);
    ++died;
  }
  bucket->cookies[bucket->count++] = CookieOf(hash, phase_);
  ++size_;
  return died;
}

bool PageHistory::Take(uint64_t name) {
  const uint64_t hash = base::Mix64(name);
  Bucket* bucket = BucketOf(hash);
  for (uint32_t i = 0; i < bucket->count; ++i) {
    if ((bucket->cookies[i] ^ CookieOf(hash, 0)) >> 8 != 0) continue;
    const bool young = !Aged(bucket->cookies[i]);
    Drop(bucket, i);
    return young;
  }
  return false;
}

uint32_t PageHistory::Age(uint64_t steps, uint64_t round) {
  // In 2^32ths: a step is 64 phases, and all the buckets, over `round`. No more than a round at
  // once, so that no cookie's phase laps it.
  if (round == 0) return 0;
  if (steps > round) steps = round;
  phase_part_ += ((uint64_t{kLifetime} * steps) << 32) / round;
  phase_ += static_cast<uint32_t>(phase_part_ >> 32);
  phase_part_ &= 0xffffffff;
  bucket_part_ += (bucket_count_ * steps << 32) / round;
  uint32_t died = 0;
  for (; bucket_part_ >> 32 != 0; bucket_part_ -= uint64_t{1} << 32) {
    died += Sweep(&table_[next_sweep_]);
    next_sweep_ = (next_sweep_ + 1) & (bucket_count_ - 1);
  }
  return died;
}

}  // namespace uvm
