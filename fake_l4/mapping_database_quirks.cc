// Unmap and grant of single pages as particular kernels carry them out. facts/l4.md section 8; the
// item is in brackets.
#include "base/check.h"
#include "fake_l4/mapping_database.h"

namespace fake_l4 {

namespace {

// [9] Status that is pushed into a parent's entry arrives with "referenced" and "written"
// exchanged.
RightsBits Pushed(RightsBits status) {
  return static_cast<RightsBits>((status & kR) | ((status & kW) != 0 ? kX : 0) |
                                 ((status & kX) != 0 ? kW : 0));
}

}  // namespace

// [8.g] The page moves with what is derived from it; its entry starts without status.
void MappingDatabase::QuirkMove(NodeIndex source, const Target& target, RightsBits rights) {
  const uint64_t frame = frame_number(source);
  ClearEntry(source);
  SetEntry(source, target, frame, rights);
  counters_.mapped++;
}

RightsBits MappingDatabase::QuirkUnmap(NodeIndex top, RightsBits revoke, Flush flush) {
  const bool all = revoke == kRwx;
  RightsBits result = quirks_.status == StatusRule::kPushedToParent ? CollectPushing(top, flush)
                                                                    : CollectKeeping(top, flush);
  if (all) {
    RemoveBelow(top, flush);
    if (flush == Flush::kYes && !IsRoot(top)) Remove(top);
  } else if (quirks_.revoke == RevokeRule::kSetRights) {
    SetRights(top, revoke, flush);
  } else {
    TakeWrite(top, revoke, flush);
  }
  return result;
}

// [superpages] An Unmap without flush looks for smaller children at the first frame of a larger
// page only.
bool MappingDatabase::Overlooked(NodeIndex child, NodeIndex top, Flush flush) const {
  if (flush == Flush::kYes || IsRoot(top) || node(child).parent != top) return false;
  return node(child).level < node(top).level &&
         links(child).pte->frame_number() != frame_number(top);
}

// [8.c, 8.e] Children before parents; every page below remembers what was collected from it. Bits
// on their way up are kept in `sub`.
RightsBits MappingDatabase::CollectPushing(NodeIndex top, Flush flush) {
  RightsBits result = 0;
  NodeIndex i = FirstBelow(top, flush);
  while (i != 0 && i != top) {
    while (links(i).first_child != 0) i = links(i).first_child;
    // Up, until there is a sibling that has not been looked at.
    for (NodeIndex next = 0; next == 0 && i != top;) {
      MappingNode& n = node(i);
      const RightsBits bits = links(i).pte->TakeStatus() | n.sub;
      n.sub = 0;
      links(i).own |= bits;
      const bool direct = n.parent == top;
      if (direct) {
        result |= bits;
      } else {
        node(n.parent).sub |= bits;
      }
      next = direct ? NextSibling(i, top, flush) : links(i).next;
      i = next != 0 ? next : n.parent;
    }
  }
  MappingNode& t = node(top);
  if (IsRoot(top)) return result;
  if (flush == Flush::kNo) {
    links(top).pte->AddStatus(Pushed(result));
    return result;
  }
  result |= links(top).pte->TakeStatus() | links(top).own;
  links(top).own = 0;
  if (!IsRoot(t.parent)) links(t.parent).pte->AddStatus(Pushed(result));
  return result;
}

// [8.i, 8.j]
RightsBits MappingDatabase::CollectKeeping(NodeIndex top, Flush flush) {
  RightsBits result = 0;
  for (NodeIndex i = NextBelow(top, top, true); i != 0; i = NextBelow(i, top, true)) {
    const RightsBits bits = links(i).pte->TakeStatus();
    links(i).own |= bits;
    result |= bits;
  }
  if (IsRoot(top)) return result;
  const RightsBits own = links(top).pte->TakeStatus();
  if (flush == Flush::kNo) {
    links(top).pte->AddStatus(Pushed(result));
    return result;
  }
  result |= own | links(top).own;
  links(top).own = 0;
  return result;
}

NodeIndex MappingDatabase::NextSibling(NodeIndex i, NodeIndex top, Flush flush) const {
  i = links(i).next;
  while (i != 0 && Overlooked(i, top, flush)) i = links(i).next;
  return i;
}

NodeIndex MappingDatabase::FirstBelow(NodeIndex top, Flush flush) const {
  const NodeIndex i = links(top).first_child;
  return i != 0 && Overlooked(i, top, flush) ? NextSibling(i, top, flush) : i;
}

void MappingDatabase::RemoveBelow(NodeIndex top, Flush flush) {
  for (NodeIndex i = FirstBelow(top, flush); i != 0; i = FirstBelow(top, flush)) Remove(i);
}

// [8.d] `allowed` becomes the mask of `i` itself (flush) or of the direct children.
void MappingDatabase::SetRights(NodeIndex top, RightsBits revoke, Flush flush) {
  // Reading cannot be withheld.
  const RightsBits allowed = profile_.Normalise((~revoke & kRwx) | kR);
  if (flush == Flush::kYes && !IsRoot(top)) {
    MappingNode& n = node(top);
    const RightsBits before = n.in;
    n.in = allowed & 7;
    PassRights(top, (before & ~allowed) == 0, allowed);
    return;
  }
  for (NodeIndex i = FirstBelow(top, flush); i != 0; i = NextSibling(i, top, flush)) {
    MappingNode& n = node(i);
    const RightsBits before = n.out;
    n.out = allowed & 7;
    PassRights(i, (before & ~allowed) == 0, allowed);
  }
}

void MappingDatabase::PassRights(NodeIndex top, bool extend, RightsBits allowed) {
  for (NodeIndex i = top; i != 0; i = NextBelow(i, top, true)) {
    const MappingNode& n = node(i);
    const RightsBits before = links(i).pte->rights();
    RightsBits after = before & allowed;
    if (extend) after = before | (rights(n.parent) & n.out & n.in);
    after = profile_.Normalise(after | kR);
    if (after != before) Restrict(i, after);
  }
}

// [8.h]
void MappingDatabase::TakeWrite(NodeIndex top, RightsBits revoke, Flush flush) {
  const RightsBits take = revoke & kW;
  if (take == 0) return;
  NodeIndex i = flush == Flush::kYes && !IsRoot(top) ? top : NextBelow(top, top, true);
  for (; i != 0; i = NextBelow(i, top, true)) {
    const RightsBits before = rights(i);
    const RightsBits left = profile_.Normalise((before & ~take) | kR);
    if (left != before) Restrict(i, left);
  }
}

}  // namespace fake_l4
