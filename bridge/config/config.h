/*
 * Settings: the table settings.def read from the environment, options and a file into an immutable
 * snapshot.
 *
 * SLOT_NAME in the environment is --slot-name=VALUE or --slot-name VALUE on the command line, which
 * wins; of a repeated option the last one counts. What neither gives may come from the file named
 * by SETTINGS_FILE (file.h). An empty environment variable counts as unset, an
 * empty option does not. Words are read in any case.
 * Ownership: a snapshot owns its strings; wc_config_free wipes the secrets. Threads: pure; a
 * snapshot may be read by any. Errors: INVALID, with a line for each thing wrong (never the value
 * of a secret); NOMEM.
 */
#ifndef WC_BRIDGE_CONFIG_CONFIG_H
#define WC_BRIDGE_CONFIG_CONFIG_H

#include "base/buf.h"

enum wc_config_word {
#define WC_SETTING(...)
#define WC_WORD(setting, symbol, text) symbol,
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
};

#define WC_FIELD_TEXT  const char *
#define WC_FIELD_IDENT const char *
#define WC_FIELD_INT   uint32_t
#define WC_FIELD_POW2  uint32_t
#define WC_FIELD_WORD  enum wc_config_word

struct wc_config {
#define WC_SETTING(symbol, name, type, ...) WC_FIELD_##type symbol;
#define WC_WORD(setting, symbol, text)
#include "bridge/config/settings.def"
#undef WC_WORD
#undef WC_SETTING
};

#undef WC_FIELD_TEXT
#undef WC_FIELD_IDENT
#undef WC_FIELD_INT
#undef WC_FIELD_POW2
#undef WC_FIELD_WORD

enum wc_config_use {
    WC_CONFIG_SERVE, /* what has no default must be set */
    WC_CONFIG_TOOL,  /* what has no default may be empty */
};

struct wc_config_input {
    enum wc_config_use use;
    int argc; /* 0, or argv[0] is the command and the options follow */
    char *const *argv;
    char *const *env; /* "NAME=value" strings up to a NULL, as environ; NULL: none */
};

/* *out is returned owned. Lines about what is wrong are appended to `problems`. */
WC_MUST_USE
enum wc_status wc_config_load(const struct wc_config_input *, struct wc_buf *problems,
                              struct wc_config **out);

/* A new snapshot for a running server: settings that take effect while running are read anew, the
 * others keep the value of `now`, with a line in `notes` for each that would have changed. When the
 * input is invalid `notes` says why. Publishing the snapshot is up to the caller. */
WC_MUST_USE
enum wc_status wc_config_reload(const struct wc_config *now, const struct wc_config_input *,
                                struct wc_buf *notes, struct wc_config **out);

void wc_config_free(struct wc_config *); /* NULL is fine */

const char *wc_config_word_text(enum wc_config_word);

/* True when --help or -h is among the arguments (argv[0] is skipped). */
bool wc_config_wants_help(int argc, char *const *argv);
void wc_config_help(struct wc_buf *out);   /* the options, for a terminal */
void wc_config_readme(struct wc_buf *out); /* the same as a Markdown table */

/* Settings of Supabase Realtime that do nothing here (accepted.def): the names of those that are
 * set, separated by commas; and all of them, with the reasons, as a Markdown table. */
void wc_config_accepted(char *const *env, struct wc_buf *out);
void wc_config_readme_accepted(struct wc_buf *out);

#endif
