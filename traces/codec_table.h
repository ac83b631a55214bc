// traces/codec_table.h: the one table of operations that parser, printer and README are driven by.
//
// WHAT     A KindRow says how operations of one kind are written: word, operands in order, and what
//          stands right of the arrow on success. A Word is one of the fixed words an operand may
//          be.
// SEE      codec.h; codec_parse.cc and codec_print.cc, its only users.

#ifndef TRACES_CODEC_TABLE_H_
#define TRACES_CODEC_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "traces/op.h"

namespace traces {

enum class Operand : uint8_t {
  kEnd,         // no more operands
  kMax,         // optional number: Op::size
  kAt,          // Place: Op::at
  kTo,          // Place: Op::to
  kSize,        // number: Op::size
  kNewSize,     // number: Op::new_size
  kMask,        // number: Op::mask
  kAccessSize,  // 1..kMaxAccessBytes: Op::size
  kProt,        // Op::prot
  kMaxProt,     // Op::max_prot
  kFlags,       // words of the row: Op::flags
  kInherit,     // Op::inherit
  kAdvice,      // Op::advice
  kValue,       // number or 'c': Op::value
  kFile,        // optional `file NAME OFFSET`: Op::file, Op::offset
  kSource,      // the same, or `memfd`, or `device`: Op::backing
  kName,        // Op::file
  kSite,        // Op::site
  kSkip,        // optional `skip=K`: Op::skip
  kDevice,      // number below 2^32: Op::device
  kPriority,    // number to kMaxSwapPriority: Op::priority
  kTarget,      // optional `of TASK`: Op::target
  kThread,      // number of a thread: Op::value
};

// What an outcome of success looks like.
enum class Success : uint8_t { kOk, kAddress, kCount, kReadValue, kRegion };

// Who is named left of the word.
enum class Subject : uint8_t {
  kChild,         // sN = word
  kTask,          // sN.word, or sN/T.word by thread T
  kTaskAndChild,  // sM = sN.word
  kNobody,        // word
};

struct Word {
  absl::string_view word;
  uint32_t value;
};

struct KindRow {
  OpKind kind;
  absl::string_view word;
  Subject subject;
  std::array<Operand, 9> operands;  // kEnd after the last
  Success success;
  // kFlags: one word each of every group that is not optional, joined by commas.
  absl::Span<const Word> flags;  // first group: exactly one
  absl::Span<const Word>
      more_flags;  // second group: at most one; an empty span where there is none
  absl::string_view meaning;
  absl::Span<const Word> last_flags = {};  // third group: at most one
  bool aligns = false;                     // and then perhaps `align=N`: traces::AlignmentOf
};

// Indexed by OpKind.
const std::array<KindRow, kOpKindCount>& KindRows();
inline const KindRow& RowOf(OpKind kind) { return KindRows()[static_cast<size_t>(kind)]; }

absl::Span<const Word> BackingWords();
absl::Span<const Word> InheritWords();
absl::Span<const Word> AdviceWords();
absl::Span<const Word> SiteWords();

// Every error code of a family that has a name, with the name; success is not among them.
absl::Span<const Word> ErrorWords(Outcome::Family family);
// `errno`, `kern`, `fault`: before a code in parentheses that has no name.
absl::string_view FamilyWord(Outcome::Family family);

}  // namespace traces

#endif  // TRACES_CODEC_TABLE_H_
