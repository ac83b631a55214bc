#include "conform/uvm.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/text_sink.h"
#include "conform/differences.h"
#include "conform/uvm_books.h"
#include "conform/uvm_differences.h"
#include "conform/uvm_directed.h"
#include "conform/uvm_picture.h"
#include "conform/uvm_replay.h"
#include "conform/uvm_search.h"
#include "conform/uvm_shortage.h"
#include "conform/uvm_structure.h"
#include "conform/uvm_triggers.h"
#include "uvm/invariants.h"

namespace conform {

namespace {

constexpr std::array kFieldTable = {
    FieldRule{"# boot", "reserve_kernel", Compared::kNo,
              "input: pages that the recorded kernel gives to no client are none of ours"},
    FieldRule{"# boot", "pages, free, freemin, freetarg, wiredmax", Compared::kNo,
              "sizes of the recorded machine, which each sequence says itself"},
    FieldRule{"seq", "name", Compared::kNo, "a name"},
    FieldRule{"seq", "pages, va, dir", Compared::kNo, "input"},
    FieldRule{"operation", "arguments", Compared::kNo, "input"},
    FieldRule{"operation", "result", Compared::kYes,
              "OK or the error, and what comes with it: address, byte, truth, vec; not where the "
              "recorder left it out"},
    FieldRule{"E+", "start, end", Compared::kYes,
              "as pages: what each page of each map is like after every operation"},
    FieldRule{"E+", "prot, max, inheritance, advice", Compared::kYes, "of each page"},
    FieldRule{"E+", "w", Compared::kYes, "of each page: whether it is wired"},
    FieldRule{"E+", "obj", Compared::kYes, "of each page: which page of which object lies below"},
    FieldRule{"E-", "start", Compared::kYes, "with E+: the map is put together from both"},
    FieldRule{"X, L, STORE", "bytes", Compared::kYes, "of each page, or the error of reading it"},
    FieldRule{"check", "sane", Compared::kYes, "with our value of what was checked"},
    FieldRule{"check", "got", Compared::kNo,
              "the recorded kernel's value; where it is not sane a defect is shown"},
    FieldRule{"C at the end", "free, anons, amaps", Compared::kYes,
              "none of ours is left in use; the recorded kernel keeps a zero page once something "
              "was lent"},
    FieldRule{"quirk", "nearest", Compared::kYes, "with our search"},
    FieldRule{"note, trigger", "all", Compared::kNo,
              "remarks; a trigger names the defect whose conditions the next operation meets"},
    FieldRule{
        "GET, PUT", "all", Compared::kNo,
        "what a pager is asked for is a design's own affair; read errors among them are input"},
    FieldRule{"PANIC, CRASH, HANG, ABNORMAL", "all", Compared::kNo,
              "how the recorded kernel ended; ours goes on"},
    FieldRule{"pressure, inflight, iodone, ballast", "result", Compared::kYes, "OK or the error"},
    FieldRule{"inflight, iodone", "paging, completed", Compared::kNo,
              "which pages are written when is a design's own affair; ours must be as many as the "
              "disks hold"},
    FieldRule{"swapon, swapoff, swapctl, ioerr, fileerr", "result", Compared::kYes,
              "OK or the error"},
    FieldRule{"structure: sequences with swap", "M res, M wir, C free, C wired, V pte",
              Compared::kNo,
              "which page is in memory, wired or mapped is each kernel's own affair"},
    FieldRule{"structure: sequences with swap", "V pg", Compared::kYes,
              "whether there is an anon, and whether it has one reference; where it is, and pages "
              "of objects, not"},
    FieldRule{"structure: sequences with swap", "C anons", Compared::kYes,
              "not while writes are held in flight: what nobody has any more stays until it is "
              "written"},
    FieldRule{"structure: sequences with swap", "C swavail", Compared::kYes,
              "slots of the devices that are on, but for the spare one"},
    FieldRule{
        "structure: E+", "start, end", Compared::kYes,
        "boundaries of the entries that changed; what a failed operation split is split after it"},
    FieldRule{"structure: E+", "cow, nc", Compared::kYes, "of the entries that changed"},
    FieldRule{"structure: E+", "nm", Compared::kNo,
              "that an entry never merges shows in its boundaries"},
    FieldRule{"structure: E+", "w", Compared::kYes, "how often it is wired"},
    FieldRule{"structure: E+", "am", Compared::kYes,
              "references, slots in use inside the entry, S"},
    FieldRule{"structure: M", "n, sz, res, wir", Compared::kYes, "where the line stands"},
    FieldRule{"structure: C", "free, wired, anons, amaps", Compared::kYes,
              "where the line stands; free as pages in use"},
    FieldRule{"structure: C", "act, inact, swu, swo", Compared::kNo, "page replacement"},
    FieldRule{"structure: V", "pte, pg", Compared::kYes,
              "where the line stands; those at the end are structure, too"},
};

std::string Bytes(const std::vector<UvmPageBytes>& pages) {
  std::string text;
  for (const UvmPageBytes& p : pages) absl::StrAppend(&text, text.empty() ? "" : " ", ToString(p));
  return text;
}

// Bad ones are nobody's.
uint64_t SlotsInUse(const uvm::Uvm& u) {
  constexpr uint32_t kMost = 64;
  uvm::SwapStats stats[kMost];
  uint64_t slots = 0;
  for (uint32_t i = 0, on = u.swap().Stats(stats, kMost); i < on; i++)
    slots += (stats[i].in_use - stats[i].bad).value();
  return slots;
}

class Run {
 public:
  Run(const std::string& recording, const UvmSequence& sequence, UvmBench* bench, UvmScope scope,
      Outcome* totals)
      : recording_(recording),
        sequence_(sequence),
        bench_(bench),
        replay_(bench, sequence),
        directed_(&replay_),
        short_(UvmIsShort(sequence)),
        scope_(scope),
        totals_(totals) {}

  void Walk() {
    for (size_t i = 0; i < sequence_.lines.size(); i++) {
      const UvmLine* next = i + 1 < sequence_.lines.size() ? &sequence_.lines[i + 1] : nullptr;
      quirk_ = next == nullptr ? nullptr : std::get_if<UvmQuirk>(&next->what);
      // Some scenarios make a read fail without saying so beforehand.
      const auto* get = next == nullptr ? nullptr : std::get_if<UvmGet>(&next->what);
      if (get != nullptr && get->error == kEio) replay_.FailNextRead();
      line_ = sequence_.lines[i].line;
      std::visit([this](const auto& what) { Visit(what); }, sequence_.lines[i].what);
    }
    Close();
    if (!sequence_.abnormal) FinalState();
  }

 private:
  // ---- Steps ----

  // A step is open from its line on until the next step's.
  // `step`: what it is called; `details`: more about it.
  void Open(const std::string& step, const std::string& details = "") {
    Close();
    open_ = true;
    lines_ = {};
    final_views_.clear();
    step_line_ = line_;
    what_ = absl::StrCat("sequence ", sequence_.name, " ", step, details);
    const UvmStepDifference* named = NamedUvmStep(NameOf(recording_), sequence_.name, step);
    name_ = named != nullptr ? named->name : nullptr;
    resumes_ = named != nullptr && named->after != UvmAfter::kEnds;
    takes_back_ = named != nullptr && named->after == UvmAfter::kTakenBack;
    difference_.reset();
  }
  void Close() {
    if (!open_) return;
    if (compares_ && !stopped_) CompareState();
    open_ = false;
    Count();
    const std::vector<const UvmStore*> stores = std::move(stores_);
    stores_.clear();
    for (const UvmStore* s : stores) CompareStore(*s);
    if (!stores.empty()) Close();
  }
  void Count() {
    if (stopped_ && !counts_always_) {
      totals_->after_difference++;
      return;
    }
    totals_->hash = base::Chain(totals_->hash, difference_.has_value() ? 1 : 0);
    if (difference_.has_value() && name_ == nullptr) name_ = Excuse(*difference_);
    totals_->Count(difference_, name_);
    if (difference_.has_value() && !resumes_) stopped_ = true;
    counts_always_ = false;
    resumes_ = false;
  }
  // The trigger before it that allows the difference, or null.
  const char* Excuse(const Difference& d) const {
    if (d.field == "result") return triggers_.ExcuseResult();
    uint64_t space = contents_of_;
    uint64_t va = 0;
    if (d.field == "contents" && absl::StartsWith(d.where, "0x")) {
      va = std::stoull(d.where, nullptr, 16);
    } else if (d.field == "page") {
      const std::vector<std::string> words = absl::StrSplit(d.where, ' ');  // "space S 0xVA"
      space = std::stoull(words[1]);
      va = std::stoull(words[2], nullptr, 16);
    } else {
      return nullptr;
    }
    const bool wiring = absl::StrReplaceAll(d.recorded, {{" wired", ""}}) ==
                        absl::StrReplaceAll(d.ours, {{" wired", ""}});
    using Differs = UvmTriggers::Differs;
    return triggers_.ExcusePage(space, va, wiring ? Differs::kInWiringOnly : Differs::kAnywhere);
  }
  void Differ(const std::string& field, const std::string& where, const std::string& recorded,
              const std::string& ours) {
    if (!open_ || difference_.has_value() || recorded == ours) return;
    difference_ = Difference{.line = step_line_,
                             .step = what_,
                             .field = field,
                             .where = where,
                             .recorded = recorded,
                             .ours = ours};
  }
  void Differ(const std::optional<UvmMismatch>& m) {
    if (m.has_value()) Differ(m->field, m->where, m->recorded, m->ours);
  }
  void CompareState() {
    if (!bench_->problem().empty()) return Differ("progress", "", "done", bench_->problem());
    Differ(picture_.ComparePages(replay_));
    // A difference that ends its sequence is the last word about it.
    if (scope_ == UvmScope::kMeaning || (difference_.has_value() && !resumes_)) return;
    CompareStructure();
    causes_.Settle(picture_);
    if (op_ != nullptr && op_->op.call == UvmCall::kExit) maps_.erase(op_->op.space);
  }
  // Another structure is no reason to stop: what it means is the same.
  void CompareStructure() {
    of_structure_.clear();
    FollowStructure();
    for (const UvmMismatch& m : books_.Check(picture_, lines_)) Mark(m, BooksName(m));
    for (const UvmEntry& e : lines_.entries) {
      const std::vector<UvmMismatch> found = CompareEntry(replay_, e);
      for (const UvmMismatch& m : found) Mark(m, OfEntry(m, e));
      if (found.empty()) causes_.Agrees(e);
    }
    for (const UvmMapCounters& m : lines_.maps) {
      maps_[m.space] = m;
      CompareSizes(m);
    }
    for (const auto* views : {&lines_.views, &final_views_}) {
      for (const UvmMismatch& m : books_.CheckViews(picture_, *views)) Mark(m, nullptr);
      for (const UvmView& v : *views) CompareView(v);
    }
    if (lines_.counters.has_value()) machine_ = lines_.counters;
    if (short_) {
      CompareScarce();
    } else {
      CompareCounters();
    }
    // What is undecided comes before what is decided.
    const auto is_undecided = [](const auto& found) { return found.second == nullptr; };
    auto told = std::find_if(of_structure_.begin(), of_structure_.end(), is_undecided);
    if (told != of_structure_.end()) difference_.reset();
    if (told == of_structure_.end()) told = of_structure_.begin();
    if (difference_.has_value() || told == of_structure_.end()) return;
    Differ(told->first);
    name_ = told->second;
    resumes_ = true;
  }
  void Mark(const UvmMismatch& m, const char* name) {
    if (m.recorded != m.ours) of_structure_.push_back({m, name});
  }
  const char* OfEntry(const UvmMismatch& m, const UvmEntry& e) {
    return causes_.OfEntry(m, e, PartnersOf(e));
  }
  // What has the amap of our entry at the recorded one's place.
  std::vector<UvmSpan> PartnersOf(const UvmEntry& recorded) const {
    return UvmPartnersOf(replay_, recorded.space, recorded.start);
  }
  const char* BooksName(const UvmMismatch& m) const {
    if (m.field != "M sz") return nullptr;
    const uint64_t space = std::stoull(m.where.substr(m.where.find(' ')));
    return causes_.OfSize(space, std::stoull(m.recorded) - std::stoull(m.ours));
  }
  // Where the recorded kernel has split entries, or given them amaps, and ours has not, ours follow
  // after it has been told, so that what comes next can be compared: their meaning is the same.
  void FollowStructure() {
    if (op_ == nullptr) return;
    const bool failed = op_->result.error != 0;
    // What fails has copied an amap before it split entries; what moves is in its pieces first.
    if (failed) FollowAmaps();
    for (const UvmEntry& e : lines_.entries) {
      const bool first = replay_.SplitAt(e.space, e.start);
      const bool split = replay_.SplitAt(e.space, e.end) || first;
      if (!split) continue;
      const UvmMismatch m = {"boundaries", "", "split", "as before", {}};
      Mark(m, OfEntry(m, e));
    }
    if (!failed) FollowAmaps();
    for (const UvmEntry& e : lines_.entries) {
      if (!e.amap.has_value() || !e.amap->shared || !replay_.MarkShared(e)) continue;
      Mark({"amap shared", "", "shared", "not", {}}, causes_.OfNewAmap(e, PartnersOf(e)));
    }
  }
  void FollowAmaps() {
    for (const UvmEntry& e : lines_.entries) {
      if (!e.amap.has_value() || e.needs_copy || !replay_.GiveAmap(e)) continue;
      Mark({"amap", "", "own", "none yet", {}}, causes_.OfNewAmap(e, PartnersOf(e)));
    }
  }
  void CompareSizes(const UvmMapCounters& m) {
    const uvm::Space* space = replay_.space(m.space);
    if (space == nullptr) return;
    const std::string where = absl::StrCat("space ", m.space);
    const uint64_t pages = space->map().size_bytes() / kUvmPageBytes;
    Mark({"M sz", where, absl::StrCat(m.size), absl::StrCat(pages)},
         causes_.OfSize(m.space, m.size - pages));
    Mark({"M n", where, absl::StrCat(m.entries), absl::StrCat(space->map().DebugCount())},
         causes_.OfMap(m.space));
  }
  // Each counter stands until it is said again; what is decided is told where it is said.
  void CompareCounters() {
    using Counter = UvmCauses::Counter;
    const uvm::PmapSystem* pmap = replay_.uvm().DebugPmap();
    for (const auto& [number, m] : maps_) {
      const uvm::Space* space = replay_.space(number);
      if (space == nullptr) continue;
      const std::string where = absl::StrCat("space ", number);
      CompareCounter(Counter::kResident, number, {"M res", where, "", ""}, m.resident,
                     pmap->ResidentCount(space->pmap()).value());
      CompareCounter(Counter::kWiredMappings, number, {"M wir", where, "", ""}, m.wired,
                     pmap->WiredCount(space->pmap()).value());
    }
    if (!machine_.has_value()) return;
    uvm::Uvm& u = replay_.uvm();
    const uint64_t anons = u.DebugAnons().live();
    CompareCounter(Counter::kAnons, 0, {"C anons", "machine", "", ""}, machine_->anons, anons);
    CompareCounter(Counter::kWired, 0, {"C wired", "machine", "", ""}, machine_->wired,
                   u.DebugPages().wired_count().value());
    CompareAmaps();
    // Pages in use that are no anon's.
    const uint64_t used = (u.DebugPages().total() - u.DebugPages().free_count()).value();
    const uint64_t recorded = sequence_.pages - machine_->free - machine_->anons;
    Tell(causes_.OfUsed(recorded, used - anons, replay_.zero_pages()),
         {"C used",
          "machine",
          absl::StrCat(static_cast<int64_t>(recorded)),
          absl::StrCat(static_cast<int64_t>(used - anons)),
          {}},
         lines_.counters.has_value());
  }
  // What does not depend on which page is in memory.
  void CompareScarce() {
    CompareAmaps();
    if (!lines_.counters.has_value()) return;
    const auto mark = [this](const char* field, uint64_t recorded, uint64_t ours,
                             const char* name) {
      Mark({field, "machine", absl::StrCat(recorded), absl::StrCat(ours), {}}, name);
    };
    // An anon that nobody has any more stays until its page has been written.
    const uint64_t anons = replay_.uvm().DebugAnons().live();
    if (!writes_held_ && replay_.pressure().held_pages() == 0)
      mark("C anons", machine_->anons, anons, causes_.OfAnons(machine_->anons, anons));
    mark("C swavail", machine_->swap_available, replay_.pressure().SlotsOn(), nullptr);
  }
  void CompareAmaps() {
    if (!machine_.has_value()) return;
    const char* amaps = causes_.OfAmaps();
    if (!lines_.counters.has_value() && amaps != nullptr) return;
    Mark({"C amaps", "machine", absl::StrCat(machine_->amaps),
          absl::StrCat(replay_.uvm().DebugAmaps().live())},
         amaps);
  }
  void CompareCounter(UvmCauses::Counter counter, uint64_t space, UvmMismatch m, uint64_t recorded,
                      uint64_t ours) {
    const bool said =
        m.where == "machine"
            ? lines_.counters.has_value()
            : std::any_of(lines_.maps.begin(), lines_.maps.end(),
                          [space](const UvmMapCounters& map) { return map.space == space; });
    m.recorded = absl::StrCat(static_cast<int64_t>(recorded));
    m.ours = absl::StrCat(static_cast<int64_t>(ours));
    Tell(causes_.OfCounter(counter, space, recorded, ours), m, said);
  }
  void Tell(const UvmCauses::Verdict& verdict, const UvmMismatch& m, bool said) {
    if (verdict.differs && (verdict.name == nullptr || said)) Mark(m, verdict.name);
  }
  void CompareView(const UvmView& v) {
    const UvmView ours = UvmViewOf(replay_, v.space, v.start, v.pages.size());
    for (size_t i = 0; i < v.pages.size() && i < v.translations.size(); i++) {
      const uint64_t va = v.start + i * kUvmPageBytes;
      const std::string where = absl::StrCat("space ", v.space, " 0x", absl::Hex(va));
      const auto note = [&](const char* field, char r, char o, const char* name) {
        if (r != o) Mark({field, where, std::string(1, r), std::string(1, o)}, name);
      };
      const char there = PageLetter(v.pages[i]), here = PageLetter(ours.pages[i]);
      note("V pg", there, here, causes_.OfPage(v.space, va, there, here));
      if (short_) continue;
      note("V pte", v.translations[i], ours.translations[i],
           causes_.OfTranslation(v.space, va, v.translations[i], ours.translations[i]));
    }
  }

  // Where pages come and go with memory: whether there is an anon, and whether it has one
  // reference.
  char PageLetter(char letter) const {
    if (!short_) return letter;
    switch (absl::ascii_tolower(letter)) {
      case 'a':
      case 's':
      case 'b':
        return absl::ascii_isupper(letter) ? 'A' : 'a';
      default:
        return '-';
    }
  }

  // ---- Lines ----

  void Visit(const UvmOpLine& l) {
    Close();
    op_ = &l;
    causes_.Operation(l, picture_, replay_);
    triggers_.Operation(l, picture_);
    Open(absl::StrCat("op ", l.number), absl::StrCat(" (", ToString(l.op), ")"));
    // Of what did not come back nothing more is said.
    compares_ = !l.result.missing;
    if (takes_back_ && !stopped_) {
      ours_ = replay_.Apply(l.op);
      Differ("result", "", ToString(l.result, l.op.call), ToString(ours_, l.op.call));
      // What is not as it was then shows: no name excuses that.
      if (ours_.error == 0 && !replay_.TakeBackRemap(l.op, ours_.value)) name_ = nullptr;
      if (ours_.error == 0) causes_.TakenBack(picture_);
    } else if (short_ && !stopped_) {
      DoShortOfMemory(l);
    } else if (stopped_ || !Astray(l)) {
      ours_ = bench_->problem().empty() ? replay_.Apply(l.op) : UvmResult();
      if (!l.result.missing) {
        Differ("result", "", ToString(l.result, l.op.call), ToString(ours_, l.op.call));
      }
    }
    directed_.Operation(l.op, ours_);
    totals_->hash = base::Chain(totals_->hash, ours_.value);
  }
  // Where memory, swap or a transfer may fail in one kernel and not in the other.
  void DoShortOfMemory(const UvmOpLine& l) {
    if (!bench_->problem().empty()) return Differ("progress", "", "done", bench_->problem());
    if (l.op.call == UvmCall::kInflight) writes_held_ = true;
    if (l.op.call == UvmCall::kIoDone) writes_held_ = false;
    if (Astray(l)) return;
    const UvmShortage::Ours o = shortage_.Do(l, &replay_);
    ours_ = o.result;
    if (!o.wrong.empty()) return Differ("cause", "", "an error that was injected", o.wrong);
    if (o.excuse != nullptr) {
      if (o.result.error == kEio && l.result.error == 0) causes_.FailedHere(picture_);
      Differ("result", "", ToString(l.result, l.op.call), o.text);
      name_ = o.excuse;
      resumes_ = o.goes_on;
    } else if (!l.result.missing) {
      Differ("result", "", ToString(l.result, l.op.call), ToString(o.result, l.op.call));
    }
  }
  // Where the recorded kernel's search went astray, ours is asked for the nearest range; then the
  // operation is done where the recording has it, so that what follows can be compared.
  bool Astray(const UvmOpLine& l) {
    const UvmPicture::Entries& entries = picture_.EntriesOf(l.op.space);
    const char* defect = quirk_ != nullptr ? quirk_->name.c_str()
                                           : UvmSearchDefect(sequence_, entries, l.op, l.result);
    if (defect == nullptr) return false;
    if (quirk_ != nullptr) {
      UvmOp search = l.op;
      search.call = UvmCall::kFindSpace;
      UvmResult nearest;
      nearest.value = quirk_->nearest;
      nearest.none = quirk_->nearest == 0;
      Differ("result", "", ToString(nearest, search.call),
             ToString(replay_.Apply(search), search.call));
      // Ours is not the nearest, either: no name excuses that.
      if (difference_.has_value()) return true;
    }
    ours_ = l.result;
    if (l.result.error == 0 && l.op.call != UvmCall::kFindSpace) {
      ours_ = replay_.Apply(UvmPlaced(l.op, l.result));
      Differ("result", "", ToString(l.result, l.op.call), ToString(ours_, l.op.call));
      if (difference_.has_value()) return true;
    }
    name_ = NamedUvmDefect(defect);
    resumes_ = true;
    Differ("result", "", ToString(l.result, l.op.call), "the nearest");
    return true;
  }

  void Visit(const UvmEntry& e) {
    causes_.Entry(e, picture_);
    picture_.Apply(e);
    triggers_.Entry(e);
    lines_.entries.push_back(e);
  }
  void Visit(const UvmEntryGone& e) { picture_.Apply(e); }
  void Visit(const UvmMapCounters& m) { lines_.maps.push_back(m); }
  void Visit(const UvmCounters& c) {
    shortage_.Counters(c);
    if (open_ && compares_) lines_.counters = c;
  }
  void Visit(const UvmView& v) { (in_final_views_ ? final_views_ : lines_.views).push_back(v); }

  void Visit(const UvmContents& x) {
    Open(absl::StrCat("contents of space ", x.space, " at 0x", absl::Hex(x.start)));
    contents_of_ = x.space;
    compares_ = false;
    if (stopped_) return;
    if (short_) shortage_.BeginContents(replay_);
    std::vector<UvmPageBytes> ours = replay_.Contents(x.space, x.start, x.pages.size());
    const auto at = [&x](size_t i) { return x.start + i * kUvmPageBytes; };
    const auto ended = [](const UvmPageBytes& page) { return page.error == kEnomem; };
    if (short_ && std::any_of(ours.begin(), ours.end(), ended) && replay_.pressure().Relieve())
      ours = replay_.Contents(x.space, x.start, x.pages.size());
    std::vector<size_t> lost;
    const char* first_excuse = nullptr;
    for (size_t i = 0; i < x.pages.size(); i++) {
      const std::string wrong =
          short_ ? shortage_.WrongPage(x.space, at(i), ours[i], replay_) : std::string();
      if (!wrong.empty()) {
        Differ("cause", absl::StrCat("0x", absl::Hex(at(i))), "an error that was injected", wrong);
        return;
      }
      const char* excuse = short_ && x.pages[i] != ours[i]
                               ? shortage_.ExcusePage(x.space, at(i), x.pages[i], ours[i], replay_)
                               : nullptr;
      if (excuse != nullptr) {
        if (lost.empty()) first_excuse = excuse;
        lost.push_back(i);
        if (x.pages[i].error != 0) {
          totals_->pages_lost_there++;
          causes_.NotRead(x.space, at(i));
        }
        if (ours[i].error != 0) totals_->pages_lost_here++;
        continue;
      }
      totals_->pages_compared++;
      DifferInContents(x, ours, i);
    }
    // Pages that one of both has lost are a difference with a name.
    if (lost.empty() || difference_.has_value()) return;
    name_ = first_excuse;
    resumes_ = true;
    DifferInContents(x, ours, lost[0]);
  }
  void DifferInContents(const UvmContents& x, const std::vector<UvmPageBytes>& ours, size_t i) {
    Differ("contents", absl::StrCat("0x", absl::Hex(x.start + i * kUvmPageBytes)),
           ToString(x.pages[i]), ToString(ours[i]));
  }
  void Visit(const UvmLoaned& l) {
    Open(absl::StrCat("contents of loan ", l.id));
    compares_ = false;
    if (stopped_) return;
    Differ("contents", "", Bytes(l.pages), Bytes(replay_.LoanContents(l.id)));
  }
  // Stands between an operation and what that changed.
  void Visit(const UvmStore& s) { stores_.push_back(&s); }
  void CompareStore(const UvmStore& s) {
    Open(absl::StrCat("contents of the store of object ", s.object));
    compares_ = false;
    if (stopped_) return;
    Differ("contents", "", Bytes(s.pages), Bytes(replay_.StoreContents(s.object)));
  }
  void Visit(const UvmCheck& c) {
    Open(absl::StrCat("check ", c.what));
    compares_ = false;
    counts_always_ = true;
    resumes_ = true;
    const std::optional<int64_t> ours = directed_.Value(c);
    Differ("check", "", absl::StrCat(c.sane),
           ours.has_value() ? absl::StrCat(*ours) : "nobody knows");
  }
  void Visit(const UvmNote& n) {
    Close();
    directed_.Note(n.text);
    shortage_.Note(n.text, &replay_);
    causes_.Note(n.text);
  }
  void Visit(const UvmTrigger& t) {
    Close();
    triggers_.Trigger(t.name);
    causes_.Trigger(t.name);
  }
  void Visit(const UvmQuirk&) {}
  void Visit(const UvmGet&) {}
  void Visit(const UvmPut&) {}
  void Visit(const UvmStop&) {}
  void Visit(UvmSection section) {
    // What the views show is how the last step ended.
    in_final_views_ = section == UvmSection::kFinalViews;
    if (in_final_views_) {
      compares_ = compares_ || (op_ != nullptr && !op_->result.missing);
      return;
    }
    Close();
    if (section != UvmSection::kTeardown) return;
    replay_.pressure().DropBallast();
    // The contents have been read.
    maps_.clear();
    machine_.reset();
    books_.Unsettle();
    causes_.Unsettle(picture_);
  }

  // ---- The end ----

  void FinalState() {
    Open("end");
    compares_ = false;
    if (stopped_) return Close();
    uvm::Uvm& u = replay_.uvm();
    const uint64_t total = u.DebugPages().total().value();
    Differ(
        "leaks", "", "0 pages, 0 anons, 0 amaps, 0 slots",
        absl::StrCat(total - u.DebugPages().free_count().value(), " pages, ", u.DebugAnons().live(),
                     " anons, ", u.DebugAmaps().live(), " amaps, ", SlotsInUse(u), " slots"));
    char buffer[400];
    base::TextSink sink(buffer, sizeof buffer);
    const char* broken = nullptr;
    bench_->Do([&] { broken = uvm::FirstViolation(&u, &sink); });
    if (broken != nullptr) Differ("invariant", "", "holds", absl::StrCat(broken, ": ", buffer));
    Differ("invariant", "", "", bench_->Violation());
    Differ("progress", "", "", bench_->problem());
    Close();
  }

  const std::string& recording_;
  const UvmSequence& sequence_;
  UvmBench* const bench_;
  UvmReplay replay_;
  UvmDirected directed_;
  const bool short_;  // of memory, now and then
  const UvmScope scope_;
  Outcome* const totals_;
  UvmShortage shortage_{sequence_.pages, &replay_};
  UvmPicture picture_;
  int line_ = 0;
  // Of the step that is open.
  bool open_ = false;
  int step_line_ = 0;
  std::string what_;
  const char* name_ = nullptr;
  std::optional<Difference> difference_;
  UvmStepLines lines_;
  std::vector<UvmView> final_views_;
  bool in_final_views_ = false;
  std::vector<std::pair<UvmMismatch, const char*>> of_structure_;  // with the decision, or null
  std::vector<const UvmStore*> stores_;
  const UvmOpLine* op_ = nullptr;    // the last one
  const UvmQuirk* quirk_ = nullptr;  // of the operation
  UvmResult ours_;
  bool compares_ = false;       // address maps at its end
  bool counts_always_ = false;  // also behind a difference
  bool takes_back_ = false;
  bool resumes_ = false;  // a difference does not end the sequence
  // Of the sequence.
  UvmCauses causes_{short_ ? UvmCauses::Memory::kScarce : UvmCauses::Memory::kPlenty};
  UvmBooks books_;
  std::map<uint64_t, UvmMapCounters> maps_;  // as last recorded
  std::optional<UvmCounters> machine_;
  UvmTriggers triggers_;
  uint64_t contents_of_ = 0;  // space of the last contents
  bool writes_held_ = false;  // by the recorded disks
  bool stopped_ = false;      // behind a difference
};

}  // namespace

absl::Span<const FieldRule> UvmFieldTable() { return kFieldTable; }

void RunUvmSequence(const UvmRecording& recording, const UvmSequence& sequence,
                    const UvmBenchMaker& make_bench, UvmScope scope, Outcome* totals) {
  totals->of_structure = scope == UvmScope::kStructure;
  totals->steps += sequence.Count();
  const std::unique_ptr<UvmBench> bench = make_bench(sequence);
  Run(recording.file, sequence, bench.get(), scope, totals).Walk();
  AddLedger(bench->ledger(), &totals->ledger);
}

Outcome RunUvmRecording(const UvmRecording& recording, const UvmBenchMaker& make_bench,
                        UvmScope scope) {
  Outcome totals;
  for (const UvmSequence& sequence : recording.sequences) {
    RunUvmSequence(recording, sequence, make_bench, scope, &totals);
  }
  return totals;
}

}  // namespace conform
