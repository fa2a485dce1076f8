/*
 * What a condition is filed under: of a thousand bindings a change brings up those it may concern,
 * which their `seen` tells, and no others.
 */
#include "bridge/match/match.h"

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
    MANY = 1000,
    AT = 500,
    LEAVES = 4,
    GROUPS = 3
};

static const struct wc_rel_col cols[] = {{.name = {(const uint8_t *)"a", 1}},
                                         {.name = {(const uint8_t *)"b", 1}}};
static const struct wc_rel rel = {.oid = OID, .generation = 1, .ncols = 2, .col = cols};

/* One binding, which watches for its own number in some way. */
struct watcher {
    struct wc_match_binding match;
    uint8_t bytes[LEAVES][2][8];
    struct wc_slice key[LEAVES][2];
    struct wc_leaf leaf[LEAVES];
    struct wc_predicate node[LEAVES], group[GROUPS];
    size_t nleaves;
};

static struct wc_slice make_key(uint8_t bytes[8], int number)
{
    char text[16];
    struct wc_buf buf;
    wc_buf_init(&buf, 64);
    (void)snprintf(text, sizeof text, "%d", number); /* fits */
    assert_int_equal(wc_key_append(WC_KEY_INT, wc_slice_str(text), &buf), WC_OK);
    memcpy(bytes, buf.p, 8);
    wc_buf_release(&buf);
    return wc_slice(bytes, 8);
}

/* column a (0) or b (1); IN has this number and the next one */
static struct wc_leaf *add(struct watcher *w, int column, enum wc_filter_op op, int number)
{
    size_t n = w->nleaves++;
    struct wc_leaf *leaf = &w->leaf[n];
    assert_in_range(n, 0, LEAVES - 1);
    w->key[n][0] = make_key(w->bytes[n][0], number);
    w->key[n][1] = make_key(w->bytes[n][1], number + 1);
    *leaf = (struct wc_leaf){.column = cols[column].name,
                             .op = op,
                             .kind = op == WC_FILTER_LIKE ? WC_KEY_NONE : WC_KEY_INT,
                             .nkeys = op == WC_FILTER_IN ? 2 : 1,
                             .key = w->key[n]};
    w->node[n] = (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = leaf};
    return leaf;
}

/* The comparisons so far as one group. */
static struct wc_predicate *all_of(struct watcher *w, enum wc_predicate_kind kind)
{
    w->group[0] = (struct wc_predicate){.kind = kind, .nchildren = w->nleaves, .child = w->node};
    w->match.where = &w->group[0];
    return &w->group[0];
}

/* ---- ways of watching for i ---- */

static void equal(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_EQ, i);
}

static void not_different(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_NEQ, i)->negate = true;
}

static void not_distinct(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_ISDISTINCT, i)->negate = true;
}

static void one_of_two(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_IN, i);
}

static void below(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_LT, i);
}

static void not_above(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_GT, i)->negate = true;
}

static void from_on(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_GTE, i);
}

static void between(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_GT, i);
    add(w, 0, WC_FILTER_LT, i + 10);
    add(w, 0, WC_FILTER_GTE, i + 2);
    all_of(w, WC_PREDICATE_AND);
}

static void not_outside(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_LT, i);
    add(w, 0, WC_FILTER_GT, i + 10);
    all_of(w, WC_PREDICATE_OR)->negate = true;
}

static void equal_and_more(struct watcher *w, int i)
{
    add(w, 1, WC_FILTER_LIKE, 0);
    add(w, 0, WC_FILTER_GTE, 0);
    add(w, 0, WC_FILTER_IN, i);
    add(w, 0, WC_FILTER_EQ, i);
    all_of(w, WC_PREDICATE_AND);
}

static void either_column(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_EQ, i);
    add(w, 1, WC_FILTER_IN, i);
    all_of(w, WC_PREDICATE_OR);
}

static void value_or_range(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_EQ, i);
    add(w, 1, WC_FILTER_LT, i - MANY);
    all_of(w, WC_PREDICATE_OR);
}

static void value_and_either(struct watcher *w, int i)
{
    add(w, 1, WC_FILTER_GT, 0);
    add(w, 1, WC_FILTER_LT, MANY * 2);
    add(w, 0, WC_FILTER_EQ, i);
    w->group[1] = (struct wc_predicate){.kind = WC_PREDICATE_OR, .nchildren = 2, .child = w->node};
    w->group[2] = w->node[2];
    w->group[0] =
        (struct wc_predicate){.kind = WC_PREDICATE_AND, .nchildren = 2, .child = &w->group[1]};
    w->match.where = &w->group[0];
}

static void null_and_more(struct watcher *w, int i)
{
    struct wc_leaf *leaf = add(w, 0, WC_FILTER_EQ, i);
    leaf->has_null = true;
    leaf->nkeys = 0;
    add(w, 1, WC_FILTER_LIKE, 0);
    all_of(w, WC_PREDICATE_AND);
}

static void different(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_NEQ, i);
}

static void equal_or_like(struct watcher *w, int i)
{
    add(w, 0, WC_FILTER_EQ, i);
    add(w, 1, WC_FILTER_LIKE, i);
    all_of(w, WC_PREDICATE_OR);
}

/* ---- the tests ---- */

static const struct {
    const char *name;
    void (*watch)(struct watcher *, int i);
    size_t brought_up; /* by a = AT, b = AT */
} ways[] = {
    {"equal", equal, 1},
    {"not different", not_different, 1},
    {"not distinct", not_distinct, 1},
    {"one of two", one_of_two, 2},
    {"below", below, MANY - AT - 1},
    {"not above", not_above, MANY - AT},
    {"from on", from_on, AT + 1},
    {"between", between, 8},
    {"not outside", not_outside, 11},
    {"equal and more", equal_and_more, 1},
    {"either column", either_column, 2},
    {"value or range", value_or_range, 1},
    {"value and either", value_and_either, 1},
    {"never true", null_and_more, 0},
    {"different", different, MANY},
    {"equal or like", equal_or_like, MANY},
};

static void on_hit(void *arg, struct wc_match_binding *b, bool undecided)
{
    (void)b;
    (void)undecided;
    ++*(size_t *)arg;
}

static void offer(struct wc_match *m)
{
    size_t hits = 0;
    char text[16];
    const struct wc_match_caller caller = {.hit = on_hit, .arg = &hits};
    (void)snprintf(text, sizeof text, "%d", AT); /* fits */
    const struct wc_col col[] = {{.kind = WC_COL_TEXT, .val = wc_slice_str(text)},
                                 {.kind = WC_COL_TEXT, .val = wc_slice_str(text)}};
    const struct wc_change ch = {.op = WC_OP_INSERT, .rel = &rel, .new = {.ncols = 2, .col = col}};
    assert_int_equal(wc_match_change(m, &ch, &caller), WC_OK);
}

static void a_change_brings_up_only_what_it_may_concern(void **state)
{
    (void)state;
    struct watcher *w = calloc(MANY, sizeof *w);
    assert_non_null(w);
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        struct wc_match *m = wc_match_new();
        size_t brought_up = 0;
        assert_non_null(m);
        for (int i = 0; i < MANY; i++) {
            w[i] = (struct watcher){.match = {.rel = OID, .events = ANY, .where = w[i].node}};
            ways[way].watch(&w[i], i);
            assert_int_equal(wc_match_insert(m, &w[i].match), WC_OK);
        }
        offer(m);
        for (int i = 0; i < MANY; i++) {
            brought_up += w[i].match.seen != 0;
            wc_match_remove(m, &w[i].match);
        }
        wc_match_free(m);
        if (brought_up != ways[way].brought_up)
            fail_msg("%s: %zu", ways[way].name, brought_up);
    }
    free(w);
}

/* All are equal in b, each has an a of its own. */
static void equalities_tell_how_crowded_they_are(void **state)
{
    (void)state;
    enum { FEW = 5 };
    struct wc_match *m = wc_match_new();
    struct watcher w[FEW] = {0}, range = {0};
    assert_non_null(m);
    add(&range, 1, WC_FILTER_GTE, 0);
    for (int i = 0; i < FEW; i++) {
        w[i].match = (struct wc_match_binding){.rel = OID, .events = ANY};
        add(&w[i], 1, WC_FILTER_EQ, 0);
        add(&w[i], 0, WC_FILTER_EQ, i);
        assert_int_equal(wc_match_crowd(m, OID, &w[i].node[0]), i);
        assert_int_equal(wc_match_crowd(m, OID, &w[i].node[1]), 0);
        all_of(&w[i], WC_PREDICATE_AND);
        assert_int_equal(wc_match_insert(m, &w[i].match), WC_OK);
    }
    assert_int_equal(wc_match_crowd(m, OID + 1, &w[0].node[0]), 0);
    assert_int_equal(wc_match_crowd(m, OID, &range.node[0]), 0);
    assert_int_equal(wc_match_crowd(m, OID, &w[0].group[0]), 0);
    for (int i = 0; i < FEW; i++) {
        wc_match_remove(m, &w[i].match);
        assert_int_equal(wc_match_crowd(m, OID, &w[0].node[0]), FEW - 1 - i);
    }
    wc_match_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_brings_up_only_what_it_may_concern),
        cmocka_unit_test(equalities_tell_how_crowded_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
