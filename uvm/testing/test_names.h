// uvm/testing/test_names.h: which tests there are, for documents that name them.

#ifndef UVM_TESTING_TEST_NAMES_H_
#define UVM_TESTING_TEST_NAMES_H_

#include <set>
#include <string>

namespace uvm::testing {

// The whole file; empty when there is none.
std::string ReadWhole(const std::string& path);

// "Suite.Name" for each TEST, TEST_F and TEST_P of the files whose paths stand in the file
// `list_path`, one a line. The running test fails where one of them cannot be read.
std::set<std::string> NamesOfTests(const std::string& list_path);

}  // namespace uvm::testing

#endif  // UVM_TESTING_TEST_NAMES_H_
