/*
 * Lines: those that begin with '-' are arguments, the others environment variables. A snapshot
 * comes with no complaint and reloads into itself; a refusal says why, in lines that cannot be
 * forged.
 */
#include "base/assert.h"
#include "bridge/config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

struct lines {
    char *env[LINES_MAX + 1];
    char *argv[LINES_MAX + 1];
    int nenv, argc;
};

static void split(char *text, struct lines *out)
{
    static char command[] = "serve";
    out->argv[out->argc++] = command;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (line[0] == '-' && out->argc < LINES_MAX)
            out->argv[out->argc++] = line;
        else if (line[0] != '-' && out->nenv < LINES_MAX)
            out->env[out->nenv++] = line;
    }
}

static void check_snapshot(const struct wc_config *c)
{
    WC_ASSERT(c->port >= 1 && c->port <= 65535);
    WC_ASSERT(c->ring_entries >= 2 && (c->ring_entries & (c->ring_entries - 1)) == 0);
    WC_ASSERT(strlen(c->slot_name) <= 63);
    WC_ASSERT(c->jwt_secret[0] != '\0');
    WC_ASSERT(wc_config_word_text(c->log_level) != NULL);
}

static void check_problems(struct wc_slice text)
{
    WC_ASSERT(text.len > 0 && text.p[text.len - 1] == '\n');
    for (size_t i = 0; i < text.len; i++)
        WC_ASSERT(text.p[i] == '\n' || (text.p[i] >= 0x20 && text.p[i] != 0x7f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines = {0};
    struct wc_buf problems;
    struct wc_config *c;
    struct wc_config *again;
    char *text = wc_slice_dup(wc_slice(data, size));
    WC_ASSERT(text != NULL);
    split(text, &lines);
    struct wc_config_input in = {
        .use = WC_CONFIG_SERVE, .argc = lines.argc, .argv = lines.argv, .env = lines.env};
    wc_buf_init(&problems, 1 << 20);
    enum wc_status status = wc_config_load(&in, &problems, &c);
    if (status == WC_OK) {
        WC_ASSERT(problems.len == 0);
        check_snapshot(c);
        WC_ASSERT(wc_config_reload(c, &in, &problems, &again) == WC_OK);
        WC_ASSERT(problems.len == 0);
        wc_config_free(again);
        wc_config_free(c);
    } else {
        WC_ASSERT(status == WC_INVALID);
        check_problems(wc_buf_view(&problems));
    }
    wc_buf_release(&problems);
    free(text);
    return 0;
}
