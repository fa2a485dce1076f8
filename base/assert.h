/*
 * Assertions about our own code, never about input.
 *
 * WC_ASSERT stays in release builds; WC_DASSERT is for hot loops and vanishes outside debug builds.
 */
#ifndef WC_BASE_ASSERT_H
#define WC_BASE_ASSERT_H

_Noreturn void wc_assert_failed(const char *expr, const char *file, int line);

#define WC_ASSERT(expr) ((expr) ? (void)0 : wc_assert_failed(#expr, __FILE__, __LINE__))

#ifdef WC_DEBUG
#define WC_DASSERT(expr) WC_ASSERT(expr)
#else
#define WC_DASSERT(expr) ((void)sizeof(expr))
#endif

#endif
