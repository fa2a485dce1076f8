#include "bridge/match/match.h"

#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { ANY = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE, COLS = 3, OID = 16400, BUF_CAP = 1 << 18 };

/* Cells are texts; these two are told by address. */
static const char null_cell[] = "NULL";
static const char toast_cell[] = "unchanged TOAST";

/* ---- relations ---- */

static struct wc_rel_col cols_id_name_note[COLS] = {
    {.name = {(const uint8_t *)"id", 2}, .type = 23, .in_identity = true},
    {.name = {(const uint8_t *)"name", 4}, .type = 25},
    {.name = {(const uint8_t *)"note", 4}, .type = 25},
};

static struct wc_rel relation(uint64_t generation)
{
    return (struct wc_rel){.oid = OID,
                           .generation = generation,
                           .schema = wc_slice_str("public"),
                           .name = wc_slice_str("t"),
                           .identity = WC_IDENTITY_DEFAULT,
                           .ncols = COLS,
                           .col = cols_id_name_note};
}

/* ---- changes ---- */

struct cells {
    const char *cell[COLS];
};

static void fill_row(struct wc_row *row, struct wc_col *col, const struct cells *from)
{
    for (size_t i = 0; i < COLS; i++) {
        const char *text = from->cell[i];
        if (text == null_cell || text == toast_cell)
            col[i] =
                (struct wc_col){.kind = text == null_cell ? WC_COL_NULL : WC_COL_TOAST_UNCHANGED};
        else
            col[i] = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice_str(text)};
    }
    *row = (struct wc_row){.ncols = COLS, .col = col};
}

struct fixture {
    struct wc_match *match;
    struct wc_rel rel;
    struct wc_col new_col[COLS], old_col[COLS];
    size_t calls; /* of the last change */
};

/* Counts per binding as well, where its owner points at a counter. */
static void count_call(void *arg, struct wc_match_binding *b)
{
    struct fixture *f = arg;
    size_t *own = b->owner;
    f->calls++;
    if (own)
        (*own)++;
}

static size_t offer(struct fixture *f, struct wc_change *ch)
{
    ch->rel = &f->rel;
    f->calls = 0;
    wc_match_change(f->match, ch, count_call, f);
    return f->calls;
}

static size_t insert(struct fixture *f, struct cells new)
{
    struct wc_change ch = {.op = WC_OP_INSERT};
    fill_row(&ch.new, f->new_col, &new);
    return offer(f, &ch);
}

static size_t update(struct fixture *f, enum wc_old_kind kind, struct cells old, struct cells new)
{
    struct wc_change ch = {.op = WC_OP_UPDATE, .old_kind = kind};
    fill_row(&ch.new, f->new_col, &new);
    if (kind != WC_OLD_NONE)
        fill_row(&ch.old, f->old_col, &old);
    return offer(f, &ch);
}

static size_t erase(struct fixture *f, enum wc_old_kind kind, struct cells old)
{
    struct wc_change ch = {.op = WC_OP_DELETE, .old_kind = kind};
    fill_row(&ch.old, f->old_col, &old);
    return offer(f, &ch);
}

/* ---- bindings ---- */

static struct wc_match_binding on_table(uint32_t events)
{
    return (struct wc_match_binding){.scope = WC_MATCH_TABLE, .rel = OID, .events = events};
}

static struct wc_match_binding on_value(const char *column, const char *value)
{
    struct wc_match_binding b = on_table(ANY);
    b.has_eq = true;
    b.column = wc_slice_str(column);
    b.value = wc_slice_str(value);
    return b;
}

static void add(struct fixture *f, struct wc_match_binding *b)
{
    assert_int_equal(wc_match_insert(f->match, b), WC_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f)
        return -1;
    f->rel = relation(1);
    f->match = wc_match_new();
    return f->match ? 0 : -1;
}

/* wc_match_free itself asserts that the index is empty again. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    wc_match_free(f->match);
    free(f);
    return 0;
}

/* ---- scopes, events, removal ---- */

static const struct cells row = {{"1", "a", "n"}};

static void each_event_reaches_the_bindings_that_ask_for_it(void **state)
{
    struct fixture *f = *state;
    for (uint32_t events = 1; events <= ANY; events++) {
        struct wc_match_binding plain = on_table(events), eq = on_value("id", "1"),
                                schema = {.scope = WC_MATCH_SCHEMA,
                                          .schema = wc_slice_str("public"),
                                          .events = events},
                                all = {.scope = WC_MATCH_ALL, .events = events};
        struct wc_match_binding *const each[] = {&plain, &eq, &schema, &all};
        eq.events = events;
        for (size_t i = 0; i < 4; i++)
            add(f, each[i]);
        assert_int_equal(insert(f, row), events & WC_OP_INSERT ? 4 : 0);
        assert_int_equal(update(f, WC_OLD_NONE, row, row), events & WC_OP_UPDATE ? 4 : 0);
        assert_int_equal(erase(f, WC_OLD_FULL, row), events & WC_OP_DELETE ? 4 : 0);
        for (size_t i = 0; i < 4; i++)
            wc_match_remove(f->match, each[i]);
    }
}

static void a_scope_is_its_own_table_schema_or_everything(void **state)
{
    struct fixture *f = *state;
    static const struct {
        wc_oid oid;
        const char *schema;
        size_t table, of_schema, all;
    } table[] = {
        {OID, "public", 1, 1, 1},     {OID + 1, "public", 0, 1, 1}, {OID, "other", 1, 0, 1},
        {OID + 1, "Public", 0, 0, 1}, {OID + 1, "publi", 0, 0, 1},  {OID + 1, "public2", 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n[3] = {0};
        struct wc_match_binding b[] = {
            on_table(ANY),
            {.scope = WC_MATCH_SCHEMA, .schema = wc_slice_str("public"), .events = ANY},
            {.scope = WC_MATCH_ALL, .events = ANY},
        };
        f->rel.oid = table[i].oid;
        f->rel.schema = wc_slice_str(table[i].schema);
        for (size_t k = 0; k < 3; k++) {
            b[k].owner = &n[k];
            add(f, &b[k]);
        }
        (void)insert(f, row); /* the counters tell */
        assert_int_equal(n[0], table[i].table);
        assert_int_equal(n[1], table[i].of_schema);
        assert_int_equal(n[2], table[i].all);
        for (size_t k = 0; k < 3; k++)
            wc_match_remove(f->match, &b[k]);
    }
}

static void a_relation_is_wanted_while_something_stands_for_it(void **state)
{
    struct fixture *f = *state;
    struct wc_match_binding each[] = {
        on_table(WC_OP_DELETE),
        on_value("name", "a"),
        {.scope = WC_MATCH_SCHEMA, .schema = wc_slice_str("public"), .events = ANY},
        {.scope = WC_MATCH_ALL, .events = ANY},
    };
    struct wc_match_binding elsewhere = on_table(ANY);
    struct wc_match_binding schema_elsewhere = {
        .scope = WC_MATCH_SCHEMA, .schema = wc_slice_str("other"), .events = ANY};
    elsewhere.rel = OID + 1;
    add(f, &elsewhere);
    add(f, &schema_elsewhere);
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        assert_false(wc_match_wants(f->match, &f->rel));
        add(f, &each[i]);
        assert_true(wc_match_wants(f->match, &f->rel));
        wc_match_remove(f->match, &each[i]);
    }
    assert_false(wc_match_wants(f->match, &f->rel));
    wc_match_remove(f->match, &elsewhere);
    wc_match_remove(f->match, &schema_elsewhere);
}

static void equal_bindings_stand_side_by_side(void **state)
{
    struct fixture *f = *state;
    enum { SAME = 5 };
    size_t n[SAME] = {0};
    struct wc_match_binding b[SAME];
    for (size_t i = 0; i < SAME; i++) {
        b[i] = on_value("id", "1");
        b[i].owner = &n[i];
        add(f, &b[i]);
    }
    assert_int_equal(insert(f, row), SAME);
    wc_match_remove(f->match, &b[2]);
    assert_int_equal(insert(f, row), SAME - 1);
    for (size_t i = 0; i < SAME; i++)
        assert_int_equal(n[i], i == 2 ? 1 : 2);
    for (size_t i = 0; i < SAME; i++)
        if (i != 2)
            wc_match_remove(f->match, &b[i]);
    assert_int_equal(insert(f, row), 0);
}

static void what_was_removed_may_come_back(void **state)
{
    struct fixture *f = *state;
    struct wc_match_binding b = on_value("id", "1");
    for (int round = 0; round < 3; round++) {
        add(f, &b);
        assert_int_equal(insert(f, row), 1);
        wc_match_remove(f->match, &b);
        assert_int_equal(insert(f, row), 0);
    }
}

/* ---- many bindings ---- */

enum { MANY = 10000, FEW = 100, CHANGES = 2000 };

struct many {
    struct wc_match_binding binding[MANY];
    size_t calls[MANY];
    char text[MANY][8];
};

static struct many *add_many(struct fixture *f)
{
    struct many *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(m->text[i], sizeof m->text[i], "%zu", i); /* four digits fit */
        m->binding[i] = on_value("id", m->text[i]);
        m->binding[i].owner = &m->calls[i];
        add(f, &m->binding[i]);
    }
    return m;
}

static void each_of_10000_values_finds_its_own_binding(void **state)
{
    struct fixture *f = *state;
    struct many *m = add_many(f);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(insert(f, (struct cells){{m->text[i], "a", "n"}}), 1);
        assert_int_equal(m->calls[i], 1);
    }
    assert_int_equal(insert(f, (struct cells){{"10000", "a", "n"}}), 0);
    assert_int_equal(insert(f, (struct cells){{"01", "a", "n"}}), 0);
    for (size_t i = 0; i < MANY; i++)
        wc_match_remove(f->match, &m->binding[i * 7 % MANY]); /* out of order */
    assert_int_equal(insert(f, row), 0);
    free(m);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The fastest of some runs, so that a busy machine does not count. */
static int64_t cost_of_changes(struct fixture *f, const struct many *m)
{
    int64_t best = INT64_MAX;
    for (int run = 0; run < 5; run++) {
        int64_t start = cpu_ns();
        for (size_t i = 0; i < CHANGES; i++)
            assert_int_equal(insert(f, (struct cells){{m->text[i % FEW], "a", "n"}}), 1);
        int64_t took = cpu_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* A scan would cost a hundred times as much; a lookup costs the same but for the caches. */
static void a_change_costs_one_lookup_however_many_values_are_asked_for(void **state)
{
    struct fixture *f = *state;
    struct many *m = add_many(f);
    int64_t with_many = cost_of_changes(f, m);
    for (size_t i = FEW; i < MANY; i++)
        wc_match_remove(f->match, &m->binding[i]);
    int64_t with_few = cost_of_changes(f, m);
    for (size_t i = 0; i < FEW; i++)
        wc_match_remove(f->match, &m->binding[i]);
    free(m);
    assert_in_range(with_many, 0, 10 * with_few);
}

/* ---- which value a filter sees ---- */

struct sight {
    enum wc_op op;
    enum wc_old_kind old_kind;
    struct cells old, new;
    const char *column, *value;
    bool seen;
};

static const struct sight sights[] = {
    /* INSERT: the new row */
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "id", "1", true},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "id", "2", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "name", "a", true},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "name", "n", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "A", "n"}}, "name", "a", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "", "n"}}, "name", "", true},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "Name", "a", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "a", "n"}}, "absent", "a", false},
    /* NULL equals nothing, least of all the empty string */
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", null_cell, "n"}}, "name", "", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", null_cell, "n"}}, "name", "NULL", false},
    {WC_OP_INSERT, WC_OLD_NONE, {{0}}, {{"1", "NULL", "n"}}, "name", "NULL", true},
    /* UPDATE: the new row, never the old one */
    {WC_OP_UPDATE, WC_OLD_FULL, {{"1", "a", "n"}}, {{"1", "b", "n"}}, "name", "b", true},
    {WC_OP_UPDATE, WC_OLD_FULL, {{"1", "a", "n"}}, {{"1", "b", "n"}}, "name", "a", false},
    {WC_OP_UPDATE, WC_OLD_KEY, {{"1", null_cell, null_cell}}, {{"2", "b", "n"}}, "id", "1", false},
    {WC_OP_UPDATE, WC_OLD_KEY, {{"1", null_cell, null_cell}}, {{"2", "b", "n"}}, "id", "2", true},
    {WC_OP_UPDATE, WC_OLD_FULL, {{"1", "a", "n"}}, {{"1", null_cell, "n"}}, "name", "a", false},
    /* unchanged TOAST: only a full old row knows it */
    {WC_OP_UPDATE, WC_OLD_FULL, {{"1", "a", "n"}}, {{"1", toast_cell, "n"}}, "name", "a", true},
    {WC_OP_UPDATE, WC_OLD_FULL, {{"1", "a", "n"}}, {{"1", toast_cell, "n"}}, "name", "b", false},
    {WC_OP_UPDATE, WC_OLD_NONE, {{0}}, {{"1", toast_cell, "n"}}, "name", "", false},
    {WC_OP_UPDATE, WC_OLD_NONE, {{0}}, {{"1", toast_cell, "n"}}, "name", "a", false},
    {WC_OP_UPDATE, WC_OLD_NONE, {{0}}, {{"1", toast_cell, "n"}}, "id", "1", true},
    {WC_OP_UPDATE, WC_OLD_KEY, {{"1", "a", "n"}}, {{"2", toast_cell, "n"}}, "name", "a", false},
    /* DELETE: the identity, or all of a full old row */
    {WC_OP_DELETE, WC_OLD_KEY, {{"1", null_cell, null_cell}}, {{0}}, "id", "1", true},
    {WC_OP_DELETE, WC_OLD_KEY, {{"1", null_cell, null_cell}}, {{0}}, "id", "2", false},
    {WC_OP_DELETE, WC_OLD_KEY, {{"1", null_cell, null_cell}}, {{0}}, "name", "", false},
    {WC_OP_DELETE, WC_OLD_KEY, {{"1", "a", "n"}}, {{0}}, "name", "a", false},
    {WC_OP_DELETE, WC_OLD_FULL, {{"1", "a", "n"}}, {{0}}, "name", "a", true},
    {WC_OP_DELETE, WC_OLD_FULL, {{"1", "a", "n"}}, {{0}}, "name", "b", false},
    {WC_OP_DELETE, WC_OLD_FULL, {{"1", null_cell, "n"}}, {{0}}, "name", "", false},
};

static size_t offer_sight(struct fixture *f, const struct sight *s)
{
    switch (s->op) {
    case WC_OP_INSERT: return insert(f, s->new);
    case WC_OP_UPDATE: return update(f, s->old_kind, s->old, s->new);
    case WC_OP_DELETE: return erase(f, s->old_kind, s->old);
    }
    return 0;
}

static void a_filter_sees_the_row_of_its_operation(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof sights / sizeof sights[0]; i++) {
        const struct sight *s = &sights[i];
        struct wc_match_binding b = on_value(s->column, s->value);
        add(f, &b);
        size_t calls = offer_sight(f, s);
        if (calls != s->seen)
            print_error("sights[%zu], %s = \"%s\"\n", i, s->column, s->value);
        assert_int_equal(calls, s->seen);
        wc_match_remove(f->match, &b);
    }
}

static void values_of_different_columns_do_not_mix(void **state)
{
    struct fixture *f = *state;
    size_t n[3] = {0};
    struct wc_match_binding b[] = {on_value("name", "x"), on_value("note", "x"),
                                   on_value("note", "y")};
    for (size_t i = 0; i < 3; i++) {
        b[i].owner = &n[i];
        add(f, &b[i]);
    }
    assert_int_equal(insert(f, (struct cells){{"1", "x", "y"}}), 2);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 0);
    assert_int_equal(n[2], 1);
    for (size_t i = 0; i < 3; i++)
        wc_match_remove(f->match, &b[i]);
}

static void a_redefined_relation_is_read_by_its_new_columns(void **state)
{
    struct fixture *f = *state;
    struct wc_rel_col moved[] = {cols_id_name_note[2], cols_id_name_note[0], cols_id_name_note[1]};
    struct wc_rel_col renamed[] = {
        cols_id_name_note[0], cols_id_name_note[2], {.name = wc_slice_str("title"), .type = 25}};
    struct wc_match_binding b = on_value("name", "a");
    add(f, &b);
    assert_int_equal(insert(f, (struct cells){{"1", "a", "n"}}), 1);
    f->rel.generation++;
    f->rel.col = moved;
    assert_int_equal(insert(f, (struct cells){{"n", "a", "1"}}), 0);
    assert_int_equal(insert(f, (struct cells){{"n", "1", "a"}}), 1);
    f->rel.generation++;
    f->rel.col = renamed;
    assert_int_equal(insert(f, (struct cells){{"a", "a", "a"}}), 0);
    f->rel.generation++;
    f->rel.col = cols_id_name_note;
    assert_int_equal(insert(f, (struct cells){{"1", "a", "n"}}), 1);
    f->rel.generation++;
    f->rel.ncols = 1;
    assert_int_equal(insert(f, (struct cells){{"a", "a", "a"}}), 0);
    wc_match_remove(f->match, &b);
}

static void a_value_is_compared_under_the_fold_of_its_binding(void **state)
{
    struct fixture *f = *state;
    size_t n[3] = {0};
    struct wc_match_binding b[] = {on_value("name", "1"), on_value("name", "1"),
                                   on_value("name", "1")};
    b[0].fold = WC_FOLD_NONE;
    b[1].fold = WC_FOLD_NUMBER;
    b[2].fold = WC_FOLD_BLANKS;
    for (size_t i = 0; i < 3; i++) {
        b[i].owner = &n[i];
        add(f, &b[i]);
    }
    assert_int_equal(insert(f, (struct cells){{"1", "1.00", "n"}}), 1);
    assert_int_equal(n[1], 1);
    assert_int_equal(insert(f, (struct cells){{"1", "1   ", "n"}}), 1);
    assert_int_equal(n[2], 1);
    assert_int_equal(insert(f, (struct cells){{"1", "1", "n"}}), 3);
    for (size_t i = 0; i < 3; i++)
        wc_match_remove(f->match, &b[i]);
}

/* ---- canonical texts ---- */

enum { TOP_POWER = 60, NUMBER_TEXT = 32 };

/* A number read digit by digit: digit[p + TOP_POWER] counts 10 to the power p. */
struct decimal {
    bool negative;
    char digit[2 * TOP_POWER];
};

static struct decimal read_decimal(const char *text)
{
    struct decimal d = {.negative = text[0] == '-'};
    memset(d.digit, '0', sizeof d.digit);
    const char *p = text + d.negative;
    const char *e = strchr(p, 'e');
    long power = (long)strcspn(p, ".e") - 1 + (e ? strtol(e + 1, NULL, 10) : 0);
    bool zero = true;
    for (; *p && *p != 'e'; p++) {
        if (*p == '.')
            continue;
        assert_in_range(power + TOP_POWER, 0, sizeof d.digit - 1);
        d.digit[power-- + TOP_POWER] = *p;
        zero = zero && *p == '0';
    }
    d.negative = d.negative && !zero;
    return d;
}

static bool same_number(const char *a, const char *b)
{
    struct decimal x = read_decimal(a), y = read_decimal(b);
    return x.negative == y.negative && memcmp(x.digit, y.digit, sizeof x.digit) == 0;
}

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % n;
}

/* As Postgres prints numeric and floats: no leading zeros, a fraction of any scale, and either that
 * or, beyond 15 digits, one digit before the point and an exponent. Few digits, so that equal
 * numbers are often drawn. */
static void draw_number(uint32_t *seed, char *out)
{
    char *p = out;
    bool exponent = draw(seed, 4) == 0;
    if (draw(seed, 3) == 0)
        *p++ = '-';
    uint32_t more = exponent ? 0 : draw(seed, 3);
    *p = (char)('0' + (more || exponent ? 1 : draw(seed, 2)));
    for (p++; more > 0; more--)
        *p++ = (char)('0' + draw(seed, 2));
    uint32_t scale = draw(seed, 4);
    if (scale)
        *p++ = '.';
    for (; scale > 0; scale--)
        *p++ = (char)('0' + draw(seed, 2));
    *p = '\0';
    if (exponent)
        (void)memcpy(p, draw(seed, 2) ? "e+20" : "e-07", sizeof "e+20");
}

static void numbers_are_equal_iff_their_canonical_texts_are(void **state)
{
    (void)state;
    enum { PAIRS = 200000 };
    uint32_t seed = 20260821;
    size_t equal = 0, equal_by_value_only = 0;
    struct wc_buf scratch[2];
    wc_buf_init(&scratch[0], BUF_CAP);
    wc_buf_init(&scratch[1], BUF_CAP);
    for (int i = 0; i < PAIRS; i++) {
        char a[NUMBER_TEXT], b[NUMBER_TEXT];
        draw_number(&seed, a);
        draw_number(&seed, b);
        bool same = same_number(a, b);
        bool canonical =
            wc_slice_eq(wc_match_canonical(WC_FOLD_NUMBER, wc_slice_str(a), &scratch[0]),
                        wc_match_canonical(WC_FOLD_NUMBER, wc_slice_str(b), &scratch[1]));
        if (same != canonical)
            print_error("%s and %s\n", a, b);
        assert_int_equal(same, canonical);
        equal += same;
        equal_by_value_only += same && strcmp(a, b) != 0;
    }
    assert_in_range(equal, PAIRS / 100, PAIRS / 2);
    assert_in_range(equal_by_value_only, PAIRS / 200, PAIRS / 2);
    wc_buf_release(&scratch[0]);
    wc_buf_release(&scratch[1]);
}

static void canonical_texts_are_these(void **state)
{
    (void)state;
    static const struct {
        enum wc_match_fold fold;
        const char *text, *canonical;
    } table[] = {
        {WC_FOLD_NUMBER, "0", "0"},
        {WC_FOLD_NUMBER, "-0", "0"},
        {WC_FOLD_NUMBER, "0.000", "0"},
        {WC_FOLD_NUMBER, "-0.0", "0"},
        {WC_FOLD_NUMBER, "100", "100"},
        {WC_FOLD_NUMBER, "-100.00", "-100"},
        {WC_FOLD_NUMBER, "1.50", "1.5"},
        {WC_FOLD_NUMBER, "0.0100", "0.01"},
        {WC_FOLD_NUMBER, "1e+20", "1e+20"},
        {WC_FOLD_NUMBER, "1.50e+20", "1.5e+20"},
        {WC_FOLD_NUMBER, "NaN", "NaN"},
        {WC_FOLD_NUMBER, "Infinity", "Infinity"},
        {WC_FOLD_NUMBER, "-Infinity", "-Infinity"},
        {WC_FOLD_BLANKS, "ab   ", "ab"},
        {WC_FOLD_BLANKS, " a b ", " a b"},
        {WC_FOLD_BLANKS, "   ", ""},
        {WC_FOLD_BLANKS, "", ""},
        {WC_FOLD_BLANKS, "a\t ", "a\t"},
        {WC_FOLD_NONE, "1.00", "1.00"},
        {WC_FOLD_NONE, "a ", "a "},
        {WC_FOLD_NONE, "", ""},
    };
    struct wc_buf scratch;
    wc_buf_init(&scratch, BUF_CAP);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_slice c =
            wc_match_canonical(table[i].fold, wc_slice_str(table[i].text), &scratch);
        if (!wc_slice_is(c, table[i].canonical))
            print_error("%s: %.*s\n", table[i].text, WC_SLICE_ARG(c));
        assert_true(wc_slice_is(c, table[i].canonical));
    }
    wc_buf_release(&scratch);
}

static void only_types_that_print_equal_values_alike_are_exact(void **state)
{
    (void)state;
    static const struct {
        wc_oid type;
        bool is_enum, exact;
        enum wc_match_fold fold;
    } table[] = {
        {16, false, true, WC_FOLD_NONE},                                        /* bool */
        {17, false, true, WC_FOLD_NONE},                                        /* bytea */
        {20, false, true, WC_FOLD_NONE},                                        /* int8 */
        {21, false, true, WC_FOLD_NONE},                                        /* int2 */
        {23, false, true, WC_FOLD_NONE},                                        /* int4 */
        {25, false, true, WC_FOLD_NONE},                                        /* text */
        {26, false, true, WC_FOLD_NONE},                                        /* oid */
        {700, false, true, WC_FOLD_NUMBER},                                     /* float4 */
        {701, false, true, WC_FOLD_NUMBER},                                     /* float8 */
        {1042, false, true, WC_FOLD_BLANKS}, {1043, false, true, WC_FOLD_NONE}, /* varchar */
        {1082, false, true, WC_FOLD_NONE},                                      /* date */
        {1114, false, true, WC_FOLD_NONE},                                      /* timestamp */
        {1184, false, true, WC_FOLD_NONE},                                      /* timestamptz */
        {1700, false, true, WC_FOLD_NUMBER}, {2950, false, true, WC_FOLD_NONE}, /* uuid */
        {114, false, false, WC_FOLD_NONE},   /* json has no equality */
        {3802, false, false, WC_FOLD_NONE},  /* jsonb compares numbers inside */
        {1186, false, false, WC_FOLD_NONE},  /* interval: 24 hours = 1 day */
        {1266, false, false, WC_FOLD_NONE},  /* timetz */
        {1007, false, false, WC_FOLD_NONE},  /* int4[] */
        {1231, false, false, WC_FOLD_NONE},  /* numeric[] */
        {869, false, false, WC_FOLD_NONE},   /* inet */
        {600, false, false, WC_FOLD_NONE},   /* point has no = of its own */
        {142, false, false, WC_FOLD_NONE},   /* xml */
        {16999, false, false, WC_FOLD_NONE}, /* user-made */
        {16999, true, true, WC_FOLD_NONE},   {0, false, false, WC_FOLD_NONE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        enum wc_match_fold fold = WC_FOLD_BLANKS;
        if (wc_match_is_exact(table[i].type, table[i].is_enum, &fold) != table[i].exact)
            fail_msg("type %u", table[i].type);
        assert_int_equal(fold, table[i].exact ? table[i].fold : WC_FOLD_NONE);
    }
}

/* ---- memory ---- */

static void an_insert_without_memory_leaves_the_index_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct wc_match_binding kinds[] = {
        on_table(ANY),
        on_value("name", "a"),
        {.scope = WC_MATCH_SCHEMA, .schema = wc_slice_str("public"), .events = ANY},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        enum wc_status st = WC_NOMEM;
        long n = 0;
        for (; st != WC_OK; n++) {
            assert_in_range(n, 0, 20);
            wc_match_free(f->match);
            f->match = wc_match_new();
            assert_non_null(f->match);
            wc_test_fail_alloc(n);
            st = wc_match_insert(f->match, &kinds[i]);
            assert_int_equal(st, wc_test_alloc_failed() ? WC_NOMEM : WC_OK);
            wc_test_fail_alloc(-1);
            assert_int_equal(wc_match_wants(f->match, &f->rel), st == WC_OK);
            assert_int_equal(insert(f, row), st == WC_OK);
        }
        assert_in_range(n, 3, 20); /* at least two allocations failed */
        wc_match_remove(f->match, &kinds[i]);
    }
}

static void an_index_without_memory_is_null(void **state)
{
    (void)state;
    wc_test_fail_alloc(0);
    assert_null(wc_match_new());
    wc_test_fail_alloc(-1);
    wc_match_free(NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_event_reaches_the_bindings_that_ask_for_it),
        CASE(a_scope_is_its_own_table_schema_or_everything),
        CASE(a_relation_is_wanted_while_something_stands_for_it),
        CASE(equal_bindings_stand_side_by_side),
        CASE(what_was_removed_may_come_back),
        CASE(each_of_10000_values_finds_its_own_binding),
        CASE(a_change_costs_one_lookup_however_many_values_are_asked_for),
        CASE(a_filter_sees_the_row_of_its_operation),
        CASE(values_of_different_columns_do_not_mix),
        CASE(a_redefined_relation_is_read_by_its_new_columns),
        CASE(a_value_is_compared_under_the_fold_of_its_binding),
        cmocka_unit_test(numbers_are_equal_iff_their_canonical_texts_are),
        cmocka_unit_test(canonical_texts_are_these),
        cmocka_unit_test(only_types_that_print_equal_values_alike_are_exact),
        CASE(an_insert_without_memory_leaves_the_index_as_it_was),
        cmocka_unit_test(an_index_without_memory_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
