// uvm/ubc.h: the unified buffer cache: reading and writing objects through windows of kernel
// addresses.
//
// WHAT     A window shows a stretch of one object (kWindowPages, aligned) at kernel addresses that
//          are its own for ever. UioMove is the read and write path of files: it finds or makes the
//          window, moves bytes through it, and leaves it cached. Because the windows map the very
//          pages that clients map, read(2), write(2) and mmap(2) agree at all times.
//          A write that replaces whole pages (kUbcFaultBusy) takes them busy without reading them:
//          nobody sees them half written, and what could not be written is zeroed.
//          On machines where every frame has a home address the window could be left out
//          (ubc_uiomove_direct); it is not, so that the same path runs everywhere.
// STATES   of a window: unnamed (shows nothing) -> in use (refs > 0) <-> cached (named, refs 0, on
//          the queue of windows to reuse, oldest first) -> unnamed. In use for a kUbcFaultBusy
//          write it is exclusive: others wait.
// LOCKS    (W) the lock of the windows' own object, which guards the windows' fields, too. It is
//          never held with another object's. A fault in a window is entered with it (pager.h). (T)
//          by nothing: changed between scheduling points of server threads, which never run at one
//          instant.
// INVARIANTS  I19 ValidWindows: a window in use is not on the queue, every other one is; no two
//          have the same object and offset; an object counts its windows; a cached window maps
//          nothing but pages of its object.
// SEE      NetBSD sys/uvm/uvm_bio.c, ubc(9); facts/uvm.md 1.8, 2.16, 5.A items 13-15.

#ifndef UVM_UBC_H_
#define UVM_UBC_H_

#include <cstdint>

#include "base/list.h"
#include "base/pool.h"
#include "base/rb_tree.h"
#include "base/text_sink.h"
#include "uvm/core.h"
#include "uvm/km.h"
#include "uvm/loan_break.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/uio.h"

namespace uvm {

// UBC_*. The values are NetBSD's.
enum UbcFlags : uint32_t {
  kUbcRead = 0x1,
  kUbcWrite = 0x2,
  kUbcFaultBusy = 0x4,    // with kUbcWrite: keep the pages busy while they are written
  kUbcUnmap = 0x10,       // do not cache the window afterwards
  kUbcPartialOk = 0x100,  // stop at the first error and say how far it came
};

class BufferCache final : public Pager {
 public:
  static constexpr uint32_t kWindowPages = kMaxGetPages;
  static constexpr uint64_t kWindowBytes = kWindowPages * base::kPageSize;

  BufferCache(KernelMemory* kernel, ObjectStore* objects);
  // NetBSD: ubc_init(). `windows` of them. False: no addresses or no memory for the descriptors.
  bool Init(uint32_t windows);

  // NetBSD: ubc_uiomove(). Moves up to `todo` bytes (no more than uio->resid) from the object to
  // the peer (kUbcRead) or back. Errors: the peer's, or what a fault on the object's page would be.
  // With kUbcPartialOk the transfer ends there; without, the rest of what a kUbcWrite was to
  // replace is zeroed where it was not there before.
  Result<void, FaultError> UioMove(Object* object, Uio* uio, uint64_t todo, Advice advice,
                                   uint32_t flags);
  // NetBSD: ubc_zerorange(). `flags`: kUbcUnmap or 0.
  Result<void, FaultError> ZeroRange(Object* object, uint64_t offset, uint64_t bytes,
                                     uint32_t flags);
  // NetBSD: ubc_purge(). The object's windows show nothing any more. REQUIRES: none is in use.
  void Purge(Object* object);

  // Pager, for the windows' own object.
  base::Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  base::Result<void, PagerError> Put(Object* object, base::PageIndex first, base::PageIndex end,
                                     uint32_t flags) override;
  void Detach(Object*) override {}
  bool HandlesFaults() const override { return true; }
  // NetBSD: ubc_fault(). kNoEntry: the window is not in use. kIo, kPastEnd, kNoMemory: the page's.
  base::Result<void, base::FaultError> Fault(FaultInfo* info) override;
  Kind kind() const override { return Kind::kBufferCache; }

  // I19. True when it holds; else the first counterexample goes to *text.
  bool ValidWindows(base::TextSink* text) const;

 private:
  struct Window : base::RbNode<Window> {
    Vaddr base;                // constant
    Object* object = nullptr;  // whose; null: unnamed
    uint64_t offset = 0;       // bytes, a multiple of kWindowBytes
    uint32_t refs = 0;
    bool exclusive = false;  // its pages are busy on behalf of who uses it
    bool writable = false;   // somebody who uses it writes
    Advice advice = Advice::kNormal;
    base::ListLink queue_link;
  };
  // Ordered by number, never by address: a host address must decide nothing.
  struct ByPlace {
    static bool Less(const Window& a, const Window& b) {
      return a.object->id != b.object->id ? a.object->id < b.object->id : a.offset < b.offset;
    }
    static void Update(Window*) {}
  };
  using Tree = base::RbTree<Window, ByPlace>;
  // One window's part of a transfer.
  struct Part {
    Object* object;
    uint64_t offset;  // bytes, in the object
    uint64_t bytes;
    Advice advice;
    uint32_t flags;
    Window* window = nullptr;
    Page* pages[kWindowPages] = {};  // exclusive: busy, from the first page of the part
    bool fresh[kWindowPages] = {};   // exclusive: contents were undefined when it was got
    uint32_t page_count = 0;
    bool write() const { return (flags & kUbcWrite) != 0; }
    uint64_t first_page() const { return offset >> base::kPageShift; }
    // Bytes from `done` on that lie in one page.
    uint64_t PieceAt(uint64_t done) const {
      const uint64_t left = base::kPageSize - ((offset + done) & base::kPageMask);
      return bytes - done < left ? bytes - done : left;
    }
    bool IsFresh(uint64_t at) const {
      return page_count > 0 && fresh[(at >> base::kPageShift) - first_page()];
    }
  };
  enum class Fill : uint8_t {
    kTransfer,   // what the peer gives or takes
    kZero,       // zeroes
    kZeroFresh,  // zeroes in pages whose contents are undefined, nothing elsewhere
  };

  Mutex& mu() const { return windows_object_->mu; }
  Window* Find(const Object* object, uint64_t offset) const;
  Window* Acquire(Part* part);  // NetBSD: ubc_alloc()
  void Forget(Window* window);
  void Release(Part* part);  // NetBSD: ubc_release()
  bool TakeBusy(Part* part);
  bool BreakLoan(Page** page);
  bool GetBusy(Part* part, uint32_t first, uint32_t count, bool overwrite);
  void GiveUpBusy(Part* part);
  static uint64_t Supply(const Part& part, UioPeer* peer, unsigned char* buffer,
                         Result<void, FaultError>* result);
  Result<void, FaultError> MovePart(Part* part, Uio* uio, Fill fill);
  Result<void, FaultError> MovePage(Part* part, uint64_t offset, uint64_t bytes,
                                    unsigned char* buffer);
  bool CopyMapped(Part* part, uint64_t offset, uint64_t bytes, unsigned char* buffer);
  void EnterPages(FaultInfo* info, Object* object, Page** pages, uint32_t count, bool writable);

  KernelMemory* const kernel_;
  ObjectStore* const objects_;
  Object* windows_object_ = nullptr;               // set once, by Init, as are the next three
  Vaddr base_;                                     // set once
  Window* windows_ = nullptr;                      // set once
  uint32_t count_ = 0;                             // set once
  Tree named_;                                     // (W) windows that show something
  base::List<Window, &Window::queue_link> queue_;  // (W) windows that nobody uses
  CondVar released_;                               // a window was, or is no longer exclusive
  base::ArrayPool buffers_;                        // (T) one for each transfer under way
  LoanBreaker loans_;                              // constant
};

}  // namespace uvm

#endif  // UVM_UBC_H_
