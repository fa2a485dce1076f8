#include "bridge/subs/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    struct wc_interest *who[8];
    size_t n;
};

static void on_described(void *arg, struct wc_interest *i, const struct wc_rel *rel)
{
    struct heard *h = arg;
    (void)rel;
    assert_true(h->n < 8);
    h->who[h->n++] = i;
}

static bool on_published(void *arg, struct wc_interest *i, bool is_reached)
{
    (void)arg;
    (void)i;
    (void)is_reached;
    assert_true(false); /* the catalog was not asked */
    return true;
}

static void on_outdated(void *arg)
{
    (void)arg;
}

static const struct wc_watch_events events = {on_described, on_published, on_outdated};
static const struct wc_slice any = {NULL, 0};

static struct wc_rel relation(wc_oid oid, const char *schema, const char *name,
                              const struct wc_rel_col *col)
{
    return (struct wc_rel){.oid = oid,
                           .schema = wc_slice_str(schema),
                           .name = wc_slice_str(name),
                           .ncols = 1,
                           .col = col};
}

static void add(struct wc_watch *w, struct wc_interest *i, struct wc_slice schema,
                struct wc_slice table)
{
    assert_int_equal(wc_watch_add(w, i, schema, table), WC_OK);
}

static void a_relation_concerns_whoever_names_it_or_any(void **state)
{
    (void)state;
    struct heard h = {.n = 0};
    struct wc_watch *w = wc_watch_new("{}", 1000, &events, &h);
    struct wc_interest i[5] = {0};
    add(w, &i[0], wc_slice_str("s"), wc_slice_str("t"));
    add(w, &i[1], any, wc_slice_str("t"));
    add(w, &i[2], wc_slice_str("s"), any);
    add(w, &i[3], any, any);
    add(w, &i[4], wc_slice_str("s"), wc_slice_str("other"));
    const struct wc_rel_col col = {.name = wc_slice_str("c"), .type = 23};
    const struct wc_rel rel = relation(1, "s", "t", &col);
    assert_true(wc_watch_relation(w, &rel));
    assert_int_equal(h.n, 4);
    for (size_t k = 0; k < h.n; k++)
        assert_ptr_not_equal(h.who[k], &i[4]);
    wc_watch_remove(w, &i[1]);
    h.n = 0;
    assert_false(wc_watch_relation(w, &rel)); /* the same again */
    assert_int_equal(h.n, 3);
    for (size_t k = 0; k < 5; k++)
        wc_watch_remove(w, &i[k]); /* one of them twice */
    wc_watch_free(w);
}

static void a_renamed_relation_concerns_both_names(void **state)
{
    (void)state;
    struct heard h = {.n = 0};
    struct wc_watch *w = wc_watch_new("{}", 1000, &events, &h);
    struct wc_interest was = {0}, is = {0};
    add(w, &was, wc_slice_str("s"), wc_slice_str("a"));
    add(w, &is, wc_slice_str("s"), wc_slice_str("b"));
    const struct wc_rel_col col = {.name = wc_slice_str("c"), .type = 23};
    wc_watch_found(w, 1, wc_slice_str("s"), wc_slice_str("a")); /* never described under it */
    const struct wc_rel rel = relation(1, "s", "b", &col);
    assert_true(wc_watch_relation(w, &rel));
    assert_int_equal(h.n, 2);
    assert_ptr_equal(h.who[0], &was);
    assert_ptr_equal(h.who[1], &is);
    wc_watch_remove(w, &was);
    wc_watch_remove(w, &is);
    wc_watch_free(w);
}

static void another_type_of_a_column_is_news(void **state)
{
    (void)state;
    struct heard h = {.n = 0};
    struct wc_watch *w = wc_watch_new("{}", 1000, &events, &h);
    struct wc_rel_col col = {.name = wc_slice_str("c"), .type = 23};
    const struct wc_rel rel = relation(1, "s", "t", &col);
    assert_true(wc_watch_relation(w, &rel));
    assert_false(wc_watch_relation(w, &rel));
    col.type = 25;
    assert_true(wc_watch_relation(w, &rel));
    col.name = wc_slice_str("d");
    assert_true(wc_watch_relation(w, &rel));
    assert_int_equal(h.n, 0);
    wc_watch_free(w);
}

static void names_too_long_for_postgres_are_nobodys(void **state)
{
    (void)state;
    struct heard h = {.n = 0};
    struct wc_watch *w = wc_watch_new("{}", 1000, &events, &h);
    char name[300];
    memset(name, 'x', sizeof name);
    struct wc_interest i = {0};
    add(w, &i, wc_slice_str("s"), wc_slice(name, sizeof name));
    const struct wc_rel_col col = {.name = wc_slice_str("c"), .type = 23};
    char cut[64];
    memset(cut, 'x', 63);
    cut[63] = '\0';
    const struct wc_rel rel = relation(1, "s", cut, &col);
    (void)wc_watch_relation(w, &rel);
    assert_int_equal(h.n, 0);
    wc_watch_remove(w, &i);
    wc_watch_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relation_concerns_whoever_names_it_or_any),
        cmocka_unit_test(a_renamed_relation_concerns_both_names),
        cmocka_unit_test(another_type_of_a_column_is_news),
        cmocka_unit_test(names_too_long_for_postgres_are_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
