// tools/import/event.h: what a recording says happened, before it is put into the words of a trace.
//
// WHAT     Both parsers (strace_parser.h, lackey_parser.h) turn text into one EventLog in the order
// in which it is to be
//          replayed; translate.h turns that into operations. An Event keeps Linux's own arguments
//          and result.
// INVARIANTS  A process's first event comes after the kFork event that bore it, unless nobody did
// (the root, or a
//          process that was already there).

#ifndef TOOLS_IMPORT_EVENT_H_
#define TOOLS_IMPORT_EVENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/import/exec_image.h"

namespace tools {

enum class EventKind : uint8_t {
  kMmap,      // args: address, length, protection, flags, offset; path: the file
  kMunmap,    // address, length
  kMprotect,  // address, length, protection
  kMremap,    // old address, old length, new length, flags, new address (with MREMAP_FIXED)
  kBrk,       // the end asked for; result: the end there is
  kMadvise,   // address, length, advice
  kFork,      // clone flags; result: the child's thread id
  kExec,      // path: the program; image: what was seen of its memory
  kThreadExit,
  kGroupExit,
  kRead,   // address, size: the first of a page since the last system call
  kWrite,  // address, size
  kFetch,  // address
  kOther,  // path: the name of a call that has no operation here
};

struct Event {
  EventKind kind = EventKind::kOther;
  int tid = 0;
  int line = 0;  // where it stands in its file, for messages
  uint64_t args[5] = {};
  uint64_t result = 0;
  int error = 0;   // Linux errno; 0 = success
  int path = -1;   // index into EventLog::texts, or -1
  int image = -1;  // index into EventLog::images, or -1
};

struct EventLog {
  std::vector<Event> events;
  std::vector<std::string> texts;     // file paths, call names
  std::vector<ObservedImage> images;  // memory maps seen at exec
  uint64_t lines = 0;                 // lines read
  uint64_t ignored_calls = 0;         // calls that have nothing to do with memory
  uint64_t restarted_calls = 0;       // calls interrupted by a signal and listed again
  uint64_t valgrind_vforks = 0;       // vforks that Valgrind made forks
  uint64_t late_images = 0;           // memory maps seen too late to be those of exec
  uint64_t gave_up = 0;               // processes that Valgrind ended at a call it does not support
  uint64_t lost_starts = 0;           // logs whose part before exec was overwritten
  uint64_t unknown_files = 0;  // mappings of a file descriptor whose opening was not recorded

  int AddText(std::string text) {
    texts.push_back(std::move(text));
    return static_cast<int>(texts.size()) - 1;
  }
};

}  // namespace tools

#endif  // TOOLS_IMPORT_EVENT_H_
