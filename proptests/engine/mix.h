// proptests/engine/mix.h: what campaigns draw from, as a file.
//
// WHAT     A mix says how often each kind of operation occurs and how large tasks and maps are. One
//          line a fact, `#` starts a comment:
//              tasks 8          alive at once, at most: 1 to 48
//              pages 64         of a typical map: 1 to 4096
//              files 2          that may be mapped: 1 to 64
//              threads 1        of a task, at most: 1 to 4
//              op mmap 16       a weight; kinds without a line never occur
// SEE      proptests/mixes/standard.mix, which equals StandardMixFile().

#ifndef PROPTESTS_ENGINE_MIX_H_
#define PROPTESTS_ENGINE_MIX_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proptests/engine/generator.h"

namespace proptests {

struct Mix {
  uint64_t tasks = 8;
  uint64_t pages = 64;
  uint64_t files = 2;
  uint64_t threads = 1;
  Swarm weights;
  friend bool operator==(const Mix&, const Mix&) = default;
};

// The default of every campaign.
Mix StandardMixFile();
// Errors: the first line that is wrong, as "NAME:LINE: expected ...".
absl::StatusOr<Mix> ParseMix(absl::string_view text, absl::string_view name);
// Without comments; parses back.
std::string FormatMix(const Mix& mix);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_MIX_H_
