#include "traces/codec.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace traces {
namespace {

// The one operation of a trace that holds just `line`.
Line OnlyLine(const std::string& line, std::vector<std::string>* files = nullptr) {
  absl::StatusOr<Trace> trace = ParseTrace(absl::StrCat("# t: test\n", line, "\n"), "t.trace");
  EXPECT_TRUE(trace.ok()) << trace.status();
  if (!trace.ok()) return Line();
  EXPECT_EQ(trace->lines.size(), 1u);
  if (files != nullptr) *files = trace->files;
  return trace->lines.at(0);
}

// `line` as the codec would write it.
std::string Normal(const std::string& line) {
  absl::StatusOr<Trace> trace = ParseTrace(absl::StrCat("# t: test\n", line, "\n"), "t.trace");
  if (!trace.ok()) return trace.status().ToString();
  return FormatTrace(*trace).substr(std::string("# t: test\n").size());
}

// What is said about the second line of a trace.
std::string Mistake(const std::string& line) {
  absl::StatusOr<Trace> trace = ParseTrace(absl::StrCat("# t: test\n", line, "\n"), "t.trace");
  return trace.ok() ? "no mistake" : std::string(trace.status().message());
}

constexpr const char* kLines[] = {
    "s1 = space",
    "s1 = space 0x20000",
    "s2 = task -> ok",
    "s3 = task32 0x20000 -> ok",
    "s2 = s1.fork -> ok",
    "s2 = ~3.fork -> EAGAIN",
    "s2 = s1.task_create 1 -> KERN_RESOURCE_SHORTAGE",
    "s2 = s1.task_create 0 of s3 -> MACH_SEND_INVALID_DEST",
    "s1.exec",
    "s1.exit -> none",
    "s1.task_terminate -> ok",
    "s1.exec_map 0x400000 0x2000 r-x observed file sh 0x0 -> 0x400000",
    "s1.exec_map 0x7ff000 0x21000 rw- inferred",
    "s1.exec_brk 0x600000",
    "s1.mmap 0x10000 0x4000 rw- private,fixed file libc.so.6 0x1000 -> 0x10000",
    "s1.mmap 0x0 0x4000 --- shared -> ENOMEM",
    "s1.mmap h1+0x1000 0x4000 rwx private,tryfixed -> errno(99)",
    "s1.mmap 0x0 0x4000 rw- private,wired -> 0x1000",
    "s1.mmap 0x0 0x4000 rw- private,align=13 -> 0x2000",
    "s1.mmap 0x8000 0x4000 rw- shared,tryfixed,wired,align=255 file a 0x0 -> EINVAL",
    "s1.mmap 0x10000 0x4000 rw- shared,fixed memfd m1 0x0 -> EBADF",
    "s1.mmap 0x10000 0x4000 rw- shared,fixed device fb 0x0 -> ENODEV",
    "s1.memfd m1 0x4000 sealable -> ok",
    "s1.memfd m1 0x4000 none -> EEXIST",
    "s1.memfd_truncate m1 0x1234 -> EPERM",
    "s1.memfd_seal m1 0x3 -> EBUSY",
    "s1.memfd_close m1 -> ok  # why",
    "s1.shmget g1 0x1000 -> ok",
    "s1.shmat g1 0x0 none -> 0x1000",
    "~1.shmat g1 h0+0x10 rdonly,round -> EINVAL",
    "s1.shmdt r0+0x0 -> ok",
    "s1.shm_remove g1 -> ok",
    "s1.shm_lock g1 -> ok",
    "s1.shm_unlock g1 -> EINVAL",
    "s1.munmap 0x10000 0x4000 -> ok",
    "s1.mprotect r2+0x10 0x4000 r-- -> EACCES",
    "s1.minherit 0x10000 0x4000 zero",
    "s1.madvise 0x10000 0x4000 free -> EFAULT",
    "s1.mremap 0x10000 0x4000 0x0 0x8000 none -> 0x90000",
    "s1.mremap 0x10000 0x4000 0x50000 0x8000 fixed -> EINVAL",
    "s1.mremap 0x10000 0x4000 0x0 0x8000 none,align=16 -> 0x90000",
    "s1.mremap 0x10000 0x4000 0x50000 0x8000 fixed,dup,align=1 -> EINVAL",
    "s1.brk 0x601234 -> ok",
    "s1.linux_dontneed 0x10000 0x4000 -> ok",
    "s2.vm_allocate 0x0 0x4000 anywhere -> 0x1000",
    "s2.vm_allocate 0x1000 0x4000 fixed -> KERN_NO_SPACE",
    "s2.vm_deallocate 0x1000 0x4000 -> ok",
    "s2.vm_protect 0x1000 0x4000 maximum r-- -> KERN_PROTECTION_FAILURE",
    "s2.vm_inherit 0x1000 0x4000 share -> ok",
    "s2.vm_region 0x0 -> 0x1000 0x4000 rw- rwx copy private",
    "s2.vm_region 0x0 of s3 -> 0x1000 0x4000 rw- rwx copy private",
    "s2.vm_map 0x1000 0x2000 0xfff anywhere rw- r-- share -> 0x5000",
    "s2.vm_map h0+0x0 0x2000 0x0 fixed rw- rwx none of ~1  # why",
    "s2.vm_wire 0x1000 0x2000 rw- plain -> KERN_NO_ACCESS",
    "s2.vm_wire r1+0x0 0x2000 --- priv of s3 -> ok",
    "s2.vm_copy 0x1000 0x2000 r1+0x1000 -> KERN_INVALID_ARGUMENT",
    "s1.pread 0x1000 0x20 cached file libc.so.6 0x10 -> 0x20",
    "s1.pread 0x1000 0x20 direct file libc.so.6 0x10 -> EFAULT",
    "s1.send_file 0x1000 file libc.so.6 0x2000 -> 0x1000",
    "s1.swapon 0 5 -> EBUSY",
    "s1.swapoff 4294967295 -> ENXIO",
    "~1.swapctl 1 2147483647 -> ENOENT",
    "s1.swapstats -> 0x2",
    "s1.thread_create -> 0x1",
    "s1/3.thread_create -> EAGAIN",
    "~1/2.thread_end 4294967295 -> ESRCH",
    "s1/1.thread_end 1 -> ok",
    "s4 = s1/2.fork -> ok",
    "s5 = ~1/1.task_create 1 of s2",
    "~3/1.read r2+0x1010 64  # why",
    "inject swap_read_error skip=3 -> ok",
    "~1.pwrite r0+0x10 0x20 cached -> EBADF",
    "s1.ftruncate file libc.so.6 0x1800 -> ok",
    "s1.ftruncate -> EBADF",
    "s1.peek 0x1000 0x8 r1+0x4 of ~2 -> ESRCH",
    "s1.poke 0x1000 0x8 0x2000 of s2 -> 0x8",
    "s1.send 0x1000 0x2000 -> EMSGSIZE",
    "s1.receive h0+0x1 0x2000 -> 0x1",
    "s2.vm_read 0x1000 0x2000 of s3 -> 0x7000",
    "~2.vm_write 0x1000 0x2000 0x8000 of ~3 -> MACH_SEND_INVALID_MEMORY",
    "s1.read 0x2000 8 -> 'B'",
    "s1.read 0x2000 8 -> 0x0",
    "~3.read r2+0x1010 64 -> #8123456789abcdef",
    "s1.read 0x3000 4 -> SEGV_MAPERR 0x3000",
    "s1.write 0x2000 1 'B' -> ok  # why",
    "s1.write 0x2000 1048576 0x1234 -> SEGV_ACCERR 0x3000",
    "s1.fetch 0x2000 -> EXC_BAD_ACCESS_PROTECTION_FAILURE 0x2000",
    "inject mapping_node -> ok",
    "inject pager_wrong_fpage skip=3  # why",
};

TEST(CodecTest, EveryKindOfLineStandsAsWritten) {
  for (const char* line : kLines) EXPECT_EQ(Normal(line), absl::StrCat(line, "\n"));
}

TEST(CodecTest, MmapOperandsLandInTheirFields) {
  std::vector<std::string> files;
  Line line =
      OnlyLine("s7.mmap 0x10000 16384 rw shared,fixed file libc.so.6 4096 -> 0x10000", &files);
  Op want;
  want.kind = OpKind::kMmap;
  want.task = {7, false};
  want.at = At(0x10000);
  want.size = 0x4000;
  want.prot = base::kProtReadWrite;
  want.flags = kFlagShared | kFlagFixed;
  want.file = 1;
  want.offset = 0x1000;
  EXPECT_EQ(line.op, want);
  ASSERT_TRUE(line.expected.has_value());
  EXPECT_EQ(*line.expected, (Outcome{Outcome::Family::kErrno, 0, 0x10000, 0, {}}));
  EXPECT_EQ(files, std::vector<std::string>{"libc.so.6"});
}

TEST(CodecTest, RelativeOperandsLandInTheirFields) {
  Line line = OnlyLine("~3.write h2+0x1010 64 'B'");
  EXPECT_EQ(line.op.task, (TaskRef{3, true}));
  EXPECT_EQ(line.op.at, (Place{Place::Kind::kHole, 2, 0x1010}));
  EXPECT_EQ(line.op.size, 64u);
  EXPECT_EQ(line.op.value, uint64_t{'B'});
  EXPECT_FALSE(line.expected.has_value());
}

TEST(CodecTest, ForkNamesParentAndChild) {
  Line line = OnlyLine("s9 = s4.fork");
  EXPECT_EQ(line.op.kind, OpKind::kFork);
  EXPECT_EQ(line.op.task, (TaskRef{4, false}));
  EXPECT_EQ(line.op.child, 9u);
}

TEST(CodecTest, InjectionsNameASiteAndNobody) {
  Line line = OnlyLine("inject kernel_memory skip=0x10");
  Op want;
  want.kind = OpKind::kInject;
  want.site = base::FaultSite::kKernelMemory;
  want.skip = 16;
  EXPECT_EQ(line.op, want);
}

TEST(CodecTest, FaultsKeepTheAddress) {
  Line line = OnlyLine("s1.read 0x2ffc 8 -> SEGV_MAPERR 0x3000");
  EXPECT_EQ(*line.expected, (Outcome{Outcome::Family::kFault,
                                     static_cast<int32_t>(base::FaultCode::kSegvMapErr),
                                     0x3000,
                                     0,
                                     {}}));
}

TEST(CodecTest, RegionsKeepAllAttributes) {
  Line line = OnlyLine("s1.vm_region 0x0 -> 0x1000 0x4000 r-- rwx share shared");
  Outcome want{Outcome::Family::kKern,
               0,
               0x1000,
               0x4000,
               {base::kProtRead, base::kProtAll, base::Inherit::kShare, true}};
  EXPECT_EQ(*line.expected, want);
}

TEST(CodecTest, ProtectionsMayBeShort) {
  EXPECT_EQ(Normal("s1.mprotect 1 2 rw"), "s1.mprotect 0x1 0x2 rw-\n");
  EXPECT_EQ(Normal("s1.mprotect 1 2 rx"), "s1.mprotect 0x1 0x2 r-x\n");
  EXPECT_EQ(Normal("s1.mprotect 1 2 x"), "s1.mprotect 0x1 0x2 --x\n");
  EXPECT_EQ(Normal("s1.mprotect 1 2 -w-"), "s1.mprotect 0x1 0x2 -w-\n");
  EXPECT_EQ(Normal("s1.mprotect 1 2 none"), "s1.mprotect 0x1 0x2 ---\n");
}

TEST(CodecTest, NumbersReachTheEdgeOf64Bits) {
  EXPECT_EQ(OnlyLine("s1.munmap 0xffffffffffffffff 18446744073709551615").op.at.offset,
            ~uint64_t{0});
  EXPECT_EQ(OnlyLine("s1.munmap 0xffffffffffffffff 18446744073709551615").op.size, ~uint64_t{0});
}

TEST(CodecTest, CommentsAndBlankLinesAreKept) {
  const std::string kText =
      "# cow: a forked page\n"
      "# from: a manual\n"
      "\n"
      "# the parent\n"
      "s1 = space -> ok  # empty\n"
      "\n"
      "\n"
      "s1.exit\n"
      "#  indented\n"
      "#\n";
  absl::StatusOr<Trace> trace = ParseTrace(kText, "t.trace");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->title, "cow: a forked page");
  EXPECT_EQ(trace->header, std::vector<std::string>{"from: a manual"});
  EXPECT_EQ(trace->lines[0].comment, "empty");
  EXPECT_EQ(trace->lines[1].line, 8);
  EXPECT_EQ(FormatTrace(*trace), kText);
}

TEST(CodecTest, BlanksAroundFieldsAreNormalised) {
  EXPECT_EQ(Normal("  s1.read\t0x1000   8  ->'#' #  c  "), "s1.read 0x1000 8 -> '#'  #  c\n");
}

TEST(CodecTest, FileNamesAreInternedOnce) {
  absl::StatusOr<Trace> trace = ParseTrace(
      "# t: t\ns1.mmap 0 1 r private file a 0\ns1.mmap 0 1 r private file b 0\ns1.mmap 0 1 r "
      "private file a 0\n",
      "t");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->files, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(trace->lines[2].op.file, 1u);
}

TEST(CodecTest, MistakesNameTheirPlace) {
  EXPECT_EQ(Mistake("s1.frob 0x1000"),
            "t.trace:2:4: expected an operation (traces/README.md lists them), found 'frob'");
  EXPECT_EQ(Mistake("s1.mmapp"),
            "t.trace:2:4: expected an operation (traces/README.md lists them), found 'mmapp'");
  EXPECT_EQ(Mistake("s1.munmap 0x1000"),
            "t.trace:2:17: expected a size (a number below 2^64), found the end of the line");
  EXPECT_EQ(Mistake("s1.munmap 0x1000 -> ok"),
            "t.trace:2:18: expected a size (a number below 2^64), found '->'");
  EXPECT_EQ(Mistake("s1.munmap 0x10000000000000000 1"),
            "t.trace:2:11: expected an address (a number below 2^64, r0+0x10 or h0+0x10), found "
            "'0x10000000000000000'");
  EXPECT_EQ(Mistake("s1.munmap 0 18446744073709551616"),
            "t.trace:2:13: expected a size (a number below 2^64), found '18446744073709551616'");
  EXPECT_EQ(Mistake("s1.read 0x1000 0"),
            "t.trace:2:16: expected an access size from 1 to 1048576, found '0'");
  EXPECT_EQ(Mistake("s1.read 0x1000 1048577"),
            "t.trace:2:16: expected an access size from 1 to 1048576, found '1048577'");
  EXPECT_EQ(Mistake("s0.exit"),
            "t.trace:2:1: expected a task (s1 to s65535, or ~0, ~1 ...), found 's0.exit'");
  EXPECT_EQ(Mistake("s65536 = space"),
            "t.trace:2:1: expected a task (s1 to s65535, or ~0, ~1 ...), found 's65536'");
  EXPECT_EQ(Mistake("~0 = space"), "t.trace:2:3: expected '.' and an operation, found a blank");
  EXPECT_EQ(Mistake("s1 = space\ns1 = task"),
            "t.trace:3:1: expected a label that was not used before, found 's1'");
  EXPECT_EQ(Mistake("exit"),
            "t.trace:2:1: expected a task (s1 to s65535, or ~0, ~1 ...), found 'exit'");
  EXPECT_EQ(Mistake("s1/0.exit"),
            "t.trace:2:4: expected a thread that is not the first (1 to 3), found '0.exit'");
  EXPECT_EQ(Mistake("s1/4.exit"),
            "t.trace:2:4: expected a thread that is not the first (1 to 3), found '4.exit'");
  EXPECT_EQ(Mistake("s1/1 = space"), "t.trace:2:5: expected '.' and an operation, found a blank");
  EXPECT_EQ(Mistake("s1.thread_end x"),
            "t.trace:2:15: expected the number of a thread (below 2^32), found 'x'");
  EXPECT_EQ(Mistake("s1.fork"), "t.trace:2:1: expected 'sN = sM.fork', found 's1.fork'");
  EXPECT_EQ(Mistake("s2 = s1.exit"),
            "t.trace:2:9: expected an operation that creates a task from another, found 'exit'");
  EXPECT_EQ(Mistake("s2 = exit"),
            "t.trace:2:6: expected 'space', 'task' or a task's operation, found 'exit'");
  EXPECT_EQ(Mistake("s1.exit 5"),
            "t.trace:2:9: expected '->', a comment or the end of the line, found '5'");
  EXPECT_EQ(Mistake("s1.exit -> ok 5"),
            "t.trace:2:15: expected a comment or the end of the line, found '5'");
  EXPECT_EQ(Mistake("s1 = space 0x1000x"),
            "t.trace:2:12: expected a map maximum (a number below 2^64), found '0x1000x'");
}

TEST(CodecTest, MistakesSayWhatWordsThereAre) {
  EXPECT_EQ(Mistake("s1.mmap 0 1 rwz private"),
            "t.trace:2:13: expected a protection (rwx, r-x, rw, none ...), found 'rwz'");
  EXPECT_EQ(Mistake("s1.mmap 0 1 wr private"),
            "t.trace:2:13: expected a protection (rwx, r-x, rw, none ...), found 'wr'");
  EXPECT_EQ(
      Mistake("s1.mmap 0 1 rw fixed"),
      "t.trace:2:16: expected private or shared, perhaps with ,fixed or ,tryfixed or ,wired or "
      ",align=1 to 255, found 'fixed'");
  EXPECT_EQ(Mistake("s1.mmap 0 1 rw private,"),
            "t.trace:2:16: expected private or shared, perhaps with ,fixed or ,tryfixed or ,wired "
            "or ,align=1 to 255, found 'private,'");
  for (const char* wrong :
       {"private,wired,fixed", "private,align=0", "private,align=256",
        "private,align=", "private,align=+4", "private,align=13,wired", "private,align=13,",
        "private,,wired", "private,fixed,tryfixed", "private,wired,wired"}) {
    EXPECT_NE(Mistake(absl::StrCat("s1.mmap 0 1 rw ", wrong)).find("expected private or shared"),
              std::string::npos)
        << wrong;
  }
  EXPECT_EQ(Mistake("s1.mremap 0 1 0 1 none,wired"),
            "t.trace:2:19: expected none or fixed, perhaps with ,dup or ,align=1 to 255, found "
            "'none,wired'");
  EXPECT_EQ(Mistake("s1.shmat g 0 none,align=13"),
            "t.trace:2:14: expected none or rdonly, perhaps with ,round, found 'none,align=13'");
  EXPECT_EQ(Mistake("s1.minherit 0 1 all"),
            "t.trace:2:17: expected an inheritance (share, copy, none, donate, zero), found 'all'");
  EXPECT_EQ(Mistake("s1.madvise 0 1 please"),
            "t.trace:2:16: expected an advice (normal, random, sequential, willneed, dontneed, "
            "spaceavail, free), "
            "found 'please'");
  EXPECT_EQ(Mistake("s1.vm_protect 0 1 both r"),
            "t.trace:2:19: expected current or maximum, found 'both'");
  EXPECT_EQ(
      Mistake("s1.exit -> EGONE"),
      "t.trace:2:12: expected an outcome (a success, or an error like EINVAL), found 'EGONE'");
  EXPECT_EQ(Mistake("s1.vm_region 0 -> EINVAL"),
            "t.trace:2:19: expected an outcome (a success, or an error like KERN_NO_SPACE), found "
            "'EINVAL'");
  EXPECT_EQ(Mistake("s1.mmap 0 1 rw private -> ok"),
            "t.trace:2:27: expected an address or the name of an error, found 'ok'");
  EXPECT_EQ(Mistake("s1.exit -> 0x1000"),
            "t.trace:2:12: expected 'ok' or the name of an error, found '0x1000'");
  EXPECT_EQ(Mistake("s1.exit ->"),
            "t.trace:2:11: expected 'ok' or the name of an error, found the end of the line");
  EXPECT_EQ(
      Mistake("s1.read 0 1 -> SIGBUS"),
      "t.trace:2:22: expected the address that could not be accessed, found the end of the line");
  EXPECT_EQ(Mistake("s1.read 0 1 -> #12"),
            "t.trace:2:16: expected the value read ('B', 0x42, # and 16 hex digits) or a fault, "
            "found '#12'");
  EXPECT_EQ(
      Mistake("s1.write 0 1 'BB'"),
      "t.trace:2:14: expected a value (a number below 2^64 or a character like 'B'), found ''BB''");
  EXPECT_EQ(Mistake("s1.vm_region 0 -> 0x1000 0x4000 rw- rwx copy"),
            "t.trace:2:45: expected a sharing (private, shared), found the end of the line");
}

TEST(CodecTest, FileNamesAreBaseNames) {
  for (const char* name : {"/bin/sh", "a/b", "..", ".", "a\"b", "a;b", "a\xc3\xa9"}) {
    EXPECT_NE(
        Mistake(absl::StrCat("s1.mmap 0 1 r private file ", name, " 0"))
            .find("t.trace:2:28: expected a file's base name (A-Z a-z 0-9 . _ + - only), found "),
        std::string::npos)
        << name;
  }
  EXPECT_EQ(Mistake("s1.mmap 0 1 r private file libc.so.6"),
            "t.trace:2:37: expected an offset in the file (a number below 2^64), found the end of "
            "the line");
  EXPECT_FALSE(ValidFileName(std::string(256, 'a')));
  EXPECT_TRUE(ValidFileName(std::string(255, 'a')));
}

TEST(CodecTest, DamagedTextIsAnError) {
  auto message = [](absl::string_view text) {
    return std::string(ParseTrace(text, "t").status().message());
  };
  EXPECT_EQ(message(""),
            "t:1:1: expected a comment line '# name: what it shows', found the end of the file");
  EXPECT_EQ(message("s1 = space\n"),
            "t:1:1: expected a comment line '# name: what it shows', found 's1'");
  EXPECT_EQ(message("\n# t\n"),
            "t:1:1: expected a comment line '# name: what it shows', found the end of the line");
  EXPECT_EQ(message("# t\ns1 = sp"),
            "t:2:8: expected a newline at the end of the last line, found the end of the file");
  EXPECT_EQ(message(absl::string_view("# t\ns1\0 = space\n", 16)),
            "t:2:3: expected text, found a NUL byte");
  EXPECT_EQ(message("# t\ns1 = space\r\n"),
            "t:2:6: expected an operation (traces/README.md lists them), found 'space\\x0d'");
  EXPECT_EQ(message("# t\n#" + std::string(kMaxLineBytes, 'x') + "\n"),
            "t:2:4097: expected a line of at most 4096 bytes, found 4097 bytes");
  EXPECT_EQ(message("# t\ns1." + std::string(100, 'x') + "\n"),
            "t:2:4: expected an operation (traces/README.md lists them), found '" +
                std::string(40, 'x') + "...'");
}

TEST(CodecTest, EveryTruncationOfATraceIsAnErrorOrEndsAtALine) {
  const std::string kText =
      "# t: t\ns1 = space -> ok\ns1.mmap 0x1000 0x2000 rw- private,fixed file a 0x0 -> 0x1000\n";
  for (size_t n = 0; n < kText.size(); ++n) {
    bool at_line = n > 0 && kText[n - 1] == '\n';
    EXPECT_EQ(ParseTrace(kText.substr(0, n), "t").ok(), at_line) << n;
  }
}

TEST(CodecTest, ReaderStreamsTheSameLines) {
  const std::string kText = "# t: t\ns1 = space -> ok\n\ns1.exit\n";
  TraceReader reader(kText, "t");
  Line line;
  ASSERT_TRUE(reader.Next(&line));
  EXPECT_EQ(line.op.kind, OpKind::kSpace);
  ASSERT_TRUE(reader.Next(&line));
  EXPECT_EQ(line.op.kind, OpKind::kExit);
  EXPECT_FALSE(line.expected.has_value());
  EXPECT_EQ(line.line, 4);
  EXPECT_FALSE(reader.Next(&line));
  EXPECT_TRUE(reader.status().ok());
  EXPECT_EQ(reader.trace().title, "t: t");
}

TEST(CodecTest, ResolvedOpsPrintLikeOps) {
  ResolvedOp op;
  op.kind = OpKind::kMmap;
  op.task = 3;
  op.thread = 2;
  op.at = 0x10000;
  op.size = 0x1000;
  op.prot = base::kProtRead;
  op.flags = kFlagPrivate;
  op.file_key = 0xabc;
  EXPECT_EQ(FormatResolvedOp(op),
            "s3/2.mmap 0x10000 0x1000 r-- private file key-0000000000000abc 0x0");
}

// The README's table is the generated one, so that it cannot fall behind.
TEST(CodecTest, ReadmeHasTheTable) {
  std::ifstream file("traces/README.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(OpTable()), std::string::npos) << "traces/README.md must contain:\n"
                                                           << OpTable();
}

class TraceFileTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return testing::TempDir() + "/" + name; }
};

TEST_F(TraceFileTest, WrittenTraceReadsBack) {
  Trace trace = *ParseTrace("# t: t\ns1 = space -> ok\n", "t");
  ASSERT_TRUE(WriteTraceFile(Path("a.trace"), trace).ok());
  absl::StatusOr<Trace> back = ReadTraceFile(Path("a.trace"));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, trace);
}

TEST_F(TraceFileTest, MissingFileIsNamed) {
  absl::Status status = ReadTraceFile(Path("missing.trace")).status();
  EXPECT_EQ(status.message(),
            Path("missing.trace") + ": cannot be opened: No such file or directory");
  absl::Status directory = ReadTraceFile(testing::TempDir()).status();
  EXPECT_NE(directory.message().find(": cannot be read: Is a directory"), std::string::npos)
      << directory;
}

TEST_F(TraceFileTest, FailedWriteLeavesNothing) {
  Trace trace = *ParseTrace("# t: t\n", "t");
  absl::Status status = WriteTraceFile(Path("no/such/directory/a.trace"), trace);
  EXPECT_NE(status.message().find("a.trace: cannot be written: No such file"), std::string::npos)
      << status;
  // A directory in the way: the rename fails, after the temporary file was complete.
  std::filesystem::path directory = Path("in_the_way");
  std::filesystem::create_directories(directory / "taken.trace");
  EXPECT_FALSE(WriteTraceFile((directory / "taken.trace").string(), trace).ok());
  auto left = std::filesystem::directory_iterator(directory);
  EXPECT_EQ(std::distance(begin(left), end(left)), 1) << "temporary file left behind";
}

TEST_F(TraceFileTest, OnlyRegularFilesAreReplaced) {
  Trace trace = *ParseTrace("# t: t\n", "t");
  const std::string fifo = Path("in_the_way.fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(WriteTraceFile(fifo, trace).message(),
            fifo + ": cannot be written: it is no regular file");
  EXPECT_EQ(std::filesystem::status(fifo).type(), std::filesystem::file_type::fifo);
  std::filesystem::remove(fifo);
}

TEST_F(TraceFileTest, TheTargetIsCheckedWithoutWriting) {
  EXPECT_TRUE(CheckTraceTarget(Path("not_yet.trace")).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("not_yet.trace")));
  EXPECT_EQ(CheckTraceTarget(Path("no/such/a.trace")).message(),
            Path("no/such/a.trace") + ": cannot be written: No such file or directory");
  EXPECT_EQ(CheckTraceTarget(testing::TempDir()).message(),
            testing::TempDir() + ": cannot be written: Is a directory");
}

}  // namespace
}  // namespace traces
