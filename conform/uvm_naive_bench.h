// conform/uvm_naive_bench.h: replays over the naive pmap: no kernel, no messages.
//
// SEE      uvm/testing/naive_pmap.h; conform/uvm_bench.h.
#ifndef CONFORM_UVM_NAIVE_BENCH_H_
#define CONFORM_UVM_NAIVE_BENCH_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "conform/uvm_bench.h"
#include "conform/uvm_recording.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"
#include "uvm/uvm.h"

namespace conform {

class UvmNaiveBench final : public UvmBench {
 public:
  explicit UvmNaiveBench(uint64_t frames)
      : pmap_(frames), uvm_({.memory = &memory_, .pmap = &pmap_, .threads = &threads_}) {}
  static std::unique_ptr<UvmBench> Make(const UvmSequence& sequence) {
    return std::make_unique<UvmNaiveBench>(sequence.pages - sequence.reserve);
  }

  uvm::Uvm& uvm() override { return uvm_; }
  uvm::testing::NaivePmap& pmap() { return pmap_; }
  void Do(absl::FunctionRef<void()> job) override { job(); }
  UvmAccess Load(uvm::Space* space, base::Vaddr va, uint8_t* byte) override {
    unsigned char* at = nullptr;
    const UvmAccess access = Access(space, va, base::Access::kRead, &at);
    if (access.ok) *byte = *at;
    return access;
  }
  UvmAccess Store(uvm::Space* space, base::Vaddr va, uint8_t byte) override {
    unsigned char* at = nullptr;
    const UvmAccess access = Access(space, va, base::Access::kWrite, &at);
    if (access.ok) *at = byte;
    return access;
  }
  void Born(uvm::Space*) override {}
  void Gone(uvm::Space*) override {}
  const std::string& problem() const override { return problem_; }

 private:
  UvmAccess Access(uvm::Space* space, base::Vaddr va, base::Access access, unsigned char** at) {
    constexpr int kTries = 4;
    for (int i = 0; i < kTries; i++) {
      *at = pmap_.Translate(space->pmap(), va, access);
      if (*at != nullptr) return {};
      const auto fault = uvm_.Fault(space, va, access);
      if (!fault.ok()) return {.ok = false, .error = fault.error()};
    }
    problem_ = "a fault brings no translation";
    return {.ok = false, .error = base::FaultError::kNoEntry};
  }

  uvm::testing::HostPages memory_;
  uvm::testing::NaivePmap pmap_;
  uvm::testing::FakeThreads threads_;
  uvm::Uvm uvm_;
  std::string problem_;
};

}  // namespace conform

#endif  // CONFORM_UVM_NAIVE_BENCH_H_
