// vmserver/files.h: files as memory objects with made-up contents.
//
// WHAT     A file is named by a 64-bit key. Its object's pages come from base::FillFile(key,
//          offset), so that model and system agree on every byte without storing any. The table
//          keeps one reference to each object until the end: what was written through a shared
//          mapping stays for everyone who maps the file later, cleaned and dropped or not.
// LOCKS    A file's own lock makes reading, writing and cutting it one after the other (a vnode's).
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
// up, but for what was cut off once: that is zeroes. Nothing is ever given back: a file lives as
// long as the server.
class FileStore final : public uvm::Store {
 public:
  // Both outlive the store.
  FileStore(base::PageSource* memory, uvm::ThreadSystem* threads)
      : memory_(memory), mu_(threads, base::LockRank::kObject), pool_(memory), cut_pool_(memory) {}

  base::Result<void, uvm::PagerError> ReadPage(uvm::Object* object, base::PageIndex index,
                                               unsigned char* contents) override;
  // kNoMemory: no room for a page that was never written before.
  base::Result<void, uvm::PagerError> WritePage(uvm::Object* object, base::PageIndex index,
                                                const unsigned char* contents) override;
  uint64_t SizeInBytes(const uvm::Object* object) const override;
  // Nothing to forget: all a page needs is its object's key.
  void Detach(uvm::Object* object) override;
  // Forgets what lies at and beyond byte `end` of the file. REQUIRES: PrepareCut(key) was true.
  void Cut(uint64_t key, uint64_t end);
  // False: no memory for the record of a first cut.
  bool PrepareCut(uint64_t key);
  // For checkers: what ReadPage would give, of [offset, offset + size), which lies in one page.
  void DebugRead(uint64_t key, uint64_t offset, uint64_t size, unsigned char* out) const;

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
  // Where a file was cut, if it ever was: at the lowest place.
  struct CutFile : base::RbNode<CutFile> {
    uint64_t key = 0;
    uint64_t end = ~uint64_t{0};
  };
  struct ByKey {
    static bool Less(const CutFile& a, const CutFile& b) { return a.key < b.key; }
    static void Update(CutFile*) {}
  };
  Written* Find(uint64_t key, base::PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  CutFile* FindCut(uint64_t key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t MadeUpEnd(uint64_t key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  base::PageSource* const memory_;
  // Ranks with objects' locks, of which nobody who calls a store holds one.
  uvm::Mutex mu_;
  base::Pool<Written> pool_ ABSL_GUARDED_BY(mu_);
  base::RbTree<Written, ByPlace> written_ ABSL_GUARDED_BY(mu_);
  base::Pool<CutFile> cut_pool_ ABSL_GUARDED_BY(mu_);
  base::RbTree<CutFile, ByKey> cuts_ ABSL_GUARDED_BY(mu_);
};

struct File : base::RbNode<File> {
  explicit File(uvm::ThreadSystem* threads) : mu(threads, base::LockRank::kServer) {}
  uint64_t key = 0;
  uvm::Object* object = nullptr;
  // Held by calls that read, write or cut the file, while the caller's memory is faulted in, too;
  // no fault wants it.
  uvm::Mutex mu;
};

class FileTable {
 public:
  FileTable(base::PageSource* memory, uvm::ThreadSystem* threads)
      : threads_(threads), pool_(memory) {}
  File* Find(uint64_t key) const;
  // Null when records ran out. REQUIRES: no file has this key.
  File* Add(uint64_t key, uvm::Object* object);

 private:
  struct ByKey {
    static bool Less(const File& a, const File& b) { return a.key < b.key; }
    static void Update(File*) {}
  };
  uvm::ThreadSystem* const threads_;
  base::Pool<File> pool_;
  base::RbTree<File, ByKey> files_;
};

}  // namespace vmserver

#endif  // VMSERVER_FILES_H_
