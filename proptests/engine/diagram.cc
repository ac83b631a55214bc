#include "proptests/engine/diagram.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/addr.h"
#include "model/world.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using base::kPageSize;
using traces::OpKind;

constexpr uint64_t kMostColumns = 160;  // more are not readable in any form

// The bytes that an operation names; empty for those that name none.
struct Extent {
  uint64_t start = 0;
  uint64_t end = 0;
};

Extent ExtentOf(const traces::ResolvedOp& op, const traces::Outcome& seen) {
  if (!traces::TakesPlace(op.kind)) return {};
  uint64_t at = op.at;
  uint64_t size = op.size;
  switch (op.kind) {
    case OpKind::kShmat:
      if (!seen.ok()) return {};
      at = seen.value;
      size = 1;
      break;
    case OpKind::kMmap:
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
    case OpKind::kVmRead:
      if (seen.ok()) at = seen.value;
      break;
    case OpKind::kVmCopy:
    case OpKind::kPeek:
      at = op.to;
      break;
    case OpKind::kMremap:
      if (seen.ok()) at = seen.value, size = op.new_size;
      break;
    case OpKind::kShmdt:
    case OpKind::kFetch:
    case OpKind::kVmRegion:
    case OpKind::kBrk:
    case OpKind::kExecBrk:
      size = 1;
      break;
    default:
      break;
  }
  if (at >= traces::kDefaultMapMax || size > traces::kDefaultMapMax - at) return {};
  return {base::TruncPage(at), base::RoundPage(at + size)};
}

char SymbolOf(const model::World& world, uint32_t task, uint64_t va) {
  switch (world.KindOfPage(task, va)) {
    case model::PageKind::kUnmapped:
      return '.';
    case model::PageKind::kUntouchedZero:
      return '0';
    case model::PageKind::kUntouchedFile:
      return 'f';
    case model::PageKind::kEither:
      return '?';
    case model::PageKind::kNothing:
      return '!';
    case model::PageKind::kOwned:
      break;
  }
  model::PageBytes bytes;
  world.PageContents(task, va, &bytes);
  // A letter that stands in a page of zeros, or fills it, names the page; anything richer is '#'.
  unsigned char letter = 0;
  for (unsigned char byte : bytes) {
    if (byte == 0 || byte == letter) continue;
    if (letter != 0) return '#';
    letter = byte;
  }
  if (letter == 0) return '0';
  return letter > ' ' && letter < 0x7f ? static_cast<char>(letter) : '#';
}

std::string XmlText(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

const char* FillFor(base::Prot prot, bool mapped) {
  if (!mapped) return "#f4f4f4";
  if (prot.IsNone()) return "#c8c8c8";
  if (prot.CanWrite()) return "#bfe3c0";
  if (prot.CanExecute()) return "#f7d9a8";
  return "#c3d7f2";
}

}  // namespace

// Runs the trace twice: the first time to learn which addresses matter, the second to draw.
class Diagram::Maker {
 public:
  Maker(const traces::Trace& trace, const DiagramOptions& options, Diagram* out)
      : trace_(trace), options_(options), out_(out) {}

  void Make() {
    out_->title_ = trace_.title;
    out_->total_ops_ = trace_.lines.size();
    Run([this](const traces::ResolvedOp& op, const traces::Outcome& seen, const traces::Line&,
               uint64_t) {
      NoteTask(op);
      Extent extent = ExtentOf(op, seen);
      if (extent.start == extent.end) return;
      edges_.insert(extent.start);
      edges_.insert(extent.end);
    });
    MakeColumns();
    Run([this](const traces::ResolvedOp& op, const traces::Outcome& seen, const traces::Line& line,
               uint64_t number) { Draw(op, seen, line, number); });
  }

 private:
  template <typename Visit>
  void Run(const Visit& visit) {
    world_ = std::make_unique<model::World>(model::World::Options{});
    uint64_t number = 0;
    uint64_t drawn = 0;
    for (const traces::Line& line : trace_.lines) {
      if (drawn >= options_.most_ops) break;
      ++number;
      traces::ResolvedOp op;
      if (!world_->Resolve(line.op, trace_.files, &op)) continue;
      model::Expectation right = world_->Expect(op);
      traces::Outcome seen = right.Canonical();
      if (line.expected && right.Accepts(*line.expected)) seen = *line.expected;
      world_->Adopt(op, seen);
      bool wanted = options_.task == 0 || op.task == options_.task || op.child == options_.task;
      if (number < options_.first || !wanted) continue;
      ++drawn;
      visit(op, seen, line, number);
    }
  }

  void NoteTask(const traces::ResolvedOp& op) {
    for (uint32_t label : {op.task, op.child}) {
      if (label == 0 || (options_.task != 0 && label != options_.task)) continue;
      std::vector<uint32_t>& tasks = out_->tasks_;
      if (std::find(tasks.begin(), tasks.end(), label) == tasks.end()) tasks.push_back(label);
    }
  }

  // A page of a stretch that operations tell apart is a column; a long stretch is one column as a
  // whole.
  void MakeColumns() {
    constexpr uint64_t kLong = 6;
    std::vector<Column>& columns = out_->columns_;
    uint64_t before = 0;
    for (auto it = edges_.begin(); it != edges_.end() && std::next(it) != edges_.end(); ++it) {
      uint64_t pages = (*std::next(it) - *it) / kPageSize;
      bool gap = before != 0 && before != *it;
      bool whole = pages > kLong || columns.size() + pages > kMostColumns;
      for (uint64_t i = 0; i < (whole ? 1 : pages); ++i) {
        columns.push_back({*it + i * kPageSize, whole ? pages : 1, gap && i == 0});
      }
      before = *std::next(it);
      if (columns.size() >= kMostColumns) break;
    }
  }

  void Draw(const traces::ResolvedOp& op, const traces::Outcome& seen, const traces::Line& line,
            uint64_t number) {
    Row row;
    row.number = number;
    row.op = traces::FormatOp(line.op, trace_.files);
    row.outcome = traces::FormatOutcome(op.kind, seen);
    for (uint32_t task : out_->tasks_) row.strips.push_back(StripOf(task));
    uint32_t acting = op.task != 0 ? op.task : op.child;
    Extent extent = ExtentOf(op, seen);
    for (size_t i = 0; i < out_->tasks_.size(); ++i) {
      if (out_->tasks_[i] == acting) row.task = i;
    }
    const std::vector<Column>& columns = out_->columns_;
    while (row.touched_begin < columns.size() && columns[row.touched_begin].start < extent.start)
      ++row.touched_begin;
    row.touched_end = row.touched_begin;
    while (row.touched_end < columns.size() && columns[row.touched_end].start < extent.end)
      ++row.touched_end;
    out_->rows_.push_back(std::move(row));
  }

  Strip StripOf(uint32_t task) const {
    Strip strip;
    strip.alive = world_->IsLive(task);
    if (!strip.alive) return strip;
    strip.cells.resize(out_->columns_.size());
    size_t i = 0;
    const std::vector<Column>& columns = out_->columns_;
    world_->ForEachRange(task, [&](base::Range range, const model::Attributes& attributes) {
      while (i < columns.size() && columns[i].start < range.start.value()) ++i;
      for (; i < columns.size() && columns[i].start < range.end.value(); ++i) {
        strip.cells[i].mapped = true;
        strip.cells[i].prot = attributes.prot;
      }
    });
    for (size_t c = 0; c < columns.size(); ++c) {
      Cell& cell = strip.cells[c];
      cell.symbol = SymbolOf(*world_, task, columns[c].start);
      if (cell.mapped && cell.prot.IsNone()) cell.symbol = '-';
    }
    return strip;
  }

  const traces::Trace& trace_;
  const DiagramOptions& options_;
  Diagram* const out_;
  std::unique_ptr<model::World> world_;
  std::set<uint64_t> edges_;
};

Diagram::Diagram(const traces::Trace& trace, const DiagramOptions& options) {
  Maker(trace, options, this).Make();
}

size_t Diagram::OpWidth() const {
  size_t width = 9;
  for (const Row& row : rows_) width = std::max(width, row.op.size());
  return std::min<size_t>(width, 64);
}

// Two lines: addresses where there is room for them, and a tick below each.
std::string Diagram::Ruler() const {
  std::string labels;
  std::string ticks;
  for (size_t task = 0; task < tasks_.size(); ++task) {
    std::string label(Pitch(), ' ');
    std::string tick(Pitch(), ' ');
    size_t free_from = 0;
    for (size_t i = 0; i < columns_.size(); ++i) {
      std::string address = absl::StrFormat("0x%x", columns_[i].start);
      size_t at = i * 2 + 1;
      if (at < free_from || at + address.size() > label.size()) continue;
      label.replace(at, address.size(), address);
      tick[at] = '|';
      free_from = at + address.size() + 1;
    }
    labels += label;
    ticks += tick;
  }
  std::string indent(OpWidth() + 8, ' ');
  return absl::StrCat(indent, labels, "\n", indent, ticks, "\n");
}

std::string Diagram::StripText(const Row& row, size_t task) const {
  const Strip& strip = row.strips[task];
  std::string text(Pitch(), ' ');
  if (!strip.alive) return text;
  for (size_t i = 0; i < columns_.size(); ++i) {
    text[i * 2 + 1] = strip.cells[i].symbol;
    if (columns_[i].after_gap) text[i * 2] = ':';
  }
  if (row.task == task && row.touched_begin < row.touched_end) {
    text[row.touched_begin * 2] = '[';
    text[row.touched_end * 2] = ']';
  }
  return text;
}

std::string Diagram::Text() const {
  std::string text = title_.empty() ? "" : absl::StrCat("# ", title_, "\n");
  size_t width = OpWidth();
  std::string names(width + 8, ' ');
  for (uint32_t task : tasks_) {
    std::string name = absl::StrCat(" s", task);
    name.resize(std::max(name.size(), Pitch()), ' ');
    names += name;
  }
  absl::StrAppend(&text, names, "\n", Ruler());
  for (const Row& row : rows_) {
    std::string op = row.op.substr(0, width);
    op.resize(width, ' ');
    absl::StrAppend(&text, absl::StrFormat("%5d  %s ", row.number, op));
    for (size_t task = 0; task < tasks_.size(); ++task)
      absl::StrAppend(&text, StripText(row, task));
    absl::StrAppend(&text, " -> ", row.outcome, "\n");
  }
  absl::StrAppend(
      &text,
      "\n[ ] pages that the operation names   .  unmapped   -  no rights   0  zeros   f  file "
      "bytes\n"
      "A   bytes 'A'   #  several values   ?  given up by MADV_FREE   !  no page   :  addresses "
      "left out\n");
  if (!rows_.empty() && rows_.back().number < total_ops_) {
    absl::StrAppend(&text, "(", total_ops_ - rows_.back().number,
                    " more operations are not shown)\n");
  }
  return text;
}

std::string Diagram::Svg() const {
  constexpr int kCell = 16;
  constexpr int kLine = 20;
  constexpr int kCharacter = 8;  // of the 13 px monospace face
  const int left = static_cast<int>(OpWidth() + 8) * kCharacter;
  const int strip = static_cast<int>(columns_.size()) * kCell + 3 * kCell;
  const int drawing = left + strip * static_cast<int>(tasks_.size()) + 160;
  const int width = std::max(drawing, 16 + kCharacter * static_cast<int>(title_.size()));
  const int top = 3 * kLine;
  const int height = top + kLine * static_cast<int>(rows_.size() + 1);
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
      "font-family=\"monospace\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" "
      "fill=\"white\"/>\n"
      "<text x=\"8\" y=\"%d\" font-weight=\"bold\">%s</text>\n",
      width, height, width, height, kLine - 4, XmlText(title_));
  for (size_t t = 0; t < tasks_.size(); ++t) {
    int x = left + strip * static_cast<int>(t);
    absl::StrAppendFormat(&svg, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">s%d</text>\n", x,
                          2 * kLine - 4, tasks_[t]);
    if (columns_.empty()) continue;
    absl::StrAppendFormat(&svg, "<text x=\"%d\" y=\"%d\" font-size=\"11\">0x%x</text>\n", x,
                          3 * kLine - 6, columns_.front().start);
  }
  int y = top;
  for (const Row& row : rows_) {
    absl::StrAppendFormat(&svg, "<text x=\"8\" y=\"%d\" xml:space=\"preserve\">%4d  %s</text>\n",
                          y + kLine - 6, row.number, XmlText(row.op.substr(0, OpWidth())));
    for (size_t t = 0; t < tasks_.size(); ++t) {
      const Strip& cells = row.strips[t];
      for (size_t i = 0; i < cells.cells.size(); ++i) {
        const Cell& cell = cells.cells[i];
        int x = left + strip * static_cast<int>(t) + static_cast<int>(i) * kCell;
        bool touched = row.task == t && i >= row.touched_begin && i < row.touched_end;
        absl::StrAppendFormat(&svg,
                              "<g><title>s%d 0x%x%s %s</title><rect x=\"%d\" y=\"%d\" width=\"%d\" "
                              "height=\"%d\" fill=\"%s\" "
                              "stroke=\"%s\" stroke-width=\"%d\"/>",
                              tasks_[t], columns_[i].start,
                              columns_[i].pages > 1
                                  ? absl::StrCat(" and ", columns_[i].pages - 1, " pages more")
                                  : "",
                              cell.mapped ? base::ProtName(cell.prot) : "unmapped", x + 1, y + 2,
                              kCell - 2, kLine - 4, FillFor(cell.prot, cell.mapped),
                              touched ? "#c02020" : "#999999", touched ? 2 : 1);
        if (cell.symbol != '.') {
          absl::StrAppendFormat(&svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>",
                                x + kCell / 2, y + kLine - 6, XmlText(std::string(1, cell.symbol)));
        }
        absl::StrAppend(&svg, "</g>\n");
      }
    }
    absl::StrAppendFormat(&svg, "<text x=\"%d\" y=\"%d\">%s</text>\n",
                          left + strip * static_cast<int>(tasks_.size()), y + kLine - 6,
                          XmlText(row.outcome));
    y += kLine;
  }
  absl::StrAppend(&svg, "</svg>\n");
  return svg;
}

std::string Diagram::Html() const {
  return absl::StrCat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
                      XmlText(title_),
                      "</title>\n<style>body { font-family: sans-serif; margin: 1em } i { padding: "
                      "0 .6em; margin-left: 1em }</style>"
                      "</head>\n<body>\n<p>One row an operation, one square a page (or a stretch "
                      "that nothing tells apart), outlined where"
                      " the operation acts. Letters are contents: 0 zeros, f the file's bytes, # "
                      "several values, ? given up by MADV_FREE, ! no page to be had."
                      " Rights: <i style=\"background:#bfe3c0\">writable</i><i "
                      "style=\"background:#c3d7f2\">readable</i>"
                      "<i style=\"background:#f7d9a8\">executable</i><i "
                      "style=\"background:#c8c8c8\">none</i></p>\n",
                      Svg(), "</body></html>\n");
}

}  // namespace proptests
