// conform/mach_recording.h: what a real GNU Mach answered to vm_*() calls, as values.
//
// WHAT     Two kinds of files. Sequences: operations by and on up to six tasks, each with its
//          answer, the maps of all live tasks now and then, and the contents at the end. Single
//          calls: a layout, what a load and a store do under each protection, then calls with odd
//          arguments, each on a fresh task of that layout. The parser knows the formats and nothing
//          else: no kernel, no rule of memory. Words are the recorded machine's 32-bit words.
// STATES   of the parser:  sequences: (`S` -> (`O` | `M`)* -> (`M` | `C`)* -> `E`)*.  Single calls:
// `BEGIN`
//          -> `L`* -> `=>` -> `F`* -> (`X` -> `=>`*)* -> `DONE`; remarks of the recorder (`#`) and
//          of the recorded kernel's console may stand between `X` lines.
// INVARIANTS  Operations are numbered from 0 without gaps; regions of a map ascend and do not
//          overlap.
// SEE      README.md for the tables of lines and fields; design.md section 5.
#ifndef CONFORM_MACH_RECORDING_H_
#define CONFORM_MACH_RECORDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace conform {

enum class MachCall : uint8_t {
  kVmAllocate,
  kVmMap,
  kVmDeallocate,
  kVmProtect,
  kVmInherit,
  kVmWire,
  kVmWireAll,
  kVmCopy,
  kVmRead,
  kVmWrite,
  kVmRegion,
  kVmMsync,
  kTaskCreate,
  kTaskTerminate,
  kPeek,
  kPoke,
};
const char* NameOf(MachCall call);

// What stands where the task, or the host, belongs.
enum class MachTarget : uint8_t { kTask, kNull, kDead, kHost };
enum class MachHost : uint8_t { kPrivileged, kUnprivileged, kTask };

// An operation's operands as the file has them; those its call does not have are 0.
struct MachOp {
  MachCall call = MachCall::kVmAllocate;
  MachTarget target = MachTarget::kTask;
  MachHost host = MachHost::kPrivileged;
  uint32_t task = 0;  // of a sequence: a slot, 0 to 5
  uint32_t addr = 0;  // vm_copy: the source
  uint32_t size = 0;
  uint32_t to = 0;  // vm_copy
  uint32_t mask = 0;
  uint32_t offset = 0;
  uint32_t data_offset = 0;  // vm_write: of the data from the start of a page
  uint32_t value = 0;        // vm_write, poke
  uint32_t cur = 0;
  uint32_t max = 0;
  uint32_t inherit = 0;  // task_create: 1 = with memory
  uint32_t prot = 0;
  uint32_t access = 0;
  uint32_t flags = 0;
  bool anywhere = false;
  bool copy = false;
  bool set_max = false;
  bool wires_first = false;  // task_create: after pages 0, 1 and 10 of the layout were wired
};
// As the recording writes it, without the operation's number.
std::string ToString(const MachOp& op);

struct MachRegion {
  uint32_t start = 0;
  uint64_t size = 0;  // bytes
  uint32_t cur = 0;
  uint32_t max = 0;
  uint32_t inherit = 0;
  uint32_t shared = 0;
};
using MachMap = std::vector<MachRegion>;

// What came back; fields that the call does not have, or not on failure, are 0.
struct MachResult {
  uint32_t code = 0;            // kern_return_t; of peek and poke: of the exception, 0 = none
  uint32_t addr = 0;            // after the call; vm_region: of the region
  uint32_t size = 0;            // vm_region; vm_read: bytes read
  uint32_t offset = 0;          // single vm_read: of the data from the start of a page
  uint32_t value = 0;           // peek
  std::vector<uint32_t> words;  // vm_read: the first of each page of the data, as far as listed
  MachRegion region;            // vm_region
  uint32_t child = 0;           // task_create in a sequence: a slot
};

// One step of a sequence.
struct MachStep {
  enum class Kind : uint8_t { kOperation, kMap, kContents };
  Kind kind = Kind::kOperation;
  int line = 0;
  uint32_t number = 0;  // of the operation, or of the one before
  MachOp op;            // kOperation
  MachResult result;
  uint32_t task = 0;  // kMap, kContents: a slot
  MachMap map;        // kMap
  // kContents: the word at an address, or the code of the exception.
  struct Word {
    uint32_t addr = 0;
    bool faulted = false;
    uint32_t value = 0;
  };
  std::vector<Word> words;
};

struct MachSequence {
  uint32_t number = 0;
  int line = 0;
  std::vector<MachStep> steps;
};

// Part of the layout: pages counted from kMachLayoutBase, each with its number in its first word.
inline constexpr uint32_t kMachLayoutBase = 0x10000000;
inline constexpr uint32_t kMachPageBytes = 4096;
struct MachLayout {
  uint32_t page = 0;
  uint32_t pages = 0;
  uint32_t cur = 0;
  uint32_t max = 0;
  uint32_t inherit = 0;
  uint32_t word = 0;  // first word of the first page; the next page's is one more
};

struct MachAccess {
  int line = 0;
  uint32_t cur = 0;
  bool written_before = false;
  bool write = false;
  uint32_t code = 0;  // of the exception, 0 = none
};

// A map after a single call.
struct MachMapAfter {
  enum class Whose : uint8_t { kTask, kChild, kParent };
  Whose whose = Whose::kTask;
  int line = 0;
  MachMap map;
};

struct MachSingleCall {
  uint32_t number = 0;
  int line = 0;
  MachOp op;
  MachResult result;
  std::vector<MachMapAfter> maps;  // none of kTask: the attributes of all pages are the layout's
  int words_line = 0;              // 0: no line of words
  std::vector<std::optional<uint32_t>> words;  // of the destination's pages; none: not readable
};

struct MachRecording {
  std::string file;
  std::vector<MachSequence> sequences;
  // Single calls.
  std::vector<MachLayout> layout;
  MachMapAfter layout_map;
  std::vector<MachAccess> accesses;
  std::vector<MachSingleCall> calls;

  // M of `agree N of M`: one step an `O`, `M`, `C`, `F`, `X` and `=>` line.
  uint64_t Count() const;
};

// Errors: "FILE:LINE: expected ..., found ...".
absl::StatusOr<MachRecording> ParseMachRecording(absl::string_view file, absl::string_view text);

}  // namespace conform

#endif  // CONFORM_MACH_RECORDING_H_
