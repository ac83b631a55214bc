// Runs the fuzzer's entry over the files named on the command line, and over every prefix of the
// small ones.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  constexpr size_t kSmall = 2000;
  size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.good() && text.empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    size_t from = text.size() <= kSmall ? 0 : text.size();
    for (size_t n = from; n <= text.size(); ++n, ++inputs) {
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), n);
    }
  }
  std::printf("%zu inputs\n", inputs);
  return inputs == 0 ? 1 : 0;
}
