// proptests/mutants/switches.h: what stands in a source at each site of mechanical mutants.
//
// WHAT     a < b        ->  a < ::mutant_switch::Op(S[7]) < b
//          a += b       ->  a += ::mutant_switch::Op(S[8]) += b
//          !a           ->  ::mutant_switch::Not(S[9]) ->* a        (++ and -- the same way)
//          3            ->  ::mutant_switch::Number(S[10], 3)
//          Put(page);   ->  { if (::mutant_switch::Removed(S[11])) {} else { Put(page); } }
//          S is the file's array of switches. All flags 0: the program as it is. In constants of
//          the language always so. A flag of kNote: the program as it is, and Note is told which
//          variants there are and which would have given another value.
// LOCKS    None: the system runs on one host thread.
// SEE      proptests/engine/mechanical.h (who puts it there).

#ifndef PROPTESTS_MUTANTS_SWITCHES_H_
#define PROPTESTS_MUTANTS_SWITCHES_H_

#include <type_traits>

namespace mutant_switch {

// One a site. Each file has an array of its own, so that a change of one file changes no other.
struct Switch {
  unsigned site;       // its number among all
  unsigned char flag;  // 0, the number of the variant that is on (from 1), or kNote
};
constexpr unsigned char kNote = 255;

// What is known of a site's two variants: kThere << v, kDiffers << v.
constexpr unsigned kThere = 1;
constexpr unsigned kDiffers = 4;
void Note(Switch* at, unsigned variants);

constexpr bool Off(const Switch& at) {
  return __builtin_is_constant_evaluated() || __builtin_expect(at.flag == 0, 1);
}

template <typename T>
concept Scalar = std::is_scalar_v<T>;

// Original and variants as functions, so that the compiler says which ones make sense.
#define MUTANT_FUNCTION(name, mark)                                                 \
  struct name {                                                                     \
    template <typename A, typename B>                                               \
    constexpr auto operator()(const A& a, const B& b) const -> decltype(a mark b) { \
      return a mark b;                                                              \
    }                                                                               \
  };
MUTANT_FUNCTION(Less, <)
MUTANT_FUNCTION(LessEqual, <=)
MUTANT_FUNCTION(Greater, >)
MUTANT_FUNCTION(GreaterEqual, >=)
MUTANT_FUNCTION(Equal, ==)
MUTANT_FUNCTION(NotEqual, !=)
MUTANT_FUNCTION(Plus, +)
MUTANT_FUNCTION(Minus, -)
MUTANT_FUNCTION(Times, *)
MUTANT_FUNCTION(Divided, /)
MUTANT_FUNCTION(Rest, %)
MUTANT_FUNCTION(Left, <<)
MUTANT_FUNCTION(Right, >>)
MUTANT_FUNCTION(And, &)
MUTANT_FUNCTION(Or, |)
#undef MUTANT_FUNCTION
struct None {};

template <typename V, typename R, typename A, typename B>
constexpr bool kMakesSense = [] {
  if constexpr (std::is_invocable_v<V, const A&, const B&>) {
    return std::is_convertible_v<std::invoke_result_t<V, const A&, const B&>, R> ||
           std::is_enum_v<R>;
  }
  return false;
}();

// What is known of variant V, number `index` from 0, where `original` is the value.
template <typename V, typename R, typename A, typename B>
unsigned Known(const A& a, const B& b, const R& original, int index) {
  if constexpr (kMakesSense<V, R, A, B>) {
    const bool differs = static_cast<R>(V()(a, b)) != original;
    return (kThere << index) | (differs ? kDiffers << index : 0);
  }
  return 0;
}

// The value of the variant that is on.
template <typename F, typename V1, typename V2, typename R, typename A, typename B>
[[gnu::noinline, gnu::cold]] R Pick(const A& a, const B& b, Switch* at) {
  const unsigned char flag = at->flag;
  if constexpr (kMakesSense<V1, R, A, B>) {
    if (flag == 1) return static_cast<R>(V1()(a, b));
  }
  if constexpr (kMakesSense<V2, R, A, B>) {
    if (flag == 2) return static_cast<R>(V2()(a, b));
  }
  const R original = static_cast<R>(F()(a, b));
  if (flag == kNote) Note(at, Known<V1>(a, b, original, 0) | Known<V2>(a, b, original, 1));
  return original;
}

// The opposite of a comparison of values that are objects.
template <typename T>
constexpr bool kIsOpposite = std::is_same_v<T, Equal> || std::is_same_v<T, NotEqual>;

inline bool Opposite(bool original, Switch* at) {
  if (at->flag == 1) return !original;
  if (at->flag == kNote) Note(at, kThere | kDiffers);
  return original;
}

struct Op {
  Switch* at;
  constexpr explicit Op(Switch& which) : at(&which) {}
};
// The left operand; T is a reference.
template <typename T>
struct Half {
  T value;
  Switch* at;
};

#define MUTANT_BINARY(mark, F, V1, V2)                                                            \
  template <Scalar T>                                                                             \
  constexpr Half<const T&> operator mark(const T& value, Op op) {                                 \
    return {value, op.at};                                                                        \
  }                                                                                               \
  template <typename T>                                                                           \
  requires(!Scalar<std::remove_cvref_t<T>>) constexpr Half<T&&> operator mark(T&& value, Op op) { \
    return {static_cast<T&&>(value), op.at};                                                      \
  }                                                                                               \
  template <typename T, Scalar U>                                                                 \
  constexpr auto operator mark(Half<T> half, const U& right)                                      \
      ->decltype(static_cast<T>(half.value) mark right) {                                         \
    using A = std::remove_cvref_t<T>;                                                             \
    if (Off(*half.at)) return static_cast<T>(half.value) mark right;                              \
    if constexpr (Scalar<A>) {                                                                    \
      return Pick<F, V1, V2, decltype(half.value mark right)>(half.value, right, half.at);        \
    } else if constexpr (kIsOpposite<F>) {                                                        \
      return Opposite(static_cast<T>(half.value) mark right, half.at);                            \
    } else {                                                                                      \
      return static_cast<T>(half.value) mark right;                                               \
    }                                                                                             \
  }                                                                                               \
  template <typename T, typename U>                                                               \
  requires(!Scalar<std::remove_cvref_t<U>>) constexpr auto operator mark(Half<T> half, U&& right) \
      ->decltype(static_cast<T>(half.value) mark static_cast<U&&>(right)) {                       \
    if constexpr (kIsOpposite<F>) {                                                               \
      if (!Off(*half.at)) {                                                                       \
        return Opposite(static_cast<T>(half.value) mark static_cast<U&&>(right), half.at);        \
      }                                                                                           \
    }                                                                                             \
    return static_cast<T>(half.value) mark static_cast<U&&>(right);                               \
  }

MUTANT_BINARY(<, Less, LessEqual, GreaterEqual)
MUTANT_BINARY(<=, LessEqual, Less, Greater)
MUTANT_BINARY(>, Greater, GreaterEqual, LessEqual)
MUTANT_BINARY(>=, GreaterEqual, Greater, Less)
MUTANT_BINARY(==, Equal, NotEqual, None)
MUTANT_BINARY(!=, NotEqual, Equal, None)
MUTANT_BINARY(+, Plus, Minus, None)
MUTANT_BINARY(-, Minus, Plus, None)
MUTANT_BINARY(*, Times, Plus, None)
MUTANT_BINARY(/, Divided, Times, None)
MUTANT_BINARY(%, Rest, Times, None)
MUTANT_BINARY(<<, Left, Right, None)
MUTANT_BINARY(>>, Right, Left, None)
MUTANT_BINARY(&, And, Or, None)
MUTANT_BINARY(|, Or, And, None)
#undef MUTANT_BINARY

// The right operand of += and the like; T is a reference.
template <typename T>
struct Added {
  T value;
  Switch* at;
};

#define MUTANT_COMPOUND(mark, F, V)                                                                \
  template <Scalar U>                                                                              \
  constexpr Added<const U&> operator mark(Op op, const U& value) {                                 \
    return {value, op.at};                                                                         \
  }                                                                                                \
  template <typename U>                                                                            \
  requires(!Scalar<std::remove_cvref_t<U>>) constexpr Added<U&&> operator mark(Op op, U&& value) { \
    return {static_cast<U&&>(value), op.at};                                                       \
  }                                                                                                \
  template <typename T, typename U>                                                                \
  constexpr T& operator mark(T& left, Added<U> added) {                                            \
    using B = std::remove_cvref_t<U>;                                                              \
    if constexpr (Scalar<T> && Scalar<B>) {                                                        \
      if (!Off(*added.at)) {                                                                       \
        return left = Pick<F, V, None, T>(left, added.value, added.at);                            \
      }                                                                                            \
    }                                                                                              \
    left mark static_cast<U>(added.value);                                                         \
    return left;                                                                                   \
  }
MUTANT_COMPOUND(+=, Plus, Minus)
MUTANT_COMPOUND(-=, Minus, Plus)
MUTANT_COMPOUND(|=, Or, And)
MUTANT_COMPOUND(&=, And, Or)
#undef MUTANT_COMPOUND

[[gnu::noinline, gnu::cold]] inline bool Noted(Switch* at, unsigned char variant) {
  if (at->flag == kNote) Note(at, kThere | kDiffers);
  return at->flag == variant;
}

struct Not {
  Switch* at;
  constexpr explicit Not(Switch& which) : at(&which) {}
};
template <typename T>
constexpr bool operator->*(Not off, const T& value) {
  if (Off(*off.at) || !Noted(off.at, 1)) return !value;
  return static_cast<bool>(value);
}

struct Inc {
  Switch* at;
  constexpr explicit Inc(Switch& which) : at(&which) {}
};
template <typename T>
constexpr T& operator->*(Inc off, T& value) {
  if constexpr (requires { --value; }) {
    if (!Off(*off.at) && Noted(off.at, 1)) {
      --value;
      return value;
    }
  }
  ++value;
  return value;
}

struct Dec {
  Switch* at;
  constexpr explicit Dec(Switch& which) : at(&which) {}
};
template <typename T>
constexpr T& operator->*(Dec off, T& value) {
  if (!Off(*off.at) && Noted(off.at, 1)) {
    ++value;
    return value;
  }
  --value;
  return value;
}

template <typename T>
[[gnu::noinline, gnu::cold]] T OtherNumber(Switch* at, T value) {
  const unsigned char flag = at->flag;
  if (flag == 1) return static_cast<T>(value + 1);
  if (flag == 2 && value != 0) return static_cast<T>(value - 1);
  if (flag == kNote) Note(at, (kThere | kDiffers) * (value != 0 ? 3 : 1));
  return value;
}
template <typename T>
constexpr T Number(Switch& at, T value) {
  return Off(at) ? value : OtherNumber(&at, value);
}

constexpr bool Bool(Switch& at, bool value) { return Off(at) || !Noted(&at, 1) ? value : !value; }

constexpr bool Removed(Switch& at) { return !Off(at) && Noted(&at, 1); }

}  // namespace mutant_switch

#endif  // PROPTESTS_MUTANTS_SWITCHES_H_
