// fake_l4/manual_program.h: a root task as a reader of the X.2 manual would write it, twice: in C
// and in C++.
//
// WHAT     Both programs use only what the manual describes, by its names, and print the same
//          transcript. What an L4 kernel does not supply they call the board: a console, addresses
//          of functions as the simulated machine knows them, loads and stores, devices, an
//          illegal instruction. On a real machine most of it would be nothing but casts.
// SEE      manual_program_test.cc, which runs them; X.2 manual.
#ifndef FAKE_L4_MANUAL_PROGRAM_H_
#define FAKE_L4_MANUAL_PROGRAM_H_

#ifdef __cplusplus
extern "C" {
#endif

// Prints one line.
void BoardPrint(const char* line);
// The address at which a thread has to start to run `function`, in every address space.
unsigned long BoardEntry(void (*function)(void));
// Stores to, and loads from, the running thread's address space; may cause page faults.
void BoardStore(unsigned long address, const void* from, unsigned long size);
void BoardLoad(unsigned long address, void* to, unsigned long size);
// A device's interrupt line goes up.
void BoardInterrupt(unsigned number);
// From now on it does so by itself, every so many microseconds, `ticks` times.
void BoardTimer(unsigned number, unsigned long period, unsigned long ticks);
// Executes an instruction that the processor does not know. Counts the attempts.
void BoardIllegalInstruction(int* attempts);

// The root task. `skip` is a list of parts not to run, as " grant strings ".
void ManualProgramInC(const char* skip);
void ManualProgramInCxx(const char* skip);

#ifdef __cplusplus
}
#endif

#endif  // FAKE_L4_MANUAL_PROGRAM_H_
