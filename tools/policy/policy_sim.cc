#include "tools/policy/policy_sim.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "uvm/page.h"
#include "uvm/pdpolicy.h"
#include "uvm/pdpolicy_clock.h"
#include "uvm/pdpolicy_clockpro.h"
#include "uvm/pdpolicy_simple.h"

namespace tools::policy {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
constexpr size_t kEventsBetween = 1 << 14;  // calls of Progress

// Tells about progress every now and then.
class Pace {
 public:
  explicit Pace(const Progress& progress) : progress_(progress) {}
  ~Pace() {
    if (progress_ && done_ > 0) progress_(done_);
  }
  void Step() {
    if (++done_ == kEventsBetween && progress_) progress_(std::exchange(done_, 0));
  }

 private:
  const Progress& progress_;
  uint64_t done_ = 0;
};

// Memory for what a policy remembers.
class HostMemory final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override {
    constexpr size_t kAlignment = 4096;
    chunks_.emplace_back(new unsigned char[bytes + kAlignment]());
    const auto at = reinterpret_cast<uintptr_t>(chunks_.back().get());
    return reinterpret_cast<void*>((at + kAlignment - 1) & ~(kAlignment - 1));
  }

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

// Which page is in which frame, for all methods.
class Frames {
 public:
  Frames(const TouchStream& touches, uint32_t frames)
      : frame_of_(touches.pages(), kNone),
        page_in_(frames, kNone),
        dirty_(frames),
        seen_(touches.pages()) {
    free_.reserve(frames);
    for (uint32_t frame = frames; frame-- > 0;) free_.push_back(frame);
  }

  uint32_t FrameOf(uint32_t page) const { return frame_of_[page]; }
  uint32_t PageIn(uint32_t frame) const { return page_in_[frame]; }
  size_t free_count() const { return free_.size(); }
  void NoteWrite(uint32_t frame) { dirty_[frame] = true; }
  // REQUIRES: free_count() > 0.
  uint32_t BringIn(uint32_t page) {
    const uint32_t frame = free_.back();
    free_.pop_back();
    frame_of_[page] = frame;
    page_in_[frame] = page;
    dirty_[frame] = false;
    ++counts_.misses;
    if (!seen_[page]) ++counts_.first;
    seen_[page] = true;
    return frame;
  }
  void Evict(uint32_t frame) {
    if (dirty_[frame]) ++counts_.page_outs;
    Release(frame);
  }
  // The page's contents are worth nothing.
  void Release(uint32_t frame) {
    frame_of_[page_in_[frame]] = kNone;
    page_in_[frame] = kNone;
    free_.push_back(frame);
  }
  const MissCounts& counts() const { return counts_; }

 private:
  std::vector<uint32_t> frame_of_;  // by page
  std::vector<uint32_t> page_in_;   // by frame
  std::vector<bool> dirty_;         // by frame
  std::vector<bool> seen_;          // by page
  std::vector<uint32_t> free_;
  MissCounts counts_;
};

// One of the machine's own policies, and the rest of the machine as far as it sees it.
class PolicyMachine final : public uvm::PolicyDoor {
 public:
  PolicyMachine(uvm::PagePolicy* policy, const TouchStream& touches, uint32_t frames)
      : touches_(touches),
        policy_(policy),
        frames_(touches, frames),
        target_(FreeTarget(frames)),
        descriptors_(new uvm::Page[frames]),
        used_(frames) {
    policy->SetDoor(this);
    policy->Tune(uvm::PageCount(frames));
  }

  MissCounts Run(const Progress& progress) {
    Pace pace(progress);
    for (size_t i = 0; i < touches_.size(); ++i) {
      const Touch touch = touches_[i];
      if (touch.kind == TouchKind::kGone) {
        Forget(touch.page);
      } else {
        Use(touch);
      }
      pace.Step();
    }
    return frames_.counts();
  }

  // PolicyDoor: nobody else is here, and nothing is ever locked.
  bool TryLockOwner(uvm::Page*) override { return true; }
  void UnlockOwner(uvm::Page*) override {}
  bool ClearReference(uvm::Page* page) override {
    return std::exchange(used_[FrameOf(page)], uint8_t{0}) != 0;
  }
  bool IsReferenced(uvm::Page* page) override { return used_[FrameOf(page)] != 0; }
  PageSort SortOf(const uvm::Page* page) override {
    return touches_.sort(frames_.PageIn(FrameOf(page)));
  }
  uint64_t NameOf(const uvm::Page* page) override { return frames_.PageIn(FrameOf(page)); }
  bool DropSwap(uvm::Page*) override { return false; }

 private:
  uint32_t FrameOf(const uvm::Page* page) const {
    return static_cast<uint32_t>(page - descriptors_.get());
  }

  void Use(Touch touch) {
    uint32_t frame = frames_.FrameOf(touch.page);
    if (frame == kNone) {
      if (frames_.free_count() == 0) Reclaim();
      frame = frames_.BringIn(touch.page);
      uvm::Page* page = &descriptors_[frame];
      page->free = false;
      while (!intents_.Note(page, uvm::Intent::kActivate)) intents_.Flush(policy_);
    }
    used_[frame] = 1;
    if (touch.kind == TouchKind::kWrite) frames_.NoteWrite(frame);
  }

  void Leave(uint32_t frame) {
    uvm::Page* page = &descriptors_[frame];
    uvm::PageIntents::Cancel(page);
    if (page->queue != uvm::PageQueue::kNone) policy_->Dequeue(page);
    page->free = true;
    used_[frame] = 0;
  }

  void Forget(uint32_t page) {
    const uint32_t frame = frames_.FrameOf(page);
    if (frame == kNone) return policy_->Forget(page);
    Leave(frame);
    frames_.Release(frame);
  }

  void Reclaim() {
    constexpr int kMostRounds = 8;
    for (int round = 0; round < kMostRounds && frames_.free_count() == 0; ++round) {
      intents_.Flush(policy_);
      policy_->BeginScan();
      while (frames_.free_count() < target_) {
        const uvm::Page* victim = policy_->SelectVictim();
        if (victim == nullptr) break;
        const uint32_t frame = FrameOf(victim);
        Leave(frame);
        frames_.Evict(frame);
      }
      policy_->EndScan();
      policy_->Balance(uvm::PageCount(0));
    }
    CHECK(frames_.free_count() > 0);
  }

  const TouchStream& touches_;
  uvm::PagePolicy* const policy_;
  Frames frames_;
  const uint32_t target_;
  const std::unique_ptr<uvm::Page[]> descriptors_;
  uvm::PageIntents intents_;
  std::vector<uint8_t> used_;  // reference bits, by frame
};

// Least recently used: a list of frames by last use.
class LruMachine {
 public:
  LruMachine(const TouchStream& touches, uint32_t frames)
      : touches_(touches),
        frames_(touches, frames),
        next_(frames + 1),
        previous_(frames + 1),
        head_(frames) {
    next_[head_] = previous_[head_] = head_;
  }

  MissCounts Run(const Progress& progress) {
    Pace pace(progress);
    for (size_t i = 0; i < touches_.size(); ++i) {
      const Touch touch = touches_[i];
      uint32_t frame = frames_.FrameOf(touch.page);
      if (frame != kNone) Unlink(frame);
      if (touch.kind == TouchKind::kGone) {
        if (frame != kNone) frames_.Release(frame);
      } else {
        if (frame == kNone) frame = Miss(touch.page);
        if (touch.kind == TouchKind::kWrite) frames_.NoteWrite(frame);
        LinkFirst(frame);
      }
      pace.Step();
    }
    return frames_.counts();
  }

 private:
  uint32_t Miss(uint32_t page) {
    if (frames_.free_count() == 0) {
      const uint32_t oldest = previous_[head_];
      Unlink(oldest);
      frames_.Evict(oldest);
    }
    return frames_.BringIn(page);
  }
  void Unlink(uint32_t frame) {
    next_[previous_[frame]] = next_[frame];
    previous_[next_[frame]] = previous_[frame];
  }
  void LinkFirst(uint32_t frame) {
    next_[frame] = next_[head_];
    previous_[frame] = head_;
    previous_[next_[frame]] = frame;
    next_[head_] = frame;
  }

  const TouchStream& touches_;
  Frames frames_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
  const uint32_t head_;
};

// Belady's MIN: the page whose next use is farthest away goes. A heap of frames by next use, in
// which each frame knows its place.
class MinMachine {
 public:
  MinMachine(const TouchStream& touches, uint32_t frames)
      : touches_(touches), frames_(touches, frames), next_use_(frames), place_(frames) {
    heap_.reserve(frames);
  }

  MissCounts Run(const Progress& progress) {
    const std::vector<uint32_t> next = NextUses();
    Pace pace(progress);
    for (size_t i = 0; i < touches_.size(); ++i) {
      const Touch touch = touches_[i];
      uint32_t frame = frames_.FrameOf(touch.page);
      if (touch.kind == TouchKind::kGone) {
        if (frame != kNone) {
          Take(frame);
          frames_.Release(frame);
        }
      } else {
        if (frame == kNone) {
          frame = Miss(touch.page);
          Put(frame, next[i]);
        } else {
          Later(frame, next[i]);
        }
        if (touch.kind == TouchKind::kWrite) frames_.NoteWrite(frame);
      }
      pace.Step();
    }
    return frames_.counts();
  }

 private:
  static constexpr uint32_t kNever = ~uint32_t{0};

  // By event: the next event that touches the same page.
  std::vector<uint32_t> NextUses() const {
    std::vector<uint32_t> next(touches_.size());
    std::vector<uint32_t> coming(touches_.pages(), kNever);
    for (size_t i = touches_.size(); i-- > 0;) {
      const Touch touch = touches_[i];
      next[i] = coming[touch.page];
      if (touch.kind != TouchKind::kGone) coming[touch.page] = static_cast<uint32_t>(i);
    }
    return next;
  }

  uint32_t Miss(uint32_t page) {
    if (frames_.free_count() == 0) {
      const uint32_t farthest = heap_.front();
      Take(farthest);
      frames_.Evict(farthest);
    }
    return frames_.BringIn(page);
  }

  void Set(size_t at, uint32_t frame) {
    heap_[at] = frame;
    place_[frame] = at;
  }
  void SiftUp(size_t at) {
    const uint32_t frame = heap_[at];
    while (at > 0 && next_use_[heap_[(at - 1) / 2]] < next_use_[frame]) {
      Set(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    Set(at, frame);
  }
  void SiftDown(size_t at) {
    const uint32_t frame = heap_[at];
    for (size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
      if (child + 1 < heap_.size() && next_use_[heap_[child]] < next_use_[heap_[child + 1]])
        ++child;
      if (next_use_[heap_[child]] <= next_use_[frame]) break;
      Set(at, heap_[child]);
    }
    Set(at, frame);
  }
  void Put(uint32_t frame, uint32_t next) {
    next_use_[frame] = next;
    heap_.push_back(frame);
    SiftUp(heap_.size() - 1);
  }
  // A use only ever moves the next one away.
  void Later(uint32_t frame, uint32_t next) {
    next_use_[frame] = next;
    SiftUp(place_[frame]);
  }
  void Take(uint32_t frame) {
    const size_t at = place_[frame];
    const uint32_t last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    Set(at, last);
    SiftDown(at);
    SiftUp(place_[last]);
  }

  const TouchStream& touches_;
  Frames frames_;
  std::vector<uint32_t> next_use_;  // by frame
  std::vector<size_t> place_;       // by frame: in heap_
  std::vector<uint32_t> heap_;      // frames, the one whose next use is farthest first
};

MissCounts RunPolicy(uvm::PagePolicy* policy, const TouchStream& touches, uint32_t frames,
                     const Progress& progress) {
  return PolicyMachine(policy, touches, frames).Run(progress);
}

MissCounts RunClockPro(uvm::ColdTarget target, const TouchStream& touches, uint32_t frames,
                       const Progress& progress) {
  HostMemory memory;
  uvm::ClockProPolicy policy(&memory, uvm::PageCount(frames));
  uvm::ClockProTunables tunables;
  tunables.target = target;
  CHECK(policy.SetTunables(tunables).ok());
  return RunPolicy(&policy, touches, frames, progress);
}

}  // namespace

const char* MethodName(Method method) {
  switch (method) {
    case Method::kClock:
      return "clock";
    case Method::kClockPlain:
      return "clock-plain";
    case Method::kClockPro:
      return "clockpro";
    case Method::kClockProAdaptive:
      return "clockpro-adaptive";
    case Method::kFifo:
      return "fifo";
    case Method::kLru:
      return "lru";
    case Method::kMin:
      return "min";
  }
  UNREACHABLE("no such method");
}

bool MethodOfName(const std::string& name, Method* method) {
  for (const Method candidate : kMethods) {
    if (name != MethodName(candidate)) continue;
    *method = candidate;
    return true;
  }
  return false;
}

uint32_t FreeTarget(uint32_t frames) { return std::max<uint32_t>(1, frames / 150); }

MissCounts Simulate(Method method, const TouchStream& touches, uint32_t frames,
                    const Progress& progress) {
  CHECK(frames > 0);
  switch (method) {
    case Method::kClock: {
      uvm::ClockPolicy policy;
      return RunPolicy(&policy, touches, frames, progress);
    }
    case Method::kClockPlain: {
      uvm::ClockPolicy policy;
      uvm::ClockTunables tunables;
      for (uint32_t sort = 0; sort < uvm::kPageSorts; ++sort)
        tunables.min[sort] = 0, tunables.max[sort] = 100;
      CHECK(policy.SetTunables(tunables).ok());
      return RunPolicy(&policy, touches, frames, progress);
    }
    case Method::kClockPro:
      return RunClockPro(uvm::ColdTarget::kFixed, touches, frames, progress);
    case Method::kClockProAdaptive:
      return RunClockPro(uvm::ColdTarget::kAdaptive, touches, frames, progress);
    case Method::kFifo: {
      uvm::SimplePolicy policy;
      return RunPolicy(&policy, touches, frames, progress);
    }
    case Method::kLru:
      return LruMachine(touches, frames).Run(progress);
    case Method::kMin:
      return MinMachine(touches, frames).Run(progress);
  }
  UNREACHABLE("no such method");
}

}  // namespace tools::policy
