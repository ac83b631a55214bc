#include "conform/uvm_replay.h"

#include <cstring>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/prot.h"

namespace conform {

namespace {

using base::Advice;
using base::FaultError;
using base::Inherit;
using base::MapError;
using base::Prot;
using base::Range;
using base::Vaddr;
using uvm::Map;

// Where a page's second byte of interest lies.
constexpr uint64_t kMiddle = 0x800;

Prot ProtOf(uint64_t bits) { return Prot(static_cast<uint8_t>(bits)); }

Range RangeOf(const UvmOp& op) { return {Vaddr(op.start), Vaddr(op.end)}; }

// Codes without a meaning are passed on as such.
Inherit InheritOf(uint64_t letter) {
  switch (letter) {
    case 's':
      return Inherit::kShare;
    case 'c':
      return Inherit::kCopy;
    case 'n':
      return Inherit::kNone;
    case 'd':
      return Inherit::kDonateCopy;
    case 'z':
      return Inherit::kZero;
    default:
      return static_cast<Inherit>(99);
  }
}

Advice AdviceOf(uint64_t letter) {
  return letter == 'r' ? Advice::kRandom : letter == 's' ? Advice::kSequential : Advice::kNormal;
}

UvmResult Errno(int error) {
  UvmResult r;
  r.error = error;
  return r;
}
UvmResult ErrnoResult(base::Errno error) { return Errno(static_cast<int>(error)); }

UvmResult StatusOf(const base::Result<void, MapError>& result) {
  return Errno(result.ok() ? 0 : UvmErrnoOf(result.error()));
}

UvmResult AddressOf(const base::Result<Vaddr, MapError>& result) {
  if (!result.ok()) return Errno(UvmErrnoOf(result.error()));
  UvmResult r;
  r.value = result.value().value();
  return r;
}

UvmResult AddressOf(const uvm::AddressResult& result) {
  UvmResult r = ErrnoResult(result.error);
  if (r.error == 0) r.value = result.address;
  return r;
}

uint32_t PgoFlagsOf(uint64_t letters) {
  uint32_t flags = 0;
  if ((letters & UvmFlag('C')) != 0) flags |= uvm::kPgoCleanIt | uvm::kPgoSyncIo;
  if ((letters & UvmFlag('F')) != 0) flags |= uvm::kPgoFree;
  if ((letters & UvmFlag('D')) != 0) flags |= uvm::kPgoDeactivate;
  return flags;
}

// The pager gives the lock back.
base::Result<void, uvm::PagerError> PutPages(uvm::Object* object, base::PageIndex first,
                                             base::PageIndex end,
                                             uint32_t flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Lock();
  return object->pager()->Put(object, first, end, flags);
}

}  // namespace

int UvmErrnoOf(MapError error) {
  switch (error) {
    case MapError::kInvalidArgument:
    case MapError::kTooBig:
      return kEinval;
    case MapError::kOutOfRange:
    case MapError::kNoSpace:
    case MapError::kNoMemory:
      return kEnomem;
    case MapError::kProtection:
      return kEacces;
    case MapError::kHole:
      return kEfault;
    case MapError::kBusy:
      return kEbusy;
    case MapError::kTryAgain:
      return kEagain;
    case MapError::kNotFound:
      return kEnoent;
    case MapError::kIo:
      return kEio;
  }
  return -1;
}

int UvmErrnoOf(FaultError error) {
  switch (error) {
    case FaultError::kNoEntry:
    case FaultError::kProtection:
    case FaultError::kLayerless:
      return kEfault;
    case FaultError::kNoMemory:
      return kEnomem;
    case FaultError::kIo:
      return kEio;
    case FaultError::kPastEnd:
      return kEinval;
  }
  return -1;
}

UvmReplay::UvmReplay(UvmBench* bench, const UvmSequence& sequence)
    : bench_(bench), sequence_(sequence), pressure_(bench), calls_(&bench->uvm()) {
  (void)SpaceFor(0);
}

UvmReplay::~UvmReplay() = default;

uvm::Space* UvmReplay::space(uint64_t number) const {
  const auto it = spaces_.find(number);
  return it == spaces_.end() ? nullptr : it->second;
}

bool UvmReplay::IsMapped(uint64_t number, uint64_t va) const {
  const uvm::Space* known = space(number);
  uvm::MapEntry* e = known == nullptr ? nullptr : known->map().DebugFirst();
  while (e != nullptr && !e->range().Contains(Vaddr(va))) e = Map::DebugNext(e);
  return e != nullptr;
}

uvm::Object* UvmReplay::object(uint64_t number) const {
  const auto it = objects_.find(number);
  return it == objects_.end() ? nullptr : it->second;
}

int64_t UvmReplay::NumberOf(const uvm::Object* object) const {
  // The address of one that is gone may be in use again: the newest counts.
  for (auto it = objects_.rbegin(); it != objects_.rend(); ++it) {
    if (it->second == object) return static_cast<int64_t>(it->first);
  }
  return -2;
}

uvm::Space* UvmReplay::SpaceFor(uint64_t number) {
  if (uvm::Space* known = space(number)) return known;
  bench_->Do([&] {
    const auto made =
        uvm().CreateSpace(Vaddr(sequence_.start), Vaddr(sequence_.end), DirectionOf(number));
    if (made.ok()) spaces_[number] = made.value();
  });
  uvm::Space* made = space(number);
  if (made != nullptr) bench_->Born(made);
  return made;
}

uvm::Direction UvmReplay::DirectionOf(uint64_t space) const {
  // A space of that scenario which no line makes looks the other way.
  const bool other = space != 0 && absl::StartsWith(sequence_.name, "N7N8-findspace");
  return sequence_.topdown || other ? uvm::Direction::kTopDown : uvm::Direction::kBottomUp;
}

uvm::Process* UvmReplay::ProcessFor(uint64_t number) {
  std::unique_ptr<uvm::Process>& process = processes_[number];
  if (process == nullptr) {
    process = std::make_unique<uvm::Process>();
    process->map = &SpaceFor(number)->map();
    process->default_address = Vaddr(sequence_.topdown ? sequence_.end : sequence_.start);
  }
  return process.get();
}

int UvmReplay::Probe(const UvmOp& op) {
  uint8_t byte = 0;
  const UvmAccess access = bench_->Load(SpaceFor(op.space), Vaddr(op.start), &byte);
  return access.ok ? 0 : UvmErrnoOf(access.error);
}

UvmResult UvmReplay::Apply(const UvmOp& op) {
  if (UvmPressure::IsOne(op.call)) return pressure_.Apply(op);
  switch (op.call) {
    case UvmCall::kWrite:
    case UvmCall::kRead:
      return Access(op);
    case UvmCall::kFork:
    case UvmCall::kExit:
      return Lifecycle(op);
    default:
      break;
  }
  // Made before, not inside the job.
  (void)SpaceFor(op.space);
  if (op.call == UvmCall::kExtract || op.call == UvmCall::kVoaddr) (void)SpaceFor(op.space2);
  UvmResult result;
  bench_->Do([&] {
    switch (op.call) {
      case UvmCall::kMap:
        result = Map(op);
        break;
      case UvmCall::kExtract:
        result = Extract(op);
        break;
      case UvmCall::kMremap:
        result = Mremap(op);
        break;
      case UvmCall::kFindSpace:
        result = FindSpace(op);
        break;
      case UvmCall::kObjCreate:
      case UvmCall::kFileCreate:
      case UvmCall::kFileErr:
      case UvmCall::kObjDetach:
      case UvmCall::kObjPut:
        result = Objects(op);
        break;
      case UvmCall::kLoan:
      case UvmCall::kLoanRead:
      case UvmCall::kUnloan:
        result = Loans(op);
        break;
      case UvmCall::kVoaddr:
        result = Voaddr(op);
        break;
      default:
        result = op.call >= UvmCall::kSysMmap ? System(op) : Ranged(op);
        break;
    }
  });
  return result;
}

UvmResult UvmReplay::Map(const UvmOp& op) {
  const auto kind = static_cast<UvmKind>(op.kind);
  const bool fixed = (op.flags & UvmFlag('F')) != 0;
  const bool replace = (op.flags & UvmFlag('U')) != 0;
  Map::EnterOptions options;
  options.at = Vaddr(op.start);
  options.size = op.pages * kUvmPageBytes;
  options.where = !fixed    ? Map::Where::kNear
                  : replace ? Map::Where::kFixedReplace
                            : Map::Where::kFixed;
  options.prot = ProtOf(op.prot);
  options.max_prot = ProtOf(op.max);
  options.inherit = InheritOf(op.inherit);
  options.advice = AdviceOf(op.advice);
  options.align = op.align;
  options.offset = op.offset;
  const bool shared = kind == UvmKind::kShared || kind == UvmKind::kObjsh;
  options.sharing = shared ? uvm::Sharing::kShared : uvm::Sharing::kPrivate;
  if (kind == UvmKind::kPrivov || kind == UvmKind::kShared) options.flags |= uvm::kEnterOverlay;
  if (kind == UvmKind::kBare) options.flags |= uvm::kEnterBare;
  if ((op.flags & UvmFlag('N')) != 0) options.flags |= uvm::kEnterNoMerge;
  if ((op.flags & UvmFlag('P')) != 0) options.flags |= uvm::kEnterAmapPad;
  if (op.has_object != 0) {
    options.object = object(op.object);
    CHECK(options.object != nullptr);
    uvm().ReferenceObject(options.object);
  }
  const auto result = SpaceFor(op.space)->map().Enter(options);
  if (!result.ok() && options.object != nullptr) uvm().ReleaseObject(options.object);
  return AddressOf(result);
}

UvmResult UvmReplay::Ranged(const UvmOp& op) {
  uvm::Map& map = SpaceFor(op.space)->map();
  switch (op.call) {
    case UvmCall::kUnmap:
      return StatusOf(map.Unmap(RangeOf(op)));
    case UvmCall::kProtect:
      return StatusOf(map.Protect(RangeOf(op), ProtOf(op.prot),
                                  op.flags != 0 ? uvm::SetMax::kYes : uvm::SetMax::kNo));
    case UvmCall::kInherit:
      return StatusOf(map.SetInherit(RangeOf(op), InheritOf(op.inherit)));
    case UvmCall::kAdvice:
      return StatusOf(map.SetAdvice(RangeOf(op), static_cast<Advice>(op.advice)));
    case UvmCall::kClean:
      return StatusOf(map.Clean(RangeOf(op), PgoFlagsOf(op.flags)));
    case UvmCall::kWire:
      return StatusOf(map.Pageable(RangeOf(op), uvm::Wiring::kWire));
    case UvmCall::kUnwire:
      return StatusOf(map.Pageable(RangeOf(op), uvm::Wiring::kUnwire));
    case UvmCall::kWireAll:
      return StatusOf(map.PageableAll(static_cast<uint32_t>(op.flags), op.bytes));
    case UvmCall::kCheckProt: {
      UvmResult r;
      r.value = map.CheckProt(RangeOf(op), ProtOf(op.prot)) ? 1 : 0;
      return r;
    }
    default:
      break;
  }
  UNREACHABLE("an operation that cannot be replayed");
}

UvmResult UvmReplay::FindSpace(const UvmOp& op) {
  UvmResult r;
  Vaddr found;
  const bool fixed = (op.flags & UvmFlag('F')) != 0;
  if (SpaceFor(op.space)->map().FindSpace({.hint = Vaddr(op.start),
                                           .size = op.pages * kUvmPageBytes,
                                           .align = op.align,
                                           .fixed = fixed},
                                          &found)) {
    r.value = found.value();
  } else {
    r.none = true;
  }
  return r;
}

// Flags of uvm_mremap() in the recording: MAP_FIXED, MAP_REMAPDUP, an alignment's exponent.
UvmResult UvmReplay::Mremap(const UvmOp& op) {
  Map::RemapOptions options;
  options.from = {Vaddr(op.start), Vaddr(op.start + op.pages * kUvmPageBytes)};
  // Without an address a search starts where the direction says.
  options.to = Vaddr(op.target != 0 || !sequence_.topdown ? op.target : sequence_.end);
  options.new_size = op.target_size * kUvmPageBytes;
  options.where = (op.flags & uvm::kMapFixed) != 0 ? Map::RemapOptions::Where::kFixed
                                                   : Map::RemapOptions::Where::kMayMove;
  options.duplicate = (op.flags & uvm::kMapRemapDup) != 0;
  const uint64_t exponent = op.flags >> uvm::kMapAlignShift;
  if (exponent != 0) options.align = uint64_t{1} << exponent;
  return AddressOf(SpaceFor(op.space)->map().Remap(options));
}

bool UvmReplay::TakeBackRemap(const UvmOp& op, uint64_t at) {
  const bool system = op.call == UvmCall::kSysMremap;
  const uint64_t pages = system ? op.bytes / kUvmPageBytes : op.pages;
  const uint64_t more = system ? op.target_size / kUvmPageBytes : op.target_size;
  const bool twice = (op.flags & uvm::kMapRemapDup) != 0;
  CHECK(more >= pages);
  UvmOp unmap;
  unmap.call = UvmCall::kUnmap;
  unmap.space = op.space;
  unmap.start = at + (twice ? 0 : pages * kUvmPageBytes);
  unmap.end = at + more * kUvmPageBytes;
  if (unmap.start < unmap.end && Apply(unmap).error != 0) return false;
  if (twice || at == op.start) return true;
  UvmOp back;
  back.call = UvmCall::kMremap;
  back.space = op.space;
  back.start = at;
  back.pages = back.target_size = pages;
  back.target = op.start;
  back.flags = uvm::kMapFixed;
  return Apply(back).error == 0;
}

// The recorded code looks for space from the start of the target on, whatever its direction.
UvmResult UvmReplay::Extract(const UvmOp& op) {
  uint32_t flags = 0;
  if ((op.flags & UvmFlag('C')) != 0) flags |= Map::kExtractContiguous;
  if ((op.flags & UvmFlag('X')) != 0) flags |= Map::kExtractFixProt;
  if ((op.flags & UvmFlag('R')) != 0) flags |= Map::kExtractRemove;
  if ((op.flags & UvmFlag('Q')) != 0) flags |= Map::kExtractQuickRef;
  const Range from = {Vaddr(op.start), Vaddr(op.start + op.pages * kUvmPageBytes)};
  uvm::Space* target = SpaceFor(op.space2);
  return AddressOf(
      SpaceFor(op.space)->map().Extract(from, &target->map(), Vaddr(sequence_.start), flags));
}

UvmResult UvmReplay::Access(const UvmOp& op) {
  UvmResult r;
  auto byte = static_cast<uint8_t>(op.value);
  uvm::Space* space = SpaceFor(op.space);
  const UvmAccess access = op.call == UvmCall::kRead ? bench_->Load(space, Vaddr(op.start), &byte)
                                                     : bench_->Store(space, Vaddr(op.start), byte);
  if (!access.ok) return Errno(UvmErrnoOf(access.error));
  if (op.call == UvmCall::kRead) r.value = byte;
  return r;
}

UvmResult UvmReplay::Objects(const UvmOp& op) {
  if (op.call == UvmCall::kFileErr) {
    files_.failing_reads = op.pages;
    return {};
  }
  if (op.call == UvmCall::kObjCreate || op.call == UvmCall::kFileCreate) {
    const bool file = op.call == UvmCall::kFileCreate;
    if (file) files_.Create(op.object, op.pages);
    const auto made = file ? uvm().CreateStoredObject(&files_, op.object)
                           : uvm().CreateAobj(op.pages * kUvmPageBytes, 0);
    if (!made.ok()) return Errno(UvmErrnoOf(made.error()));
    objects_[op.object] = made.value();
    return {};
  }
  uvm::Object* known = object(op.object);
  CHECK(known != nullptr);
  if (op.call == UvmCall::kObjDetach) {
    uvm().ReleaseObject(known);
    return {};
  }
  const auto put = PutPages(known, base::PageIndex(op.offset),
                            base::PageIndex(op.offset + op.pages), PgoFlagsOf(op.flags));
  return Errno(put.ok() ? 0 : kEio);
}

UvmResult UvmReplay::Lifecycle(const UvmOp& op) {
  uvm::Space* space = SpaceFor(op.space);
  UvmResult r;
  if (op.call == UvmCall::kExit) {
    bench_->Gone(space);
    bench_->Do([&] { uvm().FreeSpace(space); });
    spaces_.erase(op.space);
    processes_.erase(op.space);
    return r;
  }
  uvm::Space* child = nullptr;
  bench_->Do([&] {
    const auto made = uvm().ForkSpace(space);
    if (made.ok()) {
      child = made.value();
    } else {
      r.error = UvmErrnoOf(made.error());
    }
  });
  if (child != nullptr) {
    spaces_[op.space2] = child;
    bench_->Born(child);
  }
  return r;
}

UvmResult UvmReplay::SysMmap(const UvmOp& op) {
  uvm::MmapArguments a;
  a.address = op.start;
  a.length = op.bytes;
  a.prot = ProtOf(op.prot);
  a.flags = static_cast<uint32_t>(op.flags);
  a.position = op.offset;
  a.file.given = op.fd != -1;
  uvm::Object* file = op.fd < 0 ? nullptr : object(static_cast<uint64_t>(op.fd));
  a.file.known = file != nullptr;
  // The recorder's files cannot be mapped past their end, and say EINVAL.
  const bool past_end =
      file != nullptr && base::RoundPage(op.bytes + op.offset % kUvmPageBytes) >
                             file->pager()->SizeInBytes(file) - base::TruncPage(op.offset);
  a.file.object = past_end ? nullptr : file;
  UvmResult result = AddressOf(calls_.Mmap(ProcessFor(op.space), a));
  if (past_end && result.error == static_cast<int>(base::Errno::kEnodev)) result.error = kEinval;
  return result;
}

UvmResult UvmReplay::System(const UvmOp& op) {
  uvm::Process* process = ProcessFor(op.space);
  const auto flags = static_cast<uint32_t>(op.flags);
  switch (op.call) {
    case UvmCall::kSysMmap:
      return SysMmap(op);
    case UvmCall::kSysMunmap:
      return ErrnoResult(calls_.Munmap(process, op.start, op.bytes));
    case UvmCall::kSysMprotect:
      return ErrnoResult(calls_.Mprotect(process, op.start, op.bytes, ProtOf(op.prot)));
    case UvmCall::kSysMinherit:
      return ErrnoResult(calls_.Minherit(process, op.start, op.bytes, op.inherit));
    case UvmCall::kSysMadvise:
      return ErrnoResult(calls_.Madvise(process, op.start, op.bytes, op.advice));
    case UvmCall::kSysMlock:
      return ErrnoResult(calls_.Mlock(process, op.start, op.bytes));
    case UvmCall::kSysMunlock:
      return ErrnoResult(calls_.Munlock(process, op.start, op.bytes));
    case UvmCall::kSysMlockall:
      return ErrnoResult(calls_.Mlockall(process, flags));
    case UvmCall::kSysMunlockall:
      return ErrnoResult(calls_.Munlockall(process));
    case UvmCall::kSysMsync:
      return ErrnoResult(calls_.Msync(process, op.start, op.bytes, flags));
    case UvmCall::kSysMincore: {
      std::string vec;
      auto visit = [&vec](bool resident, base::PageCount pages) {
        vec.append(pages.value(), resident ? '1' : '0');
        return true;
      };
      UvmResult r = ErrnoResult(calls_.Mincore(process, op.start, op.bytes, visit));
      if (r.error == 0) r.vec = vec;
      return r;
    }
    case UvmCall::kSysMremap:
      return AddressOf(
          calls_.Mremap(process, op.start, op.bytes, op.target, op.target_size, flags));
    default:
      break;
  }
  UNREACHABLE("an operation that cannot be replayed");
}

UvmPageBytes UvmReplay::BytesAt(uvm::Space* space, uint64_t va) {
  UvmPageBytes bytes;
  UvmAccess access = bench_->Load(space, Vaddr(va), &bytes.first);
  if (access.ok) access = bench_->Load(space, Vaddr(va + kMiddle), &bytes.middle);
  if (!access.ok) bytes = {.error = UvmErrnoOf(access.error)};
  return bytes;
}

std::vector<UvmPageBytes> UvmReplay::Contents(uint64_t number, uint64_t start, size_t pages) {
  std::vector<UvmPageBytes> contents;
  for (size_t i = 0; i < pages; i++) {
    contents.push_back(BytesAt(SpaceFor(number), start + i * kUvmPageBytes));
  }
  return contents;
}

namespace {

// Ours of the same boundaries, or null.
uvm::MapEntry* EntryOf(uvm::Space* space, const UvmEntry& recorded) {
  uvm::MapEntry* e = space->map().DebugFirst();
  while (e != nullptr && e->start.value() < recorded.start) e = uvm::Map::DebugNext(e);
  const bool same =
      e != nullptr && e->start.value() == recorded.start && e->end.value() == recorded.end;
  return same ? e : nullptr;
}

}  // namespace

uint64_t UvmReplay::zero_pages() const {
  const auto is_zeroes = [this](const uvm::Page* page) {
    return page != nullptr && page->object != nullptr && NumberOf(page->object) == -2;
  };
  for (const auto& [id, loan] : loans_) {
    for (const uvm::Page* page : loan.pages) {
      if (is_zeroes(page)) return 1;
    }
    for (const uvm::Anon* anon : loan.anons) {
      if (is_zeroes(anon->page)) return 1;
    }
  }
  return 0;
}

bool UvmReplay::SplitAt(uint64_t number, uint64_t va) {
  uvm::Space* ours = space(number);
  uvm::MapEntry* e = ours == nullptr ? nullptr : ours->map().DebugFirst();
  while (e != nullptr && e->end.value() <= va) e = uvm::Map::DebugNext(e);
  if (e == nullptr || e->start.value() >= va) return false;
  // Setting what is set already splits and changes nothing else.
  bench_->Do([&] { (void)ours->map().SetInherit({Vaddr(va), e->end}, e->inherit); });
  return true;
}

bool UvmReplay::GiveAmap(const UvmEntry& recorded) {
  uvm::Space* ours = space(recorded.space);
  uvm::MapEntry* e = ours == nullptr ? nullptr : ours->map().DebugFirst();
  while (e != nullptr && e->end.value() <= recorded.start) e = uvm::Map::DebugNext(e);
  if (e == nullptr || e->start.value() > recorded.start || !e->needs_copy) return false;
  bench_->Do([&] {
    uvm::Map::Change change(&ours->map(), "UvmReplay::GiveAmap");
    (void)ours->map().CopyAmapLocked(e, e->range(), uvm::Map::Chunk::kNo, uvm::Map::Merge::kNo);
  });
  return true;
}

bool UvmReplay::MarkShared(const UvmEntry& recorded) {
  uvm::Space* ours = space(recorded.space);
  uvm::MapEntry* e = ours == nullptr ? nullptr : EntryOf(ours, recorded);
  uvm::Amap* amap = e == nullptr ? nullptr : e->aref.amap;
  if (amap == nullptr || amap->shared) return false;
  bench_->Do([&] {
    uvm::MutexLock lock(&amap->lock->mutex);
    amap->shared = true;
  });
  return true;
}

UvmResult UvmReplay::Loans(const UvmOp& op) {
  uvm::LoanStore& store = uvm().loans();
  if (op.call == UvmCall::kLoanRead) return {};  // LoanContents() does it
  if (op.call == UvmCall::kUnloan) {
    const Loan& loan = loans_[op.object];
    store.ReturnPages(loan.pages.data(), loan.pages.size());
    store.ReturnAnons(loan.anons.data(), loan.anons.size());
    loans_.erase(op.object);
    return {};
  }
  Loan loan;
  uvm::Map& map = SpaceFor(op.space)->map();
  const Range range = {Vaddr(op.start), Vaddr(op.start + op.pages * kUvmPageBytes)};
  const bool to_anons = op.flags != 0;
  to_anons ? loan.anons.resize(op.pages) : loan.pages.resize(op.pages);
  const auto lent = to_anons ? store.LendAnons(&map, range, loan.anons.data())
                             : store.LendPages(&map, range, loan.pages.data());
  if (lent.ok()) loans_[op.object] = std::move(loan);
  return StatusOf(lent);
}

UvmResult UvmReplay::Voaddr(const UvmOp& op) {
  UvmResult r;
  uvm::VoAddr first, second;
  r.ok1 = uvm().AcquireAddress(SpaceFor(op.space), Vaddr(op.start), &first);
  r.ok2 = uvm().AcquireAddress(SpaceFor(op.space2), Vaddr(op.target), &second);
  if (r.ok1 && r.ok2) r.value = first == second ? 1 : 0;
  if (r.ok1) uvm().ReleaseAddress(&first);
  if (r.ok2) uvm().ReleaseAddress(&second);
  return r;
}

std::vector<UvmPageBytes> UvmReplay::LoanContents(uint64_t id) {
  std::vector<UvmPageBytes> contents;
  const Loan& loan = loans_[id];
  const auto add = [&](const uvm::Page* page) {
    const unsigned char* bytes = uvm().DebugPages().Contents(page);
    contents.push_back({.error = 0, .first = bytes[0], .middle = bytes[kMiddle]});
  };
  for (const uvm::Page* page : loan.pages) add(page);
  for (const uvm::Anon* anon : loan.anons) add(anon->page);
  return contents;
}

std::vector<UvmPageBytes> UvmReplay::StoreContents(uint64_t object) {
  return files_.Contents(object);
}

// ---- Files ----

void UvmReplay::Files::Create(uint64_t id, uint64_t pages) {
  auto& file = files_[id];
  file.assign(pages, {});
  for (uint64_t k = 0; k < pages; k++) {
    file[k][0] = static_cast<unsigned char>(7 * k + 1);
    file[k][kMiddle] = static_cast<unsigned char>(11 * k + 2);
  }
}

base::Result<void, uvm::PagerError> UvmReplay::Files::ReadPage(uvm::Object* object,
                                                               base::PageIndex index,
                                                               unsigned char* contents) {
  if (failing_reads > 0) {
    failing_reads--;
    failed_pages.emplace_back(object->key(), index.value());
    return uvm::PagerError::kIo;
  }
  std::memcpy(contents, files_.at(object->key())[index.value()].data(), kUvmPageBytes);
  return {};
}

base::Result<void, uvm::PagerError> UvmReplay::Files::WritePage(uvm::Object* object,
                                                                base::PageIndex index,
                                                                const unsigned char* contents) {
  std::memcpy(files_.at(object->key())[index.value()].data(), contents, kUvmPageBytes);
  return {};
}

uint64_t UvmReplay::Files::SizeInBytes(const uvm::Object* object) const {
  return files_.at(object->key()).size() * kUvmPageBytes;
}

std::vector<UvmPageBytes> UvmReplay::Files::Contents(uint64_t id) const {
  std::vector<UvmPageBytes> contents;
  for (const auto& page : files_.at(id)) {
    contents.push_back({.error = 0, .first = page[0], .middle = page[kMiddle]});
  }
  return contents;
}

}  // namespace conform
