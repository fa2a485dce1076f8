/*
 * What a refused token says to the client: when it connects, when it joins, and when it brings a
 * new one to a channel. The texts are for every result but OK; `detail` is what came with it.
 * Threads: pure. Source: protocol reference, sections 1.3, 3.4 row 7, 3.10.
 */
#ifndef WC_FANOUT_TOKEN_H
#define WC_FANOUT_TOKEN_H

#include "auth/jwt.h"

unsigned wc_token_http_status(enum wc_jwt_result);

/* Append to the buffer. */
void wc_token_connect_text(struct wc_buf *, enum wc_jwt_result, const struct wc_jwt_detail *);
void wc_token_join_reason(struct wc_buf *, enum wc_jwt_result, const struct wc_jwt_detail *);
void wc_token_refresh_text(struct wc_buf *, enum wc_jwt_result, const struct wc_jwt_detail *);

/* A key of the kind "sb_...": not a JWT; in its place the connection's own token serves. */
bool wc_token_is_api_key(struct wc_slice token);

/* Appends "Token has expired <n> seconds ago". */
void wc_token_expired_text(struct wc_buf *, int64_t seconds);

#endif
