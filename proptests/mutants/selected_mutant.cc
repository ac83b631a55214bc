// Which mutant is on: the environment variable UVM_MUTANT, read before main, so that nothing is
// built under two.

#include <cstdlib>

namespace {

unsigned FromEnvironment() {
  const char* text = std::getenv("UVM_MUTANT");
  return text == nullptr ? 0 : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

}  // namespace

extern unsigned selected_mutant;
unsigned selected_mutant = FromEnvironment();
