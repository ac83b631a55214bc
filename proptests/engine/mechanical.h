// proptests/engine/mechanical.h: small bugs made by rule, everywhere in a source.
//
// WHAT     A site is one operator, literal or call inside a function; its variants are what the
//          rule puts there:
//              <  <=  >  >=       the boundary moved; the comparison the other way round
//              ==  !=  !x         the opposite
//              +  -  *  /  %  <<  >>  &  |   another operator; also in += and the like, ++ and --
//              7  true            one more, one less; the opposite
//              Put(page);         nothing
//          A site needs no types: the operator stays where it is, and an object put between it and
//          its right operand carries the site's number (proptests/mutants/switches.h), so that
//          precedence is the original's and the compiler decides which variants make sense.
// INVARIANTS  Sites of a source are in the order of their text, and so numbered.
// SEE      mutant_file.h (bugs told one by one); docs/decisions/0016.

#ifndef PROPTESTS_ENGINE_MECHANICAL_H_
#define PROPTESTS_ENGINE_MECHANICAL_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace proptests {

struct Site {
  enum class Kind : uint8_t { kBinary, kCompound, kNot, kStep, kNumber, kBool, kCall };
  Kind kind = Kind::kBinary;
  size_t begin = 0;  // of the token, of a call the whole statement
  size_t end = 0;
  std::string text;                   // of the token; of a call its name
  std::vector<std::string> variants;  // what takes its place: one or two; "" for a call
};

// The names of the bit-fields that a source declares: no reference binds to them, and so they have
// no mutants of += and the like.
std::set<std::string> BitFieldsOf(std::string_view source);

// The sites of a source in the house's format: a binary operator stands between blanks, a
// template's bracket does not. None lie in assertions, attributes or constants of the language.
std::vector<Site> FindSites(std::string_view source, const std::set<std::string>& bit_fields = {});

// Whether mutants are made of a file by rule: the system, without what only looks at it
// (invariants, dumps), which would be a mutant of the judge.
bool HasMechanicalMutants(std::string_view path);

// One piece of the text that becomes another.
struct Edit {
  size_t at = 0;
  size_t erased = 0;  // characters
  std::string text;
  bool closes = false;  // belongs to what stands before `at`
  size_t until = 0;     // where what it opens ends; 0: it opens nothing
};

// The name of a file's array of switches: "uvm_map_cc".
std::string SwitchArray(std::string_view path);
// The edits that give each site its switch, ordered by place.
std::vector<Edit> SwitchEdits(std::string_view path, const std::vector<Site>& sites);

// How a variant is called: "uvm/map.cc:123:17:<=", "uvm/map.cc:200:3:no SetWired".
std::string VariantId(std::string_view path, std::string_view source, const Site& site,
                      size_t variant);
// The source with one variant in place.
std::string WithVariant(std::string_view source, const Site& site, size_t variant);
// The id of the variant that makes of `find`, which occurs once, `replace`; empty: none does.
std::string IdOfChange(std::string_view path, std::string_view source, std::string_view find,
                       std::string_view replace);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_MECHANICAL_H_
