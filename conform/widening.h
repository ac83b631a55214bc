// conform/widening.h: how a recorded 32-bit word becomes one of the native word width, and back.
//
// WHAT     The X.2 headers here are built with native words, the recordings hold 32-bit words of an
//          IA-32 kernel. Each field enters by one rule and leaves by its inverse (design D1):
//            fpage        base 10.., s 4..9, rwx 0..2 in both: the word is kept; the complete space
//                         is s = 1 in both; a base of all ones ("any", to sigma0) stays all ones
//            send base    address bits 10.., low bits the item's type: the word is kept
//            tag          u, t, flags 0..15: kept; label 16..: extended by its sign, so that the
//                         kernel's labels, small negative numbers, stay what they are
//            error code   reason, phase and an offset below 4 GiB: the word is kept
//          Leaving fails where the native word has something that 32 bits cannot say: the result is
//          then absent and counts as a disagreement.
// SEE      facts/l4.md sections 1 and 4; <l4/types.h> for the native layouts.
#ifndef CONFORM_WIDENING_H_
#define CONFORM_WIDENING_H_

#include <l4/types.h>

#include <cstdint>
#include <optional>

namespace conform {

inline constexpr uint32_t kFpageBaseMask = ~uint32_t{1023};

constexpr L4_Word_t WidenFpage(uint32_t fpage) {
  const bool any_base = (fpage & kFpageBaseMask) == kFpageBaseMask;
  return any_base ? (~L4_Word_t{1023} | (fpage & 1023)) : L4_Word_t{fpage};
}
constexpr L4_Word_t WidenSendBase(uint32_t base) { return base; }
constexpr L4_Word_t WidenTag(uint32_t tag) {
  return static_cast<L4_Word_t>(static_cast<L4_SignedWord_t>(static_cast<int32_t>(tag)));
}

// The 32-bit word that `widen` turns into `word`, if there is one.
template <typename Widen>
constexpr std::optional<uint32_t> Narrow(L4_Word_t word, Widen widen) {
  const uint32_t low = static_cast<uint32_t>(word);
  return widen(low) == word ? std::optional<uint32_t>(low) : std::nullopt;
}
constexpr std::optional<uint32_t> NarrowFpage(L4_Word_t fpage) { return Narrow(fpage, WidenFpage); }
constexpr std::optional<uint32_t> NarrowSendBase(L4_Word_t base) {
  return Narrow(base, WidenSendBase);
}
constexpr std::optional<uint32_t> NarrowTag(L4_Word_t tag) { return Narrow(tag, WidenTag); }
// An error code is a plain number.
constexpr std::optional<uint32_t> NarrowErrorCode(L4_Word_t code) {
  return Narrow(code, WidenSendBase);
}

}  // namespace conform

#endif  // CONFORM_WIDENING_H_
