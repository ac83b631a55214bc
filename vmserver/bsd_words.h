// vmserver/bsd_words.h: what the files of the BSD personality share: operands and answers.
//
// SEE      protocol.h for the words of each call.

#ifndef VMSERVER_BSD_WORDS_H_
#define VMSERVER_BSD_WORDS_H_

#include <cstdint>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {

// This edge's rule: writing or executing implies reading.
inline base::Prot BsdProt(L4_Word_t bits) {
  base::Prot prot(static_cast<uint8_t>(bits & base::kProtAll.bits()));
  return prot.IsNone() ? prot : prot | base::kProtRead;
}

inline Answer AnswerOf(const uvm::AddressResult& result) {
  if (result.error != base::Errno::kOk) return result.error;
  return Answer(base::Errno::kOk).With(result.address);
}

// An operand marked 64 in protocol.h.
inline uint64_t Wide(L4_Word_t low, L4_Word_t high) {
  return (uint64_t{low} & 0xffffffff) | uint64_t{high} << 32;
}

// The words of kBsdMmap and its relatives.
inline uint64_t MmapKey(const Message& m) { return Wide(m.words[4], m.words[5]); }
inline uvm::MmapArguments MmapOperands(const Message& m) {
  uvm::MmapArguments arguments;
  arguments.address = m.words[0];
  arguments.length = m.words[1];
  arguments.prot = BsdProt(m.words[2]);
  arguments.flags = static_cast<uint32_t>(m.words[3]);
  arguments.position = Wide(m.words[6], m.words[7]);
  return arguments;
}

}  // namespace vmserver

#endif  // VMSERVER_BSD_WORDS_H_
