#include "bridge/rls/changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TABLE = 16400, OTHER = 16401 };

static bool is_early(const struct wc_changes *c, wc_oid rel, const char *snapshot)
{
    struct wc_snapshot *s = wc_snapshot_parse(snapshot);
    assert_non_null(s);
    bool early = wc_changes_is_early(c, rel, s);
    wc_snapshot_unref(s);
    return early;
}

static void saw(struct wc_changes *c, const char *snapshot)
{
    struct wc_snapshot *s = wc_snapshot_parse(snapshot);
    assert_non_null(s);
    wc_changes_saw(c, s);
    wc_snapshot_unref(s);
}

static void a_change_of_a_relation_is_waited_for_by_its_own_answers(void **state)
{
    (void)state;
    struct wc_changes c;
    wc_changes_init(&c);
    assert_int_equal(wc_changes_note(&c, TABLE, 100), WC_OK);
    assert_true(is_early(&c, TABLE, "90:101:100"));
    assert_false(is_early(&c, OTHER, "90:101:100"));
    assert_true(wc_changes_is_early(&c, TABLE, NULL));
    assert_false(is_early(&c, TABLE, "90:101:"));
    saw(&c, "90:101:");
    assert_false(wc_changes_is_early(&c, TABLE, NULL));
    wc_changes_release(&c);
}

static void what_is_forgotten_is_not_waited_for(void **state)
{
    (void)state;
    struct wc_changes c;
    wc_changes_init(&c);
    assert_int_equal(wc_changes_note(&c, TABLE, 100), WC_OK);
    assert_int_equal(wc_changes_note(&c, OTHER, 101), WC_OK);
    wc_changes_forget(&c);
    assert_false(wc_changes_is_early(&c, TABLE, NULL));
    wc_changes_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_a_relation_is_waited_for_by_its_own_answers),
        cmocka_unit_test(what_is_forgotten_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
