#include "proptests/engine/machine_swarm.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/prng.h"
#include "machine/machine.h"
#include "proptests/engine/machine_text.h"

namespace proptests {
namespace {

using base::Prng;

// Without swap memory is scarce already where little but a few tasks' pages fits.
constexpr uint64_t kFewestFrames = 1024;
// With swap far fewer do; below, operations that need several frames at once are refused.
constexpr uint64_t kFewestWithSwap = 128;

void DrawMemory(Prng prng, RunOptions* run) {
  if (prng.Chance(1, 2)) return;
  const uint64_t frames = run->machine.ram_bytes / base::kPageSize;
  if (frames <= kFewestFrames) return;
  // Scarce, down to where little but the server fits.
  run->machine.ram_bytes = (kFewestFrames + prng.Below(frames - kFewestFrames)) * base::kPageSize;
  run->memory_may_run_out = true;
}

// One policy in three is told something.
void DrawTunables(Prng prng, std::string* policy) {
  const bool told = prng.Chance(1, 3);
  const uint64_t least = prng.Below(96);
  const uint64_t share = prng.Below(101);
  const uint64_t most = prng.Below(101);
  if (!told) return;
  if (*policy == "clock") {
    // Together at most 95.
    absl::StrAppend(policy, ":anonmin=", least * share / 100,
                    ",filemin=", least - least * share / 100, ",execmin=0,anonmax=", most,
                    ",inactive=", prng.Below(101));
  } else if (*policy == "clockpro") {
    absl::StrAppend(policy, ":cold=", 1 + most * 99 / 100, share % 2 == 0 ? ",adaptive" : "");
  }
}

// Of memory that is scarce, and scarcer then: one to three devices, together up to four times the
// memory.
void DrawSwap(Prng prng, RunOptions* run) {
  const bool none = prng.Chance(1, 3);
  const bool slow = prng.Chance(1, 3);
  const uint64_t devices = 1 + prng.Below(3);
  const uint64_t frames = prng.Below(1024);
  const std::vector<std::string> policies = machine::PolicyNames();
  const uint64_t policy = prng.Below(policies.size());
  if (none || !run->memory_may_run_out) return;
  run->machine.ram_bytes = (kFewestWithSwap + frames) * base::kPageSize;
  run->machine.swap.clear();
  for (uint64_t i = 0; i < devices; ++i) {
    machine::SwapSpec spec;
    spec.pages = 1 + prng.Below(4 * (kFewestWithSwap + frames) / devices);
    spec.transfer_us = slow ? 1 + prng.Below(500) : 0;
    spec.page_us = slow ? prng.Below(20) : 0;
    spec.priority = static_cast<uint32_t>(prng.Below(2));
    spec.on = prng.Chance(7, 8) && spec.pages >= machine::kFewestSwapPages;
    run->machine.swap.push_back(spec);
  }
  run->machine.policy = policies[policy];
  DrawTunables(prng, &run->machine.policy);
}

// Of devices, mostly in memory: a few are files, one may be behind a driver.
void DrawKinds(Prng prng, RunOptions* run) {
  bool driver = false;
  for (machine::SwapSpec& spec : run->machine.swap) {
    const uint64_t kind = prng.Below(8);
    if (kind == 0) spec.kind = machine::SwapSpec::Kind::kFile;
    if (kind != 1 || driver) continue;
    spec.kind = machine::SwapSpec::Kind::kDriver;
    driver = true;
  }
}

void DrawEncryption(Prng prng, RunOptions* run) {
  using machine::SwapEncryption;
  const bool toggled = prng.Chance(1, 2);
  if (prng.Chance(1, 2) || run->machine.swap.empty()) return;
  run->machine.swap_encryption = toggled ? SwapEncryption::kToggled : SwapEncryption::kOn;
}

void DrawKeeping(Prng prng, RunOptions* run) {
  const bool plain = prng.Chance(1, 2);
  machine::MemorySpec spec;
  spec.colours = uint32_t{1} << prng.Below(5);
  spec.buckets = static_cast<uint32_t>(1 + prng.Below(3));
  spec.lists = static_cast<uint32_t>(1 + prng.Below(3));
  spec.caches = prng.Chance(1, 2);
  spec.one_in = prng.Chance(1, 2) ? static_cast<uint32_t>(8 + prng.Below(120)) : 0;
  if (plain) return;
  run->machine.memory = spec;
  const uint64_t frames = run->machine.ram_bytes / base::kPageSize;
  if (!run->memory_may_run_out)
    run->machine.ram_bytes += FramesForEvents(spec, frames) * base::kPageSize;
}

void DrawHardware(Prng prng, RunOptions* run) {
  if (prng.Chance(1, 2)) return;
  const std::vector<std::string> names = machine::ProfileNames();
  run->machine.profile = *machine::FindProfile(names[prng.Below(names.size())]);
}

void DrawKernel(Prng prng, RunOptions* run) {
  if (prng.Chance(1, 2)) return;
  const std::vector<std::string> names = machine::QuirkNames();
  run->machine.quirks = *machine::FindQuirks(names[prng.Below(names.size())]);
}

// A patient one in three of four cases: most of what others find they hide, by taking so little
// for granted.
void DrawPmap(Prng prng, RunOptions* run) {
  if (prng.Chance(3, 4)) return;
  run->machine.adversity =
      prng.Chance(1, 2) ? machine::Adversity::kForgetful : machine::Adversity::kRefusing;
}

void DrawProcessors(Prng prng, RunOptions* run) {
  if (prng.Chance(1, 2)) return;
  run->machine.processors = static_cast<uint32_t>(2 + prng.Below(3));
}

void DrawSchedule(Prng prng, RunOptions* run) {
  if (prng.Chance(1, 2)) return;
  run->machine.schedule = prng.Chance(1, 2) ? machine::Schedule::kRandom : machine::Schedule::kPct;
}

// A random subset of the sites, each with a rate of its own.
void DrawFaults(Prng prng, FaultRates* faults) {
  if (prng.Chance(1, 2)) return;
  for (size_t i = 0; i < faults->one_in.size(); ++i) {
    const uint64_t on = prng.Below(2);
    const uint64_t rate = 4 + prng.Below(100);
    const bool taken = IsRecoverable(static_cast<base::FaultSite>(i));
    faults->one_in[i] = on != 0 && taken ? static_cast<uint32_t>(rate) : 0;
  }
}

const char* ScheduleName(machine::Schedule schedule) {
  switch (schedule) {
    case machine::Schedule::kRoundRobin:
      return "round-robin";
    case machine::Schedule::kRandom:
      return "random";
    case machine::Schedule::kPct:
      return "pct";
  }
  return "?";
}

}  // namespace

void DrawMachine(uint64_t seed, uint64_t case_index, const MachinePins& pins, RunOptions* run,
                 FaultRates* faults) {
  if (!pins.memory) DrawMemory(Prng(seed, "swarm memory", case_index), run);
  if (!pins.swap) DrawSwap(Prng(seed, "swarm swap", case_index), run);
  if (!pins.swap) DrawKinds(Prng(seed, "swarm swap kinds", case_index), run);
  if (!pins.encryption) DrawEncryption(Prng(seed, "swarm encryption", case_index), run);
  if (!pins.keeping) DrawKeeping(Prng(seed, "swarm keeping", case_index), run);
  if (!pins.hardware) DrawHardware(Prng(seed, "swarm hardware", case_index), run);
  if (!pins.kernel) DrawKernel(Prng(seed, "swarm kernel", case_index), run);
  if (!pins.pmap) DrawPmap(Prng(seed, "swarm pmap", case_index), run);
  if (!pins.processors) DrawProcessors(Prng(seed, "swarm processors", case_index), run);
  if (!pins.schedule) DrawSchedule(Prng(seed, "swarm schedule", case_index), run);
  if (!pins.faults) DrawFaults(Prng(seed, "swarm faults", case_index), faults);
}

std::string MachineText(const RunOptions& run, const FaultRates& faults) {
  const uint32_t processors = run.machine.processors;
  std::string swap;
  if (!run.machine.swap.empty()) {
    swap = absl::StrCat(", swap ", SwapText(run.machine.swap), " ", run.machine.policy);
    if (run.machine.swap_encryption != machine::SwapEncryption::kOff)
      absl::StrAppend(&swap, " encryption ", EncryptionText(run.machine.swap_encryption));
  }
  const std::string memory = MemoryText(run.machine.memory);
  if (!memory.empty()) absl::StrAppend(&swap, ", memory ", memory);
  const bool patient = run.machine.adversity == machine::Adversity::kNone;
  const std::string pmap =
      patient ? "" : absl::StrCat(machine::AdversityName(run.machine.adversity), " pmap, ");
  return absl::StrCat(run.machine.ram_bytes / base::kPageSize, " frames",
                      run.memory_may_run_out ? " (scarce)" : "", swap, ", ",
                      run.machine.profile.name, ", ", run.machine.quirks.name, ", ", pmap,
                      processors, processors == 1 ? " processor, " : " processors, ",
                      ScheduleName(run.machine.schedule), ", faults ", FaultRatesText(faults));
}

}  // namespace proptests
