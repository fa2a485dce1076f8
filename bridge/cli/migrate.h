/*
 * `walcast migrate`: makes in the database of the settings (DB_*) what private channels and
 * broadcasts from SQL need and what is missing of it, one line each:
 *
 *   ok    realtime.messages
 *   fail  schema realtime: permission denied for database app: grant create on database ...
 *
 *   --roles        also the roles anon, authenticated and service_role, and the functions
 * auth.uid(), auth.role(), auth.jwt() and auth.email(), for a Postgres that has none
 *
 * Can be repeated at any time, also while others do the same. Needs no superuser, except to create
 * service_role, which bypasses row security.
 * Threads: main only. Returns the exit status: 0, 1 (something failed, or no connection), 2
 * (usage). Source: database reference sections 1, 7.5, 8.
 */
#ifndef WC_BRIDGE_CLI_MIGRATE_H
#define WC_BRIDGE_CLI_MIGRATE_H

int wc_cli_migrate(int argc, char **argv);

#endif
