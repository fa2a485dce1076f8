/*
 * What a refused token says to the client, when it connects and when it joins.
 * Threads: pure. Source: protocol reference, sections 1.3 and 3.4 row 7.
 */
#ifndef WC_FANOUT_TOKEN_H
#define WC_FANOUT_TOKEN_H

#include "auth/jwt.h"

struct wc_token_refusal {
    unsigned http_status;
    const char *connect_text;
    const char *join_reason;
};

/* For every result but OK. EXPIRED: the join reason is followed by wc_token_expired_text. */
const struct wc_token_refusal *wc_token_refusal(enum wc_jwt_result);

/* Appends "Token has expired <n> seconds ago". */
void wc_token_expired_text(struct wc_buf *, int64_t seconds);

#endif
