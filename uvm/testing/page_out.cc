#include "uvm/testing/page_out.h"

#include <utility>


namespace uvm::testing {

void ScriptedSwap::Start(SwapTransfer* transfer) {
  const bool read = transfer->direction == SwapDirection::kRead;
  if (read && at_read_ != nullptr) std::exchange(at_read_, nullptr)();
  uint64_t& failing = read ? failing_reads_ : failing_writes_;
  if (failing == 0) return below_->Start(transfer);
  --failing;
  transfer->result = SwapResult::kIo;
  transfer->done(transfer);
}

namespace {

// Writes the page, which is busy, and waits for that.
SwapResult WriteOut(Uvm* uvm, SwapSlot slot, Page* page) {
  SwapTransfer transfer;
  bool done = false;
  transfer.context = &done;
  transfer.done = [](SwapTransfer* over) { *static_cast<bool*>(over->context) = true; };
  uvm->swap().StartWrite(slot, &page, 1, &transfer);
  EXPECT_TRUE(done);
  return transfer.result;
}

// What owns a page, with one face for anons and objects.
class Owner {
 public:
  Owner(World* world, Page* page)
      : world_(world),
        page_(page),
        anon_(page->anon),
        object_(page->object),
        anons_(const_cast<AnonStore*>(&world->uvm().DebugAnons())),
        anonymous_(const_cast<AnonymousPager*>(&world->uvm().DebugAnonymous())) {}

  Mutex& mutex() { return anon_ != nullptr ? anon_->lock->mutex : object_->mu; }
  void SetSlot(SwapSlot slot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (anon_ != nullptr) anon_->slot = slot;
    if (anon_ == nullptr) {
      EXPECT_TRUE(anonymous_->SetSlot(object_, page_->index, slot).ok());
    }
  }
  void DropSlot() {
    if (anon_ != nullptr) anons_->DropSlot(anon_);
    if (anon_ == nullptr) anonymous_->DropSlot(object_, page_->index);
  }
  // Asks the pmap, once nobody can reach the page.
  bool IsModified() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    world_->pmap().PageProtect(page_->pa, base::kProtNone);
    const bool told = world_->pmap().ClearModify(page_->pa);
    if (page_->dirty == Dirty::kUnknown) Mark(told ? Dirty::kDirty : Dirty::kClean);
    return page_->dirty == Dirty::kDirty;
  }
  void Mark(Dirty status) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (object_ != nullptr) object_->SetDirty(page_, status);
    page_->dirty = status;
  }
  void BeginWrite() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (anon_ != nullptr) anons_->BeginTransfer(anon_, BusyReason::kPageout);
    if (anon_ == nullptr) object_->SetBusy(page_, BusyReason::kPageout);
    page_->pageout = true;
  }
  void EndWrite() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    page_->pageout = false;
    if (anon_ != nullptr) {
      EXPECT_TRUE(anons_->EndTransfer(anon_));
    }
    if (anon_ == nullptr) object_->Unbusy(&world_->uvm().DebugPages(), page_);
  }
  void Evict() {
    if (anon_ != nullptr) anons_->Evict(anon_);
    if (anon_ == nullptr) anonymous_->Evict(object_, page_);
  }
  // The transfer's reference to the lock.
  void Leave(LayerLock* lock) { anons_->ReleaseLock(lock); }
  LayerLock* lock() { return anon_ != nullptr ? anon_->lock : nullptr; }

 private:
  World* const world_;
  Page* const page_;
  Anon* const anon_;
  Object* const object_;
  AnonStore* const anons_;
  AnonymousPager* const anonymous_;
};

}  // namespace

// Out of reach, then clean or not, then written, then freed.
std::string SwappingWorld::PageOutFrame(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (page == nullptr) return "absent";
  if (page->IsBusy()) return "busy";
  if (page->wire_count != 0) return "wired";
  if (page->loan_count != 0) return "lent";
  Owner owner(this, page);
  Mutex& mutex = owner.mutex();
  LayerLock* const layer = owner.lock();
  mutex.Lock();
  if (!owner.IsModified()) {
    owner.Evict();
    mutex.Unlock();
    return "ok";
  }
  owner.DropSlot();
  uint32_t count = 1;
  const SwapSlot slot = uvm().swap().Allocate(&count, SwapStore::LessOk::kNo);
  if (slot == kNoSlot) {
    mutex.Unlock();
    return "no_slot";
  }
  owner.SetSlot(slot);
  owner.BeginWrite();
  mutex.Unlock();
  const bool written = WriteOut(&uvm(), slot, page) == SwapResult::kOk;
  mutex.Lock();
  if (!written) {
    uvm().swap().MarkBad(slot, 1);
    owner.SetSlot(kNoSlot);
  }
  owner.Mark(written ? Dirty::kClean : Dirty::kDirty);
  owner.EndWrite();
  if (written) owner.Evict();
  mutex.Unlock();
  if (layer != nullptr) owner.Leave(layer);
  return written ? "ok" : "error";
}

std::string SwappingWorld::PageOut(const Space& space, uint64_t page) {
  std::string outcome = PageOutFrame(ResidentAt(space, page));
  CheckInvariants();
  return outcome;
}

void SwappingWorld::PageOut(const Space& space, const std::string& picture) {
  for (uint64_t page = 0; page < picture.size(); ++page) {
    if (picture[page] != '.') {
      EXPECT_EQ(PageOut(space, page), "ok") << "page " << page;
    }
  }
}

std::string SwappingWorld::PageOutObject(Object* object, uint64_t index) {
  std::string outcome = PageOutFrame(const_cast<Page*>(object->DebugLookup(PageIndex(index))));
  CheckInvariants();
  return outcome;
}

std::string SwappingWorld::PresenceOf(const Space& space) {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const MapEntry* entry = EntryAt(space, page);
    const Amap* amap = entry != nullptr ? entry->aref.amap : nullptr;
    const bool anon = amap != nullptr && amap->anons[entry->SlotOf(PageAt(page))] != nullptr;
    const Page* resident = ResidentAt(space, page);
    const SwapSlot slot = SlotAt(space, page);
    const char* letters = anon ? ".asbx" : ".oqpy";
    const int which =
        slot == kBadSlot ? 4 : (resident != nullptr ? 1 : 0) + (slot != kNoSlot ? 2 : 0);
    picture += letters[which];
  }
  return picture;
}

std::string SwappingWorld::Swap() const {
  const SwapStore& swap = const_cast<SwappingWorld*>(this)->uvm().swap();
  SwapStats stats;
  const uint64_t bad = swap.Stats(&stats, 1) > 0 ? stats.bad.value() : 0;
  std::string text = std::to_string(swap.in_use().value());
  if (swap.only_on_swap().value() != 0)
    text += " only " + std::to_string(swap.only_on_swap().value());
  if (bad != 0) text += " bad " + std::to_string(bad);
  return text;
}

}  // namespace uvm::testing
