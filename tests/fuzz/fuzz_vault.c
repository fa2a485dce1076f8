/*
 * A stored secret. What opens must seal and open to the same again; what does not must leave the
 * output as it was.
 */
#include "auth/vault.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_CAP = 4 << 20 };

static void open_again(const struct wc_vault *v, struct wc_slice plain)
{
    struct wc_buf sealed, again;
    wc_buf_init(&sealed, OUT_CAP);
    wc_buf_init(&again, OUT_CAP);
    WC_ASSERT(wc_vault_encrypt(v, plain, &sealed) == WC_OK);
    WC_ASSERT(!wc_vault_is_legacy(wc_buf_view(&sealed)));
    WC_ASSERT(wc_vault_decrypt(v, wc_buf_view(&sealed), &again, NULL) == WC_OK);
    WC_ASSERT(wc_slice_eq(wc_buf_view(&again), plain));
    wc_buf_release(&sealed);
    wc_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_vault *v = NULL;
    WC_ASSERT(wc_vault_make(wc_slice_str("walcast-test-key-of-32-bytes-gcm"),
                            wc_slice_str("walcast-16-bytes"), false, &v, NULL) == WC_OK);
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    struct wc_err err = {0};
    enum wc_status st = wc_vault_decrypt(v, wc_slice(data, size), &out, &err);
    WC_ASSERT(st == WC_OK || (out.len == 0 && err.text[0]));
    WC_ASSERT(out.len <= size);
    if (st == WC_OK)
        open_again(v, wc_buf_view(&out));
    wc_buf_release(&out);
    wc_vault_free(v);
    return 0;
}
