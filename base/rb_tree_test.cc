#include "base/rb_tree.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace base {
namespace {

// A node that keeps the sum and the size of its subtree, the augmentation under test.
struct Node : RbNode<Node> {
  uint64_t key = 0;
  uint64_t value = 0;
  uint64_t sum = 0;
  uint64_t size = 0;
};

struct ByKey {
  static bool Less(const Node& a, const Node& b) { return a.key < b.key; }
  static void Update(Node* node) {
    node->sum = node->value;
    node->size = 1;
    for (const Node* child : node->rb_child) {
      if (child == nullptr) continue;
      node->sum += child->sum;
      node->size += child->size;
    }
  }
};
using Tree = RbTree<Node, ByKey>;

// Recomputes every summary; false when one is wrong.
bool SummariesHold(const Node* node) {
  if (node == nullptr) return true;
  Node again = *node;
  ByKey::Update(&again);
  return again.sum == node->sum && again.size == node->size && SummariesHold(node->rb_child[0]) &&
         SummariesHold(node->rb_child[1]);
}

uint64_t Depth(const Node* node) {
  return node == nullptr ? 0 : 1 + std::max(Depth(node->rb_child[0]), Depth(node->rb_child[1]));
}

std::vector<uint64_t> Keys(const Tree& tree) {
  std::vector<uint64_t> forward, backward;
  for (Node* node = tree.First(); node != nullptr; node = Tree::Next(node))
    forward.push_back(node->key);
  for (Node* node = tree.Last(); node != nullptr; node = Tree::Prev(node))
    backward.push_back(node->key);
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  return forward;
}

void ExpectSound(const Tree& tree, const std::multiset<uint64_t>& expected) {
  ASSERT_TRUE(tree.Check());
  ASSERT_TRUE(SummariesHold(tree.root()));
  ASSERT_EQ(Keys(tree), std::vector<uint64_t>(expected.begin(), expected.end()));
  if (!expected.empty()) {
    ASSERT_EQ(tree.root()->size, expected.size());
  }
}

TEST(RbTreeTest, Empty) {
  Tree tree;
  EXPECT_TRUE(tree.empty());
  EXPECT_EQ(tree.First(), nullptr);
  EXPECT_EQ(tree.Last(), nullptr);
  EXPECT_TRUE(tree.Check());
}

TEST(RbTreeTest, RandomInsertAndEraseAgreeWithAMultiset) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Prng prng(seed, "rb_tree");
    std::vector<Node> nodes(60);
    std::vector<char> inside(nodes.size(), 0);
    Tree tree;
    std::multiset<uint64_t> expected;
    for (int step = 0; step < 600; ++step) {
      uint64_t i = prng.Below(nodes.size());
      if (inside[i] != 0) {
        tree.Erase(&nodes[i]);
        expected.erase(expected.find(nodes[i].key));
        EXPECT_EQ(nodes[i].rb_parent, nullptr);
      } else {
        nodes[i].key = prng.Below(1000) * 64 + i;  // no ties
        nodes[i].value = prng.Below(50);
        tree.Insert(&nodes[i]);
        expected.insert(nodes[i].key);
      }
      inside[i] ^= 1;
      ASSERT_NO_FATAL_FAILURE(ExpectSound(tree, expected));
    }
  }
}

TEST(RbTreeTest, SortedInsertionStaysBalanced) {
  std::vector<Node> nodes(1023);
  Tree tree;
  for (uint64_t i = 0; i < nodes.size(); ++i) {
    nodes[i].key = i;
    tree.Insert(&nodes[i]);
  }
  EXPECT_TRUE(tree.Check());
  EXPECT_LE(Depth(tree.root()), 20u);  // 2 log2(n + 1)
  for (uint64_t i = 0; i < nodes.size(); i += 2) tree.Erase(&nodes[i]);
  EXPECT_TRUE(tree.Check());
  EXPECT_EQ(tree.root()->size, 511u);
}

TEST(RbTreeTest, PropagateCarriesAChangeToTheRoot) {
  std::vector<Node> nodes(31);
  Tree tree;
  for (uint64_t i = 0; i < nodes.size(); ++i) {
    nodes[i].key = i;
    tree.Insert(&nodes[i]);
  }
  EXPECT_EQ(tree.root()->sum, 0u);
  nodes[13].value = 5;
  Tree::Propagate(&nodes[13]);
  EXPECT_EQ(tree.root()->sum, 5u);
  EXPECT_TRUE(SummariesHold(tree.root()));
}

// The same order with the largest value of the subtree as summary; says whether it changed.
struct ByKeyMax {
  static bool Less(const Node& a, const Node& b) { return a.key < b.key; }
  static bool Update(Node* node) {
    uint64_t max = node->value;
    for (const Node* child : node->rb_child) {
      if (child != nullptr) max = std::max(max, child->sum);
    }
    bool changed = max != node->sum;
    node->sum = max;
    return changed;
  }
};

bool MaximaHold(const Node* node) {
  if (node == nullptr) return true;
  Node again = *node;
  return !ByKeyMax::Update(&again) && MaximaHold(node->rb_child[0]) &&
         MaximaHold(node->rb_child[1]);
}

TEST(RbTreeTest, SummariesThatStopEarlyAreExact) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Prng prng(seed, "rb_tree.max");
    std::vector<Node> nodes(60);
    std::vector<char> inside(nodes.size(), 0);
    RbTree<Node, ByKeyMax> tree;
    for (int step = 0; step < 1000; ++step) {
      uint64_t i = prng.Below(nodes.size());
      Node* node = &nodes[i];
      if (inside[i] == 0) {
        node->key = i;
        node->value = prng.Below(8);
        Node* prev = nullptr;
        for (Node* at = tree.First(); at != nullptr && at->key < i; at = tree.Next(at)) prev = at;
        tree.InsertAfter(prev, node);
      } else if (prng.Below(2) == 0) {
        node->value = prng.Below(8);
        tree.Propagate(node);
        inside[i] ^= 1;
      } else {
        tree.Erase(node);
      }
      inside[i] ^= 1;
      ASSERT_TRUE(tree.Check());
      ASSERT_TRUE(MaximaHold(tree.root())) << "seed " << seed << " step " << step;
      for (Node* at = tree.First(); at != nullptr && tree.Next(at) != nullptr; at = tree.Next(at))
        ASSERT_LT(at->key, tree.Next(at)->key);
    }
  }
}

TEST(RbTreeTest, CheckSeesBrokenColoursAndLinks) {
  std::vector<Node> nodes(7);
  Tree tree;
  for (uint64_t i = 0; i < nodes.size(); ++i) {
    nodes[i].key = i;
    tree.Insert(&nodes[i]);
  }
  ASSERT_TRUE(tree.Check());
  tree.root()->rb_red = true;
  EXPECT_FALSE(tree.Check());
  tree.root()->rb_red = false;
  Node* leaf = tree.First();
  leaf->rb_red = !leaf->rb_red;
  EXPECT_FALSE(tree.Check());
  leaf->rb_red = !leaf->rb_red;
  Node* parent = leaf->rb_parent;
  leaf->rb_parent = tree.Last();
  EXPECT_FALSE(tree.Check());
  leaf->rb_parent = parent;
  EXPECT_TRUE(tree.Check());
}

}  // namespace
}  // namespace base
