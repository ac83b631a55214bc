// fake_l4/testing/world.h: a small L4 world for tests: boot, start lambdas as threads, run, look.
//
// WHAT     World boots a Kernel whose root does nothing, or runs what the test gives it. Threads
//          started in root's space are privileged; a thread in a new space has the pager it is
//          given. Letters are bytes: contents are shown as text. Also supplies vm_panic: on a
//          simulated thread it ends the machine, which Run() then reports.
#ifndef FAKE_L4_TESTING_WORLD_H_
#define FAKE_L4_TESTING_WORLD_H_

#include <l4/types.h>

#include <functional>
#include <string>

#include "base/addr.h"
#include "fake_l4/kernel.h"

namespace fake_l4 {

class World {
 public:
  explicit World(const BootOptions& options = {.ram_bytes = uint64_t{4} << 20,
                                               .scribble_registers = true});

  // As if newly constructed.
  void Reset();

  Kernel& kernel() { return kernel_; }
  const Kernel& kernel() const { return kernel_; }

  // Starts a thread in root's space, in the space of another thread, or in a new one. The default
  // pager is root, which never answers.
  L4_ThreadId_t Spawn(std::function<void()> body, uint8_t priority = 100);
  L4_ThreadId_t SpawnWith(L4_ThreadId_t neighbour, std::function<void()> body,
                          L4_ThreadId_t pager = {0});
  L4_ThreadId_t SpawnInNewSpace(std::function<void()> body, L4_ThreadId_t pager = {0});

  // Runs until idle; true when it ended so, all invariants hold, and nothing crashed. Otherwise
  // problem() tells.
  bool Run(const RunOptions& options = {});
  const std::string& problem() const { return problem_; }

  SpaceId SpaceOf(L4_ThreadId_t thread) const;
  // What threads of its own space see as the sender of its messages.
  L4_ThreadId_t LocalId(L4_ThreadId_t thread) const;
  // Rights of a page as "rw-", "---" when nothing is mapped.
  std::string Rights(L4_ThreadId_t thread, uint64_t va) const;
  // Rights of `pages` pages from va on, one letter each: '.' nothing, 'r' read, 'w' read and write,
  // 'x' any with execute.
  std::string Layout(L4_ThreadId_t thread, uint64_t va, int pages) const;
  bool SameFrame(L4_ThreadId_t a, uint64_t va_a, L4_ThreadId_t b, uint64_t va_b) const;

 private:
  Kernel kernel_;
  std::string problem_;
};

// For bodies, on the simulated thread: sends one map item to `to`, waiting for it. Returns the tag.
L4_MsgTag_t SendMap(L4_ThreadId_t to, L4_Fpage_t fpage, L4_Word_t send_base);
// Receives one message from `from` with map items accepted into `window`. Returns the tag.
L4_MsgTag_t ReceiveMap(L4_ThreadId_t from, L4_Fpage_t window);
// Rights fpage of one page.
L4_Fpage_t Page(uint64_t va, unsigned rights);
// A pager that answers each fault with a page of its own at the same address, with all rights it
// has; for ever.
void PagerLoop();

}  // namespace fake_l4

#endif  // FAKE_L4_TESTING_WORLD_H_
