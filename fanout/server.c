#include "fanout/server.h"

#include "fanout/api.h"
#include "fanout/listen.h"
#include "fanout/loop.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct wc_server {
    struct wc_server_options opt;
    struct wc_http_route *routes; /* those of the options, then of api.h */
    size_t nroutes;
    struct wc_mesh *mesh;
    struct wc_rooms *rooms;
    struct wc_guard *guard;
    struct wc_tls *tls; /* NULL: none */
    struct wc_networks trusted_proxies;
    char *allowed_origins;
    char *request_headers;
    struct wc_loop **loop; /* per thread; NULL where it could not be made */
    _Atomic uint32_t connections;
    struct wc_presence_budget presence;
    uint64_t node; /* this process among nodes */
};

static enum wc_status check_options(const struct wc_server_options *o, struct wc_err *err)
{
    if (o->threads < 1 || o->threads + o->nbridges > 64)
        return wc_err_set(err, WC_INVALID,
                          "socket threads and bridge threads together must be 1 to 64");
    if (o->ring_entries < 2 || (o->ring_entries & (o->ring_entries - 1)) != 0)
        return wc_err_set(err, WC_INVALID, "ring entries must be a power of two, at least 2");
    if (o->pace_bytes_per_second == 0)
        return wc_err_set(err, WC_INVALID, "the pace must be at least 1 byte per second");
    return WC_OK;
}

static struct wc_loop *new_loop(struct wc_server *s, unsigned thread, int fd, struct wc_err *err)
{
    const struct wc_server_options *o = &s->opt;
    struct wc_loop_options opt = {
        .ws = {.directory = o->directory,
               .gate = {.guard = s->guard,
                        .trusted_proxies = &s->trusted_proxies,
                        .allowed_origins = s->allowed_origins,
                        .request_headers = s->request_headers},
               .hub = {.thread = thread,
                       .source = o->source,
                       .mesh = s->mesh,
                       .rooms = s->rooms,
                       .max_queued_bytes = o->max_queued_bytes,
                       .pace_bytes_per_second = o->pace_bytes_per_second,
                       .idle_timeout = (wc_us)o->idle_timeout_ms * 1000,
                       .no_channel_timeout = (wc_us)o->no_channel_timeout_ms * 1000,
                       .presence = {.node = s->node,
                                    .max_calls = o->presence_max_calls,
                                    .window = (wc_us)o->presence_window_ms * 1000,
                                    .budget = &s->presence}},
               .tls = s->tls,
               .routes = s->routes,
               .nroutes = s->nroutes,
               .max_frame_bytes = o->max_frame_bytes,
               .max_header_bytes = o->max_header_bytes,
               .baggage_key = o->request_id_baggage_key,
               .connections = &s->connections},
        .mesh = s->mesh,
        .listen_fd = fd,
        .max_connections = o->max_connections,
        .send_buffer_bytes = o->send_buffer_bytes,
    };
    return wc_loop_new(&opt, err);
}

static enum wc_status open_loops(struct wc_server *s, struct wc_err *err)
{
    unsigned n = s->opt.threads;
    int fds[64];
    enum wc_status st = wc_listen(s->opt.bind_address, s->opt.port, fds, n, err);
    if (st != WC_OK)
        return st;
    for (unsigned i = 0; i < n; i++) {
        s->loop[i] = new_loop(s, i, fds[i], err);
        if (s->loop[i])
            continue;
        while (++i < n)
            (void)close(fds[i]); /* nothing was received on it */
        return err ? err->code : WC_NOMEM;
    }
    return WC_OK;
}

static enum wc_status collect_routes(struct wc_server *s)
{
    const struct wc_server_options *o = &s->opt;
    s->nroutes = o->nroutes + WC_API_ROUTES;
    s->routes = calloc(s->nroutes, sizeof *s->routes);
    if (!s->routes)
        return WC_NOMEM;
    for (size_t i = 0; i < o->nroutes; i++)
        s->routes[i] = o->routes[i];
    wc_api_routes(&s->opt.directory, s->routes + o->nroutes);
    return WC_OK;
}

static enum wc_status open_tls(struct wc_server *s, struct wc_err *err)
{
    const struct wc_server_options *o = &s->opt;
    if (!o->tls_cert_file[0] && !o->tls_key_file[0])
        return WC_OK;
    if (!o->tls_cert_file[0] || !o->tls_key_file[0])
        return wc_err_set(err, WC_INVALID,
                          "TLS needs a certificate and its key: TLS_CERT_FILE and TLS_KEY_FILE");
    return wc_tls_new(o->tls_cert_file, o->tls_key_file, &s->tls, err);
}

static enum wc_status open_parts(struct wc_server *s, struct wc_err *err)
{
    enum wc_status st = check_options(&s->opt, err);
    if (st == WC_OK)
        st = wc_networks_parse(s->opt.trusted_proxies, &s->trusted_proxies, err);
    if (st != WC_OK)
        return st;
    st = open_tls(s, err);
    if (st != WC_OK)
        return st;
    if (getrandom(&s->node, sizeof s->node, 0) != (ssize_t)sizeof s->node)
        return wc_err_set(err, WC_IO, "the system has no random numbers");
    s->mesh = wc_mesh_new(s->opt.nbridges, s->opt.threads, s->opt.ring_entries);
    s->loop = calloc(s->opt.threads, sizeof(struct wc_loop *));
    s->rooms = wc_rooms_new();
    s->guard = wc_guard_new(&s->opt.guard);
    s->allowed_origins = strdup(s->opt.allowed_origins);
    s->request_headers = strdup(s->opt.request_headers);
    if (!s->mesh || !s->rooms || !s->guard || !s->allowed_origins || !s->request_headers ||
        !s->loop || collect_routes(s) != WC_OK)
        return wc_err_set(err, WC_NOMEM, "out of memory or descriptors");
    return open_loops(s, err);
}

struct wc_server *wc_server_new(const struct wc_server_options *opt, struct wc_err *err)
{
    struct wc_server *s = calloc(1, sizeof *s);
    if (!s) {
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    s->opt = *opt;
    s->presence.max = opt->presence_max_bytes;
    if (open_parts(s, err) == WC_OK)
        return s;
    wc_server_free(s);
    return NULL;
}

struct wc_rooms *wc_server_rooms(struct wc_server *s)
{
    return s->rooms;
}

struct wc_mesh *wc_server_mesh(struct wc_server *s)
{
    return s->mesh;
}

enum wc_status wc_server_start(struct wc_server *s, struct wc_err *err)
{
    for (unsigned i = 0; i < s->opt.threads; i++) {
        enum wc_status st = wc_loop_start(s->loop[i], err);
        if (st == WC_OK)
            continue;
        wc_server_stop(s, 0);
        return st;
    }
    return WC_OK;
}

void wc_server_drain(struct wc_server *s)
{
    for (unsigned i = 0; i < s->opt.threads; i++)
        wc_loop_drain(s->loop[i]);
}

void wc_server_stop(struct wc_server *s, uint32_t deadline_ms)
{
    for (unsigned i = 0; i < s->opt.threads; i++)
        wc_loop_stop(s->loop[i], deadline_ms);
    for (unsigned i = 0; i < s->opt.threads; i++)
        wc_loop_join(s->loop[i]);
}

void wc_server_free(struct wc_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; s->loop && i < s->opt.threads; i++)
        wc_loop_free(s->loop[i]);
    free(s->loop);
    free(s->routes);
    wc_tls_free(s->tls);
    wc_guard_free(s->guard);
    wc_networks_release(&s->trusted_proxies);
    free(s->allowed_origins);
    free(s->request_headers);
    wc_rooms_free(s->rooms);
    wc_mesh_free(s->mesh);
    free(s);
}

enum wc_status wc_server_reload_tls(struct wc_server *s, struct wc_err *err)
{
    return s->tls ? wc_tls_reload(s->tls, err) : WC_OK;
}
