#include "machine/swap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/check.h"

namespace machine {
namespace {

constexpr uint32_t kRequests = 64;

uint64_t Offset(uint64_t block) { return block * base::kPageSize; }

}  // namespace

// Aligned as direct transfers want it.
struct SwapFile::Buffer {
  alignas(4096) unsigned char bytes[uvm::kSwapClusterPages * base::kPageSize];
};

SwapFile::SwapFile(uvm::ThreadSystem* threads, const Options& options)
    : threads_(threads), options_(options), pages_(options.pages) {}

SwapFile::~SwapFile() {
  for (const std::unique_ptr<Request>& request : under_way_) WaitForHost(request.get());
  if (fd_ >= 0) close(fd_);
}

std::unique_ptr<SwapFile> SwapFile::Create(uvm::ThreadSystem* threads, const Options& options,
                                           std::string* error) {
  std::unique_ptr<SwapFile> file(new SwapFile(threads, options));
  if (!file->Open(error)) return nullptr;
  file->io_ = MakeHostIo(options.io, kRequests);
  file->debug_ = std::make_unique<Buffer>();
  return file;
}

bool SwapFile::Open(std::string* error) {
  std::string path = options_.directory + "/swap_XXXXXX";
  fd_ = mkstemp(path.data());
  if (fd_ >= 0) {
    if (options_.cache == Options::Cache::kAvoid) {
      const int direct = open(path.c_str(), O_RDWR | O_DIRECT);
      if (direct >= 0) {
        close(fd_);
        fd_ = direct;
        direct_ = true;
      }
    }
    unlink(path.c_str());
    if (ftruncate(fd_, static_cast<off_t>(base::ToBytes(pages_))) == 0) return true;
  }
  *error = "cannot make a swap file in " + options_.directory + ": " + std::strerror(errno);
  return false;
}

std::unique_ptr<SwapFile::Request> SwapFile::NewRequest(uvm::SwapTransfer* transfer) {
  std::unique_ptr<Request> request;
  if (idle_.empty()) {
    request = std::make_unique<Request>();
    request->buffer = std::make_unique<Buffer>();
  } else {
    request = std::move(idle_.back());
    idle_.pop_back();
  }
  const bool reads = transfer->direction == uvm::SwapDirection::kRead;
  request->transfer = transfer;
  request->host = {};
  request->host.direction = reads ? HostRequest::Direction::kRead : HostRequest::Direction::kWrite;
  request->host.fd = fd_;
  request->host.offset = Offset(transfer->block);
  request->host.bytes = transfer->count * base::kPageSize;
  request->host.buffer = request->buffer->bytes;
  for (uint32_t i = 0; i < transfer->count && !reads; ++i) {
    std::memcpy(request->buffer->bytes + i * base::kPageSize, transfer->pages[i], base::kPageSize);
  }
  return request;
}

// The host may have no room for more requests: then older ones are waited for.
void SwapFile::Begin(Request* request) {
  request->begun = io_->Submit(&request->host);
  for (size_t i = 0; !request->begun && i < under_way_.size(); ++i) {
    WaitForHost(under_way_[i].get());
    request->begun = io_->Submit(&request->host);
  }
  if (!request->begun) request->host.moved = -EAGAIN;
}

void SwapFile::WaitForHost(Request* request) const {
  if (!request->begun) return;
  io_->Wait(&request->host);
  request->begun = false;
}

void SwapFile::WaitForBlocks(uint64_t block, uint64_t count) const {
  for (const std::unique_ptr<Request>& request : under_way_) {
    const uvm::SwapTransfer* transfer = request->transfer;
    if (transfer->block < block + count && block < transfer->block + transfer->count)
      WaitForHost(request.get());
  }
}

void SwapFile::Start(uvm::SwapTransfer* transfer) {
  CHECK(transfer->block + transfer->count <= pages_.value());
  const uint64_t takes = options_.latency.transfer_us + options_.latency.page_us * transfer->count;
  const uint64_t now = threads_->Now();
  const uint64_t last = under_way_.empty() ? 0 : under_way_.back()->transfer->due_us;
  transfer->due_us = (last > now ? last : now) + takes;
  WaitForBlocks(transfer->block, transfer->count);
  std::unique_ptr<Request> request = NewRequest(transfer);
  Begin(request.get());
  if (takes == 0 && under_way_.empty()) return Finish(std::move(request));
  under_way_.push_back(std::move(request));
}

void SwapFile::Finish(std::unique_ptr<Request> request) {
  WaitForHost(request.get());
  uvm::SwapTransfer* transfer = request->transfer;
  const bool whole = request->host.moved == static_cast<int64_t>(request->host.bytes);
  transfer->result = whole                            ? uvm::SwapResult::kOk
                     : request->host.moved == -EAGAIN ? uvm::SwapResult::kNoMemory
                     : request->host.moved == -ENXIO  ? uvm::SwapResult::kAway
                                                      : uvm::SwapResult::kIo;
  const bool reads = transfer->direction == uvm::SwapDirection::kRead;
  for (uint32_t i = 0; i < transfer->count && reads && whole; ++i) {
    std::memcpy(transfer->pages[i], request->buffer->bytes + i * base::kPageSize, base::kPageSize);
  }
  idle_.push_back(std::move(request));
  transfer->done(transfer);
}

uint64_t SwapFile::NextDue() const {
  return under_way_.empty() ? kNever : under_way_.front()->transfer->due_us;
}

void SwapFile::Poll(uint64_t now_us) {
  while (!under_way_.empty() && under_way_.front()->transfer->due_us <= now_us) {
    std::unique_ptr<Request> request = std::move(under_way_.front());
    under_way_.erase(under_way_.begin());
    Finish(std::move(request));
  }
}

const unsigned char* SwapFile::DebugBytes(uint64_t block) const {
  WaitForBlocks(block, 1);
  const ssize_t got = pread(fd_, debug_->bytes, base::kPageSize, static_cast<off_t>(Offset(block)));
  return got == static_cast<ssize_t>(base::kPageSize) ? debug_->bytes : nullptr;
}

}  // namespace machine
