// uvm/swapoff.h: taking a swap device out of use while the machine runs.
//
// WHAT     SwapOff brings every page that lies on the device into memory, where it stays dirty:
//          those of all anonymous objects first, then those of all anons. Others go on meanwhile;
//          nobody gets a new slot of the device.
// LOCKS    Called with nothing held. Takes one owner's lock at a time.
// SEE      NetBSD swap_off(), uao_swap_off(), amap_swap_off(); facts/uvm.md 2.13, 5.B item 11.

#ifndef UVM_SWAPOFF_H_
#define UVM_SWAPOFF_H_

#include "base/result.h"
#include "uvm/swap.h"

namespace uvm {

class Uvm;

// Errors, the device is on as before: kNotConfigured, kBusy (somebody else is at it), kNoMemory
// (what lies there does not fit in memory). A page that cannot be read is lost to whoever has it,
// and is no error of this.
base::Result<void, SwapError> SwapOff(Uvm* uvm, SwapDevice* device);

}  // namespace uvm

#endif  // UVM_SWAPOFF_H_
