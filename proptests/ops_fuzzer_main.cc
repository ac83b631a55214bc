// Runs the fuzzer's entry over the files named on the command line, then over bytes drawn from a
// generator of fixed seed.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/prng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
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
  constexpr int kDrawn = 100;
  base::Prng prng(1, "ops_fuzzer");
  for (int i = 0; i < kDrawn; ++i) {
    std::vector<uint8_t> bytes(1 + prng.Below(1600));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(prng.Below(256));
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%d files, %d drawn inputs\n", argc - 1, kDrawn);
  return 0;
}
