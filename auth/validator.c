#include "auth/validator.h"

/* Equal as JSON: members in any order, of repeated ones the last, numbers by value. */
static bool is_equal(const struct wc_json *a, uint32_t x, const struct wc_json *b, uint32_t y,
                     struct wc_arena *arena);

static bool are_elements_equal(const struct wc_json *a, uint32_t x, const struct wc_json *b,
                               uint32_t y, struct wc_arena *arena)
{
    uint32_t n = wc_json_count(a, x);
    if (n != wc_json_count(b, y))
        return false;
    uint32_t i = wc_json_first(a, x), k = wc_json_first(b, y);
    for (; n > 0; n--, i = wc_json_next(a, i), k = wc_json_next(b, k))
        if (!is_equal(a, i, b, k, arena))
            return false;
    return true;
}

/* Every member of one is equal in the other. */
static bool are_members_equal(const struct wc_json *a, uint32_t x, const struct wc_json *b,
                              uint32_t y, struct wc_arena *arena)
{
    uint32_t i = wc_json_first(a, x);
    for (uint32_t n = wc_json_count(a, x); n > 0; n--) {
        struct wc_slice key;
        if (!wc_json_string(a, i, arena, &key))
            return false;
        const char *name = wc_arena_strdup(arena, key);
        if (!name || !is_equal(a, wc_json_get(a, x, name), b, wc_json_get(b, y, name), arena))
            return false;
        i = wc_json_next(a, wc_json_next(a, i));
    }
    return true;
}

/* By value: integers exactly, which doubles are not beyond 2^53; what cannot be told apart there is
 * equal only if it is the same text. */
static bool are_numbers_equal(const struct wc_json *a, uint32_t x, const struct wc_json *b,
                              uint32_t y)
{
    static const double exact = 9007199254740992.0;
    int64_t i, k;
    double d, e;
    if (wc_slice_eq(wc_json_raw(a, x), wc_json_raw(b, y)))
        return true;
    bool is_int = wc_json_int(a, x, &i), is_int_too = wc_json_int(b, y, &k);
    if (is_int || is_int_too)
        return is_int && is_int_too && i == k;
    return wc_json_double(a, x, &d) && wc_json_double(b, y, &e) && !(d < e) && !(d > e) &&
           d < exact && d > -exact;
}

static bool is_equal(const struct wc_json *a, uint32_t x, const struct wc_json *b, uint32_t y,
                     struct wc_arena *arena)
{
    struct wc_slice s, t;
    enum wc_json_type type = wc_json_type(a, x);
    if (type != wc_json_type(b, y))
        return false;
    switch (type) {
    case WC_JSON_NUMBER: return are_numbers_equal(a, x, b, y);
    case WC_JSON_STRING:
        return wc_json_string(a, x, arena, &s) && wc_json_string(b, y, arena, &t) &&
               wc_slice_eq(s, t);
    case WC_JSON_ARRAY: return are_elements_equal(a, x, b, y, arena);
    case WC_JSON_OBJECT:
        return are_members_equal(a, x, b, y, arena) && are_members_equal(b, y, a, x, arena);
    case WC_JSON_NULL:
    case WC_JSON_FALSE:
    case WC_JSON_TRUE:
    case WC_JSON_ABSENT: return true;
    }
    return false;
}

enum wc_jwt_result wc_validators_check(const struct wc_json *validators,
                                       const struct wc_json *payload, struct wc_arena *arena)
{
    if (validators->count == 0)
        return WC_JWT_OK;
    uint32_t key = wc_json_first(validators, 0);
    for (uint32_t n = wc_json_count(validators, 0); n > 0; n--) {
        struct wc_slice name;
        const char *text =
            wc_json_string(validators, key, arena, &name) ? wc_arena_strdup(arena, name) : NULL;
        if (!text)
            return WC_JWT_NO_MEMORY;
        uint32_t claim = wc_json_get(payload, 0, text);
        if (claim != WC_JSON_NONE &&
            !is_equal(validators, wc_json_get(validators, 0, text), payload, claim, arena))
            return WC_JWT_CLAIMS_INVALID;
        key = wc_json_next(validators, wc_json_next(validators, key));
    }
    return WC_JWT_OK;
}
