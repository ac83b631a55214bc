// uvm/swapoff.h: taking a swap device out of use while the machine runs.
//
// WHAT     Run brings every page that lies on the device into memory, where it stays without a
//          slot of it: those of all anonymous objects first, then those of all anons, and both
//          again until none is left. Others go on meanwhile; nobody gets a new slot of the device,
//          but who had got some before may still put pages there.
// STATES   of the device: on -> going off -> off, or on again.
// LOCKS    Called with nothing held. Holds one owner's lock at a time, and none while it waits.
// SEE      NetBSD swap_off(), uao_swap_off(), uao_pagein(), amap_swap_off(), uvm_anon_pagein();
//          facts/uvm.md 2.13, 5.B item 11.

#ifndef UVM_SWAPOFF_H_
#define UVM_SWAPOFF_H_

#include "uvm/amap.h"
#include "uvm/anon.h"
#include "uvm/aobj.h"
#include "uvm/core.h"
#include "uvm/frame_wait.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/swap.h"
#include "uvm/swap_in.h"

namespace uvm {

class SwapOff {
 public:
  SwapOff(Core* core, PageStore* pages, AnonStore* anons, AmapStore* amaps, ObjectStore* objects,
          AnonymousPager* anonymous)
      : core_(core),
        pages_(pages),
        anons_(anons),
        amaps_(amaps),
        objects_(objects),
        anonymous_(anonymous),
        getter_(core, pages, anons) {}

  // Errors: kNotConfigured, kBusy (somebody else takes it off already); and, with the device on as
  // before, kAway, kNoMemory (what lies there does not fit in memory, nor on other devices), kBusy
  // (slots are held by what cannot be found: anons that are lent and in no amap any more). A page
  // that cannot be read is lost to whoever has it, and is no error of this.
  Result<void, SwapError> Run(SwapDevice* device);

 private:
  enum class Found : uint8_t { kNothing, kSomething };
  Result<Found, SwapError> BringInObjects(const SwapDevice* device);
  Result<Found, SwapError> BringInObject(const SwapDevice* device, Object* object);
  Result<Found, SwapError> BringInPage(Object* object, PageIndex index);
  Result<Found, SwapError> BringInAnons(const SwapDevice* device);
  Result<Found, SwapError> BringInAmap(const SwapDevice* device, AmapCursor* cursor);
  Anon* FindAnon(const SwapDevice* device, const Amap* amap, uint32_t* from);

  Core* const core_;
  PageStore* const pages_;
  AnonStore* const anons_;
  AmapStore* const amaps_;
  ObjectStore* const objects_;
  AnonymousPager* const anonymous_;
  AnonGetter getter_;
};

}  // namespace uvm

#endif  // UVM_SWAPOFF_H_
