/*
 * Two socket threads without sockets, run by one test: hubs over one mesh and one table of rooms,
 * with the tenant of fake_source. What a session would write is read from its queue.
 * Failures of set-up are assertions of the test. Threads: one.
 */
#ifndef WC_TESTS_UNIT_FANOUT_FAKE_WORLD_H
#define WC_TESTS_UNIT_FANOUT_FAKE_WORLD_H

#include "fanout/hub.h"
#include "tests/unit/fanout/fake_source.h"

enum { WC_FAKE_HUBS = 2, WC_FAKE_PRESENCE_CALLS = 5, WC_FAKE_PRESENCE_WINDOW_US = 30000000 };

struct wc_fake_world {
    struct wc_fake_source source;
    struct wc_mesh *mesh;
    struct wc_rooms *rooms;
    struct wc_hub *hub[WC_FAKE_HUBS];
    struct wc_presence_budget presence; /* a mebibyte */
    char *token;
};

void wc_fake_world_init(struct wc_fake_world *, uint32_t ring_entries);
void wc_fake_world_release(struct wc_fake_world *); /* every session was dropped */

/* The same as a test's fixture, with the world as its state. */
int wc_fake_setup(void **state);
int wc_fake_teardown(void **state);

struct wc_session *wc_fake_open(struct wc_fake_world *, unsigned thread, enum wc_serializer);
void wc_fake_drop(struct wc_session *);

void wc_fake_send(struct wc_session *, const char *text);
/* Joins "realtime:" + sub with this config (JSON text); the replies are consumed. */
void wc_fake_join(struct wc_session *, const char *sub, const char *config);

/* Both threads publish what they have, deliver what there is, and deal with presence. Returns the
 * longest time that presence asks to wait. */
wc_us wc_fake_turn(struct wc_fake_world *);
/* Turns until nothing is under way. */
wc_us wc_fake_settle(struct wc_fake_world *);
void wc_fake_pass(struct wc_fake_world *, wc_us time);

/* The first frame waiting for the session, out of the queue: owned, NULL when there is none. */
struct wc_frame *wc_fake_take(struct wc_session *);
void wc_fake_skip(struct wc_session *); /* all that waits */

#endif
