#include "vmserver/shared.h"

namespace vmserver {

using base::Errno;
using uvm::AddressResult;
using uvm::MutexLock;

namespace {

template <typename Tree>
auto* Find(const Tree& tree, uint64_t key) {
  auto* at = tree.root();
  while (at != nullptr && at->key != key) at = at->rb_child[at->key < key ? 1 : 0];
  return at;
}

}  // namespace

bool FrameBuffer::Mmap(uint64_t, uint64_t offset, base::Prot prot, uint64_t* cookie) {
  const uint64_t page = offset >> base::kPageShift;
  const uint64_t end = prot.CanWrite() ? config_.writable_pages : config_.pages;
  if (page >= end) return false;
  *cookie = DebugFrame(page).value();
  return true;
}

SharedMemory::SharedMemory(uvm::Uvm* uvm, base::PageSource* memory, uvm::ThreadSystem* threads,
                           const FrameBufferConfig& frame_buffer)
    : uvm_(uvm),
      frame_buffer_(frame_buffer),
      mu_(threads, base::LockRank::kServer),
      file_pool_(memory),
      segment_pool_(memory),
      store_(uvm, memory) {}

// ---- Memory files ----

Errno SharedMemory::CreateMemfd(uint64_t key, uint64_t bytes, uvm::Memfd::Sealing sealing) {
  MutexLock lock(&mu_);
  if (Find(files_, key) != nullptr) return Errno::kEexist;
  auto made = uvm::Memfd::Create(uvm_, sealing);
  if (!made.ok()) return Errno::kEnomem;
  uvm::Memfd memfd = made.value();
  const Errno sized = memfd.Truncate(bytes);
  MemoryFile* file = sized == Errno::kOk ? file_pool_.New(key, memfd) : nullptr;
  if (file == nullptr) {
    memfd.Close();
    return sized == Errno::kOk ? Errno::kEnomem : sized;
  }
  files_.Insert(file);
  return Errno::kOk;
}

Errno SharedMemory::TruncateMemfd(uint64_t key, uint64_t bytes) {
  MutexLock lock(&mu_);
  MemoryFile* file = Find(files_, key);
  return file == nullptr ? Errno::kEbadf : file->memfd.Truncate(bytes);
}

Errno SharedMemory::SealMemfd(uint64_t key, uint32_t seals) {
  MutexLock lock(&mu_);
  MemoryFile* file = Find(files_, key);
  return file == nullptr ? Errno::kEbadf : file->memfd.AddSeals(seals);
}

Errno SharedMemory::CloseMemfd(uint64_t key) {
  MutexLock lock(&mu_);
  MemoryFile* file = Find(files_, key);
  if (file == nullptr) return Errno::kEbadf;
  file->memfd.Close();
  files_.Erase(file);
  file_pool_.Delete(file);
  return Errno::kOk;
}

AddressResult SharedMemory::MmapMemfd(uvm::Process* process, uint64_t key,
                                      const uvm::MmapArguments& arguments) {
  MutexLock lock(&mu_);
  const MemoryFile* file = Find(files_, key);
  if (file == nullptr) return {Errno::kEbadf};
  return file->memfd.Mmap(process, arguments);
}

// ---- The frame buffer ----

AddressResult SharedMemory::MmapDevice(uvm::Process* process, uint64_t key,
                                       uvm::MmapArguments arguments) {
  const FrameBufferConfig& device = frame_buffer_.config();
  const bool known = device.pages != 0 && (key == device.key || key == device.read_only_key);
  arguments.flags &= ~uint32_t{uvm::kMapAnon};
  arguments.file.given = true;
  if (known) arguments.file.driver = &frame_buffer_;
  arguments.file.device = device.key;
  arguments.file.writable = key != device.read_only_key;
  return uvm::MmapCalls(uvm_).Mmap(process, arguments);
}

// ---- Segments ----

Errno SharedMemory::GetSegment(uint64_t key, uint64_t bytes) {
  MutexLock lock(&mu_);
  if (const Segment* there = Find(segments_, key)) {
    return bytes <= there->segment->size ? Errno::kOk : Errno::kEinval;
  }
  uvm::ShmSegment* made = nullptr;
  const Errno error = store_.Create(bytes, &made);
  if (error != Errno::kOk) return error;
  Segment* segment = segment_pool_.New();
  if (segment == nullptr) {
    store_.Remove(made);
    return Errno::kEnomem;
  }
  segment->key = key;
  segment->segment = made;
  segments_.Insert(segment);
  return Errno::kOk;
}

AddressResult SharedMemory::Attach(uvm::Process* process, uint64_t key, uint64_t address,
                                   uint32_t flags) {
  MutexLock lock(&mu_);
  const Segment* segment = Find(segments_, key);
  if (segment == nullptr) return {Errno::kEinval};
  return store_.Attach(process, segment->segment, address, flags);
}

Errno SharedMemory::Detach(uvm::Process* process, uint64_t address) {
  MutexLock lock(&mu_);
  return store_.Detach(process, address);
}

Errno SharedMemory::RemoveSegment(uint64_t key) {
  MutexLock lock(&mu_);
  Segment* segment = Find(segments_, key);
  if (segment == nullptr) return Errno::kEinval;
  segments_.Erase(segment);
  const Errno removed = store_.Remove(segment->segment);
  segment_pool_.Delete(segment);
  return removed;
}

Errno SharedMemory::LockSegment(uint64_t key) {
  MutexLock lock(&mu_);
  const Segment* segment = Find(segments_, key);
  return segment == nullptr ? Errno::kEinval : store_.Lock(segment->segment);
}

Errno SharedMemory::UnlockSegment(uint64_t key) {
  MutexLock lock(&mu_);
  const Segment* segment = Find(segments_, key);
  return segment == nullptr ? Errno::kEinval : store_.Unlock(segment->segment);
}

bool SharedMemory::Fork(const uvm::Process* parent, uvm::Process* child) {
  if (parent->attachments == nullptr) return true;
  MutexLock lock(&mu_);
  return store_.Fork(parent, child);
}

void SharedMemory::Forget(uvm::Process* process) {
  if (process->attachments == nullptr) return;
  MutexLock lock(&mu_);
  store_.Forget(process);
}

}  // namespace vmserver
