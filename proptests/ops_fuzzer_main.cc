#include "fake_l4/testing/fuzz_inputs.h"

int main(int argc, char** argv) {
  return fake_l4::testing::RunFuzzInputs(argc, argv,
                                         {.stream = "ops_fuzzer", .count = 100, .longest = 1600});
}
