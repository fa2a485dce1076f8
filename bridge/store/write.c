/*
 * Operations. Each is one segment, so one transaction; a put begins with a look at whether the
 * tenant is what is in memory, and ends with reading what it has written, which goes the way of
 * every row that is read. An outcome is never told before the call that asked for it has returned.
 */
#include "bridge/store/store_priv.h"

#include "base/assert.h"
#include "base/uuid.h"
#include "bridge/pg/array.h"
#include "bridge/store/settings.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SECRET_CAP = 1 << 20,
    SETTINGS_CAP = 64 << 10,
    ARRAY_CAP = 64 << 10,
    TENANT_PARAMS = 22,
    NUMBER_SIZE = 11, /* ten digits, NUL */
};

struct op {
    struct wc_list link;
    struct wc_store *store;
    wc_store_done done;
    void *arg;
    char uuid[WC_UUID_TEXT]; /* of a put: what a new tenant gets */
    struct wc_store_outcome outcome;
    char external_id[];
};

/* ---- outcomes ---- */

static void on_soon(uv_timer_t *timer)
{
    struct wc_store *s = timer->data;
    struct wc_list over;
    wc_list_init(&over);
    wc_list_move_all(&s->over, &over);
    while (!wc_list_is_empty(&over)) {
        struct op *op = WC_CONTAINER(over.next, struct op, link);
        wc_list_remove(&op->link);
        op->done(op->arg, &op->outcome);
        free(op);
    }
}

void wc_store_write_init(struct wc_store *s)
{
    wc_list_init(&s->ops);
    wc_list_init(&s->over);
    (void)uv_timer_init(s->loop, &s->soon); /* cannot fail */
    s->soon.data = s;
}

void wc_store_write_release(struct wc_store *s)
{
    wc_list_move_all(&s->ops, &s->over);
    WC_LIST_EACH_SAFE (it, &s->over)
        free(WC_CONTAINER(it, struct op, link));
    wc_list_init(&s->over);
}

static struct op *new_op(struct wc_store *s, const char *external_id, wc_store_done done, void *arg)
{
    size_t len = strlen(external_id);
    struct op *op = calloc(1, sizeof *op + len + 1);
    if (!op)
        return NULL;
    *op = (struct op){.store = s, .done = done, .arg = arg};
    memcpy(op->external_id, external_id, len);
    return op;
}

static void end_soon(struct op *op, enum wc_store_status status, const char *text)
{
    struct wc_store *s = op->store;
    op->outcome.status = status;
    (void)snprintf(op->outcome.text, sizeof op->outcome.text, "%s", text); /* cut when too long */
    wc_list_push(&s->over, &op->link);
    (void)uv_timer_start(&s->soon, on_soon, 0, 0); /* valid handle and callback */
}

static const char division_by_zero[] = "22012"; /* see sql/q_store_unchanged.sql */
static const char unavailable[] = "the control store cannot be reached";

void wc_store_write_fail(struct wc_store *s)
{
    WC_LIST_EACH_SAFE (it, &s->ops) {
        wc_list_remove(it);
        end_soon(WC_CONTAINER(it, struct op, link), WC_STORE_UNAVAILABLE, unavailable);
    }
}

static void end_now(struct op *op)
{
    wc_list_remove(&op->link);
    op->done(op->arg, &op->outcome);
    free(op);
}

/* What is wrong in words for a user, where a rule of the tables says no. */
static void end_refused(struct op *op, const struct wc_pg_result *res)
{
    const char *text = res->message;
    op->outcome.status = WC_STORE_FAILED;
    if (strncmp(res->sqlstate, "23", 2) == 0)
        op->outcome.status = WC_STORE_CONFLICT;
    if (strstr(text, "jwt_secret_or_jwt_jwks_required"))
        text = "either jwt_secret or jwt_jwks must be provided";
    else if (strcmp(res->sqlstate, "23505") == 0)
        text = "has already been taken";
    (void)snprintf(op->outcome.text, sizeof op->outcome.text, "%s", text); /* cut when too long */
    end_now(op);
}

/* The operation waits for its answer, or has its outcome soon. NOMEM: it is gone. */
static enum wc_status submit(struct op *op, const struct wc_pg_statement *statement, size_t n,
                             wc_pg_result_fn done)
{
    struct wc_store *s = op->store;
    enum wc_status st =
        s->phase < WC_STORE_READING ? WC_CLOSED : wc_store_ask(s, statement, n, done, op);
    if (st == WC_OK)
        wc_list_push(&s->ops, &op->link);
    else if (st == WC_CLOSED)
        end_soon(op, WC_STORE_UNAVAILABLE, unavailable);
    else
        free(op);
    return st == WC_CLOSED ? WC_OK : st;
}

/* ---- put ---- */

/* The parameters of a put. */
struct row {
    char uuid[WC_UUID_TEXT]; /* of the extension */
    struct wc_buf secret, settings, ids;
    char number[10][NUMBER_SIZE];
    const char *unchanged[2], *tenant[TENANT_PARAMS], *drop[2], *database[4], *id[1], *reading[1];
};

static void make_uuid(char out[WC_UUID_TEXT])
{
    uint8_t bytes[WC_UUID_BYTES];
    wc_uuid_random(bytes);
    wc_uuid_format(bytes, out);
}

/* The ciphertexts. */
static enum wc_status seal(const struct wc_vault *vault, const struct wc_record *r, struct row *row,
                           struct wc_err *err)
{
    enum wc_status st = WC_OK;
    if (r->jwt_secret)
        st = wc_vault_encrypt(vault, wc_slice_str(r->jwt_secret), &row->secret);
    if (st == WC_LIMIT)
        return wc_err_set(err, WC_INVALID, "jwt_secret is too long");
    if (st == WC_OK && r->has_database)
        st = wc_store_settings_write(vault, &r->database, &row->settings, err);
    wc_buf_byte(&row->secret, '\0');
    wc_buf_byte(&row->settings, '\0');
    wc_pg_array_add(&row->ids, wc_slice_str(r->external_id));
    wc_pg_array_end(&row->ids);
    if (st == WC_OK && (row->secret.status != WC_OK || row->settings.status != WC_OK))
        return WC_NOMEM;
    if (st == WC_OK && row->ids.status != WC_OK)
        return wc_err_set(err, WC_INVALID, "external_id is too long");
    return st;
}

static const char *flag(bool value)
{
    return value ? "t" : "f";
}

static void fill_tenant(const struct wc_vault *vault, const struct wc_record *r, const char *uuid,
                        struct row *row)
{
    const uint32_t number[] = {
        r->max_concurrent_users, r->max_events_per_second,   r->max_presence_events_per_second,
        r->max_bytes_per_second, r->max_channels_per_client, r->max_joins_per_second,
        r->max_payload_kb,       r->presence_max_calls,      r->presence_window_ms,
        r->migrations_ran};
    const bool is_legacy = wc_vault_writes_legacy(vault);
    const char *const before[] = {uuid,        r->external_id,
                                  r->name,     r->jwt_secret ? (const char *)row->secret.p : NULL,
                                  r->jwt_jwks, r->postgres_cdc_default};
    const char *const behind[] = {flag(r->suspend),          flag(r->private_only),
                                  flag(r->presence_enabled), r->broadcast_adapter,
                                  r->feature_flags,          flag(!is_legacy)};
    size_t n = 0;
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        row->tenant[n++] = before[i];
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        (void)snprintf(row->number[i], NUMBER_SIZE, "%u", number[i]); /* fits by type */
        row->tenant[n++] = row->number[i];
    }
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++)
        row->tenant[n++] = behind[i];
    WC_ASSERT(n == TENANT_PARAMS);
    if (r->presence_max_calls == 0)
        row->tenant[13] = NULL;
    if (r->presence_window_ms == 0)
        row->tenant[14] = NULL;
}

static void fill_database(const struct wc_record *r, struct row *row)
{
    row->id[0] = r->external_id;
    row->drop[0] = r->external_id;
    row->drop[1] = r->has_database ? r->database.type : NULL;
    row->database[0] = row->uuid;
    row->database[1] = r->external_id;
    row->database[2] = r->database.type;
    row->database[3] = (const char *)row->settings.p;
    row->reading[0] = (const char *)row->ids.p;
}

static void on_changed(void *arg, const struct wc_pg_result *res)
{
    struct op *op = arg;
    struct wc_record *before = NULL;
    struct wc_err err = {0};
    wc_store_answered(op->store);
    if (!res->ok && res->sqlstate[0] == '\0')
        return; /* as in on_put */
    if (!res->ok) {
        end_refused(op, res);
        return;
    }
    if (res->nrows == 0)
        before = wc_store_drop(op->store, op->external_id);
    else
        (void)wc_store_take(op->store, res, 0, &before, &err); /* else it stays as it was told */
    wc_record_free(before);
    op->outcome.status = WC_STORE_CHANGED;
    (void)snprintf(op->outcome.text, sizeof op->outcome.text, "%s",
                   "was changed by somebody else at the same time: try again"); /* fits */
    end_now(op);
}

/* Nothing was written: what is there is read before that is told. */
static void read_changed(struct op *op)
{
    struct wc_buf ids;
    wc_buf_init(&ids, ARRAY_CAP);
    wc_pg_array_add(&ids, wc_slice_str(op->external_id));
    wc_pg_array_end(&ids);
    const char *const params[] = {(const char *)ids.p};
    const struct wc_pg_statement statement = {
        .sql = wc_sql_store_tenants, .nparams = 1, .params = params};
    if (ids.status != WC_OK || wc_store_ask(op->store, &statement, 1, on_changed, op) != WC_OK) {
        wc_list_remove(&op->link);
        end_soon(op, WC_STORE_UNAVAILABLE, unavailable);
    }
    wc_buf_release(&ids);
}

static void on_put(void *arg, const struct wc_pg_result *res)
{
    struct op *op = arg;
    struct wc_store *s = op->store;
    struct wc_record *before = NULL;
    struct wc_err err = {0};
    wc_store_answered(s);
    if (!res->ok && res->sqlstate[0] == '\0')
        return; /* the connection is lost, and every operation with it */
    if (strcmp(res->sqlstate, division_by_zero) == 0) {
        read_changed(op);
        return;
    }
    if (!res->ok) {
        end_refused(op, res);
        return;
    }
    struct wc_store_entry *e =
        res->nrows ? wc_store_take(s, res, 0, &before, &err) : NULL; /* a trigger may swallow it */
    op->outcome.is_new = e && strcmp(wc_store_row_uuid(res, 0), op->uuid) == 0;
    op->outcome.status = e && e->record ? WC_STORE_OK : WC_STORE_FAILED;
    if (op->outcome.status == WC_STORE_OK) {
        op->outcome.record = e->record;
        op->outcome.before = before || op->outcome.is_new ? before : e->record;
    } else {
        (void)snprintf(op->outcome.text, sizeof op->outcome.text, "%s",
                       err.text[0] ? err.text : "the tenant was not written"); /* fits */
    }
    end_now(op);
    wc_record_free(before);
}

static enum wc_status send_put(struct op *op, const struct wc_record *r, struct row *row)
{
    struct wc_pg_statement statement[6];
    const struct wc_store_entry *e = wc_store_entry(op->store, r->external_id);
    size_t n = 0;
    fill_tenant(op->store->opt.vault, r, op->uuid, row);
    fill_database(r, row);
    if (e && e->record) {
        row->unchanged[0] = e->id;
        row->unchanged[1] = e->fingerprint;
        statement[n++] = (struct wc_pg_statement){
            .sql = wc_sql_store_unchanged, .nparams = 2, .params = row->unchanged};
    }
    statement[n++] = (struct wc_pg_statement){
        .sql = wc_sql_store_put_tenant, .nparams = TENANT_PARAMS, .params = row->tenant};
    statement[n++] = (struct wc_pg_statement){
        .sql = wc_sql_store_drop_database, .nparams = 2, .params = row->drop};
    if (r->has_database)
        statement[n++] = (struct wc_pg_statement){
            .sql = wc_sql_store_put_database, .nparams = 4, .params = row->database};
    statement[n++] =
        (struct wc_pg_statement){.sql = wc_sql_store_notify, .nparams = 1, .params = row->id};
    statement[n++] =
        (struct wc_pg_statement){.sql = wc_sql_store_tenants, .nparams = 1, .params = row->reading};
    return submit(op, statement, n, on_put);
}

enum wc_status wc_store_put(struct wc_store *s, const struct wc_record *r, wc_store_done done,
                            void *arg)
{
    struct row row = {.uuid = ""};
    struct wc_err err = {0};
    struct op *op = new_op(s, r->external_id, done, arg);
    if (!op)
        return WC_NOMEM;
    make_uuid(op->uuid);
    make_uuid(row.uuid);
    wc_buf_init(&row.secret, SECRET_CAP);
    wc_buf_init(&row.settings, SETTINGS_CAP);
    wc_buf_init(&row.ids, ARRAY_CAP);
    enum wc_status st = seal(s->opt.vault, r, &row, &err);
    if (st == WC_OK) {
        st = send_put(op, r, &row);
    } else if (st == WC_INVALID) {
        end_soon(op, WC_STORE_FAILED, err.text);
        st = WC_OK;
    } else {
        free(op);
    }
    wc_buf_release(&row.secret);
    wc_buf_release(&row.settings);
    wc_buf_release(&row.ids);
    return st;
}

/* ---- remove ---- */

static void on_removed(void *arg, const struct wc_pg_result *res)
{
    struct op *op = arg;
    wc_store_answered(op->store);
    if (!res->ok && res->sqlstate[0] == '\0')
        return; /* as in on_put */
    if (!res->ok) {
        end_refused(op, res);
        return;
    }
    struct wc_record *before = wc_store_drop(op->store, op->external_id);
    op->outcome.status = res->nrows ? WC_STORE_OK : WC_STORE_NOT_FOUND;
    op->outcome.before = before;
    end_now(op);
    wc_record_free(before);
}

enum wc_status wc_store_remove(struct wc_store *s, const char *external_id, wc_store_done done,
                               void *arg)
{
    struct op *op = new_op(s, external_id, done, arg);
    if (!op)
        return WC_NOMEM;
    const char *const params[] = {op->external_id};
    const struct wc_pg_statement statement[] = {
        {.sql = wc_sql_store_notify, .nparams = 1, .params = params},
        {.sql = wc_sql_store_remove, .nparams = 1, .params = params}};
    return submit(op, statement, 2, on_removed);
}
