#include "conform/facts_bench.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/text_sink.h"
#include "conform/widening.h"

namespace conform {

namespace {

constexpr uint64_t kMaxSwitches = 100000;
constexpr L4_Word_t kHelperEntry = FactsBench::kImage + 0x1000;  // of helper 0; then 16 bytes each
constexpr L4_Word_t kClerkNumber = 4096;
constexpr L4_Word_t kClerkLabel = 1;
constexpr L4_Word_t kKeep = ~L4_Word_t{0};
constexpr unsigned kRecordedVersionBits = 14;

// The recorded machine's memory as far as the scenarios ask for it: root's image at 4 MiB, the
// kernel and sigma0 below.
constexpr uint64_t kRamEnd = 0x4000000;

fake_l4::BootOptions Options(const FactMachine& machine, const fake_l4::Quirks& quirks) {
  fake_l4::BootOptions options;
  options.profile = fake_l4::kIa32;
  options.profile.ram_base = FactsBench::kImage;
  options.profile.root_kip_area = machine.kip_area;
  options.profile.root_utcb_area = machine.utcb_area;
  options.profile.root_utcb_area_log2 = 20;
  options.ram_bytes = kRamEnd - FactsBench::kImage;
  options.quirks = quirks;
  options.root_priority = 255;  // as the recorded kernel boots its root
  return options;
}

}  // namespace

FactsBench::FactsBench(const FactMachine& machine, const fake_l4::Quirks& quirks)
    : machine_(machine), kernel_(Options(machine, quirks)) {
  CHECK(machine.helpers.size() == kHelpers);
  for (uint32_t i = 0; i < kHelpers; i++) {
    const uint32_t id = machine.helpers[i];
    helpers_[i].id =
        L4_GlobalId(id >> kRecordedVersionBits, id & ((1u << kRecordedVersionBits) - 1));
    Helper& h = helpers_[i];
    kernel_.RegisterEntry(kHelperEntry + i * 16, [this, &h] { HelperMain(h); });
  }
  kernel_.RegisterEntry(fake_l4::Kernel::kRootEntry, [this] { RootMain(); });
  clerk_ = kernel_.Boot({.entry = [this] { ClerkMain(); }, .id = L4_GlobalId(kClerkNumber, 1)});
  // Root builds the machine and waits.
  const fake_l4::StopReason reason = kernel_.RunUntilIdle(
      {.max_switches = kMaxSwitches, .detect_deadlock = false});
  if (reason == fake_l4::StopReason::kCrashed) problem_ = kernel_.crash_text();
  if (reason == fake_l4::StopReason::kSwitches) problem_ = "the machine does not come to rest";
}

// ---- Names ----

L4_ThreadId_t FactsBench::NoSuchThread() const { return L4_GlobalId(L4_Word_t{2000}, 1); }
L4_ThreadId_t FactsBench::OtherVersion(uint32_t helper) const {
  return L4_GlobalId(L4_ThreadNo(Id(helper)), L4_Version(Id(helper)) + 1);
}
L4_Word_t FactsBench::Utcb(uint32_t n) const {
  return machine_.utcb_area + n * static_cast<L4_Word_t>(kernel_.utcb_bytes());
}
L4_Fpage_t FactsBench::UtcbArea() const { return L4_FpageLog2(machine_.utcb_area, 16); }
L4_Fpage_t FactsBench::KipArea() const { return L4_FpageLog2(machine_.kip_area, 12); }

std::optional<uint32_t> FactsBench::NarrowId(L4_ThreadId_t id) const {
  if (L4_IsNilThread(id)) return 0;
  if (L4_IsLocalId(id)) {
    const L4_Word_t offset = id.raw - machine_.utcb_area;
    if (id.raw < machine_.utcb_area || offset >= L4_Size(UtcbArea())) return std::nullopt;
    const auto place = static_cast<uint32_t>(offset / kernel_.utcb_bytes());
    return machine_.root_local + place * machine_.utcb_bytes;
  }
  const L4_Word_t number = L4_ThreadNo(id);
  const L4_Word_t version = L4_Version(id);
  if (version >> kRecordedVersionBits != 0) return std::nullopt;
  if (number >> (32 - kRecordedVersionBits) != 0) return std::nullopt;
  return static_cast<uint32_t>(number << kRecordedVersionBits | version);
}

// ---- On simulated threads: root ----

void FactsBench::RootMain() {
  (void)L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kImage, kImageLog2));
  BuildHelpers();
  for (;;) {
    L4_ThreadId_t from;
    const L4_MsgTag_t tag = L4_Wait(&from);
    if (L4_IpcFailed(tag)) continue;
    if (L4_IsPageFault(tag)) {
      AnswerFault(from);
    } else if (L4_Label(tag) == kClerkLabel && command_ < kHelpers) {
      L4_Set_MsgTag(L4_Niltag);
      L4_Send(helpers_[command_].id);
    } else if (L4_Label(tag) == kClerkLabel) {
      root_value_ = root_job_();
      root_done_ = true;
    }
  }
}

// Helpers 0 and 1 get places of their own in root's UTCB area; the others have the place of
// their number, as in the recording.
void FactsBench::BuildHelpers() {
  const auto keep = reinterpret_cast<void*>(kKeep);
  for (uint32_t i = 0; i < kHelpers; i++) {
    const L4_ThreadId_t id = Id(i);
    L4_ThreadId_t space = root();
    if (!SharesRootsSpace(i)) space = i == 3 ? Id(2) : id;
    bool good = L4_ThreadControl(id, space, root(), L4_nilthread, keep) == 1;
    L4_Word_t old_control;
    if (good && space == id) {
      good = L4_SpaceControl(id, 0, KipArea(), UtcbArea(), L4_nilthread, &old_control) == 1;
    }
    const L4_Word_t utcb = Utcb(SharesRootsSpace(i) ? 40 + i : i);
    good = good && L4_ThreadControl(id, space, root(), root(), reinterpret_cast<void*>(utcb)) == 1;
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, kHelperEntry + i * 16);
    L4_LoadMR(2, 0);
    if (!good || L4_IpcFailed(L4_Send(id))) {
      problem_ = absl::StrCat("helper ", i, " cannot be built: error ", L4_ErrorCode());
      return;
    }
  }
  // Root's siblings may do what root may: nobody's priority is above theirs.
  for (uint32_t i = 0; i < kHelpers; i++) {
    if (SharesRootsSpace(i)) L4_Set_Priority(Id(i), 255);
  }
}

void FactsBench::AnswerFault(L4_ThreadId_t from) {
  L4_Word_t address = 0;
  L4_StoreMR(1, &address);
  const L4_Fpage_t page = L4_FpageAddRights(L4_FpageLog2(address, 12), L4_FullyAccessible);
  const L4_MapItem_t item = L4_MapItem(page, L4_Address(page));
  L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
  L4_LoadMRs(1, 2, item.raw);
  L4_Reply(from);
}

// ---- On simulated threads: helpers and the clerk ----

void FactsBench::HelperMain(Helper& h) {
  for (;;) {
    L4_Accept(L4_UntypedWordsAcceptor);
    L4_Receive(root());
    switch (std::exchange(h.kind, JobKind::kNone)) {
      case JobKind::kNone:
        continue;
      case JobKind::kIpc:
        DoIpc(h);
        break;
      case JobKind::kCall:
        h.results = h.call();
        h.error = L4_ErrorCode();
        break;
      case JobKind::kTouch:
        DoTouch(h);
        break;
    }
    h.done = true;
  }
}

void FactsBench::DoIpc(Helper& h) {
  const IpcCall& call = h.ipc;
  for (L4_Word_t i = 1; i < L4_NUM_MRS; i++) L4_LoadMR(static_cast<int>(i), 0x100 + i);
  L4_LoadMRs(1, static_cast<int>(call.words.size()), call.words.data());
  L4_LoadBRs(0, static_cast<int>(call.buffers.size()), call.buffers.data());
  L4_Set_VirtualSender(call.virtual_sender);
  L4_Set_MsgTag(L4_MsgTagOfRaw(call.tag));
  h.from = L4_nilthread;
  const L4_Word_t timeouts =
      L4_Timeouts(L4_TimeOfRaw(call.send_timeout), L4_TimeOfRaw(call.receive_timeout));
  h.tag = L4_Ipc(call.to, call.from, timeouts, &h.from).raw;
  h.error = L4_ErrorCode();
  h.actual_sender = L4_ActualSender();
  L4_StoreMRs(1, kFactRegisters, h.mr);
}

void FactsBench::DoTouch(Helper& h) {
  fake_l4::Cpu cpu = kernel_.cpu();
  const base::Vaddr address(h.address);
  uint32_t word = 0;
  switch (h.access) {
    case Access::kLoad:
      (void)cpu.Load(address, &word, sizeof word);
      break;
    case Access::kStore:
      (void)cpu.Store(address, &word, sizeof word);
      break;
    case Access::kFetch:
      (void)cpu.Fetch(address);
      break;
  }
}

void FactsBench::ClerkMain() {
  for (;;) {
    kernel_.WaitForHost();
    L4_Set_MsgTag(L4_MakeMsgTag(kClerkLabel, 0, 0));
    L4_Send(root());
  }
}

// ---- On the host ----

void FactsBench::Give(uint32_t command) {
  if (!problem_.empty()) return;
  command_ = command;
  CHECK(kernel_.HostWake(clerk_));
  const fake_l4::StopReason reason = kernel_.RunUntilIdle(
      {.max_switches = kMaxSwitches, .detect_deadlock = false});
  if (reason == fake_l4::StopReason::kCrashed) problem_ = kernel_.crash_text();
  if (reason == fake_l4::StopReason::kSwitches) {
    problem_ = absl::StrCat("the machine does not come to rest: ", kernel_.DescribeWaits());
  }
  char text[512];
  base::TextSink sink(text, sizeof text);
  if (problem_.empty() && !kernel_.CheckInvariants(sink)) {
    problem_ = absl::StrCat("invariant: ", sink.text());
  }
}

void FactsBench::Start(uint32_t helper, JobKind kind) {
  Helper& h = helpers_[helper];
  if (!h.done && problem_.empty()) problem_ = absl::StrCat("helper ", helper, " is blocked");
  h.kind = h.last = kind;
  h.done = false;
  Give(helper);
}

void FactsBench::Ipc(uint32_t helper, const IpcCall& call) {
  helpers_[helper].ipc = call;
  Start(helper, JobKind::kIpc);
}

void FactsBench::Call(uint32_t helper, std::function<CallResults()> call) {
  helpers_[helper].call = std::move(call);
  Start(helper, JobKind::kCall);
}

void FactsBench::Touch(uint32_t helper, L4_Word_t address, Access access) {
  helpers_[helper].address = address;
  helpers_[helper].access = access;
  Start(helper, JobKind::kTouch);
}

void FactsBench::Root(std::function<FactValue()> job) {
  root_job_ = std::move(job);
  root_done_ = false;
  Give(kHelpers);
  if (!root_done_ && problem_.empty()) problem_ = "root is blocked";
}

// ---- Results leave ----

namespace {

// Takes over narrow words; the first that has no 32-bit form is a problem.
class Narrowing {
 public:
  explicit Narrowing(std::string* problem) : problem_(problem) {}
  uint32_t operator()(const char* what, std::optional<uint32_t> word, L4_Word_t native) {
    if (!word.has_value() && problem_->empty()) {
      *problem_ = absl::StrCat(what, " has no 32-bit form: ", absl::Hex(uint64_t{native}));
    }
    return word.value_or(0);
  }

 private:
  std::string* problem_;
};

}  // namespace

FactValue FactsBench::Value(const Helper& h, JobKind kind, std::string* problem) const {
  if (!h.done) return BlockedFact{};
  Narrowing narrow(problem);
  if (kind == JobKind::kIpc) {
    IpcFact f;
    f.tag = narrow("tag", NarrowTag(h.tag), h.tag);
    f.error = narrow("err", NarrowErrorCode(h.error), h.error);
    f.from = narrow("from", NarrowId(h.from), h.from.raw);
    f.actual_sender = narrow("act", NarrowId(h.actual_sender), h.actual_sender.raw);
    for (size_t i = 0; i < kFactRegisters; i++) {
      f.mr[i] = narrow("mr", NarrowFpage(h.mr[i]), h.mr[i]);
    }
    return f;
  }
  const CallResults& r = h.results;
  CallFact f;
  f.results = {L4_IsNilThread(r.id) ? narrow("r0", NarrowSendBase(r.result), r.result)
                                    : narrow("r0", NarrowId(r.id), r.id.raw),
               narrow("r1", NarrowSendBase(r.control), r.control),
               narrow("r2", NarrowSendBase(r.sp), r.sp),
               narrow("r3", NarrowSendBase(r.ip), r.ip),
               narrow("r4", NarrowSendBase(r.flags), r.flags),
               narrow("r5", NarrowSendBase(r.handle), r.handle),
               narrow("r6", NarrowId(r.pager), r.pager.raw)};
  f.error = narrow("err", NarrowErrorCode(h.error), h.error);
  return f;
}

void FactsBench::Report(const char* scenario, uint32_t helper) {
  Observation o;
  o.fact.scenario = scenario;
  o.fact.helper = helper;
  o.fact.value = Value(helpers_[helper], helpers_[helper].last, &o.problem);
  if (!problem_.empty()) o.problem = problem_;
  observations_.push_back(std::move(o));
}

void FactsBench::ReportRoot(const char* scenario) {
  Observation o;
  o.fact.scenario = scenario;
  o.fact.value = root_value_;
  o.problem = problem_;
  observations_.push_back(std::move(o));
}

}  // namespace conform
