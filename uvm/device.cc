#include "uvm/device.h"

#include "base/check.h"
#include "uvm/fault_info.h"

namespace uvm {

DevicePager::Device* DevicePager::Find(uint64_t number) const {
  Device* device = all_.front();
  while (device != nullptr && device->number != number) device = all_.Next(device);
  return device;
}

Object* DevicePager::Make(DeviceDriver* driver, uint64_t number) {
  Device* device = devices_.New();
  if (device == nullptr) return nullptr;
  Object* object = objects_->Create(this, number);
  if (object == nullptr) {
    devices_.Delete(device);
    return nullptr;
  }
  device->driver = driver;
  device->number = number;
  device->object = object;
  object->pager_data = device;
  all_.PushBack(device);
  return object;
}

Object* DevicePager::Attach(DeviceDriver* driver, uint64_t device, Prot prot, uint64_t offset,
                            uint64_t bytes) {
  if (driver == nullptr || offset + bytes < offset) return nullptr;
  for (uint64_t at = base::TruncPage(offset); at < offset + bytes; at += base::kPageSize) {
    uint64_t cookie;
    if (!driver->Mmap(device, at, prot, &cookie)) return nullptr;
    if (at + base::kPageSize < at) break;
  }
  MutexLock lock(&mu_);
  for (;;) {
    Device* known = Find(device);
    if (known == nullptr) return Make(driver, device);
    {
      MutexLock object_lock(&known->object->mu);
      if (known->object->refs != 0) {
        known->object->AddReference();
        return known->object;
      }
    }
    detached_.Wait(&mu_);
  }
}

void DevicePager::Detach(Object* object) {
  MutexLock lock(&mu_);
  auto* device = static_cast<Device*>(object->pager_data);
  all_.Remove(device);
  devices_.Delete(device);
  detached_.WakeAll();
}

Result<void, PagerError> DevicePager::Get(Object* object,
                                          GetRequest* request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if ((request->flags & kPgoLocked) != 0) return PagerError::kBusy;
  object->mu.Unlock();
  return PagerError::kIo;
}

Result<void, PagerError> DevicePager::Put(Object* object, PageIndex, PageIndex,
                                          uint32_t) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Unlock();
  return {};
}

// The page itself must come; its neighbours come along where the driver and the pmap allow.
Result<void, FaultError> DevicePager::Fault(FaultInfo* info) {
  const auto* device = static_cast<const Device*>(info->object->pager_data);
  const MapEntry* entry = info->entry;
  if (entry->copy_on_write) {
    info->UnlockAll();
    return FaultError::kIo;
  }
  bool refused = false;
  bool entered = false;
  for (uint32_t i = 0; i < info->count; ++i) {
    const bool centre = i == info->centre;
    if (!centre && (info->wired == Wired::kYes || info->pages[i] == DontCare())) continue;
    const Vaddr va = info->first + i * base::kPageSize;
    if (!centre && core_->pmap->Extract(info->pmap(), va, nullptr)) continue;
    uint64_t cookie;
    if (!device->driver->Mmap(device->number, entry->offset + (va - entry->start), info->enter_prot,
                              &cookie)) {
      refused |= centre;
      continue;
    }
    if (info->enter_prot.IsNone()) {  // wired without a right that means anything
      entered |= centre;
      continue;
    }
    EnterFlags flags{.access = centre ? info->access_prot & info->enter_prot : base::kProtNone,
                     .wired = info->wired,
                     .cache = core_->pmap->MmapFlags(cookie)};
    Result<void, PmapError> result = core_->pmap->Enter(
        info->pmap(), va, core_->pmap->PhysAddress(cookie), info->enter_prot, flags);
    entered |= centre && result.ok();
  }
  core_->pmap->Update(info->pmap());
  info->UnlockAll();
  if (refused) return FaultError::kIo;
  if (entered) return {};
  return FaultError::kNoMemory;  // of the pmap's; waiting for frames would be in vain
}

}  // namespace uvm
