// Reading and writing files without mapping them, and another task's memory as debuggers do.
//
// Bytes go between the buffer cache (uvm/ubc.h), or the other task's pages (uvm/io.h), and the
// caller's memory, which is read and written with the caller's rights as its own loads and stores
// would. Errors of that are EFAULT, though what came before them has been moved; a shortage of
// memory makes the number smaller, and is ENOMEM where nothing was moved. SEE facts/uvm.md 1.8,
// 1.15; model/moves.cc states the same on its own.

#include "uvm/io.h"
#include "uvm/ubc.h"
#include "uvm/uio.h"
#include "vmserver/bsd_words.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::Access;
using base::Errno;
using base::FaultError;
using base::Vaddr;

// File offsets, and sizes of memory, are signed numbers.
constexpr uint64_t kSignedLimit = uint64_t{1} << 63;

uint64_t Least(uint64_t a, uint64_t b) { return a < b ? a : b; }

// `bytes` without the part of a page of the file that they end in.
uint64_t WholePieces(uint64_t offset, uint64_t bytes) {
  const uint64_t end = base::TruncPage(offset + bytes);
  return end > offset ? end - offset : 0;
}

// Files that nobody ever cut have all the bytes that an offset can name.
uint64_t EndOf(const File& file) {
  return Least(file.object->pager()->SizeInBytes(file.object), kSignedLimit);
}

}  // namespace

// The caller's memory as the other side of a transfer.
class TransferPeer : public uvm::UioPeer {
 public:
  base::Result<void, FaultError> Move(unsigned char* here, uint64_t bytes) final {
    // What failed once fails again: who asks for less would get it at the wrong place.
    if (!failure_.ok()) return failure_;
    uint64_t moved = 0;
    failure_ = Copy(here, bytes, &moved);
    moved_ += moved;
    return failure_;
  }
  uint64_t moved() const { return moved_; }

  // What becomes of a transfer that ended after `moved` bytes. `shortage`: the other side failed,
  // for want of memory; `other`: what it says where it was neither that nor this side.
  Answer Outcome(bool ok, uint64_t moved, bool shortage, Errno other) const {
    const bool mine = !failure_.ok();
    // A shortage on the other side came first: bytes are taken before room is made for them.
    if (mine && !shortage && failure_.error() != FaultError::kNoMemory) return Errno::kEfault;
    if (!ok && !mine && !shortage) return other;
    if (!ok && moved == 0) return Errno::kEnomem;
    return Answer(Errno::kOk).With(moved);
  }

 protected:
  ~TransferPeer() = default;

 private:
  // Moves bytes to or from the place that is `moved_` bytes behind the first.
  virtual base::Result<void, FaultError> Copy(unsigned char* here, uint64_t bytes,
                                              uint64_t* moved) = 0;
  uint64_t moved_ = 0;
  base::Result<void, FaultError> failure_;
};

namespace {

// By its own rights, as its loads and stores would.
class ClientPeer final : public TransferPeer {
 public:
  // `access` is what is done to the memory from `at` on.
  ClientPeer(uvm::Uvm* uvm, uvm::Space* space, uint64_t at, Access access)
      : uvm_(uvm), space_(space), at_(at), access_(access) {}

  // How many of `bytes` can be loaded, before the first that cannot: asked before the end of a file
  // moves, which would move what the caller's mappings of it show, too.
  base::Result<void, FaultError> Probe(uint64_t bytes, uint64_t* reach) const {
    *reach = 0;
    while (*reach < bytes) {
      const uint64_t at = at_ + *reach;
      unsigned char byte;
      uint64_t moved;
      TRY(uvm_->CopyBytes(space_, Vaddr(at), &byte, 1, Access::kRead, &moved));
      *reach = Least(bytes, *reach + base::kPageSize - (at & base::kPageMask));
    }
    return {};
  }

 private:
  base::Result<void, FaultError> Copy(unsigned char* here, uint64_t bytes,
                                      uint64_t* moved) override {
    return uvm_->CopyBytes(space_, Vaddr(at_ + this->moved()), here, bytes, access_, moved);
  }

  uvm::Uvm* const uvm_;
  uvm::Space* const space_;
  const uint64_t at_;
  const Access access_;
};

// Locked and mapped at an address of the server's own.
class LockedPeer final : public TransferPeer {
 public:
  LockedPeer(uvm::KernelMemory* kernel, Vaddr at, Access access)
      : kernel_(kernel), at_(at), access_(access) {}

 private:
  base::Result<void, FaultError> Copy(unsigned char* here, uint64_t bytes,
                                      uint64_t* moved) override {
    TRY(kernel_->Copy(at_ + this->moved(), here, bytes, access_));
    *moved = bytes;
    return {};
  }

  uvm::KernelMemory* const kernel_;
  const Vaddr at_;
  const Access access_;
};

}  // namespace

uvm::BufferCache* Server::Cache() {
  uvm::MutexLock lock(&mu_);
  return uvm_->Cache();
}

uvm::SpaceIo* Server::Io() {
  uvm::MutexLock lock(&mu_);
  return uvm_->Io();
}

// pread(2), pwrite(2).
Answer Server::MoveOfFile(Task* task, const Message& m, Access access) {
  const bool read = access == Access::kRead;
  const uint64_t key = Wide(m.words[2], m.words[3]);
  const uint64_t offset = Wide(m.words[4], m.words[5]);
  const uint64_t size = m.words[1];
  if (m.words[6] > static_cast<L4_Word_t>(Transfer::kDirect)) return Errno::kEinval;
  if (key == 0) return Errno::kEbadf;
  if (offset >= kSignedLimit || size >= kSignedLimit) return Errno::kEinval;
  const uint64_t left = kSignedLimit - offset;
  if (!read && size > left) return Errno::kEfbig;
  File* file = Cache() != nullptr && Io() != nullptr ? FileOf(key) : nullptr;
  if (file == nullptr) return Errno::kEnomem;
  uvm::MutexLock lock(&file->mu);
  const uint64_t end = EndOf(*file);
  uint64_t most = Least(Least(size, left), kMaxMove);
  if (read) most = Least(most, end > offset ? end - offset : 0);
  if (m.words[6] == static_cast<L4_Word_t>(Transfer::kDirect) && most > 0) {
    return MoveDirect(task, file, m.words[0], offset, most, access);
  }
  ClientPeer peer(&*uvm_, task->space, m.words[0], read ? Access::kWrite : Access::kRead);
  bool bad = false;
  if (!read && most > 0 && offset + most > end) {
    uint64_t reach;
    auto readable = peer.Probe(most, &reach);
    bad = !readable.ok() && readable.error() != FaultError::kNoMemory;
    // What fails does not extend the file.
    most = bad ? Least(WholePieces(offset, reach), end > offset ? end - offset : 0) : reach;
    if (!bad && most == 0) return Errno::kEnomem;
  }
  Answer answer = MoveBytes(file, &peer, offset, most, access);
  return bad ? Answer(Errno::kEfault) : answer;
}

// All of the caller's memory is there and stays before anything is moved, or nothing is moved.
Answer Server::MoveDirect(Task* task, File* file, uint64_t at, uint64_t offset, uint64_t bytes,
                          Access access) {
  const Access memory = access == Access::kRead ? Access::kWrite : Access::kRead;
  uvm::SpaceIo* io = uvm_->Io();
  auto window =
      io->MapLocked(&task->space->map(), Vaddr(at), bytes, memory, uvm::Map::kExtractTransient);
  if (!window.ok()) {
    const bool shortage =
        window.error() == base::MapError::kNoMemory || window.error() == base::MapError::kNoSpace;
    return shortage ? Errno::kEnomem : Errno::kEfault;
  }
  LockedPeer peer(uvm_->Kernel(), window.value(), memory);
  Answer answer = MoveBytes(file, &peer, offset, bytes, access);
  io->UnmapLocked(window.value(), bytes);
  return answer;
}

// Bytes beyond the end of the file extend it; a write that falls short extends it by what it wrote,
// one that fails not at all.
Answer Server::MoveBytes(File* file, TransferPeer* peer, uint64_t offset, uint64_t bytes,
                         Access access) {
  const bool read = access == Access::kRead;
  const uint64_t end = EndOf(*file);
  const bool extends = !read && bytes > 0 && offset + bytes > end;
  if (extends) {
    const Errno extended = SetEnd(file, offset + bytes);
    if (extended != Errno::kOk) return extended;
  }
  uvm::Uio uio{peer, offset, bytes};
  // Nothing of a page that cannot be supplied is written, and what it held stays.
  const uint32_t flags = read ? uvm::kUbcRead : uvm::kUbcWrite | uvm::kUbcFaultBusy;
  auto moved = uvm_->Cache()->UioMove(file->object, &uio, bytes, base::Advice::kNormal,
                                      flags | uvm::kUbcPartialOk);
  const Answer answer =
      peer->Outcome(moved.ok(), read ? peer->moved() : uio.offset - offset,
                    !moved.ok() && moved.error() == FaultError::kNoMemory, Errno::kEio);
  if (extends && !moved.ok()) {
    // What could be read when it was looked at may be gone since: that is a failure all the same.
    const bool some = answer.code == 0 && uio.offset > end;
    const Errno cut = SetEnd(file, some ? uio.offset : end);
    if (cut != Errno::kOk) return cut;
  }
  return answer;
}

// ftruncate(2).
Answer Server::Ftruncate(const Message& m) {
  const uint64_t key = Wide(m.words[0], m.words[1]);
  const uint64_t bytes = Wide(m.words[2], m.words[3]);
  if (key == 0) return Errno::kEbadf;
  if (bytes >= kSignedLimit) return Errno::kEinval;
  File* file = FileOf(key);
  if (file == nullptr) return Errno::kEnomem;
  uvm::MutexLock lock(&file->mu);
  return SetEnd(file, bytes);
}

// The store forgets what lies beyond the end, so that an extension does not bring it back.
Errno Server::SetEnd(File* file, uint64_t bytes) {
  if (!file_store_.PrepareCut(file->key)) return Errno::kEnomem;
  auto set = uvm_->SetStoredSize(file->object, bytes);
  if (!set.ok()) return set.error() == uvm::PagerError::kNoMemory ? Errno::kEnomem : Errno::kEio;
  file_store_.Cut(file->key, bytes);
  return Errno::kOk;
}

// ptrace(2)'s PT_IO. `access` is what is done to the target's memory.
Answer Server::MoveOfTask(Task* caller, Task* target, const Message& m, Access access) {
  const bool read = access == Access::kRead;
  const uint64_t at = m.words[1];
  const uint64_t size = m.words[2];
  if (at + size < at) return Errno::kEio;
  uvm::SpaceIo* io = Io();
  if (io == nullptr) return Errno::kEnomem;
  ClientPeer peer(&*uvm_, caller->space, m.words[3], read ? Access::kWrite : Access::kRead);
  uvm::Uio uio{&peer, at, Least(size, kMaxMove)};
  auto moved = io->Io(&target->space->map(), &uio, access, 0);
  const bool shortage = !moved.ok() && (moved.error() == base::MapError::kNoMemory ||
                                        moved.error() == base::MapError::kNoSpace);
  return peer.Outcome(moved.ok(), read ? peer.moved() : uio.offset - at, shortage,
                      moved.ok() ? Errno::kOk : uvm::ErrnoOf(moved.error()));
}

}  // namespace vmserver
