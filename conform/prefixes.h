// conform/prefixes.h: how far recorded sequences agree with the manual's rules, as values.
//
// WHAT     A file of prefixes says, for sequences of recordings beside it, how many leading
//          operations leave page states as a model does that ANDs rights with the source's, never
//          shifts on leading holes and never extends rights on Unmap, but grants and overmaps as
//          the recorded database does. The parser knows the format and nothing else.
// SEE      prefixes_l4.h for what is made of it.
#ifndef CONFORM_PREFIXES_H_
#define CONFORM_PREFIXES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace conform {

struct Prefix {
  std::string recording;  // file name without its ending
  uint32_t sequence = 0;
  uint32_t operations = 0;
  int line = 0;
};

struct PrefixFile {
  std::string file;
  std::vector<Prefix> prefixes;
  // M of `agree N of M`: each line is a check line.
  uint64_t Count() const { return prefixes.size(); }
};

// Whether a text is one of prefixes, by its first line.
bool LooksLikePrefixes(absl::string_view text);

// Errors: "FILE:LINE: expected ..., found ...".
absl::StatusOr<PrefixFile> ParsePrefixes(absl::string_view file, absl::string_view text);

}  // namespace conform

#endif  // CONFORM_PREFIXES_H_
