// proptests/engine/mutant_file.h: deliberate bugs kept as data, and the sources that have them
// all.
//
// WHAT     A mutant file is a JSON list of entries that each replace one piece of one source file.
//          Rewrite makes of a source file one that contains all of its mutants, each chosen at run
//          time by its number:
//              find: "a < b"          ->  (::selected_mutant == 7 ? (a <= b) : (a < b))
//              find: "Put(page);"     ->  { if (::selected_mutant == 7) { } else { Put(page); } }
//          so that hundreds of them cost one build. Whatever is not an expression or whole
//          statements inside one function is refused, with file and line.
// INVARIANTS  With number 0 the rewritten file means what the original does.
// SEE      design.md section 5, "Mutant files"; facts/verification.md 5.

#ifndef PROPTESTS_ENGINE_MUTANT_FILE_H_
#define PROPTESTS_ENGINE_MUTANT_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proptests/engine/mechanical.h"

namespace proptests {

struct Mutant {
  std::string id;       // of a-z, 0-9 and _; unique among all lists of a build
  std::string file;     // from the root of the tree
  std::string find;     // occurs exactly once there
  std::string replace;  // equal to `find`: the do-nothing mutant, which nobody must notice
  std::string breaks;   // what goes wrong, for people
  std::string rule;     // who should notice: a rule's name, or several with | between; may be empty
  std::string equivalent;  // not empty: why nobody can notice
  uint32_t number = 0;     // what selects it: 1 for the first of the first list
  int line = 0;            // in the mutant file, of its "id"; 0: unknown
  bool DoesNothing() const { return find == replace; }
};

// Errors name `name` (the file's) and the entry: no JSON, a key that is missing, unknown or of
// another type, an id that is malformed or taken.
absl::StatusOr<std::vector<Mutant>> ParseMutants(std::string_view text, const std::string& name);
// The lists one after the other, numbered. Errors: an id that occurs twice.
absl::StatusOr<std::vector<Mutant>> JoinMutants(const std::vector<std::vector<Mutant>>& lists);

// The source with the mutants whose file is `path`, and with the edits, ordered by place (the
// switches of mechanical mutants), in what is original. Mutants may share their text or contain one
// another. Errors: "path:line: id: ..." when the text is not found once, does not lie within one
// function, is neither an expression nor statements, or overlaps another's.
absl::StatusOr<std::string> Rewrite(const std::string& path, const std::string& source,
                                    const std::vector<Mutant>& mutants,
                                    const std::vector<Edit>& edits = {});

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_MUTANT_FILE_H_
