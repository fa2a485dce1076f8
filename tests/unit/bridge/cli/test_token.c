#include "bridge/cli/token.h"

#include "auth/jwt.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "walcast-test-secret-of-32-bytes!"

enum { ARGS_MAX = 8, OUT = 0, ERR = 1 };

struct run {
    int status;
    char text[2][8192]; /* standard output, standard error */
};

static int redirect(int fd, int *saved)
{
    int to = memfd_create("output", 0);
    *saved = dup(fd);
    assert_true(to >= 0 && *saved >= 0);
    assert_int_equal(dup2(to, fd), fd);
    return to;
}

static void restore(int fd, int saved, int from, char *text, size_t cap)
{
    assert_int_equal(dup2(saved, fd), fd);
    ssize_t n = pread(from, text, cap - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(saved);
    close(from);
}

static void run(struct run *r, const char *const args[ARGS_MAX])
{
    char word[] = "token";
    char *argv[ARGS_MAX + 2] = {word};
    int argc = 1;
    int saved[2];
    for (; argc <= ARGS_MAX && args[argc - 1]; argc++)
        memcpy(&argv[argc], &args[argc - 1], sizeof *argv);
    assert_int_equal(fflush(stdout), 0);
    int out = redirect(STDOUT_FILENO, &saved[OUT]);
    int err = redirect(STDERR_FILENO, &saved[ERR]);
    r->status = wc_cli_token(argc, argv);
    (void)fflush(stdout); /* what was written is looked at below */
    restore(STDOUT_FILENO, saved[OUT], out, r->text[OUT], sizeof r->text[OUT]);
    restore(STDERR_FILENO, saved[ERR], err, r->text[ERR], sizeof r->text[ERR]);
}

static enum wc_jwt_result verify(const struct run *r, const char *secret, int64_t now,
                                 struct wc_claims **out)
{
    struct wc_keyset *keys = wc_keyset_new(wc_slice_str(secret));
    assert_non_null(keys);
    enum wc_jwt_result result = wc_jwt_verify(keys, wc_slice_str(r->text[OUT]), now, out, NULL);
    wc_keyset_free(keys);
    return result;
}

static int set_secret(void **state)
{
    (void)state;
    return setenv("JWT_SECRET", SECRET, 1);
}

static void a_token_is_for_anon_and_an_hour_by_default(void **state)
{
    (void)state;
    struct run r;
    struct wc_claims *claims;
    int64_t now = wc_clock_wall() / 1000000;
    run(&r, (const char *[ARGS_MAX]){NULL});
    assert_int_equal(r.status, 0);
    assert_string_equal(r.text[ERR], "");
    assert_int_equal(verify(&r, SECRET, now, &claims), WC_JWT_OK);
    assert_string_equal((const char *)claims->role.p, "anon");
    assert_in_range(claims->exp, now + 3600, now + 3660);
    wc_claims_unref(claims);
}

static void options_and_claims_are_joined(void **state)
{
    (void)state;
    struct run r;
    struct wc_claims *claims;
    int64_t now = wc_clock_wall() / 1000000;
    run(&r, (const char *[ARGS_MAX]){"--role", "service \"role\"", "--expires-in=60", "--claims",
                                     "{ \"sub\":\"u1\",\"n\":[1] }", "--secret", "other"});
    assert_int_equal(r.status, 0);
    assert_int_equal(verify(&r, SECRET, now, &claims), WC_JWT_BAD_SIGNATURE);
    assert_int_equal(verify(&r, "other", now, &claims), WC_JWT_OK);
    assert_string_equal((const char *)claims->role.p, "service \"role\"");
    assert_in_range(claims->exp, now + 60, now + 120);
    assert_non_null(strstr((const char *)claims->json.p, "\"sub\":\"u1\",\"n\":[1]"));
    wc_claims_unref(claims);
}

static void given_claims_win_over_defaults(void **state)
{
    (void)state;
    struct run r;
    struct wc_claims *claims;
    run(&r, (const char *[ARGS_MAX]){"--claims", "{\"role\":\"r\",\"exp\":2000,\"iat\":7}"});
    assert_int_equal(r.status, 0);
    assert_int_equal(verify(&r, SECRET, 1000, &claims), WC_JWT_OK);
    assert_string_equal((const char *)claims->json.p, "{\"role\":\"r\",\"exp\":2000,\"iat\":7}");
    wc_claims_unref(claims);
}

static void a_negative_life_makes_an_expired_token(void **state)
{
    (void)state;
    struct run r;
    struct wc_claims *claims;
    run(&r, (const char *[ARGS_MAX]){"--expires-in", "-5"});
    assert_int_equal(r.status, 0);
    assert_int_equal(verify(&r, SECRET, wc_clock_wall() / 1000000, &claims), WC_JWT_EXPIRED);
}

static void wrong_use_is_explained_and_exits_2(void **state)
{
    (void)state;
    const struct {
        const char *args[ARGS_MAX];
        const char *message;
    } table[] = {
        {{"--claims", "[1]"}, "must be a JSON object"},
        {{"--claims", "{\"a\":}"}, "not JSON: value expected at byte 5"},
        {{"--claims="}, "not JSON"},
        {{"--expires-in", "1h"}, "whole number of seconds"},
        {{"--expires-in="}, "whole number of seconds"},
        {{"--expires-in", "99999999999"}, "whole number of seconds"},
        {{"--expires-in", "-"}, "whole number of seconds"},
        {{"--role", "x", "--claims", "{\"role\":\"y\"}"}, "role is given both"},
        {{"--expires-in", "9", "--claims", "{\"exp\":1}"}, "exp is given both"},
        {{"--role="}, "--role must be"},
        {{"--role", "\xff"}, "--role must be"},
        {{"--role"}, "needs a value: --role"},
        {{"--nonsense=1"}, "unknown option: --nonsense;"},
        {{"stray"}, "unknown option: stray"},
        {{"--secret="}, "no secret"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct run r;
        run(&r, table[i].args);
        assert_int_equal(r.status, 2);
        assert_string_equal(r.text[OUT], "");
        if (!strstr(r.text[ERR], table[i].message))
            fail_msg("%s instead of %s", r.text[ERR], table[i].message);
    }
}

static void without_a_secret_nothing_is_minted(void **state)
{
    (void)state;
    struct run r;
    assert_int_equal(unsetenv("JWT_SECRET"), 0);
    run(&r, (const char *[ARGS_MAX]){NULL});
    assert_int_equal(r.status, 2);
    assert_non_null(strstr(r.text[ERR], "set JWT_SECRET or give --secret"));
}

static void claims_that_make_too_large_a_token_are_refused(void **state)
{
    (void)state;
    enum { FILL = 60000 };
    char *claims = malloc(FILL + 16);
    assert_non_null(claims);
    memcpy(claims, "{\"x\":\"", 6);
    memset(claims + 6, 'x', FILL);
    memcpy(claims + 6 + FILL, "\"}", 3);
    struct run r;
    run(&r, (const char *[ARGS_MAX]){"--claims", claims});
    assert_int_equal(r.status, 2);
    assert_non_null(strstr(r.text[ERR], "too large"));
    free(claims);
}

static void help_goes_to_standard_output(void **state)
{
    (void)state;
    struct run r;
    run(&r, (const char *[ARGS_MAX]){"--role", "x", "--help"});
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.text[OUT], "Usage: walcast token"));
    assert_string_equal(r.text[ERR], "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_token_is_for_anon_and_an_hour_by_default, set_secret),
        cmocka_unit_test_setup(options_and_claims_are_joined, set_secret),
        cmocka_unit_test_setup(given_claims_win_over_defaults, set_secret),
        cmocka_unit_test_setup(a_negative_life_makes_an_expired_token, set_secret),
        cmocka_unit_test_setup(wrong_use_is_explained_and_exits_2, set_secret),
        cmocka_unit_test_setup(without_a_secret_nothing_is_minted, set_secret),
        cmocka_unit_test_setup(claims_that_make_too_large_a_token_are_refused, set_secret),
        cmocka_unit_test_setup(help_goes_to_standard_output, set_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
