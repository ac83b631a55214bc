// The parser of prefixes: good lines, and every kind of bad one.
#include "conform/prefixes.h"

#include <string>

#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kGood[] =
    "# file seq n: page states agree\n"
    "# another remark\n"
    "newmdb_4k 0 20\n"
    "oldmdb_self 99 0\n";

TEST(PrefixesTest, EachLineIsOnePrefix) {
  EXPECT_TRUE(LooksLikePrefixes(kGood));
  EXPECT_FALSE(LooksLikePrefixes("# suite=0\n"));
  const auto r = ParsePrefixes("p", kGood);
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->Count(), 2u);
  EXPECT_EQ(r->prefixes[0].recording, "newmdb_4k");
  EXPECT_EQ(r->prefixes[0].operations, 20u);
  EXPECT_EQ(r->prefixes[1].recording, "oldmdb_self");
  EXPECT_EQ(r->prefixes[1].sequence, 99u);
  EXPECT_EQ(r->prefixes[1].line, 4);
}

std::string Error(const std::string& text) {
  const auto r = ParsePrefixes("p", text);
  return r.ok() ? "" : std::string(r.status().message());
}

TEST(PrefixesTest, BadLinesAreErrorsWithTheirPlace) {
  const std::string head = "# file seq n:\n";
  EXPECT_EQ(Error("newmdb_4k 0 20\n"), "p:1: expected `# file seq n:`, found `newmdb_4k`");
  EXPECT_EQ(Error(head), "p:2: expected a prefix, found the end of the file");
  EXPECT_EQ(Error(head + "newmdb_4k 0 20"),
            "p:2: expected a whole line, found the end of the file");
  EXPECT_EQ(Error(head + "\n"), "p:2: expected a recording's name, found the end of the line");
  EXPECT_EQ(Error(head + "newmdb_4k\n"), "p:2: expected ` `, found the end of the line");
  EXPECT_EQ(Error(head + "../newmdb_4k 0 1\n"), "p:2: expected ` `, found `/newmdb_4k`");
  EXPECT_EQ(Error(head + "newmdb_4k x 20\n"),
            "p:2: expected a sequence number (0 to 4294967295), found `x`");
  EXPECT_EQ(Error(head + "newmdb_4k 0 20 1\n"), "p:2: expected the end of the line, found a blank");
  EXPECT_EQ(Error(head + "a \x1b[m\n"),
            "p:2: expected a sequence number (0 to 4294967295), found `\\x1b[m`");
  EXPECT_EQ(Error(head + "a 0 1\na 0 2\n"),
            "p:3: expected each sequence once, found the end of the line");
}

}  // namespace
}  // namespace conform
