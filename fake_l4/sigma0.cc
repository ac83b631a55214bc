// sigma0: the first pager, which owns all memory. An ordinary thread that talks by IPC; only its
// bookkeeping is host memory. facts/l4.md section 6.1; X.2 manual: "Sigma0 Protocol".
#include <l4/ipc.h>
#include <l4/sigma0.h>

#include <algorithm>
#include <vector>

#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

struct Sigma0 {
  const Profile& profile;
  uint64_t frames;
  std::vector<L4_Word_t>& owner;
  uint64_t& hint;
  uint64_t& touched;

  // True when [first, first + count) is RAM that `who` owns or nobody does.
  bool MayHave(uint64_t first, uint64_t count, L4_ThreadId_t who) const {
    if (first >= frames || count > frames - first) return false;
    for (uint64_t i = first; i < first + count; i++) {
      if (owner[i] != 0 && owner[i] != who.raw) return false;
    }
    return true;
  }
  bool IsFree(uint64_t first, uint64_t count) const { return MayHave(first, count, L4_nilthread); }
  void Give(uint64_t first, uint64_t count, L4_ThreadId_t who) {
    for (uint64_t i = first; i < first + count; i++) owner[i] = who.raw;
    touched = std::max(touched, first + count);
  }

  // The lowest free aligned region; `frames` when there is none. Single pages go on where the last
  // one was found: nothing is ever given back.
  uint64_t FindFree(uint64_t count) {
    const uint64_t base = profile.ram_base >> kPageShift;
    uint64_t first = (count == 1 ? hint : 0) + base;
    for (first = (first + count - 1) / count * count; first - base + count <= frames;
         first += count) {
      if (!IsFree(first - base, count)) continue;
      if (count == 1) hint = first - base + 1;
      return first - base;
    }
    return frames;
  }

  // The physical region to map for a request, with all rights; nilpage when refused.
  L4_Fpage_t Answer(L4_Word_t request, L4_ThreadId_t who) {
    const unsigned log2 = request >> 4 & 63;
    if (log2 < kPageShift || log2 >= profile.address_bits) return L4_Nilpage;
    const uint64_t count = uint64_t{1} << (log2 - kPageShift);
    const uint64_t ram = profile.ram_base >> kPageShift;
    uint64_t first;
    if ((request & ~L4_Word_t{1023}) == ~L4_Word_t{1023}) {
      first = FindFree(count);
      if (first == frames) return L4_Nilpage;
    } else {
      const uint64_t page = request >> log2 << (log2 - kPageShift);
      first = page - ram;
      if (page < ram || !MayHave(first, count, who)) return L4_Nilpage;
    }
    Give(first, count, who);
    const L4_Word_t base = static_cast<L4_Word_t>((ram + first) << kPageShift);
    return L4_FpageAddRights(L4_FpageLog2(base, log2), L4_FullyAccessible);
  }
};

}  // namespace

void Core::Sigma0Main() {
  const uint64_t frames = options_.ram_bytes >> kPageShift;
  if (sigma0_owner_.empty()) sigma0_owner_.resize(frames);
  Sigma0 sigma0{profile_, frames, sigma0_owner_, sigma0_hint_, sigma0_touched_};
  L4_ThreadId_t from = L4_nilthread;
  L4_MsgTag_t tag = L4_Wait(&from);
  for (;;) {
    L4_Word_t request = 0;
    bool understood = L4_IpcSucceeded(tag) && L4_TypedWords(tag) == 0;
    L4_StoreMR(1, &request);
    if (understood && L4_Label(tag) == L4_LABEL_SIGMA0 && L4_UntypedWords(tag) >= 2) {
      const L4_Fpage_t f = sigma0.Answer(request, from);
      const L4_MapItem_t item = L4_MapItem(f, L4_Address(f));
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
    } else if (understood && L4_IsPageFault(tag) && L4_UntypedWords(tag) == 2) {
      // A page fault is a request for the one page. Where there is no memory no answer helps: the
      // thread stays blocked, and whoever looks for deadlocks sees why.
      const L4_Fpage_t f = sigma0.Answer(L4_FpageLog2(request, kPageShift).raw, from);
      understood = !L4_IsNilFpage(f);
      const L4_MapItem_t item = L4_MapItem(f, L4_Address(f));
      if (understood) {
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
      }
    } else {
      understood = false;
    }
    tag = understood ? L4_ReplyWait(from, &from) : L4_Wait(&from);
  }
}

}  // namespace fake_l4
