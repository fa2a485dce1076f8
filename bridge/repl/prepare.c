/*
 * From a ready connection to START_REPLICATION: each step's answer sends the next command.
 */
#include "base/metrics.h"
#include "bridge/pg/array.h"
#include "bridge/repl/repl_priv.h"
#include "sql/sql.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

static void fail_result(struct wc_repl *r, const struct wc_pg_result *res)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%s%s%s", res->message, res->detail[0] ? ": " : "",
                   res->detail);
    wc_repl_fail(r, res->sqlstate, text);
}

static void command(struct wc_repl *r, const char *sql, wc_pg_result_fn next)
{
    if (r->pg && wc_pg_simple(r->pg, sql, next, r) != WC_OK)
        wc_repl_fail(r, "", "could not send a command");
}

static void append_quoted(char *out, size_t cap, size_t *len, char quote, const char *s, size_t n)
{
    out[(*len)++] = quote;
    for (size_t i = 0; i < n && *len + 3 < cap; i++) {
        if (s[i] == quote)
            out[(*len)++] = quote;
        out[(*len)++] = s[i];
    }
    out[(*len)++] = quote;
}

/* "a,b" as the option value '"a","b"': identifiers inside one literal. */
static void quote_publications(const char *list, char *out, size_t cap)
{
    char idents[2048];
    size_t n = 0;
    for (struct wc_slice name; n + 200 < sizeof idents && wc_pg_next_name(&list, &name);) {
        if (n)
            idents[n++] = ',';
        append_quoted(idents, sizeof idents, &n, '"', (const char *)name.p, name.len);
    }
    size_t at = 0;
    append_quoted(out, cap, &at, '\'', idents, n);
    out[at] = '\0';
}

static bool same_epoch(const struct wc_epoch *a, const struct wc_epoch *b)
{
    return strcmp(a->system_id, b->system_id) == 0 && strcmp(a->timeline, b->timeline) == 0 &&
           strcmp(a->slot, b->slot) == 0 && a->consistent_point == b->consistent_point;
}

static void on_started(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok) {
        fail_result(r, res);
        return;
    }
    bool new_epoch = !same_epoch(&r->epoch, &r->fresh);
    if (new_epoch) {
        r->epoch = r->fresh;
        r->last = (struct wc_change_key){0};
    }
    wc_pgoutput_reset(r->decoder);
    r->now = (struct wc_change_key){0};
    r->started_at = wc_clock_mono();
    r->error[0] = '\0';
    r->complained_of = NULL;
    wc_metric_add(WC_M_REPL_CONNECTS, 1);
    WC_LOG(WC_LOG_INFO, "repl", "streaming", "tenant=%s slot=%s temporary=%d new_epoch=%d",
           r->opt.tenant, r->epoch.slot, r->opt.slot_name[0] == '\0', new_epoch);
    wc_pg_copy_reading(r->pg, true);
    wc_repl_set_state(r, WC_REPL_STREAMING, new_epoch);
    wc_repl_send_status(r);
    wc_repl_status_every(r, r->opt.status_interval_ms);
}

static void start_replication(struct wc_repl *r)
{
    char pubs[4200], sql[4600];
    quote_publications(r->publications, pubs, sizeof pubs);
    (void)snprintf(sql, sizeof sql,
                   "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', "
                   "publication_names %s)",
                   r->fresh.slot, pubs);
    wc_repl_set_state(r, WC_REPL_STARTING, false);
    command(r, sql, on_started);
}

static void slot_is_ready(struct wc_repl *r, bool existed)
{
    bool first = r->epoch.slot[0] == '\0';
    if (existed && first && !r->go) {
        WC_LOG(WC_LOG_INFO, "repl", "waiting", "tenant=%s slot=%s reason=\"%s\"", r->opt.tenant,
               r->fresh.slot, "a permanent slot is read when its clients are back");
        r->error[0] = '\0';
        r->backoff.ms = 0;
        wc_repl_set_state(r, WC_REPL_WAITING, false);
        return;
    }
    start_replication(r);
}

void wc_repl_go(struct wc_repl *r)
{
    r->go = true;
    if (r->state == WC_REPL_WAITING)
        start_replication(r);
}

static void on_slot_created(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows != 1) {
        fail_result(r, res);
        return;
    }
    if (wc_lsn_parse(wc_pg_slice(res, 0, 1), &r->fresh.consistent_point) != WC_OK) {
        wc_repl_fail(r, "", "unreadable consistent point");
        return;
    }
    r->received = r->confirmed = r->sent = r->fresh.consistent_point;
    slot_is_ready(r, false);
}

static void create_slot(struct wc_repl *r)
{
    bool temporary = r->opt.slot_name[0] == '\0';
    if (temporary) {
        uint32_t random = 0;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            random = (uint32_t)wc_clock_mono();
        (void)snprintf(r->fresh.slot, sizeof r->fresh.slot, "walcast_tmp_%d_%08x", (int)getpid(),
                       random);
    }
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "CREATE_REPLICATION_SLOT \"%s\"%s LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                   r->fresh.slot, temporary ? " TEMPORARY" : "");
    command(r, sql, on_slot_created);
}

static int find_slot(const struct wc_pg_result *res, const char *name)
{
    for (int i = 0; i < res->nrows; i++)
        if (wc_slice_is(wc_pg_slice(res, i, 0), name))
            return i;
    return -1;
}

/* Somebody else moved our slot on: what it skipped we never saw, so this is another epoch. */
static void note_confirmed(struct wc_repl *r, wc_lsn confirmed)
{
    bool known = r->epoch.slot[0] != '\0';
    if (known && confirmed > r->sent)
        r->fresh.consistent_point = confirmed;
    else if (known)
        r->fresh.consistent_point = r->epoch.consistent_point;
    if (confirmed > r->confirmed)
        r->confirmed = confirmed;
    if (r->confirmed > r->received)
        r->received = r->confirmed;
}

static void on_slots(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok) {
        fail_result(r, res);
        return;
    }
    (void)snprintf(r->fresh.slot, sizeof r->fresh.slot, "%s", r->opt.slot_name);
    int i = find_slot(res, r->opt.slot_name);
    if (i < 0) {
        create_slot(r);
        return;
    }
    char text[300];
    const char *pid = wc_pg_value(res, i, 4);
    wc_lsn confirmed = 0;
    if (!wc_slice_is(wc_pg_slice(res, i, 1), "pgoutput") ||
        !wc_slice_is(wc_pg_slice(res, i, 3), "t")) {
        (void)snprintf(text, sizeof text,
                       "slot %s exists for plugin %.63s in database %.63s: it cannot be ours",
                       r->opt.slot_name,
                       wc_pg_value(res, i, 1) ? wc_pg_value(res, i, 1) : "(physical)",
                       wc_pg_value(res, i, 2) ? wc_pg_value(res, i, 2) : "-");
        wc_repl_fail(r, "SLOT", text);
    } else if (wc_slice_is(wc_pg_slice(res, i, 5), "lost")) {
        (void)snprintf(text, sizeof text, "can no longer read slot %s: wal_status is lost",
                       r->opt.slot_name);
        wc_repl_fail(r, "55000", text);
    } else if (pid) {
        (void)snprintf(text, sizeof text, "replication slot \"%s\" is active for PID %.10s",
                       r->opt.slot_name, pid);
        wc_repl_fail(r, "55006", text);
    } else if (wc_lsn_parse(wc_pg_slice(res, i, 6), &confirmed) != WC_OK) {
        wc_repl_fail(r, "", "unreadable confirmed_flush_lsn");
    } else {
        note_confirmed(r, confirmed);
        slot_is_ready(r, true);
    }
}

/* A name of the comma separated list that `res` does not hold in column 1. */
static bool missing_publication(const char *list, const struct wc_pg_result *res,
                                struct wc_slice *missing)
{
    for (struct wc_slice name; wc_pg_next_name(&list, &name);) {
        bool found = false;
        for (int i = 0; i < res->nrows && !found; i++)
            found = wc_slice_eq(wc_pg_slice(res, i, 1), name);
        if (!found) {
            *missing = name;
            return true;
        }
    }
    return false;
}

static void on_preflight(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows < 1) {
        fail_result(r, res);
        return;
    }
    char text[200];
    struct wc_slice name;
    if (!wc_slice_is(wc_pg_slice(res, 0, 0), "logical")) {
        (void)snprintf(text, sizeof text, "wal_level is %.20s", wc_pg_value(res, 0, 0));
        wc_repl_fail(r, "WALLV", text);
    } else if (missing_publication(r->publications, res, &name)) {
        (void)snprintf(text, sizeof text, "publication \"%.*s\" does not exist",
                       WC_SLICE_ARG(name));
        wc_repl_fail(r, "42704", text);
    } else if (r->opt.slot_name[0]) {
        command(r, wc_sql_slot, on_slots);
    } else {
        create_slot(r);
    }
}

static void on_identified(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows != 1) {
        fail_result(r, res);
        return;
    }
    r->fresh = (struct wc_epoch){0};
    (void)snprintf(r->fresh.system_id, sizeof r->fresh.system_id, "%s", wc_pg_value(res, 0, 0));
    (void)snprintf(r->fresh.timeline, sizeof r->fresh.timeline, "%s", wc_pg_value(res, 0, 1));
    if (strcmp(r->fresh.system_id, r->epoch.system_id) != 0 ||
        strcmp(r->fresh.timeline, r->epoch.timeline) != 0) /* positions mean nothing across these */
        r->received = r->confirmed = r->sent = r->server = 0;
    command(r, wc_sql_preflight, on_preflight);
}

void wc_repl_prepare(struct wc_repl *r)
{
    command(r, "IDENTIFY_SYSTEM", on_identified);
}
