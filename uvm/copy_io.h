// uvm/copy_io.h: the server moves bytes to and from mapped memory as a processor would.
//
// WHAT     CopyMapped does what one load or store of the range's owner would do with the
//          translations that there are; who is told that there is none faults the page in and comes
//          again. KernelMemory::Copy and Uvm::CopyBytes (NetBSD: copyin, copyout) are the loops
//          round it. Unlike an extracted range (io.h) it asks for the rights that the owner has
//          now, changes no map, and what it touches is touched as by the owner itself.
// LOCKS    Takes the map's lock for reading, then the locks of the layers behind the address.
// SEE      NetBSD copy(9); facts/uvm.md 1.15.

#ifndef UVM_COPY_IO_H_
#define UVM_COPY_IO_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/page.h"

namespace uvm {

// Moves `bytes`, which lie in one page, between `buffer` and address `at` of `map`: to the buffer
// (kRead) or from it (kWrite). False, nothing moved: no translation permits it now.
bool CopyMapped(Core* core, PageStore* pages, Map* map, Vaddr at, unsigned char* buffer,
                uint64_t bytes, Access access);

}  // namespace uvm

#endif  // UVM_COPY_IO_H_
