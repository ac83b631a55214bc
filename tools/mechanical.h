// tools/mechanical.h: vmsim mutants --mechanical.
//
// WHAT     Builds the judge, asks it once which mutants its lanes reach and which lanes saw them
//          give another value, and judges all of those, or a sample, by these lanes. One that is
//          reached and never gives another value survives without being run.
// SEE      proptests/mutants/README.md.

#ifndef TOOLS_MECHANICAL_H_
#define TOOLS_MECHANICAL_H_

#include <cstdint>
#include <string>

namespace tools {

struct MechanicalFlags {
  std::string ids;      // only these, with commas between; empty: all
  std::string under;    // only files whose path begins so
  std::string state;    // directory that keeps what is known; empty: none
  uint64_t sample = 0;  // 0: all
  uint64_t seconds = 60;
  uint64_t seed = 1;
  uint64_t jobs = 1;
  bool list = false;
  bool json = false;
};

// Returns the exit code.
int JudgeMechanical(const MechanicalFlags& flags);

}  // namespace tools

#endif  // TOOLS_MECHANICAL_H_
