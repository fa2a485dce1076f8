/* The laws of the replicated state: whatever the order and number of merges, replicas that have
 * heard of the same events agree, and what members are told adds up to what is there. */
#include "base/json.h"
#include "fanout/presence_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REPLICAS = 3, RUNS = 300, STEPS = 120, KEYS = 4 };

/* xorshift64*: the same sequence in every run of the test */
struct random {
    uint64_t x;
};

static uint64_t below(struct random *r, uint64_t n)
{
    r->x ^= r->x >> 12;
    r->x ^= r->x << 25;
    r->x ^= r->x >> 27;
    return (r->x * UINT64_C(2685821657736338717) >> 11) % n;
}

static struct wc_slice key_of(uint64_t n)
{
    static const char *const keys[KEYS] = {"\"a\"", "\"b\"", "\"c\"", "\"d\""};
    return wc_slice_str(keys[n % KEYS]);
}

static void add(struct wc_presence_state *s, struct wc_dot dot, uint64_t key)
{
    char meta[64];
    (void)snprintf(meta, sizeof meta, "{\"m\":\"%llu.%llu\"}", (unsigned long long)dot.replica,
                   (unsigned long long)dot.count);
    assert_int_equal(wc_presence_state_add(s, dot, key_of(key), wc_slice_str(meta)), WC_OK);
    assert_true(wc_presence_state_ok(s));
}

static void remove_dot(struct wc_presence_state *s, struct wc_dot dot)
{
    struct wc_dots dots = {0};
    assert_int_equal(wc_dots_add(&dots, (struct wc_dot_range){dot.replica, dot.count, dot.count}),
                     WC_OK);
    assert_int_equal(wc_presence_state_remove(s, &dots), WC_OK);
    assert_true(wc_presence_state_ok(s));
    wc_dots_release(&dots);
}

static void merge(struct wc_presence_state *into, const struct wc_presence_state *from)
{
    assert_int_equal(wc_presence_state_merge(into, from), WC_OK);
    assert_true(wc_presence_state_ok(into));
}

static bool holds_all_of(const struct wc_presence_state *a, const struct wc_presence_state *b)
{
    for (struct wc_map_node *n = wc_map_each(&b->entries, NULL); n;
         n = wc_map_each(&b->entries, n)) {
        const struct wc_presence_entry *e = WC_CONTAINER(n, struct wc_presence_entry, by_dot);
        const struct wc_presence_entry *mine = wc_presence_state_get(a, e->dot);
        if (!mine || !wc_slice_eq(mine->meta, e->meta))
            return false;
    }
    return true;
}

static bool same(const struct wc_presence_state *a, const struct wc_presence_state *b)
{
    const size_t size = sizeof *a->seen.range;
    return wc_slice_eq(wc_slice(a->seen.range, a->seen.count * size),
                       wc_slice(b->seen.range, b->seen.count * size)) &&
           holds_all_of(a, b) && holds_all_of(b, a);
}

static void expect_text(const struct wc_presence_state *s,
                        void (*render)(const struct wc_presence_state *, struct wc_buf *),
                        const char *want)
{
    struct wc_buf out;
    wc_buf_init(&out, 1 << 16);
    render(s, &out);
    wc_buf_byte(&out, '\0');
    assert_string_equal((char *)out.p, want);
    wc_buf_release(&out);
}

static void expect_state(const struct wc_presence_state *s, const char *want)
{
    expect_text(s, wc_presence_state_render, want);
}

static void expect_diff(const struct wc_presence_state *s, const char *want)
{
    expect_text(s, wc_presence_state_render_diff, want);
}

/* ---- text ---- */

static void metas_of_one_key_are_listed_together(void **state)
{
    (void)state;
    struct wc_presence_state s;
    wc_presence_state_init(&s);
    expect_state(&s, "{}");
    assert_false(wc_presence_state_has_diff(&s));
    add(&s, (struct wc_dot){1, 1}, 0);
    add(&s, (struct wc_dot){1, 2}, 1);
    add(&s, (struct wc_dot){1, 3}, 0);
    expect_state(&s, "{\"a\":{\"metas\":[{\"m\":\"1.1\"},{\"m\":\"1.3\"}]},"
                     "\"b\":{\"metas\":[{\"m\":\"1.2\"}]}}");
    wc_presence_state_release(&s);
}

static void a_diff_tells_what_changed_since_the_last(void **state)
{
    (void)state;
    struct wc_presence_state s;
    wc_presence_state_init(&s);
    add(&s, (struct wc_dot){1, 1}, 0);
    expect_diff(&s, "{\"joins\":{\"a\":{\"metas\":[{\"m\":\"1.1\"}]}},\"leaves\":{}}");
    wc_presence_state_announced(&s);
    assert_false(wc_presence_state_has_diff(&s));
    add(&s, (struct wc_dot){1, 2}, 0); /* an update */
    wc_presence_state_drop(&s, (struct wc_dot){1, 1});
    expect_diff(&s, "{\"joins\":{\"a\":{\"metas\":[{\"m\":\"1.2\"}]}},"
                    "\"leaves\":{\"a\":{\"metas\":[{\"m\":\"1.1\"}]}}}");
    wc_presence_state_announced(&s);
    wc_presence_state_drop(&s, (struct wc_dot){1, 2});
    expect_state(&s, "{}");
    expect_diff(&s, "{\"joins\":{},\"leaves\":{\"a\":{\"metas\":[{\"m\":\"1.2\"}]}}}");
    wc_presence_state_announced(&s);
    assert_true(wc_presence_state_ok(&s));
    assert_int_equal(s.keys.count, 0);
    wc_presence_state_release(&s);
}

static void what_comes_and_goes_between_diffs_is_in_none(void **state)
{
    (void)state;
    struct wc_presence_state s;
    wc_presence_state_init(&s);
    add(&s, (struct wc_dot){1, 1}, 0);
    wc_presence_state_drop(&s, (struct wc_dot){1, 1});
    assert_false(wc_presence_state_has_diff(&s));
    assert_true(wc_presence_state_ok(&s));
    wc_presence_state_release(&s);
}

/* ---- laws ---- */

static void an_add_wins_over_the_removal_of_older_dots(void **state)
{
    (void)state;
    struct wc_presence_state a, b;
    wc_presence_state_init(&a);
    wc_presence_state_init(&b);
    add(&a, (struct wc_dot){1, 1}, 0);
    merge(&b, &a);
    add(&a, (struct wc_dot){1, 2}, 0);     /* at the same time as ... */
    remove_dot(&b, (struct wc_dot){1, 1}); /* ... everything b knows of the key goes */
    merge(&a, &b);
    merge(&b, &a);
    assert_true(same(&a, &b));
    expect_state(&a, "{\"a\":{\"metas\":[{\"m\":\"1.2\"}]}}");
    wc_presence_state_release(&a);
    wc_presence_state_release(&b);
}

static void a_removal_that_overtakes_its_add_wins(void **state)
{
    (void)state;
    struct wc_presence_state s;
    wc_presence_state_init(&s);
    remove_dot(&s, (struct wc_dot){7, 3});
    add(&s, (struct wc_dot){7, 3}, 0);
    expect_state(&s, "{}");
    wc_presence_state_release(&s);
}

/* A state of random adds and removals: dots of all replicas, each with the one key it can have. */
static void scramble(struct wc_presence_state *s, struct random *r)
{
    wc_presence_state_init(s);
    for (uint64_t n = below(r, 20); n > 0; n--) {
        struct wc_dot dot = {1 + below(r, REPLICAS), 1 + below(r, 8)};
        if (below(r, 3) == 0)
            remove_dot(s, dot);
        else
            add(s, dot, dot.count);
        if (below(r, 5) == 0)
            wc_presence_state_announced(s);
    }
}

static void copy(struct wc_presence_state *to, const struct wc_presence_state *from)
{
    wc_presence_state_init(to);
    merge(to, from);
}

static void merging_is_commutative_associative_and_idempotent(void **state)
{
    (void)state;
    struct random r = {20261121};
    for (int run = 0; run < RUNS; run++) {
        struct wc_presence_state a, b, c, ab, ba, ab_c, bc, a_bc;
        scramble(&a, &r);
        scramble(&b, &r);
        scramble(&c, &r);
        copy(&ab, &a);
        merge(&ab, &b);
        copy(&ba, &b);
        merge(&ba, &a);
        assert_true(same(&ab, &ba));
        copy(&ab_c, &ab);
        merge(&ab_c, &c);
        copy(&bc, &b);
        merge(&bc, &c);
        copy(&a_bc, &a);
        merge(&a_bc, &bc);
        assert_true(same(&ab_c, &a_bc));
        merge(&ab_c, &a_bc);
        merge(&ab_c, &ab_c);
        merge(&ab_c, &b);
        assert_true(same(&ab_c, &a_bc));
        struct wc_presence_state *all[] = {&a, &b, &c, &ab, &ba, &ab_c, &bc, &a_bc};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            wc_presence_state_release(all[i]);
    }
}

/* ---- replicas that talk in deltas, which are lost, doubled and reordered ---- */

struct replica {
    struct wc_presence_state state;
    struct wc_presence_state told; /* what a member knows that adds up the diffs */
    uint64_t count;
};

struct net {
    struct replica replica[REPLICAS];
    struct wc_presence_state delta[STEPS];
    size_t ndeltas;
};

static void act(struct net *n, struct random *r)
{
    uint64_t who = below(r, REPLICAS);
    struct replica *at = &n->replica[who];
    struct wc_presence_state *delta = &n->delta[n->ndeltas];
    struct wc_map_node *some = wc_map_each(&at->state.entries, NULL);
    if (some && below(r, 2)) {
        struct wc_dot dot = WC_CONTAINER(some, struct wc_presence_entry, by_dot)->dot;
        wc_presence_state_init(delta);
        remove_dot(delta, dot);
    } else {
        wc_presence_state_init(delta);
        add(delta, (struct wc_dot){who + 1, ++at->count}, below(r, KEYS));
    }
    merge(&at->state, delta);
    n->ndeltas++;
}

/* A leaver must be known to the member, a joiner must be new to it. */
static void take_meta(struct replica *at, const struct wc_json *doc, uint32_t key, uint32_t meta,
                      bool joins)
{
    struct wc_dot dot;
    unsigned long long replica, count;
    char *text = wc_slice_dup(wc_json_raw(doc, meta));
    assert_int_equal(sscanf(text, "{\"m\":\"%llu.%llu\"}", &replica, &count), 2);
    free(text);
    dot = (struct wc_dot){replica, count};
    assert_true((wc_presence_state_get(&at->told, dot) == NULL) == joins);
    if (!joins)
        wc_presence_state_drop(&at->told, dot);
    else
        assert_int_equal(
            wc_presence_state_add(&at->told, dot, wc_json_raw(doc, key), wc_json_raw(doc, meta)),
            WC_OK);
}

static void take_side(struct replica *at, const struct wc_json *doc, const char *side, bool joins)
{
    uint32_t key = wc_json_first(doc, wc_json_get(doc, 0, side));
    while (key != WC_JSON_NONE) {
        uint32_t value = wc_json_next(doc, key);
        uint32_t metas = wc_json_get(doc, value, "metas");
        for (uint32_t m = wc_json_first(doc, metas); m != WC_JSON_NONE; m = wc_json_next(doc, m))
            take_meta(at, doc, key, m, joins);
        key = wc_json_next(doc, value);
    }
}

/* Publishes the diff to a member that believes it, and then knows what the replica holds. */
static void tell(struct replica *at)
{
    struct wc_buf out;
    struct wc_arena arena;
    struct wc_json doc;
    wc_buf_init(&out, 1 << 20);
    wc_arena_init(&arena, 1 << 20);
    wc_presence_state_render_diff(&at->state, &out);
    assert_int_equal(wc_json_parse(&doc, wc_buf_view(&out), &arena,
                                   (struct wc_json_limits){.depth = 8, .nodes = 10000}, NULL),
                     WC_OK);
    take_side(at, &doc, "joins", true);
    take_side(at, &doc, "leaves", false);
    wc_arena_release(&arena);
    wc_buf_release(&out);
    wc_presence_state_announced(&at->state);
    assert_true(wc_presence_state_ok(&at->state));
    assert_true(holds_all_of(&at->told, &at->state) && holds_all_of(&at->state, &at->told));
}

static void replicas_that_got_the_same_deltas_agree(void **state)
{
    (void)state;
    struct random r = {42};
    for (int run = 0; run < RUNS / 10; run++) {
        struct net n = {.ndeltas = 0};
        for (int i = 0; i < REPLICAS; i++) {
            wc_presence_state_init(&n.replica[i].state);
            wc_presence_state_init(&n.replica[i].told);
        }
        for (int step = 0; step < STEPS; step++) {
            struct replica *at = &n.replica[below(&r, REPLICAS)];
            act(&n, &r);
            if (below(&r, 2)) /* any delta so far, again or for the first time */
                merge(&at->state, &n.delta[below(&r, n.ndeltas)]);
            if (below(&r, 4) == 0)
                tell(at);
        }
        for (int i = 0; i < REPLICAS; i++) {
            for (size_t d = n.ndeltas; d-- > 0;) /* newest first: removals overtake their adds */
                merge(&n.replica[i].state, &n.delta[d]);
            tell(&n.replica[i]);
            assert_true(same(&n.replica[i].state, &n.replica[0].state));
        }
        for (int i = 0; i < REPLICAS; i++) {
            wc_presence_state_release(&n.replica[i].state);
            wc_presence_state_release(&n.replica[i].told);
        }
        for (size_t d = 0; d < n.ndeltas; d++)
            wc_presence_state_release(&n.delta[d]);
    }
}

/* ---- dots ---- */

static void dots_are_ranges_as_long_as_they_can_be(void **state)
{
    (void)state;
    struct random r = {7};
    for (int run = 0; run < RUNS; run++) {
        struct wc_dots d = {0};
        bool in[2][32] = {{false}};
        uint64_t size = 0;
        for (int step = 0; step < 40; step++) {
            uint64_t replica = below(&r, 2), first = below(&r, 28), last = first + below(&r, 4);
            assert_int_equal(wc_dots_add(&d, (struct wc_dot_range){replica, first, last}), WC_OK);
            assert_true(wc_dots_ok(&d));
            for (uint64_t i = first; i <= last; i++) {
                size += !in[replica][i];
                in[replica][i] = true;
            }
            assert_int_equal(wc_dots_size(&d), size);
            for (uint64_t i = 0; i < 64; i++)
                assert_int_equal(wc_dots_has(&d, (struct wc_dot){i / 32, i % 32}),
                                 in[i / 32][i % 32]);
        }
        wc_dots_release(&d);
    }
}

static void dots_reach_the_ends_of_their_numbers(void **state)
{
    (void)state;
    struct wc_dots d = {0};
    assert_int_equal(wc_dots_add(&d, (struct wc_dot_range){UINT64_MAX, UINT64_MAX, UINT64_MAX}),
                     WC_OK);
    assert_int_equal(wc_dots_add(&d, (struct wc_dot_range){UINT64_MAX, 0, UINT64_MAX - 1}), WC_OK);
    assert_int_equal(d.count, 1);
    assert_int_equal(wc_dots_size(&d), UINT64_MAX); /* one more, but it saturates */
    wc_dots_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metas_of_one_key_are_listed_together),
        cmocka_unit_test(a_diff_tells_what_changed_since_the_last),
        cmocka_unit_test(what_comes_and_goes_between_diffs_is_in_none),
        cmocka_unit_test(an_add_wins_over_the_removal_of_older_dots),
        cmocka_unit_test(a_removal_that_overtakes_its_add_wins),
        cmocka_unit_test(merging_is_commutative_associative_and_idempotent),
        cmocka_unit_test(replicas_that_got_the_same_deltas_agree),
        cmocka_unit_test(dots_are_ranges_as_long_as_they_can_be),
        cmocka_unit_test(dots_reach_the_ends_of_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
