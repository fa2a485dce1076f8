#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *wc_status_text(enum wc_status status)
{
    switch (status) {
#define WC_STATUS(symbol, text, retryable)                                                         \
    case WC_##symbol:                                                                              \
        return text;
#include "base/status.def"
#undef WC_STATUS
    }
    return "unknown status";
}

enum wc_status wc_err_set(struct wc_err *err, enum wc_status code, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->hint[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt,
                    ap); /* a cut text is still the best we have */
    va_end(ap);
    return code;
}

void wc_err_hint(struct wc_err *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}
