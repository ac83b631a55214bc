// What BufferCache::ValidWindows says when the windows of the buffer cache are broken.

#include "uvm/page.h"
#include "uvm/ubc.h"

namespace uvm {

bool BufferCache::ValidWindows(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const char* wrong = nullptr;
  for (uint32_t i = 0; i < count_; ++i) {
    const Window& window = windows_[i];
    if ((window.refs == 0) != window.queue_link.linked())
      wrong = window.refs == 0 ? "is neither used nor queued" : "is used and queued";
    if (window.refs > 0 && window.object == nullptr) wrong = "is used and shows nothing";
    if (window.object != nullptr && Find(window.object, window.offset) != &window)
      wrong = "is not found by its object and offset";
    if (window.refs == 0 && window.exclusive) wrong = "is exclusively used by nobody";
    PmapSystem* pmap = kernel_->core()->pmap;
    PmapSystem::Mapping mapping;
    for (Vaddr at = window.base; wrong == nullptr && at < window.base + kWindowBytes;
         at = mapping.va + base::kPageSize) {
      if (!pmap->PeekNext(pmap->Kernel(), at, &mapping)) break;
      if (mapping.va >= window.base + kWindowBytes) break;
      const Page* page = kernel_->pages()->FromPaddr(mapping.pa);
      const uint64_t offset = window.offset + (mapping.va - window.base);
      if (window.object == nullptr || page == nullptr || page->object != window.object ||
          page->index != base::ToPageIndex(offset))
        wrong = "maps a page that is not its object's there";
    }
    if (wrong == nullptr) continue;
    *text << "window " << i << " " << wrong;
    return false;
  }
  return true;
}

}  // namespace uvm
