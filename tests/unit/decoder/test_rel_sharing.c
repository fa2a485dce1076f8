#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "decoder/pgoutput.h"

enum { READERS = 2, SHARES = 2000, REPLACEMENTS = 200 };

static const char relation[] = "R\0\0\0\7public\0shared\0d\0\1\1id\0\0\0\0\x17\xff\xff\xff\xff";

struct reader {
    pthread_t thread;
    const struct wc_rel *rel; /* SHARES references */
    size_t wrong;
};

static void *read_and_release(void *arg)
{
    struct reader *r = arg;
    for (size_t i = 0; i < SHARES; i++) {
        if (!wc_slice_is(r->rel->name, "shared") || !wc_slice_is(r->rel->col[0].name, "id"))
            r->wrong++;
        wc_rel_unref(r->rel);
    }
    return NULL;
}

static void replace(struct wc_pgoutput *decoder, struct wc_arena *arena, struct wc_event *event)
{
    struct wc_slice msg = wc_slice(relation, sizeof relation - 1);
    assert_int_equal(wc_pgoutput_decode(decoder, msg, arena, event, NULL), WC_OK);
}

/* Readers on other threads drop the last references while the owner replaces the relation. */
static void relation_is_readable_by_its_holders_while_it_is_replaced(void **state)
{
    (void)state; /* unused */
    struct wc_pgoutput *decoder = wc_pgoutput_new(1);
    assert_non_null(decoder);
    struct wc_arena arena;
    wc_arena_init(&arena, 4096);
    struct wc_event event;
    replace(decoder, &arena, &event);
    struct reader reader[READERS];
    for (size_t i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.rel = event.relation};
        for (size_t share = 0; share < SHARES; share++)
            (void)wc_rel_ref(event.relation); /* returns its argument */
    }
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i].thread, NULL, read_and_release, &reader[i]), 0);
    for (size_t i = 0; i < REPLACEMENTS; i++)
        replace(decoder, &arena, &event);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(reader[i].thread, NULL), 0);
        assert_int_equal(reader[i].wrong, 0);
    }
    wc_arena_release(&arena);
    wc_pgoutput_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relation_is_readable_by_its_holders_while_it_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
