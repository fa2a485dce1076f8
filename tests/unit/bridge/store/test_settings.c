#include "bridge/store/settings.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { CAP = 1 << 20 };

/* Secrets as Node's crypto module has sealed them; see tests/unit/auth/test_vault.c. */
#define HOST   "\"db_host\":\"g1:gJGis8TV5vcIGSo7lNJ+GoI9OMi/dfLK6CMJhdP1pem9lkhEal36vb2W\""
#define PORT   "\"db_port\":\"uxIjNoObxNzU0hLupl6iQw==\""
#define NAME   "\"db_name\":\"CzA+MtLj1HIsyxkaa+MZiYVp5HTzhvqo/kCcEcND5gM=\""
#define USER   "\"db_user\":\"jK5Y95tbD7TxTqjzMkX28w==\""
#define SECRET "\"db_password\":\"Y+NepgOwG4/lwVe8l2o3wg==\""
#define LOGIN  HOST "," PORT "," NAME "," USER "," SECRET
#define REGION "\"region\":\"us-east-1\""

static struct wc_vault *vault;

static int make_vault(void **state)
{
    (void)state;
    return wc_vault_make(wc_slice_str("walcast-test-key-of-32-bytes-gcm"),
                         wc_slice_str("walcast-16-bytes"), false, &vault, NULL) == WC_OK
               ? 0
               : -1;
}

static int free_vault(void **state)
{
    (void)state;
    wc_vault_free(vault);
    return 0;
}

static struct wc_record *record_of(const char *json)
{
    struct wc_record *r = wc_record_new("t1");
    struct wc_err err = {0};
    assert_non_null(r);
    assert_true(wc_record_add_database(r));
    if (wc_store_settings_read(vault, wc_slice_str(json), &r->database, &err) != WC_OK)
        fail_msg("%s", err.text);
    return r;
}

static void what_the_reference_has_stored_is_read(void **state)
{
    (void)state;
    struct wc_record *r =
        record_of("{" LOGIN "," REGION ",\"poll_interval_ms\":100,"
                  "\"publication\":\"p\",\"slot_name\":\"s\",\"ssl_enforced\":false,"
                  "\"db_pool\":5,\"poll_max_record_bytes\":\"2048\","
                  "\"permanent_slot\":true}");
    const struct wc_record_database *d = &r->database;
    assert_string_equal(d->host, "db.example.com");
    assert_string_equal(d->port, "5432");
    assert_string_equal(d->name, "exactly-16-bytes");
    assert_string_equal(d->user, "db.example.com");
    assert_string_equal(d->password, "pässwörd ☃");
    assert_string_equal(d->region, "us-east-1");
    assert_string_equal(d->publication, "p");
    assert_string_equal(d->slot_name, "s");
    assert_false(d->ssl_enforced);
    assert_true(d->permanent_slot);
    assert_int_equal(d->pool, 5);
    assert_int_equal(d->max_record_bytes, 2048);
    wc_record_free(r);
}

static void what_is_not_there_has_a_default(void **state)
{
    (void)state;
    struct wc_record *r = record_of("{" LOGIN ",\"db_pool\":null}");
    const struct wc_record_database *d = &r->database;
    assert_string_equal(d->region, "");
    assert_string_equal(d->publication, "supabase_realtime");
    assert_string_equal(d->slot_name, "supabase_realtime_replication_slot");
    assert_true(d->ssl_enforced);
    assert_false(d->permanent_slot);
    assert_int_equal(d->pool, 1);
    assert_int_equal(d->max_record_bytes, 1048576);
    wc_record_free(r);
}

static void broken_settings_are_named_and_never_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } each[] = {
        {"", "settings are not a JSON object"},
        {"[]", "settings are not a JSON object"},
        {"{" LOGIN, "settings are not a JSON object"},
        {"{}", "db_host is missing"},
        {"{" HOST "," PORT "," NAME "," USER "}", "db_password is missing"},
        {"{" LOGIN ",\"db_port\":5432}", "db_port is invalid"},
        {"{" LOGIN ",\"db_host\":\"clear-text-host\"}",
         "db_host: a secret is damaged, or of another key"},
        {"{" LOGIN ",\"db_host\":null}", "db_host is missing"},
        {"{" LOGIN ",\"region\":1}", "region is invalid"},
        {"{" LOGIN ",\"slot_name\":\"a\\u0000b\"}", "slot_name is invalid"},
        {"{" LOGIN ",\"ssl_enforced\":\"yes\"}", "ssl_enforced is invalid"},
        {"{" LOGIN ",\"db_pool\":0}", "db_pool is invalid"},
        {"{" LOGIN ",\"db_pool\":-1}", "db_pool is invalid"},
        {"{" LOGIN ",\"db_pool\":1.5}", "db_pool is invalid"},
        {"{" LOGIN ",\"db_pool\":[]}", "db_pool is invalid"},
        {"{" LOGIN ",\"db_pool\":\"many\"}", "db_pool is invalid"},
        {"{" LOGIN ",\"poll_max_record_bytes\":99999999999}", "poll_max_record_bytes is invalid"},
    };
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        struct wc_record *r = wc_record_new("t1");
        struct wc_err err = {0};
        assert_true(r && wc_record_add_database(r));
        assert_int_equal(
            wc_store_settings_read(vault, wc_slice_str(each[i].json), &r->database, &err),
            WC_INVALID);
        assert_string_equal(err.text, each[i].text);
        wc_record_free(r);
    }
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    struct wc_record *a = record_of("{" LOGIN "," REGION ",\"ssl_enforced\":false,\"db_pool\":3}");
    a->database.permanent_slot = true;
    struct wc_buf json;
    struct wc_err err = {0};
    wc_buf_init(&json, CAP);
    assert_int_equal(wc_store_settings_write(vault, &a->database, &json, &err), WC_OK);
    wc_buf_byte(&json, '\0');
    struct wc_record *b = record_of((const char *)json.p);
    assert_int_equal(wc_record_compare(a, b), WC_RECORD_SAME);
    assert_string_equal(b->database.settings, (const char *)json.p);
    assert_null(strstr((const char *)json.p, "example.com"));
    wc_buf_release(&json);
    wc_record_free(a);
    wc_record_free(b);
}

static void members_that_are_not_ours_are_kept(void **state)
{
    (void)state;
    struct wc_record *r =
        record_of("{\"a\\\"b\":{\"c\":[1,2e0]}," LOGIN ",\"db_pool\":7,\"z\":null}");
    assert_true(wc_record_set(&r->database.host, "other.example.com"));
    struct wc_buf json;
    struct wc_err err = {0};
    wc_buf_init(&json, CAP);
    assert_int_equal(wc_store_settings_write(vault, &r->database, &json, &err), WC_OK);
    static const char begin[] = "{\"a\\\"b\":{\"c\":[1,2e0]},\"z\":null,\"db_host\":\"g1:";
    assert_memory_equal(json.p, begin, sizeof begin - 1);
    wc_buf_byte(&json, '\0');
    struct wc_record *again = record_of((const char *)json.p);
    assert_string_equal(again->database.host, "other.example.com");
    assert_int_equal(again->database.pool, 7);
    wc_buf_release(&json);
    wc_record_free(again);
    wc_record_free(r);
}

static void settings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct wc_record *r = record_of("{" LOGIN "}");
    struct wc_buf json;
    struct wc_err err = {0};
    wc_buf_init(&json, 100);
    assert_int_equal(wc_store_settings_write(vault, &r->database, &json, &err), WC_INVALID);
    wc_buf_release(&json);
    wc_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_reference_has_stored_is_read),
        cmocka_unit_test(what_is_not_there_has_a_default),
        cmocka_unit_test(broken_settings_are_named_and_never_quoted),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(members_that_are_not_ours_are_kept),
        cmocka_unit_test(settings_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, make_vault, free_vault);
}
