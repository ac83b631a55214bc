#include "conform/uvm_structure.h"

#include <string>

#include "absl/strings/match.h"

namespace conform {

namespace {

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

constexpr char kLoansEnd[] = "returned-loans-leave-nothing";

constexpr const char* kNames[] = {
    kFailedOperations, kMovedMappings, kCopyOfShared, kZeroPage, kBlind,
    kRightsStay,       kUnwire,        kForgets,      kMlockall, kSnapshot,
    kStrangers,        kExtractRemove, kPrivatePage,  kLoansEnd};

}  // namespace

absl::Span<const char* const> UvmStructureNames() { return kNames; }

void UvmCauses::Operation(const UvmOpLine& line) {
  op_ = &line;
  const bool ok = line.result.error == 0;
  switch (line.op.call) {
    case UvmCall::kExtract:
    case UvmCall::kMremap:
    case UvmCall::kSysMremap:
      moved_ = moved_ || ok;
      break;
    case UvmCall::kLoan:
      lent_ = true;  // one that fails has lent, too, for a while
      break;
    case UvmCall::kProtect:
    case UvmCall::kSysMprotect:
      protected_ = protected_ || ok;
      break;
    case UvmCall::kClean:
    case UvmCall::kSysMadvise:
    case UvmCall::kSysMsync:
      cleaned_ = true;
      break;
    case UvmCall::kWireAll:
    case UvmCall::kSysMlockall:
      wired_some_ = wired_some_ || !ok;
      break;
    default:
      break;
  }
}

void UvmCauses::Note(const std::string& text) {
  removed_ = removed_ || absl::StartsWith(text, "extract REMOVE");
}

void UvmCauses::Entry(const UvmEntry& entry) {
  constexpr uint64_t kRead = 1;
  if (op_ != nullptr && op_->result.error != 0) failed_ = true;
  if (entry.prot != 0 && (entry.prot & kRead) == 0) blind_ = true;
  if (entry.wired != 0) wired_ = true;
  const bool fork = op_ != nullptr && op_->op.call == UvmCall::kFork;
  if (fork && entry.needs_copy && entry.amap.has_value() && entry.amap->shared) {
    copied_shared_ = true;
  }
}

// Of the translations there are in one space.
const char* UvmCauses::NameOfTranslations() const {
  return blind_           ? kBlind
         : cleaned_       ? kForgets
         : wired_some_    ? kMlockall
         : copied_shared_ ? kSnapshot
         : wired_         ? kStrangers
         : lent_          ? kPrivatePage
                          : nullptr;
}

const char* UvmCauses::NameOf(const std::string& field, const std::string& recorded) const {
  if (field == "C used" && lent_) return kZeroPage;
  if (field == "M sz" && removed_) return kExtractRemove;
  if (field == "M wir" && wired_some_) return kMlockall;
  if (field == "M wir" && failed_ && !blind_) return kFailedOperations;
  if (field == "M res" || field == "M wir") return NameOfTranslations();
  if (field == "C wired") return wired_ ? kUnwire : nullptr;
  if (field == "V pte") {
    const bool executes = absl::StrContains(recorded, 'x') || absl::StrContains(recorded, 'X');
    if (executes && blind_) return kBlind;
    return protected_ ? kRightsStay : NameOfTranslations();
  }
  const bool about_layers = absl::StartsWith(field, "amap") || absl::StartsWith(field, "C a") ||
                            field == "copy flags" || field == "boundaries" || field == "M n" ||
                            field == "V pg" || field == "C used";
  if (!about_layers) return nullptr;
  return copied_shared_ ? kCopyOfShared
         : moved_       ? kMovedMappings
         : failed_      ? kFailedOperations
         : lent_        ? kLoansEnd
                        : nullptr;
}

}  // namespace conform
