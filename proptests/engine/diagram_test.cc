#include "proptests/engine/diagram.h"

#include <gtest/gtest.h>

#include "traces/codec.h"

namespace proptests {
namespace {

traces::Trace Parse(const std::string& lines) {
  auto trace =
      traces::ParseTrace("# cow.trace: a child's write stays its own\n" + lines, "cow.trace");
  if (!trace.ok()) ADD_FAILURE() << trace.status();
  return trace.ok() ? *trace : traces::Trace();
}

constexpr const char* kLines =
    "s1 = space\n"
    "s1.mmap 0x1000 0x3000 rw- private,fixed\n"
    "s1.write 0x2000 1 'B'\n"
    "s2 = s1.fork\n"
    "s2.write 0x2000 1 'x'\n"
    "s1.mprotect 0x1000 0x1000 ---\n"
    "s1.munmap 0x3000 0x1000\n";

TEST(DiagramTest, RowsShowOperationsAndPages) {
  Diagram diagram(Parse(kLines), {});
  EXPECT_EQ(
      diagram.Text(),
      "# cow.trace: a child's write stays its own\n"
      "                                                s1       s2      \n"
      "                                                0x1000   0x1000  \n"
      "                                                |        |       \n"
      "    1  s1 = space                               . . .             -> ok\n"
      "    2  s1.mmap 0x1000 0x3000 rw- private,fixed [0 0 0]            -> 0x1000\n"
      "    3  s1.write 0x2000 1 'B'                    0[B]0             -> ok\n"
      "    4  s2 = s1.fork                             0 B 0    0 B 0    -> ok\n"
      "    5  s2.write 0x2000 1 'x'                    0 B 0    0[x]0    -> ok\n"
      "    6  s1.mprotect 0x1000 0x1000 ---           [-]B 0    0 x 0    -> ok\n"
      "    7  s1.munmap 0x3000 0x1000                  - B[.]   0 x 0    -> ok\n"
      "\n"
      "[ ] pages that the operation names   .  unmapped   -  no rights   0  zeros   f  file bytes\n"
      "A   bytes 'A'   #  several values   ?  given up by MADV_FREE   !  no page   :  addresses "
      "left out\n");
}

TEST(DiagramTest, AWindowOfTheTraceAndOneTask) {
  DiagramOptions options;
  options.first = 3;
  options.most_ops = 2;
  options.task = 1;
  std::string text = Diagram(Parse(kLines), options).Text();
  EXPECT_EQ(text.find("s1 = space"), std::string::npos) << text;
  EXPECT_NE(text.find("    3  s1.write"), std::string::npos) << text;
  EXPECT_NE(text.find("    4  s2 = s1.fork"), std::string::npos) << text;
  EXPECT_EQ(text.find("s2.write"), std::string::npos) << text;
  EXPECT_NE(text.find("(3 more operations are not shown)"), std::string::npos) << text;
}

TEST(DiagramTest, PicturesAreWellFormedAndSelfContained) {
  Diagram diagram(Parse(kLines), {});
  std::string svg = diagram.Svg();
  EXPECT_EQ(svg.substr(0, 5), "<svg ");
  EXPECT_NE(svg.find("</svg>\n"), std::string::npos);
  EXPECT_EQ(svg.find("child's write stays its own\"<"), std::string::npos);
  EXPECT_EQ(svg.find("href"), std::string::npos);
  size_t opened = 0;
  size_t closed = 0;
  for (size_t at = 0; (at = svg.find("<g>", at)) != std::string::npos; ++at) ++opened;
  for (size_t at = 0; (at = svg.find("</g>", at)) != std::string::npos; ++at) ++closed;
  EXPECT_EQ(opened, closed);
  // 7 rows of 3 pages in s1, 4 of them in s2 too.
  EXPECT_EQ(opened, 7u * 3 + 4 * 3);
  EXPECT_NE(diagram.Html().find(svg), std::string::npos);
}

TEST(DiagramTest, ATraceWithoutAddressesIsDrawnToo) {
  EXPECT_NE(Diagram(Parse("s1 = space\ns1.exit\n"), {}).Text().find("s1.exit"), std::string::npos);
  EXPECT_NE(Diagram(Parse(""), {}).Text().find("# cow.trace"), std::string::npos);
}

}  // namespace
}  // namespace proptests
