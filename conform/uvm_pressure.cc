#include "conform/uvm_pressure.h"

#include "base/check.h"
#include "uvm/pdaemon.h"

namespace conform {

namespace {

constexpr uint32_t kMostDevices = 16;
constexpr uint64_t kSparePages = 4096;
constexpr int32_t kLastOfAll = 1'000'000;
// Where the hidden space lies is nobody's business.
constexpr base::Vaddr kBallastStart{0x100000};

int ErrnoOf(uvm::SwapError error) {
  switch (error) {
    case uvm::SwapError::kBusy:
      return kEbusy;
    case uvm::SwapError::kNotConfigured:
      return kEnxio;
    case uvm::SwapError::kInvalidArgument:
      return kEinval;
    case uvm::SwapError::kNotFound:
      return kEnoent;
    case uvm::SwapError::kNoMemory:
      return kEnomem;
    case uvm::SwapError::kAway:
      return kEio;
  }
  return -1;
}

UvmResult ResultOf(const base::Result<void, uvm::SwapError>& result) {
  UvmResult r;
  if (!result.ok()) r.error = ErrnoOf(result.error());
  return r;
}

UvmResult Errno(int error) {
  UvmResult r;
  r.error = error;
  return r;
}

}  // namespace

bool UvmPressure::IsOne(UvmCall call) {
  switch (call) {
    case UvmCall::kPressure:
    case UvmCall::kInflight:
    case UvmCall::kIoDone:
    case UvmCall::kBallast:
    case UvmCall::kSwapOn:
    case UvmCall::kSwapOff:
    case UvmCall::kSwapCtl:
    case UvmCall::kIoErrRead:
    case UvmCall::kIoErrWrite:
      return true;
    default:
      return false;
  }
}

UvmResult UvmPressure::Apply(const UvmOp& op) {
  switch (op.call) {
    case UvmCall::kPressure:
      bench_->Do([&] { Press(op.pages); });
      return {};
    case UvmCall::kInflight:
      return Inflight();
    case UvmCall::kIoDone:
      return IoDone();
    case UvmCall::kBallast:
      return Ballast(op.pages);
    case UvmCall::kSwapOn:
      return SwapOn(op);
    case UvmCall::kSwapOff:
      return SwapOff(op);
    case UvmCall::kSwapCtl: {
      const auto disk = disks_.find(op.unit);
      if (disk == disks_.end()) return Errno(kEnoent);
      return ResultOf(uvm().swap().SetPriority(disk->second.get(), static_cast<int32_t>(op.prio)));
    }
    case UvmCall::kIoErrRead:
      faults_.failing_reads = op.pages;
      return {};
    case UvmCall::kIoErrWrite:
      faults_.failing_writes = op.pages;
      return {};
    default:
      break;
  }
  UNREACHABLE("an operation without pressure");
}

UvmResult UvmPressure::SwapOn(const UvmOp& op) {
  // The recorder's disks keep the size that they were made with.
  std::unique_ptr<UvmDisk>& known = disks_[op.unit];
  if (known == nullptr) known = std::make_unique<UvmDisk>(op.pages, &faults_);
  UvmResult r;
  bench_->Do([&] { r = ResultOf(uvm().swap().On(known.get(), static_cast<int32_t>(op.prio))); });
  return r;
}

UvmResult UvmPressure::SwapOff(const UvmOp& op) {
  const auto disk = disks_.find(op.unit);
  if (disk == disks_.end()) return Errno(kEnxio);
  UvmResult r;
  bench_->Do([&] { r = ResultOf(uvm().SwapOff(disk->second.get())); });
  return r;
}

bool UvmPressure::Relieve() {
  if (spare_ != nullptr) return false;
  spare_ = std::make_unique<UvmDisk>(kSparePages, &faults_);
  bench_->Do([&] { CHECK(uvm().swap().On(spare_.get(), kLastOfAll).ok()); });
  return true;
}

UvmResult UvmPressure::Ballast(uint64_t pages) {
  const uint64_t bytes = pages * kUvmPageBytes;
  bench_->Do([&] {
    const auto space = uvm().CreateSpace(kBallastStart, kBallastStart + bytes);
    const auto object = uvm().CreateAobj(bytes, 0);
    CHECK(space.ok() && object.ok());
    ballast_ = space.value();
    uvm::Map::EnterOptions options;
    options.at = kBallastStart;
    options.size = bytes;
    options.where = uvm::Map::Where::kFixed;
    options.prot = options.max_prot = base::kProtReadWrite;
    options.sharing = uvm::Sharing::kShared;
    options.object = object.value();
    CHECK(ballast_->map().Enter(options).ok());
  });
  bench_->Born(ballast_);
  for (uint64_t i = 0; i < pages; i++) {
    const UvmAccess stored =
        bench_->Store(ballast_, kBallastStart + i * kUvmPageBytes, static_cast<uint8_t>(i + 1));
    if (!stored.ok) return Errno(kEnomem);
  }
  return {};
}

void UvmPressure::DropBallast() {
  if (ballast_ == nullptr) return;
  bench_->Gone(ballast_);
  bench_->Do([&] { uvm().FreeSpace(ballast_); });
  ballast_ = nullptr;
}

// Without waiting for any.
void UvmPressure::TakeAllFree() {
  uvm::PageStore& pages = uvm().DebugPages();
  while (uvm::Page* page = pages.AllocateForObject(nullptr, base::PageIndex(0))) {
    taken_.push_back(page);
  }
}

void UvmPressure::GiveBack() {
  for (uvm::Page* page : taken_) {
    page->busy = uvm::BusyReason::kNotBusy;
    uvm().DebugPages().Free(page);
  }
  taken_.clear();
}

void UvmPressure::Press(uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; i++) {
    TakeAllFree();
    uvm().pagedaemon().RunOnce();
  }
  GiveBack();
}

uint64_t UvmPressure::SlotsOn() const {
  uvm::SwapStats stats[kMostDevices];
  const uint32_t on = uvm().swap().Stats(stats, kMostDevices);
  uint64_t slots = 0;
  for (uint32_t i = 0; i < on; i++) {
    if (stats[i].device != spare_.get()) slots += stats[i].pages.value();
  }
  return slots;
}

uint64_t UvmPressure::held_pages() const {
  uint64_t pages = 0;
  for (const auto& [unit, disk] : disks_) pages += disk->held_pages();
  return pages + (spare_ != nullptr ? spare_->held_pages() : 0);
}

// One round that waits for nothing.
UvmResult UvmPressure::Inflight() {
  for (const auto& [unit, disk] : disks_) disk->Hold();
  if (spare_ != nullptr) spare_->Hold();
  bench_->Do([&] {
    uvm::PageDaemon& daemon = uvm().pagedaemon();
    for (int round = 0; round < 2; round++) {
      TakeAllFree();
      daemon.Kick();
      daemon.Serve();
      daemon.StopServing();
    }
    GiveBack();
  });
  for (const auto& [unit, disk] : disks_) disk->StopHolding();
  if (spare_ != nullptr) spare_->StopHolding();
  UvmResult r;
  r.value = uvm().pagedaemon().paging().value();
  return r;
}

UvmResult UvmPressure::IoDone() {
  UvmResult r;
  bench_->Do([&] {
    for (const auto& [unit, disk] : disks_) r.completed += disk->Release();
    if (spare_ != nullptr) r.completed += spare_->Release();
  });
  r.value = uvm().pagedaemon().paging().value();
  return r;
}

}  // namespace conform
