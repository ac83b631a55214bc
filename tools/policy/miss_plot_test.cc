#include "tools/policy/miss_plot.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tools::policy {
namespace {

MissPlot Plot() {
  MissPlot plot;
  plot.title = "a<b>&\"c\".trace";
  plot.subtitle = "1,000 touches";
  plot.touches = 1000;
  plot.first = 100;
  plot.peak = 80;
  for (const Method method : kMethods)
    plot.curves.push_back({method, {{20, 400}, {40, 250}, {80, 100}}});
  plot.lru = {{20, 400}, {30, 300}, {80, 100}};
  return plot;
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(MissPlotTest, ElementsAreClosed) {
  const std::string svg = MissPlotSvg(Plot());
  EXPECT_TRUE(absl::StartsWith(svg, "<svg "));
  EXPECT_TRUE(absl::EndsWith(svg, "</svg>\n"));
  for (const char* element : {"text", "title", "svg"})
    EXPECT_EQ(
        Count(svg, absl::StrCat("<", element, " ")) + Count(svg, absl::StrCat("<", element, ">")),
        Count(svg, absl::StrCat("</", element, ">")))
        << element;
  EXPECT_EQ(Count(svg, "\"") % 2, 0);
}

TEST(MissPlotTest, NamesAreEscaped) {
  const std::string svg = MissPlotSvg(Plot());
  EXPECT_TRUE(absl::StrContains(svg, "a&lt;b&gt;&amp;&quot;c&quot;.trace"));
  EXPECT_FALSE(absl::StrContains(svg, "a<b>"));
}

TEST(MissPlotTest, EachMethodHasALineAndALabel) {
  const std::string svg = MissPlotSvg(Plot());
  EXPECT_EQ(Count(svg, "<polyline"), 7);
  for (const char* label :
       {">CLOCK<", ">CLOCK, all sorts alike<", ">CLOCK-Pro<", ">CLOCK-Pro, adaptive<",
        ">first in, first out<", ">least recently used<", ">optimum (MIN)<", ">first touches<"})
    EXPECT_EQ(Count(svg, label), 1) << label;
}

// 20 of 80 frames, 400 misses of 1,000 on an axis up to 50%.
TEST(MissPlotTest, PointsLieWhereTheAxesSay) {
  const std::string svg = MissPlotSvg(Plot());
  EXPECT_TRUE(absl::StrContains(svg, "points=\"257.5,173.2 "));
  EXPECT_TRUE(absl::StrContains(svg, ">50%<"));
  EXPECT_TRUE(absl::StrContains(svg, ">40%<"));
  EXPECT_TRUE(absl::StrContains(svg, ">80<"));
  EXPECT_FALSE(absl::StrContains(svg, "nan"));
  EXPECT_FALSE(absl::StrContains(svg, "inf"));
}

TEST(MissPlotTest, OnePointOrNoMissesAreDrawnToo) {
  MissPlot plot = Plot();
  plot.lru.clear();
  plot.curves = {{Method::kLru, {{1, 0}}}};
  plot.first = plot.peak = 0;
  const std::string svg = MissPlotSvg(plot);
  EXPECT_FALSE(absl::StrContains(svg, "nan"));
  EXPECT_FALSE(absl::StrContains(svg, "inf"));
  EXPECT_EQ(Count(svg, "<polyline"), 1);
}

}  // namespace
}  // namespace tools::policy
