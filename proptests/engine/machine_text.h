// proptests/engine/machine_text.h: swap devices, the keeping of free frames and the pmap as words.
//
// WHAT     What command lines, reports and saved failures say of a machine's memory, and what is
//          read back:
//            --swap       512,file:1024@200us+10us,off:driver:64#3
//            --memory     colours=4,buckets=2,lists=3,caches,events=64
//            --swap-encrypt   off, on, toggled
//            --pmap       plain, forgetful, refusing
//          A trace whose behaviour takes a particular machine says so in a comment of its header:
//            # machine frames=256 swap=512,off:64 encrypt=on memory=caches policy=clockpro
//            # machine pmap=forgetful seed=7     what it drops when is drawn from the seed
// INVARIANTS  What was printed is read back as the same. No spaces, nothing that a shell minds.
// SEE      machine/swap_set.h; machine/memory_events.h.

#ifndef PROPTESTS_ENGINE_MACHINE_TEXT_H_
#define PROPTESTS_ENGINE_MACHINE_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "machine/adverse_pmap.h"
#include "machine/memory_events.h"
#include "machine/swap_set.h"
#include "proptests/engine/session.h"
#include "traces/trace.h"

namespace proptests {

// [off:][file:|driver:]PAGES[@US[+US]][#PRIORITY] for each device, separated by commas: virtual
// time of a transfer and of each page besides, each with or without `us`. A device without a time
// takes `transfer_us`, one without a priority half its number, rounded down, so that pairs share
// one. One of 0 pages is off. Errors: a sentence that says what is wrong with which device.
absl::StatusOr<std::vector<machine::SwapSpec>> ParseSwap(absl::string_view text,
                                                         uint64_t transfer_us = 0);
std::string SwapText(const std::vector<machine::SwapSpec>& specs);

// Any of colours=N, buckets=N, lists=N, caches, events=N. Errors: likewise.
absl::StatusOr<machine::MemorySpec> ParseMemory(absl::string_view text);
// Empty: the plain one.
std::string MemoryText(const machine::MemorySpec& spec);

absl::StatusOr<machine::SwapEncryption> ParseEncryption(absl::string_view text);
const char* EncryptionText(machine::SwapEncryption encryption);

// How far UVM's pmap goes in what its contract allows (machine/adverse_pmap.h).
absl::StatusOr<machine::Adversity> ParsePmap(absl::string_view text);

// Saved sessions are taken back with all that is in memory; what lies in a file is not. An error
// that names the first device whose contents would not be.
absl::Status MayBeTakenBack(const std::vector<machine::SwapSpec>& specs);

// Frames that a machine has besides, so that events leave it as many as it would have without.
uint64_t FramesForEvents(const machine::MemorySpec& spec, uint64_t frames);

// The machine that the trace says it is for, if it says so: that replaces what `run` has of memory
// and swap, and which pmap it is unless that is said already. Errors: a sentence that says what is
// wrong in the comment.
absl::Status FollowMachineOf(const traces::Trace& trace, RunOptions* run);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_MACHINE_TEXT_H_
