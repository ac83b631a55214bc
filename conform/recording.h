// conform/recording.h: what a real L4 kernel did to sequences of map, unmap and touch, as values.
//
// WHAT     A recording is a text file of observations: a suite's shape, then sequences, each from
//          the same reset state: operations (`op`), what each returned (`ret`), the state of every
//          probed page after it (`st`), and how often the kernel entered its debugger (`ev`). The
//          parser knows the format and nothing else: no kernel, no rule of mapping. Words are the
//          recorded machine's 32-bit words, as they stand in the file.
// STATES   of the parser:  header -> (`seq` -> `st 0` -> (`op` -> `ret` -> `st` [-> `ev`])*)*.  A
//          comment may stand anywhere; any other line out of turn is an error.
// INVARIANTS  Steps of a sequence are numbered 1, 2, ... without gaps; every state has spaces *
//          probes pages; a return fits its operation.
// SEE      README.md for the table of lines and fields; design.md section 5, "Conformance counts".
#ifndef CONFORM_RECORDING_H_
#define CONFORM_RECORDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace conform {

inline constexpr uint32_t kRecordedPageBytes = 4096;

// One typed item of a message: the send base (bits 10..31) and the send fpage.
enum class ItemKind : uint8_t { kMap, kGrant };
struct Item {
  ItemKind kind = ItemKind::kMap;
  uint32_t send_base = 0;
  uint32_t send_fpage = 0;
};

// A thread of space `source` sends the items to a thread of space `target` that waits for it alone
// and accepts them into `window`.
struct IpcOp {
  uint32_t source = 0;
  uint32_t target = 0;
  uint32_t window = 0;  // receive fpage
  std::vector<Item> items;
};

// A thread of `space` calls Unmap.
struct UnmapOp {
  uint32_t space = 0;
  bool flush = false;
  std::vector<uint32_t> fpages;
};

// A thread of `space` loads (r), stores (w), or loads and then stores (rw) one word of a page.
enum class TouchKind : uint8_t { kRead, kWrite, kReadWrite };
struct TouchOp {
  uint32_t space = 0;
  uint32_t page = 0;  // number within the window
  TouchKind kind = TouchKind::kRead;
};

using Op = std::variant<IpcOp, UnmapOp, TouchOp>;
// As the recording writes it, from `ipc`, `unmap` or `touch` on.
std::string ToString(const Op& op);

struct IpcReturn {
  uint32_t sender_tag = 0;
  uint32_t sender_error = 0;
  uint32_t receiver_tag = 0;
  uint32_t receiver_error = 0;
  std::vector<uint32_t> registers;  // the receiver's MR1 ..., two an item
};

struct UnmapReturn {
  std::vector<uint32_t> fpages;  // with status bits for rights
};

struct TouchReturn {
  bool ok = false;
  std::optional<uint32_t> frame;  // what a load (r) that worked saw
  uint32_t fault = 0;             // rwx bits of the page fault message, when not ok
};

using Return = std::variant<IpcReturn, UnmapReturn, TouchReturn>;

enum class PageAccess : uint8_t { kNone, kReadable, kWritable };
struct PageState {
  PageAccess access = PageAccess::kNone;
  uint32_t frame = 0;  // number within the pool; 0 without access
  bool operator==(const PageState&) const = default;
};
// As the recording writes it: `-`, `5r` or `5w`.
std::string ToString(const PageState& page);

// One page for each space and probe: index = space * probes + probe.
using State = std::vector<PageState>;

struct Step {
  uint32_t number = 0;  // 1 is the first
  int line = 0;         // of the operation
  Op op;
  Return result;
  State after;
  uint32_t debugger_entries = 0;
};

struct Sequence {
  uint32_t number = 0;
  int line = 0;
  uint32_t seed = 0;
  State initial;
  std::vector<Step> steps;
};

struct Recording {
  std::string file;
  std::string kernel;  // the first remark before the suite's shape: what was recorded
  uint32_t suite = 0;  // 1: a window of superpages; the others: 4 KiB pages
  uint32_t spaces = 0;
  uint32_t window_base = 0;      // address of page 0 of each space's window
  uint32_t window_log2 = 0;      // bytes
  std::vector<uint32_t> probes;  // page numbers
  std::vector<Sequence> sequences;

  // M of `agree N of M`: the steps the file fixes, one an operation line. The `ret`, `st` and `ev`
  // lines that follow an operation belong to its step: they say how it ended. There is no line for
  // the end of a sequence; `st 0` belongs to no operation and must hold before the first step can
  // agree.
  uint64_t Count() const;
};

// Parses a whole recording. Errors: "FILE:LINE: expected ..., found ...".
absl::StatusOr<Recording> ParseRecording(absl::string_view file, absl::string_view text);

// The contents of a file, unpacked when it is a gzip file. Errors name the file.
absl::StatusOr<std::string> ReadTextFile(const std::string& file);

// Both.
absl::StatusOr<Recording> ReadRecording(const std::string& file);

}  // namespace conform

#endif  // CONFORM_RECORDING_H_
