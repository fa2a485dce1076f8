/*
 * Settings of a tenant's database as a row has them. What is read must be written and read to the
 * same again, however often.
 */
#include "base/assert.h"
#include "bridge/store/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_CAP = 4 << 20 };

static void write_and_read(const struct wc_vault *vault, const struct wc_record *r)
{
    struct wc_buf json;
    struct wc_err err = {0};
    struct wc_record *again = wc_record_copy(r);
    wc_buf_init(&json, OUT_CAP);
    WC_ASSERT(again && wc_store_settings_write(vault, &r->database, &json, &err) == WC_OK);
    enum wc_status st = wc_store_settings_read(vault, wc_buf_view(&json), &again->database, &err);
    WC_ASSERT(st == WC_OK || json.len > 64 << 10); /* sealed anew it is longer */
    WC_ASSERT(st != WC_OK || wc_record_compare(r, again) == WC_RECORD_SAME);
    wc_buf_release(&json);
    wc_record_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_vault *vault = NULL;
    struct wc_err err = {0};
    WC_ASSERT(wc_vault_make(wc_slice_str("walcast-test-key-of-32-bytes-gcm"),
                            wc_slice_str("walcast-16-bytes"), false, &vault, NULL) == WC_OK);
    struct wc_record *r = wc_record_new("t1");
    WC_ASSERT(r && wc_record_add_database(r));
    enum wc_status st = wc_store_settings_read(vault, wc_slice(data, size), &r->database, &err);
    WC_ASSERT(st == WC_OK || err.text[0]);
    if (st == WC_OK)
        write_and_read(vault, r);
    wc_record_free(r);
    wc_vault_free(vault);
    return 0;
}
