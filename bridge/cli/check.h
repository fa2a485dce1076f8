/*
 * `walcast check`: connects to the database of the settings (DB_*, PUBLICATIONS, SLOT_NAME) and
 * reports what streaming needs and why changes of a table may not arrive, one line each with a
 * stable reason code and a remedy; with --json as objects {level, reason, finding, remedy}:
 *
 *   ok    wal_level is logical [wal_level]
 *   fail  publication supabase_realtime does not exist [publication]: create publication ...
 *
 * Threads: main only. Returns the exit status: 0, 1 (a `fail`, or no connection), 2 (usage).
 */
#ifndef WC_BRIDGE_CLI_CHECK_H
#define WC_BRIDGE_CLI_CHECK_H

int wc_cli_check(int argc, char **argv);

#endif
