#include "bridge/subs/roll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REL = 16384 };

static size_t count_of(const struct wc_rolls *r, wc_oid oid, const char *role)
{
    size_t n = 0;
    const struct wc_list *rolls = wc_rolls_of(r, oid);
    if (!rolls)
        return 0;
    WC_LIST_EACH (it, rolls) {
        const struct wc_roll *roll = WC_CONTAINER(it, struct wc_roll, link);
        if (!wc_slice_is(roll->role, role))
            continue;
        WC_LIST_EACH (entry, &roll->entries)
            n++;
    }
    return n;
}

static void entries_stand_under_relation_and_role(void **state)
{
    (void)state;
    struct wc_rolls r;
    struct wc_list entry[4];
    const struct wc_slice anon = wc_slice_str("anon"), user = wc_slice_str("authenticated");
    wc_rolls_init(&r);
    assert_null(wc_rolls_of(&r, REL));
    for (size_t i = 0; i < 4; i++)
        wc_list_init(&entry[i]);
    assert_int_equal(wc_roll_enter(&r, REL, anon, &entry[0]), WC_OK);
    assert_int_equal(wc_roll_enter(&r, REL, anon, &entry[1]), WC_OK);
    assert_int_equal(wc_roll_enter(&r, REL, user, &entry[2]), WC_OK);
    assert_int_equal(wc_roll_enter(&r, REL + 1, anon, &entry[3]), WC_OK);
    assert_int_equal(count_of(&r, REL, "anon"), 2);
    assert_int_equal(count_of(&r, REL, "authenticated"), 1);
    assert_int_equal(count_of(&r, REL + 1, "anon"), 1);
    wc_roll_leave(&r, REL, anon, &entry[0]);
    wc_roll_leave(&r, REL, anon, &entry[0]); /* it is in none: nothing happens */
    assert_int_equal(count_of(&r, REL, "anon"), 1);
    wc_roll_leave(&r, REL, anon, &entry[1]);
    assert_int_equal(count_of(&r, REL, "anon"), 0);
    wc_roll_leave(&r, REL, user, &entry[2]);
    assert_null(wc_rolls_of(&r, REL));
    wc_roll_leave(&r, REL + 1, anon, &entry[3]);
    wc_rolls_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_stand_under_relation_and_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
