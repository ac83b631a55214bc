// l4/message.h: message registers, buffer registers, typed items and the L4_Msg_t buffer.
//
// WHAT     A message is MR0 (the tag: u untyped words, t words of typed items) and the words after
//          it. It is either built in an L4_Msg_t and loaded, or written to the message registers
//          directly. An L4 system call, and whatever may make one (a lock, say), may overwrite
//          message registers: load last, store first.
// INVARIANTS  Map and grant items: word 0 = send base (bits 10..) | type (8 map, 10 grant); word 1
//          = send fpage with rights. String items: groups of a head word and 1..32 pointers to
//          substrings of one length; head = length 10.., c 9 (another group follows), pointers - 1
//          in 4..8, cache hint 1..2. Bit 0 of an item's first word (C): another item follows.
//          Acceptor (BR0): receive window fpage without its low four bits; bit 0 = strings
//          accepted, the items that describe their buffers then start at BR1.
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
L4_CONSTANT_INLINE L4_MapItem_t L4_MapItem(L4_Fpage_t f, L4_Word_t send_base) {
  L4_MapItem_t m = {{0}};
  m.raw[0] = (send_base & ~(L4_Word_t)1023) | L4_ITEM_MAP;
  m.raw[1] = f.raw;
  return m;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsMapItem(L4_MapItem_t m) {
  return (m.raw[0] & 0xe) == L4_ITEM_MAP;
}
L4_CONSTANT_INLINE L4_Fpage_t L4_MapItemSndFpage(L4_MapItem_t m) { return L4_FpageOfRaw(m.raw[1]); }
L4_CONSTANT_INLINE L4_Word_t L4_MapItemSndBase(L4_MapItem_t m) {
  return m.raw[0] & ~(L4_Word_t)1023;
}

// The same for a page that leaves the sender.
L4_CONSTANT_INLINE L4_GrantItem_t L4_GrantItem(L4_Fpage_t f, L4_Word_t send_base) {
  L4_GrantItem_t g = {{0}};
  g.raw[0] = (send_base & ~(L4_Word_t)1023) | L4_ITEM_GRANT;
  g.raw[1] = f.raw;
  return g;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsGrantItem(L4_GrantItem_t g) {
  return (g.raw[0] & 0xe) == L4_ITEM_GRANT;
}
L4_CONSTANT_INLINE L4_Fpage_t L4_GrantItemSndFpage(L4_GrantItem_t g) {
  return L4_FpageOfRaw(g.raw[1]);
}
L4_CONSTANT_INLINE L4_Word_t L4_GrantItemSndBase(L4_GrantItem_t g) {
  return g.raw[0] & ~(L4_Word_t)1023;
}

// ---- String items ----

// Any string item that fits a message. What its pointers are worth is up to the kernel: simulated
// addresses here.
#define L4_MAX_STRING_ITEM_WORDS (L4_NUM_MRS - 1)
typedef struct {
  L4_Word_t raw[L4_MAX_STRING_ITEM_WORDS];
} L4_StringItem_t;

// How a string transfer uses the caches, in bits 1..2; a hint that this kernel carries only.
typedef struct {
  L4_Word_t raw;
} L4_CacheAllocationHint_t;
L4_CONSTANT_INLINE L4_CacheAllocationHint_t L4_CacheAllocationHintOfRaw(L4_Word_t raw) {
  L4_CacheAllocationHint_t h = {0};
  h.raw = raw;
  return h;
}
#define L4_UseDefaultCacheLineAllocation \
  L4_CONSTANT(L4_CacheAllocationHint_t, L4_CacheAllocationHintOfRaw, 0)
#define L4_AllocateNewCacheLines \
  L4_CONSTANT(L4_CacheAllocationHint_t, L4_CacheAllocationHintOfRaw, 2)
#define L4_DoNotAllocateNewCacheLines \
  L4_CONSTANT(L4_CacheAllocationHint_t, L4_CacheAllocationHintOfRaw, 4)
#define L4_AllocateOnlyNewL1CacheLines \
  L4_CONSTANT(L4_CacheAllocationHint_t, L4_CacheAllocationHintOfRaw, 6)
L4_INLINE L4_Bool_t L4_IsCacheAllocationHintEqual(L4_CacheAllocationHint_t l,
                                                  L4_CacheAllocationHint_t r) {
  return l.raw == r.raw;
}
L4_INLINE L4_Bool_t L4_IsCacheAllocationHintNotEqual(L4_CacheAllocationHint_t l,
                                                     L4_CacheAllocationHint_t r) {
  return l.raw != r.raw;
}

// The fields of a head word. (Not names of the manual.)
#define L4_STRING_CONTINUES 0x200u
L4_CONSTANT_INLINE L4_Word_t L4_StringHeadLength(L4_Word_t head) { return head >> 10; }
L4_CONSTANT_INLINE L4_Word_t L4_StringHeadPointers(L4_Word_t head) {
  return ((head >> 4) & 31) + 1;
}
L4_CONSTANT_INLINE L4_Bool_t L4_StringHeadContinues(L4_Word_t head) {
  return (head & L4_STRING_CONTINUES) != 0;
}
// Words of the item that starts at w[0], at most `limit`. Any bits are safe.
L4_CONSTANT_INLINE L4_Word_t L4_StringItemWords(const L4_Word_t* w, L4_Word_t limit) {
  L4_Word_t n = 0;
  while (n < limit) {
    const L4_Word_t head = w[n];
    n += 1 + L4_StringHeadPointers(head);
    if (!L4_StringHeadContinues(head)) break;
  }
  return n < limit ? n : limit;
}

// A simple string of `size` bytes (below 2^22 with 32-bit words) at `address`.
L4_INLINE L4_StringItem_t L4_StringItem(int size, void* address) {
  L4_StringItem_t s = {{0}};
  s.raw[0] = (L4_Word_t)(unsigned)size << 10;
  s.raw[1] = (L4_Word_t)address;
  return s;
}
L4_INLINE L4_Bool_t L4_IsStringItem(const L4_StringItem_t* s) { return (s->raw[0] & 8) == 0; }
// Substrings in all groups; their number is 1 exactly when the string is not compound.
L4_INLINE L4_Word_t L4_Substrings(const L4_StringItem_t* s) {
  L4_Word_t n = 0;
  for (L4_Word_t i = 0; i < L4_MAX_STRING_ITEM_WORDS;) {
    const L4_Word_t head = s->raw[i];
    n += L4_StringHeadPointers(head);
    i += 1 + L4_StringHeadPointers(head);
    if (!L4_StringHeadContinues(head)) break;
  }
  return n;
}
L4_INLINE L4_Bool_t L4_CompoundString(const L4_StringItem_t* s) { return L4_Substrings(s) > 1; }
// Address of substring n (0 is the first); null when there is none.
L4_INLINE void* L4_Substring(const L4_StringItem_t* s, L4_Word_t n) {
  for (L4_Word_t i = 0; i < L4_MAX_STRING_ITEM_WORDS;) {
    const L4_Word_t head = s->raw[i];
    const L4_Word_t pointers = L4_StringHeadPointers(head);
    if (n < pointers) return i + 1 + n < L4_MAX_STRING_ITEM_WORDS ? (void*)s->raw[i + 1 + n] : 0;
    if (!L4_StringHeadContinues(head)) break;
    n -= pointers;
    i += 1 + pointers;
  }
  return 0;
}
// Word index of the last group's head.
L4_INLINE L4_Word_t L4_StringLastGroup(const L4_StringItem_t* s) {
  L4_Word_t i = 0;
  while (L4_StringHeadContinues(s->raw[i])) {
    const L4_Word_t next = i + 1 + L4_StringHeadPointers(s->raw[i]);
    if (next >= L4_MAX_STRING_ITEM_WORDS) break;
    i = next;
  }
  return i;
}
// Makes `dest` go on with the substrings of `more`; with one more substring of its last length.
// What does not fit a message is ignored.
L4_INLINE L4_StringItem_t* L4_AddSubstringTo(L4_StringItem_t* dest, const L4_StringItem_t* more) {
  const L4_Word_t last = L4_StringLastGroup(dest);
  const L4_Word_t end = last + 1 + L4_StringHeadPointers(dest->raw[last]);
  const L4_Word_t n = L4_StringItemWords(more->raw, L4_MAX_STRING_ITEM_WORDS);
  if (end + n > L4_MAX_STRING_ITEM_WORDS) return dest;
  for (L4_Word_t i = 0; i < n; i++) dest->raw[end + i] = more->raw[i];
  dest->raw[end] = (dest->raw[end] & ~(L4_Word_t)7) | (dest->raw[last] & 7);
  dest->raw[last] |= L4_STRING_CONTINUES;
  return dest;
}
L4_INLINE L4_StringItem_t* L4_AddSubstringAddressTo(L4_StringItem_t* dest, void* address) {
  const L4_Word_t last = L4_StringLastGroup(dest);
  const L4_Word_t head = dest->raw[last];
  const L4_Word_t pointers = L4_StringHeadPointers(head);
  L4_Word_t end = last + 1 + pointers;
  if (end + (pointers == 32) >= L4_MAX_STRING_ITEM_WORDS) return dest;
  if (pointers == 32) {
    dest->raw[end++] = head & ~(L4_Word_t)0x1f0;
    dest->raw[last] |= L4_STRING_CONTINUES;
  } else {
    dest->raw[last] += 1u << 4;
  }
  dest->raw[end] = (L4_Word_t)address;
  return dest;
}
L4_INLINE L4_CacheAllocationHint_t L4_CacheAllocationHint(L4_StringItem_t s) {
  return L4_CacheAllocationHintOfRaw(s.raw[0] & 6);
}
L4_INLINE L4_StringItem_t L4_AddCacheAllocationHint(L4_StringItem_t s, L4_CacheAllocationHint_t h) {
  s.raw[0] = (s.raw[0] & ~(L4_Word_t)6) | (h.raw & 6);
  return s;
}
L4_INLINE L4_StringItem_t* L4_AddCacheAllocationHintTo(L4_StringItem_t* s,
                                                       L4_CacheAllocationHint_t h) {
  s->raw[0] = (s->raw[0] & ~(L4_Word_t)6) | (h.raw & 6);
  return s;
}

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
L4_INLINE void L4_MsgGetWord(const L4_Msg_t* m, L4_Word_t u, L4_Word_t* w) {
  *w = L4_MsgWord(m, u);
}

// Words of the typed item whose first word is w[0], at most `limit`. Any bits are safe.
L4_CONSTANT_INLINE L4_Word_t L4_TypedItemWords(const L4_Word_t* w, L4_Word_t limit) {
  if ((w[0] & 8) == 0) return L4_StringItemWords(w, limit);
  return limit < 2 ? limit : 2;
}
// Sets the C bit of every typed item but the last.
L4_INLINE void L4_MsgMarkContinued(L4_Msg_t* m) {
  L4_Word_t i = 1 + L4_UntypedWords(m->tag);
  L4_Word_t end = i + L4_TypedWords(m->tag);
  if (end > L4_NUM_MRS) end = L4_NUM_MRS;
  while (i < end) {
    const L4_Word_t n = L4_TypedItemWords(m->raw + i, end - i);
    m->raw[i] = i + n < end ? m->raw[i] | 1 : m->raw[i] & ~(L4_Word_t)1;
    i += n;
  }
}
// Appends the n words of a typed item, and tells the item before it. One that does not fit is
// ignored.
L4_INLINE void L4_MsgAppendItem(L4_Msg_t* m, const L4_Word_t* item, L4_Word_t n) {
  const L4_Word_t end = 1 + L4_UntypedWords(m->tag) + L4_TypedWords(m->tag);
  if (end + n > L4_NUM_MRS) return;
  for (L4_Word_t i = 0; i < n; i++) m->raw[end + i] = item[i];
  m->tag.raw += n << 6;
  L4_MsgMarkContinued(m);
}
L4_INLINE void L4_MsgAppendMapItem(L4_Msg_t* m, L4_MapItem_t item) {
  L4_MsgAppendItem(m, item.raw, 2);
}
L4_INLINE void L4_MsgAppendGrantItem(L4_Msg_t* m, L4_GrantItem_t item) {
  L4_MsgAppendItem(m, item.raw, 2);
}
L4_INLINE void L4_MsgAppendStringItem(L4_Msg_t* m, const L4_StringItem_t* s) {
  L4_MsgAppendItem(m, s->raw, L4_StringItemWords(s->raw, L4_MAX_STRING_ITEM_WORDS));
}
L4_INLINE void L4_MsgAppendSimpleStringItem(L4_Msg_t* m, L4_StringItem_t s) {
  L4_MsgAppendStringItem(m, &s);
}

// The whole message at once: `u` untyped words and the `t` words of the typed items at `items`.
// What does not fit is cut.
L4_INLINE void L4_MsgPut(L4_Msg_t* m, L4_Word_t label, int u, const L4_Word_t* untyped, int t,
                         const void* items) {
  const L4_Word_t* typed = (const L4_Word_t*)items;
  if (u < 0) u = 0;
  if (t < 0) t = 0;
  if (u > L4_NUM_MRS - 1) u = L4_NUM_MRS - 1;
  if (t > L4_NUM_MRS - 1 - u) t = L4_NUM_MRS - 1 - u;
  for (int i = 0; i < u; i++) m->raw[1 + i] = untyped[i];
  for (int i = 0; i < t; i++) m->raw[1 + u + i] = typed[i];
  m->tag = L4_MakeMsgTag(label, (L4_Word_t)u, (L4_Word_t)t);
  L4_MsgMarkContinued(m);
}
// Copies the untyped words, and the words of all typed items; either pointer may be null.
L4_INLINE void L4_MsgGet(const L4_Msg_t* m, L4_Word_t* untyped, void* items) {
  L4_Word_t* typed = (L4_Word_t*)items;
  const L4_Word_t u = L4_UntypedWords(m->tag);
  for (L4_Word_t i = 0; untyped && i < u; i++) untyped[i] = L4_MsgWord(m, i);
  for (L4_Word_t i = 0; typed && i < L4_TypedWords(m->tag); i++) typed[i] = L4_MsgWord(m, u + i);
}

// Overwrites the typed words from word `t` (0 is the first) on with an item, whose C bit says
// whether typed words follow it.
L4_INLINE void L4_MsgPutItem(L4_Msg_t* m, L4_Word_t t, const L4_Word_t* item, L4_Word_t n) {
  const L4_Word_t u = L4_UntypedWords(m->tag);
  for (L4_Word_t i = 0; i < n; i++) L4_MsgPutWord(m, u + t + i, item[i]);
  if (u + t + 1 < L4_NUM_MRS) {
    m->raw[u + t + 1] &= ~(L4_Word_t)1;
    m->raw[u + t + 1] |= t + n < L4_TypedWords(m->tag);
  }
}
L4_INLINE void L4_MsgPutMapItem(L4_Msg_t* m, L4_Word_t t, L4_MapItem_t item) {
  L4_MsgPutItem(m, t, item.raw, 2);
}
L4_INLINE void L4_MsgPutGrantItem(L4_Msg_t* m, L4_Word_t t, L4_GrantItem_t item) {
  L4_MsgPutItem(m, t, item.raw, 2);
}
L4_INLINE void L4_MsgPutStringItem(L4_Msg_t* m, L4_Word_t t, const L4_StringItem_t* s) {
  L4_MsgPutItem(m, t, s->raw, L4_StringItemWords(s->raw, L4_MAX_STRING_ITEM_WORDS));
}
L4_INLINE void L4_MsgPutSimpleStringItem(L4_Msg_t* m, L4_Word_t t, L4_StringItem_t s) {
  L4_MsgPutStringItem(m, t, &s);
}

// Read the item whose first word is typed word `t` (0 is the first); return the words it takes.
L4_INLINE L4_Word_t L4_MsgGetMapItem(const L4_Msg_t* m, L4_Word_t t, L4_MapItem_t* item) {
  const L4_Word_t u = L4_UntypedWords(m->tag);
  item->raw[0] = L4_MsgWord(m, u + t);
  item->raw[1] = L4_MsgWord(m, u + t + 1);
  return 2;
}
L4_INLINE L4_Word_t L4_MsgGetGrantItem(const L4_Msg_t* m, L4_Word_t t, L4_GrantItem_t* item) {
  const L4_Word_t u = L4_UntypedWords(m->tag);
  item->raw[0] = L4_MsgWord(m, u + t);
  item->raw[1] = L4_MsgWord(m, u + t + 1);
  return 2;
}
L4_INLINE L4_Word_t L4_MsgGetStringItem(const L4_Msg_t* m, L4_Word_t t, L4_StringItem_t* s) {
  const L4_Word_t first = 1 + L4_UntypedWords(m->tag) + t;
  L4_Word_t n;
  if (first >= L4_NUM_MRS) return 0;
  n = L4_StringItemWords(m->raw + first, L4_NUM_MRS - first);
  for (L4_Word_t i = 0; i < n; i++) s->raw[i] = m->raw[first + i];
  return n;
}

// ---- Buffer registers and the acceptor ----

typedef struct {
  L4_Word_t raw;
} L4_Acceptor_t;

L4_CONSTANT_INLINE L4_Acceptor_t L4_AcceptorOfRaw(L4_Word_t raw) {
  L4_Acceptor_t a = {0};
  a.raw = raw;
  return a;
}
#define L4_UntypedWordsAcceptor L4_CONSTANT(L4_Acceptor_t, L4_AcceptorOfRaw, 0)
#define L4_StringItemsAcceptor L4_CONSTANT(L4_Acceptor_t, L4_AcceptorOfRaw, 1)

// Accepts map and grant items into `window`.
L4_CONSTANT_INLINE L4_Acceptor_t L4_MapGrantItems(L4_Fpage_t window) {
  return L4_AcceptorOfRaw(window.raw & ~(L4_Word_t)15);
}
L4_CONSTANT_INLINE L4_Fpage_t L4_RcvWindow(L4_Acceptor_t a) {
  return L4_FpageOfRaw(a.raw & ~(L4_Word_t)15);
}
L4_CONSTANT_INLINE L4_Bool_t L4_HasMapGrantItems(L4_Acceptor_t a) {
  return (a.raw & ~(L4_Word_t)15) != 0;
}
L4_CONSTANT_INLINE L4_Bool_t L4_HasStringItems(L4_Acceptor_t a) { return a.raw & 1; }

// Accepts what either accepts (the window is `r`'s if it has one); what `l` accepts and `r` does
// not.
L4_CONSTANT_INLINE L4_Acceptor_t L4_AddAcceptor(L4_Acceptor_t l, L4_Acceptor_t r) {
  const L4_Acceptor_t window = L4_HasMapGrantItems(r) ? r : l;
  return L4_AcceptorOfRaw((window.raw & ~(L4_Word_t)15) | ((l.raw | r.raw) & 15));
}
L4_INLINE L4_Acceptor_t* L4_AddAcceptorTo(L4_Acceptor_t* l, L4_Acceptor_t r) {
  *l = L4_AddAcceptor(*l, r);
  return l;
}
L4_CONSTANT_INLINE L4_Acceptor_t L4_RemoveAcceptor(L4_Acceptor_t l, L4_Acceptor_t r) {
  const L4_Word_t window = L4_HasMapGrantItems(r) ? 0 : l.raw & ~(L4_Word_t)15;
  return L4_AcceptorOfRaw(window | (l.raw & 15 & ~r.raw));
}
L4_INLINE L4_Acceptor_t* L4_RemoveAcceptorFrom(L4_Acceptor_t* l, L4_Acceptor_t r) {
  *l = L4_RemoveAcceptor(*l, r);
  return l;
}

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

// The string items that describe receive buffers, as BR1 and following hold them.
typedef struct {
  L4_Word_t raw[L4_NUM_BRS - 1];
} L4_MsgBuffer_t;

// No buffer is one of no bytes.
L4_INLINE void L4_MsgBufferClear(L4_MsgBuffer_t* b) { b->raw[0] = b->raw[1] = 0; }
// Words of all its items.
L4_INLINE L4_Word_t L4_MsgBufferWords(const L4_MsgBuffer_t* b) {
  L4_Word_t n = 0;
  L4_Bool_t more = 1;
  while (more && n < L4_NUM_BRS - 1) {
    more = b->raw[n] & 1;
    n += L4_TypedItemWords(b->raw + n, L4_NUM_BRS - 1 - n);
  }
  return n;
}
// Appends one buffer; the strings of a message fill the buffers in their order. One that does not
// fit is ignored.
L4_INLINE void L4_MsgBufferAppendRcvString(L4_MsgBuffer_t* b, const L4_StringItem_t* s) {
  const L4_Word_t n = L4_StringItemWords(s->raw, L4_MAX_STRING_ITEM_WORDS);
  const L4_Bool_t empty = b->raw[0] == 0 && b->raw[1] == 0;
  const L4_Word_t end = empty ? 0 : L4_MsgBufferWords(b);
  L4_Word_t last = 0;
  if (end + n > L4_NUM_BRS - 1) return;
  while (!empty && (b->raw[last] & 1)) {
    last += L4_TypedItemWords(b->raw + last, L4_NUM_BRS - 1 - last);
  }
  for (L4_Word_t i = 0; i < n; i++) b->raw[end + i] = s->raw[i];
  b->raw[end] &= ~(L4_Word_t)1;
  if (!empty) b->raw[last] |= 1;
}
L4_INLINE void L4_MsgBufferAppendSimpleRcvString(L4_MsgBuffer_t* b, L4_StringItem_t s) {
  L4_MsgBufferAppendRcvString(b, &s);
}
// Sets the acceptor, and loads the buffers.
L4_INLINE void L4_AcceptStrings(L4_Acceptor_t a, const L4_MsgBuffer_t* b) {
  L4_LoadBR(0, a.raw);
  L4_LoadBRs(1, (int)L4_MsgBufferWords(b), b->raw);
}

#ifdef __cplusplus
#include <l4/message_overloads.h>
#endif

#endif  // FAKE_L4_INCLUDE_L4_MESSAGE_H_
