#include "tests/unit/fanout/fake_room.h"

#include "base/assert.h"
#include "fanout/phoenix.h"

#include <stdio.h>
#include <stdlib.h>

void wc_fake_push(struct wc_session *s, const char *event, const char *payload, unsigned ref)
{
    struct wc_buf text;
    wc_buf_init(&text, 1 << 20);
    if (s->serializer == WC_PHX_V2)
        wc_buf_printf(&text, "[\"1\",\"%u\",\"realtime:r\",\"%s\",%s]", ref, event, payload);
    else
        wc_buf_printf(&text,
                      "{\"join_ref\":\"1\",\"ref\":\"%u\",\"topic\":\"realtime:r\","
                      "\"event\":\"%s\",\"payload\":%s}",
                      ref, event, payload);
    WC_ASSERT(text.status == WC_OK);
    wc_session_receive(s, wc_buf_view(&text), false);
    wc_buf_release(&text);
}

void wc_fake_refresh(struct wc_fake_world *w, struct wc_session *s, const char *claims)
{
    char payload[2048];
    char *token = wc_fake_token(&w->source, claims);
    int n = snprintf(payload, sizeof payload, "{\"access_token\":\"%s\"}", token);
    WC_ASSERT(n > 0 && (size_t)n < sizeof payload);
    wc_fake_push(s, "access_token", payload, 90);
    free(token);
}

void wc_fake_deliver(struct wc_fake_world *w, struct wc_msg *m)
{
    (void)wc_hub_deliver(w->hub[m->handle.thread], m); /* carries no pairs */
    wc_msg_unref(m);
}

void wc_fake_answer(struct wc_fake_world *w, unsigned granted)
{
    wc_fake_deliver(w, wc_fake_permissions(&w->source, granted, WC_AUTHORIZE_OK));
}

void wc_fake_fail(struct wc_fake_world *w, enum wc_authorize_error error)
{
    /* with permissions, which must not count */
    wc_fake_deliver(w, wc_fake_permissions(&w->source, WC_MAY_ALL, error));
}

void wc_fake_broadcast(struct wc_fake_world *w, const struct wc_session *member,
                       const char *payload, const uint8_t *id)
{
    const struct wc_channel *c =
        wc_channel_find(&member->hub->channels, member->serial, wc_slice_str("realtime:r"));
    struct wc_msg *m = wc_msg_new(WC_MSG_ROOM, wc_slice(NULL, 0));
    WC_ASSERT(c && m);
    const struct wc_phx_envelope e = {.topic = c->topic, .event = wc_slice_str("broadcast")};
    m->room = c->room->number;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++)
        m->frame[v] = wc_phx_encode(v, &e, wc_slice_str(payload));
    m->has_id = id != NULL;
    if (id)
        memcpy(m->id, id, sizeof m->id);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        (void)wc_hub_deliver(w->hub[i], m); /* carries no pairs */
    wc_msg_unref(m);
}

void wc_fake_expect(struct wc_session *s, const char *part)
{
    struct wc_frame *f = wc_fake_take(s);
    struct wc_slice got =
        f ? wc_slice(wc_frame_payload(f), f->len - f->payload) : wc_slice_str("(nothing)");
    if (!memmem(got.p, got.len, part, strlen(part))) {
        (void)fprintf(stderr, "%.*s\n  instead of\n%s\n", WC_SLICE_ARG(got), part);
        wc_assert_failed("what was expected", __FILE__, __LINE__);
    }
    wc_frame_unref(f);
}

void wc_fake_expect_nothing(struct wc_session *s)
{
    if (s->out.count)
        wc_fake_expect(s, "(nothing)");
}

struct wc_session *wc_fake_member(struct wc_fake_world *w, unsigned thread, const char *payload,
                                  unsigned granted)
{
    struct wc_session *s = wc_fake_open(w, thread, WC_PHX_V2);
    wc_fake_push(s, "phx_join", payload, 1);
    wc_fake_answer(w, granted);
    wc_fake_expect(s, "{\"status\":\"ok\",\"response\":{\"postgres_changes\":[]}}");
    (void)wc_fake_settle(w); /* nothing else is due */
    return s;
}
