/* The table of metrics in the README of bridge/ops, between its two markers, names every metric of
 * the tables it is made from, in their order, with its labels. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char begin_mark[] = "<!-- metrics:begin -->\n";
static const char end_mark[] = "<!-- metrics:end -->";

/* labels: ready text, or names of labels alone. */
struct row {
    const char *name, *labels, *kind, *help;
    bool is_tenants;
};

#define COUNTER "counter"
#define GAUGE   "gauge"

static const struct row rows[] = {
#define WC_METRIC(symbol, name, labels, kind, help)               {name, labels, kind, help, false},
#define WC_ALIAS                                                  WC_METRIC
#define WC_HISTOGRAM(symbol, name, labels, buckets, help)         {name, labels, "histogram", help, false},
#define WC_PAGE(symbol, name, label, kind, help)                  {name, label, kind, help, false},
#define WC_TENANT_METRIC(symbol, name, labels, kind, total, help) {name, labels, kind, help, true},
#define WC_TENANT_HISTOGRAM(symbol, name, labels, buckets, total, help)                            \
    {name, labels, "histogram", help, true},
#include "base/metrics.def"
#include "base/histograms.def"
#include "base/tenant_metrics.def"
#include "bridge/ops/page.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

/* `a="x",b="y"` to a, b. */
static void put_label_names(struct wc_buf *out, const struct row *r)
{
    bool in_value = false, is_first = !r->is_tenants;
    if (r->is_tenants)
        wc_buf_str(out, "tenant");
    for (const char *at = r->labels; *at; at++) {
        bool begins = !in_value && (at == r->labels || at[-1] == ',');
        if (begins && !is_first)
            wc_buf_str(out, ", ");
        is_first = false;
        if (*at == '"')
            in_value = !in_value;
        else if (!in_value && *at != '=' && *at != ',')
            wc_buf_byte(out, *at);
    }
}

static void put_table(struct wc_buf *out)
{
    wc_buf_str(out, "| metric | kind | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ROWS; i++) {
        if (i && strcmp(rows[i].name, rows[i - 1].name) == 0)
            continue;
        wc_buf_printf(out, "| `%s` | %s | ", rows[i].name, rows[i].kind);
        put_label_names(out, &rows[i]);
        wc_buf_printf(out, " | %s |\n", rows[i].help);
    }
}

static void read_file(const char *path, struct wc_buf *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        wc_buf_append(out, block, n);
    assert_int_equal(ferror(f), 0);
    assert_int_equal(fclose(f), 0);
    wc_buf_byte(out, '\0');
    assert_int_equal(out->status, WC_OK);
}

static void table_in_the_readme_is_up_to_date(void **state)
{
    (void)state;
    struct wc_buf readme, table;
    wc_buf_init(&readme, 1 << 20);
    wc_buf_init(&table, 1 << 20);
    put_table(&table);
    read_file(WC_README, &readme);
    const char *begin = strstr((const char *)readme.p, begin_mark);
    const char *end = begin ? strstr(begin, end_mark) : NULL;
    if (!end)
        fail_msg("no metrics:begin and metrics:end markers in %s", WC_README);
    begin += strlen(begin_mark);
    if (!wc_slice_eq(wc_slice(begin, (size_t)(end - begin)), wc_buf_view(&table))) {
        (void)fwrite(table.p, 1, table.len, stdout); /* for people; fail_msg would cut it */
        fail_msg("the table of %s is stale: it should be the one above", WC_README);
    }
    wc_buf_release(&table);
    wc_buf_release(&readme);
}

/* Or samples of one name would stand apart, which Prometheus does not take. */
static void rows_of_one_name_stand_together_and_say_the_same(void **state)
{
    (void)state;
    for (size_t i = 1; i < ROWS; i++) {
        const struct row *before = &rows[i - 1];
        if (strcmp(rows[i].name, before->name) == 0) {
            assert_string_equal(rows[i].kind, before->kind);
            assert_string_equal(rows[i].help, before->help);
            continue;
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(rows[i].name, rows[j].name) == 0)
                fail_msg("%s stands in two places", rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_in_the_readme_is_up_to_date),
        cmocka_unit_test(rows_of_one_name_stand_together_and_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
