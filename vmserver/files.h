// vmserver/files.h: files as memory objects with made-up contents.
//
// WHAT     A file is named by a 64-bit key. Its object's pages come from base::FillFile(key,
//          offset), so that model and system agree on every byte without storing any. The table
//          keeps one reference to each object until the end: what was written through a shared
//          mapping stays for everyone who maps the file later, cleaned and dropped or not.
// INVARIANTS  One object a key.
// SEE      base/pattern.h; design.md D7 (the external file pager that takes this place later).

#ifndef VMSERVER_FILES_H_
#define VMSERVER_FILES_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "base/pool.h"
#include "base/rb_tree.h"
#include "uvm/lock.h"
#include "uvm/object.h"
#include "uvm/stored.h"
#include "uvm/thread.h"

namespace vmserver {

// What was written through shared mappings and then cleaned, page by page; every other page is made
// up. Nothing is ever given back: a file lives as long as the server.
class FileStore final : public uvm::Store {
 public:
  // Both outlive the store.
  FileStore(base::PageSource* memory, uvm::ThreadSystem* threads)
      : memory_(memory), mu_(threads, base::LockRank::kObject), pool_(memory) {}

  base::Result<void, uvm::PagerError> ReadPage(uvm::Object* object, base::PageIndex index,
                                               unsigned char* contents) override;
  // kNoMemory: no room for a page that was never written before.
  base::Result<void, uvm::PagerError> WritePage(uvm::Object* object, base::PageIndex index,
                                                const unsigned char* contents) override;
  uint64_t SizeInBytes(const uvm::Object* object) const override;
  // Nothing to forget: all a page needs is its object's key.
  void Detach(uvm::Object* object) override;
  // For checkers: the whole page if it was ever written back, else null.
  const unsigned char* DebugWritten(uint64_t key,
                                    base::PageIndex index) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const Written* written = Find(key, index);
    return written == nullptr ? nullptr : written->contents;
  }

 private:
  struct Written : base::RbNode<Written> {
    uint64_t key = 0;
    base::PageIndex index;
    unsigned char* contents = nullptr;  // a page, ours for ever
  };
  struct ByPlace {
    static bool Less(const Written& a, const Written& b) {
      return a.key != b.key ? a.key < b.key : a.index < b.index;
    }
    static void Update(Written*) {}
  };
  Written* Find(uint64_t key, base::PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  base::PageSource* const memory_;
  // Ranks with objects' locks, of which nobody who calls a store holds one.
  uvm::Mutex mu_;
  base::Pool<Written> pool_ ABSL_GUARDED_BY(mu_);
  base::RbTree<Written, ByPlace> written_ ABSL_GUARDED_BY(mu_);
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
