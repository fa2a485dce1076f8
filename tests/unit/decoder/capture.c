#include "tests/unit/decoder/capture.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "decoder/copyboth.h"

enum { LINE_MAX_BYTES = 16384 };

struct wc_slice wc_exact_copy(struct wc_slice s)
{
    uint8_t *copy = malloc(s.len); /* of 0 bytes too: a read of one byte is then an error */
    assert_non_null(copy);
    if (s.len)
        memcpy(copy, s.p, s.len);
    return wc_slice(copy, s.len);
}

void wc_exact_free(struct wc_slice s)
{
    free((void *)(uintptr_t)s.p); /* ours, see wc_exact_copy */
}

static uint8_t nibble(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_true(at && *at);
    return (uint8_t)(at - digits);
}

/* "I 7700…\n" */
static void add_line(struct wc_capture *c, const char *line)
{
    assert_in_range(c->count, 0, WC_CAPTURE_MAX - 1);
    assert_int_equal(line[1], ' ');
    const char *hex = line + 2;
    size_t digits = strcspn(hex, "\n");
    assert_int_equal(digits % 2, 0);
    uint8_t bytes[LINE_MAX_BYTES / 2];
    for (size_t i = 0; i < digits / 2; i++)
        bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    c->letter[c->count] = line[0];
    c->copy[c->count++] = wc_exact_copy(wc_slice(bytes, digits / 2));
}

struct wc_capture *wc_capture_load(const char *name)
{
    char path[512];
    int len = snprintf(path, sizeof path, "%s/%s.hex", WC_TEST_CAPTURES, name);
    assert_in_range(len, 1, sizeof path - 1);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    struct wc_capture *c = calloc(1, sizeof *c);
    assert_non_null(c);
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, file))
        add_line(c, line);
    assert_int_equal(ferror(file), 0);
    assert_int_equal(fclose(file), 0);
    assert_in_range(c->count, 1, WC_CAPTURE_MAX);
    return c;
}

void wc_capture_free(struct wc_capture *c)
{
    for (size_t i = 0; i < c->count; i++)
        wc_exact_free(c->copy[i]);
    free(c);
}

struct wc_slice wc_capture_message(const struct wc_capture *c, size_t i)
{
    struct wc_copy_msg msg;
    assert_int_equal(wc_copyboth_decode(c->copy[i], &msg, NULL), WC_OK);
    assert_int_equal(msg.kind, WC_COPY_XLOG);
    return wc_exact_copy(msg.payload);
}
