#include "bridge/repl/optional.h"

#include "base/log.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
    LOOK_SOON_MS = 1000,  /* whoever migrates it has made it by then */
    LOOK_AGAIN_MS = 1000, /* longer than the log of an asynchronous commit takes to the disk */
    LOOK_RARELY_MS = 60000,
};

static const char session_options[] =
    "-c search_path=pg_catalog -c statement_timeout=10000 -c default_transaction_read_only=on";

struct wc_optional {
    uv_loop_t *loop;
    struct wc_pg_options pg_options;
    const char *tenant, *name;
    void (*ready)(void *arg, wc_lsn);
    void *arg;

    bool is_included; /* by the stream that runs, or is being started */
    bool is_barred;   /* a stream with it has failed, and it was not found well since */
    struct wc_pg_reason reason;
    uv_timer_t timer;
    struct wc_pg *pg; /* of a look */
    uint32_t pause_ms;
    bool was_well; /* at the last look */
};

struct wc_optional *wc_optional_new(uv_loop_t *loop, const struct wc_pg_options *options,
                                    const char *tenant, const char *name,
                                    void (*ready)(void *arg, wc_lsn), void *arg)
{
    struct wc_optional *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->loop = loop;
    o->pg_options = *options;
    o->pg_options.replication = false;
    o->pg_options.application_name = "walcast_publication";
    o->pg_options.options = session_options;
    o->tenant = tenant;
    o->name = name && name[0] ? name : NULL;
    o->ready = ready;
    o->arg = arg;
    (void)uv_timer_init(loop, &o->timer); /* cannot fail */
    o->timer.data = o;
    return o;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void wc_optional_free(struct wc_optional *o)
{
    if (!o)
        return;
    wc_pg_close(o->pg);
    o->pg = NULL;
    uv_close((uv_handle_t *)&o->timer, on_closed);
}

/* ---- what is wrong with it ---- */

static void set_reason(struct wc_optional *o, const char *code, const char *message)
{
    struct wc_pg_reason why = wc_pg_reason(code, message);
    if (o->reason.event != why.event)
        WC_LOG(WC_LOG_WARN, "repl", why.event,
               "tenant=%s publication=%s effect=\"broadcasts of the database are not delivered\" "
               "error=\"%s\" hint=\"%s\"",
               o->tenant, o->name, message, why.hint);
    o->reason = why;
}

/* NULL: nothing. */
static const char *objection(const struct wc_optional_found *f)
{
    if (!f->exists)
        return "MPUBX";
    if (f->has_other_tables)
        return "MPUBT";
    return f->has_messages ? NULL : "MPUB0";
}

const char *wc_optional_name(const struct wc_optional *o)
{
    return o->name;
}

const char *wc_optional_decide(struct wc_optional *o, const struct wc_optional_found *f)
{
    o->is_included = false;
    if (!o->name)
        return NULL;
    const char *code = objection(f);
    if (code)
        set_reason(o, code, "");
    else
        o->is_included = !o->is_barred;
    return o->is_included ? o->name : NULL;
}

bool wc_optional_is_named(const struct wc_optional *o, const char *message)
{
    char quoted[80];
    if (!o->name)
        return false;
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", o->name);
    return strstr(message, quoted) != NULL;
}

bool wc_optional_blame(struct wc_optional *o, const char *sqlstate, const char *message)
{
    bool is_missing = strcmp(sqlstate, "42704") == 0 && wc_optional_is_named(o, message);
    bool is_clash = strcmp(sqlstate, "0A000") == 0;
    if (!o->is_included || !(is_missing || is_clash))
        return false;
    o->is_included = false;
    o->is_barred = true;
    set_reason(o, is_missing ? "MPUBX" : "MPUBC", message);
    return true;
}

struct wc_pg_reason wc_optional_reason(const struct wc_optional *o)
{
    return o->reason;
}

/* ---- looking ---- */

static void look_in(struct wc_optional *o, uint32_t ms);

static void end_look(struct wc_optional *o)
{
    wc_pg_close(o->pg);
    o->pg = NULL;
}

static void look_later(struct wc_optional *o)
{
    end_look(o);
    look_in(o, o->pause_ms);
    if (o->pause_ms < LOOK_RARELY_MS)
        o->pause_ms *= 2;
}

static void on_answer(void *arg, const struct wc_pg_result *res)
{
    struct wc_optional *o = arg;
    wc_lsn end = 0;
    struct wc_optional_found f = {.exists = res->ok && res->nrows == 1};
    if (f.exists) {
        f.has_other_tables = wc_pg_is_true(res, 0, 0);
        f.has_messages = wc_pg_is_true(res, 0, 1);
    }
    const char *code = objection(&f);
    bool is_well = res->ok && !code && wc_pg_is_true(res, 0, 2) &&
                   wc_lsn_parse(wc_pg_slice(res, 0, 3), &end) == WC_OK;
    if (res->ok && code)
        set_reason(o, code, "");
    bool is_ready = is_well && o->was_well;
    o->was_well = is_well;
    if (is_ready) {
        end_look(o);
        o->is_barred = o->was_well = false;
        look_in(o, LOOK_RARELY_MS); /* should it not be taken up by then */
        o->ready(o->arg, wc_lsn_end_of_record(end));
    } else if (is_well) {
        end_look(o);
        look_in(o, LOOK_AGAIN_MS);
    } else {
        look_later(o);
    }
}

static void on_ready(void *arg)
{
    struct wc_optional *o = arg;
    const char *const params[] = {o->name};
    if (wc_pg_query(o->pg, wc_sql_publication, 1, params, on_answer, o) != WC_OK)
        look_later(o);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    (void)sqlstate; /* the stream's own connection says what is wrong with the server */
    (void)message;
    look_later(arg);
}

static void on_timer(uv_timer_t *t)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_optional *o = t->data;
    end_look(o);
    o->pg = wc_pg_open(o->loop, &o->pg_options, &events, o);
    if (!o->pg)
        look_later(o);
}

static void look_in(struct wc_optional *o, uint32_t ms)
{
    (void)uv_timer_start(&o->timer, on_timer, ms, 0); /* valid handle and callback */
}

void wc_optional_started(struct wc_optional *o)
{
    wc_optional_ended(o);
    o->pause_ms = LOOK_SOON_MS;
    if (o->is_included)
        o->reason = (struct wc_pg_reason){0};
    else if (o->name)
        look_in(o, o->pause_ms);
}

void wc_optional_ended(struct wc_optional *o)
{
    (void)uv_timer_stop(&o->timer); /* stopping an idle timer is no error */
    end_look(o);
    o->was_well = false;
}
