// uvm/stored.h: memory objects whose contents somebody else stores.
//
// WHAT     A Store reads and writes whole pages of its objects: a made-up file in tests, vmserver's
//          files, later the door to external pagers. StoredPager turns a Store into the pager
//          vector: finds resident pages, busies and fills the missing ones, writes dirty ones back.
// LOCKS    Store's calls are made with no UVM lock held and the page busy: they may block on
//          whatever they like, but hold no busy page of another object meanwhile (design D14).
// SEE      facts/uvm.md 1.6 (NetBSD's uvn and genfs, which do this for files).

#ifndef UVM_STORED_H_
#define UVM_STORED_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"

namespace uvm {

class Store {
 public:
  // Fills contents[0..4096) with page `index`. An error is reported to every access that needs the
  // page, which is then absent again.
  virtual base::Result<void, PagerError> ReadPage(Object* object, base::PageIndex index,
                                                  unsigned char* contents) = 0;
  // Takes the page's contents back.
  virtual base::Result<void, PagerError> WritePage(Object* object, base::PageIndex index,
                                                   const unsigned char* contents) = 0;
  // Bytes; Pager::kUnbounded for objects without an end.
  virtual uint64_t SizeInBytes(const Object* object) const = 0;
  // The last reference is gone and every dirty page was written.
  virtual void Detach(Object* object) = 0;

 protected:
  ~Store() = default;
};

class StoredPager final : public Pager {
 public:
  StoredPager(Core* core, PageStore* pages) : core_(core), pages_(pages) {}

  base::Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  base::Result<void, PagerError> Put(Object* object, base::PageIndex first, base::PageIndex end,
                                     uint32_t flags) override;
  void Detach(Object* object) override { StoreOf(object)->Detach(object); }
  uint64_t SizeInBytes(const Object* object) const override {
    return StoreOf(object)->SizeInBytes(object);
  }

 private:
  static Store* StoreOf(const Object* object) { return static_cast<Store*>(object->pager_data); }
  Result<void, PagerError> GetResident(Object* object, GetRequest* request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);

  Core* const core_;
  PageStore* const pages_;
};

}  // namespace uvm

#endif  // UVM_STORED_H_
