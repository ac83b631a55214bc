#include "fake_l4/schedule_strategy.h"

namespace fake_l4 {

bool ScheduleStrategy::Switches(SchedulePoint, const Runnable&, uint64_t) { return false; }

void ScheduleStrategy::Yields(const Runnable&) {}

}  // namespace fake_l4
