// uvm/testing/functions_table.h: tables of NetBSD's functions in docs/, row by row.
//
// WHAT     A row says what stands for a function here and a test that would notice if it did
//          something else, or why there is nothing:
//            | `uvm_map` | `map.h`: `Enter(` | `MapTest.EnterRefusesBadArguments` |
//            | `uvm_rndsource` | none | host: entropy |
//          WrongWith holds that the file has the identifier and cites the name, that the tests
//          exist, and that a reason is one of those that count.

#ifndef UVM_TESTING_FUNCTIONS_TABLE_H_
#define UVM_TESTING_FUNCTIONS_TABLE_H_

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace uvm::testing {

class FunctionsTable {
 public:
  using Reader = std::function<std::string(const std::string& path)>;
  // `tests`: "Suite.Name"; `reasons`: "host", ..., what a reason may begin with.
  FunctionsTable(std::set<std::string> tests, std::vector<std::string> reasons, Reader read)
      : tests_(std::move(tests)), reasons_(std::move(reasons)), read_(std::move(read)) {}

  // What is wrong with a row, or "".
  std::string WrongWith(const std::string& row);
  // Of the table at `path`, in which rows begin with "| `": what is wrong with each row, a line
  // each, or "".
  std::string WrongWithAll(const std::string& path);
  size_t rows() const { return seen_.size(); }
  // Those that name something.
  size_t true_rows() const { return true_rows_; }

 private:
  std::string WrongWithReason(const std::string& name, const std::string& reason) const;

  const std::set<std::string> tests_;
  const std::vector<std::string> reasons_;
  const Reader read_;
  std::set<std::string> seen_;
  size_t true_rows_ = 0;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_FUNCTIONS_TABLE_H_
