// conform/prefixes_l4.h: recorded prefixes against the simulated kernel.
//
// WHAT     Each line of a file of prefixes is checked by three runs of its sequence, comparing page
//          states only: under the profile with the manual's rights and hole rules and the
//          database's grant and overmap rules (`manual-rights-new-mdb` for recordings newmdb_*,
//          `manual-rights-old-mdb` for oldmdb_*) exactly the recorded number of leading operations
//          agrees with the recording; and the plain manual profile agrees with it as far, or up to
//          the first operation where the two profiles themselves differ.
// SEE      prefixes.h; fake_l4/quirks.h.
#ifndef CONFORM_PREFIXES_L4_H_
#define CONFORM_PREFIXES_L4_H_

#include <string>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "conform/outcome.h"
#include "conform/prefixes.h"
#include "conform/recording.h"

namespace conform {

// By name, as a prefix gives it.
using Recordings = absl::btree_map<std::string, Recording>;

// The profile for the prefixes of a recording; null when there is none.
const fake_l4::Quirks* PrefixProfile(absl::string_view recording);

// REQUIRES: `recordings` has every recording that the prefixes name.
Outcome RunPrefixes(const PrefixFile& file, const Recordings& recordings);

}  // namespace conform

#endif  // CONFORM_PREFIXES_L4_H_
