#include "fanout/presence_state.h"

#include "base/assert.h"

#include <stdlib.h>

/* Exists while it has entries or leavers. Whether it is among the joining shows in its last entry,
 * whether among the leaving in its leavers; settle brings the lists in line. */
struct wc_presence_key {
    struct wc_map_node node;
    struct wc_list all, joining, leaving; /* in the state's lists */
    struct wc_list entries, left;
    uint8_t json[];
};

static struct wc_presence_entry *entry_at(const struct wc_list *it)
{
    union {
        const struct wc_list *shared;
        struct wc_list *owned;
    } node = {.shared = it};
    return WC_CONTAINER(node.owned, struct wc_presence_entry, in_key);
}

void wc_presence_state_init(struct wc_presence_state *s)
{
    *s = (struct wc_presence_state){0};
    wc_map_init(&s->entries);
    wc_map_init(&s->keys);
    wc_list_init(&s->all);
    wc_list_init(&s->joining);
    wc_list_init(&s->leaving);
}

static void free_entries(struct wc_list *list)
{
    WC_LIST_EACH_SAFE (it, list) {
        free(entry_at(it));
    }
    wc_list_init(list);
}

void wc_presence_state_release(struct wc_presence_state *s)
{
    WC_LIST_EACH_SAFE (it, &s->all) {
        struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, all);
        free_entries(&k->entries);
        free_entries(&k->left);
        free(k);
    }
    wc_map_release(&s->entries);
    wc_map_release(&s->keys);
    wc_dots_release(&s->seen);
    wc_presence_state_init(s);
}

/* ---- keys ---- */

static bool has_news(const struct wc_presence_key *k)
{
    return !wc_list_is_empty(&k->entries) && !entry_at(k->entries.prev)->is_announced;
}

static void enlist(struct wc_list *list, struct wc_list *node, bool belongs)
{
    if (!belongs)
        wc_list_remove(node);
    else if (wc_list_is_empty(node))
        wc_list_push(list, node);
}

/* After every change of a key's entries; frees one that has none left. */
static void settle(struct wc_presence_state *s, struct wc_presence_key *k)
{
    enlist(&s->joining, &k->joining, has_news(k));
    enlist(&s->leaving, &k->leaving, !wc_list_is_empty(&k->left));
    if (!wc_list_is_empty(&k->entries) || !wc_list_is_empty(&k->left))
        return;
    wc_map_remove(&s->keys, &k->node);
    wc_list_remove(&k->all);
    free(k);
}

static struct wc_presence_key *find_key(const struct wc_presence_state *s, struct wc_slice json)
{
    struct wc_map_node *n = wc_map_get(&s->keys, json);
    return n ? WC_CONTAINER(n, struct wc_presence_key, node) : NULL;
}

static struct wc_presence_key *make_key(struct wc_presence_state *s, struct wc_slice json)
{
    struct wc_presence_key *k = calloc(1, sizeof *k + json.len);
    if (!k)
        return NULL;
    memcpy(k->json, json.p, json.len);
    k->node.key = wc_slice(k->json, json.len);
    wc_list_init(&k->all);
    wc_list_init(&k->joining);
    wc_list_init(&k->leaving);
    wc_list_init(&k->entries);
    wc_list_init(&k->left);
    if (wc_map_insert(&s->keys, &k->node) != WC_OK) {
        free(k);
        return NULL;
    }
    wc_list_push(&s->all, &k->all);
    return k;
}

/* ---- entries ---- */

static struct wc_presence_entry *find(const struct wc_presence_state *s, struct wc_dot dot)
{
    struct wc_map_node *n = wc_map_get(&s->entries, wc_slice(&dot, sizeof dot));
    return n ? WC_CONTAINER(n, struct wc_presence_entry, by_dot) : NULL;
}

const struct wc_presence_entry *wc_presence_state_get(const struct wc_presence_state *s,
                                                      struct wc_dot dot)
{
    return find(s, dot);
}

static struct wc_presence_entry *make_entry(struct wc_presence_state *s, struct wc_dot dot,
                                            struct wc_slice meta)
{
    struct wc_presence_entry *e = calloc(1, sizeof *e + meta.len);
    if (!e)
        return NULL;
    e->dot = dot;
    memcpy(e->text, meta.p, meta.len);
    e->meta = wc_slice(e->text, meta.len);
    e->by_dot.key = wc_slice(&e->dot, sizeof e->dot);
    if (wc_map_insert(&s->entries, &e->by_dot) == WC_OK)
        return e;
    free(e);
    return NULL;
}

enum wc_status wc_presence_state_add(struct wc_presence_state *s, struct wc_dot dot,
                                     struct wc_slice key_json, struct wc_slice meta_json)
{
    if (wc_dots_has(&s->seen, dot))
        return WC_OK;
    struct wc_presence_key *k = find_key(s, key_json);
    if (!k)
        k = make_key(s, key_json);
    struct wc_presence_entry *e = k ? make_entry(s, dot, meta_json) : NULL;
    if (!e ||
        wc_dots_add(&s->seen, (struct wc_dot_range){dot.replica, dot.count, dot.count}) != WC_OK) {
        if (e)
            wc_map_remove(&s->entries, &e->by_dot);
        free(e);
        if (k)
            settle(s, k);
        return WC_NOMEM;
    }
    e->key = k;
    wc_list_push(&k->entries, &e->in_key);
    settle(s, k);
    return WC_OK;
}

static void take_out(struct wc_presence_state *s, struct wc_presence_entry *e)
{
    struct wc_presence_key *k = e->key;
    wc_map_remove(&s->entries, &e->by_dot);
    wc_list_remove(&e->in_key);
    if (e->is_announced)
        wc_list_push(&k->left, &e->in_key);
    else
        free(e);
    settle(s, k);
}

void wc_presence_state_drop(struct wc_presence_state *s, struct wc_dot dot)
{
    WC_DASSERT(wc_dots_has(&s->seen, dot));
    struct wc_presence_entry *e = find(s, dot);
    if (e)
        take_out(s, e);
}

/* Takes out what `gone` has seen and `kept` (NULL: nothing) does not hold. Looks at whichever are
 * fewer, the dots or our entries. */
static void take_out_all(struct wc_presence_state *s, const struct wc_dots *gone,
                         const struct wc_presence_state *kept)
{
    if (wc_dots_size(gone) < s->entries.count) {
        for (size_t i = 0; i < gone->count; i++) {
            struct wc_dot dot = {gone->range[i].replica, gone->range[i].first};
            for (uint64_t n = gone->range[i].last - dot.count + 1; n > 0; n--, dot.count++) {
                struct wc_presence_entry *e = find(s, dot);
                if (e && !(kept && find(kept, dot)))
                    take_out(s, e);
            }
        }
        return;
    }
    struct wc_map_node *next = NULL;
    for (struct wc_map_node *n = wc_map_each(&s->entries, NULL); n; n = next) {
        struct wc_presence_entry *e = WC_CONTAINER(n, struct wc_presence_entry, by_dot);
        next = wc_map_each(&s->entries, n);
        if (wc_dots_has(gone, e->dot) && !(kept && find(kept, e->dot)))
            take_out(s, e);
    }
}

enum wc_status wc_presence_state_remove(struct wc_presence_state *s, const struct wc_dots *dots)
{
    enum wc_status st = wc_dots_merge(&s->seen, dots);
    if (st == WC_OK)
        take_out_all(s, dots, NULL);
    return st;
}

enum wc_status wc_presence_state_merge(struct wc_presence_state *s,
                                       const struct wc_presence_state *from)
{
    WC_LIST_EACH (k, &from->all) {
        const struct wc_presence_key *key = WC_CONTAINER(k, struct wc_presence_key, all);
        WC_LIST_EACH (it, &key->entries) {
            const struct wc_presence_entry *e = entry_at(it);
            enum wc_status st = wc_presence_state_add(s, e->dot, key->node.key, e->meta);
            if (st != WC_OK)
                return st;
        }
    }
    enum wc_status st = wc_dots_merge(&s->seen, &from->seen);
    if (st == WC_OK)
        take_out_all(s, &from->seen, from);
    return st;
}

/* ---- text ---- */

/* `"key":{"metas":[...]}` of the entries from `it` to the end of their list. */
static void put_metas(struct wc_buf *out, const struct wc_presence_key *k,
                      const struct wc_list *head, const struct wc_list *it)
{
    wc_buf_slice(out, k->node.key);
    wc_buf_str(out, ":{\"metas\":[");
    for (const char *comma = ""; it != head; it = it->next, comma = ",") {
        wc_buf_str(out, comma);
        wc_buf_slice(out, entry_at(it)->meta);
    }
    wc_buf_str(out, "]}");
}

void wc_presence_state_render(const struct wc_presence_state *s, struct wc_buf *out)
{
    const char *comma = "";
    wc_buf_byte(out, '{');
    WC_LIST_EACH (it, &s->all) {
        const struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, all);
        if (wc_list_is_empty(&k->entries))
            continue;
        wc_buf_str(out, comma);
        put_metas(out, k, &k->entries, k->entries.next);
        comma = ",";
    }
    wc_buf_byte(out, '}');
}

bool wc_presence_state_has_diff(const struct wc_presence_state *s)
{
    return !wc_list_is_empty(&s->joining) || !wc_list_is_empty(&s->leaving);
}

static const struct wc_list *first_news(const struct wc_presence_key *k)
{
    const struct wc_list *it = k->entries.prev;
    while (it->prev != &k->entries && !entry_at(it->prev)->is_announced)
        it = it->prev;
    return it;
}

void wc_presence_state_render_diff(const struct wc_presence_state *s, struct wc_buf *out)
{
    const char *comma = "";
    wc_buf_str(out, "{\"joins\":{");
    WC_LIST_EACH (it, &s->joining) {
        const struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, joining);
        wc_buf_str(out, comma);
        put_metas(out, k, &k->entries, first_news(k));
        comma = ",";
    }
    comma = "";
    wc_buf_str(out, "},\"leaves\":{");
    WC_LIST_EACH (it, &s->leaving) {
        const struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, leaving);
        wc_buf_str(out, comma);
        put_metas(out, k, &k->left, k->left.next);
        comma = ",";
    }
    wc_buf_str(out, "}}");
}

void wc_presence_state_announced(struct wc_presence_state *s)
{
    WC_LIST_EACH_SAFE (it, &s->joining) {
        struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, joining);
        for (struct wc_list *e = k->entries.prev; e != &k->entries && !entry_at(e)->is_announced;
             e = e->prev)
            entry_at(e)->is_announced = true;
        settle(s, k);
    }
    WC_LIST_EACH_SAFE (it, &s->leaving) {
        struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, leaving);
        free_entries(&k->left);
        settle(s, k);
    }
}

/* ---- invariants ---- */

static bool key_ok(const struct wc_presence_state *s, const struct wc_presence_key *k, size_t *seen)
{
    bool is_news = false;
    WC_LIST_EACH (it, &k->entries) {
        const struct wc_presence_entry *e = entry_at(it);
        if (e->key != k || find(s, e->dot) != e || !wc_dots_has(&s->seen, e->dot) ||
            (is_news && e->is_announced))
            return false;
        is_news = !e->is_announced;
        ++*seen;
    }
    WC_LIST_EACH (it, &k->left)
        if (!entry_at(it)->is_announced || find(s, entry_at(it)->dot))
            return false;
    return is_news == !wc_list_is_empty(&k->joining) &&
           wc_list_is_empty(&k->left) == wc_list_is_empty(&k->leaving) &&
           !(wc_list_is_empty(&k->entries) && wc_list_is_empty(&k->left));
}

bool wc_presence_state_ok(const struct wc_presence_state *s)
{
    size_t entries = 0, keys = 0;
    WC_LIST_EACH (it, &s->all) {
        const struct wc_presence_key *k = WC_CONTAINER(it, struct wc_presence_key, all);
        if (find_key(s, k->node.key) != k || !key_ok(s, k, &entries))
            return false;
        keys++;
    }
    return wc_dots_ok(&s->seen) && entries == s->entries.count && keys == s->keys.count;
}
