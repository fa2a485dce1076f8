#include "bridge/ops/scrape.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "fanout/call.h"

#include <pthread.h>
#include <stdlib.h>

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct wc_scrape {
    struct wc_page *page;
    struct wc_bridge *via;
    pthread_t thread;
    bool is_started;

    pthread_mutex_t lock; /* guards the rest; no other is taken under it */
    pthread_cond_t wake;
    struct wc_list asked;
    bool shall_stop;
};

/* A request that waits for its page. */
struct asked {
    struct wc_list link;
    struct wc_handle handle;
};

/* ---- the answer ---- */

/* On its way through the bridge. */
struct answer {
    struct wc_bridge *via;
    struct wc_msg *msg;
};

static void publish(void *arg)
{
    struct answer *a = arg;
    uint64_t thread = UINT64_C(1) << a->msg->handle.thread;
    if (wc_publish(wc_bridge_publisher(a->via), WC_ORIGIN_BRIDGE, a->msg, thread) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "ops", "no_memory", "what=metrics");
    free(a);
}

static void discard(void *arg)
{
    struct answer *a = arg;
    wc_msg_unref(a->msg);
    free(a);
}

/* Nobody answers where this fails, and the request ends with its deadline. */
static void send_page(struct wc_scrape *s, struct wc_handle handle, const struct wc_buf *page)
{
    bool is_whole = page->status == WC_OK;
    struct answer *a = malloc(sizeof *a);
    struct wc_msg *m = wc_msg_new(WC_MSG_CALL, is_whole ? wc_buf_view(page) : wc_slice(NULL, 0));
    enum wc_status st = WC_NOMEM;
    if (a && m) {
        m->handle = handle;
        m->http_status = is_whole ? 200 : 500;
        *a = (struct answer){s->via, m};
        st = wc_bridge_post(s->via, &(struct wc_bridge_call){publish, discard, a});
    }
    if (st == WC_OK)
        return;
    wc_msg_unref(m);
    free(a);
    WC_LOG(WC_LOG_ERROR, "ops", "metrics_not_answered", "error=\"%s\"", wc_status_text(st));
}

static bool on_message(void *state, struct wc_hub *hub, const struct wc_msg *m,
                       struct wc_http_response *res)
{
    (void)state;
    (void)hub;
    res->status = m->http_status;
    res->content_type = content_type;
    wc_buf_append(&res->body, m->text, m->text_len);
    return true;
}

static void free_nothing(void *state)
{
    (void)state; /* the scrape itself, which is not the call's */
}

void wc_scrape_answer(struct wc_scrape *s, const struct wc_http_request *req,
                      struct wc_http_response *res)
{
    static const struct wc_call_hooks hooks = {.on_message = on_message, .free = free_nothing};
    struct wc_handle handle;
    struct asked *a = malloc(sizeof *a);
    if (!wc_call_park(req, res, &hooks, s, &handle)) {
        free(a);
        return;
    }
    if (!a) {
        wc_call_unpark(req, res, handle);
        return;
    }
    *a = (struct asked){.handle = handle};
    (void)pthread_mutex_lock(&s->lock); /* none of these fails: plain objects, valid arguments */
    wc_list_push(&s->asked, &a->link);
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- the thread ---- */

/* Takes the requests that wait, after waiting for one; false: it is time to stop. */
static bool take_asked(struct wc_scrape *s, struct wc_list *out)
{
    (void)pthread_mutex_lock(&s->lock); /* as above */
    while (!s->shall_stop && wc_list_is_empty(&s->asked))
        (void)pthread_cond_wait(&s->wake, &s->lock);
    bool goes_on = !s->shall_stop;
    while (goes_on && !wc_list_is_empty(&s->asked)) {
        struct wc_list *it = s->asked.next;
        wc_list_remove(it);
        wc_list_push(out, it);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return goes_on;
}

static void free_asked(struct wc_list *asked)
{
    WC_LIST_EACH_SAFE (it, asked) {
        wc_list_remove(it);
        free(WC_CONTAINER(it, struct asked, link));
    }
}

static void answer_all(struct wc_scrape *s, struct wc_list *asked)
{
    struct wc_buf page;
    wc_buf_init(&page, INT32_MAX);
    wc_page_render(s->page, &page);
    WC_LIST_EACH (it, asked) {
        send_page(s, WC_CONTAINER(it, struct asked, link)->handle, &page);
    }
    wc_buf_release(&page);
}

static void *run(void *arg)
{
    struct wc_scrape *s = arg;
    struct wc_list asked;
    wc_list_init(&asked);
    while (take_asked(s, &asked)) {
        answer_all(s, &asked);
        free_asked(&asked);
    }
    return NULL;
}

/* ---- life ---- */

struct wc_scrape *wc_scrape_new(struct wc_page *page)
{
    struct wc_scrape *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->page = page;
    wc_list_init(&s->asked);
    (void)pthread_mutex_init(&s->lock, NULL); /* cannot fail with default attributes */
    (void)pthread_cond_init(&s->wake, NULL);  /* likewise */
    return s;
}

enum wc_status wc_scrape_start(struct wc_scrape *s, struct wc_bridge *via, struct wc_err *err)
{
    s->via = via;
    int e = pthread_create(&s->thread, NULL, run, s);
    s->is_started = e == 0;
    return e == 0 ? WC_OK : wc_err_set(err, WC_IO, "cannot start a thread: %s", strerror(e));
}

void wc_scrape_stop(struct wc_scrape *s)
{
    if (!s || !s->is_started)
        return;
    (void)pthread_mutex_lock(&s->lock); /* as above */
    s->shall_stop = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    int e = pthread_join(s->thread, NULL);
    WC_ASSERT(e == 0);
    s->is_started = false;
}

void wc_scrape_free(struct wc_scrape *s)
{
    if (!s)
        return;
    WC_ASSERT(!s->is_started);
    free_asked(&s->asked);
    (void)pthread_cond_destroy(&s->wake); /* nobody waits for it */
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
