#include "base/list.h"

#include <string>

#include "gtest/gtest.h"

namespace base {
namespace {

struct Item {
  char name = '?';
  ListLink queue_link;
  ListLink all_link;
};
using Queue = List<Item, &Item::queue_link>;
using All = List<Item, &Item::all_link>;

class ListTest : public ::testing::Test {
 protected:
  ListTest() {
    for (int i = 0; i < 4; ++i) items_[i].name = static_cast<char>('a' + i);
  }
  template <typename L>
  static std::string Text(const L& list) {
    std::string forward, backward;
    for (Item* item = list.front(); item != nullptr; item = list.Next(item)) forward += item->name;
    for (Item* item = list.back(); item != nullptr; item = list.Prev(item))
      backward.insert(0, 1, item->name);
    EXPECT_EQ(forward, backward);
    EXPECT_EQ(forward.size(), list.size());
    EXPECT_EQ(forward.empty(), list.empty());
    return forward;
  }
  Item items_[4];
  Queue queue_;
};

TEST_F(ListTest, StartsEmpty) {
  EXPECT_EQ(Text(queue_), "");
  EXPECT_EQ(queue_.front(), nullptr);
  EXPECT_EQ(queue_.back(), nullptr);
  EXPECT_EQ(queue_.PopFront(), nullptr);
}

TEST_F(ListTest, PushesAtBothEndsAndInBetween) {
  queue_.PushBack(&items_[1]);
  queue_.PushBack(&items_[3]);
  queue_.PushFront(&items_[0]);
  queue_.InsertAfter(&items_[1], &items_[2]);
  EXPECT_EQ(Text(queue_), "abcd");
}

TEST_F(ListTest, RemovesAnywhere) {
  for (Item& item : items_) queue_.PushBack(&item);
  queue_.Remove(&items_[1]);
  EXPECT_EQ(Text(queue_), "acd");
  EXPECT_FALSE(items_[1].queue_link.linked());
  queue_.Remove(&items_[0]);
  queue_.Remove(&items_[3]);
  EXPECT_EQ(Text(queue_), "c");
  EXPECT_EQ(queue_.PopFront(), &items_[2]);
  EXPECT_EQ(Text(queue_), "");
  queue_.PushBack(&items_[1]);
  EXPECT_EQ(Text(queue_), "b");
}

TEST_F(ListTest, AnItemCanBeOnOneListPerLink) {
  All all;
  for (Item& item : items_) all.PushFront(&item);
  queue_.PushBack(&items_[2]);
  EXPECT_EQ(Text(all), "dcba");
  EXPECT_EQ(Text(queue_), "c");
  all.Remove(&items_[2]);
  EXPECT_EQ(Text(all), "dba");
  EXPECT_EQ(Text(queue_), "c");
}

}  // namespace
}  // namespace base
