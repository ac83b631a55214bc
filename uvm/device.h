// uvm/device.h: memory objects that are devices: frames that UVM does not own.
//
// WHAT     A DeviceDriver says which frame stands at an offset; the DevicePager maps it as it is,
//          unmanaged, never copied, and always counted as resident. There is one object a device,
//          however often it is mapped.
// STATES   of a device: unknown -> attached (its object has references) -> being detached ->
//          unknown. Who attaches to a device that is being detached waits and makes it anew.
// LOCKS    mu_ guards the list of devices; it is taken with nothing held, objects' locks under it.
// SEE      NetBSD sys/uvm/uvm_device.c, udv_attach(9); facts/uvm.md 1.7; 5.A item 4, 5.B item 19.

#ifndef UVM_DEVICE_H_
#define UVM_DEVICE_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"

namespace uvm {

class DeviceDriver {
 public:
  // d_mmap(): the machine's name ("cookie", PmapSystem::PhysAddress) of the page at `offset`.
  // False: the driver gives nobody these rights there. Called with UVM locks held: must not wait.
  virtual bool Mmap(uint64_t device, uint64_t offset, Prot prot, uint64_t* cookie) = 0;

 protected:
  ~DeviceDriver() = default;
};

class DevicePager final : public Pager {
 public:
  DevicePager(Core* core, ObjectStore* objects)
      : core_(core),
        objects_(objects),
        mu_(core->threads, base::LockRank::kMap),
        detached_(core->threads),
        devices_(core->memory) {}

  // NetBSD: udv_attach(). The object of `device` with one more reference, or null: the driver
  // (null: the device has none that can be mapped) refuses some page of [offset, offset + bytes)
  // with these rights, or memory ran out.
  Object* Attach(DeviceDriver* driver, uint64_t device, Prot prot, uint64_t offset, uint64_t bytes);

  // Nothing of a device is ever resident, so there is nothing to get or put.
  base::Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  base::Result<void, PagerError> Put(Object* object, base::PageIndex first, base::PageIndex end,
                                     uint32_t flags) override;
  void Detach(Object* object) override;
  bool HandlesFaults() const override { return true; }
  // NetBSD: udv_fault(). kIo: private mappings, and pages that the driver refuses.
  base::Result<void, base::FaultError> Fault(FaultInfo* info) override;
  Kind kind() const override { return Kind::kDevice; }

  // For checkers.
  uint64_t live() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return devices_.live(); }

 private:
  struct Device {
    DeviceDriver* driver;
    uint64_t number;
    Object* object;
    base::ListLink link;
  };
  Device* Find(uint64_t number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Object* Make(DeviceDriver* driver, uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Core* const core_;
  ObjectStore* const objects_;
  Mutex mu_;
  CondVar detached_;
  base::Pool<Device> devices_ ABSL_GUARDED_BY(mu_);
  base::List<Device, &Device::link> all_ ABSL_GUARDED_BY(mu_);
};

}  // namespace uvm

#endif  // UVM_DEVICE_H_
