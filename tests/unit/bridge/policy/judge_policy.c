/*
 * For the comparison with a real Postgres (tests/integration/policy.test.mjs). Reads lines, each a
 * JSON object:
 *
 *   policies    [{text, tree, permissive}]
 *   columns     [{name, type, enum}] by attribute number; name null: none
 *   functions   {oid: "immutable" or "claims"}; others are not proven
 *   collations  {oid: [deterministic, C]}
 *   values      of the slots, texts or null; with rows: arrays of texts or null, by column
 *   body        instead of all these: of a function, is it proven?
 *   calls       with body: {schema.name: "claims"}; others are not proven
 *
 * Answers each with a line: {"why": text}, {} for a body that is proven, or {"slots": [sql],
 * "columns": [name]} and, when there are values, "outcome" (0 nobody, 1 some, 2 everybody) and
 * "rows" (who is seen).
 */
#include "base/json.h"
#include "base/jsonw.h"
#include "bridge/policy/policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_CAP = 64 << 20, COLUMNS_MAX = 64 };

struct request {
    struct wc_json doc;
    struct wc_arena *arena;
    struct wc_policy_column column[COLUMNS_MAX];
    size_t ncolumns;
};

static uint32_t member(const struct request *r, uint32_t object, const char *key)
{
    return wc_json_get(&r->doc, object, key);
}

/* p NULL: null or absent. */
static struct wc_slice text_of(const struct request *r, uint32_t node)
{
    struct wc_slice s;
    return wc_json_string(&r->doc, node, r->arena, &s) ? s : wc_slice(NULL, 0);
}

static bool is_true(const struct request *r, uint32_t node)
{
    return wc_json_type(&r->doc, node) == WC_JSON_TRUE;
}

/* ---- facts ---- */

static enum wc_policy_function function(void *arg, wc_oid oid)
{
    const struct request *r = arg;
    char key[16];
    (void)snprintf(key, sizeof key, "%u", oid);
    struct wc_slice s = text_of(r, member(r, member(r, 0, "functions"), key));
    return wc_slice_is(s, "immutable") ? WC_FUNCTION_IMMUTABLE
           : wc_slice_is(s, "claims")  ? WC_FUNCTION_OF_CLAIMS
                                       : WC_FUNCTION_UNPROVEN;
}

static void collation(void *arg, wc_oid oid, bool *is_deterministic, bool *is_c)
{
    const struct request *r = arg;
    char key[16];
    (void)snprintf(key, sizeof key, "%u", oid);
    uint32_t pair = member(r, member(r, 0, "collations"), key);
    uint32_t first = wc_json_first(&r->doc, pair);
    *is_deterministic = is_true(r, first);
    *is_c = is_true(r, wc_json_next(&r->doc, first));
}

static void read_columns(struct request *r)
{
    uint32_t list = member(r, 0, "columns");
    for (uint32_t n = wc_json_first(&r->doc, list); n != WC_JSON_NONE && r->ncolumns < COLUMNS_MAX;
         n = wc_json_next(&r->doc, n)) {
        int64_t type = 0;
        bool has_type = wc_json_int(&r->doc, member(r, n, "type"), &type);
        r->column[r->ncolumns++] =
            (struct wc_policy_column){.name = text_of(r, member(r, n, "name")),
                                      .type = has_type ? (wc_oid)type : 0,
                                      .is_enum = is_true(r, member(r, n, "enum"))};
    }
}

static enum wc_status compile(struct request *r, struct wc_policy **out, struct wc_err *err)
{
    struct wc_policy_text text[16];
    size_t n = 0;
    uint32_t list = member(r, 0, "policies");
    for (uint32_t i = wc_json_first(&r->doc, list); i != WC_JSON_NONE && n < 16;
         i = wc_json_next(&r->doc, i))
        text[n++] = (struct wc_policy_text){
            .text = wc_arena_strdup(r->arena, text_of(r, member(r, i, "text"))),
            .tree = text_of(r, member(r, i, "tree")),
            .is_permissive = is_true(r, member(r, i, "permissive"))};
    const struct wc_policy_facts facts = {.column = r->column,
                                          .ncolumns = r->ncolumns,
                                          .function = function,
                                          .collation = collation,
                                          .arg = r};
    return wc_policy_compile(text, n, &facts, r->arena, out, err);
}

/* ---- rows ---- */

struct row {
    const struct request *r;
    uint32_t node;
    struct wc_col col;
    struct wc_field field;
    struct wc_buf scratch;
};

static const struct wc_field *field_of(void *fields, const struct wc_leaf *leaf)
{
    struct row *row = fields;
    uint32_t value = wc_json_first(&row->r->doc, row->node);
    for (size_t i = 0; i < row->r->ncolumns; i++, value = wc_json_next(&row->r->doc, value)) {
        if (!wc_slice_eq(row->r->column[i].name, leaf->column))
            continue;
        struct wc_slice text = text_of(row->r, value);
        row->col = (struct wc_col){.kind = text.p ? WC_COL_TEXT : WC_COL_NULL, .val = text};
        row->field = (struct wc_field){.col = &row->col};
        row->field.has_key = text.p && leaf->kind != WC_KEY_NONE &&
                             wc_key_view(leaf->kind, text, &row->scratch, &row->field.key) == WC_OK;
        return &row->field;
    }
    abort(); /* a policy names columns of the table */
}

static void judge_rows(const struct request *r, enum wc_policy_outcome outcome,
                       const struct wc_predicate *where, struct wc_buf *out)
{
    uint32_t list = member(r, 0, "rows");
    for (uint32_t n = wc_json_first(&r->doc, list); n != WC_JSON_NONE;
         n = wc_json_next(&r->doc, n)) {
        struct row row = {.r = r, .node = n};
        wc_buf_init(&row.scratch, 1 << 20);
        const struct wc_predicate_view view = {.field = field_of, .fields = &row};
        bool seen = outcome == WC_POLICY_EVERYBODY ||
                    (outcome == WC_POLICY_SOME && wc_predicate_decide(where, &view) == WC_TRUE);
        wc_buf_printf(out, "%s%s", n == wc_json_first(&r->doc, list) ? "" : ",",
                      seen ? "true" : "false");
        wc_buf_release(&row.scratch);
    }
}

static void apply(const struct request *r, const struct wc_policy *policy, struct wc_buf *out)
{
    struct wc_slice value[WC_POLICY_SLOTS_MAX] = {{0}};
    uint32_t list = member(r, 0, "values"), i = 0;
    for (uint32_t n = wc_json_first(&r->doc, list); n != WC_JSON_NONE && i < policy->nslots;
         n = wc_json_next(&r->doc, n))
        value[i++] = text_of(r, n);
    enum wc_policy_outcome outcome = WC_POLICY_NOBODY;
    const struct wc_predicate *where = NULL;
    enum wc_status st = wc_policy_apply(policy, value, r->arena, &outcome, &where);
    if (st != WC_OK) {
        wc_buf_printf(out, ",\"failed\":\"%s\"", wc_status_text(st));
        return;
    }
    wc_buf_printf(out, ",\"outcome\":%d,\"rows\":[", (int)outcome);
    judge_rows(r, outcome, where, out);
    wc_buf_byte(out, ']');
}

static void answer_why(const struct wc_err *err, struct wc_buf *out)
{
    wc_buf_str(out, "{\"why\":");
    wc_jsonw_cstr(out, err->text);
    wc_buf_byte(out, '}');
}

static bool is_called_proven(void *arg, const char *schema, const char *name)
{
    const struct request *r = arg;
    char called[130]; /* what is cut is not found */
    (void)snprintf(called, sizeof called, "%s.%s", schema, name);
    return wc_slice_is(text_of(r, member(r, member(r, 0, "calls"), called)), "claims");
}

static void answer_body(struct request *r, struct wc_slice body, struct wc_buf *out)
{
    struct wc_err err = {0};
    const char *sql = wc_arena_strdup(r->arena, body);
    if (wc_policy_prove_body(sql, is_called_proven, r, r->arena, &err) == WC_OK)
        wc_buf_str(out, "{}");
    else
        answer_why(&err, out);
}

static void answer(struct request *r, struct wc_buf *out)
{
    struct wc_policy *policy = NULL;
    struct wc_err err = {0};
    struct wc_slice body = text_of(r, member(r, 0, "body"));
    if (body.p) {
        answer_body(r, body, out);
        return;
    }
    read_columns(r);
    if (compile(r, &policy, &err) != WC_OK) {
        answer_why(&err, out);
        return;
    }
    wc_buf_str(out, "{\"slots\":[");
    for (uint32_t i = 0; i < policy->nslots; i++) {
        wc_buf_str(out, i ? "," : "");
        wc_jsonw_cstr(out, policy->slot[i].sql);
    }
    wc_buf_str(out, "],\"columns\":[");
    for (uint32_t i = 0; i < policy->ncolumns; i++) {
        wc_buf_str(out, i ? "," : "");
        wc_jsonw_string(out, policy->column[i].name);
    }
    wc_buf_byte(out, ']');
    if (wc_json_type(&r->doc, member(r, 0, "values")) == WC_JSON_ARRAY)
        apply(r, policy, out);
    wc_buf_byte(out, '}');
}

int main(void)
{
    static const struct wc_json_limits limits = {.depth = 16, .nodes = 1000000};
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int status = 0;
    while ((len = getline(&line, &room, stdin)) > 0) {
        struct wc_arena arena;
        struct wc_buf out;
        struct request r = {.arena = &arena};
        wc_arena_init(&arena, ARENA_CAP);
        wc_buf_init(&out, ARENA_CAP);
        if (wc_json_parse(&r.doc, wc_slice(line, (size_t)len), &arena, limits, NULL) == WC_OK)
            answer(&r, &out);
        else
            status = 1;
        (void)printf("%.*s\n", WC_SLICE_ARG(wc_buf_view(&out))); /* the reader counts lines */
        (void)fflush(stdout);
        wc_buf_release(&out);
        wc_arena_release(&arena);
    }
    free(line);
    return status;
}
