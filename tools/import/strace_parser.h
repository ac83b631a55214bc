// tools/import/strace_parser.h: the output of `strace -f`, line by line, into events.
//
// WHAT     Understands what strace 5 and 6 print: with or without process numbers, time stamps,
// decoded descriptors (-y);
//          `<unfinished ...>` and `<... resumed>` are joined. Calls that have nothing to do with
//          memory are ignored (and counted), except that open, dup and close are followed to give
//          mapped files a name.
// INVARIANTS  Events of a process whose birth is not yet listed (its parent's clone is unfinished)
// wait for it.

#ifndef TOOLS_IMPORT_STRACE_PARSER_H_
#define TOOLS_IMPORT_STRACE_PARSER_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/import/event.h"
#include "tools/import/fd_table.h"

namespace tools {

class StraceParser {
 public:
  // Called when an execve has succeeded, before anything later is read: the chance to look at the
  // process.
  using Observer = std::function<std::optional<ObservedImage>(int pid)>;

  // `file_name` serves for messages. The first `skip_execs` programs of the first process are left
  // out whole: the recorder starts the program through another one.
  explicit StraceParser(std::string file_name, Observer observer = nullptr, int skip_execs = 0);

  // `line` without its newline. InvalidArgument "FILE:LINE: expected ..., found ...".
  absl::Status AddLine(absl::string_view line);
  int lines() const { return line_; }
  // The events of all lines. InvalidArgument when there was no call at all.
  absl::StatusOr<EventLog> Finish();

 private:
  struct Call;

  absl::Status Error(absl::string_view expected, absl::string_view found) const;
  absl::Status AddMark(int tid, absl::string_view text);
  absl::Status AddCallText(int tid, absl::string_view text);
  absl::Status AddCall(int tid, const Call& call);
  absl::Status AddMemoryCall(const Call& call, Event event);
  absl::Status AddMmap(const Call& call, Event event);
  absl::Status AddFork(const Call& call, Event event);
  absl::Status AddExec(const Call& call, Event event);
  absl::Status FollowFiles(int tid, const Call& call);
  // The number that argument `index` is; an error names `what`.
  absl::StatusOr<uint64_t> Number(const Call& call, size_t index, absl::string_view what) const;
  // The same for names joined by '|'.
  absl::StatusOr<uint64_t> Flags(const Call& call, size_t index, absl::string_view what) const;
  // Path of the file that argument `index` decodes or was opened as; empty if unknown.
  std::string FileOf(int tid, absl::string_view argument);
  void Emit(const Event& event);
  void Born(int tid);

  const std::string file_name_;
  const Observer observer_;
  int execs_to_go_;  // of the first process, before its events count
  int line_ = 0;
  int root_ = -1;
  bool any_call_ = false;
  std::map<int, std::string> unfinished_;   // text of a call so far, by thread
  std::set<int> known_;                     // threads whose birth is listed
  std::map<int, std::vector<Event>> held_;  // events of the others
  FdTables files_;
  EventLog log_;
};

}  // namespace tools

#endif  // TOOLS_IMPORT_STRACE_PARSER_H_
