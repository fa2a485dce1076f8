/* Presence with each allocation failing in turn: sessions may be closed for it, but nobody is told
 * what is not so, nothing is forgotten, and nothing leaks. */
#include "tests/unit/base/alloc_fail.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RETRY_US = 50000, ATTEMPTS_MAX = 1000 };

#define JOIN(key)                                                                                  \
    "[\"1\",\"1\",\"realtime:p\",\"phx_join\",{\"config\":{\"presence\":{\"enabled\":true,"        \
    "\"key\":\"" key "\"}}}]"
#define TRACK(payload)                                                                             \
    "[\"1\",\"2\",\"realtime:p\",\"presence\",{\"event\":\"track\",\"payload\":" payload "}]"
#define UNTRACK "[\"1\",\"3\",\"realtime:p\",\"presence\",{\"event\":\"untrack\"}]"

/* How often the text stands in what waits for the session, which is read. */
static int count_text(struct wc_session *s, const char *text)
{
    int n = 0;
    for (struct wc_frame *f; (f = wc_fake_take(s)); wc_frame_unref(f)) {
        char *payload = wc_slice_dup(wc_slice(wc_frame_payload(f), f->len - f->payload));
        assert_non_null(payload);
        for (const char *at = payload; (at = strstr(at, text)); at += strlen(text))
            n++;
        free(payload);
    }
    return n;
}

static void settle_for_good(struct wc_fake_world *w)
{
    (void)wc_fake_settle(w);
    wc_fake_pass(w, RETRY_US);
    assert_int_equal(wc_fake_settle(w), 0);
}

static int presences_in_state(struct wc_fake_world *w)
{
    struct wc_session *s = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_send(s, JOIN("late"));
    settle_for_good(w);
    int n = count_text(s, "\"phx_ref\":");
    wc_fake_drop(s);
    return n;
}

static void say(struct wc_session *s, const char *message)
{
    if (s->state == WC_SESSION_OPEN)
        wc_fake_send(s, message);
}

/* One client joins, tracks, updates and is updated about itself, while another watches. */
static bool attempt(long fail)
{
    struct wc_fake_world w;
    wc_fake_world_init(&w, 64);
    struct wc_session *watcher = wc_fake_open(&w, 1, WC_PHX_V1);
    wc_fake_join(watcher, "p", "{}");
    struct wc_session *a = wc_fake_open(&w, 0, WC_PHX_V2);
    wc_test_fail_alloc(fail);
    say(a, JOIN("a"));
    (void)wc_fake_settle(&w);
    say(a, TRACK("{\"u\":1}"));
    (void)wc_fake_settle(&w);
    say(a, TRACK("{\"u\":2}"));
    (void)wc_fake_settle(&w);
    bool failed = wc_test_alloc_failed();
    wc_test_fail_alloc(-1);
    settle_for_good(&w);
    bool is_present = a->state == WC_SESSION_OPEN && a->nchannels == 1;
    assert_int_equal(presences_in_state(&w), is_present);
    if (watcher->state == WC_SESSION_OPEN) {
        /* each join but the last was followed by its leave; the refs are both in the text */
        int told = count_text(watcher, "\"phx_ref\":");
        assert_int_equal(told % 2, is_present);
    }
    wc_fake_drop(a);
    settle_for_good(&w);
    assert_int_equal(presences_in_state(&w), 0);
    assert_int_equal(atomic_load_explicit(&w.presence.used, memory_order_relaxed), 0);
    if (watcher->state == WC_SESSION_OPEN)
        assert_int_equal(count_text(watcher, "\"joins\":{}"), is_present);
    wc_fake_drop(watcher);
    wc_fake_world_release(&w);
    return failed;
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    long n = 0;
    while (attempt(n) && n < ATTEMPTS_MAX)
        n++;
    assert_true(n > 30 && n < ATTEMPTS_MAX);
}

/* The end of a presence needs no memory that could be missing when it comes. */
static void an_end_is_told_when_there_is_memory_again(void **state)
{
    (void)state;
    for (long fail = 0; fail < 8; fail++) {
        struct wc_fake_world w;
        wc_fake_world_init(&w, 64);
        struct wc_session *watcher = wc_fake_open(&w, 1, WC_PHX_V2);
        wc_fake_join(watcher, "p", "{}");
        struct wc_session *a = wc_fake_open(&w, 0, WC_PHX_V2);
        wc_fake_send(a, JOIN("a"));
        wc_fake_send(a, TRACK("{}"));
        (void)wc_fake_settle(&w);
        wc_fake_skip(watcher);
        wc_test_fail_alloc(fail);
        wc_fake_drop(a);
        (void)wc_fake_settle(&w);
        wc_test_fail_alloc(-1);
        settle_for_good(&w);
        if (watcher->state == WC_SESSION_OPEN)
            assert_int_equal(count_text(watcher, "\"leaves\":{\"a\""), 1);
        wc_fake_drop(watcher);
        assert_int_equal(presences_in_state(&w), 0);
        wc_fake_world_release(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(an_end_is_told_when_there_is_memory_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
