// tools/import/linux_abi.h: the numbers of Linux on amd64 that recorded calls are made of.
//
// WHAT     strace prints names and valgrind prints numbers; both end as these numbers. They are
// part of the amd64 system
//          call interface and never change. Only what the import rules of docs/LINUX.md speak about
//          is here.

#ifndef TOOLS_IMPORT_LINUX_ABI_H_
#define TOOLS_IMPORT_LINUX_ABI_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tools::linux_abi {

inline constexpr uint64_t kProtRead = 1;
inline constexpr uint64_t kProtWrite = 2;
inline constexpr uint64_t kProtExec = 4;
inline constexpr uint64_t kProtRights = 7;

inline constexpr uint64_t kMapShared = 0x01;
inline constexpr uint64_t kMapPrivate = 0x02;
inline constexpr uint64_t kMapSharedValidate = 0x03;
inline constexpr uint64_t kMapTypeMask = 0x0f;
inline constexpr uint64_t kMapFixed = 0x10;
inline constexpr uint64_t kMapAnonymous = 0x20;
inline constexpr uint64_t kMapFixedNoreplace = 0x100000;

inline constexpr uint64_t kMremapMaymove = 1;
inline constexpr uint64_t kMremapFixed = 2;
inline constexpr uint64_t kMremapDontunmap = 4;

inline constexpr uint64_t kMadvNormal = 0;
inline constexpr uint64_t kMadvRandom = 1;
inline constexpr uint64_t kMadvSequential = 2;
inline constexpr uint64_t kMadvWillneed = 3;
inline constexpr uint64_t kMadvDontneed = 4;
inline constexpr uint64_t kMadvFree = 8;
inline constexpr uint64_t kMadvRemove = 9;
inline constexpr uint64_t kMadvDontfork = 10;
inline constexpr uint64_t kMadvDofork = 11;
inline constexpr uint64_t kMadvWipeonfork = 18;
inline constexpr uint64_t kMadvKeeponfork = 19;

inline constexpr uint64_t kCloneVm = 0x100;
inline constexpr uint64_t kCloneVfork = 0x4000;
inline constexpr uint64_t kCloneThread = 0x10000;

inline constexpr int kEnoent = 2;
inline constexpr int kEnomem = 12;
inline constexpr int kEinval = 22;
// A failure whose name is none of those in the table; only its being a failure matters.
inline constexpr int kOtherError = 4095;

// Numbers of "PROT_READ|PROT_WRITE", "MAP_PRIVATE|0x4000", "MADV_DONTNEED", "21<<MAP_HUGE_SHIFT"
// ...; nullopt when a name is unknown or a number is malformed.
std::optional<uint64_t> ParseFlags(absl::string_view text);

// errno of "ENOMEM"; kOtherError for a name that the table does not have.
int ParseErrno(absl::string_view name);
// "ENOMEM", or "errno 123".
std::string ErrnoText(int error);

// "MADV_HUGEPAGE", or "advice 77".
std::string AdviceText(uint64_t advice);

// Names of the mmap flags in `flags` beyond type, fixed and anonymous, for counting what is
// dropped.
std::vector<std::string> DroppedMapFlags(uint64_t flags);

}  // namespace tools::linux_abi

#endif  // TOOLS_IMPORT_LINUX_ABI_H_
