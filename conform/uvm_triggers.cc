#include "conform/uvm_triggers.h"

#include <algorithm>
#include <utility>

#include "conform/uvm_differences.h"
#include "conform/uvm_op.h"

namespace conform {

namespace {

constexpr uint64_t kEnd = UINT64_MAX;

bool IsRemap(UvmCall call) { return call == UvmCall::kMremap || call == UvmCall::kSysMremap; }

uint64_t Up(uint64_t bytes) { return (bytes + kUvmPageBytes - 1) / kUvmPageBytes * kUvmPageBytes; }
uint64_t Down(uint64_t at) { return at / kUvmPageBytes * kUvmPageBytes; }

uint64_t OldBytes(const UvmOp& op) {
  return op.call == UvmCall::kSysMremap ? Up(op.bytes) : op.pages * kUvmPageBytes;
}
uint64_t NewBytes(const UvmOp& op) {
  return op.call == UvmCall::kSysMremap ? Up(op.target_size) : op.target_size * kUvmPageBytes;
}

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

std::vector<UvmTriggers::Span> UvmTriggers::SpansOf(const UvmOpLine& line) {
  const UvmOp& op = line.op;
  std::vector<Span> spans;
  const auto add = [&spans](uint64_t space, uint64_t start, uint64_t bytes) {
    spans.push_back({space, Down(start), start + bytes < start ? kEnd : Up(start + bytes)});
  };
  switch (op.call) {
    case UvmCall::kFork:
    case UvmCall::kExit:
    case UvmCall::kWireAll:
    case UvmCall::kSysMlockall:
    case UvmCall::kSysMunlockall:
      spans.push_back({op.space, 0, kEnd});
      break;
    case UvmCall::kMremap:
    case UvmCall::kSysMremap:
      add(op.space, op.start, OldBytes(op));
      add(op.space, line.result.error == 0 ? line.result.value : op.target, NewBytes(op));
      break;
    case UvmCall::kExtract:
      add(op.space, op.start, op.pages * kUvmPageBytes);
      if (line.result.error == 0) add(op.space2, line.result.value, op.pages * kUvmPageBytes);
      break;
    default:
      if (op.end > op.start) {
        add(op.space, op.start, op.end - op.start);
      } else {
        add(op.space, op.start, std::max({op.bytes, op.pages * kUvmPageBytes, uint64_t{1}}));
      }
  }
  return spans;
}

void UvmTriggers::MarkSpan(Pages* pages, const Span& span) {
  if (span.end == kEnd) return;
  for (uint64_t va = span.start; va < span.end; va += kUvmPageBytes)
    pages->insert({span.space, va});
}

bool UvmTriggers::Touches(const Pages& pages, const Span& span) const {
  const auto first = pages.lower_bound({span.space, span.start});
  return first != pages.end() && first->first == span.space && first->second < span.end;
}

// Where the pages go with their mappings.
void UvmTriggers::Follow(const UvmOpLine& line) {
  if (line.result.error != 0) return;
  const UvmOp& op = line.op;
  for (auto& [defect, pages] : pages_) {
    Pages more;
    for (const auto& [space, va] : pages) {
      if (space != op.space) continue;
      if (op.call == UvmCall::kFork) more.insert({op.space2, va});
      const bool inside = va >= op.start && va - op.start < OldBytes(op);
      if (IsRemap(op.call) && inside) more.insert({space, line.result.value + (va - op.start)});
      if (op.call == UvmCall::kExtract && inside) {
        more.insert({op.space2, line.result.value + (va - op.start)});
      }
    }
    pages.insert(more.begin(), more.end());
  }
  if (op.call == UvmCall::kFork && unsure_wiring_.contains(op.space)) {
    unsure_wiring_.insert(op.space2);
  }
}

void UvmTriggers::Mark(const std::string& defect, const UvmOpLine& line,
                       const UvmPicture& picture) {
  Pages& pages = pages_[defect];
  const UvmOp& op = line.op;
  if (defect == "B4") unsure_wiring_.insert(op.space);
  if (defect == "B1") {
    for (const auto& [space, entries] : picture.spaces()) {
      for (const auto& [start, e] : entries) {
        if (e.amap.has_value() && e.amap->shared) MarkSpan(&pages, {space, e.start, e.end});
      }
    }
    return Follow(line);
  }
  if (!ShowsInPages(defect)) return;
  for (const Span& span : SpansOf(line)) MarkSpan(&pages, span);
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
  Pages& pages = pages_["B1"];
  MarkSpan(&pages, {entry.space, entry.start, entry.end});
}

const char* UvmTriggers::ExcuseResult() const {
  if (op_ == nullptr) return nullptr;
  for (const std::string& defect : met_) return NamedUvmDefect(defect);
  const std::vector<Span> spans = SpansOf(*op_);
  for (const auto& [defect, pages] : pages_) {
    for (const Span& span : spans) {
      if (Touches(pages, span)) return NamedUvmDefect(defect);
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
    if (pages.contains({space, Down(va)})) return NamedUvmDefect(defect);
  }
  const bool wiring = differs == Differs::kInWiringOnly;
  return wiring && unsure_wiring_.contains(space) ? NamedUvmDefect("B4") : nullptr;
}

const char* UvmTriggers::ExcuseCheck() const {
  return pages_.empty() ? nullptr : NamedUvmDefect(pages_.begin()->first);
}

}  // namespace conform
