// base/prot.h: protection, kinds of access, inheritance and advice, with the numbers users see.
//
// WHAT     Prot is a set of rights. The bit values are those of both personalities (R=1 W=2 X=4);
//          the X.2 order (r=4 w=2 x=1) is converted at pmap_sim's edge and nowhere else.
// SEE      facts/uvm.md section 0; facts/mach.md section 1.

#ifndef BASE_PROT_H_
#define BASE_PROT_H_

#include <cstdint>

namespace base {

class Prot {
 public:
  constexpr Prot() = default;
  explicit constexpr Prot(uint8_t bits) : bits_(bits) {}
  constexpr uint8_t bits() const { return bits_; }
  constexpr bool CanRead() const { return (bits_ & 1) != 0; }
  constexpr bool CanWrite() const { return (bits_ & 2) != 0; }
  constexpr bool CanExecute() const { return (bits_ & 4) != 0; }
  constexpr bool IsNone() const { return bits_ == 0; }
  // True when every right of this set is in `other`.
  constexpr bool IsSubsetOf(Prot other) const { return (bits_ & ~other.bits_) == 0; }
  friend constexpr Prot operator|(Prot a, Prot b) { return Prot(uint8_t(a.bits_ | b.bits_)); }
  friend constexpr Prot operator&(Prot a, Prot b) { return Prot(uint8_t(a.bits_ & b.bits_)); }
  // Set difference.
  friend constexpr Prot operator-(Prot a, Prot b) { return Prot(uint8_t(a.bits_ & ~b.bits_)); }
  friend constexpr bool operator==(Prot, Prot) = default;

 private:
  uint8_t bits_ = 0;
};

inline constexpr Prot kProtNone{uint8_t{0}};
inline constexpr Prot kProtRead{uint8_t{1}};
inline constexpr Prot kProtWrite{uint8_t{2}};
inline constexpr Prot kProtExecute{uint8_t{4}};
inline constexpr Prot kProtReadWrite{uint8_t{3}};
inline constexpr Prot kProtAll{uint8_t{7}};

// What an instruction wants of a page.
enum class Access : uint8_t { kRead, kWrite, kExecute };

constexpr Prot ProtFor(Access access) {
  switch (access) {
    case Access::kRead:
      return kProtRead;
    case Access::kWrite:
      return kProtWrite;
    case Access::kExecute:
      return kProtExecute;
  }
  return kProtNone;
}

// Always three characters, "rw-" style; the pointer is to static text.
constexpr const char* ProtName(Prot prot) {
  constexpr const char* kNames[8] = {"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"};
  return kNames[prot.bits() & 7];
}

// What fork does with a range. The values are the user-visible codes of minherit(2) and vm_inherit.
enum class Inherit : uint8_t { kShare = 0, kCopy = 1, kNone = 2, kDonateCopy = 3, kZero = 4 };

constexpr const char* InheritName(Inherit inherit) {
  switch (inherit) {
    case Inherit::kShare:
      return "share";
    case Inherit::kCopy:
      return "copy";
    case Inherit::kNone:
      return "none";
    case Inherit::kDonateCopy:
      return "donate";
    case Inherit::kZero:
      return "zero";
  }
  return "?";
}

// madvise(2) codes. Only the first three are kept in a map entry; the rest are actions.
enum class Advice : uint8_t {
  kNormal = 0,
  kRandom = 1,
  kSequential = 2,
  kWillNeed = 3,
  kDontNeed = 4,
  kSpaceAvail = 5,
  kFree = 6
};

constexpr const char* AdviceName(Advice advice) {
  switch (advice) {
    case Advice::kNormal:
      return "normal";
    case Advice::kRandom:
      return "random";
    case Advice::kSequential:
      return "sequential";
    case Advice::kWillNeed:
      return "willneed";
    case Advice::kDontNeed:
      return "dontneed";
    case Advice::kSpaceAvail:
      return "spaceavail";
    case Advice::kFree:
      return "free";
  }
  return "?";
}

}  // namespace base

#endif  // BASE_PROT_H_
