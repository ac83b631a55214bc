// model/naive_tasks.h: what the oracle's own oracle (naive_world_test.cc) knows of a task.
//
// WHAT     Six pages, each with its own attributes and, unless it is a file's page itself, its own
//          bytes. Tasks that share a page after a fork point to the same bytes.

#ifndef MODEL_NAIVE_TASKS_H_
#define MODEL_NAIVE_TASKS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "model/naive_draws.h"
#include "model/space.h"

namespace model::naive {

using Bytes = std::array<unsigned char, 4096>;

struct Page {
  bool mapped = false;
  Attributes attributes;
  std::shared_ptr<std::optional<Bytes>> own;  // null: the file's page itself
  uint64_t file_key = 0;
  uint64_t file_offset = 0;
};

struct NaiveTask {
  std::array<Page, kNaivePages> pages;
  bool mach = false;
  bool made_by_init = false;
  std::optional<uint64_t> heap_base;
  uint64_t heap_current = 0;
  bool wires_future = false;
};

}  // namespace model::naive

#endif  // MODEL_NAIVE_TASKS_H_
