#include "auth/vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY    "walcast-test-key-of-32-bytes-gcm"
#define LEGACY "walcast-16-bytes"

/* Made by Node's crypto module: createCipheriv with aes-256-gcm and an IV of our choice, and with
 * aes-128-ecb. */
static const struct {
    const char *plain, *sealed, *legacy;
} vector[] = {
    {"", "g1:ABEiM0RVZneImaq7cXZSBIl2Ym4Heevwh7YmnA==", "hWnkdPOG+qj+QJwRw0PmAw=="},
    {"5432", "g1:wNHi8wQVJjdIWWp73ndsMBTKcN5JBE3oBS3Nhkm/b5M=", "uxIjNoObxNzU0hLupl6iQw=="},
    {"db.example.com", "g1:gJGis8TV5vcIGSo7lNJ+GoI9OMi/dfLK6CMJhdP1pem9lkhEal36vb2W",
     "jK5Y95tbD7TxTqjzMkX28w=="},
    {"exactly-16-bytes", "g1:QFFic4SVprfI2er76qtA322DS5lCKpr9cCJXLdyYQhSToVR/W3hEpBT8Xa4=",
     "CzA+MtLj1HIsyxkaa+MZiYVp5HTzhvqo/kCcEcND5gM="},
    {"super-secret-jwt-token-with-at-least-32-characters-long",
     "g1:ABEiM0RVZneImaq7sVuAM/KEc1M8s+Gd3b8sdyDqV5NBV7LTovZPc/4QNlRhPYEbfvK+aF3ucBvrMj4XgX+ob91i1X"
     "S7w4gClJ0tVqUkpfUThOw=",
     "NORxwzNjhLdp4UelxzgM4cvVkd9/jRNTx86LX0ahcTy0naANssIt+noC9zaq65jJaDW+nRy6zv9FNhbg9KQevg=="},
    {"pässwörd ☃", "g1:wNHi8wQVJjdIWWp7gOiR7wgRoJurivMqi2JH2QxI+NK6rF7sZgmbRjJL",
     "Y+NepgOwG4/lwVe8l2o3wg=="},
};
enum { VECTORS = sizeof vector / sizeof vector[0], OUT_CAP = 4096 };

static struct wc_vault *vault_of(const char *key, const char *legacy, bool write_legacy)
{
    struct wc_vault *v = NULL;
    struct wc_err err = {0};
    assert_int_equal(wc_vault_make(wc_slice_str(key), wc_slice_str(legacy), write_legacy, &v, &err),
                     WC_OK);
    return v;
}

static void assert_opens(const struct wc_vault *v, struct wc_slice stored, const char *plain)
{
    struct wc_buf out;
    struct wc_err err = {0};
    wc_buf_init(&out, OUT_CAP);
    wc_buf_str(&out, "before:");
    assert_int_equal(wc_vault_decrypt(v, stored, &out, &err), WC_OK);
    wc_buf_byte(&out, '\0');
    assert_string_equal((const char *)out.p + 7, plain);
    wc_buf_release(&out);
}

/* Returns the text of the error; what was in the buffer stays, and nothing is added. */
static const char *refused(const struct wc_vault *v, struct wc_slice stored)
{
    static struct wc_err err;
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_str(&out, "before");
    assert_int_equal(wc_vault_decrypt(v, stored, &out, &err), WC_INVALID);
    assert_true(wc_slice_is(wc_buf_view(&out), "before"));
    wc_buf_release(&out);
    return err.text;
}

static void both_forms_are_read(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, LEGACY, false);
    for (size_t i = 0; i < VECTORS; i++) {
        assert_opens(v, wc_slice_str(vector[i].sealed), vector[i].plain);
        assert_opens(v, wc_slice_str(vector[i].legacy), vector[i].plain);
    }
    wc_vault_free(v);
}

static void a_vault_with_one_key_reads_one_form(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, "", false), *old = vault_of("", LEGACY, false);
    assert_opens(v, wc_slice_str(vector[1].sealed), "5432");
    assert_string_equal(refused(v, wc_slice_str(vector[1].legacy)),
                        "there is no key for the old form of secrets, AES-128-ECB");
    assert_opens(old, wc_slice_str(vector[1].legacy), "5432");
    assert_string_equal(refused(old, wc_slice_str(vector[1].sealed)),
                        "there is no key for secrets in AES-256-GCM");
    wc_vault_free(v);
    wc_vault_free(old);
}

static struct wc_slice sealed(const struct wc_vault *v, const char *plain, struct wc_buf *out)
{
    wc_buf_init(out, OUT_CAP);
    assert_int_equal(wc_vault_encrypt(v, wc_slice_str(plain), out), WC_OK);
    return wc_buf_view(out);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    const struct {
        struct wc_vault *v;
        bool is_legacy;
    } each[] = {{vault_of(KEY, LEGACY, false), false},
                {vault_of(KEY, "", false), false},
                {vault_of(KEY, "", true), false}, /* there is no other key */
                {vault_of(KEY, LEGACY, true), true},
                {vault_of("", LEGACY, false), true}};
    for (size_t k = 0; k < sizeof each / sizeof each[0]; k++) {
        for (size_t i = 0; i < VECTORS; i++) {
            struct wc_buf out;
            struct wc_slice text = sealed(each[k].v, vector[i].plain, &out);
            assert_int_equal(wc_vault_is_legacy(text), each[k].is_legacy);
            if (each[k].is_legacy)
                assert_true(wc_slice_is(text, vector[i].legacy));
            assert_opens(each[k].v, text, vector[i].plain);
            wc_buf_release(&out);
        }
        wc_vault_free(each[k].v);
    }
}

static void the_same_secret_is_written_differently_each_time(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, "", false);
    struct wc_buf a, b;
    assert_false(wc_slice_eq(sealed(v, "5432", &a), sealed(v, "5432", &b)));
    wc_buf_release(&a);
    wc_buf_release(&b);
    wc_vault_free(v);
}

static void a_changed_character_anywhere_is_refused(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, LEGACY, false);
    const char *whole = vector[3].sealed;
    for (size_t i = 3; i < strlen(whole); i++) {
        struct wc_buf text;
        wc_buf_init(&text, OUT_CAP);
        wc_buf_str(&text, whole);
        text.p[i] = text.p[i] == 'A' ? 'B' : 'A';
        assert_string_equal(refused(v, wc_buf_view(&text)),
                            "a secret is damaged, or of another key");
        wc_buf_release(&text);
    }
    wc_vault_free(v);
}

static void a_text_that_ends_early_is_refused(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, LEGACY, false);
    for (size_t i = 1; i < strlen(vector[3].sealed); i++)
        (void)refused(v, wc_slice(vector[3].sealed, i));
    for (size_t i = 1; i < strlen(vector[3].legacy); i++)
        (void)refused(v, wc_slice(vector[3].legacy, i));
    (void)refused(v, wc_slice("", 0));
    wc_vault_free(v);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of("another-test-key-of-32-bytes-gcm", "another-16-bytes", false);
    for (size_t i = 0; i < VECTORS; i++) {
        (void)refused(v, wc_slice_str(vector[i].sealed));
        (void)refused(v, wc_slice_str(vector[i].legacy));
    }
    wc_vault_free(v);
}

static void keys_of_another_length_are_named(void **state)
{
    (void)state;
    struct wc_vault *v = NULL;
    struct wc_err err;
    const struct wc_slice none = wc_slice("", 0), key = wc_slice_str(KEY);
    assert_int_equal(wc_vault_make(none, none, false, &v, &err), WC_INVALID);
    assert_string_equal(err.text, "no key for secrets at rest");
    assert_int_equal(wc_vault_make(wc_slice(KEY, 31), none, false, &v, &err), WC_INVALID);
    assert_string_equal(err.text, "the key for AES-256-GCM has 31 bytes instead of 32");
    assert_int_equal(wc_vault_make(key, key, false, &v, &err), WC_INVALID);
    assert_string_equal(err.text, "the key for AES-128-ECB has 32 bytes instead of 16");
    assert_null(v);
}

static void a_secret_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct wc_vault *v = vault_of(KEY, "", false);
    static uint8_t secret[(1 << 19) + 1];
    struct wc_buf out;
    wc_buf_init(&out, 2 << 20);
    assert_int_equal(wc_vault_encrypt(v, wc_slice(secret, sizeof secret), &out), WC_LIMIT);
    assert_int_equal(wc_vault_encrypt(v, wc_slice(secret, sizeof secret - 1), &out), WC_OK);
    wc_buf_release(&out);
    wc_buf_init(&out, 16);
    assert_int_equal(wc_vault_encrypt(v, wc_slice_str("5432"), &out), WC_NOMEM);
    wc_buf_release(&out);
    wc_vault_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_read),
        cmocka_unit_test(a_vault_with_one_key_reads_one_form),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(the_same_secret_is_written_differently_each_time),
        cmocka_unit_test(a_changed_character_anywhere_is_refused),
        cmocka_unit_test(a_text_that_ends_early_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(keys_of_another_length_are_named),
        cmocka_unit_test(a_secret_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
