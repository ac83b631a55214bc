#include "fake_l4/testing/fuzz_inputs.h"

int main(int argc, char** argv) {
  return fake_l4::testing::RunFuzzInputs(
      argc, argv, {.stream = "system_call_fuzzer", .count = 300, .longest = 600});
}
