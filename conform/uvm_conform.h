// conform/uvm_conform.h: what `vmsim conform uvm FILE...` does.
//
// WHAT     Reads recordings of the real NetBSD UVM (uvm_recording.h), replays them on this one and
//          prints for each file what report.h says. M is the parser's count.
// SEE      design.md section 5; README.md for what is compared.
#ifndef CONFORM_UVM_CONFORM_H_
#define CONFORM_UVM_CONFORM_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "conform/report.h"

namespace conform {

struct UvmConformOptions {
  bool count_only = false;  // print `FILE: M` from the parser alone; nothing is replayed
  bool json = false;        // one object instead of lines
  bool structure = false;   // compare what is UVM's own structure, too
  // Seconds since the command began, for the JSON object's figures, which are left out without it.
  std::function<double()> seconds = nullptr;

  Format format() const { return json ? Format::kJson : Format::kLines; }
};

// Returns the exit code. Every file is parsed before anything is run or printed; problems go to
// `err`, one line each, and then `out` stays empty.
int ConformUvm(const std::vector<std::string>& files, const UvmConformOptions& options,
               std::ostream& out, std::ostream& err);

}  // namespace conform

#endif  // CONFORM_UVM_CONFORM_H_
