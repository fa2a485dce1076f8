/*
 * One binding as JSON. What is refused has a message; what is accepted can be described and holds
 * strings without NUL that end with one, in the arena and not in the input, and a whole tree.
 */
#include "base/assert.h"
#include "bridge/subs/spec.h"
#include "decoder/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_CAP = 16 << 20, GROUP_DEPTH = 8, EVENTS = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE };

static void check_slice(struct wc_slice s, struct wc_slice input)
{
    WC_ASSERT(s.p && s.p[s.len] == '\0' && strlen((const char *)s.p) == s.len);
    WC_ASSERT(s.p + s.len < input.p || s.p >= input.p + input.len);
}

static void check_filter(const struct wc_filter *f, struct wc_slice input)
{
    check_slice(f->column, input);
    check_slice(f->value, input);
    WC_ASSERT(f->op <= WC_FILTER_ISDISTINCT);
    if (f->op == WC_FILTER_IN)
        WC_ASSERT(f->value.len >= 2 && f->value.p[0] == '{' && f->value.p[f->value.len - 1] == '}');
}

/* Returns how many nodes the next `n` conditions are, at `depth` groups in one another. */
static size_t check_tree(const struct wc_spec *s, size_t at, uint32_t n, unsigned depth,
                         size_t *filters)
{
    size_t first = at;
    WC_ASSERT(n > 0 && depth <= GROUP_DEPTH);
    while (n-- > 0) {
        WC_ASSERT(at < s->nconditions);
        const struct wc_condition *c = &s->condition[at++];
        if (c->kind == WC_CONDITION_FILTER)
            ++*filters;
        else
            at += check_tree(s, at, c->nmembers, depth + 1, filters);
    }
    return at - first;
}

static void check_spec(const struct wc_spec *s, struct wc_slice input)
{
    WC_ASSERT(s->events && (s->events & ~(uint32_t)EVENTS) == 0);
    WC_ASSERT((s->events == EVENTS) == (strcmp(s->event, "*") == 0));
    check_slice(s->schema, input);
    check_slice(s->table, input);
    size_t filters = 0;
    WC_ASSERT((s->ntop > 0) == (s->nfilters > 0));
    WC_ASSERT(s->ntop == 0 || check_tree(s, 0, s->ntop, 0, &filters) == s->nconditions);
    WC_ASSERT(filters == s->nfilters);
    for (size_t i = 0; i < s->nfilters; i++)
        check_filter(&s->filter[i], input);
    for (size_t i = 0; i < s->nselect; i++)
        check_slice(s->select[i], input);
}

/* With memory for all of it, or (cap small) with less: never another answer than "out of memory".
 */
static enum wc_status parse(struct wc_slice input, size_t arena_cap, struct wc_buf *text)
{
    struct wc_arena arena;
    struct wc_spec spec = {0};
    wc_arena_init(&arena, arena_cap);
    wc_buf_init(text, TEXT_CAP);
    enum wc_status status = wc_spec_parse(input, &arena, &spec, text);
    WC_ASSERT((status == WC_INVALID) == (text->len > 0));
    WC_ASSERT(status == WC_OK || !spec.event);
    if (status == WC_OK) {
        check_spec(&spec, input);
        wc_spec_describe(&spec, text);
        WC_ASSERT(text->len > 0);
    }
    WC_ASSERT(text->status == WC_OK);
    wc_arena_release(&arena);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_slice input = wc_slice(data, size);
    struct wc_buf text, again;
    enum wc_status status = parse(input, TEXT_CAP, &text);
    WC_ASSERT(status == WC_OK || status == WC_INVALID);
    enum wc_status tight = parse(input, size * 4, &again);
    WC_ASSERT(tight == WC_NOMEM ||
              (tight == status && wc_slice_eq(wc_buf_view(&text), wc_buf_view(&again))));
    wc_buf_release(&text);
    wc_buf_release(&again);
    return 0;
}
