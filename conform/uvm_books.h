// conform/uvm_books.h: whether a recording's own numbers add up.
//
// WHAT     What the recorded kernel counts can be counted again from its entries: as many entries
//          and pages of each map as M says; as many amaps as C says, for each entry with an amap
//          holds one of its references, so those with R references come in groups of R; as many
//          translations, wired ones among them, in the V lines of a map as M says; as many slots
//          in use in each as its entry says. No decision of ours excuses a number that does not.
// SEE      uvm_structure.h for the decisions; conform/README.md, "Sequences of the real UVM".
#ifndef CONFORM_UVM_BOOKS_H_
#define CONFORM_UVM_BOOKS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"

namespace conform {

// What the lines behind one operation said.
struct UvmStepLines {
  std::vector<UvmEntry> entries;
  std::vector<UvmMapCounters> maps;
  std::vector<UvmView> views;
  std::optional<UvmCounters> counters;
};

class UvmBooks {
 public:
  // Looks at a step's lines, which are in `picture`. Each mismatch has the line's value as the
  // recorded one and what it should be, by the entries, as ours.
  std::vector<UvmMismatch> Check(const UvmPicture& picture, const UvmStepLines& lines);
  // V lines of all maps.
  std::vector<UvmMismatch> CheckViews(const UvmPicture& picture,
                                      const std::vector<UvmView>& views);
  // Pages have been read, without lines about the maps: counters stand until they are said again.
  void Unsettle();

 private:
  void CheckAmaps(const UvmPicture& picture, const UvmStepLines& lines);
  void CheckMap(const UvmPicture& picture, const UvmMapCounters& m);
  void Expect(const char* field, uint64_t space, uint64_t recorded, uint64_t by_entries);

  std::optional<uint64_t> amaps_;  // by the last C
  std::map<uint64_t, UvmMapCounters> maps_;
  std::vector<UvmMismatch> found_;
};

}  // namespace conform

#endif  // CONFORM_UVM_BOOKS_H_
