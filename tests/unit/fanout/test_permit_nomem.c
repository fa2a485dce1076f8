/* A private room with each allocation failing in turn: sessions may be closed for it, but nobody
 * gets what he may not read, and nothing leaks. */
#include "fanout/phoenix.h"
#include "fanout/wait.h"
#include "tests/unit/base/alloc_fail.h"
#include "tests/unit/fanout/fake_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READ = WC_MAY_READ_BROADCAST, ATTEMPTS_MAX = 1000 };

#define JOIN                                                                                       \
    "[\"1\",\"1\",\"realtime:r\",\"phx_join\",{\"config\":{\"private\":true,\"broadcast\":"        \
    "{\"ack\":true,\"self\":true,\"replay\":{\"since\":1}}}}]"
#define BROADCAST "[\"1\",\"2\",\"realtime:r\",\"broadcast\",{\"event\":\"mine\"}]"

/* How often the text stands in what waits for the session, which is read. */
static int count_text(struct wc_session *s, const char *text)
{
    int n = 0;
    for (struct wc_frame *f; (f = wc_fake_take(s)); wc_frame_unref(f))
        n += memmem(wc_frame_payload(f), f->len - f->payload, text, strlen(text)) != NULL;
    return n;
}

static void say(struct wc_session *s, const char *message)
{
    if (s->state == WC_SESSION_OPEN)
        wc_fake_send(s, message);
}

/* Made before memory runs out: the first channel of a thread has the first slot. */
static struct wc_msg *answer(uint32_t question, unsigned granted)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_PERMISSIONS, wc_slice(NULL, 0));
    assert_non_null(m);
    m->handle = (struct wc_handle){.thread = 0, .slot = 0, .generation = 1};
    m->question = question;
    m->permissions = granted;
    return m;
}

static struct wc_msg *answer_with_row(uint32_t question, unsigned granted)
{
    struct wc_msg *m = answer(question, granted);
    m->replay = calloc(1, sizeof *m->replay + sizeof(struct wc_replayed));
    assert_non_null(m->replay);
    m->replay->count = 1;
    m->replay->row[0] =
        (struct wc_replayed){.event = wc_slice_str("secret"), .payload = wc_slice_str("{}")};
    return m;
}

static struct wc_msg *secret(const struct wc_session *member)
{
    const struct wc_phx_envelope e = {.topic = wc_slice_str("realtime:r"),
                                      .event = wc_slice_str("broadcast")};
    struct wc_msg *m = wc_msg_new(WC_MSG_ROOM, wc_slice(NULL, 0));
    assert_non_null(m);
    m->room = wc_channel_find(&member->hub->channels, member->serial, e.topic)->room->number;
    m->frame[WC_PHX_V2] = wc_phx_encode(WC_PHX_V2, &e, wc_slice_str("{\"event\":\"secret\"}"));
    assert_non_null(m->frame[WC_PHX_V2]);
    return m;
}

static char *refreshing(struct wc_fake_world *w)
{
    char *text = NULL, *token = wc_fake_token(&w->source, "{\"role\":\"b\",\"exp\":9100000000}");
    assert_true(asprintf(&text,
                         "[\"1\",\"3\",\"realtime:r\",\"access_token\",{\"access_token\":\"%s\"}]",
                         token) > 0);
    free(token);
    return text;
}

static void send_to_all(struct wc_fake_world *w, struct wc_msg *m)
{
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        (void)wc_hub_deliver(w->hub[i], m); /* carries no pairs */
}

/* A client joins, gets a row again and what came meanwhile, sends, brings another token, and gets
 * what arrives meanwhile; `granted` is what it may read, first and then. */
static bool attempt(long fail, unsigned first, unsigned then)
{
    struct wc_fake_world w;
    wc_fake_world_init(&w, 64);
    struct wc_session *blind = wc_fake_member(&w, 1, WC_FAKE_PRESENT, WC_MAY_READ_PRESENCE);
    struct wc_session *a = wc_fake_open(&w, 0, WC_PHX_V2);
    struct wc_msg *answers[] = {answer_with_row(1, first), answer(2, WC_MAY_WRITE),
                                answer(3, then)};
    struct wc_msg *row = secret(blind);
    char *token = refreshing(&w);
    wc_fake_skip(blind);
    wc_test_fail_alloc(fail);
    say(a, JOIN);
    send_to_all(&w, row);
    wc_fake_deliver(&w, answers[0]);
    say(a, BROADCAST);
    wc_fake_deliver(&w, answers[1]);
    (void)wc_fake_settle(&w);
    say(a, token);
    send_to_all(&w, row);
    wc_fake_deliver(&w, answers[2]);
    bool failed = wc_test_alloc_failed();
    wc_test_fail_alloc(-1);
    (void)wc_fake_settle(&w);
    assert_int_equal(count_text(blind, "secret") + count_text(blind, "mine"), 0);
    /* a new token that was lost for want of memory changes nothing */
    int told = count_text(a, "secret"), all = first ? (then ? 3 : 2) : 0;
    assert_in_range(told, failed ? 0 : all, failed && first ? 3 : all);
    assert_int_equal(a->kept_bytes, 0);
    wc_msg_unref(row);
    free(token);
    wc_fake_drop(a);
    wc_fake_drop(blind);
    wc_fake_world_release(&w);
    return failed;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const unsigned cases[][2] = {{READ, READ}, {READ, 0}, {0, READ}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long n = 0;
        while (attempt(n, cases[i][0], cases[i][1]) && n < ATTEMPTS_MAX)
            n++;
        assert_true(n > 10 && n < ATTEMPTS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
