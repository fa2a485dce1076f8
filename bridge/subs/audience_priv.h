/* Channels that wait for changes, their bindings, and the audiences they form; owned by the bridge
 * thread. subs.h says what becomes of them. */
#ifndef WC_BRIDGE_SUBS_AUDIENCE_PRIV_H
#define WC_BRIDGE_SUBS_AUDIENCE_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "bridge/match/match.h"
#include "bridge/rls/access.h"
#include "bridge/rls/given.h"
#include "bridge/rls/judge.h"
#include "bridge/rls/snapshot.h"
#include "bridge/subs/columns.h"
#include "bridge/subs/comparison.h"
#include "bridge/subs/filtertype.h"
#include "bridge/subs/roll.h"
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
    struct wc_map_node node; /* in wc_subs.members, key: handle; not while heir_of is set */
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
    /* The channel has a new token: asked for again, and the one whose place that is to take. */
    struct wc_member *heir, *heir_of;
};

/* A table a binding stands for; a wildcard without filter needs none. */
struct wc_target {
    struct wc_match_binding match;     /* its events and condition are filed.c's */
    const struct wc_predicate *filter; /* NULL: any row */
    uint64_t filtered_types;           /* of the columns the filters name; see wc_subs_mix_type */
    /* filed.c */
    bool is_in_index;       /* `match` is */
    struct wc_roll *roll;   /* NULL: it stands for more than one table, or is not filed */
    struct wc_list in_roll; /* its entries */
    struct wc_joined *joined;
    bool is_decided; /* counted in roll->ndecided */
};

/* What an audience's claims are to the rules of a relation. */
struct wc_outlook {
    struct wc_outlook *next;
    struct wc_list in_users; /* of the given */
    struct wc_audience *audience;
    wc_oid rel;
    struct wc_given *given;
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
    uint64_t touched;                /* number of the change it matched last */
    bool undecided;                  /* then: unless Postgres says otherwise */
    uint64_t had_row;                /* removals: number of the change whose old row it matched */
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

struct wc_audience {
    struct wc_map_node node; /* in wc_subs.audiences, key: shape, topic, claims, bindings */
    struct wc_subs *subs;
    uint64_t number;
    enum wc_audience_state state;
    struct wc_arena arena; /* key, specs, targets */
    struct wc_slice topic; /* full; in the key, as the bindings' JSON */
    bool is_legacy;        /* event = type, payload = data */
    struct wc_claims *claims;
    struct wc_context *context;
    uint32_t nbindings;
    struct wc_binding *binding;
    struct wc_check *check; /* CHECKING */
    struct wc_asked *asked;
    bool indexed; /* bindings are in the index */
    struct wc_outlook *outlook;
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
    const struct wc_access *access;
    bool undecided;    /* some of its bindings are */
    bool is_wanted;    /* some want the change itself */
    bool may_lose_row; /* some had the old row */
    bool is_refused;   /* it learns of an error and no more */
    bool is_judged;    /* the policies have to say whether the row is visible */
    bool is_by_us;     /* and did so here: Postgres need not be asked */
    bool is_fenced;    /* that need not be asked: all its members have the row already */
    enum wc_verdict verdict;
};

#endif
