// model/world.h: the oracle: what every operation may do, decided from values alone.
//
// WHAT     A World is all tasks with their spaces, and all files. Expect says which outcomes of an
//          operation are right; Adopt makes the observed one happen. Where several are right (an
//          address chosen by "anywhere", memory that ran out, a page given up by MADV_FREE) the set
//          is returned and the observed member adopted; otherwise the set has one member. Nothing
//          is paged out, nothing is lazy: fork copies contents when it is called.
//
//              World world({});
//              ResolvedOp op;
//              if (world.Resolve(trace_op, files, &op)) {
//                Outcome seen = machine.Execute(op);
//                std::string why;
//                if (!world.Expect(op).Accepts(seen, &why)) Fail(why);
//                world.Adopt(op, seen);
//              }
//
// INVARIANTS  A failed call changes nothing, but for linux_dontneed over a hole and accesses that
//          end part of the way, wiring that fails some way up, and rights that were given though
//          what they should wire cannot be. The same calls give the same world on every host.
// SEE      design.md D8, D11; model/README.md; model/bsd.cc and model/mach.cc for what each call
//          checks.

#ifndef MODEL_WORLD_H_
#define MODEL_WORLD_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "base/prot.h"
#include "model/access.h"
#include "model/space.h"
#include "model/step.h"
#include "traces/op.h"

namespace model {

// The set of outcomes that are right for one operation in one state of the world.
// INVARIANTS  Valid until the World that made it changes or goes away.
class Expectation {
 public:
  // What World knows of the set.
  struct Parts {
    traces::OpKind kind = traces::OpKind::kSpace;
    Step step;
    const Space* space = nullptr;  // null when no task is involved
    // kRead of pages that MADV_FREE left undecided: every value that may be read, the canonical one
    // first.
    std::vector<uint64_t> read_values = {};
    bool any_read_value = false;  // too many undecided pages to enumerate
    bool memory_may_run_out = false;
  };
  // `make` returns them. Built in place: a step is long, and one is made for every operation.
  template <typename Make>
  explicit Expectation(Make make) : parts_(make()) {}

  // True when `seen` is in the set; else *why, when not null, gets one line: what is right, and
  // what was seen.
  bool Accepts(const traces::Outcome& seen, std::string* why = nullptr) const;
  // True when nothing but memory that ran out makes `seen` right.
  bool OnlyByShortage(const traces::Outcome& seen) const;
  // True for the error that comes before anything is touched.
  bool IsPlainError(const traces::Outcome& seen) const {
    return !seen.ok() && seen == parts_.step.outcome &&
           parts_.step.action == Step::Action::kNothing;
  }
  // True for calls that move bytes: what they do about lost pages is in the set too.
  bool MovesBytes() const { return parts_.step.action == Step::Action::kTransfer; }
  // A member of the set, always the same one: the lowest address, memory kept by MADV_FREE, enough
  // memory.
  traces::Outcome Canonical() const { return parts_.step.outcome; }
  // What World will do, where it is; the set is gone.
  Step&& TakeStep() && { return std::move(parts_.step); }
  // The set in words: "ok", "an address of 0x4000 free bytes in [0x1000,0x20000)" ...
  std::string Describe() const;

 private:
  bool AcceptsChoice(const traces::Outcome& seen) const;
  bool IsShortage(const traces::Outcome& seen) const;
  bool IsRefusal(const traces::Outcome& seen) const;
  bool IsShortCount(const traces::Outcome& seen) const;
  bool MayFailWith(const traces::Outcome& seen) const;
  bool IsMissing(const traces::Outcome& seen) const;

  Parts parts_;
};

// What a page of a task is, cheaply.
enum class PageKind : uint8_t {
  kUnmapped,
  kUntouchedZero,  // reads as zeros, nobody has written to it
  kUntouchedFile,  // reads as the file's synthesised contents
  kOwned,          // written: contents by value
  kEither,         // given up by MADV_FREE and not read since: two or more contents are right
  kNothing,        // mapped, but there is no page: accesses fail
};

// A page of a task, at a glance.
struct PageView {
  uint64_t va = 0;  // of its first byte
  PageKind kind = PageKind::kUnmapped;
  // PageValue::version() of its contents. Means nothing of kUnmapped, kEither and kNothing.
  uint64_t version = 0;
};

// Observes pages of one task one after the other, fastest in address order. The world outlives it,
// and does not change meanwhile.
class PageCursor {
 public:
  // World::PagesOf makes them.
  PageCursor(const Space* space, const FileTable* files) : space_(space), files_(files) {}
  // As World::ViewPage.
  PageView View(uint64_t va);
  // Whether it has contents of its own, which what lies below it does not change any more; not when
  // that is open. The page is mapped.
  bool IsOwned(uint64_t va);
  // As World::LoadBytes, of a page that is mapped.
  void Load(uint64_t va, uint64_t size, unsigned char* out);
  // Whether that would give these bytes.
  bool Holds(uint64_t va, uint64_t size, const unsigned char* bytes);

 private:
  // Makes region_ the one that `va` lies in; false when there is none.
  bool Find(uint64_t va);

  const Space* const space_;
  const FileTable* const files_;
  const Region* region_ = nullptr;  // found last
  FileView file_;                   // of region_
};

class World {
 public:
  struct Options {
    // Running out of memory is a right outcome of everything that may need some; otherwise only of
    // births after `inject kernel_memory`.
    bool memory_may_run_out = false;
    // Tasks alive at once; one more birth fails with EAGAIN or KERN_RESOURCE_SHORTAGE.
    uint32_t max_tasks = 64;
    // Frames that may be wired at once, all tasks together.
    uint64_t wired_max = ~uint64_t{0};
    // Of these the server has so many for itself.
    uint64_t wired_by_server = 0;
    // Pages of all messages that were sent and not received.
    uint64_t lend_max = ~uint64_t{0};
    // Bytes of the largest System V segment.
    uint64_t shm_max = ~uint64_t{0};
    // Swap devices by number.
    std::vector<SwapTable::Device> swap = {};
    // Hardware that cannot tell execution from reading: executable iff readable.
    bool execute_implied_by_read = false;
  };

  explicit World(const Options& options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  World(World&&) = default;

  // Makes operands absolute, by the model's state alone. False when an operand names nothing: a
  // task that is not alive, a label that was used before, a region or hole of a map that has none,
  // a file beyond `files`.
  bool Resolve(const traces::Op& op, const std::vector<std::string>& files,
               traces::ResolvedOp* out) const;

  // The outcomes that are right now; changes nothing. Family kNone when the op cannot be executed
  // (see Resolve).
  Expectation Expect(const traces::ResolvedOp& op) const;
  // The same as if no page were lost (SetLost): one may have been needed only before it was.
  Expectation ExpectWithoutLosses(const traces::ResolvedOp& op);

  // Does the operation with the outcome that was observed. REQUIRES: Expect(op).Accepts(observed).
  void Adopt(const traces::ResolvedOp& op, const traces::Outcome& observed);
  // The same for who still has what Expect(op) said.
  void Adopt(Expectation&& right, const traces::ResolvedOp& op, const traces::Outcome& observed);
  // From now on as with Options::memory_may_run_out.
  void MemoryRanOut() { options_.memory_may_run_out = true; }
  // The machine has more frames from now on, or fewer; as of Options.
  struct Limits {
    uint64_t wired_max;
    uint64_t lend_max;
    uint64_t shm_max;
  };
  void MemoryChanged(const Limits& limits) {
    options_.wired_max = limits.wired_max;
    options_.lend_max = limits.lend_max;
    options_.shm_max = limits.shm_max;
  }

  // --- Observers, for the state relation ---

  // Labels of the tasks that are alive, in the order of their births.
  std::vector<uint32_t> LiveTasks() const;
  bool IsLive(uint32_t task) const { return tasks_.count(task) != 0; }
  // REQUIRES for all below: the task is alive.
  traces::Personality PersonalityOf(uint32_t task) const;
  base::Range Bounds(uint32_t task) const;
  bool HasThread(uint32_t task, uint32_t thread) const;
  uint32_t CountThreads(uint32_t task) const;
  uint32_t FirstThread(uint32_t task) const;

  using RangeVisitor = absl::FunctionRef<void(base::Range, const Attributes&)>;
  // Maximal runs of pages with equal attributes, in address order.
  void ForEachRange(uint32_t task, RangeVisitor visit) const;
  // The same cut finer: neighbours may have equal attributes.
  const std::vector<Region>& RegionsOf(uint32_t task) const;

  // Of the page that `va` lies in.
  PageKind KindOfPage(uint32_t task, uint64_t va) const;
  // Every page that is kOwned or kEither, in address order; costs nothing for the others.
  using PageVisitor = absl::FunctionRef<void(uint64_t page_address, PageKind kind)>;
  void ForEachTouchedPage(uint32_t task, PageVisitor visit) const;

  // The two above in one, the second for the pages of kOwned and kEither in address order within
  // each run of equal pages.
  PageView ViewPage(uint32_t task, uint64_t va) const;
  using ViewVisitor = absl::FunctionRef<void(const PageView&)>;
  void ForEachTouchedView(uint32_t task, ViewVisitor visit) const;

  // For who looks at many pages of a task.
  PageCursor PagesOf(uint32_t task) const;

  // The contents of the page that `va` lies in, the canonical one of kEither; false when unmapped.
  bool PageContents(uint32_t task, uint64_t va, PageBytes* out) const;
  // The same for some bytes, which lie in one page.
  bool LoadBytes(uint32_t task, uint64_t va, uint64_t size, unsigned char* out) const;
  // True when these may be the contents; the question to ask for kEither.
  bool MayHold(uint32_t task, uint64_t va, const PageBytes& bytes) const;

  // Names of memory files and segments that are taken.
  bool HasMemfd(uint64_t key) const { return files_.memfds.count(key) != 0; }
  uint64_t names() const { return files_.memfds.size() + files_.segments.size(); }
  bool HasSegment(uint64_t key) const { return files_.segments.count(key) != 0; }

  // Which pages were lost to errors of swap: whoever looks at the system says so. Accesses to them,
  // and only these, fail; what calls do about them the model cannot say.
  void SetLost(LostPages lost) { lost_ = std::move(lost); }
  // `op` failed because it met such a page. True: nothing was done but what a call leaves behind
  // that fails half way up; where that may be any number of pages from below, the fewest with which
  // `agrees` says that the model, as it stands then, is like the system. False: part of it may have
  // been done, and nobody can say which; or no number agrees, and the model has done all.
  // REQUIRES: `seen` is an error.
  using Agrees = absl::FunctionRef<bool(uint32_t task, base::Range pages)>;
  bool AdoptLoss(const traces::ResolvedOp& op, const traces::Outcome& seen, Agrees agrees);
  // Swap devices by number.
  const SwapTable& swap() const { return swap_; }

  // Of everything observable, by contents: two worlds that went through equal states agree. Who
  // asks often keeps what contents came to, by PageValue::version(); that changes no hash.
  using ContentHashes = absl::flat_hash_map<uint64_t, uint64_t>;
  uint64_t StateHash(ContentHashes* known = nullptr) const;
  // An upper bound of the frames that are wired, all tasks together.
  uint64_t WiredAtMost() const;
  // Pages of all messages there are.
  uint64_t LentPages() const;
  // Reads whose value could not be checked, because too many pages were undecided or one had too
  // long a past.
  uint64_t unchecked_reads() const { return unchecked_reads_; }

 private:
  using TaskMap = std::map<uint32_t, Task>;

  const Task* FindTask(uint32_t label) const;
  bool CanBeBorn(uint32_t label) const;
  bool ResolveWithoutTask(const traces::Op& op, traces::ResolvedOp* out) const;
  uint32_t NthLive(uint32_t n) const;
  // Null: there is none.
  const Task* ResolveTask(const traces::TaskRef& ref, uint32_t* label) const;
  static bool ResolveThread(const traces::Op& op, const Task& task, traces::ResolvedOp* out);
  bool ResolveTarget(const traces::Op& op, traces::ResolvedOp* out) const;
  static bool ResolvePlace(const Space& space, const traces::Place& place, uint64_t* address);

  Step Decode(const traces::ResolvedOp& op) const;
  void AdoptStep(Step* step, const traces::ResolvedOp& op, const traces::Outcome& observed);
  bool MemoryMayRunOut(const traces::ResolvedOp& op) const;
  bool MapsDevice(uint32_t label) const;
  void Commit(const Step& step, const traces::ResolvedOp& op, const traces::Outcome& observed);
  void CommitBirth(const Step& step, const traces::ResolvedOp& op);
  void SetProt(const Step& step, Space* space);
  void CommitMap(const Step& step, uint64_t start, Task* task);
  enum class Why : uint8_t { kNoRoom, kMissing, kShortage };
  void Refuse(Step step, const traces::ResolvedOp& op, Why why);
  void AdoptAccess(Step* step, const traces::ResolvedOp& op, const traces::Outcome& observed);
  bool IsMapped(uint64_t id) const;
  void WireAll(const Step& step, Task* task);
  void CommitCopy(const Step& step, const traces::Outcome& observed, Task* task, Task* caller);
  void SetAttribute(const Step& step, Space* space);
  void CommitRange(const Step& step, uint64_t to, Space* space);
  void Overwrite(const Step& step, PageCopies copies, Space* space);
  bool TransferInPart(const traces::ResolvedOp& op, const traces::Outcome& observed, Agrees agrees);
  bool OverwriteInPart(const Step& step, const traces::ResolvedOp& op, Agrees agrees);
  void CommitCopyOut(const Step& step, uint64_t start, const Task& task, Task* caller);
  void CommitRead(const Step& step, const traces::Outcome& observed, const Task& task);
  // shared.cc
  void CommitShared(const Step& step, Task* task);
  void Resize(uint64_t id, uint64_t size);
  uint64_t MakeObject(MemoryObject::Kind kind, uint64_t size, uint32_t seals);
  void MayDropSegment(uint64_t id);
  void Attach(Task* task, uint64_t segment, uint64_t start);
  void ForgetAttachments(Task* task);
  void CommitWrite(const Step& step, uint64_t value, const Task& task);
  // commit_moves.cc
  void CommitDeath(uint32_t label);
  void SetEnd(uint64_t file_key, uint64_t size);
  void CommitTransfer(Step step, const traces::ResolvedOp& op, const traces::Outcome& observed,
                      const Task* task, Task* caller);
  void CommitReceive(const Step& step, const traces::ResolvedOp& op,
                     const traces::Outcome& observed, const Task& caller);
  void CommitSend(const traces::ResolvedOp& op, const traces::Outcome& observed,
                  const Task& caller);
  void CommitSendFile(const traces::ResolvedOp& op, const traces::Outcome& observed,
                      const Task& caller);
  void FoundThere(const Space& space, uint64_t at, uint64_t size);

  Options options_;
  TaskMap tasks_;
  // The task that was asked for last: one operation asks for the same a dozen times. Tasks stay
  // where they are until they die (CommitDeath).
  mutable const Task* found_ = nullptr;
  mutable uint32_t found_label_ = 0;
  std::vector<uint32_t> births_;  // labels of live tasks in the order of their births
  std::set<uint32_t> used_labels_;
  FileTable files_;
  SwapTable swap_;
  LostPages lost_;
  std::map<uint32_t, Channel> channels_;  // by Task::channel, as long as a task has it
  // The next operation meets a kernel without memory for threads (an injected fault).
  bool threads_may_run_out_ = false;
  // The next operation meets a message that is cut: who needs a page of a device, whose frames the
  // server asks for itself, may be refused. The faults of the other sites change no outcome: who
  // asks again gets what was refused.
  bool device_may_be_silent_ = false;
  uint64_t unchecked_reads_ = 0;
};

}  // namespace model

#endif  // MODEL_WORLD_H_
