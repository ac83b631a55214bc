#include "vmserver/files.h"

#include <cstring>

#include "base/pattern.h"

namespace vmserver {

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
  {
    uvm::MutexLock lock(&mu_);
    if (const Written* written = Find(object->key(), index)) {
      std::memcpy(contents, written->contents, base::kPageSize);
      return {};
    }
  }
  base::FillFile(object->key(), base::ToBytes(index), contents, base::kPageSize);
  return {};
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
  File* file = pool_.New();
  if (file == nullptr) return nullptr;
  file->key = key;
  file->object = object;
  files_.Insert(file);
  return file;
}

}  // namespace vmserver
