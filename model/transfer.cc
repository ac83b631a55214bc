#include "model/transfer.h"

#include <algorithm>

#include "base/addr.h"
#include "base/check.h"

namespace model {
namespace {

// Bytes from `at` on that lie in one page, of `left`.
uint64_t InPage(uint64_t at, uint64_t left) {
  return std::min(left, base::kPageSize - (at & base::kPageMask));
}

void Append(const PageSource& source, uint64_t start, uint64_t size, Parcel* out) {
  const uint64_t at = out->bytes.size();
  out->bytes.resize(at + size);
  const bool open = source.slot != nullptr && source.slot->IsOpen();
  if (open || source.Unknown()) out->unknown.emplace_back(at, at + size);
  source.Load(source.slot == nullptr ? nullptr : source.slot->Canonical(), start, size,
              out->bytes.data() + at);
}

}  // namespace

bool Parcel::IsKnown(uint64_t start, uint64_t end) const {
  return std::none_of(unknown.begin(), unknown.end(),
                      [&](const auto& gap) { return gap.first < end && start < gap.second; });
}

Parcel Parcel::Head(uint64_t size) const {
  Parcel head;
  head.bytes.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  for (const auto& [start, end] : unknown) {
    if (start < size) head.unknown.emplace_back(start, std::min(end, size));
  }
  return head;
}

void Parcel::DropHead(uint64_t size) {
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  std::vector<std::pair<uint64_t, uint64_t>> rest;
  for (const auto& [start, end] : unknown) {
    if (end > size) rest.emplace_back(std::max(start, size) - size, end - size);
  }
  unknown = std::move(rest);
}

void Parcel::Forget(uint64_t known) {
  if (known < bytes.size()) unknown.emplace_back(known, bytes.size());
}

void TakeFromMemory(const Space& space, uint64_t at, uint64_t size, const FileTable& files,
                    Parcel* out) {
  while (size > 0) {
    const Region* region = space.Find(at);
    CHECK(region != nullptr);
    const uint64_t some = InPage(at, size);
    Append(Space::Look(*region, at, files), at & base::kPageMask, some, out);
    Space::MayBind(*region, at, files);
    at += some;
    size -= some;
  }
}

void TakeFromFile(uint64_t key, uint64_t offset, uint64_t size, const FileTable& files,
                  Parcel* out) {
  while (size > 0) {
    const uint64_t some = InPage(offset, size);
    Append(Space::LookInFile(key, offset >> base::kPageShift, files), offset & base::kPageMask,
           some, out);
    offset += some;
    size -= some;
  }
}

void PutIntoMemory(const Parcel& parcel, const Space& space, uint64_t at, FileTable* files) {
  for (uint64_t done = 0; done < parcel.bytes.size();) {
    const uint64_t some = InPage(at + done, parcel.bytes.size() - done);
    const Region* region = space.Find(at + done);
    CHECK(region != nullptr);
    const bool known = parcel.IsKnown(done, done + some);
    Space::StoreBytes(*region, at + done, some, known ? parcel.bytes.data() + done : nullptr,
                      files);
    done += some;
  }
}

void PutIntoFile(const Parcel& parcel, uint64_t key, uint64_t offset, FileTable* files) {
  for (uint64_t done = 0; done < parcel.bytes.size();) {
    const uint64_t at = offset + done;
    const uint64_t some = InPage(at, parcel.bytes.size() - done);
    const bool known = parcel.IsKnown(done, done + some);
    Space::StoreInFile(key, at >> base::kPageShift, at & base::kPageMask, some,
                       known ? parcel.bytes.data() + done : nullptr, files);
    done += some;
  }
}

}  // namespace model
