// proptests/engine/liveness.h: after everything was allowed to fail, everything must converge.
//
// WHAT     Converge is the last phase of a case: no fault is injected any more, and every task that
//          is alive acts: it reads every page of its map that it may read, one page of each region
//          is written, one child is forked and leaves. Each of these operations must end, with an
//          outcome and with contents that the model holds right: what faults interrupted before
//          was only late. The end of the session then takes everything down. Where more is mapped
//          than the machine has frames, operations may report a shortage from when all frames have
//          been in use (RunOptions::shortage_when_full), and only from then on.
// SEE      facts/verification.md 1.1 (VOPR: safety, then liveness); docs/TESTING.md.

#ifndef PROPTESTS_ENGINE_LIVENESS_H_
#define PROPTESTS_ENGINE_LIVENESS_H_

#include <functional>
#include <vector>

#include "proptests/engine/session.h"
#include "traces/op.h"

namespace proptests {

// The hook is called after each operation; it and `performed`, which receives the operations, may
// be null. True: the session did not fail.
bool Converge(Session* session, const std::function<void(const Session&)>& hook,
              std::vector<traces::Op>* performed = nullptr);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_LIVENESS_H_
