// pmap_sim/testing/clients.h: a pmap on a simulated kernel, with client spaces to try it out.
//
// WHAT     Each client is a space of its own whose pager answers every fault by Refill alone. A
//          test calls the pmap on a thread of the server's space (Server) and lets clients touch
//          memory (Read, Write, Touch); Layout and OwnRights look at page tables.
//              Client* a = NewClient();
//              Enter(a, kVa, NewFrame(), base::kProtRead);
//              EXPECT_TRUE(Read(a, kVa));
// SEE      fake_l4/testing/world.h.

#ifndef PMAP_SIM_TESTING_CLIENTS_H_
#define PMAP_SIM_TESTING_CLIENTS_H_

#include <gtest/gtest.h>
#include <l4/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/pool.h"
#include "base/prot.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/pmap.h"

namespace pmap_sim::testing {

inline constexpr uint64_t kVa = 0x400000;  // start of a window

// Chunks that live as long as the test, and can run out.
class TestMemory final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override;
  bool refuse = false;

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

// Areas of the server's space that suit every profile.
inline constexpr base::Vaddr kAliases{0x2000'0000};
inline constexpr base::Range kKernelArea{base::Vaddr(0x8000'0000), base::Vaddr(0x9000'0000)};

struct Client {
  uvm::Pmap* pmap = nullptr;
  L4_ThreadId_t pager = {0};
  L4_ThreadId_t thread = {0};
  RefillResult last = RefillResult::kSent;
  uint64_t faults = 0;
};

class ClientsTest : public ::testing::Test {
 protected:
  explicit ClientsTest(const fake_l4::BootOptions& options = {.ram_bytes = uint64_t{4} << 20,
                                                              .scribble_registers = true});
  ~ClientsTest() override { ExpectSound(); }

  void ExpectSound();
  // Runs on a thread of the server's space; with an Update behind it, or without.
  void Server(std::function<void()> body);
  void ServerWithoutUpdate(std::function<void()> body);

  Client* NewClient();
  // One access by a thread of the client's own; true when it succeeded.
  bool Touch(Client* client, base::Access access, uint64_t va, char* byte = nullptr);
  bool Read(Client* client, uint64_t va) { return Touch(client, base::Access::kRead, va); }
  bool Write(Client* client, uint64_t va) { return Touch(client, base::Access::kWrite, va); }
  // Writes to each of `pages` pages, by one thread.
  void WriteAll(Client* client, uint64_t va, uint32_t pages);

  base::Paddr NewFrame();
  void Enter(Client* client, uint64_t va, base::Paddr pa, base::Prot prot,
             uvm::Wired wired = uvm::Wired::kNo);
  // `pages` pages with frames of their own; returns the first, the rest follow it.
  base::Paddr EnterRun(Client* client, uint64_t va, uint32_t pages, base::Prot prot);
  std::string Layout(Client* client, uint64_t va, int pages) {
    return world_.Layout(client->thread, va, pages);
  }
  // What the server itself may do at `va`, as "rw-".
  std::string OwnRights(base::Vaddr va) { return world_.Rights(mirror_, va.value()); }
  // Whether the server's own page at `va` shows the frame.
  bool OwnShows(base::Vaddr va, base::Paddr pa) {
    return world_.SameFrame(mirror_, va.value(), mirror_, pa.value());
  }
  // An access of a server thread to a mapped page of its space, which sets status bits there.
  void OwnTouch(base::Access access, base::Vaddr va);
  bool Modified(base::Paddr pa);
  bool Referenced(base::Paddr pa);
  static base::Range Pages(uint64_t va, uint64_t pages) {
    return {base::Vaddr(va), base::Vaddr(va + pages * base::kPageSize)};
  }

  fake_l4::World world_;
  TestMemory memory_;
  base::CanarySwitch canary_;
  L4Pmap pmap_;
  L4_ThreadId_t mirror_ = {0};
  bool booted_ = false;
  base::Paddr next_frame_;

 private:
  void PagerMain(Client* client);

  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace pmap_sim::testing

#endif  // PMAP_SIM_TESTING_CLIENTS_H_
