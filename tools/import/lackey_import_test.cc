// What valgrind's lackey tool prints, construct by construct, and what becomes of it.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tools/import/import.h"
#include "tools/import/samples.h"

namespace tools {
namespace {

std::string Import(const std::vector<std::string>& logs, ImportReport* report = nullptr) {
  ImportReport mine;
  return FromLackey(logs, report == nullptr ? &mine : report);
}

// A log that begins like a real one. The program does not exist here, so nothing is known of its
// segments.
std::string Log(int pid, const std::string& lines) {
  return absl::StrCat("==", pid, "== Lackey, an example Valgrind tool\n==", pid,
                      "== Command: /nonexistent/prog a\\ b c\n==", pid, "== Parent PID: 1\n==", pid,
                      "== \n", lines);
}

std::string MapPage(int pid, const char* at) {
  return absl::StrCat("SYSCALL[", pid,
                      ",1](9) sys_mmap ( 0x0, 4096, 3, 34, 4294967295, 0 ) --> "
                      "[pre-success] Success(",
                      at, ") \n");
}

TEST(LackeyImportTest, KeepsTheFirstTouchesOfAPageBetweenSystemCalls) {
  ImportReport report;
  EXPECT_EQ(Import({Log(7, MapPage(7, "0x10000") +
                               " S 00010008,8\n"
                               " L 00010010,4\n"
                               " S 00010018,8\n"
                               " L 00010018,8\n"
                               "SYSCALL[7,1](39) sys_getpid ()[sync] --> Success(0x7) \n"
                               " M 00010020,8\n"
                               " M 00010028,8\n")},
                   &report),
            "s1 = space -> ok\n"
            "s1.mmap 0x10000 0x1000 rw- private,fixed -> 0x10000\n"
            "s1.write 0x10008 8 0x102 -> ok\n"
            "s1.read 0x10010 4\n"
            "s1.read 0x10020 8\n"
            "s1.write 0x10020 8 0x105 -> ok\n");
  EXPECT_EQ(report.ignored_calls, 1u);
  EXPECT_TRUE(report.touches_outside.empty());
}

TEST(LackeyImportTest, AnAccessAcrossPagesIsClippedToEach) {
  EXPECT_EQ(Import({Log(7, MapPage(7, "0x10000") + MapPage(7, "0x11000") + " L 00010ffc,8\n")}),
            "s1 = space -> ok\n"
            "s1.mmap 0x10000 0x1000 rw- private,fixed -> 0x10000\n"
            "s1.mmap 0x11000 0x1000 rw- private,fixed -> 0x11000\n"
            "s1.read 0x10ffc 4\n"
            "s1.read 0x11000 4\n");
}

TEST(LackeyImportTest, TouchesOfMemoryThatNoCallMappedAreItsInitialMap) {
  ImportReport report;
  EXPECT_EQ(Import({Log(7, "I  00401000,3\n S 1fff000008,8\n L 00500000,4\n")}, &report),
            "s1 = space -> ok\n"
            "s1.exec_map 0x401000 0x1000 r-x inferred -> 0x401000\n"
            "s1.exec_map 0x500000 0x1000 rw- inferred -> 0x500000\n"
            "s1.exec_map 0x1ffe801000 0x800000 rw- inferred -> 0x1ffe801000\n"
            "s1.fetch 0x401000 -> ok\n"
            "s1.write 0x1fff000008 8 0x105 -> ok\n"
            "s1.read 0x500000 4\n");
  EXPECT_EQ(report.execs_inferred, 1u);
}

TEST(LackeyImportTest, TouchesOutsideRegionsAreCountedByKind) {
  ImportReport report;
  EXPECT_EQ(
      Import({Log(7, MapPage(7, "0x10000") + "I  00010000,3\n" +
                         "SYSCALL[7,1](11) sys_munmap ( 0x10000, 4096 )[sync] --> Success(0x0) \n"
                         " L 00010000,4\n S 00010000,4\n")},
             &report),
      "s1 = space -> ok\n"
      "s1.mmap 0x10000 0x1000 rw- private,fixed -> 0x10000\n"
      "s1.munmap 0x10000 0x1000 -> ok\n");
  EXPECT_EQ(report.touches_outside, (ImportReport::Counts{{"fetch: not permitted", 1},
                                                          {"read: nothing mapped", 1},
                                                          {"write: nothing mapped", 1}}));
}

TEST(LackeyImportTest, FilesAreNamedByTheirDescriptors) {
  EXPECT_EQ(
      Import({Log(7,
                  "SYSCALL[7,1](257) sys_openat ( 4294967196, 0x40(/lib/libc.so.6), 524288 ) --> "
                  "[async] ... \n"
                  "SYSCALL[7,1](257) ... [async] --> Success(0x4) \n"
                  "SYSCALL[7,1](9) sys_mmap ( 0x0, 8192, 5, 2050, 4, 4096 ) --> [pre-success] "
                  "Success(0x20000) \n")}),
      "s1 = space -> ok\n"
      "s1.mmap 0x20000 0x2000 r-x private,fixed file libc.so.6 0x1000 -> 0x20000\n");
}

TEST(LackeyImportTest, AChildsLogStandsWhereItsParentWaits) {
  const std::string parent = Log(
      7, MapPage(7, "0x10000") +
             "SYSCALL[7,1](56) sys_clone ( 1200011, 0x0, 0x0, 0x4a2ba10, 0x0 )   clone(fork): "
             "process 7 created "
             "child 8\n --> [pre-success] Success(0x8) \n"
             " S 00010000,8\n"
             "SYSCALL[7,1](61) sys_wait4 ( 4294967295, 0x1fff00026c, 0, 0x0 ) --> [async] ... \n"
             "SYSCALL[7,1](61) ... [async] --> Success(0x8) \n"
             " L 00010000,8\n"
             "SYSCALL[7,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) \n");
  // A child's log begins with a header of its own, which is no exec.
  const std::string child =
      Log(8,
          " --> [pre-success] Success(0x0) \n S 00010008,8\n"
          "SYSCALL[8,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) \n");
  const std::string want =
      "s1 = space -> ok\n"
      "s1.mmap 0x10000 0x1000 rw- private,fixed -> 0x10000\n"
      "s2 = s1.fork -> ok\n"
      "s1.write 0x10000 8 0x103 -> ok\n"
      "s2.write 0x10008 8 0x104 -> ok\n"
      "s2.exit -> ok\n"
      "s1.read 0x10000 8\n"
      "s1.exit -> ok\n";
  EXPECT_EQ(Import({parent, child}), want);
  EXPECT_EQ(Import({child, parent}), want) << "the order of the files must not matter";
}

TEST(LackeyImportTest, ExecFollowsOnTheSameLine) {
  ImportReport report;
  EXPECT_EQ(
      Import({Log(7,
                  "SYSCALL[7,1](12) sys_brk ( 0x0 ) --> [pre-success] Success(0x40000) \n"
                  "SYSCALL[7,1](59) sys_execve ( 0x4035dd8(/usr/bin/seq), 0x129980, 0x4035c88 )" +
                      Log(7,
                          "SYSCALL[7,1](12) sys_brk ( 0x0 ) --> [pre-success] Success(0x50000) \n"
                          "SYSCALL[7,1](12) sys_brk ( 0x51000 ) --> [pre-success] Success(0x51000) "
                          "\n"))},
             &report),
      "s1 = space -> ok\n"
      "s1.exec_brk 0x40000 -> ok\n"
      "s1.exec -> ok\n"
      "s1.exec_brk 0x50000 -> ok\n"
      "s1.brk 0x51000 -> ok\n");
  EXPECT_EQ(report.not_expressed["brk: a query"], 2u);
}

TEST(LackeyImportTest, WhatHasNoOperationIsCounted) {
  ImportReport report;
  Import(
      {Log(
          7,
          "SYSCALL[7,1](149) sys_mlock ( 0x10000, 4096 )[sync] --> Success(0x0) \n"
          "SYSCALL[7,1](59) sys_execve ( 0x40(/bin/none), 0x1, 0x2 ) --> [pre-fail] Failure(0x2) \n"
          "SYSCALL[7,1](334) unimplemented (by the kernel) syscall: 334! (ni_syscall)\n"
          " --> [pre-fail] Failure(0x26) \n")},
      &report);
  EXPECT_EQ(report.not_expressed,
            (ImportReport::Counts{{"mlock: no operation", 1}, {"execve: failed with ENOENT", 1}}));
  EXPECT_EQ(report.ignored_calls, 1u);
}

TEST(LackeyImportTest, AProcessThatValgrindEndedIsCounted) {
  ImportReport report;
  const std::string ops = Import(
      {Log(7,
           "SYSCALL[7,1](56) sys_clone ( 111, 0x11c090, 0x0, 0x0, 0x40046d0 )==7== Unsupported "
           "clone() flags: 0x111\n"
           "==7== \n"
           "==7== Valgrind has to exit now.  Sorry.  Bye!\n"
           "==7== \n")},
      &report);
  EXPECT_EQ(ops, "s1 = space -> ok\ns1.exit -> ok\n");
  EXPECT_EQ(report.not_expressed,
            (ImportReport::Counts{
                {"lackey: the rest of a process that Valgrind ended, unable to go on", 1}}));
}

TEST(LackeyImportTest, MistakesNameFileLineAndWhatWasExpected) {
  EXPECT_EQ(
      Import({"==7== x\n L 12zz,4\n"}),
      "v0.log:2: expected \"I  ADDRESS,SIZE\" or \" L|S|M ADDRESS,SIZE\" (1 to 4096 bytes), found "
      "\" L 12zz,4\"");
  EXPECT_EQ(
      Import({"==7== x\n L 1234,0\n"}),
      "v0.log:2: expected \"I  ADDRESS,SIZE\" or \" L|S|M ADDRESS,SIZE\" (1 to 4096 bytes), found "
      "\" L 1234,0\"");
  EXPECT_EQ(Import({"==7== x\nwhat is this\n"}),
            "v0.log:2: expected an access, \"SYSCALL[PID,TID](NUMBER)\" or \"==PID==\", found "
            "\"what is this\"");
  EXPECT_EQ(
      Import({"SYSCALL[7](9) sys_mmap\n"}),
      "v0.log:1: expected \"SYSCALL[PID,TID](NUMBER) CALL\", found \"SYSCALL[7](9) sys_mmap\"");
  EXPECT_EQ(Import({"==x== \x1b[31m\n"}),
            "v0.log:1: expected \"==PID== TEXT\", found \"==x== \\x1b[31m\"");
  EXPECT_EQ(Import({"==x== y\n"}), "v0.log:1: expected \"==PID== TEXT\", found \"==x== y\"");
  EXPECT_EQ(
      Import({"==7== x\n L 0001"}),
      "v0.log:2: expected a newline at the end of the log (is it truncated?), found \" L 0001\"");
  EXPECT_NE(Import({""}).find("expected a log of valgrind's lackey tool"), std::string::npos);
  EXPECT_NE(Import({Log(7, ""), Log(7, "")}).find("found a second one of process 7"),
            std::string::npos);
  ImportReport report;
  EXPECT_EQ(ImportLackey({"/nonexistent"}, {}, &report).status().message(),
            "/nonexistent: expected a file that can be read, found: No such file or directory");
}

}  // namespace
}  // namespace tools
