/*
 * Allocation torture: makes the n-th allocation of the code under test fail. Link wc_test_alloc,
 * which redirects malloc, calloc and realloc of every object of the test binary (not of shared
 * libraries). Not in builds with link-time optimisation, where the linker does not see every call.
 * Threads: one.
 *
 *     for (long n = 0; wc_test_fail_alloc(n), attempt() == WC_NOMEM; n++) ...
 */
#ifndef WC_TESTS_ALLOC_FAIL_H
#define WC_TESTS_ALLOC_FAIL_H

#include <stdbool.h>

/* The allocation after the next n ones fails, once; negative: none does. */
void wc_test_fail_alloc(long n);

/* True when the failure asked for has happened. */
bool wc_test_alloc_failed(void);

#endif
