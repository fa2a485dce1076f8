#include "bridge/policy/nodetree.h"
#include "bridge/policy/policy.h"
#include "bridge/policy/syntax.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CAP = 4 << 20 };

/* ---- trees ---- */

static enum wc_status read_tree(const char *text)
{
    struct wc_arena arena;
    struct wc_node *n = NULL;
    wc_arena_init(&arena, CAP);
    enum wc_status st = wc_nodetree_read(wc_slice_str(text), &arena, &n);
    wc_arena_release(&arena);
    return st;
}

static void a_tree_has_fields_lists_and_words(void **state)
{
    (void)state;
    static const char text[] = "{OPEXPR :opno 96 :args ({VAR :varattno 4 :name a\\ \\(b} {CONST "
                               ":constvalue 4 [ 1 -2 0 0 ] :isnull false}) :rest <> :none ()}";
    struct wc_arena arena;
    struct wc_node *n = NULL;
    wc_arena_init(&arena, CAP);
    assert_int_equal(wc_nodetree_read(wc_slice_str(text), &arena, &n), WC_OK);
    assert_true(wc_node_is(n, "OPEXPR"));
    assert_int_equal(wc_node_oid(n, "opno"), 96);
    assert_int_equal(wc_node_oid(n, "args"), 0);
    assert_true(wc_node_lacks(n, "rest") && wc_node_lacks(n, "none") && wc_node_lacks(n, "absent"));
    const struct wc_node *args = wc_node_field(n, "args");
    assert_int_equal(wc_node_count(args), 2);
    assert_true(wc_node_has(args->first, "name", "a\\ \\(b"));
    assert_true(wc_node_has(args->first->next, "isnull", "false"));
    assert_int_equal(wc_node_oid(args->first->next, "constvalue"), 4);
    wc_arena_release(&arena);
}

static void what_is_no_tree_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",         "{",  "{A",      "{A :b",   "{A b c}",
                                        "(",        "(a", ")",       "a b",     "{A :}",
                                        "{A :b )}", "}",  "{A :b c", "{A : c}", "{A :b}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(read_tree(wrong[i]), WC_INVALID);
    char deep[400];
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(read_tree(deep), WC_LIMIT);
}

/* ---- texts ---- */

/* Is the text of the parsed text one, or is it refused? */
static void expect_back(const char *text, enum wc_status expected)
{
    struct wc_arena arena;
    struct wc_parse *parse = NULL;
    const struct wc_syntax *s = NULL;
    const char *sql = NULL;
    wc_arena_init(&arena, CAP);
    assert_int_equal(wc_syntax_parse(text, false, &arena, &parse, &s), WC_OK);
    assert_int_equal(wc_syntax_sql(s, &arena, &sql), expected);
    assert_int_equal(sql != NULL, expected == WC_OK);
    wc_syntax_free(parse);
    wc_arena_release(&arena);
}

static void a_text_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char *const texts[] = {"auth.uid()", "(SELECT auth.jwt() ->> 'org'::text)::int4",
                                        "COALESCE(a, NULLIF(b, ''))",
                                        "ARRAY(SELECT jsonb_array_elements_text(x))"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_back(texts[i], WC_OK);
}

static void brackets_that_matter_are_never_left_out(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "(NOT (a = b)) IS NULL",
        "(NOT (a = b)) IS TRUE",
        "((a = b) AND (c = d)) IS NOT TRUE",
        "((a = b) OR (c = d)) IS NOT UNKNOWN",
        "((a IS NULL) IS NOT DISTINCT FROM (b IS TRUE))",
        "((NOT (a = b)))::text",
        "(SELECT ((NOT a) IS NULL))",
        "COALESCE(((a AND b) IS NOT FALSE), c)",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_back(texts[i], WC_INVALID);
}

/* Without a bracket: the parser's stack would not hold it. */
static void a_body_that_nests_without_end_is_refused(void **state)
{
    (void)state;
    static const char *const levels[] = {"~ ", "- ", "NOT "};
    static char sql[(16 << 10) + 1];
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        size_t n = strlen(strcpy(sql, "SELECT ")), step = strlen(levels[i]);
        while (n + step + 2 < sizeof sql) {
            memcpy(sql + n, levels[i], step);
            n += step;
        }
        memcpy(sql + n, "x", 2);
        struct wc_arena arena;
        struct wc_err err = {0};
        wc_arena_init(&arena, CAP);
        assert_int_equal(wc_policy_prove_body(sql, NULL, NULL, &arena, &err), WC_INVALID);
        wc_arena_release(&arena);
    }
}

static void what_is_more_than_an_expression_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum wc_status st;
    } cases[] = {{"1, 2", WC_INVALID},
                 {"1; select 2", WC_INVALID},
                 {"1 from t", WC_INVALID},
                 {"", WC_INVALID},
                 {"(", WC_INVALID},
                 {"1 where true", WC_INVALID},
                 {"1 union select 2", WC_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_arena arena;
        struct wc_parse *parse = NULL;
        const struct wc_syntax *s = NULL;
        wc_arena_init(&arena, CAP);
        assert_int_equal(wc_syntax_parse(cases[i].text, false, &arena, &parse, &s), cases[i].st);
        assert_null(parse);
        wc_arena_release(&arena);
    }
}

/* ---- policies ---- */

static enum wc_policy_function function(void *arg, wc_oid oid)
{
    (void)arg;
    return oid < 16384    ? WC_FUNCTION_IMMUTABLE
           : oid == 16387 ? WC_FUNCTION_OF_CLAIMS
                          : WC_FUNCTION_UNPROVEN;
}

static void collation(void *arg, wc_oid oid, bool *is_deterministic, bool *is_c)
{
    (void)arg;
    *is_deterministic = oid != 16500;
    *is_c = oid == 950;
}

static const struct wc_policy_column columns[] = {
    {{(const uint8_t *)"id", 2}, 23, false},
    {{(const uint8_t *)"owner", 5}, 2950, false},
    {{(const uint8_t *)"org", 3}, 25, false},
};

static enum wc_status compile(struct wc_arena *arena, const char *text, const char *tree,
                              struct wc_policy **out, struct wc_err *err)
{
    const struct wc_policy_text policy = {
        .text = text, .tree = wc_slice_str(tree), .is_permissive = true};
    const struct wc_policy_facts facts = {
        .column = columns, .ncolumns = 3, .function = function, .collation = collation};
    return wc_policy_compile(&policy, 1, &facts, arena, out, err);
}

/* As Postgres 15 keeps it, without the fields that nobody asks for. */
#define OWNER "{VAR :varno 1 :varattno 2 :vartype 2950 :varlevelsup 0}"
#define UID                                                                                        \
    "{FUNCEXPR :funcid 16387 :funcresulttype 2950 :funcvariadic false :funcformat 0 :args <>}"
#define OWNED                                                                                      \
    "{OPEXPR :opno 2972 :opfuncid 2956 :opresulttype 16 :inputcollid 0 :args (" OWNER " " UID ")}"

static void a_proven_policy_becomes_a_predicate(void **state)
{
    (void)state;
    struct wc_arena arena;
    struct wc_policy *policy = NULL;
    struct wc_err err = {0};
    wc_arena_init(&arena, CAP);
    assert_int_equal(compile(&arena, "(owner = auth.uid())", OWNED, &policy, &err), WC_OK);
    assert_int_equal(policy->nslots, 1);
    assert_string_equal(policy->slot[0].sql, "auth.uid()");
    assert_int_equal(policy->ncolumns, 1);
    enum wc_policy_outcome outcome;
    const struct wc_predicate *where = NULL;
    struct wc_slice value = wc_slice_str("00000000-0000-4000-8000-000000000001");
    assert_int_equal(wc_policy_apply(policy, &value, &arena, &outcome, &where), WC_OK);
    assert_int_equal(outcome, WC_POLICY_SOME);
    assert_int_equal(where->kind, WC_PREDICATE_LEAF);
    assert_int_equal(where->leaf->op, WC_FILTER_EQ);
    assert_int_equal(where->leaf->kind, WC_KEY_UUID);
    value = wc_slice(NULL, 0); /* no sub in the claims */
    assert_int_equal(wc_policy_apply(policy, &value, &arena, &outcome, &where), WC_OK);
    assert_int_equal(outcome, WC_POLICY_NOBODY);
    value = wc_slice_str("no uuid");
    assert_int_equal(wc_policy_apply(policy, &value, &arena, &outcome, &where), WC_INVALID);
    wc_arena_release(&arena);
}

static void witnesses_that_disagree_prove_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *tree;
    } cases[] = {
        {"(id = auth.uid())", OWNED},     /* another column */
        {"(owner = auth.uid(1))", OWNED}, /* an argument more */
        {"(owner IS NULL)", OWNED},       /* another form */
        {"((owner = auth.uid()) AND true)", OWNED},
        {"(owner = auth.uid())", UID}, /* no boolean */
        {"(owner = auth.uid())",
         "{OPEXPR :opno 2972 :opfuncid 2956 :opresulttype 16 :args (" OWNER ")}"},
        {"(owner = auth.uid())",
         "{OPEXPR :opno 16999 :opfuncid 2956 :opresulttype 16 :args (" OWNER " " UID ")}"},
        {"(owner = auth.uid())", "<>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_arena arena;
        struct wc_policy *policy = NULL;
        struct wc_err err = {0};
        wc_arena_init(&arena, CAP);
        assert_int_equal(compile(&arena, cases[i].text, cases[i].tree, &policy, &err), WC_INVALID);
        assert_true(err.text[0] != '\0');
        wc_arena_release(&arena);
    }
}

/* 40 conversions, one in the other: as many steps, not 2 to the 40th. */
static void nested_conversions_take_as_long_as_they_are(void **state)
{
    (void)state;
    enum { DEEP = 40 };
    char text[2048] = "", tree[8192] = "";
    for (int i = 0; i < DEEP; i++) {
        strcat(text, "(");
        strcat(tree, "{COERCEVIAIO :resulttype 25 :coerceformat 1 :arg ");
    }
    strcat(text, "id");
    strcat(tree, "{VAR :varno 1 :varattno 1 :vartype 23 :varlevelsup 0}");
    for (int i = 0; i < DEEP; i++) {
        strcat(text, ")::text");
        strcat(tree, "}");
    }
    struct wc_arena arena;
    struct wc_policy *policy = NULL;
    struct wc_err err = {0};
    wc_arena_init(&arena, CAP);
    assert_int_equal(compile(&arena, text, tree, &policy, &err), WC_INVALID); /* no boolean */
    wc_arena_release(&arena);
}

static void without_a_permissive_policy_nobody_sees_a_row(void **state)
{
    (void)state;
    struct wc_arena arena;
    struct wc_policy *policy = NULL;
    enum wc_policy_outcome outcome;
    const struct wc_predicate *where = NULL;
    const struct wc_policy_facts facts = {.function = function, .collation = collation};
    wc_arena_init(&arena, CAP);
    assert_int_equal(wc_policy_compile(NULL, 0, &facts, &arena, &policy, NULL), WC_OK);
    assert_int_equal(wc_policy_apply(policy, NULL, &arena, &outcome, &where), WC_OK);
    assert_int_equal(outcome, WC_POLICY_NOBODY);
    wc_arena_release(&arena);
}

/* level = ANY (an array of the claims) */
static enum wc_status apply_array(struct wc_arena *arena, struct wc_slice text, size_t *nkeys)
{
    static const uint32_t slot;
    static const struct wc_policy_node any = {.kind = WC_POLICY_LEAF,
                                              .nslots = 1,
                                              .slot = &slot,
                                              .column = {(const uint8_t *)"level", 5},
                                              .op = WC_FILTER_IN,
                                              .key = WC_KEY_INT};
    static const struct wc_policy policy = {.where = &any, .nslots = 1, .slot = {{"", 1007, true}}};
    enum wc_policy_outcome outcome = WC_POLICY_NOBODY;
    const struct wc_predicate *where = NULL;
    enum wc_status st = wc_policy_apply(&policy, &text, arena, &outcome, &where);
    *nkeys = st == WC_OK && where ? where->leaf->nkeys : 0;
    return st;
}

static void an_array_of_the_claims_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char text[] = "{1,\"2\",NULL,\\3}";
    const size_t len = sizeof text - 1;
    for (size_t n = 0; n <= len; n++) {
        struct wc_arena arena;
        size_t nkeys = 0;
        uint8_t *exact = malloc(n ? n : 1); /* so that what is read behind it is noticed */
        assert_non_null(exact);
        memcpy(exact, text, n);
        wc_arena_init(&arena, CAP);
        assert_int_equal(apply_array(&arena, wc_slice(exact, n), &nkeys),
                         n == len ? WC_OK : WC_INVALID);
        assert_int_equal(nkeys, n == len ? 3 : 0);
        wc_arena_release(&arena);
        free(exact);
    }
}

static void a_long_array_takes_memory_by_its_length(void **state)
{
    (void)state;
    enum { ELEMENTS = 30000 };
    struct wc_buf text;
    struct wc_arena arena;
    size_t nkeys = 0;
    wc_buf_init(&text, 1 << 20);
    for (int i = 0; i < ELEMENTS; i++)
        wc_buf_printf(&text, "%c%d", i ? ',' : '{', i);
    wc_buf_byte(&text, '}');
    wc_arena_init(&arena, CAP);
    assert_int_equal(apply_array(&arena, wc_buf_view(&text), &nkeys), WC_OK);
    assert_int_equal(nkeys, ELEMENTS);
    assert_true(arena.used < text.len + ELEMENTS * 48);
    wc_arena_release(&arena);
    wc_buf_release(&text);
}

static void running_out_of_memory_is_survived(void **state)
{
    (void)state;
    enum wc_status st = WC_NOMEM;
    for (long n = 0; st != WC_OK; n++) {
        struct wc_arena arena;
        struct wc_policy *policy = NULL;
        struct wc_err err = {0};
        wc_arena_init(&arena, CAP);
        wc_test_fail_alloc(n);
        st = compile(&arena, "(owner = auth.uid())", OWNED, &policy, &err);
        bool failed = wc_test_alloc_failed();
        wc_test_fail_alloc(-1);
        assert_true(st == WC_OK || failed);
        wc_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_has_fields_lists_and_words),
        cmocka_unit_test(what_is_no_tree_is_refused),
        cmocka_unit_test(a_text_comes_back_as_it_was),
        cmocka_unit_test(brackets_that_matter_are_never_left_out),
        cmocka_unit_test(a_body_that_nests_without_end_is_refused),
        cmocka_unit_test(what_is_more_than_an_expression_is_refused),
        cmocka_unit_test(a_proven_policy_becomes_a_predicate),
        cmocka_unit_test(witnesses_that_disagree_prove_nothing),
        cmocka_unit_test(nested_conversions_take_as_long_as_they_are),
        cmocka_unit_test(without_a_permissive_policy_nobody_sees_a_row),
        cmocka_unit_test(an_array_of_the_claims_is_taken_whole_or_not_at_all),
        cmocka_unit_test(a_long_array_takes_memory_by_its_length),
        cmocka_unit_test(running_out_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
