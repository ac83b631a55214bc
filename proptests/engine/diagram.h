// proptests/engine/diagram.h: operations against an address ruler, as text and as a picture.
//
// WHAT     The model executes the operations; after each, one strip a task shows what its pages
//          hold. One column is one page, or a stretch that no operation tells apart. Worked example
//          (s2 is the child of s1):
//
//                                      s1            s2
//                                      0x1000        0x1000
//              1  s1 = space           . . . .
//              2  s1.mmap 0x1000 0x3000 [0 0 0].
//              3  s1.write 0x2000 1 'B'  0[B]0 .
//              4  s2 = s1.fork          0 B 0 .      [0 B 0 .]
//
//          Brackets: the pages that the operation names, in the task that acts.
//          .  nothing mapped    -  mapped without rights    0  zeros    f  the file's bytes
//          A  bytes 'A' (and zeros or file bytes)    #  several values    ?  given up by MADV_FREE
// SEE      house.md 4.11.

#ifndef PROPTESTS_ENGINE_DIAGRAM_H_
#define PROPTESTS_ENGINE_DIAGRAM_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/prot.h"
#include "traces/trace.h"

namespace proptests {

struct DiagramOptions {
  uint64_t first = 1;  // 1-based operation that the picture starts with; earlier ones are executed
  uint64_t most_ops = 200;
  uint32_t task = 0;  // only this one; 0 = all
};

class Diagram {
 public:
  // Runs `trace` in the model.
  Diagram(const traces::Trace& trace, const DiagramOptions& options);

  std::string Text() const;
  std::string Svg() const;
  // The picture in a page of its own, with the legend; refers to nothing outside.
  std::string Html() const;

 private:
  struct Column {
    uint64_t start = 0;
    uint64_t pages = 1;
    bool after_gap = false;  // the column before it is not its neighbour
  };
  struct Cell {
    char symbol = ' ';
    base::Prot prot;
    bool mapped = false;
  };
  struct Strip {
    bool alive = false;
    std::vector<Cell> cells;
  };
  struct Row {
    uint64_t number = 0;
    std::string op;
    std::string outcome;
    std::vector<Strip> strips;  // one a task, as tasks_
    size_t task = 0;            // index into tasks_ whose pages are touched
    size_t touched_begin = 0;   // columns [begin, end)
    size_t touched_end = 0;
  };
  class Maker;

  std::string Ruler() const;
  std::string StripText(const Row& row, size_t task) const;
  // Characters from one strip to the next; at least what an address takes.
  size_t Pitch() const { return std::max<size_t>(columns_.size() * 2 + 3, 9); }
  size_t OpWidth() const;

  std::string title_;
  std::vector<Column> columns_;
  std::vector<uint32_t> tasks_;
  std::vector<Row> rows_;
  uint64_t total_ops_ = 0;
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_DIAGRAM_H_
