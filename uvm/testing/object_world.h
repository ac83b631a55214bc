// uvm/testing/object_world.h: objects and their pagers without maps, and a store that remembers.
//
// WHAT     A MemoryStore keeps its object's pages in host memory, has holes, blocks and errors on
//          demand, and logs what it is asked: "R3" page 3 read, "W3-5" pages 3 to 5 written in one
//          request, "A3" a block found for page 3. An ObjectWorld has what a pager needs below it.
//          Its pictures have one character a page, page 0 leftmost:
//            States    . absent  c clean  d dirty  u unknown  r read-only (hole); capital: busy
//            Contents  the letter that fills the page, 0 for zeroes, # a mixture, . absent
//            Get       like Contents, of the pages that came back; - one that did not
//          Gets and Puts leave nothing busy: what came back is let go.

#ifndef UVM_TESTING_OBJECT_WORLD_H_
#define UVM_TESTING_OBJECT_WORLD_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "uvm/aobj.h"
#include "uvm/core.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"
#include "uvm/stored.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm::testing {

inline char LetterOfPage(const unsigned char* bytes) {
  const bool uniform = std::memcmp(bytes, bytes + 1, base::kPageSize - 1) == 0;
  if (!uniform) return '#';
  return bytes[0] == 0 ? '0' : static_cast<char>(bytes[0]);
}

inline const char* PagerErrorName(PagerError error) {
  switch (error) {
    case PagerError::kBusy:
      return "busy";
    case PagerError::kIo:
      return "io";
    case PagerError::kPastEnd:
      return "past-end";
    case PagerError::kNoMemory:
      return "no-memory";
    case PagerError::kAgain:
      return "again";
    case PagerError::kRestart:
      return "restart";
  }
  return "?";
}

class MemoryStore final : public Store {
 public:
  // A letter a page; '.' is a hole.
  explicit MemoryStore(std::string picture) : picture_(std::move(picture)) {
    size_ = picture_.size() * base::kPageSize;
  }

  void set_size(uint64_t bytes) { size_ = bytes; }
  void set_block(uint32_t pages) { block_ = pages; }
  void set_wants_first_write() { wants_first_write_ = true; }
  // Every access to page `index` fails until Heal().
  void Fail(uint64_t index) { bad_.insert(index); }
  void Heal() { bad_.clear(); }
  // Runs during the next read or write, with no lock held.
  void DuringNext(std::function<void()> hook) { hook_ = std::move(hook); }
  std::string TakeLog() { return std::exchange(log_, std::string()); }
  // What is stored, as a picture.
  const std::string& picture() const { return picture_; }
  int first_dirty() const { return first_dirty_; }

  base::Result<void, PagerError> ReadPage(Object*, base::PageIndex index,
                                          unsigned char* contents) override {
    Log("R" + std::to_string(index.value()));
    if (bad_.contains(index.value())) return PagerError::kIo;
    std::memset(contents, At(index), base::kPageSize);
    return {};
  }
  base::Result<void, PagerError> WritePage(Object*, base::PageIndex index,
                                           const unsigned char* contents) override {
    if (bad_.contains(index.value())) return PagerError::kIo;
    if (picture_.size() <= index.value()) picture_.resize(index.value() + 1, '.');
    char letter = LetterOfPage(contents);
    picture_[index.value()] = letter;
    return {};
  }
  base::Result<void, PagerError> WriteRun(Object* object, base::PageIndex first, uint32_t count,
                                          const unsigned char* const* contents) override {
    std::string name = "W" + std::to_string(first.value());
    Log(count == 1 ? name : name + "-" + std::to_string(first.value() + count - 1));
    return Store::WriteRun(object, first, count, contents);
  }
  uint64_t SizeInBytes(const Object*) const override { return size_; }
  void Detach(Object*) override { Log("detach"); }
  uint32_t BlockPages(const Object*) const override { return block_; }
  bool IsHole(const Object*, base::PageIndex index) const override {
    return index.value() < picture_.size() && picture_[index.value()] == '.';
  }
  base::Result<void, PagerError> AllocateBlock(Object*, base::PageIndex index) override {
    Log("A" + std::to_string(index.value()));
    if (bad_.contains(index.value())) return PagerError::kIo;
    picture_[index.value()] = '0';
    return {};
  }
  bool WantsFirstWrite(const Object*) const override { return wants_first_write_; }
  void MarkDirty(Object*) override { ++first_dirty_; }

 private:
  void Log(const std::string& what) {
    log_ += (log_.empty() ? "" : " ") + what;
    if (hook_) std::exchange(hook_, {})();
  }
  int At(base::PageIndex index) const {
    char letter = index.value() < picture_.size() ? picture_[index.value()] : '0';
    return letter == '0' ? 0 : letter;
  }

  std::string picture_;
  uint64_t size_ = 0;
  uint32_t block_ = 1;
  bool wants_first_write_ = false;
  std::set<uint64_t> bad_;
  std::function<void()> hook_;
  std::string log_;
  int first_dirty_ = 0;
};

class ObjectWorld {
 public:
  // Without `system`, which outlives the world, it is a world of one thread.
  explicit ObjectWorld(uint64_t frames = 64, ThreadSystem* system = nullptr)
      : pmap_(frames), core_{&memory_, &pmap_, system != nullptr ? system : &threads_, {}, {}} {}

  Object* Stored(Store* store, uint64_t key = 1) {
    Object* object = objects_.Create(&stored_, key);
    CHECK(object != nullptr && stored_.Attach(object, store));
    return object;
  }
  // `bytes` of anonymous memory.
  Object* Anonymous(uint64_t bytes, uint32_t flags = 0) {
    Object* object = anonymous_.Create(bytes, flags);
    CHECK(object != nullptr);
    return object;
  }

  struct GetOptions {
    uint64_t first = 0;
    uint32_t count = 1;
    uint32_t centre = 0;
    Access access = Access::kRead;
    uint32_t flags = kPgoSyncIo;
    std::string skip = {};  // 'x' where a page is not cared for
  };
  // The outcome as a picture, or the error's name.
  std::string Get(Object* object, const GetOptions& options) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Page* pages[kMaxGetPages] = {};
    for (size_t i = 0; i < options.skip.size(); ++i) {
      if (options.skip[i] == 'x') pages[i] = DontCare();
    }
    GetRequest request;
    request.first = PageIndex(options.first);
    request.count = options.count;
    request.centre = options.centre;
    request.pages = pages;
    request.access = options.access;
    request.flags = options.flags;
    object->mu.Lock();
    Result<void, PagerError> got = object->pager()->Get(object, &request);
    const bool locked = (options.flags & kPgoLocked) != 0;
    if (!got.ok() && !locked) return PagerErrorName(got.error());
    if (!locked) object->mu.Lock();
    std::string picture;
    for (uint32_t i = 0; i < options.count; ++i) {
      const bool none = pages[i] == nullptr || pages[i] == DontCare();
      picture += none ? '-' : LetterOfPage(pages_.Contents(pages[i]));
      if (none || locked) continue;
      CHECK(pages[i]->IsBusy());
      object->Unbusy(&pages_, pages[i]);
    }
    object->mu.Unlock();
    return got.ok() ? picture : PagerErrorName(got.error());
  }
  // "ok" or the error's name. `end` 0: to the end.
  std::string Put(Object* object, uint64_t first, uint64_t end,
                  uint32_t flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    object->mu.Lock();
    Result<void, PagerError> put =
        object->pager()->Put(object, PageIndex(first), PageIndex(end), flags);
    return put.ok() ? "ok" : PagerErrorName(put.error());
  }
  // Makes the page resident and fills it, as a client with a writable mapping would: the page is
  // kUnknown and modified.
  void Write(Object* object, uint64_t index, char letter) {
    Get(object, {.first = index, .access = Access::kWrite});
    MutexLock lock(&object->mu);
    Page* page = object->Lookup(PageIndex(index));
    std::memset(pages_.Contents(page), letter, base::kPageSize);
    object->SetDirty(page, Dirty::kDirty);
  }
  // A client of one pmap maps the page at address `index` pages with these rights.
  void MapPage(Object* object, uint64_t index, Prot prot, Wired wired = Wired::kNo) {
    if (client_ == nullptr) client_ = pmap_.Create().value();
    Page* page = PageAt(object, index);
    CHECK(pmap_
              .Enter(client_, Vaddr(index * base::kPageSize), page->pa, prot,
                     {.access = base::kProtRead, .wired = wired})
              .ok());
  }
  // The client stores through its mapping. False: it may not.
  bool Store(uint64_t index, char letter) {
    unsigned char* byte =
        pmap_.Translate(client_, Vaddr(index * base::kPageSize), base::Access::kWrite);
    if (byte != nullptr) std::memset(byte, letter, base::kPageSize);
    return byte != nullptr;
  }
  void UnmapAll() {
    if (client_ != nullptr) pmap_.RemoveAll(client_);
  }
  Page* PageAt(const Object* object, uint64_t index) {
    return const_cast<Page*>(object->DebugLookup(PageIndex(index)));
  }

  std::string States(const Object* object, uint64_t pages) {
    std::string picture;
    for (uint64_t i = 0; i < pages; ++i) {
      const Page* page = object->DebugLookup(PageIndex(i));
      if (page == nullptr) {
        picture += '.';
        continue;
      }
      char state = page->dirty == Dirty::kClean ? 'c' : page->dirty == Dirty::kDirty ? 'd' : 'u';
      if (page->read_only) state = 'r';
      picture += page->IsBusy() ? static_cast<char>(state - 'a' + 'A') : state;
    }
    return picture;
  }
  std::string Contents(const Object* object, uint64_t pages) {
    std::string picture;
    for (uint64_t i = 0; i < pages; ++i) {
      const Page* page = object->DebugLookup(PageIndex(i));
      picture += page == nullptr ? '.' : LetterOfPage(pages_.Contents(page));
    }
    return picture;
  }

  NaivePmap pmap_;
  FakeThreads threads_;
  HostPages memory_;
  Core core_;
  PageStore pages_{&core_};
  ObjectStore objects_{&core_, &pages_};
  StoredPager stored_{&core_, &pages_};
  AnonymousPager anonymous_{&core_, &pages_, &objects_};

 private:
  Pmap* client_ = nullptr;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_OBJECT_WORLD_H_
