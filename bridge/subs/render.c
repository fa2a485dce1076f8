#include "bridge/subs/render.h"

#include "base/jsonw.h"
#include "decoder/copyboth.h"

#include <stdlib.h>
#include <time.h>

#define PARTIAL "Error 206: Partial Content, "

enum { LARGEST_KEPT = 64 }; /* bytes of JSON a value may have under 413 */

struct render {
    struct wc_buf *out;
    const struct wc_change *ch;
    const struct wc_access *acc;
    const struct wc_column_set *set;
    bool old_key_only;
    bool reduced;     /* 413 */
    bool has_missing; /* some unchanged TOAST value is not in the new row */
    /* stream columns left out because their values are not of their types; NULL while there are
     * none */
    bool *refused;
    enum wc_status status;
};

const struct wc_column_set wc_column_set_all = {.is_all = true};

const char *wc_render_type(enum wc_op op)
{
    switch (op) {
    case WC_OP_INSERT: return "INSERT";
    case WC_OP_UPDATE: return "UPDATE";
    case WC_OP_DELETE: return "DELETE";
    }
    return "?";
}

/* Writes at least `width` digits and `before` them, ending at `end`; returns where it begins. */
static char *prepend(char *end, char before, unsigned value, int width)
{
    for (; width > 0 || value; width--, value /= 10)
        *--end = (char)('0' + value % 10);
    *--end = before;
    return end;
}

/* By hand and from the right: strftime and printf took a quarter of the time of a narrow row. */
static void render_time(struct wc_buf *out, int64_t commit_time)
{
    int64_t us = commit_time % 1000000;
    time_t secs = (time_t)(commit_time / 1000000 + WC_PG_EPOCH_US / 1000000);
    struct tm tm;
    if (us < 0) { /* before 2000 division rounds up */
        us += 1000000;
        secs--;
    }
    (void)gmtime_r(&secs, &tm); /* any 64 bits of microseconds are within its years */
    int year = tm.tm_year + 1900;
    char text[40], *end = text + sizeof text, *at = end;
    *--at = '"';
    *--at = 'Z';
    at = prepend(at, '.', (unsigned)(us / 1000), 3);
    at = prepend(at, ':', (unsigned)tm.tm_sec, 2);
    at = prepend(at, ':', (unsigned)tm.tm_min, 2);
    at = prepend(at, 'T', (unsigned)tm.tm_hour, 2);
    at = prepend(at, '-', (unsigned)tm.tm_mday, 2);
    at = prepend(at, '-', (unsigned)tm.tm_mon + 1, 2);
    at = prepend(at, year < 0 ? '-' : '"', (unsigned)(year < 0 ? -year : year), 4);
    if (year < 0)
        *--at = '"';
    wc_buf_append(out, at, (size_t)(end - at));
}

/* Remembers that column i could not be rendered. */
static void refuse(struct render *r, uint16_t i)
{
    if (!r->refused)
        r->refused = calloc(r->ch->rel->ncols, sizeof *r->refused);
    if (r->refused)
        r->refused[i] = true;
    else
        r->status = WC_NOMEM;
}

/* May the value's JSON be small enough for a reduced record? A scalar's is at least a quarter as
 * long as its text; what a container's text is made of may be quotes only. */
static bool may_be_kept(const struct wc_col *v, const struct wc_type *type)
{
    bool is_scalar = !type || type->value_class <= WC_VALUE_BYTEA;
    return v->kind != WC_COL_NULL && (!is_scalar || v->val.len <= 4 * LARGEST_KEPT);
}

static enum wc_status render_value(struct render *r, const struct wc_type *type,
                                   struct wc_slice text)
{
    if (!type)
        return WC_PROTO;
    return r->set->has_exact_numbers ? wc_value_render_exact(r->out, type, text)
                                     : wc_value_render(r->out, type, text);
}

/* Appends `"name":value,`; takes it back when the value is too large for a reduced record, or not
 * one of its type. */
static void render_column(struct render *r, uint16_t i, const struct wc_col *v)
{
    const struct wc_access_map *map = &r->acc->map[i];
    size_t start = r->out->len;
    if (r->reduced && !may_be_kept(v, map->type))
        return;
    wc_buf_slice(r->out, r->acc->col[map->col].json_key);
    size_t value = r->out->len;
    enum wc_status st = WC_OK;
    if (v->kind == WC_COL_NULL)
        wc_buf_str(r->out, "null");
    else
        st = render_value(r, map->type, v->val);
    if (r->out->status != WC_OK)
        return;
    if (st == WC_PROTO)
        refuse(r, i);
    else if (st != WC_OK)
        r->status = st;
    if (st != WC_OK || (r->reduced && r->out->len - value > LARGEST_KEPT))
        r->out->len = start;
    else
        wc_buf_byte(r->out, ',');
}

static void close_object(struct render *r, size_t start)
{
    if (r->out->len > start && r->out->p[r->out->len - 1] == ',')
        r->out->len--;
    wc_buf_byte(r->out, '}');
}

int wc_column_name_order(struct wc_slice a, struct wc_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.p, b.p, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool is_selected(const struct wc_column_set *set, struct wc_slice name)
{
    size_t from = 0, to = set->nnames;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = wc_column_name_order(name, set->name[mid]);
        if (order == 0)
            return true;
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return set->is_all;
}

static bool is_shown(const struct render *r, const struct wc_access_col *c)
{
    return c->readable && (c->in_pk || is_selected(r->set, c->name));
}

/* Is column i of the stream shown? */
static bool is_shown_at(const struct render *r, uint16_t i)
{
    int16_t at = r->acc->map[i].col;
    return at >= 0 && is_shown(r, &r->acc->col[at]);
}

/* Does the old row that came say what column i was? */
static bool in_old_row(const struct wc_change *ch, uint16_t i)
{
    return ch->old_kind == WC_OLD_FULL ||
           (ch->old_kind == WC_OLD_KEY && ch->rel->col[i].in_identity);
}

static bool is_missing(const struct wc_change *ch, uint16_t i)
{
    return ch->new.col[i].kind == WC_COL_TOAST_UNCHANGED && !in_old_row(ch, i);
}

static void render_record(struct render *r)
{
    const struct wc_change *ch = r->ch;
    wc_buf_str(r->out, "\"record\":{");
    size_t start = r->out->len;
    for (uint16_t i = 0; i < ch->new.ncols; i++) {
        const struct wc_col *v = &ch->new.col[i];
        if (v->kind == WC_COL_TOAST_UNCHANGED) {
            r->has_missing |= is_missing(ch, i);
            v = in_old_row(ch, i) && !r->reduced ? &ch->old.col[i] : v;
        }
        if (is_shown_at(r, i) && (v->kind == WC_COL_TEXT || v->kind == WC_COL_NULL))
            render_column(r, i, v);
    }
    close_object(r, start);
    wc_buf_byte(r->out, ',');
}

static bool is_shown_of_old(const struct render *r, uint16_t i)
{
    const struct wc_change *ch = r->ch;
    if (ch->old_kind != WC_OLD_FULL && !ch->rel->col[i].in_identity)
        return false;
    return is_shown_at(r, i) && (!r->old_key_only || r->acc->col[r->acc->map[i].col].in_pk);
}

static void render_old_record(struct render *r)
{
    const struct wc_change *ch = r->ch;
    const struct wc_row *row = ch->old_kind == WC_OLD_NONE ? &ch->new : &ch->old;
    wc_buf_str(r->out, "\"old_record\":{");
    size_t start = r->out->len;
    for (uint16_t i = 0; i < row->ncols; i++) {
        const struct wc_col *v = &row->col[i];
        if (is_shown_of_old(r, i) && (v->kind == WC_COL_TEXT || v->kind == WC_COL_NULL))
            render_column(r, i, v);
    }
    close_object(r, start);
    wc_buf_byte(r->out, ',');
}

/* The size the reference measures, from what the stream tells (database reference 3.6). */
static size_t record_bytes(const struct wc_change *ch)
{
    const struct wc_row *rows[] = {&ch->new, &ch->old};
    size_t sum = 150;
    for (size_t k = 0; k < 2; k++)
        for (uint16_t i = 0; i < rows[k]->ncols; i++)
            sum += ch->rel->col[i].name.len + rows[k]->col[i].val.len + 55;
    return sum;
}

static void render_head(struct render *r)
{
    wc_buf_str(r->out, "{\"schema\":");
    wc_jsonw_string(r->out, r->ch->rel->schema);
    wc_buf_str(r->out, ",\"table\":");
    wc_jsonw_string(r->out, r->ch->rel->name);
    wc_buf_printf(r->out, ",\"type\":\"%s\",", wc_render_type(r->ch->op));
}

static bool is_logged(const struct render *r, int16_t col)
{
    for (uint16_t i = 0; i < r->ch->rel->ncols; i++)
        if (r->acc->map[i].col == col)
            return true;
    return false;
}

static void render_columns(struct render *r)
{
    char before = '[';
    wc_buf_str(r->out, "\"columns\":");
    for (uint16_t j = 0; j < r->acc->ncols; j++) {
        const struct wc_access_col *c = &r->acc->col[j];
        if (!is_shown(r, c) || (c->is_generated && !is_logged(r, (int16_t)j)))
            continue;
        wc_buf_byte(r->out, before);
        wc_buf_slice(r->out, c->column_json);
        before = ',';
    }
    wc_buf_str(r->out, before == '[' ? "[]," : "],");
}

static void render_refusal(struct render *r, const char *error)
{
    render_head(r);
    wc_buf_printf(r->out,
                  "\"commit_timestamp\":null,\"columns\":[],\"record\":{},%s\"errors\":[\"%s\"]}",
                  r->ch->op == WC_OP_UPDATE ? "\"old_record\":{}," : "", error);
}

/* ---- errors ---- */

/* The next error of the list, or the first: the string is open, the caller closes it. */
static void begin_error(struct render *r, bool *first, const char *text)
{
    wc_buf_str(r->out, *first ? "[\"" : "\",\"");
    wc_buf_str(r->out, text);
    *first = false;
}

/* Appends a column's name to an error that names some; n counts them. */
static void name_column(struct render *r, uint16_t i, size_t n)
{
    struct wc_slice key = r->acc->col[r->acc->map[i].col].json_key; /* "name": */
    wc_buf_str(r->out, n ? ", " : ": ");
    wc_buf_append(r->out, key.p + 1, key.len - strlen("\"\":"));
}

static void render_errors(struct render *r)
{
    bool first = true;
    size_t n = 0;
    if (r->reduced)
        begin_error(r, &first, "Error 413: Payload Too Large");
    for (uint16_t i = 0; r->has_missing && i < r->ch->new.ncols; i++) {
        if (!is_shown_at(r, i) || !is_missing(r->ch, i))
            continue;
        if (n == 0)
            begin_error(r, &first, PARTIAL "unchanged TOAST columns not available");
        name_column(r, i, n++);
    }
    n = 0;
    for (uint16_t i = 0; r->refused && i < r->ch->rel->ncols; i++) {
        if (!r->refused[i])
            continue;
        if (n == 0)
            begin_error(r, &first, PARTIAL "columns that could not be rendered");
        name_column(r, i, n++);
    }
    wc_buf_str(r->out, first ? "null" : "\"]");
}

bool wc_render_is_refused(const struct wc_change *ch, const struct wc_access *acc)
{
    return ch->op != WC_OP_DELETE && !(acc->has_pk && acc->pk_readable);
}

enum wc_status wc_render_change(struct wc_buf *out, const struct wc_change *ch,
                                const struct wc_view *view, int64_t commit_time,
                                size_t max_record_bytes)
{
    const struct wc_access *acc = view->access;
    struct render r = {.out = out,
                       .ch = ch,
                       .acc = acc,
                       .set = view->set,
                       .old_key_only = view->old_key_only,
                       .status = WC_OK};
    if (wc_render_is_refused(ch, acc)) {
        render_refusal(&r, acc->has_pk ? "Error 401: Unauthorized"
                                       : "Error 400: Bad Request, no primary key");
        return out->status;
    }
    r.reduced = record_bytes(ch) > max_record_bytes;
    render_head(&r);
    wc_buf_str(out, "\"commit_timestamp\":");
    render_time(out, commit_time);
    wc_buf_byte(out, ',');
    render_columns(&r);
    if (ch->op != WC_OP_DELETE)
        render_record(&r);
    if (ch->op != WC_OP_INSERT)
        render_old_record(&r);
    wc_buf_str(out, "\"errors\":");
    render_errors(&r);
    wc_buf_byte(out, '}');
    free(r.refused);
    return r.status == WC_OK ? out->status : r.status;
}
