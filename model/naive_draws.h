// model/naive_draws.h: random operations for the oracle's own oracle (naive_world_test.cc).
//
// WHAT     Absolute operands on maps of six pages, dense in collisions and edges. The same seed
//          draws the same operations.

#ifndef MODEL_NAIVE_DRAWS_H_
#define MODEL_NAIVE_DRAWS_H_

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "traces/op.h"

namespace model {

inline constexpr int kNaivePages = 6;
inline constexpr uint64_t kNaiveMin = 0x1000;
inline constexpr uint64_t kNaiveMax = kNaiveMin + kNaivePages * 4096;

class NaiveDraws {
 public:
  explicit NaiveDraws(uint64_t seed) : prng_(seed, "ops") {}

  // Mostly for one of the `live` tasks.
  traces::ResolvedOp Next(const std::vector<uint32_t>& live) {
    traces::ResolvedOp op;
    op.kind = Kind();
    if (live.empty()) op.kind = prng_.Chance(1, 2) ? traces::OpKind::kSpace : traces::OpKind::kTask;
    bool dead = live.empty() || prng_.Chance(1, 100);
    op.task = dead ? next_label_ + 1 : live[prng_.Below(live.size())];
    bool bears = op.kind == traces::OpKind::kSpace || op.kind == traces::OpKind::kTask ||
                 op.kind == traces::OpKind::kFork || op.kind == traces::OpKind::kTaskCreate;
    if (bears) op.child = ++next_label_;
    if (bears && prng_.Chance(1, 50)) op.child = 1;  // used before
    Operands(&op);
    return op;
  }

 private:
  // What interacts most is drawn most: forks by inheritance, stores, MADV_FREE and reads
  // afterwards.
  traces::OpKind Kind() {
    constexpr traces::OpKind kAccesses[] = {traces::OpKind::kRead, traces::OpKind::kRead,
                                            traces::OpKind::kWrite, traces::OpKind::kWrite,
                                            traces::OpKind::kFetch};
    constexpr traces::OpKind kFavourites[] = {
        traces::OpKind::kMmap,     traces::OpKind::kFork,         traces::OpKind::kTaskCreate,
        traces::OpKind::kMinherit, traces::OpKind::kMadvise,      traces::OpKind::kVmInherit,
        traces::OpKind::kMremap,   traces::OpKind::kExit,         traces::OpKind::kVmCopy,
        traces::OpKind::kVmRead,   traces::OpKind::kVmWrite,      traces::OpKind::kMlock,
        traces::OpKind::kMemfd,    traces::OpKind::kMemfdTruncate};
    uint64_t roll = prng_.Below(100);
    if (roll < 35) return kAccesses[prng_.Below(5)];
    if (roll < 80) return kFavourites[prng_.Below(14)];
    auto kind = static_cast<traces::OpKind>(prng_.Below(traces::kProgramKindCount));
    // All tasks are as wide here; calls that move bytes have a naive world of their own.
    if (kind == traces::OpKind::kTask32 || kind > traces::OpKind::kFetch)
      return traces::OpKind::kVmCopy;
    // Of memory with a name memory files alone, without seals.
    if (kind >= traces::OpKind::kMemfdSeal && kind <= traces::OpKind::kShmUnlock)
      return prng_.Chance(1, 8) ? traces::OpKind::kMemfdClose : traces::OpKind::kMemfdTruncate;
    return kind == traces::OpKind::kExec && prng_.Chance(3, 4) ? traces::OpKind::kMmap : kind;
  }
  uint32_t Maybe(uint64_t chances, uint64_t of, uint32_t flag) {
    return prng_.Chance(chances, of) ? flag : 0;
  }
  uint64_t Address() {
    if (prng_.Chance(1, 40)) return ~uint64_t{0} - prng_.Below(3) * 4095;
    uint64_t page = prng_.Below(kNaivePages + 3) * 4096;
    return prng_.Chance(2, 3) ? page : page + (prng_.Chance(1, 2) ? 1 : 4095);
  }
  uint64_t Size() {
    if (prng_.Chance(1, 30)) return ~uint64_t{0} - prng_.Below(3) * 4096;
    if (prng_.Chance(1, 20)) return 0;
    uint64_t size = (1 + prng_.Below(4)) * 4096;
    return prng_.Chance(2, 3) ? size : size - 1 + prng_.Below(3);
  }
  void Operands(traces::ResolvedOp* op) {
    bool access = op->kind == traces::OpKind::kRead || op->kind == traces::OpKind::kWrite;
    if (op->kind == traces::OpKind::kSpace || op->kind == traces::OpKind::kTask) {
      op->size = kNaiveMax;
      return;
    }
    op->at = Address();
    op->size = access ? (prng_.Chance(1, 2) ? 1 + prng_.Below(8) : 1 + prng_.Below(9000)) : Size();
    if (op->kind == traces::OpKind::kFetch) op->size = 0;
    op->to = Address();
    op->new_size = Size();
    op->prot = base::Prot(static_cast<uint8_t>(prng_.Chance(2, 3) ? 3 : prng_.Below(8)));
    op->inherit = static_cast<base::Inherit>(prng_.Chance(1, 3) ? 0 : prng_.Below(5));
    op->advice = static_cast<base::Advice>(prng_.Chance(1, 2) ? 6 : prng_.Below(7));
    op->value = prng_.Chance(1, 2) ? uint64_t{'A'} : prng_.Next();
    if (op->value == 'A') op->value += prng_.Below(26);
    if (op->kind == traces::OpKind::kMmap || op->kind == traces::OpKind::kExecMap) {
      op->flags = prng_.Chance(1, 2) ? traces::kFlagPrivate : traces::kFlagShared;
      if (prng_.Chance(1, 2)) {
        op->flags |= traces::kFlagFixed;
      } else if (prng_.Chance(1, 2)) {
        op->flags |= traces::kFlagTryFixed;
      }
      if (prng_.Chance(1, 3)) {
        op->file_key = 0xf11e | 1;
        op->offset = prng_.Chance(1, 10) ? 0x7ffffffffffff000
                                         : prng_.Below(4) * 4096 + (prng_.Chance(1, 6) ? 1 : 0);
      }
    }
    const bool memfd = op->kind == traces::OpKind::kMemfd ||
                       op->kind == traces::OpKind::kMemfdTruncate ||
                       op->kind == traces::OpKind::kMemfdClose;
    const bool maps_memfd = op->kind == traces::OpKind::kMmap && prng_.Chance(1, 3);
    if (memfd || maps_memfd) op->file_key = prng_.Chance(1, 16) ? 0xbad : 0xf11d;
    if (memfd && prng_.Chance(7, 8)) op->size = prng_.Below(5 * 4096);
    if (maps_memfd) {
      op->backing = traces::Backing::kMemfd;
      op->offset = prng_.Chance(1, 2) ? 0 : prng_.Below(4) * 4096 + prng_.Below(2);
    }
    if (op->kind == traces::OpKind::kMremap)
      op->flags = Maybe(1, 2, traces::kFlagFixed) | Maybe(1, 4, traces::kFlagDuplicate);
    if (op->kind == traces::OpKind::kMmap) op->flags |= Maybe(1, 6, traces::kFlagWired);
    const bool places = op->kind == traces::OpKind::kMmap || op->kind == traces::OpKind::kMremap;
    constexpr uint32_t kAlignments[] = {12, 13, 13, 13, 14, 14, 15, 63, 64, 11, 255};
    if (places && prng_.Chance(1, 4)) op->flags |= traces::AlignedTo(kAlignments[prng_.Below(11)]);
    if (op->kind == traces::OpKind::kMlockall)
      op->flags = Maybe(1, 2, traces::kFlagCurrent) | Maybe(1, 2, traces::kFlagFuture);
    if (op->kind == traces::OpKind::kMsync) {
      op->flags = Maybe(1, 2, traces::kFlagAsync) | Maybe(1, 2, traces::kFlagInvalidate);
      if (op->flags != traces::kFlagAsync) op->flags |= Maybe(1, 3, traces::kFlagSync);
    }
    if (op->kind == traces::OpKind::kVmMap) {
      op->mask = prng_.Chance(1, 2) ? 0 : prng_.Below(8) * 4096 + prng_.Below(2);
      op->max_prot = base::Prot(static_cast<uint8_t>(prng_.Chance(2, 3) ? 7 : prng_.Below(8)));
    }
    if (op->kind == traces::OpKind::kVmAllocate || op->kind == traces::OpKind::kVmMap)
      op->flags = prng_.Chance(1, 2) ? traces::kFlagFixed : traces::kFlagAnywhere;
    if (op->kind == traces::OpKind::kVmWire) op->flags = Maybe(1, 2, traces::kFlagPrivileged);
    if (op->kind == traces::OpKind::kVmProtect) op->flags = Maybe(1, 4, traces::kFlagSetMax);
    if (op->kind == traces::OpKind::kTaskCreate) op->flags = Maybe(3, 4, traces::kFlagInherit);
  }

  base::Prng prng_;
  uint32_t next_label_ = 0;
};

}  // namespace model

#endif  // MODEL_NAIVE_DRAWS_H_
