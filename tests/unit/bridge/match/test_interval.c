#include "bridge/match/interval.h"

#include "base/list.h"
#include "bridge/match/key.h"
#include "tests/unit/bridge/match/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- intervals from texts: "[a,b)", "(,c]" ---- */

static struct wc_bound bound(const char *text, size_t len, bool is_open)
{
    const struct wc_bound none = {.kind = WC_BOUND_NONE};
    const struct wc_bound b = {.kind = is_open ? WC_BOUND_OPEN : WC_BOUND_CLOSED,
                               .key = wc_slice(text, len)};
    return len ? b : none;
}

static struct wc_interval interval(const char *text)
{
    const char *comma = strchr(text, ',');
    size_t len = strlen(text);
    return (struct wc_interval){
        .lower = bound(text + 1, (size_t)(comma - text) - 1, text[0] == '('),
        .upper = bound(comma + 1, (size_t)(text + len - comma) - 2, text[len - 1] == ')')};
}

static void count(void *arg, struct wc_interval *i)
{
    (void)i;
    ++*(size_t *)arg;
}

/* keys: apart by blanks */
static void check_each(const struct wc_intervals *t, const char *keys, size_t want)
{
    for (size_t len; *keys; keys += len + (keys[len] == ' ')) {
        size_t n = 0;
        len = strcspn(keys, " ");
        wc_intervals_find(t, wc_slice(keys, len), count, &n);
        if (n != want)
            fail_msg("%.*s: %zu, not %zu", (int)len, keys, n, want);
    }
}

static void bounds_are_in_or_out_as_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *interval, *in, *out;
    } table[] = {
        {"[b,d]", "b ba c d", "a az da e"},
        {"(b,d)", "ba c cz", "a b d e"},
        {"[b,d)", "b c", "a d"},
        {"(b,d]", "c d", "a b da"},
        {"[b,b]", "b", "a ba c"},
        {"[b,b)", "", "a b c"},
        {"(b,b]", "", "a b c"},
        {"[d,b]", "", "a b c d e"},
        {"(b,)", "ba c zz", "a b"},
        {"[b,)", "b ba zz", "a"},
        {"(,b)", "a az", "b ba c"},
        {"(,b]", "a b", "ba c"},
        {"(,)", "a b c", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_intervals t;
        struct wc_interval one = interval(table[i].interval);
        wc_intervals_init(&t);
        wc_intervals_insert(&t, &one);
        check_each(&t, table[i].in, 1);
        check_each(&t, table[i].out, 0);
        wc_intervals_remove(&t, &one);
        assert_true(wc_intervals_is_empty(&t));
    }
}

static void the_narrower_bound_compares_higher_or_lower(void **state)
{
    (void)state;
    const struct wc_interval none = interval("(,)"), closed = interval("[b,b]"),
                             open = interval("(b,b)"), later = interval("[c,c]");
    const struct wc_interval *const by_lower[] = {&none, &closed, &open, &later};
    const struct wc_interval *const by_upper[] = {&open, &closed, &later, &none};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 4; k++) {
            int lower = wc_lower_compare(&by_lower[i]->lower, &by_lower[k]->lower);
            int upper = wc_upper_compare(&by_upper[i]->upper, &by_upper[k]->upper);
            assert_int_equal((lower > 0) - (lower < 0), (i > k) - (i < k));
            assert_int_equal((upper > 0) - (upper < 0), (i > k) - (i < k));
        }
    }
}

/* ---- against brute force ---- */

enum { MOST = 200, STEPS = 4000, PREFIX = 7, KEY = PREFIX + 3 };

struct item {
    struct wc_interval interval;
    uint8_t lower[KEY], upper[KEY];
    bool is_in;
    size_t found;
};

/* Few different keys, some the prefix of others, so that bounds meet: short ones, and others that
 * differ only about their eighth byte. */
static struct wc_slice draw_key(struct wc_draw *d, uint8_t out[KEY])
{
    size_t from = wc_draw_one_in(d, 2) ? PREFIX : 0, len = from + wc_draw(d, KEY - PREFIX + 1);
    memset(out, 0, KEY);
    for (size_t i = from; i < len; i++)
        out[i] = (uint8_t)(wc_draw(d, 2) ? 0 : 0xfe + wc_draw(d, 2));
    return wc_slice(out, len);
}

static void draw_bound(struct wc_draw *d, struct wc_bound *b, uint8_t bytes[KEY])
{
    *b = (struct wc_bound){.kind = WC_BOUND_NONE + (enum wc_bound_kind)wc_draw(d, 3)};
    if (b->kind != WC_BOUND_NONE)
        b->key = draw_key(d, bytes);
}

static bool holds(const struct wc_interval *i, struct wc_slice key)
{
    int lower = wc_key_compare(key, i->lower.key), upper = wc_key_compare(key, i->upper.key);
    bool after = i->lower.kind == WC_BOUND_NONE || lower > 0 ||
                 (lower == 0 && i->lower.kind == WC_BOUND_CLOSED);
    bool before = i->upper.kind == WC_BOUND_NONE || upper < 0 ||
                  (upper == 0 && i->upper.kind == WC_BOUND_CLOSED);
    return after && before;
}

static void note(void *arg, struct wc_interval *i)
{
    (void)arg;
    WC_CONTAINER(i, struct item, interval)->found++;
}

static void check_key(const struct wc_intervals *t, struct item item[], struct wc_slice key)
{
    for (size_t i = 0; i < MOST; i++)
        item[i].found = 0;
    wc_intervals_find(t, key, note, NULL);
    for (size_t i = 0; i < MOST; i++)
        assert_int_equal(item[i].found, item[i].is_in && holds(&item[i].interval, key));
}

static void every_key_finds_the_intervals_that_hold_it(void **state)
{
    (void)state;
    struct wc_draw d = wc_draw_seeded("intervals");
    struct item *item = calloc(MOST, sizeof *item);
    struct wc_intervals t;
    assert_non_null(item);
    wc_intervals_init(&t);
    for (int step = 0; step < STEPS; step++) {
        struct item *x = &item[wc_draw(&d, MOST)];
        uint8_t bytes[KEY];
        if (x->is_in) {
            wc_intervals_remove(&t, &x->interval);
        } else {
            draw_bound(&d, &x->interval.lower, x->lower);
            draw_bound(&d, &x->interval.upper, x->upper);
            wc_intervals_insert(&t, &x->interval);
        }
        x->is_in = !x->is_in;
        assert_true(wc_intervals_ok(&t));
        check_key(&t, item, draw_key(&d, bytes));
    }
    for (size_t i = 0; i < MOST; i++)
        if (item[i].is_in)
            wc_intervals_remove(&t, &item[i].interval);
    assert_true(wc_intervals_is_empty(&t));
    free(item);
}

/* ---- shape ---- */

enum { MANY = 20000, HEIGHT_MAX = 5 * 15 }; /* log2(20000) is below 15 */

struct numbered {
    struct wc_interval interval;
    uint8_t key[2];
};

static size_t height(const struct wc_interval *n)
{
    size_t left = n ? height(n->left) : 0, right = n ? height(n->right) : 0;
    return n ? 1 + (left > right ? left : right) : 0;
}

static struct numbered *insert_many(struct wc_intervals *t, bool is_bounded)
{
    struct numbered *many = calloc(MANY, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < MANY; i++) {
        many[i].key[0] = (uint8_t)(i >> 8);
        many[i].key[1] = (uint8_t)i;
        const struct wc_bound b = {.kind = WC_BOUND_CLOSED, .key = wc_slice(many[i].key, 2)};
        many[i].interval.lower = b;
        if (is_bounded)
            many[i].interval.upper = b;
        wc_intervals_insert(t, &many[i].interval);
    }
    return many;
}

static void intervals_that_come_in_order_make_no_chain(void **state)
{
    (void)state;
    struct wc_intervals t;
    wc_intervals_init(&t);
    struct numbered *many = insert_many(&t, true);
    assert_in_range(height(t.root), 14, HEIGHT_MAX);
    assert_true(wc_intervals_ok(&t));
    for (size_t i = 0; i < MANY; i++) {
        size_t n = 0;
        wc_intervals_find(&t, wc_slice(many[i].key, 2), count, &n);
        assert_int_equal(n, 1);
    }
    for (size_t i = 0; i < MANY; i++)
        wc_intervals_remove(&t, &many[i].interval);
    assert_true(wc_intervals_is_empty(&t));
    free(many);
}

static void an_unbounded_interval_is_found_from_its_beginning_on(void **state)
{
    (void)state;
    struct wc_intervals t;
    wc_intervals_init(&t);
    struct numbered *many = insert_many(&t, false);
    for (size_t i = 0; i < MANY; i += 1000) {
        size_t n = 0;
        wc_intervals_find(&t, wc_slice(many[i].key, 2), count, &n);
        assert_int_equal(n, i + 1);
    }
    for (size_t i = MANY; i-- > 0;)
        wc_intervals_remove(&t, &many[i].interval);
    assert_true(wc_intervals_is_empty(&t));
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_in_or_out_as_they_say),
        cmocka_unit_test(the_narrower_bound_compares_higher_or_lower),
        cmocka_unit_test(every_key_finds_the_intervals_that_hold_it),
        cmocka_unit_test(intervals_that_come_in_order_make_no_chain),
        cmocka_unit_test(an_unbounded_interval_is_found_from_its_beginning_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
