// model/shared_world.cc: what calls about memory with a name change (World's side of shared.cc).

#include <algorithm>

#include "base/check.h"
#include "model/world.h"

namespace model {

// What lies beyond the lower of both ends in its page was never contents, or is not any more.
void World::Resize(uint64_t id, uint64_t size) {
  MemoryObject& object = files_.objects.at(id);
  const uint64_t low = std::min(object.size, size);
  if (size == object.size) return;
  if (object.kind == MemoryObject::Kind::kFile && size < object.made_up) {
    // The page that is cut is no longer as it was made up.
    const uint64_t page = size >> base::kPageShift;
    const PageSource source = Space::LookInFile(id, page, files_);
    if (!base::IsPageAligned(size) && source.file_page == nullptr) {
      files_[id][page].value = source.Base();
    }
    object.made_up = size;
  }
  object.size = size;
  auto stored = files_.find(id);
  if (stored == files_.end()) return;
  const uint64_t tail = low & base::kPageMask;
  auto last = stored->second.find(low >> base::kPageShift);
  if (tail != 0 && last != stored->second.end()) {
    last->second.value.Store(tail, base::kPageSize - tail, 0, base::TruncPage(low));
  }
  stored->second.erase(stored->second.lower_bound(object.pages()), stored->second.end());
}

uint64_t World::MakeObject(MemoryObject::Kind kind, uint64_t size, uint32_t seals) {
  const uint64_t id = files_.next_id;
  files_.next_id += 2;
  files_.objects[id] = {.kind = kind, .size = size, .seals = seals};
  return id;
}

// A removed segment goes with its last attachment: it holds no memory any more. What was moved out
// of an attachment's range stays.
void World::MayDropSegment(uint64_t id) {
  MemoryObject& segment = files_.objects.at(id);
  if (segment.removed && segment.attachments == 0) segment.locked = false;
}

void World::Attach(Task* task, uint64_t segment, uint64_t start) {
  task->attachments.insert(task->attachments.begin(), {segment, start});
  ++files_.objects.at(segment).attachments;
}

// An exec, or the end of the task.
void World::ForgetAttachments(Task* task) {
  for (const Task::Attachment& at : task->attachments) {
    --files_.objects.at(at.segment).attachments;
    MayDropSegment(at.segment);
  }
  task->attachments.clear();
}

void World::CommitShared(const Step& step, Task* task) {
  switch (step.action) {
    case Step::Action::kMakeMemfd:
      files_.memfds[step.file_key] = MakeObject(MemoryObject::Kind::kMemfd, step.size, step.seals);
      break;
    case Step::Action::kTruncate:
      Resize(step.object, step.size);
      break;
    case Step::Action::kSeal:
      files_.objects.at(step.object).seals = step.seals;
      break;
    case Step::Action::kCloseMemfd:
      files_.memfds.erase(step.file_key);
      break;
    case Step::Action::kMakeSegment:
      files_.segments[step.file_key] = MakeObject(MemoryObject::Kind::kSegment, step.size, 0);
      break;
    case Step::Action::kDetach: {
      const uint64_t id = task->attachments[step.size].segment;
      task->attachments.erase(task->attachments.begin() + static_cast<ptrdiff_t>(step.size));
      task->space.Unmap(step.start, step.end);
      --files_.objects.at(id).attachments;
      MayDropSegment(id);
      break;
    }
    case Step::Action::kRemoveSegment:
      files_.segments.erase(step.file_key);
      files_.objects.at(step.object).removed = true;
      MayDropSegment(step.object);
      break;
    case Step::Action::kLockSegment:
    case Step::Action::kUnlockSegment:
      files_.objects.at(step.object).locked = step.action == Step::Action::kLockSegment;
      break;
    default:
      UNREACHABLE("no action of memory with a name");
  }
}

}  // namespace model
