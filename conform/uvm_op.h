// conform/uvm_op.h: the operations of a recording of the real UVM, as values.
//
// WHAT     One table says for each operation how its arguments and its result are written; the
//          parser and ToString both follow it, so that an operation prints as it stands in the
//          file. Nothing here knows what an operation does. Numbers are those of the recording
//          (NetBSD's protection bits, advice codes and flags), addresses are those of its spaces.
// SEE      uvm_recording.h; the recording's README.
#ifndef CONFORM_UVM_OP_H_
#define CONFORM_UVM_OP_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "conform/cursor.h"

namespace conform {

inline constexpr uint64_t kUvmPageBytes = 4096;

// In the order of the table in uvm_op.cc.
enum class UvmCall : uint8_t {
  kMap,
  kUnmap,
  kProtect,
  kInherit,
  kAdvice,
  kClean,
  kWire,
  kUnwire,
  kWireAll,
  kExtract,
  kMremap,
  kFork,
  kExit,
  kWrite,
  kRead,
  kObjCreate,
  kFileCreate,
  kObjDetach,
  kObjPut,
  kPressure,
  kInflight,
  kIoDone,
  kBallast,
  kSwapOn,
  kSwapOff,
  kSwapCtl,
  kIoErrRead,
  kIoErrWrite,
  kFileErr,
  kCheckProt,
  kFindSpace,
  kLoan,
  kLoanRead,
  kUnloan,
  kVoaddr,
  kSysMmap,
  kSysMunmap,
  kSysMprotect,
  kSysMinherit,
  kSysMadvise,
  kSysMlock,
  kSysMunlock,
  kSysMlockall,
  kSysMunlockall,
  kSysMsync,
  kSysMincore,
  kSysMremap,
};
inline constexpr int kUvmCalls = static_cast<int>(UvmCall::kSysMremap) + 1;

// `kind=` of map.
enum class UvmKind : uint8_t { kPriv, kPrivov, kShared, kObjsh, kObjpriv, kBare };

// Bits of `fl=` where it is letters: one for each letter of the alphabet.
constexpr uint64_t UvmFlag(char letter) { return uint64_t{1} << (letter - 'A'); }

// Protection bits.
inline constexpr uint64_t kUvmRead = 1, kUvmWrite = 2, kUvmExecute = 4;

// The arguments of an operation; which ones it has, and under which names, the table says.
struct UvmOp {
  UvmCall call = UvmCall::kExit;
  uint64_t space = 0;   // s
  uint64_t space2 = 0;  // dst; s2; new of a fork
  // A range; a single address (va, hint, addr, old) is `start`.
  uint64_t start = 0, end = 0;
  uint64_t bytes = 0;           // len, osz, of system calls; lim
  uint64_t pages = 0;           // n; of transfers or requests in ioerr and fileerr; rounds
  uint64_t target = 0;          // new of the remaps; B of voaddr
  uint64_t target_size = 0;     // nn in pages; nsz in bytes
  uint64_t kind = 0;            // UvmKind
  uint64_t has_object = 0;      // whether obj and off are there
  uint64_t object = 0;          // obj or id: of an object or of a loan
  uint64_t offset = 0;          // off, pos, in bytes; pg in pages
  uint64_t prot = 0, max = 0;   // kUvmRead ...
  uint64_t inherit = 0;         // one of the letters s c n z, or what else stood there; or a number
  uint64_t advice = 0;          // one of the letters n r s; or a number (adv, behav)
  uint64_t align = 0;           // bytes
  uint64_t flags = 0;           // fl: UvmFlag bits, or a number; setmax; to=: 1 where it is anon
  int64_t fd = 0;               // object id, or -1
  uint64_t value = 0;           // of a write
  uint64_t unit = 0, prio = 0;  // of swap devices
};

// How an operation ended.
struct UvmResult {
  // A result is missing where the recorded kernel did not come back.
  bool missing = false;
  int error = 0;                  // errno; of voaddr: of nothing
  bool none = false;              // findspace: NONE
  uint64_t value = 0;             // va, ret, val; 0 or 1; paging; of voaddr: equal
  uint64_t completed = 0;         // iodone
  bool ok1 = false, ok2 = false;  // voaddr
  std::string vec;                // mincore: a digit for each page
  bool operator==(const UvmResult&) const = default;
};

// NetBSD's errno values that occur.
inline constexpr int kEnoent = 2, kEio = 5, kEnxio = 6, kE2big = 7, kEbadf = 9, kEnomem = 12,
                     kEacces = 13, kEfault = 14, kEbusy = 16, kEexist = 17, kEnodev = 19,
                     kEinval = 22, kEfbig = 27, kEnospc = 28, kEagain = 35, kEoverflow = 84;
// `OK`, `ENOMEM` ...; a number where the table has no name.
std::string UvmErrorName(int error);
// Takes a name of the table; fails with `what` where there is none.
int TakeUvmError(Cursor& c, absl::string_view what);
// Takes three letters such as `rw-`.
uint64_t TakeUvmProt(Cursor& c);
std::string UvmProtName(uint64_t prot);

// Takes an operation from its name on, without its result.
UvmOp TakeUvmOp(Cursor& c);
// Takes ` -> ...`, or notes that the line ends before it.
UvmResult TakeUvmResult(Cursor& c, UvmCall call);

// As the recording writes it.
std::string ToString(const UvmOp& op);
std::string ToString(const UvmResult& result, UvmCall call);  // without the arrow

}  // namespace conform

#endif  // CONFORM_UVM_OP_H_
