// conform/uvm_pressure.h: operations of a recording that make memory scarce.
//
// WHAT     Swap devices by their recorded units, pressure (all free memory is taken, the page
//          daemon runs, and it is given back), writes to swap that are held in flight, and the
//          hidden space whose pages lie on swap all the time (ballast). When a budget of ours ends
//          where the recorded kernel's did not, Relieve() adds a spare device.
// SEE      uvm_replay.h, which owns it; uvm_disk.h.
#ifndef CONFORM_UVM_PRESSURE_H_
#define CONFORM_UVM_PRESSURE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "conform/uvm_bench.h"
#include "conform/uvm_disk.h"
#include "conform/uvm_op.h"
#include "uvm/uvm.h"

namespace conform {

class UvmPressure {
 public:
  explicit UvmPressure(UvmBench* bench) : bench_(bench) {}

  static bool IsOne(UvmCall call);
  // REQUIRES: IsOne(op.call).
  UvmResult Apply(const UvmOp& op);
  // The hidden space goes.
  void DropBallast();
  // More swap, once; false when there is more already.
  bool Relieve();
  // The next read from swap fails.
  void FailNextRead() { faults_.failing_reads = 1; }
  // As many writes as the daemon begins at once are held in flight; those that are, end.
  UvmResult Inflight();
  UvmResult IoDone();
  const UvmDiskFaults& faults() const { return faults_; }
  void OnFailedRead(std::function<void(const uvm::SwapDevice*, uint64_t)> told) {
    faults_.on_failed_read = std::move(told);
  }
  // Slots of the recorded devices that are on; the spare one is none of them.
  uint64_t SlotsOn() const;
  // Pages whose writes wait in the disks.
  uint64_t held_pages() const;

 private:
  UvmResult SwapOn(const UvmOp& op);
  UvmResult SwapOff(const UvmOp& op);
  UvmResult Ballast(uint64_t pages);
  void TakeAllFree();
  void GiveBack();
  void Press(uint64_t rounds);
  uvm::Uvm& uvm() const { return bench_->uvm(); }

  UvmBench* const bench_;
  UvmDiskFaults faults_;
  std::map<uint64_t, std::unique_ptr<UvmDisk>> disks_;  // by unit
  std::unique_ptr<UvmDisk> spare_;
  uvm::Space* ballast_ = nullptr;
  // Frames that pressure holds. Not on the stack of who presses: a machine that stops leaves that
  // as it is.
  std::vector<uvm::Page*> taken_;
};

}  // namespace conform

#endif  // CONFORM_UVM_PRESSURE_H_
