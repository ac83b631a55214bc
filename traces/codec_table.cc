#include "traces/codec_table.h"

#include "base/errors.h"
#include "base/fault_site.h"
#include "base/prot.h"
#include "traces/codec.h"

namespace traces {
namespace {

using enum Operand;

constexpr Word kSharingWords[] = {{"private", kFlagPrivate}, {"shared", kFlagShared}};
constexpr Word kPlacingWords[] = {{"fixed", kFlagFixed}, {"tryfixed", kFlagTryFixed}};
constexpr Word kMremapWords[] = {{"none", 0}, {"fixed", kFlagFixed}};
constexpr Word kDuplicateWords[] = {{"dup", kFlagDuplicate}};
constexpr Word kMlockallWords[] = {{"none", 0},
                                   {"current", kFlagCurrent},
                                   {"future", kFlagFuture},
                                   {"both", kFlagCurrent | kFlagFuture}};
constexpr Word kMsyncWords[] = {{"none", 0}, {"async", kFlagAsync}, {"sync", kFlagSync}};
constexpr Word kInvalidateWords[] = {{"invalidate", kFlagInvalidate}};
constexpr Word kSealingWords[] = {{"none", 0}, {"sealable", kFlagSealable}};
constexpr Word kAttachWords[] = {{"none", 0}, {"rdonly", kFlagReadOnly}};
constexpr Word kRoundWords[] = {{"round", kFlagRound}};
constexpr Word kAllocateWords[] = {{"anywhere", kFlagAnywhere}, {"fixed", kFlagFixed}};
constexpr Word kProtectWords[] = {{"current", 0}, {"maximum", kFlagSetMax}};
constexpr Word kCreateWords[] = {{"0", 0}, {"1", kFlagInherit}};
constexpr Word kHostWords[] = {{"plain", 0}, {"priv", kFlagPrivileged}};
constexpr Word kTransferWords[] = {{"cached", 0}, {"direct", kFlagDirect}};
constexpr Word kSourceWords[] = {{"observed", kFlagObserved}, {"inferred", kFlagInferred}};

// clang-format off: a table.
constexpr std::array<KindRow, kOpKindCount> kRows = {{
    {OpKind::kSpace,
     "space",
     Subject::kChild,
     {kMax},
     Success::kOk,
     {},
     {},
     "BSD: a task with an empty map; MAX is the first address beyond it"},
    {OpKind::kTask, "task", Subject::kChild, {kMax}, Success::kOk, {}, {}, "Mach: the same"},
    {OpKind::kTask32,
     "task32",
     Subject::kChild,
     {kMax},
     Success::kOk,
     {},
     {},
     "Mach: the same with 32-bit addresses; the map begins at 0"},
    {OpKind::kFork,
     "fork",
     Subject::kTaskAndChild,
     {},
     Success::kOk,
     {},
     {},
     "BSD: a child with a map by inheritance"},
    {OpKind::kTaskCreate,
     "task_create",
     Subject::kTaskAndChild,
     {kFlags, kTarget},
     Success::kOk,
     kCreateWords,
     {},
     "Mach: a child with an empty map (0) or one by inheritance (1)"},
    {OpKind::kExec,
     "exec",
     Subject::kTask,
     {},
     Success::kOk,
     {},
     {},
     "the map is emptied and the heap forgotten, the task stays"},
    {OpKind::kExit, "exit", Subject::kTask, {}, Success::kOk, {}, {}, "BSD: the task ends"},
    {OpKind::kTaskTerminate,
     "task_terminate",
     Subject::kTask,
     {kTarget},
     Success::kOk,
     {},
     {},
     "Mach: the task ends"},
    {OpKind::kExecMap,
     "exec_map",
     Subject::kTask,
     {kAt, kSize, kProt, kFlags, kFile},
     Success::kAddress,
     kSourceWords,
     {},
     "what execve mapped, privately: observed in the process, or inferred"},
    {OpKind::kExecBrk,
     "exec_brk",
     Subject::kTask,
     {kAt},
     Success::kOk,
     {},
     {},
     "where the heap starts"},
    {OpKind::kMmap,
     "mmap",
     Subject::kTask,
     {kAt, kSize, kProt, kFlags, kSource},
     Success::kAddress,
     kSharingWords,
     kPlacingWords,
     "BSD: maps zeros, or what has the name from OFFSET on"},
    {OpKind::kMunmap, "munmap", Subject::kTask, {kAt, kSize}, Success::kOk, {}, {}, "BSD"},
    {OpKind::kMprotect,
     "mprotect",
     Subject::kTask,
     {kAt, kSize, kProt},
     Success::kOk,
     {},
     {},
     "BSD"},
    {OpKind::kMinherit,
     "minherit",
     Subject::kTask,
     {kAt, kSize, kInherit},
     Success::kOk,
     {},
     {},
     "BSD"},
    {OpKind::kMadvise,
     "madvise",
     Subject::kTask,
     {kAt, kSize, kAdvice},
     Success::kOk,
     {},
     {},
     "BSD"},
    {OpKind::kMremap,
     "mremap",
     Subject::kTask,
     {kAt, kSize, kTo, kNewSize, kFlags},
     Success::kAddress,
     kMremapWords,
     kDuplicateWords,
     "BSD: ADDR SIZE becomes NEW_SIZE bytes, at TO if fixed"},
    {OpKind::kBrk,
     "brk",
     Subject::kTask,
     {kAt},
     Success::kOk,
     {},
     {},
     "the heap shall end at ADDR"},
    {OpKind::kLinuxDontneed,
     "linux_dontneed",
     Subject::kTask,
     {kAt, kSize},
     Success::kOk,
     {},
     {},
     "Linux: the contents of private pages are discarded"},
    {OpKind::kMlock,
     "mlock",
     Subject::kTask,
     {kAt, kSize},
     Success::kOk,
     {},
     {},
     "BSD: pages stay in memory"},
    {OpKind::kMunlock,
     "munlock",
     Subject::kTask,
     {kAt, kSize},
     Success::kOk,
     {},
     {},
     "BSD: they need not"},
    {OpKind::kMlockall,
     "mlockall",
     Subject::kTask,
     {kFlags},
     Success::kOk,
     kMlockallWords,
     {},
     "BSD: everything mapped now, in future, or both"},
    {OpKind::kMunlockall, "munlockall", Subject::kTask, {}, Success::kOk, {}, {}, "BSD"},
    {OpKind::kMincore,
     "mincore",
     Subject::kTask,
     {kAt, kSize},
     Success::kCount,
     {},
     {},
     "BSD: how many pages are in memory"},
    {OpKind::kMsync,
     "msync",
     Subject::kTask,
     {kAt, kSize, kFlags},
     Success::kOk,
     kMsyncWords,
     kInvalidateWords,
     "BSD: writes back what was stored to files"},
    {OpKind::kMemfd,
     "memfd",
     Subject::kTask,
     {kName, kSize, kFlags},
     Success::kOk,
     kSealingWords,
     {},
     "BSD: a file in memory, of zeros, under a name that is free"},
    {OpKind::kMemfdTruncate,
     "memfd_truncate",
     Subject::kTask,
     {kName, kSize},
     Success::kOk,
     {},
     {},
     "BSD: ftruncate of a memory file"},
    {OpKind::kMemfdSeal,
     "memfd_seal",
     Subject::kTask,
     {kName, kMask},
     Success::kOk,
     {},
     {},
     "BSD: more seals: 1 seals, 2 shrinking, 4 growing, 8 writing, 16 writable mappings to come"},
    {OpKind::kMemfdClose,
     "memfd_close",
     Subject::kTask,
     {kName},
     Success::kOk,
     {},
     {},
     "BSD: the name is free; what is mapped stays"},
    {OpKind::kShmget,
     "shmget",
     Subject::kTask,
     {kName, kSize},
     Success::kOk,
     {},
     {},
     "BSD: a System V segment, which may be there"},
    {OpKind::kShmat,
     "shmat",
     Subject::kTask,
     {kName, kAt, kFlags},
     Success::kAddress,
     kAttachWords,
     kRoundWords,
     "BSD: maps all of a segment, at ADDR unless that is 0"},
    {OpKind::kShmdt,
     "shmdt",
     Subject::kTask,
     {kAt},
     Success::kOk,
     {},
     {},
     "BSD: the newest attachment at ADDR goes, with what is in its range"},
    {OpKind::kShmRemove,
     "shm_remove",
     Subject::kTask,
     {kName},
     Success::kOk,
     {},
     {},
     "BSD: the name is free; the segment goes with its last attachment"},
    {OpKind::kShmLock,
     "shm_lock",
     Subject::kTask,
     {kName},
     Success::kOk,
     {},
     {},
     "BSD: a segment's pages stay in memory"},
    {OpKind::kShmUnlock,
     "shm_unlock",
     Subject::kTask,
     {kName},
     Success::kOk,
     {},
     {},
     "BSD: they need not"},
    {OpKind::kVmAllocate,
     "vm_allocate",
     Subject::kTask,
     {kAt, kSize, kFlags, kTarget},
     Success::kAddress,
     kAllocateWords,
     {},
     "Mach: maps zeros"},
    {OpKind::kVmDeallocate,
     "vm_deallocate",
     Subject::kTask,
     {kAt, kSize, kTarget},
     Success::kOk,
     {},
     {},
     "Mach"},
    {OpKind::kVmProtect,
     "vm_protect",
     Subject::kTask,
     {kAt, kSize, kFlags, kProt, kTarget},
     Success::kOk,
     kProtectWords,
     {},
     "Mach: sets the current protection, or lowers the maximum"},
    {OpKind::kVmInherit,
     "vm_inherit",
     Subject::kTask,
     {kAt, kSize, kInherit, kTarget},
     Success::kOk,
     {},
     {},
     "Mach"},
    {OpKind::kVmRegion,
     "vm_region",
     Subject::kTask,
     {kAt, kTarget},
     Success::kRegion,
     {},
     {},
     "Mach: the region at or above ADDR"},
    {OpKind::kVmMap,
     "vm_map",
     Subject::kTask,
     {kAt, kSize, kMask, kFlags, kProt, kMaxProt, kInherit, kTarget},
     Success::kAddress,
     kAllocateWords,
     {},
     "Mach: maps zeros; the address has no bit of MASK"},
    {OpKind::kVmCopy,
     "vm_copy",
     Subject::kTask,
     {kAt, kSize, kTo, kTarget},
     Success::kOk,
     {},
     {},
     "Mach: TO gets a snapshot of what is at ADDR"},
    {OpKind::kVmRead,
     "vm_read",
     Subject::kTask,
     {kAt, kSize, kTarget},
     Success::kAddress,
     {},
     {},
     "Mach: a snapshot appears somewhere in the caller's space"},
    {OpKind::kVmWrite,
     "vm_write",
     Subject::kTask,
     {kAt, kSize, kTo, kTarget},
     Success::kOk,
     {},
     {},
     "Mach: ADDR gets a snapshot of what is at TO in the caller's space"},
    {OpKind::kVmWire,
     "vm_wire",
     Subject::kTask,
     {kAt, kSize, kProt, kFlags, kTarget},
     Success::kOk,
     kHostWords,
     {},
     "Mach: wires pages that have the rights PROT, or unwires (none)"},
    {OpKind::kRead,
     "read",
     Subject::kTask,
     {kAt, kAccessSize},
     Success::kReadValue,
     {},
     {},
     "a load"},
    {OpKind::kWrite,
     "write",
     Subject::kTask,
     {kAt, kAccessSize, kValue},
     Success::kOk,
     {},
     {},
     "a store; which bytes: base/pattern.h"},
    {OpKind::kFetch, "fetch", Subject::kTask, {kAt}, Success::kOk, {}, {}, "an instruction fetch"},
    {OpKind::kPread,
     "pread",
     Subject::kTask,
     {kAt, kSize, kFlags, kFile},
     Success::kCount,
     kTransferWords,
     {},
     "BSD: ADDR gets what the file has from OFFSET on"},
    {OpKind::kPwrite,
     "pwrite",
     Subject::kTask,
     {kAt, kSize, kFlags, kFile},
     Success::kCount,
     kTransferWords,
     {},
     "BSD: the file gets what is at ADDR"},
    {OpKind::kFtruncate,
     "ftruncate",
     Subject::kTask,
     {kFile},
     Success::kOk,
     {},
     {},
     "BSD: the file ends at OFFSET"},
    {OpKind::kPeek,
     "peek",
     Subject::kTask,
     {kAt, kSize, kTo, kTarget},
     Success::kCount,
     {},
     {},
     "a debugger's read: TO in the caller's space gets what is at ADDR"},
    {OpKind::kPoke,
     "poke",
     Subject::kTask,
     {kAt, kSize, kTo, kTarget},
     Success::kCount,
     {},
     {},
     "a debugger's write: ADDR gets what is at TO in the caller's space"},
    {OpKind::kSend,
     "send",
     Subject::kTask,
     {kAt, kSize},
     Success::kCount,
     {},
     {},
     "a message is left, made of pages that are lent"},
    {OpKind::kReceive,
     "receive",
     Subject::kTask,
     {kAt, kSize},
     Success::kCount,
     {},
     {},
     "ADDR gets what the oldest message holds"},
    {OpKind::kSendFile,
     "send_file",
     Subject::kTask,
     {kSize, kFile},
     Success::kCount,
     {},
     {},
     "the same, made of pages of a file"},
    {OpKind::kSwapOn,
     "swapon",
     Subject::kTask,
     {kDevice, kPriority},
     Success::kOk,
     {},
     {},
     "BSD: pages may be swapped to the device; lower priorities are used first"},
    {OpKind::kSwapOff,
     "swapoff",
     Subject::kTask,
     {kDevice},
     Success::kOk,
     {},
     {},
     "BSD: what is on the device comes back to memory, and no more goes there"},
    {OpKind::kSwapCtl,
     "swapctl",
     Subject::kTask,
     {kDevice, kPriority},
     Success::kOk,
     {},
     {},
     "BSD: another priority"},
    {OpKind::kSwapStats,
     "swapstats",
     Subject::kTask,
     {},
     Success::kCount,
     {},
     {},
     "BSD: how many swap devices are on"},
    {OpKind::kInject,
     "inject",
     Subject::kNobody,
     {kSite, kSkip},
     Success::kOk,
     {},
     {},
     "while the next operation runs, kernel or swap device fails at visit number K + 1 of SITE"},
}};
// clang-format on

constexpr bool RowsStandAtTheirKind() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].kind) != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirKind());

constexpr Word kBackingWords[] = {{"file", static_cast<uint32_t>(Backing::kFile)},
                                  {"memfd", static_cast<uint32_t>(Backing::kMemfd)},
                                  {"device", static_cast<uint32_t>(Backing::kDevice)}};

constexpr Word InheritWord(base::Inherit inherit) {
  return {base::InheritName(inherit), static_cast<uint32_t>(inherit)};
}
constexpr Word kInheritWords[] = {
    InheritWord(base::Inherit::kShare), InheritWord(base::Inherit::kCopy),
    InheritWord(base::Inherit::kNone), InheritWord(base::Inherit::kDonateCopy),
    InheritWord(base::Inherit::kZero)};

constexpr Word AdviceWord(base::Advice advice) {
  return {base::AdviceName(advice), static_cast<uint32_t>(advice)};
}
constexpr Word kAdviceWords[] = {
    AdviceWord(base::Advice::kNormal),     AdviceWord(base::Advice::kRandom),
    AdviceWord(base::Advice::kSequential), AdviceWord(base::Advice::kWillNeed),
    AdviceWord(base::Advice::kDontNeed),   AdviceWord(base::Advice::kSpaceAvail),
    AdviceWord(base::Advice::kFree)};

constexpr Word SiteWord(base::FaultSite site) {
  return {base::FaultSiteName(site), static_cast<uint32_t>(site)};
}
constexpr std::array<Word, base::kFaultSiteCount> MakeSiteWords() {
  std::array<Word, base::kFaultSiteCount> words{};
  for (size_t i = 0; i < words.size(); ++i) words[i] = SiteWord(static_cast<base::FaultSite>(i));
  return words;
}
constexpr std::array<Word, base::kFaultSiteCount> kSiteWords = MakeSiteWords();

constexpr base::Errno kErrnos[] = {
    base::Errno::kEperm,   base::Errno::kEnoent, base::Errno::kEio,       base::Errno::kEnxio,
    base::Errno::kE2big,
    base::Errno::kEbadf,   base::Errno::kEnomem, base::Errno::kEacces,    base::Errno::kEfault,
    base::Errno::kEbusy,   base::Errno::kEexist, base::Errno::kEnodev,    base::Errno::kEinval,
    base::Errno::kEfbig,   base::Errno::kEagain, base::Errno::kEoverflow, base::Errno::kEsrch,
    base::Errno::kEmsgsize};
constexpr base::KernReturn kKernReturns[] = {
    base::KernReturn::kInvalidAddress,   base::KernReturn::kProtectionFailure,
    base::KernReturn::kNoSpace,          base::KernReturn::kInvalidArgument,
    base::KernReturn::kFailure,          base::KernReturn::kResourceShortage,
    base::KernReturn::kNoAccess,         base::KernReturn::kMemoryFailure,
    base::KernReturn::kMemoryError,      base::KernReturn::kInvalidTask,
    base::KernReturn::kInvalidHost,      base::KernReturn::kSendInvalidDest,
    base::KernReturn::kSendInvalidMemory};
constexpr base::FaultCode kFaultCodes[] = {base::FaultCode::kSegvMapErr,
                                           base::FaultCode::kSegvAccErr,
                                           base::FaultCode::kBus,
                                           base::FaultCode::kKill,
                                           base::FaultCode::kMachInvalidAddress,
                                           base::FaultCode::kMachProtection,
                                           base::FaultCode::kMachMemoryError,
                                           base::FaultCode::kMachShortage};

// The names stand in base/errors.cc, so that they are stated once.
template <typename Code, size_t n>
std::array<Word, n> Named(const Code (&codes)[n], const char* (*name)(Code)) {
  std::array<Word, n> words;
  for (size_t i = 0; i < n; ++i) words[i] = {name(codes[i]), static_cast<uint32_t>(codes[i])};
  return words;
}

}  // namespace

const std::array<KindRow, kOpKindCount>& KindRows() { return kRows; }
absl::Span<const Word> BackingWords() { return kBackingWords; }
absl::Span<const Word> InheritWords() { return kInheritWords; }
absl::Span<const Word> AdviceWords() { return kAdviceWords; }
absl::Span<const Word> SiteWords() { return kSiteWords; }

absl::Span<const Word> ErrorWords(Outcome::Family family) {
  static const auto errnos = Named(kErrnos, base::ErrnoName);
  static const auto kern_returns = Named(kKernReturns, base::KernReturnName);
  static const auto fault_codes = Named(kFaultCodes, base::FaultCodeName);
  switch (family) {
    case Outcome::Family::kNone:
      return {};
    case Outcome::Family::kErrno:
      return errnos;
    case Outcome::Family::kKern:
      return kern_returns;
    case Outcome::Family::kFault:
      return fault_codes;
  }
  return {};
}

absl::string_view FamilyWord(Outcome::Family family) {
  switch (family) {
    case Outcome::Family::kNone:
      return "none";
    case Outcome::Family::kErrno:
      return "errno";
    case Outcome::Family::kKern:
      return "kern";
    case Outcome::Family::kFault:
      return "fault";
  }
  return "none";
}

}  // namespace traces
