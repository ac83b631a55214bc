// base/rb_tree.h: an intrusive red-black tree with augmentation.
//
// WHAT     RbNode is a base class of the element, so that a node is its element. Traits supply the
//          order and the augmentation:
//            static bool Less(const T& a, const T& b);
//            static void Update(T* node);   recompute node's summary from itself and its children
//          Update runs bottom-up along every path whose subtree changed. It may return bool
//          instead, true when the summary is another than before; then the walk up ends where
//          nothing changes any more.
// INVARIANTS  No red node has a red child; every path from a node to a leaf has as many black nodes
//          (checked by Check()). Less is a strict order without ties among elements.
// SEE      Cormen et al., Introduction to Algorithms, chapter 13; facts/uvm.md 2.1 (gap and
//          maxgap).

#ifndef BASE_RB_TREE_H_
#define BASE_RB_TREE_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"

namespace base {

template <typename T>
struct RbNode {
  T* rb_parent = nullptr;
  T* rb_child[2] = {nullptr, nullptr};
  bool rb_red = false;
};

template <typename T, typename Traits>
class RbTree {
 public:
  RbTree() = default;
  RbTree(const RbTree&) = delete;
  RbTree& operator=(const RbTree&) = delete;

  T* root() const { return root_; }
  bool empty() const { return root_ == nullptr; }
  T* First() const { return Extreme(root_, 0); }
  T* Last() const { return Extreme(root_, 1); }
  static T* Next(T* node) { return Step(node, 1); }
  static T* Prev(T* node) { return Step(node, 0); }

  // Forgets all elements at once; their links are stale.
  void Clear() { root_ = nullptr; }

  void Insert(T* node) {
    T* parent = nullptr;
    int side = 0;
    for (T* at = root_; at != nullptr; at = at->rb_child[side]) {
      parent = at;
      side = Traits::Less(*at, *node) ? 1 : 0;
    }
    Attach(node, parent, side);
  }

  // The same for a caller who knows the neighbours: `node` comes right after `prev`, or first when
  // `prev` is null.
  void InsertAfter(T* prev, T* node) {
    T* next = prev == nullptr ? root_ : prev->rb_child[1];
    if (next == nullptr) {
      Attach(node, prev, 1);
    } else {
      Attach(node, Extreme(next, 0), 0);
    }
  }

  void Erase(T* node) {
    T* in_place = nullptr;  // stands where `node` stood; its summary is of its former place
    if (node->rb_child[0] != nullptr && node->rb_child[1] != nullptr) {
      in_place = Extreme(node->rb_child[1], 0);
      SwapWithSuccessor(node, in_place);
    }
    T* child = node->rb_child[0] != nullptr ? node->rb_child[0] : node->rb_child[1];
    T* parent = node->rb_parent;
    Replace(node, child);
    if (child != nullptr) child->rb_parent = parent;
    if (in_place != nullptr) {
      for (T* at = parent; at != in_place; at = at->rb_parent) Traits::Update(at);
      Traits::Update(in_place);
      Propagate(in_place->rb_parent);
    } else {
      Propagate(parent);
    }
    if (!node->rb_red) FixErase(child, parent);
    node->rb_parent = node->rb_child[0] = node->rb_child[1] = nullptr;
  }

  // To be called after a change of `node` that its summary depends on.
  static void Propagate(T* node) {
    for (; node != nullptr; node = node->rb_parent) {
      if constexpr (std::is_same_v<decltype(Traits::Update(node)), bool>) {
        if (!Traits::Update(node)) return;
      } else {
        Traits::Update(node);
      }
    }
  }

  // True when the colour rules and parent links hold; O(n), for invariants.
  bool Check() const {
    return (root_ == nullptr || !root_->rb_red) && BlackHeight(root_, nullptr) >= 0;
  }

 private:
  static bool Red(const T* node) { return node != nullptr && node->rb_red; }
  static T* Extreme(T* node, int side) {
    while (node != nullptr && node->rb_child[side] != nullptr) node = node->rb_child[side];
    return node;
  }
  static T* Step(T* node, int side) {
    if (node->rb_child[side] != nullptr) return Extreme(node->rb_child[side], 1 - side);
    T* parent = node->rb_parent;
    while (parent != nullptr && parent->rb_child[side] == node) {
      node = parent;
      parent = node->rb_parent;
    }
    return parent;
  }

  void Attach(T* node, T* parent, int side) {
    node->rb_parent = parent;
    node->rb_child[0] = node->rb_child[1] = nullptr;
    node->rb_red = true;
    (parent == nullptr ? root_ : parent->rb_child[side]) = node;
    Traits::Update(node);  // whatever its summary said before, it was of another place
    Propagate(parent);
    FixInsert(node);
  }

  // Puts `with` (may be null) where `node` hangs; the caller sets with's parent.
  void Replace(T* node, T* with) {
    T* parent = node->rb_parent;
    if (parent == nullptr) {
      root_ = with;
    } else {
      parent->rb_child[parent->rb_child[1] == node ? 1 : 0] = with;
    }
  }

  void Rotate(T* node, int side) {  // node moves down to `side`
    T* up = node->rb_child[1 - side];
    Replace(node, up);
    up->rb_parent = node->rb_parent;
    node->rb_child[1 - side] = up->rb_child[side];
    if (up->rb_child[side] != nullptr) up->rb_child[side]->rb_parent = node;
    up->rb_child[side] = node;
    node->rb_parent = up;
    Traits::Update(node);
    Traits::Update(up);
  }

  void FixInsert(T* node) {
    while (Red(node->rb_parent)) {
      T* parent = node->rb_parent;
      T* grand = parent->rb_parent;
      int side = grand->rb_child[1] == parent ? 1 : 0;
      T* uncle = grand->rb_child[1 - side];
      if (Red(uncle)) {
        parent->rb_red = uncle->rb_red = false;
        grand->rb_red = true;
        node = grand;
        continue;
      }
      if (parent->rb_child[1 - side] == node) {
        Rotate(parent, side);
        parent = node;
      }
      parent->rb_red = false;
      grand->rb_red = true;
      Rotate(grand, 1 - side);
      break;
    }
    root_->rb_red = false;
  }

  // `node` has two children and `next` is its in-order successor: exchange their places and
  // colours, so that node has at most one child. Elements keep their addresses.
  void SwapWithSuccessor(T* node, T* next) {
    T* next_child = next->rb_child[1];
    T* next_parent = next->rb_parent;
    bool red = next->rb_red;
    Replace(node, next);
    next->rb_parent = node->rb_parent;
    next->rb_red = node->rb_red;
    next->rb_child[0] = node->rb_child[0];
    next->rb_child[0]->rb_parent = next;
    if (next_parent == node) {
      next->rb_child[1] = node;
      node->rb_parent = next;
    } else {
      next->rb_child[1] = node->rb_child[1];
      next->rb_child[1]->rb_parent = next;
      next_parent->rb_child[0] = node;
      node->rb_parent = next_parent;
    }
    node->rb_red = red;
    node->rb_child[0] = nullptr;
    node->rb_child[1] = next_child;
    if (next_child != nullptr) next_child->rb_parent = node;
  }

  // The path through `node` (may be null) under `parent` lacks one black.
  void FixErase(T* node, T* parent) {
    while (parent != nullptr && !Red(node)) {
      int side = parent->rb_child[1] == node ? 1 : 0;
      T* sibling = parent->rb_child[1 - side];
      if (Red(sibling)) {
        sibling->rb_red = false;
        parent->rb_red = true;
        Rotate(parent, side);
        sibling = parent->rb_child[1 - side];
      }
      if (!Red(sibling->rb_child[0]) && !Red(sibling->rb_child[1])) {
        sibling->rb_red = true;
        node = parent;
        parent = node->rb_parent;
        continue;
      }
      if (!Red(sibling->rb_child[1 - side])) {
        sibling->rb_child[side]->rb_red = false;
        sibling->rb_red = true;
        Rotate(sibling, 1 - side);
        sibling = parent->rb_child[1 - side];
      }
      sibling->rb_red = parent->rb_red;
      parent->rb_red = false;
      sibling->rb_child[1 - side]->rb_red = false;
      Rotate(parent, side);
      node = root_;
      break;
    }
    if (node != nullptr) node->rb_red = false;
  }

  // Black nodes on every path below, or -1 when a rule is broken.
  static int BlackHeight(const T* node, const T* parent) {
    if (node == nullptr) return 1;
    if (node->rb_parent != parent || (node->rb_red && Red(parent))) return -1;
    int left = BlackHeight(node->rb_child[0], node);
    int right = BlackHeight(node->rb_child[1], node);
    if (left < 0 || left != right) return -1;
    return left + (node->rb_red ? 0 : 1);
  }

  T* root_ = nullptr;
};

}  // namespace base

#endif  // BASE_RB_TREE_H_
