/*
 * Shared by judge.c (batches), run.c (asking and answering), rows.c (what is asked about rows) and
 * compare.c (about comparisons).
 *
 * A batch is made of questions. A question is one segment: one role, one set of claims, one
 * statement. Questions that run the code of the same owners are a lane and share a session; lanes
 * take turns, so that one snapshot, taken when the first begins, stands for all that follow.
 */
#ifndef WC_BRIDGE_RLS_JUDGE_PRIV_H
#define WC_BRIDGE_RLS_JUDGE_PRIV_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "bridge/rls/judge.h"
#include "bridge/rls/session.h"
#include "bridge/rls/trouble_priv.h"

#include <uv.h>

/* ---- questions ---- */

struct wc_lane {
    struct wc_list link;
    struct wc_session_trust trust;
    struct wc_list waiting; /* wc_question.link */
};

struct wc_question {
    struct wc_list link; /* in its lane's waiting, or in flying */
    struct wc_judge *judge;
    struct wc_lane *lane;
    struct wc_trouble *trouble; /* NULL: not about rows */
    struct wc_session_question asked;
    size_t bytes; /* of its parameters */
    unsigned tries;
    bool may_be_slow; /* about comparisons that are not proven: a batch waits for few of them */
    wc_us not_before; /* after an error that passes */
    void (*on_answer)(struct wc_question *, const struct wc_pg_result *);
    /* It cannot be answered, for an error with this SQLSTATE or as the verdict says. */
    void (*on_failure)(struct wc_question *, enum wc_verdict, const char *sqlstate);
};

/* ---- rows.c ---- */

enum { WC_SET_WORDS = WC_JUDGE_MAX / 64 };

struct wc_set { /* of changes of the batch */
    uint64_t word[WC_SET_WORDS];
};

static inline void wc_set_add(struct wc_set *s, unsigned i)
{
    s->word[i / 64] |= 1ull << i % 64;
}

static inline bool wc_set_has(const struct wc_set *s, unsigned i)
{
    return s->word[i / 64] >> i % 64 & 1;
}

/*
 * What has to be the same in the log and in the table for a verdict to hold.
 *
 *   POLICY  the columns the policies depend on: all of them are in the log's row, and readable
 *
 *   WHOLE   every column of the log's row that the role may read. Then what is delivered is what
 *           the role could select at the moment of the check, whatever the policies look at;
 *           columns the log's row lacks (unchanged TOAST values) are not delivered and need no
 *           judging
 *
 *   NEVER   cannot be asked: the log's row lacks a value of the key, or nobody may ask
 */
enum wc_sameness { WC_SAME_POLICY, WC_SAME_WHOLE, WC_SAME_NEVER, WC_SAMENESS_COUNT };

/* Which of the rows asked for exist no more? */
struct wc_gone {
    struct wc_question q;
    const struct wc_rowset *rows;
    struct wc_set wanted, found;
};

/* A relation as a role sees it, for this batch. */
struct wc_sight {
    struct wc_map_node node; /* key: answer */
    uint64_t answer;         /* wc_access.answer */
    uint32_t number;
    const char *role;
    struct wc_lane *lane;
    struct wc_trouble *trouble;
    enum wc_verdict never; /* verdict of NEVER questions */
    size_t nkeys;
    const struct wc_slice *key; /* names of columns */
    const char *sql[WC_SAME_NEVER];
    size_t ncols[WC_SAME_NEVER]; /* columns compared */
    const struct wc_slice *col[WC_SAME_NEVER];
    const char *gone_sql; /* NULL: the login cannot tell */
    struct wc_gone gone;
    bool can_same_policy, replans;  /* wc_rules */
    uint8_t sameness[WC_JUDGE_MAX]; /* of each change: 1 + enum wc_sameness; 0: not looked yet */
};

/* A set of rows as parameters: one text[] for each key column, one for each column compared, and,
 * for WHOLE, one that tells which of those the log's row has. Shared by questions. */
struct wc_rowset {
    struct wc_map_node node;
    struct {
        uint64_t sight;
        uint64_t sameness;
        struct wc_set set;
    } id; /* the key */
    unsigned count;
    uint16_t change[WC_JUDGE_MAX]; /* by ordinality - 1 */
    int nparams;
    const char **param;
    size_t bytes; /* of all of them */
};

struct wc_row_question {
    struct wc_question q;
    struct wc_map_node node;
    struct wc_list all;
    struct {
        uint64_t sight_and_sameness, context;
    } id; /* the key */
    struct wc_sight *sight;
    enum wc_sameness sameness;
    struct wc_context *context; /* referenced */
    const struct wc_rowset *rows;
    struct wc_set wanted, visible, superseded;
    enum wc_verdict rest; /* of those neither visible nor superseded */
    bool is_answered;
};

/* The statement: $1 ... the key columns' texts, then those of the columns compared, then for WHOLE
 * a text of 0 and 1 for each of them. Answers ordinality and sameness of each visible row. Pure. */
void wc_rows_sql(struct wc_buf *, const struct wc_access *, enum wc_sameness);
/* Of rows by their key, ordinality of those that are not there; none if row security applies to who
 * asks. Pure. */
void wc_rows_gone_sql(struct wc_buf *, const struct wc_access *);
/* See version.h. Pure. */
void wc_rows_version_sql(struct wc_buf *, const struct wc_access *);
/* Is this column of the relation compared? Pure. */
bool wc_rows_compares(const struct wc_access_col *, enum wc_sameness);
/* The log's value of a column: NULL when it has none. Pure. */
const struct wc_col *wc_rows_value(const struct wc_change *, struct wc_slice column);

enum wc_status wc_rows_want(struct wc_judge *, unsigned change, const struct wc_access *,
                            struct wc_context *);
enum wc_status wc_rows_prepare(struct wc_judge *); /* questions into lanes */
void wc_rows_report(struct wc_judge *);
void wc_rows_release(struct wc_judge *);

/* ---- compare.c ---- */

struct wc_compared {
    struct wc_list link; /* in its question, or its kind */
    unsigned change;
    struct wc_comparison *comparison;
    struct wc_slice value;
    enum wc_truth truth;
};

/* Comparisons that one statement can evaluate. */
struct wc_comparison_kind {
    struct wc_map_node node;
    struct wc_list all, items; /* items: not in a question yet */
    struct wc_list unproven;   /* likewise, of comparisons that may be slow */
    const char *role, *sql;
    struct wc_lane *lane;
};

struct wc_compare_question {
    struct wc_question q;
    struct wc_list items;
    size_t count;
    bool is_alone; /* all of one comparison, after a question of several took too long */
};

/* The statement: $1 values, $2 the filter's values, both text[]. Answers ordinality and truth.
 * Pure. */
void wc_compare_sql(struct wc_buf *, const struct wc_comparison *);

enum wc_status wc_compare_want(struct wc_judge *, unsigned change, struct wc_comparison *,
                               struct wc_slice value);
enum wc_status wc_compare_prepare(struct wc_judge *);
void wc_compare_report(struct wc_judge *);
void wc_compare_release(struct wc_judge *);

/* ---- run.c ---- */

/* One lane's turn. */
struct wc_turn {
    struct wc_lane *lane; /* NULL: between turns */
    struct wc_session *session;
    bool is_seen; /* a snapshot sees all transactions of the batch */
    bool is_void; /* none did: answers do not count */
    bool is_lost; /* the connection was */
};

struct wc_lane *wc_run_lane(struct wc_judge *, struct wc_slice owners,
                            bool runs_code); /* or NULL */
void wc_run_enqueue(struct wc_question *);
void wc_run_start(struct wc_judge *);
void wc_run_stop(struct wc_judge *); /* what is under way gets no answer */
void wc_run_on_change(void *judge);

/* ---- judge.c ---- */

struct wc_judge {
    struct wc_judge_events events;
    void *arg;
    struct wc_judge_options opt;
    struct wc_sessions *sessions;
    uv_timer_t timer, deadline_timer;
    unsigned open_handles;
    struct wc_map troubles;

    /* the batch */
    struct wc_arena arena;
    struct {
        const struct wc_change *change;
        wc_xid xid;
    } change[WC_JUDGE_MAX];
    unsigned nchanges;
    struct wc_list lanes;
    struct wc_map sights, row_questions, rowsets;
    struct wc_list rows; /* row questions, oldest first */
    struct wc_map kinds;
    struct wc_list kind_list, compared; /* compared: whose truth is known */
    struct wc_log_limit slow_log;

    /* while it is busy */
    bool is_busy;
    bool is_short; /* of memory: not all could be asked */
    struct wc_turn turn;
    struct wc_list flying;
    unsigned in_flight; /* flying, and the snapshot */
    size_t bytes_in_flight;
    bool was_seen; /* since wc_judge_send */
    bool is_early; /* the last snapshot did not see all: the next one goes alone */
    unsigned slow; /* questions about comparisons that took too long in this batch */
    wc_us deadline;
};

void wc_judge_finish(struct wc_judge *, bool ok);

#endif
