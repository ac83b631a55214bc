// Messages made of pages that are lent: send and receive.
//
// Tasks of one family (a task of init's and all that descend from it) share one queue, as if they
// had inherited the two ends of a pipe. A sender's pages are lent to the server as they are,
// without a copy; who writes to them meanwhile, through whatever mapping or call, breaks the loan,
// and the message stays what it was. Receiving copies it out and returns the loan. A message
// outlives its sender, and its mappings, but not its family. SEE uvm/loan.h;
// facts/uvm.md 1.13, 2.15.

#include "uvm/loan.h"
#include "vmserver/bsd_words.h"
#include "vmserver/server.h"

namespace vmserver {

using base::Access;
using base::Errno;
using base::MapError;
using base::Range;
using base::Vaddr;

bool Server::MayQueue(uint32_t family) {
  uint32_t count = 0;
  for (LentMessage* at = messages_.front(); at != nullptr; at = messages_.Next(at)) {
    count += at->family == family ? 1 : 0;
  }
  return count < kMaxMessages;
}

void Server::Disown(uint32_t family, Messages* out) {
  for (Task* task = tasks_.front(); task != nullptr; task = tasks_.Next(task)) {
    if (task->family == family) return;
  }
  LentMessage* next;
  for (LentMessage* at = messages_.front(); at != nullptr; at = next) {
    next = messages_.Next(at);
    if (at->family != family) continue;
    messages_.Remove(at);
    out->PushBack(at);
  }
}

void Server::Drop(LentMessage* message) {
  uvm_->loans().ReturnPages(message->pages, message->page_count());
  uvm::MutexLock lock(&mu_);
  claimed_ -= message->claimed;
  message_pool_.Delete(message);
}

// What only keeps addresses has no page that could be lent until somebody has touched it.
base::Result<void, MapError> Server::Lend(Task* task, Range range, uvm::Page** pages) {
  uvm::Map* map = &task->space->map();
  auto lent = uvm_->loans().LendPages(map, range, pages);
  if (lent.ok()) return lent;
  for (Vaddr va = range.start; va < range.end; va = va + base::kPageSize) {
    auto fault = uvm_->Fault(task->space, va, Access::kRead);
    if (!fault.ok()) return MapError::kInvalidArgument;
  }
  return uvm_->loans().LendPages(map, range, pages);
}

// What is lent cannot be paged out. A page that several messages have counts in each.
LentMessage* Server::NewMessage(Task* task, uint64_t bytes, Errno* why) {
  const uint64_t pages = bytes >> base::kPageShift;
  uvm::MutexLock lock(&mu_);
  *why = Errno::kEagain;
  if (!MayQueue(task->family)) return nullptr;
  *why = Errno::kEnomem;
  if (claimed_ + pages > uvm_->frames().lend_max().value()) return nullptr;
  LentMessage* message = message_pool_.New();
  if (message == nullptr) return nullptr;
  message->family = task->family;
  message->claimed = pages;
  claimed_ += pages;
  return message;
}

Answer Server::Post(LentMessage* message, Errno failed) {
  if (failed == Errno::kOk) {
    uvm::MutexLock lock(&mu_);
    if (MayQueue(message->family)) {
      messages_.PushBack(message);
      return Answer(Errno::kOk).With(message->bytes);
    }
    failed = Errno::kEagain;
  }
  Drop(message);
  return failed;
}

Answer Server::SendMessage(Task* task, const Message& m) {
  const Vaddr at(m.words[0]);
  const uint64_t size = m.words[1];
  if (size == 0 || !at.IsAligned() || !base::IsPageAligned(size)) return Errno::kEinval;
  if (size > kMaxMessageBytes) return Errno::kEmsgsize;
  Errno failed;
  LentMessage* message = NewMessage(task, size, &failed);
  if (message == nullptr) return failed;
  Range range;
  failed = Errno::kOk;
  if (!Range::FromSize(at, size, &range) || !task->space->map().CheckProt(range, base::kProtRead)) {
    failed = Errno::kEfault;
  } else if (!Lend(task, range, message->pages).ok()) {
    failed = Errno::kEinval;
  } else {
    message->bytes = size;
  }
  return Post(message, failed);
}

// Of a file's pages, whoever has them mapped.
Answer Server::SendFile(Task* task, const Message& m) {
  const uint64_t size = m.words[0];
  const uint64_t key = Wide(m.words[1], m.words[2]);
  const uint64_t offset = Wide(m.words[3], m.words[4]);
  constexpr uint64_t kMostOffset = uint64_t{1} << 63;
  if (key == 0) return Errno::kEbadf;
  if (size == 0 || !base::IsPageAligned(offset) || !base::IsPageAligned(size)) {
    return Errno::kEinval;
  }
  if (size > kMaxMessageBytes) return Errno::kEmsgsize;
  if (offset > kMostOffset - size) return Errno::kEinval;
  Errno failed;
  LentMessage* message = NewMessage(task, size, &failed);
  if (message == nullptr) return failed;
  const File* file = FileOf(key);
  if (file == nullptr) return Post(message, Errno::kEnomem);
  auto lent = uvm_->loans().LendObjectPages(file->object, base::ToPageIndex(offset),
                                            static_cast<uint32_t>(size >> base::kPageShift),
                                            message->pages);
  if (lent.ok()) {
    message->bytes = size;
    return Post(message, Errno::kOk);
  }
  switch (lent.error()) {
    case uvm::PagerError::kBusy:
      return Post(message, Errno::kEbusy);
    case uvm::PagerError::kPastEnd:
      return Post(message, Errno::kEinval);
    case uvm::PagerError::kNoMemory:
      return Post(message, Errno::kEnomem);
    default:
      return Post(message, Errno::kEio);
  }
}

// The server borrows pages for nothing else, so that the counts are exact. REQUIRES: no receive is
// under way, and uvm's invariants hold: who checks them first sees a page that is lent to nobody.
bool Server::MessagesHoldTheirLoans(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uvm::Page* wrong = nullptr;
  uint32_t found = 0;
  auto check = [&](const uvm::Page& page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (page.loan_count == 0 || wrong != nullptr) return;
    // An anon that borrows its object's page.
    uint32_t loans = page.object != nullptr && page.anon != nullptr ? 1 : 0;
    for (LentMessage* at = messages_.front(); at != nullptr; at = messages_.Next(at)) {
      for (uint64_t i = 0; i < at->page_count(); ++i) loans += at->pages[i] == &page ? 1 : 0;
    }
    if (loans == page.loan_count) return;
    wrong = &page;
    found = loans;
  };
  // Most often a walk over the messages is enough: what they hold is lent as often, and nothing
  // else is lent, says a count which is part of I14 (ValidPageStates, checked first). debug_wired
  // is 0 between walks.
  auto for_each = [&](auto visit) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (LentMessage* at = messages_.front(); at != nullptr; at = messages_.Next(at)) {
      for (uint64_t i = 0; i < at->page_count(); ++i) visit(at->pages[i]);
    }
  };
  uint64_t distinct = 0;
  bool alike = true;
  for_each([](uvm::Page* page) { ++page->debug_wired; });
  for_each([&](uvm::Page* page) {
    if (page->debug_wired == 0) return;
    const uint32_t borrowed = page->object != nullptr && page->anon != nullptr ? 1 : 0;
    alike = alike && page->debug_wired + borrowed == page->loan_count;
    page->debug_wired = 0;
    ++distinct;
  });
  if (alike && distinct == uvm_->DebugPages().lent_count().value()) return true;
  uvm_->DebugPages().DebugForEach(check);
  for (LentMessage* at = messages_.front(); at != nullptr; at = messages_.Next(at)) {
    for (uint64_t i = 0; i < at->page_count() && wrong == nullptr; ++i) {
      if (at->pages[i]->loan_count == 0) wrong = at->pages[i];
    }
  }
  if (wrong == nullptr) return true;
  *text << "frame " << wrong->pa.value() << " loan_count=" << wrong->loan_count
        << ", borrowers found=" << found;
  return false;
}

// While it is copied out nobody else sees the message.
Answer Server::ReceiveMessage(Task* task, const Message& m) {
  LentMessage* message;
  {
    uvm::MutexLock lock(&mu_);
    message = messages_.front();
    while (message != nullptr && message->family != task->family) {
      message = messages_.Next(message);
    }
    if (message == nullptr) return Errno::kEagain;
    messages_.Remove(message);
  }
  uint64_t size = message->bytes - message->received;
  if (m.words[1] < size) size = m.words[1];
  uint64_t done = 0;
  base::Result<void, base::FaultError> copied;
  while (copied.ok() && done < size) {
    const uint64_t from = message->received + done;
    uint64_t some = base::kPageSize - (from & base::kPageMask);
    if (size - done < some) some = size - done;
    unsigned char* contents = pmap_.HomePointer(message->pages[from >> base::kPageShift]->pa);
    uint64_t moved;
    copied = uvm_->CopyBytes(task->space, Vaddr(m.words[0] + done),
                             contents + (from & base::kPageMask), some, Access::kWrite, &moved);
    done += moved;
  }
  const bool shortage = !copied.ok() && copied.error() == base::FaultError::kNoMemory;
  const bool taken = copied.ok() || (shortage && done > 0);
  if (taken) message->received += done;
  if (message->received == message->bytes) {
    Drop(message);
  } else {
    uvm::MutexLock lock(&mu_);
    messages_.PushFront(message);
  }
  if (taken) return Answer(Errno::kOk).With(done);
  return shortage ? Errno::kEnomem : Errno::kEfault;
}

}  // namespace vmserver
