#include "bridge/subs/oldrow.h"

#include "bridge/subs/verdict.h"

enum wc_verdict wc_old_row_verdict(struct wc_audience *a, const struct wc_change *ch)
{
    if (ch->old_kind != WC_OLD_FULL)
        return WC_VERDICT_NONE;
    const struct wc_change before = wc_change_of_old_row(ch);
    return wc_verdict_here(a->subs, a, a->access, &before);
}

/* ---- how much of it is shown ---- */

static bool is_same(const struct wc_change *ch, uint16_t i)
{
    const struct wc_col *before = &ch->old.col[i], *now = &ch->new.col[i];
    if (ch->old_kind == WC_OLD_KEY && !ch->rel->col[i].in_identity)
        return false; /* not known */
    return now->kind == WC_COL_TOAST_UNCHANGED ||
           (before->kind == now->kind && wc_slice_eq(before->val, now->val));
}

/* Are the columns that the policies depend on the same in both rows? Then what holds for the new
 * one holds for the old one. */
static bool is_judged_alike(const struct wc_change *ch, const struct wc_access *access)
{
    size_t todo = 0;
    for (uint16_t j = 0; j < access->ncols; j++)
        todo += access->col[j].in_policy;
    for (uint16_t i = 0; i < ch->rel->ncols; i++) {
        int16_t j = access->map[i].col;
        if (j < 0 || !access->col[j].in_policy)
            continue;
        if (!is_same(ch, i))
            return false;
        todo--;
    }
    return todo == 0; /* else the log lacks one */
}

/* An UPDATE's new row has been found to be visible. */
bool wc_old_row_is_cut(struct wc_audience *a, const struct wc_change *ch)
{
    if (!a->access->rls || ch->old_kind == WC_OLD_NONE)
        return false;
    if (ch->op == WC_OP_DELETE && a->subs->opt.deletes != WC_DELETES_JUDGED)
        return true;
    if (ch->op == WC_OP_UPDATE && is_judged_alike(ch, a->access))
        return false;
    return wc_old_row_verdict(a, ch) != WC_VERDICT_VISIBLE;
}

/* ---- removals ---- */

bool wc_old_row_is_removed(const struct wc_binding *b, const struct wc_change *ch)
{
    struct wc_audience *a = b->audience;
    const struct wc_access *access = a->access;
    if (b->had_row != a->subs->change || !access->usable || !access->exists || a->is_refused)
        return false;
    bool may_pass = b->touched == a->subs->change;
    if (!access->rls)
        return !may_pass;
    return wc_old_row_verdict(a, ch) == WC_VERDICT_VISIBLE &&
           (!may_pass || wc_verdict_here(a->subs, a, access, ch) == WC_VERDICT_HIDDEN);
}
