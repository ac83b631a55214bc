// vmserver/block_protocol.h: what the server says to a block driver.
//
// WHAT     The driver is a task of its own that keeps pages by number. It is lent a window of the
//          server's memory once, by map items, and then told to move pages between its medium and
//          the window's beginning. It never sees another page of the server, and the server takes
//          nothing from it but one word (design D14).
//            kBlockAttach   map items: the window, page i at base i  ->  kBlockOk
//            kBlockRead, kBlockWrite   block, pages  ->  kBlockOk or kBlockError
//          Everything is a call by one and the same thread.

#ifndef VMSERVER_BLOCK_PROTOCOL_H_
#define VMSERVER_BLOCK_PROTOCOL_H_

#include <l4/types.h>

namespace vmserver {

inline constexpr L4_Word_t kBlockAttach = 0x600;
inline constexpr L4_Word_t kBlockRead = 0x601;
inline constexpr L4_Word_t kBlockWrite = 0x602;

inline constexpr L4_Word_t kBlockOk = 0;
inline constexpr L4_Word_t kBlockError = 1;

}  // namespace vmserver

#endif  // VMSERVER_BLOCK_PROTOCOL_H_
