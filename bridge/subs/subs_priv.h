/* Shared by subs.c (members, fences), check.c (bindings against the catalog), recheck.c (the same
 * again when the catalog changes) and deliver.c (the path of a change). Everything is owned by the
 * bridge thread. */
#ifndef WC_BRIDGE_SUBS_SUBS_PRIV_H
#define WC_BRIDGE_SUBS_SUBS_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "bridge/match/match.h"
#include "bridge/rls/access.h"
#include "bridge/rls/snapshot.h"
#include "bridge/subs/cast.h"
#include "bridge/subs/catalog.h"
#include "bridge/subs/columns.h"
#include "bridge/subs/comparison.h"
#include "bridge/subs/filtertype.h"
#include "bridge/subs/queue.h"
#include "bridge/subs/rendered.h"
#include "bridge/subs/passed.h"
#include "bridge/subs/resolve.h"
#include "bridge/subs/spec.h"
#include "bridge/subs/subs.h"
#include "bridge/subs/watch.h"

enum wc_member_state {
    WC_MEMBER_CHECKING,
    WC_MEMBER_FENCING,
    WC_MEMBER_DIRECT,
    WC_MEMBER_ENLISTED,
};

/* A change kept for a member whose fence is not known yet. */
struct wc_kept {
    struct wc_list link;
    struct wc_msg *msg;
    wc_xid xid;
};

struct wc_member_key {
    uint64_t place, generation;
};

struct wc_member {
    struct wc_map_node node; /* in wc_subs.members, key: handle */
    struct wc_member_key key;
    struct wc_handle handle;
    enum wc_serializer serializer;
    enum wc_member_state state;
    struct wc_audience *audience;
    struct wc_list in_audience; /* audience->pending, or ->enlisted */
    struct wc_list in_queue;    /* subs->fence_next, ->fence_now or ->direct */
    uint64_t passed;            /* transactions gone by when it began to be fenced */
    struct wc_snapshot *fence;  /* DIRECT: shared with those it was taken for */
    wc_lsn fenced_at;           /* once the log is here, everything is invisible in the fence */
    struct wc_list kept;        /* FENCING */
    bool was_told;              /* that changes were withheld for their rate */
    bool is_resting;            /* told why it gets nothing */
    bool to_announce;           /* had "Subscribed", and gets it again */
    bool knows_why_it_waits;
    wc_us since;
};

/* A table a binding stands for; a wildcard without filter needs none. */
struct wc_target {
    struct wc_match_binding match;
    uint64_t filtered_types; /* of the columns the filters name; see wc_subs_mix_type */
};

/* A comparison that conditions of the audience refer to. */
struct wc_asked {
    struct wc_asked *next;
    struct wc_shared_comparison *is;
};

/* How far the check of an audience is: bindings from the last to the first, tables and filters in
 * order, so that what is wrong first is what the reference finds first. */
struct wc_check {
    uint32_t left;                    /* bindings: the one at hand is the last of them */
    struct wc_resolution *resolution; /* of the binding at hand; NULL: not known yet */
    size_t table, filter;             /* at hand */
    struct wc_leaf *leaf;        /* of the table at hand, one for each filter; NULL: none yet */
    struct wc_filter_type *type; /* of the filter whose value is being read */
};

struct wc_binding {
    uint32_t id;
    struct wc_slice json;
    struct wc_spec spec;
    struct wc_audience *audience;
    size_t ntargets;
    struct wc_target *target;
    const struct wc_column_set *set; /* interned: equal sets have one address */
    struct wc_slice withheld;        /* a table whose row security withholds rows, for the notice */
    uint64_t touched;                /* number of the change it matched last */
};

/*
 *   NONE ─→ NEW ─→ CHECKING ─→ STANDING ←─→ RESTING    (and back to NONE when nobody wants it
 *            │        │  └───────────────────────┘       any more)
 *            └←───────┘ the connection was lost
 */
enum wc_audience_state {
    WC_AUDIENCE_NONE,
    WC_AUDIENCE_NEW,
    WC_AUDIENCE_CHECKING,
    WC_AUDIENCE_STANDING,
    WC_AUDIENCE_RESTING, /* its tables are not published now; see recheck.c */
    WC_AUDIENCE_STATES,
};

/* NEW audiences wait in the lane of the connection that asked first, and the lanes are served in
 * turn: who joins ten thousand channels at once delays others little. Connections that share a
 * lane share its turn. At most WC_CHECKING_MAX are being checked, so that what else is asked on
 * the connection never stands behind more. */
enum { WC_LANES = 64, WC_CHECKING_MAX = 256 };

struct wc_audience {
    struct wc_map_node node; /* in wc_subs.audiences, key: shape, topic, claims, bindings */
    struct wc_subs *subs;
    uint64_t number;
    enum wc_audience_state state;
    struct wc_arena arena; /* key, specs, targets */
    struct wc_slice topic; /* full; in the key, as the bindings' JSON */
    bool is_legacy;        /* event = type, payload = data */
    struct wc_claims *claims;
    uint32_t nbindings;
    struct wc_binding *binding;
    struct wc_check *check; /* CHECKING */
    struct wc_asked *asked;
    bool indexed; /* bindings are in the index */
    unsigned lane;
    struct wc_list in_line; /* NEW: subs->todo[lane]; CHECKING: with others for an answer */
    struct wc_list enlisted, pending;
    size_t npending, nenlisted, nuntold;
    uint32_t *count; /* enlisted members by thread × serializer, for the first nthreads */
    uint32_t nthreads;
    uint64_t threads;
    /* recheck.c */
    struct wc_interest *interest; /* one for each binding */
    struct wc_audience *fresh;    /* being checked to take its place; owned */
    struct wc_audience *replaces; /* whose place it is to take: then it is in no map */
    bool again;                   /* there was news since that check began */
    bool has_news;                /* members are to hear "Subscribed" again in any case */
    bool holds;                   /* the stream waits for it */
    struct wc_list to_announce;   /* subs->to_announce */
    uint64_t passed;              /* transactions gone by that members must be able to see then */
    /* of the change being looked at */
    struct wc_list touched;
    uint64_t touched_by;
    struct wc_access *access;
};

struct wc_subs {
    struct uv_loop_s *loop;
    struct wc_subs_options opt;
    struct wc_publisher *publisher;
    struct wc_subs_hooks hooks;
    void *self;
    char *publications; /* array literal for queries */
    struct wc_catalog *catalog;
    struct wc_access_cache *access;
    struct wc_match *match;
    struct wc_map members, audiences;
    struct wc_resolver *resolver;
    struct wc_filter_types *types;
    struct wc_caster *caster;
    struct wc_column_sets *sets;
    struct wc_comparisons *comparisons;
    struct wc_watch *watch;
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
    wc_us position_asked, settled_at, told_why;
    bool asking_position;
    bool settling;        /* a snapshot is wanted so that `passed` can forget */
    struct wc_place open; /* where the stream is */
    /* the change being looked at */
    struct wc_place place;
    uint64_t change; /* counts changes looked at */
    enum wc_op op;
    struct wc_rendered rendered;
    struct wc_list touched;
};

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

/* subs.c: the audience's bindings stand: fences for its members. */
void wc_subs_stands(struct wc_audience *);
/* subs.c: refuses all members of the audience with this text. */
void wc_subs_refuse(struct wc_audience *, struct wc_slice text);
/* subs.c: one in no map, without members and bindings, in state NONE; NULL when out of memory. */
struct wc_audience *wc_subs_new_audience(struct wc_subs *, struct wc_claims *, size_t key_len,
                                         uint32_t nbindings);
void wc_subs_free_audience(struct wc_audience *);
enum wc_status wc_subs_tell(struct wc_member *, bool ok, struct wc_slice text);
void wc_subs_tell_or_log(struct wc_member *, bool ok, struct wc_slice text);
void wc_subs_announce(struct wc_member *);
void wc_subs_member_stands(struct wc_member *);
void wc_subs_take_fences(struct wc_subs *);
/* subs.c: what the stream holds, unless somebody needs it held. */
void wc_subs_offer_again(struct wc_subs *);
/* subs.c: false: not before a snapshot has seen what described tables anew; it is being taken. */
bool wc_subs_may_ask_tables(struct wc_subs *);
/* subs.c: too much is kept. Members that wait for a snapshot had no "Subscribed" yet, so what was
 * kept for them is dropped and their time begins now. */
void wc_subs_begin_later(struct wc_subs *);

#endif
