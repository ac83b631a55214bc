// vmserver/block_proxy.h: a swap device that is a driver task.
//
// WHAT     A BlockProxy queues transfers, and a server thread of its own has the driver do them,
//          one after the other: it copies pages into the window that the driver shares, calls, and
//          copies what was read out of it. How long that takes is the driver's affair.
// STATES   constructed -> Attach (the driver has its window) -> Run, for ever. A transfer that
//          comes earlier, or whose driver does not answer, fails.
// LOCKS    guard_, for the queue; nothing is called while it is held.
// SEE      block_protocol.h; uvm/swap_device.h; design.md D7, D14.

#ifndef VMSERVER_BLOCK_PROXY_H_
#define VMSERVER_BLOCK_PROXY_H_

#include <l4/types.h>

#include <cstdint>

#include "base/addr.h"
#include "base/list.h"
#include "uvm/lock.h"
#include "uvm/swap_device.h"
#include "uvm/thread.h"
#include "uvm/uvm.h"
#include "vmserver/threads.h"

namespace vmserver {

class BlockProxy final : public uvm::SwapDevice {
 public:
  // `threads` outlives the proxy. `pages`: of the driver's medium; 0: there is no driver.
  BlockProxy(Threads* threads, base::PageCount pages) : threads_(threads), pages_(pages) {}
  BlockProxy(const BlockProxy&) = delete;
  BlockProxy& operator=(const BlockProxy&) = delete;

  // Takes a window of memory from `uvm` that stays the proxy's. False: there is no memory.
  bool MakeWindow(uvm::Uvm* uvm);
  // The program of the proxy's thread; `driver` waits for its first message.
  [[noreturn]] void Run(L4_ThreadId_t driver);
  // For observers: where the medium's bytes are, if whoever composes the machine knows.
  void SetDebugBytes(const unsigned char* bytes) { debug_bytes_ = bytes; }

  base::PageCount size() const override { return pages_; }
  void Start(uvm::SwapTransfer* transfer) override;
  const unsigned char* DebugBytes(uint64_t block) const override {
    return debug_bytes_ == nullptr ? nullptr : debug_bytes_ + base::ToBytes(base::PageCount(block));
  }

 private:
  struct WindowPage {
    base::Paddr home;
    unsigned char* bytes = nullptr;
  };
  bool Attach();
  uvm::SwapResult Call(const uvm::SwapTransfer& transfer);
  uvm::SwapTransfer* Next();
  void Do(uvm::SwapTransfer* transfer);

  Threads* const threads_;
  const base::PageCount pages_;
  WindowPage window_[uvm::kSwapClusterPages];
  L4_ThreadId_t driver_ = {0};
  const unsigned char* debug_bytes_ = nullptr;
  uvm::QueueGuard guard_;
  base::List<uvm::SwapTransfer, &uvm::SwapTransfer::device_link> queue_;
  uvm::Thread* idle_ = nullptr;  // the proxy's thread while it waits for transfers
};

}  // namespace vmserver

#endif  // VMSERVER_BLOCK_PROXY_H_
