#include "uvm/swap_state_invariants.h"

#include "uvm/swap_invariants.h"

namespace uvm {
namespace {

using base::TextSink;

class Walk {
 public:
  Walk(Uvm* uvm, CleanPages compared, TextSink* text)
      : uvm_(uvm), store_(uvm->swap()), compared_(compared), text_(text) {}

  bool Holds() {
    if (!SwapAccounting(store_, text_)) return false;
    store_.DebugBeginVisits();
    if (!AnonsHold() || !ObjectsHold()) return false;
    // Anons that no amap has any more cannot be found from here, nor their slots.
    if (uvm_->loans().DebugAnonLoans() != 0 || uvm_->DebugAnons().dying() != 0) return true;
    if (!store_.DebugEndVisits(text_)) return false;
    if (only_ == store_.only_on_swap().value()) return true;
    *text_ << only_ << " pages are on swap only, " << store_.only_on_swap().value()
           << " count as such";
    return false;
  }

 private:
  bool AnonsHold() {
    const AmapStore::List& all = uvm_->DebugAmaps().DebugAll();
    for (Amap* amap = all.front(); amap != nullptr; amap = all.Next(amap)) {
      for (uint32_t i = 0; i < amap->used_count; ++i) amap->anons[amap->used[i]]->debug_seen = 0;
    }
    for (Amap* amap = all.front(); amap != nullptr; amap = all.Next(amap)) {
      for (uint32_t i = 0; i < amap->used_count; ++i) {
        const uint32_t slot = amap->used[i];
        Anon* anon = amap->anons[slot];
        if (anon->debug_seen++ != 0) continue;
        const bool borrowed = anon->page != nullptr && anon->page->object != nullptr;
        const char* wrong = borrowed && anon->slot != kNoSlot
                                ? "has a slot, and a page that an object lent"
                                : WrongWith(anon->page, anon->slot, &only_);
        if (wrong == nullptr && anon->page == nullptr && anon->slot == kNoSlot)
          wrong = "has neither page nor slot";
        if (wrong == nullptr) continue;
        *text_ << "amap#" << amap->id << "[" << slot << "] anon slot=" << anon->slot << " "
               << wrong;
        Tell();
        return false;
      }
    }
    return true;
  }

  bool ObjectsHold() {
    const AnonymousPager& anonymous = uvm_->DebugAnonymous();
    const ObjectStore::List& all = uvm_->DebugObjects().DebugAll();
    for (Object* object = all.front(); object != nullptr; object = all.Next(object)) {
      if (object->pager() != &anonymous) continue;
      if (!SlotsHold(anonymous, object) || !PagesHold(anonymous, object)) return false;
    }
    return true;
  }

  bool SlotsHold(const AnonymousPager& anonymous, Object* object) {
    bool all = true;
    anonymous.Slots(object).ForEach(
        PageIndex(0), PageIndex(~uint64_t{0}), [&](PageIndex index, SwapSlot slot) {
          if (!all) return;
          const char* wrong = WrongWith(object->DebugLookup(index), slot, &only_);
          if (base::ToBytes(index) >= anonymous.SizeInBytes(object)) wrong = "lies beyond its end";
          if (wrong == nullptr) return;
          all = false;
          *text_ << "object#" << object->id << " page " << index << " slot=" << slot << " "
                 << wrong;
          Tell();
        });
    return all;
  }

  // What counts as clean, or would by what the pmap says, has to be somewhere else as well.
  bool PagesHold(const AnonymousPager& anonymous, Object* object) {
    for (Page* page = object->DebugFirstPage(); page != nullptr;
         page = Object::DebugNextPage(page)) {
      if (page->dirty == Dirty::kDirty || page->IsBusy()) continue;
      if (anonymous.FindSlot(object, page->index) != kNoSlot) continue;
      *text_ << "object#" << object->id << " page " << page->index
             << " is not dirty and has no slot";
      return false;
    }
    return true;
  }

  // Null, or what is wrong with a page (null: not in memory) that has `slot`. Counts it.
  const char* WrongWith(const Page* page, SwapSlot slot, uint64_t* only) {
    if (slot == kNoSlot) {
      const bool own = page != nullptr && page->object == nullptr && !page->IsBusy();
      return own && page->dirty != Dirty::kDirty ? "is not dirty and has no slot" : nullptr;
    }
    if (slot == kBadSlot) {
      if (page != nullptr) return "is in memory, and lost";
      return uvm_->counters().swap_in_errors == 0 ? "is lost, though nothing failed" : nullptr;
    }
    if (!store_.DebugVisit(slot, &unread_)) return "has a wrong slot: ";
    if (page == nullptr) {
      ++*only;
      return nullptr;
    }
    if (page->wire_count != 0) return "is wired";
    if (page->IsBusy() || page->dirty != Dirty::kClean) return nullptr;
    if (compared_ == CleanPages::kSome && (slot + uvm_->counters().faults) % 16 != 0)
      return nullptr;
    unsigned char bytes[base::kPageSize];
    if (!store_.DebugRead(slot, bytes)) return nullptr;  // the device does not tell
    const unsigned char* contents = uvm_->DebugPages().Contents(page);
    for (uint64_t i = 0; i < base::kPageSize; ++i) {
      if (bytes[i] != contents[i]) return "is clean, and differs from its slot";
    }
    return nullptr;
  }

  void Tell() {
    if (unread_text_[0] != '\0') *text_ << unread_text_;
  }

  Uvm* const uvm_;
  const SwapStore& store_;
  const CleanPages compared_;
  TextSink* const text_;
  uint64_t only_ = 0;
  char unread_text_[128];
  TextSink unread_{unread_text_, sizeof unread_text_};
};

}  // namespace

bool SwapSlotsAgree(Uvm* uvm, CleanPages compared, TextSink* text) {
  return Walk(uvm, compared, text).Holds();
}

}  // namespace uvm
