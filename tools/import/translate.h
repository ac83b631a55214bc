// tools/import/translate.h: events of a recording into operations of a trace, by the rules of
// docs/LINUX.md.
//
// WHAT     A Translator goes through the events in order and keeps, for each process, what it has
// mapped. It runs twice:
//          the first pass writes nothing and only finds out what exec must have mapped where nobody
//          looked (regions that calls or touches use though no call mapped them, and the program's
//          segments); the second writes the trace.
// INVARIANTS  Everything in the log ends in the trace or in one of the report's counts.

#ifndef TOOLS_IMPORT_TRANSLATE_H_
#define TOOLS_IMPORT_TRANSLATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/import/event.h"
#include "tools/import/import.h"
#include "tools/import/region_map.h"
#include "traces/trace.h"

namespace tools {

// `source` is "strace" or "lackey". Adds to *report. InvalidArgument when there are more processes
// than a trace can name.
absl::StatusOr<traces::Trace> Translate(const EventLog& log, absl::string_view source,
                                        const ImportOptions& options, ImportReport* report);

// What exec must have mapped, found by the first pass; by the index of the kExec event.
struct InferredImage {
  std::vector<ImageRegion> segments;  // from program headers
  RegionMap used;                     // from later calls and touches
};
using InferredImages = std::map<size_t, InferredImage>;

class Translator {
 public:
  enum class Pass { kInfer, kWrite };

  // All pointers outlive the translator; the first pass fills in *inferred, the second reads it.
  Translator(const EventLog& log, Pass pass, InferredImages* inferred, traces::Trace* trace,
             ImportReport* report);
  absl::Status Run();

 private:
  struct Task {
    uint32_t label = 0;
    int users = 0;  // processes that act on it: two during vfork
    RegionMap regions;
    RegionMap given_up;  // unmapped by a call; never to be taken for part of the initial map
    std::optional<size_t> exec;  // index of the kExec event whose image this is
    bool observed = false;       // that image was seen
    bool heap_known = false;
    uint64_t heap_start = 0;
    uint64_t heap_end = 0;
  };
  struct Process {
    std::shared_ptr<Task> task;
    std::set<int> threads;
  };

  // translate.cc: processes, exec, touches.
  void Apply(const Event& event, size_t index);
  Process& ProcessOf(int tid);
  std::shared_ptr<Task> NewTask();
  void Fork(const Event& event);
  void Exec(const Event& event, size_t index);
  void PlaceImage(const Event& event, size_t index, Task* task);
  void PlaceRegion(const ImageRegion& region, uint32_t how, Task* task);
  void PlaceStackGrowth(uint64_t start, uint64_t end, Task* task);
  void PlaceHeap(size_t index, Task* task);
  void InferSegments(const Event& event, size_t index, Task* task);
  void EndThread(int tid);
  void EndProcess(int tid);
  void Leave(Process* process);
  void Touch(const Event& event, Task* task);
  // First pass: [start, end) is in use, so what of it nobody mapped was there since exec.
  void InferUsed(uint64_t start, uint64_t end, base::Prot prot, Task* task);
  std::optional<uint64_t> HeapStart(size_t exec_index) const;
  uint64_t FindBias(size_t exec_index, const ElfLayout& layout, bool* found) const;

  // translate_calls.cc: one function a memory call.
  void Mmap(const Event& event, Task* task);
  void Munmap(const Event& event, Task* task);
  void Mprotect(const Event& event, Task* task);
  void Mremap(const Event& event, Task* task);
  void FailedMremap(const Event& event, Task* task);
  void MovedMremap(const Event& event, Task* task);
  void Brk(const Event& event, Task* task);
  void Madvise(const Event& event, Task* task);
  void Dontneed(const Event& event, Task* task);
  void MadviseInherit(const Event& event, Task* task);

  // Writing. In the first pass these do nothing.
  traces::Line* Add(const traces::Op& op);
  void AddOk(const traces::Op& op, uint64_t value = 0);
  void AddErrno(const traces::Op& op, base::Errno code);
  void AddNote(const std::string& text);
  void NotExpressed(const std::string& what);
  void Altered(const std::string& what);
  // Op::file of a path: its base name, made different from that of every other path.
  uint32_t FileOf(absl::string_view path);
  const std::string& Text(int index) const { return log_.texts[static_cast<size_t>(index)]; }
  bool writing() const { return pass_ == Pass::kWrite; }

  const EventLog& log_;
  const Pass pass_;
  InferredImages* const inferred_;
  traces::Trace* const trace_;
  ImportReport* const report_;
  uint32_t next_label_ = 1;
  std::map<int, std::shared_ptr<Process>> processes_;   // by thread
  std::map<std::string, uint32_t, std::less<>> files_;  // by path
  std::set<std::string> file_names_;
};

}  // namespace tools

#endif  // TOOLS_IMPORT_TRANSLATE_H_
