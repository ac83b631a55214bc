// uvm/testing/drought.h: memory that is nearly used up, in a different way each time.
//
// WHAT     While a Drought lasts, data structures get no chunk any more, and of what the pools had
//          a few records of each kind are left: a random number of map entries, amaps and anons
//          (and so frames). Which allocation of the operations that follow fails is chance.
// SEE      World::FillPools, for tests that walk through all of them in order.

#ifndef UVM_TESTING_DROUGHT_H_
#define UVM_TESTING_DROUGHT_H_

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {

class Drought {
 public:
  // Leaves at most `most_left` records of each kind, and as many frames.
  Drought(World* world, base::Prng* prng, uint64_t most_left) : world_(world) {
    Result<uvm::Space*, MapError> space = world->uvm().CreateSpace(kPageZero, PageAt(kSlots));
    if (!space.ok()) return;  // that dry is it already
    space_ = space.value();
    world->memory().FailAfter(0);
    std::vector<uint64_t> entries =
        UseUp([this](uint64_t at) { return Enter(at, Sharing::kPrivate); });
    std::vector<uint64_t> amaps;
    std::vector<uint64_t> anons;
    GiveBack(&entries, 6, 0);
    amaps = UseUp([this](uint64_t at) { return Enter(at, Sharing::kShared); });
    anons = amaps;
    while (!anons.empty() &&
           world->uvm().Fault(space_, PageAt(anons.back()), Access::kWrite).ok()) {
      anons.pop_back();
    }
    GiveBack(&entries, prng->Below(most_left + 1), 0);
    GiveBack(&amaps, prng->Below(most_left + 1), 0);
    GiveBack(&amaps, prng->Below(most_left + 1), amaps.size() / 2);
  }
  ~Drought() {
    world_->memory().NeverFail();
    if (space_ != nullptr) world_->uvm().FreeSpace(space_);
  }
  Drought(const Drought&) = delete;
  Drought& operator=(const Drought&) = delete;

 private:
  static constexpr uint64_t kSlots = 4096;

  bool Enter(uint64_t page, Sharing sharing) {
    return space_->map()
        .Enter({.at = PageAt(page),
                .size = base::kPageSize,
                .where = Map::Where::kFixed,
                .prot = base::kProtReadWrite,
                .sharing = sharing})
        .ok();
  }
  // Takes every other page, so that nothing merges, until there is no more.
  template <typename Take>
  std::vector<uint64_t> UseUp(Take take) {
    std::vector<uint64_t> taken;
    while (next_ + 2 < kSlots && take(next_)) {
      taken.push_back(next_);
      next_ += 2;
    }
    return taken;
  }
  void GiveBack(std::vector<uint64_t>* taken, uint64_t count, uint64_t from) {
    for (; count > 0 && from < taken->size(); --count) {
      EXPECT_TRUE(space_->map().Unmap(Pages((*taken)[from], 1)).ok());
      taken->erase(taken->begin() + static_cast<std::ptrdiff_t>(from));
    }
  }

  World* const world_;
  uvm::Space* space_ = nullptr;
  uint64_t next_ = 0;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_DROUGHT_H_
