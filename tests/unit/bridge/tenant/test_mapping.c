/* What a record means for a tenant: TLS, slots, logins, limits. */
#include "bridge/authz/authz.h"
#include "bridge/tenant/mapping_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_record *record_with_database(void)
{
    struct wc_record *r = wc_record_new("t");
    assert_non_null(r);
    assert_true(wc_record_add_database(r));
    struct wc_record_database *d = &r->database;
    assert_true(wc_record_set(&d->host, "db.example.com") && wc_record_set(&d->port, "5433") &&
                wc_record_set(&d->name, "app") && wc_record_set(&d->user, "u") &&
                wc_record_set(&d->password, "p"));
    return r;
}

static const struct wc_tenant_options plain = {.pg = {.sslrootcert = ""}, .publications = "other"};

static void enforced_tls_is_verified_where_an_authority_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *sslmode, *authority;
        bool is_enforced;
        const char *expected;
    } table[] = {{NULL, "", true, "require"},    {NULL, "ca.pem", true, "verify-full"},
                 {NULL, "", false, "disable"},   {NULL, "ca.pem", false, "disable"},
                 {"prefer", "", true, "prefer"}, {"verify-ca", "ca.pem", false, "verify-ca"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_record *r = record_with_database();
        struct wc_tenant_options o, defaults = plain;
        char slot[WC_SLOT_NAME];
        defaults.pg.sslmode = table[i].sslmode;
        defaults.pg.sslrootcert = table[i].authority;
        r->database.ssl_enforced = table[i].is_enforced;
        wc_tenant_map_record(r, &defaults, "", slot, &o);
        assert_string_equal(o.pg.sslmode, table[i].expected);
        assert_string_equal(o.pg.sslrootcert, table[i].authority);
        wc_record_free(r);
    }
}

static void a_pool_has_a_bound_whatever_the_record_says(void **state)
{
    (void)state;
    struct wc_record *r = record_with_database();
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    r->database.pool = 1000;
    wc_tenant_map_record(r, &plain, "", slot, &o);
    assert_int_equal(o.pool, WC_AUTHZ_POOL_MAX);
    wc_record_free(r);
}

static void the_database_is_the_records(void **state)
{
    (void)state;
    struct wc_record *r = record_with_database();
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    r->database.pool = 7;
    r->database.max_record_bytes = 8;
    wc_tenant_map_record(r, &plain, "", slot, &o);
    assert_string_equal(o.external_id, "t");
    assert_string_equal(o.pg.host, "db.example.com");
    assert_int_equal(o.pg.port, 5433);
    assert_string_equal(o.pg.dbname, "app");
    assert_string_equal(o.pg.user, "u");
    assert_string_equal(o.pg.password, "p");
    assert_string_equal(o.judge.pg.user, "u");
    assert_string_equal(o.judge.pg.password, "p");
    assert_string_equal(o.publications, "supabase_realtime");
    assert_int_equal(o.pool, 7);
    assert_int_equal(o.max_record_bytes, 8);
    assert_null(o.keys);
    wc_record_free(r);
}

static void a_slot_is_permanent_only_where_the_record_says_so(void **state)
{
    (void)state;
    struct wc_record *r = record_with_database();
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    wc_tenant_map_record(r, &plain, "", slot, &o);
    assert_string_equal(o.slot_name, "");
    r->database.permanent_slot = true;
    wc_tenant_map_record(r, &plain, "", slot, &o);
    assert_string_equal(o.slot_name, r->database.slot_name);
    wc_tenant_map_record(r, &plain, "green", slot, &o);
    assert_string_equal(o.slot_name, "supabase_realtime_replication_slot_green");
    wc_record_free(r);
}

static void checks_use_their_own_login_where_there_is_one(void **state)
{
    (void)state;
    struct wc_record *r = record_with_database();
    struct wc_tenant_options o, defaults = plain;
    char slot[WC_SLOT_NAME];
    defaults.judge.pg.user = "checks";
    defaults.judge.pg.password = "c";
    wc_tenant_map_record(r, &defaults, "", slot, &o);
    assert_string_equal(o.judge.pg.user, "checks");
    assert_string_equal(o.judge.pg.password, "c");
    wc_record_free(r);
}

static void without_a_database_there_is_none(void **state)
{
    (void)state;
    struct wc_record *r = wc_record_new("t");
    struct wc_tenant_options o;
    char slot[WC_SLOT_NAME];
    assert_non_null(r);
    r->suspend = r->private_only = r->presence_enabled = true;
    r->max_payload_kb = 9;
    wc_tenant_map_record(r, &plain, "", slot, &o);
    assert_string_equal(o.pg.host, "");
    assert_true(o.is_suspended && o.private_only && o.limits.presence_enabled);
    assert_int_equal(o.limits.max_payload_kb, 9);
    wc_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enforced_tls_is_verified_where_an_authority_is_named),
        cmocka_unit_test(a_pool_has_a_bound_whatever_the_record_says),
        cmocka_unit_test(the_database_is_the_records),
        cmocka_unit_test(a_slot_is_permanent_only_where_the_record_says_so),
        cmocka_unit_test(checks_use_their_own_login_where_there_is_one),
        cmocka_unit_test(without_a_database_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
