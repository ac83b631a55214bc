// Any bytes: a sequence of raw system calls and memory accesses by threads of several spaces. After
// each of them the kernel's invariants hold, and nothing but the machine's own memory was touched.
//
// The bytes are read as they are needed, by whichever thread runs: a call that blocks leaves the
// rest to the others. Arguments are drawn from values that mean something here, from their
// neighbours, and from raw words. When all threads block and bytes are left, another thread
// appears, and the host does something. An input runs a bounded number of calls and of thread
// switches, so it ends.
//
// The first byte chooses the machine, and whether the input is run a second time: then what
// happened must be the same, by the recorded schedule if the first run drew one, although the
// second run is watched and the first is not.
//
// Built with libFuzzer as //fake_l4:system_call_fuzzer (manual); with system_call_fuzzer_main.cc it
// runs over files, as a test.
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kdebug.h>
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
#include <optional>
#include <string>
#include <utility>

#include "base/addr.h"
#include "base/hash.h"
#include "base/text_sink.h"
#include "fake_l4/decision_list.h"
#include "fake_l4/exploration.h"
#include "fake_l4/fault_injection.h"
#include "fake_l4/fault_sites.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"
#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRamBytes = uint64_t{8} << 20;  // two pages of 4 MiB
constexpr uint64_t kEntry = 0x200000;              // where threads that the input creates start
constexpr uint64_t kArea = 0x40000000;             // a region that nothing else uses
constexpr int kMaxCalls = 400;
constexpr int kMaxThreads = 24;
constexpr uint64_t kMaxSwitches = 4000;

// Whether observers of the kernel are called all along.
enum class Watched : bool { kNo, kYes };

// One input being run. Threads may be abandoned anywhere, so nothing here is theirs.
class Input {
 public:
  // REQUIRES: the kernel, of so many processors, was just booted or reset.
  Input(Kernel* kernel, uint32_t processors, const uint8_t* data, size_t size, Watched watched)
      : kernel_(*kernel), processors_(processors), data_(data), left_(size), watched_(watched) {}

  // Runs it; a digest of what happened.
  std::string Run();
  // The same in an order of threads that the input's first byte names. `schedule` becomes that
  // order; if it is not empty, it is followed instead.
  std::string Explore(DecisionList* schedule);

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
  void Raise();
  void AnswerException();
  void Interrupt();
  void Machine();
  void Host();
  void Watch();
  void Check();
  std::string Digest() const;

  Kernel& kernel_;
  const uint32_t processors_;
  const uint8_t* data_;
  size_t left_;
  const Watched watched_;
  int calls_ = 0;
  uint8_t bytes_[5000] = {};             // loaded and stored; one thread runs at a time
  L4_ThreadId_t ids_[kMaxThreads] = {};  // threads of the start, then thread numbers for the input
  L4_Word_t seen_[8] = {};               // values that calls returned
  unsigned seen_next_ = 0;
  uint64_t seen_digest_ = 0;

  void Saw(L4_Word_t w) {
    seen_[seen_next_++ & 7] = w;
    seen_digest_ = base::Chain(seen_digest_, w);
  }
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
  static constexpr size_t kSizes[4] = {1, 8, 600, sizeof bytes_};
  const size_t size = kSizes[how >> 2 & 3];
  Cpu cpu = kernel_.cpu();
  AccessStatus status;
  switch (how & 3) {
    case 0:
      status = cpu.Store(va, bytes_, size);
      break;
    case 1:
      status = cpu.Fetch(va);
      break;
    default:
      status = cpu.Load(va, bytes_, size);
      break;
  }
  Saw(static_cast<L4_Word_t>(status));
  Saw(bytes_[size - 1]);
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

// An exception of the thread's own making, with registers for its handler to see.
void Input::Raise() {
  const uint8_t how = Byte();
  Cpu cpu = kernel_.cpu();
  if (how & 1) cpu.set_ip(how & 2 ? kEntry : Word());
  if (how & 4) cpu.set_sp(Word());
  if (how & 8) cpu.set_flags(Word());
  if (how & 16) cpu.set_general(Byte() % kGeneralRegisters, Word());
  if (how & 32) L4_Set_ExceptionHandler(Id());
  const uint32_t number = Byte();
  const L4_Word_t error = Word();
  const AccessStatus status =
      how & 64 ? cpu.RaiseSystemException(number, error) : cpu.RaiseException(number, error);
  Saw(static_cast<L4_Word_t>(status));
  Saw(static_cast<L4_Word_t>(cpu.ip()));
}

// What an exception handler does: the registers back as they came, or changed.
void Input::AnswerException() {
  L4_ThreadId_t from;
  L4_Accept(L4_UntypedWordsAcceptor);
  const L4_MsgTag_t tag = L4_Wait_Timeout(L4_TimePeriod(50), &from);
  Saw(tag.raw);
  if (L4_IpcFailed(tag)) return;
  const uint8_t how = Byte();
  if (how & 1) L4_LoadMR(1, how & 2 ? kEntry : Word());
  if (how & 4) L4_LoadMR(Byte() & 15, Word());
  L4_Set_MsgTag(L4_MakeMsgTag(0, how & 8 ? how >> 4 : L4_UntypedWords(tag), 0));
  L4_Reply(from);
}

void Input::Interrupt() {
  const uint8_t how = Byte();
  const unsigned number = how >> 3;  // up to 31: not all of them exist
  const L4_ThreadId_t interrupt = L4_GlobalId(number, 1);
  switch (how & 7) {
    case 0:
      return Saw(kernel_.RaiseInterrupt(number));
    case 1: {
      const uint8_t period = Byte();
      return Saw(kernel_.StartInterruptSource(
          number, period & 0x80 ? Raw() : uint64_t{1} << (period & 31), Byte()));
    }
    case 2:
      return kernel_.StopInterruptSource(number);
    case 3:
      return Saw(L4_AssociateInterrupt(interrupt, Byte() & 1 ? L4_Myself() : Id()));
    case 4:
      return Saw(L4_DeassociateInterrupt(interrupt));
    case 5:
      return Saw(L4_Receive_Timeout(interrupt, Time()).raw);
    case 6:
      L4_Set_MsgTag(L4_Niltag);
      return Saw(L4_Send_Timeout(interrupt, L4_ZeroTime).raw);
    default:
      L4_Set_MsgTag(L4_Niltag);
      return Saw(L4_Call_Timeouts(interrupt, Time(), Time()).raw);
  }
}

// What is no system call: the host's part of the machine, as a thread may reach it.
void Input::Machine() {
  const uint8_t how = Byte();
  switch (how & 7) {
    case 0:
    case 1:
      return kernel_.ArmFault(static_cast<FaultSite>(Byte() % kFaultSiteCount), how >> 3);
    case 2:
      return kernel_.DisarmFaults();
    case 3:
      return kernel_.WaitForHost();
    case 4:
      return Saw(kernel_.HostWake(Id()));
    case 5:
      return Kernel::Point(static_cast<SchedulePoint>((how >> 3) % kSchedulePointCount));
    case 6:
      return L4_KDB_PrintString("here\n");
    default:
      return Saw(static_cast<L4_Word_t>(L4_KDB_ReadChar()));
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
    case 14:
      return Rest((what >> 4) % 6);
    default:
      break;
  }
  switch (what >> 4 & 3) {
    case 0:
      return Raise();
    case 1:
      return AnswerException();
    case 2:
      return Interrupt();
    default:
      return Machine();
  }
}

// Everything that may be looked at from outside; none of it may matter.
void Input::Watch() {
  uint64_t sum = 0;
  for (const ThreadInfo& t : kernel_.Threads()) sum += t.ip + t.queued_senders;
  kernel_.ForEachMapping([&](const Mapping& m) { sum += m.node + m.status; });
  uint8_t byte = 0;
  const base::Vaddr va(kernel_.profile().ram_base);
  sum += kernel_.DebugRead(kRootSpace, va, &byte, 1);
  kernel_.ForEachChild(kRootSpace, va, [&](const Mapping& m) { sum += m.rights; });
  sum += kernel_.Inspect(kRootSpace, base::Vaddr(kArea)).rights;
  sum += kernel_.MemoryAttribute(base::Paddr(kernel_.profile().ram_base));
  sum += kernel_.DescribeWaits().size() + kernel_.DescribeDeadlock().size();
  sum += kernel_.ledger().ipc_sends + kernel_.sigma0_log().size() + kernel_.console_text().size();
  if (sum == UINT64_MAX) std::abort();  // not reached: what was read is used
}

void Input::Check() {
  if (watched_ == Watched::kYes) Watch();
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

// Between two runs of the machine.
void Input::Host() {
  const uint8_t how = Byte();
  const unsigned number = how >> 3;
  switch (how & 7) {
    case 0:
      return Saw(kernel_.RaiseInterrupt(number));
    case 1:
      return Saw(kernel_.StartInterruptSource(number, uint64_t{1} << (Byte() & 31), Byte()));
    case 2:
    case 3:
      return Saw(kernel_.HostWake(ids_[number % kMaxThreads]));
    case 4: {
      const L4_ThreadId_t thread = ids_[number % 6];
      ThreadInfo info;
      if (!kernel_.Inspect(thread, &info)) return;
      return kernel_.Migrate(thread, Byte() % processors_);
    }
    case 5:
      return kernel_.ArmFault(static_cast<FaultSite>(number % kFaultSiteCount), Byte());
    default:
      return;
  }
}

std::string Input::Digest() const {
  const Ledger l = kernel_.ledger();
  uint64_t digest = base::Chain(seen_digest_, kernel_.now_ns());
  for (const uint64_t n :
       {l.ipc_sends, l.ipc_errors, l.map_items, l.pages_mapped, l.pages_extended, l.unmap_calls,
        l.pages_unmapped, l.pages_restricted, l.page_faults, l.fiber_switches, l.threads_created,
        l.spaces_created, l.system_calls, l.shoot_downs, l.map_refusals, l.faults_injected,
        l.pages_split, l.kernel_debugger_entries}) {
    digest = base::Chain(digest, n);
  }
  for (const FiredFault& f : kernel_.fired_faults()) {
    digest = base::Chain(base::Chain(digest, f.visit), f.now_ns);
  }
  kernel_.ForEachMapping([&](const Mapping& m) {
    digest = base::Chain(base::Chain(digest, m.va.value()), m.rights * 8u + m.status);
  });
  return kernel_.DescribeWaits() + std::to_string(kernel_.now_ns()) + " " +
         std::to_string(l.system_calls) + " " + std::to_string(digest);
}

std::string Input::Run() {
  const auto calls = [this] { Calls(); };
  kernel_.RegisterEntry(Kernel::kRootEntry, calls);
  kernel_.RegisterEntry(kEntry, calls);
  for (int i = 8; i < kMaxThreads; i++) ids_[i] = L4_GlobalId(kernel_.profile().user_base + i, 1);
  ids_[0] = kernel_.root();
  ids_[1] = kernel_.Boot({.entry = calls, .processor = 1 % processors_});
  // Two in one space below root, one in a space below that, one whose pager will never answer.
  ids_[2] = kernel_.Boot({.entry = calls, .new_space = true, .pager = ids_[0]});
  SpaceId space{};
  if (kernel_.SpaceOf(ids_[2], &space)) ids_[3] = kernel_.Boot({.entry = calls, .space = space});
  ids_[4] = kernel_.Boot(
      {.entry = calls, .new_space = true, .pager = ids_[2], .processor = processors_ - 1});
  ids_[5] = kernel_.Boot({.entry = calls, .new_space = true, .pager = L4_GlobalId(99, 1)});
  for (int i = 0; i < 6; i++) {
    const StopReason reason = kernel_.RunUntilIdle({.max_switches = kMaxSwitches});
    Check();
    if (reason == StopReason::kDeadlock && kernel_.DescribeDeadlock().empty()) std::abort();
    if (reason != StopReason::kIdle && reason != StopReason::kDeadlock) break;
    if (left_ == 0 || calls_ >= kMaxCalls) break;
    Host();
    // Root may have been deleted, and its space with it.
    if (!kernel_.SpaceExists(kRootSpace)) break;
    kernel_.Boot({.entry = calls});
  }
  Check();
  if (!kernel_.crash_text().empty()) {
    std::fprintf(stderr, "%s\n", kernel_.crash_text().c_str());
    std::abort();
  }
  return Digest();
}

std::string Input::Explore(DecisionList* schedule) {
  const uint8_t how = Byte();
  const ExplorationOptions options{.seed = how};
  std::unique_ptr<ExploringStrategy> strategy;
  ReplaySchedule* replay = nullptr;
  if (schedule->total != 0) {
    strategy = std::make_unique<ReplaySchedule>(options, *schedule);
    replay = static_cast<ReplaySchedule*>(strategy.get());
  } else if (how % 3 == 0) {
    strategy = std::make_unique<Pct>(options, 1 + how / 3 % 4, 200);
  } else if (how % 3 == 1) {
    strategy = std::make_unique<UniformWalk>(options, StepCounts());
  } else {
    strategy = std::make_unique<RandomWalk>(options);
  }
  const ExploringStrategy& explored = *strategy;
  kernel_.SetStrategy(std::move(strategy));
  const std::string digest = Run();
  if (replay != nullptr && !replay->exact()) {
    std::fprintf(stderr, "the schedule cannot be replayed: %s\n",
                 replay->divergence() ? replay->divergence()->Text().c_str() : "it went on");
    std::abort();
  }
  *schedule = explored.decisions();
  return digest;
}

// The machines that an input chooses from by its first byte.
struct Kind {
  const Profile& profile = kAmd64Nx;
  const Quirks& quirks = kManualRules;
  uint32_t processors = 1;
  bool faults = false;    // all sites fire now and then
  bool explores = false;  // threads give way at random points, by a seed from the input
  bool is_small = false;  // memory for few threads, spaces and mappings; registers are scribbled on
};
constexpr Kind kKinds[] = {
    {},
    {.profile = kIa32, .explores = true},
    {.profile = kIa32, .quirks = kPistachioNewMdb, .processors = 2},
    {.profile = kIa32, .quirks = kPistachioOldMdb, .explores = true},
    {.processors = 3, .faults = true, .explores = true},
    {.profile = kIa32, .faults = true},
    {.quirks = kPistachioNewMdb, .faults = true, .explores = true},
    {.quirks = kPistachioOldMdb, .processors = 2, .faults = true},
    {.profile = kAmd64NoReference},
    {.profile = kAmd64NoReference, .processors = 4, .faults = true, .explores = true},
    {.profile = kIa32, .is_small = true},
    {.faults = true, .is_small = true},
    {.profile = kIa32, .quirks = kPistachioNewMdb, .processors = 4, .is_small = true},
    {.processors = 2, .explores = true},
    {.profile = kAmd64NoReference, .quirks = kPistachioOldMdb, .explores = true, .is_small = true},
    {.profile = kIa32, .processors = 4, .faults = true},
};
constexpr size_t kKindCount = sizeof kKinds / sizeof kKinds[0];

std::unique_ptr<Kernel> NewKernel(const Kind& kind) {
  BootOptions options{.ram_bytes = kRamBytes,
                      .profile = kind.profile,
                      .quirks = kind.quirks,
                      .processors = kind.processors};
  options.profile.thread_no_bits = 10;  // the checks go through all of them
  if (kind.faults) options.faults.one_in.fill(12);
  if (kind.is_small) {
    options.max_mappings = 100;
    options.max_threads = 14;
    options.max_spaces = 8;
    options.root_priority = 255;
    options.scribble_registers = true;
  }
  return std::make_unique<Kernel>(options);
}

// Runs an input on a machine as after boot.
std::string RunOn(Kernel& kernel, const Kind& kind, Watched watched, const uint8_t* data,
                  size_t size, DecisionList* schedule) {
  kernel.Reset();
  Input input(&kernel, kind.processors, data, size, watched);
  return kind.explores ? input.Explore(schedule) : input.Run();
}

void RunInput(const uint8_t* data, size_t size) {
  // Kept: booting costs more than an input.
  static std::unique_ptr<Kernel> kernels[kKindCount];
  const size_t number = (data[0] & 0x7f) % kKindCount;
  const Kind& kind = kKinds[number];
  if (kernels[number] == nullptr) kernels[number] = NewKernel(kind);
  Kernel& kernel = *kernels[number];
  DecisionList schedule;
  const std::string digest = RunOn(kernel, kind, Watched::kNo, data + 1, size - 1, &schedule);
  if ((data[0] & 0x80) == 0) return;
  std::string problem = "another list";
  const std::optional<DecisionList> read = DecisionList::Parse(schedule.Text(), &problem);
  if (!read.has_value() || *read != schedule) {
    std::fprintf(stderr, "the schedule does not parse back: %s\n%s", problem.c_str(),
                 schedule.Text().c_str());
    std::abort();
  }
  const std::string again = RunOn(kernel, kind, Watched::kYes, data + 1, size - 1, &schedule);
  if (again == digest) return;
  std::fprintf(stderr, "not the same again:\n%s\n%s\n", digest.c_str(), again.c_str());
  std::abort();
}

}  // namespace
}  // namespace fake_l4

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) fake_l4::RunInput(data, size);
  return 0;
}
