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
#define L4_CONSTANT_INLINE constexpr
#else
#define L4_INLINE static inline
#define L4_CONSTANT_INLINE static inline
#endif

// L4_CONSTANT_INLINE: what computes with values only, so that C++ can do it at compile time.
// A one-word value known at compile time: L4_nilthread may initialise a static variable, in C too.
#ifdef __cplusplus
#define L4_CONSTANT(type, of_raw, value) (of_raw(value))
#else
#define L4_CONSTANT(type, of_raw, value) ((type){value})
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

L4_CONSTANT_INLINE L4_ThreadId_t L4_ThreadIdOfRaw(L4_Word_t raw) {
  L4_ThreadId_t t = {0};
  t.raw = raw;
  return t;
}

#define L4_nilthread L4_CONSTANT(L4_ThreadId_t, L4_ThreadIdOfRaw, 0)
#define L4_anythread L4_CONSTANT(L4_ThreadId_t, L4_ThreadIdOfRaw, ~(L4_Word_t)0)
#define L4_anylocalthread L4_CONSTANT(L4_ThreadId_t, L4_ThreadIdOfRaw, ~(L4_Word_t)0 << 6)

// The global id made of a thread number and a version. A valid version is non-zero in its low 6
// bits.
L4_CONSTANT_INLINE L4_ThreadId_t L4_GlobalId(L4_Word_t threadno, L4_Word_t version) {
  const L4_Word_t mask = ((L4_Word_t)1 << L4_THREAD_VERSION_BITS) - 1;
  return L4_ThreadIdOfRaw((threadno << L4_THREAD_VERSION_BITS) | (version & mask));
}
// Version and number of a global id.
L4_CONSTANT_INLINE L4_Word_t L4_Version(L4_ThreadId_t t) {
  return t.raw & (((L4_Word_t)1 << L4_THREAD_VERSION_BITS) - 1);
}
L4_CONSTANT_INLINE L4_Word_t L4_ThreadNo(L4_ThreadId_t t) {
  return t.raw >> L4_THREAD_VERSION_BITS;
}

L4_CONSTANT_INLINE L4_Bool_t L4_IsThreadEqual(L4_ThreadId_t l, L4_ThreadId_t r) {
  return l.raw == r.raw;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsThreadNotEqual(L4_ThreadId_t l, L4_ThreadId_t r) {
  return l.raw != r.raw;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsNilThread(L4_ThreadId_t t) { return t.raw == 0; }
// A local id has its low six bits clear, a global id has not. Nilthread and anylocalthread count as
// local.
L4_CONSTANT_INLINE L4_Bool_t L4_IsLocalId(L4_ThreadId_t t) { return (t.raw & 63) == 0; }
L4_CONSTANT_INLINE L4_Bool_t L4_IsGlobalId(L4_ThreadId_t t) { return (t.raw & 63) != 0; }

// ---- Time ("Time") ----

typedef struct {
  L4_Word16_t raw;
} L4_Time_t;

// The system clock in microseconds since boot ("SystemClock").
typedef struct {
  L4_Word64_t raw;
} L4_Clock_t;

L4_CONSTANT_INLINE L4_Time_t L4_TimeOfRaw(L4_Word_t raw) {
  L4_Time_t t = {0};
  t.raw = (L4_Word16_t)raw;
  return t;
}

// An infinite timeout, and the zero one (no waiting at all).
#define L4_Never L4_CONSTANT(L4_Time_t, L4_TimeOfRaw, 0)
#define L4_ZeroTime L4_CONSTANT(L4_Time_t, L4_TimeOfRaw, 0x0400)

// The relative timeout nearest to, and never shorter than, `microseconds`; beyond 1023 * 2^31 us it
// is L4_Never.
L4_CONSTANT_INLINE L4_Time_t L4_TimePeriod(L4_Word64_t microseconds) {
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

// Microseconds of a period; all ones for L4_Never. (Not a name of the manual.)
L4_CONSTANT_INLINE L4_Word64_t L4_TimePeriodMicroseconds(L4_Time_t t) {
  if (t.raw == 0) return ~(L4_Word64_t)0;
  return (L4_Word64_t)(t.raw & 1023u) << ((t.raw >> 10) & 31);
}
// True for a point in time, false for a period. (Not a name of the manual.)
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimePoint(L4_Time_t t) { return t.raw >> 15; }
// A point `steps` of its own precision later. It keeps the precision, so the bits wrap.
L4_CONSTANT_INLINE L4_Time_t L4_TimePointMoved(L4_Time_t t, L4_Word64_t steps) {
  return L4_TimeOfRaw((t.raw & ~(L4_Word_t)2047) | (L4_Word_t)((t.raw + steps) & 2047));
}

// A time and microseconds. L4_Never stays; a period does not become negative (L4_ZeroTime).
L4_CONSTANT_INLINE L4_Time_t L4_TimeAddUsec64(L4_Time_t l, L4_Word64_t r) {
  const L4_Word64_t length = L4_TimePeriodMicroseconds(l);
  if (L4_IsTimePoint(l)) return L4_TimePointMoved(l, r >> ((l.raw >> 11) & 15));
  return length + r < length || l.raw == 0 ? L4_Never : L4_TimePeriod(length + r);
}
L4_CONSTANT_INLINE L4_Time_t L4_TimeSubUsec64(L4_Time_t l, L4_Word64_t r) {
  const L4_Word64_t length = L4_TimePeriodMicroseconds(l);
  if (L4_IsTimePoint(l)) return L4_TimePointMoved(l, 0 - (r >> ((l.raw >> 11) & 15)));
  if (l.raw == 0) return l;
  return length <= r ? L4_ZeroTime : L4_TimePeriod(length - r);
}
L4_CONSTANT_INLINE L4_Time_t L4_TimeAddUsec(L4_Time_t l, L4_Word_t r) {
  return L4_TimeAddUsec64(l, r);
}
L4_CONSTANT_INLINE L4_Time_t L4_TimeSubUsec(L4_Time_t l, L4_Word_t r) {
  return L4_TimeSubUsec64(l, r);
}
L4_CONSTANT_INLINE L4_Time_t* L4_TimeAddUsecTo(L4_Time_t* l, L4_Word_t r) {
  *l = L4_TimeAddUsec(*l, r);
  return l;
}
L4_CONSTANT_INLINE L4_Time_t* L4_TimeSubUsecFrom(L4_Time_t* l, L4_Word_t r) {
  *l = L4_TimeSubUsec(*l, r);
  return l;
}
// Two times: period and period, or point and period. A sum with L4_Never is L4_Never. The sum or
// difference of two points has no meaning and is `l`.
L4_CONSTANT_INLINE L4_Time_t L4_TimeAdd(L4_Time_t l, L4_Time_t r) {
  if (L4_IsTimePoint(r)) return L4_IsTimePoint(l) || l.raw == 0 ? l : L4_TimeAdd(r, l);
  return r.raw == 0 ? L4_Never : L4_TimeAddUsec64(l, L4_TimePeriodMicroseconds(r));
}
L4_CONSTANT_INLINE L4_Time_t L4_TimeSub(L4_Time_t l, L4_Time_t r) {
  return L4_IsTimePoint(r) ? l : L4_TimeSubUsec64(l, L4_TimePeriodMicroseconds(r));
}
L4_CONSTANT_INLINE L4_Time_t* L4_TimeAddTo(L4_Time_t* l, L4_Time_t r) {
  *l = L4_TimeAdd(*l, r);
  return l;
}
L4_CONSTANT_INLINE L4_Time_t* L4_TimeSubFrom(L4_Time_t* l, L4_Time_t r) {
  *l = L4_TimeSub(*l, r);
  return l;
}

// Periods compare by length, however encoded; L4_Never is the longest. Points of one precision
// compare as numbers within their cycle of 2048 steps; a point and a period do not compare.
L4_CONSTANT_INLINE L4_Word64_t L4_TimeOrder(L4_Time_t t) {
  return L4_IsTimePoint(t) ? (L4_Word64_t)(t.raw & 2047u) << ((t.raw >> 11) & 15)
                           : L4_TimePeriodMicroseconds(t);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeEqual(L4_Time_t l, L4_Time_t r) {
  return L4_IsTimePoint(l) == L4_IsTimePoint(r) && L4_TimeOrder(l) == L4_TimeOrder(r);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeNotEqual(L4_Time_t l, L4_Time_t r) {
  return !L4_IsTimeEqual(l, r);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeLonger(L4_Time_t l, L4_Time_t r) {
  return L4_TimeOrder(l) > L4_TimeOrder(r);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeLongerOrEqual(L4_Time_t l, L4_Time_t r) {
  return L4_TimeOrder(l) >= L4_TimeOrder(r);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeShorter(L4_Time_t l, L4_Time_t r) {
  return L4_IsTimeLonger(r, l);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsTimeShorterOrEqual(L4_Time_t l, L4_Time_t r) {
  return L4_IsTimeLongerOrEqual(r, l);
}

// Clocks, in microseconds.
L4_CONSTANT_INLINE L4_Clock_t L4_ClockAddUsec(L4_Clock_t l, L4_Word64_t r) {
  l.raw += r;
  return l;
}
L4_CONSTANT_INLINE L4_Clock_t L4_ClockSubUsec(L4_Clock_t l, L4_Word64_t r) {
  l.raw -= r;
  return l;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsClockEarlier(L4_Clock_t l, L4_Clock_t r) { return l.raw < r.raw; }
L4_CONSTANT_INLINE L4_Bool_t L4_IsClockLater(L4_Clock_t l, L4_Clock_t r) { return l.raw > r.raw; }
L4_CONSTANT_INLINE L4_Bool_t L4_IsClockEqual(L4_Clock_t l, L4_Clock_t r) { return l.raw == r.raw; }
L4_CONSTANT_INLINE L4_Bool_t L4_IsClockNotEqual(L4_Clock_t l, L4_Clock_t r) {
  return l.raw != r.raw;
}

// The word of two timeouts that Ipc takes: send in bits 16..31, receive in bits 0..15.
L4_CONSTANT_INLINE L4_Word_t L4_Timeouts(L4_Time_t send, L4_Time_t receive) {
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

L4_CONSTANT_INLINE L4_Fpage_t L4_FpageOfRaw(L4_Word_t raw) {
  L4_Fpage_t f = {0};
  f.raw = raw;
  return f;
}

#define L4_Nilpage L4_CONSTANT(L4_Fpage_t, L4_FpageOfRaw, 0)
// The whole address space of whoever it is applied to: base 0, s = 1, no rights.
#define L4_CompleteAddressSpace L4_CONSTANT(L4_Fpage_t, L4_FpageOfRaw, 0x10)

// An fpage without rights; `base` is aligned down to the size. Sizes below 1024 bytes cannot be
// expressed.
L4_CONSTANT_INLINE L4_Fpage_t L4_FpageLog2(L4_Word_t base, L4_Word_t log2_size) {
  const L4_Word_t aligned = log2_size >= L4_WORD_BITS ? 0 : (base >> log2_size) << log2_size;
  return L4_FpageOfRaw((aligned & ~(L4_Word_t)1023) | (log2_size << 4));
}
// The same with the size in bytes, rounded up to a power of two.
L4_CONSTANT_INLINE L4_Fpage_t L4_Fpage(L4_Word_t base, L4_Word_t size) {
  L4_Word_t log2 = 0;
  while (log2 < L4_WORD_BITS - 1 && ((L4_Word_t)1 << log2) < size) log2++;
  return L4_FpageLog2(base, log2);
}

L4_CONSTANT_INLINE L4_Bool_t L4_IsNilFpage(L4_Fpage_t f) { return f.raw == 0; }
L4_CONSTANT_INLINE L4_Word_t L4_Rights(L4_Fpage_t f) { return f.raw & 7; }
L4_CONSTANT_INLINE L4_Word_t L4_Address(L4_Fpage_t f) { return f.raw & ~(L4_Word_t)1023; }
// Log2 of the size as encoded: 1 stands for the complete address space, 0 for nilpage.
L4_CONSTANT_INLINE L4_Word_t L4_SizeLog2(L4_Fpage_t f) { return (f.raw >> 4) & 63; }
// Size in bytes; 0 for nilpage and for the complete address space (it does not fit a word).
L4_CONSTANT_INLINE L4_Word_t L4_Size(L4_Fpage_t f) {
  const L4_Word_t s = L4_SizeLog2(f);
  return s < 10 || s >= L4_WORD_BITS ? 0 : (L4_Word_t)1 << s;
}
L4_CONSTANT_INLINE void L4_Set_Rights(L4_Fpage_t* f, L4_Word_t rights) {
  f->raw = (f->raw & ~(L4_Word_t)7) | (rights & 7);
}
L4_CONSTANT_INLINE L4_Fpage_t L4_FpageAddRights(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageOfRaw(f.raw | (rights & 7));
}
L4_CONSTANT_INLINE L4_Fpage_t L4_FpageRemoveRights(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageOfRaw(f.raw & ~(rights & 7));
}
L4_CONSTANT_INLINE L4_Fpage_t* L4_FpageAddRightsTo(L4_Fpage_t* f, L4_Word_t rights) {
  f->raw |= rights & 7;
  return f;
}
L4_CONSTANT_INLINE L4_Fpage_t* L4_FpageRemoveRightsFrom(L4_Fpage_t* f, L4_Word_t rights) {
  f->raw &= ~(rights & 7);
  return f;
}
// What an fpage returned by Unmap or Flush says about the accesses to it.
L4_CONSTANT_INLINE L4_Bool_t L4_WasReferenced(L4_Fpage_t f) { return (f.raw & L4_Readable) != 0; }
L4_CONSTANT_INLINE L4_Bool_t L4_WasWritten(L4_Fpage_t f) { return (f.raw & L4_Writable) != 0; }
L4_CONSTANT_INLINE L4_Bool_t L4_WaseXecuted(L4_Fpage_t f) { return (f.raw & L4_eXecutable) != 0; }

// I/O fpages (IA-32 and AMD64): ports [base, base + size), size a power of two; rwx as usual.
// Layout: s = 2 in bits 4..9, log2 of the size in 10..15, first port in 16..31.
L4_CONSTANT_INLINE L4_Fpage_t L4_IoFpageLog2(L4_Word_t base_port, L4_Word_t log2_size) {
  return L4_FpageOfRaw(((base_port & 0xffff) << 16) | ((log2_size & 63) << 10) | (2u << 4));
}
L4_CONSTANT_INLINE L4_Fpage_t L4_IoFpage(L4_Word_t base_port, L4_Word_t size) {
  L4_Word_t log2 = 0;
  while (log2 < 16 && ((L4_Word_t)1 << log2) < size) log2++;
  return L4_IoFpageLog2(base_port, log2);
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsIoFpage(L4_Fpage_t f) { return ((f.raw >> 4) & 63) == 2; }
L4_CONSTANT_INLINE L4_Word_t L4_IoFpagePort(L4_Fpage_t f) { return (f.raw >> 16) & 0xffff; }
L4_CONSTANT_INLINE L4_Word_t L4_IoFpageSizeLog2(L4_Fpage_t f) { return (f.raw >> 10) & 63; }
L4_CONSTANT_INLINE L4_Word_t L4_IoFpageSize(L4_Fpage_t f) {
  return (L4_Word_t)1 << (L4_IoFpageSizeLog2(f) & 31);
}

// ---- Message tag ("Message Tag") ----

typedef struct {
  L4_Word_t raw;
} L4_MsgTag_t;

L4_CONSTANT_INLINE L4_MsgTag_t L4_MsgTagOfRaw(L4_Word_t raw) {
  L4_MsgTag_t t = {0};
  t.raw = raw;
  return t;
}
// The tag of an empty message.
#define L4_Niltag L4_CONSTANT(L4_MsgTag_t, L4_MsgTagOfRaw, 0)

// Flags in bits 12..15: p propagated, r redirected, X cross processor, E error. A sender may set p
// only.
#define L4_TAG_PROPAGATED ((L4_Word_t)1 << 12)
#define L4_TAG_REDIRECTED ((L4_Word_t)1 << 13)
#define L4_TAG_CROSS_CPU ((L4_Word_t)1 << 14)
#define L4_TAG_ERROR ((L4_Word_t)1 << 15)

L4_CONSTANT_INLINE L4_Bool_t L4_IsMsgTagEqual(L4_MsgTag_t l, L4_MsgTag_t r) {
  return l.raw == r.raw;
}
L4_CONSTANT_INLINE L4_Bool_t L4_IsMsgTagNotEqual(L4_MsgTag_t l, L4_MsgTag_t r) {
  return l.raw != r.raw;
}
L4_CONSTANT_INLINE L4_Word_t L4_Label(L4_MsgTag_t t) { return t.raw >> 16; }
L4_CONSTANT_INLINE L4_Word_t L4_UntypedWords(L4_MsgTag_t t) { return t.raw & 63; }
L4_CONSTANT_INLINE L4_Word_t L4_TypedWords(L4_MsgTag_t t) { return (t.raw >> 6) & 63; }
L4_CONSTANT_INLINE void L4_Set_Label(L4_MsgTag_t* t, L4_Word_t label) {
  t->raw = (t->raw & 0xffff) | (label << 16);
}
// The tag with its label increased by `label`.
L4_CONSTANT_INLINE L4_MsgTag_t L4_MsgTagAddLabel(L4_MsgTag_t t, L4_Word_t label) {
  return L4_MsgTagOfRaw(t.raw + (label << 16));
}
L4_CONSTANT_INLINE L4_MsgTag_t* L4_MsgTagAddLabelTo(L4_MsgTag_t* t, L4_Word_t label) {
  t->raw += label << 16;
  return t;
}
// Builds a tag from its fields, flags zero. (Not a name of the manual; saves three statements where
// a reply is built.)
L4_CONSTANT_INLINE L4_MsgTag_t L4_MakeMsgTag(L4_Word_t label, L4_Word_t untyped, L4_Word_t typed) {
  return L4_MsgTagOfRaw((label << 16) | ((typed & 63) << 6) | (untyped & 63));
}

#ifdef __cplusplus
// The manual's operators.
constexpr bool operator==(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_ThreadId_t l, L4_ThreadId_t r) { return l.raw != r.raw; }
constexpr bool operator==(L4_Fpage_t l, L4_Fpage_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_Fpage_t l, L4_Fpage_t r) { return l.raw != r.raw; }
constexpr L4_Fpage_t operator+(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageAddRights(f, rights);
}
constexpr L4_Fpage_t operator-(L4_Fpage_t f, L4_Word_t rights) {
  return L4_FpageRemoveRights(f, rights);
}
constexpr L4_Fpage_t& operator+=(L4_Fpage_t& f, L4_Word_t rights) {
  return *L4_FpageAddRightsTo(&f, rights);
}
constexpr L4_Fpage_t& operator-=(L4_Fpage_t& f, L4_Word_t rights) {
  return *L4_FpageRemoveRightsFrom(&f, rights);
}
constexpr void L4_Set_Rights(L4_Fpage_t& f, L4_Word_t rights) { L4_Set_Rights(&f, rights); }

constexpr bool operator==(L4_MsgTag_t l, L4_MsgTag_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_MsgTag_t l, L4_MsgTag_t r) { return l.raw != r.raw; }
constexpr L4_MsgTag_t operator+(L4_MsgTag_t t, L4_Word_t label) {
  return L4_MsgTagAddLabel(t, label);
}
constexpr L4_MsgTag_t& operator+=(L4_MsgTag_t& t, L4_Word_t label) {
  return *L4_MsgTagAddLabelTo(&t, label);
}

constexpr bool operator==(L4_Time_t l, L4_Time_t r) { return L4_IsTimeEqual(l, r); }
constexpr bool operator!=(L4_Time_t l, L4_Time_t r) { return L4_IsTimeNotEqual(l, r); }
constexpr bool operator<(L4_Time_t l, L4_Time_t r) { return L4_IsTimeShorter(l, r); }
constexpr bool operator<=(L4_Time_t l, L4_Time_t r) { return L4_IsTimeShorterOrEqual(l, r); }
constexpr bool operator>(L4_Time_t l, L4_Time_t r) { return L4_IsTimeLonger(l, r); }
constexpr bool operator>=(L4_Time_t l, L4_Time_t r) { return L4_IsTimeLongerOrEqual(l, r); }
constexpr L4_Time_t operator+(L4_Time_t l, L4_Word_t usec) { return L4_TimeAddUsec(l, usec); }
constexpr L4_Time_t operator-(L4_Time_t l, L4_Word_t usec) { return L4_TimeSubUsec(l, usec); }
constexpr L4_Time_t operator+(L4_Time_t l, L4_Time_t r) { return L4_TimeAdd(l, r); }
constexpr L4_Time_t operator-(L4_Time_t l, L4_Time_t r) { return L4_TimeSub(l, r); }
constexpr L4_Time_t& operator+=(L4_Time_t& l, L4_Word_t usec) {
  return *L4_TimeAddUsecTo(&l, usec);
}
constexpr L4_Time_t& operator-=(L4_Time_t& l, L4_Word_t usec) {
  return *L4_TimeSubUsecFrom(&l, usec);
}
constexpr L4_Time_t& operator+=(L4_Time_t& l, L4_Time_t r) { return *L4_TimeAddTo(&l, r); }
constexpr L4_Time_t& operator-=(L4_Time_t& l, L4_Time_t r) { return *L4_TimeSubFrom(&l, r); }

constexpr bool operator==(L4_Clock_t l, L4_Clock_t r) { return l.raw == r.raw; }
constexpr bool operator!=(L4_Clock_t l, L4_Clock_t r) { return l.raw != r.raw; }
constexpr bool operator<(L4_Clock_t l, L4_Clock_t r) { return l.raw < r.raw; }
constexpr bool operator<=(L4_Clock_t l, L4_Clock_t r) { return l.raw <= r.raw; }
constexpr bool operator>(L4_Clock_t l, L4_Clock_t r) { return l.raw > r.raw; }
constexpr bool operator>=(L4_Clock_t l, L4_Clock_t r) { return l.raw >= r.raw; }
constexpr L4_Clock_t operator+(L4_Clock_t l, L4_Word64_t usec) { return L4_ClockAddUsec(l, usec); }
constexpr L4_Clock_t operator-(L4_Clock_t l, L4_Word64_t usec) { return L4_ClockSubUsec(l, usec); }
#endif

#endif  // FAKE_L4_INCLUDE_L4_TYPES_H_
