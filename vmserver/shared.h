// vmserver/shared.h: what several tasks may map under a name: memory files, System V segments, and
// the frame buffer.
//
// WHAT     Memory files and segments have 64-bit keys, each kind its own; who knows a key may use
//          it. A memory file is there until somebody closes it, a segment until somebody removes
//          it, each without regard to whose it was; mappings keep the memory itself. The frame
//          buffer is a device: frames that UVM does not own, of which the first may be had with all
//          rights, the next with all but writing.
// LOCKS    One lock for all calls (LockRank::kServer), never taken together with the server's own.
//          Maps, objects and frames are locked under it; no one who holds those ever waits for it.
// INVARIANTS  One memory file and one segment a key. A task's attachments are forgotten before its
//          record is used again.
// SEE      uvm/memfd.h, uvm/shm.h, uvm/device.h; protocol.h for the calls.

#ifndef VMSERVER_SHARED_H_
#define VMSERVER_SHARED_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "base/addr.h"
#include "base/errors.h"
#include "base/pool.h"
#include "base/prot.h"
#include "base/rb_tree.h"
#include "uvm/device.h"
#include "uvm/lock.h"
#include "uvm/memfd.h"
#include "uvm/mmap.h"
#include "uvm/shm.h"
#include "uvm/thread.h"
#include "uvm/uvm.h"

namespace vmserver {

// Where the frames of the frame buffer lie. None: the machine has no such device.
struct FrameBufferConfig {
  uint64_t key = 0;            // names the device, opened for reading and writing
  uint64_t read_only_key = 0;  // names it as opened for reading alone
  base::Paddr start;
  uint64_t pages = 0;
  uint64_t writable_pages = 0;  // the first of them
};

class FrameBuffer final : public uvm::DeviceDriver {
 public:
  explicit FrameBuffer(const FrameBufferConfig& config) : config_(config) {}
  bool Mmap(uint64_t device, uint64_t offset, base::Prot prot, uint64_t* cookie) override;
  // For checkers. REQUIRES: page < the device's.
  base::Paddr DebugFrame(uint64_t page) const { return config_.start + page * base::kPageSize; }
  const FrameBufferConfig& config() const { return config_; }

 private:
  const FrameBufferConfig config_;
};

class SharedMemory {
 public:
  // All outlive it.
  SharedMemory(uvm::Uvm* uvm, base::PageSource* memory, uvm::ThreadSystem* threads,
               const FrameBufferConfig& frame_buffer);
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // EEXIST: the key is taken; EINVAL: the size is no off_t; ENOMEM. The other calls for memory
  // files answer EBADF where there is none, then as uvm/memfd.h says.
  base::Errno CreateMemfd(uint64_t key, uint64_t bytes, uvm::Memfd::Sealing sealing);
  base::Errno TruncateMemfd(uint64_t key, uint64_t bytes);
  base::Errno SealMemfd(uint64_t key, uint32_t seals);
  base::Errno CloseMemfd(uint64_t key);
  uvm::AddressResult MmapMemfd(uvm::Process* process, uint64_t key,
                               const uvm::MmapArguments& arguments);

  // ENODEV: no such device; EINVAL: the driver refuses a page of the range.
  uvm::AddressResult MmapDevice(uvm::Process* process, uint64_t key, uvm::MmapArguments arguments);

  // shmget(key, bytes, IPC_CREAT): the segment is there afterwards. EINVAL: it is smaller than
  // `bytes`; then as uvm::ShmStore::Create. The other calls for segments answer EINVAL where there
  // is none, then as uvm/shm.h says.
  base::Errno GetSegment(uint64_t key, uint64_t bytes);
  uvm::AddressResult Attach(uvm::Process* process, uint64_t key, uint64_t address, uint32_t flags);
  base::Errno Detach(uvm::Process* process, uint64_t address);
  base::Errno RemoveSegment(uint64_t key);
  base::Errno LockSegment(uint64_t key);
  base::Errno UnlockSegment(uint64_t key);

  // What a fork, and an exec or exit, do to attachments (uvm/shm.h). False: no memory.
  bool Fork(const uvm::Process* parent, uvm::Process* child);
  void Forget(uvm::Process* process);

  const FrameBuffer& frame_buffer() const { return frame_buffer_; }
  // For checkers. Calls visit(segment) for each that has a name.
  template <typename Visit>
  void DebugForEachNamed(const Visit& visit) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (const Segment* at = segments_.First(); at != nullptr;
         at = Tree<Segment>::Next(const_cast<Segment*>(at))) {
      visit(at->segment);
    }
  }
  // Segments that are there, removed ones with attachments included.
  uint64_t DebugSegments() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return store_.live(); }

 private:
  struct MemoryFile : base::RbNode<MemoryFile> {
    MemoryFile(uint64_t k, const uvm::Memfd& m) : key(k), memfd(m) {}
    uint64_t key;
    uvm::Memfd memfd;
  };
  struct Segment : base::RbNode<Segment> {
    uint64_t key = 0;
    uvm::ShmSegment* segment = nullptr;
  };
  template <typename T>
  struct ByKey {
    static bool Less(const T& a, const T& b) { return a.key < b.key; }
    static void Update(T*) {}
  };
  template <typename T>
  using Tree = base::RbTree<T, ByKey<T>>;

  uvm::Uvm* const uvm_;
  FrameBuffer frame_buffer_;
  uvm::Mutex mu_;
  base::Pool<MemoryFile> file_pool_ ABSL_GUARDED_BY(mu_);
  base::Pool<Segment> segment_pool_ ABSL_GUARDED_BY(mu_);
  Tree<MemoryFile> files_ ABSL_GUARDED_BY(mu_);
  Tree<Segment> segments_ ABSL_GUARDED_BY(mu_);
  uvm::ShmStore store_ ABSL_GUARDED_BY(mu_);
};

}  // namespace vmserver

#endif  // VMSERVER_SHARED_H_
