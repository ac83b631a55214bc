#include "vmserver/files.h"

#include <cstring>

#include "base/pattern.h"

namespace vmserver {
namespace {

// What lies before `end` is made up, the rest zeroes.
void MakeUp(uint64_t key, uint64_t end, uint64_t offset, uint64_t size, unsigned char* out) {
  uint64_t made = end > offset ? end - offset : 0;
  if (made > size) made = size;
  base::FillFile(key, offset, out, made);
  std::memset(out + made, 0, size - made);
}

}  // namespace

FileStore::Written* FileStore::Find(uint64_t key, base::PageIndex index) const {
  Written* at = written_.root();
  while (at != nullptr && (at->key != key || at->index != index)) {
    const bool higher = at->key != key ? at->key < key : at->index < index;
    at = at->rb_child[higher ? 1 : 0];
  }
  return at;
}

base::Result<void, uvm::PagerError> FileStore::ReadPage(uvm::Object* object, base::PageIndex index,
                                                        unsigned char* contents) {
  uint64_t end;
  {
    uvm::MutexLock lock(&mu_);
    if (const Written* written = Find(object->key(), index)) {
      std::memcpy(contents, written->contents, base::kPageSize);
      return {};
    }
    end = MadeUpEnd(object->key());
  }
  MakeUp(object->key(), end, base::ToBytes(index), base::kPageSize, contents);
  return {};
}

FileStore::CutFile* FileStore::FindCut(uint64_t key) const {
  CutFile* at = cuts_.root();
  while (at != nullptr && at->key != key) at = at->rb_child[at->key < key ? 1 : 0];
  return at;
}

uint64_t FileStore::MadeUpEnd(uint64_t key) const {
  const CutFile* cut = FindCut(key);
  return cut == nullptr ? ~uint64_t{0} : cut->end;
}

bool FileStore::PrepareCut(uint64_t key) {
  uvm::MutexLock lock(&mu_);
  if (FindCut(key) != nullptr) return true;
  CutFile* cut = cut_pool_.New();
  if (cut == nullptr) return false;
  cut->key = key;
  cuts_.Insert(cut);
  return true;
}

void FileStore::Cut(uint64_t key, uint64_t end) {
  uvm::MutexLock lock(&mu_);
  CutFile* cut = FindCut(key);
  if (end < cut->end) cut->end = end;
  for (Written* at = written_.First(); at != nullptr; at = written_.Next(at)) {
    const uint64_t start = base::ToBytes(at->index);
    if (at->key != key || start + base::kPageSize <= end) continue;
    const uint64_t kept = start < end ? end - start : 0;
    std::memset(at->contents + kept, 0, base::kPageSize - kept);
  }
}

void FileStore::DebugRead(uint64_t key, uint64_t offset, uint64_t size,
                          unsigned char* out) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Written* written = Find(key, base::ToPageIndex(base::TruncPage(offset)));
  if (written != nullptr) {
    std::memcpy(out, written->contents + (offset & base::kPageMask), size);
  } else {
    MakeUp(key, MadeUpEnd(key), offset, size, out);
  }
}

base::Result<void, uvm::PagerError> FileStore::WritePage(uvm::Object* object, base::PageIndex index,
                                                         const unsigned char* contents) {
  uvm::MutexLock lock(&mu_);
  Written* written = Find(object->key(), index);
  if (written == nullptr) {
    auto* page = static_cast<unsigned char*>(memory_->AllocateChunk(base::kPageSize));
    if (page == nullptr) return uvm::PagerError::kNoMemory;
    written = pool_.New();
    if (written == nullptr) return uvm::PagerError::kNoMemory;
    written->key = object->key();
    written->index = index;
    written->contents = page;
    written_.Insert(written);
  }
  std::memcpy(written->contents, contents, base::kPageSize);
  return {};
}

uint64_t FileStore::SizeInBytes(const uvm::Object*) const { return uvm::Pager::kUnbounded; }

void FileStore::Detach(uvm::Object*) {}

File* FileTable::Find(uint64_t key) const {
  File* at = files_.root();
  while (at != nullptr && at->key != key) at = at->rb_child[at->key < key ? 1 : 0];
  return at;
}

File* FileTable::Add(uint64_t key, uvm::Object* object) {
  File* file = pool_.New(threads_);
  if (file == nullptr) return nullptr;
  file->key = key;
  file->object = object;
  files_.Insert(file);
  return file;
}

}  // namespace vmserver
