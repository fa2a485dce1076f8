#include "bridge/policy/policy_priv.h"

#include <stdlib.h>

enum { TREE_MAX = 1 << 20 }; /* bytes of an expression as the catalog keeps it */

/* ---- one policy ---- */

static enum wc_status prove(struct wc_prover *p, const struct wc_policy_text *from,
                            struct wc_policy_node **out)
{
    struct wc_parse *parse = NULL;
    const struct wc_syntax *syntax = NULL;
    struct wc_node *tree = NULL;
    enum wc_status st =
        from->tree.len <= TREE_MAX ? wc_nodetree_read(from->tree, p->arena, &tree) : WC_LIMIT;
    if (st == WC_OK)
        st = wc_syntax_parse(from->text, false, p->arena, &parse, &syntax);
    if (st == WC_INVALID || st == WC_LIMIT)
        return wc_err_set(p->err, WC_INVALID, "an expression that cannot be read: %s",
                          wc_status_text(st));
    if (st != WC_OK)
        return st;
    *out = wc_prove_condition(p, syntax, tree, false);
    wc_syntax_free(parse);
    if (!*out)
        return p->status == WC_OK ? WC_INVALID : p->status;
    return p->status;
}

/* ---- all of them ---- */

static struct wc_policy_node *join(struct wc_prover *p, bool is_and)
{
    struct wc_policy_node *n = wc_arena_calloc(p->arena, 1, sizeof *n);
    if (n)
        n->kind = is_and ? WC_POLICY_AND : WC_POLICY_OR;
    else
        p->status = WC_NOMEM;
    return n;
}

enum wc_status wc_policy_compile(const struct wc_policy_text *text, size_t n,
                                 const struct wc_policy_facts *facts, struct wc_arena *arena,
                                 struct wc_policy **out, struct wc_err *err)
{
    struct wc_policy *policy = wc_arena_calloc(arena, 1, sizeof *policy);
    struct wc_prover p = {.facts = facts, .arena = arena, .policy = policy, .err = err};
    struct wc_policy_node *restrictive = policy ? join(&p, true) : NULL;
    struct wc_policy_node *permissive = restrictive ? join(&p, false) : NULL;
    if (!permissive)
        return WC_NOMEM;
    struct wc_policy_node **last_and = &restrictive->first, **last_or = &permissive->first;
    for (size_t i = 0; i < n; i++) {
        struct wc_policy_node *condition = NULL;
        enum wc_status st = prove(&p, &text[i], &condition);
        if (st != WC_OK)
            return st;
        struct wc_policy_node ***last = text[i].is_permissive ? &last_or : &last_and;
        **last = condition;
        *last = &condition->next;
    }
    *last_and = permissive;
    policy->where = restrictive;
    *out = policy;
    return WC_OK;
}

/* ---- bodies of functions ---- */

struct body {
    wc_policy_called_fn called;
    void *arg;
    struct wc_err *err;
};

static bool refuse_body(const struct body *b, const char *why, const char *name)
{
    (void)wc_err_set(b->err, WC_INVALID, "its body %s%s%s", why, *name ? ": " : "", name);
    return false;
}

/* By name, since a body has no oids: see the header for who makes sure that they are Postgres's. */
static bool is_known_operator(const char *name)
{
    static const char *const operators[] = {"->", "->>", "#>", "#>>"};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strcmp(operators[i], name) == 0)
            return true;
    return false;
}

static bool prove_call(const struct body *b, const struct wc_syntax *s)
{
    const char *schema = wc_syntax_schema(s);
    if (strcmp(s->name, "current_setting") == 0)
        return wc_syntax_is_of_request(s) ||
               refuse_body(b, "reads a setting that is not the request's", "");
    if (s->nchildren == 0 && schema && b->called && b->called(b->arg, schema, s->name))
        return true;
    return refuse_body(b, "has a part that is not proven", s->name);
}

/* false: err says why. */
static bool prove_part(const struct body *b, const struct wc_syntax *s)
{
    bool is_plain = s->kind == WC_SYNTAX_CONSTANT || s->kind == WC_SYNTAX_CAST ||
                    s->kind == WC_SYNTAX_COALESCE || s->kind == WC_SYNTAX_NULLIF ||
                    s->kind == WC_SYNTAX_SELECT || s->kind == WC_SYNTAX_CALL ||
                    (s->kind == WC_SYNTAX_OPERATOR && is_known_operator(s->name));
    if (!is_plain)
        return refuse_body(b, "has a part that is not proven", s->name);
    if (s->kind == WC_SYNTAX_CALL && !prove_call(b, s))
        return false;
    if (s->kind == WC_SYNTAX_CAST && !wc_syntax_is_plain_cast(s))
        return refuse_body(b, "converts to a type that is not proven", "");
    for (size_t i = 0; i < s->nchildren; i++)
        if (!prove_part(b, s->child[i]))
            return false;
    return true;
}

enum wc_status wc_policy_prove_body(const char *sql, wc_policy_called_fn called, void *arg,
                                    struct wc_arena *arena, struct wc_err *err)
{
    const struct body body = {.called = called, .arg = arg, .err = err};
    if (strchr(sql, '\\')) /* standard_conforming_strings says what it means */
        return wc_err_set(err, WC_INVALID, "its body has a backslash");
    struct wc_parse *parse = NULL;
    const struct wc_syntax *syntax = NULL;
    enum wc_status st = wc_syntax_parse(sql, true, arena, &parse, &syntax);
    if (st == WC_NOMEM)
        return st;
    if (st != WC_OK)
        return wc_err_set(err, WC_INVALID, "its body is not one expression");
    bool is_proven = prove_part(&body, syntax);
    wc_syntax_free(parse);
    return is_proven ? WC_OK : WC_INVALID;
}
