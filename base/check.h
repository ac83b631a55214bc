// base/check.h: the three grades of assertion, with their price list.
//
// WHAT     | macro       | when on          | may cost  | for                               |
//          |-------------|------------------|-----------|-----------------------------------|
//          | CHECK       | always           | O(1)      | preconditions, corrupt state      |
//          | DCHECK      | checked builds   | O(1)      | step invariants                   |
//          | VERIFY(obj) | --config=verify  | O(object) | an object's invariants at a label |
//          A failed one ends in vm_panic, which whoever links the program supplies.
//
//          vm_panic is one of the few symbols the deployable object leaves undefined (design D2):
//          on real L4 it writes to the console and halts; in the harness it abandons the simulated
//          machine and reports a crash.
// SEE      house.md 4.8; vmserver/deployable_symbols.txt.

#ifndef BASE_CHECK_H_
#define BASE_CHECK_H_

// Ends the machine. `what` names the broken condition; all strings live for ever.
extern "C" [[noreturn]] void vm_panic(const char* file, int line, const char* what);

#define CHECK(condition)                                       \
  (__builtin_expect(static_cast<bool>(condition), 1) ? (void)0 \
                                                     : vm_panic(__FILE__, __LINE__, #condition))

#ifdef UVM_VERIFY
#define DCHECK(condition) CHECK(condition)
// `object.Verify(label)` panics with the label and the first counterexample.
#define VERIFY(object, label) (object).Verify(label)
#else
#define DCHECK(condition) (true ? (void)0 : (void)static_cast<bool>(condition))
#define VERIFY(object, label) (void)0
#endif

// Control must not get here: an enum outside its range, a stub that should be unreachable.
#define UNREACHABLE(what) vm_panic(__FILE__, __LINE__, what)

#endif  // BASE_CHECK_H_
