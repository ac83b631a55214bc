#include "fake_l4/priority_round_robin.h"

#include <algorithm>

namespace fake_l4 {

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
