// What BufferCache::ValidWindows says when the windows of the buffer cache are broken.

#include "uvm/page.h"
#include "uvm/ubc.h"

namespace uvm {

bool BufferCache::ValidWindows(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (uint32_t i = 0; i < count_; ++i) {
    const Window& window = windows_[i];
    const char* wrong = nullptr;
    if ((window.refs == 0) != window.queue_link.linked())
      wrong = window.refs == 0 ? "is neither used nor queued" : "is used and queued";
    if (window.refs > 0 && window.object == nullptr) wrong = "is used and shows nothing";
    if (window.object != nullptr && Find(window.object, window.offset) != &window)
      wrong = "is not found by its object and offset";
    if (window.refs == 0 && window.exclusive) wrong = "is exclusively used by nobody";
    if (wrong == nullptr) continue;
    *text << "window " << i << " " << wrong;
    return false;
  }
  PmapSystem* pmap = kernel_->core()->pmap;
  constexpr uint32_t kAtOnce = 32;
  PmapSystem::Mapping mappings[kAtOnce];
  const Vaddr end = base_ + count_ * kWindowBytes;
  uint32_t found = kAtOnce;
  for (Vaddr from = base_; found == kAtOnce; from = mappings[kAtOnce - 1].va + base::kPageSize) {
    found = pmap->PeekSome(pmap->Kernel(), from, mappings, kAtOnce);
    for (uint32_t k = 0; k < found; ++k) {
      const PmapSystem::Mapping& mapping = mappings[k];
      if (mapping.va >= end) return true;
      const uint64_t i = (mapping.va - base_) / kWindowBytes;
      const Window& window = windows_[i];
      const Page* page = kernel_->pages()->FromPaddr(mapping.pa);
      const uint64_t offset = window.offset + (mapping.va - window.base);
      if (window.object != nullptr && page != nullptr && page->object == window.object &&
          page->index == base::ToPageIndex(offset))
        continue;
      *text << "window " << i << " maps a page that is not its object's there";
      return false;
    }
  }
  return true;
}

}  // namespace uvm
