#include "base/log.h"
#include "bridge/app.h"
#include "bridge/cli/check.h"
#include "bridge/cli/listen.h"
#include "bridge/cli/migrate.h"
#include "bridge/cli/token.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "walcast " WC_VERSION ": from the Postgres write-ahead log to WebSocket clients\n"
    "\n"
    "usage: walcast COMMAND [OPTIONS]\n"
    "\n"
    "  serve    stream a database to WebSocket clients (needs DB_*, and JWT_SECRET or a key)\n"
    "  check    say whether a database is ready to be streamed, and what to do if not\n"
    "  migrate  make in a database what private channels and broadcasts from SQL need\n"
    "  listen   print changes as a client sees them\n"
    "  token    mint a token for development\n"
    "\n"
    "  walcast COMMAND --help   the options of a command\n"
    "  walcast --version\n";

static int serve(int argc, char **argv)
{
    struct wc_buf text;
    wc_buf_init(&text, 64 << 10);
    if (wc_config_wants_help(argc, argv)) {
        wc_config_help(&text);
        (void)fwrite(text.p, 1, text.len, stdout); /* a closed terminal has nobody to tell */
        wc_buf_release(&text);
        return 0;
    }
    const struct wc_config_input in = {
        .use = WC_CONFIG_SERVE, .argc = argc, .argv = argv, .env = environ};
    struct wc_config *config = NULL;
    enum wc_status st = wc_config_load(&in, &text, &config);
    if (st != WC_OK)
        (void)fprintf(stderr, "%.*swalcast serve --help lists the settings\n",
                      WC_SLICE_ARG(wc_buf_view(&text)));
    wc_buf_release(&text);
    return st == WC_OK ? wc_app_serve(config, argc, argv) : 2;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"serve", serve},
                    {"check", wc_cli_check},
                    {"migrate", wc_cli_migrate},
                    {"listen", wc_cli_listen},
                    {"token", wc_cli_token}};
    const char *word = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0)
        return puts("walcast " WC_VERSION) < 0;
    bool asked = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
    if (word[0] && !asked)
        (void)fprintf(stderr, "walcast: unknown command \"%s\"\n\n", word);
    (void)fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
}
