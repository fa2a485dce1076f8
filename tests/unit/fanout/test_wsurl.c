#include "fanout/wsurl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_slice(struct wc_slice got, const char *want)
{
    if (!wc_slice_is(got, want))
        fail_msg("got \"%.*s\", want \"%s\"", WC_SLICE_ARG(got), want);
}

static void parts_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool tls;
        uint16_t port;
        const char *host, *authority, *path, *query;
    } cases[] = {
        {"ws://h", false, 80, "h", "h", "", ""},
        {"wss://h", true, 443, "h", "h", "", ""},
        {"ws://h/", false, 80, "h", "h", "/", ""},
        {"ws://h?a=b", false, 80, "h", "h", "", "a=b"},
        {"ws://h/p?", false, 80, "h", "h", "/p", ""},
        {"wss://db.example.com:8443/a/b?c=d?e&f=/g", true, 8443, "db.example.com",
         "db.example.com:8443", "/a/b", "c=d?e&f=/g"},
        {"ws://127.0.0.1:65535/x:y@z", false, 65535, "127.0.0.1", "127.0.0.1:65535", "/x:y@z", ""},
        {"ws://[::1]:4000/s", false, 4000, "::1", "[::1]:4000", "/s", ""},
        {"ws://[fe80::1]", false, 80, "fe80::1", "[fe80::1]", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_wsurl u;
        struct wc_err err = {0};
        if (wc_wsurl_parse(cases[i].url, &u, &err) != WC_OK)
            fail_msg("%s: %s", cases[i].url, err.text);
        assert_int_equal(u.tls, cases[i].tls);
        assert_int_equal(u.port, cases[i].port);
        assert_slice(u.host, cases[i].host);
        assert_slice(u.authority, cases[i].authority);
        assert_slice(u.path, cases[i].path);
        assert_slice(u.query, cases[i].query);
    }
}

static void malformed_is_refused_where_it_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        size_t at;
    } cases[] = {
        {"", 0},
        {"http://h", 0},
        {"ws:/h", 0},
        {"WS://h", 0},
        {"ws://", 5},
        {"ws:///path", 5},
        {"ws://:80", 5},
        {"ws://user@h", 9},
        {"ws://h:", 7},
        {"ws://h:0", 8},
        {"ws://h:65536", 12},
        {"ws://h:99999999999999999999", 12},
        {"ws://h:80x", 9},
        {"ws://h:-1", 7},
        {"ws://[::1", 9},
        {"ws://[]", 7},
        {"ws://[::1]x", 10},
        {"ws://h/a b", 8},
        {"ws://h/\r\nX: y", 7},
        {"ws://h/#top", 7},
        {"ws://h/\xc3\xa9", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_wsurl u = {.port = 7};
        struct wc_err err = {0};
        if (wc_wsurl_parse(cases[i].url, &u, &err) != WC_INVALID)
            fail_msg("%s was accepted", cases[i].url);
        if (err.at != cases[i].at)
            fail_msg("%s: at %zu, want %zu", cases[i].url, err.at, cases[i].at);
        assert_int_equal(u.port, 7);
    }
}

static void length_is_limited(void **state)
{
    (void)state;
    static char url[WC_WSURL_MAX + 2] = "ws://h/";
    struct wc_wsurl u;

    memset(url + 7, 'a', WC_WSURL_MAX - 7);
    assert_int_equal(wc_wsurl_parse(url, &u, NULL), WC_OK);
    url[WC_WSURL_MAX] = 'a';
    assert_int_equal(wc_wsurl_parse(url, &u, NULL), WC_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(malformed_is_refused_where_it_is_wrong),
        cmocka_unit_test(length_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
