/* The tenant's name in path, header and host. */
#include "fanout/whose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_slice text(const char *s)
{
    return s ? wc_slice_str(s) : wc_slice(NULL, 0);
}

static void the_path_comes_before_the_header_and_the_header_before_the_host(void **state)
{
    (void)state;
    static const struct {
        const char *path, *header;
        const char *name; /* NULL: only the host names one */
        const char *rest;
    } cases[] = {
        {"/socket/websocket", NULL, NULL, "/socket/websocket"},
        {"/socket/websocket", "b", "b", "/socket/websocket"},
        {"/t/a/socket/websocket", "b", "a", "/socket/websocket"},
        {"/t/a/realtime/v1/api/ping", NULL, "a", "/realtime/v1/api/ping"},
        {"/t/a/", NULL, "a", "/"},
        {"/t/a/t/b/api/ping", NULL, "a", "/t/b/api/ping"},
        {"/t/a b.c/api/ping", NULL, "a b.c", "/api/ping"},
        {"/t/a", NULL, NULL, "/t/a"},
        {"/t/", "b", "b", "/t/"},
        {"/tt/a/api/ping", NULL, NULL, "/tt/a/api/ping"},
        {"/api/t/a/x", NULL, NULL, "/api/t/a/x"},
        {"", NULL, NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_whose w =
            wc_whose(text(cases[i].path), text("dev.localhost:4000"), text(cases[i].header));
        assert_true(wc_slice_is(w.address.host, "dev.localhost"));
        assert_true(wc_slice_is(w.path, cases[i].rest));
        assert_int_equal(w.is_by_path, strlen(cases[i].rest) != strlen(cases[i].path));
        assert_int_equal(w.address.name.p != NULL, cases[i].name != NULL);
        if (cases[i].name)
            assert_true(wc_slice_is(w.address.name, cases[i].name));
    }
}

/* It must not fall back to the host: the request means another tenant. */
static void a_bad_name_is_nobodys(void **state)
{
    (void)state;
    char longest[300], too_long[300];
    memset(longest, 0, sizeof longest);
    memset(too_long, 0, sizeof too_long);
    memset(longest, 'x', 255);
    memset(too_long, 'x', 256);
    const char *const bad[] = {"", "a\x1f", "\x7f", "a\nb", too_long};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wc_whose w = wc_whose(text("/api/ping"), text("dev"), text(bad[i]));
        assert_non_null(w.address.name.p);
        assert_int_equal(w.address.name.len, 0);
    }
    assert_true(wc_slice_is(wc_whose(text("/"), text("dev"), text(longest)).address.name, longest));
    struct wc_whose w = wc_whose(text("/t//api/ping"), text("dev"), text("good"));
    assert_non_null(w.address.name.p);
    assert_int_equal(w.address.name.len, 0);
    assert_true(w.is_by_path);
}

static void the_port_is_no_part_of_the_host(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"dev.localhost:4000", "dev.localhost"},
        {"dev", "dev"},
        {"", ""},
        {":1", ""},
        {"[::1]:4000", "[::1]"},
        {"[::1]", "[::1]"},
        {"[::1", "[::1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(wc_slice_is(wc_host_without_port(text(cases[i][0])), cases[i][1]));
}

static void a_label_ends_at_the_first_dot(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"a.b.c", "a"}, {"a", "a"}, {"", ""}, {".a", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(wc_slice_is(wc_host_label(text(cases[i][0])), cases[i][1]));
    assert_int_equal(wc_host_label(text(NULL)).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_comes_before_the_header_and_the_header_before_the_host),
        cmocka_unit_test(a_bad_name_is_nobodys),
        cmocka_unit_test(the_port_is_no_part_of_the_host),
        cmocka_unit_test(a_label_ends_at_the_first_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
