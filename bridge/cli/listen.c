#include "bridge/cli/listen.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <uv.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "fanout/wsclient.h"
#include "fanout/wsurl.h"

#define TOPIC    "realtime:walcast-listen"
#define JOIN_REF 1 /* the first ref of a connection; heartbeats count on from there */
#define HEARTBEAT_MS                                                                               \
    25000 /* what every Realtime client uses; servers close after 60 s of silence */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 10000

/* A message holds one row, at most 64 MiB of it; a million values is more columns and JSON than a
 * row can have without passing that. */
#define ARENA_CAP ((size_t)256 << 20)
static const struct wc_json_limits JSON_LIMITS = {.depth = 512, .nodes = 1000000};

static const char USAGE[] =
    "usage: walcast listen [options]\n"
    "Prints one JSON line per change of the database, as it arrives over the WebSocket.\n"
    "\n"
    "  --url URL        the server, ws:// or wss:// (ws://127.0.0.1:4000/socket); /websocket is\n"
    "                   added where it is missing, as realtime-js does\n"
    "  --token JWT      with claims role and exp; better in WALCAST_TOKEN, where `ps` does not\n"
    "                   show it\n"
    "  --schema NAME    (public)\n"
    "  --table NAME     (*: every table of the publication)\n"
    "  --event NAME     INSERT, UPDATE, DELETE or * (*)\n"
    "  --filter TEXT    for instance id=eq.1; needs --table\n"
    "  --count N        end after N changes\n"
    "  --help\n";

struct options {
    const char *url, *token, *schema, *table, *event, *filter;
    uint64_t count; /* 0: no end */
};

struct listener {
    const struct options *opt;
    char *url; /* with path and query */
    struct wc_arena arena;

    uv_loop_t loop;
    uv_timer_t heartbeat, retry;
    uv_signal_t on_int, on_term;
    struct wc_wsclient *ws; /* NULL between two connections */

    uint64_t last_ref;
    bool heartbeat_unanswered;
    unsigned failures; /* connections since the last that got as far as "subscribed" */
    uint64_t printed;
    bool ended;
    int exit_code;
};

/* ── what the user is told ────────────────────────────────────────────────────────────────── */

/* One line on standard error. Much of the text comes from the peer: control bytes, which could
 * drive the terminal, become question marks. */
static void status(const char *fmt, ...) WC_PRINTF(1, 2);
static void status(const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap); /* cut when too long */
    va_end(ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    fprintf(stderr, "walcast listen: %s\n", line);
}

struct advice {
    const char *about; /* beginning of the server's text */
    bool retry;
    const char *hint;
};

#define NEW_TOKEN "make a new one with `walcast token` and give it with --token or WALCAST_TOKEN"

static const struct advice ADVICE[] = {
    {"InvalidJWTToken", false, NEW_TOKEN},
    {"MalformedJWT", false, NEW_TOKEN},
    {"JwtSignatureError", false, "the token was signed with another secret than the server's"},
    {"Token has expired", false, NEW_TOKEN},
    {"Unable to subscribe to changes with given parameters. An exception happened", false,
     "check column and value of --filter"},
    {"Unable to subscribe", false,
     "does the table exist, and is it in the server's publication? `walcast check` tells"},
    {"Error parsing `filter`", false, "a filter is column=operator.value, for instance id=eq.1"},
    {"RealtimeRestarting", true, ""},
    {"InitializingProjectConnection", true, ""},
    {"UnableToConnectToProject", true, ""},
    {"DatabaseLackOfConnections", true, ""},
    {"DatabaseConnectionRateLimitReached", true, ""},
    {"ClientJoinRateLimitReached", true, ""},
    {"TimeoutOnRpcCall", true, ""},
    {"ErrorOnRpcCall", true, ""},
};

static const struct advice *advice_for(struct wc_slice text)
{
    static const struct advice NONE = {"", false, ""};

    for (size_t i = 0; i < sizeof ADVICE / sizeof *ADVICE; i++) {
        size_t n = strlen(ADVICE[i].about);
        if (text.len >= n && memcmp(text.p, ADVICE[i].about, n) == 0)
            return &ADVICE[i];
    }
    return &NONE;
}

static const char *advice_for_http(unsigned code)
{
    if (code == 401)
        return NEW_TOKEN;
    if (code == 404)
        return "is this a Realtime server, and the path right?";
    return "";
}

static void report(const char *what, struct wc_slice text, const char *hint)
{
    status("%s%s%.*s%s%s", what, text.len ? ": " : "", WC_SLICE_ARG(text), *hint ? "; " : "", hint);
}

/* ── life of the listener ─────────────────────────────────────────────────────────────────── */

static void finish(struct listener *l, int exit_code)
{
    if (l->ended)
        return;
    l->ended = true;
    l->exit_code = exit_code;
    uv_close((uv_handle_t *)&l->heartbeat, NULL);
    uv_close((uv_handle_t *)&l->retry, NULL);
    uv_close((uv_handle_t *)&l->on_int, NULL);
    uv_close((uv_handle_t *)&l->on_term, NULL);
    if (l->ws)
        wc_wsclient_close(l->ws);
}

static void send_frame(struct listener *l, struct wc_buf *frame)
{
    enum wc_status st = frame->status;

    if (st == WC_OK)
        st = wc_wsclient_send(l->ws, wc_buf_view(frame));
    wc_buf_release(frame);
    if (st != WC_OK && st != WC_CLOSED) { /* on_close reports a closed connection */
        status("cannot send: %s", wc_status_text(st));
        finish(l, 1);
    }
}

static void append_member(struct wc_buf *b, const char *prefix, const char *key, const char *value)
{
    wc_buf_str(b, prefix);
    wc_jsonw_cstr(b, key);
    wc_buf_byte(b, ':');
    wc_jsonw_cstr(b, value);
}

static void send_join(struct listener *l)
{
    const struct options *o = l->opt;
    struct wc_buf b;

    wc_buf_init(&b, (size_t)1 << 20);
    l->last_ref = JOIN_REF;
    wc_buf_printf(&b, "[\"%d\",\"%d\",\"" TOPIC "\",\"phx_join\",{", JOIN_REF, JOIN_REF);
    wc_buf_str(&b, "\"config\":{\"private\":false,\"broadcast\":{\"ack\":false,\"self\":false},"
                   "\"presence\":{\"enabled\":false},\"postgres_changes\":[");
    append_member(&b, "{", "event", o->event);
    append_member(&b, ",", "schema", o->schema);
    append_member(&b, ",", "table", o->table);
    if (o->filter)
        append_member(&b, ",", "filter", o->filter);
    wc_buf_str(&b, "}]}");
    append_member(&b, ",", "access_token", o->token);
    wc_buf_str(&b, "}]");
    send_frame(l, &b);
}

static void on_heartbeat(uv_timer_t *t)
{
    struct listener *l = t->data;
    struct wc_buf b;

    if (l->heartbeat_unanswered) {
        status("the server does not answer heartbeats");
        uv_timer_stop(t);
        wc_wsclient_close(l->ws);
        return;
    }
    l->heartbeat_unanswered = true;
    wc_buf_init(&b, 256);
    wc_buf_printf(&b, "[null,\"%llu\",\"phoenix\",\"heartbeat\",{}]",
                  (unsigned long long)++l->last_ref);
    send_frame(l, &b);
}

/* ── messages ─────────────────────────────────────────────────────────────────────────────── */

struct message {
    struct wc_json json;
    struct wc_slice ref, topic, event; /* ref: empty when null */
    uint32_t payload;
};

static struct wc_slice string_at(struct listener *l, const struct wc_json *j, uint32_t node)
{
    struct wc_slice s = {0};

    return wc_json_string(j, node, &l->arena, &s) ? s : (struct wc_slice){0};
}

static struct wc_slice member(struct listener *l, const struct message *m, uint32_t object,
                              const char *key)
{
    return string_at(l, &m->json, wc_json_get(&m->json, object, key));
}

/* [join_ref, ref, topic, event, payload] */
static enum wc_status decode(struct listener *l, struct wc_slice text, struct message *m,
                             struct wc_err *err)
{
    enum wc_status st = wc_json_parse(&m->json, text, &l->arena, JSON_LIMITS, err);

    if (st != WC_OK)
        return st;
    if (wc_json_type(&m->json, 0) != WC_JSON_ARRAY || wc_json_count(&m->json, 0) < 5)
        return wc_err_set(err, WC_PROTO, "not an array of five");
    uint32_t ref = wc_json_next(&m->json, wc_json_first(&m->json, 0));
    uint32_t topic = wc_json_next(&m->json, ref);
    uint32_t event = wc_json_next(&m->json, topic);
    m->ref = string_at(l, &m->json, ref);
    m->topic = string_at(l, &m->json, topic);
    m->event = string_at(l, &m->json, event);
    m->payload = wc_json_next(&m->json, event);
    return WC_OK;
}

static void on_join_reply(struct listener *l, const struct message *m)
{
    uint32_t response = wc_json_get(&m->json, m->payload, "response");
    struct wc_slice reason = member(l, m, response, "reason");

    if (wc_slice_is(member(l, m, m->payload, "status"), "ok"))
        return; /* the outcome of the binding comes as a system message */
    const struct advice *a = advice_for(reason);
    report("the server refused the channel", reason, a->hint);
    if (a->retry)
        wc_wsclient_close(l->ws);
    else
        finish(l, 1);
}

static void on_system(struct listener *l, const struct message *m)
{
    struct wc_slice text = member(l, m, m->payload, "message");

    if (!wc_slice_is(member(l, m, m->payload, "status"), "ok")) {
        report("the server reports an error", text, advice_for(text)->hint);
        finish(l, 1);
        return;
    }
    if (wc_slice_is(member(l, m, m->payload, "extension"), "postgres_changes")) {
        l->failures = 0;
        report("subscribed", text, "");
    } else {
        report("the server says", text, "");
    }
}

/* The JSON text as it came, on one line: outside of strings, where JSON does not allow them, line
 * breaks are white space. */
static void on_change(struct listener *l, const struct message *m)
{
    struct wc_slice data = wc_json_raw(&m->json, wc_json_get(&m->json, m->payload, "data"));

    for (size_t i = 0; i < data.len; i++)
        putchar_unlocked(data.p[i] == '\n' || data.p[i] == '\r' ? ' ' : data.p[i]);
    putchar_unlocked('\n');
    if (ferror(stdout)) {
        status("cannot write to standard output");
        finish(l, 1);
        return;
    }
    if (++l->printed == l->opt->count)
        finish(l, 0);
}

static void on_channel_message(struct listener *l, const struct message *m)
{
    if (wc_slice_is(m->event, "postgres_changes")) {
        on_change(l, m);
    } else if (wc_slice_is(m->event, "system")) {
        on_system(l, m);
    } else if (wc_slice_is(m->event, "phx_reply")) {
        on_join_reply(l, m); /* the join is the only push on this topic */
    } else if (wc_slice_is(m->event, "phx_error") || wc_slice_is(m->event, "phx_close")) {
        status("the server ended the channel");
        wc_wsclient_close(l->ws);
    }
}

static void on_message(void *arg, struct wc_slice text, bool is_text)
{
    struct listener *l = arg;
    struct message m;
    struct wc_err err = {0};

    if (l->ended || !is_text) /* binary frames are broadcasts, which we did not ask for */
        return;
    wc_arena_reset(&l->arena);
    if (decode(l, text, &m, &err) != WC_OK) {
        status("the server sent something unreadable: %s at byte %zu", err.text, err.at);
        finish(l, 1);
    } else if (wc_slice_is(m.topic, TOPIC)) {
        on_channel_message(l, &m);
    } else if (wc_slice_is(m.topic, "phoenix")) {
        l->heartbeat_unanswered = false;
    }
}

/* ── connections ──────────────────────────────────────────────────────────────────────────── */

static void on_retry(uv_timer_t *);

static uint64_t retry_delay_ms(unsigned failures)
{
    uint64_t ceiling = RETRY_MIN_MS, random = 0;

    while (failures-- > 0 && ceiling < RETRY_MAX_MS)
        ceiling *= 2;
    if (ceiling > RETRY_MAX_MS)
        ceiling = RETRY_MAX_MS;
    (void)uv_random(NULL, NULL, &random, sizeof random, 0, NULL); /* on failure no jitter */
    return ceiling / 2 + random % (ceiling / 2 + 1);
}

static void retry_later(struct listener *l, const char *why)
{
    uint64_t delay_ms = retry_delay_ms(l->failures++);

    status("%s; next try in %.1f s", why, (double)delay_ms / 1000);
    uv_timer_start(&l->retry, on_retry, delay_ms, 0);
}

static void on_open(void *arg)
{
    struct listener *l = arg;

    l->heartbeat_unanswered = false;
    uv_timer_start(&l->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
    send_join(l);
}

/* A refused upgrade's body is {"error": "..."} from a Realtime server, anything from others. */
static void on_refused(struct listener *l, unsigned http_status, const char *body)
{
    struct message m = {0};
    struct wc_slice text = {0};
    char what[64];

    wc_arena_reset(&l->arena);
    if (wc_json_parse(&m.json, wc_slice_str(body), &l->arena, JSON_LIMITS, NULL) == WC_OK)
        text = member(l, &m, 0, "error");
    if (text.len == 0)
        text = wc_slice_str(body);
    (void)snprintf(what, sizeof what, "refused with HTTP status %u", http_status);
    if (http_status >= 400 && http_status < 500) {
        report(what, text, advice_for_http(http_status));
        finish(l, 1);
    } else {
        retry_later(l, what);
    }
}

static void on_close(void *arg, unsigned http_status, unsigned code, const char *why)
{
    struct listener *l = arg;
    char text[256];

    l->ws = NULL;
    if (l->ended)
        return;
    uv_timer_stop(&l->heartbeat);
    if (http_status) {
        on_refused(l, http_status, why);
        return;
    }
    if (code)
        (void)snprintf(text, sizeof text, "connection closed with code %u%s%s", code,
                       *why ? ", " : "", why);
    else
        (void)snprintf(text, sizeof text, "no connection: %s", why);
    retry_later(l, text);
}

static void connect_now(struct listener *l)
{
    static const struct wc_wsclient_events EVENTS = {on_open, on_message, on_close};
    struct wc_err err = {0};

    l->ws = wc_wsclient_open(&l->loop, l->url, &EVENTS, l, &err);
    if (!l->ws) {
        report(err.text, wc_slice_str(l->opt->url), err.hint);
        finish(l, 1);
    }
}

static void on_retry(uv_timer_t *t)
{
    connect_now(t->data);
}

static void on_signal(uv_signal_t *s, int signum)
{
    (void)signum;
    finish(s->data, 0);
}

/* ── options ──────────────────────────────────────────────────────────────────────────────── */

static bool parse_count(const char *text, uint64_t *out)
{
    uint64_t n = 0;

    for (; *text >= '0' && *text <= '9' && n < UINT64_MAX / 100; text++)
        n = n * 10 + (uint64_t)(*text - '0');
    if (*text || n == 0)
        return false;
    *out = n;
    return true;
}

static bool is_event(const char *s)
{
    return strcmp(s, "*") == 0 || strcasecmp(s, "insert") == 0 || strcasecmp(s, "update") == 0 ||
           strcasecmp(s, "delete") == 0;
}

/* Says what is wrong with the options taken together; NULL when nothing is. */
static const char *complaint(const struct options *o)
{
    const char *values[] = {o->token, o->schema, o->table, o->filter};

    if (!o->token)
        return "no token: give --token or WALCAST_TOKEN (`walcast token` makes one)";
    if (!is_event(o->event))
        return "--event must be INSERT, UPDATE, DELETE or *";
    if (o->filter && (strcmp(o->table, "*") == 0 || strcmp(o->schema, "*") == 0))
        return "--filter needs --table";
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i] && !wc_utf8_ok(wc_slice_str(values[i])))
            return "an option is not valid UTF-8";
    return NULL;
}

enum parsed { RUN, HELP, WRONG };

static enum parsed wrong(const char *why)
{
    fprintf(stderr, "walcast listen: %s\n%s", why, USAGE);
    return WRONG;
}

static enum parsed parse_options(int argc, char **argv, struct options *o)
{
    static const struct option LONG[] = {
        {"url", required_argument, NULL, 'u'},
        {"token", required_argument, NULL, 't'},
        {"schema", required_argument, NULL, 's'},
        {"table", required_argument, NULL, 'T'},
        {"event", required_argument, NULL, 'e'},
        {"filter", required_argument, NULL, 'f'},
        {"count", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    optind = 1;
    opterr = 0; /* getopt would print the whole word, which may hold the token */
    while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        switch (c) {
        case 'u': o->url = optarg; break;
        case 't': o->token = optarg; break;
        case 's': o->schema = optarg; break;
        case 'T': o->table = optarg; break;
        case 'e': o->event = optarg; break;
        case 'f': o->filter = optarg; break;
        case 'c':
            if (!parse_count(optarg, &o->count))
                return wrong("--count must be a whole number above 0");
            break;
        case 'h': return HELP;
        default: return wrong("an option is unknown, ambiguous or lacks its value");
        }
    }
    if (optind < argc)
        return wrong("there are only options");
    const char *why = complaint(o);
    return why ? wrong(why) : RUN;
}

static void append_percent_encoded(struct wc_buf *b, const char *s)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= '0' && *s <= '9') || strchr("-._~", *s);
        wc_buf_printf(b, plain ? "%c" : "%%%02X", (unsigned char)*s);
    }
}

/* As realtime-js completes its endpoint: "/socket" becomes "/socket/websocket". */
static void append_path(struct wc_buf *b, struct wc_slice path)
{
    static const char LAST[] = "/websocket";
    size_t n = sizeof LAST - 1;

    while (path.len && path.p[path.len - 1] == '/')
        path.len--;
    wc_buf_slice(b, path.len ? path : wc_slice_str("/socket"));
    if (path.len < n || memcmp(path.p + path.len - n, LAST, n) != 0)
        wc_buf_str(b, LAST);
}

/* Returns owned; NULL with *err filled. */
static char *full_url(const struct options *o, struct wc_err *err)
{
    struct wc_wsurl u;
    struct wc_buf b;
    char *url = NULL;

    if (wc_wsurl_parse(o->url, &u, err) != WC_OK)
        return NULL;
    wc_buf_init(&b, (size_t)64 << 10); /* wc_wsclient_open has the narrower limit */
    wc_buf_str(&b, u.tls ? "wss://" : "ws://");
    wc_buf_slice(&b, u.authority);
    append_path(&b, u.path);
    wc_buf_byte(&b, '?');
    wc_buf_slice(&b, u.query);
    wc_buf_str(&b, u.query.len ? "&vsn=2.0.0" : "vsn=2.0.0");
    wc_buf_str(&b, "&apikey=");
    append_percent_encoded(&b, o->token);
    if (b.status == WC_OK)
        url = wc_slice_dup(wc_buf_view(&b));
    if (!url)
        wc_err_set(err, b.status == WC_OK ? WC_NOMEM : b.status, "URL and token are too long");
    wc_buf_release(&b);
    return url;
}

/* ── */

static int start(struct listener *l)
{
    int rc = uv_loop_init(&l->loop);

    if (rc)
        return rc;
    uv_timer_init(&l->loop, &l->heartbeat);
    uv_timer_init(&l->loop, &l->retry);
    uv_signal_init(&l->loop, &l->on_int);
    uv_signal_init(&l->loop, &l->on_term);
    l->heartbeat.data = l->retry.data = l->on_int.data = l->on_term.data = l;
    if ((rc = uv_signal_start(&l->on_int, on_signal, SIGINT)) == 0)
        rc = uv_signal_start(&l->on_term, on_signal, SIGTERM);
    return rc;
}

static int run(const struct options *o, char *url)
{
    struct listener l = {.opt = o, .url = url};
    int rc = start(&l);

    if (rc) {
        status("cannot start: %s", uv_strerror(rc));
        return 1;
    }
    wc_arena_init(&l.arena, ARENA_CAP);
    (void)setvbuf(stdout, NULL, _IOLBF, (size_t)64 << 10); /* else: the default's, just slower */
    connect_now(&l);
    uv_run(&l.loop, UV_RUN_DEFAULT);
    uv_loop_close(&l.loop);
    wc_arena_release(&l.arena);
    return l.exit_code;
}

int wc_cli_listen(int argc, char **argv)
{
    struct options o = {.url = "ws://127.0.0.1:4000/socket",
                        .token = getenv("WALCAST_TOKEN"),
                        .schema = "public",
                        .table = "*",
                        .event = "*"};
    struct wc_err err = {0};

    switch (parse_options(argc, argv, &o)) {
    case RUN: break;
    case HELP: return fputs(USAGE, stdout) < 0 ? 1 : 0;
    case WRONG: return 2;
    }
    char *url = full_url(&o, &err);
    if (!url) {
        report(err.text, wc_slice_str(o.url), err.hint);
        return err.code == WC_INVALID ? 2 : 1;
    }
    int code = run(&o, url);
    free(url);
    return code;
}
