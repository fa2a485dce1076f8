/* SETTINGS_FILE: what it may hold, what it gives way to, and what is said about a bad one. */
#include "bridge/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct file {
    char path[64];
    char env[96];
    struct wc_buf problems;
};

static int setup(void **state)
{
    struct file *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/walcast-settings-XXXXXX"); /* it fits */
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(f->env, sizeof f->env, "SETTINGS_FILE=%s", f->path);
    wc_buf_init(&f->problems, 1 << 16);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct file *f = *state;
    assert_int_equal(unlink(f->path), 0);
    wc_buf_release(&f->problems);
    free(f);
    return 0;
}

static void put(const struct file *f, const char *text, size_t len)
{
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static enum wc_status load(struct file *f, const char *text, struct wc_config **out)
{
    static char secret[] = "JWT_SECRET=s", port[] = "PORT=5001";
    static char command[] = "serve", option[] = "--max-connections=7";
    char *env[] = {f->env, secret, port, NULL};
    char *argv[] = {command, option};
    const struct wc_config_input in = {.use = WC_CONFIG_SERVE, .argc = 2, .argv = argv, .env = env};
    put(f, text, strlen(text));
    wc_buf_reset(&f->problems);
    return wc_config_load(&in, &f->problems, out);
}

static void it_gives_what_nobody_else_does(void **state)
{
    struct wc_config *c = NULL;
    assert_int_equal(load(*state,
                          "# limits\n\n  TENANT_MAX_JOINS_PER_SECOND = 12 \r\n"
                          "PORT=5002\nMAX_CONNECTIONS=8\nSLOT_NAME=\nDB_PASSWORD=a = # b",
                          &c),
                     WC_OK);
    assert_int_equal(c->tenant_max_joins_per_second, 12);
    assert_int_equal(c->port, 5001);         /* the environment wins */
    assert_int_equal(c->max_connections, 7); /* and so does an option */
    assert_string_equal(c->slot_name, "");
    assert_string_equal(c->db_password, "a = # b");
    wc_config_free(c);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    static const char *const cases[][2] = {
        {"PORT", "line 1 is not"},
        {"# x\nNO_SUCH=1", "line 2 is not"},
        {"=1", "line 1 is not"},
        {"SETTINGS_FILE=/tmp/x", "line 1 is not"},
        {"a\x01z=1", "line 1 is not"},
        {"IDLE_TIMEOUT_MS=x", "IDLE_TIMEOUT_MS: \"x\" is not allowed"},
    };
    struct file *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wc_config *c = NULL;
        assert_int_equal(load(f, cases[i][0], &c), WC_INVALID);
        wc_buf_byte(&f->problems, '\0');
        if (!strstr((const char *)f->problems.p, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], (const char *)f->problems.p);
    }
}

static void too_much_a_nul_no_file_and_no_regular_file_are_refused(void **state)
{
    static char secret[] = "JWT_SECRET=s";
    static char absent[] = "SETTINGS_FILE=/nonexistent/walcast",
                device[] = "SETTINGS_FILE=/dev/zero";
    struct file *f = *state;
    char *paths[] = {absent, device, f->env};
    static char large[70000];
    memset(large, '\n', sizeof large);
    put(f, large, sizeof large);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char *env[] = {secret, paths[i], NULL};
        const struct wc_config_input in = {.use = WC_CONFIG_SERVE, .env = env};
        struct wc_config *c = NULL;
        assert_int_equal(wc_config_load(&in, &f->problems, &c), WC_INVALID);
    }
    put(f, "PORT=1\0", 7);
    char *env[] = {secret, f->env, NULL};
    const struct wc_config_input in = {.use = WC_CONFIG_SERVE, .env = env};
    struct wc_config *c = NULL;
    assert_int_equal(wc_config_load(&in, &f->problems, &c), WC_INVALID);
}

static void it_is_read_again_when_settings_are_reloaded(void **state)
{
    static char secret[] = "JWT_SECRET=s";
    struct file *f = *state;
    struct wc_config *now = NULL, *next = NULL;
    assert_int_equal(load(f, "TENANT_MAX_EVENTS_PER_SECOND=1", &now), WC_OK);
    put(f, "TENANT_MAX_EVENTS_PER_SECOND=2", 30);
    char *env[] = {secret, f->env, NULL};
    const struct wc_config_input in = {.use = WC_CONFIG_SERVE, .env = env};
    assert_int_equal(wc_config_reload(now, &in, &f->problems, &next), WC_OK);
    assert_int_equal(next->tenant_max_events_per_second, 2);
    wc_config_free(now);
    wc_config_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_gives_what_nobody_else_does, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_a_nul_no_file_and_no_regular_file_are_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_read_again_when_settings_are_reloaded, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
