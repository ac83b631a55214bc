// conform/uvm_triggers.h: what the `trigger` lines of a sequence excuse, and where.
//
// WHAT     A trigger names the defect whose conditions the next operation meets. From then on the
//          defect's pages may be other ones here: those that the operation names or makes, wherever
//          fork, mremap and extract take them afterwards. A difference is excused only at such a
//          page, or of an operation on one, and only of the kinds that the defect can show in. No
//          check of a directed scenario is excused: checks go by the sane value.
//
//              B1   a fork by copy of shared memory     the shared pages of all spaces, the child's
//              B3   shared memory that mremap grew      its pages
//              B4   a mlockall that failed              whether pages of the space are wired
//              B5   freeing wired pages                 the pages, and the operation itself
//              B14  a mmap that failed                  the operation itself
//              B15  wired pages that lost their rights  the pages
//              N5   a mapping moved into a hole of its own range   its pages
//
// SEE      conform/README.md, "Sequences of the real UVM"; uvm_differences.h for the names.
#ifndef CONFORM_UVM_TRIGGERS_H_
#define CONFORM_UVM_TRIGGERS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "conform/uvm_pages.h"
#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"

namespace conform {

class UvmTriggers {
 public:
  void Trigger(const std::string& defect) { pending_.push_back(defect); }
  // An operation, before its effects are in `picture`.
  void Operation(const UvmOpLine& line, const UvmPicture& picture);
  // An entry that the last operation changed.
  void Entry(const UvmEntry& entry);

  // The name of the difference that excuses the last operation's result; null: none does.
  const char* ExcuseResult() const;
  // ... that excuses what the page at `va` is like, or holds.
  enum class Differs : uint8_t { kAnywhere, kInWiringOnly };
  const char* ExcusePage(uint64_t space, uint64_t va, Differs differs) const;

 private:
  void Follow(const UvmOpLine& line);
  void Mark(const std::string& defect, const UvmOpLine& line, const UvmPicture& picture);

  std::vector<std::string> pending_;    // of the next operation
  std::vector<std::string> met_;        // by the last one
  std::map<std::string, UvmPages> pages_;  // of each defect met so far, also without pages
  std::set<uint64_t> unsure_wiring_;    // spaces whose mlockall failed
  const UvmOpLine* op_ = nullptr;
};

}  // namespace conform

#endif  // CONFORM_UVM_TRIGGERS_H_
