#include "uvm/memfd.h"

#include "base/check.h"

namespace uvm {
namespace {

constexpr uint32_t kAllSeals = kSealSeal | kSealShrink | kSealGrow | kSealWrite | kSealFutureWrite;
// File sizes and offsets are signed 64-bit numbers.
constexpr uint64_t kMaxSize = ~uint64_t{0} >> 1;

}  // namespace

Result<Memfd, MapError> Memfd::Create(Uvm* uvm, Sealing sealing) {
  Object* object = TRY(uvm->CreateAobj(0, 0));
  return Memfd(uvm, object, sealing == Sealing::kAllowed ? uint32_t{0} : uint32_t{kSealSeal});
}

Errno Memfd::Truncate(uint64_t bytes) {
  if (bytes > kMaxSize) return Errno::kEinval;
  if (bytes < size_ && (seals_ & (kSealShrink | kSealWrite)) != 0) return Errno::kEperm;
  if (bytes > size_ && (seals_ & (kSealGrow | kSealWrite)) != 0) return Errno::kEperm;
  if (bytes != size_ && !uvm_->TruncateAobj(object_, bytes)) return Errno::kEnomem;
  size_ = bytes;
  return Errno::kOk;
}

bool Memfd::IsMapped() const {
  MutexLock lock(&object_->mu);
  return object_->refs > 1;  // one is the file's own
}

Errno Memfd::AddSeals(uint32_t seals) {
  if ((seals & ~kAllSeals) != 0) return Errno::kEinval;
  if ((seals_ & kSealSeal) != 0) return Errno::kEperm;
  // A mapping may be writable.
  if ((seals & kSealWrite) != 0 && IsMapped()) return Errno::kEbusy;
  seals_ |= seals;
  return Errno::kOk;
}

AddressResult Memfd::Mmap(Process* process, MmapArguments arguments) const {
  const bool shared = (arguments.flags & kMapShared) != 0;
  const bool sealed = (seals_ & (kSealWrite | kSealFutureWrite)) != 0;
  if (sealed && shared && arguments.prot.CanWrite()) return {Errno::kEperm};
  if (arguments.position > kMaxSize || arguments.length > kMaxSize - arguments.position ||
      arguments.position + arguments.length > base::RoundPage(size_)) {
    return {Errno::kEinval};
  }
  arguments.flags &= ~kMapAnon;
  arguments.file.given = true;
  arguments.file.object = object_;
  // Rights that are sealed away cannot be had by mprotect(2) later.
  arguments.file.writable = arguments.file.writable && !sealed;
  return MmapCalls(uvm_).Mmap(process, arguments);
}

void Memfd::Close() {
  CHECK(object_ != nullptr);
  uvm_->ReleaseObject(object_);
  object_ = nullptr;
}

}  // namespace uvm
