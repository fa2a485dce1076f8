/*
 * Keys. The first byte says of which kind, a line break parts two texts. What has a key has the
 * same one each time, seen or appended, and behind what stands there; what has none leaves nothing.
 * Of two texts of a kind the keys compare alike both ways, and alike texts have alike keys. A whole
 * number compares alike as oid, integer and numeric, and a float as a numeric where it differs.
 */
#include "base/assert.h"
#include "bridge/match/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KINDS = WC_KEY_TIME + 1, KEY_CAP = 1 << 20 };

static bool has_key(enum wc_key_kind kind, struct wc_slice text, struct wc_buf *out)
{
    struct wc_buf scratch;
    struct wc_slice view;
    wc_buf_reset(out);
    wc_buf_str(out, "before");
    enum wc_status st = wc_key_append(kind, text, out);
    WC_ASSERT(st == WC_OK || st == WC_INVALID);
    WC_ASSERT(out->len >= 6 && memcmp(out->p, "before", 6) == 0);
    WC_ASSERT(st == WC_OK || out->len == 6);
    wc_buf_init(&scratch, WC_KEY_MAX);
    WC_ASSERT(wc_key_view(kind, text, &scratch, &view) == st);
    WC_ASSERT(st != WC_OK || wc_slice_eq(view, wc_slice(out->p + 6, out->len - 6)));
    wc_buf_release(&scratch);
    return st == WC_OK;
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

/* False: one of them has no key. */
static bool compare(enum wc_key_kind kind, struct wc_slice a, struct wc_slice b, int *order)
{
    struct wc_buf x, y;
    wc_buf_init(&x, KEY_CAP);
    wc_buf_init(&y, KEY_CAP);
    bool has_a = has_key(kind, a, &x), has_b = has_key(kind, b, &y);
    *order = sign(wc_key_compare(wc_buf_view(&x), wc_buf_view(&y)));
    WC_ASSERT(*order == -sign(wc_key_compare(wc_buf_view(&y), wc_buf_view(&x))));
    WC_ASSERT(!wc_slice_eq(a, b) || (has_a == has_b && *order == 0));
    wc_buf_release(&x);
    wc_buf_release(&y);
    return has_a && has_b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > KEY_CAP / 4)
        return 0;
    enum wc_key_kind kind = (enum wc_key_kind)(data[0] % KINDS);
    struct wc_slice a = wc_slice(data + 1, size - 1), b = a;
    const uint8_t *end = a.len ? memchr(a.p, '\n', a.len) : NULL;
    if (end) {
        a.len = (size_t)(end - a.p);
        b = wc_slice(end + 1, size - 2 - a.len);
    }
    int order, other;
    bool ok = compare(kind, a, b, &order);
    if (kind == WC_KEY_INT && ok)
        WC_ASSERT(compare(WC_KEY_NUMERIC, a, b, &other) && order == other);
    if (kind == WC_KEY_UINT && ok)
        WC_ASSERT(compare(WC_KEY_INT, a, b, &other) && order == other);
    if (kind == WC_KEY_FLOAT8 && ok && compare(WC_KEY_NUMERIC, a, b, &other))
        WC_ASSERT(order == 0 || order == other); /* a float has no more than its digits */
    return 0;
}
