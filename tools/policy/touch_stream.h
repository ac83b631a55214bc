// tools/policy/touch_stream.h: which page was used when: what a replacement policy sees of a
//                              program, and nothing else.
//
// WHAT     Pages are contents, numbered from 0 in the order of their first use: a page of a file is
//          one page however many tasks map it, and what two tasks share since a fork is one until
//          one of them writes. Events are four bytes each, so that tens of millions fit.
// STATES   of a page: not born -> alive (first use) -> gone (nobody can use it ever again). Pages
//          of files never go.
// INVARIANTS  A page that is gone has no further events.

#ifndef TOOLS_POLICY_TOUCH_STREAM_H_
#define TOOLS_POLICY_TOUCH_STREAM_H_

#include <cstdint>
#include <vector>

#include "uvm/pdpolicy.h"

namespace tools::policy {

using uvm::PageSort;

enum class TouchKind : uint8_t { kRead, kWrite, kGone };

struct Touch {
  uint32_t page;
  TouchKind kind;
};

class TouchStream {
 public:
  // Pages, and events, that a stream can hold.
  static constexpr uint32_t kMostPages = 1u << 30;
  static constexpr uint64_t kMostEvents = 0xfffffff0;

  // The number of a page that was never used; its first event follows.
  uint32_t NewPage(PageSort sort) {
    sorts_.push_back(sort);
    ++live_;
    peak_ = live_ > peak_ ? live_ : peak_;
    return static_cast<uint32_t>(sorts_.size() - 1);
  }
  void Add(uint32_t page, TouchKind kind) {
    words_.push_back(page << 2 | static_cast<uint32_t>(kind));
    if (kind == TouchKind::kGone) --live_;
    touches_ += kind == TouchKind::kGone ? 0 : 1;
    writes_ += kind == TouchKind::kWrite ? 1 : 0;
  }

  size_t size() const { return words_.size(); }
  Touch operator[](size_t i) const {
    return {words_[i] >> 2, static_cast<TouchKind>(words_[i] & 3)};
  }
  uint32_t pages() const { return static_cast<uint32_t>(sorts_.size()); }
  PageSort sort(uint32_t page) const { return sorts_[page]; }
  uint64_t touches() const { return touches_; }
  uint64_t writes() const { return writes_; }
  // Most pages that were alive at once: with as many frames nothing is ever replaced.
  uint32_t peak() const { return peak_; }
  bool Full() const { return size() >= kMostEvents || pages() >= kMostPages - 1; }

 private:
  std::vector<uint32_t> words_;
  std::vector<PageSort> sorts_;
  uint64_t touches_ = 0;
  uint64_t writes_ = 0;
  uint32_t live_ = 0;
  uint32_t peak_ = 0;
};

}  // namespace tools::policy

#endif  // TOOLS_POLICY_TOUCH_STREAM_H_
