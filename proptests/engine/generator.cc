#include "proptests/engine/generator.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/prot.h"
#include "traces/codec.h"

namespace proptests {
namespace {

using base::kPageSize;
using base::Prng;
using traces::Op;
using traces::OpKind;
using traces::Place;

struct KindWeight {
  OpKind kind;
  uint32_t weight;
};

// Accesses make up almost half: memory that nobody looks at proves nothing. Births and deaths are
// rare enough for a task to build something up, frequent enough for chains of forks.
constexpr KindWeight kStandard[] = {
    {OpKind::kSpace, 2},         {OpKind::kTask, 2},          {OpKind::kFork, 5},
    {OpKind::kTaskCreate, 4},    {OpKind::kExec, 1},          {OpKind::kExit, 3},
    {OpKind::kTaskTerminate, 3}, {OpKind::kExecMap, 1},       {OpKind::kExecBrk, 1},
    {OpKind::kMmap, 16},         {OpKind::kMunmap, 8},        {OpKind::kMprotect, 8},
    {OpKind::kMinherit, 4},      {OpKind::kMadvise, 6},       {OpKind::kMremap, 7},
    {OpKind::kBrk, 3},           {OpKind::kLinuxDontneed, 2}, {OpKind::kMlock, 4},
    {OpKind::kMunlock, 3},       {OpKind::kMlockall, 1},      {OpKind::kMunlockall, 1},
    {OpKind::kMincore, 3},       {OpKind::kMsync, 3},         {OpKind::kVmAllocate, 9},
    {OpKind::kVmDeallocate, 5},  {OpKind::kVmProtect, 6},     {OpKind::kVmInherit, 4},
    {OpKind::kVmRegion, 4},      {OpKind::kRead, 42},         {OpKind::kWrite, 50},
    {OpKind::kFetch, 4},         {OpKind::kTask32, 1},        {OpKind::kVmMap, 6},
    {OpKind::kVmCopy, 6},        {OpKind::kVmRead, 4},        {OpKind::kVmWrite, 6},
    {OpKind::kVmWire, 4},        {OpKind::kPread, 6},         {OpKind::kPwrite, 6},
    {OpKind::kPeek, 4},          {OpKind::kPoke, 4},          {OpKind::kSend, 5},
    {OpKind::kReceive, 5},       {OpKind::kFtruncate, 2},     {OpKind::kSendFile, 2},
    {OpKind::kMemfd, 4},         {OpKind::kMemfdTruncate, 5}, {OpKind::kMemfdSeal, 1},
    {OpKind::kMemfdClose, 1},    {OpKind::kShmget, 3},        {OpKind::kShmat, 5},
    {OpKind::kShmdt, 2},         {OpKind::kShmRemove, 1},     {OpKind::kShmLock, 1},
    {OpKind::kShmUnlock, 1},
};

constexpr base::Prot kProts[] = {
    base::kProtReadWrite, base::kProtReadWrite, base::kProtReadWrite,   base::kProtReadWrite,
    base::kProtRead,      base::kProtRead,      base::kProtAll,         base::kProtNone,
    base::kProtWrite,     base::kProtExecute,   base::Prot(uint8_t{5}), base::Prot(uint8_t{6}),
};

constexpr uint32_t kMlockallFlags[] = {0, traces::kFlagCurrent, traces::kFlagFuture,
                                       traces::kFlagCurrent | traces::kFlagFuture};
// The last is refused.
constexpr uint32_t kMsyncFlags[] = {traces::kFlagAsync, traces::kFlagSync, traces::kFlagInvalidate,
                                    traces::kFlagSync | traces::kFlagInvalidate, 0};
constexpr base::Inherit kInherits[] = {base::Inherit::kShare, base::Inherit::kShare,
                                       base::Inherit::kCopy,  base::Inherit::kCopy,
                                       base::Inherit::kNone,  base::Inherit::kZero};

template <typename T, size_t kSize>
T Pick(Prng* prng, const T (&choices)[kSize]) {
  return choices[prng->Below(kSize)];
}

// Few, so that the calls meet. Memory files and segments have names of their own.
constexpr const char* kMemfdNames[] = {"m1", "m2"};
constexpr const char* kSegmentNames[] = {"g1", "g2"};
constexpr const char* kDeviceNames[] = {traces::kFrameBuffer, traces::kFrameBufferReadOnly};

bool IsMapper(OpKind kind) {
  return kind == OpKind::kMmap || kind == OpKind::kVmAllocate || kind == OpKind::kVmMap;
}

// A byte count's deviation from a page boundary.
uint64_t DrawOddBytes(Prng* prng) {
  constexpr uint64_t kOdd[] = {1, 8, 0x7ff, 0x800, 0xff8, 0xfff};
  if (prng->Chance(1, 3)) return prng->Below(kPageSize);
  return Pick(prng, kOdd);
}

}  // namespace

Swarm StandardMix() {
  Swarm swarm;
  for (const KindWeight& entry : kStandard)
    swarm.weight[static_cast<size_t>(entry.kind)] = entry.weight;
  return swarm;
}

Swarm WithSwapCalls(Swarm swarm) {
  constexpr KindWeight kCalls[] = {
      {OpKind::kSwapOn, 2}, {OpKind::kSwapOff, 1}, {OpKind::kSwapCtl, 1}, {OpKind::kSwapStats, 1}};
  for (const KindWeight& call : kCalls) {
    uint32_t& weight = swarm.weight[static_cast<size_t>(call.kind)];
    if (weight == 0) weight = call.weight;
  }
  return swarm;
}

// A task soon has as many as it may, so that ends are about as frequent.
Swarm WithThreadCalls(Swarm swarm) {
  constexpr KindWeight kCalls[] = {{OpKind::kThreadCreate, 5}, {OpKind::kThreadEnd, 2}};
  for (const KindWeight& call : kCalls) {
    uint32_t& weight = swarm.weight[static_cast<size_t>(call.kind)];
    if (weight == 0) weight = call.weight;
  }
  return swarm;
}

Swarm DrawSwarm(uint64_t seed, uint64_t case_index, const Swarm& mix) {
  Prng prng(seed, "swarm", case_index);
  Swarm swarm = mix;
  // How narrow the case is, is drawn too: one case in three has every kind.
  uint64_t off_in_four = prng.Below(3);
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    auto kind = static_cast<OpKind>(i);
    uint32_t& weight = swarm.weight[static_cast<size_t>(i)];
    bool off = prng.Chance(off_in_four, 4);
    weight *= static_cast<uint32_t>(1 + prng.Below(8));
    if (off && kind != OpKind::kWrite && kind != OpKind::kRead) weight = 0;
  }
  bool maps = false;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    maps = maps || (IsMapper(static_cast<OpKind>(i)) && swarm.weight[static_cast<size_t>(i)] != 0);
  }
  if (!maps) swarm.weight[static_cast<size_t>(OpKind::kMmap)] = 64;
  return swarm;
}

std::string SwarmText(const Swarm& swarm) {
  std::string some;
  std::string never;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    absl::string_view name = traces::OpName(static_cast<OpKind>(i));
    uint32_t weight = swarm.weight[static_cast<size_t>(i)];
    if (weight == 0) {
      absl::StrAppend(&never, never.empty() ? "" : ", ", name);
    } else {
      absl::StrAppend(&some, some.empty() ? "" : ", ", name, " ", weight);
    }
  }
  return never.empty() ? some : absl::StrCat(some, "; never: ", never);
}

Generator::Generator(const GenOptions& options)
    : options_(options),
      op_stream_(Prng::StreamOf(base::Chain(options.seed, options.case_index), "op")),
      wish_stream_(Prng::StreamOf(base::Chain(options.seed, options.case_index), "wish")) {
  for (uint32_t one_in : options.faults.one_in) any_faults_ = any_faults_ || one_in != 0;
  uint32_t sum = 0;
  for (size_t i = 0; i < upto_.size(); ++i) upto_[i] = sum += options.swarm.weight[i];
  CHECK(sum > 0);
  CHECK(options.files > 0);
  CHECK(options.pages > 0);
  CHECK(options.threads >= 1 && options.threads <= traces::kMaxThreads);
  for (uint32_t i = 1; i <= options.files; ++i) files_.push_back(absl::StrCat("f", i));
  for (const char* name : kMemfdNames) files_.emplace_back(name);
  for (const char* name : kSegmentNames) files_.emplace_back(name);
  for (const char* name : kDeviceNames) files_.emplace_back(name);
}

OpKind Generator::DrawKind(Prng* prng) const {
  const uint64_t draw = prng->Below(upto_.back());
  return static_cast<OpKind>(std::upper_bound(upto_.begin(), upto_.end(), draw) - upto_.begin());
}

Op Generator::Draw(uint64_t index) const {
  Prng prng(op_stream_, index);
  Op op;
  op.kind = DrawKind(&prng);
  if (index == 0) op.kind = prng.Chance(1, 2) ? OpKind::kSpace : OpKind::kTask;
  bool orphan = op.kind == OpKind::kSpace || op.kind == OpKind::kTask || op.kind == OpKind::kTask32;
  if (!orphan) op.task = {static_cast<uint32_t>(prng.Below(options_.tasks)), true};
  if (orphan || op.kind == OpKind::kFork || op.kind == OpKind::kTaskCreate) {
    op.child = static_cast<uint32_t>(index + 1);
    DrawBirth(&prng, &op);
  } else {
    DrawOperands(&prng, &op);
  }
  if (traces::HasTarget(op.kind)) DrawTarget(&prng, &op);
  if (!orphan) DrawThread(index, &op);
  DrawWishes(index, &op);
  return op;
}

// What mmap and mremap may be asked besides: memory that is wired at once, an aligned address. From
// a stream of its own, so that all else is drawn as if there were no wishes.
void Generator::DrawWishes(uint64_t index, Op* op) const {
  const bool maps = op->kind == OpKind::kMmap;
  if (!maps && op->kind != OpKind::kMremap) return;
  Prng prng(wish_stream_, index);
  if (maps && prng.Chance(1, 12)) op->flags |= traces::kFlagWired;
  if (!prng.Chance(1, 8)) return;
  // What small maps have several of, what they have none of, and what cannot be.
  constexpr uint32_t kAlignments[] = {12, 13, 13, 13, 14, 14, 15, 16, 18, 21, 46, 47, 63, 64, 11};
  op->flags |= traces::AlignedTo(Pick(&prng, kAlignments));
}

// From a stream of its own: what the threads do is drawn as if there were one.
void Generator::DrawThread(uint64_t index, Op* op) const {
  if (options_.threads == 1) return;
  Prng prng(base::Chain(options_.seed, options_.case_index), "thread", index);
  op->thread = static_cast<uint32_t>(prng.Below(options_.threads));
}

void Generator::DrawOperands(Prng* prng, Op* op) const {
  if (traces::IsSwapCall(op->kind)) return DrawSwap(prng, op);
  if (op->kind == OpKind::kThreadEnd) op->value = prng->Below(traces::kMaxThreads + 1);
  if (traces::IsThreadCall(op->kind)) return;
  switch (op->kind) {
    case OpKind::kMlockall:
      op->flags = Pick(prng, kMlockallFlags);
      break;
    case OpKind::kExec:
    case OpKind::kExit:
    case OpKind::kTaskTerminate:
    case OpKind::kMunlockall:
    case OpKind::kInject:  // DrawFaults
      break;
    case OpKind::kMemfd:
    case OpKind::kMemfdTruncate:
    case OpKind::kMemfdSeal:
    case OpKind::kMemfdClose:
      DrawMemfd(prng, op);
      break;
    case OpKind::kShmget:
    case OpKind::kShmat:
    case OpKind::kShmdt:
    case OpKind::kShmRemove:
    case OpKind::kShmLock:
    case OpKind::kShmUnlock:
      DrawSegment(prng, op);
      break;
    case OpKind::kExecMap:
    case OpKind::kMmap:
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
      DrawMapping(prng, op);
      break;
    case OpKind::kVmCopy:
    case OpKind::kVmRead:
    case OpKind::kVmWrite:
      DrawCopy(prng, op);
      break;
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSendFile:
      DrawMove(prng, op);
      break;
    case OpKind::kFtruncate:
      DrawEnd(prng, op);
      break;
    case OpKind::kMremap:
      DrawRemap(prng, op);
      break;
    case OpKind::kExecBrk:
    case OpKind::kBrk:
      DrawHeap(prng, op);
      break;
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFetch:
      DrawAccess(prng, op);
      break;
    default:
      DrawRange(prng, op);
      break;
  }
}

// A stream for each site and index: neither rates of other sites nor operations left out move a
// draw.
std::vector<Op> Generator::DrawFaults(uint64_t index) const {
  std::vector<Op> ops;
  if (!any_faults_) return ops;
  for (size_t i = 0; i < options_.faults.one_in.size(); ++i) {
    const uint32_t one_in = options_.faults.one_in[i];
    if (one_in == 0) continue;
    // The kernel's sites have a stream together, those of devices one each.
    const bool kernel = i < base::kKernelFaultSiteCount;
    const char* stream = kernel ? "faults" : base::FaultSiteName(static_cast<base::FaultSite>(i));
    Prng prng(base::Chain(options_.seed, options_.case_index), stream,
              kernel ? index * base::kKernelFaultSiteCount + i : index);
    if (!prng.Chance(1, one_in)) continue;
    Op op;
    op.kind = OpKind::kInject;
    op.site = static_cast<base::FaultSite>(i);
    // Most operations pass a site a few times only.
    if (prng.Chance(1, 2)) op.skip = prng.Below(8);
    ops.push_back(op);
  }
  return ops;
}

void Generator::DrawBirth(Prng* prng, Op* op) const {
  if (op->kind == OpKind::kTaskCreate) {
    if (prng->Chance(7, 8)) op->flags = traces::kFlagInherit;
    return;
  }
  if (op->kind == OpKind::kFork) return;
  uint64_t draw = prng->Below(16);
  if (draw < 11) {
    op->size = traces::kMapMin + options_.pages * kPageSize;
  } else if (draw < 13) {
    uint64_t pages = 1 + prng->Below(options_.pages);
    op->size = traces::kMapMin + pages * kPageSize;
  } else if (draw < 14) {
    op->size = DrawEdge(prng);
  }  // else 0: the default map
}

// Somewhere in a small map, counted in pages from its start; a little beyond the end too.
uint64_t Generator::DrawPages(Prng* prng) const {
  switch (prng->Below(4)) {
    case 0:
      return 0;
    case 1:
      return prng->Below(4);
    default:
      return prng->Below(options_.pages + 2);
  }
}

Place Generator::DrawPlace(Prng* prng) const {
  uint64_t draw = prng->Below(32);
  Place place;
  if (draw == 0) return traces::At(DrawEdge(prng));
  if (draw < 4) {
    uint64_t page = DrawPages(prng);
    place = traces::At(page * kPageSize);
  } else {
    place.kind = draw < 8 ? Place::Kind::kHole : Place::Kind::kRegion;
    place.index = static_cast<uint32_t>(prng->Below(8));
    place.offset = DrawPages(prng) * kPageSize;
  }
  if (prng->Chance(1, 6)) place.offset += DrawOddBytes(prng);
  return place;
}

// Mostly where nothing is mapped, mostly aligned.
Place Generator::DrawFreePlace(Prng* prng) const {
  if (prng->Chance(1, 3)) return DrawPlace(prng);
  Place place;
  place.kind = Place::Kind::kHole;
  place.index = static_cast<uint32_t>(prng->Below(4));
  place.offset = DrawPages(prng) * kPageSize;
  return place;
}

// Numbers on which range arithmetic goes wrong: the ends of the map, of user space, of the number
// space.
uint64_t Generator::DrawEdge(Prng* prng) const {
  const uint64_t edges[] = {0,
                            traces::kMapMin,
                            traces::kMapMin + options_.pages * kPageSize,
                            traces::kDefaultMapMax,
                            uint64_t{1} << 47,
                            uint64_t{1} << 63,
                            ~uint64_t{0} - base::kPageMask,
                            ~uint64_t{0}};
  uint64_t edge = Pick(prng, edges);
  switch (prng->Below(4)) {
    case 0:
      return edge - kPageSize;
    case 1:
      return edge + DrawOddBytes(prng);
    default:
      return edge;
  }
}

uint64_t Generator::DrawSize(Prng* prng) const {
  uint64_t draw = prng->Below(32);
  if (draw == 0) return 0;
  if (draw == 1) {
    // Either plausible or impossible, nothing between: a mapping of terabytes that succeeds shows
    // nothing.
    uint64_t edge = DrawEdge(prng);
    return edge < (uint64_t{1} << 30) || edge >= (uint64_t{1} << 47) ? edge : 0;
  }
  uint64_t most = draw < 24 ? 4 : options_.pages;
  uint64_t size = (1 + prng->Below(most)) * kPageSize;
  if (prng->Chance(1, 6)) size -= DrawOddBytes(prng);
  return size;
}

// Between places that are mapped, mostly page by page.
void Generator::DrawCopy(Prng* prng, Op* op) const {
  op->at = DrawPlace(prng);
  op->size = DrawSize(prng);
  if (op->kind == OpKind::kVmRead) return;
  op->to = DrawPlace(prng);
  if (prng->Chance(7, 8)) {
    op->at.offset = base::TruncPage(op->at.offset);
    op->to.offset = base::TruncPage(op->to.offset);
    op->size = base::RoundPage(op->size);
  }
}

// Bytes rather than pages, except for messages, which are pages.
void Generator::DrawMove(Prng* prng, Op* op) const {
  op->size = DrawSize(prng);
  if (op->kind == OpKind::kSendFile) {
    if (!prng->Chance(1, 16)) op->size = base::RoundPage(op->size);
    op->file = prng->Chance(1, 32) ? 0 : 1 + static_cast<uint32_t>(prng->Below(options_.files));
    if (op->file != 0) op->offset = prng->Below(16) * kPageSize;
    if (op->file != 0 && prng->Chance(1, 16)) op->offset += DrawOddBytes(prng);
    return;
  }
  op->at = DrawPlace(prng);
  if (op->kind == OpKind::kSend) {
    if (prng->Chance(1, 16)) return;
    op->at.offset = base::TruncPage(op->at.offset);
    op->size = base::RoundPage(op->size);
    return;
  }
  if (prng->Chance(1, 2)) op->size = 1 + prng->Below(3 * kPageSize);
  if (op->kind == OpKind::kReceive) return;
  if (op->kind == OpKind::kPeek || op->kind == OpKind::kPoke) {
    op->to = DrawPlace(prng);
    return;
  }
  if (prng->Chance(1, 4)) op->flags = traces::kFlagDirect;
  if (prng->Chance(1, 32)) return;
  op->file = 1 + static_cast<uint32_t>(prng->Below(options_.files));
  op->offset = prng->Below(16) * kPageSize;
  if (prng->Chance(1, 3)) op->offset += DrawOddBytes(prng);
  if (prng->Chance(1, 64)) op->offset = (uint64_t{1} << 63) - kPageSize * (1 + prng->Below(8));
}

// Ends among what is mapped, and as often beyond, so that files have contents.
void Generator::DrawEnd(Prng* prng, Op* op) const {
  if (prng->Chance(1, 32)) return;
  op->file = 1 + static_cast<uint32_t>(prng->Below(options_.files));
  const uint64_t pages = prng->Chance(1, 2) ? 16 : 4 * options_.pages;
  op->offset = prng->Below(pages) * kPageSize;
  if (prng->Chance(1, 2)) op->offset += DrawOddBytes(prng);
  if (prng->Chance(1, 16)) op->offset = (uint64_t{1} << 63) - prng->Below(4);
}

// Few numbers, so that devices meet their like; now and then one that there is not.
void Generator::DrawSwap(Prng* prng, Op* op) const {
  const uint64_t device = prng->Below(options_.swap_devices + 1);
  const uint64_t priority = prng->Below(3);
  if (op->kind == OpKind::kSwapStats) return;
  const bool exists = device < options_.swap_devices || prng->Chance(1, 4);
  op->device = exists ? static_cast<uint32_t>(device) : 0;
  if (op->kind != OpKind::kSwapOff) op->priority = static_cast<uint32_t>(priority);
}

// Mostly the caller itself, else a task it made, or any that there may have been.
void Generator::DrawTarget(Prng* prng, Op* op) const {
  const uint64_t draw = prng->Below(64);
  if (draw < 40) return;
  if (draw < 62) {
    op->target = {static_cast<uint32_t>(1 + prng->Below(4)), true};
  } else {
    op->target = {static_cast<uint32_t>(1 + prng->Below(32)), false};
  }
}

// Alignments, the two halves of a small map, and bits with gaps.
uint64_t Generator::DrawMask(Prng* prng) const {
  constexpr uint64_t kMasks[] = {0,      0,          0xfff,    0x1fff,     0x3fff,
                                 0x7fff, 0xfffffff0, 0x105000, 0x80000000, ~uint64_t{0xffff}};
  if (prng->Chance(1, 16)) return prng->Next();
  return Pick(prng, kMasks);
}

void Generator::DrawMapping(Prng* prng, Op* op) const {
  op->at = DrawFreePlace(prng);
  op->size = DrawSize(prng);
  if (op->kind == OpKind::kVmMap) {
    op->flags = prng->Chance(1, 2) ? traces::kFlagAnywhere : traces::kFlagFixed;
    op->mask = DrawMask(prng);
    op->prot = Pick(prng, kProts);
    op->max_prot = prng->Chance(3, 4) ? base::kProtAll : Pick(prng, kProts);
    op->inherit = prng->Chance(1, 32) ? base::Inherit::kZero : Pick(prng, kInherits);
    return;
  }
  if (op->kind == OpKind::kVmAllocate) {
    op->flags = prng->Chance(1, 2) ? traces::kFlagAnywhere : traces::kFlagFixed;
    return;
  }
  op->prot = Pick(prng, kProts);
  if (op->kind == OpKind::kExecMap) {
    op->flags = prng->Chance(1, 2) ? traces::kFlagObserved : traces::kFlagInferred;
  } else {
    op->flags = prng->Chance(2, 3) ? traces::kFlagPrivate : traces::kFlagShared;
    uint64_t where = prng->Below(8);
    if (where < 3) op->flags |= traces::kFlagFixed;
    if (where == 3) op->flags |= traces::kFlagTryFixed;
    if (where < 2) op->at = DrawPlace(prng);
  }
  if (op->kind == OpKind::kMmap && prng->Chance(1, 3)) return DrawNamed(prng, op);
  if (prng->Chance(1, 3)) {
    op->file = 1 + static_cast<uint32_t>(prng->Below(options_.files));
    op->offset = prng->Below(8) * kPageSize;
    if (prng->Chance(1, 8)) op->offset += DrawOddBytes(prng);
    if (prng->Chance(1, 64)) op->offset = (uint64_t{1} << 63) - kPageSize * (1 + prng->Below(8));
  }
}

// Now and then a name of another kind, which is mostly nobody's.
uint32_t Generator::DrawName(Prng* prng, size_t first, size_t count) const {
  if (prng->Chance(1, 48)) return 1 + static_cast<uint32_t>(prng->Below(files_.size()));
  return static_cast<uint32_t>(options_.files + first + 1 + prng->Below(count));
}

// A mapping of a memory file, or of the frame buffer.
void Generator::DrawNamed(Prng* prng, Op* op) const {
  const bool device = prng->Chance(1, 4);
  op->backing = device ? traces::Backing::kDevice : traces::Backing::kMemfd;
  op->file = device ? DrawName(prng, std::size(kMemfdNames) + std::size(kSegmentNames),
                               std::size(kDeviceNames))
                    : DrawName(prng, 0, std::size(kMemfdNames));
  const uint64_t most = device ? traces::kFrameBufferPages + 1 : 8;
  if (prng->Chance(3, 4)) {
    op->flags = (op->flags & ~uint32_t{traces::kFlagPrivate}) | traces::kFlagShared;
  }
  if (prng->Chance(7, 8)) op->size = (1 + prng->Below(4)) * kPageSize;
  op->offset = prng->Below(prng->Chance(1, 2) ? 2 : most) * kPageSize;
  if (prng->Chance(1, 8)) op->offset += DrawOddBytes(prng);
  if (prng->Chance(1, 64)) op->offset = DrawEdge(prng);
}

void Generator::DrawMemfd(Prng* prng, Op* op) const {
  op->file = DrawName(prng, 0, std::size(kMemfdNames));
  if (op->kind == OpKind::kMemfdSeal) {
    // Sealed against everything a file is of little use: single seals, and seldom that against
    // seals.
    op->mask = prng->Chance(1, 16) ? prng->Next() : uint64_t{2} << prng->Below(4);
    if (prng->Chance(1, 8)) op->mask |= 1;
    return;
  }
  if (op->kind == OpKind::kMemfdClose) return;
  op->size = DrawSize(prng);
  if (prng->Chance(1, 2)) op->size = prng->Below(8 * kPageSize);
  if (op->kind == OpKind::kMemfd && prng->Chance(1, 3)) op->flags = traces::kFlagSealable;
}

void Generator::DrawSegment(Prng* prng, Op* op) const {
  if (op->kind != OpKind::kShmdt) {
    op->file = DrawName(prng, std::size(kMemfdNames), std::size(kSegmentNames));
  }
  if (op->kind == OpKind::kShmget) op->size = DrawSize(prng);
  if (op->kind == OpKind::kShmdt) {
    op->at = DrawPlace(prng);
    // Mostly where a region starts.
    if (prng->Chance(7, 8)) op->at = {Place::Kind::kRegion, op->at.index, 0};
  }
  if (op->kind != OpKind::kShmat) return;
  op->at = prng->Chance(1, 3) ? traces::At(0) : DrawFreePlace(prng);
  if (prng->Chance(1, 4)) op->flags |= traces::kFlagReadOnly;
  if (prng->Chance(1, 2)) op->flags |= traces::kFlagRound;
}

void Generator::DrawRange(Prng* prng, Op* op) const {
  op->at = DrawPlace(prng);
  if (op->kind != OpKind::kVmRegion) op->size = DrawSize(prng);
  switch (op->kind) {
    case OpKind::kMprotect:
      op->prot = Pick(prng, kProts);
      break;
    case OpKind::kVmWire:
      op->prot = prng->Chance(1, 2) ? base::kProtRead : Pick(prng, kProts);
      if (prng->Chance(1, 2)) op->flags = traces::kFlagPrivileged;
      break;
    case OpKind::kVmProtect:
      op->prot = Pick(prng, kProts);
      // Maximum rights never come back, so they are lowered seldom.
      if (prng->Chance(1, 8)) op->flags = traces::kFlagSetMax;
      break;
    case OpKind::kMinherit:
    case OpKind::kVmInherit:
      op->inherit = prng->Chance(1, 32) ? base::Inherit::kDonateCopy : Pick(prng, kInherits);
      break;
    case OpKind::kMadvise:
      op->advice = static_cast<base::Advice>(prng->Below(7));
      if (prng->Chance(1, 3)) op->advice = base::Advice::kFree;
      break;
    case OpKind::kMsync:
      op->flags = Pick(prng, kMsyncFlags);
      break;
    case OpKind::kMincore:
    case OpKind::kLinuxDontneed:
      if (prng->Chance(7, 8)) op->at.offset = base::TruncPage(op->at.offset);
      break;
    default:
      break;
  }
}

void Generator::DrawRemap(Prng* prng, Op* op) const {
  op->at = DrawPlace(prng);
  if (prng->Chance(7, 8)) op->at.offset = base::TruncPage(op->at.offset);
  op->size = DrawSize(prng);
  op->new_size = DrawSize(prng);
  if (prng->Chance(1, 3)) {
    op->flags = traces::kFlagFixed;
    op->to = prng->Chance(1, 8) ? op->at : DrawFreePlace(prng);
  }
  if (prng->Chance(1, 6)) op->flags |= traces::kFlagDuplicate;
}

// The heap has a place of its own, the middle of a small map, so that several brks meet one base.
void Generator::DrawHeap(Prng* prng, Op* op) const {
  uint64_t middle = traces::kMapMin + options_.pages / 2 * kPageSize;
  uint64_t pages = prng->Below(6);
  op->at = traces::At(middle + pages * kPageSize);
  if (op->kind == OpKind::kExecBrk) {
    if (prng->Chance(1, 2)) op->at = DrawFreePlace(prng);
    return;
  }
  if (prng->Chance(1, 4)) op->at.offset += DrawOddBytes(prng);
  if (prng->Chance(1, 8)) op->at = DrawPlace(prng);
}

void Generator::DrawAccess(Prng* prng, Op* op) const {
  op->at = DrawPlace(prng);
  if (op->kind == OpKind::kFetch) return;
  uint64_t draw = prng->Below(16);
  if (draw < 12) {
    op->size = uint64_t{1} << prng->Below(5);
  } else if (draw < 15) {
    op->size = 1 + prng->Below(kPageSize);
  } else {
    op->size = 1 + prng->Below(4 * kPageSize);
  }
  if (op->kind == OpKind::kRead) return;
  // Letters keep shrunk traces readable; long values make every byte of a store differ.
  op->value = prng->Chance(3, 4) ? 'A' + prng->Below(26) : prng->Next();
}

std::vector<Op> DrawOps(const Generator& generator, uint64_t count) {
  std::vector<Op> ops;
  ops.reserve(count);
  for (uint64_t i = 0; i < count; ++i) ops.push_back(generator.Draw(i));
  return ops;
}

}  // namespace proptests
