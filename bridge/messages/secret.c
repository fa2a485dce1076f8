#include "bridge/messages/secret.h"

#include "auth/hmac.h"
#include "base/hex.h"
#include "base/log.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

static const char session_options[] =
    "-c search_path=pg_catalog -c statement_timeout=5000 -c default_transaction_read_only=on";

void wc_secret_init(struct wc_secret *s, struct uv_loop_s *loop, const struct wc_pg_options *pg,
                    const char *tenant, void (*known)(void *arg), void *arg)
{
    *s = (struct wc_secret){
        .loop = loop, .pg_options = *pg, .tenant = tenant, .known = known, .arg = arg};
    s->pg_options.replication = false;
    s->pg_options.application_name = "walcast_secret";
    s->pg_options.options = session_options;
}

void wc_secret_release(struct wc_secret *s)
{
    wc_pg_close(s->pg);
    s->pg = NULL;
    wc_hmac_wipe(s->key, sizeof s->key);
}

static void answered(struct wc_secret *s, bool is_known)
{
    bool is_first = s->state == WC_SECRET_UNKNOWN;
    wc_pg_close(s->pg);
    s->pg = NULL;
    s->state = is_known ? WC_SECRET_KNOWN : WC_SECRET_NONE;
    if (is_first)
        s->known(s->arg);
}

/* What was known stays known when it cannot be asked for. */
static void fail(struct wc_secret *s, const char *sqlstate, const char *message)
{
    if (!s->was_told || strcmp(s->told, sqlstate) != 0)
        WC_LOG(WC_LOG_WARN, "messages", "secret_unknown",
               "tenant=%s sqlstate=%s error=\"%s\" effect=\"signed messages are not delivered\" "
               "hint=\"run walcast migrate; grant select on walcast.secret to <DB_USER>\"",
               s->tenant, sqlstate[0] ? sqlstate : "-", message);
    s->was_told = true;
    (void)snprintf(s->told, sizeof s->told, "%s", sqlstate);
    answered(s, s->state == WC_SECRET_KNOWN);
}

static bool read_key(struct wc_secret *s, struct wc_slice hex)
{
    return hex.len == 2 * sizeof s->key && wc_hex_decode(hex, s->key);
}

static void on_answer(void *arg, const struct wc_pg_result *res)
{
    struct wc_secret *s = arg;
    if (!res->ok) {
        fail(s, res->sqlstate, res->message);
    } else if (res->nrows != 1 || !read_key(s, wc_pg_slice(res, 0, 0))) {
        fail(s, "", "there is none that belongs to the owner of realtime.messages");
    } else {
        s->database = (uint32_t)strtoul(wc_pg_value(res, 0, 1), NULL, 10);
        s->db_time = strtoll(wc_pg_value(res, 0, 2), NULL, 10);
        s->db_time_at = wc_clock_mono();
        s->was_told = false;
        answered(s, true);
    }
}

static void on_ready(void *arg)
{
    struct wc_secret *s = arg;
    if (wc_pg_query(s->pg, wc_sql_secret, 0, NULL, on_answer, s) != WC_OK)
        fail(s, "", "out of memory");
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    fail(arg, sqlstate, message);
}

void wc_secret_ask(struct wc_secret *s)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    wc_us now = wc_clock_mono();
    if (s->pg || (s->asked_at && now - s->asked_at < WC_SECRET_AGAIN_US))
        return;
    s->asked_at = now;
    s->pg = wc_pg_open(s->loop, &s->pg_options, &events, s);
    if (!s->pg)
        fail(s, "", "out of memory");
}
