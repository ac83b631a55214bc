#include "tools/judge_pool.h"

#include <sys/wait.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace tools {

std::string JudgePool::FileOf(const char* what, size_t number) const {
  return work_->File(absl::StrCat(what, number));
}

absl::Status JudgePool::Start(size_t number, const Words& words) {
  Program program;
  program.words = words;
  program.output = FileOf("verdict", number);
  program.errors = FileOf("errors", number);
  absl::StatusOr<pid_t> child = StartProgram(program);
  if (!child.ok()) return child.status();
  running_[*child] = {number, words[1]};
  return absl::OkStatus();
}

absl::StatusOr<JudgePool::Verdict> JudgePool::Read(const Judge& judge) const {
  absl::StatusOr<std::string> text = ReadWhole(FileOf("verdict", judge.number));
  if (!text.ok()) return text.status();
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    absl::StatusOr<std::string> said = ReadWhole(FileOf("errors", judge.number));
    return absl::InternalError(
        absl::StrCat("the judge of ", judge.id, " said nothing: ", said.ok() ? *said : ""));
  }
  return Verdict{judge.number, std::move(json)};
}

absl::StatusOr<JudgePool::Verdict> JudgePool::Wait() {
  for (;;) {
    int wait_status = 0;
    const pid_t child = waitpid(-1, &wait_status, 0);
    if (child < 0 && errno == EINTR) continue;
    const auto found = running_.find(child);
    if (found == running_.end()) continue;
    const Judge judge = found->second;
    running_.erase(found);
    return Read(judge);
  }
}

}  // namespace tools
