#include "base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

static void text_form_has_one_header_per_name(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 1 << 20);
    wc_metric_add(WC_M_WITHHELD_SLOW, 5);
    wc_metrics_render(&b);
    wc_buf_byte(&b, '\0');
    assert_int_equal(b.status, WC_OK);
    const char *text = (const char *)b.p;
    const char *type = strstr(text, "# TYPE walcast_changes_withheld_total counter\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE walcast_changes_withheld_total"));
    assert_non_null(strstr(text, "\nwalcast_changes_withheld_total{reason=\"slow_consumer\"} 5\n"));
    assert_non_null(strstr(text, "# TYPE walcast_connections gauge\n"));
    wc_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_is_exact_over_threads_that_ended),
        cmocka_unit_test(gauges_go_down_on_another_thread),
        cmocka_unit_test(text_form_has_one_header_per_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
