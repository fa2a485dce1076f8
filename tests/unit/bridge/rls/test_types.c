/* The trees of types from answers of q_types.sql; the connection is a script (fake_* below). */
#include "bridge/rls/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "decoder/value.h"

enum { COLS = 5, FRESHNESS_US = 1000000 };

/* ---- a connection that answers when told ---- */

static struct {
    wc_pg_result_fn done;
    void *arg;
    char oids[256];
    size_t asked;
    const char *const (*row)[COLS];
    enum wc_status refuse;
} fake;

enum wc_status wc_pg_query(struct wc_pg *pg, const char *sql, int nparams,
                           const char *const *params, wc_pg_result_fn done, void *arg)
{
    (void)pg, (void)sql;
    assert_int_equal(nparams, 1);
    if (fake.refuse != WC_OK)
        return fake.refuse;
    assert_null(fake.done);
    assert_true(strlen(params[0]) < sizeof fake.oids);
    memcpy(fake.oids, params[0], strlen(params[0]) + 1);
    fake.done = done;
    fake.arg = arg;
    fake.asked++;
    return WC_OK;
}

const char *wc_pg_value(const struct wc_pg_result *res, int row, int col)
{
    assert_in_range(row, 0, res->nrows - 1);
    return fake.row[row][col];
}

struct wc_slice wc_pg_slice(const struct wc_pg_result *res, int row, int col)
{
    const char *text = wc_pg_value(res, row, col);
    return text ? wc_slice_str(text) : wc_slice(NULL, 0);
}

static void reply(const struct wc_pg_result *res)
{
    wc_pg_result_fn done = fake.done;
    assert_non_null(done);
    fake.done = NULL;
    done(fake.arg, res);
}

static void answer(const char *const (*row)[COLS], int nrows)
{
    fake.row = row;
    reply(&(struct wc_pg_result){.ok = true, .nrows = nrows, .ncols = COLS});
}

#define ANSWER(rows) answer(rows, (int)(sizeof(rows) / sizeof(rows)[0]))

/* ---- ---- */

static void on_answer(void *arg)
{
    (*(size_t *)arg)++;
}

struct stage {
    struct wc_types *types;
    size_t answers;
};

static int open_stage(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    memset(&fake, 0, sizeof fake);
    s->types = wc_types_new(FRESHNESS_US, on_answer, &s->answers);
    assert_non_null(s->types);
    *state = s;
    return 0;
}

static int close_stage(void **state)
{
    struct stage *s = *state;
    wc_types_free(s->types);
    free(s);
    return 0;
}

static bool find(struct stage *s, wc_oid oid, uint64_t since, const struct wc_type **out)
{
    return wc_types_find(s->types, oid, since, wc_clock_mono(), out);
}

static void refresh(struct stage *s, bool renew)
{
    assert_int_equal(wc_types_refresh(s->types, NULL, renew), WC_OK);
}

/* Wants the type, and has it answered by these rows. */
#define LEARN(s, oid, rows)                                                                        \
    do {                                                                                           \
        const struct wc_type *unknown;                                                             \
        assert_false(find(s, oid, 0, &unknown));                                                   \
        refresh(s, false);                                                                         \
        ANSWER(rows);                                                                              \
    } while (0)

static void assert_renders(struct stage *s, wc_oid oid, const char *text, const char *json)
{
    const struct wc_type *type = NULL;
    struct wc_buf out;
    wc_buf_init(&out, 4096);
    assert_true(find(s, oid, 0, &type));
    assert_non_null(type);
    assert_int_equal(wc_value_render(&out, type, wc_slice_str(text)), WC_OK);
    wc_buf_byte(&out, '\0');
    assert_string_equal((const char *)out.p, json);
    wc_buf_release(&out);
}

static const char *const composite_rows[][COLS] = {
    {"23", "o", "0", NULL, NULL},
    {"20001", "c", "23", NULL, "n"},
    {"20001", "c", "20007", NULL, "say \"hi\""},
    {"20001", "c", "20003", NULL, "inner"},
    {"20002", "a", "20001", ",", NULL},
    {"20003", "c", "1009", NULL, "tags"},
    {"20004", "c", NULL, NULL, NULL},
    {"20005", "d", "20006", NULL, NULL},
    {"20006", "d", "1700", NULL, NULL},
    {"20007", "o", "0", NULL, NULL},
    {"20008", "h", "0", NULL, NULL},
    {"20009", "a", "20010", ";", NULL},
    {"20010", "d", "603", NULL, NULL},
    {"20011", "v", "21", ",", NULL},
    {"20012", "c", "30000", NULL, "gone"},
    {"4294967295", "a", "20005", ",", NULL},
};

static void trees_follow_the_rows(void **state)
{
    struct stage *s = *state;
    static const wc_oid wanted[] = {20001, 20002, 20004, 20005, 20007,
                                    20008, 20009, 20011, 20012, UINT32_MAX};
    const struct wc_type *type;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        assert_false(find(s, wanted[i], 0, &type));
    refresh(s, false);
    ANSWER(composite_rows);
    assert_int_equal(s->answers, 1);
    assert_renders(s, 20001, "(1,x,\"({a})\")",
                   "{\"n\":1,\"say \\\"hi\\\"\":\"x\",\"inner\":{\"tags\":[\"a\"]}}");
    assert_renders(s, 20002, "{\"(,,)\"}", "[{\"n\":null,\"say \\\"hi\\\"\":null,\"inner\":null}]");
    assert_renders(s, 20004, "()", "{}");
    assert_renders(s, 20005, "1.50", "1.50");
    assert_renders(s, 20007, "x", "\"x\"");
    assert_renders(s, 20008, "\"a\"=>NULL", "{\"a\":null}");
    assert_renders(s, 20009, "{(1,1),(0,0)}", "[\"(1,1),(0,0)\"]");
    assert_renders(s, 20011, "1 2", "[1,2]");
    assert_renders(s, 20012, "()", "{\"gone\":null}");
    assert_renders(s, UINT32_MAX, "{NaN,1}", "[\"NaN\",1]");
}

static void an_attribute_of_a_type_that_is_gone_is_refused(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type = NULL;
    struct wc_buf out;
    LEARN(s, 20012, composite_rows);
    assert_true(find(s, 20012, 0, &type));
    wc_buf_init(&out, 4096);
    assert_int_equal(wc_value_render(&out, type, wc_slice_str("(1)")), WC_PROTO);
    wc_buf_release(&out);
}

static const char *const enum_rows[][COLS] = {{"20007", "o", "0", NULL, NULL}};

static void a_type_without_rows_is_known_to_be_gone(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type = wc_type_builtin(16);
    LEARN(s, 30000, enum_rows);
    assert_true(find(s, 30000, 0, &type));
    assert_null(type);
}

static void domains_that_go_in_circles_are_no_types(void **state)
{
    struct stage *s = *state;
    static const char *const rows[][COLS] = {{"20001", "d", "20002", NULL, NULL},
                                             {"20002", "d", "20001", NULL, NULL}};
    const struct wc_type *type = wc_type_builtin(16);
    LEARN(s, 20001, rows);
    assert_true(find(s, 20001, 0, &type));
    assert_null(type);
}

static void an_older_answer_does_not_do(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type = NULL;
    LEARN(s, 20007, enum_rows);
    uint64_t next = wc_types_next(s->types);
    assert_true(find(s, 20007, next - 1, &type));
    assert_false(find(s, 20007, next, &type));
    refresh(s, false);
    assert_true(wc_types_is_asking(s->types));
    assert_false(find(s, 20007, next, &type));
    ANSWER(enum_rows);
    assert_true(find(s, 20007, next, &type));
    assert_int_equal(wc_types_number(s->types, wc_clock_mono()), next);
}

static void an_answer_is_about_what_was_asked_only(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type;
    assert_false(find(s, 20007, 0, &type));
    refresh(s, false);
    assert_false(find(s, 20008, 0, &type)); /* while the question is under way */
    ANSWER(composite_rows);
    assert_true(find(s, 20007, 0, &type));
    assert_false(find(s, 20008, 0, &type));
    refresh(s, false);
    assert_true(strstr(fake.oids, "20007") && strstr(fake.oids, "20008"));
    ANSWER(composite_rows);
    assert_true(find(s, 20008, 0, &type));
}

static void an_answer_grows_old(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type;
    LEARN(s, 20007, enum_rows);
    wc_us later = wc_clock_mono() + FRESHNESS_US;
    assert_int_equal(wc_types_number(s->types, later), 0);
    assert_false(wc_types_find(s->types, 20007, 0, later, &type));
}

static void nothing_is_asked_without_need(void **state)
{
    struct stage *s = *state;
    refresh(s, true);
    assert_int_equal(fake.asked, 0);
    LEARN(s, 20007, enum_rows);
    refresh(s, false);
    assert_int_equal(fake.asked, 1);
    refresh(s, true);
    assert_int_equal(fake.asked, 2);
    ANSWER(enum_rows);
}

static void a_question_that_failed_is_asked_again(void **state)
{
    struct stage *s = *state;
    const struct wc_type *type;
    assert_false(find(s, 20007, 0, &type));
    fake.refuse = WC_CLOSED;
    assert_int_equal(wc_types_refresh(s->types, NULL, false), WC_CLOSED);
    assert_false(wc_types_is_asking(s->types));
    fake.refuse = WC_OK;
    refresh(s, false);
    reply(&(struct wc_pg_result){.sqlstate = "57014", .message = "canceled"});
    assert_int_equal(s->answers, 0);
    assert_false(find(s, 20007, 0, &type));
    refresh(s, false);
    ANSWER(enum_rows);
    assert_true(find(s, 20007, 0, &type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trees_follow_the_rows, open_stage, close_stage),
        cmocka_unit_test_setup_teardown(an_attribute_of_a_type_that_is_gone_is_refused, open_stage,
                                        close_stage),
        cmocka_unit_test_setup_teardown(a_type_without_rows_is_known_to_be_gone, open_stage,
                                        close_stage),
        cmocka_unit_test_setup_teardown(domains_that_go_in_circles_are_no_types, open_stage,
                                        close_stage),
        cmocka_unit_test_setup_teardown(an_older_answer_does_not_do, open_stage, close_stage),
        cmocka_unit_test_setup_teardown(an_answer_is_about_what_was_asked_only, open_stage,
                                        close_stage),
        cmocka_unit_test_setup_teardown(an_answer_grows_old, open_stage, close_stage),
        cmocka_unit_test_setup_teardown(nothing_is_asked_without_need, open_stage, close_stage),
        cmocka_unit_test_setup_teardown(a_question_that_failed_is_asked_again, open_stage,
                                        close_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
