/*
 * A policy: its text, a byte 1, the tree the catalog keeps. Whatever they are, they are compiled or
 * refused with a reason; what is compiled takes any values for its slots.
 */
#include "base/assert.h"
#include "bridge/policy/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_CAP = 16 << 20, BUILTIN = 16384, CLAIMS = 16390 };

static enum wc_policy_function function(void *arg, wc_oid oid)
{
    (void)arg;
    return oid < BUILTIN  ? WC_FUNCTION_IMMUTABLE
           : oid < CLAIMS ? WC_FUNCTION_OF_CLAIMS
                          : WC_FUNCTION_UNPROVEN;
}

static void collation(void *arg, wc_oid oid, bool *is_deterministic, bool *is_c)
{
    (void)arg;
    *is_deterministic = oid % 2 == 0;
    *is_c = oid == 950;
}

static void apply(const struct wc_policy *policy, struct wc_arena *arena)
{
    static const char *const values[] = {"t", "1", "{1,NULL,\"a\"}", "{", ""};
    struct wc_slice value[WC_POLICY_SLOTS_MAX];
    for (size_t v = 0; v <= sizeof values / sizeof values[0]; v++) {
        for (uint32_t i = 0; i < policy->nslots; i++)
            value[i] = v ? wc_slice_str(values[v - 1]) : wc_slice(NULL, 0);
        enum wc_policy_outcome outcome;
        const struct wc_predicate *where = NULL;
        enum wc_status st = wc_policy_apply(policy, value, arena, &outcome, &where);
        WC_ASSERT(st == WC_OK || st == WC_INVALID || st == WC_NOMEM);
        WC_ASSERT(st != WC_OK || (where != NULL) == (outcome == WC_POLICY_SOME));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wc_policy_column columns[] = {
        {{(const uint8_t *)"id", 2}, 23, false},   {{(const uint8_t *)"user_id", 7}, 2950, false},
        {{(const uint8_t *)"org", 3}, 25, false},  {{(const uint8_t *)"level", 5}, 23, false},
        {{(const uint8_t *)"b", 1}, 16, false},    {{(const uint8_t *)"vc", 2}, 1043, false},
        {{(const uint8_t *)"n", 1}, 1700, false},  {{(const uint8_t *)"m", 1}, 16400, true},
        {{(const uint8_t *)"team", 4}, 20, false}, {{NULL, 0}, 0, false},
        {{(const uint8_t *)"d", 1}, 1082, false},
    };
    const uint8_t *end = size ? memchr(data, 1, size) : NULL;
    if (!end)
        return 0;
    struct wc_arena arena;
    wc_arena_init(&arena, ARENA_CAP);
    char *text = wc_slice_dup(wc_slice(data, (size_t)(end - data)));
    const struct wc_policy_text policy = {.text = text,
                                          .tree =
                                              wc_slice(end + 1, size - 1 - (size_t)(end - data)),
                                          .is_permissive = true};
    const struct wc_policy_facts facts = {.column = columns,
                                          .ncolumns = sizeof columns / sizeof columns[0],
                                          .function = function,
                                          .collation = collation};
    struct wc_policy *compiled = NULL;
    struct wc_err err = {0};
    enum wc_status st =
        text ? wc_policy_compile(&policy, 1, &facts, &arena, &compiled, &err) : WC_NOMEM;
    WC_ASSERT(st == WC_OK || st == WC_INVALID || st == WC_NOMEM);
    WC_ASSERT(st != WC_INVALID || err.text[0]);
    if (st == WC_OK)
        apply(compiled, &arena);
    st = text ? wc_policy_prove_body(text, NULL, NULL, &arena, &err) : WC_NOMEM;
    WC_ASSERT(st == WC_OK || st == WC_INVALID || st == WC_NOMEM);
    free(text);
    wc_arena_release(&arena);
    return 0;
}
