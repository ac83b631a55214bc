// l4/message.h: message registers, buffer registers, typed items and the L4_Msg_t buffer.
//
// WHAT     A message is MR0 (the tag: u untyped words, t words of typed items) and the words after
//          it. It is either built in an L4_Msg_t and loaded, or written to the message registers
//          directly. An L4 system call, and whatever may make one (a lock, say), may overwrite
//          message registers: load last, store first.
// INVARIANTS  Map and grant items: word 0 = send base (bits 10..) | type (8 map, 10 grant); word 1
//          = send fpage with rights. Acceptor (BR0): receive window fpage without its low four
//          bits; bit 0 = strings accepted.
// SEE      X.2 manual: "Messages And Message Registers", "MapItem", "GrantItem", "Acceptor".
#ifndef FAKE_L4_INCLUDE_L4_MESSAGE_H_
#define FAKE_L4_INCLUDE_L4_MESSAGE_H_

#include <l4/arch.h>
#include <l4/types.h>

// ---- Message registers ----

// Writes, reads MR i (0..63).
L4_INLINE void L4_LoadMR(int i, L4_Word_t w) { __l4_utcb()->mr[i & 63] = w; }
L4_INLINE void L4_StoreMR(int i, L4_Word_t* w) { *w = __l4_utcb()->mr[i & 63]; }
// Writes, reads k registers from MR i on.
L4_INLINE void L4_LoadMRs(int i, int k, const L4_Word_t* w) {
  L4_Utcb_t* u = __l4_utcb();
  for (int n = 0; n < k; n++) u->mr[(i + n) & 63] = w[n];
}
L4_INLINE void L4_StoreMRs(int i, int k, L4_Word_t* w) {
  const L4_Utcb_t* u = __l4_utcb();
  for (int n = 0; n < k; n++) w[n] = u->mr[(i + n) & 63];
}
// The tag in MR0.
L4_INLINE L4_MsgTag_t L4_MsgTag(void) { return L4_MsgTagOfRaw(__l4_utcb()->mr[0]); }
L4_INLINE void L4_Set_MsgTag(L4_MsgTag_t t) { __l4_utcb()->mr[0] = t.raw; }

// ---- Typed items ----

typedef struct {
  L4_Word_t raw[2];
} L4_MapItem_t;
typedef struct {
  L4_Word_t raw[2];
} L4_GrantItem_t;

#define L4_ITEM_MAP 8u
#define L4_ITEM_GRANT 10u

// Map `f` (with the rights it carries) to the place in the receiver's window that `send_base`
// selects.
L4_INLINE L4_MapItem_t L4_MapItem(L4_Fpage_t f, L4_Word_t send_base) {
  L4_MapItem_t m;
  m.raw[0] = (send_base & ~(L4_Word_t)1023) | L4_ITEM_MAP;
  m.raw[1] = f.raw;
  return m;
}
L4_INLINE L4_Bool_t L4_IsMapItem(L4_MapItem_t m) { return (m.raw[0] & 0xe) == L4_ITEM_MAP; }
L4_INLINE L4_Fpage_t L4_MapItemSndFpage(L4_MapItem_t m) { return L4_FpageOfRaw(m.raw[1]); }
L4_INLINE L4_Word_t L4_MapItemSndBase(L4_MapItem_t m) { return m.raw[0] & ~(L4_Word_t)1023; }

// The same for a page that leaves the sender.
L4_INLINE L4_GrantItem_t L4_GrantItem(L4_Fpage_t f, L4_Word_t send_base) {
  L4_GrantItem_t g;
  g.raw[0] = (send_base & ~(L4_Word_t)1023) | L4_ITEM_GRANT;
  g.raw[1] = f.raw;
  return g;
}
L4_INLINE L4_Bool_t L4_IsGrantItem(L4_GrantItem_t g) { return (g.raw[0] & 0xe) == L4_ITEM_GRANT; }
L4_INLINE L4_Fpage_t L4_GrantItemSndFpage(L4_GrantItem_t g) { return L4_FpageOfRaw(g.raw[1]); }
L4_INLINE L4_Word_t L4_GrantItemSndBase(L4_GrantItem_t g) { return g.raw[0] & ~(L4_Word_t)1023; }

// ---- Message buffers ----

typedef union {
  L4_Word_t raw[L4_NUM_MRS];
  L4_Word_t msg[L4_NUM_MRS];
  L4_MsgTag_t tag;
} L4_Msg_t;

L4_INLINE void L4_MsgClear(L4_Msg_t* m) { m->raw[0] = 0; }
L4_INLINE L4_MsgTag_t L4_MsgMsgTag(const L4_Msg_t* m) { return m->tag; }
L4_INLINE void L4_Set_MsgMsgTag(L4_Msg_t* m, L4_MsgTag_t t) { m->tag = t; }
L4_INLINE L4_Word_t L4_MsgLabel(const L4_Msg_t* m) { return L4_Label(m->tag); }
L4_INLINE void L4_Set_MsgLabel(L4_Msg_t* m, L4_Word_t label) { L4_Set_Label(&m->tag, label); }

// Copies the message to the message registers, and back (MR0 is then `t`, as returned by the IPC).
L4_INLINE void L4_MsgLoad(const L4_Msg_t* m) {
  const L4_Word_t n = 1 + L4_UntypedWords(m->tag) + L4_TypedWords(m->tag);
  L4_LoadMRs(0, (int)(n > L4_NUM_MRS ? L4_NUM_MRS : n), m->raw);
}
L4_INLINE void L4_MsgStore(L4_MsgTag_t t, L4_Msg_t* m) {
  const L4_Word_t n = L4_UntypedWords(t) + L4_TypedWords(t);
  m->tag = t;
  L4_StoreMRs(1, (int)(n > L4_NUM_MRS - 1 ? L4_NUM_MRS - 1 : n), m->raw + 1);
}

// Appends an untyped word; typed items move up by one. A word that does not fit is ignored.
L4_INLINE void L4_MsgAppendWord(L4_Msg_t* m, L4_Word_t w) {
  const L4_Word_t u = L4_UntypedWords(m->tag);
  const L4_Word_t t = L4_TypedWords(m->tag);
  if (u + t + 1 >= L4_NUM_MRS) return;
  for (L4_Word_t i = u + t + 1; i > u + 1; i--) m->raw[i] = m->raw[i - 1];
  m->raw[u + 1] = w;
  m->tag.raw += 1;
}
// Overwrites untyped word `u` (0 is the first); reads it.
L4_INLINE void L4_MsgPutWord(L4_Msg_t* m, L4_Word_t u, L4_Word_t w) {
  if (u + 1 < L4_NUM_MRS) m->raw[u + 1] = w;
}
L4_INLINE L4_Word_t L4_MsgWord(const L4_Msg_t* m, L4_Word_t u) {
  return u + 1 < L4_NUM_MRS ? m->raw[u + 1] : 0;
}
// Appends two words of a typed item. One that does not fit is ignored.
L4_INLINE void L4_MsgAppendTwoWordItem(L4_Msg_t* m, const L4_Word_t* item) {
  const L4_Word_t end = 1 + L4_UntypedWords(m->tag) + L4_TypedWords(m->tag);
  if (end + 2 > L4_NUM_MRS) return;
  m->raw[end] = item[0];
  m->raw[end + 1] = item[1];
  m->tag.raw += 2u << 6;
}
L4_INLINE void L4_MsgAppendMapItem(L4_Msg_t* m, L4_MapItem_t item) {
  L4_MsgAppendTwoWordItem(m, item.raw);
}
L4_INLINE void L4_MsgAppendGrantItem(L4_Msg_t* m, L4_GrantItem_t item) {
  L4_MsgAppendTwoWordItem(m, item.raw);
}
// Reads the map item whose first word is typed word `t` (0 is the first); returns the words it
// takes (2).
L4_INLINE L4_Word_t L4_MsgGetMapItem(const L4_Msg_t* m, L4_Word_t t, L4_MapItem_t* item) {
  const L4_Word_t i = 1 + L4_UntypedWords(m->tag) + t;
  item->raw[0] = i < L4_NUM_MRS ? m->raw[i] : 0;
  item->raw[1] = i + 1 < L4_NUM_MRS ? m->raw[i + 1] : 0;
  return 2;
}

// ---- Buffer registers and the acceptor ----

typedef struct {
  L4_Word_t raw;
} L4_Acceptor_t;

L4_INLINE L4_Acceptor_t L4_AcceptorOfRaw(L4_Word_t raw) {
  L4_Acceptor_t a;
  a.raw = raw;
  return a;
}
#define L4_UntypedWordsAcceptor (L4_AcceptorOfRaw(0))

// Accepts map and grant items into `window`.
L4_INLINE L4_Acceptor_t L4_MapGrantItems(L4_Fpage_t window) {
  return L4_AcceptorOfRaw(window.raw & ~(L4_Word_t)15);
}
L4_INLINE L4_Fpage_t L4_RcvWindow(L4_Acceptor_t a) { return L4_FpageOfRaw(a.raw & ~(L4_Word_t)15); }
L4_INLINE L4_Bool_t L4_HasMapGrantItems(L4_Acceptor_t a) { return (a.raw & ~(L4_Word_t)15) != 0; }
L4_INLINE L4_Bool_t L4_HasStringItems(L4_Acceptor_t a) { return a.raw & 1; }

L4_INLINE void L4_LoadBR(int i, L4_Word_t w) {
  if (i >= 0 && i < L4_NUM_BRS) __l4_utcb()->br[i] = w;
}
L4_INLINE void L4_StoreBR(int i, L4_Word_t* w) {
  if (i >= 0 && i < L4_NUM_BRS) *w = __l4_utcb()->br[i];
}
L4_INLINE void L4_LoadBRs(int i, int k, const L4_Word_t* w) {
  for (int n = 0; n < k; n++) L4_LoadBR(i + n, w[n]);
}
L4_INLINE void L4_StoreBRs(int i, int k, L4_Word_t* w) {
  for (int n = 0; n < k; n++) L4_StoreBR(i + n, &w[n]);
}
// Sets what the following receives accept; stays set. L4_Accepted reads it.
L4_INLINE void L4_Accept(L4_Acceptor_t a) { L4_LoadBR(0, a.raw); }
L4_INLINE L4_Acceptor_t L4_Accepted(void) { return L4_AcceptorOfRaw(__l4_utcb()->br[0]); }

#endif  // FAKE_L4_INCLUDE_L4_MESSAGE_H_
