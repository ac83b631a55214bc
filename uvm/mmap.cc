#include "uvm/mmap.h"

#include "base/check.h"

namespace uvm {
namespace {

// [address, address + length) widened to pages: down to the page's start, up to the last page's
// end, with plain wrapping arithmetic, so that a length which rounds up to nothing is an empty
// range (facts/uvm.md 2.14, 5.B item 20). No length is no page, wherever the address lies in one.
struct Rounded {
  Rounded(uint64_t address, uint64_t length)
      : start(base::TruncPage(address)),
        size(length == 0 ? 0 : base::RoundPage(length + (address & base::kPageMask))) {}
  // False: outside the map, or wrapped. NetBSD: range_test().
  bool In(const Map& map, Range* range) const {
    if (start < map.min().value() || start + size > map.max().value() || start + size < start) {
      return false;
    }
    *range = {Vaddr(start), Vaddr(start + size)};
    return true;
  }
  uint64_t start;
  uint64_t size;
};

Errno ErrnoOf(const Result<void, MapError>& result) {
  return result.ok() ? Errno::kOk : uvm::ErrnoOf(result.error());
}

constexpr unsigned kWordBits = sizeof(uintptr_t) * 8;

// MAP_ALIGNED(n): the alignment in bytes, 0 for none. False: impossible.
bool AlignmentOf(uint32_t flags, uint64_t* align) {
  uint32_t exponent = flags >> kMapAlignShift;
  *align = 0;
  if (exponent == 0) return true;
  if (exponent >= kWordBits || exponent < base::kPageShift) return false;
  *align = uint64_t{1} << exponent;
  return true;
}

// What a mapping of the file may ever be allowed, or an error.
Errno CheckFile(const MmapArguments& a, Prot* max_prot) {
  *max_prot = base::kProtAll;
  if ((a.flags & kMapAnon) != 0) return Errno::kOk;
  if (!a.file.given || !a.file.known) return Errno::kEbadf;
  if (a.file.object == nullptr && a.file.driver == nullptr) return Errno::kEnodev;
  if (!a.file.readable) {
    if (a.prot.CanRead()) return Errno::kEacces;
    *max_prot = base::kProtWrite;
  }
  if ((a.flags & kMapShared) != 0 && !a.file.writable) {
    if (a.prot.CanWrite()) return Errno::kEacces;
    *max_prot = *max_prot - base::kProtWrite;
  }
  return Errno::kOk;
}

// The object to be mapped, with a reference for the mapping. Null: the device's driver refuses, for
// a private mapping without the right to write.
Object* ReferToObject(Uvm* uvm, const MmapArguments& a, Prot max_prot, uint64_t size) {
  if (a.file.driver == nullptr) {
    uvm->ReferenceObject(a.file.object);
    return a.file.object;
  }
  if ((a.flags & kMapShared) == 0) max_prot = max_prot - base::kProtWrite;
  return uvm->AttachDevice(a.file.driver, a.file.device, max_prot, base::TruncPage(a.position),
                           size);
}

}  // namespace

Errno ErrnoOf(MapError error) {
  switch (error) {
    case MapError::kInvalidArgument:
    case MapError::kOutOfRange:
      return Errno::kEinval;
    case MapError::kNoSpace:
    case MapError::kNoMemory:
      return Errno::kEnomem;
    case MapError::kProtection:
      return Errno::kEacces;
    case MapError::kHole:
      return Errno::kEfault;
    case MapError::kBusy:
      return Errno::kEbusy;
    case MapError::kTooBig:
      return Errno::kEinval;
    case MapError::kTryAgain:
      return Errno::kEagain;
    case MapError::kNotFound:
      return Errno::kEnoent;
    case MapError::kIo:
      return Errno::kEio;
  }
  UNREACHABLE("no such map error");
}

// The last checks, and the mapping, at or near `address`. On error nothing is mapped.
AddressResult MmapCalls::EnterMapping(Process* process, const MmapArguments& a, uint64_t address,
                                      Map::EnterOptions* options) {
  const Map& map = *process->map;
  const uint64_t size = options->size;
  const bool fixed = (a.flags & kMapFixed) != 0;
  uint64_t align;
  if (!AlignmentOf(a.flags, &align)) return {Errno::kEinval};
  if (align >= map.max().value()) return {Errno::kEnomem};
  if (fixed && (address & (align - 1)) != 0 && align != 0) return {Errno::kEinval};
  if (size > process->limit_address_space ||
      map.size_bytes() > process->limit_address_space - size) {
    return {Errno::kEnomem};
  }
  if (!a.prot.IsSubsetOf(options->max_prot)) return {Errno::kEacces};
  options->where = fixed ? Map::Where::kFixedReplace : Map::Where::kNear;
  options->at = Vaddr(fixed ? address : base::RoundPage(address));
  options->align = align;
  Result<Vaddr, MapError> entered = process->map->Enter(*options);
  // A genuine hint is given up before the call is; an address that was insisted on is not.
  const bool hinted = (a.flags & (kMapFixed | kMapTryFixed)) == 0 && a.address != 0;
  if (!entered.ok() && hinted) {
    options->at = process->default_address;
    entered = process->map->Enter(*options);
  }
  if (!entered.ok()) return {ErrnoOf(entered.error())};
  return {Errno::kOk, entered.value().value()};
}

AddressResult MmapCalls::Mmap(Process* process, const MmapArguments& a) {
  Map& map = *process->map;
  const bool anonymous = (a.flags & kMapAnon) != 0;
  const bool fixed = (a.flags & kMapFixed) != 0;
  const bool shared = (a.flags & kMapShared) != 0;
  if (shared && (a.flags & kMapPrivate) != 0) return {Errno::kEinval};
  if (a.length == 0 && !anonymous) return {Errno::kEinval};
  if (anonymous && a.file.given) return {Errno::kEinval};
  uint64_t in_page = a.position & base::kPageMask;
  uint64_t address = a.address;
  uint64_t size = base::RoundPage(a.length + in_page);
  if (size < a.length) return {Errno::kEnomem};
  if (fixed) {
    address -= in_page;
    if (!base::IsPageAligned(address)) return {Errno::kEinval};
    if (address < map.min().value()) return {Errno::kEinval};
    if (address + size > map.max().value()) return {Errno::kEfbig};
    if (address + size < address) return {Errno::kEoverflow};
  } else if (address == 0 || (a.flags & kMapTryFixed) == 0) {
    // A mere hint does not go to the wrong side of the default.
    uint64_t usual = process->default_address.value();
    bool upward = address == 0 || map.direction() == Direction::kBottomUp;
    address = upward == (address < usual) ? usual : address;
  }
  Prot max_prot;
  Errno error = CheckFile(a, &max_prot);
  if (error != Errno::kOk) return {error};
  // Nothing is mapped, and nothing else is checked either.
  if (size == 0) return {Errno::kOk, address};
  // No object is that long. Before anything is replaced.
  const uint64_t offset = a.position - in_page;
  if (!anonymous && offset + size < offset) return {Errno::kEinval};
  Map::EnterOptions options;
  options.size = size;
  options.prot = a.prot;
  options.max_prot = max_prot;
  options.inherit = shared ? Inherit::kShare : Inherit::kCopy;
  options.sharing = shared ? Sharing::kShared : Sharing::kPrivate;
  if (!anonymous) {
    options.object = ReferToObject(uvm_, a, max_prot, size);
    if (options.object == nullptr) return {Errno::kEinval};
    options.offset = offset;
  }
  const AddressResult entered = EnterMapping(process, a, address, &options);
  if (entered.error != Errno::kOk) {
    if (!anonymous) uvm_->ReleaseObject(options.object);
    return entered;
  }
  // Its pages count as executable from here on, whoever maps it (NetBSD: vn_markexec()).
  if (!anonymous && a.prot.CanExecute()) {
    MutexLock lock(&options.object->mu);
    options.object->executable = true;
  }
  Range range = {Vaddr(entered.address), Vaddr(entered.address) + size};
  if ((a.flags & kMapWired) != 0 || map.wires_future()) {
    if (!a.prot.IsNone()) error = WireNewMapping(process, range);
    if (error != Errno::kOk) return {error};
  }
  return {Errno::kOk, range.start.value() + in_page};
}

// On failure the mapping is gone again.
Errno MmapCalls::WireNewMapping(Process* process, Range range) {
  Map& map = *process->map;
  Errno error = Errno::kEnomem;
  uint64_t wired = base::ToBytes(map.WiredPages());
  bool allowed = uvm_->frames().MayWire(range.pages()) && range.size() <= process->limit_locked &&
                 wired <= process->limit_locked - range.size();
  if (allowed) error = ErrnoOf(map.Pageable(range, Wiring::kWire));
  if (error != Errno::kOk) (void)map.Unmap(range);
  return error;
}

AddressResult MmapCalls::Mremap(Process* process, uint64_t old_address, uint64_t old_size,
                                uint64_t new_address, uint64_t new_size, uint32_t flags) {
  Map& map = *process->map;
  uint64_t align;
  constexpr uint32_t kKnown = kMapFixed | kMapRemapDup | 0xffu << kMapAlignShift;
  if ((flags & ~kKnown) != 0) return {Errno::kEinval};
  if (!AlignmentOf(flags, &align)) return {Errno::kEinval};
  old_size = base::RoundPage(old_size);
  new_size = base::RoundPage(new_size);
  const bool fixed = (flags & kMapFixed) != 0;
  if (!base::IsPageAligned(old_address) || (fixed && !base::IsPageAligned(new_address))) {
    return {Errno::kEinval};
  }
  if (old_size == 0 || new_size == 0) return {Errno::kEinval};
  Map::RemapOptions options;
  Range to;
  if (!Range::FromSize(Vaddr(old_address), old_size, &options.from) ||
      !Range::FromSize(Vaddr(new_address), new_size, &to)) {
    return {Errno::kEinval};
  }
  if (options.from.start < map.min() || options.from.end > map.max()) return {Errno::kEinval};
  if (fixed && (to.start < map.min() || to.end > map.max())) return {Errno::kEnomem};
  // Without an address the search starts where the map's direction says.
  options.to =
      new_address != 0 || map.direction() == Direction::kBottomUp ? to.start.Trunc() : map.max();
  options.new_size = new_size;
  options.where = fixed ? Map::RemapOptions::Where::kFixed : Map::RemapOptions::Where::kMayMove;
  options.duplicate = (flags & kMapRemapDup) != 0;
  options.align = align;
  Result<Vaddr, MapError> moved = map.Remap(options);
  if (!moved.ok()) {
    return {moved.error() == MapError::kTooBig ? Errno::kE2big : ErrnoOf(moved.error())};
  }
  return {Errno::kOk, moved.value().value()};
}

Errno MmapCalls::Munmap(Process* process, uint64_t address, uint64_t length) {
  Rounded rounded(address, length);
  Range range;
  if (rounded.size == 0) return Errno::kOk;
  if (!rounded.In(*process->map, &range)) return Errno::kEinval;
  return ErrnoOf(process->map->Unmap(range));
}

Errno MmapCalls::Mprotect(Process* process, uint64_t address, uint64_t length, Prot prot) {
  Range range;
  if (!Rounded(address, length).In(*process->map, &range)) return Errno::kEinval;
  return ErrnoOf(process->map->Protect(range, prot, SetMax::kNo));
}

Errno MmapCalls::Minherit(Process* process, uint64_t address, uint64_t length, uint64_t inherit) {
  Range range;
  if (!Rounded(address, length).In(*process->map, &range)) return Errno::kEinval;
  if (inherit > static_cast<uint64_t>(Inherit::kZero) ||
      inherit == static_cast<uint64_t>(Inherit::kDonateCopy)) {
    return Errno::kEinval;
  }
  return ErrnoOf(process->map->SetInherit(range, static_cast<Inherit>(inherit)));
}

Errno MmapCalls::Madvise(Process* process, uint64_t address, uint64_t length, uint64_t advice) {
  Map& map = *process->map;
  Range range;
  if (!Rounded(address, length).In(map, &range)) return Errno::kEinval;
  if (advice > static_cast<uint64_t>(Advice::kFree)) return Errno::kEinval;
  switch (static_cast<Advice>(advice)) {
    case Advice::kNormal:
    case Advice::kRandom:
    case Advice::kSequential:
      return ErrnoOf(map.SetAdvice(range, static_cast<Advice>(advice)));
    case Advice::kWillNeed:
      map.WillNeed(range);
      return Errno::kOk;
    case Advice::kDontNeed:
      return ErrnoOf(map.Clean(range, kPgoDeactivate));
    case Advice::kFree:
      return ErrnoOf(map.Clean(range, kPgoFree));
    case Advice::kSpaceAvail:
      return Errno::kEinval;
  }
  UNREACHABLE("advice was checked above");
}

Errno MmapCalls::Msync(Process* process, uint64_t address, uint64_t length, uint32_t flags) {
  Map& map = *process->map;
  constexpr uint32_t kKnown = kMsAsync | kMsInvalidate | kMsSync;
  constexpr uint32_t kBoth = kMsAsync | kMsSync;
  if ((flags & ~kKnown) != 0 || flags == 0 || (flags & kBoth) == kBoth) return Errno::kEinval;
  if ((flags & kBoth) == 0) flags |= kMsSync;
  Range range;
  if (!Rounded(address, length).In(map, &range)) return Errno::kEnomem;
  if (range.empty()) {
    // The historical meaning of no length: everything that is mapped together with the address.
    Map::Region region;
    if (!map.FindRegion(range.start, &region) || range.start < region.range.start) {
      return Errno::kEinval;
    }
    range = region.range;
  }
  uint32_t pgo = kPgoCleanIt;
  if ((flags & kMsInvalidate) != 0) pgo |= kPgoFree;
  if ((flags & kMsSync) != 0) pgo |= kPgoSyncIo;
  return ErrnoOf(map.Clean(range, pgo));
}

Errno MmapCalls::Mlock(Process* process, uint64_t address, uint64_t length) {
  Map& map = *process->map;
  Range range;
  if (!Rounded(address, length).In(map, &range)) return Errno::kEnomem;
  if (range.empty()) return Errno::kOk;
  uint64_t wired = base::ToBytes(map.WiredPages());
  if (!uvm_->frames().MayWire(range.pages()) || range.size() > process->limit_locked ||
      wired > process->limit_locked - range.size()) {
    return Errno::kEagain;
  }
  Errno error = ErrnoOf(map.Pageable(range, Wiring::kWire));
  return error == Errno::kEfault ? Errno::kEnomem : error;
}

Errno MmapCalls::Munlock(Process* process, uint64_t address, uint64_t length) {
  Range range;
  if (!Rounded(address, length).In(*process->map, &range)) return Errno::kEnomem;
  return process->map->Pageable(range, Wiring::kUnwire).ok() ? Errno::kOk : Errno::kEnomem;
}

Errno MmapCalls::Mlockall(Process* process, uint32_t flags) {
  if (flags == 0 || (flags & ~(kMclCurrent | kMclFuture)) != 0) return Errno::kEinval;
  // To the map 0 is no limit; to the process it is a limit like any below a page.
  uint64_t limit = process->limit_locked == 0 ? 1 : process->limit_locked;
  if (limit == ~uint64_t{0}) limit = 0;
  return ErrnoOf(process->map->PageableAll(flags, limit));
}

Errno MmapCalls::Munlockall(Process* process) { return ErrnoOf(process->map->PageableAll(0, 0)); }

Errno MmapCalls::CheckMincore(uint64_t address, uint64_t length, Range* range) {
  if (!base::IsPageAligned(address)) return Errno::kEinval;
  uint64_t size = base::RoundPage(length);
  if (size == 0 || address + size <= address) return Errno::kEinval;
  *range = {Vaddr(address), Vaddr(address + size)};
  return Errno::kOk;
}

Errno MmapCalls::Brk(Process* process, uint64_t address) {
  if (address < process->heap_start.value()) return Errno::kEinval;
  if (address - process->heap_start.value() > process->limit_data) return Errno::kEnomem;
  uint64_t end = base::RoundPage(address);
  uint64_t old_end = base::RoundPage(process->heap_end.value());
  if (end < address || end > process->map->max().value()) return Errno::kEnomem;
  if (end > old_end) {
    Map::EnterOptions options;
    options.at = Vaddr(old_end);
    options.size = end - old_end;
    options.where = Map::Where::kFixed;
    options.prot = base::kProtReadWrite;
    // The heap grows in steps: its amap is there from the start and has room. A step that large is
    // no step, and gets amaps where it is touched.
    if (options.size < base::ToBytes(PageCount(kLargeAmapSlots))) {
      options.flags = kEnterOverlay | kEnterAmapPad;
    }
    if (!process->map->Enter(options).ok()) return Errno::kEnomem;
    if (process->map->wires_future()) {
      Errno error = WireNewMapping(process, {Vaddr(old_end), Vaddr(end)});
      if (error != Errno::kOk) return error;
    }
  } else if (end < old_end) {
    if (!process->map->Unmap({Vaddr(end), Vaddr(old_end)}).ok()) return Errno::kEnomem;
  }
  process->heap_end = Vaddr(address);
  return Errno::kOk;
}

}  // namespace uvm
