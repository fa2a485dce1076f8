/*
 * Drives bridge/authz/authz.h against a real database, by lines of tab-separated fields on standard
 * input. authz.mjs is its other half.
 *
 *   ask NUMBER WANTED ROLE CLAIMS TOPIC HEADERS [SINCE LIMIT]   WANTED: of r, p (read), w, q
 * (write); upper case for presence is not there: p and q are presence flood COUNT WANTED ROLE
 * CLAIMS TOPIC     as many questions at once; prints one line when all are answered: flood GRANTED
 * MS
 *   streamed XID       a row was streamed in this transaction
 *   anew               the stream began anew
 *
 * Answers, as they come: answer NUMBER PERMISSIONS ERROR [ID EVENT t|b PAYLOAD]...  (hex)
 *
 * The database is that of DB_HOST, DB_PORT, DB_NAME, DB_USER; POOL, SEARCH_PATH, and the times
 * STATEMENT_MS, REPLAY_MS, QUEUE_MS, ANSWER_MS, IDLE_MS, RETRY_MS, CONNECT_MS; MAX_PAYLOAD_KB.
 */
#include "base/clock.h"
#include "base/metrics.h"
#include "bridge/authz/authz.h"
#include "fanout/quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { FIELDS = 10, LINE_CAP = 1 << 20 };

static uv_loop_t loop;
static struct wc_mesh *mesh;
static struct wc_publisher *publisher;
static struct wc_authz *authz;
static struct wc_quota *quota;
static struct wc_tenant_view view;
static unsigned flood_left, flood_granted;
static wc_us flood_began;

enum { FLOOD = 1 << 30 }; /* a generation */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "authz_driver: %s\n", what);
    exit(2);
}

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

static uint32_t number(const char *name, uint32_t otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? (uint32_t)strtoul(value, NULL, 10) : otherwise;
}

/* ---- answers ---- */

static void print_hex(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        printf("%02x", s.p[i]);
}

static void print_replay(const struct wc_replay *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        printf("\t");
        print_hex(wc_slice(r->row[i].id, 16));
        printf("\t");
        print_hex(r->row[i].event);
        printf("\t%c\t", r->row[i].is_binary ? 'b' : 't');
        print_hex(r->row[i].payload);
    }
}

static void on_answer(const struct wc_msg *m)
{
    if (m->handle.generation == FLOOD) {
        flood_granted += m->error == WC_AUTHORIZE_OK && m->permissions;
        if (--flood_left == 0)
            printf("flood\t%u\t%.3f\n", flood_granted,
                   (double)(wc_clock_mono() - flood_began) / 1000);
        return;
    }
    printf("answer\t%u\t%u\t%u", m->handle.slot, m->permissions, m->error);
    if (m->replay)
        print_replay(m->replay);
    printf("\n");
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    uint64_t count;
    struct wc_msg *m;
    (void)!read(wc_mesh_eventfd(mesh, 0), &count, sizeof count); /* only resets it */
    wc_mesh_awake(mesh, 0);
    do {
        while ((m = wc_mesh_pop(mesh, 0, 0))) {
            if (m->kind != WC_MSG_PERMISSIONS)
                die("another kind of message");
            on_answer(m);
            wc_msg_unref(m);
        }
        wc_mesh_popped(mesh, 0);
    } while (!wc_mesh_sleep(mesh, 0, 0));
    (void)fflush(stdout);
}

static void on_space(void *arg)
{
    (void)arg;
    wc_publisher_flush(publisher);
}

/* ---- questions ---- */

static unsigned wanted_of(const char *letters)
{
    unsigned wanted = 0;
    for (const char *p = letters; *p; p++)
        wanted |= *p == 'r'   ? WC_MAY_READ_BROADCAST
                  : *p == 'p' ? WC_MAY_READ_PRESENCE
                  : *p == 'w' ? WC_MAY_WRITE_BROADCAST
                              : WC_MAY_WRITE_PRESENCE;
    return wanted;
}

static struct wc_claims *make_claims(const char *role, const char *json)
{
    size_t role_size = strlen(role) + 1, size = strlen(json) + 1;
    struct wc_claims *c = calloc(1, sizeof *c + role_size + size);
    if (!c)
        die("out of memory");
    char *text = (char *)(c + 1);
    c->refs = 1;
    c->role = wc_slice(memcpy(text, role, role_size), role_size - 1);
    c->json = wc_slice(memcpy(text + role_size, json, size), size - 1);
    return c;
}

static void ask(char **f, unsigned n, struct wc_handle handle)
{
    struct wc_claims *claims = make_claims(f[1], f[2]);
    const struct wc_authorize a = {.handle = handle,
                                   .tenant = &view,
                                   .claims = claims,
                                   .topic = wc_slice_str(f[3]),
                                   .headers = wc_slice_str(n > 4 ? f[4] : ""),
                                   .ask = wanted_of(f[0]),
                                   .wants_replay = n > 6,
                                   .replay_since_ms = n > 6 ? strtoll(f[5], NULL, 10) : 0,
                                   .replay_limit = n > 6 ? (uint32_t)strtoul(f[6], NULL, 10) : 0};
    struct wc_authorize *copy = wc_authorize_new(&a);
    if (!copy)
        die("out of memory");
    wc_claims_unref(claims);
    wc_authz_ask(authz, copy);
}

static void flood(char **f, unsigned n)
{
    flood_left = (uint32_t)strtoul(f[0], NULL, 10);
    flood_granted = 0;
    flood_began = wc_clock_mono();
    for (unsigned i = flood_left; i > 0; i--)
        ask(f + 1, n - 1, (struct wc_handle){.generation = FLOOD});
}

static void run(char *line)
{
    char *f[FIELDS];
    unsigned n = 0;
    for (char *p = line; p && n < FIELDS;) {
        char *tab = strchr(p, '\t');
        f[n++] = p;
        if (tab)
            *tab = '\0';
        p = tab ? tab + 1 : NULL;
    }
    if (strcmp(f[0], "ask") == 0 && n >= 6)
        ask(f + 2, n - 2, (struct wc_handle){.slot = (uint32_t)strtoul(f[1], NULL, 10)});
    else if (strcmp(f[0], "flood") == 0 && n == 6)
        flood(f + 1, n - 1);
    else if (strcmp(f[0], "streamed") == 0 && n == 2)
        wc_authz_note_streamed(authz, (wc_xid)strtoul(f[1], NULL, 10));
    else if (strcmp(f[0], "anew") == 0)
        wc_authz_forget_streamed(authz);
    else
        die("unknown command");
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)h;
    *buf = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void on_input(uv_stream_t *in, ssize_t n, const uv_buf_t *buf)
{
    static struct wc_buf lines;
    if (lines.cap == 0)
        wc_buf_init(&lines, LINE_CAP);
    if (n > 0) {
        wc_buf_append(&lines, buf->base, (size_t)n);
        for (uint8_t *end; lines.len && (end = memchr(lines.p, '\n', lines.len));) {
            *end = '\0';
            run((char *)lines.p);
            size_t used = (size_t)(end + 1 - lines.p);
            memmove(lines.p, end + 1, lines.len - used);
            lines.len -= used;
        }
    }
    free(buf->base);
    if (n < 0) {
        wc_buf_release(&lines);
        uv_close((uv_handle_t *)in, NULL);
        uv_stop(&loop);
    }
}

/* ---- life cycle ---- */

static void free_view(struct wc_tenant_view *v)
{
    (void)v;
}

static void make(void)
{
    const struct wc_tenant_limits limits = {.max_payload_kb = number("MAX_PAYLOAD_KB", 3000)};
    const struct wc_authz_times usual = wc_authz_times;
    const struct wc_authz_options o = {
        .pg = {.host = setting("DB_HOST", "127.0.0.1"),
               .port = (uint16_t)number("DB_PORT", 5432),
               .dbname = setting("DB_NAME", "postgres"),
               .user = setting("DB_USER", "postgres"),
               .password = setting("DB_PASSWORD", ""),
               .connect_timeout_ms = number("CONNECT_MS", 5000)},
        .tenant = "test",
        .search_path = setting("SEARCH_PATH", "public, extensions"),
        .pool = number("POOL", 1),
        .times = {.statement_ms = number("STATEMENT_MS", usual.statement_ms),
                  .replay_ms = number("REPLAY_MS", usual.replay_ms),
                  .queue_ms = number("QUEUE_MS", usual.queue_ms),
                  .answer_ms = number("ANSWER_MS", usual.answer_ms),
                  .idle_ms = number("IDLE_MS", usual.idle_ms),
                  .retry_ms = number("RETRY_MS", usual.retry_ms)}};
    mesh = wc_mesh_new(1, 1, 4096);
    quota = wc_quota_new(2, &limits);
    publisher = mesh ? wc_publisher_new(mesh, 0) : NULL;
    if (!quota || !publisher)
        die("out of memory");
    wc_mesh_on_space(mesh, 0, on_space, NULL);
    view = (struct wc_tenant_view){
        .refs = 1, .id = 1, .external_id = "test", .quota = quota, .free = free_view};
    authz = wc_authz_new(&loop, &o, publisher);
    if (!authz)
        die("out of memory");
}

int main(void)
{
    uv_pipe_t in;
    uv_poll_t messages;
    (void)uv_loop_init(&loop); /* none of these can fail here */
    make();
    (void)uv_pipe_init(&loop, &in, 0);
    (void)uv_pipe_open(&in, 0);
    (void)uv_read_start((uv_stream_t *)&in, on_alloc, on_input);
    (void)uv_poll_init(&loop, &messages, wc_mesh_eventfd(mesh, 0));
    (void)uv_poll_start(&messages, UV_READABLE, on_message);
    if (!wc_mesh_sleep(mesh, 0, 0))
        die("messages before questions");
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    wc_authz_free(authz);
    uv_close((uv_handle_t *)&messages, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        die("something is still open");
    wc_publisher_free(publisher);
    wc_mesh_free(mesh);
    wc_quota_free(quota);
    return 0;
}
