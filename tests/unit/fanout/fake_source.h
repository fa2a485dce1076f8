/*
 * A directory with one tenant ("dev", any host but "nobody") and a change source that remembers
 * what it was asked, for the tests of the layers above the sockets. Threads: one.
 */
#ifndef WC_TESTS_UNIT_FANOUT_FAKE_SOURCE_H
#define WC_TESTS_UNIT_FANOUT_FAKE_SOURCE_H

#include "fanout/source.h"

enum { WC_FAKE_QUESTIONS = 64 };

struct wc_fake_source {
    struct wc_tenant_view view;
    enum wc_status answer; /* of the next subscribe */
    struct wc_subscribe *last;
    unsigned subscribed, unsubscribed;
    struct wc_handle unsubscribed_handle;
    enum wc_status authorize_answer;                  /* of the next authorize */
    struct wc_authorize *question[WC_FAKE_QUESTIONS]; /* the last ones, oldest first */
    unsigned nquestions;
    unsigned asked;
    _Atomic unsigned touched; /* by any thread, where a test has several */
    bool is_replicating;
};

void wc_fake_source_init(struct wc_fake_source *);
void wc_fake_source_release(struct wc_fake_source *);
struct wc_directory wc_fake_directory(struct wc_fake_source *);
struct wc_source wc_fake_bridge(struct wc_fake_source *);

/* Takes the oldest question out; NULL: there is none. Free it. */
struct wc_authorize *wc_fake_question(struct wc_fake_source *);
/* The newest one, which stays. */
const struct wc_authorize *wc_fake_asked(const struct wc_fake_source *);
/* The answer to that; owned. */
struct wc_msg *wc_fake_permissions(const struct wc_fake_source *, unsigned granted,
                                   enum wc_authorize_error);

/* A token signed with the tenant's key, NUL-terminated; owned. claims: JSON text. */
char *wc_fake_token(const struct wc_fake_source *, const char *claims);

#endif
