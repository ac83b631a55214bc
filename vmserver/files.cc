#include "vmserver/files.h"

#include "base/pattern.h"

namespace vmserver {

base::Result<void, base::FaultError> FilePager::GetPage(uvm::Object* object, base::PageIndex index,
                                                        unsigned char* contents) {
  base::FillFile(object->key(), base::ToBytes(index), contents, base::kPageSize);
  return {};
}

void FilePager::Detach(uvm::Object*) {}

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
