// What strace prints, construct by construct, and what becomes of it.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tools/import/import.h"
#include "tools/import/samples.h"
#include "traces/codec.h"

namespace tools {
namespace {

std::string Import(absl::string_view log, ImportReport* report = nullptr) {
  ImportReport mine;
  return FromStrace(log, report == nullptr ? &mine : report);
}

// The operations of one process that begins with an empty map, without its birth.
std::string Body(absl::string_view calls, ImportReport* report = nullptr) {
  const std::string text = Import(calls, report);
  const std::string birth = "s1 = space -> ok\n";
  return text.rfind(birth, 0) == 0 ? text.substr(birth.size()) : text;
}

constexpr absl::string_view kMap16k =
    "1 mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000\n";
constexpr absl::string_view kMap16kOp = "s1.mmap 0x10000 0x4000 rw- private,fixed -> 0x10000\n";

TEST(StraceImportTest, MmapOfFilesAndFlags) {
  ImportReport report;
  EXPECT_EQ(Body("7 mmap(NULL, 49255, PROT_READ, MAP_PRIVATE, 3</etc/ld.so.cache>, 0) = 0x10000\n"
                 "7 mmap(0x20000, 8192, PROT_READ|PROT_EXEC, MAP_SHARED|MAP_FIXED|MAP_NORESERVE, "
                 "3</lib/x>, 0x3000) = 0x20000\n"
                 "7 mmap(NULL, 4096, PROT_NONE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x30000\n",
                 &report),
            "s1.mmap 0x10000 0xc067 r-- private,fixed file ld.so.cache 0x0 -> 0x10000\n"
            "s1.mmap 0x20000 0x2000 r-x shared,fixed file x 0x3000 -> 0x20000\n"
            "s1.mmap 0x30000 0x1000 --- shared,fixed -> 0x30000\n");
  EXPECT_EQ(report.altered["mmap: MAP_NORESERVE dropped"], 1u);
  EXPECT_EQ(report.expressed["mmap"], 3u);
}

TEST(StraceImportTest, TwoFilesOfOneBaseNameStayTwo) {
  EXPECT_EQ(Body("7 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</a/f>, 0) = 0x10000\n"
                 "7 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</b/f>, 0) = 0x20000\n"
                 "7 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</a/f>, 0) = 0x30000\n"),
            "s1.mmap 0x10000 0x1000 r-- shared,fixed file f 0x0 -> 0x10000\n"
            "s1.mmap 0x20000 0x1000 r-- shared,fixed file f-2 0x0 -> 0x20000\n"
            "s1.mmap 0x30000 0x1000 r-- shared,fixed file f 0x0 -> 0x30000\n");
}

TEST(StraceImportTest, DescriptorsAreFollowedWhereTheyAreNotDecoded) {
  ImportReport report;
  EXPECT_EQ(Body("openat(AT_FDCWD, \"/etc/a, (b)\", O_RDONLY) = 3\n"
                 "dup(3) = 5\n"
                 "close(3) = 0\n"
                 "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 5, 0) = 0x10000\n"
                 "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x20000\n",
                 &report),
            "s1.mmap 0x10000 0x1000 r-- private,fixed file a___b_ 0x0 -> 0x10000\n"
            "s1.mmap 0x20000 0x1000 r-- private,fixed file fd3 0x0 -> 0x20000\n");
  EXPECT_EQ(report.ignored_calls, 3u);
}

TEST(StraceImportTest, FailedCallsOfAnotherMeaningAreCounted) {
  ImportReport report;
  EXPECT_EQ(Body("mmap(NULL, 0, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 EINVAL (Invalid "
                 "argument)\n"
                 "munmap(0x10001, 4096) = -1 EINVAL (Invalid argument)\n"
                 "munmap(0x7ffffffff000, 8192) = -1 EINVAL (Invalid argument)\n"
                 "munmap(0x10000, 18446744073709551615) = -1 EINVAL (Invalid argument)\n"
                 "mlock(0x10000, 4096) = 0\n"
                 "madvise(0x10000, 4096, MADV_HUGEPAGE) = 0\n"
                 "madvise(0x10000, 4096, 0x4d /* MADV_??? */) = -1 EINVAL (Invalid argument)\n",
                 &report),
            "s1.munmap 0x7ffffffff000 0x2000 -> EINVAL\n");
  EXPECT_EQ(report.not_expressed, (ImportReport::Counts{{"mmap: failed with EINVAL", 1},
                                                        {"munmap: failed with EINVAL", 2},
                                                        {"mlock: no operation", 1},
                                                        {"madvise(MADV_HUGEPAGE): no operation", 1},
                                                        {"madvise(advice 77): no operation", 1}}));
}

TEST(StraceImportTest, MprotectThatMeetsAHoleBecomesThePartBeforeIt) {
  ImportReport report;
  EXPECT_EQ(Body(absl::StrCat(
                     kMap16k, "1 munmap(0x12000, 4096) = 0\n",
                     "1 mprotect(0x10000, 16384, PROT_READ) = -1 ENOMEM (Cannot allocate memory)\n",
                     "1 mprotect(0x12000, 4096, PROT_READ) = -1 ENOMEM (Cannot allocate memory)\n"),
                 &report),
            absl::StrCat(kMap16kOp, "s1.munmap 0x12000 0x1000 -> ok\n",
                         "s1.mprotect 0x10000 0x2000 r-- -> ok\n"));
  EXPECT_EQ(report.not_expressed["mprotect: failed with ENOMEM"], 1u);
}

TEST(StraceImportTest, MremapGrowsMovesShrinksAndFails) {
  ImportReport report;
  EXPECT_EQ(
      Body(absl::StrCat(kMap16k, "1 mremap(0x10000, 16384, 32768, MREMAP_MAYMOVE) = 0x40000\n",
                        "1 mremap(0x40000, 32768, 4096, MREMAP_MAYMOVE) = 0x40000\n",
                        "1 mremap(0x40000, 4096, 8192, 0) = 0x40000\n",
                        "1 mremap(0x40000, 0, 8192, MREMAP_MAYMOVE) = 0x90000\n",
                        "1 mremap(0x40001, 4096, 8192, 0) = -1 EINVAL (Invalid argument)\n",
                        "1 mremap(0x50000, 4096, 8192, 0) = -1 EFAULT (Bad address)\n"),
           &report),
      absl::StrCat(kMap16kOp, "s1.mremap 0x10000 0x4000 0x40000 0x8000 fixed -> 0x40000\n",
                   "s1.mremap 0x40000 0x8000 0x40000 0x1000 fixed -> 0x40000\n",
                   "s1.mremap 0x40000 0x1000 0x40000 0x2000 fixed -> 0x40000\n",
                   "s1.mremap 0x40001 0x1000 0x40001 0x2000 fixed -> EINVAL\n"));
  EXPECT_EQ(report.not_expressed["mremap: old length 0, a second mapping of the same pages"], 1u);
  EXPECT_EQ(report.not_expressed["mremap: failed with EFAULT"], 1u);
}

TEST(StraceImportTest, MremapFixedClearsItsDestination) {
  EXPECT_EQ(Body(absl::StrCat(kMap16k,
                              "1 mremap(0x10000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED, "
                              "0x12000) = 0x12000\n")),
            absl::StrCat(kMap16kOp, "s1.munmap 0x12000 0x1000 -> ok\n",
                         "s1.mremap 0x10000 0x1000 0x12000 0x1000 fixed -> 0x12000\n"));
}

TEST(StraceImportTest, MadviseByTable) {
  ImportReport report;
  EXPECT_EQ(
      Body(absl::StrCat(
               kMap16k, "1 madvise(0x10000, 4096, MADV_DONTNEED) = 0\n",
               "1 madvise(0x10000, 4096, MADV_FREE) = 0\n",
               "1 madvise(0x10000, 4096, MADV_RANDOM) = 0\n",
               "1 madvise(0x10000, 4096, MADV_DONTFORK) = 0\n",
               "1 madvise(0x11000, 4096, MADV_WIPEONFORK) = 0\n",
               "1 madvise(0x10000, 8192, MADV_DOFORK) = 0\n",
               "1 madvise(0x13000, 8192, MADV_DONTNEED) = -1 ENOMEM (Cannot allocate memory)\n"),
           &report),
      absl::StrCat(
          kMap16kOp, "s1.linux_dontneed 0x10000 0x1000 -> ok\n",
          "s1.madvise 0x10000 0x1000 free -> ok\n", "s1.madvise 0x10000 0x1000 random -> ok\n",
          "s1.minherit 0x10000 0x1000 none -> ok\n", "s1.minherit 0x11000 0x1000 zero -> ok\n",
          "s1.minherit 0x10000 0x1000 copy -> ok\n", "s1.minherit 0x11000 0x1000 copy -> ok\n",
          "s1.linux_dontneed 0x13000 0x2000 -> ENOMEM\n"));
}

TEST(StraceImportTest, ForkThreadsAndExit) {
  ImportReport report;
  EXPECT_EQ(
      Body("1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x1) = 2\n"
           "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0}, 88) = 3\n"
           "3 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000\n"
           "3 exit(0) = ?\n"
           "3 +++ exited with 0 +++\n"
           "2 exit_group(0) = ?\n"
           "2 +++ exited with 0 +++\n"
           "1 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
           "1 +++ killed by SIGSEGV (core dumped) +++\n",
           &report),
      "s2 = s1.fork -> ok\n"
      "s1.mmap 0x10000 0x1000 r-- private,fixed -> 0x10000\n"
      "s2.exit -> ok\n"
      "s1.exit -> ok\n");
  EXPECT_EQ(report.processes, 2u);
  EXPECT_EQ(report.threads, 1u);
}

TEST(StraceImportTest, ProcessesAliveAtTheEndDoNotExit) {
  EXPECT_EQ(Body("1 fork() = 2\n1 fork() = 3\n2 exit_group(0) = ?\n"),
            "s2 = s1.fork -> ok\ns3 = s1.fork -> ok\ns2.exit -> ok\n");
}

TEST(StraceImportTest, VforkChildActsOnItsParentsTaskUntilExec) {
  EXPECT_EQ(
      Body(absl::StrCat(
          "1 vfork( <unfinished ...>\n",
          "2 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000\n",
          "2 execve(\"/nonexistent/prog\", [\"prog\"], 0x1 /* 2 vars */ <unfinished ...>\n",
          "1 <... vfork resumed>) = 2\n", "1 munmap(0x10000, 4096) = 0\n",
          "2 <... execve resumed>) = 0\n", "2 brk(NULL) = 0x50000\n", "2 exit_group(0) = ?\n")),
      "s1.mmap 0x10000 0x1000 r-- private,fixed -> 0x10000\n"
      "s1.munmap 0x10000 0x1000 -> ok\n"
      "s2 = space -> ok\n"
      "s2.exec_brk 0x50000 -> ok\n"
      "s2.exit -> ok\n");
}

TEST(StraceImportTest, AChildListedBeforeItsBirthWaitsForIt) {
  EXPECT_EQ(Body("1 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>\n"
                 "2 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000\n"
                 "1 <... clone resumed>, child_tidptr=0x1) = 2\n"
                 "2 munmap(0x10000, 4096) = 0\n"),
            "s2 = s1.fork -> ok\n"
            "s2.mmap 0x10000 0x1000 r-- private,fixed -> 0x10000\n"
            "s2.munmap 0x10000 0x1000 -> ok\n");
}

TEST(StraceImportTest, ExecEmptiesTheMapAndInfersWhatLaterCallsUse) {
  ImportReport report;
  EXPECT_EQ(
      Import(
          "1 execve(\"/nonexistent/a\", [\"a\"], 0x7ff /* 3 vars */) = 0\n"
          "1 brk(NULL) = 0x50000\n"
          "1 brk(0x52000) = 0x52000\n"
          "1 brk(0x40000) = 0x52000\n"
          "1 mprotect(0x20000, 8192, PROT_READ) = 0\n"
          "1 execve(\"/nonexistent/b\", [\"b\"], 0x7ff /* 3 vars */) = -1 ENOENT (No such file)\n"
          "1 execve(\"/nonexistent/c\", [\"c\"], 0x7ff /* 3 vars */) = 0\n",
          &report),
      "s1 = space -> ok\n"
      "s1.exec_map 0x20000 0x2000 rw- inferred -> 0x20000\n"
      "s1.exec_brk 0x50000 -> ok\n"
      "s1.brk 0x52000 -> ok\n"
      "s1.brk 0x40000 -> EINVAL\n"
      "s1.mprotect 0x20000 0x2000 r-- -> ok\n"
      "s1.exec -> ok\n");
  EXPECT_EQ(report.execs_inferred, 2u);
  EXPECT_EQ(report.not_expressed["execve: failed with ENOENT"], 1u);
}

TEST(StraceImportTest, ExecByAThreadThatIsNotTheFirst) {
  EXPECT_EQ(Body("1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 2\n"
                 "2 execve(\"/nonexistent/a\", [\"a\"], 0x1 /* 0 vars */ <pid changed to 1 ...>\n"
                 "1 +++ superseded by execve in pid 2 +++\n"
                 "1 <... execve resumed>) = 0\n"
                 "1 exit_group(0) = ?\n"),
            "s1.exec -> ok\ns1.exit -> ok\n");
}

TEST(StraceImportTest, PrefixesOfAllKinds) {
  const std::string want = "s1.munmap 0x10000 0x1000 -> ok\n";
  EXPECT_EQ(Body("munmap(0x10000, 4096) = 0\n"), want);
  EXPECT_EQ(Body("[pid  12] munmap(0x10000, 4096) = 0 <0.000012>\n"), want);
  EXPECT_EQ(Body("12 10:20:30.123456 munmap(0x10000, 4096) = 0\n"), want);
  EXPECT_EQ(Body("12 1700000000.5 munmap(0x10000, 4096) = 0\n"), want);
  EXPECT_EQ(Body("strace: Process 12 attached\nmunmap(0x10000, 4096) = 0\n"), want);
}

TEST(StraceImportTest, MistakesNameFileLineAndWhatWasExpected) {
  EXPECT_EQ(Import("1 munmap(0x10000, 4096) = 0\nhello world\n"),
            "s.log:2: expected \"CALL(ARGUMENTS) = RESULT\", found \"hello world\"");
  EXPECT_EQ(Import("\x1b[31m\n"),
            "s.log:1: expected \"CALL(ARGUMENTS) = RESULT\", found \"\\x1b[31m\"");
  EXPECT_EQ(Import("1 munmap(0x10000, 4096)\n"),
            "s.log:1: expected \"= RESULT\" after the call, found \"munmap(0x10000, 4096)\"");
  EXPECT_EQ(Import("1 munmap(0x10000, 4096\n"),
            "s.log:1: expected \")\" after the arguments, found \"munmap(0x10000, 4096\"");
  EXPECT_EQ(Import("1 munmap(here, 4096) = 0\n"),
            "s.log:1: expected a number as argument 1 of munmap, found \"here\"");
  EXPECT_EQ(Import("1 munmap(0x10000) = 0\n"),
            "s.log:1: expected a number as argument 2 of munmap, found \")\"");
  EXPECT_EQ(Import("1 mprotect(0x10000, 4096, PROT_MAGIC) = 0\n"),
            "s.log:1: expected flags by name as argument 3 of mprotect, found \"PROT_MAGIC\"");
  EXPECT_EQ(Import("1 munmap(0x10000, 4096) = yes\n"),
            "s.log:1: expected a number as the result, found \"yes\"");
  EXPECT_EQ(Import("1 clone(child_stack=NULL) = 2\n"),
            "s.log:1: expected flags=CLONE_ names in clone, found \"\"");
  EXPECT_EQ(Import("1 execve(0x1234, [\"a\"], 0x1) = 0\n"),
            "s.log:1: expected a quoted path as argument 1 of execve, found \"0x1234\"");
  EXPECT_EQ(Import("1 munmap(0x10000, 4096) = 0\n1 munmap(0x1"),
            "s.log:2: expected a newline at the end of the file, found \"1 munmap(0x1\"; is it "
            "truncated?");
  EXPECT_EQ(Import(""), "s.log: expected the output of strace, found no system call");
  ImportReport report;
  EXPECT_EQ(ImportStrace("/nonexistent", {}, &report).status().message(),
            "/nonexistent: expected a file that can be read, found: No such file or directory");
}

TEST(StraceImportTest, TheTraceParsesBackAndSaysThatBytesAreSynthesised) {
  ImportReport report;
  const std::string path = WriteSample("back.log", kMap16k);
  const auto trace = ImportStrace(path, {.name = "n", .what = "w"}, &report);
  ASSERT_TRUE(trace.ok());
  const std::string text = traces::FormatTrace(*trace);
  EXPECT_NE(text.find("# n: w\n# The bytes are synthesised"), std::string::npos) << text;
  const auto back = traces::ParseTrace(text, "back");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, *trace);
  EXPECT_NE(report.ToText().find("  1 x mmap\n"), std::string::npos);
  EXPECT_EQ(report.ToJson()["expressed"]["mmap"], 1);
}

}  // namespace
}  // namespace tools
