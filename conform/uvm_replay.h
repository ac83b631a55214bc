// conform/uvm_replay.h: carries out the operations of a UVM recording on our UVM.
//
// WHAT     Gives each recorded operation to the call of ours that it stands for, and says how it
//          ended as the recording would. Spaces and objects are named by the recording's numbers.
//          Nothing here looks at what was recorded.
// SEE      uvm_bench.h for what is below; uvm.h for what is compared.
#ifndef CONFORM_UVM_REPLAY_H_
#define CONFORM_UVM_REPLAY_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "conform/uvm_bench.h"
#include "conform/uvm_pressure.h"
#include "conform/uvm_recording.h"
#include "uvm/mmap.h"
#include "uvm/stored.h"
#include "uvm/uvm.h"

namespace conform {

class UvmReplay {
 public:
  // Both outlive the replay. Space 0 exists from the start.
  UvmReplay(UvmBench* bench, const UvmSequence& sequence);
  ~UvmReplay();

  UvmResult Apply(const UvmOp& op);
  // Undoes a remap that ended at `at`: what it moved, unwired, is where it was, what it added is
  // gone. False: it cannot be had.
  bool TakeBackRemap(const UvmOp& op, uint64_t at);
  // The error of looking at the byte that the operation would write; 0: none.
  int Probe(const UvmOp& op);
  // X: what is there, page by page.
  std::vector<UvmPageBytes> Contents(uint64_t space, uint64_t start, size_t pages);

  // L: the pages of a loan; STORE: what is behind a file-like object.
  std::vector<UvmPageBytes> LoanContents(uint64_t id);
  std::vector<UvmPageBytes> StoreContents(uint64_t object);

  // Splits the entry that the address is inside of. False: it is inside of none.
  bool SplitAt(uint64_t space, uint64_t va);
  // The entry of ours with the recorded one's boundaries gets the amap that it owes; has its amap
  // marked as shared. False: there is nothing to do.
  bool GiveAmap(const UvmEntry& recorded);
  bool MarkShared(const UvmEntry& recorded);
  // The next read of a file fails; no read fails any more.
  void FailNextRead() { files_.failing_reads = 1; }
  void FailNoRead() { files_.failing_reads = 0; }
  // Reads of files that failed so far: object and page.
  const std::vector<std::pair<uint64_t, uint64_t>>& failed_file_pages() const {
    return files_.failed_pages;
  }
  // Whether the page of zeroes is lent: 1, or 0.
  uint64_t zero_pages() const;
  UvmPressure& pressure() { return pressure_; }
  const UvmPressure& pressure() const { return pressure_; }

  // Null: no such space.
  uvm::Space* space(uint64_t number) const;
  // The recording's number of an object; -2: none of them.
  int64_t NumberOf(const uvm::Object* object) const;
  uvm::Object* object(uint64_t number) const;
  bool IsMapped(uint64_t space, uint64_t va) const;
  const std::map<uint64_t, uvm::Space*>& spaces() const { return spaces_; }
  UvmBench& bench() { return *bench_; }
  uvm::Uvm& uvm() const { return bench_->uvm(); }
  // Makes the space where the recording takes one for granted.
  uvm::Space* SpaceFor(uint64_t number);

 private:
  // The recorder's file-like objects: a backing array, and reads that fail when told to.
  class Files final : public uvm::Store {
   public:
    base::Result<void, uvm::PagerError> ReadPage(uvm::Object* object, base::PageIndex index,
                                                 unsigned char* contents) override;
    base::Result<void, uvm::PagerError> WritePage(uvm::Object* object, base::PageIndex index,
                                                  const unsigned char* contents) override;
    uint64_t SizeInBytes(const uvm::Object* object) const override;
    void Detach(uvm::Object*) override {}
    // Page k of a new file begins with 7k + 1 and has 11k + 2 in the middle.
    void Create(uint64_t id, uint64_t pages);
    std::vector<UvmPageBytes> Contents(uint64_t id) const;
    uint64_t failing_reads = 0;  // the next ones
    std::vector<std::pair<uint64_t, uint64_t>> failed_pages;

   private:
    std::map<uint64_t, std::vector<std::array<unsigned char, kUvmPageBytes>>> files_;  // by id
  };
  // Pages lent, to the kernel or to anons.
  struct Loan {
    std::vector<uvm::Page*> pages;
    std::vector<uvm::Anon*> anons;
  };

  UvmResult Map(const UvmOp& op);
  UvmResult Ranged(const UvmOp& op);
  UvmResult Mremap(const UvmOp& op);
  UvmResult Extract(const UvmOp& op);
  UvmResult Access(const UvmOp& op);
  UvmResult Objects(const UvmOp& op);
  UvmResult FindSpace(const UvmOp& op);
  UvmResult Lifecycle(const UvmOp& op);
  UvmResult Loans(const UvmOp& op);
  UvmResult Voaddr(const UvmOp& op);
  UvmResult System(const UvmOp& op);
  UvmResult SysMmap(const UvmOp& op);
  uvm::Direction DirectionOf(uint64_t space) const;
  uvm::Process* ProcessFor(uint64_t space);
  UvmPageBytes BytesAt(uvm::Space* space, uint64_t va);

  UvmBench* const bench_;
  const UvmSequence& sequence_;
  std::map<uint64_t, uvm::Space*> spaces_;
  std::map<uint64_t, uvm::Object*> objects_;
  std::map<uint64_t, std::unique_ptr<uvm::Process>> processes_;
  std::map<uint64_t, Loan> loans_;
  Files files_;
  UvmPressure pressure_;
  uvm::MmapCalls calls_;
};

// errno of an error of ours.
int UvmErrnoOf(base::MapError error);
int UvmErrnoOf(base::FaultError error);

}  // namespace conform

#endif  // CONFORM_UVM_REPLAY_H_
