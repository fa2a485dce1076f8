/* Shared by authz.c (what waits, and how long), pool.c (connections), session.c (statements
 * prepared in them), question.c (what is asked on them), replay.c and streamed.c (what a replay
 * must see). */
#ifndef WC_BRIDGE_AUTHZ_AUTHZ_PRIV_H
#define WC_BRIDGE_AUTHZ_AUTHZ_PRIV_H

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/uuid.h"
#include "bridge/authz/authz.h"

#include <uv.h>

enum {
    WC_AUTHZ_DEPTH =
        16, /* questions on their way on one connection: what a few ms of distance cost */
    WC_AUTHZ_SLOW_MS = 100, /* nothing more is sent behind a question that takes longer */
    WC_AUTHZ_FAILURES = 3,  /* to connect, within retry_ms */
    WC_AUTHZ_XID_SIZE = 11, /* its text and a comma */
};

/* A question, from when it came until Postgres has done with it. */
struct wc_authz_question {
    struct wc_authz *authz;
    struct wc_list all;  /* of those not answered yet, in the order they came */
    struct wc_list link; /* in the queue, in `held`, or in its connection's list */
    struct wc_authz_conn *conn;
    struct wc_authorize *asked; /* NULL: it was answered, and only its results are still to come */
    wc_us since;
    unsigned wanted;                   /* of enum wc_permission */
    wc_us replay_since;                /* 0: nothing is to be replayed, or not yet */
    wc_us again_at;                    /* while it is held */
    const char *topic, *headers, *sub; /* behind the struct */
    const char *unseen;                /* likewise: an array of what a replay must see */
    uint64_t streamed;                 /* when it came */
    char id[2][WC_UUID_TEXT];          /* of the probes: broadcast, presence; empty: none */
    unsigned losses; /* connections that ended while they were busy with it, as far as we know */
    unsigned granted;
    enum wc_authorize_error error;
    bool is_doubtful; /* the session is not as it should be; so neither are the answers */
};

struct wc_authz_conn {
    struct wc_authz *authz;
    struct wc_pg *pg;                 /* NULL: closed */
    struct wc_authz_session *session; /* NULL: not up */
    struct wc_list sent;              /* the first is what it is busy with */
    unsigned nsent;
    wc_us since; /* it is busy with that, more or less */
};

struct wc_authz {
    struct wc_publisher *publisher;
    uv_loop_t *loop;
    struct wc_authz_options opt; /* strings borrowed */
    char *startup;               /* startup options */
    uv_timer_t timer; /* looks for what waits too long; without questions, for idleness */
    uv_timer_t again; /* looks at what is held, while there is any */
    struct wc_list all, queue, held;  /* held: what a replay must see was not visible */
    unsigned nqueue;                  /* of both */
    wc_xid stream[WC_AUTHZ_STREAMED]; /* the last ones, number n at n % WC_AUTHZ_STREAMED */
    uint64_t streamed;                /* ever */
    uint64_t seen;                    /* of them a snapshot has seen */
    wc_us failed[WC_AUTHZ_FAILURES];  /* the latest connection attempts that failed */
    unsigned nfailed;                 /* ever */
    unsigned late;                    /* questions whose turn did not come since the last answer, */
    wc_us late_since;                 /* the first of them */
    struct wc_log_limit lost_told, late_told, tampered_told, replay_told;
    struct wc_log_limit failed_told, other_told; /* the same failure again, another one */
    const char *failed_hint;                     /* of the one told last */
    struct wc_authz_conn conn[];                 /* opt.pool */
};

/* authz.c */
/* Tells who asked; takes the replay. Nothing happens when he was told before. */
void wc_authz_answer(struct wc_authz_question *, unsigned permissions, enum wc_authorize_error,
                     struct wc_replay *);
/* Postgres has done with it: frees it, and lets the next one go. */
void wc_authz_done(struct wc_authz_question *);
/* Likewise, but it is to be sent again, soon. */
void wc_authz_hold(struct wc_authz_question *);
/* Sends what waits as far as there is room. */
void wc_authz_pump(struct wc_authz *);
/* Answers all that wait. */
void wc_authz_refuse(struct wc_authz *, enum wc_authorize_error);

/* pool.c */
/* A connection with room for what waits first, the least busy; NULL: none. Opens another where that
 * may help. */
struct wc_authz_conn *wc_authz_get(struct wc_authz *);
/* Nothing is open, nor may anything be tried now. */
bool wc_authz_is_barred(const struct wc_authz *);
bool wc_authz_is_up(const struct wc_authz *);
/* Its questions wait for another one; what it was busy with only the first time. */
void wc_authz_drop(struct wc_authz_conn *);
void wc_authz_close_all(struct wc_authz *);

/* session.c */
enum wc_authz_text {
    WC_AUTHZ_PROBE,
    WC_AUTHZ_ASSUME,
    WC_AUTHZ_SEEN,  /* of a role, as the next */
    WC_AUTHZ_WRITE, /* whose plans hold for it alone */
    WC_AUTHZ_TEXTS
};
/* NULL when out of memory. */
struct wc_authz_session *wc_authz_session_new(void);
void wc_authz_session_free(struct wc_authz_session *); /* NULL is fine */
/* The statement, to be executed as this role; the parameters are the caller's to fill in. Where it
 * is not prepared, that is sent first, as a segment of its own. False: it could not be. */
WC_MUST_USE
bool wc_authz_prepare(struct wc_authz_conn *, enum wc_authz_text, struct wc_slice role,
                      struct wc_pg_statement *out);
/* Of one that was missing (26000): the SQLSTATE because of which it could not be prepared; NULL: it
 * was, and somebody has taken it away. */
const char *wc_authz_why_missing(const struct wc_authz_conn *, enum wc_authz_text,
                                 struct wc_slice role);

/* question.c */
/* Asks on its connection. False: the connection must be dropped. */
WC_MUST_USE
bool wc_authz_send(struct wc_authz_question *);
/* Appends the claim `sub` as policies read it; false: Postgres could not hold it. */
WC_MUST_USE
bool wc_authz_sub(struct wc_slice claims, struct wc_buf *out);

/* replay.c */
/* Asks for the rows; their answer is the question's. False: it could not be asked. */
WC_MUST_USE
bool wc_authz_ask_replay(struct wc_authz_question *);

/* streamed.c */
/* Appends the array of those that no snapshot has seen yet. */
void wc_authz_write_unseen(const struct wc_authz *, struct wc_buf *out);
/* A snapshot saw those of the question. */
void wc_authz_see(const struct wc_authz_question *);

#endif
