#include "conform/l4_bench.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/text_sink.h"
#include "conform/widening.h"

namespace conform {

namespace {

// Where a thread goes on after an access that its pager refuses. No code is registered there, so
// the access returns to its caller.
constexpr L4_Word_t kPastTheAccess = 0x2000;

// Stores leave the frame's number in its first word alone.
constexpr uint64_t kStoreOffset = 8;

// Everything ends within a few dozen switches; more is a livelock.
constexpr uint64_t kMaxSwitches = 100000;

}  // namespace

L4Bench::L4Bench(const Recording& recording, const fake_l4::Quirks& quirks)
    : recording_(recording),
      kernel_({.ram_bytes = uint64_t{1} << std::max(recording.window_log2, uint32_t{20}),
               .profile = fake_l4::kIa32,
               .quirks = quirks,
               // A register that a message does not reach keeps the 0 it held before.
               .scribble_registers = false}),
      workers_(recording.spaces * 2) {
  const uint32_t frames = uint32_t{1} << (recording.window_log2 - 12);
  for (uint32_t f = 0; f < frames; f++) {
    std::memcpy(kernel_.ram() + uint64_t{f} * kRecordedPageBytes, &f, sizeof f);
  }
  kernel_.RegisterEntry(fake_l4::Kernel::kRootEntry, [this] { RootMain(); });
  for (size_t i = 0; i < workers_.size(); i++) {
    Worker& w = workers_[i];
    w.bench = this;
    fake_l4::BootThread thread{.entry = [this, &w] { WorkerMain(w); }};
    thread.new_space = i % 2 == 0;
    if (i % 2 == 1) thread.space = spaces_.back();
    w.id = kernel_.Boot(thread);
    fake_l4::SpaceId space{};
    if (!kernel_.SpaceOf(w.id, &space)) problem_ = "a booted thread does not exist";
    if (i % 2 == 0) spaces_.push_back(space);
  }
  // Root blocks in its send until space 0 receives the pool.
  Worker& receiver = Receiver(0);
  if (Run() && Start(receiver, nullptr, true) && Settled(receiver) && receiver.tag != 2 << 6) {
    problem_ = "space 0 did not get the pool";
  }
}

// ---- On simulated threads ----

void L4Bench::RootMain() {
  const L4_Word_t first = static_cast<L4_Word_t>(kernel_.ram_base().value());
  const L4_Fpage_t pool =
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(first, recording_.window_log2));
  const L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(pool, L4_FullyAccessible), 0);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
  L4_Send(Receiver(0).id);
  for (;;) {
    L4_ThreadId_t from;
    const L4_MsgTag_t tag = L4_Wait(&from);
    Worker* faulter = Find(from);
    if (!L4_IsPageFault(tag) || faulter == nullptr) continue;
    faulter->fault = L4_PageFaultAccess(tag);
    L4_ExchangeSome(from, L4_EXREGS_CANCEL_SEND | L4_EXREGS_CANCEL_RECV | L4_EXREGS_SET_IP, 0,
                    kPastTheAccess, 0, nullptr, nullptr, nullptr, nullptr);
  }
}

void L4Bench::WorkerMain(Worker& w) {
  for (;;) {
    kernel_.WaitForHost();
    if (w.op == nullptr) {
      const L4_Fpage_t window = L4_FpageLog2(recording_.window_base, recording_.window_log2);
      Receive(w, kernel_.root(), window.raw, 2);
    } else if (const auto* ipc = std::get_if<IpcOp>(w.op)) {
      if (w.receives) {
        Receive(w, Sender(ipc->source).id, WidenFpage(ipc->window),
                static_cast<unsigned>(ipc->items.size() * 2));
      } else {
        Send(w, *ipc);
      }
    } else if (const auto* unmap = std::get_if<UnmapOp>(w.op)) {
      Unmap(w, *unmap);
    } else {
      Touch(w, std::get<TouchOp>(*w.op));
    }
    w.done = true;
  }
}

void L4Bench::Send(Worker& w, const IpcOp& op) {
  const unsigned items = static_cast<unsigned>(op.items.size());
  for (unsigned i = 0; i < items; i++) {
    const Item& item = op.items[i];
    const L4_Word_t type = item.kind == ItemKind::kMap ? L4_ITEM_MAP : L4_ITEM_GRANT;
    const L4_Word_t more = i + 1 < items ? 1 : 0;  // the C bit
    const int at = static_cast<int>(1 + 2 * i);
    L4_LoadMR(at, WidenSendBase(item.send_base) | type | more);
    L4_LoadMR(at + 1, WidenFpage(item.send_fpage));
  }
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2 * items));
  w.tag = L4_Send(Receiver(op.target).id).raw;
  w.error = L4_IpcFailed(L4_MsgTagOfRaw(w.tag)) ? L4_ErrorCode() : 0;
}

void L4Bench::Receive(Worker& w, L4_ThreadId_t from, L4_Word_t window, unsigned words) {
  // A register that is not transferred keeps this 0.
  for (unsigned i = 1; i <= words; i++) L4_LoadMR(static_cast<int>(i), 0);
  L4_Accept(L4_MapGrantItems(L4_FpageOfRaw(window)));
  w.tag = L4_Receive(from).raw;
  w.error = L4_IpcFailed(L4_MsgTagOfRaw(w.tag)) ? L4_ErrorCode() : 0;
  L4_StoreMRs(1, static_cast<int>(words), w.registers);
}

void L4Bench::Unmap(Worker& w, const UnmapOp& op) {
  const L4_Word_t count = op.fpages.size();
  for (L4_Word_t i = 0; i < count; i++) L4_LoadMR(static_cast<int>(i), WidenFpage(op.fpages[i]));
  L4_UnmapControl((count - 1) | (op.flush ? L4_UNMAP_FLUSH : 0));
  L4_StoreMRs(0, static_cast<int>(count), w.registers);
}

void L4Bench::Touch(Worker& w, const TouchOp& op) {
  const uint64_t page = recording_.window_base + uint64_t{op.page} * kRecordedPageBytes;
  fake_l4::Cpu cpu = kernel_.cpu();
  w.access = fake_l4::AccessStatus::kOk;
  if (op.kind != TouchKind::kWrite) w.access = cpu.Load(base::Vaddr(page), &w.word, sizeof w.word);
  if (op.kind != TouchKind::kRead && w.access == fake_l4::AccessStatus::kOk) {
    const uint32_t word = 0;
    w.access = cpu.Store(base::Vaddr(page + kStoreOffset), &word, sizeof word);
  }
}

L4Bench::Worker* L4Bench::Find(L4_ThreadId_t id) {
  for (Worker& w : workers_) {
    if (w.id == id) return &w;
  }
  return nullptr;
}

// ---- On the host ----

bool L4Bench::Run() {
  if (!problem_.empty()) return false;
  const fake_l4::StopReason reason = kernel_.RunUntilIdle(
      {.max_switches = kMaxSwitches, .detect_deadlock = false});
  if (reason == fake_l4::StopReason::kIdle) return true;
  problem_ = reason == fake_l4::StopReason::kCrashed
                 ? absl::StrCat("the kernel stopped: ", kernel_.crash_text())
                 : absl::StrCat("no end after ", kMaxSwitches, " switches");
  return false;
}

bool L4Bench::Start(Worker& w, const Op* op, bool receives) {
  w.op = op;
  w.receives = receives;
  w.done = false;
  w.fault = 0;
  if (!kernel_.HostWake(w.id)) problem_ = "a thread is gone";
  return Run();
}

bool L4Bench::Settled(const Worker& w) {
  if (!problem_.empty()) return false;
  if (!w.done) {
    problem_ = absl::StrCat("blocked for ever: ", kernel_.DescribeWaits());
    return false;
  }
  char text[512];
  base::TextSink sink(text, sizeof text);
  if (!kernel_.CheckInvariants(sink)) problem_ = absl::StrCat("invariant: ", sink.text());
  return problem_.empty();
}

template <typename NarrowWord>
uint32_t L4Bench::Narrowed(L4_Word_t word, NarrowWord narrow) {
  const std::optional<uint32_t> low = narrow(word);
  if (!low.has_value() && problem_.empty()) {
    problem_ = absl::StrCat("a result has no 32-bit form: ", absl::Hex(uint64_t{word}));
  }
  return low.value_or(0);
}

IpcReturn L4Bench::IpcResult(const Worker& sender, const Worker& receiver, size_t items) {
  IpcReturn r;
  r.sender_tag = Narrowed(sender.tag, NarrowTag);
  r.sender_error = Narrowed(sender.error, NarrowErrorCode);
  r.receiver_tag = Narrowed(receiver.tag, NarrowTag);
  r.receiver_error = Narrowed(receiver.error, NarrowErrorCode);
  for (size_t i = 0; i < items; i++) {
    r.registers.push_back(Narrowed(receiver.registers[2 * i], NarrowSendBase));
    r.registers.push_back(Narrowed(receiver.registers[2 * i + 1], NarrowFpage));
  }
  return r;
}

bool L4Bench::Apply(const Op& op, Return* result) {
  if (const auto* ipc = std::get_if<IpcOp>(&op)) {
    Worker& receiver = Receiver(ipc->target);
    Worker& sender = Sender(ipc->source);
    if (!Start(receiver, &op, true) || !Start(sender, &op, false)) return false;
    if (!Settled(sender) || !Settled(receiver)) return false;
    *result = IpcResult(sender, receiver, ipc->items.size());
  } else if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
    Worker& w = Sender(unmap->space);
    if (!Start(w, &op, false) || !Settled(w)) return false;
    UnmapReturn r;
    for (size_t i = 0; i < unmap->fpages.size(); i++) {
      r.fpages.push_back(Narrowed(w.registers[i], NarrowFpage));
    }
    *result = std::move(r);
  } else {
    const auto& touch = std::get<TouchOp>(op);
    Worker& w = Sender(touch.space);
    if (!Start(w, &op, false) || !Settled(w)) return false;
    TouchReturn r;
    r.ok = w.access == fake_l4::AccessStatus::kOk;
    if (r.ok && touch.kind == TouchKind::kRead) r.frame = w.word;
    if (!r.ok) r.fault = static_cast<uint32_t>(w.fault);
    *result = r;
  }
  return problem_.empty();
}

State L4Bench::Observe() const {
  State state;
  for (const fake_l4::SpaceId space : spaces_) {
    for (const uint32_t probe : recording_.probes) {
      const uint64_t va = recording_.window_base + uint64_t{probe} * kRecordedPageBytes;
      const fake_l4::Mapping m = kernel_.Inspect(space, base::Vaddr(va));
      PageState page;
      // IA-32 without NX: whatever is mapped can be read and executed; only w is a right of its
      // own.
      if (m.mapped()) {
        page.access = (m.rights & fake_l4::kW) != 0 ? PageAccess::kWritable : PageAccess::kReadable;
        page.frame = static_cast<uint32_t>((m.frame.value() - kernel_.ram_base().value()) /
                                           kRecordedPageBytes);
      }
      state.push_back(page);
    }
  }
  return state;
}

}  // namespace conform
