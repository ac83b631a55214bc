// model/commit_moves.cc: bytes move (class World).
//
// SEE      moves.cc for what each call checks.

#include <algorithm>
#include <utility>

#include "base/addr.h"
#include "model/world.h"

namespace model {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

// Messages that nobody is left to receive are gone.
void World::CommitDeath(uint32_t label) {
  const uint32_t channel = FindTask(label)->channel;
  births_.erase(std::find(births_.begin(), births_.end(), label));
  found_ = nullptr;
  tasks_.erase(label);
  for (const auto& [other, task] : tasks_) {
    if (task.channel == channel) return;
  }
  channels_.erase(channel);
}

// A file's first end is where it is cut first.
void World::SetEnd(uint64_t file_key, uint64_t size) {
  MemoryObject whole;
  whole.kind = MemoryObject::Kind::kFile;
  whole.size = whole.made_up = kMostFileBytes;
  files_.objects.emplace(file_key, whole);
  Resize(file_key, size);
}

// Bytes of the range were loaded or stored, so its pages are there.
void World::FoundThere(const Space& space, uint64_t at, uint64_t size) {
  for (uint64_t va = at; va - at < size;) {
    const Region* region = space.Find(va);
    if (files_.Object(region->file_key) == nullptr) {
      va = region->end;
      continue;
    }
    Space::Decide(*region, va, Presence::kThere, files_);
    va = base::TruncPage(va) + base::kPageSize;
  }
}

// In the steps in which bytes really go, since source and destination may overlap: a read one page
// of its source at a time, a write of a file one stretch of 64 KiB of it.
void World::CommitTransfer(Step step, const ResolvedOp& op, const Outcome& observed,
                           const Task* task, Task* caller) {
  if (step.direct) {
    const uint64_t start = base::TruncPage(op.at);
    const uint64_t end = base::RoundPage(op.at + step.new_size);
    if (!observed.ok()) return caller->space.MayWire(start, end, files_);
    caller->space.Fetch(start, end, files_);
  }
  if (op.kind == OpKind::kSendFile) return CommitSendFile(op, observed, *caller);
  if (op.kind == OpKind::kSend) return CommitSend(op, observed, *caller);
  if (op.kind == OpKind::kReceive) return CommitReceive(step, op, observed, *caller);
  const bool of_file = op.kind == OpKind::kPread || op.kind == OpKind::kPwrite;
  const uint64_t place = of_file ? op.offset : op.at;
  const uint64_t stretch = op.kind == OpKind::kPwrite ? uint64_t{64} << 10 : base::kPageSize;
  const MemoryObject* file = op.kind == OpKind::kPwrite ? files_.Object(op.file_key) : nullptr;
  if (file != nullptr && step.size > 0 && op.offset + step.size > file->size) {
    // What fails does not extend the file.
    if (!observed.ok()) step.size = file->size - std::min(file->size, op.offset);
    if (observed.ok()) Resize(op.file_key, op.offset + step.size);
  }
  FoundThere(caller->space, of_file ? op.at : op.to, step.sure);
  if (!of_file) FoundThere(task->space, op.at, step.sure);
  for (uint64_t done = step.from; done < step.size;) {
    const uint64_t at = place + done;
    const uint64_t some = std::min(step.size - done, stretch - at % stretch);
    const uint64_t known = step.sure - std::min(step.sure, done);
    Parcel parcel;
    switch (op.kind) {
      case OpKind::kPread:
        TakeFromFile(op.file_key, at, some, files_, &parcel);
        parcel.Forget(known);
        PutIntoMemory(parcel, caller->space, op.at + done, &files_);
        break;
      case OpKind::kPwrite:
        TakeFromMemory(caller->space, op.at + done, some, files_, &parcel);
        parcel.Forget(known);
        PutIntoFile(parcel, op.file_key, at, &files_);
        break;
      case OpKind::kPeek:
        TakeFromMemory(task->space, at, some, files_, &parcel);
        parcel.Forget(known);
        PutIntoMemory(parcel, caller->space, op.to + done, &files_);
        break;
      default:  // kPoke
        TakeFromMemory(caller->space, op.to + done, some, files_, &parcel);
        parcel.Forget(known);
        PutIntoMemory(parcel, task->space, at, &files_);
        break;
    }
    done += some;
  }
}

// As far as it came, in pages of where bytes come from and of where they go. What a write of a file
// did is in no space, so that nobody could look. Entered with nothing done.
bool World::TransferInPart(const ResolvedOp& op, const Outcome& observed, Agrees agrees) {
  LostPages lost = std::exchange(lost_, nullptr);
  Step step = Decode(op);
  lost_ = std::move(lost);
  if (step.action != Step::Action::kTransfer || op.kind == OpKind::kPwrite) return false;
  const Task* task = FindTask(traces::ActsOn(op));
  Task* caller = &tasks_.find(op.task)->second;
  const uint64_t size = step.size;
  const bool of_other = op.kind == OpKind::kPeek || op.kind == OpKind::kPoke;
  const uint64_t other = of_other ? op.to : op.kind == OpKind::kPread ? op.offset : op.at;
  const bool at_to = op.kind == OpKind::kPeek;
  const uint64_t start = at_to ? op.to : op.at;
  const uint32_t label = op.kind == OpKind::kPoke ? traces::ActsOn(op) : op.task;
  const base::Range pages = {base::Vaddr(base::TruncPage(start)),
                             base::Vaddr(base::RoundPage(start + size))};
  step.size = step.sure = 0;
  while (!agrees(label, pages)) {
    if (step.size == size) return false;
    step.from = step.size;
    const uint64_t left = size - step.size;
    uint64_t in_page = base::kPageSize - ((op.at + step.size) & base::kPageMask);
    // What is written to another's page is there as a whole before any of it is written.
    const uint64_t in_other = base::kPageSize - ((other + step.size) & base::kPageMask);
    if (op.kind != OpKind::kPoke) in_page = std::min(in_page, in_other);
    step.size += std::min(left, in_page);
    step.sure = step.size;
    CommitTransfer(step, op, observed, task, caller);
    if (step.direct) return agrees(label, pages);
  }
  return true;
}

void World::CommitSend(const ResolvedOp& op, const Outcome& observed, const Task& caller) {
  if (!observed.ok()) return;
  FoundThere(caller.space, op.at, op.size);
  Channel& channel = channels_.at(caller.channel);
  channel.emplace_back();
  channel.back().pages = op.size >> base::kPageShift;
  TakeFromMemory(caller.space, op.at, op.size, files_, &channel.back());
}

void World::CommitSendFile(const ResolvedOp& op, const Outcome& observed, const Task& caller) {
  if (!observed.ok()) return;
  Channel& channel = channels_.at(caller.channel);
  channel.emplace_back();
  channel.back().pages = op.size >> base::kPageShift;
  TakeFromFile(op.file_key, op.offset, op.size, files_, &channel.back());
}

// A message of which something was received without error loses that; one of which nothing is left
// is gone. After an error it is all there still.
void World::CommitReceive(const Step& step, const ResolvedOp& op, const Outcome& observed,
                          const Task& caller) {
  Channel& channel = channels_.at(caller.channel);
  Parcel& message = channel.front();
  FoundThere(caller.space, op.at, step.sure);
  Parcel head = message.Head(step.size);
  head.Forget(step.sure);
  PutIntoMemory(head, caller.space, op.at, &files_);
  if (!observed.ok()) return;
  message.DropHead(step.size);
  if (message.bytes.empty()) channel.pop_front();
}

}  // namespace model
