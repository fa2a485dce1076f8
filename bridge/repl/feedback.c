#include "bridge/repl/feedback.h"

#include "base/assert.h"

enum {
    CONFIRM_SOONEST_US = 1000000,
    SILENT_REQUESTS = 2, /* the second goes out when the first was not answered for an interval */
};

bool wc_feedback_ok(const struct wc_feedback *f)
{
    return f->told <= f->confirmed && f->confirmed <= f->received;
}

void wc_feedback_forget(struct wc_feedback *f)
{
    *f = (struct wc_feedback){0};
}

void wc_feedback_slot_made(struct wc_feedback *f, wc_lsn consistent_point)
{
    f->received = f->confirmed = f->told = consistent_point;
}

bool wc_feedback_slot_found(struct wc_feedback *f, wc_lsn confirmed)
{
    bool ours = confirmed <= f->told;
    if (confirmed > f->told)
        f->told = confirmed;
    if (confirmed > f->confirmed)
        f->confirmed = confirmed;
    wc_feedback_progress(f, f->confirmed);
    WC_DASSERT(wc_feedback_ok(f));
    return ours;
}

void wc_feedback_progress(struct wc_feedback *f, wc_lsn offered)
{
    if (offered > f->received)
        f->received = offered;
}

void wc_feedback_take_back(struct wc_feedback *f, wc_lsn from)
{
    if (from < f->confirmed)
        from = f->confirmed;
    if (from < f->received)
        f->received = from;
}

void wc_feedback_server_at(struct wc_feedback *f, wc_lsn lsn)
{
    if (lsn > f->server)
        f->server = lsn;
}

bool wc_feedback_confirm(struct wc_feedback *f, wc_lsn lsn, wc_us now)
{
    if (lsn <= f->confirmed || lsn > f->received)
        return false;
    f->confirmed = lsn;
    return now - f->sent_at >= CONFIRM_SOONEST_US;
}

wc_lsn wc_feedback_tell(struct wc_feedback *f)
{
    WC_DASSERT(wc_feedback_ok(f));
    f->told = f->confirmed;
    return f->confirmed;
}

void wc_feedback_heard(struct wc_feedback *f)
{
    f->heard = true;
    f->unanswered = 0;
}

bool wc_feedback_tick(struct wc_feedback *f, bool is_reading)
{
    bool ask = is_reading && !f->heard;
    f->unanswered = ask ? f->unanswered + 1 : 0;
    f->heard = false;
    return ask;
}

enum wc_feedback_silence wc_feedback_silence(const struct wc_feedback *f, uint32_t patience)
{
    if (f->unanswered > patience)
        return WC_FEEDBACK_DEAD;
    return f->unanswered >= SILENT_REQUESTS ? WC_FEEDBACK_SILENT : WC_FEEDBACK_ANSWERS;
}
