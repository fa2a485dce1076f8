/*
 * Time. Deadlines are absolute on the monotonic clock, durations relative; both in microseconds
 * unless a name says _ms. Wall time is for what people and tokens see, never for timeouts.
 * Threads: any.
 */
#ifndef WC_BASE_CLOCK_H
#define WC_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t wc_us; /* microseconds */

wc_us wc_clock_mono(void); /* since an arbitrary point; CLOCK_MONOTONIC */
wc_us wc_clock_wall(void); /* since 1970-01-01 UTC; CLOCK_REALTIME */

#endif
