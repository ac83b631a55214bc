#include "uvm/testing/fake_threads.h"

#include <utility>

namespace uvm::testing {

BatonThreads::~BatonThreads() {
  for (const std::unique_ptr<Runner>& runner : runners_) {
    if (runner->host.joinable()) runner->host.join();
  }
}

void BatonThreads::Add(std::function<void()> body) {
  runners_.push_back(std::make_unique<Runner>());
  Runner* runner = runners_.back().get();
  runner->record.id = static_cast<uint32_t>(runners_.size());
  runner->body = std::move(body);
}

void BatonThreads::Run() {
  std::unique_lock<std::mutex> held(mu_);
  for (size_t i = 0; i < runners_.size(); ++i) {
    runners_[i]->host = std::thread([this, i] {
      std::unique_lock<std::mutex> inner(mu_);
      turn_changed_.wait(inner, [this, i] { return turn_ == i; });
      inner.unlock();
      runners_[i]->body();
      inner.lock();
      runners_[i]->state = State::kEnded;
      turn_ = NextReady();
      turn_changed_.notify_all();
    });
  }
  turn_ = 0;
  turn_changed_.notify_all();
  turn_changed_.wait(held, [this] { return turn_ == kNobody; });
}

size_t BatonThreads::NextReady() {
  for (size_t step = 1; step <= runners_.size(); ++step) {
    size_t index = (turn_ + step) % runners_.size();
    if (runners_[index]->state == State::kReady) return index;
  }
  // Nobody is ready: time jumps to the earliest deadline.
  size_t earliest = kNobody;
  bool all_ended = true;
  for (size_t i = 0; i < runners_.size(); ++i) {
    all_ended = all_ended && runners_[i]->state == State::kEnded;
    if (runners_[i]->state != State::kSleeping) continue;
    if (earliest == kNobody || runners_[i]->deadline < runners_[earliest]->deadline) earliest = i;
  }
  if (all_ended) return kNobody;
  if (earliest == kNobody) UNREACHABLE("BatonThreads: every thread that is left waits for ever");
  runners_[earliest]->state = State::kReady;
  now_ = runners_[earliest]->deadline;
  return earliest;
}

void BatonThreads::PassBaton(std::unique_lock<std::mutex>* held) {
  size_t self = turn_;
  turn_ = NextReady();
  turn_changed_.notify_all();
  turn_changed_.wait(*held, [this, self] { return turn_ == self; });
}

Thread* BatonThreads::Self() { return turn_ == kNobody ? &outside_ : &Current().record; }

void BatonThreads::Park() {
  std::unique_lock<std::mutex> held(mu_);
  Runner& self = Current();
  if (std::exchange(self.unparked, false)) return;
  self.state = State::kParked;
  PassBaton(&held);
}

bool BatonThreads::ParkUntil(uint64_t deadline_us) {
  if (turn_ == kNobody) {  // the test's own thread: nobody else can wake it
    if (deadline_us > now_) now_ = deadline_us;
    return false;
  }
  std::unique_lock<std::mutex> held(mu_);
  Runner& self = Current();
  if (std::exchange(self.unparked, false)) return true;
  self.state = State::kSleeping;
  self.deadline = deadline_us;
  PassBaton(&held);
  return std::exchange(self.unparked, false);
}

void BatonThreads::Unpark(Thread* thread) {
  std::unique_lock<std::mutex> held(mu_);
  for (const std::unique_ptr<Runner>& runner : runners_) {
    if (&runner->record != thread) continue;
    CHECK(!runner->unparked);
    // A sleeper learns from the mark that it was woken; a plain parker only needs to run.
    if (runner->state != State::kParked) runner->unparked = true;
    if (runner->state != State::kEnded) runner->state = State::kReady;
    return;
  }
  UNREACHABLE("BatonThreads: not a thread of this system");
}

void BatonThreads::Yield() {
  if (turn_ == kNobody) return;
  std::unique_lock<std::mutex> held(mu_);
  PassBaton(&held);
}

}  // namespace uvm::testing
