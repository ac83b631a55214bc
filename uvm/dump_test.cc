#include "uvm/dump.h"

#include <string>

#include "base/prot.h"
#include "base/text_sink.h"
#include "gtest/gtest.h"
#include "uvm/testing/world.h"

namespace uvm::testing {
namespace {

class DumpTest : public PictureTest {
 protected:
  std::string Text() {
    char buffer[8000];
    base::TextSink sink(buffer, sizeof buffer);
    Dump(&uvm(), &sink);
    EXPECT_FALSE(sink.truncated());
    return sink.text();
  }
};

TEST_F(DumpTest, AnEmptyMachine) { EXPECT_EQ(Text(), "pages total=64 free=64 anons=0\n"); }

TEST_F(DumpTest, AForkWithEverythingInIt) {
  Object* file = File(7);
  Space parent = NewSpace("AB......");
  parent.Map({.at = 3, .pages = 2, .prot = base::kProtRead, .file = file, .file_page = 1});
  parent.Map({.at = 6, .pages = 2, .inherit = Inherit::kShare, .sharing = Sharing::kShared});
  parent.Advise(6, 1, Advice::kRandom);
  EXPECT_EQ(parent.Read("...x...."), "...2....");
  Space child = parent.Fork();
  child.Write("x.....y.");
  EXPECT_EQ(
      Text(),
      "space#1 [0x10000,0x18000) entries=4 bytes=0x6000 resident=3\n"
      "  entry#1 [0x10000,0x12000) rw- max=rwx inherit=copy copy-on-write needs-copy amap#1+0\n"
      "  entry#2 [0x13000,0x15000) r-- max=rwx inherit=copy copy-on-write needs-copy "
      "object#1+0x1000\n"
      "  entry#3 [0x16000,0x17000) rw- max=rwx inherit=share advice=random shared amap#2+0\n"
      "  entry#4 [0x17000,0x18000) rw- max=rwx inherit=share shared amap#2+1\n"
      "  0x10000 -> page#256 r--\n"
      "  0x11000 -> page#257 r--\n"
      "  0x13000 -> page#258 r--\n"
      "space#2 [0x10000,0x18000) entries=4 bytes=0x6000 resident=3\n"
      "  entry#1 [0x10000,0x12000) rw- max=rwx inherit=copy copy-on-write amap#3+0\n"
      "  entry#2 [0x13000,0x15000) r-- max=rwx inherit=copy copy-on-write needs-copy "
      "object#1+0x1000\n"
      "  entry#3 [0x16000,0x17000) rw- max=rwx inherit=share advice=random shared amap#2+0\n"
      "  entry#4 [0x17000,0x18000) rw- max=rwx inherit=share shared amap#2+1\n"
      "  0x10000 -> page#259 rw-\n"
      "  0x11000 -> page#257 r--\n"
      "  0x16000 -> page#260 rw-\n"
      "amap#1 refs=1 slots=2 used=2 lock-refs=2\n"
      "  [0] anon refs=1 page#256 dirty\n"
      "  [1] anon refs=2 page#257 dirty\n"
      "amap#2 refs=4 shared slots=2 used=1 lock-refs=1\n"
      "  [0] anon refs=1 page#260 dirty\n"
      "amap#3 refs=1 slots=2 used=2 lock-refs=2\n"
      "  [0] anon refs=1 page#259 dirty\n"
      "  [1] anon refs=2 page#257 dirty\n"
      "object#1 key=0x7 refs=3 pages=1\n"
      "  [1] page#258 clean\n"
      "pages total=64 free=59 anons=4\n");
}

TEST_F(DumpTest, PagesSayWhyTheyAreBusyAndHowDirtyTheyAre) {
  Page page;
  char buffer[100];
  base::TextSink sink(buffer, sizeof buffer);
  auto text = [&] {
    sink.Clear();
    DumpPage(page, &sink);
    return std::string(sink.text());
  };
  page.pa = Paddr(0x5000);
  EXPECT_EQ(text(), "page#5 free");
  page.free = false;
  page.busy = BusyReason::kPagein;
  EXPECT_EQ(text(), "page#5 clean busy=pagein");
  page.busy = BusyReason::kPromote;
  page.dirty = Dirty::kUnknown;
  EXPECT_EQ(text(), "page#5 maybe-dirty busy=promote");
  page.busy = BusyReason::kNotBusy;
  page.dirty = Dirty::kDirty;
  page.wire_count = 2;
  EXPECT_EQ(text(), "page#5 dirty wired=2");
}

TEST_F(DumpTest, HeldLocksShow) {
  Space space = NewSpace("A");
  StopChecking();
  {
    WriterLock lock(&space->map().lock());
    EXPECT_NE(Text().find("resident=1 locked"), std::string::npos) << Text();
  }
  EXPECT_EQ(Text().find("locked"), std::string::npos);
}

TEST_F(DumpTest, ADumpChangesNothing) {
  Space parent = NewSpace("AB");
  Space child = parent.Fork();
  std::string first = Text();
  EXPECT_EQ(Text(), first);
  EXPECT_EQ(Rights(parent, child), "rr|--");
}

}  // namespace
}  // namespace uvm::testing
