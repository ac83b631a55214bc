#include "conform/uvm_differences.h"

namespace conform {

namespace {

constexpr UvmDefect kDefects[] = {
    {"B1", "copy-of-shared-keeps-sharing"}, {"B3", "grown-shared-memory-works"},
    {"B4", "mlockall-failure-restores"},    {"B5", "free-of-wired-is-refused"},
    {"B14", "mmap-error-keeps-references"}, {"B15", "unwire-without-translation"},
    {"N5", "remap-into-own-hole"},          {"N7", "topdown-search-from-the-end"},
    {"N8", "topdown-search-lowest-hole"},
};

}  // namespace

absl::Span<const UvmDefect> UvmDefects() { return kDefects; }

const char* NamedUvmDefect(absl::string_view defect) {
  for (const UvmDefect& d : kDefects) {
    if (d.defect == defect) return d.name;
  }
  return nullptr;
}

}  // namespace conform
