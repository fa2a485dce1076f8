/*
 * Claim validators: an object of claims and the values they must have. Those a token has must be
 * equal as JSON: members in any order, of repeated ones the last, numbers by value. A claim that is
 * absent passes. Threads: pure. Source: protocol reference, section 8.1.
 */
#ifndef WC_AUTH_VALIDATOR_H
#define WC_AUTH_VALIDATOR_H

#include "auth/jwt.h"
#include "base/json.h"

/* Both are objects, or `validators` has no nodes. The arena is scratch. OK, CLAIMS_INVALID or
 * NO_MEMORY. */
enum wc_jwt_result wc_validators_check(const struct wc_json *validators,
                                       const struct wc_json *payload, struct wc_arena *arena);

#endif
