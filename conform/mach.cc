#include "conform/mach.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/addr.h"
#include "base/hash.h"
#include "conform/mach_bench.h"
#include "conform/read_all.h"
#include "conform/recording.h"

namespace conform {

namespace {

constexpr std::array kFieldTable = {
    FieldRule{"S, E", "all", Compared::kNo, "names, and the recorder's generator"},
    FieldRule{"O, X", "operands", Compared::kNo, "input"},
    FieldRule{"O, X", "kr", Compared::kYes, "the return code, whole"},
    FieldRule{
        "O, X", "addr", Compared::kYes,
        "where it was asked for; where the kernel chose, ours must be free of the mask's bits, "
        "and the memory is then put where it was recorded"},
    FieldRule{"O, X of vm_read", "cnt, off, data, w", Compared::kYes, "size, offset and words"},
    FieldRule{
        "O, X of vm_region", "addr, size", Compared::kYes,
        "the start, where it lies above the address asked for; else both regions contain that: "
        "boundaries between equal pages are the kernel's own"},
    FieldRule{"O, X of vm_region", "cur, max, inh", Compared::kYes, "whole"},
    FieldRule{"O, X of vm_region, M, =>", "sh", Compared::kNo, "how the recorded kernel shares"},
    FieldRule{"O of vm_region", "obj, off", Compared::kNo, "objects of the recorded kernel"},
    FieldRule{"O of task_create", "child", Compared::kNo, "a name"},
    FieldRule{"O of peek", "val", Compared::kYes, "the word"},
    FieldRule{"O of peek, poke; F", "fault", Compared::kYes, "the exception's code"},
    FieldRule{"M, =>", "pages", Compared::kYes, "cur, max and inh of every page"},
    FieldRule{"X without =>", "pages", Compared::kYes, "those of the layout"},
    FieldRule{"C", "word", Compared::kYes, "each, or the exception's code"},
    FieldRule{"=> words", "word", Compared::kYes, "each, or that it cannot be read"},
    FieldRule{"L", "all", Compared::kNo, "input"},
    FieldRule{"#, console", "all", Compared::kNo, "remarks"},
};

std::string Hex(uint64_t value) { return absl::StrCat("0x", absl::Hex(value)); }

MachBench::Memory MemoryOf(const MachOp& task_create) {
  return task_create.inherit != 0 ? MachBench::Memory::kInherited : MachBench::Memory::kEmpty;
}

// A run of pages with equal attributes.
struct Run {
  uint64_t start;
  uint64_t end;
  uint32_t cur;
  uint32_t max;
  uint32_t inherit;
  bool operator==(const Run&) const = default;
};
std::string ToString(const Run& r) {
  return absl::StrCat("[", Hex(r.start), "+", Hex(r.end - r.start), " cur=", r.cur, " max=", r.max,
                      " inh=", r.inherit, "]");
}

enum class CodePage : uint8_t { kKeep, kLeaveOut };

std::vector<Run> Runs(const MachMap& map, CodePage code_page) {
  std::vector<Run> runs;
  auto add = [&runs](const MachRegion& r, uint64_t start, uint64_t end) {
    if (start >= end) return;
    Run run{start, end, r.cur, r.max, r.inherit};
    const bool joins = !runs.empty() && runs.back().end == start && runs.back().cur == run.cur &&
                       runs.back().max == run.max && runs.back().inherit == run.inherit;
    if (joins) {
      runs.back().end = end;
    } else {
      runs.push_back(run);
    }
  };
  for (const MachRegion& r : map) {
    const uint64_t end = r.start + r.size;
    if (code_page == CodePage::kKeep) {
      add(r, r.start, end);
    } else {
      add(r, r.start, std::min<uint64_t>(end, kMachCodePage));
      add(r, std::max<uint64_t>(r.start, kMachCodePage + kMachPageBytes), end);
    }
  }
  return runs;
}

// The first difference of one step is kept.
class Comparison {
 public:
  std::optional<Difference> difference;

  void Field(absl::string_view field, const std::string& where, const std::string& recorded,
             const std::string& ours) {
    if (difference.has_value() || recorded == ours) return;
    difference = Difference{.line = 0,
                            .step = "",
                            .field = std::string(field),
                            .where = where,
                            .recorded = recorded,
                            .ours = ours};
  }
  void Number(absl::string_view field, uint32_t recorded, uint32_t ours) {
    Field(field, "", absl::StrCat(recorded), absl::StrCat(ours));
  }
  void Address(absl::string_view field, const std::string& where, uint32_t recorded,
               uint32_t ours) {
    Field(field, where, Hex(recorded), Hex(ours));
  }
  void Maps(const MachMap& recorded, const MachMap& ours, CodePage code_page) {
    const std::vector<Run> theirs = Runs(recorded, code_page);
    const std::vector<Run> mine = Runs(ours, code_page);
    for (size_t i = 0; i < std::max(theirs.size(), mine.size()); i++) {
      Field("pages", "", i < theirs.size() ? ToString(theirs[i]) : "nothing more",
            i < mine.size() ? ToString(mine[i]) : "nothing more");
    }
  }
};

// What both kinds of files do with an operation.
class Operations {
 public:
  explicit Operations(MachBench* bench) : bench_(bench) {}

  // A call on the task; where the recorded kernel chose an address, the memory ends up there.
  void Call(uint32_t label, const MachOp& op, const MachResult& recorded, Comparison* c) {
    const MachResult ours = bench_->Call(label, op);
    c->Number("kr", recorded.code, ours.code);
    if (c->difference.has_value()) return;
    const bool places = op.call == MachCall::kVmAllocate || op.call == MachCall::kVmMap;
    if (places && op.anywhere && recorded.code == 0 && op.size != 0) {
      Move(label, op, recorded, ours, c);
    } else if (places) {
      c->Address("addr", "", recorded.addr, ours.addr);
    } else if (op.call == MachCall::kVmRegion && recorded.code == 0) {
      Region(op.addr, recorded, ours, c);
    } else if (op.call == MachCall::kVmRead) {
      c->Address("cnt", "", recorded.size, ours.size);
    }
  }

  // vm_read, words compared as far as they are recorded.
  void Read(uint32_t label, const MachOp& op, const MachResult& recorded, Comparison* c) {
    const MachResult ours = bench_->Call(label, op);
    c->Number("kr", recorded.code, ours.code);
    c->Address("cnt", "", recorded.size, ours.size);
    // Sequences do not list it.
    const bool has_data = recorded.code == 0 && op.size != 0;
    c->Address("off", "", has_data ? op.addr & base::kPageMask : 0, ours.offset);
    for (size_t i = 0; i < recorded.words.size(); i++) {
      const std::string where = absl::StrCat("page ", i);
      if (i >= ours.words.size()) {
        c->Field("data", where, Hex(recorded.words[i]), "nothing more");
      } else {
        c->Address("data", where, recorded.words[i], ours.words[i]);
      }
    }
  }

  void Words(uint32_t label, const std::vector<MachStep::Word>& words, Comparison* c) {
    for (const MachStep::Word& word : words) {
      uint32_t code = 0;
      const uint32_t value = bench_->Load(label, word.addr, &code);
      const auto text = [](bool faulted, uint32_t number) {
        return faulted ? absl::StrCat("fault ", number) : Hex(number);
      };
      c->Field("word", Hex(word.addr), text(word.faulted, word.value),
               text(code != 0, code != 0 ? code : value));
    }
  }

 private:
  void Move(uint32_t label, const MachOp& op, const MachResult& recorded, const MachResult& ours,
            Comparison* c) {
    c->Address("addr", "in the mask", 0, ours.addr & op.mask);
    c->Address("addr", "in the page", 0, ours.addr & base::kPageMask);
    if (ours.addr == recorded.addr || c->difference.has_value()) return;
    MachOp again = op;
    again.call = MachCall::kVmDeallocate;
    again.addr = ours.addr;
    c->Number("kr of what moves it", 0, bench_->Call(label, again).code);
    again = op;
    again.anywhere = false;
    again.addr = recorded.addr;
    c->Number("kr at the recorded address", 0, bench_->Call(label, again).code);
  }

  static void Region(uint32_t at, const MachResult& recorded, const MachResult& ours,
                     Comparison* c) {
    if (recorded.addr > at) {
      c->Address("addr", "", recorded.addr, ours.addr);
    } else {
      const bool contains = ours.region.start <= at && at < ours.region.start + ours.region.size;
      c->Field("addr", "", "a region round the address",
               contains ? "a region round the address" : Hex(ours.addr));
    }
    c->Number("cur", recorded.region.cur, ours.region.cur);
    c->Number("max", recorded.region.max, ours.region.max);
    c->Number("inh", recorded.region.inherit, ours.region.inherit);
  }

  MachBench* const bench_;
};

// ---- Sequences ----

class SequenceRun {
 public:
  SequenceRun(MachBench* bench, const MachSequence& sequence)
      : bench_(bench), sequence_(sequence), operations_(bench) {
    slots_[0] = bench_->NewTask();
  }
  ~SequenceRun() {
    for (const auto& [slot, label] : slots_) bench_->Terminate(label);
  }

  std::optional<Difference> Do(const MachStep& step) {
    Comparison c;
    switch (step.kind) {
      case MachStep::Kind::kOperation:
        Operation(step, &c);
        break;
      case MachStep::Kind::kMap:
        c.Maps(step.map, bench_->Map(Label(step.task)), CodePage::kLeaveOut);
        break;
      case MachStep::Kind::kContents:
        operations_.Words(Label(step.task), step.words, &c);
        break;
    }
    if (!bench_->problem().empty()) {
      c.difference.reset();
      c.Field("progress", "", "done", bench_->problem());
    }
    if (!c.difference.has_value()) return std::nullopt;
    c.difference->line = step.line;
    const char* kind = step.kind == MachStep::Kind::kMap ? "M" : "C";
    c.difference->step =
        absl::StrCat("sequence ", sequence_.number, " op ", step.number, " (",
                     step.kind == MachStep::Kind::kOperation ? ToString(step.op)
                                                             : absl::StrCat(kind, " t=", step.task),
                     ")");
    return c.difference;
  }

 private:
  // 0: the recording names a task that there is not.
  uint32_t Label(uint32_t slot) const {
    const auto it = slots_.find(slot);
    return it == slots_.end() ? 0 : it->second;
  }

  void Operation(const MachStep& step, Comparison* c) {
    const uint32_t label = Label(step.op.task);
    if (label == 0) return c->Field("progress", "", "a task", "none in that slot");
    const MachResult& recorded = step.result;
    uint32_t code = 0;
    switch (step.op.call) {
      case MachCall::kTaskCreate: {
        const uint32_t child = bench_->Create(label, MemoryOf(step.op), &code);
        c->Number("kr", recorded.code, code);
        if (child != 0) slots_[recorded.child] = child;
        break;
      }
      case MachCall::kTaskTerminate:
        c->Number("kr", recorded.code, bench_->Terminate(label));
        slots_.erase(step.op.task);
        break;
      case MachCall::kPeek: {
        const uint32_t value = bench_->Load(label, step.op.addr, &code);
        c->Number("fault", recorded.code, code);
        c->Address("val", "", recorded.value, code == 0 ? value : 0);
        break;
      }
      case MachCall::kPoke:
        c->Number("fault", recorded.code, bench_->Store(label, step.op.addr, step.op.value));
        break;
      case MachCall::kVmRead:
        operations_.Read(label, step.op, recorded, c);
        break;
      default:
        operations_.Call(label, step.op, recorded, c);
        break;
    }
  }

  MachBench* const bench_;
  const MachSequence& sequence_;
  Operations operations_;
  std::map<uint32_t, uint32_t> slots_;  // to labels
};

void RunSequence(MachBench* bench, const MachSequence& sequence, Outcome* totals) {
  SequenceRun run(bench, sequence);
  totals->steps += sequence.steps.size();
  for (size_t i = 0; i < sequence.steps.size(); i++) {
    const std::optional<Difference> difference = run.Do(sequence.steps[i]);
    totals->Count(difference, nullptr);
    totals->hash = base::Chain(totals->hash, difference.has_value() ? 0 : 1);
    if (!difference.has_value()) continue;
    totals->after_difference += sequence.steps.size() - i - 1;
    return;
  }
}

// ---- Single calls ----

class SingleCalls {
 public:
  SingleCalls(const MachRecording& recording, Outcome* totals)
      : recording_(recording), totals_(totals), bench_(std::make_unique<MachBench>()) {}

  fake_l4::Ledger ledger() const { return bench_->ledger(); }

  void Layout() {
    Comparison c;
    const uint32_t label = NewLayout();
    c.Maps(recording_.layout_map.map, bench_->Map(label), CodePage::kKeep);
    bench_->Terminate(label);
    Count(c, recording_.layout_map.line, "the layout", nullptr);
  }

  // Whether a page can be loaded from and stored to.
  void Access(const MachAccess& access) {
    const uint32_t label = bench_->NewTask();
    MachOp op = At(0, 1);
    op.call = MachCall::kVmAllocate;
    bench_->Call(label, op);
    if (access.written_before) bench_->Store(label, op.addr, 0);
    Protect(label, op, access.cur, false);
    uint32_t code = 0;
    if (access.write) {
      code = bench_->Store(label, op.addr, 0);
    } else {
      bench_->Load(label, op.addr, &code);
    }
    bench_->Terminate(label);
    Comparison c;
    c.Number("fault", access.code, code);
    Count(c, access.line, absl::StrCat("F cur=", access.cur, access.write ? " write" : " read"),
          nullptr);
  }

  void Call(const MachSingleCall& call) {
    const char* name = nullptr;
    for (const MachDifference& d : MachDifferences()) {
      if (d.call == call.op.call && d.matches(call.op)) name = d.name;
    }
    const uint32_t label = NewLayout();
    Comparison c;
    if (call.op.target != MachTarget::kTask) {
      c.Number("kr", call.result.code, bench_->CallNobody(call.op).code);
    } else if (call.op.call == MachCall::kTaskCreate) {
      return Fork(call, label, name);
    } else if (call.op.call == MachCall::kVmRead) {
      Operations(bench_.get()).Read(label, call.op, call.result, &c);
    } else {
      Operations(bench_.get()).Call(label, call.op, call.result, &c);
    }
    const MachMap after = bench_->Map(label);
    if (call.maps.empty()) c.Maps(recording_.layout_map.map, after, CodePage::kKeep);
    Count(c, call, call.line, name);
    for (const MachMapAfter& map : call.maps) CountMap(call, map, after, name);
    if (call.words_line != 0) {
      Comparison words;
      Words(label, call, &words);
      Count(words, call, call.words_line, name);
    }
    bench_->Terminate(label);
  }

 private:
  static MachOp At(uint32_t page, uint32_t pages) {
    MachOp op;
    op.addr = kMachLayoutBase + page * kMachPageBytes;
    op.size = pages * kMachPageBytes;
    return op;
  }
  void Protect(uint32_t label, MachOp op, uint32_t prot, bool set_max) {
    op.call = MachCall::kVmProtect;
    op.prot = prot;
    op.set_max = set_max;
    bench_->Call(label, op);
  }

  uint32_t NewLayout() {
    if (!bench_->problem().empty()) bench_ = std::make_unique<MachBench>();
    const uint32_t label = bench_->NewTask();
    for (const MachLayout& part : recording_.layout) {
      MachOp op = At(part.page, part.pages);
      op.call = MachCall::kVmAllocate;
      bench_->Call(label, op);
      for (uint32_t i = 0; i < part.pages; i++) {
        bench_->Store(label, op.addr + i * kMachPageBytes, part.word + i);
      }
      op.call = MachCall::kVmInherit;
      op.inherit = part.inherit;
      bench_->Call(label, op);
      if (part.max != 7) Protect(label, op, part.max, true);
      Protect(label, op, part.cur, false);
    }
    return label;
  }

  void Fork(const MachSingleCall& call, uint32_t label, const char* name) {
    if (call.op.wires_first) {
      for (const auto& [page, pages] : {std::pair{0u, 2u}, std::pair{10u, 1u}}) {
        MachOp wire = At(page, pages);
        wire.call = MachCall::kVmWire;
        wire.access = 1;
        bench_->Call(label, wire);
      }
    }
    uint32_t code = 0;
    const uint32_t child = bench_->Create(label, MemoryOf(call.op), &code);
    Comparison c;
    c.Number("kr", call.result.code, code);
    Count(c, call, call.line, name);
    for (const MachMapAfter& map : call.maps) {
      const bool of_child = map.whose == MachMapAfter::Whose::kChild;
      CountMap(call, map,
               of_child && child == 0 ? MachMap() : bench_->Map(of_child ? child : label), name);
    }
    if (child != 0) bench_->Terminate(child);
    bench_->Terminate(label);
  }

  void Words(uint32_t label, const MachSingleCall& call, Comparison* c) {
    for (size_t i = 0; i < call.words.size(); i++) {
      const uint32_t addr = call.op.to + static_cast<uint32_t>(i) * kMachPageBytes;
      uint32_t code = 0;
      const uint32_t value = bench_->Load(label, addr, &code);
      c->Field("word", Hex(addr), call.words[i].has_value() ? Hex(*call.words[i]) : "?",
               code == 0 ? Hex(value) : "?");
    }
  }

  void CountMap(const MachSingleCall& call, const MachMapAfter& recorded, const MachMap& ours,
                const char* name) {
    Comparison c;
    c.Maps(recorded.map, ours, CodePage::kKeep);
    Count(c, call, recorded.line, name);
  }

  void Count(Comparison& c, const MachSingleCall& call, int line, const char* name) {
    Count(c, line, absl::StrCat("call ", call.number, " (", ToString(call.op), ")"), name);
  }
  void Count(Comparison& c, int line, const std::string& step, const char* name) {
    if (!bench_->problem().empty()) {
      c.difference.reset();
      c.Field("progress", "", "done", bench_->problem());
      name = nullptr;
    }
    if (c.difference.has_value()) {
      c.difference->line = line;
      c.difference->step = step;
    }
    totals_->steps++;
    totals_->Count(c.difference, c.difference.has_value() ? name : nullptr);
    totals_->hash = base::Chain(totals_->hash, c.difference.has_value() ? 0 : 1);
  }

  const MachRecording& recording_;
  Outcome* const totals_;
  std::unique_ptr<MachBench> bench_;
};

absl::StatusOr<MachRecording> Read(const std::string& file) {
  const absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  return ParseMachRecording(file, *text);
}

// A task of the recorded machine could not map more than its 512 MiB of RAM; above this address
// there is room for more.
bool IsBeyondTheRecordedRam(const MachOp& op) {
  return op.addr == 0x1000c000 && op.size == 0x80000000 && op.mask == 0 && !op.anywhere;
}

constexpr MachDifference kDifferences[] = {
    {"mach-map-mask-first-fit", MachCall::kVmMap,
     [](const MachOp& op) {
       return op.anywhere && (op.mask == 0x80000fff || op.mask == 0xf0000000 ||
                              op.mask == 0xf0000fff || op.mask == 0xffffffff);
     }},
    {"mach-task-size-limit", MachCall::kVmAllocate, IsBeyondTheRecordedRam},
    {"mach-task-size-limit", MachCall::kVmMap, IsBeyondTheRecordedRam},
};

}  // namespace

absl::Span<const FieldRule> MachFieldTable() { return kFieldTable; }
absl::Span<const MachDifference> MachDifferences() { return kDifferences; }

Outcome RunMachRecording(const MachRecording& recording) {
  Outcome totals;
  std::unique_ptr<MachBench> bench;
  for (const MachSequence& sequence : recording.sequences) {
    if (bench == nullptr || !bench->problem().empty()) {
      if (bench != nullptr) AddLedger(bench->ledger(), &totals.ledger);
      bench = std::make_unique<MachBench>();
    }
    RunSequence(bench.get(), sequence, &totals);
  }
  if (bench != nullptr) AddLedger(bench->ledger(), &totals.ledger);
  if (recording.layout.empty()) return totals;
  SingleCalls single(recording, &totals);
  single.Layout();
  for (const MachAccess& access : recording.accesses) single.Access(access);
  for (const MachSingleCall& call : recording.calls) single.Call(call);
  AddLedger(single.ledger(), &totals.ledger);
  return totals;
}

int ConformMach(const std::vector<std::string>& files, const MachConformOptions& options,
                std::ostream& out, std::ostream& err) {
  std::vector<MachRecording> recordings;
  if (!ReadAll("conform mach", files, Read, &recordings, err)) return kExitUsage;
  if (options.count_only) return CountAll(recordings, options.format(), out);
  Report report(options.format(), out);
  for (const MachRecording& r : recordings) report.Add(r.file, RunMachRecording(r));
  return report.Finish("uvm", "", "", options.seconds);
}

}  // namespace conform
