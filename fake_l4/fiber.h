// fake_l4/fiber.h: a stack of its own and the switch to it.
//
// WHAT     The one wrapper over Boost.Context's make_fcontext and jump_fcontext. A StackArena owns
//          the stacks of one machine and hands them out again; a Fiber is a suspended or running
//          execution on one of them, or (default constructed) the host's.
// STATES   Fiber: default constructed (stands for the host's own stack) | Start() -> suspended <->
//          running -> Abandon() -> empty.
// INVARIANTS  A fiber is abandoned, never unwound: destructors of what lives on its stack do not
//          run. It resumes only on the host thread that runs its machine. Sanitizers see every
//          switch.
// SEE      design.md D4.
#ifndef FAKE_L4_FIBER_H_
#define FAKE_L4_FIBER_H_

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fake_l4 {

// What a switch means to TSan. kSynchronises: everything before it happens before everything after
// it, so nothing done by turns is a race. kRaces: it orders nothing; only OrderRelease and
// OrderAcquire (and the locks of the code that runs) do, so that a missing lock is a race.
enum class SwitchOrder { kSynchronises, kRaces };

// What happened before the release of a key happens before what follows its acquisition. Without
// TSan they do nothing.
extern const bool kOrderMatters;   // TSan watches
extern const bool kPlainSwitches;  // no sanitizer does
void TellRelease(void* key);
void TellAcquire(void* key);
inline void OrderRelease(void* key) {
  if (kOrderMatters) TellRelease(key);
}
inline void OrderAcquire(void* key) {
  if (kOrderMatters) TellAcquire(key);
}

// Deep server call chains fit; under sanitizers frames are several times larger.
extern const size_t kDefaultStackBytes;

// Stacks of equal size with an inaccessible page below each.
class StackArena {
 public:
  // `stack_bytes` is rounded up to whole pages; 0 means kDefaultStackBytes.
  explicit StackArena(size_t stack_bytes = 0);
  ~StackArena();
  StackArena(const StackArena&) = delete;
  StackArena& operator=(const StackArena&) = delete;

  // The lowest usable byte of a stack. Aborts when the host has no memory left.
  uint8_t* Take();
  void Return(uint8_t* stack);
  size_t stack_bytes() const { return stack_bytes_; }

 private:
  static constexpr size_t kStacksPerChunk = 16;
  // Inside of a RewindArea, which protects guards only at first: as many as a small machine needs.
  static constexpr size_t kStacksPerArea = 96;
  void TakeChunk();

  size_t stack_bytes_;
  bool in_area_ = false;
  std::vector<uint8_t*> chunks_;
  std::vector<uint8_t*> free_;
};

class Fiber {
 public:
  using Main = void (*)(void* arg);

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Prepares a run of main(arg) on a stack of the arena; it begins at the first SwitchTo. `main`
  // must not return.
  void Start(StackArena* arena, Main main, void* arg);
  // Gives the stack back. REQUIRES: started, and not the running fiber.
  void Abandon();
  bool started() const { return stack_ != nullptr; }

  // Suspends the running fiber `from` and runs `to`; returns when somebody switches back to `from`.
  // Inline, because every frame between a switch and the code that goes on is a return that the
  // host's processor predicts wrongly.
  [[gnu::always_inline]] static void Switch(Fiber& from, Fiber& to,
                                            SwitchOrder order = SwitchOrder::kSynchronises) {
    if (!kPlainSwitches) return SwitchWatched(from, to, order);
    Fiber* pair[2] = {&from, &to};
    const auto back = boost::context::detail::jump_fcontext(to.context_, pair);
    // Somebody switched to `from`: their pair names them.
    (*static_cast<Fiber**>(back.data))->context_ = back.fctx;
  }
  // Tells TSan's run time about the host's stack before the first switch away from it on this host
  // thread.
  void AdoptHostStack();

 private:
  // The same where sanitizers have to be told.
  static void SwitchWatched(Fiber& from, Fiber& to, SwitchOrder order);
  static void Arrive(Fiber& from, Fiber& to);
  struct Entry;

  void* context_ = nullptr;
  uint8_t* stack_ = nullptr;
  StackArena* arena_ = nullptr;
  Main main_ = nullptr;
  void* arg_ = nullptr;
  // For the sanitizers: the stack's bounds as they know them, ASan's fake stack, TSan's fiber.
  const void* asan_bottom_ = nullptr;
  size_t asan_size_ = 0;
  void* asan_fake_stack_ = nullptr;
  [[maybe_unused]] void* tsan_fiber_ = nullptr;
};

}  // namespace fake_l4

#endif  // FAKE_L4_FIBER_H_
