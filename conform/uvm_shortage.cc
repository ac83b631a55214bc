#include "conform/uvm_shortage.h"

#include <algorithm>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace conform {

namespace {

constexpr char kKeepsPage[] = "failed-swap-write-keeps-page";
constexpr char kAnotherPage[] = "read-error-hits-another-page";
constexpr char kEndsElsewhere[] = "memory-ends-elsewhere";
constexpr char kForgets[] = "free-forgets-at-once";
constexpr const char* kNames[] = {kKeepsPage, kAnotherPage, kEndsElsewhere, kForgets};

bool IsShort(int error) { return error == kEnomem || error == kEio; }

}  // namespace

absl::Span<const char* const> UvmShortageNames() { return kNames; }

bool UvmIsShort(const UvmSequence& sequence) {
  return std::any_of(sequence.lines.begin(), sequence.lines.end(), [](const UvmLine& l) {
    const auto* o = std::get_if<UvmOpLine>(&l.what);
    return o != nullptr && UvmPressure::IsOne(o->op.call);
  });
}

const char* UvmShortage::NameOfFailureThere(int error) const {
  if (error == kEnomem) return kEndsElsewhere;
  if (error != kEio) return nullptr;
  return write_errors_ ? kKeepsPage : read_errors_ ? kAnotherPage : nullptr;
}

// What failed there is not done, unless looking does not hurt.
UvmShortage::Ours UvmShortage::FailedThere(const UvmOpLine& recorded, UvmReplay* replay) {
  Ours ours;
  const int error = recorded.result.error;
  const UvmCall call = recorded.op.call;
  if (call == UvmCall::kRead) {
    ours.result = replay->Apply(recorded.op);
    NoteCause(recorded, ours.result.error, *replay);
    if (ours.result.error == error) return ours;
  } else if (call == UvmCall::kWrite && replay->Probe(recorded.op) == error) {
    NoteCause(recorded, error, *replay);
    ours.result = recorded.result;
    return ours;
  } else {
    ours.result = recorded.result;
  }
  ours.excuse = NameOfFailureThere(error);
  ours.text = call == UvmCall::kRead ? ToString(ours.result, call) : "left out";
  return ours;
}

// Children have their parents' pages at the same addresses.
void UvmShortage::Remember(const UvmOpLine& recorded) {
  const UvmOp& op = recorded.op;
  if (op.call == UvmCall::kClean && (op.flags & UvmFlag('F')) != 0) {
    for (uint64_t va = op.start; va < op.end; va += kUvmPageBytes)
      freed_.insert(va / kUvmPageBytes);
  }
  const bool moves = op.call == UvmCall::kExtract || op.call == UvmCall::kMremap;
  if (!moves || recorded.result.error != 0) return;
  for (uint64_t i = 0; i < op.pages; i++) {
    if (WasFreed(op.start + i * kUvmPageBytes))
      freed_.insert(recorded.result.value / kUvmPageBytes + i);
  }
}

void UvmShortage::Note(absl::string_view text, UvmReplay* replay) {
  if (!absl::StartsWith(text, "swap read error: EIO")) return;
  write_errors_ = read_errors_ = true;
  replay->pressure().FailNextRead();
}

// Right after an operation of ours: what is done again may leave no trace of why.
void UvmShortage::NoteCause(const UvmOpLine& recorded, int error, const UvmReplay& replay) {
  // What moves mappings says EIO of a range that has none, too: both do.
  const UvmOp& op = recorded.op;
  const bool moves = op.call == UvmCall::kExtract || op.call == UvmCall::kMremap;
  if (error != kEio || (moves && recorded.result.error == kEio)) return;
  has_cause_ = has_cause_ && losses_.HasCause(replay, op);
}

UvmShortage::Ours UvmShortage::Do(const UvmOpLine& recorded, UvmReplay* replay) {
  const UvmOp& op = recorded.op;
  const bool access = op.call == UvmCall::kRead || op.call == UvmCall::kWrite;
  const bool was_lost = access && losses_.IsLost(*replay, op.space, op.start);
  losses_.Begin(*replay);
  has_cause_ = true;
  Ours ours = Decide(recorded, replay);
  const bool done = access && ours.result.error == 0 && recorded.result.error == 0;
  if (!has_cause_) {
    ours.wrong = "EIO, and no transfer of that page failed";
  } else if (was_lost && done) {
    ours.wrong = "done, though the page was lost";
  } else {
    ours.wrong = losses_.Unexplained(replay);
  }
  return ours;
}

UvmShortage::Ours UvmShortage::Decide(const UvmOpLine& recorded, UvmReplay* replay) {
  const UvmOp& op = recorded.op;
  write_errors_ = write_errors_ || op.call == UvmCall::kIoErrWrite;
  read_errors_ = read_errors_ || op.call == UvmCall::kIoErrRead || op.call == UvmCall::kFileErr;
  Remember(recorded);
  const bool access = op.call == UvmCall::kRead || op.call == UvmCall::kWrite;
  const bool left_out = access || op.call == UvmCall::kFork || op.call == UvmCall::kSwapOff ||
                        op.call == UvmCall::kWire;
  const bool of_limit = op.call == UvmCall::kWire && recorded.result.error == kEnomem;
  if (left_out && IsShort(recorded.result.error) && !of_limit) return FailedThere(recorded, replay);
  Ours ours;
  ours.result = replay->Apply(op);
  NoteCause(recorded, ours.result.error, *replay);
  const std::string first = ToString(ours.result, op.call);
  if (left_out && ours.result.error == kEnomem && recorded.result.error != kEnomem &&
      replay->pressure().Relieve()) {
    ours.result = replay->Apply(op);
    if (ToString(ours.result, op.call) != ToString(recorded.result, op.call)) return ours;
    ours.excuse = kEndsElsewhere;
    ours.text = absl::StrCat(first, ", and with more swap ", ToString(ours.result, op.call));
  } else if (ours.result.error == kEio && recorded.result.error != kEio) {
    ours.excuse = kAnotherPage;
    ours.text = first;
    // A file can be read again; what was on swap is lost.
    if (left_out) ours.result = replay->Apply(op);
    ours.goes_on = access || ours.result.error == recorded.result.error;
  } else if (op.call == UvmCall::kRead && first != ToString(recorded.result, op.call) &&
             ours.result.error == recorded.result.error && WasFreed(op.start)) {
    ours.excuse = kForgets;
    ours.text = first;
  } else if (op.call == UvmCall::kInflight || op.call == UvmCall::kIoDone) {
    if (ours.result.value == replay->pressure().held_pages()) ours.result = recorded.result;
  }
  return ours;
}

std::string UvmShortage::WrongPage(uint64_t space, uint64_t va, const UvmPageBytes& ours,
                                   const UvmReplay& replay) {
  if (ours.error == kEio && !losses_.HasCause(replay, space, va))
    return "EIO, and no transfer of that page failed";
  if (ours.error == 0 && losses_.IsLost(replay, space, va)) return "read, though it was lost";
  return "";
}

const char* UvmShortage::ExcusePage(uint64_t va, const UvmPageBytes& recorded,
                                    const UvmPageBytes& ours) const {
  if (recorded.error == 0 && ours.error == 0) return WasFreed(va) ? kForgets : nullptr;
  if (recorded.error != 0) return NameOfFailureThere(recorded.error);
  return ours.error == kEio ? kAnotherPage : nullptr;
}

}  // namespace conform
