#include "tests/unit/fanout/fake_source.h"

#include "base/assert.h"
#include "fanout/quota.h"

#include <stdlib.h>

static void on_free(struct wc_tenant_view *view)
{
    (void)view;
    wc_assert_failed("a reference was dropped twice", __FILE__, __LINE__); /* one is the fake's */
}

void wc_fake_source_init(struct wc_fake_source *f)
{
    *f = (struct wc_fake_source){
        .view = {.id = 1,
                 .external_id = "dev",
                 .keys = wc_keyset_new(wc_slice_str("a secret of at least 32 bytes, yes")),
                 .quota = wc_quota_new(64, &(struct wc_tenant_limits){.max_payload_kb = 1}),
                 .free = on_free}};
    atomic_init(&f->view.refs, 1);
    WC_ASSERT(f->view.keys && f->view.quota);
}

void wc_fake_source_release(struct wc_fake_source *f)
{
    wc_subscribe_free(f->last);
    while (f->nquestions)
        wc_authorize_free(wc_fake_question(f));
    WC_ASSERT(atomic_load_explicit(&f->view.refs, memory_order_relaxed) == 1);
    union {
        const struct wc_keyset *shared;
        struct wc_keyset *owned;
    } keys = {.shared = f->view.keys};
    wc_keyset_free(keys.owned);
    wc_quota_free(f->view.quota);
}

static struct wc_tenant_view *find(void *self, const struct wc_tenant_address *at)
{
    struct wc_fake_source *f = self;
    return wc_slice_is(at->host, "nobody") ? NULL : wc_tenant_view_ref(&f->view);
}

static enum wc_status subscribe(void *self, struct wc_subscribe *s)
{
    struct wc_fake_source *f = self;
    f->subscribed++;
    if (f->answer != WC_OK)
        return f->answer;
    wc_subscribe_free(f->last);
    f->last = s;
    return WC_OK;
}

static void unsubscribe(void *self, struct wc_tenant_view *tenant, struct wc_handle handle)
{
    struct wc_fake_source *f = self;
    WC_ASSERT(tenant == &f->view);
    f->unsubscribed++;
    f->unsubscribed_handle = handle;
}

static enum wc_status authorize(void *self, struct wc_authorize *a)
{
    struct wc_fake_source *f = self;
    f->asked++;
    if (f->authorize_answer != WC_OK)
        return f->authorize_answer;
    if (f->nquestions == WC_FAKE_QUESTIONS)
        wc_authorize_free(wc_fake_question(f));
    f->question[f->nquestions++] = a;
    return WC_OK;
}

struct wc_authorize *wc_fake_question(struct wc_fake_source *f)
{
    if (!f->nquestions)
        return NULL;
    struct wc_authorize *a = f->question[0];
    memmove(f->question, f->question + 1, --f->nquestions * sizeof a);
    return a;
}

static void touch(void *self, struct wc_tenant_view *tenant)
{
    struct wc_fake_source *f = self;
    (void)tenant;
    (void)atomic_fetch_add_explicit(&f->touched, 1, memory_order_relaxed); /* a count */
}

static bool is_replicating(void *self, struct wc_tenant_view *tenant)
{
    const struct wc_fake_source *f = self;
    WC_ASSERT(tenant == &f->view);
    return f->is_replicating;
}

const struct wc_authorize *wc_fake_asked(const struct wc_fake_source *f)
{
    WC_ASSERT(f->nquestions);
    return f->question[f->nquestions - 1];
}

struct wc_msg *wc_fake_permissions(const struct wc_fake_source *f, unsigned granted,
                                   enum wc_authorize_error error)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_PERMISSIONS, wc_slice(NULL, 0));
    const struct wc_authorize *q = wc_fake_asked(f);
    WC_ASSERT(m);
    m->handle = q->handle;
    m->question = q->question;
    m->permissions = granted;
    m->error = error;
    return m;
}

struct wc_directory wc_fake_directory(struct wc_fake_source *f)
{
    return (struct wc_directory){.self = f, .find = find};
}

struct wc_source wc_fake_bridge(struct wc_fake_source *f)
{
    return (struct wc_source){.self = f,
                              .subscribe = subscribe,
                              .unsubscribe = unsubscribe,
                              .authorize = authorize,
                              .touch = touch,
                              .is_replicating = is_replicating};
}

char *wc_fake_token(const struct wc_fake_source *f, const char *claims)
{
    struct wc_buf out;
    wc_buf_init(&out, 1 << 16);
    enum wc_status st = wc_jwt_mint(f->view.keys, wc_slice_str(claims), &out);
    WC_ASSERT(st == WC_OK);
    char *token = wc_slice_dup(wc_buf_view(&out));
    WC_ASSERT(token);
    wc_buf_release(&out);
    return token;
}
