#include "conform/uvm_directed.h"

namespace conform {

void UvmDirected::Operation(const UvmOp& op, const UvmResult& ours) {
  op_ = op;
  ours_ = ours;
}

void UvmDirected::Note(const UvmSequence&, absl::string_view) {}

std::optional<int64_t> UvmDirected::Value(const UvmSequence&, const UvmCheck&) {
  switch (op_.call) {
    case UvmCall::kRead:
      return ours_.error != 0 ? -ours_.error : static_cast<int64_t>(ours_.value);
    case UvmCall::kWrite:
    case UvmCall::kClean:
      return ours_.error;
    default:
      return std::nullopt;
  }
}

}  // namespace conform
