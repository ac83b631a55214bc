// The BSD personality: mmap(2) and its relatives, with errno values.
//
// Argument checks stand in the order in which they decide, before anything is changed. Addresses
// are rounded with plain wrapping arithmetic, as the calls do. SEE facts/uvm.md 2.14; design.md D11
// (the model states the same on its own).

#include "vmserver/bsd_words.h"
#include "vmserver/server.h"

namespace vmserver {

using base::Errno;
using base::Range;
using base::Vaddr;

Answer Server::Mmap(Task* task, const Message& m) {
  uvm::MmapArguments arguments = MmapOperands(m);
  const uint64_t key = MmapKey(m);
  arguments.file.given = key != 0;
  if (key != 0) {
    const File* file = FileOf(key);
    if (file == nullptr) return Errno::kEnomem;
    arguments.file.object = file->object;
  }
  return AnswerOf(Calls().Mmap(&task->process, arguments));
}

File* Server::FileOf(uint64_t key) {
  uvm::MutexLock lock(&mu_);
  File* file = files_.Find(key);
  if (file != nullptr) return file;
  auto object = uvm_->CreateStoredObject(&file_store_, key);
  if (!object.ok()) return nullptr;
  file = files_.Add(key, object.value());
  // An object without a record would be a second one for its key next time.
  if (file == nullptr) uvm_->ReleaseObject(object.value());
  return file;
}

Answer Server::Munmap(Task* task, const Message& m) {
  return Calls().Munmap(&task->process, m.words[0], m.words[1]);
}

Answer Server::Mprotect(Task* task, const Message& m) {
  return Calls().Mprotect(&task->process, m.words[0], m.words[1], BsdProt(m.words[2]));
}

Answer Server::Minherit(Task* task, const Message& m) {
  return Calls().Minherit(&task->process, m.words[0], m.words[1], m.words[2]);
}

Answer Server::Madvise(Task* task, const Message& m) {
  return Calls().Madvise(&task->process, m.words[0], m.words[1], m.words[2]);
}

Answer Server::Mremap(Task* task, const Message& m) {
  return AnswerOf(Calls().Mremap(&task->process, m.words[0], m.words[1], m.words[2], m.words[3],
                                 static_cast<uint32_t>(m.words[4])));
}

Answer Server::Mlock(Task* task, const Message& m) {
  return Calls().Mlock(&task->process, m.words[0], m.words[1]);
}

Answer Server::Munlock(Task* task, const Message& m) {
  return Calls().Munlock(&task->process, m.words[0], m.words[1]);
}

Answer Server::Mlockall(Task* task, const Message& m) {
  return Calls().Mlockall(&task->process, static_cast<uint32_t>(m.words[0]));
}

Answer Server::Munlockall(Task* task) { return Calls().Munlockall(&task->process); }

Answer Server::Mincore(Task* task, const Message& m) {
  constexpr uint64_t kBitsPerWord = 32;
  uint64_t page = 0;
  uint64_t resident_pages = 0;
  L4_Word_t bits[4] = {};
  auto visit = [&](bool resident, base::PageCount pages) {
    if (resident) resident_pages += pages.value();
    const uint64_t end = page + pages.value();
    for (; page < end && page < 4 * kBitsPerWord; ++page) {
      bits[page / kBitsPerWord] |= L4_Word_t{resident} << (page % kBitsPerWord);
    }
    page = end;
    return true;
  };
  Errno error = Calls().Mincore(&task->process, m.words[0], m.words[1], visit);
  if (error != Errno::kOk) return error;
  Answer answer = Answer(Errno::kOk).With(resident_pages);
  for (L4_Word_t word : bits) answer.With(word);
  return answer;
}

Answer Server::Msync(Task* task, const Message& m) {
  return Calls().Msync(&task->process, m.words[0], m.words[1], static_cast<uint32_t>(m.words[2]));
}

Answer Server::Brk(Task* task, const Message& m) {
  if (!task->has_heap) return Errno::kEinval;
  return Calls().Brk(&task->process, m.words[0]);
}

Answer Server::Fork(Task* task) {
  auto born = Birth({.personality = Personality::kBsd,
                     .width = task->width,
                     .owner = task->id,
                     .parent = task,
                     .inherit = true});
  if (!born.ok()) {
    return born.error() == BirthError::kTooMany ? Errno::kEagain : Errno::kEnomem;
  }
  return Answer(Errno::kOk).With(born.value()->id).With(born.value()->first_thread().raw);
}

// The thread that asks is the only one that goes on.
Answer Server::Exec(Task* task, const Message& m) {
  EndOtherThreads(task, m.client);
  auto emptied = uvm_->ExecSpace(task->space);
  if (!emptied.ok()) return uvm::ErrnoOf(emptied.error());
  shared_->Forget(&task->process);
  task->has_heap = false;
  return Errno::kOk;
}

Answer Server::Exit(Task* task, const Message& m) {
  if (task == init_) return Errno::kEperm;  // nobody else could make tasks
  EndTask(task, m.client);
  Answer nobody(Errno::kOk);
  nobody.silent = true;
  return nobody;
}

Answer Server::ExecBrk(Task* task, const Message& m) {
  const uvm::Map& map = task->space->map();
  const Vaddr at(m.words[0]);
  if (!at.IsAligned() || at < map.min() || at >= map.max()) return Errno::kEinval;
  task->has_heap = true;
  task->process.heap_start = task->process.heap_end = at;
  return Errno::kOk;
}

// Linux's MADV_DONTNEED, whose errors are those of a range that is not all mapped memory.
Answer Server::LinuxDontneed(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  if (!base::IsPageAligned(m.words[0])) return Errno::kEinval;
  Range range;
  if (!Range::FromSize(Vaddr(m.words[0]), base::RoundPage(m.words[1]), &range) ||
      range.start < map.min() || range.end > map.max()) {
    return Errno::kEnomem;
  }
  auto done = map.Discard(range);
  if (done.ok()) return Errno::kOk;
  return done.error() == base::MapError::kBusy ? Errno::kEinval : Errno::kEnomem;
}

}  // namespace vmserver
