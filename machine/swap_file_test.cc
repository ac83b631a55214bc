// A swap device that is a file of the host, against one that is memory.

#include "machine/swap_file.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "uvm/swap_memory.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"

namespace machine {
namespace {

using Cache = SwapFile::Options::Cache;
using uvm::SwapDevice;
using uvm::SwapDirection;
using uvm::SwapResult;
using uvm::SwapTransfer;

constexpr uint64_t kPages = 100;

struct Setup {
  HostIoKind io;
  Cache cache;
};

class SwapFileTest : public ::testing::TestWithParam<Setup> {
 protected:
  SwapFileTest() { file_ = Create({200, 10}); }
  std::unique_ptr<SwapFile> Create(SwapFile::Latency latency) {
    SwapFile::Options options;
    const char* directory = std::getenv("TEST_TMPDIR");
    options.directory = directory == nullptr ? "/tmp" : directory;
    options.pages = base::PageCount(kPages);
    options.latency = latency;
    options.io = GetParam().io;
    options.cache = GetParam().cache;
    std::string error;
    std::unique_ptr<SwapFile> file = SwapFile::Create(&threads_, options, &error);
    EXPECT_NE(file, nullptr) << error;
    return file;
  }
  uvm::testing::FakeThreads threads_;
  uvm::testing::HostPages memory_;
  std::unique_ptr<SwapFile> file_;
};

// A transfer with memory of its own, which lies at an odd address.
struct Job {
  Job(SwapDirection direction, uint64_t block, uint32_t count, unsigned char letter = 0)
      : bytes(count * base::kPageSize + 1, letter) {
    transfer.direction = direction;
    transfer.block = block;
    transfer.count = count;
    for (uint32_t i = 0; i < count; ++i) transfer.pages[i] = bytes.data() + 1 + i * 4096;
    transfer.done = [](SwapTransfer* done) { ++static_cast<Job*>(done->context)->over; };
    transfer.context = this;
  }
  // The letter of each page, # for a mixture.
  std::string Letters() const {
    std::string letters;
    for (uint32_t i = 0; i < transfer.count; ++i) {
      const unsigned char* page = transfer.pages[i];
      letters += std::memcmp(page, page + 1, 4095) == 0 ? static_cast<char>(*page) : '#';
    }
    return letters;
  }
  std::vector<unsigned char> bytes;
  SwapTransfer transfer;
  int over = 0;
};

TEST_P(SwapFileTest, WhatIsWrittenComesBackWhenItsTimeHasCome) {
  EXPECT_EQ(file_->size(), base::PageCount(kPages));
  EXPECT_EQ(file_->NextDue(), SwapDevice::kNever);
  file_->Poll(~uint64_t{0});
  Job write(SwapDirection::kWrite, 3, 2, 'a');
  Job read(SwapDirection::kRead, 2, 4, '?');
  file_->Start(&write.transfer);
  file_->Start(&read.transfer);  // of the same blocks: waits behind the write
  std::memset(write.bytes.data(), 'b', write.bytes.size());
  EXPECT_EQ(file_->NextDue(), 220u);
  file_->Poll(219);
  EXPECT_EQ(write.over, 0);
  file_->Poll(220);
  EXPECT_EQ(write.over, 1);
  EXPECT_EQ(write.transfer.result, SwapResult::kOk);
  EXPECT_EQ(file_->NextDue(), 460u);
  EXPECT_EQ(read.over, 0);
  EXPECT_EQ(read.Letters(), "????") << "nothing comes before its time";
  file_->Poll(460);
  EXPECT_EQ(read.over, 1);
  EXPECT_EQ(read.Letters(), std::string(1, '\0') + "aa" + std::string(1, '\0'));
}

TEST_P(SwapFileTest, WithoutLatencyATransferIsOverAtOnce) {
  std::unique_ptr<SwapFile> file = Create({0, 0});
  Job write(SwapDirection::kWrite, 99, 1, 'z');
  Job read(SwapDirection::kRead, 99, 1);
  file->Start(&write.transfer);
  EXPECT_EQ(write.over, 1);
  file->Start(&read.transfer);
  EXPECT_EQ(read.over, 1);
  EXPECT_EQ(read.Letters(), "z");
}

TEST_P(SwapFileTest, AgreesWithMemoryWithManyTransfersUnderWay) {
  uvm::SwapMemory memory(&threads_, &memory_, base::PageCount(kPages), {200, 10});
  base::Prng prng(1, "swap_file");
  std::vector<std::unique_ptr<Job>> jobs[2];
  SwapDevice* devices[] = {file_.get(), &memory};
  int most = 0;
  for (int step = 0; step < 600; ++step) {
    const bool reads = prng.Chance(1, 2);
    const auto count = static_cast<uint32_t>(1 + prng.Below(uvm::kSwapClusterPages));
    const uint64_t block = prng.Below(kPages - count);
    const auto letter = static_cast<unsigned char>('a' + prng.Below(26));
    const bool poll = prng.Chance(1, 2);
    const uint64_t ahead = prng.Below(700);
    for (int d = 0; d < 2; ++d) {
      jobs[d].push_back(std::make_unique<Job>(reads ? SwapDirection::kRead : SwapDirection::kWrite,
                                              block, count, letter));
      devices[d]->Start(&jobs[d].back()->transfer);
    }
    if (poll) threads_.ParkUntil(threads_.Now() + ahead);
    int under_way = 0;
    for (int d = 0; d < 2; ++d) {
      if (poll) devices[d]->Poll(threads_.Now());
    }
    for (const auto& job : jobs[0]) under_way += job->over == 0 ? 1 : 0;
    most = under_way > most ? under_way : most;
    ASSERT_EQ(devices[0]->NextDue(), devices[1]->NextDue());
  }
  EXPECT_GT(most, 20);
  for (SwapDevice* device : devices) {
    while (device->NextDue() != SwapDevice::kNever) device->Poll(device->NextDue());
  }
  for (size_t i = 0; i < jobs[0].size(); ++i) {
    ASSERT_EQ(jobs[0][i]->over, 1);
    ASSERT_EQ(jobs[0][i]->transfer.result, jobs[1][i]->transfer.result);
    ASSERT_EQ(jobs[0][i]->Letters(), jobs[1][i]->Letters()) << i;
  }
  for (uint64_t block = 0; block < kPages; ++block)
    ASSERT_EQ(std::memcmp(file_->DebugBytes(block), memory.DebugBytes(block), 4096), 0);
}

// More than the host takes at a time.
TEST_P(SwapFileTest, AnyNumberMayBeUnderWay) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (int i = 0; i < 400; ++i) {
    const auto letter = static_cast<unsigned char>(i);
    jobs.push_back(std::make_unique<Job>(SwapDirection::kWrite, i % 100, 1, letter));
    file_->Start(&jobs.back()->transfer);
  }
  EXPECT_EQ(*file_->DebugBytes(42), static_cast<unsigned char>(342));
  while (file_->NextDue() != SwapDevice::kNever) file_->Poll(file_->NextDue());
  for (const auto& job : jobs) {
    EXPECT_EQ(job->over, 1);
    EXPECT_EQ(job->transfer.result, SwapResult::kOk);
  }
}

TEST_P(SwapFileTest, WhatIsUnderWayMayBeLeftBehind) {
  Job write(SwapDirection::kWrite, 0, 16, 'a');
  file_->Start(&write.transfer);
  file_.reset();
  EXPECT_EQ(write.over, 0);
}

TEST_P(SwapFileTest, WithoutADirectoryThereIsNone) {
  SwapFile::Options options;
  options.directory = "/nowhere/at/all";
  options.pages = base::PageCount(4);
  std::string error;
  EXPECT_EQ(SwapFile::Create(&threads_, options, &error), nullptr);
  EXPECT_NE(error.find("/nowhere/at/all"), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(Engines, SwapFileTest,
                         ::testing::Values(Setup{HostIoKind::kBest, Cache::kAvoid},
                                           Setup{HostIoKind::kBest, Cache::kUse},
                                           Setup{HostIoKind::kPosix, Cache::kAvoid}),
                         [](const auto& info) {
                           return std::string(info.param.io == HostIoKind::kBest ? "Best"
                                                                                 : "Posix") +
                                  (info.param.cache == Cache::kAvoid ? "Direct" : "Cached");
                         });

}  // namespace
}  // namespace machine
