// Any bytes as operations: the system does what the model allows, and no invariant breaks.
//
// Built with libFuzzer as //proptests:ops_fuzzer (manual), where inputs that reach new code are
// kept and changed further; with ops_fuzzer_main.cc it runs over files, as a test.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "proptests/engine/emit.h"
#include "proptests/engine/encoded_ops.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint32_t kTasks = 6;
  constexpr uint32_t kPages = 24;
  const proptests::EncodedOps input = proptests::DecodeOps(data, size, kTasks, kPages);
  if (input.ops.empty()) return 0;
  proptests::RunOptions options;
  options.machine.ram_bytes = uint64_t{16} << 20;
  options.max_live_tasks = kTasks;
  options.whole_every = 16;
  const proptests::RunResult result = proptests::RunOps(input.ops, input.files, options);
  if (!result.failure) return 0;
  const proptests::ShrinkOutcome shrunk =
      proptests::ShrinkRun(input.ops, input.files, options, *result.failure);
  proptests::FailureReport report;
  report.failure = shrunk.shrunk.failure;
  report.ops = shrunk.shrunk.smallest.ops;
  report.files = input.files;
  report.origin = "ops_fuzzer";
  report.replay = "./vmsim replay";
  const traces::Trace trace = proptests::FailureTrace(report, "ops_fuzzer");
  std::fprintf(stderr, "%s\n%s", proptests::FingerprintText(report.failure.print).c_str(),
               traces::FormatTrace(trace).c_str());
  std::abort();
}
