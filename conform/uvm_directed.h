// conform/uvm_directed.h: what the directed scenarios did without an operation line, and the
// values they checked.
//
// WHAT     A `check` line has a value that the recorder took of its own kernel: mostly of the
//          operation just before, sometimes of a counter. Value() takes the same of ours. Some
//          scenarios call functions of the core that have no operation; their notes say where, and
//          Note() does the same here.
// SEE      uvm.h, which drives it.
#ifndef CONFORM_UVM_DIRECTED_H_
#define CONFORM_UVM_DIRECTED_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "conform/uvm_recording.h"
#include "conform/uvm_replay.h"

namespace conform {

class UvmDirected {
 public:
  // `replay` outlives it.
  explicit UvmDirected(UvmReplay* replay) : replay_(replay) {}

  // `ours`: how the operation ended here.
  void Operation(const UvmOp& op, const UvmResult& ours);
  void Note(absl::string_view text);
  // Absent: nobody knows what the recorder looked at.
  std::optional<int64_t> Value(const UvmCheck& check) const;

 private:
  void WireLentPages();
  void WireSwappedPages();
  int64_t PagesMapped(uint64_t space) const;
  std::optional<int64_t> Counter(absl::string_view what) const;

  UvmReplay* const replay_;
  UvmOp op_;
  UvmResult ours_;
};

}  // namespace conform

#endif  // CONFORM_UVM_DIRECTED_H_
