// tools/report.h: what a run did and cost, for people and for machines.
//
// WHAT     Text: operations by kind, faults by case, costs, lanes, hash; then PASS or the failure,
//          shrunk. JSON: one object with the keys of design.md section 5. Both come from the same
//          RunResult.

#ifndef TOOLS_REPORT_H_
#define TOOLS_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/emit.h"
#include "proptests/engine/isolate.h"
#include "proptests/engine/run.h"
#include "tools/options.h"

namespace tools {

using Json = nlohmann::ordered_json;

// Options that every command with a machine has.
struct MachineFlags {
  std::string lanes = "all";
  std::string canary = "none";
  uint64_t frames = 0;
  uint64_t check_every = 0;  // 0: the command's own choice
  std::string schedule = "round-robin";
  uint64_t schedule_seed = 0;  // of one machine; a campaign gives each case its own
  uint64_t processors = 1;
  std::string profile = "amd64-nx";
  std::string quirks = "manual";
  std::string swap;  // proptests::ParseSwap's text; the next: of devices that say no time
  uint64_t swap_latency = 0;
  std::string swap_encrypt = "off";
  std::string memory;
  std::string policy = "clock";
  std::string pmap = "plain";
  void Declare(Options* options);
  // Only what machine it is: frames, swap, canary, profile, quirks, pmap.
  void DeclareMachine(Options* options);
  // `run` gets lanes, machine and frequency of checks. Errors: unknown lane, canary, schedule or
  // profile.
  absl::Status Apply(uint64_t default_frames, uint64_t default_check_every,
                     proptests::RunOptions* run) const;
  // The part of it that is about swap and free frames.
  absl::Status ApplySwap(machine::Machine::Options* machine) const;
  // The same with what `run` says of schedule, processors, hardware, kernel, pmap, and memory if it
  // is scarce.
  MachineFlags With(const proptests::RunOptions& run) const;
  // Whether anything is said of frames and swap.
  bool SaysMemory() const;
  // For a help screen: how swap devices are written.
  static const char* SwapHelp();
  // The flags as typed, where they differ from the defaults: " --canary NAME --frames N".
  std::string Repeat() const;
};

// "fork_skips_write_protect" ... as --canary takes them.
std::vector<std::string> CanaryNames();

std::string OpsText(const proptests::RunStats& stats);
std::string LedgerText(const proptests::LedgerRows& ledger);
std::string LanesText(const proptests::RunOptions& run, const proptests::RunStats& stats);

// The keys that all commands have in common, for one that runs no operations: "pass", and nothing
// to say for hash, ledger and lanes.
Json PlainResultJson(uint64_t ops, double seconds);
// The same keys for a run.
Json ResultJson(const proptests::RunResult& result, const proptests::RunOptions& run,
                double seconds);

// A failure made small and written down.
struct Diagnosis {
  proptests::FailureReport report;
  std::string flags;         // of the machine, as `vmsim replay` takes them
  proptests::Failure first;  // as it was met in the long run
  uint64_t executions = 0;
  double seconds = 0;
  bool minimal = false;
  uint64_t fail_otherwise = 0;  // see Shrunk
  bool reproduced = false;      // the saved trace fails alone, with the same fingerprint
  std::string path;             // where the trace was saved; empty: it could not be
};

struct DiagnosisOptions {
  std::string origin;    // "seed 7, case 3"
  std::string path;      // where to save; empty: a name of its own in the current directory
  MachineFlags machine;  // as given
  // Where a trace goes that has no path; empty or ending with a slash.
  std::string directory = "";
  proptests::IsolationLimits limits = {};
  // In processes of their own, so that a run that crashes does not end the diagnosis.
  bool guarded = true;
};

// Shrinks, saves, and runs what was saved again.
Diagnosis Diagnose(const std::vector<proptests::TestOp>& ops, const std::vector<std::string>& files,
                   const proptests::RunOptions& run, const proptests::Failure& failure,
                   const DiagnosisOptions& options);
std::string DiagnosisText(const Diagnosis& diagnosis);
Json DiagnosisJson(const Diagnosis& diagnosis);

}  // namespace tools

#endif  // TOOLS_REPORT_H_
