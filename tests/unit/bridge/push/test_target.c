#include "bridge/push/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void labels_go_into_the_query(void **state)
{
    (void)state;
    static const struct {
        const char *url, *labels, *target;
    } table[] = {
        {"http://h/p", "", "http://h/p"},
        {"HTTPS://h/p", "env=prod", "HTTPS://h/p?extra_label=env=prod"},
        {"http://h/p?x=1", "env=prod", "http://h/p?x=1&extra_label=env=prod"},
        {"http://h/p", "a=1,b_2=x y&z=%/\"",
         "http://h/p?extra_label=a=1"
         "&extra_label=b_2=x%20y%26z%3D%25%2F%22"},
        {"http://h/p", "a=,b=2,", "http://h/p?extra_label=a=&extra_label=b=2"},
        {"http://h/p", "a=\xc3\xa4", "http://h/p?extra_label=a=%C3%A4"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        assert_int_equal(wc_push_target(table[i].url, table[i].labels, &out, NULL), WC_OK);
        wc_buf_byte(&out, '\0');
        assert_string_equal((const char *)out.p, table[i].target);
        wc_buf_release(&out);
    }
}

static void what_cannot_be_used_is_named_without_its_value(void **state)
{
    (void)state;
    static const struct {
        const char *url, *labels, *setting;
    } table[] = {
        {"", "", "METRICS_PUSHER_URL"},
        {"ftp://user:hush@h/", "", "METRICS_PUSHER_URL"},
        {"file:///etc/hush", "", "METRICS_PUSHER_URL"},
        {"http://h/", "hush", "METRICS_PUSHER_EXTRA_LABELS"},
        {"http://h/", "=hush", "METRICS_PUSHER_EXTRA_LABELS"},
        {"http://h/", "1a=hush", "METRICS_PUSHER_EXTRA_LABELS"},
        {"http://h/", "a=1,,b=hush", "METRICS_PUSHER_EXTRA_LABELS"},
        {"http://h/", "a b=hush", "METRICS_PUSHER_EXTRA_LABELS"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_buf out;
        struct wc_err err = {0};
        wc_buf_init(&out, 4096);
        assert_int_equal(wc_push_target(table[i].url, table[i].labels, &out, &err), WC_INVALID);
        assert_non_null(strstr(err.text, table[i].setting));
        assert_null(strstr(err.text, "hush"));
        wc_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_go_into_the_query),
        cmocka_unit_test(what_cannot_be_used_is_named_without_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
