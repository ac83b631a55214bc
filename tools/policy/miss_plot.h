// tools/policy/miss_plot.h: miss curves as a picture.
//
// WHAT     Miss ratio over frames, one line a method; LRU is known for every size and drawn so. The
//          area below the optimum is grey: nobody gets there. Lines differ in colour (the palette
//          of Okabe and Ito, for all kinds of sight), in marker and in dashes.

#ifndef TOOLS_POLICY_MISS_PLOT_H_
#define TOOLS_POLICY_MISS_PLOT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tools/policy/policy_sim.h"

namespace tools::policy {

struct MissCurve {
  Method method;
  // Frames, misses; rising in frames.
  std::vector<std::pair<uint32_t, uint64_t>> points;
};

struct MissPlot {
  std::string title;     // the trace
  std::string subtitle;  // how long it is
  uint64_t touches = 0;  // at least 1
  uint64_t first = 0;    // misses that are first touches
  uint32_t peak = 0;     // frames with which nothing is ever replaced
  std::vector<MissCurve> curves;
  // LRU for many sizes; empty: not wanted.
  std::vector<std::pair<uint32_t, uint64_t>> lru;
};

// A whole SVG file. Text is escaped.
std::string MissPlotSvg(const MissPlot& plot);

}  // namespace tools::policy

#endif  // TOOLS_POLICY_MISS_PLOT_H_
