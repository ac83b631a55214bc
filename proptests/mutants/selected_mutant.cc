// Which mutant is on. The environment is read before main, so that nothing is built under two.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "proptests/mutants/sites.h"
#include "proptests/mutants/switches.h"

unsigned selected_mutant = 0;

namespace mutants {
namespace {

// What is known of each site, shared with children; null: nobody wants to know.
unsigned char* known = nullptr;

// Runs as early as any initialiser: what is reached before it counts for no mutant.
struct FromEnvironment {
  FromEnvironment() {
    if (const char* reach = std::getenv("UVM_MUTANT_REACH")) NoteReach(reach);
    if (const char* number = std::getenv("UVM_MUTANT")) {
      SelectMutant(static_cast<unsigned>(std::strtoul(number, nullptr, 10)));
    }
  }
} from_environment;

}  // namespace

void SelectMutant(unsigned number) {
  if (selected_mutant >= kFirstMechanical) {
    kVariants[selected_mutant - kFirstMechanical].at->flag = 0;
  }
  selected_mutant = number;
  if (number < kFirstMechanical) return;
  const Variant& variant = kVariants[number - kFirstMechanical];
  variant.at->flag = variant.variant;
}

void NoteReach(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT, 0644);
  if (file < 0 || ftruncate(file, kSites + 1) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  void* memory = mmap(nullptr, kSites + 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    std::perror(path.c_str());
    std::abort();
  }
  close(file);
  known = static_cast<unsigned char*>(memory);
  for (const Variant* variant = kVariants; variant->id != nullptr; ++variant) {
    variant->at->flag = mutant_switch::kNote;
  }
}

std::vector<Reached> ReadReach(const std::string& path) {
  std::vector<unsigned char> bytes(kSites + 1);
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    const size_t read = std::fread(bytes.data(), 1, bytes.size(), file);
    std::memset(bytes.data() + read, 0, bytes.size() - read);
    std::fclose(file);
  }
  std::vector<Reached> reached;
  for (const Variant* variant = kVariants; variant->id != nullptr; ++variant) {
    const unsigned byte = bytes[variant->at->site] >> (variant->variant - 1);
    reached.push_back({(byte & mutant_switch::kThere) != 0, (byte & mutant_switch::kDiffers) != 0});
  }
  return reached;
}

}  // namespace mutants

namespace mutant_switch {

void Note(Switch* at, unsigned variants) {
  const unsigned all = mutants::known[at->site] | variants;
  mutants::known[at->site] = static_cast<unsigned char>(all);
  // Nothing more can be learned here.
  if ((all & 3) == (all >> 2)) at->flag = 0;
}

}  // namespace mutant_switch
