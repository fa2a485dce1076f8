/*
 * The secret with which a database signs messages, read from it when the first one comes up, and
 * again when one is not signed with it (it may have changed), at most every WC_SECRET_AGAIN_US.
 *
 * Ownership: strings of the options are borrowed for its life. Threads: the loop's. Errors: without
 * a secret, or the right to read it, no message counts; said in the log, once for each reason.
 */
#ifndef WC_BRIDGE_MESSAGES_SECRET_H
#define WC_BRIDGE_MESSAGES_SECRET_H

#include "base/clock.h"
#include "bridge/messages/signed.h"
#include "bridge/pg/pg.h"

#define WC_SECRET_AGAIN_US (5 * 1000000)

struct wc_secret {
    enum { WC_SECRET_UNKNOWN, WC_SECRET_NONE, WC_SECRET_KNOWN } state;
    uint8_t key[WC_SIGNED_KEY_BYTES];
    uint32_t database;
    int64_t db_time;  /* the server's clock, in microseconds since 2000-01-01 UTC, */
    wc_us db_time_at; /* when ours, the monotonic one, was this */
    /* its own */
    struct uv_loop_s *loop;
    struct wc_pg_options pg_options;
    const char *tenant;
    struct wc_pg *pg;
    wc_us asked_at;
    char told[6]; /* SQLSTATE of the trouble logged last */
    bool was_told;
    void (*known)(void *arg);
    void *arg;
};

/* `known` is called when the first question has an answer, whatever it is. */
void wc_secret_init(struct wc_secret *, struct uv_loop_s *, const struct wc_pg_options *,
                    const char *tenant, void (*known)(void *arg), void *arg);
void wc_secret_release(struct wc_secret *);
/* Asks, unless it is asking or has asked just now. */
void wc_secret_ask(struct wc_secret *);

#endif
