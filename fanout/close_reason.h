/*
 * Why a connection ends: the table close_reason.def as an enum and a record. Threads: pure.
 */
#ifndef WC_FANOUT_CLOSE_REASON_H
#define WC_FANOUT_CLOSE_REASON_H

#include "base/metrics.h"

enum wc_close_reason {
#define WC_CLOSE(symbol, label, fault, code, text) WC_CLOSE_##symbol,
#include "fanout/close_reason.def"
#undef WC_CLOSE
};

struct wc_close_info {
    const char *label;
    bool is_fault;
    uint16_t code; /* 0: no close frame can be sent */
    const char *text;
    enum wc_metric metric;
};

const struct wc_close_info *wc_close_info(enum wc_close_reason);

#endif
