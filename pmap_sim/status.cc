// What is asked of a physical page: all its mappings, whoever's they are.
//
// SEE  NetBSD: pmap_page_protect(), pmap_is_modified(), pmap_is_referenced(), pmap_clear_modify(),
//      pmap_clear_reference(); facts/uvm.md 3.2.

#include "base/check.h"
#include "pmap_sim/l4_pmap.h"

namespace pmap_sim {

using base::Paddr;
using base::Prot;

// Kernel mappings that lost more than they should, because the kernel cannot take less than all.
void L4Pmap::RemakeOwn(Frame* frame) {
  if (frame->own == 0) return;
  for (Translation* at = frame->first; at != nullptr; at = at->rest().next) {
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
  for (Translation* at = frame->first; at != nullptr; at = at->rest().next) {
    if (at == forgotten) continue;
    Prot excess = remove ? at->sent : at->sent - prot;
    if (!remove) at->prot = at->prot & prot;
    if (!excess.IsNone()) Take(at, excess);
  }
  // Effective on return, whatever put it into the batch.
  batch_.Flush();
  if (!remove) return RemakeOwn(frame);
  for (Translation *at = frame->first, *next; at != nullptr; at = next) {
    next = at->rest().next;
    if (at != forgotten) Unlink(Leaf::Of(at)->window->pmap, at);
  }
}

// Where only faults tell, they already have; but kernel mappings do not fault, so they are removed
// and made again.
void L4Pmap::CollectStatus(Frame* frame) {
  batch_.Flush();
  if (!traits_.by_the_manual && frame->own == 0) return;
  for (Translation* at = frame->first; at != nullptr; at = at->rest().next) {
    if (at->sent.IsNone()) continue;
    if (!traits_.by_the_manual && !Leaf::Of(at)->window->pmap->is_kernel) continue;
    ++counters_.status_queries;
    Take(at, base::kProtNone);
  }
  batch_.Flush();
  if (!traits_.by_the_manual) RemakeOwn(frame);
}

bool L4Pmap::IsModified(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (!StatusOf(frame).modified) CollectStatus(frame);
  return StatusOf(frame).modified;
}

bool L4Pmap::IsReferenced(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  batch_.Flush();
  if (!StatusOf(frame).referenced) CollectStatus(frame);
  return StatusOf(frame).referenced;
}

// Reading status resets it in the kernel, so the next access sets it afresh: detection needs no
// further arming. Where faults tell, the pages that may be written are taken back, to fault again.
bool L4Pmap::ClearModify(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  if (NeedsFaultsForModified()) {
    for (Translation* at = frame->first; at != nullptr; at = at->rest().next) {
      const bool own = Leaf::Of(at)->window->pmap->is_kernel;
      if (at->sent.CanWrite() && !own) Take(at, at->sent);
    }
  }
  CollectStatus(frame);
  const bool was = StatusOf(frame).modified;
  StatusOf(frame).modified = false;
  return was;
}

// The same; a wired page stays where it is and then reads as referenced, which it may: nobody
// replaces it. So does one with a kernel mapping that leaves no trace.
bool L4Pmap::ClearReference(Paddr pa) {
  Guard guard(this);
  Frame* frame = FrameAt(pa);
  bool kept = false;
  if (NeedsFaultsForReferenced()) {
    for (Translation* at = frame->first; at != nullptr; at = at->rest().next) {
      if (at->sent.IsNone()) continue;
      const bool own = Leaf::Of(at)->window->pmap->is_kernel;
      kept |= own ? !traits_.reference_bits : at->wired;
      if (!own && !at->wired) Take(at, at->sent);
    }
  }
  CollectStatus(frame);
  const bool was = StatusOf(frame).referenced;
  StatusOf(frame).referenced = kept;
  return was;
}

}  // namespace pmap_sim
