#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 5000 };

struct item {
    struct wc_map_node node;
    char key[16];
    int seen;
};

static struct item *make_items(void)
{
    struct item *items = calloc(MANY, sizeof *items);
    assert_non_null(items);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(items[i].key, sizeof items[i].key, "key-%d", i);
        items[i].node.key = wc_slice_str(items[i].key);
    }
    return items;
}

static void fill(struct wc_map *m, struct item *items)
{
    for (int i = 0; i < MANY; i++)
        assert_int_equal(wc_map_insert(m, &items[i].node), WC_OK);
}

static void what_is_inserted_is_found_and_nothing_else(void **state)
{
    (void)state;
    struct wc_map m;
    struct item *items = make_items();
    wc_map_init(&m);
    assert_null(wc_map_get(&m, wc_slice_str("key-1")));
    fill(&m, items);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(wc_map_get(&m, wc_slice_str(items[i].key)), &items[i].node);
    assert_null(wc_map_get(&m, wc_slice_str("key-")));
    assert_null(wc_map_get(&m, wc_slice_str("key-99999")));
    assert_null(wc_map_get(&m, wc_slice(NULL, 0)));
    assert_int_equal(m.count, MANY);
    wc_map_release(&m);
    free(items);
}

static void removal_leaves_the_others(void **state)
{
    (void)state;
    struct wc_map m;
    struct item *items = make_items();
    wc_map_init(&m);
    fill(&m, items);
    for (int i = 0; i < MANY; i += 2)
        wc_map_remove(&m, &items[i].node);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(wc_map_get(&m, items[i].node.key), i % 2 ? &items[i].node : NULL);
    assert_int_equal(m.count, MANY / 2);
    wc_map_release(&m);
    free(items);
}

static void iteration_visits_each_node_once(void **state)
{
    (void)state;
    struct wc_map m;
    struct item *items = make_items();
    wc_map_init(&m);
    assert_null(wc_map_each(&m, NULL));
    fill(&m, items);
    for (struct wc_map_node *n = wc_map_each(&m, NULL); n; n = wc_map_each(&m, n))
        ((struct item *)(void *)n)->seen++;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(items[i].seen, 1);
    wc_map_release(&m);
    free(items);
}

static void a_map_can_be_emptied_while_iterating(void **state)
{
    (void)state;
    struct wc_map m;
    struct item *items = make_items();
    wc_map_init(&m);
    fill(&m, items);
    for (struct wc_map_node *n = wc_map_each(&m, NULL), *next; n; n = next) {
        next = wc_map_each(&m, n);
        wc_map_remove(&m, n);
    }
    assert_int_equal(m.count, 0);
    assert_null(wc_map_each(&m, NULL));
    wc_map_release(&m);
    free(items);
}

static void equal_keys_stand_side_by_side(void **state)
{
    (void)state;
    struct wc_map m;
    struct item *items = make_items();
    struct item twins[3] = {0};
    wc_map_init(&m);
    for (int i = 0; i < 3; i++) {
        twins[i].node.key = wc_slice_str("key-7");
        assert_int_equal(wc_map_insert(&m, &twins[i].node), WC_OK);
    }
    fill(&m, items); /* grows the table around them */
    int found = 0;
    for (struct wc_map_node *n = wc_map_get(&m, wc_slice_str("key-7")); n; n = wc_map_next(n)) {
        assert_true(wc_slice_is(n->key, "key-7"));
        found++;
    }
    assert_int_equal(found, 4);
    wc_map_release(&m);
    free(items);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct wc_map m;
    struct item a = {.node.key = wc_slice("a\0b", 3)};
    struct item b = {.node.key = wc_slice("a\0c", 3)};
    struct item empty = {.node.key = wc_slice(NULL, 0)};
    wc_map_init(&m);
    assert_int_equal(wc_map_insert(&m, &a.node), WC_OK);
    assert_int_equal(wc_map_insert(&m, &b.node), WC_OK);
    assert_int_equal(wc_map_insert(&m, &empty.node), WC_OK);
    assert_ptr_equal(wc_map_get(&m, wc_slice("a\0b", 3)), &a.node);
    assert_ptr_equal(wc_map_get(&m, wc_slice("a\0c", 3)), &b.node);
    assert_ptr_equal(wc_map_get(&m, wc_slice_str("")), &empty.node);
    assert_null(wc_map_get(&m, wc_slice_str("a")));
    wc_map_release(&m);
}

static void hash_depends_on_every_byte_and_the_length(void **state)
{
    (void)state;
    uint8_t key[24] = {0};
    for (size_t len = 0; len <= sizeof key; len++) {
        uint64_t h = wc_hash(wc_slice(key, len));
        assert_true(h == wc_hash(wc_slice(key, len)));
        if (len < sizeof key)
            assert_true(h != wc_hash(wc_slice(key, len + 1)));
        for (size_t i = 0; i < len; i++) {
            key[i] = 1;
            assert_true(h != wc_hash(wc_slice(key, len)));
            key[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_inserted_is_found_and_nothing_else),
        cmocka_unit_test(removal_leaves_the_others),
        cmocka_unit_test(iteration_visits_each_node_once),
        cmocka_unit_test(a_map_can_be_emptied_while_iterating),
        cmocka_unit_test(equal_keys_stand_side_by_side),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(hash_depends_on_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
