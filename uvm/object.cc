#include "uvm/object.h"

#include "base/check.h"

namespace uvm {

Object* ObjectStore::Create(Pager* pager, uint64_t key) {
  CHECK(pager != nullptr);
  Object* object = pool_.New(core_, pager, key);
  if (object == nullptr) return nullptr;
  object->id = next_id_++;
  all_.PushBack(object);
  return object;
}

void ObjectStore::Reference(Object* object) {
  MutexLock lock(&object->mu);
  ++object->refs;
}

void ObjectStore::Release(Object* object) {
  {
    MutexLock lock(&object->mu);
    CHECK(object->refs > 0);
    if (--object->refs > 0) return;
    while (Page* page = object->FirstPage()) {
      CHECK(!page->IsBusy());  // whoever fills a page holds a reference through its entry
      object->Remove(page);
      pages_->Free(page);
    }
  }
  object->pager()->Detach(object);
  all_.Remove(object);
  pool_.Delete(object);
}

}  // namespace uvm
