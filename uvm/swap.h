// uvm/swap.h: swap space: which slot of which device holds a page that is not in memory.
//
// WHAT     A slot is one page of swap, named by a number that is unique over all devices. Slots are
//          handed out by the priority of their devices, lower numbers first, and round robin among
//          equals. An anon or an anonymous object's page has at most one slot; it may have frame
//          and slot at once (a clean copy).
// STATES   of a device: off -> on -> going off (disabled: no new slots while its pages are brought
//          in) -> off, or on again when they do not fit in memory.
//          A device may be away for a while: transfers are refused, its slots hold what they held,
//          and it is asked for no new ones until it may be back.
//          of a slot: free -> in use -> bad (lost to an error; stays taken while the device is on).
//          The store remembers of each slot in use what it sent there (a checksum, and whether it
//          was encrypted): what comes back otherwise is an error of the device, never data.
// LOCKS    mu_ (rank kSwap) guards everything here; it is taken below any page's owner. (W) mu_ to
//          write, nothing to read one: what is seen too late is only less good. No call but Read
//          waits for a device; readers_ guards what it waits by, which no Mutex can: who waits for
//          that parks, and would take the Unpark of a device that is done too late.
// INVARIANTS  SwapAccounting: the devices' slots in use add up to in_use(); only_on_swap() <=
//          in_use(); every slot of an anon or object is allocated exactly once; a page that is not
//          in memory and has a slot counts in only_on_swap(); bad slots are in use and nobody's.
// SEE      NetBSD sys/uvm/uvm_swap.c; facts/uvm.md 1.12, 2.13; swap_device.h.

#ifndef UVM_SWAP_H_
#define UVM_SWAP_H_

#include <cstdint>

#include "base/list.h"
#include "base/pool.h"
#include "base/text_sink.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page.h"
#include "uvm/swap_device.h"
#include "uvm/swap_slots.h"

namespace uvm {

// swapctl(2), NetBSD: sys_swapctl(). The names are those of its errno values.
enum class SwapError : uint8_t {
  kBusy,             // EBUSY: on already, going off, or slots remain in use
  kNotConfigured,    // ENXIO: not on, or of no size
  kInvalidArgument,  // EINVAL: too small to hold one page
  kNotFound,         // ENOENT: a change of priority of what is not on
  kAway,             // EIO: what is on it cannot be read now
  kNoMemory,         // ENOMEM: what is on it does not fit in memory, or no memory for the tables
};

// What swapctl(SWAP_STATS) says of one device.
struct SwapStats {
  const SwapDevice* device;
  int32_t priority;
  PageCount pages;   // that may hold something
  PageCount in_use;  // bad ones included
  PageCount bad;
  bool going_off;
};

// Work done since boot, in transfers and pages.
struct SwapCounters {
  uint64_t page_ins = 0;   // pages read, with or without success. NetBSD: uvmexp.pgswapin
  uint64_t page_outs = 0;  // pages of writes begun. uvmexp.pgswapout
  uint64_t clusters[kSwapClusterPages + 1] = {};  // writes begun, by their number of pages
  uint64_t read_errors = 0;                       // transfers
  uint64_t write_errors = 0;                      // transfers
  uint64_t refusals = 0;    // transfers of either kind that found the device away
  uint64_t mismatches = 0;  // reads that brought other bytes than were written last
};

// Makes pages unreadable for whoever gets hold of the device. Length-preserving: 4096 bytes to 4096
// bytes, by a key and a number that differs from slot to slot.
class SwapCipher {
 public:
  // A fresh secret key; 0 when there is none to be had.
  virtual uint32_t MakeKey() = 0;
  virtual void ForgetKey(uint32_t key) = 0;
  virtual void Encrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
                       unsigned char* to) = 0;
  // `from` and `to` may be the same.
  virtual void Decrypt(uint32_t key, uint64_t tweak, const unsigned char* from,
                       unsigned char* to) const = 0;

 protected:
  ~SwapCipher() = default;
};

class SwapStore {
 public:
  // NetBSD: uvm_swap_init().
  explicit SwapStore(Core* core);
  SwapStore(const SwapStore&) = delete;
  SwapStore& operator=(const SwapStore&) = delete;

  // ---- Devices. NetBSD: swap_on(), swap_off(), sys_swapctl().

  // `device` outlives its being on. Errors: kBusy, kNotConfigured, kInvalidArgument, kNoMemory.
  Result<void, SwapError> On(SwapDevice* device, int32_t priority);
  // SWAP_CTL. Errors: kNotFound.
  Result<void, SwapError> SetPriority(SwapDevice* device, int32_t priority);
  // The two ends of swapping off; between them the caller brings in every page (swapoff.h). Begin
  // takes the device's free slots away. Errors: kNotConfigured, kBusy (going off already).
  Result<void, SwapError> BeginOff(SwapDevice* device);
  // True, the device is off: nothing but bad slots is left. False, it is on again: slots are in use
  // or a transfer is under way.
  bool EndOff(SwapDevice* device);
  // Whether no slots of `device` but bad ones are in use.
  bool HoldsNothing(const SwapDevice* device) const;
  // Whether `slot` lies on `device`.
  bool IsOn(const SwapDevice* device, SwapSlot slot) const;
  // Devices that are on, in the order in which they are asked for slots; fills in at most `max` and
  // returns how many there are. uvm_swap_stats().
  uint32_t Stats(SwapStats* out, uint32_t max) const;

  // ---- Slots.

  enum class LessOk : uint8_t { kNo, kYes };
  // NetBSD: uvm_swap_alloc(). *count adjoining slots, or with kYes perhaps fewer (*count says how
  // many); kNoSlot when there are none. 1 <= *count <= kSwapClusterPages.
  SwapSlot Allocate(uint32_t* count, LessOk less);
  // NetBSD: uvm_swap_free(). The slots were allocated and are not bad; kNoSlot and kBadSlot are
  // nothing to free.
  void Free(SwapSlot first, uint32_t count);
  // NetBSD: uvm_swap_markbad(). Whoever had the slots writes kBadSlot in their place.
  void MarkBad(SwapSlot first, uint32_t count);
  // A device that was away is asked for no slots for a while, twice as long each time. From here on
  // each is asked once more: somebody has no frame.
  void AskAgain();
  // A page came to be (+), or ceased to be (-), on swap only. NetBSD: uvmexp.swpgonly.
  void AddOnlyOnSwap(int64_t pages);

  // ---- Transfers.

  // NetBSD: uvm_swap_get(). Fills the page from its slot and waits for that. LOCKS: none; the page
  // is busy.
  SwapResult Read(Page* page, SwapSlot slot);
  // NetBSD: uvm_swap_put(). Begins to write pages[0..count) to adjoining slots of one device;
  // transfer->done is called when it is over. LOCKS: none; the pages are busy.
  void StartWrite(SwapSlot first, Page* const* pages, uint32_t count, SwapTransfer* transfer);
  // The earliest NextDue of all devices, and Poll of all. LOCKS: none.
  uint64_t NextDue() const;
  void Poll(uint64_t now_us);

  // ---- Accounts; in pages.
  PageCount pages() const;         // NetBSD: uvmexp.swpages: of all devices that are on
  PageCount available() const;     // swpgavail: without those of devices going off
  PageCount in_use() const;        // swpginuse
  PageCount only_on_swap() const;  // swpgonly
  // Free slots of devices that would be asked for some now.
  PageCount ready() const;
  // NetBSD: uvm_swapisfull(): nothing is on, or nearly all of it holds pages that are nowhere else.
  bool IsFull() const;

  const SwapCounters& counters() const { return counters_; }

  // ---- Encryption (vm.swap_encrypt). Slots keep the state in which they were written, so this may
  // change at any time. Each device gets a key of its own when it is first needed.

  // Whose ciphers are used; before the first SetEncryption, outlives the store.
  void SetCipher(SwapCipher* cipher) { cipher_ = cipher; }
  enum class Encryption : uint8_t { kOff, kOn };
  // False: there is no cipher.
  bool SetEncryption(Encryption encryption);

  // ---- For checkers; change nothing.

  // What Read would fill a page with, if the device can say so without a transfer. False: it
  // cannot, or what lies there is not what was written.
  bool DebugRead(SwapSlot slot, unsigned char* out) const;
  // Where a slot's bytes lie, whether they are what was written or not; null where the device
  // cannot show them, or they are encrypted.
  const unsigned char* DebugBytes(SwapSlot slot) const;
  enum class DebugSlot : uint8_t { kNone, kFree, kInUse, kBad };  // kNone: of no device
  DebugSlot DebugState(SwapSlot slot) const;
  // The device that a slot is of, and the page of it; null: none.
  const SwapDevice* DebugPlace(SwapSlot slot, uint64_t* block) const;
  bool DebugEncrypted(SwapSlot slot) const;
  // Words and nodes of the tables of free slots looked at.
  uint64_t DebugWork() const;
  uint32_t DebugUnderWay() const { return under_way_; }
  uint32_t DebugStats(SwapStats* out, uint32_t max) const;  // Stats
  PageCount DebugBad() const;                               // slots of all devices
  Mutex& DebugLock() { return mu_; }
  // What SwapAccounting of swap_invariants.h says of the store alone.
  bool Valid(base::TextSink* text) const;
  // Owners of slots are counted: begin, visit each slot of each owner once, end. Visit and End say
  // what is wrong.
  void DebugBeginVisits() const;
  bool DebugVisit(SwapSlot slot, base::TextSink* text) const;
  bool DebugEndVisits(base::TextSink* text) const;

 private:
  // One device that is on.
  struct Area {
    base::ListLink link;
    SwapDevice* device = nullptr;
    int32_t priority = 0;
    uint32_t id = 0;  // rises
    SwapSlot first = kNoSlot;
    uint32_t pages = 0;
    uint32_t label = 0;  // pages of the device before the first slot's
    SwapSlots slots;
    uint64_t* bad = nullptr;        // a bit a slot
    uint64_t* encrypted = nullptr;  // likewise
    uint64_t* visited = nullptr;    // likewise, for DebugVisit
    uint32_t* sums = nullptr;  // what was written there last; kNothing: nothing that may be read
    void* tables = nullptr;    // of all these
    uint64_t table_bytes = 0;
    uint32_t bad_count = 0;
    uint32_t under_way = 0;  // transfers
    uint32_t polls = 0;      // that are in its device
    uint32_t key = 0;        // 0: none yet
    bool going_off = false;
    uint32_t refusals = 0;      // since a transfer last found it there
    uint64_t ask_again_us = 0;  // before that it is asked for no slots
    uint64_t in_use() const { return slots.size() - slots.free(); }
  };
  using AreaList = base::List<Area, &Area::link>;
  struct Reader;
  struct Bounce {
    Bounce* next;
  };
  static constexpr uint32_t kNothing = 0;
  // For how long a device that was away is left alone: the first time, and how often that doubles.
  // Shorter, and a daemon that nobody waits for would do nothing but ask; longer, and pages stay in
  // memory that the device would take again.
  static constexpr uint64_t kAwayUs = 1000;
  static constexpr uint32_t kAwayDoublings = 10;

  Area* FindDevice(const SwapDevice* device) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Area* FindSlot(SwapSlot slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Area* FindRun(SwapSlot first, uint32_t count) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MakeTables(Area* area) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SwapSlot FindNumbers(uint32_t pages) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void InsertByPriority(Area* area) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsAsked(const Area& area) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteResult(Area* area, SwapResult result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SwapSlot AllocateLocked(uint32_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PrepareEncryption(Area* area, SwapTransfer* transfer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Scramble(Area* area, SwapTransfer* transfer);
  static void WriteIsDone(SwapTransfer* transfer);
  static void ReadIsDone(SwapTransfer* transfer);
  void FinishWrite(SwapTransfer* transfer);
  void WaitFor(Reader* reader, SwapDevice* device);

  Core* const core_;
  mutable Mutex mu_;
  QueueGuard readers_;  // round what a reader and the end of its transfer share
  base::Pool<Area> area_pool_ ABSL_GUARDED_BY(mu_);
  base::ArrayPool tables_ ABSL_GUARDED_BY(mu_);
  AreaList areas_ ABSL_GUARDED_BY(mu_);  // in the order in which they are asked for slots
  Bounce* bounces_ ABSL_GUARDED_BY(mu_) = nullptr;
  SwapCipher* cipher_ = nullptr;  // set once
  bool encrypt_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t pages_ = 0;      // (W) of all devices
  uint64_t available_ = 0;  // (W) of devices that are not going off
  uint64_t in_use_ = 0;     // (W) slots
  uint64_t bad_ = 0;        // (W) of those that are available
  int64_t only_ = 0;        // (W) pages that are nowhere else
  uint32_t under_way_ = 0;  // (W) transfers
  SwapCounters counters_;   // (W) statistics, and whether a device ever was away
};

}  // namespace uvm

#endif  // UVM_SWAP_H_
