// fake_l4/priority_round_robin.h: the scheduling that the manual describes.
//
// WHAT     PriorityRoundRobin: on one processor, highest priority first, first come first served
//          within one. ProcessorRoundRobin: the same on each of several processors, and the
//          processor whose clock is furthest behind runs next.
// SEE      schedule_strategy.h; processor.h (clocks); X.2 manual: "Scheduling", "Schedule".
#ifndef FAKE_L4_PRIORITY_ROUND_ROBIN_H_
#define FAKE_L4_PRIORITY_ROUND_ROBIN_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

class PriorityRoundRobin final : public ScheduleStrategy {
 public:
  void Add(Runnable& t, QueueEnd end) override;
  void Remove(Runnable& t) override;
  Runnable* Take() override;
  bool Preempts(const Runnable& woken, const Runnable& current) const override;
  bool HandsOver(const Runnable& current, const Runnable& partner, HandOver why) override;
  bool Rotates(const Runnable& current) const override;
  // What Take would return.
  Runnable* Peek() const;
  // The priority of that; -1 when nothing is queued.
  int Highest() const;

 private:
  struct Queue {
    Runnable* head = nullptr;
    Runnable* tail = nullptr;
  };

  std::array<Queue, 256> queues_;
  std::array<uint64_t, 4> nonempty_ = {};  // bit p: queues_[p] has a thread
};

class ProcessorRoundRobin final : public ScheduleStrategy {
 public:
  // `clocks_ns`: one for each processor, that of the running one not up to date. Raised here when
  // work arrives at a processor that has none. Outlives the strategy.
  explicit ProcessorRoundRobin(std::vector<uint64_t>* clocks_ns);
  void Add(Runnable& t, QueueEnd end) override;
  void Remove(Runnable& t) override;
  Runnable* Take() override;
  bool Preempts(const Runnable& woken, const Runnable& current) const override;
  bool HandsOver(const Runnable& current, const Runnable& partner, HandOver why) override;
  bool Rotates(const Runnable& current) const override;
  PointMask Points() const override { return kAllPoints; }
  // True when another processor with something to run is behind.
  bool Switches(SchedulePoint point, const Runnable& current, uint64_t now_ns) override;

 private:
  struct Processor {
    PriorityRoundRobin queue;
    size_t queued = 0;
  };
  static constexpr size_t kNone = SIZE_MAX;
  // The one that has something to run and is furthest behind, the first of several.
  size_t FurthestBehind() const;

  std::vector<uint64_t>& clocks_ns_;
  std::vector<Processor> processors_;
};

// In line for the kernel's fast path, which knows the class.

inline void PriorityRoundRobin::Add(Runnable& t, QueueEnd end) {
  Queue& q = queues_[t.priority];
  nonempty_[t.priority / 64] |= uint64_t{1} << t.priority % 64;
  t.queued = true;
  if (q.head == nullptr) {
    t.next = t.prev = nullptr;
    q.head = q.tail = &t;
  } else if (end == QueueEnd::kFront) {
    t.prev = nullptr;
    t.next = q.head;
    q.head->prev = &t;
    q.head = &t;
  } else {
    t.next = nullptr;
    t.prev = q.tail;
    q.tail->next = &t;
    q.tail = &t;
  }
}

inline void PriorityRoundRobin::Remove(Runnable& t) {
  Queue& q = queues_[t.priority];
  (t.prev != nullptr ? t.prev->next : q.head) = t.next;
  (t.next != nullptr ? t.next->prev : q.tail) = t.prev;
  t.next = t.prev = nullptr;
  t.queued = false;
  if (q.head == nullptr) nonempty_[t.priority / 64] &= ~(uint64_t{1} << t.priority % 64);
}

inline int PriorityRoundRobin::Highest() const {
  for (int word = 3; word >= 0; word--) {
    if (nonempty_[word] != 0) return word * 64 + 63 - std::countl_zero(nonempty_[word]);
  }
  return -1;
}

inline Runnable* PriorityRoundRobin::Peek() const {
  const int priority = Highest();
  return priority < 0 ? nullptr : queues_[priority].head;
}

inline Runnable* PriorityRoundRobin::Take() {
  Runnable* t = Peek();
  if (t != nullptr) Remove(*t);
  return t;
}

inline bool PriorityRoundRobin::Preempts(const Runnable& woken, const Runnable& current) const {
  return woken.priority > current.priority;
}

inline bool PriorityRoundRobin::HandsOver(const Runnable&, const Runnable& partner, HandOver why) {
  return why == HandOver::kThreadSwitch || partner.priority >= Highest();
}

inline bool PriorityRoundRobin::Rotates(const Runnable& current) const {
  return Highest() >= current.priority;
}

}  // namespace fake_l4

#endif  // FAKE_L4_PRIORITY_ROUND_ROBIN_H_
