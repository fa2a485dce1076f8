/* Path, Host and x-tenant-id of a request, one per line. */
#include "base/assert.h"
#include "fanout/whose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* p NULL when there is no line left: the header is absent. */
static struct wc_slice next_line(struct wc_slice *rest)
{
    const uint8_t *end = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;
    struct wc_slice line = wc_slice(rest->p, end ? (size_t)(end - rest->p) : rest->len);
    *rest = end ? wc_slice(end + 1, rest->len - line.len - 1) : wc_slice(NULL, 0);
    return line;
}

static bool lies_within(struct wc_slice part, struct wc_slice whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void check_name(struct wc_slice name)
{
    WC_ASSERT(name.len <= 255);
    for (size_t i = 0; i < name.len; i++)
        WC_ASSERT(name.p[i] >= ' ' && name.p[i] != 0x7f);
}

static void check_host(struct wc_slice host, struct wc_slice from)
{
    struct wc_slice label = wc_host_label(host);
    WC_ASSERT(lies_within(host, from) && lies_within(label, host));
    WC_ASSERT(host.len == 0 || host.p[0] == '[' || !memchr(host.p, ':', host.len));
    WC_ASSERT(label.len == 0 || !memchr(label.p, '.', label.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_slice rest = wc_slice(data, size);
    struct wc_slice path = next_line(&rest), host = next_line(&rest), header = rest;
    struct wc_whose w = wc_whose(path, host, header);
    check_host(w.address.host, host);
    check_name(w.address.name);
    WC_ASSERT((w.address.name.p != NULL) == (w.is_by_path || header.p != NULL));
    WC_ASSERT(lies_within(w.path, path));
    if (!w.is_by_path) {
        WC_ASSERT(w.path.p == path.p && w.path.len == path.len);
        return 0;
    }
    WC_ASSERT(w.path.len > 0 && w.path.p[0] == '/' && path.len >= 4);
    WC_ASSERT(memcmp(path.p, "/t/", 3) == 0 && path.p + path.len == w.path.p + w.path.len);
    return 0;
}
