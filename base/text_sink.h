// base/text_sink.h: text into a fixed buffer, for code that has neither streams nor strings (design
// D2).
//
// WHAT     A TextSink writes into memory its owner supplies, always NUL-terminated, and remembers
//          whether text was cut off. Dumps, invariant reports and panic texts go through it.

#ifndef BASE_TEXT_SINK_H_
#define BASE_TEXT_SINK_H_

#include <cstddef>
#include <cstdint>

#include "base/addr.h"
#include "base/prot.h"

namespace base {

struct Hex {
  uint64_t value;
};

class TextSink {
 public:
  // Writes into buffer[0..capacity), which outlives the sink. REQUIRES: capacity >= 1.
  TextSink(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {
    buffer_[0] = '\0';
  }
  TextSink(const TextSink&) = delete;
  TextSink& operator=(const TextSink&) = delete;

  TextSink& operator<<(const char* text) {
    while (*text != '\0') Put(*text++);
    return *this;
  }
  TextSink& operator<<(uint64_t number) {
    char digits[20];
    size_t n = 0;
    do {
      digits[n++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (n > 0) Put(digits[--n]);
    return *this;
  }
  TextSink& operator<<(uint32_t number) { return *this << uint64_t{number}; }
  TextSink& operator<<(int number) {
    if (number < 0) Put('-');
    return *this << (number < 0 ? uint64_t{0} - static_cast<uint64_t>(number)
                                : static_cast<uint64_t>(number));
  }
  TextSink& operator<<(Hex hex) {
    *this << "0x";
    int shift = 60;
    while (shift > 0 && (hex.value >> shift) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) Put("0123456789abcdef"[hex.value >> shift & 15]);
    return *this;
  }
  TextSink& operator<<(Vaddr address) { return *this << Hex{address.value()}; }
  TextSink& operator<<(Paddr address) { return *this << Hex{address.value()}; }
  TextSink& operator<<(PageIndex index) { return *this << index.value(); }
  TextSink& operator<<(PageCount count) { return *this << count.value(); }
  TextSink& operator<<(Prot prot) { return *this << ProtName(prot); }
  TextSink& operator<<(const Range& range) {
    return *this << "[" << range.start << "," << range.end << ")";
  }

  void Put(char c) {
    if (size_ + 1 < capacity_) {
      buffer_[size_++] = c;
      buffer_[size_] = '\0';
    } else {
      truncated_ = true;
    }
  }
  void Indent(int columns) {
    for (int i = 0; i < columns; ++i) Put(' ');
  }
  void Clear() {
    size_ = 0;
    truncated_ = false;
    buffer_[0] = '\0';
  }

  const char* text() const { return buffer_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool truncated() const { return truncated_; }

 private:
  char* buffer_;
  size_t capacity_;
  size_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace base

#endif  // BASE_TEXT_SINK_H_
