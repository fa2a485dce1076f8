/* Two socket threads whose clients join, track, untrack and leave rooms that are at home on either,
 * so all the traffic of presence goes through small rings. In the end every member's picture of its
 * room, put together from one state and the diffs after it, is what is tracked; and it was never
 * told of a presence twice, nor of an end without its beginning. */
#include "base/json.h"
#include "base/metrics.h"
#include "tests/unit/fanout/fake_world.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CLIENTS = 6, STEPS = 4000, ROOMS = 8, REF = 16, KNOWN_MAX = 64 };

struct picture {
    char ref[KNOWN_MAX][REF];
    unsigned count;
};

struct client {
    struct wc_session *s;
    unsigned room;
    bool is_joined, is_tracked, has_state;
    struct picture picture;
    unsigned generation; /* of its join: its join_ref */
};

struct side {
    struct wc_fake_world *world;
    unsigned thread;
    struct client client[CLIENTS];
    uint64_t random;
    unsigned faults;
    _Atomic unsigned *done;
    struct wc_arena arena;
};

static unsigned below(struct side *s, unsigned n)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (unsigned)((s->random * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* ---- what a client makes of what it is told ---- */

static unsigned find(const struct picture *p, const char *ref)
{
    unsigned i = 0;
    while (i < p->count && memcmp(p->ref[i], ref, REF) != 0)
        i++;
    return i;
}

/* Returns 1 when the client knew that already. */
static unsigned apply(struct picture *p, const char *ref, bool joins)
{
    unsigned i = find(p, ref);
    if (joins != (i == p->count) || (joins && p->count == KNOWN_MAX))
        return 1;
    if (joins)
        memcpy(p->ref[p->count++], ref, REF);
    else
        memmove(p->ref[i], p->ref[--p->count], REF);
    return 0;
}

static void hear(struct side *s, struct client *c, const struct wc_json *doc, uint32_t keys,
                 bool joins)
{
    for (uint32_t key = wc_json_first(doc, keys); key != WC_JSON_NONE;) {
        uint32_t value = wc_json_next(doc, key);
        uint32_t meta = wc_json_first(doc, wc_json_get(doc, value, "metas"));
        for (; meta != WC_JSON_NONE; meta = wc_json_next(doc, meta)) {
            struct wc_slice ref = wc_json_raw(doc, wc_json_get(doc, meta, "phx_ref"));
            s->faults += ref.len != REF + 2 || apply(&c->picture, (const char *)ref.p + 1, joins);
        }
        key = wc_json_next(doc, value);
    }
}

static void take_message(struct side *s, struct client *c, struct wc_slice text)
{
    struct wc_json doc;
    if (wc_json_parse(&doc, text, &s->arena, (struct wc_json_limits){.depth = 8, .nodes = 4096},
                      NULL) != WC_OK) {
        s->faults++;
        return;
    }
    uint32_t join_ref = wc_json_first(&doc, 0),
             topic = wc_json_next(&doc, wc_json_next(&doc, join_ref));
    uint32_t event = wc_json_next(&doc, topic), body = wc_json_next(&doc, event);
    char mine[16];
    (void)snprintf(mine, sizeof mine, "\"%u\"", c->generation);
    if (wc_slice_is(wc_json_raw(&doc, event), "\"presence_state\"")) {
        s->faults += c->has_state || !wc_slice_is(wc_json_raw(&doc, join_ref), mine);
        c->has_state = true;
        hear(s, c, &doc, body, true);
    } else if (wc_slice_is(wc_json_raw(&doc, event), "\"presence_diff\"")) {
        s->faults += !c->has_state;
        hear(s, c, &doc, wc_json_get(&doc, body, "joins"), true);
        hear(s, c, &doc, wc_json_get(&doc, body, "leaves"), false);
    }
}

static void read_all(struct side *s, struct client *c)
{
    for (struct wc_frame *f; (f = wc_fake_take(c->s)); wc_frame_unref(f)) {
        take_message(s, c, wc_slice(wc_frame_payload(f), f->len - f->payload));
        wc_arena_reset(&s->arena);
    }
}

/* ---- what a client does ---- */

static void say(struct client *c, const char *event, const char *payload)
{
    char text[256];
    (void)snprintf(text, sizeof text, "[\"%u\",\"0\",\"realtime:%u\",\"%s\",%s]", c->generation,
                   c->room, event, payload);
    wc_fake_send(c->s, text);
}

static void join(struct side *s, struct client *c)
{
    c->room = below(s, ROOMS);
    c->generation++;
    c->is_joined = true;
    c->has_state = c->is_tracked = false;
    c->picture.count = 0;
    say(c, "phx_join", "{\"config\":{\"presence\":{\"enabled\":true}}}");
}

static void leave(struct side *s, struct client *c)
{
    read_all(s, c); /* or it would be taken for news of the next room */
    say(c, "phx_leave", "{}");
    read_all(s, c);
    c->is_joined = c->is_tracked = false;
}

static void track(struct side *s, struct client *c)
{
    char payload[64];
    (void)snprintf(payload, sizeof payload, "{\"event\":\"track\",\"payload\":{\"n\":%u}}",
                   below(s, 1000));
    say(c, "presence", payload);
    c->is_tracked = true;
}

static void act(struct side *s)
{
    struct client *c = &s->client[below(s, CLIENTS)];
    unsigned what = below(s, 8);
    if (!c->is_joined) {
        join(s, c);
    } else if (what == 0) {
        leave(s, c);
    } else if (what < 3) {
        say(c, "presence", "{\"event\":\"untrack\"}");
        c->is_tracked = false;
    } else {
        track(s, c);
    }
}

static void pump(struct side *s)
{
    struct wc_hub *hub = s->world->hub[s->thread];
    wc_publisher_flush(hub->publisher);
    for (struct wc_msg *m; (m = wc_mesh_pop(s->world->mesh, s->thread, 0));) {
        wc_msg_settle(m, wc_hub_deliver(hub, m));
    }
    wc_mesh_popped(s->world->mesh, s->thread);
    (void)wc_presence_turn(hub);
    wc_publisher_flush(hub->publisher);
    for (unsigned i = 0; i < CLIENTS; i++)
        read_all(s, &s->client[i]);
}

static void *run(void *arg)
{
    struct side *s = arg;
    struct wc_hub *hub = s->world->hub[s->thread];
    if (wc_metrics_attach() != WC_OK)
        abort();
    wc_thread_own(&hub->owner);
    for (unsigned step = 0; step < STEPS; step++) {
        hub->now += WC_FAKE_PRESENCE_WINDOW_US; /* no client may be too fast */
        act(s);
        if (below(s, 3) == 0)
            pump(s);
    }
    /* Relaxed: it only says when to stop; pthread_join orders the rest. */
    (void)atomic_fetch_add_explicit(s->done, 1, memory_order_relaxed);
    while (atomic_load_explicit(s->done, memory_order_relaxed) < WC_FAKE_HUBS) {
        pump(s);
        (void)sched_yield(); /* cannot fail on Linux */
    }
    return NULL;
}

/* ---- */

/* What waits for room, then what is in the rings: a request, and what the home says to it. */
static void settle(struct side side[WC_FAKE_HUBS])
{
    unsigned quiet = 0;
    while (quiet < 8) {
        bool waits = false;
        for (unsigned t = 0; t < WC_FAKE_HUBS; t++) {
            pump(&side[t]);
            waits |= wc_publisher_is_backlogged(side[t].world->hub[t]->publisher);
        }
        quiet = waits ? 0 : quiet + 1;
    }
}

static unsigned tracked_in(const struct side side[WC_FAKE_HUBS], unsigned room)
{
    unsigned n = 0;
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++)
        for (unsigned i = 0; i < CLIENTS; i++)
            n += side[t].client[i].is_tracked && side[t].client[i].room == room;
    return n;
}

static void expect_same(const struct picture *a, const struct picture *b)
{
    assert_int_equal(a->count, b->count);
    for (unsigned i = 0; i < a->count; i++)
        assert_true(find(b, a->ref[i]) < b->count);
}

static void expect_the_truth(const struct side side[WC_FAKE_HUBS])
{
    const struct picture *first[ROOMS] = {NULL};
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++) {
        assert_int_equal(side[t].faults, 0);
        for (unsigned i = 0; i < CLIENTS; i++) {
            const struct client *c = &side[t].client[i];
            if (!c->is_joined)
                continue;
            assert_true(c->has_state);
            assert_int_equal(c->picture.count, tracked_in(side, c->room));
            if (first[c->room])
                expect_same(first[c->room], &c->picture);
            first[c->room] = &c->picture;
        }
    }
}

static void every_member_ends_up_with_the_same_picture(void **state)
{
    (void)state;
    struct wc_fake_world w;
    struct side *side = calloc(WC_FAKE_HUBS, sizeof *side);
    pthread_t thread[WC_FAKE_HUBS];
    _Atomic unsigned done = 0;
    assert_non_null(side);
    wc_fake_world_init(&w, 8);
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++) {
        side[t].world = &w;
        side[t].thread = t;
        side[t].random = t + 1;
        side[t].done = &done;
        wc_arena_init(&side[t].arena, 1 << 20);
        for (unsigned i = 0; i < CLIENTS; i++)
            side[t].client[i].s = wc_fake_open(&w, t, WC_PHX_V2);
    }
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++)
        assert_int_equal(pthread_create(&thread[t], NULL, run, &side[t]), 0);
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++)
        assert_int_equal(pthread_join(thread[t], NULL), 0);
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++)
        wc_thread_own(&w.hub[t]->owner);
    settle(side);
    expect_the_truth(side);
    for (unsigned t = 0; t < WC_FAKE_HUBS; t++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            wc_fake_drop(side[t].client[i].s);
        wc_arena_release(&side[t].arena);
    }
    wc_fake_world_release(&w);
    free(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_ends_up_with_the_same_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
