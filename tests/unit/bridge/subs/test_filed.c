/* One binding without a filter, for any table, that wants every event: which changes bring it up.
 */
#include "bridge/subs/filed.h"
#include "bridge/subs/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

enum { REL = 16400 };

static const struct wc_rel_col cols[] = {{.name = {(const uint8_t *)"is_public", 9}, .type = 16}};
static const struct wc_rel rel = {.oid = REL, .generation = 1, .ncols = 1, .col = cols};

static const struct wc_policy_node nobody = {.kind = WC_POLICY_OR};
static const struct wc_policy_node everybody = {.kind = WC_POLICY_AND};
static const struct wc_policy_node is_public = {.kind = WC_POLICY_LEAF,
                                                .column = {(const uint8_t *)"is_public", 9},
                                                .op = WC_FILTER_IS,
                                                .is = WC_IS_TRUE,
                                                .key = WC_KEY_BOOL};
static const struct wc_policy closed = {.where = &nobody};
static const struct wc_policy open_to_all = {.where = &everybody};
static const struct wc_policy public_rows = {
    .where = &is_public, .ncolumns = 1, .column = {{{(const uint8_t *)"is_public", 9}, 16, false}}};

static struct wc_rules rules[] = {
    {.refs = 1, .number = 1, .kind = WC_RULES_COMPILED, .policy = &closed},
    {.refs = 1, .number = 2, .kind = WC_RULES_COMPILED, .policy = &open_to_all},
    {.refs = 1, .number = 3, .kind = WC_RULES_COMPILED, .policy = &public_rows},
    {.refs = 1, .number = 4, .kind = WC_RULES_DELEGATED, .why = "a function that is not proven"},
};
enum { NOBODY, EVERYBODY, SOME, DELEGATED, NRULES };

static uv_loop_t loop;
static struct wc_subs subs;
static struct wc_claims claims;
static struct wc_audience audience;
static struct wc_binding binding;
static struct wc_target target;

static void on_answer(void *arg, bool early)
{
    (void)arg;
    (void)early;
}

static int begin(void **state)
{
    (void)state;
    static const struct wc_session_options session = {
        .pg = {.host = "127.0.0.1", .dbname = "x", .user = "x", .password = "", .port = 1},
        .tenant = "t",
        .statement_timeout_ms = 1000,
        .lock_timeout_ms = 500};
    static const struct wc_access_options access = {.freshness_ms = 1000};
    (void)uv_loop_init(&loop); /* cannot fail here */
    subs = (struct wc_subs){.opt.tenant = "t"};
    subs.access = wc_access_cache_new(&access, on_answer, NULL);
    subs.givens = wc_givens_new(&loop, &session, wc_filed_on_known, &subs);
    subs.match = wc_match_new();
    subs.deletes = wc_match_new();
    subs.contexts = wc_contexts_new();
    assert_true(subs.access && subs.givens && subs.match && subs.deletes && subs.contexts);
    wc_rolls_init(&subs.rolls, subs.access);
    claims.role = wc_slice_str("anon");
    audience = (struct wc_audience){.subs = &subs, .claims = &claims, .nbindings = 1};
    audience.context = wc_context_get(subs.contexts, claims.role, wc_slice_str("{}"));
    audience.binding = &binding;
    binding = (struct wc_binding){.audience = &audience, .ntargets = 1, .target = &target};
    binding.spec.events = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE;
    binding.spec.table = wc_slice_str("*");
    target = (struct wc_target){.match = {.rel = REL, .owner = &binding}};
    assert_true(wc_filed_enter(&audience, &target));
    return 0;
}

static int end(void **state)
{
    (void)state;
    wc_filed_leave(&audience, &target);
    assert_false(wc_match_wants(subs.match, &rel));
    assert_null(wc_rolls_of(&subs.rolls, REL));
    wc_outlooks_release(&audience);
    wc_context_unref(audience.context);
    wc_rolls_release(&subs.rolls);
    wc_givens_free(subs.givens);
    wc_access_cache_free(subs.access);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* until all is closed */
    wc_contexts_free(subs.contexts);
    wc_match_free(subs.match);
    wc_match_free(subs.deletes);
    for (size_t i = 0; i < NRULES; i++)
        assert_int_equal(rules[i].refs, 1);
    return uv_loop_close(&loop);
}

static void count(void *arg, struct wc_match_binding *match, bool undecided)
{
    assert_ptr_equal(match->owner, &binding);
    assert_false(undecided);
    ++*(unsigned *)arg;
}

static unsigned hits(enum wc_op op, const char *value)
{
    unsigned n = 0;
    struct wc_col col = {.kind = WC_COL_TEXT, .val = wc_slice_str(value)};
    struct wc_change ch = {.op = op, .rel = &rel};
    *(op == WC_OP_DELETE ? &ch.old : &ch.new) = (struct wc_row){1, &col};
    ch.old_kind = op == WC_OP_DELETE ? WC_OLD_FULL : WC_OLD_NONE;
    const struct wc_match_caller caller = {.hit = count, .arg = &n};
    assert_int_equal(wc_match_change(subs.match, &ch, &caller), WC_OK);
    if (op == WC_OP_DELETE)
        assert_int_equal(wc_match_change(subs.deletes, &ch, &caller), WC_OK);
    return n;
}

static void expect_all(void)
{
    assert_int_equal(hits(WC_OP_INSERT, "f"), 1);
    assert_int_equal(hits(WC_OP_UPDATE, "t"), 1);
    assert_int_equal(hits(WC_OP_DELETE, "f"), 1);
}

static void file_under(struct wc_rules *r, size_t ndecided)
{
    assert_true(wc_filed_under(&subs, target.roll, r));
    assert_ptr_equal(target.roll->rules, r);
    assert_int_equal(target.roll->nentries, 1);
    assert_int_equal(target.roll->ndecided, ndecided);
}

static void rules_that_are_not_known_leave_out_nothing(void **state)
{
    (void)state;
    assert_null(target.roll->rules);
    expect_all();
}

static void what_postgres_judges_is_left_out_by_the_filter_alone(void **state)
{
    (void)state;
    file_under(&rules[DELEGATED], 0);
    assert_false(wc_filed_is_joined(&target));
    expect_all();
}

static void rows_that_compiled_policies_hide_bring_up_nobody(void **state)
{
    (void)state;
    file_under(&rules[SOME], 1);
    assert_true(wc_filed_is_joined(&target));
    assert_int_equal(hits(WC_OP_INSERT, "t"), 1);
    assert_int_equal(hits(WC_OP_INSERT, "f"), 0);
    assert_int_equal(hits(WC_OP_UPDATE, "f"), 0);
    assert_int_equal(hits(WC_OP_DELETE, "f"), 1);
    file_under(&rules[NOBODY], 1);
    assert_int_equal(hits(WC_OP_INSERT, "t"), 0);
    assert_int_equal(hits(WC_OP_DELETE, "t"), 1);
    file_under(&rules[EVERYBODY], 1);
    assert_false(wc_filed_is_joined(&target));
    expect_all();
}

static void deletes_that_are_judged_stand_like_the_rest(void **state)
{
    (void)state;
    subs.opt.deletes = WC_DELETES_JUDGED;
    file_under(&rules[SOME], 1);
    assert_int_equal(hits(WC_OP_DELETE, "t"), 1);
    assert_int_equal(hits(WC_OP_DELETE, "f"), 0);
}

/* The catalog's answer was too large, or memory is short: access.c keeps none then. */
static void rules_that_are_no_longer_known_leave_out_nothing(void **state)
{
    (void)state;
    file_under(&rules[NOBODY], 1);
    file_under(NULL, 0);
    assert_false(wc_filed_is_joined(&target));
    expect_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_that_are_not_known_leave_out_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_postgres_judges_is_left_out_by_the_filter_alone, begin,
                                        end),
        cmocka_unit_test_setup_teardown(rows_that_compiled_policies_hide_bring_up_nobody, begin,
                                        end),
        cmocka_unit_test_setup_teardown(deletes_that_are_judged_stand_like_the_rest, begin, end),
        cmocka_unit_test_setup_teardown(rules_that_are_no_longer_known_leave_out_nothing, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
