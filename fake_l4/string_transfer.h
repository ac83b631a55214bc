// fake_l4/string_transfer.h: where the copying of a message's string items stands.
//
// WHAT     A message with string items can meet a page that is not there, in the sender's memory or
//          in the receiver's. Its copying then stops, the thread whose page it is sends a
//          page-fault message to its pager, and when that answers the copying goes on
//          (Core::ResumeTransfer). What it needs to know for that is a StringTransfer, which both
//          threads point to from the first fault to the end of the message.
// STATES   of the two threads, from the first fault on: one is the faulter, in an IPC of its own
//          (KernelIpc::kStringFault) or without a pager; the other one is kInTransfer.
// SEE      facts/l4.md sections 4, 5 and 12; X.2 manual: "StringItem", "String Buffers",
//          "XferTimeouts".
#ifndef FAKE_L4_STRING_TRANSFER_H_
#define FAKE_L4_STRING_TRANSFER_H_

#include <l4/types.h>

#include <cstdint>

namespace fake_l4 {

struct Thread;

// A place inside a compound string: `offset` bytes into substring `sub` of the group whose first
// word is words[at]. A group is a length word and its pointers; bit c says that the next one goes
// on with the same string.
//
// While a transfer waits for a page, other threads of the space may store into the UTCB: a length
// word counts as it was when the cursor came to its group.
struct StringCursor {
  const L4_Word_t* words = nullptr;  // the message registers, or the buffer registers
  unsigned limit = 0;                // how many there are
  unsigned at = 0;
  unsigned sub = 0;
  uint32_t offset = 0;
  L4_Word_t head = 0;  // words[at]

  // False when no string item begins at words[first] or its first group does not fit.
  bool Open(unsigned first);
  // Goes to the next substring; false at the end of the string.
  bool Next();
  uint32_t left() const { return Length() - offset; }
  uint64_t address() const { return uint64_t{words[at + 1 + sub]} + offset; }
  // The index after the string's last word; 0 when a further group does not fit.
  unsigned End() const;

 private:
  // Takes up the group at `at`; false when it does not fit.
  bool TakeGroup();
  uint32_t Length() const { return static_cast<uint32_t>(head >> 10) & 0x3fffff; }
  unsigned pointers() const { return static_cast<unsigned>(head >> 4 & 31) + 1; }
  bool continues() const { return (head >> 9 & 1) != 0; }
};

struct StringTransfer {
  Thread* sender = nullptr;
  Thread* receiver = nullptr;
  Thread* faulter = nullptr;  // null before the first fault

  unsigned item = 0;       // index of the first word of the item at hand
  unsigned end = 0;        // index after the last typed word
  bool in_string = false;  // the item at hand is a string, and `from` and `to` are places in it
  unsigned next_item = 0;  // after the string
  unsigned buffer = 0;  // index of the next string buffer in the buffer registers; 0: none is left
  StringCursor from, to;
  uint32_t copied = 0;  // bytes, all strings together

  // The errors of the two ends, without phase; 0: none.
  L4_Word_t sender_error = 0, receiver_error = 0;

  // When it must be over, in virtual ns; UINT64_MAX: whenever. Counts from the first fault.
  uint64_t deadline_ns = 0;
  // The sender's IPC, while it speaks to its pager.
  L4_ThreadId_t virtual_sender = {0}, intended = {0}, from_spec = {0};
  uint16_t receive_timeout = 0;
};

}  // namespace fake_l4

#endif  // FAKE_L4_STRING_TRANSFER_H_
