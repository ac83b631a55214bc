// uvm/page_object.h: what is done to a page together with the object that owns it.
//
// WHAT     Dirty status; moving and replacing pages in their object's tree. Not in page.h, which
//          does not know objects.
// STATES   dirty of an object's page: kClean -> kUnknown (mapped for writing) -> kDirty (seen to be
//          modified) -> kClean (written back, or found unmodified while nobody could write).
// LOCKS    Every call: the owner's lock, which for pages of objects is Object::mu.
// SEE      NetBSD sys/uvm/uvm_page_status.c; facts/uvm.md 1.10.

#ifndef UVM_PAGE_OBJECT_H_
#define UVM_PAGE_OBJECT_H_

#include "uvm/core.h"
#include "uvm/object.h"
#include "uvm/page.h"

namespace uvm {

enum class WriteProtected : uint8_t { kNo, kYes };

class PageObjects {
 public:
  explicit PageObjects(Core* core) : core_(core) {}

  // NetBSD: uvm_pagemarkdirty(). Tells the pager when a page of an object stops being clean.
  void MarkDirty(Page* page, Dirty status);
  // NetBSD: uvm_pagecheckdirty(). True when the page differs from its backing; asks the pmap where
  // that is unknown. `kYes`: nobody has it mapped for writing, so what is found unmodified becomes
  // clean.
  bool CheckDirty(Page* page, WriteProtected write_protected);
  // NetBSD: uvm_pagereadonly_p(). True when the first write to the page has to fault even though
  // its entry permits writing: it is a hole of its file, or clean and its pager wants to know.
  bool IsReadOnly(const Page* page) const;

  // NetBSD: uvm_pagerealloc(). Moves a resident page, which keeps its contents, to `object` at
  // `index`, where there is none. LOCKS: both objects'.
  void Reallocate(Page* page, Object* object, PageIndex index);
  // NetBSD: uvm_pagereplace(). `fresh`, which AllocateForObject gave but nobody inserted, takes the
  // place of `old` in its object. `old` is then in no tree; the caller frees it.
  void Replace(Page* old, Page* fresh);

 private:
  Core* const core_;
};

}  // namespace uvm

#endif  // UVM_PAGE_OBJECT_H_
