#include "bridge/pg/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CAP = 1 << 16 };

static void elements_are_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *element[3];
        const char *array;
    } table[] = {
        {{NULL}, "{}"},
        {{"a"}, "{\"a\"}"},
        {{"a", "b", "c"}, "{\"a\",\"b\",\"c\"}"},
        {{""}, "{\"\"}"},
        {{"", ""}, "{\"\",\"\"}"},
        {{"NULL", "null"}, "{\"NULL\",\"null\"}"},
        {{"a,b", "{c}", " d "}, "{\"a,b\",\"{c}\",\" d \"}"},
        {{"say \"hi\""}, "{\"say \\\"hi\\\"\"}"},
        {{"back\\slash\\"}, "{\"back\\\\slash\\\\\"}"},
        {{"\\\""}, "{\"\\\\\\\"\"}"},
        {{"é😀\n\t"}, "{\"é😀\n\t\"}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_buf array;
        wc_buf_init(&array, CAP);
        for (size_t k = 0; k < 3 && table[i].element[k]; k++)
            wc_pg_array_add(&array, wc_slice_str(table[i].element[k]));
        wc_pg_array_end(&array);
        assert_int_equal(array.status, WC_OK);
        assert_string_equal((const char *)array.p, table[i].array);
        assert_int_equal(array.len, strlen(table[i].array) + 1); /* its NUL */
        wc_buf_release(&array);
    }
}

static void null_is_not_the_name_null(void **state)
{
    (void)state;
    struct wc_buf array;
    wc_buf_init(&array, CAP);
    wc_pg_array_add_null(&array);
    wc_pg_array_add(&array, wc_slice_str("NULL"));
    wc_pg_array_add_null(&array);
    wc_pg_array_end(&array);
    assert_string_equal((const char *)array.p, "{NULL,\"NULL\",NULL}");
    wc_buf_release(&array);
}

static void a_full_buffer_is_an_error_not_a_shorter_array(void **state)
{
    (void)state;
    struct wc_buf array;
    wc_buf_init(&array, 10);
    wc_pg_array_add(&array, wc_slice_str("a"));
    wc_pg_array_add(&array, wc_slice_str("longer than that"));
    wc_pg_array_end(&array);
    assert_int_equal(array.status, WC_LIMIT);
    assert_int_equal(array.len, 0);
    wc_buf_release(&array);
}

static void names_are_split_at_commas_without_blanks_around_them(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *array;
    } table[] = {
        {"", "{}"},
        {" ", "{}"},
        {" , ,,", "{}"},
        {"one", "{\"one\"}"},
        {"one,two", "{\"one\",\"two\"}"},
        {"  one ,  two  ", "{\"one\",\"two\"}"},
        {",one,,two,", "{\"one\",\"two\"}"},
        {"with blank,Caps", "{\"with blank\",\"Caps\"}"},
        {"q\"uote", "{\"q\\\"uote\"}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_buf array;
        wc_buf_init(&array, CAP);
        wc_pg_array_of_names(&array, table[i].list);
        assert_int_equal(array.status, WC_OK);
        assert_string_equal((const char *)array.p, table[i].array);
        wc_buf_release(&array);
    }
}

static void names_borrow_the_list(void **state)
{
    (void)state;
    static const char list[] = "a , bc";
    const char *at = list;
    struct wc_slice name;
    assert_true(wc_pg_next_name(&at, &name));
    assert_ptr_equal(name.p, list);
    assert_int_equal(name.len, 1);
    assert_true(wc_pg_next_name(&at, &name));
    assert_ptr_equal(name.p, list + 4);
    assert_int_equal(name.len, 2);
    assert_false(wc_pg_next_name(&at, &name));
    assert_false(wc_pg_next_name(&at, &name));
    assert_ptr_equal(at, list + strlen(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_quoted),
        cmocka_unit_test(null_is_not_the_name_null),
        cmocka_unit_test(a_full_buffer_is_an_error_not_a_shorter_array),
        cmocka_unit_test(names_are_split_at_commas_without_blanks_around_them),
        cmocka_unit_test(names_borrow_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
