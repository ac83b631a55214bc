#include "fake_l4/rewind_area.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAKE_L4_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAKE_L4_SANITIZED 1
#endif
#endif

namespace fake_l4 {
namespace {

#ifdef FAKE_L4_SANITIZED
constexpr bool kAvailable = false;
#else
constexpr bool kAvailable = true;
#endif

constexpr size_t kPage = 4096;
// Areas lie in slots of a window of the host's addresses, so that an address tells whether, and of
// which, it is.
constexpr uintptr_t kWindow = uintptr_t{0x1000} << 32;
constexpr size_t kSlotBytes = size_t{1} << 32;
constexpr size_t kSlots = 1024;
// Of a slot: small pieces grow from its start, whole pages from here.
constexpr size_t kPagesFrom = size_t{1} << 30;
// Before and after Settle each page once.
constexpr size_t kMostStored = 2 * kSlotBytes / kPage;
constexpr size_t kSignalStackBytes = size_t{64} << 10;

bool IsInWindow(uintptr_t address) { return address - kWindow < kSlots * kSlotBytes; }

void* Reserve(void* at, size_t bytes, int flags) {
  void* memory = mmap(at, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// The area that this host thread is inside of.
thread_local RewindArea* g_inside = nullptr;

}  // namespace

// Pieces of memory by size: multiples of 16 up to 1 KiB, then powers of two.
struct Piece {
  Piece* next;
};

struct RewindArea::Contents {
  static constexpr size_t kFineClasses = 64;
  static constexpr size_t kClasses = kFineClasses + 24;
  RewindArea* owner;
  size_t small_used;
  size_t pages_used;
  Piece* free[kClasses];

  static size_t ClassOf(size_t bytes) {
    if (bytes <= 16 * kFineClasses) return bytes == 0 ? 0 : (bytes - 1) / 16;
    size_t index = kFineClasses;
    for (size_t size = 32 * kFineClasses; size < bytes; size *= 2) index++;
    CHECK(index < kClasses);
    return index;
  }
  static size_t BytesOf(size_t index) {
    return index < kFineClasses ? 16 * (index + 1) : 32 * kFineClasses << (index - kFineClasses);
  }
};

// In front of each small piece.
struct Head {
  uint64_t size_class;
  void* piece;  // where it begins: alignment may have moved what the program got
};
static_assert(sizeof(Head) == 16);

struct RewindArea::Handler {
  static void Run(int signal, siginfo_t* info, void*) {
    auto* address = static_cast<unsigned char*>(info->si_addr);
    const auto number = reinterpret_cast<uintptr_t>(address);
    if (IsInWindow(number)) {
      const uintptr_t slot = number / kSlotBytes * kSlotBytes;
      if (reinterpret_cast<Contents*>(slot)->owner->NoteStore(address)) return;
    }
    // A crash like any other: it happens again, with nobody to catch it.
    struct sigaction fatal = {};
    fatal.sa_handler = SIG_DFL;
    sigaction(signal, &fatal, nullptr);
  }

  static void Install() {
    struct sigaction before = {};
    CHECK(sigaction(SIGSEGV, nullptr, &before) == 0);
    if ((before.sa_flags & SA_SIGINFO) == 0 || before.sa_sigaction != &Run) {
      struct sigaction action = {};
      action.sa_sigaction = &Run;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      CHECK(sigaction(SIGSEGV, &action, nullptr) == 0);
    }
    // The page that is stored to may be that of the running fiber's own stack.
    stack_t stack = {};
    CHECK(sigaltstack(nullptr, &stack) == 0);
    if ((stack.ss_flags & SS_DISABLE) == 0) return;
    stack = {};
    stack.ss_sp = Reserve(nullptr, kSignalStackBytes, 0);
    stack.ss_size = kSignalStackBytes;
    CHECK(stack.ss_sp != nullptr && sigaltstack(&stack, nullptr) == 0);
  }
};

bool RewindArea::IsAvailable() { return kAvailable; }

RewindArea::RewindArea() {
  CHECK(IsAvailable() && g_inside == nullptr);
  for (size_t slot = 0; slot < kSlots && start_ == nullptr; slot++) {
    void* at = reinterpret_cast<void*>(kWindow + slot * kSlotBytes);
    void* got = Reserve(at, kSlotBytes, MAP_FIXED_NOREPLACE);
    if (got != nullptr && got != at) munmap(got, kSlotBytes);  // a host that knows no such flag
    if (got == at) start_ = static_cast<unsigned char*>(got);
  }
  CHECK(start_ != nullptr);
  contents()->owner = this;
  contents()->small_used = (sizeof(Contents) + kPage - 1) & ~(kPage - 1);
  contents()->pages_used = kPagesFrom;
  stored_ = static_cast<uint32_t*>(Reserve(nullptr, kMostStored * sizeof(uint32_t), 0));
  originals_ = static_cast<unsigned char*>(Reserve(nullptr, kMostStored * kPage, 0));
  CHECK(stored_ != nullptr && originals_ != nullptr);
  Handler::Install();
}

RewindArea::~RewindArea() {
  munmap(start_, kSlotBytes);
  munmap(stored_, kMostStored * sizeof(uint32_t));
  munmap(originals_, kMostStored * kPage);
}

RewindArea::Inside::Inside(RewindArea* area) : before_(std::exchange(g_inside, area)) {}
RewindArea::Inside::~Inside() { g_inside = before_; }
RewindArea* RewindArea::Current() { return g_inside; }

void* RewindArea::Allocate(size_t bytes, size_t alignment) {
  Contents& c = *contents();
  if (alignment < 16) alignment = 16;
  const size_t index = Contents::ClassOf(bytes + sizeof(Head) + (alignment - 16));
  Piece* piece = c.free[index];
  if (piece != nullptr) {
    c.free[index] = piece->next;
  } else {
    piece = reinterpret_cast<Piece*>(start_ + c.small_used);
    c.small_used += Contents::BytesOf(index);
    CHECK(c.small_used <= kPagesFrom);
  }
  const uintptr_t after = reinterpret_cast<uintptr_t>(piece) + sizeof(Head);
  auto* memory =
      reinterpret_cast<unsigned char*>((after + alignment - 1) & ~uintptr_t{alignment - 1});
  auto* head = reinterpret_cast<Head*>(memory) - 1;
  head->size_class = index;
  head->piece = piece;
  return memory;
}

bool RewindArea::Free(void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  if (!IsInWindow(address)) return false;
  auto& c = *reinterpret_cast<Contents*>(address / kSlotBytes * kSlotBytes);
  const Head head = static_cast<const Head*>(memory)[-1];
  auto* piece = static_cast<Piece*>(head.piece);
  piece->next = c.free[head.size_class];
  c.free[head.size_class] = piece;
  return true;
}

unsigned char* RewindArea::TakePages(size_t pages) {
  Contents& c = *contents();
  CHECK(pages <= (kSlotBytes - c.pages_used) / kPage);
  unsigned char* const memory = start_ + c.pages_used;
  c.pages_used += pages * kPage;
  return memory;
}

void RewindArea::Guard(unsigned char* page) {
  if (tracking_) return;
  CHECK(mprotect(page, kPage, PROT_NONE) == 0);
  const Inside outside(nullptr);
  guards_.push_back(page);
}

void RewindArea::StartTracking() {
  CHECK(!tracking_ && g_inside == nullptr);
  tracking_ = true;
  // total order: each page is there once
  std::sort(guards_.begin(), guards_.end());
  unsigned char* from = start_;
  for (unsigned char* guard : guards_) {
    if (guard > from) CHECK(mprotect(from, static_cast<size_t>(guard - from), PROT_READ) == 0);
    from = guard + kPage;
  }
  CHECK(mprotect(from, static_cast<size_t>(start_ + kSlotBytes - from), PROT_READ) == 0);
}

bool RewindArea::NoteStore(unsigned char* address) {
  if (!tracking_) return false;
  const size_t number = static_cast<size_t>(address - start_) / kPage;
  unsigned char* const page = start_ + number * kPage;
  if (std::binary_search(guards_.begin(), guards_.end(), page)) return false;
  std::memcpy(originals_ + stored_count_ * kPage, page, kPage);
  if (mprotect(page, kPage, PROT_READ | PROT_WRITE) != 0) return false;
  stored_[stored_count_++] = static_cast<uint32_t>(number);
  return true;
}

RewindArea::Mark RewindArea::Save() const {
  Mark mark;
  Save(&mark);
  return mark;
}

void RewindArea::Save(Mark* mark) const {
  CHECK(tracking_ && g_inside == nullptr);
  rewinds_to_drop_ = 0;
  mark->changed.clear();
  mark->bytes.clear();
  for (size_t i = settled_count_; i < stored_count_; i++) {
    const unsigned char* const page = start_ + stored_[i] * kPage;
    if (std::memcmp(page, originals_ + i * kPage, kPage) == 0) continue;
    mark->changed.push_back(static_cast<uint32_t>(i));
    mark->bytes.insert(mark->bytes.end(), page, page + kPage);
  }
}

void RewindArea::Rewind(const Mark& mark) {
  CHECK(tracking_ && g_inside == nullptr);
  if (rewinds_to_drop_ != 0 && --rewinds_to_drop_ == 0) DropIdleHotPages();
  size_t next = 0;
  for (size_t i = settled_count_; i < stored_count_; i++) {
    const unsigned char* from = originals_ + i * kPage;
    if (next < mark.changed.size() && mark.changed[next] == i) {
      from = mark.bytes.data() + next++ * kPage;
    }
    std::memcpy(start_ + stored_[i] * kPage, from, kPage);
  }
}

// Runs of neighbours at once.
void RewindArea::ProtectStored() {
  std::vector<uint32_t> pages(stored_, stored_ + stored_count_);
  // total order: equal numbers are equal
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  std::erase_if(pages,
                [&](uint32_t page) { return std::binary_search(hot_.begin(), hot_.end(), page); });
  for (size_t i = 0; i < pages.size();) {
    size_t run = 1;
    while (i + run < pages.size() && pages[i + run] == pages[i] + run) run++;
    CHECK(mprotect(start_ + pages[i] * kPage, run * kPage, PROT_READ) == 0);
    i += run;
  }
}

// As at the first store to each, which nobody would notice.
void RewindArea::KeepHotPages() {
  for (const uint32_t page : hot_) {
    std::memcpy(originals_ + stored_count_ * kPage, start_ + page * kPage, kPage);
    stored_[stored_count_++] = page;
  }
}

void RewindArea::Settle() {
  CHECK(tracking_ && g_inside == nullptr && settled_count_ == 0);
  ProtectStored();
  settled_count_ = stored_count_;
  KeepHotPages();
  rewinds_to_drop_ = 2;
}

// After the first run, of those that runs of another kind stored to. REQUIRES: there are no marks,
// which name pages by their places.
void RewindArea::DropIdleHotPages() {
  const std::vector<uint32_t> before = std::exchange(hot_, {});
  const size_t first = settled_count_;
  size_t kept = first;
  for (size_t i = first; i < stored_count_; i++) {
    const bool was_hot = i < first + before.size();
    const uint32_t page = stored_[i];
    const unsigned char* const original = originals_ + i * kPage;
    const bool idle = was_hot && std::memcmp(start_ + page * kPage, original, kPage) == 0;
    if (idle) {
      CHECK(mprotect(start_ + page * kPage, kPage, PROT_READ) == 0);
      continue;
    }
    if (was_hot) hot_.push_back(page);
    if (kept != i) std::memcpy(originals_ + kept * kPage, original, kPage);
    stored_[kept++] = page;
  }
  stored_count_ = kept;
}

void RewindArea::FindHotPages() {
  hot_.clear();
  if (settled_count_ == 0) return;
  for (size_t i = settled_count_; i < stored_count_; i++) {
    const unsigned char* const page = start_ + stored_[i] * kPage;
    if (std::memcmp(page, originals_ + i * kPage, kPage) != 0) hot_.push_back(stored_[i]);
  }
  // total order: after Settle each page is there once
  std::sort(hot_.begin(), hot_.end());
}

void RewindArea::StartAnew() {
  CHECK(tracking_ && g_inside == nullptr);
  rewinds_to_drop_ = 0;
  FindHotPages();
  // Of what was kept of one page twice the older comes last.
  for (size_t i = stored_count_; i-- > 0;) {
    std::memcpy(start_ + stored_[i] * kPage, originals_ + i * kPage, kPage);
  }
  ProtectStored();
  stored_count_ = 0;
  settled_count_ = 0;
  KeepHotPages();
}

}  // namespace fake_l4

// ---- The host program's allocator: the C library's, but for who is inside of an area ----

#ifndef FAKE_L4_SANITIZED

namespace {

void* New(size_t bytes, size_t alignment) noexcept {
  if (__builtin_expect(fake_l4::g_inside != nullptr, 0)) {
    return fake_l4::g_inside->Allocate(bytes, alignment);
  }
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void Delete(void* memory) noexcept {
  if (!fake_l4::RewindArea::Free(memory)) std::free(memory);
}

void* NewOrEnd(size_t bytes, size_t alignment) {
  void* memory = New(bytes, alignment);
  CHECK(memory != nullptr);
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return NewOrEnd(bytes, 0); }
void* operator new[](size_t bytes) { return NewOrEnd(bytes, 0); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return New(bytes, 0); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return New(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t a) {
  return NewOrEnd(bytes, static_cast<size_t>(a));
}
void* operator new[](size_t bytes, std::align_val_t a) {
  return NewOrEnd(bytes, static_cast<size_t>(a));
}
void operator delete(void* memory) noexcept { Delete(memory); }
void operator delete[](void* memory) noexcept { Delete(memory); }
void operator delete(void* memory, size_t) noexcept { Delete(memory); }
void operator delete[](void* memory, size_t) noexcept { Delete(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { Delete(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { Delete(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Delete(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { Delete(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Delete(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { Delete(memory); }

#endif  // FAKE_L4_SANITIZED
