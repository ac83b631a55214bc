// model/swap.cc: swapctl(2): which devices are on, with which priorities.
//
// SEE      facts/uvm.md 1.12, 2.13. Nothing here is shared with vmserver, on purpose (design D11).

#include "model/step.h"

namespace model {
namespace {

using base::Errno;
using traces::OpKind;

Step Change() {
  Step step = Answer(Errno::kOk);
  step.action = Step::Action::kSwap;
  return step;
}

Step Count(const SwapTable& swap) {
  Step step = Answer(Errno::kOk);
  for (const SwapTable::Device& device : swap.devices) step.outcome.value += device.on ? 1 : 0;
  return step;
}

}  // namespace

Step DecodeSwap(const Query& q) {
  if (q.op.kind == OpKind::kSwapStats) return Count(*q.swap);
  if (!traces::IsSwapCall(q.op.kind)) return DecodeThreadCall(q);
  // What init made is what the system's owner runs.
  if (q.caller->owner != 0) return Answer(Errno::kEperm);
  const bool exists = q.op.device < q.swap->devices.size();
  const SwapTable::Device device = exists ? q.swap->devices[q.op.device] : SwapTable::Device();
  switch (q.op.kind) {
    case OpKind::kSwapOn: {
      if (device.on) return Answer(Errno::kEbusy);
      if (device.pages == 0) return Answer(Errno::kEnxio);
      // The first page is a label: nothing would be left.
      if (device.pages == 1) return Answer(Errno::kEinval);
      Step step = Change();
      step.shortage_code = static_cast<int32_t>(Errno::kEnomem);
      return step;
    }
    case OpKind::kSwapOff: {
      if (!device.on) return Answer(Errno::kEnxio);
      // What lies there may not fit into memory, and the model does not know what lies there.
      Step step = Change();
      step.refusal_code = static_cast<int32_t>(Errno::kEnomem);
      return step;
    }
    default:  // kSwapCtl
      return device.on ? Change() : Answer(Errno::kEnoent);
  }
}

void CommitSwap(const traces::ResolvedOp& op, SwapTable* swap) {
  SwapTable::Device& device = swap->devices[op.device];
  device.on = op.kind != OpKind::kSwapOff;
  device.priority = op.priority;
}

}  // namespace model
