// fake_l4/quirks.h: how a particular kernel's map, grant and unmap differ from the manual, as data.
//
// WHAT     One switch for each measured deviation; the default of every switch is the manual's
//          rule. A named set of switches is a quirk profile: what `--quirks NAME` selects.
// SEE      facts/l4.md sections 7 (the manual's model), 8, 9, 12 (what was measured; items in
//          brackets below); docs/DIFFERENCES.md.
#ifndef FAKE_L4_QUIRKS_H_
#define FAKE_L4_QUIRKS_H_

#include <string_view>

namespace fake_l4 {

// How the pages of a send fpage or of an Unmap are walked.
enum class WalkRule : unsigned char {
  kPageByPage,       // each page of the fpage has one place in the window; larger pages are split
  kBySizesOfTables,  // [8.2, superpages] holes may shift the target; larger pages are never split
};

// Which page already at the target is kept and extended; any other is flushed first.
enum class KeepRule : unsigned char {
  kSameSource,  // [8.a] same frame, derived from the very page that is mapped
  kSameFrame,   // [8.f] same frame, whatever it was derived from; it stays where it is in the tree
};

// A page that is mapped onto itself.
enum class SelfMapRule : unsigned char {
  kKept,       // nothing happens (the manual; the old database [8.4])
  kDestroyed,  // [8.4] it is flushed as the page in the way, and then there is none to map
};

enum class GrantRule : unsigned char {
  kTakesPlace,           // the page moves with its children; rights are the item's and its own
  kSiblingThenFlush,     // [8.b, 8.7, 8.8] a new child of the granter's parent, then the granter's
                         // send fpage is flushed, children included
  kMovesWithItemRights,  // [8.g, 8.7, 8.8] the page moves with its children and gets the item's
                         // rights
};

// What an Unmap of fewer than all rights does.
enum class RevokeRule : unsigned char {
  kTake,       // takes the rights from everything derived; a page without rights goes
  kTakeWrite,  // [8.h] takes w; only an Unmap of all rights removes pages
  kSetRights,  // [8.d] sets the mask of rights that pass, and so may give rights back
};

// Who learns of an access from which Unmap.
enum class StatusRule : unsigned char {
  kEachOwnerOnce,   // the page's owner and the owner of each ancestor, each exactly once
  kPushedToParent,  // [8.9, 8.c, 8.e] reset bits move to the parent's entry; children remember them
  kKeptLocally,     // [8.9, 8.i, 8.j] without flush the result lands in the caller's entry
};

struct Quirks {
  const char* name = "manual";
  WalkRule walk = WalkRule::kPageByPage;
  KeepRule keep = KeepRule::kSameSource;
  SelfMapRule self_map = SelfMapRule::kKept;
  GrantRule grant = GrantRule::kTakesPlace;
  RevokeRule revoke = RevokeRule::kTake;
  StatusRule status = StatusRule::kEachOwnerOnce;
  // [8.1] A new mapping gets the item's rights even where its source has fewer.
  bool rights_unmasked = false;
  // [8.2] Missing pages at the start of a send fpage move the target of those that follow.
  bool leading_holes_shift = false;
  // [8.3] A map item without rights maps a readable page.
  bool no_rights_reads = false;
  // [9] Unmap of an fpage smaller than a page acts on the whole page.
  bool small_unmap_rounds_up = false;
  // [12] Schedule tells what is left of the slice in plain microseconds, not as a time.
  bool schedule_tells_microseconds = false;
  // [12] Schedule calls an inactive thread dead.
  bool inactive_is_dead = false;

  constexpr bool manual() const { return walk == WalkRule::kPageByPage; }

  // ---- System calls (facts/l4.md section 12) ----
  // ThreadControl that creates a thread with no scheduler fails with 2 (invalid thread), not 4.
  bool missing_scheduler_is_invalid_thread = false;
  // ExchangeRegisters delivers the old values although d is clear.
  bool exregs_always_deliver = false;
  // ExchangeRegisters does not tell of a thread in an IPC that it is halted.
  bool exregs_hides_halt_in_ipc = false;
  // ProcessorControl is not there: a privileged call returns 0 and leaves the error code alone.
  bool no_processor_control = false;
  // The areas of a space can be set once; later SpaceControls are accepted without effect.
  bool areas_set_once = false;
};

inline constexpr Quirks kManualRules = {};

// What the two mapping databases of L4Ka::Pistachio do differently from the manual and from each
// other, with the manual's rights and holes: what manual_prefix.txt compares.
inline constexpr Quirks kManualRightsNewMdb = {
    .name = "manual-rights-new-mdb",
    .walk = WalkRule::kBySizesOfTables,
    .self_map = SelfMapRule::kDestroyed,
    .grant = GrantRule::kSiblingThenFlush,
    .revoke = RevokeRule::kTakeWrite,
    .status = StatusRule::kPushedToParent,
    .no_rights_reads = true,
    .small_unmap_rounds_up = true,
};
inline constexpr Quirks kManualRightsOldMdb = {
    .name = "manual-rights-old-mdb",
    .walk = WalkRule::kBySizesOfTables,
    .keep = KeepRule::kSameFrame,
    .grant = GrantRule::kMovesWithItemRights,
    .revoke = RevokeRule::kTakeWrite,
    .status = StatusRule::kKeptLocally,
    .no_rights_reads = true,
    .small_unmap_rounds_up = true,
};

// The whole kernel around a database: its rights, its holes, its system calls.
constexpr Quirks Pistachio(const char* name, Quirks database) {
  database.name = name;
  database.rights_unmasked = true;
  database.leading_holes_shift = true;
  database.schedule_tells_microseconds = true;
  database.inactive_is_dead = true;
  database.missing_scheduler_is_invalid_thread = true;
  database.exregs_always_deliver = true;
  database.exregs_hides_halt_in_ipc = true;
  database.no_processor_control = true;
  database.areas_set_once = true;
  return database;
}

// Built with CONFIG_NEW_MDB: an Unmap may give rights back, too.
inline constexpr Quirks kPistachioNewMdb = [] {
  Quirks q = Pistachio("pistachio-new-mdb", kManualRightsNewMdb);
  q.revoke = RevokeRule::kSetRights;
  return q;
}();

// As every stock configuration builds it.
inline constexpr Quirks kPistachioOldMdb = Pistachio("pistachio-old-mdb", kManualRightsOldMdb);

// All profiles, the manual's first.
inline constexpr const Quirks* kQuirkProfiles[] = {
    &kManualRules, &kPistachioNewMdb, &kPistachioOldMdb, &kManualRightsNewMdb, &kManualRightsOldMdb,
};

// The quirk profile of that name, or null.
constexpr const Quirks* FindQuirks(std::string_view name) {
  for (const Quirks* q : kQuirkProfiles) {
    if (name == q->name) return q;
  }
  return nullptr;
}

}  // namespace fake_l4

#endif  // FAKE_L4_QUIRKS_H_
