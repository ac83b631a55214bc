// fake_l4/testing/naive_mappings.h: the manual's rules of map, grant and unmap, as directly as
// possible.
//
// WHAT     A space is a set of pages of 4 KiB; a page knows by name which page it was derived from.
//          Everything is found by searching; there are no larger pages, since a program cannot tell
//          them. An access is noted at once with everybody who is to be told.
// SEE      facts/l4.md sections 4.1, 5 (Unmap) and 7; mapping_database.h for what is checked by it.
#ifndef FAKE_L4_TESTING_NAIVE_MAPPINGS_H_
#define FAKE_L4_TESTING_NAIVE_MAPPINGS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fake_l4/profile.h"

namespace fake_l4 {

class NaiveMappings {
 public:
  // A page of a space; sigma0 is space 0 and has the page of each frame.
  struct Name {
    int space = 0;
    uint64_t page = 0;
    auto operator<=>(const Name&) const = default;
  };
  struct Page {
    Name parent;
    uint64_t frame = 0;
    RightsBits rights = 0;
    RightsBits own = 0;    // accesses its owner has not been told of: through this page,
    RightsBits below = 0;  // and through derived ones
    bool operator==(const Page&) const = default;
  };
  // sigma0 has the frames [first, end).
  NaiveMappings(const Profile& profile, uint64_t first, uint64_t end)
      : profile_(profile), first_(first), end_(end) {}

  // One item: fpages and send base as words, as in a message.
  enum class Kind { kMap, kGrant };
  void Transfer(Kind kind, int from, int to, uint64_t send_base, uint64_t send_fpage,
                uint64_t window);
  // Returns the status bits.
  RightsBits Unmap(int space, uint64_t fpage, bool flush);
  // The page is used in a way that leaves `bits`.
  void Access(Name name, RightsBits bits);

  const std::map<Name, Page>& pages() const { return pages_; }
  bool Has(Name name) const;
  // Everything there is, without status: equal texts, equal states.
  std::string Text() const;

 private:
  struct Extent {
    bool nil = true;
    uint64_t base = 0;
    unsigned log2 = 0;
    RightsBits rights = 0;
  };
  Extent Decode(uint64_t fpage) const;
  bool DerivesFrom(Name page, Name ancestor) const;
  std::vector<Name> Below(Name ancestor) const;
  void Remove(Name name);
  void TransferPage(Kind kind, Name source, Name target, RightsBits rights);
  void Grant(Name source, Name target, RightsBits rights);
  void RestrictBelow(Name name);
  RightsBits UnmapPage(Name name, RightsBits revoke, bool flush);
  RightsBits RightsOf(Name name) const;

  Profile profile_;
  uint64_t first_, end_;
  std::map<Name, Page> pages_;
  std::map<uint64_t, RightsBits> sigma0_below_;  // by frame
};

}  // namespace fake_l4

#endif  // FAKE_L4_TESTING_NAIVE_MAPPINGS_H_
