// vmserver/files.h: files as memory objects with made-up contents.
//
// WHAT     A file is named by a 64-bit key. Its object's pages come from base::FillFile(key,
//          offset), so that model and system agree on every byte without storing any. The table
//          keeps one reference to each object until the end: what was written through a shared
//          mapping stays for everyone who maps the file later. Pages that UVM writes back (msync,
//          madvise) are kept whole, by key and page.
// INVARIANTS  One object a key.
// SEE      base/pattern.h; design.md D7 (the external file pager that takes this place later).

#ifndef VMSERVER_FILES_H_
#define VMSERVER_FILES_H_

#include <cstdint>

#include "base/addr.h"
#include "base/pool.h"
#include "base/rb_tree.h"
#include "uvm/object.h"
#include "uvm/stored.h"

namespace vmserver {

class FileStore final : public uvm::Store {
 public:
  explicit FileStore(base::PageSource* memory) : pool_(memory), contents_(memory) {}

  base::Result<void, uvm::PagerError> ReadPage(uvm::Object* object, base::PageIndex index,
                                               unsigned char* contents) override;
  // kNoMemory: there is no room to keep the page.
  base::Result<void, uvm::PagerError> WritePage(uvm::Object* object, base::PageIndex index,
                                                const unsigned char* contents) override;
  uint64_t SizeInBytes(const uvm::Object* object) const override;
  // Nothing to forget: all a page needs is its object's key.
  void Detach(uvm::Object* object) override;

 private:
  struct Written : base::RbNode<Written> {
    uint64_t key = 0;
    base::PageIndex index;
    unsigned char* bytes = nullptr;  // kPageSize of them
  };
  struct ByPlace {
    static bool Less(const Written& a, const Written& b) {
      return a.key != b.key ? a.key < b.key : a.index < b.index;
    }
    static void Update(Written*) {}
  };
  Written* Find(uint64_t key, base::PageIndex index) const;

  base::Pool<Written> pool_;
  base::ArrayPool contents_;
  base::RbTree<Written, ByPlace> written_;
};

struct File : base::RbNode<File> {
  uint64_t key = 0;
  uvm::Object* object = nullptr;
};

class FileTable {
 public:
  explicit FileTable(base::PageSource* memory) : pool_(memory) {}
  File* Find(uint64_t key) const;
  // Null when records ran out. REQUIRES: no file has this key.
  File* Add(uint64_t key, uvm::Object* object);

 private:
  struct ByKey {
    static bool Less(const File& a, const File& b) { return a.key < b.key; }
    static void Update(File*) {}
  };
  base::Pool<File> pool_;
  base::RbTree<File, ByKey> files_;
};

}  // namespace vmserver

#endif  // VMSERVER_FILES_H_
