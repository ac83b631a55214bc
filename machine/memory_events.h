// machine/memory_events.h: how a machine keeps its free frames, and what happens to them.
//
// WHAT     A MemorySpec says into how many sorts, buckets and colours free frames are sorted,
//          whether processors have caches of them, and how often something happens: frames leave
//          (the free ones of a few neighbours), come back, perhaps as another sort, colours and
//          buckets change, caches come and go. MemoryEvents keeps account of what left and says
//          what happens next; the machine has init ask the server for it. Nobody else may notice.
// INVARIANTS  What happens follows from what it happens before (an operation), and from what left,
//          so that a run's part has its events, too. Never is more than an eighth of the frames
//          out.
// SEE      vmserver/protocol.h MemoryControl; uvm/page_free.h, page_cache.h, physseg.h.

#ifndef MACHINE_MEMORY_EVENTS_H_
#define MACHINE_MEMORY_EVENTS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/addr.h"
#include "uvm/page.h"
#include "vmserver/protocol.h"

namespace machine {

struct MemorySpec {
  uint32_t colours = 1;  // a power of two, up to kMostColours
  uint32_t buckets = 1;  // up to kMostBuckets
  uint32_t lists = 1;    // sorts of memory (free lists), up to kMostLists
  bool caches = false;
  // Something happens before one operation in so many; 0: never.
  uint32_t one_in = 0;
  static constexpr uint32_t kMostColours = 64;
  static constexpr uint32_t kMostBuckets = 8;
  static constexpr uint32_t kMostLists = 8;
  friend bool operator==(const MemorySpec&, const MemorySpec&) = default;
};

// Whether pages are encrypted on their way to swap. kToggled: that changes, before one operation in
// kToggledOneIn.
enum class SwapEncryption : uint8_t { kOff, kOn, kToggled };
inline constexpr uint64_t kToggledOneIn = 64;

class MemoryEvents {
 public:
  // One request of init's, kMemoryControl's operands. True: it was done.
  using Control =
      std::function<bool(vmserver::MemoryControl what, uint64_t first, uint64_t second)>;

  // Events since the machine was up.
  struct Counters {
    uint64_t unplugged = 0;  // frames
    uint64_t plugged = 0;    // frames
    uint64_t refused = 0;    // requests
    uint64_t resorted = 0;   // colours or buckets changed
    uint64_t caches = 0;     // came or went
    uint64_t toggled = 0;    // encryption of swap
  };

  MemoryEvents(const MemorySpec& spec, SwapEncryption encryption, uint32_t processors)
      : spec_(spec), encryption_(encryption), processors_(processors) {}

  // What the spec says, of a machine that has just booted. False: some of it was refused.
  bool Begin(const uvm::PageStore& pages, const Control& control);
  bool ever() const { return spec_.one_in != 0 || encryption_ == SwapEncryption::kToggled; }
  // What happens before an operation of this hash, if anything does. True: something changed.
  bool Happen(uint64_t hash, const uvm::PageStore& pages, const Control& control);

  const Counters& counters() const { return counters_; }
  // Frames that are out.
  uint64_t out() const { return out_count_; }

 private:
  struct Out {
    uint64_t frame;
    uint64_t count;
  };
  bool Try(const Control& control, vmserver::MemoryControl what, uint64_t first, uint64_t second);
  bool SortMemory(const uvm::PageStore& pages, const Control& control);
  bool Unplug(uint64_t draw, const uvm::PageStore& pages, const Control& control);
  bool Plug(uint64_t draw, const Control& control);
  bool Resort(uint64_t draw, const uvm::PageStore& pages, const Control& control);
  bool ChangeCaches(const Control& control);
  bool Toggle(const Control& control);

  const MemorySpec spec_;
  const SwapEncryption encryption_;
  const uint32_t processors_;
  std::vector<Out> out_;  // oldest first
  uint64_t out_count_ = 0;
  uint64_t frames_ = 0;  // when it began
  bool caching_ = false;
  bool encrypting_ = false;
  Counters counters_;
};

}  // namespace machine

#endif  // MACHINE_MEMORY_EVENTS_H_
