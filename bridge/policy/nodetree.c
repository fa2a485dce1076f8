#include "bridge/policy/nodetree.h"

enum { DEPTH_MAX = 100, NODES_MAX = 20000 };

struct reader {
    const uint8_t *at, *end;
    struct wc_arena *arena;
    unsigned depth, nodes;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static bool is_bracket(uint8_t c)
{
    return c == '(' || c == ')' || c == '{' || c == '}';
}

static void skip_spaces(struct reader *r)
{
    while (r->at < r->end && is_space(*r->at))
        r->at++;
}

/* What comes next, a bracket or the first byte of a word; 0 at the end. */
static uint8_t peek(struct reader *r)
{
    skip_spaces(r);
    return r->at < r->end ? *r->at : 0;
}

static bool take(struct reader *r, uint8_t bracket)
{
    if (peek(r) != bracket)
        return false;
    r->at++;
    return true;
}

/* Up to a space or bracket that no backslash stands before. */
static struct wc_slice take_word(struct reader *r)
{
    skip_spaces(r);
    const uint8_t *from = r->at;
    while (r->at < r->end && !is_space(*r->at) && !is_bracket(*r->at)) {
        if (*r->at == '\\' && r->end - r->at > 1)
            r->at++;
        r->at++;
    }
    return wc_slice(from, (size_t)(r->at - from));
}

static enum wc_status make(struct reader *r, enum wc_node_kind kind, struct wc_node **out)
{
    if (r->nodes++ == NODES_MAX)
        return WC_LIMIT;
    struct wc_node *n = wc_arena_calloc(r->arena, 1, sizeof *n);
    if (!n)
        return WC_NOMEM;
    n->kind = kind;
    *out = n;
    return WC_OK;
}

static enum wc_status read_value(struct reader *, struct wc_node **out);

static enum wc_status read_list(struct reader *r, struct wc_node **out)
{
    struct wc_node *list;
    enum wc_status st = make(r, WC_NODE_LIST, &list);
    struct wc_node **end = st == WC_OK ? &list->first : NULL;
    while (st == WC_OK && !take(r, ')')) {
        st = read_value(r, end);
        if (st == WC_OK)
            end = &(*end)->next;
    }
    if (st == WC_OK)
        *out = list;
    return st;
}

/* Words behind a field's value belong to it: the bytes of a constant. */
static void skip_rest(struct reader *r)
{
    while (peek(r) && !is_bracket(*r->at) && *r->at != ':')
        (void)take_word(r); /* not empty, since no bracket begins it */
}

static enum wc_status read_field(struct reader *r, struct wc_node **out)
{
    struct wc_slice name = take_word(r);
    if (name.len < 2 || name.p[0] != ':')
        return WC_INVALID;
    enum wc_status st = read_value(r, out);
    if (st != WC_OK)
        return st;
    (*out)->field = wc_slice(name.p + 1, name.len - 1);
    skip_rest(r);
    return WC_OK;
}

static enum wc_status read_struct(struct reader *r, struct wc_node **out)
{
    struct wc_node *n;
    enum wc_status st = make(r, WC_NODE_STRUCT, &n);
    if (st != WC_OK)
        return st;
    n->word = take_word(r);
    struct wc_node **end = &n->first;
    while (st == WC_OK && !take(r, '}')) {
        st = read_field(r, end);
        if (st == WC_OK)
            end = &(*end)->next;
    }
    if (st == WC_OK)
        *out = n;
    return st;
}

static enum wc_status read_word(struct reader *r, struct wc_node **out)
{
    struct wc_slice word = take_word(r);
    if (word.len == 0)
        return WC_INVALID;
    struct wc_node *n;
    enum wc_status st = make(r, wc_slice_is(word, "<>") ? WC_NODE_NULL : WC_NODE_WORD, &n);
    if (st != WC_OK)
        return st;
    n->word = word;
    *out = n;
    return WC_OK;
}

static enum wc_status read_value(struct reader *r, struct wc_node **out)
{
    if (r->depth == DEPTH_MAX)
        return WC_LIMIT;
    r->depth++;
    enum wc_status st = take(r, '{')   ? read_struct(r, out)
                        : take(r, '(') ? read_list(r, out)
                                       : read_word(r, out);
    r->depth--;
    return st;
}

enum wc_status wc_nodetree_read(struct wc_slice text, struct wc_arena *arena, struct wc_node **out)
{
    struct reader r = {.at = text.p, .end = text.p + text.len, .arena = arena};
    struct wc_node *root = NULL;
    if (text.len == 0)
        return WC_INVALID;
    enum wc_status st = read_value(&r, &root);
    if (st == WC_OK && peek(&r))
        st = WC_INVALID;
    if (st == WC_OK)
        *out = root;
    return st;
}

/* ---- asking ---- */

bool wc_node_is(const struct wc_node *n, const char *name)
{
    return n && n->kind == WC_NODE_STRUCT && wc_slice_is(n->word, name);
}

const struct wc_node *wc_node_field(const struct wc_node *n, const char *name)
{
    if (n && n->kind == WC_NODE_STRUCT)
        for (const struct wc_node *f = n->first; f; f = f->next)
            if (wc_slice_is(f->field, name))
                return f;
    return NULL;
}

bool wc_node_has(const struct wc_node *n, const char *name, const char *word)
{
    const struct wc_node *f = wc_node_field(n, name);
    return f && f->kind == WC_NODE_WORD && wc_slice_is(f->word, word);
}

wc_oid wc_node_oid(const struct wc_node *n, const char *name)
{
    const struct wc_node *f = wc_node_field(n, name);
    uint64_t value = 0;
    if (!f || f->kind != WC_NODE_WORD || f->word.len > 10)
        return 0;
    for (size_t i = 0; i < f->word.len; i++) {
        if (f->word.p[i] < '0' || f->word.p[i] > '9')
            return 0;
        value = value * 10 + (uint64_t)(f->word.p[i] - '0');
    }
    return value <= UINT32_MAX ? (wc_oid)value : 0;
}

size_t wc_node_count(const struct wc_node *list)
{
    size_t count = 0;
    if (list && list->kind == WC_NODE_LIST)
        for (const struct wc_node *n = list->first; n; n = n->next)
            count++;
    return count;
}

bool wc_node_lacks(const struct wc_node *n, const char *name)
{
    const struct wc_node *f = wc_node_field(n, name);
    return !f || f->kind == WC_NODE_NULL || (f->kind == WC_NODE_LIST && !f->first);
}
