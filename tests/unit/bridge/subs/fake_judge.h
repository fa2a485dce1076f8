/*
 * Stands in for bridge/rls/judge where changes are put to it: questions are kept in order and
 * answered by the test. One judge.
 */
#ifndef TEST_FAKE_JUDGE_H
#define TEST_FAKE_JUDGE_H

#include "bridge/rls/judge.h"

enum { FAKE_JUDGE_QUESTIONS = 4096 };

struct fake_judge_question {
    unsigned change;
    const struct wc_context *context;       /* of a verdict, or */
    const struct wc_comparison *comparison; /* of a truth */
    struct wc_slice value;
};

struct wc_judge {
    const struct wc_judge_events *events;
    void *arg;
    enum wc_status refuses; /* what want and compare say */
    const struct wc_change *change[WC_JUDGE_MAX];
    unsigned nchanges;
    struct fake_judge_question question[FAKE_JUDGE_QUESTIONS];
    size_t nquestions;
    bool is_busy;
    unsigned sent, forgotten;
};

extern struct wc_judge fake_judge;

/* Answers in the middle of a batch, then the end of it. */
void fake_judge_verdict(size_t question, enum wc_verdict);
void fake_judge_truth(size_t question, enum wc_truth);
void fake_judge_answered(bool ok);
/* Every question of the batch, verdicts and truths alike, and its end. */
void fake_judge_answer_all(enum wc_verdict, enum wc_truth);

#endif
