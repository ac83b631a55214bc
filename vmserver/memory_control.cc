// The call by which init says how memory and swap are kept.

#include "uvm/page.h"
#include "uvm/swap.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::Errno;

constexpr uint64_t kCountMask = (uint64_t{1} << kMemoryCountBits) - 1;

// Frames have numbers whose addresses fit in 64 bits.
constexpr uint64_t kFrames = uint64_t{1} << (64 - base::kPageShift);

base::Paddr PaddrOf(uint64_t frame) { return base::Paddr(frame << base::kPageShift); }

bool NamesFrames(MemoryControl what) {
  return what == MemoryControl::kNode || what == MemoryControl::kPlug ||
         what == MemoryControl::kUnplug;
}

Errno WhenDone(bool done, Errno otherwise) { return done ? Errno::kOk : otherwise; }

}  // namespace

Answer Server::ControlMemory(Task* task, const Message& m) {
  if (task != init_) return Errno::kEperm;
  uvm::PageStore& pages = uvm_->frames();
  const uint64_t first = m.words[1];
  const base::PageCount count(m.words[2] & kCountMask);
  const uint64_t wide_number = m.words[2] >> kMemoryCountBits;
  const auto number = static_cast<uint32_t>(wide_number);
  const bool small = first <= ~uint32_t{0};  // what is no frame is a small number
  const auto value = static_cast<uint32_t>(first);
  if (m.words[0] > static_cast<L4_Word_t>(MemoryControl::kSwapEncrypt)) return Errno::kEinval;
  const auto what = static_cast<MemoryControl>(m.words[0]);
  if (NamesFrames(what) && (first >= kFrames || number != wide_number)) return Errno::kEinval;
  switch (what) {
    case MemoryControl::kColours:
      return WhenDone(small && pages.Recolour(value), Errno::kEinval);
    case MemoryControl::kBuckets:
      return WhenDone(small && pages.Rebucket(value), Errno::kEinval);
    case MemoryControl::kNode:
      return WhenDone(pages.NumaLoad(PaddrOf(first), base::ToBytes(count), number), Errno::kEinval);
    case MemoryControl::kCaches:
      return WhenDone(small && pages.StartCaches(value), Errno::kEinval);
    case MemoryControl::kPlug:
      return WhenDone(pages.Plug(PaddrOf(first), count, number), Errno::kEinval);
    case MemoryControl::kUnplug:
      return WhenDone(pages.Unplug(PaddrOf(first), count), Errno::kEbusy);
    case MemoryControl::kSwapEncrypt:
      if (first > 1) return Errno::kEinval;
      return WhenDone(uvm_->swap().SetEncryption(first == 1 ? uvm::SwapStore::Encryption::kOn
                                                            : uvm::SwapStore::Encryption::kOff),
                      Errno::kEinval);
  }
  return Errno::kEinval;
}

}  // namespace vmserver
