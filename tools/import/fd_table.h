// tools/import/fd_table.h: which file a descriptor means, followed through open, dup, close and
// fork.

#ifndef TOOLS_IMPORT_FD_TABLE_H_
#define TOOLS_IMPORT_FD_TABLE_H_

#include <cstdint>
#include <map>
#include <string>

namespace tools {

// Threads that share a table (CLONE_FILES) name the same group; close-on-exec is not followed,
// because a number that was closed by exec means nothing until it is opened again.
class FdTables {
 public:
  void Open(int tid, int64_t fd, std::string path) { Of(tid)[fd] = std::move(path); }
  void Dup(int tid, int64_t from, int64_t to) {
    if (from != to) Of(tid)[to] = Path(tid, from);
  }
  void Close(int tid, int64_t fd) { Of(tid).erase(fd); }
  // Empty when nothing is known of it.
  std::string Path(int tid, int64_t fd) {
    const std::map<int64_t, std::string>& table = Of(tid);
    const auto it = table.find(fd);
    return it == table.end() ? std::string() : it->second;
  }
  // CLONE_FILES makes parent and child use one table.
  enum class Table { kOwn, kShared };
  void Fork(int parent, int child, Table table) {
    const int from = Group(parent);
    if (table == Table::kShared) {
      groups_[child] = from;
      return;
    }
    groups_[child] = child;
    tables_[child] = std::map<int64_t, std::string>(tables_[from]);
  }

 private:
  int Group(int tid) { return groups_.try_emplace(tid, tid).first->second; }
  std::map<int64_t, std::string>& Of(int tid) { return tables_[Group(tid)]; }

  std::map<int, int> groups_;  // thread to table
  std::map<int, std::map<int64_t, std::string>> tables_;
};

}  // namespace tools

#endif  // TOOLS_IMPORT_FD_TABLE_H_
