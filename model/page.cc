#include "model/page.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/pattern.h"

namespace model {

namespace {

// Of contents: for versions, which nobody sees. In four strands, as one multiplication waits for
// the one before.
uint64_t VersionOf(const unsigned char* bytes, uint64_t size) {
  constexpr uint64_t kStrands = 4;
  uint64_t strands[kStrands] = {size, 1, 2, 3};
  uint64_t i = 0;
  for (; i + 8 * kStrands <= size; i += 8 * kStrands) {
    for (uint64_t k = 0; k < kStrands; ++k) {
      strands[k] = (strands[k] ^ base::LoadLe64(bytes + i + 8 * k)) * 0x9fb21c651e98df25ULL;
      strands[k] ^= strands[k] >> 32;
    }
  }
  uint64_t hash = base::HashBytes(bytes + i, size - i);
  for (uint64_t strand : strands) hash = base::Chain(hash, strand);
  return hash;
}

}  // namespace

PageValue PageValue::OfFile(uint64_t key, uint64_t offset) {
  PageValue page;
  page.fill_ = Fill::kFile;
  page.file_key_ = key;
  page.file_offset_ = offset;
  page.version_ = FileVersion(key, offset);
  return page;
}

uint64_t PageValue::FileVersion(uint64_t key, uint64_t offset) {
  return base::Chain(base::Chain(1, key), offset);
}

void PageValue::Store(uint64_t start, uint64_t size, uint64_t value, uint64_t page) {
  CHECK(size > 0);
  CHECK(start < base::kPageSize && size <= base::kPageSize - start);
  auto covered = [&](const Write& old) {
    return start <= old.start && old.start + old.size <= start + size;
  };
  writes_.erase(std::remove_if(writes_.begin(), writes_.end(), covered), writes_.end());
  if (size == base::kPageSize) {
    version_ = kZeroVersion;
    fill_ = Fill::kZero;  // nothing of it shows any more
    file_key_ = file_offset_ = 0;
    bytes_.reset();
  }
  if (writes_.size() == kMaxWrites) {
    bytes_ = std::make_shared<const PageBytes>(Expand());
    fill_ = Fill::kBytes;
    file_key_ = file_offset_ = 0;
    writes_.clear();
  }
  version_ = base::Chain(base::Chain(base::Chain(version_, start << 16 | size), value), page);
  writes_.push_back({static_cast<uint16_t>(start), static_cast<uint16_t>(size), value, page});
}

PageValue PageValue::OfBytes(const PageBytes& bytes) {
  PageValue page;
  page.fill_ = Fill::kBytes;
  page.version_ = base::Chain(2, VersionOf(bytes.data(), bytes.size()));
  page.bytes_ = std::make_shared<const PageBytes>(bytes);
  return page;
}

void PageValue::StoreBytes(uint64_t start, uint64_t size, const unsigned char* bytes) {
  CHECK(start < base::kPageSize && size <= base::kPageSize - start);
  auto all = std::make_shared_for_overwrite<PageBytes>();
  if (size < base::kPageSize) Load(0, base::kPageSize, all->data());
  std::copy_n(bytes, size, all->begin() + static_cast<ptrdiff_t>(start));
  const uint64_t before = base::Chain(base::Chain(3, version_), start << 16 | size);
  PageValue page;
  page.fill_ = Fill::kBytes;
  page.version_ = base::Chain(before, VersionOf(bytes, size));
  page.bytes_ = std::move(all);
  *this = std::move(page);
}

void PageValue::LoadFill(uint64_t start, uint64_t size, unsigned char* out) const {
  switch (fill_) {
    case Fill::kZero:
      std::memset(out, 0, size);
      return;
    case Fill::kFile:
      base::FillFile(file_key_, file_offset_ + start, out, size);
      return;
    case Fill::kBytes:
      std::memcpy(out, bytes_->data() + start, size);
      return;
  }
}

void PageValue::Load(uint64_t start, uint64_t size, unsigned char* out) const {
  if (!WhollyWritten()) LoadFill(start, size, out);
  for (const Write& write : writes_) {
    uint64_t from = std::max<uint64_t>(start, write.start);
    uint64_t to = std::min<uint64_t>(start + size, write.start + write.size);
    if (from < to)
      base::FillStored(write.value, write.page + from, out + (from - start), to - from);
  }
}

bool AllZero(const unsigned char* bytes, uint64_t size) {
  return size == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0);
}

bool PageValue::Holds(uint64_t start, uint64_t size, const unsigned char* bytes) const {
  if (writes_.empty() && fill_ == Fill::kZero) return AllZero(bytes, size);
  if (writes_.empty() && fill_ == Fill::kBytes)
    return std::memcmp(bytes, bytes_->data() + start, size) == 0;
  PageBytes expected;
  Load(start, size, expected.data());
  return std::memcmp(bytes, expected.data(), size) == 0;
}

PageBytes PageValue::Expand() const {
  PageBytes out;
  Load(0, base::kPageSize, out.data());
  return out;
}

uint64_t PageValue::ContentHash() const {
  PageBytes bytes = Expand();
  return base::HashBytes(bytes.data(), bytes.size());
}

bool PageValue::SameForm(const PageValue& other) const {
  return fill_ == other.fill_ && file_key_ == other.file_key_ &&
         file_offset_ == other.file_offset_ && bytes_ == other.bytes_ && writes_ == other.writes_;
}

bool operator==(const PageValue& a, const PageValue& b) {
  return a.SameForm(b) || a.Expand() == b.Expand();
}

}  // namespace model
