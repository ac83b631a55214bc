#include "pmap_sim/testing/clients.h"

#include <l4/ipc.h>
#include <l4/thread.h>

#include <utility>

#include "base/text_sink.h"

namespace pmap_sim::testing {

using base::Access;
using base::Paddr;
using base::Vaddr;

void* TestMemory::AllocateChunk(size_t bytes) {
  if (refuse) return nullptr;
  chunks_.push_back(std::make_unique<unsigned char[]>(bytes + base::kPageSize));
  auto address = reinterpret_cast<uintptr_t>(chunks_.back().get());
  return reinterpret_cast<void*>(base::RoundPage(address));
}

ClientsTest::ClientsTest(const fake_l4::BootOptions& options)
    : world_(options),
      pmap_({.memory = &memory_,
             .canary = &canary_,
             .home_bias = world_.kernel().home_bias(),
             .alias_area = kAliases,
             .alias_windows = 256,
             .kernel_area = kKernelArea}) {
  mirror_ = world_.Spawn([] { L4Pmap::MirrorLoop(); });
  Server([this] { booted_ = pmap_.Boot(mirror_); });
  EXPECT_TRUE(booted_);
  if (booted_) next_frame_ = pmap_.segment(0).start;
}

void ClientsTest::ExpectSound() {
  char text[256];
  base::TextSink out(text, sizeof text);
  EXPECT_TRUE(pmap_.CheckInvariants(out)) << text;
}

void ClientsTest::Server(std::function<void()> body) {
  ServerWithoutUpdate([this, body = std::move(body)] {
    body();
    pmap_.Update(pmap_.Kernel());
  });
}

void ClientsTest::ServerWithoutUpdate(std::function<void()> body) {
  world_.Spawn(std::move(body));
  EXPECT_TRUE(world_.Run()) << world_.problem();
}

Client* ClientsTest::NewClient() {
  clients_.push_back(std::make_unique<Client>());
  Client* client = clients_.back().get();
  Server([this, client] { client->pmap = pmap_.Create().value(); });
  client->pager = world_.Spawn([this, client] { PagerMain(client); });
  client->thread = world_.SpawnInNewSpace([] { L4_Receive(L4_anylocalthread); }, client->pager);
  EXPECT_TRUE(world_.Run()) << world_.problem();
  return client;
}

void ClientsTest::PagerMain(Client* client) {
  for (;;) {
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    L4_Word_t address;
    L4_StoreMR(1, &address);
    L4_Word_t rights = L4_PageFaultAccess(tag);
    Access access = (rights & L4_Writable) != 0   ? Access::kWrite
                    : (rights & L4_Readable) != 0 ? Access::kRead
                                                  : Access::kExecute;
    ++client->faults;
    client->last = pmap_.Refill(client->pmap, Vaddr(address), access, {from, L4_Myself()});
    if (client->last == RefillResult::kSent) continue;
    L4_Start_SpIp(from, 0, 0xdead000);  // nobody's code: the access ends
  }
}

bool ClientsTest::Touch(Client* client, Access access, uint64_t va, char* byte) {
  bool done = false;
  world_.SpawnWith(
      client->thread,
      [&done, access, va, byte] {
        fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
        char c = byte != nullptr ? *byte : 'x';
        fake_l4::AccessStatus status = access == Access::kWrite  ? cpu.Store(Vaddr(va), &c, 1)
                                       : access == Access::kRead ? cpu.Load(Vaddr(va), &c, 1)
                                                                 : cpu.Fetch(Vaddr(va));
        done = status == fake_l4::AccessStatus::kOk;
        if (byte != nullptr) *byte = c;
      },
      client->pager);
  EXPECT_TRUE(world_.Run()) << world_.problem();
  return done;
}

void ClientsTest::WriteAll(Client* client, uint64_t va, uint32_t pages) {
  uint32_t done = 0;
  world_.SpawnWith(
      client->thread,
      [&done, va, pages] {
        fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
        for (uint32_t i = 0; i < pages; ++i) {
          const char c = 'x';
          const Vaddr at(va + i * base::kPageSize);
          done += cpu.Store(at, &c, 1) == fake_l4::AccessStatus::kOk ? 1 : 0;
        }
      },
      client->pager);
  EXPECT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(done, pages);
}

void ClientsTest::OwnTouch(Access access, Vaddr va) {
  bool done = false;
  Server([&] {
    fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
    char c = 'x';
    fake_l4::AccessStatus status =
        access == Access::kWrite ? cpu.Store(va, &c, 1) : cpu.Load(va, &c, 1);
    done = status == fake_l4::AccessStatus::kOk;
  });
  EXPECT_TRUE(done);
}

Paddr ClientsTest::NewFrame() {
  Paddr frame = next_frame_;
  next_frame_ = next_frame_ + base::kPageSize;
  return frame;
}

void ClientsTest::Enter(Client* client, uint64_t va, Paddr pa, base::Prot prot, uvm::Wired wired) {
  Server([=, this] {
    EXPECT_TRUE(
        pmap_.Enter(client->pmap, Vaddr(va), pa, prot, {.access = base::kProtNone, .wired = wired})
            .ok());
  });
}

Paddr ClientsTest::EnterRun(Client* client, uint64_t va, uint32_t pages, base::Prot prot) {
  Paddr first = next_frame_;
  for (uint32_t i = 0; i < pages; ++i) Enter(client, va + i * base::kPageSize, NewFrame(), prot);
  return first;
}

bool ClientsTest::Modified(Paddr pa) {
  bool answer = false;
  Server([&] { answer = pmap_.IsModified(pa); });
  return answer;
}

bool ClientsTest::Referenced(Paddr pa) {
  bool answer = false;
  Server([&] { answer = pmap_.IsReferenced(pa); });
  return answer;
}

}  // namespace pmap_sim::testing
