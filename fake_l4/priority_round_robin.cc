#include "fake_l4/priority_round_robin.h"

#include <algorithm>
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

Runnable* PriorityRoundRobin::Peek() const {
  const int priority = Highest();
  return priority < 0 ? nullptr : queues_[priority].head;
}

Runnable* PriorityRoundRobin::Take() {
  Runnable* t = Peek();
  if (t != nullptr) Remove(*t);
  return t;
}

bool PriorityRoundRobin::Preempts(const Runnable& woken, const Runnable& current) const {
  return woken.priority > current.priority;
}

bool PriorityRoundRobin::HandsOver(const Runnable&, const Runnable& partner, HandOver why) {
  return why == HandOver::kThreadSwitch || partner.priority >= Highest();
}

bool PriorityRoundRobin::Rotates(const Runnable& current) const {
  return Highest() >= current.priority;
}

// ---- Several processors ----

ProcessorRoundRobin::ProcessorRoundRobin(std::vector<uint64_t>* clocks_ns)
    : clocks_ns_(*clocks_ns), processors_(clocks_ns->size()) {}

void ProcessorRoundRobin::Add(Runnable& t, QueueEnd end) {
  Processor& p = processors_[t.processor];
  uint64_t& clock_ns = clocks_ns_[t.processor];
  // Until it came there was nothing to do.
  if (p.queued++ == 0) clock_ns = std::max(clock_ns, t.ready_ns);
  p.queue.Add(t, end);
}

void ProcessorRoundRobin::Remove(Runnable& t) {
  Processor& p = processors_[t.processor];
  p.queued--;
  p.queue.Remove(t);
}

size_t ProcessorRoundRobin::FurthestBehind() const {
  size_t first = kNone;
  for (size_t i = 0; i < processors_.size(); i++) {
    if (processors_[i].queued == 0) continue;
    if (first == kNone || clocks_ns_[i] < clocks_ns_[first]) first = i;
  }
  return first;
}

Runnable* ProcessorRoundRobin::Take() {
  const size_t i = FurthestBehind();
  if (i == kNone) return nullptr;
  processors_[i].queued--;
  return processors_[i].queue.Take();
}

bool ProcessorRoundRobin::Preempts(const Runnable& woken, const Runnable& current) const {
  return woken.processor == current.processor && woken.priority > current.priority;
}

bool ProcessorRoundRobin::HandsOver(const Runnable& current, const Runnable& partner,
                                    HandOver why) {
  if (partner.processor != current.processor) return false;
  return processors_[partner.processor].queue.HandsOver(current, partner, why);
}

bool ProcessorRoundRobin::Rotates(const Runnable& current) const {
  return processors_[current.processor].queue.Rotates(current);
}

bool ProcessorRoundRobin::Switches(SchedulePoint, const Runnable&, uint64_t now_ns) {
  const size_t behind = FurthestBehind();
  return behind != kNone && clocks_ns_[behind] < now_ns;
}

}  // namespace fake_l4
