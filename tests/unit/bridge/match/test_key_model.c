/*
 * Keys against a model of each type: random values are printed as Postgres prints them, and two
 * keys must compare as the values do that the texts were printed from.
 */
#include "bridge/match/key.h"

#include "tests/unit/bridge/match/draw.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PAIRS = 20000, TEXT = 160, TOP_POWER = 60, BUF_CAP = 4096 };

struct value {
    char text[TEXT];
    /* one of these, by the type */
    int64_t number[8]; /* compared from the first on; those not in use are 0 */
    double real;
    struct {
        int sign;                  /* -2: -Infinity, 2: Infinity, 3: NaN */
        char digit[2 * TOP_POWER]; /* digit[TOP_POWER + p] counts 10 to the power -p */
    } decimal;
};

#define PRINT(v, ...) assert_in_range(snprintf((v)->text, TEXT, __VA_ARGS__), 0, TEXT - 1)

/* ---- integers ---- */

/* Of all sizes, and now and then beside a power of two, where carries and signs change. */
static uint64_t draw_bits(struct wc_draw *d)
{
    uint64_t bits = (uint64_t)wc_draw(d, UINT32_MAX) << 32 | wc_draw(d, UINT32_MAX);
    if (wc_draw_one_in(d, 2))
        return bits >> wc_draw(d, 64);
    return ((uint64_t)1 << wc_draw(d, 64)) + wc_draw(d, 3) - 1;
}

static void draw_int(struct wc_draw *d, struct value *v)
{
    uint64_t bits = draw_bits(d);
    memcpy(&v->number[0], &bits, sizeof bits);
    if (wc_draw_one_in(d, 3))
        v->number[0] = (int64_t)wc_draw(d, 5) - 2;
    PRINT(v, "%" PRId64, v->number[0]);
}

static void draw_oid(struct wc_draw *d, struct value *v)
{
    v->number[0] = (int64_t)(draw_bits(d) & UINT32_MAX);
    PRINT(v, "%" PRId64, v->number[0]);
}

static int compare_numbers(const struct value *a, const struct value *b)
{
    for (size_t i = 0; i < 8; i++)
        if (a->number[i] != b->number[i])
            return a->number[i] < b->number[i] ? -1 : 1;
    return 0;
}

/* ---- numeric ---- */

static void read_decimal(struct value *v)
{
    const char *p = v->text + (v->text[0] == '-');
    size_t power = TOP_POWER - strcspn(p, ".");
    bool is_zero = true;
    memset(v->decimal.digit, '0', sizeof v->decimal.digit);
    for (; *p; p++) {
        if (*p == '.')
            continue;
        assert_in_range(power, 0, sizeof v->decimal.digit - 1);
        v->decimal.digit[power++] = *p;
        is_zero = is_zero && *p == '0';
    }
    v->decimal.sign = is_zero ? 0 : v->text[0] == '-' ? -1 : 1;
}

/* Few digits, so that equal and neighbouring values are drawn; sometimes many. */
static void draw_numeric(struct wc_draw *d, struct value *v)
{
    static const char *const special[] = {[0] = "-Infinity", [4] = "Infinity", [5] = "NaN"};
    uint32_t kind = wc_draw(d, 100);
    if (kind < 6 && special[kind]) {
        PRINT(v, "%s", special[kind]);
        v->decimal.sign = (int)kind - 2;
        return;
    }
    char *p = v->text;
    uint32_t most = wc_draw_one_in(d, 4) ? 45 : 4, base = wc_draw_one_in(d, 3) ? 10 : 2;
    if (wc_draw_one_in(d, 2))
        *p++ = '-';
    uint32_t whole = wc_draw(d, most), scale = wc_draw(d, most);
    *p++ = (char)('0' + (whole ? 1 + wc_draw(d, base - 1) : wc_draw(d, base)));
    for (; whole > 0; whole--)
        *p++ = (char)('0' + wc_draw(d, base));
    if (scale)
        *p++ = '.';
    for (; scale > 0; scale--)
        *p++ = (char)('0' + wc_draw(d, base));
    *p = '\0';
    read_decimal(v);
}

static int compare_numerics(const struct value *a, const struct value *b)
{
    if (a->decimal.sign != b->decimal.sign)
        return a->decimal.sign - b->decimal.sign;
    if (a->decimal.sign != 1 && a->decimal.sign != -1)
        return 0;
    return a->decimal.sign * memcmp(a->decimal.digit, b->decimal.digit, sizeof a->decimal.digit);
}

/* ---- floats ---- */

static double draw_real(struct wc_draw *d, uint64_t infinity)
{
    static const double few[] = {0.0,  -0.0, 1,        -1,        1.5,   0.1,
                                 1e20, 1e-7, HUGE_VAL, -HUGE_VAL, 5e-324};
    double real;
    uint64_t bits = draw_bits(d);
    if (wc_draw_one_in(d, 3))
        return few[wc_draw(d, sizeof few / sizeof few[0])];
    if (wc_draw_one_in(d, 20))
        return NAN;
    if (wc_draw_one_in(d, 4)) /* beside the largest, the smallest normal and the denormal ones */
        bits = infinity - wc_draw(d, 3);
    memcpy(&real, &bits, sizeof real);
    return real;
}

static void print_real(struct value *v, int digits)
{
    if (isnan(v->real))
        PRINT(v, "NaN");
    else if (isinf(v->real))
        PRINT(v, v->real < 0 ? "-Infinity" : "Infinity");
    else
        PRINT(v, "%.*g", digits, v->real);
}

static void draw_float8(struct wc_draw *d, struct value *v)
{
    v->real = draw_real(d, 0x7ff0000000000000u);
    print_real(v, 17);
}

static void draw_float4(struct wc_draw *d, struct value *v)
{
    uint32_t bits = (uint32_t)draw_bits(d);
    float f;
    memcpy(&f, &bits, sizeof f);
    v->real = wc_draw_one_in(d, 3) ? (double)(float)draw_real(d, 0x47efffffe0000000u) : (double)f;
    print_real(v, 9);
}

static int compare_reals(const struct value *a, const struct value *b)
{
    if (isnan(a->real) || isnan(b->real))
        return (isnan(a->real) ? 1 : 0) - (isnan(b->real) ? 1 : 0);
    return (a->real > b->real) - (a->real < b->real);
}

/* ---- days and times: number is era, year, month, day, microsecond ---- */

static void draw_day(struct wc_draw *d, struct value *v, uint32_t years)
{
    bool is_bc = wc_draw_one_in(d, 4);
    uint32_t year = 1 + (wc_draw_one_in(d, 2) ? wc_draw(d, 3) : wc_draw(d, is_bc ? 4713 : years));
    v->number[0] = is_bc ? -(int64_t)year : (int64_t)year;
    v->number[1] = 1 + wc_draw(d, 12);
    v->number[2] = 1 + wc_draw(d, 28);
}

static void draw_time_of_day(struct wc_draw *d, int64_t *us)
{
    *us = wc_draw_one_in(d, 3) ? (int64_t)wc_draw(d, 3) : (int64_t)wc_draw(d, 86400) * 1000000;
    if (wc_draw_one_in(d, 2))
        *us += (int64_t)wc_draw(d, 1000) * (wc_draw_one_in(d, 2) ? 1000 : 1);
}

/* With as many digits of a fraction as it needs. */
static void print_time(int64_t us, char out[32])
{
    int64_t s = us / 1000000;
    int len = snprintf(out, 32, "%02d:%02d:%02d.%06d", (int)(s / 3600), (int)(s / 60 % 60),
                       (int)(s % 60), (int)(us % 1000000));
    while (out[len - 1] == '0')
        out[--len] = '\0';
    if (out[len - 1] == '.')
        out[len - 1] = '\0';
    else if (us % 1000000 == 0)
        (void)snprintf(out, 32, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60),
                       (int)(s % 60));
}

static bool draw_infinity(struct wc_draw *d, struct value *v)
{
    if (!wc_draw_one_in(d, 50))
        return false;
    v->number[0] = wc_draw_one_in(d, 2) ? INT64_MAX : INT64_MIN;
    PRINT(v, v->number[0] < 0 ? "-infinity" : "infinity");
    return true;
}

static const char *era(const struct value *v)
{
    return v->number[0] < 0 ? " BC" : "";
}

static void draw_date(struct wc_draw *d, struct value *v)
{
    if (draw_infinity(d, v))
        return;
    draw_day(d, v, 5874897);
    PRINT(v, "%04" PRId64 "-%02d-%02d%s", v->number[0] < 0 ? -v->number[0] : v->number[0],
          (int)v->number[1], (int)v->number[2], era(v));
}

static void draw_moment(struct wc_draw *d, struct value *v, const char *zone)
{
    char time[32];
    if (draw_infinity(d, v))
        return;
    draw_day(d, v, 294276);
    draw_time_of_day(d, &v->number[3]);
    print_time(v->number[3], time);
    PRINT(v, "%04" PRId64 "-%02d-%02d %s%s%s", v->number[0] < 0 ? -v->number[0] : v->number[0],
          (int)v->number[1], (int)v->number[2], time, zone, era(v));
}

static void draw_timestamp(struct wc_draw *d, struct value *v)
{
    draw_moment(d, v, "");
}

static void draw_timestamptz(struct wc_draw *d, struct value *v)
{
    draw_moment(d, v, "+00");
}

static void draw_time(struct wc_draw *d, struct value *v)
{
    char time[32];
    if (wc_draw_one_in(d, 20))
        v->number[0] = 86400000000;
    else
        draw_time_of_day(d, &v->number[0]);
    print_time(v->number[0], time);
    PRINT(v, "%s", time);
}

/* ---- bytes: number holds each of them plus 1 ---- */

static void draw_bytes(struct wc_draw *d, struct value *v)
{
    uint32_t len = wc_draw(d, 5);
    PRINT(v, "\\x");
    for (uint32_t i = 0; i < len; i++) {
        uint32_t byte = wc_draw_one_in(d, 2) ? wc_draw(d, 2) : wc_draw(d, 256);
        v->number[i] = (int64_t)byte + 1;
        assert_int_equal(snprintf(v->text + 2 + (size_t)2 * i, 3, "%02x", byte), 2);
    }
}

static void draw_uuid(struct wc_draw *d, struct value *v)
{
    uint32_t part[5];
    for (size_t i = 0; i < 5; i++) {
        part[i] = wc_draw_one_in(d, 2) ? wc_draw(d, 2) : wc_draw(d, i == 0 ? UINT32_MAX : 65536);
        v->number[i] = part[i];
    }
    PRINT(v, "%08x-%04x-%04x-%04x-00000000%04x", part[0], part[1], part[2], part[3], part[4]);
}

static void draw_text(struct wc_draw *d, struct value *v)
{
    static const uint8_t few[] = {1, ' ', 'a', 'b', 0xc3, 0xff};
    uint32_t len = wc_draw(d, 5);
    for (uint32_t i = 0; i < len; i++) {
        uint8_t byte = few[wc_draw(d, sizeof few)];
        v->text[i] = (char)byte;
        v->number[i] = byte + 1;
    }
    v->text[len] = '\0';
}

static void draw_blanks(struct wc_draw *d, struct value *v)
{
    draw_text(d, v);
    for (size_t i = strlen(v->text); i > 0 && v->text[i - 1] == ' '; i--)
        v->number[i - 1] = 0;
}

static void draw_bool(struct wc_draw *d, struct value *v)
{
    v->number[0] = wc_draw(d, 2);
    PRINT(v, v->number[0] ? "t" : "f");
}

static void draw_char(struct wc_draw *d, struct value *v)
{
    uint32_t byte = wc_draw(d, 256);
    v->number[0] = byte;
    if (byte >= 128 && wc_draw_one_in(d, 2))
        PRINT(v, "\\%03o", byte);
    else
        PRINT(v, "%c", (int)byte);
}

/* ---- the property ---- */

static const struct {
    enum wc_key_kind kind;
    void (*draw)(struct wc_draw *, struct value *);
    int (*compare)(const struct value *, const struct value *);
} models[] = {
    {WC_KEY_TEXT, draw_text, compare_numbers},
    {WC_KEY_BLANKS, draw_blanks, compare_numbers},
    {WC_KEY_BOOL, draw_bool, compare_numbers},
    {WC_KEY_CHAR, draw_char, compare_numbers},
    {WC_KEY_INT, draw_int, compare_numbers},
    {WC_KEY_UINT, draw_oid, compare_numbers},
    {WC_KEY_NUMERIC, draw_numeric, compare_numerics},
    {WC_KEY_FLOAT4, draw_float4, compare_reals},
    {WC_KEY_FLOAT8, draw_float8, compare_reals},
    {WC_KEY_UUID, draw_uuid, compare_numbers},
    {WC_KEY_BYTES, draw_bytes, compare_numbers},
    {WC_KEY_DATE, draw_date, compare_numbers},
    {WC_KEY_TIMESTAMP, draw_timestamp, compare_numbers},
    {WC_KEY_TIMESTAMPTZ, draw_timestamptz, compare_numbers},
    {WC_KEY_TIME, draw_time, compare_numbers},
};

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void make_key(enum wc_key_kind kind, const struct value *v, struct wc_buf *out)
{
    wc_buf_reset(out);
    if (wc_key_append(kind, wc_slice_str(v->text), out) != WC_OK)
        fail_msg("kind %d: \"%s\" has no key", (int)kind, v->text);
}

static void keys_compare_as_the_values_do(void **state)
{
    (void)state;
    struct wc_draw d = wc_draw_seeded("keys");
    struct wc_buf x, y;
    wc_buf_init(&x, BUF_CAP);
    wc_buf_init(&y, BUF_CAP);
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        size_t seen[3] = {0}; /* less, equal, greater */
        for (int i = 0; i < PAIRS; i++) {
            struct value a = {.text = ""}, b = {.text = ""};
            struct wc_draw same = d;
            models[m].draw(&d, &a);
            models[m].draw(wc_draw_one_in(&d, 8) ? &same : &d, &b);
            make_key(models[m].kind, &a, &x);
            make_key(models[m].kind, &b, &y);
            int want = sign(models[m].compare(&a, &b));
            int have = sign(wc_key_compare(wc_buf_view(&x), wc_buf_view(&y)));
            if (want != have)
                fail_msg("kind %d: \"%s\" and \"%s\"", (int)models[m].kind, a.text, b.text);
            seen[want + 1]++;
        }
        for (size_t i = 0; i < 3; i++)
            assert_in_range(seen[i], PAIRS / 2000, PAIRS);
    }
    wc_buf_release(&x);
    wc_buf_release(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_compare_as_the_values_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
