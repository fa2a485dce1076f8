#include "base/tenant_metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PRODUCERS = 3, ROUNDS = 20000 };

struct work {
    struct wc_tenant_metrics *metrics;
    unsigned producer;
};

static void *count(void *arg)
{
    const struct work *w = arg;
    if (wc_metrics_attach() != WC_OK)
        return NULL;
    for (int i = 0; i < ROUNDS; i++) {
        wc_tenant_metric_add(w->metrics, w->producer, WC_T_BYTES_IN, 3);
        wc_tenant_metric_observe(w->metrics, w->producer, WC_TH_PAYLOAD_CHANGES, 400);
    }
    return NULL;
}

static void producers_add_up_to_the_tenant_and_the_total(void **state)
{
    (void)state;
    pthread_t thread[PRODUCERS];
    struct work work[PRODUCERS];
    struct wc_tenant_sums sums;
    struct wc_histogram_sum before, after;
    int64_t total = wc_metric_sum(WC_M_BYTES_IN);
    wc_metric_distribution(WC_H_PAYLOAD_CHANGES, &before);
    struct wc_tenant_metrics *t = wc_tenant_metrics_new(PRODUCERS);
    assert_non_null(t);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        work[i] = (struct work){t, i};
        assert_int_equal(pthread_create(&thread[i], NULL, count, &work[i]), 0);
    }
    int64_t last = 0;
    for (int i = 0; i < 200; i++) { /* while they count */
        int64_t now = wc_tenant_metrics_read(t, &sums) ? sums.value[WC_T_BYTES_IN] : 0;
        assert_true(now >= last);
        last = now;
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_true(wc_tenant_metrics_read(t, &sums));
    assert_int_equal(sums.value[WC_T_BYTES_IN], PRODUCERS * ROUNDS * 3);
    assert_int_equal(wc_metric_sum(WC_M_BYTES_IN) - total, PRODUCERS * ROUNDS * 3);
    assert_int_equal(wc_histogram_count(&sums.histogram[WC_TH_PAYLOAD_CHANGES]),
                     PRODUCERS * ROUNDS);
    wc_metric_distribution(WC_H_PAYLOAD_CHANGES, &after);
    assert_int_equal(wc_histogram_count(&after) - wc_histogram_count(&before), PRODUCERS * ROUNDS);
    wc_tenant_metrics_free(t);
}

static void an_idle_tenant_has_nothing_to_read(void **state)
{
    (void)state;
    struct wc_tenant_sums sums;
    struct wc_tenant_metrics *t = wc_tenant_metrics_new(PRODUCERS);
    assert_non_null(t);
    assert_false(wc_tenant_metrics_read(t, &sums));
    wc_tenant_metric_add(t, 1, WC_T_SUBSCRIBERS, 1);
    assert_true(wc_tenant_metrics_read(t, &sums));
    assert_int_equal(sums.value[WC_T_SUBSCRIBERS], 1);
    wc_tenant_metrics_free(t);
}

static void errors_count_by_code_and_strangers_as_unknown(void **state)
{
    (void)state;
    struct wc_tenant_sums sums;
    struct wc_tenant_metrics *t = wc_tenant_metrics_new(1);
    assert_non_null(t);
    wc_tenant_metric_error(t, 0, wc_slice_str("Unauthorized: no: really"));
    wc_tenant_metric_error(t, 0, wc_slice_str("ChannelShutdown"));
    wc_tenant_metric_error(t, 0, wc_slice_str("something a client made up: x"));
    wc_tenant_metric_error(t, 0, wc_slice(NULL, 0));
    assert_true(wc_tenant_metrics_read(t, &sums));
    assert_int_equal(sums.value[WC_T_ERROR_Unauthorized], 1);
    assert_int_equal(sums.value[WC_T_ERROR_ChannelShutdown], 1);
    assert_int_equal(sums.value[WC_T_ERROR_UnknownErrorOnChannel], 2);
    wc_tenant_metrics_free(t);
}

static void the_page_leaves_out_what_never_happened(void **state)
{
    (void)state;
    struct wc_buf out;
    struct wc_tenant_row row[2] = {{.label = wc_slice_str("tenant=\"a\"")},
                                   {.label = wc_slice_str("tenant=\"b\"")}};
    row[0].sums.value[WC_T_ERROR_Unauthorized] = 4;
    row[1].sums.value[WC_T_BYTES_OUT] = 5;
    row[1].sums.histogram[WC_TH_REPLAY].count[0] = 1;
    wc_buf_init(&out, 1 << 20);
    wc_tenant_metrics_render(&(struct wc_exposition){.out = &out, .node = wc_slice_str("id=\"1\"")},
                             row, 2);
    wc_buf_byte(&out, '\0');
    assert_int_equal(out.status, WC_OK);
    const char *text = (const char *)out.p;
    assert_non_null(strstr(text,
                           "# TYPE realtime_channel_error counter\n"
                           "realtime_channel_error{tenant=\"a\",code=\"Unauthorized\",id=\"1\"} 4\n"
                           "# HELP "));
    assert_non_null(strstr(text, "realtime_channel_output_bytes{tenant=\"a\",id=\"1\"} 0\n"
                                 "realtime_channel_output_bytes{tenant=\"b\",id=\"1\"} 5\n"));
    assert_non_null(strstr(text, "realtime_tenants_replay_count{tenant=\"b\",id=\"1\"} 1\n"));
    assert_null(strstr(text, "realtime_tenants_replay_count{tenant=\"a\""));
    assert_null(strstr(text, "realtime_tenants_payload_size_count"));
    wc_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(producers_add_up_to_the_tenant_and_the_total),
        cmocka_unit_test(an_idle_tenant_has_nothing_to_read),
        cmocka_unit_test(errors_count_by_code_and_strangers_as_unknown),
        cmocka_unit_test(the_page_leaves_out_what_never_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
