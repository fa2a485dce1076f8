#include "bridge/cli/tool.h"

#include <stdio.h>
#include <unistd.h>

enum { TEXT_CAP = 64 << 10 };

/* True: it was there, and is taken out. */
static bool take_flag(const char *flag, int *argc, char **argv)
{
    int kept = 0, before = *argc;
    for (int i = 0; i < before; i++)
        if (strcmp(argv[i], flag) != 0)
            argv[kept++] = argv[i];
    *argc = kept;
    return kept < before;
}

int wc_cli_run(const struct wc_cli_tool *tool, int argc, char **argv)
{
    struct wc_buf text;
    wc_buf_init(&text, TEXT_CAP);
    bool has_flag = take_flag(tool->flag, &argc, argv);
    if (wc_config_wants_help(argc, argv)) {
        (void)puts(tool->usage);
        wc_config_help(&text);
        (void)fwrite(text.p, 1, text.len, stdout); /* a closed terminal has nobody to tell */
        wc_buf_release(&text);
        return 0;
    }
    const struct wc_config_input in = {
        .use = WC_CONFIG_TOOL, .argc = argc, .argv = argv, .env = environ};
    struct wc_config *config = NULL;
    int status = 2;
    if (wc_config_load(&in, &text, &config) == WC_OK)
        status = tool->run(config, has_flag);
    else
        (void)fprintf(stderr, "%.*s", WC_SLICE_ARG(wc_buf_view(&text)));
    wc_config_free(config);
    wc_buf_release(&text);
    return status;
}
