// uvm/testing/page_out.h: paging out by hand, one page at a time.
//
// WHAT     A SwappingWorld is a world with a swap device whose transfers a test can look into, and
//          in which nothing is paged out but what PageOut names. Presence draws where the contents
//          of each page lie:
//            a  in memory           o  the same, of an object
//            s  on swap             q
//            b  in both             p
//            x  lost                y
//            .  nowhere: nothing mapped, or nothing there yet
// SEE      world.h; the letters are mostly those of the recordings' page pictures.

#ifndef UVM_TESTING_PAGE_OUT_H_
#define UVM_TESTING_PAGE_OUT_H_

#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "uvm/swap_device.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/world.h"

namespace uvm::testing {

// Passes transfers on, but for what a test asked for.
class ScriptedSwap final : public SwapDevice {
 public:
  explicit ScriptedSwap(SwapMemory* below) : below_(below) {}

  // Called once, at the next read, when nothing is locked and its page is busy.
  void AtNextRead(std::function<void()> what) { at_read_ = std::move(what); }
  // So many reads (writes) from now on fail.
  void FailReads(uint64_t count) { failing_reads_ = count; }
  void FailWrites(uint64_t count) { failing_writes_ = count; }

  base::PageCount size() const override { return below_->size(); }
  void Start(SwapTransfer* transfer) override;
  const unsigned char* DebugBytes(uint64_t block) const override {
    return below_->DebugBytes(block);
  }

 private:
  SwapMemory* const below_;
  std::function<void()> at_read_;
  uint64_t failing_reads_ = 0;
  uint64_t failing_writes_ = 0;
};

// What a SwappingWorld needs before it is a world.
struct SwapDevices {
  SwapDevices(ThreadSystem* given, uint64_t pages)
      : threads(given != nullptr ? given : &one_thread),
        swap_memory(threads, &swap_host, PageCount(pages), {}),
        scripted(&swap_memory) {}
  FakeThreads one_thread;
  ThreadSystem* threads;
  HostPages swap_host;
  SwapMemory swap_memory;
  ScriptedSwap scripted;
};

class SwappingWorld : private SwapDevices, public World {
 public:
  static constexpr uint64_t kSwapPages = 64;

  // Without `threads` it is a world of one thread.
  explicit SwappingWorld(uint64_t frames = 64, ThreadSystem* given = nullptr)
      : SwapDevices(given, kSwapPages), World(frames, SwapDevices::threads) {
    EXPECT_TRUE(uvm().swap().On(&scripted, 0).ok());
  }

  // Takes the frame of a page away as the page daemon would: "ok", or why not: "absent", "busy",
  // "wired", "lent", "no_slot", "error" (of the device: the page stays).
  std::string PageOut(const Space& space, uint64_t page);
  // Of each page that is not '.' in `picture`, all of which can go.
  void PageOut(const Space& space, const std::string& picture);
  std::string PageOutObject(Object* object, uint64_t index);

  template <typename... S>
  std::string Presence(const S&... spaces) {
    std::string picture;
    ((picture += (picture.empty() ? "" : "|") + PresenceOf(spaces)), ...);
    return picture;
  }
  // Slots in use: "3", or "3 only 2 bad 1" where not all of them are of pages in memory.
  std::string Swap() const;
  ScriptedSwap& device() { return scripted; }

 private:
  std::string PageOutFrame(Page* page);
  std::string PresenceOf(const Space& space);
};

// The fixture: besides what PictureTest looks for, no slot is left in use.
class SwappingTest : public ::testing::Test, public SwappingWorld {
 protected:
  void TearDown() override {
    EXPECT_EQ(TearDownAndFindLeaks(), "");
    EXPECT_EQ(Swap().substr(0, Swap().find(" bad")), lost_ == 0 ? "0" : std::to_string(lost_));
  }
  // Slots that the test lost on purpose.
  uint64_t lost_ = 0;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_PAGE_OUT_H_
