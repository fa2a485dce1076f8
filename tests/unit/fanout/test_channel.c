/* The channel table, its handles, the expiry heap, and audiences. */
#include "fanout/channel.h"

#include "fanout/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct tables {
    struct wc_session session; /* of all channels; only its serializer is looked at */
    struct wc_channels channels;
    struct wc_groups audiences;
};

static void open_tables(struct tables *t)
{
    t->session = (struct wc_session){.serializer = WC_PHX_V1};
    wc_channels_init(&t->channels, 3);
    wc_groups_init(&t->audiences, WC_GROUP_AUDIENCE);
}

static void close_tables(struct tables *t)
{
    wc_groups_release(&t->audiences);
    wc_channels_release(&t->channels);
}

/* Stands in for verified claims; only `exp` is looked at. The caller keeps a reference. */
static struct wc_channel *join(struct tables *t, uint64_t serial, const char *topic,
                               struct wc_claims *claims)
{
    struct wc_channel *c =
        wc_channel_new(&t->channels, &(struct wc_channel_join){.session = &t->session,
                                                               .serial = serial,
                                                               .topic = wc_slice_str(topic),
                                                               .join_ref = wc_slice_str("\"1\""),
                                                               .ref = wc_slice_str("2"),
                                                               .claims = claims});
    assert_non_null(c);
    assert_true(wc_channels_ok(&t->channels));
    return c;
}

static void end(struct tables *t, struct wc_channel *c)
{
    wc_group_leave(&t->audiences, c);
    wc_channel_free(&t->channels, c);
    assert_true(wc_channels_ok(&t->channels));
}

static void channels_are_found_by_session_and_topic(void **state)
{
    (void)state;
    struct tables t;
    struct wc_claims claims = {.refs = 1};
    open_tables(&t);
    struct wc_channel *a = join(&t, 1, "realtime:a", &claims);
    struct wc_channel *b = join(&t, 2, "realtime:a", &claims);
    struct wc_channel *c = join(&t, 1, "realtime:", &claims);
    assert_ptr_equal(wc_channel_find(&t.channels, 1, wc_slice_str("realtime:a")), a);
    assert_ptr_equal(wc_channel_find(&t.channels, 2, wc_slice_str("realtime:a")), b);
    assert_ptr_equal(wc_channel_find(&t.channels, 1, wc_slice_str("realtime:")), c);
    assert_null(wc_channel_find(&t.channels, 3, wc_slice_str("realtime:a")));
    assert_null(wc_channel_find(&t.channels, 1, wc_slice(NULL, 0)));
    assert_true(wc_slice_is(wc_channel_subtopic(a->topic), "a"));
    assert_true(wc_slice_is(a->join_ref, "\"1\""));
    end(&t, a);
    assert_null(wc_channel_find(&t.channels, 1, wc_slice_str("realtime:a")));
    end(&t, b);
    end(&t, c);
    close_tables(&t);
}

static void an_old_handle_finds_nobody(void **state)
{
    (void)state;
    struct tables t;
    struct wc_claims claims = {.refs = 1};
    open_tables(&t);
    struct wc_channel *a = join(&t, 1, "realtime:a", &claims);
    struct wc_handle old = wc_channel_handle(&t.channels, a);
    assert_int_equal(old.thread, 3);
    assert_ptr_equal(wc_channel_by_handle(&t.channels, old), a);
    end(&t, a);
    assert_null(wc_channel_by_handle(&t.channels, old));
    struct wc_channel *b = join(&t, 1, "realtime:a", &claims);
    struct wc_handle now = wc_channel_handle(&t.channels, b);
    assert_int_equal(now.slot, old.slot);
    assert_null(wc_channel_by_handle(&t.channels, old));
    assert_ptr_equal(wc_channel_by_handle(&t.channels, now), b);
    now.thread = 2;
    assert_null(wc_channel_by_handle(&t.channels, now));
    assert_null(wc_channel_by_handle(
        &t.channels, (struct wc_handle){.thread = 3, .slot = 1U << 30, .generation = 1}));
    end(&t, b);
    close_tables(&t);
}

enum { MANY = 300 };

static void the_heap_yields_the_earliest_expiry(void **state)
{
    (void)state;
    struct tables t;
    struct wc_claims claims[MANY];
    char topic[32];
    open_tables(&t);
    for (int i = 0; i < MANY; i++) {
        claims[i] = (struct wc_claims){.refs = 1, .exp = (i * 7919) % 1000};
        assert_true(snprintf(topic, sizeof topic, "realtime:%d", i) > 0);
        (void)join(&t, 1, topic, &claims[i]);
    }
    for (int i = 0; i < MANY; i += 3) { /* out of the middle, too */
        assert_true(snprintf(topic, sizeof topic, "realtime:%d", i) > 0);
        end(&t, wc_channel_find(&t.channels, 1, wc_slice_str(topic)));
    }
    int64_t last = -1;
    struct wc_channel *c;
    while ((c = wc_channel_next_to_expire(&t.channels))) {
        assert_true(c->claims->exp >= last);
        last = c->claims->exp;
        end(&t, c);
    }
    close_tables(&t);
}

static bool has(const struct wc_group *a, const struct wc_channel *c)
{
    for (uint32_t i = 0; a && i < a->count; i++)
        if (a->member[i] == c)
            return true;
    return false;
}

static void audiences_follow_their_channels(void **state)
{
    (void)state;
    struct tables t;
    struct wc_claims claims = {.refs = 1};
    struct wc_channel *c[10];
    char topic[32];
    open_tables(&t);
    for (int i = 0; i < 10; i++) {
        assert_true(snprintf(topic, sizeof topic, "realtime:%d", i) > 0);
        c[i] = join(&t, 1, topic, &claims);
        assert_int_equal(wc_group_join(&t.audiences, 7, c[i]), WC_OK);
    }
    assert_int_equal(wc_group_find(&t.audiences, 7)->count, 10);
    assert_int_equal(wc_group_find(&t.audiences, 7)->users[WC_PHX_V1], 10);
    assert_int_equal(wc_group_find(&t.audiences, 7)->users[WC_PHX_V2], 0);
    assert_int_equal(wc_group_join(&t.audiences, 8, c[4]), WC_OK); /* moves */
    assert_false(has(wc_group_find(&t.audiences, 7), c[4]));
    assert_true(has(wc_group_find(&t.audiences, 8), c[4]));
    end(&t, c[0]);
    end(&t, c[9]);
    for (int i = 1; i < 9; i++)
        assert_int_equal(has(wc_group_find(&t.audiences, 7), c[i]), i != 4);
    assert_int_equal(wc_group_find(&t.audiences, 7)->users[WC_PHX_V1], 7);
    wc_group_leave(&t.audiences, c[4]);
    wc_group_leave(&t.audiences, c[4]);
    assert_null(wc_group_find(&t.audiences, 8)); /* gone with its last member */
    for (int i = 1; i < 9; i++)
        end(&t, c[i]);
    assert_null(wc_group_find(&t.audiences, 7));
    close_tables(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_are_found_by_session_and_topic),
        cmocka_unit_test(an_old_handle_finds_nobody),
        cmocka_unit_test(the_heap_yields_the_earliest_expiry),
        cmocka_unit_test(audiences_follow_their_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
