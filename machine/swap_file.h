// machine/swap_file.h: a swap device that is a file of the host, read and written asynchronously.
//
// WHAT     A transfer is begun on the host when it is started, past the host's cache where the file
//          system allows it (O_DIRECT), and is over at a virtual time that depends on nothing but
//          the transfers before it: whoever polls then waits for the host if it is not done yet.
//          Pages are copied when a transfer starts (write) and when it is over (read), so that the
//          host never sees or changes the simulated machine's memory at a time of its own.
// STATES   of a transfer: started (under way on the host) -> due -> over.
// INVARIANTS  Two transfers that touch the same block are never under way on the host together.
//          What lies in the file is no part of what a RewindArea restores.
// SEE      design.md D7; uvm/swap_device.h; host_io.h.

#ifndef MACHINE_SWAP_FILE_H_
#define MACHINE_SWAP_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "machine/host_io.h"
#include "uvm/swap_device.h"
#include "uvm/thread.h"

namespace machine {

class SwapFile final : public uvm::SwapDevice {
 public:
  // In virtual microseconds, as of a disk of one head.
  struct Latency {
    uint64_t transfer_us = 200;
    uint64_t page_us = 10;
  };
  struct Options {
    std::string directory = "/tmp";
    base::PageCount pages{};
    Latency latency;
    HostIoKind io = HostIoKind::kBest;
    enum class Cache : uint8_t { kAvoid, kUse };
    Cache cache = Cache::kAvoid;
  };

  // A file without a name in options.directory; null, and *error says why, when the host has none.
  // `threads` outlives the device.
  static std::unique_ptr<SwapFile> Create(uvm::ThreadSystem* threads, const Options& options,
                                          std::string* error);
  ~SwapFile();
  SwapFile(const SwapFile&) = delete;
  SwapFile& operator=(const SwapFile&) = delete;

  base::PageCount size() const override { return pages_; }
  void Start(uvm::SwapTransfer* transfer) override;
  uint64_t NextDue() const override;
  void Poll(uint64_t now_us) override;
  const unsigned char* DebugBytes(uint64_t block) const override;

  const char* engine() const { return io_->name(); }
  bool direct() const { return direct_; }

 private:
  struct Buffer;
  struct Request {
    HostRequest host;
    uvm::SwapTransfer* transfer = nullptr;
    bool begun = false;  // the host has it
    std::unique_ptr<Buffer> buffer;
  };

  SwapFile(uvm::ThreadSystem* threads, const Options& options);
  bool Open(std::string* error);
  std::unique_ptr<Request> NewRequest(uvm::SwapTransfer* transfer);
  void Begin(Request* request);
  void WaitForHost(Request* request) const;
  void WaitForBlocks(uint64_t block, uint64_t count) const;
  void Finish(std::unique_ptr<Request> request);

  uvm::ThreadSystem* const threads_;
  const Options options_;
  const base::PageCount pages_;
  int fd_ = -1;
  bool direct_ = false;
  std::unique_ptr<HostIo> io_;
  std::vector<std::unique_ptr<Request>> under_way_;  // in the order they become due
  std::vector<std::unique_ptr<Request>> idle_;
  std::unique_ptr<Buffer> debug_;
};

}  // namespace machine

#endif  // MACHINE_SWAP_FILE_H_
