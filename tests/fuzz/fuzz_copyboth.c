/* One CopyData message. What is accepted must account for every byte of it. */
#include "base/assert.h"
#include "decoder/copyboth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { XLOG_HEADER = 25, KEEPALIVE = 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_copy_msg msg;
    struct wc_err err;
    enum wc_status status = wc_copyboth_decode(wc_slice(data, size), &msg, &err);
    if (status != WC_OK) {
        WC_ASSERT(status == WC_PROTO && err.at <= size);
    } else if (msg.kind == WC_COPY_XLOG) {
        WC_ASSERT(msg.payload.p == data + XLOG_HEADER);
        WC_ASSERT(msg.payload.len + XLOG_HEADER == size);
    } else {
        WC_ASSERT(size == KEEPALIVE && msg.payload.len == 0);
    }
    return 0;
}
