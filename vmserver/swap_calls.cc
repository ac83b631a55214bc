// The calls about swap: swapctl(2) for the tasks that init made.

#include "base/check.h"
#include "uvm/swap.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::Errno;

// Devices that may be on at once, as far as kBsdSwapStats can tell.
constexpr uint32_t kMostDevices = 32;

Errno ErrnoOf(uvm::SwapError error) {
  switch (error) {
    case uvm::SwapError::kBusy:
      return Errno::kEbusy;
    case uvm::SwapError::kNotConfigured:
      return Errno::kEnxio;
    case uvm::SwapError::kInvalidArgument:
      return Errno::kEinval;
    case uvm::SwapError::kNotFound:
      return Errno::kEnoent;
    case uvm::SwapError::kNoMemory:
      return Errno::kEnomem;
    case uvm::SwapError::kAway:
      return Errno::kEio;
  }
  UNREACHABLE("no such swap error");
}

Answer AnswerOf(const base::Result<void, uvm::SwapError>& result) {
  return result.ok() ? Errno::kOk : ErrnoOf(result.error());
}

}  // namespace

uint32_t Server::NumberOf(const uvm::SwapDevice* device) const {
  uint32_t number = 0;
  while (number < config_.swap_device_count && config_.swap_devices[number] != device) ++number;
  return number;
}

Answer Server::SwapStatsOf(const Message& m) {
  uvm::SwapStats stats[kMostDevices];
  const uint32_t count = uvm_->swap().Stats(stats, kMostDevices);
  Answer answer = Answer(Errno::kOk).With(count);
  const L4_Word_t n = m.words[0];
  if (n >= count || n >= kMostDevices) return answer;
  return answer.With(NumberOf(stats[n].device))
      .With(static_cast<uint32_t>(stats[n].priority))
      .With(stats[n].pages.value())
      .With(stats[n].in_use.value())
      .With(stats[n].bad.value());
}

namespace {

// A priority is a signed number of 32 bits, extended with zeroes or with its sign.
bool IsPriority(L4_Word_t word) {
  const auto priority = static_cast<int32_t>(word);
  return word == static_cast<uint32_t>(priority) || word == static_cast<L4_Word_t>(priority);
}

}  // namespace

Answer Server::SwapCall(Task* task, const Message& m) {
  const L4_Word_t request = L4_Label(m.tag);
  if (request == kBsdSwapStats) return SwapStatsOf(m);
  if (!task->privileged) return Errno::kEperm;
  const bool exists = m.words[0] < config_.swap_device_count;
  uvm::SwapDevice* const device = exists ? config_.swap_devices[m.words[0]] : nullptr;
  switch (request) {
    case kBsdSwapOn:
      if (!exists) return Errno::kEnxio;
      if (!IsPriority(m.words[1])) return Errno::kEinval;
      return AnswerOf(uvm_->swap().On(device, static_cast<int32_t>(m.words[1])));
    case kBsdSwapOff:
      if (!exists) return Errno::kEnxio;
      return AnswerOf(uvm_->SwapOff(device));
    default:  // kBsdSwapCtl
      if (!exists) return Errno::kEnoent;
      if (!IsPriority(m.words[1])) return Errno::kEinval;
      return AnswerOf(uvm_->swap().SetPriority(device, static_cast<int32_t>(m.words[1])));
  }
}

}  // namespace vmserver
