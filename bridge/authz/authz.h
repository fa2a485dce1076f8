/*
 * What tokens may do in a tenant's private rooms, asked of the policies of realtime.messages, and
 * what a channel gets again of its rows: a small pool of connections to the tenant's database.
 *
 *   read    begin, probe rows as ourselves | become the role, which does it see? | rollback
 *   write   begin, become the role | insert one | rollback          for each extension
 *   replay  as ourselves, when broadcasts may be read and were asked for
 *
 * Each line is a transaction of its own that is rolled back: nothing that policies, triggers and
 * their functions do in it, their role and settings included, reaches another question, and nobody
 * ever gets a probe. Statements have no names that such code could take. What a rollback does not
 * undo (session locks, statements prepared, variables of procedural languages) only functions of
 * the same table's policies ever see. Code of policies can become our login, so that is best no
 * superuser, but the owner of realtime.messages.
 *
 * Questions are pipelined, one behind the other on each connection; none waits for the answer to
 * another. Connections are those of questions alone: `pool` of them at most are all that a tenant's
 * database must be able to give. They are opened when questions come, and only then; closed when
 * no question came for idle_ms. Whoever waits for a connection that cannot be had is told at once;
 * after three failures within retry_ms nothing is tried until that is over. When a connection is
 * lost, those behind the question that it was busy with are asked again on the next; so is that
 * one, once, with none behind it, so that a second loss is its own.
 *
 * No gap between what is replayed and what arrives live: a commit is in the log, and its rows may
 * be with their rooms, before other sessions see it; behind a synchronous standby that is away, for
 * long, and commits do not become visible in the order of the log. Whoever enters a room in between
 * would get such rows neither way. So a replay comes from a snapshot that sees all transactions
 * whose rows were streamed before the question came; later ones reach the room. Until there is one,
 * the question is asked again every few ms, then less often; after replay_ms it gets
 * WC_AUTHORIZE_REPLAY. (No standby is asked: probes write. There what is streamed is visible.)
 *
 * Ownership: borrows the strings of its options. Threads: the loop's. Errors: a question is always
 * answered, within answer_ms, and those that wait when it is freed then. One whose turn does not
 * come within queue_ms gets WC_AUTHORIZE_POOL; after as many of those as there are connections so
 * do all that come, until the database has answered one or 30 s are over. Limits: 4,096 questions
 * wait; 4 MiB and one payload of replay; of the transactions streamed since a replay last saw all,
 * the newest WC_AUTHZ_STREAMED are waited for. Source: protocol reference
 * sections 4.6, 8.2, 8.3, 8.5; database reference section 7.
 */
#ifndef WC_BRIDGE_AUTHZ_AUTHZ_H
#define WC_BRIDGE_AUTHZ_AUTHZ_H

#include "bridge/pg/pg.h"
#include "decoder/lsn.h"
#include "fanout/publish.h"
#include "fanout/source.h"

struct uv_loop_s;

struct wc_authz_times {
    uint32_t statement_ms; /* of one statement; then WC_AUTHORIZE_CANCELED */
    uint32_t replay_ms;    /* of the query for what is shown again, and until it may be asked */
    uint32_t queue_ms;     /* behind other questions, with a connection */
    uint32_t answer_ms;    /* in all */
    uint32_t idle_ms;
    uint32_t retry_ms; /* of three failed connection attempts within it no fourth is made */
};
extern const struct wc_authz_times wc_authz_times; /* the usual ones */

struct wc_authz_options {
    struct wc_pg_options pg; /* application_name and options are set by us */
    const char *tenant;      /* for the log */
    const char *search_path; /* in which functions of policies find names */
    uint32_t pool;           /* connections, 1 to WC_AUTHZ_POOL_MAX */
    struct wc_authz_times times;
};

enum { WC_AUTHZ_POOL_MAX = 100, WC_AUTHZ_STREAMED = 512 };

struct wc_authz;

/* Returns owned; NULL when out of memory. */
struct wc_authz *wc_authz_new(struct uv_loop_s *, const struct wc_authz_options *,
                              struct wc_publisher *);
void wc_authz_free(struct wc_authz *); /* what waits is answered UNAVAILABLE; NULL is fine */

/* Takes the question. The permissions message may be published before this returns. */
void wc_authz_ask(struct wc_authz *, struct wc_authorize *);

/* A row of realtime.messages came from the stream, in this committed transaction. */
void wc_authz_note_streamed(struct wc_authz *, wc_xid);
/* The stream began anew, perhaps on another server, where the numbers mean nothing. A new slot
 * begins when everything that was committed before is visible. */
void wc_authz_forget_streamed(struct wc_authz *);

#endif
