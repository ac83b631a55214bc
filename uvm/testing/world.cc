#include "uvm/testing/world.h"

#include <algorithm>
#include <cstring>

#include "base/errors.h"
#include "base/pattern.h"
#include "base/text_sink.h"
#include "uvm/invariants.h"

namespace uvm::testing {
namespace {

constexpr uint64_t kFilePages = 9;  // that have a digit

std::string Outcome(const Result<void, MapError>& result) {
  return result.ok() ? "ok" : base::MapErrorName(result.error());
}

std::string PageOutcome(const Result<Vaddr, MapError>& result) {
  if (!result.ok()) return base::MapErrorName(result.error());
  return std::to_string((result.value() - kPageZero) >> base::kPageShift);
}

char ProtLetter(Prot prot) {
  if (prot == base::kProtNone) return '-';
  if (prot == base::kProtRead) return 'r';
  if (prot == base::kProtReadWrite) return 'w';
  if (prot == (base::kProtRead | base::kProtExecute)) return 'x';
  if (prot == base::kProtAll) return 'a';
  return static_cast<char>('0' + prot.bits());
}

}  // namespace

uint64_t Space::Map(const MapOptions& options) const {
  std::string outcome = TryMap(options);
  if (outcome.empty() || outcome[0] < '0' || outcome[0] > '9') {
    ADD_FAILURE() << "Map: " << outcome;
    return 0;
  }
  return std::stoull(outcome);
}

std::string Space::TryMap(const MapOptions& options) const {
  if (options.file != nullptr) world_->uvm().ReferenceObject(options.file);
  Result<Vaddr, MapError> result = space_->map().Enter({
      .at = PageAt(options.at),
      .size = options.pages * base::kPageSize,
      .where = options.where,
      .prot = options.prot,
      .max_prot = options.max_prot,
      .inherit = options.inherit,
      .object = options.file,
      .offset = options.file_page * base::kPageSize,
      .sharing = options.sharing,
      .advice = options.advice,
      .align =
          (options.flags & kEnterColorMatch) != 0 ? options.align : options.align * base::kPageSize,
      .flags = options.flags,
  });
  if (!result.ok() && options.file != nullptr) world_->uvm().ReleaseObject(options.file);
  world_->CheckInvariants();
  return PageOutcome(result);
}

void Space::Unmap(uint64_t first, uint64_t count) const { EXPECT_EQ(TryUnmap(first, count), "ok"); }

std::string Space::TryUnmap(uint64_t first, uint64_t count) const {
  std::string outcome = Outcome(space_->map().Unmap(Pages(first, count)));
  world_->CheckInvariants();
  return outcome;
}

void Space::Protect(uint64_t first, uint64_t count, Prot prot) const {
  EXPECT_EQ(TryProtect(first, count, prot), "ok");
}

std::string Space::TryProtect(uint64_t first, uint64_t count, Prot prot, SetMax set_max) const {
  std::string outcome = Outcome(space_->map().Protect(Pages(first, count), prot, set_max));
  world_->CheckInvariants();
  return outcome;
}

void Space::SetInherit(uint64_t first, uint64_t count, Inherit inherit) const {
  EXPECT_TRUE(space_->map().SetInherit(Pages(first, count), inherit).ok());
  world_->CheckInvariants();
}

void Space::Advise(uint64_t first, uint64_t count, Advice advice) const {
  EXPECT_EQ(TryAdvise(first, count, advice), "ok");
}

std::string Space::TryAdvise(uint64_t first, uint64_t count, Advice advice) const {
  uvm::Map& map = space_->map();
  std::string outcome =
      Outcome(advice == Advice::kFree ? map.FreePages(Pages(first, count))
                                      : map.SetAdvice(Pages(first, count), advice));
  world_->CheckInvariants();
  return outcome;
}

std::string Space::TryDiscard(uint64_t first, uint64_t count) const {
  std::string outcome = Outcome(space_->map().Discard(Pages(first, count)));
  world_->CheckInvariants();
  return outcome;
}

uint64_t Space::Remap(const RemapOptions& options) const {
  std::string outcome = TryRemap(options);
  if (outcome.empty() || outcome[0] < '0' || outcome[0] > '9') {
    ADD_FAILURE() << "Remap: " << outcome;
    return 0;
  }
  return std::stoull(outcome);
}

std::string Space::TryRemap(const RemapOptions& options) const {
  Result<Vaddr, MapError> result = space_->map().Remap({
      .from = Pages(options.from, options.pages),
      .to = PageAt(options.to),
      .new_size = options.new_pages * base::kPageSize,
      .where = options.where,
      .duplicate = options.duplicate,
      .align = options.align * base::kPageSize,
  });
  world_->CheckInvariants();
  return PageOutcome(result);
}

std::string Space::Find(const FindOptions& options) const {
  Vaddr at;
  bool found = space_->map().FindSpace(
      {
          .hint = PageAt(options.hint),
          .size = options.pages * base::kPageSize,
          .object = options.file,
          .offset = options.file_page * base::kPageSize,
          .align = (options.flags & kEnterColorMatch) != 0 ? options.align
                                                           : options.align * base::kPageSize,
          .flags = options.flags,
          .fixed = options.fixed,
      },
      &at);
  return found ? PageOutcome(at) : "none";
}

void Space::Wire(uint64_t first, uint64_t count) const { EXPECT_EQ(TryWire(first, count), "ok"); }

std::string Space::TryWire(uint64_t first, uint64_t count) const {
  std::string outcome = Outcome(space_->map().Pageable(Pages(first, count), Wiring::kWire));
  world_->CheckInvariants();
  return outcome;
}

void Space::Unwire(uint64_t first, uint64_t count) const {
  EXPECT_EQ(TryUnwire(first, count), "ok");
}

std::string Space::TryUnwire(uint64_t first, uint64_t count) const {
  std::string outcome = Outcome(space_->map().Pageable(Pages(first, count), Wiring::kUnwire));
  world_->CheckInvariants();
  return outcome;
}

std::string Space::TryWireAll(uint32_t flags, uint64_t limit) const {
  std::string outcome = Outcome(space_->map().PageableAll(flags, limit * base::kPageSize));
  world_->CheckInvariants();
  return outcome;
}

std::string Space::TryClean(uint64_t first, uint64_t count, uint32_t pgo_flags) const {
  std::string outcome = Outcome(space_->map().Clean(Pages(first, count), pgo_flags));
  world_->CheckInvariants();
  return outcome;
}

std::string Space::TryExtract(uint64_t first, uint64_t count, const Space& target, uint64_t to,
                              uint32_t flags) const {
  std::string outcome =
      PageOutcome(space_->map().Extract(Pages(first, count), &target->map(), PageAt(to), flags));
  world_->CheckInvariants();
  return outcome;
}

uint64_t Space::Extract(uint64_t first, uint64_t count, const Space& target, uint64_t to,
                        uint32_t flags) const {
  std::string outcome = TryExtract(first, count, target, to, flags);
  if (outcome.empty() || outcome[0] < '0' || outcome[0] > '9') {
    ADD_FAILURE() << "Extract: " << outcome;
    return 0;
  }
  return std::stoull(outcome);
}

std::string Space::TryReserve(uint64_t at, uint64_t pages, Map::Where where) const {
  std::string outcome = PageOutcome(
      space_->map().Reserve({.at = PageAt(at), .size = pages * base::kPageSize, .where = where}));
  world_->CheckInvariants();
  return outcome;
}

Loan Space::Lend(uint64_t first, uint64_t count) const {
  Loan loan;
  EXPECT_EQ(TryLend(first, count, &loan), "ok");
  return loan;
}

std::string Space::TryLend(uint64_t first, uint64_t count, Loan* loan) const {
  std::vector<Page*> pages(count);
  Result<void, MapError> lent =
      world_->uvm().loans().LendPages(&space_->map(), Pages(first, count), pages.data());
  if (lent.ok()) loan->pages = pages;
  world_->CheckInvariants();
  return Outcome(lent);
}

Loan Space::LendAnons(uint64_t first, uint64_t count) const {
  Loan loan;
  EXPECT_EQ(TryLendAnons(first, count, &loan), "ok");
  return loan;
}

std::string Space::TryLendAnons(uint64_t first, uint64_t count, Loan* loan) const {
  std::vector<Anon*> anons(count);
  Result<void, MapError> lent =
      world_->uvm().loans().LendAnons(&space_->map(), Pages(first, count), anons.data());
  if (lent.ok()) loan->anons = anons;
  world_->CheckInvariants();
  return Outcome(lent);
}

Space Space::Fork() const {
  Result<uvm::Space*, MapError> child = world_->uvm().ForkSpace(space_);
  world_->CheckInvariants();
  EXPECT_TRUE(child.ok());
  return Space(world_, child.value(), pages_);
}

void Space::Exit() const {
  world_->uvm().FreeSpace(space_);
  world_->CheckInvariants();
}

void Space::Write(const std::string& picture) const { EXPECT_EQ(TryWrite(picture), picture); }

namespace {

char AccessLetter(const std::string& outcome, char letter) {
  if (outcome == "ok") return letter;
  if (outcome == "no_entry") return '?';
  return outcome == "protection" ? '!' : '*';
}

}  // namespace

std::string Space::TryWrite(const std::string& picture) const {
  std::string result(picture.size(), '.');
  for (uint64_t page = 0; page < picture.size(); ++page) {
    if (picture[page] == '.') continue;
    result[page] =
        AccessLetter(world_->AccessPage(*this, page, Access::kWrite, picture[page]), picture[page]);
  }
  return result;
}

std::string Space::Read(const std::string& picture) const {
  std::string result(picture.size(), '.');
  for (uint64_t page = 0; page < picture.size(); ++page) {
    if (picture[page] == '.') continue;
    std::string outcome = world_->AccessPage(*this, page, Access::kRead, 0);
    result[page] = AccessLetter(outcome, outcome == "ok" ? world_->PageLetter(*this, page) : '?');
  }
  return result;
}

std::string Space::Touch(uint64_t page, Access access) const {
  return world_->AccessPage(*this, page, access, 0);
}

World::World(uint64_t frames, ThreadSystem* threads, PolicyKind policy)
    : pmap_(frames),
      uvm_(Config{.memory = &memory_,
                  .pmap = &pmap_,
                  .threads = threads != nullptr ? threads : &threads_,
                  .policy = {.kind = policy}}) {}

World::World(const Pressure& pressure, ThreadSystem* threads)
    : World(pressure.frames, threads, pressure.policy) {
  if (pressure.swap_pages == 0) return;
  swap_device_ = std::make_unique<SwapMemory>(threads != nullptr ? threads : &threads_, &memory_,
                                              PageCount(pressure.swap_pages), pressure.latency);
  swap_fault_ = std::make_unique<SwapFault>(threads != nullptr ? threads : &threads_,
                                            swap_device_.get(), /*seed=*/1);
  swap_fault_->SetChance(SwapFault::Kind::kWriteError, pressure.write_errors);
  EXPECT_TRUE(uvm_.swap().On(swap_fault_.get(), 0).ok());
  forgetful_ = threads != nullptr;  // others may take what a fault brought
}

World::~World() = default;

Space World::NewSpace(const std::string& picture, Direction direction) {
  Result<uvm::Space*, MapError> made =
      uvm_.CreateSpace(kPageZero, PageAt(picture.size()), direction);
  EXPECT_TRUE(made.ok());
  Space space(this, made.value(), picture.size());
  for (uint64_t page = 0; page < picture.size(); ++page) {
    if (picture[page] == '.') continue;
    uint64_t end = std::min(picture.find('.', page), picture.size());
    space.Map({.at = page, .pages = end - page});
    page = end;
  }
  std::string letters = picture;
  std::replace(letters.begin(), letters.end(), '0', '.');
  space.Write(letters);
  faults_.clear();
  return space;
}

void World::FillPools(uint64_t slots) {
  Result<uvm::Space*, MapError> space = uvm_.CreateSpace(kPageZero, PageAt(2 * slots + 1));
  EXPECT_TRUE(space.ok());
  for (uint64_t i = 0; i < slots; ++i) {
    // Every other page, so that nothing merges.
    Result<Vaddr, MapError> at = space.value()->map().Enter({.at = PageAt(2 * i),
                                                             .size = base::kPageSize,
                                                             .where = Map::Where::kFixed,
                                                             .prot = base::kProtReadWrite,
                                                             .sharing = Sharing::kShared});
    EXPECT_TRUE(at.ok() && uvm_.Fault(space.value(), PageAt(2 * i), Access::kWrite).ok());
  }
}

void World::Squeeze() {
  PageDaemon& daemon = uvm_.pagedaemon();
  daemon.SetExtraTarget(uvm_.DebugPages().total());
  // A policy may need one round to make pages inactive and one to find that they were used.
  constexpr int kRounds = 4;
  for (int i = 0; i < kRounds; ++i) daemon.RunOnce();
  daemon.SetExtraTarget(PageCount(0));
}

Object* World::File(uint64_t key) {
  Result<Object*, MapError> file = uvm_.CreateStoredObject(&pager_, key);
  EXPECT_TRUE(file.ok());
  files_.push_back(file.value());
  keys_.push_back(key);
  return file.value();
}

void World::CloseFile(Object* file) {
  files_.erase(std::find(files_.begin(), files_.end(), file));
  uvm_.ReleaseObject(file);
  CheckInvariants();
}

std::string World::AccessPage(const Space& space, uint64_t page, base::Access access, char letter) {
  constexpr int kTries =
      1000;  // a forgetful pmap forgets a quarter of all translations before they are used
  for (int attempt = 0; attempt < kTries; ++attempt) {
    unsigned char* byte = pmap_.Translate(space->pmap(), PageAt(page), access);
    if (byte != nullptr) {
      if (access == Access::kWrite && letter != 0) {
        std::memset(byte, letter, base::kPageSize);
      } else if (access == Access::kRead && ResidentAt(space, page) != nullptr) {
        const unsigned char* expected = uvm_.DebugPages().Contents(ResidentAt(space, page));
        EXPECT_EQ(byte, expected) << "page " << page
                                  << " is translated to another frame than its layers say";
      }
      return "ok";
    }
    EXPECT_TRUE(forgetful_ || attempt == 0)
        << "the fault on page " << page << " brought no translation";
    Counters before = uvm_.counters();
    // Somewhere inside the page: a fault address need not be aligned.
    Result<void, FaultError> result = uvm_.Fault(space.get(), PageAt(page) + 5, access);
    NoteFault(before);
    CheckInvariants();
    bool refused = refusing_ && !result.ok() && result.error() == FaultError::kNoMemory;
    if (!result.ok() && !refused) return base::FaultErrorName(result.error());
  }
  return "endless";
}

void World::NoteFault(const Counters& before) {
  const Counters& now = uvm_.counters();
  std::string text;
  auto note = [&text](uint64_t was, uint64_t is, const char* name) {
    for (; was < is; ++was) text += text.empty() ? name : std::string(" ") + name;
  };
  note(before.fault_1a, now.fault_1a, "1A");
  note(before.fault_1b, now.fault_1b, "1B");
  note(before.fault_2a, now.fault_2a, "2A");
  note(before.fault_2b, now.fault_2b, "2B");
  note(before.fault_errors, now.fault_errors, "error");
  if (!faults_.empty() && !text.empty()) faults_ += ' ';
  faults_ += text;
}

std::string World::Faults() { return std::exchange(faults_, std::string()); }

MapEntry* World::EntryAt(const Space& space, uint64_t page) const {
  for (MapEntry* entry = space->map().DebugFirst(); entry != nullptr;
       entry = Map::DebugNext(entry)) {
    if (entry->range().Contains(PageAt(page))) return entry;
  }
  return nullptr;
}

Page* World::ResidentAt(const Space& space, uint64_t page) const {
  const MapEntry* entry = EntryAt(space, page);
  if (entry == nullptr) return nullptr;
  if (entry->aref.amap != nullptr) {
    const Anon* anon = entry->aref.amap->anons[entry->SlotOf(PageAt(page))];
    if (anon != nullptr) return anon->page;
  }
  if (entry->object == nullptr) return nullptr;
  return const_cast<Page*>(entry->object->DebugLookup(entry->ObjectIndexOf(PageAt(page))));
}

SwapSlot World::SlotAt(const Space& space, uint64_t page) const {
  const MapEntry* entry = EntryAt(space, page);
  if (entry == nullptr) return kNoSlot;
  if (entry->aref.amap != nullptr) {
    const Anon* anon = entry->aref.amap->anons[entry->SlotOf(PageAt(page))];
    if (anon != nullptr) return anon->slot;
  }
  if (entry->object == nullptr || !uvm_.DebugAnonymous().CanSwap(entry->object)) return kNoSlot;
  return uvm_.DebugAnonymous().FindSlot(entry->object, entry->ObjectIndexOf(PageAt(page)));
}

char World::LetterOf(const unsigned char* bytes) const {
  bool uniform =
      std::memcmp(bytes, bytes + 1, base::kPageSize - 1) == 0;  // each byte equals its neighbour
  if (uniform && bytes[0] == 0) return '0';
  if (uniform && bytes[0] > ' ' && bytes[0] < 127) return static_cast<char>(bytes[0]);
  std::vector<unsigned char> expected(base::kPageSize);
  for (uint64_t key : keys_) {
    for (uint64_t page = 0; page < kFilePages; ++page) {
      base::FillFile(key, page * base::kPageSize, expected.data(), base::kPageSize);
      if (std::memcmp(bytes, expected.data(), base::kPageSize) == 0)
        return static_cast<char>('1' + page);
    }
  }
  return '#';
}

char World::PageLetter(const Space& space, uint64_t page) {
  const MapEntry* entry = EntryAt(space, page);
  if (entry == nullptr) return '.';
  const Page* resident = ResidentAt(space, page);
  if (resident != nullptr) return LetterOf(uvm_.DebugPages().Contents(resident));
  const SwapSlot slot = SlotAt(space, page);
  if (slot != kNoSlot) {
    std::vector<unsigned char> bytes(base::kPageSize);
    return uvm_.swap().DebugRead(slot, bytes.data()) ? LetterOf(bytes.data()) : '!';
  }
  if (entry->object == nullptr || entry->object->pager()->kind() == Pager::Kind::kAnonymous)
    return '0';
  uint64_t index = entry->ObjectIndexOf(PageAt(page)).value();
  const unsigned char* written = pager_.Written(entry->object->key(), index);
  if (written != nullptr) return LetterOf(written);
  return index < kFilePages ? static_cast<char>('1' + index) : '#';
}

std::string World::Join(const std::vector<std::string>& parts) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) joined += (i == 0 ? "" : "|") + parts[i];
  return joined;
}

std::string World::ContentsOf(const Space& space) {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) picture += PageLetter(space, page);
  return picture;
}

std::string World::FramesOf(const Space& space) {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const Page* resident = ResidentAt(space, page);
    if (resident == nullptr) {
      picture += '.';
      continue;
    }
    auto known = std::find(frame_names_.begin(), frame_names_.end(), resident->pa);
    if (known == frame_names_.end()) known = frame_names_.insert(known, resident->pa);
    picture += static_cast<char>('a' + (known - frame_names_.begin()));
  }
  return picture;
}

std::string World::LayoutOf(const Space& space) const {
  std::string picture(space.pages(), '.');
  char letter = 'A';
  for (MapEntry* entry = space->map().DebugFirst(); entry != nullptr;
       entry = Map::DebugNext(entry)) {
    for (uint64_t page = 0; page < space.pages(); ++page) {
      if (entry->range().Contains(PageAt(page))) picture[page] = letter;
    }
    ++letter;
  }
  return picture;
}

std::string World::ProtsOf(const Space& space) const {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const MapEntry* entry = EntryAt(space, page);
    picture += entry == nullptr ? '.' : ProtLetter(entry->prot);
  }
  return picture;
}

std::string World::WiringsOf(const Space& space) const {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const Page* resident = ResidentAt(space, page);
    picture += resident == nullptr ? '.' : static_cast<char>('0' + resident->wire_count);
  }
  return picture;
}

std::string World::Contents(const Loan& loan) {
  std::string picture;
  for (const Page* page : loan.pages) picture += LetterOf(pmap_.HomePointer(page->pa));
  for (const Anon* anon : loan.anons) {
    std::vector<unsigned char> bytes(base::kPageSize);
    if (anon->page != nullptr) {
      picture += LetterOf(pmap_.HomePointer(anon->page->pa));
    } else {
      picture += uvm_.swap().DebugRead(anon->slot, bytes.data()) ? LetterOf(bytes.data()) : '!';
    }
  }
  return picture;
}

void World::Return(Loan* loan) {
  uvm_.loans().ReturnPages(loan->pages.data(), loan->pages.size());
  uvm_.loans().ReturnAnons(loan->anons.data(), loan->anons.size());
  *loan = Loan();
  CheckInvariants();
}

std::string World::RightsOf(const Space& space) const {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    picture += ProtLetter(pmap_.RightsAt(space->pmap(), PageAt(page)));
  }
  return picture;
}

std::string World::WiresOf(const Space& space) const {
  std::string picture;
  for (uint64_t page = 0; page < space.pages(); ++page) {
    const MapEntry* entry = EntryAt(space, page);
    picture += entry == nullptr ? '.' : static_cast<char>('0' + entry->wired_count);
  }
  return picture;
}

std::string World::Violation() {
  char buffer[400];
  base::TextSink text(buffer, sizeof buffer);
  const char* name = FirstViolation(&uvm_, &text);
  return name == nullptr ? "" : std::string(name) + ": " + text.text();
}

void World::CheckInvariants() {
  if (checking_) {
    EXPECT_EQ(Violation(), "");
  }
}

std::string World::TearDownAndFindLeaks() {
  while (uvm_.DebugSpaces().front() != nullptr) uvm_.FreeSpace(uvm_.DebugSpaces().front());
  for (Object* file : files_) uvm_.ReleaseObject(file);
  files_.clear();
  CheckInvariants();
  std::string leaks;
  auto note = [&leaks](uint64_t count, const char* what) {
    if (count != 0) leaks += std::to_string(count) + " " + what + " ";
  };
  note(uvm_.DebugAnons().live(), "anons");
  note(uvm_.DebugAmaps().live(), "amaps");
  note(uvm_.DebugAmaps().array_bytes(), "bytes of amaps");
  uint64_t objects = 0, left = 0;
  const ObjectStore::List& all = uvm_.DebugObjects().DebugAll();
  for (Object* object = all.front(); object != nullptr; object = all.Next(object)) {
    objects += object->DebugRefs() == Object::kKernelRefs ? 0 : 1;
    ++left;
  }
  note(objects, "objects");
  const uint64_t locks = uvm_.DebugObjects().DebugLocks();
  note(locks > left ? locks - left : 0, "locks of objects");
  note(uvm_.DebugPages().total().value() - uvm_.DebugPages().free_count().value(), "pages");
  note(uvm_.counters().frames_in_use, "frames counted");
  return leaks;
}

}  // namespace uvm::testing
