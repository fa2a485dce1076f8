#include "bridge/ops/gate.h"

#include "auth/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000)

static struct wc_gate *gate_of(const char *secret, const char *next, const char *blocklist)
{
    struct wc_gate *g = NULL;
    const struct wc_gate_options o = {
        .secret = secret, .next_secret = next, .blocklist = blocklist, .validators = ""};
    assert_int_equal(wc_gate_make(&o, &g, NULL), WC_OK);
    return g;
}

/* "Bearer " and a token; with a NUL behind it. */
static void header_of(struct wc_buf *out, const char *secret, const char *payload)
{
    struct wc_keyset *keys = wc_keyset_new(wc_slice_str(secret));
    assert_non_null(keys);
    wc_buf_init(out, 4096);
    wc_buf_str(out, "Bearer ");
    assert_int_equal(wc_jwt_mint(keys, wc_slice_str(payload), out), WC_OK);
    wc_buf_byte(out, '\0');
    wc_keyset_free(keys);
}

static bool admits(const struct wc_gate *g, const char *secret, const char *payload)
{
    struct wc_buf header;
    header_of(&header, secret, payload);
    bool is_in = wc_gate_admits(g, wc_slice(header.p, header.len - 1), NOW);
    wc_buf_release(&header);
    return is_in;
}

static void either_secret_admits_and_no_claim_is_needed(void **state)
{
    (void)state;
    struct wc_gate *g = gate_of("old", "new", "");
    assert_true(admits(g, "old", "{}"));
    assert_true(admits(g, "new", "{\"exp\":1700000001}"));
    assert_false(admits(g, "other", "{}"));
    assert_false(admits(g, "old", "{\"exp\":1700000000}"));
    wc_gate_free(g);
}

static void without_a_secret_nobody_gets_in(void **state)
{
    (void)state;
    struct wc_gate *g = gate_of("", "", "");
    assert_false(admits(g, "x", "{}"));
    assert_false(wc_gate_admits(g, wc_slice_str("Bearer e30.e30."), NOW));
    wc_gate_free(g);
    g = gate_of("", "next", "");
    assert_true(admits(g, "next", "{}"));
    wc_gate_free(g);
}

static void only_the_exact_form_of_the_header_counts(void **state)
{
    (void)state;
    struct wc_gate *g = gate_of("s", "", "");
    struct wc_buf h;
    header_of(&h, "s", "{}");
    char text[512];
    const char *token = (const char *)h.p + 7;
    assert_true(wc_gate_admits(g, wc_slice_str((const char *)h.p), NOW));
    static const char *const before[] = {"bearer ", "BEARER ", "Bearer",  "Bearer  ",
                                         "",        "Basic ",  " Bearer "};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        assert_true(snprintf(text, sizeof text, "%s%s", before[i], token) > 0);
        assert_false(wc_gate_admits(g, wc_slice_str(text), NOW));
    }
    static const char *const behind[] = {" ", "%20", " x", ",", "\n"};
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        assert_true(snprintf(text, sizeof text, "Bearer %s%s", token, behind[i]) > 0);
        assert_false(wc_gate_admits(g, wc_slice_str(text), NOW));
    }
    assert_false(wc_gate_admits(g, wc_slice_str("Bearer "), NOW));
    assert_false(wc_gate_admits(g, wc_slice(NULL, 0), NOW));
    wc_buf_release(&h);
    wc_gate_free(g);
}

static void a_withdrawn_token_is_refused_and_the_others_are_not(void **state)
{
    (void)state;
    struct wc_buf first, second;
    char list[1024];
    header_of(&first, "s", "{\"a\":1}");
    header_of(&second, "s", "{\"a\":2}");
    assert_true(snprintf(list, sizeof list, "x.y.z, %s,%s", (const char *)first.p + 7,
                         (const char *)second.p + 7) > 0);
    struct wc_gate *g = gate_of("s", "", list);
    assert_false(admits(g, "s", "{\"a\":1}"));
    assert_false(admits(g, "s", "{\"a\":2}"));
    assert_true(admits(g, "s", "{\"a\":3}"));
    wc_gate_free(g);
    wc_buf_release(&first);
    wc_buf_release(&second);
}

static void wrong_validators_are_an_error(void **state)
{
    (void)state;
    struct wc_gate *g = NULL;
    struct wc_err err = {0};
    const struct wc_gate_options o = {
        .secret = "s", .next_secret = "", .blocklist = "", .validators = "[1]"};
    assert_int_equal(wc_gate_make(&o, &g, &err), WC_INVALID);
    assert_null(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_secret_admits_and_no_claim_is_needed),
        cmocka_unit_test(without_a_secret_nobody_gets_in),
        cmocka_unit_test(only_the_exact_form_of_the_header_counts),
        cmocka_unit_test(a_withdrawn_token_is_refused_and_the_others_are_not),
        cmocka_unit_test(wrong_validators_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
