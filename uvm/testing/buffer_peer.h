// uvm/testing/buffer_peer.h: the other side of a transfer as a string of letters.

#ifndef UVM_TESTING_BUFFER_PEER_H_
#define UVM_TESTING_BUFFER_PEER_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "uvm/uio.h"

namespace uvm::testing {

class BufferPeer final : public UioPeer {
 public:
  // Takes what it is given.
  BufferPeer() = default;
  // Gives `bytes`.
  explicit BufferPeer(std::string bytes) : bytes_(std::move(bytes)), gives_(true) {}

  // After `moves` more, each Move fails.
  void FailAfter(int moves) { moves_left_ = moves; }
  // Runs at the beginning of each Move.
  void BeforeMoves(std::function<void()> hook) { hook_ = std::move(hook); }
  const std::string& bytes() const { return bytes_; }

  Result<void, FaultError> Move(unsigned char* here, uint64_t bytes) override {
    if (hook_) hook_();
    if (moves_left_ == 0) return FaultError::kNoEntry;
    --moves_left_;
    if (gives_) {
      std::memcpy(here, bytes_.data() + at_, bytes);
      at_ += bytes;
    } else {
      bytes_.append(reinterpret_cast<char*>(here), bytes);
    }
    return {};
  }

 private:
  std::string bytes_;
  bool gives_ = false;
  uint64_t at_ = 0;
  int moves_left_ = 1 << 30;
  std::function<void()> hook_;
};

}  // namespace uvm::testing

#endif  // UVM_TESTING_BUFFER_PEER_H_
