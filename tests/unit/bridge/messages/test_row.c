#include "bridge/messages/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TEXT = 25, BOOL = 16, UUID = 2950, JSONB = 3802, BYTEA = 17, TIMESTAMP = 1114, COLUMNS = 8 };

#define ID "0b1c2d3e-4f50-4617-8899-aabbccddeeff"

struct table {
    struct wc_rel_col col[COLUMNS];
    struct wc_col val[COLUMNS];
    struct wc_rel rel;
    struct wc_row row;
};

/* A complete row; the columns in an order of their own, and one that nobody knows. */
static void fill(struct table *t)
{
    static const struct {
        const char *name;
        wc_oid type;
        const char *value;
    } column[COLUMNS] = {{"other", TEXT, "x"},
                         {"payload", JSONB, "{\"a\": 1}"},
                         {"id", UUID, ID},
                         {"event", TEXT, "e"},
                         {"inserted_at", TIMESTAMP, "-"},
                         {"private", BOOL, "t"},
                         {"binary_payload", BYTEA, NULL},
                         {"topic", TEXT, "room"}};
    *t = (struct table){.rel = {.schema = wc_slice_str("realtime"),
                                .name = wc_slice_str("messages_2026_01_02"),
                                .ncols = COLUMNS}};
    for (size_t i = 0; i < COLUMNS; i++) {
        t->col[i] =
            (struct wc_rel_col){.name = wc_slice_str(column[i].name), .type = column[i].type};
        if (column[i].value)
            t->val[i] = (struct wc_col){WC_COL_TEXT, wc_slice_str(column[i].value)};
    }
    t->rel.col = t->col;
    t->row = (struct wc_row){.ncols = COLUMNS, .col = t->val};
}

static size_t column(const struct table *t, const char *name)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if (wc_slice_is(t->col[i].name, name))
            return i;
    fail_msg("no column %s", name);
    return 0;
}

static void set(struct table *t, const char *name, const char *value)
{
    t->val[column(t, name)] = value ? (struct wc_col){WC_COL_TEXT, wc_slice_str(value)}
                                    : (struct wc_col){.kind = WC_COL_NULL};
}

static void times_are_read_as_postgres_prints_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t at;
    } table[] = {
        {"1970-01-01 00:00:00", 0},
        {"2024-02-29 13:14:15.123456", 1709212455123456},
        {"2024-02-29 13:14:15.5+00", 1709212455500000},
        {"2024-02-29 18:44:15+05:30", 1709212455000000},
        {"2024-02-29 12:14:14-01:00:01", 1709212455000000},
        {"1969-12-31 23:59:59.75", -250000},
    };
    static const char *const bad[] = {
        "",
        "infinity",
        "-infinity",
        "-",
        "2024-02-29",
        "2024-02-29 13:14",
        "0044-03-15 01:02:03 BC",
        "2024-02-29 13:14:15 and a text that is too long to be one of a time"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        wc_us at = 1;
        assert_true(wc_row_time(wc_slice_str(table[i].text), &at));
        assert_int_equal(at, table[i].at);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wc_us at = 1;
        if (wc_row_time(wc_slice_str(bad[i]), &at))
            fail_msg("%s", bad[i]);
    }
}

static void a_row_is_read_by_the_names_of_its_columns(void **state)
{
    (void)state;
    struct table t;
    struct wc_row_broadcast b;
    fill(&t);
    assert_null(wc_row_read(&t.rel, &t.row, &b));
    assert_true(wc_slice_is(b.topic, "room"));
    assert_true(wc_slice_is(b.event, "e"));
    assert_true(wc_slice_is(b.payload, "{\"a\": 1}"));
    assert_true(wc_slice_is(b.id, ID));
    assert_int_equal(b.uuid[0], 0x0b);
    assert_int_equal(b.uuid[15], 0xff);
    assert_true(b.is_private);
    assert_false(b.is_binary);
}

static void a_binary_payload_comes_first(void **state)
{
    (void)state;
    struct table t;
    struct wc_row_broadcast b;
    fill(&t);
    set(&t, "binary_payload", "\\x00ff");
    set(&t, "private", "f");
    assert_null(wc_row_read(&t.rel, &t.row, &b));
    assert_true(b.is_binary);
    assert_false(b.is_private);
    uint8_t bytes[2];
    assert_int_equal(wc_row_binary_len(b.payload), 2);
    assert_true(wc_row_binary(b.payload, bytes));
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[1], 255);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *column, *missing;
    } row[] = {{"topic", "topic_missing"},     {"event", "event_missing"},
               {"payload", "payload_missing"}, {"private", "private_missing"},
               {"id", "id_missing"},           {"inserted_at", "inserted_at_missing"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct table t;
        struct wc_row_broadcast b;
        fill(&t);
        set(&t, row[i].column, NULL);
        assert_string_equal(wc_row_read(&t.rel, &t.row, &b), row[i].missing);
        fill(&t); /* no such column at all */
        t.col[column(&t, row[i].column)].name = wc_slice_str("renamed");
        assert_string_equal(wc_row_read(&t.rel, &t.row, &b), row[i].missing);
    }
}

static void a_payload_that_is_not_json_could_forge_a_message(void **state)
{
    (void)state;
    struct table t;
    struct wc_row_broadcast b;
    fill(&t);
    t.col[column(&t, "payload")].type = TEXT;
    set(&t, "payload", "1},\"event\":\"forged\"");
    assert_string_equal(wc_row_read(&t.rel, &t.row, &b), "payload_missing");
    fill(&t);
    t.col[column(&t, "binary_payload")].type = TEXT;
    set(&t, "binary_payload", "\\x00");
    assert_string_equal(wc_row_read(&t.rel, &t.row, &b), "payload_missing");
}

static void only_a_uuid_is_an_id(void **state)
{
    (void)state;
    struct table t;
    struct wc_row_broadcast b;
    fill(&t);
    set(&t, "id", "0b1c2d3e-4f50-4617-8899-aabbccddeef");
    assert_string_equal(wc_row_read(&t.rel, &t.row, &b), "id_missing");
}

static void only_hex_digits_behind_their_mark_are_bytes(void **state)
{
    (void)state;
    static const char *const text[] = {"", "\\", "x00", "\\y00", "\\x0", "\\x0g"};
    uint8_t out[4];
    assert_true(wc_row_binary(wc_slice_str("\\x"), out));
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        assert_false(wc_row_binary(wc_slice_str(text[i]), out));
}

static void messages_and_their_partitions_are_told_from_other_tables(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *name;
        bool is_message;
    } row[] = {{"realtime", "messages", true},   {"realtime", "messages_2026_01_02", true},
               {"realtime", "messages_", false}, {"realtime", "messagesx", false},
               {"public", "messages", false},    {"realtime", "subscription", false}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct wc_rel rel = {.schema = wc_slice_str(row[i].schema),
                                   .name = wc_slice_str(row[i].name)};
        assert_int_equal(wc_row_is_message(&rel), row[i].is_message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_postgres_prints_them),
        cmocka_unit_test(a_row_is_read_by_the_names_of_its_columns),
        cmocka_unit_test(a_binary_payload_comes_first),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(a_payload_that_is_not_json_could_forge_a_message),
        cmocka_unit_test(only_a_uuid_is_an_id),
        cmocka_unit_test(only_hex_digits_behind_their_mark_are_bytes),
        cmocka_unit_test(messages_and_their_partitions_are_told_from_other_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
