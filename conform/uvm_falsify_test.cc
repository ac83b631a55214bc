// The judge is judged: one falsified number of a recording is found, whichever it is, and so is an
// error that nothing caused.
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "conform/outcome.h"
#include "conform/recording.h"
#include "conform/uvm.h"
#include "conform/uvm_l4_bench.h"
#include "conform/uvm_recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

UvmRecording Read(const std::string& name) {
  const std::string path = absl::StrCat("conform/testdata/netbsd_uvm/", name, ".txt.gz");
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  absl::StatusOr<UvmRecording> recording = ParseUvmRecording(path, text.value_or(""));
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *std::move(recording) : UvmRecording();
}

// Falsifies the line, if it has the field.
using Falsify = std::function<bool(UvmLine* line)>;

template <typename T>
Falsify Of(const std::function<bool(T*)>& falsify) {
  return [falsify](UvmLine* line) {
    T* what = std::get_if<T>(&line->what);
    return what != nullptr && falsify(what);
  };
}

// The first letter of a kind in a picture becomes another one.
bool Replace(std::string* letters, char from, char to) {
  const size_t at = letters->find(from);
  if (at == std::string::npos) return false;
  (*letters)[at] = to;
  return true;
}

// Where memory is short the field is not compared: what is mapped, or wired, is each kernel's own.
constexpr int kNotWhereShort = -1;
constexpr int kNotWithoutSwap = -1;

struct Field {
  const char* name;
  Falsify falsify;
  int percent;           // of the falsified lines that must be found, at least
  int percent_of_short;  // in sequences with swap
};

std::vector<Field> EntryFields() {
  const auto entry = [](const std::function<bool(UvmEntry*)>& f) { return Of<UvmEntry>(f); };
  const auto amap = [entry](const std::function<bool(UvmAmap*)>& f) {
    return entry([f](UvmEntry* e) { return e->amap.has_value() && f(&*e->amap); });
  };
  return {
      {"E+ am= references +3", amap([](UvmAmap* a) { return (a->refs += 3) != 0; }), 95, 95},
      {"E+ am= references -1", amap([](UvmAmap* a) { return a->refs > 1 && --a->refs != 0; }), 95,
       95},
      {"E+ am= slots +1", amap([](UvmAmap* a) { return ++a->slots != 0; }), 75, 75},
      {"E+ am= slots -1", amap([](UvmAmap* a) { return a->slots-- != 0; }), 92, 92},
      {"E+ am= S", amap([](UvmAmap* a) {
         a->shared = !a->shared;
         return true;
       }),
       88, 90},
      {"E+ am= none", entry([](UvmEntry* e) {
         const bool had = e->amap.has_value();
         e->amap.reset();
         return had;
       }),
       95, 95},
      {"E+ nc", entry([](UvmEntry* e) {
         e->needs_copy = !e->needs_copy;
         return true;
       }),
       72, 73},
      {"E+ wired +1", entry([](UvmEntry* e) { return ++e->wired != 0; }), 95, 95},
      {"E+ protection", entry([](UvmEntry* e) {
         e->prot ^= kUvmWrite;
         return true;
       }),
       95, 95},
      {"E+ end one page earlier", entry([](UvmEntry* e) {
         if (e->end - e->start <= kUvmPageBytes) return false;
         e->end -= kUvmPageBytes;
         return true;
       }),
       95, 95},
  };
}

std::vector<Field> CounterFields() {
  const auto map = [](const std::function<bool(UvmMapCounters*)>& f) {
    return Of<UvmMapCounters>(f);
  };
  const auto machine = [](const std::function<bool(UvmCounters*)>& f) {
    return Of<UvmCounters>(f);
  };
  return {
      {"M n +1", map([](UvmMapCounters* m) { return ++m->entries != 0; }), 95, 95},
      {"M sz +1", map([](UvmMapCounters* m) { return ++m->size != 0; }), 95, 95},
      {"M res +1", map([](UvmMapCounters* m) { return ++m->resident != 0; }), 77, kNotWhereShort},
      {"M res -1", map([](UvmMapCounters* m) { return m->resident-- != 0; }), 70, kNotWhereShort},
      {"M wir +1", map([](UvmMapCounters* m) { return ++m->wired != 0; }), 55, kNotWhereShort},
      {"C anons +5", machine([](UvmCounters* c) { return (c->anons += 5) != 0; }), 90, 20},
      {"C anons +1", machine([](UvmCounters* c) { return ++c->anons != 0; }), 90, 15},
      {"C amaps +1", machine([](UvmCounters* c) { return ++c->amaps != 0; }), 95, 95},
      {"C wired +7", machine([](UvmCounters* c) { return (c->wired += 7) != 0; }), 88,
       kNotWhereShort},
      {"C wired +1", machine([](UvmCounters* c) { return ++c->wired != 0; }), 76, kNotWhereShort},
      {"C free -1", machine([](UvmCounters* c) { return c->free-- != 0; }), 95, kNotWhereShort},
      {"C swavail +1", machine([](UvmCounters* c) { return ++c->swap_available != 0; }),
       kNotWithoutSwap, 95},
  };
}

std::vector<Field> ViewFields() {
  const auto view = [](const std::function<bool(UvmView*)>& f) { return Of<UvmView>(f); };
  return {
      {"V pte w to r", view([](UvmView* v) { return Replace(&v->translations, 'w', 'r'); }), 85,
       kNotWhereShort},
      {"V pte r to w", view([](UvmView* v) { return Replace(&v->translations, 'r', 'w'); }), 70,
       kNotWhereShort},
      {"V pte r to -", view([](UvmView* v) { return Replace(&v->translations, 'r', '-'); }), 90,
       95},
      {"V pte - to r", view([](UvmView* v) { return Replace(&v->translations, '-', 'r'); }), 90,
       95},
      {"V pg a to A", view([](UvmView* v) { return Replace(&v->pages, 'a', 'A'); }), 83, 80},
      {"V pg A to a", view([](UvmView* v) { return Replace(&v->pages, 'A', 'a'); }), 64, 80},
      {"V pg a to -", view([](UvmView* v) { return Replace(&v->pages, 'a', '-'); }), 95, 95},
      {"V pg o to -", view([](UvmView* v) { return Replace(&v->pages, 'o', '-'); }), 90,
       kNotWhereShort},
  };
}

std::vector<Field> Fields() {
  std::vector<Field> fields;
  for (const std::vector<Field>& some : {EntryFields(), CounterFields(), ViewFields()})
    fields.insert(fields.end(), some.begin(), some.end());
  return fields;
}

uint64_t Undecided(const UvmRecording& recording, const UvmSequence& sequence) {
  Outcome o;
  RunUvmSequence(recording, sequence, UvmL4Bench::Make, UvmScope::kStructure, &o);
  return o.disagreements;
}

// Lines of the sequence's operations, up to the contents: those behind them belong to no step.
size_t LinesOfSteps(const UvmSequence& sequence) {
  for (size_t i = 0; i < sequence.lines.size(); i++) {
    const auto* section = std::get_if<UvmSection>(&sequence.lines[i].what);
    if (section != nullptr && *section == UvmSection::kFinalContents) return i;
  }
  return sequence.lines.size();
}

// The place of some line that the field could be falsified in; -1: the sequence has none.
int Falsified(const Field& field, base::Prng* prng, UvmSequence* sequence) {
  const size_t end = LinesOfSteps(*sequence);
  if (end == 0) return -1;
  const size_t first = prng->Below(end);
  size_t ops = 0;
  for (size_t n = 0; n < end; n++) {
    const size_t i = (first + n) % end;
    // The counters before the first operation belong to no step, either.
    ops = 0;
    for (size_t k = 0; k < i && ops == 0; k++)
      ops += std::holds_alternative<UvmOpLine>(sequence->lines[k].what) ? 1 : 0;
    if (ops != 0 && field.falsify(&sequence->lines[i])) return static_cast<int>(i);
  }
  return -1;
}

// Recordings in which all sequences have swap, or none has.
struct File {
  const char* name;
  bool is_short;
};
void PrintTo(const File& file, std::ostream* out) { *out << file.name; }

constexpr File kFiles[] = {
    {"a_nopressure_clean_00", false}, {"a_nopressure_clean_01", false},
    {"s_syscall_clean_00", false},    {"l_loan_clean_00", false},
    {"b_pressure_clean_00", true},    {"b_pressure_clean_02", true},
    {"e_swapioerr_clean_00", true},   {"h_inflight_clean_00", true},
    {"p_filepager_clean_00", true},
};

class UvmFalsifyTest : public testing::TestWithParam<File> {};

INSTANTIATE_TEST_SUITE_P(All, UvmFalsifyTest, testing::ValuesIn(kFiles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(UvmFalsifyTest, OneFalsifiedLineIsUndecided) {
  constexpr size_t kEach = 100;
  const UvmRecording recording = Read(GetParam().name);
  for (const Field& field : Fields()) {
    base::Prng prng(1, field.name);
    const int percent = GetParam().is_short ? field.percent_of_short : field.percent;
    if (percent < 0) continue;
    size_t falsified = 0, found = 0;
    for (size_t n = 0; falsified < kEach && n < 3 * kEach; n++) {
      UvmSequence sequence = recording.sequences[prng.Below(recording.sequences.size())];
      if (Falsified(field, &prng, &sequence) < 0) continue;
      falsified++;
      found += Undecided(recording, sequence) != 0 ? 1 : 0;
    }
    std::cout << field.name << ": " << found << " of " << falsified << "\n";
    EXPECT_GE(falsified, kEach / 10) << field.name;
    EXPECT_GE(found * 100, falsified * static_cast<size_t>(percent)) << field.name;
  }
}

// Errors that the recorded kernel did not have, in sequences without structure: nothing was
// injected or used up there, or not for so many pages.
struct Error {
  const char* name;
  Falsify falsify;
  int percent;
  int percent_of_errors;  // in e_swapioerr, where most sequences have errors of their own
};

std::vector<Error> Errors() {
  const auto fails = [](UvmCall call, int error) {
    return Of<UvmOpLine>([call, error](UvmOpLine* l) {
      const bool was_ok = l->op.call == call && l->result.error == 0 && !l->result.missing;
      if (was_ok) l->result.error = error;
      return was_ok;
    });
  };
  const auto page = [](int error) {
    return Of<UvmContents>([error](UvmContents* x) {
      for (UvmPageBytes& p : x->pages) {
        if (p.error != 0) continue;
        p = {.error = error};
        return true;
      }
      return false;
    });
  };
  return {{"read EIO", fails(UvmCall::kRead, kEio), 90, 50},
          {"write EIO", fails(UvmCall::kWrite, kEio), 95, 60},
          {"fork EIO", fails(UvmCall::kFork, kEio), 95, 90},
          {"read ENOMEM", fails(UvmCall::kRead, kEnomem), 95, 95},
          {"write ENOMEM", fails(UvmCall::kWrite, kEnomem), 95, 95},
          {"swapoff ENOMEM", fails(UvmCall::kSwapOff, kEnomem), 35, 35},
          {"page EIO", page(kEio), 88, 15},
          {"page ENOMEM", page(kEnomem), 95, 95}};
}

TEST_P(UvmFalsifyTest, AnErrorOutOfNowhereIsFound) {
  if (!GetParam().is_short) GTEST_SKIP() << "there no error is excused at all";
  constexpr size_t kEach = 100;
  const UvmRecording recording = Read(GetParam().name);
  for (const Error& error : Errors()) {
    base::Prng prng(2, error.name);
    size_t falsified = 0, found = 0;
    for (size_t n = 0; falsified < kEach && n < 3 * kEach; n++) {
      UvmSequence sequence = recording.sequences[prng.Below(recording.sequences.size())];
      const size_t first = prng.Below(sequence.lines.size());
      bool done = false;
      for (size_t k = 0; !done && k < sequence.lines.size(); k++)
        done = error.falsify(&sequence.lines[(first + k) % sequence.lines.size()]);
      if (!done) continue;
      falsified++;
      Outcome o;
      RunUvmSequence(recording, sequence, UvmL4Bench::Make, UvmScope::kMeaning, &o);
      found += o.disagreements != 0 ? 1 : 0;
    }
    std::cout << error.name << ": " << found << " of " << falsified << "\n";
    const bool errors = std::string(GetParam().name) == "e_swapioerr_clean_00";
    const int percent = errors ? error.percent_of_errors : error.percent;
    EXPECT_GE(found * 100, falsified * static_cast<size_t>(percent)) << error.name;
  }
}

}  // namespace
}  // namespace conform
