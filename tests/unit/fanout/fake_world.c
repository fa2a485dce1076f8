#include "tests/unit/fanout/fake_world.h"

#include "base/assert.h"
#include "fanout/connect.h"

#include <stdio.h>
#include <stdlib.h>

static struct wc_hub *new_hub(struct wc_fake_world *w, unsigned thread)
{
    struct wc_hub *hub =
        wc_hub_new(&(struct wc_hub_options){.thread = thread,
                                            .mesh = w->mesh,
                                            .rooms = w->rooms,
                                            .source = wc_fake_bridge(&w->source),
                                            .max_queued_bytes = 1 << 20,
                                            .pace_bytes_per_second = 1000000,
                                            .idle_timeout = 60000000,
                                            .presence = {.node = 0x0123456789abcdef,
                                                         .max_calls = WC_FAKE_PRESENCE_CALLS,
                                                         .window = WC_FAKE_PRESENCE_WINDOW_US,
                                                         .budget = &w->presence}});
    WC_ASSERT(hub);
    wc_thread_own(&hub->owner);
    hub->now = 1000;
    return hub;
}

void wc_fake_world_init(struct wc_fake_world *w, uint32_t ring_entries)
{
    *w = (struct wc_fake_world){.mesh = wc_mesh_new(1, WC_FAKE_HUBS, ring_entries),
                                .rooms = wc_rooms_new()};
    WC_ASSERT(w->mesh && w->rooms);
    w->presence.max = 1 << 20;
    wc_fake_source_init(&w->source);
    w->token = wc_fake_token(&w->source, "{\"role\":\"anon\",\"exp\":9000000000}");
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        w->hub[i] = new_hub(w, i);
}

void wc_fake_world_release(struct wc_fake_world *w)
{
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        wc_hub_free(w->hub[i]);
    wc_rooms_free(w->rooms);
    wc_mesh_free(w->mesh);
    wc_fake_source_release(&w->source);
    free(w->token);
}

int wc_fake_setup(void **state)
{
    struct wc_fake_world *w = calloc(1, sizeof *w);
    WC_ASSERT(w);
    wc_fake_world_init(w, 64);
    *state = w;
    return 0;
}

int wc_fake_teardown(void **state)
{
    wc_fake_world_release(*state);
    free(*state);
    return 0;
}

struct wc_session *wc_fake_open(struct wc_fake_world *w, unsigned thread, enum wc_serializer v)
{
    struct wc_directory d = wc_fake_directory(&w->source);
    struct wc_connect_request req = {.vsn = wc_slice_str(v == WC_PHX_V1 ? "1.0.0" : "2.0.0"),
                                     .address.host = wc_slice_str("dev"),
                                     .key = wc_slice_str(w->token)};
    struct wc_connect_result r = wc_connect_check(&d, &req, 0);
    WC_ASSERT(r.status == 0);
    struct wc_session *s = wc_session_new(w->hub[thread], &r);
    WC_ASSERT(s);
    wc_session_open(s);
    return s;
}

void wc_fake_drop(struct wc_session *s)
{
    wc_session_lost(s, WC_CLOSE_ABORTED);
    wc_session_free(s);
}

void wc_fake_send(struct wc_session *s, const char *text)
{
    wc_session_receive(s, wc_slice_str(text), false);
}

void wc_fake_join(struct wc_session *s, const char *sub, const char *config)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     s->serializer == WC_PHX_V1
                         ? "{\"topic\":\"realtime:%s\",\"event\":\"phx_join\",\"ref\":\"1\","
                           "\"join_ref\":\"1\",\"payload\":{\"config\":%s}}"
                         : "[\"1\",\"1\",\"realtime:%s\",\"phx_join\",{\"config\":%s}]",
                     sub, config);
    WC_ASSERT(n > 0 && (size_t)n < sizeof text);
    uint32_t before = s->nchannels;
    wc_fake_send(s, text);
    WC_ASSERT(s->nchannels == before + 1);
    wc_fake_skip(s);
}

static void deliver(struct wc_fake_world *w, unsigned thread)
{
    struct wc_msg *m;
    while ((m = wc_mesh_pop(w->mesh, thread, 0))) {
        wc_msg_settle(m, wc_hub_deliver(w->hub[thread], m));
    }
    wc_mesh_popped(w->mesh, thread);
}

wc_us wc_fake_turn(struct wc_fake_world *w)
{
    wc_us longest = 0;
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        wc_publisher_flush(w->hub[i]->publisher);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++) {
        deliver(w, i);
        wc_us wait = wc_presence_turn(w->hub[i]);
        longest = wait > longest ? wait : longest;
        wc_publisher_flush(w->hub[i]->publisher);
    }
    return longest;
}

wc_us wc_fake_settle(struct wc_fake_world *w)
{
    /* A request reaches its home, what the home says the members; each may be a turn late. */
    for (int turn = 0; turn < 3; turn++)
        (void)wc_fake_turn(w);
    return wc_fake_turn(w);
}

void wc_fake_pass(struct wc_fake_world *w, wc_us time)
{
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        w->hub[i]->now += time;
}

struct wc_frame *wc_fake_take(struct wc_session *s)
{
    if (!s->out.count)
        return NULL;
    struct wc_frame *f = wc_frame_ref(wc_outq_at(&s->out, 0)->frame);
    wc_session_written(s, f->len);
    wc_session_accepted(s, f->len);
    return f;
}

void wc_fake_skip(struct wc_session *s)
{
    struct wc_frame *f;
    while ((f = wc_fake_take(s)))
        wc_frame_unref(f);
}
