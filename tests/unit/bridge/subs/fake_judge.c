#include "tests/unit/bridge/subs/fake_judge.h"

#include <stdlib.h>

struct wc_judge fake_judge;

struct wc_judge *wc_judge_new(struct uv_loop_s *loop, const struct wc_judge_options *options,
                              const struct wc_judge_events *events, void *arg)
{
    (void)loop;
    (void)options;
    fake_judge = (struct wc_judge){.events = events, .arg = arg};
    return &fake_judge;
}

void wc_judge_free(struct wc_judge *j)
{
    (void)j;
}

bool wc_judge_is_busy(const struct wc_judge *j)
{
    return j->is_busy;
}

unsigned wc_judge_add(struct wc_judge *j, const struct wc_change *ch, wc_xid xid)
{
    (void)xid;
    if (j->is_busy || j->nchanges == WC_JUDGE_MAX)
        abort();
    j->change[j->nchanges] = ch;
    return j->nchanges++;
}

static enum wc_status ask(struct wc_judge *j, const struct fake_judge_question *q)
{
    if (j->refuses != WC_OK)
        return j->refuses;
    if (j->is_busy || q->change >= j->nchanges || j->nquestions == FAKE_JUDGE_QUESTIONS)
        abort();
    j->question[j->nquestions++] = *q;
    return WC_OK;
}

enum wc_status wc_judge_want(struct wc_judge *j, unsigned change, const struct wc_access *access,
                             struct wc_context *context)
{
    (void)access;
    return ask(j, &(struct fake_judge_question){.change = change, .context = context});
}

enum wc_status wc_judge_compare(struct wc_judge *j, unsigned change,
                                struct wc_comparison *comparison, struct wc_slice value)
{
    return ask(j, &(struct fake_judge_question){
                      .change = change, .comparison = comparison, .value = value});
}

void wc_judge_send(struct wc_judge *j)
{
    if (j->is_busy || j->nchanges == 0)
        abort();
    j->is_busy = true;
    j->sent++;
}

void wc_judge_forget(struct wc_judge *j)
{
    j->forgotten += j->nchanges > 0;
    j->is_busy = false;
    j->nchanges = 0;
    j->nquestions = 0;
}

void fake_judge_verdict(size_t question, enum wc_verdict verdict)
{
    const struct fake_judge_question *q = &fake_judge.question[question];
    fake_judge.events->verdict(fake_judge.arg, q->change, q->context, verdict);
}

void fake_judge_truth(size_t question, enum wc_truth truth)
{
    const struct fake_judge_question *q = &fake_judge.question[question];
    fake_judge.events->truth(fake_judge.arg, q->change, q->comparison, truth);
}

void fake_judge_answered(bool ok)
{
    if (!fake_judge.is_busy)
        abort();
    fake_judge.is_busy = false;
    if (ok)
        fake_judge.nchanges = 0;
    if (ok)
        fake_judge.nquestions = 0;
    fake_judge.events->answered(fake_judge.arg, ok);
}

void fake_judge_answer_all(enum wc_verdict verdict, enum wc_truth truth)
{
    for (size_t i = 0; i < fake_judge.nquestions; i++) {
        if (fake_judge.question[i].context)
            fake_judge_verdict(i, verdict);
        else
            fake_judge_truth(i, truth);
    }
    fake_judge_answered(true);
}
