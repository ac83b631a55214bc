#include "fake_l4/testing/world.h"

#include <l4/ipc.h>
#include <l4/message.h>

#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/text_sink.h"

extern "C" void vm_panic(const char* file, int line, const char* what) {
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: CHECK failed: %s", file, line, what);
  fake_l4::Kernel::Crash(text);
}

namespace fake_l4 {

World::World(const BootOptions& options) : kernel_(options) {
  kernel_.RegisterEntry(Kernel::kRootEntry, [] {});
}

void World::Reset() {
  kernel_.Reset();
  kernel_.RegisterEntry(Kernel::kRootEntry, [] {});
}

L4_ThreadId_t World::Spawn(std::function<void()> body, uint8_t priority) {
  return kernel_.Boot({.entry = std::move(body), .priority = priority});
}

L4_ThreadId_t World::SpawnWith(L4_ThreadId_t neighbour, std::function<void()> body,
                               L4_ThreadId_t pager) {
  return kernel_.Boot({.entry = std::move(body), .space = SpaceOf(neighbour), .pager = pager});
}

L4_ThreadId_t World::SpawnInNewSpace(std::function<void()> body, L4_ThreadId_t pager) {
  return kernel_.Boot({.entry = std::move(body), .new_space = true, .pager = pager});
}

bool World::Run(const RunOptions& options) {
  problem_.clear();
  const StopReason reason = kernel_.RunUntilIdle(options);
  if (reason == StopReason::kCrashed) problem_ = kernel_.crash_text();
  if (reason == StopReason::kSwitches) problem_ = "still running\n" + kernel_.DescribeWaits();
  if (!problem_.empty()) return false;
  char text[512];
  base::TextSink sink(text, sizeof text);
  if (!kernel_.CheckInvariants(sink)) problem_ = text;
  return problem_.empty();
}

SpaceId World::SpaceOf(L4_ThreadId_t thread) const {
  SpaceId space{};
  CHECK(kernel_.SpaceOf(thread, &space));
  return space;
}

L4_ThreadId_t World::LocalId(L4_ThreadId_t thread) const {
  ThreadInfo info;
  CHECK(kernel_.Inspect(thread, &info));
  return info.local_id;
}

std::string World::Rights(L4_ThreadId_t thread, uint64_t va) const {
  const RightsBits r = kernel_.Inspect(SpaceOf(thread), base::Vaddr(va)).rights;
  std::string text = "---";
  if (r & kR) text[0] = 'r';
  if (r & kW) text[1] = 'w';
  if (r & kX) text[2] = 'x';
  return text;
}

std::string World::Layout(L4_ThreadId_t thread, uint64_t va, int pages) const {
  std::string text;
  for (int i = 0; i < pages; i++) {
    const RightsBits r = kernel_.Inspect(SpaceOf(thread), base::Vaddr(va + i * 4096)).rights;
    text += r == 0 ? '.' : r & kX ? 'x' : r & kW ? 'w' : 'r';
  }
  return text;
}

bool World::SameFrame(L4_ThreadId_t a, uint64_t va_a, L4_ThreadId_t b, uint64_t va_b) const {
  const Mapping ma = kernel_.Inspect(SpaceOf(a), base::Vaddr(va_a));
  const Mapping mb = kernel_.Inspect(SpaceOf(b), base::Vaddr(va_b));
  return ma.mapped() && mb.mapped() && ma.frame == mb.frame;
}

L4_MsgTag_t SendMap(L4_ThreadId_t to, L4_Fpage_t fpage, L4_Word_t send_base) {
  L4_Msg_t msg;
  L4_MsgClear(&msg);
  L4_MsgAppendMapItem(&msg, L4_MapItem(fpage, send_base));
  L4_MsgLoad(&msg);
  return L4_Send(to);
}

L4_MsgTag_t ReceiveMap(L4_ThreadId_t from, L4_Fpage_t window) {
  L4_Accept(L4_MapGrantItems(window));
  const L4_MsgTag_t tag = L4_Receive(from);
  L4_Accept(L4_UntypedWordsAcceptor);
  return tag;
}

L4_Fpage_t Page(uint64_t va, unsigned rights) {
  return L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(va), 12), rights);
}

void PagerLoop() {
  L4_ThreadId_t from;
  L4_MsgTag_t tag = L4_Wait(&from);
  for (;;) {
    L4_Word_t address = 0;
    L4_StoreMR(1, &address);
    const L4_MapItem_t item = L4_MapItem(Page(address & ~L4_Word_t{4095}, L4_FullyAccessible),
                                         address & ~L4_Word_t{4095});
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    tag = L4_IsPageFault(tag) ? L4_ReplyWait(from, &from) : L4_Wait(&from);
  }
}

}  // namespace fake_l4
