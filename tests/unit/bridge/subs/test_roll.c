#include "bridge/subs/roll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REL = 16384 };

static void on_answer(void *arg, bool early)
{
    (void)arg;
    (void)early;
}

static size_t count_of(const struct wc_rolls *g, wc_oid oid, const char *role)
{
    size_t n = 0;
    const struct wc_list *rolls = wc_rolls_of(g, oid);
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

static bool count_rolls(void *arg, struct wc_roll *roll)
{
    (void)roll;
    ++*(size_t *)arg;
    return true;
}

static void entries_stand_under_relation_and_role(void **state)
{
    (void)state;
    const struct wc_access_options options = {.freshness_ms = 1000};
    struct wc_access_cache *cache = wc_access_cache_new(&options, on_answer, NULL);
    const struct wc_slice anon = wc_slice_str("anon"), user = wc_slice_str("user");
    struct wc_rolls g;
    struct wc_list entry[4];
    size_t n = 0;
    wc_rolls_init(&g, cache);
    assert_null(wc_rolls_of(&g, REL));
    for (int i = 0; i < 4; i++)
        wc_list_init(&entry[i]);
    struct wc_roll *of_anon = wc_roll_enter(&g, REL, anon, false, &entry[0]);
    assert_non_null(of_anon);
    assert_ptr_equal(wc_roll_enter(&g, REL, anon, false, &entry[1]), of_anon);
    struct wc_roll *of_user = wc_roll_enter(&g, REL, user, false, &entry[2]);
    struct wc_roll *elsewhere = wc_roll_enter(&g, REL + 1, anon, false, &entry[3]);
    assert_non_null(of_user);
    assert_non_null(elsewhere);
    wc_rolls_each(&g, count_rolls, &n);
    assert_int_equal(n, 3);
    assert_int_equal(count_of(&g, REL, "anon"), 2);
    assert_int_equal(count_of(&g, REL, "user"), 1);
    assert_int_equal(count_of(&g, REL + 1, "anon"), 1);
    wc_roll_leave(&g, of_anon, &entry[0]);
    assert_int_equal(count_of(&g, REL, "anon"), 1);
    wc_roll_leave(&g, of_anon, &entry[1]);
    assert_int_equal(count_of(&g, REL, "anon"), 0);
    wc_roll_leave(&g, of_user, &entry[2]);
    assert_null(wc_rolls_of(&g, REL));
    wc_roll_leave(&g, elsewhere, &entry[3]);
    wc_rolls_release(&g);
    wc_access_cache_free(cache);
}

static void a_table_that_is_named_has_its_access_entry_pinned(void **state)
{
    (void)state;
    const struct wc_access_options options = {.freshness_ms = 1000};
    struct wc_access_cache *cache = wc_access_cache_new(&options, on_answer, NULL);
    const struct wc_slice anon = wc_slice_str("anon");
    struct wc_rolls g;
    struct wc_list by_wildcard, by_name;
    wc_rolls_init(&g, cache);
    wc_list_init(&by_wildcard);
    wc_list_init(&by_name);
    struct wc_roll *roll = wc_roll_enter(&g, REL, anon, false, &by_wildcard);
    assert_non_null(roll);
    assert_null(roll->access);
    assert_ptr_equal(wc_roll_enter(&g, REL, anon, true, &by_name), roll);
    assert_non_null(roll->access);
    assert_int_equal(roll->access->rel, REL);
    assert_null(roll->access->rules);
    wc_roll_leave(&g, roll, &by_name);
    wc_roll_leave(&g, roll, &by_wildcard);
    wc_rolls_release(&g);
    wc_access_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_stand_under_relation_and_role),
        cmocka_unit_test(a_table_that_is_named_has_its_access_entry_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
