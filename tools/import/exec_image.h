// tools/import/exec_image.h: what execve puts into memory: read from /proc/PID/maps, or derived
// from program headers.
//
// WHAT     ObservedImage is the process's own list of regions at the moment of exec. ElfLayout is
// what an executable
//          file says about its segments, to be placed by a load bias that the caller finds out.

#ifndef TOOLS_IMPORT_EXEC_IMAGE_H_
#define TOOLS_IMPORT_EXEC_IMAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tools {

// One region of an address space; start and end in bytes, page aligned.
struct ImageRegion {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t prot = 0;  // linux_abi::kProt*
  bool shared = false;
  uint64_t offset = 0;    // in the file
  std::string name = {};  // path, "[stack]", or empty for anonymous memory
};

struct ObservedImage {
  std::vector<ImageRegion> regions;  // ascending
  uint64_t valgrind_regions = 0;     // regions left out because they are Valgrind's own
};

// Parses the text of /proc/PID/maps. An error names the line that is not of its form.
absl::StatusOr<std::vector<ImageRegion>> ParseMaps(absl::string_view text);

// Leaves out of `regions` what belongs to Valgrind: its tool (the executable `tool_path` and the
// memory behind it), its heap, and the host's own stack and vdso, which the program under Valgrind
// never sees.
ObservedImage WithoutValgrind(const std::vector<ImageRegion>& regions, absl::string_view tool_path);

struct ElfLayout {
  std::vector<ImageRegion> segments;  // before the load bias is added
  bool position_independent = false;
  uint64_t relro_start =
      0;  // what the loader write-protects at start-up, page aligned; empty if none
  uint64_t relro_end = 0;
  std::string interpreter;  // path of the loader; empty for a static program
};

// Reads the program headers of an amd64 ELF file. An error names the file and what is wrong with
// it.
absl::StatusOr<ElfLayout> ReadElfLayout(const std::string& path);

// The last component of a path.
std::string BaseName(absl::string_view path);

}  // namespace tools

#endif  // TOOLS_IMPORT_EXEC_IMAGE_H_
