#include "conform/uvm_shortage.h"

#include <algorithm>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "uvm/pdaemon.h"
#include "uvm/swap_device.h"

namespace conform {

namespace {

constexpr char kKeepsPage[] = "failed-swap-write-keeps-page";
constexpr char kAnotherPage[] = "read-error-hits-another-page";
constexpr char kEndsElsewhere[] = "memory-ends-elsewhere";
constexpr char kForgets[] = "free-forgets-at-once";
constexpr const char* kNames[] = {kKeepsPage, kAnotherPage, kEndsElsewhere, kForgets};

constexpr char kNoTransfer[] = "EIO, and no transfer of that page failed";
constexpr char kNoLimit[] = "ENOMEM, and nobody was refused a frame";
constexpr char kNothingThere[] = "left out, and nothing was injected or used up there";

bool IsShort(int error) { return error == kEnomem || error == kEio; }

}  // namespace

absl::Span<const char* const> UvmShortageNames() { return kNames; }

bool UvmIsShort(const UvmSequence& sequence) {
  return std::any_of(sequence.lines.begin(), sequence.lines.end(), [](const UvmLine& l) {
    const auto* o = std::get_if<UvmOpLine>(&l.what);
    return o != nullptr && UvmPressure::IsOne(o->op.call);
  });
}

const char* UvmShortage::NameOfEio() const { return write_errors_ ? kKeepsPage : kAnotherPage; }

// Each page that is lost there uses up one of those that errors may have spoilt, once; a file's
// page is lost for one read only.
bool UvmShortage::MayBeLostThere(uint64_t space, uint64_t va, const UvmReplay& replay) {
  const bool of_file = UvmLosses::IsOfFile(replay, space, va);
  const UvmLosses::Owner owner = UvmLosses::OwnerAt(replay, space, va);
  if (!of_file && lost_there_.contains(owner)) return true;
  uint64_t& left = of_file && files_may_fail_ > 0 ? files_may_fail_ : may_be_lost_;
  if (left == 0) return false;
  left--;
  if (!of_file && owner.first != nullptr) lost_there_.insert(owner);
  return true;
}

// Of a range nobody knows which page it was.
bool UvmShortage::MayHaveFailedThere(const UvmOpLine& recorded, const UvmReplay& replay) {
  const UvmOp& op = recorded.op;
  if (op.call == UvmCall::kRead || op.call == UvmCall::kWrite) {
    return MayBeLostThere(op.space, op.start, replay);
  }
  if (may_be_lost_ > 0 || files_may_fail_ > 0) return true;
  return UvmLosses::AnyPage(replay, UvmNeeds(recorded), [&](uint64_t space, uint64_t va) {
    return lost_there_.contains(UvmLosses::OwnerAt(replay, space, va));
  });
}

// swapoff fails when what lies there does not fit elsewhere; all others when frames and slots are
// used up, but for a few that are kept back.
bool UvmShortage::WasShortThere(UvmCall call) const {
  constexpr uint64_t kKeptBack = 16;
  if (!counters_.has_value()) return false;
  if (call == UvmCall::kSwapOff) return counters_->swap_in_use > 0;
  const uint64_t used = pages_ - counters_->free + counters_->swap_only + touched_;
  return used + kKeptBack >= pages_ + counters_->swap_available;
}

// What failed there is not done, unless looking does not hurt.
UvmShortage::Ours UvmShortage::FailedThere(const UvmOpLine& recorded, UvmReplay* replay) {
  Ours ours;
  const int error = recorded.result.error;
  const UvmCall call = recorded.op.call;
  const bool may = error == kEio ? MayHaveFailedThere(recorded, *replay) : WasShortThere(call);
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
  ours.excuse = !may ? nullptr : error == kEnomem ? kEndsElsewhere : NameOfEio();
  ours.text = call == UvmCall::kRead ? ToString(ours.result, call) : "left out";
  if (!may && call != UvmCall::kRead) no_cause_ = kNothingThere;
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
  // One read; and then the writes of a cluster.
  write_errors_ = true;
  may_be_lost_ += 1 + uvm::kSwapClusterPages;
  replay->pressure().FailNextRead();
}

// A read is of one page, a write of a cluster.
void UvmShortage::NoteInjected(const UvmOp& op) {
  write_errors_ = write_errors_ || op.call == UvmCall::kIoErrWrite;
  if (op.call == UvmCall::kIoErrRead) may_be_lost_ += op.pages;
  if (op.call == UvmCall::kIoErrWrite) may_be_lost_ += op.pages * uvm::kSwapClusterPages;
  if (op.call == UvmCall::kFileErr) files_may_fail_ += op.pages;
}

// Right after an operation of ours: what is done again may leave no trace of why.
void UvmShortage::NoteCause(const UvmOpLine& recorded, int error, const UvmReplay& replay) {
  const UvmCall call = recorded.op.call;
  if (error == kEio) {
    // What moves mappings says so, too, of a range that begins or ends in a hole.
    const bool moves = call == UvmCall::kExtract || call == UvmCall::kMremap;
    const bool hole = moves && !edges_mapped_;
    if (!hole && !losses_.HasCause(replay, recorded)) no_cause_ = kNoTransfer;
  }
  // A lock may have met its limit instead, as there.
  const bool needs_frames = call == UvmCall::kRead || call == UvmCall::kWrite ||
                            call == UvmCall::kFork || call == UvmCall::kSwapOff ||
                            (call == UvmCall::kWire && recorded.result.error != kEnomem);
  const uint64_t refusals = replay.uvm().pagedaemon().counters().out_of_memory;
  if (error == kEnomem && needs_frames && refusals == refusals_) no_cause_ = kNoLimit;
}

UvmShortage::Ours UvmShortage::Do(const UvmOpLine& recorded, UvmReplay* replay) {
  const UvmOp& op = recorded.op;
  const bool access = op.call == UvmCall::kRead || op.call == UvmCall::kWrite;
  const bool was_lost = access && losses_.IsLost(*replay, op.space, op.start);
  losses_.Begin(*replay);
  if (!lost_there_.empty()) {
    const std::set<UvmLosses::Owner> owners = UvmLosses::Owners(*replay);
    std::erase_if(lost_there_, [&](const auto& owner) { return !owners.contains(owner); });
  }
  if (access) touched_++;
  const UvmLosses::Owner owner = UvmLosses::OwnerAt(*replay, op.space, op.start);
  no_cause_ = nullptr;
  refusals_ = replay->uvm().pagedaemon().counters().out_of_memory;
  const uint64_t last = op.start + (op.pages == 0 ? 0 : op.pages - 1) * kUvmPageBytes;
  edges_mapped_ = replay->IsMapped(op.space, op.start) && replay->IsMapped(op.space, last);
  Ours ours = Decide(recorded, replay);
  const bool done = access && ours.result.error == 0 && recorded.result.error == 0;
  const bool came_back = access && recorded.result.error == 0 && lost_there_.contains(owner);
  if (no_cause_ != nullptr) {
    ours.wrong = no_cause_;
  } else if (was_lost && done) {
    ours.wrong = "done, though the page was lost";
  } else if (came_back) {
    ours.wrong = "nothing, and the page was lost there before";
  } else {
    ours.wrong = losses_.Unexplained(replay);
  }
  return ours;
}

UvmShortage::Ours UvmShortage::Decide(const UvmOpLine& recorded, UvmReplay* replay) {
  const UvmOp& op = recorded.op;
  NoteInjected(op);
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
  touched_++;
  if (ours.error == kEio && !losses_.HasCause(replay, space, va)) return kNoTransfer;
  if (ours.error == 0 && losses_.IsLost(replay, space, va)) return "read, though it was lost";
  return "";
}

const char* UvmShortage::ExcusePage(uint64_t space, uint64_t va, const UvmPageBytes& recorded,
                                    const UvmPageBytes& ours, const UvmReplay& replay) {
  if (recorded.error == 0 && ours.error == 0) return WasFreed(va) ? kForgets : nullptr;
  if (recorded.error == kEio) return MayBeLostThere(space, va, replay) ? NameOfEio() : nullptr;
  if (recorded.error == kEnomem) return WasShortThere(UvmCall::kRead) ? kEndsElsewhere : nullptr;
  return recorded.error == 0 && ours.error == kEio ? kAnotherPage : nullptr;
}

}  // namespace conform
