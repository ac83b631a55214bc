// machine/machine.h: the composition root: a simulated computer that runs vmserver and its clients.
//
// WHAT     A Machine is one deterministic world: kernel, root server, an init client, and a client
//          task for every label that an operation brings to life. Apply lets the task's own L4
//          thread perform an operation and runs the kernel until nothing can happen any more.
//              Machine machine({});
//              machine.Apply(op)  ->  what the program saw
// STATES   running -> crashed (a CHECK failed inside) or stuck (an operation never ended); both are
//          final, Apply then does nothing and says kNone.
// INVARIANTS  Two machines share nothing. The same options and operations give the same outcomes
//          and the same ledger, on every host. Observers have no effect on the world.
// SEE      design.md D3, D4; vmserver/server.h; fake_l4/kernel.h.

#ifndef MACHINE_MACHINE_H_
#define MACHINE_MACHINE_H_

#include <l4/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/canary.h"
#include "base/probes.h"
#include "fake_l4/decision_list.h"
#include "fake_l4/exploration.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "fake_l4/quirks.h"
#include "machine/adverse_pmap.h"
#include "machine/arena.h"
#include "machine/block_driver.h"
#include "machine/client_program.h"
#include "machine/memory_events.h"
#include "machine/swap_cipher.h"
#include "machine/swap_set.h"
#include "traces/op.h"
#include "uvm/space.h"
#include "uvm/uvm.h"
#include "vmserver/server.h"

namespace machine {

// What a run cost since the machine was up: taking memory from sigma0 is not in it. Units are
// events unless said; the order of ForEach is the order of fields and never changes.
struct Ledger {
  uint64_t ipc = 0;    // messages transferred, the kernel's own included
  uint64_t map = 0;    // map items transferred
  uint64_t unmap = 0;  // calls
  uint64_t pages_mapped = 0;
  uint64_t pages_unmapped = 0;
  uint64_t page_faults = 0;  // messages from the kernel to pagers
  uint64_t refill = 0;       // faults answered from the pmap's table
  uint64_t resend = 0;       // ... for pages that the client had been sent before
  uint64_t aliases = 0;      // pages the server mapped to itself
  uint64_t direct = 0;       // pages sent straight from home
  uint64_t recall = 0;       // ... taken back because their frame got another mapping
  uint64_t dropped = 0;      // mappings taken back for want of the kernel's memory
  uint64_t device = 0;       // requests to sigma0 for pages of devices
  uint64_t fault_1a = 0;
  uint64_t fault_1b = 0;
  uint64_t fault_2a = 0;
  uint64_t fault_2b = 0;
  uint64_t fault_errors = 0;
  uint64_t extra_faults = 0;  // of UVM, on wired pages: their translations had been taken away
  uint64_t neighbours = 0;    // pages mapped along with the one that faulted
  uint64_t wirings = 0;       // pages wired for an entry
  uint64_t loans = 0;         // pages
  uint64_t loan_breaks = 0;   // pages
  uint64_t copy = 0;          // pages
  uint64_t zero_fill = 0;     // pages
  uint64_t pager_get = 0;     // pages
  uint64_t fork = 0;
  uint64_t clip = 0;
  uint64_t merge = 0;
  uint64_t peak_frames = 0;
  uint64_t fiber_switches = 0;
  uint64_t virtual_us = 0;
  uint64_t faults_injected = 0;
  uint64_t pageout = 0;        // pages freed after they were written to swap
  uint64_t pagein = 0;         // pages read from swap
  uint64_t swap_clusters = 0;  // writes to swap
  uint64_t reclaimed = 0;      // clean pages freed by the page daemon
  uint64_t frame_waits = 0;    // times that somebody waited for frames

  // visit(const char* name, uint64_t value)
  template <typename Visitor>
  void ForEach(Visitor visit) const;
  friend bool operator==(const Ledger&, const Ledger&) = default;
};

// Who runs next once the machine is up. All but the first explore: the order of server threads may
// differ at each IPC, unmap, system call and lock.
enum class Schedule : uint8_t { kRoundRobin, kRandom, kPct };

// What a client loses for good to the faults ipc_cut, pager_dies and pager_never.
enum class Loss : uint8_t {
  kNothing,
  kCall,  // its request never arrived: nothing was done
  kTask,  // it waits for ever in a fault: what it accessed before is done
};
// kAreStuck: the machine is stuck on an operation that loses something. kAreReported: it goes on,
// and says so.
enum class Losses : uint8_t { kAreStuck, kAreReported };

// A profile of the simulated hardware under which a Machine can run, by its name; null when there
// is none: ia32 is none, because clients may map 47 bits of addresses. And the names there are.
const fake_l4::Profile* FindProfile(std::string_view name);
std::vector<std::string> ProfileNames();
// The same of kernels: "manual", "pistachio-new-mdb" ...
const fake_l4::Quirks* FindQuirks(std::string_view name);
std::vector<std::string> QuirkNames();
// Of page replacement: "clock", "clock:anonmin=5,inactive=50" ... (uvm::PolicyOfText); the names.
bool IsPolicy(std::string_view text);
std::vector<std::string> PolicyNames();

// What one client's thread does while others do something, too, and what came of it.
struct Part {
  uint32_t label = 0;   // of the task
  uint32_t thread = 0;  // of the task's
  std::vector<traces::ResolvedOp> ops = {};
  // Which of them go on with the one before, and are not begun when that failed: accesses of which
  // each page is a step. May be shorter than `ops`.
  std::vector<bool> goes_on = {};
};
struct Performed {
  uint32_t part = 0;   // index of the Part
  uint32_t index = 0;  // in its ops
  traces::Outcome outcome;
  // Places in the one order of all beginnings and ends, from 1. responded 0: it never ended.
  uint64_t invoked = 0;
  uint64_t responded = 0;
  // When it probably took effect, among the steps of the schedule: when its thread was woken by the
  // answer, or could go on after the access. 0: the schedule does not say. Nothing but the speed of
  // a search should depend on it.
  uint64_t likely_at = 0;
  // It never ended because another thread ended this one: what it was to do is done or not.
  bool cut_short = false;
};

class Machine {
 public:
  struct Options {
    uint64_t ram_bytes = uint64_t{64} << 20;
    // REQUIRES: user addresses reach beyond the pages that clients may map.
    fake_l4::Profile profile = fake_l4::kAmd64Nx;
    // Which kernel it is: the manual's, or a particular one.
    fake_l4::Quirks quirks = fake_l4::kManualRules;
    base::Canary canary = base::Canary::kNone;
    // Of the machine's random streams; the default schedule draws from none.
    uint64_t seed = 0;
    Schedule schedule = Schedule::kRoundRobin;
    // With a schedule that explores: what an earlier run chose, instead of drawing it anew.
    std::shared_ptr<const fake_l4::DecisionList> decisions = {};
    // Clients take turns on them; the server runs on the first.
    uint32_t processors = 1;
    uint32_t max_tasks = 64;  // alive at once
    // By number. With any, the server has a page daemon.
    std::vector<SwapSpec> swap = {};
    // Of page replacement: what IsPolicy knows.
    std::string policy = "clock";
    // How free frames are kept, and what happens to them; see MeetEvent.
    MemorySpec memory = {};
    SwapEncryption swap_encryption = SwapEncryption::kOff;
    // Host address space for the server's tables. Far more than they take; pages never used cost
    // nothing.
    uint64_t arena_bytes = uint64_t{1} << 30;
    // What the pmap does that it may do, as far as UVM can see.
    Adversity adversity = Adversity::kNone;
    Losses losses = Losses::kAreStuck;
    // Fiber switches after which an operation counts as a livelock. The longest honest one, a fork
    // of all of RAM page by page, takes under a million.
    uint64_t max_switches_per_op = uint64_t{1} << 24;
  };

  // Boots; aborts the program when the machine does not come up.
  explicit Machine(const Options& options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Performs the operation. kInject arms a site of the kernel while the next operation runs; what
  // has not happened by then is forgotten. Family kNone: it names no live task, or a label that was
  // used before, or the machine crashed or got stuck on it; crash() and stuck() tell.
  traces::Outcome Apply(const traces::ResolvedOp& op);

  // What happens to free frames and to the encryption of swap before `op`, by the options. True:
  // there may be more frames than before, or fewer. Nothing happens between a fault that is armed
  // and its operation. What it costs is in no ledger.
  bool MeetEvent(const traces::ResolvedOp& op) { return events_.ever() && HaveEvent(op); }

  // Lets the thread of a live task run any program, hostile ones included, until nothing can happen
  // any more. False: it did not come back (it waits, or was ended). The program follows the rules
  // for simulated code of fake_l4/kernel.h.
  bool RunProgram(uint32_t label, void (*program)(void*), void* argument);
  // The same on that of its threads.
  bool RunProgram(uint32_t label, uint32_t thread, void (*program)(void*), void* argument);

  // Lets several live threads, of one task or of several, perform their operations all at the same
  // time, each its own in order, under the schedule that was asked for, and then the machine come
  // to rest. In the order of the beginnings. A death ends a part, and cuts the others of its task
  // short; a target is alive before. REQUIRES: no thread has two parts; no operation is kInject, or
  // named by the birth of another part.
  std::vector<Performed> ApplyTogether(const std::vector<Part>& parts);

  // From now on the strategy says who runs next, at each IPC, unmap, system call, access and lock,
  // as its points say.
  void Explore(std::unique_ptr<fake_l4::ExploringStrategy> strategy);
  // The default schedule of one processor again; decisions() are gone.
  void StopExploring();

  // What the last Apply lost. Its outcome is then of no family, but for a call whose answer alone
  // was lost: that was done, and the outcome is the one in the answer.
  Loss loss() const { return loss_; }
  // Bytes that the task accessed before it was lost; last_read_bytes() has them after a kRead.
  uint64_t bytes_before_loss() const { return bytes_before_loss_; }
  // Init ends a task, alive or lost. False: that did not work. REQUIRES: IsLive(label).
  bool EndByInit(uint32_t label);

  // The failed CHECK that ended the machine.
  std::optional<std::string> crash() const;
  // What an exploring schedule chose so far; null with Schedule::kRoundRobin.
  const fake_l4::DecisionList* decisions() const;
  // Who waits for whom, when an operation did not end.
  const std::optional<std::string>& stuck() const { return stuck_; }

  // ---- Observers: no side effects on the world ----
  // Bytes of the last kRead, as far as it got; what follows them, where it hangs, means nothing.
  const std::vector<unsigned char>& last_read_bytes() const { return last_read_; }
  Ledger ledger() const;
  // How often a branch was taken since boot, and a cell of the matrix of fault cases met (only
  // after uvm().probes().CountFaults()).
  uint64_t ProbeHits(base::Probe probe) const;
  uint64_t FaultCases(uint32_t cell) const;
  uvm::Uvm& uvm() { return server_.uvm(); }
  fake_l4::Kernel& kernel() { return kernel_; }
  const fake_l4::Kernel& kernel() const { return kernel_; }
  vmserver::Server& server() { return server_; }
  pmap_sim::L4Pmap& pmap() { return server_.pmap(); }
  const AdversePmap& adverse_pmap() const { return adverse_pmap_; }
  const SwapSet& swap_set() const { return swap_set_; }
  const MemoryEvents& memory_events() const { return events_; }
  const BlockDriver* block_driver() const { return block_driver_.get(); }  // null: there is none
  bool IsLive(uint32_t label) const;
  std::vector<uint32_t> live_labels() const;
  size_t live_count() const { return live_count_; }  // init has no label
  // The UVM space, the L4 address space and the L4 thread of a live task. REQUIRES for the latter
  // two: IsLive(label).
  uvm::Space* space_of(uint32_t label) const;  // null when not alive
  fake_l4::SpaceId l4_space_of(uint32_t label) const;
  L4_ThreadId_t thread_of(uint32_t label) const;                   // the first that it has
  L4_ThreadId_t thread_of(uint32_t label, uint32_t thread) const;  // nil: it has none such
  uint32_t first_thread_of(uint32_t label) const;  // its number. REQUIRES: IsLive(label)
  // The server's name of a task, alive or dead. REQUIRES: the label was used.
  uint32_t task_of(uint32_t label) const { return clients_.at(label)->task; }

 private:
  struct Client;
  struct ClientThread {
    Client* client = nullptr;
    uint32_t number = 0;
    L4_ThreadId_t id = {0};  // nil: there is none
    Command command;
    bool exists() const { return !L4_IsNilThread(id); }
  };
  struct Client {
    uint32_t label = 0;  // 0: init
    uint32_t task = 0;   // the server's name of it
    vmserver::Personality personality = vmserver::Personality::kBsd;
    bool narrow = false;
    // Alive as long as it has one.
    ClientThread threads[traces::kMaxThreads];
    const ClientThread* First() const;
  };

  static vmserver::Server::Config ServerConfig(const Options& options, Arena* arena,
                                               const base::CanarySwitch* canary,
                                               fake_l4::Kernel& kernel, AdversePmap* adverse,
                                               const SwapSet& swap, AesSwapCipher* cipher);
  // Swaps on what the options say.
  void SwapOnAtBoot();
  bool HaveEvent(const traces::ResolvedOp& op);
  // Init's request.
  bool ControlMemory(vmserver::MemoryControl what, uint64_t first, uint64_t second);
  [[noreturn]] void ClientMain();
  fake_l4::StopReason RunKernel();
  void ExploreByOptions();
  traces::Outcome Inject(const traces::ResolvedOp& op);
  traces::Outcome Perform(const traces::ResolvedOp& op, ClientThread* actor);
  // together.cc
  struct Together;
  struct Running;
  static void RunPart(void* running_part);
  void EndTogether(Together* together);
  void EndPart(Together* together, Running* running);
  // The threads that do not exist any more.
  void BuryTheDead(Client* client);
  // Whether a fault of these has fired since there were `before` of all.
  bool LostSince(size_t before) const;
  // Null: none ever had the label. Those found last are found again at once.
  Client* Find(uint32_t label) const;
  // The thread that performs `op`; null when nobody can.
  ClientThread* ActorFor(const traces::ResolvedOp& op);
  bool Exists(L4_ThreadId_t thread) const;
  // What became of clients and their threads by the operation, which succeeded: command.op.
  void Follow(ClientThread* actor, const Command& command);
  void AddClient(const Client& actor, const Command& command);
  void AddThread(Client* client, uint32_t number, L4_ThreadId_t id);
  // What a death that succeeded leaves.
  void Bury(Client* client);
  void BuryThread(ClientThread* thread);
  // The client on whom `op`, which `actor` performs, acts; null when there never was one.
  Client* TargetOf(const traces::ResolvedOp& op, Client* actor);

  // The counters as they stand, boot included.
  Ledger ReadLedger() const;

  const Options options_;
  Arena arena_;
  base::CanarySwitch canary_;
  fake_l4::Kernel kernel_;
  AdversePmap adverse_pmap_;  // idle without adversity
  SwapSet swap_set_;
  AesSwapCipher swap_cipher_;
  vmserver::Server server_;
  std::unique_ptr<BlockDriver> block_driver_;
  MemoryEvents events_;
  bool armed_ = false;  // the operation before was kInject
  std::map<uint32_t, std::unique_ptr<Client>>
      clients_;                     // by label; the dead stay, so that labels are not used twice
  mutable Client* found_[16] = {};  // by the label's last digit
  std::map<L4_Word_t, ClientThread*> by_thread_;  // live ones
  size_t live_count_ = 0;
  std::vector<unsigned char> last_read_;
  std::optional<std::string> stuck_;
  Loss loss_ = Loss::kNothing;
  uint64_t bytes_before_loss_ = 0;
  const fake_l4::ExploringStrategy* strategy_ = nullptr;  // the kernel's; null: the default one
  Ledger boot_;                                           // the counters when the machine was up
  uint32_t lost_wake_up_ = 0;      // of a canary: the client that sleeps for ever after a fault
  mutable uint64_t observed_ = 0;  // of a canary: how often an observer asked
};

template <typename Visitor>
void Ledger::ForEach(Visitor visit) const {
  visit("ipc", ipc);
  visit("map", map);
  visit("unmap", unmap);
  visit("pages_mapped", pages_mapped);
  visit("pages_unmapped", pages_unmapped);
  visit("page_faults", page_faults);
  visit("refill", refill);
  visit("resend", resend);
  visit("aliases", aliases);
  visit("direct", direct);
  visit("recall", recall);
  visit("dropped", dropped);
  visit("device", device);
  visit("fault_1a", fault_1a);
  visit("fault_1b", fault_1b);
  visit("fault_2a", fault_2a);
  visit("fault_2b", fault_2b);
  visit("fault_errors", fault_errors);
  visit("extra_faults", extra_faults);
  visit("neighbours", neighbours);
  visit("wirings", wirings);
  visit("loans", loans);
  visit("loan_breaks", loan_breaks);
  visit("copy", copy);
  visit("zero_fill", zero_fill);
  visit("pager_get", pager_get);
  visit("fork", fork);
  visit("clip", clip);
  visit("merge", merge);
  visit("peak_frames", peak_frames);
  visit("fiber_switches", fiber_switches);
  visit("virtual_us", virtual_us);
  visit("faults_injected", faults_injected);
  visit("pageout", pageout);
  visit("pagein", pagein);
  visit("swap_clusters", swap_clusters);
  visit("reclaimed", reclaimed);
  visit("frame_waits", frame_waits);
}

}  // namespace machine

#endif  // MACHINE_MACHINE_H_
