// Laws about what tasks see of each other, stated without the model: expected bytes are computed
// here.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "proptests/engine/session.h"
#include "traces/op.h"

namespace proptests {
namespace {

using traces::Op;
using traces::OpKind;

constexpr uint64_t kBase = 0x100000;
constexpr uint64_t kPage = base::kPageSize;
const std::vector<std::string> kNoFiles;

// One page gets one letter.
struct Store {
  uint64_t page;
  char letter;
};

// One that refuses has no place here: every operation is to succeed.
RunOptions Careful() {
  RunOptions options;
  options.machine.seed = *rc::gen::inRange<uint64_t>(0, 1000);
  if (*rc::gen::inRange(0, 3) == 0) options.machine.adversity = machine::Adversity::kForgetful;
  options.whole_every = 1;
  options.machine.ram_bytes = uint64_t{8} << 20;
  return options;
}

std::vector<Store> DrawStores(uint64_t pages) {
  auto store =
      rc::gen::build<Store>(rc::gen::set(&Store::page, rc::gen::inRange<uint64_t>(0, pages)),
                            rc::gen::set(&Store::letter, rc::gen::inRange<char>('A', 'Z' + 1)));
  return *rc::gen::container<std::vector<Store>>(store);
}

// A machine with one task s1 that has `pages` pages at kBase; every step must pass the engine's own
// checks too.
class World {
 public:
  World(uint64_t pages, uint32_t flags) : session_(Careful(), &kNoFiles) {
    Op op;
    op.child = 1;
    Do(op);
    Op map = Call(OpKind::kMmap, 1, 0, pages * kPage);
    map.prot = base::kProtReadWrite;
    map.flags = flags | traces::kFlagFixed;
    Do(map);
  }
  void Fork(uint32_t parent, uint32_t child) {
    Op op = Call(OpKind::kFork, parent, 0, 0);
    op.at = {};
    op.child = child;
    Do(op);
  }
  void SetInherit(uint32_t task, uint64_t pages, base::Inherit inherit) {
    Op op = Call(OpKind::kMinherit, task, 0, pages * kPage);
    op.inherit = inherit;
    Do(op);
  }
  void Write(uint32_t task, const Store& store) {
    Op op = Call(OpKind::kWrite, task, store.page, 1);
    op.value = static_cast<unsigned char>(store.letter);
    Do(op);
  }
  // "A.C": the first byte of each page, '.' for 0.
  std::string Read(uint32_t task, uint64_t pages) {
    std::string text;
    for (uint64_t page = 0; page < pages; ++page) {
      Do(Call(OpKind::kRead, task, page, 1));
      uint64_t value = session_.last_outcome().value;
      text += value == 0 ? '.' : static_cast<char>(value);
    }
    return text;
  }
  void Finish() { RC_ASSERT(session_.Finish()); }

 private:
  static Op Call(OpKind kind, uint32_t task, uint64_t page, uint64_t size) {
    Op op;
    op.kind = kind;
    op.task = {task, false};
    op.at = traces::At(kBase + page * kPage);
    op.size = size;
    return op;
  }
  void Do(const Op& op) {
    if (session_.Step(op) && session_.last_outcome().ok()) return;
    RC_FAIL(session_.failure() ? session_.failure()->text
                               : std::string("an operation failed that may not fail"));
  }
  Session session_;
};

std::string After(std::string text, const std::vector<Store>& stores) {
  for (const Store& store : stores) text[store.page] = store.letter;
  return text;
}

RC_GTEST_PROP(IsolationPropTest, ForkedChildNeverSeesParentsLaterWrites, ()) {
  uint64_t pages = *rc::gen::inRange<uint64_t>(1, 40);
  std::vector<Store> before = DrawStores(pages);
  std::vector<Store> after = DrawStores(pages);
  World world(pages, traces::kFlagPrivate);
  for (const Store& store : before) world.Write(1, store);
  std::string at_fork = After(std::string(pages, '.'), before);
  world.Fork(1, 2);
  for (const Store& store : after) world.Write(1, store);
  RC_ASSERT(world.Read(2, pages) == at_fork);
  RC_ASSERT(world.Read(1, pages) == After(at_fork, after));
  world.Finish();
}

RC_GTEST_PROP(IsolationPropTest, ParentNeverSeesForkedChildsWrites, ()) {
  uint64_t pages = *rc::gen::inRange<uint64_t>(1, 40);
  std::vector<Store> before = DrawStores(pages);
  std::vector<Store> childs = DrawStores(pages);
  std::vector<Store> grandchilds = DrawStores(pages);
  World world(pages, traces::kFlagPrivate);
  for (const Store& store : before) world.Write(1, store);
  std::string at_fork = After(std::string(pages, '.'), before);
  world.Fork(1, 2);
  for (const Store& store : childs) world.Write(2, store);
  world.Fork(2, 3);
  for (const Store& store : grandchilds) world.Write(3, store);
  std::string childs_view = After(at_fork, childs);
  RC_ASSERT(world.Read(1, pages) == at_fork);
  RC_ASSERT(world.Read(2, pages) == childs_view);
  RC_ASSERT(world.Read(3, pages) == After(childs_view, grandchilds));
  world.Finish();
}

RC_GTEST_PROP(IsolationPropTest, SharersSeeEveryWriteOfEachOther, ()) {
  uint64_t pages = *rc::gen::inRange<uint64_t>(1, 40);
  bool by_minherit = *rc::gen::arbitrary<bool>();
  std::vector<Store> parents = DrawStores(pages);
  std::vector<Store> childs = DrawStores(pages);
  World world(pages, by_minherit ? traces::kFlagPrivate : traces::kFlagShared);
  if (by_minherit) world.SetInherit(1, pages, base::Inherit::kShare);
  world.Fork(1, 2);
  for (const Store& store : parents) world.Write(1, store);
  for (const Store& store : childs) world.Write(2, store);
  std::string both = After(After(std::string(pages, '.'), parents), childs);
  RC_ASSERT(world.Read(1, pages) == both);
  RC_ASSERT(world.Read(2, pages) == both);
  world.Finish();
}

RC_GTEST_PROP(IsolationPropTest, CopyOfSharedMemoryIsASnapshot, ()) {
  uint64_t pages = *rc::gen::inRange<uint64_t>(1, 40);
  std::vector<Store> before = DrawStores(pages);
  std::vector<Store> sharers = DrawStores(pages);
  std::vector<Store> copiers = DrawStores(pages);
  World world(pages, traces::kFlagShared);
  for (const Store& store : before) world.Write(1, store);
  world.Fork(1, 2);
  world.SetInherit(2, pages, base::Inherit::kCopy);
  world.Fork(2, 3);
  for (const Store& store : sharers) world.Write(1, store);
  for (const Store& store : copiers) world.Write(3, store);
  std::string at_copy = After(std::string(pages, '.'), before);
  RC_ASSERT(world.Read(2, pages) == After(at_copy, sharers));
  RC_ASSERT(world.Read(3, pages) == After(at_copy, copiers));
  world.Finish();
}

}  // namespace
}  // namespace proptests
