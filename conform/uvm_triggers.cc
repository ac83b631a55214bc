#include "conform/uvm_triggers.h"

#include <algorithm>
#include <utility>

#include "conform/uvm_differences.h"
#include "conform/uvm_op.h"

namespace conform {

namespace {

uint64_t Down(uint64_t at) { return at / kUvmPageBytes * kUvmPageBytes; }

// A defect whose pages show it in whatever is done to them; of the others only results differ.
bool ShowsInPages(const std::string& defect) { return defect != "B4" && defect != "B14"; }

bool IsAboutWiring(UvmCall call) {
  switch (call) {
    case UvmCall::kWire:
    case UvmCall::kUnwire:
    case UvmCall::kWireAll:
    case UvmCall::kClean:
    case UvmCall::kLoan:
    case UvmCall::kSysMlock:
    case UvmCall::kSysMunlock:
    case UvmCall::kSysMlockall:
    case UvmCall::kSysMunlockall:
    case UvmCall::kSysMadvise:
    case UvmCall::kSysMsync:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Where the pages go with their mappings.
void UvmTriggers::Follow(const UvmOpLine& line) {
  if (line.result.error != 0) return;
  const UvmOp& op = line.op;
  for (auto& [defect, pages] : pages_) pages.Follow(line);
  if (op.call == UvmCall::kFork && unsure_wiring_.contains(op.space)) {
    unsure_wiring_.insert(op.space2);
  }
}

void UvmTriggers::Mark(const std::string& defect, const UvmOpLine& line,
                       const UvmPicture& picture) {
  UvmPages& pages = pages_[defect];
  const UvmOp& op = line.op;
  if (defect == "B4") unsure_wiring_.insert(op.space);
  if (defect == "B1") {
    for (const auto& [space, entries] : picture.spaces()) {
      for (const auto& [start, e] : entries) {
        if (e.amap.has_value() && e.amap->shared) pages.Add({space, e.start, e.end});
      }
    }
    return Follow(line);
  }
  if (!ShowsInPages(defect)) return;
  for (const UvmSpan& span : UvmSpansOf(line)) pages.Add(span);
}

void UvmTriggers::Operation(const UvmOpLine& line, const UvmPicture& picture) {
  op_ = &line;
  met_ = std::exchange(pending_, {});
  Follow(line);
  for (const std::string& defect : met_) Mark(defect, line, picture);
}

// A fork by copy marks the shared memory of the parent; it may not have been marked so before.
void UvmTriggers::Entry(const UvmEntry& entry) {
  if (std::find(met_.begin(), met_.end(), "B1") == met_.end()) return;
  if (!entry.amap.has_value()) return;
  UvmPages& pages = pages_["B1"];
  pages.Add({entry.space, entry.start, entry.end});
}

const char* UvmTriggers::ExcuseResult() const {
  if (op_ == nullptr) return nullptr;
  for (const std::string& defect : met_) return NamedUvmDefect(defect);
  const std::vector<UvmSpan> spans = UvmSpansOf(*op_);
  for (const auto& [defect, pages] : pages_) {
    for (const UvmSpan& span : spans) {
      if (pages.Touches(span)) return NamedUvmDefect(defect);
    }
  }
  const bool unsure = unsure_wiring_.contains(op_->op.space) && IsAboutWiring(op_->op.call);
  return unsure ? NamedUvmDefect("B4") : nullptr;
}

const char* UvmTriggers::ExcusePage(uint64_t space, uint64_t va, Differs differs) const {
  // A fork that ended the recorded kernel left no child.
  const bool ended = op_ != nullptr && op_->op.call == UvmCall::kFork && op_->result.missing;
  if (ended && space == op_->op.space2 && pages_.contains("B1")) return NamedUvmDefect("N3");
  for (const auto& [defect, pages] : pages_) {
    if (pages.Contains(space, Down(va))) return NamedUvmDefect(defect);
  }
  const bool wiring = differs == Differs::kInWiringOnly;
  return wiring && unsure_wiring_.contains(space) ? NamedUvmDefect("B4") : nullptr;
}

}  // namespace conform
