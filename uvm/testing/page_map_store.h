// uvm/testing/page_map_store.h: a store that keeps what it is given.
//
// WHAT     The part that stores of tests share: pages by number, zeroes where none was written. A
//          test derives from it and overrides what its store does wrong.
// SEE      uvm/stored.h, uvm/testing/object_world.h (a store of letters with a log).

#ifndef UVM_TESTING_PAGE_MAP_STORE_H_
#define UVM_TESTING_PAGE_MAP_STORE_H_

#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/stored.h"

namespace uvm::testing {

class PageMapStore : public Store {
 public:
  base::Result<void, PagerError> ReadPage(Object*, base::PageIndex index,
                                          unsigned char* contents) override {
    std::vector<unsigned char>& page = pages_[index.value()];
    page.resize(base::kPageSize);
    std::memcpy(contents, page.data(), base::kPageSize);
    return {};
  }
  base::Result<void, PagerError> WritePage(Object*, base::PageIndex index,
                                           const unsigned char* contents) override {
    pages_[index.value()].assign(contents, contents + base::kPageSize);
    return {};
  }
  uint64_t SizeInBytes(const Object*) const override { return Pager::kUnbounded; }
  void Detach(Object*) override {}

 private:
  std::map<uint64_t, std::vector<unsigned char>> pages_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_PAGE_MAP_STORE_H_
