// uvm/testing/translating_machine.h: a pmap of the tests as the contract's judge wants it.
//
// WHAT     Calls are made at once, and an access is one Translate() of the pmap's own processor.
// SEE      uvm/testing/pmap_contract.h.

#ifndef UVM_TESTING_TRANSLATING_MACHINE_H_
#define UVM_TESTING_TRANSLATING_MACHINE_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "uvm/testing/pmap_contract.h"

namespace uvm::testing {

// `System` has Create(), Kernel(), Translate() and device_frame().
template <typename System>
class TranslatingMachine : public PmapMachine {
 public:
  explicit TranslatingMachine(uint64_t frames) : pmap_(frames) {}
  PmapSystem& system() override { return pmap_; }
  void Call(const std::function<void()>& call) override { call(); }
  Pmap* NewClient(uint32_t client) override {
    if (clients_.size() <= client) clients_.resize(client + 1);
    return clients_[client] = pmap_.Create().value();
  }
  void EndClient(uint32_t) override {}
  void Access(Touch* touch) override {
    touch->done = UseWord(pmap_.Translate(clients_[touch->client], touch->va, touch->access),
                          touch->access, &touch->word);
  }
  bool KernelAccess(base::Vaddr va, base::Access access, uint64_t* word) override {
    return UseWord(pmap_.Translate(pmap_.Kernel(), va, access), access, word);
  }
  std::vector<base::Paddr> Unmanaged() override {
    return {pmap_.device_frame(0), pmap_.device_frame(1)};
  }

 protected:
  System pmap_;

 private:
  static bool UseWord(unsigned char* at, base::Access access, uint64_t* word) {
    if (at == nullptr) return false;
    if (access == base::Access::kWrite) std::memcpy(at, word, sizeof *word);
    if (access == base::Access::kRead) std::memcpy(word, at, sizeof *word);
    return true;
  }

  std::vector<Pmap*> clients_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_TRANSLATING_MACHINE_H_
