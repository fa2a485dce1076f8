/* The tables of settings in the top README, between their markers, are what the module writes. */
#include "bridge/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

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

/* `name` of the markers. */
static void check_table(const char *name, void (*write)(struct wc_buf *))
{
    char begin_mark[64], end_mark[64];
    struct wc_buf readme, table;
    (void)snprintf(begin_mark, sizeof begin_mark, "<!-- %s:begin -->\n", name);
    (void)snprintf(end_mark, sizeof end_mark, "<!-- %s:end -->", name);
    wc_buf_init(&readme, 1 << 20);
    wc_buf_init(&table, 1 << 20);
    write(&table);
    assert_int_equal(table.status, WC_OK);
    read_file(WC_README, &readme);
    const char *begin = strstr((const char *)readme.p, begin_mark);
    const char *end = begin ? strstr(begin, end_mark) : NULL;
    if (!end)
        fail_msg("no %s:begin and %s:end markers in %s", name, name, WC_README);
    begin += strlen(begin_mark);
    if (!wc_slice_eq(wc_slice(begin, (size_t)(end - begin)), wc_buf_view(&table))) {
        (void)fwrite(table.p, 1, table.len, stdout); /* for people; fail_msg would cut it */
        fail_msg("the table %s of %s is stale: it should be the one above", name, WC_README);
    }
    wc_buf_release(&table);
    wc_buf_release(&readme);
}

static void settings_in_the_readme_are_up_to_date(void **state)
{
    (void)state;
    check_table("settings", wc_config_readme);
}

static void settings_without_effect_in_the_readme_are_up_to_date(void **state)
{
    (void)state;
    check_table("accepted", wc_config_readme_accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_in_the_readme_are_up_to_date),
        cmocka_unit_test(settings_without_effect_in_the_readme_are_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
