#include "proptests/engine/failure.h"

namespace proptests {

const char* FailureClassName(FailureClass cls) {
  switch (cls) {
    case FailureClass::kNone:
      return "pass";
    case FailureClass::kContents:
      return "contents";
    case FailureClass::kStructure:
      return "structure";
    case FailureClass::kLiveness:
      return "liveness";
    case FailureClass::kNondeterminism:
      return "nondeterminism";
    case FailureClass::kCost:
      return "cost";
    case FailureClass::kCrash:
      return "crash";
    case FailureClass::kTimeout:
      return "timeout";
    case FailureClass::kOutcome:
      return "outcome";
  }
  return "?";
}

std::string FingerprintText(const Fingerprint& print) {
  return std::string(FailureClassName(print.cls)) + ": " + print.rule;
}

}  // namespace proptests
