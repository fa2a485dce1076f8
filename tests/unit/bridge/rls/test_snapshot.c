#include "bridge/rls/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { XIPS = 3 };

static struct wc_snapshot *snapshot(uint64_t xmin, uint64_t xmax, size_t nxip, const uint64_t *xip)
{
    struct wc_snapshot *f = calloc(1, sizeof *f + nxip * sizeof f->xip[0]);
    assert_non_null(f);
    f->refs = 1;
    f->xmin = xmin;
    f->xmax = xmax;
    f->nxip = nxip;
    for (size_t i = 0; i < nxip; i++)
        f->xip[i] = xip[i];
    return f;
}

#define EPOCH (UINT64_C(1) << 32)

static void a_transaction_is_seen_as_the_snapshot_says(void **state)
{
    (void)state;
    static const struct {
        uint64_t xmin, xmax;
        size_t nxip;
        uint64_t xip[XIPS];
        wc_xid xid;
        bool seen;
    } table[] = {
        /* the borders */
        {100, 200, 0, {0}, 99, true},
        {100, 200, 0, {0}, 100, true},
        {100, 200, 0, {0}, 199, true},
        {100, 200, 0, {0}, 200, false},
        {100, 200, 0, {0}, 201, false},
        {100, 100, 0, {0}, 99, true},
        {100, 100, 0, {0}, 100, false},
        /* in progress: first, middle, last */
        {100, 200, 3, {100, 150, 199}, 100, false},
        {100, 200, 3, {100, 150, 199}, 150, false},
        {100, 200, 3, {100, 150, 199}, 199, false},
        {100, 200, 3, {100, 150, 199}, 99, true},
        {100, 200, 3, {100, 150, 199}, 101, true},
        {100, 200, 3, {100, 150, 199}, 198, true},
        {100, 200, 3, {100, 150, 199}, 200, false},
        /* the stream names the low 32 bits; the snapshot has the epoch */
        {EPOCH + 100, EPOCH + 200, 1, {EPOCH + 150}, 99, true},
        {EPOCH + 100, EPOCH + 200, 1, {EPOCH + 150}, 150, false},
        {EPOCH + 100, EPOCH + 200, 1, {EPOCH + 150}, 151, true},
        {EPOCH + 100, EPOCH + 200, 1, {EPOCH + 150}, 200, false},
        /* around a wrap: before it, and after it */
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, UINT32_MAX - 20, true},
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, UINT32_MAX - 4, false},
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, UINT32_MAX, true},
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, 4, true},
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, 5, false},
        {EPOCH - 10, EPOCH + 10, 2, {EPOCH - 5, EPOCH + 5}, 10, false},
        {EPOCH - 10, EPOCH - 1, 0, {0}, UINT32_MAX - 1, true},
        {EPOCH - 10, EPOCH - 1, 0, {0}, UINT32_MAX, false},
        {EPOCH - 10, EPOCH - 1, 0, {0}, 3, false}, /* of the next epoch */
        /* half the circle away in either direction */
        {5 * EPOCH, 5 * EPOCH, 0, {0}, UINT32_C(1) << 31, true},
        {5 * EPOCH, 5 * EPOCH, 0, {0}, (UINT32_C(1) << 31) - 1, false},
        {5 * EPOCH, 5 * EPOCH, 0, {0}, (UINT32_C(1) << 31) + 1, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_snapshot *f = snapshot(table[i].xmin, table[i].xmax, table[i].nxip, table[i].xip);
        if (wc_snapshot_sees(f, table[i].xid) != table[i].seen)
            fail_msg("table[%zu], xid %u", i, table[i].xid);
        free(f);
    }
}

/* Every id near a snapshot against the definition, in 64 bits. */
static void the_low_half_of_an_id_is_enough(void **state)
{
    (void)state;
    static const uint64_t tops[] = {1000, EPOCH - 3, EPOCH, EPOCH + 3, 7 * EPOCH + 500};
    for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++) {
        uint64_t xmax = tops[i], xmin = xmax - 40;
        const uint64_t xip[XIPS] = {xmin, xmin + 7, xmax - 1};
        struct wc_snapshot *f = snapshot(xmin, xmax, XIPS, xip);
        for (uint64_t id = xmax - 100; id < xmax + 100; id++) {
            bool running = id == xip[0] || id == xip[1] || id == xip[2];
            assert_int_equal(wc_snapshot_sees(f, (wc_xid)id), id < xmax && !running);
        }
        free(f);
    }
}

static void the_text_of_a_snapshot_is_read(void **state)
{
    (void)state;
    struct wc_snapshot *s = wc_snapshot_parse("4294967300:4294967310:4294967301,4294967305");
    assert_non_null(s);
    assert_true(s->xmin == EPOCH + 4 && s->xmax == EPOCH + 14 && s->nxip == 2);
    assert_true(s->xip[0] == EPOCH + 5 && s->xip[1] == EPOCH + 9);
    wc_snapshot_unref(s);
    s = wc_snapshot_parse("10:10:");
    assert_non_null(s);
    assert_true(s->xmin == 10 && s->xmax == 10 && s->nxip == 0);
    wc_snapshot_unref(s);
    static const char *const unreadable[] = {"",       "10",          "10:",  "10:20",
                                             "20:10:", "10:20:11;12", "a:b:c"};
    for (size_t i = 0; i < sizeof unreadable / sizeof unreadable[0]; i++)
        assert_null(wc_snapshot_parse(unreadable[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_seen_as_the_snapshot_says),
        cmocka_unit_test(the_text_of_a_snapshot_is_read),
        cmocka_unit_test(the_low_half_of_an_id_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
