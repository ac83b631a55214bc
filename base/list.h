// base/list.h: an intrusive doubly linked list. An element is on at most one list per link member.
//
// WHAT     ListLink is a member of the element; List<T, &T::link> threads through it. Nothing is
//          allocated.
// INVARIANTS  A link that is on no list has next == nullptr. The list is a ring through its own
//             head.

#ifndef BASE_LIST_H_
#define BASE_LIST_H_

#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace base {

struct ListLink {
  ListLink* next = nullptr;
  ListLink* prev = nullptr;
  bool linked() const { return next != nullptr; }
};

template <typename T, ListLink T::*kLink>
class List {
 public:
  List() { head_.next = head_.prev = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return head_.next == &head_; }
  size_t size() const { return size_; }
  T* front() const { return empty() ? nullptr : Owner(head_.next); }
  T* back() const { return empty() ? nullptr : Owner(head_.prev); }
  // The neighbours of an element of this list; null at the ends.
  T* Next(const T* element) const { return FromLink((element->*kLink).next); }
  T* Prev(const T* element) const { return FromLink((element->*kLink).prev); }

  void PushBack(T* element) { Insert(&head_, element); }
  void PushFront(T* element) { Insert(head_.next, element); }
  // Puts `element` right after `position`, which is on this list.
  void InsertAfter(T* position, T* element) { Insert((position->*kLink).next, element); }
  void Remove(T* element) {
    ListLink& link = element->*kLink;
    DCHECK(link.linked());
    link.prev->next = link.next;
    link.next->prev = link.prev;
    link.next = link.prev = nullptr;
    --size_;
  }
  T* PopFront() {
    T* element = front();
    if (element != nullptr) Remove(element);
    return element;
  }

 private:
  static T* Owner(ListLink* link) {
    // The offset of a member given by a member pointer; both compilers fold this to a constant.
    alignas(T) static constexpr unsigned char kProbe[sizeof(T)] = {};
    const T* probe = reinterpret_cast<const T*>(kProbe);
    ptrdiff_t offset = reinterpret_cast<const unsigned char*>(&(probe->*kLink)) - kProbe;
    return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(link) - offset);
  }
  T* FromLink(ListLink* link) const {
    return link == &head_ || link == nullptr ? nullptr : Owner(link);
  }
  void Insert(ListLink* before, T* element) {
    ListLink& link = element->*kLink;
    DCHECK(!link.linked());
    link.next = before;
    link.prev = before->prev;
    before->prev->next = &link;
    before->prev = &link;
    ++size_;
  }

  ListLink head_;
  size_t size_ = 0;
};

}  // namespace base

#endif  // BASE_LIST_H_
