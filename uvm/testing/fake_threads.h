// uvm/testing/fake_threads.h: threads for tests: none at all, or several that take turns.
//
// WHAT     FakeThreads serves the one thread of an ordinary test; who would have to wait for ever
//          dies. BatonThreads runs several host threads of which exactly one, the holder of the
//          baton, moves; the baton passes on in a fixed order at Park, Yield and the end of a
//          thread, so a run is the same every time.
// STATES   a BatonThreads thread: ready <-> running -> parked -> ready; ended.

#ifndef UVM_TESTING_FAKE_THREADS_H_
#define UVM_TESTING_FAKE_THREADS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "uvm/thread.h"

namespace uvm::testing {

class FakeThreads final : public ThreadSystem {
 public:
  FakeThreads() { self_.id = 1; }

  Thread* Self() override { return &self_; }
  void Park() override { UNREACHABLE("FakeThreads: the only thread would wait for ever"); }
  bool ParkUntil(uint64_t deadline_us) override {
    now_ = deadline_us;
    return false;
  }
  void Unpark(Thread*) override { UNREACHABLE("FakeThreads: nobody is parked"); }
  void Yield() override {}
  uint64_t Now() override { return now_; }

 private:
  Thread self_;
  uint64_t now_ = 0;
};

class BatonThreads final : public ThreadSystem {
 public:
  BatonThreads() = default;
  ~BatonThreads();
  BatonThreads(const BatonThreads&) = delete;
  BatonThreads& operator=(const BatonThreads&) = delete;

  // Adds a thread, numbered from 1 in the order of addition. It starts in Run().
  void Add(std::function<void()> body);
  // Runs until every thread has ended. Dies when all that are left wait for ever.
  void Run();
  // Appends to the log that the test compares.
  void Log(const std::string& text) { log_ += (log_.empty() ? "" : " ") + text; }
  const std::string& log() const { return log_; }

  Thread* Self() override;
  void Park() override;
  bool ParkUntil(uint64_t deadline_us) override;
  void Unpark(Thread* thread) override;
  void Yield() override;
  uint64_t Now() override { return now_; }

 private:
  enum class State : uint8_t { kReady, kParked, kSleeping, kEnded };
  struct Runner {
    Thread record;
    std::function<void()> body;
    std::thread host;
    State state = State::kReady;
    bool unparked = false;  // an Unpark came before its Park
    uint64_t deadline = 0;
  };
  static constexpr size_t kNobody = ~size_t{0};

  Runner& Current() {
    CHECK(turn_ != kNobody);
    return *runners_[turn_];
  }
  // Gives the baton to the next ready thread after the current one and waits until it comes back.
  void PassBaton(std::unique_lock<std::mutex>* held);
  size_t NextReady();

  Thread outside_;  // the test's own thread, before and after Run()
  std::mutex mu_;
  std::condition_variable turn_changed_;
  std::vector<std::unique_ptr<Runner>> runners_;
  size_t turn_ = kNobody;
  uint64_t now_ = 0;
  std::string log_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_FAKE_THREADS_H_
