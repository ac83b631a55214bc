#include "uvm/ubc.h"

#include <cstring>
#include <new>

#include "base/check.h"
#include "uvm/fault_info.h"

namespace uvm {

BufferCache::BufferCache(KernelMemory* kernel, ObjectStore* objects)
    : kernel_(kernel),
      objects_(objects),
      released_(kernel->core()->threads),
      buffers_(kernel->core()->memory),
      loans_(kernel->core(), kernel->pages()) {}

bool BufferCache::Init(uint32_t windows) {
  CHECK(windows > 0 && windows_object_ == nullptr);
  Core* core = kernel_->core();
  void* memory = core->memory->AllocateChunk(sizeof(Window) * windows);
  if (memory == nullptr) return false;
  Object* object = objects_->Create(this, 0);
  if (object == nullptr) return false;
  {
    MutexLock lock(&object->mu);
    object->refs = Object::kKernelRefs;
  }
  Map::EnterOptions options;
  options.at = kernel_->map()->min();
  options.size = windows * kWindowBytes;
  options.prot = base::kProtReadWrite;
  options.inherit = Inherit::kNone;
  options.advice = Advice::kRandom;
  options.object = object;
  options.sharing = Sharing::kShared;
  options.align = kWindowBytes;
  options.flags = kEnterNoMerge;
  Result<Vaddr, MapError> at = kernel_->map()->Enter(options);
  if (!at.ok()) {
    objects_->Destroy(object);
    return false;
  }
  base_ = at.value();
  kernel_->GrowTo(base_ + options.size);
  windows_object_ = object;
  windows_ = static_cast<Window*>(memory);
  count_ = windows;
  MutexLock lock(&mu());
  for (uint32_t i = 0; i < windows; ++i) {
    Window* window = new (&windows_[i]) Window;
    window->base = base_ + i * kWindowBytes;
    queue_.PushBack(window);
  }
  objects_->SetPurge(
      [](void* cache, Object* dying) { static_cast<BufferCache*>(cache)->Purge(dying); }, this);
  return true;
}

// ---- Windows ----

BufferCache::Window* BufferCache::Find(const Object* object, uint64_t offset) const {
  Window* at = named_.root();
  while (at != nullptr && (at->object != object || at->offset != offset)) {
    const bool higher = at->object != object ? at->object->id < object->id : at->offset < offset;
    at = at->rb_child[higher ? 1 : 0];
  }
  return at;
}

// Takes the name from a window that nobody uses. Its translations are gone when this returns.
void BufferCache::Forget(Window* window) {
  if (window->object == nullptr) return;
  Core* core = kernel_->core();
  core->pmap->Remove(core->pmap->Kernel(), {window->base, window->base + kWindowBytes});
  core->pmap->Update(core->pmap->Kernel());
  named_.Erase(window);
  --window->object->windows;
  window->object = nullptr;
}

// The window that shows the part, in use. Waits while another has it exclusively, or this one wants
// it exclusively and another uses it, or all windows are in use.
BufferCache::Window* BufferCache::Acquire(Part* part) {
  const uint64_t offset = part->offset / kWindowBytes * kWindowBytes;
  const bool exclusive = (part->flags & kUbcFaultBusy) != 0;
  MutexLock lock(&mu());
  for (;;) {
    Window* window = Find(part->object, offset);
    if (window == nullptr) {
      window = queue_.front();
      if (window != nullptr) {
        Forget(window);
        window->object = part->object;
        window->offset = offset;
        ++part->object->windows;
        named_.Insert(window);
      }
    }
    const bool free = window != nullptr && !window->exclusive && (window->refs == 0 || !exclusive);
    if (free) {
      if (window->refs++ == 0) {
        queue_.Remove(window);
        window->writable = false;
      }
      window->exclusive = exclusive;
      window->writable |= part->write();
      window->advice = part->advice;
      return window;
    }
    released_.Wait(&mu());
  }
}

// Who borrowed the busy page keeps it as it is; we get another. False: no frame is left. LOCKS: the
// object's.
bool BufferCache::BreakLoan(Page** page) {
  if ((*page)->loan_count == 0) return true;
  Page* fresh = loans_.BreakObjectPage(*page);
  if (fresh == nullptr) return false;
  *page = fresh;
  return true;
}

// Gets `count` pages of the part busy, from its page `first`. False: none is.
bool BufferCache::GetBusy(Part* part, uint32_t first, uint32_t count,
                          bool overwrite) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (count == 0) return true;
  Object* object = part->object;
  GetRequest request;
  request.first = PageIndex(part->first_page() + first);
  request.count = count;
  request.pages = part->pages + first;
  request.access = Access::kWrite;
  request.advice = part->advice;
  request.flags = kPgoSyncIo | kPgoAllPages;
  if (overwrite) request.flags |= kPgoOverwrite;
  object->mu.Lock();
  if (!object->pager()->Get(object, &request).ok()) {
    for (uint32_t i = 0; i < count; ++i) request.pages[i] = nullptr;
    return false;
  }
  bool all = true;
  MutexLock lock(&object->mu);
  for (uint32_t i = 0; i < count; ++i) {
    Page*& page = request.pages[i];
    all = all && page != nullptr && BreakLoan(&page);
    part->fresh[first + i] = page != nullptr && page->fake;
  }
  return all;
}

// The pages of the part, busy and mapped: those that it covers whole without being read. False:
// they cannot all be had; GiveUpBusy is due.
bool BufferCache::TakeBusy(Part* part) {
  const uint64_t end = part->offset + part->bytes;
  part->page_count =
      static_cast<uint32_t>(((end + base::kPageMask) >> base::kPageShift) - part->first_page());
  // A page at either end that is covered in part keeps the rest of its contents.
  const uint32_t head = (part->offset & base::kPageMask) != 0 ? 1 : 0;
  const uint32_t tail = (end & base::kPageMask) != 0 && (head == 0 || part->page_count > 1) ? 1 : 0;
  const uint32_t whole = part->page_count - head - tail;
  const bool got = GetBusy(part, 0, head, false) && GetBusy(part, head, whole, true) &&
                   GetBusy(part, head + whole, tail, false);
  if (!got) return false;
  Core* core = kernel_->core();
  const Window& window = *part->window;
  core->pmap->Remove(core->pmap->Kernel(), {window.base, window.base + kWindowBytes});
  core->pmap->Update(core->pmap->Kernel());
  const Vaddr first = window.base + (base::TruncPage(part->offset) - window.offset);
  for (uint32_t i = 0; i < part->page_count; ++i) {
    core->pmap->KenterPa(first + i * base::kPageSize, part->pages[i]->pa, base::kProtReadWrite,
                         CacheMode::kDefault);
  }
  core->pmap->Update(core->pmap->Kernel());
  return true;
}

// After TakeBusy failed: lets go of what it got, and the window is one like any other.
void BufferCache::GiveUpBusy(Part* part) {
  Object* object = part->object;
  {
    MutexLock lock(&object->mu);
    for (uint32_t i = 0; i < part->page_count; ++i) {
      Page* page = part->pages[i];
      if (page != nullptr && page->fake) page->released = true;  // nobody filled it
      object->Unbusy(kernel_->pages(), page == nullptr ? DontCare() : page);
    }
  }
  part->page_count = 0;
  part->flags &= ~uint32_t{kUbcFaultBusy};
  MutexLock lock(&mu());
  part->window->exclusive = false;
  released_.WakeAll();
}

void BufferCache::Release(Part* part) {
  Core* core = kernel_->core();
  Window* window = part->window;
  if (part->page_count > 0) {
    const Vaddr first = window->base + (base::TruncPage(part->offset) - window->offset);
    core->pmap->Kremove({first, first + part->page_count * base::kPageSize});
    core->pmap->Update(core->pmap->Kernel());
    Object* object = part->object;
    MutexLock lock(&object->mu);
    for (uint32_t i = 0; i < part->page_count; ++i) {
      object->SetDirty(part->pages[i], Dirty::kDirty);
      part->pages[i]->fake = false;
      kernel_->pages()->Activate(part->pages[i]);
    }
    object->Unbusy(kernel_->pages(), part->pages, part->page_count);
  }
  MutexLock lock(&mu());
  window->exclusive = false;
  if (--window->refs == 0) {
    if ((part->flags & kUbcUnmap) != 0) {
      Forget(window);
      queue_.PushFront(window);
    } else {
      queue_.PushBack(window);
    }
  }
  released_.WakeAll();
}

void BufferCache::Purge(Object* object) {
  MutexLock lock(&mu());
  for (uint32_t i = 0; i < count_ && object->windows > 0; ++i) {
    Window* window = &windows_[i];
    if (window->object != object) continue;
    CHECK(window->refs == 0);
    Forget(window);
    queue_.Remove(window);
    queue_.PushFront(window);
  }
}

// ---- Moving bytes ----

// What a processor would do, without a fault. While the object is locked, or the page busy on our
// behalf, a translation may be forgotten but its frame not reused.
bool BufferCache::CopyMapped(Part* part, uint64_t offset, uint64_t bytes,
                             unsigned char* buffer) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Core* core = kernel_->core();
  const Vaddr va = part->window->base + (offset - part->window->offset);
  const bool busy = part->page_count > 0;
  if (!busy) part->object->mu.Lock();
  PmapSystem::Mapping mapping;
  bool mapped =
      core->pmap->PeekNext(core->pmap->Kernel(), va.Trunc(), &mapping) && mapping.va == va.Trunc();
  if (part->write()) mapped = mapped && mapping.prot.CanWrite();
  if (mapped) {
    unsigned char* home = core->pmap->HomePointer(mapping.pa) + va.Offset();
    if (part->write()) {
      std::memcpy(home, buffer, bytes);
      // A store through the home address sets no modified bit.
      Page* page = kernel_->pages()->FromPaddr(mapping.pa);
      if (!busy) part->object->SetDirty(page, Dirty::kDirty);
    } else {
      std::memcpy(buffer, home, bytes);
    }
  }
  if (!busy) part->object->mu.Unlock();
  return mapped;
}

Result<void, FaultError> BufferCache::MovePage(Part* part, uint64_t offset, uint64_t bytes,
                                               unsigned char* buffer) {
  const Vaddr va = part->window->base + (offset - part->window->offset);
  while (!CopyMapped(part, offset, bytes, buffer)) {
    TRY(kernel_->Fault(va, part->write() ? Access::kWrite : Access::kRead));
  }
  return {};
}

// Asks the peer for what the part is to write, before anything is locked or busy. Returns how much
// came.
uint64_t BufferCache::Supply(const Part& part, UioPeer* peer, unsigned char* buffer,
                             Result<void, FaultError>* result) {
  uint64_t supplied = 0;
  while (supplied < part.bytes) {
    const uint64_t some = part.PieceAt(supplied);
    *result = peer->Move(buffer + supplied, some);
    if (!result->ok()) break;
    supplied += some;
  }
  return supplied;
}

// Moves the part page by page, by way of a buffer.
Result<void, FaultError> BufferCache::MovePart(Part* part, Uio* uio, Fill fill) {
  void* memory = buffers_.Allocate(part->bytes);
  if (memory == nullptr) return FaultError::kNoMemory;
  const uint64_t size = part->bytes;
  auto* buffer = static_cast<unsigned char*>(memory);  // zeroes
  Result<void, FaultError> result;
  // The peer, or whoever wants zeroes, has something for the first `supplied` bytes. The pages
  // behind them are to hold zeroes if nobody ever filled them.
  uint64_t supplied = fill == Fill::kZeroFresh ? 0 : part->bytes;
  if (part->write() && fill == Fill::kTransfer)
    supplied = Supply(*part, uio->peer, buffer, &result);
  if (!result.ok() && (part->flags & kUbcPartialOk) != 0) part->flags &= ~uint32_t{kUbcFaultBusy};
  if ((part->flags & kUbcFaultBusy) == 0) part->bytes = supplied;
  Result<void, FaultError> moved;
  if (part->bytes > 0) {
    part->window = Acquire(part);
    if ((part->flags & kUbcFaultBusy) != 0 && !TakeBusy(part)) GiveUpBusy(part);
    for (uint64_t done = 0; moved.ok() && done < part->bytes;) {
      const uint64_t at = part->offset + done;
      const uint64_t some = part->PieceAt(done);
      const bool supplied_here = done < supplied;
      if (supplied_here || part->IsFresh(at)) moved = MovePage(part, at, some, buffer + done);
      if (moved.ok() && !part->write()) moved = uio->peer->Move(buffer + done, some);
      if (moved.ok() && uio != nullptr && supplied_here) {
        uio->offset += some;
        uio->resid -= some;
      }
      done += some;
    }
    Release(part);
  }
  buffers_.Free(memory, size);
  // What the object failed at comes before what the peer did not have.
  return moved.ok() ? result : moved;
}

Result<void, FaultError> BufferCache::UioMove(Object* object, Uio* uio, uint64_t todo,
                                              Advice advice, uint32_t flags) {
  CHECK(((flags & kUbcRead) != 0) != ((flags & kUbcWrite) != 0));
  CHECK(todo <= uio->resid);
  Result<void, FaultError> result;
  uint64_t offset = uio->offset;
  while (todo > 0) {
    const uint64_t left = kWindowBytes - offset % kWindowBytes;
    const uint64_t bytes = todo < left ? todo : left;
    Part part{object, offset, bytes, advice, flags};
    if (result.ok()) {
      result = MovePart(&part, uio, Fill::kTransfer);
    } else {
      // The caller has made room for all of it, so all of it must be there.
      Result<void, FaultError> zeroed = MovePart(&part, nullptr, Fill::kZeroFresh);
      (void)zeroed.ok();  // the first error is the one to tell
    }
    const bool goes_on = (flags & kUbcFaultBusy) != 0 && (flags & kUbcPartialOk) == 0;
    if (!result.ok() && !goes_on) break;
    offset += bytes;
    todo -= bytes;
  }
  return result;
}

Result<void, FaultError> BufferCache::ZeroRange(Object* object, uint64_t offset, uint64_t bytes,
                                                uint32_t flags) {
  while (bytes > 0) {
    const uint64_t left = kWindowBytes - offset % kWindowBytes;
    const uint64_t some = bytes < left ? bytes : left;
    Part part{object, offset, some, Advice::kNormal, kUbcWrite | (flags & kUbcUnmap)};
    TRY(MovePart(&part, nullptr, Fill::kZero));
    offset += some;
    bytes -= some;
  }
  return {};
}

// ---- The windows' own object ----

Result<void, PagerError> BufferCache::Get(Object* object,
                                          GetRequest* request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if ((request->flags & kPgoLocked) != 0) return PagerError::kBusy;
  object->mu.Unlock();
  return PagerError::kIo;
}

Result<void, PagerError> BufferCache::Put(Object* object, PageIndex, PageIndex,
                                          uint32_t) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Unlock();
  return {};
}

// Never more rights than the fault asked for: a page that was only read stays read-only here, so
// that the first write to it, or to a hole, comes by again (facts/uvm.md 5.A item 14).
void BufferCache::EnterPages(FaultInfo* info, Object* object, Page** pages, uint32_t count,
                             bool writable) {
  Core* core = kernel_->core();
  const Prot prot = writable ? base::kProtReadWrite : base::kProtRead;
  MutexLock lock(&object->mu);
  for (uint32_t i = 0; i < count; ++i) {
    const Vaddr va = info->va + i * base::kPageSize;
    if (pages[i] == nullptr) continue;
    if (i > 0 && core->pmap->Extract(info->pmap(), va, nullptr)) continue;
    if (writable && !BreakLoan(&pages[i])) {
      info->restart = true;
      continue;
    }
    Result<void, PmapError> entered =
        core->pmap->Enter(info->pmap(), va, pages[i]->pa, prot,
                          {.access = i == 0 ? base::ProtFor(info->access) : base::kProtNone});
    if (i == 0 && !entered.ok()) info->restart = true;
    kernel_->pages()->Activate(pages[i]);
  }
  object->Unbusy(kernel_->pages(), pages, count);
}

Result<void, FaultError> BufferCache::Fault(FaultInfo* info) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uint64_t place = info->va - base_;
  const Window* window = &windows_[place / kWindowBytes];
  const bool write = info->access == Access::kWrite;
  const bool used = window->refs > 0 && !window->exclusive && (!write || window->writable);
  Object* object = window->object;
  const uint64_t offset = window->offset + place % kWindowBytes;
  const Advice advice = window->advice;
  info->UnlockAll();
  if (!used) return FaultError::kNoEntry;
  // The rest of the window comes along with a read, a write takes what it asks for.
  Page* pages[kWindowPages] = {};
  GetRequest request;
  request.first = base::ToPageIndex(offset);
  request.count =
      write ? 1 : static_cast<uint32_t>((kWindowBytes - place % kWindowBytes) >> base::kPageShift);
  request.pages = pages;
  request.access = info->access;
  request.advice = advice;
  request.flags = kPgoSyncIo;
  object->mu.Lock();
  Result<void, PagerError> got = object->pager()->Get(object, &request);
  if (!got.ok() && got.error() == PagerError::kNoMemory && request.count > 1) {
    request.count = 1;
    object->mu.Lock();
    got = object->pager()->Get(object, &request);
  }
  if (!got.ok()) return FaultErrorOf(got.error());
  EnterPages(info, object, pages, request.count, write);
  kernel_->core()->pmap->Update(info->pmap());
  if (info->restart) return FaultError::kNoMemory;  // whoever asked waits, where that helps
  return {};
}

}  // namespace uvm
