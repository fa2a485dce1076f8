/*
 * The settings file: lines NAME=value, as in an environment. Blank lines and lines that begin with
 * '#' are skipped, spaces around a name and at the ends of a line do not count; a value is taken as
 * it stands, without quotes.
 *
 * Ownership: owns its text, which may hold secrets and is wiped. Threads: pure but for reading.
 * Errors: INVALID with a line for each thing wrong, NOMEM. Limits: 64 KiB.
 */
#ifndef WC_BRIDGE_CONFIG_FILE_H
#define WC_BRIDGE_CONFIG_FILE_H

#include "base/buf.h"

struct wc_config_file {
    char *text;
    size_t len;
    char **line; /* "NAME=value" strings up to a NULL, as environ */
};

WC_MUST_USE
enum wc_status wc_config_file_read(const char *path, struct wc_config_file *out,
                                   struct wc_buf *problems);
void wc_config_file_release(struct wc_config_file *); /* zeroed is fine */

#endif
