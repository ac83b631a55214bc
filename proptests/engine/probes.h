// proptests/engine/probes.h: which rare branches and which cases of a fault runs have reached.
//
// WHAT     Names and reasons for the counts in RunStats: every probe of base/probes.h, and every
//          cell of the matrix {anon, object, zero} x {private, shared} x {read, write} x {resident,
//          absent, lent, busy, wired} x {owed a copy or not}. A cell that no run can reach has the
//          reason why.
// SEE      proptests/probes_test.cc: what fixed seeds must reach.

#ifndef PROPTESTS_ENGINE_PROBES_H_
#define PROPTESTS_ENGINE_PROBES_H_

#include <cstdint>
#include <string>

#include "base/probes.h"
#include "proptests/engine/session.h"

namespace proptests {

const char* ProbeName(base::Probe probe);     // "FaultRestarted"
const char* ProbeMeaning(base::Probe probe);  // "a fault looked everything up again"
// "anon private write lent owed".
std::string FaultCaseName(uint32_t cell);
// Null: runs can reach it. Else why they cannot.
const char* WhyNoFault(uint32_t cell);

// "  probes  40 of 45 hit, 38 of 41 cases of a fault\n"; with kYes a line for each as well.
enum class EachProbe : uint8_t { kNo, kYes };
std::string ProbesText(const RunStats& stats, EachProbe each);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_PROBES_H_
