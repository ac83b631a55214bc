// ProcessorControl and MemoryControl. X.2 manual: "ProcessorControl", "MemoryControl".
#include <l4/kip.h>
#include <l4/thread.h>

#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

L4_Word_t Fail(Thread& self, L4_Word_t error) {
  self.utcb.error_code = error;
  // Time has passed all the same.
  self.core->Preempt();
  return 0;
}

}  // namespace

L4_Word_t Core::ProcessorControl(Thread& self, L4_Word_t processor, L4_Word_t internal_khz,
                                 L4_Word_t external_khz) {
  Enter(profile_.costs.system_call);
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  if (options_.quirks.no_processor_control) {
    Preempt();
    return 0;
  }
  if (processor >= options_.processors) return Fail(self, L4_ERROR_INVALID_PARAMETER);
  // Simulated time knows no clock rates; the kernel interface page tells them.
  SetProcessorKhz(static_cast<unsigned>(processor), external_khz, internal_khz);
  Preempt();
  return 1;
}

L4_Word_t Core::MemoryControl(Thread& self, L4_Word_t control, const L4_Word_t attributes[4]) {
  Enter(profile_.costs.system_call);
  if (!self.space->privileged) return Fail(self, L4_ERROR_NO_PRIVILEGE);
  const unsigned count = (control & 63) + 1;
  // Decode all, then change something.
  for (unsigned i = 0; i < count; i++) {
    const L4_Word_t attribute = attributes[self.utcb.mr[i] & 3];
    if (!KnowsMemoryAttribute(attribute)) return Fail(self, L4_ERROR_INVALID_PARAMETER);
  }
  for (unsigned i = 0; i < count; i++) {
    const L4_Word_t word = self.utcb.mr[i];
    const FpageValue f = DecodeFpage(word, profile_);
    if (!f.nil()) SetMemoryAttribute(*self.space, f, static_cast<uint8_t>(attributes[word & 3]));
  }
  Preempt();
  return 1;
}

bool Core::KnowsMemoryAttribute(L4_Word_t attribute) const {
  return attribute < 32 && (profile_.memory_attributes >> attribute & 1) != 0;
}

void Core::SetMemoryAttribute(const Space& space, const FpageValue& f, uint8_t attribute) {
  const auto set = [&](uint64_t paddr) {
    if (attribute == 0) {
      memory_attributes_.erase(paddr >> kPageShift);
    } else {
      memory_attributes_[paddr >> kPageShift] = attribute;
    }
  };
  const uint64_t end = f.base + (uint64_t{1} << f.log2);
  if (space.id == kSigma0Space) {
    const uint64_t first = std::max(f.base, profile_.ram_base);
    const uint64_t last = std::min(end, profile_.ram_base + (frames() << kPageShift));
    for (uint64_t p = first; p < last; p += kPageBytes) set(p);
    return;
  }
  // The attribute is that of the memory, whatever the sizes of the pages that map it.
  kernel_->ForEachPage(space.id, [&](const Mapping& m) {
    if (m.va.value() >= f.base && m.va.value() < end) set(m.frame.value());
  });
}

}  // namespace fake_l4
