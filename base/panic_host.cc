// vm_panic for host programs without a simulated machine: says what broke and aborts.

#include <cstdio>
#include <cstdlib>

#include "base/check.h"

extern "C" [[noreturn]] void vm_panic(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
  std::abort();
}
