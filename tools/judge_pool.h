// tools/judge_pool.h: judges of mutants, some of them at a time, each a process that prints a
// verdict.
//
// WHAT     Whoever judges keeps its mutants in a list and names each by its number there.
// LOCKS    One thread.
// SEE      proptests/mutants/judge_main.cc for what a judge is given and says.

#ifndef TOOLS_JUDGE_POOL_H_
#define TOOLS_JUDGE_POOL_H_

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "tools/process.h"

namespace tools {

class JudgePool {
 public:
  // At most `jobs` at a time; what they say goes through files of `work`, which outlives the pool.
  JudgePool(const WorkDirectory* work, uint64_t jobs) : work_(work), jobs_(jobs) {}

  bool full() const { return running_.size() >= jobs_; }
  bool idle() const { return running_.empty(); }
  // `words`: the judge, the mutant's id, and what else the judge wants.
  absl::Status Start(size_t number, const Words& words);

  struct Verdict {
    size_t number;
    nlohmann::json json;  // an object
  };
  // Waits until one ends. REQUIRES: !idle(). Errors: it said nothing.
  absl::StatusOr<Verdict> Wait();

 private:
  struct Judge {
    size_t number;
    std::string id;
  };
  std::string FileOf(const char* what, size_t number) const;
  absl::StatusOr<Verdict> Read(const Judge& judge) const;

  const WorkDirectory* const work_;
  const uint64_t jobs_;
  std::map<pid_t, Judge> running_;
};

// The middle one of the numbers, 0 when there is none.
template <typename Number>
Number Median(std::vector<Number> numbers) {
  if (numbers.empty()) return 0;
  std::sort(numbers.begin(), numbers.end());  // total order: numbers
  return numbers[numbers.size() / 2];
}

}  // namespace tools

#endif  // TOOLS_JUDGE_POOL_H_
