// proptests/mutants/sites.h: the mechanical mutants of a build, and which one is on.
//
// WHAT     The table is written by the build (rewrite_main.cc). Environment: UVM_MUTANT, the number
//          of the mutant that is on; UVM_MUTANT_REACH, a file that takes what is reached.
// SEE      switches.h; proptests/engine/mechanical.h.

#ifndef PROPTESTS_MUTANTS_SITES_H_
#define PROPTESTS_MUTANTS_SITES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proptests/mutants/switches.h"

// The number of the mutant that is on, 0: none. Set by SelectMutant.
extern unsigned selected_mutant;

namespace mutants {

struct Variant {
  const char* id;  // "uvm/map.cc:123:17:<="
  mutant_switch::Switch* at;
  unsigned char variant;  // 1 or 2
};
extern const unsigned kSites;
// The last one has no id.
extern const Variant kVariants[];

// The number of kVariants[0]; the lists' mutants have smaller ones.
constexpr unsigned kFirstMechanical = 1000000;

void SelectMutant(unsigned number);

// From now on this process and its children note in the file what they reach, a byte a site.
void NoteReach(const std::string& path);
// What such a file says: for each of kVariants, whether a run came there, and whether the value
// would once have been another.
struct Reached {
  bool there = false;
  bool differs = false;
};
std::vector<Reached> ReadReach(const std::string& path);

}  // namespace mutants

#endif  // PROPTESTS_MUTANTS_SITES_H_
