/*
 * What a refused token says to the client: when it connects, when it joins, and when it brings a
 * new one to a channel.
 * Threads: pure. Source: protocol reference, sections 1.3, 3.4 row 7, 3.10.
 */
#ifndef WC_FANOUT_TOKEN_H
#define WC_FANOUT_TOKEN_H

#include "auth/jwt.h"

struct wc_token_refusal {
    unsigned http_status;
    const char *connect_text;
    const char *join_reason;
    const char *refresh_text;
};

/* For every result but OK. EXPIRED: the join reason is followed by wc_token_expired_text, and so is
 * the empty refresh text. */
const struct wc_token_refusal *wc_token_refusal(enum wc_jwt_result);

/* A key of the kind "sb_...": not a JWT; in its place the connection's own token serves. */
bool wc_token_is_api_key(struct wc_slice token);

/* Appends "Token has expired <n> seconds ago". */
void wc_token_expired_text(struct wc_buf *, int64_t seconds);

#endif
