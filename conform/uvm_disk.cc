#include "conform/uvm_disk.h"

#include <cstring>

namespace conform {

namespace {

// Nobody's time comes here by itself.
constexpr uint64_t kFarAheadUs = 1'000'000'000;

}  // namespace

void UvmDisk::Do(uvm::SwapTransfer* transfer) {
  const bool reads = transfer->direction == uvm::SwapDirection::kRead;
  uint64_t& failing = reads ? faults_->failing_reads : faults_->failing_writes;
  const bool fails = failing > 0;
  if (fails) {
    failing--;
    (reads ? faults_->failed_reads : faults_->failed_writes) += transfer->count;
    for (uint32_t i = 0; i < transfer->count; i++) {
      faults_->log.insert({this, transfer->block + i});
      if (reads && faults_->on_failed_read) faults_->on_failed_read(this, transfer->block + i);
    }
  }
  for (uint32_t i = 0; i < transfer->count && !fails; i++) {
    unsigned char* here = bytes_.data() + (transfer->block + i) * base::kPageSize;
    std::memcpy(reads ? transfer->pages[i] : here, reads ? here : transfer->pages[i],
                base::kPageSize);
  }
  transfer->result = fails ? uvm::SwapResult::kIo : uvm::SwapResult::kOk;
  transfer->done(transfer);
}

void UvmDisk::Start(uvm::SwapTransfer* transfer) {
  if (!holds_ || transfer->direction == uvm::SwapDirection::kRead) return Do(transfer);
  due_us_ = now_us_ + kFarAheadUs;
  held_.PushBack(transfer);
}

void UvmDisk::Poll(uint64_t now_us) {
  now_us_ = now_us > now_us_ ? now_us : now_us_;
  if (now_us_ >= due_us_) Release();
}

uint64_t UvmDisk::held_pages() const {
  uint64_t pages = 0;
  for (uvm::SwapTransfer* t = held_.front(); t != nullptr; t = held_.Next(t)) pages += t->count;
  return pages;
}

uint64_t UvmDisk::Release() {
  const uint64_t pages = held_pages();
  while (uvm::SwapTransfer* transfer = held_.PopFront()) Do(transfer);
  return pages;
}

}  // namespace conform
