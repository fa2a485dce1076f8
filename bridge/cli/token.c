#include "bridge/cli/token.h"

#include "auth/jwt.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/jsonw.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    TOKEN_MAX_BYTES = 64 * 1024, /* what wc_jwt_verify takes */
    DEFAULT_LIFE_S = 3600,
    LIFE_MAX_YEARS = 100,
};

static const int64_t life_max_s = LIFE_MAX_YEARS * INT64_C(366) * 24 * 3600;

static const char usage[] =
    "Usage: walcast token [options]\n"
    "\n"
    "Prints a JSON Web Token (HS256) for development.\n"
    "\n"
    "  --role ROLE          claim `role`, the SQL role of the client (default anon)\n"
    "  --expires-in SECONDS claim `exp`, from now (default 3600); negative: already expired\n"
    "  --claims JSON        an object with more claims, such as '{\"sub\":\"...\"}'\n"
    "  --secret SECRET      signing secret (default: the environment variable JWT_SECRET, which\n"
    "                       other users of this machine cannot see in the process list)\n"
    "  --help               this text\n";

struct options {
    const char *role, *expires_in, *claims, *secret; /* NULL: not given */
    bool help;
};

static int usage_error(const char *what, const char *value)
{
    (void)fprintf(stderr, "walcast token: %s%s%s; see walcast token --help\n", what,
                  value ? ": " : "", value ? value : "");
    return EXIT_USAGE;
}

static const char **find_option(struct options *o, struct wc_slice name)
{
    const struct {
        const char *name;
        const char **value;
    } table[] = {
        {"--role", &o->role},
        {"--expires-in", &o->expires_in},
        {"--claims", &o->claims},
        {"--secret", &o->secret},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (wc_slice_is(name, table[i].name))
            return table[i].value;
    return NULL;
}

static int read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            o->help = true;
            return EXIT_SUCCESS;
        }
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const char **value = find_option(o, wc_slice(argv[i], len));
        if (!value) {
            (void)fprintf(stderr, "walcast token: unknown option: %.*s; see walcast token --help\n",
                          (int)len, argv[i]); /* not its value, which may be a secret */
            return EXIT_USAGE;
        }
        if (equals)
            *value = equals + 1;
        else if (i + 1 < argc)
            *value = argv[++i];
        else
            return usage_error("needs a value", argv[i]);
    }
    return EXIT_SUCCESS;
}

static bool read_life(const char *text, int64_t *out)
{
    const char *digits = *text == '-' ? text + 1 : text;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 10 || digits[n] != '\0')
        return false;
    *out = strtoll(text, NULL, 10);
    return *out >= -life_max_s && *out <= life_max_s;
}

/* The claims as one JSON object: ours first, then the text between the braces of the given ones. */
static int build_payload(const struct options *o, int64_t life_s, const struct wc_json *claims,
                         struct wc_buf *out)
{
    int64_t now = wc_clock_wall() / 1000000;
    bool has_role = wc_json_get(claims, 0, "role") != WC_JSON_NONE;
    bool has_exp = wc_json_get(claims, 0, "exp") != WC_JSON_NONE;
    if (has_role && o->role)
        return usage_error("role is given both as an option and in --claims", NULL);
    if (has_exp && o->expires_in)
        return usage_error("exp is given both by --expires-in and in --claims", NULL);
    wc_buf_byte(out, '{');
    if (!has_role) {
        wc_buf_str(out, "\"role\":");
        wc_jsonw_cstr(out, o->role ? o->role : "anon");
        wc_buf_byte(out, ',');
    }
    if (wc_json_get(claims, 0, "iat") == WC_JSON_NONE)
        wc_buf_printf(out, "\"iat\":%lld,", (long long)(life_s < 0 ? now + life_s : now));
    if (!has_exp)
        wc_buf_printf(out, "\"exp\":%lld,", (long long)(now + life_s));
    struct wc_slice raw = wc_json_raw(claims, 0);
    if (wc_json_count(claims, 0) > 0)
        wc_buf_append(out, raw.p + 1, raw.len - 2);
    else if (out->len > 1)
        out->len--; /* the last comma */
    wc_buf_byte(out, '}');
    return EXIT_SUCCESS;
}

static int mint(const char *secret, struct wc_slice payload, struct wc_buf *token)
{
    struct wc_keyset *keys = wc_keyset_new(wc_slice_str(secret));
    enum wc_status status = keys ? wc_jwt_mint(keys, payload, token) : WC_NOMEM;
    wc_keyset_free(keys);
    if (status != WC_OK) {
        (void)fprintf(stderr, "walcast token: cannot sign: %s\n", wc_status_text(status));
        return EXIT_FAILED;
    }
    wc_buf_byte(token, '\n');
    if (token->status != WC_OK || fwrite(token->p, 1, token->len, stdout) != token->len ||
        fflush(stdout) != 0) {
        (void)fprintf(stderr, "walcast token: cannot write the token\n");
        return EXIT_FAILED;
    }
    return EXIT_SUCCESS;
}

static int run(const struct options *o, struct wc_arena *arena, struct wc_buf *payload,
               struct wc_buf *token)
{
    const char *secret = o->secret ? o->secret : getenv("JWT_SECRET");
    int64_t life_s = DEFAULT_LIFE_S;
    struct wc_json claims;
    struct wc_err err;
    if (!secret || !*secret)
        return usage_error("no secret: set JWT_SECRET or give --secret", NULL);
    if (o->role && (!*o->role || !wc_utf8_ok(wc_slice_str(o->role))))
        return usage_error("--role must be a role name in UTF-8", NULL);
    if (o->expires_in && !read_life(o->expires_in, &life_s))
        return usage_error("--expires-in must be a whole number of seconds within 100 years",
                           o->expires_in);
    struct wc_json_limits limits = {.depth = 64, .nodes = 4096}; /* what wc_jwt_verify takes */
    if (wc_json_parse(&claims, wc_slice_str(o->claims ? o->claims : "{}"), arena, limits, &err) !=
        WC_OK)
        return usage_error("--claims is not JSON", err.text);
    if (wc_json_type(&claims, 0) != WC_JSON_OBJECT)
        return usage_error("--claims must be a JSON object, such as '{\"sub\":\"1\"}'", NULL);
    int status = build_payload(o, life_s, &claims, payload);
    if (status == EXIT_SUCCESS && payload->status != WC_OK)
        return usage_error("the claims are too large", wc_status_text(payload->status));
    return status == EXIT_SUCCESS ? mint(secret, wc_buf_view(payload), token) : status;
}

int wc_cli_token(int argc, char **argv)
{
    struct options o = {0};
    int status = read_options(argc, argv, &o);
    if (status != EXIT_SUCCESS)
        return status;
    if (o.help)
        return fputs(usage, stdout) < 0 ? EXIT_FAILED : EXIT_SUCCESS;
    struct wc_arena arena;
    struct wc_buf payload, token;
    wc_arena_init(&arena, 1 << 20);
    wc_buf_init(&payload, TOKEN_MAX_BYTES / 2); /* base64 makes it a third larger */
    wc_buf_init(&token, TOKEN_MAX_BYTES);
    status = run(&o, &arena, &payload, &token);
    wc_buf_release(&token);
    wc_buf_release(&payload);
    wc_arena_release(&arena);
    return status;
}
