// Each rule about the pmap's table is broken by hand, and speaks.

#include <gtest/gtest.h>

#include <string>

#include "base/addr.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "pmap_sim/l4_pmap.h"
#include "pmap_sim/table.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Paddr;
using base::Vaddr;
using testing::Client;
using testing::kKernelArea;
using testing::kVa;
using uvm::Wired;

// Client a has `shared` from its alias, as has b; and `own`, which nobody else has, from home.
class InvariantsTest : public testing::ClientsTest {
 protected:
  static constexpr uint64_t kShared = kVa, kOwn = kVa + 0x5000, kUnused = kVa + 0x8000;

  InvariantsTest() {
    a_ = NewClient();
    b_ = NewClient();
    shared_ = NewFrame();
    own_ = NewFrame();
    Enter(a_, kShared, shared_, base::kProtReadWrite, Wired::kYes);
    Enter(b_, kShared, shared_, base::kProtRead);
    Enter(a_, kOwn, own_, base::kProtReadWrite);
    Enter(a_, kUnused, NewFrame(), base::kProtRead);
    EXPECT_TRUE(Read(a_, kShared) && Read(b_, kShared) && Write(a_, kOwn));
    Server([this] {
      pmap_.GrowKernel(kKernelArea.start + 1);
      pmap_.KenterPa(kKernelArea.start, NewFrame(), base::kProtReadWrite, uvm::CacheMode::kDefault);
    });
    EXPECT_EQ(Rule(), "");
  }
  // The rule that speaks, without what it says.
  std::string Rule() {
    char text[256];
    base::TextSink out(text, sizeof text);
    if (pmap_.CheckInvariants(out)) return "";
    const std::string all = text;
    return all.substr(0, all.find(':'));
  }
  static Translation& At(uvm::Pmap* pmap, uint64_t va) {
    Translation* found = nullptr;
    L4Pmap::ForEachMapping(pmap, [&](Vaddr at, const Translation& mapping) {
      if (at.value() == va) found = const_cast<Translation*>(&mapping);
    });
    EXPECT_NE(found, nullptr);
    return *found;
  }
  // What the checker says while *place is `value`.
  template <typename T>
  std::string With(T* place, T value) {
    const T before = *place;
    *place = value;
    std::string rule = Rule();
    *place = before;
    EXPECT_EQ(Rule(), "");
    return rule;
  }

  Client* a_ = nullptr;
  Client* b_ = nullptr;
  Paddr shared_;
  Paddr own_;
};

TEST_F(InvariantsTest, TableListsFramesSeesStrangers) {
  Translation& page = At(a_->pmap, kShared);
  EXPECT_EQ(With(&page.frame, At(a_->pmap, kUnused).frame), "TableListsFrames");
  EXPECT_EQ(With(&page.frame, FrameNumber{1} << 30), "TableListsFrames");
  EXPECT_EQ(With(&page.rest().prev, &page), "TableListsFrames");
  page.managed = false;
  EXPECT_EQ(Rule(), "TableListsFrames");
  page.managed = true;
}

TEST_F(InvariantsTest, TableListsFramesSeesAMappingThatNoFrameKnows) {
  Translation& page = At(a_->pmap, kOwn + 0x3000);
  Translation& other = At(a_->pmap, kOwn);
  // The list of `other`'s frame ends before it.
  EXPECT_EQ(page.frame + 0u, At(a_->pmap, kUnused).frame);
  EXPECT_EQ(With(&other.frame, page.frame), "TableListsFrames");
}

TEST_F(InvariantsTest, SentWithinTableSeesRightsTheTableLacks) {
  EXPECT_EQ(With(&At(b_->pmap, kShared).sent, base::kProtReadWrite), "SentWithinTable");
  EXPECT_EQ(With(&At(a_->pmap, kShared).prot, base::kProtRead), "SentWithinTable");
}

TEST_F(InvariantsTest, AliasShowsFrameSeesAnotherFrameAndAnOldAlias) {
  Translation& page = At(a_->pmap, kShared);
  EXPECT_EQ(With(&page.rest().alias_frame, At(a_->pmap, kOwn).frame), "AliasShowsFrame");
  const auto old = static_cast<uint16_t>(page.rest().alias_age - 1);
  EXPECT_EQ(With(&page.rest().alias_age, old), "AliasShowsFrame");
}

TEST_F(InvariantsTest, DirectIsAloneSeesASecondOwnerAndAForgottenOne) {
  Translation& page = At(a_->pmap, kOwn);
  EXPECT_TRUE(page.direct);
  page.direct = false;
  EXPECT_EQ(Rule(), "DirectIsAlone");
  page.direct = true;
  EXPECT_EQ(With(&page.sent, base::kProtNone), "DirectIsAlone");
  Translation& shared = At(a_->pmap, kShared);
  shared.direct = true;
  EXPECT_EQ(Rule(), "DirectIsAlone");
  shared.direct = false;
}

TEST_F(InvariantsTest, KernelIsMappedSeesWhatIsNot) {
  Translation& page = At(pmap_.Kernel(), kKernelArea.start.value());
  EXPECT_EQ(With(&page.sent, base::kProtRead), "KernelIsMapped");
  EXPECT_EQ(With(&page.sent, base::kProtNone), "KernelIsMapped");
}

TEST_F(InvariantsTest, CountsAgreeSeesEachCount) {
  Translation& page = At(a_->pmap, kShared);
  Leaf* leaf = Leaf::Of(&page);
  EXPECT_EQ(With(&a_->pmap->resident, 2u), "CountsAgree");
  EXPECT_EQ(With(&a_->pmap->wired, 0u), "CountsAgree");
  EXPECT_EQ(With(&leaf->present, leaf->present + 1), "CountsAgree");
  EXPECT_EQ(With(&leaf->aliases, leaf->aliases + 1), "CountsAgree");
  EXPECT_EQ(With(&leaf->window->present, 0u), "CountsAgree");
  EXPECT_EQ(With(&a_->pmap->last_found, b_->pmap->windows.root()), "CountsAgree");
  page.wired = false;
  EXPECT_EQ(Rule(), "CountsAgree");
  page.wired = true;
}

TEST_F(InvariantsTest, AliasUniqueSeesAWindowThatWasNeverMade) {
  Window* window = Leaf::Of(&At(b_->pmap, kShared))->window;
  EXPECT_EQ(With(&window->alias_start, testing::kAliases + 100 * kWindowBytes), "AliasUnique");
}

// Two windows of clients at the same addresses of the server: one page would be two clients'.
TEST_F(InvariantsTest, AliasUniqueSeesTwoWindowsInOnePlace) {
  Window* first = Leaf::Of(&At(a_->pmap, kShared))->window;
  Window* second = Leaf::Of(&At(b_->pmap, kShared))->window;
  EXPECT_EQ(With(&second->alias_start, first->alias_start), "AliasUnique");
}

}  // namespace
}  // namespace pmap_sim
