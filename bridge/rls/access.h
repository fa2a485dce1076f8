/*
 * What a role may see of a relation, as the catalog says now: may the role be used at all, does row
 * security apply to it, which columns may it read, which are the primary key, how are they
 * rendered, and all that judge.h needs in order to ask for a row.
 *
 * Row security. `rls` is set when it applies to the role: to the relation itself, or to one above
 * it (the parents of a partition or an inheritance child), whose policies then count as well,
 * though Postgres itself spares who selects from the child directly. in_policy says on which
 * columns the policies depend. It is set for every column where that cannot be told: for a policy
 * with a whole-row reference, a function with arguments or an operator, cast or type that did not
 * come with the server, a view, a relation of the same hierarchy, or one with row security of its
 * own.
 *
 * The log is historic, the catalog is current: both are joined by column name. An answer is good
 * for `freshness` after it was asked for; a change is judged only by a fresh answer, so a revoked
 * privilege takes effect within that time (or the time one question takes, when that is longer: the
 * changes that waited for an answer are judged by it), and nothing is delivered while the catalog
 * cannot be asked (fail closed). Answers in use are renewed before they expire; unused ones are
 * forgotten.
 *
 * Types that PostgreSQL does not bring along are asked for behind each question (types.h). When the
 * stream described the relation anew, its types too must be from after that; a type that is not
 * known yet is waited for like the rest, never guessed.
 *
 * Visible first: the log is ahead of what sessions see, so an answer that follows a change of the
 * relation counts only when its snapshot sees the transaction that made the change. Else a row
 * inserted in the transaction that protects its table would be judged by the rules before it. What
 * else DDL changes the stream tells of where it can (wc_access_invalidate_all).
 *
 * Ownership: entries belong to the cache and are valid until the loop's next turn.
 * Threads: one owner, the bridge thread. Errors: NOMEM.
 * Source: sql/q_access.sql; database reference sections 3.2, 3.8.
 */
#ifndef WC_BRIDGE_RLS_ACCESS_H
#define WC_BRIDGE_RLS_ACCESS_H

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "bridge/pg/pg.h"
#include "bridge/rls/rules.h"
#include "bridge/rls/snapshot.h"
#include "decoder/pgoutput.h"
#include "decoder/value.h"

enum { WC_ROLE_MAX = 63 }; /* NAMEDATALEN - 1 bytes */

struct wc_access_col {
    struct wc_slice name;
    struct wc_slice json_key;    /* "name": with quotes and colon */
    struct wc_slice column_json; /* {"name":..,"type":..} */
    bool in_pk, readable, in_policy, is_generated;
};

/* A column of the primary key, in the key's order. */
struct wc_access_key {
    uint16_t col;         /* index into wc_access.col */
    struct wc_slice type; /* for a cast: the base type, quoted and qualified, without modifier */
    struct wc_slice op;   /* the index's equality: operator(schema.=) */
};

/* A relation above this one whose row security applies to the role. */
struct wc_access_above {
    struct wc_slice name; /* quoted and qualified */
    bool has_key;         /* all columns of the key are columns of it too */
};

struct wc_access_map {
    int16_t col; /* index into wc_access.col, or -1: no such column any more, or, for a role that
                    may not read all columns, names may have been exchanged since */
    /* Of the type the stream names, where the column is readable; NULL: the catalog has no such
     * type any more. */
    const struct wc_type *type;
};

struct wc_access {
    wc_oid rel;
    struct wc_slice role;
    bool usable;      /* the role exists and our login is a member of it */
    bool uses_schema; /* it may use the relation's: without, row checks are an error */
    bool rls;         /* row security applies to it here: each row has to be judged (see rules.h) */
    bool exists;      /* the relation does */
    bool has_pk, pk_readable;
    bool has_policy; /* rls: no relation whose row security applies lacks a policy for the role */
    bool runs_code;  /* rls: the policies run code that could leave traces in the session */
    bool is_partitioned;
    struct wc_slice name;    /* the relation's now, quoted and qualified */
    struct wc_slice seen_by; /* the login that asked, if row security hides nothing from it */
    /* Other bytes, never the same again, once the relation or one of its policies was altered. */
    struct wc_slice version;
    struct wc_slice owners; /* rls: oids of those who own the relations it applies to */
    uint16_t ncols;         /* live columns in attribute order */
    const struct wc_access_col *col;
    uint16_t nkeys; /* columns of the primary key */
    const struct wc_access_key *key;
    uint16_t nabove; /* rls */
    const struct wc_access_above *above;
    const struct wc_access_map *map; /* by stream column, for the wc_rel generation below */
    uint64_t generation;
    wc_us asked;            /* when the last answer was; 0: there was none yet */
    uint64_t answer;        /* rises with every answer; no other entry has the same */
    uint64_t types_number;  /* of the answer of types.h the map refers to; 0: to none */
    struct wc_rules *rules; /* of the last answer; NULL: there was none yet, or memory is out */
    wc_lsn rules_since;     /* they hold for what commits from here on */
    uint32_t pins;          /* wc_access_pin */
    /* the cache's own */
    struct wc_map_node node;
    struct wc_arena arena, map_arena;
    wc_us fresh_until, used;
    bool is_new;     /* or described anew by the stream: no answer since */
    bool is_wanted;  /* for the next question */
    bool asks_texts; /* of policies, with the question under way or the last one */
    wc_us texts_after;
    uint64_t barriers;    /* changes of rules that were over when it was asked */
    uint64_t question;    /* number of the one that the answer was to */
    uint64_t types_since; /* types must be of this answer or a later one */
};

struct wc_access_cache;

struct wc_access_options {
    uint32_t freshness_ms; /* 0: a change is judged by what was asked after it was read */
    bool no_compiling;     /* rules are never COMPILED */
};

/* Called after each refresh that succeeded. early: an answer was put aside because its snapshot
 * does not see a change yet, or the relation came or went meanwhile; ask again a little later. */
typedef void (*wc_access_answer_fn)(void *arg, bool early);

/* Returns owned; NULL when out of memory. */
struct wc_access_cache *wc_access_cache_new(const struct wc_access_options *, wc_access_answer_fn,
                                            void *arg);
/* Close the wc_pg of a question under way before, so that no answer comes after. */
void wc_access_cache_free(struct wc_access_cache *);

/* role: at most WC_ROLE_MAX bytes, no NUL. The fresh entry with its column map for this wc_rel, or
 * NULL: what is missing will be part of the next refresh. */
struct wc_access *wc_access_find(struct wc_access_cache *, const struct wc_rel *,
                                 struct wc_slice role);
/* The entry, known or not, which stays at its place until unpinned; its rules are asked for, and
 * kept up to date like the rest when it is found. NULL when out of memory. */
struct wc_access *wc_access_pin(struct wc_access_cache *, wc_oid, struct wc_slice role);
void wc_access_unpin(struct wc_access *);

/* The stream says that this transaction changed policies, grants or functions, it is not known
 * which: a change behind it is judged only by what was asked when it was over (barriers.h). Nothing
 * is asked before there is such a change. LIMIT: too many are not over yet: once some are, after
 * wc_access_refresh. */
WC_MUST_USE
enum wc_status wc_access_invalidate_all(struct wc_access_cache *, wc_xid, wc_lsn commit_lsn);

/* What answers must be later than to judge a change that is read now. */
struct wc_access_since {
    uint64_t barriers;
    uint64_t questions; /* freshness 0 */
};
struct wc_access_since wc_access_now(const struct wc_access_cache *);
/* From here on wc_access_find is for a change read then. */
void wc_access_judge_since(struct wc_access_cache *, const struct wc_access_since *);

/* A verdict of these rules was found to be wrong: wherever they are found, and whatever is made of
 * the same bytes later, is delegated from now on. why: one line. */
void wc_rules_distrust(struct wc_access_cache *, const struct wc_rules *, const char *why);

/* The stream described the relation anew in this transaction: what is known of it is out of date.
 */
WC_MUST_USE
enum wc_status wc_access_invalidate(struct wc_access_cache *, wc_oid, wc_xid);
/* A snapshot taken on the connection that is asked: changes it sees need not be remembered, since
 * later answers see them too. To be told now and then: after 2^31 transactions ids repeat. */
void wc_access_saw(struct wc_access_cache *, const struct wc_snapshot *);
/* Another server, or another past of it: its transactions say nothing about this one's. */
void wc_access_forget_changes(struct wc_access_cache *);

/* Startup options of connections that are asked. */
extern const char wc_access_session[];

/* Asks for everything that is wanted or will soon expire; one question at a time. AGAIN: one is
 * under way; OK also when there was nothing to ask. */
WC_MUST_USE
enum wc_status wc_access_refresh(struct wc_access_cache *, struct wc_pg *);

/* Can its rules judge this change? As wc_rules_can_judge, and not of a row that is older than they
 * are: names of columns and labels of enums are in it as they were, and may be others' by now. */
bool wc_access_can_judge(const struct wc_access *, const struct wc_change *, wc_lsn commit_lsn);
/* Is this column of the stream readable by the role? */
bool wc_access_can_read(const struct wc_access *, struct wc_slice column);

#endif
