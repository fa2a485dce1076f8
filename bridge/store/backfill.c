/*
 * Secrets in the old form, sealed anew once there is a key for the other: after each reading of
 * all, for the tenants that a flag of the store names. A tenant is left alone where what is in
 * memory is not what the table has, and where somebody else changes it meanwhile.
 */
#include "bridge/store/store_priv.h"

#include "bridge/store/settings.h"
#include "sql/sql.h"

enum { SECRET_CAP = 1 << 20, SETTINGS_CAP = 64 << 10, COMPLAIN_US = 600 * 1000000 };

enum column { EXTERNAL_ID, FINGERPRINT, JWT_SECRET, DB_TYPE, DB_SETTINGS };

/* A login that may only read, a lock: the tenants are served all the same. */
static void complain(struct wc_store *s, const struct wc_pg_result *res)
{
    unsigned long repeated = 0;
    if (res->sqlstate[0] && wc_log_limit(&s->unsealed, COMPLAIN_US, &repeated))
        WC_LOG(
            WC_LOG_WARN, "store", "not_sealed_anew",
            "sqlstate=%s error=\"%s\" hint=\"none needed but for a missing privilege: tried again "
            "after the next reading\" repeated=%lu",
            res->sqlstate, res->message, repeated);
}

static void on_sealed(void *arg, const struct wc_pg_result *res)
{
    struct wc_store *s = arg;
    wc_store_answered(s);
    if (!res->ok)
        complain(s, res);
}

static enum wc_status seal(const struct wc_vault *vault, const struct wc_record *r,
                           struct wc_buf *secret, struct wc_buf *settings)
{
    enum wc_status st = WC_OK;
    if (r->jwt_secret)
        st = wc_vault_encrypt(vault, wc_slice_str(r->jwt_secret), secret);
    if (st == WC_OK && r->has_database)
        st = wc_store_settings_write(vault, &r->database, settings, NULL);
    wc_buf_byte(secret, '\0');
    wc_buf_byte(settings, '\0');
    return secret->status == WC_OK && settings->status == WC_OK ? st : WC_NOMEM;
}

static enum wc_status ask_seal(struct wc_store *s, const struct wc_pg_result *res, int row,
                               const struct wc_record *r)
{
    struct wc_buf secret, settings;
    wc_buf_init(&secret, SECRET_CAP);
    wc_buf_init(&settings, SETTINGS_CAP);
    enum wc_status st = seal(s->opt.vault, r, &secret, &settings);
    const char *const id[] = {r->external_id};
    const char *const params[] = {r->external_id,
                                  wc_pg_value(res, row, JWT_SECRET),
                                  r->jwt_secret ? (const char *)secret.p : NULL,
                                  wc_pg_value(res, row, DB_TYPE),
                                  wc_pg_value(res, row, DB_SETTINGS),
                                  r->has_database ? (const char *)settings.p : NULL};
    const struct wc_pg_statement statement[] = {
        {.sql = wc_sql_store_seal, .nparams = 6, .params = params},
        {.sql = wc_sql_store_notify, .nparams = 1, .params = id}};
    if (st == WC_OK)
        st = wc_store_ask(s, statement, 2, on_sealed, s);
    wc_buf_release(&secret);
    wc_buf_release(&settings);
    return st;
}

static void on_legacy(void *arg, const struct wc_pg_result *res)
{
    struct wc_store *s = arg;
    size_t n = 0;
    wc_store_answered(s);
    if (!res->ok) {
        complain(s, res);
        return;
    }
    for (int row = 0; row < res->nrows && n < WC_STORE_BATCH; row++) {
        const char *id = wc_pg_value(res, row, EXTERNAL_ID);
        const struct wc_store_entry *e = wc_store_entry(s, id);
        if (!e || !e->record || strcmp(e->fingerprint, wc_pg_value(res, row, FINGERPRINT)) != 0)
            continue;
        if (ask_seal(s, res, row, e->record) == WC_OK)
            n++; /* else it is tried again after the next reading */
    }
    if (n)
        WC_LOG(WC_LOG_INFO, "store", "sealed_anew", "tenants=%zu", n);
    if (n == WC_STORE_BATCH)
        wc_store_read_all(s); /* and then the next ones */
}

void wc_store_backfill(struct wc_store *s)
{
    const struct wc_pg_statement statement = {.sql = wc_sql_store_legacy};
    if (!wc_vault_writes_legacy(s->opt.vault) &&
        wc_store_ask(s, &statement, 1, on_legacy, s) != WC_OK)
        wc_store_exhausted(s);
}
