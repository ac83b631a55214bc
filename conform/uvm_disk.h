// conform/uvm_disk.h: the recorder's swap devices, and what it did with them.
//
// WHAT     A UvmDisk is memory with a label in page 0. Its transfers are over at once, but for
//          writes that are begun while it holds: they wait until they are released, or until
//          somebody has to wait, which is when time jumps far ahead. The next transfers of a kind
//          fail when they are told to; what failed is written down.
// SEE      uvm_replay.h; uvm/swap_device.h.
#ifndef CONFORM_UVM_DISK_H_
#define CONFORM_UVM_DISK_H_

#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/list.h"
#include "uvm/swap_device.h"

namespace conform {

// What the disks of a replay share.
struct UvmDiskFaults {
  uint64_t failing_reads = 0;  // the next ones
  uint64_t failing_writes = 0;
  uint64_t failed_reads = 0;  // so far; pages
  uint64_t failed_writes = 0;
  std::set<std::pair<const uvm::SwapDevice*, uint64_t>> log;  // blocks of those
  // Told of each block that could not be read, while its owner still has it.
  std::function<void(const uvm::SwapDevice*, uint64_t)> on_failed_read;
};

class UvmDisk final : public uvm::SwapDevice {
 public:
  // `faults` outlives the disk.
  UvmDisk(uint64_t pages, UvmDiskFaults* faults)
      : faults_(faults), bytes_(base::ToBytes(base::PageCount(pages))) {}

  base::PageCount size() const override { return base::ToPages(bytes_.size()); }
  bool HasLabel() const override { return true; }
  void Start(uvm::SwapTransfer* transfer) override;
  uint64_t NextDue() const override { return held_.empty() ? kNever : due_us_; }
  void Poll(uint64_t now_us) override;
  const unsigned char* DebugBytes(uint64_t block) const override {
    return bytes_.data() + base::ToBytes(base::PageCount(block));
  }

  // Writes begun from now on wait; they do so no longer.
  void Hold() { holds_ = true; }
  void StopHolding() { holds_ = false; }
  // Those that wait are done. Returns their pages.
  uint64_t Release();
  uint64_t held_pages() const;

 private:
  void Do(uvm::SwapTransfer* transfer);

  UvmDiskFaults* const faults_;
  std::vector<unsigned char> bytes_;
  bool holds_ = false;
  uint64_t due_us_ = 0;
  uint64_t now_us_ = 0;  // as last heard
  base::List<uvm::SwapTransfer, &uvm::SwapTransfer::device_link> held_;
};

}  // namespace conform

#endif  // CONFORM_UVM_DISK_H_
