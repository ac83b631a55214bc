#include "model/access.h"

#include <algorithm>

#include "base/check.h"
#include "model/presence.h"

namespace model {
namespace {

using base::FaultCode;
using traces::OpKind;
using traces::Personality;

// Beyond these, the 2^choices values are not enumerated.
constexpr size_t kMaxOpenChoices = 10;
constexpr uint64_t kMaxEnumeratedBytes = 16u << 20;

FaultCode CodeFor(Personality personality, bool mapped) {
  switch (personality) {
    case Personality::kBsd:
      return mapped ? FaultCode::kSegvAccErr : FaultCode::kSegvMapErr;
    case Personality::kMach:
      return mapped ? FaultCode::kMachProtection : FaultCode::kMachInvalidAddress;
  }
  return FaultCode::kNone;
}

FaultCode CodeForMissing(Personality personality) {
  return personality == Personality::kBsd ? FaultCode::kBus : FaultCode::kMachMemoryError;
}

bool Permitted(OpKind kind, base::Prot prot, ExecuteRight execute) {
  if (!prot.CanRead()) return false;
  switch (kind) {
    case OpKind::kWrite:
      return prot.CanWrite();
    case OpKind::kFetch:
      return prot.CanExecute() || execute == ExecuteRight::kImpliedByRead;
    default:
      return true;
  }
}

}  // namespace

Step DecodeAccess(const Task& task, const traces::ResolvedOp& op, ExecuteRight execute,
                  const FileTable& files, const LostPages& lost) {
  Step step;
  step.outcome.family = traces::Outcome::Family::kFault;
  step.start = step.end = op.at;
  // A fetch is a read whose value nobody sees.
  if (op.kind != OpKind::kWrite) step.action = Step::Action::kRead;
  step.blind = op.kind == OpKind::kFetch;
  if (op.kind == OpKind::kWrite) step.action = Step::Action::kWrite;
  bool bsd = task.personality == Personality::kBsd;
  step.shortage_code = static_cast<int32_t>(bsd ? FaultCode::kKill : FaultCode::kMachShortage);

  step.missing_code = static_cast<int32_t>(CodeForMissing(task.personality));
  const base::Access access =
      op.kind == OpKind::kWrite ? base::Access::kWrite : base::Access::kRead;
  uint64_t left = op.kind == OpKind::kFetch ? 1 : op.size;
  while (left > 0) {
    const Region* region = task.space.Find(step.end);
    if (region == nullptr || !Permitted(op.kind, region->attributes.prot, execute)) {
      step.outcome.code = static_cast<int32_t>(CodeFor(task.personality, region != nullptr));
      step.outcome.value = step.end;
      break;
    }
    uint64_t part = std::min(left, region->end - step.end);
    if (files.Object(region->file_key) != nullptr) {
      part = std::min(part, base::TruncPage(step.end) + base::kPageSize - step.end);
      const Presence presence = PresenceFor(*region, step.end, access, files);
      if (presence == Presence::kOpen) step.may_fail_at.push_back(step.end);
      if (presence == Presence::kAbsent) {
        step.outcome.code = step.missing_code;
        step.outcome.value = step.end;
        break;
      }
    }
    if (lost) {
      part = std::min(part, base::TruncPage(step.end) + base::kPageSize - step.end);
      if (lost(op.task, step.end)) {
        step.outcome.code = step.missing_code;
        step.outcome.value = step.end;
        break;
      }
    }
    step.end += part;
    left -= part;
  }
  return step;
}

ReadSet::ReadSet(const Space& space, uint64_t start, uint64_t end, const FileTable& files) {
  // The heap serves only reads of more than a page.
  unsigned char few[base::kPageSize];
  unsigned char* out = few;
  if (end - start > sizeof few) {
    bytes_.resize(end - start);
    out = bytes_.data();
  }
  const Region* region = nullptr;
  for (uint64_t va = start; va < end;) {
    if (region == nullptr || va >= region->end) region = space.Find(va);
    CHECK(region != nullptr);
    uint64_t size = std::min(end, base::TruncPage(va) + base::kPageSize) - va;
    PageSource source = Space::Look(*region, va, files);
    const PageValue* value = source.slot == nullptr ? nullptr : source.slot->Canonical();
    source.Load(value, va & base::kPageMask, size, out + (va - start));
    if (source.Unknown()) checkable_ = false;
    if (source.slot != nullptr && source.slot->IsOpen()) {
      pieces_.push_back({source, va & base::kPageMask, size, va - start});
      source.slot->CollectOpen(&choices_);
    }
    va += size;
  }
  canonical_ = traces::ReadValue(out, end - start);
  if (pieces_.empty()) return;
  if (out == few) bytes_.assign(few, few + (end - start));
  if (choices_.size() > kMaxOpenChoices || (end - start) << choices_.size() > kMaxEnumeratedBytes) {
    checkable_ = false;
  }
}

bool ReadSet::IsSettled(const Space& space, uint64_t start, uint64_t end, const FileTable& files) {
  const Region* region = nullptr;
  for (uint64_t va = start; va < end; va = base::TruncPage(va) + base::kPageSize) {
    if (region == nullptr || va >= region->end) region = space.Find(va);
    CHECK(region != nullptr);
    const PageSource source = Space::Look(*region, va, files);
    if (source.Unknown() || (source.slot != nullptr && source.slot->IsOpen())) return false;
  }
  return true;
}

Choice ReadSet::Answer(uint64_t gone, const Choice* choice) const {
  size_t i =
      static_cast<size_t>(std::find(choices_.begin(), choices_.end(), choice) - choices_.begin());
  return (gone >> i & 1) != 0 ? Choice::kGone : Choice::kKept;
}

bool ReadSet::MayBeRead(uint64_t gone) const {
  auto answer = [&](const Choice* choice) { return Answer(gone, choice); };
  for (const Piece& piece : pieces_) {
    if (piece.source.missing && piece.source.slot->ValueIf(answer) == nullptr) return false;
  }
  return true;
}

uint64_t ReadSet::ValueIf(uint64_t gone) {
  auto answer = [&](const Choice* choice) { return Answer(gone, choice); };
  for (const Piece& piece : pieces_) {
    piece.source.Load(piece.source.slot->ValueIf(answer), piece.start, piece.size,
                      bytes_.data() + piece.offset);
  }
  return traces::ReadValue(bytes_.data(), bytes_.size());
}

std::vector<uint64_t> ReadSet::Values() {
  CHECK(checkable_);
  std::vector<uint64_t> values{canonical_};
  for (uint64_t gone = 1; gone < uint64_t{1} << choices_.size(); ++gone) {
    if (!MayBeRead(gone)) continue;
    uint64_t value = ValueIf(gone);
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return values;
}

void ReadSet::Choose(uint64_t value) {
  CHECK(checkable_);
  uint64_t always = ~uint64_t{0};           // choices gone in every answer that explains the value
  uint64_t ever = 0;                        // choices gone in at least one of them
  std::vector<std::vector<bool>> possible;  // alternatives of each piece that hold in one of them
  for (const Piece& piece : pieces_) possible.emplace_back(piece.source.slot->alternatives());
  for (uint64_t gone = 0; gone < uint64_t{1} << choices_.size(); ++gone) {
    if (!MayBeRead(gone) || ValueIf(gone) != value) continue;
    always &= gone;
    ever |= gone;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      auto answer = [&](const Choice* choice) { return Answer(gone, choice); };
      possible[i][pieces_[i].source.slot->IndexIf(answer)] = true;
    }
  }
  // Choices first: copies of the pages elsewhere hang on them.
  for (size_t i = 0; i < choices_.size(); ++i) {
    if ((always >> i & 1) != 0) *choices_[i] = Choice::kGone;
    if ((ever >> i & 1) == 0) *choices_[i] = Choice::kKept;
  }
  // A page that is mapped twice is two pieces of one slot, of which the same is possible.
  for (size_t i = 0; i < pieces_.size(); ++i) {
    Slot* const slot = pieces_[i].source.slot;
    const bool told = std::any_of(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(i),
                                  [slot](const Piece& piece) { return piece.source.slot == slot; });
    if (!told) slot->KeepOnly(possible[i]);
  }
}

}  // namespace model
