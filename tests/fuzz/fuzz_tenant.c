/*
 * The body of a request to create a tenant, submitted twice: for a new one, and over the one that
 * the first made.
 */
#include "base/assert.h"
#include "bridge/ops/form.h"
#include "bridge/ops/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_CAP = 64 << 20, TEXT_CAP = 16 << 20, ID_MAX = 255 };

static const struct wc_json_limits limits = {.depth = 64, .nodes = 1000000};

static uint32_t member_of(struct wc_slice json, const char *key)
{
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, ARENA_CAP);
    WC_ASSERT(wc_json_parse(&doc, json, &arena, limits, NULL) == WC_OK);
    WC_ASSERT(wc_json_type(&doc, 0) == WC_JSON_OBJECT);
    uint32_t node = wc_json_get(&doc, 0, key);
    wc_arena_release(&arena);
    return node;
}

static void check_record(const struct wc_record *r)
{
    struct wc_buf shown;
    size_t len = strlen(r->external_id);
    WC_ASSERT(len > 0 && len <= ID_MAX && r->name[0]);
    WC_ASSERT(r->jwt_secret || r->jwt_jwks);
    WC_ASSERT(r->max_concurrent_users && r->max_payload_kb);
    if (r->has_database) {
        static const char *const secret[] = {"db_host", "db_port", "db_name", "db_user",
                                             "db_password"};
        struct wc_slice settings = wc_slice_str(r->database.settings);
        for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
            WC_ASSERT(member_of(settings, secret[i]) == WC_JSON_NONE);
        WC_ASSERT(r->database.host[0] && r->database.port[0] && r->database.pool);
    }
    wc_buf_init(&shown, TEXT_CAP);
    wc_render_tenant(&shown, r);
    WC_ASSERT(member_of(wc_buf_view(&shown), "external_id") != WC_JSON_NONE);
    wc_buf_release(&shown);
}

/* The record, owned; NULL: refused. */
static struct wc_record *submit(const struct wc_json *doc, struct wc_slice path_id,
                                const struct wc_record *base, struct wc_arena *arena)
{
    struct wc_form *form = NULL;
    struct wc_record *record = NULL, *defaults = wc_record_new("");
    struct wc_buf errors;
    WC_ASSERT(defaults);
    wc_buf_init(&errors, TEXT_CAP);
    const struct wc_form_context c = {.id = path_id, .defaults = defaults, .scratch = arena};
    enum wc_status st = wc_form_read(doc, 0, &c, &form, &errors);
    if (st == WC_OK)
        st = wc_form_apply(form, base, &record, &errors);
    WC_ASSERT(st == WC_OK || st == WC_INVALID);
    if (st == WC_OK)
        check_record(record);
    else
        WC_ASSERT(member_of(wc_buf_view(&errors), "errors") != WC_JSON_NONE);
    wc_buf_release(&errors);
    wc_form_free(form);
    wc_record_free(defaults);
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, ARENA_CAP);
    if (wc_json_parse(&doc, wc_slice(data, size), &arena, limits, NULL) == WC_OK &&
        wc_json_type(&doc, 0) == WC_JSON_OBJECT) {
        struct wc_record *first = submit(&doc, wc_slice(NULL, 0), NULL, &arena);
        if (first) {
            struct wc_slice id = wc_slice_str(first->external_id);
            struct wc_record *second = submit(&doc, id, first, &arena);
            WC_ASSERT(second && wc_record_compare(first, second) == WC_RECORD_SAME);
            wc_record_free(second);
        }
        wc_record_free(first);
        wc_record_free(submit(&doc, wc_slice_str("path"), NULL, &arena));
    }
    wc_arena_release(&arena);
    return 0;
}
