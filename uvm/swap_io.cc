// Transfers of the swap store: what is sent, what comes back, and who waits for it.

#include "base/check.h"
#include "base/hash.h"
#include "uvm/bits.h"
#include "uvm/swap.h"

namespace uvm {
namespace {

// Of one page, never 0. Four sums side by side, as one would wait for its own multiplications.
uint32_t SumOf(const unsigned char* bytes) {
  constexpr int kLanes = 4;
  uint64_t lanes[kLanes] = {1, 2, 3, 4};
  for (uint64_t at = 0; at < base::kPageSize; at += kLanes * sizeof(uint64_t)) {
    for (int lane = 0; lane < kLanes; ++lane) {
      uint64_t word;
      __builtin_memcpy(&word, bytes + at + static_cast<uint64_t>(lane) * sizeof word, sizeof word);
      lanes[lane] = (lanes[lane] ^ word) * 0x9fb21c651e98df25ULL;
      lanes[lane] ^= lanes[lane] >> 29;
    }
  }
  uint64_t sum = 0;
  for (uint64_t lane : lanes) sum = base::Chain(sum, lane);
  const auto low = static_cast<uint32_t>(sum);
  return low == 0 ? 1 : low;
}

}  // namespace

bool SwapStore::SetEncryption(Encryption encryption) {
  if (encryption == Encryption::kOn && cipher_ == nullptr) return false;
  MutexLock lock(&mu_);
  encrypt_ = encryption == Encryption::kOn;
  return true;
}

// ---- Writing ----

// The key, and memory for the encrypted pages; false when one of them cannot be had.
bool SwapStore::PrepareEncryption(Area* area, SwapTransfer* transfer) {
  if (area->key == 0) area->key = cipher_->MakeKey();
  if (area->key == 0) return false;
  Bounce* bounce = bounces_;
  if (bounce != nullptr) {
    bounces_ = bounce->next;
  } else {
    void* chunk = core_->memory->AllocateChunk(kSwapClusterPages * base::kPageSize);
    if (chunk == nullptr) return false;
    bounce = static_cast<Bounce*>(chunk);
  }
  transfer->store.bounce = bounce;
  return true;
}

void SwapStore::Scramble(Area* area, SwapTransfer* transfer) {
  auto* bounce = static_cast<unsigned char*>(transfer->store.bounce);
  for (uint32_t i = 0; i < transfer->count; ++i) {
    unsigned char* to = bounce + i * base::kPageSize;
    cipher_->Encrypt(area->key, transfer->block + i, transfer->pages[i], to);
    transfer->pages[i] = to;
  }
}

void SwapStore::StartWrite(SwapSlot first, Page* const* pages, uint32_t count,
                           SwapTransfer* transfer) {
  CHECK(count >= 1 && count <= kSwapClusterPages);
  transfer->direction = SwapDirection::kWrite;
  transfer->count = count;
  transfer->result = SwapResult::kOk;
  for (uint32_t i = 0; i < count; ++i) transfer->pages[i] = core_->pmap->HomePointer(pages[i]->pa);
  mu_.Lock();
  Area* area = FindRun(first, count);
  transfer->block = first - area->first + area->label;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t at = first - area->first + i;
    CHECK(!area->slots.IsFree(at) && !Bit(area->bad, at));
  }
  transfer->store = {this, area, transfer->done, nullptr, first, encrypt_, {}};
  ++counters_.clusters[count];
  counters_.page_outs += count;
  const bool encrypted = encrypt_;
  const bool ready = !encrypted || PrepareEncryption(area, transfer);
  ++area->under_way;
  ++under_way_;
  mu_.Unlock();
  transfer->done = WriteIsDone;
  if (!ready) {
    transfer->result = SwapResult::kNoMemory;
    return WriteIsDone(transfer);
  }
  if (encrypted) Scramble(area, transfer);
  for (uint32_t i = 0; i < count; ++i) transfer->store.sums[i] = SumOf(transfer->pages[i]);
  area->device->Start(transfer);
}

// Whether the device was there.
void SwapStore::NoteResult(Area* area, SwapResult result) {
  if (result != SwapResult::kAway) {
    area->refusals = 0;
    return;
  }
  ++counters_.refusals;
  area->ask_again_us = core_->threads->Now() + (kAwayUs << area->refusals);
  if (area->refusals < kAwayDoublings) ++area->refusals;
}

void SwapStore::WriteIsDone(SwapTransfer* transfer) {
  transfer->store.store->FinishWrite(transfer);
}

void SwapStore::FinishWrite(SwapTransfer* transfer) {
  mu_.Lock();
  auto* area = static_cast<Area*>(transfer->store.area);
  NoteResult(area, transfer->result);
  const bool written = transfer->result == SwapResult::kOk;
  const bool failed = transfer->result == SwapResult::kIo;
  if (!written && transfer->result != SwapResult::kAway) ++counters_.write_errors;
  // A device that was away, or could not begin, holds what it held.
  for (uint32_t i = 0; i < transfer->count && (written || failed); ++i) {
    const uint32_t at = transfer->store.slot - area->first + i;
    CHECK(!area->slots.IsFree(at));
    area->sums[at] = written ? transfer->store.sums[i] : kNothing;
    if (written) PutBit(area->encrypted, at, transfer->store.encrypted ? 1 : 0);
  }
  if (transfer->store.bounce != nullptr) {
    auto* bounce = static_cast<Bounce*>(transfer->store.bounce);
    bounce->next = bounces_;
    bounces_ = bounce;
  }
  --area->under_way;
  --under_way_;
  mu_.Unlock();
  transfer->done = transfer->store.done;
  transfer->done(transfer);
}

// ---- Reading ----

struct SwapStore::Reader {
  SwapTransfer transfer;
  Thread* thread;
  bool done = false;
  bool parked = false;  // `thread` waits to be unparked
};

void SwapStore::ReadIsDone(SwapTransfer* transfer) {
  auto* reader = static_cast<Reader*>(transfer->context);
  SwapStore* store = transfer->store.store;
  ThreadSystem* threads = store->core_->threads;
  store->readers_.Acquire(threads);
  Thread* parked = reader->parked ? reader->thread : nullptr;
  reader->done = true;
  store->readers_.Release();  // from here on the reader may be gone
  if (parked != nullptr) threads->Unpark(parked);
}

// A reader whose time is up may have an Unpark on its way to it, which the wait for a Mutex would
// take for its own: what it shares with the device is guarded by a word.
void SwapStore::WaitFor(Reader* reader, SwapDevice* device) {
  ThreadSystem* threads = core_->threads;
  for (;;) {
    const uint64_t due = device->NextDue();
    if (due != SwapDevice::kNever && due <= threads->Now()) device->Poll(threads->Now());
    readers_.Acquire(threads);
    const bool done = reader->done;
    reader->parked = !done && (due == SwapDevice::kNever || due > threads->Now());
    const bool park = reader->parked;
    readers_.Release();
    if (done) return;
    if (!park) continue;
    if (due == SwapDevice::kNever) {
      threads->Park();
      return;
    }
    if (threads->ParkUntil(due)) return;
    readers_.Acquire(threads);
    const bool coming = reader->done;  // then it was done while we counted as parked
    reader->parked = false;
    readers_.Release();
    if (!coming) continue;
    threads->Park();
    return;
  }
}

SwapResult SwapStore::Read(Page* page, SwapSlot slot) {
  Reader reader;
  SwapTransfer* transfer = &reader.transfer;
  reader.thread = core_->threads->Self();
  unsigned char* bytes = core_->pmap->HomePointer(page->pa);
  mu_.Lock();
  Area* area = FindRun(slot, 1);
  uint32_t at = slot - area->first;
  const bool next = at + 1 < area->pages && area->sums[at + 1] != kNothing;
  if (core_->canary.Armed(base::Canary::kSwapReadsWrongSlot) && next) ++at;
  const uint32_t key = area->key;
  transfer->block = at + area->label;
  ++area->under_way;
  ++under_way_;
  ++counters_.page_ins;
  mu_.Unlock();
  transfer->direction = SwapDirection::kRead;
  transfer->count = 1;
  transfer->pages[0] = bytes;
  transfer->done = ReadIsDone;
  transfer->context = &reader;
  transfer->store = {this, area, nullptr, nullptr, slot, false, {}};
  area->device->Start(transfer);
  WaitFor(&reader, area->device);
  // Now, as a write that the device did before may have been under way.
  mu_.Lock();
  const uint32_t sum = area->sums[at];
  const bool encrypted = Bit(area->encrypted, at);
  mu_.Unlock();
  SwapResult result = transfer->result;
  const bool mismatch = result == SwapResult::kOk && SumOf(bytes) != sum;
  if (mismatch) result = SwapResult::kIo;
  if (result == SwapResult::kOk && encrypted) cipher_->Decrypt(key, transfer->block, bytes, bytes);
  MutexLock lock(&mu_);
  --area->under_way;
  --under_way_;
  NoteResult(area, result);
  if (result == SwapResult::kIo) ++counters_.read_errors;
  if (mismatch) ++counters_.mismatches;
  return result;
}

// ---- Time ----

uint64_t SwapStore::NextDue() const {
  if (under_way_ == 0) return SwapDevice::kNever;
  MutexLock lock(&mu_);
  uint64_t earliest = SwapDevice::kNever;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    const uint64_t due = area->device->NextDue();
    if (due < earliest) earliest = due;
  }
  return earliest;
}

void SwapStore::Poll(uint64_t now_us) {
  if (under_way_ == 0) return;
  mu_.Lock();
  // A device may go off while another is asked: the list is searched again each time.
  for (uint32_t last = 0;;) {
    Area* next = nullptr;
    for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
      if (area->id > last && (next == nullptr || area->id < next->id)) next = area;
    }
    if (next == nullptr) break;
    last = next->id;
    ++next->polls;  // it stays
    mu_.Unlock();
    next->device->Poll(now_us);
    mu_.Lock();
    --next->polls;
  }
  mu_.Unlock();
}

const unsigned char* SwapStore::DebugBytes(SwapSlot slot) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  if (area == nullptr || Bit(area->encrypted, slot - area->first)) return nullptr;
  return area->device->DebugBytes(slot - area->first + area->label);
}

const SwapDevice* SwapStore::DebugPlace(SwapSlot slot,
                                        uint64_t* block) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  if (area == nullptr) return nullptr;
  *block = slot - area->first + area->label;
  return area->device;
}

bool SwapStore::DebugRead(SwapSlot slot, unsigned char* out) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Area* area = FindSlot(slot);
  if (area == nullptr) return false;
  const uint32_t at = slot - area->first;
  const unsigned char* bytes = area->device->DebugBytes(at + area->label);
  if (bytes == nullptr || SumOf(bytes) != area->sums[at]) return false;
  if (Bit(area->encrypted, at)) {
    cipher_->Decrypt(area->key, at + area->label, bytes, out);
  } else {
    __builtin_memcpy(out, bytes, base::kPageSize);
  }
  return true;
}

}  // namespace uvm
