/*
 * openapi.json, the description of all routes, embedded at build time. Threads: any; constant.
 */
#ifndef WC_BRIDGE_OPS_OPENAPI_H
#define WC_BRIDGE_OPS_OPENAPI_H

#include "base/buf.h"

extern const unsigned char wc_openapi_json[];
extern const size_t wc_openapi_json_len;

static inline struct wc_slice wc_openapi(void)
{
    return wc_slice(wc_openapi_json, wc_openapi_json_len);
}

#endif
