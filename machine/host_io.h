// machine/host_io.h: asynchronous reads and writes of a file of the host.
//
// WHAT     HostIo begins requests and waits for chosen ones. MakeHostIo returns the host's
// io_uring,
//          or POSIX AIO where the host refuses that. When a request is over on the host is nobody's
//          business but that of who waits for it: nothing here says so unasked.
// STATES   of a request: its owner's -> Submit -> under way -> Wait -> its owner's, `moved` set.

#ifndef MACHINE_HOST_IO_H_
#define MACHINE_HOST_IO_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace machine {

struct HostRequest {
  enum class Direction : uint8_t { kRead, kWrite };
  Direction direction = Direction::kRead;
  int fd = -1;
  uint64_t offset = 0;              // bytes
  size_t bytes = 0;                 // of `buffer`
  unsigned char* buffer = nullptr;  // aligned as the file's flags want it
  int64_t moved = 0;                // bytes, or minus an errno
  bool over = false;                // HostIo's
  void* engine = nullptr;           // HostIo's
};

class HostIo {
 public:
  virtual ~HostIo() = default;
  // False: the host cannot take it now; nothing was begun.
  virtual bool Submit(HostRequest* request) = 0;
  // Waits until this one is over.
  virtual void Wait(HostRequest* request) = 0;
  virtual const char* name() const = 0;
};

enum class HostIoKind : uint8_t { kBest, kPosix };
// `requests`: that may be under way at a time.
std::unique_ptr<HostIo> MakeHostIo(HostIoKind kind, uint32_t requests);

}  // namespace machine

#endif  // MACHINE_HOST_IO_H_
