// vm_panic where there is a simulated machine: it ends that machine, not the program that checks
// it.

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "fake_l4/kernel.h"

extern "C" [[noreturn]] void vm_panic(const char* file, int line, const char* what) {
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: CHECK failed: %s", file, line, what);
  if (fake_l4::Kernel::Current() != nullptr) fake_l4::Kernel::Crash(text);
  std::fprintf(stderr, "%s\n", text);
  std::abort();
}
