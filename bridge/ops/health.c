#include "bridge/ops/health.h"

#include "base/jsonw.h"
#include "base/metrics.h"

enum { LISTED_MAX = 100 };

static void handle_healthcheck(void *self, const struct wc_http_request *req,
                               struct wc_http_response *res)
{
    (void)self;
    (void)req;
    wc_buf_str(&res->body, "ok");
}

static void add_lsn(struct wc_buf *out, const char *key, wc_lsn lsn)
{
    char text[WC_LSN_TEXT];
    wc_buf_printf(out, "\"%s\":\"%s\",", key, wc_lsn_format(lsn, text));
}

static void add_text(struct wc_buf *out, const char *key, const char *text)
{
    wc_buf_printf(out, "\"%s\":", key);
    if (text)
        wc_jsonw_cstr(out, text);
    else
        wc_buf_str(out, "null");
    wc_buf_byte(out, ',');
}

static void add_blocker(struct wc_buf *out, const struct wc_repl_blocker *b)
{
    if (b->kind == WC_REPL_BLOCKED_BY_TRANSACTION)
        wc_buf_printf(out, "\"blocked_by\":{\"xid\":%u,\"pid\":%u,\"age_s\":%lld}", b->xid, b->pid,
                      (long long)b->age_s);
    else
        wc_buf_str(out, "\"blocked_by\":null");
}

static void add_pair(struct wc_buf *out, const struct wc_report_pair *p)
{
    add_text(out, "table", p->relation);
    add_text(out, "role", p->role);
    add_text(out, "mode", p->why ? "delegated" : "compiled");
    if (p->why)
        add_text(out, "why", p->why);
    wc_buf_printf(out, "\"bindings\":%zu", p->nbindings);
    if (!p->why)
        wc_buf_printf(out, ",\"waiting\":%zu", p->nwaiting);
}

static void add_report(void *arg, const struct wc_report *r)
{
    struct wc_buf *out = arg;
    wc_buf_printf(out, "\"row_security\":{\"compiled\":%zu,\"delegated\":%zu,\"tables\":[",
                  r->ncompiled, r->ndelegated);
    for (size_t i = 0; i < r->npairs; i++) {
        wc_buf_str(out, i ? ",{" : "{");
        add_pair(out, &r->pair[i]);
        wc_buf_byte(out, '}');
    }
    wc_buf_printf(out, "],\"not_listed\":%zu},", r->ncompiled + r->ndelegated - r->npairs);
}

static void add_tenant(struct wc_buf *out, const struct wc_tenant_health *t)
{
    const struct wc_repl_status *s = &t->repl;
    wc_buf_str(out, "{\"id\":");
    wc_jsonw_cstr(out, t->external_id);
    wc_buf_printf(out, ",\"state\":\"%s\",\"slot\":", wc_repl_state_text(s->state));
    wc_jsonw_cstr(out, s->slot);
    wc_buf_printf(out, ",\"temporary\":%s,", s->temporary ? "true" : "false");
    add_lsn(out, "received_lsn", s->received);
    add_lsn(out, "confirmed_lsn", s->confirmed);
    wc_buf_printf(out, "\"lag_bytes\":%llu,",
                  (unsigned long long)(s->server > s->confirmed ? s->server - s->confirmed : 0));
    add_text(out, "reason", s->reason);
    add_text(out, "error", s->error[0] ? s->error : NULL);
    add_text(out, "hint", s->hint);
    wc_tenant_report(t->tenant, add_report, out);
    add_blocker(out, &s->blocked_by);
    wc_buf_byte(out, '}');
}

struct listing {
    struct wc_buf *out;
    bool wants_troubled, is_any_troubled;
    size_t shown, open, known;
    bool all; /* also those that are not open */
};

static bool is_well(const struct wc_repl_status *s)
{
    return (s->state == WC_REPL_STREAMING || s->state == WC_REPL_WAITING) && !s->reason;
}

static void on_tenant(void *arg, const struct wc_tenant_health *t)
{
    struct listing *l = arg;
    bool is_troubled = !is_well(&t->repl);
    if ((!t->is_open && !l->all) || is_troubled != l->wants_troubled || l->shown == LISTED_MAX)
        return;
    if (l->shown++)
        wc_buf_byte(l->out, ',');
    add_tenant(l->out, t);
}

static void count_tenant(void *arg, const struct wc_tenant_health *t)
{
    struct listing *l = arg;
    l->known++;
    l->open += t->is_open;
    l->is_any_troubled |= (t->is_open || l->all) && !is_well(&t->repl);
}

static bool is_set(const _Atomic bool *flag)
{
    return atomic_load_explicit(flag, memory_order_relaxed);
}

static void add_store(struct wc_buf *out, const struct wc_store_state *s)
{
    wc_buf_printf(out, "\"store\":{\"connected\":%s,", is_set(&s->is_connected) ? "true" : "false");
    add_text(out, "hint", atomic_load_explicit(&s->hint, memory_order_relaxed));
    add_text(out, "reason", atomic_load_explicit(&s->reason, memory_order_relaxed));
    wc_buf_printf(out, "\"loaded\":%s,\"tenants_unusable\":%zu},",
                  is_set(&s->is_loaded) ? "true" : "false",
                  atomic_load_explicit(&s->unusable, memory_order_relaxed));
}

static void handle_health(void *self, const struct wc_http_request *req,
                          struct wc_http_response *res)
{
    (void)req;
    const struct wc_ops *ops = self;
    struct listing l = {.out = &res->body, .wants_troubled = true, .all = ops->needs_every_tenant};
    wc_registry_each(ops->registry, count_tenant, &l);
    bool healthy = (!ops->needs_every_tenant || !l.is_any_troubled) &&
                   (!ops->store || is_set(&ops->store->is_loaded));
    res->status = healthy ? 200 : 503;
    res->content_type = WC_JSON_TYPE;
    wc_buf_printf(&res->body,
                  "{\"status\":\"%s\",\"version\":\"%s\",\"uptime_s\":%lld,\"connections\":%lld,"
                  "\"channels\":%lld,\"tenants_known\":%zu,\"tenants_open\":%zu,",
                  healthy ? "ok" : "unavailable", ops->version,
                  (long long)((wc_clock_mono() - ops->started) / 1000000),
                  (long long)wc_metric_sum(WC_M_CONNECTIONS),
                  (long long)wc_metric_sum(WC_M_CHANNELS), l.known, l.open);
    if (ops->store)
        add_store(&res->body, ops->store);
    wc_buf_str(&res->body, "\"tenants\":[");
    wc_registry_each(ops->registry, on_tenant, &l);
    l.wants_troubled = false;
    wc_registry_each(ops->registry, on_tenant, &l);
    wc_buf_str(&res->body, "]}\n");
}

static void handle_metrics(void *self, const struct wc_http_request *req,
                           struct wc_http_response *res)
{
    const struct wc_ops *ops = self;
    int64_t now = wc_clock_wall() / 1000000;
    if (ops->metrics_gate && !wc_gate_admits(ops->metrics_gate, req->authorization, now)) {
        res->status = 403;
        res->content_type = NULL;
        return;
    }
    wc_scrape_answer(ops->scrape, req, res);
}

void wc_ops_routes(struct wc_ops *ops, struct wc_http_route out[WC_OPS_ROUTES])
{
    static const struct wc_http_route routes[WC_OPS_ROUTES] = {
        {.method = "GET", .path = "/healthcheck", .handle = handle_healthcheck},
        {.method = "GET", .path = "/health", .handle = handle_health},
        {.method = "GET", .path = "/metrics", .handle = handle_metrics},
    };
    for (size_t i = 0; i < WC_OPS_ROUTES; i++) {
        out[i] = routes[i];
        out[i].self = ops;
    }
}
