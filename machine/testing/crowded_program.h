// machine/testing/crowded_program.h: a program that wants more memory than a small machine has.
//
// WHAT     Two tasks, the second a fork of the first, store to and load from random pages. What
//          they see depends on nothing but the seed, so runs on different machines are compared.
// SEE      machine/swap_devices_test.cc, machine/memory_events_test.cc.

#ifndef MACHINE_TESTING_CROWDED_PROGRAM_H_
#define MACHINE_TESTING_CROWDED_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "machine/machine.h"
#include "traces/op.h"

namespace machine::testing {

// Nothing crashed or is stuck, and UVM's invariants hold. Reports to GoogleTest.
void ExpectSound(Machine* machine);

struct CrowdedProgram {
  const char* stream = "crowded";  // of the random numbers, with `seed`
  uint64_t seed = 1;
  uint64_t pages = 700;  // that the program uses
  int steps = 2500;      // accesses
  int fork_at = 1500;    // the step before which the second task is born
  int check_every = 0;   // steps between two calls of ExpectSound; 0: none before the end
};

// Performs the program, each operation after machine->MeetEvent, and returns what each gave.
std::vector<traces::Outcome> Play(const CrowdedProgram& program, Machine* machine);

}  // namespace machine::testing

#endif  // MACHINE_TESTING_CROWDED_PROGRAM_H_
