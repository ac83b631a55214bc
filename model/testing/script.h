// model/testing/script.h: a world driven by lines of trace text, and drawn as pictures.
//
// WHAT     Tests say what happens in the text form of traces (traces/README.md) and look at
//          strings. The usual map is `space 0x9000`: eight pages, 0x1000 to 0x8fff, drawn as eight
//          characters.
//
//              script.Run("s1 = space 0x9000\n"
//                         "s1.mmap 0x1000 0x2000 rw- private,fixed -> 0x1000\n"
//                         "s1.write 0x1000 4096 'A' -> ok\n");
//              EXPECT_EQ(script.Contents(), "A0......");
//
// SEE      house.md 4.9.

#ifndef MODEL_TESTING_SCRIPT_H_
#define MODEL_TESTING_SCRIPT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "model/world.h"

namespace model {

class Script {
 public:
  explicit Script(const World::Options& options = {}) : world_(options) {}

  // Runs the lines. An expectation in a line must be among the right outcomes, and is adopted; a
  // line without one gets the canonical outcome. Mistakes fail the test with line and reason.
  void Run(absl::string_view lines);
  // Every outcome that is right for `line` now, as text; nothing happens. Fails the test when it
  // cannot be executed.
  std::string Expected(absl::string_view line);
  // True when the line's outcome is among the right ones; nothing happens.
  bool Accepts(absl::string_view line_with_outcome);

  // One character a page, live tasks in the order of their births joined by '|'.
  // Contents: the byte when the page is full of one printable byte; '0' zeros; '.' not mapped; 'f'
  // a file's own contents; '?' open since MADV_FREE; '!' nothing to be had; '*' anything else.
  std::string Contents() const;
  // '.' not mapped; '-' none; 'r' r--, 'w' rw-, 'x' r-x, 'a' rwx, '!' sets without r.
  std::string Prots() const;
  std::string MaxProts() const;
  // 's' share, 'c' copy, 'n' none, 'z' zero; a capital where the page is shared.
  std::string Inherits() const;
  // 'n' normal, 'r' random, 's' sequential.
  std::string Advices() const;

  World& world() { return world_; }

 private:
  template <typename Draw>
  std::string DrawRanges(const Draw& draw) const;

  World world_;
};

}  // namespace model

#endif  // MODEL_TESTING_SCRIPT_H_
