// fake_l4/decision_list.h: a schedule as a value: what was chosen where something else could have
//                          been.
//
// WHAT     Decisions are numbered from 0, those with a single choice not counted. The list names
//          only the decisions that differ from what the default strategy would have done, so the
//          empty list is the default schedule, and a list of which some were removed is a schedule,
//          too. Has a text form that parses back:
//              decisions 120 hash 0x9a3c
//              at 17 of 3 run 0x4000000001
// SEE      exploration.h (who makes and replays them); house rule 6.
#ifndef FAKE_L4_DECISION_LIST_H_
#define FAKE_L4_DECISION_LIST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fake_l4 {

struct Decision {
  uint64_t number = 0;
  uint32_t choices = 0;  // threads that could have run: at least 2
  uint64_t thread = 0;   // raw id of the one that did
  friend bool operator==(const Decision&, const Decision&) = default;
};

struct DecisionList {
  uint64_t total = 0;                // decisions made in the run, the default ones included
  uint64_t hash = 0;                 // over the choices and the thread of each of them
  std::vector<Decision> deviations;  // in order of number

  std::string Text() const;
  // Empty when `text` is not what Text() writes; blank lines and lines that start with # are
  // skipped. `problem`, if not null, is told the first line that is wrong: "line 3: expected ...".
  static std::optional<DecisionList> Parse(std::string_view text, std::string* problem = nullptr);
  friend bool operator==(const DecisionList&, const DecisionList&) = default;
};

}  // namespace fake_l4

#endif  // FAKE_L4_DECISION_LIST_H_
