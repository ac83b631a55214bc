// conform/read_all.h: how a `vmsim conform` command takes its files, whatever their kind.
//
// WHAT     All files are read before any is replayed, and every one that cannot be is named.
// SEE      report.h, for what is printed afterwards.
#ifndef CONFORM_READ_ALL_H_
#define CONFORM_READ_ALL_H_

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "conform/report.h"

namespace conform {

// Appends what `read(file)`, an absl::StatusOr<Recording>, gives of each file. False: there were no
// files, or some could not be read; *err says so, in the name of `command`.
template <typename Recording, typename Read>
bool ReadAll(const char* command, const std::vector<std::string>& files, const Read& read,
             std::vector<Recording>* out, std::ostream& err) {
  if (files.empty()) {
    err << command << ": expected at least one recorded file\n";
    return false;
  }
  bool readable = true;
  for (const std::string& file : files) {
    absl::StatusOr<Recording> recording = read(file);
    if (recording.ok()) {
      out->push_back(*std::move(recording));
    } else {
      err << recording.status().message() << "\n";
      readable = false;
    }
  }
  return readable;
}

// Prints M of each recording. Returns the exit code.
template <typename Recording>
int CountAll(const std::vector<Recording>& recordings, Format format, std::ostream& out) {
  std::vector<FileCount> counts;
  for (const Recording& r : recordings) counts.push_back({r.file, r.Count()});
  return PrintCounts(counts, format, out);
}

}  // namespace conform

#endif  // CONFORM_READ_ALL_H_
