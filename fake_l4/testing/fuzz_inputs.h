// fake_l4/testing/fuzz_inputs.h: a libFuzzer target as an ordinary test.
//
// WHAT     Runs LLVMFuzzerTestOneInput, which the program brings along, over files and over bytes
//          drawn from a generator of fixed seed. A failing input ends the program.

#ifndef FAKE_L4_TESTING_FUZZ_INPUTS_H_
#define FAKE_L4_TESTING_FUZZ_INPUTS_H_

#include <cstdint>

namespace fake_l4::testing {

struct DrawnInputs {
  const char* stream;  // of the generator
  int count;
  uint64_t longest;  // bytes
};

// For main: the files are those named on the command line. Returns its exit code: 1 when a file
// cannot be read or is empty.
int RunFuzzInputs(int argc, char** argv, const DrawnInputs& drawn);

}  // namespace fake_l4::testing

#endif  // FAKE_L4_TESTING_FUZZ_INPUTS_H_
