// base/result.h: a value or one of a closed set of errors.
//
// WHAT     Result<T, E> holds a T or an E (an enum). Result<void, E> is a bare outcome. There is no
//          success enumerator in E, so a switch over errors is complete without a nonsense case.
// INVARIANTS  T and E are trivially destructible: results cross fibers that are abandoned, never
//             unwound (design D4).
// SEE      house.md 4.6.

#ifndef BASE_RESULT_H_
#define BASE_RESULT_H_

#include <type_traits>

#include "base/check.h"

namespace base {

template <typename T, typename E>
class [[nodiscard]] Result {
  static_assert(std::is_trivially_destructible_v<T> && std::is_enum_v<E>);

 public:
  constexpr Result(T value) : value_(value), ok_(true) {}   // NOLINT: implicit by design
  constexpr Result(E error) : error_(error), ok_(false) {}  // NOLINT
  constexpr bool ok() const { return ok_; }
  constexpr explicit operator bool() const { return ok_; }
  constexpr T value() const {
    CHECK(ok_);
    return value_;
  }
  constexpr E error() const {
    CHECK(!ok_);
    return error_;
  }
  friend constexpr bool operator==(const Result& a, const Result& b) {
    return a.ok_ == b.ok_ && (a.ok_ ? a.value_ == b.value_ : a.error_ == b.error_);
  }

 private:
  union {
    T value_;
    E error_;
  };
  bool ok_;
};

template <typename E>
class [[nodiscard]] Result<void, E> {
  static_assert(std::is_enum_v<E>);

 public:
  constexpr Result() : error_{}, ok_(true) {}
  constexpr Result(E error) : error_(error), ok_(false) {}  // NOLINT: implicit by design
  constexpr bool ok() const { return ok_; }
  constexpr explicit operator bool() const { return ok_; }
  constexpr void value() const { CHECK(ok_); }
  constexpr E error() const {
    CHECK(!ok_);
    return error_;
  }
  friend constexpr bool operator==(const Result& a, const Result& b) {
    return a.ok_ == b.ok_ && (a.ok_ || a.error_ == b.error_);
  }

 private:
  E error_;
  bool ok_;
};

}  // namespace base

// Evaluates to the value, or returns the error from the enclosing function.
#define TRY(expression)                                \
  ({                                                   \
    auto try_result_ = (expression);                   \
    if (!try_result_.ok()) return try_result_.error(); \
    try_result_.value();                               \
  })

// The value of a result that cannot be an error here; `why` says why not.
#define MUST(expression, why)                                  \
  ({                                                           \
    auto must_result_ = (expression);                          \
    if (!must_result_.ok()) vm_panic(__FILE__, __LINE__, why); \
    must_result_.value();                                      \
  })

#endif  // BASE_RESULT_H_
