#include "vmserver/files.h"

#include "base/check.h"
#include "base/pattern.h"

namespace vmserver {

base::Result<void, uvm::PagerError> FileStore::ReadPage(uvm::Object* object, base::PageIndex index,
                                                        unsigned char* contents) {
  base::FillFile(object->key(), base::ToBytes(index), contents, base::kPageSize);
  return {};
}

base::Result<void, uvm::PagerError> FileStore::WritePage(uvm::Object*, base::PageIndex,
                                                         const unsigned char*) {
  UNREACHABLE("files live as long as the server");
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
