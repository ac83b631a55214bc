#include "vmserver/block_proxy.h"

#include <l4/ipc.h>
#include <l4/message.h>

#include "base/check.h"
#include "uvm/km.h"
#include "uvm/pmap.h"
#include "vmserver/block_protocol.h"

namespace vmserver {

bool BlockProxy::MakeWindow(uvm::Uvm* uvm) {
  constexpr uint64_t kBytes = uvm::kSwapClusterPages * base::kPageSize;
  uvm::KernelMemory* kernel = uvm->Kernel();
  if (kernel == nullptr) return false;
  const auto at = kernel->Allocate(kernel->map(), kBytes, 0, uvm::kKmWired | uvm::kKmNoWait);
  if (!at.ok()) return false;
  uvm::PmapSystem* pmap = uvm->DebugPmap();
  for (uint32_t i = 0; i < uvm::kSwapClusterPages; ++i) {
    WindowPage& page = window_[i];
    CHECK(pmap->Extract(pmap->Kernel(), at.value() + i * base::kPageSize, &page.home));
    page.bytes = pmap->HomePointer(page.home);
  }
  return true;
}

bool BlockProxy::Attach() {
  L4_Msg_t message;
  L4_MsgClear(&message);
  L4_Set_MsgLabel(&message, kBlockAttach);
  for (uint32_t i = 0; i < uvm::kSwapClusterPages; ++i) {
    const L4_Fpage_t home =
        L4_FpageLog2(static_cast<L4_Word_t>(window_[i].home.value()), base::kPageShift);
    L4_MsgAppendMapItem(
        &message, L4_MapItem(L4_FpageAddRights(home, L4_ReadWriteOnly), i << base::kPageShift));
  }
  L4_MsgLoad(&message);
  const L4_MsgTag_t tag = L4_Call(driver_);
  return L4_IpcSucceeded(tag) && L4_Label(tag) == kBlockOk;
}

// A message that got lost says nothing about the medium, and moving the pages twice does not hurt.
// Who does not answer at all is away.
uvm::SwapResult BlockProxy::Call(const uvm::SwapTransfer& transfer) {
  constexpr int kTries = 4;
  const bool reads = transfer.direction == uvm::SwapDirection::kRead;
  for (int i = 0; i < kTries; ++i) {
    L4_LoadMR(1, static_cast<L4_Word_t>(transfer.block));
    L4_LoadMR(2, transfer.count);
    L4_Set_MsgTag(L4_MakeMsgTag(reads ? kBlockRead : kBlockWrite, 2, 0));
    const L4_MsgTag_t tag = L4_Call(driver_);
    if (!L4_IpcSucceeded(tag)) continue;
    return L4_Label(tag) == kBlockOk ? uvm::SwapResult::kOk : uvm::SwapResult::kIo;
  }
  return uvm::SwapResult::kAway;
}

void BlockProxy::Start(uvm::SwapTransfer* transfer) {
  CHECK(transfer->block + transfer->count <= pages_.value());
  guard_.Acquire(threads_);
  queue_.PushBack(transfer);
  uvm::Thread* idle = idle_;
  idle_ = nullptr;
  guard_.Release();
  if (idle != nullptr) threads_->Unpark(idle);
}

// Waits for one.
uvm::SwapTransfer* BlockProxy::Next() {
  for (;;) {
    guard_.Acquire(threads_);
    uvm::SwapTransfer* transfer = queue_.PopFront();
    if (transfer == nullptr) idle_ = threads_->Self();
    guard_.Release();
    if (transfer != nullptr) return transfer;
    threads_->Park();
  }
}

void BlockProxy::Do(uvm::SwapTransfer* transfer) {
  const bool reads = transfer->direction == uvm::SwapDirection::kRead;
  for (uint32_t i = 0; i < transfer->count && !reads; ++i)
    __builtin_memcpy(window_[i].bytes, transfer->pages[i], base::kPageSize);
  transfer->result = L4_IsNilThread(driver_) ? uvm::SwapResult::kAway : Call(*transfer);
  const bool done = transfer->result == uvm::SwapResult::kOk;
  for (uint32_t i = 0; i < transfer->count && reads && done; ++i)
    __builtin_memcpy(transfer->pages[i], window_[i].bytes, base::kPageSize);
  transfer->done(transfer);
}

void BlockProxy::Run(L4_ThreadId_t driver) {
  driver_ = driver;
  if (!Attach()) driver_ = L4_nilthread;
  for (;;) Do(Next());
}

}  // namespace vmserver
