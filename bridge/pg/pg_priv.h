/* Shared by pg.c (life cycle, the socket), connect.c, pipeline.c (queries and segments) and copy.c
 * (simple queries, copy mode). */
#ifndef WC_BRIDGE_PG_PG_PRIV_H
#define WC_BRIDGE_PG_PG_PRIV_H

#include "base/list.h"
#include "bridge/pg/gate.h"
#include "bridge/pg/pg.h"

#include <libpq-fe.h>
#include <uv.h>

enum wc_pg_state {
    WC_PG_RESOLVING,
    WC_PG_CONNECTING,
    WC_PG_READY,
    WC_PG_SIMPLE, /* a simple query is under way */
    WC_PG_COPY,
    WC_PG_LOST,
    WC_PG_CLOSING,
};

/* A query, or the statements of a segment. */
struct wc_pg_asked {
    struct wc_list link;
    wc_pg_result_fn done;
    void *arg;
    PGresult *result; /* the first error, else the last; kept until the Sync answer */
    uint64_t parses;  /* bit n: the n-th answer is that to a Parse */
    unsigned answers, parsed, executed;
};

struct wc_pg {
    uv_loop_t *loop;
    struct wc_pg_events events;
    void *arg;
    struct wc_pg_options opt; /* strings owned */
    char port[6];
    enum wc_pg_state state;
    uv_getaddrinfo_t resolver;
    uv_timer_t timer;
    uv_poll_t *poll; /* its own allocation: closing it outlives a change of socket */
    PGconn *conn;
    struct wc_pg_pass pass; /* while it connects */
    struct wc_list asked;
    char *copy;        /* the message last handed out */
    unsigned reads;    /* of the socket, since the last result */
    uint64_t received; /* bytes on it, when they began to be counted */
    bool reading, resolving, timer_closed;
};

/* pg.c */
void wc_pg_lose(struct wc_pg *, const char *message); /* drops the connection, tells the owner */
int wc_pg_watch(struct wc_pg *, int events);          /* uv_poll bits; 0 or a uv error */
void wc_pg_watch_ready(struct wc_pg *); /* sends what is unsent; loses the connection on error */
void wc_pg_free(struct wc_pg *);

/* connect.c */
void wc_pg_connect(struct wc_pg *); /* resolve, then all addresses in order */
void wc_pg_connect_step(struct wc_pg *, PostgresPollingStatusType);

/* pipeline.c */
struct wc_pg_asked *wc_pg_enqueue(struct wc_pg *, wc_pg_result_fn done, void *arg);
struct wc_pg_asked *wc_pg_first(struct wc_pg *); /* NULL: none waits */
void wc_pg_answer(struct wc_pg_asked *);         /* calls back and frees */
void wc_pg_read_pipeline(struct wc_pg *);
void wc_pg_read_notifications(struct wc_pg *);

/* copy.c */
void wc_pg_read_simple(struct wc_pg *);

#endif
