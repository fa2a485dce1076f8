/*
 * The index against a model: bindings with random conditions come and go, random changes are
 * offered, and what the index reports must be what evaluating every condition by itself says, with
 * numbers compared as numbers and unanswered questions tried with every answer.
 */
#include "bridge/match/match.h"

#include "base/arena.h"
#include "tests/unit/base/alloc_fail.h"
#include "tests/unit/bridge/match/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    ANY = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE,
    OID = 16400,
    COLS = 4,
    BINDINGS = 150,
    STEPS = 6000,
    DEPTH = 3,
    UNKNOWN_MOST = 4,
    ARENA_CAP = 1 << 16,
};

/* number int4 (identity), word text, flag bool, other: of a type that is asked about */
static const struct wc_rel_col cols[COLS] = {
    {.name = {(const uint8_t *)"number", 6}, .in_identity = true},
    {.name = {(const uint8_t *)"word", 4}},
    {.name = {(const uint8_t *)"flag", 4}},
    {.name = {(const uint8_t *)"other", 5}}};
enum { NUMBER, WORD, FLAG, OTHER };
static const enum wc_key_kind kinds[COLS] = {WC_KEY_INT, WC_KEY_TEXT, WC_KEY_BOOL, WC_KEY_NONE};

/* Values by number: texts of a column, rising as the type orders them. */
enum { VALUES = 7 };
static const char *const texts[COLS][VALUES] = {
    {"-10", "-9", "0", "5", "9", "10", "100"},
    {"", "a", "a ", "aa", "b", "ba", "c"},
    {"f", "t", "t", "t", "t", "t", "t"},
    {"x", "y", "z", "x", "y", "z", "x"},
};

static int rank_of(int column, int value) /* equal for equal values */
{
    while (value > 0 && strcmp(texts[column][value], texts[column][value - 1]) == 0)
        value--;
    return value;
}

/* ---- conditions ---- */

struct test_leaf {
    struct wc_leaf leaf;
    int column;
    size_t noperands;
    int operand[3];
    bool is_asked;
    enum wc_truth answer; /* UNDECIDED: nobody knows */
    size_t unknown;       /* its number among those of the binding */
};

struct binding {
    struct wc_match_binding match; /* owner: this */
    struct wc_arena arena;
    size_t nunknown;
    bool is_in;
    size_t hits, undecided;
};

static struct wc_slice make_key(struct binding *b, int column, int value)
{
    struct wc_buf buf;
    wc_buf_init(&buf, 64);
    assert_int_equal(wc_key_append(kinds[column], wc_slice_str(texts[column][value]), &buf), WC_OK);
    char *copy = wc_arena_strdup(&b->arena, wc_buf_view(&buf));
    assert_non_null(copy);
    struct wc_slice key = wc_slice(copy, buf.len);
    wc_buf_release(&buf);
    return key;
}

static void *alloc(struct binding *b, size_t count, size_t size)
{
    void *p = wc_arena_calloc(&b->arena, count, size);
    assert_non_null(p);
    return p;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void draw_operands(struct wc_draw *d, struct binding *b, struct test_leaf *t)
{
    struct wc_slice *key = alloc(b, 3, sizeof *key);
    size_t most = t->leaf.op == WC_FILTER_IN ? wc_draw(d, 4) : 1;
    t->leaf.has_null = wc_draw_one_in(d, 12);
    if (t->leaf.has_null && t->leaf.op != WC_FILTER_IN)
        most = 0;
    for (size_t i = 0; i < most; i++)
        t->operand[i] = rank_of(t->column, (int)wc_draw(d, VALUES));
    qsort(t->operand, most, sizeof t->operand[0], by_number);
    for (size_t i = 0; i < most; i++) {
        if (t->noperands && t->operand[i] == t->operand[t->noperands - 1])
            continue;
        t->operand[t->noperands] = t->operand[i];
        key[t->noperands] = make_key(b, t->column, t->operand[i]);
        t->noperands++;
    }
    t->leaf.nkeys = t->noperands;
    t->leaf.key = key;
}

static const struct wc_leaf *draw_leaf(struct wc_draw *d, struct binding *b)
{
    static const enum wc_filter_op ops[] = {
        WC_FILTER_EQ,  WC_FILTER_EQ,  WC_FILTER_IN,  WC_FILTER_IN,  WC_FILTER_LT,
        WC_FILTER_LTE, WC_FILTER_GT,  WC_FILTER_GT,  WC_FILTER_GTE, WC_FILTER_ISDISTINCT,
        WC_FILTER_IS,  WC_FILTER_NEQ, WC_FILTER_LIKE};
    struct test_leaf *t = alloc(b, 1, sizeof *t);
    t->leaf.op = ops[wc_draw(d, sizeof ops / sizeof ops[0])];
    t->leaf.negate = wc_draw_one_in(d, 4);
    t->is_asked = t->leaf.op == WC_FILTER_LIKE && b->nunknown < UNKNOWN_MOST;
    if (t->leaf.op == WC_FILTER_LIKE && !t->is_asked)
        t->leaf.op = WC_FILTER_EQ;
    t->column = t->is_asked ? (int)wc_draw(d, COLS) : (int)wc_draw(d, OTHER);
    if (t->leaf.op == WC_FILTER_IS)
        t->column =
            (t->leaf.is = (enum wc_is)wc_draw(d, 4)) == WC_IS_NULL ? (int)wc_draw(d, COLS) : FLAG;
    t->leaf.column = cols[t->column].name;
    t->leaf.kind = t->is_asked ? WC_KEY_NONE : kinds[t->column];
    t->leaf.asked = t;
    t->answer = (enum wc_truth)wc_draw(d, 4);
    if (t->is_asked && t->answer == WC_UNDECIDED)
        t->unknown = b->nunknown++;
    if (!t->is_asked && t->leaf.op != WC_FILTER_IS)
        draw_operands(d, b, t);
    return &t->leaf;
}

static struct wc_predicate draw_condition(struct wc_draw *d, struct binding *b, int depth)
{
    struct wc_predicate p = {.kind = (enum wc_predicate_kind)wc_draw(d, 3), .nchildren = 0};
    if (depth == 0)
        p.kind = WC_PREDICATE_LEAF;
    if (p.kind == WC_PREDICATE_LEAF) {
        p.leaf = draw_leaf(d, b);
        return p;
    }
    p.negate = wc_draw_one_in(d, 4);
    p.nchildren = 1 + wc_draw(d, 3);
    struct wc_predicate *child = alloc(b, p.nchildren, sizeof *child);
    for (size_t i = 0; i < p.nchildren; i++)
        child[i] = draw_condition(d, b, depth - 1);
    p.child = child;
    return p;
}

static void draw_binding(struct wc_draw *d, struct binding *b)
{
    wc_arena_reset(&b->arena);
    b->nunknown = 0;
    struct wc_predicate *where = alloc(b, 1, sizeof *where);
    *where = draw_condition(d, b, (int)wc_draw(d, DEPTH + 1));
    b->match = (struct wc_match_binding){.scope = WC_MATCH_TABLE,
                                         .rel = OID,
                                         .events = 1 + wc_draw(d, ANY),
                                         .where = wc_draw_one_in(d, 20) ? NULL : where,
                                         .owner = b};
}

/* ---- changes ---- */

enum { NO_VALUE = -1, NULL_VALUE = -2 };

struct offered {
    struct wc_rel rel;
    struct wc_rel_col col[COLS];
    struct wc_col old[COLS], new[COLS];
    struct wc_change ch;
    int seen[COLS]; /* value by number that a filter sees, or NO_VALUE, NULL_VALUE */
};

/* The number of the value put there. */
static int draw_cell(struct wc_draw *d, int column, struct wc_col *c)
{
    if (wc_draw_one_in(d, 6)) {
        *c = (struct wc_col){.kind = WC_COL_NULL};
        return NULL_VALUE;
    }
    int value = (int)wc_draw(d, VALUES);
    *c = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice_str(texts[column][value])};
    return rank_of(column, value);
}

static void draw_column(struct wc_draw *d, struct offered *o, int column, int at)
{
    int old = draw_cell(d, column, &o->old[at]), new = draw_cell(d, column, &o->new[at]);
    bool is_toast = o->ch.op == WC_OP_UPDATE && wc_draw_one_in(d, 8);
    if (is_toast)
        o->new[at] = (struct wc_col){.kind = WC_COL_TOAST_UNCHANGED};
    if (o->ch.op == WC_OP_DELETE)
        o->seen[column] = o->ch.old_kind == WC_OLD_FULL || column == NUMBER ? old : NO_VALUE;
    else if (is_toast)
        o->seen[column] = o->ch.old_kind == WC_OLD_FULL ? old : NO_VALUE;
    else
        o->seen[column] = new;
    o->col[at] = cols[column];
}

/* Now and then the columns stand in another order, and one is missing. */
static void draw_change(struct wc_draw *d, uint64_t *generation, struct offered *o)
{
    static const enum wc_op ops[] = {WC_OP_INSERT, WC_OP_UPDATE, WC_OP_DELETE};
    o->ch = (struct wc_change){.op = ops[wc_draw(d, 3)], .rel = &o->rel};
    o->ch.old_kind = o->ch.op == WC_OP_INSERT   ? WC_OLD_NONE
                     : o->ch.op == WC_OP_DELETE ? WC_OLD_KEY + (enum wc_old_kind)wc_draw(d, 2)
                                                : (enum wc_old_kind)wc_draw(d, 3);
    int first = 0, count = COLS;
    if (wc_draw_one_in(d, 10)) {
        first = (int)wc_draw(d, COLS);
        count = COLS - (int)wc_draw(d, 2);
    }
    ++*generation;
    for (int i = 0; i < COLS; i++)
        o->seen[i] = NO_VALUE;
    for (int i = 0; i < count; i++)
        draw_column(d, o, (first + i) % COLS, i);
    o->rel = (struct wc_rel){.oid = OID,
                             .generation = *generation,
                             .schema = wc_slice_str("public"),
                             .ncols = (uint16_t)count,
                             .col = o->col};
    o->ch.old = (struct wc_row){.ncols = o->rel.ncols, .col = o->old};
    o->ch.new = (struct wc_row){.ncols = o->rel.ncols, .col = o->new};
}

/* ---- the model ---- */

static enum wc_truth truth(bool is_true)
{
    return is_true ? WC_TRUE : WC_FALSE;
}

static enum wc_truth not3(enum wc_truth t)
{
    return t == WC_NULL ? t : truth(t == WC_FALSE);
}

static enum wc_truth model_in(const struct test_leaf *t, int value)
{
    if (t->noperands == 0 && !t->leaf.has_null)
        return WC_FALSE;
    for (size_t i = 0; i < t->noperands; i++)
        if (t->operand[i] == value)
            return WC_TRUE;
    return value == NULL_VALUE || t->leaf.has_null ? WC_NULL : WC_FALSE;
}

static enum wc_truth model_is(enum wc_is is, int value)
{
    if (is == WC_IS_TRUE || is == WC_IS_FALSE)
        return truth(value != NULL_VALUE && (value > 0) == (is == WC_IS_TRUE));
    return truth(value == NULL_VALUE);
}

static enum wc_truth model_compare(const struct test_leaf *t, int value)
{
    int operand = t->leaf.has_null ? NULL_VALUE : t->operand[0];
    if (t->leaf.op == WC_FILTER_ISDISTINCT)
        return truth(value != operand);
    if (value == NULL_VALUE || operand == NULL_VALUE)
        return WC_NULL;
    switch (t->leaf.op) {
    case WC_FILTER_EQ: return truth(value == operand);
    case WC_FILTER_NEQ: return truth(value != operand);
    case WC_FILTER_LT: return truth(value < operand);
    case WC_FILTER_LTE: return truth(value <= operand);
    case WC_FILTER_GT: return truth(value > operand);
    case WC_FILTER_GTE: return truth(value >= operand);
    case WC_FILTER_IN:
    case WC_FILTER_LIKE:
    case WC_FILTER_ILIKE:
    case WC_FILTER_IS:
    case WC_FILTER_MATCH:
    case WC_FILTER_IMATCH:
    case WC_FILTER_ISDISTINCT: break;
    }
    return WC_NULL;
}

static enum wc_truth model_leaf(const struct test_leaf *t, const struct offered *o,
                                const enum wc_truth unknown[])
{
    int value = o->seen[t->column];
    enum wc_truth plain;
    if (value == NO_VALUE)
        return WC_NULL;
    if (t->is_asked && value == NULL_VALUE)
        plain = WC_NULL;
    else if (t->is_asked)
        plain = t->answer == WC_UNDECIDED ? unknown[t->unknown] : t->answer;
    else if (t->leaf.op == WC_FILTER_IN)
        plain = model_in(t, value);
    else if (t->leaf.op == WC_FILTER_IS)
        plain = model_is(t->leaf.is, value);
    else
        plain = model_compare(t, value);
    return t->leaf.negate ? not3(plain) : plain;
}

static enum wc_truth model(const struct wc_predicate *p, const struct offered *o,
                           const enum wc_truth unknown[])
{
    if (p->kind == WC_PREDICATE_LEAF)
        return model_leaf(p->leaf->asked, o, unknown);
    size_t n[3] = {0};
    for (size_t i = 0; i < p->nchildren; i++)
        n[model(&p->child[i], o, unknown)]++;
    enum wc_truth one = p->kind == WC_PREDICATE_OR ? WC_TRUE : WC_FALSE;
    enum wc_truth t = n[one] ? one : n[WC_NULL] ? WC_NULL : not3(one);
    return p->negate ? not3(t) : t;
}

/* Over all answers that may come: does it pass with some, and with all? */
static void model_binding(const struct binding *b, const struct offered *o, bool *some, bool *all)
{
    size_t combinations = 1;
    for (size_t i = 0; i < b->nunknown; i++)
        combinations *= 3;
    *some = false;
    *all = true;
    for (size_t c = 0; c < combinations; c++) {
        enum wc_truth unknown[UNKNOWN_MOST + 1];
        size_t left = c;
        for (size_t i = 0; i < b->nunknown; i++, left /= 3)
            unknown[i] = (enum wc_truth)(left % 3);
        bool passes = !b->match.where || model(b->match.where, o, unknown) == WC_TRUE;
        *some = *some || passes;
        *all = *all && passes;
    }
}

/* ---- the property ---- */

static void on_hit(void *arg, struct wc_match_binding *match, bool undecided)
{
    struct binding *b = match->owner;
    (void)arg;
    b->hits++;
    b->undecided += undecided;
}

static enum wc_truth ask(void *arg, const struct wc_leaf *leaf)
{
    (void)arg;
    return ((const struct test_leaf *)leaf->asked)->answer;
}

static void check_change(struct wc_match *m, struct binding *b, const struct offered *o,
                         size_t seen[3])
{
    const struct wc_match_caller caller = {.hit = on_hit, .ask = ask};
    for (size_t i = 0; i < BINDINGS; i++)
        b[i].hits = b[i].undecided = 0;
    assert_int_equal(wc_match_change(m, &o->ch, &caller), WC_OK);
    for (size_t i = 0; i < BINDINGS; i++) {
        bool some = false, all = false;
        if (b[i].is_in && (b[i].match.events & (uint32_t)o->ch.op))
            model_binding(&b[i], o, &some, &all);
        assert_int_equal(b[i].hits, some);
        assert_int_equal(b[i].undecided, some && !all);
        seen[some + (some && !all)]++;
    }
}

static void toggle(struct wc_draw *d, struct wc_match *m, struct binding *b)
{
    if (b->is_in) {
        wc_match_remove(m, &b->match);
    } else {
        draw_binding(d, b);
        assert_int_equal(wc_match_insert(m, &b->match), WC_OK);
    }
    b->is_in = !b->is_in;
}

static struct binding *new_bindings(void)
{
    struct binding *b = calloc(BINDINGS, sizeof *b);
    assert_non_null(b);
    for (size_t i = 0; i < BINDINGS; i++)
        wc_arena_init_sized(&b[i].arena, ARENA_CAP, 1024);
    return b;
}

/* wc_match_free itself asserts that the index is empty. */
static void free_all(struct wc_match *m, struct binding *b)
{
    for (size_t i = 0; i < BINDINGS; i++) {
        if (b[i].is_in)
            wc_match_remove(m, &b[i].match);
        wc_arena_release(&b[i].arena);
    }
    free(b);
    wc_match_free(m);
}

static void the_index_reports_what_evaluating_everything_does(void **state)
{
    (void)state;
    struct wc_draw d = wc_draw_seeded("conditions");
    struct binding *b = new_bindings();
    struct wc_match *m = wc_match_new();
    uint64_t generation = 0;
    size_t seen[3] = {0}; /* not concerned, concerned, undecided */
    assert_non_null(m);
    for (int step = 0; step < STEPS; step++) {
        struct offered o;
        toggle(&d, m, &b[wc_draw(&d, BINDINGS)]);
        draw_change(&d, &generation, &o);
        check_change(m, b, &o, seen);
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(seen[i], STEPS / 10, (size_t)STEPS * BINDINGS);
    free_all(m, b);
}

/* ---- memory ---- */

static void a_condition_without_memory_leaves_the_index_as_it_was(void **state)
{
    (void)state;
    struct wc_draw d = wc_draw_seeded("conditions without memory");
    struct binding *b = new_bindings();
    size_t failures = 0;
    for (size_t i = 0; i < BINDINGS; i++) {
        enum wc_status st = WC_NOMEM;
        draw_binding(&d, &b[i]);
        for (long n = 0; st != WC_OK; n++) {
            struct wc_match *m = wc_match_new();
            assert_non_null(m);
            wc_test_fail_alloc(n);
            st = wc_match_insert(m, &b[i].match);
            assert_int_equal(st, wc_test_alloc_failed() ? WC_NOMEM : WC_OK);
            wc_test_fail_alloc(-1);
            failures += st != WC_OK;
            if (st == WC_OK)
                wc_match_remove(m, &b[i].match);
            wc_match_free(m); /* it is empty */
        }
    }
    assert_in_range(failures, BINDINGS, BINDINGS * 200);
    free_all(NULL, b);
}

static void a_change_without_memory_says_so_and_may_come_again(void **state)
{
    (void)state;
    struct wc_slice key = wc_slice_str("\x80\0\0\0\0\0\0\5");
    const struct wc_leaf leaf = {.column = cols[NUMBER].name,
                                 .op = WC_FILTER_EQ,
                                 .kind = WC_KEY_INT,
                                 .nkeys = 1,
                                 .key = &key};
    const struct wc_predicate where = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
    struct binding b = {.match = {.rel = OID, .events = ANY, .where = &where, .owner = &b}};
    const struct wc_match_caller caller = {.hit = on_hit};
    const struct wc_rel rel = {.oid = OID, .generation = 1, .ncols = 1, .col = cols};
    const struct wc_col five = {.kind = WC_COL_TEXT, .val = wc_slice_str("5")};
    const struct wc_change ch = {
        .op = WC_OP_INSERT, .rel = &rel, .new = {.ncols = 1, .col = &five}};
    struct wc_match *m = wc_match_new();
    key.len = 8;
    assert_non_null(m);
    assert_int_equal(wc_match_insert(m, &b.match), WC_OK);
    wc_test_fail_alloc(0);
    assert_int_equal(wc_match_change(m, &ch, &caller), WC_NOMEM);
    wc_test_fail_alloc(-1);
    assert_int_equal(b.hits, 0);
    assert_int_equal(wc_match_change(m, &ch, &caller), WC_OK);
    assert_int_equal(b.hits, 1);
    wc_match_remove(m, &b.match);
    wc_match_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_reports_what_evaluating_everything_does),
        cmocka_unit_test(a_condition_without_memory_leaves_the_index_as_it_was),
        cmocka_unit_test(a_change_without_memory_says_so_and_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
