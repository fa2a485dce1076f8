/*
 * The reading of a form's extensions, and what it shares with form.c.
 * Threads: pure.
 */
#ifndef WC_BRIDGE_OPS_EXTENSION_PRIV_H
#define WC_BRIDGE_OPS_EXTENSION_PRIV_H

#include "bridge/ops/form.h"

/* A document that is being read. */
struct wc_form_input {
    const struct wc_json *doc;
    struct wc_arena *scratch;
    struct wc_buf *errors; /* {"errors":{ and fields, once one is refused */
    bool is_refused;
    enum wc_status status; /* NOMEM */
};

/* Begins the errors of a field; its list follows. */
void wc_form_refuse(struct wc_form_input *, const char *field);

/* Puts a copy in place of a field of the record. */
void wc_form_keep(struct wc_form_input *, char **field, struct wc_slice text);

bool wc_form_is_blank(struct wc_slice);
/* Has it no NUL, which Postgres' jsonb cannot hold? */
bool wc_form_fits_jsonb(struct wc_slice json);
/* Up to INT32_MAX, also as a string of digits. */
bool wc_form_read_count(const struct wc_form_input *, uint32_t node, uint32_t *out);
bool wc_form_read_bool(const struct wc_form_input *, uint32_t node, bool *out);

/* Fills in has_database and database, which hold defaults. */
void wc_form_read_extensions(struct wc_form_input *, uint32_t list, struct wc_record *);

#endif
