#include "bridge/subs/cast.h"

#include "base/assert.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

struct cast {
    struct wc_map_node node; /* key: type, NUL, value */
    struct wc_caster *caster;
    struct wc_list waiters;
    char text[]; /* the key, and a NUL */
};

struct wc_caster {
    wc_cast_fn on_answer;
    void *arg;
    struct wc_map casts; /* in flight */
};

struct wc_caster *wc_caster_new(wc_cast_fn on_answer, void *arg)
{
    struct wc_caster *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->on_answer = on_answer;
    c->arg = arg;
    wc_map_init(&c->casts);
    return c;
}

static void drop(struct cast *x)
{
    wc_map_remove(&x->caster->casts, &x->node);
    free(x);
}

void wc_caster_free(struct wc_caster *c)
{
    if (!c)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&c->casts, NULL))) {
        struct cast *x = WC_CONTAINER(n, struct cast, node);
        while (!wc_list_is_empty(&x->waiters))
            wc_list_remove(x->waiters.next);
        drop(x);
    }
    wc_map_release(&c->casts);
    free(c);
}

size_t wc_caster_in_flight(const struct wc_caster *c)
{
    return c->casts.count;
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct cast *x = arg;
    struct wc_caster *c = x->caster;
    struct wc_list waiters; /* whoever asks the same from now on asks anew */
    wc_list_init(&waiters);
    wc_list_move_all(&x->waiters, &waiters);
    drop(x);
    while (!wc_list_is_empty(&waiters)) {
        struct wc_list *waiter = waiters.next;
        wc_list_remove(waiter);
        c->on_answer(c->arg, waiter, res);
    }
}

static struct cast *make(struct wc_caster *c, struct wc_slice type, struct wc_slice value)
{
    size_t len = type.len + 1 + value.len;
    struct cast *x = malloc(sizeof *x + len + 1);
    if (!x)
        return NULL;
    *x = (struct cast){.caster = c};
    wc_list_init(&x->waiters);
    memcpy(x->text, type.p, type.len);
    x->text[type.len] = '\0';
    if (value.len)
        memcpy(x->text + type.len + 1, value.p, value.len);
    x->text[len] = '\0';
    x->node.key = wc_slice(x->text, len);
    return x;
}

static enum wc_status send_query(struct cast *x, struct wc_pg *pg, size_t type_len)
{
    char sql[512];
    int n = snprintf(sql, sizeof sql, "select $1::%s", x->text);
    WC_ASSERT(n > 0 && (size_t)n < sizeof sql); /* two names of 63 bytes, each quoted */
    const char *const params[] = {x->text + type_len + 1};
    return wc_pg_query(pg, sql, 1, params, on_result, x);
}

enum wc_status wc_cast(struct wc_caster *c, struct wc_pg *pg, struct wc_slice type,
                       struct wc_slice value, struct wc_list *waiter)
{
    struct cast *x = make(c, type, value);
    if (!x)
        return WC_NOMEM;
    struct wc_map_node *n = wc_map_get(&c->casts, x->node.key);
    if (n) {
        free(x);
        wc_list_push(&WC_CONTAINER(n, struct cast, node)->waiters, waiter);
        return WC_OK;
    }
    if (wc_map_insert(&c->casts, &x->node) != WC_OK) {
        free(x);
        return WC_NOMEM;
    }
    enum wc_status st = send_query(x, pg, type.len);
    if (st != WC_OK) {
        drop(x);
        return st;
    }
    wc_list_push(&x->waiters, waiter);
    return WC_OK;
}
