// proptests/engine/failure.h: what went wrong, in the words of reports and exit codes.
//
// WHAT     A Failure has a class (the exit code of vmsim), the name of the rule that was broken and
//          the first counterexample as text. Class and rule are its fingerprint: a shrunk run must
//          fail with the same one.
// SEE      design.md section 4 (exit codes); docs/INVARIANTS.md (the rules by name).

#ifndef PROPTESTS_ENGINE_FAILURE_H_
#define PROPTESTS_ENGINE_FAILURE_H_

#include <cstdint>
#include <string>

namespace proptests {

// The values are vmsim's exit codes.
enum class FailureClass : uint8_t {
  kNone = 0,
  kContents = 10,        // a byte is not what the model says
  kStructure = 11,       // an invariant is broken, or something leaked
  kLiveness = 12,        // nothing can run any more though something should
  kNondeterminism = 13,  // the same run twice gave two hashes
  kCost = 14,            // a cost budget was exceeded
  kCrash = 15,           // a CHECK failed inside the machine
  kTimeout = 16,
  kOutcome = 17,  // a return code, an address or an attribute is not one the model allows
};

// "contents", "structure" ...; "pass" for kNone.
const char* FailureClassName(FailureClass cls);

struct Fingerprint {
  FailureClass cls = FailureClass::kNone;
  std::string rule;  // "ContentsAgree", "OutcomesAgree(mmap)", "ValidAnonRefs" ...
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

struct Failure {
  Fingerprint print;
  std::string text;       // one line or several; the first counterexample
  uint64_t op_index = 0;  // 0-based, in the operations of the run; == their number when the end of
                          // the run showed it
};

// "contents: ContentsAgree".
std::string FingerprintText(const Fingerprint& print);

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_FAILURE_H_
