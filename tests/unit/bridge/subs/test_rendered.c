#include "bridge/subs/rendered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Two inserts into a table without a primary key: what is rendered differs by name only. */
static const struct wc_rel relation[] = {
    {.schema = {(const uint8_t *)"public", 6}, .name = {(const uint8_t *)"a", 1}},
    {.schema = {(const uint8_t *)"public", 6}, .name = {(const uint8_t *)"b", 1}},
};
static const struct wc_change change[] = {{.op = WC_OP_INSERT, .rel = &relation[0]},
                                          {.op = WC_OP_INSERT, .rel = &relation[1]}};
static const struct wc_column_set sets[1500];

static struct wc_slice get(struct wc_rendered *r, size_t i, const struct wc_access *access,
                           const struct wc_column_set *set)
{
    const struct wc_rendered_change what = {.change = &change[i], .max_record_bytes = 1000};
    const struct wc_view view = {.access = access, .set = set};
    struct wc_slice json;
    assert_int_equal(wc_rendered_get(r, &what, &view, &json), WC_OK);
    return json;
}

static bool names(struct wc_slice json, const char *text)
{
    return json.len > strlen(text) && memmem(json.p, json.len, text, strlen(text));
}

static void a_change_is_rendered_once_for_each_access_and_set(void **state)
{
    (void)state;
    struct wc_rendered r;
    static const struct wc_access one, other;
    wc_rendered_init(&r);
    struct wc_slice json = get(&r, 0, &one, &sets[0]);
    assert_true(names(json, "\"table\":\"a\""));
    /* The change itself is not looked at again: what is there is given again. */
    assert_ptr_equal(get(&r, 1, &one, &sets[0]).p, json.p);
    assert_true(names(get(&r, 1, &one, &sets[1]), "\"table\":\"b\""));
    assert_true(names(get(&r, 1, &other, &sets[0]), "\"table\":\"b\""));
    assert_true(names(get(&r, 1, &one, &sets[0]), "\"table\":\"a\""));
    wc_rendered_release(&r);
}

static struct wc_slice get_view(struct wc_rendered *r, const struct wc_change *ch,
                                const struct wc_view *view)
{
    const struct wc_rendered_change what = {.change = ch, .max_record_bytes = 1000};
    struct wc_slice json;
    assert_int_equal(wc_rendered_get(r, &what, view, &json), WC_OK);
    return json;
}

/* Of one role some see the old row and some its key alone, and for some the row is gone. */
static void who_sees_less_of_the_old_row_gets_a_rendering_of_its_own(void **state)
{
    (void)state;
    static const struct wc_type text = {.value_class = WC_VALUE_STRING};
    static const struct wc_rel_col stream[] = {{.name = {(const uint8_t *)"id", 2}},
                                               {.name = {(const uint8_t *)"t", 1}}};
    static const struct wc_rel rel = {.schema = {(const uint8_t *)"public", 6},
                                      .name = {(const uint8_t *)"a", 1},
                                      .ncols = 2,
                                      .col = stream};
    static const struct wc_access_col col[] = {
        {.json_key = {(const uint8_t *)"\"id\":", 5}, .in_pk = true, .readable = true},
        {.json_key = {(const uint8_t *)"\"t\":", 4}, .readable = true}};
    static const struct wc_access_map map[] = {{0, &text}, {1, &text}};
    static const struct wc_access access = {
        .has_pk = true, .pk_readable = true, .ncols = 2, .col = col, .map = map};
    struct wc_col old[] = {{WC_COL_TEXT, wc_slice_str("1")}, {WC_COL_TEXT, wc_slice_str("was")}};
    struct wc_col new[] = {{WC_COL_TEXT, wc_slice_str("1")}, {WC_COL_TEXT, wc_slice_str("is")}};
    const struct wc_change update = {
        .op = WC_OP_UPDATE, .rel = &rel, .old_kind = WC_OLD_FULL, .old = {2, old}, .new = {2, new}};
    const struct wc_change removal = wc_change_of_old_row(&update);
    const struct wc_view whole = {.access = &access, .set = &wc_column_set_all};
    struct wc_view cut = whole;
    cut.old_key_only = true;
    struct wc_rendered r;
    wc_rendered_init(&r);
    for (int i = 0; i < 2; i++) {
        assert_true(names(get_view(&r, &update, &whole), "\"was\""));
        assert_false(names(get_view(&r, &update, &cut), "\"was\""));
        struct wc_slice gone = get_view(&r, &removal, &whole);
        assert_true(names(gone, "\"type\":\"DELETE\"") && names(gone, "\"was\""));
        assert_false(names(gone, "\"is\""));
        assert_true(names(get_view(&r, &update, &cut), "\"is\""));
    }
    assert_int_equal(r.map.count, 3);
    wc_rendered_release(&r);
}

static void what_was_rendered_of_another_change_is_void(void **state)
{
    (void)state;
    struct wc_rendered r;
    static const struct wc_access one;
    wc_rendered_init(&r);
    (void)get(&r, 0, &one, &sets[0]);
    wc_rendered_next(&r);
    assert_true(names(get(&r, 1, &one, &sets[0]), "\"table\":\"b\""));
    wc_rendered_release(&r);
}

static void renderings_do_not_pile_up(void **state)
{
    (void)state;
    struct wc_rendered r;
    static const struct wc_access one;
    wc_rendered_init(&r);
    for (size_t i = 0; i < 1500; i++)
        (void)get(&r, 0, &one, &sets[i]);
    assert_int_equal(r.map.count, 1500);
    wc_rendered_next(&r);
    assert_int_equal(r.map.count, 0);
    assert_true(names(get(&r, 1, &one, &sets[0]), "\"table\":\"b\""));
    wc_rendered_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_rendered_once_for_each_access_and_set),
        cmocka_unit_test(who_sees_less_of_the_old_row_gets_a_rendering_of_its_own),
        cmocka_unit_test(what_was_rendered_of_another_change_is_void),
        cmocka_unit_test(renderings_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
