// Traces as pictures of what they touch: a letter a page in the order of first use, capital when
// written, "-x" when page x goes.
#include "tools/policy/touch_reader.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tools::policy {
namespace {

std::string Picture(const std::string& lines) {
  const absl::StatusOr<TouchTrace> trace =
      ReadTouches(absl::StrCat("# t: a test\n", lines), "t.trace");
  if (!trace.ok()) return std::string(trace.status().message());
  std::string text;
  for (size_t i = 0; i < trace->touches.size(); ++i) {
    const Touch touch = trace->touches[i];
    if (touch.kind == TouchKind::kGone) text += '-';
    text += static_cast<char>((touch.kind == TouchKind::kWrite ? 'A' : 'a') +
                              static_cast<int>(touch.page));
  }
  return text;
}

constexpr char kMapped[] =
    "s1 = space -> ok\n"
    "s1.mmap 0x10000 0x4000 rw- private,fixed -> 0x10000\n";

TEST(TouchReaderTest, PagesAreNumberedByFirstUse) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.read 0x11000 8 -> 0x0\ns1.write 0x10010 8 'x' -> ok\n"
                                 "s1.read 0x11fff 1 -> 0x0\n")),
            "aBa");
}

TEST(TouchReaderTest, AnAccessMayTouchSeveralPages) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped, "s1.read 0x10ffe 8192 -> 0x0\n")), "abc");
}

TEST(TouchReaderTest, WhatIsUnmappedGoes) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.write 0x10000 1 'x' -> ok\ns1.write 0x12000 1 'x' -> ok\n"
                                 "s1.munmap 0x10000 0x1000 -> ok\ns1.exit -> ok\n")),
            "AB-a-b");
}

TEST(TouchReaderTest, MappingOverSomethingUnmapsIt) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.write 0x10000 1 'x' -> ok\n"
                                 "s1.mmap 0x10000 0x1000 rw- private,fixed -> 0x10000\n"
                                 "s1.read 0x10000 1 -> 0x0\n")),
            "A-ab");
}

TEST(TouchReaderTest, ForksShareUntilOneWrites) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.write 0x10000 1 'x' -> ok\ns2 = s1.fork -> ok\n"
                                 "s2.read 0x10000 1 -> 'x'\ns1.write 0x10000 1 'y' -> ok\n"
                                 "s2.write 0x10000 1 'z' -> ok\ns2.exit -> ok\n")),
            "AaaBA-a");
}

TEST(TouchReaderTest, SharedMemoryStaysSharedAcrossAFork) {
  EXPECT_EQ(Picture("s1 = space -> ok\n"
                    "s1.mmap 0x10000 0x2000 rw- shared,fixed -> 0x10000\n"
                    "s1.write 0x10000 1 'x' -> ok\ns2 = s1.fork -> ok\n"
                    "s2.write 0x10000 1 'y' -> ok\ns2.write 0x11000 1 'y' -> ok\n"
                    "s1.read 0x11000 1 -> 'y'\n"),
            "AABb");
}

TEST(TouchReaderTest, AFileIsOnePageForAllWhoMapIt) {
  EXPECT_EQ(Picture("s1 = space -> ok\ns2 = space -> ok\n"
                    "s1.mmap 0x10000 0x2000 r-- private,fixed file f 0x1000 -> 0x10000\n"
                    "s2.mmap 0x20000 0x3000 rw- private,fixed file f 0x0 -> 0x20000\n"
                    "s1.read 0x10000 1 -> 0x0\ns2.read 0x21000 1 -> 0x0\n"
                    "s2.write 0x21000 1 'x' -> ok\ns2.exit -> ok\ns1.read 0x10000 1 -> 0x0\n"),
            "aaaB-ba");
}

TEST(TouchReaderTest, PagesOfFilesHaveSorts) {
  const absl::StatusOr<TouchTrace> trace = ReadTouches(
      "# t: a test\ns1 = space -> ok\n"
      "s1.mmap 0x10000 0x1000 r-x private,fixed file f 0x0 -> 0x10000\n"
      "s1.mmap 0x20000 0x1000 r-- private,fixed file g 0x0 -> 0x20000\n"
      "s1.mmap 0x30000 0x1000 rw- private,fixed -> 0x30000\n"
      "s1.fetch 0x10000 -> ok\ns1.read 0x20000 1 -> 0x0\ns1.read 0x30000 1 -> 0x0\n",
      "t.trace");
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(trace->touches.sort(0), PageSort::kExecutable);
  EXPECT_EQ(trace->touches.sort(1), PageSort::kFile);
  EXPECT_EQ(trace->touches.sort(2), PageSort::kAnonymous);
  EXPECT_EQ(trace->touches.peak(), 3u);
}

TEST(TouchReaderTest, TheHeapGrowsAndShrinks) {
  EXPECT_EQ(Picture("s1 = space -> ok\ns1.exec_brk 0x50000 -> ok\ns1.brk 0x52000 -> ok\n"
                    "s1.write 0x50000 1 'x' -> ok\ns1.write 0x51000 1 'x' -> ok\n"
                    "s1.brk 0x51000 -> ok\ns1.read 0x50000 1 -> 'x'\n"),
            "AB-ba");
}

TEST(TouchReaderTest, MovedMemoryKeepsItsPages) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.write 0x10000 1 'x' -> ok\n"
                                 "s1.mremap 0x10000 0x4000 0x80000 0x4000 fixed -> 0x80000\n"
                                 "s1.read 0x80000 1 -> 'x'\n")),
            "Aa");
}

TEST(TouchReaderTest, DiscardedPagesAreNewAfterwards) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped,
                                 "s1.write 0x10000 1 'x' -> ok\n"
                                 "s1.linux_dontneed 0x10000 0x1000 -> ok\n"
                                 "s1.read 0x10000 1 -> 0x0\n")),
            "A-ab");
}

TEST(TouchReaderTest, WhatFailedTouchesNothing) {
  EXPECT_EQ(Picture(absl::StrCat(kMapped, "s1.read 0x90000 1 -> SEGV_MAPERR 0x90000\n")), "");
}

TEST(TouchReaderTest, BadTracesAreOneSentence) {
  EXPECT_EQ(Picture("s1.read 0x10000 1\n"), "t.trace:2: there is no task s1");
  EXPECT_TRUE(absl::StrContains(Picture("s1 = space\ns1.read r0+0x0 1\n"),
                                "t.trace:3: a relative operand"));
  EXPECT_EQ(Picture("s1 = space\ns1.mmap 0x0 0x1000 rw- private\n"),
            "t.trace:3: the trace does not say where memory was mapped");
  EXPECT_TRUE(absl::StrContains(Picture("nonsense\n"), "t.trace:2"));
  EXPECT_FALSE(ReadTouchFile("/nowhere/at/all.trace").ok());
  EXPECT_FALSE(ReadTouchFile("/dev/null").ok());
}

}  // namespace
}  // namespace tools::policy
