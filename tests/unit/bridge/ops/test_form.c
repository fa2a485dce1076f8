#include "bridge/ops/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ADDRESS                                                                                    \
    "\"region\":\"eu\",\"db_host\":\"h\",\"db_port\":\"5432\",\"db_name\":\"n\",\"db_user\":"      \
    "\"u\","                                                                                       \
    "\"db_password\":\"p\""
#define EXTENSION "{\"type\":\"postgres_cdc_rls\",\"settings\":{" ADDRESS "}}"
#define NEW       "{\"external_id\":\"t1\",\"jwt_secret\":\"s\",\"extensions\":[]}"

/* One form: the JSON and what came of reading and applying it. */
struct attempt {
    const char *json, *path_id; /* NULL: the form names the tenant */
    const struct wc_record *base;
    enum wc_status status;
    struct wc_record *record;
    struct wc_buf errors;
    struct wc_arena arena;
};

static struct wc_record *defaults(void)
{
    struct wc_record *d = wc_record_new("");
    assert_non_null(d);
    d->max_concurrent_users = 250;
    return d;
}

static void submit(struct attempt *a)
{
    struct wc_json doc;
    struct wc_form *form = NULL;
    struct wc_record *d = defaults();
    const struct wc_json_limits limits = {.depth = 64, .nodes = 100000};
    wc_arena_init(&a->arena, 1 << 20);
    wc_buf_init(&a->errors, 1 << 16);
    a->record = NULL;
    assert_int_equal(wc_json_parse(&doc, wc_slice_str(a->json), &a->arena, limits, NULL), WC_OK);
    const struct wc_form_context c = {.id =
                                          a->path_id ? wc_slice_str(a->path_id) : wc_slice(NULL, 0),
                                      .defaults = d,
                                      .scratch = &a->arena};
    a->status = wc_form_read(&doc, 0, &c, &form, &a->errors);
    if (a->status == WC_OK)
        a->status = wc_form_apply(form, a->base, &a->record, &a->errors);
    wc_form_free(form);
    wc_record_free(d);
    wc_buf_byte(&a->errors, '\0');
    assert_true((a->status == WC_OK) == (a->record != NULL));
}

static void done(struct attempt *a)
{
    wc_record_free(a->record);
    wc_buf_release(&a->errors);
    wc_arena_release(&a->arena);
}

static void a_new_tenant_gets_the_defaults_and_its_id_as_name(void **state)
{
    (void)state;
    struct attempt a = {.json =
                            "{\"external_id\":\"t1\",\"name\":\"x\",\"jwt_secret\":\"s\","
                            "\"extensions\":[{\"type\":\"postgres\",\"settings\":{" ADDRESS "}}]}"};
    submit(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(a.record->external_id, "t1");
    assert_string_equal(a.record->name, "t1");
    assert_string_equal(a.record->jwt_secret, "s");
    assert_null(a.record->jwt_jwks);
    assert_int_equal(a.record->max_concurrent_users, 250);
    assert_int_equal(a.record->max_payload_kb, 3000);
    assert_int_equal(a.record->presence_window_ms, 0);
    assert_true(a.record->has_database);
    const struct wc_record_database *d = &a.record->database;
    assert_string_equal(d->type, "postgres_cdc_rls");
    assert_string_equal(d->host, "h");
    assert_string_equal(d->port, "5432");
    assert_string_equal(d->password, "p");
    assert_string_equal(d->region, "eu");
    assert_string_equal(d->publication, "supabase_realtime");
    assert_true(d->ssl_enforced);
    assert_int_equal(d->pool, 1);
    assert_string_equal(d->settings, "{\"poll_interval_ms\":100,\"poll_max_changes\":100}");
    done(&a);
}

static void the_path_names_a_new_tenant(void **state)
{
    (void)state;
    struct attempt a = {.json = NEW, .path_id = "from path"};
    submit(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(a.record->external_id, "from path");
    assert_string_equal(a.record->name, "from path");
    done(&a);
}

static void errors_are_those_of_the_incumbent(void **state)
{
    (void)state;
    static const struct {
        const char *json, *errors;
    } cases[] = {
        {"{\"name\":\"x\"}", "{\"errors\":{\"external_id\":[\"can't be blank\"]}}"},
        {"{\"external_id\":\" \\t\"}", "{\"errors\":{\"external_id\":[\"can't be blank\"]}}"},
        {"{\"external_id\":7,\"suspend\":\"maybe\",\"max_joins_per_second\":\"1x\"}",
         "{\"errors\":{\"external_id\":[\"is invalid\"],\"max_joins_per_second\":[\"is invalid\"],"
         "\"suspend\":[\"is invalid\"]}}"},
        {"{\"external_id\":\"a\\nb\"}", "{\"errors\":{\"external_id\":[\"is invalid\"]}}"},
        {"{\"external_id\":\"..\"}", "{\"errors\":{\"external_id\":[\"is invalid\"]}}"},
        {"{\"external_id\":null,\"jwt_secret\":null,\"extensions\":[],\"name\":null}",
         "{\"errors\":{\"external_id\":[\"can't be blank\"]}}"},
        {"{\"external_id\":\"t\",\"jwt_secret\":\"s\"}",
         "{\"errors\":{\"extensions\":[\"can't be blank\"]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[]}",
         "{\"errors\":{\"jwt_secret\":[\"either jwt_secret or jwt_jwks must be provided\"]}}"},
        {"{\"external_id\":\"t\",\"extensions\":{}}",
         "{\"errors\":{\"extensions\":[\"is invalid\"]}}"},
        {"{\"external_id\":\"t\",\"extensions\":null}",
         "{\"errors\":{\"extensions\":[\"is invalid\"]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[1]}",
         "{\"errors\":{\"extensions\":[\"is invalid\"]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{}]}",
         "{\"errors\":{\"extensions\":[{\"type\":[\"can't be blank\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"mysql\",\"settings\":{}}]}",
         "{\"errors\":{\"extensions\":[{\"type\":[\"is invalid\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\"}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"can't be blank\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":{" ADDRESS
         ",\"own\":[\"\\\\u0000\\u0000\"]}}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"settings is invalid\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":[]}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"is invalid\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":{"
         "\"region\":\"eu\",\"db_port\":5432,\"db_name\":\"n\",\"db_user\":\"u\","
         "\"db_password\":\"p\"}}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"db_port is invalid\","
         "\"db_host can't be blank\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":{}}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"db_password can't be blank\","
         "\"db_user can't be blank\",\"db_name can't be blank\",\"db_port can't be blank\","
         "\"db_host can't be blank\",\"region can't be blank\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[" EXTENSION "," EXTENSION "]}",
         "{\"errors\":{\"extensions\":[{},{\"tenant_external_id\":[\"has already been "
         "taken\"]}]}}"},
        {"{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":{" ADDRESS
         ",\"db_port\":\"65536\",\"slot_name\":\"No\",\"ssl_enforced\":2,\"db_pool\":0}}]}",
         "{\"errors\":{\"extensions\":[{\"settings\":[\"db_port is invalid\",\"slot_name is "
         "invalid\",\"ssl_enforced is invalid\",\"db_pool is invalid\"]}]}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt a = {.json = cases[i].json};
        submit(&a);
        assert_int_equal(a.status, WC_INVALID);
        assert_string_equal((const char *)a.errors.p, cases[i].errors);
        done(&a);
    }
}

static void settings_without_number_are_refused(void **state)
{
    (void)state;
    struct wc_buf json;
    wc_buf_init(&json, 1 << 16);
    wc_buf_str(
        &json,
        "{\"external_id\":\"t\",\"extensions\":[{\"type\":\"postgres\",\"settings\":{" ADDRESS);
    for (int i = 0; i < 1000; i++)
        wc_buf_printf(&json, ",\"own%d\":1", i);
    wc_buf_str(&json, "}}]}");
    wc_buf_byte(&json, '\0');
    struct attempt a = {.json = (const char *)json.p};
    submit(&a);
    assert_int_equal(a.status, WC_INVALID);
    assert_string_equal((const char *)a.errors.p,
                        "{\"errors\":{\"extensions\":[{\"settings\":[\"is invalid\"]}]}}");
    done(&a);
    wc_buf_release(&json);
}

static void values_nobody_could_use_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *member, *error;
    } cases[] = {
        {"\"max_concurrent_users\":0", "\"max_concurrent_users\":[\"must be greater than 0\"]"},
        {"\"max_concurrent_users\":-1", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"max_concurrent_users\":1.5", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"max_concurrent_users\":2147483648", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"max_concurrent_users\":\"\"", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"max_concurrent_users\":\"99999999999\"", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"max_concurrent_users\":true", "\"max_concurrent_users\":[\"is invalid\"]"},
        {"\"client_presence_window_ms\":0",
         "\"client_presence_window_ms\":[\"must be greater than 0\"]"},
        {"\"jwt_secret\":\"a\\u0000b\"", "\"jwt_secret\":[\"is invalid\"]"},
        {"\"jwt_secret\":{}", "\"jwt_secret\":[\"is invalid\"]"},
        {"\"jwt_jwks\":\"{}\"", "\"jwt_jwks\":[\"is invalid\"]"},
        {"\"jwt_jwks\":{}", "\"jwt_jwks\":[\"is invalid\"]"},
        {"\"jwt_jwks\":{\"keys\":7}", "\"jwt_jwks\":[\"is invalid\"]"},
        {"\"broadcast_adapter\":\"smoke\"", "\"broadcast_adapter\":[\"is invalid\"]"},
        {"\"feature_flags\":{\"a\":\"\\u0000\"}", "\"feature_flags\":[\"is invalid\"]"},
        {"\"feature_flags\":[]", "\"feature_flags\":[\"is invalid\"]"},
        {"\"private_only\":1", "\"private_only\":[\"is invalid\"]"},
    };
    char json[512], want[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt a = {.json = json};
        (void)snprintf(json, sizeof json, "{\"external_id\":\"t\",\"extensions\":[],%s}",
                       cases[i].member);
        (void)snprintf(want, sizeof want, "{\"errors\":{%s}}", cases[i].error);
        submit(&a);
        assert_int_equal(a.status, WC_INVALID);
        assert_string_equal((const char *)a.errors.p, want);
        done(&a);
    }
}

static void integers_and_booleans_may_come_as_strings(void **state)
{
    (void)state;
    struct attempt a = {.json = "{\"external_id\":\"t\",\"jwt_secret\":\"s\",\"extensions\":[],"
                                "\"max_concurrent_users\":\"2147483647\",\"suspend\":\"1\","
                                "\"max_joins_per_second\":1e3,"
                                "\"private_only\":\"true\",\"presence_enabled\":\"0\"}"};
    submit(&a);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.record->max_concurrent_users, INT32_MAX);
    assert_int_equal(a.record->max_joins_per_second, 1000);
    assert_true(a.record->suspend);
    assert_true(a.record->private_only);
    assert_false(a.record->presence_enabled);
    done(&a);
}

static void an_update_changes_what_it_names_alone(void **state)
{
    (void)state;
    struct attempt first = {
        .json = "{\"external_id\":\"t\",\"jwt_secret\":\"s\",\"max_events_per_second\":7,"
                "\"client_presence_window_ms\":5,\"extensions\":[" EXTENSION "]}"};
    submit(&first);
    assert_int_equal(first.status, WC_OK);
    struct attempt a = {.json = "{\"name\":\"new name\",\"max_events_per_second\":null,"
                                "\"client_presence_window_ms\":null,\"private_only\":true}",
                        .path_id = "t",
                        .base = first.record};
    submit(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(a.record->name, "new name");
    assert_string_equal(a.record->jwt_secret, "s");
    assert_int_equal(a.record->max_events_per_second, 100);
    assert_int_equal(a.record->presence_window_ms, 0);
    assert_true(a.record->private_only);
    assert_true(a.record->has_database);
    assert_string_equal(a.record->database.host, "h");
    done(&a);
    struct attempt without = {.json = "{\"extensions\":[]}", .path_id = "t", .base = first.record};
    submit(&without);
    assert_int_equal(without.status, WC_OK);
    assert_false(without.record->has_database);
    done(&without);
    done(&first);
}

static void an_update_that_would_lock_everybody_out_is_refused(void **state)
{
    (void)state;
    struct attempt first = {.json = NEW};
    submit(&first);
    struct attempt a = {.json = "{\"jwt_secret\":null}", .path_id = "t1", .base = first.record};
    submit(&a);
    assert_int_equal(a.status, WC_INVALID);
    done(&a);
    struct attempt swap = {.json = "{\"jwt_secret\":null,\"jwt_jwks\":{\"keys\":[]}}",
                           .path_id = "t1",
                           .base = first.record};
    submit(&swap);
    assert_int_equal(swap.status, WC_OK);
    assert_null(swap.record->jwt_secret);
    assert_string_equal(swap.record->jwt_jwks, "{\"keys\":[]}");
    done(&swap);
    done(&first);
}

static void the_name_in_the_path_cannot_be_changed(void **state)
{
    (void)state;
    struct attempt first = {.json = NEW};
    submit(&first);
    struct attempt a = {
        .json = "{\"external_id\":\"other\"}", .path_id = "t1", .base = first.record};
    submit(&a);
    assert_int_equal(a.status, WC_INVALID);
    assert_string_equal((const char *)a.errors.p,
                        "{\"errors\":{\"external_id\":[\"can't be changed\"]}}");
    done(&a);
    done(&first);
}

static void unknown_settings_are_kept_and_secrets_are_not_among_them(void **state)
{
    (void)state;
    struct attempt a = {
        .json =
            "{\"external_id\":\"t\",\"jwt_secret\":\"s\",\"extensions\":[{\"type\":\"postgres\","
            "\"settings\":{" ADDRESS ",\"subcriber_pool_size\":3,\"postgres_changes_pool\":10,"
            "\"poll_interval_ms\":50,\"x\":1,\"x\":{\"y\":[2]},\"a\\u0000b\":1,"
            "\"ssl_enforced\":false,\"db_pool\":\"4\",\"permanent_slot\":true}}]}"};
    submit(&a);
    assert_int_equal(a.status, WC_OK);
    assert_string_equal(a.record->database.settings,
                        "{\"subcriber_pool_size\":10,\"poll_interval_ms\":50,\"x\":{\"y\":[2]},"
                        "\"poll_max_changes\":100}");
    assert_false(a.record->database.ssl_enforced);
    assert_true(a.record->database.permanent_slot);
    assert_int_equal(a.record->database.pool, 4);
    done(&a);
}

static void long_values_are_refused(void **state)
{
    (void)state;
    enum { LEN = 70000 };
    static char json[LEN + 1000];
    static const char *const forms[] = {
        "{\"external_id\":\"%s\",\"extensions\":[]}",
        "{\"external_id\":\"t\",\"jwt_secret\":\"%s\",\"extensions\":[]}",
        "{\"external_id\":\"t\",\"feature_flags\":{\"%s\":true},\"extensions\":[]}",
        "{\"external_id\":\"t\",\"jwt_secret\":\"s\",\"extensions\":[{\"type\":\"postgres\","
        "\"settings\":{" ADDRESS ",\"note\":\"%s\"}}]}",
        "{\"external_id\":\"t\",\"jwt_secret\":\"s\",\"extensions\":[{\"type\":\"postgres\","
        "\"settings\":{" ADDRESS ",\"db_host\":\"%s\"}}]}",
    };
    static char text[LEN + 1];
    memset(text, 'x', LEN);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *at = strstr(forms[i], "%s");
        (void)snprintf(json, sizeof json, "%.*s%s%s", (int)(at - forms[i]), forms[i], text, at + 2);
        struct attempt a = {.json = json};
        submit(&a);
        assert_int_equal(a.status, WC_INVALID);
        done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_tenant_gets_the_defaults_and_its_id_as_name),
        cmocka_unit_test(the_path_names_a_new_tenant),
        cmocka_unit_test(errors_are_those_of_the_incumbent),
        cmocka_unit_test(settings_without_number_are_refused),
        cmocka_unit_test(values_nobody_could_use_are_refused),
        cmocka_unit_test(integers_and_booleans_may_come_as_strings),
        cmocka_unit_test(an_update_changes_what_it_names_alone),
        cmocka_unit_test(an_update_that_would_lock_everybody_out_is_refused),
        cmocka_unit_test(the_name_in_the_path_cannot_be_changed),
        cmocka_unit_test(unknown_settings_are_kept_and_secrets_are_not_among_them),
        cmocka_unit_test(long_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
