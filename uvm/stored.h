// uvm/stored.h: memory objects whose contents somebody else stores.
//
// WHAT     A Store reads and writes whole pages of its objects: a made-up file in tests, vmserver's
//          files, later the door to external pagers. StoredPager turns a Store into the pager
//          vector: finds resident pages, busies and fills the missing ones, writes dirty ones back.
//          Worked example of a file with a hole at page 1:
//            read fault on page 1    zeroes, read-only: no block is spent on them
//            write fault on page 1   the store finds a block, the page becomes writable and dirty
//            clean                   write-protected, marked clean, written, 16 pages at a time
// STATES   of an object: steady <-> being resized (one at a time; who wants pages waits).
//          of a page that the page daemon wants written: not busy -> busy (kClean), as long as the
//          store takes -> free, or as before. At most an eighth of the frames are on that way
//          (kMostWriting): stores that never answer cost no more than that.
// LOCKS    Store's calls are made with no UVM lock held and the page busy: they may block on
//          whatever they like, but hold no busy page of another object meanwhile (design D14).
// INVARIANTS  A clean page equals what the store has; so nobody may write to it unnoticed (I17
//          CleanPagesAreReadOnly). Bytes beyond the end in the last page are
//          zero whenever the end moves.
// SEE      facts/uvm.md 1.6 (NetBSD's uvn and genfs, which do this for files).

#ifndef UVM_STORED_H_
#define UVM_STORED_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/loan_break.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/page_array.h"
#include "uvm/pager.h"
#include "uvm/readahead.h"

namespace uvm {

// A write that a store goes on with while nobody waits.
struct StoreWrite {
  // The store calls this exactly once, with no UVM lock held, in any thread, when it is over.
  void (*done)(StoreWrite* write, base::Result<void, PagerError> result) = nullptr;
};

class Store {
 public:
  // Fills contents[0..4096) with page `index`. An error is reported to every access that needs the
  // page, which is then absent again.
  virtual base::Result<void, PagerError> ReadPage(Object* object, base::PageIndex index,
                                                  unsigned char* contents) = 0;
  // Takes the page's contents back.
  virtual base::Result<void, PagerError> WritePage(Object* object, base::PageIndex index,
                                                   const unsigned char* contents) = 0;
  // Bytes when the object is made; Pager::kUnbounded for objects without an end. Later changes come
  // through StoredPager::SetSize.
  virtual uint64_t SizeInBytes(const Object* object) const = 0;
  // The last reference is gone and every dirty page was written.
  virtual void Detach(Object* object) = 0;

  // Pages that the store reads together, a power of two up to kMaxGetPages: who asks for one gets
  // the absent others of its block as well.
  virtual uint32_t BlockPages(const Object*) const { return 1; }
  // True when nothing is stored for the page. It then reads as zeroes without ReadPage, and must
  // not be written before AllocateBlock.
  virtual bool IsHole(const Object*, base::PageIndex) const { return false; }
  // Somebody is about to write to a hole. kIo: the store is full.
  virtual base::Result<void, PagerError> AllocateBlock(Object*, base::PageIndex) { return {}; }
  // WritePage for `count` pages from `first` in one request, all or nothing as far as the caller
  // can tell.
  virtual base::Result<void, PagerError> WriteRun(Object* object, base::PageIndex first,
                                                  uint32_t count,
                                                  const unsigned char* const* contents) {
    for (uint32_t i = 0; i < count; ++i) {
      TRY(WritePage(object, first + base::PageCount(i), contents[i]));
    }
    return {};
  }
  // WriteRun for the page daemon, which must not wait for anybody. True: it is over, *result says
  // how. False: it goes on until write->done is called; `contents` and what it points to stay as
  // they are meanwhile. A store that may take long, or never answers, does the latter.
  virtual bool BeginWriteRun(Object* object, base::PageIndex first, uint32_t count,
                             const unsigned char* const* contents, StoreWrite* /*write*/,
                             base::Result<void, PagerError>* result) {
    *result = WriteRun(object, first, count, contents);
    return true;
  }
  // True when the first write to an object that has no dirty page must come to notice (file times):
  // nothing is mapped writable until then.
  virtual bool WantsFirstWrite(const Object*) const { return false; }
  // True when it pays to read pages before anybody asks for them (readahead.h).
  virtual bool ReadsAhead(const Object*) const { return false; }
  // The object got its first page that may be dirty. Called with the object's lock.
  virtual void MarkDirty(Object*) {}

 protected:
  ~Store() = default;
};

class StoredPager final : public Pager {
 public:
  StoredPager(Core* core, PageStore* pages)
      : pages_(pages),
        core_(core),
        loans_(core, pages),
        states_(core->memory),
        cleanings_(core->memory) {}

  // Puts `store` behind a fresh object of this pager. False when memory ran out.
  bool Attach(Object* object, Store* store);

  // NetBSD: uvn_get() and genfs_getpages(), uvn_put() and genfs_putpages().
  base::Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  base::Result<void, PagerError> Put(Object* object, base::PageIndex first, base::PageIndex end,
                                     uint32_t flags) override;
  void Detach(Object* object) override;
  uint64_t SizeInBytes(const Object* object) const override { return StateOf(object)->size; }
  bool NeedsWriteFault(const Object* object) const override;
  // NetBSD: uvn_markdirty().
  void MarkDirty(Object* object) override { StateOf(object)->store->MarkDirty(object); }

  // NetBSD: uvm_vnp_setsize(). Pages wholly beyond the new end go away, wired ones too, and the
  // rest of the last page becomes zero. Waits for busy pages. Errors (the last page could not be
  // read, or is lent and there is no frame for a copy): nothing changed. LOCKS: none.
  base::Result<void, PagerError> SetSize(Object* object, uint64_t bytes);
  // NetBSD: uvm_vnp_setwritesize(): a write that will extend the object to `bytes` may ask for
  // pages (kPgoOverwrite) up to there; SetSize follows it. LOCKS: none. Never lowers.
  void SetWriteSize(Object* object, uint64_t bytes);

 private:
  struct State {
    State(Core* core, Store* behind, uint64_t bytes)
        : store(behind), size(bytes), write_size(bytes), resized(core->threads) {}
    Store* const store;
    // Guarded by the object's lock.
    uint64_t size;
    uint64_t write_size;  // >= size
    bool resizing = false;
    CondVar resized;  // resizing became false
    // NetBSD: uvn_alloc_ractx(). A hint, which requests that run into each other may garble.
    ReadAhead read_ahead;
  };
  // The pages of one Get: the request's window, widened to the store's blocks.
  static constexpr uint32_t kMaxWindow = 3 * kMaxGetPages;
  struct Window {
    GetRequest* request;
    base::PageIndex first;
    uint32_t count = 0;
    Page* pages[kMaxWindow] = {};
    bool fresh[kMaxWindow] = {};  // allocated here, to be filled
    uint32_t first_wanted = 0;    // where the request's window begins
    bool Wants(uint32_t i) const {
      return i >= first_wanted && i - first_wanted < request->count &&
             request->pages[i - first_wanted] != DontCare();
    }
    base::PageIndex IndexOf(uint32_t i) const { return first + base::PageCount(i); }
  };

  static State* StateOf(const Object* object) { return static_cast<State*>(object->pager_data); }
  static uint64_t LimitFor(const State& state, const GetRequest& request);
  base::Result<void, PagerError> GetResident(Object* object, GetRequest* request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  void WaitForBusyWanted(Object* object, GetRequest* request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  // NetBSD: uvn_findpages().
  bool GatherWindow(Object* object, Window* window) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  base::Result<void, PagerError> FillWindow(Object* object, Window* window);
  base::Result<void, PagerError> MakeWritable(Object* object, Window* window);
  void Finish(Object* object, Window* window, bool failed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  // Put's parts. `array` is cleared whenever the lock was let go.
  struct Flush {
    uint32_t flags;
    base::PageIndex begin;
    base::PageIndex at;   // next page to look at
    base::PageIndex end;  // first page beyond
    bool failed = false;
    PagerError error = PagerError::kIo;
    bool IsPageout() const { return (flags & kPgoPageout) != 0; }
    // Whether the page was asked for, and is not only written along with one that was.
    bool Asks(base::PageIndex index) const { return begin <= index && index < end; }
  };
  bool NeedsWriting(Object* object, Page* page, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  Page* NextToWrite(Object* object, Page* page, const Flush& flush)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  Page* FirstToWrite(Object* object, Page* page, const Flush& flush)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  void WriteCluster(Object* object, Page* head, Flush* flush, PageArray* array)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  // A run of pages on its way to the store. `most` <= kMaxGetPages.
  struct Run {
    base::PageIndex first;
    uint32_t count = 0;
    Page* pages[kMaxGetPages];
    const unsigned char* contents[kMaxGetPages];
  };
  void GatherRun(Object* object, Page* head, const Flush& flush, uint32_t most, Run* run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  void MakeBusy(Object* object, Run* run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  void FinishRun(Object* object, Run* run, base::Result<void, PagerError> written, Flush* flush)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  // stored_pageout.cc: what the page daemon asks for.
  static constexpr uint64_t kMostWriting = 8;  // one in so many frames
  struct Cleaning {
    StoreWrite write;  // first: what the store knows
    StoredPager* pager = nullptr;
    Object* object = nullptr;
    Flush flush = {};
    Run run;
  };
  base::Result<void, PagerError> PageOut(Object* object, const Flush& flush)
      ABSL_UNLOCK_FUNCTION(object->mu);
  uint32_t RoomToWrite() const;
  static void WriteIsDone(StoreWrite* write, base::Result<void, PagerError> result);
  base::Result<void, PagerError> EndCleaning(Cleaning* cleaning,
                                             base::Result<void, PagerError> result);
  void FlushPage(Object* object, Page* page, Flush* flush, PageArray* array)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  void RetirePage(Object* object, Page* page, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  bool ClearPastEnd(Object* object, Page** page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  bool ClearFrom(Page** page, uint64_t offset);
  base::Result<void, PagerError> ClearGap(Object* object, uint64_t old_size);
  base::Result<void, PagerError> CutTail(Object* object, uint64_t bytes);

  PageStore* const pages_;
  Core* const core_;
  LoanBreaker loans_;
  base::Pool<State> states_;
  base::Pool<Cleaning> cleanings_;
};

}  // namespace uvm

#endif  // UVM_STORED_H_
