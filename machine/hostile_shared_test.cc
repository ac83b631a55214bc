// Clients that misuse the calls for memory with a name: names that nobody has, sizes that cannot
// be, words that mean nothing. Each call is refused, and nobody else notices.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/client.h"
#include "vmserver/protocol.h"

namespace machine {
namespace {

namespace client = vmserver::client;
using base::Errno;
using base::ErrnoName;
using client::High;
using client::Low;
using traces::OpKind;

constexpr uint64_t kPage = 0x10000;
constexpr uint64_t kFile = 0x1234'5678'9abc'def1;     // a memory file of task 2
constexpr uint64_t kSegment = 0xfedc'ba98'7654'3211;  // a segment that it is attached to
constexpr uint64_t kNobodys[] = {0, 1, 0x9abc'def1, ~uint64_t{0}};
constexpr L4_Word_t kHuge[] = {~L4_Word_t{0}, ~L4_Word_t{0} - 0xfff, L4_Word_t{1} << 63,
                               (L4_Word_t{1} << 63) - 1};
constexpr uint32_t kAll[] = {
    vmserver::kBsdMemfd,      vmserver::kBsdMemfdTruncate, vmserver::kBsdMemfdSeal,
    vmserver::kBsdMemfdClose, vmserver::kBsdMemfdMmap,     vmserver::kBsdDeviceMmap,
    vmserver::kBsdShmget,     vmserver::kBsdShmat,         vmserver::kBsdShmdt,
    vmserver::kBsdShmRemove,  vmserver::kBsdShmLock,       vmserver::kBsdShmUnlock};
constexpr uint32_t kOfKey[] = {vmserver::kBsdMemfdClose, vmserver::kBsdShmRemove,
                               vmserver::kBsdShmLock, vmserver::kBsdShmUnlock};

struct Attack {
  uint32_t request;
  std::vector<L4_Word_t> words;
  int32_t code = -1;
};

void Send(Attack* attack) {
  L4_LoadMRs(1, static_cast<int>(attack->words.size()), attack->words.data());
  L4_Set_MsgTag(L4_MakeMsgTag(attack->request, attack->words.size(), 0));
  L4_MsgTag_t tag = L4_Call(L4_Pager());
  if (L4_IpcFailed(tag) || L4_Label(tag) != attack->request + vmserver::kReplyOffset) return;
  L4_Word_t code;
  L4_StoreMR(1, &code);
  attack->code = static_cast<int32_t>(code);
}

// Task 1 misbehaves. Task 2 has a page of a memory file with an 'm', a segment with an 's'.
class HostileSharedTest : public testing::Test {
 protected:
  HostileSharedTest() : machine_({}) {
    for (uint32_t task : {1, 2}) Must({.kind = OpKind::kSpace, .child = task});
    Must({.kind = OpKind::kMemfd,
          .task = 2,
          .size = 0x1000,
          .flags = traces::kFlagSealable,
          .file_key = kFile});
    Must({.kind = OpKind::kMmap,
          .task = 2,
          .at = kPage,
          .size = 0x1000,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagShared | traces::kFlagFixed,
          .file_key = kFile,
          .backing = traces::Backing::kMemfd});
    Must({.kind = OpKind::kWrite, .task = 2, .at = kPage, .size = 1, .value = 'm'});
    Must({.kind = OpKind::kShmget, .task = 2, .size = 0x1000, .file_key = kSegment});
    Must({.kind = OpKind::kShmat, .task = 2, .at = 2 * kPage, .file_key = kSegment});
    Must({.kind = OpKind::kWrite, .task = 2, .at = 2 * kPage, .size = 1, .value = 's'});
  }
  ~HostileSharedTest() override {
    EXPECT_EQ(machine_.crash().value_or(""), "");
    EXPECT_EQ(machine_.stuck().value_or(""), "");
    EXPECT_EQ(At(kPage), 'm');
    EXPECT_EQ(At(2 * kPage), 's');
    char text[512];
    base::TextSink out(text, sizeof text);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
  }

  void Must(const traces::ResolvedOp& op) { EXPECT_TRUE(machine_.Apply(op).ok()); }
  char At(uint64_t va) {
    return static_cast<char>(
        machine_.Apply({.kind = OpKind::kRead, .task = 2, .at = va, .size = 1}).value);
  }
  // Task 1 sends these words; what it is answered.
  std::string Code(uint32_t request, std::vector<L4_Word_t> words) {
    Attack attack{request, std::move(words)};
    const bool came_back = machine_.RunProgram(
        1, [](void* a) { Send(static_cast<Attack*>(a)); }, &attack);
    return came_back ? ErrnoName(static_cast<Errno>(attack.code)) : "never";
  }

  Machine machine_;
};

TEST_F(HostileSharedTest, WrongNumbersOfWordsAreRefused) {
  for (uint32_t request : kAll) {
    for (size_t count : {0u, 6u, 7u, 9u, 63u}) {
      EXPECT_EQ(Code(request, std::vector<L4_Word_t>(count)), "EINVAL") << request << " " << count;
    }
  }
}

TEST_F(HostileSharedTest, NumbersBetweenTheCallsAreNoCalls) {
  for (uint32_t request : {1019u, 1032u, 1039u, 1059u}) {
    Attack attack{request, {}};
    ASSERT_TRUE(machine_.RunProgram(
        1, [](void* a) { Send(static_cast<Attack*>(a)); }, &attack));
    EXPECT_EQ(attack.code, vmserver::kMigBadId) << request;
  }
}

TEST_F(HostileSharedTest, NamesThatNobodyHas) {
  for (uint64_t key : kNobodys) {
    const L4_Word_t low = Low(key), high = High(key);
    EXPECT_EQ(Code(vmserver::kBsdMemfdTruncate, {low, high, 0, 0}), "EBADF");
    EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 1}), "EBADF");
    EXPECT_EQ(Code(vmserver::kBsdMemfdClose, {low, high}), "EBADF");
    EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, 0x1000, 3, 1, low, high, 0, 0}), "EBADF");
    EXPECT_EQ(Code(vmserver::kBsdDeviceMmap, {0, 0x1000, 3, 1, low, high, 0, 0}), "ENODEV");
    EXPECT_EQ(Code(vmserver::kBsdShmat, {low, high, 0, 0}), "EINVAL");
    EXPECT_EQ(Code(vmserver::kBsdShmdt, {low}), "EINVAL");
    for (uint32_t request :
         {vmserver::kBsdShmRemove, vmserver::kBsdShmLock, vmserver::kBsdShmUnlock}) {
      EXPECT_EQ(Code(request, {low, high}), "EINVAL");
    }
  }
  // A name is of one kind.
  EXPECT_EQ(Code(vmserver::kBsdMemfdClose, {Low(kSegment), High(kSegment)}), "EBADF");
  EXPECT_EQ(Code(vmserver::kBsdShmRemove, {Low(kFile), High(kFile)}), "EINVAL");
}

TEST_F(HostileSharedTest, KeysHaveTheLowHalfOfEachWord) {
  // The high halves of the words are not looked at: this is the file of task 2.
  const L4_Word_t dirt = L4_Word_t{0xdead} << 32;
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {Low(kFile) | dirt, High(kFile), 0}), "ok");
}

TEST_F(HostileSharedTest, SizesThatCannotBe) {
  const L4_Word_t low = Low(kFile), high = High(kFile);
  for (L4_Word_t size : kHuge) {
    const bool offset = (size >> 63) == 0;
    EXPECT_EQ(Code(vmserver::kBsdMemfd, {7, 0, Low(size), High(size), 0}),
              offset ? "ok" : "EINVAL");
    EXPECT_EQ(Code(vmserver::kBsdMemfdClose, {7, 0}), offset ? "ok" : "EBADF");
    EXPECT_EQ(Code(vmserver::kBsdMemfdTruncate, {low, high, Low(size), High(size)}),
              offset ? "ok" : "EINVAL");
    EXPECT_EQ(Code(vmserver::kBsdMemfdTruncate, {low, high, 0x1000, 0}), "ok");
    EXPECT_EQ(Code(vmserver::kBsdShmget, {7, 0, Low(size), High(size)}), "EINVAL");
    for (L4_Word_t offset_word : kHuge) {
      EXPECT_EQ(Code(vmserver::kBsdMemfdMmap,
                     {0, size, 3, 1, low, high, Low(offset_word), High(offset_word)}),
                "EINVAL");
    }
  }
  EXPECT_EQ(Code(vmserver::kBsdMemfd, {7, 0, 0x1000, 0, 2}), "EINVAL");  // sealable, or what?
}

TEST_F(HostileSharedTest, AFileOfTheLargestSizeTakesNothing) {
  const uint64_t frames = machine_.uvm().counters().frames_in_use;
  const L4_Word_t most = kHuge[3];
  EXPECT_EQ(Code(vmserver::kBsdMemfd, {7, 0, Low(most), High(most), 1}), "ok");
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, most & ~L4_Word_t{0xfff}, 3, 1, 7, 0, 0, 0}),
            "ENOMEM");
  EXPECT_EQ(
      Code(vmserver::kBsdMemfdMmap, {0, 0x1000, 3, 1, 7, 0, Low(most - 0xffe), High(most - 0xffe)}),
      "EINVAL");
  EXPECT_EQ(machine_.uvm().counters().frames_in_use, frames);
}

TEST_F(HostileSharedTest, FlagsThatContradictThemselves) {
  const L4_Word_t low = Low(kFile), high = High(kFile);
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, 0x1000, 3, 3, low, high, 0, 0}), "EINVAL");
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, 0x1000, 3, L4_Word_t{70} << 24 | 1, low, high, 0, 0}),
            "EINVAL");
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0x123, 0x1000, 3, 0x11, low, high, 0, 0}), "EINVAL");
  EXPECT_EQ(
      Code(vmserver::kBsdMemfdMmap, {~L4_Word_t{0} - 0xfff, 0x1000, 3, 0x11, low, high, 0, 0}),
      "EOVERFLOW");
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, 0, 3, 1, low, high, 0, 0}), "EINVAL");
  // Anonymous memory that has a name has the name's memory.
  EXPECT_EQ(Code(vmserver::kBsdMemfdMmap, {0, 0x1000, 1, 0x1001, low, high, 0, 0}), "ok");
}

TEST_F(HostileSharedTest, SealsAreCheckedAndStay) {
  const L4_Word_t low = Low(kFile), high = High(kFile);
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, ~L4_Word_t{0}}), "EINVAL");
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 8}), "EBUSY");  // task 2 has it mapped
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 6}), "ok");
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 6}), "ok");  // twice
  EXPECT_EQ(Code(vmserver::kBsdMemfdTruncate, {low, high, 0, 0}), "EPERM");
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 1}), "ok");
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 1}), "EPERM");
  EXPECT_EQ(Code(vmserver::kBsdMemfdSeal, {low, high, 0}), "EPERM");
  EXPECT_EQ(Code(vmserver::kBsdMemfd, {low, high, 0, 0, 1}), "EEXIST");
}

TEST_F(HostileSharedTest, AttachmentsAreOnesOwn) {
  const L4_Word_t low = Low(kSegment), high = High(kSegment);
  EXPECT_EQ(Code(vmserver::kBsdShmdt, {2 * kPage}), "EINVAL");  // task 2's
  for (L4_Word_t at :
       {~L4_Word_t{0} - 0xfff, L4_Word_t{1} << 63, L4_Word_t{traces::kDefaultMapMax}}) {
    EXPECT_EQ(Code(vmserver::kBsdShmat, {low, high, at, 0}), "ENOMEM");
  }
  EXPECT_EQ(Code(vmserver::kBsdShmat, {low, high, 0xfff, 0}), "EINVAL");
  EXPECT_EQ(Code(vmserver::kBsdShmat, {low, high, 0xfff, vmserver::kShmRound}),
            "ENOMEM");                                                        // page 0
  EXPECT_EQ(Code(vmserver::kBsdShmat, {low, high, 0, ~L4_Word_t{0}}), "ok");  // read only
  // Removed under its user's feet, it stays until that leaves.
  EXPECT_EQ(Code(vmserver::kBsdShmRemove, {low, high}), "ok");
  EXPECT_EQ(Code(vmserver::kBsdShmRemove, {low, high}), "EINVAL");
  EXPECT_EQ(machine_.server().DebugShared().DebugSegments(), 1u);
}

TEST_F(HostileSharedTest, NoSegmentWiresMoreThanMayBeWired) {
  const uint64_t frames = machine_.uvm().DebugPages().total().value();
  const L4_Word_t most = base::ToBytes(base::PageCount(frames / 4));
  std::vector<std::string> locked;
  for (L4_Word_t key = 100; key < 104; ++key) {
    EXPECT_EQ(Code(vmserver::kBsdShmget, {key, 0, Low(most), High(most)}), "ok");
    locked.push_back(Code(vmserver::kBsdShmLock, {key, 0}));
  }
  EXPECT_EQ(locked.front(), "ok");
  EXPECT_EQ(locked.back(), "ENOMEM");
  EXPECT_LE(machine_.uvm().DebugPages().wired_count(), machine_.uvm().DebugPages().wired_max());
  for (L4_Word_t key = 100; key < 104; ++key) {
    EXPECT_EQ(Code(vmserver::kBsdShmRemove, {key, 0}), "ok");
  }
  EXPECT_EQ(machine_.uvm().DebugPages().wired_count().value(), 0u);
}

TEST_F(HostileSharedTest, NobodysCallsAreAStrangers) {
  fake_l4::ThreadInfo info;
  ASSERT_TRUE(machine_.kernel().Inspect(machine_.thread_of(2), &info));
  struct Theft {
    L4_ThreadId_t pager;
    uint32_t request;
    int32_t code;
  };
  for (uint32_t request : kOfKey) {
    Theft theft{info.pager, request, 0};
    ASSERT_TRUE(machine_.RunProgram(
        1,
        [](void* a) {
          auto* t = static_cast<Theft*>(a);
          L4_LoadMR(1, Low(kSegment));
          L4_LoadMR(2, High(kSegment));
          L4_Set_MsgTag(L4_MakeMsgTag(t->request, 2, 0));
          L4_Call(t->pager);
          L4_Word_t code;
          L4_StoreMR(1, &code);
          t->code = static_cast<int32_t>(code);
        },
        &theft));
    EXPECT_EQ(theft.code, static_cast<int32_t>(Errno::kEperm));
  }
}

}  // namespace
}  // namespace machine
