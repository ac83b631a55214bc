// Birth of the block driver's task.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>
#include <l4/thread.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {

// It has no pager that would do anything for it: all the memory it uses is what the proxy lends it.
// REQUIRES: called by the root thread, at boot.
void Server::StartBlockDriver() {
  void* const unchanged = reinterpret_cast<void*>(~L4_Word_t{0});
  const L4_ThreadId_t root = threads_.root();
  block_driver_ = L4_GlobalId(threads_.NewThreadNumber(), 1);
  CHECK(L4_ThreadControl(block_driver_, block_driver_, root, L4_nilthread, unchanged) != 0);
  L4_Word_t old = 0;
  CHECK(L4_SpaceControl(block_driver_, 0, config_.client_kip_area, config_.client_utcb_area,
                        L4_nilthread, &old) != 0);
  void* utcb = reinterpret_cast<void*>(L4_Address(config_.client_utcb_area));
  CHECK(L4_ThreadControl(block_driver_, block_driver_, root, root, utcb) != 0);
  L4_LoadMR(1, config_.block_driver.entry);
  L4_LoadMR(2, 0);  // it makes its own stack
  L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
  CHECK(L4_IpcSucceeded(L4_Send(block_driver_)));
  CHECK(block_proxy_.MakeWindow(&*uvm_));
  CHECK(threads_.Spawn(ServerThread::Role::kBlockProxy) != nullptr);
}

}  // namespace vmserver
