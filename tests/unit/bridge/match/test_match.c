#include "bridge/match/match.h"

#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ANY = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE, COLS = 3, OID = 16400 };

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
    uint32_t event;
};

/* Counts per binding as well, where its owner points at a counter. */
static void count_call(void *arg, struct wc_match_binding *b, bool undecided)
{
    struct fixture *f = arg;
    size_t *own = b->owner;
    assert_false(undecided);
    f->calls++;
    if (own)
        (*own)++;
}

static size_t offer(struct fixture *f, struct wc_change *ch)
{
    const struct wc_match_caller caller = {.hit = count_call, .arg = f, .event = f->event};
    ch->rel = &f->rel;
    f->calls = 0;
    assert_int_equal(wc_match_change(f->match, ch, &caller), WC_OK);
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

/* A binding for `column = value`, compared as texts. */
struct filtered {
    struct wc_slice key;
    struct wc_leaf leaf;
    struct wc_predicate where;
    struct wc_match_binding binding;
};

static struct wc_match_binding *on_value(struct filtered *f, const char *column, const char *value)
{
    f->key = wc_slice_str(value);
    f->leaf = (struct wc_leaf){.column = wc_slice_str(column),
                               .op = WC_FILTER_EQ,
                               .kind = WC_KEY_TEXT,
                               .nkeys = 1,
                               .key = &f->key};
    f->where = (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = &f->leaf};
    f->binding = on_table(ANY);
    f->binding.where = &f->where;
    return &f->binding;
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
        struct filtered eq;
        struct wc_match_binding plain = on_table(events),
                                schema = {.scope = WC_MATCH_SCHEMA,
                                          .schema = wc_slice_str("public"),
                                          .events = events},
                                all = {.scope = WC_MATCH_ALL, .events = events};
        struct wc_match_binding *const each[] = {&plain, on_value(&eq, "id", "1"), &schema, &all};
        eq.binding.events = events;
        for (size_t i = 0; i < 4; i++)
            add(f, each[i]);
        assert_int_equal(insert(f, row), events & WC_OP_INSERT ? 4 : 0);
        assert_int_equal(update(f, WC_OLD_NONE, row, row), events & WC_OP_UPDATE ? 4 : 0);
        assert_int_equal(erase(f, WC_OLD_FULL, row), events & WC_OP_DELETE ? 4 : 0);
        for (size_t i = 0; i < 4; i++)
            wc_match_remove(f->match, each[i]);
    }
}

static void a_kind_of_the_callers_own_finds_its_bindings_by_the_row_of_the_change(void **state)
{
    enum { OWN = 8 };
    struct fixture *f = *state;
    struct filtered eq;
    struct wc_match_binding plain = on_table(OWN | WC_OP_INSERT);
    on_value(&eq, "name", "old")->events = OWN;
    add(f, &plain);
    add(f, &eq.binding);
    struct wc_change ch = {.op = WC_OP_UPDATE, .rel = &f->rel, .old_kind = WC_OLD_FULL};
    fill_row(&ch.old, f->old_col, &(struct cells){{"1", "old", "n"}});
    fill_row(&ch.new, f->new_col, &(struct cells){{"1", "new", "n"}});
    assert_int_equal(offer(f, &ch), 0);
    struct wc_change before = wc_change_of_old_row(&ch);
    assert_int_equal(offer(f, &before), 0);
    f->event = OWN;
    assert_int_equal(offer(f, &ch), 1); /* of the new row, whose name is another */
    assert_int_equal(offer(f, &before), 2);
    f->event = 0;
    wc_match_remove(f->match, &plain);
    wc_match_remove(f->match, &eq.binding);
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
    struct filtered filtered;
    struct wc_match_binding each[] = {
        on_table(WC_OP_DELETE),
        *on_value(&filtered, "name", "a"),
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
    struct filtered b[SAME];
    for (size_t i = 0; i < SAME; i++) {
        on_value(&b[i], "id", "1")->owner = &n[i];
        add(f, &b[i].binding);
    }
    assert_int_equal(insert(f, row), SAME);
    wc_match_remove(f->match, &b[2].binding);
    assert_int_equal(insert(f, row), SAME - 1);
    for (size_t i = 0; i < SAME; i++)
        assert_int_equal(n[i], i == 2 ? 1 : 2);
    for (size_t i = 0; i < SAME; i++)
        if (i != 2)
            wc_match_remove(f->match, &b[i].binding);
    assert_int_equal(insert(f, row), 0);
}

static void what_was_removed_may_come_back(void **state)
{
    struct fixture *f = *state;
    struct filtered filtered;
    struct wc_match_binding *b = on_value(&filtered, "id", "1");
    for (int round = 0; round < 3; round++) {
        add(f, b);
        assert_int_equal(insert(f, row), 1);
        wc_match_remove(f->match, b);
        assert_int_equal(insert(f, row), 0);
    }
}

/* ---- many bindings ---- */

enum { MANY = 10000 };

struct many {
    struct filtered filtered[MANY];
    size_t calls[MANY];
    char text[MANY][8];
};

static struct many *add_many(struct fixture *f)
{
    struct many *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(m->text[i], sizeof m->text[i], "%zu", i); /* four digits fit */
        on_value(&m->filtered[i], "id", m->text[i])->owner = &m->calls[i];
        add(f, &m->filtered[i].binding);
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
        wc_match_remove(f->match, &m->filtered[i * 7 % MANY].binding); /* out of order */
    assert_int_equal(insert(f, row), 0);
    free(m);
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
        struct filtered b;
        add(f, on_value(&b, s->column, s->value));
        size_t calls = offer_sight(f, s);
        if (calls != s->seen)
            print_error("sights[%zu], %s = \"%s\"\n", i, s->column, s->value);
        assert_int_equal(calls, s->seen);
        wc_match_remove(f->match, &b.binding);
    }
}

static void values_of_different_columns_do_not_mix(void **state)
{
    struct fixture *f = *state;
    size_t n[3] = {0};
    struct filtered b[3];
    on_value(&b[0], "name", "x");
    on_value(&b[1], "note", "x");
    on_value(&b[2], "note", "y");
    for (size_t i = 0; i < 3; i++) {
        b[i].binding.owner = &n[i];
        add(f, &b[i].binding);
    }
    assert_int_equal(insert(f, (struct cells){{"1", "x", "y"}}), 2);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 0);
    assert_int_equal(n[2], 1);
    for (size_t i = 0; i < 3; i++)
        wc_match_remove(f->match, &b[i].binding);
}

static void a_redefined_relation_is_read_by_its_new_columns(void **state)
{
    struct fixture *f = *state;
    struct wc_rel_col moved[] = {cols_id_name_note[2], cols_id_name_note[0], cols_id_name_note[1]};
    struct wc_rel_col renamed[] = {
        cols_id_name_note[0], cols_id_name_note[2], {.name = wc_slice_str("title"), .type = 25}};
    struct filtered b;
    add(f, on_value(&b, "name", "a"));
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
    wc_match_remove(f->match, &b.binding);
}

/* ---- memory ---- */

static void an_insert_without_memory_leaves_the_index_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct filtered filtered;
    struct wc_match_binding kinds[] = {
        on_table(ANY),
        *on_value(&filtered, "name", "a"),
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
        CASE(a_kind_of_the_callers_own_finds_its_bindings_by_the_row_of_the_change),
        CASE(a_scope_is_its_own_table_schema_or_everything),
        CASE(a_relation_is_wanted_while_something_stands_for_it),
        CASE(equal_bindings_stand_side_by_side),
        CASE(what_was_removed_may_come_back),
        CASE(each_of_10000_values_finds_its_own_binding),
        CASE(a_filter_sees_the_row_of_its_operation),
        CASE(values_of_different_columns_do_not_mix),
        CASE(a_redefined_relation_is_read_by_its_new_columns),
        CASE(an_insert_without_memory_leaves_the_index_as_it_was),
        cmocka_unit_test(an_index_without_memory_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
