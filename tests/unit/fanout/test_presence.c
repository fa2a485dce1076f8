/* Presence between two socket threads run by hand: what clients say, what they are told, and what
 * is left when memory runs out. */
#include "base/json.h"
#include "fanout/quota.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct wc_fake_world *w = calloc(1, sizeof *w);
    wc_fake_world_init(w, 1024);
    *state = w;
    return 0;
}

static uint64_t used(struct wc_fake_world *w)
{
    return atomic_load_explicit(&w->presence.used, memory_order_relaxed);
}

static int teardown(void **state)
{
    struct wc_fake_world *w = *state;
    assert_int_equal(used(w), 0);
    wc_fake_world_release(w);
    free(w);
    return 0;
}

/* The oldest message in the queue, its fragments put together. Owned; NULL when there is none. */
static char *take(struct wc_session *s)
{
    if (s->out.count == 0)
        return NULL;
    struct wc_buf text;
    wc_buf_init(&text, 64 << 20);
    bool is_last = false;
    while (!is_last) {
        assert_true(s->out.count > 0);
        struct wc_frame *f = wc_outq_at(&s->out, 0)->frame;
        is_last = f->bytes[0] & 0x80;
        assert_int_equal(f->bytes[0] & 0x0f, text.len ? 0 : 1);
        wc_buf_append(&text, wc_frame_payload(f), f->len - f->payload);
        size_t len = f->len;
        wc_session_written(s, len);
        wc_session_accepted(s, len);
    }
    wc_buf_byte(&text, '\0');
    return (char *)text.p;
}

static void mask_refs(char *text)
{
    static const char *const names[] = {"\"phx_ref\":\"", "\"phx_ref_prev\":\""};
    for (int i = 0; i < 2; i++)
        for (char *at = text; (at = strstr(at, names[i]));) {
            at += strlen(names[i]);
            assert_int_equal(strspn(at,
                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456"
                                    "789-_"),
                             16);
            memset(at, '-', 16);
        }
}

static void expect(struct wc_session *s, const char *want)
{
    char *got = take(s);
    assert_non_null(got);
    mask_refs(got);
    assert_string_equal(got, want);
    free(got);
}

static void expect_nothing(struct wc_session *s)
{
    assert_int_equal(s->out.count, 0);
}

#define JOIN(topic, config)                                                                        \
    "[\"1\",\"1\",\"realtime:" topic "\",\"phx_join\",{\"config\":" config "}]"
#define WITH_KEY(key)  "{\"presence\":{\"enabled\":true,\"key\":\"" key "\"}}"
#define PUSH(payload)  "[\"1\",\"2\",\"realtime:p\",\"presence\"," payload "]"
#define TRACK(payload) PUSH("{\"event\":\"track\",\"payload\":" payload "}")
#define UNTRACK        PUSH("{\"event\":\"untrack\"}")
#define REPLY(status, response)                                                                    \
    "[\"1\",\"2\",\"realtime:p\",\"phx_reply\",{\"status\":\"" status "\",\"response\":" response  \
    "}]"
#define OK          REPLY("ok", "{}")
#define STATE(body) "[\"1\",null,\"realtime:p\",\"presence_state\"," body "]"
#define DIFF(joins, leaves)                                                                        \
    "[null,null,\"realtime:p\",\"presence_diff\",{\"joins\":" joins ",\"leaves\":" leaves "}]"
#define REF            "\"phx_ref\":\"----------------\""
#define PREV           "\"phx_ref_prev\":\"----------------\""
#define ONE(key, meta) "{\"" key "\":{\"metas\":[{" meta "}]}}"

/* Joined with presence, the reply and the state consumed. */
static struct wc_session *member(struct wc_fake_world *w, unsigned thread, const char *join)
{
    struct wc_session *s = wc_fake_open(w, thread, WC_PHX_V2);
    wc_fake_send(s, join);
    (void)wc_fake_settle(w);
    wc_fake_skip(s);
    return s;
}

/* ---- what is told ---- */

static void a_join_gets_the_state_only_when_it_asks(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = wc_fake_open(w, 0, WC_PHX_V2), *b = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_send(a, JOIN("p", WITH_KEY("a")));
    wc_fake_send(b, JOIN("p", "{\"presence\":{\"key\":\"b\"}}"));
    (void)wc_fake_settle(w);
    wc_fake_skip(b);
    free(take(a)); /* the reply */
    expect(a, STATE("{}"));
    expect_nothing(a);
    wc_fake_send(b, TRACK("{\"u\":1}"));
    (void)wc_fake_settle(w);
    expect(b, OK);
    expect(b, DIFF(ONE("b", REF ",\"u\":1"), "{}")); /* and no state, though now enabled */
    expect_nothing(b);
    expect(a, DIFF(ONE("b", REF ",\"u\":1"), "{}"));
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

static void track_update_untrack(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    wc_fake_send(a, TRACK("{\"u\":1}"));
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect(a, DIFF(ONE("a", REF ",\"u\":1"), "{}"));
    wc_fake_send(a, TRACK("{\"u\":1}"));
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect_nothing(a);
    wc_fake_send(a, TRACK("{\"u\":2}"));
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect(a, DIFF(ONE("a", REF "," PREV ",\"u\":2"), ONE("a", REF ",\"u\":1")));
    struct wc_session *late = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_send(late, JOIN("p", WITH_KEY("l")));
    (void)wc_fake_settle(w);
    free(take(late));
    expect(late, STATE(ONE("a", REF "," PREV ",\"u\":2"))); /* prev stays */
    wc_fake_send(a, UNTRACK);
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect(a, DIFF("{}", ONE("a", REF "," PREV ",\"u\":2")));
    wc_fake_send(a, UNTRACK);
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect_nothing(a);
    wc_fake_drop(a);
    wc_fake_drop(late);
    (void)wc_fake_settle(w);
}

static void tracking_again_after_untrack_is_a_new_presence(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    const char *const steps[] = {TRACK("{\"u\":1}"), UNTRACK, TRACK("{\"u\":1}")};
    for (size_t i = 0; i < 3; i++) {
        wc_fake_skip(a);
        wc_fake_send(a, steps[i]);
        (void)wc_fake_settle(w);
    }
    expect(a, OK);
    expect(a, DIFF(ONE("a", REF ",\"u\":1"), "{}"));
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
}

static void refs_are_unique_and_prev_names_the_one_before(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    char ref[3][17] = {{0}};
    char tracks[3][128];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(tracks[i], sizeof tracks[i], TRACK("{\"u\":%d}"), i);
        wc_fake_skip(a);
        wc_fake_send(a, tracks[i]);
        (void)wc_fake_settle(w);
        free(take(a));
        char *diff = take(a);
        memcpy(ref[i], strstr(diff, "\"phx_ref\":\"") + 11, 16);
        const char *prev = strstr(diff, "\"phx_ref_prev\":\"");
        assert_true((prev != NULL) == (i > 0));
        if (i)
            assert_memory_equal(prev + 16, ref[i - 1], 16);
        free(diff);
    }
    assert_string_not_equal(ref[0], ref[1]);
    assert_string_not_equal(ref[1], ref[2]);
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
}

static void metas_of_channels_with_one_key_are_listed_together(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("k")));
    struct wc_session *b = member(w, 1, JOIN("p", WITH_KEY("k")));
    wc_fake_send(a, TRACK("{\"n\":1}"));
    (void)wc_fake_settle(w);
    wc_fake_send(b, TRACK("{\"n\":2}"));
    (void)wc_fake_settle(w);
    struct wc_session *late = wc_fake_open(w, 0, WC_PHX_V1);
    wc_fake_send(late, "{\"topic\":\"realtime:p\",\"event\":\"phx_join\",\"ref\":\"1\",\"payload\":"
                       "{\"config\":" WITH_KEY("l") "}}");
    (void)wc_fake_settle(w);
    free(take(late));
    expect(late, "{\"topic\":\"realtime:p\",\"event\":\"presence_state\",\"payload\":"
                 "{\"k\":{\"metas\":[{" REF ",\"n\":1},{" REF ",\"n\":2}]}},\"ref\":null}");
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
    expect(late, "{\"topic\":\"realtime:p\",\"event\":\"presence_diff\",\"payload\":{\"joins\":{},"
                 "\"leaves\":" ONE("k", REF ",\"n\":1") "},\"ref\":null}");
    wc_fake_drop(b);
    wc_fake_drop(late);
    (void)wc_fake_settle(w);
}

static void changes_of_one_turn_are_one_diff(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    struct wc_session *b = member(w, 0, JOIN("p", WITH_KEY("b")));
    wc_fake_send(a, TRACK("{\"u\":1}"));
    wc_fake_send(a, TRACK("{\"u\":2}"));
    wc_fake_send(b, TRACK("{}"));
    (void)wc_fake_settle(w);
    for (int i = 0; i < 2; i++)
        expect(a, OK);
    expect(a, DIFF("{\"a\":{\"metas\":[{" REF ",\"u\":2}]},\"b\":{\"metas\":[{" REF "}]}}", "{}"));
    expect_nothing(a);
    wc_fake_send(a, UNTRACK);
    wc_fake_send(a, TRACK("{\"u\":2}")); /* another presence */
    (void)wc_fake_settle(w);
    wc_fake_skip(b);
    for (int i = 0; i < 2; i++)
        expect(a, OK);
    expect(a, DIFF(ONE("a", REF ",\"u\":2"), ONE("a", REF ",\"u\":2")));
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

/* Join, track and another's track before the home gets to any of it. */
static void the_state_comes_before_the_diffs_that_add_to_it(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    wc_fake_send(a, TRACK("{\"u\":1}"));
    (void)wc_fake_settle(w);
    struct wc_session *b = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_send(a, TRACK("{\"u\":2}"));
    wc_fake_send(b, JOIN("p", WITH_KEY("b")));
    wc_fake_send(b, TRACK("{\"u\":3}"));
    (void)wc_fake_settle(w);
    free(take(b));
    expect(b, OK);
    expect(b, STATE(ONE("a", REF ",\"u\":1")));
    expect(b, DIFF("{\"a\":{\"metas\":[{" REF "," PREV ",\"u\":2}]},"
                   "\"b\":{\"metas\":[{" REF ",\"u\":3}]}}",
                   ONE("a", REF ",\"u\":1")));
    expect_nothing(b);
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

static void every_way_out_is_a_leave(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *watcher = member(w, 1, JOIN("p", WITH_KEY("w")));
    for (int way = 0; way < 4; way++) {
        struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
        wc_fake_send(a, TRACK("{}"));
        (void)wc_fake_settle(w);
        wc_fake_skip(watcher);
        if (way == 0)
            wc_fake_send(a, "[\"1\",\"3\",\"realtime:p\",\"phx_leave\",{}]");
        else if (way == 1)
            wc_fake_send(a, "[\"2\",\"2\",\"realtime:p\",\"phx_join\",{\"config\":{}}]");
        else if (way == 2)
            wc_session_close(a, WC_CLOSE_SLOW_CONSUMER);
        if (way < 3)
            (void)wc_fake_settle(w);
        if (way < 3)
            expect(watcher, DIFF("{}", ONE("a", REF)));
        wc_fake_drop(a);
        (void)wc_fake_settle(w);
        if (way == 3)
            expect(watcher, DIFF("{}", ONE("a", REF)));
        expect_nothing(watcher);
        assert_int_equal(used(w), 0);
    }
    wc_fake_drop(watcher);
    (void)wc_fake_settle(w);
}

static void rooms_are_separate_and_end_with_their_members(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    struct wc_session *b = member(w, 1, JOIN("q", WITH_KEY("b")));
    wc_fake_send(a, TRACK("{}"));
    (void)wc_fake_settle(w);
    expect_nothing(b);
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
    /* Nothing is left of a room that everybody has left: the next one begins empty. */
    struct wc_session *c = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_send(c, JOIN("p", WITH_KEY("c")));
    (void)wc_fake_settle(w);
    free(take(c));
    expect(c, STATE("{}"));
    wc_fake_drop(c);
    (void)wc_fake_settle(w);
}

/* ---- what may be said ---- */

static void payloads_are_flattened_as_they_are(void **state)
{
    static const struct {
        const char *push, *meta;
    } cases[] = {
        {PUSH("{\"event\":\"track\"}"), REF},
        {TRACK("{}"), REF},
        {PUSH("{\"event\":\"TRACK\",\"payload\":{\"a\":1.50}}"), REF ",\"a\":1.50"},
        {TRACK("{\"n\":1.0,\"big\":123456789012345678901234567890}"),
         REF ",\"n\":1.0,\"big\":123456789012345678901234567890"},
        {TRACK("{ \"a\" : { \"b\" : [ 1 ] } , \"c\\u0064\":\"\\u00e9\" }"),
         REF ",\"a\":{ \"b\" : [ 1 ] },\"c\\u0064\":\"\\u00e9\""},
        {TRACK("{\"phx_ref\":\"mine\",\"x\":1,\"phx_ref_prev\":\"mine\"}"), REF ",\"x\":1"},
        {TRACK("{\"phx\\u005fref\":\"mine\"}"), REF},
    };
    struct wc_fake_world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
        char want[512];
        wc_fake_send(a, cases[i].push);
        (void)wc_fake_settle(w);
        expect(a, OK);
        (void)snprintf(want, sizeof want, DIFF(ONE("a", "%s"), "{}"), cases[i].meta);
        expect(a, want);
        wc_fake_drop(a);
        (void)wc_fake_settle(w);
    }
}

static void what_cannot_be_done_is_answered(void **state)
{
    static const struct {
        const char *push, *reply;
    } cases[] = {
        {TRACK("\"text\""),
         REPLY("error", "{\"reason\":\"Presence track payload must be a map\"}")},
        {TRACK("null"), REPLY("error", "{\"reason\":\"Presence track payload must be a map\"}")},
        {TRACK("[1]"), REPLY("error", "{\"reason\":\"Presence track payload must be a map\"}")},
        {PUSH("{\"event\":\"dance\"}"), REPLY("error", "{}")},
        {PUSH("{\"event\":7}"), REPLY("error", "{}")},
        {PUSH("{}"), OK},
        {PUSH("[\"event\"]"), OK},
        {PUSH("null"), OK},
        {UNTRACK, OK},
    };
    struct wc_fake_world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
        wc_fake_send(a, cases[i].push);
        (void)wc_fake_settle(w);
        expect(a, cases[i].reply);
        expect_nothing(a);
        assert_int_equal(a->nchannels, 1);
        wc_fake_drop(a);
        (void)wc_fake_settle(w);
    }
}

static void a_stale_join_ref_does_not_matter(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    wc_fake_send(a, "[\"9\",\"2\",\"realtime:p\",\"presence\",{\"event\":\"track\"}]");
    (void)wc_fake_settle(w);
    expect(a, OK);
    expect(a, DIFF(ONE("a", REF), "{}"));
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
}

static void keys_are_texts_and_made_up_when_missing(void **state)
{
    static const struct {
        const char *config, *key; /* NULL: a UUID */
    } cases[] = {
        {"{\"presence\":{\"key\":7}}", "7"},
        {"{\"presence\":{\"key\":\"q\\\"\\u00e9\"}}", "q\\\"\xc3\xa9"},
        {"{\"presence\":{\"key\":\"\"}}", NULL},
        {"{\"presence\":{\"key\":null}}", NULL},
        {"{}", NULL},
    };
    struct wc_fake_world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char join[256];
        (void)snprintf(join, sizeof join, JOIN("p", "%s"), cases[i].config);
        struct wc_session *a = member(w, 0, join);
        wc_fake_send(a, TRACK("{}"));
        (void)wc_fake_settle(w);
        expect(a, OK);
        char *diff = take(a), key[64];
        assert_int_equal(sscanf(diff, DIFF("{\"%63[^:]", ""), key), 1);
        key[strlen(key) - 1] = '\0'; /* the quote */
        if (cases[i].key) {
            assert_string_equal(key, cases[i].key);
        } else {
            assert_int_equal(strlen(key), 36);
            assert_int_equal(strspn(key, "0123456789abcdef-"), 36);
            assert_int_equal(key[14], '4');
        }
        free(diff);
        wc_fake_send(a, UNTRACK);
        (void)wc_fake_settle(w);
        wc_fake_skip(a);
        wc_fake_send(a, TRACK("{}")); /* under the same key */
        (void)wc_fake_settle(w);
        free(take(a));
        diff = take(a);
        assert_non_null(strstr(diff, key));
        free(diff);
        wc_fake_drop(a);
        (void)wc_fake_settle(w);
    }
}

/* ---- limits ---- */

static void expect_shut(struct wc_session *s, const char *text)
{
    char want[256];
    (void)snprintf(want, sizeof want,
                   "[\"1\",null,\"realtime:p\",\"system\",{\"extension\":\"system\",\"status\":"
                   "\"error\",\"message\":\"%s\",\"channel\":\"p\"}]",
                   text);
    expect(s, want);
    expect(s, "[\"1\",\"1\",\"realtime:p\",\"phx_close\",{}]");
    expect_nothing(s);
    assert_int_equal(s->nchannels, 0);
    assert_int_equal(s->state, WC_SESSION_OPEN);
}

static void the_sixth_call_in_a_window_shuts_the_channel(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    struct wc_session *b = member(w, 0, JOIN("p", WITH_KEY("b")));
    wc_fake_send(a, TRACK("{}"));
    for (int i = 0; i < WC_FAKE_PRESENCE_CALLS - 1; i++)
        wc_fake_send(a, PUSH("{\"event\":\"dance\"}"));
    (void)wc_fake_settle(w);
    assert_int_equal(a->nchannels, 1);
    wc_fake_skip(a);
    wc_fake_skip(b);
    wc_fake_send(a, PUSH("{}"));
    expect_shut(a, "Client presence rate limit exceeded");
    (void)wc_fake_settle(w);
    expect(b, DIFF("{}", ONE("a", REF)));
    wc_fake_send(b, TRACK("{}"));
    (void)wc_fake_settle(w);
    expect(b, OK);
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

static void a_new_window_counts_anew(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    for (int window = 0; window < 3; window++) {
        for (int i = 0; i < WC_FAKE_PRESENCE_CALLS; i++)
            wc_fake_send(a, UNTRACK);
        assert_int_equal(a->nchannels, 1);
        wc_fake_pass(w, WC_FAKE_PRESENCE_WINDOW_US);
    }
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
}

static void a_tenant_may_have_a_window_and_a_number_of_its_own(void **state)
{
    enum { CALLS = WC_FAKE_PRESENCE_CALLS + 2, WINDOW_MS = 100 };
    struct wc_fake_world *w = *state;
    wc_quota_set_limits(w->source.view.quota,
                        &(struct wc_tenant_limits){.max_payload_kb = 1,
                                                   .presence_max_calls = CALLS,
                                                   .presence_window_ms = WINDOW_MS});
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    for (int window = 0; window < 2; window++) {
        for (int i = 0; i < CALLS; i++)
            wc_fake_send(a, UNTRACK);
        assert_int_equal(a->nchannels, 1);
        wc_fake_pass(w, WINDOW_MS * 1000);
    }
    for (int i = 0; i <= CALLS; i++)
        wc_fake_send(a, UNTRACK);
    assert_int_equal(a->nchannels, 0);
    wc_fake_drop(a);
    (void)wc_fake_settle(w);
}

static void a_payload_above_the_tenants_limit_shuts_the_channel(void **state)
{
    struct wc_fake_world *w = *state; /* the fake tenant's limit: 1 kB, and 500 bytes */
    char push[2048], payload[1502];
    for (size_t len = 1500; len <= 1501; len++) {
        struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
        memset(payload, 'x', len);
        memcpy(payload, "{\"a\":\"", 6);
        memcpy(payload + len - 2, "\"}", 2);
        (void)snprintf(push, sizeof push, TRACK("%.*s"), (int)len, payload);
        wc_fake_send(a, push);
        if (len == 1500)
            expect(a, OK);
        else
            expect_shut(a, "Track message size exceeded");
        wc_fake_drop(a);
        (void)wc_fake_settle(w);
    }
}

static void a_tenant_over_its_presence_rate_loses_channels(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    struct wc_quota *q = w->source.view.quota;
    wc_quota_set_limits(q, &(struct wc_tenant_limits){.max_presence_events_per_second = 1});
    wc_quota_tick(q, 1000000);
    wc_quota_count(q, 0, WC_QUOTA_PRESENCE, 100);
    wc_quota_tick(q, 7000000);
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_PRESENCE));
    wc_fake_send(a, UNTRACK);
    expect(a, OK);
    wc_fake_send(a, TRACK("{}"));
    expect_shut(a, "Too many presence messages per second");
    struct wc_session *b = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_send(b, JOIN("p", WITH_KEY("b")));
    free(take(b));
    expect_shut(b, "Too many presence messages per second");
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

static void states_tracks_and_diffs_count_as_presence_events(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *a = member(w, 0, JOIN("p", WITH_KEY("a")));
    struct wc_session *b = member(w, 1, JOIN("p", WITH_KEY("b")));
    struct wc_quota *q = w->source.view.quota;
    assert_int_equal(wc_quota_total(q, WC_QUOTA_PRESENCE), 2); /* states */
    wc_fake_send(a, TRACK("{}"));
    wc_fake_send(a, TRACK("{}"));
    wc_fake_send(a, UNTRACK);
    wc_fake_send(a, TRACK("{}"));
    (void)wc_fake_settle(w);
    assert_int_equal(wc_quota_total(q, WC_QUOTA_PRESENCE), 2 + 2 + 2); /* tracks, deliveries */
    wc_fake_drop(a);
    wc_fake_drop(b);
    (void)wc_fake_settle(w);
}

/* Of 64 KiB a connection gets 4, and 17 fit. */
static void the_memory_for_presences_is_bounded(void **state)
{
    enum { FIT = 17 };
    struct wc_fake_world *w = *state;
    struct wc_session *s[FIT + 1];
    char push[4096], payload[3301] = {0};
    wc_quota_set_limits(w->source.view.quota, &(struct wc_tenant_limits){.max_payload_kb = 100});
    w->presence.max = 64 << 10;
    memset(payload, 'x', sizeof payload - 1);
    (void)snprintf(push, sizeof push, TRACK("{\"a\":\"%s\"}"), payload);
    for (int i = 0; i <= FIT; i++) {
        s[i] = member(w, 0, JOIN("p", WITH_KEY("a")));
        wc_fake_send(s[i], push);
        expect(s[i], i < FIT ? OK : REPLY("error", "{}"));
    }
    wc_fake_drop(s[0]);
    wc_fake_send(s[FIT], push);
    expect(s[FIT], OK);
    wc_fake_drop(s[1]);
    wc_fake_join(s[FIT], "q", "{}");
    memcpy(strstr(push, "realtime:p"), "realtime:q", 10);
    wc_fake_send(s[FIT], push); /* there is room, but it would be more than its share */
    expect(s[FIT],
           "[\"1\",\"2\",\"realtime:q\",\"phx_reply\",{\"status\":\"error\",\"response\":{}}]");
    for (int i = 2; i <= FIT; i++)
        wc_fake_drop(s[i]);
    (void)wc_fake_settle(w);
}

/* ---- large rooms ---- */

enum { CROWD = 260 };

static void join_crowd(struct wc_fake_world *w, struct wc_session *s[CROWD])
{
    for (int i = 0; i < CROWD; i++) {
        char join[128];
        (void)snprintf(join, sizeof join, JOIN("p", WITH_KEY("k%d")), i);
        s[i] = wc_fake_open(w, (unsigned)i % WC_FAKE_HUBS, WC_PHX_V2);
        wc_fake_send(s[i], join);
    }
    (void)wc_fake_settle(w);
    wc_fake_pass(w, 50000);
    (void)wc_fake_settle(w);
    for (int i = 0; i < CROWD; i++)
        wc_fake_skip(s[i]);
}

static void many_members_are_told_every_50_ms(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s[CROWD];
    join_crowd(w, s);
    wc_fake_send(s[0], TRACK("{\"n\":1}"));
    expect(s[0], OK);
    assert_int_equal(wc_fake_settle(w), 50000);
    expect_nothing(s[0]);
    wc_fake_pass(w, 49999);
    wc_fake_send(s[1], TRACK("{\"n\":2}"));
    assert_int_equal(wc_fake_settle(w), 1);
    expect_nothing(s[0]);
    wc_fake_pass(w, 1);
    assert_int_equal(wc_fake_settle(w), 0);
    for (int i = 0; i < CROWD; i++) {
        if (i == 1)
            expect(s[i], OK);
        expect(s[i], DIFF("{\"k0\":{\"metas\":[{" REF ",\"n\":1}]},"
                          "\"k1\":{\"metas\":[{" REF ",\"n\":2}]}}",
                          "{}"));
        expect_nothing(s[i]);
    }
    for (int i = 0; i < CROWD; i++)
        wc_fake_drop(s[i]);
    (void)wc_fake_settle(w);
    wc_fake_pass(w, 50000);
    (void)wc_fake_settle(w);
}

/* More than fits in one frame of its own: two fragments, the second shared. */
static void a_large_state_is_shared_between_joiners(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s[CROWD], *late[2];
    char track[256];
    join_crowd(w, s);
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(track, sizeof track, TRACK("{\"pad\":\"%0100d\"}"), i);
        wc_fake_send(s[i], track);
    }
    (void)wc_fake_settle(w);
    wc_fake_pass(w, 50000);
    (void)wc_fake_settle(w);
    for (int i = 0; i < 2; i++) {
        char join[128];
        (void)snprintf(join, sizeof join,
                       "[\"j%d\",\"1\",\"realtime:p\",\"phx_join\",{\"config\":" WITH_KEY("l") "}]",
                       i);
        late[i] = wc_fake_open(w, 0, WC_PHX_V2);
        wc_fake_send(late[i], join);
        free(take(late[i]));
    }
    (void)wc_fake_settle(w);
    wc_fake_pass(w, 50000);
    (void)wc_fake_settle(w);
    assert_int_equal(late[0]->out.count, 2);
    assert_ptr_equal(wc_outq_at(&late[0]->out, 1)->frame, wc_outq_at(&late[1]->out, 1)->frame);
    for (int i = 0; i < 2; i++) {
        char *text = take(late[i]), head[64];
        (void)snprintf(head, sizeof head, "[\"j%d\",null,\"realtime:p\",\"presence_state\",{", i);
        assert_memory_equal(text, head, strlen(head));
        struct wc_arena arena;
        struct wc_json doc;
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(wc_json_parse(&doc, wc_slice_str(text), &arena,
                                       (struct wc_json_limits){.depth = 8, .nodes = 10000}, NULL),
                         WC_OK);
        uint32_t n = wc_json_first(&doc, 0);
        for (int skip_to = 0; skip_to < 4; skip_to++)
            n = wc_json_next(&doc, n);
        assert_int_equal(wc_json_count(&doc, n), CROWD);
        wc_arena_release(&arena);
        free(text);
        wc_fake_drop(late[i]);
    }
    for (int i = 0; i < CROWD; i++)
        wc_fake_drop(s[i]);
    (void)wc_fake_settle(w);
    wc_fake_pass(w, 50000);
    (void)wc_fake_settle(w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_join_gets_the_state_only_when_it_asks),
        TEST(track_update_untrack),
        TEST(tracking_again_after_untrack_is_a_new_presence),
        TEST(refs_are_unique_and_prev_names_the_one_before),
        TEST(metas_of_channels_with_one_key_are_listed_together),
        TEST(changes_of_one_turn_are_one_diff),
        TEST(the_state_comes_before_the_diffs_that_add_to_it),
        TEST(every_way_out_is_a_leave),
        TEST(rooms_are_separate_and_end_with_their_members),
        TEST(payloads_are_flattened_as_they_are),
        TEST(what_cannot_be_done_is_answered),
        TEST(a_stale_join_ref_does_not_matter),
        TEST(keys_are_texts_and_made_up_when_missing),
        TEST(the_sixth_call_in_a_window_shuts_the_channel),
        TEST(a_new_window_counts_anew),
        TEST(a_tenant_may_have_a_window_and_a_number_of_its_own),
        TEST(a_payload_above_the_tenants_limit_shuts_the_channel),
        TEST(a_tenant_over_its_presence_rate_loses_channels),
        TEST(states_tracks_and_diffs_count_as_presence_events),
        TEST(the_memory_for_presences_is_bounded),
        TEST(many_members_are_told_every_50_ms),
        TEST(a_large_state_is_shared_between_joiners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
