#include "tools/import/linux_abi.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tools::linux_abi {
namespace {

struct Name {
  absl::string_view name;
  uint64_t value;
};

constexpr Name kProtNames[] = {
    {"PROT_NONE", 0},
    {"PROT_READ", 1},
    {"PROT_WRITE", 2},
    {"PROT_EXEC", 4},
    {"PROT_SEM", 8},
    {"PROT_GROWSDOWN", 0x01000000},
    {"PROT_GROWSUP", 0x02000000},
};

constexpr Name kMapNames[] = {
    {"MAP_SHARED_VALIDATE", 3},
    {"MAP_SHARED", 1},
    {"MAP_PRIVATE", 2},
    {"MAP_FILE", 0},
    {"MAP_FIXED", kMapFixed},
    {"MAP_ANONYMOUS", kMapAnonymous},
    {"MAP_ANON", kMapAnonymous},
    {"MAP_32BIT", 0x40},
    {"MAP_GROWSDOWN", 0x100},
    {"MAP_DENYWRITE", 0x800},
    {"MAP_EXECUTABLE", 0x1000},
    {"MAP_LOCKED", 0x2000},
    {"MAP_NORESERVE", 0x4000},
    {"MAP_POPULATE", 0x8000},
    {"MAP_NONBLOCK", 0x10000},
    {"MAP_STACK", 0x20000},
    {"MAP_HUGETLB", 0x40000},
    {"MAP_SYNC", 0x80000},
    {"MAP_FIXED_NOREPLACE", kMapFixedNoreplace},
};

constexpr Name kAdviceNames[] = {
    {"MADV_NORMAL", 0},           {"MADV_RANDOM", 1},          {"MADV_SEQUENTIAL", 2},
    {"MADV_WILLNEED", 3},         {"MADV_DONTNEED", 4},        {"MADV_FREE", 8},
    {"MADV_REMOVE", 9},           {"MADV_DONTFORK", 10},       {"MADV_DOFORK", 11},
    {"MADV_MERGEABLE", 12},       {"MADV_UNMERGEABLE", 13},    {"MADV_HUGEPAGE", 14},
    {"MADV_NOHUGEPAGE", 15},      {"MADV_DONTDUMP", 16},       {"MADV_DODUMP", 17},
    {"MADV_WIPEONFORK", 18},      {"MADV_KEEPONFORK", 19},     {"MADV_COLD", 20},
    {"MADV_PAGEOUT", 21},         {"MADV_POPULATE_READ", 22},  {"MADV_POPULATE_WRITE", 23},
    {"MADV_DONTNEED_LOCKED", 24}, {"MADV_COLLAPSE", 25},       {"MADV_HWPOISON", 100},
    {"MADV_SOFT_OFFLINE", 101},   {"MADV_GUARD_INSTALL", 102}, {"MADV_GUARD_REMOVE", 103},
};

constexpr Name kMremapNames[] = {
    {"MREMAP_MAYMOVE", kMremapMaymove},
    {"MREMAP_FIXED", kMremapFixed},
    {"MREMAP_DONTUNMAP", kMremapDontunmap},
};

constexpr Name kCloneNames[] = {
    {"CLONE_VM", kCloneVm},
    {"CLONE_FS", 0x200},
    {"CLONE_FILES", 0x400},
    {"CLONE_SIGHAND", 0x800},
    {"CLONE_PIDFD", 0x1000},
    {"CLONE_PTRACE", 0x2000},
    {"CLONE_VFORK", kCloneVfork},
    {"CLONE_PARENT", 0x8000},
    {"CLONE_THREAD", kCloneThread},
    {"CLONE_NEWNS", 0x20000},
    {"CLONE_SYSVSEM", 0x40000},
    {"CLONE_SETTLS", 0x80000},
    {"CLONE_PARENT_SETTID", 0x100000},
    {"CLONE_CHILD_CLEARTID", 0x200000},
    {"CLONE_DETACHED", 0x400000},
    {"CLONE_UNTRACED", 0x800000},
    {"CLONE_CHILD_SETTID", 0x1000000},
    {"CLONE_NEWCGROUP", 0x2000000},
    {"CLONE_NEWUTS", 0x4000000},
    {"CLONE_NEWIPC", 0x8000000},
    {"CLONE_NEWUSER", 0x10000000},
    {"CLONE_NEWPID", 0x20000000},
    {"CLONE_NEWNET", 0x40000000},
    {"CLONE_IO", 0x80000000},
    {"CLONE_CLEAR_SIGHAND", 0x100000000},
    {"CLONE_INTO_CGROUP", 0x200000000},
    {"SIGCHLD", 17},
};

constexpr Name kErrnoNames[] = {
    {"EPERM", 1},    {"ENOENT", kEnoent}, {"ESRCH", 3},        {"EINTR", 4},
    {"EIO", 5},      {"E2BIG", 7},        {"ENOEXEC", 8},      {"EBADF", 9},
    {"ECHILD", 10},  {"EAGAIN", 11},      {"ENOMEM", kEnomem}, {"EACCES", 13},
    {"EFAULT", 14},  {"EBUSY", 16},       {"EEXIST", 17},      {"ENODEV", 19},
    {"ENOTDIR", 20}, {"EISDIR", 21},      {"EINVAL", kEinval}, {"ETXTBSY", 26},
    {"EFBIG", 27},   {"ENOSYS", 38},      {"EOVERFLOW", 75},   {"EOPNOTSUPP", 95},
};

template <size_t kSize>
std::optional<uint64_t> Find(const Name (&table)[kSize], absl::string_view name) {
  for (const Name& entry : table) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  uint64_t value = 0;
  if (absl::ConsumePrefix(&text, "0x")) {
    if (!absl::SimpleHexAtoi(text, &value)) return std::nullopt;
    return value;
  }
  if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseFlag(absl::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text[0] >= '0' && text[0] <= '9') {
    // The size of a huge page; its exponent has no meaning here.
    if (absl::ConsumeSuffix(&text, "<<MAP_HUGE_SHIFT")) return uint64_t{0};
    return ParseNumber(text);
  }
  if (auto value = Find(kProtNames, text)) return value;
  if (auto value = Find(kMapNames, text)) return value;
  if (auto value = Find(kAdviceNames, text)) return value;
  if (auto value = Find(kMremapNames, text)) return value;
  return Find(kCloneNames, text);
}

}  // namespace

std::optional<uint64_t> ParseFlags(absl::string_view text) {
  // An unknown number is followed by a remark, as in "0x4d /* MADV_??? */".
  const size_t remark = text.find("/*");
  if (remark != absl::string_view::npos) text = text.substr(0, remark);
  if (text.empty()) return std::nullopt;
  uint64_t all = 0;
  for (absl::string_view part : absl::StrSplit(text, '|')) {
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    const std::optional<uint64_t> flag = ParseFlag(part);
    if (!flag) return std::nullopt;
    all |= *flag;
  }
  return all;
}

int ParseErrno(absl::string_view name) {
  const auto value = Find(kErrnoNames, name);
  return value ? static_cast<int>(*value) : kOtherError;
}

std::string ErrnoText(int error) {
  for (const Name& entry : kErrnoNames) {
    if (entry.value == static_cast<uint64_t>(error)) return std::string(entry.name);
  }
  return error == kOtherError ? "another error" : absl::StrCat("errno ", error);
}

std::string AdviceText(uint64_t advice) {
  for (const Name& entry : kAdviceNames) {
    if (entry.value == advice) return std::string(entry.name);
  }
  return absl::StrCat("advice ", advice);
}

std::vector<std::string> DroppedMapFlags(uint64_t flags) {
  std::vector<std::string> names;
  uint64_t rest = flags & ~(kMapTypeMask | kMapFixed | kMapAnonymous);
  for (const Name& entry : kMapNames) {
    if ((entry.value & kMapTypeMask) != 0 || (rest & entry.value) == 0) continue;
    names.emplace_back(entry.name);
    rest &= ~entry.value;
  }
  if (rest != 0) names.push_back("MAP_ flags without a name");
  return names;
}

}  // namespace tools::linux_abi
