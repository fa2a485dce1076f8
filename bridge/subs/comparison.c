#include "bridge/subs/comparison.h"

#include "base/assert.h"
#include "base/list.h"

#include <stdlib.h>

enum { KEY_CAP = 16 << 20 }; /* many times the longest message of a client */

struct wc_comparisons {
    struct wc_map map;
    uint64_t last_serial;
};

struct wc_comparisons *wc_comparisons_new(void)
{
    struct wc_comparisons *t = calloc(1, sizeof *t);
    if (t)
        wc_map_init(&t->map);
    return t;
}

void wc_comparisons_free(struct wc_comparisons *t)
{
    if (!t)
        return;
    WC_ASSERT(t->map.count == 0);
    wc_map_release(&t->map);
    free(t);
}

static void append_text(struct wc_buf *out, struct wc_slice text)
{
    wc_buf_append(out, &text.len, sizeof text.len);
    wc_buf_slice(out, text);
    wc_buf_byte(out, '\0');
}

/* Operator and NULL flag, then the texts, each behind its length and before a NUL. */
static struct wc_slice key_of(struct wc_slice column, const struct wc_comparison *c,
                              struct wc_buf *out)
{
    wc_buf_byte(out, (char)c->op);
    wc_buf_byte(out, (char)c->is_null);
    append_text(out, c->role);
    append_text(out, c->type);
    append_text(out, c->collation);
    append_text(out, c->schema);
    append_text(out, c->value_type);
    append_text(out, c->value);
    append_text(out, column);
    return wc_buf_view(out);
}

static struct wc_slice text_at(const uint8_t **at)
{
    size_t len;
    memcpy(&len, *at, sizeof len);
    struct wc_slice text = wc_slice(*at + sizeof len, len);
    *at = text.p + len + 1;
    return text;
}

static struct wc_shared_comparison *make(struct wc_comparisons *t, const struct wc_comparison *like,
                                         struct wc_slice key)
{
    struct wc_shared_comparison *c = calloc(1, sizeof *c + key.len);
    if (!c)
        return NULL;
    uint8_t *copy = (uint8_t *)(c + 1);
    memcpy(copy, key.p, key.len);
    const uint8_t *at = copy + 2;
    c->is.op = like->op;
    c->is.is_null = like->is_null;
    c->is.role = text_at(&at);
    c->is.type = text_at(&at);
    c->is.collation = text_at(&at);
    c->is.schema = text_at(&at);
    c->is.value_type = text_at(&at);
    c->is.value = text_at(&at);
    c->node.key = wc_slice(copy, key.len);
    c->table = t;
    c->refs = 1;
    if (wc_map_insert(&t->map, &c->node) != WC_OK) {
        free(c);
        return NULL;
    }
    c->serial = ++t->last_serial;
    return c;
}

struct wc_shared_comparison *wc_comparison_get(struct wc_comparisons *t, struct wc_slice column,
                                               const struct wc_comparison *like)
{
    struct wc_shared_comparison *c = NULL;
    struct wc_buf key;
    wc_buf_init(&key, KEY_CAP);
    struct wc_slice k = key_of(column, like, &key);
    if (key.status == WC_OK) {
        struct wc_map_node *n = wc_map_get(&t->map, k);
        c = n ? wc_comparison_ref(WC_CONTAINER(n, struct wc_shared_comparison, node))
              : make(t, like, k);
    }
    wc_buf_release(&key);
    return c;
}

struct wc_shared_comparison *wc_comparison_ref(struct wc_shared_comparison *c)
{
    c->refs++;
    return c;
}

void wc_comparison_unref(struct wc_shared_comparison *c)
{
    if (!c || --c->refs)
        return;
    wc_map_remove(&c->table->map, &c->node);
    free(c);
}
