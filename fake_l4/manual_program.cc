// The root task in C++, with the overloaded names and operators. See manual_program.h.
#include "fake_l4/manual_program.h"

#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>
#include <l4/types.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int kPageLog2 = 12, kPages = 16;
constexpr L4_Word_t kKipArea = 0x60000000;
constexpr L4_Word_t kUtcbArea = 0x61000000;
constexpr L4_Word_t kChildPage = 0x400000;
constexpr L4_Word_t kChildWindow = 0x800000;

void* const kNoUtcb = reinterpret_cast<void*>(~L4_Word_t{0});

void* kip;
L4_ThreadId_t sigma0, root;
L4_Fpage_t pages[kPages];  // memory of the root task that nothing uses yet
int pages_used;
L4_Word_t threads_used;

void Say(const char* what, L4_Word_t value) {
  char line[100];
  std::snprintf(line, sizeof line, "%s %lu", what, value);
  BoardPrint(line);
}

// ---- Helpers ----

L4_Fpage_t NewPage() { return pages[pages_used++ % kPages] + L4_FullyAccessible; }

L4_ThreadId_t NewId() { return L4_GlobalId(L4_ThreadIdUserBase(kip) + 16 + threads_used++, 1); }

void SendStart(L4_ThreadId_t thread, void (*function)()) {
  L4_Msg_t msg;
  L4_Clear(msg);
  L4_Append(msg, BoardEntry(function));
  L4_Append(msg, 0);  // stack pointer: the board has its own idea
  L4_Load(msg);
  if (L4_IpcFailed(L4_Send(thread))) Say("start failed, error", L4_ErrorCode());
}

// A thread in the root task's space, waiting for its start.
L4_ThreadId_t NewThread() {
  const L4_ThreadId_t thread = NewId();
  const L4_Word_t mine = L4_MyLocalId().raw & ~(L4_UtcbSize(kip) - 1);
  const L4_Word_t utcb = mine + threads_used * L4_UtcbSize(kip);
  if (!L4_ThreadControl(thread, root, root, root, reinterpret_cast<void*>(utcb))) {
    Say("ThreadControl failed, error", L4_ErrorCode());
  }
  return thread;
}

// A thread in a space of its own, with the root task as pager, scheduler and exception handler.
L4_ThreadId_t NewTask(void (*function)()) {
  const L4_ThreadId_t thread = NewId();
  L4_Word_t control;
  L4_Word_t ok = L4_ThreadControl(thread, thread, root, L4_nilthread, kNoUtcb);
  ok = ok &&
       L4_SpaceControl(thread, 0, L4_FpageLog2(kKipArea, L4_KipAreaSizeLog2(kip)),
                       L4_FpageLog2(kUtcbArea, L4_UtcbAreaSizeLog2(kip)), L4_anythread, control);
  ok = ok && L4_ThreadControl(thread, thread, root, root, reinterpret_cast<void*>(kUtcbArea));
  if (!ok) Say("new task failed, error", L4_ErrorCode());
  SendStart(thread, function);
  return thread;
}

void Delete(L4_ThreadId_t thread) {
  if (!L4_ThreadControl(thread, L4_nilthread, L4_nilthread, L4_nilthread, kNoUtcb)) {
    Say("deletion failed, error", L4_ErrorCode());
  }
}

// The next message of `task` that is not a page fault; page faults are served with `page`.
L4_MsgTag_t ServeFaults(L4_ThreadId_t task, L4_Fpage_t page, L4_MsgTag_t tag) {
  while (L4_IpcSucceeded(tag) && (L4_Label(tag) & 0xfff0) == 0xffe0) {
    L4_Msg_t msg;
    L4_Store(tag, msg);
    const L4_Word_t address = L4_Get(msg, 0);
    char line[60];
    std::snprintf(line, sizeof line, "page fault at %lx, write %d", address,
                  (L4_Label(tag) & L4_Writable) != 0);
    BoardPrint(line);
    L4_Clear(msg);
    L4_Append(msg, L4_MapItem(page, address & ~L4_Word_t{4095}));
    L4_Load(msg);
    tag = L4_Call(task);
  }
  return tag;
}
L4_MsgTag_t Next(L4_ThreadId_t task, L4_Fpage_t page) {
  return ServeFaults(task, page, L4_Receive(task));
}

void SendLabel(L4_ThreadId_t to, L4_Word_t label, L4_Word_t word) {
  L4_Msg_t msg;
  L4_Clear(msg);
  L4_Set_Label(msg, label);
  L4_Append(msg, word);
  L4_Load(msg);
  if (L4_IpcFailed(L4_Send(to))) Say("send failed, error", L4_ErrorCode());
}

// ---- Parts ----

void Kip() {
  L4_Word_t version, flags, id, year, month, day, conventional = 0;
  Say("kip is the same again", L4_KernelInterface(version, flags, id) == kip);
  Say("magic", std::memcmp(kip, "L4\xe6K", 4) == 0);
  Say("version X.2", version >> 24 == 0x84 && version == L4_ApiVersion());
  Say("word size", 32u << (flags >> 2 & 3) == 8 * sizeof(L4_Word_t) && flags == L4_ApiFlags());
  Say("kernel id", id == L4_KernelId());
  L4_KernelGenDate(kip, year, month, day);
  Say("date", year >= 2000 && month >= 1 && month <= 12 && day >= 1 && day <= 31);
  Say("kernel version", L4_KernelVersion(kip) != 0 && L4_KernelSupplier(kip) != 0 &&
                            L4_KernelVersionString(kip)[0] != 0);
  for (L4_Word_t i = 0; i < L4_NumMemoryDescriptors(kip); i++) {
    L4_MemoryDesc_t* d = L4_MemoryDesc(kip, i);
    if (L4_High(*d) < L4_Low(*d)) BoardPrint("an upside-down descriptor");
    if (!L4_IsVirtual(*d) && L4_Type(*d) == L4_ConventionalMemoryType) {
      conventional += L4_High(*d) - L4_Low(*d) + 1;
    }
  }
  Say("conventional memory", conventional >= 0x100000);
  Say("no descriptor beyond", L4_MemoryDesc(kip, L4_NumMemoryDescriptors(kip)) == nullptr);
  for (L4_Word_t i = 0; i < L4_NumProcessors(kip); i++) {
    L4_ProcDesc_t* d = L4_ProcDesc(kip, i);
    if (L4_InternalFreq(*d) < L4_ExternalFreq(*d)) BoardPrint("a slow processor");
  }
  Say("pages of 4 KiB", (L4_PageSizeMask(kip) >> kPageLog2) & 1);
  Say("write can be withheld", (L4_PageRights(kip) & L4_Writable) != 0);
  Say("id ranges", L4_ThreadIdSystemBase(kip) <= L4_ThreadIdUserBase(kip) &&
                       L4_ThreadIdUserBase(kip) >> L4_ThreadIdBits(kip) == 0);
  Say("utcb", L4_UtcbSize(kip) >= 1ul << L4_UtcbAlignmentLog2(kip) &&
                  L4_UtcbAreaSizeLog2(kip) >= L4_UtcbAlignmentLog2(kip));
  Say("precisions", L4_SchedulePrecision(kip) >= L4_ReadPrecision(kip));
  for (L4_Word_t i = 0; L4_Feature(kip, i) != nullptr; i++) {
    if (L4_Feature(kip, i)[0] == 0) BoardPrint("an empty feature");
  }
  Say("I am privileged root",
      L4_Myself() == L4_MyGlobalId() && L4_ThreadNo(root) == L4_ThreadNo(sigma0) + 2);
}

void Memory() {
  const L4_Word_t value = 4711;
  L4_Word_t read = 0;
  L4_Fpage_t got;
  for (int i = 0; i < kPages; i++) {
    pages[i] = L4_Sigma0_GetAny(sigma0, kPageLog2, L4_CompleteAddressSpace);
    if (L4_IsNilFpage(pages[i]) || L4_Size(pages[i]) != 4096)
      Say("no page", static_cast<L4_Word_t>(i));
  }
  got = L4_Sigma0_GetPage(sigma0, pages[3]);
  Say("the same page again", L4_Address(got) == L4_Address(pages[3]));
  got = L4_Sigma0_GetPage(sigma0, L4_Fpage((~L4_Word_t{0} >> 20) << 20, 4096),
                          L4_CompleteAddressSpace);
  Say("memory that is not there is refused", L4_IsNilFpage(got));
  BoardStore(L4_Address(pages[0]), &value, sizeof value);
  BoardLoad(L4_Address(pages[0]), &read, sizeof read);
  Say("read back", read);
  Say("rights", L4_Rights(NewPage() - L4_Writable));
}

void AddServer() {
  L4_ThreadId_t from;
  L4_MsgTag_t tag = L4_Wait(from);
  for (;;) {
    L4_Msg_t msg;
    L4_Word_t sum = 0;
    L4_Store(tag, msg);
    for (L4_Word_t i = 0; i < L4_UntypedWords(tag); i++) sum += L4_Get(msg, i);
    L4_Clear(msg);
    L4_Set_Label(msg, L4_Label(tag) + 1);
    L4_Append(msg, sum);
    L4_Load(msg);
    tag = L4_ReplyWait(from, from);
  }
}

void Threads() {
  const L4_Word_t numbers[3] = {1, 20, 300};
  L4_Word_t sum = 0;
  L4_Msg_t msg;
  const L4_ThreadId_t server = NewThread();
  L4_MsgTag_t tag;
  SendStart(server, AddServer);
  L4_Put(msg, 77, 3, numbers, 0, nullptr);
  L4_Load(msg);
  tag = L4_Call(server);
  L4_Store(tag, msg);
  L4_Get(msg, 0, sum);
  Say("sum", sum);
  Say("label", L4_Label(msg));
  L4_Set_MsgTag(L4_Niltag);
  tag = L4_Call(server, L4_ZeroTime, L4_TimePeriod(1000000));
  Say("empty call", L4_IpcSucceeded(tag) && !L4_IpcPropagated(tag) && !L4_IpcRedirected(tag));
  L4_Set_UserDefinedHandle(server, 99);
  Say("handle", L4_UserDefinedHandle(server));
  Say("pager", L4_Pager(server) == root);
  L4_Set_Pager(server, sigma0);
  Say("pager", L4_Pager(server) == sigma0);
  L4_Set_UserDefinedHandle(5);
  Say("my handle", L4_UserDefinedHandle());
  L4_Set_ExceptionHandler(server);
  Say("my exception handler", L4_ExceptionHandler() == server);
  L4_Set_ExceptionHandler(L4_nilthread);
  L4_Set_XferTimeouts(L4_Timeouts(L4_TimePeriod(8), L4_Never));
  Say("transfer timeouts", L4_XferTimeouts() >> 16);
  L4_Set_XferTimeouts(0);
  L4_Set_CopFlag(1);
  L4_Clr_CopFlag(1);
  Say("was delaying", L4_DisablePreemption());
  Say("was delaying", L4_EnablePreemption());
  Say("was signalling", L4_EnablePreemptionFaultException());
  Say("was signalling", L4_DisablePreemptionFaultException());
  Delete(server);
  L4_Set_MsgTag(L4_Niltag);
  Say("send to nobody failed", L4_IpcFailed(L4_Send(server)));
  Say("error", L4_ErrorCode());
}

void LocalIds() {
  const L4_ThreadId_t server = NewThread();
  L4_ThreadId_t local;
  L4_Word_t sum = 0;
  L4_Msg_t msg;
  L4_MsgTag_t tag;
  SendStart(server, AddServer);
  local = L4_LocalId(server);
  Say("local", L4_IsLocalId(local) && !L4_IsGlobalId(local));
  Say("back to global", L4_GlobalId(local) == server);
  Say("same thread", L4_SameThreads(local, server) && !L4_SameThreads(local, root));
  L4_Clear(msg);
  L4_Append(msg, 40);
  L4_Append(msg, 2);
  L4_Load(msg);
  tag = L4_Lcall(local);
  L4_StoreMR(1, sum);
  Say("Lcall", L4_IpcSucceeded(tag));
  Say("sum", sum);
  Delete(server);
}

L4_Word_t waiter_error;
void Waiter() {
  waiter_error = 0;
  if (L4_IpcFailed(L4_Receive(root))) waiter_error = L4_ErrorCode();
  SendLabel(root, 1, waiter_error);
  L4_Receive(L4_nilthread);
}

void Registers() {
  const L4_ThreadId_t waiter = NewThread();
  L4_Word_t sp, ip, flags;
  L4_ThreadState_t state;
  SendStart(waiter, Waiter);
  L4_ThreadSwitch(waiter);
  state = L4_Stop(waiter);
  Say("was receiving", L4_ThreadWasReceiving(state) && L4_ThreadWasIpcing(state));
  Say("was halted or sending", L4_ThreadWasHalted(state) || L4_ThreadWasSending(state));
  L4_AbortIpc_and_stop(waiter, sp, ip, flags);
  L4_Start(waiter);
  L4_Receive(waiter);
  L4_StoreMR(1, sp);
  Say("cancelled, error", sp);
  Delete(waiter);
}

void Time() {
  const L4_Clock_t before = L4_SystemClock();
  L4_Clock_t after, at;
  const L4_Time_t longer = L4_TimePeriod(1000) + L4_TimePeriod(500);
  Say("receive timed out", L4_IpcFailed(L4_Receive(sigma0, L4_TimePeriod(2000))));
  Say("error", L4_ErrorCode());
  after = L4_SystemClock();
  Say("2 ms passed", after >= before + 2000);
  at = after + 3000;
  L4_Receive(sigma0, L4_TimePoint(at));
  Say("error", L4_ErrorCode());
  after = L4_SystemClock();
  Say("slept until then", after >= at - 8 && after < at + 1000);
  Say("zero is shorter", L4_ZeroTime < L4_TimePeriod(1));
  Say("never is longer", L4_Never > longer);
  Say("sums", longer == L4_TimePeriod(1500) && longer - 500 == L4_TimePeriod(1000));
}

void Child() {
  char text[8] = "";
  BoardStore(kChildPage, "hello", 6);
  SendLabel(root, 1, 0);
  L4_Receive(root);
  BoardLoad(kChildPage, text, 6);
  SendLabel(root, 2, std::strcmp(text, "hello") == 0);
  L4_Accept(L4_MapGrantItems(L4_FpageLog2(kChildWindow, 16)));
  SendLabel(root, 3, 0);
  L4_Receive(root);
  L4_Accept(L4_UntypedWordsAcceptor);
  BoardLoad(kChildWindow + 0x3000, text, 6);
  SendLabel(root, 4, std::strcmp(text, "world") == 0);
  L4_Receive(root);
  SendLabel(
      root, 5,
      L4_ThreadControl(L4_GlobalId(1000, 1), root, root, root, nullptr) == 0 ? L4_ErrorCode() : 0);
  L4_Receive(root);
}

void Tasks() {
  const L4_Fpage_t page = NewPage(), other = NewPage();
  L4_Fpage_t status[2];
  char text[8] = "";
  L4_Word_t word;
  L4_Msg_t msg;
  const L4_ThreadId_t child = NewTask(Child);
  L4_MsgTag_t tag = Next(child, page);
  Say("label", L4_Label(tag));
  BoardLoad(L4_Address(page), text, 6);
  BoardPrint(text);
  status[0] = L4_GetStatus(page);
  Say("was written", L4_WasWritten(status[0]) && L4_WasReferenced(status[0]));
  status[0] = L4_Unmap(page);
  Say("was written since", L4_WasWritten(status[0]));
  SendLabel(child, 0, 0);
  tag = Next(child, page);
  L4_StoreMR(1, word);
  Say("label", L4_Label(tag));
  Say("child still reads it", word);
  Next(child, page);
  BoardStore(L4_Address(other), "world", 6);
  L4_Clear(msg);
  L4_Append(msg, L4_MapItem(other - L4_Writable, 0x3000));
  L4_Load(msg);
  L4_Send(child);
  tag = Next(child, page);
  L4_StoreMR(1, word);
  Say("label", L4_Label(tag));
  Say("child reads it in its window", word);
  status[0] = page;
  status[1] = other;
  L4_Unmap(2, status);
  Say("both were referenced", L4_WasReferenced(status[0]) && L4_WasReferenced(status[1]));
  Say("second was written by the child", L4_WasWritten(L4_GetStatus(other)));
  SendLabel(child, 0, 0);
  tag = Next(child, page);
  L4_StoreMR(1, word);
  Say("child has no privilege, error", word);
  Delete(child);
}

void GrantChild() {
  char text[8] = "";
  L4_Accept(L4_MapGrantItems(L4_FpageLog2(kChildWindow, 14)));
  L4_Receive(root);
  BoardLoad(kChildWindow + 0x1000, text, 6);
  BoardStore(kChildWindow + 0x1000, "mine!", 6);
  SendLabel(root, 1, std::strcmp(text, "yours") == 0);
  L4_Receive(root);
}

void Grant() {
  const L4_Fpage_t page = NewPage();
  L4_Word_t word = 0;
  L4_Msg_t msg;
  const L4_ThreadId_t child = NewTask(GrantChild);
  BoardStore(L4_Address(page), "yours", 6);
  L4_Clear(msg);
  L4_Append(msg, L4_GrantItem(page, 0x1000));
  L4_Load(msg);
  L4_Send(child);
  Next(child, NewPage());
  L4_StoreMR(1, word);
  Say("child has it", word);
  Say("I can no longer see how it is used", L4_WasReferenced(L4_Flush(page)));
  Delete(child);
}

void StringChild() {
  L4_MsgBuffer_t buffer;
  L4_Msg_t msg;
  L4_StringItem_t item;
  L4_MsgTag_t tag;
  char text[16] = "";
  BoardStore(kChildPage, "", 1);
  L4_Clear(buffer);
  L4_Append(buffer, L4_StringItem(64, reinterpret_cast<void*>(kChildPage + 0x100)));
  L4_Append(buffer, L4_StringItem(64, reinterpret_cast<void*>(kChildPage + 0x200)));
  L4_Accept(L4_StringItemsAcceptor, buffer);
  SendLabel(root, 1, 0);
  tag = L4_Receive(root);
  L4_Store(tag, msg);
  Say("typed words", L4_TypedWords(tag));
  L4_Get(msg, 0, item);
  Say("a string came", L4_IpcSucceeded(tag) && L4_StringItem(item));
  L4_Accept(L4_UntypedWordsAcceptor);
  BoardLoad(kChildPage + 0x100, text, 12);
  BoardPrint(text);
  std::memset(text, 0, sizeof text);
  BoardLoad(kChildPage + 0x200, text, 8);
  BoardPrint(text);
  SendLabel(root, 2, 0);
  L4_Receive(root);
}

void Strings() {
  const L4_Fpage_t page = NewPage(), to = NewPage();
  const L4_Word_t at = L4_Address(page);
  L4_StringItem_t s = L4_StringItem(5, reinterpret_cast<void*>(at)),
                  more = L4_StringItem(7, reinterpret_cast<void*>(at + 0x80));
  L4_Msg_t msg;
  L4_MsgTag_t tag;
  const L4_ThreadId_t child = NewTask(StringChild);
  BoardStore(at, "comesin parts", 14);
  BoardStore(at + 0x80, " in two", 7);
  Next(child, to);
  s += more;
  Say("substrings", L4_Substrings(s));
  Say("compound", L4_CompoundString(s) && L4_Substring(s, 1) == reinterpret_cast<void*>(at + 0x80));
  s += L4_UseDefaultCacheLineAllocation;
  L4_Clear(msg);
  L4_Append(msg, &s);
  L4_Append(msg, L4_StringItem(8, reinterpret_cast<void*>(at + 5)));
  L4_Load(msg);
  tag = L4_Send(child);
  Say("sent", L4_IpcSucceeded(tag));
  tag = Next(child, to);
  Say("label", L4_Label(tag));
  Delete(child);
}

L4_ThreadId_t listener_from, listener_actual;
void Listener() {
  L4_MsgTag_t tag = L4_Wait(listener_from);
  listener_actual = L4_ActualSender();
  SendLabel(root, 1, L4_IpcPropagated(tag));
  L4_Receive(L4_nilthread);
}

void Propagation() {
  const L4_ThreadId_t listener = NewThread(), other = NewThread();
  L4_MsgTag_t tag = L4_Niltag;
  L4_Word_t word = 0;
  SendStart(listener, Listener);
  SendStart(other, AddServer);
  L4_Set_VirtualSender(other);
  L4_Set_Propagation(tag);
  L4_Set_MsgTag(tag);
  L4_Send(listener);
  L4_Receive(listener);
  L4_StoreMR(1, word);
  Say("propagated", word);
  Say("in the other's name", L4_SameThreads(listener_from, other));
  Say("really by me", L4_SameThreads(listener_actual, root));
  Delete(listener);
  Delete(other);
}

void Scheduling() {
  const L4_ThreadId_t worker = NewThread();
  const L4_ThreadId_t nobody = L4_GlobalId(L4_ThreadIdUserBase(kip) + 900, 1);
  L4_Time_t slice, quantum;
  SendStart(worker, AddServer);
  L4_Yield();
  Say("waits", L4_Timeslice(worker, slice, quantum));
  Say("priority", L4_Set_Priority(worker, 50) != 0);
  Say("processor", L4_Set_ProcessorNo(worker, L4_ProcessorNo()) != 0);
  Say("delay", L4_Set_PreemptionDelay(worker, 60, 1000) != 0);
  Say("slice", L4_Set_Timeslice(worker, L4_TimePeriod(4096), L4_Never) != 0);
  Say("nobody", L4_Set_Priority(nobody, 50));
  Say("error", L4_ErrorCode());
  L4_ThreadSwitch(worker);
  Delete(worker);
}

void Interrupts() {
  const L4_ThreadId_t interrupt = L4_GlobalId(9, 1);
  L4_MsgTag_t tag;
  Say("associated", L4_AssociateInterrupt(interrupt, root));
  Say("none came", L4_IpcFailed(L4_Receive(interrupt, L4_ZeroTime)));
  BoardInterrupt(9);
  tag = L4_Receive(interrupt);
  Say("it came", L4_IpcSucceeded(tag) && (L4_Label(tag) & 0xfff0) == 0xfff0);
  Say("words", L4_UntypedWords(tag) + L4_TypedWords(tag));
  BoardInterrupt(9);
  Say("masked", L4_IpcFailed(L4_Receive(interrupt, L4_ZeroTime)));
  for (int i = 0; i < 2; i++) {
    L4_Set_MsgTag(L4_Niltag);
    tag = L4_Call(interrupt, L4_Never, L4_TimePeriod(1000));
    Say("came after the acknowledgement", L4_IpcSucceeded(tag));
  }
  BoardTimer(9, 10000, 3);
  for (int i = 0; i < 3; i++) {
    const L4_Clock_t before = L4_SystemClock();
    tag = L4_Receive(interrupt, L4_TimePeriod(100000));
    Say("tick", L4_IpcSucceeded(tag) && L4_SystemClock() >= before + 9000);
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(interrupt);
  }
  Say("no further", L4_IpcFailed(L4_Receive(interrupt, L4_TimePeriod(100000))));
  Say("detached", L4_DeassociateInterrupt(interrupt));
  BoardInterrupt(9);
  Say("nobody is told", L4_IpcFailed(L4_Receive(interrupt, L4_TimePeriod(1000))));
}

int attempts;
void Recovered() {
  SendLabel(root, 2, 0);
  L4_Receive(L4_nilthread);
}
void Faulty() {
  L4_Set_ExceptionHandler(root);
  attempts = 0;
  BoardIllegalInstruction(&attempts);
  BoardPrint("the instruction was executed");
}
void Hopeless() {
  BoardIllegalInstruction(&attempts);
  BoardPrint("the instruction was executed");
}

// The exception that `thread` tells: prints what it is; `msg` becomes the answer that has the
// instruction executed again.
void NextException(L4_ThreadId_t thread, L4_Msg_t& msg) {
  const L4_MsgTag_t tag = L4_Receive(thread);
  const L4_Word_t protocol = L4_Label(tag) & 0xfff0;
  const L4_Word_t number = protocol == 0xffc0 ? 3 : 2;  // a system exception; else the processor's
  L4_Store(tag, msg);
  Say("an exception", protocol == 0xffc0 || protocol == 0xffb0);
  Say("number", L4_Get(msg, number));
  Say("within the function",
      L4_Get(msg, 0) >= BoardEntry(Faulty) && L4_Get(msg, 0) < BoardEntry(Faulty) + 64);
  Say("attempts", static_cast<L4_Word_t>(attempts));
  L4_Set_Label(msg, 0);
}

void Exceptions() {
  const L4_ThreadId_t faulty = NewThread(), hopeless = NewThread();
  L4_Msg_t msg;
  L4_MsgTag_t tag;
  L4_ThreadState_t state;
  SendStart(faulty, Faulty);
  NextException(faulty, msg);
  L4_Load(msg);
  L4_Send(faulty);
  NextException(faulty, msg);
  L4_Put(msg, 0, BoardEntry(Recovered));  // the first word is the instruction pointer
  L4_Load(msg);
  tag = L4_Call(faulty);
  Say("went on elsewhere", L4_Label(tag) == 2);
  Delete(faulty);
  SendStart(hopeless, Hopeless);
  L4_ThreadSwitch(hopeless);
  state = L4_Stop(hopeless);
  Say("without a handler it is halted", L4_ThreadWasHalted(state));
  Delete(hopeless);
}

void Controls() {
  Say("attributes", L4_Set_PageAttribute(NewPage(), L4_DefaultMemory));
  Say("frequencies", L4_ProcessorControl(L4_ProcessorNo(), 0, 0, 0));
}

void Run(const char* skip, const char* name, void (*part)()) {
  char word[40];
  std::snprintf(word, sizeof word, " %s ", name);
  if (std::strstr(skip, word) != nullptr) return;
  std::snprintf(word, sizeof word, "-- %s", name);
  BoardPrint(word);
  part();
}

}  // namespace

void ManualProgramInCxx(const char* skip) {
  kip = L4_KernelInterface();
  sigma0 = L4_GlobalId(L4_ThreadIdUserBase(kip), 1);
  root = L4_Myself();
  pages_used = 0;
  threads_used = 0;
  Run(skip, "kip", Kip);
  Run(skip, "memory", Memory);
  Run(skip, "threads", Threads);
  Run(skip, "local-ids", LocalIds);
  Run(skip, "registers", Registers);
  Run(skip, "time", Time);
  Run(skip, "tasks", Tasks);
  Run(skip, "grant", Grant);
  Run(skip, "strings", Strings);
  Run(skip, "propagation", Propagation);
  Run(skip, "scheduling", Scheduling);
  Run(skip, "interrupts", Interrupts);
  Run(skip, "exceptions", Exceptions);
  Run(skip, "controls", Controls);
  BoardPrint("-- end");
}
