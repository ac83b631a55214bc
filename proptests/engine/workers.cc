#include "proptests/engine/workers.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "proptests/engine/hash_chain.h"
#include "proptests/engine/isolated_run.h"

namespace proptests {
namespace {

using Clock = std::chrono::steady_clock;

// A process is worth its birth when it does so much.
constexpr uint64_t kBatchOps = 32768;
constexpr int kTickMs = 200;
constexpr uint64_t kSampleEvery = 512;

// Of Notes::words.
enum Word : size_t { kOpsOfCase, kOpsOfWorker };

[[noreturn]] void GiveUp(const char* what) {
  std::perror(what);
  std::abort();
}

void SetTimer(double seconds) {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(seconds);
  timer.it_value.tv_usec =
      static_cast<suseconds_t>((seconds - static_cast<double>(timer.it_value.tv_sec)) * 1e6);
  setitimer(ITIMER_REAL, &timer, nullptr);
}

class Worker {
 public:
  // Forks; the child runs `batch`.
  Worker(const CampaignOptions& options, const WorkerOptions& how, std::vector<CaseTask> batch)
      : batch_(std::move(batch)) {
    void* shared =
        mmap(nullptr, sizeof(Notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) GiveUp("mmap");
    notes_ = new (shared) Notes;
    int ends[2];
    if (pipe(ends) != 0) GiveUp("pipe");
    pid_ = fork();
    if (pid_ < 0) GiveUp("fork");
    if (pid_ == 0) {
      close(ends[0]);
      Work(options, how, ends[1]);
    }
    close(ends[1]);
    fd_ = ends[0];
  }

  ~Worker() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
    close(fd_);
    munmap(notes_, sizeof(Notes));
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  int fd() const { return fd_; }
  uint64_t ops() const { return notes_->words[kOpsOfWorker]; }
  // Of the batch, those not reported yet; the first is the one under way.
  std::vector<CaseTask> Left() const {
    return {batch_.begin() + static_cast<ptrdiff_t>(reported_), batch_.end()};
  }

  // Reads what there is; whole records go to `out`. False: there will be no more.
  bool Read(std::vector<CaseRecord>* out) {
    char buffer[1 << 16];
    const ssize_t count = read(fd_, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) return true;
    if (count <= 0) return false;
    said_.append(buffer, static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end; (end = said_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      absl::StatusOr<CaseRecord> record =
          DecodeRecord(absl::string_view(said_).substr(begin, end - begin));
      if (!record.ok()) break;  // the worker damaged its own memory: it counts as a crash
      ++reported_;
      out->push_back(*std::move(record));
    }
    said_.erase(0, begin);
    return true;
  }

  // After Read said false: the failure of the case under way, if it did not finish its batch.
  std::optional<CaseRecord> Ending() {
    const int status = Wait();
    if (reported_ == batch_.size()) return std::nullopt;
    IsolatedResult result;
    result.end = IsolatedResult::End::kExit;
    if (WIFSIGNALED(status)) {
      result.code = WTERMSIG(status);
      result.end =
          result.code == SIGALRM ? IsolatedResult::End::kTimeout : IsolatedResult::End::kSignal;
    } else {
      result.code = WEXITSTATUS(status);
    }
    result.seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
    CaseRecord record;
    record.number = batch_[reported_].number;
    record.drawn = batch_[reported_].count;
    record.result.cases = 1;
    record.result.failure = FailureOfEnd(result, notes_->words[kOpsOfCase]);
    record.seconds = result.seconds;
    ++reported_;
    return record;
  }

 private:
  int Wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  [[noreturn]] void Work(const CampaignOptions& options, const WorkerOptions& how, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);  // the parent decides
    signal(SIGALRM, SIG_DFL);
    LimitThisProcess(how.limits.bytes);
    bool said = true;
    for (const CaseTask& task : batch_) {
      notes_->words[kOpsOfCase] = 0;
      SetTimer(how.limits.seconds);
      const CaseRecord record = RunOneCase(options, task, how.recheck_one_in, [&](const Session&) {
        notes_->words[kOpsOfCase] = notes_->words[kOpsOfCase] + 1;
        notes_->words[kOpsOfWorker] = notes_->words[kOpsOfWorker] + 1;
      });
      SetTimer(0);
      said = said && WriteAll(out, EncodeRecord(record) + "\n");
    }
    _exit(said ? 0 : 1);
  }

  const std::vector<CaseTask> batch_;
  const Clock::time_point begun_ = Clock::now();
  Notes* notes_ = nullptr;
  pid_t pid_ = -1;
  int fd_ = -1;
  std::string said_;
  size_t reported_ = 0;
};

class Pool {
 public:
  Pool(const CampaignOptions& options, const WorkerOptions& how, const CampaignHooks& hooks)
      : options_(options), how_(how), hooks_(hooks) {}

  CampaignEnd Run() {
    for (;;) {
      while (workers_.size() < how_.jobs && Start()) {
      }
      if (workers_.empty()) return CampaignEnd::kAllDone;
      Listen();
      if (!Deliver() || !Tick()) return CampaignEnd::kEnough;
    }
  }

 private:
  bool Start() {
    std::vector<CaseTask> batch;
    for (uint64_t ops = 0; ops < kBatchOps; ops += batch.back().count) {
      std::optional<CaseTask> task = Next();
      if (!task) break;
      batch.push_back(*task);
    }
    if (batch.empty()) return false;
    workers_.push_back(std::make_unique<Worker>(options_, how_, std::move(batch)));
    return true;
  }

  std::optional<CaseTask> Next() {
    if (!again_.empty()) {
      const CaseTask task = again_.front();
      again_.pop_front();
      return task;
    }
    std::optional<CaseTask> task = hooks_.next();
    if (task) order_.push_back(task->number);
    return task;
  }

  void Listen() {
    std::vector<pollfd> waits;
    for (const auto& worker : workers_) waits.push_back({worker->fd(), POLLIN, 0});
    if (poll(waits.data(), waits.size(), kTickMs) <= 0) return;
    std::vector<CaseRecord> records;
    for (size_t i = workers_.size(); i-- > 0;) {
      if (waits[i].revents == 0 || workers_[i]->Read(&records)) continue;
      if (std::optional<CaseRecord> record = workers_[i]->Ending(); record) {
        records.push_back(*std::move(record));
      }
      for (const CaseTask& task : workers_[i]->Left()) again_.push_back(task);
      ended_ops_ += workers_[i]->ops();
      workers_.erase(workers_.begin() + static_cast<ptrdiff_t>(i));
    }
    for (CaseRecord& record : records) ready_[record.number] = std::move(record);
  }

  bool Deliver() {
    while (!order_.empty()) {
      const auto it = ready_.find(order_.front());
      if (it == ready_.end()) return true;
      const CaseRecord record = std::move(it->second);
      ready_.erase(it);
      order_.pop_front();
      ++delivered_;
      if (!hooks_.done(record)) return false;
    }
    return true;
  }

  bool Tick() {
    if (!hooks_.tick || Clock::now() - ticked_ < std::chrono::milliseconds(kTickMs)) return true;
    ticked_ = Clock::now();
    CampaignProgress progress{ended_ops_, delivered_};
    for (const auto& worker : workers_) progress.ops += worker->ops();
    return hooks_.tick(progress);
  }

  const CampaignOptions& options_;
  const WorkerOptions& how_;
  const CampaignHooks& hooks_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::deque<CaseTask> again_;  // of workers that ended before their time
  std::deque<uint64_t> order_;  // handed out, not delivered
  std::map<uint64_t, CaseRecord> ready_;
  uint64_t ended_ops_ = 0;
  uint64_t delivered_ = 0;
  Clock::time_point ticked_ = Clock::now();
};

CampaignEnd RunHere(const CampaignOptions& options, const WorkerOptions& how,
                    const CampaignHooks& hooks) {
  CampaignProgress progress;
  bool enough = false;
  const StepHook hook = [&](const Session&) {
    if (++progress.ops % 8192 == 0 && hooks.tick) enough = enough || !hooks.tick(progress);
  };
  while (std::optional<CaseTask> task = hooks.next()) {
    const CaseRecord record = RunOneCase(options, *task, how.recheck_one_in, hook);
    ++progress.cases;
    if (!hooks.done(record) || enough) return CampaignEnd::kEnough;
  }
  return CampaignEnd::kAllDone;
}

}  // namespace

CaseRecord RunOneCase(const CampaignOptions& options, const CaseTask& task, uint64_t recheck_one_in,
                      const StepHook& hook) {
  const Clock::time_point start = Clock::now();
  CaseRecord record;
  record.number = task.number;
  record.drawn = task.count;
  const bool twice = recheck_one_in != 0 && task.number % recheck_one_in == 0;
  HashChain chain;
  uint64_t steps = 0;
  record.result = RunCase(options, task.number, task.count, [&](const Session& session) {
    if (hook) hook(session);
    if (steps++ % kSampleEvery == kSampleEvery / 2) Sample(session, &record.shape);
    if (twice) chain.push_back(LinkOf(session));
  });
  if (twice && !record.result.failure) {
    record.rechecked = true;
    record.result.failure = RunCaseAgain(options, task.number, task.count, chain);
  }
  record.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return record;
}

CampaignEnd RunCases(const CampaignOptions& options, const WorkerOptions& how,
                     const CampaignHooks& hooks) {
  if (how.jobs == 0) return RunHere(options, how, hooks);
  return Pool(options, how, hooks).Run();
}

}  // namespace proptests
