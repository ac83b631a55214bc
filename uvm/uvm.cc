#include "uvm/uvm.h"

#include <new>

#include "base/check.h"
#include "uvm/copy_io.h"

namespace uvm {

Uvm::Uvm(const Config& config)
    : core_{config.memory, config.pmap, config.threads, {}, {}},
      pages_(&core_, config.plugged, config.plugged_count),
      page_lists_(&core_, &pages_),
      swap_(&core_),
      policy_(config.policy, config.memory, pages_.total()),
      anons_(&core_, &pages_),
      amaps_(&core_, &pages_, &anons_),
      objects_(&core_, &pages_),
      stored_(&core_, &pages_),
      anonymous_(&core_, &pages_, &objects_),
      daemon_(&core_, &pages_, &swap_, &anons_, &anonymous_),
      devices_(&core_, &objects_),
      wiring_(&core_, &pages_),
      entries_(config.memory),
      space_pool_(config.memory),
      faults_(&core_, &pages_, &anons_, &amaps_, &objects_, &spaces_),
      loans_(&core_, &pages_, &anons_, &amaps_, &objects_),
      context_{&core_, &pages_, &amaps_, &anons_, &objects_, &entries_, &faults_} {
  core_.swap = &swap_;
  core_.frames = &daemon_;
  policy_.get()->SetDoor(&daemon_);
  pages_.SetPolicy(policy_.get());
}

// ---- Spaces ----

Result<Space*, MapError> Uvm::CreateSpace(Vaddr min, Vaddr max, Direction direction) {
  Result<Pmap*, PmapError> pmap = core_.pmap->Create();
  if (!pmap.ok()) return MapError::kNoMemory;
  Space* space = space_pool_.New(&context_, min, max, pmap.value(), direction, next_space_id_);
  if (space == nullptr) {
    core_.pmap->Destroy(pmap.value());
    return MapError::kNoMemory;
  }
  ++next_space_id_;
  spaces_.PushBack(space);
  return space;
}

Result<Space*, MapError> Uvm::ForkSpace(Space* parent) {
  const Map& map = parent->map();
  Space* child = TRY(CreateSpace(map.min(), map.max(), map.direction()));
  Result<void, MapError> forked = parent->map().ForkInto(&child->map());
  if (!forked.ok()) {
    core_.probes.Hit(Probe::kForkFails);
    FreeSpace(child);
    return forked.error();
  }
  ++core_.counters.fork;
  return child;
}

Result<Space*, MapError> Uvm::UnshareSpace(Space* space) {
  if (space->refs == 1) return space;
  Space* own = TRY(ForkSpace(space));
  FreeSpace(space);
  return own;
}

Result<void, MapError> Uvm::ExecSpace(Space* space) {
  CHECK(space->refs == 1);
  space->map().ClearWiresFuture();
  space->map().UnmapAll();
  return {};
}

Result<Space*, MapError> Uvm::ExecSpace(Space* space, Vaddr min, Vaddr max, Direction direction) {
  if (space->refs == 1 && space->map().direction() == direction) {
    TRY(ExecSpace(space));
    space->map().SetBounds(min, max);
    return space;
  }
  Space* fresh = TRY(CreateSpace(min, max, direction));
  FreeSpace(space);
  return fresh;
}

void Uvm::FreeSpace(Space* space) {
  CHECK(space->refs > 0);
  if (--space->refs > 0) return;
  space->map().UnmapAll();
  Pmap* pmap = space->map().pmap();
  spaces_.Remove(space);
  space_pool_.Delete(space);
  core_.pmap->Destroy(pmap);
}

// ---- Copies ----

Result<void, MapError> Uvm::CopyIn(Space* space, Range range, Snapshot* out) {
  return space->map().CopyIn(range, out);
}

Result<void, MapError> Uvm::Overwrite(Space* space, Vaddr at, Snapshot* copy) {
  return space->map().Overwrite(at, copy);
}

Result<void, FaultError> Uvm::CopyBytes(Space* space, Vaddr at, unsigned char* buffer,
                                        uint64_t bytes, Access access, uint64_t* moved) {
  *moved = 0;
  while (*moved < bytes) {
    const Vaddr va = at + *moved;
    const uint64_t in_page = base::kPageSize - va.Offset();
    const uint64_t left = bytes - *moved;
    const uint64_t some = left < in_page ? left : in_page;
    while (!CopyMapped(&core_, &pages_, &space->map(), va, buffer + *moved, some, access)) {
      TRY(Fault(space, va, access));
    }
    *moved += some;
  }
  return {};
}

// ---- Objects ----

Result<Object*, MapError> Uvm::CreateObject(Pager* pager, uint64_t key) {
  Object* object = objects_.Create(pager, key);
  if (object == nullptr) return MapError::kNoMemory;
  return object;
}

Result<Object*, MapError> Uvm::CreateStoredObject(Store* store, uint64_t key) {
  Object* object = TRY(CreateObject(&stored_, key));
  if (stored_.Attach(object, store)) return object;
  objects_.Release(object);
  return MapError::kNoMemory;
}

Result<Object*, MapError> Uvm::CreateAobj(uint64_t bytes, uint32_t flags) {
  Object* object = anonymous_.Create(bytes, flags);
  if (object == nullptr) return MapError::kNoMemory;
  return object;
}

// ---- The server's own addresses ----

KernelMemory* Uvm::Kernel() {
  if (kernel_ != nullptr) return kernel_;
  if (core_.pmap->VirtualSpace().empty()) return nullptr;
  void* memory = core_.memory->AllocateChunk(sizeof(KernelMemory));
  if (memory == nullptr) return nullptr;
  auto* kernel = new (memory) KernelMemory(&core_, &pages_, &anonymous_, &faults_, &context_);
  if (kernel->ok()) kernel_ = kernel;
  return kernel_;
}

BufferCache* Uvm::Cache() {
  constexpr uint64_t kMaxWindows = 256;
  if (cache_ != nullptr || Kernel() == nullptr) return cache_;
  void* memory = core_.memory->AllocateChunk(sizeof(BufferCache));
  if (memory == nullptr) return nullptr;
  auto* cache = new (memory) BufferCache(kernel_, &objects_);
  // An eighth of the addresses, as long as that is no waste.
  const uint64_t eighth = core_.pmap->VirtualSpace().size() / 8 / BufferCache::kWindowBytes;
  const uint64_t windows = eighth < kMaxWindows ? eighth : kMaxWindows;
  if (windows > 0 && cache->Init(static_cast<uint32_t>(windows))) cache_ = cache;
  return cache_;
}

SpaceIo* Uvm::Io() {
  if (io_ != nullptr || Kernel() == nullptr) return io_;
  void* memory = core_.memory->AllocateChunk(sizeof(SpaceIo));
  if (memory != nullptr) io_ = new (memory) SpaceIo(kernel_);
  return io_;
}

}  // namespace uvm
