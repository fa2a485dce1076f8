#include "bridge/match/interval.h"

#include "base/map.h"
#include "bridge/match/key.h"

/* ---- order ---- */

int wc_lower_compare(const struct wc_bound *a, const struct wc_bound *b)
{
    if (a->kind == WC_BOUND_NONE || b->kind == WC_BOUND_NONE)
        return (a->kind != WC_BOUND_NONE) - (b->kind != WC_BOUND_NONE);
    int order = wc_key_compare(a->key, b->key);
    return order ? order : (a->kind == WC_BOUND_OPEN) - (b->kind == WC_BOUND_OPEN);
}

int wc_upper_compare(const struct wc_bound *a, const struct wc_bound *b)
{
    if (a->kind == WC_BOUND_NONE || b->kind == WC_BOUND_NONE)
        return (a->kind == WC_BOUND_NONE) - (b->kind == WC_BOUND_NONE);
    int order = wc_key_compare(a->key, b->key);
    return order ? order : (a->kind == WC_BOUND_CLOSED) - (b->kind == WC_BOUND_CLOSED);
}

static uint64_t head_of(struct wc_slice key)
{
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < key.len ? key.p[i] : 0);
    return head;
}

/* Heads that differ decide, for what is padded is less; most bounds are not looked at beyond. */
static void note_heads(struct wc_interval *i)
{
    i->begins = i->lower.kind == WC_BOUND_NONE ? 0 : head_of(i->lower.key);
    i->ends = i->upper.kind == WC_BOUND_NONE ? UINT64_MAX : head_of(i->upper.key);
}

/* Two intervals that begin alike are ordered by address. */
static bool is_before(const struct wc_interval *a, const struct wc_interval *b)
{
    if (a->begins != b->begins)
        return a->begins < b->begins;
    int order = wc_lower_compare(&a->lower, &b->lower);
    return order ? order < 0 : (uintptr_t)a < (uintptr_t)b;
}

static bool ends_after(const struct wc_interval *a, const struct wc_interval *b)
{
    return a->ends != b->ends ? a->ends > b->ends : wc_upper_compare(&a->upper, &b->upper) > 0;
}

/* A key that is searched for. */
struct target {
    struct wc_bound at; /* closed */
    uint64_t head;
    wc_interval_fn fn;
    void *arg;
};

static bool begins_by(const struct wc_interval *i, const struct target *t)
{
    return i->begins != t->head ? i->begins < t->head : wc_lower_compare(&i->lower, &t->at) <= 0;
}

static bool ends_before(const struct wc_interval *i, const struct target *t)
{
    return i->ends != t->head ? i->ends < t->head : wc_upper_compare(&i->upper, &t->at) < 0;
}

/* ---- holding ---- */

static void hold(struct wc_interval *node, struct wc_interval *i)
{
    node->held = i;
    i->holder = node;
}

/* An interval that is being moved is its own holder, so that nobody else takes it. */
static struct wc_interval *take_held(struct wc_interval *node)
{
    struct wc_interval *i = node->held;
    node->held = NULL;
    if (i)
        i->holder = i;
    return i;
}

/* Finds the interval's holder from this node down: at the first node that holds none, or one that
 * ends earlier, which then moves on; or none, on arriving at a node itself. */
static void settle(struct wc_interval *node, struct wc_interval *i)
{
    while (i && i != node) {
        struct wc_interval *loser = node->held;
        if (!loser || ends_after(i, loser)) {
            hold(node, i);
            i = loser;
        }
        if (i)
            node = is_before(i, node) ? node->left : node->right;
    }
    if (i)
        i->holder = NULL;
}

static struct wc_interval *later(struct wc_interval *a, struct wc_interval *b)
{
    return !a || (b && ends_after(b, a)) ? b : a;
}

static struct wc_interval *best_of_child(struct wc_interval *child)
{
    if (!child)
        return NULL;
    return later(child->held, child->holder ? NULL : child);
}

/* A node that holds none gets what is due to it from below; who gave it, from further below. */
static void refill(struct wc_interval *node)
{
    while (node) {
        struct wc_interval *i = later(best_of_child(node->left), best_of_child(node->right));
        struct wc_interval *giver = i ? i->holder : NULL;
        node->held = NULL;
        if (i)
            hold(node, i);
        node = giver;
    }
}

/* ---- shape ---- */

static struct wc_interval **place_of(struct wc_intervals *t, const struct wc_interval *n)
{
    if (!n->parent)
        return &t->root;
    return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

static void link_child(struct wc_interval **place, struct wc_interval *child,
                       struct wc_interval *parent)
{
    *place = child;
    if (child)
        child->parent = parent;
}

/* The node and its parent change places. */
static void rise(struct wc_intervals *t, struct wc_interval *n)
{
    struct wc_interval *p = n->parent, **place = place_of(t, p);
    struct wc_interval *of_parent = take_held(p), *of_node = take_held(n);
    link_child(place, n, p->parent);
    if (p->left == n) {
        link_child(&p->left, n->right, p);
        link_child(&n->right, p, n);
    } else {
        link_child(&p->right, n->left, p);
        link_child(&n->left, p, n);
    }
    refill(p);
    refill(n);
    settle(n, of_parent);
    settle(n, of_node);
}

/* By the process's secret hash: who chooses bounds cannot choose the tree's shape. */
static uint32_t draw_rank(struct wc_intervals *t)
{
    t->inserted++;
    return (uint32_t)wc_hash(wc_slice(&t->inserted, sizeof t->inserted));
}

void wc_intervals_init(struct wc_intervals *t)
{
    *t = (struct wc_intervals){0};
}

void wc_intervals_insert(struct wc_intervals *t, struct wc_interval *i)
{
    struct wc_interval *parent = NULL, **place = &t->root;
    note_heads(i);
    while (*place) {
        parent = *place;
        place = is_before(i, parent) ? &parent->left : &parent->right;
    }
    i->left = i->right = i->held = NULL;
    i->holder = i; /* until it has its place */
    i->rank = draw_rank(t);
    link_child(place, i, parent);
    while (i->parent && i->parent->rank < i->rank)
        rise(t, i);
    settle(t->root, i);
}

static struct wc_interval *higher(struct wc_interval *a, struct wc_interval *b)
{
    return !a || (b && b->rank > a->rank) ? b : a;
}

void wc_intervals_remove(struct wc_intervals *t, struct wc_interval *i)
{
    struct wc_interval *holder = i->holder, *child;
    i->holder = i; /* nobody takes it any more */
    if (holder)
        refill(holder);
    while ((child = higher(i->left, i->right)))
        rise(t, child);
    *place_of(t, i) = NULL;
}

/* ---- asking ---- */

static void find(struct wc_interval *n, const struct target *t)
{
    while (n) {
        bool begins = begins_by(n, t);
        if (!n->holder && begins && !ends_before(n, t))
            t->fn(t->arg, n);
        if (!n->held || ends_before(n->held, t))
            return;
        if (begins_by(n->held, t))
            t->fn(t->arg, n->held);
        if (begins)
            find(n->right, t);
        n = n->left;
    }
}

void wc_intervals_find(const struct wc_intervals *t, struct wc_slice key, wc_interval_fn fn,
                       void *arg)
{
    const struct target target = {
        .at = {.kind = WC_BOUND_CLOSED, .key = key}, .head = head_of(key), .fn = fn, .arg = arg};
    find(t->root, &target);
}

/* ---- invariants ---- */

static bool children_ok(const struct wc_interval *n)
{
    const struct wc_interval *child[] = {n->left, n->right};
    for (size_t i = 0; i < 2; i++) {
        const struct wc_interval *c = child[i];
        if (!c)
            continue;
        if (c->parent != n || c->rank > n->rank || is_before(c, n) != (c == n->left))
            return false;
        if ((c->held || !c->holder) && !n->held)
            return false;
        if ((c->held && ends_after(c->held, n->held)) || (!c->holder && ends_after(c, n->held)))
            return false;
    }
    return true;
}

static bool node_ok(const struct wc_interval *n)
{
    if (!n)
        return true;
    if (!node_ok(n->left) || !node_ok(n->right) || !children_ok(n))
        return false;
    if (n->held && n->held->holder != n)
        return false;
    if (n->holder) { /* above it, and holding it */
        const struct wc_interval *above = n->parent;
        while (above && above != n->holder)
            above = above->parent;
        if (!above || above->held != n)
            return false;
    }
    return true;
}

bool wc_intervals_ok(const struct wc_intervals *t)
{
    return node_ok(t->root);
}
