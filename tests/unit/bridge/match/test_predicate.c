#include "bridge/match/predicate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- one value under one comparison ---- */

static const struct wc_col null_col = {.kind = WC_COL_NULL};
static const char missing[] = "no value", null[] = "NULL"; /* told by address */

struct before {
    struct wc_field field;
    struct wc_col col;
    size_t asked;
    const struct wc_leaf *last_asked;
    enum wc_truth answer;
};

static const struct wc_field *field(void *fields, const struct wc_leaf *leaf)
{
    (void)leaf;
    return &((struct before *)fields)->field;
}

static enum wc_truth ask(void *arg, const struct wc_leaf *leaf)
{
    struct before *b = arg;
    b->asked++;
    b->last_asked = leaf;
    return b->answer;
}

/* Texts are their own keys. */
static struct before value(const char *text)
{
    struct before b = {.col = {.kind = WC_COL_TEXT}};
    if (text == null)
        b.field.col = &null_col;
    if (text == missing || text == null)
        return b;
    b.col.val = b.field.key = wc_slice_str(text);
    b.field.col = &b.col;
    b.field.has_key = true;
    return b;
}

static enum wc_truth decide(const struct wc_predicate *p, struct before *b)
{
    const struct wc_predicate_view view = {.field = field, .fields = b, .ask = ask, .arg = b};
    if (b->field.col && b->field.col != &null_col)
        b->field.col = &b->col; /* it was copied */
    return wc_predicate_decide(p, &view);
}

static enum wc_truth decide_leaf(const struct wc_leaf *leaf, const char *text)
{
    const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = leaf};
    struct before b = value(text);
    enum wc_truth t = decide(&p, &b);
    assert_int_equal(b.asked, 0);
    return t;
}

enum { MOST = 3 };

/* The value or the elements; NULL among them sets has_null. */
struct comparison {
    enum wc_filter_op op;
    const char *operand[MOST];
    /* passes, and passes negated: of each of the values below */
    const char *plain, *negated;
};

/* 'a', 'b', 'c', NULL, not carried by the change */
static const char *const values[] = {"a", "b", "c", null, missing};
enum { VALUES = 5 };

static const struct comparison comparisons[] = {
    {WC_FILTER_EQ, {"b"}, "-+---", "+-+--"},
    {WC_FILTER_NEQ, {"b"}, "+-+--", "-+---"},
    {WC_FILTER_LT, {"b"}, "+----", "-++--"},
    {WC_FILTER_LTE, {"b"}, "++---", "--+--"},
    {WC_FILTER_GT, {"b"}, "--+--", "++---"},
    {WC_FILTER_GTE, {"b"}, "-++--", "+----"},
    {WC_FILTER_IN, {"b"}, "-+---", "+-+--"},
    {WC_FILTER_IN, {"a", "c"}, "+-+--", "-+---"},
    {WC_FILTER_IN, {"a", "b", "c"}, "+++--", "-----"},
    {WC_FILTER_IN, {"a", null}, "+----", "-----"},
    {WC_FILTER_IN, {null}, "-----", "-----"},
    {WC_FILTER_IN, {0}, "-----", "++++-"},
    {WC_FILTER_ISDISTINCT, {"b"}, "+-++-", "-+---"},
    {WC_FILTER_ISDISTINCT, {null}, "+++--", "---+-"},
    {WC_FILTER_EQ, {null}, "-----", "-----"},
    {WC_FILTER_NEQ, {null}, "-----", "-----"},
    {WC_FILTER_LT, {null}, "-----", "-----"},
    {WC_FILTER_GTE, {null}, "-----", "-----"},
};

static struct wc_leaf leaf_of(const struct comparison *c, struct wc_slice key[MOST])
{
    struct wc_leaf leaf = {.op = c->op, .kind = WC_KEY_TEXT, .key = key};
    for (size_t i = 0; i < MOST && c->operand[i]; i++) {
        if (c->operand[i] == null)
            leaf.has_null = true;
        else
            key[leaf.nkeys++] = wc_slice_str(c->operand[i]);
    }
    return leaf;
}

static void each_comparison_passes_what_sql_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        struct wc_slice key[MOST];
        struct wc_leaf leaf = leaf_of(&comparisons[i], key);
        for (int negate = 0; negate < 2; negate++) {
            leaf.negate = negate;
            for (size_t v = 0; v < VALUES; v++) {
                char want = (negate ? comparisons[i].negated : comparisons[i].plain)[v];
                if (decide_leaf(&leaf, values[v]) != (want == '+' ? WC_TRUE : WC_FALSE))
                    fail_msg("%s%s %s: %s", negate ? "not " : "", wc_filter_op_text(leaf.op),
                             comparisons[i].operand[0], values[v]);
            }
        }
    }
}

static void is_looks_at_booleans_and_nulls(void **state)
{
    (void)state;
    static const char *const booleans[] = {"t", "f", null, missing};
    static const struct {
        enum wc_is is;
        const char *plain, *negated;
    } table[] = {
        {WC_IS_NULL, "--+-", "++--"},
        {WC_IS_UNKNOWN, "--+-", "++--"},
        {WC_IS_TRUE, "+---", "-++-"},
        {WC_IS_FALSE, "-+--", "+-+-"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int negate = 0; negate < 2; negate++) {
            const struct wc_leaf leaf = {.op = WC_FILTER_IS, .is = table[i].is, .negate = negate};
            for (size_t v = 0; v < 4; v++) {
                char want = (negate ? table[i].negated : table[i].plain)[v];
                assert_int_equal(decide_leaf(&leaf, booleans[v]), want == '+' ? WC_TRUE : WC_FALSE);
            }
        }
    }
}

static void a_value_without_a_key_passes_no_comparison_of_keys(void **state)
{
    (void)state;
    struct wc_slice key = wc_slice_str("b");
    for (int negate = 0; negate < 2; negate++) {
        const struct wc_leaf leaf = {
            .op = WC_FILTER_EQ, .kind = WC_KEY_INT, .negate = negate, .nkeys = 1, .key = &key};
        const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
        struct before b = value("b");
        b.field.has_key = false;
        assert_int_equal(decide(&p, &b), WC_FALSE);
    }
}

static void an_element_is_found_among_many(void **state)
{
    (void)state;
    enum { MANY = 100 };
    uint8_t bytes[MANY];
    struct wc_slice key[MANY];
    for (size_t i = 0; i < MANY; i++) {
        bytes[i] = (uint8_t)(2 * i + 1);
        key[i] = wc_slice(&bytes[i], 1);
    }
    for (size_t n = 1; n <= MANY; n++) {
        const struct wc_leaf leaf = {
            .op = WC_FILTER_IN, .kind = WC_KEY_TEXT, .nkeys = n, .key = key};
        for (size_t i = 1; i <= 2 * n; i++) {
            const char text[] = {(char)i, '\0'};
            assert_int_equal(decide_leaf(&leaf, text), i % 2 ? WC_TRUE : WC_FALSE);
        }
    }
}

/* ---- groups ---- */

enum { KINDS = 4 };

/* Leaves that are true, false, NULL and asked of the value 'b'. */
static const struct wc_slice b_key = {(const uint8_t *)"b", 1}, a_key = {(const uint8_t *)"a", 1};
static const struct wc_leaf leaf_true = {
    .op = WC_FILTER_EQ, .kind = WC_KEY_TEXT, .nkeys = 1, .key = &b_key};
static const struct wc_leaf leaf_false = {
    .op = WC_FILTER_EQ, .kind = WC_KEY_TEXT, .nkeys = 1, .key = &a_key};
static const struct wc_leaf leaf_null = {.op = WC_FILTER_EQ, .kind = WC_KEY_TEXT, .has_null = true};
static const struct wc_leaf leaf_asked = {.op = WC_FILTER_LIKE};
static const struct wc_leaf *const leaves[KINDS] = {&leaf_false, &leaf_true, &leaf_null,
                                                    &leaf_asked};

static enum wc_truth and3(enum wc_truth a, enum wc_truth b)
{
    if (a == WC_FALSE || b == WC_FALSE)
        return WC_FALSE;
    return a == WC_TRUE ? b : b == WC_TRUE ? a : WC_NULL;
}

static enum wc_truth not3(enum wc_truth a)
{
    return a == WC_NULL ? a : a == WC_TRUE ? WC_FALSE : WC_TRUE;
}

static enum wc_truth or3(enum wc_truth a, enum wc_truth b)
{
    return not3(and3(not3(a), not3(b)));
}

/* Whatever two leaves say and whoever is negated; the asked one is answered `answer`. */
static void check_pair(size_t first, size_t second, unsigned bits, enum wc_truth answer)
{
    struct wc_predicate child[2] = {
        {.kind = WC_PREDICATE_OR, .negate = bits & 1, .nchildren = 1},
        {.kind = WC_PREDICATE_AND, .negate = bits & 2, .nchildren = 1},
    };
    const struct wc_predicate inner[2] = {{.kind = WC_PREDICATE_LEAF, .leaf = leaves[first]},
                                          {.kind = WC_PREDICATE_LEAF, .leaf = leaves[second]}};
    child[0].child = &inner[0];
    child[1].child = &inner[1];
    const struct wc_predicate p = {.kind = bits & 8 ? WC_PREDICATE_OR : WC_PREDICATE_AND,
                                   .negate = bits & 4,
                                   .nchildren = 2,
                                   .child = child};
    enum wc_truth a = first == 3 ? answer : (enum wc_truth)first;
    enum wc_truth b = second == 3 ? answer : (enum wc_truth)second;
    a = bits & 1 ? not3(a) : a;
    b = bits & 2 ? not3(b) : b;
    enum wc_truth want = bits & 8 ? or3(a, b) : and3(a, b);
    want = bits & 4 ? not3(want) : want;
    struct before before = value("b");
    before.answer = answer;
    if (decide(&p, &before) != (want == WC_TRUE ? WC_TRUE : WC_FALSE))
        fail_msg("%zu and %zu, %u, answer %d", first, second, bits, (int)answer);
}

static void groups_have_the_three_values_of_sql(void **state)
{
    (void)state;
    for (size_t first = 0; first < KINDS; first++)
        for (size_t second = 0; second < KINDS; second++)
            for (unsigned bits = 0; bits < 16; bits++)
                for (enum wc_truth answer = WC_FALSE; answer <= WC_NULL; answer++)
                    check_pair(first, second, bits, answer);
}

static void nothing_is_asked_that_the_rest_decides(void **state)
{
    (void)state;
    static const struct {
        enum wc_predicate_kind kind;
        bool negate;
        size_t leaf[3];
        enum wc_truth truth; /* when the asked ones are undecided */
        size_t asked;
    } table[] = {
        {WC_PREDICATE_AND, false, {3, 0, 3}, WC_FALSE, 0},
        {WC_PREDICATE_AND, false, {3, 2, 3}, WC_FALSE, 0}, /* NULL does not pass either */
        {WC_PREDICATE_AND, false, {3, 1, 3}, WC_UNDECIDED, 2},
        {WC_PREDICATE_OR, false, {3, 1, 3}, WC_TRUE, 0},
        {WC_PREDICATE_OR, false, {3, 2, 0}, WC_UNDECIDED, 1},
        {WC_PREDICATE_AND, true, {3, 0, 3}, WC_TRUE, 0},
        {WC_PREDICATE_AND, true, {3, 2, 3}, WC_UNDECIDED, 2},
        {WC_PREDICATE_OR, true, {3, 1, 3}, WC_FALSE, 0},
        {WC_PREDICATE_OR, true, {3, 2, 3}, WC_FALSE, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_predicate child[3];
        for (size_t k = 0; k < 3; k++)
            child[k] =
                (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = leaves[table[i].leaf[k]]};
        const struct wc_predicate p = {
            .kind = table[i].kind, .negate = table[i].negate, .nchildren = 3, .child = child};
        struct before b = value("b");
        b.answer = WC_UNDECIDED;
        assert_int_equal(decide(&p, &b), table[i].truth);
        assert_int_equal(b.asked, table[i].asked);
    }
}

static void what_nobody_can_be_asked_stays_undecided(void **state)
{
    (void)state;
    const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf_asked};
    struct before b = value("b");
    b.field.col = &b.col;
    const struct wc_predicate_view view = {.field = field, .fields = &b};
    assert_int_equal(wc_predicate_decide(&p, &view), WC_UNDECIDED);
}

/* LIKE and the like: the answer is of the plain comparison. */
static void an_answer_is_negated_with_its_leaf(void **state)
{
    (void)state;
    static const enum wc_truth answers[] = {WC_FALSE, WC_TRUE, WC_NULL, WC_UNDECIDED};
    static const enum wc_truth plain[] = {WC_FALSE, WC_TRUE, WC_FALSE, WC_UNDECIDED};
    static const enum wc_truth negated[] = {WC_TRUE, WC_FALSE, WC_FALSE, WC_UNDECIDED};
    for (size_t i = 0; i < 8; i++) {
        const struct wc_leaf leaf = {.op = WC_FILTER_LIKE, .negate = i % 2};
        const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
        struct before b = value("b");
        b.answer = answers[i / 2];
        assert_int_equal(decide(&p, &b), (i % 2 ? negated : plain)[i / 2]);
        assert_int_equal(b.asked, 1);
        assert_ptr_equal(b.last_asked, &leaf);
    }
}

static void nulls_are_never_asked_about(void **state)
{
    (void)state;
    static const struct {
        enum wc_filter_op op;
        const char *text;
        bool has_null, negate;
        enum wc_truth truth;
    } table[] = {
        {WC_FILTER_LIKE, null, false, false, WC_FALSE},
        {WC_FILTER_LIKE, null, false, true, WC_FALSE},
        {WC_FILTER_LIKE, missing, false, true, WC_FALSE},
        {WC_FILTER_IN, null, false, true, WC_FALSE},
        {WC_FILTER_EQ, "b", true, true, WC_FALSE},
        {WC_FILTER_ISDISTINCT, null, false, false, WC_TRUE},
        {WC_FILTER_ISDISTINCT, null, true, false, WC_FALSE},
        {WC_FILTER_ISDISTINCT, "b", true, false, WC_TRUE},
        {WC_FILTER_ISDISTINCT, "b", true, true, WC_FALSE},
        {WC_FILTER_ISDISTINCT, missing, true, true, WC_FALSE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wc_leaf leaf = {
            .op = table[i].op, .has_null = table[i].has_null, .negate = table[i].negate};
        assert_int_equal(decide_leaf(&leaf, table[i].text), table[i].truth);
    }
}

/* ---- which value a filter sees ---- */

static void a_filter_sees_the_row_of_its_operation(void **state)
{
    (void)state;
    enum { KEY, REST };
    enum { MISSING = -1, OLD, NEW, ISNULL };
    static const struct wc_rel_col cols[] = {{.in_identity = true}, {.in_identity = false}};
    static const struct wc_rel rel = {.ncols = 2, .col = cols};
    static const struct {
        enum wc_op op;
        enum wc_old_kind old_kind;
        enum wc_col_kind old, new;
        int of_key, of_rest;
    } table[] = {
        {WC_OP_INSERT, WC_OLD_NONE, WC_COL_NULL, WC_COL_TEXT, NEW, NEW},
        {WC_OP_INSERT, WC_OLD_NONE, WC_COL_NULL, WC_COL_NULL, ISNULL, ISNULL},
        {WC_OP_INSERT, WC_OLD_NONE, WC_COL_NULL, WC_COL_BINARY, MISSING, MISSING},
        {WC_OP_UPDATE, WC_OLD_FULL, WC_COL_TEXT, WC_COL_TEXT, NEW, NEW},
        {WC_OP_UPDATE, WC_OLD_FULL, WC_COL_TEXT, WC_COL_NULL, ISNULL, ISNULL},
        {WC_OP_UPDATE, WC_OLD_FULL, WC_COL_TEXT, WC_COL_TOAST_UNCHANGED, OLD, OLD},
        {WC_OP_UPDATE, WC_OLD_FULL, WC_COL_TOAST_UNCHANGED, WC_COL_TOAST_UNCHANGED, MISSING,
         MISSING},
        {WC_OP_UPDATE, WC_OLD_KEY, WC_COL_TEXT, WC_COL_TOAST_UNCHANGED, MISSING, MISSING},
        {WC_OP_UPDATE, WC_OLD_NONE, WC_COL_TEXT, WC_COL_TOAST_UNCHANGED, MISSING, MISSING},
        {WC_OP_DELETE, WC_OLD_KEY, WC_COL_TEXT, WC_COL_TEXT, OLD, MISSING},
        {WC_OP_DELETE, WC_OLD_FULL, WC_COL_TEXT, WC_COL_TEXT, OLD, OLD},
        {WC_OP_DELETE, WC_OLD_FULL, WC_COL_NULL, WC_COL_TEXT, ISNULL, ISNULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wc_col old[] = {{.kind = table[i].old}, {.kind = table[i].old}};
        const struct wc_col new[] = {{.kind = table[i].new}, {.kind = table[i].new}};
        const struct wc_change ch = {.op = table[i].op,
                                     .rel = &rel,
                                     .old_kind = table[i].old_kind,
                                     .old = {.ncols = 2, .col = old},
                                     .new = {.ncols = 2, .col = new}};
        for (int c = KEY; c <= REST; c++) {
            const struct wc_col *seen = wc_change_value(&ch, c);
            int want = c == KEY ? table[i].of_key : table[i].of_rest;
            if (want == MISSING)
                assert_null(seen);
            else if (want == ISNULL)
                assert_true(seen && seen->kind == WC_COL_NULL);
            else
                assert_ptr_equal(seen, want == OLD ? &old[c] : &new[c]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_comparison_passes_what_sql_passes),
        cmocka_unit_test(is_looks_at_booleans_and_nulls),
        cmocka_unit_test(a_value_without_a_key_passes_no_comparison_of_keys),
        cmocka_unit_test(an_element_is_found_among_many),
        cmocka_unit_test(groups_have_the_three_values_of_sql),
        cmocka_unit_test(nothing_is_asked_that_the_rest_decides),
        cmocka_unit_test(what_nobody_can_be_asked_stays_undecided),
        cmocka_unit_test(an_answer_is_negated_with_its_leaf),
        cmocka_unit_test(nulls_are_never_asked_about),
        cmocka_unit_test(a_filter_sees_the_row_of_its_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
