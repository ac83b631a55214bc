#include "fake_l4/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "fake_l4/rewind_area.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_L4_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define FAKE_L4_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FAKE_L4_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define FAKE_L4_TSAN 1
#endif

#ifdef FAKE_L4_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FAKE_L4_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace fake_l4 {

// The bookkeeping of switches is ordered by the switches themselves, whatever TSan is told of them.
#define FAKE_L4_UNORDERED __attribute__((no_sanitize("thread")))

namespace context = boost::context::detail;

#if defined(FAKE_L4_ASAN) || defined(FAKE_L4_TSAN)
const size_t kDefaultStackBytes = size_t{512} << 10;
#else
const size_t kDefaultStackBytes = size_t{128} << 10;
#endif

namespace {
constexpr size_t kGuardBytes = 4096;
}  // namespace

#ifdef FAKE_L4_TSAN
const bool kOrderMatters = true;
#else
const bool kOrderMatters = false;
#endif

#if defined(FAKE_L4_ASAN) || defined(FAKE_L4_TSAN)
const bool kPlainSwitches = false;
#else
const bool kPlainSwitches = true;
#endif

void TellRelease([[maybe_unused]] void* key) {
#ifdef FAKE_L4_TSAN
  __tsan_release(key);
#endif
}

void TellAcquire([[maybe_unused]] void* key) {
#ifdef FAKE_L4_TSAN
  __tsan_acquire(key);
#endif
}

StackArena::StackArena(size_t stack_bytes)
    : stack_bytes_(((stack_bytes == 0 ? kDefaultStackBytes : stack_bytes) + 4095) & ~size_t{4095}) {
}

StackArena::~StackArena() {
  if (in_area_) return;
  for (uint8_t* chunk : chunks_) munmap(chunk, kStacksPerChunk * (stack_bytes_ + kGuardBytes));
}

FAKE_L4_UNORDERED void StackArena::TakeChunk() {
  const size_t slot = stack_bytes_ + kGuardBytes;
  RewindArea* const area = RewindArea::Current();
  const size_t stacks = area == nullptr ? kStacksPerChunk : kStacksPerArea;
  void* memory = nullptr;
  if (area != nullptr) {
    memory = area->TakePages(stacks * slot / kGuardBytes);
  } else {
    memory = mmap(nullptr, stacks * slot, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
  }
  in_area_ = area != nullptr;
  chunks_.push_back(static_cast<uint8_t*>(memory));
  for (size_t i = stacks; i > 0; i--) {
    uint8_t* guard = chunks_.back() + (i - 1) * slot;
    if (area != nullptr) {
      area->Guard(guard);
    } else {
      CHECK(mprotect(guard, kGuardBytes, PROT_NONE) == 0);
    }
    free_.push_back(guard + kGuardBytes);
  }
}

FAKE_L4_UNORDERED uint8_t* StackArena::Take() {
  if (free_.empty()) TakeChunk();
  uint8_t* stack = free_.back();
  free_.pop_back();
  return stack;
}

FAKE_L4_UNORDERED void StackArena::Return(uint8_t* stack) {
#ifdef FAKE_L4_ASAN
  // The frames that were abandoned here never cleaned their red zones up.
  __asan_unpoison_memory_region(stack, stack_bytes_);
#endif
  free_.push_back(stack);
}

// Runs once at the bottom of each stack.
struct Fiber::Entry {
  FAKE_L4_UNORDERED static void Run(context::transfer_t transfer) {
    // Switch() passes both ends through the suspended fiber: `from` holds the pair until the
    // arrival.
    Fiber** pair = static_cast<Fiber**>(transfer.data);
    Fiber& from = *pair[0];
    Fiber& self = *pair[1];
    from.context_ = transfer.fctx;
    Arrive(from, self);
    self.main_(self.arg_);
    UNREACHABLE("a fiber's main function returned");
  }
};

Fiber::~Fiber() {
  if (started()) Abandon();
}

FAKE_L4_UNORDERED void Fiber::Start(StackArena* arena, Main main, void* arg) {
  CHECK(!started());
  arena_ = arena;
  stack_ = arena->Take();
  main_ = main;
  arg_ = arg;
  asan_bottom_ = stack_;
  asan_size_ = arena->stack_bytes();
  asan_fake_stack_ = nullptr;
  context_ =
      context::make_fcontext(stack_ + arena->stack_bytes(), arena->stack_bytes(), &Entry::Run);
#ifdef FAKE_L4_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

FAKE_L4_UNORDERED void Fiber::Abandon() {
  CHECK(started());
#ifdef FAKE_L4_TSAN
  __tsan_destroy_fiber(tsan_fiber_);
  tsan_fiber_ = nullptr;
#endif
  arena_->Return(stack_);
  stack_ = nullptr;
  context_ = nullptr;
}

FAKE_L4_UNORDERED void Fiber::AdoptHostStack() {
#ifdef FAKE_L4_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

FAKE_L4_UNORDERED void Fiber::Arrive([[maybe_unused]] Fiber& from, [[maybe_unused]] Fiber& to) {
#ifdef FAKE_L4_ASAN
  __sanitizer_finish_switch_fiber(to.asan_fake_stack_, &from.asan_bottom_, &from.asan_size_);
#endif
}

FAKE_L4_UNORDERED void Fiber::SwitchWatched(Fiber& from, Fiber& to,
                                            [[maybe_unused]] SwitchOrder order) {
  Fiber* pair[2] = {&from, &to};
#ifdef FAKE_L4_ASAN
  __sanitizer_start_switch_fiber(&from.asan_fake_stack_, to.asan_bottom_, to.asan_size_);
#endif
#ifdef FAKE_L4_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_,
                         order == SwitchOrder::kRaces ? __tsan_switch_to_fiber_no_sync : 0);
#endif
  const context::transfer_t back = context::jump_fcontext(to.context_, pair);
  // Somebody switched to `from`: their pair names them.
  Fiber& source = *static_cast<Fiber**>(back.data)[0];
  source.context_ = back.fctx;
  Arrive(source, from);
}

}  // namespace fake_l4
