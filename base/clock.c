#include "base/clock.h"

#include <time.h>

static wc_us read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for the two clocks used here */
    return (wc_us)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

wc_us wc_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

wc_us wc_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}
