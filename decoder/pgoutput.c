/*
 * One pass with the sticky cursor of base/reader.h: a read that fails leaves the cursor where it
 * began, which is the offset reported. The hot path (Insert, Update, Delete) allocates one array of
 * columns per tuple and looks up one relation; everything else borrows.
 */
#include "decoder/pgoutput.h"

#include "base/reader.h"
#include "decoder/relcache_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum letter {
    BEGIN = 'B',
    COMMIT = 'C',
    ORIGIN = 'O',
    RELATION = 'R',
    TYPE = 'Y',
    INSERT = 'I',
    UPDATE = 'U',
    DELETE = 'D',
    TRUNCATE = 'T',
    MESSAGE = 'M',
    STREAM_START = 'S',
    STREAM_STOP = 'E',
    STREAM_COMMIT = 'c',
    STREAM_ABORT = 'A',
    STREAM_PREPARE = 'p',
    BEGIN_PREPARE = 'b',
    PREPARE = 'P',
    COMMIT_PREPARED = 'K',
    ROLLBACK_PREPARED = 'r',
};

enum { COL_WIRE_MIN = 10 }; /* flags, empty name, type, typmod of a column in Relation */
enum { REL_COL_IN_IDENTITY = 1, MESSAGE_TRANSACTIONAL = 1 }; /* flag bits */

struct wc_pgoutput {
    struct wc_relcache rels;
    uint64_t generation; /* never goes back, so one generation never names two relations */
};

/* One call of wc_pgoutput_decode. */
struct decode {
    struct wc_pgoutput *p;
    struct wc_slice msg;
    struct wc_rd rd;
    struct wc_arena *arena;
    struct wc_err *err;
};

struct wc_pgoutput *wc_pgoutput_new(size_t max_rels)
{
    struct wc_pgoutput *p = calloc(1, sizeof *p);
    if (p)
        wc_relcache_init(&p->rels, max_rels);
    return p;
}

void wc_pgoutput_free(struct wc_pgoutput *p)
{
    if (!p)
        return;
    wc_relcache_clear(&p->rels);
    free(p);
}

void wc_pgoutput_reset(struct wc_pgoutput *p)
{
    wc_relcache_clear(&p->rels);
}

const struct wc_rel *wc_pgoutput_rel(const struct wc_pgoutput *p, wc_oid oid)
{
    return wc_relcache_get(&p->rels, oid);
}

wc_oid wc_pgoutput_rel_oid(struct wc_slice msg)
{
    char letter = wc_pgoutput_letter(msg);
    if (letter != INSERT && letter != UPDATE && letter != DELETE)
        return 0;
    struct wc_rd rd = wc_rd(msg);
    (void)wc_rd_u8(&rd); /* the letter */
    return wc_rd_u32(&rd);
}

static size_t offset(const struct decode *d)
{
    return (size_t)(d->rd.at - d->msg.p);
}

WC_PRINTF(4, 5)
static enum wc_status fail_at(const struct decode *d, size_t at, enum wc_status code,
                              const char *fmt, ...)
{
    char text[sizeof d->err->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    (void)wc_err_set(d->err, code, "%s", text);
    if (d->err)
        d->err->at = at;
    return code;
}

static enum wc_status too_short(const struct decode *d)
{
    return fail_at(d, offset(d), WC_PROTO, "message '%c' ends too early", d->msg.p[0]);
}

static enum wc_status no_memory(const struct decode *d)
{
    return fail_at(d, offset(d), WC_NOMEM, "out of memory for message '%c'", d->msg.p[0]);
}

/* The message must have been read without a failure and to its last byte. */
static enum wc_status at_end(const struct decode *d)
{
    if (d->rd.bad)
        return too_short(d);
    if (wc_rd_left(&d->rd))
        return fail_at(d, offset(d), WC_PROTO, "message '%c' has %zu bytes left over", d->msg.p[0],
                       wc_rd_left(&d->rd));
    return WC_OK;
}

static enum wc_status read_begin(struct decode *d, struct wc_event *out)
{
    size_t lsn_at = offset(d);
    out->kind = WC_EVENT_BEGIN;
    out->begin.final_lsn = wc_rd_u64(&d->rd);
    out->begin.commit_time = (int64_t)wc_rd_u64(&d->rd);
    out->begin.xid = wc_rd_u32(&d->rd);
    enum wc_status status = at_end(d);
    if (status == WC_OK && out->begin.final_lsn == 0)
        return fail_at(d, lsn_at, WC_PROTO, "begin without the LSN of its commit");
    return status;
}

static enum wc_status read_commit(struct decode *d, struct wc_event *out)
{
    size_t flags_at = offset(d);
    uint8_t flags = wc_rd_u8(&d->rd);
    out->kind = WC_EVENT_COMMIT;
    out->commit.commit_lsn = wc_rd_u64(&d->rd);
    out->commit.end_lsn = wc_rd_u64(&d->rd);
    out->commit.commit_time = (int64_t)wc_rd_u64(&d->rd);
    enum wc_status status = at_end(d);
    if (status == WC_OK && flags != 0)
        return fail_at(d, flags_at, WC_PROTO, "unknown flags %u in commit", flags);
    return status;
}

static enum wc_status read_origin(struct decode *d, struct wc_event *out)
{
    out->kind = WC_EVENT_ORIGIN;
    (void)wc_rd_u64(&d->rd);  /* commit LSN at the origin, */
    (void)wc_rd_cstr(&d->rd); /* its name: nobody asks for them */
    return at_end(d);
}

static enum wc_status read_type(struct decode *d, struct wc_event *out)
{
    out->kind = WC_EVENT_TYPE;
    (void)wc_rd_u32(&d->rd);
    (void)wc_rd_cstr(&d->rd); /* for a domain, the names are those of the base type: */
    (void)wc_rd_cstr(&d->rd); /* types are named by the catalog, not by this message */
    return at_end(d);
}

static bool is_identity(uint8_t c)
{
    return c == WC_IDENTITY_DEFAULT || c == WC_IDENTITY_NOTHING || c == WC_IDENTITY_FULL ||
           c == WC_IDENTITY_INDEX;
}

/* A name of the message, as it stands in the relation's private copy of the message. */
static struct wc_slice name_in(const struct wc_rel_draft *draft, const struct decode *d,
                               struct wc_slice name)
{
    return name.p ? wc_slice(draft->bytes + (name.p - d->msg.p), name.len) : name;
}

static void read_rel_cols(struct decode *d, const struct wc_rel_draft *draft)
{
    for (uint16_t i = 0; i < draft->rel->ncols; i++) {
        struct wc_rel_col *col = &draft->col[i];
        uint8_t flags = wc_rd_u8(&d->rd);
        struct wc_slice name = wc_rd_cstr(&d->rd);
        col->name = name_in(draft, d, name);
        col->type = wc_rd_u32(&d->rd);
        col->typmod = (int32_t)wc_rd_u32(&d->rd);
        col->in_identity = flags & REL_COL_IN_IDENTITY;
    }
}

/* What stands in front of the columns. */
struct rel_head {
    wc_oid oid;
    struct wc_slice schema, name;
    enum wc_identity identity;
    uint16_t ncols;
};

static enum wc_status read_rel_head(struct decode *d, struct rel_head *out)
{
    size_t oid_at = offset(d);
    out->oid = wc_rd_u32(&d->rd);
    out->schema = wc_rd_cstr(&d->rd);
    out->name = wc_rd_cstr(&d->rd);
    size_t identity_at = offset(d);
    uint8_t identity = wc_rd_u8(&d->rd);
    size_t ncols_at = offset(d);
    out->ncols = wc_rd_u16(&d->rd);
    if (d->rd.bad)
        return too_short(d);
    if (out->oid == 0)
        return fail_at(d, oid_at, WC_PROTO, "relation with OID 0");
    if (!is_identity(identity))
        return fail_at(d, identity_at, WC_PROTO, "unknown replica identity 0x%02x", identity);
    out->identity = (enum wc_identity)identity;
    if (out->ncols > WC_REL_MAX_COLS)
        return fail_at(d, ncols_at, WC_LIMIT, "relation %u has %u columns, at most %d are possible",
                       out->oid, out->ncols, WC_REL_MAX_COLS);
    if (wc_rd_left(&d->rd) / COL_WIRE_MIN < out->ncols)
        return too_short(d);
    return WC_OK;
}

static enum wc_status publish_rel(struct decode *d, struct wc_rel_draft *draft,
                                  struct wc_event *out)
{
    draft->rel->generation = ++d->p->generation;
    enum wc_status status = wc_relcache_put(&d->p->rels, draft->rel);
    if (status == WC_LIMIT)
        return fail_at(d, offset(d), status, "more than %zu relations in the stream",
                       d->p->rels.max_rels);
    if (status != WC_OK)
        return no_memory(d);
    out->relation = draft->rel;
    return WC_OK;
}

static enum wc_status read_relation(struct decode *d, struct wc_event *out)
{
    struct rel_head head = {0};
    enum wc_status status = read_rel_head(d, &head);
    if (status != WC_OK)
        return status;
    struct wc_rel_draft draft;
    if (wc_rel_new(head.ncols, d->msg, &draft) != WC_OK)
        return no_memory(d);
    draft.rel->oid = head.oid;
    draft.rel->schema =
        head.schema.len ? name_in(&draft, d, head.schema) : wc_slice_str("pg_catalog");
    draft.rel->name = name_in(&draft, d, head.name);
    draft.rel->identity = head.identity;
    read_rel_cols(d, &draft);
    status = at_end(d);
    if (status != WC_OK) {
        wc_rel_unref(draft.rel);
        return status;
    }
    out->kind = WC_EVENT_RELATION;
    return publish_rel(d, &draft, out);
}

static enum wc_status read_col(struct decode *d, struct wc_col *out)
{
    size_t kind_at = offset(d);
    uint8_t kind = wc_rd_u8(&d->rd);
    out->val = wc_slice(NULL, 0);
    switch (kind) {
    case 'n': out->kind = WC_COL_NULL; return WC_OK;
    case 'u': out->kind = WC_COL_TOAST_UNCHANGED; return WC_OK;
    case 't': out->kind = WC_COL_TEXT; break;
    case 'b': out->kind = WC_COL_BINARY; break;
    default:
        if (d->rd.bad)
            return too_short(d);
        return fail_at(d, kind_at, WC_PROTO, "unknown column kind 0x%02x", kind);
    }
    size_t len_at = offset(d);
    uint32_t len = wc_rd_u32(&d->rd);
    const uint8_t *bytes = wc_rd_take(&d->rd, len);
    if (!bytes)
        return fail_at(d, len_at, WC_PROTO, "column value goes past the end of message '%c'",
                       d->msg.p[0]);
    out->val = wc_slice(bytes, len);
    return WC_OK;
}

static enum wc_status read_tuple(struct decode *d, const struct wc_rel *rel, struct wc_row *out)
{
    size_t ncols_at = offset(d);
    uint16_t ncols = wc_rd_u16(&d->rd);
    if (d->rd.bad)
        return too_short(d);
    if (ncols != rel->ncols)
        return fail_at(d, ncols_at, WC_PROTO, "tuple with %u columns for relation %u with %u",
                       ncols, rel->oid, rel->ncols);
    struct wc_col *col = wc_arena_alloc(d->arena, ncols * sizeof *col);
    if (!col)
        return no_memory(d);
    for (uint16_t i = 0; i < ncols; i++) {
        enum wc_status status = read_col(d, &col[i]);
        if (status != WC_OK)
            return status;
    }
    *out = (struct wc_row){.ncols = ncols, .col = col};
    return WC_OK;
}

static enum wc_status read_change_head(struct decode *d, enum wc_op op, struct wc_event *out)
{
    size_t oid_at = offset(d);
    wc_oid oid = wc_rd_u32(&d->rd);
    if (d->rd.bad)
        return too_short(d);
    const struct wc_rel *rel = wc_relcache_use(&d->p->rels, oid);
    if (!rel)
        return fail_at(d, oid_at, WC_PROTO, "change of relation %u, which was never described",
                       oid);
    out->kind = WC_EVENT_CHANGE;
    out->change = (struct wc_change){.op = op, .rel = rel, .old_kind = WC_OLD_NONE};
    return WC_OK;
}

static enum wc_status bad_tuple_kind(struct decode *d, size_t at, uint8_t kind)
{
    if (d->rd.bad)
        return too_short(d);
    return fail_at(d, at, WC_PROTO, "unexpected tuple kind 0x%02x in message '%c'", kind,
                   d->msg.p[0]);
}

/* The tuple after a 'K' or an 'O'. */
static enum wc_status read_old(struct decode *d, uint8_t kind, struct wc_change *change)
{
    change->old_kind = kind == 'K' ? WC_OLD_KEY : WC_OLD_FULL;
    return read_tuple(d, change->rel, &change->old);
}

/* 'N', its tuple, and the end of the message. */
static enum wc_status read_new(struct decode *d, struct wc_change *change)
{
    size_t kind_at = offset(d);
    uint8_t kind = wc_rd_u8(&d->rd);
    if (kind != 'N')
        return bad_tuple_kind(d, kind_at, kind);
    enum wc_status status = read_tuple(d, change->rel, &change->new);
    return status == WC_OK ? at_end(d) : status;
}

static enum wc_status read_insert(struct decode *d, struct wc_event *out)
{
    enum wc_status status = read_change_head(d, WC_OP_INSERT, out);
    return status == WC_OK ? read_new(d, &out->change) : status;
}

static enum wc_status read_update(struct decode *d, struct wc_event *out)
{
    enum wc_status status = read_change_head(d, WC_OP_UPDATE, out);
    if (status != WC_OK)
        return status;
    uint8_t kind = wc_rd_left(&d->rd) ? *d->rd.at : 0;
    if (kind == 'K' || kind == 'O') {
        (void)wc_rd_u8(&d->rd); /* the kind just seen */
        status = read_old(d, kind, &out->change);
    }
    return status == WC_OK ? read_new(d, &out->change) : status;
}

static enum wc_status read_delete(struct decode *d, struct wc_event *out)
{
    enum wc_status status = read_change_head(d, WC_OP_DELETE, out);
    if (status != WC_OK)
        return status;
    size_t kind_at = offset(d);
    uint8_t kind = wc_rd_u8(&d->rd);
    if (kind != 'K' && kind != 'O')
        return bad_tuple_kind(d, kind_at, kind);
    status = read_old(d, kind, &out->change);
    return status == WC_OK ? at_end(d) : status;
}

static enum wc_status read_truncate(struct decode *d, struct wc_event *out)
{
    size_t nrels_at = offset(d);
    out->kind = WC_EVENT_TRUNCATE;
    out->truncate.nrels = wc_rd_u32(&d->rd);
    out->truncate.options = wc_rd_u8(&d->rd);
    if (d->rd.bad)
        return too_short(d);
    if (wc_rd_left(&d->rd) / sizeof(wc_oid) < out->truncate.nrels)
        return fail_at(d, nrels_at, WC_PROTO, "truncate of %u relations has room for %zu",
                       out->truncate.nrels, wc_rd_left(&d->rd) / sizeof(wc_oid));
    (void)wc_rd_take(&d->rd, out->truncate.nrels * sizeof(wc_oid));
    return at_end(d);
}

static enum wc_status read_message(struct decode *d, struct wc_event *out)
{
    out->kind = WC_EVENT_MESSAGE;
    uint8_t flags = wc_rd_u8(&d->rd);
    out->message.transactional = flags & MESSAGE_TRANSACTIONAL;
    out->message.lsn = wc_rd_u64(&d->rd);
    out->message.prefix = wc_rd_cstr(&d->rd);
    size_t len_at = offset(d);
    uint32_t len = wc_rd_u32(&d->rd);
    if (d->rd.bad)
        return too_short(d);
    const uint8_t *body = wc_rd_take(&d->rd, len);
    if (!body)
        return fail_at(d, len_at, WC_PROTO, "body of %u bytes goes past the end of message 'M'",
                       len);
    out->message.body = wc_slice(body, len);
    return at_end(d);
}

static enum wc_status read_any(struct decode *d, struct wc_event *out)
{
    uint8_t letter = wc_rd_u8(&d->rd);
    switch ((enum letter)letter) {
    case BEGIN: return read_begin(d, out);
    case COMMIT: return read_commit(d, out);
    case ORIGIN: return read_origin(d, out);
    case RELATION: return read_relation(d, out);
    case TYPE: return read_type(d, out);
    case INSERT: return read_insert(d, out);
    case UPDATE: return read_update(d, out);
    case DELETE: return read_delete(d, out);
    case TRUNCATE: return read_truncate(d, out);
    case MESSAGE: return read_message(d, out);
    case STREAM_START:
    case STREAM_STOP:
    case STREAM_COMMIT:
    case STREAM_ABORT:
    case STREAM_PREPARE:
    case BEGIN_PREPARE:
    case PREPARE:
    case COMMIT_PREPARED:
    case ROLLBACK_PREPARED:
        return fail_at(d, 0, WC_PROTO, "message '%c' of an option we did not ask for", letter);
    }
    return fail_at(d, 0, WC_PROTO, "unknown message 0x%02x", letter);
}

enum wc_status wc_pgoutput_decode(struct wc_pgoutput *p, struct wc_slice msg,
                                  struct wc_arena *arena, struct wc_event *out, struct wc_err *err)
{
    struct decode d = {.p = p, .msg = msg, .arena = arena, .err = err};
    if (msg.len == 0)
        return fail_at(&d, 0, WC_PROTO, "empty message");
    d.rd = wc_rd(msg);
    struct wc_event event;
    enum wc_status status = read_any(&d, &event);
    if (status == WC_OK)
        *out = event;
    return status;
}
