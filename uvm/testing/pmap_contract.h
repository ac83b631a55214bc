// uvm/testing/pmap_contract.h: the contract of pmap(9) as a judge of any PmapSystem.
//
// WHAT     Random calls and accesses go op by op to a module and to a naive table of what the
//          contract promises (pmap_truth.h). Each rule has a name; a run ends at the first
//          counterexample:
//            std::vector<PmapOp> ops = DrawPmapOps(seed, limits, count);
//            ContractFailure f = RunPmapOps(machine, limits, ops);
//            if (f) ... ShrinkPmapOps(make_machine, limits, ops, f)
//          Operands are indexes, and an op that names nothing is skipped, so that each subsequence
//          is a run.
// INVARIANTS  What the contract leaves open is no failure: unwired mappings that are forgotten
//          (ContractLimits::may_forget), effects that wait for Update, approximate references.
// SEE      facts/uvm.md 3.3, rules 1 to 11; uvm/pmap.h.

#ifndef UVM_TESTING_PMAP_CONTRACT_H_
#define UVM_TESTING_PMAP_CONTRACT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "uvm/pmap.h"

namespace uvm::testing {

// The rules of facts/uvm.md 3.3 in their order, then what goes without saying.
enum class PmapRule : uint8_t {
  kForgettingKeepsStatus,      // 1. a dropped mapping's R and M are kept
  kWiredStays,                 // 2. a wired mapping is there until somebody takes it
  kUpdateEndsOldTranslations,  // 3. after Update nobody can use what was taken
  kRightsWithinLastEntered,    // 4. at no moment more rights than entered or lowered to
  kWritesAreSeen,              // 5. M is exact, and clearing arms detection again
  kStatusBelongsToTheFrame,    // 6. removal, re-entry and kenter leave R and M alone
  kWriteProtectKeepsMappings,  // 7. page_protect(read) leaves all mappings, none writable
  kReplacementMovesOne,        // 8. another page at a va: counts and lists stay exact
  kWiredCountIsExact,          // 9.
  kFailureLeavesNothingWrong,  // 10. after a failed enter no other page is at va
  kExtractAgreesAtOnce,        // 11. lookups follow enters, updated or not
  kReferencesAreSeen,          // an access shows in IsReferenced (ContractLimits)
  kAccessReachesItsPage,       // a permitted access succeeds, on the right frame
  kNothingIsLostWithoutNeed,   // nothing forgotten or refused unless ContractLimits allow
  kModuleIsSound,              // the module's own invariants; no CHECK fails
};
inline constexpr int kPmapRules = 15;
const char* PmapRuleName(PmapRule rule);

enum class PmapCall : uint8_t {
  kEnter,
  kRemove,
  kProtect,
  kUnwire,
  kExtract,
  kUpdate,
  kCopy,
  kActivate,   // and Deactivate
  kRecreate,   // RemoveAll, Remove where needed, Update, Destroy, Create
  kReference,  // and Destroy of that reference
  kPageProtect,
  kIsModified,
  kIsReferenced,
  kClearModify,
  kClearReference,
  kZeroPage,
  kCopyPage,
  kKenter,
  kKremove,
  kProcWrite,
  kLoad,
  kStore,
  kFetch,
  kKernelLoad,
  kKernelStore,
  kTrickFlush,  // a client throws its own page out
  kTrickShare,  // a client maps its page on to a space that nobody serves
};
inline constexpr int kPmapCalls = 27;

struct PmapOp {
  PmapCall call = PmapCall::kUpdate;
  uint8_t space = 0;
  uint8_t page = 0;
  uint8_t count = 1;  // pages
  uint8_t frame = 0;  // the last ones are unmanaged
  uint8_t other = 0;  // second frame, space or page
  base::Prot prot = base::kProtNone;
  base::Access access = base::Access::kRead;
  Wired wired = Wired::kNo;
  // During the call another client's program touches memory: `overlap_space`, `overlap_page`.
  bool overlaps = false;
  uint8_t overlap_space = 0;
  uint8_t overlap_page = 0;
  base::Access overlap_access = base::Access::kRead;
};
// "c1 enter p3 f2 rw- wired".
std::string PmapOpText(const PmapOp& op);

// How large the world is, and what this module need not do.
struct ContractLimits {
  uint32_t clients = 3;
  uint32_t pages = 16;
  uint32_t frames = 10;
  // Client page n lies at first_page + n * kPageSize, and `stride` more for each `cluster` pages.
  base::Vaddr first_page{0x7f8000};
  uint32_t cluster = 16;
  uint64_t stride = 0;
  bool may_forget = false;          // drops unwired mappings when it likes (rule 1)
  bool may_fail = false;            // Enter may fail, an access may find no memory (rule 10)
  bool never_misses_a_read = true;  // an access always shows in IsReferenced
  // Rights as the processor gives them: x comes with r on some.
  base::Prot (*usable)(base::Prot) = [](base::Prot p) { return p; };
  // A frame with a wired writable mapping may read as modified (no way to watch it).
  bool wired_writable_reads_modified = false;
  // M is set by the fault that gives the right to write, also when a call takes the right again
  // before the store is made, or the kernel has no memory for it.
  bool write_faults_modify = false;
  // What caused an Enter counts as having happened when it returns (EnterFlags::access): R, and M
  // for a write. A module may do so; it must for wired pages that nothing else tells about.
  bool enter_seeds = false;
  bool kernel_mappings = true;  // KenterPa and Kremove
};

// What runs programs against the module's translations. Implemented once per module.
class PmapMachine {
 public:
  struct Touch {
    uint32_t client = 0;
    base::Vaddr va = {};  // of a word
    base::Access access = base::Access::kRead;
    uint64_t word = 0;  // to be stored, or what was loaded
    bool done = false;  // false: the fault found nothing
  };
  using Visitor = std::function<void(base::Vaddr, base::Paddr, base::Prot)>;

  virtual ~PmapMachine() = default;
  virtual PmapSystem& system() = 0;
  // Runs calls of the module where such may be made, to their end.
  virtual void Call(const std::function<void()>& call) = 0;
  // A fresh pmap and, where there is such a thing, a space of programs that it serves.
  virtual Pmap* NewClient(uint32_t client) = 0;
  // The programs of the client are gone; its pmap is not.
  virtual void EndClient(uint32_t client) = 0;
  virtual void Access(Touch* touch) = 0;
  // Both at the same time, in some order of steps.
  virtual void Overlap(const std::function<void()>& call, Touch* touch) {
    Call(call);
    Access(touch);
  }
  // An access of the server's own, through the kernel pmap.
  virtual bool KernelAccess(base::Vaddr va, base::Access access, uint64_t* word) = 0;
  // Every translation that a program of the client, or anybody it passed pages on to, can use now.
  // No side effects.
  virtual void ForEachUsable(uint32_t, const Visitor&) {}
  virtual void Trick(uint32_t, base::Vaddr, PmapCall) {}
  // Frames outside all segments.
  virtual std::vector<base::Paddr> Unmanaged() { return {}; }
  virtual unsigned char* Memory(base::Paddr pa) { return system().HomePointer(pa); }
  // What is wrong with the module by its own account; "" when nothing is.
  virtual std::string Problem() { return ""; }

  // Called at every step inside Call, Access and Overlap that others could come between.
  void SetWatch(std::function<void()> watch) { watch_ = std::move(watch); }

 protected:
  void Watch() const {
    if (watch_) watch_();
  }

 private:
  std::function<void()> watch_;
};

struct ContractFailure {
  PmapRule rule = PmapRule::kModuleIsSound;
  std::string text;  // empty: no failure
  size_t op = 0;     // index of the op after or during which it was seen
  explicit operator bool() const { return !text.empty(); }
};

// How often a run did something worth counting; a run that never does, tests nothing.
struct ContractCounts {
  uint64_t done[kPmapCalls] = {};  // calls made, by PmapCall
  uint64_t accesses_done = 0;
  uint64_t accesses_refused = 0;
  uint64_t steps_watched = 0;
  uint64_t forgotten = 0;  // mappings that the module dropped by itself
  uint64_t enters_failed = 0;
};

// `count` ops of a seed. About a quarter of all calls is left out, others by other seeds.
std::vector<PmapOp> DrawPmapOps(uint64_t seed, const ContractLimits& limits, size_t count);

// Runs them, takes everything down again and checks at each op; stops at the first failure.
// `machine` is fresh and is used up. `counts` may be null; it is added to.
ContractFailure RunPmapOps(PmapMachine& machine, const ContractLimits& limits,
                           const std::vector<PmapOp>& ops, ContractCounts* counts = nullptr);

// Leaves out ops, in chunks of half the length down to single ones, while the same rule fails.
using MachineMaker = std::function<std::unique_ptr<PmapMachine>()>;
std::vector<PmapOp> ShrinkPmapOps(const MachineMaker& make, const ContractLimits& limits,
                                  std::vector<PmapOp> ops, PmapRule rule);

// Draws and runs `seeds` runs of `count` ops; the first failure as text, shrunk, with its ops and
// the rule's name in front; "" when all pass.
std::string FirstCounterexample(const MachineMaker& make, const ContractLimits& limits,
                                uint64_t first_seed, uint64_t seeds, size_t count,
                                ContractCounts* counts = nullptr);

}  // namespace uvm::testing

#endif  // UVM_TESTING_PMAP_CONTRACT_H_
