// traces/codec.h: operations and traces as text, and back.
//
// WHAT     One line an operation: `s1.mmap 0x10000 0x4000 rw- private,fixed -> 0x10000  # why`. The
//          parser checks everything that one line can get wrong, so that an Op it returns is well
//          formed: labels, sizes, flags and file names are in range. It does not know what tasks
//          are alive; that is the model's business.
// INVARIANTS  ParseTrace(FormatTrace(t)) == t for every well-formed t. FormatTrace is a normal
//          form: fields separated by one space, addresses and lengths of calls in hexadecimal,
//          sizes of accesses in decimal. Comment lines and blank lines are kept as they stand,
//          trailing blanks are not.
// SEE      traces/README.md has the table of operations, generated from codec.cc's; house.md 4.11.

#ifndef TRACES_CODEC_H_
#define TRACES_CODEC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "traces/op.h"
#include "traces/trace.h"

namespace traces {

// Bytes in one line without its newline; longer ones are an error. The longest operation has under
// 450.
inline constexpr size_t kMaxLineBytes = 4096;
// Bytes of one memory access: 1 MiB is far above what one instruction moves, and bounds what a lane
// must buffer.
inline constexpr uint64_t kMaxAccessBytes = 1u << 20;
// Task labels are 1..kMaxLabel; a label is born at most once in a trace.
inline constexpr uint32_t kMaxLabel = 65535;

// The whole text of a trace. Errors are InvalidArgument, `FILE:LINE:COLUMN: expected X, found Y`,
// at the first mistake; `file_name` serves for the message only. The last line must end with a
// newline (else the file was cut off).
absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view file_name);
// REQUIRES: the trace is well formed (Trace's INVARIANTS; operands of each kind in range).
std::string FormatTrace(const Trace& trace);

// Reads a trace line by line into one reused Line, for those who need not keep it whole.
class TraceReader {
 public:
  // `text` outlives the reader.
  TraceReader(absl::string_view text, absl::string_view file_name);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // The next operation into *line; false at the end and after an error.
  bool Next(Line* line);
  // OK until Next has met a mistake.
  const absl::Status& status() const;
  // Title, header, notes and files met so far; its `lines` stay empty.
  const Trace& trace() const;
  // The same, moved out; the reader is done for.
  Trace TakeTrace();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One operation without expectation and comment; `files` as in Trace.
std::string FormatOp(const Op& op, const std::vector<std::string>& files);
// What stands right of the arrow. A value that an outcome of this kind does not have is not
// printed.
std::string FormatOutcome(OpKind kind, const Outcome& outcome);
// A task label or address of a ResolvedOp in the same notation, for reports.
std::string FormatResolvedOp(const ResolvedOp& op);

// The word for a kind: "mmap", "vm_allocate" ...
absl::string_view OpName(OpKind kind);
// The table of README.md, in Markdown, generated from the table that drives parser and printer.
std::string OpTable();

// Errors name the path and what went wrong (NotFound when it cannot be opened), or are
// ParseTrace's.
absl::StatusOr<Trace> ReadTraceFile(const std::string& path);
// Whether a trace can be written to `path`, without writing: it is a regular file or none yet, in a
// directory that may be written. For commands that work long before they write.
absl::Status CheckTraceTarget(const std::string& path);
// Writes a temporary file beside `path` and renames it; when anything fails, `path` is as it was
// and nothing is left. What is no regular file (a device, a directory) is never replaced.
absl::Status WriteTraceFile(const std::string& path, const Trace& trace);

}  // namespace traces

#endif  // TRACES_CODEC_H_
