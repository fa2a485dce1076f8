/*
 * The thread waits in curl_multi_poll, whether a push is under way or none: stop wakes it in both
 * cases.
 */
#include "bridge/push/push.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/push/gzip.h"
#include "bridge/push/target.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    TARGET_MAX = 64 << 10,
    LOG_EVERY_US = 60 * 1000000,
    ANSWER_OK = 200,
    ANSWER_REDIRECT = 300,
};

struct wc_push {
    struct wc_push_options opt; /* strings owned */
    struct wc_buf target;       /* NUL-terminated */
    char *user, *auth;
    CURLM *multi;
    pthread_t thread;
    bool is_started;
    _Atomic bool shall_stop; /* relaxed: curl_multi_wakeup orders nothing that matters, and the
                                thread looks again after every wait */

    /* the thread's */
    struct wc_buf page, packed;
    struct wc_log_limit failure_log;
    bool has_failed; /* the last one */
};

/* ---- one push ---- */

static size_t ignore(char *data, size_t size, size_t count, void *self)
{
    (void)data; /* nothing an answer says is of interest, and it may be anything */
    (void)self;
    return size * count;
}

static void log_failure(struct wc_push *p, bool is_timeout, CURLcode code, long status)
{
    unsigned long more = 0;
    p->has_failed = true;
    wc_metric_add(is_timeout ? WC_M_PUSHES_TIMEOUT : WC_M_PUSHES_FAILED, 1);
    if (wc_log_limit(&p->failure_log, LOG_EVERY_US, &more))
        WC_LOG(WC_LOG_WARN, "push", "failed", "code=%s status=%ld error=\"%s\" suppressed=%lu",
               is_timeout ? "MetricsPusherTimeout" : "MetricsPusherFailed", status,
               code == CURLE_OK ? "" : curl_easy_strerror(code), more);
}

static void judge(struct wc_push *p, CURL *easy, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 without an answer */
    bool is_ok = code == CURLE_OK && status >= ANSWER_OK && status < ANSWER_REDIRECT;
    if (!is_ok) {
        log_failure(p, code == CURLE_OPERATION_TIMEDOUT, code, status);
        return;
    }
    wc_metric_add(WC_M_PUSHES_OK, 1);
    if (p->has_failed)
        WC_LOG(WC_LOG_INFO, "push", "recovered", "status=%ld", status);
    p->has_failed = false;
}

static bool is_stopping(const struct wc_push *p)
{
    return atomic_load_explicit(&p->shall_stop, memory_order_relaxed);
}

/* Until it is over, or given up. */
static void transfer(struct wc_push *p, CURL *easy)
{
    int running = 1, left = 0;
    CURLMcode st = curl_multi_add_handle(p->multi, easy);
    if (st != CURLM_OK) {
        log_failure(p, false, CURLE_OUT_OF_MEMORY, 0);
        return;
    }
    while (running && !is_stopping(p) && st == CURLM_OK) {
        st = curl_multi_perform(p->multi, &running);
        if (running && st == CURLM_OK)
            st = curl_multi_poll(p->multi, NULL, 0, (int)p->opt.timeout_ms, NULL);
    }
    const CURLMsg *m = curl_multi_info_read(p->multi, &left);
    if (m && m->msg == CURLMSG_DONE)
        judge(p, easy, m->data.result);
    else if (!is_stopping(p))
        log_failure(p, false, CURLE_FAILED_INIT, 0);
    (void)curl_multi_remove_handle(p->multi, easy); /* it is in there */
}

/* What the page is sent as. */
static struct wc_slice pack(struct wc_push *p)
{
    wc_buf_reset(&p->page);
    wc_buf_reset(&p->packed);
    p->opt.render(p->opt.self, &p->page);
    if (!p->opt.is_compressed)
        return wc_buf_view(&p->page);
    return wc_gzip(wc_buf_view(&p->page), &p->packed) == WC_OK ? wc_buf_view(&p->packed)
                                                               : wc_slice(NULL, 0);
}

static CURLcode set_login(const struct wc_push *p, CURL *easy)
{
    if (!p->auth[0])
        return CURLE_OK;
    CURLcode st = curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_USERNAME, p->user);
    return st == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PASSWORD, p->auth) : st;
}

static CURLcode set_up(const struct wc_push *p, CURL *easy, struct curl_slist *headers,
                       struct wc_slice body)
{
    CURLcode st = curl_easy_setopt(easy, CURLOPT_URL, (const char *)p->target.p);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.p); /* borrowed until it is over */
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)p->opt.timeout_ms);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (st == CURLE_OK)
        st = curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name server need not be awaited */
    return st == CURLE_OK ? set_login(p, easy) : st;
}

/* NULL: out of memory. */
static struct curl_slist *make_headers(bool is_compressed)
{
    struct curl_slist *first = curl_slist_append(NULL, "Content-Type: text/plain; version=0.0.4");
    struct curl_slist *all = first ? curl_slist_append(first, "Expect:") : NULL;
    if (all && is_compressed)
        all = curl_slist_append(first, "Content-Encoding: gzip");
    if (!all)
        curl_slist_free_all(first);
    return all;
}

static void push(struct wc_push *p)
{
    struct wc_slice body = pack(p);
    struct curl_slist *headers = make_headers(p->opt.is_compressed);
    CURL *easy = curl_easy_init();
    CURLcode st =
        body.len && headers && easy ? set_up(p, easy, headers, body) : CURLE_OUT_OF_MEMORY;
    if (st == CURLE_OK)
        transfer(p, easy);
    else
        log_failure(p, false, st, 0);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
}

/* ---- the thread ---- */

static void wait_until(struct wc_push *p, wc_us at)
{
    for (wc_us now; !is_stopping(p) && (now = wc_clock_mono()) < at;) {
        CURLMcode st = curl_multi_poll(p->multi, NULL, 0, (int)((at - now + 999) / 1000), NULL);
        WC_ASSERT(st == CURLM_OK); /* nothing is in it that memory were needed for */
    }
}

static void *run(void *arg)
{
    struct wc_push *p = arg;
    wc_us next = wc_clock_mono();
    if (wc_metrics_attach() != WC_OK)
        WC_LOG(WC_LOG_WARN, "push", "metrics_shared", "threads=1");
    for (;;) {
        next += (wc_us)p->opt.interval_ms * 1000;
        wait_until(p, next);
        if (is_stopping(p))
            return NULL;
        push(p);
        if (next < wc_clock_mono() - (wc_us)p->opt.interval_ms * 1000)
            next = wc_clock_mono(); /* what was missed is not made up for */
    }
}

/* ---- life ---- */

static enum wc_status open_parts(struct wc_push *p, struct wc_err *err)
{
    enum wc_status st = wc_push_target(p->opt.url, p->opt.extra_labels, &p->target, err);
    if (st != WC_OK)
        return st;
    wc_buf_byte(&p->target, '\0');
    p->user = strdup(p->opt.user);
    p->auth = strdup(p->opt.auth);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        p->multi = curl_multi_init();
    if (p->target.status == WC_OK && p->user && p->auth && p->multi)
        return WC_OK;
    return wc_err_set(err, WC_NOMEM, "out of memory");
}

struct wc_push *wc_push_new(const struct wc_push_options *o, struct wc_err *err)
{
    struct wc_push *p = calloc(1, sizeof *p);
    if (!p) {
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    p->opt = *o;
    wc_buf_init(&p->target, TARGET_MAX);
    wc_buf_init(&p->page, INT32_MAX);
    wc_buf_init(&p->packed, INT32_MAX);
    enum wc_status st = open_parts(p, err);
    p->opt.url = p->opt.user = p->opt.auth = p->opt.extra_labels = NULL; /* the caller's */
    if (st == WC_OK)
        return p;
    wc_push_free(p);
    return NULL;
}

enum wc_status wc_push_start(struct wc_push *p, struct wc_err *err)
{
    int e = pthread_create(&p->thread, NULL, run, p);
    p->is_started = e == 0;
    return e == 0 ? WC_OK : wc_err_set(err, WC_IO, "cannot start a thread: %s", strerror(e));
}

void wc_push_stop(struct wc_push *p)
{
    if (!p || !p->is_started)
        return;
    atomic_store_explicit(&p->shall_stop, true, memory_order_relaxed);
    (void)curl_multi_wakeup(p->multi); /* fails only without its pipe, which init has made */
    int e = pthread_join(p->thread, NULL);
    WC_ASSERT(e == 0);
    p->is_started = false;
}

static void wipe(void *p, size_t len)
{
    if (p)
        explicit_bzero(p, len);
}

void wc_push_free(struct wc_push *p)
{
    if (!p)
        return;
    WC_ASSERT(!p->is_started);
    (void)curl_multi_cleanup(p->multi); /* nothing is in it */
    wipe(p->auth, p->auth ? strlen(p->auth) : 0);
    wipe(p->target.p, p->target.len); /* it may hold a login */
    free(p->user);
    free(p->auth);
    wc_buf_release(&p->target);
    wc_buf_release(&p->page);
    wc_buf_release(&p->packed);
    free(p);
}
