#include "bridge/match/fields.h"

#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct wc_rel_col cols[] = {{.name = {(const uint8_t *)"id", 2}},
                                         {.name = {(const uint8_t *)"owner", 5}}};
static const struct wc_rel rel = {.oid = 16400, .generation = 7, .ncols = 2, .col = cols};

struct rows {
    struct wc_col new[2], old[2];
    struct wc_change change;
};

static struct wc_col text(const char *t)
{
    if (!t)
        return (struct wc_col){.kind = WC_COL_NULL};
    return (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice_str(t)};
}

/* An UPDATE with a full old row; NULL: SQL NULL. */
static void set(struct rows *r, const char *old_owner, const char *owner)
{
    r->old[0] = r->new[0] = text("1");
    r->old[1] = text(old_owner);
    r->new[1] = text(owner);
    r->change = (struct wc_change){.op = WC_OP_UPDATE,
                                   .rel = &rel,
                                   .old_kind = WC_OLD_FULL,
                                   .old = {2, r->old},
                                   .new = {2, r->new}};
}

static const struct wc_slice alice = {(const uint8_t *)"alice", 5};
static const struct wc_leaf owner_is_alice = {.column = {(const uint8_t *)"owner", 5},
                                              .op = WC_FILTER_EQ,
                                              .kind = WC_KEY_TEXT,
                                              .nkeys = 1,
                                              .key = &alice};
static const struct wc_predicate of_alice = {.kind = WC_PREDICATE_LEAF, .leaf = &owner_is_alice};

static enum wc_truth decide(struct wc_fields *f, const struct wc_predicate *p)
{
    return wc_fields_decide(f, p, NULL, NULL);
}

static void each_look_is_about_one_row(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct rows r;
    set(&r, "alice", "bob");
    wc_fields_look_at(f, &r.change);
    assert_int_equal(decide(f, &of_alice), WC_FALSE);
    assert_int_equal(decide(f, &of_alice), WC_FALSE);
    r.change.op = WC_OP_DELETE; /* the old row */
    wc_fields_look_at(f, &r.change);
    assert_int_equal(decide(f, &of_alice), WC_TRUE);
    set(&r, "bob", NULL);
    wc_fields_look_at(f, &r.change);
    assert_int_equal(decide(f, &of_alice), WC_FALSE);
    wc_fields_free(f);
}

/* As for an old row: made where it is asked about, and asked about twice. */
static void the_change_may_go_while_its_rows_stay(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct wc_change *change = malloc(sizeof *change);
    struct rows r;
    assert_non_null(change);
    set(&r, "alice", "bob");
    *change = r.change;
    wc_fields_look_at(f, change);
    free(change);
    assert_int_equal(decide(f, &of_alice), WC_FALSE);
    wc_fields_free(f);
}

static void a_column_that_is_not_there_holds_nothing(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct rows r;
    struct wc_leaf leaf = owner_is_alice;
    leaf.column = wc_slice_str("team");
    const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
    set(&r, NULL, "alice");
    wc_fields_look_at(f, &r.change);
    assert_int_equal(decide(f, &p), WC_FALSE);
    leaf.negate = true;
    assert_int_equal(decide(f, &p), WC_FALSE);
    wc_fields_free(f);
}

static enum wc_truth yes(void *arg, const struct wc_leaf *leaf)
{
    (void)arg;
    (void)leaf;
    return WC_TRUE;
}

static void what_has_no_key_is_asked(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct rows r;
    struct wc_leaf leaf = owner_is_alice;
    leaf.kind = WC_KEY_NONE;
    const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
    set(&r, NULL, "alice");
    wc_fields_look_at(f, &r.change);
    assert_int_equal(decide(f, &p), WC_UNDECIDED);
    assert_int_equal(wc_fields_decide(f, &p, yes, NULL), WC_TRUE);
    assert_int_equal(decide(f, &of_alice), WC_TRUE); /* the same column by its key */
    wc_fields_free(f);
}

static void columns_without_end_are_forgotten(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct rows r;
    set(&r, NULL, "alice");
    for (uint32_t i = 0; i < 10000; i++) {
        struct wc_leaf leaf = owner_is_alice;
        leaf.column = wc_slice(&i, sizeof i);
        const struct wc_predicate p = {.kind = WC_PREDICATE_LEAF, .leaf = &leaf};
        wc_fields_look_at(f, &r.change);
        assert_int_equal(decide(f, &p), WC_FALSE);
        assert_int_equal(decide(f, &of_alice), WC_TRUE);
    }
    wc_fields_free(f);
}

static void memory_that_is_short_decides_nothing(void **state)
{
    (void)state;
    struct wc_fields *f = wc_fields_new();
    struct rows r;
    set(&r, NULL, "alice");
    for (long n = 0;; n++) {
        wc_fields_look_at(f, &r.change);
        wc_test_fail_alloc(n);
        enum wc_truth t = decide(f, &of_alice);
        bool failed = wc_test_alloc_failed();
        wc_test_fail_alloc(-1);
        assert_int_equal(t, failed ? WC_UNDECIDED : WC_TRUE);
        if (!failed)
            break;
    }
    wc_fields_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_look_is_about_one_row),
        cmocka_unit_test(the_change_may_go_while_its_rows_stay),
        cmocka_unit_test(a_column_that_is_not_there_holds_nothing),
        cmocka_unit_test(what_has_no_key_is_asked),
        cmocka_unit_test(columns_without_end_are_forgotten),
        cmocka_unit_test(memory_that_is_short_decides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
