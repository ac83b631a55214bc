// fake_l4/testing/string_exchange.h: two tasks that exchange one message with strings, for tests.
//
// WHAT     Each task has a pager of its own, which backs address A of its task with its own memory
//          and notes each fault as a letter.
#ifndef FAKE_L4_TESTING_STRING_EXCHANGE_H_
#define FAKE_L4_TESTING_STRING_EXCHANGE_H_

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {

inline constexpr uint64_t kRam = 0x1000000;
inline constexpr L4_Word_t kC = 1;             // C: another item follows
inline constexpr L4_Word_t kCompound = 0x200;  // c: the next group goes on with this string

// The first word of a group of `pointers` substrings of `length` bytes each.
constexpr L4_Word_t Group(L4_Word_t length, L4_Word_t pointers = 1, L4_Word_t bits = 0) {
  return length << 10 | (pointers - 1) << 4 | bits;
}

// What one end of a message saw.
struct Seen {
  L4_Word_t tag = 0, error = 0;
  std::string Text() const {
    if ((tag & L4_TAG_ERROR) == 0) return "ok";
    return "e" + std::to_string(error >> 1 & 7) + ((error & 1) != 0 ? "r+" : "s+") +
           std::to_string(error >> 4);
  }
};

class StringTest : public ::testing::Test {
 protected:
  // Backs address A of its task with slot + A. Each fault becomes a letter: the task's name for a
  // read, in upper case for a write.
  L4_ThreadId_t Pager(char name, uint64_t slot) {
    return world_.Spawn([this, name, slot] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(slot, 20));
      L4_ThreadId_t from;
      L4_MsgTag_t tag = L4_Wait(&from);
      for (;; tag = L4_Wait(&from)) {
        // An answer that nobody waits for any more fails; the receive phase did not happen then.
        if (L4_IpcFailed(tag)) continue;
        L4_Word_t address = 0;
        L4_StoreMR(1, &address);
        EXPECT_TRUE(L4_IsPageFault(tag));
        L4_StoreMR(2, &fault_ip_);
        faults_ += L4_PageFaultAccess(tag) == kW ? static_cast<char>(name - 32) : name;
        if (on_fault_) on_fault_(name);
        const L4_Word_t page = address & ~L4_Word_t{4095};
        const L4_MapItem_t item = L4_MapItem(Page(slot + page, kRwx), page);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        L4_Reply(from);
      }
    });
  }

  void SetUp() override {
    sender_pager_ = Pager('s', kRam);
    receiver_pager_ = Pager('r', kRam + 0x100000);
  }

  // Runs the two tasks: `send` fills message registers, `receive` buffer registers; then one
  // message.
  void Exchange(std::function<void()> send, std::function<void()> receive) {
    receiver_ = world_.SpawnInNewSpace(
        [this, receive] {
          receive();
          L4_ThreadId_t from;
          received_.tag = L4_Wait(&from).raw;
          received_.error = L4_ErrorCode();
          from_ = from;
          L4_StoreMRs(0, L4_NUM_MRS, got_);
        },
        receiver_pager_);
    sender_ = world_.SpawnInNewSpace(
        [this, send] {
          send();
          sent_.tag = L4_Send(receiver_).raw;
          sent_.error = L4_ErrorCode();
        },
        sender_pager_);
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }

  void Store(uint64_t va, const std::string& text) {
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(va), text.data(), text.size()),
              AccessStatus::kOk);
  }
  // Bytes of a task from outside; '?' where it has no page.
  std::string Bytes(L4_ThreadId_t task, uint64_t va, size_t n) const {
    std::string text(n, '?');
    for (size_t i = 0; i < n; i++) {
      char c;
      if (world_.kernel().DebugRead(world_.SpaceOf(task), base::Vaddr(va + i), &c, 1)) {
        text[i] = c == 0 ? '.' : c;
      }
    }
    return text;
  }
  static void Message(L4_Word_t untyped, std::vector<L4_Word_t> words) {
    L4_LoadMRs(1, static_cast<int>(words.size()), words.data());
    L4_Set_MsgTag(L4_MakeMsgTag(0, untyped, words.size() - untyped));
  }
  static void Buffers(std::vector<L4_Word_t> words, L4_Word_t window = 0) {
    L4_Accept(L4_AcceptorOfRaw(window | 1));
    L4_LoadBRs(1, static_cast<int>(words.size()), words.data());
  }

  World world_;
  std::string faults_;
  L4_Word_t fault_ip_ = 0;  // of the last one
  std::function<void(char)> on_fault_;
  L4_ThreadId_t sender_pager_, receiver_pager_, sender_, receiver_, from_ = {0};
  Seen sent_, received_;
  L4_Word_t got_[L4_NUM_MRS] = {};
};

}  // namespace fake_l4

#endif  // FAKE_L4_TESTING_STRING_EXCHANGE_H_
