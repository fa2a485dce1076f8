/*
 * The operations of the API for tenants, on the bridge's thread. A task is answered with one
 * message and freed; what it still has under way is ended by its being freed.
 */
#include "base/jsonw.h"
#include "base/log.h"
#include "bridge/ops/render.h"
#include "bridge/ops/tenants_priv.h"
#include "fanout/publish.h"

#include <stdlib.h>

enum { BODY_MAX = 64 << 20, ANSWER_MAX = 1 << 20 };

/* ---- life ---- */

struct wc_task *wc_task_new(struct wc_admin *a, enum wc_task_kind kind, struct wc_slice id,
                            struct wc_form *form)
{
    struct wc_task *t = calloc(1, sizeof *t);
    if (!t) {
        wc_form_free(form);
        return NULL;
    }
    *t = (struct wc_task){.admin = a, .kind = kind, .form = form};
    wc_list_init(&t->link);
    if (form)
        id = wc_slice_str(wc_form_external_id(form));
    if (id.p)
        t->external_id = wc_slice_dup(id);
    if (t->external_id || !id.p)
        return t;
    wc_task_free(t);
    return NULL;
}

void wc_task_free(struct wc_task *t)
{
    if (!t)
        return;
    wc_list_remove(&t->link);
    wc_chore_cancel(t->chore);
    wc_form_free(t->form);
    wc_record_free(t->was);
    free(t->external_id);
    free(t);
}

/* ---- answers ---- */

/* Ends the task. The location comes first in the message's text (msg.h). */
static void answer_at(struct wc_task *t, unsigned status, struct wc_slice location,
                      struct wc_slice body)
{
    struct wc_buf text;
    struct wc_publisher *p = wc_bridge_publisher(t->admin->bridge);
    wc_buf_init(&text, BODY_MAX);
    wc_buf_slice(&text, location);
    wc_buf_slice(&text, body);
    struct wc_msg *m = text.status == WC_OK ? wc_msg_new(WC_MSG_CALL, wc_buf_view(&text)) : NULL;
    wc_buf_release(&text);
    if (m && t->kind != WC_TASK_PREPARE) {
        m->handle = t->handle;
        m->http_status = status;
        m->location_len = location.len;
        if (wc_publish(p, WC_ORIGIN_BRIDGE, m, UINT64_C(1) << t->handle.thread) == WC_OK)
            wc_publisher_flush(p);
        m = NULL; /* taken; without memory the call ends by itself */
    }
    wc_msg_unref(m);
    wc_task_free(t);
}

static void answer(struct wc_task *t, unsigned status, struct wc_slice body)
{
    answer_at(t, status, wc_slice(NULL, 0), body);
}

static void answer_nothing(struct wc_task *t, unsigned status)
{
    answer(t, status, wc_slice(NULL, 0));
}

/* {"message":MESSAGE} and, where there is one, "reason". */
static void answer_message(struct wc_task *t, unsigned status, const char *message,
                           const char *reason)
{
    struct wc_buf body;
    wc_buf_init(&body, ANSWER_MAX);
    wc_buf_str(&body, "{\"message\":");
    wc_jsonw_cstr(&body, message);
    if (reason) {
        wc_buf_str(&body, ",\"reason\":");
        wc_jsonw_cstr(&body, reason);
    }
    wc_buf_byte(&body, '}');
    answer(t, status, wc_buf_view(&body));
    wc_buf_release(&body);
}

static void answer_not_found(struct wc_task *t)
{
    answer_message(t, 404, "not found", NULL);
}

static void answer_tenant(struct wc_task *t, unsigned status, const struct wc_record *r)
{
    struct wc_buf body, location;
    wc_buf_init(&body, ANSWER_MAX);
    wc_buf_init(&location, ANSWER_MAX);
    wc_buf_str(&body, "{\"data\":");
    wc_render_tenant(&body, r);
    wc_buf_byte(&body, '}');
    if (t->kind == WC_TASK_PUT)
        wc_buf_printf(&location, "/api/tenants/%s", r->id);
    answer_at(t, status, wc_buf_view(&location), wc_buf_view(&body));
    wc_buf_release(&location);
    wc_buf_release(&body);
}

static void answer_outcome(struct wc_task *t, const struct wc_store_outcome *o)
{
    WC_LOG(WC_LOG_WARN, "admin", "write_failed", "tenant=%s error=\"%s\"", t->external_id, o->text);
    if (o->status == WC_STORE_UNAVAILABLE) {
        answer_message(t, 503, o->text, NULL);
    } else if (o->status == WC_STORE_CONFLICT) {
        struct wc_buf body;
        wc_buf_init(&body, ANSWER_MAX);
        wc_buf_str(&body, "{\"errors\":{\"external_id\":[");
        wc_jsonw_cstr(&body, o->text);
        wc_buf_str(&body, "]}}");
        answer(t, 422, wc_buf_view(&body));
        wc_buf_release(&body);
    } else {
        answer_message(t, o->status == WC_STORE_CHANGED ? 409 : 500, o->text, NULL);
    }
}

static void fail(struct wc_task *t)
{
    answer_message(t, 500, "Internal Server Error", NULL);
}

/* ---- what is known ---- */

static const struct wc_record *find(const struct wc_admin *a, const char *external_id)
{
    const struct wc_record *only = a->only;
    if (only)
        return strcmp(only->external_id, external_id) == 0 ? only : NULL;
    return wc_store_find(a->store, external_id);
}

static void list_one(void *arg, const struct wc_record *r)
{
    struct wc_buf *out = arg;
    if (out->len && out->p[out->len - 1] == '}')
        wc_buf_byte(out, ',');
    wc_render_tenant(out, r);
}

static void run_list(struct wc_task *t)
{
    const struct wc_admin *a = t->admin;
    struct wc_buf body;
    wc_buf_init(&body, BODY_MAX);
    wc_buf_str(&body, "{\"data\":[");
    if (a->only)
        list_one(&body, a->only);
    else
        wc_store_each(a->store, list_one, &body);
    wc_buf_str(&body, "]}");
    if (body.status == WC_OK)
        answer(t, 200, wc_buf_view(&body));
    else
        fail(t);
    wc_buf_release(&body);
}

static void run_show(struct wc_task *t)
{
    const struct wc_record *r = find(t->admin, t->external_id);
    if (r)
        answer_tenant(t, 200, r);
    else
        answer_not_found(t);
}

/* ---- preparing a tenant's database ---- */

static void on_stamped(void *arg, const struct wc_store_outcome *o)
{
    struct wc_task *t = arg;
    const struct wc_record *r = find(t->admin, t->external_id);
    if (o->status != WC_STORE_OK)
        WC_LOG(WC_LOG_WARN, "admin", "not_stamped", "tenant=%s error=\"%s\"", t->external_id,
               o->text);
    if (r)
        answer_tenant(t, 201, r);
    else
        answer_not_found(t); /* it was deleted meanwhile */
}

/* The column that says that there is nothing left to prepare. */
static void stamp(struct wc_task *t, uint32_t steps)
{
    const struct wc_record *now = find(t->admin, t->external_id);
    struct wc_record *next = now ? wc_record_copy(now) : NULL;
    if (next)
        next->migrations_ran = steps;
    enum wc_status st = next ? wc_store_put(t->admin->store, next, on_stamped, t) : WC_NOMEM;
    wc_record_free(next);
    if (st == WC_OK)
        return;
    if (now)
        answer_tenant(t, 201, now);
    else
        answer_not_found(t);
}

static void on_prepared(void *arg, const struct wc_chore_outcome *o)
{
    struct wc_task *t = arg;
    t->chore = NULL;
    if (o->ok) {
        stamp(t, o->steps);
        return;
    }
    WC_LOG(WC_LOG_ERROR, "admin", "database_not_prepared", "tenant=%s error=\"%s\" hint=\"%s\"",
           t->external_id, o->text, o->hint);
    answer_message(t, 401, "Unauthorized", o->text);
}

static void prepare(struct wc_task *t, const struct wc_record *r)
{
    struct wc_tenant_place at;
    wc_registry_reach(t->admin->opt.registry, r, &at);
    t->chore = wc_chore_prepare(wc_bridge_loop(t->admin->bridge), &at.pg, on_prepared, t);
    if (!t->chore)
        fail(t);
}

static void begin(struct wc_task *t)
{
    wc_list_push(&t->admin->tasks, &t->link);
}

static bool is_preparing_for(const struct wc_task *t, const char *external_id)
{
    return t->chore && t->kind != WC_TASK_DELETE && strcmp(t->external_id, external_id) == 0;
}

static bool is_preparing(const struct wc_admin *a, const char *external_id)
{
    WC_LIST_EACH_SAFE (it, &a->tasks) {
        if (is_preparing_for(WC_CONTAINER(it, struct wc_task, link), external_id))
            return true;
    }
    return false;
}

/* For nobody; without memory for it the next one who asks for health brings it about. */
static void prepare_again(struct wc_admin *a, const struct wc_record *r)
{
    if (is_preparing(a, r->external_id))
        return;
    struct wc_task *t = wc_task_new(a, WC_TASK_PREPARE, wc_slice_str(r->external_id), NULL);
    if (!t)
        return;
    begin(t);
    prepare(t, r);
}

void wc_admin_prepare(struct wc_admin *a, const char *external_id)
{
    const struct wc_record *r = find(a, external_id);
    if (r && r->has_database && r->migrations_ran == 0)
        prepare_again(a, r);
}

void wc_admin_forget(struct wc_admin *a, const char *external_id)
{
    WC_LIST_EACH_SAFE (it, &a->tasks) {
        struct wc_task *t = WC_CONTAINER(it, struct wc_task, link);
        if (is_preparing_for(t, external_id))
            answer_not_found(t);
    }
}

/* ---- writes ---- */

static bool is_read_only(struct wc_task *t)
{
    if (!t->admin->only)
        return false;
    answer_message(t, 409,
                   "this server has one tenant, that of its settings (environment mode, "
                   "JWT_SECRET is set): it cannot be changed over HTTP",
                   NULL);
    return true;
}

static void on_put(void *arg, const struct wc_store_outcome *o)
{
    struct wc_task *t = arg;
    if (o->status != WC_STORE_OK) {
        answer_outcome(t, o);
        return;
    }
    WC_LOG(WC_LOG_INFO, "admin", "tenant_written", "tenant=%s is_new=%d", t->external_id,
           o->is_new);
    if (o->is_new && o->record->has_database)
        prepare(t, o->record);
    else
        answer_tenant(t, o->is_new ? 201 : 200, o->record);
}

static void run_put(struct wc_task *t)
{
    struct wc_record *next = NULL;
    struct wc_buf errors;
    if (is_read_only(t))
        return;
    wc_buf_init(&errors, ANSWER_MAX);
    enum wc_status st = wc_form_apply(t->form, find(t->admin, t->external_id), &next, &errors);
    if (st == WC_OK)
        st = wc_store_put(t->admin->store, next, on_put, t);
    wc_record_free(next);
    if (st == WC_OK)
        begin(t);
    else if (st == WC_INVALID)
        answer(t, 422, wc_buf_view(&errors));
    else
        fail(t);
    wc_buf_release(&errors);
}

static void on_slot_dropped(void *arg, const struct wc_chore_outcome *o)
{
    struct wc_task *t = arg;
    t->chore = NULL;
    if (!o->ok)
        WC_LOG(WC_LOG_WARN, "admin", "slot_not_dropped",
               "tenant=%s slot=%s error=\"%s\" hint=\"drop it there: it holds WAL\"",
               t->external_id, t->was->database.slot_name, o->text);
    answer_nothing(t, 204);
}

/* Ours is the permanent one that the settings of the tenant name, if any. */
static void drop_slot(struct wc_task *t)
{
    struct wc_tenant_place at;
    wc_registry_reach(t->admin->opt.registry, t->was, &at);
    if (!at.slot[0]) {
        answer_nothing(t, 204);
        return;
    }
    t->chore =
        wc_chore_drop_slot(wc_bridge_loop(t->admin->bridge), &at.pg, at.slot, on_slot_dropped, t);
    if (!t->chore)
        fail(t);
}

static void on_removed(void *arg, const struct wc_store_outcome *o)
{
    struct wc_task *t = arg;
    if (o->status == WC_STORE_OK) {
        WC_LOG(WC_LOG_INFO, "admin", "tenant_deleted", "tenant=%s", t->external_id);
        drop_slot(t);
    } else if (o->status == WC_STORE_NOT_FOUND) {
        answer_nothing(t, 204);
    } else {
        answer_outcome(t, o);
    }
}

static void run_delete(struct wc_task *t)
{
    if (is_read_only(t))
        return;
    const struct wc_record *r = find(t->admin, t->external_id);
    if (!r) {
        answer_nothing(t, 204);
        return;
    }
    t->was = wc_record_copy(r);
    if (t->was && wc_store_remove(t->admin->store, t->external_id, on_removed, t) == WC_OK)
        begin(t);
    else
        fail(t);
}

/* ---- the rest ---- */

static void run_restart(struct wc_task *t, bool (*restart)(struct wc_registry *, const char *))
{
    if (!restart(t->admin->opt.registry, t->external_id)) {
        answer_not_found(t);
        return;
    }
    WC_LOG(WC_LOG_INFO, "admin", "tenant_restarted", "tenant=%s", t->external_id);
    answer_nothing(t, 204);
}

/* Nobody misses the database while nobody is there, if only it has been prepared. */
static bool is_healthy(const struct wc_task *t, const struct wc_tenant_health *h)
{
    const struct wc_record *r = find(t->admin, t->external_id);
    if (h->db_connected || h->users || t->admin->only || !r)
        return h->db_connected || !h->users;
    if (!r->has_database || r->migrations_ran > 0)
        return true;
    prepare_again(t->admin, r);
    return false;
}

static void add_flag(struct wc_buf *out, const char *key, bool value)
{
    wc_buf_printf(out, "\"%s\":%s,", key, value ? "true" : "false");
}

static void run_health(struct wc_task *t)
{
    const struct wc_admin_options *o = &t->admin->opt;
    struct wc_tenant_health h;
    struct wc_buf body;
    if (!wc_registry_health(o->registry, t->external_id, &h)) {
        answer_not_found(t);
        return;
    }
    wc_buf_init(&body, ANSWER_MAX);
    wc_buf_str(&body, "{\"data\":{");
    add_flag(&body, "healthy", is_healthy(t, &h));
    add_flag(&body, "db_connected", h.db_connected);
    add_flag(&body, "replication_connected", h.replication_connected);
    wc_buf_printf(&body, "\"connected_cluster\":%u,\"region\":", h.users);
    wc_jsonw_cstr(&body, o->region);
    wc_buf_str(&body, ",\"node\":");
    wc_jsonw_cstr(&body, o->node);
    wc_buf_str(&body, "}}");
    answer(t, 200, wc_buf_view(&body));
    wc_buf_release(&body);
}

static bool is_ready(const struct wc_admin *a)
{
    return a->only || (a->store && wc_store_is_loaded(a->store));
}

void wc_task_run(struct wc_task *t)
{
    if (!is_ready(t->admin)) {
        answer_message(t, 503, "the control store has not been read yet", NULL);
        return;
    }
    switch (t->kind) {
    case WC_TASK_LIST: run_list(t); break;
    case WC_TASK_SHOW: run_show(t); break;
    case WC_TASK_PUT: run_put(t); break;
    case WC_TASK_DELETE: run_delete(t); break;
    case WC_TASK_RELOAD: run_restart(t, wc_registry_reload); break;
    case WC_TASK_SHUTDOWN: run_restart(t, wc_registry_shutdown); break;
    case WC_TASK_HEALTH: run_health(t); break;
    case WC_TASK_PREPARE: wc_task_free(t); break; /* begun by the bridge itself */
    }
}
