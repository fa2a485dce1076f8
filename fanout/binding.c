#include "fanout/binding.h"

/* FNV-1a (Fowler, Noll, Vo), 64 bits: not keyed, so that all nodes agree. Who constructs collisions
 * only moves the ids of his own channel. */
static const uint64_t fnv_basis = UINT64_C(14695981039346656037);
static const uint64_t fnv_prime = UINT64_C(1099511628211);

static uint64_t mix_bytes(uint64_t h, struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.p[i]) * fnv_prime;
    return h;
}

static uint64_t mix_number(uint64_t h, uint64_t n)
{
    uint8_t bytes[8];
    memcpy(bytes, &n, sizeof bytes);
    return mix_bytes(h, wc_slice(bytes, sizeof bytes));
}

static bool hash_value(const struct wc_json *, uint32_t node, struct wc_arena *, uint64_t *out);

/* Members are added up, which makes their order indifferent. */
static bool hash_object(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                        uint64_t *out)
{
    uint64_t sum = 0;
    for (uint32_t key = wc_json_first(doc, node); key != WC_JSON_NONE;) {
        uint32_t value = wc_json_next(doc, key);
        uint64_t hashes[2];
        if (!hash_value(doc, key, arena, &hashes[0]) || !hash_value(doc, value, arena, &hashes[1]))
            return false;
        sum += mix_number(mix_number(fnv_basis, hashes[0]), hashes[1]);
        key = wc_json_next(doc, value);
    }
    *out = mix_number(fnv_basis, sum);
    return true;
}

static bool hash_array(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                       uint64_t *out)
{
    uint64_t h = fnv_basis;
    for (uint32_t i = wc_json_first(doc, node); i != WC_JSON_NONE; i = wc_json_next(doc, i)) {
        uint64_t element;
        if (!hash_value(doc, i, arena, &element))
            return false;
        h = mix_number(h, element);
    }
    *out = h;
    return true;
}

static bool hash_value(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                       uint64_t *out)
{
    enum wc_json_type type = wc_json_type(doc, node);
    struct wc_slice bytes = wc_json_raw(doc, node);
    uint64_t inner;
    if (type == WC_JSON_OBJECT || type == WC_JSON_ARRAY) {
        if (!(type == WC_JSON_OBJECT ? hash_object : hash_array)(doc, node, arena, &inner))
            return false;
        bytes = wc_slice(&inner, sizeof inner);
    } else if (type == WC_JSON_STRING && !wc_json_string(doc, node, arena, &bytes)) {
        return false;
    }
    *out = mix_bytes(mix_number(fnv_basis, type), bytes); /* 1 and "1" differ */
    return true;
}

bool wc_binding_hash(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                     uint32_t *out)
{
    uint64_t h;
    if (!hash_value(doc, node, arena, &h))
        return false;
    h ^= h >> 32; /* FNV's upper bits are its better ones */
    *out = WC_BINDING_ID_MIN + (uint32_t)(h % (WC_BINDING_ID_MAX + 1 - WC_BINDING_ID_MIN));
    return true;
}

static bool is_taken(uint32_t id, const uint32_t *taken, size_t ntaken)
{
    for (size_t i = 0; i < ntaken; i++)
        if (taken[i] == id)
            return true;
    return false;
}

uint32_t wc_binding_unique(uint32_t wanted, const uint32_t *taken, size_t ntaken)
{
    while (is_taken(wanted, taken, ntaken))
        wanted = wanted == WC_BINDING_ID_MAX ? WC_BINDING_ID_MIN : wanted + 1;
    return wanted;
}
