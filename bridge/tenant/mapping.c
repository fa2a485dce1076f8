#include "bridge/tenant/mapping_priv.h"

#include "bridge/authz/authz.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORD_BYTES_MAX = 64 << 20 }; /* as over HTTP; a row of the store may say more */

static struct wc_tenant_limits limits_of(const struct wc_record *r)
{
    return (struct wc_tenant_limits){.max_concurrent_users = r->max_concurrent_users,
                                     .max_channels_per_client = r->max_channels_per_client,
                                     .max_joins_per_second = r->max_joins_per_second,
                                     .max_events_per_second = r->max_events_per_second,
                                     .max_presence_events_per_second =
                                         r->max_presence_events_per_second,
                                     .max_payload_kb = r->max_payload_kb,
                                     .presence_max_calls = r->presence_max_calls,
                                     .presence_window_ms = r->presence_window_ms,
                                     .presence_enabled = r->presence_enabled};
}

/* 0: it is none. */
static uint16_t port_of(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    return *text && *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static const char *sslmode_of(const struct wc_record_database *d,
                              const struct wc_pg_options *defaults)
{
    if (defaults->sslmode)
        return defaults->sslmode;
    if (!d->ssl_enforced)
        return "disable";
    return defaults->sslrootcert[0] ? "verify-full" : "require";
}

static void map_database(const struct wc_record_database *d,
                         const struct wc_tenant_options *defaults, struct wc_tenant_options *out)
{
    out->pg.host = d->host;
    out->pg.port = port_of(d->port);
    out->pg.dbname = d->name;
    out->pg.user = d->user;
    out->pg.password = d->password;
    out->pg.sslmode = sslmode_of(d, &defaults->pg);
    out->pool = d->pool < WC_AUTHZ_POOL_MAX ? d->pool : WC_AUTHZ_POOL_MAX;
    out->max_record_bytes =
        d->max_record_bytes < RECORD_BYTES_MAX ? d->max_record_bytes : RECORD_BYTES_MAX;
    if (d->publication && d->publication[0])
        out->publications = d->publication;
    if (out->judge.pg.user && out->judge.pg.user[0])
        return;
    out->judge.pg.user = d->user;
    out->judge.pg.password = d->password;
}

static void map_no_database(struct wc_tenant_options *out)
{
    out->pg.host = out->pg.dbname = out->pg.user = out->pg.password = "";
    out->pg.sslmode = "";
    out->judge.pg.user = out->judge.pg.password = "";
}

/* A name that is too long loses its end, the suffix stays. */
static void name_slot(const struct wc_record_database *d, const char *suffix,
                      char slot[WC_SLOT_NAME])
{
    size_t len = suffix[0] ? strlen(suffix) + 1 : 0;
    int room = len < WC_SLOT_NAME - 1 ? (int)(WC_SLOT_NAME - 1 - len) : 0;
    if (d->permanent_slot && d->slot_name[0])
        (void)snprintf(slot, WC_SLOT_NAME, "%.*s%s%s", room, d->slot_name, len ? "_" : "",
                       suffix); /* fits, unless the suffix alone does not */
}

void wc_tenant_map_record(const struct wc_record *r, const struct wc_tenant_options *defaults,
                          const char *slot_suffix, char slot[WC_SLOT_NAME],
                          struct wc_tenant_options *out)
{
    *out = *defaults;
    out->slot_name = slot;
    out->keys = NULL;
    out->external_id = r->external_id;
    out->limits = limits_of(r);
    out->is_suspended = r->suspend;
    out->private_only = r->private_only;
    slot[0] = '\0';
    if (!r->has_database) {
        map_no_database(out);
        return;
    }
    name_slot(&r->database, slot_suffix, slot);
    map_database(&r->database, defaults, out);
}
