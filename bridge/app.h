/*
 * The server process: builds the object graph from a configuration, runs it until SIGINT or
 * SIGTERM, takes it down. A second one ends the process at once; SIGHUP reloads what can be
 * reloaded, until then. Threads: main. Returns the exit status: 0, or 1 when it could not start.
 */
#ifndef WC_BRIDGE_APP_H
#define WC_BRIDGE_APP_H

#include "bridge/config/config.h"

/* Takes the configuration; argc and argv are read again on SIGHUP. */
int wc_app_serve(struct wc_config *, int argc, char **argv);

#endif
