/* Every pair of change and channel that is published ends as delivered or as withheld for one
 * reason, exactly once, whatever happens to messages, queues and connections meanwhile. */
#include "base/metrics.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RING_ENTRIES = 8, AUDIENCE = 7, FRAME = 100 };

static const enum wc_metric ends[] = {WC_M_CHANGES_DELIVERED, WC_M_WITHHELD_STALE,
                                      WC_M_WITHHELD_SLOW, WC_M_WITHHELD_CLOSED,
                                      WC_M_WITHHELD_NO_MEMORY};
enum { ENDS = sizeof ends / sizeof *ends };
enum end { DELIVERED, STALE, SLOW, CLOSED, NO_MEMORY };

struct books {
    int64_t published, end[ENDS];
};

struct world {
    struct wc_fake_world fake;
    struct wc_publisher *bridge;
    struct books before;
};

static struct books books(void)
{
    struct books b = {.published = wc_metric_sum(WC_M_CHANGES_OUT)};
    for (unsigned i = 0; i < ENDS; i++)
        b.end[i] = wc_metric_sum(ends[i]);
    return b;
}

static struct books since(const struct world *w)
{
    struct books now = books();
    now.published -= w->before.published;
    for (unsigned i = 0; i < ENDS; i++)
        now.end[i] -= w->before.end[i];
    return now;
}

static void expect_end(const struct world *w, enum end end, int64_t n)
{
    assert_int_equal(since(w).end[end], n);
}

static void expect_balance(const struct world *w)
{
    struct books b = since(w);
    int64_t sum = 0;
    for (unsigned i = 0; i < ENDS; i++) {
        assert_true(b.end[i] >= 0);
        sum += b.end[i];
    }
    assert_int_equal(sum, b.published);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    wc_fake_world_init(&w->fake, RING_ENTRIES);
    w->bridge = wc_publisher_new(w->fake.mesh, 0);
    assert_non_null(w->bridge);
    w->before = books();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    wc_publisher_free(w->bridge);
    wc_fake_world_release(&w->fake);
    expect_balance(w); /* what was still under way is stale now */
    free(w);
    return 0;
}

/* What a bridge would do. */

static struct wc_msg *message(enum wc_msg_kind kind, struct wc_handle h)
{
    struct wc_msg *m = wc_msg_new(kind, wc_slice_str("text"));
    assert_non_null(m);
    m->handle = h;
    m->audience = AUDIENCE;
    return m;
}

static void change(struct world *w, enum wc_msg_kind kind, struct wc_handle h, uint64_t threads,
                   size_t pairs)
{
    struct wc_msg *m = message(kind, h);
    for (unsigned v = 0; v < WC_PHX_COUNT; v++) {
        m->frame[v] = wc_frame_new(WC_FRAME_TEXT, FRAME - 2); /* with a header of 2 bytes */
        assert_non_null(m->frame[v]);
        memset(wc_frame_payload(m->frame[v]), 'x', FRAME - 2);
    }
    assert_int_equal(wc_publish_change(w->bridge, m, threads, pairs), WC_OK);
}

static void direct(struct world *w, struct wc_handle h)
{
    change(w, WC_MSG_DIRECT, h, UINT64_C(1) << h.thread, 1);
}

static void enlist(struct world *w, struct wc_handle h)
{
    struct wc_msg *m = message(WC_MSG_ENLIST, h);
    assert_int_equal(wc_publish(w->bridge, WC_ORIGIN_BRIDGE, m, UINT64_C(1) << h.thread), WC_OK);
}

static void turn(struct world *w)
{
    wc_publisher_flush(w->bridge);
    (void)wc_fake_turn(&w->fake);
}

/* What a client would. */

static struct wc_session *open_on(struct world *w, unsigned thread)
{
    return wc_fake_open(&w->fake, thread, rand() % 2 ? WC_PHX_V1 : WC_PHX_V2);
}

static struct wc_handle subscribe(struct world *w, struct wc_session *s)
{
    wc_fake_join(s, "a", "{\"postgres_changes\":[{\"schema\":\"public\"}]}");
    return w->fake.source.last->handle;
}

static void leave(struct wc_session *s)
{
    wc_fake_send(s, s->serializer == WC_PHX_V1
                        ? "{\"topic\":\"realtime:a\",\"event\":\"phx_leave\",\"payload\":{},"
                          "\"ref\":\"2\",\"join_ref\":\"1\"}"
                        : "[\"1\",\"2\",\"realtime:a\",\"phx_leave\",{}]");
}

static void a_change_is_delivered_when_the_transport_has_taken_its_last_byte(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_on(w, 0);
    struct wc_handle h = subscribe(w, s);
    direct(w, h);
    direct(w, h);
    turn(w);
    assert_int_equal(s->out.bytes, 2 * FRAME);
    wc_session_written(s, FRAME + 1);
    expect_end(w, DELIVERED, 0);
    wc_session_accepted(s, FRAME + 1);
    expect_end(w, DELIVERED, 1);
    wc_session_written(s, FRAME - 1);
    expect_end(w, DELIVERED, 1);
    wc_session_accepted(s, FRAME - 1);
    expect_end(w, DELIVERED, 2);
    expect_balance(w);
    wc_fake_drop(s);
    expect_balance(w);
}

static void what_a_lost_connection_still_had_is_withheld(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_on(w, 0);
    struct wc_handle h = subscribe(w, s);
    for (int i = 0; i < 5; i++)
        direct(w, h);
    turn(w);
    wc_session_written(s, FRAME); /* accepted */
    wc_session_accepted(s, FRAME);
    wc_session_written(s, FRAME + FRAME / 2); /* held back by the transport, the second in parts */
    wc_session_send(s, wc_frame_copy(WC_FRAME_TEXT, wc_slice_str("no change")));
    wc_fake_drop(s);
    expect_end(w, DELIVERED, 1);
    expect_end(w, CLOSED, 4);
    expect_balance(w);
}

static void an_overflow_is_counted_with_the_frame_that_did_not_fit(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_on(w, 0);
    struct wc_handle h = subscribe(w, s);
    s->hub->opt.max_queued_bytes = 3 * FRAME;
    s->credit = 0;
    for (int i = 0; i < 6; i++)
        direct(w, h);
    wc_publisher_flush(w->bridge);
    turn(w);
    assert_int_equal(s->reason, WC_CLOSE_SLOW_CONSUMER);
    expect_end(w, SLOW, 4);
    expect_end(w, STALE, 2); /* its channel had ended */
    expect_balance(w);
    wc_fake_drop(s);
    expect_balance(w);
}

static void a_frame_that_was_begun_may_still_be_delivered_after_an_overflow(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_on(w, 0);
    struct wc_handle h = subscribe(w, s);
    for (int i = 0; i < 3; i++)
        direct(w, h);
    turn(w);
    wc_session_written(s, 1);
    wc_session_accepted(s, 1);
    wc_session_close(s, WC_CLOSE_SLOW_CONSUMER);
    expect_end(w, SLOW, 2);
    wc_session_written(s, FRAME - 1);
    wc_session_accepted(s, FRAME - 1);
    expect_end(w, DELIVERED, 1);
    wc_fake_drop(s);
    expect_balance(w);
}

static void an_audience_is_counted_member_by_member(void **state)
{
    struct world *w = *state;
    struct wc_session *s[6];
    for (unsigned i = 0; i < 6; i++) {
        s[i] = open_on(w, i % WC_FAKE_HUBS);
        enlist(w, subscribe(w, s[i]));
    }
    turn(w);
    change(w, WC_MSG_AUDIENCE, (struct wc_handle){0}, 3, 6);
    leave(s[0]); /* while it is under way */
    wc_fake_skip(s[0]);
    wc_fake_drop(s[1]);
    turn(w);
    expect_end(w, STALE, 2);
    for (unsigned i = 2; i < 4; i++)
        wc_fake_skip(s[i]);
    expect_end(w, DELIVERED, 2);
    for (unsigned i = 0; i < 6; i++)
        if (i != 1)
            wc_fake_drop(s[i]);
    expect_end(w, CLOSED, 2);
    expect_balance(w);
}

static void messages_that_are_no_changes_are_in_no_book(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_on(w, 0);
    struct wc_handle h = subscribe(w, s);
    for (int i = 0; i < 2; i++) {
        struct wc_msg *m = message(WC_MSG_VERDICT, h);
        assert_int_equal(wc_publish(w->bridge, WC_ORIGIN_BRIDGE, m, 1), WC_OK);
        turn(w);
        leave(s); /* the second finds no channel */
        wc_fake_skip(s);
    }
    wc_fake_drop(s);
    struct books b = since(w);
    assert_int_equal(b.published, 0);
    expect_balance(w);
}

/* ---- everything at random ---- */

enum { CLIENTS = 12, STEPS = 20000 };

struct client {
    struct wc_session *session; /* NULL: away */
    struct wc_handle handle;
    bool is_enlisted;
    size_t unaccepted;
};

static void come(struct world *w, struct client *c)
{
    *c = (struct client){.session = open_on(w, (unsigned)rand() % WC_FAKE_HUBS)};
    c->handle = subscribe(w, c->session);
}

static void transport(struct client *c)
{
    struct wc_session *s = c->session;
    if (c->unaccepted) {
        wc_session_accepted(s, c->unaccepted);
        c->unaccepted = 0;
    } else if (s->out.bytes) {
        c->unaccepted = 1 + (size_t)rand() % s->out.bytes;
        wc_session_written(s, c->unaccepted);
    }
}

static void go(struct client *c)
{
    static const enum wc_close_reason reasons[] = {WC_CLOSE_CLIENT, WC_CLOSE_SLOW_CONSUMER,
                                                   WC_CLOSE_NO_MEMORY, WC_CLOSE_SHUTDOWN};
    if (rand() % 2)
        wc_session_close(c->session, reasons[rand() % 4]);
    else
        wc_fake_drop(c->session);
    c->is_enlisted = false; /* as the bridge is told */
    if (c->session->state == WC_SESSION_CLOSING)
        wc_fake_drop(c->session);
    c->session = NULL;
}

static void publish(struct world *w, struct client client[], struct client *c)
{
    uint64_t threads = 0;
    size_t pairs = 0;
    if (!c->is_enlisted) {
        direct(w, c->handle);
        return;
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client[i].is_enlisted) {
            threads |= UINT64_C(1) << client[i].handle.thread;
            pairs++;
        }
    change(w, WC_MSG_AUDIENCE, c->handle, threads, pairs);
}

static void step(struct world *w, struct client client[], struct client *c)
{
    int what = rand() % 100;
    if (!c->session) {
        come(w, c);
    } else if (what < 30) {
        publish(w, client, c);
    } else if (what < 70) {
        transport(c);
    } else if (what < 90) {
        turn(w);
    } else if (what < 94 && !c->is_enlisted) {
        enlist(w, c->handle);
        c->is_enlisted = true;
    } else if (what < 96) {
        leave(c->session);
        c->is_enlisted = false;
    } else if (what < 98) {
        go(c);
    } else {
        wc_fake_pass(&w->fake, 100000);
    }
}

static void the_books_balance_after_anything(void **state)
{
    struct world *w = *state;
    struct client client[CLIENTS] = {{0}};
    srand(20);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        w->fake.hub[i]->opt.max_queued_bytes = 40 * FRAME;
    for (int i = 0; i < STEPS; i++)
        step(w, client, &client[rand() % CLIENTS]);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client[i].session)
            wc_fake_drop(client[i].session);
    for (int i = 0; i < 1000 && wc_publisher_is_backlogged(w->bridge); i++)
        turn(w);
    turn(w);
    expect_balance(w);
    struct books b = since(w);
    for (unsigned i = 0; i < ENDS; i++)
        assert_true(b.end[i] > 0); /* all of it was tried */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_delivered_when_the_transport_has_taken_its_last_byte),
        TEST(what_a_lost_connection_still_had_is_withheld),
        TEST(an_overflow_is_counted_with_the_frame_that_did_not_fit),
        TEST(a_frame_that_was_begun_may_still_be_delivered_after_an_overflow),
        TEST(an_audience_is_counted_member_by_member),
        TEST(messages_that_are_no_changes_are_in_no_book),
        TEST(the_books_balance_after_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
