/* The rows that a channel gets again. */
#include "bridge/authz/authz_priv.h"

#include "base/hex.h"
#include "base/log.h"
#include "fanout/quota.h"
#include "sql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REPLAY_BYTES = 4 << 20, /* half of what MAX_QUEUED_BYTES lets wait for a connection */
    NUMBER_SIZE = 24,
};

/* "\x6869", as bytea_output=hex has it; empty when the value is NULL. */
static struct wc_slice hex_of(const struct wc_pg_result *res, int row)
{
    struct wc_slice v = wc_pg_slice(res, row, 3);
    return v.len < 2 ? wc_slice(NULL, 0) : wc_slice(v.p + 2, v.len - 2);
}

static uint8_t *copy(uint8_t *at, struct wc_slice from, struct wc_slice *to)
{
    if (from.len)
        memcpy(at, from.p, from.len);
    *to = wc_slice(at, from.len);
    return at + from.len;
}

static struct wc_replay *make_replay(const struct wc_pg_result *res)
{
    size_t size = sizeof(struct wc_replay) + (size_t)res->nrows * sizeof(struct wc_replayed);
    for (int i = 0; i < res->nrows; i++)
        size += wc_pg_slice(res, i, 1).len + wc_pg_slice(res, i, 2).len + hex_of(res, i).len / 2;
    struct wc_replay *r = calloc(1, size);
    if (!r)
        return NULL;
    uint8_t *at = (uint8_t *)&r->row[res->nrows];
    for (int i = 0; i < res->nrows; i++) {
        struct wc_replayed *row = &r->row[r->count];
        struct wc_slice hex = hex_of(res, i);
        if (!wc_uuid_parse(wc_pg_slice(res, i, 0), row->id) || !wc_hex_decode(hex, at))
            continue;
        row->is_binary = wc_pg_value(res, i, 3) != NULL;
        if (row->is_binary) {
            row->payload = wc_slice(at, hex.len / 2);
            at += row->payload.len;
        } else {
            at = copy(at, wc_pg_slice(res, i, 2), &row->payload);
        }
        at = copy(at, wc_pg_slice(res, i, 1), &row->event);
        r->count++;
    }
    return r;
}

/* The snapshot saw what it must. */
static bool is_whole(const struct wc_pg_result *res)
{
    return res->nrows > 0 && wc_slice_is(wc_pg_slice(res, 0, 4), "t");
}

static void on_rows(void *arg, const struct wc_pg_result *res)
{
    struct wc_authz_question *q = arg;
    if (!res->ok && !res->sqlstate[0])
        return; /* on_lost follows */
    if (res->ok && q->asked && !is_whole(res)) {
        wc_authz_hold(q);
        return;
    }
    if (res->ok && is_whole(res))
        wc_authz_see(q);
    struct wc_replay *r = res->ok ? make_replay(res) : NULL;
    unsigned long repeated = 0;
    if (!r && wc_log_limit(&q->authz->replay_told, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "authz", "no_replay", "tenant=%s sqlstate=%s repeated=%lu",
               q->authz->opt.tenant, res->ok ? "-" : res->sqlstate, repeated);
    wc_authz_answer(q, q->granted, r ? WC_AUTHORIZE_OK : WC_AUTHORIZE_REPLAY, r);
    wc_authz_done(q);
}

bool wc_authz_ask_replay(struct wc_authz_question *q)
{
    const struct wc_authorize *a = q->asked;
    const struct wc_authz_times *times = &q->authz->opt.times;
    char timeout[NUMBER_SIZE], since[NUMBER_SIZE], limit[NUMBER_SIZE], row_max[NUMBER_SIZE],
        all_max[NUMBER_SIZE];
    uint64_t max = (uint64_t)wc_quota_max_payload_kb(a->tenant->quota) * 1000;
    (void)snprintf(timeout, sizeof timeout, "%" PRIu32, times->replay_ms); /* all fit by type */
    (void)snprintf(since, sizeof since, "%" PRId64, a->replay_since_ms);
    (void)snprintf(limit, sizeof limit, "%" PRIu32, a->replay_limit);
    (void)snprintf(row_max, sizeof row_max, "%" PRIu64, max);
    (void)snprintf(all_max, sizeof all_max, "%d", REPLAY_BYTES);
    const char *const within[] = {timeout};
    const char *const which[] = {q->topic, since, limit, row_max, all_max, q->unseen};
    const struct wc_pg_statement s[] = {{.sql = wc_sql_timeout, .nparams = 1, .params = within},
                                        {.sql = wc_sql_replay, .nparams = 6, .params = which}};
    if (wc_pg_segment(q->conn->pg, s, 2, on_rows, q) != WC_OK)
        return false;
    if (!q->replay_since)
        q->replay_since = wc_clock_mono();
    wc_list_remove(&q->link); /* it is behind all that was sent meanwhile */
    wc_list_push(&q->conn->sent, &q->link);
    return true;
}
