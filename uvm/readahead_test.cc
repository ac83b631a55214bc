#include "uvm/readahead.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/testing/object_world.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;

class ReadAheadTest : public ::testing::Test, public testing::ObjectWorld {
 protected:
  ReadAheadTest() : ObjectWorld(1024) {}
  void Request(uint64_t page, Advice advice = Advice::kNormal) {
    ahead_.Request(object_, advice, page * kPage, kPage);
  }
  // The runs of resident pages: "0-15 32".
  std::string Resident() {
    std::string runs;
    for (uint64_t i = 0; i < kPages; ++i) {
      if (PageAt(object_, i) == nullptr) continue;
      const uint64_t first = i;
      while (i + 1 < kPages && PageAt(object_, i + 1) != nullptr) ++i;
      runs += (runs.empty() ? "" : " ") + std::to_string(first);
      if (i > first) runs += "-" + std::to_string(i);
    }
    return runs;
  }

  static constexpr uint64_t kPages = 900;
  testing::MemoryStore store_{std::string(kPages, 'a')};
  Object* object_ = Stored(&store_);
  ReadAhead ahead_;
};

TEST_F(ReadAheadTest, AReaderWhoGoesOnIsReadAheadForInGrowingWindows) {
  Request(0);
  EXPECT_EQ(Resident(), "");
  EXPECT_EQ(ahead_.window_bytes(), ReadAhead::kInitialWindow);
  Request(1);
  EXPECT_EQ(Resident(), "");  // less than it is worth asking for
  EXPECT_EQ(ahead_.window_bytes(), 2 * ReadAhead::kInitialWindow);
  Request(2);
  EXPECT_EQ(Resident(), "2-34");
  EXPECT_EQ(ahead_.window_bytes(), 4 * ReadAhead::kInitialWindow);
  Request(3);
  EXPECT_EQ(Resident(), "2-67");
  for (uint64_t page = 4; page < 20; ++page) Request(page);
  EXPECT_EQ(ahead_.window_bytes(), ReadAhead::kMaxWindow);
}

TEST_F(ReadAheadTest, SequentialAdviceStartsAtOnce) {
  Request(3, Advice::kSequential);
  EXPECT_EQ(Resident(), "3-259");
}

TEST_F(ReadAheadTest, WhoJumpsOrReadsAtRandomGetsNothing) {
  Request(0);
  Request(1);
  Request(500);
  Request(200);
  Request(90);
  EXPECT_EQ(Resident(), "");
  Request(91);
  Request(92, Advice::kRandom);
  EXPECT_EQ(ahead_.window_bytes(), 0u);
  Request(93);
  Request(94);
  EXPECT_EQ(Resident(), "");
}

TEST_F(ReadAheadTest, ItEndsWithTheObjectOrTheFirstError) {
  EXPECT_EQ(ReadAhead::Start(object_, 890 * kPage, 100 * kPage), kPages * kPage);
  EXPECT_EQ(Resident(), "890-899");
  EXPECT_EQ(ReadAhead::Start(object_, 2 * kPages * kPage, kPage), 2 * kPages * kPage);
  store_.Fail(20);
  EXPECT_EQ(ReadAhead::Start(object_, 10 * kPage, 100 * kPage), 16 * kPage);
  EXPECT_EQ(Resident(), "10-15 890-899");
  // A range that wraps reaches to the end.
  EXPECT_EQ(ReadAhead::Start(object_, 895 * kPage, ~uint64_t{0}), kPages * kPage);
}

TEST_F(ReadAheadTest, AnonymousMemoryHasNothingToRead) {
  Object* object = Anonymous(64 * kPage);
  ReadAhead::Start(object, 0, 64 * kPage);
  EXPECT_EQ(object->DebugPageCount(), 0u);
}

}  // namespace
}  // namespace uvm
