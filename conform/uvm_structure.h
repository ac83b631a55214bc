// conform/uvm_structure.h: the decisions by which our structure differs from the recorded UVM's.
//
// WHAT     Where entries, amaps, counters or translations are not as recorded although every page
//          means the same, the difference has the name of a decision: a row of docs/DIFFERENCES.md.
//          A decision excuses no field as such but certain pages: those that the recording shows an
//          operation to have done something to that ours does otherwise. They go where their
//          mappings go, and are forgotten when nothing maps them any more. A difference of an
//          entry, or of a translation, is decided where it is about such a page; one of a counter
//          where the operation before it was about such pages, and by no more than they are: what
//          a counter is off by stays the same over all other operations.
// INVARIANTS  Ours counts only for how much, and in which direction, a value differs, and for which
//          entries have one amap, or pages one anon.
// SEE      uvm_books.h for what the recording's own numbers must be; conform/README.md, "Sequences
//          of the real UVM".
#ifndef CONFORM_UVM_STRUCTURE_H_
#define CONFORM_UVM_STRUCTURE_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "conform/uvm_pages.h"
#include "conform/uvm_picture.h"
#include "conform/uvm_recording.h"

namespace conform {

// All names that UvmCauses gives.
absl::Span<const char* const> UvmStructureNames();

// What happened in one sequence so far.
class UvmCauses {
 public:
  enum class Memory : uint8_t { kPlenty, kScarce };
  explicit UvmCauses(Memory memory) : short_(memory == Memory::kScarce) {}
  // An operation, before its effects are in `picture`, and before ours has done it.
  void Operation(const UvmOpLine& line, const UvmPicture& picture, const UvmReplay& replay);
  // Directed scenarios say in words what the operations have no line for.
  void Note(const std::string& text);
  // An entry that the last operation changed.
  // `picture` does not know of it yet.
  void Entry(const UvmEntry& entry, const UvmPicture& picture);
  // The conditions of a defect are met by the operation that follows.
  void Trigger(const std::string& defect) {
    loses_reference_ = loses_reference_ || defect == "B14";
  }
  // The last operation has been judged; its effects are in `picture`.
  void Settle(const UvmPicture& picture);
  // It failed there, succeeded here, and was undone: what it moved has no translations any more.
  void TakenBack(const UvmPicture& picture);
  // It succeeded there and could not read a page here, for good.
  void FailedHere(const UvmPicture& picture);
  // A page of the final contents could not be read there.
  void NotRead(uint64_t space, uint64_t va) {
    unread_.AddPage(space, va);
    unread_at_end_++;
  }
  // Pages have been read without lines about the maps.
  void Unsettle(const UvmPicture& picture);
  // The entry is as recorded.
  void Agrees(const UvmEntry& entry);

  // The decision behind a difference; null: none.
  // Of an entry's layers or boundaries, by what differs.
  // `partners`: what has the same amap as the entry of ours.
  const char* OfEntry(const UvmMismatch& m, const UvmEntry& recorded,
                      const std::vector<UvmSpan>& partners);
  // Of an amap, or a mark of one, that only the recorded entry got by the last operation.
  const char* OfNewAmap(const UvmEntry& recorded, const std::vector<UvmSpan>& partners);
  // Of how many entries, or pages, a space has. `more`: recorded than by its entries, in pages.
  const char* OfMap(uint64_t space) const;
  const char* OfSize(uint64_t space, uint64_t more) const;
  // Of how many anons there are where memory is short.
  const char* OfAnons(uint64_t recorded, uint64_t ours) const;
  // Of how many amaps there are.
  const char* OfAmaps() const;
  // Of a page's letter in a V line.
  const char* OfTranslation(uint64_t space, uint64_t va, char recorded, char ours) const;
  const char* OfPage(uint64_t space, uint64_t va, char recorded, char ours) const;
  // Of a counter of a space, or of the machine (space 0). Told after every operation.
  enum class Counter : uint8_t { kResident, kWiredMappings, kWired, kAnons };
  struct Verdict {
    bool differs = false;
    const char* name = nullptr;
  };
  Verdict OfCounter(Counter counter, uint64_t space, uint64_t recorded, uint64_t ours);
  // Of the pages in use that are no anon's. `zero_pages`: of ours, one or none.
  Verdict OfUsed(uint64_t recorded, uint64_t ours, uint64_t zero_pages);

 private:
  const bool short_;
  // Decisions about layers.
  enum Layers : uint8_t { kCopied, kMoved, kFailed, kWiredAll, kFaulted, kViews, kLayers };
  struct Offset {
    int64_t pages = 0;  // recorded minus ours
    const char* name = nullptr;
    bool known = true;
  };
  void NoteViews(const UvmEntry& entry, const UvmPicture& picture);
  void AddMapped(const UvmPicture& picture, UvmPages* pages) const;
  void AddEverywhere(const UvmPicture& picture, UvmPages* pages) const;
  void Promote(const UvmPicture& picture);
  void Promote(const UvmPicture& picture, const UvmEntry& written, uint64_t va);
  // How many of the pages the last operation may have done something to, in one space.
  uint64_t Reached(const UvmPages& pages, uint64_t space) const;
  // Named by it, in any space: they may be mapped at other places, too.
  uint64_t Named(const UvmPages& pages) const;
  uint64_t ReachedAnywhere(const UvmPages& pages) const;
  const char* Explain(Counter counter, uint64_t space, int64_t before, int64_t now) const;
  const char* ExplainMappings(Counter counter, uint64_t space, int64_t change) const;
  const char* ExplainWired(int64_t before, int64_t now) const;
  // Pages of an object that the last operation let go of, of which a reference was lost; at most.
  int64_t KeptPages() const;
  uint32_t ByOperation(const UvmEntry& recorded) const;
  // Which of `layers`, a mask, have to do with the entry.
  const char* LayerOf(uint32_t layers, const UvmEntry& recorded,
                      const std::vector<UvmSpan>& partners);
  const char* OfSlots(const UvmEntry& recorded, const UvmEntry& ours,
                      const std::vector<UvmSpan>& partners);
  const char* OfJoining(const UvmEntry& recorded, const UvmEntry& ours);
  void LendZeroes(const UvmOpLine& line, const UvmReplay& replay);
  void ChangeRights(const UvmOpLine& line, const UvmPicture& picture);

  const UvmOpLine* op_ = nullptr;
  std::vector<UvmSpan> spans_;  // of it
  bool wide_ = false;           // anything may have been touched
  std::array<UvmPages, kLayers> layers_;
  UvmPages blind_;     // were without read since they were mapped
  UvmPages lowered_;   // were given rights, and not been written since
  UvmPages given_up_;  // were cleaned, or given up
  UvmPages early_;     // ours were copied together with what the recorded operation had to copy
  UvmPages loose_;     // were wired, and without read: their wirings may stay, or go
  // May have an anon there only: an operation that failed came to them; one failed here. Here only:
  // they could not be read there.
  UvmPages failed_, failed_here_, unread_;
  uint64_t unread_at_end_ = 0, deferred_at_end_ = 0;
  // Other mappings of objects' pages that private ones got copies of; by the last operation.
  UvmPages promoted_, promoted_now_;
  UvmPages lent_;
  UvmPages taken_back_;
  UvmPages locked_;               // of spaces whose mlockall failed
  bool zero_page_ = false;        // exists there
  bool may_lend_zeroes_ = false;  // the last operation, which failed
  int64_t kept_pages_ = 0;
  bool loses_reference_ = false;  // the operation that follows
  std::set<int64_t> kept_;        // objects whose reference was lost
  std::map<int64_t, uint64_t> object_pages_;
  bool removed_ = false;  // pages were extracted and taken away from where they were
  std::map<std::pair<Counter, uint64_t>, Offset> offsets_;
};

}  // namespace conform

#endif  // CONFORM_UVM_STRUCTURE_H_
