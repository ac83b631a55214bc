// What is asked of a physical page: all its mappings, whoever's they are.

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

using base::Paddr;
using base::Prot;

// Kernel mappings that lost more than they should, because the kernel cannot take less than all.
void L4Pmap::RemakeOwn(Frame* frame) {
  if (frame->own == 0) return;
  for (Translation* at = frame->first; at != nullptr; at = at->next) {
    if (Leaf::Of(at)->window->pmap->is_kernel) MapOwn(at);
  }
}

void L4Pmap::PageProtect(Paddr pa, Prot prot) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  bool remove = !prot.CanRead();
  // The canary leaves the first mapping alone.
  Translation* forgotten =
      remove && config_.canary->Armed(base::Canary::kUnmapMissesOneSpace) ? frame->first : nullptr;
  for (Translation* at = frame->first; at != nullptr; at = at->next) {
    if (at == forgotten) continue;
    Prot excess = remove ? at->sent : at->sent - prot;
    if (!remove) at->prot = at->prot & prot;
    if (!excess.IsNone()) Take(at, excess);
  }
  // Effective on return, whatever put it into the batch.
  if (frame->pending) batch_.Flush();
  if (!remove) return RemakeOwn(frame);
  for (Translation *at = frame->first, *next; at != nullptr; at = next) {
    next = at->next;
    if (at != forgotten) Unlink(Leaf::Of(at)->window->pmap, at);
  }
}

// Where only faults tell, they already have.
void L4Pmap::CollectStatus(Frame* frame) {
  if (frame->pending) batch_.Flush();
  if (!traits_.by_the_manual) return;
  for (Translation* at = frame->first; at != nullptr; at = at->next) {
    if (at->sent.IsNone()) continue;
    ++counters_.status_queries;
    Take(at, base::kProtNone);
  }
  batch_.Flush();
}

bool L4Pmap::IsModified(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (!frame->modified) CollectStatus(frame);
  return frame->modified;
}

bool L4Pmap::IsReferenced(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (frame->pending) batch_.Flush();
  if (!frame->referenced && !NeedsFaultsForReferenced()) CollectStatus(frame);
  return frame->referenced;
}

// Reading status resets it in the kernel, so the next access sets it afresh: detection needs no
// further arming. Where faults tell, the pages that may be written are taken back, to fault again;
// kernel mappings cannot fault and read as modified for as long as they permit it.
bool L4Pmap::ClearModify(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  bool kept = false;
  if (NeedsFaultsForModified()) {
    for (Translation* at = frame->first; at != nullptr; at = at->next) {
      if (!at->sent.CanWrite()) continue;
      if (Leaf::Of(at)->window->pmap->is_kernel) {
        kept = true;
      } else {
        Take(at, at->sent);
      }
    }
  }
  CollectStatus(frame);
  const bool was = frame->modified;
  frame->modified = kept;
  return was;
}

// The same; a wired page stays where it is, too, and then reads as referenced, which it may: nobody
// replaces it.
bool L4Pmap::ClearReference(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  bool kept = false;
  if (NeedsFaultsForReferenced()) {
    for (Translation* at = frame->first; at != nullptr; at = at->next) {
      if (at->sent.IsNone()) continue;
      if (at->wired || Leaf::Of(at)->window->pmap->is_kernel) {
        kept = true;
      } else {
        Take(at, at->sent);
      }
    }
  }
  CollectStatus(frame);
  const bool was = frame->referenced;
  frame->referenced = kept;
  return was;
}

}  // namespace pmap_sim
