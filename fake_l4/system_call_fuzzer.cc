// Any bytes: a sequence of raw system calls and memory accesses by threads of several spaces. After
// each of them the kernel's invariants hold, and nothing but the machine's own memory was touched.
//
// The bytes are read as they are needed, by whichever thread runs: a call that blocks leaves the
// rest to the others. Arguments are drawn from values that mean something here, from their
// neighbours, and from raw words. When all threads block and bytes are left, another thread
// appears. An input runs a bounded number of calls and of thread switches, so it ends.
//
// Built with libFuzzer as //fake_l4:system_call_fuzzer (manual); with system_call_fuzzer_main.cc it
// runs over files, as a test.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "base/addr.h"
#include "base/text_sink.h"
#include "fake_l4/exploration.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRamBytes = uint64_t{8} << 20;  // two pages of 4 MiB
constexpr uint64_t kEntry = 0x200000;              // where threads that the input creates start
constexpr uint64_t kArea = 0x40000000;             // a region that nothing else uses
constexpr int kMaxCalls = 400;
constexpr int kMaxThreads = 24;
constexpr uint64_t kMaxSwitches = 4000;

// One input being run. Threads may be abandoned anywhere, so nothing here is theirs.
class Input {
 public:
  Input(Kernel* kernel, const uint8_t* data, size_t size)
      : kernel_(*kernel), data_(data), left_(size) {}

  // Runs it; a digest of what happened.
  std::string Run(bool explores);

 private:
  uint8_t Byte() {
    if (left_ == 0) return 0;
    left_--;
    return *data_++;
  }
  L4_Word_t Raw() {
    L4_Word_t w = 0;
    for (unsigned i = 0; i < sizeof w; i++) w = w << 8 | Byte();
    return w;
  }
  L4_Word_t Word();
  L4_ThreadId_t Id();
  L4_Word_t Address();
  L4_Fpage_t Fpage();
  L4_Time_t Time();
  L4_Word_t String(L4_Word_t* words);
  void FillMessage();
  void FillBuffers();

  void Calls();
  void Call();
  void Ipc();
  void MapReply();
  void ExchangeRegisters();
  void ThreadControl();
  void NewThread();
  void SpaceControl();
  void Schedule();
  void Unmap();
  void Access();
  void Registers();
  void Rest(unsigned which);
  void Check();

  Kernel& kernel_;
  const uint8_t* data_;
  size_t left_;
  int calls_ = 0;
  L4_ThreadId_t ids_[kMaxThreads] = {};  // threads of the start, then thread numbers for the input
  L4_Word_t seen_[8] = {};               // values that calls returned
  unsigned seen_next_ = 0;

  void Saw(L4_Word_t w) { seen_[seen_next_++ & 7] = w; }
};

L4_Word_t Input::Word() {
  const uint8_t how = Byte();
  const L4_Word_t one = 1;
  switch (how & 7) {
    case 0:
      return how >> 3;
    case 1:
      return ~L4_Word_t{0};
    case 2:
      return one << (Byte() & 63);
    case 3:
      return ~(one << (Byte() & 63));
    case 4:
      return seen_[how >> 3 & 7];
    case 5:
      return Address();
    case 6:
      return Byte();
    default:
      return Raw();
  }
}

L4_ThreadId_t Input::Id() {
  const uint8_t how = Byte();
  const Profile& p = kernel_.profile();
  switch (how & 15) {
    case 0:
      return L4_nilthread;
    case 1:
      return L4_anythread;
    case 2:
      return L4_anylocalthread;
    case 3:
      return kernel_.sigma0();
    case 4:
      return L4_GlobalId(how >> 4, 1);  // an interrupt
    case 5:
      return L4_GlobalId(L4_ThreadNo(ids_[(how >> 4) % kMaxThreads]), Byte());
    case 6:  // where a UTCB may be
      return L4_ThreadIdOfRaw(p.root_utcb_area + (uint64_t{how} >> 4 << p.utcb_log2));
    case 7:
      return L4_ThreadIdOfRaw(Word());
    case 8:
      return L4_Myself();
    case 9:
      return L4_MyLocalId();
    case 10:
      return L4_ThreadIdOfRaw(seen_[how >> 4 & 7]);
    default:
      return ids_[(how >> 3) % kMaxThreads];
  }
}

// An address near something: RAM where sigma0 has it, the common area, the special areas, the ends.
L4_Word_t Input::Address() {
  const uint8_t how = Byte();
  const Profile& p = kernel_.profile();
  const L4_Word_t offset = L4_Word_t{how} >> 3 << 12;
  switch (how & 7) {
    case 0:
      return p.ram_base + offset;
    case 1:
      return p.ram_base + (L4_Word_t{how} >> 3 << 20);
    case 2:
      return p.root_kip_area + offset;
    case 3:
      return p.root_utcb_area + offset;
    case 4:
      return p.address_limit() - offset - 1;
    case 5:
      return kArea + (L4_Word_t{how} >> 3 << 21) + Byte() * 16;
    case 6:
      return how & 0x80 ? Raw() : offset;
    default:
      return kArea + offset;
  }
}

L4_Fpage_t Input::Fpage() {
  const uint8_t how = Byte();
  static constexpr uint8_t kSizes[16] = {12, 12, 12, 12, 12, 13, 14, 16,
                                         20, 21, 22, 24, 30, 10, 32, 47};
  switch (how & 15) {
    case 0:
      return L4_Nilpage;
    case 1:
    case 2:
      return L4_FpageAddRights(L4_CompleteAddressSpace, how >> 4);
    case 3:
      return L4_FpageOfRaw(Word());
    case 4:
      return L4_FpageAddRights(L4_IoFpageLog2(Byte(), Byte() & 15), how >> 4);
    default: {
      const uint8_t size = Byte();
      const L4_Word_t log2 = size & 0x80 ? size & 63 : kSizes[size & 15];
      return L4_FpageAddRights(L4_FpageLog2(Address(), log2), how & 0x80 ? how >> 4 : 7);
    }
  }
}

L4_Time_t Input::Time() {
  const uint8_t how = Byte();
  switch (how & 7) {
    case 0:
      return L4_Never;
    case 1:
    case 2:
    case 3:
      return L4_ZeroTime;
    case 4:
      return L4_TimeOfRaw(L4_Word_t{Byte()} << 8 | Byte());
    default:
      return L4_TimePeriod(L4_Word64_t{1} << (how >> 3 & 15));
  }
}

// A string item; returns its words.
L4_Word_t Input::String(L4_Word_t* words) {
  const uint8_t how = Byte();
  L4_StringItem_t s = L4_StringItem(how & 0x80 ? static_cast<int>(Byte()) * 600 : how & 63,
                                    reinterpret_cast<void*>(Address()));
  for (int i = how >> 6 & 1 ? Byte() & 7 : 0; i > 0; i--) {
    void* address = reinterpret_cast<void*>(Address());
    const L4_StringItem_t more = L4_StringItem(Byte(), address);
    i & 1 ? L4_AddSubstringAddressTo(&s, address) : L4_AddSubstringTo(&s, &more);
  }
  const L4_Word_t n = L4_StringItemWords(s.raw, L4_MAX_STRING_ITEM_WORDS);
  std::memcpy(words, s.raw, n * sizeof(L4_Word_t));
  return n;
}

void Input::FillMessage() {
  const uint8_t shape = Byte();
  L4_Msg_t m;
  L4_MsgClear(&m);
  L4_Set_MsgLabel(&m, shape & 0x40 ? Word() : 0);
  for (int i = shape & 3; i > 0; i--) L4_MsgAppendWord(&m, Word());
  for (int i = shape >> 2 & 3; i > 0; i--) {
    const uint8_t kind = Byte();
    L4_Word_t words[L4_MAX_STRING_ITEM_WORDS];
    if ((kind & 3) == 0) {
      L4_MsgAppendItem(&m, words, String(words));
    } else {
      words[0] = (Address() & ~L4_Word_t{1023}) | ((kind & 3) == 1 ? L4_ITEM_GRANT : L4_ITEM_MAP);
      words[1] = Fpage().raw;
      if (kind >= 0xf8) words[0] ^= Byte();
      L4_MsgAppendItem(&m, words, 2);
    }
  }
  L4_MsgLoad(&m);
  if (shape & 0x80) {  // not what a program would write
    const uint8_t what = Byte();
    if (what & 1) L4_LoadMR(Byte() & 63, Word());
    if (what & 2) L4_Set_MsgTag(L4_MsgTagOfRaw(L4_MsgTag().raw ^ Word()));
    if (what & 4) L4_Set_MsgTag(L4_MsgTagOfRaw(L4_MsgTag().raw | L4_TAG_PROPAGATED));
    if (what & 4) L4_Set_VirtualSender(Id());
  }
}

void Input::FillBuffers() {
  const uint8_t shape = Byte();
  L4_Word_t br = shape & 1 ? Fpage().raw & ~L4_Word_t{15} : L4_CompleteAddressSpace.raw;
  if (shape & 2) br |= 1;
  if (shape & 0x80) br ^= Word();
  L4_LoadBR(0, br);
  int at = 1;
  for (int i = shape >> 2 & 3; i > 0; i--) {
    L4_Word_t words[L4_MAX_STRING_ITEM_WORDS];
    const int n = static_cast<int>(String(words));
    words[0] |= i > 1;
    L4_LoadBRs(at, n, words);
    at += n;
  }
  if (shape & 0x40) L4_LoadBR(Byte() % L4_NUM_BRS, Word());
}

void Input::Ipc() {
  const uint8_t how = Byte();
  if (how & 1) FillBuffers();
  const L4_ThreadId_t to = how & 2 ? Id() : L4_nilthread;
  const L4_ThreadId_t from_specifier = how & 4 ? Id() : how & 8 ? L4_anythread : L4_nilthread;
  const L4_Word_t timeouts =
      how & 16 ? L4_Timeouts(Time(), Time()) : L4_Timeouts(L4_ZeroTime, L4_TimePeriod(100));
  if (how & 2) FillMessage();
  L4_ThreadId_t from = L4_nilthread;
  const L4_MsgTag_t tag = how & 32 ? L4_Lipc(to, from_specifier, timeouts, &from)
                                   : L4_Ipc(to, from_specifier, timeouts, &from);
  Saw(from.raw);
  Saw(tag.raw);
  if (L4_IpcFailed(tag)) Saw(L4_ErrorCode());
}

// What a decent pager does: so that some threads get on.
void Input::MapReply() {
  L4_ThreadId_t from;
  L4_Accept(L4_UntypedWordsAcceptor);
  L4_MsgTag_t tag = L4_Wait_Timeout(L4_TimePeriod(50), &from);
  if (L4_IpcFailed(tag)) return;
  L4_Word_t address = 0;
  L4_StoreMR(1, &address);
  const L4_Fpage_t page = L4_FpageAddRights(
      L4_FpageLog2(kernel_.profile().ram_base + (L4_Word_t{Byte()} << 12), 12), L4_FullyAccessible);
  const L4_MapItem_t item = L4_MapItem(page, address);
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
  L4_Reply(from);
}

void Input::ExchangeRegisters() {
  L4_Word_t c = 0, sp = 0, ip = 0, flags = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  const L4_ThreadId_t dest = Id();
  const uint8_t low = Byte();
  const L4_Word_t control = (low & 0x80 ? Word() : L4_Word_t{low} << 2) | (Byte() & 7);
  const L4_Word_t new_ip = low & 1 ? kEntry : Word();
  const L4_ThreadId_t result = L4_ExchangeRegisters(dest, control, Word(), new_ip, Word(), Word(),
                                                    Id(), &c, &sp, &ip, &flags, &handle, &pager);
  Saw(result.raw);
  Saw(c);
}

void Input::ThreadControl() {
  const L4_ThreadId_t dest = Id(), space = Id(), scheduler = Id(), pager = Id();
  const uint8_t how = Byte();
  const Profile& p = kernel_.profile();
  const L4_Word_t utcb = how & 0x80   ? Word()
                         : how & 0x40 ? ~L4_Word_t{0}
                                      : p.root_utcb_area + (L4_Word_t{how} << p.utcb_log2);
  Saw(L4_ThreadControl(dest, space, scheduler, pager, reinterpret_cast<void*>(utcb)));
}

// The whole way to a running thread in a new space or in the own one, as a server would go.
void Input::NewThread() {
  const uint8_t how = Byte();
  const Profile& p = kernel_.profile();
  const L4_ThreadId_t id = ids_[8 + (how & 7)];
  const L4_ThreadId_t space = how & 8 ? id : L4_Myself();
  void* utcb =
      reinterpret_cast<void*>(p.root_utcb_area + (((L4_Word_t{how} & 7) + 40) << p.utcb_log2));
  if (L4_ThreadControl(id, space, L4_Myself(), L4_nilthread,
                       reinterpret_cast<void*>(~L4_Word_t{0})) == 0) {
    return;
  }
  L4_Word_t old;
  if (how & 8) {
    L4_SpaceControl(id, 0, L4_FpageLog2(p.root_kip_area, 12), L4_FpageLog2(p.root_utcb_area, 16),
                    how & 16 ? Id() : L4_anythread, &old);
  }
  if (L4_ThreadControl(id, id, L4_Myself(), L4_Myself(), utcb) == 0) return;
  L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
  L4_LoadMR(1, kEntry);
  L4_LoadMR(2, 0);
  L4_Send_Timeout(id, L4_ZeroTime);
}

void Input::SpaceControl() {
  L4_Word_t old = 0;
  const L4_ThreadId_t space = Id();
  const L4_Word_t control = Word();
  const L4_Fpage_t kip = Fpage(), utcb = Fpage();
  Saw(L4_SpaceControl(space, control, kip, utcb, Id(), &old));
}

void Input::Schedule() {
  const L4_ThreadId_t dest = Id();
  const L4_Word_t keep = ~L4_Word_t{0};
  const uint8_t how = Byte();
  L4_Word_t old = 0;
  const L4_Word_t time = how & 1 ? L4_Timeouts(Time(), Time()) : how & 16 ? Word() : keep;
  const L4_Word_t processor = how & 2 ? Word() : keep;
  const L4_Word_t priority = how & 4 ? Byte() : how & 32 ? Word() : keep;
  const L4_Word_t preemption = how & 8 ? Word() : keep;
  Saw(L4_Schedule(dest, time, processor, priority, preemption, &old));
  Saw(old);
}

void Input::Unmap() {
  const uint8_t how = Byte();
  const unsigned count = how >> 6 & 1 ? how & 63 : how & 1;
  for (unsigned i = 0; i <= count && i < 3; i++) L4_LoadMR(static_cast<int>(i), Fpage().raw);
  L4_UnmapControl(how & 0x80 ? Word() : count | (how & 2 ? L4_UNMAP_FLUSH : 0));
  L4_Word_t result;
  L4_StoreMR(0, &result);
  Saw(result);
}

void Input::Access() {
  const uint8_t how = Byte();
  const base::Vaddr va(Address());
  static constexpr size_t kSizes[4] = {1, 8, 600, 5000};
  static uint8_t bytes[5000];  // one run at a time
  const size_t size = kSizes[how >> 2 & 3];
  Cpu cpu = kernel_.cpu();
  AccessStatus status;
  switch (how & 3) {
    case 0:
      status = cpu.Store(va, bytes, size);
      break;
    case 1:
      status = cpu.Fetch(va);
      break;
    default:
      status = cpu.Load(va, bytes, size);
      break;
  }
  Saw(static_cast<L4_Word_t>(status));
}

void Input::Registers() {
  const uint8_t how = Byte();
  switch (how & 7) {
    case 0:
      return L4_Set_Pager(Id());
    case 1:
      return L4_Set_ExceptionHandler(Id());
    case 2:
      __l4_utcb()->preempt_flags = Word();
      return;
    case 3:
      return L4_Set_XferTimeouts(L4_Timeouts(Time(), Time()));
    case 4:
      return L4_Set_VirtualSender(Id());
    case 5:
      return L4_Set_UserDefinedHandle(Word());
    case 6:
      __l4_utcb()->cop_flags = Word();
      return;
    default:
      __l4_utcb()->thread_word[how >> 7] = Word();
      return;
  }
}

void Input::Rest(unsigned which) {
  switch (which) {
    case 0:
      return L4_ThreadSwitch(Id());
    case 1:
      return Saw(static_cast<L4_Word_t>(L4_SystemClock().raw));
    case 2: {
      const L4_Word_t a = Word(), b = Word(), c = Word();
      return Saw(L4_ProcessorControl(Byte() & 1 ? 0 : Word(), a, b, c));
    }
    case 3: {
      const L4_Word_t attributes[4] = {Word(), 0, Byte(), 0};
      L4_LoadMR(0, Fpage().raw);
      return Saw(L4_MemoryControl(Byte() & 1 ? 0 : Word(), attributes));
    }
    case 4: {
      const L4_Fpage_t wanted = Fpage();
      L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_SIGMA0, 2, 0));
      L4_LoadMR(1, Byte() & 1 ? wanted.raw : wanted.raw | ~L4_Word_t{0} << 10);
      L4_LoadMR(2, Byte() & 1 ? 0 : Word());
      L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
      L4_Call_Timeouts(kernel_.sigma0(), L4_TimePeriod(1000), L4_TimePeriod(1000));
      L4_StoreMR(2, &seen_[seen_next_++ & 7]);
      return;
    }
    default: {
      L4_Word_t version = 0, flags = 0, id = 0;
      Saw(L4_KernelInterface(&version, &flags, &id) != nullptr);
      Saw(version);
      return;
    }
  }
}

void Input::Call() {
  const uint8_t what = Byte();
  switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Ipc();
    case 4:
      return MapReply();
    case 5:
      return Unmap();
    case 6:
    case 7:
      return Access();
    case 8:
      return ThreadControl();
    case 9:
      return NewThread();
    case 10:
      return SpaceControl();
    case 11:
      return ExchangeRegisters();
    case 12:
      return Schedule();
    case 13:
      return Registers();
    default:
      return Rest((what >> 4) % 6);
  }
}

void Input::Check() {
  char text[512];
  base::TextSink sink(text, sizeof text);
  if (kernel_.CheckInvariants(sink)) return;
  std::fprintf(stderr, "after call %d: %s\n", calls_, text);
  std::abort();
}

void Input::Calls() {
  while (left_ > 0 && calls_ < kMaxCalls) {
    calls_++;
    Call();
    Check();
  }
}

std::string Input::Run(bool explores) {
  kernel_.Reset();
  if (explores) {
    kernel_.SetStrategy(std::make_unique<RandomWalk>(ExplorationOptions{.seed = Byte()}));
  }
  const auto calls = [this] { Calls(); };
  kernel_.RegisterEntry(Kernel::kRootEntry, calls);
  kernel_.RegisterEntry(kEntry, calls);
  for (int i = 8; i < kMaxThreads; i++) ids_[i] = L4_GlobalId(kernel_.profile().user_base + i, 1);
  ids_[0] = kernel_.root();
  ids_[1] = kernel_.Boot({.entry = calls});
  // Two in one space below root, one in a space below that, one whose pager will never answer.
  ids_[2] = kernel_.Boot({.entry = calls, .new_space = true, .pager = ids_[0]});
  SpaceId space{};
  if (kernel_.SpaceOf(ids_[2], &space)) ids_[3] = kernel_.Boot({.entry = calls, .space = space});
  ids_[4] = kernel_.Boot({.entry = calls, .new_space = true, .pager = ids_[2]});
  ids_[5] = kernel_.Boot({.entry = calls, .new_space = true, .pager = L4_GlobalId(99, 1)});
  for (int i = 0; i < 6; i++) {
    const StopReason reason = kernel_.RunUntilIdle({.max_switches = kMaxSwitches});
    Check();
    if (reason == StopReason::kDeadlock && kernel_.DescribeDeadlock().empty()) std::abort();
    if (reason != StopReason::kIdle && reason != StopReason::kDeadlock) break;
    if (left_ == 0 || calls_ >= kMaxCalls) break;
    kernel_.Boot({.entry = calls});
  }
  Check();
  if (!kernel_.crash_text().empty()) {
    std::fprintf(stderr, "%s\n", kernel_.crash_text().c_str());
    std::abort();
  }
  const Ledger l = kernel_.ledger();
  return kernel_.DescribeWaits() + std::to_string(kernel_.now_ns()) + " " +
         std::to_string(l.fiber_switches) + " " + std::to_string(l.system_calls) + " " +
         std::to_string(l.pages_unmapped);
}

}  // namespace
}  // namespace fake_l4

namespace fake_l4 {
namespace {

// The machines that an input chooses from by its first byte.
struct Kind {
  const Profile& profile;
  const Quirks& quirks;
  bool faults;
  uint32_t processors;
  bool explores;  // threads give way at random points, by a seed from the input
};
constexpr Kind kKinds[] = {
    {kAmd64Nx, kManualRules, false, 1, false},   {kIa32, kManualRules, false, 1, true},
    {kIa32, kPistachioNewMdb, false, 2, false},  {kIa32, kPistachioOldMdb, false, 1, true},
    {kAmd64Nx, kManualRules, true, 3, true},     {kIa32, kManualRules, true, 1, false},
    {kAmd64Nx, kPistachioNewMdb, true, 1, true}, {kAmd64Nx, kPistachioOldMdb, true, 2, false},
};
constexpr size_t kKindCount = sizeof kKinds / sizeof kKinds[0];

std::unique_ptr<Kernel> NewKernel(const Kind& kind) {
  BootOptions options{.ram_bytes = kRamBytes,
                      .profile = kind.profile,
                      .quirks = kind.quirks,
                      .processors = kind.processors};
  options.profile.thread_no_bits = 10;  // the checks go through all of them
  if (kind.faults) options.faults.one_in.fill(12);
  return std::make_unique<Kernel>(options);
}

}  // namespace
}  // namespace fake_l4

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fake_l4::Input;
  using fake_l4::kKindCount;
  // Kept: booting costs more than an input.
  static std::unique_ptr<fake_l4::Kernel> kernels[kKindCount];
  if (size == 0) return 0;
  const size_t kind = (data[0] & 0x7f) % kKindCount;
  const bool explores = fake_l4::kKinds[kind].explores;
  if (kernels[kind] == nullptr) kernels[kind] = NewKernel(fake_l4::kKinds[kind]);
  const std::string digest = Input(kernels[kind].get(), data + 1, size - 1).Run(explores);
  if ((data[0] & 0x80) != 0) {
    const std::string again = Input(kernels[kind].get(), data + 1, size - 1).Run(explores);
    if (again != digest) {
      std::fprintf(stderr, "not the same again:\n%s\n%s\n", digest.c_str(), again.c_str());
      std::abort();
    }
  }
  return 0;
}
