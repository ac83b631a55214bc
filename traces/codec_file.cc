// traces/codec_file.cc: traces in files.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "traces/codec.h"

namespace traces {
namespace {

std::string Reason() { return std::strerror(errno); }

absl::Status NotWritten(const std::string& path, const std::string& reason) {
  return absl::UnavailableError(absl::StrCat(path, ": cannot be written: ", reason));
}

absl::Status ReadAll(std::FILE* file, const std::string& path, std::string* text) {
  char buffer[1 << 16];
  size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0) text->append(buffer, n);
  if (std::ferror(file) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot be read: ", Reason()));
}

// The data must be on the disk before the name is, or a crash could leave a short file under the
// final name.
bool WriteAll(std::FILE* file, const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
         fsync(fileno(file)) == 0;
}

}  // namespace

absl::StatusOr<Trace> ReadTraceFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr)
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", Reason()));
  std::string text;
  absl::Status status = ReadAll(file, path, &text);
  std::fclose(file);
  if (!status.ok()) return status;
  return ParseTrace(text, path);
}

absl::Status CheckTraceTarget(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return NotWritten(path, std::strerror(EISDIR));
    if (!S_ISREG(status.st_mode)) return NotWritten(path, "it is no regular file");
  }
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(directory.c_str(), W_OK | X_OK) != 0) return NotWritten(path, Reason());
  return absl::OkStatus();
}

absl::Status WriteTraceFile(const std::string& path, const Trace& trace) {
  // The rename below would replace even a device.
  const absl::Status target = CheckTraceTarget(path);
  if (!target.ok()) return target;
  // A name nobody else has; mkstemp makes the file private, a trace is for everybody to read.
  std::string temporary = path + ".XXXXXX";
  int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) {
    return NotWritten(path, Reason());
  }
  std::FILE* file = fdopen(descriptor, "wb");
  bool written =
      file != nullptr && fchmod(descriptor, 0644) == 0 && WriteAll(file, FormatTrace(trace));
  std::string reason = Reason();
  if ((file == nullptr ? close(descriptor) : std::fclose(file)) != 0 && written) {
    written = false;
    reason = Reason();
  }
  if (written && std::rename(temporary.c_str(), path.c_str()) != 0) {
    written = false;
    reason = Reason();
  }
  if (written) return absl::OkStatus();
  std::remove(temporary.c_str());
  return NotWritten(path, reason);
}

}  // namespace traces
