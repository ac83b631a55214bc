#include "machine/host_io.h"

#include <aio.h>
#include <errno.h>
#include <liburing.h>

#include <cstring>

#include "base/check.h"

namespace machine {
namespace {

class Uring final : public HostIo {
 public:
  ~Uring() override {
    if (up_) io_uring_queue_exit(&ring_);
  }
  bool Init(uint32_t requests) {
    up_ = io_uring_queue_init(requests, &ring_, 0) == 0;
    return up_;
  }
  bool Submit(HostRequest* request) override {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    const auto bytes = static_cast<unsigned>(request->bytes);
    if (request->direction == HostRequest::Direction::kRead) {
      io_uring_prep_read(sqe, request->fd, request->buffer, bytes, request->offset);
    } else {
      io_uring_prep_write(sqe, request->fd, request->buffer, bytes, request->offset);
    }
    io_uring_sqe_set_data(sqe, request);
    request->over = false;
    // A refused submission leaves the entry in the queue: it goes with the next, or with Wait.
    io_uring_submit(&ring_);
    return true;
  }
  void Wait(HostRequest* request) override {
    while (!request->over) {
      io_uring_cqe* cqe = nullptr;
      const int error = io_uring_submit_and_wait(&ring_, 1);
      CHECK(error >= 0 || error == -EINTR || error == -EAGAIN || error == -EBUSY);
      while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
        auto* done = static_cast<HostRequest*>(io_uring_cqe_get_data(cqe));
        done->moved = cqe->res;
        done->over = true;
        io_uring_cqe_seen(&ring_, cqe);
      }
    }
  }
  const char* name() const override { return "io_uring"; }

 private:
  io_uring ring_ = {};
  bool up_ = false;
};

class PosixAio final : public HostIo {
 public:
  bool Submit(HostRequest* request) override {
    auto* block = new aiocb;
    std::memset(block, 0, sizeof *block);
    block->aio_fildes = request->fd;
    block->aio_buf = request->buffer;
    block->aio_nbytes = request->bytes;
    block->aio_offset = static_cast<off_t>(request->offset);
    request->engine = block;
    const bool reads = request->direction == HostRequest::Direction::kRead;
    if ((reads ? aio_read(block) : aio_write(block)) == 0) return true;
    delete block;
    request->engine = nullptr;
    return false;
  }
  void Wait(HostRequest* request) override {
    auto* block = static_cast<aiocb*>(request->engine);
    if (block == nullptr) return;
    const aiocb* list[] = {block};
    int error = aio_error(block);
    while (error == EINPROGRESS) {
      aio_suspend(list, 1, nullptr);
      error = aio_error(block);
    }
    const ssize_t moved = aio_return(block);
    request->moved = error == 0 ? moved : -error;
    delete block;
    request->engine = nullptr;
  }
  const char* name() const override { return "POSIX AIO"; }
};

}  // namespace

std::unique_ptr<HostIo> MakeHostIo(HostIoKind kind, uint32_t requests) {
  if (kind == HostIoKind::kBest) {
    auto ring = std::make_unique<Uring>();
    if (ring->Init(requests)) return ring;
  }
  return std::make_unique<PosixAio>();
}

}  // namespace machine
