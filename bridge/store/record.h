/*
 * One tenant as the control store, or the environment, has it: plain data, secrets in clear.
 *
 * Ownership: a record owns its strings; free wipes them. Never NULL where the comment does not say
 * so. Threads: pure. Source: database reference section 2; protocol reference section 10.2.
 */
#ifndef WC_BRIDGE_STORE_RECORD_H
#define WC_BRIDGE_STORE_RECORD_H

#include "base/buf.h"

/* Settings of the tenant's one extension, postgres_cdc_rls: where its database is. */
struct wc_record_database {
    char *type; /* as stored */
    char *host, *port, *name, *user, *password;
    char *region;
    char *publication;
    char *slot_name; /* of the reference; a permanent slot only where `permanent_slot` says so */
    bool permanent_slot;
    bool ssl_enforced;
    uint32_t pool;             /* connections for questions about private channels */
    uint32_t max_record_bytes; /* of a change */
    char *settings;            /* the JSON object as stored: secrets encrypted, unknown keys kept */
    char *inserted_at, *updated_at; /* ISO 8601 without zone, UTC */
};

struct wc_record {
    char *id; /* uuid */
    char *external_id, *name;
    char *jwt_secret; /* NULL: none */
    char *jwt_jwks;   /* NULL: none; a JSON object */
    char *postgres_cdc_default;
    uint32_t max_concurrent_users, max_events_per_second, max_presence_events_per_second,
        max_bytes_per_second, max_channels_per_client, max_joins_per_second, max_payload_kb;
    uint32_t presence_max_calls, presence_window_ms; /* 0: null, the server's own */
    bool suspend, private_only, presence_enabled;
    char *broadcast_adapter;
    char *feature_flags; /* a JSON object */
    uint32_t migrations_ran;
    char *inserted_at, *updated_at;
    bool has_database; /* an extension row exists; else the strings of `database` are NULL */
    struct wc_record_database database;
};

/* What the reference gives a tenant of which only the name is known: no keys, no database, and no
 * id and times yet (empty). Owned; NULL when out of memory. */
struct wc_record *wc_record_new(const char *external_id);
/* Likewise, of a database that is nowhere yet; it must have none. False when out of memory. */
WC_MUST_USE
bool wc_record_add_database(struct wc_record *);
/* `*field`, a string of a record, becomes a copy of `value` (NULL: none); what it was is wiped.
 * False when out of memory: it is as it was. */
WC_MUST_USE
bool wc_record_set(char **field, const char *value);

struct wc_record *wc_record_copy(const struct wc_record *); /* owned; NULL when out of memory */
void wc_record_free(struct wc_record *);                    /* NULL is fine */

/* What a difference between two records of one tenant means for who is connected. */
enum wc_record_change {
    WC_RECORD_SAME,    /* nothing, or what no client notices */
    WC_RECORD_LIMITS,  /* limits: they count anew */
    WC_RECORD_REPLACE, /* keys, private_only, suspend, the database: everybody has to come back */
};
enum wc_record_change wc_record_compare(const struct wc_record *, const struct wc_record *);

#endif
