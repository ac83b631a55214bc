// Exceptions: told to the thread's exception handler, whose answer holds the registers to go on
// with. facts/l4.md section 6; X.2 manual: "Exceptions", "System Exception".
#include <l4/thread.h>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// Labels are negative numbers times 16 in the label field's width.
constexpr L4_Word_t Label(unsigned protocol) { return (~L4_Word_t{0} >> 16) - protocol * 16 + 1; }

// The registers that a message tells, in its order.
struct MessageLayout {
  L4_Word_t label;
  unsigned words;
  uint8_t ip, sp, flags, number, error;  // message registers
  uint8_t local_id;                      // 0: not told
  uint8_t general;  // message register of the first general register; 0: not told
};

constexpr MessageLayout kSystemLayout = {.label = Label(4),
                                         .words = 6,
                                         .ip = 1,
                                         .sp = 2,
                                         .flags = 3,
                                         .number = 4,
                                         .error = 5,
                                         .local_id = 6,
                                         .general = 0};
constexpr MessageLayout kIa32Layout = {.label = Label(5),
                                       .words = 12,
                                       .ip = 1,
                                       .sp = 8,
                                       .flags = 2,
                                       .number = 3,
                                       .error = 4,
                                       .local_id = 0,
                                       .general = 5};

// EDI, ESI, EBP come before ESP, the others after it.
constexpr uint8_t GeneralAt(const MessageLayout& layout, unsigned i) {
  return static_cast<uint8_t>(layout.general + i + (i >= 3 ? 1 : 0));
}

const MessageLayout& LayoutOf(ExceptionMessage message) {
  return message == ExceptionMessage::kIa32 ? kIa32Layout : kSystemLayout;
}

}  // namespace

void Core::BuildExceptionMessage(Thread& t) {
  const MessageLayout& layout = LayoutOf(t.exception_message);
  L4_Word_t* mr = t.kernel_mr;
  mr[0] = L4_MakeMsgTag(layout.label, layout.words, 0).raw;
  mr[layout.ip] = static_cast<L4_Word_t>(t.ip);
  mr[layout.sp] = static_cast<L4_Word_t>(t.sp);
  mr[layout.flags] = static_cast<L4_Word_t>(t.flags);
  mr[layout.number] = t.exception;
  mr[layout.error] = static_cast<L4_Word_t>(t.exception_error);
  if (layout.local_id != 0) mr[layout.local_id] = NameFor(t, t).raw;
  if (layout.general == 0) return;
  for (unsigned i = 0; i < kGeneralRegisters; i++) {
    mr[GeneralAt(layout, i)] = static_cast<L4_Word_t>(t.general[i]);
  }
}

AccessStatus Core::RaiseException(Thread& self, ExceptionMessage message, uint32_t number,
                                  uint64_t error_code) {
  CHECK(&self == running_);
  Spend(profile_.costs.page_fault);
  const uint32_t changes = self.ip_changes;
  self.exception = number;
  self.exception_error = error_code;
  self.exception_message = message;
  Thread* handler = Resolve(self, L4_ThreadIdOfRaw(self.utcb.exception_handler));
  if (handler == nullptr || handler == &self) {
    HaltUnhandled(self);
  } else {
    BuildExceptionMessage(self);
    Enter(profile_.costs.system_call + profile_.costs.ipc);
    StartKernelIpc(self, KernelIpc::kException, handler->gid);
  }
  if (self.state != ThreadState::kReady || self.halted) {
    SwitchAway(handler == &self ? nullptr : handler);
  }
  return self.ip_changes == changes ? AccessStatus::kOk : AccessStatus::kRedirected;
}

void Core::HaltUnhandled(Thread& t) {
  t.halted = true;
  t.halted_by_exception = true;
  MakeUnready(t);
}

void Core::EndException(Thread& t) {
  const L4_Word_t* mr = t.kernel_mr;
  const L4_MsgTag_t tag = L4_MsgTagOfRaw(mr[0]);
  if (L4_IpcFailed(tag)) {
    // Cancelled by somebody who knows how the thread is to go on; else the handler is gone.
    if ((t.ipc_error >> 1 & 7) != L4_IPC_CANCELLED) HaltUnhandled(t);
    return;
  }
  // What a short answer does not tell stays as it was.
  const MessageLayout& layout = LayoutOf(t.exception_message);
  const auto told = [&](unsigned at) { return at != 0 && at <= L4_UntypedWords(tag); };
  if (told(layout.sp)) t.sp = mr[layout.sp];
  if (told(layout.flags)) t.flags = mr[layout.flags];
  for (unsigned i = 0; layout.general != 0 && i < kGeneralRegisters; i++) {
    if (told(GeneralAt(layout, i))) t.general[i] = mr[GeneralAt(layout, i)];
  }
  if (told(layout.ip) && mr[layout.ip] != t.ip) SetIp(t, mr[layout.ip]);
}

// On the thread's own stack: whatever it is made to do about an address without code, it does.
void Core::RunFrom(Thread& t) {
  for (;;) {
    const auto entry = entries_.find(t.ip);
    if (entry != entries_.end()) return (*entry->second)();
    if (Resolve(t, L4_ThreadIdOfRaw(t.utcb.exception_handler)) == nullptr) {
      t.state = ThreadState::kNoCode;
      SwitchAway(nullptr);
    } else {
      (void)RaiseException(t, profile_.exception_message, kExceptionInvalidOpcode, 0);
    }
  }
}

}  // namespace fake_l4
