/*
 * From a ready connection to START_REPLICATION: each step's answer sends the next command.
 */
#include "base/metrics.h"
#include "bridge/pg/array.h"
#include "bridge/repl/repl_priv.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    COMMAND_CAP = 16 << 10,      /* START_REPLICATION with 4 KiB of names, each byte doubled */
    DECODES_ON_STANDBY = 160000, /* server_version_num */
    HAS_MESSAGES = 140000,       /* likewise */
};

static void fail_result(struct wc_repl *r, const struct wc_pg_result *res)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%s%s%s", res->message, res->detail[0] ? ": " : "",
                   res->detail);
    wc_repl_fail(r, res->sqlstate, text);
}

static void command(struct wc_repl *r, const char *sql, wc_pg_result_fn next)
{
    if (wc_pg_simple(r->pg, sql, next, r) != WC_OK)
        wc_repl_fail(r, "", "could not send a command");
}

/* As command; releases the text. */
static void built_command(struct wc_repl *r, struct wc_buf *sql, wc_pg_result_fn next)
{
    if (sql->status == WC_OK)
        command(r, (const char *)sql->p, next);
    else
        wc_repl_fail(r, "", "out of memory");
    wc_buf_release(sql);
}

/* Has this process streamed before? */
static bool is_known(const struct wc_repl *r)
{
    return r->epoch.slot[0] != '\0';
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
    bool new_epoch = !r->is_succeeding && !same_epoch(&r->epoch, &r->fresh);
    r->epoch = r->fresh;
    r->is_succeeding = false;
    if (new_epoch) {
        r->last = (struct wc_change_key){0};
    }
    wc_pgoutput_reset(r->decoder);
    r->now = (struct wc_change_key){0};
    r->left_out[0] = '\0';
    r->join_at = 0;
    wc_optional_started(r->optional);
    r->started_at = wc_clock_mono();
    wc_feedback_heard(&r->feedback);
    wc_repl_clear_trouble(r);
    wc_metric_add(WC_M_REPL_CONNECTS, 1);
    WC_LOG(WC_LOG_INFO, "repl", "streaming",
           "tenant=%s slot=%s temporary=%d new_epoch=%d messages=%d", r->opt.tenant, r->epoch.slot,
           r->opt.slot_name[0] == '\0', new_epoch, r->one_more != NULL);
    wc_pg_copy_reading(r->pg, true);
    wc_repl_set_state(r, WC_REPL_STREAMING, new_epoch);
    wc_repl_send_status(r);
    wc_repl_status_every(r, r->opt.status_interval_ms);
}

static void start_replication(struct wc_repl *r)
{
    struct wc_buf sql;
    wc_buf_init(&sql, COMMAND_CAP);
    const struct wc_slot_start start = {.name = r->fresh.slot,
                                        .publications = r->publications,
                                        .one_more = r->one_more,
                                        .with_messages = r->version >= HAS_MESSAGES};
    wc_slot_start_command(&sql, &start);
    wc_repl_set_state(r, WC_REPL_STARTING, false);
    built_command(r, &sql, on_started);
}

static void slot_is_ready(struct wc_repl *r, bool existed)
{
    if (existed && !is_known(r) && !r->go) {
        WC_LOG(WC_LOG_INFO, "repl", "waiting", "tenant=%s slot=%s reason=\"%s\"", r->opt.tenant,
               r->fresh.slot, "a permanent slot is read when its clients are back");
        wc_repl_clear_trouble(r);
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
    wc_blocker_free(r->blocker);
    r->blocker = NULL;
    r->blocked_by = (struct wc_repl_blocker){0};
    if (!res->ok || res->nrows != 1) {
        fail_result(r, res);
        return;
    }
    if (wc_lsn_parse(wc_pg_slice(res, 0, 1), &r->fresh.consistent_point) != WC_OK) {
        wc_repl_fail(r, "", "unreadable consistent point");
        return;
    }
    wc_feedback_slot_made(&r->feedback, r->fresh.consistent_point);
    slot_is_ready(r, false);
}

static void on_blocked(void *arg, const struct wc_repl_blocker *by)
{
    struct wc_repl *r = arg;
    char text[120];
    r->blocked_by = *by;
    if (by->kind == WC_REPL_BLOCKED_BY_PRIMARY) {
        wc_repl_set_trouble(r, "RWAIT", "the standby does not know which transactions run");
        return;
    }
    int n = snprintf(text, sizeof text, "the new slot waits for transaction %u", by->xid);
    if (by->pid)
        n += snprintf(text + n, sizeof text - (size_t)n, " of process %u", by->pid);
    if (by->age_s)
        (void)snprintf(text + n, sizeof text - (size_t)n, ", %lld s old", (long long)by->age_s);
    wc_repl_set_trouble(r, "XWAIT", text);
}

static void name_temporary_slot(struct wc_repl *r)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)wc_clock_mono();
    (void)snprintf(r->fresh.slot, sizeof r->fresh.slot, "walcast_tmp_%d_%08x", (int)getpid(),
                   random);
}

static void create_slot(struct wc_repl *r)
{
    bool temporary = r->opt.slot_name[0] == '\0';
    if (temporary) {
        name_temporary_slot(r);
    } else if (is_known(r)) {
        WC_LOG(WC_LOG_WARN, "repl", "slot_made_anew", "tenant=%s slot=%s hint=\"%s\"",
               r->opt.tenant, r->fresh.slot,
               "changes since it was lost are not delivered; before a failover, from 17 on: create "
               "it with failover = true and let the standby synchronize it");
    }
    r->blocker = wc_blocker_new(r->loop, &r->opt.pg, r->walsender_pid, on_blocked, r);
    struct wc_buf sql;
    wc_buf_init(&sql, COMMAND_CAP);
    wc_slot_create_command(&sql, r->fresh.slot, temporary);
    if (r->blocker)
        built_command(r, &sql, on_slot_created);
    else
        wc_repl_fail(r, "", "out of memory");
}

/* ---- a slot that was there ---- */

static struct wc_slot_row read_slot(const struct wc_pg_result *res, int i)
{
    return (struct wc_slot_row){.name = wc_pg_value(res, i, 0),
                                .plugin = wc_pg_value(res, i, 1),
                                .database = wc_pg_value(res, i, 2),
                                .is_here = wc_slice_is(wc_pg_slice(res, i, 3), "t"),
                                .active_pid = wc_pg_value(res, i, 4),
                                .wal_status = wc_pg_value(res, i, 5),
                                .invalidated = wc_pg_value(res, i, 7),
                                .is_synced_on_standby = wc_slice_is(wc_pg_slice(res, i, 8), "t")};
}

static int find_slot(const struct wc_pg_result *res, const char *name)
{
    for (int i = 0; i < res->nrows; i++)
        if (wc_slice_is(wc_pg_slice(res, i, 0), name))
            return i;
    return -1;
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
    wc_lsn confirmed = 0;
    const struct wc_slot_row row = read_slot(res, i);
    const char *objection = wc_slot_objection(&row, text, sizeof text);
    if (objection) {
        wc_repl_fail(r, objection, text);
    } else if (wc_lsn_parse(wc_pg_slice(res, i, 6), &confirmed) != WC_OK) {
        wc_repl_fail(r, "", "unreadable confirmed_flush_lsn");
    } else {
        /* moved on by somebody else: what it skipped we never saw, so this is another epoch */
        bool ours = wc_feedback_slot_found(&r->feedback, confirmed);
        if (is_known(r))
            r->fresh.consistent_point = ours ? r->epoch.consistent_point : confirmed;
        slot_is_ready(r, true);
    }
}

/* ---- preflight ---- */

/* A name of the comma separated list that `res` does not hold in column 5. */
static bool missing_publication(const char *list, const struct wc_pg_result *res,
                                struct wc_slice *missing)
{
    for (struct wc_slice name; wc_pg_next_name(&list, &name);) {
        bool found = false;
        for (int i = 0; i < res->nrows && !found; i++)
            found = wc_slice_eq(wc_pg_slice(res, i, 5), name);
        if (!found) {
            *missing = name;
            return true;
        }
    }
    return false;
}

/* Why this server cannot be streamed from: a code and a text for wc_pg_reason. NULL: it can. */
static const char *preflight_objection(const struct wc_repl *r, const struct wc_pg_result *res,
                                       char *text, size_t cap)
{
    struct wc_slice name;
    if (r->is_standby && r->version < DECODES_ON_STANDBY) {
        (void)snprintf(text, cap, "the server is a standby of version %d", r->version / 10000);
        return "STDBY";
    }
    if (!wc_slice_is(wc_pg_slice(res, 0, 0), "logical")) {
        (void)snprintf(text, cap, "wal_level is %.20s", wc_pg_value(res, 0, 0));
        return "WALLV";
    }
    if (missing_publication(r->publications, res, &name)) {
        (void)snprintf(text, cap, "publication \"%.*s\" does not exist", WC_SLICE_ARG(name));
        return "42704";
    }
    return NULL;
}

/* The optional publication as the rows of the preflight have it. */
static struct wc_optional_found find_optional(const struct wc_repl *r,
                                              const struct wc_pg_result *res)
{
    const char *name = wc_optional_name(r->optional);
    for (int i = 0; name && i < res->nrows; i++)
        if (wc_slice_is(wc_pg_slice(res, i, 5), name))
            return (struct wc_optional_found){
                .exists = true,
                .has_other_tables = wc_slice_is(wc_pg_slice(res, i, 6), "t"),
                .has_messages = wc_slice_is(wc_pg_slice(res, i, 7), "t")};
    return (struct wc_optional_found){0};
}

static void on_preflight(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows < 1) {
        fail_result(r, res);
        return;
    }
    r->version = (int)strtol(wc_pg_value(res, 0, 1), NULL, 10);
    r->is_standby = wc_slice_is(wc_pg_slice(res, 0, 2), "t");
    (void)snprintf(r->walsender_pid, sizeof r->walsender_pid, "%s", wc_pg_value(res, 0, 4));
    const char *keep = wc_pg_value(res, 0, 8);
    r->keep_bytes = keep ? strtoll(keep, NULL, 10) : -1;
    char text[200];
    const char *objection = preflight_objection(r, res, text, sizeof text);
    if (objection) {
        wc_repl_fail(r, objection, text);
        return;
    }
    if (r->is_standby && !wc_slice_is(wc_pg_slice(res, 0, 3), "on"))
        WC_LOG(WC_LOG_WARN, "repl", "standby_without_feedback", "tenant=%s hint=\"%s\"",
               r->opt.tenant,
               "set hot_standby_feedback = on on the standby, or the slot is lost "
               "as soon as the primary removes rows of its catalogs");
    const struct wc_optional_found found = find_optional(r, res);
    r->one_more = wc_optional_decide(r->optional, &found);
    if (r->is_succeeding)
        start_replication(r);
    else if (r->opt.slot_name[0])
        command(r, wc_sql_slot, on_slots);
    else
        create_slot(r);
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
    if (wc_lsn_parse(wc_pg_slice(res, 0, 2), &r->published_at) != WC_OK) {
        wc_repl_fail(r, "", "unreadable position");
        return;
    }
    if (strcmp(r->fresh.system_id, r->epoch.system_id) != 0 ||
        strcmp(r->fresh.timeline, r->epoch.timeline) != 0) /* positions mean nothing across these */
        wc_feedback_forget(&r->feedback);
    command(r, wc_sql_preflight, on_preflight);
}

void wc_repl_prepare(struct wc_repl *r)
{
    command(r, "IDENTIFY_SYSTEM", on_identified);
}

/* ---- the optional publication ---- */

static void succeed(struct wc_repl *r)
{
    struct wc_pg *pg = wc_successor_take(r->successor, &wc_repl_pg_events, r);
    struct wc_epoch fresh = r->fresh;
    r->successor = NULL;
    r->join_at = 0;
    if (!pg)
        return; /* it is looked at again */
    wc_repl_replace(r, pg);
    r->fresh = fresh;
    r->is_succeeding = true;
    wc_repl_set_state(r, WC_REPL_PREPARING, false);
    command(r, wc_sql_preflight, on_preflight);
}

/* Nothing that was read waits, so that no transaction is cut: in another stream its ordinals are
 * others. */
void wc_repl_take_up(struct wc_repl *r)
{
    const struct wc_feedback *f = &r->feedback;
    bool is_time = r->join_at && f->confirmed >= r->join_at && f->confirmed == f->received;
    if (!is_time || r->state != WC_REPL_STREAMING || r->held || r->in_txn)
        return;
    if (r->successor)
        succeed(r);
    else
        wc_repl_replace(r, NULL);
}

static void on_successor(void *arg, wc_lsn consistent_point)
{
    struct wc_repl *r = arg;
    r->fresh.consistent_point = consistent_point;
    r->join_at = consistent_point;
    wc_repl_ask_status(r); /* the answer says how far an idle server has got */
}

void wc_repl_on_optional(void *arg, wc_lsn ready_at)
{
    struct wc_repl *r = arg;
    wc_successor_free(r->successor);
    r->successor = NULL;
    r->join_at = 0;
    if (r->opt.slot_name[0]) {
        r->join_at = ready_at;
        wc_repl_ask_status(r);
        return;
    }
    char options[WC_REPL_OPTIONS_CAP];
    const struct wc_pg_options o = wc_repl_pg_options(r, options);
    r->fresh = r->epoch;
    name_temporary_slot(r);
    r->successor = wc_successor_new(r->loop, &o, r->fresh.slot, on_successor, r);
}
