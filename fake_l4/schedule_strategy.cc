#include "fake_l4/schedule_strategy.h"

#include <bit>

namespace fake_l4 {

void PriorityRoundRobin::Add(Runnable& t, QueueEnd end) {
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

void PriorityRoundRobin::Remove(Runnable& t) {
  Queue& q = queues_[t.priority];
  (t.prev != nullptr ? t.prev->next : q.head) = t.next;
  (t.next != nullptr ? t.next->prev : q.tail) = t.prev;
  t.next = t.prev = nullptr;
  t.queued = false;
  if (q.head == nullptr) nonempty_[t.priority / 64] &= ~(uint64_t{1} << t.priority % 64);
}

int PriorityRoundRobin::Highest() const {
  for (int word = 3; word >= 0; word--) {
    if (nonempty_[word] != 0) return word * 64 + 63 - std::countl_zero(nonempty_[word]);
  }
  return -1;
}

Runnable* PriorityRoundRobin::Take() {
  const int priority = Highest();
  if (priority < 0) return nullptr;
  Runnable* t = queues_[priority].head;
  Remove(*t);
  return t;
}

bool PriorityRoundRobin::Preempts(const Runnable& woken, const Runnable& current) const {
  return woken.priority > current.priority;
}

bool PriorityRoundRobin::HandsOver(const Runnable&, const Runnable& partner) const {
  return partner.priority >= Highest();
}

}  // namespace fake_l4
