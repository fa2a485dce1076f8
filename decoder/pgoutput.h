/*
 * Decodes one pgoutput message of protocol version 1 into values.
 *
 *   Begin     'B' Int64(finalLSN) Int64(commitTime) Int32(xid)
 *   Commit    'C' Int8(flags) Int64(commitLSN) Int64(endLSN) Int64(commitTime)
 *   Origin    'O' Int64(commitLSN) String(name)
 *   Relation  'R' Int32(oid) String(schema) String(name) Int8(identity) Int16(n)
 *                 n × { Int8(flags) String(name) Int32(type) Int32(typmod) }
 *   Type      'Y' Int32(oid) String(schema) String(name)
 *   Insert    'I' Int32(oid) 'N' Tuple
 *   Update    'U' Int32(oid) [ 'K' Tuple | 'O' Tuple ] 'N' Tuple
 *   Delete    'D' Int32(oid) ( 'K' | 'O' ) Tuple
 *   Truncate  'T' Int32(n) Int8(options) n × Int32(oid)
 *   Message   'M' Int8(flags) Int64(lsn) String(prefix) Int32(len) Byten
 *   Tuple     Int16(n) n × ( 'n' | 'u' | 't' Int32(len) Byten | 'b' Int32(len) Byten )
 *
 * The letters of later versions and of two-phase commit (S E c A b P K r p) are refused as PROTO:
 * we never ask for them. An empty schema in Relation means pg_catalog. A message must end exactly
 * at its last byte.
 *
 * The decoder keeps the relation cache: a Relation message always replaces what was known of that
 * OID by a new immutable wc_rel with a higher generation.
 * Ownership: slices in the result borrow the input; rows live in the arena; wc_rel is owned by the
 * decoder and valid until the next Relation message for its OID or wc_pgoutput_reset (share it with
 * wc_rel_ref to keep it longer).
 * Threads: one owner (a decoder belongs to one stream).
 * Errors: PROTO (bytes disagree with the grammar, or a change of a relation that was not described;
 * err->at is the offset), LIMIT (more than 1,664 columns, which is PostgreSQL's
 * MaxTupleAttributeNumber; more relations than the ceiling), NOMEM. After a failure the stream
 * cannot be resynchronised: reset and reconnect.
 * Source: PostgreSQL manual, "Logical Replication Message Formats"; proto.c for what that leaves
 * out.
 */
#ifndef WC_DECODER_PGOUTPUT_H
#define WC_DECODER_PGOUTPUT_H

#include "base/arena.h"
#include "decoder/lsn.h"

/* pg_class.relreplident */
enum wc_identity {
    WC_IDENTITY_DEFAULT = 'd',
    WC_IDENTITY_NOTHING = 'n',
    WC_IDENTITY_FULL = 'f',
    WC_IDENTITY_INDEX = 'i',
};

struct wc_rel_col {
    struct wc_slice name; /* NUL-terminated as well */
    wc_oid type;
    int32_t typmod;
    bool in_identity; /* under FULL set for every column: never use it as the primary key */
};

/* A relation as of one point in the log. Immutable, reference counted, shareable across threads. */
struct wc_rel {
    wc_oid oid;
    uint64_t generation; /* rises with every Relation message of the decoder, resets included */
    struct wc_slice schema, name; /* NUL-terminated as well */
    enum wc_identity identity;
    uint16_t ncols;
    const struct wc_rel_col *col;
};

const struct wc_rel *wc_rel_ref(const struct wc_rel *);
void wc_rel_unref(const struct wc_rel *); /* NULL is fine */

enum wc_col_kind { WC_COL_NULL, WC_COL_TOAST_UNCHANGED, WC_COL_TEXT, WC_COL_BINARY };

struct wc_col {
    enum wc_col_kind kind;
    struct wc_slice val; /* empty unless TEXT or BINARY */
};

struct wc_row {
    uint16_t ncols; /* rel->ncols, checked */
    const struct wc_col *col;
};

enum wc_op { WC_OP_INSERT = 1, WC_OP_UPDATE = 2, WC_OP_DELETE = 4 }; /* also bits of event masks */

enum wc_old_kind { WC_OLD_NONE, WC_OLD_KEY, WC_OLD_FULL };

struct wc_change {
    enum wc_op op;
    const struct wc_rel *rel;  /* borrowed, see above */
    enum wc_old_kind old_kind; /* what `old` holds; under KEY the other columns are NULL */
    struct wc_row old, new;    /* ncols 0 where the operation has none */
};

enum wc_event_kind {
    WC_EVENT_BEGIN,
    WC_EVENT_COMMIT,
    WC_EVENT_ORIGIN,
    WC_EVENT_RELATION,
    WC_EVENT_TYPE,
    WC_EVENT_CHANGE,
    WC_EVENT_TRUNCATE,
    WC_EVENT_MESSAGE,
};

struct wc_event {
    enum wc_event_kind kind;
    union {
        struct {
            wc_lsn final_lsn;    /* LSN of the commit record */
            int64_t commit_time; /* microseconds since 2000-01-01 UTC */
            wc_xid xid;
        } begin;
        struct {
            wc_lsn commit_lsn, end_lsn;
            int64_t commit_time;
        } commit;
        const struct wc_rel *relation;
        struct wc_change change;
        struct {
            uint32_t nrels;
            uint8_t options; /* 1 CASCADE, 2 RESTART IDENTITY */
        } truncate;
        struct {
            bool transactional;
            wc_lsn lsn;
            struct wc_slice prefix, body;
        } message;
    };
};

/* 'I', 'U', 'D', 'B' ... of a message; 0 when it is empty. For skipping without decoding. */
static inline char wc_pgoutput_letter(struct wc_slice msg)
{
    return msg.len ? (char)msg.p[0] : '\0';
}

/* OID of the relation an I, U or D message is about, without decoding it; 0 for anything else. */
wc_oid wc_pgoutput_rel_oid(struct wc_slice msg);

struct wc_pgoutput;

/* max_rels bounds the relation cache. Returns owned; NULL when out of memory. */
struct wc_pgoutput *wc_pgoutput_new(size_t max_rels);
void wc_pgoutput_free(struct wc_pgoutput *);
void wc_pgoutput_reset(struct wc_pgoutput *); /* forgets all relations; for a new connection */

/* The relation as last described by the stream, or NULL. Borrowed, see above. */
const struct wc_rel *wc_pgoutput_rel(const struct wc_pgoutput *, wc_oid);

WC_MUST_USE
enum wc_status wc_pgoutput_decode(struct wc_pgoutput *, struct wc_slice msg, struct wc_arena *,
                                  struct wc_event *out, struct wc_err *err);

#endif
