#include "bridge/pg/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { OPERATOR_WAIT_MS = 5000 };

static const struct {
    const char *sqlstate; /* a prefix: a class stands for all its codes */
    const char *words;    /* must occur in the message; NULL: any */
    struct wc_pg_reason reason;
} table[] = {
    {"28P01", NULL, {"password_refused", "check DB_USER and DB_PASSWORD", OPERATOR_WAIT_MS}},
    {"28000",
     NULL,
     {"login_refused", "check DB_USER, and that pg_hba.conf lets it connect to this database",
      OPERATOR_WAIT_MS}},
    {"3D000", NULL, {"database_missing", "check DB_NAME", OPERATOR_WAIT_MS}},
    {"42501",
     NULL,
     {"replication_not_permitted", "alter role <DB_USER> with replication", OPERATOR_WAIT_MS}},
    {"53300",
     NULL,
     {"no_free_sender", "raise max_wal_senders or max_connections, or stop another consumer",
      OPERATOR_WAIT_MS}},
    {"53400",
     NULL,
     {"no_free_slot", "raise max_replication_slots, or drop a slot that is no longer used",
      OPERATOR_WAIT_MS}},
    {"55006",
     NULL,
     {"slot_active",
      "another process reads this slot: stop it, or give this server a SLOT_NAME of its own", 0}},
    {"55000",
     "idle_timeout",
     {"slot_invalidated",
      "it was not read for too long: drop the slot (select pg_drop_replication_slot) and let it be "
      "made anew; raise idle_replication_slot_timeout",
      OPERATOR_WAIT_MS}},
    {"55000",
     "rows_removed",
     {"slot_invalidated",
      "the primary removed rows that it needs: drop the slot (select pg_drop_replication_slot) and "
      "let it be made anew; set hot_standby_feedback = on and give the standby a slot",
      OPERATOR_WAIT_MS}},
    {"55000",
     "synchronized",
     {"slot_not_promoted",
      "stream from the primary until this standby is promoted, or choose another SLOT_NAME",
      OPERATOR_WAIT_MS}},
    {"55000",
     "can no longer",
     {"slot_invalidated",
      "its WAL is gone: drop the slot (select pg_drop_replication_slot) and let it be made anew; "
      "raise max_slot_wal_keep_size",
      OPERATOR_WAIT_MS}},
    {"55000",
     "wal_level",
     {"wal_level_not_logical",
      "set wal_level = logical and restart the server; on a standby's "
      "primary as well",
      OPERATOR_WAIT_MS}},
    {"58P01",
     "has already been removed",
     {"slot_invalidated",
      "its WAL is gone: drop the slot (select pg_drop_replication_slot) and let it be made anew",
      OPERATOR_WAIT_MS}},
    {"42704",
     "replication slot",
     {"slot_missing", "none needed: a new one is made, which begins now", 0}},
    {"42704",
     "publication",
     {"publication_missing",
      "create publication <name>; if it exists by now, it is younger than what the slot has to "
      "read: "
      "drop the slot (select pg_drop_replication_slot) and let it be made anew",
      OPERATOR_WAIT_MS}},
    {"0A000",
     "column lists",
     {"publication_conflict", "give a table the same column list in every publication named",
      OPERATOR_WAIT_MS}},
    {"WALLV",
     NULL,
     {"wal_level_not_logical", "set wal_level = logical and restart the server", OPERATOR_WAIT_MS}},
    {"STDBY",
     NULL,
     {"standby_too_old", "stream from the primary: a standby can be streamed from since version 16",
      OPERATOR_WAIT_MS}},
    {"XWAIT",
     NULL,
     {"slot_waits_for_transaction",
      "wait, or end it: commit, rollback, select pg_terminate_backend(pid); a prepared one by "
      "commit prepared or rollback prepared",
      0}},
    {"RWAIT",
     NULL,
     {"slot_waits_for_primary", "on the primary: select pg_log_standby_snapshot()", 0}},
    {"QUIET",
     NULL,
     {"server_silent", "see whether its walsender process is stopped, and the network to it", 0}},
    {"SLAGS",
     NULL,
     {"slot_lag_too_high",
      "more is written than is read: look for slow policies, a database that does not answer, and "
      "clients that do not read; raise max_slot_wal_keep_size",
      0}},
    {"SLOT", NULL, {"slot_foreign", "choose another SLOT_NAME", OPERATOR_WAIT_MS}},
    {"MPUBX",
     NULL,
     {"messages_publication_missing", "run walcast migrate; it is taken up when it is there", 0}},
    {"MPUB0",
     NULL,
     {"messages_publication_empty",
      "alter publication supabase_realtime_messages_publication add table realtime.messages", 0}},
    {"MPUBT",
     NULL,
     {"messages_publication_foreign",
      "it is for realtime.messages only: alter publication supabase_realtime_messages_publication "
      "drop table ..., and add the table to the application's publication",
      0}},
    {"MPUBC",
     NULL,
     {"messages_publication_conflict",
      "drop publication supabase_realtime_messages_publication, and run walcast migrate", 0}},
    {"57P", NULL, {"server_stopping", "none needed: reconnects when the server is back", 0}},
    {"", "resolve host", {"host_unknown", "check DB_HOST", OPERATOR_WAIT_MS}},
    {"",
     "does not support SSL",
     {"tls_unavailable",
      "set ssl = on on the server, or do not ask for it: DB_SSL, DB_SSLMODE, ssl_enforced",
      OPERATOR_WAIT_MS}},
    {"",
     "certificate",
     {"certificate_refused",
      "DB_SSL_CA_CERT (TENANT_DB_SSL_CA_CERT for tenants of the control store) must name the file "
      "of "
      "the authority that signed the server's certificate, which must name the host",
      OPERATOR_WAIT_MS}},
    {"",
     "closed the connection",
     {"connection_lost", "none needed: reconnects; the server's log says why it ended it", 0}},
    {"",
     NULL,
     {"connection_failed", "check DB_HOST and DB_PORT, and that the server is running", 0}},
};

struct wc_pg_reason wc_pg_reason(const char *sqlstate, const char *message)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n = strlen(table[i].sqlstate);
        bool code = n ? strncmp(sqlstate, table[i].sqlstate, n) == 0 : sqlstate[0] == '\0';
        if (code && (!table[i].words || strstr(message, table[i].words)))
            return table[i].reason;
    }
    return (struct wc_pg_reason){"stream_failed", "see the server's log", 0};
}
