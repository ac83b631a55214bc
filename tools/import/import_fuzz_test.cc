// Both parsers on damaged samples. Whatever comes in, the answer is a trace that formats and parses
// back, or an error that names the file; never a crash or a hang. Deterministic: fixed seed, fixed
// number of rounds.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "tools/import/import.h"
#include "tools/import/samples.h"
#include "traces/codec.h"

namespace tools {
namespace {

constexpr char kStrace[] =
    "1 execve(\"/nonexistent/a\", [\"a\"], 0x7ff /* 3 vars */) = 0\n"
    "1 brk(NULL) = 0x50000\n"
    "1 brk(0x52000) = 0x52000\n"
    "1 mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000\n"
    "1 mmap(NULL, 49255, PROT_READ, MAP_SHARED, 3</etc/ld.so.cache>, 0x1000) = 0x60000\n"
    "1 mremap(0x10000, 16384, 32768, MREMAP_MAYMOVE) = 0x40000\n"
    "1 mprotect(0x40000, 8192, PROT_READ) = -1 ENOMEM (Cannot allocate memory)\n"
    "1 madvise(0x40000, 4096, MADV_DONTNEED) = 0\n"
    "1 madvise(0x40000, 8192, MADV_WIPEONFORK) = 0\n"
    "1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>\n"
    "2 munmap(0x40000, 4096) = 0\n"
    "1 <... clone resumed>, child_tidptr=0x1) = 2\n"
    "1 vfork() = 3\n"
    "3 execve(\"/nonexistent/b\", [\"b\"], 0x7ff /* 3 vars */) = 0\n"
    "2 exit_group(0) = ?\n"
    "2 +++ exited with 0 +++\n"
    "1 +++ killed by SIGSEGV (core dumped) +++\n";

constexpr char kLackey[] =
    "==7== Lackey, an example Valgrind tool\n"
    "==7== Command: /nonexistent/prog\n"
    "I  0401ab70,3\n"
    " S 1fff000708,8\n"
    "SYSCALL[7,1](12) sys_brk ( 0x0 ) --> [pre-success] Success(0x4035000) \n"
    "SYSCALL[7,1](9) sys_mmap ( 0x0, 8192, 3, 34, 4294967295, 0 ) --> [pre-success] "
    "Success(0x4835000) \n"
    " M 04835ffc,8\n"
    "SYSCALL[7,1](257) sys_openat ( 4294967196, 0x4034bb0(/a/b.so), 524288 ) --> [async] ... \n"
    "SYSCALL[7,1](257) ... [async] --> Success(0x4) \n"
    "SYSCALL[7,1](9) sys_mmap ( 0x0, 8192, 5, 2050, 4, 4096 ) --> [pre-success] Success(0x20000) \n"
    "SYSCALL[7,1](56) sys_clone ( 1200011, 0x0, 0x0, 0x4, 0x0 )   clone(fork): process 7 created "
    "child 8\n"
    " --> [pre-success] Success(0x8) \n"
    "SYSCALL[7,1](59) sys_execve ( 0x40(/usr/bin/seq), 0x12, 0x40 )==7== Lackey, an example "
    "Valgrind tool\n"
    "==7== Command: /nonexistent/seq\n"
    "SYSCALL[7,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) \n";

// One or two small damages: a byte changed, a piece cut out, doubled or moved, the end cut off, a
// number made huge.
std::string Damaged(std::string text, base::Prng* prng) {
  const uint64_t times = 1 + prng->Below(2);
  for (uint64_t i = 0; i < times && !text.empty(); ++i) {
    const size_t at = prng->Below(text.size());
    const size_t length = std::min<size_t>(1 + prng->Below(40), text.size() - at);
    switch (prng->Below(6)) {
      case 0:
        text[at] = static_cast<char>(prng->Below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3: {
        const std::string piece = text.substr(at, length);
        text.erase(at, length);
        text.insert(text.empty() ? 0 : prng->Below(text.size()), piece);
        break;
      }
      case 4:
        text.resize(at);
        break;
      case 5:
        text.replace(at, length, "0xffffffffffffffff");
        break;
    }
  }
  return text;
}

struct Tally {
  int good = 0;
  int bad = 0;
};

void Check(const absl::StatusOr<traces::Trace>& trace, const std::string& path,
           const std::string& text, Tally* tally) {
  if (!trace.ok()) {
    ++tally->bad;
    ASSERT_TRUE(absl::StrContains(trace.status().message(), path)) << trace.status() << "\n"
                                                                   << text;
    return;
  }
  ++tally->good;
  const auto back = traces::ParseTrace(traces::FormatTrace(*trace), "back");
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << text;
}

TEST(ImportFuzzTest, DamagedStraceLogs) {
  Tally tally;
  for (uint64_t round = 0; round < 1500 && !HasFatalFailure(); ++round) {
    base::Prng prng(4711, "strace", round);
    const std::string text = Damaged(kStrace, &prng);
    const std::string path = WriteSample("fuzz_strace.log", text);
    ImportReport report;
    Check(ImportStrace(path, {}, &report), path, text, &tally);
  }
  // Both answers must occur, else the damage is too small or too great to test anything.
  EXPECT_GT(tally.good, 100);
  EXPECT_GT(tally.bad, 300);
}

TEST(ImportFuzzTest, DamagedLackeyLogs) {
  Tally tally;
  for (uint64_t round = 0; round < 1500 && !HasFatalFailure(); ++round) {
    base::Prng prng(4711, "lackey", round);
    const std::string text = Damaged(kLackey, &prng);
    const std::string path = WriteSample("fuzz_lackey.log", text);
    ImportReport report;
    Check(ImportLackey({path}, {}, &report), path, text, &tally);
  }
  EXPECT_GT(tally.good, 100);
  EXPECT_GT(tally.bad, 300);
}

}  // namespace
}  // namespace tools
