// base/page_bytes.h: zeroing and copying the bytes of whole pages.
//
// WHAT     Two ways with one result. kCached leaves the page in the processor's cache, which pays
//          where few pages are in use. kStreamed writes past the cache: the old contents of the
//          frame are never fetched, which halves the time where more pages are in use than any
//          cache holds. Without such stores both are the same.
// INVARIANTS  A streamed page is complete for the processor that wrote it at once, and for others
//          from its next locked instruction or system call on. Every way of handing a page on to
//          another processor begins with one: it takes a lock, or a kernel carries a message.
// SEE      Intel's Software Developer's Manual, volume 1, 10.4.6.2.

#ifndef BASE_PAGE_BYTES_H_
#define BASE_PAGE_BYTES_H_

#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/addr.h"
#include "base/prot.h"

namespace base {

enum class PageStores : uint8_t { kCached, kStreamed };

// More pages than a core's own cache has room for: 4 MiB of them.
inline constexpr uint64_t kMorePagesThanCached = 1024;

// Both ends are aligned to 16 bytes and do not overlap, as pages do.
inline void ZeroPageBytes(unsigned char* page, PageStores how) {
#if defined(__SSE2__)
  if (how == PageStores::kStreamed) {
    auto* to = reinterpret_cast<__m128i*>(page);
    for (uint64_t i = 0; i < kPageSize / sizeof(__m128i); ++i)
      _mm_stream_si128(to + i, _mm_setzero_si128());
    return;
  }
#endif
  (void)how;
  __builtin_memset(page, 0, kPageSize);
}

inline void CopyPageBytes(const unsigned char* from, unsigned char* to, PageStores how) {
#if defined(__SSE2__)
  if (how == PageStores::kStreamed) {
    const auto* source = reinterpret_cast<const __m128i*>(from);
    auto* target = reinterpret_cast<__m128i*>(to);
    for (uint64_t i = 0; i < kPageSize / sizeof(__m128i); i += 4) {
      const __m128i a = _mm_load_si128(source + i), b = _mm_load_si128(source + i + 1),
                    c = _mm_load_si128(source + i + 2), d = _mm_load_si128(source + i + 3);
      _mm_stream_si128(target + i, a);
      _mm_stream_si128(target + i + 1, b);
      _mm_stream_si128(target + i + 2, c);
      _mm_stream_si128(target + i + 3, d);
    }
    return;
  }
#endif
  (void)how;
  __builtin_memcpy(to, from, kPageSize);
}

// Has the beginning of a page brought in that is read, or filled by stores of that kind, before
// long.
inline void ExpectPageBytes(const unsigned char* page, Access access, PageStores how) {
  constexpr int kLines = 8, kLineBytes = 64;
  if (access == Access::kWrite && how == PageStores::kStreamed) return;
  for (int i = 0; i < kLines; ++i) {
    if (access == Access::kWrite) {
      __builtin_prefetch(page + i * kLineBytes, /*rw=*/1);
    } else {
      __builtin_prefetch(page + i * kLineBytes);
    }
  }
}

}  // namespace base

#endif  // BASE_PAGE_BYTES_H_
