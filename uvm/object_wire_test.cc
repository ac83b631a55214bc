#include "uvm/object_wire.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/testing/object_world.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class ObjectWireTest : public ::testing::Test, public testing::ObjectWorld {
 protected:
  std::string Wire(Object* object, uint64_t first, uint64_t end, Page** list = nullptr) {
    Result<void, PagerError> wired = wiring_.Wire(object, PageIndex(first), PageIndex(end), list);
    return wired.ok() ? "ok" : testing::PagerErrorName(wired.error());
  }
  // How often each page is wired; '.' absent.
  std::string Wirings(const Object* object, uint64_t pages) {
    std::string picture;
    for (uint64_t i = 0; i < pages; ++i) {
      const Page* page = object->DebugLookup(PageIndex(i));
      picture += page == nullptr ? '.' : static_cast<char>('0' + page->wire_count);
    }
    return picture;
  }
  ObjectWiring wiring_{&core_, &pages_};
};

TEST_F(ObjectWireTest, WiresWhatIsThereAndBringsInWhatIsNot) {
  Object* object = Anonymous(64 * kPage);
  Write(object, 2, 'a');
  Page* list[40];
  EXPECT_EQ(Wire(object, 1, 41, list), "ok");
  EXPECT_EQ(Wirings(object, 43), "." + std::string(40, '1') + "..");
  EXPECT_EQ(pages_.wired_count(), PageCount(40));
  EXPECT_EQ(core_.counters.kernel_wirings, 40u);
  EXPECT_EQ(list[1], PageAt(object, 2));
  EXPECT_EQ(list[39], PageAt(object, 40));
  EXPECT_EQ(States(object, 4), ".ddd");
  EXPECT_EQ(Wire(object, 40, 42), "ok");
  EXPECT_EQ(Wirings(object, 43).substr(38), "1121.");
  wiring_.Unwire(object, PageIndex(1), PageIndex(41));
  EXPECT_EQ(Wirings(object, 43).substr(38), "0011.");
  wiring_.Unwire(object, PageIndex(40), PageIndex(42));
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  EXPECT_EQ(core_.counters.kernel_wirings, 0u);
}

TEST_F(ObjectWireTest, AnErrorUndoesWhatWasWired) {
  testing::MemoryStore store(std::string(40, 'a'));
  Object* object = Stored(&store);
  store.Fail(20);
  EXPECT_EQ(Wire(object, 0, 30), "io");
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  store.Heal();
  EXPECT_EQ(Wire(object, 30, 41), "past-end");
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
  EXPECT_EQ(core_.counters.kernel_wirings, 0u);
  EXPECT_EQ(Wire(object, 0, 40), "ok");
  wiring_.Unwire(object, PageIndex(0), PageIndex(40));
  Object* large = Anonymous(100 * kPage);
  EXPECT_EQ(Wire(large, 0, 100), "no-memory");
  EXPECT_EQ(pages_.wired_count(), PageCount(0));
}

TEST_F(ObjectWireTest, WithoutAFrameForTheReplacementNothingIsWired) {
  Object* object = Anonymous(64 * kPage);
  for (uint64_t i = 0; i < 64; ++i) Get(object, {.first = i});
  Page* lent = PageAt(object, 1);
  {
    MutexLock lock(&object->mu);
    pages_.Lend(lent, nullptr);
  }
  EXPECT_EQ(Wire(object, 0, 3), "no-memory");
  EXPECT_EQ(Wirings(object, 3), "000");
  EXPECT_EQ(States(object, 3), "ddd");
  pages_.ReturnLoan(lent);
}

}  // namespace
}  // namespace uvm
