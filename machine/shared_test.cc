// What becomes of frames, wirings and records of memory that has a name. Its contents and errors
// are traces (traces/corpus) and random runs.

#include "vmserver/shared.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kAt = 0x10000;
constexpr uint64_t kName = 0x77;

class SharedTest : public testing::Test {
 protected:
  SharedTest() : machine_({}) { Must({.kind = OpKind::kSpace, .child = 1}); }
  ~SharedTest() override {
    char text[512];
    base::TextSink out(text, sizeof text);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    EXPECT_TRUE(machine_.server().AttachmentsAreCounted(&out)) << text;
  }
  Outcome Do(const ResolvedOp& op) { return machine_.Apply(op); }
  void Must(const ResolvedOp& op) { EXPECT_TRUE(Do(op).ok()) << machine_.crash().value_or(""); }
  void Map(uint32_t task, traces::Backing backing, uint64_t key, uint64_t pages) {
    Must({.kind = OpKind::kMmap,
          .task = task,
          .at = kAt,
          .size = pages * base::kPageSize,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagShared | traces::kFlagFixed,
          .file_key = key,
          .backing = backing});
  }
  void Store(uint32_t task, uint64_t page, uint64_t pages = 1) {
    Must({.kind = OpKind::kWrite,
          .task = task,
          .at = kAt + page * base::kPageSize,
          .size = pages * base::kPageSize,
          .value = 'x'});
  }
  uint64_t frames() { return machine_.uvm().counters().frames_in_use; }
  uint64_t wired() { return machine_.uvm().DebugPages().wired_count().value(); }
  uint64_t objects() { return machine_.uvm().DebugObjects().DebugAll().size(); }

  Machine machine_;
};

TEST_F(SharedTest, AMemoryFileHasTheFramesThatWereTouched) {
  Must({.kind = OpKind::kMemfd, .task = 1, .size = 8 * base::kPageSize, .file_key = kName});
  EXPECT_EQ(frames(), 0u);
  Map(1, traces::Backing::kMemfd, kName, 8);
  Store(1, 2, 3);
  EXPECT_EQ(frames(), 3u);
  Must({.kind = OpKind::kMemfdTruncate,
        .task = 1,
        .size = 3 * base::kPageSize + 1,
        .file_key = kName});
  EXPECT_EQ(frames(), 2u);  // the last page is half in
  Must({.kind = OpKind::kMemfdClose, .task = 1, .file_key = kName});
  EXPECT_EQ(frames(), 2u);
  Must({.kind = OpKind::kExec, .task = 1});
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(objects(), 0u);
}

TEST_F(SharedTest, ASegmentGoesWithItsLastAttachment) {
  Must({.kind = OpKind::kShmget, .task = 1, .size = 4 * base::kPageSize, .file_key = kName});
  Must({.kind = OpKind::kShmat, .task = 1, .at = kAt, .file_key = kName});
  Must({.kind = OpKind::kFork, .task = 1, .child = 2});
  Must({.kind = OpKind::kShmLock, .task = 2, .file_key = kName});
  EXPECT_EQ(wired(), 4u);
  EXPECT_EQ(frames(), 4u);
  Must({.kind = OpKind::kShmRemove, .task = 2, .file_key = kName});
  Must({.kind = OpKind::kExit, .task = 1});
  EXPECT_EQ(wired(), 4u);
  EXPECT_EQ(machine_.server().DebugShared().DebugSegments(), 1u);
  Must({.kind = OpKind::kExec, .task = 2});
  EXPECT_EQ(wired(), 0u);
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(objects(), 0u);
  EXPECT_EQ(machine_.server().DebugShared().DebugSegments(), 0u);
}

TEST_F(SharedTest, ARecordThatIsUsedAgainIsAttachedToNothing) {
  Must({.kind = OpKind::kShmget, .task = 1, .size = base::kPageSize, .file_key = kName});
  for (uint32_t child = 2; child < 6; ++child) {
    Must({.kind = OpKind::kSpace, .child = child});
    EXPECT_FALSE(Do({.kind = OpKind::kShmdt, .task = child, .at = kAt}).ok());
    Must({.kind = OpKind::kShmat, .task = child, .at = kAt, .file_key = kName});
    Must({.kind = OpKind::kExit, .task = child});
  }
  Must({.kind = OpKind::kShmRemove, .task = 1, .file_key = kName});
  EXPECT_EQ(machine_.server().DebugShared().DebugSegments(), 0u);
}

TEST_F(SharedTest, AttachmentsAreCountedSeesAForgottenOne) {
  Must({.kind = OpKind::kShmget, .task = 1, .size = base::kPageSize, .file_key = kName});
  Must({.kind = OpKind::kShmat, .task = 1, .at = kAt, .file_key = kName});
  char buffer[256];
  base::TextSink text(buffer, sizeof buffer);
  EXPECT_TRUE(machine_.server().AttachmentsAreCounted(&text));
  auto* task = const_cast<vmserver::Task*>(machine_.server().DebugFindTask(machine_.task_of(1)));
  uvm::ShmAttachment* hidden = task->process.attachments;
  task->process.attachments = nullptr;
  EXPECT_FALSE(machine_.server().AttachmentsAreCounted(&text));
  EXPECT_NE(std::string(buffer).find("attachments=1, records found=0"), std::string::npos)
      << buffer;
  task->process.attachments = hidden;
}

// The client reaches the device's own frames, with the rights it asked for; nothing is copied, and
// no frame of UVM's is used.
TEST_F(SharedTest, ADeviceIsMappedAsItIs) {
  const vmserver::FrameBuffer& device = machine_.server().DebugShared().frame_buffer();
  Map(1, traces::Backing::kDevice, traces::KeyOfName(traces::kFrameBuffer), 4);
  Store(1, 0, 4);
  Must({.kind = OpKind::kFork, .task = 1, .child = 2});
  Store(2, 1);
  for (uint32_t task : {1u, 2u}) {
    const fake_l4::Mapping mapping =
        machine_.kernel().Inspect(machine_.l4_space_of(task), base::Vaddr(kAt + base::kPageSize));
    EXPECT_EQ(mapping.frame, device.DebugFrame(1));
    EXPECT_EQ(mapping.rights & fake_l4::kW, fake_l4::kW);
  }
  EXPECT_EQ(frames(), 0u);
  EXPECT_EQ(machine_.ledger().copy, 0u);
  EXPECT_EQ(objects(), 1u);
  Must({.kind = OpKind::kExit, .task = 1});
  Must({.kind = OpKind::kMunmap, .task = 2, .at = kAt, .size = 4 * base::kPageSize});
  EXPECT_EQ(objects(), 0u);
  EXPECT_FALSE(machine_.kernel()
                   .Inspect(machine_.l4_space_of(2), base::Vaddr(kAt + base::kPageSize))
                   .mapped());
}

// On every kernel and every kind of hardware that clients run on.
TEST(SharedOnEveryKernelTest, ADeviceShowsWhatWasStored) {
  for (const std::string& quirks : QuirkNames()) {
    for (const std::string& profile : ProfileNames()) {
      Machine machine({.profile = *FindProfile(profile), .quirks = *FindQuirks(quirks)});
      ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
      const ResolvedOp map = {.kind = OpKind::kMmap,
                              .task = 1,
                              .at = kAt,
                              .size = 4 * base::kPageSize,
                              .prot = base::kProtReadWrite,
                              .flags = traces::kFlagShared | traces::kFlagFixed,
                              .file_key = traces::KeyOfName(traces::kFrameBuffer),
                              .backing = traces::Backing::kDevice};
      ResolvedOp again = map;
      again.at = 2 * kAt;
      again.prot = base::kProtRead;
      EXPECT_TRUE(machine.Apply(map).ok());
      EXPECT_TRUE(machine.Apply(again).ok());
      EXPECT_TRUE(
          machine
              .Apply(
                  {.kind = OpKind::kWrite, .task = 1, .at = kAt + 0xffe, .size = 4, .value = 'd'})
              .ok());
      const Outcome read =
          machine.Apply({.kind = OpKind::kRead, .task = 1, .at = 2 * kAt + 0xffe, .size = 4});
      EXPECT_EQ(read.value, uint64_t{'d'}) << quirks << " " << profile;
      EXPECT_EQ(machine.crash(), std::nullopt) << quirks << " " << profile;
    }
  }
}

}  // namespace
}  // namespace machine
