/* When the janitor visits whom. The visits are this file's: they last until it ends them. */
#include "bridge/tenant/janitor_priv.h"

#include "bridge/migrate/visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 1000, FIRST_S = 600, EVERY_S = 14400, VISITS_MAX = 5, TIMEOUT_MS = 5000 };

static const wc_us second = 1000000;

struct wc_visit {
    struct wc_visit_options options;
    wc_visit_done done;
    void *arg;
};

static struct {
    unsigned begun, cancelled;
    bool is_memory_short;
} visits;

struct wc_visit *wc_visit_open(struct uv_loop_s *loop, const struct wc_visit_options *options,
                               wc_visit_done done, void *arg)
{
    (void)loop;
    struct wc_visit *v = visits.is_memory_short ? NULL : calloc(1, sizeof *v);
    if (!v)
        return NULL;
    *v = (struct wc_visit){*options, done, arg};
    visits.begun++;
    return v;
}

void wc_visit_cancel(struct wc_visit *v)
{
    visits.cancelled++;
    free(v);
}

static void end_visit(struct wc_seat *s, bool ok)
{
    const struct wc_migrate_outcome o = {.ok = ok, .message = ok ? "" : "connection refused"};
    struct wc_visit *v = s->visit;
    v->done(v->arg, &o);
    free(v);
}

struct world {
    struct wc_janitor janitor;
    struct wc_tenant *tenant[MANY];
    size_t n;
};

static struct wc_seat *seat(struct world *w, size_t i)
{
    return wc_tenant_seat(w->tenant[i]);
}

static void open_world(struct world *w, size_t n)
{
    *w = (struct world){.janitor = {.opt = {.first_ms = FIRST_S * 1000,
                                            .every_ms = EVERY_S * 1000,
                                            .timeout_ms = TIMEOUT_MS,
                                            .visits_max = VISITS_MAX}},
                        .n = n};
    visits.begun = visits.cancelled = 0;
    visits.is_memory_short = false;
    for (size_t i = 0; i < n; i++) {
        const struct wc_tenant_options o = {
            .external_id = "t",
            .keys = wc_keyset_new(wc_slice(NULL, 0)),
            .pg = {.host = "h",
                   .dbname = "d",
                   .user = "u",
                   .password = "p",
                   .sslmode = "disable",
                   .sslrootcert = "",
                   .connect_timeout_ms = 2 * TIMEOUT_MS},
            .judge = {.pg = {.user = "u", .password = "p"}, .search_path = "public"},
            .slot_name = "",
            .publications = "p",
            .messages_publication = "",
            .producers = 1};
        w->tenant[i] = wc_tenant_new(&o, i + 1);
        assert_non_null(w->tenant[i]);
        wc_janitor_expect(&w->janitor, seat(w, i), true, 0);
    }
}

static void close_world(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        wc_janitor_leave(seat(w, i));
        wc_tenant_view_unref(wc_tenant_view(w->tenant[i]));
    }
    assert_int_equal(w->janitor.visits, 0);
}

/* As the keeper does it, but in the same order each time. */
static unsigned come_by(struct world *w, wc_us now)
{
    unsigned begun = 0;
    for (size_t i = 0; i < w->n; i++)
        begun += wc_janitor_come_by(&w->janitor, seat(w, i), now);
    return begun;
}

static void the_first_round_is_spread_and_reaches_all(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof *w);
    assert_non_null(w);
    open_world(w, MANY);
    assert_int_equal(come_by(w, FIRST_S * second - 1), 0);
    for (wc_us now = FIRST_S; now <= 2 * FIRST_S; now++) {
        assert_in_range(come_by(w, now * second), 0, VISITS_MAX);
        for (size_t i = 0; i < w->n; i++)
            if (seat(w, i)->visit)
                end_visit(seat(w, i), true);
        if (now == FIRST_S * 3 / 2)
            assert_in_range(visits.begun, MANY * 2 / 5, MANY * 3 / 5);
    }
    assert_in_range(visits.begun, MANY - VISITS_MAX * 10, MANY); /* the last wait for their turn */
    close_world(w);
    free(w);
}

static void no_more_visits_at_once_than_allowed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 20);
    const wc_us late = 3 * FIRST_S * second;
    assert_int_equal(come_by(&w, late), VISITS_MAX);
    assert_int_equal(come_by(&w, late + second), 0);
    end_visit(seat(&w, 0), false);
    assert_int_equal(come_by(&w, late + second), 1);
    assert_null(seat(&w, 0)->visit); /* it is not its time */
    assert_non_null(seat(&w, VISITS_MAX)->visit);
    close_world(&w);
    assert_int_equal(visits.cancelled, VISITS_MAX);
}

static void without_visits_at_once_there_are_none(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 3);
    w.janitor.opt.visits_max = 0;
    assert_int_equal(come_by(&w, 3 * EVERY_S * second), 0);
    close_world(&w);
}

/* Whether it went well or not. */
static void the_next_visit_is_when_its_time_has_come(void **state)
{
    (void)state;
    for (int ok = 0; ok <= 1; ok++) {
        struct world w;
        open_world(&w, 1);
        wc_us now = wc_clock_mono();
        assert_int_equal(come_by(&w, now + 2 * FIRST_S * second), 1);
        end_visit(seat(&w, 0), ok);
        assert_int_equal(come_by(&w, now + EVERY_S * second - 1), 0);
        assert_int_equal(come_by(&w, wc_clock_mono() + EVERY_S * second * 9 / 8), 1);
        close_world(&w);
    }
}

static void who_is_opened_is_left_and_has_time_when_closed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const wc_us late = 3 * FIRST_S * second;
    assert_int_equal(come_by(&w, late), 1);
    wc_janitor_leave(seat(&w, 0));
    assert_int_equal(visits.cancelled, 1);
    wc_janitor_expect(&w.janitor, seat(&w, 0), false, late);
    assert_int_equal(come_by(&w, late + EVERY_S * second - 1), 0);
    assert_int_equal(come_by(&w, late + EVERY_S * second * 9 / 8), 1);
    close_world(&w);
}

static void a_visit_is_for_partitions_alone_and_through_the_gate(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    assert_int_equal(come_by(&w, 3 * FIRST_S * second), 1);
    const struct wc_visit_options *o = &seat(&w, 0)->visit->options;
    assert_true(o->migrate.only_partitions);
    assert_int_equal(o->timeout_ms, TIMEOUT_MS);
    assert_int_equal(o->pg.connect_timeout_ms, TIMEOUT_MS);
    assert_ptr_equal(o->pg.lane, &seat(&w, 0)->lane);
    assert_string_equal(o->pg.host, "h");
    close_world(&w);
}

static void short_memory_costs_no_place(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    const wc_us late = 3 * FIRST_S * second;
    visits.is_memory_short = true;
    assert_int_equal(come_by(&w, late), 0);
    assert_int_equal(w.janitor.visits, 0);
    visits.is_memory_short = false;
    assert_int_equal(come_by(&w, late + second), 1);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_round_is_spread_and_reaches_all),
        cmocka_unit_test(no_more_visits_at_once_than_allowed),
        cmocka_unit_test(without_visits_at_once_there_are_none),
        cmocka_unit_test(the_next_visit_is_when_its_time_has_come),
        cmocka_unit_test(who_is_opened_is_left_and_has_time_when_closed),
        cmocka_unit_test(a_visit_is_for_partitions_alone_and_through_the_gate),
        cmocka_unit_test(short_memory_costs_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
