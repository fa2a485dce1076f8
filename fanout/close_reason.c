#include "fanout/close_reason.h"

const struct wc_close_info *wc_close_info(enum wc_close_reason reason)
{
    static const struct wc_close_info table[] = {
#define WC_CLOSE(symbol, label, fault, code, text)                                                 \
    [WC_CLOSE_##symbol] = {label, fault, code, text, WC_M_CLOSED_##symbol},
#include "fanout/close_reason.def"
#undef WC_CLOSE
    };
    return &table[reason];
}
