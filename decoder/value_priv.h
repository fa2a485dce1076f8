/* Shared by value.c (scalars) and nested.c (what is made of other values). */
#ifndef WC_DECODER_VALUE_PRIV_H
#define WC_DECODER_VALUE_PRIV_H

#include "decoder/value.h"

/* Where a value stands, and how it is written. */
struct wc_value_place {
    unsigned depth;
    bool is_exact; /* int8 and numeric are */
};

/* value.c: a value inside another one, without the outer one's quotes and escapes. */
WC_MUST_USE
enum wc_status wc_value_render_inner(struct wc_buf *out, const struct wc_type *,
                                     struct wc_slice text, struct wc_value_place);

/* nested.c: an array, vector, composite or hstore. A refused one may leave part of it in out. */
WC_MUST_USE
enum wc_status wc_nested_render(struct wc_buf *out, const struct wc_type *, struct wc_slice text,
                                struct wc_value_place);

#endif
