/*
 * What is held in memory. All are read in two steps: pages of names with fingerprints, then, before
 * the next page, whole tenants whose fingerprint is not the one in memory; so reading again costs
 * little where little has changed, and no turn of the loop unseals more than a batch. One question
 * is under way at a time.
 *
 *   page ─→ wanted ─(batch)→ asked ─→ entries     a notification is wanted, too
 */
#include "bridge/store/store_priv.h"

#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE = 1000,
    WANTED_MAX = 2000, /* notifications; more of them: all are read */
    ARRAY_CAP = 4 << 20,
};
#define PAGE_TEXT "1000"

static void go_on(struct wc_store *s);

struct wanted {
    struct wc_map_node node; /* key: id */
    bool is_there;
    char id[];
};

static void on_refresh(uv_timer_t *timer)
{
    wc_store_read_all(timer->data);
}

void wc_store_read_init(struct wc_store *s)
{
    wc_map_init(&s->entries);
    wc_map_init(&s->wanted);
    wc_map_init(&s->asked);
    (void)uv_timer_init(s->loop, &s->refresh); /* cannot fail */
    s->refresh.data = s;
}

static void clear(struct wc_map *map)
{
    for (struct wc_map_node *next, *n = wc_map_each(map, NULL); n; n = next) {
        next = wc_map_each(map, n);
        wc_map_remove(map, n);
        free(WC_CONTAINER(n, struct wanted, node));
    }
}

void wc_store_read_forget(struct wc_store *s)
{
    (void)uv_timer_stop(&s->refresh); /* stopping an idle timer is no error */
    clear(&s->wanted);
    clear(&s->asked);
    free(s->after);
    s->after = NULL;
    s->is_asking = s->is_listing = s->is_filling = s->want_all = false;
}

void wc_store_read_release(struct wc_store *s)
{
    wc_store_read_forget(s);
    for (struct wc_map_node *next, *n = wc_map_each(&s->entries, NULL); n; n = next) {
        next = wc_map_each(&s->entries, n);
        struct wc_store_entry *e = WC_CONTAINER(n, struct wc_store_entry, node);
        wc_map_remove(&s->entries, n);
        wc_record_free(e->record);
        free(e);
    }
    wc_map_release(&s->entries);
    wc_map_release(&s->wanted);
    wc_map_release(&s->asked);
}

/* ---- entries ---- */

static void set_unusable(struct wc_store *s, struct wc_store_entry *e, bool is_unusable)
{
    if (e->is_unusable == is_unusable)
        return;
    e->is_unusable = is_unusable;
    s->nunusable = is_unusable ? s->nunusable + 1 : s->nunusable - 1;
    s->hooks.on_unusable(s->self, s->nunusable);
}

struct wc_store_entry *wc_store_entry(const struct wc_store *s, const char *id)
{
    struct wc_map_node *n = wc_map_get(&s->entries, wc_slice_str(id));
    return n ? WC_CONTAINER(n, struct wc_store_entry, node) : NULL;
}

static struct wc_store_entry *find_or_add(struct wc_store *s, const char *id)
{
    struct wc_store_entry *e = wc_store_entry(s, id);
    size_t len = strlen(id);
    if (e || !(e = calloc(1, sizeof *e + len + 1)))
        return e;
    memcpy(e->id, id, len);
    e->node.key = wc_slice(e->id, len);
    if (wc_map_insert(&s->entries, &e->node) == WC_OK)
        return e;
    free(e);
    return NULL;
}

struct wc_record *wc_store_drop(struct wc_store *s, const char *external_id)
{
    struct wc_store_entry *e = wc_store_entry(s, external_id);
    if (!e)
        return NULL;
    struct wc_record *r = e->record;
    wc_map_remove(&s->entries, &e->node);
    set_unusable(s, e, false);
    if (r)
        s->hooks.on_gone(s->self, e->id);
    free(e);
    return r;
}

/* The row has changed since it was read. */
static struct wc_record *replace(struct wc_store *s, struct wc_store_entry *e,
                                 struct wc_record *now, const struct wc_err *why)
{
    struct wc_record *before = e->record;
    e->record = now;
    set_unusable(s, e, !now);
    if (!now)
        WC_LOG(WC_LOG_WARN, "store", "tenant_unusable",
               "tenant=\"%s\" error=\"%s\" hint=\"mend its rows in schema _realtime, or the keys "
               "DB_ENC_KEY and DB_ENC_KEY_GCM\"",
               e->id, why->text);
    if (now)
        s->hooks.on_tenant(s->self, now);
    else if (before)
        s->hooks.on_gone(s->self, e->id);
    return before;
}

struct wc_store_entry *wc_store_take(struct wc_store *s, const struct wc_pg_result *res, int row,
                                     struct wc_record **before, struct wc_err *err)
{
    const char *id = wc_store_row_id(res, row), *print = wc_store_row_fingerprint(res, row);
    struct wc_store_entry *e = find_or_add(s, id);
    *before = NULL;
    if (!e) {
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    e->seen = s->pass;
    if (strcmp(e->fingerprint, print) == 0)
        return e;
    struct wc_record *now = NULL;
    if (wc_store_row(s->opt.vault, res, row, &now, err) == WC_NOMEM)
        return NULL; /* its fingerprint is still the old one: it is read again */
    (void)snprintf(e->fingerprint, sizeof e->fingerprint, "%s", print); /* 20 digits at most */
    *before = replace(s, e, now, err);
    return e;
}

/* ---- whole tenants ---- */

static bool want(struct wc_store *s, const char *id)
{
    size_t len = strlen(id);
    if (wc_map_get(&s->wanted, wc_slice(id, len)))
        return true;
    struct wanted *w = calloc(1, sizeof *w + len + 1);
    if (!w)
        return false;
    memcpy(w->id, id, len);
    w->node.key = wc_slice(w->id, len);
    if (wc_map_insert(&s->wanted, &w->node) == WC_OK)
        return true;
    free(w);
    return false;
}

static void on_tenants(void *arg, const struct wc_pg_result *res)
{
    struct wc_store *s = arg;
    wc_store_answered(s);
    if (!res->ok) {
        wc_store_refused(s, "reading tenants", res);
        return;
    }
    for (int row = 0; row < res->nrows; row++) {
        struct wc_record *before;
        struct wc_err err = {0};
        const char *id = wc_store_row_id(res, row);
        struct wc_map_node *n = wc_map_get(&s->asked, wc_slice_str(id));
        if (n)
            WC_CONTAINER(n, struct wanted, node)->is_there = true;
        if (!wc_store_take(s, res, row, &before, &err)) {
            wc_store_exhausted(s);
            return;
        }
        wc_record_free(before);
    }
    for (struct wc_map_node *n = wc_map_each(&s->asked, NULL); n; n = wc_map_each(&s->asked, n)) {
        const struct wanted *w = WC_CONTAINER(n, struct wanted, node);
        if (!w->is_there)
            wc_record_free(wc_store_drop(s, w->id));
    }
    clear(&s->asked);
    s->is_asking = false;
    go_on(s);
}

static bool ask_tenants(struct wc_store *s)
{
    struct wc_buf array;
    wc_buf_init(&array, ARRAY_CAP);
    bool ok = true;
    for (size_t n = 0; ok && n < WC_STORE_BATCH; n++) {
        struct wc_map_node *node = wc_map_each(&s->wanted, NULL);
        if (!node)
            break;
        wc_pg_array_add(&array, node->key);
        wc_map_remove(&s->wanted, node);
        ok = wc_map_insert(&s->asked, node) == WC_OK;
        if (!ok)
            free(WC_CONTAINER(node, struct wanted, node));
    }
    wc_pg_array_end(&array);
    const char *const params[] = {(const char *)array.p};
    const struct wc_pg_statement statement = {
        .sql = wc_sql_store_tenants, .nparams = 1, .params = params};
    ok = ok && array.status == WC_OK && wc_store_ask(s, &statement, 1, on_tenants, s) == WC_OK;
    wc_buf_release(&array);
    return ok;
}

/* ---- pages ---- */

/* Who was on no page is gone. */
static void sweep(struct wc_store *s)
{
    for (struct wc_map_node *next, *n = wc_map_each(&s->entries, NULL); n; n = next) {
        next = wc_map_each(&s->entries, n);
        const struct wc_store_entry *e = WC_CONTAINER(n, struct wc_store_entry, node);
        if (e->seen != s->pass)
            wc_record_free(wc_store_drop(s, e->id));
    }
}

static bool take_page(struct wc_store *s, const struct wc_pg_result *res)
{
    for (int row = 0; row < res->nrows; row++) {
        const char *id = wc_store_row_id(res, row), *print = wc_store_row_fingerprint(res, row);
        struct wc_store_entry *e = wc_store_entry(s, id);
        if (e)
            e->seen = s->pass;
        if ((!e || strcmp(e->fingerprint, print) != 0) && !want(s, id))
            return false;
    }
    if (res->nrows == 0)
        return true;
    free(s->after);
    s->after = strdup(wc_store_row_id(res, res->nrows - 1));
    return s->after != NULL;
}

static void on_page(void *arg, const struct wc_pg_result *res)
{
    struct wc_store *s = arg;
    wc_store_answered(s);
    if (!res->ok) {
        wc_store_refused(s, "reading the list of tenants", res);
        return;
    }
    if (!take_page(s, res)) {
        wc_store_exhausted(s);
        return;
    }
    s->is_asking = false;
    if (res->nrows < PAGE) {
        s->is_listing = false;
        s->is_filling = true;
        sweep(s);
    }
    go_on(s);
}

static bool ask_page(struct wc_store *s)
{
    const char *const params[] = {s->after ? s->after : "", PAGE_TEXT};
    const struct wc_pg_statement statement = {
        .sql = wc_sql_store_list, .nparams = 2, .params = params};
    return wc_store_ask(s, &statement, 1, on_page, s) == WC_OK;
}

/* ---- what is next ---- */

static void begin_list(struct wc_store *s)
{
    s->want_all = false;
    s->is_listing = true;
    s->pass++;
    free(s->after);
    s->after = NULL;
    (void)uv_timer_stop(&s->refresh); /* stopping an idle timer is no error */
}

static void go_on(struct wc_store *s)
{
    if (s->is_asking || s->phase < WC_STORE_READING)
        return;
    if (s->wanted.count == 0 && s->is_filling) {
        s->is_filling = false;
        (void)uv_timer_start(&s->refresh, on_refresh, s->opt.refresh_ms, 0); /* valid handle */
        wc_store_read_all_done(s);
    }
    if (s->want_all && !s->is_listing && !s->is_filling)
        begin_list(s);
    if (s->wanted.count == 0 && !s->is_listing)
        return;
    s->is_asking = true;
    if (!(s->wanted.count ? ask_tenants(s) : ask_page(s)))
        wc_store_exhausted(s);
}

void wc_store_read_all(struct wc_store *s)
{
    s->want_all = true;
    go_on(s);
}

void wc_store_read_changed(struct wc_store *s, const char *external_id)
{
    if (external_id[0] == '\0' || s->wanted.count >= WANTED_MAX || !want(s, external_id))
        s->want_all = true;
    go_on(s);
}

/* ---- for the owner ---- */

const struct wc_record *wc_store_find(const struct wc_store *s, const char *external_id)
{
    const struct wc_store_entry *e = wc_store_entry(s, external_id);
    return e ? e->record : NULL;
}

static int by_id(const void *a, const void *b)
{
    const struct wc_record *const *x = a, *const *y = b;
    return strcmp((*x)->external_id, (*y)->external_id);
}

void wc_store_each(const struct wc_store *s, void (*each)(void *arg, const struct wc_record *),
                   void *arg)
{
    size_t n = 0;
    const struct wc_record **sorted = calloc(s->entries.count + 1, sizeof *sorted);
    for (struct wc_map_node *it = wc_map_each(&s->entries, NULL); it;
         it = wc_map_each(&s->entries, it)) {
        const struct wc_store_entry *e = WC_CONTAINER(it, struct wc_store_entry, node);
        if (e->record && sorted)
            sorted[n++] = e->record;
        else if (e->record)
            each(arg, e->record); /* no memory: in no order, then */
    }
    if (sorted)
        qsort(sorted, n, sizeof *sorted, by_id);
    for (size_t i = 0; i < n; i++)
        each(arg, sorted[i]);
    free(sorted);
}
