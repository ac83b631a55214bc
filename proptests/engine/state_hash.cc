#include "proptests/engine/state_hash.h"

#include <vector>

#include "base/addr.h"
#include "base/hash.h"
#include "uvm/amap.h"
#include "uvm/anon.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pmap.h"
#include "uvm/space.h"
#include "uvm/uvm.h"

namespace proptests {
namespace {

// Names of records: 1, 2 ... in the order of being met; 0 is null. Few are alive in a state that is
// worth hashing.
class Names {
 public:
  // The name, and in *fresh whether it was given just now.
  uint64_t Of(const void* record, bool* fresh) {
    *fresh = false;
    if (record == nullptr) return 0;
    for (size_t i = 0; i < met_.size(); ++i) {
      if (met_[i] == record) return i + 1;
    }
    met_.push_back(record);
    *fresh = true;
    return met_.size();
  }

 private:
  std::vector<const void*> met_;
};

class Hasher {
 public:
  explicit Hasher(machine::Machine* machine) : machine_(*machine) {}

  uint64_t Run() {
    for (uint32_t label : machine_.live_labels()) {
      Add(label);
      for (uint32_t thread = 1; thread < traces::kMaxThreads; ++thread) {
        if (machine_.thread_of(label, thread).raw != 0) Add(thread);
      }
      const uvm::Space* space = machine_.space_of(label);
      if (space == nullptr) continue;
      AddMap(space->map());
      AddTranslations(*space);
      AddClient(label);
    }
    Add(machine_.uvm().DebugAnons().live());
    Add(machine_.uvm().DebugAmaps().live());
    Add(machine_.uvm().DebugPages().wired_count().value());
    return hash_;
  }

 private:
  void Add(uint64_t word) { hash_ = base::Chain(hash_, word); }
  void AddBits(std::initializer_list<bool> bits) {
    uint64_t word = 1;
    for (bool bit : bits) word = word << 1 | (bit ? 1 : 0);
    Add(word);
  }

  void AddPage(const uvm::Page* page) {
    bool fresh = false;
    Add(pages_.Of(page, &fresh));
    if (!fresh) return;
    Add(page->wire_count);
    Add(page->loan_count);
    Add(static_cast<uint64_t>(page->dirty) << 8 | static_cast<uint64_t>(page->busy));
    AddBits({page->fake, page->read_only, page->read_ahead, page->released, page->wanted,
             page->anon != nullptr, page->object != nullptr});
  }

  void AddAnon(const uvm::Anon* anon) {
    bool fresh = false;
    Add(anons_.Of(anon, &fresh));
    if (!fresh) return;
    Add(anon->refs);
    AddPage(anon->page);
  }

  void AddAmap(const uvm::Amap* amap) {
    bool fresh = false;
    Add(amaps_.Of(amap, &fresh));
    if (!fresh) return;
    Add(amap->refs);
    Add(uint64_t{amap->slot_count} << 32 | amap->used_count);
    Add(static_cast<uint64_t>(amap->pp) << 1 | (amap->shared ? 1 : 0));
    bool ignored = false;
    Add(locks_.Of(amap->lock, &ignored));
    for (uint32_t slot = 0; slot < amap->slot_count; ++slot) {
      AddAnon(amap->anons[slot]);
      if (amap->pp == uvm::Ppref::kPresent) Add(uvm::AmapStore::DebugPpref(amap, slot));
    }
  }

  void AddObject(const uvm::Object* object) {
    bool fresh = false;
    Add(objects_.Of(object, &fresh));
    if (!fresh) return;
    Add(object->key());
    Add(object->DebugRefs());
    for (uvm::Page* page = object->DebugFirstPage(); page != nullptr;
         page = uvm::Object::DebugNextPage(page)) {
      Add(page->index.value());
      AddPage(page);
    }
  }

  void AddMap(const uvm::Map& map) {
    AddBits({map.wires_future()});
    for (const uvm::MapEntry* entry = map.DebugFirst(); entry != nullptr;
         entry = uvm::Map::DebugNext(const_cast<uvm::MapEntry*>(entry))) {
      Add(entry->start.value());
      Add(entry->end.value());
      AddBits({entry->copy_on_write, entry->needs_copy, entry->shared, entry->no_merge, entry->bare,
               entry->wire_me});
      Add(uint64_t{entry->prot.bits()} << 16 | uint64_t{entry->max_prot.bits()} << 8 |
          static_cast<uint64_t>(entry->inherit) << 24 | static_cast<uint64_t>(entry->advice));
      Add(entry->offset);
      Add(entry->wired_count);
      Add(entry->aref.slot);
      AddAmap(entry->aref.amap);
      AddObject(entry->object);
    }
  }

  // The page that a frame holds, by its name; a frame of no page by itself.
  void AddFrame(base::Paddr pa) {
    const uvm::Page* page = machine_.uvm().DebugPages().FromPaddr(pa);
    if (page == nullptr) return Add(pa.value());
    AddPage(page);
  }

  void AddTranslations(const uvm::Space& space) {
    base::Vaddr at = space.map().min();
    uvm::PmapSystem::Mapping mapping;
    while (at < space.map().max() && machine_.pmap().PeekNext(space.pmap(), at, &mapping)) {
      Add(mapping.va.value());
      AddFrame(mapping.pa);
      Add(uint64_t{mapping.prot.bits()} << 8 | static_cast<uint64_t>(mapping.wired));
      at = mapping.va + base::kPageSize;
    }
    Add(0);
  }

  void AddClient(uint32_t label) {
    machine_.kernel().ForEachPage(machine_.l4_space_of(label), [&](const fake_l4::Mapping& page) {
      Add(page.va.value());
      AddFrame(page.frame);
      Add(page.rights);
    });
    Add(0);
  }

  machine::Machine& machine_;
  uint64_t hash_ = 0;
  Names pages_, anons_, amaps_, objects_, locks_;
};

}  // namespace

uint64_t SystemStateHash(machine::Machine* machine) { return Hasher(machine).Run(); }

}  // namespace proptests
