// uvm/frame_wait.h: beginning again when frames ran out.
//
// WHAT     An operation that may run out of frames makes a FrameWait before it begins. When it has
//          failed for want of memory, and let go of everything, it asks Again().
// LOCKS    Again is called with no lock held and no page busy.
// SEE      FrameDoor (core.h); docs/plans/part-5.md "Rules that hold everywhere".

#ifndef UVM_FRAME_WAIT_H_
#define UVM_FRAME_WAIT_H_

#include <cstdint>

#include "uvm/core.h"

namespace uvm {

class FrameWait {
 public:
  explicit FrameWait(Core* core) : core_(core), shortages_(core->counters.frame_shortages) {}

  // False: Again() would say no at once.
  bool MayHelp() const {
    return core_->counters.frame_shortages != shortages_ && core_->frames != nullptr;
  }
  // True: a frame was missing since the last time, and may be had now, after waiting if need be.
  // False: something else was short (nobody gives that back), or no frame can be reclaimed.
  bool Again() {
    if (!MayHelp() || ++attempts_ > kMostAttempts) return false;
    if (!core_->frames->WaitForFrames()) return false;
    shortages_ = core_->counters.frame_shortages;
    ++core_->counters.frame_waits;
    return true;
  }

 private:
  // What needs more frames at once than there ever are would go on for ever.
  static constexpr uint32_t kMostAttempts = 1000;

  Core* const core_;
  uint64_t shortages_;
  uint32_t attempts_ = 0;
};

}  // namespace uvm

#endif  // UVM_FRAME_WAIT_H_
