/* Shared by subs.c (life cycle), member.c (members and audiences), fence.c (their fences), check.c
 * (bindings against the catalog), recheck.c (the same again when the catalog changes), and
 * stream.c, look.c and deliver.c (the path of a change). Everything is owned by the bridge thread.
 */
#ifndef WC_BRIDGE_SUBS_SUBS_PRIV_H
#define WC_BRIDGE_SUBS_SUBS_PRIV_H

#include "bridge/match/fields.h"
#include "bridge/subs/announced.h"
#include "bridge/subs/audience_priv.h"
#include "bridge/subs/cast.h"
#include "bridge/subs/catalog.h"
#include "bridge/subs/passed.h"
#include "bridge/subs/queue.h"
#include "bridge/subs/rendered.h"
#include "bridge/subs/report.h"
#include "bridge/subs/shadow.h"

/* NEW audiences wait in the lane of the connection that asked first, and the lanes are served in
 * turn: who joins ten thousand channels at once delays others little. Connections that share a
 * lane share its turn. At most WC_CHECKING_MAX are being checked, so that what else is asked on
 * the connection never stands behind more. */
enum { WC_LANES = 64, WC_CHECKING_MAX = 256 };

struct wc_subs {
    struct uv_loop_s *loop;
    struct wc_subs_options opt;
    struct wc_publisher *publisher;
    struct wc_subs_hooks hooks;
    void *self;
    char *publications; /* array literal for queries */
    struct wc_catalog *catalog;
    struct wc_access_cache *access;
    struct wc_match *match, *deletes; /* see filed.h */
    struct wc_map members, audiences;
    size_t nremovals; /* targets in the index whose bindings have removals */
    struct wc_resolver *resolver;
    struct wc_filter_types *types;
    struct wc_caster *caster;
    struct wc_column_sets *sets;
    struct wc_comparisons *comparisons;
    struct wc_watch *watch;
    struct wc_list explaining; /* questions; see explain.c */
    size_t nexplaining;
    struct wc_list to_announce;    /* audiences that hear "Subscribed" again */
    size_t nholding;               /* audiences the stream waits for */
    uint64_t seen;                 /* transactions gone by that a snapshot saw without exception */
    uint64_t seen_epoch;           /* in which it was taken */
    struct wc_list todo[WC_LANES]; /* audiences to be checked */
    unsigned lane;                 /* whose turn it is */
    size_t naudiences[WC_AUDIENCE_STATES];
    bool admitting;
    struct wc_arena scratch;
    struct wc_list fence_next, fence_now; /* members; `now` belongs to the query under way */
    struct wc_list direct;                /* members, by rising fence position */
    size_t nkept;
    uint64_t epoch, fence_epoch; /* of the stream; when the query under way was sent */
    bool fencing, holding, had_stream;
    bool was_described; /* what the stream holds is a relation, and the watch knows of it */
    enum wc_subs_stream stream;
    uint64_t next_audience;
    struct uv_timer_s *refresh;
    struct wc_passed passed;
    struct wc_announced announced;
    wc_us position_asked, settled_at, told_why;
    bool asking_position;
    bool settling; /* a snapshot is wanted so that `passed` can forget */
    struct wc_queue *queue;
    struct wc_shadow *shadow; /* NULL: none */
    struct wc_contexts *contexts;
    struct wc_rolls rolls;
    struct wc_report_lines rules_told;
    struct wc_givens *givens;
    struct wc_fields *fields;
    uint64_t fields_at; /* number of the change they are about, and the kind it is looked at as */
    enum wc_op fields_op;
    struct wc_place offered; /* the last change */
    struct wc_place open;    /* where the stream is; passed: no transaction was open before it */
    wc_lsn read;             /* every transaction that commits before this was read */
    /* the change being looked at */
    struct wc_place place;
    uint64_t change; /* counts changes looked at */
    enum wc_op op;
    bool was_dispatched, was_skipped; /* to a channel; of one for the tenant's rate */
    const struct wc_queued *known;    /* what was answered about it; NULL: nothing */
    struct wc_rendered rendered;
    struct wc_list touched;
};

/* Counts for the tenant (tenant_metrics.def). */
static inline void wc_subs_tally(const struct wc_subs *s, enum wc_tenant_metric what, int64_t n)
{
    wc_tenant_metric_add(wc_quota_metrics(s->opt.quota), wc_publisher_producer(s->publisher), what,
                         n);
}

/* look.c: collects in subs->touched whom the change concerns. known: as it waits in the queue. */
enum wc_need wc_subs_look(struct wc_subs *, const struct wc_change *, const struct wc_place *,
                          const struct wc_queued *known);
/* look.c: after a look; asks for what was missing, or does nothing. */
enum wc_status wc_subs_ask(struct wc_subs *, struct wc_queued *);
void wc_subs_pass(struct wc_subs *);
/* deliver.c: after a look that needs nothing. */
enum wc_status wc_subs_deliver(struct wc_subs *, const struct wc_change *);

/* stream.c */
struct wc_queue *wc_subs_new_queue(struct wc_subs *);
/* trouble.c: a hook of the queue. */
void wc_subs_on_trouble(void *self, wc_oid rel, struct wc_slice schema, struct wc_slice role,
                        bool is_over, const char *text);

/* check.c: begins to check as many of the NEW audiences as there is room for. */
void wc_subs_check(struct wc_subs *);
/* check.c: the answers; arg is the wc_subs. */
void wc_subs_on_resolved(void *arg, struct wc_list *waiter, struct wc_resolution *,
                         const struct wc_resolve_failure *);
void wc_subs_on_type(void *arg, struct wc_list *waiter, const char *sqlstate, const char *message);
void wc_subs_on_cast(void *arg, struct wc_list *waiter, const struct wc_pg_result *);
/* check.c: moves it to the line and the count of the state. */
void wc_audience_set_state(struct wc_audience *, enum wc_audience_state);
/* check.c: gives back what its bindings share with others. */
void wc_audience_release(struct wc_audience *);
/* check.c: puts its bindings into the index, all or none (false: out of memory); takes them out. */
bool wc_audience_index(struct wc_audience *);
void wc_audience_unindex(struct wc_audience *);
struct wc_slice wc_subs_name_or_any(struct wc_slice); /* p NULL for "*" */
/* check.c: true once the audience was freed because nobody wants it any more. */
bool wc_audience_drop_if_unused(struct wc_audience *);

/* fence.c: everything up to here was delivered: members' fences and news of the catalog. */
void wc_subs_reached(struct wc_subs *, wc_lsn);
void wc_subs_note_passed(struct wc_subs *, wc_xid); /* a transaction goes by */
/* fence.c: the audience's bindings stand: fences for its members. */
void wc_subs_stands(struct wc_audience *);
void wc_subs_member_stands(struct wc_member *);
void wc_subs_take_fences(struct wc_subs *);
/* fence.c: what was kept for the member goes out if the fence does not see it; NULL: all is
 * dropped. */
void wc_subs_release_kept(struct wc_member *, const struct wc_snapshot *fence);
/* fence.c: false: not before a snapshot has seen what described tables anew; it is being taken. */
bool wc_subs_may_ask_tables(struct wc_subs *);
/* fence.c: too much is kept. Members that wait for a snapshot had no "Subscribed" yet, so what was
 * kept for them is dropped and their time begins now. */
void wc_subs_begin_later(struct wc_subs *);

/* member.c: refuses all members of the audience with this text. */
void wc_subs_refuse(struct wc_audience *, struct wc_slice text);
/* member.c: one in no map, without members and bindings, in state NONE; NULL when out of memory. */
struct wc_audience *wc_subs_new_audience(struct wc_subs *, struct wc_claims *, size_t key_len,
                                         uint32_t nbindings);
void wc_subs_free_audience(struct wc_audience *);
/* member.c: frees it; true: its audience had no other, and is gone. */
bool wc_subs_end_member(struct wc_member *);
enum wc_status wc_subs_tell(struct wc_member *, bool ok, struct wc_slice text);
void wc_subs_tell_or_log(struct wc_member *, bool ok, struct wc_slice text);
void wc_subs_announce(struct wc_member *);
struct wc_member *wc_subs_find_member(const struct wc_subs *, struct wc_handle); /* or NULL */

/* subs.c: wc_subs_go_on, in a few milliseconds. */
void wc_subs_soon(struct wc_subs *);

#endif
