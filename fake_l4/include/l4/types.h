// l4/types.h: words, thread ids, times, fpages and message tags of the X.2 interface.
//
// WHAT     The value types of the X.2 reference manual's generic convenience interface, C and C++,
//          in the native word width. Every type is one word (or half a word) in a struct named
//          `raw`, so that a value can be stored, compared and sent as it is.
// INVARIANTS  Layouts (bit 0 lowest); 64-bit words, then 32-bit words:
//          thread id    version 0..31, number 32..63            | version 0..13, number 14..31
//          fpage        rwx 0..2, zero 3, s 4..9, base/1024 10..  (both widths)
//          message tag  u 0..5, t 6..11, flags 12..15, label 16..
//          time         16 bits: period 0 e(10..14) m(0..9); point 1 e(11..14) c(10) m(0..9)
// SEE      X.2 manual: "Data Types", "Thread IDs", "Time", "Fpage", "Message Tag".
#ifndef FAKE_L4_INCLUDE_L4_TYPES_H_
#define FAKE_L4_INCLUDE_L4_TYPES_H_

#ifdef __cplusplus
#define L4_INLINE inline
#else
#define L4_INLINE static inline
#endif

// X.2 manual: "Word". The machine word: 32 bits when built with -m32, else 64.
typedef unsigned long L4_Word_t;
typedef signed long L4_SignedWord_t;
typedef __UINT16_TYPE__ L4_Word16_t;
typedef __UINT32_TYPE__ L4_Word32_t;
typedef __UINT64_TYPE__ L4_Word64_t;
// X.2 manual: "Bool". Zero is false, anything else true.
typedef L4_Word_t L4_Bool_t;

#define L4_WORD_BITS ((unsigned)(sizeof(L4_Word_t) * 8))
#if defined(__SIZEOF_LONG__) && __SIZEOF_LONG__ == 8
#define L4_THREAD_VERSION_BITS 32u
#else
#define L4_THREAD_VERSION_BITS 14u
#endif

// ---- Thread ids ("Thread IDs") ----

typedef struct {
  L4_Word_t raw;
} L4_ThreadId_t;

L4_INLINE L4_ThreadId_t L4_ThreadIdOfRaw(L4_Word_t raw) {
  L4_ThreadId_t t;
  t.raw = raw;
  return t;
}

#define L4_nilthread (L4_ThreadIdOfRaw(0))
#define L4_anythread (L4_ThreadIdOfRaw(~(L4_Word_t)0))
#define L4_anylocalthread (L4_ThreadIdOfRaw(~(L4_Word_t)0 << 6))

// The global id made of a thread number and a version. A valid version is non-zero in its low 6
// bits.
L4_INLINE L4_ThreadId_t L4_GlobalId(L4_Word_t threadno, L4_Word_t version) {
  const L4_Word_t mask = ((L4_Word_t)1 << L4_THREAD_VERSION_BITS) - 1;
  return L4_ThreadIdOfRaw((threadno << L4_THREAD_VERSION_BITS) | (version & mask));
}
// Version and number of a global id.
L4_INLINE L4_Word_t L4_Version(L4_ThreadId_t t) {
  return t.raw & (((L4_Word_t)1 << L4_THREAD_VERSION_BITS) - 1);
}
L4_INLINE L4_Word_t L4_ThreadNo(L4_ThreadId_t t) { return t.raw >> L4_THREAD_VERSION_BITS; }

L4_INLINE L4_Bool_t L4_IsThreadEqual(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw == r.raw; }
L4_INLINE L4_Bool_t L4_IsThreadNotEqual(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw != r.raw; }
L4_INLINE L4_Bool_t L4_IsNilThread(L4_ThreadId_t t) { return t.raw == 0; }
// A local id has its low six bits clear, a global id has not. Nilthread and anylocalthread count as
// local.
L4_INLINE L4_Bool_t L4_IsLocalId(L4_ThreadId_t t) { return (t.raw & 63) == 0; }
L4_INLINE L4_Bool_t L4_IsGlobalId(L4_ThreadId_t t) { return (t.raw & 63) != 0; }

// ---- Time ("Time") ----

typedef struct {
  L4_Word16_t raw;
} L4_Time_t;

// The system clock in microseconds since boot ("SystemClock").
typedef struct {
  L4_Word64_t raw;
} L4_Clock_t;

L4_INLINE L4_Time_t L4_TimeOfRaw(L4_Word_t raw) {
  L4_Time_t t;
  t.raw = (L4_Word16_t)raw;
  return t;
}

// An infinite timeout, and the zero one (no waiting at all).
#define L4_Never (L4_TimeOfRaw(0))
#define L4_ZeroTime (L4_TimeOfRaw(0x0400))

// The relative timeout nearest to, and never shorter than, `microseconds`; beyond 1023 * 2^31 us it
// is L4_Never.
L4_INLINE L4_Time_t L4_TimePeriod(L4_Word64_t microseconds) {
  L4_Word_t e = 0;
  L4_Word64_t m = microseconds;
  if (microseconds == 0) return L4_ZeroTime;
  while (m > 1023 && e < 32) {
    e++;
    m = (microseconds >> e) + ((microseconds & ((((L4_Word64_t)1) << e) - 1)) != 0);
  }
  if (e > 31) return L4_Never;
  return L4_TimeOfRaw((e << 10) | (L4_Word_t)m);
}

// The word of two timeouts that Ipc takes: send in bits 16..31, receive in bits 0..15.
L4_INLINE L4_Word_t L4_Timeouts(L4_Time_t send, L4_Time_t receive) {
  return ((L4_Word_t)send.raw << 16) | receive.raw;
}

// ---- Fpages ("Fpage") ----

typedef struct {
  L4_Word_t raw;
} L4_Fpage_t;

#define L4_NoAccess 0u
#define L4_eXecutable 1u
#define L4_Writable 2u
#define L4_Readable 4u
#define L4_FullyAccessible 7u
#define L4_ReadWriteOnly 6u
#define L4_ReadeXecOnly 5u

L4_INLINE L4_Fpage_t L4_FpageOfRaw(L4_Word_t raw) {
  L4_Fpage_t f;
  f.raw = raw;
  return f;
}

#define L4_Nilpage (L4_FpageOfRaw(0))
// The whole address space of whoever it is applied to: base 0, s = 1, no rights.
#define L4_CompleteAddressSpace (L4_FpageOfRaw(0x10))

// An fpage without rights; `base` is aligned down to the size. Sizes below 1024 bytes cannot be
// expressed.
L4_INLINE L4_Fpage_t L4_FpageLog2(L4_Word_t base, L4_Word_t log2_size) {
  const L4_Word_t aligned = log2_size >= L4_WORD_BITS ? 0 : (base >> log2_size) << log2_size;
  return L4_FpageOfRaw((aligned & ~(L4_Word_t)1023) | (log2_size << 4));
}
// The same with the size in bytes, rounded up to a power of two.
L4_INLINE L4_Fpage_t L4_Fpage(L4_Word_t base, L4_Word_t size) {
  L4_Word_t log2 = 0;
  while (log2 < L4_WORD_BITS - 1 && ((L4_Word_t)1 << log2) < size) log2++;
  return L4_FpageLog2(base, log2);
}

L4_INLINE L4_Bool_t L4_IsNilFpage(L4_Fpage_t f) { return f.raw == 0; }
L4_INLINE L4_Word_t L4_Rights(L4_Fpage_t f) { return f.raw & 7; }
L4_INLINE L4_Word_t L4_Address(L4_Fpage_t f) { return f.raw & ~(L4_Word_t)1023; }
// Log2 of the size as encoded: 1 stands for the complete address space, 0 for nilpage.
L4_INLINE L4_Word_t L4_SizeLog2(L4_Fpage_t f) { return (f.raw >> 4) & 63; }
// Size in bytes; 0 for nilpage and for the complete address space (it does not fit a word).
L4_INLINE L4_Word_t L4_Size(L4_Fpage_t f) {
  const L4_Word_t s = L4_SizeLog2(f);
  return s < 10 || s >= L4_WORD_BITS ? 0 : (L4_Word_t)1 << s;
}
L4_INLINE void L4_Set_Rights(L4_Fpage_t* f, L4_Word_t rights) {
  f->raw = (f->raw & ~(L4_Word_t)7) | (rights & 7);
}
L4_INLINE L4_Fpage_t L4_FpageAddRights(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageOfRaw(f.raw | (rights & 7));
}
L4_INLINE L4_Fpage_t L4_FpageRemoveRights(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageOfRaw(f.raw & ~(rights & 7));
}
L4_INLINE void L4_FpageAddRightsTo(L4_Fpage_t* f, L4_Word_t rights) { f->raw |= rights & 7; }
L4_INLINE void L4_FpageRemoveRightsFrom(L4_Fpage_t* f, L4_Word_t rights) {
  f->raw &= ~(rights & 7);
}

// ---- Message tag ("Message Tag") ----

typedef struct {
  L4_Word_t raw;
} L4_MsgTag_t;

L4_INLINE L4_MsgTag_t L4_MsgTagOfRaw(L4_Word_t raw) {
  L4_MsgTag_t t;
  t.raw = raw;
  return t;
}
// The tag of an empty message.
#define L4_Niltag (L4_MsgTagOfRaw(0))

// Flags in bits 12..15: p propagated, r redirected, X cross processor, E error. A sender may set p
// only.
#define L4_TAG_PROPAGATED ((L4_Word_t)1 << 12)
#define L4_TAG_REDIRECTED ((L4_Word_t)1 << 13)
#define L4_TAG_CROSS_CPU ((L4_Word_t)1 << 14)
#define L4_TAG_ERROR ((L4_Word_t)1 << 15)

L4_INLINE L4_Word_t L4_Label(L4_MsgTag_t t) { return t.raw >> 16; }
L4_INLINE L4_Word_t L4_UntypedWords(L4_MsgTag_t t) { return t.raw & 63; }
L4_INLINE L4_Word_t L4_TypedWords(L4_MsgTag_t t) { return (t.raw >> 6) & 63; }
L4_INLINE void L4_Set_Label(L4_MsgTag_t* t, L4_Word_t label) {
  t->raw = (t->raw & 0xffff) | (label << 16);
}
// Builds a tag from its fields, flags zero. (Not a name of the manual; saves three statements where
// a reply is built.)
L4_INLINE L4_MsgTag_t L4_MakeMsgTag(L4_Word_t label, L4_Word_t untyped, L4_Word_t typed) {
  return L4_MsgTagOfRaw((label << 16) | ((typed & 63) << 6) | (untyped & 63));
}

#ifdef __cplusplus
constexpr bool operator==(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw != r.raw; }
constexpr bool operator==(L4_Fpage_t l, L4_Fpage_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_Fpage_t l, L4_Fpage_t r) { return l.raw != r.raw; }
#endif

#endif  // FAKE_L4_INCLUDE_L4_TYPES_H_
