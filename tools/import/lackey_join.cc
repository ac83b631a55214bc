#include <map>
#include <utility>
#include <vector>

#include "tools/import/lackey_parser.h"

namespace tools {
namespace {

class Joiner {
 public:
  explicit Joiner(std::vector<LackeyLog> logs) : logs_(std::move(logs)), placed_(logs_.size()) {
    for (size_t i = 0; i < logs_.size(); ++i) by_pid_[logs_[i].pid] = i;
    for (const LackeyLog& log : logs_) {
      for (const Event& event : log.log.events) {
        if (!IsBirth(event)) continue;
        const auto it = by_pid_.find(static_cast<int>(event.result));
        if (it != by_pid_.end()) born_[it->second] = true;
      }
    }
  }

  EventLog Join() {
    for (size_t i = 0; i < logs_.size(); ++i) {
      if (!born_[i]) Place(i);
    }
    // Logs that name each other as parents: damaged, but not to be lost.
    for (size_t i = 0; i < logs_.size(); ++i) Place(i);
    return std::move(joined_);
  }

 private:
  static bool IsBirth(const Event& event) {
    return event.kind == EventKind::kFork && event.error == 0 && event.args[0] == 0;
  }

  void Place(size_t index) {
    if (placed_[index]) return;
    placed_[index] = true;
    const LackeyLog& log = logs_[index];
    const int texts = static_cast<int>(joined_.texts.size());
    const int images = static_cast<int>(joined_.images.size());
    joined_.texts.insert(joined_.texts.end(), log.log.texts.begin(), log.log.texts.end());
    joined_.images.insert(joined_.images.end(), log.log.images.begin(), log.log.images.end());
    joined_.lines += log.log.lines;
    joined_.ignored_calls += log.log.ignored_calls;
    joined_.valgrind_vforks += log.log.valgrind_vforks;
    joined_.late_images += log.log.late_images;
    joined_.gave_up += log.log.gave_up;
    joined_.unknown_files += log.log.unknown_files;
    if (born_[index] && !log.log.events.empty() &&
        log.log.events.front().kind == EventKind::kExec && log.log.events.front().error == 0) {
      ++joined_.lost_starts;
    }
    std::vector<size_t> children;  // born and not yet placed
    size_t wait = 0;
    for (size_t i = 0; i < log.log.events.size(); ++i) {
      Event event = log.log.events[i];
      bool waits = event.kind == EventKind::kGroupExit;
      for (; wait < log.waits.size() && log.waits[wait] <= i; ++wait) waits = true;
      if (waits) PlaceAll(&children);
      if (event.path >= 0) event.path += texts;
      if (event.image >= 0) event.image += images;
      joined_.events.push_back(event);
      if (!IsBirth(event)) continue;
      const auto it = by_pid_.find(static_cast<int>(event.result));
      if (it != by_pid_.end()) children.push_back(it->second);
    }
    PlaceAll(&children);
  }

  void PlaceAll(std::vector<size_t>* children) {
    for (size_t child : *children) Place(child);
    children->clear();
  }

  const std::vector<LackeyLog> logs_;
  std::vector<bool> placed_;
  std::map<int, size_t> by_pid_;
  std::map<size_t, bool> born_;
  EventLog joined_;
};

}  // namespace

EventLog JoinLogs(std::vector<LackeyLog> logs) { return Joiner(std::move(logs)).Join(); }

}  // namespace tools
