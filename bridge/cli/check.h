/*
 * `walcast check`: connects to the database of the settings (DB_*, PUBLICATIONS, SLOT_NAME) and
 * reports what streaming needs, one line each with a remedy:
 *
 *   ok    wal_level is logical
 *   fail  publication supabase_realtime does not exist: create publication supabase_realtime
 *
 * Threads: main only. Returns the exit status: 0, 1 (a `fail`, or no connection), 2 (usage).
 */
#ifndef WC_BRIDGE_CLI_CHECK_H
#define WC_BRIDGE_CLI_CHECK_H

int wc_cli_check(int argc, char **argv);

#endif
