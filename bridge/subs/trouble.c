/*
 * When checks of a role on a table fail, and when they work again, whoever would get its changes is
 * told so. How often that is, bridge/rls has decided, which logs it too.
 */
#include "bridge/subs/subs_priv.h"

static bool is_about(const struct wc_target *t, wc_oid rel, struct wc_slice schema)
{
    switch (t->match.scope) {
    case WC_MATCH_TABLE: return t->match.rel == rel;
    case WC_MATCH_SCHEMA: return wc_slice_eq(t->match.schema, schema);
    case WC_MATCH_ALL: return true;
    }
    return true;
}

static bool is_concerned(const struct wc_audience *a, wc_oid rel, struct wc_slice schema,
                         struct wc_slice role)
{
    if (a->state != WC_AUDIENCE_STANDING || !wc_slice_eq(a->claims->role, role))
        return false;
    for (uint32_t i = 0; i < a->nbindings; i++)
        for (size_t k = 0; k < a->binding[i].ntargets; k++)
            if (is_about(&a->binding[i].target[k], rel, schema))
                return true;
    return false;
}

static void tell(struct wc_list *members, bool ok, struct wc_slice text)
{
    WC_LIST_EACH (it, members)
        wc_subs_tell_or_log(WC_CONTAINER(it, struct wc_member, in_audience), ok, text);
}

void wc_subs_on_trouble(void *self, wc_oid rel, struct wc_slice schema, struct wc_slice role,
                        bool is_over, const char *text)
{
    struct wc_subs *s = self;
    for (struct wc_map_node *n = wc_map_each(&s->audiences, NULL); n;
         n = wc_map_each(&s->audiences, n)) {
        struct wc_audience *a = WC_CONTAINER(n, struct wc_audience, node);
        if (!is_concerned(a, rel, schema, role))
            continue;
        tell(&a->enlisted, is_over, wc_slice_str(text));
        tell(&a->pending, is_over, wc_slice_str(text));
    }
}
