#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct capture {
    int fd, saved;
    char text[65536];
};

static void begin(struct capture *c)
{
    c->fd = memfd_create("log", 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->fd >= 0 && c->saved >= 0);
    assert_true(dup2(c->fd, STDERR_FILENO) >= 0);
}

static size_t end(struct capture *c)
{
    assert_true(dup2(c->saved, STDERR_FILENO) >= 0);
    ssize_t n = pread(c->fd, c->text, sizeof c->text - 1, 0);
    assert_true(n >= 0);
    c->text[n] = '\0';
    close(c->fd);
    close(c->saved);
    return (size_t)n;
}

static size_t count(const char *text, char c)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

static void a_line_has_time_level_component_event_and_pairs(void **state)
{
    (void)state;
    struct capture c;
    begin(&c);
    WC_LOG(WC_LOG_WARN, "repl", "slot_active", "slot=%s pid=%d", "demo", 4711);
    (void)end(&c);
    const char *rest = strchr(c.text, 'Z');
    assert_non_null(rest);
    assert_int_equal(rest - c.text, strlen("2026-11-21T19:41:39.123"));
    assert_string_equal(rest, "Z warn repl slot_active slot=demo pid=4711\n");
}

static void nothing_sent_by_a_peer_forges_a_line(void **state)
{
    (void)state;
    const char *values[] = {"a\nb", "a\r\nb", "\x1b[2K\rb", "a\vb\fc", "\x7f", "\t"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct capture c;
        begin(&c);
        WC_LOG(WC_LOG_ERROR, "ws", "bad", "topic=%s", values[i]);
        size_t n = end(&c);
        assert_int_equal(count(c.text, '\n'), 1);
        assert_int_equal(c.text[n - 1], '\n');
        for (size_t k = 0; k + 1 < n; k++)
            assert_true((unsigned char)c.text[k] >= 0x20 && c.text[k] != 0x7f);
    }
}

static void control_bytes_are_shown_in_hex(void **state)
{
    (void)state;
    struct capture c;
    begin(&c);
    WC_LOG(WC_LOG_ERROR, "ws", "bad", "v=%s", "a\n\x7f\xc3\xa4");
    (void)end(&c);
    assert_non_null(strstr(c.text, "v=a\\x0a\\x7f\xc3\xa4\n"));
}

static void long_lines_are_cut_and_still_one_line(void **state)
{
    (void)state;
    static char value[9000], event[5000];
    memset(value, '\n', sizeof value - 1); /* grows fourfold when escaped */
    memset(event, 'e', sizeof event - 1);
    const char *values[] = {value, event};
    for (size_t i = 0; i < 2; i++) {
        struct capture c;
        begin(&c);
        WC_LOG(WC_LOG_ERROR, "ws", i ? event : "bad", "v=%s", values[i]);
        size_t n = end(&c);
        assert_true(n > 1000 && n <= 4096);
        assert_int_equal(count(c.text, '\n'), 1);
    }
}

static void arguments_below_the_level_are_not_evaluated(void **state)
{
    (void)state;
    struct capture c;
    int evaluated = 0;
    begin(&c);
    WC_LOG(WC_LOG_DEBUG, "x", "y", "n=%d", ++evaluated);
    wc_log_set_level(WC_LOG_DEBUG);
    WC_LOG(WC_LOG_DEBUG, "x", "z", "n=%d", ++evaluated);
    wc_log_set_level(WC_LOG_ERROR);
    WC_LOG(WC_LOG_WARN, "x", "y", "n=%d", ++evaluated);
    wc_log_set_level(WC_LOG_INFO);
    (void)end(&c);
    assert_int_equal(evaluated, 1);
    assert_int_equal(count(c.text, '\n'), 1);
    assert_non_null(strstr(c.text, "debug x z n=1"));
}

static void repeated_failures_are_counted_instead_of_logged(void **state)
{
    (void)state;
    struct wc_log_limit limit = {0};
    unsigned long suppressed = 99;
    assert_true(wc_log_limit(&limit, 3600 * INT64_C(1000000), &suppressed));
    assert_int_equal(suppressed, 0);
    for (int i = 0; i < 5; i++)
        assert_false(wc_log_limit(&limit, 3600 * INT64_C(1000000), &suppressed));
    limit.next = wc_clock_mono();
    assert_true(wc_log_limit(&limit, 1, &suppressed));
    assert_int_equal(suppressed, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_component_event_and_pairs),
        cmocka_unit_test(nothing_sent_by_a_peer_forges_a_line),
        cmocka_unit_test(control_bytes_are_shown_in_hex),
        cmocka_unit_test(long_lines_are_cut_and_still_one_line),
        cmocka_unit_test(arguments_below_the_level_are_not_evaluated),
        cmocka_unit_test(repeated_failures_are_counted_instead_of_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
