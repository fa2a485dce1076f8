/* The settings table of the top README, between its two markers, is what wc_config_readme writes.
 */
#include "bridge/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char begin_mark[] = "<!-- settings:begin -->\n";
static const char end_mark[] = "<!-- settings:end -->";

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
    wc_config_readme(&table);
    assert_int_equal(table.status, WC_OK);
    read_file(WC_README, &readme);
    const char *begin = strstr((const char *)readme.p, begin_mark);
    const char *end = begin ? strstr(begin, end_mark) : NULL;
    if (!end)
        fail_msg("no settings:begin and settings:end markers in %s", WC_README);
    begin += strlen(begin_mark);
    if (!wc_slice_eq(wc_slice(begin, (size_t)(end - begin)), wc_buf_view(&table))) {
        (void)fwrite(table.p, 1, table.len, stdout); /* for people; fail_msg would cut it */
        fail_msg("the settings table of %s is stale: it should be the one above", WC_README);
    }
    wc_buf_release(&table);
    wc_buf_release(&readme);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_in_the_readme_is_up_to_date)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
