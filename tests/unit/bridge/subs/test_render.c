#include "bridge/subs/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COLS = 3, BUF_CAP = 1 << 20, NO_LIMIT = 1 << 20, ID = 1, NAME = 2, NOTE = 4 };

/* Cells are texts; these two are told by address. */
static const char null_cell[] = "NULL";
static const char toast_cell[] = "unchanged TOAST";

#define AT_NOON     INT64_C(840628800123456) /* 2026-08-21 12:00:00.123456 */
#define HEAD(type)  "{\"schema\":\"public\",\"table\":\"t\",\"type\":\"" type "\","
#define TIME        "\"commit_timestamp\":\"2026-08-21T12:00:00.123Z\","
#define ID_COLUMN   "{\"name\":\"id\",\"type\":\"int4\"}"
#define NAME_COLUMN "{\"name\":\"name\",\"type\":\"text\"}"
#define NOTE_COLUMN "{\"name\":\"note\",\"type\":\"text\"}"
#define ALL_COLUMNS "\"columns\":[" ID_COLUMN "," NAME_COLUMN "," NOTE_COLUMN "],"
#define RECORD(r)   "\"record\":{" r "},"
#define OLD(r)      "\"old_record\":{" r "},"
#define NO_ERRORS   "\"errors\":null}"
#define TOO_LARGE   "\"errors\":[\"Error 413: Payload Too Large\"]}"
#define REFUSED     "\"commit_timestamp\":null,\"columns\":[],\"record\":{},"
#define NO_TOAST(c)                                                                                \
    "\"errors\":[\"Error 206: Partial Content, unchanged TOAST columns not available: " c "\"]}"
#define NOT_RENDERED(c)                                                                            \
    "\"errors\":[\"Error 206: Partial Content, columns that could not be rendered: " c "\"]}"
#define NO_PK    "\"errors\":[\"Error 400: Bad Request, no primary key\"]}"
#define NO_RIGHT "\"errors\":[\"Error 401: Unauthorized\"]}"

/* ---- a change and what a role may see of it ---- */

struct cells {
    const char *cell[COLS];
};

struct scene {
    enum wc_op op;
    enum wc_old_kind old_kind;
    uint32_t identity;   /* columns flagged in the relation */
    uint32_t unreadable; /* columns */
    bool pk_missing, pk_hidden;
    struct cells old, new;
    size_t max; /* bytes; 0: NO_LIMIT */
    const char *json;
};

struct stage {
    struct wc_rel_col rel_col[COLS];
    struct wc_rel rel;
    struct wc_access_col col[COLS];
    struct wc_access_map map[COLS];
    struct wc_access access;
    struct wc_col old_col[COLS], new_col[COLS];
    struct wc_change change;
    struct wc_view view;
    struct wc_buf out;
};

static const char *const names[] = {"id", "name", "note"};
static const char *const keys[] = {"\"id\":", "\"name\":", "\"note\":"};
static const char *const columns[] = {ID_COLUMN, NAME_COLUMN, NOTE_COLUMN};
static const wc_oid types[] = {23, 25, 25};

static void fill_row(struct wc_row *row, struct wc_col *col, const struct cells *from)
{
    for (size_t i = 0; i < COLS; i++) {
        const char *text = from->cell[i];
        if (text == null_cell || text == toast_cell)
            col[i] =
                (struct wc_col){.kind = text == null_cell ? WC_COL_NULL : WC_COL_TOAST_UNCHANGED};
        else
            col[i] = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice_str(text)};
    }
    *row = (struct wc_row){.ncols = COLS, .col = col};
}

static void fill_access(struct stage *t, const struct scene *s)
{
    for (uint16_t i = 0; i < COLS; i++) {
        bool readable = !(s->unreadable >> i & 1);
        t->col[i] = (struct wc_access_col){.name = wc_slice_str(names[i]),
                                           .json_key = wc_slice_str(keys[i]),
                                           .column_json = wc_slice_str(columns[i]),
                                           .in_pk = i == 0 && !s->pk_missing,
                                           .readable = readable};
        t->map[i] = (struct wc_access_map){.col = (int16_t)i, .type = wc_type_builtin(types[i])};
    }
    t->access = (struct wc_access){.rel = 1,
                                   .usable = true,
                                   .exists = true,
                                   .has_pk = !s->pk_missing,
                                   .pk_readable = !s->pk_missing && !s->pk_hidden,
                                   .ncols = COLS,
                                   .col = t->col,
                                   .map = t->map};
    t->view = (struct wc_view){.access = &t->access, .set = &wc_column_set_all};
}

static struct stage *set_stage(const struct scene *s)
{
    struct stage *t = calloc(1, sizeof *t);
    assert_non_null(t);
    for (size_t i = 0; i < COLS; i++)
        t->rel_col[i] = (struct wc_rel_col){
            .name = wc_slice_str(names[i]), .type = types[i], .in_identity = s->identity >> i & 1};
    t->rel = (struct wc_rel){.oid = 1,
                             .schema = wc_slice_str("public"),
                             .name = wc_slice_str("t"),
                             .identity = WC_IDENTITY_DEFAULT,
                             .ncols = COLS,
                             .col = t->rel_col};
    t->change = (struct wc_change){.op = s->op, .rel = &t->rel, .old_kind = s->old_kind};
    if (s->op != WC_OP_DELETE)
        fill_row(&t->change.new, t->new_col, &s->new);
    if (s->old_kind != WC_OLD_NONE)
        fill_row(&t->change.old, t->old_col, &s->old);
    fill_access(t, s);
    wc_buf_init(&t->out, BUF_CAP);
    return t;
}

static enum wc_status render_at(struct stage *t, int64_t time, size_t max)
{
    wc_buf_reset(&t->out);
    return wc_render_change(&t->out, &t->change, &t->view, time, max);
}

static const char *text(struct stage *t)
{
    wc_buf_byte(&t->out, '\0');
    assert_int_equal(t->out.status, WC_OK);
    return (const char *)t->out.p;
}

static void clear_stage(struct stage *t)
{
    wc_buf_release(&t->out);
    free(t);
}

static void expect(const struct scene *s)
{
    struct stage *t = set_stage(s);
    assert_int_equal(render_at(t, AT_NOON, s->max ? s->max : NO_LIMIT), WC_OK);
    assert_string_equal(text(t), s->json);
    clear_stage(t);
}

static void expect_all(const struct scene *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(&s[i]);
}

#define EXPECT_ALL(table) expect_all(table, sizeof(table) / sizeof(table)[0])

/* ---- record and old_record ---- */

static void an_insert_has_a_record_and_no_old_one(void **state)
{
    (void)state;
    static const struct scene table[] = {
        {.op = WC_OP_INSERT,
         .identity = ID,
         .new = {{"1", "say \"hi\"\n", null_cell}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD(
             "\"id\":1,\"name\":\"say \\\"hi\\\"\\n\",\"note\":null") NO_ERRORS},
        {.op = WC_OP_INSERT,
         .identity = ID,
         .new = {{"-7", "", "é😀"}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":-7,\"name\":\"\",\"note\":\"é😀\"")
             NO_ERRORS},
    };
    EXPECT_ALL(table);
}

static void an_update_shows_the_identity_it_had_before(void **state)
{
    (void)state;
    static const struct scene table[] = {
        /* key unchanged: no old row came, the new one has the same key */
        {.op = WC_OP_UPDATE,
         .identity = ID,
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"id\":1") NO_ERRORS},
        /* key changed */
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_KEY,
         .identity = ID,
         .old = {{"1", null_cell, null_cell}},
         .new = {{"2", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":2,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"id\":1") NO_ERRORS},
        /* identity is an index: its columns, not the primary key */
        {.op = WC_OP_UPDATE,
         .identity = NAME,
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"name\":\"b\"") NO_ERRORS},
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_KEY,
         .identity = NAME,
         .old = {{null_cell, "a", null_cell}},
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"name\":\"a\"") NO_ERRORS},
        /* composite key */
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_KEY,
         .identity = ID | NAME,
         .old = {{"1", "a", null_cell}},
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"id\":1,\"name\":\"a\"") NO_ERRORS},
        /* FULL: all of it, NULLs included */
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", null_cell}},
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("\"id\":1,\"name\":\"a\",\"note\":null") NO_ERRORS},
        /* no identity at all */
        {.op = WC_OP_UPDATE,
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"n\"")
             OLD("") NO_ERRORS},
    };
    EXPECT_ALL(table);
}

static void a_delete_has_an_old_record_only(void **state)
{
    (void)state;
    static const struct scene table[] = {
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_KEY,
         .identity = ID,
         .old = {{"1", null_cell, null_cell}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1") NO_ERRORS},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_KEY,
         .identity = NAME | NOTE,
         .old = {{null_cell, "a", "n"}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"name\":\"a\",\"note\":\"n\"") NO_ERRORS},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", null_cell}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1,\"name\":\"a\",\"note\":null")
             NO_ERRORS},
        /* what came in full is shown in full, whatever the flags */
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .old = {{"1", "a", "n"}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1,\"name\":\"a\",\"note\":\"n\"")
             NO_ERRORS},
    };
    EXPECT_ALL(table);
}

static void an_unchanged_toast_value_is_the_old_one_or_named_as_missing(void **state)
{
    (void)state;
    static const struct scene table[] = {
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "long"}},
         .new = {{"1", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"long\"")
             OLD("\"id\":1,\"name\":\"a\",\"note\":\"long\"") NO_ERRORS},
        {.op = WC_OP_UPDATE,
         .identity = ID,
         .new = {{"1", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\"") OLD("\"id\":1")
             NO_TOAST("note")},
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_KEY,
         .identity = ID,
         .old = {{"1", null_cell, null_cell}},
         .new = {{"2", toast_cell, toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":2") OLD("\"id\":1")
             NO_TOAST("name, note")},
        {.op = WC_OP_UPDATE,
         .identity = ID | NOTE,
         .new = {{"1", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\"") OLD("\"id\":1")
             NO_TOAST("note")},
        /* a part of the key that did not change while another did */
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_KEY,
         .identity = ID | NOTE,
         .old = {{"1", null_cell, "long"}},
         .new = {{"2", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":2,\"name\":\"b\",\"note\":\"long\"")
             OLD("\"id\":1,\"note\":\"long\"") NO_ERRORS},
        /* what may not be read is not named either */
        {.op = WC_OP_UPDATE,
         .identity = ID,
         .unreadable = NAME,
         .new = {{"1", toast_cell, toast_cell}},
         .json = HEAD("UPDATE") TIME "\"columns\":[" ID_COLUMN "," NOTE_COLUMN
                                     "]," RECORD("\"id\":1") OLD("\"id\":1") NO_TOAST("note")},
        {.op = WC_OP_UPDATE,
         .identity = ID,
         .max = 1,
         .new = {{"1", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\"")
             OLD("\"id\":1") "\"errors\":[\"Error 413: Payload Too Large\",\"Error 206: Partial "
                             "Content, "
                             "unchanged TOAST columns not available: note\"]}"},
    };
    EXPECT_ALL(table);
}

/* ---- privileges ---- */

static void an_unreadable_column_appears_nowhere(void **state)
{
    (void)state;
#define ID_AND_NOTE "\"columns\":[" ID_COLUMN "," NOTE_COLUMN "],"
    static const struct scene table[] = {
        {.op = WC_OP_INSERT,
         .identity = ID,
         .unreadable = NAME,
         .new = {{"1", "secret", "n"}},
         .json = HEAD("INSERT") TIME ID_AND_NOTE RECORD("\"id\":1,\"note\":\"n\"") NO_ERRORS},
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .unreadable = NAME,
         .old = {{"1", "secret", "m"}},
         .new = {{"1", toast_cell, "n"}},
         .json = HEAD("UPDATE") TIME ID_AND_NOTE RECORD("\"id\":1,\"note\":\"n\"")
             OLD("\"id\":1,\"note\":\"m\"") NO_ERRORS},
        {.op = WC_OP_UPDATE,
         .identity = NAME,
         .unreadable = NAME,
         .new = {{"1", "secret", "n"}},
         .json =
             HEAD("UPDATE") TIME ID_AND_NOTE RECORD("\"id\":1,\"note\":\"n\"") OLD("") NO_ERRORS},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .unreadable = NAME,
         .old = {{"1", "secret", "n"}},
         .json = HEAD("DELETE") TIME ID_AND_NOTE OLD("\"id\":1,\"note\":\"n\"") NO_ERRORS},
    };
#undef ID_AND_NOTE
    EXPECT_ALL(table);
}

static void a_table_without_primary_key_is_error_400(void **state)
{
    (void)state;
    static const struct scene table[] = {
        {.op = WC_OP_INSERT,
         .pk_missing = true,
         .new = {{"1", "a", "n"}},
         .json = HEAD("INSERT") REFUSED NO_PK},
        {.op = WC_OP_UPDATE,
         .pk_missing = true,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "n"}},
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") REFUSED OLD("") NO_PK},
        /* whatever else is wrong */
        {.op = WC_OP_INSERT,
         .pk_missing = true,
         .pk_hidden = true,
         .unreadable = ID | NAME | NOTE,
         .max = 1,
         .new = {{"1", "a", "n"}},
         .json = HEAD("INSERT") REFUSED NO_PK},
        /* a DELETE needs no key */
        {.op = WC_OP_DELETE,
         .pk_missing = true,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "n"}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1,\"name\":\"a\",\"note\":\"n\"")
             NO_ERRORS},
    };
    EXPECT_ALL(table);
}

static void an_unreadable_primary_key_is_error_401(void **state)
{
    (void)state;
    static const struct scene table[] = {
        {.op = WC_OP_INSERT,
         .identity = ID,
         .unreadable = ID,
         .pk_hidden = true,
         .new = {{"1", "a", "n"}},
         .json = HEAD("INSERT") REFUSED NO_RIGHT},
        {.op = WC_OP_UPDATE,
         .identity = ID,
         .unreadable = ID,
         .pk_hidden = true,
         .max = 1,
         .new = {{"1", "b", "n"}},
         .json = HEAD("UPDATE") REFUSED OLD("") NO_RIGHT},
        /* a DELETE says nothing of it, nor anything else */
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .unreadable = ID | NAME | NOTE,
         .pk_hidden = true,
         .old = {{"1", "a", "n"}},
         .json = HEAD("DELETE") TIME "\"columns\":[]," OLD("") NO_ERRORS},
    };
    EXPECT_ALL(table);
}

/* ---- size ---- */

#define X10         "xxxxxxxxxx"
#define X62         X10 X10 X10 X10 X10 X10 "xx"
#define LARGE_LIMIT 400

static void a_record_too_large_keeps_small_values_only(void **state)
{
    (void)state;
    static const struct scene table[] = {
        /* 62 characters are 64 bytes of JSON */
        {.op = WC_OP_INSERT,
         .identity = ID,
         .max = LARGE_LIMIT,
         .new = {{"1", X62, X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"" X62 "\"") TOO_LARGE},
        {.op = WC_OP_INSERT,
         .identity = ID,
         .max = LARGE_LIMIT,
         .new = {{"1", X62 "x", X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1") TOO_LARGE},
        /* escapes count */
        {.op = WC_OP_INSERT,
         .identity = ID,
         .max = LARGE_LIMIT,
         .new = {{"1", X10 X10 X10 X10 X10 X10 "\n", X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD(
             "\"id\":1,\"name\":\"" X10 X10 X10 X10 X10 X10 "\\n\"") TOO_LARGE},
        {.op = WC_OP_INSERT,
         .identity = ID,
         .max = LARGE_LIMIT,
         .new = {{"1", X10 X10 X10 X10 X10 X10 "x\n", X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1") TOO_LARGE},
        /* NULLs go, and the first and the last may */
        {.op = WC_OP_INSERT,
         .identity = ID,
         .max = LARGE_LIMIT,
         .new = {{"1", null_cell, X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1") TOO_LARGE},
        {.op = WC_OP_INSERT,
         .identity = NAME,
         .max = LARGE_LIMIT,
         .new = {{null_cell, X62 X62, X62 X62}},
         .json = HEAD("INSERT") TIME ALL_COLUMNS RECORD("") TOO_LARGE},
        /* both rows; an unchanged TOAST value is not taken over */
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .max = LARGE_LIMIT,
         .old = {{"1", X62 X62, "short"}},
         .new = {{"1", "b", toast_cell}},
         .json = HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\"")
             OLD("\"id\":1,\"note\":\"short\"") TOO_LARGE},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .max = LARGE_LIMIT,
         .old = {{"1", X62 X62, X62 X62}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1") TOO_LARGE},
        /* a key that is too large goes like any other value */
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_KEY,
         .identity = NAME,
         .max = LARGE_LIMIT,
         .old = {{null_cell, X62 X62, null_cell}},
         .json = HEAD("DELETE") TIME ALL_COLUMNS OLD("") TOO_LARGE},
        /* no right to see is no size */
        {.op = WC_OP_INSERT,
         .identity = ID,
         .unreadable = NAME,
         .max = LARGE_LIMIT,
         .new = {{"1", "secret", X62 X62}},
         .json = HEAD("INSERT") TIME "\"columns\":[" ID_COLUMN "," NOTE_COLUMN
                                     "]," RECORD("\"id\":1") TOO_LARGE},
    };
    EXPECT_ALL(table);
}

/* 150 + per column 55, name and value: 150 + 3 × 55 + 2 + 4 + 4 + 3 = 328. */
static void the_limit_itself_is_not_too_large(void **state)
{
    (void)state;
    struct scene s = {.op = WC_OP_INSERT, .identity = ID, .max = 328, .new = {{"1", "a", "n"}}};
    s.json =
        HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"a\",\"note\":\"n\"") NO_ERRORS;
    expect(&s);
    s.max = 327;
    s.json =
        HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"a\",\"note\":\"n\"") TOO_LARGE;
    expect(&s);
}

/* ---- the catalog is of today, the log of yesterday ---- */

static const struct scene plain = {
    .op = WC_OP_INSERT, .identity = ID, .new = {{"1", "t", "2024-02-29 13:14:15+00"}}};

static void a_column_dropped_since_is_left_out(void **state)
{
    (void)state;
    struct stage *t = set_stage(&plain);
    t->map[1].col = -1;
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME ALL_COLUMNS RECORD(
                                     "\"id\":1,\"note\":\"2024-02-29 13:14:15+00\"") NO_ERRORS);
    for (size_t i = 0; i < COLS; i++)
        t->map[i].col = -1;
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME ALL_COLUMNS RECORD("") NO_ERRORS);
    clear_stage(t);
}

static void a_column_is_found_where_the_catalog_has_it(void **state)
{
    (void)state;
    struct stage *t = set_stage(&plain);
    t->map[0].col = 2;
    t->map[2].col = 0;
    t->col[1].readable = false;
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME
                        "\"columns\":[" ID_COLUMN "," NOTE_COLUMN
                        "]," RECORD("\"note\":1,\"id\":\"2024-02-29 13:14:15+00\"") NO_ERRORS);
    clear_stage(t);
}

static void a_value_is_rendered_by_the_type_of_the_stream(void **state)
{
    (void)state;
    struct stage *t = set_stage(&plain);
    t->map[1].type = wc_type_builtin(16);
    t->map[2].type = wc_type_builtin(1184);
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(
        text(t), HEAD("INSERT") TIME ALL_COLUMNS RECORD(
                     "\"id\":1,\"name\":true,\"note\":\"2024-02-29T13:14:15+00:00\"") NO_ERRORS);
    clear_stage(t);
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct stage *t = set_stage(&plain);
    t->rel.schema = wc_slice_str("a\"b");
    t->rel.name = wc_slice_str("c\\d\n");
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    static const char start[] = "{\"schema\":\"a\\\"b\",\"table\":\"c\\\\d\\n\",\"type\":";
    assert_memory_equal(text(t), start, sizeof start - 1);
    clear_stage(t);
}

/* ---- column sets ---- */

static void expect_view(struct stage *t, const char *json)
{
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), json);
}

static void only_selected_columns_and_the_key_are_shown(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {.op = WC_OP_INSERT, .identity = ID, .new = {{"1", "a", "n"}}},
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "m"}},
         .new = {{"1", toast_cell, toast_cell}}},
        {.op = WC_OP_UPDATE, .identity = ID, .new = {{"1", toast_cell, toast_cell}}},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "m"}}},
    };
#define SELECTED "\"columns\":[" ID_COLUMN "," NOTE_COLUMN "],"
    static const char *const json[] = {
        HEAD("INSERT") TIME SELECTED RECORD("\"id\":1,\"note\":\"n\"") NO_ERRORS,
        HEAD("UPDATE") TIME SELECTED RECORD("\"id\":1,\"note\":\"m\"")
            OLD("\"id\":1,\"note\":\"m\"") NO_ERRORS,
        /* what is not wanted is not missing */
        HEAD("UPDATE") TIME SELECTED RECORD("\"id\":1") OLD("\"id\":1") NO_TOAST("note"),
        HEAD("DELETE") TIME SELECTED OLD("\"id\":1,\"note\":\"m\"") NO_ERRORS,
    };
#undef SELECTED
    const struct wc_slice wanted[] = {wc_slice_str("na"), wc_slice_str("note"),
                                      wc_slice_str("notes")};
    const struct wc_column_set set = {.nnames = 3, .name = wanted};
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        struct stage *t = set_stage(&scenes[i]);
        t->view.set = &set;
        expect_view(t, json[i]);
        clear_stage(t);
    }
}

static void a_selected_column_that_became_unreadable_vanishes(void **state)
{
    (void)state;
    const struct scene s = {
        .op = WC_OP_INSERT, .identity = ID, .unreadable = NOTE, .new = {{"1", "a", "n"}}};
    const struct wc_slice wanted[] = {wc_slice_str("note")};
    const struct wc_column_set set = {.nnames = 1, .name = wanted};
    struct stage *t = set_stage(&s);
    t->view.set = &set;
    expect_view(t, HEAD("INSERT") TIME "\"columns\":[" ID_COLUMN "]," RECORD("\"id\":1") NO_ERRORS);
    clear_stage(t);
}

static void exact_numbers_are_strings(void **state)
{
    (void)state;
    const struct scene s = {.op = WC_OP_INSERT, .identity = ID, .new = {{"1", "2", "3"}}};
    const struct wc_column_set set = {.is_all = true, .has_exact_numbers = true};
    struct stage *t = set_stage(&s);
    t->map[1].type = wc_type_builtin(20);
    t->map[2].type = wc_type_builtin(1700);
    t->view.set = &set;
    expect_view(t, HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"2\",\"note\":\"3\"")
                       NO_ERRORS);
    clear_stage(t);
}

static void an_old_row_may_be_cut_to_the_primary_key(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "m"}},
         .new = {{"1", "b", toast_cell}}},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", "a", "m"}}},
        {.op = WC_OP_DELETE,
         .old_kind = WC_OLD_KEY,
         .identity = NAME, /* an index that is not the key */
         .old = {{null_cell, "a", null_cell}}},
    };
    static const char *const json[] = {
        HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"b\",\"note\":\"m\"")
            OLD("\"id\":1") NO_ERRORS,
        HEAD("DELETE") TIME ALL_COLUMNS OLD("\"id\":1") NO_ERRORS,
        HEAD("DELETE") TIME ALL_COLUMNS OLD("") NO_ERRORS,
    };
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        struct stage *t = set_stage(&scenes[i]);
        t->view.old_key_only = true;
        expect_view(t, json[i]);
        clear_stage(t);
    }
}

static void a_generated_column_that_is_not_logged_is_not_described(void **state)
{
    (void)state;
    struct stage *t = set_stage(&plain);
    t->col[2].is_generated = true;
    expect_view(t, HEAD("INSERT") TIME ALL_COLUMNS RECORD(
                       "\"id\":1,\"name\":\"t\",\"note\":\"2024-02-29 13:14:15+00\"") NO_ERRORS);
    t->rel.ncols = 2;
    t->change.new.ncols = 2;
    expect_view(t, HEAD("INSERT") TIME "\"columns\":[" ID_COLUMN "," NAME_COLUMN
                                       "]," RECORD("\"id\":1,\"name\":\"t\"") NO_ERRORS);
    t->col[2].is_generated = false; /* added since: described, as its next value will come */
    expect_view(t, HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"id\":1,\"name\":\"t\"") NO_ERRORS);
    clear_stage(t);
}

/* ---- time ---- */

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)

static void the_commit_time_is_cut_to_milliseconds(void **state)
{
    (void)state;
    static const struct {
        int64_t time; /* microseconds since 2000 */
        const char *text;
    } table[] = {
        {0, "2000-01-01T00:00:00.000Z"},
        {999, "2000-01-01T00:00:00.000Z"},
        {1000, "2000-01-01T00:00:00.001Z"},
        {999999, "2000-01-01T00:00:00.999Z"},
        {SECOND, "2000-01-01T00:00:01.000Z"},
        {AT_NOON, "2026-08-21T12:00:00.123Z"},
        {8825 * DAY - 1, "2024-02-28T23:59:59.999Z"},
        {8825 * DAY, "2024-02-29T00:00:00.000Z"},
        {-1, "1999-12-31T23:59:59.999Z"},
        {-1000, "1999-12-31T23:59:59.999Z"},
        {-1001, "1999-12-31T23:59:59.998Z"},
        {-SECOND, "1999-12-31T23:59:59.000Z"},
        {-10957 * DAY, "1970-01-01T00:00:00.000Z"},
        {-10957 * DAY - 1, "1969-12-31T23:59:59.999Z"},
        {-10957 * DAY - SECOND, "1969-12-31T23:59:59.000Z"},
        {-10958 * DAY + 1500, "1969-12-31T00:00:00.001Z"},
        {INT64_MAX, "294277-01-09T04:00:54.775Z"},
    };
    struct stage *t = set_stage(&plain);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(render_at(t, table[i].time, NO_LIMIT), WC_OK);
        const char *at = strstr(text(t), "\"commit_timestamp\":\"");
        assert_non_null(at);
        at += strlen("\"commit_timestamp\":\"");
        assert_memory_equal(at, table[i].text, strlen(table[i].text));
        assert_int_equal(at[strlen(table[i].text)], '"');
    }
    assert_int_equal(render_at(t, INT64_MIN, NO_LIMIT), WC_OK); /* any time has a text */
    clear_stage(t);
}

/* ---- errors ---- */

static void a_value_that_cannot_be_of_its_type_is_left_out_and_named(void **state)
{
    (void)state;
    struct scene s = {.op = WC_OP_INSERT, .identity = ID, .new = {{"one", "a", "n"}}};
    struct stage *t = set_stage(&s);
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME ALL_COLUMNS RECORD(
                                     "\"name\":\"a\",\"note\":\"n\"") NOT_RENDERED("id"));
    t->map[2].type = NULL; /* the catalog has no such type any more */
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME ALL_COLUMNS RECORD("\"name\":\"a\"")
                                     NOT_RENDERED("id, note"));
    t->col[0].readable = false; /* what is not shown is not looked at */
    t->col[2].readable = false;
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t), HEAD("INSERT") TIME "\"columns\":[" NAME_COLUMN
                                                     "]," RECORD("\"name\":\"a\"") NO_ERRORS);
    clear_stage(t);
}

static void a_value_refused_in_both_rows_is_named_once(void **state)
{
    (void)state;
    struct scene s = {.op = WC_OP_UPDATE,
                      .old_kind = WC_OLD_FULL,
                      .identity = ID | NAME | NOTE,
                      .old = {{"one", "a", "n"}},
                      .new = {{"two", "b", "n"}}};
    struct stage *t = set_stage(&s);
    assert_int_equal(render_at(t, AT_NOON, NO_LIMIT), WC_OK);
    assert_string_equal(text(t),
                        HEAD("UPDATE") TIME ALL_COLUMNS RECORD("\"name\":\"b\",\"note\":\"n\"")
                            OLD("\"name\":\"a\",\"note\":\"n\"") NOT_RENDERED("id"));
    clear_stage(t);
}

static void a_buffer_of_any_size_holds_all_or_says_so(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {.op = WC_OP_UPDATE,
         .old_kind = WC_OLD_FULL,
         .identity = ID | NAME | NOTE,
         .old = {{"1", X62, null_cell}},
         .new = {{"1", X62 X62, X62}},
         .max = 1},
        {.op = WC_OP_UPDATE, .identity = ID, .new = {{"1", X62, X62}}},
        {.op = WC_OP_UPDATE, .pk_missing = true, .new = {{"1", X62, X62}}},
    };
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        struct stage *t = set_stage(&scenes[i]);
        size_t max = scenes[i].max ? scenes[i].max : NO_LIMIT;
        assert_int_equal(render_at(t, AT_NOON, max), WC_OK);
        size_t whole = t->out.len;
        for (size_t cap = 0; cap <= whole + 128; cap++) {
            struct wc_buf small;
            wc_buf_init(&small, cap);
            enum wc_status st = wc_render_change(&small, &t->change, &t->view, AT_NOON, max);
            assert_true(wc_buf_ok(&small));
            assert_int_equal(st, small.status);
            assert_int_equal(small.len, st == WC_OK ? whole : 0);
            assert_true(st == WC_OK ? cap >= whole : st == WC_LIMIT && cap < whole + 128);
            wc_buf_release(&small);
        }
        clear_stage(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_insert_has_a_record_and_no_old_one),
        cmocka_unit_test(an_update_shows_the_identity_it_had_before),
        cmocka_unit_test(a_delete_has_an_old_record_only),
        cmocka_unit_test(an_unchanged_toast_value_is_the_old_one_or_named_as_missing),
        cmocka_unit_test(an_unreadable_column_appears_nowhere),
        cmocka_unit_test(a_table_without_primary_key_is_error_400),
        cmocka_unit_test(an_unreadable_primary_key_is_error_401),
        cmocka_unit_test(a_record_too_large_keeps_small_values_only),
        cmocka_unit_test(the_limit_itself_is_not_too_large),
        cmocka_unit_test(a_column_dropped_since_is_left_out),
        cmocka_unit_test(a_column_is_found_where_the_catalog_has_it),
        cmocka_unit_test(a_value_is_rendered_by_the_type_of_the_stream),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(only_selected_columns_and_the_key_are_shown),
        cmocka_unit_test(a_selected_column_that_became_unreadable_vanishes),
        cmocka_unit_test(exact_numbers_are_strings),
        cmocka_unit_test(an_old_row_may_be_cut_to_the_primary_key),
        cmocka_unit_test(a_generated_column_that_is_not_logged_is_not_described),
        cmocka_unit_test(the_commit_time_is_cut_to_milliseconds),
        cmocka_unit_test(a_value_that_cannot_be_of_its_type_is_left_out_and_named),
        cmocka_unit_test(a_value_refused_in_both_rows_is_named_once),
        cmocka_unit_test(a_buffer_of_any_size_holds_all_or_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
