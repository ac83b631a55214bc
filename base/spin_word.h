// base/spin_word.h: a word that one thread at a time has, for the few instructions inside a lock.
//
// WHAT     Where all takers run on one processor, taking it needs an instruction that cannot be
//          interrupted, not one that locks the bus: that one would also wait until all earlier
//          stores are out, which after the zeroing of a page takes longer than the rest of a fault.
// LOCKS    It is what locks are made of. Who fails to take it lets others run and tries again.

#ifndef BASE_SPIN_WORD_H_
#define BASE_SPIN_WORD_H_

#include <cstdint>

// Which does not see what an instruction of our own orders.
#if defined(__SANITIZE_THREAD__)
#define BASE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_THREAD_SANITIZER 1
#endif
#endif

namespace base {

// Whether threads that share data may run at the same instant.
enum class Processors : uint8_t { kOne, kSeveral };

class SpinWord {
 public:
  // False: somebody has it. kOne is only right when every taker runs on one processor.
  bool TryTake(Processors processors) {
#if (defined(__x86_64__) || defined(__i386__)) && !defined(BASE_THREAD_SANITIZER)
    if (processors == Processors::kOne) {
      bool taken;
      asm volatile("btsl $0, %0" : "+m"(word_), "=@ccc"(taken) : : "memory");
      return !taken;
    }
#endif
    (void)processors;
    return __atomic_exchange_n(&word_, uint32_t{1}, __ATOMIC_ACQUIRE) == 0;
  }
  // REQUIRES: the caller has it.
  void Release() { __atomic_store_n(&word_, uint32_t{0}, __ATOMIC_RELEASE); }

  // For checkers.
  bool DebugTaken() const { return __atomic_load_n(&word_, __ATOMIC_RELAXED) != 0; }

 private:
  uint32_t word_ = 0;
};

}  // namespace base

#endif  // BASE_SPIN_WORD_H_
