/* Rules made of rows as the catalog would answer them; real ones: tests/integration/rules.test.mjs.
 */
#include "bridge/rls/distrust.h"
#include "bridge/rls/rules_priv.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char always[] =
    "{CONST :consttype 16 :consttypmod -1 :constcollid 0 :constlen 1 :constbyval true "
    ":constisnull false :location 8 :constvalue 1 [ 1 0 0 0 0 0 0 0 ]}";
static const char call[] =
    "{FUNCEXPR :funcid 20001 :funcresulttype 16 :funcretset false :funcvariadic false "
    ":funcformat 0 :funccollid 0 :inputcollid 0 :args <> :location 1}";
static const char column[] =
    "{VAR :varno 1 :varattno 2 :vartype 16 :vartypmod -1 :varcollid 0 :varlevelsup 0 :location 1}";
static const char body[] = "select current_setting('request.ok', true)::bool";

static struct wc_buf source;

static int begin(void **state)
{
    (void)state;
    wc_buf_init(&source, 1 << 16);
    return 0;
}

static int end(void **state)
{
    (void)state;
    wc_buf_release(&source);
    return 0;
}

static void put(const char *const field[WC_RULES_FIELDS])
{
    struct wc_slice f[WC_RULES_FIELDS];
    for (size_t i = 0; i < WC_RULES_FIELDS; i++)
        f[i] = field[i] ? wc_slice_str(field[i]) : wc_slice(NULL, 0);
    wc_rules_put(&source, f);
}

#define PUT(...) put((const char *const[WC_RULES_FIELDS]){__VA_ARGS__})

static void put_function(const char *unproven, const char *owner)
{
    PUT("function", "20001", "auth.ok", unproven, "false", owner, body, "pins");
}

static struct wc_rules *make(const char *why_not)
{
    struct wc_slice bytes = wc_buf_view(&source);
    struct wc_rules *r = wc_rules_make(bytes, bytes, 7, why_not);
    assert_non_null(r);
    assert_int_equal(r->number, 7);
    assert_true(wc_slice_eq(r->source, bytes));
    return r;
}

static void is_delegated(struct wc_rules *r, const char *why)
{
    assert_int_equal(r->kind, WC_RULES_DELEGATED);
    assert_string_equal(r->why, why);
    wc_rules_unref(r);
}

static void without_row_security_every_row_is_seen(void **state)
{
    (void)state;
    PUT("relation", "16400", "open");
    struct wc_rules *r = make("switched off");
    assert_int_equal(r->kind, WC_RULES_OPEN);
    wc_rules_unref(wc_rules_ref(r));
    wc_rules_unref(r);
}

static void without_a_policy_nobody_sees_a_row(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    struct wc_rules *r = make(NULL);
    assert_int_equal(r->kind, WC_RULES_COMPILED);
    assert_int_equal(r->policy->nslots, 0);
    enum wc_policy_outcome outcome;
    const struct wc_predicate *where;
    assert_int_equal(wc_policy_apply(r->policy, NULL, &r->arena, &outcome, &where), WC_OK);
    assert_int_equal(outcome, WC_POLICY_NOBODY);
    wc_rules_unref(r);
}

static void who_answers_is_told_of_what_is_asked(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", "auth.ok()", call);
    put_function(NULL, "16390");
    PUT("function", "20002", "auth.other", NULL, "false", "10", body, "pins");
    struct wc_rules *r = make(NULL);
    assert_int_equal(r->kind, WC_RULES_COMPILED);
    assert_string_equal(r->policy->slot[0].sql, "auth.ok()");
    assert_true(r->runs_code);
    assert_true(wc_slice_is(r->owners, "10,16390"));
    assert_true(r->asks.len > 0);
    wc_rules_unref(r);
}

static void what_is_not_proven_is_delegated_with_its_name(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "fine", "true", "true", always);
    PUT("policy", "a\nb", "true", "auth.ok()", call);
    put_function("it is volatile", "10");
    is_delegated(make(NULL), "policy \"a b\": a function that is not proven: ok (auth.ok: it is "
                             "volatile)");
}

static void an_unknown_function_is_not_proven(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", "auth.ok()", call);
    is_delegated(make(NULL), "policy \"p\": a function that is not proven: ok");
}

static void what_policies_depend_on_beyond_the_row_is_delegated(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", "true", always, "table members");
    is_delegated(make(NULL), "policy \"p\": it depends on table members");
}

static void obstacles_of_bodies_harm_only_what_has_one(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", "true", always);
    PUT("obstacle", "an operator ->>", "false");
    struct wc_rules *r = make(NULL);
    assert_int_equal(r->kind, WC_RULES_COMPILED);
    wc_rules_unref(r);
    PUT("policy", "q", "true", "auth.ok()", call);
    put_function(NULL, "10");
    is_delegated(make(NULL),
                 "policy \"q\": a function that is not proven: ok (auth.ok: an operator ->>)");
}

static void obstacles_of_all_texts_harm_what_asks_anything(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("obstacle", "a cast", "true");
    PUT("column", "2", "b", "16", "false");
    PUT("policy", "p", "true", "b", column);
    struct wc_rules *r = make(NULL);
    assert_int_equal(r->kind, WC_RULES_COMPILED);
    wc_rules_unref(r);
    PUT("policy", "q", "true", "true", always);
    is_delegated(make(NULL), "a cast");
}

static void texts_that_are_missing_are_waited_for(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", NULL, always);
    struct wc_rules *r = make(NULL);
    assert_true(r->is_untold);
    assert_int_equal(r->kind, WC_RULES_DELEGATED);
    wc_rules_unref(r);
    r = make("switched off");
    assert_false(r->is_untold);
    is_delegated(r, "switched off");
}

static bool can_judge(const struct wc_rules *r, const char *name, wc_oid type,
                      enum wc_col_kind kind)
{
    const struct wc_rel_col rel_col = {.name = wc_slice_str(name), .type = type};
    const struct wc_rel rel = {.ncols = 1, .col = &rel_col};
    const struct wc_col col = {.kind = kind, .val = wc_slice_str("t")};
    const struct wc_change ch = {.op = WC_OP_INSERT, .rel = &rel, .new = {.ncols = 1, .col = &col}};
    return wc_rules_can_judge(r, &ch);
}

static void a_row_is_judged_when_it_carries_the_columns_as_they_were_compiled(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("column", "2", "b", "16", "false");
    PUT("policy", "p", "true", "b", column);
    struct wc_rules *r = make(NULL);
    assert_true(can_judge(r, "b", 16, WC_COL_TEXT));
    assert_true(can_judge(r, "b", 16, WC_COL_NULL));
    assert_false(can_judge(r, "b", 16, WC_COL_TOAST_UNCHANGED));
    assert_false(can_judge(r, "b", 25, WC_COL_TEXT));
    assert_false(can_judge(r, "c", 16, WC_COL_TEXT));
    wc_rules_unref(r);
}

static void running_out_of_memory_compiles_nothing(void **state)
{
    (void)state;
    PUT("relation", "16400", "policies");
    PUT("policy", "p", "true", "true", always);
    struct wc_slice bytes = wc_buf_view(&source);
    bool failed = true;
    for (long n = 0; failed; n++) {
        wc_test_fail_alloc(n);
        struct wc_rules *r = wc_rules_make(bytes, bytes, 1, NULL);
        failed = wc_test_alloc_failed();
        wc_test_fail_alloc(-1);
        if (r && failed)
            assert_int_equal(r->kind, WC_RULES_DELEGATED);
        else if (!failed)
            assert_int_equal(r->kind, WC_RULES_COMPILED);
        wc_rules_unref(r);
    }
}

static void what_is_distrusted_stays_so_within_a_bound(void **state)
{
    (void)state;
    struct wc_distrust d;
    wc_distrust_init(&d);
    for (uint32_t i = 0; i < WC_DISTRUST_MAX; i++)
        assert_int_equal(wc_distrust_add(&d, wc_slice(&i, sizeof i), "wrong"), WC_OK);
    uint32_t known = 3, more = WC_DISTRUST_MAX;
    assert_int_equal(wc_distrust_add(&d, wc_slice(&known, sizeof known), "again"), WC_OK);
    assert_int_equal(wc_distrust_add(&d, wc_slice(&more, sizeof more), "wrong"), WC_LIMIT);
    assert_string_equal(wc_distrust_why(&d, wc_slice(&known, sizeof known)), "wrong");
    assert_null(wc_distrust_why(&d, wc_slice(&more, sizeof more)));
    wc_distrust_release(&d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_row_security_every_row_is_seen),
        TEST(without_a_policy_nobody_sees_a_row),
        TEST(who_answers_is_told_of_what_is_asked),
        TEST(what_is_not_proven_is_delegated_with_its_name),
        TEST(an_unknown_function_is_not_proven),
        TEST(what_policies_depend_on_beyond_the_row_is_delegated),
        TEST(obstacles_of_bodies_harm_only_what_has_one),
        TEST(obstacles_of_all_texts_harm_what_asks_anything),
        TEST(texts_that_are_missing_are_waited_for),
        TEST(a_row_is_judged_when_it_carries_the_columns_as_they_were_compiled),
        TEST(running_out_of_memory_compiles_nothing),
        TEST(what_is_distrusted_stays_so_within_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
