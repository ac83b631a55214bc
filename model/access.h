// model/access.h: loads, stores and instruction fetches of a task.
//
// WHAT     DecodeAccess finds how far an access gets. A ReadSet is every value that a load may see:
//          one, unless MADV_FREE left pages open.
// SEE      facts/uvm.md 2.8 for errors to signals; decisions on rights: readable iff R, writable
//          iff R and W, executable iff R and X, on every hardware profile.

#ifndef MODEL_ACCESS_H_
#define MODEL_ACCESS_H_

#include <cstdint>
#include <vector>

#include "model/step.h"

namespace model {

// What makes a readable page executable: X, or (hardware that cannot tell) nothing more.
enum class ExecuteRight : uint8_t { kNeeded, kImpliedByRead };

// What kRead, kWrite or kFetch will do: the bytes [start, end) are accessed, then it is over or
// fails. For a read the outcome's value is still to be filled in from a ReadSet.
Step DecodeAccess(const Task& task, const traces::ResolvedOp& op, ExecuteRight execute,
                  const FileTable& files, const LostPages& lost = nullptr);

class ReadSet {
 public:
  // The bytes [start, end), all mapped. The space and the files outlive the set.
  ReadSet(const Space& space, uint64_t start, uint64_t end, const FileTable& files);

  // True when there is one value and it is known, as nearly always: cheaper than to ask a set.
  static bool IsSettled(const Space& space, uint64_t start, uint64_t end, const FileTable& files);

  // With every open choice answered by "kept".
  uint64_t canonical() const { return canonical_; }
  // False when every value must be accepted: too many open choices, or contents not known.
  bool checkable() const { return checkable_; }
  bool open() const { return !pieces_.empty(); }
  // Every value that may be read, the canonical one first. REQUIRES: checkable().
  std::vector<uint64_t> Values();
  // Makes the choices that follow from having read `value`. REQUIRES: checkable(), value is one of
  // Values().
  void Choose(uint64_t value);

 private:
  // Bytes of one page whose contents are open.
  struct Piece {
    PageSource source;
    uint64_t start;  // in the page
    uint64_t size;
    uint64_t offset;  // in bytes_
  };
  // Bit i of `gone` answers choices_[i].
  Choice Answer(uint64_t gone, const Choice* choice) const;
  // Whether a load can succeed under one answer to all open choices.
  bool MayBeRead(uint64_t gone) const;
  // The value under one answer to all open choices.
  uint64_t ValueIf(uint64_t gone);

  std::vector<unsigned char> bytes_;
  std::vector<Piece> pieces_;
  std::vector<Choice*> choices_;
  uint64_t canonical_ = 0;
  bool checkable_ = true;
};

}  // namespace model

#endif  // MODEL_ACCESS_H_
