/* A page of a thousand tenants has some 100,000 samples, so numbers are formatted by hand: printf
 * takes as long for one as this for ten. */
#include "base/exposition.h"

enum { NUMBER_MAX = 48, LABEL_MAX = 64 };

void wc_exposition_label(struct wc_buf *labels, const char *name, struct wc_slice value)
{
    if (labels->len)
        wc_buf_byte(labels, ',');
    wc_buf_str(labels, name);
    wc_buf_str(labels, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = (char)value.p[i];
        if (c == '\\' || c == '"' || c == '\n')
            wc_buf_byte(labels, '\\');
        wc_buf_byte(labels, c == '\n' ? 'n' : c);
    }
    wc_buf_byte(labels, '"');
}

void wc_exposition_family(const struct wc_exposition *x, const char *name, const char *kind,
                          const char *help)
{
    wc_buf_printf(x->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* Returns where the text begins in the array; it goes to its end. */
static char *put_digits(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

/* The decimals of rest / scale without the zeros at their end. */
static char *put_decimals(char *end, uint64_t rest, uint64_t scale)
{
    while (rest % 10 == 0) {
        rest /= 10;
        scale /= 10;
    }
    for (; scale > 1; scale /= 10, rest /= 10)
        *--end = (char)('0' + rest % 10);
    *--end = '.';
    return end;
}

static struct wc_slice number(char text[NUMBER_MAX], int64_t value, uint64_t scale)
{
    char *end = text + NUMBER_MAX, *at = end;
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (size % scale)
        at = put_decimals(at, size % scale, scale);
    at = put_digits(at, size / scale);
    if (value < 0)
        *--at = '-';
    return wc_slice(at, (size_t)(end - at));
}

static uint8_t *put(uint8_t *at, struct wc_slice s)
{
    if (s.len)
        memcpy(at, s.p, s.len);
    return at + s.len;
}

/* name + suffix {tenant, labels, more, node} value */
static void line(const struct wc_exposition *x, const char *name, const char *suffix,
                 struct wc_slice labels, struct wc_slice more, struct wc_slice value)
{
    struct wc_slice parts[] = {x->tenant, labels, more, x->node};
    size_t name_len = strlen(name), suffix_len = strlen(suffix);
    size_t len = name_len + suffix_len + value.len + 7;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        len += parts[i].len;
    uint8_t *start = wc_buf_reserve(x->out, len), *at = start;
    if (!at)
        return;
    at = put(at, wc_slice(name, name_len));
    at = put(at, wc_slice(suffix, suffix_len));
    char before = '{';
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i].len)
            continue;
        *at++ = (uint8_t)before;
        at = put(at, parts[i]);
        before = ',';
    }
    if (before == ',')
        *at++ = '}';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\n';
    wc_buf_commit(x->out, (size_t)(at - start));
}

void wc_exposition_fraction(const struct wc_exposition *x, const char *name, struct wc_slice labels,
                            int64_t value, uint64_t scale)
{
    char text[NUMBER_MAX];
    line(x, name, "", labels, wc_slice(NULL, 0), number(text, value, scale));
}

void wc_exposition_sample(const struct wc_exposition *x, const char *name, struct wc_slice labels,
                          int64_t value)
{
    wc_exposition_fraction(x, name, labels, value, 1);
}

static struct wc_slice bound_label(char text[LABEL_MAX], uint64_t bound, uint64_t scale)
{
    char digits[NUMBER_MAX];
    struct wc_slice shown = number(digits, (int64_t)bound, scale);
    memcpy(text, "le=\"", 4);
    memcpy(text + 4, shown.p, shown.len);
    text[4 + shown.len] = '"';
    return wc_slice(text, 5 + shown.len);
}

void wc_exposition_histogram(const struct wc_exposition *x, const char *name,
                             struct wc_slice labels, enum wc_buckets k,
                             const struct wc_histogram_sum *h)
{
    const uint64_t *bound;
    size_t n = wc_buckets_bounds(k, &bound);
    uint64_t scale = wc_buckets_scale(k), so_far = 0;
    char le[LABEL_MAX], value[NUMBER_MAX];
    for (size_t i = 0; i < n; i++) {
        so_far += h->count[i];
        line(x, name, "_bucket", labels, bound_label(le, bound[i], scale),
             number(value, (int64_t)so_far, 1));
    }
    struct wc_slice all = number(value, (int64_t)wc_histogram_count(h), 1);
    line(x, name, "_bucket", labels, wc_slice_str("le=\"+Inf\""), all);
    line(x, name, "_count", labels, wc_slice(NULL, 0), all);
    line(x, name, "_sum", labels, wc_slice(NULL, 0), number(value, (int64_t)h->sum, scale));
}
