// l4/message_overloads.h: the manual's overloaded names for messages, in C++.
//
// WHAT     Included by <l4/message.h>. Each function is one of its functions under the name that
// the
//          manual gives it in C++, once with a reference and once with a pointer.
// SEE      X.2 manual: "Messages And Message Registers".
#ifndef FAKE_L4_INCLUDE_L4_MESSAGE_OVERLOADS_H_
#define FAKE_L4_INCLUDE_L4_MESSAGE_OVERLOADS_H_

#include <l4/message.h>

// ---- Message registers ----

inline void L4_StoreMR(int i, L4_Word_t& w) { L4_StoreMR(i, &w); }
inline void L4_StoreBR(int i, L4_Word_t& w) { L4_StoreBR(i, &w); }

// ---- Typed items ----

inline bool L4_MapItem(L4_MapItem_t m) { return L4_IsMapItem(m) != 0; }
inline bool L4_GrantItem(L4_GrantItem_t g) { return L4_IsGrantItem(g) != 0; }
inline L4_Fpage_t L4_SndFpage(L4_MapItem_t m) { return L4_MapItemSndFpage(m); }
inline L4_Word_t L4_SndBase(L4_MapItem_t m) { return L4_MapItemSndBase(m); }
inline L4_Fpage_t L4_SndFpage(L4_GrantItem_t g) { return L4_GrantItemSndFpage(g); }
inline L4_Word_t L4_SndBase(L4_GrantItem_t g) { return L4_GrantItemSndBase(g); }

inline bool L4_StringItem(const L4_StringItem_t& s) { return 0 != L4_IsStringItem(&s); }
inline bool L4_StringItem(const L4_StringItem_t* s) { return 0 != L4_IsStringItem(s); }
inline bool L4_IsStringItem(const L4_StringItem_t& s) { return L4_IsStringItem(&s) != 0; }
inline bool L4_CompoundString(const L4_StringItem_t& s) { return L4_CompoundString(&s) != 0; }
inline L4_Word_t L4_Substrings(const L4_StringItem_t& s) { return L4_Substrings(&s); }
inline void* L4_Substring(const L4_StringItem_t& s, L4_Word_t n) { return L4_Substring(&s, n); }
inline L4_StringItem_t& operator+=(L4_StringItem_t& dest, const L4_StringItem_t& more) {
  return *L4_AddSubstringTo(&dest, &more);
}
inline L4_StringItem_t& operator+=(L4_StringItem_t& dest, void* address) {
  return *L4_AddSubstringAddressTo(&dest, address);
}
inline L4_StringItem_t operator+(const L4_StringItem_t& s, L4_CacheAllocationHint_t h) {
  return L4_AddCacheAllocationHint(s, h);
}
inline L4_StringItem_t& operator+=(L4_StringItem_t& s, L4_CacheAllocationHint_t h) {
  return *L4_AddCacheAllocationHintTo(&s, h);
}
constexpr bool operator==(L4_CacheAllocationHint_t l, L4_CacheAllocationHint_t r) {
  return l.raw == r.raw;
}
constexpr bool operator!=(L4_CacheAllocationHint_t l, L4_CacheAllocationHint_t r) {
  return l.raw != r.raw;
}

// ---- Message buffers ----
// String items by pointer are templates so that a literal 0 is a word, not a null pointer.

inline L4_MsgTag_t L4_MsgTag(const L4_Msg_t& m) { return L4_MsgMsgTag(&m); }
inline L4_MsgTag_t L4_MsgTag(const L4_Msg_t* m) { return L4_MsgMsgTag(m); }
inline void L4_Set_MsgTag(L4_Msg_t& m, L4_MsgTag_t t) { L4_Set_MsgMsgTag(&m, t); }
inline void L4_Set_MsgTag(L4_Msg_t* m, L4_MsgTag_t t) { L4_Set_MsgMsgTag(m, t); }
inline L4_Word_t L4_Label(const L4_Msg_t& m) { return L4_MsgLabel(&m); }
inline L4_Word_t L4_Label(const L4_Msg_t* m) { return L4_MsgLabel(m); }
inline void L4_Set_Label(L4_Msg_t& m, L4_Word_t label) { L4_Set_MsgLabel(&m, label); }
inline void L4_Set_Label(L4_Msg_t* m, L4_Word_t label) { L4_Set_MsgLabel(m, label); }
inline void L4_Load(const L4_Msg_t& m) { L4_MsgLoad(&m); }
inline void L4_Load(const L4_Msg_t* m) { L4_MsgLoad(m); }
inline void L4_Clear(L4_Msg_t& m) { L4_MsgClear(&m); }
inline void L4_Clear(L4_Msg_t* m) { L4_MsgClear(m); }
inline void L4_Append(L4_Msg_t& m, L4_Word_t w) { L4_MsgAppendWord(&m, w); }
inline void L4_Append(L4_Msg_t* m, L4_Word_t w) { L4_MsgAppendWord(m, w); }
inline void L4_Append(L4_Msg_t& m, L4_MapItem_t item) { L4_MsgAppendMapItem(&m, item); }
inline void L4_Append(L4_Msg_t* m, L4_MapItem_t item) { L4_MsgAppendMapItem(m, item); }
inline void L4_Append(L4_Msg_t& m, L4_GrantItem_t item) { L4_MsgAppendGrantItem(&m, item); }
inline void L4_Append(L4_Msg_t* m, L4_GrantItem_t item) { L4_MsgAppendGrantItem(m, item); }
inline void L4_Append(L4_Msg_t& m, L4_StringItem_t s) { L4_MsgAppendSimpleStringItem(&m, s); }
inline void L4_Append(L4_Msg_t* m, L4_StringItem_t s) { L4_MsgAppendSimpleStringItem(m, s); }
template <typename StringItem>
inline void L4_Append(L4_Msg_t& m, StringItem* s) {
  L4_MsgAppendStringItem(&m, s);
}
template <typename StringItem>
inline void L4_Append(L4_Msg_t* m, StringItem* s) {
  L4_MsgAppendStringItem(m, s);
}
inline void L4_Put(L4_Msg_t& m, L4_Word_t label, int u, const L4_Word_t* untyped, int t,
                   const void* items) {
  L4_MsgPut(&m, label, u, untyped, t, items);
}
inline void L4_Put(L4_Msg_t* m, L4_Word_t label, int u, const L4_Word_t* untyped, int t,
                   const void* items) {
  L4_MsgPut(m, label, u, untyped, t, items);
}
inline void L4_Put(L4_Msg_t& m, L4_Word_t u, L4_Word_t w) { L4_MsgPutWord(&m, u, w); }
inline void L4_Put(L4_Msg_t* m, L4_Word_t u, L4_Word_t w) { L4_MsgPutWord(m, u, w); }
inline void L4_Put(L4_Msg_t& m, L4_Word_t t, L4_MapItem_t item) { L4_MsgPutMapItem(&m, t, item); }
inline void L4_Put(L4_Msg_t* m, L4_Word_t t, L4_MapItem_t item) { L4_MsgPutMapItem(m, t, item); }
inline void L4_Put(L4_Msg_t& m, L4_Word_t t, L4_GrantItem_t item) {
  L4_MsgPutGrantItem(&m, t, item);
}
inline void L4_Put(L4_Msg_t* m, L4_Word_t t, L4_GrantItem_t item) {
  L4_MsgPutGrantItem(m, t, item);
}
inline void L4_Put(L4_Msg_t& m, L4_Word_t t, L4_StringItem_t s) {
  L4_MsgPutSimpleStringItem(&m, t, s);
}
inline void L4_Put(L4_Msg_t* m, L4_Word_t t, L4_StringItem_t s) {
  L4_MsgPutSimpleStringItem(m, t, s);
}
template <typename StringItem>
inline void L4_Put(L4_Msg_t& m, L4_Word_t t, StringItem* s) {
  L4_MsgPutStringItem(&m, t, s);
}
template <typename StringItem>
inline void L4_Put(L4_Msg_t* m, L4_Word_t t, StringItem* s) {
  L4_MsgPutStringItem(m, t, s);
}
inline void L4_Get(const L4_Msg_t& m, L4_Word_t* untyped, void* items) {
  L4_MsgGet(&m, untyped, items);
}
inline void L4_Get(const L4_Msg_t* m, L4_Word_t* untyped, void* items) {
  L4_MsgGet(m, untyped, items);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t u) { return L4_MsgWord(&m, u); }
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t u) { return L4_MsgWord(m, u); }
inline void L4_Set_Label(L4_MsgTag_t& t, L4_Word_t label) { L4_Set_Label(&t, label); }
inline void L4_Store(L4_MsgTag_t t, L4_Msg_t& m) { L4_MsgStore(t, &m); }
inline void L4_Store(L4_MsgTag_t t, L4_Msg_t* m) { L4_MsgStore(t, m); }
inline void L4_Get(const L4_Msg_t& m, L4_Word_t u, L4_Word_t& w) { L4_MsgGetWord(&m, u, &w); }
inline void L4_Get(const L4_Msg_t& m, L4_Word_t u, L4_Word_t* w) { L4_MsgGetWord(&m, u, w); }
inline void L4_Get(const L4_Msg_t* m, L4_Word_t u, L4_Word_t& w) { L4_MsgGetWord(m, u, &w); }
inline void L4_Get(const L4_Msg_t* m, L4_Word_t u, L4_Word_t* w) { L4_MsgGetWord(m, u, w); }
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_MapItem_t& item) {
  return L4_MsgGetMapItem(&m, t, &item);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_MapItem_t* item) {
  return L4_MsgGetMapItem(&m, t, item);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_MapItem_t& item) {
  return L4_MsgGetMapItem(m, t, &item);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_MapItem_t* item) {
  return L4_MsgGetMapItem(m, t, item);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_GrantItem_t& item) {
  return L4_MsgGetGrantItem(&m, t, &item);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_GrantItem_t* item) {
  return L4_MsgGetGrantItem(&m, t, item);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_GrantItem_t& item) {
  return L4_MsgGetGrantItem(m, t, &item);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_GrantItem_t* item) {
  return L4_MsgGetGrantItem(m, t, item);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_StringItem_t& s) {
  return L4_MsgGetStringItem(&m, t, &s);
}
inline L4_Word_t L4_Get(const L4_Msg_t& m, L4_Word_t t, L4_StringItem_t* s) {
  return L4_MsgGetStringItem(&m, t, s);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_StringItem_t& s) {
  return L4_MsgGetStringItem(m, t, &s);
}
inline L4_Word_t L4_Get(const L4_Msg_t* m, L4_Word_t t, L4_StringItem_t* s) {
  return L4_MsgGetStringItem(m, t, s);
}

// ---- Buffer registers and the acceptor ----

inline void L4_Clear(L4_MsgBuffer_t& b) { L4_MsgBufferClear(&b); }
inline void L4_Clear(L4_MsgBuffer_t* b) { L4_MsgBufferClear(b); }
inline void L4_Append(L4_MsgBuffer_t& b, L4_StringItem_t s) {
  L4_MsgBufferAppendSimpleRcvString(&b, s);
}
inline void L4_Append(L4_MsgBuffer_t* b, L4_StringItem_t s) {
  L4_MsgBufferAppendSimpleRcvString(b, s);
}
inline void L4_Append(L4_MsgBuffer_t& b, const L4_StringItem_t* s) {
  L4_MsgBufferAppendRcvString(&b, s);
}
inline void L4_Append(L4_MsgBuffer_t* b, const L4_StringItem_t* s) {
  L4_MsgBufferAppendRcvString(b, s);
}
inline void L4_Accept(L4_Acceptor_t a, const L4_MsgBuffer_t& b) { L4_AcceptStrings(a, &b); }
inline void L4_Accept(L4_Acceptor_t a, const L4_MsgBuffer_t* b) { L4_AcceptStrings(a, b); }
inline void L4_AcceptStrings(L4_Acceptor_t a, const L4_MsgBuffer_t& b) { L4_AcceptStrings(a, &b); }
inline bool L4_StringItems(L4_Acceptor_t a) { return L4_HasStringItems(a) != 0; }
inline bool L4_MapGrantItems(L4_Acceptor_t a) { return L4_HasMapGrantItems(a) != 0; }
inline L4_Acceptor_t operator+(L4_Acceptor_t l, L4_Acceptor_t r) { return L4_AddAcceptor(l, r); }
inline L4_Acceptor_t operator-(L4_Acceptor_t l, L4_Acceptor_t r) { return L4_RemoveAcceptor(l, r); }
inline L4_Acceptor_t& operator+=(L4_Acceptor_t& l, L4_Acceptor_t r) {
  return *L4_AddAcceptorTo(&l, r);
}
inline L4_Acceptor_t& operator-=(L4_Acceptor_t& l, L4_Acceptor_t r) {
  return *L4_RemoveAcceptorFrom(&l, r);
}

#endif  // FAKE_L4_INCLUDE_L4_MESSAGE_OVERLOADS_H_
