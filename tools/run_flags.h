// tools/run_flags.h: the options of `vmsim run`, and the campaign they mean.

#ifndef TOOLS_RUN_FLAGS_H_
#define TOOLS_RUN_FLAGS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proptests/engine/machine_swarm.h"
#include "proptests/engine/mix.h"
#include "proptests/engine/run.h"
#include "tools/options.h"
#include "tools/report.h"

namespace tools {

struct RunFlags {
  MachineFlags machine;
  uint64_t seed = 1;
  uint64_t ops = 100000;
  uint64_t case_ops = 10000;
  uint64_t first_case = 0;
  uint64_t tasks = 8;
  uint64_t pages = 64;
  uint64_t files = 2;
  uint64_t threads = 1;
  std::string faults = "none";
  uint64_t jobs = 1;
  uint64_t timeout = 60;
  uint64_t megabytes = 8192;
  uint64_t recheck = 32;
  std::string chain;
  std::string findings;  // directory; empty: none
  std::string resume;
  std::string shard;   // "I/N" as typed
  std::string mix;     // file; empty: the standard one
  bool swarm = false;  // of machines
  bool liveness = false;
  proptests::MachinePins pins;  // what was given
  bool verbose = false;
  bool probes = false;
  bool no_swarm = false;
  bool json = false;
  std::string save;
};

void DeclareRunFlags(Options* options, RunFlags* flags);
// After parsing: what was given is pinned, and a mix gives the sizes that were not. Errors: the mix
// cannot be read.
absl::Status Settle(const Options& options, RunFlags* flags, proptests::Mix* mix);

// Cases whose number is `index` modulo `count` are this run's own.
struct Shard {
  uint64_t index = 0;
  uint64_t count = 1;
};
// "I/N" with I < N; empty: the only one.
absl::StatusOr<Shard> ParseShard(const std::string& text);

absl::StatusOr<proptests::CampaignOptions> CampaignOf(const RunFlags& flags,
                                                      const proptests::Mix& mix);
// The first line of a run: which campaign it is. Equal for all its shards.
std::string CampaignText(const RunFlags& flags, const proptests::CampaignOptions& options);
// The command that runs one case alone.
std::string CaseCommand(const RunFlags& flags, uint64_t case_index);

}  // namespace tools

#endif  // TOOLS_RUN_FLAGS_H_
