/*
 * What a request to create or change a tenant says: the object under "tenant", checked field by
 * field, and put over the tenant as it is.
 *
 *   read  ─→ form ─apply(base)→ record      errors, at either step: {"errors":{FIELD:[TEXT ...]}}
 *
 * A field that is absent keeps its value, one that is null gets its default; a list of extensions
 * replaces all there were, and a new tenant must bring one, which may be empty. Integers may come
 * as strings of digits, booleans as "true", "1", "false", "0". Unknown fields are left alone.
 *
 * Where the incumbent stores what it cannot use, or answers 500, the field is refused: limits of 0
 * or less, strings with NUL, a key set without a usable shape, a type of extension that does not
 * exist, another `external_id` for a tenant that has one, or one that no path can name: with
 * control characters, "." and "..". Ownership: a form owns its values and wipes them. Threads:
 * pure. Errors: INVALID with the text for a 422, NOMEM. Limits: 1 MiB of settings and flags, 1,000
 * settings. Source: protocol reference, section 10.2.
 */
#ifndef WC_BRIDGE_OPS_FORM_H
#define WC_BRIDGE_OPS_FORM_H

#include "base/json.h"
#include "bridge/store/record.h"

struct wc_form;

struct wc_form_context {
    struct wc_slice id;               /* of the path; p NULL: the form says it */
    const struct wc_record *defaults; /* of a new tenant, no field of it is a secret's */
    struct wc_arena *scratch;
};

/* `object` is a node of the document. */
WC_MUST_USE
enum wc_status wc_form_read(const struct wc_json *, uint32_t object, const struct wc_form_context *,
                            struct wc_form **out, struct wc_buf *errors);
void wc_form_free(struct wc_form *); /* NULL is fine */
const char *wc_form_external_id(const struct wc_form *);

/* The record to be stored; base NULL: it is a new tenant. */
WC_MUST_USE
enum wc_status wc_form_apply(const struct wc_form *, const struct wc_record *base,
                             struct wc_record **out, struct wc_buf *errors);

#endif
