/*
 * The connections on which rows are looked at with the eyes of roles. They are nobody else's:
 * what a policy left in a session must not be seen by other questions.
 *
 * Trust. A policy's functions are the table owner's code, and it can do to its session what it
 * likes: take the login's role back, set settings, prepare and deallocate statements, load
 * libraries. So a session in which such code may have run belongs to that owner (more exactly: to
 * the set of owners whose policies the question went through), and the next set of owners gets
 * another one. A session is never made clean, it is replaced: DISCARD ALL leaves names of settings,
 * random seeds and the variables of procedural languages behind. Questions that run built-in code
 * only leave nothing, so a session that saw no others goes to whoever asks next. With one owner
 * there is one session; with more than SESSIONS_MAX the one not used for longest is replaced.
 *
 * Each question is a segment: wc_sql_impersonate, then a statement prepared for that role and text
 * (plans of tables with row security hold for one role). Names of statements are random.
 *
 * Settings of a session, from its first moment on: texts as on the stream, no compiling, generic
 * plans (but see wc_session_question.replans), read only, the timeouts and search_path of the
 * options, and every name that policies read as '' (request.*, realtime.topic), which is what a
 * name once set reads as later: so an answer does not depend on whether it was asked before.
 *
 * Threads: one owner, the bridge thread. Errors: NOMEM, CLOSED.
 * Source: design section 5, point 1; PostgreSQL manual, "DISCARD", "Row Security Policies".
 */
#ifndef WC_BRIDGE_RLS_SESSION_H
#define WC_BRIDGE_RLS_SESSION_H

#include "base/map.h"
#include "bridge/pg/pg.h"

struct wc_session;
struct wc_sessions;

struct wc_session_options {
    struct wc_pg_options pg; /* strings borrowed for the life */
    const char *tenant;      /* borrowed for the life */
    const char *search_path; /* borrowed for the life */
    uint32_t statement_timeout_ms, lock_timeout_ms;
};

/* on_change: a session came up, or one in use was lost, so that it is worth asking again. Returns
 * owned; NULL when out of memory. */
struct wc_sessions *wc_sessions_new(struct uv_loop_s *, const struct wc_session_options *,
                                    void (*on_change)(void *arg), void *arg);
void wc_sessions_free(struct wc_sessions *); /* freed one loop turn later; NULL is fine */

/* Whose code a question runs: of these owners (any text that names them), if any at all. */
struct wc_session_trust {
    struct wc_slice owners;
    bool runs_code;
};

/* The session for such questions; NULL: on_change will follow. Valid until it is lost or the next
 * call. No question of other owners may be under way in it. */
struct wc_session *wc_sessions_get(struct wc_sessions *, const struct wc_session_trust *);
/* Ends all connections; what is under way gets no answer. */
void wc_sessions_drop(struct wc_sessions *);

struct wc_session_question {
    const char *role, *claims;
    const char *sql; /* valid until the answer */
    int nparams;
    const char *const *params;
    uint32_t timeout_ms; /* 0: the session's */
    bool replans;        /* its plan is not kept; of one with parameters */
    /* the session's own */
    struct wc_session_statement *statement;
    uint64_t number; /* of the name it was asked under */
    uint8_t parses;  /* texts sent with it, */
    bool parses_own; /* its own among them */
};

/* Asks. `done` gets the answer of the question's own statement, or the error; give the question to
 * wc_session_failed in that case. */
WC_MUST_USE
enum wc_status wc_session_ask(struct wc_session *, struct wc_session_question *,
                              wc_pg_result_fn done, void *arg);
/* Which transactions does the session see? In order with questions. */
WC_MUST_USE
enum wc_status wc_session_ask_visible(struct wc_session *, wc_pg_result_fn done, void *arg);

/* What an error was really about: its SQLSTATE; or, where only the prepared statement was missing,
 * the one because of which it could not be prepared; or NULL: somebody deallocated it, ask again.
 */
const char *wc_session_failed(struct wc_session *, const struct wc_session_question *,
                              const struct wc_pg_result *);

#endif
