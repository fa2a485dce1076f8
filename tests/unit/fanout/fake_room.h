/*
 * The private room "realtime:r" of fake_world: what its members say, what the test answers in the
 * place of the bridge, and what they get. Failures end the test. Threads: one.
 */
#ifndef WC_TESTS_UNIT_FANOUT_FAKE_ROOM_H
#define WC_TESTS_UNIT_FANOUT_FAKE_ROOM_H

#include "tests/unit/fanout/fake_world.h"

#define WC_FAKE_PRIVATE "{\"config\":{\"private\":true}}"
#define WC_FAKE_ACKED   "{\"config\":{\"private\":true,\"broadcast\":{\"ack\":true,\"self\":true}}}"
#define WC_FAKE_PRESENT                                                                            \
    "{\"config\":{\"private\":true,\"presence\":{\"enabled\":true,\"key\":\"k\"}}}"
#define WC_FAKE_TRACK "{\"type\":\"presence\",\"event\":\"track\",\"payload\":{\"u\":1}}"
#define WC_FAKE_UNAUTHORIZED                                                                       \
    "{\"reason\":\"Unauthorized: You do not have permissions to read from this Channel topic: "    \
    "r\"}"

void wc_fake_push(struct wc_session *, const char *event, const char *payload, unsigned ref);
/* `access_token` with a token of these claims. */
void wc_fake_refresh(struct wc_fake_world *, struct wc_session *, const char *claims);

/* To the hub of its handle. */
void wc_fake_deliver(struct wc_fake_world *, struct wc_msg *taken);
/* The last question: this much of what it asks is granted; or it has no answer. */
void wc_fake_answer(struct wc_fake_world *, unsigned granted);
void wc_fake_fail(struct wc_fake_world *, enum wc_authorize_error);
/* A row of realtime.messages for the room this session is in; id NULL: none. */
void wc_fake_broadcast(struct wc_fake_world *, const struct wc_session *member, const char *payload,
                       const uint8_t *id);

/* The next message must contain this text. */
void wc_fake_expect(struct wc_session *, const char *part);
void wc_fake_expect_nothing(struct wc_session *);

/* A session of version 2 that has joined with this payload, and was granted so much. */
struct wc_session *wc_fake_member(struct wc_fake_world *, unsigned thread, const char *payload,
                                  unsigned granted);

#endif
