// proptests/engine/findings.h: what campaigns found, in a directory that later runs replay first.
//
// WHAT     The directory holds an SQLite index (findings.db) and one .trace file for each finding.
//          Two failures are one finding when class, rule and place are the same; the place is the
//          kind of operation in which the shrunk run fails. The index also keeps how far the last
//          campaign came, so that an interrupted one can be resumed.
// INVARIANTS  A finding in the index has its trace file. Listings are in the order of discovery.
// SEE      tools/findings_command.cc; docs/TESTING.md.

#ifndef PROPTESTS_ENGINE_FINDINGS_H_
#define PROPTESTS_ENGINE_FINDINGS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proptests/engine/emit.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/summary.h"
#include "traces/trace.h"

struct sqlite3;

namespace proptests {

struct KnownFailure {
  int64_t id = 0;  // of the index
  Fingerprint print;
  std::string place;  // "fork", "end of the run"
  std::string text;
  std::string trace;   // file name within the directory
  std::string flags;   // of the machine it needs, as `vmsim replay` takes them
  std::string origin;  // "seed 7, case 3"
  uint64_t ops = 0;    // of the trace
  uint64_t seen = 0;   // times
  bool fails = true;   // as of its last replay
};

// Where the shrunk run of a report fails.
std::string PlaceOf(const FailureReport& report);

// How far a campaign came.
struct CampaignState {
  std::vector<std::string> arguments;  // of `vmsim run`
  std::string identity;                // equal for all shards of one campaign
  uint64_t shard = 0;
  uint64_t shards = 1;
  uint64_t next_case = 0;  // the first one whose record is not in `summary`, counted in order
  bool complete = false;
  Summary summary;
};
std::string EncodeState(const CampaignState& state);
absl::StatusOr<CampaignState> DecodeState(const std::string& text);

class Findings {
 public:
  enum class Mode : uint8_t { kCreate, kMustExist };
  // Errors: it is no directory and cannot be made one, or its index is of another program.
  static absl::StatusOr<std::unique_ptr<Findings>> Open(const std::string& directory, Mode mode);
  ~Findings();
  Findings(const Findings&) = delete;
  Findings& operator=(const Findings&) = delete;

  const std::string& directory() const { return directory_; }
  std::string PathOf(const KnownFailure& finding) const;
  // Adds a finding whose trace file is in the directory already. False: it is known; it was seen
  // once more.
  absl::StatusOr<bool> Add(const KnownFailure& finding);
  enum class Replayed : bool { kPasses, kFails };
  absl::Status SetReplayed(const KnownFailure& finding, Replayed how);
  absl::StatusOr<std::vector<KnownFailure>> List() const;

  absl::Status SaveCampaign(const CampaignState& state);
  // Nothing: no campaign was ever saved here.
  absl::StatusOr<std::optional<CampaignState>> LastCampaign() const;

 private:
  Findings(std::string directory, sqlite3* db) : directory_(std::move(directory)), db_(db) {}
  absl::Status Run(const char* sql);

  const std::string directory_;
  sqlite3* const db_;
};

// Copies every finding of `from` that `to` does not know, trace files included. Returns how many.
absl::StatusOr<uint64_t> CopyFindings(const Findings& from, Findings* to);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_FINDINGS_H_
