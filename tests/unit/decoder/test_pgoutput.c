#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "decoder/pgoutput.h"
#include "tests/unit/decoder/capture.h"

enum { MAX_RELS = 8, ARENA_CAP = 1 << 20, SHOWN_VALUE = 32 };

/* A decoder and what a call of it needs. */
struct fixture {
    struct wc_pgoutput *decoder;
    struct wc_arena arena;
    struct wc_event event;
    struct wc_err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->decoder = wc_pgoutput_new(MAX_RELS);
    assert_non_null(f->decoder);
    wc_arena_init(&f->arena, ARENA_CAP);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    wc_arena_release(&f->arena);
    wc_pgoutput_free(f->decoder);
    free(f);
    return 0;
}

static enum wc_status decode(struct fixture *f, struct wc_slice msg)
{
    return wc_pgoutput_decode(f->decoder, msg, &f->arena, &f->event, &f->err);
}

static void decode_ok(struct fixture *f, struct wc_slice msg)
{
    if (decode(f, msg) != WC_OK)
        fail_msg("at %zu: %s", f->err.at, f->err.text);
}

/* Refused with this status; says where, and leaves the result alone. */
static void expect_refused(struct fixture *f, struct wc_slice msg, enum wc_status status)
{
    struct wc_slice exact = wc_exact_copy(msg);
    struct wc_event before;
    memset(&before, 0xa5, sizeof before);
    f->event = before;
    f->err = (struct wc_err){.at = SIZE_MAX};
    enum wc_status got = decode(f, exact);
    if (got != status)
        fail_msg("%s instead of %s for a message of %zu bytes", wc_status_text(got),
                 wc_status_text(status), msg.len);
    assert_int_equal(f->err.code, status);
    assert_in_range(f->err.at, 0, msg.len);
    assert_string_not_equal(f->err.text, "");
    assert_memory_equal(&f->event, &before, sizeof before);
    wc_exact_free(exact);
}

/* --- recorded streams, as text --- */

static void show_row(struct wc_buf *out, const char *label, const struct wc_row *row)
{
    wc_buf_printf(out, " %s(", label);
    for (uint16_t i = 0; i < row->ncols; i++) {
        const struct wc_col *col = &row->col[i];
        wc_buf_str(out, i ? ", " : "");
        switch (col->kind) {
        case WC_COL_NULL: wc_buf_str(out, "null"); break;
        case WC_COL_TOAST_UNCHANGED: wc_buf_str(out, "unchanged"); break;
        case WC_COL_BINARY: wc_buf_str(out, "binary"); break;
        case WC_COL_TEXT:
            if (col->val.len <= SHOWN_VALUE)
                wc_buf_slice(out, col->val);
            else
                wc_buf_printf(out, "%zu bytes", col->val.len);
        }
    }
    wc_buf_str(out, ")");
}

static void show_relation(struct wc_buf *out, const struct wc_rel *rel)
{
    wc_buf_printf(out, "relation %s.%s %c (", (const char *)rel->schema.p,
                  (const char *)rel->name.p, (char)rel->identity);
    for (uint16_t i = 0; i < rel->ncols; i++)
        wc_buf_printf(out, "%s%s%s", i ? ", " : "", (const char *)rel->col[i].name.p,
                      rel->col[i].in_identity ? "*" : "");
    wc_buf_str(out, ")");
}

static const char *op_name(enum wc_op op)
{
    switch (op) {
    case WC_OP_INSERT: return "insert";
    case WC_OP_UPDATE: return "update";
    case WC_OP_DELETE: return "delete";
    }
    return "?";
}

static void show_change(struct wc_buf *out, const struct wc_change *change)
{
    wc_buf_printf(out, "%s %s", op_name(change->op), (const char *)change->rel->name.p);
    if (change->old_kind != WC_OLD_NONE)
        show_row(out, change->old_kind == WC_OLD_KEY ? "key" : "old", &change->old);
    else
        assert_int_equal(change->old.ncols, 0);
    if (change->op != WC_OP_DELETE)
        show_row(out, "new", &change->new);
    else
        assert_int_equal(change->new.ncols, 0);
}

static void show_event(struct wc_buf *out, const struct wc_event *e)
{
    switch (e->kind) {
    case WC_EVENT_BEGIN: wc_buf_str(out, "begin"); break;
    case WC_EVENT_COMMIT: wc_buf_str(out, "commit"); break;
    case WC_EVENT_ORIGIN: wc_buf_str(out, "origin"); break;
    case WC_EVENT_TYPE: wc_buf_str(out, "type"); break;
    case WC_EVENT_RELATION: show_relation(out, e->relation); break;
    case WC_EVENT_CHANGE: show_change(out, &e->change); break;
    case WC_EVENT_TRUNCATE:
        wc_buf_printf(out, "truncate %u options %u", e->truncate.nrels, e->truncate.options);
        break;
    case WC_EVENT_MESSAGE:
        wc_buf_printf(out, "message %d ", e->message.transactional);
        wc_buf_slice(out, e->message.prefix);
        wc_buf_str(out, "|");
        wc_buf_slice(out, e->message.body);
    }
    wc_buf_str(out, "\n");
}

static const struct {
    const char *capture, *events;
} golden[] = {
    {"identity_default", "begin\n"
                         "relation public.items d (id*, name, price)\n"
                         "insert items new(1, one, 12.50)\n"
                         "insert items new(2, null, null)\n"
                         "commit\n"
                         "begin\n"
                         "update items new(1, uno, 12.50)\n"
                         "commit\n"
                         "begin\n"
                         "update items key(2, null, null) new(3, null, null)\n"
                         "commit\n"
                         "begin\n"
                         "delete items key(3, null, null)\n"
                         "commit\n"},
    {"identity_full", "begin\n"
                      "relation public.items f (id*, name*, price*)\n"
                      "insert items new(1, one, 12.50)\n"
                      "commit\n"
                      "begin\n"
                      "update items old(1, one, 12.50) new(1, null, 12.50)\n"
                      "commit\n"
                      "begin\n"
                      "delete items old(1, null, 12.50)\n"
                      "commit\n"},
    {"identity_index", "begin\n"
                       "relation public.items i (id, code*, name)\n"
                       "insert items new(1, a, one)\n"
                       "commit\n"
                       "begin\n"
                       "update items new(1, a, uno)\n"
                       "commit\n"
                       "begin\n"
                       "update items key(null, a, null) new(1, b, uno)\n"
                       "commit\n"
                       "begin\n"
                       "delete items key(null, b, null)\n"
                       "commit\n"},
    {"identity_nothing", "begin\n"
                         "relation public.items n (id, name)\n"
                         "insert items new(1, one)\n"
                         "commit\n"
                         "begin\n"
                         "insert items new(2, two)\n"
                         "commit\n"},
    {"toast", "begin\n"
              "relation public.docs d (id*, title, body)\n"
              "update docs new(1, b, unchanged)\n"
              "commit\n"
              "begin\n"
              "relation public.docs_full f (id*, title*, body*)\n"
              "update docs_full old(1, a, 2500 bytes) new(1, b, unchanged)\n"
              "commit\n"
              "begin\n"
              "update docs new(1, b, short)\n"
              "commit\n"},
    {"composite_key", "begin\n"
                      "relation public.parts d (shop*, note, sku*)\n"
                      "insert parts new(7, n, k-1)\n"
                      "commit\n"
                      "begin\n"
                      "update parts key(7, null, k-1) new(7, n, k-2)\n"
                      "commit\n"
                      "begin\n"
                      "delete parts key(7, null, k-2)\n"
                      "commit\n"},
    {"partitioned_leaf", "begin\n"
                         "relation public.events_1 d (id*, day*)\n"
                         "insert events_1 new(1, 2024-01-31)\n"
                         "relation public.events_2 d (id*, day*)\n"
                         "insert events_2 new(2, 2024-02-29)\n"
                         "commit\n"
                         "begin\n"
                         "delete events_1 key(1, 2024-01-31)\n"
                         "insert events_2 new(1, 2024-02-01)\n"
                         "commit\n"},
    {"partitioned_root", "begin\n"
                         "relation public.events d (id*, day*)\n"
                         "relation public.events_1 d (id*, day*)\n"
                         "insert events new(1, 2024-01-31)\n"
                         "relation public.events d (id*, day*)\n"
                         "relation public.events_2 d (id*, day*)\n"
                         "insert events new(2, 2024-02-29)\n"
                         "commit\n"},
    {"relation_change", "begin\n"
                        "relation public.items d (id*, name)\n"
                        "insert items new(1, old shape)\n"
                        "relation public.items d (id*, name, qty)\n"
                        "insert items new(2, new shape, 5)\n"
                        "relation public.items d (id*, qty)\n"
                        "insert items new(3, 7)\n"
                        "commit\n"},
    {"truncate", "begin\n"
                 "relation public.a d (id*)\n"
                 "relation public.b d (id*, a)\n"
                 "truncate 2 options 3\n"
                 "commit\n"
                 "begin\n"
                 "relation public.b d (id*, a)\n"
                 "truncate 1 options 0\n"
                 "commit\n"},
    {"origin", "begin\n"
               "origin\n"
               "relation public.items d (id*)\n"
               "insert items new(1)\n"
               "commit\n"},
    {"types", "begin\n"
              "type\n"
              "type\n"
              "relation public.people d (id*, feels, points)\n"
              "insert people new(1, very happy, 7)\n"
              "commit\n"},
    {"message", "message 0 p|\n"
                "begin\n"
                "message 1 walcast|in a transaction\n"
                "commit\n"},
    {"no_columns", "begin\n"
                   "relation public.bare d ()\n"
                   "insert bare new()\n"
                   "commit\n"},
};

enum { GOLDEN = sizeof golden / sizeof golden[0] };

/* Messages of a capture, without the keepalive at its end. */
static size_t messages(const struct wc_capture *c)
{
    assert_int_equal(c->letter[c->count - 1], 'k');
    return c->count - 1;
}

static void recorded_streams_decode_to_their_events(void **state)
{
    struct fixture *f = *state;
    for (size_t g = 0; g < GOLDEN; g++) {
        struct wc_capture *c = wc_capture_load(golden[g].capture);
        struct wc_buf text;
        wc_buf_init(&text, 65536);
        wc_pgoutput_reset(f->decoder);
        for (size_t i = 0; i < messages(c); i++) {
            struct wc_slice msg = wc_capture_message(c, i);
            assert_int_equal(wc_pgoutput_letter(msg), c->letter[i]);
            decode_ok(f, msg);
            show_event(&text, &f->event);
            wc_exact_free(msg);
        }
        wc_buf_byte(&text, '\0');
        assert_int_equal(text.status, WC_OK);
        assert_string_equal((const char *)text.p, golden[g].events);
        wc_buf_release(&text);
        wc_capture_free(c);
    }
}

static void begin_announces_the_commit_that_follows(void **state)
{
    struct fixture *f = *state;
    struct wc_capture *c = wc_capture_load("no_columns"); /* B R I C k */
    struct wc_slice begin = wc_capture_message(c, 0);
    struct wc_slice commit = wc_capture_message(c, 3);
    decode_ok(f, begin);
    struct wc_event b = f->event;
    decode_ok(f, commit);
    assert_int_equal(b.kind, WC_EVENT_BEGIN);
    assert_int_equal(f->event.kind, WC_EVENT_COMMIT);
    assert_int_not_equal(b.begin.xid, 0);
    assert_int_equal(b.begin.final_lsn, f->event.commit.commit_lsn);
    assert_int_equal(b.begin.commit_time, f->event.commit.commit_time);
    assert_true(f->event.commit.end_lsn > f->event.commit.commit_lsn);
    wc_exact_free(begin);
    wc_exact_free(commit);
    wc_capture_free(c);
}

/* A decoder that has seen the first n messages of the capture. */
static void replay(struct fixture *f, const struct wc_capture *c, size_t n)
{
    wc_pgoutput_reset(f->decoder);
    for (size_t i = 0; i < n; i++) {
        struct wc_slice msg = wc_capture_message(c, i);
        decode_ok(f, msg);
        wc_exact_free(msg);
    }
    wc_arena_reset(&f->arena);
}

static void every_recorded_message_cut_anywhere_is_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t g = 0; g < GOLDEN; g++) {
        struct wc_capture *c = wc_capture_load(golden[g].capture);
        for (size_t i = 0; i < messages(c); i++) {
            struct wc_slice msg = wc_capture_message(c, i);
            for (size_t len = 0; len < msg.len; len++) {
                replay(f, c, i);
                expect_refused(f, wc_slice(msg.p, len), WC_PROTO);
            }
            wc_exact_free(msg);
        }
        wc_capture_free(c);
    }
}

static void every_recorded_message_with_a_byte_too_many_is_refused_at_that_byte(void **state)
{
    struct fixture *f = *state;
    for (size_t g = 0; g < GOLDEN; g++) {
        struct wc_capture *c = wc_capture_load(golden[g].capture);
        for (size_t i = 0; i < messages(c); i++) {
            struct wc_slice msg = wc_capture_message(c, i);
            uint8_t *longer = calloc(1, msg.len + 1);
            assert_non_null(longer);
            memcpy(longer, msg.p, msg.len);
            replay(f, c, i);
            expect_refused(f, wc_slice(longer, msg.len + 1), WC_PROTO);
            assert_int_equal(f->err.at, msg.len);
            free(longer);
            wc_exact_free(msg);
        }
        wc_capture_free(c);
    }
}

/* --- messages made by hand: relation 7 is public.t (a, b) --- */

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
#define MSG(literal) wc_slice(literal, sizeof(literal) - 1)

#define INT8_1 "\0\0\0\0\0\0\0\1"
#define COL_A  "\1a\0\0\0\0\x17\xff\xff\xff\xff"
#define COL_B  "\0b\0\0\0\0\x19\xff\xff\xff\xff"
#define REL_7  "R\0\0\0\7public\0t\0d\0\2" COL_A COL_B
#define VAL_1                                                                                      \
    "t\0\0\0\1"                                                                                    \
    "1"
#define VAL_XY                                                                                     \
    "t\0\0\0\2"                                                                                    \
    "xy"
#define TUPLE "\0\2" VAL_1 VAL_XY

static void lengths_and_counts_that_disagree_with_the_message_are_refused(void **state)
{
    static const struct {
        const char *what;
        struct wc_slice msg;
        size_t at, width;         /* of the length or count */
        enum wc_status zero, max; /* max: all ones (-1), or the largest positive one */
    } fields[] = {
        {"columns of a relation", BYTES(REL_7), 15, 2, WC_PROTO, WC_LIMIT},
        {"columns of an insert", BYTES("I\0\0\0\7N" TUPLE), 6, 2, WC_PROTO, WC_PROTO},
        {"first value", BYTES("I\0\0\0\7N" TUPLE), 9, 4, WC_PROTO, WC_PROTO},
        {"last value", BYTES("I\0\0\0\7N" TUPLE), 15, 4, WC_PROTO, WC_PROTO},
        {"columns of a key", BYTES("U\0\0\0\7K" TUPLE "N" TUPLE), 6, 2, WC_PROTO, WC_PROTO},
        {"value of a key", BYTES("U\0\0\0\7K" TUPLE "N" TUPLE), 9, 4, WC_PROTO, WC_PROTO},
        {"columns after a key", BYTES("U\0\0\0\7K" TUPLE "N" TUPLE), 22, 2, WC_PROTO, WC_PROTO},
        {"value after a key", BYTES("U\0\0\0\7K" TUPLE "N" TUPLE), 25, 4, WC_PROTO, WC_PROTO},
        {"columns of a delete", BYTES("D\0\0\0\7O" TUPLE), 6, 2, WC_PROTO, WC_PROTO},
        {"value of a delete", BYTES("D\0\0\0\7O" TUPLE), 15, 4, WC_PROTO, WC_PROTO},
        {"truncated relations", BYTES("T\0\0\0\1\0\0\0\0\7"), 1, 4, WC_PROTO, WC_PROTO},
        {"body of a message", BYTES("M\1" INT8_1 "p\0\0\0\0\3abc"), 12, 4, WC_PROTO, WC_PROTO},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        uint8_t bytes[64];
        assert_in_range(fields[i].msg.len, 1, sizeof bytes);
        memcpy(bytes, fields[i].msg.p, fields[i].msg.len);
        struct wc_slice msg = wc_slice(bytes, fields[i].msg.len);
        decode_ok(f, MSG(REL_7));
        decode_ok(f, msg);
        memset(bytes + fields[i].at, 0, fields[i].width);
        expect_refused(f, msg, fields[i].zero);
        memset(bytes + fields[i].at, 0xff, fields[i].width);
        expect_refused(f, msg, fields[i].max);
        bytes[fields[i].at] = 0x7f;
        expect_refused(f, msg, fields[i].max);
    }
}

static void malformed_messages_are_refused_where_they_go_wrong(void **state)
{
    static const struct {
        const char *what;
        struct wc_slice msg;
        size_t at;
    } bad[] = {
        {"an empty message", {(const uint8_t *)"", 0}, 0},
        {"an unknown letter", BYTES("x"), 0},
        {"a letter that is no letter", BYTES("\xff"), 0},
        {"stream start", BYTES("S\0\0\0\1\1"), 0},
        {"stream stop", BYTES("E"), 0},
        {"stream commit", BYTES("c\0\0\0\1\0" INT8_1 INT8_1 INT8_1), 0},
        {"stream abort", BYTES("A\0\0\0\1\0\0\0\1"), 0},
        {"stream prepare", BYTES("p\0" INT8_1 INT8_1 INT8_1 "\0\0\0\1g\0"), 0},
        {"begin prepare", BYTES("b" INT8_1 INT8_1 INT8_1 "\0\0\0\1g\0"), 0},
        {"prepare", BYTES("P\0" INT8_1 INT8_1 INT8_1 "\0\0\0\1g\0"), 0},
        {"commit prepared", BYTES("K\0" INT8_1 INT8_1 INT8_1 "\0\0\0\1g\0"), 0},
        {"rollback prepared", BYTES("r\0" INT8_1 INT8_1 INT8_1 INT8_1 "\0\0\0\1g\0"), 0},
        {"begin without LSN", BYTES("B\0\0\0\0\0\0\0\0" INT8_1 "\0\0\0\1"), 1},
        {"commit with flags", BYTES("C\1" INT8_1 INT8_1 INT8_1), 1},
        {"relation with OID 0", BYTES("R\0\0\0\0public\0t\0d\0\0"), 1},
        {"unknown replica identity", BYTES("R\0\0\0\7public\0t\0x\0\0"), 14},
        {"more columns than bytes", BYTES("R\0\0\0\7public\0t\0d\0\2" COL_A), 17},
        {"relation name without end", BYTES("R\0\0\0\7public\0ttt"), 12},
        {"column name without end", BYTES("R\0\0\0\7public\0t\0d\0\1\1aaaaaaaaaa"), 18},
        {"more truncated relations than bytes", BYTES("T\0\0\0\2\0\0\0\0\7"), 1},
        {"unknown relation", BYTES("I\0\0\0\10N" TUPLE), 1},
        {"insert with an old tuple", BYTES("I\0\0\0\7O" TUPLE), 5},
        {"update with a strange tuple", BYTES("U\0\0\0\7X" TUPLE), 5},
        {"update with two keys", BYTES("U\0\0\0\7K" TUPLE "K" TUPLE), 21},
        {"delete with a new tuple", BYTES("D\0\0\0\7N" TUPLE), 5},
        {"too few columns", BYTES("I\0\0\0\7N\0\1" VAL_1), 6},
        {"too many columns", BYTES("I\0\0\0\7N\0\3" VAL_1 VAL_1 VAL_1), 6},
        {"unknown column kind", BYTES("I\0\0\0\7N\0\2" VAL_1 "x"), 14},
        {"value past the end", BYTES("I\0\0\0\7N\0\2" VAL_1 "t\0\0\0\2x"), 15},
        {"binary value past the end", BYTES("I\0\0\0\7N\0\2" VAL_1 "b\0\0\0\1"), 15},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wc_pgoutput_reset(f->decoder);
        decode_ok(f, MSG(REL_7));
        expect_refused(f, bad[i].msg, WC_PROTO);
        if (f->err.at != bad[i].at)
            fail_msg("%s: at %zu: %s", bad[i].what, f->err.at, f->err.text);
    }
}

static void every_column_kind_is_told_apart(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG("R\0\0\0\7public\0t\0d\0\5" COL_A COL_B COL_B COL_B COL_B));
    decode_ok(f, MSG("I\0\0\0\7N\0\5nut\0\0\0\0" VAL_XY "b\0\0\0\1\0"));
    const struct wc_row *row = &f->event.change.new;
    assert_int_equal(row->ncols, 5);
    assert_int_equal(row->col[0].kind, WC_COL_NULL);
    assert_int_equal(row->col[0].val.len, 0);
    assert_int_equal(row->col[1].kind, WC_COL_TOAST_UNCHANGED);
    assert_int_equal(row->col[1].val.len, 0);
    assert_int_equal(row->col[2].kind, WC_COL_TEXT);
    assert_int_equal(row->col[2].val.len, 0);
    assert_int_equal(row->col[3].kind, WC_COL_TEXT);
    assert_true(wc_slice_is(row->col[3].val, "xy"));
    assert_int_equal(row->col[4].kind, WC_COL_BINARY);
    assert_true(wc_slice_eq(row->col[4].val, MSG("\0")));
}

static void relation_describes_its_columns(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG("R\0\0\0\7public\0t\0i\0\2"
                     "\1a\0\0\0\0\x17\xff\xff\xff\xff"
                     "\0b\0\0\0\4\x13\0\0\0\7"));
    const struct wc_rel *rel = f->event.relation;
    assert_ptr_equal(rel, wc_pgoutput_rel(f->decoder, 7));
    assert_int_equal(rel->oid, 7);
    assert_true(wc_slice_is(rel->schema, "public"));
    assert_true(wc_slice_is(rel->name, "t"));
    assert_int_equal(rel->identity, WC_IDENTITY_INDEX);
    assert_int_equal(rel->ncols, 2);
    assert_int_equal(rel->col[0].type, 23);
    assert_int_equal(rel->col[0].typmod, -1);
    assert_true(rel->col[0].in_identity);
    assert_int_equal(rel->col[1].type, 1043);
    assert_int_equal(rel->col[1].typmod, 7);
    assert_false(rel->col[1].in_identity);
}

static void names_outlive_the_message_and_end_in_nul(void **state)
{
    struct fixture *f = *state;
    struct wc_slice msg = wc_exact_copy(MSG(REL_7));
    decode_ok(f, msg);
    wc_exact_free(msg);
    const struct wc_rel *rel = wc_pgoutput_rel(f->decoder, 7);
    assert_string_equal((const char *)rel->schema.p, "public");
    assert_string_equal((const char *)rel->name.p, "t");
    assert_string_equal((const char *)rel->col[0].name.p, "a");
    assert_string_equal((const char *)rel->col[1].name.p, "b");
}

static void empty_schema_is_pg_catalog(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG("R\0\0\0\7\0t\0d\0\0"));
    assert_true(wc_slice_is(f->event.relation->schema, "pg_catalog"));
}

static void relation_is_replaced_and_the_old_one_stays_with_its_holder(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG(REL_7));
    const struct wc_rel *old = wc_rel_ref(f->event.relation);
    decode_ok(f, MSG("I\0\0\0\7N" TUPLE));
    assert_ptr_equal(f->event.change.rel, old);
    decode_ok(f, MSG("R\0\0\0\7public\0renamed\0d\0\1" COL_A));
    assert_true(f->event.relation->generation > old->generation);
    expect_refused(f, MSG("I\0\0\0\7N" TUPLE), WC_PROTO);
    decode_ok(f, MSG("I\0\0\0\7N\0\1" VAL_1));
    assert_true(wc_slice_is(f->event.change.rel->name, "renamed"));
    assert_true(wc_slice_is(old->name, "t"));
    assert_int_equal(old->ncols, 2);
    wc_rel_unref(old);
}

static void reset_forgets_relations_but_not_the_generation(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG(REL_7));
    uint64_t generation = f->event.relation->generation;
    decode_ok(f, MSG("I\0\0\0\7N" TUPLE));
    wc_pgoutput_reset(f->decoder);
    assert_null(wc_pgoutput_rel(f->decoder, 7));
    expect_refused(f, MSG("I\0\0\0\7N" TUPLE), WC_PROTO);
    decode_ok(f, MSG(REL_7));
    assert_true(f->event.relation->generation > generation);
}

static void relations_interleave(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG(REL_7));
    decode_ok(f, MSG("R\0\0\0\10public\0u\0d\0\1" COL_A));
    for (size_t i = 0; i < 3; i++) {
        decode_ok(f, MSG("I\0\0\0\7N" TUPLE));
        assert_int_equal(f->event.change.rel->oid, 7);
        decode_ok(f, MSG("I\0\0\0\10N\0\1" VAL_1));
        assert_int_equal(f->event.change.rel->oid, 8);
    }
}

static void relations_have_a_ceiling_that_replacing_does_not_touch(void **state)
{
    struct fixture *f = *state;
    char msg[] = "R\0\0\0\1public\0t\0d\0\0";
    struct wc_slice bytes = wc_slice(msg, sizeof msg - 1);
    for (char oid = 1; oid <= MAX_RELS; oid++) {
        msg[4] = oid;
        decode_ok(f, bytes);
    }
    decode_ok(f, bytes);
    msg[4] = MAX_RELS + 1;
    expect_refused(f, bytes, WC_LIMIT);
    assert_null(wc_pgoutput_rel(f->decoder, MAX_RELS + 1));
    assert_non_null(wc_pgoutput_rel(f->decoder, 1));
}

/* A Relation message with n columns named "a"; returns owned. */
static struct wc_slice relation_of(uint16_t n)
{
    struct wc_buf b;
    wc_buf_init(&b, 65536);
    wc_buf_append(&b, "R\0\0\0\7public\0t\0d", 15);
    wc_buf_byte(&b, (char)(n >> 8));
    wc_buf_byte(&b, (char)(n & 0xff));
    for (uint16_t i = 0; i < n; i++)
        wc_buf_append(&b, COL_A, sizeof COL_A - 1);
    assert_int_equal(b.status, WC_OK);
    struct wc_slice msg = wc_exact_copy(wc_buf_view(&b));
    wc_buf_release(&b);
    return msg;
}

static void relation_may_have_as_many_columns_as_postgres_allows(void **state)
{
    struct fixture *f = *state;
    struct wc_slice most = relation_of(1664);
    struct wc_slice too_many = relation_of(1665);
    decode_ok(f, most);
    assert_int_equal(f->event.relation->ncols, 1664);
    expect_refused(f, too_many, WC_LIMIT);
    wc_exact_free(most);
    wc_exact_free(too_many);
}

static void arena_ceiling_is_out_of_memory(void **state)
{
    struct fixture *f = *state;
    decode_ok(f, MSG(REL_7));
    wc_arena_release(&f->arena);
    wc_arena_init(&f->arena, 2 * sizeof(struct wc_col) - 1);
    expect_refused(f, MSG("I\0\0\0\7N" TUPLE), WC_NOMEM);
}

static void relation_of_a_change_is_known_without_decoding_it(void **state)
{
    (void)state; /* unused */
    assert_int_equal(wc_pgoutput_rel_oid(MSG("I\1\2\3\4")), 0x01020304);
    assert_int_equal(wc_pgoutput_rel_oid(MSG("U\1\2\3\4N")), 0x01020304);
    assert_int_equal(wc_pgoutput_rel_oid(MSG("D\1\2\3\4K")), 0x01020304);
    assert_int_equal(wc_pgoutput_rel_oid(MSG("R\1\2\3\4")), 0);
    struct wc_slice cut = wc_exact_copy(MSG("I\1\2\3"));
    assert_int_equal(wc_pgoutput_rel_oid(cut), 0);
    wc_exact_free(cut);
    assert_int_equal(wc_pgoutput_rel_oid(wc_slice(NULL, 0)), 0);
    assert_int_equal(wc_pgoutput_letter(wc_slice(NULL, 0)), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(recorded_streams_decode_to_their_events),
        TEST(begin_announces_the_commit_that_follows),
        TEST(every_recorded_message_cut_anywhere_is_refused),
        TEST(every_recorded_message_with_a_byte_too_many_is_refused_at_that_byte),
        TEST(lengths_and_counts_that_disagree_with_the_message_are_refused),
        TEST(malformed_messages_are_refused_where_they_go_wrong),
        TEST(every_column_kind_is_told_apart),
        TEST(relation_describes_its_columns),
        TEST(names_outlive_the_message_and_end_in_nul),
        TEST(empty_schema_is_pg_catalog),
        TEST(relation_is_replaced_and_the_old_one_stays_with_its_holder),
        TEST(reset_forgets_relations_but_not_the_generation),
        TEST(relations_interleave),
        TEST(relations_have_a_ceiling_that_replacing_does_not_touch),
        TEST(relation_may_have_as_many_columns_as_postgres_allows),
        TEST(arena_ceiling_is_out_of_memory),
        TEST(relation_of_a_change_is_known_without_decoding_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
