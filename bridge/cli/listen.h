/*
 * `walcast listen`: a Realtime client for the terminal. One channel with one binding, in the second
 * version of the Phoenix serializer; one JSON line per change (the message's `data`) on standard
 * output, what happens to the connection on standard error. Lost connections are opened again, with
 * capped and jittered back-off; a refusal is final.
 * Threads: runs its own loop until the end; uses SIGINT and SIGTERM meanwhile.
 * Source: protocol reference sections 1, 2.2, 3 and 6.
 */
#ifndef WC_BRIDGE_CLI_LISTEN_H
#define WC_BRIDGE_CLI_LISTEN_H

/* argv[0] is the command's name; the options follow. Returns the exit code: 0 when --count changes
 * were printed or a signal asked for the end, 1 when refused or failed, 2 for a usage error. */
int wc_cli_listen(int argc, char **argv);

#endif
