#include "bridge/pg/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    const char *sqlstate, *message, *event;
    bool needs_operator;
} table[] = {
    /* texts as PostgreSQL 15 and libpq 15 write them */
    {"28P01", "password authentication failed for user \"u\"", "password_refused", true},
    {"28000", "no pg_hba.conf entry for replication connection from host \"::1\", user \"u\"",
     "login_refused", true},
    {"28000", "role \"nobody\" does not exist", "login_refused", true},
    {"3D000", "database \"nope\" does not exist", "database_missing", true},
    {"42501", "must be superuser or replication role to start walsender",
     "replication_not_permitted", true},
    {"53300", "number of requested standby connections exceeds max_wal_senders (currently 10)",
     "no_free_sender", true},
    {"53400", "all replication slots are in use", "no_free_slot", true},
    {"55006", "replication slot \"s\" is active for PID 4711", "slot_active", false},
    {"55000", "can no longer get changes from replication slot \"s\"", "slot_invalidated", true},
    {"55000",
     "can no longer access replication slot \"s\": This replication slot has been invalidated due "
     "to "
     "\"idle_timeout\".",
     "slot_invalidated", true},
    {"55000", "can no longer read slot s: it is lost, reason rows_removed", "slot_invalidated",
     true},
    {"55000",
     "cannot use replication slot \"s\" for logical decoding: This replication slot is being "
     "synchronized from the primary server.",
     "slot_not_promoted", true},
    {"55000", "logical decoding on standby requires \"wal_level\" >= \"logical\" on the primary",
     "wal_level_not_logical", true},
    {"58P01", "requested WAL segment 000000010000000000000001 has already been removed",
     "slot_invalidated", true},
    {"55000", "logical decoding cannot be used while in recovery", "stream_failed", false},
    {"42704", "publication \"p\" does not exist", "publication_missing", true},
    {"42704", "replication slot \"s\" does not exist", "slot_missing", false},
    {"42704", "skipped loading publication \"p\"", "publication_missing", true},
    {"42704", "type \"t\" does not exist", "stream_failed", false},
    {"0A000", "cannot use different column lists for table \"public.t\" in different publications",
     "publication_conflict", true},
    {"0A000", "this feature is not supported", "stream_failed", false},
    {"57P01", "terminating connection due to administrator command", "server_stopping", false},
    {"57P02", "terminating connection because of crash of another server process",
     "server_stopping", false},
    {"57P03", "the database system is starting up", "server_stopping", false},
    {"57014", "canceling statement due to user request", "stream_failed", false},
    {"XX000", "cache lookup failed for relation 1", "stream_failed", false},
    {"WALLV", "", "wal_level_not_logical", true},
    {"SLOT", "", "slot_foreign", true},
    {"SLAGS", "", "slot_lag_too_high", false},
    {"STDBY", "", "standby_too_old", true},
    {"XWAIT", "", "slot_waits_for_transaction", false},
    {"RWAIT", "", "slot_waits_for_primary", false},
    {"QUIET", "", "server_silent", false},
    {"", "could not resolve host \"nope\": unknown node or service", "host_unknown", true},
    {"", "server does not support SSL, but SSL was required", "tls_unavailable", true},
    {"", "root certificate file \"/root.crt\" does not exist", "certificate_refused", true},
    {"", "connection to server at \"::1\", port 1 failed: Connection refused", "connection_failed",
     false},
    {"", "server closed the connection unexpectedly", "connection_lost", false},
    {"", "", "connection_failed", false},
};

static void each_failure_has_its_event_hint_and_patience(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_pg_reason r = wc_pg_reason(table[i].sqlstate, table[i].message);
        assert_string_equal(r.event, table[i].event);
        assert_true(r.hint[0] != '\0');
        assert_int_equal(r.least_wait_ms, table[i].needs_operator ? 5000 : 0);
    }
}

/* A server that spoke is never taken for one that did not answer, and a code that only begins alike
 * is another one. */
static void a_code_is_compared_whole(void **state)
{
    (void)state;
    static const char *const codes[] = {"28P02", "3D00", "42000", "5", "00000", "58P01"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_string_equal(wc_pg_reason(codes[i], "does not support SSL").event, "stream_failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_event_hint_and_patience),
        cmocka_unit_test(a_code_is_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
