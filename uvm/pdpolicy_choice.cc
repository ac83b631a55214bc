#include "uvm/pdpolicy_choice.h"

#include <new>

#include "base/check.h"

namespace uvm {
namespace {

bool Equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

}  // namespace

const char* PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kClock:
      return "clock";
    case PolicyKind::kClockPro:
      return "clockpro";
    case PolicyKind::kSimple:
      return "fifo";
  }
  UNREACHABLE("no such policy");
}

bool PolicyOfName(const char* name, PolicyKind* kind) {
  for (const PolicyKind candidate : kPolicyKinds) {
    if (!Equal(name, PolicyName(candidate))) continue;
    *kind = candidate;
    return true;
  }
  return false;
}

namespace {

// One after the other, as they stand in the text.
class SettingReader {
 public:
  explicit SettingReader(const char* text) : at_(text) {}
  bool done() const { return *at_ == '\0'; }
  // Whether the next setting is `name`, which is then behind us.
  bool Take(const char* name) {
    const char* p = at_;
    while (*name != '\0' && *p == *name) ++p, ++name;
    if (*name != '\0') return false;
    at_ = p;
    return true;
  }
  // At most three digits.
  bool TakeNumber(uint8_t* out) {
    uint32_t number = 0, digits = 0;
    for (; *at_ >= '0' && *at_ <= '9' && digits < 3; ++at_, ++digits)
      number = number * 10 + static_cast<uint32_t>(*at_ - '0');
    if (digits == 0 || number > 100) return false;
    *out = static_cast<uint8_t>(number);
    return true;
  }
  // Behind a setting: the end, or a comma and another one.
  bool TakeEnd() {
    if (*at_ == '\0') return true;
    if (*at_ != ',' || at_[1] == '\0') return false;
    ++at_;
    return true;
  }

 private:
  const char* at_;
};

struct Setting {
  const char* name;
  uint8_t* number;  // null: a word without one
};

// Bit i of *given: the i-th setting has been met.
bool ReadSettings(const char* text, const Setting* settings, uint32_t count, uint32_t* given) {
  SettingReader reader(text);
  do {
    uint32_t i = 0;
    while (i < count && !reader.Take(settings[i].name)) ++i;
    if (i == count || (*given >> i & 1) != 0) return false;
    *given |= 1u << i;
    if (settings[i].number != nullptr && !reader.TakeNumber(settings[i].number)) return false;
    if (!reader.TakeEnd()) return false;
  } while (!reader.done());
  return true;
}

bool ReadClock(const char* text, ClockTunables* tunables) {
  constexpr auto kAnonymous = static_cast<uint32_t>(PageSort::kAnonymous);
  constexpr auto kFile = static_cast<uint32_t>(PageSort::kFile);
  constexpr auto kExecutable = static_cast<uint32_t>(PageSort::kExecutable);
  const Setting settings[] = {
      {"anonmin=", &tunables->min[kAnonymous]},  {"filemin=", &tunables->min[kFile]},
      {"execmin=", &tunables->min[kExecutable]}, {"anonmax=", &tunables->max[kAnonymous]},
      {"filemax=", &tunables->max[kFile]},       {"execmax=", &tunables->max[kExecutable]},
      {"inactive=", &tunables->inactive}};
  uint32_t given = 0;
  if (!ReadSettings(text, settings, 7, &given)) return false;
  ClockPolicy policy;
  return policy.SetTunables(*tunables).ok();
}

bool ReadClockPro(const char* text, ClockProTunables* tunables) {
  constexpr uint32_t kAdaptiveBit = 2;
  const Setting settings[] = {{"cold=", &tunables->cold}, {"adaptive", nullptr}};
  uint32_t given = 0;
  if (!ReadSettings(text, settings, 2, &given)) return false;
  if ((given & kAdaptiveBit) != 0) tunables->target = ColdTarget::kAdaptive;
  return ClockProPolicy::AreTunables(*tunables);
}

}  // namespace

bool PolicyOfText(const char* text, PolicySpec* spec) {
  char name[16];
  uint32_t length = 0;
  while (text[length] != '\0' && text[length] != ':') {
    if (length + 1 == sizeof name) return false;
    name[length] = text[length];
    ++length;
  }
  name[length] = '\0';
  PolicySpec read;
  if (!PolicyOfName(name, &read.kind)) return false;
  if (text[length] == ':') {
    const char* settings = text + length + 1;
    const bool known = read.kind == PolicyKind::kClock ? ReadClock(settings, &read.clock)
                       : read.kind == PolicyKind::kClockPro
                           ? ReadClockPro(settings, &read.clock_pro)
                           : false;
    if (!known) return false;
  }
  *spec = read;
  return true;
}

PolicyChoice::PolicyChoice(const PolicySpec& spec, base::PageSource* memory, PageCount total) {
  switch (spec.kind) {
    case PolicyKind::kClock:
      policy_ = new (&storage_.clock) ClockPolicy;
      CHECK(storage_.clock.SetTunables(spec.clock).ok());
      break;
    case PolicyKind::kClockPro:
      policy_ = new (&storage_.clock_pro) ClockProPolicy(memory, total);
      CHECK(storage_.clock_pro.SetTunables(spec.clock_pro).ok());
      break;
    case PolicyKind::kSimple:
      policy_ = new (&storage_.simple) SimplePolicy;
      break;
  }
  policy_->Tune(total);
}

}  // namespace uvm
