// proptests/engine/state_hash.h: one number for a state of the system, for who wants to know
//                                whether it was met before.
//
// WHAT     What can make a difference to what happens next, by structure: the live tasks in order
// of
//          label, their map entries with all attributes, which layers entries share, slots and
//          reference counts of amaps, which anons amaps share, the pages of anons and objects with
//          their states, the translations of the pmap and of the kernel. Addresses of the host and
//          numbers that only count (ids, stamps, generations, time) do not matter; records are
//          named in the order in which they are met.
//          Left out, because nobody above may be able to tell: the orders of free lists and queues,
//          hints, aliases, status bits not yet collected, contents (the model has them:
//          World::StateHash).
// SEE      exhaust.h.

#ifndef PROPTESTS_ENGINE_STATE_HASH_H_
#define PROPTESTS_ENGINE_STATE_HASH_H_

#include <cstdint>

#include "machine/machine.h"

namespace proptests {

// Const to the eye: takes a machine that hands out its insides only when it may change.
uint64_t SystemStateHash(machine::Machine* machine);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_STATE_HASH_H_
