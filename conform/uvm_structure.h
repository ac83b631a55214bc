// conform/uvm_structure.h: the decisions by which our structure differs from the recorded UVM's.
//
// WHAT     Where entries, amaps, counters or translations are not as recorded although every page
//          means the same, the difference has the name of a decision: a row of docs/DIFFERENCES.md.
//          Which one is told by the field and by what the recording shows of the sequence so far,
//          never by our side: a copy of shared memory that owes its parent a copy, a mapping that
//          was moved, an operation that failed, a page that was lent, rights without read, rights
//          that were set again, wired memory without rights.
// SEE      conform/README.md, "Sequences of the real UVM".
#ifndef CONFORM_UVM_STRUCTURE_H_
#define CONFORM_UVM_STRUCTURE_H_

#include <string>

#include "absl/types/span.h"
#include "conform/uvm_recording.h"

namespace conform {

// An operation that failed has split entries there, or given them amaps, and none here.
inline constexpr char kFailedOperations[] = "failed-operations-leave-no-trace";
// Moving a mapping makes an amap for it there, or marks one as shared.
inline constexpr char kMovedMappings[] = "moving-takes-layers-as-they-are";

// All names that UvmCauses gives.
absl::Span<const char* const> UvmStructureNames();

// What happened in one sequence so far.
class UvmCauses {
 public:
  void Operation(const UvmOpLine& line);
  // Directed scenarios say in words what the operations have no line for.
  void Note(const std::string& text);
  // An entry that the last operation changed.
  void Entry(const UvmEntry& entry);
  // The decision behind a difference of `field` whose recorded side is `recorded`; null: none.
  const char* NameOf(const std::string& field, const std::string& recorded) const;

 private:
  const char* NameOfTranslations() const;

  const UvmOpLine* op_ = nullptr;
  bool failed_ = false;
  bool moved_ = false;
  bool removed_ = false;  // pages were extracted and taken away from where they were
  bool lent_ = false;
  bool blind_ = false;          // rights without read
  bool protected_ = false;      // rights were set
  bool copied_shared_ = false;  // a fork left a needs-copy mark on a shared amap
  bool cleaned_ = false;        // pages were cleaned, or given up
  bool wired_ = false;
  bool wired_some_ = false;  // a mlockall failed
};

}  // namespace conform

#endif  // CONFORM_UVM_STRUCTURE_H_
