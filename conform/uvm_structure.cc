#include "conform/uvm_structure.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace conform {

namespace {

constexpr char kFailedOperations[] = "failed-operations-leave-no-trace";
constexpr char kMovedMappings[] = "moving-takes-layers-as-they-are";
constexpr char kCopyOfShared[] = "copy-of-shared-keeps-sharing";
constexpr char kZeroPage[] = "zero-page-comes-and-goes";
constexpr char kBlind[] = "no-access-without-read";
constexpr char kRightsStay[] = "raising-rights-takes-none";
constexpr char kUnwire[] = "unwire-without-translation";
constexpr char kExtractRemove[] = "extract-remove-unwires";
constexpr char kPrivatePage[] = "private-page-hides-the-object";
constexpr char kForgets[] = "free-forgets-at-once";
constexpr char kMlockall[] = "mlockall-failure-restores";
constexpr char kSnapshot[] = "copy-of-shared-is-a-snapshot";
constexpr char kStrangers[] = "promotion-spares-strangers";
constexpr char kNoReference[] = "mmap-error-keeps-references";
constexpr char kWiringAll[] = "wiring-all-splits-again";
constexpr char kViewsStay[] = "views-stay-together-at-fork";
constexpr char kLoansEnd[] = "returned-loans-leave-nothing";
constexpr char kFaults[] = "pages-that-stay-do-not-fault";
constexpr char kAnotherPage[] = "read-error-hits-another-page";
constexpr char kEndsElsewhere[] = "memory-ends-elsewhere";
constexpr char kIntoOwnHole[] = "remap-into-own-hole";

constexpr const char* kNames[] = {
    kFailedOperations, kMovedMappings, kCopyOfShared, kZeroPage,  kBlind,     kRightsStay,
    kUnwire,           kForgets,       kMlockall,     kSnapshot,  kStrangers, kExtractRemove,
    kPrivatePage,      kLoansEnd,      kNoReference,  kWiringAll, kViewsStay, kFaults,
    kEndsElsewhere,    kAnotherPage,   kIntoOwnHole};

// In the order of UvmCauses::Layers.
constexpr const char* kLayerNames[] = {kCopyOfShared, kMovedMappings, kFailedOperations,
                                       kWiringAll,    kFaults,        kViewsStay};

// What the scenarios that take pages away take.
constexpr uint64_t kPagesRemoved = 4;
// Fault-ahead reaches so far to both sides.
constexpr uint64_t kAhead = 8 * kUvmPageBytes;

constexpr uint32_t Bit(size_t layer) { return uint32_t{1} << layer; }

bool IsAccess(UvmCall call) { return call == UvmCall::kRead || call == UvmCall::kWrite; }

UvmSpan Whole(uint64_t space) { return {space, 0, UvmSpan::kAll}; }

UvmSpan SpanOf(const UvmEntry& e) { return {e.space, e.start, e.end}; }

bool GivesUp(const UvmOp& op) {
  constexpr uint64_t kMadvFree = 6;
  return op.call == UvmCall::kSysMadvise
             ? op.advice == kMadvFree
             : op.call != UvmCall::kClean || (op.flags & (UvmFlag('F') | UvmFlag('C'))) != 0;
}

bool CanWrite(const UvmOp& op) { return (op.prot & kUvmWrite) != 0; }

}  // namespace

absl::Span<const char* const> UvmStructureNames() { return kNames; }

void UvmCauses::Operation(const UvmOpLine& line, const UvmPicture& picture,
                          const UvmReplay& replay) {
  op_ = &line;
  spans_ = UvmSpansOf(line);
  promoted_now_ = UvmPages();
  wide_ = false;
  may_lend_zeroes_ = false;
  for (UvmPages& pages : layers_) pages.Follow(line);
  for (UvmPages* pages : {&blind_, &lowered_, &given_up_, &loose_, &lent_, &locked_, &promoted_,
                          &failed_, &failed_here_, &unread_, &early_, &taken_back_})
    pages->Follow(line);
  const bool ok = line.result.error == 0;
  if (line.result.error == kEnomem || line.result.error == kEio) {
    AddEverywhere(picture, &failed_);
    if (IsAccess(line.op.call)) AddMapped(picture, &unread_);
  }
  if (std::exchange(loses_reference_, false)) {
    kept_.insert(line.op.has_object != 0 ? static_cast<int64_t>(line.op.object) : line.op.fd);
  }
  switch (line.op.call) {
    case UvmCall::kLoan:
      LendZeroes(line, replay);
      for (const UvmSpan& span : spans_) lent_.Add(span);
      break;
    case UvmCall::kProtect:
    case UvmCall::kSysMprotect:
      if (ok) ChangeRights(line, picture);
      break;
    case UvmCall::kClean:
    case UvmCall::kSysMadvise:
    case UvmCall::kSysMsync:
      if (!GivesUp(line.op)) break;
      // On swap also those that nobody else has keep their anons.
      for (const auto& [space, va] :
           UvmSharersOf(replay, spans_, short_ ? UvmAnons::kAll : UvmAnons::kOfSeveral))
        given_up_.AddPage(space, va);
      break;
    case UvmCall::kWireAll:
    case UvmCall::kSysMlockall:
      if (ok) break;
      for (const auto& [start, e] : picture.EntriesOf(line.op.space)) locked_.Add(SpanOf(e));
      break;
    case UvmCall::kWrite:
    case UvmCall::kWire:
    case UvmCall::kSysMlock:
      if (ok) Promote(picture);
      break;
    case UvmCall::kObjCreate:
      object_pages_[static_cast<int64_t>(line.op.object)] = line.op.pages;
      break;
    default:
      break;
  }
}

// One that fails half way may have lent zeroes, too, for a while.
void UvmCauses::LendZeroes(const UvmOpLine& line, const UvmReplay& replay) {
  for (const UvmSpan& span : spans_) {
    for (uint64_t va = span.start; va < span.end; va += kUvmPageBytes) {
      if (!UvmIsNothing(replay, span.space, va)) continue;
      if (line.result.error == 0) zero_page_ = true;
      may_lend_zeroes_ = true;
    }
  }
}

// Translations of private mappings whose rights change, and wirings.
void UvmCauses::ChangeRights(const UvmOpLine& line, const UvmPicture& picture) {
  for (const UvmSpan& span : spans_) {
    for (const auto& [start, e] : picture.EntriesOf(span.space)) {
      if (e.prot == line.op.prot) continue;
      const UvmSpan part = {span.space, std::max(start, span.start), std::min(e.end, span.end)};
      if (e.copy_on_write && CanWrite(line.op)) lowered_.Add(part);
      if (e.wired != 0) loose_.Add(part);
    }
  }
}

// What of the operation's own pages is mapped.
void UvmCauses::AddMapped(const UvmPicture& picture, UvmPages* pages) const {
  for (const UvmSpan& span : spans_) {
    for (const auto& [start, e] : picture.EntriesOf(span.space))
      pages->Add({span.space, std::max(start, span.start), std::min(e.end, span.end)});
  }
}

// Also where others have the pages: at the same place, since a fork gave them.
void UvmCauses::AddEverywhere(const UvmPicture& picture, UvmPages* pages) const {
  for (const auto& [space, entries] : picture.spaces()) {
    for (const UvmSpan& span : spans_) {
      for (const auto& [start, e] : entries)
        pages->Add({space, std::max(start, span.start), std::min(e.end, span.end)});
    }
  }
}

// What else maps the pages of objects that private mappings get copies of.
void UvmCauses::Promote(const UvmPicture& picture) {
  for (const UvmSpan& span : spans_) {
    for (const auto& [start, e] : picture.EntriesOf(span.space)) {
      const uint64_t end = std::min(e.end, span.end);
      for (uint64_t va = std::max(start, span.start); va < end; va += kUvmPageBytes)
        Promote(picture, e, va);
    }
  }
}

void UvmCauses::Promote(const UvmPicture& picture, const UvmEntry& written, uint64_t va) {
  if (!written.copy_on_write || !written.object.has_value()) return;
  const uint64_t offset = written.offset + (va - written.start);
  for (const auto& [space, entries] : picture.spaces()) {
    for (const auto& [start, e] : entries) {
      const bool has =
          e.object == written.object && e.offset <= offset && offset - e.offset < e.end - e.start;
      if (!has) continue;
      promoted_now_.AddPage(space, start + (offset - e.offset));
      promoted_.AddPage(space, start + (offset - e.offset));
    }
  }
}

void UvmCauses::Note(const std::string& text) {
  removed_ = removed_ || absl::StartsWith(text, "extract REMOVE");
}

void UvmCauses::Entry(const UvmEntry& entry, const UvmPicture& picture) {
  const UvmSpan span = SpanOf(entry);
  if (entry.prot != 0 && (entry.prot & kUvmRead) == 0) blind_.Add(span);
  if (entry.wired != 0 && (entry.prot & kUvmRead) == 0) loose_.Add(span);
  if (op_ == nullptr) return;
  if (op_->result.error != 0) layers_[kFailed].Add(span);
  switch (op_->op.call) {
    case UvmCall::kExtract:
    case UvmCall::kMremap:
    case UvmCall::kSysMremap:
      if (op_->result.error == 0) layers_[kMoved].Add(span);
      break;
    case UvmCall::kWireAll:
    case UvmCall::kSysMlockall: {
      const UvmPicture::Entries& before = picture.EntriesOf(entry.space);
      const auto same = before.find(entry.start);
      if (same != before.end() && same->second.end < entry.end) layers_[kWiredAll].Add(span);
      break;
    }
    case UvmCall::kRead: {
      const UvmEntry* before = UvmEntryAt(picture.EntriesOf(entry.space), entry.start);
      const bool copied = before != nullptr && before->needs_copy && !entry.needs_copy;
      if (copied && op_->result.error == 0 && entry.space == op_->op.space &&
          SpanOf(entry).start <= spans_[0].start && spans_[0].start < entry.end)
        layers_[kFaulted].Add(span);
      break;
    }
    case UvmCall::kFork:
      NoteViews(entry, picture);
      if (entry.needs_copy && entry.amap.has_value() && entry.amap->shared) {
        layers_[kCopied].Add(span);
        layers_[kCopied].Add({op_->op.space2, span.start, span.end});
        for (const auto& [space, entries] : picture.spaces()) {
          for (const auto& [start, e] : entries) {
            const bool partner =
                e.amap.has_value() && e.amap->shared && e.amap->refs == entry.amap->refs;
            if (partner) layers_[kCopied].Add(SpanOf(e));
          }
        }
      }
      break;
    default:
      break;
  }
}

// What the child of a fork has a copy of that its parent shares, perhaps with itself.
void UvmCauses::NoteViews(const UvmEntry& entry, const UvmPicture& picture) {
  if (entry.space != op_->op.space2) return;
  const UvmEntry* of_parent = UvmEntryAt(picture.EntriesOf(op_->op.space), entry.start);
  if (of_parent == nullptr || !of_parent->copy_on_write || !of_parent->amap.has_value()) return;
  if (!of_parent->amap->shared) return;
  layers_[kViews].Add(SpanOf(entry));
  layers_[kViews].Add({op_->op.space, entry.start, entry.end});
}

void UvmCauses::Settle(const UvmPicture& picture) {
  for (UvmPages& pages : layers_) pages.KeepMapped(picture);
  for (UvmPages* pages : {&blind_, &lowered_, &given_up_, &loose_, &lent_, &locked_, &promoted_,
                          &failed_, &failed_here_, &unread_, &early_, &taken_back_})
    pages->KeepMapped(picture);
  if (op_ == nullptr || op_->result.error != 0) return;
  if (op_->op.call == UvmCall::kExit) {
    offsets_.erase({Counter::kResident, op_->op.space});
    offsets_.erase({Counter::kWiredMappings, op_->op.space});
  }
  if (op_->op.call == UvmCall::kWrite) {
    for (const UvmSpan& span : spans_) lowered_.Remove(span);
  }
}

void UvmCauses::TakenBack(const UvmPicture& picture) { AddMapped(picture, &taken_back_); }

void UvmCauses::FailedHere(const UvmPicture& picture) { AddEverywhere(picture, &failed_here_); }

void UvmCauses::Agrees(const UvmEntry& entry) { layers_[kFaulted].Remove(SpanOf(entry)); }

void UvmCauses::Unsettle(const UvmPicture& picture) {
  for (const auto& [space, entries] : picture.spaces()) {
    for (const auto& [start, e] : entries) {
      if (e.needs_copy && !e.object.has_value()) layers_[kFaulted].Add(SpanOf(e));
    }
  }
  deferred_at_end_ = layers_[kFaulted].size();
  wide_ = true;
  for (auto& [counter, offset] : offsets_) offset.known = false;
}

// ---- Layers ----

// A partner of such a page is one, too, once the operation on the page shows in it.
const char* UvmCauses::LayerOf(uint32_t layers, const UvmEntry& recorded,
                               const std::vector<UvmSpan>& partners) {
  const UvmSpan span = SpanOf(recorded);
  const auto is_one = [layers](size_t i) { return (layers & Bit(i)) != 0; };
  for (size_t i = 0; i < kLayers; i++) {
    if (is_one(i) && layers_[i].Touches(span)) return kLayerNames[i];
  }
  for (size_t i = 0; i < kLayers; i++) {
    for (const UvmSpan& partner : partners) {
      if (is_one(i) && layers_[i].Touches(partner)) return kLayerNames[i];
    }
  }
  for (size_t i = 0; i < kLayers; i++) {
    for (const UvmSpan& of_op : spans_) {
      if (!is_one(i) || !layers_[i].Touches(of_op)) continue;
      layers_[i].Add(span);
      return kLayerNames[i];
    }
  }
  return nullptr;
}

// Only a fork of shared memory leaves other flags, and another number of slots; where an entry of
// ours got its amap after the recorded one (OfNewAmap), what it was split from has one without
// pages.
const char* UvmCauses::OfEntry(const UvmMismatch& m, const UvmEntry& recorded,
                               const std::vector<UvmSpan>& partners) {
  const uint32_t any = Bit(kLayers) - 1;
  if (m.field == "wired count" || m.field == "copy-on-write") return nullptr;
  if (!m.entry.has_value()) return LayerOf(any, recorded, partners);
  const UvmEntry& ours = *m.entry;
  if (m.field == "amap slots") return OfSlots(recorded, ours, partners);
  if (m.field == "needs copy") {
    const char* name = LayerOf(ByOperation(recorded), recorded, partners);
    if (ours.needs_copy) return name;
    if (name != nullptr) early_.Add(SpanOf(recorded));
    const bool empty = !recorded.amap.has_value() && ours.amap.has_value() && ours.amap->slots == 0;
    return empty || early_.Touches(SpanOf(recorded)) ? LayerOf(any, recorded, partners) : name;
  }
  if (m.field == "amap references") {
    const char* name = LayerOf(any, recorded, partners);
    return name != nullptr ? name : OfJoining(recorded, ours);
  }
  if (m.field == "amap shared") {
    const bool parted = ours.amap->shared && ours.amap->refs > recorded.amap->refs;
    return LayerOf(parted ? Bit(kCopied) | Bit(kMoved) : Bit(kCopied), recorded, partners);
  }
  return LayerOf(any, recorded, partners);
}

// The operation gave an entry without an amap its neighbour's there, which had one reference. Here
// the neighbour is a view of what shows elsewhere, too, so that its amap cannot be extended.
const char* UvmCauses::OfJoining(const UvmEntry& recorded, const UvmEntry& ours) {
  const bool of_op = std::any_of(spans_.begin(), spans_.end(), [&](const UvmSpan& span) {
    return span.space == recorded.space && span.start < recorded.end && recorded.start < span.end;
  });
  if (!of_op || recorded.amap->refs != ours.amap->refs + 1) return nullptr;
  const UvmPages& views = layers_[kViews];
  const uint64_t start = recorded.start, end = recorded.end;
  const bool beside = views.Touches({recorded.space, end, end + kUvmPageBytes}) ||
                      views.Touches({recorded.space, start - kUvmPageBytes, start});
  if (!beside) return nullptr;
  layers_[kViews].Add(SpanOf(recorded));
  return kViewsStay;
}

// The decisions about the last operation itself, and about copies of shared memory.
uint32_t UvmCauses::ByOperation(const UvmEntry& recorded) const {
  uint32_t layers = Bit(kCopied);
  if (op_->result.error != 0) {
    layers |= Bit(kFailed);
  } else if (op_->op.call == UvmCall::kExtract || op_->op.call == UvmCall::kMremap ||
             op_->op.call == UvmCall::kSysMremap) {
    layers |= Bit(kMoved);
  } else if (IsAccess(op_->op.call)) {
    const UvmSpan& page = spans_[0];
    const bool inside =
        page.space == recorded.space && recorded.start <= page.start && page.start < recorded.end;
    if (inside) layers |= Bit(kMoved) | Bit(kFailed);
    if (inside && op_->op.call == UvmCall::kRead) layers |= Bit(kFaulted);
  } else if (op_->op.call == UvmCall::kExit) {
    layers |= Bit(kFaulted);
  } else if (op_->op.call == UvmCall::kWireAll || op_->op.call == UvmCall::kSysMlockall) {
    layers |= Bit(kWiredAll);
  }
  return layers;
}

const char* UvmCauses::OfNewAmap(const UvmEntry& recorded, const std::vector<UvmSpan>& partners) {
  return LayerOf(ByOperation(recorded), recorded, partners);
}

const char* UvmCauses::OfSlots(const UvmEntry& recorded, const UvmEntry& ours,
                               const std::vector<UvmSpan>& partners) {
  const UvmSpan span = SpanOf(recorded);
  const uint64_t there = recorded.amap->slots, here = ours.amap->slots;
  if (there < here && here - there <= unread_.CountIn(span)) return kEndsElsewhere;
  const uint64_t more = there > here ? there - here : 0;
  if (more != 0 && more <= given_up_.CountIn(span)) return kForgets;
  uint64_t failed = failed_.CountIn(span);
  for (const UvmSpan& partner : partners) failed = std::max(failed, failed_.CountIn(partner));
  if (more != 0 && more <= given_up_.CountIn(span) + failed) return kFailedOperations;
  if (more != 0 && more <= failed_here_.CountIn(span)) return kAnotherPage;
  return LayerOf(Bit(kCopied), recorded, partners);
}

const char* UvmCauses::OfMap(uint64_t space) const {
  for (size_t i = 0; i < kLayers; i++) {
    if (layers_[i].Touches(Whole(space))) return kLayerNames[i];
  }
  return nullptr;
}

const char* UvmCauses::OfSize(uint64_t space, uint64_t more) const {
  return removed_ && space == 0 && more == kPagesRemoved ? kExtractRemove : nullptr;
}

const char* UvmCauses::OfAnons(uint64_t recorded, uint64_t ours) const {
  const uint64_t more = recorded > ours ? recorded - ours : 0;
  const uint64_t less = recorded < ours ? ours - recorded : 0;
  if (std::max(more, less) <= layers_[kCopied].size()) return kCopyOfShared;
  // Whose amap gets a page of zeroes depends on whose deferral has ended.
  if (std::max(more, less) <= layers_[kFaulted].size() + deferred_at_end_) return kFaults;
  if (less != 0) return less <= unread_.size() + unread_at_end_ ? kEndsElsewhere : nullptr;
  if (more <= given_up_.size()) return kForgets;
  if (more <= given_up_.size() + failed_.size()) return kFailedOperations;
  if (more <= given_up_.size() + failed_.size() + failed_here_.size()) return kAnotherPage;
  return nullptr;
}

const char* UvmCauses::OfAmaps() const {
  for (size_t i = 0; i < kLayers; i++) {
    if (!layers_[i].empty()) return kLayerNames[i];
  }
  return nullptr;
}

const char* UvmCauses::OfPage(uint64_t space, uint64_t va, char recorded, char ours) const {
  const bool anons = recorded != 'o' && ours != 'o';
  if (!anons) return nullptr;
  const bool more_there = recorded == 'A' && ours == 'a';
  const bool more_here = recorded == 'a' && ours == 'A';
  if ((ours == '-' || more_here) && failed_here_.Contains(space, va)) return kAnotherPage;
  if ((ours == '-' || more_there) && given_up_.Contains(space, va)) return kForgets;
  if (ours == '-' && failed_.Contains(space, va)) return kFailedOperations;
  if (recorded == '-' && unread_.Contains(space, va)) return kEndsElsewhere;
  if (layers_[kCopied].Contains(space, va)) return kCopyOfShared;
  return more_here && layers_[kMoved].Contains(space, va) ? kMovedMappings : nullptr;
}

// ---- Translations ----

const char* UvmCauses::OfTranslation(uint64_t space, uint64_t va, char recorded, char ours) const {
  const char r = absl::ascii_tolower(recorded), o = absl::ascii_tolower(ours);
  const bool same_wiring = absl::ascii_isupper(recorded) == absl::ascii_isupper(ours);
  if (r == 'x' && o == '-' && blind_.Contains(space, va)) return kBlind;
  if (r == 'r' && o == 'w' && same_wiring && lowered_.Contains(space, va)) return kRightsStay;
  if ((r == o || o == '-') && locked_.Contains(space, va)) return kMlockall;
  if (given_up_.Contains(space, va)) return kForgets;
  if (layers_[kCopied].Contains(space, va)) return kSnapshot;
  if (o == '-' && lent_.Contains(space, va)) return kPrivatePage;
  if (promoted_.Contains(space, va)) {
    if (r == '-') return kStrangers;
    if (o == '-' && !layers_[kCopied].empty()) return kCopyOfShared;
  }
  // Fault-ahead ends with the entry.
  for (size_t i = 0; i < kLayers; i++) {
    if (r == 'r' && o == '-' && layers_[i].Contains(space, va)) return kLayerNames[i];
  }
  return nullptr;
}

// ---- Counters ----

uint64_t UvmCauses::Reached(const UvmPages& pages, uint64_t space) const {
  if (wide_ || op_ == nullptr) return pages.CountIn(Whole(space));
  uint64_t most = 0, elsewhere = 0;
  for (const UvmSpan& span : spans_) {
    if (span.space != space) {
      elsewhere += pages.CountIn(span);
      continue;
    }
    if (!IsAccess(op_->op.call)) {
      most += pages.CountIn(span);
    } else {
      most += pages.CountIn({space, span.start - kAhead, span.end + kAhead});
    }
  }
  if (op_->op.call == UvmCall::kFork && space == op_->op.space2) {
    most += pages.CountIn(Whole(space));
  }
  // Of pages that others have, too.
  return most + pages.CountIn(Whole(space), elsewhere);
}

uint64_t UvmCauses::Named(const UvmPages& pages) const {
  uint64_t most = 0;
  for (const UvmSpan& span : spans_) most += pages.CountIn(span);
  return most;
}

uint64_t UvmCauses::ReachedAnywhere(const UvmPages& pages) const {
  std::set<uint64_t> spaces;
  for (const UvmSpan& span : spans_) spaces.insert(span.space);
  uint64_t most = 0;
  for (const uint64_t space : spaces) most += Reached(pages, space);
  return most;
}

const char* UvmCauses::ExplainMappings(Counter counter, uint64_t space, int64_t change) const {
  const auto most = static_cast<uint64_t>(std::abs(change));
  if (most <= Reached(blind_, space)) return kBlind;
  if (most <= Reached(given_up_, space)) return kForgets;
  const UvmPages& copied = layers_[kCopied];
  if (most <= Reached(copied, space) + Named(copied)) return kSnapshot;
  if (most <= Reached(promoted_, space) + promoted_now_.CountIn(Whole(space))) return kStrangers;
  if (removed_ && space == 0 && most <= kPagesRemoved) return kExtractRemove;
  if (counter == Counter::kResident) {
    if (most <= Reached(taken_back_, space)) return kIntoOwnHole;
    // The page that a write is a copy of may show in each view.
    const UvmPages& views = layers_[kViews];
    return Named(views) != 0 && most <= views.CountIn(Whole(space)) ? kViewsStay : nullptr;
  }
  if (most <= Reached(locked_, space)) return kMlockall;
  if (op_ != nullptr && IsAccess(op_->op.call)) return nullptr;
  return most <= Reached(layers_[kFailed], space) ? kFailedOperations : nullptr;
}

const char* UvmCauses::ExplainWired(int64_t before, int64_t now) const {
  const auto most = static_cast<uint64_t>(std::abs(now - before));
  if (most <= ReachedAnywhere(locked_)) return kMlockall;
  if (removed_ && most <= kPagesRemoved) return kExtractRemove;
  // Copies there, the same pages here.
  if (most <= ReachedAnywhere(layers_[kCopied])) return kCopyOfShared;
  if (now > before)
    return most <= ReachedAnywhere(loose_) + ReachedAnywhere(promoted_) ? kUnwire : nullptr;
  return now >= 0 ? kUnwire : nullptr;
}

int64_t UvmCauses::KeptPages() const {
  if (op_ == nullptr || op_->op.call != UvmCall::kObjDetach) return 0;
  const auto id = static_cast<int64_t>(op_->op.object);
  const auto pages = object_pages_.find(id);
  if (!kept_.contains(id) || pages == object_pages_.end()) return 0;
  return static_cast<int64_t>(pages->second);
}

UvmCauses::Verdict UvmCauses::OfUsed(uint64_t recorded, uint64_t ours, uint64_t zero_pages) {
  const bool differs = recorded != ours;
  const auto there = static_cast<int64_t>(recorded - ours + zero_pages);
  const int64_t more = there - kept_pages_ - (zero_page_ ? 1 : 0);
  if (more == 1 && may_lend_zeroes_ && !zero_page_) {
    zero_page_ = true;
  } else if (more > 0 && more <= KeptPages()) {
    kept_pages_ += more;
    return {differs, kNoReference};
  } else if (more != 0) {
    return {true, nullptr};
  }
  return {differs, kept_pages_ != 0 ? kNoReference : kZeroPage};
}

const char* UvmCauses::Explain(Counter counter, uint64_t space, int64_t before, int64_t now) const {
  const auto most = static_cast<uint64_t>(std::abs(now - before));
  switch (counter) {
    case Counter::kResident:
    case Counter::kWiredMappings:
      return ExplainMappings(counter, space, now - before);
    case Counter::kWired:
      return ExplainWired(before, now);
    case Counter::kAnons:
      if (most <= ReachedAnywhere(layers_[kCopied])) return kCopyOfShared;
      // Contents that were read have had zeros filled in: once for all views, or in each.
      if (most <= (wide_ ? layers_[kViews].count() : ReachedAnywhere(layers_[kViews])))
        return kViewsStay;
      return most <= ReachedAnywhere(lent_) ? kLoansEnd : nullptr;
  }
  return nullptr;
}

UvmCauses::Verdict UvmCauses::OfCounter(Counter counter, uint64_t space, uint64_t recorded,
                                        uint64_t ours) {
  const auto now = static_cast<int64_t>(recorded - ours);
  Offset& offset = offsets_[{counter, space}];
  if (now != offset.pages) {
    const bool wide = wide_;
    wide_ = wide_ || !offset.known;
    const char* name = Explain(counter, space, offset.pages, now);
    wide_ = wide;
    if (name == nullptr) return {true, nullptr};
    offset = {now, name, true};
  }
  offset.known = true;
  return {now != 0, offset.name};
}

}  // namespace conform
