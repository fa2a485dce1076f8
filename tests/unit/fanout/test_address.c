/* Addresses, networks, who a client behind proxies is, and what one address may do. */
#include "fanout/address.h"
#include "fanout/guard.h"
#include "fanout/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { S = 1000000 };

static struct wc_address address(const char *text)
{
    struct wc_address a = {{0}};
    if (!wc_address_parse(wc_slice_str(text), &a))
        fail_msg("not read: %s", text);
    return a;
}

static void assert_text(struct wc_address a, const char *want)
{
    char text[WC_ADDRESS_TEXT_MAX];
    wc_address_text(&a, text);
    assert_string_equal(text, want);
}

static void addresses_are_read_with_and_without_port(void **state)
{
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {" 192.0.2.1:8080 ", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::", "::"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_text(address(cases[i][0]), cases[i][1]);
}

static void what_is_no_address_is_not_read(void **state)
{
    static const char *const cases[] = {"",
                                        " ",
                                        "unknown",
                                        "192.0.2",
                                        "192.0.2.256",
                                        "[2001:db8::1",
                                        "1:2:3",
                                        "localhost",
                                        "192.0.2.1/8",
                                        "_hidden",
                                        "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:1111:2222:3333"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_address a;
        if (wc_address_parse(wc_slice_str(cases[i]), &a))
            fail_msg("read: %s", cases[i]);
    }
}

static struct wc_networks networks(const char *list)
{
    struct wc_networks n = {0};
    struct wc_err err = {0};
    if (wc_networks_parse(list, &n, &err) != WC_OK)
        fail_msg("%s: %s", list, err.text);
    return n;
}

static void networks_hold_what_shares_their_prefix(void **state)
{
    static const struct {
        const char *list, *address;
        bool holds;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.8", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.8", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"", "10.0.0.1", false},
        {" 10.0.0.0/8 ,, 2001:db8::/32 ", "2001:db8::9", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_networks n = networks(cases[i].list);
        struct wc_address a = address(cases[i].address);
        if (wc_networks_hold(&n, &a) != cases[i].holds)
            fail_msg("%s in %s", cases[i].address, cases[i].list);
        wc_networks_release(&n);
    }
}

static void a_bad_network_is_named(void **state)
{
    static const char *const cases[] = {"10.0.0.0/33",  "2001:db8::/129", "10.0.0.0/",
                                        "10.0.0.0/-1",  "10.0.0.0/8/8",   "proxy.example.com",
                                        "10.0.0.0/0008"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_networks n = {0};
        struct wc_err err = {0};
        char list[64];
        assert_true(snprintf(list, sizeof list, "192.0.2.1, %s", cases[i]) > 0);
        assert_int_equal(wc_networks_parse(list, &n, &err), WC_INVALID);
        assert_non_null(strstr(err.text, cases[i]));
        assert_null(n.network);
    }
}

static void only_trusted_proxies_are_believed(void **state)
{
    static const struct {
        const char *peer, *forwarded, *client;
    } cases[] = {
        {"203.0.113.1", "198.51.100.1",
         "203.0.113.1"}, /* not a proxy of ours: it may say what it likes */
        {"10.0.0.1", NULL, "10.0.0.1"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"}, /* what it appended itself */
        {"10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
        {"10.0.0.1", "6.6.6.6,198.51.100.1,10.0.0.3 ,10.0.0.2", "198.51.100.1"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
        {"10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "garbage", "10.0.0.1"},
        {"10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"},
        {"10.0.0.1", ",,,", "10.0.0.1"},
    };
    (void)state;
    struct wc_networks trusted = networks("10.0.0.0/8");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_slice header =
            cases[i].forwarded ? wc_slice_str(cases[i].forwarded) : wc_slice(NULL, 0);
        assert_text(wc_address_of_client(address(cases[i].peer), header, &trusted),
                    cases[i].client);
    }
    wc_networks_release(&trusted);
}

static void origins_are_compared_with_the_list(void **state)
{
    static const struct {
        const char *list, *origin;
        bool ok;
    } cases[] = {
        {"", "https://evil.example", true},
        {"https://app.example.com", NULL, true},
        {"https://app.example.com", "https://app.example.com", true},
        {"https://app.example.com", "HTTPS://App.Example.Com", true},
        {"https://app.example.com", "http://app.example.com", false},
        {"https://app.example.com", "https://app.example.com:8443", false},
        {"https://app.example.com", "https://app.example.com.evil.example", false},
        {"https://app.example.com", "", false},
        {"https://app.example.com", "null", false},
        {"https://a.example, https://b.example", "https://b.example", true},
        {"https://a.example , ,https://b.example", "", false},
        {"https://*.example.com", "https://a.example.com", true},
        {"https://*.example.com", "https://a.b.example.com", true},
        {"https://*.example.com", "https://example.com", false},
        {"https://*.example.com", "https://.example.com", false},
        {"https://*.example.com", "https://evilexample.com", false},
        {"https://*.example.com", "http://a.example.com", false},
        {"https://*.example.com:8443", "https://a.example.com:8443", true},
        {"https://*.example.com:8443", "https://a.example.com", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_slice origin =
            cases[i].origin ? wc_slice_str(cases[i].origin) : wc_slice(NULL, 0);
        if (wc_origin_is_allowed(cases[i].list, origin) != cases[i].ok)
            fail_msg("%s by %s", cases[i].origin ? cases[i].origin : "none", cases[i].list);
    }
}

static struct wc_guard *guard(uint32_t connections, uint32_t per_second, uint32_t refusals)
{
    struct wc_guard *g = wc_guard_new(&(struct wc_guard_options){.max_connections = connections,
                                                                 .connects_per_second = per_second,
                                                                 .refusals_per_minute = refusals});
    assert_non_null(g);
    return g;
}

static void without_limits_an_address_may_do_anything(void **state)
{
    (void)state;
    struct wc_guard *g = guard(0, 0, 0);
    struct wc_address a = address("192.0.2.1");
    for (unsigned i = 0; i < 100000; i++) {
        assert_null(wc_guard_attempt(g, &a, S));
        wc_guard_refused(g, &a, S);
        assert_true(wc_guard_enter(g, &a, S));
    }
    wc_guard_free(g);
}

static void connections_of_one_address_are_bounded(void **state)
{
    (void)state;
    struct wc_guard *g = guard(2, 0, 0);
    struct wc_address a = address("192.0.2.1"), b = address("192.0.2.2");
    assert_true(wc_guard_enter(g, &a, S) && wc_guard_enter(g, &a, S));
    assert_string_equal(wc_guard_attempt(g, &a, S), "Too many connections from this address");
    assert_false(wc_guard_enter(g, &a, S));
    assert_null(wc_guard_attempt(g, &b, S));
    assert_true(wc_guard_enter(g, &b, S));
    wc_guard_leave(g, &a);
    assert_null(wc_guard_attempt(g, &a, S));
    assert_true(wc_guard_enter(g, &a, S));
    wc_guard_free(g);
}

static void ipv6_clients_count_by_their_network(void **state)
{
    (void)state;
    struct wc_guard *g = guard(1, 0, 0);
    struct wc_address a = address("2001:db8:0:1::1"), same = address("2001:db8:0:1:ffff::2");
    struct wc_address other = address("2001:db8:0:2::1");
    assert_true(wc_guard_enter(g, &a, S));
    assert_false(wc_guard_enter(g, &same, S));
    assert_true(wc_guard_enter(g, &other, S));
    wc_guard_free(g);
}

static unsigned attempts_granted(struct wc_guard *g, const struct wc_address *a, wc_us now,
                                 unsigned tries)
{
    unsigned granted = 0;
    for (unsigned i = 0; i < tries; i++)
        granted += wc_guard_attempt(g, a, now) == NULL;
    return granted;
}

static void attempts_are_a_second_s_worth_at_once_and_then_the_rate(void **state)
{
    (void)state;
    struct wc_guard *g = guard(0, 10, 0);
    struct wc_address a = address("192.0.2.1"), b = address("192.0.2.2");
    assert_int_equal(attempts_granted(g, &a, 100 * S, 50), 10);
    assert_int_equal(attempts_granted(g, &b, 100 * S, 50), 10);
    assert_int_equal(attempts_granted(g, &a, 100 * S + S / 2, 50), 5);
    assert_int_equal(attempts_granted(g, &a, 200 * S, 50), 10);
    wc_guard_free(g);
}

static void who_is_refused_too_often_is_slowed_down(void **state)
{
    static const char why[] = "Too many refused connection attempts from this address";
    (void)state;
    struct wc_guard *g = guard(0, 0, 60);
    struct wc_address a = address("192.0.2.1"), b = address("192.0.2.2");
    for (unsigned i = 0; i < 60; i++) {
        assert_null(wc_guard_attempt(g, &a, 100 * S));
        wc_guard_refused(g, &a, 100 * S);
    }
    assert_string_equal(wc_guard_attempt(g, &a, 100 * S), why);
    assert_null(wc_guard_attempt(g, &b, 100 * S));
    assert_null(wc_guard_attempt(g, &a, 101 * S)); /* one a second from now on */
    wc_guard_refused(g, &a, 101 * S);
    assert_string_equal(wc_guard_attempt(g, &a, 101 * S), why);
    assert_null(wc_guard_attempt(g, &a, 200 * S));
    wc_guard_free(g);
}

static void a_flood_of_addresses_does_not_evict_who_has_connections(void **state)
{
    (void)state;
    struct wc_guard *g = guard(1, 1, 1);
    struct wc_address held[100];
    for (uint32_t i = 0; i < 100; i++) {
        char text[32];
        assert_true(snprintf(text, sizeof text, "192.0.2.%u", i) > 0);
        held[i] = address(text);
        assert_true(wc_guard_enter(g, &held[i], S));
    }
    for (uint32_t i = 0; i < 200000; i++) {
        struct wc_address a = address("2001:db8::");
        memcpy(a.ip + 4, &i, sizeof i);
        (void)wc_guard_attempt(g, &a, S + (wc_us)i); /* whatever the answer */
        wc_guard_refused(g, &a, S + (wc_us)i);
    }
    for (uint32_t i = 0; i < 100; i++)
        assert_false(wc_guard_enter(g, &held[i], 2 * S));
    wc_guard_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_with_and_without_port),
        cmocka_unit_test(what_is_no_address_is_not_read),
        cmocka_unit_test(networks_hold_what_shares_their_prefix),
        cmocka_unit_test(a_bad_network_is_named),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(origins_are_compared_with_the_list),
        cmocka_unit_test(without_limits_an_address_may_do_anything),
        cmocka_unit_test(connections_of_one_address_are_bounded),
        cmocka_unit_test(ipv6_clients_count_by_their_network),
        cmocka_unit_test(attempts_are_a_second_s_worth_at_once_and_then_the_rate),
        cmocka_unit_test(who_is_refused_too_often_is_slowed_down),
        cmocka_unit_test(a_flood_of_addresses_does_not_evict_who_has_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
