#include "fake_l4/depth_first.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "fake_l4/rewind_area.h"

namespace fake_l4 {

class DepthFirstStrategy final : public ExploringStrategy {
 public:
  DepthFirstStrategy(const ExplorationOptions& options, DepthFirstExplorer* explorer)
      : ExploringStrategy(options), explorer_(*explorer) {}

 protected:
  size_t Choose(const Step& step) override {
    if (step.ready.size() == 1) return 0;
    threads_.assign(1, step.ready[step.fallback]->id);
    for (size_t i = 0; i < step.ready.size(); i++) {
      if (i != step.fallback) threads_.push_back(step.ready[i]->id);
    }
    const uint64_t current = step.current == kNone ? 0 : step.ready[step.current]->id;
    const uint64_t thread = explorer_.Decide(decisions().total, threads_, current);
    size_t choice = 0;
    while (step.ready[choice]->id != thread) choice++;
    return choice;
  }

 private:
  DepthFirstExplorer& explorer_;
  std::vector<uint64_t> threads_;  // scratch
};

DepthFirstExplorer::DepthFirstExplorer(Options options) : options_(std::move(options)) {}

std::unique_ptr<ExploringStrategy> DepthFirstExplorer::Next() {
  while (!frames_.empty() && ++frames_.back().tried == frames_.back().threads.size()) {
    frames_.pop_back();
  }
  if (frames_.empty() && std::exchange(started_, true)) return nullptr;
  schedules_++;
  return std::make_unique<DepthFirstStrategy>(options_.exploration, this);
}

uint32_t DepthFirstExplorer::PreemptionsAfter(const Frame& frame) const {
  const bool preempts = frame.current != 0 && frame.threads[frame.tried] != frame.current;
  return frame.preemptions + preempts;
}

bool DepthFirstExplorer::MetBefore(const Frame& frame) {
  if (!options_.state_hash) return false;
  uint64_t hash = base::Chain(options_.state_hash(), frame.current);
  for (const uint64_t thread : frame.threads) hash = base::Chain(hash, thread);
  const auto [it, is_new] = met_.try_emplace(hash, frame.preemptions);
  if (is_new) return false;
  if (it->second <= frame.preemptions) return true;
  it->second = frame.preemptions;
  return false;
}

uint64_t DepthFirstExplorer::Decide(uint64_t number, const std::vector<uint64_t>& threads,
                                    uint64_t current) {
  const RewindArea::Inside outside(nullptr);
  if (number < frames_.size()) {
    // A program that does not repeat itself cannot be explored.
    const Frame& frame = frames_[number];
    const uint64_t thread = frame.threads[frame.tried];
    CHECK(frame.ready == threads.size() && frame.current == current);
    CHECK(std::find(threads.begin(), threads.end(), thread) != threads.end());
    return thread;
  }
  CHECK(number == frames_.size());
  Frame frame;
  frame.ready = threads.size();
  frame.threads = threads;
  frame.current = current;
  if (!frames_.empty()) frame.preemptions = PreemptionsAfter(frames_.back());
  if (current != 0 && frame.preemptions >= options_.max_preemptions) frame.threads = {current};
  // The rest is as it was when this state was met first.
  if (frame.threads.size() > 1 && MetBefore(frame)) {
    states_met_again_++;
    frame.threads.resize(1);
  }
  if (number >= options_.max_depth && frame.threads.size() > 1) {
    cut_short_ = true;
    frame.threads.resize(1);
  }
  frames_.push_back(std::move(frame));
  return frames_.back().threads.front();
}

}  // namespace fake_l4
