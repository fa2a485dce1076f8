#include "bridge/environment.h"

#include <stdio.h>

#define MESSAGES_PUBLICATION "supabase_realtime_messages_publication" /* applications know it */

static void take_limits(struct wc_record *r, const struct wc_config *c)
{
    r->max_concurrent_users = c->tenant_max_concurrent_users;
    r->max_channels_per_client = c->tenant_max_channels_per_client;
    r->max_joins_per_second = c->tenant_max_joins_per_second;
    r->max_events_per_second = c->tenant_max_events_per_second;
    r->max_presence_events_per_second = c->tenant_max_presence_events_per_second;
    r->max_payload_kb = c->tenant_max_payload_kb;
}

static bool take_database(struct wc_record *r, const struct wc_config *c)
{
    if (!wc_record_add_database(r))
        return false;
    struct wc_record_database *d = &r->database;
    char port[12];
    (void)snprintf(port, sizeof port, "%u", c->db_port); /* fits: ten digits */
    d->pool = c->db_pool;
    d->permanent_slot = c->slot_name[0] != '\0';
    return wc_record_set(&d->host, c->db_host) && wc_record_set(&d->port, port) &&
           wc_record_set(&d->name, c->db_name) && wc_record_set(&d->user, c->db_user) &&
           wc_record_set(&d->password, c->db_password) &&
           wc_record_set(&d->publication, c->publications) &&
           (!d->permanent_slot || wc_record_set(&d->slot_name, c->slot_name));
}

struct wc_record *wc_environment_record(const struct wc_config *c)
{
    struct wc_record *r = wc_record_new(c->tenant_name);
    if (!r)
        return NULL;
    take_limits(r, c);
    const char *jwks = c->api_jwt_jwks[0] ? c->api_jwt_jwks : NULL;
    if (wc_record_set(&r->jwt_secret, c->jwt_secret) && wc_record_set(&r->jwt_jwks, jwks) &&
        take_database(r, c))
        return r;
    wc_record_free(r);
    return NULL;
}

bool wc_environment_is_mode(const struct wc_config *c)
{
    return c->jwt_secret[0] != '\0';
}

struct wc_record *wc_environment_defaults(const struct wc_config *c)
{
    struct wc_record *r = wc_record_new("");
    if (!r)
        return NULL;
    const struct {
        uint32_t *field, value;
    } limits[] = {{&r->max_concurrent_users, c->tenant_max_concurrent_users},
                  {&r->max_channels_per_client, c->tenant_max_channels_per_client},
                  {&r->max_joins_per_second, c->tenant_max_joins_per_second},
                  {&r->max_events_per_second, c->tenant_max_events_per_second},
                  {&r->max_presence_events_per_second, c->tenant_max_presence_events_per_second},
                  {&r->max_bytes_per_second, c->tenant_max_bytes_per_second},
                  {&r->max_payload_kb, c->tenant_max_payload_kb}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value) /* 0 is "not said" */
            *limits[i].field = limits[i].value;
    return r;
}

/* As the reference has it: no TLS, a region in any case. */
static bool take_seed(struct wc_record *r, const struct wc_config *c)
{
    const char *jwks = c->api_jwt_jwks[0] ? c->api_jwt_jwks : NULL;
    const char *secret = c->api_jwt_secret[0] ? c->api_jwt_secret : NULL;
    if (!take_database(r, c))
        return false;
    r->database.ssl_enforced = false;
    return wc_record_set(&r->external_id, c->tenant_name) &&
           wc_record_set(&r->name, c->tenant_name) && wc_record_set(&r->jwt_secret, secret) &&
           wc_record_set(&r->jwt_jwks, jwks) &&
           wc_record_set(&r->database.settings,
                         "{\"poll_interval_ms\":100,\"poll_max_changes\":100}") &&
           wc_record_set(&r->database.region, c->region[0] ? c->region : "us-east-1");
}

struct wc_record *wc_environment_seed(const struct wc_config *c)
{
    struct wc_record *r = wc_environment_defaults(c);
    if (r && take_seed(r, c))
        return r;
    wc_record_free(r);
    return NULL;
}

/* Without a login of their own (user empty) the checks use the tenant's. */
static struct wc_judge_options judge_of(const struct wc_config *c)
{
    return (struct wc_judge_options){.pg = {.user = c->db_rls_user, .password = c->db_rls_password},
                                     .search_path = c->db_rls_search_path,
                                     .statement_timeout_ms = c->db_rls_statement_timeout_ms,
                                     .lock_timeout_ms = c->db_rls_lock_timeout_ms,
                                     .batch_timeout_ms = c->db_rls_batch_timeout_ms};
}

/* DB_SSL is the reference's switch, and goes before our own. */
static const char *sslmode_of(const struct wc_config *c)
{
    if (c->db_ssl == WC_DB_SSL_FALSE)
        return wc_config_word_text(c->db_sslmode);
    return c->db_ssl_ca_cert[0] ? "verify-full" : "require";
}

static unsigned ip_version_of(const struct wc_config *c)
{
    if (c->db_ip_version == WC_DB_IP_VERSION_AUTO)
        return 0;
    return c->db_ip_version == WC_DB_IP_VERSION_4 ? 4 : 6;
}

struct wc_pg_options wc_environment_pg(const struct wc_config *c)
{
    return (struct wc_pg_options){.host = c->db_host,
                                  .port = (uint16_t)c->db_port,
                                  .dbname = c->db_name,
                                  .user = c->db_user,
                                  .password = c->db_password,
                                  .sslmode = sslmode_of(c),
                                  .sslrootcert = c->db_ssl_ca_cert,
                                  .ip_version = ip_version_of(c),
                                  .connect_timeout_ms = c->db_connect_timeout_ms};
}

/* Who gets requests that name nobody. */
static const char *default_tenant(const struct wc_config *c)
{
    bool is_any = c->tenant_host == WC_TENANT_HOST_AUTO ? wc_environment_is_mode(c)
                                                        : c->tenant_host == WC_TENANT_HOST_ANY;
    return c->default_tenant[0] || !is_any ? c->default_tenant : c->tenant_name;
}

static enum wc_deletes deletes_of(const struct wc_config *c)
{
    if (c->delete_under_rls == WC_DELETE_UNDER_RLS_NONE)
        return WC_DELETES_NONE;
    return c->delete_under_rls == WC_DELETE_UNDER_RLS_JUDGED ? WC_DELETES_JUDGED
                                                             : WC_DELETES_COMPATIBLE;
}

struct wc_registry_options wc_environment_options(const struct wc_config *c, unsigned producers)
{
    bool is_one = wc_environment_is_mode(c);
    return (struct wc_registry_options){
        .defaults = {.pg = {.sslmode = is_one ? sslmode_of(c) : NULL,
                            .sslrootcert = is_one ? c->db_ssl_ca_cert : c->tenant_db_ssl_ca_cert,
                            .ip_version = ip_version_of(c),
                            .connect_timeout_ms = c->db_connect_timeout_ms},
                     .judge = judge_of(c),
                     .no_compiling = c->rls_compile == WC_RLS_COMPILE_OFF,
                     .shadow_permille = c->rls_shadow_permille,
                     .deletes = deletes_of(c),
                     .publications = c->publications,
                     .messages_publication = MESSAGES_PUBLICATION,
                     .auto_migrate = c->auto_migrate == WC_AUTO_MIGRATE_AUTO
                                         ? !is_one
                                         : c->auto_migrate == WC_AUTO_MIGRATE_ON,
                     .freshness_ms = c->policy_freshness_ms,
                     .resume_grace_ms = c->resume_grace_ms,
                     .status_interval_ms = c->status_interval_ms,
                     .max_bindings = c->max_bindings_per_channel,
                     .producers = producers},
        .validators = c->jwt_claim_validators,
        .slot_suffix = c->slot_name_suffix,
        .default_tenant = default_tenant(c),
        .always_open = is_one,
        .idle_close_ms = c->tenant_idle_close_ms};
}

struct wc_janitor_options wc_environment_janitor(const struct wc_config *c)
{
    bool runs = c->run_janitor == WC_RUN_JANITOR_TRUE;
    return (struct wc_janitor_options){.first_ms = c->janitor_run_after_ms,
                                       .every_ms = c->janitor_schedule_timer_ms,
                                       .timeout_ms = c->janitor_children_timeout_ms,
                                       .visits_max = runs ? c->janitor_max_children : 0};
}
