#include "bridge/ops/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const struct wc_record *r, const char *want)
{
    struct wc_buf out;
    wc_buf_init(&out, 1 << 16);
    wc_render_tenant(&out, r);
    wc_buf_byte(&out, '\0');
    assert_string_equal((const char *)out.p, want);
    wc_buf_release(&out);
}

static struct wc_record *tenant(void)
{
    struct wc_record *r = wc_record_new("t\"1");
    assert_non_null(r);
    assert_true(wc_record_set(&r->id, "some-uuid") && wc_record_set(&r->jwt_secret, "SECRET") &&
                wc_record_set(&r->inserted_at, "2026-01-01T00:00:00"));
    return r;
}

#define HEAD                                                                                       \
    "{\"id\":\"some-uuid\",\"external_id\":\"t\\\"1\",\"name\":\"t\\\"1\",\"max_concurrent_"       \
    "users\""                                                                                      \
    ":200,\"max_channels_per_client\":100,\"max_events_per_second\":100,"                          \
    "\"max_joins_per_second\":100,\"inserted_at\":\"2026-01-01T00:00:00\",\"extensions\":["

static void a_tenant_without_a_database_has_no_extension(void **state)
{
    (void)state;
    struct wc_record *r = tenant();
    check(r, HEAD "],\"private_only\":false,\"max_client_presence_events_per_window\":null,"
                  "\"client_presence_window_ms\":null,\"presence_enabled\":false}");
    wc_record_free(r);
}

static void settings_are_shown_as_stored_but_for_the_password(void **state)
{
    (void)state;
    struct wc_record *r = tenant();
    assert_true(wc_record_add_database(r));
    assert_true(wc_record_set(&r->database.password, "SECRET") &&
                wc_record_set(&r->database.host, "SECRET") &&
                wc_record_set(&r->database.settings,
                              "{ \"db_host\" : \"g1:abc\", \"db_password\":\"g1:x\", "
                              "\"db_passwor\\u0064\":\"g1:y\", \"x\":[1, 2]}"));
    r->private_only = r->presence_enabled = true;
    r->presence_max_calls = 3;
    r->presence_window_ms = 4;
    check(r, HEAD "{\"type\":\"postgres_cdc_rls\",\"inserted_at\":\"\",\"updated_at\":\"\","
                  "\"settings\":{\"db_host\":\"g1:abc\",\"x\":[1, 2]}}],\"private_only\":true,"
                  "\"max_client_presence_events_per_window\":3,\"client_presence_window_ms\":4,"
                  "\"presence_enabled\":true}");
    wc_record_free(r);
}

static void settings_that_are_none_are_not_shown(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "[1]", "{\"a\":", "{\"db_password\":\"g1:x\""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct wc_record *r = tenant();
        assert_true(wc_record_add_database(r) && wc_record_set(&r->database.settings, broken[i]));
        check(r, HEAD "{\"type\":\"postgres_cdc_rls\",\"inserted_at\":\"\",\"updated_at\":\"\","
                      "\"settings\":{}}],\"private_only\":false,"
                      "\"max_client_presence_events_per_window\":null,"
                      "\"client_presence_window_ms\":null,\"presence_enabled\":false}");
        wc_record_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_without_a_database_has_no_extension),
        cmocka_unit_test(settings_are_shown_as_stored_but_for_the_password),
        cmocka_unit_test(settings_that_are_none_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
