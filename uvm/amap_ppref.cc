// Per-page reference counts of an amap's slots, run by run (amap.h has the worked example).

#include "base/check.h"
#include "uvm/amap.h"

namespace uvm {

AmapStore::Run AmapStore::RunAt(const Amap* amap, uint32_t slot) {
  int32_t head = amap->ppref[slot];
  if (head > 0) return {static_cast<uint32_t>(head - 1), 1};
  return {static_cast<uint32_t>(-head - 1), static_cast<uint32_t>(amap->ppref[slot + 1])};
}

void AmapStore::SetRun(Amap* amap, uint32_t slot, Run run) {
  auto marked = static_cast<int32_t>(run.count + 1);
  if (run.length == 1) {
    amap->ppref[slot] = marked;
    return;
  }
  amap->ppref[slot] = -marked;
  amap->ppref[slot + 1] = static_cast<int32_t>(run.length);
}

void AmapStore::EstablishPpref(Amap* amap, uint32_t slot, PageCount pages) {
  if (amap->pp != Ppref::kAbsent) return;
  amap->ppref = static_cast<int32_t*>(arrays_.AllocateRaw(amap->capacity * sizeof(int32_t)));
  if (amap->ppref == nullptr) {
    amap->pp = Ppref::kLost;
    return;
  }
  amap->pp = Ppref::kPresent;
  auto end = static_cast<uint32_t>(slot + pages.value());
  if (slot > 0) SetRun(amap, 0, {0, slot});
  SetRun(amap, slot, {amap->refs, end - slot});
  if (end < amap->slot_count) SetRun(amap, end, {0, amap->slot_count - end});
}

void AmapStore::DropPpref(Amap* amap) {
  if (amap->ppref != nullptr) arrays_.Free(amap->ppref, amap->capacity * sizeof(int32_t));
  amap->ppref = nullptr;
  amap->pp = Ppref::kAbsent;
}

void AmapStore::AdjustPpref(Amap* amap, uint32_t slot, PageCount pages, int delta) {
  auto end = static_cast<uint32_t>(slot + pages.value());
  CHECK(end <= amap->slot_count);
  // The run before the range, cut off at `slot`, is where an equal first run is merged into.
  uint32_t before = 0;
  Run last = RunAt(amap, 0);
  if (slot > 0) {
    while (before + last.length < slot) {
      before += last.length;
      last = RunAt(amap, before);
    }
    if (before + last.length > slot) {
      SetRun(amap, slot, {last.count, before + last.length - slot});
      last.length = slot - before;
      SetRun(amap, before, last);
    }
  }
  bool merges = slot > 0;
  for (uint32_t at = slot; at < end;) {
    Run run = RunAt(amap, at);
    if (at + run.length > end) {
      SetRun(amap, end, {run.count, at + run.length - end});
      run.length = end - at;
    }
    CHECK(delta > 0 || run.count > 0);
    run.count = static_cast<uint32_t>(static_cast<int32_t>(run.count) + delta);
    uint32_t next = at + run.length;
    // Nobody can reach these slots any more: this is what keeps partial unmaps from leaking.
    if (run.count == 0) ReleaseRange({amap, at}, PageCount(run.length));
    if (merges && last.count == run.count) {
      last.length += run.length;
    } else {
      before = at;
      last = run;
    }
    SetRun(amap, before, last);
    merges = true;
    at = next;
  }
  if (end == amap->slot_count) return;
  Run after = RunAt(amap, end);
  if (after.count == last.count) SetRun(amap, before, {last.count, last.length + after.length});
}

PageCount AmapStore::AliasedRun(const AmapRef& ref, PageCount pages, bool* several) {
  Amap* amap = ref.amap;
  MutexLock lock(&amap->lock->mutex);
  if (amap->pp == Ppref::kLost) return PageCount(0);
  uint32_t end = static_cast<uint32_t>(ref.slot + pages.value());
  *several = amap->refs > 1;
  if (amap->pp == Ppref::kPresent) {
    uint32_t at = 0;  // the end of the run that is looked at
    Run run{};
    while (at <= ref.slot) {
      run = RunAt(amap, at);
      at += run.length;
    }
    *several = run.count > 1;
    while (at < end && (RunAt(amap, at).count > 1) == *several) at += RunAt(amap, at).length;
    if (at < end) end = at;
  }
  if (*several) amap->shared = true;
  return PageCount(end - ref.slot);
}

uint32_t AmapStore::DebugPpref(const Amap* amap, uint32_t slot) {
  for (uint32_t at = 0;;) {
    Run run = RunAt(amap, at);
    at += run.length;
    if (slot < at) return run.count;
  }
}

uint64_t AmapStore::DebugPprefSum(const Amap* amap, uint32_t* uncovered) {
  uint64_t sum = 0;
  *uncovered = amap->slot_count;
  for (uint32_t at = 0; at < amap->slot_count;) {
    Run run = RunAt(amap, at);
    sum += uint64_t{run.count} * run.length;
    for (uint32_t slot = at; run.count == 0 && slot < at + run.length; ++slot) {
      if (amap->anons[slot] != nullptr && slot < *uncovered) *uncovered = slot;
    }
    at += run.length;
  }
  return sum;
}

}  // namespace uvm
