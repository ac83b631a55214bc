// proptests/engine/summary.h: what cases did, added up, and its form between processes and in
// files.
//
// WHAT     A CaseRecord is one case, whoever ran it; a Summary is any number of them. Adding is
//          commutative, so workers, interrupted campaigns and shards all end at the same numbers.
//          Both have a JSON form that reads back equal.

#ifndef PROPTESTS_ENGINE_SUMMARY_H_
#define PROPTESTS_ENGINE_SUMMARY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"

namespace proptests {

// How much there is to go wrong, sampled now and then during a run. Sums over `samples`.
struct Shape {
  uint64_t samples = 0;
  uint64_t tasks = 0;         // alive
  uint64_t mapped_pages = 0;  // of all tasks; of one region at most kMostCounted
  uint64_t live_pages = 0;    // with contents of their own
  static constexpr uint64_t kMostCounted = 4096;
  void Add(const Shape& other);
  friend bool operator==(const Shape&, const Shape&) = default;
};
// Adds what there is now.
void Sample(const Session& session, Shape* shape);

struct CaseRecord {
  uint64_t number = 0;
  uint64_t drawn = 0;  // operations
  RunResult result;
  Shape shape;
  bool rechecked = false;
  double seconds = 0;  // of the host; no part of what is compared
};

struct Summary {
  RunStats stats;
  LedgerRows ledger;
  uint64_t hash = 0;
  uint64_t cases = 0;
  uint64_t rechecked = 0;
  uint64_t failed = 0;
  uint64_t drawn = 0;
  Shape shape;
  void Add(const CaseRecord& record);
  void Add(const Summary& other);
};

// One line each.
std::string EncodeRecord(const CaseRecord& record);
// InvalidArgument: it is not what EncodeRecord writes.
absl::StatusOr<CaseRecord> DecodeRecord(absl::string_view line);

nlohmann::ordered_json SummaryJson(const Summary& summary);
absl::StatusOr<Summary> SummaryOfJson(const nlohmann::ordered_json& json);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_SUMMARY_H_
