#include "tools/import/import.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tools/import/lackey_parser.h"
#include "tools/import/strace_parser.h"
#include "tools/import/translate.h"

namespace tools {
namespace {

// An open file that closes itself.
class File {
 public:
  explicit File(const std::string& path)
      : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // OK with an empty piece at the end. The piece lives until the next call.
  absl::StatusOr<absl::string_view> Next() {
    if (buffer_.empty()) buffer_.resize(1 << 17);
    ssize_t got = -1;
    int error = error_;
    if (fd_ >= 0) {
      got = read(fd_, buffer_.data(), buffer_.size());
      error = errno;
    }
    if (got < 0) {
      return absl::NotFoundError(
          absl::StrCat(path_, ": expected a file that can be read, found: ", std::strerror(error)));
    }
    return absl::string_view(buffer_.data(), static_cast<size_t>(got));
  }

 private:
  const std::string path_;
  const int fd_;
  const int error_;  // of opening
  std::string buffer_;
};

}  // namespace

absl::StatusOr<traces::Trace> ImportStrace(const std::string& path, const ImportOptions& options,
                                           ImportReport* report) {
  File file(path);
  StraceParser parser(path);
  std::string carry;
  for (;;) {
    const absl::StatusOr<absl::string_view> piece = file.Next();
    if (!piece.ok()) return piece.status();
    if (piece->empty()) break;
    absl::StrAppend(&carry, *piece);
    size_t start = 0;
    for (size_t end; (end = carry.find('\n', start)) != std::string::npos; start = end + 1) {
      const absl::Status status =
          parser.AddLine(absl::string_view(carry).substr(start, end - start));
      if (!status.ok()) return status;
    }
    carry.erase(0, start);
  }
  if (!carry.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ":", parser.lines() + 1, ": expected a newline at the end of the file, found \"",
        absl::CHexEscape(carry.substr(0, 60)), "\"; is it truncated?"));
  }
  const absl::StatusOr<EventLog> log = parser.Finish();
  if (!log.ok()) return log.status();
  return Translate(*log, "strace", options, report);
}

absl::StatusOr<traces::Trace> ImportLackey(const std::vector<std::string>& paths,
                                           const ImportOptions& options, ImportReport* report) {
  if (paths.empty()) return absl::InvalidArgumentError("expected a log file, found none");
  std::vector<LackeyLog> logs;
  for (const std::string& path : paths) {
    File file(path);
    LackeyParser parser(path);
    for (;;) {
      const absl::StatusOr<absl::string_view> piece = file.Next();
      if (!piece.ok()) return piece.status();
      if (piece->empty()) break;
      const absl::Status status = parser.Feed(*piece);
      if (!status.ok()) return status;
    }
    absl::StatusOr<LackeyLog> log = parser.Finish(/*whole=*/true, /*ended=*/false);
    if (!log.ok()) return log.status();
    for (const LackeyLog& other : logs) {
      if (other.pid != log->pid) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": expected one log a process, found a second one of process ", log->pid));
    }
    logs.push_back(*std::move(log));
  }
  return Translate(JoinLogs(std::move(logs)), "lackey", options, report);
}

}  // namespace tools
