/* What is read is copied first, tenant by tenant, because all samples of a name stand together. */
#include "bridge/ops/page.h"

#include "base/tenant_metrics.h"
#include "bridge/ops/health.h"
#include "bridge/ops/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LABELS_MAX = 8192 };

enum page_metric {
#define WC_PAGE(symbol, name, label, kind, help) PAGE_##symbol,
#include "bridge/ops/page.def"
#undef WC_PAGE
};

static const struct {
    const char *name, *kind, *help;
} metrics[] = {
#define WC_PAGE(symbol, name, label, kind, help) {name, kind, help},
#include "bridge/ops/page.def"
#undef WC_PAGE
};

struct wc_page {
    struct wc_registry *registry;
    const struct wc_store_state *store;
    const struct wc_mesh *mesh;
    struct wc_buf node; /* labels */
    pthread_mutex_t lock;
    struct wc_host host; /* under the lock */
};

/* What the page says of a tenant besides its wc_tenant_row. */
struct reading {
    uint32_t users;
    uint64_t total[WC_QUOTA_KINDS];
    bool is_connected;
    int64_t lag;
    size_t compiled, delegated; /* of wc_report */
};

struct tenants {
    struct wc_tenant_row *row;
    struct reading *reading; /* of the same tenants */
    size_t count, cap;
    struct wc_buf labels; /* one after the other; rows have their lengths until all are there */
};

static void make_labels(struct wc_page *p, const struct wc_page_options *o)
{
    char host[256] = "", id[8];
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(id, sizeof id, "%u", (unsigned)o->port); /* fits: a port */
    wc_exposition_label(&p->node, "region", wc_slice_str(o->region));
    wc_exposition_label(&p->node, "host", wc_slice_str(host));
    wc_exposition_label(&p->node, "id", wc_slice_str(id));
}

struct wc_page *wc_page_new(const struct wc_page_options *o)
{
    struct wc_page *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->registry = o->registry;
    p->store = o->store;
    wc_buf_init(&p->node, LABELS_MAX);
    (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail with default attributes */
    make_labels(p, o);
    if (p->node.status == WC_OK)
        return p;
    wc_page_free(p);
    return NULL;
}

void wc_page_free(struct wc_page *p)
{
    if (!p)
        return;
    wc_buf_release(&p->node);
    (void)pthread_mutex_destroy(&p->lock); /* nobody holds it */
    free(p);
}

void wc_page_set_mesh(struct wc_page *p, const struct wc_mesh *mesh)
{
    p->mesh = mesh;
}

/* ---- reading ---- */

static void read_report(void *arg, const struct wc_report *report)
{
    struct reading *r = arg;
    r->compiled = report->ncompiled;
    r->delegated = report->ndelegated;
}

static struct reading read_tenant(struct wc_tenant *t)
{
    const struct wc_quota *q = wc_tenant_view(t)->quota;
    struct wc_repl_status s;
    struct reading r = {.users = wc_quota_users(q)};
    for (enum wc_quota_kind k = WC_QUOTA_JOINS; k < WC_QUOTA_KINDS; k++)
        r.total[k] = wc_quota_total(q, k);
    wc_tenant_status(t, &s);
    r.is_connected = s.state == WC_REPL_STREAMING || s.state == WC_REPL_WAITING;
    r.lag = s.server > s.confirmed ? (int64_t)(s.server - s.confirmed) : 0;
    wc_tenant_report(t, read_report, &r);
    return r;
}

/* False: it has never had to do with anybody. */
static bool is_known(const struct reading *r, bool was_counted)
{
    bool is_used = was_counted || r->users || r->is_connected;
    for (enum wc_quota_kind k = WC_QUOTA_JOINS; k < WC_QUOTA_KINDS; k++)
        is_used |= r->total[k] != 0;
    return is_used;
}

/* Between the labels of two rows: bytes before that of row i. */
static size_t comma(size_t i)
{
    return i > 0;
}

static void add_tenant(void *arg, struct wc_tenant *t)
{
    struct tenants *all = arg;
    if (all->count == all->cap) /* it came just now, and is on the next page */
        return;
    struct wc_tenant_row *row = &all->row[all->count];
    all->reading[all->count] = read_tenant(t);
    *row = (struct wc_tenant_row){0};
    bool was_counted =
        wc_tenant_metrics_read(wc_quota_metrics(wc_tenant_view(t)->quota), &row->sums);
    if (!is_known(&all->reading[all->count], was_counted))
        return;
    size_t before = all->labels.len;
    wc_exposition_label(&all->labels, "tenant", wc_slice_str(wc_tenant_name(t)));
    row->label.len = all->labels.len - before - comma(all->count);
    all->count++;
}

/* False when out of memory. */
static bool read_tenants(struct wc_registry *registry, struct tenants *all)
{
    all->cap = wc_registry_count(registry);
    all->row = calloc(all->cap + 1, sizeof *all->row);
    all->reading = calloc(all->cap + 1, sizeof *all->reading);
    wc_buf_init(&all->labels, (all->cap + 1) * LABELS_MAX);
    if (!all->row || !all->reading)
        return false;
    wc_registry_each_tenant(registry, add_tenant, all);
    if (all->labels.status != WC_OK)
        return false;
    const uint8_t *at = all->labels.p;
    for (size_t i = 0; i < all->count; i++) {
        all->row[i].label.p = at + comma(i);
        at = all->row[i].label.p + all->row[i].label.len;
    }
    return true;
}

static void release_tenants(struct tenants *all)
{
    wc_buf_release(&all->labels);
    free(all->row);
    free(all->reading);
}

/* ---- writing ---- */

static void family(const struct wc_exposition *x, enum page_metric m)
{
    wc_exposition_family(x, metrics[m].name, metrics[m].kind, metrics[m].help);
}

/* label: ready text, or empty. */
static void sample_of(const struct wc_exposition *x, enum page_metric m, const struct tenants *all,
                      size_t i, const char *label, int64_t value)
{
    const struct wc_exposition one = {.out = x->out, .node = x->node, .tenant = all->row[i].label};
    wc_exposition_sample(&one, metrics[m].name, wc_slice_str(label), value);
}

static void sample(const struct wc_exposition *x, enum page_metric m, const struct tenants *all,
                   size_t i, int64_t value)
{
    sample_of(x, m, all, i, "", value);
}

static void write_connected(const struct wc_exposition *x, const struct tenants *all)
{
    int64_t connected = 0;
    for (size_t i = 0; i < all->count; i++)
        connected += all->reading[i].is_connected;
    family(x, PAGE_TENANTS);
    wc_exposition_sample(x, metrics[PAGE_TENANTS].name, wc_slice(NULL, 0), connected);
    family(x, PAGE_TENANT_USERS);
    for (size_t i = 0; i < all->count; i++)
        sample(x, PAGE_TENANT_USERS, all, i, all->reading[i].users);
    family(x, PAGE_SLOT_LAG);
    for (size_t i = 0; i < all->count; i++)
        if (all->reading[i].is_connected)
            sample(x, PAGE_SLOT_LAG, all, i, all->reading[i].lag);
}

static void write_rules(const struct wc_exposition *x, const struct tenants *all)
{
    family(x, PAGE_RLS_RULES);
    for (size_t i = 0; i < all->count; i++) {
        const struct reading *r = &all->reading[i];
        if (!r->is_connected)
            continue;
        sample_of(x, PAGE_RLS_RULES, all, i, "mode=\"compiled\"", (int64_t)r->compiled);
        sample_of(x, PAGE_RLS_RULES, all, i, "mode=\"delegated\"", (int64_t)r->delegated);
    }
}

static void write_totals(const struct wc_exposition *x, const struct tenants *all)
{
    static const struct {
        enum page_metric metric;
        enum wc_quota_kind kind;
    } totals[] = {{PAGE_TENANT_JOINS, WC_QUOTA_JOINS},
                  {PAGE_TENANT_EVENTS, WC_QUOTA_EVENTS},
                  {PAGE_TENANT_DB_EVENTS, WC_QUOTA_DB_EVENTS},
                  {PAGE_TENANT_PRESENCE, WC_QUOTA_PRESENCE}};
    for (size_t k = 0; k < sizeof totals / sizeof *totals; k++) {
        family(x, totals[k].metric);
        for (size_t i = 0; i < all->count; i++)
            sample(x, totals[k].metric, all, i, (int64_t)all->reading[i].total[totals[k].kind]);
    }
}

static void write_rings(const struct wc_exposition *x, const struct wc_mesh *mesh)
{
    unsigned sockets = wc_mesh_sockets(mesh), bridges = wc_mesh_producer_of_socket(mesh, 0);
    family(x, PAGE_RING_ENTRIES);
    for (unsigned p = 0; p < bridges + sockets; p++) {
        uint64_t most = 0;
        char label[48];
        for (unsigned c = 0; c < sockets; c++) {
            uint64_t n = wc_mesh_waiting(mesh, p, c);
            most = n > most ? n : most;
        }
        bool is_bridge = p < bridges;
        int len = snprintf(label, sizeof label, "producer=\"%s-%u\"",
                           is_bridge ? "bridge" : "socket", is_bridge ? p : p - bridges);
        wc_exposition_sample(x, metrics[PAGE_RING_ENTRIES].name, wc_slice(label, (size_t)len),
                             (int64_t)most);
    }
}

static void write_host(const struct wc_exposition *x, struct wc_page *p)
{
    struct wc_host_load load;
    (void)pthread_mutex_lock(&p->lock); /* cannot fail: a plain mutex */
    bool is_known_load = wc_host_look(&p->host, &load);
    (void)pthread_mutex_unlock(&p->lock);
    if (!is_known_load)
        return;
    const struct {
        enum page_metric metric;
        int64_t hundredths;
    } all[] = {{PAGE_CPU_UTIL, load.cpu},
               {PAGE_CPU_AVG1, load.avg[0]},
               {PAGE_CPU_AVG5, load.avg[1]},
               {PAGE_CPU_AVG15, load.avg[2]},
               {PAGE_RAM_USAGE, load.ram}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        family(x, all[i].metric);
        wc_exposition_fraction(x, metrics[all[i].metric].name, wc_slice(NULL, 0), all[i].hundredths,
                               100);
    }
}

static void write_control(const struct wc_exposition *x, const struct wc_page *p)
{
    family(x, PAGE_TENANTS_KNOWN);
    wc_exposition_sample(x, metrics[PAGE_TENANTS_KNOWN].name, wc_slice(NULL, 0),
                         (int64_t)wc_registry_count(p->registry));
    if (!p->store)
        return;
    family(x, PAGE_STORE);
    /* Relaxed: a figure. */
    wc_exposition_sample(x, metrics[PAGE_STORE].name, wc_slice(NULL, 0),
                         atomic_load_explicit(&p->store->is_connected, memory_order_relaxed));
}

static void write_page(struct wc_page *p, const struct wc_exposition *x, const struct tenants *all)
{
    wc_metrics_render(x);
    write_control(x, p);
    write_connected(x, all);
    write_rules(x, all);
    write_totals(x, all);
    wc_tenant_metrics_render(x, all->row, all->count);
    if (p->mesh)
        write_rings(x, p->mesh);
    write_host(x, p);
}

void wc_page_render(struct wc_page *p, struct wc_buf *out)
{
    const struct wc_exposition x = {.out = out, .node = wc_buf_view(&p->node)};
    struct tenants all = {.count = 0};
    if (read_tenants(p->registry, &all))
        write_page(p, &x, &all);
    else
        out->status = WC_NOMEM;
    release_tenants(&all);
}
