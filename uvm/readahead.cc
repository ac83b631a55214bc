#include "uvm/readahead.h"

namespace uvm {
namespace {

// One unlocked, asynchronous get. False: no use going on.
bool AskFor(Object* object, PageIndex first, uint32_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* pages[kMaxGetPages] = {};
  GetRequest request;
  request.first = first;
  request.count = count;
  request.pages = pages;
  object->mu.Lock();
  return object->pager()->Get(object, &request).ok();
}

}  // namespace

uint64_t ReadAhead::Start(Object* object, uint64_t offset, uint64_t bytes) {
  const uint64_t size = object->pager()->SizeInBytes(object);
  uint64_t end = offset + bytes < offset ? size : offset + bytes;
  if (end > size) end = size;
  uint64_t at = base::TruncPage(offset);
  while (at < end) {
    // Chunks end at multiples of their size, so that requests of different readers meet.
    uint64_t stop = (at / kChunk + 1) * kChunk;
    if (stop > end || stop < at) stop = end;
    const uint64_t pages = (stop - at + base::kPageMask) >> base::kPageShift;
    if (!AskFor(object, base::ToPageIndex(at), static_cast<uint32_t>(pages))) break;
    at = stop;
  }
  return at;
}

void ReadAhead::Note(uint64_t next, uint64_t window) {
  valid_ = true;
  start_ = next_ = next;
  window_ = window;
}

void ReadAhead::Request(Object* object, Advice advice, uint64_t offset, uint64_t bytes) {
  if (advice == Advice::kRandom) {
    valid_ = false;
    return;
  }
  const bool sequential = advice == Advice::kSequential;
  // A request that begins in the window, or right behind it, goes on with it.
  const bool goes_on = valid_ && offset >= start_ && offset - start_ <= window_;
  if (!goes_on && !sequential) return Note(offset + bytes, kInitialWindow);
  if (!goes_on) Note(offset, kMaxWindow);
  if (next_ < offset) next_ = offset;
  const uint64_t end = offset + bytes + window_;
  if (end > next_ && end - next_ >= kMinIo) next_ = Start(object, next_, end - next_);
  start_ = offset + bytes;
  if (window_ < kMaxWindow) window_ *= 2;
}

}  // namespace uvm
