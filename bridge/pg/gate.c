#include "bridge/pg/gate.h"

void wc_pg_gate_init(struct wc_pg_gate *g)
{
    g->inside[0] = g->inside[1] = 0;
    wc_list_init(&g->waiting[0]);
    wc_list_init(&g->waiting[1]);
}

static void let_in(struct wc_pg_pass *p)
{
    p->state = WC_PG_PASS_IN;
    p->lane->gate->inside[p->is_failing]++;
}

bool wc_pg_gate_ask(struct wc_pg_lane *lane, struct wc_pg_pass *p,
                    void (*enter)(struct wc_pg_pass *))
{
    struct wc_pg_gate *g = lane->gate;
    *p = (struct wc_pg_pass){.is_failing = lane->is_failing, .lane = lane, .enter = enter};
    wc_list_init(&p->link);
    if (g->inside[p->is_failing] < WC_PG_GATE_ROOM) {
        let_in(p);
        return true;
    }
    p->state = WC_PG_PASS_WAITING;
    wc_list_push(&g->waiting[p->is_failing], &p->link);
    return false;
}

static void let_next_in(struct wc_pg_gate *g, bool is_failing)
{
    if (wc_list_is_empty(&g->waiting[is_failing]) || g->inside[is_failing] >= WC_PG_GATE_ROOM)
        return;
    struct wc_pg_pass *next = WC_CONTAINER(g->waiting[is_failing].next, struct wc_pg_pass, link);
    wc_list_remove(&next->link);
    let_in(next);
    next->enter(next);
}

static void give_back(struct wc_pg_pass *p)
{
    bool was_in = p->state == WC_PG_PASS_IN;
    wc_list_remove(&p->link);
    p->state = WC_PG_PASS_OUT;
    if (!was_in)
        return;
    p->lane->gate->inside[p->is_failing]--;
    let_next_in(p->lane->gate, p->is_failing);
}

void wc_pg_gate_is_slow(struct wc_pg_pass *p)
{
    if (p->state != WC_PG_PASS_IN)
        return;
    p->lane->is_failing = true;
    give_back(p);
}

void wc_pg_gate_leave(struct wc_pg_pass *p, enum wc_pg_attempt how)
{
    if (!p->lane)
        return;
    if (how != WC_PG_ATTEMPT_GIVEN_UP)
        p->lane->is_failing = how == WC_PG_ATTEMPT_FAILED;
    if (p->state != WC_PG_PASS_OUT)
        give_back(p);
    p->lane = NULL;
}
