// sigma0: the first pager, which owns all memory. An ordinary thread that talks by IPC; only its
// bookkeeping is host memory. facts/l4.md section 6.1; X.2 manual: "Sigma0 Protocol".
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/misc.h>
#include <l4/sigma0.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// Owners that are no thread: device registers are everybody's, what the memory table withholds
// nobody's.
constexpr L4_Word_t kFree = 0, kEverybody = ~L4_Word_t{0}, kNobody = ~L4_Word_t{1};

// The extended protocol, label -1001 << 4: MR1 = what, MR2 = its operand. Known from one kernel
// only.
constexpr L4_Word_t kLabelExtended = (~L4_Word_t{0} >> 16) - 1001 * 16 + 1;
// Physical addresses end where page tables cannot name pages any more.
constexpr uint64_t kPhysicalLimit = uint64_t{1} << 36;

constexpr L4_Word_t kSetVerbosity = 1, kDumpPools = 2;

std::string OwnerText(L4_Word_t owner) {
  if (owner == kFree) return "free";
  if (owner == kEverybody) return "shared";
  if (owner == kNobody) return "withheld";
  const L4_ThreadId_t id = L4_ThreadIdOfRaw(owner);
  return absl::StrCat("thread ", L4_ThreadNo(id), ".", L4_Version(id));
}

struct Sigma0 {
  const Profile& profile;
  const std::vector<MemoryRegion>& table;
  std::vector<L4_Word_t>& owner;
  uint64_t& hint;
  uint64_t& touched;

  // True when [first, first + count) is memory that `who` owns, or nobody does, or everybody.
  bool MayHave(uint64_t first, uint64_t count, L4_ThreadId_t who) const {
    if (first >= owner.size() || count > owner.size() - first) return false;
    for (uint64_t i = first; i < first + count; i++) {
      if (owner[i] != kFree && owner[i] != kEverybody && owner[i] != who.raw) return false;
    }
    return true;
  }
  bool IsFree(uint64_t first, uint64_t count) const {
    for (uint64_t i = first; i < first + count; i++) {
      if (owner[i] != kFree) return false;
    }
    return true;
  }
  void Give(uint64_t first, uint64_t count, L4_ThreadId_t who) {
    for (uint64_t i = first; i < first + count; i++) {
      if (owner[i] == kFree) owner[i] = who.raw;
    }
    touched = std::max(touched, first + count);
  }

  // The lowest free aligned region; the number of frames when there is none. Single pages go on
  // where the last one was found: nothing is ever given back.
  uint64_t FindFree(uint64_t count) {
    const uint64_t base = profile.ram_base >> kPageShift;
    uint64_t first = (count == 1 ? hint : 0) + base;
    for (first = (first + count - 1) / count * count; first - base + count <= owner.size();
         first += count) {
      if (!IsFree(first - base, count)) continue;
      if (count == 1) hint = first - base + 1;
      return first - base;
    }
    return owner.size();
  }

  // True when the memory table has no word about the region: whoever knows that there is something
  // may have it. Processors of 32 bits have as many for physical addresses.
  bool IsUnlisted(uint64_t base, unsigned log2) const {
    const uint64_t end = base + (uint64_t{1} << log2);
    const uint64_t limit = profile.word_bits == 32 ? uint64_t{1} << 32 : kPhysicalLimit;
    if (end < base || end > limit) return false;
    for (const MemoryRegion& r : table) {
      if (!r.is_virtual && r.low < end && base < r.end) return false;
    }
    return true;
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
      if (first == owner.size()) return L4_Nilpage;
    } else {
      const uint64_t page = request >> log2 << (log2 - kPageShift);
      if (IsUnlisted(page << kPageShift, log2)) return Given(page, log2);
      first = page - ram;
      if (page < ram || !MayHave(first, count, who)) return L4_Nilpage;
    }
    Give(first, count, who);
    return Given(ram + first, log2);
  }
  static L4_Fpage_t Given(uint64_t page, unsigned log2) {
    const L4_Word_t base = static_cast<L4_Word_t>(page << kPageShift);
    return L4_FpageAddRights(L4_FpageLog2(base, log2), L4_FullyAccessible);
  }

  // The same for a page that is to have a memory attribute.
  L4_Fpage_t AnswerWith(L4_Word_t request, L4_Word_t attribute, L4_ThreadId_t who) {
    if (attribute >= 32 || (profile.memory_attributes >> attribute & 1) == 0) return L4_Nilpage;
    const L4_Fpage_t f = Answer(request, who);
    if (attribute == 0 || L4_IsNilFpage(f)) return f;
    const L4_Word_t attributes[4] = {attribute, 0, 0, 0};
    L4_LoadMR(0, L4_FpageRemoveRights(f, L4_FullyAccessible).raw);
    return L4_MemoryControl(0, attributes) != 0 ? f : L4_Nilpage;
  }

  // Runs of equal owners, one a line.
  void Dump(std::string* text) const {
    for (uint64_t first = 0, end = 0; first < owner.size(); first = end) {
      while (end < owner.size() && owner[end] == owner[first]) end++;
      absl::StrAppend(text, "sigma0: 0x", absl::Hex(profile.ram_base + (first << kPageShift)),
                      "-0x", absl::Hex(profile.ram_base + (end << kPageShift) - 1), " ",
                      OwnerText(owner[first]), "\n");
    }
  }
};

void LoadMapReply(L4_Fpage_t f) {
  const L4_MapItem_t item = L4_MapItem(f, L4_Address(f));
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
}

}  // namespace

void Core::ResetSigma0() {
  const uint64_t done = std::min<uint64_t>(sigma0_touched_, sigma0_owner_.size());
  std::fill_n(sigma0_owner_.begin(), done, kFree);
  sigma0_owner_.resize(frames(), kFree);
  sigma0_touched_ = sigma0_hint_ = 0;
  sigma0_verbosity_ = 0;
  sigma0_log_.clear();
  // Without regions of the machine's builder the table says what the layout does: RAM, then
  // devices.
  const uint64_t first = options_.memory_regions.empty() ? ram_frames() : 0;
  for (uint64_t i = first; i < frames(); i++) {
    const unsigned type = MemoryTypeAt(profile_.ram_base + (i << kPageShift)) & 15;
    sigma0_owner_[i] = type == L4_ConventionalMemoryType         ? kFree
                       : type == L4_SharedMemoryType             ? kEverybody
                       : type == L4_BootLoaderSpecificMemoryType ? root_.raw
                                                                 : kNobody;
  }
}

bool Core::Sigma0Answers(L4_MsgTag_t tag, L4_ThreadId_t from) {
  Sigma0 sigma0{profile_, memory_table_, sigma0_owner_, sigma0_hint_, sigma0_touched_};
  L4_Word_t words[2] = {0, 0};
  L4_StoreMRs(1, 2, words);
  const L4_Word_t u = L4_UntypedWords(tag);
  if (L4_IpcFailed(tag) || L4_TypedWords(tag) != 0 || (u != 2 && u != 3)) return false;
  L4_Fpage_t f = L4_Nilpage;
  if (L4_Label(tag) == L4_LABEL_SIGMA0) {
    f = sigma0.AnswerWith(words[0], words[1], from);
  } else if (L4_IsPageFault(tag)) {
    // A request for the one page. Where there is no memory no answer helps: the thread stays
    // blocked, and whoever looks for deadlocks sees why.
    const uint64_t page = words[0] >> kPageShift;
    if (page - (profile_.ram_base >> kPageShift) >= frames()) return false;
    f = sigma0.Answer(L4_FpageLog2(words[0], kPageShift).raw, from);
    if (L4_IsNilFpage(f)) return false;
  } else if (L4_Label(tag) == kLabelExtended) {
    const Thread* t = Find(from);
    if (t == nullptr || !t->space->privileged) return false;
    if (words[0] == kSetVerbosity) sigma0_verbosity_ = static_cast<unsigned>(words[1]);
    if (words[0] == kDumpPools) sigma0.Dump(&sigma0_log_);
    L4_Set_MsgTag(L4_Niltag);
    return true;
  } else {
    return false;
  }
  if (sigma0_verbosity_ != 0) {
    absl::StrAppend(&sigma0_log_, "sigma0: ", OwnerText(from.raw), " asks for 0x",
                    absl::Hex(words[0]), ": 0x", absl::Hex(f.raw), "\n");
  }
  LoadMapReply(f);
  return true;
}

void Core::Sigma0Main() {
  L4_ThreadId_t from = L4_nilthread;
  L4_MsgTag_t tag = L4_Wait(&from);
  for (;;) {
    // Of its own threads it knows the global ids, too.
    if (const Thread* t = Resolve(*running_, from); t != nullptr) from = t->gid;
    tag = Sigma0Answers(tag, from) ? L4_ReplyWait(from, &from) : L4_Wait(&from);
  }
}

}  // namespace fake_l4
