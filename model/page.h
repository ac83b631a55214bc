// model/page.h: the contents of one page as a value.
//
// WHAT     A PageValue says what the 4096 bytes of a page are: a fill (zeros, a stretch of a file,
//          or bytes) and the stores made since, oldest first. Copying it copies the contents; there
//          is no way to change one page through another. Bytes that a fill refers to never change
//          once made, so copies of the value may keep the same ones.
// INVARIANTS  At most kMaxWrites stores; none is wholly covered by a later one. Two values are
//          equal when their 4096 bytes are, however they came about.
// SEE      base/pattern.h for which byte a store leaves; design.md D8.

#ifndef MODEL_PAGE_H_
#define MODEL_PAGE_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "base/addr.h"

namespace model {

using PageBytes = std::array<unsigned char, base::kPageSize>;

bool AllZero(const unsigned char* bytes, uint64_t size);

class PageValue {
 public:
  // More stores than this are folded into bytes: a value stays below half a kilobyte, a read looks
  // at few stores.
  static constexpr size_t kMaxWrites = 16;

  // A page of zeros.
  PageValue() = default;
  // The 4096 bytes of file `key` from byte `offset` on (base::FileByte).
  static PageValue OfFile(uint64_t key, uint64_t offset);
  static PageValue OfBytes(const PageBytes& bytes);

  // Stores `size` bytes of `value` (base::StoredByte) from byte `start` of the page, which lies at
  // address `page` in the storing task. REQUIRES: size > 0, start + size <= 4096.
  void Store(uint64_t start, uint64_t size, uint64_t value, uint64_t page);

  // The same with bytes from anywhere.
  void StoreBytes(uint64_t start, uint64_t size, const unsigned char* bytes);

  // Copies bytes [start, start + size) to out. REQUIRES: start + size <= 4096.
  void Load(uint64_t start, uint64_t size, unsigned char* out) const;
  PageBytes Expand() const;
  // Whether Load would give these bytes.
  bool Holds(uint64_t start, uint64_t size, const unsigned char* bytes) const;

  // Of how the contents came about: values of one version have equal contents. Costs nothing.
  uint64_t version() const { return version_; }
  // version() of zeros, and of OfFile(key, offset).
  static constexpr uint64_t kZeroVersion = 0;
  static uint64_t FileVersion(uint64_t key, uint64_t offset);

  // Zeros, or bytes of a file, that nobody stored to.
  bool pristine() const { return writes_.empty() && fill_ != Fill::kBytes; }

  // Of the contents, so that equal values have equal hashes.
  uint64_t ContentHash() const;
  friend bool operator==(const PageValue& a, const PageValue& b);

 private:
  struct Write {
    uint16_t start;
    uint16_t size;
    uint64_t value;
    uint64_t page;
    friend bool operator==(const Write&, const Write&) = default;
  };
  enum class Fill : uint8_t { kZero, kFile, kBytes };

  void LoadFill(uint64_t start, uint64_t size, unsigned char* out) const;
  // True when nothing of the fill shows.
  bool WhollyWritten() const { return !writes_.empty() && writes_[0].size == base::kPageSize; }
  // True when both are written alike, which implies equal contents.
  bool SameForm(const PageValue& other) const;

  Fill fill_ = Fill::kZero;
  uint64_t file_key_ = 0;
  uint64_t file_offset_ = 0;
  uint64_t version_ = kZeroVersion;
  std::shared_ptr<const PageBytes> bytes_;
  absl::InlinedVector<Write, 2> writes_;
};

}  // namespace model

#endif  // MODEL_PAGE_H_
