// uvm/testing/pattern_pager.h: a store whose files hold base::FillFile bytes, and that fails where
// it is told to.

#ifndef UVM_TESTING_PATTERN_PAGER_H_
#define UVM_TESTING_PATTERN_PAGER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/pattern.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/stored.h"

namespace uvm::testing {

class PatternPager final : public Store {
 public:
  using Hook = std::function<void()>;

  // Pages of every file from now on: `index` fails with `error` once.
  void FailOnce(uint64_t index, PagerError error) {
    fail_index_ = index;
    fail_error_ = error;
    failing_ = true;
  }
  // Runs during the next ReadPage, while the page is busy and no lock is held.
  void DuringNextGet(Hook hook) { hook_ = std::move(hook); }
  uint64_t gets() const { return gets_; }
  // Keys of the files that lost their last reference, in order.
  const std::vector<uint64_t>& detached() const { return detached_; }

  // What was written to a page of a file, or null: it holds the pattern.
  const unsigned char* Written(uint64_t key, uint64_t page) const {
    auto written = written_.find({key, page});
    return written == written_.end() ? nullptr : written->second.data();
  }

  base::Result<void, PagerError> ReadPage(Object* object, base::PageIndex index,
                                          unsigned char* contents) override {
    ++gets_;
    if (hook_) std::exchange(hook_, Hook())();
    if (failing_ && index.value() == fail_index_) {
      failing_ = false;
      return fail_error_;
    }
    auto written = written_.find({object->key(), index.value()});
    if (written == written_.end()) {
      base::FillFile(object->key(), base::ToBytes(index), contents, base::kPageSize);
    } else {
      std::copy(written->second.begin(), written->second.end(), contents);
    }
    return {};
  }
  base::Result<void, PagerError> WritePage(Object* object, base::PageIndex index,
                                           const unsigned char* contents) override {
    written_[{object->key(), index.value()}].assign(contents, contents + base::kPageSize);
    return {};
  }
  uint64_t SizeInBytes(const Object*) const override { return Pager::kUnbounded; }
  void Detach(Object* object) override { detached_.push_back(object->key()); }

 private:
  std::map<std::pair<uint64_t, uint64_t>, std::vector<unsigned char>> written_;  // by key, page
  Hook hook_;
  bool failing_ = false;
  uint64_t fail_index_ = 0;
  PagerError fail_error_ = PagerError::kIo;
  uint64_t gets_ = 0;
  std::vector<uint64_t> detached_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_PATTERN_PAGER_H_
