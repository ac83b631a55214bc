// conform/uvm_recording.h: what the real NetBSD UVM did to sequences of operations, as values.
//
// WHAT     A recording is a text file: sequences from an empty machine, each a list of lines in the
//          order of the file: operations with their results, what changed in the address maps (E,
//          M), in the counters (C) and in the pages (V) after them, remarks, and at the end the
//          contents of every page. The parser knows the format and nothing else: not what an
//          operation does, nor whether a result is right.
// STATES   of the parser:  `# boot` -> (`seq` -> `C` -> operations and what belongs to them ->
//          `final-views` -> V* -> `final-contents` -> X* -> C -> `teardown` -> operations and what
//          belongs to them -> `end`)*. PANIC, CRASH or HANG, then ABNORMAL and `end`, may come
//          anywhere after `seq`. Empty lines stand before `seq`, PANIC and CRASH.
// INVARIANTS  Operations of a sequence are numbered 0, 1, 2, ... without gaps.
// SEE      README.md for the table of lines and fields; design.md section 5, "Conformance counts".
#ifndef CONFORM_UVM_RECORDING_H_
#define CONFORM_UVM_RECORDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "conform/uvm_op.h"

namespace conform {

// `<k> OP args -> RESULT`
struct UvmOpLine {
  uint32_t number = 0;
  UvmOp op;
  UvmResult result;
};

struct UvmAmap {
  uint64_t refs = 0;
  uint64_t slots = 0;  // that are in use inside the entry
  bool shared = false;
  bool operator==(const UvmAmap&) const = default;
};

// E+: an entry of a map that is new or changed.
struct UvmEntry {
  uint64_t space = 0;
  uint64_t start = 0, end = 0;
  uint64_t prot = 0, max = 0;
  char inherit = 'c', advice = 'n';  // letters of the recording
  uint64_t wired = 0;
  bool copy_on_write = false;
  bool needs_copy = false;
  bool no_merge = false;
  std::optional<int64_t> object;  // absent: none; -1: one of the recorder's own
  uint64_t offset = 0;            // bytes
  std::optional<UvmAmap> amap;
};
// As the recording writes it, from the space on.
std::string ToString(const UvmEntry& entry);

// E-: the entry that started there is gone.
struct UvmEntryGone {
  uint64_t space = 0;
  uint64_t start = 0;
};

// M: sizes of one map. Pages, but for `entries`.
struct UvmMapCounters {
  uint64_t space = 0;
  uint64_t entries = 0, size = 0, resident = 0, wired = 0;
  bool operator==(const UvmMapCounters&) const = default;
};

// C: counters of the machine. Pages or slots, but for anons and amaps.
struct UvmCounters {
  uint64_t free = 0, active = 0, inactive = 0, wired = 0;
  uint64_t swap_in_use = 0, swap_only = 0, anons = 0, amaps = 0, swap_available = 0;
  bool operator==(const UvmCounters&) const = default;
};
std::string ToString(const UvmCounters& counters);

// V: a letter for each page of the entry: of its translation, and of what is behind it.
struct UvmView {
  uint64_t space = 0;
  uint64_t start = 0;
  std::string translations;
  std::string pages;
};

// X, L and STORE: the bytes at page offsets 0 and 0x800, or the error of reading them.
struct UvmPageBytes {
  int error = 0;
  uint8_t first = 0, middle = 0;
  bool operator==(const UvmPageBytes&) const = default;
};
std::string ToString(const UvmPageBytes& bytes);
struct UvmContents {
  uint64_t space = 0;
  uint64_t start = 0;
  std::vector<UvmPageBytes> pages;
};
struct UvmLoaned {
  uint64_t id = 0;
  std::vector<UvmPageBytes> pages;
};
struct UvmStore {
  uint64_t object = 0;
  std::vector<UvmPageBytes> pages;
};

struct UvmCheck {
  std::string what;
  int64_t got = 0, sane = 0;
};
struct UvmNote {
  std::string text;
};
// The conditions of the named defect are met by the operation that follows.
struct UvmTrigger {
  std::string name;
};
// The answer of the search just before is not the nearest fit, which is `nearest` (0: none).
struct UvmQuirk {
  std::string name;
  uint64_t nearest = 0;
};

// GET, GETA, PUT: what the pager of a file-like object was asked for by the operation just before.
struct UvmGet {
  bool may_wait = true;  // false: GETA
  uint64_t object = 0, page = 0, pages = 0;
  uint64_t access = 0;
  uint64_t read = 0;  // pages
  int error = 0;
};
struct UvmPut {
  uint64_t object = 0, page = 0, pages = 0;
  uint64_t flags = 0;  // UvmFlag: C F D
  uint64_t wrote = 0, freed = 0;
};

// PANIC, CRASH or HANG: the recorded kernel did not go on.
struct UvmStop {
  std::string text;  // the whole line
};
enum class UvmSection : uint8_t { kFinalViews, kFinalContents, kTeardown };

struct UvmLine {
  int line = 0;  // of the file
  std::variant<UvmOpLine, UvmEntry, UvmEntryGone, UvmMapCounters, UvmCounters, UvmView, UvmContents,
               UvmLoaned, UvmStore, UvmCheck, UvmNote, UvmTrigger, UvmQuirk, UvmGet, UvmPut,
               UvmStop, UvmSection>
      what;
};

struct UvmSequence {
  std::string name;
  int line = 0;
  uint64_t pages = 0;           // physical
  uint64_t reserve = 0;         // of them, which the recorded kernel gives to no client
  uint64_t start = 0, end = 0;  // of every space
  bool topdown = false;         // default direction of searches
  std::vector<UvmLine> lines;   // without `seq`, ABNORMAL and `end`
  bool abnormal = false;
  uint64_t Count() const;
};

struct UvmRecording {
  std::string file;
  std::vector<UvmSequence> sequences;

  // M of `agree N of M`: the steps the file fixes: one an operation line; one a check line, which
  // `check` and L are; one a final-state line, which X, STORE and the last C of a sequence that was
  // not cut short are (leak freedom). Every other line says how the step before it ended and
  // belongs to it.
  uint64_t Count() const;
};

// Errors: "FILE:LINE: expected ..., found ...".
absl::StatusOr<UvmRecording> ParseUvmRecording(absl::string_view file, absl::string_view text);

}  // namespace conform

#endif  // CONFORM_UVM_RECORDING_H_
