/*
 * A tenant's subscriptions as a whole: life cycle, what the parts tell each other, and what is done
 * now and then. fence.c and member.c have the members, stream.c the changes.
 */
#include "bridge/subs/explain.h"
#include "bridge/subs/filed.h"
#include "bridge/subs/recheck.h"
#include "bridge/subs/sample.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdlib.h>
#include <uv.h>

enum {
    SPEC_CAP = 16 << 20, /* a parsed binding, many times the length of its JSON */
    ARRAY_CAP = 64 << 10,
    POSITION_US = 1000000,
    SETTLE_US = 60 * 1000000, /* ids are compared as 32 bits: not even the busiest server wraps */
    REFRESH_MS = 250,         /* what failed is tried again, however long answers are good for */
    RETAKE_MS = 5,            /* until the next snapshot when one was too early */
};

static void on_refresh(uv_timer_t *t);

static uint32_t refresh_ms(const struct wc_subs *s)
{
    uint32_t ms = s->opt.freshness_ms / 4 + 1;
    return s->opt.freshness_ms && ms < REFRESH_MS ? ms : REFRESH_MS;
}

/* An answer was too early to see what the stream has shown already: on_refresh asks again. */
void wc_subs_soon(struct wc_subs *s)
{
    (void)uv_timer_start(s->refresh, on_refresh, RETAKE_MS, refresh_ms(s)); /* valid handle */
}

/* ---- life cycle ---- */

static void on_catalog_up(void *arg)
{
    struct wc_subs *s = arg;
    wc_watch_ask(s->watch, wc_catalog_pg(s->catalog), true);
    wc_subs_check(s);
    wc_subs_take_fences(s);
    wc_subs_go_on(s);
}

static void on_access_answer(void *arg, bool early)
{
    struct wc_subs *s = arg;
    wc_filed_renew(s);
    wc_shadow_go_on(s->shadow);
    if (early)
        wc_subs_soon(s);
    else
        wc_subs_go_on(s);
}

static void on_position(void *arg, const struct wc_pg_result *res)
{
    struct wc_subs *s = arg;
    wc_lsn at;
    s->asking_position = false;
    if (res->ok && wc_lsn_parse(wc_pg_slice(res, 0, 0), &at) == WC_OK)
        s->hooks.server_at(s->self, at);
}

static void ask_position(struct wc_subs *s)
{
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    wc_us now = wc_clock_mono();
    if (!pg || s->asking_position || now - s->position_asked < POSITION_US)
        return;
    s->position_asked = now;
    s->asking_position = wc_pg_query(pg, wc_sql_position, 0, NULL, on_position, s) == WC_OK;
}

/* Keeps the answers in use fresh, so that the stream need not wait for them, and tries again what
 * failed for a reason that may have passed. */
static void on_refresh(uv_timer_t *t)
{
    struct wc_subs *s = t->data;
    if (s->passed.len && wc_clock_mono() - s->settled_at > SETTLE_US)
        s->settling = true;
    bool waits = s->holding || !wc_queue_is_empty(s->queue);
    if (waits && wc_catalog_is_turned_away(s->catalog))
        s->hooks.give_up(s->self);
    wc_resolver_sweep(s->resolver);
    wc_filter_types_sweep(s->types);
    wc_subs_check(s);
    wc_subs_take_fences(s);
    wc_subs_go_on(s);
    ask_position(s);
    wc_shadow_go_on(s->shadow);
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (pg)
        wc_watch_ask(s->watch, pg, false);
    if (pg && wc_access_refresh(s->access, pg) == WC_NOMEM)
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=access", s->opt.tenant);
}

static char *array_of(const char *list)
{
    struct wc_buf b;
    wc_buf_init(&b, ARRAY_CAP);
    wc_pg_array_of_names(&b, list);
    char *array = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return array;
}

static struct wc_givens *new_givens(struct wc_subs *s)
{
    const struct wc_session_options options = {.pg = s->opt.judge.pg,
                                               .tenant = s->opt.judge.tenant,
                                               .statement_timeout_ms =
                                                   s->opt.judge.statement_timeout_ms,
                                               .lock_timeout_ms = s->opt.judge.lock_timeout_ms};
    return wc_givens_new(s->loop, &options, wc_filed_on_known, s);
}

static void on_refresh_closed(uv_handle_t *h)
{
    free(h);
}

struct wc_subs *wc_subs_new(uv_loop_t *loop, const struct wc_subs_options *options,
                            struct wc_publisher *publisher, const struct wc_subs_hooks *hooks,
                            void *self)
{
    static const struct wc_watch_events events = {.described = wc_subs_on_described,
                                                  .published = wc_subs_on_published,
                                                  .outdated = wc_subs_on_outdated};
    struct wc_subs *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->loop = loop;
    s->opt = *options;
    s->publisher = publisher;
    s->hooks = *hooks;
    s->self = self;
    s->next_audience = options->first_audience;
    wc_map_init(&s->members);
    wc_map_init(&s->audiences);
    for (size_t i = 0; i < WC_LANES; i++)
        wc_list_init(&s->todo[i]);
    wc_arena_init(&s->scratch, SPEC_CAP);
    wc_list_init(&s->fence_next);
    wc_list_init(&s->fence_now);
    wc_list_init(&s->direct);
    wc_list_init(&s->touched);
    wc_rendered_init(&s->rendered);
    wc_list_init(&s->to_announce);
    wc_list_init(&s->explaining);
    s->publications = array_of(options->publications);
    s->catalog = wc_catalog_new(loop, &options->pg, options->tenant, on_catalog_up, s);
    const struct wc_access_options access = {.freshness_ms = options->freshness_ms,
                                             .no_compiling = options->no_compiling};
    s->access = wc_access_cache_new(&access, on_access_answer, s);
    wc_rolls_init(&s->rolls, s->access);
    s->givens = new_givens(s);
    s->fields = wc_fields_new();
    s->match = wc_match_new();
    s->deletes = wc_match_new();
    s->contexts = wc_contexts_new();
    s->comparisons = wc_comparisons_new();
    s->queue = wc_subs_new_queue(s);
    s->shadow = options->shadow_permille ? wc_subs_new_shadow(s) : NULL;
    s->resolver = s->publications ? wc_resolver_new(s->publications, options->freshness_ms,
                                                    wc_subs_on_resolved, s)
                                  : NULL;
    s->types = wc_filter_types_new(options->freshness_ms, wc_subs_on_type, s);
    s->watch =
        s->publications ? wc_watch_new(s->publications, options->freshness_ms, &events, s) : NULL;
    s->caster = wc_caster_new(wc_subs_on_cast, s);
    s->sets = wc_column_sets_new();
    s->refresh = malloc(sizeof *s->refresh);
    if (s->refresh) {
        (void)uv_timer_init(loop, s->refresh); /* cannot fail */
        s->refresh->data = s;
        (void)uv_timer_start(s->refresh, on_refresh, refresh_ms(s), refresh_ms(s)); /* valid */
    }
    bool can_check = s->resolver && s->types && s->caster && s->sets && s->comparisons &&
                     s->watch && s->contexts && s->queue && s->givens && s->fields;
    bool has_shadow = s->shadow || !options->shadow_permille;
    if (can_check && has_shadow && s->catalog && s->access && s->match && s->deletes && s->refresh)
        return s;
    wc_subs_free(s);
    return NULL;
}

void wc_subs_free(struct wc_subs *s)
{
    if (!s)
        return;
    wc_catalog_free(s->catalog); /* first: no answer comes after this */
    wc_explain_forget(s);
    wc_queue_free(s->queue);
    wc_shadow_free(s->shadow);
    if (s->refresh)
        uv_close((uv_handle_t *)s->refresh, on_refresh_closed);
    struct wc_map_node *n;
    while ((n = wc_map_each(&s->members, NULL))) {
        (void)wc_subs_end_member(
            WC_CONTAINER(n, struct wc_member, node)); /* or others are left in it */
    }
    WC_ASSERT(s->audiences.count == 0);
    wc_resolver_free(s->resolver);
    wc_filter_types_free(s->types);
    wc_watch_free(s->watch);
    wc_caster_free(s->caster);
    wc_column_sets_free(s->sets);
    wc_comparisons_free(s->comparisons);
    wc_arena_release(&s->scratch);
    wc_rendered_release(&s->rendered);
    wc_rolls_release(&s->rolls);
    wc_givens_free(s->givens);
    wc_fields_free(s->fields);
    wc_map_release(&s->members);
    wc_map_release(&s->audiences);
    wc_match_free(s->match);
    wc_match_free(s->deletes);
    wc_contexts_free(s->contexts);
    wc_access_cache_free(s->access);
    free(s->publications);
    free(s);
}

uint64_t wc_subs_next_audience(const struct wc_subs *s)
{
    return s->next_audience;
}
