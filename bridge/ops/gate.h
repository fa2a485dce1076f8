/*
 * Who may use the routes of operators: a bearer of a token that one of up to two secrets has signed
 * (HS256, HS384, HS512), and that is not on a list of withdrawn ones. Two secrets, so that one can
 * be exchanged for the next while both are in use.
 *
 *   Authorization: Bearer TOKEN     exactly so, with a capital B and one space
 *
 * No claim is required; `exp` counts where it is present. A withdrawn token is known by its text,
 * and has no other spelling: what a token may not consist of is not accepted here.
 * Ownership: copies its options. Threads: any; immutable. Source: protocol reference, sections 8.1
 * and 10.1.
 */
#ifndef WC_BRIDGE_OPS_GATE_H
#define WC_BRIDGE_OPS_GATE_H

#include "base/buf.h"

struct wc_gate;

struct wc_gate_options {
    const char *secret, *next_secret; /* empty: none; without any nobody gets in */
    const char *blocklist;            /* tokens, separated by commas */
    const char *validators;           /* JWT_CLAIM_VALIDATORS; empty: none */
};

/* INVALID, LIMIT, NOMEM: err says what is wrong, without the secrets. */
WC_MUST_USE
enum wc_status wc_gate_make(const struct wc_gate_options *, struct wc_gate **out,
                            struct wc_err *err);
void wc_gate_free(struct wc_gate *); /* NULL is fine */

/* `authorization` is the header's value, `now` in Unix seconds. */
bool wc_gate_admits(const struct wc_gate *, struct wc_slice authorization, int64_t now);

#endif
