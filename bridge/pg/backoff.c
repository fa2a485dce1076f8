#include "bridge/pg/backoff.h"

#include <sys/random.h>

enum { FIRST_MS = 100, CAP_MS = 10000 };

uint32_t wc_backoff_jitter(uint32_t most_ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return 0; /* without jitter, then */
    return (uint32_t)(random % ((uint64_t)most_ms + 1));
}

uint32_t wc_backoff_next(struct wc_backoff *b, uint32_t least_ms)
{
    b->ms = b->ms ? b->ms * 2 : FIRST_MS;
    if (b->ms > CAP_MS)
        b->ms = CAP_MS;
    if (b->ms < least_ms)
        b->ms = least_ms;
    return b->ms / 2 + wc_backoff_jitter(b->ms / 2);
}
