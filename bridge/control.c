#include "bridge/control.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/environment.h"

#include <stdlib.h>

struct wc_control {
    struct wc_control_options opt;
    struct wc_vault *vault;
    struct wc_record *seed; /* NULL: none */
    struct wc_store *store; /* bridge 0's */
};

/* ---- what the store tells ---- */

static void on_tenant(void *self, const struct wc_record *r)
{
    struct wc_control *c = self;
    struct wc_err err = {0};
    if (wc_registry_put(c->opt.registry, r, &err) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "control", "tenant_suspended",
               "tenant=%s error=\"%s\" hint=\"correct its jwt_secret or jwt_jwks\"", r->external_id,
               err.text);
}

static void on_gone(void *self, const char *external_id)
{
    struct wc_control *c = self;
    wc_registry_remove(c->opt.registry, external_id);
    wc_admin_forget(c->opt.admin, external_id);
}

static void on_unusable(void *self, size_t count)
{
    struct wc_store_state *s = ((struct wc_control *)self)->opt.state;
    atomic_store_explicit(&s->unusable, count, memory_order_relaxed); /* a figure */
}

static void on_loaded(void *self)
{
    struct wc_control *c = self;
    WC_LOG(WC_LOG_INFO, "control", "loaded", "tenants=%zu", wc_registry_count(c->opt.registry));
    atomic_store_explicit(&c->opt.state->is_loaded, true, memory_order_relaxed); /* a figure */
    wc_probe_set(c->opt.ready, WC_PROBE_READY);
    if (c->seed)
        wc_admin_prepare(c->opt.admin, c->seed->external_id);
}

/* Constant strings and flags, each read by itself. */
static void on_state(void *self, bool is_connected, const char *reason, const char *hint)
{
    struct wc_store_state *s = ((struct wc_control *)self)->opt.state;
    atomic_store_explicit(&s->reason, reason, memory_order_relaxed);
    atomic_store_explicit(&s->hint, hint, memory_order_relaxed);
    atomic_store_explicit(&s->is_connected, is_connected, memory_order_relaxed);
}

/* ---- bridge 0 ---- */

static void begin(void *arg)
{
    static const struct wc_store_hooks hooks = {.on_tenant = on_tenant,
                                                .on_gone = on_gone,
                                                .on_unusable = on_unusable,
                                                .on_loaded = on_loaded,
                                                .on_state = on_state};
    struct wc_control *c = arg;
    const struct wc_config *config = c->opt.config;
    const struct wc_store_options o = {.pg = wc_environment_pg(config),
                                       .after_connect_query = config->db_after_connect_query,
                                       .vault = c->vault,
                                       .refresh_ms = config->tenant_cache_expiration_ms,
                                       .seed = c->seed};
    c->store = wc_store_new(wc_bridge_loop(c->opt.bridge), &o, &hooks, c);
    WC_ASSERT(c->store); /* at start-up running out of memory is fatal */
    wc_admin_attach(c->opt.admin, c->store);
}

static void end(void *arg)
{
    struct wc_control *c = arg;
    wc_store_free(c->store);
    c->store = NULL;
    wc_admin_attach(c->opt.admin, NULL);
}

/* ---- main ---- */

static bool make_vault(struct wc_control *c, struct wc_err *err)
{
    const struct wc_config *config = c->opt.config;
    struct wc_err why = {0};
    if (wc_vault_make(wc_slice_str(config->db_enc_key_gcm), wc_slice_str(config->db_enc_key),
                      config->db_enc_write_gcm == WC_DB_ENC_WRITE_GCM_FALSE, &c->vault,
                      &why) == WC_OK)
        return true;
    (void)wc_err_set(err, why.code, "DB_ENC_KEY_GCM, DB_ENC_KEY: %s", why.text);
    wc_err_hint(err, "DB_ENC_KEY_GCM is 32 bytes, such as `openssl rand -hex 16` prints");
    return false;
}

static bool make_seed(struct wc_control *c, struct wc_err *err)
{
    const struct wc_config *config = c->opt.config;
    if (config->seed_self_host == WC_SEED_SELF_HOST_FALSE)
        return true;
    if (!config->api_jwt_secret[0] && !config->api_jwt_jwks[0]) {
        (void)wc_err_set(err, WC_INVALID,
                         "SEED_SELF_HOST: the tenant needs API_JWT_SECRET or API_JWT_JWKS");
        return false;
    }
    c->seed = wc_environment_seed(config);
    if (!c->seed)
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return c->seed != NULL;
}

struct wc_control *wc_control_new(const struct wc_control_options *o, struct wc_err *err)
{
    struct wc_control *c = calloc(1, sizeof *c);
    if (!c) {
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    c->opt = *o;
    if (!make_vault(c, err) || !make_seed(c, err)) {
        wc_control_free(c);
        return NULL;
    }
    const struct wc_bridge_guest guest = {begin, end, c};
    wc_bridge_host(o->bridge, &guest);
    return c;
}

void wc_control_free(struct wc_control *c)
{
    if (!c)
        return;
    wc_record_free(c->seed);
    wc_vault_free(c->vault);
    free(c);
}
