#include "bridge/store/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_record *tenant(void)
{
    struct wc_record *r = wc_record_new("t1");
    assert_non_null(r);
    assert_true(wc_record_add_database(r));
    assert_true(wc_record_set(&r->jwt_secret, "secret"));
    assert_true(wc_record_set(&r->database.host, "db.example.com"));
    assert_true(wc_record_set(&r->database.password, "pässwörd"));
    return r;
}

/* What comparing a tenant with a changed copy of it says, from both sides. */
static enum wc_record_change changed(void (*change)(struct wc_record *))
{
    struct wc_record *a = tenant(), *b = wc_record_copy(a);
    assert_non_null(b);
    change(b);
    enum wc_record_change c = wc_record_compare(a, b);
    assert_int_equal(wc_record_compare(b, a), c);
    wc_record_free(a);
    wc_record_free(b);
    return c;
}

static void set(char **field, const char *value)
{
    assert_true(wc_record_set(field, value));
}

#define CHANGE(name, statement)                                                                    \
    static void name(struct wc_record *r)                                                          \
    {                                                                                              \
        statement;                                                                                 \
    }

CHANGE(nothing, (void)r)
CHANGE(other_ciphertexts, set(&r->database.settings, "{\"db_host\":\"g1:AAAA\"}"))
CHANGE(other_times, set(&r->updated_at, "2026-01-01T00:00:00"))
CHANGE(another_name, set(&r->name, "T"))
CHANGE(another_flag, set(&r->feature_flags, "{\"a\":true}"))
CHANGE(more_migrations, r->migrations_ran = 70)
CHANGE(more_users, r->max_concurrent_users++)
CHANGE(more_events, r->max_events_per_second++)
CHANGE(more_presences, r->max_presence_events_per_second++)
CHANGE(more_bytes, r->max_bytes_per_second++)
CHANGE(more_channels, r->max_channels_per_client++)
CHANGE(more_joins, r->max_joins_per_second++)
CHANGE(larger_payloads, r->max_payload_kb++)
CHANGE(more_presence_calls, r->presence_max_calls = 5)
CHANGE(a_presence_window, r->presence_window_ms = 1000)
CHANGE(presence_for_all, r->presence_enabled = true)
CHANGE(another_secret, set(&r->jwt_secret, "other"))
CHANGE(no_secret, set(&r->jwt_secret, NULL))
CHANGE(a_key_set, set(&r->jwt_jwks, "{\"keys\":[]}"))
CHANGE(suspended, r->suspend = true)
CHANGE(only_private, r->private_only = true)
CHANGE(another_host, set(&r->database.host, "db2.example.com"))
CHANGE(another_port, set(&r->database.port, "5433"))
CHANGE(another_database, set(&r->database.name, "other"))
CHANGE(another_user, set(&r->database.user, "other"))
CHANGE(another_password, set(&r->database.password, "other"))
CHANGE(another_publication, set(&r->database.publication, "other"))
CHANGE(another_slot, set(&r->database.slot_name, "other"))
CHANGE(a_permanent_slot, r->database.permanent_slot = true)
CHANGE(no_tls, r->database.ssl_enforced = false)
CHANGE(a_larger_pool, r->database.pool = 5)
CHANGE(smaller_records, r->database.max_record_bytes = 1000)
CHANGE(no_database, r->has_database = false)

static void changes_are_told_apart_by_what_clients_notice(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct wc_record *);
        enum wc_record_change is;
    } each[] = {
        {nothing, WC_RECORD_SAME},
        {other_ciphertexts, WC_RECORD_SAME},
        {other_times, WC_RECORD_SAME},
        {another_name, WC_RECORD_SAME},
        {another_flag, WC_RECORD_SAME},
        {more_migrations, WC_RECORD_SAME},
        {more_users, WC_RECORD_LIMITS},
        {more_events, WC_RECORD_LIMITS},
        {more_presences, WC_RECORD_LIMITS},
        {more_bytes, WC_RECORD_LIMITS},
        {more_channels, WC_RECORD_LIMITS},
        {more_joins, WC_RECORD_LIMITS},
        {larger_payloads, WC_RECORD_LIMITS},
        {more_presence_calls, WC_RECORD_LIMITS},
        {a_presence_window, WC_RECORD_LIMITS},
        {presence_for_all, WC_RECORD_LIMITS},
        {another_secret, WC_RECORD_REPLACE},
        {no_secret, WC_RECORD_REPLACE},
        {a_key_set, WC_RECORD_REPLACE},
        {suspended, WC_RECORD_REPLACE},
        {only_private, WC_RECORD_REPLACE},
        {another_host, WC_RECORD_REPLACE},
        {another_port, WC_RECORD_REPLACE},
        {another_database, WC_RECORD_REPLACE},
        {another_user, WC_RECORD_REPLACE},
        {another_password, WC_RECORD_REPLACE},
        {another_publication, WC_RECORD_REPLACE},
        {another_slot, WC_RECORD_REPLACE},
        {a_permanent_slot, WC_RECORD_REPLACE},
        {no_tls, WC_RECORD_REPLACE},
        {a_larger_pool, WC_RECORD_REPLACE},
        {smaller_records, WC_RECORD_REPLACE},
        {no_database, WC_RECORD_REPLACE},
    };
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        if (changed(each[i].change) != each[i].is)
            fail_msg("change %zu is not %d", i, (int)each[i].is);
}

static void a_copy_is_independent_of_what_it_was_made_from(void **state)
{
    (void)state;
    struct wc_record *a = tenant(), *b = wc_record_copy(a);
    assert_non_null(b);
    assert_ptr_not_equal(a->jwt_secret, b->jwt_secret);
    wc_record_free(a);
    assert_string_equal(b->external_id, "t1");
    assert_string_equal(b->jwt_secret, "secret");
    assert_string_equal(b->database.host, "db.example.com");
    assert_null(b->jwt_jwks);
    assert_int_equal(b->max_events_per_second, 100);
    wc_record_free(b);
}

static void a_new_tenant_has_what_the_reference_gives_it(void **state)
{
    (void)state;
    struct wc_record *r = wc_record_new("t1");
    assert_non_null(r);
    assert_string_equal(r->external_id, "t1");
    assert_string_equal(r->name, "t1");
    assert_string_equal(r->postgres_cdc_default, "postgres_cdc_rls");
    assert_string_equal(r->feature_flags, "{}");
    assert_int_equal(r->max_concurrent_users, 200);
    assert_int_equal(r->max_bytes_per_second, 100000);
    assert_int_equal(r->max_payload_kb, 3000);
    assert_false(r->has_database || r->suspend || r->private_only || r->presence_enabled);
    assert_null(r->database.host);
    assert_true(wc_record_add_database(r));
    assert_true(r->has_database && r->database.ssl_enforced);
    assert_string_equal(r->database.publication, "supabase_realtime");
    assert_string_equal(r->database.slot_name, "supabase_realtime_replication_slot");
    assert_string_equal(r->database.settings,
                        "{\"poll_interval_ms\":100,\"poll_max_changes\":100}");
    assert_int_equal(r->database.max_record_bytes, 1048576);
    wc_record_free(r);
}

static void a_string_can_be_set_to_a_part_of_itself(void **state)
{
    (void)state;
    struct wc_record *r = tenant();
    assert_true(wc_record_set(&r->jwt_secret, r->jwt_secret + 3));
    assert_string_equal(r->jwt_secret, "ret");
    wc_record_free(r);
    wc_record_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_apart_by_what_clients_notice),
        cmocka_unit_test(a_copy_is_independent_of_what_it_was_made_from),
        cmocka_unit_test(a_new_tenant_has_what_the_reference_gives_it),
        cmocka_unit_test(a_string_can_be_set_to_a_part_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
