#include "proptests/engine/machine_text.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/addr.h"
#include "machine/machine.h"
#include "traces/op.h"

namespace proptests {
namespace {

using machine::MemorySpec;
using machine::SwapEncryption;
using machine::SwapSpec;

constexpr uint64_t kMostPages = uint64_t{1} << 20;
constexpr size_t kMostDevices = 8;
constexpr uint64_t kFewestFrames = 64;  // below, a fault may need more than there is
// So that a clock of 64 bits of nanoseconds does not run over.
constexpr uint64_t kMostUs = 10'000'000;

constexpr absl::string_view kMachine = "machine ";
constexpr const char* kKinds[] = {"", "file:", "driver:"};  // by SwapSpec::Kind
constexpr const char* kEncryptions[] = {"off", "on", "toggled"};

uint32_t UsualPriority(size_t number) { return static_cast<uint32_t>(number / 2); }

absl::Status BadDevice(absl::string_view device, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("swap device \"", device, "\": ", why,
                   "; expected [off:][file:|driver:]PAGES[@US[+US]][#PRIORITY], "
                   "such as 4096,file:1024@200us,driver:512"));
}

// Takes a number of at most `most`, and `unit` if it follows, off the front of *text.
bool TakeNumber(absl::string_view* text, uint64_t most, absl::string_view unit, uint64_t* number) {
  const size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  if (!absl::SimpleAtoi(text->substr(0, digits), number) || *number > most) return false;
  text->remove_prefix(digits);
  absl::ConsumePrefix(text, unit);
  return true;
}

absl::StatusOr<SwapSpec> ParseDevice(absl::string_view word, const SwapSpec& usual) {
  SwapSpec spec = usual;
  absl::string_view text = word;
  const bool off = absl::ConsumePrefix(&text, "off:");
  if (absl::ConsumePrefix(&text, "file:")) {
    spec.kind = SwapSpec::Kind::kFile;
  } else if (absl::ConsumePrefix(&text, "driver:")) {
    spec.kind = SwapSpec::Kind::kDriver;
  } else {
    absl::ConsumePrefix(&text, "memory:");
  }
  if (text.find(':') != absl::string_view::npos) {
    return BadDevice(word, "there are memory, file and driver");
  }
  if (!TakeNumber(&text, kMostPages, "", &spec.pages))
    return BadDevice(word, absl::StrCat("it wants its pages, at most ", kMostPages));
  spec.on = !off && spec.pages != 0;
  if (absl::ConsumePrefix(&text, "@")) {
    spec.page_us = 0;
    if (!TakeNumber(&text, kMostUs, "us", &spec.transfer_us) ||
        (absl::ConsumePrefix(&text, "+") && !TakeNumber(&text, kMostUs, "us", &spec.page_us))) {
      return BadDevice(word, absl::StrCat("a time is at most ", kMostUs, " us"));
    }
  }
  uint64_t priority = spec.priority;
  if (absl::ConsumePrefix(&text, "#") &&
      !TakeNumber(&text, traces::kMaxSwapPriority, "", &priority)) {
    return BadDevice(word, absl::StrCat("a priority is at most ", traces::kMaxSwapPriority));
  }
  spec.priority = static_cast<uint32_t>(priority);
  if (!text.empty()) return BadDevice(word, absl::StrCat("\"", text, "\" is too much"));
  if (spec.kind == SwapSpec::Kind::kDriver && spec.pages == 0)
    return BadDevice(word, "a driver has at least one page");
  if (spec.on && spec.pages < machine::kFewestSwapPages) {
    return BadDevice(word, absl::StrCat("a device that is on has at least ",
                                        machine::kFewestSwapPages, " pages, one for its label"));
  }
  return spec;
}

// One word of the comment.
absl::Status FollowWord(absl::string_view word, RunOptions* run) {
  machine::Machine::Options& machine = run->machine;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(word, absl::MaxSplits('=', 1));
  const absl::string_view name = parts.first;
  const absl::string_view value = parts.second;
  if (name == "frames") {
    uint64_t frames = 0;
    if (!absl::SimpleAtoi(value, &frames) || frames < kFewestFrames || frames > kMostPages) {
      return absl::InvalidArgumentError(
          absl::StrCat("frames wants a number from ", kFewestFrames, " to ", kMostPages));
    }
    machine.ram_bytes = frames * base::kPageSize;
    run->memory_may_run_out = true;
    return absl::OkStatus();
  }
  if (name == "swap") {
    auto specs = ParseSwap(value);
    if (specs.ok()) machine.swap = *std::move(specs);
    return specs.status();
  }
  if (name == "encrypt") {
    auto encryption = ParseEncryption(value);
    if (encryption.ok()) machine.swap_encryption = *encryption;
    return encryption.status();
  }
  if (name == "memory") {
    auto spec = ParseMemory(value);
    if (spec.ok()) machine.memory = *spec;
    return spec.status();
  }
  if (name == "pmap") {
    auto adversity = ParsePmap(value);
    if (adversity.ok()) machine.adversity = *adversity;
    return adversity.status();
  }
  if (name == "seed") {
    if (absl::SimpleAtoi(value, &machine.seed)) return absl::OkStatus();
    return absl::InvalidArgumentError("seed wants a number");
  }
  if (name == "policy" && machine::IsPolicy(std::string(value))) {
    machine.policy = std::string(value);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", word, "\": there are frames=, swap=, encrypt=, memory=, policy=, pmap=, seed="));
}

}  // namespace

absl::StatusOr<machine::Adversity> ParsePmap(absl::string_view text) {
  for (const machine::Adversity adversity : machine::kAdversities) {
    if (text == machine::AdversityName(adversity)) return adversity;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("there is no pmap \"", text, "\"; there are plain, forgetful, refusing"));
}

absl::StatusOr<std::vector<SwapSpec>> ParseSwap(absl::string_view text, uint64_t transfer_us) {
  std::vector<SwapSpec> specs;
  if (text.empty()) return specs;
  bool driver = false;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    if (specs.size() == kMostDevices) {
      return absl::InvalidArgumentError(
          absl::StrCat("a machine has at most ", kMostDevices, " swap devices"));
    }
    absl::StatusOr<SwapSpec> spec =
        ParseDevice(word, {.transfer_us = transfer_us, .priority = UsualPriority(specs.size())});
    if (!spec.ok()) return spec.status();
    const bool drives = spec->kind == SwapSpec::Kind::kDriver;
    if (drives && driver) return BadDevice(word, "a machine has one driver");
    driver |= drives;
    specs.push_back(*spec);
  }
  return specs;
}

std::string SwapText(const std::vector<SwapSpec>& specs) {
  std::string text;
  for (size_t i = 0; i < specs.size(); ++i) {
    const SwapSpec& spec = specs[i];
    const bool timed = spec.transfer_us != 0 || spec.page_us != 0;
    absl::StrAppend(&text, i == 0 ? "" : ",", spec.on || spec.pages == 0 ? "" : "off:",
                    kKinds[static_cast<size_t>(spec.kind)], spec.pages,
                    timed ? absl::StrCat("@", spec.transfer_us, "us") : "",
                    spec.page_us != 0 ? absl::StrCat("+", spec.page_us, "us") : "",
                    spec.priority != UsualPriority(i) ? absl::StrCat("#", spec.priority) : "");
  }
  return text;
}

absl::StatusOr<MemorySpec> ParseMemory(absl::string_view text) {
  struct Row {
    absl::string_view name;
    uint32_t MemorySpec::*field;
    uint64_t least;
    uint64_t most;
  };
  constexpr uint64_t kRarest = uint64_t{1} << 30;
  const Row rows[] = {{"colours", &MemorySpec::colours, 1, MemorySpec::kMostColours},
                      {"buckets", &MemorySpec::buckets, 1, MemorySpec::kMostBuckets},
                      {"lists", &MemorySpec::lists, 1, MemorySpec::kMostLists},
                      {"events", &MemorySpec::one_in, 0, kRarest}};
  MemorySpec spec;
  if (text.empty()) return spec;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    if (word == "caches") {
      spec.caches = true;
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    const Row* row = std::find_if(std::begin(rows), std::end(rows),
                                  [&](const Row& known) { return known.name == parts.first; });
    if (row == std::end(rows)) {
      return absl::InvalidArgumentError(
          absl::StrCat("of memory there is no \"", word,
                       "\"; there are colours=N, buckets=N, lists=N, caches, events=N"));
    }
    uint64_t number = 0;
    if (!absl::SimpleAtoi(parts.second, &number) || number < row->least || number > row->most) {
      return absl::InvalidArgumentError(absl::StrCat(row->name, " wants a number from ", row->least,
                                                     " to ", row->most, ", not \"", parts.second,
                                                     "\""));
    }
    spec.*row->field = static_cast<uint32_t>(number);
  }
  if ((spec.colours & (spec.colours - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("colours wants a power of two, not ", spec.colours));
  }
  return spec;
}

std::string MemoryText(const MemorySpec& spec) {
  std::string text;
  const auto say = [&](bool differs, const auto&... words) {
    if (differs) absl::StrAppend(&text, text.empty() ? "" : ",", words...);
  };
  say(spec.colours != 1, "colours=", spec.colours);
  say(spec.buckets != 1, "buckets=", spec.buckets);
  say(spec.lists != 1, "lists=", spec.lists);
  say(spec.caches, "caches");
  say(spec.one_in != 0, "events=", spec.one_in);
  return text;
}

absl::StatusOr<SwapEncryption> ParseEncryption(absl::string_view text) {
  for (size_t i = 0; i < std::size(kEncryptions); ++i) {
    if (text == kEncryptions[i]) return static_cast<SwapEncryption>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "encryption of swap is off, on or toggled (now and then while it runs), not \"", text, "\""));
}

const char* EncryptionText(SwapEncryption encryption) {
  return kEncryptions[static_cast<size_t>(encryption)];
}

absl::Status MayBeTakenBack(const std::vector<SwapSpec>& specs) {
  for (const SwapSpec& spec : specs) {
    if (spec.kind != SwapSpec::Kind::kFile) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("swap device \"", SwapText({spec}),
                     "\": sessions are taken back to earlier points here, and a file is not; "
                     "memory and driver devices are"));
  }
  return absl::OkStatus();
}

absl::Status FollowMachineOf(const traces::Trace& trace, RunOptions* run) {
  const machine::Adversity said = run->machine.adversity;
  const uint64_t seed = run->machine.seed;
  for (const std::string& comment : trace.header) {
    absl::string_view words = comment;
    if (!absl::ConsumePrefix(&words, kMachine)) continue;
    for (absl::string_view word : absl::StrSplit(words, ' ', absl::SkipEmpty())) {
      const absl::Status status = FollowWord(word, run);
      if (!status.ok())
        return absl::InvalidArgumentError(absl::StrCat("# ", comment, ": ", status.message()));
    }
  }
  if (said != machine::Adversity::kNone) {
    run->machine.adversity = said;
    run->machine.seed = seed;
  }
  return absl::OkStatus();
}

uint64_t FramesForEvents(const MemorySpec& spec, uint64_t frames) {
  return spec.one_in == 0 ? 0 : frames / 7 + 1;
}

}  // namespace proptests
