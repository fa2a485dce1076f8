#include "base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 10000 };

static void *count_attached(void *unused)
{
    (void)unused;
    if (wc_metrics_attach() != WC_OK)
        return NULL;
    for (int i = 0; i < ROUNDS; i++)
        wc_metric_add(WC_M_FRAMES_OUT, 1);
    return NULL;
}

static void *count_unattached(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++)
        wc_metric_add(WC_M_FRAMES_OUT, 1);
    return NULL;
}

static void sum_is_exact_over_threads_that_ended(void **state)
{
    (void)state;
    int64_t before = wc_metric_sum(WC_M_FRAMES_OUT);
    int64_t other = wc_metric_sum(WC_M_BYTES_OUT);
    pthread_t thread[THREADS * 2];
    for (size_t i = 0; i < THREADS * 2; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, i % 2 ? count_attached : count_unattached, NULL), 0);
    int64_t last = before;
    for (int i = 0; i < 100; i++) { /* reading while they count: never backwards */
        int64_t now = wc_metric_sum(WC_M_FRAMES_OUT);
        assert_true(now >= last);
        last = now;
    }
    for (size_t i = 0; i < THREADS * 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(wc_metric_sum(WC_M_FRAMES_OUT) - before, THREADS * 2 * ROUNDS);
    assert_int_equal(wc_metric_sum(WC_M_BYTES_OUT), other);
}

static void gauges_go_down_on_another_thread(void **state)
{
    (void)state;
    int64_t before = wc_metric_sum(WC_M_CONNECTIONS);
    wc_metric_add(WC_M_CONNECTIONS, 3);
    assert_int_equal(wc_metrics_attach(), WC_OK);
    assert_int_equal(wc_metrics_attach(), WC_OK); /* again is harmless */
    wc_metric_add(WC_M_CONNECTIONS, -2);
    assert_int_equal(wc_metric_sum(WC_M_CONNECTIONS) - before, 1);
}

static void *observe(void *arg)
{
    (void)arg;
    if (wc_metrics_attach() != WC_OK)
        return NULL;
    for (int i = 0; i < ROUNDS; i++)
        wc_metric_observe(WC_H_PAYLOAD_BROADCAST, 300, 2);
    return NULL;
}

static void distributions_add_up_over_threads(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    struct wc_histogram_sum sum;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, observe, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    wc_metric_distribution(WC_H_PAYLOAD_BROADCAST, &sum);
    assert_int_equal(sum.count[1], THREADS * ROUNDS * 2); /* 250 < 300 <= 500 */
    assert_int_equal(wc_histogram_count(&sum), sum.count[1]);
    assert_int_equal(sum.sum, sum.count[1] * 300);
}

static int count_of(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

/* Prometheus refuses a page on which the samples of a name are apart. */
static void each_name_is_described_once(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 1 << 20);
    wc_metrics_render(&(struct wc_exposition){.out = &b});
    wc_buf_byte(&b, '\0');
    const char *text = (const char *)b.p;
    for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
        char line[200];
        (void)snprintf(line, sizeof line, "%.*s ", (int)strcspn(at + 7, " ") + 7, at);
        assert_int_equal(count_of(text, line), 1);
    }
    wc_buf_release(&b);
}

static void text_form_has_one_header_per_name(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 1 << 20);
    wc_metric_add(WC_M_WITHHELD_SLOW, 5);
    wc_metrics_render(&(struct wc_exposition){.out = &b, .node = wc_slice_str("id=\"1\"")});
    wc_buf_byte(&b, '\0');
    assert_int_equal(b.status, WC_OK);
    const char *text = (const char *)b.p;
    const char *type = strstr(text, "# TYPE walcast_changes_withheld_total counter\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE walcast_changes_withheld_total"));
    assert_non_null(strstr(text,
                           "\nwalcast_changes_withheld_total{reason=\"slow_consumer\",id=\"1\"} "
                           "5\n"));
    assert_non_null(strstr(text, "# TYPE walcast_connections gauge\n"));
    wc_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_is_exact_over_threads_that_ended),
        cmocka_unit_test(gauges_go_down_on_another_thread),
        cmocka_unit_test(distributions_add_up_over_threads),
        cmocka_unit_test(each_name_is_described_once),
        cmocka_unit_test(text_form_has_one_header_per_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
