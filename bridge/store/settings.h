/*
 * Settings of the database extension, the JSON object that the store keeps, and the fields of a
 * record: db_host, db_port, db_name, db_user and db_password are sealed strings; region,
 * publication, slot_name are strings; ssl_enforced is a boolean; db_pool, poll_max_record_bytes are
 * numbers. permanent_slot, a boolean, is ours alone. Other members are kept as they are.
 *
 * Threads: pure. Errors: INVALID: err names the setting, never a value; NOMEM.
 * Limits: 64 KiB. Source: database reference section 2.
 */
#ifndef WC_BRIDGE_STORE_SETTINGS_H
#define WC_BRIDGE_STORE_SETTINGS_H

#include "auth/vault.h"
#include "bridge/store/record.h"

/* Sets the fields that the settings have, and `settings` itself; after a failure, some of them. */
WC_MUST_USE
enum wc_status wc_store_settings_read(const struct wc_vault *, struct wc_slice json,
                                      struct wc_record_database *, struct wc_err *err);

/* Appends the object: members of `settings` that are not ours, then ours from the fields. */
WC_MUST_USE
enum wc_status wc_store_settings_write(const struct wc_vault *, const struct wc_record_database *,
                                       struct wc_buf *out, struct wc_err *err);

/* Likewise for one sealed text: `*field` of a record becomes what it says; `what` names it. */
WC_MUST_USE
enum wc_status wc_store_unseal(const struct wc_vault *, struct wc_slice sealed, const char *what,
                               char **field, struct wc_err *err);

#endif
