#include "base/errors.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

// Names stand in traces, so they are distinct, parseable (no blanks) and never change.
template <typename E>
void ExpectDistinctNames(const char* (*name)(E), int count) {
  std::set<std::string> seen;
  for (int code = 0; code < count; ++code) {
    std::string text = name(static_cast<E>(code));
    EXPECT_NE(text, "?") << code;
    EXPECT_EQ(text.find(' '), std::string::npos);
    EXPECT_TRUE(seen.insert(text).second) << text;
  }
  EXPECT_STREQ(name(static_cast<E>(count)), "?");
}

TEST(ErrorsTest, DenseFamiliesHaveDistinctNames) {
  ExpectDistinctNames<MapError>(MapErrorName, 11);
  ExpectDistinctNames<FaultError>(FaultErrorName, 6);
  ExpectDistinctNames<FaultCode>(FaultCodeName, 9);
}

TEST(ErrorsTest, KernReturnsHaveMachsNumbersAndNames) {
  struct Row {
    int number;
    const char* name;
  };
  for (const Row& row :
       {Row{0, "KERN_SUCCESS"}, Row{1, "KERN_INVALID_ADDRESS"}, Row{2, "KERN_PROTECTION_FAILURE"},
        Row{3, "KERN_NO_SPACE"}, Row{4, "KERN_INVALID_ARGUMENT"}, Row{5, "KERN_FAILURE"},
        Row{6, "KERN_RESOURCE_SHORTAGE"}, Row{8, "KERN_NO_ACCESS"}, Row{9, "KERN_MEMORY_FAILURE"},
        Row{10, "KERN_MEMORY_ERROR"}, Row{16, "KERN_INVALID_TASK"}, Row{22, "KERN_INVALID_HOST"},
        Row{7, "?"}, Row{-1, "?"}}) {
    EXPECT_STREQ(KernReturnName(static_cast<KernReturn>(row.number)), row.name);
  }
}

TEST(ErrorsTest, ErrnosHaveNetBsdsNumbersAndNames) {
  struct Row {
    int number;
    const char* name;
  };
  for (const Row& row :
       {Row{0, "ok"}, Row{1, "EPERM"}, Row{2, "ENOENT"}, Row{5, "EIO"}, Row{7, "E2BIG"},
        Row{9, "EBADF"}, Row{12, "ENOMEM"}, Row{13, "EACCES"}, Row{14, "EFAULT"}, Row{16, "EBUSY"},
        Row{19, "ENODEV"}, Row{22, "EINVAL"}, Row{27, "EFBIG"}, Row{35, "EAGAIN"},
        Row{84, "EOVERFLOW"}, Row{3, "ESRCH"}, Row{4, "?"}}) {
    EXPECT_STREQ(ErrnoName(static_cast<Errno>(row.number)), row.name);
  }
}

TEST(ErrorsTest, SomeNamesThatTracesUse) {
  EXPECT_STREQ(MapErrorName(MapError::kNoSpace), "no_space");
  EXPECT_STREQ(FaultErrorName(FaultError::kPastEnd), "past_end");
  EXPECT_STREQ(FaultCodeName(FaultCode::kSegvMapErr), "SEGV_MAPERR");
  EXPECT_STREQ(FaultCodeName(FaultCode::kMachProtection), "EXC_BAD_ACCESS_PROTECTION_FAILURE");
}

}  // namespace
}  // namespace base
