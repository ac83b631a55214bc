// The programs written against the manual alone, run as root task: their transcript.
#include "fake_l4/manual_program.h"

#include <functional>
#include <string>
#include <string_view>

#include "base/addr.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

// Static, as the stack of a simulated thread may be abandoned.
std::string transcript;
Kernel* machine;

std::string RunAsRoot(void (*program)(const char*), const Profile& profile) {
  Kernel kernel({.ram_bytes = uint64_t{4} << 20, .profile = profile});
  machine = &kernel;
  transcript.clear();
  kernel.RegisterEntry(Kernel::kRootEntry, [program] { program(""); });
  if (kernel.RunUntilIdle({.max_switches = 100000}) != StopReason::kIdle) transcript += "stuck\n";
  if (!transcript.ends_with("-- end\n")) transcript += kernel.DescribeWaits();
  return transcript;
}

constexpr std::string_view kTranscript = R"(-- kip
kip is the same again 1
magic 1
version X.2 1
word size 1
kernel id 1
date 1
kernel version 1
conventional memory 1
no descriptor beyond 1
pages of 4 KiB 1
write can be withheld 1
id ranges 1
utcb 1
precisions 1
I am privileged root 1
-- memory
the same page again 1
memory that is not there is refused 1
read back 4711
rights 5
-- threads
sum 321
label 78
empty call 1
handle 99
pager 1
pager 1
my handle 5
my exception handler 1
transfer timeouts 8
was delaying 0
was delaying 1
was signalling 0
was signalling 1
send to nobody failed 1
error 4
-- local-ids
local 1
back to global 1
same thread 1
Lcall 1
sum 42
-- registers
was receiving 1
was halted or sending 0
cancelled, error 7
-- time
receive timed out 1
error 3
2 ms passed 1
error 3
slept until then 1
zero is shorter 1
never is longer 1
sums 1
-- tasks
page fault at 400000, write 1
label 1
hello
was written 1
was written since 0
page fault at 400000, write 0
label 2
child still reads it 1
label 4
child reads it in its window 1
both were referenced 1
second was written by the child 0
child has no privilege, error 1
-- grant
child has it 1
I can no longer see how it is used 0
-- strings
page fault at 400000, write 1
substrings 2
compound 1
sent 1
typed words 6
a string came 1
comes in two
in parts
label 2
-- propagation
propagated 1
in the other's name 1
really by me 1
-- scheduling
waits 6
priority 1
processor 1
delay 1
slice 1
nobody 0
error 2
-- interrupts
associated 1
none came 1
it came 1
words 0
masked 1
came after the acknowledgement 1
came after the acknowledgement 0
tick 1
tick 1
tick 1
no further 1
detached 1
nobody is told 1
-- exceptions
an exception 1
number 6
within the function 1
attempts 1
an exception 1
number 6
within the function 1
attempts 2
went on elsewhere 1
without a handler it is halted 1
-- controls
attributes 1
frequencies 1
-- end
)";

TEST(ManualProgramTest, InC) { EXPECT_EQ(RunAsRoot(ManualProgramInC, kAmd64Nx), kTranscript); }

TEST(ManualProgramTest, InCxx) { EXPECT_EQ(RunAsRoot(ManualProgramInCxx, kAmd64Nx), kTranscript); }

TEST(ManualProgramTest, OnOtherHardware) {
  EXPECT_EQ(RunAsRoot(ManualProgramInC, kIa32), kTranscript);
}

}  // namespace
}  // namespace fake_l4

// ---- The board ----

using fake_l4::machine;

void BoardPrint(const char* line) { fake_l4::transcript.append(line).append("\n"); }

// Functions get addresses in the order in which they are first asked for.
unsigned long BoardEntry(void (*function)(void)) {
  static constexpr unsigned long kFirst = 0x300000;
  static void (*functions[64])(void);
  unsigned long i = 0;
  while (functions[i] != nullptr && functions[i] != function) i++;
  functions[i] = function;
  machine->RegisterEntry(kFirst + i * 64, [function] { function(); });
  return kFirst + i * 64;
}

void BoardStore(unsigned long address, const void* from, unsigned long size) {
  if (machine->cpu().Store(base::Vaddr(address), from, size) != fake_l4::AccessStatus::kOk) {
    BoardPrint("store went elsewhere");
  }
}

void BoardLoad(unsigned long address, void* to, unsigned long size) {
  if (machine->cpu().Load(base::Vaddr(address), to, size) != fake_l4::AccessStatus::kOk) {
    BoardPrint("load went elsewhere");
  }
}

void BoardInterrupt(unsigned number) { machine->RaiseInterrupt(number); }

void BoardTimer(unsigned number, unsigned long period, unsigned long ticks) {
  if (!machine->StartInterruptSource(number, uint64_t{period} * 1000, ticks)) {
    BoardPrint("no such interrupt");
  }
}

// Emulating it is nobody's business here: the processor never learns the instruction.
void BoardIllegalInstruction(int* attempts) {
  do {
    ++*attempts;
  } while (machine->cpu().RaiseException(fake_l4::kExceptionInvalidOpcode) ==
           fake_l4::AccessStatus::kOk);
}
