#include "uvm/swap_memory.h"

#include "base/check.h"

namespace uvm {

SwapMemory::SwapMemory(ThreadSystem* threads, base::PageSource* source, base::PageCount pages,
                       Latency latency)
    : SwapMemory(threads, static_cast<unsigned char*>(nullptr), pages, latency) {
  if (pages.value() > 0) {
    bytes_ = static_cast<unsigned char*>(
        source->AllocateChunk(static_cast<size_t>(base::ToBytes(pages))));
  }
  if (bytes_ == nullptr) pages_ = 0;
}

void SwapMemory::Move(SwapTransfer* transfer) {
  for (uint32_t i = 0; i < transfer->count; ++i) {
    unsigned char* here = bytes_ + (transfer->block + i) * base::kPageSize;
    if (transfer->direction == SwapDirection::kRead) {
      __builtin_memcpy(transfer->pages[i], here, base::kPageSize);
    } else {
      __builtin_memcpy(here, transfer->pages[i], base::kPageSize);
    }
  }
  transfer->result = SwapResult::kOk;
  transfer->done(transfer);
}

void SwapMemory::Start(SwapTransfer* transfer) {
  CHECK(transfer->block + transfer->count <= pages_);
  const uint64_t takes = latency_.transfer_us + latency_.page_us * transfer->count;
  if (takes == 0) return Move(transfer);
  const uint64_t now = threads_->Now();
  guard_.Acquire(threads_);
  const SwapTransfer* last = queue_.back();
  transfer->due_us = (last != nullptr && last->due_us > now ? last->due_us : now) + takes;
  queue_.PushBack(transfer);
  guard_.Release();
}

uint64_t SwapMemory::NextDue() const {
  guard_.Acquire(threads_);
  const SwapTransfer* first = queue_.front();
  const uint64_t due = first == nullptr ? kNever : first->due_us;
  guard_.Release();
  return due;
}

void SwapMemory::Poll(uint64_t now_us) {
  for (;;) {
    guard_.Acquire(threads_);
    SwapTransfer* first = queue_.front();
    const bool due = first != nullptr && first->due_us <= now_us;
    if (due) queue_.Remove(first);
    guard_.Release();
    if (!due) return;
    Move(first);
  }
}

}  // namespace uvm
