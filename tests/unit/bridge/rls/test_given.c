/* What needs no database: sharing, what is known at once, and memory that runs out. */
#include "bridge/rls/given.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

static const uint32_t slot;
static const struct wc_policy_node nobody = {.kind = WC_POLICY_OR};
static const struct wc_policy_node truth = {.kind = WC_POLICY_TRUTH, .nslots = 1, .slot = &slot};
static const struct wc_policy closed = {.where = &nobody};
static const struct wc_policy asking = {
    .where = &truth, .nslots = 1, .slot = {{"auth.ok()", 16, false}}};

static struct wc_rules rules[] = {
    {.refs = 1, .number = 1, .kind = WC_RULES_COMPILED, .policy = &closed},
    {.refs = 1,
     .number = 2,
     .kind = WC_RULES_COMPILED,
     .policy = &asking,
     .asks = {(const uint8_t *)"ok", 2},
     .owners = {(const uint8_t *)"10", 2},
     .runs_code = true},
    {.refs = 1,
     .number = 3,
     .kind = WC_RULES_COMPILED,
     .policy = &asking,
     .asks = {(const uint8_t *)"ok", 2},
     .owners = {(const uint8_t *)"10", 2},
     .runs_code = true},
};

static uv_loop_t loop;
static struct wc_givens *givens;
static struct wc_contexts *contexts;
static struct wc_context *alice;

static void not_told(void *arg, struct wc_given *given)
{
    (void)arg;
    (void)given;
    fail();
}

static int begin(void **state)
{
    (void)state;
    static const struct wc_session_options options = {
        .pg = {.host = "127.0.0.1", .dbname = "x", .user = "x", .password = "", .port = 1},
        .tenant = "t",
        .statement_timeout_ms = 1000,
        .lock_timeout_ms = 500};
    (void)uv_loop_init(&loop); /* cannot fail here */
    givens = wc_givens_new(&loop, &options, not_told, NULL);
    contexts = wc_contexts_new();
    assert_true(givens && contexts);
    alice = wc_context_get(contexts, wc_slice_str("authenticated"), wc_slice_str("{}"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    wc_givens_free(givens);
    wc_context_unref(alice);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* until all is closed */
    wc_contexts_free(contexts);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        assert_int_equal(rules[i].refs, 1);
    return uv_loop_close(&loop);
}

static void what_asks_nothing_is_known_at_once(void **state)
{
    (void)state;
    struct wc_given *g = wc_given_get(givens, &rules[0], alice);
    assert_non_null(g);
    assert_int_equal(g->state, WC_GIVEN_KNOWN);
    assert_int_equal(g->outcome, WC_POLICY_NOBODY);
    assert_null(g->where);
    wc_given_unref(g);
}

static void it_is_one_for_rules_and_context(void **state)
{
    (void)state;
    struct wc_given *a = wc_given_get(givens, &rules[1], alice);
    struct wc_given *b = wc_given_get(givens, &rules[1], alice);
    struct wc_given *c = wc_given_get(givens, &rules[2], alice);
    assert_true(a && c && a == b && a != c);
    assert_int_equal(a->state, WC_GIVEN_WAITING);
    assert_int_equal(a->refs, 2);
    assert_ptr_equal(wc_given_ref(a), a);
    for (int i = 0; i < 3; i++)
        wc_given_unref(a);
    wc_given_unref(c);
    wc_given_unref(NULL);
}

static void a_role_that_would_be_the_login_is_never_asked_for(void **state)
{
    (void)state;
    static const char with_nul[] = "a\0b";
    const struct wc_slice roles[] = {wc_slice_str(""), wc_slice_str("none"), wc_slice(with_nul, 3)};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct wc_context *c = wc_context_get(contexts, roles[i], wc_slice_str("{}"));
        struct wc_given *g = wc_given_get(givens, &rules[1], c);
        assert_int_equal(g->state, WC_GIVEN_FAILED);
        assert_string_equal(g->sqlstate, "22023");
        wc_given_unref(g);
        wc_context_unref(c);
    }
}

static void running_out_of_memory_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct wc_given *g = NULL;
        for (long n = 0; !g; n++) {
            wc_test_fail_alloc(n);
            g = wc_given_get(givens, &rules[i], alice);
            bool failed = wc_test_alloc_failed();
            wc_test_fail_alloc(-1);
            assert_true(g || failed);
        }
        wc_given_unref(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_asks_nothing_is_known_at_once, begin, end),
        cmocka_unit_test_setup_teardown(it_is_one_for_rules_and_context, begin, end),
        cmocka_unit_test_setup_teardown(a_role_that_would_be_the_login_is_never_asked_for, begin,
                                        end),
        cmocka_unit_test_setup_teardown(running_out_of_memory_is_survived, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
