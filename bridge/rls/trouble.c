#include "bridge/rls/judge_priv.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUTS_MAX = 3, /* design section 5 */
    TIMEOUTS_US = 60 * 1000000,
    PAUSE_MIN_MS = 1000,
    PAUSE_MAX_MS = 60000,
    TELL_US = 60 * 1000000,
    TEXT_SIZE = 400,
};

struct wc_trouble *wc_trouble_get(struct wc_judge *j, wc_oid rel, struct wc_slice role)
{
    struct wc_trouble *t = calloc(1, sizeof *t + sizeof rel + role.len);
    if (!t)
        return NULL;
    uint8_t *key = (uint8_t *)(t + 1);
    memcpy(key, &rel, sizeof rel);
    memcpy(key + sizeof rel, role.p, role.len);
    t->node.key = wc_slice(key, sizeof rel + role.len);
    struct wc_map_node *known = wc_map_get(&j->troubles, t->node.key);
    if (known || wc_map_insert(&j->troubles, &t->node) != WC_OK) {
        free(t);
        return known ? WC_CONTAINER(known, struct wc_trouble, node) : NULL;
    }
    t->judge = j;
    t->rel = rel;
    t->role = wc_slice(key + sizeof rel, role.len);
    t->told = wc_clock_mono() - TELL_US;
    return t;
}

enum wc_may wc_trouble_may_ask(struct wc_trouble *t, wc_us now)
{
    if (!t->is_suspended)
        return WC_MAY_ASK;
    if (t->is_probing)
        return WC_MAY_LATER;
    return now >= t->until ? WC_MAY_ASK : WC_MAY_NOT;
}

void wc_trouble_asked(struct wc_trouble *t)
{
    t->is_probing = t->is_suspended;
}

void wc_trouble_good(struct wc_trouble *t)
{
    t->good++;
    if (t->is_suspended) {
        t->is_suspended = t->is_probing = false;
        t->timeouts = 0;
        t->pause_ms = 0;
    }
}

/* Tells the channels, unless they know, or were told within the last minute. */
static void tell(struct wc_trouble *t, const char *what)
{
    wc_us now = wc_clock_mono();
    if (t->is_told || now - t->told < TELL_US)
        return;
    t->is_told = true;
    t->told = now;
    t->judge->events.trouble(t->judge->arg, t->rel, t->role, false, what);
}

static void suspend(struct wc_trouble *t, wc_us now)
{
    t->is_suspended = true;
    t->is_probing = false;
    t->pause_ms = t->pause_ms ? t->pause_ms * 2 : PAUSE_MIN_MS;
    if (t->pause_ms > PAUSE_MAX_MS)
        t->pause_ms = PAUSE_MAX_MS;
    t->until = now + (wc_us)t->pause_ms * 1000;
    unsigned long repeated = 0;
    if (wc_log_limit(&t->complaint, TELL_US, &repeated))
        WC_LOG(
            WC_LOG_ERROR, "rls", "checks_suspended",
            "tenant=%s relation=%u role=\"%.*s\" retry_in_ms=%u repeated=%lu hint=\"%s\"",
            t->judge->opt.tenant, t->rel, WC_SLICE_ARG(t->role), t->pause_ms, repeated,
            "row security takes longer than DB_RLS_STATEMENT_TIMEOUT_MS: index what its policies "
            "look up, or raise it; until then the role gets no changes of this table");
    tell(t, "its row security policies take too long, so no changes of it are delivered for now");
}

void wc_trouble_timeout(struct wc_trouble *t, wc_us now)
{
    t->bad++;
    wc_metric_add(WC_M_CHECK_TIMEOUTS, 1);
    if (t->timeouts == 0 || now - t->first > TIMEOUTS_US) {
        t->timeouts = 0;
        t->first = now;
    }
    t->timeouts++;
    if (t->is_probing || (t->timeouts >= TIMEOUTS_MAX && !t->is_suspended))
        suspend(t, now);
}

struct reason {
    const char *sqlstate; /* or the beginning of one */
    enum wc_metric metric;
    const char *hint, *told;
};

static struct reason reason_of(const char *sqlstate)
{
    static const struct reason table[] = {
        {"42501", WC_M_CHECK_DENIED,
         "grant the role USAGE on the schema and SELECT on what its policies look at, and the "
         "login "
         "membership in the role",
         "a privilege is missing to evaluate its row security policies"},
        {"22023", WC_M_CHECK_DENIED, "the role of the token does not exist, or may not be assumed",
         "the role does not exist, or may not be assumed"},
        {"55P03", WC_M_CHECK_LOCKED, "another session locks the table for long: see pg_locks",
         "it is locked by another session"},
        {"", WC_M_CHECK_OTHER, "a policy raises an error: the Postgres log has it",
         "its row security policies fail with an error"},
    };
    size_t i = 0;
    while (strncmp(sqlstate, table[i].sqlstate, strlen(table[i].sqlstate)) != 0)
        i++;
    return table[i];
}

void wc_trouble_bad(struct wc_trouble *t, const char *sqlstate)
{
    t->bad++;
    if (t->is_probing)
        suspend(t, wc_clock_mono());
    const struct reason why = reason_of(sqlstate);
    wc_metric_add(why.metric, 1);
    unsigned long repeated = 0;
    if (wc_log_limit(&t->complaint, TELL_US, &repeated))
        WC_LOG(WC_LOG_WARN, "rls", "check_failed",
               "tenant=%s relation=%u role=\"%.*s\" sqlstate=%s repeated=%lu hint=\"%s\"",
               t->judge->opt.tenant, t->rel, WC_SLICE_ARG(t->role), sqlstate[0] ? sqlstate : "-",
               repeated, why.hint);
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof text, "%s (%s), so its changes are not delivered", why.told,
                   sqlstate[0] ? sqlstate : "connection lost");
    tell(t, text);
}

static void tell_it_is_over(struct wc_trouble *t)
{
    t->is_told = false;
    WC_LOG(WC_LOG_INFO, "rls", "checks_work", "tenant=%s relation=%u role=\"%.*s\"",
           t->judge->opt.tenant, t->rel, WC_SLICE_ARG(t->role));
    t->judge->events.trouble(t->judge->arg, t->rel, t->role, true,
                             "its changes are delivered again");
}

void wc_trouble_settle(struct wc_judge *j)
{
    wc_us now = wc_clock_mono();
    for (struct wc_map_node *n = wc_map_each(&j->troubles, NULL), *next; n; n = next) {
        next = wc_map_each(&j->troubles, n);
        struct wc_trouble *t = WC_CONTAINER(n, struct wc_trouble, node);
        bool is_over = t->good > 0 && t->bad == 0 && !t->is_suspended;
        t->good = t->bad = 0;
        t->is_probing = false;
        if (t->is_told && is_over)
            tell_it_is_over(t);
        bool is_recent =
            now - t->told < TELL_US || (t->timeouts > 0 && now - t->first <= TIMEOUTS_US);
        if (!t->is_told && !is_recent && !t->is_suspended) {
            wc_map_remove(&j->troubles, n);
            free(t);
        }
    }
}

void wc_trouble_release(struct wc_judge *j)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&j->troubles, NULL))) {
        wc_map_remove(&j->troubles, n);
        free(WC_CONTAINER(n, struct wc_trouble, node));
    }
    wc_map_release(&j->troubles);
}
