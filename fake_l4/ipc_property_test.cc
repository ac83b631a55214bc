// Random IPC: threads of three spaces send, receive, call, propagate, cancel and die, with
// and without strings that fault, under random timeouts. Whatever happens, each message that a
// sender was told is through was received exactly once, with its contents, by somebody who accepted
// it from that sender; and none that failed was.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/text_sink.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;
constexpr L4_Word_t kSendBuffer = 0x10000, kReceiveBuffer = 0x40000;
constexpr int kThreads = 7;
constexpr L4_Word_t kMessages = 5000;

enum class Fate : uint8_t { kUnsent, kUnderWay, kSent, kCut, kFailed };

// What is known of message n. Lives on the host's heap: fibers are never unwound.
struct Message {
  Fate fate = Fate::kUnsent;
  int sender = 0;
  int receptions = 0;
};

struct Log {
  std::vector<Message> messages{kMessages};
  L4_Word_t next = 1;
  std::string problem;
  uint64_t sent = 0, failed = 0, cut = 0, propagated = 0, strings = 0, faults = 0, aborted = 0;
};

class RandomIpc {
 public:
  explicit RandomIpc(uint64_t seed) : seed_(seed), log_(new Log) {}
  ~RandomIpc() { delete log_; }

  void Run();
  Log& log() { return *log_; }

 private:
  // One thread's stream of draws, and its buffers' contents.
  struct Actor {
    base::Prng prng;
    int index;
    int space;
    L4_ThreadId_t id, local;
    bool dead = false;
    std::vector<char> bytes = {};  // not on the thread's stack, which may be abandoned
  };

  void Body(Actor& a);
  void Killer(base::Prng& prng);
  void Step(Actor& a);
  L4_ThreadId_t AnyPartner(Actor& a);
  L4_Time_t AnyTimeout(Actor& a);
  // Loads a message; returns its number.
  L4_Word_t Load(Actor& a);
  void Sent(Actor& a, L4_Word_t number, L4_MsgTag_t tag, bool receives);
  void Received(Actor& a, L4_MsgTag_t tag, L4_ThreadId_t spec, L4_ThreadId_t from);
  void Problem(const std::string& text) {
    if (log_->problem.empty()) log_->problem = text;
  }
  Actor* ById(L4_ThreadId_t id, const Actor& viewer);

  const uint64_t seed_;
  World world_;
  Log* log_;
  std::vector<std::unique_ptr<Actor>> actors_;
};

// The bytes of message `number`'s string.
char Byte(L4_Word_t number, L4_Word_t i) { return static_cast<char>(number * 31 + i * 7 + 1); }

RandomIpc::Actor* RandomIpc::ById(L4_ThreadId_t id, const Actor& viewer) {
  for (auto& a : actors_) {
    if (a->id == id || (a->space == viewer.space && a->local == id)) return a.get();
  }
  return nullptr;
}

L4_ThreadId_t RandomIpc::AnyPartner(Actor& a) {
  Actor& other = *actors_[a.prng.Below(kThreads)];
  return other.space == a.space && a.prng.Below(2) == 0 ? other.local : other.id;
}

L4_Time_t RandomIpc::AnyTimeout(Actor& a) {
  const uint64_t kind = a.prng.Below(4);
  if (kind == 0) return L4_ZeroTime;
  const uint64_t us = 1 + a.prng.Below(200);
  if (kind != 1) return L4_TimePeriod(us);
  const L4_Word64_t at = L4_SystemClock().raw + us;
  return L4_TimeOfRaw(0x8000 | (at >> 10 & 1) << 10 | (at & 1023));
}

L4_Word_t RandomIpc::Load(Actor& a) {
  const L4_Word_t number = log_->next++;
  log_->messages[number].fate = Fate::kUnderWay;
  log_->messages[number].sender = a.index;
  const bool string = a.prng.Below(3) == 0;
  const L4_Word_t length = string ? 1 + a.prng.Below(9000) : 0;
  const L4_Word_t at = kSendBuffer + a.index * 0x4000 + a.prng.Below(4096);
  if (string) {
    a.bytes.resize(length);
    for (L4_Word_t i = 0; i < length; i++) a.bytes[i] = Byte(number, i);
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(at), a.bytes.data(), length),
              AccessStatus::kOk);
    // Some of it is paged out again: the copy will fault.
    if (a.prng.Below(2) == 0) {
      L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(at + a.prng.Below(length), 12), 7));
    }
    log_->strings++;
  }
  L4_MsgTag_t tag = L4_MakeMsgTag(0, 2, string ? 2 : 0);
  if (a.prng.Below(4) == 0) {
    L4_Set_Propagation(&tag);
    L4_Set_VirtualSender(AnyPartner(a));
  }
  L4_LoadMR(1, number);
  L4_LoadMR(2, length);
  L4_LoadMR(3, length << 10);
  L4_LoadMR(4, at);
  L4_Set_MsgTag(tag);
  return number;
}

// The sender's side, after an IPC with a send phase.
void RandomIpc::Sent(Actor&, L4_Word_t number, L4_MsgTag_t tag, bool receives) {
  Message& m = log_->messages[number];
  const bool send_failed = L4_IpcFailed(tag) && (L4_ErrorCode() & 1) == 0;
  // With a receive phase an error of that phase hides nothing: the send was good.
  (void)receives;
  if (!send_failed) {
    m.fate = Fate::kSent;
    log_->sent++;
  } else if ((L4_ErrorCode() >> 1 & 7) >= L4_IPC_OVERFLOW) {
    m.fate = Fate::kCut;
    log_->cut++;
    log_->aborted += (L4_ErrorCode() >> 1 & 7) >= L4_IPC_XFER_TIMEOUT;
  } else {
    m.fate = Fate::kFailed;
    log_->failed++;
  }
}

// The receiver's side, after an IPC whose receive phase succeeded.
void RandomIpc::Received(Actor& a, L4_MsgTag_t tag, L4_ThreadId_t spec, L4_ThreadId_t from) {
  L4_Word_t number, length;
  L4_StoreMR(1, &number);
  L4_StoreMR(2, &length);
  const L4_ThreadId_t actual_id = L4_IpcPropagated(tag) ? L4_ActualSender() : from;
  if (number == 0 || number >= log_->next) return Problem("received what nobody sent");
  Message& m = log_->messages[number];
  m.receptions++;
  const Actor* actual = ById(actual_id, a);
  const Actor* named = ById(from, a);
  if (actual == nullptr || actual->index != m.sender) Problem("the sender is another");
  if (named == nullptr) return Problem("from names nobody");
  log_->propagated += L4_IpcPropagated(tag) != 0;
  const bool local_name = from == named->local && named->space == a.space;
  if (local_name != (named->space == a.space)) Problem("from is of the wrong kind");
  if (spec == L4_anylocalthread) {
    if (actual->space != a.space) Problem("a foreigner came through anylocalthread");
  } else if (spec != L4_anythread) {
    const Actor* wanted = ById(spec, a);
    // A wait may have been turned by a propagated message of the one it was closed on.
    if (wanted != actual && wanted != named && log_->propagated == 0) Problem("not whom it wanted");
  }
  if (length == 0) return;
  a.bytes.resize(length);
  const base::Vaddr at(kReceiveBuffer + a.index * 0x4000);
  EXPECT_EQ(world_.kernel().cpu().Load(at, a.bytes.data(), length), AccessStatus::kOk);
  for (L4_Word_t i = 0; i < length; i++) {
    if (a.bytes[i] != Byte(number, i)) {
      Problem("string of message " + std::to_string(number) + " differs at " + std::to_string(i));
      break;
    }
  }
}

void RandomIpc::Step(Actor& a) {
  L4_ThreadId_t to = L4_nilthread, spec = L4_nilthread, from = L4_nilthread;
  const uint64_t kind = a.prng.Below(10);
  if (kind == 9) {
    // Cancels somebody of its space.
    const L4_ThreadId_t victim = AnyPartner(a);
    const L4_Word_t bits = a.prng.Below(2) == 0 ? L4_EXREGS_CANCEL_SEND : L4_EXREGS_CANCEL_RECV;
    L4_ExchangeSome(victim, bits, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    return;
  }
  if (kind == 8) {
    L4_FlushFpage(L4_FpageAddRights(
        L4_FpageLog2(kReceiveBuffer + a.index * 0x4000 + a.prng.Below(3) * 4096, 12), 7));
    return;
  }
  if (kind < 6) to = AnyPartner(a);
  if (kind >= 3) {
    const uint64_t open = a.prng.Below(3);
    spec = open == 0 ? L4_anythread : open == 1 ? L4_anylocalthread : AnyPartner(a);
  }
  L4_Accept(L4_AcceptorOfRaw(1));
  L4_LoadBR(1, (a.prng.Below(4) == 0 ? 4000 : 9000) << 10);
  L4_LoadBR(2, kReceiveBuffer + a.index * 0x4000);
  const L4_Time_t never = L4_Never;
  const L4_Time_t xfer_send = a.prng.Below(2) == 0 ? never : AnyTimeout(a);
  const L4_Time_t xfer_receive = a.prng.Below(2) == 0 ? never : AnyTimeout(a);
  L4_Set_XferTimeouts(L4_Timeouts(xfer_send, xfer_receive));
  const L4_Time_t send = AnyTimeout(a);
  const L4_Time_t receive = AnyTimeout(a);
  const L4_Word_t number = L4_IsNilThread(to) ? 0 : Load(a);
  const L4_MsgTag_t tag = L4_Ipc(to, spec, L4_Timeouts(send, receive), &from);
  if (number != 0) Sent(a, number, tag, !L4_IsNilThread(spec));
  if (!L4_IsNilThread(spec) && L4_IpcSucceeded(tag)) Received(a, tag, spec, from);
}

void RandomIpc::Body(Actor& a) {
  for (int i = 0; i < 120 && log_->next + 1 < kMessages; i++) Step(a);
}

// Deletes up to three of them, some time.
void RandomIpc::Killer(base::Prng& prng) {
  for (uint64_t n = prng.Below(4); n > 0; n--) {
    L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(1 + prng.Below(3000)));
    Actor& victim = *actors_[prng.Below(kThreads)];
    victim.dead = true;
    L4_ThreadControl(victim.id, L4_nilthread, L4_nilthread, L4_nilthread,
                     reinterpret_cast<void*>(~L4_Word_t{0}));
  }
}

void RandomIpc::Run() {
  base::Prng prng(seed_, "world");
  // A pager without faults of its own: address A of any space is kRam + A.
  const L4_ThreadId_t pager = world_.Spawn([this] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 22));
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    for (;; tag = L4_Wait(&from)) {
      if (!L4_IsPageFault(tag)) continue;
      log_->faults++;
      L4_Word_t address;
      L4_StoreMR(1, &address);
      const L4_Word_t page = address & ~L4_Word_t{4095};
      const L4_MapItem_t item = L4_MapItem(Page(kRam + page, 7), page);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      L4_Reply(from);
    }
  });
  L4_ThreadId_t homes[3];
  for (L4_ThreadId_t& home : homes) {
    home = world_.SpawnInNewSpace([this] { world_.kernel().WaitForHost(); }, pager);
  }
  for (int i = 0; i < kThreads; i++) {
    auto actor = std::make_unique<Actor>(Actor{base::Prng(seed_, "thread", i), i, i % 3, {0}, {0}});
    Actor* a = actor.get();
    actors_.push_back(std::move(actor));
    a->id = world_.kernel().Boot({.entry = [this, a] { Body(*a); },
                                  .space = world_.SpaceOf(homes[a->space]),
                                  .pager = pager,
                                  .priority = static_cast<uint8_t>(99 + prng.Below(3))});
    a->local = world_.LocalId(a->id);
  }
  base::Prng killer(seed_, "killer");
  world_.Spawn([this, &killer] { Killer(killer); }, 150);
  world_.kernel().SetSwitchObserver([this, n = 0](const Kernel& kernel) mutable {
    if (++n % 8 != 0) return;
    char text[256];
    base::TextSink sink(text, sizeof text);
    if (!kernel.CheckInvariants(sink)) Problem(text);
  });
  if (!world_.Run({.max_switches = 2000000})) Problem(world_.problem());
  int deaths = 0;
  for (const auto& a : actors_) deaths += a->dead;
  for (L4_Word_t n = 1; n < log_->next; n++) {
    const Message& m = log_->messages[n];
    int expected = m.fate == Fate::kSent ? 1 : 0;
    // The last message of a thread that died may have got through, or not; and its receiver may
    // have died before it could say so.
    if (m.fate == Fate::kUnderWay && actors_[m.sender]->dead) continue;
    if (m.fate == Fate::kSent && m.receptions == 0 && deaths-- > 0) expected = 0;
    if (m.fate == Fate::kUnderWay) Problem("message " + std::to_string(n) + " never ended");
    if (m.receptions != expected) {
      Problem("message " + std::to_string(n) + " was received " + std::to_string(m.receptions) +
              " times, its sender's fate is " + std::to_string(static_cast<int>(m.fate)));
    }
  }
}

TEST(RandomIpcTest, EveryMessageArrivesOnceOrFails) {
  Log total;
  for (uint64_t seed = 1; seed <= 25; seed++) {
    RandomIpc run(seed);
    run.Run();
    ASSERT_EQ(run.log().problem, "") << "seed " << seed;
    total.sent += run.log().sent;
    total.failed += run.log().failed;
    total.cut += run.log().cut;
    total.propagated += run.log().propagated;
    total.strings += run.log().strings;
    total.faults += run.log().faults;
    total.aborted += run.log().aborted;
  }
  // The draws reach what they are meant to reach.
  EXPECT_GT(total.sent, 1000u);
  EXPECT_GT(total.failed, 1000u);
  EXPECT_GT(total.cut, 50u);
  EXPECT_GT(total.aborted, 20u);
  EXPECT_GT(total.propagated, 100u);
  EXPECT_GT(total.strings, 2000u);
  EXPECT_GT(total.faults, 2000u);
}

}  // namespace
}  // namespace fake_l4
