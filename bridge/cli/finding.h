/* What `walcast check` found out: one line for people, or one JSON object. Pure. */
#ifndef WC_BRIDGE_CLI_FINDING_H
#define WC_BRIDGE_CLI_FINDING_H

struct wc_cli_finding {
    const char *level;  /* ok, info, warn, fail */
    const char *reason; /* a stable code */
    const char *what;
    const char *remedy; /* or empty */
};

typedef void (*wc_cli_finding_fn)(void *arg, const struct wc_cli_finding *);

#endif
