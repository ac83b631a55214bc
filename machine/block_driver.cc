#include "machine/block_driver.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/thread.h>

#include "uvm/swap_device.h"
#include "vmserver/block_protocol.h"

namespace machine {
namespace {

// Anywhere in the driver's own space.
constexpr uint64_t kWindow = 0x100000;
constexpr unsigned kWindowLog2 = 16;
static_assert(uint64_t{1} << kWindowLog2 == uvm::kSwapClusterPages * base::kPageSize);

}  // namespace

void BlockDriver::Main() {
  L4_Accept(L4_MapGrantItems(L4_FpageLog2(kWindow, kWindowLog2)));
  L4_ThreadId_t from;
  L4_MsgTag_t tag = L4_Wait(&from);
  for (;;) {
    if (L4_IpcFailed(tag)) {
      tag = L4_Wait(&from);
      continue;
    }
    const L4_Word_t answer = Serve(tag, from);
    L4_Set_MsgTag(L4_MakeMsgTag(answer, 0, 0));
    tag = L4_ReplyWait(from, &from);
  }
}

L4_Word_t BlockDriver::Serve(L4_MsgTag_t tag, L4_ThreadId_t from) {
  const L4_Word_t what = L4_Label(tag);
  if (what == vmserver::kBlockAttach && L4_IsNilThread(client_)) {
    client_ = from;
    L4_Accept(L4_UntypedWordsAcceptor);
    return vmserver::kBlockOk;
  }
  L4_Word_t block;
  L4_Word_t count;
  L4_StoreMR(1, &block);
  L4_StoreMR(2, &count);
  const bool known = what == vmserver::kBlockRead || what == vmserver::kBlockWrite;
  const uint64_t pages = medium_.size() / base::kPageSize;
  if (!known || !L4_IsThreadEqual(from, client_) || L4_UntypedWords(tag) != 2 || count == 0 ||
      count > uvm::kSwapClusterPages || block > pages || count > pages - block) {
    ++refused_;
    return vmserver::kBlockError;
  }
  ++served_;
  return Move(what, block, count);
}

L4_Word_t BlockDriver::Move(L4_Word_t what, uint64_t block, uint64_t count) {
  const uint64_t takes = latency_.transfer_us + latency_.page_us * count;
  // Nobody sends as this thread itself: it sleeps.
  if (takes != 0) L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(takes));
  fake_l4::Cpu cpu = kernel_->cpu();
  unsigned char* at = medium_.data() + block * base::kPageSize;
  const uint64_t bytes = count * base::kPageSize;
  const base::Vaddr window(kWindow);
  const fake_l4::AccessStatus moved =
      what == vmserver::kBlockRead ? cpu.Store(window, at, bytes) : cpu.Load(window, at, bytes);
  return moved == fake_l4::AccessStatus::kOk ? vmserver::kBlockOk : vmserver::kBlockError;
}

}  // namespace machine
