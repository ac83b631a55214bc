// The recorder, end to end, on this machine's own /bin/true and /bin/sh.

#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tools/import/import.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace tools {
namespace {

// Whether a process may trace its child here: not so in some containers.
bool TracingPermitted() {
  const pid_t pid = fork();
  if (pid == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class RecordTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TracingPermitted())
      GTEST_SKIP() << "ptrace is not permitted here: nothing can be recorded";
    // Everything temporary goes where this test can count it.
    dir_ = absl::StrCat(std::getenv("TEST_TMPDIR") == nullptr ? "/tmp" : std::getenv("TEST_TMPDIR"),
                        "/record.XXXXXX");
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
    setenv("TMPDIR", dir_.c_str(), 1);
    setenv("PATH", "/usr/bin:/bin", 1);
  }

  void TearDown() override {
    // rmdir fails if a recorder left anything behind.
    if (!dir_.empty()) {
      EXPECT_EQ(rmdir(dir_.c_str()), 0) << dir_;
    }
  }

  std::string dir_;
  ImportReport report_;
};

int Count(const traces::Trace& trace, traces::OpKind kind) {
  int count = 0;
  for (const traces::Line& line : trace.lines) count += line.op.kind == kind ? 1 : 0;
  return count;
}

TEST_F(RecordTest, TrueUnderStrace) {
  const auto trace = Record({.argv = {"true"}}, &report_);
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(report_.exit_status, 0);
  EXPECT_EQ(report_.processes, 1u);
  EXPECT_EQ(report_.execs_observed + report_.execs_inferred, 1u);
  EXPECT_GE(Count(*trace, traces::OpKind::kExecMap), 5);
  EXPECT_GE(Count(*trace, traces::OpKind::kMmap), 5);
  EXPECT_EQ(trace->lines.back().op.kind, traces::OpKind::kExit);
  EXPECT_TRUE(traces::ParseTrace(traces::FormatTrace(*trace), "true").ok());
}

TEST_F(RecordTest, AShellAndItsChildUnderStrace) {
  const auto trace = Record({.argv = {"sh", "-c", "/bin/true; exit 3"}}, &report_);
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(report_.exit_status, 3) << "reported, and no error";
  EXPECT_EQ(report_.processes, 2u);
  EXPECT_EQ(Count(*trace, traces::OpKind::kExit), 2);
}

TEST_F(RecordTest, AShellAndItsChildUnderLackey) {
  const auto trace = Record({.touches = true, .argv = {"sh", "-c", "/bin/true; exit 3"}}, &report_);
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(report_.exit_status, 3);
  EXPECT_EQ(report_.processes, 2u);
  EXPECT_EQ(Count(*trace, traces::OpKind::kFork), 1);
  EXPECT_EQ(Count(*trace, traces::OpKind::kExec), 1);
  EXPECT_EQ(Count(*trace, traces::OpKind::kExit), 2);
  EXPECT_GE(Count(*trace, traces::OpKind::kRead), 100);
  EXPECT_GE(Count(*trace, traces::OpKind::kWrite), 50);
  EXPECT_GE(Count(*trace, traces::OpKind::kFetch), 50);
  EXPECT_GE(report_.valgrind_regions, 1u);
  EXPECT_TRUE(report_.touches_outside.empty()) << report_.ToText();
  EXPECT_TRUE(traces::ParseTrace(traces::FormatTrace(*trace), "sh").ok());
}

// As ^C on a terminal, which goes to the recorder too.
TEST_F(RecordTest, AnInterruptIsForTheProgramAlone) {
  const std::string script = absl::StrCat("kill -INT ", getpid(), "; kill -INT $$; exit 3");
  for (const bool touches : {false, true}) {
    const auto trace = Record({.touches = touches, .argv = {"sh", "-c", script}}, &report_);
    ASSERT_TRUE(trace.ok()) << trace.status();
    EXPECT_EQ(report_.exit_status, 128 + SIGINT);
    EXPECT_EQ(trace->lines.back().op.kind, traces::OpKind::kExit) << touches;
    report_ = ImportReport();
  }
}

TEST_F(RecordTest, AProgramThatCannotBeExecutedIsNamed) {
  const std::string path = dir_ + "/script";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("#!/nonexistent/interpreter\n", file);
  std::fclose(file);
  chmod(path.c_str(), 0700);
  EXPECT_EQ(Record({.argv = {path}}, &report_).status().message(),
            path +
                ": expected a program that this machine can execute, found that strace cannot "
                "start it");
  EXPECT_EQ(Record({.touches = true, .argv = {path}}, &report_).status().message(),
            path +
                ": expected a program that this machine can execute, found that valgrind cannot "
                "start it");
  unlink(path.c_str());
}

TEST_F(RecordTest, MistakesAreOneSentence) {
  EXPECT_EQ(Record({.argv = {}}, &report_).status().message(),
            "expected a program to run after \"--\", found none");
  EXPECT_EQ(Record({.argv = {"no-such-program-here"}}, &report_).status().message(),
            "no-such-program-here: expected a program in PATH, found none");
  EXPECT_EQ(Record({.argv = {"/etc/passwd"}}, &report_).status().message(),
            "/etc/passwd: expected an executable file, found none");
  setenv("PATH", "/nonexistent", 1);
  EXPECT_EQ(Record({.argv = {"/bin/true"}}, &report_).status().message(),
            "strace: expected the program of that name, found none in PATH; install the Debian "
            "package strace");
  EXPECT_EQ(Record({.touches = true, .argv = {"/bin/true"}}, &report_).status().message(),
            "valgrind: expected the program of that name, found none in PATH; install the Debian "
            "package valgrind");
}

}  // namespace
}  // namespace tools
