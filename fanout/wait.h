/*
 * A channel that waits for an answer of the bridge: what its client sends to the topic meanwhile is
 * kept, and dealt with in order afterwards. Heartbeats and other topics go on.
 *
 *   join of a private room ──▸ PERMISSIONS ──▸ (its changes, if it asks to wait for them, or)
 * joined join that waits for its changes ──▸ CHANGES ──▸ joined joined, sends to a private room for
 * the first time ──▸ WRITE ──▸ joined joined to a private room, has a new token ──▸ REFRESH ──▸
 * joined, or shut
 *
 * A join that is refused, or not answered in time, ends the channel before what was kept is handed
 * over: it is answered as on a topic that is not joined. So is what was kept when a channel is
 * shut.
 *
 * While its join waits the channel is in no room (but for a replay, permit.h), and at most
 * WC_WAIT_MESSAGES_MAX messages are kept for it, within WC_WAIT_BYTES_MAX over all waiting channels
 * of a connection; others are dropped. What a joined one sends is never dropped: above
 * WC_WAIT_BYTES_MAX its connection is not read until an answer comes, so that much and one message
 * is the bound.
 *
 * Ownership: the channel's. Threads: the hub's. Source: protocol reference, sections 3.4, 3.10, 15.
 */
#ifndef WC_FANOUT_WAIT_H
#define WC_FANOUT_WAIT_H

#include "fanout/hub.h"
#include "fanout/replay.h"

enum {
    WC_WAIT_MESSAGES_MAX = 16,
    WC_WAIT_BYTES_MAX = 256 << 10,
    WC_WAIT_DEFAULT_MS = 15000, /* for changes; both as the reference has them */
    WC_WAIT_MAX_MS = 20000,
    WC_WAIT_ANSWER_MS = 16000, /* for permissions: the bridge has 15 s, and the answer its way */
};

enum wc_wait_for { WC_WAIT_PERMISSIONS, WC_WAIT_CHANGES, WC_WAIT_WRITE, WC_WAIT_REFRESH };

struct wc_wait {
    struct wc_list in_hub; /* hub->waiting */
    struct wc_channel *channel;
    enum wc_wait_for what;
    wc_us deadline;

    /* of a join */
    struct wc_frame *reply;       /* owned: what answers it when all is well */
    uint32_t changes_ms;          /* how long it waits for its changes; 0: it does not */
    struct wc_replay_wish replay; /* asked for with the permissions */
    struct wc_msg *permitted;     /* a reference: the answer, with what is replayed */

    /* permit.h; of enum wc_permission */
    unsigned asked, granted;
    unsigned had; /* REFRESH: what it might read before */
    struct wc_held_back *first_held, **end_held;
    uint32_t nheld;
    size_t held_bytes;

    struct wc_kept {
        struct wc_kept_message *first, **end;
        uint32_t count;
        size_t bytes;
    } kept;
};

/* NULL when out of memory. The channel does not wait yet. */
struct wc_wait *wc_wait_begin(struct wc_channel *, enum wc_wait_for, uint32_t timeout_ms);
/* The answer has come, and another is waited for. */
void wc_wait_turn(struct wc_wait *, enum wc_wait_for, uint32_t timeout_ms);
void wc_wait_free(struct wc_wait *); /* with what was kept; NULL is fine */

static inline bool wc_wait_is_join(const struct wc_wait *w)
{
    return w && (w->what == WC_WAIT_PERMISSIONS || w->what == WC_WAIT_CHANGES);
}

/* A message for a waiting channel's topic. LIMIT, NOMEM: it is dropped. */
WC_MUST_USE
enum wc_status wc_wait_keep(struct wc_wait *, struct wc_slice message, bool is_binary);
/* The session must not be read: too much is kept of it. */
bool wc_wait_is_full(const struct wc_session *);

/* What was kept, taken out of the wait (NULL is fine). It must be handed over, as the last that is
 * done for the channel: what the messages do may end it, or make it wait again. */
struct wc_kept wc_wait_take(struct wc_wait *);
void wc_kept_hand_over(struct wc_session *, struct wc_kept *);

/* Those that have waited long enough, by hub->now, have got no answer. */
void wc_wait_expire(struct wc_hub *);

#endif
