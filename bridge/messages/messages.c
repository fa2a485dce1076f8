#include "bridge/messages/messages.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/uuid.h"
#include "bridge/messages/row.h"
#include "bridge/messages/secret.h"
#include "bridge/messages/seen.h"
#include "decoder/copyboth.h"
#include "fanout/broadcast.h"
#include "fanout/phxbin.h"

#include <stdlib.h>

enum {
    ARENA_CAP = 256 << 20, /* one payload, within the tenant's limit, and the topic */
    LOG_EVERY_US = 10 * 1000000,
    SLACK_US = 1000000, /* between the begin of a slot and of our reading it */
};

#define PREFIX "realtime:"

enum fault {
    TOO_LARGE,
    RATE_LIMITED,
    INCOMPLETE,
    HEADER_SIZE,
    OVERFLOW,
    NO_MEMORY,
    MALFORMED,
    FORGED,
    REPLAYED,
    UNVERIFIED,
    FAULTS
};

struct wc_messages {
    struct wc_messages_options opt;
    struct wc_arena arena;
    wc_lsn last_lsn; /* the last one seen in this epoch */
    uint64_t last_ordinal;
    wc_us committed_at; /* the transaction that is read */
    struct wc_log_limit log[FAULTS];

    /* of signed messages */
    struct wc_secret secret;
    struct wc_seen seen;
    wc_us epoch_at; /* when it began, monotonic */
    wc_xid xid;     /* of the last transaction that began */
};

struct wc_messages *wc_messages_new(const struct wc_messages_options *options)
{
    struct wc_messages *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->opt = *options;
    m->epoch_at = wc_clock_mono();
    wc_secret_init(&m->secret, m->opt.loop, &m->opt.pg, m->opt.tenant, m->opt.resume, m->opt.arg);
    wc_seen_init(&m->seen);
    wc_arena_init(&m->arena, ARENA_CAP);
    return m;
}

void wc_messages_free(struct wc_messages *m)
{
    if (!m)
        return;
    wc_secret_release(&m->secret);
    wc_seen_release(&m->seen);
    wc_arena_release(&m->arena);
    free(m);
}

bool wc_messages_are_in(const struct wc_rel *rel)
{
    return wc_row_is_message(rel);
}

/* ---- what is not delivered ---- */

static void drop(struct wc_messages *m, enum fault fault, const char *why)
{
    static const enum wc_metric metric[FAULTS] = {
        [TOO_LARGE] = WC_M_BROADCASTS_TOO_LARGE,   [RATE_LIMITED] = WC_M_BROADCASTS_RATE,
        [INCOMPLETE] = WC_M_BROADCASTS_INCOMPLETE, [HEADER_SIZE] = WC_M_BROADCASTS_HEADER,
        [OVERFLOW] = WC_M_BROADCASTS_OVERFLOW,     [NO_MEMORY] = WC_M_BROADCASTS_NO_MEMORY,
        [MALFORMED] = WC_M_BROADCASTS_MALFORMED,   [FORGED] = WC_M_BROADCASTS_FORGED,
        [REPLAYED] = WC_M_BROADCASTS_REPLAYED,     [UNVERIFIED] = WC_M_BROADCASTS_UNVERIFIED,
    };
    unsigned long more = 0;
    wc_metric_add(metric[fault], 1);
    if (wc_log_limit(&m->log[fault], LOG_EVERY_US, &more))
        WC_LOG(WC_LOG_ERROR, "messages", "UnableToBroadcastChanges",
               "tenant=%s why=%s suppressed=%lu", m->opt.tenant, why, more);
}

/* ---- delivery ---- */

static struct wc_slice full_topic(struct wc_arena *arena, struct wc_slice sub)
{
    enum { LEN = sizeof PREFIX - 1 };
    uint8_t *text = wc_arena_alloc(arena, LEN + sub.len);
    if (!text)
        return wc_slice(NULL, 0);
    memcpy(text, PREFIX, LEN);
    if (sub.len)
        memcpy(text + LEN, sub.p, sub.len);
    return wc_slice(text, LEN + sub.len);
}

static bool is_packed(const struct wc_row_broadcast *row)
{
    return row->is_binary && !row->is_unpacked;
}

/* False: out of memory, for Postgres prints a bytea in no other way. */
static bool unpack(struct wc_messages *m, struct wc_broadcast *b)
{
    uint8_t *bytes = wc_arena_alloc(&m->arena, wc_row_binary_len(b->payload) + 1);
    if (!bytes || !wc_row_binary(b->payload, bytes))
        return false;
    b->payload = wc_slice(bytes, wc_row_binary_len(b->payload));
    return true;
}

/* The clocks of the database and ours may differ. */
static void observe_age(const struct wc_messages *m, enum wc_tenant_histogram what, wc_us since)
{
    wc_us age = wc_clock_wall() - since;
    if (since)
        wc_tenant_metric_observe(wc_quota_metrics(m->opt.quota),
                                 wc_publisher_producer(m->opt.publisher), what,
                                 age > 0 ? (uint64_t)age : 0);
}

static void count_published(const struct wc_messages *m, const struct wc_row_broadcast *row,
                            const struct wc_broadcast *b)
{
    wc_tenant_metric_observe(wc_quota_metrics(m->opt.quota),
                             wc_publisher_producer(m->opt.publisher), WC_TH_PAYLOAD_BROADCAST,
                             b->payload.len);
    observe_age(m, WC_TH_DATABASE_COMMITTED, m->committed_at);
    observe_age(m, WC_TH_DATABASE_INSERTED, row->inserted_at);
}

static void publish(struct wc_messages *m, const struct wc_row_broadcast *row,
                    struct wc_broadcast *b, const struct wc_room *room)
{
    struct wc_broadcast_target to = {.origin = WC_ORIGIN_BRIDGE,
                                     .room = room,
                                     .topic = full_topic(&m->arena, row->topic),
                                     .share = m->opt.share};
    bool is_made = to.topic.p && (!is_packed(row) || unpack(m, b));
    enum wc_status st = is_made ? wc_broadcast_emit(m->opt.publisher, &to, b, &m->arena) : WC_NOMEM;
    if (st == WC_OK)
        count_published(m, row, b);
    else if (st == WC_NOMEM)
        drop(m, NO_MEMORY, "no_memory");
    else
        drop(m, OVERFLOW, "overflow");
}

static bool is_too_large(const struct wc_messages *m, const struct wc_broadcast *b, bool is_packed)
{
    struct wc_broadcast size = *b;
    if (is_packed)
        size.payload.len = wc_row_binary_len(b->payload);
    return !wc_broadcast_fits(&size, wc_quota_max_payload_kb(m->opt.quota));
}

static void deliver(struct wc_messages *m, const struct wc_row_broadcast *row)
{
    struct wc_broadcast b = {.form =
                                 row->is_binary ? WC_BROADCAST_ROW_BINARY : WC_BROADCAST_ROW_JSON,
                             .event = row->event,
                             .id = row->id,
                             .payload = row->payload,
                             .uuid = row->uuid};
    if (is_too_large(m, &b, is_packed(row))) {
        drop(m, TOO_LARGE, "payload_size_exceeded");
    } else if (wc_quota_is_triggered(m->opt.quota, WC_QUOTA_EVENTS)) {
        drop(m, RATE_LIMITED, "too_many_requests");
    } else if (sizeof PREFIX - 1 + row->topic.len > WC_PHXBIN_FIELD_MAX ||
               row->event.len > WC_PHXBIN_FIELD_MAX) {
        drop(m, HEADER_SIZE, "topic_or_event_too_long");
    } else {
        struct wc_room *room =
            wc_room_find(m->opt.rooms, m->opt.tenant_number, row->is_private, row->topic);
        if (room)
            publish(m, row, &b, room);
        else
            wc_metric_add(WC_M_BROADCASTS_EMPTY, 1);
        wc_room_release(m->opt.rooms, room);
    }
}

/* ---- rows ---- */

void wc_messages_begin_epoch(struct wc_messages *m)
{
    m->last_lsn = 0;
    m->last_ordinal = 0;
    m->epoch_at = wc_clock_mono();
}

void wc_messages_begin(struct wc_messages *m, wc_xid xid, wc_us committed_at)
{
    m->xid = xid;
    m->committed_at = committed_at;
}

/* False: it was seen before. */
static bool note_key(struct wc_messages *m, wc_lsn lsn, uint64_t ordinal)
{
    if (lsn < m->last_lsn || (lsn == m->last_lsn && ordinal <= m->last_ordinal))
        return false;
    m->last_lsn = lsn;
    m->last_ordinal = ordinal;
    return true;
}

static void count_event(struct wc_messages *m)
{
    wc_arena_reset(&m->arena);
    wc_quota_count(m->opt.quota, wc_publisher_producer(m->opt.publisher), WC_QUOTA_EVENTS, 1);
}

void wc_messages_change(struct wc_messages *m, const struct wc_change *ch, wc_lsn commit_lsn,
                        uint64_t ordinal)
{
    if (ch->op != WC_OP_INSERT || !note_key(m, commit_lsn, ordinal))
        return;
    struct wc_row_broadcast row;
    wc_metric_add(WC_M_BROADCASTS_DATABASE, 1);
    count_event(m);
    const char *missing = wc_row_read(ch->rel, &ch->new, &row);
    if (missing)
        drop(m, INCOMPLETE, missing);
    else
        deliver(m, &row);
}

/* ---- signed messages ---- */

static void deliver_signed(struct wc_messages *m, const struct wc_signed *s)
{
    char id[WC_UUID_TEXT];
    struct wc_row_broadcast row = {.topic = s->topic,
                                   .event = s->event,
                                   .is_private = s->is_private,
                                   .is_binary = s->is_binary,
                                   .is_unpacked = true,
                                   .payload = s->body,
                                   .inserted_at = s->time + WC_PG_EPOCH_US};
    wc_uuid_format(s->id, id);
    row.id = wc_slice_str(id);
    memcpy(row.uuid, s->id, sizeof row.uuid);
    count_event(m);
    deliver(m, &row);
}

/* A temporary slot holds nothing that was signed before it. */
static void begin_with_the_stream(struct wc_messages *m)
{
    if (!m->opt.has_permanent_slot)
        wc_seen_not_before(&m->seen,
                           m->secret.db_time - (m->secret.db_time_at - m->epoch_at) - SLACK_US);
}

/* Until the first commit comes up it is not known how old what is read is: as if it were new. */
static int64_t stream_time(const struct wc_messages *m)
{
    return m->committed_at ? m->committed_at - WC_PG_EPOCH_US
                           : m->secret.db_time + (wc_clock_mono() - m->secret.db_time_at);
}

static void take_signed(struct wc_messages *m, const struct wc_event *ev)
{
    struct wc_signed s;
    const struct wc_seen_at at = {
        .in_transaction = ev->message.transactional, .xid = m->xid, .commit_time = stream_time(m)};
    enum wc_status st = wc_signed_open(ev->message.body, m->secret.key, &s);
    if (st == WC_INVALID) {
        drop(m, MALFORMED, "malformed_message");
    } else if (st != WC_OK || s.database != m->secret.database) {
        drop(m, FORGED, "forged_message");
        wc_secret_ask(&m->secret); /* it may have changed */
    } else {
        begin_with_the_stream(m);
        st = wc_seen_use(&m->seen, &s, &at);
        if (st == WC_OK)
            deliver_signed(m, &s);
        else
            drop(m, st == WC_NOMEM ? NO_MEMORY : REPLAYED,
                 st == WC_NOMEM ? "no_memory" : "replayed_message");
    }
}

enum wc_status wc_messages_logical(struct wc_messages *m, const struct wc_event *ev, wc_lsn lsn,
                                   uint64_t ordinal)
{
    if (!wc_slice_is(ev->message.prefix, WC_SIGNED_PREFIX))
        return WC_OK;
    if (m->secret.state != WC_SECRET_KNOWN)
        wc_secret_ask(&m->secret);
    if (m->secret.state == WC_SECRET_UNKNOWN)
        return WC_AGAIN;
    if (!note_key(m, lsn, ordinal))
        return WC_OK;
    wc_metric_add(WC_M_BROADCASTS_DATABASE, 1);
    if (m->secret.state == WC_SECRET_KNOWN)
        take_signed(m, ev);
    else
        drop(m, UNVERIFIED, "no_secret");
    return WC_OK;
}
