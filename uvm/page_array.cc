#include "uvm/page_array.h"

namespace uvm {

bool PageArray::Fill(PageIndex from, uint32_t wanted) {
  object_->mu.AssertHeld();
  Clear();
  if (wanted == 0 || wanted > kBatch) wanted = kBatch;
  const bool down = (flags_ & kBackward) != 0;
  const auto towards = down ? Object::Towards::kDown : Object::Towards::kUp;
  const uint8_t tags = static_cast<uint8_t>(((flags_ & kDirty) != 0 ? kTagDirty : 0) |
                                            ((flags_ & kWriteback) != 0 ? kTagWriteback : 0));
  for (PageIndex at = from; count_ < wanted;) {
    Page* page = count_ == 0 || tags != 0 ? object_->Search(at, towards, tags)
                 : down                   ? Object::PreviousPage(batch_[count_ - 1])
                                          : Object::NextPage(batch_[count_ - 1]);
    if (page == nullptr) break;
    if ((flags_ & kDense) != 0 && page->index != at) break;
    batch_[count_++] = page;
    if (down && page->index.value() == 0) break;
    at = PageIndex(down ? page->index.value() - 1 : page->index.value() + 1);
  }
  return count_ != 0;
}

}  // namespace uvm
