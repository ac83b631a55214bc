#include "tools/policy/miss_plot.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace tools::policy {
namespace {

constexpr double kWidth = 1040, kHeight = 600;
constexpr double kLeft = 78, kRight = 796, kTop = 84, kBottom = 530;

struct Style {
  const char* colour;
  const char* dashes;
  char marker;  // o, s(quare), t(riangle), d(iamond), v, x, +
};

Style StyleOf(Method method) {
  switch (method) {
    case Method::kClock:
      return {"#0072b2", "", 'o'};
    case Method::kClockPlain:
      return {"#56b4e9", "7 4", 'd'};
    case Method::kClockPro:
      return {"#d55e00", "", 's'};
    case Method::kClockProAdaptive:
      return {"#e69f00", "7 4", 't'};
    case Method::kFifo:
      return {"#cc79a7", "", 'v'};
    case Method::kLru:
      return {"#009e73", "", '+'};
    case Method::kMin:
      return {"#222222", "2 3", 'x'};
  }
  return {"#000000", "", 'o'};
}

const char* LabelOf(Method method) {
  switch (method) {
    case Method::kClock:
      return "CLOCK";
    case Method::kClockPlain:
      return "CLOCK, all sorts alike";
    case Method::kClockPro:
      return "CLOCK-Pro";
    case Method::kClockProAdaptive:
      return "CLOCK-Pro, adaptive";
    case Method::kFifo:
      return "first in, first out";
    case Method::kLru:
      return "least recently used";
    case Method::kMin:
      return "optimum (MIN)";
  }
  return "";
}

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

// A step of 1, 2 or 5 times a power of ten, so that there are about `steps` up to `most`.
double NiceStep(double most, int steps) {
  double step = 1e-6;
  while (step * 10 * steps < most) step *= 10;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (step * factor * steps >= most) return step * factor;
  }
  return step * 10;
}

std::string Grouped(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

class Drawing {
 public:
  explicit Drawing(const MissPlot& plot) : plot_(plot) {
    uint64_t most = plot.first;
    uint32_t widest = std::max<uint32_t>(plot.peak, 1);
    for (const MissCurve& curve : plot.curves) {
      for (const auto& [frames, misses] : curve.points) {
        most = std::max(most, misses);
        widest = std::max(widest, frames);
      }
    }
    x_step_ = std::max(NiceStep(widest, 8), 1.0);
    x_most_ = widest;
    const double ratio = 100.0 * static_cast<double>(most) / Touches();
    y_step_ = NiceStep(std::max(ratio, 1e-3), 6);
    for (y_most_ = y_step_; y_most_ < ratio * 1.02; y_most_ += y_step_) {
    }
  }

  std::string Svg() {
    Begin();
    Forbidden();
    Axes();
    FirstTouches();
    for (const MissCurve& curve : plot_.curves) Curve(curve);
    Legend();
    out_ += "</svg>\n";
    return out_;
  }

 private:
  double Touches() const { return static_cast<double>(std::max<uint64_t>(plot_.touches, 1)); }
  double X(double frames) const { return kLeft + frames / x_most_ * (kRight - kLeft); }
  double YOfPercent(double percent) const { return kBottom - percent / y_most_ * (kBottom - kTop); }
  double Y(uint64_t misses) const {
    return YOfPercent(100.0 * static_cast<double>(misses) / Touches());
  }

  void Begin() {
    absl::StrAppendFormat(
        &out_,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" "
        "height=\"%g\" "
        "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif\" "
        "font-size=\"13\" fill=\"#222\">\n"
        "<title>%s: misses by frames</title>\n"
        "<rect width=\"%g\" height=\"%g\" fill=\"#fff\"/>\n",
        kWidth, kHeight, kWidth, kHeight, Escaped(plot_.title), kWidth, kHeight);
    Text(kLeft, 34, plot_.title, "start", "font-size=\"19\" font-weight=\"600\"");
    Text(kLeft, 56, plot_.subtitle, "start", "fill=\"#444\"");
  }

  void Text(double x, double y, const std::string& text, const char* anchor,
            const std::string& more = "") {
    absl::StrAppendFormat(&out_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>%s</text>\n", x,
                          y, anchor, more, Escaped(text));
  }
  void Line(double x1, double y1, double x2, double y2, const char* more) {
    absl::StrAppendFormat(&out_, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1,
                          y1, x2, y2, more);
  }

  void Axes() {
    for (double y = 0; y <= y_most_ * 1.0001; y += y_step_) {
      Line(kLeft, YOfPercent(y), kRight, YOfPercent(y),
           y == 0 ? "stroke=\"#222\"" : "stroke=\"#ddd\"");
      Text(kLeft - 9, YOfPercent(y) + 4.5, absl::StrFormat("%.6g%%", y), "end");
    }
    for (double x = 0; x <= x_most_ * 1.0001; x += x_step_) {
      Line(X(x), kBottom, X(x), kBottom + 5, "stroke=\"#222\"");
      Text(X(x), kBottom + 21, Grouped(static_cast<uint64_t>(x + 0.5)), "middle");
    }
    Line(kLeft, kTop, kLeft, kBottom, "stroke=\"#222\"");
    Text((kLeft + kRight) / 2, kBottom + 48, "frames of 4 KB", "middle");
    absl::StrAppendFormat(&out_,
                          "<text transform=\"translate(20 %.1f) rotate(-90)\" "
                          "text-anchor=\"middle\">misses, of all touches</text>\n",
                          (kTop + kBottom) / 2);
  }

  // What no policy can do.
  void Forbidden() {
    for (const MissCurve& curve : plot_.curves) {
      if (curve.method != Method::kMin || curve.points.empty()) continue;
      out_ += "<path fill=\"#f1f1f1\" d=\"M";
      absl::StrAppendFormat(&out_, "%.1f %.1f", X(curve.points.front().first), kBottom);
      for (const auto& [frames, misses] : curve.points)
        absl::StrAppendFormat(&out_, " L%.1f %.1f", X(frames), Y(misses));
      absl::StrAppendFormat(&out_, " L%.1f %.1f Z\"/>\n", X(curve.points.back().first), kBottom);
    }
  }

  void FirstTouches() {
    Line(kLeft, Y(plot_.first), kRight, Y(plot_.first), "stroke=\"#666\" stroke-dasharray=\"1 4\"");
    Text(kLeft + 8, Y(plot_.first) + (Y(plot_.first) > kBottom - 18 ? -6 : 15), "first touches",
         "start", "font-size=\"12\" fill=\"#444\"");
  }

  void Marker(double x, double y, const Style& style) {
    const char* c = style.colour;
    switch (style.marker) {
      case 'o':
        absl::StrAppendFormat(&out_, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x,
                              y, c);
        break;
      case 's':
        absl::StrAppendFormat(
            &out_, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7.6\" height=\"7.6\" fill=\"%s\"/>\n",
            x - 3.8, y - 3.8, c);
        break;
      case 't':
        Polygon(x, y, "0,-5 4.8,3.8 -4.8,3.8", c);
        break;
      case 'v':
        Polygon(x, y, "0,5 4.8,-3.8 -4.8,-3.8", c);
        break;
      case 'd':
        Polygon(x, y, "0,-5 4.6,0 0,5 -4.6,0", c);
        break;
      case 'x':
        absl::StrAppendFormat(&out_,
                              "<path d=\"M%.1f %.1f l7 7 m0 -7 l-7 7\" stroke=\"%s\" "
                              "stroke-width=\"1.6\"/>\n",
                              x - 3.5, y - 3.5, c);
        break;
      case '+':
        absl::StrAppendFormat(&out_,
                              "<path d=\"M%.1f %.1f v9 m-4.5 -4.5 h9\" stroke=\"%s\" "
                              "stroke-width=\"2\"/>\n",
                              x, y - 4.5, c);
        break;
      default:
        break;
    }
  }
  void Polygon(double x, double y, const char* points, const char* colour) {
    absl::StrAppendFormat(
        &out_, "<polygon transform=\"translate(%.1f %.1f)\" points=\"%s\" fill=\"%s\"/>\n", x, y,
        points, colour);
  }

  void Curve(const MissCurve& curve) {
    const Style style = StyleOf(curve.method);
    const bool whole = curve.method == Method::kLru && !plot_.lru.empty();
    const auto& points = whole ? plot_.lru : curve.points;
    out_ += "<polyline fill=\"none\" points=\"";
    for (const auto& [frames, misses] : points)
      absl::StrAppendFormat(&out_, "%.1f,%.1f ", X(frames), Y(misses));
    absl::StrAppendFormat(&out_,
                          "\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\"%s/>\n",
                          style.colour, Dashes(style));
    for (const auto& [frames, misses] : curve.points) Marker(X(frames), Y(misses), style);
  }
  static std::string Dashes(const Style& style) {
    return *style.dashes == '\0' ? "" : absl::StrCat(" stroke-dasharray=\"", style.dashes, "\"");
  }

  // Beside the curves, so that it hides none of them.
  void Legend() {
    constexpr double kRow = 23, kBox = 206;
    const double x = kWidth - kBox - 16, y = kTop;
    const double height = kRow * static_cast<double>(plot_.curves.size()) + 12;
    absl::StrAppendFormat(&out_,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"4\" "
                          "fill=\"#fff\" fill-opacity=\"0.92\" stroke=\"#ccc\"/>\n",
                          x, y, kBox, height);
    double row = y + 6 + kRow / 2;
    for (const MissCurve& curve : plot_.curves) {
      const Style style = StyleOf(curve.method);
      const std::string stroke =
          absl::StrCat("stroke=\"", style.colour, "\" stroke-width=\"2\"", Dashes(style));
      Line(x + 12, row, x + 44, row, stroke.c_str());
      Marker(x + 28, row, style);
      Text(x + 54, row + 4.5, LabelOf(curve.method), "start");
      row += kRow;
    }
  }

  const MissPlot& plot_;
  std::string out_;
  double x_most_ = 1, x_step_ = 1;  // frames
  double y_most_ = 1, y_step_ = 1;  // percent
};

}  // namespace

std::string MissPlotSvg(const MissPlot& plot) { return Drawing(plot).Svg(); }

}  // namespace tools::policy
