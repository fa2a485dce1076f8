/* openapi.json describes every route there is, and none that is not. */
#include "bridge/ops/health.h"
#include "bridge/ops/openapi.h"
#include "bridge/ops/probe.h"
#include "bridge/ops/tenants.h"
#include "fanout/api.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROUTES = WC_OPS_ROUTES + WC_PROBE_ROUTES + WC_ADMIN_ROUTES + WC_API_ROUTES };

static struct wc_arena arena;
static struct wc_json doc;

static int open_document(void **state)
{
    (void)state;
    const struct wc_json_limits limits = {.depth = 64, .nodes = 10000};
    wc_arena_init(&arena, 4 << 20);
    return wc_json_parse(&doc, wc_openapi(), &arena, limits, NULL) == WC_OK ? 0 : -1;
}

static int close_document(void **state)
{
    (void)state;
    wc_arena_release(&arena);
    return 0;
}

static void collect(struct wc_http_route out[ROUTES])
{
    struct wc_http_route *at = out;
    wc_ops_routes(NULL, at);
    wc_probe_routes(NULL, at += WC_OPS_ROUTES);
    wc_admin_routes(NULL, at += WC_PROBE_ROUTES);
    wc_api_routes(NULL, at + WC_ADMIN_ROUTES);
}

/* "/a/:b/c" as "/a/{b}/c". */
static void template_of(const char *path, char *out)
{
    for (; *path; path++) {
        if (*path != ':') {
            *out++ = *path;
            continue;
        }
        *out++ = '{';
        size_t len = strcspn(path + 1, "/");
        memcpy(out, path + 1, len);
        out += len;
        *out++ = '}';
        path += len;
    }
    *out = '\0';
}

static void lower(const char *method, char *out)
{
    for (; *method; method++)
        *out++ = (char)(*method | 0x20);
    *out = '\0';
}

static void every_route_is_described(void **state)
{
    (void)state;
    struct wc_http_route routes[ROUTES];
    char path[256], method[16];
    collect(routes);
    for (size_t i = 0; i < ROUTES; i++) {
        template_of(routes[i].path, path);
        lower(routes[i].method, method);
        uint32_t item = wc_json_get(&doc, wc_json_get(&doc, 0, "paths"), path);
        uint32_t operation = wc_json_get(&doc, item, method);
        if (wc_json_count(&doc, wc_json_get(&doc, operation, "responses")) == 0)
            fail_msg("%s %s is not described", routes[i].method, routes[i].path);
    }
}

static size_t count_operations(void)
{
    uint32_t paths = wc_json_get(&doc, 0, "paths");
    uint32_t node = wc_json_first(&doc, paths);
    size_t count = 0;
    for (uint32_t n = wc_json_count(&doc, paths); n > 0; n--) {
        uint32_t item = wc_json_next(&doc, node);
        count += wc_json_count(&doc, item);
        node = wc_json_next(&doc, item);
    }
    return count;
}

/* The WebSocket is no route of ours. */
static void nothing_else_is_described(void **state)
{
    (void)state;
    uint32_t socket = wc_json_get(&doc, wc_json_get(&doc, 0, "paths"), "/socket/websocket");
    assert_int_equal(wc_json_count(&doc, socket), 1);
    assert_int_equal(count_operations(), ROUTES + 1);
}

static bool is_there(struct wc_slice pointer)
{
    static const char prefix[] = "#/components/schemas/";
    size_t n = sizeof prefix - 1;
    if (pointer.len <= n || memcmp(pointer.p, prefix, n) != 0)
        return false;
    char *name = wc_arena_strdup(&arena, wc_slice(pointer.p + n, pointer.len - n));
    uint32_t schemas = wc_json_get(&doc, wc_json_get(&doc, 0, "components"), "schemas");
    return name && wc_json_get(&doc, schemas, name) != WC_JSON_NONE;
}

static void every_reference_leads_somewhere(void **state)
{
    (void)state;
    size_t found = 0;
    for (uint32_t node = 0; node < doc.count; node++) {
        uint32_t ref = wc_json_get(&doc, node, "$ref");
        struct wc_slice pointer;
        if (wc_json_type(&doc, node) != WC_JSON_OBJECT || ref == WC_JSON_NONE)
            continue;
        assert_true(wc_json_string(&doc, ref, &arena, &pointer));
        assert_true(is_there(pointer));
        found++;
    }
    assert_true(found > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(nothing_else_is_described),
        cmocka_unit_test(every_reference_leads_somewhere),
    };
    return cmocka_run_group_tests(tests, open_document, close_document);
}
