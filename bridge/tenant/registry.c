#include "bridge/tenant/registry.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/map.h"
#include "bridge/tenant/mapping_priv.h"
#include "bridge/tenant/options_priv.h"
#include "fanout/whose.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
    struct wc_map_node node; /* key: the record's external_id */
    struct wc_record *record;
    struct wc_tenant *tenant; /* as the record says; a reference */
};

struct wc_registry {
    /* const after new */
    struct wc_tenant_options defaults; /* strings owned */
    char *validators, *default_tenant, *slot_suffix;
    struct wc_bridge **bridge;
    size_t nbridges;

    /* the writer's */
    size_t *load; /* per bridge: tenants */
    uint64_t last_number;

    pthread_rwlock_t lock; /* guards the table, written by one thread; lock 3 of base/thread.h */
    struct wc_map by_name;
};

/* None of these can fail: a plain lock, taken once. */
static void lock_shared(struct wc_registry *r)
{
    (void)pthread_rwlock_rdlock(&r->lock);
}

static void lock(struct wc_registry *r)
{
    (void)pthread_rwlock_wrlock(&r->lock);
}

static void unlock(struct wc_registry *r)
{
    (void)pthread_rwlock_unlock(&r->lock);
}

static struct entry *find_locked(const struct wc_registry *r, struct wc_slice name)
{
    struct wc_map_node *n = wc_map_get(&r->by_name, name);
    return n ? WC_CONTAINER(n, struct entry, node) : NULL;
}

/* ---- the directory: any thread ---- */

static struct entry *find_addressed_locked(const struct wc_registry *r,
                                           const struct wc_tenant_address *at)
{
    if (at->name.p)
        return find_locked(r, at->name);
    struct entry *e = find_locked(r, wc_host_label(at->host));
    return e ? e : find_locked(r, wc_slice_str(r->default_tenant));
}

static struct wc_tenant_view *find(void *self, const struct wc_tenant_address *at)
{
    struct wc_registry *r = self;
    lock_shared(r);
    const struct entry *e = find_addressed_locked(r, at);
    struct wc_tenant_view *v = e ? wc_tenant_view_ref(wc_tenant_view(e->tenant)) : NULL;
    unlock(r);
    return v;
}

struct wc_directory wc_registry_directory(struct wc_registry *r)
{
    return (struct wc_directory){.self = r, .find = find};
}

/* ---- tenants of records: the writer ---- */

static size_t least_loaded(const struct wc_registry *r)
{
    size_t least = 0;
    for (size_t i = 1; i < r->nbridges; i++)
        if (r->load[i] < r->load[least])
            least = i;
    return least;
}

static size_t index_of(const struct wc_registry *r, const struct wc_bridge *b)
{
    size_t i = 0;
    while (r->bridge[i] != b)
        i++;
    return i;
}

/* Keys that verify nothing, when those of the record cannot be used. */
static enum wc_status make_keys(const struct wc_registry *r, const struct wc_record *record,
                                struct wc_keyset **out, struct wc_err *err)
{
    const struct wc_keyset_source from = {
        .secret = wc_slice_str(record->jwt_secret ? record->jwt_secret : ""),
        .jwks = wc_slice_str(record->jwt_jwks ? record->jwt_jwks : ""),
        .validators = wc_slice_str(r->validators)};
    enum wc_status st = wc_keyset_make(&from, out, err);
    if (st == WC_OK || st == WC_NOMEM)
        return st;
    *out = wc_keyset_new(wc_slice(NULL, 0));
    return *out ? WC_INVALID : WC_NOMEM;
}

/* Lives on `bridge`. INVALID: suspended, for its keys cannot be used. */
static enum wc_status make_tenant(struct wc_registry *r, const struct wc_record *record,
                                  size_t bridge, struct wc_tenant **out, struct wc_err *err)
{
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    wc_tenant_map_record(record, &r->defaults, r->slot_suffix, slot, &o);
    enum wc_status st = make_keys(r, record, &o.keys, err);
    if (st == WC_NOMEM)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    o.is_suspended |= st == WC_INVALID;
    *out = wc_tenant_new(&o, r->last_number + 1);
    if (!*out)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    r->last_number++;
    wc_tenant_set_bridge(*out, r->bridge[bridge]);
    return st;
}

static void retire(struct wc_tenant *t)
{
    wc_bridge_order(wc_tenant_bridge(t), t, WC_BRIDGE_RETIRE);
    wc_tenant_view_unref(wc_tenant_view(t));
}

static void introduce(struct wc_tenant *t)
{
    wc_bridge_order(wc_tenant_bridge(t), t, WC_BRIDGE_KNOW);
}

static void free_entry(struct entry *e)
{
    if (!e)
        return;
    wc_record_free(e->record);
    free(e);
}

/* Takes the record, on failure too. */
static enum wc_status add(struct wc_registry *r, struct wc_record *record, struct wc_err *err)
{
    struct entry *e = calloc(1, sizeof *e);
    size_t bridge = least_loaded(r);
    if (!e) {
        wc_record_free(record);
        return wc_err_set(err, WC_NOMEM, "out of memory");
    }
    e->record = record;
    e->node.key = wc_slice_str(record->external_id);
    enum wc_status st = make_tenant(r, record, bridge, &e->tenant, err);
    if (st == WC_NOMEM) {
        free_entry(e);
        return st;
    }
    lock(r);
    enum wc_status inserted = wc_map_insert(&r->by_name, &e->node);
    unlock(r);
    if (inserted != WC_OK) {
        wc_tenant_view_unref(wc_tenant_view(e->tenant));
        free_entry(e);
        return wc_err_set(err, WC_NOMEM, "out of memory");
    }
    r->load[bridge]++;
    introduce(e->tenant);
    return st;
}

/* The key is the record's, so both change under the lock; the place in the table stays, since the
 * names are equal. Takes the record. */
static void take_record_locked(struct entry *e, struct wc_record *record)
{
    wc_record_free(e->record);
    e->record = record;
    e->node.key = wc_slice_str(record->external_id);
}

/* On the same bridge, where the old one has closed before the new one opens: a permanent slot has
 * one reader. Takes the record, on failure too. */
static enum wc_status replace(struct wc_registry *r, struct entry *e, struct wc_record *record,
                              struct wc_err *err)
{
    struct wc_tenant *old = e->tenant, *fresh = NULL;
    enum wc_status st = make_tenant(r, record, index_of(r, wc_tenant_bridge(old)), &fresh, err);
    if (st == WC_NOMEM) {
        wc_record_free(record);
        return st;
    }
    lock(r);
    take_record_locked(e, record);
    e->tenant = fresh;
    unlock(r);
    retire(old);
    introduce(fresh);
    return st;
}

static void change_limits(struct wc_registry *r, struct entry *e, struct wc_record *record)
{
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    wc_tenant_map_record(record, &r->defaults, r->slot_suffix, slot, &o);
    wc_tenant_set_limits(e->tenant, &o.limits);
    lock(r);
    take_record_locked(e, record);
    unlock(r);
}

enum wc_status wc_registry_put(struct wc_registry *r, const struct wc_record *record,
                               struct wc_err *err)
{
    /* Without the lock: this thread is the only one that writes. */
    struct entry *e = find_locked(r, wc_slice_str(record->external_id));
    enum wc_record_change change = e ? wc_record_compare(e->record, record) : WC_RECORD_REPLACE;
    if (change == WC_RECORD_SAME)
        return WC_OK;
    struct wc_record *copy = wc_record_copy(record);
    if (!copy)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    if (change == WC_RECORD_REPLACE)
        return e ? replace(r, e, copy, err) : add(r, copy, err);
    change_limits(r, e, copy);
    return WC_OK;
}

void wc_registry_remove(struct wc_registry *r, const char *external_id)
{
    struct entry *e = find_locked(r, wc_slice_str(external_id)); /* see put */
    if (!e)
        return;
    lock(r);
    wc_map_remove(&r->by_name, &e->node);
    unlock(r);
    r->load[index_of(r, wc_tenant_bridge(e->tenant))]--;
    retire(e->tenant);
    free_entry(e);
}

static bool order(struct wc_registry *r, const char *external_id, unsigned orders)
{
    const struct entry *e = find_locked(r, wc_slice_str(external_id)); /* see put */
    if (e)
        wc_bridge_order(wc_tenant_bridge(e->tenant), e->tenant, orders);
    return e != NULL;
}

bool wc_registry_reload(struct wc_registry *r, const char *external_id)
{
    return order(r, external_id, WC_BRIDGE_DISCONNECT | WC_BRIDGE_LET_GO);
}

bool wc_registry_shutdown(struct wc_registry *r, const char *external_id)
{
    return order(r, external_id, WC_BRIDGE_LET_GO);
}

/* ---- health: any thread ---- */

static void describe(struct wc_tenant *t, struct wc_tenant_health *out)
{
    const struct wc_tenant_view *v = wc_tenant_view(t);
    *out = (struct wc_tenant_health){.external_id = v->external_id,
                                     .is_open = wc_tenant_is_open(t),
                                     .is_suspended = v->is_suspended,
                                     .users = wc_quota_users(v->quota)};
    wc_tenant_status(t, &out->repl);
    out->replication_connected = out->repl.state == WC_REPL_STREAMING && !out->repl.reason;
    out->db_connected = out->repl.state != WC_REPL_DOWN && out->repl.state != WC_REPL_CONNECTING;
}

bool wc_registry_health(struct wc_registry *r, const char *external_id,
                        struct wc_tenant_health *out)
{
    lock_shared(r);
    const struct entry *e = find_locked(r, wc_slice_str(external_id));
    if (e)
        describe(e->tenant, out);
    unlock(r);
    return e != NULL;
}

size_t wc_registry_count(struct wc_registry *r)
{
    lock_shared(r);
    size_t n = r->by_name.count;
    unlock(r);
    return n;
}

void wc_registry_each_tenant(struct wc_registry *r, void (*fn)(void *arg, struct wc_tenant *),
                             void *arg)
{
    lock_shared(r);
    for (struct wc_map_node *n = wc_map_each(&r->by_name, NULL); n; n = wc_map_each(&r->by_name, n))
        fn(arg, WC_CONTAINER(n, struct entry, node)->tenant);
    unlock(r);
}

struct teller {
    void (*fn)(void *arg, const struct wc_tenant_health *);
    void *arg;
};

static void tell(void *arg, struct wc_tenant *t)
{
    const struct teller *to = arg;
    struct wc_tenant_health h;
    describe(t, &h);
    h.tenant = t;
    to->fn(to->arg, &h);
}

void wc_registry_each(struct wc_registry *r, void (*fn)(void *arg, const struct wc_tenant_health *),
                      void *arg)
{
    struct teller to = {.fn = fn, .arg = arg};
    wc_registry_each_tenant(r, tell, &to);
}

/* ---- life cycle ---- */

void wc_registry_reach(const struct wc_registry *r, const struct wc_record *record,
                       struct wc_tenant_place *out)
{
    struct wc_tenant_options o;
    wc_tenant_map_record(record, &r->defaults, r->slot_suffix, out->slot, &o);
    out->pg = o.pg;
}

struct wc_registry *wc_registry_new(const struct wc_registry_options *o)
{
    struct wc_registry *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    wc_map_init(&r->by_name);
    (void)pthread_rwlock_init(&r->lock, NULL); /* cannot fail with default attributes */
    bool copied = wc_tenant_options_copy(&r->defaults, &o->defaults);
    r->defaults.always_open = o->always_open;
    r->defaults.idle_close_ms = o->idle_close_ms;
    r->validators = strdup(o->validators);
    r->default_tenant = strdup(o->default_tenant);
    r->slot_suffix = strdup(o->slot_suffix);
    if (copied && r->validators && r->default_tenant && r->slot_suffix)
        return r;
    wc_registry_free(r);
    return NULL;
}

enum wc_status wc_registry_use_bridges(struct wc_registry *r, struct wc_bridge *const *bridges,
                                       size_t n)
{
    WC_ASSERT(n > 0 && !r->bridge);
    r->bridge = calloc(n, sizeof(struct wc_bridge *));
    r->load = calloc(n, sizeof *r->load);
    if (!r->bridge || !r->load)
        return WC_NOMEM;
    memcpy(r->bridge, bridges, n * sizeof(struct wc_bridge *));
    r->nbridges = n;
    return WC_OK;
}

void wc_registry_free(struct wc_registry *r)
{
    if (!r)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&r->by_name, NULL))) {
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        wc_map_remove(&r->by_name, n);
        wc_tenant_view_unref(wc_tenant_view(e->tenant));
        free_entry(e);
    }
    wc_map_release(&r->by_name);
    (void)pthread_rwlock_destroy(&r->lock); /* nobody holds it */
    wc_tenant_options_release(&r->defaults);
    free(r->validators);
    free(r->default_tenant);
    free(r->slot_suffix);
    free(r->bridge);
    free(r->load);
    free(r);
}
