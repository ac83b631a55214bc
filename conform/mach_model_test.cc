// The oracle of the random runs against what a real GNU Mach did: sequences replayed on
// model::World alone. Whatever the recorded kernel answered must be among the right outcomes; then
// it is adopted.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/prot.h"
#include "conform/mach_recording.h"
#include "conform/recording.h"
#include "gtest/gtest.h"
#include "model/world.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace conform {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint32_t kController = 1;
constexpr uint32_t kCodePage = 0xb0000000;
constexpr uint32_t kPageBytes = 4096;

// One sequence on a world of its own.
class Replay {
 public:
  explicit Replay(const MachSequence& sequence) : sequence_(sequence), world_({}) {
    Must({.kind = OpKind::kTask32, .child = kController});
    slots_[0] = NewTask(0, false);
  }

  // The first step that disagrees, as text; empty when there is none.
  std::string FirstDisagreement() {
    for (const MachStep& step : sequence_.steps) {
      std::string wrong;
      switch (step.kind) {
        case MachStep::Kind::kOperation:
          wrong = Operation(step);
          break;
        case MachStep::Kind::kMap:
          wrong = Map(step);
          break;
        case MachStep::Kind::kContents:
          wrong = Contents(step);
          break;
      }
      if (!wrong.empty()) {
        return absl::StrCat("line ", step.line, " ", ToString(step.op), ": ", wrong);
      }
    }
    return "";
  }

 private:
  // By the controller, on the task.
  static ResolvedOp On(uint32_t label, OpKind kind, uint64_t at = 0, uint64_t size = 0) {
    ResolvedOp op;
    op.kind = kind;
    op.task = kController;
    op.target = label == kController ? 0 : label;
    op.at = at;
    op.size = size;
    return op;
  }

  std::string Adopt(const ResolvedOp& op, const Outcome& seen) {
    const model::Expectation right = world_.Expect(op);
    std::string why;
    if (!right.Accepts(seen, &why)) return why;
    world_.Adopt(op, seen);
    return "";
  }
  Outcome Must(const ResolvedOp& op) {
    const Outcome outcome = world_.Expect(op).Canonical();
    CHECK(outcome.ok());
    world_.Adopt(op, outcome);
    return outcome;
  }

  uint32_t NewTask(uint32_t parent, bool inherit) {
    ResolvedOp op = On(parent == 0 ? kController : parent, OpKind::kTaskCreate);
    op.child = next_label_++;
    op.flags = inherit ? uint32_t{traces::kFlagInherit} : 0;
    Must(op);
    if (inherit) return op.child;
    ResolvedOp code = On(op.child, OpKind::kVmMap, kCodePage, kPageBytes);
    code.flags = traces::kFlagFixed;
    code.prot = code.max_prot = base::Prot(uint8_t{5});
    code.inherit = base::Inherit::kShare;
    Must(code);
    return op.child;
  }

  static Outcome Kern(uint32_t code, uint64_t value = 0) {
    return {Outcome::Family::kKern, static_cast<int32_t>(code), code == 0 ? value : 0, 0, {}};
  }

  // The word at `addr`, or the code of the exception.
  struct Loaded {
    uint32_t code;
    uint32_t word;
  };
  Loaded Load(uint32_t label, uint32_t addr) {
    ResolvedOp op;
    op.kind = OpKind::kRead;
    op.task = label;
    op.at = addr;
    op.size = 4;
    const Outcome outcome = world_.Expect(op).Canonical();
    if (!outcome.ok()) return {ExceptionOf(outcome), 0};
    unsigned char bytes[4];
    CHECK(world_.LoadBytes(label, addr, 4, bytes));
    return {0, bytes[0] | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
                   uint32_t{bytes[3]} << 24};
  }
  uint32_t Store(uint32_t label, uint32_t addr, uint32_t word) {
    for (uint32_t i = 0; i < 4; ++i) {
      ResolvedOp op;
      op.kind = OpKind::kWrite;
      op.task = label;
      op.at = addr + i;
      op.size = 1;
      op.value = word >> 8 * i & 0xff;
      const Outcome outcome = world_.Expect(op).Canonical();
      if (!outcome.ok()) return ExceptionOf(outcome);
      world_.Adopt(op, outcome);
    }
    return 0;
  }
  static uint32_t ExceptionOf(const Outcome& outcome) {
    switch (static_cast<base::FaultCode>(outcome.code)) {
      case base::FaultCode::kMachInvalidAddress:
        return 1;
      case base::FaultCode::kMachProtection:
        return 2;
      default:
        return 0xff;
    }
  }

  std::string Operation(const MachStep& step) {
    const MachOp& op = step.op;
    const MachResult& r = step.result;
    const uint32_t label = slots_.at(op.task);
    switch (op.call) {
      case MachCall::kTaskCreate:
        if (r.code != 0) return "a task could be created";
        slots_[r.child] = NewTask(label, op.inherit != 0);
        return "";
      case MachCall::kTaskTerminate:
        slots_.erase(op.task);
        return Adopt(On(label, OpKind::kTaskTerminate), Kern(r.code));
      case MachCall::kPeek: {
        const Loaded loaded = Load(label, op.addr);
        if (loaded.code == r.code && loaded.word == r.value) return "";
        return absl::StrCat("fault ", loaded.code, " word ", absl::Hex(loaded.word));
      }
      case MachCall::kPoke: {
        const uint32_t code = Store(label, op.addr, op.value);
        return code == r.code ? "" : absl::StrCat("fault ", code);
      }
      case MachCall::kVmRead:
        return Read(label, op, r);
      case MachCall::kVmWrite:
        return Write(label, op, r);
      case MachCall::kVmRegion:
        return Region(label, op, r);
      default:
        return Call(label, op, r);
    }
  }

  // Protections that no trace can say are refused before the model is asked.
  static bool HasOddBits(const MachOp& op) {
    return ((op.cur | op.max | op.prot | op.access) & ~7u) != 0;
  }

  std::string Call(uint32_t label, const MachOp& op, const MachResult& r) {
    if (HasOddBits(op)) return r.code == 4 ? "" : "odd bits are refused";
    ResolvedOp call = On(label, OpKind::kVmAllocate, op.addr, op.size);
    switch (op.call) {
      case MachCall::kVmMap:
        call.kind = OpKind::kVmMap;
        call.mask = op.mask;
        call.prot = base::Prot(static_cast<uint8_t>(op.cur));
        call.max_prot = base::Prot(static_cast<uint8_t>(op.max));
        call.inherit = static_cast<base::Inherit>(op.inherit);
        [[fallthrough]];
      case MachCall::kVmAllocate:
        call.flags = op.anywhere ? traces::kFlagAnywhere : traces::kFlagFixed;
        return Adopt(call, Kern(r.code, r.addr));
      case MachCall::kVmDeallocate:
        call.kind = OpKind::kVmDeallocate;
        break;
      case MachCall::kVmProtect:
        call.kind = OpKind::kVmProtect;
        call.prot = base::Prot(static_cast<uint8_t>(op.prot));
        call.flags = op.set_max ? uint32_t{traces::kFlagSetMax} : 0;
        break;
      case MachCall::kVmInherit:
        call.kind = OpKind::kVmInherit;
        call.inherit = static_cast<base::Inherit>(op.inherit);
        break;
      case MachCall::kVmWire:
        call.kind = OpKind::kVmWire;
        call.prot = base::Prot(static_cast<uint8_t>(op.access));
        call.flags = traces::kFlagPrivileged;
        break;
      case MachCall::kVmCopy:
        call.kind = OpKind::kVmCopy;
        call.to = op.to;
        break;
      default:
        return "no call of a sequence";
    }
    return Adopt(call, Kern(r.code));
  }

  std::string Read(uint32_t label, const MachOp& op, const MachResult& r) {
    const ResolvedOp call = On(label, OpKind::kVmRead, op.addr, op.size);
    Outcome outcome = world_.Expect(call).Canonical();
    if (outcome.code != static_cast<int32_t>(r.code)) return absl::StrCat("kr ", outcome.code);
    world_.Adopt(call, outcome);
    if (r.code != 0 || op.size == 0) return "";
    for (size_t i = 0; i < r.words.size(); ++i) {
      const auto at = static_cast<uint32_t>(outcome.value + i * kPageBytes);
      const Loaded loaded = Load(kController, at);
      if (loaded.code != 0 || loaded.word != r.words[i]) {
        return absl::StrCat("word ", i, " is ", absl::Hex(loaded.word));
      }
    }
    Must(On(kController, OpKind::kVmDeallocate, outcome.value, op.size));
    return "";
  }

  std::string Write(uint32_t label, const MachOp& op, const MachResult& r) {
    const uint64_t bytes = base::RoundPage(op.size);
    uint64_t buffer = 0;
    if (bytes != 0) {
      ResolvedOp make = On(kController, OpKind::kVmAllocate, 0, bytes);
      make.flags = traces::kFlagAnywhere;
      buffer = Must(make).value;
    }
    for (uint32_t at = 0; at < bytes; at += kPageBytes) {
      const auto page = static_cast<uint32_t>(buffer + at);
      const uint32_t word = op.value + at / kPageBytes;
      CHECK(Store(kController, page, word) == 0 && Store(kController, page + 0x800, ~word) == 0);
    }
    ResolvedOp call = On(label, OpKind::kVmWrite, op.addr, op.size);
    call.to = buffer;
    const std::string wrong = Adopt(call, Kern(r.code));
    if (bytes != 0) Must(On(kController, OpKind::kVmDeallocate, buffer, bytes));
    return wrong;
  }

  // Boundaries between equal pages are the kernel's own: the recorded region may be part of the
  // model's, or reach into what differs only in sharing.
  std::string Region(uint32_t label, const MachOp& op, const MachResult& r) {
    const Outcome outcome = world_.Expect(On(label, OpKind::kVmRegion, op.addr)).Canonical();
    if (outcome.code != static_cast<int32_t>(r.code)) return absl::StrCat("kr ", outcome.code);
    if (r.code != 0) return "";
    const bool alike = outcome.region.prot.bits() == r.region.cur &&
                       outcome.region.max_prot.bits() == r.region.max &&
                       static_cast<uint32_t>(outcome.region.inherit) == r.region.inherit;
    const bool placed = r.addr > op.addr ? outcome.value == r.addr : outcome.value <= op.addr;
    return alike && placed ? "" : traces::FormatOutcome(OpKind::kVmRegion, outcome);
  }

  struct Run {
    uint64_t start, end;
    uint32_t cur, max, inherit;
  };
  static void Add(std::vector<Run>* runs, Run run) {
    // The code page is not listed.
    if (run.start < kCodePage && run.end > kCodePage) {
      Add(runs, {run.start, kCodePage, run.cur, run.max, run.inherit});
      run.start = kCodePage;
    }
    if (run.start == kCodePage) run.start += kPageBytes;
    if (run.start >= run.end) return;
    if (!runs->empty()) {
      Run& last = runs->back();
      if (last.end == run.start && last.cur == run.cur && last.max == run.max &&
          last.inherit == run.inherit) {
        last.end = run.end;
        return;
      }
    }
    runs->push_back(run);
  }
  static std::string Text(const std::vector<Run>& runs) {
    std::string text;
    for (const Run& r : runs) {
      absl::StrAppend(&text, "[", absl::Hex(r.start), ",", absl::Hex(r.end), ") ", r.cur, " ",
                      r.max, " ", r.inherit, " ");
    }
    return text;
  }

  std::string Map(const MachStep& step) {
    std::vector<Run> recorded, ours;
    for (const MachRegion& r : step.map) {
      Add(&recorded, {r.start, r.start + r.size, r.cur, r.max, r.inherit});
    }
    world_.ForEachRange(slots_.at(step.task), [&](base::Range range, const model::Attributes& a) {
      Add(&ours, {range.start.value(), range.end.value(), a.prot.bits(), a.max_prot.bits(),
                  static_cast<uint32_t>(a.inherit)});
    });
    return Text(recorded) == Text(ours) ? "" : Text(ours);
  }

  std::string Contents(const MachStep& step) {
    for (const MachStep::Word& word : step.words) {
      const Loaded loaded = Load(slots_.at(step.task), word.addr);
      const bool same =
          word.faulted ? loaded.code == word.value : loaded.code == 0 && loaded.word == word.value;
      if (!same) return absl::StrCat(absl::Hex(word.addr), ": ", absl::Hex(loaded.word));
    }
    return "";
  }

  const MachSequence& sequence_;
  model::World world_;
  std::map<uint32_t, uint32_t> slots_;
  uint32_t next_label_ = kController + 1;
};

class MachModelTest : public testing::TestWithParam<const char*> {};

TEST_P(MachModelTest, TheModelAcceptsWhatTheRecordedKernelDid) {
  const std::string file = absl::StrCat("conform/testdata/gnumach_", GetParam(), ".txt.gz");
  const absl::StatusOr<std::string> text = ReadTextFile(file);
  ASSERT_TRUE(text.ok()) << text.status();
  const absl::StatusOr<MachRecording> recording = ParseMachRecording(file, *text);
  ASSERT_TRUE(recording.ok()) << recording.status();
  ASSERT_FALSE(recording->sequences.empty());
  for (const MachSequence& sequence : recording->sequences) {
    ASSERT_EQ(Replay(sequence).FirstDisagreement(), "") << "sequence " << sequence.number;
  }
}

INSTANTIATE_TEST_SUITE_P(All, MachModelTest,
                         testing::Values("single_1", "fork_1", "wire_1", "deep_1", "single_1001",
                                         "deep_1001"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace conform
