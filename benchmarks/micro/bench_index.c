/*
 * What a change costs in the subscription index, of which one binding is concerned, among `count`
 * bindings that ask for an id by `eq`, by `in` (three ids) or by a range of ten:
 *
 *     bench_index COUNT CHANGES
 *
 * CPU time of this process; keys of the filters are made before, the key of a change's id is part
 * of its cost. Memory is what the index allocates, without the bindings and conditions, which are
 * the caller's.
 */
#include "benchmarks/load/report.h"
#include "bridge/match/match.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OID = 16400, IDS = 3, WIDTH = 10, BATCH = 1000, TEXT = 24 };

static const struct wc_rel_col cols[] = {{.name = {(const uint8_t *)"id", 2}, .in_identity = true},
                                         {.name = {(const uint8_t *)"owner", 5}},
                                         {.name = {(const uint8_t *)"note", 4}}};
static const struct wc_rel rel = {
    .oid = OID, .generation = 1, .schema = {(const uint8_t *)"public", 6}, .ncols = 3, .col = cols};

struct binding {
    struct wc_match_binding match;
    struct wc_predicate where, part[2];
    struct wc_leaf leaf[2];
    struct wc_slice key[IDS];
    uint8_t bytes[IDS][8];
};

enum way { BY_EQ, BY_IN, BY_RANGE, WAYS };
static const char *const way_name[WAYS] = {"eq", "in", "range"};

/* ---- bindings: number i is concerned by id i × WIDTH ---- */

static size_t print_id(size_t number, char text[TEXT])
{
    int len = snprintf(text, TEXT, "%zu", number * WIDTH);
    return (size_t)len; /* at most 20 digits */
}

static void make_key(struct binding *b, size_t n, size_t number)
{
    char text[TEXT];
    struct wc_buf buf;
    wc_buf_init(&buf, 64);
    size_t len = print_id(number, text);
    if (wc_key_append(WC_KEY_INT, wc_slice(text, len), &buf) != WC_OK || buf.len != 8)
        wc_bench_die("no key for %s", text);
    memcpy(b->bytes[n], buf.p, 8);
    b->key[n] = wc_slice(b->bytes[n], 8);
    wc_buf_release(&buf);
}

static void make_leaf(struct binding *b, size_t n, enum wc_filter_op op, size_t nkeys)
{
    b->leaf[n] = (struct wc_leaf){
        .column = cols[0].name, .op = op, .kind = WC_KEY_INT, .nkeys = nkeys, .key = &b->key[n]};
    b->part[n] = (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = &b->leaf[n]};
}

static void make_binding(struct binding *b, enum way way, size_t i, size_t count)
{
    for (size_t n = 0; n < IDS; n++) /* of `in`, two that no change has; of a range, its end */
        make_key(b, n, way == BY_RANGE ? i + n : i + n * count);
    b->where = (struct wc_predicate){
        .kind = WC_PREDICATE_AND, .nchildren = way == BY_RANGE ? 2 : 1, .child = b->part};
    make_leaf(b, 0,
              way == BY_EQ   ? WC_FILTER_EQ
              : way == BY_IN ? WC_FILTER_IN
                             : WC_FILTER_GTE,
              way == BY_IN ? IDS : 1);
    make_leaf(b, 1, WC_FILTER_LT, 1);
    b->match = (struct wc_match_binding){.scope = WC_MATCH_TABLE,
                                         .rel = OID,
                                         .events = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE,
                                         .where = &b->where};
}

/* ---- measuring ---- */

static int64_t cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        wc_bench_die("no clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void on_hit(void *arg, struct wc_match_binding *b, bool undecided)
{
    (void)b;
    *(size_t *)arg += !undecided;
}

/* A batch of changes, made before the clock starts. */
static int64_t offer_batch(struct wc_match *m, size_t count, size_t from)
{
    static char text[BATCH][TEXT];
    static struct wc_col col[BATCH][3];
    size_t hits = 0;
    const struct wc_match_caller caller = {.hit = on_hit, .arg = &hits};
    for (size_t i = 0; i < BATCH; i++) { /* 7919 is prime: all numbers come, in no order */
        size_t len = print_id((from + i) * 7919 % count, text[i]);
        col[i][0] = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice(text[i], len)};
        col[i][1] = col[i][2] = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice_str("text")};
    }
    int64_t start = cpu_ns();
    for (size_t i = 0; i < BATCH; i++) {
        const struct wc_change ch = {
            .op = WC_OP_INSERT, .rel = &rel, .new = {.ncols = 3, .col = col[i]}};
        if (wc_match_change(m, &ch, &caller) != WC_OK)
            wc_bench_die("out of memory");
    }
    int64_t took = cpu_ns() - start;
    if (hits != BATCH)
        wc_bench_die("%zu bindings concerned by %d changes", hits, BATCH);
    return took;
}

static void measure(enum way way, size_t count, size_t changes)
{
    struct binding *b = calloc(count, sizeof *b);
    struct wc_match *m = wc_match_new();
    if (!b || !m)
        wc_bench_die("out of memory");
    for (size_t i = 0; i < count; i++)
        make_binding(&b[i], way, i, count);
    size_t before = mallinfo2().uordblks;
    int64_t start = cpu_ns();
    for (size_t i = 0; i < count; i++)
        if (wc_match_insert(m, &b[i].match) != WC_OK)
            wc_bench_die("out of memory");
    int64_t insert_ns = cpu_ns() - start, change_ns = 0;
    size_t bytes = mallinfo2().uordblks - before;
    (void)offer_batch(m, count, 0); /* warms up */
    for (size_t done = 0; done < changes; done += BATCH)
        change_ns += offer_batch(m, count, done);
    start = cpu_ns();
    for (size_t i = 0; i < count; i++)
        wc_match_remove(m, &b[i].match);
    int64_t remove_ns = cpu_ns() - start;
    (void)printf("\"%s\":{\"change_ns\":%.1f,\"insert_ns\":%.1f,\"remove_ns\":%.1f,\"bytes\":%.1f}",
                 way_name[way], (double)change_ns / (double)changes,
                 (double)insert_ns / (double)count, (double)remove_ns / (double)count,
                 (double)bytes / (double)count);
    wc_match_free(m);
    free(b);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        wc_bench_die("usage: bench_index COUNT CHANGES");
    size_t count = (size_t)wc_bench_number("COUNT", argv[1]);
    size_t changes = (size_t)wc_bench_number("CHANGES", argv[2]);
    if (changes % BATCH)
        wc_bench_die("CHANGES must be a multiple of %d", BATCH);
    (void)printf("{\"count\":%zu,\"changes\":%zu", count, changes);
    for (enum way way = BY_EQ; way < WAYS; way++) {
        (void)printf(",");
        measure(way, count, changes);
    }
    (void)printf("}\n");
    return 0;
}
