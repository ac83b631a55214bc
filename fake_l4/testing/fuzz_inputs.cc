#include "fake_l4/testing/fuzz_inputs.h"

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/prng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fake_l4::testing {

int RunFuzzInputs(int argc, char** argv, const DrawnInputs& drawn) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>()};
    if (bytes.empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  base::Prng prng(1, drawn.stream);
  for (int i = 0; i < drawn.count; ++i) {
    std::vector<uint8_t> bytes(1 + prng.Below(drawn.longest));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(prng.Below(256));
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%d files, %d drawn inputs\n", argc - 1, drawn.count);
  return 0;
}

}  // namespace fake_l4::testing
