/*
 * Shared by given.c (what is known, and who shares it) and given_ask.c (asking for it).
 *
 *   given ──► values ──► asking ──► lane
 *               └► question, as long as nobody knows them
 *
 * Trust. A question is made of texts that were proven to depend on the claims alone, but between
 * that proof and the answer a function it calls can be replaced, by its owner, and then anything
 * runs in the session and says anything about the claims. So sessions belong to owners, as in
 * session.h, and so do answers: an asking is one of its owners' (they are part of its key), and
 * what a session of theirs said is never given to rules that other people's code decides. Who
 * replaces functions to lie about claims lies to rules that trust those functions anyway. The login
 * is DB_RLS_USER, which can do no more than a token's holder can.
 */
#ifndef WC_BRIDGE_RLS_GIVEN_PRIV_H
#define WC_BRIDGE_RLS_GIVEN_PRIV_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "bridge/rls/given.h"

#include <uv.h>

enum { WC_GIVEN_TRIES_MAX = 8 };

/* Questions that run the code of the same owners: they share a session. Lanes take turns. */
struct wc_given_lane {
    struct wc_list link; /* in wc_givens.lanes */
    uint32_t refs;       /* askings */
    struct wc_session_trust trust;
    struct wc_list waiting; /* wc_given_question.link, oldest first */
};

/* What rules ask, whichever rules. */
struct wc_given_asking {
    struct wc_map_node node; /* key: runs_code, nslots, owners, NUL, asks */
    uint32_t refs;           /* values */
    uint32_t nslots;
    struct wc_givens *givens;
    struct wc_given_lane *lane;
    uint64_t number;
    char *sql;
};

/* The answer for a context. */
struct wc_given_values {
    struct wc_map_node node; /* key: id */
    struct {
        uint64_t asking, context;
    } id;
    uint32_t refs; /* givens, and a question under way */
    enum wc_given_state state;
    struct wc_given_asking *asking;
    struct wc_context *context;
    struct wc_given_question *question; /* WAITING */
    struct wc_slice *value;             /* KNOWN: of each slot; one block with their texts */
    char sqlstate[6];                   /* FAILED */
};

struct wc_given_question {
    struct wc_list link; /* in its lane's waiting, or one of later, or flying */
    struct wc_given_values *values;
    struct wc_list givens; /* who waits for it */
    struct wc_session_question asked;
    unsigned tries;
    wc_us not_before;
    unsigned losses; /* of the connection while it was under way */
};

/* One lane's: a session asked until nothing waits, or others have waited long enough. */
struct wc_given_turn {
    struct wc_given_lane *lane; /* NULL: between turns */
    struct wc_session *session;
    unsigned asked;
    bool is_ending; /* no more is asked */
};

struct wc_givens {
    void (*on_known)(void *arg, struct wc_given *);
    void *arg;
    const char *tenant;
    struct wc_sessions *sessions;
    struct wc_map givens, askings, values;
    uint64_t last_asking;
    struct wc_log_limit complaint;
    /* given_ask.c */
    uv_timer_t timer, idle;
    unsigned open_handles;
    struct wc_list lanes;
    struct wc_list later[WC_GIVEN_TRIES_MAX]; /* by tries, so oldest first means due first */
    struct wc_list flying;
    unsigned nflying;
    size_t nquestions; /* waiting, later or flying */
    struct wc_given_turn turn;
};

/* given.c. The question is over: frees it, tells who waits. value: as in wc_given_values, owned;
 * NULL: it FAILED. */
void wc_given_settle(struct wc_given_question *, struct wc_slice *value, const char *sqlstate);
void wc_given_values_unref(struct wc_given_values *);

/* given_ask.c */
enum wc_status wc_given_ask(struct wc_given_values *); /* makes its question */
void wc_given_drop(struct wc_given_question *);        /* frees it, wherever it is but flying */
bool wc_given_ask_init(struct wc_givens *, uv_loop_t *, const struct wc_session_options *);
void wc_given_ask_stop(struct wc_givens *); /* frees the givens one loop turn later */

#endif
