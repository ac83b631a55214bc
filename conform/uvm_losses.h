// conform/uvm_losses.h: the cause of each EIO of ours, page by page.
//
// WHAT     The disks and files of a replay write down each transfer that they fail. A page that an
//          EIO is about must be one of those: what lies behind it is marked as lost, no more pages
//          are than reads have failed, and each bad slot is one of a transfer that did; or it
//          belongs to a file, whose read of that very page failed in this operation. And who
//          touches what is lost has an EIO.
// SEE      uvm_shortage.h, which asks; uvm_disk.h.
#ifndef CONFORM_UVM_LOSSES_H_
#define CONFORM_UVM_LOSSES_H_

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "conform/uvm_op.h"
#include "conform/uvm_replay.h"

namespace conform {

class UvmLosses {
 public:
  // An operation begins: failed reads of files are its own from here on.
  void Begin(const UvmReplay& replay);
  // Whether the page at `va` is lost for good.
  bool IsLost(const UvmReplay& replay, uint64_t space, uint64_t va) const;
  // Whether the log has a reason for an EIO at `va`; for one of an operation on several pages.
  bool HasCause(const UvmReplay& replay, uint64_t space, uint64_t va);
  bool HasCause(const UvmReplay& replay, const UvmOp& op);
  // Empty; or which bad slot no failed transfer explains.
  std::string Unexplained(UvmReplay* replay);

 private:
  // An anon, or a page of an object.
  using Owner = std::pair<const void*, uint64_t>;

  std::set<Owner> lost_;      // pages that an EIO was about
  size_t file_failures_ = 0;  // before the operation
  uint64_t bad_slots_ = 0;    // when they were looked at last
};

}  // namespace conform

#endif  // CONFORM_UVM_LOSSES_H_
