#include "fanout/guard.h"

#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SETS = 4096, /* powers of two */
    WAYS = 8,
    STRIPES = 64,
    V6_COUNTED = 8, /* bytes of an IPv6 address that count */
    SECOND_US = 1000000,
    MINUTE_US = 60 * SECOND_US,
};

/* A rate is kept as the time when its bucket will be empty (generic cell rate algorithm). */
struct entry {
    struct wc_address address;
    uint32_t connections;
    bool is_used;
    wc_us connects, refusals;
};

struct wc_guard {
    struct wc_guard_options opt;
    pthread_mutex_t lock[STRIPES];
    struct entry entry[SETS][WAYS];
};

struct wc_guard *wc_guard_new(const struct wc_guard_options *opt)
{
    struct wc_guard *g = calloc(1, sizeof *g); /* pages nobody uses stay untouched */
    if (!g)
        return NULL;
    g->opt = *opt;
    for (unsigned i = 0; i < STRIPES; i++)
        (void)pthread_mutex_init(&g->lock[i], NULL); /* cannot fail with default attributes */
    return g;
}

void wc_guard_free(struct wc_guard *g)
{
    if (!g)
        return;
    for (unsigned i = 0; i < STRIPES; i++)
        (void)pthread_mutex_destroy(&g->lock[i]); /* nobody holds it */
    free(g);
}

/* ---- the table ---- */

static struct wc_address counted(const struct wc_address *a)
{
    struct wc_address out = *a;
    if (!wc_address_is_v4(a))
        memset(out.ip + V6_COUNTED, 0, sizeof out.ip - V6_COUNTED);
    return out;
}

static wc_us latest(const struct entry *e)
{
    return e->connects > e->refusals ? e->connects : e->refusals;
}

/* The address's entry, or one made for it in place of who matters least; NULL: all of the set have
 * connections. */
static struct entry *find(struct entry set[WAYS], const struct wc_address *a)
{
    struct entry *least = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (e->is_used && memcmp(&e->address, a, sizeof *a) == 0)
            return e;
        if (!e->connections && (!least || latest(e) < latest(least)))
            least = e;
    }
    if (least)
        *least = (struct entry){.address = *a, .is_used = true};
    return least;
}

/* ---- rates ---- */

/* One more into the bucket; `worth` is what it holds, for `n` of them. */
static void pour(wc_us *empty_at, wc_us now, wc_us worth, uint32_t n)
{
    *empty_at = (*empty_at > now ? *empty_at : now) + worth / n;
}

static bool is_full(wc_us empty_at, wc_us now, wc_us worth, uint32_t n)
{
    return n && empty_at - now > worth - worth / n;
}

static const char *judge(const struct wc_guard_options *o, struct entry *e, wc_us now)
{
    if (is_full(e->refusals, now, MINUTE_US, o->refusals_per_minute))
        return "Too many refused connection attempts from this address";
    if (o->max_connections && e->connections >= o->max_connections)
        return "Too many connections from this address";
    if (is_full(e->connects, now, SECOND_US, o->connects_per_second))
        return "Too many connection attempts from this address";
    if (o->connects_per_second)
        pour(&e->connects, now, SECOND_US, o->connects_per_second);
    return NULL;
}

/* ---- what happens to an address ---- */

enum event { ATTEMPT, REFUSED, ENTER, LEAVE };

/* NULL: fine. */
static const char *apply(struct wc_guard *g, enum event event, struct entry *e, wc_us now)
{
    switch (event) {
    case ATTEMPT: return judge(&g->opt, e, now);
    case REFUSED:
        if (g->opt.refusals_per_minute)
            pour(&e->refusals, now, MINUTE_US, g->opt.refusals_per_minute);
        return NULL;
    case ENTER:
        if (g->opt.max_connections && e->connections >= g->opt.max_connections)
            return "full";
        e->connections++;
        return NULL;
    case LEAVE:
        if (e->connections) /* not of one that was not watched when it came */
            e->connections--;
        return NULL;
    }
    return NULL;
}

static const char *tell(struct wc_guard *g, enum event event, const struct wc_address *address,
                        wc_us now)
{
    const struct wc_address a = counted(address);
    uint64_t set = wc_hash(wc_slice(a.ip, sizeof a.ip)) % SETS;
    pthread_mutex_t *lock = &g->lock[set % STRIPES];
    (void)pthread_mutex_lock(lock); /* cannot fail: a plain mutex */
    struct entry *e = find(g->entry[set], &a);
    const char *objection = e ? apply(g, event, e, now) : NULL;
    (void)pthread_mutex_unlock(lock);
    return objection;
}

const char *wc_guard_attempt(struct wc_guard *g, const struct wc_address *a, wc_us now)
{
    return tell(g, ATTEMPT, a, now);
}

void wc_guard_refused(struct wc_guard *g, const struct wc_address *a, wc_us now)
{
    (void)tell(g, REFUSED, a, now); /* never objects */
}

bool wc_guard_enter(struct wc_guard *g, const struct wc_address *a, wc_us now)
{
    return tell(g, ENTER, a, now) == NULL;
}

void wc_guard_leave(struct wc_guard *g, const struct wc_address *a)
{
    (void)tell(g, LEAVE, a, 0); /* never objects */
}
