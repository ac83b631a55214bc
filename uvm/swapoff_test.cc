// Taking a swap device out of use.

#include "uvm/swapoff.h"

#include "gtest/gtest.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/page_out.h"

namespace uvm {
namespace {

using testing::PageAt;
using testing::Pages;
using testing::Space;

std::string Outcome(const Result<void, SwapError>& result) {
  if (result.ok()) return "ok";
  switch (result.error()) {
    case SwapError::kBusy:
      return "busy";
    case SwapError::kNotConfigured:
      return "not_configured";
    case SwapError::kNoMemory:
      return "no_memory";
    default:
      return "?";
  }
}

class SwapOffTest : public testing::SwappingTest {
 protected:
  std::string Off() {
    std::string outcome = Outcome(uvm().SwapOff(&device()));
    CheckInvariants();
    return outcome;
  }
};

TEST_F(SwapOffTest, EveryPageComesInAndStays) {
  Space space = NewSpace("abc");
  Object* object = uvm().CreateAobj(100 * base::kPageSize, 0).value();
  Space shared = NewSpace("..");
  shared.Map({.at = 0, .sharing = Sharing::kShared, .file = object});
  shared.Map({.at = 1, .sharing = Sharing::kShared, .file = object, .file_page = 99});
  shared.Write("de");
  Space child = space.Fork();
  PageOut(space, "xx.");
  PageOut(shared, "xx");
  space.Read("x..");
  EXPECT_EQ(Presence(space, shared), "bsa|qq");
  EXPECT_EQ(Off(), "ok");
  EXPECT_EQ(Presence(space, child, shared), "aaa|aaa|oo");
  EXPECT_EQ(uvm().swap().pages().value(), 0u);
  EXPECT_EQ(Contents(space, child, shared), "abc|abc|de");
  uvm().ReleaseObject(object);
}

TEST_F(SwapOffTest, ADeviceThatIsNotOnCannotGoOff) {
  EXPECT_EQ(Off(), "ok");
  EXPECT_EQ(Off(), "not_configured");
}

TEST_F(SwapOffTest, PagesOfOtherDevicesStayThere) {
  testing::HostPages host;
  testing::FakeThreads threads;
  SwapMemory other(&threads, &host, PageCount(16), {});
  Space space = NewSpace("ab");
  PageOut(space, "x.");
  ASSERT_TRUE(uvm().swap().On(&other, -1).ok());  // before the other
  PageOut(space, ".x");
  EXPECT_EQ(Off(), "ok");
  EXPECT_EQ(Presence(space), "as");
  EXPECT_EQ(Swap(), "1 only 1");
  EXPECT_EQ(space.ReadAll(), "ab");
  EXPECT_EQ(Outcome(uvm().SwapOff(&other)), "ok");
  EXPECT_EQ(Presence(space), "aa");
}

// facts/uvm.md 2.13: what does not fit puts the device on again.
TEST_F(SwapOffTest, WhatDoesNotFitInMemoryStaysAndTheDeviceIsOnAgain) {
  const uint64_t frames = uvm().DebugPages().total().value();
  std::string letters(frames / 2, 'a');
  Space first = NewSpace(letters);
  PageOut(first, letters);
  Space second = NewSpace(letters + "aaaa");
  second.Wire(0, frames / 3);
  EXPECT_EQ(Off(), "no_memory");
  EXPECT_GT(uvm().swap().available().value(), 0u);
  EXPECT_EQ(first.ReadAll(), letters);
  EXPECT_EQ(second.ReadAll(), letters + "aaaa");
  second.Exit();
  EXPECT_EQ(Off(), "ok");
  EXPECT_EQ(Contents(first), letters);
}

TEST_F(SwapOffTest, APageThatCannotBeReadIsLostAndTheDeviceGoesOff) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  device().FailReads(1);
  EXPECT_EQ(Off(), "ok");
  EXPECT_EQ(Presence(space), "xa");
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  EXPECT_EQ(space.Read(".x"), ".b");
}

TEST_F(SwapOffTest, BadSlotsDoNotKeepADeviceOn) {
  Space space = NewSpace("ab");
  PageOut(space, "xx");
  device().FailReads(1);
  EXPECT_EQ(space.Touch(0, Access::kRead), "io");
  EXPECT_EQ(Off(), "ok");
}

// ---- What others do meanwhile ----

TEST_F(SwapOffTest, AnAmapThatDiesMeanwhileIsNoMatter) {
  Space one = NewSpace("ab");
  Space two = NewSpace("cd");
  Space three = NewSpace("ef");
  for (const Space& space : {one, two, three}) PageOut(space, "xx");
  StopChecking();
  device().AtNextRead([&] { one.Exit(); });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Contents(two, three), "cd|ef");
}

TEST_F(SwapOffTest, TheNextAmapMayDieToo) {
  Space one = NewSpace("ab");
  Space two = NewSpace("cd");
  Space three = NewSpace("ef");
  for (const Space& space : {one, two, three}) PageOut(space, "xx");
  StopChecking();
  device().AtNextRead([&] {
    one.Exit();
    two.Exit();
  });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Contents(three), "ef");
}

// facts/uvm.md 5.B item 11: the slots in use change places while a page comes in.
TEST_F(SwapOffTest, B11NoAnonIsMissedWhenTheListIsReordered) {
  Space space = NewSpace("abcdef");
  PageOut(space, "xxxxxx");
  StopChecking();
  device().AtNextRead([&] {
    // The last used slot takes the place of the first.
    ASSERT_TRUE(space->map().Unmap(Pages(0, 1)).ok());
    ASSERT_TRUE(space->map().Unmap(Pages(2, 1)).ok());
  });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Presence(space), ".a.aaa");
  EXPECT_EQ(Contents(space), ".b.def");
}

TEST_F(SwapOffTest, AForkMeanwhileSharesWhatComesIn) {
  Space space = NewSpace("abc");
  PageOut(space, "xxx");
  StopChecking();
  uvm::Space* child = nullptr;
  device().AtNextRead([&] { child = uvm().ForkSpace(space.get()).value(); });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Contents(space, Space(this, child, 3)), "abc|abc");
}

TEST_F(SwapOffTest, AnObjectThatIsReleasedMeanwhileDiesAfterwards) {
  Object* object = uvm().CreateAobj(2 * base::kPageSize, 0).value();
  Space space = NewSpace("..");
  space.Map({.at = 0, .pages = 2, .sharing = Sharing::kShared, .file = object});
  space.Write("ab");
  PageOut(space, "xx");
  StopChecking();
  device().AtNextRead([&] {
    uvm().ReleaseObject(object);
    space.Exit();
  });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(Violation(), "");
  EXPECT_EQ(Swap(), "0");
}

TEST_F(SwapOffTest, OnlyOneTakesItOff) {
  Space space = NewSpace("a");
  PageOut(space, "x");
  StopChecking();
  std::string second;
  device().AtNextRead([&] { second = Outcome(uvm().SwapOff(&device())); });
  EXPECT_EQ(Outcome(uvm().SwapOff(&device())), "ok");
  EXPECT_EQ(second, "busy");
}

// An anon that is lent, and in no amap any more, is found by nobody.
TEST_F(SwapOffTest, WhatCannotBeFoundKeepsADeviceOn) {
  Space space = NewSpace("a");
  testing::Loan loan = space.LendAnons(0, 1);
  PageOut(space, "x");
  space.Exit();
  EXPECT_EQ(Off(), "busy");
  EXPECT_EQ(Contents(loan), "a");
  Return(&loan);
  EXPECT_EQ(Off(), "ok");
}

}  // namespace
}  // namespace uvm
