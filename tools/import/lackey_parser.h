// tools/import/lackey_parser.h: the log of valgrind's lackey tool, one process, into events.
//
// WHAT     Logs are huge (a line an instruction), so they are read as a stream: of the accesses
// between two system calls
//          of the process only the first read, the first write and the first instruction fetch of
//          each page are kept, in the order in which they came. Accesses across a page boundary
//          count for both pages.
// INVARIANTS  Memory used grows with pages touched and system calls made, not with the log's
// length. SEE      README.md for how the processes of one run are joined.

#ifndef TOOLS_IMPORT_LACKEY_PARSER_H_
#define TOOLS_IMPORT_LACKEY_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/import/event.h"
#include "tools/import/fd_table.h"

namespace tools {

// One process. Event::tid is its number in every event.
struct LackeyLog {
  int pid = 0;
  EventLog log;
  std::vector<size_t>
      waits;  // indices of events before which the process began to wait for a child
};

class LackeyParser {
 public:
  struct Sight {
    ObservedImage image;
    uint64_t bytes_ahead =
        0;  // bytes the process had written by then that the parser has not been fed
  };
  // Called at the first access after exec: the chance to look at the process.
  using Observer = std::function<std::optional<Sight>(int pid)>;

  explicit LackeyParser(std::string file_name, Observer observer = nullptr);

  // The next bytes of the log, in pieces of any size. InvalidArgument "FILE:LINE: expected ...,
  // found ...".
  absl::Status Feed(absl::string_view bytes);
  // `whole`: the log must end with a whole line and contain something; else a cut line is left out
  // (the process was killed). `ended`: the process is known to have ended, whatever the log says.
  absl::StatusOr<LackeyLog> Finish(bool whole, bool ended);

 private:
  struct Pending {
    int number = -1;  // of the system call
    uint64_t args[6] = {};
    int arg_count = 0;
    std::string path;
    int child = 0;  // process number, if it bore one
  };

  absl::Status Error(absl::string_view expected, absl::string_view found) const;
  // Lines up to `end`, which follows a newline.
  absl::Status Lines(const char* begin, const char* end);
  absl::Status SlowLine(absl::string_view line);
  absl::Status Header(absl::string_view line);
  absl::Status SystemCall(absl::string_view line);
  absl::Status CallBegins(int thread, int number, absl::string_view text);
  void CallEnds(int thread, absl::string_view result);
  void Finished(const Pending& call, uint64_t value, int error);
  void FollowFiles(const Pending& call, uint64_t value);
  bool FinishedMemory(const Pending& call, Event* event);
  void FirstAccess();
  // One access; `kind` is I, L, S or M.
  void Access(char kind, uint64_t address, uint64_t size) {
    const uint64_t page = address >> 12;
    if (kind == 'I') {
      if (page == last_fetch_ && ((address + size - 1) >> 12) == page) return;
      last_fetch_ = page;
    } else {
      const unsigned bits = kind == 'L' ? 1u : kind == 'S' ? 2u : 3u;
      if (page == last_data_ && (last_bits_ & bits) == bits &&
          ((address + size - 1) >> 12) == page) {
        return;
      }
    }
    AccessPage(kind, address, size);
  }
  void AccessPage(char kind, uint64_t address, uint64_t size);
  void TouchPage(char kind, uint64_t address, uint64_t size);
  void AddTouch(EventKind kind, uint64_t address, uint64_t size);
  void ForgetTouches();

  // One page touched since the last system call; slots of earlier epochs are free.
  struct Slot {
    uint64_t page = 0;
    uint32_t epoch = 0;
    uint8_t bits = 0;  // 1 read, 2 written, 4 fetched
  };
  Slot* Find(uint64_t page);

  const std::string file_name_;
  const Observer observer_;
  std::string carry_;  // an unfinished line
  int line_ = 0;
  uint64_t bytes_fed_ = 0;
  uint64_t parsed_ = 0;       // bytes of the log before the lines being read
  uint64_t line_offset_ = 0;  // of the line being read, in the log
  uint64_t horizon_ = 0;      // calls that begin before this offset may be in the image seen
  int image_event_ = -1;      // the kExec event whose image waits for its horizon
  bool exec_waits_ = false;   // a kExec event waits for its first access
  int header_pid_ = 0;
  bool ended_ = false;
  int threads_ = 1;
  std::map<int, Pending> pending_;  // by Valgrind's thread index
  int last_thread_ = 1;
  FdTables files_;
  LackeyLog out_;
  std::vector<Slot> slots_;
  size_t used_slots_ = 0;
  uint32_t epoch_ = 1;
  uint64_t last_fetch_ = ~uint64_t{0};
  uint64_t last_data_ = ~uint64_t{0};
  unsigned last_bits_ = 0;
};

// Joins the processes of one run into one order: a child's whole log stands where its parent next
// waits for a child, or else just before the parent's exit; several children stand in the order of
// their birth. Logs of processes that none of the others bore come in the order given.
EventLog JoinLogs(std::vector<LackeyLog> logs);

}  // namespace tools

#endif  // TOOLS_IMPORT_LACKEY_PARSER_H_
