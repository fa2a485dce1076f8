/*
 * What commands that read the settings of a database have in common: an option of their own,
 * --help, and settings that are refused in words. Threads: main only.
 */
#ifndef WC_BRIDGE_CLI_TOOL_H
#define WC_BRIDGE_CLI_TOOL_H

#include "bridge/config/config.h"

#include <stdbool.h>

struct wc_cli_tool {
    const char *usage; /* what --help prints above the settings */
    const char *flag;  /* the command's own option, such as "--json"; it is no setting */
    int (*run)(const struct wc_config *, bool has_flag); /* returns the exit status */
};

/* Changes argv. Returns the exit status: that of run, 0 after --help, 2 for bad usage. */
int wc_cli_run(const struct wc_cli_tool *, int argc, char **argv);

#endif
